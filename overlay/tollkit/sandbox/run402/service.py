"""The platform itself: its state, messages to its people, who is behind a wallet.

Source: Run402 1.57, tags `service` and `admin`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollkit.sandbox.clock import iso
from tollkit.sandbox.http import json_answer
from tollkit.sandbox.run402.calls import Call, GatewayError, route

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import Route

    from tollkit.sandbox.run402.gateway import Gateway

__all__ = ["VERSION", "ServiceRoutes"]

VERSION = "1.57.0-sandbox"
"""What the gateway says its version is."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    sequence INTEGER PRIMARY KEY,
    wallet TEXT NOT NULL,
    message TEXT NOT NULL,
    sent_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS contacts (
    wallet TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    email TEXT,
    webhook TEXT,
    updated_at REAL NOT NULL
);
"""


class ServiceRoutes:
    """The routes of the platform's state and people.

    Args:
        gateway: Whose they are.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._started_at = gateway.clock.now()
        gateway.db.executescript(_SCHEMA)

    def routes(self) -> list[Route]:
        """The routes."""
        gateway = self._gateway
        return [
            route(gateway, "GET", "/status", self._status),
            route(gateway, "GET", "/health", self._health),
            route(gateway, "POST", "/message/v1", self._message),
            route(gateway, "POST", "/agent/v1/contact", self._contact),
        ]

    def forget(self) -> None:
        """Forget messages and contacts."""
        self._gateway.db.executescript("DELETE FROM messages; DELETE FROM contacts;")
        self._started_at = self._gateway.clock.now()

    def messages(self) -> list[tuple[str, str]]:
        """Wallet and text of every message, the oldest first."""
        rows = self._gateway.db.execute("SELECT wallet, message FROM messages ORDER BY sequence")
        return [(row["wallet"], row["message"]) for row in rows]

    def _status(self, call: Call) -> Any:
        return {
            "status": "operational",
            "uptime_seconds": max(0, int(self._gateway.clock.now() - self._started_at)),
            "deployment": {"version": VERSION},
            "capabilities": ["projects", "payments", "database", "functions", "storage", "mail", "ci"],
            "operator": {"name": "tollkit sandbox", "contact": "nobody@example.com"},
        }

    def _health(self, call: Call) -> Any:
        self._gateway.db.execute("SELECT 1")
        return {"status": "healthy", "checks": {"database": "ok"}, "version": VERSION}

    def _message(self, call: Call) -> Response:
        gateway = self._gateway
        wallet = gateway.wallet(call.request)
        message = call.required("message")
        gateway.pay(call.request, 0, "message")
        gateway.db.execute(
            "INSERT INTO messages (wallet, message, sent_at) VALUES (?, ?, ?)", (wallet, message, gateway.clock.now())
        )
        return json_answer({"status": "sent"}, 201)

    def _contact(self, call: Call) -> Any:
        gateway = self._gateway
        wallet = gateway.wallet(call.request)
        name = call.required("name")
        email = call.text("email", required=False)
        webhook = call.text("webhook", required=False)
        if email is not None and "@" not in email:
            raise GatewayError(400, "VALIDATION_ERROR", "email is no e-mail address", details={"field": "email"})
        if webhook is not None and not webhook.startswith("https://"):
            raise GatewayError(
                400, "VALIDATION_ERROR", "webhook must be an https address", details={"field": "webhook"}
            )
        now = gateway.clock.now()
        gateway.db.execute(
            "INSERT OR REPLACE INTO contacts (wallet, name, email, webhook, updated_at) VALUES (?, ?, ?, ?, ?)",
            (wallet, name, email, webhook, now),
        )
        told = {
            "wallet": wallet.lower(),
            "name": name,
            "email": email,
            "webhook": webhook,
            "updated_at": iso(now),
        }
        return {member: value for member, value in told.items() if value is not None}
