"""`client.ci` and the credentials of workflow runs: what is sent, and when."""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.run402 import API_BASE, AsyncSide, Side, run_case
from support.scripted_http import Reply, Script, Sent
from tollkit import errors as tree
from tollkit.run402.ci.credentials import (
    AsyncCiSessionCredentials,
    CiSessionCredentials,
    GithubActionsCredentials,
    github_actions_credentials,
    is_ci_session_credentials,
)
from tollkit.run402.client import AsyncRun402, Run402
from tollkit.run402.credentials import MemoryCredentials
from tollkit.run402.errors import ApiError, LocalError, NetworkError, Unauthorized

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "ci-1.57.0.json").read_text())
CASES = {case["call"]: case for case in VECTORS["cases"]}
VALUES: dict[str, Any] = {
    "project_id": "prj_k",
    "subject_match": "repo:acme/shop:ref:refs/heads/main",
    "nonce": "deadbeef00112233",
    "signed_delegation": "SIGNED",
}
BINDING: dict[str, Any] = {
    "id": "bnd/1",
    "project_id": "prj_k",
    "issuer": "https://token.actions.githubusercontent.com",
    "subject_match": VALUES["subject_match"],
    "allowed_actions": ["deploy"],
    "allowed_events": ["push"],
    "github_repository_id": None,
    "created_by": "0xabc",
    "nonce": VALUES["nonce"],
    "created_at": "2026-05-01T00:00:00Z",
    "expires_at": None,
    "revoked_at": None,
    "last_used_at": None,
    "use_count": 0,
}
SESSION = {"access_token": "session-1", "token_type": "Bearer", "expires_in": 900, "scope": "deploy"}
ENV = {
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://actions.example.test/oidc?request=1&audience=old&x=a+b",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "github-request-token",
}


# --- the namespace -------------------------------------------------------------------------------------------


def test_create_binding(side: Side) -> None:
    play = side.play([Reply.json(BINDING)])
    made = play.do(
        "ci.create_binding", **VALUES, allowed_events=["workflow_dispatch", "push", "push"], github_repository_id=5
    )
    (sent,) = play.script.sent
    assert (sent.method, sent.url, sent.headers["sign-in-with-x"]) == ("POST", API_BASE + "/ci/v1/bindings", "SIWX")
    assert sent.text == (
        '{"project_id":"prj_k","provider":"github-actions","subject_match":"repo:acme/shop:ref:refs/heads/main",'
        '"allowed_actions":["deploy"],"allowed_events":["push","workflow_dispatch"],"github_repository_id":"5",'
        '"expires_at":null,"nonce":"deadbeef00112233","signed_delegation":"SIGNED"}'
    )
    assert made.to_dict() == BINDING


@pytest.mark.parametrize(
    ("call", "method", "args", "kwargs"),
    [
        ("ci.createBinding(wrong provider)", "ci.create_binding", [], {**VALUES, "provider": "gitlab"}),
        ("ci.createBinding(no signed_delegation)", "ci.create_binding", [], {**VALUES, "signed_delegation": ""}),
        ("ci.getBinding('b/1')", "ci.get_binding", ["b/1"], {}),
        ("ci.revokeBinding('bnd')", "ci.revoke_binding", ["bnd"], {}),
        ("ci.exchangeToken({project_id:''})", "ci.exchange_token", [], {"project_id": "", "subject_token": "jwt"}),
    ],
)
def test_recorded_calls(side: Side, call: str, method: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    run_case(side, CASES[call], method, *args, answers=[BINDING] * len(CASES[call]["requests"]), **kwargs)


def test_list_bindings(side: Side) -> None:
    play = side.play([Reply.json({"bindings": [BINDING]})])
    assert [found.id for found in play.do("ci.list_bindings", project="prj k").bindings] == ["bnd/1"]
    assert play.script.sent[0].url == API_BASE + "/ci/v1/bindings?project=prj+k"


def test_exchange_token_sends_no_credentials(side: Side) -> None:
    play = side.play([Reply.json(SESSION)])
    found = play.do("ci.exchange_token", project_id="prj_k", subject_token="github-jwt")
    (sent,) = play.script.sent
    assert json.loads(sent.text) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": "github-jwt",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "project_id": "prj_k",
    }
    assert {"authorization", "apikey", "sign-in-with-x"}.isdisjoint(sent.headers)
    assert (found.access_token, found.expires_in) == ("session-1", 900)
    assert "session-1" not in repr(found)


def test_a_refused_exchange_shows_no_token(side: Side) -> None:
    play = side.play([Reply.json({"code": "access_denied", "message": "no binding fits github-jwt"}, 403)])
    error = play.raises(Unauthorized, "ci.exchange_token", project_id="prj_k", subject_token="github-jwt")
    assert (error.code, error.doing) == ("access_denied", "exchanging CI OIDC token")


@pytest.mark.parametrize(
    ("method", "args", "kwargs", "argument"),
    [
        ("ci.get_binding", [""], {}, "binding_id"),
        ("ci.revoke_binding", [None], {}, "binding_id"),
        ("ci.list_bindings", [], {"project": ""}, "project"),
        ("ci.exchange_token", [], {"project_id": "prj_k", "subject_token": ""}, "subject_token"),
        ("ci.create_binding", [], {**VALUES, "nonce": "short"}, "nonce"),
    ],
)
def test_a_missing_value_is_refused_before_anything_is_sent(
    side: Side, method: str, args: list[Any], kwargs: dict[str, Any], argument: str
) -> None:
    play = side.play()
    error = play.raises(tree.ArgumentError, method, *args, **kwargs)
    assert isinstance(error, LocalError)
    assert error.argument == argument
    assert not play.script.sent


# --- sessions ------------------------------------------------------------------------------------------------


def test_a_session_is_sent_where_it_may_be_and_nowhere_else(side: Side) -> None:
    operation = {
        "operation_id": "op_1",
        "project_id": "prj_k",
        "plan_id": "plan_1",
        "status": "ready",
        "base_release_id": None,
        "target_release_id": None,
        "release_id": None,
        "urls": None,
        "payment_required": None,
        "error": None,
        "activate_attempts": 0,
        "last_activate_attempt_at": None,
        "created_at": "2026-05-01T00:00:00Z",
        "updated_at": "2026-05-01T00:00:00Z",
    }
    from tollkit_api.run402.v1_57.api.deploy import deploy_status

    credentials = CiSessionCredentials("prj_k", access_token="token-1")
    play = side.play([Reply.json(operation), Reply.json({"tiers": {}})], credentials=credentials)
    flows = play.client.flows
    side.do(play.client.run(flows.call(deploy_status.request("op_1"), deploy_status.parse, "asking")))
    play.do("projects.get_quote")
    asked, quote = play.script.sent
    assert asked.headers["authorization"] == "Bearer token-1"
    assert "authorization" not in quote.headers


def test_a_session_knows_its_project_alone() -> None:
    credentials = CiSessionCredentials("prj_k", access_token="token-1")
    keys = credentials.get_project("prj_k")
    assert keys is not None
    assert (keys.anon_key, keys.service_key) == ("", "")
    assert credentials.get_project("prj_other") is None
    assert credentials.get_active_project() == "prj_k"
    assert "token-1" not in repr(credentials)
    assert "token-1" not in repr(credentials.get_auth("/x"))


def test_the_function_is_preferred_to_the_token() -> None:
    tokens = iter(["one", "two"])
    credentials = CiSessionCredentials("prj_k", access_token="never", get_access_token=lambda: next(tokens))
    assert [credentials.get_auth("/a")["Authorization"], credentials.get_auth("/b")["Authorization"]] == [
        "Bearer one",
        "Bearer two",
    ]


def test_an_async_session() -> None:
    async def token() -> str:
        return "token-2"

    credentials = AsyncCiSessionCredentials("prj_k", get_access_token=token)

    async def asked() -> Any:
        return (
            await credentials.get_auth("/x"),
            await credentials.get_project("prj_k"),
            await credentials.get_project("prj_other"),
            await credentials.get_active_project(),
        )

    headers, keys, none, active = asyncio.run(asked())
    assert (headers, keys.service_key, none, active) == ({"Authorization": "Bearer token-2"}, "", None, "prj_k")
    assert is_ci_session_credentials(credentials)
    assert repr(credentials) == "AsyncCiSessionCredentials('prj_k')"


@pytest.mark.parametrize("found", ["", None, 5])
def test_no_token_is_an_error_of_ours(found: Any) -> None:
    with pytest.raises(LocalError) as caught:
        CiSessionCredentials("prj_k", get_access_token=lambda: found).get_auth("/x")
    assert caught.value.doing == "authenticating with CI session"


@pytest.mark.parametrize(
    ("make", "doing"),
    [
        (lambda: CiSessionCredentials("", access_token="t"), "creating CI session credentials"),
        (lambda: CiSessionCredentials("prj_k"), "creating CI session credentials"),
        (lambda: CiSessionCredentials("prj_k", access_token=""), "creating CI session credentials"),
        (lambda: github_actions_credentials(""), "creating GitHub Actions CI credentials"),
    ],
)
def test_what_is_missing_is_told(make: Any, doing: str) -> None:
    with pytest.raises(LocalError) as caught:
        make()
    assert caught.value.doing == doing


def test_an_empty_audience_is_refused() -> None:
    with pytest.raises(tree.ArgumentError, match="audience"):
        github_actions_credentials("prj_k", audience=" ")


def test_only_sessions_are_sessions() -> None:
    assert is_ci_session_credentials(CiSessionCredentials("prj_k", access_token="t"))
    assert not is_ci_session_credentials(MemoryCredentials())
    assert not is_ci_session_credentials(None)


# --- GitHub Actions ------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def github(
    entries: Any, *, clock: Any = None, env: Any = None, **options: Any
) -> tuple[GithubActionsCredentials, Script]:
    script = Script(entries)
    made = GithubActionsCredentials(
        "prj_abc",
        api_base="https://api.example.test",
        env=ENV if env is None else env,
        clock=clock or Clock(),
        http_client=script.client,
        **options,
    )
    return made, script


def session(number: int, expires_in: float = 900) -> Reply:
    return Reply.json({**SESSION, "access_token": f"session-{number}", "expires_in": expires_in})


def id_token() -> Reply:
    return Reply.json({"value": "github-oidc-jwt"})


@pytest.mark.parametrize("case", VECTORS["github_oidc"], ids=lambda case: case["name"])
def test_github_vectors(case: dict[str, Any]) -> None:
    clock = Clock()
    env = (
        {}
        if "calls" not in case
        else {**ENV, "ACTIONS_ID_TOKEN_REQUEST_URL": "https://actions.example.test/oidc?request=1"}
    )
    exchanges = len(case.get("calls", [])) // 2
    entries = [
        reply for number in range(exchanges) for reply in (id_token(), session(number + 1, case["expires_in"]))
    ]
    options = {"refresh_before": case["refresh_before_seconds"]} if "refresh_before_seconds" in case else {}
    credentials, script = github(entries, clock=clock, env=env, **options)
    for token in case["tokens"]:
        clock.now = token.get("at_ms", 0) / 1000
        if "error" in token:
            with pytest.raises(LocalError) as caught:
                credentials.get_auth("/x")
            told = (caught.value.name, caught.value.kind, caught.value.code, caught.value.doing)
            assert told == tuple(token["error"][name] for name in ("class", "kind", "code", "context"))
        else:
            assert credentials.get_auth("/x") == token["auth"]
    seen = [
        {
            "method": sent.method,
            "url": sent.url,
            "body": None if sent.content is None else sent.text,
            "authorization": sent.headers.get("authorization"),
        }
        for sent in script.sent
    ]
    assert seen == [
        {
            **{name: call[name] for name in ("method", "url", "body")},
            "authorization": call["headers"].get("Authorization"),
        }
        for call in case.get("calls", [])
    ]
    script.assert_done()


def test_the_audience_takes_the_place_of_another() -> None:
    credentials, script = github([id_token(), session(1)], audience="https://mine.test")
    credentials.get_auth("/x")
    assert script.sent[0].url == (
        "https://actions.example.test/oidc?request=1&audience=https%3A%2F%2Fmine.test&x=a+b"
    )


def test_64_threads_make_one_exchange() -> None:
    credentials, script = github([id_token(), session(1)])
    with ThreadPoolExecutor(64) as pool:
        found = list(pool.map(lambda _: credentials.get_auth("/x")["Authorization"], range(256)))
    assert set(found) == {"Bearer session-1"}
    assert len(script.sent) == 2


def test_a_token_that_is_still_good_is_given_out_while_another_is_got() -> None:
    clock, reached, go = Clock(), threading.Event(), threading.Event()

    def slow(_: Sent) -> Reply:
        reached.set()
        assert go.wait(20)
        return id_token()

    credentials, script = github([id_token(), session(1), slow, session(2)], clock=clock, refresh_before=60)
    credentials.get_auth("/x")
    clock.now = 850
    with ThreadPoolExecutor(1) as pool:
        refreshed = pool.submit(credentials.get_auth, "/x")
        assert reached.wait(20)
        assert credentials.get_auth("/x")["Authorization"] == "Bearer session-1"
        go.set()
        assert refreshed.result(20)["Authorization"] == "Bearer session-2"
    assert credentials.get_auth("/x")["Authorization"] == "Bearer session-2"
    script.assert_done()


def test_an_ended_token_is_waited_for() -> None:
    clock, reached, go = Clock(), threading.Event(), threading.Event()

    def slow(_: Sent) -> Reply:
        reached.set()
        assert go.wait(20)
        return id_token()

    credentials, script = github([id_token(), session(1), slow, session(2)], clock=clock)
    credentials.get_auth("/x")
    clock.now = 901
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(credentials.get_auth, "/x") for _ in range(2)]
        assert reached.wait(20)
        go.set()
        assert {one.result(20)["Authorization"] for one in asked} == {"Bearer session-2"}
    script.assert_done()


def test_a_failed_exchange_is_tried_again_by_the_next_call() -> None:
    denied = Reply.json({"code": "event_not_allowed", "message": "no"}, 403)
    credentials, script = github([id_token(), denied, id_token(), session(1)])
    with pytest.raises(Unauthorized) as caught:
        credentials.get_auth("/x")
    assert caught.value.code == "event_not_allowed"
    assert credentials.get_auth("/x")["Authorization"] == "Bearer session-1"
    script.assert_done()


@pytest.mark.parametrize(
    "answer",
    [
        Reply.json({"value": ""}),
        Reply.json({"value": 5}),
        Reply.json([]),
        Reply(200, {}, b"<html>"),
        Reply.json({"message": "no permission"}, 403),
        Reply.json({}, 404),
    ],
)
def test_no_token_of_github_says_what_to_do(answer: Reply) -> None:
    credentials, _ = github([answer])
    with pytest.raises(LocalError, match="id-token: write") as caught:
        credentials.get_auth("/x")
    assert caught.value.doing == "requesting GitHub Actions OIDC token"
    assert "github-request-token" not in str(caught.value) + repr(caught.value.to_dict())


def test_no_answer_of_github_is_a_network_error() -> None:
    import httpx

    credentials, _ = github([httpx.ReadError("gone")], max_retries=0)
    with pytest.raises(NetworkError) as caught:
        credentials.get_auth("/x")
    assert caught.value.doing == "requesting GitHub Actions OIDC token"


def test_plain_http_is_refused() -> None:
    credentials, script = github([], env={**ENV, "ACTIONS_ID_TOKEN_REQUEST_URL": "http://actions.example.test/"})
    with pytest.raises(tree.InsecureTransportError):
        credentials.get_auth("/x")
    assert not script.sent


@pytest.mark.parametrize("missing", list(ENV))
def test_a_missing_variable_is_told(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(missing)
    credentials = github_actions_credentials("prj_abc")
    with pytest.raises(LocalError, match="permissions"):
        credentials.get_auth("/x")


def test_a_wrong_option_is_told_at_once() -> None:
    with pytest.raises(tree.ArgumentError):
        github_actions_credentials("prj_abc", api_base="ftp://api.example.test")


def test_clients_of_both_kinds_share_them(side: Side) -> None:
    credentials, _ = github([id_token(), session(1), Reply.json({}, 404)])
    kind: Any = AsyncRun402 if isinstance(side, AsyncSide) else Run402
    client = side.made(
        kind(
            api_base="https://api.example.test",
            credentials=credentials,
            http_client=side.http_client(Script([Reply.json({"message": "none"}, 404)])),
        )
    )
    from tollkit_api.run402.v1_57.api.deploy import deploy_status

    with pytest.raises(ApiError) as caught:
        side.do(client.run(client.flows.call(deploy_status.request("op_1"), deploy_status.parse, "asking")))
    assert caught.value.status == 404
    assert copy.copy(credentials) is not credentials
