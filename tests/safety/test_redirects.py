"""No credential reaches another origin, whoever sends a client on to it.

Real servers: one that answers everything with a redirect (and a cookie), and a stranger who counts what comes.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from support.run402 import AsyncSide, Side
from support.server import Answer, Seen, Server
from tollkit import AsyncPymtHouse, AsyncTokenite, PymtHouse, Tokenite
from tollkit.errors import StatusError, TollkitError
from tollkit.oidc import AsyncOidcClient, OidcClient
from tollkit.run402 import AsyncRun402, MemoryCredentials, Run402
from tollkit.run402.ci.credentials import GithubActionsCredentials
from tollkit.run402.payments.balances import RpcBalances
from tollkit.tokenite import anthropic_options, google_options, openai_options
from tollkit.tokenite.admin import AsyncTokeniteAdmin, TokeniteAdmin
from tollkit_api.tokenite.v2_4.api.access import get_access_context
from tollkit_api.usage.v2026_05.api.usage import get_usage

Connect = Callable[..., Any]
SECRET = "sentinel-of-the-secret"
JWT = f"e30.{SECRET}.e30"
PROJECT = "prj_1"


@attrs.frozen
class Home:
    """Makes clients whose platform is at one address."""

    side: Side
    url: str
    connect: Connect

    def made(self, blocking: Any, asynchronous: Any, *args: Any, **settings: Any) -> Any:
        kind = asynchronous if isinstance(self.side, AsyncSide) else blocking
        common = {"allow_insecure_http": True, "connection": self.connect(), "max_retries": 0}
        return self.side.made(kind(*args, **{**common, **settings}))

    def pymthouse(self) -> Any:
        return self.made(
            PymtHouse, AsyncPymtHouse, issuer_url=self.url, public_client_id="app_1", m2m_client_id="m2m_1",
            m2m_client_secret=SECRET,
        )  # fmt: skip

    def oidc(self) -> Any:
        return self.made(OidcClient, AsyncOidcClient, self.url, "app", SECRET)

    def tokenite(self) -> Any:
        return self.made(
            Tokenite, AsyncTokenite, client_id="app", client_secret=SECRET, base_url=self.url, proxy_base=self.url,
            redirect_uri="https://app.example/callback",
        )  # fmt: skip

    def admin(self) -> Any:
        return self.made(TokeniteAdmin, AsyncTokeniteAdmin, base_url=self.url, api_key=SECRET)

    def run402(self) -> Any:
        keys = MemoryCredentials({PROJECT: {"anon_key": SECRET, "service_key": SECRET}}, active_project_id=PROJECT)
        return self.made(Run402, AsyncRun402, api_base=self.url, credentials=keys, payments=None)


def metadata(url: str) -> dict[str, Any]:
    names = ("token", "revocation", "introspection", "userinfo", "device_authorization")
    return {
        "issuer": url,
        "jwks_uri": f"{url}/jwks",
        **{f"{name}_endpoint": f"{url}/{name}" for name in names},
        "grant_types_supported": ["client_credentials"],
    }


def provider(stranger: Server) -> Any:
    """A provider whose metadata can be had, and who sends everybody on to the stranger otherwise."""

    def answered(seen: Seen) -> Answer:
        if "well-known" in seen.target:
            return Answer.json(metadata(f"http://{seen.headers['host']}"))
        return Answer(307, b"", {"location": f"{stranger.url}{seen.target}"})

    return answered


# What reaches the server that redirects: one call each, with its credentials in header or body.
TURNED: dict[str, Callable[[Home], Any]] = {
    "pymthouse REST": lambda home: home.pymthouse().list_app_users(),
    "pymthouse POST": lambda home: home.pymthouse().upsert_app_user("user-1", email="a@example.com"),
    "pymthouse discovery": lambda home: home.pymthouse().issue_machine_access_token(),
    "pymthouse generated": lambda home: generated(home, home.pymthouse(), get_usage, "app_1"),
    "oidc discovery": lambda home: home.oidc().client_credentials(),
    "tokenite code": lambda home: home.tokenite().exchange_code(SECRET),
    "tokenite context": lambda home: home.tokenite().get_access_context(SECRET),
    "tokenite proxy": lambda home: home.tokenite().call(SECRET, "openai", "/v1/models", method="GET"),
    "tokenite generated": lambda home: generated(home, home.tokenite().user_api(SECRET), get_access_context),
    "tokenite admin": lambda home: home.admin().apps.list(),
    "run402 keys": lambda home: home.run402().projects.sql(PROJECT, "SELECT 1"),
    "run402 upload": lambda home: home.run402().blobs.put(PROJECT, "a.txt", b"a"),
    "run402 deploy": lambda home: home.run402().deploy.apply({"project": PROJECT, "site": {"replace": {"a": b"a"}}}),
    "run402 function": lambda home: home.run402().functions.invoke(PROJECT, "hello"),
}


def generated(home: Home, client: Any, module: Any, *args: Any) -> Any:
    """A generated function over a client of ours."""
    client = getattr(client, "api", client)
    return (module.asyncio if isinstance(home.side, AsyncSide) else module.sync)(*args, client=client)


@pytest.mark.parametrize("call", TURNED.values(), ids=TURNED)
def test_a_redirect_to_a_stranger_is_an_error(
    call: Callable[[Home], Any], side: Side, connect: Connect, turncoat: Server, stranger: Server
) -> None:
    try:
        outcome = side.do(call(Home(side, turncoat.url, connect)))
    except TollkitError as error:
        outcome = error
    # the proxy's refusals are values, and a generated function gives None for what its document does not know
    assert isinstance(outcome, TollkitError) or outcome is None or not outcome.ok
    assert turncoat.seen, "the call never came to the point"
    assert stranger.seen == []


ENDPOINTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "token": ("/token", lambda client: client.client_credentials()),
    "device": ("/device_authorization", lambda client: client.start_device_authorization()),
    "revocation": ("/revocation", lambda client: client.revoke(SECRET)),
    "introspection": ("/introspection", lambda client: client.introspect(SECRET)),
}


@pytest.mark.parametrize(("path", "call"), ENDPOINTS.values(), ids=ENDPOINTS)
def test_endpoints_of_a_provider_that_send_on(
    path: str, call: Callable[[Any], Any], side: Side, connect: Connect, stranger: Server
) -> None:
    with Server(default=provider(stranger)) as server:
        with pytest.raises(StatusError) as caught:
            side.do(call(Home(side, server.url, connect).oidc()))
        assert [seen.target for seen in server.seen][-1] == path
    assert caught.value.context["http_status"] == 307
    assert stranger.seen == []


def test_a_storage_that_sends_on_gets_no_second_try(side: Side, connect: Connect, turncoat: Server) -> None:
    """The presigned address answers with a redirect: the bytes go nowhere else, and no key goes even there."""

    def gateway(_: Seen) -> Answer:
        part = {"part_number": 1, "url": f"{turncoat.url}/up?sig=1", "byte_start": 0, "byte_end": 4}
        return Answer.json({"upload_id": "upl_1", "mode": "single", "part_count": 1, "parts": [part]}, 201)

    with Server(default=gateway) as server, pytest.raises(TollkitError) as caught:
        side.do(Home(side, server.url, connect).run402().blobs.put(PROJECT, "a.txt", b"hello"))
    assert isinstance(caught.value, StatusError)
    (put,) = turncoat.seen
    assert (put.method, put.body) == ("PUT", b"hello")
    assert SECRET not in str(put.fields)
    assert not {"authorization", "apikey", "cookie", "sign-in-with-x"} & set(put.headers)


def test_a_download_is_not_sent_on(
    side: Side, connect: Connect, turncoat: Server, stranger: Server, tmp_path: Path
) -> None:
    target = tmp_path / "file"
    with pytest.raises(TollkitError):
        side.do(Home(side, turncoat.url, connect).run402().blobs.download(PROJECT, "a.txt", target))
    assert turncoat.seen
    assert SECRET in str(turncoat.seen[0].fields)
    assert stranger.seen == []
    assert not target.exists()


def test_cookies_of_an_answer_go_nowhere(side: Side, connect: Connect) -> None:
    told = {"set-cookie": "session=kept; Path=/", "content-type": "application/json"}
    with Server(default=Answer(200, b'{"projects": []}', told)) as server:
        client = Home(side, server.url, connect).admin()
        for _ in range(2):
            with pytest.raises(TollkitError):
                side.do(client.apps.list())
    assert ["cookie" in seen.headers for seen in server.seen] == [False, False]


def test_a_workflow_token_is_not_sent_on(connect: Connect, turncoat: Server, stranger: Server) -> None:
    env = {"ACTIONS_ID_TOKEN_REQUEST_URL": f"{turncoat.url}/token?x=1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": SECRET}
    credentials = GithubActionsCredentials(
        PROJECT, api_base=turncoat.url, env=env, allow_insecure_http=True, connection=connect()
    )
    with pytest.raises(TollkitError):
        credentials.get_auth("/deploy/v2/plans")
    assert turncoat.seen[0].headers["authorization"] == f"Bearer {SECRET}"
    assert stranger.seen == []


def test_a_chain_that_sends_on_has_no_say(connect: Connect, turncoat: Server, stranger: Server) -> None:
    balances = RpcBalances({"eip155:8453": turncoat.url}, connection=connect())
    assert balances.balance("eip155:8453", "0x" + "1" * 40, "0x" + "2" * 40) is None
    assert turncoat.seen
    assert stranger.seen == []


# --- the vendors' own SDKs, over HTTP clients that tollkit made ---------------------------------------------------


def anthropic(side: Side, client: Any) -> Any:
    sdk = importlib.import_module("anthropic")
    kind = sdk.AsyncAnthropic if isinstance(side, AsyncSide) else sdk.Anthropic
    made = kind(**anthropic_options(client, SECRET))
    return made, lambda: made.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}])


def openai(side: Side, client: Any) -> Any:
    sdk = importlib.import_module("openai")
    made = (sdk.AsyncOpenAI if isinstance(side, AsyncSide) else sdk.OpenAI)(**openai_options(client, SECRET))
    return made, lambda: made.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])


def google(side: Side, client: Any) -> Any:
    sdk = importlib.import_module("google.genai")
    made = sdk.Client(**google_options(client, SECRET))
    half = made.aio if isinstance(side, AsyncSide) else made
    return half, lambda: half.models.generate_content(model="m", contents="x")


@pytest.mark.parametrize("vendor", [anthropic, openai, google], ids=lambda made: made.__name__)
def test_the_sdks_of_vendors_are_not_sent_on(vendor: Any, side: Side, turncoat: Server, stranger: Server) -> None:
    made, ask = vendor(side, Home(side, turncoat.url, _plain).tokenite())
    with contextlib.suppress(Exception):  # some raise, some give an empty answer
        side.do(ask())
    side.do(made.aclose() if hasattr(made, "aclose") else made.close())
    assert SECRET in str(turncoat.seen[0].fields)
    assert stranger.seen == []


def _plain(**settings: Any) -> Any:
    from tollkit.core.settings import Connection

    return Connection(**settings)


# --- the plain clients of generated modules, which may be told to follow ------------------------------------------


@pytest.fixture(params=["own", "brought"])
def follower(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Makes a plain client that follows redirects: with an httpx client of its own, or with one that is brought."""
    from tollkit_api.runtime.client import AuthenticatedClient

    opened: list[Any] = []

    def made(url: str, **settings: Any) -> Any:
        if request.param == "own":
            client = AuthenticatedClient(base_url=url, token=SECRET, follow_redirects=True, **settings)
            client.get_httpx_client()
        else:
            settings.pop("prefix", None)
            name = settings.pop("auth_header_name", "Authorization")
            given = httpx.Client(base_url=url, follow_redirects=True, **settings)
            client = AuthenticatedClient(base_url=url, token=SECRET, auth_header_name=name, prefix="")
            client.set_httpx_client(given)
        opened.append(client.get_httpx_client())
        return client

    yield made
    for client in opened:
        client.close()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"auth_header_name": "apikey", "prefix": ""},
        {"headers": {"x-api-key": SECRET}},
        {"cookies": {"session": SECRET}},
    ],
    ids=["authorization", "own header", "header of the client", "cookie"],
)
def test_a_plain_client_follows_within_its_origin_alone(
    follower: Any, settings: dict[str, Any], turncoat: Server, stranger: Server
) -> None:
    get_usage.sync_detailed("app_1", client=follower(turncoat.url, **settings))
    assert SECRET in str(turncoat.seen[0].fields)
    assert stranger.seen == []


def test_a_plain_client_follows_within_its_origin(follower: Any) -> None:
    def answer(seen: Seen) -> Answer:
        return Answer(307, b"", {"location": "/moved"}) if seen.target != "/moved" else Answer(404, b"{}")

    with Server(default=answer) as server:
        assert get_usage.sync_detailed("app_1", client=follower(server.url)).status_code == 404
        assert [seen.target for seen in server.seen][-1] == "/moved"
        assert all(SECRET in str(seen.fields) for seen in server.seen)


def test_a_plain_client_does_not_go_round_for_ever(follower: Any) -> None:
    with Server(default=Answer(307, b"", {"location": "/again"})) as server:
        assert get_usage.sync_detailed("app_1", client=follower(server.url)).status_code == 307
        assert len(server.seen) == 21


def test_a_plain_client_follows_nothing_unless_told(side: Side, turncoat: Server, stranger: Server) -> None:
    import asyncio

    from tollkit_api.runtime.client import AuthenticatedClient

    client = AuthenticatedClient(base_url=turncoat.url, token=SECRET)
    if isinstance(side, AsyncSide):

        async def run() -> Any:
            async with client:
                return await get_usage.asyncio_detailed("app_1", client=client)

        answer = asyncio.run(run())
    else:
        with client:
            answer = get_usage.sync_detailed("app_1", client=client)
    assert 300 <= answer.status_code < 400
    assert stranger.seen == []


def test_an_async_plain_client_follows_within_its_origin_alone(turncoat: Server, stranger: Server) -> None:
    import asyncio

    from tollkit_api.runtime.client import AuthenticatedClient

    async def run(url: str) -> Any:
        async with AuthenticatedClient(base_url=url, token=SECRET, follow_redirects=True) as client:
            return await get_usage.asyncio_detailed("app_1", client=client)

    asyncio.run(run(turncoat.url))
    assert stranger.seen == []
    with Server(Answer(307, b"", {"location": "/moved"}), Answer(404, b"{}")) as server:
        assert asyncio.run(run(server.url)).status_code == 404
        assert [seen.target for seen in server.seen][-1] == "/moved"
