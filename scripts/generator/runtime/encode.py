"""Arguments to text: path parameters, queries, headers and bodies, byte for byte as browsers write them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, quote_plus

from .types import Unset

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "date_time_text",
    "decimal_number",
    "decimal_text",
    "escaped_segments",
    "form",
    "form_body",
    "header_fields",
    "json_body",
    "path_segments",
    "path_value",
    "percent",
    "query_pairs",
    "scalar_text",
    "text_body",
]


_COMPONENT = "!~*'()"  # with ASCII letters, digits and "-_.", what encodeURIComponent leaves (ECMA-262, 19.2.6.4)


def date_time_text(value: datetime) -> str:
    """An instant as RFC 3339 in UTC with milliseconds and "Z", or microseconds where it has them.

    Raises:
        ValueError: the datetime is naive, so that nobody knows which instant it means.
    """
    if value.tzinfo is None:
        raise ValueError("a datetime without a time zone names no instant; give it a tzinfo")
    utc = value.astimezone(UTC)
    precision = "microseconds" if utc.microsecond % 1000 else "milliseconds"
    return utc.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def decimal_text(value: Decimal) -> str:
    """A decimal in plain digits; in scientific notation only where plain digits would be absurdly many.

    Raises:
        ValueError: it is infinite or not a number.
    """
    if not value.is_finite():
        raise ValueError("expected a finite number")
    return format(value, "f") if abs(value.adjusted()) < 1000 else str(value)


def decimal_number(value: Decimal) -> int | float:
    """A decimal as what `json` writes as the same number; a whole one has no point, as in JavaScript.

    Raises:
        ValueError: it is infinite or not a number, or has more digits than the double that readers of JSON
            take it for, so that it would arrive changed.
    """
    if not value.is_finite():
        raise ValueError("expected a finite number")
    number = float(value)
    if math.isfinite(number):
        if value == value.to_integral_value():
            return int(value)
        if Decimal(repr(number)) == value:
            return number
    raise ValueError("a JSON number cannot carry this decimal without changing it")


def scalar_text(value: Any) -> str:
    """A parameter as the text that goes into a URL, a form or a header.

    Raises:
        TypeError: it is none of str, bool, int, float, Decimal, datetime, date.
        ValueError: a naive datetime, or a number that is not finite.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else json.dumps(value, allow_nan=False)
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, datetime):
        return date_time_text(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"expected text, number, truth value or date, got {type(value).__name__}")


def path_value(name: str, value: Any) -> str:
    """A path parameter, percent-encoded as JavaScript's encodeURIComponent does (ECMA-262, 19.2.6.4).

    Raises:
        ValueError: it is no text or whole number, or it is empty, "." or "..", which would address
            another resource; the message names the parameter.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(f"{name}: expected a text, got {type(value).__name__}")
    if value in {"", ".", ".."}:
        raise ValueError(f"{name}: must not be {value!r}, since it is a part of the path")
    return _component(name, value)


def _component(name: str, value: str) -> str:
    try:
        return quote(value, safe=_COMPONENT)
    except UnicodeEncodeError:
        raise ValueError(f"{name}: holds half a surrogate pair, which no URL can carry") from None


def escaped_segments(name: str, value: Any) -> str:
    """A path parameter of one segment or more, each percent-encoded as JavaScript's encodeURIComponent does.

    Empty segments stay, and so does a slash in front.

    Raises:
        ValueError: it is no text, or empty, or holds a segment "." or "..", which would address another
            resource; the message names the parameter.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name}: expected a text, got {type(value).__name__}")
    if not value:
        raise ValueError(f"{name}: must not be empty, since it is a part of the path")
    segments = value.split("/")
    dots = {".", ".."}.intersection(segments)
    if dots:
        raise ValueError(f"{name}: must not hold the segment {min(dots)!r}, which would leave the path")
    return "/".join(_component(name, segment) for segment in segments)


def path_segments(name: str, value: Any) -> str:
    """A path parameter of one segment or more: slashes stay, and so does what RFC 3986 (3.3) lets stand in a segment.

    One slash in front is taken for the one that the template has. Everything else is percent-encoded, "?", "#"
    and "%" among it: the value is the path itself, not a piece of a URL.

    Raises:
        ValueError: it is no text, or empty, or holds a segment "." or "..", which would address another
            resource; the message names the parameter.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name}: expected a text, got {type(value).__name__}")
    path = value.removeprefix("/")
    if not path:
        raise ValueError(f"{name}: must not be empty, since it is a part of the path")
    dots = {".", ".."}.intersection(path.split("/"))
    if dots:
        raise ValueError(f"{name}: must not hold the segment {min(dots)!r}, which would leave the path")
    try:
        return quote(path, safe="/:@!$&'()*+,;=~")
    except UnicodeEncodeError:
        raise ValueError(f"{name}: holds half a surrogate pair, which no URL can carry") from None


def query_pairs(*pairs: tuple[str, Any]) -> tuple[tuple[str, str], ...]:
    """Query parameters without those that were not given (UNSET, None).

    A list becomes a repeated key, and a mapping becomes parameters of its own (OpenAPI 3.1, style form, explode).

    Raises:
        ValueError: a value cannot be written; the message names the parameter.
    """
    result: list[tuple[str, str]] = []
    for name, value in pairs:
        if value is None or isinstance(value, Unset):
            continue
        if isinstance(value, Mapping):
            result.extend(query_pairs(*cast("Mapping[str, Any]", value).items()))
            continue
        items = cast("Sequence[Any]", value) if isinstance(value, list | tuple) else (value,)
        for item in items:
            try:
                text = scalar_text(item)
                text.encode()
            except UnicodeEncodeError:
                raise ValueError(f"{name}: holds half a surrogate pair, which no URL can carry") from None
            except (TypeError, ValueError) as error:
                raise ValueError(f"{name}: {error}") from None
            result.append((name, text))
    return tuple(result)


def header_fields(*pairs: tuple[str, Any]) -> dict[str, str]:
    """Header parameters without those that were not given (UNSET, None).

    Raises:
        ValueError: a value cannot stand in a header (RFC 9110, 5.5); the message names the parameter.
    """
    result: dict[str, str] = {}
    for name, value in pairs:
        if value is None or isinstance(value, Unset):
            continue
        try:
            text = scalar_text(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from None
        if not text.isascii() or not text.isprintable():
            raise ValueError(f"{name}: a header holds printable ASCII only")
        result[name] = text
    return result


def form(pairs: Iterable[tuple[str, str]]) -> str:
    """Pairs in the style of URLSearchParams (WHATWG URL, 5.2): space is "+", only `*-._` and ASCII
    letters and digits stand for themselves."""
    return "&".join(f"{_form_text(name)}={_form_text(value)}" for name, value in pairs)


def _form_text(text: str) -> str:
    return quote_plus(text, safe="*").replace("~", "%7E")  # quote_plus never escapes "~"


def percent(pairs: Iterable[tuple[str, str]]) -> str:
    """Pairs with both sides percent-encoded as JavaScript's encodeURIComponent does."""
    return "&".join(f"{quote(name, safe=_COMPONENT)}={quote(value, safe=_COMPONENT)}" for name, value in pairs)


def form_body(fields: Mapping[str, Any]) -> bytes:
    """A body of type application/x-www-form-urlencoded; a list becomes a repeated key.

    Raises:
        ValueError: a value cannot be written; the message names the field.
    """
    return form(query_pairs(*fields.items())).encode("ascii")


def json_body(value: Any) -> bytes:
    """A JSON body as JSON.stringify writes it: compact, UTF-8.

    Raises:
        ValueError: a number is not finite, or the value contains itself.
        TypeError: JSON has no word for a value.
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair: well-formed JSON writes it as an escape
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def text_body(value: str) -> bytes:
    """A body of text.

    Raises:
        ValueError: it holds half a surrogate pair, which UTF-8 cannot carry.
    """
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise ValueError("body: holds half a surrogate pair, which no text can carry") from None
