"""Deploys by plain HTTP, step by step, as a client does them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import httpx
from run402_caller import SIGNER, Caller

from tollkit.run402.signer import Signer
from tollkit.sandbox.run402.gateway import Project

HTML = "text/html; charset=utf-8"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def ref(data: bytes, content_type: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"sha256": sha256(data), "size": len(data)}
    return found if content_type is None else {**found, "contentType": content_type}


def checksum(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


class Deployer:
    """One project and its owner."""

    def __init__(self, caller: Caller, project: Project | None = None, signer: Signer = SIGNER) -> None:
        self.caller = caller
        self.signer = signer
        self.project = project or caller.sandbox.seed_project()
        self.contents: dict[str, bytes] = {}

    @property
    def deploys(self) -> Any:
        return self.caller.sandbox.deploys

    # ---------------------------------------------------------------- specs

    def ref(self, data: bytes, content_type: str | None = None) -> dict[str, Any]:
        self.contents[sha256(data)] = data
        return ref(data, content_type)

    def spec(self, site: Mapping[str, bytes] | None = None, **sections: Any) -> dict[str, Any]:
        spec: dict[str, Any] = {"project": self.project.id, **sections}
        if site is not None:
            spec["site"] = {"replace": {path: self.ref(data, HTML) for path, data in site.items()}}
        return spec

    def migration(self, name: str, sql: str, **changes: Any) -> dict[str, Any]:
        one = self.ref(sql.encode(), "application/sql")
        return {"id": name, "checksum": one["sha256"], "sql_ref": one, **changes}

    # ---------------------------------------------------------------- steps

    def plan(self, spec: Mapping[str, Any], key: str | None = None, **more: Any) -> httpx.Response:
        body = {"spec": spec, **({} if key is None else {"idempotency_key": key}), **more}
        return self.caller.post("/deploy/v2/plans", signer=self.signer, json=body)

    def read(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.caller.send(method, path, signer=self.signer, apikey=self.project.anon_key, **options)

    def plan_content(self, *contents: bytes) -> httpx.Response:
        entries = [{"sha256": sha256(data), "size": len(data)} for data in contents]
        return self.read("POST", "/content/v1/plans", json={"content": entries})

    def put(self, part: Mapping[str, Any], data: bytes, **headers: str) -> httpx.Response:
        piece = data[part["byte_start"] : part["byte_end"] + 1]
        sent = headers or {"x-amz-checksum-sha256": checksum(piece)}
        return self.caller.http.put(part["url"], content=piece, headers=sent)

    def complete(self, upload: Mapping[str, Any], etags: list[str]) -> httpx.Response:
        parts = [{"part_number": number, "etag": etag} for number, etag in enumerate(etags, 1)]
        body = {"parts": parts} if upload["mode"] == "multipart" else {}
        return self.read("POST", f"/storage/v1/uploads/{upload['upload_id']}/complete", json=body)

    def upload(self, plan: Mapping[str, Any]) -> None:
        """Send what a plan misses, and commit it."""
        missing = [one["sha256"] for one in plan["missing_content"] if not one["present"]]
        if not missing:
            return
        told = ok(self.plan_content(*(self.contents[one] for one in missing)))
        for upload in told["missing"]:
            data = self.contents[upload["sha256"]]
            etags = []
            for part in upload["parts"]:
                answer = self.put(part, data)
                assert answer.status_code == 200, answer.text
                etags.append(answer.headers["etag"])
            ok(self.complete(upload, etags))
        ok(self.read("POST", f"/content/v1/plans/{told['plan_id']}/commit", json={}))

    def commit(self, plan: Mapping[str, Any], key: str | None = None, **options: Any) -> httpx.Response:
        path = f"/deploy/v2/plans/{plan['plan_id']}/commit"
        body = {} if key is None else {"idempotency_key": key}
        return self.caller.post(path, **{"signer": self.signer, "json": body, **options})

    def status(self, operation_id: str) -> dict[str, Any]:
        return ok(self.read("GET", f"/deploy/v2/operations/{operation_id}"))

    def wait(self, operation_id: str) -> dict[str, Any]:
        """Poll until the operation has ended; the last snapshot."""
        for _ in range(20):
            told = self.status(operation_id)
            if told["status"] in ("ready", "failed", "rolled_back", "needs_repair"):
                return told
        raise AssertionError(f"it does not end: {told}")

    def planned(self, spec: Mapping[str, Any], key: str | None = None) -> dict[str, Any]:
        """A plan whose content is there."""
        plan = ok(self.plan(spec, key))
        self.upload(plan)
        return plan

    def deploy(self, spec: Mapping[str, Any], key: str | None = None) -> dict[str, Any]:
        """All of it; the last snapshot."""
        plan = self.planned(spec, key)
        ok(self.commit(plan, key))
        return self.wait(plan["operation_id"])


def ok(answer: httpx.Response) -> dict[str, Any]:
    assert answer.is_success, answer.text
    told: dict[str, Any] = answer.json()
    return told
