"""What the OIDC routes do beyond the recordings: the cases that the fact sheets tell, and the life of tokens."""

from __future__ import annotations

import base64

import httpx
import pytest
from sandbox_caller import ACCESS_TOKEN, DEVICE, EXCHANGE, Caller

from tollkit.sandbox import PymtHouseSandbox, Sandbox

TOKEN = "/api/v1/oidc/token"


def error(answer: httpx.Response) -> tuple[int, str, str]:
    body = answer.json()
    return answer.status_code, body["error"], body["error_description"]


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def test_client_authentication_that_is_none(caller: Caller) -> None:
    form = {"grant_type": "client_credentials"}
    format_error = (400, "invalid_request", "invalid authorization header value format")
    for header in ("Bearer x", "Basic", "Basic %%%", f"Basic {base64.b64encode(b'no-colon').decode()}"):
        assert error(caller.http.post(TOKEN, data=form, headers={"Authorization": header})) == format_error
    assert error(caller.http.post(TOKEN, data=form, headers=basic("id%:secret"))) == (
        400,
        "invalid_request",
        "client_id and client_secret in the authorization header are not properly encoded",
    )
    assert error(caller.token(**form, client_secret="x")) == (
        400,
        "invalid_request",
        "client authentication must only be provided using one mechanism",
    )


def test_forms_that_are_wrong(caller: Caller) -> None:
    assert error(caller.token(scope="sign:job"))[1:] == (
        "invalid_request",
        "missing required parameter 'grant_type'",
    )
    twice = caller.http.post(
        TOKEN,
        content="grant_type=client_credentials&grant_type=client_credentials",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        auth=caller.auth,
    )
    assert error(twice)[1:] == ("invalid_request", "'grant_type' parameter must not be provided twice")
    public = caller.platform.public_client_id
    not_allowed = ("invalid_request", "requested grant type is not allowed for this client")
    assert error(caller.token(signed=False, grant_type="client_credentials", client_id=public))[1:] == not_allowed
    for grant, missing in (("refresh_token", "refresh_token"), ("authorization_code", "code")):
        answer = caller.token(signed=False, grant_type=grant, client_id=public)
        assert error(answer)[1:] == ("invalid_request", f"missing required parameter '{missing}'")
    used = caller.token(signed=False, grant_type="authorization_code", client_id=public, code="x")
    assert error(used)[1:] == ("invalid_grant", "grant request is invalid")


def test_exchange_under_an_upper_case_content_type_is_an_unknown_grant(caller: Caller) -> None:
    answer = caller.http.post(
        TOKEN,
        content=f"grant_type={EXCHANGE}",
        headers={"Content-Type": "APPLICATION/X-WWW-FORM-URLENCODED"},
        auth=caller.auth,
    )
    assert error(answer)[1] == "unsupported_grant_type"


def test_exchange_checks_the_subject(caller: Caller, platform: PymtHouseSandbox, sandbox: Sandbox) -> None:
    platform.seed_user("alice")
    issuer, app = platform._issuer, platform.public_client_id
    unknown = issuer.access_token("11111111-2222-4333-8444-555555555555", app, ["sign:job"])
    assert error(caller.exchange(unknown))[1:] == (
        "invalid_grant",
        "subject_token sub does not map to an app user or end user for this developer app",
    )
    assert issuer.verify(issuer._sign({"exp": "soon"}, typ=None)) is None
    assert error(caller.exchange(issuer.access_token("x", "", ["sign:job"])))[1:] == (
        "invalid_grant",
        "subject_token must include client_id or azp",
    )
    sandbox.clock.freeze()
    fresh = caller.mint().json()["access_token"]
    sandbox.clock.advance(-10)
    assert error(caller.exchange(fresh))[1] == "invalid_grant", "not valid yet: there is no leeway"
    sandbox.clock.advance(10 + 899)
    assert caller.exchange(fresh).status_code == 200
    sandbox.clock.advance(2)
    assert error(caller.exchange(fresh))[1] == "invalid_grant"


def test_exchange_for_an_app_that_is_billed_as_a_whole(caller: Caller, platform: PymtHouseSandbox) -> None:
    app = platform.create_app("B", billing="app_level")
    caller.auth = (app.m2m_client_id, app.m2m_client_secret)
    assert error(caller.exchange("x")) == (
        400,
        "invalid_request",
        "Programmatic user tokens require the users:token scope on the OAuth client",
    )


def test_blank_parameters_of_an_exchange_count_as_absent(caller: Caller, platform: PymtHouseSandbox) -> None:
    platform.seed_user("alice")
    fresh = caller.mint().json()["access_token"]
    answer = caller.exchange(fresh, requested_token_type=" ", resource=" ", audience=" ")
    assert answer.status_code == 200
    padded = caller.token(grant_type=EXCHANGE, subject_token=fresh, subject_token_type=f" {ACCESS_TOKEN} ")
    assert padded.status_code == 200


def test_basic_halves_that_do_not_decode_are_taken_as_they_stand(caller: Caller, platform: PymtHouseSandbox) -> None:
    app = platform.create_app("Odd secret")
    app.m2m_client_secret = "100%"
    answer = caller.http.get(
        f"/api/v1/apps/{app.public_client_id}", headers=basic(f"{app.m2m_client_id}:{app.m2m_client_secret}")
    )
    assert answer.json()["name"] == "Odd secret"


def test_approval_of_a_device_in_every_state(caller: Caller, platform: PymtHouseSandbox) -> None:
    platform.seed_user("alice")
    fresh = caller.mint().json()["access_token"]

    def approve(user_code: str, **form: str) -> httpx.Response:
        return caller.exchange(fresh, resource=f"urn:pmth:device_code:{user_code}", **form)

    started = caller.start_device()
    platform.deny_device(started["user_code"])
    assert error(approve(started["user_code"]))[1:] == ("invalid_grant", "Device code already used")
    started = caller.start_device()
    assert error(approve(started["user_code"], audience="https://other.example"))[1:] == (
        "invalid_target",
        "Invalid audience for token exchange",
    )
    platform.approve_device(started["user_code"], "alice")
    device_token = caller.poll(started["device_code"]).json()["access_token"]
    again = caller.start_device()
    of_device = caller.exchange(device_token, resource=f"urn:pmth:device_code:{again['user_code']}")
    assert error(of_device)[1:] == ("invalid_grant", "Invalid subject token"), "an end user's id is no app user's"
    assert (
        error(
            caller.token(
                signed=False,
                grant_type=EXCHANGE,
                subject_token_type=ACCESS_TOKEN,
                subject_token="x",
                resource="urn:pmth:device_code:X",
            )
        )[1]
        == "invalid_client"
    )


def test_device_tokens_without_openid(caller: Caller, platform: PymtHouseSandbox) -> None:
    started = caller.start_device("")
    platform.approve_device(started["user_code"])
    tokens = caller.poll(started["device_code"]).json()
    assert list(tokens) == ["access_token", "expires_in", "refresh_token", "token_type"]


def test_a_confidential_client_with_fewer_scopes(caller: Caller, platform: PymtHouseSandbox) -> None:
    platform.seed_user("alice")
    fresh = caller.mint().json()["access_token"]
    device = caller.start_device()
    approval = {"resource": f"urn:pmth:device_code:{device['user_code']}"}
    platform.configure_app(m2m_scopes=["device:approve"])
    assert error(caller.exchange(fresh))[1:] == ("invalid_scope", "Requires users:token on the confidential client")
    assert error(caller.mint())[:2] == (403, "invalid_scope")
    assert caller.exchange(fresh, **approval).status_code == 200
    platform.configure_app(m2m_scopes=["users:write"])
    assert error(caller.exchange(fresh, **approval))[1:] == (
        "invalid_scope",
        "Missing required scope for device approval token exchange",
    )


def test_a_device_code_lives_ten_minutes(caller: Caller, sandbox: Sandbox) -> None:
    sandbox.clock.freeze()
    started = caller.start_device()
    sandbox.clock.advance(599)
    assert caller.poll(started["device_code"]).json()["error"] == "authorization_pending"
    sandbox.clock.advance(2)
    assert caller.poll(started["device_code"]).json()["error"] == "expired_token"


def test_refresh_tokens(caller: Caller, platform: PymtHouseSandbox, sandbox: Sandbox) -> None:
    def login() -> str:
        started = caller.start_device()
        platform.approve_device(started["user_code"])
        return caller.poll(started["device_code"]).json()["refresh_token"]

    def refresh(token: str, client_id: str = platform.public_client_id) -> httpx.Response:
        return caller.token(signed=False, grant_type="refresh_token", refresh_token=token, client_id=client_id)

    first = login()
    other = platform.create_app("Other")
    assert error(refresh(first, other.public_client_id))[1] == "invalid_grant"
    second = refresh(first).json()["refresh_token"]
    assert second != first
    assert platform.revoke_refresh_tokens() == 2
    assert error(refresh(second))[1] == "invalid_grant"
    old = login()
    sandbox.clock.advance(31 * 86_400)
    assert error(refresh(old))[1] == "invalid_grant"


def test_device_authorization_takes_public_clients_only(caller: Caller) -> None:
    answer = caller.http.post("/api/v1/oidc/device/auth", data={"scope": "openid"}, auth=caller.auth)
    assert error(answer) == (401, "invalid_client", "client authentication failed")
    assert answer.headers["www-authenticate"].startswith("Basic realm=")


def test_introspection_and_revocation_of_opaque_tokens(caller: Caller, platform: PymtHouseSandbox) -> None:
    started = caller.start_device()
    platform.approve_device(started["user_code"])
    token = caller.poll(started["device_code"]).json()["refresh_token"]
    public = {"client_id": platform.public_client_id}

    def introspect(text: str) -> dict[str, object]:
        return caller.http.post("/api/v1/oidc/token/introspection", data={"token": text}, auth=caller.auth).json()

    assert introspect(token)["active"] is True
    assert introspect(token)["scope"] == "openid sign:job"
    assert introspect("x") == {"active": False}
    assert introspect("")["error_description"] == "missing required parameter 'token'"
    revoked = caller.http.post("/api/v1/oidc/token/revocation", data={"token": token, **public})
    assert (revoked.status_code, revoked.content) == (200, b"")
    assert introspect(token) == {"active": False}
    assert caller.http.post("/api/v1/oidc/token/revocation", data={"token": "x", **public}).status_code == 200


def test_authorization_requests(caller: Caller, platform: PymtHouseSandbox) -> None:
    def ask(**query: str) -> httpx.Response:
        return caller.http.get("/api/v1/oidc/authorize", params=query)

    known = {"client_id": platform.public_client_id, "redirect_uri": "http://localhost:3000/callback"}
    assert error(ask(client_id="nobody"))[:2] == (400, "invalid_client")
    assert error(ask(client_id=platform.public_client_id))[:2] == (400, "invalid_redirect_uri")
    answer = ask(**known, code_challenge="x", code_challenge_method="S256", state="a b")
    location = httpx.URL(answer.headers["location"])
    assert answer.status_code == 303
    assert location.params["error"] == "temporarily_unavailable"
    assert location.params["state"] == "a b"
    platform.configure_app(redirect_uris=["https://app.example/back"])
    assert error(ask(**known))[1] == "invalid_redirect_uri"


def test_sessions_end_and_are_revoked(caller: Caller, platform: PymtHouseSandbox, sandbox: Sandbox) -> None:
    platform.seed_user("alice")
    session = caller.exchange(caller.mint().json()["access_token"]).json()["access_token"]

    def signs() -> int:
        return caller.http.post(
            "/api/signer/sign-byoc-job", headers={"Authorization": f"Bearer {session}"}
        ).status_code

    assert signs() == 503
    sandbox.clock.advance(7_776_000)
    assert signs() == 401
    sandbox.clock.advance(-7_776_000)
    assert signs() == 503
    assert platform.revoke_sessions() == 1
    assert platform.sessions == []
    assert signs() == 401


def test_at_most_five_keys_are_published(platform: PymtHouseSandbox, caller: Caller) -> None:
    kids = [platform.rotate_keys() for _ in range(6)]
    published = [key["kid"] for key in caller.http.get("/api/v1/oidc/jwks").json()["keys"]]
    assert published == kids[:-6:-1]


@pytest.mark.parametrize("grant", ["client_credentials", DEVICE, EXCHANGE])
def test_answers_of_the_token_endpoint_are_not_to_be_stored(
    caller: Caller, platform: PymtHouseSandbox, grant: str
) -> None:
    platform.seed_user("alice")
    started = caller.start_device()
    platform.approve_device(started["user_code"])
    answers = {
        "client_credentials": lambda: caller.token(grant_type="client_credentials"),
        DEVICE: lambda: caller.poll(started["device_code"]),
        EXCHANGE: lambda: caller.exchange(caller.mint().json()["access_token"]),
    }
    answer = answers[grant]()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
