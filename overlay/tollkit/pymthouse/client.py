"""The clients of PymtHouse: `PymtHouse` for blocking programs, `AsyncPymtHouse` for async ones.

Every method stands once, in `PymtHouseFlows`, as a flow that both clients run (see `tollkit.core.flows`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from tollkit.core.addresses import is_local
from tollkit.core.arguments import built, hidden, instant, required_text, secret_text, wire_time
from tollkit.core.client import AsyncApi, AsyncClient, BlockingApi, BlockingClient, ClientOptions
from tollkit.core.flows import Flow, Flows, Send, flow, gather, send
from tollkit.errors import ArgumentError, TollkitError
from tollkit.oidc.client_auth import ClientSecretBasic
from tollkit.oidc.flows import OidcFlows
from tollkit.pymthouse import config, device, device_initiate, discovery, env, models, tokens, usage
from tollkit.pymthouse.errors import PmtHouseError, family
from tollkit.pymthouse.service import rest_service, unreadable
from tollkit.pymthouse.verify import USER_TOKEN_TYP
from tollkit.secrets import Secret
from tollkit_api.runtime.json_text import json_value

if TYPE_CHECKING:
    from tollkit.core.http import AsyncHttpClient, HttpClient
    from tollkit.oidc.access_tokens import AccessTokenClaims
    from tollkit.oidc.flows import Cancel
    from tollkit.oidc.models import DeviceAuthorization, TokenResponse
    from tollkit_api.builder.v2026_05.models import (
        App,
        AppUser,
        AppUserList,
        BillingSnapshot,
        DeleteAppUserResponse,
        DiscoveryProfileList,
        DiscoveryProfileResponse,
        EthUsdPriceResponse,
        PipelineCatalog,
        PlanList,
        UpdateAppUserResponse,
        UserAccessToken,
    )
    from tollkit_api.runtime import HttpResponse, Request
    from tollkit_api.usage.v2026_05.bulk import UsageResponseLike
    from tollkit_api.usage.v2026_05.models import UsageResponse

__all__ = ["AsyncPymtHouse", "PymtHouse"]

T = TypeVar("T")
Day = datetime | date | str
_log = logging.getLogger("tollkit.pymthouse")


class PymtHouseFlows(Flows):
    """All methods of the clients, written once. Not for direct use: see `PymtHouse` and `AsyncPymtHouse`."""

    def __init__(
        self, settings: config.PymthouseEnvConfig, *, allow_insecure_http: bool, trusted_origins: Iterable[str]
    ) -> None:
        self._settings = settings
        origin = config.get_pymthouse_issuer_origin(settings.issuer_url)
        if "?" in settings.issuer_url or "#" in settings.issuer_url:
            raise ArgumentError("issuer_url", "must have no query and no fragment (RFC 8414 section 2)")
        issuer = discovery.issuer_discovery(
            settings.issuer_url, allow_insecure_http=allow_insecure_http, trusted_origins=trusted_origins
        )
        # the secret goes out as it stands, as the platform's own client sends it (see rest_service)
        machine = ClientSecretBasic(settings.m2m_client_id, settings.m2m_client_secret, raw=True)
        self._oidc = OidcFlows(
            issuer=settings.issuer_url, client_id=settings.m2m_client_id, auth=machine, discovery=issuer
        )
        self._device = OidcFlows(
            issuer=settings.issuer_url, client_id=settings.public_client_id, auth="none", discovery=issuer
        )
        self._rest = rest_service(
            origin, settings.m2m_client_id, settings.m2m_client_secret, allow_http=allow_insecure_http
        )

    def _call(self, request: Request, parse: Callable[[HttpResponse], T]) -> Flow[T]:
        return send(Send(request, parse, self._rest))

    # --- the issuer -----------------------------------------------------------------------------------

    @flow
    def get_discovery(self, *, force: bool = False) -> Flow[discovery.OidcDiscoveryDocument]:
        """The issuer's discovery document (OpenID Connect Discovery 1.0 section 4), kept for 5 minutes.

        Args:
            force: Ask the issuer even if a kept document is fresh.

        Raises:
            DecodeError: The document is not usable, or names another issuer (code `oidc_discovery_invalid`).
            TransportError: The issuer does not answer (code `oidc_discovery_failed`).
        """
        metadata = yield from self._oidc.discover(force=force)
        return discovery.authorization_server_to_oidc_document(metadata)

    # --- users (Builder API) ----------------------------------------------------------------------------

    @flow
    def list_app_users(self) -> Flow[AppUserList]:
        """All users of the app, active and inactive; the platform does not page.

        Raises:
            AuthenticationError: Wrong credentials, wrong app, or the M2M client lacks `users:read`.

        Source: PymtHouse Builder API, `GET /api/v1/apps/{clientId}/users`.
        """
        from tollkit_api.builder.v2026_05.api.users import list_app_users as operation

        request = built(operation.request, self._settings.public_client_id)
        return (yield from self._call(request, operation.parse))

    @flow
    def upsert_app_user(
        self, external_user_id: str, *, email: str | None = None, status: str | None = None
    ) -> Flow[AppUser]:
        """Create the user, or update the one that has this id; repeating it is safe.

        Args:
            external_user_id: Your id of the user; white space around it is not kept.
            email: Set when given and not empty; the platform cannot be told to forget one.
            status: `active` or `inactive`; a new user is active when nothing is said.

        Raises:
            ArgumentError: `external_user_id` is empty.
            AuthenticationError: Wrong credentials, wrong app, or the M2M client lacks `users:write`.

        Source: PymtHouse Builder API, `POST /api/v1/apps/{clientId}/users`.
        """
        from tollkit_api.builder.v2026_05.api.users import upsert_app_user as operation
        from tollkit_api.builder.v2026_05.models import UpsertAppUserRequest

        body = UpsertAppUserRequest(
            external_user_id=required_text("external_user_id", external_user_id),
            email=_optional("email", email),
            status=_optional("status", status),
        )
        request = built(operation.request, self._settings.public_client_id, body=body)
        return (yield from self._call(request, operation.parse))

    @flow
    def update_app_user(
        self, external_user_id: str, *, email: str | None = None, status: str | None = None
    ) -> Flow[UpdateAppUserResponse]:
        """Update a user who must exist; what is not given stays.

        Args:
            external_user_id: Your id of the user.
            email: The new address; an empty text is stored as such.
            status: `active` or `inactive`.

        Raises:
            ArgumentError: `external_user_id` is empty.
            NotFoundError: There is no such user.
            AuthenticationError: Wrong credentials, wrong app, or the M2M client lacks `users:write`.

        Source: PymtHouse Builder API, `PUT /api/v1/apps/{clientId}/users`.
        """
        from tollkit_api.builder.v2026_05.api.users import update_app_user as operation
        from tollkit_api.builder.v2026_05.models import UpdateAppUserRequest

        body = UpdateAppUserRequest(
            external_user_id=required_text("external_user_id", external_user_id),
            email=_text("email", email),
            status=_text("status", status),
        )
        request = built(operation.request, self._settings.public_client_id, body=body)
        return (yield from self._call(request, operation.parse))

    @flow
    def delete_app_user(self, external_user_id: str) -> Flow[DeleteAppUserResponse]:
        """Deactivate a user; the record stays, and repeating it is safe.

        User tokens that were issued before keep working until they expire, and so do signer sessions.

        Raises:
            ArgumentError: `external_user_id` is empty.
            NotFoundError: There is no such user.
            AuthenticationError: Wrong credentials, wrong app, or the M2M client lacks `users:write`.

        Source: PymtHouse Builder API, `DELETE /api/v1/apps/{clientId}/users`.
        """
        from tollkit_api.builder.v2026_05.api.users import delete_app_user as operation

        user = required_text("external_user_id", external_user_id)
        request = built(operation.request, self._settings.public_client_id, external_user_id=user)
        return (yield from self._call(request, operation.parse))

    @flow
    def mint_user_access_token(self, external_user_id: str, *, scope: str | None = None) -> Flow[UserAccessToken]:
        """A JWT that speaks for one user, valid for 15 minutes.

        Args:
            external_user_id: Your id of the user.
            scope: Scopes, separated by spaces; `sign:job` when nothing is said.

        Raises:
            ArgumentError: `external_user_id` is empty.
            NotFoundError: No such user, or the user is inactive.
            BadRequestError: A scope is not allowed (code `invalid_scope`).
            AuthenticationError, PermissionDeniedError: Wrong credentials, or those of another app.

        Source: PymtHouse Builder API, `POST /api/v1/apps/{clientId}/users/{externalUserId}/token`.
        """
        from tollkit_api.builder.v2026_05.api.tokens import mint_user_access_token as operation
        from tollkit_api.builder.v2026_05.models import MintUserAccessTokenRequest

        user = required_text("external_user_id", external_user_id)
        body = MintUserAccessTokenRequest(scope=_optional("scope", scope))
        request = built(operation.request, self._settings.public_client_id, user, body=body)
        return (yield from self._call(request, operation.parse))

    # --- tokens (OIDC) ----------------------------------------------------------------------------------

    @flow
    def issue_machine_access_token(
        self, scope: str = tokens.SIGN_JOB_SCOPE, *, force: bool = False
    ) -> Flow[tokens.ClientCredentialsTokenResponse]:
        """An access token for the app itself (client credentials, RFC 6749 section 4.4).

        The token is kept and handed out again until it is about to expire; `expires_in` counts down.

        Args:
            scope: Scopes, separated by spaces; an empty text asks for none.
            force: Ask for a new token even if a kept one is good.

        Raises:
            OAuthError: The issuer refuses; `error` says why.
            DecodeError: The issuer's answer is no token answer.
        """
        token = yield from self._oidc.client_credentials(scope=scope, force=force)
        return tokens.client_credentials_result(token.to_dict())

    @flow
    def exchange_for_signer_session(
        self, user_jwt: str, *, resource: str | None = None
    ) -> Flow[tokens.TokenExchangeResponse]:
        """Exchange a user's JWT for a signer session of 90 days (RFC 8693). Each call makes a new session.

        Args:
            user_jwt: A JWT of this issuer with the scope `sign:job`, minted or from a device login.
            resource: The resource to ask for; the issuer when nothing is said.

        Raises:
            ArgumentError: `user_jwt` is empty.
            OAuthError: The issuer refuses; `error` says why (`invalid_grant` for a bad or expired JWT).
            DecodeError: The issuer's answer is no token exchange answer (code `invalid_token_response`).
        """
        user_jwt = Secret(secret_text("user_jwt", user_jwt))
        target = (_text("resource", resource) or "").strip() or self._settings.issuer_url
        return (
            yield from self._exchange(
                user_jwt, resource=target.rstrip("/"), requested_token_type=tokens.ACCESS_TOKEN_TYPE
            )
        )

    def _exchange(
        self, user_jwt: Secret, *, resource: str, requested_token_type: str | None = None
    ) -> Flow[tokens.TokenExchangeResponse]:
        token = yield from self._oidc.exchange_token(
            user_jwt,
            subject_token_type=tokens.ACCESS_TOKEN_TYPE,
            requested_token_type=requested_token_type,
            resource=resource,
        )
        return tokens.token_exchange_result(token.to_dict())

    @flow
    def mint_user_signer_session_token(
        self, external_user_id: str, *, scope: str | None = None, resource: str | None = None
    ) -> Flow[tokens.TokenExchangeResponse]:
        """Mint a user's JWT and exchange it for a signer session, in one call.

        Raises:
            PmtHouseError: As `mint_user_access_token` and `exchange_for_signer_session`.
        """
        minted = yield from self.mint_user_access_token(external_user_id, scope=scope or tokens.SIGN_JOB_SCOPE)
        return (yield from self.exchange_for_signer_session(minted.access_token, resource=resource))

    @flow
    def create_signer_session_token(self, user_jwt: str | None = None) -> Flow[tokens.TokenExchangeResponse]:
        """A signer session for a user's JWT; when that fails, or there is none, one for the app itself.

        The platform of May 2026 refuses the second way (500 `server_error`): prefer
        `mint_user_signer_session_token`. Which way was taken is logged.

        Raises:
            OAuthError: The issuer refuses; the error of a failed first way is its `__context__`.
        """
        if not user_jwt:
            return (yield from self._machine_session())
        try:
            return (yield from self.exchange_for_signer_session(user_jwt))
        except TollkitError as error:
            _log.warning(
                "User JWT exchange failed, falling back to machine exchange (code %s, status %s)",
                error.code,
                error.status,
            )
            return (yield from self._machine_session())

    def _machine_session(self) -> Flow[tokens.TokenExchangeResponse]:
        machine = yield from self.issue_machine_access_token()
        return (yield from self.exchange_for_signer_session(machine.access_token))

    @flow
    def mint_signer_session_for_external_user(
        self, external_user_id: str, *, email: str | None = None, scope: str | None = None
    ) -> Flow[tokens.SignerSessionToken]:
        """Provision a user, then mint and exchange: everything a user needs to sign, in one call.

        An inactive user is made active again.

        Args:
            external_user_id: Your id of the user.
            email: The user's address, when you have it.
            scope: Scopes of the minted JWT; `sign:job` when nothing is said.

        Raises:
            DecodeError: The session is a JWT or empty.
            PmtHouseError: As `upsert_app_user`, `mint_user_access_token` and `exchange_for_signer_session`.
        """
        yield from self.upsert_app_user(external_user_id, email=email, status="active")
        session = yield from self.mint_user_signer_session_token(external_user_id, scope=scope)
        return tokens.parse_signer_session_exchange(session.to_dict())

    # --- device login (RFC 8628) ------------------------------------------------------------------------

    @flow
    def complete_device_approval(self, *, user_jwt: str, user_code: str) -> Flow[tokens.TokenExchangeResponse]:
        """Approve a pending device login for the user whose JWT this is; repeat it at will before the device polls.

        Args:
            user_jwt: A JWT from `mint_user_access_token`.
            user_code: The code that the device shows; case, blanks and hyphens do not matter.

        Raises:
            ArgumentError: `user_jwt` or `user_code` is empty.
            OAuthError: The issuer refuses: unknown, expired or used code (`invalid_grant`, `expired_token`), or the
                app may not approve devices (`invalid_client`, `invalid_scope`).
        """
        user_jwt = Secret(secret_text("user_jwt", user_jwt))
        return (yield from self._exchange(user_jwt, resource=_device_resource(user_code)))

    @flow
    def approve_device_login(
        self,
        external_user_id: str,
        user_code: str,
        *,
        email: str | None = None,
        public_client_id: str | None = None,
    ) -> Flow[None]:
        """Provision a user, mint the JWT and approve the device login that shows `user_code`.

        Args:
            external_user_id: Your id of the user, who is made active if inactive.
            user_code: The code that the device shows.
            email: The user's address, when you have it.
            public_client_id: The client id from the approval link; refused when it is not this app's.

        Raises:
            ArgumentError: `public_client_id` is another app's (code `invalid_client`); nothing was sent.
            PmtHouseError: As `upsert_app_user`, `mint_user_access_token` and `complete_device_approval`.
        """
        if public_client_id and public_client_id != self._settings.public_client_id:
            raise ArgumentError(
                "public_client_id",
                "must be this app's own client id",
                code="invalid_client",
                message="publicClientId does not match configured public client id",
            )
        _device_resource(user_code)  # so that a code that cannot be one changes no user
        yield from self.upsert_app_user(external_user_id, email=email, status="active")
        minted = yield from self.mint_user_access_token(external_user_id, scope=tokens.SIGN_JOB_SCOPE)
        yield from self.complete_device_approval(user_jwt=minted.access_token, user_code=user_code)

    @flow
    def poll_device_token(
        self,
        on_user_code: Callable[[DeviceAuthorization], Awaitable[object] | object] | None = None,
        *,
        scope: str | None = None,
        cancel: Cancel | None = None,
    ) -> Flow[TokenResponse]:
        """Log a device in (RFC 8628): get a code, show it, wait until its user has approved.

        Args:
            on_user_code: Called once with what to show: `user_code`, `verification_uri`, `expires_in` (seconds).
                The async client awaits what it returns, if that can be awaited.
            scope: Scopes, separated by spaces.
            cancel: Ends the login soon after its `is_set()` turns true, e.g. a `threading.Event`.

        Raises:
            DeviceFlowError: Denied (`access_denied`), expired (`expired_token`; `device_flow_expired` by our
                clock, status 408), or the answer to a poll was lost.
            CancelledError: `cancel` was set.
            OAuthError: The issuer refuses the client or the scope.
        """
        return (yield from self._device.device_login(on_user_code, scope=scope, cancel=cancel))

    @flow
    def verify_access_token(
        self,
        token: str,
        *,
        audience: str | Sequence[str] | None = None,
        required_scopes: Iterable[str] = (),
        accept_user_tokens: bool = False,
    ) -> Flow[AccessTokenClaims]:
        """Check a JWT access token of this issuer by RFC 9068 section 4. Needs the extra `oidc`.

        Args:
            token: The token.
            audience: Who the token must be for; the issuer itself, as PymtHouse's tokens are, when nothing is said.
            required_scopes: Scopes that the token must have.
            accept_user_tokens: Accept user tokens of the Builder API too, whose header says `typ: JWT`.

        Raises:
            TokenError: The token is refused; `code` says why.
            TransportError, StatusError, DecodeError: The issuer's document or keys cannot be had.
            MissingExtraError: joserfc is not installed.
        """
        return (
            yield from self._oidc.verify_access_token(
                token,
                audience=self._settings.issuer_url if audience is None else audience,
                required_scopes=required_scopes,
                accept_typ=(USER_TOKEN_TYP,) if accept_user_tokens else (),
            )
        )

    # --- usage (Usage API) ------------------------------------------------------------------------------

    @flow
    def get_usage(
        self,
        *,
        start_date: Day | None = None,
        end_date: Day | None = None,
        group_by: str | None = None,
        user_id: str | None = None,
        gateway_request_id: str | None = None,
    ) -> Flow[UsageResponse]:
        """The app's usage over a span of time, both ends included.

        Args:
            start_date: A date, an aware datetime, or ISO 8601 text; everything goes out as UTC with milliseconds.
            end_date: The same; a date without a time means that whole day.
            group_by: `none`, `user` or `pipeline_model`.
            user_id: The platform's own id of the user (`end_user_id` of a row), not yours.
            gateway_request_id: Only the records of this gateway request; adds `events`.

        Raises:
            ArgumentError: A date is not one, or does not say its time zone, or the span is reversed.
            NotFoundError: Wrong credentials or wrong app; the platform answers all of these with 404.

        Source: PymtHouse Usage API, `GET /api/v1/apps/{clientId}/usage`.
        """
        from tollkit_api.usage.v2026_05.api.usage import get_usage as operation

        request = self._usage_request(start_date, end_date, group_by, user_id, gateway_request_id)
        return (yield from self._call(request, operation.parse))

    @flow
    def get_usage_rows(
        self,
        *,
        start_date: Day | None = None,
        end_date: Day | None = None,
        group_by: str | None = None,
        user_id: str | None = None,
    ) -> Flow[UsageResponseLike]:
        """`get_usage` for answers of many thousand rows: the same values in other classes, several times faster.

        The rows are read by msgspec where it is installed (`pip install 'tollkit[rows]'`) and the answer is plain;
        an answer with fields or values that the document does not know, and one of less than 1 MiB, comes as
        `get_usage` has it. Rows have all fields but `additional_properties`, and no methods.

        Args:
            start_date: As for `get_usage`.
            end_date: As for `get_usage`.
            group_by: `none`, `user` or `pipeline_model`.
            user_id: The platform's own id of the user (`end_user_id` of a row), not yours.

        Raises:
            ArgumentError: As for `get_usage`.
            NotFoundError: As for `get_usage`.
            DecodeError: The answer is not what the document says; names the path (`$.byUser[17].requestCount`).

        Source: PymtHouse Usage API, `GET /api/v1/apps/{clientId}/usage`.
        """
        from tollkit_api.usage.v2026_05 import bulk

        request = self._usage_request(start_date, end_date, group_by, user_id, None)
        return (yield from self._call(request, bulk.parse))

    def _usage_request(
        self,
        start_date: Day | None,
        end_date: Day | None,
        group_by: str | None,
        user_id: str | None,
        gateway_request_id: str | None,
    ) -> Request:
        from tollkit_api.usage.v2026_05.api.usage import get_usage as operation

        start = None if start_date in (None, "") else instant("start_date", start_date)
        end = None if end_date in (None, "") else instant("end_date", end_date, end=True)
        if start and end and end < start:
            raise ArgumentError("end_date", "must not be before start_date")
        return built(
            operation.request,
            self._settings.public_client_id,
            start_date=wire_time(start) if start else None,
            end_date=wire_time(end) if end else None,
            group_by=_optional("group_by", group_by),
            user_id=_optional("user_id", user_id),
            gateway_request_id=_optional("gateway_request_id", gateway_request_id),
        )

    @flow
    def fetch_usage_for_external_user(
        self,
        external_user_id: str,
        *,
        start_date: Day | None = None,
        end_date: Day | None = None,
        max_end_user_ids: int = usage.DEFAULT_MAX_END_USER_IDS,
    ) -> Flow[usage.MeScopeUsagePayload]:
        """One user's usage by your own id: totals, and by pipeline and model.

        The platform files one person under up to three ids; this finds and merges them. It takes one request for
        the totals, then one for each id, side by side.

        Args:
            external_user_id: Your id of the user. An unknown user has no usage, which is no error.
            start_date: As for `get_usage`.
            end_date: As for `get_usage`.
            max_end_user_ids: Ids to ask for at most; the totals count all of them all the same.

        Raises:
            ArgumentError: As for `get_usage`, or `max_end_user_ids` is no whole number or negative.
            NotFoundError: Wrong credentials or wrong app.
        """
        user = required_text("external_user_id", external_user_id)
        if type(max_end_user_ids) is not int or max_end_user_ids < 0:
            raise ArgumentError("max_end_user_ids", "must be a whole number, 0 or more")
        by_user = yield from self.get_usage(start_date=start_date, end_date=end_date, group_by="user")
        ids = usage.get_end_user_ids_for_external_user(by_user, user)
        if len(ids) > max_end_user_ids:
            _log.warning(
                "%d ids of one user, asked for %d: pipeline rows are not complete", len(ids), max_end_user_ids
            )
        answers = yield from gather(
            [
                self.get_usage(start_date=start_date, end_date=end_date, group_by="pipeline_model", user_id=one)
                for one in ids[:max_end_user_ids]
            ]
        )
        return usage.build_me_scope_usage_payload(by_user, user, answers)

    # --- the app ----------------------------------------------------------------------------------------

    @flow
    def get_app_manifest(self, *, if_none_match: str | None = None) -> Flow[models.GetAppManifestResult]:
        """What the app's network plan allows: capabilities, and those that are excluded.

        No capabilities at all means no restriction. The entity tag follows the plan, not the catalogue: a 304 can
        hide a change of the catalogue, so fetch without `if_none_match` now and then (`ManifestCache` does).

        Args:
            if_none_match: The `etag` of an earlier result, quotes included.

        Raises:
            NotFoundError: Wrong credentials or wrong app; the platform answers all of these with 404.
            DecodeError: The answer is no manifest (code `invalid_response`). It is not taken for an empty one, which
                would lift every restriction.

        Source: PymtHouse Builder API, `GET /api/v1/apps/{clientId}/manifest`.
        """
        from tollkit_api.builder.v2026_05.api.manifest import get_app_manifest as operation

        etag_known = _optional("if_none_match", if_none_match)
        request = built(operation.request, self._settings.public_client_id, if_none_match=etag_known)

        def parse(response: HttpResponse) -> models.GetAppManifestResult:
            etag = (response.headers.get("etag") or "").strip() or None
            if response.status_code == 304:
                return models.GetAppManifestResult(None, etag or etag_known, not_modified=True)
            try:
                found: Any = json_value(response.content)
            except ValueError:
                raise unreadable(request, response) from None
            manifest = models.read_manifest(found)
            if manifest is None:
                raise unreadable(request, response)
            return models.GetAppManifestResult(manifest, etag, not_modified=False)

        return (yield from self._call(request, parse))

    @flow
    def get_app(self) -> Flow[App]:
        """The app itself: name, status, billing pattern, allowed scopes.

        Raises:
            NotFoundError: Wrong credentials or wrong app.

        Source: PymtHouse Builder API, `GET /api/v1/apps/{clientId}`.
        """
        from tollkit_api.builder.v2026_05.api.apps import get_app as operation

        request = built(operation.request, self._settings.public_client_id)
        return (yield from self._call(request, operation.parse))

    @flow
    def get_billing(self) -> Flow[BillingSnapshot]:
        """The current billing cycle: usage by day, overage, costs, what end users owe.

        Raises:
            NotFoundError: Wrong credentials or wrong app.

        Source: PymtHouse Builder API, `GET /api/v1/apps/{clientId}/billing`.
        """
        from tollkit_api.builder.v2026_05.api.billing import get_billing as operation

        request = built(operation.request, self._settings.public_client_id)
        return (yield from self._call(request, operation.parse))

    @flow
    def list_plans(self) -> Flow[PlanList]:
        """The app's plans.

        Raises:
            NotFoundError: Wrong credentials or wrong app.

        Source: PymtHouse Builder API, `GET /api/v1/apps/{clientId}/plans`.
        """
        from tollkit_api.builder.v2026_05.api.billing import list_plans as operation

        request = built(operation.request, self._settings.public_client_id)
        return (yield from self._call(request, operation.parse))

    @flow
    def list_discovery_profiles(self) -> Flow[DiscoveryProfileList]:
        """The app's discovery profiles.

        Raises:
            NotFoundError: Wrong credentials or wrong app.

        Source: PymtHouse Builder API, `GET /api/v1/apps/{clientId}/discovery-profiles`.
        """
        from tollkit_api.builder.v2026_05.api.discovery import list_discovery_profiles as operation

        request = built(operation.request, self._settings.public_client_id)
        return (yield from self._call(request, operation.parse))

    @flow
    def get_discovery_profile(self, profile_id: str) -> Flow[DiscoveryProfileResponse]:
        """One discovery profile.

        Raises:
            ArgumentError: `profile_id` is empty.
            NotFoundError: No such profile, wrong credentials or wrong app.

        Source: PymtHouse Builder API, `GET /api/v1/apps/{clientId}/discovery-profiles/{profileId}`.
        """
        from tollkit_api.builder.v2026_05.api.discovery import get_discovery_profile as operation

        profile = required_text("profile_id", profile_id)
        request = built(operation.request, self._settings.public_client_id, profile)
        return (yield from self._call(request, operation.parse))

    @flow
    def get_eth_usd_price(self) -> Flow[EthUsdPriceResponse]:
        """The price of one ETH in USD that the platform works with.

        Source: PymtHouse Builder API, `GET /api/v1/prices/eth-usd`.
        """
        from tollkit_api.builder.v2026_05.api.network import get_eth_usd_price as operation

        return (yield from self._call(operation.request(), operation.parse))

    @flow
    def get_pipeline_catalog(self) -> Flow[PipelineCatalog]:
        """The pipelines and models that the network offers.

        Raises:
            ServerError: 503 while the catalogue is not available.

        Source: PymtHouse Builder API, `GET /api/v1/pipeline-catalog`.
        """
        from tollkit_api.builder.v2026_05.api.network import get_pipeline_catalog as operation

        return (yield from self._call(operation.request(), operation.parse))


def _device_resource(user_code: str) -> str:
    if not device.normalize_user_code(required_text("user_code", user_code)):
        raise ArgumentError("user_code", "must have letters or digits, such as BCDF-GHJK")
    return device.build_device_code_resource(user_code)


def _text(name: str, value: str | None) -> str | None:
    """The value, if it is text that can be sent, blank or not; `None` for nothing."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return value
    return required_text(name, value)


def _optional(name: str, value: str | None) -> str | None:
    """`None` for what the platform's client would leave out too: nothing, or an empty text."""
    return _text(name, value) or None


class _PymtHouse:
    """What is the same on both clients and needs no request."""

    flows: PymtHouseFlows
    family: type[TollkitError] = PmtHouseError

    @property
    def issuer_url(self) -> str:
        """The issuer, without trailing slashes."""
        return self.flows._settings.issuer_url

    @property
    def public_client_id(self) -> str:
        """The app's public client id."""
        return self.flows._settings.public_client_id

    def verify_issuer(self, iss: str) -> bool:
        """Whether `iss` is this client's issuer, white space and trailing slashes aside."""
        return device_initiate.verify_issuer(self.issuer_url, iss)

    def parse_device_approval_redirect(
        self, query: device_initiate.Query
    ) -> device_initiate.ParsedDeviceApprovalRedirect:
        """Read the query with which PymtHouse sends a user to your device approval page.

        Args:
            query: The query text, the whole address, or a mapping of parameters.

        Raises:
            ArgumentError: The query is not from this issuer or is not complete (codes `invalid_request`,
                `invalid_issuer`, `invalid_target`).
        """
        return device_initiate.parse_device_approval_redirect(self.issuer_url, query)

    def __repr__(self) -> str:
        if "flows" not in vars(self):  # shown in a traceback of the constructor
            return f"{type(self).__name__}(...)"
        return f"{type(self).__name__}(issuer_url={self.issuer_url!r}, public_client_id={self.public_client_id!r})"


def _flows(
    issuer_url: str,
    public_client_id: str,
    m2m_client_id: str,
    m2m_client_secret: str,
    allow_insecure_http: bool,
    trusted_origins: Iterable[str],
) -> PymtHouseFlows:
    settings = config.PymthouseEnvConfig(
        issuer_url=config.strip_trailing_slashes(required_text("issuer_url", issuer_url).strip()),
        public_client_id=required_text("public_client_id", public_client_id).strip(),
        m2m_client_id=required_text("m2m_client_id", m2m_client_id).strip(),
        m2m_client_secret=Secret(secret_text("m2m_client_secret", m2m_client_secret)),
    )
    return PymtHouseFlows(settings, allow_insecure_http=allow_insecure_http, trusted_origins=trusted_origins)


class PymtHouse(PymtHouseFlows, _PymtHouse, BlockingClient):
    """The blocking client of PymtHouse; safe to share between threads, to be made once and kept.

    Args:
        issuer_url: The issuer, e.g. `https://pymthouse.com/api/v1/oidc`; the APIs are on its origin.
        public_client_id: The app's public client id (`app_...`).
        m2m_client_id: The app's machine client id (`m2m_...`).
        m2m_client_secret: Its secret.
        allow_insecure_http: Allow an `http://` issuer, for a sandbox or a development server. Without it every
            call to such an issuer raises `InsecureTransportError`, and nothing is sent.
        trusted_origins: Further origins that the issuer's endpoints may be on.
        http_client: An HTTP client of your own (of httpx's shape) instead of one made by `connection`; it keeps
            its own time-outs unless `timeout` is given, and you close it.
        options: `timeout`, `max_retries`, `headers`, `on_event`, `connection`: see
            `tollkit.core.client.ClientOptions`.

    Raises:
        ArgumentError: An argument is missing or unusable.
    """

    def __init__(
        self,
        *,
        issuer_url: str,
        public_client_id: str,
        m2m_client_id: str,
        m2m_client_secret: str,
        allow_insecure_http: bool = False,
        trusted_origins: Iterable[str] = (),
        http_client: HttpClient | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        m2m_client_secret = hidden(m2m_client_secret)
        with family():
            flows = _flows(
                issuer_url, public_client_id, m2m_client_id, m2m_client_secret, allow_insecure_http, trusted_origins
            )
            self._start(flows, options, http_client)

    @property
    def api(self) -> BlockingApi:
        """What to give to generated functions as `client=`: they then have this client's credentials and policy.

        With `from tollkit_api.usage.v2026_05.api.usage import get_usage`:
        `get_usage.sync(client.public_client_id, client=client.api)`.
        """
        return BlockingApi(self, self.flows._rest)

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None, **settings: Any) -> Self:
        """A client from `PYMTHOUSE_ISSUER_URL`, `..._PUBLIC_CLIENT_ID`, `..._M2M_CLIENT_ID`, `..._M2M_CLIENT_SECRET`.

        An `http://` issuer in the environment is allowed when it is of this machine or of a private network.

        Args:
            env: Read these variables instead of the process's.
            settings: Any argument of the constructor, which then counts instead of its variable.

        Raises:
            ConfigurationError: A variable is missing (code `missing_env`).
            ArgumentError: A variable or an argument is unusable.
        """
        return cls(**_from_env(env, settings))


class AsyncPymtHouse(PymtHouseFlows, _PymtHouse, AsyncClient):
    """The async client of PymtHouse: every method of `PymtHouse` as a coroutine.

    Safe to share between tasks and event loops. Takes the arguments of `PymtHouse`; an `http_client` must be
    async.
    """

    def __init__(
        self,
        *,
        issuer_url: str,
        public_client_id: str,
        m2m_client_id: str,
        m2m_client_secret: str,
        allow_insecure_http: bool = False,
        trusted_origins: Iterable[str] = (),
        http_client: AsyncHttpClient | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        m2m_client_secret = hidden(m2m_client_secret)
        with family():
            flows = _flows(
                issuer_url, public_client_id, m2m_client_id, m2m_client_secret, allow_insecure_http, trusted_origins
            )
            self._start(flows, options, http_client)

    @property
    def api(self) -> AsyncApi:
        """What to give to generated functions as `client=`: they then have this client's credentials and policy.

        With `from tollkit_api.usage.v2026_05.api.usage import get_usage`:
        `await get_usage.asyncio(client.public_client_id, client=client.api)`.
        """
        return AsyncApi(self, self.flows._rest)

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None, **settings: Any) -> Self:
        """A client from the PYMTHOUSE_* variables; see `PymtHouse.from_env`.

        Raises:
            ConfigurationError: A variable is missing (code `missing_env`).
            ArgumentError: A variable or an argument is unusable.
        """
        return cls(**_from_env(env, settings))


_VARIABLES = {
    "issuer_url": "PYMTHOUSE_ISSUER_URL",
    "public_client_id": "PYMTHOUSE_PUBLIC_CLIENT_ID",
    "m2m_client_id": "PYMTHOUSE_M2M_CLIENT_ID",
    "m2m_client_secret": "PYMTHOUSE_M2M_CLIENT_SECRET",
}


def _from_env(variables: Mapping[str, str] | None, settings: dict[str, Any]) -> dict[str, Any]:
    # a variable is not needed when its argument is given, such as a secret from a vault
    given = {_VARIABLES[name]: "given" for name in _VARIABLES.keys() & settings.keys()}
    with family():
        found = env.require_pymthouse_env({**(os.environ if variables is None else variables), **given})
    return {
        **{name: getattr(found, name) for name in _VARIABLES},
        # a slip in the environment of production must not send secrets in the clear
        "allow_insecure_http": found.issuer_url.startswith("http:") and is_local(found.issuer_url),
        **settings,
    }
