"""The routes of the remote signer.

The server was seen with its signer stopped: 401 for a bad token, else 503. With the switch `signer_running` the
routes answer something of a plausible shape, which is the sandbox's own and no fact about the platform; a payment
then leaves a record in the ledger, so that a demo can be metered.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from tollkit.sandbox.http import Call, json_answer, members, route
from tollkit.sandbox.pymthouse.ledger import WEI_PER_MICRO, BillingEvent, Micros, UsageRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.routing import Route

    from tollkit.sandbox.pymthouse.issuer import Issuer
    from tollkit.sandbox.pymthouse.state import App, State

__all__ = ["SignerRoutes"]

_ADDRESS = "0x" + "5a" * 20
_PRICE = Micros(network=700, owner=707, platform=7, billable=700)


class SignerRoutes:
    """Handlers of `/api/signer/...`."""

    def __init__(self, state: State, issuer: Issuer) -> None:
        self._state = state
        self._issuer = issuer

    def routes(self) -> list[Route]:
        """The four routes."""
        answers = {
            "sign-orchestrator-info": self._sign_info,
            "generate-live-payment": self._payment,
            "sign-byoc-job": self._sign_job,
            "discover-orchestrators": self._discover,
        }
        return [
            route(f"/api/signer/{name}", self._state.lock, POST=self._guarded(answer))
            for name, answer in answers.items()
        ]

    def _guarded(self, answer: Callable[[Call, App, str], Any]) -> Callable[[Call], Response]:
        def handler(call: Call) -> Response:
            holder = self._holder(call.bearer() or "")
            if holder is None:
                return json_answer({"error": "Unauthorized: invalid or expired token"}, 401)
            if not self._state.signer_running:
                return json_answer({"error": "Signer is not running"}, 503)
            return json_answer(answer(call, *holder))

        return handler

    def _holder(self, token: str) -> tuple[App, str] | None:
        """The app and the stored user id behind a signer session or a JWT with `sign:job`."""
        session = self._state.session(token)
        if session is not None:
            return session.app, session.end_user_id
        claims = self._issuer.verify(token) or {}
        app = self._state.apps.get(str(claims.get("client_id")))
        if app is None or "sign:job" not in str(claims.get("scope", "")).split():
            return None
        return app, str(claims.get("sub"))

    def _sign_info(self, _call: Call, app: App, user_id: str) -> dict[str, str]:
        return {"address": _ADDRESS, "signature": _signature(app.public_client_id, user_id)}

    def _payment(self, call: Call, app: App, user_id: str) -> dict[str, Any]:
        job = _members(call)
        now = self._state.clock.iso()
        record = UsageRecord(user_id=user_id, created_at=now, fee_wei=_PRICE.network * WEI_PER_MICRO, units=1)
        app.ledger.records.append(record)
        app.ledger.events.append(
            BillingEvent(
                record_id=record.id,
                pipeline=str(job.get("pipeline", "llm")),
                model_id=str(job.get("modelId", "meta-llama/Llama-3.1-8B-Instruct")),
                amounts=_PRICE,
                created_at=now,
            )
        )
        payment = base64.b64encode(f"payment {record.id}".encode()).decode()
        return {"payment": payment, "segCreds": base64.b64encode(b"{}").decode(), "state": {}}

    def _sign_job(self, call: Call, _app: App, user_id: str) -> dict[str, str]:
        return {"sender": _ADDRESS, "signature": _signature(user_id, call.body.decode("utf-8", "replace"))}

    def _discover(self, _call: Call, _app: App, _user_id: str) -> list[dict[str, Any]]:
        models = [(entry.id, model) for entry in self._state.catalog or () for model in entry.models]
        return [
            {
                "address": "https://orchestrator.sandbox.invalid",
                "score": 1,
                "capabilities": [f"{pipeline}/{model}" for pipeline, model in models],
            }
        ]


def _signature(*parts: str) -> str:
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return f"0x{digest}{digest}1b"


def _members(call: Call) -> dict[str, Any]:
    try:
        return members(call.json())
    except ValueError:
        return {}
