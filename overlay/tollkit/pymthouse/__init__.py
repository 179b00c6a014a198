"""PymtHouse: a clearinghouse for signing jobs.

    from tollkit.pymthouse import PymtHouse

The clients are in `client`; the platform's helper functions are in the modules that they are named for. All of
them can be imported from here; nothing is loaded before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tollkit.core.etag_store import EtagStore, MemoryEtagStore, RedisEtagStore, SqliteEtagStore
    from tollkit.pymthouse.client import AsyncPymtHouse, PymtHouse
    from tollkit.pymthouse.config import (
        PYMTHOUSE_NOT_CONFIGURED_MESSAGE,
        PymthouseEnvConfig,
        get_builder_api_v1_base_from_issuer_url,
        get_pymthouse_issuer_origin,
        get_pymthouse_issuer_url_from_env,
        get_pymthouse_public_client_id_from_env,
        is_pymthouse_configured,
        read_pymthouse_env,
    )
    from tollkit.pymthouse.device import (
        build_device_code_resource,
        normalize_user_code,
        poll_device_token,
        poll_device_token_async,
    )
    from tollkit.pymthouse.device_initiate import (
        USER_CODE_RE,
        ParsedDeviceApprovalRedirect,
        extract_device_approval_from_target_link,
        validate_device_initiate_login,
    )
    from tollkit.pymthouse.discovery import (
        OidcDiscoveryDocument,
        authorization_server_to_oidc_document,
        clear_discovery_cache,
        fetch_discovery_document,
        fetch_discovery_document_async,
        load_authorization_server,
        load_authorization_server_async,
    )
    from tollkit.pymthouse.env import create_pmt_house_client_from_env, get_pymthouse_base_url
    from tollkit.pymthouse.errors import PmtHouseError, to_pmt_house_error
    from tollkit.pymthouse.format import format_wei_to_eth, format_wei_to_usd
    from tollkit.pymthouse.manifest import AppManifestResponse, compute_manifest_revision, parse_app_manifest_response
    from tollkit.pymthouse.manifest_cache import AsyncManifestCache, CachedManifest, ManifestCache
    from tollkit.pymthouse.models import GetAppManifestResult
    from tollkit.pymthouse.tokens import (
        PYMTHOUSE_SIGNER_SESSION_TTL_MS,
        SIGN_JOB_SCOPE,
        SIGNER_SESSION_EXPIRES_IN_SEC,
        SIGNER_SESSION_TTL_MS,
        ClientCredentialsTokenResponse,
        SignerSessionToken,
        TokenExchangeResponse,
        compute_pymthouse_expiry,
        compute_signer_session_expiry,
        decode_jwt_exp,
        is_likely_oidc_jwt,
        is_opaque_signer_session_token,
        parse_signer_session_exchange,
    )
    from tollkit.pymthouse.usage import (
        DEFAULT_MAX_END_USER_IDS,
        MeScopeUsagePayload,
        UsageFiatSummary,
        UsageForExternalUser,
        aggregate_usage_by_external_user_id,
        build_me_scope_usage_payload,
        get_end_user_ids_for_external_user,
        get_usage_record_user_ids_for_external_user,
        get_utc_calendar_month_iso_bounds,
        list_usage_by_pipeline_model,
        merge_usage_by_pipeline_model,
        parse_usage_date_param,
        summarize_usage_fiat_for_external_user,
        summarize_usage_for_external_user,
    )
    from tollkit.pymthouse.verify import verify_jwt, verify_jwt_async

__all__ = [
    "DEFAULT_MAX_END_USER_IDS",
    "PYMTHOUSE_NOT_CONFIGURED_MESSAGE",
    "PYMTHOUSE_SIGNER_SESSION_TTL_MS",
    "SIGNER_SESSION_EXPIRES_IN_SEC",
    "SIGNER_SESSION_TTL_MS",
    "SIGN_JOB_SCOPE",
    "USER_CODE_RE",
    "AppManifestResponse",
    "AsyncManifestCache",
    "AsyncPymtHouse",
    "CachedManifest",
    "ClientCredentialsTokenResponse",
    "EtagStore",
    "GetAppManifestResult",
    "ManifestCache",
    "MeScopeUsagePayload",
    "MemoryEtagStore",
    "OidcDiscoveryDocument",
    "ParsedDeviceApprovalRedirect",
    "PmtHouseError",
    "PymtHouse",
    "PymthouseEnvConfig",
    "RedisEtagStore",
    "SignerSessionToken",
    "SqliteEtagStore",
    "TokenExchangeResponse",
    "UsageFiatSummary",
    "UsageForExternalUser",
    "aggregate_usage_by_external_user_id",
    "authorization_server_to_oidc_document",
    "build_device_code_resource",
    "build_me_scope_usage_payload",
    "clear_discovery_cache",
    "compute_manifest_revision",
    "compute_pymthouse_expiry",
    "compute_signer_session_expiry",
    "create_pmt_house_client_from_env",
    "decode_jwt_exp",
    "extract_device_approval_from_target_link",
    "fetch_discovery_document",
    "fetch_discovery_document_async",
    "format_wei_to_eth",
    "format_wei_to_usd",
    "get_builder_api_v1_base_from_issuer_url",
    "get_end_user_ids_for_external_user",
    "get_pymthouse_base_url",
    "get_pymthouse_issuer_origin",
    "get_pymthouse_issuer_url_from_env",
    "get_pymthouse_public_client_id_from_env",
    "get_usage_record_user_ids_for_external_user",
    "get_utc_calendar_month_iso_bounds",
    "is_likely_oidc_jwt",
    "is_opaque_signer_session_token",
    "is_pymthouse_configured",
    "list_usage_by_pipeline_model",
    "load_authorization_server",
    "load_authorization_server_async",
    "merge_usage_by_pipeline_model",
    "normalize_user_code",
    "parse_app_manifest_response",
    "parse_signer_session_exchange",
    "parse_usage_date_param",
    "poll_device_token",
    "poll_device_token_async",
    "read_pymthouse_env",
    "summarize_usage_fiat_for_external_user",
    "summarize_usage_for_external_user",
    "to_pmt_house_error",
    "validate_device_initiate_login",
    "verify_jwt",
    "verify_jwt_async",
]

_HOME = {
    "AppManifestResponse": "manifest",
    "AsyncManifestCache": "manifest_cache",
    "AsyncPymtHouse": "client",
    "CachedManifest": "manifest_cache",
    "ClientCredentialsTokenResponse": "tokens",
    "DEFAULT_MAX_END_USER_IDS": "usage",
    "EtagStore": ".core.etag_store",
    "GetAppManifestResult": "models",
    "ManifestCache": "manifest_cache",
    "MeScopeUsagePayload": "usage",
    "MemoryEtagStore": ".core.etag_store",
    "OidcDiscoveryDocument": "discovery",
    "PYMTHOUSE_NOT_CONFIGURED_MESSAGE": "config",
    "PYMTHOUSE_SIGNER_SESSION_TTL_MS": "tokens",
    "ParsedDeviceApprovalRedirect": "device_initiate",
    "PmtHouseError": "errors",
    "PymtHouse": "client",
    "PymthouseEnvConfig": "config",
    "RedisEtagStore": ".core.etag_store",
    "SIGNER_SESSION_EXPIRES_IN_SEC": "tokens",
    "SIGNER_SESSION_TTL_MS": "tokens",
    "SIGN_JOB_SCOPE": "tokens",
    "SignerSessionToken": "tokens",
    "SqliteEtagStore": ".core.etag_store",
    "TokenExchangeResponse": "tokens",
    "USER_CODE_RE": "device_initiate",
    "UsageFiatSummary": "usage",
    "UsageForExternalUser": "usage",
    "aggregate_usage_by_external_user_id": "usage",
    "authorization_server_to_oidc_document": "discovery",
    "build_device_code_resource": "device",
    "build_me_scope_usage_payload": "usage",
    "clear_discovery_cache": "discovery",
    "compute_manifest_revision": "manifest",
    "compute_pymthouse_expiry": "tokens",
    "compute_signer_session_expiry": "tokens",
    "create_pmt_house_client_from_env": "env",
    "decode_jwt_exp": "tokens",
    "extract_device_approval_from_target_link": "device_initiate",
    "fetch_discovery_document": "discovery",
    "fetch_discovery_document_async": "discovery",
    "format_wei_to_eth": "format",
    "format_wei_to_usd": "format",
    "get_builder_api_v1_base_from_issuer_url": "config",
    "get_end_user_ids_for_external_user": "usage",
    "get_pymthouse_base_url": "env",
    "get_pymthouse_issuer_origin": "config",
    "get_pymthouse_issuer_url_from_env": "config",
    "get_pymthouse_public_client_id_from_env": "config",
    "get_usage_record_user_ids_for_external_user": "usage",
    "get_utc_calendar_month_iso_bounds": "usage",
    "is_likely_oidc_jwt": "tokens",
    "is_opaque_signer_session_token": "tokens",
    "is_pymthouse_configured": "config",
    "list_usage_by_pipeline_model": "usage",
    "load_authorization_server": "discovery",
    "load_authorization_server_async": "discovery",
    "merge_usage_by_pipeline_model": "usage",
    "normalize_user_code": "device",
    "parse_app_manifest_response": "manifest",
    "parse_signer_session_exchange": "tokens",
    "parse_usage_date_param": "usage",
    "poll_device_token": "device",
    "poll_device_token_async": "device",
    "read_pymthouse_env": "config",
    "summarize_usage_fiat_for_external_user": "usage",
    "summarize_usage_for_external_user": "usage",
    "to_pmt_house_error": "errors",
    "validate_device_initiate_login": "device_initiate",
    "verify_jwt": "verify",
    "verify_jwt_async": "verify",
}


def __getattr__(name: str) -> Any:
    from tollkit_api.runtime.lazy import resolve

    return resolve(__name__, _HOME, name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
