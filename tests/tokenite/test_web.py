"""The routes of a sign-in, the same in three frameworks, against a token endpoint that does as a script says."""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import attrs
import django
import django.conf
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.server import Answer, Half, Hold, Reset, Server
from support.tokenite import QUICK
from tollkit import AsyncTokenite, Tokenite
from tollkit.errors import ArgumentError, ConfigurationError
from tollkit.tokenite import StateSigner, TokeniteError
from tollkit.tokenite.web import SignedIn, SignInFailure, ToppedUp, safe_next

UNKEPT = attrs.evolve(QUICK, max_keepalive_connections=0)  # so that nobody has to close the clients
KEY = "a key of thirty-two signs or more"
TOKEN = "tkn_of_ada_0123456789"
GRANTED = Answer.json({"access_token": TOKEN, "token_type": "Bearer"})

django.conf.settings.configure(
    SECRET_KEY=KEY,
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=[],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    LOGGING_CONFIG=None,
)
django.setup()


class LoopEachTime(httpx.BaseTransport):
    """An ASGI application behind a blocking client: each request has an event loop of its own."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def answered() -> httpx.Response:
            answer = await httpx.ASGITransport(self._app).handle_async_request(request)
            return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())

        return asyncio.run(answered())


@attrs.define
class Site:
    """An app with the routes under /auth, seen by one browser.

    Attributes:
        events: What the hooks were told, by the name of the hook.
        answers: What a hook returns: made by the function under its name from a status, headers and cookies.
    """

    kind: str
    app: Any
    respond: Callable[..., Any]
    platform: Server
    events: list[tuple[str, Any]] = attrs.field(factory=list)
    answers: dict[str, Any] = attrs.field(factory=dict)
    browsers: list[httpx.Client] = attrs.field(factory=list)

    def browser(self, base_url: str = "http://127.0.0.1:8000") -> httpx.Client:
        wsgi = self.kind == "django"
        transport = httpx.WSGITransport(app=self.app) if wsgi else LoopEachTime(self.app)
        made = httpx.Client(transport=transport, base_url=base_url)
        self.browsers.append(made)
        return made

    def hook(self, name: str, *arguments: Any) -> Any:
        self.events.append((name, arguments[-1] if len(arguments) > 1 else None))
        answer = self.answers.get(name)
        return answer() if answer else None

    @property
    def exchanges(self) -> list[Any]:
        return [seen.body for seen in self.platform.seen]


def tokenite(side: type, platform: Server, **changes: Any) -> Any:
    settings = {"client_id": "app_1", "client_secret": "sec_1", "base_url": platform.url, "connection": UNKEPT}
    return side(**{**settings, "allow_insecure_http": True, "max_retries": 0, **changes})


def starlette_site(platform: Server, client: dict[str, Any], options: dict[str, Any], *, fast: bool = False) -> Site:
    from fastapi import FastAPI
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Mount

    from tollkit.tokenite.web.starlette import TokeniteRouter, tokenite_routes

    def respond(status: int, headers: dict[str, str], cookie: str) -> Response:
        response = Response("own", status, headers=headers)
        response.set_cookie("app", cookie)
        return response

    site = Site("fastapi" if fast else "starlette", None, respond, platform)

    async def waiting(name: str, *arguments: Any) -> Any:  # coroutines as hooks in one of the two
        return site.hook(name, *arguments)

    names = ("on_signed_in", "on_cancelled", "on_topped_up", "on_signed_out", "on_error")
    hooks: Any = {name: functools.partial(waiting if fast else site.hook, name) for name in names}
    made: dict[str, Any] = {"secret_key": KEY, **hooks, **options}
    if fast:
        site.app = FastAPI()
        site.app.mount("/auth", TokeniteRouter(tokenite(AsyncTokenite, platform, **client), **made))
    else:
        routes = tokenite_routes(tokenite(AsyncTokenite, platform, **client), **made)
        site.app = Starlette(routes=[Mount("/auth", routes=routes)])
    return site


def django_site(platform: Server, client: dict[str, Any], options: dict[str, Any]) -> Site:
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.test import override_settings
    from django.urls import include, path

    from tollkit.tokenite.web.django import tokenite_urls

    def respond(status: int, headers: dict[str, str], cookie: str) -> Any:
        response = HttpResponse("own", status=status, headers=headers)
        response.set_cookie("app", cookie)
        return response

    site = Site("django", None, respond, platform)
    middleware = options.pop("middleware", [])
    names = ("on_signed_in", "on_cancelled", "on_topped_up", "on_signed_out", "on_error")
    hooks: Any = {name: functools.partial(site.hook, name) for name in names}
    urls = tokenite_urls(tokenite(Tokenite, platform, **client), **{"secret_key": KEY, **hooks, **options})
    config = (path("auth/", include(urls)),)
    with override_settings(MIDDLEWARE=middleware):
        handler = WSGIHandler()

    def application(environ: Any, start_response: Any) -> Any:
        with override_settings(ROOT_URLCONF=config, DEBUG_PROPAGATE_EXCEPTIONS=True):
            return handler(environ, start_response)

    site.app = application
    return site


KINDS: dict[str, Callable[..., Site]] = {
    "starlette": starlette_site,
    "fastapi": functools.partial(starlette_site, fast=True),
    "django": django_site,
}


@pytest.fixture
def platform() -> Iterator[Server]:
    with Server(default=GRANTED) as server:
        yield server


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, platform: Server) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def build(client: dict[str, Any] | None = None, **options: Any) -> Site:
        made.append(KINDS[request.param](platform, client or {}, options))
        return made[-1]

    yield build
    for site in made:
        for browser in site.browsers:
            browser.close()


@pytest.fixture
def site(make: Callable[..., Site]) -> Site:
    return make()


@pytest.fixture
def browser(site: Site) -> httpx.Client:
    return site.browser()


def query_of(address: str) -> dict[str, str]:
    found = parse_qs(urlsplit(address).query, strict_parsing=True)
    assert all(len(values) == 1 for values in found.values())
    return {name: values[0] for name, values in found.items()}


def begun(browser: httpx.Client, **query: Any) -> str:
    """The state of a sign-in by full page."""
    answer = browser.get("/auth/login", params=query)
    assert answer.status_code == 303, answer.text
    return query_of(answer.headers["location"])["state"]


def started(browser: httpx.Client, **body: Any) -> dict[str, Any]:
    """What the browser module gets to begin with."""
    answer = browser.post("/auth/start", json={"what": "sign-in", "mode": "popup", **body})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def cookie_of(answer: httpx.Response) -> Any:
    fields = [field for field in answer.headers.get_list("set-cookie") if "tokenite" in field]
    assert len(fields) == 1
    [(_, morsel)] = SimpleCookie(fields[0]).items()
    return morsel


# --- full pages ------------------------------------------------------------------------------------------


def test_login_goes_to_the_consent_screen(site: Site, browser: httpx.Client) -> None:
    answer = browser.get("/auth/login", params={"next": "/home?tab=1", "budget": "2.50", "prompt": "select_account"})
    assert answer.status_code == 303
    assert answer.headers["cache-control"] == "no-store"
    address = answer.headers["location"]
    assert address.startswith(f"{site.platform.url}/oauth/authorize?")
    query = query_of(address)
    state = query.pop("state")
    assert query == {
        "client_id": "app_1",
        "redirect_uri": "http://127.0.0.1:8000/auth/callback",
        "response_type": "code",
        "suggested_budget": "2.5",
        "prompt": "select_account",
    }
    cookie = cookie_of(answer)
    assert cookie.key == "tokenite_session"
    assert cookie["httponly"]
    assert not cookie["secure"]
    assert (cookie["samesite"].lower(), cookie["path"], cookie["domain"]) == ("lax", "/", "")
    assert cookie["max-age"] == "600"
    assert re.fullmatch(r"[\w-]{43}", cookie.value)
    assert cookie.value not in state


def test_over_https_the_cookie_is_bound_to_the_host(site: Site) -> None:
    browser = site.browser("https://app.example")
    answer = browser.get("/auth/login")
    cookie = cookie_of(answer)
    assert cookie.key == "__Host-tokenite"
    assert cookie["secure"]
    assert (cookie["path"], cookie["domain"]) == ("/", "")
    query = query_of(answer.headers["location"])
    assert query["redirect_uri"] == "https://app.example/auth/callback"
    assert browser.get("/auth/callback", params={"code": "c", "state": query["state"]}).status_code == 303


def test_callback_signs_in(site: Site, browser: httpx.Client) -> None:
    state = begun(browser, next="/home?tab=1")
    answer = browser.get("/auth/callback", params={"code": "code-1", "state": state})
    assert (answer.status_code, answer.headers["location"]) == (303, "/home?tab=1")
    [(hook, event)] = site.events
    assert hook == "on_signed_in"
    assert isinstance(event, SignedIn)
    assert (event.token.access_token, event.next_url, event.mode) == (TOKEN, "/home?tab=1", "page")
    assert TOKEN not in repr(event)
    assert TOKEN not in str(answer.headers) + answer.text
    [sent] = site.platform.seen
    assert (sent.method, sent.target) == ("POST", "/api/oauth/token")
    assert httpx.Response(200, content=sent.body).json() == {
        "code": "code-1",
        "client_id": "app_1",
        "client_secret": "sec_1",
        "redirect_uri": "http://127.0.0.1:8000/auth/callback",
    }


def test_a_hook_may_answer_itself(site: Site, browser: httpx.Client) -> None:
    site.answers["on_signed_in"] = lambda: site.respond(201, {"x-own": "1"}, "c1")
    answer = browser.get("/auth/callback", params={"code": "c", "state": begun(browser)})
    assert (answer.status_code, answer.text, answer.headers["x-own"]) == (201, "own", "1")
    assert browser.cookies["app"] == "c1"


def test_two_tabs_of_a_browser_sign_in(site: Site, browser: httpx.Client) -> None:
    first, second = begun(browser, next="/1"), begun(browser, next="/2")
    for state, path in ((second, "/2"), (first, "/1")):
        assert browser.get("/auth/callback", params={"code": "c", "state": state}).headers["location"] == path
    assert len(site.events) == 2


def test_defaults_of_the_app(make: Callable[..., Site]) -> None:
    site = make(after_login="/in", after_logout="/out", suggested_budget=Decimal("7.5"), prompt="consent")
    browser = site.browser()
    answer = browser.get("/auth/login")
    query = query_of(answer.headers["location"])
    assert (query["suggested_budget"], query["prompt"]) == ("7.5", "consent")
    assert browser.get(f"/auth/callback?code=c&state={query['state']}").headers["location"] == "/in"
    assert browser.post("/auth/logout").headers["location"] == "/out"


ELSEWHERE = [
    "//evil.example",
    "https://evil.example/",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    " //evil.example",
    "/.//evil.example",
    "javascript:alert(1)",
    "home",
    "",
    "/" + "a" * 2000,
    "/x\r\nset-cookie: a=b",
]


@pytest.mark.parametrize("wanted", ELSEWHERE)
@pytest.mark.parametrize("make", ["starlette", "django"], indirect=True)
def test_nobody_is_sent_elsewhere(make: Callable[..., Site], wanted: str) -> None:
    site = make()
    browser = site.browser()
    state = begun(browser, next=wanted)
    assert browser.get("/auth/callback", params={"code": "c", "state": state}).headers["location"] == "/"
    state = begun(browser, next=wanted)
    denied = {"error": "access_denied", "error_description": "user_denied", "state": state}
    assert browser.get("/auth/callback", params=denied).headers["location"] == "/"
    body = {"code": "c", "state": started(browser, next=wanted)["state"]}
    assert browser.post("/auth/callback", json=body).json() == {"ok": True, "next": "/"}
    assert browser.post("/auth/logout", data={"next": wanted}).headers["location"] == "/"
    assert browser.post("/auth/logout", params={"next": wanted}).headers["location"] == "/"


@given(st.text(st.sampled_from("/\\.:@?#%\t\n\r ahé￿\x7f"), max_size=12))
def test_a_next_path_stays_on_the_site(wanted: str) -> None:
    path = safe_next(wanted, "/default")
    assert path.isascii()
    assert urlsplit(urljoin("https://app.example/auth/callback", path)).netloc == "app.example"
    assert not re.match(r"[/\\]{2}", path)
    assert not re.search(r"[\s\x00-\x20\x7f]", path)
    assert safe_next(path, "/default") == path


def test_foreign_letters_in_a_path_are_encoded() -> None:
    assert safe_next("/zoë?q=a%20b c", "/") == "/zo%C3%AB?q=a%20b%20c"
    assert safe_next(None, "/d") == safe_next(7, "/d") == "/d"


# --- states ----------------------------------------------------------------------------------------------


def refused(site: Site, answer: httpx.Response, reason: str, status: int = 400) -> SignInFailure:
    assert answer.status_code == status
    hook, event = site.events[-1]
    assert hook == "on_error"
    assert isinstance(event, SignInFailure)
    assert (event.reason, event.status) == (reason, status)
    return event


def test_a_state_of_another_browser_is_refused(site: Site, browser: httpx.Client) -> None:
    state = begun(browser)
    stranger = site.browser()
    refused(site, stranger.get("/auth/callback", params={"code": "c", "state": state}), "invalid_state")
    begun(stranger)
    refused(site, stranger.get("/auth/callback", params={"code": "c", "state": state}), "invalid_state")
    for query in ("code=c", "code=c&state=", "code=c&state=nonsense", f"code=c&state={state}&state={state}"):
        refused(site, browser.get(f"/auth/callback?{query}"), "invalid_state")
    body = {"code": "c", "state": started(browser)["state"]}
    refused(site, stranger.post("/auth/callback", json=body), "invalid_state")
    assert site.exchanges == []


def test_an_error_without_our_state_counts_for_nothing(site: Site, browser: httpx.Client) -> None:
    answer = browser.get("/auth/callback?error=access_denied&error_description=user_denied")
    refused(site, answer, "invalid_state")


def test_a_state_serves_one_purpose(site: Site, browser: httpx.Client) -> None:
    page, script = begun(browser), started(browser)["state"]
    answer = browser.post("/auth/callback", json={"code": "c", "state": page})
    refused(site, answer, "invalid_state")
    assert answer.json() == {
        "ok": False,
        "reason": "invalid_state",
        "message": "This sign-in was begun in another way. Please start again.",
    }
    topping = query_of(browser.get("/auth/top-up").headers["location"])["state"]
    assert browser.get(f"/auth/callback?code=c&state={topping}").status_code == 303  # a return without outcome
    refused(site, browser.post("/auth/callback", json={"code": "c", "state": topping}), "invalid_state")
    assert site.exchanges == []
    assert browser.get("/auth/callback", params={"code": "c", "state": script}).status_code == 200
    assert site.exchanges == []


def test_late_is_told_from_forged(site: Site, browser: httpx.Client) -> None:
    begun(browser)
    session = f"page:{browser.cookies['tokenite_session']}"
    past = StateSigner(KEY, now=lambda: time.time() - 601).issue(session)
    answer = browser.get("/auth/callback", params={"code": "c", "state": past})
    assert "too long" in refused(site, answer, "invalid_state").message
    forged = StateSigner("another key of thirty-two signs").issue(session)
    event = refused(site, browser.get("/auth/callback", params={"code": "c", "state": forged}), "invalid_state")
    assert event.error is not None
    assert event.error.code == "state_signature"


def test_an_old_key_is_still_accepted(make: Callable[..., Site]) -> None:
    site = make(secret_key=["the new key of thirty-two signs..", KEY])
    browser = site.browser()
    begun(browser)
    old = StateSigner(KEY).issue(f"page:{browser.cookies['tokenite_session']}", next_url="/old")
    assert browser.get("/auth/callback", params={"code": "c", "state": old}).headers["location"] == "/old"


def test_a_cookie_of_another_shape_is_replaced(site: Site, browser: httpx.Client) -> None:
    browser.cookies.set("tokenite_session", "short", domain="127.0.0.1")
    assert cookie_of(browser.get("/auth/login")).value != "short"


# --- what goes wrong -------------------------------------------------------------------------------------


@pytest.mark.parametrize("description", ["user_denied", "the account is closed"])
def test_cancelled(site: Site, browser: httpx.Client, description: str) -> None:
    def denied() -> httpx.Response:
        state = begun(browser, next="/home")
        query = {"error": "access_denied", "error_description": description, "state": state}
        return browser.get("/auth/callback", params=query)

    answer = denied()
    assert (answer.status_code, answer.headers["location"]) == (303, "/home")
    [(hook, event)] = site.events
    assert hook == "on_cancelled"
    assert event.reason == ("user_denied" if description == "user_denied" else "access_denied")
    assert (event.description, event.next_url) == (description, "/home")
    site.answers["on_cancelled"] = lambda: site.respond(200, {}, "c")
    assert denied().text == "own"
    assert site.exchanges == []


def test_other_errors_get_a_page(site: Site, browser: httpx.Client) -> None:
    query = {"error": "server_error", "error_description": "<script>alert('x')</script>", "state": begun(browser)}
    answer = browser.get("/auth/callback", params=query)
    refused(site, answer, "oauth_error", 502)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "&lt;script&gt;" in answer.text
    assert "<script" not in answer.text
    assert 'href="/auth/login?next=%2F"' in answer.text
    site.answers["on_error"] = lambda: site.respond(418, {}, "c")
    assert browser.get("/auth/callback").status_code == 418


@pytest.mark.parametrize(
    ("query", "reason"),
    [("", "missing_code"), ("&code=", "missing_code"), ("&code=a&code=b", "malformed_callback")],
)
def test_callbacks_that_say_nothing(site: Site, browser: httpx.Client, query: str, reason: str) -> None:
    refused(site, browser.get(f"/auth/callback?state={begun(browser)}{query}"), reason)
    assert site.exchanges == []


@pytest.mark.parametrize(
    ("step", "status"),
    [
        (Answer.json({"error": {"code": "INVALID_CODE", "message": "code expired"}}, 400), 400),
        (Answer.json({"error": "invalid_client"}, 401), 502),
        (Answer.json({"error": "down"}, 503), 502),
        (Answer(200, b"<html>gateway</html>", {"content-type": "text/html"}), 502),
        (Answer(200), 502),
        (Reset(), 502),
        (Half(), 502),
    ],
    ids=["expired", "client", "down", "html", "empty", "reset", "half"],
)
def test_failed_exchanges(
    site: Site, browser: httpx.Client, step: Any, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    site.platform.then(step)
    with caplog.at_level(logging.WARNING, "tollkit"):
        answer = browser.get("/auth/callback", params={"code": "code-1", "state": begun(browser, next="/home")})
    event = refused(site, answer, "exchange_failed", status)
    assert event.next_url == "/home"
    assert isinstance(event.error, TokeniteError)
    told = answer.text + caplog.text + repr(event)
    assert "sec_1" not in told
    assert "code-1" not in told
    assert "exchange_failed" in caplog.text


def test_a_slow_exchange(make: Callable[..., Site]) -> None:
    site = make({"timeout": 0.2})
    site.platform.then(Hold())
    browser = site.browser()
    answer = browser.get("/auth/callback", params={"code": "c", "state": begun(browser)})
    refused(site, answer, "exchange_failed", 504)


def test_without_a_client_secret(make: Callable[..., Site]) -> None:
    site = make({"client_secret": None})
    browser = site.browser()
    answer = browser.get("/auth/callback", params={"code": "c", "state": begun(browser)})
    refused(site, answer, "exchange_failed", 500)


def test_what_a_hook_raises_is_the_apps(site: Site, browser: httpx.Client) -> None:
    def broken() -> None:
        raise ConfigurationError("of the app")

    site.answers["on_signed_in"] = broken
    with pytest.raises(ConfigurationError, match="of the app"):
        browser.get("/auth/callback", params={"code": "c", "state": begun(browser)})
    assert [hook for hook, _ in site.events] == ["on_signed_in"]


@pytest.mark.parametrize("query", ["budget=much", "budget=-1", "budget=1e999", "prompt=%00"])
def test_wishes_that_cannot_be(site: Site, browser: httpx.Client, query: str) -> None:
    refused(site, browser.get(f"/auth/login?{query}"), "bad_request")


@pytest.mark.parametrize("make", ["starlette"], indirect=True)
@pytest.mark.parametrize("host", ["", "a b", "x/y", "user@x", "x?y", "x#y"])
def test_unusable_hosts(make: Callable[..., Site], host: str) -> None:
    site = make()
    answer = site.browser().get("/auth/login", headers={"host": host})
    refused(site, answer, "bad_request")


def test_methods(site: Site, browser: httpx.Client) -> None:
    state = begun(browser)
    answer = browser.head("/auth/callback", params={"code": "c", "state": state})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    assert site.exchanges == []
    for method, route in (("GET", "logout"), ("GET", "start"), ("POST", "login"), ("POST", "top-up")):
        assert browser.request(method, f"/auth/{route}").status_code == 405
    assert site.events == []


# --- plain http and proxies ------------------------------------------------------------------------------


def test_plain_http_off_the_machine_is_refused(make: Callable[..., Site]) -> None:
    for host in ("app.example", "192.168.0.7:8000"):
        with pytest.raises(ConfigurationError, match="plain http"):
            make().browser(f"http://{host}").get("/auth/login")
    for host in ("localhost:8000", "app.localhost:8000", "[::1]:8000"):
        assert make().browser(f"http://{host}").get("/auth/login").status_code == 303
    answer = make(allow_insecure_http=True).browser("http://app.example").get("/auth/login")
    assert cookie_of(answer).key == "tokenite_session"


@pytest.mark.parametrize("where", ["client", "routes"])
def test_behind_a_proxy_the_redirect_uri_tells(make: Callable[..., Site], where: str) -> None:
    known = {"redirect_uri": "https://app.example/auth/callback"}
    site = make(known) if where == "client" else make({"redirect_uri": "http://127.0.0.1/cb"}, **known)
    answer = site.browser("http://10.0.0.7:8000").get("/auth/login")
    assert cookie_of(answer).key == "__Host-tokenite"
    assert query_of(answer.headers["location"])["redirect_uri"] == known["redirect_uri"]


# --- the browser module's half ---------------------------------------------------------------------------


def test_start(site: Site, browser: httpx.Client) -> None:
    answer = browser.post(
        "/auth/start",
        json={"what": "sign-in", "mode": "iframe", "budget": 2.5, "prompt": "select_account", "next": "/n"},
    )
    cookie_of(answer)
    told = answer.json()
    assert told.keys() == {"url", "state", "origin", "redirectUri"}
    assert (told["origin"], told["redirectUri"]) == (site.platform.url, "http://127.0.0.1:8000/auth/callback")
    query = query_of(told["url"])
    assert (query["mode"], query["suggested_budget"], query["state"]) == ("iframe", "2.5", told["state"])


def test_a_script_signs_in(site: Site, browser: httpx.Client) -> None:
    state = started(browser, next="/home")["state"]
    answer = browser.post("/auth/callback", json={"code": "code-2", "state": state})
    assert (answer.status_code, answer.json()) == (200, {"ok": True, "next": "/home"})
    [(_, event)] = site.events
    assert (event.token.access_token, event.mode) == (TOKEN, "script")
    assert TOKEN not in answer.text


def test_what_a_hook_answers_reaches_the_script(site: Site, browser: httpx.Client) -> None:
    site.answers["on_signed_in"] = lambda: site.respond(303, {"location": "/welcome"}, "c1")
    answer = browser.post("/auth/callback", json={"code": "c", "state": started(browser)["state"]})
    assert answer.json() == {"ok": True, "next": "/welcome"}
    assert browser.cookies["app"] == "c1"
    site.answers["on_signed_in"] = lambda: site.respond(403, {}, "c2")
    answer = browser.post("/auth/callback", json={"code": "c", "state": started(browser)["state"]})
    assert (answer.status_code, answer.json()["reason"]) == (403, "refused")
    assert browser.cookies["app"] == "c2"
    site.answers["on_error"] = lambda: site.respond(200, {}, "c3")
    answer = browser.post("/auth/callback", json={"code": "c", "state": "x"})
    assert (answer.status_code, answer.json()["reason"]) == (400, "invalid_state")
    assert browser.cookies["app"] == "c3"


def test_a_window_that_lands_here_waits_for_its_opener(site: Site, browser: httpx.Client) -> None:
    state = started(browser, next="/home")["state"]
    answer = browser.get("/auth/callback", params={"code": "c&<x>", "state": state})
    assert answer.status_code == 200
    assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
    assert site.exchanges == []
    assert site.events == []
    [link] = re.findall(r'href="([^"]*)"', answer.text)
    answer = browser.get(link.replace("&amp;", "&"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/home")
    assert b'"c&<x>"' in site.exchanges[0]


@pytest.mark.parametrize("route", ["start", "callback", "logout"])
@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:8001"},
    ],
    ids=["cross-site", "same-site", "origin", "null", "port"],
)
def test_other_sites_cannot_post(site: Site, browser: httpx.Client, route: str, headers: dict[str, str]) -> None:
    refused(site, browser.post(f"/auth/{route}", json={}, headers=headers), "cross_origin", 403)


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "same-origin", "origin": "null"},
        {"sec-fetch-site": "none"},
        {"origin": "http://127.0.0.1:8000"},
    ],
    ids=["same-origin", "typed", "origin"],
)
def test_our_own_pages_can(site: Site, browser: httpx.Client, headers: dict[str, str]) -> None:
    assert browser.post("/auth/logout", headers=headers).status_code == 303


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b'{"what":"sign-in","mode":"popup"}', {"content-type": "text/plain"}, 415),
        (b"what=sign-in", {"content-type": "application/x-www-form-urlencoded"}, 415),
        (b"{", {}, 400),
        (b"\xff", {}, 400),
        (b"[" * 9000, {}, 400),
        (b"[]", {}, 400),
        (b"{}", {}, 400),
        (b'{"what":"sign-in","mode":"redirect"}', {}, 400),
        (b'{"what":"top-up","mode":"iframe"}', {}, 400),
        (b'{"what":"sign-in","mode":"popup","budget":"much"}', {}, 400),
        (b'{"what":"sign-in","mode":"popup","budget":[1]}', {}, 400),
        (b'{"what":"sign-in","mode":"popup","prompt":{"a":1}}', {}, 400),
        (b'{"what":"sign-in","mode":"popup","budget":NaN}', {}, 400),
        (b" " * 17000, {}, 413),
    ],
)
def test_bodies_that_are_none(
    site: Site, browser: httpx.Client, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = browser.post("/auth/start", content=body, headers={"content-type": "application/json", **headers})
    refused(site, answer, "bad_request", status)
    assert answer.json()["ok"] is False


@pytest.mark.parametrize("body", [{}, {"code": 7}, {"code": ""}, {"code": None}])
def test_a_script_without_a_code(site: Site, browser: httpx.Client, body: dict[str, Any]) -> None:
    sent = {**body, "state": started(browser)["state"]}
    refused(site, browser.post("/auth/callback", json=sent), "missing_code")


def test_the_module_is_served(browser: httpx.Client) -> None:
    answer = browser.get("/auth/tokenite.js")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "export async function signIn" in answer.text
    assert "eval(" not in answer.text
    assert "innerHTML" not in answer.text
    tag = answer.headers["etag"]
    for seen in (tag, f'"x", W/{tag}', "*"):
        again = browser.get("/auth/tokenite.js", headers={"if-none-match": seen})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert browser.head("/auth/tokenite.js").headers["etag"] == tag


# --- top-up and sign-out ---------------------------------------------------------------------------------


def test_top_up_by_full_page(site: Site, browser: httpx.Client) -> None:
    answer = browser.get("/auth/top-up", params={"next": "/ask", "amount": "10"})
    address = answer.headers["location"]
    assert address.startswith(f"{site.platform.url}/oauth/top-up?")
    query = query_of(address)
    assert query["suggested_amount"] == "10"
    assert query["redirect_uri"] == "http://127.0.0.1:8000/auth/callback"
    back = {"topup": "success", "new_limit": "10", "remaining": "7.25", "state": query["state"]}
    answer = browser.get("/auth/callback", params=back)
    assert (answer.status_code, answer.headers["location"]) == (303, "/ask")
    [(hook, event)] = site.events
    assert (hook, event) == (
        "on_topped_up",
        ToppedUp(new_limit=Decimal(10), remaining=Decimal("7.25"), next_url="/ask"),
    )
    site.answers["on_topped_up"] = lambda: site.respond(200, {}, "c")
    assert browser.get("/auth/callback", params=back).text == "own"


def test_top_up_cancelled_or_forged(site: Site, browser: httpx.Client) -> None:
    state = query_of(browser.get("/auth/top-up", params={"next": "/ask"}).headers["location"])["state"]
    answer = browser.get("/auth/callback", params={"topup": "cancelled", "state": state})
    assert (answer.status_code, answer.headers["location"]) == (303, "/ask")
    assert site.events == []
    refused(site, site.browser().get(f"/auth/callback?topup=success&state={state}"), "invalid_state")
    refused(site, browser.get("/auth/top-up?amount=lots"), "bad_request")


def test_top_up_in_a_window(site: Site, browser: httpx.Client) -> None:
    told = started(browser, what="top-up", suggestedAmount=10, next="/ask")
    query = query_of(told["url"])
    assert (query["mode"], query["suggested_amount"], query["state"]) == ("popup", "10", told["state"])
    back = {"topup": "success", "new_limit": "10", "remaining": "9", "state": told["state"]}
    assert browser.get("/auth/callback", params=back).status_code == 200
    assert site.events == []
    assert browser.get("/auth/callback", params={**back, "here": "1"}).headers["location"] == "/ask"
    assert [hook for hook, _ in site.events] == ["on_topped_up"]


def test_logout(site: Site, browser: httpx.Client) -> None:
    begun(browser)
    answer = browser.post("/auth/logout", data={"next": "/bye"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/bye")
    assert site.events == [("on_signed_out", None)]
    assert "tokenite_session" not in browser.cookies
    assert browser.post("/auth/logout?next=/bye").headers["location"] == "/bye"
    assert browser.post("/auth/logout", files={"next": b"/x"}).headers["location"] == "/"
    site.answers["on_signed_out"] = lambda: site.respond(200, {}, "c")
    begun(browser)
    assert browser.post("/auth/logout").text == "own"
    assert "tokenite_session" not in browser.cookies


# --- what is one framework's own -------------------------------------------------------------------------


@pytest.mark.parametrize("make", ["django"], indirect=True)
def test_django_keeps_its_own_protection_of_logout(make: Callable[..., Site]) -> None:
    site = make(middleware=["django.middleware.csrf.CsrfViewMiddleware"])
    browser = site.browser()
    state = started(browser)["state"]
    assert browser.post("/auth/callback", json={"code": "c", "state": state}).json()["ok"]
    assert browser.post("/auth/logout").status_code == 403
    token = "a" * 32
    browser.cookies.set("csrftoken", token, domain="127.0.0.1")
    form = {"csrfmiddlewaretoken": token, "next": "/bye"}
    assert browser.post("/auth/logout", data=form).headers["location"] == "/bye"
    assert browser.post("/auth/logout", files={"x": b"y"}, data=form).headers["location"] == "/"


def test_django_takes_no_coroutines(platform: Server) -> None:
    async def hook(*_: Any) -> None: ...

    with pytest.raises(ArgumentError, match="on_signed_in"):
        django_site(platform, {}, {"on_signed_in": hook})


@pytest.mark.parametrize("kind", ["starlette", "fastapi"])
def test_starlette_hooks_may_refuse_by_exception(kind: str, platform: Server) -> None:
    from starlette.exceptions import HTTPException

    site = KINDS[kind](platform, {}, {})

    def closed() -> None:
        raise HTTPException(451)

    site.answers["on_signed_in"] = closed
    with site.browser() as browser:
        assert browser.get("/auth/callback", params={"code": "c", "state": begun(browser)}).status_code == 451


def test_a_plain_hook_that_returns_something_to_await(platform: Server) -> None:
    async def later() -> None: ...

    site = KINDS["starlette"](platform, {}, {"on_signed_in": lambda *_: later()})
    with site.browser() as browser:
        assert browser.get("/auth/callback", params={"code": "c", "state": begun(browser)}).status_code == 303


def test_without_hooks(platform: Server) -> None:
    names = ("on_cancelled", "on_topped_up", "on_signed_out", "on_error")
    for kind in KINDS:
        site = KINDS[kind](platform, {}, dict.fromkeys(names))
        with site.browser() as browser:
            assert browser.get("/auth/callback").status_code == 400
            assert browser.post("/auth/logout").headers["location"] == "/"


def test_named_routes() -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from tollkit.tokenite.web.starlette import tokenite_routes

    client = AsyncTokenite(client_id="app_1", connection=QUICK)
    routes = tokenite_routes(client, secret_key=KEY, on_signed_in=lambda *_: None)
    app = Starlette(routes=[Mount("/auth", routes=routes)])
    assert app.url_path_for("tokenite_top_up") == "/auth/top-up"
    assert [route.path for route in routes] == [
        "/login", "/start", "/callback", "/top-up", "/logout", "/tokenite.js",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"after_login": "https://elsewhere.example"}, "after_login"),
        ({"after_logout": "//x"}, "after_logout"),
        ({"secret_key": "short"}, "secret_key"),
        ({"redirect_uri": "callback"}, "redirect_uri"),
        ({"suggested_budget": "much"}, "suggested_budget"),
        ({"max_age": 0}, "max_age"),
        ({"after_logn": "/"}, "after_logn"),
    ],
)
def test_options_are_checked_at_once(platform: Server, options: dict[str, Any], argument: str) -> None:
    for kind in KINDS:
        with pytest.raises(ArgumentError) as caught:
            KINDS[kind](platform, {}, dict(options))
        assert caught.value.argument == argument
        assert isinstance(caught.value, TokeniteError)


def test_frameworks_are_imported_only_where_they_are_used() -> None:
    code = (
        "import sys, tollkit.tokenite, tollkit.tokenite.web\n"
        "print(*[name for name in ('starlette', 'django') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "\n"


@pytest.mark.parametrize("extra", ["starlette", "django"])
def test_a_missing_framework_is_named(extra: str) -> None:
    code = (
        f"import sys; sys.modules[{extra!r}] = None\n"
        "from tollkit.errors import MissingExtraError\n"
        "from tollkit.tokenite import TokeniteError\n"
        f"try: import tollkit.tokenite.web.{extra}\n"
        "except MissingExtraError as error: print(error.extra, isinstance(error, TokeniteError))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == f"{extra} True\n"
