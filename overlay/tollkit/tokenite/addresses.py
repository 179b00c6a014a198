"""Checks of the addresses that an app is configured with."""

from __future__ import annotations

import re

from tollkit.core.arguments import required_text
from tollkit.core.weburl import parse_http_url
from tollkit.errors import ArgumentError

__all__ = ["host", "path", "redirect_uri"]

_REDIRECT_URI = re.compile(r"(?:(?P<web>https?)://|(?!https?:)[a-z][a-z0-9+.\-]*:/)[^\s\\]+", re.IGNORECASE)
# Schemes that a browser or the machine acts on itself: no app waits there for an answer (RFC 8252, 7.1 and 8.4)
_NO_APP = re.compile(r"(?:javascript|vbscript|data|blob|file|filesystem|about|view-source|ftp|wss?):", re.IGNORECASE)


def host(name: str, value: object) -> str:
    """The address of a host, without slashes at its end.

    Raises:
        ArgumentError: It is no http(s) address, or has a query, a fragment or a user name.
    """
    text = required_text(name, value).strip().rstrip("/")
    url = parse_http_url(text)
    if url is None:
        raise ArgumentError(name, "must be an http(s) address such as https://tokenite.ai")
    if "?" in text or "#" in text or "@" in text:
        raise ArgumentError(name, "must have no query, fragment or user name")
    return text


def path(name: str, value: object) -> str:
    """A path below a host.

    Raises:
        ArgumentError: It does not begin with one slash, or has a query or fragment.
    """
    text = required_text(name, value)
    if not text.startswith("/") or text.startswith("//") or "?" in text or "#" in text:
        raise ArgumentError(name, "must be a path that begins with one slash, such as /me/providers")
    return text


def redirect_uri(value: object) -> str:
    """The redirect URI as it is: the platform compares it letter by letter (RFC 6749, 3.1.2.3).

    Raises:
        ArgumentError: It is not absolute, has a fragment (RFC 6749, 3.1.2), or leads to no app.
    """
    text = required_text("redirect_uri", value)
    if "#" in text:
        raise ArgumentError("redirect_uri", "must have no fragment (#)")
    found = _REDIRECT_URI.fullmatch(text) if text.isprintable() else None
    if found is None or (parse_http_url(text) is None if found["web"] else _NO_APP.match(text)):
        raise ArgumentError(
            "redirect_uri",
            "must be an absolute address such as https://app.example/callback, or of an app's own scheme "
            "such as com.example.app:/callback",
        )
    return text
