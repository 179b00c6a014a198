"""The ASGI application of the platform: the dashboard's routes, and below `/proxy` the proxy and the admin API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from tollkit.sandbox.http import json_answer
from tollkit.sandbox.tokenite import PREFIX, PROXY_PREFIX, admin
from tollkit.sandbox.tokenite.pages import PageRoutes
from tollkit.sandbox.tokenite.tokens import TokenRoutes

if TYPE_CHECKING:
    from starlette.routing import Route
    from starlette.types import ASGIApp, Receive, Scope, Send

    from tollkit.sandbox.tokenite.platform import TokeniteSandbox

__all__ = ["build_app"]


def build_app(platform: TokeniteSandbox) -> ASGIApp:
    """The platform as one ASGI application for every path that begins with `/tokenite`."""
    dashboard = _router([*PageRoutes(platform).routes(), *TokenRoutes(platform.state).routes()])
    proxy = _router([*admin.routes(platform), *platform.proxy.routes()])

    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        # Routes match the path as it stood on the wire: the proxy hands it on as it is.
        raw_path = scope["raw_path"].decode("ascii")
        prefix, router = (
            (PROXY_PREFIX, proxy)
            if raw_path == PROXY_PREFIX or raw_path.startswith(f"{PROXY_PREFIX}/")
            else (PREFIX, dashboard)
        )
        await router({**scope, "path": raw_path.removeprefix(prefix) or "/"}, receive, send)

    return mounted


def _router(routes: list[Route]) -> Router:
    return Router(routes, redirect_slashes=False, default=_unknown)


async def _unknown(scope: Scope, receive: Receive, send: Send) -> None:
    await Request(scope, receive).body()
    answer: Response = json_answer({"error": {"code": "NOT_FOUND", "message": "There is nothing here"}}, 404)
    await answer(scope, receive, send)
