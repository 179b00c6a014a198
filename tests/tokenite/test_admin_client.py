"""The clients of the admin API: how they are made, what they share, and that they show no secret."""

from __future__ import annotations

import copy
import inspect
import pickle
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

import tollkit
from support.tokenite import QUICK, Side
from tollkit.errors import ArgumentError, ConfigurationError, InsecureTransportError, StatusError, TollkitError
from tollkit.sandbox import Fault, Sandbox
from tollkit.secrets import Secret
from tollkit.tokenite import AsyncTokeniteAdmin, TokeniteAdmin, TokeniteError
from tollkit_api.tokenite.v2_4.api.apps import list_apps
from tollkit_api.tokenite.v2_4.api.auth import get_me

KINDS = [TokeniteAdmin, AsyncTokeniteAdmin]
GROUPS = ("auth", "accounts", "apps", "keys", "oauth", "connections", "spending")
KEY = "tkn_api_do-not-show-this"


@pytest.fixture
def place(tokenite_sandbox: Any) -> Any:
    return tokenite_sandbox


@pytest.fixture
def client(side: Side, place: Any) -> Any:
    return side.admin(place, api_key=place.api_key)


@pytest.mark.parametrize("kind", KINDS)
def test_where_it_goes_unless_told_otherwise(kind: Any) -> None:
    client = kind(api_key=KEY)
    assert (client.base_url, client.account_id) == ("https://api.tokenite.ai", None)
    assert kind(base_url="https://proxy.example/base/", account_id=" acc_1 ").base_url == "https://proxy.example/base"
    assert getattr(tollkit, kind.__name__) is kind


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("api_key", ""),
        ("api_key", "a key"),
        ("api_key", 7),
        ("account_id", " "),
        ("base_url", "tokenite"),
        ("timeout", 0),
    ],
)
def test_what_no_client_is_made_of(kind: Any, argument: str, value: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        kind(**{argument: value})
    assert isinstance(caught.value, TokeniteError)
    assert caught.value.argument == argument


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_from_the_environment(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"TOKENITE_API_KEY": KEY, "TOKENITE_ACCOUNT_ID": "acc_1", "TOKENITE_PROXY_BASE": "https://proxy.example/"}
    client = kind.from_env(env)
    assert (client.base_url, client.account_id) == ("https://proxy.example", "acc_1")
    assert kind.from_env({"TOKENITE_API_KEY": KEY}).base_url == "https://api.tokenite.ai"
    assert kind.from_env(env, account_id="acc_2").account_id == "acc_2"
    for name in env:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="TOKENITE_API_KEY") as caught:
        kind.from_env()
    assert caught.value.code == "missing_env"
    assert isinstance(caught.value, TokeniteError)


def test_a_sandbox_in_the_environment(side: Side, place: Any) -> None:
    kind = AsyncTokeniteAdmin if "Async" in type(side).__name__ else TokeniteAdmin
    client = side.made(kind.from_env(place.env(), connection=QUICK))
    assert side.do(client.auth.me()).email == "ada@example.com"


def test_plain_http_is_refused_unless_it_is_allowed(side: Side, place: Any, tollkit_sandbox: Sandbox) -> None:
    client = side.admin(place, api_key=KEY, allow_insecure_http=False)
    with pytest.raises(InsecureTransportError):
        side.do(client.auth.me())
    assert tollkit_sandbox.requests.all() == []


def test_copies_have_groups_of_their_own(side: Side, client: Any, tollkit_sandbox: Sandbox) -> None:
    client.apps.list  # noqa: B018 - so that it would be found out if the copy took over a group that was made
    changed = client.with_options(headers={"x-team": "red"}, max_retries=0)
    tollkit_sandbox.requests.clear()
    side.do(changed.apps.list())
    side.do(client.apps.list())
    assert [one.headers.get("x-team") for one in tollkit_sandbox.requests.all()] == ["red", None]
    assert type(changed) is type(client)


def test_acting_as_another_shares_connections_and_options(side: Side, client: Any, tollkit_sandbox: Sandbox) -> None:
    other = client.with_options(headers={"x-team": "red"}).acting_as(api_key=KEY, account_id="acc_1")
    tollkit_sandbox.requests.clear()
    with pytest.raises(StatusError, match="API token"):
        side.do(other.auth.me())
    (seen,) = tollkit_sandbox.requests.all()
    assert (seen.headers["x-team"], seen.headers["x-account-id"]) == ("red", "acc_1")
    assert other._connections is client._connections
    assert (client.account_id, other.base_url) == (None, client.base_url)
    with pytest.raises(ArgumentError) as caught:
        client.acting_as(account_id="")
    assert isinstance(caught.value, TokeniteError)
    with pytest.raises(ConfigurationError):
        side.do(client.acting_as(api_key=None).auth.me())


def test_generated_functions_have_the_clients_key(side: Side, client: Any, place: Any) -> None:
    name = "asyncio" if "Async" in type(side).__name__ else "sync"
    assert [one.id for one in side.do(getattr(list_apps, name)(client=client.api))] == [place.client_id]
    assert side.do(getattr(get_me, name)(client=client.api)).email == "ada@example.com"


def test_raw_answers(side: Side, client: Any) -> None:
    raw = side.do(client.auth.me.raw())
    assert (raw.status, raw.result.email) == (200, "ada@example.com")


@pytest.mark.parametrize("group", GROUPS)
def test_every_method_says_what_it_does_and_where_that_is_known_from(client: Any, group: str) -> None:
    methods = [name for name, _ in inspect.getmembers(type(getattr(client, group))) if not name.startswith("_")]
    methods.remove("bind_flow")
    assert methods
    for name in methods:
        method = getattr(getattr(client, group), name)
        told = inspect.getdoc(method)
        assert "Raises:" in told, f"{group}.{name}"
        assert "Source: Tokenite admin API, `" in told, f"{group}.{name}"
        assert "self" not in inspect.signature(method).parameters


# --- secrets --------------------------------------------------------------------------------------------


def _shown(error: BaseException) -> Iterator[str]:
    """Everything of an error that a report may show: texts, data, and the locals of every frame."""
    seen: list[BaseException] = []
    pending: list[BaseException | None] = [error]
    while pending:
        one = pending.pop()
        if one is None or one in seen:
            continue
        seen.append(one)
        pending += [one.__cause__, one.__context__]
        yield from (str(one), repr(one), repr(one.args))
        if isinstance(one, TollkitError):
            yield repr(one.to_dict())
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if "test_admin" not in frame.f_code.co_filename:
                yield repr(frame.f_locals)


def test_nothing_shows_the_key(side: Side, place: Any) -> None:
    client = side.admin(place, api_key=KEY)
    assert KEY not in repr(client) + repr(client.apps) + repr(client.apps.list) + repr(vars(client.flows))
    with pytest.raises(StatusError) as caught:
        side.do(client.apps.list())
    assert KEY not in "".join(_shown(caught.value))


@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("auth.register", ("ada@example.com", KEY)),
        ("auth.login", ("ada@example.com", KEY)),
        ("accounts.claim", (KEY,)),
        ("keys.add", ("nobody", KEY)),
    ],
)
def test_no_error_shows_a_secret_that_was_sent(
    side: Side, client: Any, tollkit_sandbox: Sandbox, method: str, args: tuple[str, ...]
) -> None:
    group, _, name = method.partition(".")
    call = getattr(getattr(client, group), name)
    body = {"error": {"code": "VALIDATION", "message": f"{KEY} will not do"}, "sent": {"secret": KEY}}
    tollkit_sandbox.faults.add(Fault(kind="status", status=400, body=body), Fault(kind="truncated_json", skip=1))
    for _ in range(2):
        with pytest.raises(TokeniteError) as caught:
            side.do(call(*args))
        assert KEY not in "".join(_shown(caught.value))


def test_no_result_shows_its_secret(side: Side, client: Any, place: Any) -> None:
    token = side.do(client.auth.create_token("deploy"))
    app = side.do(client.apps.create("Poems", "https://poems.example/callback"))
    business = side.do(client.accounts.create("Engines"))
    invitation = side.do(client.accounts.invite(business.id, "grace@example.com"))
    grant = side.do(
        client.oauth.authorize(client_id=place.client_id, redirect_uri=place.redirect_uri, budget_limit=1)
    )
    user = side.do(client.auth.register("grace@example.com", "correct horse battery"))
    login = side.do(client.auth.login("grace@example.com", "correct horse battery"))
    rotated = side.do(client.apps.rotate_secret(app.id))
    secrets = [
        (token, token.token),
        (app, app.app_secret),
        (invitation, invitation.claim_url),
        (grant, grant.code),
        (grant, grant.redirect_to),
        (user, user.token),
        (login, login.token),
        (rotated, rotated),
    ]
    for result, secret in secrets:
        assert isinstance(secret, Secret)
        assert secret.reveal() not in repr(result)
        assert pickle.loads(pickle.dumps(result)) == result
        assert copy.deepcopy(result) == result
