"""TLS is never off silently: all clients verify, `verify=False` is refused, plain http must be asked for."""

from __future__ import annotations

import asyncio
import importlib
import ssl
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from support.certificates import Authority
from support.run402 import AsyncSide, Side
from support.server import Answer, Server
from tollkit import AsyncPymtHouse, AsyncTokenite, Connection, PymtHouse, Tokenite
from tollkit.errors import ArgumentError, ConnectError, InsecureTransportError, TollkitError
from tollkit.oidc import AsyncOidcClient, OidcClient
from tollkit.pymthouse import load_authorization_server, poll_device_token, verify_jwt
from tollkit.run402 import AsyncRun402, MemoryCredentials, Run402
from tollkit.run402.ci.credentials import GithubActionsCredentials
from tollkit.run402.payments.balances import RpcBalances
from tollkit.tokenite import anthropic_options, google_options, openai_options
from tollkit.tokenite.admin import AsyncTokeniteAdmin, TokeniteAdmin
from tollkit_api.runtime.client import AuthenticatedClient, Client
from tollkit_api.usage.v2026_05.api.usage import get_usage

Connect = Callable[..., Connection]
SECRET = "sentinel-of-the-secret"
PROJECT = "prj_1"
PUBLIC_HTTP = "http://platform.example"


def pymthouse(side: Side, url: str, **more: Any) -> Any:
    kind = AsyncPymtHouse if isinstance(side, AsyncSide) else PymtHouse
    return kind(issuer_url=url, public_client_id="a", m2m_client_id="m", m2m_client_secret=SECRET, **more)


def oidc(side: Side, url: str, **more: Any) -> Any:
    return (AsyncOidcClient if isinstance(side, AsyncSide) else OidcClient)(url, "app", SECRET, **more)


def tokenite(side: Side, url: str, **more: Any) -> Any:
    kind = AsyncTokenite if isinstance(side, AsyncSide) else Tokenite
    return kind(client_id="app", client_secret=SECRET, base_url=url, proxy_base=url, **more)


def admin(side: Side, url: str, **more: Any) -> Any:
    return (AsyncTokeniteAdmin if isinstance(side, AsyncSide) else TokeniteAdmin)(
        base_url=url, api_key=SECRET, **more
    )


def run402(side: Side, url: str, **more: Any) -> Any:
    keys = MemoryCredentials({PROJECT: {"anon_key": SECRET, "service_key": SECRET}})
    kind = AsyncRun402 if isinstance(side, AsyncSide) else Run402
    return kind(api_base=url, credentials=keys, payments=None, **more)


CLIENTS: dict[str, tuple[Callable[..., Any], Callable[[Any], Any]]] = {
    "pymthouse": (pymthouse, lambda client: client.list_app_users()),
    "pymthouse oidc": (pymthouse, lambda client: client.issue_machine_access_token()),
    "oidc": (oidc, lambda client: client.client_credentials()),
    "tokenite": (tokenite, lambda client: client.exchange_code("c", redirect_uri="https://app.example/cb")),
    "tokenite proxy": (tokenite, lambda client: client.call(SECRET, "openai", "/v1/x", {})),
    "tokenite context": (tokenite, lambda client: client.get_access_context(SECRET)),
    "tokenite admin": (admin, lambda client: client.apps.list()),
    "run402": (run402, lambda client: client.projects.sql(PROJECT, "SELECT 1")),
    "run402 upload": (run402, lambda client: client.blobs.put(PROJECT, "a", b"a")),
    "run402 download": (run402, lambda client: client.blobs.get(PROJECT, "a")),
}
each_client = pytest.mark.parametrize(("make", "call"), CLIENTS.values(), ids=CLIENTS)


@each_client
def test_a_certificate_of_nobody_known_is_refused(
    make: Any, call: Any, side: Side, connect: Connect, authority: Authority
) -> None:
    with Server(tls=authority.server()) as server:
        client = side.made(make(side, server.url, connection=connect(), max_retries=0))
        with pytest.raises(ConnectError, match=r"(?i)certificate|unknown ?issuer"):
            side.do(call(client))
        assert server.seen == [], "not a byte of the request was sent"


@each_client
@pytest.mark.parametrize(
    "environment", [{}, {"PYTHONHTTPSVERIFY": "0", "CURL_CA_BUNDLE": "", "REQUESTS_CA_BUNDLE": ""}]
)
def test_plain_http_must_be_asked_for(
    make: Any, call: Any, environment: dict[str, str], side: Side, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with Server() as server:
        client = side.made(make(side, server.url, connection=connect(), max_retries=0))
        with pytest.raises(InsecureTransportError):
            side.do(call(client))
        assert (server.seen, server.accepted) == ([], 0)


@pytest.mark.parametrize("verify", [False, 0, None, "", "/etc/ssl/ca.pem", ssl.CERT_NONE, 1], ids=repr)
def test_verification_cannot_be_switched_off(verify: Any) -> None:
    with pytest.raises(ArgumentError, match="verify") as caught:
        Connection(verify=verify)
    assert caught.value.argument == "verify"


def test_the_plain_clients_of_generated_modules_refuse_too() -> None:
    for kind, more in ((Client, {}), (AuthenticatedClient, {"token": "t"})):
        with pytest.raises(ValueError, match="verify_ssl must not"):
            kind(base_url="https://h", verify_ssl=False, **more)
        with pytest.raises(ValueError, match="httpx_args must not"):
            kind(base_url="https://h", httpx_args={"verify": False}, **more)


def test_the_plain_clients_verify(side: Side, authority: Authority) -> None:
    client = AuthenticatedClient(token=SECRET, base_url="")
    with Server(Answer(404, b"{}"), tls=authority.server()) as server:
        for verify in (True, authority.client()):
            client = AuthenticatedClient(token=SECRET, base_url=server.url, verify_ssl=verify)

            async def asked(client: Any = client) -> Any:
                async with client:
                    return await get_usage.asyncio_detailed("app_1", client=client)

            def ask(client: Any = client, asked: Any = asked) -> Any:
                if isinstance(side, AsyncSide):
                    return asyncio.run(asked())
                with client:
                    return get_usage.sync_detailed("app_1", client=client)

            if verify is True:
                with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                    ask()
                assert server.seen == []
            else:
                assert ask().status_code == 404


OTHERS: dict[str, Callable[[str, Connection], Any]] = {
    "workflow token": lambda url, connection: GithubActionsCredentials(
        PROJECT, api_base=url, connection=connection,
        env={"ACTIONS_ID_TOKEN_REQUEST_URL": url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": SECRET},
    ).get_auth("/deploy/v2/plans"),
    "issuer of functions": lambda url, _: load_authorization_server(url),
    "device of functions": lambda url, _: poll_device_token(issuer_url=url, client_id="a"),
    "verification of functions": lambda url, _: verify_jwt("e30.e30.e30", issuer_url=url, audience="a"),
}  # fmt: skip


@pytest.mark.parametrize("use", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("tls", [True, False])
def test_everything_else_that_sends(
    use: Any, tls: bool, connect: Connect, authority: Authority, naps: list[float]
) -> None:
    with Server(tls=authority.server() if tls else None) as server:
        with pytest.raises(TollkitError):
            use(server.url, connect())
        assert server.seen == []


def test_balances_are_read_over_verified_connections(connect: Connect, authority: Authority) -> None:
    with Server(tls=authority.server()) as server:
        balances = RpcBalances({"eip155:1": server.url}, connection=connect())
        assert balances.balance("eip155:1", "0x" + "1" * 40, "0x" + "2" * 40) is None
        assert server.seen == []


# --- HTTP clients that tollkit makes for the SDKs of vendors -------------------------------------------------------


@pytest.mark.parametrize("vendor", ["anthropic", "openai", "google"])
def test_the_sdks_of_vendors_verify(vendor: str, side: Side, authority: Authority) -> None:
    asynchronous = isinstance(side, AsyncSide)
    with Server(tls=authority.server()) as server:
        client = side.made(tokenite(side, server.url, max_retries=0))
        ask: Any
        if vendor == "anthropic":
            sdk = importlib.import_module("anthropic")
            made = (sdk.AsyncAnthropic if asynchronous else sdk.Anthropic)(**anthropic_options(client, SECRET))
            ask = made.messages.create
            asked = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}
        elif vendor == "openai":
            sdk = importlib.import_module("openai")
            made = (sdk.AsyncOpenAI if asynchronous else sdk.OpenAI)(**openai_options(client, SECRET))
            ask, asked = made.chat.completions.create, {"model": "m", "messages": [{"role": "user", "content": "x"}]}
        else:
            sdk = importlib.import_module("google.genai")
            whole = sdk.Client(**google_options(client, SECRET))
            made = whole.aio if asynchronous else whole
            ask, asked = made.models.generate_content, {"model": "m", "contents": "x"}
        with pytest.raises(Exception, match=r"(?i)connect|certificate") as caught:
            side.do(ask(**asked))
        causes, error = "", caught.value
        while error is not None:
            causes, error = f"{causes} {error!r}", error.__cause__ or error.__context__
        assert "CERTIFICATE_VERIFY_FAILED" in causes
        side.do(made.aclose() if hasattr(made, "aclose") else made.close())
        assert server.seen == []


@pytest.mark.parametrize("options", [anthropic_options, openai_options, google_options])
def test_no_options_for_plain_http(options: Any, side: Side) -> None:
    client = side.made(tokenite(side, PUBLIC_HTTP))
    with pytest.raises(InsecureTransportError):
        options(client, SECRET)


# --- what the environment can and cannot do ------------------------------------------------------------------------


def test_an_authority_of_the_environment_is_trusted(
    side: Side, connect: Connect, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with Server(default=Answer.json({}), tls=authority.server()) as server:
        client = side.made(admin(side, server.url, connection=connect(), max_retries=0))
        with pytest.raises(TollkitError) as caught:
            side.do(client.apps.list())
        assert caught.value.code == "invalid_response", "it came through, and the answer is none of Tokenite's"
        assert len(server.seen) == 1


def test_no_authority_of_the_environment_without_trust_env(
    side: Side, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with Server(tls=authority.server()) as server:
        client = side.made(admin(side, server.url, connection=Connection(trust_env=False), max_retries=0))
        with pytest.raises(ConnectError):
            side.do(client.apps.list())
        assert server.seen == []


PYMTHOUSE = {
    "PYMTHOUSE_PUBLIC_CLIENT_ID": "app_1",
    "PYMTHOUSE_M2M_CLIENT_ID": "m2m_1",
    "PYMTHOUSE_M2M_CLIENT_SECRET": SECRET,
}


@pytest.mark.parametrize("address", [PUBLIC_HTTP, "http://1.1.1.1", "http://169.254.169.254"])
def test_plain_http_in_the_environment_is_for_development(address: str) -> None:
    """A slip in the environment of production sends no secret in the clear."""
    with PymtHouse.from_env({**PYMTHOUSE, "PYMTHOUSE_ISSUER_URL": address}) as client:
        with pytest.raises(InsecureTransportError):
            client.list_app_users()
        with pytest.raises(InsecureTransportError):
            client.issue_machine_access_token()
    with (
        Tokenite.from_env({"TOKENITE_CLIENT_ID": "app", "TOKENITE_PROXY_BASE": address}) as client,
        pytest.raises(InsecureTransportError),
    ):
        client.get_access_context(SECRET)
    with (
        TokeniteAdmin.from_env({"TOKENITE_API_KEY": SECRET, "TOKENITE_PROXY_BASE": address}) as client,
        pytest.raises(InsecureTransportError),
    ):
        client.apps.list()


def test_plain_http_of_this_machine_in_the_environment_is_enough() -> None:
    with Server(default=Answer(404, b"{}")) as server:
        with (
            PymtHouse.from_env({**PYMTHOUSE, "PYMTHOUSE_ISSUER_URL": server.url}, max_retries=0) as client,
            pytest.raises(TollkitError),
        ):
            client.list_app_users()
        with (
            TokeniteAdmin.from_env({"TOKENITE_API_KEY": SECRET, "TOKENITE_PROXY_BASE": server.url}) as client,
            pytest.raises(TollkitError),
        ):
            client.apps.list()
        assert len(server.seen) == 2
