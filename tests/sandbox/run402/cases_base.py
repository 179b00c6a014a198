"""Projects, tiers, billing, the faucet, the platform."""

from __future__ import annotations

from typing import Any

import httpx
from run402_answers import Cases
from run402_caller import OTHER, SIGNER, Caller

from tollkit.run402.siwx import HEADER

WALLET = SIGNER.address


def keyed(at: Caller, method: str, tail: str = "") -> httpx.Response:
    project = at.sandbox.seed_project()
    return at.send(method, _admin(project.id, tail), key=project.service_key)


def unkeyed(at: Caller, method: str, tail: str = "") -> httpx.Response:
    return at.send(method, _admin(at.sandbox.seed_project().id, tail))


def wrongly_keyed(at: Caller, method: str, tail: str = "") -> httpx.Response:
    mine, other = at.sandbox.seed_project(), at.sandbox.seed_project()
    return at.send(method, _admin(mine.id, tail), key=other.service_key)


def _admin(project_id: str, tail: str) -> str:
    return f"/projects/v1/admin/{project_id}/{tail}" if tail else f"/projects/v1/{project_id}"


def leased(at: Caller) -> Caller:
    at.sandbox.grant_tier(WALLET)
    return at


def funded(at: Caller) -> Caller:
    at.sandbox.fund(WALLET, 20_000_000)
    return at


def account(at: Caller) -> str:
    return at.post("/billing/v1/accounts", json={"email": "ada@example.com"}).json()["id"]


def history(at: Caller) -> httpx.Response:
    funded(at).paid("POST", "/tiers/v1/hobby", json={})
    return at.get(f"/billing/v1/accounts/{WALLET.lower()}/history")


def linked(at: Caller) -> httpx.Response:
    return at.post(f"/billing/v1/accounts/{account(at)}/link-wallet", json={"wallet": WALLET})


def recharge(at: Caller, **changes: Any) -> httpx.Response:
    body = {"billing_account_id": account(at), "enabled": True, "threshold": 100, **changes}
    return at.post("/billing/v1/email-packs/auto-recharge", json=body)


def fauceted(at: Caller) -> httpx.Response:
    return at.post("/faucet/v1", json={"address": WALLET})


def priced(at: Caller) -> Caller:
    at.sandbox.price("message", 10_000)
    return at


def tampered(at: Caller, method: str, path: str) -> httpx.Response:
    return at.send(method, path, headers={HEADER: at.signed("/other")[HEADER]}, json={})


CASES: Cases = {
    "projectsProvision": [
        (201, lambda at: leased(at).post("/projects/v1", signer=SIGNER, json={"name": "shop"})),
        (201, lambda at: funded(at).paid("POST", "/projects/v1", json={"tier": "hobby"})),
        (400, lambda at: at.post("/projects/v1", signer=SIGNER, json={"tier": "giant"})),
        (400, lambda at: at.post("/projects/v1", signer=SIGNER, content=b"{")),
        (401, lambda at: at.post("/projects/v1", json={})),
        (402, lambda at: at.post("/projects/v1", signer=SIGNER, json={})),
        (402, lambda at: tampered(at, "POST", "/projects/v1")),
    ],
    "projectsDelete": [
        (200, lambda at: keyed(at, "DELETE")),
        (401, lambda at: unkeyed(at, "DELETE")),
        (403, lambda at: wrongly_keyed(at, "DELETE")),
        (400, lambda at: at.send("DELETE", "/projects/v1/nope", key=at.sandbox.seed_project().service_key)),
        (404, lambda at: at.send("DELETE", "/projects/v1/prj_no", key=at.sandbox.seed_project().service_key)),
    ],
    "projectsList": [
        (200, lambda at: at.get(f"/wallets/v1/{at.sandbox.seed_project().wallet.lower()}/projects")),
        (400, lambda at: at.get("/wallets/v1/nobody/projects")),
    ],
    "projectsGetUsage": [
        (200, lambda at: keyed(at, "GET", "usage")),
        (401, lambda at: unkeyed(at, "GET", "usage")),
        (403, lambda at: wrongly_keyed(at, "GET", "usage")),
    ],
    "projectsPin": [
        (200, lambda at: keyed(at, "POST", "pin")),
        (401, lambda at: unkeyed(at, "POST", "pin")),
        (403, lambda at: wrongly_keyed(at, "POST", "pin")),
    ],
    "projectsGetQuote": [(200, lambda at: at.get("/tiers/v1"))],
    "tierStatus": [
        (200, lambda at: at.get("/tiers/v1/status", signer=SIGNER)),
        (200, lambda at: leased(at).get("/tiers/v1/status", signer=SIGNER)),
        (401, lambda at: at.get("/tiers/v1/status")),
        (402, lambda at: tampered(at, "GET", "/tiers/v1/status")),
    ],
    "tierSet": [
        (200, lambda at: funded(at).paid("POST", "/tiers/v1/prototype", json={})),
        (400, lambda at: at.post("/tiers/v1/giant", signer=SIGNER, json={})),
        (401, lambda at: at.post("/tiers/v1/hobby", json={})),
        (402, lambda at: at.post("/tiers/v1/hobby", signer=SIGNER, json={})),
        (402, lambda at: at.paid("POST", "/tiers/v1/hobby", json={})),
    ],
    "billingCheckBalance": [
        (200, lambda at: at.get(f"/billing/v1/accounts/{WALLET.lower()}")),
        (200, lambda at: at.get("/billing/v1/accounts/ada%40example.com") if account(at) else fauceted(at)),
        (400, lambda at: at.get("/billing/v1/accounts/nobody")),
        (404, lambda at: at.get("/billing/v1/accounts/ada%40example.com")),
    ],
    "billingHistory": [
        (200, history),
        (400, lambda at: at.get(f"/billing/v1/accounts/{WALLET}/history?limit=many")),
    ],
    "billingCreateCheckout": [
        (201, lambda at: at.post("/billing/v1/checkouts", json={"wallet": WALLET, "amount_usd_micros": 5_000_000})),
        (400, lambda at: at.post("/billing/v1/checkouts", json={"wallet": WALLET, "amount_usd_micros": -1})),
        (400, lambda at: at.post("/billing/v1/checkouts", json={"wallet": "ada", "amount_usd_micros": 1})),
    ],
    "billingCreateEmailAccount": [
        (201, lambda at: at.post("/billing/v1/accounts", json={"email": "ada@example.com"})),
        (400, lambda at: at.post("/billing/v1/accounts", json={"email": "ada"})),
    ],
    "billingLinkWallet": [
        (200, linked),
        (404, lambda at: at.post("/billing/v1/accounts/acct_no/link-wallet", json={"wallet": WALLET})),
    ],
    "billingTierCheckout": [
        (201, lambda at: at.post("/billing/v1/tiers/hobby/checkout", json={"wallet": WALLET})),
        (201, lambda at: at.post("/billing/v1/tiers/hobby/checkout", json={"email": "ada@example.com"})),
        (400, lambda at: at.post("/billing/v1/tiers/hobby/checkout", json={})),
    ],
    "billingBuyEmailPack": [
        (201, lambda at: at.post("/billing/v1/email-packs/checkout", json={"wallet": WALLET})),
        (400, lambda at: at.post("/billing/v1/email-packs/checkout", json=[])),
    ],
    "billingSetAutoRecharge": [
        (200, recharge),
        (
            400,
            lambda at: at.post(
                "/billing/v1/email-packs/auto-recharge", json={"billing_account_id": account(at), "enabled": "yes"}
            ),
        ),
        (400, lambda at: recharge(at, threshold=-1)),
        (400, lambda at: recharge(at, threshold="many")),
        (404, lambda at: recharge(at, billing_account_id="acct_no")),
    ],
    "allowanceFaucet": [
        (200, fauceted),
        (429, lambda at: fauceted(at) and fauceted(at)),
        (400, lambda at: at.post("/faucet/v1", json={"address": "0x12"})),
    ],
    "serviceStatus": [(200, lambda at: at.get("/status"))],
    "serviceHealth": [(200, lambda at: at.get("/health"))],
    "adminSendMessage": [
        (201, lambda at: at.post("/message/v1", signer=OTHER, json={"message": "hi"})),
        (401, lambda at: at.post("/message/v1", json={"message": "hi"})),
        (402, lambda at: priced(at).post("/message/v1", signer=OTHER, json={"message": "hi"})),
    ],
    "adminSetAgentContact": [
        (200, lambda at: at.post("/agent/v1/contact", signer=OTHER, json={"name": "bot", "email": "a@example.com"})),
        (400, lambda at: at.post("/agent/v1/contact", signer=OTHER, json={"name": ""})),
        (401, lambda at: at.post("/agent/v1/contact", json={"name": "bot"})),
    ],
}
