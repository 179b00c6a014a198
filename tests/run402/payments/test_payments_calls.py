"""Calls of the clients that are paid for: once, within the policy, and with an error that says what has left."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.run402 import RecordingCredentials, Side
from support.run402_wallet import ADDRESS, OTHER_ADDRESS
from support.scripted_http import Reply, Script
from support.x402_till import SET, SIGNER, TRANSACTION, Till, challenge, coded, offer, on_base, payer, settled, wallet
from tollkit.core import events
from tollkit.errors import ArgumentError, DecodeError, MissingExtraError, ServerError
from tollkit.run402.credentials import MemoryCredentials
from tollkit.run402.errors import (
    ApiError,
    LocalError,
    PaymentNotMadeError,
    PaymentRequired,
    PaymentUncertainError,
    is_payment_required,
    is_payment_uncertain,
    is_retryable_run402_error,
)
from tollkit.run402.payments import (
    Asset,
    MemoryJournal,
    PaymentRequest,
    SpendingPolicy,
    SqliteJournal,
    X402Payer,
    usdc,
)
from tollkit.run402.retry import with_retry
from tollkit.run402.x402 import BASE, BASE_SEPOLIA, USDC
from tollkit.secrets import Secret
from tollkit_api.run402.v1_57.api.tier import tier_set


def play(side: Side, till: Till, payments: Any, **changes: Any) -> Any:
    given = {"credentials": MemoryLess(), "payments": payments, **changes}
    return side.play(Script(till.entry), **given)


class MemoryLess(RecordingCredentials):
    """No wallet: the payer has its own."""


@pytest.mark.parametrize("version", [1, 2])
def test_a_call_is_paid_once(side: Side, version: int) -> None:
    seen: list[Any] = []
    till = Till(challenge(version=version))
    paying = payer()
    game = play(side, till, paying, on_event=seen.append)
    assert game.do("tier.set", "hobby").action == "upgrade"
    first, second = game.script.sent
    extra = dict(second.headers.items() - first.headers.items())
    assert [*extra] == ["payment-signature" if version == 2 else "x-payment"]
    assert (first.method, first.url, first.content) == (second.method, second.url, second.content)
    (kept,) = paying.journal.payments()
    assert (kept.state, kept.transaction, kept.amount, kept.payer) == ("settled", TRANSACTION, 100_000, ADDRESS)
    assert (kept.payee, kept.network, kept.asset) == (OTHER_ADDRESS, BASE_SEPOLIA, USDC[BASE_SEPOLIA])
    assert till.payments[0]["payload"]["authorization"]["nonce"] == kept.nonce
    assert kept.url.endswith("/tiers/v1/hobby")
    assert [type(event).__name__ for event in seen] == [
        "RequestSent",
        "AnswerReceived",
        "PaymentLeft",
        "PaymentSettled",
        "AnswerReceived",
    ]
    assert isinstance(seen[3], events.PaymentSettled)
    assert (seen[3].transaction, seen[3].nonce, seen[3].amount) == (TRANSACTION, kept.nonce, 100_000)
    assert till.payments[0]["payload"]["signature"] not in repr(seen) + repr(kept) + repr(paying)


def test_by_default_the_wallet_of_the_credentials_pays(side: Side, own_folder: Path) -> None:
    game = side.play(Script(Till().entry), credentials=wallet())
    assert game.do("tier.set", "hobby").action == "upgrade"
    assert game.do("tier.set", "hobby").action == "upgrade"
    assert [kept.state for kept in SqliteJournal().payments()] == ["settled", "settled"]
    assert SqliteJournal().path.parent == own_folder


def test_a_policy_alone(side: Side) -> None:
    game = side.play(Script(Till().entry), credentials=wallet(), payments=SpendingPolicy(per_call=99_999))
    error = game.raises(PaymentNotMadeError, "tier.set", "hobby")
    assert error.setting == "per_call"


@pytest.mark.parametrize("payments", [False, None])
def test_who_does_not_want_to_pay_does_not(side: Side, payments: Any) -> None:
    game = side.play(Script(Till().entry), credentials=wallet(), payments=payments)
    error = game.raises(PaymentRequired, "tier.set", "hobby")
    assert (error.message, len(game.script.sent), error.payment) == ("price while setting tier", 1, None)
    assert not isinstance(error, PaymentNotMadeError)


def test_what_payments_is_not(side: Side) -> None:
    with pytest.raises(LocalError, match="payments"):
        side.play(payments="yes")


def test_without_a_wallet_402_is_an_error_like_any_other(side: Side) -> None:
    game = side.play(Script(Till().entry))
    error = game.raises(PaymentRequired, "tier.set", "hobby")
    assert (error.message, len(game.script.sent)) == ("price while setting tier", 1)


@pytest.mark.parametrize(
    "answer",
    [Reply.json({"message": "frozen"}, 402), Reply(402), Reply(402, {"payment-required": "%%"}, b"[" * 9999)],
)
def test_a_402_that_asks_for_no_payment(side: Side, answer: Reply) -> None:
    game = play(side, Till(answer), payer())
    error = game.raises(PaymentRequired, "tier.set", "hobby")
    assert not isinstance(error, PaymentNotMadeError)
    assert len(game.script.sent) == 1


def test_a_wallet_of_the_other_rail(side: Side) -> None:
    other = Reply.json({"error": "price"}, 402, www_authenticate='Payment id="x", method="tempo"')
    for asks in (challenge(), other):
        game = side.play(Script(Till(asks).entry), credentials=wallet(rail="mpp"))
        error = game.raises(PaymentNotMadeError, "tier.set", "hobby")
        assert (error.setting, len(game.script.sent)) == ("rail", 1)
        assert "mpp" in error.message
    game = side.play(Script(Till(other).entry), credentials=wallet())
    assert not isinstance(game.raises(PaymentRequired, "tier.set", "hobby"), PaymentNotMadeError)


def test_a_request_that_carries_a_payment_of_somebody_else(side: Side) -> None:
    game = play(side, Till(then=[challenge()]), payer(), headers={"X-Payment": coded({})})
    assert game.raises(PaymentRequired, "tier.set", "hobby").payment is None
    assert len(game.script.sent) == 1


# --- after a payment has left -----------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [True, False])
def test_a_second_402_is_not_paid_again(side: Side, told: bool) -> None:
    again = challenge(error="insufficient_funds")
    if told:
        again = settled({"error": "price"}, 402, success=False, transaction="", errorReason="insufficient_funds")
    paying = payer()
    game = play(side, Till(then=[again]), paying)
    error = game.raises(PaymentRequired, "tier.set", "hobby")
    assert (len(game.script.sent), error.payment.state) == (2, "refused")
    assert error.payment.reason == "insufficient_funds"
    assert "insufficient_funds" in str(error)
    assert not is_retryable_run402_error(error)
    assert [kept.state for kept in paying.journal.payments()] == ["refused"]


def test_a_402_after_the_payment_that_says_nothing(side: Side) -> None:
    error = play(side, Till(then=[Reply(402)]), payer()).raises(PaymentRequired, "tier.set", "hobby")
    assert (error.payment.state, error.payment.reason) == ("refused", None)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_an_error_status_after_the_payment_is_not_sent_again(side: Side, status: int) -> None:
    body = {"message": "later", "retryable": True, "safe_to_retry": True}
    paying = payer()
    game = play(side, Till(then=[Reply.json(body, status, retry_after="0")]), paying)
    error = game.raises(ApiError, "tier.status")  # which may be sent as often as one likes, but for the money
    assert (len(game.script.sent), error.status) == (2, status)
    assert (error.retryable, error.safe_to_retry, error.to_dict()["retryable"]) == (False, False, False)
    assert error.payment.state == "uncertain"
    assert "nonce" in str(error)
    assert error.context["attempts"] == 1
    assert not is_retryable_run402_error(error)
    assert [kept.state for kept in paying.journal.payments()] == ["uncertain"]


def test_an_error_after_a_payment_that_was_carried_out(side: Side) -> None:
    game = play(side, Till(then=[settled({"message": "broken"}, 500)]), payer())
    error = game.raises(ServerError, "tier.set", "hobby")
    assert (error.payment.transaction, len(game.script.sent)) == (TRANSACTION, 2)
    assert TRANSACTION in str(error)


def test_401_after_the_payment(side: Side) -> None:
    game = play(side, Till(then=[Reply(401)]), payer())
    assert game.raises(Exception, "tier.status").payment.state == "uncertain"
    assert len(game.script.sent) == 2


def test_an_answer_that_cannot_be_read_after_the_payment(side: Side) -> None:
    game = play(side, Till(then=[settled({"nothing": 1})]), payer())
    error = game.raises(DecodeError, "tier.status")
    assert (error.payment.state, error.payment.transaction) == ("settled", TRANSACTION)


def test_a_success_that_says_nothing_about_the_payment(side: Side) -> None:
    paying = payer()
    assert play(side, Till(then=[Reply.json(SET)]), paying).do("tier.set", "hobby").action == "upgrade"
    (kept,) = paying.journal.payments()
    assert (kept.state, kept.reason) == ("uncertain", "the answer (200) says nothing about it")


@pytest.mark.parametrize(
    "failure",
    [httpx.ReadError("gone"), httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), RuntimeError("odd")],
)
def test_a_broken_connection_after_the_payment(side: Side, failure: Exception) -> None:
    seen: list[Any] = []
    paying = payer(on_event=seen.append)
    game = play(side, Till(then=[failure]), paying)
    error = game.raises(PaymentUncertainError, "tier.status")
    assert len(game.script.sent) == 2
    assert (error.retryable, error.safe_to_retry, error.kind) == (False, False, "payment_uncertain")
    assert is_payment_uncertain(error)
    assert not is_payment_required(error)
    assert not is_retryable_run402_error(error)
    assert (error.doing, error.context["operation"]) == ("checking tier status", "tierStatus")
    kept = error.payment
    assert (kept.state, kept.amount, kept.payee) == ("uncertain", 100_000, OTHER_ADDRESS)
    assert [one.nonce for one in paying.journal.payments()] == [kept.nonce]
    assert error.proof.header == "PAYMENT-SIGNATURE"
    payload = error.proof.payload()
    (sent,) = game.script.sent[1:]
    assert sent.headers["payment-signature"] == error.proof.value
    assert isinstance(payload["payload"]["signature"], Secret)
    assert payload["payload"]["authorization"]["nonce"] == kept.nonce
    shown = f"{error!r}{error}{error.to_dict()}{error.payment!r}{payload!r}{seen!r}"
    assert payload["payload"]["signature"].reveal() not in shown
    assert str(error.proof.value) not in shown
    assert [type(event).__name__ for event in seen] == ["PaymentLeft", "PaymentUncertain"]
    other = pickle.loads(pickle.dumps(error))
    assert (other.payment, str(other), type(other)) == (kept, str(error), type(error))
    assert copy.copy(error).payment == kept


def test_with_retry_does_not_pay_again(side: Side) -> None:
    if side.name == "async":
        return
    for then in (httpx.ReadError("gone"), Reply.json({"retryable": True}, 500)):
        game = play(side, Till(then=[then]), payer())
        with pytest.raises((PaymentUncertainError, ServerError)):
            with_retry(lambda game=game: game.client.tier.set("hobby"), base_delay=0.001)
        assert len(game.script.sent) == 2


def test_before_a_payment_what_may_be_sent_again_is(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tollkit.core.policy.BACKOFF_BASE", 0.0)
    status: dict[str, Any] = {
        "wallet": ADDRESS,
        "tier": None,
        "lease_started_at": None,
        "lease_expires_at": None,
        "active": False,
    }
    status["pool_usage"] = dict.fromkeys(
        ["projects", "total_api_calls", "total_storage_bytes", "api_calls_limit", "storage_bytes_limit"], 0
    )
    script = Script([Reply(503), httpx.ReadError("gone"), challenge(), settled(status)])
    game = side.play(script, payments=payer())
    assert game.do("tier.status").active is False
    script.assert_done()


def test_an_observer_that_fails(side: Side) -> None:
    def fails(_event: object) -> None:
        raise RuntimeError("observer")

    game = play(side, Till(), payer(on_event=fails))
    assert game.do("tier.set", "hobby").action == "upgrade"


def test_a_call_that_is_given_up_is_still_written_down() -> None:
    paying = payer()
    seen: list[Any] = []
    from tollkit.core.flows import Wire

    wire = Wire("POST", "https://x.test/a?secret=1", {}, b"")
    flow = paying.answer(wire, challenge(), watch=seen.append)
    effect = next(flow)
    while not isinstance(effect, Wire):
        effect = flow.send(effect.call())  # type: ignore[union-attr]
    flow.close()
    assert [kept.state for kept in paying.journal.payments()] == ["left"]
    assert [type(event).__name__ for event in seen] == ["PaymentLeft", "PaymentUncertain"]
    assert seen[0].url == "https://x.test/a"


# --- what the platform's own client does ------------------------------------------------------------------------

OUTCOMES: dict[str, Any] = json.loads(Path(__file__).with_name("paid-fetch-outcomes-1.57.0.json").read_text("utf-8"))[
    "cases"
]


def test_the_platforms_client_takes_a_402_without_a_challenge_for_a_broken_network(side: Side) -> None:
    """And tries it again for ever; here it is the 402 that it is (docs/departures.md)."""
    theirs = OUTCOMES[0]["outcome"]
    assert (theirs["class"], theirs["retryable"], theirs["gateway_calls"]) == ("NetworkError", True, 1)
    game = play(side, Till(Reply.json({"message": "no"}, 402)), payer())
    error = game.raises(PaymentRequired, "tier.set", "hobby")
    assert (error.name, error.retryable, len(game.script.sent)) == ("PaymentRequired", False, 1)


def test_the_platforms_client_pays_from_a_wallet_that_it_takes_for_empty(side: Side) -> None:
    """A single offer is paid without looking at the balance, as there; one that is known not to do is not."""
    assert OUTCOMES[1]["outcome"] == {"class": None, "gateway_calls": 2}
    game = play(side, Till(), payer())
    assert (game.do("tier.set", "hobby").action, len(game.script.sent)) == ("upgrade", 2)
    game = play(side, Till(), payer(balances=Held(sepolia=0)))
    assert game.raises(PaymentNotMadeError, "tier.set", "hobby").setting == "balance"


def test_the_platforms_client_pays_once_too(side: Side) -> None:
    theirs = OUTCOMES[2]["outcome"]
    game = play(side, Till(then=[challenge()]), payer(balances=Held(sepolia=1_000_000)))
    error = game.raises(PaymentRequired, "tier.set", "hobby")
    assert {
        "class": error.name,
        "kind": error.kind,
        "retryable": error.retryable,
        "gateway_calls": len(game.script.sent),
    } == theirs


# --- the policy -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "asked", "setting", "told"),
    [
        ({"per_call": 99_999}, offer(), "per_call", "0.1 USDC is more than 0.099999 USDC for one call"),
        ({"per_day": 99_999}, offer(), "per_day", "0.1 USDC on top of 0 USDC is more than"),
        ({"networks": [BASE]}, offer(), "networks", "network eip155:84532"),
        ({}, offer(asset=OTHER_ADDRESS), "assets", "token 0x7099"),
        ({}, offer(network="eip155:1"), "assets", "on eip155:1"),
        ({"recipients": [ADDRESS]}, offer(), "recipients", "payee 0x7099"),
        ({}, offer(maxTimeoutSeconds=3_601), "longest", "3601 s"),
        ({}, offer(maxTimeoutSeconds=10**90), "longest", "longer than"),
        ({}, offer(amount="100001"), "ask_above", "0.100001 USDC to 0x7099"),
        ({"unasked_per_day": 99_999}, offer(), "unasked_per_day", "nobody to ask"),
        ({"ask_above": None}, offer(amount=str(2**256 - 1)), "unasked_per_day", "nobody to ask"),
        ({"ask": lambda _request: False}, offer(amount="100001"), "ask", "was declined"),
        ({"ask": lambda _request: None}, offer(amount="100001"), "ask", "was declined"),
        ({}, offer(scheme="upto"), "unusable", "the scheme 'upto'"),
        ({}, offer(extra={}), "unusable", "name and version"),
        ({}, offer(amount=5), "unusable", "1 of the offers could not be read"),
        ({}, offer(amount=str(2**256)), "unusable", "1 of the offers could not be read"),
    ],
)
def test_what_is_not_paid(side: Side, policy: dict[str, Any], asked: Any, setting: str, told: str) -> None:
    paying = payer(policy=SpendingPolicy(**policy))
    game = play(side, Till(challenge(asked)), paying)
    error = game.raises(PaymentNotMadeError, "tier.set", "hobby")
    assert (error.setting, len(game.script.sent), error.status) == (setting, 1, 402)
    assert told in error.message
    assert is_payment_required(error)
    assert (error.body, error.code, error.retryable) == ({"error": "price"}, "PAYMENT_REQUIRED", False)
    assert (error.doing, error.context["operation"]) == ("setting tier", "tierSet")
    assert error.payment is None
    assert len(error.offers) == (0 if "could not be read" in told else 1)
    assert "nothing is offered" not in error.message
    assert not [*paying.journal.payments()]
    assert error.hint or setting in ("unusable", "ask")


def test_nothing_is_offered(side: Side) -> None:
    nothing = Reply.json({}, 402, payment_required=coded({"x402Version": 2, "accepts": []}))
    error = play(side, Till(nothing), payer()).raises(PaymentNotMadeError, "tier.set", "hobby")
    assert "nothing is offered" in error.message


@pytest.mark.parametrize("junk", [None, 5, "x", [], {}, {"scheme": "exact"}, {"extra": [1]}, True])
def test_malformed_offers_never_raise_anything_else(side: Side, junk: Any) -> None:
    paying = payer()
    error = play(side, Till(challenge(junk)), paying).raises(PaymentNotMadeError, "tier.set", "hobby")
    assert error.setting == "unusable"
    assert play(side, Till(challenge(junk, offer())), paying).do("tier.set", "hobby").action == "upgrade"


def test_who_is_asked_and_what(side: Side) -> None:
    asked: list[PaymentRequest] = []

    def decide(request: PaymentRequest) -> bool:
        asked.append(request)
        return True

    async def later(request: PaymentRequest) -> bool:
        return decide(request)

    hook = later if side.name == "async" else decide
    price = challenge(offer(amount="5000000"), resource={"url": "https://x", "description": "Hobby for a month"})
    game = play(side, Till(price), payer(policy=SpendingPolicy(ask=hook)))
    game.do("tier.set", "hobby")
    game.do("tier.set", "hobby")
    first, second = asked
    assert (first.amount, first.payee, first.payer, first.because) == (5_000_000, OTHER_ADDRESS, ADDRESS, "ask_above")
    assert (first.description, first.spent, second.spent) == ("Hobby for a month", 0, 5_000_000)
    assert str(first).startswith(f"5 USDC to {OTHER_ADDRESS} for POST https://")


def test_a_coroutine_needs_an_async_client(side: Side) -> None:
    async def later(_request: PaymentRequest) -> bool:
        return True

    game = play(side, Till(challenge(offer(amount="200000"))), payer(policy=SpendingPolicy(ask=later)))
    if side.name == "async":
        game.do("tier.set", "hobby")
    else:
        assert game.raises(ArgumentError, "tier.set", "hobby").argument == "ask"
        assert len(game.script.sent) == 1


def test_small_sums_are_asked_about_when_they_add_up(side: Side) -> None:
    asked: list[PaymentRequest] = []
    policy = SpendingPolicy(unasked_per_day=250_000, per_day=400_000, ask=lambda one: bool(asked.append(one)) or True)
    game = play(side, Till(), payer(policy=policy))
    for _ in range(4):
        game.do("tier.set", "hobby")
    assert [(one.because, one.spent) for one in asked] == [("unasked_per_day", 200_000), ("unasked_per_day", 300_000)]
    assert game.raises(PaymentNotMadeError, "tier.set", "hobby").setting == "per_day"


class Meanwhile(MemoryJournal):
    """Another process pays between the count and the entry."""

    def __init__(self, amount: int) -> None:
        super().__init__()
        self.amount = amount

    def begin(self, payment: Any, *, at_most: int | None) -> int | None:
        amount, self.amount = self.amount, 0
        return amount or super().begin(payment, at_most=at_most)


def test_others_pay_meanwhile(side: Side) -> None:
    asked: list[PaymentRequest] = []
    policy = SpendingPolicy(ask=lambda one: bool(asked.append(one)) or True)
    game = play(side, Till(), payer(policy=policy, journal=Meanwhile(950_000)))
    game.do("tier.set", "hobby")
    assert [(one.because, one.spent) for one in asked] == [("unasked_per_day", 950_000)]
    game = play(side, Till(), payer(policy=SpendingPolicy(per_day=1_000_000), journal=Meanwhile(950_000)))
    assert game.raises(PaymentNotMadeError, "tier.set", "hobby").setting == "per_day"
    assert len(game.script.sent) == 1


def test_a_day_later_there_is_money_again(side: Side) -> None:
    now = 1_000_000.0
    paying = payer(policy=SpendingPolicy(per_day=100_000), clock=lambda: now)
    game = play(side, Till(), paying)
    game.do("tier.set", "hobby")
    assert game.raises(PaymentNotMadeError, "tier.set", "hobby").setting == "per_day"
    now += 86_400
    game.do("tier.set", "hobby")


def test_what_was_refused_counts_since_whoever_says_so_may_have_taken_it(side: Side) -> None:
    now = 1_000_000.0
    paying = payer(policy=SpendingPolicy(per_day=100_000), clock=lambda: now)
    game = play(side, Till(challenge(offer(maxTimeoutSeconds=1)), then=[Reply(402), settled()]), paying)
    game.raises(PaymentRequired, "tier.set", "hobby")
    now += 86_399
    assert game.raises(PaymentNotMadeError, "tier.set", "hobby").setting == "per_day"
    now += 1
    game.do("tier.set", "hobby")


def test_limits_of_an_asset_win(side: Side) -> None:
    cents = Asset(network=BASE_SEPOLIA, address=USDC[BASE_SEPOLIA].lower(), per_call=usdc("0.05"))
    game = play(side, Till(), payer(policy=SpendingPolicy(per_call=usdc(5), assets=[cents])))
    assert game.raises(PaymentNotMadeError, "tier.set", "hobby").setting == "per_call"


@pytest.mark.parametrize("limit", [{"per_day": 1_000_000}, {"unasked_per_day": 1_000_000}])
def test_64_at_once_never_pay_more_than_a_day_allows(side: Side, limit: dict[str, int], tmp_path: Path) -> None:
    for journal in (MemoryJournal(), SqliteJournal(tmp_path / "payments.sqlite3")):
        till = Till()
        game = play(side, till, payer(policy=SpendingPolicy(**limit), journal=journal))
        outcomes = side.all(lambda game=game: game.client.tier.set("hobby"), 64)
        refused = [one for one in outcomes if isinstance(one, PaymentNotMadeError)]
        assert (len(till.payments), len(refused)) == (10, 54)
        assert {one.setting for one in refused} == set(limit)
        assert sum(kept.amount for kept in journal.payments()) == 1_000_000


# --- which way to pay -------------------------------------------------------------------------------------------


class Held:
    """Balances that are told."""

    def __init__(self, **held: Any) -> None:
        self.held = {BASE: held.get("base"), BASE_SEPOLIA: held.get("sepolia")}
        self.asked: list[str] = []

    def balance(self, network: str, asset: str, address: str) -> int | None:
        self.asked.append(network)
        found = self.held[network]
        if isinstance(found, Exception):
            raise found
        return found


@pytest.mark.parametrize(
    ("held", "offers", "paid_on"),
    [
        ({"sepolia": 100_000, "base": 100_000}, [offer(), on_base()], BASE_SEPOLIA),
        ({"sepolia": 100_000, "base": 100_000}, [on_base(), offer()], BASE),
        ({"sepolia": 99_999, "base": 100_000}, [offer(), on_base()], BASE),
        ({"sepolia": None, "base": 100_000}, [offer(), on_base()], BASE),
        ({"sepolia": OSError("no node"), "base": 99_999}, [offer(), on_base()], BASE_SEPOLIA),
        ({"sepolia": None, "base": None}, [on_base(), offer()], BASE),
        ({"sepolia": None}, [offer()], BASE_SEPOLIA),
        ({"sepolia": 100_000}, [offer(amount="100001"), offer()], BASE_SEPOLIA),
    ],
)
def test_the_first_that_can_be_afforded(side: Side, held: Any, offers: Any, paid_on: str) -> None:
    balances = Held(**held)
    till = Till(challenge(*offers))
    paying = payer(balances=balances, policy=SpendingPolicy(ask_above=None))
    play(side, till, paying).do("tier.set", "hobby")
    assert till.payments[0]["accepted"]["network"] == paid_on
    assert sorted(balances.asked) == sorted({one["network"] for one in offers})


def test_not_enough_anywhere(side: Side) -> None:
    paying = payer(balances=Held(sepolia=1, base=0))
    game = play(side, Till(challenge(offer(), on_base())), paying)
    error = game.raises(PaymentNotMadeError, "tier.set", "hobby")
    assert (error.setting, len(game.script.sent)) == ("balance", 1)
    assert f"0.1 USDC on {BASE_SEPOLIA} is needed, and {ADDRESS} has 0.000001 USDC" in error.message
    assert f"0.1 USDC on {BASE} is needed, and {ADDRESS} has 0 USDC" in error.message


def test_public_nodes_are_asked_only_where_there_is_a_choice(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    balances = Held(base=100_000, sepolia=0)
    paying = payer()
    monkeypatch.setattr(paying, "_public", balances)
    till = Till()
    play(side, till, paying).do("tier.set", "hobby")
    assert not balances.asked
    till.asks = challenge(offer(), on_base())
    play(side, till, paying).do("tier.set", "hobby")
    assert till.payments[1]["accepted"]["network"] == BASE


# --- journal and wallet -----------------------------------------------------------------------------------------


class Broken(MemoryJournal):
    def __init__(self, *methods: str) -> None:
        super().__init__()
        for method in methods:
            setattr(self, method, self._fails)

    def _fails(self, *_args: Any, **_named: Any) -> Any:
        raise LocalError("disk full")


@pytest.mark.parametrize("method", ["spent", "begin"])
def test_what_cannot_be_written_down_is_not_paid(side: Side, method: str) -> None:
    game = play(side, Till(), payer(journal=Broken(method)))
    assert game.raises(LocalError, "tier.set", "hobby").message == "disk full"
    assert len(game.script.sent) == 1


def test_an_answer_is_not_lost_to_the_journal(side: Side) -> None:
    paying = payer(journal=Broken("end"))
    assert play(side, Till(), paying).do("tier.set", "hobby").action == "upgrade"
    assert [kept.state for kept in paying.journal.payments()] == ["left"]


class Signs:
    address = ADDRESS

    def sign_message(self, message: bytes) -> bytes:
        raise AssertionError

    def sign_typed_data(self, data: Any) -> bytes:
        raise OSError("the KMS is away")


def test_a_wallet_that_cannot_sign(side: Side) -> None:
    paying = payer(signer=Signs())
    game = play(side, Till(), paying)
    with pytest.raises(OSError, match="KMS"):
        game.do("tier.set", "hobby")
    assert len(game.script.sent) == 1
    assert not [*paying.journal.payments()]


def test_a_payer_has_one_wallet(side: Side) -> None:
    with pytest.raises(ArgumentError, match="credentials"):
        X402Payer(SIGNER, credentials=wallet())
    paying = X402Payer(credentials=wallet(), journal=MemoryJournal())
    assert play(side, Till(), paying).do("tier.set", "hobby").action == "upgrade"
    assert repr(paying).startswith("X402Payer(None, policy=")


def test_plain_http_is_paid_only_where_it_is_allowed() -> None:
    from tollkit.core.flows import Wire

    with pytest.raises(PaymentNotMadeError, match="plain http") as caught:
        next(payer().answer(Wire("GET", "http://u:p@x.test/", {}, None), challenge()))
    assert caught.value.setting == "https"
    assert caught.value.context["url"] == "http://x.test/"


# --- generated modules ------------------------------------------------------------------------------------------


def detailed(side: Side, module: Any) -> Any:
    return module.sync_detailed if side.name == "blocking" else module.asyncio_detailed


def test_generated_functions_pay_through_the_client(side: Side) -> None:
    from tollkit.run402.credentials import ProjectKeys
    from tollkit_api.run402.v1_57.api.projects import projects_get_usage

    till = Till()
    paying = payer()
    game = play(side, till, paying)
    body = tier_set.request("hobby", body={}).content
    assert body == b"{}"
    answer = side.do(detailed(side, tier_set)("hobby", body={}, client=game.client.api))
    assert (answer.status_code, answer.parsed.action) == (200, "upgrade")
    assert game.script.sent[1].headers["sign-in-with-x"] == "SIWX"
    till.then = [Reply(402)]
    answer = side.do(detailed(side, tier_set)("hobby", body={}, client=game.client.api))
    assert (answer.status_code, len(game.script.sent)) == (402, 4)
    keys = ProjectKeys("ANON", "SVC")
    till.asks = Reply.json({}, 404)
    api = game.client.api.with_keys(keys)
    assert side.do(detailed(side, projects_get_usage)("prj_1", client=api)).status_code == 404
    assert game.script.sent[-1].headers["authorization"] == "Bearer SVC"


# --- what is loaded ---------------------------------------------------------------------------------------------

LAZY = """
import sys
from support.scripted_http import Reply, Script
from support.run402 import RecordingCredentials
from tollkit.run402 import Run402, PaymentRequired
heavy = {"sqlite3", "coincurve", "Crypto", "tollkit.run402.payments", "tollkit.run402.x402"}
script = Script([Reply.json({"message": "no"}, 402), Reply.json({}, 404)])
with Run402(api_base="https://x.test", credentials=RecordingCredentials(), http_client=script.client) as client:
    for _ in range(2):
        try:
            client.tier.status()
        except Exception as error:
            print(type(error).__name__, sorted(heavy & set(sys.modules) - {"tollkit.run402.x402"}))
"""


def test_nothing_is_loaded_before_a_challenge_comes() -> None:
    paths = [path for path in sys.path if path]
    program = f"import sys; sys.path[:0] = {paths!r}\n{LAZY}"
    # coverage would bring modules of its own
    plain = {name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_CONFIG"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=plain)
    assert done.stdout.split("\n")[:2] == ["PaymentRequired []", "NotFoundError []"]


def test_without_the_extra(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Crypto", "Crypto.Hash", "coincurve"):
        monkeypatch.setitem(sys.modules, name, None)
    game = side.play(Script(Till().entry), credentials=RecordingCredentials())
    assert not isinstance(game.raises(PaymentRequired, "tier.set", "hobby"), PaymentNotMadeError)
    game = side.play(Script(Till().entry), credentials=RecordingCredentials(ADDRESS))
    assert game.raises(MissingExtraError, "tier.set", "hobby").extra == "payments"


# --- what was paid a moment ago ---------------------------------------------------------------------------------


def test_a_balance_may_not_show_the_last_payment_yet(side: Side) -> None:
    """Sepolia has money for one call: the second goes to Base, though the node still tells the old balance."""
    now = 1_000_000.0
    balances = Held(sepolia=100_000, base=10**9)
    till = Till(challenge(offer(), on_base()))
    paying = payer(balances=balances, clock=lambda: now)
    game = play(side, till, paying)
    game.do("tier.set", "hobby")
    game.do("tier.set", "hobby")
    now += 61
    game.do("tier.set", "hobby")
    assert [one["accepted"]["network"] for one in till.payments] == [BASE_SEPOLIA, BASE, BASE_SEPOLIA]


def test_what_seems_to_suffice_is_tried_all_the_same(side: Side) -> None:
    till = Till()
    game = play(side, till, payer(balances=Held(sepolia=100_000)))
    game.do("tier.set", "hobby")
    game.do("tier.set", "hobby")
    assert len(till.payments) == 2


# --- wallets of others ------------------------------------------------------------------------------------------


class Kms:
    """Signs as ours does, and writes its address in small letters."""

    address = ADDRESS.lower()

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer

    def sign_message(self, message: bytes) -> Any:
        return self.answer or SIGNER.sign_message(message)

    def sign_typed_data(self, data: Any) -> Any:
        return self.answer or SIGNER.sign_typed_data(data)


def test_an_address_in_small_letters_is_the_same_wallet(side: Side) -> None:
    asked: list[PaymentRequest] = []
    policy = SpendingPolicy(ask_above=1, ask=lambda one: bool([asked.append(one)]))
    paying = X402Payer(Kms(), policy=policy, journal=MemoryJournal())
    game = play(side, Till(), paying)
    for _ in range(3):
        game.do("tier.set", "hobby")
    assert [(one.payer, one.spent) for one in asked] == [(ADDRESS, 0), (ADDRESS, 100_000), (ADDRESS, 200_000)]


def test_a_kms_among_the_credentials_pays(side: Side, own_folder: Path) -> None:
    credentials = MemoryCredentials(signer=Kms())
    assert credentials.signer is not None
    till = Till()
    side.play(Script(till.entry), credentials=credentials, payments=True).do("tier.set", "hobby")
    (record,) = SqliteJournal().payments()
    assert (record.payer, len(till.payments)) == (ADDRESS, 1)


async def _later() -> bytes:
    return b""


@pytest.mark.parametrize(
    "answer",
    [b"short", bytes(64), bytes(65), bytes(64) + bytes([1]), "0x" + "1b" * 65, object(), _later],
    ids=lambda value: repr(value)[:12],
)
def test_what_is_no_signature_never_leaves(side: Side, answer: Any) -> None:
    given = answer() if answer is _later else answer
    paying = X402Payer(Kms(given), journal=MemoryJournal())
    game = play(side, Till(), paying)
    error = game.raises(LocalError, "tier.set", "hobby")
    assert (error.argument, len(game.script.sent)) == ("signer", 1)
    assert not [*paying.journal.payments()]


def test_a_payer_of_another_copy_of_the_package(side: Side) -> None:
    theirs = payer()
    till = Till()

    class Copy:
        def answer(self, *args: Any, **named: Any) -> Any:
            return theirs.answer(*args, **named)

    play(side, till, Copy()).do("tier.set", "hobby")
    assert len(till.payments) == 1
