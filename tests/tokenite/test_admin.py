"""The admin API: every call against the sandbox, with both clients."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest

from support.tokenite import Side
from tollkit.errors import ArgumentError, AuthenticationError, StatusError
from tollkit.sandbox import Fault, Sandbox
from tollkit.secrets import Secret
from tollkit.tokenite import TokeniteError

PASSWORD = "correct horse battery"
MESSAGES = {"model": "claude-sonnet-4-5", "max_tokens": 8, "messages": [{"role": "user", "content": "Hello"}]}


@attrs.frozen
class Admin:
    """A client with a way to call it: `admin("apps.create", "Name", ...)`."""

    side: Any
    client: Any

    def __call__(self, method: str, *args: Any, **kwargs: Any) -> Any:
        result = self.side.do(self.method(method)(*args, **kwargs))
        for record in result if isinstance(result, list) else [result]:
            assert not getattr(record, "additional_properties", None), "the document names all that the sandbox sends"
        return result

    def method(self, method: str) -> Callable[..., Any]:
        group, _, name = method.partition(".")
        return getattr(getattr(self.client, group), name)

    def acting_as(self, **changes: Any) -> Admin:
        return Admin(self.side, self.client.acting_as(**changes))

    def rows(self, most: int = 10_000, **query: Any) -> list[Any]:
        """What `spending.iterate` gives, that many rows at most."""
        rows = self.client.spending.iterate(**query)
        if not hasattr(rows, "__anext__"):
            return [row for _, row in zip(range(most), rows, strict=False)]

        async def main() -> list[Any]:
            found: list[Any] = []
            async for row in rows:
                found.append(row)
                if len(found) == most:
                    break
            return found

        return self.side.do(main())

    def refused(self, code: str, method: str, *args: Any, **kwargs: Any) -> StatusError:
        """The error of a call that the platform refuses with that code."""
        with pytest.raises(StatusError) as caught:
            self(method, *args, **kwargs)
        error = caught.value
        assert isinstance(error, TokeniteError)
        assert error.code == code
        assert error.body["error"]["code"] == code
        assert error.message == error.body["error"]["message"]
        return error


@pytest.fixture
def place(tokenite_sandbox: Any) -> Any:
    return tokenite_sandbox


@pytest.fixture
def anybody(side: Side, place: Any) -> Admin:
    """A client without a key."""
    return Admin(side, side.admin(place))


@pytest.fixture
def admin(anybody: Admin, place: Any) -> Admin:
    """A client with the key of the sandbox's first user."""
    return anybody.acting_as(api_key=place.api_key)


@pytest.fixture
def grace(anybody: Admin) -> Admin:
    """A client of another user."""
    return anybody.acting_as(api_key=anybody("auth.register", "grace@example.com", PASSWORD).token)


# --- auth -----------------------------------------------------------------------------------------------


def test_a_user_registers_and_logs_in(anybody: Admin) -> None:
    made = anybody("auth.register", "grace@example.com", PASSWORD)
    assert isinstance(made.token, Secret)
    for key in (made.token, anybody("auth.login", "Grace@Example.com", PASSWORD).token):
        me = anybody.acting_as(api_key=key)("auth.me")
        assert (me.user_id, me.email) == (made.user_id, "grace@example.com")


def test_what_register_and_login_refuse(anybody: Admin) -> None:
    anybody("auth.register", "grace@example.com", PASSWORD)
    assert anybody.refused("EMAIL_TAKEN", "auth.register", "GRACE@example.com", PASSWORD).status == 409
    assert anybody.refused("VALIDATION", "auth.register", "no address", PASSWORD).status == 400
    assert anybody.refused("VALIDATION", "auth.register", "mary@example.com", "short").status == 400
    for email, password in (("grace@example.com", "wrong"), ("nobody@example.com", PASSWORD)):
        assert anybody.refused("INVALID_CREDENTIALS", "auth.login", email, password).status == 401


def test_a_user_who_only_signed_in_on_the_pages_has_no_password(anybody: Admin, place: Any) -> None:
    place.seed_user("mary@example.com")
    anybody.refused("INVALID_CREDENTIALS", "auth.login", "mary@example.com", "None")
    anybody.refused("EMAIL_TAKEN", "auth.register", "mary@example.com", PASSWORD)


def test_the_sandbox_says_its_users_password(anybody: Admin) -> None:
    token = anybody("auth.login", "ada@example.com", "sandbox-password").token
    assert anybody.acting_as(api_key=token)("auth.me").email == "ada@example.com"


def test_keys_are_made_listed_and_revoked(admin: Admin) -> None:
    before = [one.id for one in admin("auth.list_tokens")]
    made = admin("auth.create_token", "deploy")
    assert (made.name, made.last_used_at) == ("deploy", None)
    assert made.key_hint == f"...{made.token.reveal()[-4:]}"
    deploy = admin.acting_as(api_key=made.token)
    assert deploy("auth.me").email == "ada@example.com"
    listed = {one.id: one for one in admin("auth.list_tokens")}
    assert [*listed] == [*before, made.id]
    assert listed[made.id].last_used_at >= made.created_at
    assert not hasattr(listed[made.id], "token")
    assert admin("auth.revoke_token", made.id) is None
    assert deploy.refused("UNAUTHORIZED", "auth.me").status == 401
    assert [one.id for one in admin("auth.list_tokens")] == before
    assert admin.refused("NOT_FOUND", "auth.revoke_token", made.id).status == 404


def test_a_key_of_somebody_else_cannot_be_revoked(admin: Admin, grace: Admin) -> None:
    made = admin("auth.create_token", "deploy")
    grace.refused("NOT_FOUND", "auth.revoke_token", made.id)
    assert grace("auth.list_tokens") == [], "what a login gives is no key of the list"


# --- accounts -------------------------------------------------------------------------------------------


@pytest.fixture
def business(admin: Admin) -> Any:
    return admin("accounts.create", "Analytical Engines", pool_budget_limit_usd="250.50", pool_reset_period="monthly")


def claim_token(invitation: Any) -> str:
    return dict(parse_qsl(urlsplit(invitation.claim_url.reveal()).query))["token"]


@pytest.fixture
def member(admin: Admin, grace: Admin, business: Any) -> Admin:
    """Grace, a member of the business account."""
    invitation = admin("accounts.invite", business.id, "grace@example.com")
    grace("accounts.claim", claim_token(invitation))
    return grace


def test_accounts_are_made_read_changed_and_deleted(admin: Admin, business: Any) -> None:
    assert (business.type_, business.name, business.role) == ("business", "Analytical Engines", "owner")
    assert (business.pool_budget_limit_usd, business.pool_budget_spent_usd) == (Decimal("250.5"), 0)
    assert business.pool_reset_period == "monthly"
    assert business.owner_user_id == admin("auth.me").user_id
    assert [one.type_ for one in admin("accounts.list")] == ["personal", "business"]
    assert admin("accounts.get", business.id) == business

    renamed = admin("accounts.update", business.id, name="Engines")
    assert (renamed.name, renamed.pool_budget_limit_usd) == ("Engines", Decimal("250.5"))
    unlimited = admin("accounts.update", business.id, pool_budget_limit_usd=None, pool_reset_period=None)
    assert (unlimited.name, unlimited.pool_budget_limit_usd, unlimited.pool_reset_period) == ("Engines", None, None)
    assert admin("accounts.update", business.id, pool_budget_limit_usd=7.25).pool_budget_limit_usd == Decimal("7.25")

    assert admin("accounts.delete", business.id) is None
    assert [one.type_ for one in admin("accounts.list")] == ["personal"]
    assert admin.refused("NOT_FOUND", "accounts.get", business.id).status == 404


def test_a_plain_account_has_no_pool(admin: Admin) -> None:
    plain = admin("accounts.create", "Plain")
    assert (plain.pool_budget_limit_usd, plain.pool_reset_period) == (None, None)


def test_only_what_is_given_is_sent(admin: Admin, business: Any, tollkit_sandbox: Sandbox) -> None:
    tollkit_sandbox.requests.clear()
    admin("accounts.update", business.id)
    admin("accounts.update", business.id, pool_budget_limit_usd=None)
    admin("accounts.update_member", business.id, business.owner_user_id, monthly_cap_usd="5")
    admin("accounts.update_member", business.id, business.owner_user_id, role="owner")
    sent = [one.json for one in tollkit_sandbox.requests.all()]
    assert sent == [{}, {"poolBudgetLimitUsd": None}, {"monthlyCapUsd": 5}, {"role": "owner"}]


def test_calls_on_one_account_name_it_in_the_header(admin: Admin, business: Any, tollkit_sandbox: Sandbox) -> None:
    elsewhere = admin.acting_as(account_id="acc_elsewhere")
    tollkit_sandbox.requests.clear()
    elsewhere("accounts.get", business.id)
    elsewhere("accounts.update", business.id, name="Engines")
    invitation = elsewhere("accounts.invite", business.id, "mary@example.com", role="owner")
    elsewhere("accounts.invitations", business.id)
    elsewhere("accounts.cancel_invite", business.id, invitation.id)
    elsewhere("accounts.members", business.id)
    elsewhere("accounts.update_member", business.id, business.owner_user_id, role="owner")
    elsewhere.refused("SOLE_OWNER", "accounts.remove_member", business.id, business.owner_user_id)
    elsewhere.refused("SOLE_OWNER", "accounts.leave", business.id)
    elsewhere("accounts.delete", business.id)
    assert {one.headers["x-account-id"] for one in tollkit_sandbox.requests.all()} == {business.id}


def test_the_account_of_the_client_goes_with_every_other_call(admin: Admin, business: Any) -> None:
    team = admin.acting_as(account_id=business.id)
    assert team.client.account_id == business.id
    app = team("apps.create", "Team app", "https://team.example/callback")
    assert [one.id for one in team("apps.list")] == [app.id]
    assert app.id not in [one.id for one in admin("apps.list")]
    admin.refused("NOT_FOUND", "apps.get", app.id)
    back = team.acting_as(account_id=None)
    assert app.id not in [one.id for one in back("apps.list")]


def test_an_account_of_others_is_forbidden(admin: Admin, grace: Admin, business: Any) -> None:
    assert grace.refused("FORBIDDEN", "accounts.get", business.id).status == 403
    assert grace.acting_as(account_id=business.id).refused("FORBIDDEN", "apps.list").status == 403
    grace.acting_as(account_id="acc_none").refused("FORBIDDEN", "apps.list")
    grace.refused("NOT_FOUND", "accounts.get", "acc_none")


def test_an_invitation_is_claimed(admin: Admin, grace: Admin, business: Any) -> None:
    made = admin("accounts.invite", business.id, "Grace@example.com")
    assert isinstance(made.claim_url, Secret)
    assert (made.account_id, made.role, made.accepted_at) == (business.id, "member", None)
    assert (made.expires_at - made.created_at).days == 7
    assert [one.id for one in admin("accounts.invitations", business.id)] == [made.id]

    claimed = grace("accounts.claim", claim_token(made))
    assert (claimed.account_id, claimed.role) == (business.id, "member")
    assert grace("accounts.get", business.id).role == "member"
    assert admin("accounts.invitations", business.id)[0].accepted_at is not None
    members = {one.email: one for one in admin("accounts.members", business.id)}
    assert {email: one.role for email, one in members.items()} == {
        "ada@example.com": "owner",
        "grace@example.com": "member",
    }
    assert (members["grace@example.com"].monthly_cap_usd, members["grace@example.com"].mtd_spend_usd) == (None, 0)


def test_what_becomes_of_other_claims(
    admin: Admin, anybody: Admin, grace: Admin, business: Any, tollkit_sandbox: Sandbox
) -> None:
    late = admin("accounts.invite", business.id, "grace@example.com")
    cancelled = admin("accounts.invite", business.id, "grace@example.com")
    assert admin("accounts.cancel_invite", business.id, cancelled.id) is None
    assert grace.refused("NOT_FOUND", "accounts.claim", claim_token(cancelled)).status == 404
    admin.refused("NOT_FOUND", "accounts.cancel_invite", business.id, cancelled.id)
    admin.refused("FORBIDDEN", "accounts.claim", claim_token(late))

    tollkit_sandbox.clock.advance(7 * 86_400)
    expired = grace.refused("INVITATION_EXPIRED", "accounts.claim", claim_token(late))
    assert (expired.status, type(expired).__name__) == (410, "StatusError")

    fresh = admin("accounts.invite", business.id, "grace@example.com")
    grace("accounts.claim", claim_token(fresh))
    assert grace.refused("ALREADY_MEMBER", "accounts.claim", claim_token(fresh)).status == 409
    assert admin.refused("ALREADY_MEMBER", "accounts.invite", business.id, "grace@example.com").status == 409
    assert grace("accounts.leave", business.id) is None
    grace.refused("INVITATION_EXPIRED", "accounts.claim", claim_token(fresh))
    grace.refused("FORBIDDEN", "accounts.get", business.id)


def test_members_are_changed_and_removed(admin: Admin, member: Admin, business: Any) -> None:
    user_id = member("auth.me").user_id
    assert admin("accounts.update_member", business.id, user_id, monthly_cap_usd=Decimal("20.25")) is None
    capped = {one.user_id: one for one in admin("accounts.members", business.id)}[user_id]
    assert (capped.monthly_cap_usd, capped.role) == (Decimal("20.25"), "member")
    admin("accounts.update_member", business.id, user_id, role="owner", monthly_cap_usd=None)
    promoted = {one.user_id: one for one in member("accounts.members", business.id)}[user_id]
    assert (promoted.monthly_cap_usd, promoted.role) == (None, "owner")

    ada = admin("auth.me").user_id
    member("accounts.update_member", business.id, ada, role="member")
    assert admin("accounts.get", business.id).owner_user_id == user_id, "who is no owner does not own the account"
    assert member("accounts.remove_member", business.id, ada) is None
    assert member.refused("NOT_FOUND", "accounts.remove_member", business.id, ada).status == 404
    assert member.refused("SOLE_OWNER", "accounts.update_member", business.id, user_id, role="member").status == 409
    member.refused("SOLE_OWNER", "accounts.remove_member", business.id, user_id)
    member.refused("SOLE_OWNER", "accounts.leave", business.id)


def test_members_may_look_and_owners_may_change(admin: Admin, member: Admin, business: Any) -> None:
    user_id, team = member("auth.me").user_id, member.acting_as(account_id=business.id)
    app = admin.acting_as(account_id=business.id)("apps.create", "Team", "https://team.example/callback")
    assert team("apps.get", app.id).name == "Team"
    assert team("keys.list") == []
    assert len(member("accounts.members", business.id)) == 2
    for call in (
        ("accounts.update", business.id),
        ("accounts.delete", business.id),
        ("accounts.invite", business.id, "mary@example.com"),
        ("accounts.invitations", business.id),
        ("accounts.cancel_invite", business.id, "inv_1"),
        ("accounts.update_member", business.id, user_id),
        ("accounts.remove_member", business.id, user_id),
        ("apps.create", "Mine", "https://mine.example/callback"),
        ("apps.update", app.id),
        ("apps.rotate_secret", app.id),
        ("apps.delete", app.id),
        ("keys.add", "openai", "sk-1"),
    ):
        assert team.refused("INSUFFICIENT_ROLE", *call).status == 403


def test_a_personal_account_stays_one(admin: Admin) -> None:
    personal = admin("accounts.list")[0]
    admin.refused("FORBIDDEN", "accounts.delete", personal.id)
    admin.refused("FORBIDDEN", "accounts.invite", personal.id, "grace@example.com")
    admin.refused("SOLE_OWNER", "accounts.leave", personal.id)
    admin.refused("VALIDATION", "accounts.create", "Another", type="personal")


# --- apps -----------------------------------------------------------------------------------------------


def test_apps_are_made_read_changed_and_deleted(admin: Admin) -> None:
    made = admin(
        "apps.create",
        "Poems",
        "https://poems.example/callback",
        required_providers=["anthropic"],
        preferred_providers=("openai", "google"),
        allow_substitution=False,
        model_strategy="models",
        allowed_models=["claude-sonnet-4-5"],
        allows_managed_agents=True,
        website_url="https://poems.example",
        description="Writes poems",
        icon_url="https://poems.example/icon.png",
    )
    assert isinstance(made.app_secret, Secret)
    assert (made.required_providers, made.preferred_providers) == (["anthropic"], ["openai", "google"])
    assert (made.model_strategy, made.allowed_models, made.required_tier) == ("models", ["claude-sonnet-4-5"], None)
    assert (made.allow_substitution, made.allows_managed_agents) == (False, True)
    assert made.builder_id == admin("auth.me").user_id
    assert made.created_at.utcoffset() is not None

    read = admin("apps.get", made.id)
    assert read.to_dict() == {name: value for name, value in made.to_dict().items() if name != "appSecret"}
    assert read in admin("apps.list")

    changed = admin(
        "apps.update",
        made.id,
        name="Odes",
        callback_url="https://odes.example/callback",
        required_providers=[],
        preferred_providers=["grok"],
        allow_substitution=True,
        model_strategy="tier",
        allowed_models=None,
        required_tier="smart",
        allows_managed_agents=False,
        website_url=None,
        description=None,
        icon_url="https://odes.example/icon.png",
    )
    assert changed.to_dict() == {
        "id": made.id,
        "builderId": made.builder_id,
        "name": "Odes",
        "callbackUrl": "https://odes.example/callback",
        "requiredProviders": [],
        "preferredProviders": ["grok"],
        "allowSubstitution": True,
        "modelStrategy": "tier",
        "requiredTier": "smart",
        "allowsManagedAgents": False,
        "iconUrl": "https://odes.example/icon.png",
        "createdAt": made.to_dict()["createdAt"],
    }
    assert (
        admin("apps.update", made.id, model_strategy="any", required_tier=None, icon_url=None).required_tier is None
    )
    assert admin("apps.update", made.id) == admin("apps.get", made.id)

    assert admin("apps.delete", made.id) is None
    for call in ("apps.get", "apps.update", "apps.rotate_secret", "apps.delete"):
        assert admin.refused("NOT_FOUND", call, made.id).status == 404


def test_an_app_with_nothing_but_a_name_and_an_address(admin: Admin) -> None:
    made = admin("apps.create", "Poems", "https://poems.example/callback")
    assert (made.required_providers, made.model_strategy, made.allow_substitution) == ([], "any", True)
    tier = admin("apps.create", "Odes", "https://odes.example/callback", model_strategy="tier", required_tier="fast")
    assert tier.required_tier == "fast"
    assert admin("apps.update", tier.id, model_strategy="tier").required_tier == "fast", "set before"


def test_what_the_platform_refuses_of_an_app(admin: Admin) -> None:
    app = admin("apps.create", "Poems", "https://poems.example/callback")
    for changes in (
        {"required_providers": ["nobody"]},
        {"callback_url": "poems"},
        {"required_tier": "huge"},
        {"model_strategy": "all"},
        {"model_strategy": "tier"},
    ):
        assert admin.refused("VALIDATION", "apps.update", app.id, **changes).status == 400
    assert admin("apps.get", app.id).to_dict().items() <= app.to_dict().items(), "nothing was changed"


def test_a_rotated_secret_makes_the_old_one_worthless(side: Side, admin: Admin, place: Any) -> None:
    redirect_uri = "https://poems.example/callback"
    app = admin("apps.create", "Poems", redirect_uri)
    secret = admin("apps.rotate_secret", app.id)
    assert isinstance(secret, Secret)
    assert secret != app.app_secret
    grant = {"client_id": app.id, "redirect_uri": redirect_uri}
    code = admin("oauth.authorize", budget_limit=5, **grant).code
    old = side.client(place, client_secret=app.app_secret, **grant)
    with pytest.raises(AuthenticationError) as caught:
        side.do(old.exchange_code(code))
    assert caught.value.code == "INVALID_CLIENT"
    new = side.client(place, client_secret=secret, **grant)
    assert side.do(new.exchange_code(code)).token_type == "Bearer"


# --- keys -----------------------------------------------------------------------------------------------


def test_a_key_makes_its_vendor_callable(side: Side, admin: Admin, place: Any) -> None:
    place.seed_user("ada@example.com", providers=())
    token = place.grant()
    app = side.client(place)

    def code() -> str | None:
        result = side.do(app.call(token, "anthropic", "/v1/messages", MESSAGES))
        return None if result.ok else result.code

    assert code() == "PROVIDER_KEY_MISSING"
    key = admin("keys.add", "anthropic", "sk-ant-secret-1234")
    assert (key.provider, key.key_hint) == ("anthropic", "...1234")
    assert admin("keys.list") == [key]
    assert code() is None
    assert admin("keys.remove", key.id) is None
    assert code() == "PROVIDER_KEY_MISSING"
    assert admin.refused("NOT_FOUND", "keys.remove", key.id).status == 404
    assert admin.refused("VALIDATION", "keys.add", "nobody", "sk-1").status == 400


# --- oauth and connections ------------------------------------------------------------------------------


def test_an_app_is_granted_a_budget_without_a_browser(side: Side, admin: Admin, place: Any) -> None:
    grant = {"client_id": place.client_id, "redirect_uri": "http://127.0.0.1:7777/back?x=1"}
    made = admin("oauth.authorize", budget_limit="2.50", state="a&b", **grant)
    assert isinstance(made.code, Secret)
    assert isinstance(made.redirect_to, Secret)
    assert made.redirect_to == f"{grant['redirect_uri']}&code={made.code}&state=a%26b"
    app = side.client(place, redirect_uri=grant["redirect_uri"])
    token = side.do(app.exchange_code(made.code)).access_token
    assert place.connection(token).budget_limit == Decimal("2.50")

    again = admin("oauth.authorize", budget_limit=3.75, **grant)
    assert "state" not in again.redirect_to
    (connection,) = admin("connections.list")
    assert connection.budget_limit == Decimal("3.75")


def test_what_authorize_refuses(admin: Admin, place: Any) -> None:
    grant = {"client_id": place.client_id, "redirect_uri": place.redirect_uri, "budget_limit": 5}
    assert admin.refused("INVALID_CLIENT", "oauth.authorize", **{**grant, "client_id": "app_none"}).status == 401
    elsewhere = {**grant, "redirect_uri": "https://elsewhere.example/callback"}
    assert admin.refused("VALIDATION", "oauth.authorize", **elsewhere).status == 400


def test_connections_are_listed_with_their_app(admin: Admin, grace: Admin, place: Any) -> None:
    token = place.grant(budget="7.25")
    place.spend(token, cost="0.4")
    (connection,) = admin("connections.list")
    assert (connection.app_id, connection.app_name) == (place.client_id, "Sandbox App")
    assert connection.app_description == "The app that the sandbox begins with"
    assert (connection.budget_limit, connection.budget_spent) == (Decimal("7.25"), Decimal("0.42"))
    assert (connection.is_suspended, connection.app_website_url) == (False, None)
    assert grace("connections.list") == []
    assert grace.refused("NOT_FOUND", "connections.stats", connection.id).status == 404


def test_the_stats_of_a_connection(admin: Admin, place: Any) -> None:
    token = place.grant()
    (connection,) = admin("connections.list")
    none = admin("connections.stats", connection.id)
    assert (none.total_requests, none.total_tokens, none.total_cost) == (0, 0, 0)
    place.spend(token, input_tokens=100, output_tokens=20, cost="0.1")
    place.spend(token, input_tokens=3, output_tokens=0, cost="0.2")
    stats = admin("connections.stats", connection.id)
    assert (stats.total_requests, stats.total_tokens, stats.total_cost) == (2, 123, Decimal("0.3"))


def test_a_connection_is_suspended_resumed_and_revoked_at_the_proxy(side: Side, admin: Admin, place: Any) -> None:
    token = place.grant()
    app = side.client(place)
    (connection,) = admin("connections.list")

    def code() -> str | None:
        result = side.do(app.call(token, "anthropic", "/v1/messages", MESSAGES))
        return None if result.ok else result.code

    assert code() is None
    for _ in range(2):
        assert admin("connections.suspend", connection.id) is None
    assert code() == "TOKEN_SUSPENDED"
    assert admin("connections.list")[0].is_suspended is True
    for _ in range(2):
        assert admin("connections.resume", connection.id) is None
    assert code() is None
    assert admin("connections.revoke", connection.id) is None
    assert code() == "TOKEN_REVOKED"
    assert admin("connections.list") == []
    for call in ("stats", "suspend", "resume", "revoke"):
        assert admin.refused("NOT_FOUND", f"connections.{call}", connection.id).status == 404
    admin.refused("NOT_FOUND", "connections.set_budget", connection.id, 5)


@pytest.mark.parametrize("budget", [7, 7.0, "7", Decimal("7.00")])
def test_a_budget_acts_at_the_proxy(side: Side, admin: Admin, place: Any, budget: Any) -> None:
    token = place.grant()
    place.spend(token, cost=1)
    app = side.client(place)
    (connection,) = admin("connections.list")
    admin("connections.set_budget", connection.id, 0)
    result = side.do(app.call(token, "anthropic", "/v1/messages", MESSAGES))
    assert result.code == "BUDGET_EXCEEDED"
    assert admin("connections.set_budget", connection.id, budget) is None
    assert side.do(app.call(token, "anthropic", "/v1/messages", MESSAGES)).ok
    assert admin("connections.list")[0].budget_limit == 7


@pytest.mark.parametrize("budget", [0.1, "0.1", Decimal("0.1"), 1e-06, "123456789.123456", 12_345_678_901])
def test_amounts_arrive_exactly(admin: Admin, place: Any, budget: Any) -> None:
    place.grant()
    (connection,) = admin("connections.list")
    admin("connections.set_budget", connection.id, budget)
    wanted = Decimal(str(budget))
    assert place.state.connections[connection.id].budget_limit == wanted
    found = admin("connections.list")[0].budget_limit
    assert found == wanted
    assert isinstance(found, Decimal)


# --- spending -------------------------------------------------------------------------------------------


def test_spending_is_told_newest_first_with_the_fee(admin: Admin, place: Any, tollkit_sandbox: Sandbox) -> None:
    token = place.grant()
    for cost in ("0.1", "0.000009", "0.00001", "1.2345678"):
        tollkit_sandbox.clock.advance(1)
        place.spend(token, cost=cost, input_tokens=10, output_tokens=5)
    rows = admin("spending.list")
    assert [(row.cost_usd, row.platform_fee_usd) for row in rows] == [
        (Decimal("1.2345678"), Decimal("0.061728")),
        (Decimal("0.00001"), Decimal("0.000001")),
        (Decimal("0.000009"), Decimal(0)),
        (Decimal("0.1"), Decimal("0.005")),
    ]
    row = rows[0]
    assert (row.app_name, row.provider, row.model) == ("Sandbox App", "anthropic", "claude-sonnet-4-5")
    assert (row.input_tokens, row.output_tokens) == (10, 5)
    assert row.created_at > rows[1].created_at
    assert all(isinstance(amount, Decimal) for row in rows for amount in (row.cost_usd, row.platform_fee_usd))


def test_a_call_through_the_proxy_is_found_in_spending(side: Side, admin: Admin, place: Any) -> None:
    result = side.do(side.client(place).call(place.grant(), "anthropic", "/v1/messages", MESSAGES))
    (row,) = admin("spending.list")
    assert (row.input_tokens, row.output_tokens) == (result.usage.input_tokens, result.usage.output_tokens)
    assert row.platform_fee_usd == round(row.cost_usd * Decimal("0.05"), 6)


@pytest.fixture
def month(admin: Admin, place: Any, tollkit_sandbox: Sandbox) -> Any:
    """One call on each noon of May 2026; every third by another app. The app's id is the value."""
    app = admin("apps.create", "Poems", "https://poems.example/callback")
    tokens = [place.grant(budget=1_000), place.grant(budget=1_000, client_id=app.id)]
    for day in range(1, 32):
        tollkit_sandbox.clock.set(datetime(2026, 5, day, 12, tzinfo=UTC))
        place.spend(tokens[day % 3 == 0], cost=day)
    return app.id


def test_spending_is_filtered(admin: Admin, place: Any, month: str) -> None:
    def days(**query: Any) -> list[int]:
        return [int(row.cost_usd) for row in admin("spending.list", limit=200, **query)]

    assert days() == [*range(31, 0, -1)]
    assert days(app_id=month) == [*range(30, 0, -3)]
    assert days(app_id="app_none") == []
    assert days(from_="2026-05-30") == [31, 30]
    assert days(to=date(2026, 5, 2)) == [2, 1], "a date means that whole day"
    assert days(from_=date(2026, 5, 3), to=date(2026, 5, 4)) == [4, 3]
    noon = datetime(2026, 5, 30, 12, tzinfo=UTC)
    assert days(from_=noon) == [31, 30]
    assert days(from_="2026-05-30T14:00:00.001+02:00") == [31]
    assert days(from_=noon, to="2026-05-30T12:00:01Z", app_id=month) == [30]


def test_a_page_of_spending(admin: Admin, month: str) -> None:
    assert [int(row.cost_usd) for row in admin("spending.list", limit=3)] == [31, 30, 29]
    assert [int(row.cost_usd) for row in admin("spending.list", limit=3, offset=29)] == [2, 1]
    assert admin("spending.list", offset=31) == []
    assert admin.refused("VALIDATION", "spending.list", limit=10_000).status == 400


def test_all_of_spending_is_iterated(admin: Admin, month: str, tollkit_sandbox: Sandbox) -> None:
    tollkit_sandbox.requests.clear()
    assert [int(row.cost_usd) for row in admin.rows(page_size=7)] == [*range(31, 0, -1)]
    asked = [dict(one.query) for one in tollkit_sandbox.requests.all()]
    assert asked == [{"limit": "7", "offset": str(offset)} for offset in (0, 7, 14, 21, 28)]


def test_iteration_keeps_its_filters_and_asks_for_no_page_ahead(
    admin: Admin, month: str, tollkit_sandbox: Sandbox
) -> None:
    query = {"app_id": month, "from_": date(2026, 5, 4), "to": "2026-05-29"}
    assert [int(row.cost_usd) for row in admin.rows(page_size=3, **query)] == [*range(27, 5, -3)]
    tollkit_sandbox.requests.clear()
    assert len(admin.rows(6, page_size=3, **query)) == 6
    asked = [dict(one.query) for one in tollkit_sandbox.requests.all()]
    filters = {"appId": month, "from": "2026-05-04T00:00:00.000Z", "to": "2026-05-29T23:59:59.999Z"}
    assert asked == [{**filters, "limit": "3", "offset": str(offset)} for offset in (0, 3)]


def test_calls_that_are_made_meanwhile_make_no_row_come_twice(
    side: Side, admin: Admin, place: Any, month: str
) -> None:
    token = place.grant(budget=1_000)
    rows = admin.client.spending.iterate(page_size=5)
    found: list[int] = []
    stop = object()
    while True:
        row = side.do(anext(rows, stop)) if hasattr(rows, "__anext__") else next(rows, stop)
        if row is stop:
            break
        found.append(int(row.cost_usd))
        if len(found) % 5 == 0:
            place.spend(token, cost=1_000)
    assert found == [*range(31, 0, -1)]


# --- errors and arguments -------------------------------------------------------------------------------


def test_every_call_but_two_needs_a_key(anybody: Admin, place: Any) -> None:
    unknown = anybody.acting_as(api_key="tkn_api_unknown")
    for method, args in CALLS.items():
        with pytest.raises(TokeniteError) as caught:
            anybody(method, *args[0], **args[1])
        assert caught.value.code == "missing_credentials", "nothing was sent"
        assert unknown.refused("UNAUTHORIZED", method, *args[0], **args[1]).status == 401


def test_the_message_of_an_error_without_one(admin: Admin, tollkit_sandbox: Sandbox) -> None:
    tollkit_sandbox.faults.add(Fault(kind="status", match="*/api/apps", status=418, body={"nothing": "told"}))
    with pytest.raises(StatusError) as caught:
        admin("apps.list")
    assert (caught.value.message, caught.value.code) == ("GET /api/apps failed (418)", None)
    assert (caught.value.status, caught.value.body) == (418, {"nothing": "told"})


@pytest.mark.parametrize(("code", "status"), [("INTERNAL", 500), ("INVALID_CODE", 400), ("NEW_ONE", 451)])
def test_codes_that_no_call_of_the_sandbox_gives(
    admin: Admin, tollkit_sandbox: Sandbox, code: str, status: int
) -> None:
    body = {"error": {"code": code, "message": "Told"}}
    tollkit_sandbox.faults.add(Fault(kind="status", match="*/api/apps", status=status, body=body))
    assert admin.refused(code, "apps.create", "Poems", "https://poems.example/callback").status == status


def test_a_creation_is_not_sent_twice(admin: Admin, tollkit_sandbox: Sandbox) -> None:
    tollkit_sandbox.faults.add(Fault(kind="html", match="*/api/apps", status=502, when="after_processing"))
    with pytest.raises(StatusError) as caught:
        admin("apps.create", "Poems", "https://poems.example/callback")
    assert caught.value.message == "POST /api/apps failed (502)"
    assert [one.name for one in admin("apps.list")] == ["Sandbox App", "Poems"]


CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "auth.me": ((), {}),
    "auth.create_token": (("deploy",), {}),
    "auth.list_tokens": ((), {}),
    "auth.revoke_token": (("tok_1",), {}),
    "accounts.list": ((), {}),
    "accounts.create": (("Engines",), {}),
    "accounts.get": (("acc_1",), {}),
    "accounts.update": (("acc_1",), {}),
    "accounts.delete": (("acc_1",), {}),
    "accounts.invite": (("acc_1", "grace@example.com"), {}),
    "accounts.invitations": (("acc_1",), {}),
    "accounts.cancel_invite": (("acc_1", "inv_1"), {}),
    "accounts.members": (("acc_1",), {}),
    "accounts.update_member": (("acc_1", "user_1"), {}),
    "accounts.remove_member": (("acc_1", "user_1"), {}),
    "accounts.leave": (("acc_1",), {}),
    "accounts.claim": (("token",), {}),
    "apps.create": (("Poems", "https://poems.example/callback"), {}),
    "apps.list": ((), {}),
    "apps.get": (("app_1",), {}),
    "apps.update": (("app_1",), {}),
    "apps.rotate_secret": (("app_1",), {}),
    "apps.delete": (("app_1",), {}),
    "keys.add": (("openai", "sk-1"), {}),
    "keys.list": ((), {}),
    "keys.remove": (("key_1",), {}),
    "oauth.authorize": (
        (),
        {"client_id": "app_1", "redirect_uri": "https://poems.example/callback", "budget_limit": 5},
    ),
    "connections.list": ((), {}),
    "connections.stats": (("con_1",), {}),
    "connections.set_budget": (("con_1", 5), {}),
    "connections.suspend": (("con_1",), {}),
    "connections.resume": (("con_1",), {}),
    "connections.revoke": (("con_1",), {}),
    "spending.list": ((), {}),
}
"""Every call but register and login, with arguments that will do."""

_HERE = "https://poems.example/callback"
UNUSABLE: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    *((method, ("",) * len(args), {}, "empty") for method, (args, _) in CALLS.items() if args),
    ("auth.register", ("grace@example.com", ""), {}, "password"),
    ("auth.register", (None, PASSWORD), {}, "email"),
    ("auth.login", ("", PASSWORD), {}, "email"),
    ("accounts.get", (7,), {}, "account_id"),
    ("accounts.get", ("a\0b",), {}, "account_id"),
    ("accounts.create", ("Engines",), {"pool_budget_limit_usd": -1}, "pool_budget_limit_usd"),
    ("accounts.create", ("Engines",), {"pool_reset_period": ""}, "pool_reset_period"),
    ("accounts.update", ("acc_1",), {"pool_budget_limit_usd": "much"}, "pool_budget_limit_usd"),
    ("accounts.update", ("acc_1",), {"name": ""}, "name"),
    ("accounts.invite", ("acc_1", "grace@example.com"), {"role": ""}, "role"),
    ("accounts.cancel_invite", ("acc_1", ""), {}, "invitation_id"),
    ("accounts.update_member", ("acc_1", ""), {}, "user_id"),
    ("accounts.update_member", ("acc_1", "u"), {"monthly_cap_usd": float("nan")}, "monthly_cap_usd"),
    ("accounts.remove_member", ("acc_1", ""), {}, "user_id"),
    ("apps.create", ("Poems", ""), {}, "callback_url"),
    ("apps.create", ("Poems", _HERE), {"model_strategy": "tier"}, "required_tier"),
    ("apps.create", ("Poems", _HERE), {"model_strategy": "models"}, "allowed_models"),
    ("apps.create", ("Poems", _HERE), {"model_strategy": "models", "allowed_models": []}, "allowed_models"),
    ("apps.create", ("Poems", _HERE), {"allowed_models": "claude"}, "allowed_models"),
    ("apps.create", ("Poems", _HERE), {"required_providers": [""]}, "required_providers"),
    ("apps.create", ("Poems", _HERE), {"preferred_providers": 7}, "preferred_providers"),
    ("apps.create", ("Poems", _HERE), {"allow_substitution": "yes"}, "allow_substitution"),
    ("apps.update", ("app_1",), {"model_strategy": "tier", "required_tier": None}, "required_tier"),
    ("apps.update", ("app_1",), {"model_strategy": "models", "allowed_models": None}, "allowed_models"),
    ("apps.update", ("app_1",), {"model_strategy": "models", "allowed_models": []}, "allowed_models"),
    ("apps.update", ("app_1",), {"allows_managed_agents": 1}, "allows_managed_agents"),
    ("apps.update", ("app_1",), {"description": ""}, "description"),
    ("keys.add", ("openai", "sk 1"), {}, "api_key"),
    ("oauth.authorize", (), {"client_id": "", "redirect_uri": _HERE, "budget_limit": 5}, "client_id"),
    ("oauth.authorize", (), {"client_id": "a", "redirect_uri": "", "budget_limit": 5}, "redirect_uri"),
    ("oauth.authorize", (), {"client_id": "a", "redirect_uri": _HERE, "budget_limit": None}, "budget_limit"),
    ("oauth.authorize", (), {"client_id": "a", "redirect_uri": _HERE, "budget_limit": 5, "state": ""}, "state"),
    ("connections.set_budget", ("con_1", -0.01), {}, "budget_limit"),
    ("connections.set_budget", ("con_1", "-5"), {}, "budget_limit"),
    ("connections.set_budget", ("con_1", "5 dollars"), {}, "budget_limit"),
    ("connections.set_budget", ("con_1", "1_000"), {}, "budget_limit"),
    ("connections.set_budget", ("con_1", True), {}, "budget_limit"),
    ("connections.set_budget", ("con_1", None), {}, "budget_limit"),
    ("connections.set_budget", ("con_1", float("inf")), {}, "budget_limit"),
    ("connections.set_budget", ("con_1", Decimal("sNaN")), {}, "budget_limit"),
    ("connections.set_budget", ("con_1", Decimal("0.1234567890123456789")), {}, "budget_limit"),
    ("connections.set_budget", ("con_1", "1e999"), {}, "budget_limit"),
    ("spending.list", (), {"app_id": ""}, "app_id"),
    ("spending.list", (), {"limit": 0}, "limit"),
    ("spending.list", (), {"limit": True}, "limit"),
    ("spending.list", (), {"offset": -1}, "offset"),
    ("spending.list", (), {"from_": "yesterday"}, "from_"),
    ("spending.list", (), {"to": datetime(2026, 5, 1)}, "to"),
    ("spending.list", (), {"from_": "2026-05-02", "to": "2026-05-01"}, "to"),
]


@pytest.mark.parametrize(("method", "args", "kwargs", "argument"), UNUSABLE)
def test_what_is_refused_before_anything_is_sent(
    admin: Admin, tollkit_sandbox: Sandbox, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], argument: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        admin(method, *args, **kwargs)
    assert isinstance(caught.value, TokeniteError)
    assert caught.value.argument == argument or argument == "empty"
    assert tollkit_sandbox.requests.all() == []


@pytest.mark.parametrize("query", [{"page_size": 0}, {"page_size": 2.5}, {"from_": "yesterday"}, {"app_id": ""}])
def test_what_an_iteration_refuses(admin: Admin, tollkit_sandbox: Sandbox, query: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError) as caught:
        admin.rows(**query)
    assert isinstance(caught.value, TokeniteError)
    assert caught.value.argument in query
    assert tollkit_sandbox.requests.all() == []
