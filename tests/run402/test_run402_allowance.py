"""`client.allowance`: the wallet that the credentials keep, and the faucet."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from support.run402 import RecordingCredentials, Side, method_requests, run_case, seen
from support.run402_wallet import ADDRESS, KEY
from support.scripted_http import Reply
from tollkit.errors import ArgumentError, RateLimitError
from tollkit.run402.credentials import AllowanceData, MemoryCredentials
from tollkit.run402.errors import LocalError
from tollkit.run402.local import LocalCredentials
from tollkit.run402.namespaces.allowance import FaucetFunds

CASES = method_requests("c")
OTHER = "0x00000000000000000000000000000000000000Aa"
FUNDS = {
    "transaction_hash": "0x9",
    "amount_usd_micros": 250_000,
    "token": "USDC",
    "network": "base-sepolia",
}


class Bare:
    """What a provider must have, and nothing else."""

    def get_auth(self, path: str) -> None:
        raise AssertionError("asked for credentials that nothing wants")

    def get_project(self, project_id: str) -> None:
        raise AssertionError("asked for a project that nothing wants")


class Failing(MemoryCredentials):
    """Cannot save."""

    def save_allowance(self, allowance: AllowanceData) -> None:
        raise OSError("disk full")


def held(kind: type[MemoryCredentials] = MemoryCredentials) -> MemoryCredentials:
    return kind(allowance=AllowanceData(address=ADDRESS.lower(), private_key=KEY, created="2026-04-01T00:00:00.000Z"))


def local(folder: Path) -> LocalCredentials:
    return LocalCredentials(keystore_path=folder / "projects.json", allowance_path=folder / "allowance.json", env={})


def test_status_as_recorded(side: Side) -> None:
    case = CASES["allowance.status none"]
    assert run_case(side, case, "allowance.status").to_dict() == case["result"]


def test_all_recorded_cases_of_these_namespaces_are_used() -> None:
    of = {call.partition(".")[0] for call in CASES}
    assert of == {"tier", "billing", "contracts", "ai", "image", "allowance", "service", "admin"}


def test_a_wallet_is_made_once(side: Side, tmp_path: Path) -> None:
    """In the file of the platform's tools."""
    credentials = local(tmp_path)
    play = side.play(credentials=credentials)
    made = play.do("allowance.create")
    path = str(tmp_path / "allowance.json")
    assert made.path == path
    status = play.do("allowance.status")
    assert (status.configured, status.address, status.faucet_used, status.path) == (True, made.address, False, path)
    assert play.do("allowance.export") == made.address
    error = play.raises(LocalError, "allowance.create")
    assert error.doing == "creating allowance"
    assert play.do("allowance.export") == made.address
    assert "private" not in repr([made, status]).lower()


def test_the_faucet_is_noted(side: Side, tmp_path: Path) -> None:
    credentials = local(tmp_path)
    play = side.play([Reply.json(FUNDS)], credentials=credentials)
    address = play.do("allowance.create").address
    funds = play.do("allowance.faucet")
    assert funds == FaucetFunds(
        transaction_hash="0x9", amount_usd_micros=250_000, amount="0.25", token="USDC", network="base-sepolia"
    )
    assert funds.to_dict() == {
        "transactionHash": "0x9",
        "amountUsdMicros": 250_000,
        "amount": "0.25",
        "token": "USDC",
        "network": "base-sepolia",
    }
    assert seen(play.script.sent[0]) == (
        "POST",
        "/faucet/v1",
        {"content-type": "application/json"},
        f'{{"address":"{address}"}}'.encode(),
    )
    status = play.do("allowance.status")
    assert status.faucet_used
    assert status.last_faucet.endswith("Z")


def test_an_explicit_address_is_sent_as_it_is(side: Side) -> None:
    credentials = held()
    play = side.play([Reply.json(FUNDS), Reply.json(FUNDS)], credentials=credentials)
    play.do("allowance.faucet", OTHER)
    kept = credentials.read_allowance()
    assert kept is not None
    assert not kept.funded  # the money went to somebody else
    play.do("allowance.faucet", ADDRESS)
    kept = credentials.read_allowance()
    assert kept is not None
    assert kept.funded
    assert [sent.text for sent in play.script.sent] == [f'{{"address":"{OTHER}"}}', f'{{"address":"{ADDRESS}"}}']


def test_an_empty_address_is_that_of_the_wallet(side: Side) -> None:
    play = side.play([Reply.json(FUNDS)], credentials=held())
    play.do("allowance.faucet", "")
    assert play.script.sent[0].text == f'{{"address":"{ADDRESS.lower()}"}}'


def test_what_the_provider_is_asked(side: Side) -> None:
    credentials = RecordingCredentials(wallet=OTHER)
    side.play([Reply.json(FUNDS)], credentials=credentials).do("allowance.faucet")
    assert credentials.reads == ["readAllowance", "readAllowance"]
    assert [write[0] for write in credentials.writes] == ["saveAllowance"]
    assert credentials.writes[0][1]["funded"] is True


def test_providers_that_keep_no_wallet(side: Side) -> None:
    play = side.play([Reply.json(FUNDS)], credentials=Bare())
    assert play.do("allowance.status").to_dict() == {"address": "", "configured": False}
    assert play.do("allowance.faucet", OTHER).transaction_hash == "0x9"
    assert play.raises(LocalError, "allowance.faucet").doing == "requesting faucet funds"
    assert play.raises(LocalError, "allowance.create").doing == "creating allowance"
    assert play.raises(LocalError, "allowance.export").doing == "exporting allowance"
    assert len(play.script.sent) == 1


def test_money_that_came_is_not_lost_for_a_note(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    play = side.play([Reply.json(FUNDS)], credentials=held(Failing))
    with caplog.at_level(logging.WARNING, "tollkit.run402"):
        assert play.do("allowance.faucet").transaction_hash == "0x9"
    assert caplog.messages == ["The faucet's use could not be noted: OSError"]


def test_a_file_that_is_no_wallet(side: Side, tmp_path: Path) -> None:
    (tmp_path / "allowance.json").write_text('{"address": "x"}')
    play = side.play(credentials=local(tmp_path))
    for method, doing in [
        ("status", "checking allowance"),
        ("create", "creating allowance"),
        ("export", "exporting allowance"),
        ("faucet", "requesting faucet funds"),
    ]:
        assert play.raises(LocalError, f"allowance.{method}").doing == doing
    assert not play.script.sent


def test_arguments(side: Side) -> None:
    error = side.play().raises(ArgumentError, "allowance.faucet", 5)
    assert (error.argument, error.doing) == ("address", "requesting faucet funds")


def test_too_soon(side: Side) -> None:
    play = side.play([Reply.json({"error": "once a day"}, 429)], credentials=held(), max_retries=0)
    error = play.raises(RateLimitError, "allowance.faucet")
    assert error.message == "once a day while requesting faucet funds (HTTP 429)"


@pytest.mark.parametrize(
    ("micros", "shown"),
    [(0, "0.00"), (1, "0.00"), (5_000, "0.01"), (125_000, "0.13"), (1_005_000, "1.00"), (10**12, "1000000.00")],
)
def test_dollars_are_shown_as_the_platforms_client_does(side: Side, micros: int, shown: str) -> None:
    """The last two figures of a double: 1.005 is a little less, 0.125 is exactly between."""
    body: dict[str, Any] = {**FUNDS, "amount_usd_micros": micros}
    assert side.play([Reply.json(body)], credentials=Bare()).do("allowance.faucet", OTHER).amount == shown
