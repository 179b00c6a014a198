"""What the browser brings back from the consent page: one pure function, one frozen type an outcome.

    match parse_callback(request, expected_state=state):
        case CallbackSuccess(code):
            token = client.exchange_code(code)
        case UserDenied():
            ...  # pressed cancel: no error, offer to try again
        case failure:
            log(failure.reason, failure.error)

Sources: Tokenite's callback; RFC 6749 sections 3.1 (a parameter stands once, an empty one counts as left out),
4.1.2 (the answers) and 10.12 (the state guards against forged callbacks); RFC 9700 section 4.7.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, Literal, TypeAlias, cast

import attrs

from tollkit.core.weburl import query_pairs
from tollkit.secrets import Secret

__all__ = [
    "AccessDenied",
    "Callback",
    "CallbackFailure",
    "CallbackSuccess",
    "InvalidState",
    "Malformed",
    "MissingCode",
    "OAuthFailure",
    "UserDenied",
    "parse_callback",
]

NAMES = ("state", "code", "error", "error_description")

_HOLDERS = ("scope", "META", "environ")  # of ASGI frameworks, Django, and most WSGI frameworks
_ADDRESS = re.compile(r"/|[A-Za-z][A-Za-z0-9+.\-]*:/")
_SURROGATE = re.compile("[\ud800-\udfff]")


@attrs.frozen
class CallbackSuccess:
    """The user agreed. It is true.

    Attributes:
        code: For `exchange_code`: works once, within 300 seconds. Not shown by `repr`.
        state: As received; `None` when there was none (and none was expected).
    """

    code: Secret = attrs.field(converter=Secret)
    state: str | None = None
    ok: ClassVar[Literal[True]] = True

    def __bool__(self) -> Literal[True]:
        return True


@attrs.frozen
class CallbackFailure:
    """No code came that may be used; one class an outcome. It is false.

    Both texts are whatever stood in the address, which anyone can write: escape them before you show them.

    Attributes:
        reason: The outcome as one of the platform's words.
        error: The `error` parameter as received; `None` when there was none.
        description: The `error_description` parameter as received; `None` when there was none.
    """

    error: str | None = None
    description: str | None = None
    ok: ClassVar[Literal[False]] = False
    reason: ClassVar[str]

    def __bool__(self) -> Literal[False]:
        return False


@attrs.frozen
class InvalidState(CallbackFailure):
    """The state is missing, repeated or not the expected one: somebody else began this (RFC 6749, 10.12)."""

    reason: ClassVar[Literal["invalid_state"]] = "invalid_state"


@attrs.frozen
class UserDenied(CallbackFailure):
    """The user pressed cancel."""

    reason: ClassVar[Literal["user_denied"]] = "user_denied"


@attrs.frozen
class AccessDenied(CallbackFailure):
    """The platform refused, not the user."""

    reason: ClassVar[Literal["access_denied"]] = "access_denied"


@attrs.frozen
class OAuthFailure(CallbackFailure):
    """Any other error of RFC 6749 section 4.1.2.1, or of the platform; see `error`."""

    reason: ClassVar[Literal["oauth_error"]] = "oauth_error"


@attrs.frozen
class MissingCode(CallbackFailure):
    """Neither an error nor a code: somebody opened the callback's address by hand."""

    reason: ClassVar[Literal["missing_code"]] = "missing_code"


@attrs.frozen
class Malformed(CallbackFailure):
    """No callback that can be read in one way only. The platform's own client has no such outcome.

    Attributes:
        parameter: Which one is repeated (RFC 6749, 3.1) or no text; `None` when what was passed in holds no
            parameters at all, such as a number.
    """

    parameter: str | None = attrs.field(default=None, kw_only=True)
    reason: ClassVar[Literal["malformed_callback"]] = "malformed_callback"


Callback: TypeAlias = (
    CallbackSuccess | InvalidState | UserDenied | AccessDenied | OAuthFailure | MissingCode | Malformed
)


def parse_callback(source: object, expected_state: str | None = None) -> Callback:
    """Read what the browser brought to `redirect_uri`. Never raises, whatever comes; the time is linear.

    Args:
        source: The address (a whole one or from its path on), the query with or without `?`, parameters as a
            mapping (of texts or of lists, any framework's) or as pairs, or a request: of Starlette, FastAPI,
            Django, Flask, aiohttp and others alike, an ASGI scope, a WSGI environ.
        expected_state: What you sent along. `None` leaves it unchecked: then check `.state` yourself, such as with
            `StateSigner`, before you use the code. An empty one matches nothing.

    Returns:
        The first that holds of `Malformed` (it holds no parameters at all), `InvalidState`, `Malformed` (one of
        them stands twice), `UserDenied`, `AccessDenied`, `OAuthFailure`, `MissingCode`, `CallbackSuccess`.
    """
    found = read_parameters(source, NAMES)
    if found is None:
        return Malformed()
    error, description = found.get("error"), found.get("error_description")
    # [assumed] that the state comes before the errors: who may not bring a code may not bring an error either
    if not state_holds(found, expected_state):
        return InvalidState(error, description)
    if found.broken:
        return Malformed(error, description, parameter=found.broken[0])
    if error == "access_denied":
        return (UserDenied if description == "user_denied" else AccessDenied)(error, description)
    if error is not None:
        return OAuthFailure(error, description)
    code = found.get("code")
    if code is None:
        return MissingCode(error, description)
    return CallbackSuccess(code, found.get("state"))


@attrs.frozen
class Parameters:
    """The parameters of a callback: those that stand once, and the names of those that are repeated or no text."""

    values: Mapping[str, str]
    broken: tuple[str, ...]

    def get(self, name: str) -> str | None:
        """The value; `None` when it is missing, empty or broken."""
        return self.values.get(name)


def state_holds(found: Parameters, expected: str | None) -> bool:
    """Whether the state is the expected one, in constant time; yes when none is expected."""
    if expected is None:
        return True
    state = found.get("state")
    if state is None or not isinstance(expected, str):
        return False
    return hmac.compare_digest(state.encode(), expected.encode(errors="surrogatepass"))


def read_parameters(source: object, names: Sequence[str]) -> Parameters | None:
    """These parameters out of anything that `parse_callback` takes; `None` when it holds no parameters."""
    try:
        return _read(source, names)
    except Exception:  # noqa: BLE001 - requests parse when they are asked, and some raise at hostile queries
        return None


def _read(source: object, names: Sequence[str]) -> Parameters | None:
    given = _given(source, names)
    if given is None:
        return None
    values: dict[str, str] = {}
    broken: list[str] = []
    for name in names:
        found = [value for value in given.get(name, ()) if value is not None]
        if len(found) > 1 or not all(isinstance(value, str | bytes) for value in found):
            broken.append(name)
        elif text := "".join(_text(cast("str | bytes", value)) for value in found):
            values[name] = text  # an empty one is as if left out (RFC 6749, 3.1)
    return Parameters(values, tuple(broken))


def _given(source: object, names: Sequence[str]) -> Mapping[str, Iterable[object]] | None:
    """All values of each name, as they are; `None` when this holds no parameters."""
    if isinstance(source, str | bytes | bytearray):
        return _grouped(query_pairs(_query_of(_text(source))), names)
    mapping = _mapping(source)
    if mapping is not None and _lister(mapping):
        return _members(mapping, names)
    query = _raw_query(source, names)
    if query is not None:
        return _grouped(query_pairs(query), names)
    if isinstance(mapping, dict):
        return _members(mapping, names)
    for part in ("query", "query_params", "GET", "query_string", "args"):
        held: object = getattr(source, part, None)
        if isinstance(held, str | bytes):
            return _grouped(query_pairs(_text(held)), names)
        parsed = _mapping(held)
        if parsed is not None:
            return _members(parsed, names)
    if mapping is not None:
        return _members(mapping, names)
    if isinstance(source, list | tuple):
        return _grouped(cast("Iterable[tuple[str, object]]", source), names)
    address: object = getattr(source, "url", None)
    return None if address is None else _grouped(query_pairs(_query_of(str(address))), names)


def _mapping(value: object) -> Mapping[str, object] | None:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else None


def _text(value: str | bytes | bytearray) -> str:
    if not isinstance(value, str):
        return value.decode(errors="replace")
    return _SURROGATE.sub("\ufffd", value)  # half a surrogate pair would break whoever prints it


def _query_of(text: str) -> str:
    """The query of an address, of the part of one from its path on, or what is a query already; no fragment."""
    text = text.strip().partition("#")[0]
    head, mark, query = text.partition("?")
    # a bare query may hold a `?` too, but only after a name
    if _ADDRESS.match(text) or (mark and "=" not in head and "&" not in head):
        return query
    return text


def _raw_query(source: object, names: Iterable[str]) -> str | None:
    """The query as it came over the wire, of an ASGI scope, a WSGI environ or a request that has either.

    It is asked before what a framework has parsed: that may have lost repeats, or be refused for too many fields.
    """
    holders: list[object] = [source]
    if not isinstance(source, dict):
        holders += (getattr(source, name, None) for name in _HOLDERS)
    for holder in holders:
        members = _mapping(holder)
        if members is None:
            continue
        scope, environ = members.get("query_string"), members.get("QUERY_STRING")
        if isinstance(scope, bytes):  # as a parameter it would be text
            return _text(scope)
        if isinstance(environ, str) and not any(name in members for name in names):  # else it is a parameter itself
            try:
                return _text(environ.encode("latin-1"))  # PEP 3333: bytes in the guise of text
            except UnicodeEncodeError:
                return _text(environ)
    return None


def _lister(source: object) -> Callable[[str], object] | None:
    """The method that gives all values of a name, in Django, Werkzeug and Starlette, multidict and WebOb, httpx."""
    for method in ("getlist", "getall", "get_list"):
        found: object = getattr(source, method, None)
        if callable(found):
            return found
    return None


def _members(source: Mapping[str, object], names: Iterable[str]) -> dict[str, Iterable[object]]:
    every = _lister(source)
    found: dict[str, Iterable[object]] = {}
    for name in names:
        if name in source:
            value: object = every(name) if every else source[name]
            found[name] = cast("Iterable[object]", value) if isinstance(value, list | tuple) else [value]
    return found


def _grouped(pairs: Iterable[tuple[str, object]], names: Iterable[str]) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {name: [] for name in names}
    for name, value in pairs:
        if name in found:
            found[name].append(value)
    return found
