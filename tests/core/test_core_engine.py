"""The engine of the extra `fast`: when it is taken, and where it could differ from httpx and does not."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from support.server import Answer, Hold, Raw, Reset, Seen, Server, forward
from support.toy import AsyncToy, FastAsyncSide, FastBlockingSide, Side, Toy, request
from tollkit.core import engine
from tollkit.core.engine import SMALL, AsyncFast, Fast, Headers, chosen
from tollkit.core.flows import Flow, Wire
from tollkit.core.settings import Connection
from tollkit.errors import (
    ArgumentError,
    ConfigurationError,
    LocalError,
    MissingExtraError,
    RequestTimeoutError,
    TransportError,
)

FAST = Connection(engine="aiohttp")


@pytest.fixture(params=[FastBlockingSide, FastAsyncSide], ids=lambda kind: kind.name)
def fast(request: pytest.FixtureRequest) -> Iterator[Side]:
    made = request.param()
    yield made
    made.end()


def used(toy: Any) -> type:
    """The kind of the HTTP client that a client has made."""
    made = toy._connections._made
    found: Any = made[1] if isinstance(made, tuple) else next(iter(made.values()))[0]
    return type(found)


# --- when it is taken ----------------------------------------------------------------------------------------


def test_it_is_taken_where_it_is_installed(fast: Side) -> None:
    with Server() as server, fast.client(server.url, connection=Connection()) as toy:
        fast.do(toy.ask())
        assert used(toy) in (Fast, AsyncFast)


def test_a_setting_switches_it_off(fast: Side) -> None:
    with Server() as server, fast.client(server.url, connection=Connection(engine="httpx")) as toy:
        fast.do(toy.ask())
        assert used(toy) not in (Fast, AsyncFast)


@pytest.mark.parametrize(
    ("settings", "told"),
    [({"http2": True}, "http2="), ({"proxy": "socks5://127.0.0.1:9"}, "SOCKS")],
    ids=["http2", "socks"],
)
def test_what_needs_httpx_gets_it(settings: dict[str, Any], told: str) -> None:
    assert not chosen(Connection(**settings))
    with pytest.raises(ConfigurationError, match=told):
        chosen(Connection(engine="aiohttp", **settings))


def test_a_proxy_of_socks_in_the_environment_needs_httpx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5h://127.0.0.1:9")
    assert not chosen(Connection())
    assert chosen(Connection(trust_env=False))


def test_without_aiohttp(monkeypatch: pytest.MonkeyPatch) -> None:
    original = importlib.util.find_spec
    monkeypatch.setattr(engine, "find_spec", lambda name: None if name == "aiohttp" else original(name))
    assert not chosen(Connection())
    with pytest.raises(MissingExtraError, match=r"tollkit\[fast\]") as caught:
        chosen(FAST)
    assert caught.value.extra == "fast"


@pytest.mark.parametrize("value", ["requests", None, True])
def test_other_engines_are_refused(value: Any) -> None:
    with pytest.raises(ArgumentError, match="engine"):
        Connection(engine=value)


@pytest.mark.parametrize("value", [0, -1, 1.5, None, True])
def test_a_limit_is_a_whole_number(value: Any) -> None:
    with pytest.raises(ArgumentError, match="max_answer_bytes"):
        Connection(max_answer_bytes=value)


# --- proxies -------------------------------------------------------------------------------------------------


def test_hosts_that_need_no_proxy(fast: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(default=Answer.json(1)) as server, Server(default=forward) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removeprefix("http://"))  # a proxy without its scheme
        with fast.client(server.url, connection=FAST) as toy:
            assert fast.do(toy.ask()) == 1
        assert len(proxy.seen) == 1
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with fast.client(server.url, connection=FAST) as toy:
            assert fast.do(toy.ask()) == 1
        assert (len(proxy.seen), len(server.seen)) == (1, 2)


# --- bodies --------------------------------------------------------------------------------------------------


def put(content: bytes) -> Any:
    def body(self: Any) -> Flow[Any]:
        address = f"{self._service.base_url}/thing"
        response = yield Wire(method="PUT", url=address, headers={"Content-Length": "x"}, content=content)
        return response.status_code

    return body


def test_small_bodies_go_through_it_and_large_ones_through_httpx(fast: Side) -> None:
    with Server(default=Answer(200)) as server, fast.client(server.url, connection=FAST) as toy:
        assert fast.do(toy.ask(request("POST", content=b"a" * SMALL, success=(200,)))) is None
        assert fast.do(toy.ask(request("POST", content=b"b" * (SMALL + 1), success=(200,)))) is None
        assert [len(seen.body) for seen in server.seen] == [SMALL, SMALL + 1]
        assert server.accepted == 2  # httpx has its own connection
        assert fast.do(toy.perform(put(b"abc"))) == 200
        assert server.seen[-1].headers["content-length"] == "3"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET", "HEAD"])
def test_requests_without_a_body(side: Side, method: str) -> None:
    with Server(default=Answer(200)) as server, side.client(server.url) as toy:
        side.do(toy.ask(request(method, success=(200,))))
        (seen,) = server.seen
        assert (seen.method, seen.body, "content-type" in seen.headers) == (method, b"", False)
        told = {"POST": {"0"}, "PUT": {"0"}, "PATCH": {"0"}, "DELETE": {"0", None}}  # RFC 9110 section 8.6
        assert seen.headers.get("content-length") in told.get(method, {None})
        assert seen.headers["accept-encoding"] == "gzip, deflate"
        assert seen.headers["user-agent"].startswith("tollkit-python")
        assert seen.headers["accept"] == "*/*"


def test_an_address_goes_out_as_it_is_written(side: Side) -> None:
    written = "/a%2Fb/'x'/%7By%7D;=@?q=%27a%27|b&c=d%20e+f^`&d=%C3%A4"
    with Server(default=Answer.json(1)) as server, side.client(server.url) as toy:
        side.do(toy.ask(request(path=written)))
        assert server.seen[0].target == written


def test_a_body_beyond_the_limit(side: Side) -> None:
    with (
        Server(default=Answer.json("x" * 1000)) as server,
        side.client(server.url, connection=Connection(max_answer_bytes=500), max_retries=3) as toy,
    ):
        with pytest.raises(TransportError, match="larger than 500 bytes") as caught:
            side.do(toy.ask())
        assert (caught.value.code, caught.value.retryable, len(server.seen)) == ("answer_too_large", False, 1)
    with (
        Server(default=Answer.json("x" * 498)) as server,
        side.client(server.url, connection=Connection(max_answer_bytes=500)) as toy,
    ):
        assert side.do(toy.ask()) == "x" * 498


# --- headers of answers --------------------------------------------------------------------------------------


def test_header_fields() -> None:
    found = Headers([("X-A", "1"), ("x-a", "2"), ("B", "é"), ("C", "\udcff"), ("D", "\udcc3\udca9")])
    assert dict(found) == {"x-a": "1, 2", "b": "é", "c": "ÿ", "d": "é"}
    assert (found["X-a"], found.get("nothing"), len(found), "B" in found) == ("1, 2", None, 4, True)
    assert "1, 2" not in repr(found)


def test_long_header_fields(side: Side) -> None:
    long = "x" * 60_000
    with Server(Answer.json(1, x_long=long)) as server, side.client(server.url) as toy:
        assert side.do(toy.ask.raw()).headers["X-Long"] == long


# --- failures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "step",
    [Reset(), Raw(b""), Raw(b"garbage\r\n\r\n"), Raw(b"HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\nab")],
    ids=["reset", "nothing", "garbage", "half"],
)
def test_what_the_server_may_have_done_is_not_sent_again(side: Side, step: Any) -> None:
    with Server(default=step) as server, side.client(server.url) as toy:
        with pytest.raises(TransportError) as caught:
            side.do(toy.ask(request("POST", idempotent=False, params=(("token", "s3cret"),))))
        assert caught.value.kind == "network"
        assert (caught.value.safe_to_retry, len(server.seen)) == (False, 1)
        told = "".join(str(error) for error in (caught.value, caught.value.__cause__, caught.value.__context__))
        assert "s3cret" not in told


def test_silence_is_not_a_failure_to_connect(side: Side) -> None:
    with Server(default=Hold()) as server, side.client(server.url, timeout=0.1) as toy:
        with pytest.raises(RequestTimeoutError, match="No answer in time") as caught:
            side.do(toy.ask(request("POST", idempotent=False)))
        assert (caught.value.safe_to_retry, len(server.seen)) == (False, 1)


def test_a_header_that_cannot_be_sent(fast: Side) -> None:
    def body(self: Any) -> Flow[Any]:
        headers = {"x-secret": "s3cret\nx"}
        yield Wire(method="GET", url=f"{self._service.base_url}/thing", headers=headers, content=None)

    with Server() as server, fast.client(server.url, connection=FAST) as toy:
        with pytest.raises(TransportError) as caught:
            fast.do(toy.perform(body))
        assert (caught.value.code, server.seen) == ("invalid_request", [])
        assert "s3cret" not in f"{caught.value}{caught.value.__cause__}"


def test_a_connection_that_the_server_closed_meanwhile(side: Side) -> None:
    """A POST on it would be lost, and nobody could say whether it was done."""

    def closing(seen: Seen) -> Answer:
        return Answer.json(seen.connection)

    with Server(default=closing) as server, side.client(server.url, max_retries=0) as toy:
        assert side.do(toy.ask()) == 1
        server.hang_up()
        threading.Event().wait(engine._QUIET * 1.5)
        assert side.do(toy.ask(request("POST", idempotent=False))) == 2


# --- threads and loops ---------------------------------------------------------------------------------------


def test_one_thread_needs_no_other() -> None:
    with Server() as server, Toy(server.url, connection=FAST) as toy:
        for _ in range(3):
            toy.ask()
        assert server.accepted == 1
        assert not [thread for thread in threading.enumerate() if thread.name == "tollkit-engine"]


def test_the_threads_that_look_names_up_end_with_the_client() -> None:
    before = set(threading.enumerate())
    with Server(default=Answer.json(1)) as server:
        with Toy(server.url.replace("127.0.0.1", "localhost"), connection=FAST) as toy:
            assert toy.ask() == 1
            assert any("asyncio" in thread.name for thread in set(threading.enumerate()) - before)
        assert not any("asyncio" in thread.name for thread in set(threading.enumerate()) - before)


def test_a_blocking_client_within_a_running_event_loop() -> None:
    async def main(toy: Toy) -> Any:
        try:
            return toy.ask()
        finally:
            toy.close()

    with Server(default=Answer.json(7)) as server:
        toy = Toy(server.url, connection=FAST)
        assert toy.ask() == 7
        assert asyncio.run(main(toy)) == 7
        server.wait_closed()
    assert not [thread for thread in threading.enumerate() if thread.name == "tollkit-engine"]


def test_a_client_that_is_closed_while_another_thread_waits() -> None:
    first = Hold()
    found: list[BaseException] = []

    def call(toy: Toy) -> None:
        try:
            toy.ask()
        except BaseException as error:
            found.append(error)

    with Server(first, Hold()) as server:
        toy = Toy(server.url, connection=FAST, max_retries=0, timeout=30)
        threads = [threading.Thread(target=call, args=(toy,)) for _ in range(2)]
        for number, thread in enumerate(threads, 1):
            thread.start()
            server.wait_for(number)
        closer = threading.Thread(target=toy.close)  # waits for the call that has the loop of its own thread
        closer.start()
        threads[1].join(20)
        assert [isinstance(error, LocalError) for error in found] == [True]
        assert "was closed while it waited" in str(found[0])
        first.release.set()
        threads[0].join(20)
        closer.join(20)
        assert not closer.is_alive()
        assert len(found) == 1
        with pytest.raises(LocalError, match="closed"):
            toy.ask()


INTERRUPTED = """
import os, signal, sys, threading
from support.toy import Toy
from tollkit.core.settings import Connection

with Toy(sys.argv[1], connection=Connection(engine="aiohttp")) as toy:
    if sys.argv[2] == "far":
        other = threading.Thread(target=toy.ask, daemon=True)
        other.start()
        sys.stdin.readline()
    print("asking", flush=True)
    try:
        toy.ask()
    except KeyboardInterrupt:
        print("heard", flush=True)
    if sys.argv[2] == "far":
        other.join()
    print(toy.ask(), flush=True)
"""


@pytest.mark.parametrize("where", ["near", "far"])
def test_ctrl_c_is_heard_and_closes_the_connection(where: str) -> None:
    first, held = Hold(), Hold()
    script = [held] if where == "near" else [first, held]
    with Server(*script, default=Answer.json("well")) as server:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", INTERRUPTED, server.url, where],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": "tests"},
        )
        if where == "far":
            server.wait_for(1)
            assert process.stdin
            process.stdin.write("\n")
            process.stdin.flush()
        assert process.stdout
        assert process.stdout.readline() == "asking\n"
        server.wait_for(len(script))
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "heard\n"  # while the server still keeps silent
        first.release.set()
        assert process.stdout.readline() == "well\n"
        held.release.set()
        _, told = process.communicate(timeout=30)
        assert (process.returncode, told) == (0, "")


FORGOTTEN = """
import asyncio, sys
from support.toy import AsyncToy, Toy

async def main():
    global kept
    kept = AsyncToy(sys.argv[1])
    await kept.ask()

toy = Toy(sys.argv[1])
toy.ask()
asyncio.run(main())
loop = asyncio.new_event_loop()
loop.run_until_complete(kept.ask())
"""


def test_a_program_that_ends_without_closing_its_clients_is_quiet() -> None:
    with Server() as server:
        done = subprocess.run(
            [sys.executable, "-c", FORGOTTEN, server.url],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": "tests"},
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_client_that_is_dropped_ends_its_loops() -> None:
    with warnings.catch_warnings(), Server() as server:
        warnings.simplefilter("error")
        toy = Toy(server.url, connection=FAST)
        toy.ask()
        del toy
        gc.collect()
        server.wait_closed()


def test_many_tasks_on_one_client() -> None:
    async def main(url: str) -> int:
        async with AsyncToy(url, connection=Connection(engine="aiohttp", max_connections=10)) as toy:
            found = await asyncio.gather(*(toy.ask() for _ in range(300)))
        return sum(found)

    with Server(default=Answer.json(1)) as server:
        assert asyncio.run(main(server.url)) == 300
        assert server.accepted <= 10
