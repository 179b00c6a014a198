"""The example application, clicked through in a real browser against the sandbox's Tokenite."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest
import uvicorn
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from support.server import closed_port
from support.tokenite import QUICK
from tollkit import AsyncTokenite
from tollkit.sandbox import Sandbox

EXAMPLE = Path(__file__).parents[2] / "examples" / "tokenite_app"
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
PHONE, DESKTOP = (375, 740), (1280, 900)
SHOTS = os.environ.get("TOKENITE_SCREENSHOTS")
"""A folder to keep screenshots in, for people who change the pages."""

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium or chromedriver is not installed")


class _Server(uvicorn.Server):
    """A server that says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.up.set()


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def address(running: Sandbox) -> Iterator[str]:
    sys.path.insert(0, str(EXAMPLE))
    try:
        from app import create_app
    finally:
        sys.path.remove(str(EXAMPLE))
    port = closed_port()
    url = f"http://127.0.0.1:{port}"
    app = create_app(AsyncTokenite.from_env(running.tokenite.env(), connection=QUICK), url=url)
    server = _Server(uvicorn.Config(app, port=port, log_config=None, access_log=False, timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert server.up.wait(20)
    yield url
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def chrome() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@attrs.define
class Person:
    """What a person does in the browser.

    Attributes:
        app: Where the example is.
        main: The window in which it is.
    """

    browser: webdriver.Chrome
    sandbox: Sandbox
    app: str
    main: str = ""
    size: tuple[int, int] = DESKTOP

    def until(self, condition: Callable[[], Any]) -> Any:
        return WebDriverWait(self.browser, 15, poll_frequency=0.05).until(lambda _: _or_not_yet(condition))

    def open(self, path: str = "/") -> None:
        self.browser.get(self.app + path)

    def text(self, selector: str) -> str:
        return self.browser.find_element(By.CSS_SELECTOR, selector).text

    @property
    def heading(self) -> str:
        return self.text("h1")

    def see(self, heading: str) -> None:
        self.until(lambda: self.heading == heading)

    def follow(self, text: str) -> None:
        self.browser.find_element(By.LINK_TEXT, text).click()

    def press(self, text: str) -> None:
        self.browser.find_element(By.XPATH, f"//button[normalize-space()='{text}']").click()

    def type(self, name: str, text: str) -> None:
        field = self.browser.find_element(By.NAME, name)
        field.clear()
        field.send_keys(text)

    def go_within(self, address: str) -> None:
        """Go on in a popup by a script: an address that is typed would part it from its opener."""
        self.browser.execute_script("location.href = arguments[0]", address)
        self.until(lambda: self.browser.current_url.startswith(address))

    @property
    def popup(self) -> str:
        others = [handle for handle in self.browser.window_handles if handle != self.main]
        assert len(others) <= 1
        return others[0] if others else ""

    def go_to_popup(self) -> None:
        self.browser.switch_to.window(self.until(lambda: self.popup))
        self.until(lambda: self.browser.current_url.startswith("http"))

    def go_to_frame(self) -> None:
        self.until(lambda: self.browser.find_element(By.CSS_SELECTOR, "dialog iframe").get_attribute("src"))
        self.browser.switch_to.frame(self.browser.find_element(By.CSS_SELECTOR, "dialog iframe"))

    def go_back(self) -> None:
        """To the application, whose window or overlay has gone or goes now."""
        self.browser.switch_to.window(self.main)
        self.until(lambda: not self.popup and not self.browser.find_elements(By.TAG_NAME, "dialog"))

    def notice(self, text: str) -> None:
        self.until(lambda: self.text("#notice") == text)

    def sign_in_at_tokenite(self, email: str = "ada@example.com", budget: str = "5") -> None:
        """Everything on Tokenite's pages."""
        self.see("Sign in to Tokenite")
        self.type("email", email)
        self.press("Continue")
        self.see("Sandbox App wants to use your AI wallet")
        self.type("budget", budget)
        self.press("Approve")

    def signed_in(self, email: str = "ada@example.com") -> None:
        self.until(lambda: self.text("#email") == email)
        assert self.browser.current_url == f"{self.app}/"

    def ask(self, question: str) -> None:
        self.type("question", question)
        self.press("Ask")
        self.until(lambda: self.browser.find_element(By.NAME, "question").get_attribute("value") == "")

    @property
    def questions(self) -> list[str]:
        return [found.text for found in self.browser.find_elements(By.TAG_NAME, "dt")]

    def run(self, script: str) -> Any:
        """Run an async script in the page with the module as `tokenite`; what it returns."""
        return self.browser.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            f"import('/auth/tokenite.js').then(async (tokenite) => {{ {script} }})"
            ".then(done, (error) => done('failed: ' + error))"
        )

    def received(self, line: str) -> int:
        return len(self.sandbox.requests.matching(line))

    def shot(self, name: str) -> None:
        fits = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        assert self.browser.execute_script(fits)
        if SHOTS:
            self.browser.save_screenshot(str(Path(SHOTS) / f"{name}-{self.size[0]}.png"))


def _or_not_yet(condition: Callable[[], Any]) -> Any:
    try:
        return condition()
    except Exception:  # the page is on its way out, or not there yet
        return False


@pytest.fixture
def person(chrome: webdriver.Chrome, running: Sandbox, address: str) -> Iterator[Person]:
    running.reset()
    for command in ("Network.clearBrowserCookies", "Emulation.clearDeviceMetricsOverride"):
        chrome.execute_cdp_cmd(command, {})
    here = Person(chrome, running, address, chrome.current_window_handle)
    here.open()
    yield here
    for handle in chrome.window_handles:
        if handle != here.main:
            chrome.switch_to.window(handle)
            chrome.close()
    chrome.switch_to.window(here.main)
    # nothing that the policy of the page forbids was tried
    assert [entry for entry in chrome.get_log("browser") if "Content Security Policy" in entry["message"]] == []


@pytest.fixture(params=[PHONE, DESKTOP], ids=["phone", "desktop"])
def sized(person: Person, request: pytest.FixtureRequest) -> Person:
    person.size = request.param
    width, height = request.param
    person.browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": request.param == PHONE},
    )
    return person


WAYS = {
    "redirect": "Sign in with a redirect",
    "window": "Sign in in a window",
    "iframe": "Sign in on top of this page",
}


def begin(person: Person, way: str) -> None:
    person.follow(WAYS[way])
    if way == "window":
        person.go_to_popup()
    elif way == "iframe":
        person.go_to_frame()


@pytest.mark.parametrize("way", WAYS)
def test_sign_in_and_out(person: Person, way: str) -> None:
    begin(person, way)
    person.sign_in_at_tokenite()
    person.go_back()
    person.signed_in()
    stored = "return JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}])"
    assert person.browser.execute_script(stored) == '["",{},{}]'
    person.press("Sign out")
    person.see("Ask a model, on your own account")
    person.open()
    assert person.heading == "Ask a model, on your own account"


@pytest.mark.parametrize("way", WAYS)
def test_cancel(person: Person, way: str) -> None:
    begin(person, way)
    person.see("Sign in to Tokenite")
    person.press("Cancel")
    person.go_back()
    person.notice("You cancelled. Nothing has changed.")
    assert person.received("POST /tokenite/api/oauth/token") == 0


@pytest.mark.parametrize("way", ["redirect", "window"])
def test_choose_another_account(person: Person, way: str) -> None:
    begin(person, "redirect")
    person.sign_in_at_tokenite()
    person.signed_in()
    if way == "window":
        person.follow("Other account")
        person.go_to_popup()
    else:
        person.open("/auth/login?prompt=select_account")
    person.see("Continue to Sandbox App")
    assert "ada@example.com" in person.text("main")
    person.press("Use another account")
    person.sign_in_at_tokenite("grace@example.com")
    person.go_back()
    person.signed_in("grace@example.com")


@pytest.mark.parametrize("way", ["window", "redirect"])
def test_empty_budget_top_up_and_the_call_again(person: Person, way: str) -> None:
    begin(person, "redirect")
    person.sign_in_at_tokenite(budget="0.00001")
    person.signed_in()
    person.ask("What is a tollkit?")
    assert person.questions == ["What is a tollkit?"]
    assert Decimal(person.text("#spent").removeprefix("$")) > Decimal("0.00001")
    person.ask("And who pays?")
    assert person.questions == ["What is a tollkit?"]
    assert "“And who pays?” has not been asked" in person.text("#empty")
    person.follow("Top up in a window" if way == "window" else "Top up with a redirect")
    if way == "window":
        person.go_to_popup()
    person.see("Raise the limit for Sandbox App")
    person.type("new_limit", "2")
    person.press("Set the limit")
    person.go_back()
    person.until(lambda: person.questions == ["What is a tollkit?", "And who pays?"])
    assert not person.browser.find_elements(By.ID, "empty")
    assert person.text("#limit") == "$2.00"
    assert person.browser.current_url == f"{person.app}/"


@pytest.mark.parametrize("way", ["window", "redirect"])
def test_top_up_cancelled(person: Person, way: str) -> None:
    begin(person, "redirect")
    person.sign_in_at_tokenite(budget="0.00001")
    person.signed_in()
    person.ask("One")
    person.ask("Two")
    person.follow("Top up in a window" if way == "window" else "Top up with a redirect")
    if way == "window":
        person.go_to_popup()
    person.see("Raise the limit for Sandbox App")
    person.press("Cancel")
    person.go_back()
    if way == "window":
        person.notice("You cancelled. Nothing has changed.")
    person.until(lambda: "Two" in person.text("#empty"))
    assert person.questions == ["One"]


def test_a_window_that_lands_on_the_redirect_uri(person: Person) -> None:
    person.sandbox.tokenite.set_popup_lands()
    begin(person, "window")
    person.sign_in_at_tokenite()
    person.go_back()
    person.signed_in()
    person.press("Sign out")
    person.see("Ask a model, on your own account")
    person.browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    begin(person, "window")
    person.see("Sign in to Tokenite")
    person.press("Cancel")
    person.go_back()
    person.notice("You cancelled. Nothing has changed.")


def test_a_window_that_outlives_its_opener(person: Person) -> None:
    person.sandbox.tokenite.set_popup_lands()
    begin(person, "window")
    person.see("Sign in to Tokenite")
    person.browser.execute_script("window.opener = null")
    popup = person.popup
    person.browser.switch_to.window(person.main)
    person.open("/?cancelled=1")  # the page that opened the window is gone
    person.browser.switch_to.window(popup)
    person.sign_in_at_tokenite()
    person.see("One moment")
    person.shot("landing")
    person.follow("Continue in this window")
    person.signed_in()


def test_a_blocked_window(person: Person) -> None:
    person.browser.execute_script("window.open = () => null")
    assert person.run("return await tokenite.signIn({ mode: 'window' })") == {"ok": False, "reason": "blocked"}
    told = person.run("return await tokenite.topUp()")
    assert told == {"ok": False, "reason": "popup-blocked"}
    # a link that was meant to open a window is followed instead
    person.follow(WAYS["window"])
    person.see("Sign in to Tokenite")
    assert person.popup == ""


def test_a_closed_window(person: Person) -> None:
    begin(person, "window")
    person.see("Sign in to Tokenite")
    person.browser.close()
    person.go_back()
    person.notice("You closed the window. Nothing has changed.")


@pytest.mark.parametrize("how", ["escape", "button", "beside"])
def test_an_overlay_is_left(person: Person, how: str) -> None:
    link = person.browser.find_element(By.LINK_TEXT, WAYS["iframe"])
    begin(person, "iframe")
    person.see("Sign in to Tokenite")
    person.browser.switch_to.default_content()
    dialog = person.browser.find_element(By.TAG_NAME, "dialog")
    assert (dialog.aria_role, dialog.accessible_name) == ("dialog", "Sign in with Tokenite")
    assert dialog.get_attribute("aria-modal") == "true"
    if how == "escape":
        person.browser.find_element(By.CSS_SELECTOR, "dialog button").send_keys(Keys.ESCAPE)
    elif how == "button":
        person.browser.find_element(By.CSS_SELECTOR, "dialog button[aria-label=Close]").click()
    else:
        webdriver.ActionChains(person.browser).move_by_offset(5, 5).click().perform()
    person.go_back()
    person.notice("You cancelled. Nothing has changed.")
    assert person.browser.switch_to.active_element == link


def test_an_overlay_keeps_the_focus(person: Person) -> None:
    begin(person, "iframe")
    person.see("Sign in to Tokenite")
    person.browser.switch_to.default_content()
    inert = (
        "return [...document.querySelectorAll('main a')]"
        ".filter((link) => { link.focus(); return link.matches(':focus'); }).length"
    )
    assert person.browser.execute_script(inert) == 0


def test_messages_of_others_are_ignored(person: Person) -> None:
    forged = "{type: 'tokenite:auth-success', code: 'forged'}"
    begin(person, "window")
    person.see("Sign in to Tokenite")
    popup = person.popup
    person.browser.switch_to.window(person.main)
    # the right origin is not ours, and the source is not the window
    person.browser.execute_script(f"postMessage({forged}, '*')")
    # the right window, while it shows another origin
    person.browser.switch_to.window(popup)
    elsewhere = person.app.replace("127.0.0.1", "localhost") + "/static/style.css"
    person.go_within(elsewhere)
    person.browser.execute_script(f"opener.postMessage({forged}, '*')")
    # the right origin and window, but no message that means anything, or one with another state
    person.go_within(person.sandbox.tokenite.base_url)
    for message in ("null", "7", "{}", "{type: 'tokenite:auth-success'}", "{type: 'other', code: 'x'}"):
        person.browser.execute_script(f"opener.postMessage({message}, '*')")
    person.browser.execute_script("opener.postMessage({type: 'tokenite:auth-success', code: 'x', state: 'y'}, '*')")
    # the right origin in another window
    person.browser.execute_script("open('/tokenite/')")
    person.until(lambda: len(person.browser.window_handles) == 3)
    [third] = set(person.browser.window_handles) - {person.main, popup}
    person.browser.switch_to.window(third)
    person.browser.execute_script(f"opener.opener.postMessage({forged}, '*')")
    person.browser.close()
    person.browser.switch_to.window(popup)
    person.browser.execute_script("window.open('', '_self').close()")
    person.go_back()
    person.notice("You closed the window. Nothing has changed.")
    assert person.received("POST /tokenite/api/oauth/token") == 0


def test_a_redirect_with_another_state_is_refused(person: Person) -> None:
    begin(person, "window")
    person.see("Sign in to Tokenite")
    person.browser.execute_script(
        "location.href = arguments[0]", f"{person.app}/auth/callback?code=forged&state=forged"
    )
    person.go_back()
    person.until(lambda: person.text("#notice") == "That did not work.")
    assert person.received("POST /tokenite/api/oauth/token") == 0


def test_a_later_call_replaces_an_earlier_one(person: Person) -> None:
    person.run(
        "window.first = tokenite.signIn({ mode: 'iframe' }); window.second = tokenite.signIn({ mode: 'iframe' });"
    )
    assert person.run("return await window.first") == {"ok": False, "reason": "replaced"}
    assert len(person.browser.find_elements(By.TAG_NAME, "dialog")) == 1
    person.go_to_frame()
    person.see("Sign in to Tokenite")
    person.press("Cancel")
    person.browser.switch_to.default_content()
    assert person.run("return await window.second") == {"ok": False, "reason": "cancelled"}


def test_nothing_is_left_behind(person: Person) -> None:
    person.browser.execute_script(
        "window.kept = new Set(); window.listeners = 0;"
        "const set = window.setInterval, clear = window.clearInterval;"
        "window.setInterval = (...all) => { const id = set(...all); kept.add(id); return id; };"
        "window.clearInterval = (id) => { kept.delete(id); clear(id); };"
        "const add = window.addEventListener.bind(window);"
        "window.addEventListener = (type, fn, options) => {"
        "  window.listeners += 1; options?.signal?.addEventListener('abort', () => (window.listeners -= 1));"
        "  add(type, fn, options); };"
    )
    for mode in ("window", "iframe"):
        person.run(f"window.result = tokenite.signIn({{ mode: '{mode}' }});")
        if mode == "window":
            person.go_to_popup()
        else:
            person.go_to_frame()
        person.see("Sign in to Tokenite")
        person.press("Cancel")
        person.go_back()
        assert person.run("return await window.result") == {"ok": False, "reason": "cancelled"}
        assert person.browser.execute_script("return [kept.size, window.listeners]") == [0, 0]


def test_a_server_that_is_gone_or_refuses(person: Person) -> None:
    missing = "{ mode: 'iframe', base: '/nowhere/' }"
    assert person.run(f"return await tokenite.signIn({missing})") == {"ok": False, "reason": "network"}
    gone = "window.fetch = () => Promise.reject(new TypeError('gone'));"
    assert person.run(f"{gone} return await tokenite.signIn({{ mode: 'iframe' }})") == {
        "ok": False,
        "reason": "network",
    }
    person.open()
    told = person.run("return await tokenite.signIn({ mode: 'iframe', budget: 'much' })")
    assert (told["ok"], told["reason"]) == (False, "bad_request")
    assert person.browser.find_elements(By.TAG_NAME, "dialog") == []


def test_results_of_the_module(person: Person) -> None:
    person.run("window.result = tokenite.signIn({ mode: 'iframe', next: '/?a=b', prompt: 'consent', budget: 2.5 });")
    person.go_to_frame()
    person.see("Sign in to Tokenite")
    person.press("Continue")
    person.see("Sandbox App wants to use your AI wallet")
    assert person.browser.find_element(By.NAME, "budget").get_attribute("value") == "2.5"
    person.press("Approve")
    person.browser.switch_to.default_content()
    assert person.run("return await window.result") == {"ok": True, "next": "/?a=b"}
    person.run("window.result = tokenite.topUp({ suggestedAmount: 9 });")
    person.go_to_popup()
    person.see("Raise the limit for Sandbox App")
    assert person.browser.find_element(By.NAME, "new_limit").get_attribute("value") == "9"
    person.press("Set the limit")
    person.go_back()
    assert person.run("return await window.result") == {"ok": True, "newLimit": 9, "remaining": 9}


def test_how_it_looks(sized: Person) -> None:
    sized.open()
    sized.shot("1-welcome")
    begin(sized, "iframe")
    sized.see("Sign in to Tokenite")
    sized.browser.switch_to.default_content()
    sized.shot("2-overlay")
    frame = sized.browser.find_element(By.CSS_SELECTOR, "dialog iframe")
    sized.browser.switch_to.frame(frame)
    sized.press("Continue")
    sized.see("Sandbox App wants to use your AI wallet")
    sized.type("budget", "0.00001")
    sized.shot("3-consent-in-overlay")
    sized.press("Approve")
    sized.go_back()
    sized.signed_in()
    sized.ask("What is a tollkit?")
    sized.ask("And who pays for all this, <b>in the end</b>?")
    sized.shot("4-empty-budget")
    sized.follow("Top up with a redirect")
    sized.see("Raise the limit for Sandbox App")
    sized.type("new_limit", "2")
    sized.shot("5-top-up")
    sized.press("Set the limit")
    sized.until(lambda: len(sized.questions) == 2)
    sized.shot("6-topped-up")
    sized.open("/auth/callback?error=server_error")
    sized.shot("7-error")
    assert sized.heading == "You are not signed in"
