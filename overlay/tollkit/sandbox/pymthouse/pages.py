"""The pages behind `verification_uri`, and the hops of third-party-initiated login."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from tollkit.sandbox.http import Call, empty, html, json_answer, route
from tollkit.sandbox.pymthouse.oidc import SECURITY_HEADERS
from tollkit.sandbox.pymthouse.state import normalize_user_code
from tollkit.sandbox.pymthouse.templates import (
    KNOWN_USER,
    OTHER_USER,
    approval_page,
    code_page,
    home_page,
    message_page,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response
    from starlette.routing import Route

    from tollkit.sandbox.pymthouse.issuer import Issuer
    from tollkit.sandbox.pymthouse.state import AppUser, DeviceCode, State

__all__ = ["DevicePages"]

_DEVICE = "/oidc/device"
_CSRF_COOKIE = "pmth_sandbox_csrf"
_LISTED_USERS = 12
_HEADERS = {
    **SECURITY_HEADERS,
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}


class _UndecidableError(Exception):
    """A code that nobody can decide on any more, or never could; the text tells a person why."""


class DevicePages:
    """Handlers of `/oidc/...` and of the page at the root."""

    def __init__(self, state: State, issuer: Issuer) -> None:
        self._state = state
        self._issuer = issuer

    def routes(self) -> list[Route]:
        """All pages."""
        lock = self._state.lock
        return [
            route("/", lock, GET=self.home),
            route(_DEVICE, lock, GET=self.device, POST=self.enter_code),
            route(f"{_DEVICE}/decision", lock, POST=self.decide),
            route(f"{_DEVICE}/initiate-login", lock, GET=self.initiate_login),
            route("/oidc/device-approved", lock, GET=self.approved),
            route("/oidc/device-denied", lock, GET=self.denied),
        ]

    def home(self, _call: Call) -> Response:
        """A page for whoever opens the printed address."""
        app = next(iter(self._state.apps.values()))
        return html(home_page(app.public_client_id, self._issuer.url), headers=_HEADERS)

    def device(self, call: Call) -> Response:
        """The form for a code, or with `user_code` the question about it."""
        if target := self._login_hop(call):
            return empty(307, {**_HEADERS, "location": target})
        csrf, headers = _csrf(call)
        text = call.query.get("user_code") or ""
        if not text:
            return html(code_page(csrf), headers=headers)
        try:
            device = self._undecided(text)
        except _UndecidableError as refusal:
            return html(code_page(csrf, user_code=text, error=str(refusal)), 400, headers)
        return html(approval_page(csrf, device, self._listed(device)), headers=headers)

    def _listed(self, device: DeviceCode) -> list[AppUser]:
        return list(device.app.users.values())[:_LISTED_USERS]

    def _undecided(self, text: str) -> DeviceCode:
        """The pending device code of a user code.

        Raises:
            _UndecidableError: It is unknown, expired or used.
        """
        device = self._state.device_by_user_code(text)
        if device is None:
            raise _UndecidableError("There is no such code. Check what your device shows.")
        if device.expires_at <= self._state.clock.now():
            raise _UndecidableError("This code has expired. Start again on your device.")
        if device.status != "pending":
            raise _UndecidableError("This code has been used already. Start again on your device.")
        return device

    def enter_code(self, call: Call) -> Response:
        """Go on from the form to the question."""
        if not _is_own_form(call):
            return _stale_form()
        user_code = quote((call.form.get("user_code") or "").strip(), safe="")
        return empty(303, {**_HEADERS, "location": f"{_DEVICE}?user_code={user_code}"})

    def decide(self, call: Call) -> Response:
        """Approve or deny, and say so."""
        if not _is_own_form(call):
            return _stale_form()
        csrf, headers = _csrf(call)
        text = call.form.get("user_code") or ""
        try:
            device = self._undecided(text)
        except _UndecidableError as refusal:
            return html(code_page(csrf, user_code=text, error=str(refusal)), 400, headers)
        if call.form.get("action") != "approve":
            device.status = "denied"
            return empty(303, {**_HEADERS, "location": "/oidc/device-denied"})
        chosen, typed = call.form.get("user") or OTHER_USER, (call.form.get("other_user") or "").strip()
        listed = chosen.removeprefix(KNOWN_USER) if chosen.startswith(KNOWN_USER) else ""
        if bool(listed) == bool(typed):
            error = (
                f"You chose {listed} and typed an id as well. Empty the field, or choose someone else."
                if listed
                else "Type the id of the user who signs in."
            )
            page = approval_page(csrf, device, self._listed(device), chosen=chosen, typed=typed, error=error)
            return html(page, 400, headers)
        device.status = "approved"
        device.end_user_id = device.app.end_user_for(listed or typed).id
        return empty(303, {**_HEADERS, "location": "/oidc/device-approved"})

    def approved(self, _call: Call) -> Response:
        """The last page after an approval."""
        page = message_page("Your device is signed in", "You can close this page and go back to your device.")
        return html(page, headers=_HEADERS)

    def denied(self, _call: Call) -> Response:
        """The last page after a denial."""
        page = message_page("The device was not signed in", "You denied the request. You can close this page.")
        return html(page, headers=_HEADERS)

    # ---------------------------------------------------------------- third-party-initiated login

    def _login_hop(self, call: Call) -> str | None:
        """Where a browser without session goes first, when the app signs its users in itself."""
        app = self._state.apps.get(call.query.get("client_id") or "")
        if app is None or not app.device_login or not app.initiate_login_uri:
            return None
        target = f"{call.origin}{_DEVICE}?{urlencode(call.query.pairs)}"
        if _skip_cookie(app.public_client_id, target) in call.cookies:
            return None
        parameters = {"client_id": app.public_client_id, "target_link_uri": target}
        return f"{_DEVICE}/initiate-login?{urlencode(parameters)}"

    def initiate_login(self, call: Call) -> Response:
        """Send the browser to the app's own sign-in (OpenID Connect Core section 4)."""
        client_id = call.query.get("client_id") or ""
        target = call.query.get("target_link_uri") or ""
        app = self._state.apps.get(client_id)
        parts = urlsplit(target)
        sound = f"{parts.scheme}://{parts.netloc}" == call.origin and parts.path == _DEVICE
        if app is None or not app.device_login or not app.initiate_login_uri:
            return _bad_hop("Third-party login is not enabled for this client")
        if not sound or parts.fragment:
            return _bad_hop("Invalid target_link_uri")
        parameters = {"iss": self._issuer.url, "target_link_uri": target}
        if login_hint := call.query.get("login_hint"):
            parameters["login_hint"] = login_hint
        joint = "&" if "?" in app.initiate_login_uri else "?"
        expires = format_datetime(self._state.clock.utcnow() + timedelta(seconds=120), usegmt=True)
        return empty(
            302,
            {
                "location": f"{app.initiate_login_uri}{joint}{urlencode(parameters)}",
                "set-cookie": (
                    f"{_skip_cookie(client_id, target)}=1; Path=/; Expires={expires}; Max-Age=120; Secure; "
                    "HttpOnly; SameSite=lax"
                ),
            },
        )


def _bad_hop(text: str) -> Response:
    return json_answer({"error": "invalid_request", "error_description": text}, 400)


def _skip_cookie(client_id: str, target: str) -> str:
    """Name of the cookie that marks a code whose browser has been sent to the app already."""
    user_code = parse_qs(urlsplit(target).query).get("user_code", [""])[0]
    digest = hashlib.sha256(f"{client_id} {normalize_user_code(user_code)}".encode()).hexdigest()
    return f"pmth_tp_skip_{digest[:16]}"


def _csrf(call: Call) -> tuple[str, Mapping[str, str]]:
    """The token that a form must bring back, and the headers of the page that carries it."""
    token = call.cookies.get(_CSRF_COOKIE)
    if token:
        return token, _HEADERS
    token = secrets.token_urlsafe(24)
    return token, {**_HEADERS, "set-cookie": f"{_CSRF_COOKIE}={token}; Path=/oidc; HttpOnly; SameSite=Strict"}


def _is_own_form(call: Call) -> bool:
    cookie, field = call.cookies.get(_CSRF_COOKIE), call.form.get("csrf")
    if not cookie or not field:
        return False
    return secrets.compare_digest(cookie.encode("utf-8"), field.encode("utf-8"))


def _stale_form() -> Response:
    page = message_page(
        "This form is out of date", "Open the page again and repeat what you did.", "Nothing was changed."
    )
    return html(page, 403, _HEADERS)
