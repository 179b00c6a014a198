"""Flows: one body, run by both drivers."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import functools
import gc
import inspect
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from support.server import Answer, Hold, Seen, Server, Step
from support.toy import AsyncToy, Side, Toy, ToyError, ToyFlows, request
from tollkit.core import drivers
from tollkit.core.flows import Flow, Flows, Sleep, call, flow, gather, offload, sleep
from tollkit.core.raw import Answer as AnswerOfCall
from tollkit.errors import ArgumentError, NotFoundError, ServerError

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def toy(side: Side) -> Iterator[Any]:
    with side.client(NOWHERE) as client:
        yield client


# --- results and errors ---------------------------------------------------------------------------------


def test_a_flow_returns_its_result_through_nested_flows(side: Side) -> None:
    def outer(flows: ToyFlows) -> Flow[list[Any]]:
        first = yield from flows.ask()
        second = yield from flows.ask()
        return [first, second]

    with Server(Answer.json(1), Answer.json(2)) as server, side.client(server.url) as toy:
        assert side.do(toy.perform(outer)) == [1, 2]


def test_a_flow_without_effects_is_just_a_result(side: Side, toy: Any) -> None:
    def body(flows: ToyFlows) -> Flow[int]:
        yield from ()
        return 7

    assert side.do(toy.perform(body)) == 7


def test_an_error_is_thrown_into_the_flow_and_can_be_handled_there(side: Side) -> None:
    def body(flows: ToyFlows) -> Flow[str]:
        try:
            yield from flows.ask()
        except NotFoundError as error:
            return f"missing, {error.status}"
        return "there"

    with Server(Answer(404)) as server, side.client(server.url) as toy:
        assert side.do(toy.perform(body)) == "missing, 404"


def test_a_flow_goes_on_after_a_handled_error(side: Side) -> None:
    def body(flows: ToyFlows) -> Flow[Any]:
        try:
            yield from flows.ask()
        except NotFoundError:
            yield from sleep(3)
            return (yield from flows.ask())

    with Server(Answer(404), Answer.json("second")) as server, side.client(server.url) as toy:
        assert side.do(toy.perform(body)) == "second"


def test_an_unhandled_error_comes_out_and_finally_runs(side: Side) -> None:
    done: list[str] = []

    def body(flows: ToyFlows) -> Flow[None]:
        try:
            yield from flows.ask()
        finally:
            done.append("finally")

    with Server(Answer(404)) as server, side.client(server.url) as toy, pytest.raises(NotFoundError) as caught:
        side.do(toy.perform(body))
    assert done == ["finally"]
    assert "body" in {frame.name for frame in caught.traceback}, "the traceback leads through the flow"


def test_an_error_of_the_flow_itself_comes_out_as_it_is(side: Side, toy: Any) -> None:
    def body(flows: ToyFlows) -> Flow[None]:
        yield from sleep(0)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        side.do(toy.perform(body))


def test_an_error_raised_while_another_is_handled_keeps_it_as_context(side: Side) -> None:
    def body(flows: ToyFlows) -> Flow[None]:
        try:
            yield from flows.ask()
        except NotFoundError:
            raise RuntimeError("worse")  # noqa: B904 - the context is what is tested

    with Server(Answer(404)) as server, side.client(server.url) as toy, pytest.raises(RuntimeError) as caught:
        side.do(toy.perform(body))
    assert isinstance(caught.value.__context__, NotFoundError)


def test_a_stop_iteration_of_a_called_function_does_not_end_the_flow(side: Side, toy: Any) -> None:
    def body(flows: ToyFlows) -> Flow[str]:
        yield from call("given", lambda: next(iter(())))
        return "never"

    with pytest.raises(RuntimeError):
        side.do(toy.perform(body))


def test_errors_get_the_family_of_the_client(side: Side) -> None:
    with Server(default=Answer(404)) as server, side.client(server.url) as toy:
        for method in (toy.ask, toy.ask.raw):
            with pytest.raises(ToyError) as caught:
                side.do(method())
            assert isinstance(caught.value, NotFoundError)


# --- cancellation ---------------------------------------------------------------------------------------


def test_finally_runs_when_the_task_is_cancelled() -> None:
    done: list[str] = []

    def body(flows: ToyFlows) -> Flow[None]:
        try:
            yield from flows.ask()
        finally:
            done.append("finally")

    async def main(server: Server) -> None:
        async with AsyncToy(server.url) as toy:
            task = asyncio.ensure_future(toy.perform(body))
            await asyncio.to_thread(server.wait_for, 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert asyncio.all_tasks() == {asyncio.current_task()}

    hold = Hold()
    with Server(hold) as server:
        asyncio.run(main(server))
        assert done == ["finally"]
        hold.release.set()
        server.wait_closed()


def test_finally_runs_on_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def interrupt() -> None:
        raise KeyboardInterrupt

    def body(flows: ToyFlows) -> Flow[None]:
        try:
            yield from offload(interrupt)
        except Exception:
            done.append("not to be handled")
        finally:
            done.append("finally")

    with Toy(NOWHERE) as toy, pytest.raises(KeyboardInterrupt):
        toy.perform(body)
    assert done == ["finally"]


def test_a_cancelled_gather_cancels_its_flows() -> None:
    ended: list[int] = []

    def one(flows: ToyFlows, number: int) -> Flow[None]:
        try:
            yield from flows.ask()
        finally:
            ended.append(number)

    async def main(server: Server) -> None:
        async with AsyncToy(server.url) as toy:
            task = asyncio.ensure_future(toy.perform(lambda flows: gather([one(flows, 1), one(flows, 2)])))
            await asyncio.to_thread(server.wait_for, 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert asyncio.all_tasks() == {asyncio.current_task()}

    with Server(default=Hold()) as server:
        asyncio.run(main(server))
    assert sorted(ended) == [1, 2]


# --- effects --------------------------------------------------------------------------------------------


def test_sleep_waits_as_told(side: Side, toy: Any, naps: list[float]) -> None:
    assert side.do(toy.perform(lambda flows: sleep(2.5))) is None
    assert naps == [2.5]


def test_offload_calls_a_function(side: Side, toy: Any) -> None:
    where = side.do(toy.perform(lambda flows: offload(threading.get_ident)))
    assert (where == threading.get_ident()) == (side.name == "blocking"), "off the event loop, and only off one"


def test_offload_passes_on_what_the_function_raises(side: Side, toy: Any) -> None:
    def broken() -> None:
        raise LookupError("no such file")

    with pytest.raises(LookupError, match="no such file"):
        side.do(toy.perform(lambda flows: offload(broken)))


def test_call_runs_a_plain_function_where_the_flow_runs(side: Side, toy: Any) -> None:
    assert side.do(toy.perform(lambda flows: call("given", threading.get_ident))) == threading.get_ident()


def test_call_awaits_a_coroutine_function_on_an_async_client_only(side: Side, toy: Any) -> None:
    async def told() -> str:
        return "awaited"

    if side.name == "async":
        assert side.do(toy.perform(lambda flows: call("given", told))) == "awaited"
        return
    with pytest.raises(ArgumentError, match="plain function") as caught:
        side.do(toy.perform(lambda flows: call("given", told)))
    assert caught.value.argument == "given"


def test_call_refuses_other_awaitables_on_a_blocking_client() -> None:
    class Later:
        def __await__(self) -> Iterator[None]:
            yield

    with Toy(NOWHERE) as toy, pytest.raises(ArgumentError):
        toy.perform(lambda flows: call("given", Later))


# --- gather ---------------------------------------------------------------------------------------------


def test_gather_returns_results_in_the_order_of_its_flows(side: Side) -> None:
    """The first request is answered last."""
    last = Hold(Answer.json("/0"))

    def answered(seen: Any) -> Any:
        if seen.target == "/0":
            return last
        if seen.target == "/3":
            last.release.set()
        return Answer.json(seen.target)

    with Server(default=answered) as server, side.client(server.url) as toy:
        wanted = [request(path=f"/{number}") for number in range(4)]
        found = side.do(toy.perform(lambda flows: gather([flows.ask(one) for one in wanted])))
    assert found == ["/0", "/1", "/2", "/3"]


@pytest.mark.parametrize("limit", [0, 1])
def test_gather_with_a_limit_below_two_runs_one_after_the_other(side: Side, toy: Any, limit: int) -> None:
    events: list[str] = []

    def one(name: str) -> Flow[str]:
        events.append(f"{name} begins")
        yield from sleep(1)
        events.append(f"{name} ends")
        return name

    assert side.do(toy.perform(lambda flows: gather([one("a"), one("b")], limit=limit))) == ["a", "b"]
    assert events == ["a begins", "a ends", "b begins", "b ends"]


@pytest.mark.parametrize("count", [0, 1])
def test_gather_of_few(side: Side, toy: Any, count: int) -> None:
    def one() -> Flow[str]:
        yield from ()
        return "x"

    assert side.do(toy.perform(lambda flows: gather([one() for _ in range(count)]))) == ["x"] * count


def test_gather_honours_its_limit(side: Side) -> None:
    """Nobody is answered before `limit` requests are there, and of more than that the server would know."""
    lock = threading.Lock()
    gate = threading.Barrier(3, timeout=20)
    inside = 0
    most = 0

    def answered(seen: Any) -> Any:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        gate.wait()
        with lock:
            inside -= 1
        return Answer.json(seen.target)

    with Server(default=answered) as server, side.client(server.url) as toy:
        wanted = [request(path=f"/{number}") for number in range(9)]
        found = side.do(toy.perform(lambda flows: gather([flows.ask(one) for one in wanted], limit=3)))
    assert found == [f"/{number}" for number in range(9)]
    assert most == 3


def test_the_first_error_ends_a_gather_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes out though an earlier flow is not done; what has not begun never does, what runs is waited for."""
    cancelled = threading.Event()
    begun: list[str] = []
    ended: list[str] = []

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            if cancel_futures:
                cancelled.set()
            super().shutdown(wait=wait)

    def waits(name: str) -> Flow[None]:
        begun.append(name)
        assert (yield from offload(lambda: cancelled.wait(20)))
        ended.append(name)

    def fails() -> Flow[None]:
        yield from sleep(0)
        raise LookupError("second")

    def body(flows: ToyFlows) -> Flow[Any]:
        return (yield from gather([waits("first"), fails(), *(waits(f"later {n}") for n in range(20))], limit=2))

    monkeypatch.setattr(drivers, "ThreadPoolExecutor", Pool)
    with Toy(NOWHERE) as toy, pytest.raises(LookupError, match="second"):
        toy.perform(body)
    assert set(begun) <= {"first", "later 0"}
    assert sorted(ended) == sorted(begun)


def test_the_first_error_ends_a_gather_of_tasks() -> None:
    ended: list[str] = []

    def waits(flows: ToyFlows, name: str) -> Flow[Any]:
        try:
            return (yield from flows.ask(request(path=f"/{name}")))
        finally:
            ended.append(name)

    async def main(server: Server) -> None:
        async with AsyncToy(server.url, max_retries=0) as toy:
            with pytest.raises(ServerError) as caught:
                await toy.perform(lambda flows: gather([waits(flows, name) for name in ("a", "b", "fails", "c")]))
            assert caught.value.context["url"] == f"{server.url}/fails"
            assert asyncio.all_tasks() == {asyncio.current_task()}

    def answered(seen: Seen) -> Step:
        if seen.target != "/fails":
            return hold
        server.wait_for(4)
        return Answer(500)

    hold = Hold()
    with Server(default=answered) as server:
        asyncio.run(main(server))
    assert sorted(ended) == ["a", "b", "c", "fails"]


def test_workers_of_a_gather_see_the_callers_context(side: Side, toy: Any) -> None:
    variable = contextvars.ContextVar("variable", default="unset")

    def one() -> Flow[str]:
        seen = variable.get()
        variable.set("changed in a worker")
        yield from sleep(0)
        return seen

    async def asynchronously() -> Any:
        variable.set("callers")
        found = await toy.perform(lambda flows: gather([one(), one(), one()]))
        return found, variable.get()

    def blocking() -> Any:
        variable.set("callers")
        return toy.perform(lambda flows: gather([one(), one(), one()])), variable.get()

    run = blocking if side.name == "blocking" else asynchronously
    assert contextvars.copy_context().run(lambda: side.do(run())) == (["callers"] * 3, "callers")


# --- raw ------------------------------------------------------------------------------------------------


def test_raw_has_every_answer_with_status_headers_and_body(side: Side) -> None:
    def body(flows: ToyFlows) -> Flow[Any]:
        first = yield from flows.ask(request(path="/one", params=(("token", "hidden"),)))
        second = yield from flows.ask(request("PUT", "/two", content=b"{}"))
        return first + second

    script = (
        Answer(503, b"busy"),
        Answer.json("a", X_Step="1"),
        Answer.json("b", X_Step="2"),
    )
    with Server(*script) as server, side.client(server.url) as toy:
        raw = side.do(toy.perform.raw(body))
    assert raw.result == "ab"
    assert [(a.status, a.method, a.url) for a in raw.answers] == [
        (503, "GET", f"{server.url}/one"),
        (200, "GET", f"{server.url}/one"),
        (200, "PUT", f"{server.url}/two"),
    ]
    assert [answer.headers.get("x-step") for answer in raw.answers] == [None, "1", "2"]
    assert [answer.headers.get("X-STEP") for answer in raw.answers] == [None, "1", "2"]
    assert raw.answers[0].content == b"busy"
    assert raw.answers[0].text == "busy"
    assert raw.answers[0].json() is None
    assert raw.answers[1].json() == "a"
    assert raw.last is raw.answers[-1]
    assert (raw.status, raw.headers["x-step"], raw.content) == (200, "2", b'"b"')


def test_raw_of_a_call_without_requests(side: Side, toy: Any) -> None:
    raw = side.do(toy.perform.raw(lambda flows: sleep(0)))
    assert (raw.result, raw.answers, raw.last) == (None, (), None)
    assert (raw.status, raw.headers, raw.content) == (None, {}, b"")


def test_raw_has_the_answers_of_gathered_flows(side: Side) -> None:
    def body(flows: ToyFlows) -> Flow[Any]:
        return (yield from gather([flows.ask(request(path=f"/{number}")) for number in range(5)]))

    with Server() as server, side.client(server.url) as toy:
        raw = side.do(toy.perform.raw(body))
    assert sorted(answer.url for answer in raw.answers) == [f"{server.url}/{number}" for number in range(5)]


def test_an_answer_that_is_no_text_and_no_json_can_be_looked_at() -> None:
    answer = AnswerOfCall(200, {}, b"\xff[", "GET", NOWHERE)
    assert answer.text == "\ufffd["
    assert answer.json() is None
    assert AnswerOfCall(200, {}, b"[" * 100_000, "GET", NOWHERE).json() is None


# --- what bound methods tell about themselves -----------------------------------------------------------


def test_a_bound_method_tells_name_docstring_and_signature(side: Side, toy: Any) -> None:
    method = toy.ask
    assert method.__name__ == "ask"
    assert method.__qualname__ == "ToyFlows.ask"
    assert inspect.getdoc(method).startswith("Send one request.")
    assert list(inspect.signature(method).parameters) == ["asked"]
    assert repr(method) == f"<{type(toy).__name__}.ask>"
    assert callable(method)
    with pytest.raises(AttributeError):
        _ = method.no_such_thing


def test_the_classes_of_bound_methods_have_docstrings_of_their_own(side: Side, toy: Any) -> None:
    assert "method of a" in (type(toy.ask).__doc__ or "")


def test_a_bound_method_can_be_copied(side: Side, toy: Any) -> None:
    assert inspect.signature(copy.copy(toy.ask)) == inspect.signature(toy.ask)


def test_frameworks_see_which_methods_are_coroutine_functions() -> None:
    """Starlette and others look at `__call__` to decide whether a callable needs a thread."""
    assert inspect.iscoroutinefunction(AsyncToy(NOWHERE).ask.__call__)
    assert not inspect.iscoroutinefunction(Toy(NOWHERE).ask.__call__)


@pytest.mark.parametrize("owner", [Toy, AsyncToy, ToyFlows])
def test_on_the_class_a_flow_is_itself_and_documented(owner: type[Any]) -> None:
    method = owner.ask
    assert isinstance(method, flow)
    assert method.__name__ == "ask"
    assert inspect.getdoc(method).startswith("Send one request.")
    assert list(inspect.signature(method).parameters) == ["self", "asked"]


def test_a_method_can_be_called_on_its_class(side: Side) -> None:
    with Server(Answer.json("x")) as server, side.client(server.url) as toy:
        assert side.do(type(toy).ask(toy, request())) == "x"


def test_on_flows_a_flow_is_a_generator_method() -> None:
    class Counting(Flows):
        @flow
        def count(self, limit: int, *, step: float = 1) -> Flow[int]:
            """Count."""
            yield Sleep(step)
            return limit

    counting = Counting()
    assert inspect.ismethod(counting.count)
    assert inspect.isgeneratorfunction(counting.count)
    assert inspect.getdoc(counting.count) == "Count."
    assert str(inspect.signature(counting.count)) == "(limit: 'int', *, step: 'float' = 1) -> 'Flow[int]'"
    running = counting.count(3, step=2)
    assert inspect.isgenerator(running)
    assert next(running) == Sleep(2)
    with pytest.raises(StopIteration) as stopped:
        running.send(None)
    assert stopped.value.value == 3
    assert next(Counting.count(counting, 3)) == Sleep(1)


def test_wrong_arguments_are_a_type_error_as_of_any_function(side: Side, toy: Any) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
        side.do(toy.ask(nonsense=1))


def test_a_method_can_be_replaced_on_a_client_for_a_test(side: Side, toy: Any) -> None:
    toy.ask = functools.partial(str, "fake")
    assert toy.ask() == "fake"


def test_a_coroutine_that_nobody_awaits_starts_nothing() -> None:
    with Server() as server:
        waiting = AsyncToy(server.url).ask()
        waiting.close()
        gc.collect()
    assert server.seen == []
