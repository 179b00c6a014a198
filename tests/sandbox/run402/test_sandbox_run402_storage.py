"""Blobs of the sandboxed Run402: uploads, ranges, pages, signed addresses, the CDN."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from run402_caller import Caller
from run402_deploys import Deployer, ok, sha256

from tollkit.sandbox import Run402Sandbox, Sandbox

TEXT = b"0123456789"


@pytest.fixture
def at(caller: Caller) -> Deployer:
    return Deployer(caller)


def send(at: Deployer, method: str, path: str, **options: Any) -> httpx.Response:
    key = at.project.anon_key
    return at.caller.send(method, f"/storage/v1{path}", key=key, apikey=key, **options)


def asked(key: str, data: bytes, *, immutable: bool = True, **changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "key": key,
        "size_bytes": len(data),
        "content_type": "text/plain",
        "visibility": "public",
        "immutable": immutable,
        **changes,
    }
    return {**body, "sha256": sha256(data)} if immutable else body


def put(at: Deployer, key: str, data: bytes, **changes: Any) -> dict[str, Any]:
    upload = ok(send(at, "POST", "/uploads", json=asked(key, data, **changes)))
    parts = []
    for part in upload["parts"]:
        answer = at.put(part, data)
        assert answer.status_code == 200, answer.text
        parts.append({"part_number": part["part_number"], "etag": answer.headers["etag"]})
    body = {"parts": parts} if upload["mode"] == "multipart" else {}
    return ok(send(at, "POST", f"/uploads/{upload['upload_id']}/complete", json=body))


def test_a_blob_is_put_and_served_everywhere(at: Deployer, run402_sandbox: Run402Sandbox) -> None:
    told = put(at, "a b/ü.txt", TEXT)
    assert (told["sha256"], told["size_bytes"], told["etag"]) == (sha256(TEXT), 10, f'"sha256-{sha256(TEXT)}"')
    for name in ("url", "immutable_url", "cdn_url", "cdn_immutable_url"):
        answer = at.caller.http.get(told[name])
        assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, TEXT, "text/plain")
    assert "immutable" in at.caller.http.get(told["immutable_url"]).headers["cache-control"]
    assert told["cdn"]["ready"] is True
    assert send(at, "GET", "/blob/a%20b/%C3%BC.txt").content == TEXT
    assert run402_sandbox.project(at.project.id).storage_bytes == 10
    assert send(at, "DELETE", "/blob/a%20b/%C3%BC.txt").json() == {"deleted": True}
    assert send(at, "GET", "/blob/a%20b/%C3%BC.txt").status_code == 404
    assert at.caller.http.get(told["url"]).status_code == 404
    assert at.caller.http.get(told["cdn_immutable_url"]).content == TEXT
    assert at.caller.http.get(told["cdn_immutable_url"].replace("_immutable/", "_immutable/0")).status_code == 404


def test_parts_of_a_blob(at: Deployer) -> None:
    at.deploys.set_uploads(multipart_above=4, part_size=3)
    assert put(at, "k", TEXT)["sha256"] == sha256(TEXT)
    assert send(at, "GET", "/blob/k").content == TEXT


def test_ranges(at: Deployer) -> None:
    put(at, "k", TEXT)
    tag = send(at, "GET", "/blob/k").headers["etag"]

    def ranged(**headers: str) -> httpx.Response:
        return send(at, "GET", "/blob/k", headers={name.replace("_", "-"): value for name, value in headers.items()})

    part = ranged(range="bytes=3-5")
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"345", "bytes 3-5/10")
    assert ranged(range="bytes=7-").content == b"789"
    assert ranged(range="bytes=-2").content == b"89"
    assert ranged(range="bytes=3-5", if_range=tag).status_code == 206
    assert ranged(range="bytes=3-5", if_range='"sha256-other"').content == TEXT
    assert ranged(range="bytes=99-").status_code == 416
    assert ranged(if_none_match=tag).status_code == 304
    head = send(at, "HEAD", "/blob/k")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "10", b"")


def test_pages_of_the_list(at: Deployer, run402_sandbox: Run402Sandbox) -> None:
    for name in ("b/1", "a/3", "a/1", "a/2"):
        run402_sandbox.storage.put(at.project.id, name, b"x")
    run402_sandbox.storage.put(run402_sandbox.seed_project().id, "a/9", b"x")
    first = ok(send(at, "GET", "/blobs?prefix=a/&limit=2"))
    assert [one["key"] for one in first["blobs"]] == ["a/1", "a/2"]
    rest = ok(send(at, "GET", f"/blobs?prefix=a/&limit=2&cursor={first['next_cursor']}"))
    assert ([one["key"] for one in rest["blobs"]], rest["next_cursor"]) == (["a/3"], None)
    assert len(ok(send(at, "GET", "/blobs"))["blobs"]) == 4
    for wrong in ("limit=0", "limit=1001", "limit=x", "cursor=xyz"):
        assert send(at, "GET", f"/blobs?{wrong}").status_code == 400


def test_a_signed_address_works_until_it_ends(at: Deployer, tollkit_sandbox: Sandbox) -> None:
    put(at, "a/ü", TEXT, visibility="private")
    told = ok(send(at, "POST", "/blob/a/%C3%BC/sign", json={"ttl_seconds": 60}))
    url = told["signed_url"]
    assert told["expires_in"] == 60
    assert at.caller.http.get(url).content == TEXT
    assert at.caller.http.get(url, headers={"range": "bytes=0-0"}).status_code == 206
    assert at.caller.http.get(url.replace("serial=", "serial=1")).status_code == 403
    tollkit_sandbox.clock.advance(61)
    assert at.caller.http.get(url).status_code == 403
    assert ok(send(at, "POST", "/blob/a/%C3%BC/sign", json={}))["expires_in"] == 3600
    for ttl in (59, 604_801, "x"):
        assert send(at, "POST", "/blob/a/%C3%BC/sign", json={"ttl_seconds": ttl}).status_code == 400


def test_a_private_blob_has_no_public_address(at: Deployer) -> None:
    told = put(at, "k", TEXT, visibility="private")
    assert (told["immutable_url"], told["cdn_url"]) == (None, None)
    assert at.caller.http.get(told["url"]).status_code == 401
    public = f"/blob/{at.project.id}/k"
    assert at.caller.get(public).status_code == 403
    assert "no-store" in send(at, "GET", "/blob/k").headers["cache-control"]


def test_the_cdn_is_stale_for_some_diagnoses(at: Deployer, run402_sandbox: Run402Sandbox) -> None:
    run402_sandbox.storage.stale_probes = 2
    first = put(at, "k", b"one", immutable=False)
    assert (first["sha256"], first["cdn"]["invalidationStatus"]) == (None, None)
    second = put(at, "k", b"two", immutable=False)
    assert (second["cdn"]["invalidationStatus"], second["cdn"]["ready"]) == ("InProgress", False)
    assert at.caller.http.get(second["cdn_url"]).content == b"one"
    assert at.caller.http.get(second["url"]).content == b"two"
    seen = [ok(send(at, "GET", f"/blobs/diagnose?url={second['cdn_url']}"))["observedSha256"] for _ in range(3)]
    assert seen == [sha256(b"one"), sha256(b"one"), sha256(b"two")]
    assert at.caller.http.get(second["cdn_url"]).content == b"two"


def test_the_cdn_is_stale_for_a_time(at: Deployer, run402_sandbox: Run402Sandbox, tollkit_sandbox: Sandbox) -> None:
    run402_sandbox.storage.stale_seconds = 30
    put(at, "k", b"one")
    told = put(at, "k", b"two")
    diagnosis = ok(send(at, "GET", f"/blobs/diagnose?url={told['cdn_url']}"))
    assert (diagnosis["observedSha256"], diagnosis["invalidation"]["status"]) == (sha256(b"one"), "InProgress")
    fixed = ok(send(at, "GET", f"/blobs/diagnose?url={told['cdn_immutable_url']}"))
    assert (fixed["observedSha256"], fixed["pathKind"]) == (sha256(b"two"), "blob-immutable")
    tollkit_sandbox.clock.advance(31)
    diagnosis = ok(send(at, "GET", f"/blobs/diagnose?url={told['cdn_url']}"))
    assert (diagnosis["observedSha256"], diagnosis["invalidation"]["status"]) == (sha256(b"two"), "Completed")
    put(at, "k", b"three")
    run402_sandbox.storage.freshen()
    assert at.caller.http.get(told["cdn_url"]).content == b"three"


def test_diagnoses_are_of_ones_own_blobs(at: Deployer, run402_sandbox: Run402Sandbox) -> None:
    run402_sandbox.storage.put(at.project.id, "k", b"x")
    base = run402_sandbox.api_base
    other = run402_sandbox.seed_project()
    assert send(at, "GET", f"/blobs/diagnose?url={base}/cdn/{other.id}/k").status_code == 403
    assert send(at, "GET", f"/blobs/diagnose?url={base}/cdn/{at.project.id}/no").status_code == 404
    for wrong in ("", "https://x.test/cdn/a/b", f"{base}/other/{at.project.id}/k"):
        assert send(at, "GET", f"/blobs/diagnose?url={wrong}").status_code == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"key": ""},
        {"key": "x" * 1025},
        {"size_bytes": -1},
        {"size_bytes": "1"},
        {"visibility": "hidden"},
        {"immutable": "yes"},
        {"content_type": 1},
        {"sha256": "x"},
        {"sha256": None},
    ],
)
def test_wrong_uploads_are_refused(at: Deployer, changes: dict[str, Any]) -> None:
    assert send(at, "POST", "/uploads", json={**asked("k", TEXT), **changes}).status_code == 400


def test_completions_are_checked(at: Deployer) -> None:
    assert send(at, "POST", "/uploads/upl_no/complete", json={}).status_code == 404
    upload = ok(send(at, "POST", "/uploads", json=asked("k", TEXT)))
    path = f"/uploads/{upload['upload_id']}/complete"
    assert send(at, "POST", path, json={}).status_code == 409
    assert send(Deployer(at.caller), "POST", path, json={}).status_code == 404
    at.put(upload["parts"][0], TEXT)
    assert send(at, "POST", path, json={"parts": "all"}).status_code == 400
    first = ok(send(at, "POST", path, json={}))
    assert ok(send(at, "POST", path, json={})) == first
    assert at.caller.post(f"/storage/v1{path}", json={}).status_code == 401
