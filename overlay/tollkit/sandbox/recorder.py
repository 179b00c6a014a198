"""The log of requests that the sandbox received, with credentials redacted."""

from __future__ import annotations

import json
import threading
from bisect import insort
from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["REDACTED", "RecordedRequest", "RequestLog", "matches"]

REDACTED = "****"
_KEPT = 10_000

_SECRET_HEADERS = {
    "apikey",
    "authorization",
    "cookie",
    "payment-signature",
    "proxy-authorization",
    "set-cookie",
    "sign-in-with-x",
    "x-api-key",
    "x-goog-api-key",
    "x-payment",
}
_SECRET_FIELDS = {
    "access_token",
    "api_key",
    "apikey",
    "appsecret",
    "assertion",
    "client_assertion",
    "client_secret",
    "code",
    "code_verifier",
    "csrf",
    "device_code",
    "id_token",
    "key",
    "password",
    "refresh_token",
    "secret",
    "subject_token",
    "token",
    "transaction",
}


@attrs.frozen(kw_only=True)
class RecordedRequest:
    """A request as the sandbox received it, and the status that it answered.

    Header, query, form and JSON values that are credentials read `****`; of an `Authorization` header the scheme
    is kept.
    """

    number: int
    """Position in the order of arrival, from 1; not reset when the log is cleared."""
    method: str
    path: str
    """Percent-encoded, without query."""
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    """Names in lower case."""
    form: tuple[tuple[str, str], ...] = ()
    json: Any = None
    status: int | None = None
    """The status that was answered; None when the connection was reset before one was."""
    faults: tuple[str, ...] = ()
    """Kinds of the faults that were applied."""

    @property
    def line(self) -> str:
        """Method and path, e.g. `GET /api/v1/oidc/jwks`."""
        return f"{self.method} {self.path}"

    def value(self, name: str) -> str | None:
        """The first value of a query or form field; None when it was not sent."""
        return next((value for key, value in (*self.query, *self.form) if key == name), None)


def matches(pattern: str, method: str, path: str) -> bool:
    """Whether `"POST */token"`, `"*/token"`, or `"*"` fits a request; `*` stands for any text, `/` included."""
    head, _, tail = pattern.partition(" ")
    return fnmatchcase(method, head) and fnmatchcase(path, tail) if tail else fnmatchcase(path, head)


class RequestLog:
    """The last 10,000 requests in the order in which they arrived; iterates, has a length and can be indexed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[RecordedRequest] = []
        self._numbers = 0

    def __iter__(self) -> Iterator[RecordedRequest]:
        return iter(self.all())

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> RecordedRequest:
        return self.all()[index]

    def __repr__(self) -> str:
        return f"<RequestLog: {len(self)} requests>"

    def all(self) -> list[RecordedRequest]:
        """A copy of the log."""
        with self._lock:
            return list(self._entries)

    def matching(self, pattern: str) -> list[RecordedRequest]:
        """The requests that fit a pattern such as `"POST */token"` or `"*/users"`."""
        return [entry for entry in self.all() if matches(pattern, entry.method, entry.path)]

    def count(self, pattern: str = "*") -> int:
        """How many requests fit the pattern."""
        return len(self.matching(pattern))

    def counts(self) -> dict[str, int]:
        """How many requests there were for each `METHOD path`."""
        return dict(Counter(entry.line for entry in self.all()))

    def clear(self) -> None:
        """Forget all requests so far."""
        with self._lock:
            self._entries.clear()

    def arrived(self) -> int:
        """Take the number of a request that has just arrived."""
        with self._lock:
            self._numbers += 1
            return self._numbers

    def add(self, entry: RecordedRequest) -> None:
        """Keep a request, in the order of arrival whatever the order in which they were answered."""
        with self._lock:
            insort(self._entries, entry, key=lambda kept: kept.number)
            del self._entries[:-_KEPT]


def redact_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers with the credentials taken out; the scheme of an `Authorization` header stays."""
    return {name: _redacted(name, value) for name, value in headers.items()}


def _redacted(name: str, value: str) -> str:
    if name not in _SECRET_HEADERS:
        return value
    scheme, space, _ = value.partition(" ")
    return f"{scheme} {REDACTED}" if space and name.endswith("authorization") else REDACTED


def redact_fields(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs of a query or form text, secret values taken out."""
    return tuple(
        (name, REDACTED if name.lower() in _SECRET_FIELDS else value)
        for name, value in parse_qsl(text, keep_blank_values=True)
    )


def read_json(body: bytes) -> Any:
    """A JSON body with the secret members taken out; None when it is no JSON."""
    try:
        return _redact_json(json.loads(body))
    except (ValueError, RecursionError):
        return None


def _redact_json(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            name: REDACTED if name.lower() in _SECRET_FIELDS else _redact_json(value)
            for name, value in cast("dict[str, Any]", node).items()
        }
    return [_redact_json(item) for item in cast("Iterable[Any]", node)] if isinstance(node, list) else node
