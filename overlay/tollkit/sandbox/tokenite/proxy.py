"""The metering proxy: who may call what, the scripted vendor behind it, what it costs, and the access context."""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlencode

import attrs
from starlette.responses import Response, StreamingResponse

from tollkit.sandbox.http import Call, json_answer, members, route
from tollkit.sandbox.tokenite.catalog import (
    AGENT_BETA,
    BETAS,
    ERRORS,
    MODELS,
    PROVIDERS,
    TIERS,
    ErrorKind,
    allows,
    cost_of,
)
from tollkit.sandbox.tokenite.state import Account, App, Connection, ProviderKey, User
from tollkit.sandbox.tokenite.vendors import answer as vendor_answer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from starlette.datastructures import Headers
    from starlette.routing import Route

    from tollkit.sandbox.tokenite.state import State
    from tollkit.sandbox.tokenite.vendors import VendorAnswer

__all__ = ["ProxyRoutes", "ScriptedError", "VendorRequest"]

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_ASK_FOR_ERROR = "error/"
_MODEL_IN_PATH = re.compile(r"/models?/(?P<model>.+?)(?::[A-Za-z]+|/(?:invoke|converse)[a-z-]*)?$")
_KEPT_VENDOR_REQUESTS = 1_000

_OWN_HEADERS = ("host", "connection", "content-length", "cookie", "authorization", "x-api-key", "x-goog-api-key")
"""What the proxy does not hand on: hop-by-hop headers, and the credentials that are for the proxy itself."""


@attrs.frozen(kw_only=True)
class VendorRequest:
    """A request as the vendor would have got it; the user's key is told by its id, never by its value."""

    provider: str
    method: str
    path: str
    """The vendor's own path, percent-encoded, without query."""
    headers: Mapping[str, str]
    """Names in lower case, beta headers merged, no credentials."""
    body: Any
    """The JSON body; None without one."""
    key_id: str


@attrs.frozen(kw_only=True)
class ScriptedError:
    """An error that a call is to be answered."""

    code: str
    kind: ErrorKind
    details: Mapping[str, Any] | None = None


class _RefusedError(Exception):
    """The call ends with an error envelope."""

    def __init__(self, code: str, details: Mapping[str, Any] | None = None, *, kind: ErrorKind | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.kind = kind or ERRORS[code]
        self.details = details

    def answer(self) -> Response:
        error: dict[str, Any] = {"code": self.code, "message": self.kind.message, "source": self.kind.source}
        if self.details:
            error["details"] = dict(self.details)
        return json_answer({"error": error}, self.kind.status)


@attrs.frozen(kw_only=True)
class _Caller:
    """Whose call it is."""

    connection: Connection
    app: App
    user: User
    account: Account


def speaks_vendor(headers: Headers, body: Any, path: str) -> bool:
    """Whether a call is a vendor SDK's, which must be answered in the vendor's own form instead of the envelope.

    The facts do not say how the platform tells them apart. Here it is a stream (which has no envelope), or a header
    that the vendors' SDKs send by themselves.
    """
    if members(body).get("stream") is True or "stream" in path.rpartition("/")[2].lower():
        return True
    return any(
        name.startswith("x-stainless-") or name in ("anthropic-version", "x-goog-api-client", "x-goog-api-key")
        for name in headers
    )


def access_token(headers: Headers) -> str | None:
    """The user's access token, from whichever header the vendors' SDKs put an API key into."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get("x-api-key") or headers.get("x-goog-api-key")


class ProxyRoutes:
    """Handlers of `proxy_base`: the access context, and `/{provider}/...` for every other path.

    Attributes:
        access_context_version: `"2.4"`, or `"1.0"` for the answer of that level.
        chunk_seconds: Pause before every chunk of a stream but the first.
        scripted: Errors that the next calls are answered, first come first served.
        vendor_requests: The last 1,000 calls that reached a vendor.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self.clear()

    def clear(self) -> None:
        """Go back to the first state."""
        self.access_context_version = "2.4"
        self.chunk_seconds: float = 0.0
        self.scripted: deque[ScriptedError] = deque()
        self.vendor_requests: deque[VendorRequest] = deque(maxlen=_KEPT_VENDOR_REQUESTS)

    def routes(self) -> list[Route]:
        """The routes, relative to `proxy_base`; the second takes every path that no earlier route takes."""
        lock = self._state.lock
        return [
            route("/me/providers", lock, GET=self.access_context),
            route("/{provider}/{path:path}", lock, **dict.fromkeys(_METHODS, self.call)),
        ]

    # ---------------------------------------------------------------- who calls

    def _caller(self, call: Call) -> _Caller:
        """Whose token it is.

        Raises:
            _RefusedError: Nobody's, or nobody's any more.
        """
        state = self._state
        token = state.access_tokens.get(access_token(call.headers) or "")
        if token is None:
            raise _RefusedError("TOKEN_INVALID")
        connection = state.connections[token.connection_id]
        if connection.revoked_at is not None:
            raise _RefusedError("TOKEN_REVOKED")
        if token.expires_at <= state.clock.now():
            raise _RefusedError("TOKEN_EXPIRED")
        app = state.apps.get(connection.app_id)
        if app is None:
            raise _RefusedError("APP_NOT_FOUND")
        if connection.is_suspended:
            raise _RefusedError("TOKEN_SUSPENDED")
        return _Caller(
            connection=connection,
            app=app,
            user=state.users[connection.user_id],
            account=state.accounts[connection.account_id],
        )

    # ---------------------------------------------------------------- access context

    def access_context(self, call: Call) -> Response:
        """What the user's access token can do; a refusal tells code and message, as everywhere but in calls."""
        try:
            caller = self._caller(call)
        except _RefusedError as refusal:
            error = {"code": refusal.code, "message": refusal.kind.message}
            return json_answer({"error": error}, refusal.kind.status)
        app, user = caller.app, caller.user
        keys = {key.provider for key in self._state.provider_keys.values() if key.account_id == caller.account.id}
        about: dict[str, Any] = {
            "id": app.id,
            "name": app.name,
            "description": app.description,
            "websiteUrl": app.website_url,
            "iconUrl": app.icon_url,
        }
        providers = [provider.wire() for provider in PROVIDERS.values() if provider.id in keys]
        if self.access_context_version == "1.0":
            about |= {
                "requiredProviders": list(app.required_providers),
                "preferredProviders": list(app.preferred_providers),
                "allowSubstitution": app.allow_substitution,
            }
            return json_answer({"app": about, "providers": providers})
        models = [model.wire(keys) for model in MODELS if allows(app, model.slug)]
        callable_now = [model for model in models if model["callableNow"]]
        best = {tier: next((m["slug"] for m in callable_now if tier in m["tiers"]), None) for tier in TIERS}
        return json_answer(
            {
                "app": about,
                "user": {"id": user.id, "email": user.email},
                "providers": providers,
                "models": models,
                "tiers": [
                    {"id": tier, "reachable": slug is not None, "recommendedModel": slug}
                    for tier, slug in best.items()
                ],
            }
        )

    # ---------------------------------------------------------------- calls

    def call(self, call: Call) -> Response:
        """A call of a vendor: checked, handed on, metered."""
        try:
            return self._call(call)
        except _RefusedError as refusal:
            return refusal.answer()

    def _call(self, call: Call) -> Response:
        _, provider, rest = call.path.split("/", 2)
        path = f"/{rest}"
        if self.scripted:
            scripted = self.scripted.popleft()
            raise _RefusedError(scripted.code, scripted.details, kind=scripted.kind)
        caller = self._caller(call)
        body = _json_body(call)
        asked = _model_of(body, path)
        if asked.startswith(_ASK_FOR_ERROR):
            raise _asked_error(asked.removeprefix(_ASK_FOR_ERROR), provider)
        key = self._permit(caller, provider, path, asked)
        headers = _vendor_headers(call.headers, provider, path)
        self.vendor_requests.append(
            VendorRequest(provider=provider, method=call.method, path=path, headers=headers, body=body, key_id=key.id)
        )
        query = f"?{urlencode(call.query.pairs)}" if call.query.pairs else ""
        answer = vendor_answer(provider, call.method, path + query, headers, body)
        if answer.status >= 400:
            raise _vendor_error(answer, provider)
        if answer.chunks is not None:
            stream = self._stream(caller.connection, provider, answer)
            return StreamingResponse(stream, answer.status, media_type=answer.content_type)
        self._meter(caller.connection, provider, answer)
        if speaks_vendor(call.headers, body, path):
            return Response(answer.body, answer.status, media_type=answer.content_type)
        tokens = answer.input_tokens + answer.output_tokens
        usage = {"inputTokens": answer.input_tokens, "outputTokens": answer.output_tokens} if tokens else None
        data = json.loads(answer.body) if answer.body else None
        return json_answer({"provider": provider, "model": answer.model, "usage": usage, "data": data})

    def _permit(self, caller: _Caller, provider: str, path: str, model: str) -> ProviderKey:
        """The key with which the vendor is called.

        Raises:
            _RefusedError: The call may not be made.
        """
        if provider not in PROVIDERS:
            # The table has no code for it; the word is the admin API's.
            raise _RefusedError("NOT_FOUND", kind=ErrorKind(404, "proxy", f"There is no provider {provider}"))
        if _beta_of(provider, path) == AGENT_BETA and not caller.app.allows_managed_agents:
            raise _RefusedError("AGENT_SCOPE_MISSING")
        if model and not allows(caller.app, model):
            raise _RefusedError("MODEL_NOT_ALLOWED")
        key = self._state.key_for(caller.account.id, provider)
        if key is None:
            raise _RefusedError("PROVIDER_KEY_MISSING", {"provider": provider})
        account, connection = caller.account, caller.connection
        if account.pool_budget_limit is not None and account.pool_budget_spent >= account.pool_budget_limit:
            raise _RefusedError("POOL_EXHAUSTED")
        member = account.members.get(connection.user_id)
        cap = member.monthly_cap if member else None
        if connection.budget_spent >= connection.budget_limit or (
            cap is not None and self._state.spent_this_month(account.id, connection.user_id) >= cap
        ):
            raise _RefusedError("BUDGET_EXCEEDED")
        return key

    def _meter(self, connection: Connection, provider: str, answer: VendorAnswer) -> None:
        if answer.input_tokens or answer.output_tokens:
            self._state.charge(
                connection,
                provider=provider,
                model=answer.model,
                input_tokens=answer.input_tokens,
                output_tokens=answer.output_tokens,
                cost=cost_of(answer.model, answer.input_tokens, answer.output_tokens),
            )

    async def _stream(self, connection: Connection, provider: str, answer: VendorAnswer) -> AsyncGenerator[bytes]:
        """The vendor's chunks, one by one.

        The call is metered before the last chunk leaves, so that whoever has read the end finds it paid; and when the
        caller goes away earlier, since the vendor has done the work by then.
        """
        paid = False

        def pay() -> None:
            nonlocal paid
            if not paid:
                paid = True
                with self._state.lock:
                    self._meter(connection, provider, answer)

        try:
            waiting: bytes | None = None
            for chunk in answer.chunks or ():
                if waiting is not None:
                    yield waiting
                    await asyncio.sleep(self.chunk_seconds)
                waiting = chunk
            pay()
            if waiting is not None:
                yield waiting
        finally:
            pay()


def _json_body(call: Call) -> Any:
    """The JSON body; None without one.

    Raises:
        _RefusedError: It is something else.
    """
    if not call.body or "json" not in call.headers.get("content-type", "application/json"):
        return None
    try:
        return call.json()
    except ValueError:
        raise _RefusedError("INVALID_REQUEST") from None


def _model_of(body: Any, path: str) -> str:
    """The model that a call names, in the body or (Google, Bedrock) in the path; empty when it names none."""
    model = members(body).get("model")
    if isinstance(model, str):
        return model
    in_path = _MODEL_IN_PATH.search(unquote(path))
    return in_path["model"] if in_path else ""


def _asked_error(code: str, provider: str) -> _RefusedError:
    """The error that a model's name asks for; a code that is not known is the provider's."""
    kind = ERRORS.get(code) or ErrorKind(502, "provider", "The provider failed in a way that is new")
    return _RefusedError(code, usual_details(code, provider), kind=kind)


def usual_details(code: str, provider: str | None = None) -> dict[str, Any] | None:
    """What an error of that code carries as `details`."""
    kind = ERRORS.get(code)
    details: dict[str, Any] = {}
    if code in ("RATE_LIMITED", "PROVIDER_OVERLOADED"):
        details["retryAfter"] = 1
    if provider and (code == "PROVIDER_KEY_MISSING" or (kind is not None and kind.source == "provider")):
        details["provider"] = provider
    if kind is not None and kind.source == "provider":
        details["providerMessage"] = f"{code.replace('_', ' ').capitalize()} (scripted)"
    return details or None


def _vendor_error(answer: VendorAnswer, provider: str) -> _RefusedError:
    """A vendor's refusal as the proxy tells it."""
    by_status = {
        401: "AUTHENTICATION_FAILED",
        429: "RATE_LIMITED",
        503: "PROVIDER_OVERLOADED",
        504: "PROVIDER_TIMEOUT",
    }
    code = by_status.get(answer.status) or ("INVALID_REQUEST" if answer.status < 500 else "PROVIDER_ERROR")
    return _RefusedError(code, {"provider": provider, "providerMessage": _message_of(answer.body)})


def _message_of(body: bytes | None) -> str:
    """The vendor's own words; all but Bedrock put them into `error`."""
    document = members(json.loads(body or b"{}"))
    return str(members(document.get("error", document)).get("message", ""))


def _beta_of(provider: str, path: str) -> str | None:
    if provider != "anthropic":
        return None
    return next((beta for start, beta in BETAS.items() if path == start or path.startswith(f"{start}/")), None)


def _vendor_headers(headers: Headers, provider: str, path: str) -> dict[str, str]:
    """The headers that the vendor gets: the caller's without credentials, and the beta header of the surface."""
    kept = {name.lower(): value for name, value in headers.items() if name.lower() not in _OWN_HEADERS}
    beta = _beta_of(provider, path)
    if beta is not None:
        given = [part.strip() for part in kept.get("anthropic-beta", "").split(",") if part.strip()]
        kept["anthropic-beta"] = ",".join(dict.fromkeys([beta, *given]))
    return kept
