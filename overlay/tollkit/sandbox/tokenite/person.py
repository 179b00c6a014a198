"""A person with a browser, for programs: goes through the sandbox's pages by their forms, with no browser at all.

Test suites of apps use it where a real browser would be too much: the pages, cookies and redirects are the real ones.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

__all__ = ["Person"]


class Person:
    """Somebody who opens Tokenite's pages; signed in from the first page on, as a browser keeps its cookies.

    Args:
        email: The address that they sign in with.
    """

    def __init__(self, email: str = "ada@example.com") -> None:
        self.email = email
        # no proxy of the environment: the sandbox is on this machine
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), _NoRedirects(), urllib.request.HTTPCookieProcessor(CookieJar())
        )

    def approve(self, authorize_url: object, budget: Decimal | str | int | None = None) -> str:
        """Open the consent screen and approve.

        Args:
            authorize_url: From `get_authorize_url()`, without `mode`.
            budget: Typed into the budget field, in US dollars; what stands there when left out.

        Returns:
            Where the browser is sent: the redirect URI with its query.

        Raises:
            RuntimeError: The pages do not lead there; tells what the last one says.
        """
        return self._walk(str(authorize_url), {"action": "approve"} | _typed("budget", budget))

    def cancel(self, url: object) -> str:
        """Open the consent screen or the top-up page and cancel.

        Returns:
            Where the browser is sent.

        Raises:
            RuntimeError: The pages do not lead there.
        """
        return self._walk(str(url), {"action": "cancel"})

    def top_up(self, top_up_url: object, new_limit: Decimal | str | int | None = None) -> str:
        """Open the top-up page and set the new limit.

        Args:
            top_up_url: From `top_up_url()`, without `mode`.
            new_limit: Typed into its field; what stands there when left out.

        Returns:
            Where the browser is sent: the redirect URI with its query.

        Raises:
            RuntimeError: The pages do not lead there.
        """
        return self._walk(str(top_up_url), {"action": "confirm"} | _typed("new_limit", new_limit))

    def _walk(self, url: str, decision: Mapping[str, str]) -> str:
        """Follow the pages until they send the browser elsewhere; who it is is told on the way."""
        page, location = self._open(url, None)
        for _ in range(4):  # sign-in, account, decision, and one more
            if location is not None:
                return location
            form = _read(page)
            if form is None:
                break
            answer = decision
            if "email" in form.fields:
                answer = {"action": "continue", "email": self.email}
            elif form.action.rpartition("/")[2] == "account":
                answer = {"action": "continue"}
            page, location = self._open(urljoin(url, form.action), {**form.fields, **answer})
        raise RuntimeError(f"the pages did not lead back to the app; the last one says: {_text(page)}")

    def _open(self, url: str, form: Mapping[str, str] | None) -> tuple[str, str | None]:
        data = None if form is None else urlencode(form).encode()
        try:
            with self._opener.open(url, data, timeout=30) as answer:
                return answer.read().decode(), None
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.read().decode(), answer.headers.get("location")


def _typed(name: str, value: object) -> dict[str, str]:
    return {} if value is None else {name: str(value)}


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any, **_more: Any) -> None:
        return None


@attrs.define
class _Form:
    action: str
    fields: dict[str, str] = attrs.field(factory=dict[str, str])


class _Reader(HTMLParser):
    """The first form of a page, and the page's text."""

    def __init__(self) -> None:
        super().__init__()
        self.form: _Form | None = None
        self.text: list[str] = []
        self._silent = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        self._silent = tag in ("style", "script", "title")
        if tag == "form" and self.form is None:
            self.form = _Form(told.get("action", ""))
        elif tag == "input" and self.form is not None:
            self.form.fields.setdefault(told.get("name", ""), told.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        self._silent = False

    def handle_data(self, data: str) -> None:
        if data.strip() and not self._silent:
            self.text.append(data.strip())


def _reader(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    return reader


def _read(page: str) -> _Form | None:
    return _reader(page).form


def _text(page: str) -> str:
    return " ".join(_reader(page).text)[:300]
