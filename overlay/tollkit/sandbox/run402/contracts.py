"""Wallets of the platform, and the transactions that they send. There is no chain behind them.

A wallet begins with a little test money. What a call sends, and its gas, is taken from the wallet when it is sent; a
call is confirmed by the clock or by a lever.

Source: Run402 1.57, `/contracts/v1`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from tollkit.oidc.json_values import is_list
from tollkit.sandbox.http import members
from tollkit.sandbox.run402.calls import Call, GatewayError
from tollkit.sandbox.run402.parts import Answer, Operation, OperationGroup, address, invalid, one_of, wei
from tollkit.sandbox.run402.tiers import DAY

if TYPE_CHECKING:
    import sqlite3

    from tollkit.sandbox.run402.gateway import Project

__all__ = ["CHAINS", "ContractRoutes", "LowBalanceAlert", "SentCall"]

CHAINS = ("base-mainnet", "base-sepolia")
STARTING_WEI = 10**16
"""What a new wallet holds, unless a test wants something else."""
CONFIRMATION_SECONDS = 2.0
"""After how long a call is confirmed, unless a test wants another time."""
GAS, GAS_PRICE_WEI, GAS_USD_MICROS = 50_000, 10**8, 20
_DELETION_SECONDS = 7 * DAY
_ZEROS: tuple[tuple[str, Any], ...] = (("uint", "0"), ("int", "0"), ("bool", False), ("address", "0x" + "0" * 40))


@attrs.frozen(kw_only=True)
class SentCall:
    """A transaction that a wallet sent.

    Attributes:
        id: Its id.
        wallet_id: The wallet.
        kind: `call`, or `drain` for one that emptied the wallet.
        chain: The chain.
        to: The contract, or where the money of a drain went.
        function_name: The function; empty for a drain.
        args: Its arguments.
        value_wei: What it sent along.
        idempotency_key: The key that it came with; None without one.
        status: `submitted`, `confirmed` or `failed`.
    """

    id: str
    wallet_id: str
    kind: str
    chain: str
    to: str
    function_name: str
    args: list[Any]
    value_wei: int
    idempotency_key: str | None
    status: str


@attrs.frozen(kw_only=True)
class LowBalanceAlert:
    """A warning that a wallet holds less than its owner wants.

    Attributes:
        wallet_id: The wallet.
        balance_wei: What it held.
        threshold_wei: What it was to hold.
        at: When, in epoch seconds.
    """

    wallet_id: str
    balance_wei: int
    threshold_wei: int
    at: float


class ContractRoutes(OperationGroup):
    """The routes of contract wallets and calls, with levers for tests."""

    # amounts are text: SQLite's whole numbers end at 2**63
    schema = """
    CREATE TABLE contract_wallets (
        id TEXT PRIMARY KEY,
        project_id TEXT NOT NULL,
        address TEXT NOT NULL,
        chain TEXT NOT NULL,
        status TEXT NOT NULL DEFAULT 'active',
        balance_wei TEXT NOT NULL,
        threshold_wei TEXT,
        recovery_address TEXT,
        created_at REAL NOT NULL
    );
    CREATE TABLE contract_calls (
        sequence INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        project_id TEXT NOT NULL,
        wallet_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        chain TEXT NOT NULL,
        "to" TEXT NOT NULL,
        function_name TEXT NOT NULL,
        args TEXT NOT NULL,
        value_wei TEXT NOT NULL,
        idempotency_key TEXT,
        request_hash TEXT NOT NULL,
        tx_hash TEXT NOT NULL,
        settles_at REAL,
        failure TEXT,
        created_at REAL NOT NULL,
        UNIQUE (project_id, idempotency_key)
    );
    CREATE TABLE contract_alerts (
        sequence INTEGER PRIMARY KEY,
        wallet_id TEXT NOT NULL,
        balance_wei TEXT NOT NULL,
        threshold_wei TEXT NOT NULL,
        at REAL NOT NULL
    );
    """

    def _begin(self) -> None:
        super()._begin()
        self._starting_wei = STARTING_WEI
        self._confirmation: float | None = CONFIRMATION_SECONDS
        self._reads: dict[tuple[str, str], Any] = {}

    def operations(self) -> Iterable[Operation]:
        """The operations of the group."""
        wallets, wallet = "/contracts/v1/wallets", "/contracts/v1/wallets/{wallet_id}"
        done = (204, 200, 201, 202)
        yield Operation("contractsProvisionWallet", "POST", wallets, self._provision, (201, 200, 202))
        yield Operation("contractsListWallets", "GET", wallets, self._list, (200,))
        yield Operation("contractsGetWallet", "GET", wallet, self._get, (200,))
        yield Operation("contractsDeleteWallet", "DELETE", wallet, self._delete, (200, 202))
        yield Operation("contractsSetRecovery", "POST", wallet + "/recovery-address", self._set_recovery, done)
        yield Operation("contractsSetLowBalanceAlert", "POST", wallet + "/alert", self._set_alert, done)
        yield Operation("contractsDrain", "POST", wallet + "/drain", self._drain, (201, 200, 202))
        yield Operation("contractsCall", "POST", "/contracts/v1/call", self._call, (201, 200, 202))
        yield Operation("contractsRead", "POST", "/contracts/v1/read", self._read, (200, 201, 202))
        yield Operation("contractsCallStatus", "GET", "/contracts/v1/calls/{call_id}", self._call_status, (200,))

    # ---------------------------------------------------------------- levers

    def start_with(self, amount_wei: int) -> None:
        """What wallets hold that are made from now on, in wei."""
        with self._gateway.lock:
            self._starting_wei = amount_wei

    def set_balance(self, wallet_id: str, amount_wei: int) -> None:
        """Set what a wallet holds, in wei; its owner is warned when that is too little.

        Raises:
            ValueError: There is no such wallet.
        """
        with self._gateway.lock:
            row = self._db.execute("SELECT * FROM contract_wallets WHERE id = ?", (wallet_id,)).fetchone()
            if row is None:
                raise ValueError(f"no contract wallet {wallet_id!r}")
            self._hold(row, amount_wei)

    def suspend(self, wallet_id: str, suspended: bool = True) -> None:
        """Let a wallet send nothing, or let it send again.

        Raises:
            ValueError: There is no such wallet.
        """
        with self._gateway.lock:
            status = "suspended" if suspended else "active"
            changed = self._db.execute("UPDATE contract_wallets SET status = ? WHERE id = ?", (status, wallet_id))
            if not changed.rowcount:
                raise ValueError(f"no contract wallet {wallet_id!r}")

    def confirm_after(self, seconds: float | None) -> None:
        """After how many seconds calls that are sent from now on are confirmed; None for by `confirm` alone."""
        with self._gateway.lock:
            self._confirmation = seconds

    def confirm(self, call_id: str) -> None:
        """Let a call be confirmed, now.

        Raises:
            ValueError: There is no such call.
        """
        self._settle(call_id, None)

    def fail(self, call_id: str, reason: str = "execution reverted") -> None:
        """Let a call have failed, now. Its gas is spent, what it sent along comes back.

        Raises:
            ValueError: There is no such call.
        """
        with self._gateway.lock:
            already = any(call.id == call_id and call.status == "failed" for call in self.calls())
            row = self._settle(call_id, reason)
            wallet = self._db.execute("SELECT * FROM contract_wallets WHERE id = ?", (row["wallet_id"],)).fetchone()
            if not already:
                self._hold(wallet, int(wallet["balance_wei"]) + int(row["value_wei"]))

    def _settle(self, call_id: str, failure: str | None) -> sqlite3.Row:
        with self._gateway.lock:
            row: sqlite3.Row | None = self._db.execute(
                "SELECT * FROM contract_calls WHERE id = ?", (call_id,)
            ).fetchone()
            if row is None:
                raise ValueError(f"no contract call {call_id!r}")
            self._db.execute(
                "UPDATE contract_calls SET settles_at = ?, failure = ? WHERE id = ?", (self._now(), failure, call_id)
            )
            return row

    def answer_read(self, contract_address: str, function_name: str, result: Any) -> None:
        """Script what a contract tells when it is asked.

        Args:
            contract_address: The contract, in any capitals.
            function_name: The function.
            result: A JSON value, or a function that gets the arguments and returns one.
        """
        with self._gateway.lock:
            self._reads[contract_address.lower(), function_name] = result

    def calls(self, project_id: str | None = None) -> list[SentCall]:
        """The transactions that were sent, of one project or of all, the oldest first."""
        with self._gateway.lock:
            rows = self._db.execute(
                "SELECT * FROM contract_calls WHERE project_id = ifnull(?, project_id) ORDER BY sequence",
                (project_id,),
            )
            return [
                SentCall(
                    id=row["id"],
                    wallet_id=row["wallet_id"],
                    kind=row["kind"],
                    chain=row["chain"],
                    to=row["to"],
                    function_name=row["function_name"],
                    args=json.loads(row["args"]),
                    value_wei=int(row["value_wei"]),
                    idempotency_key=row["idempotency_key"],
                    status=self._state(row),
                )
                for row in rows
            ]

    def alerts(self, wallet_id: str | None = None) -> list[LowBalanceAlert]:
        """The warnings of low balances, of one wallet or of all, the oldest first."""
        with self._gateway.lock:
            rows = self._db.execute(
                "SELECT * FROM contract_alerts WHERE wallet_id = ifnull(?, wallet_id) ORDER BY sequence", (wallet_id,)
            )
            return [
                LowBalanceAlert(
                    wallet_id=row["wallet_id"],
                    balance_wei=int(row["balance_wei"]),
                    threshold_wei=int(row["threshold_wei"]),
                    at=row["at"],
                )
                for row in rows
            ]

    # ---------------------------------------------------------------- wallets

    def _provision(self, call: Call) -> Answer:
        project = self._gateway.by_service_key(call.request)
        chain = one_of(call, "chain", CHAINS)
        recovery = None if call.body.get("recovery_address") is None else address(call, "recovery_address")
        headers = self._gateway.pay(call.request, 0, "contract-wallet")
        wallet_id = self._gateway.new_id("cwlt_")
        self._db.execute(
            "INSERT INTO contract_wallets (id, project_id, address, chain, balance_wei, recovery_address, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                wallet_id,
                project.id,
                "0x" + hashlib.sha256(f"tollkit sandbox run402 {wallet_id}".encode()).hexdigest()[:40],
                chain,
                str(self._starting_wei),
                recovery,
                self._now(),
            ),
        )
        return Answer(self._shown(self._wallet(project, wallet_id)), headers=headers)

    def _list(self, call: Call) -> Any:
        project = self._gateway.by_service_key(call.request)
        rows = self._db.execute("SELECT * FROM contract_wallets WHERE project_id = ? ORDER BY rowid", (project.id,))
        return {"wallets": [self._shown(row) for row in rows]}

    def _get(self, call: Call) -> Any:
        return self._shown(self._path_wallet(call))

    def _delete(self, call: Call) -> Answer:
        row = self._path_wallet(call)
        _confirmed(call, "X-Confirm-Delete", row["id"])
        self._db.execute("UPDATE contract_wallets SET status = 'deleted' WHERE id = ?", (row["id"],))
        if int(row["balance_wei"]):
            # what holds money is kept for a while, in which it can still be emptied
            due = self._time(self._now() + _DELETION_SECONDS)
            return Answer({"wallet_id": row["id"], "scheduled_deletion_at": due}, 202)
        return Answer({"wallet_id": row["id"], "deleted_at": self._time(self._now())}, 200)

    def _set_recovery(self, call: Call) -> None:
        row = self._path_wallet(call)
        if "recovery_address" not in call.body:
            raise invalid("recovery_address", "must be given; null for none")
        told = None if call.body["recovery_address"] is None else address(call, "recovery_address")
        self._db.execute("UPDATE contract_wallets SET recovery_address = ? WHERE id = ?", (told, row["id"]))

    def _set_alert(self, call: Call) -> None:
        row = self._path_wallet(call)
        self._db.execute(
            "UPDATE contract_wallets SET threshold_wei = ? WHERE id = ?", (str(wei(call, "threshold_wei")), row["id"])
        )

    def _wallet(self, project: Project, wallet_id: str) -> sqlite3.Row:
        """A wallet of the project; another project's is as unknown as one that is not there."""
        row: sqlite3.Row | None = self._db.execute(
            "SELECT * FROM contract_wallets WHERE id = ? AND project_id = ?", (wallet_id, project.id)
        ).fetchone()
        if row is None:
            raise GatewayError(404, "WALLET_NOT_FOUND", f"No such contract wallet: {wallet_id}")
        return row

    def _path_wallet(self, call: Call) -> sqlite3.Row:
        return self._wallet(self._gateway.by_service_key(call.request), call.path["wallet_id"])

    def _shown(self, row: sqlite3.Row) -> dict[str, Any]:
        names = ("address", "chain", "status", "balance_wei", "threshold_wei", "recovery_address")
        told = {"wallet_id": row["id"], **{name: row[name] for name in names}}
        return {**told, "created_at": self._time(row["created_at"])}

    def _hold(self, row: sqlite3.Row, amount: int) -> None:
        self._db.execute("UPDATE contract_wallets SET balance_wei = ? WHERE id = ?", (str(amount), row["id"]))
        threshold = row["threshold_wei"]
        if threshold is not None and amount < int(threshold) <= int(row["balance_wei"]):
            self._db.execute(
                "INSERT INTO contract_alerts (wallet_id, balance_wei, threshold_wei, at) VALUES (?, ?, ?, ?)",
                (row["id"], str(amount), threshold, self._now()),
            )

    # ---------------------------------------------------------------- calls

    def _call(self, call: Call) -> Answer:
        project = self._gateway.by_service_key(call.request)
        wallet_id = call.required("wallet_id")
        chain, contract = one_of(call, "chain", CHAINS), address(call, "contract_address")
        function, args = _function(call)
        value = wei(call, "value") if call.body.get("value") is not None else 0
        key = call.headers.get("idempotency-key") or None
        asked = hashlib.sha256(json.dumps(call.body, sort_keys=True).encode()).hexdigest()
        if key is not None and (first := self._first_of(project, key)) is not None:
            if first["request_hash"] != asked:
                raise GatewayError(409, "IDEMPOTENCY_KEY_REUSED", "The key came with another call before")
            return Answer(self._shown_call(first), 200)
        row = self._wallet(project, wallet_id)
        if row["status"] != "active":
            raise GatewayError(409, "WALLET_NOT_ACTIVE", f"The wallet is {row['status']}")
        if row["chain"] != chain:
            raise invalid("chain", f"must be the wallet's, {row['chain']}")
        self._spend(row, value)
        return Answer(
            self._shown_call(
                self._send(row, "call", contract, function, args, value, key=key, request_hash=asked),
            )
        )

    def _drain(self, call: Call) -> Any:
        row = self._path_wallet(call)
        _confirmed(call, "X-Confirm-Drain", row["id"])
        destination = address(call, "destination_address")
        value = int(row["balance_wei"]) - GAS * GAS_PRICE_WEI
        if value <= 0:
            raise GatewayError(409, "NOTHING_TO_DRAIN", "The wallet holds no more than the gas would cost")
        self._spend(row, value)
        told = self._shown_call(self._send(row, "drain", destination, "", [], value))
        return {name: told[name] for name in ("call_id", "status", "tx_hash")}

    def _call_status(self, call: Call) -> Any:
        project, call_id = self._gateway.by_service_key(call.request), call.path["call_id"]
        row = self._db.execute(
            "SELECT * FROM contract_calls WHERE id = ? AND project_id = ?", (call_id, project.id)
        ).fetchone()
        if row is None:
            raise GatewayError(404, "CALL_NOT_FOUND", f"No such contract call: {call_id}")
        return self._shown_call(row)

    def _read(self, call: Call) -> Any:
        one_of(call, "chain", CHAINS)
        contract = address(call, "contract_address").lower()
        function, args = _function(call)
        if (contract, function) in self._reads:
            scripted = self._reads[contract, function]
            return {"result": scripted(args) if callable(scripted) else scripted}
        outputs = _fragment(call, function).get("outputs")
        zeros = [_zero(str(members(output).get("type", ""))) for output in outputs] if is_list(outputs) else []
        return {"result": zeros[0] if len(zeros) == 1 else zeros or None}

    def _first_of(self, project: Project, key: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._db.execute(
            "SELECT * FROM contract_calls WHERE project_id = ? AND idempotency_key = ?", (project.id, key)
        ).fetchone()
        return row

    def _spend(self, row: sqlite3.Row, value: int) -> None:
        left = int(row["balance_wei"]) - value - GAS * GAS_PRICE_WEI
        if left < 0:
            raise GatewayError(
                402,
                "INSUFFICIENT_FUNDS",
                "The wallet does not hold that much, and the gas",
                details={"wallet_id": row["id"], "balance_wei": row["balance_wei"], "missing_wei": str(-left)},
            )
        self._hold(row, left)

    def _send(
        self,
        wallet: sqlite3.Row,
        kind: str,
        to: str,
        function: str,
        args: list[Any],
        value: int,
        *,
        key: str | None = None,
        request_hash: str = "",
    ) -> sqlite3.Row:
        now, call_id = self._now(), self._gateway.new_id("call_")
        settles_at = None if self._confirmation is None else now + self._confirmation
        self._db.execute(
            'INSERT INTO contract_calls (id, project_id, wallet_id, kind, chain, "to", function_name, args,'
            " value_wei, idempotency_key, request_hash, tx_hash, settles_at, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                call_id,
                wallet["project_id"],
                wallet["id"],
                kind,
                wallet["chain"],
                to,
                function,
                json.dumps(args),
                str(value),
                key,
                request_hash,
                self._gateway.new_id("0x", 64),
                settles_at,
                now,
            ),
        )
        row: sqlite3.Row = self._db.execute("SELECT * FROM contract_calls WHERE id = ?", (call_id,)).fetchone()
        return row

    def _state(self, row: sqlite3.Row) -> str:
        if row["settles_at"] is None or row["settles_at"] > self._now():
            return "submitted"
        return "failed" if row["failure"] else "confirmed"

    def _shown_call(self, row: sqlite3.Row) -> dict[str, Any]:
        state = self._state(row)
        told: dict[str, Any] = {
            "call_id": row["id"],
            "status": state,
            "tx_hash": row["tx_hash"],
            "gas_used": None,
            "gas_cost_usd_micros": None,
        }
        if state == "submitted":
            return told
        receipt: dict[str, Any] = {
            "transactionHash": row["tx_hash"],
            "status": "success" if state == "confirmed" else "reverted",
            "blockNumber": str(row["sequence"]),
        }
        if row["failure"]:
            receipt["error"] = row["failure"]
        return {**told, "gas_used": str(GAS), "gas_cost_usd_micros": str(GAS_USD_MICROS), "receipt": receipt}


def _confirmed(call: Call, header: str, wallet_id: str) -> None:
    if call.headers.get(header) != wallet_id:
        raise GatewayError(
            400, "CONFIRMATION_REQUIRED", f"The header {header} must tell the wallet's id once more", header=header
        )


def _function(call: Call) -> tuple[str, list[Any]]:
    name, args = call.required("function_name"), call.body.get("args")
    if not is_list(args):
        raise invalid("args", "must be a list")
    inputs = _fragment(call, name).get("inputs")
    if is_list(inputs) and len(inputs) != len(args):
        raise invalid("args", f"must be as many as the function takes, {len(inputs)}")
    return name, args


def _fragment(call: Call, name: str) -> Mapping[str, Any]:
    fragments = call.body.get("abi_fragment")
    if not is_list(fragments) or not fragments:
        raise invalid("abi_fragment", "must be a list, with the ABI of the function")
    for fragment in map(members, fragments):
        if fragment.get("name") == name and fragment.get("type", "function") == "function":
            return fragment
    raise invalid("function_name", "must be a function of the abi_fragment")


def _zero(kind: str) -> Any:
    if kind.endswith("]"):
        return []
    return next(
        (zero for prefix, zero in _ZEROS if kind.startswith(prefix)), "0x" if kind.startswith("bytes") else ""
    )
