"""Run402: databases, functions, mail and sites that agents provision and pay for by x402.

Nothing is loaded before it is used; wallets and payments need the extra `payments`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tollkit.run402.address import checksum_address
    from tollkit.run402.allowance import AllowanceCreated, AllowanceFile, AllowanceStatus
    from tollkit.run402.client import AsyncRun402, Run402
    from tollkit.run402.config import (
        DEFAULT_API_BASE,
        allowance_path,
        api_base,
        config_dir,
        deploy_api_base,
        keystore_path,
    )
    from tollkit.run402.credentials import (
        AllowanceData,
        AsyncCredentialsProvider,
        CredentialsProvider,
        FullCredentialsProvider,
        MemoryCredentials,
        ProjectKeys,
    )
    from tollkit.run402.eip712 import TypedData, typed_data_digest
    from tollkit.run402.eip3009 import TransferAuthorization, transfer_typed_data
    from tollkit.run402.errors import (
        ApiError,
        LocalError,
        NetworkError,
        PaymentRequired,
        ProjectNotFound,
        Run402Error,
        Unauthorized,
        is_api_error,
        is_local_error,
        is_network_error,
        is_payment_required,
        is_project_not_found,
        is_retryable_run402_error,
        is_run402_error,
        is_unauthorized,
    )
    from tollkit.run402.keystore import Keystore, KeystoreFile
    from tollkit.run402.local import LocalCredentials
    from tollkit.run402.retry import with_retry, with_retry_async
    from tollkit.run402.signer import (
        AccountSigner,
        PrivateKeySigner,
        Signer,
        join_signature,
        message_digest,
        new_private_key,
    )
    from tollkit.run402.siwx import SiwxMessage, SiwxSigner, siwx_header_value
    from tollkit.run402.x402 import (
        BASE,
        BASE_SEPOLIA,
        USDC,
        Challenge,
        Requirement,
        Settlement,
        chain_id_of,
        payment_header,
        payment_payload,
        read_challenge,
        read_settlement,
        transfer_for,
    )

__all__ = [
    "BASE",
    "BASE_SEPOLIA",
    "DEFAULT_API_BASE",
    "USDC",
    "AccountSigner",
    "AllowanceCreated",
    "AllowanceData",
    "AllowanceFile",
    "AllowanceStatus",
    "ApiError",
    "AsyncCredentialsProvider",
    "AsyncRun402",
    "Challenge",
    "CredentialsProvider",
    "FullCredentialsProvider",
    "Keystore",
    "KeystoreFile",
    "LocalCredentials",
    "LocalError",
    "MemoryCredentials",
    "NetworkError",
    "PaymentRequired",
    "PrivateKeySigner",
    "ProjectKeys",
    "ProjectNotFound",
    "Requirement",
    "Run402",
    "Run402Error",
    "Settlement",
    "Signer",
    "SiwxMessage",
    "SiwxSigner",
    "TransferAuthorization",
    "TypedData",
    "Unauthorized",
    "allowance_path",
    "api_base",
    "chain_id_of",
    "checksum_address",
    "config_dir",
    "deploy_api_base",
    "is_api_error",
    "is_local_error",
    "is_network_error",
    "is_payment_required",
    "is_project_not_found",
    "is_retryable_run402_error",
    "is_run402_error",
    "is_unauthorized",
    "join_signature",
    "keystore_path",
    "message_digest",
    "new_private_key",
    "payment_header",
    "payment_payload",
    "read_challenge",
    "read_settlement",
    "siwx_header_value",
    "transfer_for",
    "transfer_typed_data",
    "typed_data_digest",
    "with_retry",
    "with_retry_async",
]

_HOME = {
    "AccountSigner": "signer",
    "AllowanceCreated": "allowance",
    "AllowanceData": "credentials",
    "AllowanceFile": "allowance",
    "AllowanceStatus": "allowance",
    "ApiError": "errors",
    "AsyncCredentialsProvider": "credentials",
    "AsyncRun402": "client",
    "BASE": "x402",
    "BASE_SEPOLIA": "x402",
    "Challenge": "x402",
    "CredentialsProvider": "credentials",
    "DEFAULT_API_BASE": "config",
    "FullCredentialsProvider": "credentials",
    "Keystore": "keystore",
    "KeystoreFile": "keystore",
    "LocalCredentials": "local",
    "LocalError": "errors",
    "MemoryCredentials": "credentials",
    "NetworkError": "errors",
    "PaymentRequired": "errors",
    "PrivateKeySigner": "signer",
    "ProjectKeys": "credentials",
    "ProjectNotFound": "errors",
    "Requirement": "x402",
    "Run402": "client",
    "Run402Error": "errors",
    "Settlement": "x402",
    "Signer": "signer",
    "SiwxMessage": "siwx",
    "SiwxSigner": "siwx",
    "TransferAuthorization": "eip3009",
    "TypedData": "eip712",
    "USDC": "x402",
    "Unauthorized": "errors",
    "allowance_path": "config",
    "api_base": "config",
    "chain_id_of": "x402",
    "checksum_address": "address",
    "config_dir": "config",
    "deploy_api_base": "config",
    "is_api_error": "errors",
    "is_local_error": "errors",
    "is_network_error": "errors",
    "is_payment_required": "errors",
    "is_project_not_found": "errors",
    "is_retryable_run402_error": "errors",
    "is_run402_error": "errors",
    "is_unauthorized": "errors",
    "join_signature": "signer",
    "keystore_path": "config",
    "message_digest": "signer",
    "new_private_key": "signer",
    "payment_header": "x402",
    "payment_payload": "x402",
    "read_challenge": "x402",
    "read_settlement": "x402",
    "siwx_header_value": "siwx",
    "transfer_for": "x402",
    "transfer_typed_data": "eip3009",
    "typed_data_digest": "eip712",
    "with_retry": "retry",
    "with_retry_async": "retry",
}


def __getattr__(name: str) -> Any:
    from tollkit_api.runtime.lazy import resolve

    return resolve(__name__, _HOME, name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
