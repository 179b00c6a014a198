"""What a caller can set about requests: time-outs, retries, headers, connections."""

from __future__ import annotations

import math
import re
import ssl
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

import attrs

from tollkit.errors import ArgumentError

if TYPE_CHECKING:
    from tollkit.core.events import Event

__all__ = ["KEEP", "Connection", "Keep", "Options", "Timeout", "merged"]

_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"(?:[!-~](?:[ \t!-~]*[!-~])?)?")
_PROXY = re.compile(r"(?:https?|socks5h?)://[^\s/]+/?")
_USER_INFO = re.compile(r"//.*@")


@attrs.frozen(kw_only=True)
class Timeout:
    """Time-outs of one HTTP exchange, in seconds; `None` waits for ever.

    Attributes:
        connect: To open a connection, TLS included.
        read: Between two pieces of the answer.
        write: Between two pieces of the request.
        pool: For a free connection of the pool.
    """

    connect: float | None = 5.0
    read: float | None = 30.0
    write: float | None = 30.0
    pool: float | None = 30.0

    def __attrs_post_init__(self) -> None:
        for name in ("connect", "read", "write", "pool"):
            value = getattr(self, name)
            if not (value is None or _is_seconds(value)):
                raise ArgumentError(name, "must be a positive number of seconds, or None")

    @classmethod
    def of(cls, value: Timeout | float | None) -> Timeout:
        """From one number for all four, or `None` for none at all.

        Raises:
            ArgumentError: `timeout` is not a positive number of seconds.
        """
        if isinstance(value, Timeout):
            return value
        if value is None:
            return cls(connect=None, read=None, write=None, pool=None)
        if not _is_seconds(value):
            raise ArgumentError("timeout", "must be a positive number of seconds, a Timeout, or None")
        return cls(connect=value, read=value, write=value, pool=value)


def _is_seconds(value: object) -> bool:
    return type(value) in (int, float) and 0 < cast("float", value) < math.inf


def _whole(name: str, value: object, *, least: int = 0) -> None:
    if type(value) is not int or value < least:
        raise ArgumentError(name, f"must be a whole number, {least} or more")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def header_fields(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Header fields of a caller, as they are.

    Raises:
        ArgumentError: One of them cannot be sent.
    """
    if not isinstance(headers, Mapping):
        raise ArgumentError("headers", "must map header names to text")
    for name, value in headers.items():
        if not (_is_text(name) and _is_text(value)):
            raise ArgumentError("headers", "must map header names to text")
        if not _HEADER_NAME.fullmatch(name):
            raise ArgumentError("headers", f"must not have the name {name!r} (RFC 9110 section 5.1)")
        if not _HEADER_VALUE.fullmatch(value):
            raise ArgumentError("headers", f"must have printable ASCII text without blanks around it for {name!r}")
    return headers


def merged(*layers: Mapping[str, str]) -> dict[str, str]:
    """Header fields of all layers; of those with the same name, whatever its case, the last."""
    fields: dict[str, tuple[str, str]] = {}
    for layer in layers:
        for name, value in layer.items():
            fields[name.lower()] = (name, value)
    return dict(fields.values())


@attrs.frozen(kw_only=True)
class Options:
    """What may differ from call to call; `client.with_options(...)` returns a client with some of it changed.

    Attributes:
        timeout: Time-outs of each exchange; `None` leaves them to the HTTP client.
        max_retries: How often a failed exchange is sent again where that is safe; 0 for never.
        headers: Headers for every request; they win over tollkit's own.
        on_event: Called with each `tollkit.core.events` event, in the thread or task of the call; what it
            raises is logged and dropped.
    """

    timeout: Timeout | None = None
    max_retries: int = 2
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=lambda headers: str(list(headers)))
    on_event: Callable[[Event], None] | None = None

    def changed(
        self,
        *,
        timeout: Timeout | float | Keep | None,
        max_retries: int | None,
        headers: Mapping[str, str] | None,
        on_event: Callable[[Event], None] | None,
    ) -> Options:
        """A copy with what is given changed; headers are added to those already set.

        Raises:
            ArgumentError: A value is of the wrong kind.
        """
        changes: dict[str, Any] = {}
        if not isinstance(timeout, Keep):
            changes["timeout"] = Timeout.of(timeout)
        if max_retries is not None:
            _whole("max_retries", max_retries)
            changes["max_retries"] = max_retries
        if headers is not None:
            changes["headers"] = merged(self.headers, header_fields(headers))
        if on_event is not None:
            if not callable(on_event):
                raise ArgumentError("on_event", "must be something to call with an event")
            changes["on_event"] = on_event
        return attrs.evolve(self, **changes)


class Keep:
    """The type of `KEEP`: "as it was", where `None` has a meaning of its own."""

    def __repr__(self) -> str:
        return "KEEP"


KEEP = Keep()


@attrs.frozen(kw_only=True)
class Connection:
    """How connections are made; fixed for the life of a client.

    Attributes:
        proxy: Address of a proxy; without it `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` count
            unless `trust_env` is off.
        verify: `True` for the usual certificate authorities, or an `ssl.SSLContext` (for a private authority:
            `ssl.create_default_context(cafile=...)`). There is no way to switch verification off by accident:
            `False` is refused.
        http2: Speak HTTP/2 where the server does (extra `http2`).
        trust_env: Read proxies and certificates from the environment.
        max_connections: Open connections at most.
        max_keepalive_connections: Idle connections kept at most.
        keepalive_expiry: Seconds an idle connection is kept.
        max_answer_bytes: Bytes of an answer at most, decompressed (512 MiB); beyond, reading ends with an error whose
            code is `answer_too_large`. Downloads to a file or a stream have no such limit.
        engine: What sends: `"aiohttp"` (extra `fast`), `"httpx"`, or `"auto"`, which takes the first where it is
            installed and does the same with the other settings.
    """

    proxy: str | None = attrs.field(default=None, repr=lambda proxy: repr(proxy and _USER_INFO.sub("//****@", proxy)))
    verify: bool | ssl.SSLContext = True
    http2: bool = False
    trust_env: bool = True
    max_connections: int = 100
    # not less than max_connections: httpcore counts busy connections as idle ones, and beyond this number closes
    # each after one request
    max_keepalive_connections: int = 100
    keepalive_expiry: float = 30.0
    max_answer_bytes: int = 512 << 20
    engine: Literal["auto", "httpx", "aiohttp"] = "auto"

    def __attrs_post_init__(self) -> None:
        if self.proxy is not None and not (_is_text(self.proxy) and _PROXY.fullmatch(self.proxy)):
            raise ArgumentError("proxy", "must be an address such as http://user:password@proxy:3128")
        if self.verify is not True and not isinstance(self.verify, ssl.SSLContext):
            raise ArgumentError("verify", "must be True or an ssl.SSLContext that trusts your own authority")
        for name in ("http2", "trust_env"):
            if type(getattr(self, name)) is not bool:
                raise ArgumentError(name, "must be True or False")
        _whole("max_connections", self.max_connections, least=1)
        _whole("max_keepalive_connections", self.max_keepalive_connections)
        if not (_is_seconds(self.keepalive_expiry) or self.keepalive_expiry == 0):
            raise ArgumentError("keepalive_expiry", "must be a number of seconds, 0 or more")
        _whole("max_answer_bytes", self.max_answer_bytes, least=1)
        if self.engine not in ("auto", "httpx", "aiohttp"):
            raise ArgumentError("engine", 'must be "auto", "httpx" or "aiohttp"')
