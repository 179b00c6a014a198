"""Bodies that are read while they are sent, and answers that are written while they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from support.server import Answer, Half, Reset, Server
from support.toy import AsyncToy, BlockingSide, Side, Toy, ToyFlows
from tollkit.core.flows import Download, Flow, Wire
from tollkit.errors import ConnectError, TransportError
from tollkit_api.runtime import HttpResponse

PIECES = [bytes([number]) * 70_000 for number in range(20)]
WHOLE = b"".join(PIECES)


class Counted:
    """A body that counts how often it is opened, and may fail after some pieces."""

    size = len(WHOLE)

    def __init__(self, fail_after: int | None = None) -> None:
        self.opened = 0
        self._fail_after = fail_after

    def open(self) -> Iterator[bytes]:
        self.opened += 1
        for number, piece in enumerate(PIECES):
            if number == self._fail_after:
                raise FileNotFoundError("the file has gone")
            yield piece


class Small(Counted):
    """A body that fits into one piece of the network's."""

    size = 1_000

    def open(self) -> Iterator[bytes]:
        self.opened += 1
        yield from (WHOLE[:400], WHOLE[400:1_000])


class Sink:
    """Takes an answer's body when its status is among those that are wanted."""

    def __init__(self, *wanted: int, fail: bool = False) -> None:
        self.heads: list[tuple[int, str | None]] = []
        self.data = bytearray()
        self._wanted = wanted
        self._fail = fail

    def __call__(self, status: int, headers: Mapping[str, str]) -> Callable[[bytes], object] | None:
        self.heads.append((status, headers.get("etag")))
        return self._take if status in self._wanted else None

    def _take(self, piece: bytes) -> None:
        if self._fail:
            raise OSError("the disk is full")
        self.data += piece


def put(url: str, body: Any) -> Callable[[ToyFlows], Flow[HttpResponse]]:
    def run(_: ToyFlows) -> Flow[HttpResponse]:
        answer: HttpResponse = yield Wire("PUT", url + "/up", {"x-a": "1"}, body)
        return answer

    return run


def get(url: str, sink: Sink) -> Callable[[ToyFlows], Flow[HttpResponse]]:
    def run(_: ToyFlows) -> Flow[HttpResponse]:
        answer: HttpResponse = yield Download(Wire("GET", url + "/down", {}, None), sink)
        return answer

    return run


def test_a_body_is_sent_in_pieces_with_its_length(side: Side) -> None:
    body = Counted()
    with Server(Answer(201, b"ok")) as server, side.client(server.url) as client:
        answer = side.do(client.perform(put(server.url, body)))
    (seen,) = server.seen
    assert (answer.status_code, answer.content) == (201, b"ok")
    assert (seen.body, seen.values("content-length"), seen.headers["x-a"]) == (WHOLE, [str(len(WHOLE))], "1")
    assert "transfer-encoding" not in seen.headers
    assert body.opened == 1


@pytest.mark.parametrize("sized", [Small, Counted])
def test_a_small_body_takes_the_connection_of_the_other_calls(side: Side, sized: type[Counted]) -> None:
    """It is read before it is sent, so that the faster engine can take it; a large one goes out while it is read."""
    body = sized()
    with Server(Answer(200), Answer(201)) as server, side.client(server.url) as client:
        side.do(client.perform(put(server.url, None)))
        side.do(client.perform(put(server.url, body)))
        assert server.accepted == (2 if side.engine == "aiohttp" and sized is Counted else 1)
    assert server.seen[1].body == WHOLE[: body.size]
    assert server.seen[1].values("content-length") == [str(body.size)]
    assert body.opened == 1


def test_what_a_small_body_raises_comes_out_as_it_is(side: Side) -> None:
    class Gone(Small):
        def open(self) -> Iterator[bytes]:
            yield b"x"
            raise FileNotFoundError("the file has gone")

    with (
        Server() as server,
        side.client(server.url) as client,
        pytest.raises(FileNotFoundError, match="the file has gone"),
    ):
        side.do(client.perform(put(server.url, Gone())))
    assert server.seen == []


def test_a_body_is_opened_again_for_the_next_exchange(side: Side) -> None:
    body = Counted()

    def twice(_: ToyFlows) -> Flow[list[int]]:
        statuses: list[int] = []
        for _attempt in range(2):
            answer: HttpResponse = yield Wire("PUT", server.url, {}, body)
            statuses.append(answer.status_code)
        return statuses

    with Server(Answer(503), Answer(200)) as server, side.client(server.url) as client:
        assert side.do(client.perform(twice)) == [503, 200]
    assert [seen.body for seen in server.seen] == [WHOLE, WHOLE]
    assert body.opened == 2


def test_what_a_body_raises_comes_out_as_it_is(side: Side) -> None:
    with (
        Server() as server,
        side.client(server.url) as client,
        pytest.raises(FileNotFoundError, match="the file has gone"),
    ):
        side.do(client.perform(put(server.url, Counted(fail_after=3))))


def test_an_answer_goes_to_its_sink(side: Side) -> None:
    sink = Sink(200)
    with Server(Answer(200, WHOLE, {"etag": '"e"'})) as server, side.client(server.url) as client:
        answer = side.do(client.perform(get(server.url, sink)))
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (200, b"", '"e"')
    assert (bytes(sink.data), sink.heads) == (WHOLE, [(200, '"e"')])


def test_an_answer_that_the_sink_does_not_want_is_read_whole(side: Side) -> None:
    sink = Sink(200)
    with Server(Answer.json({"error": "no"}, 404)) as server, side.client(server.url) as client:
        answer = side.do(client.perform(get(server.url, sink)))
    assert (answer.status_code, answer.content, bytes(sink.data)) == (404, b'{"error": "no"}', b"")


def test_a_download_is_among_the_raw_answers(side: Side) -> None:
    with Server(Answer(200, WHOLE)) as server, side.client(server.url) as client:
        raw = side.do(client.perform.raw(get(server.url, Sink(200))))
    assert [(answer.status, answer.content, answer.url) for answer in raw.answers] == [
        (200, b"", server.url + "/down")
    ]


def test_a_broken_download_is_a_transport_error_and_what_came_is_there(side: Side) -> None:
    sink = Sink(200)
    with (
        Server(Half(Answer(200, WHOLE))) as server,
        side.client(server.url) as client,
        pytest.raises(TransportError) as caught,
    ):
        side.do(client.perform(get(server.url, sink)))
    assert caught.value.kind == "transport_error" or caught.value.retryable
    assert WHOLE.startswith(bytes(sink.data))


def test_no_answer_to_a_download_is_a_transport_error(side: Side) -> None:
    with Server(Reset()) as server, side.client(server.url) as client, pytest.raises(TransportError):
        side.do(client.perform(get(server.url, Sink(200))))


def test_no_connection_for_a_download_says_so(side: Side) -> None:
    with Server() as server:
        url = server.url
    with side.client(url) as client, pytest.raises(ConnectError):
        side.do(client.perform(get(url, Sink(200))))


def test_what_a_sink_raises_comes_out_as_it_is(side: Side) -> None:
    with (
        Server(Answer(200, WHOLE)) as server,
        side.client(server.url) as client,
    ):
        with pytest.raises(OSError, match="the disk is full"):
            side.do(client.perform(get(server.url, Sink(200, fail=True))))
        server.wait_closed()


class _Plain:
    """A client that was brought and reads whole answers only."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.closed = False

    def request(self, method: str, url: str, **arguments: Any) -> Any:
        return _Answered(self.status, {"etag": "x"}, b"".join(arguments["content"] or ()) or WHOLE)

    def close(self) -> None:
        self.closed = True


class _AsyncPlain(_Plain):
    async def request(self, method: str, url: str, **arguments: Any) -> Any:
        return super().request(method, url, **arguments)

    async def aclose(self) -> None:
        self.closed = True


class _Answered:
    def __init__(self, status_code: int, headers: dict[str, str], content: bytes) -> None:
        self.status_code, self.headers, self.content = status_code, headers, content


@pytest.mark.parametrize(("status", "kept"), [(200, b""), (500, WHOLE)])
def test_a_client_without_streams_still_fills_the_sink(side: Side, status: int, kept: bytes) -> None:
    brought = (_Plain if isinstance(side, BlockingSide) else _AsyncPlain)(status)
    kind: Any = Toy if isinstance(side, BlockingSide) else AsyncToy
    sink = Sink(200)
    client = kind("http://nowhere.invalid", http_client=brought)
    answer = side.do(client.perform(get("http://nowhere.invalid", sink)))
    assert (answer.status_code, answer.content) == (status, kept)
    assert bytes(sink.data) == (WHOLE if status == 200 else b"")
    side.close(client)
    assert not brought.closed
