"""Run402: databases, functions, mail and sites that agents provision and pay for by x402.

Nothing is loaded before it is used; wallets and payments need the extra `payments`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tollkit.run402.address import checksum_address
    from tollkit.run402.allowance import AllowanceCreated, AllowanceFile, AllowanceStatus
    from tollkit.run402.assets import AssetRef, CdnState
    from tollkit.run402.ci.credentials import (
        AsyncCiSessionCredentials,
        CiSessionCredentials,
        GithubActionsCredentials,
        github_actions_credentials,
        is_ci_session_credentials,
    )
    from tollkit.run402.ci.delegation import CiDelegation, normalize_ci_delegation_values
    from tollkit.run402.ci.signing import sign_ci_delegation
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
    from tollkit.run402.deploy.engine import DeployResult
    from tollkit.run402.deploy.errors import DeployError
    from tollkit.run402.deploy.events import DeployEvent
    from tollkit.run402.deploy.files import FileSet, FilesLeftOutWarning, FileSource, LeftOut, file_set_from_dir
    from tollkit.run402.deploy.manifest import DeployManifest, load_manifest
    from tollkit.run402.deploy.operation import AsyncDeployOperation, DeployOperation
    from tollkit.run402.deploy.progress import DeployProgress
    from tollkit.run402.download import Downloaded
    from tollkit.run402.eip712 import TypedData, typed_data_digest
    from tollkit.run402.eip3009 import TransferAuthorization, transfer_typed_data
    from tollkit.run402.errors import (
        ApiError,
        LocalError,
        NetworkError,
        PaymentNotMadeError,
        PaymentRequired,
        PaymentUncertainError,
        ProjectNotFound,
        Run402Error,
        Unauthorized,
        is_api_error,
        is_deploy_error,
        is_local_error,
        is_network_error,
        is_payment_required,
        is_payment_uncertain,
        is_project_not_found,
        is_retryable_run402_error,
        is_run402_error,
        is_unauthorized,
    )
    from tollkit.run402.keystore import Keystore, KeystoreFile
    from tollkit.run402.local import LocalCredentials
    from tollkit.run402.namespaces.blobs import Blob, BlobFreshness, BlobSource
    from tollkit.run402.payments.payer import X402Payer
    from tollkit.run402.payments.spending import SpendingPolicy
    from tollkit.run402.project import AsyncRun402Project, Run402Project
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
    "AssetRef",
    "AsyncCiSessionCredentials",
    "AsyncCredentialsProvider",
    "AsyncDeployOperation",
    "AsyncRun402",
    "AsyncRun402Project",
    "Blob",
    "BlobFreshness",
    "BlobSource",
    "CdnState",
    "Challenge",
    "CiDelegation",
    "CiSessionCredentials",
    "CredentialsProvider",
    "DeployError",
    "DeployEvent",
    "DeployManifest",
    "DeployOperation",
    "DeployProgress",
    "DeployResult",
    "Downloaded",
    "FileSet",
    "FileSource",
    "FilesLeftOutWarning",
    "FullCredentialsProvider",
    "GithubActionsCredentials",
    "Keystore",
    "KeystoreFile",
    "LeftOut",
    "LocalCredentials",
    "LocalError",
    "MemoryCredentials",
    "NetworkError",
    "PaymentNotMadeError",
    "PaymentRequired",
    "PaymentUncertainError",
    "PrivateKeySigner",
    "ProjectKeys",
    "ProjectNotFound",
    "Requirement",
    "Run402",
    "Run402Error",
    "Run402Project",
    "Settlement",
    "Signer",
    "SiwxMessage",
    "SiwxSigner",
    "SpendingPolicy",
    "TransferAuthorization",
    "TypedData",
    "Unauthorized",
    "X402Payer",
    "allowance_path",
    "api_base",
    "chain_id_of",
    "checksum_address",
    "config_dir",
    "deploy_api_base",
    "file_set_from_dir",
    "github_actions_credentials",
    "is_api_error",
    "is_ci_session_credentials",
    "is_deploy_error",
    "is_local_error",
    "is_network_error",
    "is_payment_required",
    "is_payment_uncertain",
    "is_project_not_found",
    "is_retryable_run402_error",
    "is_run402_error",
    "is_unauthorized",
    "join_signature",
    "keystore_path",
    "load_manifest",
    "message_digest",
    "new_private_key",
    "normalize_ci_delegation_values",
    "payment_header",
    "payment_payload",
    "read_challenge",
    "read_settlement",
    "sign_ci_delegation",
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
    "AssetRef": "assets",
    "AsyncCiSessionCredentials": "ci.credentials",
    "AsyncCredentialsProvider": "credentials",
    "AsyncDeployOperation": "deploy.operation",
    "AsyncRun402": "client",
    "AsyncRun402Project": "project",
    "BASE": "x402",
    "BASE_SEPOLIA": "x402",
    "Blob": "namespaces.blobs",
    "BlobFreshness": "namespaces.blobs",
    "BlobSource": "namespaces.blobs",
    "CdnState": "assets",
    "Challenge": "x402",
    "CiDelegation": "ci.delegation",
    "CiSessionCredentials": "ci.credentials",
    "CredentialsProvider": "credentials",
    "DEFAULT_API_BASE": "config",
    "DeployError": "deploy.errors",
    "DeployEvent": "deploy.events",
    "DeployManifest": "deploy.manifest",
    "DeployOperation": "deploy.operation",
    "DeployProgress": "deploy.progress",
    "DeployResult": "deploy.engine",
    "Downloaded": "download",
    "FileSet": "deploy.files",
    "FileSource": "deploy.files",
    "FilesLeftOutWarning": "deploy.files",
    "FullCredentialsProvider": "credentials",
    "GithubActionsCredentials": "ci.credentials",
    "Keystore": "keystore",
    "KeystoreFile": "keystore",
    "LeftOut": "deploy.files",
    "LocalCredentials": "local",
    "LocalError": "errors",
    "MemoryCredentials": "credentials",
    "NetworkError": "errors",
    "PaymentNotMadeError": "errors",
    "PaymentRequired": "errors",
    "PaymentUncertainError": "errors",
    "PrivateKeySigner": "signer",
    "ProjectKeys": "credentials",
    "ProjectNotFound": "errors",
    "Requirement": "x402",
    "Run402": "client",
    "Run402Error": "errors",
    "Run402Project": "project",
    "Settlement": "x402",
    "Signer": "signer",
    "SiwxMessage": "siwx",
    "SiwxSigner": "siwx",
    "SpendingPolicy": "payments.spending",
    "TransferAuthorization": "eip3009",
    "TypedData": "eip712",
    "USDC": "x402",
    "Unauthorized": "errors",
    "X402Payer": "payments.payer",
    "allowance_path": "config",
    "api_base": "config",
    "chain_id_of": "x402",
    "checksum_address": "address",
    "config_dir": "config",
    "deploy_api_base": "config",
    "file_set_from_dir": "deploy.files",
    "github_actions_credentials": "ci.credentials",
    "is_api_error": "errors",
    "is_ci_session_credentials": "ci.credentials",
    "is_deploy_error": "errors",
    "is_local_error": "errors",
    "is_network_error": "errors",
    "is_payment_required": "errors",
    "is_payment_uncertain": "errors",
    "is_project_not_found": "errors",
    "is_retryable_run402_error": "errors",
    "is_run402_error": "errors",
    "is_unauthorized": "errors",
    "join_signature": "signer",
    "keystore_path": "config",
    "load_manifest": "deploy.manifest",
    "message_digest": "signer",
    "new_private_key": "signer",
    "normalize_ci_delegation_values": "ci.delegation",
    "payment_header": "x402",
    "payment_payload": "x402",
    "read_challenge": "x402",
    "read_settlement": "x402",
    "sign_ci_delegation": "ci.signing",
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
