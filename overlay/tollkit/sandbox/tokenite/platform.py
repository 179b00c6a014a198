"""The platform as tests hold it: identifiers to configure a client with, and levers on its state."""

from __future__ import annotations

import functools
import re
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from tollkit.sandbox.clock import iso
from tollkit.sandbox.tokenite import PREFIX, PROXY_PREFIX
from tollkit.sandbox.tokenite.app import build_app
from tollkit.sandbox.tokenite.catalog import ERRORS, PROVIDERS, ErrorKind, cost_of
from tollkit.sandbox.tokenite.passwords import PasswordHash
from tollkit.sandbox.tokenite.proxy import ProxyRoutes, ScriptedError, usual_details
from tollkit.sandbox.tokenite.state import (
    ApiToken,
    App,
    Connection,
    Invitation,
    Member,
    ProviderKey,
    SpendingRow,
    State,
    User,
    fixed_id,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from starlette.types import ASGIApp

    from tollkit.sandbox.clock import Clock
    from tollkit.sandbox.recorder import RequestLog
    from tollkit.sandbox.tokenite.proxy import VendorRequest

__all__ = ["TokeniteSandbox"]

OWNER_EMAIL = "ada@example.com"
OWNER_PASSWORD = "sandbox-password"  # noqa: S105 - of a made-up user, told to everybody
_DAY = 86_400.0
_LOOPBACK = re.compile(
    r"https?://(?:(?:[a-z0-9-]+\.)*localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?"
    r"(?:[/?][\x21\x22\x24-\x5b\x5d-\x7e]*)?"
)
"""No fragment, no user name, and no backslash, which browsers read as a slash."""
_INVITATION_DAYS = 7


class TokeniteSandbox:
    """Tokenite in the sandbox.

    It starts with one user, `ada@example.com` (password `sandbox-password`), who has a key at every vendor, owns the
    app that `client_id` names, and holds the admin API key of `env()`. Ids and secrets are the same in every run.
    Amounts are dollars, taken as `Decimal`, text or int.

    Args:
        clock: The clock of the sandbox.
        requests: The log of requests that the sandbox received.
        origin: Gives scheme, host and port of the server once it runs.

    Attributes:
        state: All records, for the routes and for tests that want something special; see `State`.
        proxy: The routes of the metering proxy with their switches.
    """

    def __init__(self, clock: Clock, requests: RequestLog, origin: Callable[[], str]) -> None:
        self.clock = clock
        self.requests = requests
        self._origin = origin
        self.state: State = State(clock)
        self.proxy: ProxyRoutes = ProxyRoutes(self.state)
        self._begin()

    def asgi_app(self) -> ASGIApp:
        """The platform as an ASGI application."""
        return build_app(self)

    def reset(self) -> None:
        """Forget all state and start over with the one user and the one app."""
        with self.state.lock:
            self.state.clear()
            self.proxy.clear()
            self._begin()

    def _begin(self) -> None:
        self.popup_lands: bool = False
        state, now = self.state, self.clock.iso()
        owner = self._user(OWNER_EMAIL)
        owner.password = _owner_password()
        account = state.personal_account(owner)
        app = App(
            id=fixed_id("app_", OWNER_EMAIL),
            secret=fixed_id("tkn_secret_", OWNER_EMAIL, length=48),
            name="Sandbox App",
            builder_id=owner.id,
            account_id=account.id,
            callback_url="http://127.0.0.1/callback",
            description="The app that the sandbox begins with",
            any_loopback=True,
            created_at=now,
        )
        state.apps[app.id] = app
        key = ApiToken(
            user_id=owner.id, name="Sandbox", created_at=now, token=fixed_id("tkn_api_", OWNER_EMAIL, length=48)
        )
        state.api_tokens[key.id] = key

    # ---------------------------------------------------------------- what a client is configured with

    @property
    def base_url(self) -> str:
        """Address of the dashboard, e.g. `http://127.0.0.1:40001/tokenite`."""
        return self._origin() + PREFIX

    @property
    def proxy_base(self) -> str:
        """Address of proxy and admin API, e.g. `http://127.0.0.1:40001/tokenite/proxy`."""
        return self._origin() + PROXY_PREFIX

    @property
    def app(self) -> App:
        """The app that the sandbox begins with."""
        return self.state.apps[self.client_id]

    @property
    def client_id(self) -> str:
        """Its client id; the same in every run."""
        return fixed_id("app_", OWNER_EMAIL)

    @property
    def client_secret(self) -> str:
        """Its present secret."""
        return self.app.secret

    @property
    def redirect_uri(self) -> str:
        """The `redirect_uri` that it was registered with; it may use any other on a loopback interface."""
        return self.app.callback_url

    @property
    def api_key(self) -> str:
        """The admin API key of `ada@example.com`; the same in every run."""
        return fixed_id("tkn_api_", OWNER_EMAIL, length=48)

    @property
    def owner_email(self) -> str:
        """Whom the sandbox begins with, and whom the sign-in page suggests."""
        return OWNER_EMAIL

    def redirect_allowed(self, app: App, redirect_uri: str) -> bool:
        """Whether the browser may be sent there for an app.

        Args:
            app: The app.
            redirect_uri: Where the browser would be sent.
        """
        if redirect_uri == app.callback_url:
            return True
        return app.any_loopback and _LOOPBACK.fullmatch(redirect_uri) is not None

    def env(self) -> dict[str, str]:
        """The `TOKENITE_*` variables that configure `Tokenite` and `TokeniteAdmin`."""
        return {
            "TOKENITE_BASE_URL": self.base_url,
            "TOKENITE_PROXY_BASE": self.proxy_base,
            "TOKENITE_CLIENT_ID": self.client_id,
            "TOKENITE_CLIENT_SECRET": self.client_secret,
            "TOKENITE_REDIRECT_URI": self.redirect_uri,
            "TOKENITE_API_KEY": self.api_key,
        }

    # ---------------------------------------------------------------- users and grants

    def seed_user(self, email: str, *, password: str | None = None, providers: Iterable[str] | None = None) -> User:
        """The user with that address, made when there is none.

        Args:
            email: E-mail address.
            password: Password for the admin API's login; unchanged when left out.
            providers: Vendors for which the user has a key; a new user has one for each.

        Raises:
            ValueError: An unknown vendor.
        """
        with self.state.lock:
            user = self._user(email)
            if password is not None:
                user.set_password(password)
            if providers is not None:
                self._set_keys(user, providers)
            return user

    def _user(self, email: str) -> User:
        found = self.state.user_by_email(email)
        if found is None:
            found = self.state.add_user(email)
            self._set_keys(found, PROVIDERS)
        return found

    def _set_keys(self, user: User, providers: Iterable[str]) -> None:
        wanted = list(providers)
        if unknown := sorted(set(wanted) - set(PROVIDERS)):
            raise ValueError(f"no such provider: {', '.join(unknown)}; there are {', '.join(PROVIDERS)}")
        account = self.state.personal_account(user)
        kept = {key.id: key for key in self.state.provider_keys.values() if key.account_id != account.id}
        for provider in wanted:
            key = ProviderKey(
                id=fixed_id("key_", user.email, provider),
                account_id=account.id,
                provider=provider,
                key=fixed_id(f"sandbox-{provider}-", user.email),
                created_at=self.clock.iso(),
            )
            kept[key.id] = key
        self.state.provider_keys = kept

    def grant(
        self, email: str = OWNER_EMAIL, budget: Decimal | str | int = "5.00", *, client_id: str | None = None
    ) -> str:
        """What the browser flow ends in: a user's access token for an app.

        Args:
            email: The user; made, with a key at every vendor, when there is none.
            budget: The limit in dollars.
            client_id: The app; the sandbox's own when left out.

        Returns:
            The access token. It lives 30 days by the sandbox's clock.

        Raises:
            ValueError: No app with that id, or an amount that is none.
        """
        with self.state.lock:
            connection = self.state.connect(self._user(email), self._app(client_id), amount(budget))
            return self.state.issue_token(connection).token

    def _app(self, client_id: str | None) -> App:
        found = self.state.apps.get(client_id or self.client_id)
        if found is None:
            raise ValueError(f"no app {client_id!r}")
        return found

    def connection(self, token: str) -> Connection:
        """The connection behind an access token.

        Raises:
            ValueError: The sandbox did not issue that token.
        """
        found = self.state.access_tokens.get(str(token))
        if found is None:
            raise ValueError("no such access token")
        return self.state.connections[found.connection_id]

    def set_budget(self, token: str, budget: Decimal | str | int) -> None:
        """Set the limit of an access token's connection in dollars; what was spent stays spent.

        Args:
            token: The access token.
            budget: The limit in US dollars.
        """
        with self.state.lock:
            self.connection(token).budget_limit = amount(budget)

    def spent(self, token: str) -> Decimal:
        """What an access token's connection has spent in dollars, fees included."""
        with self.state.lock:
            return self.connection(token).budget_spent

    def spend(
        self,
        token: str,
        *,
        input_tokens: int = 1_000,
        output_tokens: int = 1_000,
        model: str = "claude-sonnet-4-5",
        provider: str = "anthropic",
        cost: Decimal | str | int | None = None,
    ) -> SpendingRow:
        """Write down a call that was not made.

        Args:
            token: The access token.
            input_tokens: Tokens that went in.
            output_tokens: Tokens that came out.
            model: The model.
            provider: The vendor.
            cost: What it cost in dollars, before the fee; by the model's price when left out.
        """
        with self.state.lock:
            return self.state.charge(
                self.connection(token),
                provider=provider,
                model=model,
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                cost=cost_of(model, input_tokens, output_tokens) if cost is None else amount(cost),
            )

    def suspend(self, token: str, suspended: bool = True) -> None:
        """Suspend an access token's connection, or let it go on.

        Args:
            token: The access token.
            suspended: Whether.
        """
        with self.state.lock:
            self.connection(token).is_suspended = suspended

    def revoke(self, token: str) -> None:
        """Revoke an access token's connection, as the user can."""
        with self.state.lock:
            self.connection(token).revoked_at = self.clock.iso()

    def configure_app(
        self,
        *,
        client_id: str | None = None,
        callback_url: str | None = None,
        any_loopback: bool | None = None,
        allows_managed_agents: bool | None = None,
        model_strategy: Literal["any", "tier", "models"] | None = None,
        allowed_models: Iterable[str] | None = None,
        required_tier: str | None = None,
    ) -> App:
        """Change switches of an app; what is left out stays.

        Args:
            client_id: The app; the first when left out.
            callback_url: Where browsers may be sent.
            any_loopback: Whether any port of this machine will do too.
            allows_managed_agents: Whether agents may be managed.
            model_strategy: By what models are allowed.
            allowed_models: The models, where they are named.
            required_tier: The tier, where one is required.
        """
        with self.state.lock:
            found = self._app(client_id)
            if callback_url is not None:
                found.callback_url = callback_url
            if any_loopback is not None:
                found.any_loopback = any_loopback
            if allows_managed_agents is not None:
                found.allows_managed_agents = allows_managed_agents
            if model_strategy is not None:
                found.model_strategy = model_strategy
            if allowed_models is not None:
                found.allowed_models = tuple(allowed_models)
            if required_tier is not None:
                found.required_tier = required_tier
            return found

    # ---------------------------------------------------------------- misbehaviour and switches

    def answer_next(
        self,
        code: str,
        *,
        message: str | None = None,
        details: Mapping[str, Any] | None = None,
        times: int = 1,
        status: int | None = None,
        source: Literal["proxy", "provider"] | None = None,
    ) -> None:
        """Answer the next proxied calls with an error of the proxy's table.

        A body whose `model` is `error/CODE` asks for the same from outside. Faults of the transport, HTML pages and
        empty bodies among them, are armed with `Sandbox.faults`.

        Args:
            code: A code of the table, or one that nobody knows.
            message: Instead of the usual message.
            details: Instead of the usual details.
            times: How many calls are answered so.
            status: Instead of the table's; of an unknown code 400 when left out.
            source: Instead of the table's; of an unknown code `proxy` when left out.
        """
        usual = ERRORS.get(code, ErrorKind(400, "proxy", "Something is wrong that this table does not know"))
        kind = ErrorKind(status or usual.status, source or usual.source, message or usual.message)
        error = ScriptedError(code=code, kind=kind, details=usual_details(code) if details is None else dict(details))
        with self.state.lock:
            self.proxy.scripted.extend([error] * times)

    def set_access_context_version(self, version: Literal["1.0", "2.4"]) -> None:
        """Choose the form of the access context.

        Raises:
            ValueError: It is neither of the two.
        """
        if version not in ("1.0", "2.4"):
            raise ValueError("the access context is known at 1.0 and 2.4")
        self.proxy.access_context_version = version

    def set_chunk_seconds(self, seconds: float) -> None:
        """Pause that long between the chunks of a stream, so that they are seen coming."""
        self.proxy.chunk_seconds = seconds

    def set_popup_lands(self, lands: bool = True) -> None:
        """Choose how a popup ends: on `redirect_uri`, as in a full-page redirect, or (at first) with a message."""
        self.popup_lands = lands

    @property
    def vendor_requests(self) -> list[VendorRequest]:
        """The calls that reached a vendor, as it would have got them; the last 1,000."""
        with self.state.lock:
            return list(self.proxy.vendor_requests)

    def get_vendor_requests(self) -> list[VendorRequest]:
        """`vendor_requests` as a call, for levers over HTTP."""
        return self.vendor_requests

    # ---------------------------------------------------------------- demonstration

    def demo_data(self) -> dict[str, User]:
        """Two users with four weeks of spending, and a business account with an invitation; the same on every call.

        `ada` has a budget of 5 dollars for the sandbox's app, `grace` one of 2; the last calls are of yesterday.

        Returns:
            The users by the part of their address before the `@`.
        """
        with self.state.lock:
            state = self.state
            ada, grace = self._user(OWNER_EMAIL), self._user("grace@example.com")
            if any(account.type == "business" for account in state.accounts.values()):
                return {"ada": ada, "grace": grace}
            for user, budget, every in ((ada, Decimal(5), 1), (grace, Decimal(2), 3)):
                connection = state.connect(user, self.app, budget)
                for day in range(27, 0, -every):
                    self._demo_call(connection, day)
            business = state.add_account("Analytical Engines", ada)
            business.pool_budget_limit, business.pool_reset_period = Decimal(100), "monthly"
            now = self.clock.now()
            business.members[grace.id] = Member(
                user_id=grace.id, role="member", joined_at=self.clock.iso(), monthly_cap=Decimal(20)
            )
            invitation = Invitation(
                account_id=business.id,
                email="mary@example.com",
                role="member",
                invited_by_user_id=ada.id,
                expires_at=now + _INVITATION_DAYS * _DAY,
                created_at=self.clock.iso(),
            )
            state.invitations[invitation.id] = invitation
            return {"ada": ada, "grace": grace}

    def _demo_call(self, connection: Connection, days_ago: int) -> None:
        provider, model = (
            ("anthropic", "claude-sonnet-4-5"),
            ("openai", "gpt-5-mini"),
            ("google", "gemini-2.5-flash"),
        )[days_ago % 3]
        tokens = (1_000 + 70 * days_ago, 300 + 11 * days_ago)
        moment = self.clock.utcnow() - timedelta(days=days_ago)
        self.state.charge(
            connection,
            provider=provider,
            model=model,
            input_tokens=tokens[0],
            output_tokens=tokens[1],
            cost=cost_of(model, *tokens),
            at=iso(moment.timestamp()),
        )


@functools.cache
def _owner_password() -> PasswordHash:
    """The hash, made once: every reset needs it."""
    return PasswordHash.of(OWNER_PASSWORD)


def amount(value: Decimal | str | int) -> Decimal:
    """An amount of dollars.

    Raises:
        ValueError: It is no finite number, or negative.
    """
    try:
        parsed = Decimal(str(value))
    except ArithmeticError:
        raise ValueError(f"{value!r} is no amount of dollars") from None
    if not parsed.is_finite() or parsed < 0:
        raise ValueError(f"{value!r} is no amount of dollars")
    return parsed
