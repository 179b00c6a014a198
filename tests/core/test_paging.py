"""Paging: one iterator over all rows, blocking and async, that holds one page."""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import Iterator
from typing import Any, Generic, TypeVar, Unpack

import pytest

from support.server import Answer, Server
from support.toy import AsyncSide, Side, ToyError, parse, request
from tollkit.core.client import AsyncClient, BlockingClient, ClientOptions
from tollkit.core.drivers import Async, Blocking
from tollkit.core.flows import Flow, Flows, Send, flow, send
from tollkit.core.namespaces import Namespace
from tollkit.core.paging import AsyncPages, Page, Pages, by_offset, paged
from tollkit.core.service import Service
from tollkit.errors import ArgumentError, ServerError

D = TypeVar("D")


_alive: weakref.WeakSet[Thing] = weakref.WeakSet()


class Thing:
    def __init__(self) -> None:
        _alive.add(self)


class Rows(Namespace[D]):
    _root: RowFlows

    @flow
    def list(self, limit: int = 10, offset: int = 0) -> Flow[list[int]]:
        return (yield from self._root.get(limit=limit, offset=offset))

    @paged
    def iterate(self, *, page_size: int = 10) -> Flow[Page[int]]:
        """All rows.

        Args:
            page_size: Rows to ask for at once.
        """
        if page_size < 1:
            raise ArgumentError("page_size", "must be a whole number, 1 or more")
        return by_offset(lambda offset: self.list(page_size, offset), key=lambda row: row)

    @paged
    def by_cursor(self) -> Flow[Page[int]]:
        return self._after("")

    def _after(self, cursor: str) -> Flow[Page[int]]:
        rows = yield from self._root.get(cursor=cursor)
        after = rows.pop()
        return Page(rows, (lambda: self._after(after)) if after else None)

    @paged
    def things(self) -> Flow[Page[Thing]]:
        return self._things(3)

    def _things(self, pages: int) -> Flow[Page[Any]]:
        yield from ()
        return Page([Thing() for _ in range(3)], (lambda: self._things(pages - 1)) if pages > 1 else None)

    @flow
    def first_page(self) -> Flow[int]:
        page = yield from self.iterate(page_size=3)
        return len(page.rows)


class RowGroups(Generic[D]):
    @property
    def rows(self) -> Rows[D]:
        return Rows(self)


class RowFlows(RowGroups[Flows], Flows):
    def __init__(self, base_url: str) -> None:
        self._service = Service(name="rows", base_url=base_url)

    def get(self, **query: object) -> Flow[Any]:
        asked = request(params=tuple((name, str(value)) for name, value in query.items()))
        return send(Send(asked, parse, self._service))


class RowMethods(RowFlows):
    @paged
    def everything(self) -> Flow[Page[int]]:
        """All rows, on the client itself."""
        return by_offset(lambda offset: self.get(limit=4, offset=offset))


class RowClient(RowGroups[Blocking], BlockingClient):
    family = ToyError
    everything = RowMethods.everything

    def __init__(self, base_url: str, **options: Unpack[ClientOptions]) -> None:
        self._start(RowMethods(base_url), options, None)


class AsyncRowClient(RowGroups[Async], AsyncClient):
    family = ToyError
    everything = RowMethods.everything

    def __init__(self, base_url: str, **options: Unpack[ClientOptions]) -> None:
        self._start(RowMethods(base_url), options, None)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        yield made


@pytest.fixture
def client(side: Side, server: Server) -> Iterator[Any]:
    made = (AsyncRowClient if isinstance(side, AsyncSide) else RowClient)(server.url, max_retries=0)
    yield made
    side.close(made)


def take(side: Side, rows: Any, most: int = 1_000) -> list[int]:
    """The rows of an iterator, that many at most."""
    if not isinstance(side, AsyncSide):
        return [row for _, row in zip(range(most), rows, strict=False)]

    async def main() -> list[int]:
        found: list[int] = []
        async for row in rows:
            found.append(row)
            if len(found) == most:
                break
        return found

    return side.do(main())


def queries(server: Server) -> list[str]:
    return [seen.target.partition("?")[2] for seen in server.seen]


def pages(*pages: list[Any]) -> list[Answer]:
    return [Answer.json(page) for page in pages]


def test_rows_of_all_pages_come_in_order(side: Side, client: Any, server: Server) -> None:
    server.then(*pages([1, 2, 3], [4, 5, 6], [7, 8, 9], [10]))
    rows = client.rows.iterate(page_size=3)
    assert isinstance(rows, AsyncPages if isinstance(side, AsyncSide) else Pages)
    assert take(side, rows) == [*range(1, 11)]
    assert queries(server) == [f"limit=3&offset={offset}" for offset in (0, 3, 6, 9)]
    assert take(side, rows) == [], "what is at its end stays there"
    assert len(server.seen) == 4


def test_a_page_is_asked_for_when_its_first_row_is(side: Side, client: Any, server: Server) -> None:
    server.then(*pages([1, 2, 3], [4, 5, 6]))
    rows = client.rows.iterate(page_size=3)
    assert queries(server) == []
    assert take(side, rows, 3) == [1, 2, 3]
    assert len(server.seen) == 1, "nothing ahead of its time"
    assert take(side, rows, 1) == [4], "and an iteration that was left goes on"
    assert len(server.seen) == 2


def test_an_empty_list_has_no_rows(side: Side, client: Any, server: Server) -> None:
    server.then(*pages([]))
    assert take(side, client.rows.iterate(page_size=3)) == []
    assert len(server.seen) == 1


def test_a_full_last_page_is_followed_by_an_empty_one(side: Side, client: Any, server: Server) -> None:
    server.then(*pages([1, 2], [3, 4], []))
    assert take(side, client.rows.iterate(page_size=2)) == [1, 2, 3, 4]
    assert queries(server)[-1] == "limit=2&offset=4"


def test_a_platform_that_gives_less_than_it_is_asked_for_is_read_to_its_end(
    side: Side, client: Any, server: Server
) -> None:
    server.then(*pages([1, 2], [3, 4], [5]))
    assert take(side, client.rows.iterate(page_size=100)) == [1, 2, 3, 4, 5]
    assert queries(server) == [f"limit=100&offset={offset}" for offset in (0, 2, 4)]


def test_rows_that_new_ones_have_moved_on_do_not_come_twice(side: Side, client: Any, server: Server) -> None:
    server.then(*pages([9, 8, 7], [8, 7, 6], [5, 4, 3], [2]))  # two new rows came after the first page
    assert take(side, client.rows.iterate(page_size=3)) == [9, 8, 7, 6, 5, 4, 3, 2]


def test_cursors_and_empty_pages_in_the_middle(side: Side, client: Any, server: Server) -> None:
    server.then(*pages([1, 2, "a"], ["b"], [3, ""]))
    assert take(side, client.rows.by_cursor()) == [1, 2, 3]
    assert queries(server) == ["cursor=", "cursor=a", "cursor=b"]


def test_an_iteration_goes_on_after_a_failure(side: Side, client: Any, server: Server) -> None:
    server.then(Answer(500), *pages([1, 2]), Answer(500), *pages([3]))
    rows = client.rows.iterate(page_size=2)
    found: list[int] = []
    for before in ([], [1, 2]):
        with pytest.raises(ServerError) as caught:  # noqa: PT012 - how many rows come before it is what is tested
            while more := take(side, rows, 1):
                found += more
        assert isinstance(caught.value, ToyError)
        assert found == before
    assert take(side, rows) == [3]
    assert queries(server) == [f"limit=2&offset={offset}" for offset in (0, 0, 2, 2)]


def test_arguments_are_checked_when_the_first_row_is_asked_for(side: Side, client: Any, server: Server) -> None:
    rows = client.rows.iterate(page_size=0)
    with pytest.raises(ArgumentError) as caught:
        take(side, rows)
    assert isinstance(caught.value, ToyError)
    assert server.seen == []


def test_a_page_inside_a_flow(side: Side, client: Any, server: Server) -> None:
    server.then(*pages([1, 2, 3]))
    assert side.do(client.rows.first_page()) == 3


def test_a_paged_method_of_the_client_itself(side: Side, client: Any, server: Server) -> None:
    server.then(*pages([1, 2, 3, 4], [4, 4]))
    assert take(side, client.everything()) == [1, 2, 3, 4, 4, 4], "without a key every row counts"


def test_the_options_of_a_copy_are_those_of_its_iterations(side: Side, client: Any, server: Server) -> None:
    server.then(*pages([1], []))
    assert take(side, client.with_options(headers={"x-team": "red"}).rows.iterate(page_size=1)) == [1]
    assert [seen.headers.get("x-team") for seen in server.seen] == ["red", "red"]


def test_methods_tell_their_name_signature_and_docstring(side: Side, client: Any) -> None:
    method = client.rows.iterate
    assert str(inspect.signature(method)) == "(*, page_size: 'int' = 10) -> 'Flow[Page[int]]'"
    assert method.__name__ == "iterate"
    assert inspect.getdoc(method).startswith("All rows.")
    assert inspect.getdoc(Rows.iterate).startswith("All rows.")
    assert "iterator over all rows" in inspect.getdoc(type(method))
    assert repr(client.rows.iterate()).startswith(f"<{'Async' * isinstance(side, AsyncSide)}Pages of ")


def test_a_paged_method_can_be_called_on_its_class(side: Side, client: Any, server: Server) -> None:
    server.then(*pages([1], []))
    assert take(side, Rows.iterate(client.rows, page_size=1)) == [1]


def test_nothing_is_left_open_when_an_iteration_is_not_ended(server: Server) -> None:
    server.then(*pages([1, 2], [3, 4]))

    async def main() -> list[int]:
        async with AsyncRowClient(server.url) as client:
            async for row in client.rows.iterate(page_size=2):
                return [row]
        return []

    assert asyncio.run(main(), debug=True) == [1]


def test_one_page_is_held_at_most(side: Side, client: Any) -> None:
    rows = client.rows.things()
    held: list[int] = []
    for _ in range(9):
        del take(side, rows, 1)[:]
        held.append(len(_alive))
    assert max(held) == 3
    assert take(side, rows) == []
