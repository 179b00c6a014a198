"""What may come of a call: a result of the type that the method promises, or an error of the platform's family."""

from __future__ import annotations

import asyncio
import json
import pickle
import traceback
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import attrs
from mutations import Mutation, of_fields, of_whole
from takes import LONG, Chosen, Take, bound
from typing_of import misfit, result_of

from tollkit.errors import TollkitError

TESTS = str(Path(__file__).parents[1])
ASYNC_EACH = 15
"""Every fifteenth change is played to the async client, too."""
SHOWN = 25


@attrs.define
class Tally:
    """What was tried, and what was found."""

    tried: int = 0
    results: int = 0
    errors: int = 0
    found: list[str] = attrs.field(factory=list)
    _seen: set[Any] = attrs.field(factory=set)

    def new(self, place: object) -> bool:
        """Whether this is the first time that an error comes from this place."""
        if place in self._seen:
            return False
        self._seen.add(place)
        return True


def mutations_of(take: Take, chosen: Iterable[Chosen], part: int) -> Iterator[tuple[int, Mutation]]:
    """Every change of these answers of a call, with the number of the answer.

    Args:
        take: The call.
        chosen: The answers.
        part: Which of the error answers are played.
    """
    thin = 4 if len(take.answers) >= LONG else 1
    for one in chosen:
        number, answer = one.number, take.answers[one.number][1]
        of_all = islice(of_whole(answer, part + number), number % thin, None, thin)
        for mutation in chain(of_fields(answer, one.familiar), of_all):
            yield number, mutation


def play_all(take: Take, changes: Iterable[tuple[int, Mutation]]) -> Tally:
    """Play a call with each change in turn."""
    tally = Tally()
    promised = result_of(bound(take.client(None, False), take.method.partition(".")[2])._fn)
    with asyncio.Runner() as runner:
        for number, mutation in changes:
            tally.tried += 1
            _play(take, number, mutation, None, promised, tally)
            if tally.tried % ASYNC_EACH == 0:
                _play(take, number, mutation, runner, promised, tally)
    return tally


def _play(
    take: Take, number: int, mutation: Mutation, runner: asyncio.Runner | None, promised: Any, tally: Tally
) -> None:
    try:
        result = take.play(number, mutation.answer, runner)
    except TollkitError as error:
        tally.errors += 1
        problem = _wrong_with_error(take, error, tally)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        frames = traceback.extract_tb(error.__traceback__)[-3:]
        where = " < ".join(f"{Path(each.filename).name}:{each.lineno}" for each in reversed(frames))
        problem = f"raised {type(error).__name__}: {str(error)[:200]} ({where})"
    else:
        tally.results += 1
        problem = _wrong_with_result(take, result, promised, tally)
    if problem is not None:
        request = take.answers[number][0]
        kind = "blocking" if runner is None else "async"
        tally.found.append(f"{take.name} ({kind}), {request}, {mutation.path}: {mutation.change}: {problem}")


def _secret_in(take: Take, *texts: str) -> str | None:
    return next((f"shows the secret {each!r}" for each in take.secrets for text in texts if each in text), None)


def _wrong_with_error(take: Take, error: TollkitError, tally: Tally) -> str | None:
    if not isinstance(error, take.family):
        return f"raised {type(error).__name__}, which is no {take.family.__name__}"
    try:
        texts = [
            str(error),
            repr(error),
            repr(error.args),
            json.dumps(error.to_dict(), default=repr),
            repr(vars(error)),
        ]
    except Exception as problem:
        return f"cannot be shown: {type(problem).__name__}: {problem}"
    places = tuple((id(frame.f_code), line) for frame, line in traceback.walk_tb(error.__traceback__))
    if tally.new((type(error), error.code, places)):
        texts += traceback.format_exception(error)
        texts += _locals(error)
        try:
            twin = pickle.loads(pickle.dumps(error))
        except Exception as problem:
            return f"cannot be pickled: {type(problem).__name__}: {problem}"
        if (type(twin), str(twin), repr(twin.to_dict())) != (type(error), str(error), repr(error.to_dict())):
            return f"comes out of a pickle as {twin!r}"
    return _secret_in(take, *texts)


def _locals(error: BaseException) -> Iterator[str]:
    """The traceback with local variables, of all that led to the error, without the frames of tests."""
    pending: list[BaseException | None] = [error]
    seen: set[int] = set()
    while pending:
        one = pending.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            pending += [one.__cause__, one.__context__]
            frames = [
                (frame, line)
                for frame, line in traceback.walk_tb(one.__traceback__)
                if not frame.f_code.co_filename.startswith(TESTS)
            ]
            yield from traceback.StackSummary.extract(iter(frames), capture_locals=True).format()


def _wrong_with_result(take: Take, result: Any, promised: Any, tally: Tally) -> str | None:
    problem = misfit(result, promised)
    if problem is not None:
        return f"is of another type than promised: {problem}"
    try:
        shown = repr(result)
    except Exception as failure:
        return f"has a result that cannot be shown: {type(failure).__name__}: {failure}"
    if tally.new(type(result)):
        try:
            twin = pickle.loads(pickle.dumps(result))
        except Exception as failure:
            return f"has a result that cannot be pickled: {type(failure).__name__}: {failure}"
        if repr(twin) != shown:
            return f"has a result that comes out of a pickle as {twin!r}"
    return _secret_in(take, shown)


def told(tally: Tally) -> str:
    """What was found, shortened."""
    more = f"\n... and {len(tally.found) - SHOWN} more" if len(tally.found) > SHOWN else ""
    return f"{len(tally.found)} of {tally.tried}:\n" + "\n".join(tally.found[:SHOWN]) + more
