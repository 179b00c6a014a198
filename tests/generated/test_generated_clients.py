"""Generated functions with real requests, and the faults of stock clients that must not come back."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import subprocess
import sys
from typing import Any, get_args

import httpx
import pytest
from raw_server import RawServer

from tollkit_api.builder.v2026_05.api.manifest import get_app_manifest
from tollkit_api.builder.v2026_05.api.network import get_eth_usd_price
from tollkit_api.builder.v2026_05.api.tokens import mint_user_access_token
from tollkit_api.builder.v2026_05.api.users import delete_app_user
from tollkit_api.builder.v2026_05.models import MintUserAccessTokenRequest
from tollkit_api.runtime import (
    UNSET,
    AuthenticatedClient,
    Client,
    DecodeError,
    HttpResponse,
    Request,
    Response,
    UnexpectedStatus,
)
from tollkit_api.usage.v2026_05.api.usage import get_usage
from tollkit_api.usage.v2026_05.models import ErrorEnvelope, UsageResponse

USAGE = {"clientId": "app_1", "period": {"start": None, "end": None}, "totals": {"requestCount": 3}}
BASIC = base64.b64encode(b"m2m_1:sentinel-secret").decode()


@pytest.fixture
def client(server: RawServer):
    server.answers(200, json.dumps(USAGE).encode())
    with AuthenticatedClient(base_url=server.url, token=BASIC, prefix="Basic") as client:
        yield client


def test_sync(server: RawServer, client: AuthenticatedClient):
    report = get_usage.sync("app_1", client=client, group_by="user")
    assert isinstance(report, UsageResponse)
    assert server.last.method == "GET"
    assert server.last.target == "/api/v1/apps/app_1/usage?groupBy=user"
    assert server.last.headers["authorization"] == f"Basic {BASIC}"


def test_sync_detailed(server: RawServer, client: AuthenticatedClient):
    response = get_usage.sync_detailed("app_1", client=client)
    assert isinstance(response, Response)
    assert isinstance(response.parsed, UsageResponse)
    assert response.status_code == 200
    assert json.loads(response.content) == USAGE
    assert response.headers["Content-Type"] == "application/json"
    assert "content" not in repr(response)


def test_asyncio(server: RawServer):
    server.answers(200, json.dumps(USAGE).encode())

    async def run() -> tuple[Any, Any]:
        async with AuthenticatedClient(base_url=server.url, token="t") as client:
            report = await get_usage.asyncio("app_1", client=client)
            return report, await get_usage.asyncio_detailed("app_1", client=client, user_id="u")

    report, response = asyncio.run(run())
    assert isinstance(report, UsageResponse)
    assert response.parsed == report
    assert server.last.target == "/api/v1/apps/app_1/usage?userId=u"
    assert server.last.headers["authorization"] == "Bearer t"


def test_connections_are_reused(server: RawServer, client: AuthenticatedClient):
    for _ in range(3):
        get_usage.sync("app_1", client=client)
    assert server.connections == 1


@pytest.mark.parametrize("prefix", ["", "/base/path", "/base/"])
def test_what_is_sent_is_what_the_request_says(server: RawServer, prefix: str):
    awkward = "".join(map(chr, range(0x20, 0x7F))) + "é€😀\0"
    request = mint_user_access_token.request(awkward, awkward, body=MintUserAccessTokenRequest(scope="a b"))
    query = delete_app_user.request("a", external_user_id=awkward)
    with Client(base_url=server.url + prefix) as client:
        client.send(request)
        assert server.last.target == prefix.rstrip("/") + request.url
        assert server.last.body == request.content == b'{"scope":"a b"}'
        assert server.last.headers["content-type"] == "application/json"
        client.send(query)
        assert server.last.target == prefix.rstrip("/") + query.url_with_query
        assert server.last.body == b""


def test_cookies_headers_and_httpx_arguments(server: RawServer):
    client = Client(
        base_url=server.url,
        cookies={"c": "sentinel-1"},
        headers={"X-A": "sentinel-2"},
        httpx_args={"event_hooks": {"request": [lambda request: request.headers.update({"X-Hook": "yes"})]}},
        follow_redirects=True,
        verify_ssl=ssl.create_default_context(),
    )
    with client:
        client.send(get_eth_usd_price.request())
    assert server.last.headers["cookie"] == "c=sentinel-1"
    assert server.last.headers["x-a"] == "sentinel-2"
    assert server.last.headers["x-hook"] == "yes"
    assert "sentinel" not in repr(client)


def test_not_modified(server: RawServer):
    server.answers(304, b"")
    with Client(base_url=server.url) as client:
        response = get_app_manifest.sync_detailed("a", client=client, if_none_match='"tag"')
    assert (response.status_code, response.parsed) == (304, None)
    assert server.last.headers["if-none-match"] == '"tag"'


def test_a_typed_error_is_a_value(server: RawServer, client: AuthenticatedClient):
    server.answers(404, b'{"error": "Not found"}')
    assert get_usage.sync("app_1", client=client) == ErrorEnvelope(error="Not found")
    assert get_usage.sync_detailed("app_1", client=client).status_code == 404


# -- faults of stock clients ---------------------------------------------------------------------------------


def test_the_token_is_in_no_repr(server: RawServer):
    client = AuthenticatedClient(base_url=server.url, token="sentinel-token", headers={"Authorization": "sentinel"})
    shown = [repr(client), str(client)]
    with client:
        client.send(get_usage.request("a"))
        shown += [repr(client), repr(client.get_httpx_client()), repr(client.token), str(vars(type(client)))]
    shown += [repr(client.with_headers({"X": "sentinel"})), repr(client.with_cookies({"X": "sentinel"}))]
    assert not any("sentinel" in text for text in shown)
    assert server.last.headers["authorization"] == "Bearer sentinel-token"


def test_copies_leave_the_original_alone(server: RawServer):
    with Client(base_url=server.url, headers={"X-A": "1"}, cookies={"c": "1"}, timeout=7.0) as client:
        live = client.get_httpx_client()
        before = (dict(live.headers), dict(live.cookies), live.timeout)
        copies = [
            client.with_headers({"X-A": "2", "X-B": "2"}),
            client.with_cookies({"c": "2", "d": "2"}),
            client.with_timeout(1.0),
        ]
        assert (dict(live.headers), dict(live.cookies), live.timeout) == before
        client.send(get_eth_usd_price.request())
        assert server.last.headers["x-a"] == "1"
        assert server.last.headers["cookie"] == "c=1"
        assert "x-b" not in server.last.headers
        expected = [("2", "c=1", 7.0), ("1", "c=2; d=2", 7.0), ("1", "c=1", 1.0)]
        for twin, (header, cookie, timeout) in zip(copies, expected, strict=True):
            assert twin.get_httpx_client() is not live
            with twin:
                twin.send(get_eth_usd_price.request())
                assert twin.get_httpx_client().timeout == httpx.Timeout(timeout)
            assert (server.last.headers["x-a"], server.last.headers["cookie"]) == (header, cookie)


def test_authenticated_copies_keep_their_token(server: RawServer):
    client = AuthenticatedClient(base_url=server.url, token="t", auth_header_name="X-Key", prefix="")
    with client.with_headers({"X-B": "2"}) as twin:
        assert type(twin) is AuthenticatedClient
        twin.send(get_usage.request("a"))
    assert server.last.headers["x-key"] == "t"
    assert server.last.headers["x-b"] == "2"


def test_there_is_a_time_out_by_default():
    expected = httpx.Timeout(30.0, connect=5.0)
    client = Client(base_url="http://localhost")
    assert client.get_httpx_client().timeout == expected
    assert client.get_async_httpx_client().timeout == expected
    assert Client(base_url="http://localhost", timeout=None).get_httpx_client().timeout == httpx.Timeout(None)
    client.get_httpx_client().close()
    asyncio.run(client.get_async_httpx_client().aclose())


HTML = b"<html><body>502 Bad Gateway</body></html>"


@pytest.mark.parametrize("status", [404, 502, 520])
def test_an_html_page_is_no_crash(server: RawServer, client: AuthenticatedClient, status: int):
    server.answers(status, HTML, "text/html")
    response = get_usage.sync_detailed("app_1", client=client)
    assert (response.status_code, response.parsed, response.content) == (status, None, HTML)
    assert get_usage.sync("app_1", client=client) is None
    with (
        AuthenticatedClient(base_url=server.url, token="t", raise_on_unexpected_status=True) as strict,
        pytest.raises(UnexpectedStatus) as caught,
    ):
        get_usage.sync("app_1", client=strict)
    assert caught.value.status_code == status
    assert caught.value.content == HTML


def test_an_html_page_as_a_success(server: RawServer, client: AuthenticatedClient):
    server.answers(200, HTML, "text/html")
    with pytest.raises(DecodeError, match="expected JSON, got HTML") as caught:
        get_usage.sync("app_1", client=client)
    assert caught.value.preview == HTML.decode()


def test_a_token_goes_only_where_it_is_asked_for(server: RawServer):
    with AuthenticatedClient(base_url=server.url, token="sentinel") as client:
        client.send(get_eth_usd_price.request())
        assert "authorization" not in server.last.headers
        client.send(get_usage.request("a"))
        assert server.last.headers["authorization"] == "Bearer sentinel"
        client.get_httpx_client().get("/own")  # a user's own request counts as authenticated
        assert server.last.headers["authorization"] == "Bearer sentinel"


def test_unset_has_a_repr():
    assert repr(UNSET) == "UNSET"
    assert not UNSET


# -- clients that are not ours -------------------------------------------------------------------------------


def test_a_client_of_the_users(server: RawServer):
    server.answers(200, json.dumps(USAGE).encode())
    with httpx.Client(base_url=server.url, headers={"X-Mine": "yes"}) as mine:
        client = AuthenticatedClient(base_url="http://unused", token="t").set_httpx_client(mine)
        assert isinstance(get_usage.sync("app_1", client=client), UsageResponse)
    assert server.last.headers["x-mine"] == "yes"
    assert server.last.headers["authorization"] == "Bearer t"


def test_an_async_client_of_the_users(server: RawServer):
    server.answers(200, json.dumps(USAGE).encode())

    async def run() -> Any:
        async with httpx.AsyncClient(base_url=server.url) as mine:
            client = Client(base_url="http://unused").set_async_httpx_client(mine)
            return await get_usage.asyncio("app_1", client=client)

    assert isinstance(asyncio.run(run()), UsageResponse)


class Canned:
    """Anything with `send` and `asend` will do."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def send(self, request: Request) -> HttpResponse:
        self.requests.append(request)
        return httpx.Response(200, json=USAGE)

    async def asend(self, request: Request) -> HttpResponse:
        return self.send(request)


def test_any_object_that_sends():
    canned = Canned()
    assert isinstance(get_usage.sync("app_1", client=canned), UsageResponse)
    assert isinstance(asyncio.run(get_usage.asyncio("app_1", client=canned)), UsageResponse)
    assert canned.requests == [get_usage.request("app_1")] * 2


# -- imports -------------------------------------------------------------------------------------------------


def modules_after(statement: str) -> set[str]:
    """Modules that a fresh interpreter has after a statement."""
    program = f"import sys; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_one_operation_imports_what_it_needs():
    modules = modules_after("import tollkit_api.usage.v2026_05.api.usage.get_usage")
    ours = {name for name in modules if name.startswith("tollkit_api")}
    assert "httpx" not in modules
    assert not any("builder" in name or "shapes" in name or name.endswith(".client") for name in ours)
    assert len(modules) < 130, sorted(modules)
    manifest = modules_after("import tollkit_api.builder.v2026_05.api.manifest.get_app_manifest")
    assert not any(".users" in name or "models.plan" in name or "models.billing" in name for name in manifest)


def test_fronts_import_nothing_below_them():
    modules = modules_after("import tollkit_api")
    assert {name for name in modules if name.startswith("tollkit_api")} == {
        "tollkit_api", "tollkit_api.runtime", "tollkit_api.runtime.lazy",
    }  # fmt: skip
    version = modules_after("import tollkit_api.builder.v2026_05.models")
    assert not any("models." in name for name in version)
    assert "attr" not in version


def test_fronts_lead_everywhere_without_further_imports():
    import tollkit_api

    assert tollkit_api.usage.v2026_05.api.usage.get_usage is get_usage
    assert tollkit_api.usage.v2026_05.models.UsageResponse is UsageResponse
    assert tollkit_api.usage.v2026_05.AuthenticatedClient is AuthenticatedClient
    assert tollkit_api.usage.v2026_05.errors.UnexpectedStatus is UnexpectedStatus
    assert tollkit_api.usage.v2026_05.types.UNSET is UNSET
    assert "usage" in dir(tollkit_api)
    assert tollkit_api.shapes.DiscoveryDocument.__name__ == "DiscoveryDocument"
    for name in tollkit_api.shapes.__all__:
        shape = getattr(tollkit_api.shapes, name)
        # a class, a union of some, or what no type can say
        assert shape is Any or (shape.__name__ == name if isinstance(shape, type) else get_args(shape))
