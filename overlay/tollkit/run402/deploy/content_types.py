"""Content types by the end of a path, as a deploy guesses them; those of single assets are another table."""

from __future__ import annotations

__all__ = ["OTHER", "content_type_of"]

OTHER = "application/octet-stream"
"""The content type of every other path."""

_TYPES = {
    "html": "text/html; charset=utf-8",
    "htm": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "cjs": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "ico": "image/x-icon",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "ttf": "font/ttf",
    "otf": "font/otf",
    "txt": "text/plain; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
    "xml": "application/xml",
    "pdf": "application/pdf",
    "wasm": "application/wasm",
    "sql": "application/sql",
}


def content_type_of(path: str) -> str:
    """The content type of a file of a site or function: what stands after the last dot of its path decides.

    Args:
        path: Path in the release; `.html` is `text/html; charset=utf-8`, a path without a dot `OTHER`.
    """
    return _TYPES.get(path.rpartition(".")[2].lower(), OTHER) if "." in path else OTHER
