"""Both clients of Run402 behind one way to call them, over a script of answers and credentials that write down.

play = side.play([Reply.json({"rows": []})])
play.do("projects.sql", "prj_k", "SELECT 1")
play.script.sent, play.credentials.reads, play.credentials.writes

run_case(side, case, "projects.sql", "prj_k", "SELECT 1")  # a recorded case of `method_requests`
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import attrs
import pytest

from support import pymthouse
from support.scripted_http import Entry, Reply, Script
from tollkit.run402.client import AsyncRun402, Run402
from tollkit.run402.credentials import AllowanceData, MemoryCredentials, ProjectKeys
from tollkit.secrets import Secret

API_BASE = "https://api.run402.test"
PROJECT = "prj_k"
WALLET = "0xAbCdEf0123456789aBcDeF0123456789abcdef01"
_DATA = Path(__file__).parents[1] / "run402" / "data"
_OF_EVERY_REQUEST = frozenset({"user-agent", "accept", "accept-encoding"})


class RecordingCredentials(MemoryCredentials):
    """One known project, always the same wallet header, and a list of what was asked for and what was told.

    Args:
        wallet: The address of the local wallet; none when left out.
        record: What is kept beside the keys of the project: `mailbox_id="mbx_1"`.
    """

    def __init__(self, wallet: str | None = None, **record: str) -> None:
        keys = {"anon_key": "ANON", "service_key": "SVC", **record}
        super().__init__({PROJECT: keys}, active_project_id=PROJECT)
        self.wallet = wallet
        self._record = record
        self.reads: list[str] = []
        self.writes: list[list[Any]] = []

    def again(self) -> RecordingCredentials:
        """As they were when they were made."""
        return type(self)(self.wallet, **self._record)

    def get_auth(self, path: str) -> Mapping[str, str] | None:
        return {"SIGN-IN-WITH-X": "SIWX"}

    def get_project(self, project_id: str) -> ProjectKeys | None:
        self.reads.append(f"getProject:{project_id}")
        return super().get_project(project_id)

    def get_active_project(self) -> str | None:
        self.reads.append("getActiveProject")
        return super().get_active_project()

    def read_allowance(self) -> AllowanceData | None:
        self.reads.append("readAllowance")
        if self.wallet is None:
            return None
        return AllowanceData(address=self.wallet, private_key=Secret("0x" + "1" * 64))

    def save_project(self, project_id: str, keys: ProjectKeys) -> None:
        self.writes.append(["saveProject", project_id, keys.to_dict()])
        super().save_project(project_id, keys)

    def update_project(self, project_id: str, changes: Mapping[str, Any]) -> None:
        self.writes.append(["updateProject", project_id, dict(changes)])
        super().update_project(project_id, changes)

    def remove_project(self, project_id: str) -> None:
        self.writes.append(["removeProject", project_id])
        super().remove_project(project_id)

    def set_active_project(self, project_id: str) -> None:
        self.writes.append(["setActiveProject", project_id])
        super().set_active_project(project_id)

    def save_allowance(self, allowance: AllowanceData) -> None:
        self.writes.append(["saveAllowance", allowance.to_dict()])


@attrs.frozen
class Play:
    """A client, the script that answers it and the credentials that it asks."""

    side: Any
    client: Any
    script: Script
    credentials: Any

    def do(self, method: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call `namespace.method` to its result."""
        return self.side.do(self.bound(method)(*args, **kwargs))

    def raises(self, kind: type[Exception], method: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call it to its error."""
        with pytest.raises(kind) as caught:
            self.do(method, *args, **kwargs)
        return caught.value

    def bound(self, method: str) -> Any:
        """The method `namespace.method`."""
        found = self.client
        for name in method.split("."):
            found = getattr(found, name)
        return found


def _played(side: Any, kind: Any, entries: Iterable[Entry] | Script, credentials: object, changes: Any) -> Play:
    script = entries if isinstance(entries, Script) else Script(entries)
    asked = RecordingCredentials() if credentials is None else credentials
    given = {"api_base": API_BASE, "credentials": asked, "http_client": side.http_client(script), **changes}
    return Play(side, side.made(kind(**given)), script, asked)


class BlockingSide(pymthouse.BlockingSide):
    """Calls the blocking client."""

    def play(self, entries: Iterable[Entry] | Script = (), *, credentials: object = None, **changes: Any) -> Play:
        """A client over a script; closed at the end of the test."""
        return _played(self, Run402, entries, credentials, changes)


class AsyncSide(pymthouse.AsyncSide):
    """Calls the async client, all calls of a test in one event loop."""

    def play(self, entries: Iterable[Entry] | Script = (), *, credentials: object = None, **changes: Any) -> Play:
        """A client over a script; closed at the end of the test."""
        return _played(self, AsyncRun402, entries, credentials, changes)


Side = BlockingSide | AsyncSide


@pytest.fixture(params=[BlockingSide, AsyncSide], ids=lambda kind: kind.name)
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    """The blocking or the async client."""
    chosen = request.param()
    yield chosen
    chosen.end()


def method_requests(part: str) -> dict[str, Mapping[str, Any]]:
    """The recorded cases of `data/method_requests_{part}.json` by what was called."""
    cases = json.loads((_DATA / f"method_requests_{part}.json").read_text())["cases"]
    return {case["call"]: case for case in cases}


def run_case(
    side: Side,
    case: Mapping[str, Any],
    method: str,
    /,
    *args: Any,
    answers: Sequence[Any] | None = None,
    credentials: RecordingCredentials | None = None,
    **kwargs: Any,
) -> Any:
    """Call what a recorded case calls; what is sent, asked of and told to the provider must be as recorded.

    Where a project's client has the method too, that one is called as well, and must do the same.

    Args:
        side: Blocking or async.
        case: The case.
        method: `namespace.method`.
        args: Of the call.
        answers: JSON bodies or `Reply`s, one a request; the recorded result when left out, as the stub echoed it.
        credentials: Others than those that know `prj_k` and have no wallet address.
        kwargs: Of the call.

    Returns:
        The result, or the error where the case has one.
    """
    bodies = [case["result"]] * len(case["requests"]) if answers is None else answers
    entries = [body if isinstance(body, Reply) else Reply.json(body) for body in bodies]
    scoped = scoped_call(side, method, args, kwargs)
    if scoped is not None:
        again = None if credentials is None else credentials.again()
        play = side.play(entries, credentials=again)
        project_id, args_left, kwargs_left = scoped
        play = attrs.evolve(play, client=side.do(play.client.project(project_id)))
        _run(play, case, method, args_left, kwargs_left)
    return _run(side.play(entries, credentials=credentials), case, method, args, kwargs)


def scoped_call(
    side: Side, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[str, Sequence[Any], Mapping[str, Any]] | None:
    """The project and the arguments that its client's method takes for the same call; `None` when it has none."""
    plain = side.play()
    scope = attrs.evolve(plain, client=side.do(plain.client.project(PROJECT)))
    try:
        taken = signature(scope.bound(method)).parameters
    except AttributeError:
        return None
    had = signature(plain.bound(method)).parameters
    if len(taken) < len(had):
        return args[0], args[1:], kwargs
    if "project_id" in had:
        left = {name: value for name, value in kwargs.items() if name != "project_id"}
        return None if left == kwargs else (kwargs["project_id"], args, left)
    return PROJECT, args, kwargs


def _run(play: Play, case: Mapping[str, Any], method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    if case["error"] is None:
        outcome = play.do(method, *args, **kwargs)
    else:
        outcome = play.raises(Exception, method, *args, **kwargs)
        assert_error(outcome, case["error"])
    assert [seen(sent) for sent in play.script.sent] == [recorded(request) for request in case["requests"]]
    assert play.credentials.reads == case["provider_reads"]
    assert play.credentials.writes == case["provider_writes"]
    play.script.assert_done()
    return outcome


def assert_error(error: Any, expected: Mapping[str, Any]) -> None:
    """The error is of the recorded class and says the recorded things."""
    told = {
        "class": error.name,
        "kind": error.kind,
        "status": error.status,
        "code": error.code,
        "context": error.doing,
    }
    assert {name: told[name] for name in expected if name in told} == {
        name: value for name, value in expected.items() if name in told
    }


def seen(sent: Any) -> tuple[str, str, dict[str, str], bytes | None]:
    """A request as it is compared: what every request carries is left out."""
    headers = {name: value for name, value in sent.headers.items() if name not in _OF_EVERY_REQUEST}
    return sent.method, sent.url.removeprefix(API_BASE), headers, sent.content


def recorded(request: Mapping[str, Any]) -> tuple[str, str, dict[str, str], bytes | None]:
    """A recorded request as it is compared.

    The wallet's signature beside a key is left out: the platform's client sends it with everything, this one only
    where the operation asks for it (docs/departures.md).
    """
    headers = {name.lower(): value for name, value in request["headers"].items()}
    asks_for_both = request["path"].startswith("/deploy/")
    if not asks_for_both and not headers.keys().isdisjoint({"authorization", "apikey"}):
        headers.pop("sign-in-with-x", None)
    body = request["body"]
    return request["method"], request["path"], headers, None if body is None else body.encode()
