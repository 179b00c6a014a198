"""Everything that can be asked of a provider, as flows that a blocking and an async client run alike.

`OidcFlows` is made for composition: a platform's flows hold one and `yield from` its methods.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs

from tollkit.core.addresses import link_address
from tollkit.core.arguments import required_text
from tollkit.core.flows import Flow, Flows, Send, call, flow, send, sleep
from tollkit.core.token_cache import TokenCache
from tollkit.errors import CancelledError, DecodeError, OAuthError, TransportError
from tollkit.oidc import access_tokens, answers, requests, urns
from tollkit.oidc.access_tokens import LEEWAY, AccessTokenClaims
from tollkit.oidc.client_auth import AuthMethod, ClientAuth, client_auth
from tollkit.oidc.device import Poll, PollOutcome, ShowCode, Wait, device_steps
from tollkit.oidc.discovery import SERVICE, Discovery
from tollkit.oidc.models import DeviceAuthorization, Introspection, ProviderMetadata, TokenResponse

if TYPE_CHECKING:
    from tollkit.oidc.discovery import Endpoint
    from tollkit_api.runtime import HttpResponse, Request

__all__ = ["Cancel", "OidcFlows"]

T = TypeVar("T")

CANCEL_LOOK = 0.2
"""Seconds between two looks at a `cancel=` object while waiting."""


class Cancel(Protocol):
    """What can stop a long operation: `threading.Event`, `asyncio.Event`, or anything with `is_set()`."""

    def is_set(self) -> bool:
        """Whether to stop."""
        ...


class OidcFlows(Flows):
    """The flows of one client of one provider.

    Args:
        issuer: The provider's issuer.
        client_id: The client's id.
        client_secret: Its secret; `None` for a public client.
        auth: How the client proves who it is: a method by name, or `ClientSecretBasic(..., raw=True)` and the like.
        allow_insecure_http: Allow plain http, for tests and development.
        trusted_origins: Origins besides the issuer's to which requests may go.
        discovery: Metadata and keys shared with others of the same issuer; then the two arguments above are not
            looked at.
        tokens: Client-credentials tokens shared with others.
        clock: A clock that never goes back, in seconds.
        now: The time of day, in seconds since 1970.

    Raises:
        ArgumentError: An argument is missing or unusable.
    """

    def __init__(
        self,
        *,
        issuer: str,
        client_id: str,
        client_secret: str | None = None,
        auth: AuthMethod | ClientAuth | None = None,
        allow_insecure_http: bool = False,
        trusted_origins: Iterable[str] = (),
        discovery: Discovery | None = None,
        tokens: TokenCache[TokenResponse] | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.client_id: str = required_text("client_id", client_id)
        self.auth: ClientAuth = client_auth(client_id, client_secret, auth)
        self.discovery: Discovery = discovery or Discovery(
            issuer, allow_insecure_http=allow_insecure_http, trusted_origins=trusted_origins, clock=clock
        )
        self.tokens: TokenCache[TokenResponse] = tokens or TokenCache(lambda token: token.expires_in, clock=clock)
        self._clock = clock
        self._now = now

    @property
    def issuer(self) -> str:
        """The issuer without trailing slashes."""
        return self.discovery.issuer

    def __repr__(self) -> str:
        return f"{type(self).__name__}(issuer={self.issuer!r}, client_id={self.client_id!r})"

    def _post(
        self,
        endpoint: Endpoint,
        build: Callable[[str], Request],
        parse: Callable[[HttpResponse], T],
    ) -> Flow[T]:
        metadata = yield from self.discovery.load()
        request = build(self.discovery.endpoint(metadata, endpoint))
        return (yield from send(Send(request, parse, SERVICE)))

    def _tokens(
        self, build: Callable[[str], Request], parse: Callable[[HttpResponse], TokenResponse] = answers.parse_tokens
    ) -> Flow[TokenResponse]:
        tokens = yield from self._post("token_endpoint", build, parse)
        if tokens.id_token is not None:
            metadata = yield from self.discovery.load()
            access_tokens.check_id_token(
                tokens.id_token,
                issuer=metadata.issuer,
                client_id=self.client_id,
                algorithms=metadata.id_token_signing_alg_values_supported,
                now=self._now(),
            )
        return tokens

    @flow
    def discover(self, *, force: bool = False) -> Flow[ProviderMetadata]:
        """The provider's metadata (OpenID Connect Discovery 1.0 section 4), kept for 5 minutes.

        Args:
            force: Fetch it even if the kept one is fresh.

        Raises:
            TransportError: The provider cannot be reached, or only by plain http (code `oidc_discovery_failed`).
            StatusError, DecodeError: The answer is not this issuer's metadata (code `oidc_discovery_invalid`).
        """
        return (yield from self.discovery.load(force=force))

    @flow
    def client_credentials(
        self,
        *,
        scope: str | None = None,
        resource: str | Sequence[str] | None = None,
        audience: str | Sequence[str] | None = None,
        extra: requests.Extra | None = None,
        force: bool = False,
    ) -> Flow[TokenResponse]:
        """A token for the client itself (RFC 6749 section 4.4), kept until shortly before it expires.

        The `expires_in` of a kept token is what is left of it. A token of which the provider does not say how
        long it is good is kept for 5 minutes. Threads and tasks that need the same token at the same time cause
        one request.

        Args:
            scope: Scopes, separated by spaces.
            resource: Resource indicators (RFC 8707).
            audience: Names of the services that the token is for.
            extra: Further form fields.
            force: Get a new token even if the kept one is fresh.

        Raises:
            OAuthError: The provider refuses; `error` says why.
            StatusError, DecodeError: Its answer is no token answer.
            TransportError: No answer came, and there is no token that is still good.
        """
        build = functools.partial(
            requests.client_credentials_request,
            auth=self.auth,
            scope=scope,
            resource=resource,
            audience=audience,
            extra=extra,
        )
        key = (self.issuer, self.auth, scope, _hashable(resource), _hashable(audience), _hashable(extra))
        lease = yield from self.tokens.get(key, lambda: self._tokens(build), force=force)
        token = lease.token
        if token.expires_in is None:
            return token
        passed = int(self._clock() - lease.taken_at)
        return attrs.evolve(token, expires_in=max(0, token.expires_in - passed)) if passed else token

    @flow
    def exchange_token(
        self,
        subject_token: str,
        *,
        subject_token_type: str = urns.ACCESS_TOKEN_TYPE,
        actor_token: str | None = None,
        actor_token_type: str | None = None,
        requested_token_type: str | None = None,
        resource: str | Sequence[str] | None = None,
        audience: str | Sequence[str] | None = None,
        scope: str | None = None,
        extra: requests.Extra | None = None,
        issued: tuple[str, ...] | None = None,
    ) -> Flow[TokenResponse]:
        """Another token in exchange for one (RFC 8693). Never repeated by itself once it may have been received.

        Args:
            subject_token: The token of whoever the new one is about.
            subject_token_type: What `subject_token` is.
            actor_token: The token of whoever acts for the subject.
            actor_token_type: What `actor_token` is; given if and only if that is.
            requested_token_type: What the new token should be.
            resource: Addresses of the services that it is for.
            audience: Names of the services that it is for.
            scope: Scopes, separated by spaces.
            extra: Further form fields.
            issued: What `issued_token_type` of the answer may be; anything when nothing is said.

        Raises:
            ArgumentError: A token is empty, or only one of `actor_token` and its type is given.
            OAuthError: The provider refuses; `error` says why.
            StatusError, DecodeError: Its answer is no token exchange answer.
            TransportError: No answer came.
        """
        build = functools.partial(
            requests.token_exchange_request,
            auth=self.auth,
            subject_token=subject_token,
            subject_token_type=subject_token_type,
            actor_token=actor_token,
            actor_token_type=actor_token_type,
            requested_token_type=requested_token_type,
            resource=resource,
            audience=audience,
            scope=scope,
            extra=extra,
        )
        return (yield from self._tokens(build, functools.partial(answers.parse_token_exchange, issued=issued)))

    @flow
    def refresh(
        self,
        refresh_token: str,
        *,
        scope: str | None = None,
        resource: str | Sequence[str] | None = None,
        extra: requests.Extra | None = None,
    ) -> Flow[TokenResponse]:
        """New tokens for a refresh token (RFC 6749 section 6).

        Many providers give a new refresh token with them and take the old one no more; keep the newest.
        `TokenSession` does all that, for many threads, tasks and processes.

        Args:
            refresh_token: The newest refresh token.
            scope: Fewer scopes than before, separated by spaces.
            resource: Resource indicators (RFC 8707).
            extra: Further form fields.

        Raises:
            ArgumentError: `refresh_token` is empty.
            OAuthError: The provider refuses: `invalid_grant` for a token that is used, expired or revoked.
            StatusError, DecodeError: Its answer is no token answer.
            TransportError: No answer came; the refresh token may have been used up.
        """
        build = functools.partial(
            requests.refresh_request,
            auth=self.auth,
            refresh_token=refresh_token,
            scope=scope,
            resource=resource,
            extra=extra,
        )
        return (yield from self._tokens(build))

    @flow
    def start_device_authorization(
        self,
        *,
        scope: str | None = None,
        resource: str | Sequence[str] | None = None,
        extra: requests.Extra | None = None,
    ) -> Flow[DeviceAuthorization]:
        """A device code and a user code (RFC 8628 section 3.1).

        Args:
            scope: Scopes, separated by spaces.
            resource: Resource indicators (RFC 8707).
            extra: Further form fields.

        Raises:
            DecodeError: The provider has no such endpoint (code `unsupported_grant`, status 400), or its answer
                cannot be used; `unsafe_address` when the page that it names is no plain web address.
            InsecureTransportError: The provider is on https and names a page on http.
            OAuthError: The provider refuses; `error` says why.
        """
        metadata = yield from self.discovery.load()
        if metadata.device_authorization_endpoint is None:
            raise DecodeError(
                "Authorization server metadata has no device_authorization_endpoint",
                code="unsupported_grant",
                status=400,
                hint="The provider does not offer device logins",
            )
        build = functools.partial(
            requests.device_authorization_request, auth=self.auth, scope=scope, resource=resource, extra=extra
        )
        begun = yield from self._post("device_authorization_endpoint", build, answers.parse_device_authorization)
        for name in ("verification_uri", "verification_uri_complete"):
            address: str | None = getattr(begun, name)
            if address is not None:
                link_address(address, field=name, base=self.discovery.issuer)
        return begun

    @flow
    def poll_device_token(self, device_code: str) -> Flow[TokenResponse]:
        """Ask once whether the user has approved (RFC 8628 section 3.4). Tokens come once.

        Raises:
            OAuthError: Not yet: `authorization_pending`, or `slow_down` to wait 5 seconds longer from now on.
            DeviceFlowError: Never: `access_denied`, `expired_token`, or another refusal.
            TransportError: No answer came; unless `safe_to_retry`, the code may have been used up.
        """
        build = functools.partial(requests.device_token_request, auth=self.auth, device_code=device_code)
        return (yield from self._tokens(build))

    @flow
    def device_login(
        self,
        on_user_code: Callable[[DeviceAuthorization], Awaitable[object] | object] | None = None,
        *,
        scope: str | None = None,
        resource: str | Sequence[str] | None = None,
        extra: requests.Extra | None = None,
        cancel: Cancel | None = None,
    ) -> Flow[TokenResponse]:
        """A whole device login: get the codes, show them, and wait until the user has approved (RFC 8628).

        Polls at the provider's pace, slower when it says `slow_down` or cannot be connected to. A poll that may
        have reached the provider is not sent again, since the code can be used once.

        Args:
            on_user_code: Called once, to show `user_code` and `verification_uri`. An async client awaits what it
                returns if that can be awaited.
            scope: Scopes, separated by spaces.
            resource: Resource indicators (RFC 8707).
            extra: Further form fields of the first request.
            cancel: Ends the login soon after its `is_set()` turns true. A request under way is not cut short.

        Raises:
            DeviceFlowError: The user denies (`access_denied`), the codes expire (`expired_token`, or
                `device_flow_expired` by our clock), or the answer to a poll was lost (`device_poll_lost`).
            CancelledError: `cancel` was set.
            OAuthError, DecodeError: As `start_device_authorization`.
        """
        authorization = yield from self.start_device_authorization(scope=scope, resource=resource, extra=extra)
        steps = device_steps(authorization, clock=self._clock)
        outcome: PollOutcome | None = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                tokens: TokenResponse = done.value
                return tokens
            outcome = None
            match step:
                case ShowCode():
                    if on_user_code is not None:
                        yield from call("on_user_code", functools.partial(on_user_code, authorization))
                case Wait():
                    yield from _wait(step.seconds, cancel, self._clock)
                case Poll():
                    _look(cancel)
                    try:
                        outcome = yield from self.poll_device_token(authorization.device_code)
                    except (OAuthError, TransportError) as error:
                        outcome = error

    @flow
    def verify_access_token(
        self,
        token: str,
        *,
        audience: str | Sequence[str],
        required_scopes: Iterable[str] = (),
        leeway: float = LEEWAY,
        accept_typ: Iterable[str] = (),
        read_scp: bool = False,
    ) -> Flow[AccessTokenClaims]:
        """Check a JWT access token of this provider (RFC 9068 section 4). Needs the extra `oidc`.

        Keys are kept for 5 minutes; an unknown one makes us ask for them again, once a minute at most. When the
        provider does not answer, kept keys are used for an hour.

        Args:
            token: The token.
            audience: Who you are, as the provider calls you; of more than one, any will do.
            required_scopes: What the token must allow.
            leeway: Seconds by which clocks may differ.
            accept_typ: Header types besides `at+jwt`, such as `("JWT",)`, for providers whose access tokens have
                another. A JWT of such a type may have been made for another purpose, an ID token for instance.
            read_scp: Read scopes from the claim `scp` too.

        Raises:
            TokenError: The token is refused; `code` says why (`OAUTH_JWT_TIMESTAMP_CHECK_FAILED` when expired,
                `insufficient_scope` with status 403 for a missing scope).
            ArgumentError: `audience` is empty.
            TransportError, StatusError, DecodeError: The provider's metadata or keys cannot be had.
            MissingExtraError: joserfc is not installed.
        """
        metadata = yield from self.discovery.load()
        checked = access_tokens.check_access_token(
            token,
            issuer=metadata.issuer,
            audience=audience,
            now=self._now(),
            leeway=leeway,
            accept_typ=accept_typ,
        )
        keys = yield from self.discovery.keys()
        key = keys.find(checked.alg, checked.kid)
        if key is None:
            keys = yield from self.discovery.keys(missing=True)
            key = keys.find(checked.alg, checked.kid)
        checked.check_signature(key)
        return access_tokens.verified(
            checked.claims, access_tokens.check_scopes(checked.claims, required_scopes, read_scp=read_scp)
        )

    @flow
    def revoke(self, token: str, *, token_type_hint: str | None = None) -> Flow[None]:
        """Make a token useless (RFC 7009); one that is useless already is no error.

        Args:
            token: An access or refresh token.
            token_type_hint: `access_token` or `refresh_token`, to spare the provider a search.

        Raises:
            OAuthError: The provider refuses, e.g. `unsupported_token_type` for a JWT.
            DecodeError: The provider has no such endpoint (code `OAUTH_MISSING_SERVER_METADATA`).
        """
        build = functools.partial(
            requests.revocation_request, auth=self.auth, token=token, token_type_hint=token_type_hint
        )
        yield from self._post("revocation_endpoint", build, answers.parse_revocation)

    @flow
    def introspect(self, token: str, *, token_type_hint: str | None = None) -> Flow[Introspection]:
        """What a token is worth, as the provider sees it (RFC 7662).

        Args:
            token: An access or refresh token.
            token_type_hint: `access_token` or `refresh_token`, to spare the provider a search.

        Raises:
            OAuthError: The provider refuses.
            DecodeError: The provider has no such endpoint, or its answer cannot be used.
        """
        build = functools.partial(
            requests.introspection_request, auth=self.auth, token=token, token_type_hint=token_type_hint
        )
        return (yield from self._post("introspection_endpoint", build, answers.parse_introspection))

    def forget_token(self, access_token: str) -> None:
        """Do not hand out this client-credentials token again: somebody has refused it."""
        self.tokens.invalidate(lambda token: token.access_token == access_token)


def _hashable(value: str | Sequence[str] | Mapping[str, Any] | None) -> object:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return tuple(sorted((name, _hashable(item)) for name, item in value.items()))
    return tuple(value)


def _look(cancel: Cancel | None) -> None:
    if cancel is not None and cancel.is_set():
        raise CancelledError("The device login was cancelled")


def _wait(seconds: float, cancel: Cancel | None, clock: Callable[[], float]) -> Flow[None]:
    _look(cancel)
    if cancel is None:
        yield from sleep(seconds)
        return
    end = clock() + seconds
    while (left := end - clock()) > 0:
        yield from sleep(min(left, CANCEL_LOOK))
        _look(cancel)
