"""`make demo`: the whole job of each platform against an embedded sandbox, one line a step.

Every line is a call of the public client over real HTTP; nothing leaves this machine.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

import httpx

from tollkit import PymtHouse, Run402, Tokenite, TokeniteAdmin
from tollkit.oidc import DeviceAuthorization
from tollkit.pymthouse import ManifestCache
from tollkit.pymthouse.usage import get_utc_calendar_month_iso_bounds
from tollkit.run402 import PaymentRequired
from tollkit.run402.deploy.files import file_set_from_dir
from tollkit.run402.payments import SqliteJournal
from tollkit.sandbox import Person, Sandbox
from tollkit.tokenite import CallbackSuccess, FundingNeeded, ProxyError, parse_callback

BOLD, DIM, GREEN, RESET = ("\033[1m", "\033[2m", "\033[32m", "\033[0m") if sys.stdout.isatty() else ("",) * 4


def step(name: str, told: str) -> None:
    """One line of the walk."""
    print(f"  {GREEN}✓{RESET} {name:<28} {told}", flush=True)


def pymthouse(sandbox: Sandbox) -> None:
    """Everything that an app does with PymtHouse."""
    print(f"\n{BOLD}PymtHouse{RESET} {DIM}a clearinghouse for signing jobs, here at {sandbox.url}{RESET}\n")
    place = sandbox.pymthouse
    with PymtHouse(
        issuer_url=place.issuer_url,
        public_client_id=place.public_client_id,
        m2m_client_id=place.m2m_client_id,
        m2m_client_secret=place.m2m_client_secret,
        allow_insecure_http=True,
    ) as client:
        found = client.get_discovery()
        step("discovery", f"issuer {found.issuer}")

        user = client.upsert_app_user("carol", email="carol@example.com")
        step("user created", f"{user.external_user_id} is {user.status}, known there as {user.id}")

        session = client.mint_signer_session_for_external_user("carol")
        days = session.expires_in // 86400
        step("signer session minted", f"{session.access_token!r} ({session.scope}), good for {days} days")

        def show(code: DeviceAuthorization) -> None:
            step("device asks to log in", f"it shows {code.user_code} and waits at {code.verification_uri}")
            client.approve_device_login("carol", code.user_code)
            step("device login approved", f"for carol, by code {code.user_code}")

        tokens = client.poll_device_token(scope="openid sign:job", on_user_code=show)
        claims = client.verify_access_token(tokens.access_token, required_scopes=["sign:job"])
        step("device has its token", f"verified: issued to {claims.client_id}, scopes {', '.join(claims.scopes)}")

        month = get_utc_calendar_month_iso_bounds()
        price = Decimal(str(client.get_eth_usd_price().eth_usd.price_usd))
        for who in ("alice", "bob"):
            usage = client.fetch_usage_for_external_user(who, start_date=month.start_date, end_date=month.end_date)
            mine = usage.current_user
            usd = Decimal(mine.network_fee_usd_micros) / 1_000_000
            top = max(mine.pipeline_models, key=lambda row: row.network_fee_usd_micros or 0)
            step(
                f"usage of {who}",
                f"{mine.request_count} requests, {usd:.2f} USD = {usd / price:.6f} ETH, most of it {top.model_id}",
            )

        cache = ManifestCache(client, fresh_for=0)
        first = cache.get()
        step("manifest fetched", f"{len(first.manifest.capabilities)} capabilities, entity tag {first.etag}")
        again = client.get_app_manifest.raw(if_none_match=first.etag)
        step("manifest asked for again", f"{again.status}: not modified, nothing sent twice")


def tokenite(sandbox: Sandbox) -> None:
    """Everything that an app does with Tokenite."""
    place, person = sandbox.tokenite, Person()
    print(f"\n{BOLD}Tokenite{RESET} {DIM}a wallet of AI keys for each user, here at {place.base_url}{RESET}\n")
    question = {
        "model": "claude-haiku-4-5",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Name three rivers."}],
    }
    with (
        Tokenite.from_env(place.env()) as client,
        TokeniteAdmin.from_env(place.env()) as admin,
    ):
        asked = client.get_authorize_url(suggested_budget="0.01")
        step("user is sent to sign in", f"{asked.url.partition('?')[0]}, state {asked.state[:8]}...")
        came_back = person.approve(asked.url)  # what the user does in the browser
        outcome = parse_callback(came_back, asked.state)
        assert isinstance(outcome, CallbackSuccess)
        step("user is back", f"{came_back.partition('?')[0]} with a {outcome.code!r}")
        token = client.exchange_code(outcome.code).access_token
        step("code exchanged", f"{token!r} ({place.connection(token).budget_limit} USD)")

        context = client.get_access_context(token)
        models = [model for model in context.models if model.callable_now]
        step("access context", f"{context.user.email}, {len(context.providers)} providers, {len(models)} models")

        result = client.call(token, "anthropic", "/v1/messages", question).raise_for_error()
        assert result.usage is not None
        used = f"{result.usage.input_tokens} tokens in, {result.usage.output_tokens} out"
        step("model called", f"{result.model}: {used}, {place.spent(token)} USD")

        place.set_budget(token, place.spent(token))
        refused = client.call(token, "anthropic", "/v1/messages", question)
        assert isinstance(refused, ProxyError)
        step("budget is empty", f"{refused.status} {refused.code}: {refused.message}")

        def top_up(needed: FundingNeeded) -> bool:
            person.top_up(needed.top_up.url, "1.00")  # what the user does in the browser
            return True

        again = client.call_with_recovery(token, "anthropic", "/v1/messages", question, on_funding_needed=top_up)
        step("topped up, called again", f"ok: {again.ok}, limit now {place.connection(token).budget_limit} USD")

        (app,) = admin.apps.list()
        costs = sum(row.cost_usd for row in admin.spending.iterate(app_id=app.id))
        step("operator looks at spending", f"{app.name}: {costs} USD")


def run402(sandbox: Sandbox, folder: Path) -> None:
    """A program that makes itself a wallet, a project, and all that runs on it."""
    place = sandbox.run402
    print(f"\n{BOLD}Run402{RESET} {DIM}a backend that programs pay for, here at {place.api_base}{RESET}\n")
    # keys, wallet and payments of this tour: never those of the person who looks at it
    os.environ.update(place.env(), RUN402_CONFIG_DIR=str(folder / "config"))
    os.environ.pop("RUN402_ALLOWANCE_PATH", None)
    with Run402(allow_insecure_http=True) as client:
        step("wallet created", client.allowance.create().address)
        funds = client.allowance.faucet()
        step("test money", f"{funds.amount} {funds.token} on {funds.network}, from the faucet")

        with Run402(allow_insecure_http=True, payments=False) as careful:
            try:
                careful.projects.provision(name="notes")
            except PaymentRequired as asked:
                step("asked without paying", f"{asked.status} {asked.code}")
        made = client.projects.provision(name="notes")
        (paid,) = SqliteJournal().payments()
        step("paid, and provisioned", f"{made.project_id} for {paid.amount / 1_000_000:.2f} USDC to {paid.payee}")
        step("payment settled", f"{paid.state} by transaction {(paid.transaction or '')[:18]}...")

        project = client.project()
        project.projects.sql(
            "CREATE TABLE notes (id serial PRIMARY KEY, title text NOT NULL, done boolean DEFAULT false)"
        )
        step("table created", "notes")
        added = "INSERT INTO notes (title) VALUES ($1), ($2)"
        step("rows inserted", f"{project.projects.sql(added, ['buy milk', 'call Ada']).row_count}")
        rows = project.projects.sql("SELECT id, title FROM notes ORDER BY id").rows or []
        step("rows selected", f"{rows[0]}, {rows[1]}")
        project.projects.apply_expose(
            {
                "version": "1",
                "tables": [{"name": "notes", "expose": True, "policy": "public_read_authenticated_write"}],
            }
        )
        found = project.projects.rest("notes", {"select": "title", "title": "like.*Ada*"})
        step("exposed, read over REST", f"with the anon key: {found}")

        box = project.email.create_mailbox("notes")
        sent = project.email.send(to="ada@example.com", subject="Your notes", html="<p>Two of them.</p>")
        step("mail sent", f"{box.address} to {sent.to}: {sent.status}")
        place.mail.receive(box.mailbox_id, sender="ada@example.com", text="Thanks!", in_reply_to=sent.message_id)
        (reply,) = project.email.get(sent.message_id).replies or []
        step("answer read", f"{reply.from_} says {reply.body!r}")

        project.secrets.set("GREETING", "hello")
        step("secret set", ", ".join(secret.key for secret in project.secrets.list().secrets))
        project.functions.deploy(name="greet", code="export default async (req) => Response.json({ok: true})")
        place.functions.run_with(made.project_id, "greet", lambda call: {"hello": call.json["name"]})  # runs no Node
        answer = project.functions.invoke("greet", body={"name": "Ada"})
        step("function deployed, called", f"{answer.status} {answer.body}")

        site = folder / "site"
        site.mkdir()
        (site / "index.html").write_text("<!doctype html><title>Notes of Ada</title><h1>Notes</h1>", encoding="utf-8")
        (site / "style.css").write_text("h1 { color: teal }", encoding="utf-8")
        deployed = project.deploy.apply({"site": {"replace": file_set_from_dir(site)}}, poll_interval=0.01)
        step("site deployed", f"{deployed.release_id}, by operation {deployed.operation_id}")
        address = place.deploys.site_address(made.project_id)
        page = httpx.get(address).raise_for_status().text
        title = re.search("<title>(.*)</title>", page)
        step("site opened", f"{address} is {title[1] if title else None!r}")

        mine = client.projects.list().projects
        step("projects of the wallet", ", ".join(f"{one.name} ({one.id}, {one.tier})" for one in mine))
        payments = list(SqliteJournal().payments())
        total = sum(payment.amount for payment in payments) / 1_000_000
        step("what was paid", f"{total:.2f} USDC in {len(payments)} payment, {place.wallet_balance(paid.payer)} left")


def main() -> None:
    """Run the tour."""
    with Sandbox() as sandbox, tempfile.TemporaryDirectory() as folder:
        sandbox.pymthouse.demo_data()
        pymthouse(sandbox)
        tokenite(sandbox)
        run402(sandbox, Path(folder))
    print(f"\n{DIM}Next: the README's quick starts, or `tollkit sandbox` to have this server to yourself.{RESET}\n")


if __name__ == "__main__":
    main()
