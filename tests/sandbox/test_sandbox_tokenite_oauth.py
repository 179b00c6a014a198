"""Tokenite's browser flow and token endpoint over HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from html import unescape
from typing import Any

import httpx
import pytest
from tokenite_flow import CALLBACK, Visitor

from tollkit.sandbox import Fault, Sandbox, TokeniteSandbox


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client() as http:
        yield http


@pytest.fixture
def visitor(http: httpx.Client, tokenite_sandbox: TokeniteSandbox) -> Visitor:
    http.cookies.clear()
    return Visitor(http, tokenite_sandbox)


def told(answer: httpx.Response) -> Any:
    """What the last page of a popup tells, and whom."""
    found = re.search('<script type="application/json" id="outcome">(.*?)</script>', answer.text)
    assert found, answer.text
    return json.loads(found[1])


# -------------------------------------------------------------------- consent


def test_the_whole_way(visitor: Visitor, tokenite_sandbox: TokeniteSandbox) -> None:
    visitor.authorize(suggested_budget="2.5")
    assert visitor.field("email") == "ada@example.com"
    visitor.sign_in("Grace@example.com")
    assert visitor.heading == "Sandbox App wants to use your AI wallet"
    assert visitor.field("budget") == "2.5"
    visitor.press("approve", budget="3.25")
    assert set(visitor.landed) == {"code", "state"}
    assert visitor.landed["state"] == "s-1"
    answer = visitor.exchange(visitor.landed["code"])
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()) == {"access_token", "token_type"}
    connection = tokenite_sandbox.connection(answer.json()["access_token"])
    assert connection.budget_limit == Decimal("3.25")
    assert tokenite_sandbox.state.users[connection.user_id].email == "Grace@example.com"


def test_a_session_with_a_grant_is_asked_nothing(visitor: Visitor) -> None:
    visitor.authorize(state=None)
    visitor.sign_in()
    visitor.press("approve")
    assert set(visitor.landed) == {"code"}
    for prompt in (None, "none", "something new"):
        visitor.authorize(prompt=prompt)
        assert set(visitor.landed) == {"code", "state"}


@pytest.mark.parametrize("prompt", ["consent", "login", "consent select_account"])
def test_the_whole_screen_again(visitor: Visitor, tokenite_sandbox: TokeniteSandbox, prompt: str) -> None:
    token = tokenite_sandbox.grant(budget="7.5")
    tokenite_sandbox.spend(token, cost="1")
    visitor.authorize(prompt=prompt)
    visitor.sign_in()
    assert visitor.field("budget") == "7.5"
    visitor.press("approve", budget="9")
    assert "code" in visitor.landed
    connection = tokenite_sandbox.connection(token)
    assert (connection.budget_limit, connection.budget_spent) == (Decimal(9), Decimal("1.05"))


def test_select_account_keeps_the_limit(visitor: Visitor, tokenite_sandbox: TokeniteSandbox) -> None:
    token = tokenite_sandbox.grant(budget="7.5")
    visitor.authorize()
    visitor.sign_in()
    visitor.authorize(prompt="select_account", suggested_budget="50")
    assert visitor.heading == "Continue to Sandbox App"
    assert "$7.50 of $7.50 left for Sandbox App" in visitor.answer.text
    visitor.press("continue")
    assert "code" in visitor.landed
    assert tokenite_sandbox.connection(token).budget_limit == Decimal("7.5")


def test_select_another_account(visitor: Visitor, tokenite_sandbox: TokeniteSandbox) -> None:
    tokenite_sandbox.grant()
    visitor.authorize()
    visitor.sign_in()
    visitor.authorize(prompt="select_account")
    visitor.press("other")
    assert visitor.field("email") == ""
    visitor.sign_in("grace@example.com")
    assert visitor.field("budget") == "5"
    visitor.press("approve")
    token = visitor.exchange(visitor.landed["code"]).json()["access_token"]
    assert tokenite_sandbox.state.users[tokenite_sandbox.connection(token).user_id].email == "grace@example.com"
    visitor.authorize(prompt="select_account")
    assert "grace@example.com" in visitor.answer.text, "the browser remembers the last one"


def test_select_account_before_a_first_grant(visitor: Visitor) -> None:
    visitor.authorize()
    visitor.sign_in()
    visitor.authorize(prompt="select_account")
    assert "Has not used Sandbox App yet" in visitor.answer.text
    visitor.press("continue")
    assert visitor.heading == "Sandbox App wants to use your AI wallet"
    visitor.press("other")
    assert visitor.heading == "Sign in to Tokenite"


@pytest.mark.parametrize("page", ["sign-in", "account", "consent"])
def test_cancel(visitor: Visitor, page: str) -> None:
    visitor.authorize(prompt="select_account")
    if page != "sign-in":
        visitor.sign_in()
    if page == "account":
        visitor.authorize(prompt="select_account")
    visitor.press("cancel")
    assert visitor.landed == {"error": "access_denied", "error_description": "user_denied", "state": "s-1"}


@pytest.mark.parametrize("budget", ["", "0", "-1", "five", "1e3", "1,5", "10000000", "1.0000001", "\u0665"])
def test_a_budget_that_is_none(visitor: Visitor, tokenite_sandbox: TokeniteSandbox, budget: str) -> None:
    visitor.authorize()
    visitor.sign_in()
    answer = visitor.press("approve", budget=budget)
    assert answer.status_code == 400
    assert visitor.error == "Type an amount of dollars above zero, such as 5 or 2.50."
    assert visitor.field("budget") == budget
    assert not tokenite_sandbox.state.connections
    visitor.press("approve", budget=" 2.50 ")
    assert "code" in visitor.landed


def test_an_address_that_is_none(visitor: Visitor) -> None:
    visitor.authorize()
    assert visitor.sign_in("ada").status_code == 400
    assert visitor.error
    assert visitor.field("email") == "ada"
    visitor.sign_in("ada@example.com")
    assert visitor.field("budget") == "5"


def test_a_revoked_grant_is_asked_for_again(visitor: Visitor, tokenite_sandbox: TokeniteSandbox) -> None:
    old = tokenite_sandbox.grant()
    tokenite_sandbox.revoke(old)
    visitor.authorize()
    visitor.sign_in()
    visitor.press("approve")
    new = visitor.exchange(visitor.landed["code"]).json()["access_token"]
    assert tokenite_sandbox.connection(new) is not tokenite_sandbox.connection(old)


# -------------------------------------------------------------------- requests that are wrong


@pytest.mark.parametrize(
    "redirect_uri",
    [
        None,
        "",
        "https://evil.example/callback",
        "http://127.0.0.1.evil.example/",
        "http://evil.example\\@127.0.0.1/",
        "http://127.0.0.1\\@evil.example/",
        "http://ada@127.0.0.1/",
        "http://127.0.0.1/#here",
        "http://127.0.0.1:99999999/",
        "http://127.0.0.1/\r\nSet-Cookie: a=b",
        "javascript:alert(1)//127.0.0.1",
        " http://127.0.0.1/",
        "http://127.0.0.1evil.example",
    ],
)
@pytest.mark.parametrize("page", ["authorize", "top_up"])
def test_a_way_back_that_is_not_registered(visitor: Visitor, page: str, redirect_uri: str | None) -> None:
    answer = getattr(visitor, page)(redirect_uri=redirect_uri)
    assert answer.status_code == 400
    assert visitor.heading == "This link does not work"
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    "redirect_uri",
    ["http://127.0.0.1/callback", "http://localhost:3000/", "https://[::1]:8443/a?b=c", "http://app.localhost/x%20y"],
)
def test_every_loopback_address_will_do_for_the_own_app(visitor: Visitor, redirect_uri: str) -> None:
    visitor.authorize(redirect_uri=redirect_uri)
    visitor.sign_in()
    answer = visitor.press("approve")
    assert answer.headers["location"].startswith(redirect_uri + ("&" if "?" in redirect_uri else "?") + "code=")


def test_other_apps_have_one_way_back(visitor: Visitor, tokenite_sandbox: TokeniteSandbox) -> None:
    tokenite_sandbox.configure_app(callback_url="https://app.example/back?keep=1", any_loopback=False)
    assert visitor.authorize().status_code == 400
    visitor.authorize(redirect_uri="https://app.example/back?keep=1")
    visitor.sign_in()
    assert (
        visitor.press("cancel").headers["location"].startswith("https://app.example/back?keep=1&error=access_denied&")
    )


def test_an_app_that_nobody_knows(visitor: Visitor) -> None:
    for client_id in (None, "app_nobody", "<script>"):
        assert visitor.authorize(client_id=client_id).status_code == 400
        assert "location" not in visitor.answer.headers


def test_who_asks_must_stand_there_once(visitor: Visitor, tokenite_sandbox: TokeniteSandbox) -> None:
    url = f"{tokenite_sandbox.base_url}/oauth/authorize?client_id={tokenite_sandbox.client_id}&response_type=code"
    for more in (f"&client_id=x&redirect_uri={CALLBACK}", f"&redirect_uri={CALLBACK}&redirect_uri={CALLBACK}"):
        answer = visitor.http.get(url + more)
        assert answer.status_code == 400
        assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"mode": "hologram"}, "invalid_request"),
        ({"suggested_budget": "much"}, "invalid_request"),
        ({"suggested_budget": "-5"}, "invalid_request"),
        ({"suggested_budget": "NaN"}, "invalid_request"),
        ({"suggested_budget": "1e99"}, "invalid_request"),
        ({"state": ["a", "b"]}, "invalid_request"),
    ],
)
def test_what_else_is_wrong_goes_back_to_the_app(visitor: Visitor, query: dict[str, Any], error: str) -> None:
    visitor.authorize(**query)
    assert visitor.landed["error"] == error
    assert visitor.landed["error_description"]
    assert "state" in visitor.landed


def test_budgets_in_the_text_form_of_javascript(visitor: Visitor) -> None:
    for text, shown in (("5", "5"), ("2.5", "2.5"), ("1e-6", "0.000001"), ("1000000", "1000000")):
        visitor.authorize(suggested_budget=text)
        visitor.sign_in()
        assert visitor.field("budget") == shown
        visitor.http.cookies.clear()


# -------------------------------------------------------------------- windows and frames


@pytest.mark.parametrize("mode", ["popup", "iframe"])
def test_a_window_is_told_with_a_message(visitor: Visitor, mode: str) -> None:
    visitor.authorize(mode=mode)
    visitor.sign_in()
    done = told(visitor.press("approve"))
    assert done["origin"] == "http://127.0.0.1:5055"
    assert done["message"]["type"] == "tokenite:auth-success"
    assert set(done["message"]) == {"type", "code"}
    assert done["elsewhere"] == f"{CALLBACK}?code={done['message']['code']}&state=s-1"
    assert visitor.exchange(done["message"]["code"]).status_code == 200
    visitor.authorize(mode=mode, prompt="consent")
    denied = told(visitor.press("cancel"))
    assert denied["message"] == {"type": "tokenite:auth-error", "error": "access_denied"}
    assert denied["elsewhere"].endswith("?error=access_denied&error_description=user_denied&state=s-1")
    assert (
        told(visitor.authorize(mode=mode, response_type="token"))["message"]["error"] == "unsupported_response_type"
    )


def test_popups_may_land_on_the_callback_instead(visitor: Visitor, tokenite_sandbox: TokeniteSandbox) -> None:
    tokenite_sandbox.set_popup_lands()
    visitor.authorize(mode="popup")
    visitor.sign_in()
    visitor.press("approve")
    assert "code" in visitor.landed
    assert told(visitor.authorize(mode="iframe"))["message"]["type"] == "tokenite:auth-success"


def test_text_of_others_stays_text(visitor: Visitor, tokenite_sandbox: TokeniteSandbox) -> None:
    hostile = "</script><script>alert(1)</script>\"'&"
    app = tokenite_sandbox.app
    app.name = app.description = app.website_url = hostile
    visitor.authorize(state=hostile, mode="popup", suggested_budget="2.5")
    pages = [visitor.answer.text]
    pages.append(visitor.press("sign-in", email=hostile).text)
    pages.append(visitor.press("sign-in", email="a&b@example.com").text)
    pages.append(visitor.press("approve", budget=hostile).text)
    pages.append(visitor.press("approve", budget="5").text)
    pages.append(visitor.authorize(prompt="select_account").text)
    pages.append(visitor.top_up().text)
    pages.append(visitor.press("confirm", new_limit=hostile).text)
    for page in pages:
        assert "<script>alert" not in page
        assert page.count("</script>") == page.count("<script ")
    assert unescape(pages[2]).count(hostile) >= 3
    assert told_state(pages[4]) == hostile


def told_state(page: str) -> str:
    return httpx.URL(json.loads(page.split('id="outcome">')[1].split("</script>")[0])["elsewhere"]).params["state"]


def test_headers_of_the_pages(visitor: Visitor) -> None:
    seen = set[str]()
    for _ in range(2):
        answer = visitor.authorize()
        policy = answer.headers["content-security-policy"]
        (nonce,) = set(re.findall("'nonce-([^']+)'", policy))
        assert set(re.findall('nonce="([^"]+)"', answer.text)) == {nonce}
        assert "default-src 'none'" in policy
        assert "frame-ancestors *" in policy
        assert "x-frame-options" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"
        seen.add(nonce)
    assert len(seen) == 2


# -------------------------------------------------------------------- forms


def test_forms_of_other_sites_are_refused(visitor: Visitor, tokenite_sandbox: TokeniteSandbox) -> None:
    visitor.authorize()
    own = tokenite_sandbox.base_url.removesuffix("/tokenite")
    assert visitor.press("sign-in", headers={"origin": "https://evil.example"}).status_code == 403
    visitor.authorize()
    visitor.press("sign-in", headers={"origin": own})
    page = visitor.answer
    for headers in ({"origin": "null"}, {"origin": "https://evil.example"}):
        visitor.answer = page
        assert visitor.press("approve", headers=headers).status_code == 403
    assert not tokenite_sandbox.state.connections
    visitor.answer = page
    assert visitor.press("approve", headers={"origin": own}).status_code == 303


def test_forms_need_their_transaction(visitor: Visitor, tollkit_sandbox: Sandbox) -> None:
    visitor.authorize()
    before = visitor.answer
    assert visitor.press("sign-in", transaction="guessed").status_code == 403
    assert visitor.heading == "This form is out of date"
    base = visitor.platform.base_url
    for form in ("sign-in", "account", "consent", "top-up"):
        assert visitor.http.post(f"{base}/oauth/{form}").status_code == 403
    unsigned = re.search('name="transaction" value="([^"]+)"', before.text)
    assert unsigned
    for form in ("account", "consent", "top-up"):
        data = {"transaction": unsigned[1], "action": "approve", "budget": "5"}
        assert visitor.http.post(f"{base}/oauth/{form}", data=data).status_code == 403, "nobody is signed in yet"
    tollkit_sandbox.clock.advance(1801)
    visitor.answer = before
    assert visitor.press("sign-in").status_code == 403


def test_no_cookie_is_needed(visitor: Visitor) -> None:
    """A frame on another site gets none."""
    visitor.authorize(mode="iframe", prompt="select_account")
    for action in ("sign-in", "other", "sign-in", "approve"):
        visitor.http.cookies.clear()
        visitor.press(action, **({"email": "ada@example.com"} if action == "sign-in" else {}))
    assert told(visitor.answer)["message"]["type"] == "tokenite:auth-success"


def test_the_cookie_is_for_the_pages_alone(visitor: Visitor) -> None:
    visitor.authorize()
    cookie = visitor.sign_in().headers["set-cookie"]
    assert re.fullmatch(
        r"tokenite_sandbox=[\w-]{32}; Path=/tokenite; Max-Age=2592000; HttpOnly; SameSite=Lax", cookie
    )


# -------------------------------------------------------------------- token endpoint


@pytest.fixture
def code(visitor: Visitor) -> str:
    visitor.authorize()
    visitor.sign_in()
    visitor.press("approve")
    return visitor.landed["code"]


def test_a_code_works_once(visitor: Visitor, code: str) -> None:
    assert visitor.exchange(code).status_code == 200
    again = visitor.exchange(code)
    assert again.status_code == 400
    assert again.json()["error"]["code"] == "INVALID_CODE"


def test_a_code_lives_300_seconds(visitor: Visitor, code: str, tollkit_sandbox: Sandbox) -> None:
    tollkit_sandbox.clock.freeze()
    tollkit_sandbox.clock.advance(301)
    late = visitor.exchange(code)
    assert (late.status_code, late.json()["error"]["code"]) == (400, "INVALID_CODE")
    visitor.authorize()
    tollkit_sandbox.clock.advance(299)
    assert visitor.exchange(visitor.landed["code"]).status_code == 200


@pytest.mark.parametrize(
    ("changed", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "INVALID_CLIENT"),
        ({"client_secret": "w\u00f6rng"}, 401, "INVALID_CLIENT"),
        ({"client_id": "app_nobody"}, 401, "INVALID_CLIENT"),
        ({"code": "guessed"}, 400, "INVALID_CODE"),
        ({"redirect_uri": "http://127.0.0.1:5056/callback"}, 400, "INVALID_CODE"),
        ({"code": None}, 400, "VALIDATION"),
        ({"client_secret": ""}, 400, "VALIDATION"),
        ({"redirect_uri": ["http://127.0.0.1"]}, 400, "VALIDATION"),
    ],
)
def test_wrong_exchanges(visitor: Visitor, code: str, changed: dict[str, Any], status: int, error: str) -> None:
    answer = visitor.exchange(code, **changed)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == error
    assert answer.json()["error"]["message"]
    assert visitor.exchange(code).status_code == 200, "a failed attempt does not use up the code"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"code=1", b"\xff"])
def test_bodies_that_are_none(visitor: Visitor, body: bytes) -> None:
    answer = visitor.http.post(
        f"{visitor.platform.base_url}/api/oauth/token", content=body, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION")


def test_a_code_belongs_to_its_client(visitor: Visitor, code: str, tokenite_sandbox: TokeniteSandbox) -> None:
    headers = {"authorization": f"Bearer {tokenite_sandbox.api_key}"}
    made = visitor.http.post(
        f"{tokenite_sandbox.proxy_base}/api/apps",
        headers=headers,
        json={"name": "Other", "callbackUrl": "https://other.example/back"},
    ).json()
    other = visitor.exchange(code, client_id=made["id"], client_secret=made["appSecret"])
    assert (other.status_code, other.json()["error"]["code"]) == (400, "INVALID_CODE")


def test_expired_tokens_and_html_from_the_token_endpoint(
    visitor: Visitor, code: str, tollkit_sandbox: Sandbox
) -> None:
    tollkit_sandbox.faults.add(
        Fault(kind="html", match="POST */api/oauth/token", status=502),
        Fault(kind="status", match="POST */api/oauth/token", status=200),
        Fault(kind="expired_token", match="POST */api/oauth/token"),
    )
    # a backdating goes along with the first fault that fits, so it is used up there
    assert visitor.exchange(code).headers["content-type"] == "text/html; charset=utf-8"
    assert visitor.exchange(code).content == b""
    tollkit_sandbox.faults.add(Fault(kind="expired_token", match="POST */api/oauth/token"))
    token = visitor.exchange(code).json()["access_token"]
    answer = visitor.http.get(
        f"{visitor.platform.proxy_base}/me/providers", headers={"authorization": f"Bearer {token}"}
    )
    assert answer.json()["error"]["code"] == "TOKEN_EXPIRED"


# -------------------------------------------------------------------- top-up


def test_top_up(visitor: Visitor, tokenite_sandbox: TokeniteSandbox) -> None:
    token = tokenite_sandbox.grant(budget="5")
    tokenite_sandbox.spend(token, cost="4")
    visitor.top_up()
    visitor.sign_in()
    assert visitor.heading == "Raise the limit for Sandbox App"
    assert visitor.field("new_limit") == "10"
    assert re.findall("<dd>(.*?)</dd>", visitor.answer.text) == ["$5.00", "$4.20", "$0.80"]
    visitor.press("confirm")
    assert visitor.landed == {"topup": "success", "new_limit": "10", "remaining": "5.8", "state": "s-2"}
    assert tokenite_sandbox.connection(token).budget_limit == Decimal(10)


@pytest.mark.parametrize("mode", ["popup", "iframe"])
def test_top_up_in_a_window(visitor: Visitor, tokenite_sandbox: TokeniteSandbox, mode: str) -> None:
    tokenite_sandbox.grant(budget="2.5")
    visitor.top_up(mode=mode, suggested_amount="12.5")
    visitor.sign_in()
    assert visitor.field("new_limit") == "12.5"
    done = told(visitor.press("confirm", new_limit="7.25"))
    assert done["message"] == {"type": "tokenite:topup-success", "newLimit": 7.25, "remaining": 7.25}
    assert done["origin"] == "http://127.0.0.1:5055"
    visitor.top_up(mode=mode)
    assert told(visitor.press("cancel"))["message"] == {"type": "tokenite:topup-cancelled"}


def test_top_up_cancelled(visitor: Visitor, tokenite_sandbox: TokeniteSandbox) -> None:
    tokenite_sandbox.grant()
    visitor.top_up(mode="redirect", state=None)
    visitor.press("cancel")
    assert visitor.landed == {"topup": "cancelled"}


def test_top_up_as_somebody_else(visitor: Visitor, tokenite_sandbox: TokeniteSandbox) -> None:
    tokenite_sandbox.grant()
    visitor.top_up()
    visitor.sign_in("grace@example.com")
    assert visitor.heading == "There is no limit to raise"
    visitor.press("other")
    visitor.sign_in("ada@example.com")
    assert visitor.heading == "Raise the limit for Sandbox App"
    visitor.press("other")
    visitor.sign_in("grace@example.com")
    visitor.press("confirm", new_limit="10")
    assert visitor.landed == {"topup": "cancelled", "state": "s-2"}


@pytest.mark.parametrize("amount", ["", "4.2", "4", "lots"])
def test_a_limit_below_what_is_spent(visitor: Visitor, tokenite_sandbox: TokeniteSandbox, amount: str) -> None:
    token = tokenite_sandbox.grant()
    tokenite_sandbox.spend(token, cost="4")
    visitor.top_up()
    visitor.sign_in()
    assert visitor.press("confirm", new_limit=amount).status_code == 400
    assert visitor.error == "Type an amount of dollars above $4.20, which is spent."
    assert tokenite_sandbox.connection(token).budget_limit == Decimal(5)


@pytest.mark.parametrize("query", [{"mode": "hologram"}, {"suggested_amount": "x"}, {"state": ["a", "b"]}])
def test_a_wrong_top_up_link(visitor: Visitor, query: dict[str, Any]) -> None:
    assert visitor.top_up(**query).status_code == 400
    assert visitor.heading == "This link does not work"


# -------------------------------------------------------------------- the rest


def test_home_logos_and_nothing(visitor: Visitor, tokenite_sandbox: TokeniteSandbox) -> None:
    base = tokenite_sandbox.base_url
    home = visitor.http.get(base)
    assert tokenite_sandbox.proxy_base in home.text
    assert visitor.http.get(f"{base}/").text.count("<h1>") == 1
    logo = visitor.http.get(f"{base}/logos/anthropic.svg")
    assert logo.headers["content-type"].startswith("image/svg+xml")
    assert "<title>Anthropic</title>" in logo.text
    assert visitor.http.get(f"{base}/logos/nobody.svg").status_code == 404
    assert visitor.http.get(f"{base}/nothing").json()["error"]["code"] == "NOT_FOUND"
    assert visitor.http.get(tokenite_sandbox.proxy_base).json()["error"]["code"] == "NOT_FOUND"
    assert visitor.http.get(f"{base}s").headers["content-type"].startswith("text/html"), "PymtHouse's path"
