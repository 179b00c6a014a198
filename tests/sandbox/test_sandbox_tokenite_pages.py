"""Tokenite's pages, clicked through in a real browser: as a page, as a window, and in a frame of another site."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tollkit.sandbox import TokeniteSandbox

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
PHONE, WINDOW, DESKTOP = (375, 740), (480, 620), (1280, 900)
SHOTS = os.environ.get("SANDBOX_SCREENSHOTS")
"""A folder to keep screenshots in, for people who change the pages."""

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium or chromedriver is not installed")

APP_PAGE = b"""<!DOCTYPE html><title>App</title><h1>App</h1><script>
window.messages = [];
addEventListener("message", (event) => messages.push({origin: event.origin, data: event.data}));
</script>"""


class AppPage(BaseHTTPRequestHandler):
    """The app of somebody: every address is the page that opens windows and frames, and hears their messages."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(APP_PAGE)))
        self.end_headers()
        self.wfile.write(APP_PAGE)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def app_port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), AppPage) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


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


class Person:
    """Somebody in front of the browser."""

    def __init__(self, browser: webdriver.Chrome, platform: TokeniteSandbox, app_port: int) -> None:
        self.browser = browser
        self.platform = platform
        # The sandbox is at 127.0.0.1, so that for the browser the app is another site.
        self.app = f"http://localhost:{app_port}"

    def url(self, page: str = "authorize", **query: str) -> str:
        usual = {"client_id": self.platform.client_id, "redirect_uri": f"{self.app}/callback", "state": "s-1"}
        more = {"response_type": "code"} if page == "authorize" else {}
        return f"{self.platform.base_url}/oauth/{page}?{urlencode({**usual, **more, **query})}"

    def size(self, width: int, height: int) -> None:
        self.browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 480},
        )

    @property
    def heading(self) -> str:
        return self.browser.find_element(By.TAG_NAME, "h1").text

    @property
    def landed(self) -> dict[str, str]:
        """The query with which the browser came to the app."""
        self.wait(lambda: self.browser.current_url.startswith(f"{self.app}/callback?"))
        return {name: values[0] for name, values in parse_qs(urlsplit(self.browser.current_url).query).items()}

    def wait(self, condition: Any) -> None:
        WebDriverWait(self.browser, 10, poll_frequency=0.02).until(lambda _: condition())

    def see(self, heading: str) -> None:
        self.wait(lambda: self.browser.find_elements(By.XPATH, f"//h1[normalize-space()='{heading}']"))

    def press(self, text: str) -> None:
        self.browser.find_element(By.XPATH, f"//button[normalize-space()='{text}']").click()

    def type(self, name: str, text: str) -> None:
        field = self.browser.find_element(By.NAME, name)
        field.clear()
        field.send_keys(text)

    def sign_in(self, email: str = "ada@example.com") -> None:
        self.see("Sign in to Tokenite")
        self.type("email", email)
        self.press("Continue")

    def messages(self) -> list[Any]:
        self.wait(lambda: self.browser.execute_script("return window.messages.length"))
        messages: list[Any] = self.browser.execute_script("return window.messages.splice(0)")
        return messages

    def shot(self, name: str) -> None:
        """Look at the page: nothing sticks out, and with a folder at hand keep pictures of it."""
        for label, size in (("phone", PHONE), ("window", WINDOW), ("desktop", DESKTOP)):
            self.size(*size)
            wide = self.browser.execute_script("return document.documentElement.scrollWidth")
            assert wide <= size[0], f"{name} is {wide} wide at {size[0]}"
            if SHOTS:
                Path(SHOTS).mkdir(parents=True, exist_ok=True)
                self.browser.save_screenshot(f"{SHOTS}/tokenite-{name}-{label}.png")


@pytest.fixture
def person(chrome: webdriver.Chrome, tokenite_sandbox: TokeniteSandbox, app_port: int) -> Iterator[Person]:
    chrome.execute_cdp_cmd("Network.clearBrowserCookies", {})
    chrome.get("about:blank")
    chrome.get_log("browser")
    first = chrome.current_window_handle
    yield Person(chrome, tokenite_sandbox, app_port)
    for handle in set(chrome.window_handles) - {first}:
        chrome.switch_to.window(handle)
        chrome.close()
    chrome.switch_to.window(first)
    complaints = [entry["message"] for entry in chrome.get_log("browser") if "favicon" not in entry["message"]]
    assert [text for text in complaints if "Content Security Policy" in text or "Uncaught" in text] == []


def test_consent_as_a_page(person: Person) -> None:
    person.browser.get(person.url(suggested_budget="2.5"))
    person.shot("sign-in")
    person.sign_in()
    person.see("Sandbox App wants to use your AI wallet")
    person.shot("consent")
    person.type("budget", "lots")
    person.press("Approve")
    person.wait(lambda: person.browser.find_elements(By.ID, "error"))
    person.shot("consent-error")
    person.type("budget", "3" + Keys.ENTER)
    assert set(person.landed) == {"code", "state"}
    person.browser.get(person.url(prompt="select_account"))
    person.see("Continue to Sandbox App")
    person.shot("account")
    person.press("Use another account")
    person.sign_in("grace@example.com")
    person.see("Sandbox App wants to use your AI wallet")
    person.press("Cancel")
    assert person.landed == {"error": "access_denied", "error_description": "user_denied", "state": "s-1"}


def test_cancel_needs_no_address(person: Person) -> None:
    person.browser.get(person.url())
    person.see("Sign in to Tokenite")
    person.type("email", "")
    person.press("Cancel")
    assert person.landed["error"] == "access_denied"


def test_consent_in_a_window(person: Person, tokenite_sandbox: TokeniteSandbox) -> None:
    browser = person.browser
    browser.get(f"{person.app}/")
    opener = browser.current_window_handle

    def open_window(url: str) -> None:
        browser.execute_script("window.open(arguments[0], 'tokenite', 'width=480,height=620')", url)
        (window,) = set(browser.window_handles) - {opener}
        browser.switch_to.window(window)

    open_window(person.url(mode="popup"))
    person.sign_in()
    person.see("Sandbox App wants to use your AI wallet")
    person.press("Approve")
    person.see("Done")
    person.shot("done")
    browser.switch_to.window(opener)
    (message,) = person.messages()
    assert message["origin"] == tokenite_sandbox.base_url.removesuffix("/tokenite")
    assert message["data"]["type"] == "tokenite:auth-success"
    answer = httpx.post(
        f"{tokenite_sandbox.base_url}/api/oauth/token",
        json={
            "code": message["data"]["code"],
            "client_id": tokenite_sandbox.client_id,
            "client_secret": tokenite_sandbox.client_secret,
            "redirect_uri": f"{person.app}/callback",
        },
    )
    assert answer.status_code == 200
    browser.execute_script("window.open(arguments[0], 'tokenite')", person.url(mode="popup", prompt="consent"))
    (window,) = set(browser.window_handles) - {opener}
    browser.switch_to.window(window)
    person.see("Sandbox App wants to use your AI wallet")
    person.press("Cancel")
    person.see("Done")
    browser.switch_to.window(opener)
    (message,) = person.messages()
    assert message["data"] == {"type": "tokenite:auth-error", "error": "access_denied"}


def test_a_window_that_lands_on_the_callback(person: Person, tokenite_sandbox: TokeniteSandbox) -> None:
    tokenite_sandbox.set_popup_lands()
    browser = person.browser
    browser.get(f"{person.app}/")
    opener = browser.current_window_handle
    browser.execute_script("window.open(arguments[0], 'tokenite')", person.url(mode="popup"))
    (window,) = set(browser.window_handles) - {opener}
    browser.switch_to.window(window)
    person.sign_in()
    person.see("Sandbox App wants to use your AI wallet")
    person.press("Approve")
    assert set(person.landed) == {"code", "state"}


def test_a_window_without_an_opener_goes_on(person: Person) -> None:
    person.browser.get(person.url(mode="popup"))
    person.sign_in()
    person.see("Sandbox App wants to use your AI wallet")
    person.press("Approve")
    assert set(person.landed) == {"code", "state"}


@pytest.mark.parametrize("decision", ["Approve", "Cancel"])
def test_consent_in_a_frame_of_another_site(person: Person, decision: str) -> None:
    browser = person.browser
    person.size(*DESKTOP)
    browser.get(f"{person.app}/")
    browser.execute_script(
        "const frame = document.createElement('iframe'); frame.width = 480; frame.height = 620;"
        "frame.src = arguments[0]; document.body.append(frame)",
        person.url(mode="iframe"),
    )
    browser.switch_to.frame(0)
    person.sign_in()
    person.see("Sandbox App wants to use your AI wallet")
    if SHOTS:
        browser.save_screenshot(f"{SHOTS}/tokenite-frame.png")
    person.press(decision)
    person.see("Done")
    browser.switch_to.default_content()
    (message,) = person.messages()
    wanted = "tokenite:auth-success" if decision == "Approve" else "tokenite:auth-error"
    assert message["data"]["type"] == wanted


def test_a_message_is_for_the_app_alone(person: Person, app_port: int) -> None:
    """Another page that opens the window with the app's address hears nothing."""
    browser = person.browser
    browser.get(f"http://127.0.0.1:{app_port}/")
    opener = browser.current_window_handle
    browser.execute_script("window.open(arguments[0], 'tokenite')", person.url(mode="popup"))
    (window,) = set(browser.window_handles) - {opener}
    browser.switch_to.window(window)
    person.sign_in()
    person.see("Sandbox App wants to use your AI wallet")
    person.press("Approve")
    person.see("Done")
    browser.switch_to.window(opener)
    assert (
        browser.execute_async_script("const done = arguments[0]; setTimeout(() => done(window.messages.length), 0)")
        == 0
    )


def test_top_up_in_a_window_and_as_a_page(person: Person, tokenite_sandbox: TokeniteSandbox) -> None:
    token = tokenite_sandbox.grant(budget="5")
    tokenite_sandbox.spend(token, cost="4.321")
    browser = person.browser
    browser.get(f"{person.app}/")
    opener = browser.current_window_handle
    browser.execute_script("window.open(arguments[0], 'tokenite')", person.url("top-up", mode="popup"))
    (window,) = set(browser.window_handles) - {opener}
    browser.switch_to.window(window)
    person.sign_in()
    person.see("Raise the limit for Sandbox App")
    person.shot("top-up")
    person.press("Set the limit")
    person.see("Done")
    browser.switch_to.window(opener)
    (message,) = person.messages()
    assert message["data"] == {"type": "tokenite:topup-success", "newLimit": 10, "remaining": 5.46295}
    browser.get(person.url("top-up", mode="redirect"))
    person.press("Cancel")
    assert person.landed == {"topup": "cancelled", "state": "s-1"}


def test_pages_that_only_say_something(person: Person, tokenite_sandbox: TokeniteSandbox) -> None:
    person.browser.get(tokenite_sandbox.base_url)
    person.shot("home")
    person.browser.get(person.url(redirect_uri="https://evil.example/"))
    person.see("This link does not work")
    person.shot("refusal")
    person.browser.get(person.url("top-up"))
    person.sign_in("grace@example.com")
    person.see("There is no limit to raise")
    person.shot("no-limit")
