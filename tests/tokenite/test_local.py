"""Signing in on the user's own machine: a browser made of httpx comes back to the loopback port."""

from __future__ import annotations

import _thread
import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from support.server import Answer, Server
from support.tokenite import QUICK
from tollkit import AsyncTokenite, Tokenite
from tollkit.errors import ArgumentError, BadRequestError, ConfigurationError, RequestTimeoutError, ServerError
from tollkit.tokenite import SignInError, TokeniteError, login_local, login_local_async

TOKEN = "tkn_of_ada_0123456789"


@pytest.fixture
def platform() -> Iterator[Server]:
    with Server(default=Answer.json({"access_token": TOKEN, "token_type": "Bearer"})) as server:
        yield server


class Browser:
    """What `open_browser` opens: a thread that does with the address what the test says.

    Attributes:
        pages: The answers that it got.
    """

    def __init__(self, visit: Callable[[Browser], Any]) -> None:
        self._visit = visit
        self.url = ""
        self.pages: list[httpx.Response] = []
        self.ended = threading.Event()
        self.failure: BaseException | None = None

    def open(self, url: str) -> bool:
        self.url = url
        try:
            self._visit(self)
        except BaseException as failure:
            self.failure = failure
        finally:
            self.ended.set()
        return True

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.url).query).items()}

    def get(self, address: str, **more: Any) -> httpx.Response:
        self.pages.append(httpx.get(address, trust_env=False, **more))
        return self.pages[-1]

    def come_back(self, **query: str) -> httpx.Response:
        return self.get(self.query["redirect_uri"], params={"state": self.query["state"], **query})


def agrees(browser: Browser) -> None:
    browser.come_back(code="code-1")


def denies(browser: Browser) -> None:
    browser.come_back(error="access_denied", error_description="user_denied")


class Side:
    """The blocking or the async function."""

    def __init__(self, platform: Server, *, waits: bool) -> None:
        self._settings: dict[str, Any] = {
            "client_id": "app_1",
            "client_secret": "sec_1",
            "redirect_uri": "https://app.example/never",
            "base_url": platform.url,
            "allow_insecure_http": True,
            "max_retries": 0,
            "connection": QUICK,
        }
        self.waits = waits

    def login(self, *, browser: Browser | None = None, client: dict[str, Any] | None = None, **options: Any) -> Any:
        settings = {**self._settings, **(client or {})}
        if browser:
            options["open_browser"] = browser.open
        if not self.waits:
            with Tokenite(**settings) as tokenite:
                return login_local(tokenite, **options)

        async def run() -> Any:
            async with AsyncTokenite(**settings) as made:
                return await login_local_async(made, **options)

        return asyncio.run(run())


@pytest.fixture(params=[False, True], ids=["blocking", "async"])
def side(request: pytest.FixtureRequest, platform: Server) -> Side:
    return Side(platform, waits=request.param)


def closed(address: str) -> bool:
    place = urlsplit(address)
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", place.port or 0)) != 0


def test_signs_in(side: Side, platform: Server) -> None:
    told: list[str] = []
    browser = Browser(agrees)
    token = side.login(browser=browser, suggested_budget=5, prompt="select_account", on_url=told.append)
    assert token.access_token == TOKEN
    assert TOKEN not in repr(token)
    assert browser.ended.wait(20)
    assert told == [browser.url]
    query = browser.query
    assert browser.url.startswith(f"{platform.url}/oauth/authorize?")
    assert (query["suggested_budget"], query["prompt"]) == ("5", "select_account")
    place = urlsplit(query["redirect_uri"])
    assert (place.scheme, place.hostname, place.path) == ("http", "127.0.0.1", "/callback")
    [page] = browser.pages
    assert page.status_code == 200
    assert "You are signed in" in page.text
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "no-referrer"
    assert TOKEN not in page.text
    [sent] = platform.seen
    body = httpx.Response(200, content=sent.body).json()
    assert (body["code"], body["redirect_uri"]) == ("code-1", query["redirect_uri"])
    assert closed(query["redirect_uri"])


def test_declined(side: Side, platform: Server) -> None:
    browser = Browser(denies)
    with pytest.raises(SignInError) as caught:
        side.login(browser=browser)
    assert (caught.value.reason, caught.value.code) == ("user_denied", "user_denied")
    assert isinstance(caught.value, TokeniteError)
    assert browser.ended.wait(20)
    assert browser.pages[0].status_code == 200
    assert "You declined" in browser.pages[0].text
    assert platform.seen == []
    assert closed(browser.query["redirect_uri"])


def test_other_refusals_are_told_on_the_page(side: Side) -> None:
    browser = Browser(lambda it: it.come_back(error="server_error", error_description="<i>down</i>"))
    with pytest.raises(SignInError) as caught:
        side.login(browser=browser)
    assert (caught.value.reason, caught.value.error_description) == ("oauth_error", "<i>down</i>")
    assert browser.ended.wait(20)
    assert browser.pages[0].status_code == 502
    assert "&lt;i&gt;down" in browser.pages[0].text
    assert "<i>" not in browser.pages[0].text


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer.json({"error": {"code": "INVALID_CODE", "message": "used <b>already</b>"}}, 400), BadRequestError),
        (Answer(503), ServerError),
    ],
    ids=["refused", "down"],
)
def test_a_failed_exchange_is_told_on_the_page(side: Side, platform: Server, answer: Answer, error: type) -> None:
    platform.then(answer)
    browser = Browser(agrees)
    with pytest.raises(error) as caught:
        side.login(browser=browser)
    assert isinstance(caught.value, TokeniteError)
    assert browser.ended.wait(20)
    assert browser.pages[0].status_code == 502
    assert "You are not signed in" in browser.pages[0].text
    assert "<b>" not in browser.pages[0].text
    assert "sec_1" not in browser.pages[0].text


def test_without_a_client_secret(side: Side) -> None:
    browser = Browser(agrees)
    with pytest.raises(ConfigurationError):
        side.login(browser=browser, client={"client_secret": None})
    assert browser.ended.wait(20)
    assert "You are not signed in" in browser.pages[0].text


def test_strangers_are_ignored(side: Side, platform: Server) -> None:
    def visit(browser: Browser) -> None:
        address = browser.query["redirect_uri"]
        root = address.removesuffix("/callback")
        assert browser.get(f"{root}/favicon.ico").status_code == 404
        assert browser.get(f"{root}/").status_code == 404
        assert browser.get(f"{root}/callback/x?code=evil&state={browser.query['state']}").status_code == 404
        assert browser.get(address).status_code == 400
        assert browser.get(f"{address}?code=evil").status_code == 400
        assert browser.get(f"{address}?code=evil&state=forged").status_code == 400
        assert browser.get(f"{address}?error=access_denied&error_description=user_denied").status_code == 400
        evil = {"host": "evil.example"}
        assert browser.get(f"{address}?code=evil&state={browser.query['state']}", headers=evil).status_code == 404
        assert httpx.post(address, trust_env=False).status_code == 501
        browser.come_back(code="code-1")

    browser = Browser(visit)
    with socket.socket() as silent:  # a connection that says nothing, as browsers open in advance

        def first(url: str) -> None:
            silent.connect(("127.0.0.1", urlsplit(parse_qs(urlsplit(url).query)["redirect_uri"][0]).port or 0))

        assert side.login(browser=browser, on_url=first).access_token == TOKEN
        assert browser.ended.wait(20)
        assert browser.failure is None
        silent.settimeout(20)
        assert silent.recv(1) == b""
    assert len(platform.seen) == 1
    assert all(page.headers["connection"] == "close" for page in browser.pages)


def test_a_second_return_comes_too_late(side: Side, platform: Server) -> None:
    pages: list[int] = []

    def visit(browser: Browser) -> None:
        def exchanging(_: Any) -> Answer:  # the first is being exchanged
            pages.append(browser.come_back(code="code-2").status_code)
            return Answer.json({"access_token": TOKEN, "token_type": "Bearer"})

        platform.then(exchanging)
        pages.append(browser.come_back(code="code-1").status_code)

    browser = Browser(visit)
    assert side.login(browser=browser).access_token == TOKEN
    assert browser.ended.wait(20)
    assert pages == [409, 200]
    assert len(platform.seen) == 1


def test_nobody_comes(side: Side) -> None:
    told: list[str] = []
    with pytest.raises(RequestTimeoutError, match="timeout=") as caught:
        side.login(timeout=0.05, open_browser=None, on_url=told.append)
    assert isinstance(caught.value, TokeniteError)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.code == "login_timeout"
    assert closed(parse_qs(urlsplit(told[0]).query)["redirect_uri"][0])


def test_headless(side: Side, capfd: pytest.CaptureFixture[str]) -> None:
    tried = threading.Event()

    def none_here(_: str) -> bool:
        tried.set()
        return False

    def broken(_: str) -> bool:
        tried.set()
        raise OSError("no display")

    for opener in (none_here, broken, None):
        with pytest.raises(RequestTimeoutError):
            side.login(timeout=0.3, open_browser=opener)
        assert opener is None or tried.wait(20)
        assert "Open this address to sign in:\nhttp://127.0.0.1" in capfd.readouterr().err
    with pytest.raises(RequestTimeoutError):
        side.login(timeout=0.05, open_browser=none_here, on_url=lambda _: None)
    assert capfd.readouterr().err == ""


def test_a_port_of_ones_own(side: Side) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=str(port)) as caught:
            side.login(port=port, open_browser=None)
        assert isinstance(caught.value, TokeniteError)
    browser = Browser(agrees)
    assert side.login(port=port, browser=browser).access_token == TOKEN
    assert urlsplit(browser.query["redirect_uri"]).port == port
    assert browser.ended.wait(20)
    browser = Browser(agrees)
    assert side.login(port=port, browser=browser).access_token == TOKEN  # at once again
    assert browser.ended.wait(20)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("port", -1), ("port", 65536), ("port", True), ("timeout", 0), ("timeout", "5"), ("suggested_budget", "much")],
)
def test_arguments(side: Side, argument: str, value: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        side.login(open_browser=None, **{argument: value})
    assert caught.value.argument == argument
    assert isinstance(caught.value, TokeniteError)


def test_what_on_url_raises_closes_the_port(side: Side) -> None:
    told: list[str] = []

    def broken(url: str) -> None:
        told.append(url)
        raise LookupError("of the program")

    with pytest.raises(LookupError):
        side.login(on_url=broken, open_browser=None)
    assert closed(parse_qs(urlsplit(told[0]).query)["redirect_uri"][0])


def test_ctrl_c_closes_the_port(platform: Server) -> None:
    told: list[str] = []

    def visit(browser: Browser) -> None:
        told.append(browser.query["redirect_uri"])
        _thread.interrupt_main()

    with pytest.raises(KeyboardInterrupt):
        Side(platform, waits=False).login(browser=Browser(visit))
    assert closed(told[0])


def test_cancelling_closes_the_port(platform: Server) -> None:
    told: list[str] = []

    async def run() -> None:
        begun = asyncio.Event()

        def tell(url: str) -> None:
            told.append(url)
            begun.set()

        async with AsyncTokenite(client_id="app_1", base_url=platform.url, connection=QUICK) as tokenite:
            task = asyncio.create_task(login_local_async(tokenite, open_browser=None, on_url=tell))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    assert closed(parse_qs(urlsplit(told[0]).query)["redirect_uri"][0])


def test_cancelling_while_the_code_is_exchanged_is_told_on_the_page(platform: Server) -> None:
    cancelled = threading.Event()

    async def run() -> None:
        loop = asyncio.get_running_loop()

        def exchanging(_: Any) -> Answer:
            loop.call_soon_threadsafe(task.cancel)
            assert cancelled.wait(20)
            return Answer(503)

        platform.then(exchanging)
        settings: dict[str, Any] = {"client_secret": "sec_1", "allow_insecure_http": True, "connection": QUICK}
        async with AsyncTokenite(client_id="app_1", base_url=platform.url, **settings) as tokenite:
            task = asyncio.create_task(login_local_async(tokenite, open_browser=browser.open))
            with pytest.raises(asyncio.CancelledError):
                await task
            cancelled.set()

    browser = Browser(agrees)
    asyncio.run(run())
    assert browser.ended.wait(20)
    assert browser.pages[0].status_code == 500
    assert "ended before" in browser.pages[0].text
