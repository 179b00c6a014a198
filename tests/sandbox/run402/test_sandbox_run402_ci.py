"""CI in the sandboxed Run402: bindings that a wallet signs, workflow tokens, sessions and what they may do."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import attrs
import httpx
import pytest
from joserfc.jwk import RSAKey
from run402_caller import OTHER, SIGNER, Caller
from run402_deploys import Deployer, ok, sha256

from tollkit.run402.signer import Signer
from tollkit.run402.siwx import SiwxMessage, siwx_header_value
from tollkit.sandbox import Run402Sandbox, Sandbox
from tollkit.sandbox.run402.ci import Binding, delegation_resource, delegation_statement

SUBJECT = "repo:octo-org/octo-repo:ref:refs/heads/main"
NONCE = "deadbeef00112233aabbccdd44556677"
GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"


@pytest.fixture
def at(caller: Caller) -> Deployer:
    return Deployer(caller)


def asked(project_id: str, /, **changes: Any) -> dict[str, Any]:
    return {
        "project_id": project_id,
        "provider": "github-actions",
        "subject_match": SUBJECT,
        "allowed_actions": ["deploy"],
        "allowed_events": ["push", "workflow_dispatch"],
        "github_repository_id": None,
        "expires_at": None,
        "nonce": NONCE,
        **changes,
    }


def delegation(caller: Caller, body: dict[str, Any], signer: Signer = SIGNER, **changes: Any) -> str:
    """What a wallet signs for a binding; `changes` go over the message's fields."""
    told = {name: value for name, value in body.items() if name != "provider"}
    binding = Binding(id="", **told)
    origin = caller.sandbox.api_base.removesuffix("/run402")
    message = SiwxMessage.new(
        origin,
        "/ci/v1/bindings",
        now=caller.sandbox.clock.now(),
        nonce=binding.nonce[:16],
        statement=delegation_statement(binding),
        resources=[delegation_resource(binding)],
    )
    return str.__str__(siwx_header_value(attrs.evolve(message, **changes), signer))


def bind(caller: Caller, body: dict[str, Any], signed: str | None = None, signer: Signer = SIGNER) -> httpx.Response:
    signed = delegation(caller, body) if signed is None else signed
    return caller.post("/ci/v1/bindings", signer=signer, json={**body, "signed_delegation": signed})


def exchange(caller: Caller, project_id: str, token: str, /, **changes: Any) -> httpx.Response:
    body = {
        "grant_type": GRANT,
        "subject_token": token,
        "subject_token_type": JWT,
        "project_id": project_id,
        **changes,
    }
    return caller.post("/ci/v1/token-exchange", json=body)


def workflow_token(caller: Caller, env: dict[str, str], audience: str = "https://api.run402.com") -> str:
    answer = caller.http.get(
        env["ACTIONS_ID_TOKEN_REQUEST_URL"],
        params={"audience": audience, "api-version": "2.0"},
        headers={"authorization": f"Bearer {env['ACTIONS_ID_TOKEN_REQUEST_TOKEN']}"},
    )
    return str(ok(answer)["value"])


def session(at: Deployer, **changes: Any) -> str:
    env = at.caller.sandbox.github.env(**changes)
    return str(ok(exchange(at.caller, at.project.id, workflow_token(at.caller, env)))["access_token"])


# ---------------------------------------------------------------- bindings


@pytest.mark.parametrize(
    ("changes", "digest"),
    [
        ({}, "fb6927a103d415a5197b2215c3e442bc8a1065d9a17a912563c41618cae5c20d"),
        (
            {
                "project_id": "prj_!'()~-._",
                "subject_match": "repo:tal/naïve (x)!:env:é*",
                "expires_at": "2026-07-30T00:00:00Z",
                "github_repository_id": "892341",
            },
            "8cf5f325f96c726d71c5e5090aed55866e026823c4a7fd8a35fe2220277a9fad",
        ),
    ],
)
def test_the_statement_is_the_platforms(changes: dict[str, Any], digest: str) -> None:
    told = {**asked("prj_abc", subject_match="repo:tal/myapp:ref:refs/heads/main"), **changes}
    told.pop("provider")
    binding = Binding(id="", **told)
    assert hashlib.sha256(delegation_statement(binding).encode()).hexdigest() == digest
    if changes:
        assert delegation_resource(binding) == (
            "run402-ci-delegation:v1?project_id=prj_%21%27%28%29~-._&issuer=https%3A%2F%2Ftoken.actions."
            "githubusercontent.com&audience=https%3A%2F%2Fapi.run402.com&subject_match=repo%3Atal%2Fna%C3%AFve%20%28x"
            "%29%21%3Aenv%3A%C3%A9%2A&allowed_actions=deploy&allowed_events=push,workflow_dispatch&expires_at="
            "2026-07-30T00%3A00%3A00Z&github_repository_id=892341&nonce=deadbeef00112233aabbccdd44556677"
        )


def test_a_binding_is_made_told_and_revoked(at: Deployer, caller: Caller) -> None:
    row = ok(bind(caller, asked(at.project.id)))
    assert (row["use_count"], row["revoked_at"], row["created_by"]) == (0, None, SIGNER.address)
    assert row["created_sig"]["signer"] == SIGNER.address
    assert ok(caller.get(f"/ci/v1/bindings/{row['id']}", signer=SIGNER)) == row
    revoked = ok(caller.post(f"/ci/v1/bindings/{row['id']}/revoke", signer=SIGNER))
    assert revoked["revoked_at"] is not None
    listed = ok(caller.get(f"/ci/v1/bindings?project={at.project.id}", signer=SIGNER))
    assert listed == {"bindings": [revoked]}


@pytest.mark.parametrize(
    ("signed", "status", "code"),
    [
        (lambda caller, body: "!", 400, "delegation_parse_failed"),
        (lambda caller, body: "x" * 20_000, 400, "delegation_oversized"),
        (lambda caller, body: delegation(caller, body, statement="Other"), 400, "delegation_statement_mismatch"),
        (lambda caller, body: delegation(caller, body, resources=["a:b"]), 400, "delegation_resource_uri_mismatch"),
        (lambda caller, body: delegation(caller, body, nonce="0" * 16), 400, "delegation_nonce_invalid"),
        (lambda caller, body: delegation(caller, body, uri="https://x.test/"), 400, "delegation_signature_invalid"),
        (lambda caller, body: delegation(caller, body, domain="x.test"), 400, "delegation_signature_invalid"),
        (lambda caller, body: delegation(caller, body, OTHER), 403, "signer_mismatch"),
        (
            lambda caller, body: delegation(caller, {**body, "subject_match": "repo:a/b:*"}),
            400,
            "delegation_statement_mismatch",
        ),
    ],
)
def test_a_wrong_delegation_is_refused(at: Deployer, signed: Any, status: int, code: str) -> None:
    body = asked(at.project.id)
    answer = bind(at.caller, body, signed(at.caller, body))
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_tampered_signature_is_refused(at: Deployer) -> None:
    body = asked(at.project.id)
    told = json.loads(base64.b64decode(delegation(at.caller, body)))
    told["signature"] = told["signature"][:-4] + ("001b" if told["signature"][-4:-2] != "00" else "011b")
    answer = bind(at.caller, body, base64.b64encode(json.dumps(told).encode()).decode())
    assert answer.json()["code"] == "delegation_signature_invalid"


def test_bindings_are_unique(at: Deployer, caller: Caller) -> None:
    ok(bind(caller, asked(at.project.id)))
    again = bind(caller, asked(at.project.id, subject_match="repo:a/b:*"))
    assert (again.status_code, again.json()["code"]) == (409, "nonce_replay")
    same = bind(caller, asked(at.project.id, nonce="0" * 32))
    assert (same.status_code, same.json()["code"]) == (409, "duplicate")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"provider": "gitlab"}, 400),
        ({"subject_match": "*"}, 400),
        ({"subject_match": "a*b"}, 400),
        ({"allowed_actions": ["delete"]}, 400),
        ({"allowed_events": []}, 400),
        ({"nonce": "short"}, 400),
        ({"expires_at": "tomorrow"}, 400),
        ({"project_id": "prj_0000000000000000"}, 404),
    ],
)
def test_wrong_values_are_refused(at: Deployer, changes: dict[str, Any], status: int) -> None:
    assert bind(at.caller, asked(at.project.id, **changes), "eA==").status_code == status


def test_bindings_belong_to_the_owner(at: Deployer, caller: Caller) -> None:
    row = ok(bind(caller, asked(at.project.id)))
    assert bind(caller, asked(at.project.id, nonce="0" * 32), signer=OTHER).status_code == 403
    assert caller.get(f"/ci/v1/bindings/{row['id']}", signer=OTHER).status_code == 403
    assert caller.get(f"/ci/v1/bindings/{row['id']}").status_code == 401
    assert caller.get("/ci/v1/bindings/cib_no", signer=SIGNER).status_code == 404
    assert caller.get("/ci/v1/bindings", signer=SIGNER).status_code == 400
    assert caller.get(f"/ci/v1/bindings?project={at.project.id}", signer=OTHER).status_code == 403


# ---------------------------------------------------------------- the issuer and the exchange


def test_a_workflow_exchanges_its_token(at: Deployer, run402_sandbox: Run402Sandbox, caller: Caller) -> None:
    binding = run402_sandbox.ci.bind(at.project.id, SUBJECT)
    env = run402_sandbox.github.env(repo="octo-org/octo-repo", ref="refs/heads/main", event="push")
    assert env["GITHUB_ACTIONS"] == "true"
    told = ok(exchange(caller, at.project.id, workflow_token(caller, env)))
    assert (told["token_type"], told["expires_in"], told["scope"]) == ("Bearer", 900, "deploy")
    assert binding.use_count == 1
    assert binding.last_used_at is not None


def test_the_issuer_is_like_githubs(run402_sandbox: Run402Sandbox, caller: Caller) -> None:
    env = run402_sandbox.github.env(environment="prod")
    assert caller.http.get(env["ACTIONS_ID_TOKEN_REQUEST_URL"]).status_code == 401
    assert caller.get("/github/idtoken/no").status_code == 404
    configuration = ok(caller.get("/github/.well-known/openid-configuration"))
    assert caller.http.get(configuration["jwks_uri"]).json() == run402_sandbox.github.jwks()
    payload = workflow_token(caller, env).split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert claims["sub"] == "repo:octo-org/octo-repo:environment:prod"
    assert claims["aud"] == "https://api.run402.com"
    assert run402_sandbox.github.claims(event="pull_request")["sub"] == "repo:octo-org/octo-repo:pull_request"


@pytest.mark.parametrize(
    ("claims", "status", "code"),
    [
        ({"iss": "https://evil.test"}, 401, "invalid_token"),
        ({"aud": "https://other.test"}, 401, "invalid_token"),
        ({"exp": 1}, 401, "invalid_token"),
        ({"exp": None}, 401, "invalid_token"),
        ({"nbf": 1 << 40}, 401, "invalid_token"),
        ({"sub": None}, 401, "invalid_token"),
        ({"sub": "repo:octo-org/other:ref:refs/heads/main"}, 403, "access_denied"),
        ({"event_name": "pull_request_target"}, 403, "event_not_allowed"),
        ({"repository_id": "1"}, 403, "repository_id_mismatch"),
    ],
)
def test_a_wrong_token_is_refused(at: Deployer, claims: dict[str, Any], status: int, code: str) -> None:
    sandbox = at.caller.sandbox
    sandbox.ci.bind(at.project.id, SUBJECT, github_repository_id="892341")
    answer = exchange(at.caller, at.project.id, sandbox.github.token(claims))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert exchange(at.caller, at.project.id, sandbox.github.token()).status_code == 200


def test_a_forged_token_is_refused(at: Deployer) -> None:
    sandbox = at.caller.sandbox
    sandbox.ci.bind(at.project.id, SUBJECT)
    good = sandbox.github.token()
    for token in (sandbox.github.token(key=RSAKey.generate_key(2048)), "no.token", good[:-8] + "AAAAAAAA"):
        assert exchange(at.caller, at.project.id, token).json()["code"] == "invalid_token"
    sandbox.github.rotate_keys()
    assert exchange(at.caller, at.project.id, good).status_code == 200
    sandbox.github.rotate_keys(keep_old=False)
    assert exchange(at.caller, at.project.id, good).status_code == 401


def test_a_wrong_request_is_refused(at: Deployer) -> None:
    for changes in (
        {"grant_type": "password"},
        {"subject_token_type": "x"},
        {"subject_token": ""},
        {"project_id": 1},
    ):
        answer = exchange(at.caller, at.project.id, "t", **changes)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_a_star_stands_for_any_text_and_two_bindings_are_ambiguous(at: Deployer) -> None:
    ci = at.caller.sandbox.ci
    ci.bind(at.project.id, "repo:octo-org/octo-repo:*")
    env = at.caller.sandbox.github.env(ref="refs/tags/v1")
    token = workflow_token(at.caller, env)
    assert exchange(at.caller, at.project.id, token).status_code == 200
    ci.bind(at.project.id, "repo:octo-org/*")
    assert exchange(at.caller, at.project.id, token).json()["code"] == "ambiguous_binding"


# ---------------------------------------------------------------- sessions


def test_a_session_deploys(at: Deployer, run402_sandbox: Run402Sandbox, caller: Caller) -> None:
    run402_sandbox.ci.bind(at.project.id, SUBJECT)
    at.deploys.set_uploads(multipart_above=4, part_size=4)
    key = session(at)
    spec = at.spec({"index.html": b"<p>from CI</p>"})
    plan = ok(caller.post("/deploy/v2/plans", key=key, json={"spec": spec}))
    entries = [{"sha256": one["sha256"], "size": one["size"]} for one in plan["missing_content"]]
    assert caller.post("/content/v1/plans", key=key, json={"content": entries}).status_code == 400
    body = {"project_id": at.project.id, "content": entries}
    content = ok(caller.post("/content/v1/plans", key=key, json=body))
    [upload] = content["missing"]
    for part in upload["parts"]:
        assert at.put(part, b"<p>from CI</p>").status_code == 200
    complete = f"/storage/v1/uploads/{upload['upload_id']}/complete"
    assert caller.post(complete, key=key, json={}).status_code == 403
    ok(caller.post(f"/content/v1/plans/{content['plan_id']}/commit", key=key, json={}))
    ok(caller.post(f"/deploy/v2/plans/{plan['plan_id']}/commit", key=key, json={}))
    path = f"/deploy/v2/operations/{plan['operation_id']}"
    assert ok(caller.get(path, key=key))["status"] == "staging"
    assert run402_sandbox.deploys.finish(plan["operation_id"]) == "ready"
    assert ok(caller.get(path + "/events", key=key))["events"]
    assert ok(caller.post(path + "/resume", key=key))["status"] == "ready"
    assert at.deploys.site(at.project.id) == {"index.html": b"<p>from CI</p>"}
    assert run402_sandbox.deploys.active_release(at.project.id).created_by.startswith("ci:")


@pytest.mark.parametrize(
    ("section", "resource"),
    [
        ({"secrets": {}}, "secrets"),
        ({"subdomains": None}, "subdomains"),
        ({"routes": {}}, "routes"),
        ({"checks": []}, "checks"),
        ({"base": {"release": "empty"}}, "base"),
    ],
)
def test_what_a_session_may_not_deploy(at: Deployer, section: dict[str, Any], resource: str) -> None:
    at.caller.sandbox.ci.bind(at.project.id, SUBJECT)
    answer = at.caller.post("/deploy/v2/plans", key=session(at), json={"spec": {**at.spec(), **section}})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden_spec_field")
    assert answer.json()["resource"] == resource


def test_what_else_a_session_may_not_do(at: Deployer, run402_sandbox: Run402Sandbox, caller: Caller) -> None:
    run402_sandbox.ci.bind(at.project.id, SUBJECT)
    key = session(at)
    ref = {"sha256": sha256(b"{}"), "size": 2}
    answer = caller.post("/deploy/v2/plans", key=key, json={"spec": at.spec(), "manifest_ref": ref})
    assert answer.json()["resource"] == "manifest_ref"
    other = caller.sandbox.seed_project()
    assert caller.post("/deploy/v2/plans", key=key, json={"spec": {"project": other.id}}).json()["code"] == (
        "forbidden_plan"
    )
    for path in ("/deploy/v2/operations", "/deploy/v2/releases/active", "/deploy/v2/releases/diff?from=a&to=b"):
        answer = caller.get(path, key=key)
        assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
    assert caller.get(f"/projects/v1/admin/{at.project.id}/secrets", key=key).status_code == 401
    assert caller.get("/storage/v1/blobs", key=key).status_code == 401
    mine = ok(at.plan(at.spec()))
    answer = caller.post(f"/deploy/v2/plans/{mine['plan_id']}/commit", key=key, json={})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden_plan")
    at.deploys.set_price(1000)
    plan = ok(caller.post("/deploy/v2/plans", key=key, json={"spec": at.spec()}))
    answer = caller.post(f"/deploy/v2/plans/{plan['plan_id']}/commit", key=key, json={})
    assert (answer.status_code, answer.json()["code"]) == (402, "payment_required")


def test_a_session_ends(at: Deployer, tollkit_sandbox: Sandbox) -> None:
    ci, clock = at.caller.sandbox.ci, tollkit_sandbox.clock
    binding = ci.bind(at.project.id, SUBJECT)
    ci.session_seconds = 60
    body = {"spec": at.spec()}
    key = session(at)
    assert at.caller.post("/deploy/v2/plans", key=key, json=body).status_code == 200
    clock.advance(61)
    assert at.caller.post("/deploy/v2/plans", key=key, json=body).status_code == 401
    key = session(at)
    binding.revoked_at = clock.now()
    assert at.caller.post("/deploy/v2/plans", key=key, json=body).status_code == 401
    assert at.caller.post("/deploy/v2/plans", key="r402_ci_no", json=body).status_code == 401


def test_a_session_ends_with_its_binding(at: Deployer, tollkit_sandbox: Sandbox) -> None:
    from tollkit.sandbox.clock import iso

    ends = iso(tollkit_sandbox.clock.now() + 120)
    at.caller.sandbox.ci.bind(at.project.id, SUBJECT, expires_at=ends)
    token = at.caller.sandbox.github.token()
    assert ok(exchange(at.caller, at.project.id, token))["expires_in"] <= 120
    tollkit_sandbox.clock.advance(121)
    assert exchange(at.caller, at.project.id, token).json()["code"] == "access_denied"
