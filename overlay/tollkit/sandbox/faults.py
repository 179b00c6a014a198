"""Misbehaviour on demand: what the sandbox can be told to do wrong, and to which requests."""

from __future__ import annotations

import threading
from email.utils import formatdate
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, get_args

import attrs

from tollkit.sandbox.recorder import matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Fault", "FaultKind", "Faults"]

FaultKind = Literal[
    "latency",
    "reset",
    "half_answer",
    "status",
    "html",
    "content_type",
    "truncated_json",
    "huge_body",
    "expired_token",
    "rotated_key",
    "slow_down",
]
When = Literal["before", "after_read", "after_processing"]

_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_YEAR = 366 * 86_400.0


def _one_of(choices: Any) -> Any:
    return attrs.validators.in_(get_args(choices))


@attrs.frozen(kw_only=True)
class Fault:
    """One way to misbehave, and the requests that it is for.

    | kind | what the client sees | reads |
    | --- | --- | --- |
    | `latency` | the answer comes `seconds` (default 1) later; other faults still apply | `seconds` |
    | `reset` | the connection is reset, at the point that `when` names | `when` |
    | `half_answer` | status, a `Content-Length`, half of the bytes, end of the connection | |
    | `status` | `status` with `headers` and `body` instead of the answer | `status`, `headers`, `body`, `when`, ... |
    | `html` | `status` with an HTML error page, as a proxy in front of the platform sends | `status`, `when` |
    | `content_type` | the right answer under a wrong `Content-Type` | `content_type` |
    | `truncated_json` | a whole HTTP answer whose JSON stops half-way | |
    | `huge_body` | the right JSON object with a member `padding` of `size` bytes | `size` |
    | `expired_token` | the right answer with tokens that expired long ago | `seconds` |
    | `rotated_key` | the signing key is replaced before the request is handled | `keep_old` |
    | `slow_down` | a poll of the device flow is told `slow_down` (RFC 8628 section 3.5) | |

    Raises:
        ValueError: `kind` or `when` is none of the above.
    """

    kind: FaultKind = attrs.field(validator=_one_of(FaultKind))
    match: str = "*"
    """`"METHOD path"` or a path, both with `*` for any text, e.g. `"POST */oidc/token"`."""
    where: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """Query or form fields that the request must have, values with `*`, e.g. `{"grant_type": "*exchange"}`."""
    times: int | None = 1
    """How many requests it hits; None for all."""
    skip: int = 0
    """How many fitting requests pass unharmed first."""
    when: When = attrs.field(default="after_read", validator=_one_of(When))
    """`before` the body is read, `after_read` but not acted upon, or `after_processing`: the server has acted."""
    seconds: float | None = None
    """Of `latency` the delay, of `expired_token` the age of what is issued."""
    status: int = 500
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    body: Any = None
    """Of `status`: a text, a JSON document, or None for an empty body."""
    retry_after: float | None = None
    """Of `status` and `html`: sends `Retry-After` with that many seconds, or as a date that far ahead."""
    retry_after_form: Literal["seconds", "date"] = attrs.field(
        default="seconds", validator=attrs.validators.in_(("seconds", "date"))
    )
    content_type: str = "text/html; charset=utf-8"
    size: int = 8 * 1024 * 1024
    """Of `huge_body`: bytes of padding."""
    keep_old: bool = False
    """Of `rotated_key`: whether the old public key stays published."""

    @property
    def delay(self) -> float:
        """Seconds of latency."""
        return 1.0 if self.seconds is None else self.seconds

    @property
    def age(self) -> float:
        """How many seconds ago an `expired_token` was issued."""
        return _YEAR if self.seconds is None else self.seconds

    @property
    def needs_fields(self) -> bool:
        """Whether the body must be read before it is known if the fault fits."""
        return bool(self.where) or self.kind == "slow_down"

    def fits(self, fields: Iterable[tuple[str, str]]) -> bool:
        """Whether the query and form fields of a request are the ones that the fault is for."""
        wanted = {"grant_type": _DEVICE_GRANT, **self.where} if self.kind == "slow_down" else self.where
        given = dict(fields)
        return all(name in given and fnmatchcase(given[name], glob) for name, glob in wanted.items())

    def answer_headers(self, now: float) -> dict[str, str]:
        """The headers of a `status` or `html` answer that is given at that epoch time."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        if self.retry_after is not None:
            headers["retry-after"] = (
                f"{self.retry_after:g}"
                if self.retry_after_form == "seconds"
                else formatdate(now + self.retry_after, usegmt=True)
            )
        return headers


@attrs.define
class _Armed:
    fault: Fault
    left: int | None
    skip: int


class Faults:
    """The faults that are armed, in the order in which they were added; usable from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[_Armed] = []

    def __iter__(self) -> Iterator[Fault]:
        with self._lock:
            return iter([armed.fault for armed in self._armed])

    def __len__(self) -> int:
        return len(self._armed)

    def add(self, *faults: Fault) -> None:
        """Arm faults; each is gone when it has hit `times` requests."""
        with self._lock:
            self._armed.extend(_Armed(fault, fault.times, fault.skip) for fault in faults)

    def clear(self) -> None:
        """Disarm all faults."""
        with self._lock:
            self._armed.clear()

    def reading(self, method: str, path: str) -> bool:
        """Whether a fault for this path depends on fields, so that the body must be read to choose.

        Args:
            method: Of the request.
            path: Of the request.
        """
        with self._lock:
            return any(armed.fault.needs_fields and matches(armed.fault.match, method, path) for armed in self._armed)

    def take(self, method: str, path: str, fields: Iterable[tuple[str, str]]) -> list[Fault]:
        """The faults that hit this request, counted as used.

        All latencies, key rotations and backdatings that fit apply; of the kinds that replace or spoil the
        answer, the first.

        Args:
            method: Of the request.
            path: Of the request.
            fields: Names and values of its form, for faults that look at them.
        """
        pairs = list(fields)
        taken: list[Fault] = []
        with self._lock:
            for armed in self._armed:
                fault = armed.fault
                if not matches(fault.match, method, path) or not fault.fits(pairs):
                    continue
                spoils = fault.kind not in ("latency", "rotated_key", "expired_token")
                if spoils and any(kept.kind not in ("latency", "rotated_key", "expired_token") for kept in taken):
                    continue
                if armed.skip > 0:
                    armed.skip -= 1
                    continue
                if armed.left is not None:
                    armed.left -= 1
                taken.append(fault)
            self._armed = [armed for armed in self._armed if armed.left is None or armed.left > 0]
        return taken
