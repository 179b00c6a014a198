"""Replays recorded exchanges against the sandbox and compares what comes back.

A recording names what differs from run to run by placeholders: `{{main.secret}}` for what the sandbox made up,
`{{40-user-token.access_token}}` for what an earlier recording answered, `{{...|tampered}}` for a changed form of
it. Expected answers hold shapes such as `<uuid>` where a value is new each time; a token stands there as its
decoded header and claims.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

DATA = Path(__file__).parent / "data" / "pymthouse_recordings.json"

SHAPES = {
    "<uuid>": r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "<pmth>": r"pmth_[0-9a-f]{64}",
    "<opaque43>": r"[\w-]{43}",
    "<user_code>": r"[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}",
    "<iso>": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    "<n>": r"[\w-]{342}",
    "<hex16>": r"[0-9a-f]{16}",
    "<date>": r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT",
}
CHANGED: Mapping[str, Callable[[str], str]] = {
    "quote": lambda text: quote(text, safe=""),
    "quote2": lambda text: quote(quote(text, safe=""), safe=""),
    "underscore": lambda text: text.replace("_", "%5F"),
    "tampered": lambda text: text[:-10] + ("A" if text[-10] != "A" else "B") + text[-9:],
    "squashed": lambda text: text.replace("-", "").lower(),
}
HEADERS = (
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "cache-control",
    "content-type",
    "etag",
    "location",
    "pragma",
    "referrer-policy",
    "refresh",
    "retry-after",
    "set-cookie",
    "strict-transport-security",
    "www-authenticate",
    "x-content-type-options",
    "x-frame-options",
    "x-xss-protection",
)
"""Compared in both directions: a header that the real server did not send must not be sent."""


def load() -> list[dict[str, Any]]:
    return json.loads(DATA.read_text("utf-8"))


class Replay:
    """Sends recordings and remembers what was answered."""

    def __init__(self, client: httpx.Client, values: dict[str, str]) -> None:
        self.client = client
        self.values = values

    def fill(self, text: str) -> str:
        def value(match: re.Match[str]) -> str:
            name, *changes = match[1].split("|")
            found = self.values[name]
            for change in changes:
                found = CHANGED[change](found)
            return found

        return re.sub(r"\{\{(.+?)\}\}", value, text)

    def send(self, recording: Mapping[str, Any]) -> httpx.Response:
        request = recording["request"]
        headers = {name: self.header(text) for name, text in request["headers"].items()}
        body = request["body"]
        target = self.fill(request["target"]).encode("ascii")
        response = self.client.request(
            request["method"],
            "/",
            headers=headers,
            content=None if body is None else self.fill(body).encode("utf-8"),
            extensions={"target": target},
        )
        if "json" in response.headers.get("content-type", "") and response.content:
            document = response.json()
            for member in ("access_token", "refresh_token", "device_code", "user_code"):
                if member in document:
                    self.values[f"{recording['name']}.{member}"] = document[member]
        return response

    def header(self, text: str) -> str:
        basic = re.fullmatch(r"(basic) <(.*)>", text, re.IGNORECASE)
        if basic is None:
            return self.fill(text)
        return f"{basic[1]} {base64.b64encode(self.fill(basic[2]).encode()).decode()}"

    def differences(self, recording: Mapping[str, Any], response: httpx.Response) -> list[str]:
        """What is not as recorded; empty when all is."""
        expected = recording["response"]
        found: list[str] = []
        if response.status_code != expected["status"]:
            found.append(f"status {response.status_code}, recorded {expected['status']}: {response.text[:200]}")
        for name in HEADERS:
            got, wanted = response.headers.get(name), expected["headers"].get(name)
            if (got is None) != (wanted is None) or (wanted is not None and not self.same_text(wanted, got or "")):
                found.append(f"header {name}: {got!r}, recorded {wanted!r}")
        if "json" in expected:
            try:
                document = response.json()
            except ValueError:
                return [*found, f"no JSON: {response.text[:200]}"]
            found += self.compare(expected["json"], document, "$")
        elif response.text != self.fill(expected.get("text", "")):
            found.append(f"body {response.text[:200]!r}, recorded {expected.get('text')!r}")
        return found

    def compare(self, wanted: Any, got: Any, path: str) -> list[str]:
        if isinstance(wanted, dict) and set(wanted) == {"<jwt>"}:
            return self.compare_token(wanted["<jwt>"], got, path)
        if isinstance(wanted, dict):
            if not isinstance(got, dict) or list(got) != list(wanted):
                return [f"{path}: members {list(got)}, recorded {list(wanted)}"]
            return [line for name in wanted for line in self.compare(wanted[name], got[name], f"{path}.{name}")]
        if isinstance(wanted, list):
            if not isinstance(got, list) or len(got) != len(wanted):
                return [f"{path}: {got!r}, recorded {len(wanted)} items"]
            if path in ("$.byUser", "$.byPipelineModel"):  # the real server promises no order
                wanted = sorted(wanted, key=lambda row: self.fill(json.dumps(list(row.values())[:2])))
                got = sorted(got, key=lambda row: json.dumps(list(row.values())[:2]))
            return [
                line
                for index, item in enumerate(wanted)
                for line in self.compare(item, got[index], f"{path}[{index}]")
            ]
        if wanted == "<int>":
            return [] if isinstance(got, int) else [f"{path}: {got!r} is no integer"]
        if isinstance(wanted, str) and isinstance(got, str):
            return [] if self.same_text(wanted, got) else [f"{path}: {got!r}, recorded {wanted!r}"]
        same = type(wanted) is type(got) and wanted == got
        return [] if same else [f"{path}: {got!r}, recorded {wanted!r}"]

    def same_text(self, wanted: str, got: str) -> bool:
        pattern = re.escape(self.fill(wanted))
        for shape, expression in SHAPES.items():
            pattern = pattern.replace(re.escape(shape), expression)
        return re.fullmatch(pattern, got, re.DOTALL) is not None

    def compare_token(self, wanted: Mapping[str, Any], got: Any, path: str) -> list[str]:
        if not isinstance(got, str) or got.count(".") != 2:
            return [f"{path}: {got!r} is no JWT"]
        header, claims = (
            json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in got.split(".")[:2]
        )
        expected = dict(wanted["claims"])
        for name, text in expected.items():
            if isinstance(text, str) and (ahead := re.fullmatch(r"<iat\+(\d+)>", text)):
                expected[name] = claims["iat"] + int(ahead[1])
        return self.compare(
            dict(sorted(wanted["header"].items())), dict(sorted(header.items())), f"{path}<header>"
        ) + self.compare(dict(sorted(expected.items())), dict(sorted(claims.items())), f"{path}<claims>")
