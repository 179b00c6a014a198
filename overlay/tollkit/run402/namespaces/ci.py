"""Leave for workflows of GitHub Actions to deploy."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from tollkit.core.arguments import built, hidden, required_text
from tollkit.core.flows import Flow, flow
from tollkit.core.namespaces import Namespace
from tollkit.errors import ArgumentError
from tollkit.run402.ci.delegation import PROVIDER, normalize_ci_delegation_values
from tollkit.run402.errors import raised
from tollkit.run402.namespaces.checks import preparing

if TYPE_CHECKING:
    from tollkit.run402.client import Run402Flows
    from tollkit_api.run402.v1_57.models import CiBinding, CiBindingList, CiSession

__all__ = ["Ci"]

D = TypeVar("D")
_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
_JWT = "urn:ietf:params:oauth:token-type:jwt"


class Ci(Namespace[D]):
    """`client.ci`: bindings between workflows of a repository and a project, and the sessions that they get."""

    _root: Run402Flows

    @flow
    def create_binding(
        self,
        *,
        project_id: str,
        subject_match: str,
        allowed_actions: Iterable[str] = ("deploy",),
        allowed_events: Iterable[str] = ("push", "workflow_dispatch"),
        github_repository_id: str | int | None = None,
        expires_at: datetime | str | None = None,
        nonce: str,
        signed_delegation: str,
        provider: str = PROVIDER,
    ) -> Flow[CiBinding]:
        """Let workflows deploy to a project.

        Args:
            project_id: The project.
            subject_match: Subject of their tokens: `repo:acme/shop:ref:refs/heads/main`, or with `*` at its end.
            allowed_actions: What they may do: `deploy`.
            allowed_events: Events that may start them.
            github_repository_id: Number of the repository, which a new one of the same name does not have.
            expires_at: When the leave ends; never when left out. An aware datetime, or text as it was signed.
            nonce: 16 to 64 hex digits in lower case that were never used before.
            signed_delegation: The same values, signed: see `sign_ci_delegation`.
            provider: `github-actions`.

        Raises:
            LocalError: A value is missing or wrong (also an `ArgumentError`, which names it).
            ApiError: What was signed is not what was sent, or there is such a binding.
            Unauthorized: The wallet's signature is refused.

        Source: Run402 gateway, `POST /ci/v1/bindings`.
        """
        from tollkit_api.run402.v1_57.api.ci import ci_create_binding as operation
        from tollkit_api.run402.v1_57.models import CreateBindingRequest

        doing = "creating CI binding"
        signed_delegation = hidden(signed_delegation)
        if provider != PROVIDER:
            raise raised(ArgumentError("provider", f"must be {PROVIDER}"), doing)
        if not signed_delegation:
            raise raised(ArgumentError("signed_delegation", "must not be empty"), doing)
        values = normalize_ci_delegation_values(
            {
                "project_id": project_id,
                "subject_match": subject_match,
                "allowed_actions": allowed_actions,
                "allowed_events": allowed_events,
                "github_repository_id": github_repository_id,
                "expires_at": expires_at,
                "nonce": nonce,
            }
        ).to_dict()
        with preparing(doing):
            body = CreateBindingRequest.from_dict(
                {
                    "project_id": values["project_id"],
                    "provider": PROVIDER,
                    "subject_match": values["subject_match"],
                    "allowed_actions": values["allowed_actions"],
                    "allowed_events": values["allowed_events"],
                    "github_repository_id": values["github_repository_id"],
                    "expires_at": values["expires_at"],
                    "nonce": values["nonce"],
                    "signed_delegation": signed_delegation,
                }
            )
            request = built(operation.request, body=body)
        return (yield from self._root.call(request, operation.parse, doing))

    @flow
    def list_bindings(self, *, project: str) -> Flow[CiBindingList]:
        """The bindings of a project, revoked ones among them.

        Args:
            project: The project.

        Raises:
            LocalError: `project` is empty (also an `ArgumentError`).
            Unauthorized: The wallet's signature is refused.

        Source: Run402 gateway, `GET /ci/v1/bindings`.
        """
        from tollkit_api.run402.v1_57.api.ci import ci_list_bindings as operation

        doing = "listing CI bindings"
        with preparing(doing):
            request = built(operation.request, project=required_text("project", project))
        return (yield from self._root.call(request, operation.parse, doing))

    @flow
    def get_binding(self, binding_id: str) -> Flow[CiBinding]:
        """One binding, revoked or not.

        Args:
            binding_id: Its id.

        Raises:
            LocalError: `binding_id` is empty (also an `ArgumentError`).
            ApiError: There is no such binding.

        Source: Run402 gateway, `GET /ci/v1/bindings/{binding_id}`.
        """
        from tollkit_api.run402.v1_57.api.ci import ci_get_binding as operation

        doing = "getting CI binding"
        with preparing(doing):
            request = built(operation.request, required_text("binding_id", binding_id))
        return (yield from self._root.call(request, operation.parse, doing))

    @flow
    def revoke_binding(self, binding_id: str) -> Flow[CiBinding]:
        """Stop further requests from CI. What was deployed stays, and deploys on their way go on.

        Args:
            binding_id: Its id.

        Raises:
            LocalError: `binding_id` is empty (also an `ArgumentError`).
            ApiError: There is no such binding.

        Source: Run402 gateway, `POST /ci/v1/bindings/{binding_id}/revoke`.
        """
        from tollkit_api.run402.v1_57.api.ci import ci_revoke_binding as operation

        doing = "revoking CI binding"
        with preparing(doing):
            request = built(operation.request, required_text("binding_id", binding_id))
        return (yield from self._root.call(request, operation.parse, doing))

    @flow
    def exchange_token(self, *, project_id: str, subject_token: str) -> Flow[CiSession]:
        """Exchange a workflow's OIDC token for a session. `github_actions_credentials` does it by itself.

        Args:
            project_id: The project.
            subject_token: The token of GitHub Actions.

        Raises:
            LocalError: A value is empty (also an `ArgumentError`).
            Unauthorized: The token is refused, or no binding fits it.
            ApiError: More than one binding fits, or the request is refused.

        Source: Run402 gateway, `POST /ci/v1/token-exchange`; RFC 8693, section 2.1.
        """
        from tollkit_api.run402.v1_57.api.ci import ci_exchange_token as operation
        from tollkit_api.run402.v1_57.models import TokenExchangeRequest

        doing = "exchanging CI OIDC token"
        subject_token = hidden(subject_token)
        with preparing(doing):
            body = TokenExchangeRequest.from_dict(
                {
                    "grant_type": _GRANT_TYPE,
                    "subject_token": required_text("subject_token", subject_token),
                    "subject_token_type": _JWT,
                    "project_id": required_text("project_id", project_id),
                }
            )
            request = built(operation.request, body=body)
        return (yield from self._root.call(request, operation.parse, doing))
