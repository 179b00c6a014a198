"""The device pages, clicked through in a real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox_caller import Caller
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tollkit.sandbox import PymtHouseSandbox, Sandbox

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
PHONE, DESKTOP = (375, 740), (1280, 900)
SHOTS = os.environ.get("SANDBOX_SCREENSHOTS")
"""A folder to keep screenshots in, for people who change the pages."""

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium or chromedriver is not installed")


@pytest.fixture(scope="module")
def chrome() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(params=[PHONE, DESKTOP], ids=["phone", "desktop"])
def browser(chrome: webdriver.Chrome, request: pytest.FixtureRequest) -> webdriver.Chrome:
    width, height = request.param
    chrome.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": request.param == PHONE},
    )
    chrome.execute_cdp_cmd("Network.clearBrowserCookies", {})
    return chrome


class Page:
    """What a person does in the browser."""

    def __init__(self, browser: webdriver.Chrome, sandbox: Sandbox) -> None:
        self.browser = browser
        self.sandbox = sandbox

    def open(self, url: str) -> None:
        self.browser.get(url)

    @property
    def heading(self) -> str:
        return self.browser.find_element(By.TAG_NAME, "h1").text

    @property
    def path(self) -> str:
        return self.browser.current_url.removeprefix(self.sandbox.url)

    def press(self, text: str) -> None:
        """Press a button and wait until the next page is there."""
        button = self.browser.find_element(By.XPATH, f"//button[normalize-space()='{text}']")
        before = self.browser.find_element(By.TAG_NAME, "html")
        button.click()
        WebDriverWait(self.browser, 10).until(lambda _: _is_gone(before))

    def choose(self, text: str) -> None:
        self.browser.find_element(By.XPATH, f"//label[contains(., '{text}')]//input[@type='radio']").click()

    def type(self, name: str, text: str) -> None:
        field = self.browser.find_element(By.NAME, name)
        field.clear()
        field.send_keys(text)

    def fits(self) -> bool:
        """Whether nothing sticks out sideways."""
        return bool(
            self.browser.execute_script(
                "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
            )
        )

    def shot(self, name: str) -> None:
        assert self.fits()
        if SHOTS:
            width = self.browser.execute_script("return window.innerWidth")
            self.browser.save_screenshot(str(Path(SHOTS) / f"{name}-{width}.png"))


def _is_gone(element: object) -> bool:
    try:
        element.is_enabled()  # type: ignore[attr-defined]
    except Exception:
        return True
    return False


@pytest.fixture
def page(browser: webdriver.Chrome, sandbox: Sandbox) -> Page:
    return Page(browser, sandbox)


def test_typed_code_seeded_user_approves(page: Page, caller: Caller, platform: PymtHouseSandbox) -> None:
    platform.seed_user("alice", email="alice@example.com")
    platform.seed_user("bob@example.com")
    platform.seed_user("ivan", status="inactive")
    started = caller.start_device()
    page.open(started["verification_uri"])
    assert page.heading == "Connect a device"
    page.shot("1-code")
    page.type("user_code", started["user_code"].lower().replace("-", ""))
    page.press("Continue")
    assert page.heading == "Sandbox App wants to sign you in on a device"
    assert page.browser.find_element(By.CLASS_NAME, "code").text == started["user_code"]
    page.shot("2-question")
    page.choose("bob@example.com")
    page.press("Approve")
    assert page.path == "/oidc/device-approved"
    assert page.heading == "Your device is signed in"
    page.shot("3-approved")
    tokens = caller.poll(started["device_code"]).json()
    assert tokens["scope"] == "openid sign:job"
    assert platform.device(started["user_code"]).end_user_id == platform.seed_end_user("bob@example.com").id


def test_complete_uri_typed_user_approves(page: Page, caller: Caller, platform: PymtHouseSandbox) -> None:
    started = caller.start_device()
    page.open(started["verification_uri_complete"])
    assert page.browser.find_element(By.CLASS_NAME, "code").text == started["user_code"]
    page.press("Approve")
    assert "Type the id" in page.browser.find_element(By.CLASS_NAME, "error").text
    page.shot("4-nobody")
    page.type("other_user", "  zoë/ünï <b>  ")
    page.browser.find_element(By.NAME, "other_user").send_keys(Keys.ENTER)
    WebDriverWait(page.browser, 10).until(lambda _: page.path == "/oidc/device-approved")
    assert page.path == "/oidc/device-approved"
    assert caller.poll(started["device_code"]).status_code == 200
    assert platform.device(started["user_code"]).end_user_id == platform.seed_end_user("zoë/ünï <b>").id


def test_a_choice_and_a_typed_id_contradict(page: Page, caller: Caller, platform: PymtHouseSandbox) -> None:
    platform.seed_user("alice")
    started = caller.start_device()
    page.open(started["verification_uri_complete"])
    page.type("other_user", "carol")
    page.press("Approve")
    assert "You chose alice and typed" in page.browser.find_element(By.CLASS_NAME, "error").text
    assert page.browser.find_element(By.NAME, "other_user").get_attribute("value") == "carol"
    page.choose("Someone else")
    page.press("Approve")
    assert platform.device(started["user_code"]).end_user_id == platform.seed_end_user("carol").id


def test_deny(page: Page, caller: Caller, platform: PymtHouseSandbox) -> None:
    platform.seed_user("alice")
    started = caller.start_device()
    page.open(started["verification_uri_complete"])
    page.press("Deny")
    assert page.heading == "The device was not signed in"
    page.shot("5-denied")
    assert caller.poll(started["device_code"]).json()["error"] == "access_denied"
    page.open(started["verification_uri_complete"])
    assert "used already" in page.browser.find_element(By.CLASS_NAME, "error").text


def test_wrong_and_expired_codes(page: Page, caller: Caller, platform: PymtHouseSandbox) -> None:
    started = caller.start_device()
    page.open(started["verification_uri"])
    page.type("user_code", '"><script>alert(1)</script>')
    page.press("Continue")
    assert "no such code" in page.browser.find_element(By.CLASS_NAME, "error").text
    assert page.browser.find_element(By.NAME, "user_code").get_attribute("value") == '"><script>alert(1)</script>'
    page.shot("6-error")
    platform.expire_device(started["user_code"])
    page.type("user_code", started["user_code"])
    page.press("Continue")
    assert "expired" in page.browser.find_element(By.CLASS_NAME, "error").text


def test_everything_shown_is_escaped(page: Page, caller: Caller, platform: PymtHouseSandbox) -> None:
    platform.app.name = "<i>App</i> & Söhne"
    platform.seed_user("<b>bold</b> \"quoted\" 'id'", email="<u>@example.com")
    started = caller.start_device("")
    page.open(started["verification_uri_complete"])
    assert page.heading == "<i>App</i> & Söhne wants to sign you in on a device"
    assert page.browser.find_elements(By.CSS_SELECTOR, "main b, main i, main u") == []
    page.press("Approve")
    chosen = platform.seed_end_user("<b>bold</b> \"quoted\" 'id'")
    assert platform.device(started["user_code"]).end_user_id == chosen.id


def test_the_app_signs_in_itself(page: Page, caller: Caller, platform: PymtHouseSandbox) -> None:
    """Third-party-initiated login: the browser goes to the app, and comes back without going there again."""
    platform.configure_app(initiate_login_uri=f"{page.sandbox.url}/oidc/device-approved")
    started = caller.start_device()
    page.open(started["verification_uri_complete"])
    assert page.path.startswith("/oidc/device-approved?iss=")
    assert [entry.line for entry in page.sandbox.requests.matching("GET /oidc*")] == [
        "GET /oidc/device",
        "GET /oidc/device/initiate-login",
        "GET /oidc/device-approved",
    ]
    page.open(started["verification_uri_complete"])
    assert page.heading == "Sandbox App wants to sign you in on a device"


def test_home_page_leads_to_the_form(page: Page, platform: PymtHouseSandbox) -> None:
    page.open(page.sandbox.url)
    assert platform.issuer_url in page.browser.find_element(By.TAG_NAME, "main").text
    page.shot("7-home")
    page.browser.find_element(By.LINK_TEXT, "Enter it here").click()
    assert page.heading == "Connect a device"
