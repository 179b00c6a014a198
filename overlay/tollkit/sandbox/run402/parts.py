"""What groups of routes with documented success statuses have in common, and checks of what they are told."""

from __future__ import annotations

import functools
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
from starlette.responses import Response

from tollkit.oidc.json_values import is_list
from tollkit.run402.address import is_address
from tollkit.sandbox.clock import iso
from tollkit.sandbox.http import empty, json_answer
from tollkit.sandbox.run402.calls import Call, GatewayError, Handler, route

if TYPE_CHECKING:
    import sqlite3

    from starlette.routing import Route

    from tollkit.sandbox.run402.gateway import Gateway

__all__ = [
    "LABEL",
    "Answer",
    "Operation",
    "OperationGroup",
    "address",
    "invalid",
    "number",
    "one_of",
    "query_number",
    "text_list",
    "wei",
]

LABEL = re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
"""What a mailbox or a subdomain may be called: 3 to 63 of a-z, 0-9 and -, none at an end and no two in a row."""
_TABLE = re.compile(r"CREATE TABLE (\w+)")
_WEI = re.compile(r"[0-9]{1,78}")


@attrs.frozen
class Answer:
    """What a handler answers that wants another status than the usual one, or headers of its own.

    Args:
        body: Answered as JSON; None for no body.
        status: Of the answer, unless the caller of `succeed_with` wants another.
        headers: Of the answer.
    """

    body: Any
    status: int | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])


@attrs.frozen
class Operation:
    """An operation of the document.

    Args:
        id: Its `operationId`.
        method: In upper case.
        path: Its path, with names in braces.
        handler: Returns the body for the answer, None for none, or an `Answer`.
        statuses: The documented success statuses, the usual one first.
    """

    id: str
    method: str
    path: str
    handler: Handler
    statuses: tuple[int, ...]


class OperationGroup(ABC):
    """Routes that know which statuses their success may have.

    A subclass tells its tables in `schema`, as statements `CREATE TABLE name (...)`, and its operations in
    `operations`.
    """

    schema: ClassVar[str] = ""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._operations = {operation.id: operation for operation in self.operations()}
        gateway.db.executescript(self.schema)
        self._begin()

    @property
    def _db(self) -> sqlite3.Connection:
        return self._gateway.db

    def _begin(self) -> None:
        """Set the levers as they are at first."""
        self._statuses: dict[str, int] = {}

    @abstractmethod
    def operations(self) -> Iterable[Operation]:
        """The operations of the group."""

    def routes(self) -> list[Route]:
        """One route for each operation."""
        return [
            route(self._gateway, operation.method, operation.path, functools.partial(self._run, operation))
            for operation in self._operations.values()
        ]

    def forget(self) -> None:
        """Forget all state, levers included."""
        for table in _TABLE.findall(self.schema):
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - names of our own tables
        self._begin()

    def succeed_with(self, operation_id: str, status: int | None) -> None:
        """Answer an operation's successes with another of its documented statuses; None for the usual one.

        Raises:
            ValueError: No operation of the group, or no documented success status of it.
        """
        operation = self._operations.get(operation_id)
        if operation is None:
            raise ValueError(f"no operation {operation_id!r}; there are {', '.join(self._operations)}")
        if status is not None and status not in operation.statuses:
            raise ValueError(f"{operation_id} succeeds with {', '.join(map(str, operation.statuses))}")
        with self._gateway.lock:
            self._statuses.pop(operation_id, None)
            if status is not None:
                self._statuses[operation_id] = status

    def _run(self, operation: Operation, call: Call) -> Response:
        answer = operation.handler(call)
        if isinstance(answer, Response):
            return answer
        if not isinstance(answer, Answer):
            answer = Answer(answer)
        status = self._statuses.get(operation.id) or answer.status or operation.statuses[0]
        if answer.body is None or status == 204:
            return empty(status, answer.headers)
        return json_answer(answer.body, status, answer.headers)

    def _now(self) -> float:
        return self._gateway.clock.now()

    def _time(self, seconds: float) -> str:
        return iso(seconds)


def invalid(name: str, message: str) -> GatewayError:
    """The refusal of a member of the body or the query: 400 `VALIDATION_ERROR`."""
    return GatewayError(400, "VALIDATION_ERROR", f"{name} {message}", details={"field": name})


def one_of(call: Call, name: str, allowed: Iterable[str]) -> str:
    """A text of the body that is one of these.

    Raises:
        GatewayError: 400, it is not.
    """
    value = call.body.get(name)
    choices = tuple(allowed)
    if not isinstance(value, str) or value not in choices:
        raise invalid(name, f"must be one of {', '.join(choices)}")
    return value


def text_list(call: Call, name: str) -> list[str]:
    """A list of texts, none of them empty.

    Raises:
        GatewayError: 400, it is none.
    """
    value = call.body.get(name)
    if not is_list(value) or not all(isinstance(item, str) and item for item in value):
        raise invalid(name, "must be a list of texts")
    return value


def address(call: Call, name: str) -> str:
    """An address of a chain, in the body.

    Raises:
        GatewayError: 400, it is none.
    """
    value = call.body.get(name)
    if not isinstance(value, str) or not is_address(value):
        raise invalid(name, "must be an address: 0x and 40 hex digits")
    return value


def wei(call: Call, name: str) -> int:
    """An amount of wei, in the body as decimal text.

    Raises:
        GatewayError: 400, it is none.
    """
    value = call.body.get(name)
    if not isinstance(value, str) or _WEI.fullmatch(value) is None:
        raise invalid(name, "must be wei as decimal text")
    return int(value)


def number(value: object, name: str, most: int) -> int:
    """A whole number from 1 to `most`.

    Raises:
        GatewayError: 400, it is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise invalid(name, f"must be a whole number from 1 to {most}")
    return value


def query_number(call: Call, name: str, usual: int, most: int) -> int:
    """A whole number of the query, from 0 on; what is beyond `most` counts as `most`.

    Raises:
        GatewayError: 400, it is none.
    """
    text = call.query.get(name)
    if text is None:
        return usual
    if not text.isascii() or not text.isdigit():
        raise invalid(name, "must be a whole number")
    return min(int(text[:20]), most)
