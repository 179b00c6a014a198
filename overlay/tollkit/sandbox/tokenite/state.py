"""What the sandboxed Tokenite knows: users and their accounts, apps, provider keys, connections, spending.

All records are mutable and compared by identity; `State` holds them in tables by id. Routes work under `State.lock`
(`tollkit.sandbox.http.route` takes it), so that handlers need no care of their own. Money is `decimal.Decimal` in
US dollars; `number` writes it as the platform does.

Who owns what: a user has one personal account and may be a member of business accounts. Apps, provider keys and
connections belong to an account; a **connection** is what a user granted an app: a budget, and the access tokens that
spend it. An app's id is its `client_id`.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import uuid
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Literal

import attrs

from tollkit.sandbox.tokenite.passwords import PasswordHash

if TYPE_CHECKING:
    from tollkit.sandbox.clock import Clock

__all__ = [
    "AccessToken",
    "Account",
    "ApiToken",
    "App",
    "Code",
    "Connection",
    "Invitation",
    "Member",
    "ProviderKey",
    "SpendingRow",
    "State",
    "Transaction",
    "User",
    "fixed_id",
    "new_id",
    "number",
]

CODE_LIFETIME = 300
"""Seconds that an authorization code lives."""
ACCESS_TOKEN_LIFETIME = 30 * 86_400
"""Seconds that an access token lives."""
TRANSACTION_LIFETIME = 1_800
"""Seconds that a page waits for its answer."""
FEE_RATE = Decimal("0.05")
"""The platform's share on top of what a call costs."""

_MICRO = Decimal("0.000001")

Role = Literal["owner", "member"]
ModelStrategy = Literal["any", "tier", "models"]


def new_id() -> str:
    """A new random UUID."""
    return str(uuid.uuid4())


def fixed_id(prefix: str, *parts: object, length: int = 24) -> str:
    """An id that is the same in every run, so that a configuration outlives a restart of the sandbox."""
    digest = hashlib.sha256("/".join(["tollkit sandbox tokenite", prefix, *map(str, parts)]).encode()).hexdigest()
    return prefix + digest[:length]


def number(amount: Decimal) -> int | float:
    """An amount as a JSON number in JavaScript's form: `5` for five dollars, not `5.0`."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def platform_fee(cost: Decimal) -> Decimal:
    """The platform's fee for a call: 5 % of its cost, rounded to 6 decimals."""
    return (cost * FEE_RATE).quantize(_MICRO, ROUND_HALF_UP)


@attrs.define(kw_only=True, eq=False)
class User:
    """A person. `id` follows from the e-mail address, so it is the same in every run."""

    email: str
    created_at: str
    password: PasswordHash | None = None
    """What `POST /api/auth/login` takes; None for a user who only ever signed in on the pages."""
    id: str

    def set_password(self, password: str) -> None:
        """Let the user log in to the admin API with that password."""
        self.password = PasswordHash.of(password)

    @staticmethod
    def id_for(email: str) -> str:
        """The id of the user with that address."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"mailto:{email}"))


@attrs.define(kw_only=True, eq=False)
class Member:
    """A user's place in an account."""

    user_id: str
    role: Role
    joined_at: str
    monthly_cap: Decimal | None = None


@attrs.define(kw_only=True, eq=False)
class Account:
    """Who pays: a person, or a business with members and maybe a pool of money."""

    name: str
    owner_user_id: str
    created_at: str
    type: Literal["personal", "business"] = "business"
    pool_budget_limit: Decimal | None = None
    """None for no pool."""
    pool_budget_spent: Decimal = Decimal(0)
    pool_reset_period: Literal["monthly"] | None = None
    pool_last_reset_at: str | None = None
    deleted_at: str | None = None
    members: dict[str, Member] = attrs.field(factory=dict[str, Member], repr=False)
    """By user id."""
    id: str = attrs.field(factory=new_id)


@attrs.define(kw_only=True, eq=False)
class Invitation:
    """An invitation into a business account; `token` is what the claim address carries."""

    account_id: str
    email: str
    role: Role
    invited_by_user_id: str
    expires_at: float
    """Epoch seconds."""
    created_at: str
    accepted_at: str | None = None
    token: str = attrs.field(factory=lambda: secrets.token_urlsafe(24), repr=False)
    id: str = attrs.field(factory=new_id)


@attrs.define(kw_only=True, eq=False)
class ApiToken:
    """A bearer token of the admin API: an API key, or (`session`) what registering or logging in gives."""

    user_id: str
    name: str
    created_at: str
    token: str = attrs.field(factory=lambda: f"tkn_api_{secrets.token_hex(24)}", repr=False)
    session: bool = False
    last_used_at: str | None = None
    id: str = attrs.field(factory=new_id)

    @property
    def key_hint(self) -> str:
        """The end of the token, by which a person knows it again."""
        return f"...{self.token[-4:]}"


@attrs.define(kw_only=True, eq=False)
class App:
    """An application of a builder; its id is the `client_id` of the browser flow."""

    name: str
    builder_id: str
    """The user who made it."""
    account_id: str
    callback_url: str
    created_at: str
    secret: str = attrs.field(factory=lambda: f"tkn_secret_{secrets.token_hex(24)}", repr=False)
    required_providers: tuple[str, ...] = ()
    preferred_providers: tuple[str, ...] = ()
    allow_substitution: bool = True
    allowed_models: tuple[str, ...] | None = None
    model_strategy: ModelStrategy = "any"
    required_tier: str | None = None
    allows_managed_agents: bool | None = None
    website_url: str | None = None
    description: str | None = None
    icon_url: str | None = None
    any_loopback: bool = False
    """Whether every address on a loopback interface will do as `redirect_uri`, as the sandbox's own app has it."""
    id: str = attrs.field(factory=new_id)


@attrs.define(kw_only=True, eq=False)
class ProviderKey:
    """An account's own key at a vendor."""

    account_id: str
    provider: str
    key: str = attrs.field(repr=False)
    created_at: str
    name: str | None = None
    id: str = attrs.field(factory=new_id)

    @property
    def key_hint(self) -> str:
        """The end of the key, by which a person knows it again."""
        return f"...{self.key[-4:]}"


@attrs.define(kw_only=True, eq=False)
class Connection:
    """What a user granted an app, called a grant where tokens are concerned."""

    app_id: str
    user_id: str
    account_id: str
    """The account whose keys and pool are used."""
    budget_limit: Decimal
    created_at: str
    budget_spent: Decimal = Decimal(0)
    is_suspended: bool = False
    revoked_at: str | None = None
    id: str = attrs.field(factory=new_id)

    @property
    def remaining(self) -> Decimal:
        """What is left of the budget; never negative."""
        return max(self.budget_limit - self.budget_spent, Decimal(0))


@attrs.define(kw_only=True, eq=False)
class Code:
    """An authorization code."""

    connection_id: str
    redirect_uri: str
    expires_at: float
    code: str = attrs.field(factory=lambda: secrets.token_urlsafe(24), repr=False)
    used: bool = False


@attrs.define(kw_only=True, eq=False)
class AccessToken:
    """A user's access token for an app."""

    connection_id: str
    expires_at: float
    token: str = attrs.field(factory=lambda: f"tkn_{secrets.token_hex(32)}", repr=False)


@attrs.frozen(kw_only=True)
class Transaction:
    """What a page of the browser flow is about; its id, which no other site can know, comes back with the form."""

    purpose: Literal["authorize", "top-up"]
    app_id: str
    redirect_uri: str
    client_state: str | None
    """The client's `state`, which goes back to it."""
    mode: str | None
    prompts: frozenset[str]
    amount: Decimal | None
    """What the client suggests."""
    expires_at: float
    user_id: str | None = None
    id: str = attrs.field(default="", repr=False)
    """Empty until a page is shown."""


@attrs.frozen(kw_only=True)
class SpendingRow:
    """One metered call."""

    connection_id: str
    app_id: str
    app_name: str
    user_id: str
    account_id: str
    provider: str
    model: str
    input_tokens: int
    output_tokens: int
    cost: Decimal
    platform_fee: Decimal
    created_at: str
    id: str = attrs.field(factory=new_id)

    @property
    def total(self) -> Decimal:
        """Cost and fee: what the budget loses."""
        return self.cost + self.platform_fee


class State:
    """All tables of the platform; `lock` guards them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lock: threading.RLock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.users: dict[str, User] = {}
        self.accounts: dict[str, Account] = {}
        self.invitations: dict[str, Invitation] = {}
        self.api_tokens: dict[str, ApiToken] = {}
        """By id."""
        self.apps: dict[str, App] = {}
        """By id, which is the client id. A deleted app is gone; its connections stay."""
        self.provider_keys: dict[str, ProviderKey] = {}
        self.connections: dict[str, Connection] = {}
        """By id; a revoked one stays with `revoked_at`."""
        self.codes: dict[str, Code] = {}
        self.access_tokens: dict[str, AccessToken] = {}
        self.spending: list[SpendingRow] = []
        """Oldest first."""
        self.sessions: dict[str, str] = {}
        """User ids by the browser's cookie."""
        self._transactions: dict[str, Transaction] = {}

    # ---------------------------------------------------------------- people and accounts

    def user_by_email(self, email: str) -> User | None:
        """The user with that address, in any case of its letters."""
        wanted = email.casefold()
        return next((user for user in self.users.values() if user.email.casefold() == wanted), None)

    def add_user(self, email: str, *, password: str | None = None) -> User:
        """Add a user with a personal account (without provider keys)."""
        user = User(
            email=email,
            created_at=self.clock.iso(),
            id=User.id_for(email.casefold()),
        )
        if password is not None:
            user.set_password(password)
        self.users[user.id] = user
        self.add_account(email, user, kind="personal", account_id=fixed_id("acc_", email.casefold()))
        return user

    def add_account(
        self,
        name: str,
        owner: User,
        *,
        kind: Literal["personal", "business"] = "business",
        account_id: str | None = None,
    ) -> Account:
        """Add an account with its owner as the first member."""
        now = self.clock.iso()
        account = Account(id=account_id or new_id(), name=name, owner_user_id=owner.id, created_at=now, type=kind)
        account.members[owner.id] = Member(user_id=owner.id, role="owner", joined_at=now)
        self.accounts[account.id] = account
        return account

    def personal_account(self, user: User) -> Account:
        """The account that every user has."""
        return next(
            account
            for account in self.accounts.values()
            if account.type == "personal" and account.owner_user_id == user.id
        )

    def api_token(self, token: str) -> ApiToken | None:
        """The admin API's record of a bearer token."""
        return next((kept for kept in self.api_tokens.values() if kept.token == token), None)

    def key_for(self, account_id: str, provider: str) -> ProviderKey | None:
        """The key that an account has for a vendor, the oldest when there are several."""
        keys = self.provider_keys.values()
        return next((key for key in keys if key.account_id == account_id and key.provider == provider), None)

    # ---------------------------------------------------------------- grants

    def connection_of(self, user_id: str, app_id: str) -> Connection | None:
        """The connection of a user with an app that is not revoked."""
        return next(
            (
                connection
                for connection in self.connections.values()
                if (connection.user_id, connection.app_id) == (user_id, app_id) and connection.revoked_at is None
            ),
            None,
        )

    def connect(self, user: User, app: App, budget: Decimal, *, account: Account | None = None) -> Connection:
        """Grant an app a budget: a new connection, or a new limit for the one there is.

        Args:
            user: Who grants.
            app: What app.
            budget: The limit in dollars; what has been spent stays spent.
            account: Who pays; the user's personal account when left out.
        """
        connection = self.connection_of(user.id, app.id)
        if connection is None:
            payer = account or self.personal_account(user)
            connection = Connection(
                app_id=app.id,
                user_id=user.id,
                account_id=payer.id,
                budget_limit=budget,
                created_at=self.clock.iso(),
            )
            self.connections[connection.id] = connection
        connection.budget_limit = budget
        return connection

    def issue_code(self, connection: Connection, redirect_uri: str) -> Code:
        """Issue an authorization code of 300 seconds."""
        code = Code(
            connection_id=connection.id,
            redirect_uri=redirect_uri,
            expires_at=self.clock.issue_time() + CODE_LIFETIME,
        )
        self.codes[code.code] = code
        return code

    def issue_token(self, connection: Connection) -> AccessToken:
        """Issue an access token of 30 days."""
        token = AccessToken(connection_id=connection.id, expires_at=self.clock.issue_time() + ACCESS_TOKEN_LIFETIME)
        self.access_tokens[token.token] = token
        return token

    # ---------------------------------------------------------------- pages

    def transaction_end(self) -> float:
        """When a transaction that begins now is over."""
        return self.clock.issue_time() + TRANSACTION_LIFETIME

    def keep(self, transaction: Transaction) -> Transaction:
        """Keep what a page that is about to be shown is about, under a new id; forget those that are over."""
        kept = attrs.evolve(transaction, id=secrets.token_urlsafe(24))
        now = self.clock.now()
        self._transactions = {known.id: known for known in self._transactions.values() if known.expires_at > now}
        self._transactions[kept.id] = kept
        return kept

    def transaction(self, transaction_id: str) -> Transaction | None:
        """The transaction of a form, unless it is unknown or over."""
        found = self._transactions.get(transaction_id)
        return found if found and found.expires_at > self.clock.now() and found.app_id in self.apps else None

    # ---------------------------------------------------------------- money

    def charge(
        self,
        connection: Connection,
        *,
        provider: str,
        model: str,
        input_tokens: int,
        output_tokens: int,
        cost: Decimal,
        at: str | None = None,
    ) -> SpendingRow:
        """Write down what a call cost and take it from the budget, and from the account's pool if it has one."""
        app = self.apps.get(connection.app_id)
        row = SpendingRow(
            connection_id=connection.id,
            app_id=connection.app_id,
            app_name=app.name if app else "",
            user_id=connection.user_id,
            account_id=connection.account_id,
            provider=provider,
            model=model,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cost=cost,
            platform_fee=platform_fee(cost),
            created_at=at or self.clock.iso(),
        )
        self.spending.append(row)
        connection.budget_spent += row.total
        account = self.accounts.get(connection.account_id)
        if account is not None:
            account.pool_budget_spent += row.total
        return row

    def spent_this_month(self, account_id: str, user_id: str) -> Decimal:
        """What a member has spent in an account since the month began (UTC)."""
        month = self.clock.iso()[:7]
        return sum(
            (
                row.total
                for row in self.spending
                if (row.account_id, row.user_id) == (account_id, user_id) and row.created_at.startswith(month)
            ),
            Decimal(0),
        )
