"""Answers to Python values: what `parse` and the four stock functions of an operation module share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from .collector import paused
from .errors import DecodeError, UnexpectedStatus
from .json_text import need_shallow
from .operation import Response
from .preview import preview

if TYPE_CHECKING:
    from collections.abc import Callable

    from .operation import ApiClient, HttpResponse, Operation

__all__ = ["detailed", "error_body", "error_text", "json_answer", "load_json", "text_answer", "unexpected", "untyped"]

T = TypeVar("T")
E = TypeVar("E")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise DecodeError("JSON with unique keys", "a key that stands twice in one object")
    return result


def _no_constant(name: str) -> Any:
    raise DecodeError("JSON", name)


def _need_shallow(content: bytes) -> None:
    try:
        need_shallow(content)
    except ValueError:
        raise DecodeError("JSON", "a document nested too deeply") from None


_decode_unique = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant).decode

# Pairs take half as long again as objects, and a body this big is a list of usage rows, not a token.
UNIQUE_UP_TO = 1 << 20  # bytes
_decode_big = json.JSONDecoder(parse_constant=_no_constant).decode


def load_json(content: bytes) -> Any:
    """The value of a JSON text (RFC 8259), which is UTF-8 and has no key twice.

    Keys are compared in bodies of up to 1 MiB; in a bigger one the last of two equal keys counts.

    Raises:
        DecodeError: it is no such text, or nested too deeply, or has a number too long to convert.
    """
    if not content or content.isspace():
        raise DecodeError("JSON", "an empty body")
    try:
        text = content.decode("utf-8-sig")
        _need_shallow(content)
        if len(content) <= UNIQUE_UP_TO:
            return _decode_unique(text)
        with paused():
            return _decode_big(text)
    except DecodeError:
        raise
    except RecursionError:
        raise DecodeError("JSON", "a document nested too deeply") from None
    except UnicodeDecodeError:
        raise DecodeError("JSON", "bytes that are no UTF-8") from None
    except json.JSONDecodeError:
        kind = "HTML" if content.lstrip()[:1] == b"<" else "text that is no JSON"
        raise DecodeError("JSON", kind) from None
    except ValueError:  # an integer beyond sys.get_int_max_str_digits()
        raise DecodeError("JSON", "a number of too many digits") from None


def json_answer(response: HttpResponse, operation: Operation, decode: Callable[[Any], T]) -> T:
    """Decode the JSON body of a success.

    Raises:
        DecodeError: it is not what the document says; carries status, operation and a preview of the body.
    """
    try:
        try:
            return decode(load_json(response.content))
        except RecursionError:
            raise DecodeError("JSON", "a document nested too deeply") from None
    except DecodeError as error:
        error.status_code = response.status_code
        error.operation = operation
        error.preview = preview(response.content)
        raise


def text_answer(response: HttpResponse, operation: Operation) -> str:
    """Decode the body of a success whose document says text.

    Raises:
        DecodeError: it is no UTF-8.
    """
    try:
        return response.content.decode("utf-8-sig")
    except UnicodeDecodeError:
        error = DecodeError("text", "bytes that are no UTF-8")
        error.status_code = response.status_code
        error.operation = operation
        error.preview = preview(response.content)
        raise error from None


def error_body(response: HttpResponse, decode: Callable[[Any], T]) -> T | None:
    """Decode the body of an error; None if it is not what the document says (an HTML page of a proxy)."""
    try:
        return decode(load_json(response.content))
    except (DecodeError, RecursionError):
        return None


def error_text(response: HttpResponse) -> str:
    """The body of an error whose document says text."""
    return response.content.decode("utf-8", "replace")


def untyped(response: HttpResponse) -> None:
    """The body of an error for which the document has no type."""


def unexpected(response: HttpResponse, operation: Operation, parsed: Any) -> UnexpectedStatus:
    """The error for an answer that is no success."""
    return UnexpectedStatus(
        response.status_code,
        response.content,
        headers=response.headers,
        parsed=parsed,
        operation=operation,
    )


def detailed(
    response: HttpResponse,
    client: ApiClient,
    operation: Operation,
    parse: Callable[[HttpResponse], T],
    parse_error: Callable[[HttpResponse], E],
) -> Response[T | E]:
    """The answer as `sync_detailed` and `asyncio_detailed` return it: errors are values, not exceptions.

    Raises:
        DecodeError: a success has a body that is not what the document says.
        UnexpectedStatus: an error has no body that can be read, and the client has
            `raise_on_unexpected_status`.
    """
    parsed: T | E
    if response.status_code in operation.success:
        parsed = parse(response)
    else:
        parsed = parse_error(response)
        if parsed is None and getattr(client, "raise_on_unexpected_status", False):
            raise unexpected(response, operation, None)
    return Response(response.status_code, response.content, response.headers, parsed)
