"""What all namespaces share: errors in the platform's words, credentials by the operation, the surface."""

from __future__ import annotations

import base64
import json
import re
from operator import attrgetter
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.run402 import RecordingCredentials, Side
from support.scripted_http import Reply
from tollkit.errors import ArgumentError, InsecureTransportError, NotFoundError, RateLimitError
from tollkit.run402.ci.credentials import CiSessionCredentials
from tollkit.run402.client import AsyncRun402, Run402
from tollkit.run402.errors import (
    ApiError,
    LocalError,
    NetworkError,
    PaymentRequired,
    ProjectNotFound,
    Run402Error,
    Unauthorized,
    is_local_error,
)
from tollkit.run402.siwx import HEADER

DATA = json.loads(Path(__file__).with_name("data").joinpath("kernel-1.57.0.json").read_text("utf-8"))
JSON = "application/json"
ABSENT = {"resolve_mailbox", "list_mailboxes", "bundle_deploy"}
"""Private methods that the reflection saw and no sheet tells of; and one that stands on deploys, which come later."""
LATER = {"deploy", "ci", "sites", "blobs"}
KINDS = {kind.__name__: kind for kind in (ApiError, PaymentRequired, Unauthorized)}


@pytest.mark.parametrize("case", DATA["kernel_messages"], ids=lambda case: case["name"])
def test_messages_of_the_platforms_client(side: Side, case: dict[str, Any]) -> None:
    reply = Reply(case["http_status"], {"content-type": case["content_type"]}, json.dumps(case["body"]).encode())
    error = side.play([reply]).raises(KINDS[case["class"]], "tier.status")
    assert (error.message, error.code, error.body) == (case["message"], case["code"], case["body_on_error"])


@pytest.mark.parametrize(
    ("status", "kind", "content", "body", "message"),
    [
        (402, PaymentRequired, JSON, b'{"message":"Pay","error":"x"}', "Pay while checking tier status"),
        (402, PaymentRequired, JSON, b"[]", "Payment required while checking tier status"),
        (403, Unauthorized, JSON, b'{"error":"no"}', "no while checking tier status (HTTP 403)"),
        (404, ApiError, JSON, b'{"message":""}', "API error while checking tier status (HTTP 404)"),
        (404, ApiError, JSON, b"{", "API error while checking tier status (HTTP 404)"),
        (500, ApiError, "text/html", b"<h1>x</h1>", "API error while checking tier status (HTTP 500)"),
        (
            429,
            ApiError,
            "application/problem+json",
            b'{"error":"x"}',
            "API error while checking tier status (HTTP 429)",
        ),
        (409, ApiError, JSON, b'{"error":{"message":"deep"}}', "API error while checking tier status (HTTP 409)"),
    ],
)
def test_what_is_displayed(
    side: Side, status: int, kind: type[Run402Error], content: str, body: bytes, message: str
) -> None:
    reply = Reply(status, {"content-type": content}, body)
    error = side.play([reply], max_retries=0).raises(kind, "tier.status")
    assert (error.message, error.status, error.doing) == (message, status, "checking tier status")
    assert isinstance(error.body, str) == (content != JSON)


def test_errors_are_of_both_trees(side: Side) -> None:
    reply = Reply.json({"message": "gone", "code": "NO_TIER", "retryable": True, "trace_id": "t1"}, 404)
    error = side.play([reply]).raises(NotFoundError, "tier.status")
    assert isinstance(error, ApiError)
    assert (error.code, error.retryable, error.trace_id, error.kind) == ("NO_TIER", True, "t1", "api_error")
    assert isinstance(side.play([Reply(429)], max_retries=0).raises(RateLimitError, "tier.status"), ApiError)


def test_no_answer(side: Side) -> None:
    error = side.play([httpx.ReadError("gone")], max_retries=0).raises(NetworkError, "tier.status")
    assert error.message.startswith("Network error while checking tier status: ")
    assert (error.kind, error.code, error.status, error.retryable) == ("network_error", "NETWORK_ERROR", None, True)


def test_every_2xx_is_a_success(side: Side) -> None:
    play = side.play([Reply(207, {"content-type": JSON}, b'{"status":"ok"}'), Reply(205)])
    assert play.do("service.status").status == "ok"
    assert play.do("projects.delete", "prj_k") is None


def test_plain_http_must_be_allowed(side: Side) -> None:
    play = side.play([], api_base="http://127.0.0.1:1")
    error = play.raises(InsecureTransportError, "tier.status")
    assert isinstance(error, NetworkError)


def test_a_credential_goes_only_where_it_is_asked_for(side: Side) -> None:
    used = ("projects", "total_api_calls", "total_storage_bytes", "api_calls_limit", "storage_bytes_limit")
    tier = {
        "wallet": "0xabc",
        **dict.fromkeys(("tier", "lease_started_at", "lease_expires_at")),
        "active": False,
        "pool_usage": dict.fromkeys(used, 0),
    }
    play = side.play([Reply.json({"rows": []}), Reply.json(tier), Reply.json({"status": "ok"})])
    play.do("projects.sql", "prj_k", "SELECT 1")
    play.do("tier.status")
    play.do("service.status")
    sql, lease, status = ({name.lower(): value for name, value in sent.headers.items()} for sent in play.script.sent)
    assert sql["authorization"] == "Bearer SVC"
    assert "sign-in-with-x" not in sql
    assert lease["sign-in-with-x"] == "SIWX"
    assert "authorization" not in lease
    assert not {"authorization", "apikey", "sign-in-with-x"} & status.keys()


def test_an_unknown_project_is_told_before_anything_is_sent(side: Side) -> None:
    play = side.play([])
    error = play.raises(ProjectNotFound, "projects.sql", "prj_x", "SELECT 1")
    assert (error.message, error.project_id, error.doing) == ("Project prj_x not found", "prj_x", "running SQL")
    assert (error.kind, error.status) == ("project_not_found", None)


def test_a_secret_that_comes_back_is_masked(side: Side) -> None:
    reply = Reply.json({"message": "no", "echo": "key SVC here"}, 403)
    error = side.play([reply]).raises(Unauthorized, "projects.sql", "prj_k", "SELECT 1")
    assert error.body["echo"] == "key **** here"


@pytest.mark.parametrize("kind", [Run402, AsyncRun402])
@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"api_base": ""}, "api_base"),
        ({"api_base": 5}, "api_base"),
        ({"api_base": "ftp://x"}, "api_base"),
        ({"credentials": object()}, "credentials"),
        ({"timeout": -1}, "timeout"),
    ],
)
def test_arguments_of_a_client(kind: Any, changes: dict[str, Any], argument: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        kind(**{"api_base": "https://api.run402.test", "credentials": RecordingCredentials(), **changes})
    assert caught.value.argument == argument
    assert isinstance(caught.value, Run402Error)
    if argument != "timeout":
        assert isinstance(caught.value, LocalError)
        assert is_local_error(caught.value)


def test_the_address_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RUN402_API_BASE", "https://gateway.example")
    monkeypatch.setenv("RUN402_CONFIG_DIR", str(tmp_path))
    with Run402() as client:
        assert client.api_base == "https://gateway.example"
        assert repr(client) == "Run402(api_base='https://gateway.example')"
        assert client.with_options(timeout=3).projects.sql.__name__ == "sql"
    assert repr(Run402.__new__(Run402)) == "Run402(...)"


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


@pytest.mark.parametrize("namespace", sorted(set(DATA["surface"]) - LATER))
def test_the_surface_of_the_platforms_client(namespace: str) -> None:
    client = Run402(api_base="https://api.run402.test", credentials=RecordingCredentials())
    group = attrgetter(snake(namespace))(client)
    listed = DATA["surface"][namespace]
    names = set(map(snake, [*listed["methods"], *listed["aliases_on_instance"]])) - ABSENT
    assert {name for name in names if not hasattr(group, name)} == set()
    client.close()


def test_a_provider_may_sign_in_its_own_way(side: Side) -> None:
    """A proxy's header beside the wallet's, or a bearer in its place."""

    class Own(RecordingCredentials):
        def get_auth(self, path: str) -> dict[str, str]:
            return {"Authorization": "Bearer own", "X-Proxy": "key"}

    play = side.play([Reply.json({"status": "ok"}), Reply.json({"rows": []})], credentials=Own())
    play.do("admin.send_message", "hello")
    play.do("projects.sql", "prj_k", "SELECT 1")
    first, second = (dict(sent.headers) for sent in play.script.sent)
    assert (first["authorization"], first["x-proxy"]) == ("Bearer own", "key")
    assert (second["authorization"], second.get("x-proxy")) == ("Bearer SVC", None)


def test_a_session_of_a_workflow_is_not_sent_where_a_wallet_is_asked_for(side: Side) -> None:
    credentials = CiSessionCredentials(project_id="prj_k", access_token="SESSION")
    play = side.play([Reply.json({"operations": []})], credentials=credentials)
    error = play.raises(LocalError, "tier.status")
    assert (error.doing, "session of a CI workflow" in error.message) == ("checking tier status", True)
    play.do("deploy.list", "prj_k")
    assert play.script.sent[0].headers["authorization"] == "Bearer SESSION"


def test_a_deploy_of_another_machine_can_be_looked_at(side: Side) -> None:
    """The wallet is the same, and the keys of the project are elsewhere."""
    play = side.play([Reply.json({"operations": []})])
    play.do("deploy.list", "prj_elsewhere")
    headers = play.script.sent[0].headers
    assert (headers["sign-in-with-x"], "apikey" in headers) == ("SIWX", False)


def test_a_platform_that_says_that_it_would_not_help_is_believed(side: Side, naps: list[float]) -> None:
    play = side.play([Reply.json({"retryable": False}, 503), *[Reply.json({"retryable": True}, 503)] * 3])
    assert not play.raises(ApiError, "tier.status").retryable
    assert len(play.script.sent) == 1
    assert play.raises(ApiError, "tier.status").retryable
    assert (len(play.script.sent), len(naps)) == (4, 2)


def test_a_byte_order_mark_is_no_text(side: Side) -> None:
    error = side.play([Reply(400, {"content-type": "text/plain"}, b"\xef\xbb\xbfno")]).raises(ApiError, "tier.status")
    assert error.body == "no"


def test_short_words_of_a_provider_are_no_secrets(side: Side) -> None:
    class Talkative(RecordingCredentials):
        def get_auth(self, path: str) -> dict[str, str]:
            return {"SIGN-IN-WITH-X": "SIWX", "X-Version": "1", "X-Env": "prod", "X-Key": "a-longer-secret"}

    told = {"code": "E_PROD_1", "message": "no SIWX, no a-longer-secret"}
    error = side.play([Reply.json(told, 403)], credentials=Talkative()).raises(Unauthorized, "tier.status")
    assert error.code == "E_PROD_1"
    assert error.body == {"code": "E_PROD_1", "message": "no ****, no ****"}


def test_a_client_signs_in_where_its_requests_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUN402_CONFIG_DIR", str(tmp_path))
    client = Run402(api_base="https://gateway.example")
    client.allowance.create()
    header = client.flows.provider.get_auth("/tiers/v1/status")[HEADER]
    assert json.loads(base64.b64decode(str.__str__(header)))["domain"] == "gateway.example"
