"""What a browser does on Tokenite's pages, without a browser: forms are found in the HTML and sent."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import attrs
import httpx

from tollkit.sandbox import TokeniteSandbox

CALLBACK = "http://127.0.0.1:5055/callback"


@attrs.define
class Visitor:
    """Somebody with a browser; cookies are kept."""

    http: httpx.Client
    platform: TokeniteSandbox
    answer: httpx.Response = attrs.field(init=False)

    def authorize(self, **query: str | None) -> httpx.Response:
        """Open the consent page; a member that is None is left out."""
        usual: dict[str, Any] = {
            "client_id": self.platform.client_id,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "state": "s-1",
        }
        return self.open("/oauth/authorize", usual | query)

    def top_up(self, **query: str | None) -> httpx.Response:
        """Open the top-up page."""
        usual: dict[str, Any] = {
            "client_id": self.platform.client_id,
            "redirect_uri": CALLBACK,
            "state": "s-2",
        }
        return self.open("/oauth/top-up", usual | query)

    def open(self, path: str, query: dict[str, Any]) -> httpx.Response:
        kept = {name: value for name, value in query.items() if value is not None}
        self.answer = self.http.get(self.platform.base_url + path, params=kept)
        return self.answer

    def press(self, action: str, *, headers: dict[str, str] | None = None, **fields: str) -> httpx.Response:
        """Send the form of the page that is open."""
        target = re.search(r'<form method="post" action="([^"]+)">', self.answer.text)
        assert target, self.heading
        url = urljoin(str(self.answer.url), unescape(target[1]))
        shown = {name: unescape(value) for name, value in _INPUT.findall(self.answer.text)}
        self.answer = self.http.post(url, data={**shown, **fields, "action": action}, headers=headers)
        return self.answer

    def sign_in(self, email: str = "ada@example.com") -> httpx.Response:
        """Fill in the sign-in page."""
        assert self.heading == "Sign in to Tokenite"
        return self.press("sign-in", email=email)

    @property
    def heading(self) -> str:
        found = re.search("<h1>(.*?)</h1>", self.answer.text)
        return unescape(found[1]) if found else ""

    @property
    def error(self) -> str | None:
        found = re.search('<p class="error"[^>]*>(.*?)</p>', self.answer.text)
        return unescape(found[1]) if found else None

    def field(self, name: str) -> str:
        return {key: unescape(value) for key, value in _INPUT.findall(self.answer.text)}[name]

    @property
    def landed(self) -> dict[str, str]:
        """The query with which the browser was sent to the app."""
        after_form = self.answer.request.method == "POST"
        assert self.answer.status_code == (303 if after_form else 302), self.answer.text
        location = self.answer.headers["location"]
        assert location.startswith(CALLBACK + "?")
        return dict(parse_qsl(urlsplit(location).query))

    def exchange(self, issued: str, /, **body: Any) -> httpx.Response:
        """Exchange a code, as the app's server does."""
        usual = {
            "code": issued,
            "client_id": self.platform.client_id,
            "client_secret": self.platform.client_secret,
            "redirect_uri": CALLBACK,
        }
        return self.http.post(f"{self.platform.base_url}/api/oauth/token", json=usual | body)


_INPUT = re.compile(r'<input [^>]*name="([^"]+)" value="([^"]*)"')
