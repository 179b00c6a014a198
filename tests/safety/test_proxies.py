"""Proxies: of the settings and of the environment, for http and, by CONNECT with TLS behind it, for https."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.certificates import Authority
from support.run402 import AsyncSide, Side
from support.server import Answer, Server, Tunnel, forward
from tollkit.core.settings import Connection
from tollkit.errors import ArgumentError, ConnectError, TollkitError
from tollkit.run402 import AsyncRun402, MemoryCredentials, Run402

Connect = Callable[..., Connection]
SECRET = "sentinel-of-the-secret"
PASSWORD = "sentinel-of-the-proxy"
PROJECT = "prj_1"
ROWS = Answer.json({"rows": [], "rowCount": 0})


def ask(side: Side, url: str, connection: Connection) -> None:
    """One call with a key, to whatever end."""
    keys = MemoryCredentials({PROJECT: {"anon_key": SECRET, "service_key": SECRET}})
    kind = AsyncRun402 if isinstance(side, AsyncSide) else Run402
    client = side.made(
        kind(api_base=url, credentials=keys, payments=None, allow_insecure_http=True, max_retries=0,
             connection=connection)
    )  # fmt: skip
    try:
        side.do(client.projects.get_schema(PROJECT))
    except ConnectError:
        raise
    except TollkitError:  # the answers of these servers are none of Run402's
        return


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_http_goes_through_the_proxy_of_the_environment(
    variable: str, side: Side, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(default=ROWS) as server, Server(default=forward) as proxy:
        monkeypatch.setenv(variable, proxy.url.replace("//", f"//user:{PASSWORD}@"))
        ask(side, server.url, connect())
        assert [seen.target for seen in proxy.seen] == [f"{server.url}{server.seen[0].target}"]
        told = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
        assert proxy.seen[0].headers["proxy-authorization"] == f"Basic {told}"


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_https_goes_through_a_tunnel_and_tls_is_with_the_platform(
    variable: str, side: Side, connect: Connect, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with Server(default=ROWS, tls=authority.server()) as server, Server(default=Tunnel()) as proxy:
        monkeypatch.setenv(variable, proxy.url.replace("//", f"//user:{PASSWORD}@"))
        ask(side, server.url, connect())
        assert {(seen.method, seen.target) for seen in proxy.seen} == {("CONNECT", f"127.0.0.1:{server.port}")}
        assert "proxy-authorization" in proxy.seen[0].headers
        assert SECRET not in str(proxy.seen), "the proxy sees where to, and nothing of what"
        assert SECRET in str(server.seen[0].fields)
        assert "proxy-authorization" not in server.seen[0].headers


def test_a_proxy_that_looks_inside_is_refused(
    side: Side, connect: Connect, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers CONNECT and speaks TLS itself, with a certificate of an authority that nobody trusts."""
    (tmp_path / "its").mkdir()
    intruder = Authority(tmp_path / "its")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with (
        Server(tls=authority.server()) as server,
        Server(tls=intruder.server()) as inside,
        Server(default=Tunnel(to=f"127.0.0.1:{inside.port}")) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(ConnectError, match=r"(?i)certificate|unknown ?issuer"):
            ask(side, server.url, connect())
        assert proxy.seen
        assert (inside.seen, server.seen) == ([], [])


def test_no_proxy_names_what_goes_straight(side: Side, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(default=ROWS) as server, Server(default=forward) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        for without, through in (("127.0.0.1", 0), ("localhost,127.0.0.1", 0), ("*", 0), ("elsewhere.example", 1)):
            monkeypatch.setenv("NO_PROXY", without)
            before = len(proxy.seen)
            ask(side, server.url, connect())
            assert len(proxy.seen) - before == through, without
        assert len(server.seen) == 4


def test_trust_env_off_goes_straight(side: Side, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(default=ROWS) as server, Server(default=forward) as proxy:
        for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.url)
        ask(side, server.url, connect(trust_env=False))
        assert (len(server.seen), len(proxy.seen)) == (1, 0)


def test_the_proxy_of_the_settings_wins(side: Side, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(default=ROWS) as server, Server(default=forward) as one, Server(default=forward) as other:
        monkeypatch.setenv("HTTP_PROXY", other.url)
        ask(side, server.url, connect(proxy=one.url))
        assert (len(one.seen), len(other.seen), len(server.seen)) == (1, 0, 1)


def test_a_proxy_that_is_not_there_is_not_gone_round(
    side: Side, connect: Connect, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with Server(default=Answer(407)) as proxy, Server(tls=authority.server()) as server:
        for address in (proxy.url, "http://127.0.0.1:1"):
            monkeypatch.setenv("HTTPS_PROXY", address)
            with pytest.raises(ConnectError):
                ask(side, server.url, connect())
        assert server.seen == []


def test_the_password_of_a_proxy_is_shown_nowhere(side: Side, connect: Connect) -> None:
    connection = connect(proxy=f"http://user:{PASSWORD}@127.0.0.1:1")
    assert PASSWORD not in repr(connection)
    with pytest.raises(ConnectError) as caught:
        ask(side, "http://127.0.0.1:2", connection)
    assert PASSWORD not in str(caught.value) + repr(caught.value) + repr(caught.value.to_dict())


@pytest.mark.parametrize("address", ["proxy:3128", "ftp://proxy", "", "http://", 3128, "javascript:x", "http://a b"])
def test_what_is_no_proxy_is_refused(address: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        Connection(proxy=address)
    assert caught.value.argument == "proxy"
