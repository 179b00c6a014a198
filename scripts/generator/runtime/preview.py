"""The beginning of a body, fit to be shown: everything is masked that looks like a secret."""

from __future__ import annotations

import re

__all__ = ["preview"]

_LENGTH = 200
_WINDOW = 1024

# Fields whose name says that they hold a secret, in JSON or in a form; "code" alone is an error code in JSON.
_WORDS = (
    "secret|token|password|passwd|(?:api|private|anon|service)_?key|authorization|assertion|jwt|credential|cookie"
    "|signature|mnemonic|(?:device|user|auth|authorization)_?code"
)
_PART = r"[\w.-]{0,40}?"
_JSON_FIELD = re.compile(
    rf'("{_PART}(?:{_WORDS}){_PART}"\s*:\s*)"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.IGNORECASE | re.ASCII
)
_FORM_FIELD = re.compile(rf"\b((?:{_PART}(?:{_WORDS}){_PART}|code)=)[^&\s\"'<>]+", re.IGNORECASE | re.ASCII)
_SCHEME = re.compile(r"\b(Bearer|Basic)\s+[^\s\"'<>,]+", re.IGNORECASE)
# JWTs, API keys, hashes: a long run without a blank that mixes digits and letters.
_RUN = r"[A-Za-z0-9_\-+/=.]"
_OPAQUE = re.compile(rf"(?<!{_RUN})(?={_RUN}*[0-9])(?={_RUN}*[A-Za-z]){_RUN}{{20,}}")


def preview(content: bytes) -> str:
    """The first 200 characters of a body, without what looks like a secret.

    Masked are fields whose name says so, credentials of an Authorization header, and long opaque texts.
    """
    shown = content[:_WINDOW].decode("utf-8", "replace")
    shown = _JSON_FIELD.sub(r'\1"****"', shown)
    shown = _SCHEME.sub(r"\1 ****", shown)
    shown = _FORM_FIELD.sub(r"\1****", shown)
    shown = _OPAQUE.sub("****", shown)
    return shown if len(shown) <= _LENGTH else shown[: _LENGTH - 1] + "\N{HORIZONTAL ELLIPSIS}"
