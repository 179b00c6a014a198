"""CI from end to end: a wallet signs, the gateway binds, an issuer like GitHub's gives tokens, a workflow deploys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.run402 import Side
from support.run402_deploys import SIGNER, Kit
from support.run402_wallet import OTHER_KEY
from tollkit.run402 import (
    GithubActionsCredentials,
    LocalError,
    PrivateKeySigner,
    Unauthorized,
    github_actions_credentials,
    sign_ci_delegation,
)
from tollkit.run402.deploy.errors import DeployError
from tollkit.run402.errors import ApiError
from tollkit.sandbox import Sandbox

SUBJECT = "repo:octo-org/octo-repo:ref:refs/heads/main"
NONCE = "deadbeef00112233aabbccdd44556677"
SITE = {"index.html": b"<h1>shipped</h1>"}


@pytest.fixture
def kit(side: Side, tollkit_sandbox: Sandbox, naps: list[float]) -> Kit:
    """A project in the sandbox and its owner's client; nothing waits."""
    return Kit(side, tollkit_sandbox)


def values(kit: Kit, **changes: Any) -> dict[str, Any]:
    return {
        "project_id": kit.project.id,
        "subject_match": SUBJECT,
        "allowed_actions": ["deploy"],
        "allowed_events": ["push", "workflow_dispatch"],
        "nonce": NONCE,
        **changes,
    }


def signed(kit: Kit, told: dict[str, Any], signer: PrivateKeySigner = SIGNER) -> str:
    # by the sandbox's clock, which tests move
    now = datetime.fromtimestamp(kit.sandbox.clock.now(), UTC)
    return sign_ci_delegation(
        told,
        signer=signer,
        api_base=kit.sandbox.api_base,
        issued_at=now,
        expiration_time=now + timedelta(minutes=5),
    )


def bind(kit: Kit, **changes: Any) -> Any:
    told = values(kit, **changes)
    return kit.do("ci.create_binding", **told, signed_delegation=signed(kit, told))


def session(kit: Kit, **run: Any) -> GithubActionsCredentials:
    """The credentials of a workflow's run, which go by the sandbox's clock."""
    return GithubActionsCredentials(
        kit.project.id,
        api_base=kit.sandbox.api_base,
        env=kit.sandbox.github.env(**run),
        clock=kit.sandbox.clock.now,
        allow_insecure_http=True,
    )


def workflow(kit: Kit, **run: Any) -> Any:
    return kit.another(credentials=session(kit, **run))


def deploy(kit: Kit, client: Any, **sections: Any) -> Any:
    return kit.do("deploy.apply", kit.spec(SITE, **sections), client=client)


def refused(kit: Kit, kind: type[Exception], client: Any, **sections: Any) -> Any:
    with pytest.raises(kind) as caught:
        deploy(kit, client, **sections)
    return caught.value


def exchanges(kit: Kit) -> int:
    return kit.sandbox.requests.count("POST */ci/v1/token-exchange")


def test_a_workflow_deploys(kit: Kit) -> None:
    binding = bind(kit, github_repository_id=892341, expires_at="2099-01-01T00:00:00Z")
    assert binding.created_by == SIGNER.address
    assert (binding.github_repository_id, binding.expires_at) == ("892341", "2099-01-01T00:00:00Z")
    result = deploy(kit, workflow(kit))
    assert result.release_id
    assert kit.live() == SITE
    assert exchanges(kit) == 1
    (row,) = kit.do("ci.list_bindings", project=kit.project.id).bindings
    assert (row.id, row.use_count) == (binding.id, 1)
    assert row.last_used_at is not None


def test_credentials_from_the_environment(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    bind(kit)
    for name, value in kit.sandbox.github.env().items():
        monkeypatch.setenv(name, value)
    credentials = github_actions_credentials(kit.project.id, api_base=kit.sandbox.api_base, allow_insecure_http=True)
    deploy(kit, kit.another(credentials=credentials))
    assert kit.live() == SITE


def test_a_session_is_replaced_before_it_ends(kit: Kit) -> None:
    bind(kit)
    client = workflow(kit)
    deploy(kit, client)
    kit.server.clock.advance(839)
    deploy(kit, client)
    assert exchanges(kit) == 1
    kit.server.clock.advance(1)
    deploy(kit, client)
    assert exchanges(kit) == 2


def test_a_revoked_binding_ends_its_sessions(kit: Kit) -> None:
    binding = bind(kit)
    client = workflow(kit)
    deploy(kit, client)
    assert kit.do("ci.revoke_binding", binding.id).revoked_at is not None
    assert refused(kit, Unauthorized, client).code == "invalid_token"
    error = refused(kit, Unauthorized, workflow(kit))
    assert (error.code, error.doing) == ("access_denied", "exchanging CI OIDC token")
    assert kit.do("ci.get_binding", binding.id).revoked_at is not None
    with pytest.raises(ApiError) as used:
        bind(kit)
    assert used.value.code == "nonce_replay"
    bind(kit, nonce="ab" * 16)
    deploy(kit, workflow(kit))


@pytest.mark.parametrize(
    ("binding", "run", "code"),
    [
        ({}, {"repo": "someone/else"}, "access_denied"),
        ({}, {"ref": "refs/heads/other"}, "access_denied"),
        ({}, {"event": "pull_request"}, "access_denied"),
        ({"subject_match": "repo:octo-org/octo-repo:*"}, {"event": "schedule"}, "event_not_allowed"),
        ({"github_repository_id": "1"}, {}, "repository_id_mismatch"),
        ({"subject_match": "repo:octo-org/octo-repo:*"}, {"repo": "octo-org/octo-repo2"}, "access_denied"),
    ],
    ids=repr,
)
def test_another_workflow_is_refused(kit: Kit, binding: dict[str, Any], run: dict[str, Any], code: str) -> None:
    bind(kit, **binding)
    error = refused(kit, Unauthorized, workflow(kit, **run))
    assert (error.code, error.status) == (code, 403)
    assert not kit.deploys.commits


def test_a_token_for_somebody_else_is_refused(kit: Kit) -> None:
    bind(kit)
    credentials = GithubActionsCredentials(
        kit.project.id,
        api_base=kit.sandbox.api_base,
        audience="https://other.test",
        env=kit.sandbox.github.env(),
        allow_insecure_http=True,
    )
    assert refused(kit, Unauthorized, kit.another(credentials=credentials)).status == 401


def test_a_run_without_leave_to_get_tokens(kit: Kit) -> None:
    bind(kit)
    env = {**kit.sandbox.github.env(), "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "another"}
    credentials = GithubActionsCredentials(
        kit.project.id, api_base=kit.sandbox.api_base, env=env, allow_insecure_http=True
    )
    error = refused(kit, LocalError, kit.another(credentials=credentials))
    assert "id-token: write" in (error.hint or "")
    assert exchanges(kit) == 0


@pytest.mark.parametrize(
    "section",
    [
        {"secrets": {"require": ["KEY"]}},
        {"subdomains": {"set": ["shop"]}},
        {"routes": {"replace": []}},
        {"checks": []},
        {"base": {"release": "empty"}},
    ],
    ids=repr,
)
def test_what_a_workflow_may_not_ship_is_refused_before_a_token_is_asked_for(
    kit: Kit, section: dict[str, Any]
) -> None:
    bind(kit)
    error = refused(kit, DeployError, workflow(kit), **section)
    assert (error.code, error.resource, error.phase) == ("forbidden_spec_field", next(iter(section)), "validate")
    assert exchanges(kit) == 0


def test_what_a_session_may_not_call(kit: Kit) -> None:
    bind(kit)
    client = workflow(kit)
    deploy(kit, client)
    for method, *args in (
        ["projects.sql", kit.project.id, "SELECT 1"],
        ["secrets.list", kit.project.id],
        ["blobs.ls", kit.project.id],
        ["tier.status"],
        ["ci.list_bindings"],
    ):
        options = {"project": kit.project.id} if method == "ci.list_bindings" else {}
        with pytest.raises(LocalError, match="session of a CI workflow"):
            kit.do(method, *args, client=client, **options)
    # what reads deploys carries the session; whether that is enough is for the gateway to say, and this one says no
    with pytest.raises(Unauthorized):
        kit.do("deploy.list", kit.project.id, client=client)


def test_what_was_signed_is_what_counts(kit: Kit) -> None:
    told = values(kit)
    with pytest.raises(ApiError):
        kit.do("ci.create_binding", **values(kit, subject_match="repo:evil/*"), signed_delegation=signed(kit, told))
    with pytest.raises(Unauthorized) as other:
        kit.do("ci.create_binding", **told, signed_delegation=signed(kit, told, signer=PrivateKeySigner(OTHER_KEY)))
    assert other.value.code == "signer_mismatch"
    assert not kit.do("ci.list_bindings", project=kit.project.id).bindings
