"""Answers that are files of the content store."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from starlette.responses import FileResponse, Response

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

__all__ = ["IMMUTABLE", "etag", "file_answer"]

IMMUTABLE = "public, max-age=31536000, immutable"


def etag(sha256: str) -> str:
    """The entity tag of content, with its quotes."""
    return f'"sha256-{sha256}"'


def file_answer(
    request: Request, path: Path, sha256: str, *, content_type: str, cache: str, status: int = 200
) -> Response:
    """Content as an answer: streamed, with its ranges and entity tag; 304 when the caller has it.

    Args:
        request: Whose `If-None-Match`, `Range` and `If-Range` count.
        path: The file.
        sha256: Hash of its bytes, in hex.
        content_type: Of the answer, as it was told when the content came.
        cache: Of the header `Cache-Control`.
        status: 200, or 404 for the page that says so.
    """
    headers = {
        "etag": etag(sha256),
        "cache-control": cache,
        "content-digest": f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:",
        "x-run402-content-sha256": sha256,
    }
    known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if status == 200 and (headers["etag"] in known or known == ["*"]):
        return Response(status_code=304, headers=headers)
    # as a header, not as a media type: no charset is added that nobody told
    return FileResponse(path, status, {**headers, "content-type": content_type})
