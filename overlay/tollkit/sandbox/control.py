"""The levers of the sandbox over HTTP, for other processes and other languages: JSON below `/__sandbox__/`.

| request | does |
| --- | --- |
| `GET /__sandbox__/` | tells the environment variables, the time, and the levers |
| `POST /__sandbox__/reset` | forgets all state |
| `GET`, `DELETE /__sandbox__/requests` | the log of requests; clears it |
| `GET`, `POST`, `DELETE /__sandbox__/faults` | armed faults; arms one or a list, members as in `Fault`; disarms all |
| `GET`, `POST /__sandbox__/clock` | the time; moves it: `{"advance": 60}`, `{"set": 1795302288}`, `freeze`, `reset` |
| `POST /__sandbox__/pymthouse/{lever}` | a method of `PymtHouseSandbox`; members of the body are its arguments |
| `POST /__sandbox__/run402/{lever}` | the same of `Run402Sandbox`, e.g. `seed_project`, `fund`, `price` |
| `POST /__sandbox__/run402.mail/{lever}` | of its mail, e.g. `receive`; so of other parts: `run402.deploys`, ... |
| `POST /__sandbox__/tokenite/{lever}` | the same of `TokeniteSandbox`, e.g. `grant`, `answer_next`, `set_budget` |

Amounts of dollars are text in answers, so that none loses a digit.

It is served on loopback addresses only, to requests whose `Host` is a loopback name and, for a body, whose content
type is JSON, and to no page in a browser, one that was deployed to the sandbox among them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import attrs
from starlette.requests import Request

from tollkit.sandbox.faults import Fault
from tollkit.sandbox.gate import CONTROL_PREFIX
from tollkit.sandbox.http import json_answer
from tollkit.sandbox.run402.calls import GatewayError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from tollkit.sandbox.server import Sandbox

__all__ = ["Control"]

LEVERS: Mapping[str, tuple[str, ...]] = {
    "pymthouse": (
        "add_discovery_profile",
        "approve_device",
        "configure_app",
        "create_api_key",
        "create_app",
        "demo_data",
        "deny_device",
        "expire_device",
        "record",
        "revoke_refresh_tokens",
        "revoke_sessions",
        "rotate_keys",
        "seed_end_user",
        "seed_usage",
        "seed_user",
        "set_catalog_failing",
        "set_manifest",
        "set_plan",
        "set_signer_running",
    ),
    "run402": (
        "demo_data",
        "drop_after_settlement",
        "end_lease",
        "fail_settlement",
        "fund",
        "get_refused_payments",
        "get_settlements",
        "grant_tier",
        "pay_checkout",
        "price",
        "seed_project",
        "set_nonces_once",
        "set_payments",
        "wallet_balance",
    ),
    "run402.ai": ("flag", "set_pack", "translate_as"),
    "run402.contracts": ("answer_read", "calls", "confirm", "confirm_after", "fail", "set_balance", "suspend"),
    "run402.data": ("apply", "run"),
    "run402.deploys": (
        "activation_pending",
        "charges",
        "conflict",
        "drop_upload",
        "expire_address",
        "fail",
        "finish",
        "get_commits",
        "get_uploads",
        "hold",
        "migration_runs",
        "set_host_names",
        "set_pace",
        "set_price",
        "set_strict_base",
        "set_uploads",
        "set_wallet_with_key",
        "site_address",
        "site_host",
        "unhold",
        "uploaded",
        "warn",
    ),
    "run402.end_users": ("outbox", "sign_in"),
    "run402.functions": ("answer_with", "invocations", "log"),
    "run402.github": ("claims", "env", "rotate_keys", "token"),
    "run402.mail": ("limit_sends", "mark", "messages", "receive", "set_status"),
    "run402.names": ("activate", "verify_after"),
    "tokenite": (
        "answer_next",
        "configure_app",
        "demo_data",
        "get_vendor_requests",
        "grant",
        "revoke",
        "seed_user",
        "set_access_context_version",
        "set_budget",
        "set_chunk_seconds",
        "set_popup_lands",
        "spend",
        "spent",
        "suspend",
    ),
}
"""Methods of each platform, and of its parts, that can be called from outside."""


class _BadCallError(Exception):
    """What was asked of the sandbox makes no sense; the text says why."""


class Control:
    """The ASGI application below `/__sandbox__`."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        request = Request(scope, receive)
        await (await self._answer(request))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if not _is_local_name(request.headers.get("host", "")):
            return json_answer({"error": "the sandbox is driven from this machine only"}, 403)
        # pages that were deployed to the sandbox have its own origin
        if "origin" in request.headers or request.headers.get("sec-fetch-site", "none") != "none":
            return json_answer({"error": "the sandbox is driven by programs, not by pages"}, 403)
        try:
            arguments = await _arguments(request)
            path = request.url.path.removeprefix(CONTROL_PREFIX).strip("/")
            result = self._handler(request.method, path)(arguments)
        except (_BadCallError, GatewayError, TypeError, ValueError, KeyError) as refusal:
            return json_answer({"error": f"{type(refusal).__name__.strip('_')}: {refusal}"}, 400)
        return json_answer({"result": _plain(result)})

    def _handler(self, method: str, path: str) -> Callable[[Any], Any]:
        sandbox = self._sandbox
        handlers: dict[tuple[str, str], Callable[[Any], Any]] = {
            ("GET", ""): lambda _: {
                "url": sandbox.url,
                "env": sandbox.env(),
                "now": sandbox.clock.iso(),
                "levers": LEVERS,
            },
            ("POST", "reset"): lambda _: sandbox.reset(),
            ("GET", "requests"): lambda _: sandbox.requests.all(),
            ("DELETE", "requests"): lambda _: sandbox.requests.clear(),
            ("GET", "faults"): lambda _: list(sandbox.faults),
            ("POST", "faults"): self._arm,
            ("DELETE", "faults"): lambda _: sandbox.faults.clear(),
            ("GET", "clock"): lambda _: sandbox.clock.iso(),
            ("POST", "clock"): self._move_clock,
        }
        area, _, lever = path.partition("/")
        if method == "POST" and lever in LEVERS.get(area, ()):
            return lambda arguments: attrgetter(f"{area}.{lever}")(sandbox)(**_members(arguments))
        if (method, path) not in handlers:
            raise _BadCallError(f"the sandbox has no {method} {CONTROL_PREFIX}/{path}")
        return handlers[method, path]

    def _arm(self, arguments: Any) -> None:
        described = list(cast("Iterable[Any]", arguments)) if isinstance(arguments, list) else [arguments]
        self._sandbox.faults.add(*(Fault(**_members(one)) for one in described))

    def _move_clock(self, arguments: Any) -> str:
        clock = self._sandbox.clock
        moves: dict[str, Callable[[Any], None]] = {
            "advance": clock.advance,
            "set": clock.set,
            "freeze": lambda _: clock.freeze(),
            "reset": lambda _: clock.reset(),
        }
        for name, value in _members(arguments).items():
            if name not in moves:
                raise _BadCallError(f"the clock knows {', '.join(moves)}, not {name}")
            moves[name](value)
        return clock.iso()


def _is_local_name(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return name == "localhost" or name.endswith(".localhost") or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


async def _arguments(request: Request) -> Any:
    if request.method != "POST":
        return {}
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise _BadCallError("the body must be application/json")
    return await request.json()


def _members(arguments: Any) -> Mapping[str, Any]:
    if not isinstance(arguments, Mapping):
        raise _BadCallError("the body must be a JSON object")
    return cast("Mapping[str, Any]", arguments)


def _plain(value: Any) -> Any:
    """State as JSON; an app is told by its client ids, since it holds everything else, and no password is told."""
    kind = value.__class__
    if attrs.has(kind):
        hidden = ("users", "end_users", "ledger", "profiles", "plan", "password")
        return {
            field.name: _plain(getattr(value, field.name)) for field in attrs.fields(kind) if field.name not in hidden
        }
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in cast("Mapping[str, Any]", value).items()}
    return [_plain(item) for item in cast("Iterable[Any]", value)] if isinstance(value, list | tuple) else value
