"""Where payments are written down before they leave, and counted for the limits of a day."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import attrs

from tollkit.core.locks import forkable_lock
from tollkit.run402.config import config_dir
from tollkit.run402.errors import LocalError, raised
from tollkit.run402.payments.record import PaymentRecord
from tollkit.run402.payments.spending import DAY

__all__ = ["Journal", "MemoryJournal", "SqliteJournal"]


@runtime_checkable
class Journal(Protocol):
    """Keeps payments. Methods may block; an async client calls them in a thread. They must be safe to share.

    What counts to a day is everything that left within the 24 hours before. What was refused counts too: that it was
    not carried out is the word of whoever would have been paid, and until its time was over they could.
    """

    def begin(self, payment: PaymentRecord, *, at_most: int | None) -> int | None:
        """Keep a payment that is about to leave, unless it brings the day above a limit; both in one step.

        Args:
            payment: Its `left_at` is now.
            at_most: Most that the payer may spend of this asset within a day; `None` for no limit.

        Returns:
            `None` when it is kept; else what was spent already.
        """
        ...

    def end(self, payment: PaymentRecord) -> None:
        """Keep what has become of a payment: its state, transaction and reason."""
        ...

    def spent(self, payer: str, network: str, asset: str, *, now: float) -> int:
        """What this wallet has spent of this asset within a day, in its smallest unit.

        Args:
            payer: Address of the wallet.
            network: The network in CAIP-2 form.
            asset: Address of the token's contract.
            now: The end of the day that is counted, in seconds since 1970.
        """
        ...

    def payments(self, *, since: float = 0.0) -> Iterator[PaymentRecord]:
        """The payments, oldest first.

        Args:
            since: Seconds since 1970: those that left then or later.
        """
        ...


class MemoryJournal:
    """A journal that ends with its process; for tests, and for programs that keep their own books."""

    def __init__(self) -> None:
        self._lock = forkable_lock()
        self._kept: dict[tuple[str, str], PaymentRecord] = {}

    def begin(self, payment: PaymentRecord, *, at_most: int | None) -> int | None:
        """See `Journal.begin`."""
        with self._lock:
            spent = self._spent(payment.payer, payment.network, payment.asset, payment.left_at)
            if at_most is not None and spent + payment.amount > at_most:
                return spent
            self._kept[payment.payer, payment.nonce] = attrs.evolve(payment, proof=None)
            return None

    def end(self, payment: PaymentRecord) -> None:
        """See `Journal.end`."""
        with self._lock:
            self._kept[payment.payer, payment.nonce] = attrs.evolve(payment, proof=None)

    def spent(self, payer: str, network: str, asset: str, *, now: float) -> int:
        """See `Journal.spent`."""
        with self._lock:
            return self._spent(payer, network, asset, now)

    def _spent(self, payer: str, network: str, asset: str, now: float) -> int:
        return sum(
            one.amount
            for one in self._kept.values()
            if (one.payer, one.network, one.asset) == (payer, network, asset) and one.left_at > now - DAY
        )

    def payments(self, *, since: float = 0.0) -> Iterator[PaymentRecord]:
        """See `Journal.payments`."""
        with self._lock:
            found = sorted(self._kept.values(), key=lambda one: one.left_at)
        return iter([one for one in found if one.left_at >= since])

    def __repr__(self) -> str:
        return f"MemoryJournal({len(self._kept)} payments)"


_VERSION = 1
_COLUMNS = tuple(
    field.name for field in attrs.fields(PaymentRecord) if field.name not in ("settlement", "proof", "amount")
)
_NAMES = ", ".join(f'"{name}"' for name in ("amount", *_COLUMNS))
# amounts go up to 256 bits, and a whole number of SQLite to 64
_SCHEMA = f"""
CREATE TABLE payments ({_NAMES.replace('"amount"', '"amount" TEXT NOT NULL')}, PRIMARY KEY (payer, nonce));
CREATE INDEX payments_left_at ON payments (left_at);
PRAGMA user_version = {_VERSION};
"""
_PATIENCE = 60.0


class SqliteJournal:
    """A journal in a file that threads and processes share; a limit of a day holds for all of them together.

    It is made at the first payment, with mode 0600, in a folder with mode 0700. Each step is a transaction that is on
    the disk before the payment leaves.

    Args:
        path: The file; `payments.sqlite3` in the folder of the platform's files when nothing is said.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        # whole at once: a program that changes its folder must not begin another journal, and another day
        self._path = None if path is None else Path(path).absolute()

    @property
    def path(self) -> Path:
        """The file, as the variables have it now."""
        return config_dir() / "payments.sqlite3" if self._path is None else self._path

    def begin(self, payment: PaymentRecord, *, at_most: int | None) -> int | None:
        """See `Journal.begin`.

        Raises:
            LocalError: The file cannot be used; nothing may be paid then.
        """
        with self._transaction() as database:
            if at_most is not None:
                spent = _spent(database, payment.payer, payment.network, payment.asset, payment.left_at)
                if spent + payment.amount > at_most:
                    return spent
            values = [str(payment.amount), *(getattr(payment, name) for name in _COLUMNS)]
            marks = ", ".join("?" * len(values))
            database.execute(f"INSERT INTO payments ({_NAMES}) VALUES ({marks})", values)  # noqa: S608 - our own names
            return None

    def end(self, payment: PaymentRecord) -> None:
        """See `Journal.end`.

        Raises:
            LocalError: The file cannot be used.
        """
        with self._transaction() as database:
            database.execute(
                'UPDATE payments SET state = ?, "transaction" = ?, reason = ? WHERE payer = ? AND nonce = ?',
                (payment.state, payment.transaction, payment.reason, payment.payer, payment.nonce),
            )

    def spent(self, payer: str, network: str, asset: str, *, now: float) -> int:
        """See `Journal.spent`.

        Raises:
            LocalError: The file cannot be used.
        """
        with self._transaction() as database:
            return _spent(database, payer, network, asset, now)

    def payments(self, *, since: float = 0.0) -> Iterator[PaymentRecord]:
        """See `Journal.payments`.

        Raises:
            LocalError: The file cannot be used.
        """
        query = f"SELECT {_NAMES} FROM payments WHERE left_at >= ? ORDER BY left_at, rowid"  # noqa: S608 - our own names
        with self._transaction() as database:
            found = database.execute(query, (since,)).fetchall()
        return iter([PaymentRecord(amount=int(row[0]), **_named(row[1:])) for row in found])

    @contextlib.contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        """A connection of its own for each step: it may be another thread's, or a forked process's, next time."""
        path = self.path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            database = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
            try:
                database.execute("PRAGMA synchronous = FULL")
                # The lock for writing at once: to count first and write later would let two through, and who asks
                # for it while reading is told at once that it is taken.
                database.execute("BEGIN IMMEDIATE")
                _prepare(database)
                yield database
                database.execute("COMMIT")
            finally:
                database.close()  # what was not committed is undone
        except (sqlite3.Error, OSError, ValueError) as problem:
            raise raised(
                LocalError(
                    f"The journal of payments {path} cannot be used: {problem}",
                    hint="Put the file right, or name another: SqliteJournal(path)",
                    code="payment_journal",
                )
            ) from problem

    def __repr__(self) -> str:
        return f"SqliteJournal({str(self.path)!r})"


def _prepare(database: sqlite3.Connection) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == 0:
        for statement in _SCHEMA.strip().split(";")[:-1]:
            database.execute(statement)
    elif version != _VERSION:
        raise ValueError(f"it is of version {version}, and this tollkit knows {_VERSION}")


def _spent(database: sqlite3.Connection, payer: str, network: str, asset: str, now: float) -> int:
    found = database.execute(
        "SELECT amount FROM payments WHERE left_at > ? AND payer = ? AND network = ? AND asset = ?",
        (now - DAY, payer, network, asset),
    )
    return sum(int(amount) for (amount,) in found)


def _named(values: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(_COLUMNS, values, strict=True))
