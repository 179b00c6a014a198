"""The levers over HTTP."""

from __future__ import annotations

from operator import attrgetter

import httpx
import pytest
from sandbox_caller import Caller

from tollkit.sandbox import Sandbox
from tollkit.sandbox.control import LEVERS


class Remote:
    """Another process, as it were."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def get(self, path: str = "") -> object:
        return self.http.get(f"/__sandbox__/{path}").raise_for_status().json()["result"]

    def post(self, path: str, body: object = None) -> object:
        answer = self.http.post(f"/__sandbox__/{path}", json=body if body is not None else {})
        return answer.raise_for_status().json()["result"]

    def delete(self, path: str) -> object:
        return self.http.delete(f"/__sandbox__/{path}").raise_for_status().json()["result"]


@pytest.fixture
def remote(caller: Caller) -> Remote:
    return Remote(caller.http)


def test_a_whole_test_driven_from_outside(remote: Remote, caller: Caller, sandbox: Sandbox) -> None:
    front = remote.get()
    assert front["url"] == sandbox.url
    assert front["env"] == sandbox.env()
    alice = remote.post("pymthouse/seed_user", {"external_user_id": "alice", "email": "a@example.com"})
    assert alice["status"] == "active"
    remote.post(
        "pymthouse/seed_usage", {"rows": [{"user": alice["id"], "at": "2026-05-28T10:00:00Z"}, {"user": None}]}
    )
    assert [row["externalUserId"] for row in caller.get("/usage?groupBy=user").json()["byUser"]] == ["alice", None]
    started = caller.start_device()
    remote.post("pymthouse/approve_device", {"user_code": started["user_code"], "external_user_id": "alice"})
    assert caller.poll(started["device_code"]).status_code == 200
    remote.post("faults", {"kind": "status", "match": "*/usage", "status": 503})
    remote.post("faults", [{"kind": "reset"}, {"kind": "latency", "seconds": 1}])
    assert [fault["kind"] for fault in remote.get("faults")] == ["status", "reset", "latency"]
    remote.delete("faults")
    assert remote.get("faults") == []
    paths = [entry["path"] for entry in remote.get("requests")]
    assert paths == [caller.path("/usage"), "/api/v1/oidc/device/auth", "/api/v1/oidc/token"]
    remote.delete("requests")
    assert remote.get("requests") == []
    remote.post("reset")
    assert caller.get("/users").json() == {"users": []}


def test_the_clock(remote: Remote, sandbox: Sandbox) -> None:
    assert remote.post("clock", {"freeze": True, "set": 0}) == "1970-01-01T00:00:00.000Z"
    assert remote.post("clock", {"advance": 61.5}) == "1970-01-01T00:01:01.500Z"
    assert remote.get("clock") == "1970-01-01T00:01:01.500Z"
    assert str(remote.post("clock", {"reset": True})) > "2026"


def test_more_tenants(remote: Remote, caller: Caller) -> None:
    app = remote.post("pymthouse/create_app", {"name": "B", "billing": "app_level"})
    assert set(app) >= {"public_client_id", "m2m_client_id", "m2m_client_secret"}
    assert "users" not in app
    remote.post("pymthouse/seed_user", {"external_user_id": "u", "app": app["public_client_id"]})
    answer = caller.http.post(
        f"/api/v1/apps/{app['public_client_id']}/users/u/token",
        auth=(app["m2m_client_id"], app["m2m_client_secret"]),
    )
    assert answer.json()["error"] == "invalid_request"
    assert remote.post("pymthouse/set_signer_running", {"running": True}) is None
    assert caller.http.get("/api/v1/health").json()["signer"]["reachable"] is True
    assert str(remote.post("pymthouse/rotate_keys"))


@pytest.mark.parametrize(
    ("method", "path", "body", "told"),
    [
        ("POST", "faults", {"kind": "explosion"}, "kind"),
        ("POST", "faults", "latency", "JSON object"),
        ("POST", "clock", {"jump": 1}, "clock knows advance"),
        ("POST", "clock", 1, "JSON object"),
        ("POST", "pymthouse/reset", {}, "has no POST /__sandbox__/pymthouse/reset"),
        ("POST", "pymthouse/seed_user", {}, "external_user_id"),
        ("POST", "pymthouse/approve_device", {"user_code": "nope"}, "nope"),
        ("POST", "pymthouse/record", {"at": "2026-05-28T10:00:00"}, "zone"),
        ("PUT", "clock", {}, "has no PUT"),
        ("GET", "nowhere", None, "has no GET"),
    ],
)
def test_calls_that_make_no_sense(caller: Caller, method: str, path: str, body: object, told: str) -> None:
    answer = caller.http.request(method, f"/__sandbox__/{path}", json=body)
    assert answer.status_code == 400
    assert told in answer.json()["error"]


def test_a_page_in_a_browser_cannot_drive_it(caller: Caller) -> None:
    rebound = caller.http.get("/__sandbox__/", headers={"Host": "evil.example"})
    assert rebound.status_code == 403
    form = caller.http.post("/__sandbox__/reset", content=b"{}", headers={"Content-Type": "text/plain"})
    assert form.status_code == 400
    assert caller.http.get("/__sandbox__/", headers={"Host": "sandbox.localhost:80"}).status_code == 200
    # a page that was deployed to the sandbox has its origin
    for told in ({"Origin": str(caller.http.base_url)}, {"Sec-Fetch-Site": "same-origin"}):
        assert caller.http.post("/__sandbox__/reset", json={}, headers=told).status_code == 403
    assert caller.http.get("/__sandbox__/", headers={"Sec-Fetch-Site": "none"}).status_code == 200
    assert (
        caller.http.post("/__sandbox__/reset", content=b"{", headers={"Content-Type": "application/json"}).status_code
        == 400
    )


def test_levers_are_neither_logged_nor_harmed(remote: Remote, sandbox: Sandbox) -> None:
    remote.post("faults", {"kind": "status", "times": None})
    assert remote.get("requests") == []
    assert len(sandbox.requests) == 0


def test_the_levers_of_run402(remote: Remote, sandbox: Sandbox) -> None:
    project = remote.post("run402/seed_project", {"name": "shop"})
    run402 = {"project_id": project["id"]}
    told = remote.post("run402.data/run", {**run402, "sql": "select 1 as one"})
    assert told["rows"] == [{"one": 1}]
    remote.post("run402.functions/answer_with", {**run402, "name": "hello", "body": {"ok": True}, "status": 201})
    key = {"Authorization": f"Bearer {project['service_key']}"}
    api = sandbox.run402.api_base
    assert remote.http.get(f"{api}/functions/v1/hello", headers={"apikey": project["service_key"]}).status_code == 404
    box = remote.http.post(f"{api}/mailboxes/v1", headers=key, json={"slug": "shop", **run402}).json()["mailbox_id"]
    remote.post("run402.mail/limit_sends", {"limit": 1})
    mail = {"to": "ada@example.com", "subject": "Hi", "html": "<p>Hi</p>"}
    sent = remote.http.post(f"{api}/mailboxes/v1/{box}/messages", headers=key, json=mail)
    assert sent.status_code == 201
    assert remote.http.post(f"{api}/mailboxes/v1/{box}/messages", headers=key, json=mail).status_code == 429
    reply = {
        "mailbox_id": box,
        "sender": "ada@example.com",
        "text": "Hello",
        "in_reply_to": sent.json()["message_id"],
    }
    message, calls = remote.post("run402.mail/receive", reply)
    assert (message["text"], message["raw"].partition("\r\n")[0], calls) == ("Hello", "From: ada@example.com", [])
    assert remote.post("run402.mail/mark", {"message_id": sent.json()["message_id"], "status": "bounced"}) == []
    assert [one["status"] for one in remote.post("run402.mail/messages")] == ["bounced", "received"]
    remote.post("run402.functions/log", {**run402, "name": "hello", "message": "started"})
    remote.post("run402.ai/set_pack", {**run402, "included_words": 1})
    long = remote.http.post(f"{api}/ai/v1/translate", headers=key, json={"text": "two words", "to": "de"})
    assert long.status_code == 402
    remote.http.post(f"{api}/email/v1/domains", headers=key, json={"domain": "shop.example"})
    remote.post("run402.names/activate", {"domain": "shop.example"})
    assert remote.http.get(f"{api}/email/v1/domains", headers=key).json()["status"] == "verified"


def test_each_lever_is_there(sandbox: Sandbox) -> None:
    for area, levers in LEVERS.items():
        for lever in levers:
            assert callable(attrgetter(f"{area}.{lever}")(sandbox)), lever


@pytest.mark.parametrize(
    ("lever", "body", "told"),
    [
        ("run402.mail/receive", {"mailbox_id": "nope", "sender": "a@b.example"}, "no mailbox 'nope'"),
        ("run402.data/run", {"project_id": "prj_nope", "sql": "select 1"}, "Project not found"),
        ("run402.data/run", {"project_id": "PRJ", "sql": "selec"}, "prj_"),
        ("run402.contracts/fail", {"call_id": "nope"}, "no contract call"),
        ("run402.names/activate", {"domain": "nope"}, "no domain"),
        ("run402.mail/routes", {}, "has no POST"),
        ("run402/mail.receive", {}, "has no POST"),
    ],
)
def test_levers_that_do_not_move(caller: Caller, lever: str, body: object, told: str) -> None:
    answer = caller.http.post(f"/__sandbox__/{lever}", json=body)
    assert answer.status_code == 400
    assert told in answer.json()["error"]
