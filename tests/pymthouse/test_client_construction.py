"""How clients are made, from arguments and from the environment, and what is refused then."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import threading
from typing import Any

import httpx
import pytest

from support.pymthouse import Side, arguments
from support.scripted_http import Reply, Script
from tollkit import AsyncPymtHouse, PymtHouse, Timeout
from tollkit.errors import (
    ArgumentError,
    ConfigurationError,
    InsecureTransportError,
    LocalError,
    NotFoundError,
    StatusError,
    TollkitError,
)
from tollkit.pymthouse import PmtHouseError, env
from tollkit.sandbox import Fault, PymtHouseSandbox, Sandbox

GOOD = {
    "issuer_url": "https://pymthouse.example/api/v1/oidc",
    "public_client_id": "app_1",
    "m2m_client_id": "m2m_1",
    "m2m_client_secret": "pmth_cs_1",
}
VARIABLES = {
    "issuer_url": "PYMTHOUSE_ISSUER_URL",
    "public_client_id": "PYMTHOUSE_PUBLIC_CLIENT_ID",
    "m2m_client_id": "PYMTHOUSE_M2M_CLIENT_ID",
    "m2m_client_secret": "PYMTHOUSE_M2M_CLIENT_SECRET",
}


@pytest.fixture(params=[PymtHouse, AsyncPymtHouse])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


# --- arguments ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("argument", GOOD)
@pytest.mark.parametrize("bad", ["", "  ", None, 5, "a\0b", "\ud83e"])
def test_arguments_that_are_unusable(kind: Any, argument: str, bad: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        kind(**{**GOOD, argument: bad})
    assert caught.value.argument == argument
    assert argument in str(caught.value)
    assert isinstance(caught.value, PmtHouseError)


@pytest.mark.parametrize(
    "bad",
    [
        "pymthouse.example",
        "/api/v1/oidc",
        "ftp://pymthouse.example",
        "https://",
        "https://user:password@pymthouse.example/api/v1/oidc",
        "https://pymthouse.example:port",
        "https://pymthouse.example/api/v1/oidc?x=1",
        "https://pymthouse.example/api/v1/oidc#x",
        "https://pymthouse.example/api v1",
    ],
)
def test_issuers_that_are_none(kind: Any, bad: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        kind(**{**GOOD, "issuer_url": bad})
    assert caught.value.argument == "issuer_url"
    assert isinstance(caught.value, PmtHouseError)


@pytest.mark.parametrize("secret", ["two words", "line\nbreak", "trailing ", "invisible\u200b"])
def test_a_secret_that_was_not_copied_well(kind: Any, secret: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        kind(**{**GOOD, "m2m_client_secret": secret})
    assert caught.value.argument == "m2m_client_secret"
    assert secret.strip() not in f"{caught.value!s}{caught.value!r}{caught.value.to_dict()}"


@pytest.mark.parametrize(
    ("option", "bad"),
    [
        ("timeout", -1),
        ("timeout", "soon"),
        ("max_retries", -1),
        ("max_retries", 1.5),
        ("headers", ["X-Trace"]),
        ("headers", {"X Trace": "abc"}),
        ("on_event", "print"),
        ("connection", {}),
        ("trusted_origins", "https://other.example"),
        ("trusted_origins", ["no address"]),
    ],
)
def test_options_that_are_unusable(kind: Any, option: str, bad: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        kind(**GOOD, **{option: bad})
    assert caught.value.argument == option
    assert isinstance(caught.value, PmtHouseError)


def test_an_argument_too_many_or_too_few(kind: Any) -> None:
    with pytest.raises(TypeError, match="m2m_client_secret"):
        kind(**{name: value for name, value in GOOD.items() if name != "m2m_client_secret"})
    with pytest.raises(TypeError, match="max_retry"):
        kind(**GOOD, max_retry=3)


def test_what_a_client_tells_of_itself(kind: Any) -> None:
    client = kind(
        **{**GOOD, "issuer_url": "  https://pymthouse.example/api/v1/oidc//  ", "public_client_id": " app_1 "}
    )
    assert (client.issuer_url, client.public_client_id) == (GOOD["issuer_url"], "app_1")
    assert repr(client) == (
        f"{kind.__name__}(issuer_url='https://pymthouse.example/api/v1/oidc', public_client_id='app_1')"
    )


# --- plain http ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["list_app_users", "issue_machine_access_token", "get_discovery"])
def test_plain_http_is_refused_before_anything_is_sent(
    side: Side, pymthouse_sandbox: PymtHouseSandbox, method: str
) -> None:
    client = side.made(side.kind(**arguments(pymthouse_sandbox, allow_insecure_http=False)))
    with pytest.raises(InsecureTransportError) as caught:
        side.do(getattr(client, method)())
    assert "allow_insecure_http=True" in str(caught.value)
    assert isinstance(caught.value, PmtHouseError)
    assert len(pymthouse_sandbox.requests) == 0


def test_an_http_endpoint_of_an_https_issuer_is_refused(side: Side) -> None:
    issuer = GOOD["issuer_url"]
    document = {"issuer": issuer, "token_endpoint": "http://pymthouse.example/token", "jwks_uri": f"{issuer}/jwks"}
    script = Script([Reply.json(document)])
    client = side.made(side.kind(**GOOD, http_client=side.http_client(script)))
    with pytest.raises(TollkitError) as caught:
        side.do(client.issue_machine_access_token())
    assert caught.value.kind == "insecure_transport"
    script.assert_done()


def test_an_endpoint_elsewhere_gets_no_secret_unless_it_is_trusted(side: Side) -> None:
    issuer = GOOD["issuer_url"]
    document = {"issuer": issuer, "token_endpoint": "https://tokens.example/token", "jwks_uri": f"{issuer}/jwks"}
    script = Script([Reply.json(document)])
    client = side.made(side.kind(**GOOD, http_client=side.http_client(script)))
    with pytest.raises(TollkitError, match="trusted_origins") as caught:
        side.do(client.issue_machine_access_token())
    assert isinstance(caught.value, PmtHouseError)
    script.assert_done()

    answer = {"access_token": "token", "token_type": "Bearer"}
    script = Script([Reply.json(document), Reply.json(answer)])
    client = side.made(
        side.kind(**GOOD, trusted_origins=["https://tokens.example"], http_client=side.http_client(script))
    )
    assert side.do(client.issue_machine_access_token()).access_token == "token"
    script.assert_done()


# --- options ------------------------------------------------------------------------------------------------


def test_a_copy_with_other_options(side: Side, pymthouse_sandbox: PymtHouseSandbox, tollkit_sandbox: Sandbox) -> None:
    seen: list[str] = []
    client = side.client(pymthouse_sandbox, max_retries=0, headers={"X-App": "mine"})
    copied = client.with_options(
        max_retries=1,
        timeout=Timeout(read=7),
        headers={"X-Trace": "abc"},
        on_event=lambda event: seen.append(type(event).__name__),
    )
    assert type(copied) is type(client)
    tollkit_sandbox.faults.add(Fault(kind="status", status=503, retry_after=0))
    side.do(copied.get_app())
    assert seen == ["RequestSent", "AnswerReceived", "RetryScheduled", "RequestSent", "AnswerReceived"]
    sent = pymthouse_sandbox.requests[-1]
    assert (sent.headers["x-app"], sent.headers["x-trace"]) == ("mine", "abc")
    # the first is as it was
    tollkit_sandbox.faults.add(Fault(kind="status", status=503))
    with pytest.raises(StatusError):
        side.do(client.get_app())
    side.do(client.get_app())
    assert "x-trace" not in pymthouse_sandbox.requests[-1].headers


@pytest.mark.parametrize(
    ("option", "bad"), [("timeout", 0), ("max_retries", "2"), ("headers", {"a": "b\nc"}), ("on_event", 5)]
)
def test_a_copy_with_options_that_are_unusable(kind: Any, option: str, bad: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        kind(**GOOD).with_options(**{option: bad})
    assert caught.value.argument == option
    assert isinstance(caught.value, PmtHouseError)


def test_a_client_that_was_closed(side: Side, pymthouse_sandbox: PymtHouseSandbox) -> None:
    client = side.client(pymthouse_sandbox)
    side.do(client.list_app_users())
    copied = client.with_options(max_retries=0)
    if side.name == "blocking":
        client.close()
    else:
        side.do(client.aclose())
    for one in (client, copied):
        with pytest.raises(LocalError) as caught:
            side.do(one.list_app_users())
        assert caught.value.code == "client_closed"
        assert isinstance(caught.value, PmtHouseError)


def test_context_managers(pymthouse_sandbox: PymtHouseSandbox) -> None:
    with PymtHouse(**arguments(pymthouse_sandbox)) as client:
        assert client.list_app_users().users == []
    with pytest.raises(LocalError):
        client.list_app_users()

    async def main() -> None:
        async with AsyncPymtHouse(**arguments(pymthouse_sandbox)) as client:
            assert (await client.list_app_users()).users == []
        with pytest.raises(LocalError):
            await client.list_app_users()

    asyncio.run(main())


def test_a_client_that_was_brought(side: Side, pymthouse_sandbox: PymtHouseSandbox) -> None:
    brought: Any = httpx.Client(trust_env=False) if side.name == "blocking" else httpx.AsyncClient(trust_env=False)
    client = side.client(pymthouse_sandbox, http_client=brought)
    assert side.do(client.list_app_users()).users == []
    if side.name == "blocking":
        client.close()
        assert not brought.is_closed
        brought.close()
    else:
        side.do(client.aclose())
        assert not brought.is_closed
        side.do(brought.aclose())


# --- the environment ----------------------------------------------------------------------------------------


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch, pymthouse_sandbox: PymtHouseSandbox) -> dict[str, str]:
    """The process's variables, set to the sandbox's."""
    found = pymthouse_sandbox.env()
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


def test_from_the_environment(side: Side, variables: dict[str, str], pymthouse_sandbox: PymtHouseSandbox) -> None:
    client = side.made(side.kind.from_env())
    assert client.issuer_url == pymthouse_sandbox.issuer_url
    assert side.do(client.upsert_app_user("alice")).status == "active"


def test_from_a_mapping(side: Side, monkeypatch: pytest.MonkeyPatch, pymthouse_sandbox: PymtHouseSandbox) -> None:
    for name in VARIABLES.values():
        monkeypatch.delenv(name, raising=False)
    given = {name: f"  {value} " for name, value in pymthouse_sandbox.env().items()}
    client = side.made(side.kind.from_env(given))
    assert side.do(client.list_app_users()).users == []
    assert given == {name: f"  {value} " for name, value in pymthouse_sandbox.env().items()}
    with pytest.raises(ConfigurationError):
        side.kind.from_env()
    with pytest.raises(ConfigurationError):
        side.kind.from_env({})


def test_arguments_beside_the_environment(
    side: Side, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, pymthouse_sandbox: PymtHouseSandbox
) -> None:
    monkeypatch.delenv("PYMTHOUSE_M2M_CLIENT_SECRET")
    client = side.made(side.kind.from_env(m2m_client_secret=pymthouse_sandbox.m2m_client_secret, max_retries=0))
    assert side.do(client.list_app_users()).users == []
    with pytest.raises(ArgumentError) as caught:
        side.kind.from_env(m2m_client_secret="")
    assert caught.value.argument == "m2m_client_secret"
    strict = side.made(side.kind.from_env(m2m_client_secret="x", allow_insecure_http=False))
    with pytest.raises(InsecureTransportError):
        side.do(strict.list_app_users())


@pytest.mark.parametrize("missing", VARIABLES.values())
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_variable_that_is_missing(
    side: Side, variables: dict[str, str], missing: str, value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is None:
        monkeypatch.delenv(missing)
    else:
        monkeypatch.setenv(missing, value)
    monkeypatch.setattr(env, "_client", None)
    for make in (side.kind.from_env, env.create_pmt_house_client_from_env):
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert (caught.value.code, caught.value.status) == ("missing_env", 500)
        assert caught.value.message == f"Missing required environment variable: {missing}"
        assert isinstance(caught.value, PmtHouseError)


def test_variables_that_are_unusable(side: Side) -> None:
    good = {VARIABLES[name]: value for name, value in GOOD.items()}
    with pytest.raises(ArgumentError) as caught:
        side.kind.from_env({**good, "PYMTHOUSE_ISSUER_URL": "no address"})
    assert caught.value.argument == "issuer_url"
    assert isinstance(caught.value, PmtHouseError)


def test_one_client_for_the_process(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, pymthouse_sandbox: PymtHouseSandbox
) -> None:
    monkeypatch.setattr(env, "_client", None)
    monkeypatch.setenv("PYMTHOUSE_M2M_CLIENT_SECRET", "")
    with pytest.raises(ConfigurationError):
        env.create_pmt_house_client_from_env()
    monkeypatch.setenv("PYMTHOUSE_M2M_CLIENT_SECRET", pymthouse_sandbox.m2m_client_secret)

    made: list[PymtHouse] = []
    gate = threading.Barrier(8)

    def make() -> None:
        gate.wait()
        made.append(env.create_pmt_house_client_from_env())

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [client] = set(made)
    assert client.list_app_users().users == []
    monkeypatch.setenv("PYMTHOUSE_PUBLIC_CLIENT_ID", "app_other")
    assert env.create_pmt_house_client_from_env() is client
    client.close()


# --- one family ---------------------------------------------------------------------------------------------


def test_errors_are_of_two_trees(side: Side, pymthouse_sandbox: PymtHouseSandbox) -> None:
    client = side.client(pymthouse_sandbox)
    with pytest.raises(PmtHouseError) as caught:
        side.do(client.mint_user_access_token("nobody"))
    error = caught.value
    assert isinstance(error, NotFoundError)
    assert type(error).__name__ == "NotFoundError"
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert isinstance(twin, NotFoundError)
        assert isinstance(twin, PmtHouseError)
        assert twin.to_dict() == error.to_dict()
    assert error.context["url"].endswith("/users/nobody/token")
    assert error.context["attempts"] == 1


def test_methods_know_their_names_and_what_they_take(kind: Any) -> None:
    client = kind(**GOOD)
    assert client.get_usage.__doc__.startswith("The app's usage")
    assert client.get_usage.__name__ == "get_usage"
    assert list(inspect.signature(client.upsert_app_user).parameters) == ["external_user_id", "email", "status"]
    assert inspect.iscoroutinefunction(type(client.get_usage).__call__) is (kind is AsyncPymtHouse)
