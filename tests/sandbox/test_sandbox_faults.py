"""The faults, over real sockets."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest
from sandbox_caller import Caller

from tollkit.sandbox import Fault, PymtHouseSandbox, Sandbox


@contextlib.contextmanager
def connection(sandbox: Sandbox) -> Iterator[socket.socket]:
    host, port = sandbox.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        yield raw


def everything(raw: socket.socket) -> bytes:
    received = b""
    while chunk := raw.recv(65536):
        received += chunk
    return received


HEAD = b"GET /api/v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.mark.parametrize("when", ["before", "after_read", "after_processing"])
def test_reset_is_a_reset_on_the_wire(sandbox: Sandbox, when: str) -> None:
    sandbox.faults.add(Fault(kind="reset", when=when))
    with connection(sandbox) as raw:
        raw.sendall(HEAD)
        with pytest.raises(ConnectionResetError):
            everything(raw)
    assert [(entry.status, entry.faults) for entry in sandbox.requests] == [(None, ("reset",))]


@pytest.mark.parametrize(("when", "created"), [("before", False), ("after_read", False), ("after_processing", True)])
def test_reset_says_whether_the_server_acted(sandbox: Sandbox, caller: Caller, when: str, created: bool) -> None:
    sandbox.faults.add(Fault(kind="reset", match="POST */users", when=when))
    with pytest.raises(httpx.TransportError):
        caller.post("/users", json={"externalUserId": "alice"})
    names = [user["externalUserId"] for user in caller.get("/users").json()["users"]]
    assert names == (["alice"] if created else [])
    assert sandbox.requests.count("POST */users") == 1
    assert caller.post("/users", json={"externalUserId": "alice"}).status_code == (200 if created else 201)


def test_reset_before_leaves_the_body_unread(sandbox: Sandbox) -> None:
    """The client is still sending when the connection goes."""
    sandbox.faults.add(Fault(kind="reset", when="before"))
    with connection(sandbox) as raw:
        raw.sendall(b"POST /api/v1/oidc/token HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            everything(raw)


def test_half_answer(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(kind="half_answer"))
    with connection(sandbox) as raw:
        raw.sendall(HEAD)
        head, _, body = everything(raw).partition(b"\r\n\r\n")
    lengths = [line.split(b": ")[1] for line in head.split(b"\r\n") if line.startswith(b"content-length")]
    assert len(lengths) == 1
    assert int(lengths[0]) > len(body) > 0
    sandbox.faults.add(Fault(kind="half_answer"))
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{sandbox.url}/api/v1/health")


def test_latency_passes_on_to_the_answer(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.faults.add(Fault(kind="latency", seconds=30, match="*/health"))
    with pytest.raises(httpx.ReadTimeout):
        caller.http.get("/api/v1/health", timeout=0.1)
    sandbox.faults.add(
        Fault(kind="latency", seconds=0.001), Fault(kind="status", status=503, headers={"X-Why": "maintenance"})
    )
    answer = caller.http.get("/api/v1/health")
    assert (answer.status_code, answer.headers["x-why"]) == (503, "maintenance")
    assert sandbox.requests[-1].faults == ("latency", "status")


def test_429_with_retry_after_in_seconds_and_as_a_date(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.clock.freeze()
    sandbox.clock.set(datetime(2026, 5, 28, 12, tzinfo=UTC))
    sandbox.faults.add(
        Fault(kind="status", status=429, retry_after=2),
        Fault(kind="status", status=429, retry_after=90, retry_after_form="date", body={"error": "slow"}),
    )
    assert caller.get("/usage").headers["retry-after"] == "2"
    answer = caller.get("/usage")
    assert parsedate_to_datetime(answer.headers["retry-after"]) == sandbox.clock.utcnow() + timedelta(seconds=90)
    assert parsedate_to_datetime(answer.headers["date"]) == sandbox.clock.utcnow()
    assert answer.json() == {"error": "slow"}
    assert caller.get("/usage").status_code == 200


def test_empty_500_text_and_html_pages(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.faults.add(
        Fault(kind="status"),
        Fault(kind="status", status=502, body="bad gateway", headers={"Content-Type": "text/plain"}),
        Fault(kind="html", status=404),
        Fault(kind="html", status=502, retry_after=1),
        Fault(kind="html", status=599),
    )
    first, second, third, fourth, fifth = (caller.get("/usage") for _ in range(5))
    assert (first.status_code, first.content, first.headers.get("content-type")) == (500, b"", None)
    assert (second.text, second.headers["content-type"]) == ("bad gateway", "text/plain")
    assert third.headers["content-type"].startswith("text/html")
    assert "Not Found" in third.text
    assert (fourth.status_code, fourth.headers["retry-after"]) == (502, "1")
    assert fifth.status_code == 599


def test_status_after_processing_has_acted(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.faults.add(Fault(kind="status", status=502, match="POST */users", when="after_processing"))
    assert caller.post("/users", json={"externalUserId": "alice"}).status_code == 502
    assert caller.post("/users", json={"externalUserId": "alice"}).status_code == 200


def test_spoiled_bodies(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.faults.add(
        Fault(kind="content_type"),
        Fault(kind="truncated_json"),
        Fault(kind="huge_body", size=3_000_000),
        Fault(kind="huge_body", size=10, match="*/nowhere"),
    )
    wrong_type = caller.get("/usage")
    assert wrong_type.headers["content-type"] == "text/html; charset=utf-8"
    assert wrong_type.json()["clientId"] == caller.platform.public_client_id
    with pytest.raises(json.JSONDecodeError):
        caller.get("/usage").json()
    huge = caller.get("/usage")
    assert len(huge.content) > 3_000_000
    assert huge.json() == {**wrong_type.json(), "padding": "x" * 3_000_000}
    assert caller.http.get("/nowhere").json() == {"padding": "x" * 10}


def test_expired_tokens(sandbox: Sandbox, caller: Caller, platform: PymtHouseSandbox) -> None:
    platform.seed_user("alice")
    sandbox.faults.add(
        Fault(kind="expired_token", match="*/token"), Fault(kind="expired_token", match="*/oidc/token")
    )
    stale = caller.mint().json()["access_token"]
    assert caller.exchange(stale).json()["error"] == "invalid_grant"
    fresh = caller.mint().json()["access_token"]
    assert caller.exchange(fresh).status_code == 200
    sandbox.faults.add(Fault(kind="expired_token", match="*/oidc/token"))
    session = caller.exchange(fresh).json()["access_token"]
    answer = caller.http.post("/api/signer/sign-byoc-job", headers={"Authorization": f"Bearer {session}"})
    assert answer.status_code == 401


def test_rotated_key(sandbox: Sandbox, caller: Caller, platform: PymtHouseSandbox) -> None:
    platform.seed_user("alice")
    token = caller.mint().json()["access_token"]
    (before,) = [key["kid"] for key in caller.http.get("/api/v1/oidc/jwks").json()["keys"]]
    sandbox.faults.add(Fault(kind="rotated_key", match="*/jwks", keep_old=True))
    kept = [key["kid"] for key in caller.http.get("/api/v1/oidc/jwks").json()["keys"]]
    assert len(kept) == 2
    assert kept[1] == before
    assert caller.exchange(token).status_code == 200
    sandbox.faults.add(Fault(kind="rotated_key", match="*/jwks"))
    assert len(caller.http.get("/api/v1/oidc/jwks").json()["keys"]) == 1
    assert caller.exchange(token).json()["error"] == "invalid_grant"


def test_slow_down_hits_polls_alone(sandbox: Sandbox, caller: Caller) -> None:
    started = caller.start_device()
    sandbox.faults.add(Fault(kind="slow_down", times=2))
    assert caller.token(grant_type="client_credentials").status_code == 200
    answers = [caller.poll(started["device_code"]) for _ in range(3)]
    assert [answer.json()["error"] for answer in answers] == ["slow_down", "slow_down", "authorization_pending"]
    assert [answer.status_code for answer in answers] == [400] * 3


def test_where_skip_and_times(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.faults.add(Fault(kind="status", match="POST */oidc/token", where={"scope": "sign:*"}, skip=1, times=None))
    scopes = ["users:read", "sign:job", "sign:job", "users:read", "sign:job"]
    statuses = [caller.token(grant_type="client_credentials", scope=scope).status_code for scope in scopes]
    assert statuses == [200, 200, 500, 200, 500]
    assert [fault.kind for fault in sandbox.faults] == ["status"]
    sandbox.faults.clear()
    assert len(sandbox.faults) == 0


def test_fields_of_the_query_count_too(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.faults.add(Fault(kind="status", where={"groupBy": "user"}))
    assert caller.get("/usage").status_code == 200
    assert caller.get("/usage", params={"groupBy": "user"}).status_code == 500


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="kind"):
        Fault(kind="explosion")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="when"):
        Fault(kind="reset", when="later")  # type: ignore[arg-type]


def test_stopping_does_not_wait_out_a_latency() -> None:
    sandbox = Sandbox().start()
    sandbox.faults.add(Fault(kind="latency", seconds=3600))
    statuses: list[int] = []
    with httpx.Client(base_url=sandbox.url) as http:
        asked = threading.Thread(target=lambda: statuses.append(http.get("/api/v1/health").status_code))
        asked.start()
        while len(sandbox.faults):
            pass
        sandbox.stop()
        asked.join()
    assert statuses == [200]
