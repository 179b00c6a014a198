"""The web half of a sign-in, without a framework: what each route does, as generators that yield what must wait.

An adapter (`starlette.py`, `django.py`) turns a request into a `Visit`, runs `SignIn.serve`, performs the two
effects it yields (`Exchange`: the code for a token; `Tell`: a hook of the app) and sends the `Reply`.

How a sign-in is bound to its browser: a cookie of our own holds a random value and nothing else, and the signed
state (`tollkit.tokenite.StateSigner`) is good only together with it, for one purpose, for `max_age` seconds. So a
state is the protection against forged requests too: a page of somebody else can neither read the cookie nor make
a state that fits it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import secrets
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from enum import StrEnum
from functools import cache
from importlib.resources import files
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, cast
from urllib.parse import parse_qsl, quote, urlencode

import attrs

from tollkit.core.arguments import required_text
from tollkit.core.weburl import parse_http_url
from tollkit.errors import (
    ArgumentError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    LocalError,
    RequestTimeoutError,
    TollkitError,
)
from tollkit.tokenite.callback import CallbackFailure, parse_callback
from tollkit.tokenite.errors import raised
from tollkit.tokenite.state import StateError, StateSigner, is_own_path
from tollkit.tokenite.top_up import TopUpDone, parse_top_up_return
from tollkit.tokenite.web.pages import HEADERS, page
from tollkit_api.runtime.json_text import need_shallow

if TYPE_CHECKING:
    from tollkit.tokenite.client import AsyncTokenite, Tokenite
    from tollkit_api.tokenite.v2_4.models import UserToken

__all__ = [
    "ROUTES",
    "Answered",
    "Cookie",
    "Exchange",
    "Reply",
    "SignIn",
    "SignInFailure",
    "SignInOptions",
    "SignedIn",
    "Tell",
    "ToppedUp",
    "Visit",
    "safe_next",
]

logger: logging.Logger = logging.getLogger("tollkit.tokenite.web")

MAX_BODY = 16 * 1024
"""Bytes that a body may have; ours have a few hundred."""
_MAX_NEXT = 1024  # what a signed state holds
_SESSION = re.compile(r"[A-Za-z0-9_-]{43}")
_SECURE_COOKIE, _PLAIN_COOKIE = "__Host-tokenite", "tokenite_session"


class SignInOptions(TypedDict, total=False):
    """What both adapters take beside the client, the secret key and the hooks.

    Attributes:
        redirect_uri: Address of the `callback` route as the browser sees it and as Tokenite knows it. The client's
            own when left out, and without one the address of the request (which must then be right: behind a proxy,
            have the server trust its forwarded headers).
        after_login: Where a sign-in goes that names no `next`; a path of this site, `/` if left out.
        after_logout: The same for signing out.
        suggested_budget: The spending limit in USD that the consent screen proposes, when the page names none.
        prompt: What the consent screen shows (`select_account`, `consent`, ...), when the page names nothing.
        max_age: Seconds in which a sign-in must be finished, 600 if left out.
        allow_insecure_http: Serve over plain http on other addresses than loopback. For tests in closed networks.
    """

    redirect_uri: str | None
    after_login: str
    after_logout: str
    suggested_budget: Decimal | float | str | None
    prompt: str | None
    max_age: int
    allow_insecure_http: bool


@attrs.frozen(kw_only=True)
class SignedIn:
    """A user signed in: what `on_signed_in` gets. Keep the token on the server.

    Attributes:
        token: The user's access token.
        next_url: The path on this site that the user wanted to go to.
        mode: `page` for a full-page redirect; `script` when the browser module opened a window or an overlay.
            A response of the hook is then not shown: its cookies are set, and a redirect's target is where the
            module goes next.
    """

    token: UserToken
    next_url: str
    mode: Literal["page", "script"]


@attrs.frozen(kw_only=True)
class SignInFailure:
    """A sign-in (or a top-up) that came to nothing: what `on_cancelled` and `on_error` get.

    Attributes:
        reason: `user_denied`, `access_denied` (`on_cancelled`); `invalid_state`, `missing_code`,
            `malformed_callback`, `oauth_error`, `exchange_failed`, `bad_request`, `cross_origin` (`on_error`).
        message: One sentence that may be shown to the user.
        status: HTTP status that fits.
        next_url: The path on this site that the user wanted to go to.
        description: The platform's own words, when it had any. They came through the browser: escape them.
        error: The error behind it, when there was one.
    """

    reason: str
    message: str
    status: int
    next_url: str
    description: str | None = None
    error: TollkitError | None = None


@attrs.frozen(kw_only=True)
class ToppedUp:
    """A user came back from the top-up page: what `on_topped_up` gets.

    The numbers came through the browser. Show them, but do not account with them.

    Attributes:
        new_limit: The new spending limit in USD; `None` when the platform did not say.
        remaining: What is left of it.
        next_url: The path on this site that the user wanted to go to.
    """

    new_limit: Decimal | None
    remaining: Decimal | None
    next_url: str


@attrs.frozen(kw_only=True)
class Visit:
    """One request, in no framework's terms.

    Attributes:
        scheme: `http` or `https`, as the browser sees the site.
        host: The `Host` header.
        path: The whole path, decoded, with whatever prefix the routes are mounted under.
        query: Without `?`, encoded.
        headers: By lower-case name.
        body: At most `MAX_BODY + 1` bytes of it.
    """

    method: str
    scheme: str
    host: str
    path: str
    query: str
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    body: bytes = b""


@attrs.frozen(kw_only=True)
class Cookie:
    """The cookie that binds a sign-in to its browser; `value` `None` removes it."""

    name: str
    value: str | None
    max_age: int
    secure: bool


@attrs.frozen(kw_only=True)
class Answered:
    """A response that a hook of the app gave, and what we need to know about it."""

    response: Any
    status: int
    location: str | None


@attrs.frozen(kw_only=True)
class Reply:
    """What to answer.

    Attributes:
        response: A response of the app's own, to be sent instead of everything here but the cookie.
        cookies_from: A response of the app's own whose cookies are to be set as well.
    """

    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    body: bytes = b""
    cookie: Cookie | None = None
    response: Any = None
    cookies_from: Any = None


@attrs.frozen(kw_only=True)
class Exchange:
    """Effect: exchange the code at the platform; the answer is a `UserToken`."""

    code: str
    redirect_uri: str


@attrs.frozen(kw_only=True)
class Tell:
    """Effect: call a hook of the app, if there is one; the answer is `Answered`, or `None` for no response."""

    hook: Literal["signed_in", "cancelled", "topped_up", "signed_out", "error"]
    event: Any


Steps: TypeAlias = Generator["Exchange | Tell", Any, Reply]

ROUTES: Mapping[str, tuple[str, ...]] = {
    "login": ("GET",),
    "start": ("POST",),
    "callback": ("GET", "POST"),
    "top-up": ("GET",),
    "logout": ("POST",),
    "tokenite.js": ("GET", "HEAD"),
}
"""The routes with their methods. `callback` is where top-ups come back too: the platform knows one address an app."""


class _Purpose(StrEnum):
    """What a state was made for; it is good for nothing else."""

    PAGE = "page"
    SCRIPT = "script"
    TOP_UP = "top-up"
    TOP_UP_SCRIPT = "top-up-script"


class _RefusedError(Exception):
    def __init__(self, failure: SignInFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@attrs.frozen(kw_only=True)
class _Site:
    """Where a request found us, as the browser sees it."""

    origin: str
    base: str
    """Encoded path under which the routes are mounted, without a slash at its end."""
    redirect_uri: str

    @property
    def secure(self) -> bool:
        return self.origin.startswith("https:")


class SignIn:
    """The routes of one app.

    Args:
        tokenite: The client of the app.
        secret_key: Signs the states; several when it is being changed, the first signs.
        options: See `SignInOptions`.

    Raises:
        ArgumentError: An option cannot be used.
    """

    def __init__(
        self,
        tokenite: Tokenite | AsyncTokenite,
        secret_key: str | bytes | Sequence[str | bytes],
        options: SignInOptions,
    ) -> None:
        known = SignInOptions.__optional_keys__
        for name in options:
            if name not in known:
                raise raised(ArgumentError(name, f"is no option; there are {', '.join(sorted(known))}"))
        self._tokenite = tokenite
        self._max_age = options.get("max_age", 600)
        self._signer = StateSigner(secret_key, max_age=self._max_age)
        self._redirect_uri = options.get("redirect_uri") or tokenite.redirect_uri
        self._after_login = _own_path("after_login", options.get("after_login", "/"))
        self._after_logout = _own_path("after_logout", options.get("after_logout", "/"))
        self._budget = options.get("suggested_budget")
        self._prompt = options.get("prompt")
        self._allow_insecure_http = options.get("allow_insecure_http", False)
        if self._redirect_uri is not None and parse_http_url(self._redirect_uri) is None:
            raise raised(ArgumentError("redirect_uri", "must be an http(s) address"))
        # fails here and not at the first visitor when the defaults cannot be used
        tokenite.get_authorize_url(
            state="state",
            redirect_uri="http://127.0.0.1/callback",
            suggested_budget=self._budget,
            prompt=self._prompt,
        )

    def serve(self, name: str, visit: Visit) -> Steps:
        """Answer one request to the route `name` of `ROUTES`.

        Raises:
            ConfigurationError: The site is served over plain http on an address that is not loopback.
            TollkitError: What a hook raised.
        """
        if visit.method not in ROUTES[name]:
            return Reply(status=405, headers={"allow": ", ".join(ROUTES[name])})
        script = visit.method == "POST" and name != "logout"
        try:
            site = self._site(name, visit)
            if visit.method == "POST":
                self._check_own(visit)
            match name:
                case "login":
                    return self._login(visit, site)
                case "start":
                    return self._start(visit, site)
                case "callback" if script:
                    return (yield from self._script_callback(visit, site))
                case "callback":
                    return (yield from self._page_callback(visit, site))
                case "top-up":
                    return self._top_up(visit, site)
                case "logout":
                    return (yield from self._logout(visit, site))
                case _:
                    return _module(visit)
        except _RefusedError as refused:
            return (yield from self._failed(refused.failure, visit, name, script=script))

    # --- the routes -------------------------------------------------------------------------------------

    def _login(self, visit: Visit, site: _Site) -> Reply:
        asked = dict(_pairs(visit.query))
        session, cookie = self._session(visit, site)
        state = self._issue(session, _Purpose.PAGE, asked.get("next"))
        url = self._authorize_url(site.redirect_uri, state, asked, None)
        return _redirect(url, cookie=cookie)

    def _start(self, visit: Visit, site: _Site) -> Reply:
        asked = self._json(visit)
        if not isinstance(asked.get("prompt"), str | None):
            raise self._refusal("bad_request", 'The field "prompt" must be text.')
        session, cookie = self._session(visit, site)
        match asked.get("what"), asked.get("mode"):
            case "sign-in", ("popup" | "iframe") as mode:
                state = self._issue(session, _Purpose.SCRIPT, asked.get("next"))
                url = self._authorize_url(site.redirect_uri, state, asked, mode)
            case "top-up", "popup":
                state = self._issue(session, _Purpose.TOP_UP_SCRIPT, asked.get("next"))
                url = self._top_up_url(site.redirect_uri, state, asked.get("suggestedAmount"), "popup")
            case _:
                raise self._refusal("bad_request", "There is no such way to sign in or to top up.")
        platform = parse_http_url(self._tokenite.base_url)
        origin = platform.origin if platform else ""
        told = {"url": url, "state": state, "origin": origin, "redirectUri": site.redirect_uri}
        return attrs.evolve(_json_reply(told), cookie=cookie)

    def _page_callback(self, visit: Visit, site: _Site) -> Steps:
        pairs = _pairs(visit.query)
        purpose, next_url = self._state(_single(pairs, "state"), visit, site)
        if purpose in (_Purpose.SCRIPT, _Purpose.TOP_UP_SCRIPT) and not _single(pairs, "here"):
            return _landing(visit, site)
        if purpose in (_Purpose.TOP_UP, _Purpose.TOP_UP_SCRIPT):
            return (yield from self._topped_up(visit, next_url))
        code = self._code("?" + visit.query, next_url)
        token = yield from self._exchange(code, site, next_url)
        answered: Answered | None = yield Tell(
            hook="signed_in", event=SignedIn(token=token, next_url=next_url, mode="page")
        )
        return Reply(response=answered.response) if answered else _redirect(next_url)

    def _script_callback(self, visit: Visit, site: _Site) -> Steps:
        sent = self._json(visit)
        state, code = sent.get("state"), sent.get("code")
        purpose, next_url = self._state(state if isinstance(state, str) else None, visit, site)
        if purpose is not _Purpose.SCRIPT:
            raise self._refusal(
                "invalid_state", "This sign-in was begun in another way. Please start again.", next_url
            )
        found = self._code({"code": code} if isinstance(code, str) else {}, next_url)
        token = yield from self._exchange(found, site, next_url)
        answered: Answered | None = yield Tell(
            hook="signed_in", event=SignedIn(token=token, next_url=next_url, mode="script")
        )
        if answered is None:
            return _json_reply({"ok": True, "next": next_url})
        if answered.status >= 400:
            refusal = {"ok": False, "reason": "refused", "message": "This site did not let you in."}
            return attrs.evolve(_json_reply(refusal, answered.status), cookies_from=answered.response)
        told = {"ok": True, "next": answered.location or next_url}
        return attrs.evolve(_json_reply(told), cookies_from=answered.response)

    def _top_up(self, visit: Visit, site: _Site) -> Reply:
        asked = dict(_pairs(visit.query))
        session, cookie = self._session(visit, site)
        state = self._issue(session, _Purpose.TOP_UP, asked.get("next"))
        url = self._top_up_url(site.redirect_uri, state, asked.get("amount"), "redirect")
        return _redirect(url, cookie=cookie)

    def _topped_up(self, visit: Visit, next_url: str) -> Steps:
        result = parse_top_up_return("?" + visit.query)
        if not isinstance(result, TopUpDone):
            return _redirect(next_url)
        event = ToppedUp(new_limit=result.new_limit, remaining=result.remaining, next_url=next_url)
        answered: Answered | None = yield Tell(hook="topped_up", event=event)
        return Reply(response=answered.response) if answered else _redirect(next_url)

    def _logout(self, visit: Visit, site: _Site) -> Steps:
        form = visit.headers.get("content-type", "").partition(";")[0].strip().lower()
        fields = _pairs(visit.body.decode("utf-8", "replace")) if form == "application/x-www-form-urlencoded" else []
        wanted = _single(fields, "next") or _single(_pairs(visit.query), "next")
        cookie = attrs.evolve(self._cookie(site, ""), value=None)
        answered: Answered | None = yield Tell(hook="signed_out", event=None)
        if answered:
            return Reply(response=answered.response, cookie=cookie)
        return _redirect(safe_next(wanted, self._after_logout), cookie=cookie)

    def _failed(self, failure: SignInFailure, visit: Visit, name: str, *, script: bool) -> Steps:
        cancelled = failure.reason in ("user_denied", "access_denied")
        logger.log(
            logging.INFO if cancelled else logging.WARNING,
            "Tokenite sign-in came to nothing: %s: %s",
            failure.reason,
            failure.error or failure.description or failure.message,
        )
        answered: Answered | None = yield Tell(hook="cancelled" if cancelled else "error", event=failure)
        if script:
            told = {"ok": False, "reason": failure.reason, "message": failure.message}
            reply = _json_reply(told, failure.status)
            return attrs.evolve(reply, cookies_from=answered.response) if answered else reply
        if answered:
            return Reply(response=answered.response)
        if cancelled:
            return _redirect(failure.next_url)
        again = f"{_base(name, visit.path)}/login?{urlencode({'next': failure.next_url})}"
        links = ((again, "Try again"), (failure.next_url, "Back"))
        told_by = f"Tokenite says: {failure.description}" if failure.description else ""
        body = page("You are not signed in", failure.message, told_by, links=links)
        return Reply(status=failure.status, headers=_private(HEADERS), body=body)

    # --- their parts ------------------------------------------------------------------------------------

    def _site(self, name: str, visit: Visit) -> _Site:
        base = _base(name, visit.path)
        seen = parse_http_url(f"{visit.scheme}://{visit.host}/")
        if seen is None or seen.path != "/" or seen.userinfo or seen.query is not None or seen.fragment is not None:
            raise self._refusal("bad_request", "The request names no usable host.")
        redirect_uri = self._redirect_uri or f"{seen.origin}{base}/callback"
        known = parse_http_url(redirect_uri) or seen
        if known.scheme == "http" and not self._allow_insecure_http and not _is_loopback(known.host):
            raise raised(
                ConfigurationError(
                    f"Signing in over plain http on {known.host} would show the code to the network. Serve over "
                    "https; behind a proxy that ends TLS, set redirect_uri to the https address of the callback or "
                    "have the server trust the proxy's headers.",
                    code="insecure_http",
                )
            )
        return _Site(origin=known.origin, base=base, redirect_uri=redirect_uri)

    def _check_own(self, visit: Visit) -> None:
        """Refuse what a page of another site sent (the order of the checks is that of Go's CrossOriginProtection)."""
        fetch_site, origin = visit.headers.get("sec-fetch-site"), visit.headers.get("origin")
        if fetch_site is not None:
            own = fetch_site in ("same-origin", "none")
        else:  # an older browser, or none: the scheme is not compared, since a proxy may have ended TLS
            own = origin is None or origin.partition("://")[2].lower() == visit.host.lower()
        if not own:
            raise self._refusal("cross_origin", "The request came from another site.", status=403)
        if len(visit.body) > MAX_BODY:
            raise self._refusal("bad_request", "The request is too large.", status=413)

    def _json(self, visit: Visit) -> dict[str, Any]:
        """The members of a JSON body. Plain forms, which any site can send, are refused by their content type."""
        if visit.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise self._refusal("bad_request", "The body must be application/json.", status=415)
        try:
            need_shallow(visit.body)
            sent: object = json.loads(visit.body, parse_float=Decimal)
        except (ValueError, RecursionError):
            sent = None
        if not isinstance(sent, dict):
            raise self._refusal("bad_request", "The body must be a JSON object.")
        return cast("dict[str, Any]", sent)

    def _cookie(self, site: _Site, value: str) -> Cookie:
        name = _SECURE_COOKIE if site.secure else _PLAIN_COOKIE
        return Cookie(name=name, value=value, max_age=self._max_age, secure=site.secure)

    def _session(self, visit: Visit, site: _Site) -> tuple[str, Cookie]:
        """The value that binds to this browser, its own if it has one: two tabs may sign in at once."""
        session = self._known_session(visit, site) or secrets.token_urlsafe(32)
        return session, self._cookie(site, session)

    def _known_session(self, visit: Visit, site: _Site) -> str | None:
        value = visit.cookies.get(self._cookie(site, "").name, "")
        return value if _SESSION.fullmatch(value) else None

    def _issue(self, session: str, purpose: _Purpose, wanted: object) -> str:
        return self._signer.issue(f"{purpose}:{session}", next_url=safe_next(wanted, self._after_login))

    def _state(self, state: str | None, visit: Visit, site: _Site) -> tuple[_Purpose, str]:
        """What the state was made for, and where the user wanted to go; checked before all else that came with it."""
        session = self._known_session(visit, site)
        problem: StateError | None = None
        for purpose in _Purpose:
            try:
                signed = self._signer.check(state, session and f"{purpose}:{session}")
            except StateError as error:
                problem = error
                if error.code != "state_wrong_session":
                    break
            else:
                return purpose, safe_next(signed.next_url, self._after_login)
        late = problem is not None and problem.code == "state_expired"
        told = "It took too long." if late else "This sign-in was not begun in this browser, or its cookie is gone."
        raise self._refusal("invalid_state", f"{told} Please start again.", error=problem)

    def _code(self, source: str | Mapping[str, str], next_url: str) -> str:
        result = parse_callback(source)
        if not isinstance(result, CallbackFailure):
            return result.code
        told, status = _CALLBACK.get(result.reason, _CALLBACK["oauth_error"])
        description = result.description or result.error
        raise self._refusal(result.reason, told, next_url, status=status, description=description)

    def _exchange(self, code: str, site: _Site, next_url: str) -> Generator[Exchange, UserToken, UserToken]:
        try:
            return (yield Exchange(code=code, redirect_uri=site.redirect_uri))
        except TollkitError as error:
            told, status = _exchange_failure(error)
            raise self._refusal("exchange_failed", told, next_url, status=status, error=error) from error

    def _authorize_url(
        self, redirect_uri: str, state: str, asked: Mapping[str, Any], mode: Literal["popup", "iframe"] | None
    ) -> str:
        with self._asked():
            return self._tokenite.get_authorize_url(
                state=state,
                redirect_uri=redirect_uri,
                suggested_budget=_given(asked.get("budget"), self._budget),
                prompt=_given(asked.get("prompt"), self._prompt),
                mode=mode,
            ).url

    def _top_up_url(self, redirect_uri: str, state: str, amount: object, mode: Literal["popup", "redirect"]) -> str:
        with self._asked():
            return self._tokenite.top_up_url(
                state=state, redirect_uri=redirect_uri, suggested_amount=_given(amount, None), mode=mode
            ).url

    @contextmanager
    def _asked(self) -> Generator[None]:
        """What the page asked for may be unusable: that is a bad request, and no failure of the site."""
        try:
            yield
        except ArgumentError as error:
            raise self._refusal("bad_request", "The page asked for something that cannot be.", error=error) from error

    def _refusal(
        self,
        reason: str,
        message: str,
        next_url: str | None = None,
        *,
        status: int = 400,
        description: str | None = None,
        error: TollkitError | None = None,
    ) -> _RefusedError:
        return _RefusedError(
            SignInFailure(
                reason=reason,
                message=message,
                status=status,
                next_url=next_url or self._after_login,
                description=description,
                error=error,
            )
        )


_CALLBACK = {
    "user_denied": ("You cancelled the sign-in.", 403),
    "access_denied": ("Tokenite did not let you sign in.", 403),
    "oauth_error": ("Tokenite could not sign you in.", 502),
    "missing_code": ("Tokenite sent you back without a code.", 400),
    "malformed_callback": ("The address that you came back with cannot be read.", 400),
}


def _exchange_failure(error: TollkitError) -> tuple[str, int]:
    """What to say, and the status: whose fault it was."""
    if isinstance(error, LocalError):
        return "This site is not set up to sign users in.", 500
    if isinstance(error, BadRequestError):
        return "The sign-in took too long or was used already. Please start again.", 400
    if isinstance(error, AuthenticationError):
        return "Tokenite refused this site.", 502
    if isinstance(error, RequestTimeoutError):
        return "Tokenite did not answer in time. Please try again.", 504
    return "Tokenite could not finish the sign-in. Please try again.", 502


def safe_next(wanted: object, default: str) -> str:
    """The path to go to, encoded, if a browser that is sent there certainly stays on this site.

    Args:
        wanted: What a link or form asked for.
        default: What to take when that is no such path.
    """
    if not isinstance(wanted, str) or len(wanted) > _MAX_NEXT or not is_own_path(wanted):
        return default
    path = quote(wanted, safe="/%?#[]@!$&'()*+,;=:~-._")
    return path if len(path) <= _MAX_NEXT else default


def _own_path(name: str, value: object) -> str:
    text = required_text(name, value)
    path = safe_next(text, "")
    if not path:
        raise raised(ArgumentError(name, "must be a path of this site, such as /home"))
    return path


def _given(value: object, default: Any) -> Any:
    """What the page asked for; an empty field of a form is no wish."""
    return default if value is None or value == "" else value


def _base(name: str, path: str) -> str:
    return quote(path.removesuffix("/").removesuffix(f"/{name}"), safe="/!$&'()*+,;=:@")


def _pairs(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)


def _single(pairs: Sequence[tuple[str, str]], name: str) -> str | None:
    """The value of a parameter that stands there once."""
    values = [value for key, value in pairs if key == name]
    return values[0] if len(values) == 1 else None


def _is_loopback(host: str) -> bool:
    name = host.strip("[]")
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _private(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers of whatever is for this user now: the address may hold a code, which must not travel on."""
    return {
        "cache-control": "no-store",
        "referrer-policy": "same-origin",
        "x-content-type-options": "nosniff",
        **headers,
    }


def _redirect(location: str, *, cookie: Cookie | None = None) -> Reply:
    return Reply(status=303, headers=_private({"location": location}), cookie=cookie)


def _json_reply(document: Mapping[str, Any], status: int = 200) -> Reply:
    body = json.dumps(document, separators=(",", ":")).encode()
    return Reply(status=status, headers=_private({"content-type": "application/json"}), body=body)


def _landing(visit: Visit, site: _Site) -> Reply:
    """Where a window lands when the platform redirects it. The page that opened it reads the address and goes on.

    If nobody does (that page is gone), the link finishes the sign-in in this window.
    """
    here = f"{site.base}/callback?{visit.query}&here=1"
    body = page(
        "One moment",
        "This window closes by itself. If it stays open, go on here.",
        links=((here, "Continue in this window"),),
    )
    return Reply(headers=_private(HEADERS), body=body)


@cache
def _module_source() -> tuple[bytes, str]:
    source = files("tollkit.tokenite.web").joinpath("assets", "tokenite.js").read_bytes()
    return source, f'"{hashlib.sha256(source).hexdigest()[:32]}"'


def _module(visit: Visit) -> Reply:
    """The browser module; asked for anew each time, so that it always fits these routes."""
    source, etag = _module_source()
    headers = {
        "content-type": "text/javascript; charset=utf-8",
        "cache-control": "public, no-cache",
        "etag": etag,
        "x-content-type-options": "nosniff",
    }
    seen = [tag.strip().removeprefix("W/") for tag in visit.headers.get("if-none-match", "").split(",")]
    if etag in seen or "*" in seen:
        return Reply(status=304, headers=headers)
    return Reply(headers=headers, body=source)
