"""Namespaces: groups of flows on a client, on its copies, and inside flows."""

from __future__ import annotations

import copy
import gc
import inspect
import sys
import weakref
from typing import Any, Generic, TypeVar, Unpack

import pytest

from support.server import Answer, Server
from support.toy import AsyncSide, Side, ToyError, parse, request
from tollkit.core.client import AsyncClient, BlockingClient, ClientOptions
from tollkit.core.drivers import Async, Blocking
from tollkit.core.flows import Flow, Flows, Send, flow, send
from tollkit.core.namespaces import Namespace
from tollkit.core.service import Service
from tollkit.core.settings import Timeout
from tollkit.errors import ArgumentError, NotFoundError

D = TypeVar("D")


class Group(Namespace[D]):
    _root: PlatformFlows


class Apps(Group[D]):
    @flow
    def get(self, app_id: str = "1", *, times: int = 1) -> Flow[Any]:
        """One app.

        Args:
            app_id: Its id.
            times: How often it is asked for.
        """
        if not app_id:
            raise ArgumentError("app_id", "must not be empty")
        found = None
        for _ in range(times):
            found = yield from self._root.ask(app_id)
        return found

    @flow
    def run(self) -> Flow[Any]:
        """A name that a driver has too."""
        return (yield from self.get("run"))


class Teams(Group[D]):
    @flow
    def app_of(self, team: str) -> Flow[Any]:
        return (yield from self._root.apps.get(f"of-{team}"))

    @property
    def members(self) -> Members[D]:
        return Members(self._root)


class Members(Group[D]):
    @flow
    def get(self, name: str) -> Flow[Any]:
        return (yield from self._root.ask(f"member-{name}"))


class Groups(Generic[D]):
    @property
    def apps(self) -> Apps[D]:
        return Apps(self)

    @property
    def teams(self) -> Teams[D]:
        return Teams(self)


class PlatformFlows(Groups[Flows], Flows):
    def __init__(self, base_url: str, project: str = "") -> None:
        self._service = Service(name="grouped", base_url=base_url)
        self._project = project

    def ask(self, path: str) -> Flow[Any]:
        return send(Send(request(path=f"{self._project}/{path}"), parse, self._service))


class Platform(Groups[Blocking], BlockingClient):
    family = ToyError

    def __init__(self, base_url: str, **options: Unpack[ClientOptions]) -> None:
        self._start(PlatformFlows(base_url), options, None)

    def __repr__(self) -> str:
        return "Platform()"


class AsyncPlatform(Groups[Async], AsyncClient):
    family = ToyError

    def __init__(self, base_url: str, **options: Unpack[ClientOptions]) -> None:
        self._start(PlatformFlows(base_url), options, None)

    def __repr__(self) -> str:
        return "Platform()"


def of_project(client: Any, project: str) -> Any:
    """A copy of a client whose flows are those of one project, as a platform with projects makes it."""
    scoped = client.with_options()
    scoped.flows = PlatformFlows(client.flows._service.base_url, f"/projects/{project}")
    return scoped


def paths(server: Server) -> list[str]:
    return [seen.target for seen in server.seen]


@pytest.fixture
def client(side: Side, server: Server) -> Any:
    kind = AsyncPlatform if isinstance(side, AsyncSide) else Platform
    made = kind(server.url)
    yield made
    side.close(made)


@pytest.fixture
def server() -> Any:
    with Server(default=Answer.json("found")) as made:
        yield made


def test_a_method_of_a_group_is_called(side: Side, client: Any, server: Server) -> None:
    assert side.do(client.apps.get("7")) == "found"
    assert paths(server) == ["/7"]


def test_groups_call_each_other_and_nest(side: Side, client: Any, server: Server) -> None:
    assert side.do(client.teams.app_of("red")) == "found"
    assert side.do(client.teams.members.get("ada")) == "found"
    assert paths(server) == ["/of-red", "/member-ada"]


def test_a_group_may_have_a_method_named_as_one_of_the_driver(side: Side, client: Any, server: Server) -> None:
    assert side.do(client.apps.run()) == "found"
    assert paths(server) == ["/run"]


def test_raw_gives_every_answer(side: Side, client: Any) -> None:
    raw = side.do(client.apps.get.raw("7", times=2))
    assert (raw.result, raw.status, len(raw.answers)) == ("found", 200, 2)


def test_a_copy_of_the_client_has_groups_with_its_options(side: Side, client: Any, server: Server) -> None:
    group = client.apps  # so that it would be found out if a copy took over groups that were made
    changed = client.with_options(headers={"x-team": "red"}, timeout=Timeout(read=7))
    side.do(changed.apps.get("changed"))
    side.do(group.get("unchanged"))
    told = {seen.target: seen.headers.get("x-team") for seen in server.seen}
    assert told == {"/changed": "red", "/unchanged": None}
    assert changed._connections is client._connections


def test_a_client_of_a_project_has_groups_of_that_project(side: Side, client: Any, server: Server) -> None:
    scoped = of_project(client, "p1")
    side.do(scoped.teams.app_of("red"))
    side.do(client.teams.app_of("red"))
    assert paths(server) == ["/projects/p1/of-red", "/of-red"]


def test_errors_get_the_family_of_the_client(side: Side, client: Any, server: Server) -> None:
    server.then(Answer(404))
    for error, app_id in ((NotFoundError, "7"), (ArgumentError, "")):
        with pytest.raises(error) as caught:
            side.do(client.apps.get(app_id))
        assert isinstance(caught.value, ToyError)


def test_methods_tell_their_name_signature_and_docstring(side: Side, client: Any) -> None:
    method = client.apps.get
    assert str(inspect.signature(method)) == "(app_id: 'str' = '1', *, times: 'int' = 1) -> 'Flow[Any]'"
    assert method.__name__ == "get"
    assert method.__qualname__ == "Apps.get"
    assert inspect.getdoc(method).startswith("One app.")
    assert repr(client.apps) == "<Apps of Platform()>"
    assert inspect.getdoc(Apps.get).startswith("One app.")
    assert inspect.iscoroutinefunction(type(method).__call__) is isinstance(side, AsyncSide)


def test_a_method_can_be_called_on_its_class(side: Side, client: Any) -> None:
    assert side.do(Apps.get(client.apps, "7")) == "found"


def test_groups_can_be_copied(side: Side, client: Any) -> None:
    assert side.do(copy.copy(client.apps).get("7")) == "found"


def test_a_group_keeps_its_client_and_no_cycle_holds_either() -> None:
    gc.collect()
    gc.disable()
    try:
        client = Platform("http://127.0.0.1:1")
        watched = weakref.ref(client)
        group = client.apps
        method = group.get
        del client
        assert watched() is not None, "a group in use keeps its client"
        del group, method
        assert watched() is None, "and goes with it, without the collector"
    finally:
        gc.enable()


def test_a_group_costs_little(side: Side, client: Any) -> None:
    bound = client.apps.get
    assert client.apps.get._fn is bound._fn, "what is made for a method is made once"
    assert sys.getsizeof(client.apps) < 100
