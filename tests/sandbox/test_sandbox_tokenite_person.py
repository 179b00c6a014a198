"""A person without a browser: goes through the real pages, and says so when they lead nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from support.tokenite import arguments
from tollkit import Tokenite
from tollkit.sandbox import Person, TokeniteSandbox
from tollkit.tokenite import CallbackSuccess, TopUpDone, TopUpFailed, UserDenied, parse_callback, parse_top_up_return


@pytest.fixture
def client(tokenite_sandbox: TokeniteSandbox) -> Iterator[Tokenite]:
    with Tokenite(**arguments(tokenite_sandbox)) as made:
        yield made


def test_signs_in_with_a_budget_and_again_without_a_question(
    client: Tokenite, tokenite_sandbox: TokeniteSandbox
) -> None:
    grace = Person("grace@example.com")
    asked = client.get_authorize_url()
    found = parse_callback(grace.approve(asked, "1.25"), asked.state)
    assert isinstance(found, CallbackSuccess)
    token = client.exchange_code(found.code).access_token
    assert tokenite_sandbox.connection(token).budget_limit == Decimal("1.25")
    assert client.get_access_context(token).user.email == "grace@example.com"
    again = client.get_authorize_url(prompt="select_account")
    assert parse_callback(grace.approve(again), again.state).ok


def test_cancels(client: Tokenite) -> None:
    asked = client.get_authorize_url()
    assert isinstance(parse_callback(Person().cancel(asked), asked.state), UserDenied)


def test_tops_up_or_does_not(client: Tokenite, tokenite_sandbox: TokeniteSandbox) -> None:
    tokenite_sandbox.grant(budget="2")
    page = client.top_up_url(suggested_amount=7)
    assert parse_top_up_return(Person().top_up(page), page.state) == TopUpDone(Decimal(7), Decimal(7))
    assert parse_top_up_return(Person().top_up(page, "9.5"), page.state) == TopUpDone(Decimal("9.5"), Decimal("9.5"))
    assert parse_top_up_return(Person().cancel(page), page.state) == TopUpFailed("cancelled")


def test_a_page_that_leads_nowhere_is_told(client: Tokenite) -> None:
    with pytest.raises(RuntimeError, match="not registered"):
        Person().approve(client.get_authorize_url(redirect_uri="https://elsewhere.example/"))
    with pytest.raises(RuntimeError, match="amount"):
        Person().approve(client.get_authorize_url(), "nothing")
