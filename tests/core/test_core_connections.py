"""Connections: how many are made, who shares them, and that none is left over."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from support.certificates import Authority
from support.server import Answer, Hold, Server, Tunnel, forward
from support.toy import AsyncToy, Side, Toy, ToyError, request
from tollkit.core.credentials import SchemeCredentials
from tollkit.core.flows import gather
from tollkit.core.http import translate
from tollkit.core.settings import Connection, Timeout
from tollkit.errors import (
    ConnectError,
    LocalError,
    RequestTimeoutError,
    TransportError,
)
from tollkit_api.runtime import Request


def echo(seen: Any) -> Answer:
    return Answer.json(seen.target)


# --- one HTTP client ---------------------------------------------------------------------------------------


def test_50_calls_use_one_connection(side: Side) -> None:
    with Server(default=echo) as server, side.client(server.url) as toy:
        for number in range(50):
            assert side.do(toy.ask(request(path=f"/{number}"))) == f"/{number}"
        assert (server.accepted, server.open) == (1, 1)


def test_nothing_is_opened_before_the_first_request(side: Side) -> None:
    with Server() as server, side.client(server.url) as toy:
        toy.with_options(timeout=1)
        assert toy._connections._made in (None, {})
        assert server.accepted == 0


def test_copies_share_the_connections(side: Side) -> None:
    with Server() as server, side.client(server.url) as toy:
        copies = [
            toy,
            toy.with_options(timeout=9),
            toy.with_options(max_retries=0).with_options(headers={"X-A": "1"}),
        ]
        for copied in copies * 5:
            side.do(copied.ask())
        assert server.accepted == 1


def test_close_closes_the_connections(side: Side) -> None:
    with Server() as server, side.client(server.url) as toy:
        side.do(toy.ask())
        side.close(toy)
        server.wait_closed()


def test_a_closed_client_cannot_be_used(side: Side) -> None:
    with Server() as server, side.client(server.url) as toy:
        side.do(toy.ask())
        copied = toy.with_options(timeout=1)
        side.close(toy)
        side.close(toy)
        for closed in (toy, copied):
            with pytest.raises(LocalError, match="has been closed") as caught:
                side.do(closed.ask())
            assert caught.value.code == "client_closed"
            assert isinstance(caught.value, ToyError)
    assert len(server.seen) == 1


def test_a_client_closed_before_its_first_request(side: Side) -> None:
    with Server() as server, side.client(server.url) as toy:
        side.close(toy)
        with pytest.raises(LocalError):
            side.do(toy.ask())
    assert server.accepted == 0


def test_a_client_that_is_closed_while_a_thread_makes_its_connections() -> None:
    """The thread has looked whether the client is open, and waits for the lock."""
    with Server() as server:
        toy = Toy(server.url)
        connections = toy._connections
        errors: list[Exception] = []

        def ask() -> None:
            try:
                toy.ask()
            except LocalError as error:
                errors.append(error)

        class Lock:
            entered = threading.Event()
            release = threading.Event()

            def __enter__(self) -> None:
                self.entered.set()
                assert self.release.wait(20)

            def __exit__(self, *exc: object) -> None:
                """Nothing."""

        lock = Lock()
        connections._lock = lock  # type: ignore[assignment]
        thread = threading.Thread(target=ask)
        thread.start()
        assert lock.entered.wait(20)
        connections._open = False
        lock.release.set()
        thread.join()
        assert [error.code for error in errors] == ["client_closed"]  # type: ignore[attr-defined]
        assert connections._made is None


def test_threads_that_begin_at_once_make_one_http_client() -> None:
    gate = threading.Barrier(16, timeout=20)
    found: list[Any] = []
    with Toy("http://127.0.0.1:1") as toy:

        def one() -> None:
            gate.wait()
            found.append(toy._connections.client())

        threads = [threading.Thread(target=one) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({id(client) for client in found}) == 1


def test_64_threads_with_20_calls_each_on_one_client() -> None:
    wrong: list[Any] = []
    gate = threading.Barrier(64, timeout=20)
    options: Any = {"connection": Connection(max_connections=16), "timeout": None}
    with Server(default=echo) as server, Toy(server.url, **options) as toy:

        def one(number: int) -> None:
            gate.wait()
            for call in range(20):
                path = f"/{number}/{call}"
                found = toy.ask(request(path=path))
                if found != path:
                    wrong.append((path, found))

        threads = [threading.Thread(target=one, args=(number,)) for number in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.accepted <= 64
    assert wrong == []
    assert len(server.seen) == 64 * 20


def test_connections_are_kept_however_many_are_busy(side: Side) -> None:
    """48 requests at once, twice: the second time on the connections of the first, but for a few.

    Threads that race for a connection may make httpcore replace one; a limit for idle connections that is below
    the number of busy ones would replace a third of them.
    """
    gate = threading.Barrier(48, timeout=20)

    def together(seen: Any) -> Answer:
        gate.wait()
        return echo(seen)

    with Server(default=together) as server, side.client(server.url) as toy:
        for _ in range(2):
            side.do(toy.perform(lambda flows: gather([flows.ask() for _ in range(48)], limit=48)))
        assert 48 <= server.accepted < 58


def test_64_tasks_with_5_calls_each_on_one_client() -> None:
    async def main(url: str) -> list[Any]:
        async with AsyncToy(url, connection=Connection(max_connections=16), timeout=None) as toy:

            async def one(number: int) -> list[Any]:
                return [await toy.ask(request(path=f"/{number}/{call}")) for call in range(5)]

            return await asyncio.gather(*(one(number) for number in range(64)))

    with Server(default=echo) as server:
        found = asyncio.run(main(server.url))
        server.wait_closed()
    assert found == [[f"/{number}/{call}" for call in range(5)] for number in range(64)]
    assert server.accepted <= 64


# --- event loops --------------------------------------------------------------------------------------------


def test_the_async_client_works_in_one_loop_after_another() -> None:
    """What a loop leaves open is closed with it, without a word about unclosed sockets."""
    with Server() as server:
        toy = AsyncToy(server.url)
        for number in (1, 2, 3):
            asyncio.run(_twice(toy))
            server.wait_closed()
            assert server.accepted == number
        gc.collect()
        assert len(toy._connections._made) == 1, "loops that have ended are forgotten"


async def _twice(toy: Any) -> None:
    await toy.ask()
    await toy.ask()


def test_a_loop_that_is_closed_without_a_word_is_forgotten() -> None:
    with Server(default=Answer.json({}, connection="close")) as server:
        toy = AsyncToy(server.url)
        for _ in range(3):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(toy.ask())
            loop.close()
        assert len(toy._connections._made) == 1


def test_a_client_that_is_dropped_closes_its_connections() -> None:
    """In a loop that goes on, such as a web server's."""

    async def main(server: Server) -> None:
        toy = AsyncToy(server.url)
        await toy.ask()
        del toy
        gc.collect()
        await asyncio.to_thread(server.wait_closed)

    with Server() as server:
        asyncio.run(main(server))


def test_loops_in_several_threads_use_connections_of_their_own() -> None:
    gate = threading.Barrier(4, timeout=20)
    with Server(default=echo) as server:
        toy = AsyncToy(server.url)

        async def main() -> None:
            await toy.ask()
            await asyncio.to_thread(gate.wait)
            await toy.ask()

        threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        server.wait_closed()
    assert server.accepted == 4
    assert len(server.seen) == 8


def test_closing_in_one_loop_closes_what_the_others_have() -> None:
    asked = threading.Event()
    closed = threading.Event()

    async def other() -> None:
        await toy.ask()
        asked.set()
        await asyncio.to_thread(closed.wait, 20)
        await asyncio.to_thread(server.wait_closed)  # while this loop still runs

    async def main() -> None:
        await asyncio.to_thread(asked.wait, 20)
        await toy.ask()
        await toy.aclose()
        closed.set()

    with Server() as server:
        toy = AsyncToy(server.url)
        thread = threading.Thread(target=asyncio.run, args=(other(),))
        thread.start()
        asyncio.run(main())
        thread.join()
    assert server.accepted == 2


def test_a_cancelled_request_gives_its_connection_back() -> None:
    """With a pool of one, nothing could be sent any more if it did not."""

    async def main(server: Server) -> None:
        async with AsyncToy(server.url, connection=Connection(max_connections=1)) as toy:
            for number in (1, 2, 3):
                task = asyncio.ensure_future(toy.ask())
                await asyncio.to_thread(server.wait_for, number)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert asyncio.all_tasks() == {asyncio.current_task()}
            hold.release.set()
            assert await toy.ask() == "well"
        await asyncio.to_thread(server.wait_closed)

    hold = Hold()
    with Server(hold, hold, hold, Answer.json("well")) as server:
        asyncio.run(main(server))
    assert server.accepted == 4


def test_a_time_limit_of_asyncio_is_the_callers_own() -> None:
    async def main(server: Server) -> None:
        async with AsyncToy(server.url) as toy:
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0) as limit:
                    await toy.ask()
            assert limit.expired()
            assert not isinstance(caught.value, RequestTimeoutError)

    with Server(default=Hold()) as server:
        asyncio.run(main(server))


# --- processes -----------------------------------------------------------------------------------------------

FORKED = """
import os, sys
from support.toy import Toy

with Toy(sys.argv[1]) as toy:
    toy.ask()
    child = os.fork()
    if child == 0:
        toy.ask(), toy.ask()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    toy.ask()
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_forked_process_makes_its_own_connection() -> None:
    with Server() as server:
        path = os.pathsep.join(sys.path)
        subprocess.run([sys.executable, "-c", FORKED, server.url], check=True, env={**os.environ, "PYTHONPATH": path})
    assert [seen.connection for seen in server.seen] == [1, 2, 2, 1]


# --- a client that was brought ----------------------------------------------------------------------------------


def httpx_client(side: Side, **arguments: Any) -> Any:
    return httpx.Client(**arguments) if side.name == "blocking" else httpx.AsyncClient(**arguments)


def end(side: Side, client: Any) -> None:
    client.close() if side.name == "blocking" else side.do(client.aclose())


@pytest.fixture
def brought(side: Side) -> Iterator[Any]:
    client = httpx_client(side, headers={"X-Brought": "yes"}, verify=False)
    yield client
    end(side, client)


def test_a_brought_client_is_used_and_not_closed(side: Side, brought: Any) -> None:
    with Server() as server:
        with side.client(server.url, http_client=brought) as toy:
            side.do(toy.ask())
        assert not brought.is_closed
        assert server.seen[0].headers["x-brought"] == "yes"
        with side.client(server.url, http_client=brought) as toy:
            side.do(toy.with_options(headers={"X-Brought": "ours"}).ask())
        assert server.seen[1].headers["x-brought"] == "ours"
        assert server.accepted == 1


def test_the_copies_of_a_client_with_a_brought_one_are_closed_too(side: Side, brought: Any) -> None:
    with Server() as server, side.client(server.url, http_client=brought) as toy:
        side.close(toy.with_options(timeout=1))
        with pytest.raises(LocalError):
            side.do(toy.ask())
        assert not brought.is_closed


def test_redirects_are_not_followed_by_a_brought_client(side: Side) -> None:
    client = httpx_client(side, follow_redirects=True, verify=False)
    with Server(Answer(302, headers={"location": "/login"})) as server:
        with side.client(server.url, http_client=client) as toy, pytest.raises(ToyError):
            side.do(toy.ask())
        end(side, client)
    assert len(server.seen) == 1


def test_a_brought_client_keeps_its_time_outs_unless_the_caller_says_otherwise(side: Side) -> None:
    client = httpx_client(side, timeout=httpx.Timeout(20, read=0.05), verify=False)
    slow, longer = Hold(), Hold(Answer.json("in time"))
    with Server(slow, longer) as server, side.client(server.url, http_client=client, max_retries=0) as toy:
        with pytest.raises(RequestTimeoutError):
            side.do(toy.ask())
        slow.release.set()
        helper = threading.Thread(target=lambda: (server.wait_for(2), longer.release.set()))
        helper.start()
        assert side.do(toy.with_options(timeout=20).ask()) == "in time"
        helper.join()
        end(side, client)


def test_the_time_outs_of_a_call_are_those_of_its_client(side: Side) -> None:
    slow = Hold()
    with Server(default=slow) as server, side.client(server.url, max_retries=0) as toy:
        with pytest.raises(RequestTimeoutError):
            side.do(toy.with_options(timeout=Timeout(read=0.05)).ask())
        slow.release.set()
        assert side.do(toy.ask()) == {}


class Own:
    """A client written by hand, of the shape that `tollkit.core.http.HttpClient` asks for."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.calls: list[dict[str, Any]] = []
        self.closed = False
        self._fails = fails

    def answer(self, method: str, url: str, arguments: dict[str, Any]) -> Any:
        self.calls.append({"method": method, "url": url, **arguments})
        if self._fails:
            raise self._fails

        class Response:
            status_code = 200
            headers = {"content-type": "application/json"}
            content = b'"own"'

        return Response


class BlockingOwn(Own):
    def request(self, method: str, url: str, **arguments: Any) -> Any:
        return self.answer(method, url, arguments)

    def close(self) -> None:
        self.closed = True


class AsyncOwn(Own):
    async def request(self, method: str, url: str, **arguments: Any) -> Any:
        return self.answer(method, url, arguments)

    async def aclose(self) -> None:
        self.closed = True


def own(side: Side, fails: Exception | None = None) -> Any:
    return BlockingOwn(fails) if side.name == "blocking" else AsyncOwn(fails)


def test_a_client_written_by_hand(side: Side) -> None:
    mine = own(side)
    with side.client("http://h", http_client=mine) as toy:
        assert side.do(toy.ask(request("PUT", params=(("q", "1"),), content=b"x", headers={"X-A": "1"}))) == "own"
        assert side.do(toy.with_options(timeout=7).ask()) == "own"
    assert mine.calls == [
        {
            "method": "PUT",
            "url": "http://h/thing?q=1",
            "content": b"x",
            "headers": {"X-A": "1"},
            "follow_redirects": False,
        },
        {
            "method": "GET",
            "url": "http://h/thing",
            "content": None,
            "headers": {},
            "follow_redirects": False,
            "timeout": (7, 7, 7, 7),
        },
    ]
    assert not mine.closed


@pytest.mark.parametrize(
    ("failure", "cls", "safe"),
    [
        (ConnectionRefusedError(111, "refused"), ConnectError, True),
        (ConnectionResetError(104, "reset"), TransportError, False),
        (TimeoutError("late"), RequestTimeoutError, False),
        (BrokenPipeError(), TransportError, False),
        (httpx.ConnectTimeout("x"), RequestTimeoutError, True),
        (httpx.PoolTimeout("x"), RequestTimeoutError, True),
        (httpx.ReadTimeout("x"), RequestTimeoutError, False),
        (httpx.WriteTimeout("x"), RequestTimeoutError, False),
        (httpx.ConnectError("x"), ConnectError, True),
        (httpx.ProxyError("x"), ConnectError, True),
        (httpx.ReadError("x"), TransportError, False),
        (httpx.WriteError("x"), TransportError, False),
        (httpx.RemoteProtocolError("x"), TransportError, False),
        (httpx.DecodingError("x"), TransportError, False),
        (httpx.UnsupportedProtocol("x"), TransportError, False),
        (httpx.InvalidURL("x"), TransportError, False),
        (httpx.LocalProtocolError("x"), TransportError, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_failures_of_http_clients(side: Side, failure: Exception, cls: type[TransportError], safe: bool) -> None:
    with (
        side.client("http://h", http_client=own(side, failure), max_retries=0) as toy,
        pytest.raises(TransportError) as caught,
    ):
        side.do(toy.ask(request("POST")))
    error = caught.value
    assert type(error).__name__ == cls.__name__
    assert error.safe_to_retry is safe
    assert error.__cause__ is (None if isinstance(failure, httpx.LocalProtocolError) else failure)
    assert type(failure).__name__ in error.message or error.__cause__ is None


@pytest.mark.parametrize(
    "failure",
    [
        TypeError("x"),
        KeyError("x"),
        httpx.StreamConsumed(),
        RuntimeError("closed"),
        LocalError("ours"),
        ConnectError("ours"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_failure_of_http_comes_out_as_it_is(side: Side, failure: Exception) -> None:
    assert translate(failure) is None
    with (
        side.client("http://h", http_client=own(side, failure), max_retries=0) as toy,
        pytest.raises(type(failure)) as caught,
    ):
        side.do(toy.ask())
    assert caught.value is failure


# --- proxies and certificates ------------------------------------------------------------------------------------


def test_requests_go_through_the_proxy_that_was_given(side: Side) -> None:
    with Server(default=echo) as server, Server(default=forward) as proxy:
        given = Connection(proxy=proxy.url.replace("//", "//user:p%40ss@"))
        with side.client(server.url, connection=given) as toy:
            assert side.do(toy.ask(request(params=(("q", "1"),)))) == "/thing?q=1"
        assert [seen.target for seen in proxy.seen] == [f"{server.url}/thing?q=1"]
        assert proxy.seen[0].headers["proxy-authorization"] == "Basic dXNlcjpwQHNz"
        assert server.seen[0].headers["via"] == "1.1 test-proxy"


def test_requests_go_through_the_proxy_of_the_environment(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(default=echo) as server, Server(default=forward) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with side.client(server.url) as toy:
            side.do(toy.ask())
        with side.client(server.url, connection=Connection(trust_env=False)) as toy:
            side.do(toy.ask())
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with side.client(server.url) as toy:
            side.do(toy.ask())
    assert len(proxy.seen) == 1
    assert ["via" in seen.headers for seen in server.seen] == [True, False, False]


def test_tls_goes_through_a_tunnel_of_the_proxy(side: Side, authority: Authority) -> None:
    with Server(default=echo, tls=authority.server()) as server, Server(default=Tunnel()) as proxy:
        given = Connection(proxy=proxy.url, verify=authority.client())
        with side.client(server.url, connection=given) as toy:
            assert side.do(toy.ask()) == "/thing"
    assert [(seen.method, seen.target) for seen in proxy.seen] == [("CONNECT", f"127.0.0.1:{server.port}")]


def test_a_proxy_that_refuses_is_a_connect_error(side: Side, authority: Authority) -> None:
    with Server(default=Answer(407)) as proxy:
        given = Connection(proxy=proxy.url, verify=authority.client())
        with (
            side.client("https://127.0.0.1:1", connection=given, max_retries=0) as toy,
            pytest.raises(ConnectError) as caught,
        ):
            side.do(toy.ask(request("POST")))
    assert "407" in caught.value.message
    assert caught.value.safe_to_retry


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def test_a_certificate_of_an_unknown_authority_is_refused(side: Side, authority: Authority) -> None:
    with (
        Server(tls=authority.server()) as server,
        side.client(server.url, connection=Connection(), max_retries=0) as toy,
        pytest.raises(ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        side.do(toy.ask())
    assert server.seen == []


def test_a_context_that_trusts_the_authority_accepts_it(side: Side, authority: Authority) -> None:
    connection = Connection(verify=authority.client())
    with Server(tls=authority.server()) as server, side.client(server.url, connection=connection) as toy:
        assert side.do(toy.ask()) == {}
        assert side.do(toy.ask()) == {}
        assert server.accepted == 1


def test_a_certificate_for_another_host_is_refused(side: Side, authority: Authority) -> None:
    connection = Connection(verify=authority.client())
    with Server(tls=authority.server()) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        with (
            side.client(url, connection=connection, max_retries=0) as toy,
            pytest.raises(ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
        ):
            side.do(toy.ask())


def test_the_authorities_of_the_environment_count(
    side: Side, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with Server(tls=authority.server()) as server:
        with side.client(server.url, connection=Connection()) as toy:
            assert side.do(toy.ask()) == {}
        with (
            side.client(server.url, connection=Connection(trust_env=False), max_retries=0) as toy,
            pytest.raises(ConnectError),
        ):
            side.do(toy.ask())


@pytest.mark.parametrize("wanted", [True, False])
def test_http2_is_spoken_where_both_sides_do(side: Side, authority: Authority, wanted: bool) -> None:
    connection = Connection(http2=wanted, verify=authority.client())
    tls = authority.server("h2", "http/1.1")
    with Server(default=Answer.json("x"), tls=tls) as server, side.client(server.url, connection=connection) as toy:
        asked = [request("PUT", f"/{number}", content=b"{}") for number in range(4)]
        assert side.do(toy.perform(lambda flows: gather([flows.ask(one) for one in asked]))) == ["x"] * 4
    assert {seen.protocol for seen in server.seen} == {"h2" if wanted else "http/1.1"}
    assert {seen.body for seen in server.seen} == {b"{}"}
    if wanted and side.name == "async":
        assert server.accepted == 1, "all on one connection"


def test_http2_does_not_log_what_it_sends(
    side: Side, authority: Authority, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library under it logs every header field at DEBUG, keys in clear."""
    monkeypatch.setattr(logging.getLogger("hpack"), "level", logging.NOTSET)
    caplog.set_level(logging.DEBUG)
    connection = Connection(http2=True, verify=authority.client())
    headers = {"Authorization": "Bearer a-very-secret-key"}
    with (
        Server(default=Answer.json("x"), tls=authority.server("h2")) as server,
        side.client(server.url, connection=connection, headers=headers) as toy,
    ):
        side.do(toy.ask())
    assert server.seen[0].headers["authorization"] == "Bearer a-very-secret-key"
    assert "a-very-secret-key" not in caplog.text
    assert caplog.records


# --- with_options -----------------------------------------------------------------------------------------------


def test_with_options_leaves_the_original_alone(side: Side) -> None:
    with Server() as server, side.client(server.url, headers={"X-A": "1"}, max_retries=5) as toy:
        before = toy._options
        other = toy.with_options(timeout=1, max_retries=0, headers={"x-a": "2", "X-B": "2"}, on_event=print)
        assert type(other) is type(toy)
        assert toy._options is before
        assert other.flows is toy.flows
        assert other._connections is toy._connections
        assert other._options.max_retries == 0
        side.do(toy.ask())
        side.do(toy.with_options(headers={"x-a": "2", "X-B": "2"}).ask())
        side.do(toy.with_options().ask())
    sent = [(seen.values("x-a"), seen.values("x-b")) for seen in server.seen]
    assert sent == [(["1"], []), (["2"], ["2"]), (["1"], [])]


def test_what_a_subclass_keeps_is_shared_by_copies(side: Side) -> None:
    with side.client("http://h") as toy:
        toy.cache = {}
        assert toy.with_options(timeout=1).cache is toy.cache


def test_retries_are_those_of_the_copy(side: Side) -> None:
    with Server(default=Answer(503)) as server, side.client(server.url) as toy:
        for retries, requests in ((0, 1), (1, 3), (2, 6)):
            with pytest.raises(ToyError):
                side.do(toy.with_options(max_retries=retries).ask())
            assert len(server.seen) == requests


# --- what generated modules take as client= ---------------------------------------------------------------------


def send(side: Side, toy: Any, asked: Request) -> Any:
    return toy.api.send(asked) if side.name == "blocking" else side.do(toy.api.asend(asked))


def test_an_error_status_comes_back_as_an_answer(side: Side) -> None:
    with Server(Answer.json({"error": "why"}, 404)) as server, side.client(server.url) as toy:
        response = send(side, toy, request())
    assert (response.status_code, response.content) == (404, b'{"error": "why"}')


def test_retries_apply_and_the_last_answer_comes_back(side: Side) -> None:
    with Server(Answer(503), Answer(503), Answer(503, b"last")) as server, side.client(server.url) as toy:
        response = send(side, toy, request())
    assert (response.status_code, response.content) == (503, b"last")
    assert len(server.seen) == 3


def test_options_and_credentials_apply(side: Side) -> None:
    schemes = SchemeCredentials({"key": {"X-Key": "k"}})
    with Server(Answer(503), Answer.json("x")) as server, side.client(server.url, credentials=schemes) as toy:
        response = send(side, toy.with_options(headers={"X-A": "1"}), request(security=(("key",),)))
    assert response.content == b'"x"'
    assert [(seen.headers["x-key"], seen.headers["x-a"]) for seen in server.seen] == [("k", "1")] * 2


def test_no_answer_at_all_is_raised(side: Side) -> None:
    with side.client("http://127.0.0.1:1") as toy, pytest.raises(ConnectError) as caught:
        send(side, toy, request())
    assert isinstance(caught.value, ToyError)


def test_the_other_half_says_which_client_it_needs(side: Side) -> None:
    with side.client("http://h") as toy, pytest.raises(LocalError, match=r"use the \w+ client") as caught:
        asyncio.run(toy.api.asend(request())) if side.name == "blocking" else toy.api.send(request())
    assert caught.value.code == "wrong_client"
    assert isinstance(caught.value, ToyError)
