"""The consent screen's address: byte for byte what a browser would write, or an error that names the argument."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollkit.errors import ArgumentError
from tollkit.tokenite.addresses import redirect_uri
from tollkit.tokenite.authorize import AuthorizeRequest, amount_text, authorize_request
from tollkit.tokenite.errors import TokeniteError
from tollkit_api.tokenite.v2_4.api.oauth import get_authorize_page

ARGUMENTS = {
    "base_url": "https://tokenite.ai",
    "client_id": "app_1",
    "redirect_uri": "https://app.example/callback",
    "state": "s",
}


def address(**changed: Any) -> str:
    return str(authorize_request(**{**ARGUMENTS, **changed}))


def query(**changed: Any) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(address(**changed)).query, strict_parsing=True))


def test_the_whole_address_letter_by_letter() -> None:
    made = authorize_request(
        base_url="https://tokenite.ai/",
        client_id="app 1~*",
        redirect_uri="https://app.example/callback?next=/a b".replace(" ", "%20"),
        state="s+/=\u00e9",
        suggested_budget=2.5,
        prompt=["login", "select_account"],
        mode="window",
    )
    assert made.url == (
        "https://tokenite.ai/oauth/authorize?client_id=app+1%7E*"
        "&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback%3Fnext%3D%2Fa%2520b&response_type=code"
        "&state=s%2B%2F%3D%C3%A9&suggested_budget=2.5&mode=popup&prompt=login+select_account"
    )
    assert made.state == "s+/=\u00e9"
    assert f"{made}" == made.url


def test_what_is_left_out_is_not_sent() -> None:
    assert list(query()) == ["client_id", "redirect_uri", "response_type", "state"]
    assert list(query(suggested_budget=0, mode="redirect")) == list(query())


def test_names_and_order_are_those_of_the_document() -> None:
    sent = query(suggested_budget="5", mode="iframe", prompt="consent")
    documented = get_authorize_page.request(
        client_id="app_1",
        redirect_uri="https://app.example/callback",
        response_type="code",
        state="s",
        suggested_budget=Decimal(5),
        mode="iframe",
        prompt="consent",
    )
    assert tuple(sent.items()) == documented.params
    assert urlsplit(address()).path == documented.url


def test_a_state_is_made_when_none_is_given() -> None:
    one, other = (authorize_request(**{**ARGUMENTS, "state": None}) for _ in range(2))
    assert re.fullmatch("[0-9a-f]{32}", one.state)
    assert one.state != other.state
    assert f"&state={one.state}" in one.url
    assert one == AuthorizeRequest(one.url, one.state)


@pytest.mark.parametrize(
    ("base_url", "begin"),
    [
        ("https://tokenite.ai", "https://tokenite.ai/oauth/authorize?"),
        ("https://TOKENITE.ai:443//", "https://tokenite.ai/oauth/authorize?"),
        ("http://127.0.0.1:4010/tokenite/", "http://127.0.0.1:4010/tokenite/oauth/authorize?"),
        ("https://b\u00fccher.example/a b", "https://xn--bcher-kva.example/a%20b/oauth/authorize?"),
    ],
)
def test_base_urls(base_url: str, begin: str) -> None:
    assert address(base_url=base_url).startswith(begin)


REDIRECT_URIS = [
    "https://app.example/callback",
    "HTTPS://App.example",
    "http://localhost:8000/callback",
    "http://[::1]:8000/",
    "https://app.example/callback?a=1&b=2",
    "https://app.example/%7Ecallback",
    "com.example.app:/callback",
    "my-app://callback?x=1",
    "httpapp:/callback",
]


@pytest.mark.parametrize("redirect_uri", REDIRECT_URIS)
def test_redirect_uris_go_out_as_they_are(redirect_uri: str) -> None:
    assert query(redirect_uri=redirect_uri)["redirect_uri"] == redirect_uri


BAD_REDIRECT_URIS = [
    "/callback", "app.example/callback", "//app.example/callback", "localhost:8000/callback", "https:app.example",
    "https:/app.example", "https://", "https://a b/", "https://app.example/a b", "https://app.example\\@evil.example",
    "https://app.example/callback#", "https://app.example/callback#x", "com.example.app:/callback#x",
    "javascript:/%0aalert(1)", "JavaScript://x/%0aalert(1)", "data:/text/html,x", "file:///etc/passwd", "blob:/x",
    "about:/blank", "view-source:/x", "ws://app.example/", "ftp://app.example/", "com.example.app:", "urn:x:y",
    "https://app.example/\ncallback", "https://app.example/\u2028", "https://app.example:99999/", "https://1.2.3.4.5/",
    " https://app.example/callback", "", " ", "\0", "\ud800", 5, None, b"https://app.example/", ["https://app.example/"],
]  # fmt: skip

BAD_AMOUNTS = [
    -1, -0.01, Decimal(-1), "-1", float("nan"), float("inf"), -float("inf"), Decimal("NaN"), Decimal("sNaN"),
    Decimal("Infinity"), Decimal("1e400"), 10**400, "1e400", True, False, "", " 5", "5 ", "1_000", "1,5", "0x5",
    "nan", "\u0665", "five", "$5", ".", "1e", b"5", [5], Fraction(1, 2), 5j,
]  # fmt: skip

BAD: list[tuple[str, Any]] = [
    *[("redirect_uri", value) for value in BAD_REDIRECT_URIS],
    *[("suggested_budget", value) for value in BAD_AMOUNTS],
    *[("client_id", value) for value in ("", " ", None, 5, b"app", "a\0", "\ud800")],
    *[("state", value) for value in ("", "  ", 5, b"s", "\udc00")],
    *[("mode", value) for value in ("", "Popup", "tab", 5, ["popup"], b"popup")],
    *[("prompt", value) for value in ("", " ", 5, b"login", [], [""], ["login", 5], ["login", None], True)],
    *[
        ("base_url", value)
        for value in (
            "", None, 5, "tokenite.ai", "ftp://tokenite.ai", "https://", "https://a b", "https://tokenite.ai?x=1",
            "https://tokenite.ai/#x", "https://user:pw@tokenite.ai", "https://tokenite.ai\\@evil.example",
        )
    ],
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD)
def test_errors_name_the_argument(name: str, value: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        address(**{name: value})
    assert caught.value.argument == name
    assert isinstance(caught.value, TokeniteError)
    assert str(caught.value).startswith(name)


@pytest.mark.parametrize(
    ("prompt", "word"),
    [
        ("login", "login"),
        ("login consent", "login consent"),
        ("something new", "something new"),
        (["login"], "login"),
        (("select_account", "login"), "select_account login"),
        ({"none": 1}, "none"),
        ((word for word in ("login", "consent")), "login consent"),
    ],
)
def test_prompts(prompt: Any, word: str) -> None:
    assert query(prompt=prompt)["prompt"] == word


@pytest.mark.parametrize(("mode", "word"), [("popup", "popup"), ("window", "popup"), ("iframe", "iframe")])
def test_modes(mode: Any, word: str) -> None:
    assert query(mode=mode)["mode"] == word


# `String(x)` of Node 20
NUMBERS: list[tuple[Any, str | None]] = [
    (5, "5"), (5.0, "5"), ("5.00", "5"), (Decimal("2.50"), "2.5"), (0.1, "0.1"), (Decimal("0.10"), "0.1"),
    ("007", "7"), (1e20, "100000000000000000000"), (123456789012345680000, "123456789012345680000"),
    (1e21, "1e+21"), (10**21, "1e+21"), (1.5e300, "1.5e+300"), (0.000001, "0.000001"), (1.5e-6, "0.0000015"),
    (1e-7, "1e-7"), (1.25e-10, "1.25e-10"), (5e-324, "5e-324"),
    (1.7976931348623157e308, "1.7976931348623157e+308"), (2**53 + 1, "9007199254740992"),
    (1e16, "10000000000000000"), (1.1e16, "11000000000000000"), (100, "100"), (Decimal("1E+2"), "100"),
    ("1e3", "1000"), (".5", "0.5"), ("5.", "5"), (0.1 + 0.2, "0.30000000000000004"),
    (Decimal("0.333333333333333333333"), "0.3333333333333333"), (0, None), (0.0, None), (-0.0, None),
    ("0.00", None), ("-0", None), (Decimal("0E+5"), None), ("1e-400", None),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), NUMBERS)
def test_amounts_as_javascript_writes_them(value: Any, text: str | None) -> None:
    assert amount_text("suggested_budget", value) == text
    assert query(suggested_budget=value).get("suggested_budget") == text


@settings(max_examples=500, deadline=None)
@given(st.floats(min_value=0, exclude_min=True, allow_infinity=False))
def test_amounts_arrive_as_the_same_number(value: float) -> None:
    text = amount_text("x", value)
    assert text is not None
    assert float(text) == value
    assert re.fullmatch(r"(?:0|[1-9][0-9]{0,20})(?:\.[0-9]*[1-9])?|[1-9](?:\.[0-9]*[1-9])?e[+-][1-9][0-9]*", text)


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)


@settings(max_examples=500, deadline=None)
@given(text.filter(str.strip), text.filter(str.strip))
def test_texts_arrive_as_they_are(client_id: str, state: str) -> None:
    url = address(client_id=client_id, state=state)
    assert url.isascii()
    assert dict(parse_qsl(urlsplit(url).query)) == {**query(), "client_id": client_id, "state": state}


def refused_or_equal(check: Callable[[Any], Any], value: Any) -> bool:
    try:
        return check(value) == value
    except ArgumentError:
        return True


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(["", "https://", "http:", "a:/", "com.app://x"]), st.text(max_size=30))
def test_a_redirect_uri_passes_as_it_is_or_not_at_all(begin: str, rest: str) -> None:
    assert refused_or_equal(redirect_uri, begin + rest)
