"""The site in a real browser, from a folder and below a path: readable on a phone, searchable, without an error."""

from __future__ import annotations

import functools
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from support.docs_site import Site

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
PHONE, DESKTOP = (390, 844), (1280, 900)
IMPORTANT = (
    "index.html",
    "pymthouse/index.html",
    "pymthouse/usage.html",
    "tokenite/sign-in.html",
    "run402/payments.html",
    "run402/methods.html",
    "guide/errors.html",
    "performance.html",
    "security.html",
    "departures.html",
    "changelog.html",
    "reference/tollkit/pymthouse/index.html",
    "reference/tollkit/pymthouse/client.html",
    "reference/tollkit/run402/namespaces/blobs.html",
    "reference/tollkit_api/run402/v1_57/models.html",
    "reference/tollkit_api/usage/v2026_05/usage.html",
)
DARK = ("index.html", "guide/errors.html", "reference/tollkit/pymthouse/client.html")

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium or chromedriver is not installed"),
]


class Browser:
    """A browser that looks at pages below an address."""

    def __init__(self, driver: webdriver.Chrome, base: str) -> None:
        self.driver = driver
        self.base = base

    def open(self, page: str, size: tuple[int, int] = PHONE, *, scheme: str = "light") -> None:
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        self.driver.get(f"{self.base}/{page}")

    def until(self, condition: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, 30, poll_frequency=0.05).until(lambda _: condition())

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def told(self) -> list[str]:
        """What the console has said since the last look."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def asked(self) -> list[str]:
        """The addresses that were asked for since the last look."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]

    def search(self, words: str, wanted: str) -> None:
        """Search for words, and wait until an address with what is wanted is among what is found."""
        self.run("document.querySelector('[data-md-toggle=search]').click()")
        field = self.driver.find_element(By.CSS_SELECTOR, "input.md-search__input")
        self.until(field.is_displayed)
        field.send_keys(words)
        links = "return [...document.querySelectorAll('a.md-search-result__link')].map((link) => link.href)"
        self.until(lambda: any(wanted in address for address in self.run(links)))


@pytest.fixture(scope="module")
def driver(site: Site) -> Iterator[webdriver.Chrome]:
    assert site.status == 0, site.log[-3000:]
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def served(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The site below a path of a server."""
    root = tmp_path_factory.mktemp("server")
    (root / "some").mkdir()
    (root / "some" / "where").symlink_to(site.folder, target_is_directory=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=root))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/some/where"
    server.shutdown()
    thread.join(20)
    server.server_close()


@pytest.fixture(params=["folder", "server"])
def browser(request: pytest.FixtureRequest, driver: webdriver.Chrome, site: Site, served: str) -> Browser:
    found = Browser(driver, served if request.param == "server" else Path(site.folder).as_uri())
    driver.get("about:blank")
    found.told(), found.asked()
    return found


@pytest.fixture
def folder(driver: webdriver.Chrome, site: Site) -> Browser:
    found = Browser(driver, Path(site.folder).as_uri())
    found.told(), found.asked()
    return found


@pytest.mark.parametrize(
    ("page", "scheme"), [*((page, "light") for page in IMPORTANT), *((page, "dark") for page in DARK)]
)
def test_a_phone_never_scrolls_sideways(folder: Browser, page: str, scheme: str) -> None:
    folder.open(page, scheme=scheme)
    width, room = folder.run("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert width <= room == PHONE[0]
    # nor is anything cut off: what is wider than the page is within something that scrolls
    lost = folder.run(
        """
        const scrolls = (node) => node && (
          ['auto', 'scroll'].includes(getComputedStyle(node).overflowX) || scrolls(node.parentElement));
        return [...document.querySelectorAll('.md-content__inner *')]
          .filter((node) => node.getClientRects().length && node.getBoundingClientRect().right > innerWidth + 1)
          .filter((node) => !scrolls(node))
          .map((node) => node.outerHTML.slice(0, 120));
        """
    )
    assert lost == []
    assert folder.told() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_its_ground(folder: Browser, scheme: str) -> None:
    folder.open("guide/errors.html", scheme=scheme)
    ground, text = folder.run(
        """
        const found = (element, name) =>
          getComputedStyle(document.querySelector(element))[name].match(/[\\d.]+/g).slice(0, 3).map(Number);
        return [found('body', 'backgroundColor'), found('.md-content p', 'color')];
        """
    )
    assert (sum(ground) > 600) == (scheme == "light")
    assert abs(sum(ground) - sum(text)) > 300


def test_a_search_finds_pages_and_names(browser: Browser) -> None:
    browser.open("guide/cli.html", DESKTOP)
    browser.search("proxies", "/guide/proxies.html")
    browser.open("index.html", PHONE)
    browser.search("verify_access_token", "#tollkit.pymthouse.client.PymtHouse.verify_access_token")
    assert browser.told() == []


def test_the_navigation_leads_on(browser: Browser) -> None:
    browser.open("index.html", PHONE)
    browser.run("document.querySelector('label.md-header__button[for=__drawer]').click()")
    link = browser.driver.find_element(By.CSS_SELECTOR, ".md-nav--primary")
    browser.until(link.is_displayed)
    browser.open("index.html", DESKTOP)
    browser.driver.find_element(By.CSS_SELECTOR, ".md-tabs").find_element(By.LINK_TEXT, "Guide").click()
    browser.until(lambda: browser.driver.current_url.endswith("guide/clients.html"))
    browser.driver.find_element(By.CSS_SELECTOR, ".md-footer__link--next").click()
    browser.until(lambda: browser.driver.current_url.endswith("guide/proxies.html"))
    assert browser.driver.find_element(By.CSS_SELECTOR, "h1").text.startswith("Proxies and certificates")
    assert browser.told() == []


def test_code_can_be_copied_and_the_scheme_be_changed(browser: Browser) -> None:
    browser.open("index.html", DESKTOP)
    # the page's script makes them, and hears the switch from then on
    browser.until(lambda: browser.driver.find_elements(By.CSS_SELECTOR, "button.md-code__button"))
    browser.run("document.querySelector('label[title=\"Switch to light\"]').click()")
    browser.until(lambda: browser.run("return document.body.dataset.mdColorScheme") == "default")
    browser.run("document.querySelector('label[title=\"Switch to dark\"]').click()")
    browser.until(lambda: browser.run("return document.body.dataset.mdColorScheme") == "slate")
    browser.run("localStorage.clear()")
    assert browser.told() == []


def test_no_other_host_is_asked(browser: Browser) -> None:
    for page in ("index.html", "guide/errors.html", "reference/tollkit/errors.html"):
        browser.open(page, DESKTOP)
    browser.search("timeout", "/guide/clients.html")
    asked = [address for address in browser.asked() if not address.startswith(("data:", "blob:", "about:"))]
    assert len(asked) > 10
    assert [address for address in asked if not address.startswith(browser.base)] == []
