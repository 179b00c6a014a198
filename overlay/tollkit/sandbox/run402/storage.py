"""Blobs: uploads, downloads with ranges, pages of a list, signed addresses, and what the CDN shows of them.

Source: Run402 1.57, `/storage/v1`; headers of downloads as a gateway of one's own answered them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import quote, unquote, urlsplit

import attrs
from starlette.routing import Route

from tollkit.sandbox.clock import iso
from tollkit.sandbox.http import json_answer
from tollkit.sandbox.run402.deploy.content import MOST_BYTES, ContentStore, UploadSession, after_assembly
from tollkit.sandbox.run402.files import IMMUTABLE, etag, file_answer
from tollkit.sandbox.run402.gateway import Call, Gateway, GatewayError, route

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from starlette.responses import Response

    from tollkit.sandbox.run402.callers import Callers
    from tollkit.sandbox.run402.gateway import Project

__all__ = ["Blob", "StorageRoutes"]

_SIGNED, _PUBLIC, _CDN, _FIXED = "/signed", "/blob", "/cdn", "_immutable"
_PAGE, _MOST = 100, 1000
_TTL, _LEAST_TTL, _MOST_TTL = 3600, 60, 604_800
_KEY_BYTES = 1024
_FRESH = "public, max-age=60"
_VERSION = "blob-gateway-v2"
_VANTAGE = "gateway-us-east-1"


@attrs.frozen(kw_only=True)
class Blob:
    """A blob as it is stored."""

    project_id: str
    key: str
    sha256: str
    size: int
    content_type: str
    visibility: Literal["public", "private"]
    immutable: bool
    created_at: float


@attrs.define
class _Stale:
    """What the CDN shows of a key that was written over."""

    former: Blob
    invalidation: str
    probes: int | None
    until: float | None

    def holds(self, now: float) -> bool:
        """Whether the CDN does not know of the change yet."""
        waits = self.probes is not None and self.probes > 0
        return waits or (self.until is not None and now < self.until)


class StorageRoutes:
    """Blobs of one gateway.

    Args:
        gateway: The gateway.
        store: Where content is.
        callers: Who calls, for uploads of deploys.

    Attributes:
        stale_probes: How many diagnoses after a change find the CDN with what it had before.
        stale_seconds: How long after a change the CDN has what it had before, by the sandbox's clock.
    """

    def __init__(self, gateway: Gateway, store: ContentStore, callers: Callers) -> None:
        self._gateway = gateway
        self._store = store
        self._callers = callers
        self._begin()

    def _begin(self) -> None:
        self.stale_probes: int = 0
        self.stale_seconds: float = 0.0
        self.blobs: dict[tuple[str, str], Blob] = {}
        self._versions: dict[tuple[str, str, str], Blob] = {}
        self._stale: dict[tuple[str, str], _Stale] = {}

    def forget(self) -> None:
        """Forget all blobs; the store forgets their content."""
        self._begin()

    def routes(self) -> list[Route]:
        """Its routes."""
        gateway = self._gateway
        complete = route(gateway, "POST", "/storage/v1/uploads/{upload_id}/complete", self._complete)
        return [
            route(gateway, "POST", "/storage/v1/uploads", self._create),
            after_assembly(self._store, complete, self._session_of),
            route(gateway, "GET", "/storage/v1/blobs", self._list),
            route(gateway, "GET", "/storage/v1/blobs/diagnose", self._diagnose),
            route(gateway, "POST", "/storage/v1/blob/{key:path}/sign", self._sign),
            route(gateway, "GET", "/storage/v1/blob/{key:path}", self._get),
            route(gateway, "DELETE", "/storage/v1/blob/{key:path}", self._remove),
            route(gateway, "GET", _SIGNED + "/{project_id}/{key:path}", self._signed),
            route(gateway, "GET", _PUBLIC + "/{project_id}/{key:path}", self._public),
            route(gateway, "GET", f"{_CDN}/{{project_id}}/{_FIXED}/{{suffix}}/{{key:path}}", self._cdn_fixed),
            route(gateway, "GET", _CDN + "/{project_id}/{key:path}", self._cdn),
        ]

    # ---------------------------------------------------------------- levers

    def put(
        self,
        project_id: str,
        key: str,
        data: bytes,
        *,
        content_type: str = "application/octet-stream",
        visibility: Literal["public", "private"] = "public",
        immutable: bool = True,
    ) -> Blob:
        """Store a blob without an upload."""
        with self._gateway.lock:
            sha256 = self._store.add(project_id, data)
            return self._keep(
                project_id,
                {"key": key, "content_type": content_type, "visibility": visibility, "immutable": immutable},
                sha256,
                len(data),
            )

    def freshen(self) -> None:
        """Let the CDN know of every change."""
        with self._gateway.lock:
            self._stale.clear()

    # ---------------------------------------------------------------- uploads

    def _create(self, call: Call) -> Any:
        project, _ = self._gateway.by_any_key(call.request)
        key = call.required("key")
        if len(key.encode()) > _KEY_BYTES or "\0" in key:
            raise _invalid("key", f"must be at most {_KEY_BYTES} bytes")
        size = call.whole("size_bytes")
        if not 0 <= size <= MOST_BYTES:
            raise _invalid("size_bytes", f"must be from 0 to {MOST_BYTES}")
        visibility = call.required("visibility")
        if visibility not in ("public", "private"):
            raise _invalid("visibility", "must be public or private")
        immutable = call.flag("immutable")
        sha256 = call.text("sha256", required=False)
        if sha256 is None and immutable:
            raise _invalid("sha256", "must be given for an immutable blob")
        if sha256 is not None and (len(sha256) != 64 or set(sha256) - set("0123456789abcdef")):
            raise _invalid("sha256", "must be 64 hex digits in lower case")
        content_type = call.required("content_type")
        session = self._store.open(
            project.id,
            size=size,
            sha256=sha256,
            content_type=content_type,
            blob={"key": key, "content_type": content_type, "visibility": visibility, "immutable": immutable},
        )
        told = {
            "upload_id": session.id,
            "mode": "multipart" if session.multipart else "single",
            "parts": self._store.parts(session),
            "part_count": len(session.ranges),
        }
        return json_answer(told, 201)

    def _session_of(self, path: Mapping[str, str]) -> Iterable[UploadSession]:
        session = self._store.sessions.get(path["upload_id"])
        return [] if session is None else [session]

    def _complete(self, call: Call) -> Any:
        session = self._store.sessions.get(call.path["upload_id"])
        if session is None:
            raise GatewayError(404, "UPLOAD_NOT_FOUND", "There is no such upload")
        if session.blob is None:
            self._callers.reader(call.request, session.project_id, ci=False)
        elif self._gateway.by_any_key(call.request)[0].id != session.project_id:
            raise GatewayError(404, "UPLOAD_NOT_FOUND", "The project has no such upload")
        repeated = session.completed
        whole = self._store.complete(session, _parts(call), etags=self._store.etags_required)
        if session.blob is None:
            return {"key": f"staging/{session.project_id}/{session.id}", "size_bytes": whole.size} | {
                "sha256": whole.sha256
            }
        if repeated:
            key = (session.project_id, str(session.blob["key"]))
            blob = self.blobs.get(key) or self._blob(session.project_id, session.blob, whole.sha256, whole.size)
        else:
            blob = self._keep(session.project_id, session.blob, whole.sha256, whole.size)
        return self._told(blob)

    def _blob(self, project_id: str, told: Mapping[str, Any], sha256: str, size: int) -> Blob:
        return Blob(
            project_id=project_id, sha256=sha256, size=size, created_at=self._gateway.clock.now(), **dict(told)
        )

    def _keep(self, project_id: str, told: Mapping[str, Any], sha256: str, size: int) -> Blob:
        blob = self._blob(project_id, told, sha256, size)
        at = (project_id, blob.key)
        former = self.blobs.get(at)
        self.blobs[at] = blob
        if blob.immutable:
            self._versions[project_id, sha256, blob.key] = blob
        self._gateway.store(project_id, size - (0 if former is None else former.size))
        if former is not None and former.sha256 != sha256:
            self._stale[at] = _Stale(
                former,
                self._gateway.new_id("inv_"),
                self.stale_probes or None,
                self._gateway.clock.now() + self.stale_seconds if self.stale_seconds else None,
            )
        return blob

    def _told(self, blob: Blob) -> dict[str, Any]:
        public = blob.visibility == "public"
        fixed = public and blob.immutable
        stale = self._stale.get((blob.project_id, blob.key))
        waits = stale is not None and stale.holds(self._gateway.clock.now())
        return {
            "key": blob.key,
            "size_bytes": blob.size,
            "sha256": blob.sha256 if blob.immutable else None,
            "visibility": blob.visibility,
            "content_type": blob.content_type,
            "immutable_suffix": _suffix(blob) if fixed else None,
            "etag": etag(blob.sha256),
            "url": self._url(f"{_PUBLIC}/{blob.project_id}/{quote(blob.key)}")
            if public
            else self._url(f"/storage/v1/blob/{quote(blob.key)}"),
            "immutable_url": self._url(self._fixed_path(blob)) if fixed else None,
            "cdn_url": self._url(f"{_CDN}/{blob.project_id}/{quote(blob.key)}") if public else None,
            "cdn_immutable_url": self._url(self._fixed_path(blob)) if fixed else None,
            "cdn": {
                "version": _VERSION,
                "invalidationId": None if stale is None else stale.invalidation,
                "invalidationStatus": None if stale is None else "InProgress" if waits else "Completed",
                "ready": fixed or not waits,
                "hint": None,
            },
        }

    def _url(self, path: str) -> str:
        return self._gateway.api_base + path

    def _fixed_path(self, blob: Blob) -> str:
        return f"{_CDN}/{blob.project_id}/{_FIXED}/{_suffix(blob)}/{quote(blob.key)}"

    # ---------------------------------------------------------------- with a key

    def _known(self, project_id: str, key: str) -> Blob:
        blob = self.blobs.get((project_id, key))
        if blob is None:
            raise GatewayError(404, "BLOB_NOT_FOUND", f"There is no blob {key!r}")
        return blob

    def _get(self, call: Call) -> Response:
        project, _ = self._gateway.by_any_key(call.request)
        return self._content(call, self._known(project.id, call.path["key"]))

    def _content(self, call: Call, blob: Blob, cache: str | None = None) -> Response:
        usual = IMMUTABLE if blob.immutable else _FRESH
        return file_answer(
            call.request,
            self._store.path(blob.sha256),
            blob.sha256,
            content_type=blob.content_type,
            cache=cache or ("private, no-store" if blob.visibility == "private" else usual),
        )

    def _remove(self, call: Call) -> Any:
        project, _ = self._gateway.by_any_key(call.request)
        blob = self._known(project.id, call.path["key"])
        del self.blobs[project.id, blob.key]
        self._gateway.store(project.id, -blob.size)
        return {"deleted": True}

    def _list(self, call: Call) -> Any:
        project, _ = self._gateway.by_any_key(call.request)
        text = call.query.get("limit") or str(_PAGE)
        if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= _MOST:
            raise _invalid("limit", f"must be a number from 1 to {_MOST}")
        prefix, cursor = call.query.get("prefix", ""), call.query.get("cursor")
        after = None if cursor is None else _decoded(cursor)
        keys = sorted(
            key
            for owner, key in self.blobs
            if owner == project.id and key.startswith(prefix) and (after is None or key > after)
        )
        page = keys[: int(text)]
        return {
            "blobs": [
                {
                    "key": blob.key,
                    "size_bytes": blob.size,
                    "content_type": blob.content_type,
                    "visibility": blob.visibility,
                    "created_at": iso(blob.created_at),
                }
                for blob in (self.blobs[project.id, key] for key in page)
            ],
            "next_cursor": page[-1].encode().hex() if len(keys) > len(page) else None,
        }

    def _sign(self, call: Call) -> Any:
        project, _ = self._gateway.by_any_key(call.request)
        blob = self._known(project.id, call.path["key"])
        ttl = call.whole("ttl_seconds") if "ttl_seconds" in call.body else _TTL
        if not _LEAST_TTL <= ttl <= _MOST_TTL:
            raise _invalid("ttl_seconds", f"must be from {_LEAST_TTL} to {_MOST_TTL}")
        path = f"{_SIGNED}/{project.id}/{quote(blob.key)}"
        told = {
            "signed_url": self._store.presigner.sign("GET", path, ttl),
            "expires_at": iso(self._gateway.clock.now() + ttl),
            "expires_in": ttl,
        }
        return json_answer(told, 201)

    # ---------------------------------------------------------------- without a key

    def _signed(self, call: Call) -> Response:
        path = quote(unquote(call.request.scope["path"]))
        refusal = self._store.presigner.refusal("GET", path, dict(call.query))
        if refusal is not None:
            word = "has expired" if refusal == "expired" else "is not signed by the gateway"
            raise GatewayError(403, "SIGNED_URL_INVALID", f"The address {word}")
        return self._content(call, self._known(call.path["project_id"], call.path["key"]), "private, no-store")

    def _shown(self, call: Call) -> Blob:
        blob = self._known(call.path["project_id"], call.path["key"])
        if blob.visibility == "private":
            raise GatewayError(403, "UNAUTHORIZED", "The blob is private")
        return blob

    def _public(self, call: Call) -> Response:
        return self._content(call, self._shown(call), _FRESH)

    def _cdn(self, call: Call) -> Response:
        blob = self._shown(call)
        stale = self._stale.get((blob.project_id, blob.key))
        waits = stale is not None and stale.holds(self._gateway.clock.now())
        return self._content(call, stale.former if stale is not None and waits else blob, _FRESH)

    def _cdn_fixed(self, call: Call) -> Response:
        # what was immutable once stays, also when the key shows something else or nothing
        for (project_id, _, key), blob in self._versions.items():
            at = (call.path["project_id"], call.path["key"], call.path["suffix"])
            if (project_id, key, _suffix(blob)) == at:
                return self._content(call, blob)
        raise GatewayError(404, "BLOB_NOT_FOUND", "There is no such blob")

    # ---------------------------------------------------------------- the CDN

    def _diagnose(self, call: Call) -> Any:
        project, _ = self._gateway.by_any_key(call.request)
        url = call.query.get("url") or ""
        blob, fixed = self._at(project, url)
        stale = None if fixed else self._stale.get((blob.project_id, blob.key))
        now = self._gateway.clock.now()
        waits = stale is not None and stale.holds(now)
        if stale is not None and stale.probes:
            stale.probes -= 1
        observed = stale.former if stale is not None and waits else blob
        kind = "private" if blob.visibility == "private" else "immutable" if fixed else "mutable"
        return {
            "projectId": project.id,
            "key": blob.key,
            "expectedSha256": blob.sha256,
            "observedSha256": observed.sha256,
            "vantage": _VANTAGE,
            "probeMethod": "GET_RANGE_0_0",
            "acceptEncoding": "identity",
            "observedAt": iso(now),
            "probeMayHaveWarmedCache": True,
            "canonicalUrl": url,
            "pathKind": "blob-immutable" if fixed else "blob-mutable",
            "cache": {
                "xCache": "Hit from cloudfront" if waits else "Miss from cloudfront",
                "ageSeconds": max(0, int(now - observed.created_at)),
                "cacheKind": kind,
            },
            "invalidation": {
                "id": None if stale is None else stale.invalidation,
                "status": None if stale is None else "InProgress" if waits else "Completed",
            },
            "hint": "The CDN still has the former version." if waits else "The CDN has the current version.",
        }

    def _at(self, project: Project, url: str) -> tuple[Blob, bool]:
        """The blob behind an address, and whether it is an immutable one."""
        base = urlsplit(self._gateway.api_base)
        told = urlsplit(url)
        pieces = told.path.removeprefix(base.path).split("/")
        if told.netloc != base.netloc or len(pieces) < 4 or f"/{pieces[1]}" not in (_PUBLIC, _CDN):
            raise _invalid("url", "must be the address of a blob")
        if pieces[2] != project.id:
            raise GatewayError(403, "UNAUTHORIZED", "The address is of another project")
        fixed = pieces[3] == _FIXED and len(pieces) > 5
        key = unquote("/".join(pieces[5:] if fixed else pieces[3:]))
        return self._known(project.id, key), fixed


def _suffix(blob: Blob) -> str:
    return blob.sha256[:16]


def _decoded(cursor: str) -> str:
    try:
        return bytes.fromhex(cursor).decode()
    except ValueError:
        raise _invalid("cursor", "must be one that was answered") from None


def _parts(call: Call) -> Sequence[Mapping[str, Any]] | None:
    parts = call.body.get("parts") if call.content else None
    if parts is None:
        return None
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in cast("list[object]", parts)):
        raise _invalid("parts", "must be a list of parts")
    return cast("list[dict[str, Any]]", parts)


def _invalid(name: str, message: str) -> GatewayError:
    return GatewayError(400, "VALIDATION_ERROR", f"{name} {message}", details={"field": name})
