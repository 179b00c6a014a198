"""Every method of Tokenite's clients, called in the sandbox."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
from takes import Take, Tape, bound, whole

from support.tokenite import QUICK, arguments, authorization_code
from tollkit import AsyncTokenite, Tokenite
from tollkit.sandbox import Sandbox
from tollkit.tokenite import AsyncTokeniteAdmin, TokeniteAdmin, TokeniteError
from tollkit.tokenite.proxy import ProxyResult

PASSWORD = "correct horse battery"
PROMPT = {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": [{"role": "user", "content": "Say hello"}]}


@attrs.define
class Tour:
    """Calls methods and keeps what came."""

    place: Any
    tape: Tape
    takes: list[Take] = attrs.field(factory=list)

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the app's client: `name`, or `name [what is special]`."""
        given = arguments(self.place, max_retries=0)
        kinds = (Tokenite, AsyncTokenite)
        tokens = [each for each in args[:1] if isinstance(each, str)]
        return self._called("tokenite", kinds, given, (self.place.client_secret, *tokens), name, args, kwargs)

    def admin(self, name: str, /, *args: Any, key: str | None = None, **kwargs: Any) -> Any:
        """Call a method of the admin API's client."""
        given = {
            "base_url": self.place.proxy_base,
            "api_key": key or self.place.api_key,
            "allow_insecure_http": True,
            "connection": QUICK,
            "max_retries": 0,
        }
        kinds = (TokeniteAdmin, AsyncTokeniteAdmin)
        return self._called("admin", kinds, given, (given["api_key"], PASSWORD), name, args, kwargs)

    def _called(
        self,
        kind: str,
        kinds: tuple[type[Any], type[Any]],
        given: dict[str, Any],
        secrets: tuple[str, ...],
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        def client(http: Any, asynchronous: bool) -> Any:
            return kinds[asynchronous](**given, http_client=http)

        def called(made: Any) -> Any:
            return bound(made, name.partition(" [")[0])(*args, **kwargs)

        result = whole(called(client(self.tape, False)))
        self.takes.append(Take(f"{kind}.{name}", client, called, self.tape.taken(), TokeniteError, secrets))
        return result


def takes(sandbox: Sandbox) -> list[Take]:
    """All calls."""
    tape = Tape()
    tour = Tour(sandbox.tokenite, tape)
    _app(tour)
    _admin(tour)
    tape.close()
    return tour.takes


def _app(at: Tour) -> None:
    call, place = at.call, at.place
    call("exchange_code", authorization_code(place))
    token = place.grant()
    call("get_access_context", token)
    call("call", token, "anthropic", "/v1/messages", PROMPT)
    call("call [a list]", token, "anthropic", "/v1/models", method="GET")
    for code in ("BUDGET_EXCEEDED", "RATE_LIMITED", "PROVIDER_ERROR"):
        place.answer_next(code)
        result: ProxyResult = call(f"call [{code}]", token, "anthropic", "/v1/messages", PROMPT)
        assert not result.ok
    place.answer_next("CREDITS_DEPLETED")
    given = {"on_funding_needed": lambda needed: True, "suggested_amount": 5}
    call("call_with_recovery", token, "anthropic", "/v1/messages", PROMPT, **given)


def _admin(at: Tour) -> None:
    call, place = at.admin, at.place
    made = call("auth.register", "grace@example.com", PASSWORD)
    grace = made.token.reveal()
    call("auth.login", "grace@example.com", PASSWORD)
    call("auth.me")
    kept = call("auth.create_token", "laptop")
    call("auth.list_tokens")
    call("auth.revoke_token", kept.id)
    account = call("accounts.create", "Shop", type="business", pool_budget_limit_usd="10").id
    call("accounts.list")
    call("accounts.get", account)
    call("accounts.update", account, name="Shop 2")
    invited = call("accounts.invite", account, "grace@example.com")
    call("accounts.invitations", account)
    other = call("accounts.invite [another]", account, "bob@example.com")
    call("accounts.cancel_invite", account, other.id)
    call("accounts.claim", _claim_token(invited), key=grace)
    members = call("accounts.members", account)
    member = next(each.user_id for each in members if each.user_id == made.user_id)
    call("accounts.update_member", account, member, role="member")
    call("accounts.remove_member", account, member)
    again = call("accounts.invite [again]", account, "grace@example.com")
    call("accounts.claim [again]", _claim_token(again), key=grace)
    call("accounts.leave", account, key=grace)
    call("accounts.delete", account)
    app = call("apps.create", "Demo", "https://app.example/callback").id
    call("apps.list")
    call("apps.get", app)
    call("apps.update", app, name="Demo 2")
    call("apps.rotate_secret", app)
    call("apps.delete", app)
    key = call("keys.add", "openai", "sk-0123456789abcdef0123456789").id
    call("keys.list")
    call("keys.remove", key)
    call("oauth.authorize", client_id=place.client_id, redirect_uri=place.redirect_uri, budget_limit=5)
    connection = call("connections.list")[0].id
    call("connections.stats", connection)
    call("connections.set_budget", connection, 7)
    call("connections.suspend", connection)
    call("connections.resume", connection)
    call("spending.list")
    call("spending.iterate", page_size=1)
    call("connections.revoke", connection)


def _claim_token(invited: Any) -> str:
    return dict(parse_qsl(urlsplit(invited.claim_url.reveal()).query))["token"]
