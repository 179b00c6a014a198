"""Addresses from outside: read as Node reads them, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkit.core.weburl import is_absolute_url, parse_http_url, query_pairs

URLS: list[tuple[str, Any]] = json.loads((Path(__file__).parent / "data" / "web-urls.json").read_text())
SPECIAL = ("http:", "https:")


def test_addresses_of_all_kinds() -> None:
    """Made by `oracles/urls.mjs`. Only host names outside ASCII may be refused where Node takes them."""
    refused = 0
    for text, node in URLS:
        url = parse_http_url(text)
        wanted = node if node and node[0].startswith(SPECIAL) else None
        if wanted and url is None:
            refused += 1
            assert not text.isascii() or "%" in text or "xn--" in text.lower(), text
        elif url is None:
            assert wanted is None
            if node and text.isascii():
                assert is_absolute_url(text), text
        else:
            pairs = [list(pair) for pair in query_pairs(url.query or "")]
            assert [url.href, url.origin, url.path, pairs] == wanted, text
            assert is_absolute_url(text)
    assert refused < len(URLS) // 50


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://issuer.example@evil.example/", "https://evil.example"),
        ("https:\\\\issuer.example\\oidc", "https://issuer.example"),
        ("https:issuer.example", "https://issuer.example"),
        ("https://evil.example\\@issuer.example/", "https://evil.example"),
        ("ht\ntps://issu\ter.example", "https://issuer.example"),
        ("https://issuer%2Eexample", "https://issuer.example"),
        ("https://\uff49ssuer\u3002example", "https://issuer.example"),
        ("https://0x7f.1:443/", "https://127.0.0.1"),
        ("http://[::ffff:127.0.0.1]:80", "http://[::ffff:7f00:1]"),
        ("HTTPS://ISSUER.EXAMPLE:8443", "https://issuer.example:8443"),
    ],
)
def test_where_an_address_really_leads(text: str, origin: str) -> None:
    url = parse_http_url(text)
    assert url is not None
    assert url.origin == origin


@pytest.mark.parametrize(
    "text",
    ["", "nope", "//issuer.example", "/oidc/device", "https://", "https://a:99999", "https://a b/", "https://xn--a/",
     "https://[::1", "https://1.2.3.256", "https://fa\u1e9e.example/", "javascript:alert(1)", "https://a%00b"],
)  # fmt: skip
def test_refused(text: str) -> None:
    assert parse_http_url(text) is None


@pytest.mark.parametrize(
    ("text", "absolute"),
    [
        ("mailto:a@b", True),
        ("foo://h:80/x", True),
        ("foo://:80/", False),
        ("foo://[::1]/", True),
        ("foo://[::/", False),
        ("foo://a b/", False),
        ("foo://u@/", False),
        ("file:///c:/x", True),
        ("file://c:/x", True),
        ("file://ho st/", False),
        ("file://host/x", True),
        ("ws://h", True),
        ("ws://", False),
        ("foo:", True),
        (":foo", False),
    ],
)
def test_absolute_addresses_of_any_scheme(text: str, absolute: bool) -> None:
    assert is_absolute_url(text) is absolute


@given(
    st.text(max_size=40) | st.text(alphabet="htps:/\\@?#[].%ax0\t\u3002\u00e9", max_size=30).map("https://".__add__)
)
def test_the_normal_form_is_stable(text: str) -> None:
    """Never an exception; and what is read once is read the same again."""
    url = parse_http_url(text)
    if url is not None:
        again = parse_http_url(url.href)
        assert again is not None
        assert (again.href, again.origin, again.path) == (url.href, url.origin, url.path)
