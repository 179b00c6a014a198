"""The gateway that every group of routes works with: projects, keys, wallets, payments, ids.

class MailRoutes:
    def __init__(self, gateway: Gateway) -> None:
        gateway.db.executescript(SCHEMA)

    def routes(self) -> list[Route]:
        return [route(self._gateway, "GET", "/mailboxes/v1", self._list)]

    def _list(self, call: Call) -> Any:
        project = self._gateway.by_service_key(call.request)
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
import threading
import weakref
from collections import Counter
from typing import TYPE_CHECKING, Literal

import attrs

from tollkit.sandbox.run402 import PREFIX
from tollkit.sandbox.run402.access import Access
from tollkit.sandbox.run402.calls import Call, GatewayError, route
from tollkit.sandbox.run402.payments import Payments
from tollkit.sandbox.run402.tables import record
from tollkit.sandbox.run402.tiers import DAY, TIERS, Lease

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from tollkit.sandbox.clock import Clock

__all__ = ["OWNER", "Call", "Gateway", "GatewayError", "Project", "route"]

OWNER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
"""Whose a project is that nobody provisioned; the first account that Ethereum's development tools know."""

_PROJECT_ID = re.compile("prj_[a-z0-9_]{1,96}")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS projects (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    tier TEXT NOT NULL,
    wallet TEXT NOT NULL,
    anon_key TEXT NOT NULL UNIQUE,
    service_key TEXT NOT NULL UNIQUE,
    created_at REAL NOT NULL,
    lease_expires_at REAL NOT NULL,
    pinned INTEGER NOT NULL DEFAULT 0,
    site_url TEXT,
    api_calls INTEGER NOT NULL DEFAULT 0,
    storage_bytes INTEGER NOT NULL DEFAULT 0,
    deleted INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS leases (
    wallet TEXT PRIMARY KEY,
    tier TEXT NOT NULL,
    started_at REAL NOT NULL,
    expires_at REAL NOT NULL
);
"""


@attrs.define(kw_only=True)
class Project:
    """A project as it was when it was asked for; changes go through `Gateway`."""

    id: str
    name: str
    tier: str
    wallet: str
    """Address of the owner, with its checksum."""
    anon_key: str = attrs.field(repr=False)
    service_key: str = attrs.field(repr=False)
    created_at: float
    lease_expires_at: float
    pinned: bool
    site_url: str | None
    api_calls: int
    storage_bytes: int

    @property
    def schema_slot(self) -> str:
        """Name of its schema in the database."""
        return "project_" + self.id.removeprefix("prj_")

    def status(self, now: float) -> str:
        """`active`, or `past_due` when the lease has ended and the project is not pinned."""
        return "active" if self.pinned or now < self.lease_expires_at else "past_due"


class Gateway:
    """State and rules that all routes share.

    Args:
        clock: The clock of the sandbox.
        origin: Gives scheme, host and port of the server once it runs.

    Attributes:
        db: The platform's own tables, in memory; each group makes its own in its constructor.
        lock: Held around every handler; who works on the state from elsewhere takes it too.
        access: Keys and wallet signatures.
        deleted: Called with the id of a project that was deleted, for groups that have to let go of its names.
        payments: The ledger of the test money, prices, and payments.
    """

    def __init__(self, clock: Clock, origin: Callable[[], str]) -> None:
        self.clock = clock
        self.origin = origin
        self.lock: threading.RLock = threading.RLock()
        # every statement stands for itself: what was settled stays settled when a handler fails afterwards
        self.db: sqlite3.Connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        weakref.finalize(self, self.db.close)
        self.db.executescript(_SCHEMA)
        self._numbers: Counter[str] = Counter()
        self.deleted: list[Callable[[str], None]] = []
        self.access: Access = Access(self)
        self.payments: Payments = Payments(self)

    @property
    def api_base(self) -> str:
        """Address of the gateway, e.g. `http://127.0.0.1:40001/run402`."""
        return self.origin() + PREFIX

    def forget(self) -> None:
        """Forget all projects, leases, wallets and payments; ids begin anew."""
        self.db.executescript("DELETE FROM projects; DELETE FROM leases;")
        self._numbers.clear()
        self.access.forget()
        self.payments.forget()

    def new_id(self, prefix: str, length: int = 16) -> str:
        """An id that no other has; the same in every run.

        Args:
            prefix: E.g. `prj_`.
            length: Number of hex digits after it, up to 64.
        """
        self._numbers[prefix] += 1
        text = f"tollkit sandbox run402/{prefix}/{self._numbers[prefix]}"
        return prefix + hashlib.sha256(text.encode()).hexdigest()[:length]

    # ---------------------------------------------------------------- projects

    def project(self, project_id: str) -> Project:
        """A project by its id.

        Raises:
            GatewayError: 404 `PROJECT_NOT_FOUND`; 400 `INVALID_PROJECT_ID`, no project can have that id.
        """
        if _PROJECT_ID.fullmatch(project_id) is None:
            raise GatewayError(400, "INVALID_PROJECT_ID", "Project id must match prj_[a-z0-9_]{1,96}")
        row = self.db.execute("SELECT * FROM projects WHERE id = ? AND NOT deleted", (project_id,)).fetchone()
        if row is None:
            raise GatewayError(404, "PROJECT_NOT_FOUND", f"Project not found: {project_id}", project_id=project_id)
        return record(Project, row)

    def add_project(
        self,
        *,
        name: str | None = None,
        tier: str = "prototype",
        wallet: str = OWNER,
        lease_days: float | None = None,
    ) -> Project:
        """A new project, which nobody pays for here.

        Args:
            name: Its name; one is made when none is given.
            tier: Of `TIERS`.
            wallet: Address of the owner, with its checksum.
            lease_days: How long it is paid for; as long as the owner's lease, or the tier's when there is none.
        """
        project_id = self.new_id("prj_")
        now = self.clock.now()
        lease = self.lease(wallet)
        if lease_days is None and lease is not None:
            expires_at = lease.expires_at
        else:
            expires_at = now + DAY * (TIERS[tier].lease_days if lease_days is None else lease_days)
        self.db.execute(
            "INSERT INTO projects (id, name, tier, wallet, anon_key, service_key, created_at, lease_expires_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                project_id,
                name or f"project-{project_id.removeprefix('prj_')[:8]}",
                tier,
                wallet,
                self.new_id("r402_anon_", 48),
                self.new_id("r402_service_", 48),
                now,
                expires_at,
            ),
        )
        return self.project(project_id)

    def projects_of(self, wallet: str) -> list[Project]:
        """The projects of a wallet, the oldest first; capitals of the address do not matter."""
        rows = self.db.execute(
            "SELECT * FROM projects WHERE lower(wallet) = ? AND NOT deleted ORDER BY rowid", (wallet.lower(),)
        )
        return [record(Project, row) for row in rows]

    def delete_project(self, project_id: str) -> None:
        """Delete a project; its keys are known no more."""
        self.db.execute("UPDATE projects SET deleted = 1 WHERE id = ?", (project_id,))
        for tell in self.deleted:
            tell(project_id)

    def pin(self, project_id: str, pinned: bool = True) -> None:
        """Keep a project beyond its lease, or not."""
        self.db.execute("UPDATE projects SET pinned = ? WHERE id = ?", (pinned, project_id))

    def set_site_url(self, project_id: str, url: str | None) -> None:
        """Note where the project's site is."""
        self.db.execute("UPDATE projects SET site_url = ? WHERE id = ?", (url, project_id))

    def store(self, project_id: str, size: int) -> None:
        """Count bytes that the project stores; a negative number when some went away."""
        self.db.execute("UPDATE projects SET storage_bytes = storage_bytes + ? WHERE id = ?", (size, project_id))

    def end_lease(self, project_id: str, expires_at: float) -> None:
        """Set until when the project is paid for, in epoch seconds."""
        self.db.execute("UPDATE projects SET lease_expires_at = ? WHERE id = ?", (expires_at, project_id))

    # ---------------------------------------------------------------- leases

    def lease(self, wallet: str) -> Lease | None:
        """What the wallet has paid for last, also when it has ended; None when it never paid."""
        row = self.db.execute("SELECT * FROM leases WHERE wallet = ?", (wallet.lower(),)).fetchone()
        return None if row is None else record(Lease, row)

    def active_lease(self, wallet: str) -> Lease | None:
        """What the wallet has paid for and that has not ended."""
        lease = self.lease(wallet)
        return lease if lease is not None and self.clock.now() < lease.expires_at else None

    def set_lease(self, wallet: str, tier: str) -> Lease:
        """Lease a tier to a wallet, and to its projects; the same tier once more lasts that much longer."""
        now = self.clock.now()
        running = self.active_lease(wallet)
        renewed = running is not None and running.tier == tier
        started_at, base = (running.started_at, running.expires_at) if running and renewed else (now, now)
        expires_at = base + DAY * TIERS[tier].lease_days
        return self._write_lease(
            Lease(wallet=wallet.lower(), tier=tier, started_at=started_at, expires_at=expires_at)
        )

    def move_lease(self, holder: str, wallet: str) -> None:
        """Let a wallet have what somebody else leased, as an account opened by e-mail; the longer one wins."""
        theirs, own = self.lease(holder), self.lease(wallet)
        if theirs is None or holder.lower() == wallet.lower():
            return
        self.db.execute("DELETE FROM leases WHERE wallet = ?", (theirs.wallet,))
        if own is None or own.expires_at < theirs.expires_at:
            self._write_lease(attrs.evolve(theirs, wallet=wallet.lower()))

    def _write_lease(self, lease: Lease) -> Lease:
        self.db.execute(
            "INSERT OR REPLACE INTO leases (wallet, tier, started_at, expires_at) VALUES (?, ?, ?, ?)",
            attrs.astuple(lease),
        )
        self.db.execute(
            "UPDATE projects SET tier = ?, lease_expires_at = ? WHERE lower(wallet) = ? AND NOT deleted",
            (lease.tier, lease.expires_at, lease.wallet),
        )
        return lease

    # ---------------------------------------------------------------- who calls, and who pays

    def by_service_key(self, request: Request, project_id: str | None = None, *, paid: bool = True) -> Project:
        """The project whose service key the request carries.

        Args:
            request: With `Authorization: Bearer`, or with `apikey`.
            project_id: The project that it must be; any when left out.
            paid: Whether the project's lease must not have ended.

        Raises:
            GatewayError: 401, no key or an unknown one; 403, the anon key or another project's; 404, no such
                project; 402, its lease has ended.
        """
        return self.access.by_service_key(request, project_id, paid=paid)

    def by_any_key(self, request: Request, *, paid: bool = True) -> tuple[Project, Literal["anon", "service"]]:
        """The project one of whose keys the request carries, and which of them.

        Args:
            request: With `apikey`, or with `Authorization: Bearer`.
            paid: Whether the project's lease must not have ended.

        Raises:
            GatewayError: 401, no key or an unknown one; 402, its lease has ended.
        """
        return self.access.by_any_key(request, paid=paid)

    def wallet(self, request: Request) -> str:
        """Address, with its checksum, of the wallet that signed in with `SIGN-IN-WITH-X`.

        Raises:
            GatewayError: 401, nobody signed in; 402, the signature is refused.
            MissingExtraError: The extra `payments` is not installed.
        """
        return self.access.wallet(request)

    def pay(self, request: Request, amount: int, what: str) -> Mapping[str, str]:
        """Let the request be paid for, once, before it does anything.

        Args:
            request: With a payment, or not yet.
            amount: Micro-dollars, unless another price was set for `what`; nothing is asked for 0.
            what: What is paid for, e.g. `tier:hobby`.

        Returns:
            The receipt as headers for the answer, which `route` adds by itself.

        Raises:
            GatewayError: 402, what is asked for, or why the payment was refused.
            MissingExtraError: The extra `payments` is not installed.
        """
        return self.payments.pay(request, amount, what)
