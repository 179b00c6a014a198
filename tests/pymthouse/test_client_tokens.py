"""Tokens: minted, issued, exchanged, verified, and how long they are kept."""

from __future__ import annotations

import logging
import traceback
from datetime import UTC, datetime
from typing import Any

import pytest

from support.pymthouse import Side
from tollkit.errors import (
    ArgumentError,
    AuthenticationError,
    BadRequestError,
    DecodeError,
    NotFoundError,
    OAuthError,
    PermissionDeniedError,
    StatusError,
    TokenError,
)
from tollkit.pymthouse import (
    SIGN_JOB_SCOPE,
    SIGNER_SESSION_EXPIRES_IN_SEC,
    PmtHouseError,
    clear_discovery_cache,
    discovery,
    is_likely_oidc_jwt,
    is_opaque_signer_session_token,
    verify,
)
from tollkit.sandbox import Fault, PymtHouseSandbox, Sandbox
from tollkit.secrets import Secret

TOKEN = "POST /api/v1/oidc/token"
EXCHANGE = {"grant_type": "*token-exchange"}


@pytest.fixture
def client(side: Side, pymthouse_sandbox: PymtHouseSandbox) -> Any:
    pymthouse_sandbox.seed_user("alice")
    return side.client(pymthouse_sandbox)


@pytest.fixture(autouse=True)
def _no_shared_discovery() -> None:
    clear_discovery_cache()


# --- minting ------------------------------------------------------------------------------------------------


def test_a_user_token_is_minted(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    minted = side.do(client.mint_user_access_token("alice"))
    assert isinstance(minted.access_token, Secret)
    assert is_likely_oidc_jwt(minted.access_token)
    assert (minted.token_type, minted.expires_in, minted.scope) == ("Bearer", 900, SIGN_JOB_SCOPE)
    assert pymthouse_sandbox.requests[0].json == {}
    assert minted.access_token not in repr(minted)

    minted = side.do(client.mint_user_access_token("alice", scope="sign:job users:read"))
    assert minted.scope == "sign:job users:read"
    assert pymthouse_sandbox.requests[1].json == {"scope": "sign:job users:read"}


def test_no_token_for_who_is_not_there(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    pymthouse_sandbox.seed_user("idle", status="inactive")
    for user in ("nobody", "idle"):
        with pytest.raises(NotFoundError) as caught:
            side.do(client.mint_user_access_token(user))
        assert (caught.value.code, caught.value.kind) == ("not_found", "not_found")
        assert caught.value.request_id is not None
        assert caught.value.hint is not None
        assert "inactive" in caught.value.hint


def test_a_scope_that_is_not_allowed(side: Side, client: Any) -> None:
    with pytest.raises(BadRequestError) as caught:
        side.do(client.mint_user_access_token("alice", scope="admin"))
    assert caught.value.code == "invalid_scope"


def test_minting_with_wrong_credentials_and_for_another_app(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox
) -> None:
    other = pymthouse_sandbox.create_app()
    with pytest.raises(PermissionDeniedError) as caught:
        side.do(
            side.client(pymthouse_sandbox, public_client_id=other.public_client_id).mint_user_access_token("alice")
        )
    assert caught.value.code == "forbidden"
    with pytest.raises(AuthenticationError) as denied:
        side.do(side.client(pymthouse_sandbox, m2m_client_secret="wrong").mint_user_access_token("alice"))
    assert denied.value.code == "invalid_client"
    assert denied.value.hint


# --- the app's own token ------------------------------------------------------------------------------------


def test_a_machine_token_is_kept(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    first = side.do(client.issue_machine_access_token())
    assert (first.token_type, first.scope) == ("Bearer", SIGN_JOB_SCOPE)
    assert 3590 <= first.expires_in <= 3600
    again = side.do(client.issue_machine_access_token("sign:job"))
    assert again.access_token == first.access_token
    assert pymthouse_sandbox.requests.count(TOKEN) == 1

    other = side.do(client.issue_machine_access_token("users:read users:write"))
    assert (other.access_token == first.access_token, other.scope) == (False, "users:read users:write")
    forced = side.do(client.issue_machine_access_token(force=True))
    assert forced.access_token != first.access_token
    assert pymthouse_sandbox.requests.count(TOKEN) == 3
    # discovery was asked for once
    assert len(pymthouse_sandbox.requests) == 4


def test_copies_share_tokens(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    side.do(client.issue_machine_access_token())
    copy = client.with_options(timeout=5, max_retries=0, headers={"X-Trace": "abc"})
    side.do(copy.issue_machine_access_token())
    assert pymthouse_sandbox.requests.count(TOKEN) == 1
    side.do(copy.list_app_users())
    side.do(client.list_app_users())
    assert [sent.headers.get("x-trace") for sent in pymthouse_sandbox.requests.matching("*/users")] == ["abc", None]


@pytest.mark.parametrize(
    ("scope", "code"), [("admin", "invalid_scope"), ("sign:job sign:mint_user_token openid admin", "invalid_scope")]
)
def test_a_refused_machine_token(side: Side, client: Any, scope: str, code: str) -> None:
    with pytest.raises(OAuthError) as caught:
        side.do(client.issue_machine_access_token(scope))
    assert (caught.value.error, caught.value.status) == (code, 400)


def test_a_wrong_secret_is_the_platforms_word(side: Side, pymthouse_sandbox: PymtHouseSandbox) -> None:
    client = side.client(pymthouse_sandbox, m2m_client_secret="pmth_cs_wrong")
    with pytest.raises(OAuthError) as caught:
        side.do(client.issue_machine_access_token())
    error = caught.value
    assert (error.error, error.code, error.status) == ("invalid_client", "invalid_client", 401)
    assert error.message == "client authentication failed"
    assert isinstance(error, PmtHouseError)
    # a refusal is not kept
    with pytest.raises(OAuthError):
        side.do(client.issue_machine_access_token())
    assert pymthouse_sandbox.requests.count(TOKEN) == 2


# --- signer sessions ----------------------------------------------------------------------------------------


def test_a_session_for_a_user_token(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    jwt = side.do(client.mint_user_access_token("alice")).access_token
    session = side.do(client.exchange_for_signer_session(jwt))
    assert is_opaque_signer_session_token(session.access_token)
    assert session.to_dict() == {
        "access_token": session.access_token.reveal(),
        "token_type": "Bearer",
        "expires_in": SIGNER_SESSION_EXPIRES_IN_SEC,
        "scope": SIGN_JOB_SCOPE,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }
    assert session.access_token not in repr(session)
    asked = pymthouse_sandbox.requests.matching(TOKEN)[-1]
    assert asked.value("resource") == client.issuer_url
    another = side.do(client.exchange_for_signer_session(jwt, resource=f"  {client.issuer_url}/  "))
    assert another.access_token != session.access_token
    assert [one.token for one in pymthouse_sandbox.sessions] == [session.access_token, another.access_token]


@pytest.mark.parametrize("resource", ["https://elsewhere.example", "urn:pmth:other"])
def test_a_resource_that_is_not_the_issuer(side: Side, client: Any, resource: str) -> None:
    jwt = side.do(client.mint_user_access_token("alice")).access_token
    with pytest.raises(OAuthError) as caught:
        side.do(client.exchange_for_signer_session(jwt, resource=resource))
    assert caught.value.error == "invalid_target"


def test_a_bad_user_token(side: Side, client: Any, tollkit_sandbox: Sandbox) -> None:
    jwt = side.do(client.mint_user_access_token("alice")).access_token
    tollkit_sandbox.clock.advance(901)
    for bad in ("garbage", jwt, "eyJhbGciOiJub25lIn0.e30."):
        with pytest.raises(OAuthError) as caught:
            side.do(client.exchange_for_signer_session(bad))
        assert (caught.value.error, caught.value.status) == ("invalid_grant", 400)
        assert not caught.value.retryable


@pytest.mark.parametrize("jwt", ["", "  ", None, 5, "two words", "line\nbreak", "eyJ.a.b\n"])
def test_what_can_be_no_token_is_not_sent(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, jwt: Any
) -> None:
    for call in (
        client.exchange_for_signer_session,
        lambda jwt: client.complete_device_approval(user_jwt=jwt, user_code="X"),
    ):
        with pytest.raises(ArgumentError) as caught:
            side.do(call(jwt))
        assert caught.value.argument == "user_jwt"
    assert len(pymthouse_sandbox.requests) == 0


def test_minting_and_exchanging_in_one_call(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    session = side.do(client.mint_user_signer_session_token("alice"))
    assert is_opaque_signer_session_token(session.access_token)
    assert pymthouse_sandbox.requests.matching("*/token")[0].json == {"scope": "sign:job"}
    with pytest.raises(NotFoundError):
        side.do(client.mint_user_signer_session_token("nobody"))
    assert side.do(client.mint_user_signer_session_token("alice", resource=client.issuer_url)).scope == "sign:job"


def test_everything_in_one_call(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    session = side.do(client.mint_signer_session_for_external_user("user-42", email="ada@example.com"))
    assert session.to_dict() == {
        "accessToken": session.access_token.reveal(),
        "tokenType": "Bearer",
        "expiresIn": SIGNER_SESSION_EXPIRES_IN_SEC,
        "scope": SIGN_JOB_SCOPE,
    }
    assert [
        sent.line.removeprefix(f"POST /api/v1/apps/{client.public_client_id}") for sent in pymthouse_sandbox.requests
    ] == [
        "/users",
        "/users/user-42/token",
        "GET /api/v1/oidc/.well-known/openid-configuration",
        TOKEN,
    ]
    assert pymthouse_sandbox.requests[0].json == {
        "externalUserId": "user-42",
        "email": "ada@example.com",
        "status": "active",
    }


def test_an_inactive_user_is_made_active(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    pymthouse_sandbox.seed_user("idle", status="inactive")
    side.do(client.mint_signer_session_for_external_user("idle"))
    assert pymthouse_sandbox.app.users["idle"].status == "active"


def test_a_session_that_is_a_jwt_is_refused(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, tollkit_sandbox: Sandbox
) -> None:
    answer = {
        "access_token": "eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
        "token_type": "Bearer",
        "expires_in": 300,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }
    tollkit_sandbox.faults.add(Fault(kind="status", match=TOKEN, where=EXCHANGE, status=200, body=answer))
    with pytest.raises(DecodeError, match="expected opaque signer session token") as caught:
        side.do(client.mint_signer_session_for_external_user("alice"))
    assert (caught.value.code, isinstance(caught.value, PmtHouseError)) == ("invalid_token_response", True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"issued_token_type": "urn:other"}, "unexpected issued_token_type"),
        ({"issued_token_type": None}, "unexpected issued_token_type"),
        ({"expires_in": None}, "expires_in"),
        ({"token_type": "DPoP"}, "non-Bearer token_type"),
        ({"access_token": ""}, "must not be empty"),
    ],
)
def test_exchange_answers_that_cannot_be_used(
    side: Side, client: Any, tollkit_sandbox: Sandbox, changes: dict[str, Any], message: str
) -> None:
    answer = {
        "access_token": "pmth_x",
        "token_type": "Bearer",
        "expires_in": 300,
        "issued_token_type": "urn:pmth:token-type:remote-signer-session",
        **changes,
    }
    kept = {name: value for name, value in answer.items() if value is not None}
    tollkit_sandbox.faults.add(Fault(kind="status", match=TOKEN, where=EXCHANGE, status=200, body=kept))
    with pytest.raises(DecodeError, match=message) as caught:
        side.do(client.exchange_for_signer_session("eyJ.a.b"))
    assert caught.value.status == 502
    assert "pmth_x" not in f"{caught.value!r}{caught.value.to_dict()}"


def test_members_that_nobody_knows_are_dropped(side: Side, client: Any, tollkit_sandbox: Sandbox) -> None:
    answer = {
        "access_token": "pmth_x",
        "token_type": "bearer",
        "expires_in": "300",
        "issued_token_type": "urn:pmth:token-type:remote-signer-session",
        "signer_url": "https://signer.example",
    }
    tollkit_sandbox.faults.add(Fault(kind="status", match=TOKEN, where=EXCHANGE, status=200, body=answer))
    session = side.do(client.exchange_for_signer_session("eyJ.a.b"))
    assert session.to_dict() == {
        "access_token": "pmth_x",
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "",
        "issued_token_type": "urn:pmth:token-type:remote-signer-session",
    }


# --- with a way out that the platform no longer has ---------------------------------------------------------


def test_a_session_by_way_of_the_user(side: Side, client: Any, caplog: pytest.LogCaptureFixture) -> None:
    jwt = side.do(client.mint_user_access_token("alice")).access_token
    assert is_opaque_signer_session_token(side.do(client.create_signer_session_token(jwt)).access_token)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_the_way_out_is_logged_and_fails_plainly(
    side: Side, client: Any, caplog: pytest.LogCaptureFixture, pymthouse_sandbox: PymtHouseSandbox
) -> None:
    with pytest.raises(StatusError) as caught:
        side.do(client.create_signer_session_token("eyJ.not.good"))
    assert caught.value.code == "OAUTH_RESPONSE_IS_NOT_CONFORM"
    assert caught.value.context["http_status"] == 500
    [warning] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert warning.name == "tollkit.pymthouse"
    assert "falling back to machine exchange (code invalid_grant, status 400)" in warning.getMessage()
    assert "eyJ.not.good" not in caplog.text
    first = caught.value.__context__
    while first is not None and not isinstance(first, OAuthError):
        first = first.__context__
    assert first is not None
    assert first.error == "invalid_grant"
    assert "invalid_grant" in "".join(traceback.format_exception(caught.value)) or first is caught.value.__context__
    grants = [sent.value("grant_type") for sent in pymthouse_sandbox.requests.matching(TOKEN)]
    assert [grant.rpartition(":")[2] for grant in grants if grant] == [
        "token-exchange",
        "client_credentials",
        "token-exchange",
    ]


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_session_for_the_app_itself(
    side: Side, client: Any, nothing: str | None, caplog: pytest.LogCaptureFixture, tollkit_sandbox: Sandbox
) -> None:
    with pytest.raises(StatusError):
        side.do(client.create_signer_session_token(nothing))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    # a platform that allows it
    answer = {
        "access_token": "pmth_machine",
        "token_type": "Bearer",
        "expires_in": 300,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }
    tollkit_sandbox.faults.add(Fault(kind="status", match=TOKEN, where=EXCHANGE, status=200, body=answer))
    assert side.do(client.create_signer_session_token(nothing)).access_token == "pmth_machine"


# --- verification -------------------------------------------------------------------------------------------


def test_a_machine_token_is_verified(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    token = side.do(client.issue_machine_access_token()).access_token
    claims = side.do(client.verify_access_token(token, required_scopes=["sign:job"]))
    assert (claims.iss, claims.client_id, claims.scopes) == (
        client.issuer_url,
        pymthouse_sandbox.m2m_client_id,
        ("sign:job",),
    )
    assert claims.expires_at > datetime.now(UTC)
    side.do(client.verify_access_token(token, audience=[client.issuer_url, "other"]))
    assert pymthouse_sandbox.requests.count("*/jwks") == 1


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"required_scopes": ["users:write"]}, "insufficient_scope"),
        ({"audience": "https://other.example"}, "OAUTH_JWT_CLAIM_COMPARISON_FAILED"),
    ],
)
def test_a_token_that_does_not_do(side: Side, client: Any, options: dict[str, Any], code: str) -> None:
    token = side.do(client.issue_machine_access_token()).access_token
    with pytest.raises(TokenError) as caught:
        side.do(client.verify_access_token(token, **options))
    assert caught.value.code == code
    assert isinstance(caught.value, PmtHouseError)


def test_a_user_token_of_the_builder_api_needs_to_be_allowed(side: Side, client: Any) -> None:
    token = side.do(client.mint_user_access_token("alice")).access_token
    with pytest.raises(TokenError, match="typ"):
        side.do(client.verify_access_token(token))
    claims = side.do(client.verify_access_token(token, accept_user_tokens=True))
    assert claims.client_id == client.public_client_id


def test_verification_without_a_client(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    verify_jwt = side.function(verify, "verify_jwt")
    where = {"issuer_url": client.issuer_url, "audience": client.issuer_url, "allow_insecure_http": True}
    machine = side.do(client.issue_machine_access_token()).access_token
    pymthouse_sandbox.requests.clear()
    for _ in range(2):
        assert side.do(verify_jwt(machine, required_scopes=["sign:job"], **where)).scopes == ("sign:job",)
    assert pymthouse_sandbox.requests.counts() == {
        "GET /api/v1/oidc/.well-known/openid-configuration": 1,
        "GET /api/v1/oidc/jwks": 1,
    }
    user = side.do(client.mint_user_access_token("alice")).access_token
    with pytest.raises(TokenError) as caught:
        side.do(verify_jwt(user, **where))
    assert isinstance(caught.value, PmtHouseError)
    assert side.do(verify_jwt(user, accept_user_tokens=True, **where)).client_id == client.public_client_id


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"issuer_url": "no address"}, "issuer_url"),
        ({"issuer_url": ""}, "issuer_url"),
        ({"audience": ""}, "audience"),
    ],
)
def test_verification_with_unusable_arguments(
    side: Side, client: Any, changes: dict[str, Any], argument: str
) -> None:
    where = {"issuer_url": client.issuer_url, "audience": client.issuer_url, "allow_insecure_http": True}
    with pytest.raises(ArgumentError) as caught:
        side.do(side.function(verify, "verify_jwt")("eyJ.a.b", **{**where, **changes}))
    assert caught.value.argument == argument
    assert isinstance(caught.value, PmtHouseError)


def test_verification_without_a_client_over_plain_http(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox
) -> None:
    with pytest.raises(PmtHouseError, match="only requests to HTTPS are allowed"):
        side.do(
            side.function(verify, "verify_jwt")("eyJ.a.b", issuer_url=client.issuer_url, audience=client.issuer_url)
        )
    assert len(pymthouse_sandbox.requests) == 0


# --- discovery ----------------------------------------------------------------------------------------------


def test_discovery_is_kept(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    document = side.do(client.get_discovery())
    assert document.issuer == client.issuer_url
    assert document.to_dict()["token_endpoint"] == f"{client.issuer_url}/token"
    assert side.do(client.get_discovery()) == document
    assert len(pymthouse_sandbox.requests) == 1
    side.do(client.get_discovery(force=True))
    assert len(pymthouse_sandbox.requests) == 2


@pytest.mark.parametrize("given", ["{}/", "  {}  ", "{}///"])
def test_slashes_and_blanks_around_the_issuer_do_not_matter(
    side: Side, pymthouse_sandbox: PymtHouseSandbox, given: str
) -> None:
    client = side.client(pymthouse_sandbox, issuer_url=given.format(pymthouse_sandbox.issuer_url))
    assert client.issuer_url == pymthouse_sandbox.issuer_url
    assert client.verify_issuer(f" {client.issuer_url}/ ")
    assert not client.verify_issuer("https://other.example/api/v1/oidc")
    assert side.do(client.get_discovery()).issuer == client.issuer_url
    assert side.do(client.mint_signer_session_for_external_user("alice")).scope == SIGN_JOB_SCOPE


def test_discovery_without_a_client(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    fetch = side.function(discovery, "fetch_discovery_document")
    load = side.function(discovery, "load_authorization_server")
    issuer = client.issuer_url
    document = side.do(fetch(issuer, allow_insecure_http=True))
    assert document == side.do(client.get_discovery())
    pymthouse_sandbox.requests.clear()
    assert side.do(fetch(f"{issuer}/", allow_insecure_http=True)) == document
    whole = side.do(load(issuer, allow_insecure_http=True))
    assert whole.to_dict()["introspection_endpoint"] == f"{issuer}/token/introspection"
    assert len(pymthouse_sandbox.requests) == 0
    side.do(fetch(issuer, allow_insecure_http=True, force=True))
    assert len(pymthouse_sandbox.requests) == 1
    clear_discovery_cache("https://other.example")
    clear_discovery_cache("no address")
    side.do(fetch(issuer, allow_insecure_http=True))
    assert len(pymthouse_sandbox.requests) == 1
    clear_discovery_cache(f" {issuer}/ ")
    side.do(fetch(issuer, allow_insecure_http=True))
    assert len(pymthouse_sandbox.requests) == 2


@pytest.mark.parametrize("name", ["fetch_discovery_document", "load_authorization_server"])
def test_discovery_of_what_is_no_issuer(side: Side, name: str, pymthouse_sandbox: PymtHouseSandbox) -> None:
    function = side.function(discovery, name)
    with pytest.raises(ArgumentError) as caught:
        side.do(function("no address"))
    assert (caught.value.argument, isinstance(caught.value, PmtHouseError)) == ("issuer_url", True)
    with pytest.raises(PmtHouseError) as failed:
        side.do(function(f"{pymthouse_sandbox.url}/elsewhere", allow_insecure_http=True))
    assert (failed.value.code, failed.value.status) == ("oidc_discovery_invalid", 500)


def test_the_issuer_must_name_itself(side: Side, tollkit_sandbox: Sandbox) -> None:
    place = tollkit_sandbox.pymthouse
    client = side.client(place, issuer_url=place.issuer_url.replace("127.0.0.1", "localhost"))
    with pytest.raises(DecodeError, match="issuer") as caught:
        side.do(client.issue_machine_access_token())
    assert caught.value.code == "oidc_discovery_invalid"
    assert place.requests.count(TOKEN) == 0
