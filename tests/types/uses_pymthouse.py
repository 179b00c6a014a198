"""What a program that uses PymtHouse does, as type checkers see it. Nothing runs it."""

from __future__ import annotations

import threading
from datetime import date
from decimal import Decimal
from typing import Any, assert_type

from tollkit import AsyncPymtHouse, Connection, PymtHouse, Secret, Timeout, TollkitError
from tollkit.core.events import Event
from tollkit.core.flows import AsyncCall, BlockingCall
from tollkit.core.raw import Answer, Raw
from tollkit.errors import (
    DeviceFlowError,
    NotFoundError,
    OAuthError,
    RateLimitError,
    StatusError,
    TokenError,
    TransportError,
)
from tollkit.oidc import AsyncOidcClient, OidcClient
from tollkit.oidc.access_tokens import AccessTokenClaims
from tollkit.oidc.device import Poll, ShowCode, Wait, device_steps
from tollkit.oidc.models import DeviceAuthorization, ProviderMetadata, TokenResponse
from tollkit.pymthouse import (
    AppManifestCapability,
    AppManifestResponse,
    AsyncManifestCache,
    CachedManifest,
    DeviceApproval,
    DeviceApprovalRefused,
    DeviceInitiateAccepted,
    DeviceInitiateRefused,
    GetAppManifestResult,
    ManifestCache,
    MemoryEtagStore,
    PmtHouseError,
    SignerSessionToken,
    SqliteEtagStore,
    TokenExchangeResponse,
    extract_device_approval_from_target_link,
    read_usage_rows,
    validate_device_initiate_login,
    verify_jwt,
)
from tollkit.usage import UsageAggregate, aggregate
from tollkit_api.builder.v2026_05.models import AppUser, AppUserList, UserAccessToken
from tollkit_api.runtime import Response
from tollkit_api.usage.v2026_05.api.usage import get_usage
from tollkit_api.usage.v2026_05.bulk import UsageResponseLike
from tollkit_api.usage.v2026_05.models import ErrorEnvelope, UsageResponse


def seen(event: Event) -> None:
    print(event)


def blocking() -> None:
    with PymtHouse(
        issuer_url="https://pymthouse.com/api/v1/oidc",
        public_client_id="app_1",
        m2m_client_id="m2m_1",
        m2m_client_secret="secret",
        timeout=Timeout(read=10),
        max_retries=1,
        headers={"X-App": "1"},
        on_event=seen,
        connection=Connection(proxy="http://proxy:3128", http2=True),
    ) as client:
        assert_type(client, PymtHouse)
        assert_type(client.with_options(timeout=None, max_retries=0), PymtHouse)
        assert_type(client.issuer_url, str)

        user = client.upsert_app_user("user-1", email="a@example.com")
        assert_type(user, AppUser)
        assert_type(client.list_app_users(), AppUserList)
        for one in client.list_app_users().users:
            assert_type(one, AppUser)

        token = client.mint_user_access_token("user-1", scope="sign:job")
        assert_type(token, UserAccessToken)
        assert_type(token.access_token, Secret)
        text: str = token.access_token  # a secret is a text
        session = client.mint_signer_session_for_external_user("user-1")
        assert_type(session, SignerSessionToken)
        assert_type(client.exchange_for_signer_session(text), TokenExchangeResponse)

        raw = client.get_usage.raw(start_date=date(2026, 5, 1), end_date="2026-05-31")
        assert_type(raw, Raw[UsageResponse])
        assert_type(raw.result, UsageResponse)
        assert_type(raw.status, int | None)
        assert_type(raw.last, Answer | None)
        assert_type(raw.result.totals.request_count, int)
        rows = client.get_usage_rows(user_id="u")
        assert_type(rows, UsageResponseLike)
        assert_type(rows.totals.request_count, int)
        assert_type(read_usage_rows(b"{}"), UsageResponseLike)
        assert_type(aggregate([rows]), UsageAggregate)
        takes_a_method(client.mint_user_access_token)

        found = client.get_app_manifest(if_none_match='"tag"')
        assert_type(found, GetAppManifestResult)
        if found.manifest is not None:
            assert_type(found.manifest, AppManifestResponse)
            assert_type(found.manifest.capabilities, tuple[AppManifestCapability, ...])
        assert_type(ManifestCache(client, MemoryEtagStore()).get(), CachedManifest)

        assert_type(get_usage.sync("app_1", client=client.api), UsageResponse | ErrorEnvelope | None)
        detailed = get_usage.sync_detailed("app_1", client=client.api)
        assert_type(detailed.status_code, int)
        takes_a_response(detailed)


async def asynchronous() -> None:
    async with AsyncPymtHouse.from_env() as client:
        assert_type(client, AsyncPymtHouse)
        assert_type(await client.upsert_app_user("user-1"), AppUser)
        assert_type(await client.get_usage.raw(user_id="u"), Raw[UsageResponse])
        assert_type(await AsyncManifestCache(client, SqliteEtagStore("tags.sqlite")).get(), CachedManifest)
        assert_type(await client.verify_access_token("jwt", audience="me"), AccessTokenClaims)
        await takes_an_async_method(client.mint_user_access_token)

        async def show(authorization: DeviceAuthorization) -> None:
            print(authorization.user_code, authorization.verification_uri)

        assert_type(await client.poll_device_token(on_user_code=show), TokenResponse)


def takes_a_method(method: BlockingCall[..., UserAccessToken]) -> None:
    method("user-1")


async def takes_an_async_method(method: AsyncCall[..., UserAccessToken]) -> None:
    assert_type(await method.raw("user-1"), Raw[UserAccessToken])


def takes_a_response(response: Response[Any]) -> None:
    print(response.headers)


def errors(client: PymtHouse) -> str | None:
    try:
        client.get_app()
    except NotFoundError as error:
        assert_type(error.status, int | None)
        assert_type(error.code, str | None)
        return error.hint
    except RateLimitError as error:
        assert_type(error.retry_after, float | None)
    except StatusError as error:
        assert_type(error.body, Any)
    except DeviceFlowError as error:
        assert_type(error.error, str)
    except (OAuthError, TokenError) as error:
        return error.message
    except TransportError as error:
        assert_type(error.safe_to_retry, bool)
    except PmtHouseError as error:
        assert_type(error.retryable, bool)
    except TollkitError as error:
        assert_type(error.to_dict(), dict[str, Any])
    return None


def device(target: str, iss: str | None) -> str:
    approval = extract_device_approval_from_target_link(target)
    if isinstance(approval, DeviceApprovalRefused):
        return approval.error
    assert_type(approval, DeviceApproval)
    begun = validate_device_initiate_login(expected_issuer_url="https://id.example", iss=iss, target_link_uri=target)
    if begun.ok is True:
        assert_type(begun, DeviceInitiateAccepted)
        return begun.return_url
    assert_type(begun, DeviceInitiateRefused)
    return begun.reason


def oidc() -> TokenResponse:
    with OidcClient("https://id.example", "app", "secret", auth="client_secret_post") as client:
        assert_type(client.discover(), ProviderMetadata)
        claims = client.verify_access_token("jwt", audience=["a", "b"], required_scopes=("read",))
        assert_type(claims, AccessTokenClaims)
        assert_type(claims.sub, str)
        assert_type(claims.aud, tuple[str, ...])
        steps = device_steps(client.start_device_authorization(scope="openid"))
        step = next(steps)
        match step:
            case ShowCode():
                assert_type(step.authorization, DeviceAuthorization)
            case Wait():
                assert_type(step.seconds, float)
            case Poll():
                assert_type(step.authorization.device_code, Secret)
        return client.device_login(print, cancel=threading.Event())


async def oidc_async() -> AccessTokenClaims:
    async with AsyncOidcClient("https://id.example", "app") as client:
        assert_type(await client.client_credentials(scope="read"), TokenResponse)
    return verify_jwt("jwt", issuer_url="https://id.example", audience="me")


def amounts(report: UsageResponse) -> Decimal:
    total = Decimal(0)
    for row in report.by_pipeline_model or []:
        total += Decimal(str(row.request_count))
    return total
