"""The browser's side: consent at `/oauth/authorize`, the new limit at `/oauth/top-up`, and the sign-in before both.

A page that is shown belongs to a transaction: what was asked, and who is signed in. Its id travels in the form, can
be neither guessed nor read from another site, and is all that a decision depends on; so the pages work in a frame
whose cookies the browser withholds. A form that comes from another site is refused by its `Origin`.
"""

from __future__ import annotations

import re
import secrets
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import attrs
from starlette.responses import Response

from tollkit.sandbox.http import Call, Form, empty, html, route
from tollkit.sandbox.tokenite import PREFIX, templates
from tollkit.sandbox.tokenite.catalog import PROVIDERS
from tollkit.sandbox.tokenite.state import Transaction, number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.routing import Route

    from tollkit.sandbox.tokenite.platform import TokeniteSandbox
    from tollkit.sandbox.tokenite.state import App, Connection, User

__all__ = ["PageRoutes"]

_COOKIE = "tokenite_sandbox"
_COOKIE_SECONDS = 30 * 86_400
_USUAL_BUDGET = Decimal(5)
_LARGEST_AMOUNT = Decimal(1_000_000)
_WHOLE_SCREEN = {"consent", "login"}
_TYPED_AMOUNT = re.compile(r"[0-9]{1,7}(?:\.[0-9]{1,6})?")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]{1,2})?")
_EMAIL = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+")


class _PageError(Exception):
    """The browser must not be sent back: a page says why."""


@attrs.frozen
class _Requested:
    """A request to show a page, as far as the way back is known to be good."""

    app: App
    redirect_uri: str
    state: str | None
    mode: str | None


class PageRoutes:
    """Handlers of the pages."""

    def __init__(self, platform: TokeniteSandbox) -> None:
        self._platform = platform
        self._state = platform.state

    def routes(self) -> list[Route]:
        """The routes, relative to `base_url`."""
        lock = self._state.lock
        return [
            route("/", lock, GET=self.home),
            route("/logos/{name}.svg", lock, GET=self.logo),
            route("/oauth/authorize", lock, GET=self.authorize),
            route("/oauth/sign-in", lock, POST=self.sign_in),
            route("/oauth/account", lock, POST=self.choose_account),
            route("/oauth/consent", lock, POST=self.decide),
            route("/oauth/top-up", lock, GET=self.top_up, POST=self.decide_top_up),
        ]

    def home(self, _call: Call) -> Response:
        """A page for whoever opens `base_url`."""
        platform, nonce = self._platform, _nonce()
        page = templates.home_page(nonce, platform.client_id, platform.base_url, platform.proxy_base)
        return _answer(page, nonce)

    def logo(self, call: Call) -> Response:
        """The picture behind a `logoUrl`."""
        provider = PROVIDERS.get(call.params["name"])
        if provider is None:
            return empty(404)
        return Response(templates.logo(provider), media_type="image/svg+xml")

    # ---------------------------------------------------------------- consent

    def authorize(self, call: Call) -> Response:
        """The authorization request (RFC 6749 section 4.1.1), with Tokenite's `suggested_budget` and `mode`."""
        try:
            asked = self._requested(call.query, modes=("popup", "iframe"))
        except _PageError as refusal:
            return _refusal(str(refusal))
        prompts = frozenset((call.query.get("prompt") or "").split())
        wrong = _what_is_wrong(call.query, asked.mode, ("popup", "iframe"), "suggested_budget")
        transaction = self._transaction("authorize", asked, _amount(call.query.get("suggested_budget")), prompts)
        if call.query.get("response_type") not in (None, "code"):
            return self._fail(transaction, "unsupported_response_type", "response_type must be code")
        if not wrong and call.query.get("response_type") is None:
            wrong = "response_type is missing"
        if wrong:
            return self._fail(transaction, "invalid_request", wrong)
        return self._begin(transaction, call)

    def _requested(self, query: Form, modes: tuple[str, ...]) -> _Requested:
        """Who asks, and where the browser goes afterwards.

        Raises:
            _PageError: Nobody known, or an address that the app did not register (RFC 6749 section 4.1.2.1).
        """
        if len(query.all("client_id")) > 1 or len(query.all("redirect_uri")) > 1:
            raise _PageError("The address names the client or the way back twice.")
        app = self._state.apps.get(query.get("client_id") or "")
        if app is None:
            raise _PageError("There is no app with this client_id.")
        redirect_uri = query.get("redirect_uri") or ""
        if not self._platform.redirect_allowed(app, redirect_uri):
            raise _PageError("This redirect_uri is not registered for the app.")
        mode = query.get("mode")
        return _Requested(app, redirect_uri, query.get("state"), mode if mode in modes else None)

    def _transaction(
        self, purpose: Any, asked: _Requested, amount: Decimal | None, prompts: frozenset[str] = frozenset()
    ) -> Transaction:
        return Transaction(
            purpose=purpose,
            app_id=asked.app.id,
            redirect_uri=asked.redirect_uri,
            client_state=asked.state,
            mode=asked.mode,
            prompts=prompts,
            amount=amount,
            expires_at=self._state.transaction_end(),
        )

    def _begin(self, transaction: Transaction, call: Call) -> Response:
        user = self._state.users.get(self._state.sessions.get(call.cookies.get(_COOKIE, ""), ""))
        if user is None:
            return self._ask_who(transaction)
        return self._go_on(attrs.evolve(transaction, user_id=user.id), chosen=False)

    def _go_on(self, transaction: Transaction, *, chosen: bool) -> Response:
        """The page after it is known who is signed in, or the end when there is nothing to ask.

        Args:
            transaction: With a user.
            chosen: Whether the person has just said which account it is to be.
        """
        app, user = self._parties(transaction)
        connection = self._state.connection_of(user.id, app.id)
        if transaction.purpose == "top-up":
            return self._ask_limit(transaction)
        if "select_account" in transaction.prompts and not chosen:
            kept, nonce = self._state.keep(transaction), _nonce()
            return _answer(templates.account_page(nonce, kept.id, app, user, connection), nonce)
        if connection is None or transaction.prompts & _WHOLE_SCREEN:
            return self._ask_consent(transaction)
        return self._approve(transaction, connection)

    def _parties(self, transaction: Transaction) -> tuple[App, User]:
        return self._state.apps[transaction.app_id], self._state.users[transaction.user_id or ""]

    def _ask_who(self, transaction: Transaction, email: str | None = None, error: str | None = None) -> Response:
        kept, nonce = self._state.keep(attrs.evolve(transaction, user_id=None)), _nonce()
        shown = self._platform.owner_email if email is None else email
        app = self._state.apps[transaction.app_id]
        page = templates.sign_in_page(nonce, kept.id, app, email=shown, error=error)
        return _answer(page, nonce, 400 if error else 200)

    def _ask_consent(self, transaction: Transaction, typed: str | None = None, error: str | None = None) -> Response:
        app, user = self._parties(transaction)
        connection = self._state.connection_of(user.id, app.id)
        usual = connection.budget_limit if connection else _USUAL_BUDGET
        account = connection.account_id if connection else self._state.personal_account(user).id
        providers = [found for found in PROVIDERS.values() if self._state.key_for(account, found.id)]
        kept, nonce = self._state.keep(transaction), _nonce()
        page = templates.consent_page(
            nonce,
            kept.id,
            app,
            user,
            providers,
            budget=templates.plain(transaction.amount or usual) if typed is None else typed,
            error=error,
        )
        return _answer(page, nonce, 400 if error else 200)

    def sign_in(self, call: Call) -> Response:
        """Take the e-mail address and go on; the browser remembers it."""
        transaction = self._own_form(call)
        if transaction is None:
            return _stale_form()
        if call.form.get("action") == "cancel":
            return self._cancel(transaction)
        email = (call.form.get("email") or "").strip()
        if not _EMAIL.fullmatch(email):
            return self._ask_who(transaction, email, "Type an e-mail address, such as ada@example.com.")
        user = self._platform.seed_user(email)
        session = secrets.token_urlsafe(24)
        self._state.sessions[session] = user.id
        answer = self._go_on(attrs.evolve(transaction, user_id=user.id), chosen=True)
        answer.headers["set-cookie"] = (
            f"{_COOKIE}={session}; Path={PREFIX}; Max-Age={_COOKIE_SECONDS}; HttpOnly; SameSite=Lax"
        )
        return answer

    def choose_account(self, call: Call) -> Response:
        """Go on as who is signed in, or ask who else it is."""
        transaction = self._own_form(call)
        if transaction is None or transaction.user_id is None:
            return _stale_form()
        match call.form.get("action"):
            case "continue":
                return self._go_on(transaction, chosen=True)
            case "other":
                return self._ask_who(transaction, "")
            case _:
                return self._cancel(transaction)

    def decide(self, call: Call) -> Response:
        """Approve with a budget, or cancel."""
        transaction = self._own_form(call)
        if transaction is None or transaction.user_id is None:
            return _stale_form()
        action = call.form.get("action")
        if action == "other":
            return self._ask_who(transaction, "")
        if action != "approve":
            return self._cancel(transaction)
        typed = (call.form.get("budget") or "").strip()
        budget = _typed(typed)
        if budget is None:
            return self._ask_consent(transaction, typed, "Type an amount of dollars above zero, such as 5 or 2.50.")
        app, user = self._parties(transaction)
        return self._approve(transaction, self._state.connect(user, app, budget))

    # ---------------------------------------------------------------- top-up

    def top_up(self, call: Call) -> Response:
        """The page for a new limit; that it has this address and these parameters is assumed."""
        try:
            asked = self._requested(call.query, modes=("popup", "iframe"))
        except _PageError as refusal:
            return _refusal(str(refusal))
        transaction = self._transaction("top-up", asked, _amount(call.query.get("suggested_amount")))
        modes = ("popup", "iframe", "redirect")
        wrong = _what_is_wrong(call.query, call.query.get("mode"), modes, "suggested_amount")
        if wrong:
            return _refusal(f"{wrong[:1].upper()}{wrong[1:]}.")
        return self._begin(transaction, call)

    def _ask_limit(self, transaction: Transaction, typed: str | None = None, error: str | None = None) -> Response:
        app, user = self._parties(transaction)
        connection = self._state.connection_of(user.id, app.id)
        kept, nonce = self._state.keep(transaction), _nonce()
        if connection is None:
            return _answer(templates.no_grant_page(nonce, kept.id, app, user), nonce)
        suggested = transaction.amount or connection.budget_limit * 2
        page = templates.top_up_page(
            nonce,
            kept.id,
            app,
            user,
            connection,
            new_limit=templates.plain(suggested) if typed is None else typed,
            error=error,
        )
        return _answer(page, nonce, 400 if error else 200)

    def decide_top_up(self, call: Call) -> Response:
        """Set the new limit, or leave it."""
        transaction = self._own_form(call)
        if transaction is None or transaction.user_id is None:
            return _stale_form()
        app, user = self._parties(transaction)
        connection = self._state.connection_of(user.id, app.id)
        action = call.form.get("action")
        if action == "other":
            return self._ask_who(transaction, "")
        if action != "confirm" or connection is None:
            return self._cancel(transaction)
        typed = (call.form.get("new_limit") or "").strip()
        new_limit = _typed(typed)
        if new_limit is None or new_limit <= connection.budget_spent:
            spent = templates.dollars(connection.budget_spent)
            return self._ask_limit(transaction, typed, f"Type an amount of dollars above {spent}, which is spent.")
        connection.budget_limit = new_limit
        limit, remaining = number(new_limit), number(connection.remaining)
        return self._leave(
            transaction,
            {"topup": "success", "new_limit": str(limit), "remaining": templates.plain(connection.remaining)},
            {"type": "tokenite:topup-success", "newLimit": limit, "remaining": remaining},
        )

    # ---------------------------------------------------------------- the way back

    def _approve(self, transaction: Transaction, connection: Connection) -> Response:
        code = self._state.issue_code(connection, transaction.redirect_uri).code
        return self._leave(transaction, {"code": code}, {"type": "tokenite:auth-success", "code": code})

    def _fail(self, transaction: Transaction, error: str, description: str) -> Response:
        return self._leave(
            transaction,
            {"error": error, "error_description": description},
            {"type": "tokenite:auth-error", "error": error},
        )

    def _cancel(self, transaction: Transaction) -> Response:
        if transaction.purpose == "top-up":
            return self._leave(transaction, {"topup": "cancelled"}, {"type": "tokenite:topup-cancelled"})
        return self._fail(transaction, "access_denied", "user_denied")

    def _leave(self, transaction: Transaction, query: Mapping[str, str], message: Mapping[str, Any]) -> Response:
        """Tell whoever opened the popup or frame, or send the browser to `redirect_uri`."""
        state = {} if transaction.client_state is None else {"state": transaction.client_state}
        location = _with_query(transaction.redirect_uri, {**query, **state})
        parts = urlsplit(transaction.redirect_uri)
        lands = transaction.mode == "popup" and self._platform.popup_lands
        if transaction.mode is None or lands or parts.scheme not in ("http", "https"):
            # After a form the browser must not send it again, to the app (RFC 9700 section 4.12).
            return empty(303 if transaction.id else 302, {**_HEADERS, "location": location})
        nonce = _nonce()
        origin = f"{parts.scheme}://{parts.netloc}"
        return _answer(templates.outcome_page(nonce, message, origin, location), nonce)

    def _own_form(self, call: Call) -> Transaction | None:
        """The transaction of a form that one of our pages sent; None for any other."""
        origin = call.headers.get("origin")
        if origin is not None and origin != call.origin:
            return None
        return self._state.transaction(call.form.get("transaction") or "")


_HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}


def _nonce() -> str:
    return secrets.token_urlsafe(16)


def _answer(page: str, nonce: str, status: int = 200) -> Response:
    # Apps show the pages in frames, so everybody may. No form-action: browsers hold the redirects after a form to
    # it, and the app at redirect_uri may send the browser on to wherever it likes.
    own = f"style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'"
    policy = f"default-src 'none'; {own}; base-uri 'none'; frame-ancestors *"
    return html(page, status, {**_HEADERS, "content-security-policy": policy})


def _refusal(text: str) -> Response:
    nonce = _nonce()
    return _answer(
        templates.message_page(nonce, "This link does not work", text, "Tell the app's maker."), nonce, 400
    )


def _stale_form() -> Response:
    nonce = _nonce()
    page = templates.message_page(
        nonce, "This form is out of date", "Go back to the app and start again.", "Nothing was changed."
    )
    return _answer(page, nonce, 403)


def _what_is_wrong(query: Form, mode: str | None, modes: tuple[str, ...], amount: str) -> str | None:
    if repeated := query.repeated():
        return f"{repeated} stands there twice"
    given = query.get("mode")
    if given is not None and given not in modes:
        return f"mode must be one of {', '.join(modes)}"
    if query.get(amount) is not None and _amount(query.get(amount)) is None:
        return f"{amount} must be an amount of dollars above zero"
    return None


def _amount(text: str | None) -> Decimal | None:
    """An amount in JavaScript's text form, as clients send it."""
    if text is None or not _NUMBER.fullmatch(text):
        return None
    amount = Decimal(text)
    return amount if 0 < amount <= _LARGEST_AMOUNT else None


def _typed(text: str) -> Decimal | None:
    """An amount that a person typed."""
    amount = Decimal(text) if _TYPED_AMOUNT.fullmatch(text) else Decimal(0)
    return amount if 0 < amount <= _LARGEST_AMOUNT else None


def _with_query(address: str, query: Mapping[str, str]) -> str:
    joint = "&" if "?" in address else "?"
    safe = quote(address, safe=":/?#[]@!$&'()*+,;=%~")
    return f"{safe}{joint}{urlencode(query, quote_via=quote)}"
