"""The token endpoint: an authorization code becomes a user's access token."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from tollkit.sandbox.http import Call, json_answer, members, route

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import Route

    from tollkit.sandbox.tokenite.state import State

__all__ = ["TokenRoutes"]

_FIELDS = ("code", "client_id", "client_secret", "redirect_uri")
_NO_STORE = {"cache-control": "no-store"}


class TokenRoutes:
    """Handler of `POST /api/oauth/token`."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """The route, relative to `base_url`."""
        return [route("/api/oauth/token", self._state.lock, POST=self.exchange)]

    def exchange(self, call: Call) -> Response:
        """Exchange a code: once, by the client and with the `redirect_uri` that it was made for."""
        state = self._state
        try:
            body = members(call.json())
        except ValueError:
            body = {}
        given = {name: value for name in _FIELDS if isinstance(value := body.get(name), str) and value}
        if missing := [name for name in _FIELDS if name not in given]:
            return _error("VALIDATION", f"The body must be JSON with text for: {', '.join(missing)}", 400)
        app = state.apps.get(given["client_id"])
        secret = given["client_secret"].encode()
        if app is None or not secrets.compare_digest(secret, app.secret.encode()):
            return _error("INVALID_CLIENT", "The client id or its secret is wrong", 401)
        code = state.codes.get(given["code"])
        connection = state.connections.get(code.connection_id) if code else None
        if code is None or connection is None or connection.app_id != app.id:
            return _error("INVALID_CODE", "There is no such code for this client", 400)
        if code.used:
            return _error("INVALID_CODE", "This code has been used", 400)
        if code.expires_at <= state.clock.now():
            return _error("INVALID_CODE", "This code has expired", 400)
        if code.redirect_uri != given["redirect_uri"]:
            return _error("INVALID_CODE", "This code was made for another redirect_uri", 400)
        code.used = True
        token = state.issue_token(connection)
        return json_answer({"access_token": token.token, "token_type": "Bearer"}, headers=_NO_STORE)


def _error(code: str, message: str, status: int) -> Response:
    return json_answer({"error": {"code": code, "message": message}}, status, _NO_STORE)
