"""The ASGI application of the platform: all routes, and what the framework around them does."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from tollkit.sandbox.gate import error_page
from tollkit.sandbox.http import html, malformed
from tollkit.sandbox.pymthouse.builder import BuilderRoutes
from tollkit.sandbox.pymthouse.oidc import OidcRoutes
from tollkit.sandbox.pymthouse.pages import DevicePages
from tollkit.sandbox.pymthouse.signer import SignerRoutes

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from tollkit.sandbox.pymthouse.issuer import Issuer
    from tollkit.sandbox.pymthouse.state import State

__all__ = ["build_app"]


def build_app(state: State, issuer: Issuer) -> ASGIApp:
    """The platform as one ASGI application."""
    parts = (
        OidcRoutes(state, issuer),
        BuilderRoutes(state, issuer),
        SignerRoutes(state, issuer),
        DevicePages(state, issuer),
    )
    router = Router([route for part in parts for route in part.routes()], redirect_slashes=False, default=_unknown)

    async def framework(scope: Scope, receive: Receive, send: Send) -> None:
        raw_path = scope["raw_path"].decode("ascii")
        answer = _framework_answer(raw_path, scope["query_string"].decode("ascii"))
        if answer is not None:
            await Request(scope, receive).body()
            await answer(scope, receive, send)
        else:
            # Routes match the path as it stood on the wire, so that `%2F` inside an id is no separator.
            await router({**scope, "path": raw_path}, receive, send)

    return framework


def _framework_answer(raw_path: str, query: str) -> Response | None:
    """What the framework answers before any route is looked for."""
    if malformed(raw_path):
        return Response(
            "Internal Server Error",
            500,
            {
                "cache-control": "private, no-cache, no-store, max-age=0, must-revalidate",
                "etag": '"66fci67lppl"',
                "content-type": "text/plain",
            },
        )
    if any(unquote(segment) in (".", "..") for segment in raw_path.split("/")):
        return html(error_page(404), 404)
    if raw_path != "/" and raw_path.endswith("/"):
        location = raw_path.rstrip("/") + (f"?{query}" if query else "")
        return Response(location, 308, {"location": location, "refresh": f"0;url={location}"})
    return None


async def _unknown(scope: Scope, receive: Receive, send: Send) -> None:
    await Request(scope, receive).body()
    await html(error_page(404), 404)(scope, receive, send)
