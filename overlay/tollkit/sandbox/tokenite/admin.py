"""The admin API of the sandboxed Tokenite, below `/api` of the proxy's host.

Every call but register and login carries `Authorization: Bearer` with an API token. A call acts for the account that
`x-account-id` names, of which the caller must be a member; without the header for the caller's personal account.
Calls on one account (`/api/accounts/{id}/...`) need the header, and it must name the same account. Members read;
owners change. The statuses that go with the error codes, names of members that the facts do not tell, and the rules
on roles are made up to be sensible.
"""

from __future__ import annotations

import functools
import json
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode, urlsplit

import attrs

from tollkit.sandbox.clock import iso
from tollkit.sandbox.http import Call, empty, json_answer, route
from tollkit.sandbox.tokenite.catalog import PROVIDERS, TIERS
from tollkit.sandbox.tokenite.state import (
    Account,
    ApiToken,
    App,
    Connection,
    Invitation,
    Member,
    ProviderKey,
    SpendingRow,
    State,
    User,
    number,
)

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import Route

    from tollkit.sandbox.tokenite.platform import TokeniteSandbox

__all__ = ["INVITATION_LIFETIME", "MAX_PAGE", "routes"]

INVITATION_LIFETIME = 7 * 86_400
"""Seconds that an invitation can be claimed."""
DEFAULT_PAGE = 50
"""Spending rows of an answer when the query does not say."""
MAX_PAGE = 200
"""Spending rows of an answer at most."""

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_LEAST_PASSWORD = 8

STATUSES = {
    "VALIDATION": 400,
    "INVALID_CODE": 400,
    "UNAUTHORIZED": 401,
    "INVALID_CREDENTIALS": 401,
    "INVALID_CLIENT": 401,
    "FORBIDDEN": 403,
    "INSUFFICIENT_ROLE": 403,
    "NOT_FOUND": 404,
    "EMAIL_TAKEN": 409,
    "ALREADY_MEMBER": 409,
    "SOLE_OWNER": 409,
    "INVITATION_EXPIRED": 410,
    "INTERNAL": 500,
}
"""The codes of this API's errors, each with its status."""


class RefusedError(Exception):
    """Ends a call with an error answer.

    Args:
        code: One of `STATUSES`.
        message: For people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def answer(self) -> Response:
        """The envelope with its status."""
        return json_answer({"error": {"code": self.code, "message": self.message}}, STATUSES[self.code])


def invalid(message: str) -> RefusedError:
    """The refusal of a value."""
    return RefusedError("VALIDATION", message)


def missing(what: str) -> RefusedError:
    """The refusal of an id that leads nowhere, or nowhere that the caller may look."""
    return RefusedError("NOT_FOUND", f"{what} not found")


# ---------------------------------------------------------------- reading what was sent


class Body:
    """The members of a JSON body, each checked when it is read."""

    def __init__(self, call: Call) -> None:
        try:
            document = json.loads(call.body or b"{}", parse_float=Decimal, parse_constant=_no_number)
        except (ValueError, RecursionError):
            raise invalid("the body must be JSON") from None
        if not isinstance(document, dict):
            raise invalid("the body must be a JSON object")
        self._members = cast("dict[str, Any]", document)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def _is(self, name: str, kind: type[Any] | tuple[type[Any], ...], what: str, nullable: bool) -> Any:
        value = self._members.get(name)
        if value is None and (nullable or name not in self._members):
            return None
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise invalid(f"{name} must be {what}")
        return value

    def text(self, name: str, *, nullable: bool = False) -> str | None:
        """Text with something in it; None when it is absent, or null where that is allowed."""
        value: str | None = self._is(name, str, "text", nullable)
        if value is not None and not value.strip():
            raise invalid(f"{name} must not be empty")
        return value

    def needed(self, name: str) -> str:
        """Text that must be there."""
        value = self.text(name)
        if value is None:
            raise invalid(f"{name} is required")
        return value

    def flag(self, name: str) -> bool | None:
        """True or false."""
        value: bool | None = self._is(name, bool, "true or false", False)
        return value

    def amount(self, name: str, *, nullable: bool = False) -> Decimal | None:
        """A number that is not negative."""
        value = self._is(name, (int, Decimal), "a number", nullable)
        if value is not None and value < 0:
            raise invalid(f"{name} must not be negative")
        return None if value is None else Decimal(value)

    def one_of(self, name: str, choices: Iterable[str], *, nullable: bool = False) -> str | None:
        """One of some texts."""
        value = self.text(name, nullable=nullable)
        if value is not None and value not in choices:
            raise invalid(f"{name} must be one of {', '.join(choices)}")
        return value

    def texts(self, name: str, choices: Iterable[str] | None = None, *, nullable: bool = False) -> Any:
        """A list of texts as a tuple."""
        value: list[Any] | None = self._is(name, list, "a list of texts", nullable)
        if value is None:
            return None
        for item in value:
            if not isinstance(item, str) or not item.strip():
                raise invalid(f"{name} must be a list of texts")
            if choices is not None and item not in choices:
                raise invalid(f"{name} must have only {', '.join(choices)}")
        return tuple(value)

    def address(self, name: str, *, nullable: bool = False) -> str | None:
        """An http(s) address."""
        value = self.text(name, nullable=nullable)
        if value is not None and not _is_address(value):
            raise invalid(f"{name} must be an http(s) address")
        return value


def _no_number(text: str) -> Any:
    raise ValueError(text)


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _email(text: str) -> str:
    if not _EMAIL.fullmatch(text):
        raise invalid("email must be an e-mail address")
    return text


def _count(call: Call, name: str, default: int, most: int | None = None) -> int:
    text = call.query.get(name)
    if text is None:
        return default
    least = 0 if most is None else 1
    if not (text.isascii() and text.isdigit()) or int(text) < least or (most is not None and int(text) > most):
        raise invalid(f"{name} must be a whole number, {least} or more" + (f", {most} at most" if most else ""))
    return int(text)


def _instant(call: Call, name: str, *, end: bool = False) -> str | None:
    """A bound of a span as the records have their times, so that texts compare as times do."""
    text = call.query.get(name)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise invalid(f"{name} must be a date or time in ISO 8601") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if len(text) == len("2026-05-31") and end:
        return iso(moment.timestamp() + 86_399.999)
    return iso(moment.timestamp())


# ---------------------------------------------------------------- records on the wire


def _present(document: Mapping[str, Any]) -> dict[str, Any]:
    """The members that have a value: optional ones of the records are absent rather than null."""
    return {name: value for name, value in document.items() if value is not None}


def _amount(value: Decimal | None) -> int | float | None:
    return None if value is None else number(value)


def token_wire(token: ApiToken) -> dict[str, Any]:
    """An API token without the token."""
    return _present(
        {
            "id": token.id,
            "name": token.name,
            "keyHint": token.key_hint,
            "createdAt": token.created_at,
            "lastUsedAt": token.last_used_at,
        }
    )


def account_wire(account: Account, user: User) -> dict[str, Any]:
    """An account as one of its members sees it."""
    return {
        **_present(
            {
                "id": account.id,
                "type": account.type,
                "name": account.name,
                "ownerUserId": account.owner_user_id,
                "poolBudgetLimitUsd": _amount(account.pool_budget_limit),
                "poolBudgetSpentUsd": number(account.pool_budget_spent),
                "poolLastResetAt": account.pool_last_reset_at,
                "deletedAt": account.deleted_at,
                "createdAt": account.created_at,
                "role": account.members[user.id].role,
            }
        ),
        "poolResetPeriod": account.pool_reset_period,
    }


def invitation_wire(invitation: Invitation) -> dict[str, Any]:
    """An invitation without its token."""
    return _present(
        {
            "id": invitation.id,
            "accountId": invitation.account_id,
            "email": invitation.email,
            "role": invitation.role,
            "invitedByUserId": invitation.invited_by_user_id,
            "expiresAt": iso(invitation.expires_at),
            "acceptedAt": invitation.accepted_at,
            "createdAt": invitation.created_at,
        }
    )


def app_wire(app: App) -> dict[str, Any]:
    """An app without its secret."""
    return _present(
        {
            "id": app.id,
            "builderId": app.builder_id,
            "name": app.name,
            "callbackUrl": app.callback_url,
            "requiredProviders": list(app.required_providers),
            "preferredProviders": list(app.preferred_providers),
            "allowSubstitution": app.allow_substitution,
            "allowedModels": None if app.allowed_models is None else list(app.allowed_models),
            "modelStrategy": app.model_strategy,
            "requiredTier": app.required_tier,
            "allowsManagedAgents": app.allows_managed_agents,
            "websiteUrl": app.website_url,
            "description": app.description,
            "iconUrl": app.icon_url,
            "createdAt": app.created_at,
        }
    )


def key_wire(key: ProviderKey) -> dict[str, Any]:
    """A vendor's key without the key."""
    return _present(
        {
            "id": key.id,
            "provider": key.provider,
            "keyHint": key.key_hint,
            "createdAt": key.created_at,
        }
    )


def spending_wire(row: SpendingRow) -> dict[str, Any]:
    """One metered call."""
    return {
        "id": row.id,
        "appName": row.app_name,
        "provider": row.provider,
        "model": row.model,
        "inputTokens": row.input_tokens,
        "outputTokens": row.output_tokens,
        "costUsd": number(row.cost),
        "platformFeeUsd": number(row.platform_fee),
        "createdAt": row.created_at,
    }


def _done() -> Response:
    return empty(204)


# ---------------------------------------------------------------- who is calling


@attrs.frozen
class Caller:
    """Who is calling, and for which account."""

    state: State
    token: ApiToken
    user: User
    account: Account

    def owned(self) -> Account:
        """The account, if the caller owns it."""
        return self.owning(self.account)

    def owning(self, account: Account) -> Account:
        """An account, if the caller owns it."""
        if account.members[self.user.id].role != "owner":
            raise RefusedError("INSUFFICIENT_ROLE", "only an owner of the account may do this")
        return account


def identify(state: State, call: Call) -> Caller:
    """Who is calling.

    Raises:
        RefusedError: Nobody that is known, or the account is not theirs.
    """
    token = state.api_token(call.bearer() or "")
    if token is None:
        raise RefusedError("UNAUTHORIZED", "a valid API token is required")
    token.last_used_at = state.clock.iso()
    user = state.users[token.user_id]
    named = call.headers.get("x-account-id")
    account = state.personal_account(user) if named is None else state.accounts.get(named)
    if account is None or account.deleted_at is not None or user.id not in account.members:
        raise RefusedError("FORBIDDEN", "x-account-id names no account of yours")
    return Caller(state, token, user, account)


def _guarded(handler: Callable[[Call], Response]) -> Callable[[Call], Response]:
    @functools.wraps(handler)
    def guarded(call: Call) -> Response:
        try:
            return handler(call)
        except RefusedError as refused:
            return refused.answer()

    return guarded


class _Part:
    """Handlers of one group of calls."""

    def __init__(self, platform: TokeniteSandbox) -> None:
        self.platform = platform

    @property
    def state(self) -> State:
        """The platform's state; a reset may have made it anew."""
        return self.platform.state

    def route(self, path: str, **handlers: Callable[[Call], Response]) -> Route:
        """A route whose refusals become answers."""
        return route(path, self.state.lock, **{method: _guarded(handler) for method, handler in handlers.items()})

    def caller(self, call: Call) -> Caller:
        """Who is calling, and for which account."""
        return identify(self.state, call)


class AuthRoutes(_Part):
    """Registering, logging in, API tokens."""

    def routes(self) -> list[Route]:
        """All routes."""
        return [
            self.route("/api/auth/register", POST=self.register),
            self.route("/api/auth/login", POST=self.login),
            self.route("/api/auth/me", GET=self.me),
            self.route("/api/auth/tokens", GET=self.tokens, POST=self.create_token),
            self.route("/api/auth/tokens/{id}", DELETE=self.revoke_token),
        ]

    def _session(self, user: User) -> str:
        token = ApiToken(user_id=user.id, name="session", created_at=self.state.clock.iso(), session=True)
        self.state.api_tokens[token.id] = token
        return token.token

    def register(self, call: Call) -> Response:
        """Make a user; one who has only signed in on the pages before counts as taken too."""
        body = Body(call)
        email = _email(body.needed("email"))
        password = body.needed("password")
        if len(password) < _LEAST_PASSWORD:
            raise invalid(f"password must have {_LEAST_PASSWORD} characters or more")
        if self.state.user_by_email(email) is not None:
            raise RefusedError("EMAIL_TAKEN", "a user with this e-mail address exists")
        user = self.state.add_user(email, password=password)
        return json_answer({"userId": user.id, "token": self._session(user)}, 201)

    def login(self, call: Call) -> Response:
        """Give a session token for a password."""
        body = Body(call)
        email, password = body.needed("email"), body.needed("password")
        user = self.state.user_by_email(email)
        if user is None or user.password is None or not user.password.fits(password):
            raise RefusedError("INVALID_CREDENTIALS", "e-mail address or password is wrong")
        return json_answer({"token": self._session(user)})

    def me(self, call: Call) -> Response:
        """Who the token speaks for."""
        user = self.caller(call).user
        return json_answer({"userId": user.id, "email": user.email})

    def tokens(self, call: Call) -> Response:
        """The caller's API tokens, oldest first; sessions are none."""
        caller = self.caller(call)
        found = self.state.api_tokens.values()
        return json_answer([token_wire(one) for one in found if one.user_id == caller.user.id and not one.session])

    def create_token(self, call: Call) -> Response:
        """Make an API token; the answer is the only one that shows it."""
        caller = self.caller(call)
        token = ApiToken(user_id=caller.user.id, name=Body(call).needed("name"), created_at=self.state.clock.iso())
        self.state.api_tokens[token.id] = token
        return json_answer({**token_wire(token), "token": token.token}, 201)

    def revoke_token(self, call: Call) -> Response:
        """Make an API token worthless."""
        caller = self.caller(call)
        token = self.state.api_tokens.get(call.params["id"])
        if token is None or token.user_id != caller.user.id or token.session:
            raise missing("token")
        del self.state.api_tokens[token.id]
        return _done()


class AccountRoutes(_Part):
    """Accounts with their members and invitations."""

    def routes(self) -> list[Route]:
        """All routes."""
        one = "/api/accounts/{id}"
        return [
            self.route("/api/accounts", GET=self.list, POST=self.create),
            self.route(one, GET=self.get, PATCH=self.update, DELETE=self.delete),
            self.route(f"{one}/invitations", GET=self.invitations, POST=self.invite),
            self.route(f"{one}/invitations/{{invitation_id}}", DELETE=self.cancel_invite),
            self.route(f"{one}/members", GET=self.members),
            self.route(f"{one}/members/{{user_id}}", PATCH=self.update_member, DELETE=self.remove_member),
            self.route(f"{one}/leave", POST=self.leave),
            self.route("/api/invitations/claim", POST=self.claim),
        ]

    def named(self, call: Call) -> Caller:
        """The caller of a call on one account, which the header must name too."""
        header = call.headers.get("x-account-id")
        if header is None:
            identify(self.state, call)
            raise invalid("x-account-id is required")
        account = self.state.accounts.get(call.params["id"])
        if account is None or account.deleted_at is not None:
            if self.state.api_token(call.bearer() or "") is not None:
                raise missing("account")
        elif header != account.id:
            raise invalid("x-account-id must name the account of the path")
        return self.caller(call)

    def list(self, call: Call) -> Response:
        """The caller's accounts, the personal one first."""
        user = self.caller(call).user
        found = self.state.accounts.values()
        return json_answer([account_wire(a, user) for a in found if a.deleted_at is None and user.id in a.members])

    def create(self, call: Call) -> Response:
        """Make a business account that the caller owns."""
        caller = self.caller(call)
        body = Body(call)
        name = body.needed("name")
        limit = body.amount("poolBudgetLimitUsd", nullable=True)
        if body.one_of("type", ("business", "personal")) == "personal":
            raise invalid("type must be business: every user has the one personal account")
        account = self.state.add_account(name, caller.user)
        account.pool_budget_limit = limit
        self._set_period(account, body)
        return json_answer(account_wire(account, caller.user), 201)

    def _set_period(self, account: Account, body: Body) -> None:
        if "poolResetPeriod" in body:
            period = body.one_of("poolResetPeriod", ("monthly",), nullable=True)
            account.pool_reset_period = "monthly" if period else None

    def get(self, call: Call) -> Response:
        """One account."""
        caller = self.named(call)
        return json_answer(account_wire(caller.account, caller.user))

    def update(self, call: Call) -> Response:
        """Change an account; what is absent stays."""
        caller = self.named(call)
        account = caller.owned()
        body = Body(call)
        name = body.text("name")
        limit = body.amount("poolBudgetLimitUsd", nullable=True)
        self._set_period(account, body)
        account.name = name or account.name
        if "poolBudgetLimitUsd" in body:
            account.pool_budget_limit = limit
        return json_answer(account_wire(account, caller.user))

    def delete(self, call: Call) -> Response:
        """Delete a business account."""
        account = self.named(call).owned()
        if account.type == "personal":
            raise RefusedError("FORBIDDEN", "a personal account cannot be deleted")
        account.deleted_at = self.state.clock.iso()
        return _done()

    def invite(self, call: Call) -> Response:
        """Invite somebody by e-mail address; the answer has the address at which they claim it."""
        caller = self.named(call)
        account = caller.owned()
        body = Body(call)
        email = _email(body.needed("email"))
        role = body.one_of("role", ("owner", "member"))
        if account.type == "personal":
            raise RefusedError("FORBIDDEN", "a personal account has one member")
        user = self.state.user_by_email(email)
        if user is not None and user.id in account.members:
            raise RefusedError("ALREADY_MEMBER", "this user is a member of the account")
        issued = self.state.clock.issue_time()
        invitation = Invitation(
            account_id=account.id,
            email=email,
            role="owner" if role == "owner" else "member",
            invited_by_user_id=caller.user.id,
            expires_at=issued + INVITATION_LIFETIME,
            created_at=iso(issued),
        )
        self.state.invitations[invitation.id] = invitation
        claim = f"{self.platform.base_url}/invitations/claim?token={quote(invitation.token)}"
        return json_answer({**invitation_wire(invitation), "claimUrl": claim}, 201)

    def invitations(self, call: Call) -> Response:
        """The account's invitations, accepted ones included."""
        account = self.named(call).owned()
        found = self.state.invitations.values()
        return json_answer([invitation_wire(one) for one in found if one.account_id == account.id])

    def cancel_invite(self, call: Call) -> Response:
        """Take an invitation back."""
        account = self.named(call).owned()
        invitation = self.state.invitations.get(call.params["invitation_id"])
        if invitation is None or invitation.account_id != account.id or invitation.accepted_at is not None:
            raise missing("invitation")
        del self.state.invitations[invitation.id]
        return _done()

    def _member_wire(self, account: Account, member: Member) -> dict[str, Any]:
        return _present(
            {
                "accountId": account.id,
                "userId": member.user_id,
                "email": self.state.users[member.user_id].email,
                "role": member.role,
                "monthlyCapUsd": _amount(member.monthly_cap),
                "joinedAt": member.joined_at,
                "mtdSpendUsd": number(self.state.spent_this_month(account.id, member.user_id)),
            }
        )

    def members(self, call: Call) -> Response:
        """The account's members."""
        account = self.named(call).account
        return json_answer([self._member_wire(account, member) for member in account.members.values()])

    def _member(self, account: Account, call: Call) -> Member:
        member = account.members.get(call.params["user_id"])
        if member is None:
            raise missing("member")
        return member

    def update_member(self, call: Call) -> Response:
        """Change a member's role or cap."""
        account = self.named(call).owned()
        member = self._member(account, call)
        body = Body(call)
        role = body.one_of("role", ("owner", "member"))
        cap = body.amount("monthlyCapUsd", nullable=True)
        if role == "member":
            self._not_the_last(account, member)
        if role is not None:
            member.role = "owner" if role == "owner" else "member"
        if "monthlyCapUsd" in body:
            member.monthly_cap = cap
        self._hand_over(account)
        return json_answer(self._member_wire(account, member))

    def remove_member(self, call: Call) -> Response:
        """Take a member out of the account."""
        account = self.named(call).owned()
        return self._out(account, self._member(account, call))

    def leave(self, call: Call) -> Response:
        """Take oneself out of the account."""
        caller = self.named(call)
        return self._out(caller.account, caller.account.members[caller.user.id])

    def _out(self, account: Account, member: Member) -> Response:
        self._not_the_last(account, member)
        del account.members[member.user_id]
        self._hand_over(account)
        return _done()

    def _not_the_last(self, account: Account, member: Member) -> None:
        owners = [one for one in account.members.values() if one.role == "owner"]
        if owners == [member]:
            raise RefusedError("SOLE_OWNER", "the account would have no owner")

    def _hand_over(self, account: Account) -> None:
        """Let `owner_user_id` name an owner."""
        owners = [one.user_id for one in account.members.values() if one.role == "owner"]
        if account.owner_user_id not in owners:
            account.owner_user_id = owners[0]

    def claim(self, call: Call) -> Response:
        """Become a member by an invitation."""
        user = self.caller(call).user
        token = Body(call).needed("token")
        invitation = next((one for one in self.state.invitations.values() if one.token == token), None)
        account = None if invitation is None else self.state.accounts.get(invitation.account_id)
        if invitation is None or account is None or account.deleted_at is not None:
            raise missing("invitation")
        if invitation.email.casefold() != user.email.casefold():
            raise RefusedError("FORBIDDEN", "the invitation is for another e-mail address")
        if user.id in account.members:
            raise RefusedError("ALREADY_MEMBER", "you are a member of the account")
        if invitation.accepted_at is not None or invitation.expires_at <= self.state.clock.now():
            raise RefusedError("INVITATION_EXPIRED", "the invitation can no longer be claimed")
        now = self.state.clock.iso()
        invitation.accepted_at = now
        account.members[user.id] = Member(user_id=user.id, role=invitation.role, joined_at=now)
        return json_answer({"accountId": account.id, "role": invitation.role})


class AppRoutes(_Part):
    """Apps of an account."""

    def routes(self) -> list[Route]:
        """All routes."""
        return [
            self.route("/api/apps", GET=self.list, POST=self.create),
            self.route("/api/apps/{id}", GET=self.get, PATCH=self.update, DELETE=self.delete),
            self.route("/api/apps/{id}/rotate-secret", POST=self.rotate_secret),
        ]

    def _app(self, caller: Caller, call: Call) -> App:
        app = self.state.apps.get(call.params["id"])
        if app is None or app.account_id != caller.account.id:
            raise missing("app")
        return app

    def list(self, call: Call) -> Response:
        """The account's apps, oldest first."""
        account = self.caller(call).account
        return json_answer([app_wire(app) for app in self.state.apps.values() if app.account_id == account.id])

    def create(self, call: Call) -> Response:
        """Make an app; the answer is the only one that shows its secret."""
        caller = self.caller(call)
        account = caller.owned()
        body = Body(call)
        app = App(
            name=body.needed("name"),
            builder_id=caller.user.id,
            account_id=account.id,
            callback_url=body.needed("callbackUrl"),
            created_at=self.state.clock.iso(),
        )
        self._change(app, body)
        self.state.apps[app.id] = app
        return json_answer({**app_wire(app), "appSecret": app.secret}, 201)

    def _change(self, app: App, body: Body) -> None:
        """Set what the body has, all of it or nothing."""
        wanted = attrs.evolve(app)
        wanted.name = body.text("name") or wanted.name
        wanted.callback_url = body.address("callbackUrl") or wanted.callback_url
        for name, field in (
            ("requiredProviders", "required_providers"),
            ("preferredProviders", "preferred_providers"),
        ):
            if (providers := body.texts(name, PROVIDERS)) is not None:
                setattr(wanted, field, providers)
        if (allowed := body.flag("allowSubstitution")) is not None:
            wanted.allow_substitution = allowed
        if (agents := body.flag("allowsManagedAgents")) is not None:
            wanted.allows_managed_agents = agents
        if "allowedModels" in body:
            wanted.allowed_models = body.texts("allowedModels", nullable=True)
        if "requiredTier" in body:
            wanted.required_tier = body.one_of("requiredTier", TIERS, nullable=True)
        if (strategy := body.one_of("modelStrategy", ("any", "tier", "models"))) is not None:
            wanted.model_strategy = cast("Any", strategy)
        if wanted.model_strategy == "tier" and wanted.required_tier is None:
            raise invalid("modelStrategy tier needs requiredTier")
        if wanted.model_strategy == "models" and not wanted.allowed_models:
            raise invalid("modelStrategy models needs a non-empty allowedModels")
        if "websiteUrl" in body:
            wanted.website_url = body.address("websiteUrl", nullable=True)
        if "iconUrl" in body:
            wanted.icon_url = body.address("iconUrl", nullable=True)
        if "description" in body:
            wanted.description = body.text("description", nullable=True)
        for changed in attrs.fields(App):
            setattr(app, changed.name, getattr(wanted, changed.name))

    def get(self, call: Call) -> Response:
        """One app."""
        return json_answer(app_wire(self._app(self.caller(call), call)))

    def update(self, call: Call) -> Response:
        """Change an app; what is absent stays."""
        caller = self.caller(call)
        app = self._app(caller, call)
        caller.owned()
        self._change(app, Body(call))
        return json_answer(app_wire(app))

    def rotate_secret(self, call: Call) -> Response:
        """Give the app a new secret; the old one is worthless at once."""
        caller = self.caller(call)
        app = self._app(caller, call)
        caller.owned()
        app.secret = f"tkn_secret_{secrets.token_hex(24)}"
        return json_answer({"appSecret": app.secret})

    def delete(self, call: Call) -> Response:
        """Delete an app; tokens for it are worthless from then on."""
        caller = self.caller(call)
        app = self._app(caller, call)
        caller.owned()
        del self.state.apps[app.id]
        return _done()


class KeyRoutes(_Part):
    """An account's own keys at the vendors."""

    def routes(self) -> list[Route]:
        """All routes."""
        return [
            self.route("/api/keys", GET=self.list, POST=self.add),
            self.route("/api/keys/{id}", DELETE=self.remove),
        ]

    def list(self, call: Call) -> Response:
        """The account's keys, oldest first."""
        account = self.caller(call).account
        found = self.state.provider_keys.values()
        return json_answer([key_wire(key) for key in found if key.account_id == account.id])

    def add(self, call: Call) -> Response:
        """Add a key: the vendor can be called from now on."""
        account = self.caller(call).owned()
        body = Body(call)
        body.needed("provider")
        key = ProviderKey(
            account_id=account.id,
            provider=cast("str", body.one_of("provider", PROVIDERS)),
            key=body.needed("apiKey"),
            created_at=self.state.clock.iso(),
        )
        self.state.provider_keys[key.id] = key
        return json_answer(key_wire(key), 201)

    def remove(self, call: Call) -> Response:
        """Remove a key."""
        caller = self.caller(call)
        key = self.state.provider_keys.get(call.params["id"])
        if key is None or key.account_id != caller.account.id:
            raise missing("key")
        caller.owned()
        del self.state.provider_keys[key.id]
        return _done()


class ConnectionRoutes(_Part):
    """What users granted apps, how it is changed, and what it cost."""

    def routes(self) -> list[Route]:
        """All routes."""
        one = "/api/connections/{id}"
        return [
            self.route("/api/oauth/authorize", POST=self.authorize),
            self.route("/api/connections", GET=self.list),
            self.route(f"{one}/stats", GET=self.stats),
            self.route(f"{one}/budget", PATCH=self.set_budget),
            self.route(f"{one}/suspend", POST=self.suspend),
            self.route(f"{one}/resume", POST=self.resume),
            self.route(one, DELETE=self.revoke),
            self.route("/api/spending", GET=self.spending),
        ]

    def authorize(self, call: Call) -> Response:
        """Grant an app a budget without the consent screen, and get the code that its callback would."""
        caller = self.caller(call)
        body = Body(call)
        app = self.state.apps.get(body.needed("client_id"))
        redirect_uri = body.needed("redirect_uri")
        budget = body.amount("budget_limit")
        if app is None:
            raise RefusedError("INVALID_CLIENT", "no app has this client_id")
        if not self.platform.redirect_allowed(app, redirect_uri):
            raise invalid("redirect_uri is not the app's callback address")
        if budget is None:
            raise invalid("budget_limit is required")
        connection = self.state.connect(caller.user, app, budget, account=caller.account)
        code = self.state.issue_code(connection, redirect_uri)
        state = body.text("state")
        query = urlencode({"code": code.code, **({} if state is None else {"state": state})})
        target = f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{query}"
        return json_answer({"redirect_to": target, "code": code.code})

    def _visible(self, caller: Caller) -> Iterable[Connection]:
        """Connections that the account pays for: all of them for owners, for members their own."""
        owns = caller.account.members[caller.user.id].role == "owner"
        for connection in self.state.connections.values():
            paid = connection.revoked_at is None and connection.account_id == caller.account.id
            if paid and (owns or connection.user_id == caller.user.id):
                yield connection

    def _connection(self, call: Call) -> Connection:
        wanted = call.params["id"]
        found = next((one for one in self._visible(self.caller(call)) if one.id == wanted), None)
        if found is None:
            raise missing("connection")
        return found

    def _wire(self, connection: Connection) -> dict[str, Any]:
        app = self.state.apps.get(connection.app_id)
        return _present(
            {
                "id": connection.id,
                "appId": connection.app_id,
                "appName": app.name if app else "",
                "appWebsiteUrl": app and app.website_url,
                "appDescription": app and app.description,
                "appIconUrl": app and app.icon_url,
                "budgetLimit": number(connection.budget_limit),
                "budgetSpent": number(connection.budget_spent),
                "isSuspended": connection.is_suspended,
                "createdAt": connection.created_at,
            }
        )

    def list(self, call: Call) -> Response:
        """The connections that are not revoked, oldest first."""
        return json_answer([self._wire(connection) for connection in self._visible(self.caller(call))])

    def stats(self, call: Call) -> Response:
        """What was done through a connection."""
        connection = self._connection(call)
        rows = [row for row in self.state.spending if row.connection_id == connection.id]
        return json_answer(
            {
                "totalRequests": len(rows),
                "totalTokens": sum(row.input_tokens + row.output_tokens for row in rows),
                "totalCost": number(sum((row.cost for row in rows), Decimal(0))),
            }
        )

    def set_budget(self, call: Call) -> Response:
        """Set the limit; what has been spent stays spent."""
        connection = self._connection(call)
        budget = Body(call).amount("budget_limit")
        if budget is None:
            raise invalid("budget_limit is required")
        connection.budget_limit = budget
        return json_answer(self._wire(connection))

    def suspend(self, call: Call) -> Response:
        """Let the proxy refuse the connection's tokens until it is resumed."""
        return self._switch(call, True)

    def resume(self, call: Call) -> Response:
        """Let the connection's tokens work again."""
        return self._switch(call, False)

    def _switch(self, call: Call, suspended: bool) -> Response:
        connection = self._connection(call)
        connection.is_suspended = suspended
        return json_answer(self._wire(connection))

    def revoke(self, call: Call) -> Response:
        """End the connection; its tokens are worthless from then on."""
        self._connection(call).revoked_at = self.state.clock.iso()
        return _done()

    def spending(self, call: Call) -> Response:
        """Metered calls of the account, newest first."""
        caller = self.caller(call)
        app_id = call.query.get("appId") or None
        first, last = _instant(call, "from"), _instant(call, "to", end=True)
        limit, offset = _count(call, "limit", DEFAULT_PAGE, MAX_PAGE), _count(call, "offset", 0)
        found = [
            row
            for row in self.state.spending
            if row.account_id == caller.account.id
            and (app_id is None or row.app_id == app_id)
            and (first is None or row.created_at >= first)
            and (last is None or row.created_at < last)
        ]
        found.reverse()  # what was written down last comes first among rows of the same millisecond
        found.sort(key=lambda row: row.created_at, reverse=True)
        return json_answer([spending_wire(row) for row in found[offset : offset + limit]])


def routes(platform: TokeniteSandbox) -> list[Route]:
    """All routes of the admin API, below the proxy's base address."""
    parts = (AuthRoutes, AccountRoutes, AppRoutes, KeyRoutes, ConnectionRoutes)
    return [one for part in parts for one in part(platform).routes()]
