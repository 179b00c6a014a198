"""Projects, tiers, billing, faucet and the platform itself at the sandboxed gateway, through the real clients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from run402_caller import OTHER, SIGNER, Caller, Side

from support.run402_wallet import ADDRESS, KEY
from tollkit.errors import ConflictError, NotFoundError, PaymentRequiredError, RateLimitError
from tollkit.run402.credentials import MemoryCredentials
from tollkit.run402.errors import ApiError, ProjectNotFound, Unauthorized
from tollkit.run402.local import LocalCredentials
from tollkit.sandbox import Run402Sandbox, Sandbox, banner
from tollkit.sandbox.run402.gateway import OWNER

DAY = 86_400


def test_a_project_from_provisioning_to_deletion(side: Side, run402_sandbox: Run402Sandbox) -> None:
    run402_sandbox.grant_tier(SIGNER.address, "hobby")
    client = side.client(run402_sandbox, signer=SIGNER)
    made = side.do(client.projects.provision(name="shop"))
    assert side.do(client.projects.active()) == made.project_id
    assert made.schema_slot == "project_" + made.project_id.removeprefix("prj_")

    (listed,) = side.do(client.projects.list(SIGNER.address)).projects
    assert (listed.id, listed.name, listed.tier, listed.status) == (made.project_id, "shop", "hobby", "active")
    usage = side.do(client.projects.get_usage(made.project_id))
    assert (usage.tier, usage.api_calls, usage.storage_limit_bytes) == ("hobby", 1, 1 << 30)
    assert side.do(client.projects.pin(made.project_id)).status == "pinned"
    assert run402_sandbox.project(made.project_id).pinned

    side.do(client.projects.delete(made.project_id))
    with pytest.raises(ProjectNotFound):
        side.do(client.projects.get_usage(made.project_id))
    assert side.do(client.projects.list(SIGNER.address)).projects == []
    with pytest.raises(ValueError, match="not found"):
        run402_sandbox.project(made.project_id)


def test_without_a_tier_a_project_has_a_price(side: Side, caller: Caller, run402_sandbox: Run402Sandbox) -> None:
    client = side.client(run402_sandbox, signer=SIGNER)
    with pytest.raises(PaymentRequiredError) as caught:
        side.do(client.projects.provision(tier="team"))
    assert caught.value.body["accepts"][0]["amount"] == "20000000"
    run402_sandbox.fund(SIGNER.address, 20_000_000)
    assert caller.paid("POST", "/projects/v1", json={"tier": "team"}).status_code == 201
    # the lease holds for further ones
    side.do(client.projects.provision(name="second"))
    status = side.do(client.tier.status())
    assert (status.tier, status.active, status.pool_usage.projects) == ("team", True, 2)
    assert [settled.what for settled in run402_sandbox.settlements] == ["project"]


def test_a_lease_ends_by_the_clock(side: Side, run402_sandbox: Run402Sandbox, tollkit_sandbox: Sandbox) -> None:
    run402_sandbox.grant_tier(SIGNER.address)
    client = side.client(run402_sandbox, signer=SIGNER)
    made = side.do(client.projects.provision())
    tollkit_sandbox.clock.advance(7 * DAY + 1)
    # the client signs by the machine's clock: what needs the wallet is not asked for here
    assert side.do(client.projects.get_usage(made.project_id)).status == "past_due"
    run402_sandbox.grant_tier(SIGNER.address)
    assert side.do(client.projects.get_usage(made.project_id)).status == "active"


def test_tiers_are_changed_and_renewed(caller: Caller, run402_sandbox: Run402Sandbox) -> None:
    run402_sandbox.fund(SIGNER.address, 60_000_000)
    seen = []
    for tier in ("prototype", "hobby", "hobby", "team", "prototype"):
        told = caller.paid("POST", f"/tiers/v1/{tier}", json={}).json()
        seen.append((told["action"], told["previous_tier"]))
    assert seen == [
        ("subscribe", None),
        ("upgrade", "prototype"),
        ("renew", "hobby"),
        ("upgrade", "hobby"),
        ("downgrade", "team"),
    ]
    assert told["allowance_remaining_usd_micros"] == 60_000_000 - 30_200_000


def test_a_renewed_lease_lasts_that_much_longer(run402_sandbox: Run402Sandbox, tollkit_sandbox: Sandbox) -> None:
    tollkit_sandbox.clock.freeze()
    for _ in range(2):
        run402_sandbox.grant_tier(SIGNER.address)
    lease = run402_sandbox.gateway.lease(SIGNER.address)
    assert lease is not None
    assert lease.expires_at - lease.started_at == 14 * DAY
    with pytest.raises(ValueError, match="no tier"):
        run402_sandbox.grant_tier(SIGNER.address, "giant")


def test_quotes(side: Side, run402_sandbox: Run402Sandbox) -> None:
    quotes = side.do(side.client(run402_sandbox).projects.get_quote())
    assert {name: quote.price for name, quote in quotes.tiers.items()} == {
        "prototype": "$0.10",
        "hobby": "$5.00",
        "team": "$20.00",
    }


def test_the_faucet(side: Side, run402_sandbox: Run402Sandbox, tollkit_sandbox: Sandbox) -> None:
    credentials = MemoryCredentials(api_base=run402_sandbox.api_base)
    client = side.client(run402_sandbox, credentials=credentials, max_retries=0)
    side.do(client.allowance.create())
    funds = side.do(client.allowance.faucet())
    assert (funds.amount, funds.token, funds.network) == ("0.25", "USDC", "base-sepolia")
    address = side.do(client.allowance.export())
    assert run402_sandbox.wallet_balance(address) == 250_000
    with pytest.raises(RateLimitError):
        side.do(client.allowance.faucet())
    tollkit_sandbox.clock.advance(DAY)
    side.do(client.allowance.faucet())
    assert run402_sandbox.wallet_balance(address) == 500_000


def test_billing(side: Side, caller: Caller, run402_sandbox: Run402Sandbox) -> None:
    client = side.client(run402_sandbox, signer=SIGNER)
    account = side.do(client.billing.create_email_account("ada@example.com"))
    assert account.verification_sent
    side.do(client.billing.link_wallet(account.id, SIGNER.address))
    side.do(client.billing.set_auto_recharge(billing_account_id=account.id, enabled=True, threshold=7))
    pack = side.do(client.billing.buy_email_pack(email="ada@example.com"))
    run402_sandbox.pay_checkout(pack.topup_id)
    top_up = side.do(client.billing.create_checkout(SIGNER.address, 1_500_000))
    for _ in range(2):  # a card is charged once
        run402_sandbox.pay_checkout(top_up.topup_id)
    tier = side.do(client.billing.tier_checkout("hobby", wallet=SIGNER.address))
    assert "the tier hobby" in caller.http.get(tier.checkout_url).text
    caller.http.post(tier.checkout_url)
    for identifier in (SIGNER.address, "ada@example.com"):
        balance = side.do(client.billing.check_balance(identifier))
        assert (balance.available_usd_micros, balance.email_credits_remaining) == (1_500_000, 10_000)
        assert (balance.tier, balance.auto_recharge_enabled, balance.auto_recharge_threshold) == ("hobby", True, 7)
    entries = side.do(client.billing.history(SIGNER.address)).entries
    assert [(entry.direction, entry.kind, entry.balance_after_available) for entry in entries] == [
        ("debit", "purchase", 1_500_000),
        ("credit", "topup", 6_500_000),
        ("credit", "topup", 1_500_000),
        ("debit", "purchase", 0),
        ("credit", "topup", 10_000_000),
    ]
    assert len(side.do(client.billing.history(SIGNER.address, limit=2)).entries) == 2


def test_a_wallets_account_goes_into_the_one_it_is_linked_to(side: Side, run402_sandbox: Run402Sandbox) -> None:
    client = side.client(run402_sandbox)
    top_up = side.do(client.billing.create_checkout(SIGNER.address, 1_000))
    run402_sandbox.pay_checkout(top_up.topup_id)
    ada = side.do(client.billing.create_email_account("ada@example.com"))
    grace = side.do(client.billing.create_email_account("grace@example.com"))
    side.do(client.billing.link_wallet(ada.id, SIGNER.address))
    side.do(client.billing.link_wallet(ada.id, SIGNER.address))
    assert side.do(client.billing.check_balance("ada@example.com")).available_usd_micros == 1_000
    with pytest.raises(ConflictError):
        side.do(client.billing.link_wallet(grace.id, SIGNER.address))
    with pytest.raises(NotFoundError):
        side.do(client.billing.link_wallet("acct_no", SIGNER.address))


def test_a_checkout_of_before_the_link_is_still_good(side: Side, run402_sandbox: Run402Sandbox) -> None:
    client = side.client(run402_sandbox)
    top_up = side.do(client.billing.create_checkout(SIGNER.address, 1_000))
    ada = side.do(client.billing.create_email_account("ada@example.com"))
    side.do(client.billing.link_wallet(ada.id, SIGNER.address))
    run402_sandbox.pay_checkout(top_up.topup_id)
    assert side.do(client.billing.check_balance("ada@example.com")).available_usd_micros == 1_000


def test_a_lease_by_card_holds_for_the_wallet_that_is_linked_later(side: Side, run402_sandbox: Run402Sandbox) -> None:
    client = side.client(run402_sandbox, signer=SIGNER)
    bought = side.do(client.billing.tier_checkout("hobby", email="ada@example.com"))
    run402_sandbox.pay_checkout(bought.topup_id)
    assert side.do(client.billing.check_balance("ada@example.com")).tier == "hobby"
    ada = side.do(client.billing.create_email_account("ada@example.com"))
    side.do(client.billing.link_wallet(ada.id, SIGNER.address))
    assert side.do(client.tier.status()).tier == "hobby"


def test_payments_are_in_the_history(caller: Caller, side: Side, run402_sandbox: Run402Sandbox) -> None:
    run402_sandbox.fund(SIGNER.address, 100_000)
    caller.paid("POST", "/tiers/v1/prototype", json={})
    (settled,) = run402_sandbox.settlements
    entries = side.do(side.client(run402_sandbox).billing.history(SIGNER.address)).entries
    assert [(entry.kind, entry.reference_id) for entry in entries] == [
        ("purchase", "tier:prototype"),
        ("x402_payment", settled.transaction),
    ]


def test_the_platform(side: Side, run402_sandbox: Run402Sandbox) -> None:
    client = side.client(run402_sandbox, signer=SIGNER)
    assert side.do(client.service.health()).status == "healthy"
    assert side.do(client.service.status()).deployment.version == "1.57.0-sandbox"
    assert side.do(client.admin.send_message("hello")).status == "sent"
    assert run402_sandbox.messages == [(SIGNER.address, "hello")]
    contact = side.do(client.admin.set_agent_contact(name="bot", webhook="https://example.com/hook"))
    assert (contact.name, contact.email, contact.webhook) == ("bot", None, "https://example.com/hook")
    for wrong in ({"email": "nobody"}, {"webhook": "http://example.com"}):
        with pytest.raises(ApiError):
            side.do(client.admin.set_agent_contact(name="bot", **wrong))


def test_another_projects_key(side: Side, run402_sandbox: Run402Sandbox) -> None:
    mine, other = run402_sandbox.seed_project(), run402_sandbox.seed_project()
    keys = {mine.id: {"anon_key": other.anon_key, "service_key": other.service_key}}
    client = side.client(run402_sandbox, credentials=MemoryCredentials(keys, api_base=run402_sandbox.api_base))
    with pytest.raises(Unauthorized) as caught:
        side.do(client.projects.get_usage(mine.id))
    assert caught.value.status == 403


def test_the_files_of_a_machine(
    side: Side, run402_sandbox: Run402Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in run402_sandbox.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RUN402_CONFIG_DIR", str(tmp_path))
    run402_sandbox.grant_tier(ADDRESS)
    (tmp_path / "allowance.json").write_text(json.dumps({"address": ADDRESS, "privateKey": KEY}))
    client = side.client(run402_sandbox, credentials=LocalCredentials(), api_base=None)
    assert client.api_base == run402_sandbox.api_base
    made = side.do(client.projects.provision(name="shop"))
    kept = json.loads((tmp_path / "projects.json").read_text())
    assert kept["active_project_id"] == made.project_id
    assert kept["projects"][made.project_id]["service_key"] == str.__str__(made.service_key)
    again = side.client(run402_sandbox, credentials=LocalCredentials(), api_base=None)
    assert side.do(again.projects.get_usage(made.project_id)).status == "active"
    assert [project.name for project in side.do(again.projects.list()).projects] == ["shop"]


# ---------------------------------------------------------------- levers, and what is the same everywhere


def test_ids_are_the_same_in_every_run(tollkit_sandbox: Sandbox) -> None:
    def begun(sandbox: Sandbox) -> tuple[str, str, str]:
        project = sandbox.run402.seed_project()
        return project.id, project.anon_key, project.service_key

    first = begun(tollkit_sandbox)
    assert begun(tollkit_sandbox) != first
    tollkit_sandbox.reset()
    assert begun(tollkit_sandbox) == first == begun(Sandbox())


def test_reset_forgets_everything(caller: Caller, run402_sandbox: Run402Sandbox) -> None:
    run402_sandbox.demo_data()
    run402_sandbox.fund(SIGNER.address, 1)
    run402_sandbox.set_payments(version=1)
    run402_sandbox.price("message", 5)
    caller.post("/faucet/v1", json={"address": OTHER.address})
    caller.post("/billing/v1/accounts", json={"email": "ada@example.com"})
    run402_sandbox.reset()
    tables = run402_sandbox.gateway.db.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    full = [
        table["name"]
        for table in tables
        if run402_sandbox.gateway.db.execute(f'SELECT count(*) AS n FROM "{table["name"]}"').fetchone()["n"]
    ]
    assert full == []
    assert caller.post("/message/v1", signer=SIGNER, json={"message": "hi"}).status_code == 201


def test_demo_data(side: Side, run402_sandbox: Run402Sandbox) -> None:
    made = run402_sandbox.demo_data()
    assert {name: project.id for name, project in run402_sandbox.demo_data().items()} == {
        name: project.id for name, project in made.items()
    }
    client = side.client(run402_sandbox, *made.values())
    assert [project.name for project in side.do(client.projects.list(OWNER)).projects] == ["shop", "blog"]
    assert side.do(client.projects.get_usage(made["shop"].id)).tier == "hobby"


def test_levers_over_http(tollkit_sandbox: Sandbox) -> None:
    def pull(lever: str, **arguments: Any) -> Any:
        answer = httpx.post(f"{tollkit_sandbox.url}/__sandbox__/run402/{lever}", json=arguments)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    project = pull("seed_project", name="shop")
    assert project["service_key"].startswith("r402_service_")
    assert pull("fund", address=SIGNER.address, amount=5) == 5
    assert pull("wallet_balance", address=SIGNER.address) == 5
    assert pull("get_settlements") == pull("get_refused_payments") == []
    refused = httpx.post(f"{tollkit_sandbox.url}/__sandbox__/run402/seed_project", json={"tier": "giant"})
    assert refused.status_code == 400


def test_the_banner_tells_where_it_is(tollkit_sandbox: Sandbox) -> None:
    assert f"export RUN402_API_BASE={tollkit_sandbox.run402.api_base}" in banner(tollkit_sandbox)


def test_what_is_not_there(caller: Caller) -> None:
    answer = caller.get("/no/such/route")
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    answer = caller.send("PUT", "/tiers/v1/hobby")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert caller.send("TRACE", "/status").status_code == 405
    assert caller.send("HEAD", "/status").content == b""


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"message": NaN}', b'{"message": 5}', b'{"message": " "}']
)
def test_bodies_that_make_no_sense(caller: Caller, body: bytes) -> None:
    answer = caller.post("/message/v1", signer=SIGNER, content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")


def test_an_error_of_the_sandbox_itself(
    caller: Caller, run402_sandbox: Run402Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    run402_sandbox.gateway.db.execute("ALTER TABLE messages RENAME TO elsewhere")
    try:
        answer = caller.post("/message/v1", signer=SIGNER, json={"message": "hi"})
    finally:
        run402_sandbox.gateway.db.execute("ALTER TABLE elsewhere RENAME TO messages")
    assert answer.status_code == 500
    assert (answer.json()["mutation_state"], answer.json()["retryable"]) == ("unknown", True)
    assert "a handler of the sandbox failed" in caplog.text


def test_a_project_that_goes_is_told_of(caller: Caller, run402_sandbox: Run402Sandbox) -> None:
    gone: list[str] = []
    project = run402_sandbox.seed_project()
    run402_sandbox.gateway.deleted.append(gone.append)
    try:
        caller.send("DELETE", f"/projects/v1/{project.id}", key=project.service_key)
    finally:
        run402_sandbox.gateway.deleted.remove(gone.append)
    assert gone == [project.id]
    assert caller.get(f"/projects/v1/admin/{project.id}/usage", key=project.service_key).status_code == 401


def test_storage_is_counted(side: Side, run402_sandbox: Run402Sandbox) -> None:
    project = run402_sandbox.seed_project(tier="team")
    run402_sandbox.gateway.store(project.id, 100)
    run402_sandbox.gateway.store(project.id, -40)
    run402_sandbox.gateway.set_site_url(project.id, "https://shop.example.com")
    usage = side.do(side.client(run402_sandbox, project).projects.get_usage(project.id))
    assert usage.storage_bytes == 60
    assert run402_sandbox.project(project.id).site_url == "https://shop.example.com"
