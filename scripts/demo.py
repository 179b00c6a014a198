"""`make demo`: the whole job of each platform against an embedded sandbox, one line a step.

Every line is a call of the public client over real HTTP; nothing leaves this machine.
"""

from __future__ import annotations

import sys
from decimal import Decimal

from tollkit import PymtHouse, Tokenite, TokeniteAdmin
from tollkit.oidc import DeviceAuthorization
from tollkit.pymthouse import ManifestCache
from tollkit.pymthouse.usage import get_utc_calendar_month_iso_bounds
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


def main() -> None:
    """Run the tour."""
    with Sandbox() as sandbox:
        sandbox.pymthouse.demo_data()
        pymthouse(sandbox)
        tokenite(sandbox)
    print(f"\n{DIM}Next: the README's quick starts, or `tollkit sandbox` to have this server to yourself.{RESET}\n")


if __name__ == "__main__":
    main()
