"""The clients of Tokenite: `Tokenite` for blocking programs, `AsyncTokenite` for async ones.

Every method that sends something stands once, in `TokeniteFlows`, as a flow that both clients run (see
`tollkit.core.flows`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, Unpack
from urllib.parse import parse_qsl

import attrs

from tollkit.core import answers, flows
from tollkit.core.arguments import built, hidden, required_text, secret_text
from tollkit.core.client import AsyncApi, AsyncClient, BlockingApi, BlockingClient, ClientOptions
from tollkit.core.flows import Flow, Flows, Send, flow, send
from tollkit.errors import ArgumentError, ConfigurationError, StatusError, TollkitError
from tollkit.secrets import Secret
from tollkit.tokenite import addresses, authorize, callback, config, proxy, top_up
from tollkit.tokenite.errors import TokeniteError, family
from tollkit.tokenite.service import bearer, service
from tollkit_api.runtime.answers import json_answer
from tollkit_api.runtime.decode import mapping

if TYPE_CHECKING:
    from tollkit.core.http import AsyncHttpClient, HttpClient
    from tollkit.core.service import Service
    from tollkit_api.runtime import HttpResponse, Request
    from tollkit_api.tokenite.v2_4.models import AccessContext, UserToken

__all__ = ["AsyncTokenite", "FundingNeeded", "OnFundingNeeded", "Tokenite"]

Number: TypeAlias = int | float | Decimal | str
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PROVIDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]*")
_IDEMPOTENT = frozenset({"GET", "PUT", "DELETE"})


@attrs.frozen(kw_only=True)
class FundingNeeded:
    """What `call_with_recovery` asks its hook about.

    Attributes:
        error: The answer that stopped the call.
        remedy: `top_up` when a new limit cures it; `add_key` when the user must add a key of the provider in their
            dashboard instead (`PROVIDER_KEY_MISSING`).
        top_up: The top-up page's address and state, to send the user to; made for `add_key` too, though it does not
            cure that.
    """

    error: proxy.ProxyError
    remedy: Literal["top_up", "add_key"]
    top_up: top_up.TopUpRequest


OnFundingNeeded: TypeAlias = Callable[[FundingNeeded], "bool | Awaitable[bool]"]
"""Whether the cause is gone, so that the call is worth one more try. An async client awaits what can be awaited."""


class TokeniteFlows(Flows):
    """All methods of the clients, written once. Not for direct use: see `Tokenite` and `AsyncTokenite`."""

    def __init__(self, settings: config.TokeniteSettings, *, allow_http: bool) -> None:
        self._settings = settings
        self._allow_http = allow_http
        secret = settings.client_secret
        self._dashboard = service(
            "tokenite", settings.base_url, allow_http=allow_http, sent=[secret] if secret else []
        )

    def _as_user(self, access_token: str) -> Service:
        """The proxy, with one user's token."""
        token = secret_text("access_token", access_token)
        return service(
            "tokenite-proxy",
            self._settings.proxy_base,
            allow_http=self._allow_http,
            schemes=bearer("userToken", token),
            sent=[token],
        )

    @flow
    def exchange_code(self, code: str, *, redirect_uri: str | None = None) -> Flow[UserToken]:
        """Exchange the code of a callback for the user's access token, which lives 30 days.

        The client secret goes to `base_url` alone. A code lives 300 seconds and can be used once.

        Args:
            code: From `parse_callback`.
            redirect_uri: The one of the authorize request; the client's own when left out.

        Raises:
            ConfigurationError: The client has no `client_secret` or `redirect_uri`; nothing was sent.
            ArgumentError: `code` is empty.
            StatusError: The platform refused, such as 400 `INVALID_CODE` or 401 `INVALID_CLIENT`.
            DecodeError: The answer is not what the platform documents.

        Source: Tokenite, `POST {base_url}/api/oauth/token`.
        """
        from tollkit_api.tokenite.v2_4.api.oauth import exchange_code as operation
        from tollkit_api.tokenite.v2_4.models import ExchangeCodeRequest

        settings = self._settings
        if settings.client_secret is None:
            raise ConfigurationError(
                "The code exchange needs the client secret",
                hint="Give client_secret=, or set TOKENITE_CLIENT_SECRET; do it on a server, never in a browser",
                code="missing_client_secret",
            )
        body = ExchangeCodeRequest(
            code=Secret(secret_text("code", code)),
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            redirect_uri=redirect_uri_of(settings, redirect_uri),
        )
        request = built(operation.request, body=body)
        return (yield from send(Send(request, operation.parse, self._dashboard)))

    @flow
    def get_access_context(self, access_token: str) -> Flow[AccessContext]:
        """Who the user is, and which providers, models and tiers their token reaches now.

        Addresses of logos are absolute.

        Args:
            access_token: The user's.

        Raises:
            AuthenticationError: The token is not good (any more).
            DecodeError: The answer is not what the platform documents. A platform at level 1.0 answers without
                `user`, `models` and `tiers`; its own pin reads it: `tollkit_api.tokenite.v1_0` with
                `client.user_api(...)`.

        Source: Tokenite, `GET {proxy_base}/me/providers` (the path is known from level 1.0 and assumed for 2.4).
        """
        from tollkit_api.tokenite.v2_4.api.access import get_access_context as operation

        request = attrs.evolve(operation.request(), url=self._settings.access_context_path)
        found = yield from send(Send(request, operation.parse, self._as_user(access_token)))
        for provider in found.providers:
            provider.logo_url = absolute(self._settings.base_url, provider.logo_url)
        return found

    @flow
    def call(
        self,
        access_token: str,
        provider: str,
        path: str,
        body: Any = None,
        *,
        method: Method = "POST",
        headers: Mapping[str, str] | None = None,
    ) -> Flow[proxy.ProxyResult]:
        """Call an AI vendor through the metering proxy, with the user's budget; not for streams.

        An error that the proxy or the vendor tells is returned, not raised: `match` on the result, ask its `ok`, or
        call `raise_for_error()`. A POST is not sent twice unless nothing of it left.

        Args:
            access_token: The user's.
            provider: `anthropic`, `openai`, `google`, `grok`, `bedrock`, or one that is newer.
            path: The vendor's own path, such as `/v1/messages`; a missing slash is added. May have a query.
            body: What the vendor takes, as JSON values; nothing is sent for `None`.
            method: `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
            headers: Further headers, such as `anthropic-beta`, which the proxy merges with its own.

        Raises:
            ArgumentError: An argument is unusable; nothing was sent.
            StatusError: An error status without the proxy's envelope, such as a gateway's page; keeps its beginning.
            DecodeError: A success status without the envelope.
            TransportError: No answer came.

        Source: Tokenite, `{method} {proxy_base}/{provider}{path}`.
        """
        request = vendor_request(provider, path, body, method=method, headers=headers)
        return (yield from self._proxied(request, access_token))

    def _proxied(self, request: Request, access_token: str) -> Flow[proxy.ProxyResult]:
        codes = self._settings.funding_codes
        try:
            return (
                yield from send(
                    Send(request, lambda response: read_envelope(response, codes), self._as_user(access_token))
                )
            )
        except StatusError as error:
            told = proxy.read_error_envelope(
                error.body,
                error.status or 0,
                funding_codes=codes,
                retry_after=error.retry_after,
                request_id=error.request_id,
            )
            if told is None:
                raise
            return told

    @flow
    def call_with_recovery(
        self,
        access_token: str,
        provider: str,
        path: str,
        body: Any = None,
        *,
        on_funding_needed: OnFundingNeeded,
        method: Method = "POST",
        headers: Mapping[str, str] | None = None,
        state: str | None = None,
        suggested_amount: Number | None = None,
    ) -> Flow[proxy.ProxyResult]:
        """`call`, and once more when the budget was empty and the hook says that it is no longer.

        The hook is asked for a 402 that a top-up cures (`BUDGET_EXCEEDED`, `CREDITS_DEPLETED`, `POOL_EXHAUSTED`) and
        for `PROVIDER_KEY_MISSING`, which a new key cures. It may wait for the user to come back from the top-up page,
        or save the work and return `False`; then the first error is the result.

        Args:
            access_token: As for `call`.
            provider: As for `call`.
            path: As for `call`.
            body: As for `call`.
            on_funding_needed: Gets a `FundingNeeded`; returns whether to try once more. May be a coroutine function
                on an async client. What it raises is raised.
            method: As for `call`.
            headers: As for `call`.
            state: For the top-up page; a new random one when left out (it is in `FundingNeeded.top_up.state`).
            suggested_amount: The new limit that the page suggests, in USD.

        Raises:
            TollkitError: As for `call`.
        """
        page = top_up_request(self._settings, state=state, suggested_amount=suggested_amount)
        request = vendor_request(provider, path, body, method=method, headers=headers)
        result = yield from self._proxied(request, access_token)
        if isinstance(result, proxy.ProxySuccess):
            return result
        missing = result.code == "PROVIDER_KEY_MISSING"
        if not (result.is_funding or missing):
            return result
        needed = FundingNeeded(error=result, remedy="add_key" if missing else "top_up", top_up=page)
        if not (yield from flows.call("on_funding_needed", lambda: on_funding_needed(needed))):
            return result
        return (yield from self._proxied(request, access_token))


def redirect_uri_of(settings: config.TokeniteSettings, given: str | None) -> str:
    """The redirect URI of a call.

    Raises:
        ConfigurationError: Neither the call nor the client has one.
    """
    if given is not None:
        return addresses.redirect_uri(given)
    if settings.redirect_uri is None:
        raise ConfigurationError(
            "No redirect URI is known",
            hint="Give redirect_uri= to the client or the call, or set TOKENITE_REDIRECT_URI",
            code="missing_redirect_uri",
        )
    return settings.redirect_uri


def top_up_request(
    settings: config.TokeniteSettings,
    *,
    state: str | None = None,
    suggested_amount: Number | None = None,
    mode: Literal["popup", "redirect"] | None = None,
    redirect_uri: str | None = None,
) -> top_up.TopUpRequest:
    """The top-up page's address for these settings."""
    return top_up.top_up_request(
        base_url=settings.base_url,
        client_id=settings.client_id,
        redirect_uri=redirect_uri_of(settings, redirect_uri),
        state=state,
        mode=mode,
        suggested_amount=suggested_amount,
        path=settings.top_up_path,
    )


def vendor_request(provider: str, path: str, body: Any, *, method: str, headers: Mapping[str, str] | None) -> Request:
    """The request of a proxied call.

    Raises:
        ArgumentError: An argument is unusable.
    """
    from tollkit_api.tokenite.v2_4.api.proxy import call_provider as operation

    if method not in _METHODS:
        raise ArgumentError("method", f"must be one of {', '.join(_METHODS)}")
    given = dict(headers or {})
    if any(name.lower() == "authorization" for name in given):
        raise ArgumentError("headers", "must not have Authorization: the user's access token goes there")
    path, _, query = required_text("path", path).partition("?")
    if "#" in path + query:
        raise ArgumentError("path", "must have no fragment (#)")
    request = built(operation.request, required_text("provider", provider), path.removeprefix("/"))
    return attrs.evolve(
        request,
        operation=attrs.evolve(operation.OPERATION, method=method, idempotent=method in _IDEMPOTENT),
        params=tuple(parse_qsl(query, keep_blank_values=True)),
        headers={**request.headers, "Content-Type": "application/json", **given},
        content=None if body is None else json_text(body),
    )


def json_text(body: Any) -> bytes:
    """A body for the vendor, as the caller gave it.

    Raises:
        ArgumentError: It holds what JSON has no word for.
    """
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as problem:
        raise ArgumentError("body", f"must be JSON values: {problem}") from problem


def read_envelope(response: HttpResponse, funding_codes: frozenset[str]) -> proxy.ProxyResult:
    """The proxy's envelope of a success status.

    Only `provider` must be right: the vendor's answer has been paid for, and must not be lost for a slip beside it.

    Raises:
        DecodeError: It is none.
    """
    from tollkit_api.tokenite.v2_4.api.proxy import call_provider as operation

    request_id = answers.request_id(response, None)
    found = json_answer(response, operation.OPERATION, mapping)
    refused = proxy.read_error_envelope(
        found, response.status_code, funding_codes=funding_codes, request_id=request_id
    )
    return refused or proxy.read_success_envelope(found, response.status_code, request_id=request_id)


def absolute(base_url: str, address: str) -> str:
    """An address of the platform that may be relative to its dashboard."""
    if "://" in address or address.startswith(("data:", "//")):
        return address
    return f"{base_url}/{address.removeprefix('/')}"


class _Tokenite:
    """What is the same on both clients and needs no request."""

    flows: TokeniteFlows
    family: type[TollkitError] = TokeniteError

    @property
    def client_id(self) -> str:
        """The app's client id."""
        return self.flows._settings.client_id

    @property
    def redirect_uri(self) -> str | None:
        """Where users come back to, unless a call says otherwise."""
        return self.flows._settings.redirect_uri

    @property
    def base_url(self) -> str:
        """The dashboard: consent screen, token endpoint, top-up page; without a slash at its end."""
        return self.flows._settings.base_url

    @property
    def proxy_base(self) -> str:
        """The metering proxy; without a slash at its end."""
        return self.flows._settings.proxy_base

    def proxy_url(self, provider: str) -> str:
        """The base URL of one vendor behind the proxy, for the vendor's own SDK; the access token is its API key.

        Streams go this way. See `anthropic_options`, `openai_options` and `google_options` of `tollkit.tokenite`.

        Args:
            provider: `anthropic`, `openai`, `google`, `grok`, `bedrock`, or one that is newer.

        Raises:
            ArgumentError: `provider` is empty or no single path segment.
        """
        with family():
            text = required_text("provider", provider)
            if not _PROVIDER.fullmatch(text):
                raise ArgumentError("provider", "must be an id such as anthropic")
            return f"{self.proxy_base}/{text}"

    def get_authorize_url(
        self,
        *,
        state: str | None = None,
        suggested_budget: Number | None = None,
        prompt: str | Iterable[str] | None = None,
        mode: Literal["popup", "iframe"] | None = None,
        redirect_uri: str | None = None,
    ) -> authorize.AuthorizeRequest:
        """The consent screen's address, and the state to remember; `str()` of it is the address.

        Args:
            state: What comes back with the user; 32 random hexadecimal digits when left out. Bind it to the browser
                session (see `StateSigner`), and give it to `parse_callback` as `expected_state`.
            suggested_budget: Fills the budget field, in USD; left out for 0.
            prompt: `login`, `consent`, `select_account`, `none`, or several of them.
            mode: `popup` for a window of its own, `iframe` for an overlay; a full page when left out.
            redirect_uri: Instead of the client's own.

        Raises:
            ArgumentError: An argument is unusable.
            ConfigurationError: No redirect URI is known.

        Source: Tokenite, `GET {base_url}/oauth/authorize` (RFC 6749 section 4.1.1).
        """
        with family():
            return authorize.authorize_request(
                base_url=self.base_url,
                client_id=self.client_id,
                redirect_uri=redirect_uri_of(self.flows._settings, redirect_uri),
                state=state,
                suggested_budget=suggested_budget,
                prompt=prompt,
                mode=mode,
            )

    def top_up_url(
        self,
        *,
        state: str | None = None,
        suggested_amount: Number | None = None,
        mode: Literal["popup", "redirect"] | None = None,
        redirect_uri: str | None = None,
    ) -> top_up.TopUpRequest:
        """The top-up page's address, and the state to remember; `str()` of it is the address.

        Args:
            state: What comes back with the user; 32 random hexadecimal digits when left out.
            suggested_amount: The new limit that the page suggests, in USD; twice the current one when left out.
            mode: `popup` for a window of its own, `redirect` for a full page.
            redirect_uri: Instead of the client's own.

        Raises:
            ArgumentError: An argument is unusable.
            ConfigurationError: No redirect URI is known.

        Source: Tokenite, `GET {base_url}/oauth/top-up` (address and query assumed; see `top_up_path`).
        """
        with family():
            return top_up_request(
                self.flows._settings,
                state=state,
                suggested_amount=suggested_amount,
                mode=mode,
                redirect_uri=redirect_uri,
            )

    @staticmethod
    def parse_callback(source: object, expected_state: str | None = None) -> callback.Callback:
        """Read the callback of the consent screen; see `tollkit.tokenite.parse_callback`."""
        return callback.parse_callback(source, expected_state)

    def __repr__(self) -> str:
        if "flows" not in vars(self):  # shown in a traceback of the constructor
            return f"{type(self).__name__}(...)"
        return f"{type(self).__name__}(client_id={self.client_id!r}, base_url={self.base_url!r})"


class Tokenite(TokeniteFlows, _Tokenite, BlockingClient):
    """The blocking client of Tokenite; safe to share between threads, to be made once and kept.

    Args:
        client_id: The app's client id.
        client_secret: Its secret; needed by `exchange_code` alone.
        redirect_uri: Where users come back to; a call may say another.
        base_url: The dashboard.
        proxy_base: The metering proxy.
        allow_insecure_http: Allow `http://` addresses, for a sandbox or a development server. Without it every call
            to such an address raises `InsecureTransportError`, and nothing is sent.
        access_context_path: Path of the access context below `proxy_base`; known from level 1.0 only.
        top_up_path: Path of the top-up page below `base_url`; assumed.
        funding_codes: Codes of 402 that a top-up cures; that `POOL_EXHAUSTED` is one is assumed.
        http_client: An HTTP client of your own (of httpx's shape) instead of one made by `connection`; it keeps its
            own time-outs unless `timeout` is given, and you close it.
        options: `timeout`, `max_retries`, `headers`, `on_event`, `connection`: see
            `tollkit.core.client.ClientOptions`.

    Raises:
        ArgumentError: An argument is missing or unusable.
    """

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str | None = None,
        redirect_uri: str | None = None,
        base_url: str = config.DEFAULT_BASE_URL,
        proxy_base: str = config.DEFAULT_PROXY_BASE,
        allow_insecure_http: bool = False,
        access_context_path: str = config.ACCESS_CONTEXT_PATH,
        top_up_path: str = config.TOP_UP_PATH,
        funding_codes: Iterable[str] = config.FUNDING_CODES,
        http_client: HttpClient | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        client_secret = hidden(client_secret)
        with family():
            settings = config.settings(
                client_id=client_id,
                client_secret=client_secret,
                redirect_uri=redirect_uri,
                base_url=base_url,
                proxy_base=proxy_base,
                access_context_path=access_context_path,
                top_up_path=top_up_path,
                funding_codes=funding_codes,
            )
            self._start(TokeniteFlows(settings, allow_http=allow_insecure_http), options, http_client)

    @property
    def api(self) -> BlockingApi:
        """What to give to generated functions of the dashboard as `client=`: they then have this client's policy."""
        return BlockingApi(self, self.flows._dashboard)

    def user_api(self, access_token: str) -> BlockingApi:
        """The same for generated functions that speak for a user, such as `get_access_context` of another pin.

        With `from tollkit_api.tokenite.v1_0.api.access import get_access_context`:
        `get_access_context.sync(client=client.user_api(access_token))`.
        """
        with family():
            return BlockingApi(self, self.flows._as_user(access_token))

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None, **settings: Any) -> Self:
        """A client from TOKENITE_* variables: `CLIENT_ID`, `CLIENT_SECRET`, `REDIRECT_URI`, `BASE_URL`, `PROXY_BASE`.

        Only `TOKENITE_CLIENT_ID` must be set. `http://` addresses in the environment are allowed when they are of
        this machine or of a private network.

        Args:
            env: Read these variables instead of the process's.
            settings: Any argument of the constructor, which then counts instead of its variable.

        Raises:
            ConfigurationError: `TOKENITE_CLIENT_ID` is missing (code `missing_env`).
            ArgumentError: A variable or an argument is unusable.
        """
        with family():
            return cls(**config.settings_from_env(config.VARIABLES, settings, env, required="client_id"))


class AsyncTokenite(TokeniteFlows, _Tokenite, AsyncClient):
    """The async client of Tokenite: every method of `Tokenite` that sends something as a coroutine.

    Safe to share between tasks and event loops. Takes the arguments of `Tokenite`; an `http_client` must be async.
    """

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str | None = None,
        redirect_uri: str | None = None,
        base_url: str = config.DEFAULT_BASE_URL,
        proxy_base: str = config.DEFAULT_PROXY_BASE,
        allow_insecure_http: bool = False,
        access_context_path: str = config.ACCESS_CONTEXT_PATH,
        top_up_path: str = config.TOP_UP_PATH,
        funding_codes: Iterable[str] = config.FUNDING_CODES,
        http_client: AsyncHttpClient | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        client_secret = hidden(client_secret)
        with family():
            settings = config.settings(
                client_id=client_id,
                client_secret=client_secret,
                redirect_uri=redirect_uri,
                base_url=base_url,
                proxy_base=proxy_base,
                access_context_path=access_context_path,
                top_up_path=top_up_path,
                funding_codes=funding_codes,
            )
            self._start(TokeniteFlows(settings, allow_http=allow_insecure_http), options, http_client)

    @property
    def api(self) -> AsyncApi:
        """What to give to generated functions of the dashboard as `client=`: they then have this client's policy."""
        return AsyncApi(self, self.flows._dashboard)

    def user_api(self, access_token: str) -> AsyncApi:
        """The same for generated functions that speak for a user, such as `get_access_context` of another pin.

        With `from tollkit_api.tokenite.v1_0.api.access import get_access_context`:
        `await get_access_context.asyncio(client=client.user_api(access_token))`.
        """
        with family():
            return AsyncApi(self, self.flows._as_user(access_token))

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None, **settings: Any) -> Self:
        """A client from the TOKENITE_* variables; see `Tokenite.from_env`.

        Raises:
            ConfigurationError: `TOKENITE_CLIENT_ID` is missing (code `missing_env`).
            ArgumentError: A variable or an argument is unusable.
        """
        with family():
            return cls(**config.settings_from_env(config.VARIABLES, settings, env, required="client_id"))
