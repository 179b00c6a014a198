"""Journals: what counts to a day, files that processes share, and processes that are killed."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import attrs
import pytest

from support.run402_wallet import ADDRESS, OTHER_ADDRESS
from tollkit.run402.errors import LocalError
from tollkit.run402.payments import Journal, MemoryJournal, PaymentRecord, Proof, SqliteJournal
from tollkit.run402.x402 import BASE, BASE_SEPOLIA, USDC
from tollkit.secrets import Secret

WORKER = str(Path(__file__).with_name("journal_worker.py"))
NOW = 1_700_000_000.0


def record(number: int = 0, **changes: Any) -> PaymentRecord:
    told: dict[str, Any] = {
        "nonce": f"0x{number:064x}",
        "state": "left",
        "amount": 100,
        "asset": USDC[BASE_SEPOLIA],
        "network": BASE_SEPOLIA,
        "payer": ADDRESS,
        "payee": OTHER_ADDRESS,
        "valid_before": int(NOW) + 300,
        "left_at": NOW,
        "method": "POST",
        "url": "https://x.test/",
    }
    return PaymentRecord(**{**told, **changes})


def spent(journal: Journal, **changes: Any) -> int:
    told = {"payer": ADDRESS, "network": BASE_SEPOLIA, "asset": USDC[BASE_SEPOLIA], "now": NOW, **changes}
    return journal.spent(told["payer"], told["network"], told["asset"], now=told["now"])


@pytest.fixture(params=["memory", "sqlite"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    return MemoryJournal() if request.param == "memory" else SqliteJournal(tmp_path / "deep" / "payments.sqlite3")


def test_both_are_journals(journal: Journal) -> None:
    assert isinstance(journal, Journal)
    assert [*journal.payments()] == []
    assert spent(journal) == 0


def test_what_is_written_comes_back(journal: Journal) -> None:
    huge = record(1, amount=2**256 - 1, reason="é", proof=Proof("X", Secret("s")))
    assert journal.begin(huge, at_most=None) is None
    assert journal.begin(record(2, left_at=NOW + 1), at_most=None) is None
    assert [*journal.payments()] == [huge, record(2, left_at=NOW + 1)]
    assert [*journal.payments(since=NOW + 1)] == [record(2, left_at=NOW + 1)]
    assert next(journal.payments()).proof is None
    journal.end(attrs.evolve(huge, state="settled", transaction="0xabc"))
    assert next(journal.payments()).transaction == "0xabc"
    assert "X" not in repr(journal).replace("sqlite", "")


def test_the_limit_counts_what_left_within_a_day(journal: Journal) -> None:
    for number in range(3):
        assert journal.begin(record(number, left_at=NOW - 86_399 + number), at_most=300) is None
    assert journal.begin(record(3), at_most=399) == 300
    assert journal.begin(record(3), at_most=400) is None
    assert spent(journal) == 400
    assert spent(journal, now=NOW + 2) == 200
    assert spent(journal, payer=OTHER_ADDRESS) == spent(journal, network=BASE) == spent(journal, asset=ADDRESS) == 0
    assert len([*journal.payments()]) == 4


@pytest.mark.parametrize("state", ["left", "settled", "uncertain", "refused"])
def test_what_may_have_been_carried_out_counts(journal: Journal, state: Any) -> None:
    journal.begin(record(), at_most=None)
    journal.end(record(state=state))
    assert spent(journal, now=NOW + 1_000) == 100


def test_a_nonce_is_paid_once(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "payments.sqlite3")
    journal.begin(record(), at_most=None)
    with pytest.raises(LocalError, match="UNIQUE"):
        journal.begin(record(), at_most=None)


def test_the_file_is_private(own_folder: Path) -> None:
    journal = SqliteJournal()
    journal.begin(record(), at_most=None)
    assert journal.path == own_folder / "payments.sqlite3"
    assert repr(journal) == f"SqliteJournal({str(journal.path)!r})"
    if os.name == "posix":
        assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(own_folder.stat().st_mode) == 0o700


def test_files_that_are_no_journal(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("not a database" * 100)
    folder = tmp_path / "folder"
    folder.mkdir()
    newer = tmp_path / "newer"
    with sqlite3.connect(newer) as database:
        database.execute("PRAGMA user_version = 2")
    database.close()
    for path, told in (
        (text, "not a database"),
        (folder, "unable to open"),
        (newer, "version 2"),
        (text / "x", "text"),
    ):
        with pytest.raises(LocalError, match=told) as caught:
            SqliteJournal(path).begin(record(), at_most=None)
        assert caught.value.code == "payment_journal"


def started(path: Path, limit: int, sent: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen([sys.executable, WORKER, str(path), str(limit), str(sent)], env=environment)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_eight_processes_killed_at_random_never_pay_more_than_a_day_allows(tmp_path: Path) -> None:
    """Every payment that left is in the journal, also of those that were killed."""
    path, sent, limit = tmp_path / "payments.sqlite3", tmp_path / "sent", 16_000_000
    dice = random.Random(402)
    workers = [started(path, limit, sent) for _ in range(8)]
    kills = 0
    while any(worker.poll() is None for worker in workers):
        if kills < 24 and sent.exists() and sent.stat().st_size > 5 * kills:
            chosen = dice.randrange(8)
            if workers[chosen].poll() is None:
                workers[chosen].kill()
                workers[chosen].wait()
                workers[chosen] = started(path, limit, sent)
                kills += 1
        time.sleep(0.01)  # a poll of processes, and of nothing else
    kept = [*SqliteJournal(path).payments()]
    assert {worker.returncode for worker in workers} == {0}
    assert kills == 24
    assert sum(one.amount for one in kept) == limit
    left = len(kept) - sum(one.state == "settled" for one in kept)
    assert left <= kills
    assert len(kept) - kills <= sent.stat().st_size <= len(kept)


def test_a_process_that_is_killed_between_journal_and_socket_leaves_a_record(tmp_path: Path) -> None:
    path = tmp_path / "payments.sqlite3"
    program = f"""
import os, sys
sys.path[:0] = {[path for path in sys.path if path]!r}
from support.x402_till import SIGNER, challenge
from tollkit.core.flows import Wire
from tollkit.run402.payments import SqliteJournal, X402Payer
flow = X402Payer(SIGNER, journal=SqliteJournal({str(path)!r})).answer(
    Wire("POST", "https://x.test/a?b=c", {{}}, None), challenge())
effect = next(flow)
while not isinstance(effect, Wire):
    effect = flow.send(effect.call())
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == 9
    (kept,) = SqliteJournal(path).payments()
    assert (kept.state, kept.amount, kept.url) == ("left", 100_000, "https://x.test/a")


def test_a_folder_that_is_left_does_not_begin_another_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    journal = SqliteJournal("payments.sqlite3")
    journal.begin(record(), at_most=100)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert journal.begin(record(1), at_most=100) == 100
