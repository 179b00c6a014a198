"""One run for all who ask at the same time: threads, tasks, event loops, and all of them together."""

from __future__ import annotations

import asyncio
import functools
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from support.server import Answer, Hold, Server
from support.toy import AsyncToy, Side, Toy, ToyFlows
from tollkit.core.flows import Flow, call, offload, share, sleep
from tollkit.core.single_flight import SingleFlight
from tollkit.errors import NotFoundError, ServerError

NOWHERE = "http://127.0.0.1:1"
LIMIT = 20


class Flight(SingleFlight):
    """Knows how many callers have taken a seat, so that a test can let the leader land when all have."""

    def __init__(self) -> None:
        super().__init__()
        self._seated = threading.Condition()
        self.leaders = 0
        self.followers = 0

    def take(self, key: object) -> Any:
        seat = super().take(key)
        with self._seated:
            if seat.leader:
                self.leaders += 1
            else:
                self.followers += 1
            self._seated.notify_all()
        return seat

    def wait_for_followers(self, count: int) -> None:
        with self._seated:
            assert self._seated.wait_for(lambda: self.followers >= count, LIMIT), f"{self.followers} follow"

    def wait_for_leader(self) -> None:
        with self._seated:
            assert self._seated.wait_for(lambda: self.leaders > 0, LIMIT)


class Run:
    """A flow that ends when `others` callers wait for it; counts how often it was run."""

    def __init__(self, others: int, outcome: Callable[[], Any] = lambda: "shared") -> None:
        self.flight = Flight()
        self.runs = 0
        self._others = others
        self._outcome = outcome

    def flow(self) -> Flow[Any]:
        self.runs += 1
        yield from offload(functools.partial(self.flight.wait_for_followers, self._others))
        return self._outcome()

    def body(self, flows: ToyFlows) -> Flow[Any]:
        return (yield from share(self.flight, "key", self.flow))


def outcome_of(do: Callable[[], Any]) -> Any:
    try:
        return do()
    except Exception as error:
        return error


def in_threads(count: int, do: Callable[[], Any]) -> list[Any]:
    results: list[Any] = [None] * count

    def one(number: int) -> None:
        results[number] = outcome_of(do)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    return results


def in_tasks(count: int, do: Callable[[], Any]) -> list[Any]:
    async def main() -> list[Any]:
        return await asyncio.gather(*(do() for _ in range(count)), return_exceptions=True)

    return asyncio.run(main())


def failing() -> Any:
    raise ServerError("broken", status=503, body={"why": "so"})


def assert_one_error_each(errors: list[Any]) -> None:
    """All are the same error to look at, and no two have a traceback in common."""
    assert all(type(error) is type(errors[0]) for error in errors)
    assert all(isinstance(error, ServerError) for error in errors)
    assert {(error.message, error.status, str(error.body)) for error in errors} == {("broken", 503, "{'why': 'so'}")}
    assert len({id(error) for error in errors}) == len(errors)
    assert len({id(error.__traceback__) for error in errors}) == len(errors)
    # the tracebacks do not grow with the number of those who raise the error
    assert len({len(traceback.extract_tb(error.__traceback__)) for error in errors}) <= 2


def test_64_threads_share_one_run() -> None:
    run = Run(63)
    with Toy(NOWHERE) as toy:
        assert in_threads(64, lambda: toy.perform(run.body)) == ["shared"] * 64
    assert (run.runs, run.flight.leaders, run.flight.followers) == (1, 1, 63)


def test_64_tasks_share_one_run() -> None:
    run = Run(63)
    toy = AsyncToy(NOWHERE)
    assert in_tasks(64, lambda: toy.perform(run.body)) == ["shared"] * 64
    assert (run.runs, run.flight.leaders) == (1, 1)


def test_tasks_of_several_loops_share_one_run() -> None:
    run = Run(31)
    toy = AsyncToy(NOWHERE)
    found = in_threads(4, lambda: in_tasks(8, lambda: toy.perform(run.body)))
    assert found == [["shared"] * 8] * 4
    assert run.runs == 1


def test_threads_and_tasks_share_one_run() -> None:
    run = Run(23)
    blocking, asynchronous = Toy(NOWHERE), AsyncToy(NOWHERE)
    turns = iter([*["thread"] * 8, *["loop"] * 4])
    lock = threading.Lock()

    def one() -> Any:
        with lock:
            turn = next(turns)
        if turn == "thread":
            return blocking.perform(run.body)
        return in_tasks(4, lambda: asynchronous.perform(run.body))

    found = in_threads(12, one)
    assert found.count("shared") == 8
    assert found.count(["shared"] * 4) == 4
    assert run.runs == 1


def test_64_threads_get_one_error_each() -> None:
    run = Run(63, failing)
    with Toy(NOWHERE) as toy:
        assert_one_error_each(in_threads(64, lambda: toy.perform(run.body)))
    assert run.runs == 1


def test_64_tasks_get_one_error_each() -> None:
    run = Run(63, failing)
    toy = AsyncToy(NOWHERE)
    assert_one_error_each(in_tasks(64, lambda: toy.perform(run.body)))
    assert run.runs == 1


def test_the_error_of_one_does_not_disturb_another_who_has_handled_it() -> None:
    """What leaves a client has its frames cleared, and those of a caller who goes on must not be among them."""
    flight = Flight()
    hold = Hold(Answer(404))

    def goes_on(flows: ToyFlows) -> Flow[Any]:
        try:
            yield from share(flight, "key", flows.ask)
        except NotFoundError:
            return (yield from flows.ask())

    def fails(flows: ToyFlows) -> Flow[Any]:
        return (yield from share(flight, "key", flows.ask))

    async def main(server: Server) -> None:
        async with AsyncToy(server.url) as toy:
            first = asyncio.ensure_future(toy.perform(goes_on))
            await asyncio.to_thread(server.wait_for, 1)
            second = asyncio.ensure_future(toy.perform(fails))
            await asyncio.to_thread(flight.wait_for_followers, 1)
            hold.release.set()
            with pytest.raises(NotFoundError):
                await second
            await asyncio.to_thread(server.wait_for, 2)
            later.release.set()
            assert await first == "second"

    later = Hold(Answer.json("second"))
    with Server(hold, later) as server:
        asyncio.run(main(server))


def test_the_cause_of_a_shared_error_comes_along() -> None:
    cause = OSError("disk")

    def broken() -> Any:
        raise ServerError("broken") from cause

    run = Run(1, broken)
    with Toy(NOWHERE) as toy:
        errors = in_threads(2, lambda: toy.perform(run.body))
    assert [error.__cause__ for error in errors] == [cause, cause]


class Awkward(Exception):
    """Cannot be copied by its arguments."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")
        self.one = one


def test_an_error_with_a_constructor_of_its_own_is_delivered_too() -> None:
    def awkward() -> Any:
        raise Awkward("a", "b")

    run = Run(3, awkward)
    with Toy(NOWHERE) as toy:
        errors = in_threads(4, lambda: toy.perform(run.body))
    assert [type(error) for error in errors] == [Awkward] * 4
    assert {(str(error), error.one) for error in errors} == {("a and b", "a")}
    assert len({id(error) for error in errors}) == 4


def test_after_a_run_has_ended_the_next_caller_runs_again(side: Side) -> None:
    run = Run(0)
    with side.client(NOWHERE) as toy:
        assert side.do(toy.perform(run.body)) == "shared"
        assert side.do(toy.perform(run.body)) == "shared"
    assert run.runs == 2


def test_after_an_error_the_next_caller_runs_again(side: Side) -> None:
    answers = iter([failing, lambda: "well"])
    run = Run(0, lambda: next(answers)())
    with side.client(NOWHERE) as toy:
        with pytest.raises(ServerError):
            side.do(toy.perform(run.body))
        assert side.do(toy.perform(run.body)) == "well"


def test_keys_do_not_share(side: Side) -> None:
    flight = SingleFlight()

    def inner() -> Flow[str]:
        yield from ()
        return "inner"

    def outer(flows: ToyFlows) -> Flow[str]:
        def nested() -> Flow[str]:
            return (yield from share(flight, "b", inner)) + " of outer"

        return (yield from share(flight, "a", nested))

    with side.client(NOWHERE) as toy:
        assert side.do(toy.perform(outer)) == "inner of outer"


def test_a_shared_run_sends_one_request(side: Side) -> None:
    """What a token fetch does: all callers want the same answer at once."""
    flight = Flight()
    hold = Hold(Answer.json("token"))

    def body(flows: ToyFlows) -> Flow[Any]:
        return (yield from share(flight, "token", flows.ask))

    def release() -> None:
        flight.wait_for_followers(15)
        hold.release.set()

    with Server(hold) as server, side.client(server.url) as toy:
        helper = threading.Thread(target=release)
        helper.start()
        if side.name == "blocking":
            found = in_threads(16, lambda: toy.perform(body))
        else:
            found = side.do(_together([toy.perform(body) for _ in range(16)]))
        helper.join()
    assert found == ["token"] * 16
    assert len(server.seen) == 1


async def _together(calls: list[Any]) -> list[Any]:
    return await asyncio.gather(*calls)


# --- callers who give up ----------------------------------------------------------------------------------


def test_a_task_that_gives_up_does_not_end_the_run_it_began() -> None:
    """What others wait for goes on, and what cannot be had twice is not lost."""
    flight = Flight()
    hold = Hold(Answer.json("kept"))
    results: list[Any] = []

    def body(flows: ToyFlows) -> Flow[Any]:
        def lead() -> Flow[Any]:
            results.append((yield from flows.ask()))
            return results[-1]

        return (yield from share(flight, "key", lead))

    async def main(server: Server) -> None:
        async with AsyncToy(server.url) as toy:
            leader = asyncio.ensure_future(toy.perform(body))
            await asyncio.to_thread(server.wait_for, 1)
            follower = asyncio.ensure_future(toy.perform(body))
            await asyncio.to_thread(flight.wait_for_followers, 1)
            leader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leader
            hold.release.set()
            assert await follower == "kept"

    with Server(hold) as server:
        asyncio.run(main(server))
    assert results == ["kept"]
    assert len(server.seen) == 1


def test_a_follower_that_gives_up_does_not_end_the_run() -> None:
    flight = Flight()
    hold = Hold(Answer.json("kept"))

    def body(flows: ToyFlows) -> Flow[Any]:
        return (yield from share(flight, "key", flows.ask))

    async def main(server: Server) -> None:
        async with AsyncToy(server.url) as toy:
            leader = asyncio.ensure_future(toy.perform(body))
            await asyncio.to_thread(server.wait_for, 1)
            follower, other = (asyncio.ensure_future(toy.perform(body)) for _ in range(2))
            await asyncio.to_thread(flight.wait_for_followers, 2)
            follower.cancel()
            with pytest.raises(asyncio.CancelledError):
                await follower
            hold.release.set()
            assert (await leader, await other) == ("kept", "kept")

    with Server(hold) as server:
        asyncio.run(main(server))


def test_when_a_leading_thread_is_interrupted_another_leads() -> None:
    """A KeyboardInterrupt in one thread is not the others' error."""
    flight = Flight()
    interrupted: list[BaseException] = []
    runs: list[int] = []

    def run() -> Flow[str]:
        runs.append(1)
        if len(runs) == 1:
            yield from offload(lambda: flight.wait_for_followers(3))
            raise KeyboardInterrupt
        return "led by another"

    def body(flows: ToyFlows) -> Flow[Any]:
        return (yield from share(flight, "key", run))

    def one() -> Any:
        try:
            return toy.perform(body)
        except KeyboardInterrupt as error:
            interrupted.append(error)
            return "interrupted"

    with Toy(NOWHERE) as toy:
        found = in_threads(4, one)
    assert sorted(found) == ["interrupted", *["led by another"] * 3]
    assert len(interrupted) == 1
    assert len(runs) >= 2


def test_when_a_loop_ends_another_leads() -> None:
    """The loop of the leader ends in the middle of its run; a caller in a thread takes over."""
    flight = Flight()
    hold = Hold()

    def body(flows: ToyFlows) -> Flow[Any]:
        return (yield from share(flight, "key", flows.ask))

    async def main() -> None:
        asynchronous = AsyncToy(server.url)
        leader = asyncio.ensure_future(asynchronous.perform(body))
        await asyncio.to_thread(server.wait_for, 1)
        follower.start()
        await asyncio.to_thread(flight.wait_for_followers, 1)
        assert not leader.done()

    found: list[Any] = []
    with Server(hold, Answer.json("second")) as server, Toy(server.url) as toy:
        follower = threading.Thread(target=lambda: found.append(toy.perform(body)))
        asyncio.run(main())  # ends with the leader's task still waiting
        follower.join(LIMIT)
    assert found == ["second"]


def test_when_a_leading_thread_is_interrupted_a_task_leads() -> None:
    flight = Flight()
    runs: list[str] = []

    def run(who: str) -> Flow[str]:
        runs.append(who)
        if who == "thread":
            yield from offload(lambda: flight.wait_for_followers(1))
            raise KeyboardInterrupt
        return who

    def lead() -> None:
        with Toy(NOWHERE) as toy, pytest.raises(KeyboardInterrupt):
            toy.perform(lambda flows: share(flight, "key", lambda: run("thread")))

    async def follow() -> Any:
        return await AsyncToy(NOWHERE).perform(lambda flows: share(flight, "key", lambda: run("task")))

    leader = threading.Thread(target=lead)
    leader.start()
    flight.wait_for_leader()
    assert asyncio.run(follow()) == "task"
    leader.join()
    assert runs == ["thread", "task"]


def test_a_leader_cancelled_before_its_first_step_leaves_the_seat() -> None:
    """Its task never runs anything of its own, and still nobody waits for ever."""
    flight = Flight()

    def body(flows: ToyFlows) -> Flow[Any]:
        def lead() -> Flow[str]:
            yield from ()
            return "led"

        return (yield from share(flight, "key", lead))

    async def main() -> None:
        toy = AsyncToy(NOWHERE)
        mine = asyncio.current_task()
        leader = asyncio.ensure_future(toy.perform(body))
        while not flight.leaders:
            await asyncio.sleep(0)
            for task in asyncio.all_tasks() - {mine, leader}:
                task.cancel()  # the task that the leader has just made
        with pytest.raises(asyncio.CancelledError):
            await leader
        assert await toy.perform(body) == "led"

    asyncio.run(main())
    assert flight.leaders == 2


# --- callers who would wait for themselves -----------------------------------------------------------------


def test_a_run_that_blocks_for_itself_is_run_twice() -> None:
    """In a hook of itself, say: to wait would be to wait for ever."""
    flight = Flight()
    runs: list[str] = []

    def inner(flows: ToyFlows) -> Flow[str]:
        def run() -> Flow[str]:
            runs.append("inner")
            yield from ()
            return "inner"

        return (yield from share(flight, "key", run))

    def outer(flows: ToyFlows) -> Flow[str]:
        def run() -> Flow[str]:
            runs.append("outer")
            found = yield from call("hook", lambda: toy.perform(inner))
            return f"outer after {found}"

        return (yield from share(flight, "key", run))

    with Toy(NOWHERE) as toy:
        assert toy.perform(outer) == "outer after inner"
    assert runs == ["outer", "inner"]


def test_a_blocking_call_in_the_loop_of_the_leader_does_not_wait_for_it() -> None:
    flight = Flight()

    def body(flows: ToyFlows) -> Flow[str]:
        def run() -> Flow[str]:
            yield from sleep(0)
            return "run"

        return (yield from share(flight, "key", run))

    async def main() -> tuple[str, str]:
        leader = asyncio.ensure_future(AsyncToy(NOWHERE).perform(body))
        while not flight.leaders:
            await asyncio.sleep(0)
        with Toy(NOWHERE) as toy:
            mine = toy.perform(body)
        return mine, await leader

    assert asyncio.run(main()) == ("run", "run")


# --- meanwhile ---------------------------------------------------------------------------------------------


def test_with_meanwhile_only_the_leader_waits(side: Side) -> None:
    """Who finds the key being run gets what is there, at once."""
    flight = SingleFlight()
    running = threading.Event()
    release = threading.Event()

    def lead() -> Flow[str]:
        running.set()
        yield from offload(lambda: release.wait(LIMIT))
        return "new"

    def body(flows: ToyFlows) -> Flow[Any]:
        return (yield from share(flight, "key", lead, meanwhile="old"))

    led: list[Any] = []
    with Toy(NOWHERE) as leading, side.client(NOWHERE) as toy:
        leader = threading.Thread(target=lambda: led.append(leading.perform(body)))
        leader.start()
        assert running.wait(LIMIT)
        assert [side.do(toy.perform(body)) for _ in range(3)] == ["old"] * 3
        release.set()
        leader.join()
    assert led == ["new"]


def test_the_answers_of_a_shared_run_are_with_the_caller_who_ran_it(side: Side) -> None:
    def body(flows: ToyFlows) -> Flow[Any]:
        return (yield from share(SingleFlight(), "key", flows.ask))

    with Server(Answer.json("x")) as server, side.client(server.url) as toy:
        raw = side.do(toy.perform.raw(body))
    assert (raw.result, raw.status, len(raw.answers)) == ("x", 200, 1)


def test_an_error_of_a_shared_run_can_be_handled_in_the_flow(side: Side) -> None:
    def body(flows: ToyFlows) -> Flow[Any]:
        try:
            return (yield from share(SingleFlight(), "key", flows.ask))
        except NotFoundError as error:
            return error.status

    with Server(Answer(404)) as server, side.client(server.url) as toy:
        assert side.do(toy.perform(body)) == 404


def test_seats_and_landings_show_no_result() -> None:
    flight = SingleFlight()
    seat = flight.take("key")
    flight.land("key", seat, result="a token")
    assert "a token" not in repr(seat) + repr(seat.landing.result())
    assert seat.landing.result().outcome() == "a token"
