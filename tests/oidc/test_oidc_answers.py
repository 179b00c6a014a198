"""The pure parse halves: every way in which an answer can be wrong, and no token in any error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.scripted_http import Reply
from tollkit.errors import (
    DecodeError,
    DeviceFlowError,
    NotFoundError,
    OAuthError,
    RateLimitError,
    ServerError,
    StatusError,
    TollkitError,
)
from tollkit.oidc import answers, requests, urns
from tollkit.oidc.client_auth import ClientSecretPost
from tollkit.secrets import Secret

GOOD: dict[str, Any] = {"access_token": "the-access-token", "token_type": "Bearer"}
PARSERS = [
    answers.parse_tokens,
    answers.parse_token_exchange,
    answers.parse_device_authorization,
    answers.parse_introspection,
    answers.parse_discovery,
    answers.parse_jwks,
    answers.parse_revocation,
]


def test_tokens() -> None:
    body = {
        **GOOD,
        "expires_in": "3600",
        "refresh_token": "the-refresh-token",
        "scope": "a b",
        "issued_token_type": "t",
        "new": {"x": 1},
    }
    tokens = answers.parse_tokens(Reply.json(body))
    assert tokens.access_token == "the-access-token"
    assert (tokens.token_type, tokens.expires_in, tokens.scopes) == ("bearer", 3600, ("a", "b"))
    assert tokens.authorization == "Bearer the-access-token"
    assert tokens.to_dict() == {**body, "token_type": "bearer", "expires_in": 3600}
    for shown in (repr(tokens), repr(tokens.to_dict()), repr(tokens.authorization)):
        assert "the-" not in shown
    assert isinstance(tokens.refresh_token, Secret)
    assert answers.parse_tokens(Reply.json(GOOD)).to_dict() == {**GOOD, "token_type": "bearer"}


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"access_token": None}, "OAUTH_INVALID_RESPONSE", '"access_token" property must be a string'),
        ({"access_token": ""}, "OAUTH_INVALID_RESPONSE", '"access_token" property must not be empty'),
        ({"token_type": 1}, "OAUTH_INVALID_RESPONSE", '"token_type" property must be a string'),
        ({"token_type": ""}, "OAUTH_INVALID_RESPONSE", '"token_type" property must not be empty'),
        ({"expires_in": -1}, "OAUTH_INVALID_RESPONSE", '"expires_in" property must be a non-negative number'),
        ({"expires_in": "-1"}, "OAUTH_INVALID_RESPONSE", '"expires_in" property must be a non-negative number'),
        ({"expires_in": "soon"}, "OAUTH_INVALID_RESPONSE", '"expires_in" property must be a number'),
        ({"expires_in": None}, "OAUTH_INVALID_RESPONSE", '"expires_in" property must be a number'),
        ({"expires_in": True}, "OAUTH_INVALID_RESPONSE", '"expires_in" property must be a number'),
        ({"expires_in": "1e999"}, "OAUTH_INVALID_RESPONSE", '"expires_in" property must be a number'),
        ({"scope": None}, "OAUTH_INVALID_RESPONSE", '"scope" property must be a string'),
        ({"scope": ["a"]}, "OAUTH_INVALID_RESPONSE", '"scope" property must be a string'),
        ({"refresh_token": None}, "OAUTH_INVALID_RESPONSE", '"refresh_token" property must be a string'),
        ({"id_token": ""}, "OAUTH_INVALID_RESPONSE", '"id_token" property must not be empty'),
        ({"token_type": "mac"}, "unexpected_error", "unsupported `token_type` value"),
        ({"token_type": "N_A"}, "unexpected_error", "unsupported `token_type` value"),
        ({"token_type": "DPoP"}, "invalid_token_response", "non-Bearer token_type"),
    ],
)
def test_tokens_that_are_none(changes: dict[str, Any], code: str, message: str) -> None:
    with pytest.raises(DecodeError, match=r"property|token_type") as caught:
        answers.parse_tokens(Reply.json({**GOOD, **changes}))
    assert message in caught.value.message
    assert caught.value.code == code
    assert caught.value.status == (500 if code == "unexpected_error" else 502)
    assert "the-access-token" not in f"{caught.value!r}{caught.value.to_dict()}"


def test_exchange_may_give_what_is_no_access_token() -> None:
    body = {**GOOD, "token_type": "N_A", "issued_token_type": urns.ID_TOKEN_TYPE}
    assert answers.parse_token_exchange(Reply.json(body)).token_type == "n_a"
    with pytest.raises(DecodeError, match="unsupported"):
        answers.parse_token_exchange(Reply.json({**body, "issued_token_type": urns.ACCESS_TOKEN_TYPE}))
    with pytest.raises(DecodeError) as caught:
        answers.parse_token_exchange(Reply.json({**GOOD, "token_type": "dpop"}), issued=(urns.ACCESS_TOKEN_TYPE,))
    assert caught.value.message == "Token exchange returned an unexpected issued_token_type"  # the first thing to see
    assert caught.value.body == {"issued_token_type": None}
    assert (caught.value.code, caught.value.status) == ("invalid_token_response", 502)


@pytest.mark.parametrize(
    ("reply", "kind", "code", "message"),
    [
        (
            Reply(200, {"content-type": "text/html"}, b"<p>"),
            DecodeError,
            "OAUTH_RESPONSE_IS_NOT_JSON",
            "content-type",
        ),
        (
            Reply(200, {"content-type": "application/json"}, b"<p>"),
            DecodeError,
            "OAUTH_PARSE_ERROR",
            "failed to parse",
        ),
        (Reply(200, {"content-type": "application/json"}, b'{"a":NaN}'), DecodeError, "OAUTH_PARSE_ERROR", "failed"),
        (Reply.json([1]), DecodeError, "OAUTH_INVALID_RESPONSE", "top level object"),
        (Reply.json(GOOD, 201), StatusError, "OAUTH_RESPONSE_IS_NOT_CONFORM", "Token Endpoint response (unexpected"),
        (Reply(302, {"location": "/x"}), StatusError, "OAUTH_RESPONSE_IS_NOT_CONFORM", "unexpected HTTP status"),
        (Reply(404, {"content-type": "text/html"}), NotFoundError, "OAUTH_RESPONSE_IS_NOT_JSON", "content-type must"),
        (Reply.json({"nope": 1}, 400), StatusError, "OAUTH_RESPONSE_IS_NOT_CONFORM", "unexpected HTTP status code"),
        (Reply.json({"error": ""}, 400), StatusError, "OAUTH_RESPONSE_IS_NOT_CONFORM", "unexpected HTTP status code"),
        (Reply.json({"error": "server_error"}, 500), ServerError, "OAUTH_RESPONSE_IS_NOT_CONFORM", "unexpected HTTP"),
    ],
)
def test_answers_that_are_none(reply: Reply, kind: type[TollkitError], code: str, message: str) -> None:
    with pytest.raises(kind) as caught:
        answers.parse_tokens(reply)
    assert message in caught.value.message
    assert (caught.value.code, caught.value.status) == (code, 502)
    assert caught.value.context["http_status"] == reply.status_code


def test_busy_gateway_keeps_its_wait() -> None:
    with pytest.raises(RateLimitError) as caught:
        answers.parse_tokens(Reply(429, {"content-type": "text/html", "retry-after": "7"}, b"slow down"))
    assert caught.value.retry_after == 7


def test_oauth_error_keeps_everything() -> None:
    body = {"error": "invalid_grant", "error_description": "used", "error_uri": "https://e", "reason": "x"}
    reply = Reply.json(body, 400, www_authenticate='Basic realm="r"')
    with pytest.raises(OAuthError) as caught:
        answers.parse_tokens(reply)
    error = caught.value
    assert (error.error, error.error_description, error.error_uri) == ("invalid_grant", "used", "https://e")
    assert (error.code, error.status, error.message, error.body) == ("invalid_grant", 400, "used", body)


def test_oauth_error_that_stands_in_the_challenge_alone() -> None:
    challenge = 'Bearer realm="r", error="invalid_token", error_description="expired"'
    with pytest.raises(OAuthError) as caught:
        answers.parse_tokens(Reply(401, {"www-authenticate": challenge}))
    assert (caught.value.error, caught.value.error_description) == ("invalid_token", "expired")


def test_what_a_server_repeats_of_a_request_is_masked() -> None:
    request = requests.token_exchange_request(
        "https://id.example/token", ClientSecretPost("app", "the-client-secret"), "the-subject-token"
    )
    body = {"error": "invalid_request", "error_description": "the-subject-token of the-client-secret is bad"}
    error = answers.read_error(request, Reply.json({**body, "access_token": "another-token"}, 400))
    assert error.message == "**** of **** is bad"
    assert error.details["access_token"] == "****"
    page = Reply(
        502, {"content-type": "text/html"}, b"<p>subject_token=the-subject-token&client_secret=the-client-secret"
    )
    for found in (error, answers.read_error(request, page)):
        assert "the-" not in f"{found!r}{found.to_dict()}"


def test_device_refusals_end_the_flow_but_waiting_does_not() -> None:
    request = requests.device_token_request("https://id.example/token", ClientSecretPost("app", "s"), "code")
    for word in ("authorization_pending", "slow_down"):
        assert type(answers.read_error(request, Reply.json({"error": word}, 400))) is OAuthError
    assert type(answers.read_error(request, Reply.json({"error": "access_denied"}, 400))) is DeviceFlowError


DEVICE = {"device_code": "dc", "user_code": "U", "verification_uri": "https://v", "expires_in": 600}


def test_device_authorization() -> None:
    found = answers.parse_device_authorization(Reply.json({**DEVICE, "expires_in": "600.5", "interval": 2}))
    assert (found.user_code, found.expires_in, found.interval) == ("U", 600.5, 2)
    assert "'dc'" not in repr(found) + repr(found.to_dict())
    assert answers.parse_device_authorization(Reply.json(DEVICE)).to_dict() == DEVICE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device_code": ""}, '"device_code" property must not be empty'),
        ({"user_code": None}, '"user_code" property must be a string'),
        ({"verification_uri": 5}, '"verification_uri" property must be a string'),
        ({"verification_uri_complete": ""}, '"verification_uri_complete" property must not be empty'),
        ({"expires_in": None}, '"expires_in" property must be a number'),
        ({"interval": 0}, '"interval" property must be a positive number'),
        ({"interval": "5"}, '"interval" property must be a number'),
    ],
)
def test_device_authorization_that_is_none(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DecodeError) as caught:
        answers.parse_device_authorization(Reply.json({**DEVICE, **changes}))
    assert caught.value.message == f'"response" body {message}'
    assert "'dc'" not in str(caught.value.to_dict())


def test_introspection() -> None:
    body = {"active": True, "scope": "a b", "exp": 5, "sub": 7, "x": [1]}
    found = answers.parse_introspection(Reply.json(body))
    assert (found.active, found.scopes, found.exp, found.sub) == (True, ("a", "b"), 5, None)
    assert found.to_dict() == body
    with pytest.raises(DecodeError, match="active"):
        answers.parse_introspection(Reply.json({"active": "true"}))


def test_revocation() -> None:
    assert answers.parse_revocation(Reply(200)) is None
    with pytest.raises(OAuthError):
        answers.parse_revocation(Reply.json({"error": "unsupported_token_type"}, 400))


def test_keys() -> None:
    assert answers.parse_jwks(Reply(200, {"content-type": "application/jwk-set+json"}, b'{"keys":[{}]}')) == [{}]
    for body, message in [({}, "must be an array"), ({"keys": [1]}, "must be JWK formatted objects")]:
        with pytest.raises(DecodeError, match=message):
            answers.parse_jwks(Reply.json(body))
    with pytest.raises(DecodeError, match="application/json or application/jwk-set"):
        answers.parse_jwks(Reply(200, {"content-type": "text/plain"}, b"keys"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
members = st.sampled_from(
    [
        *("access_token", "token_type", "expires_in", "scope", "refresh_token", "id_token", "issued_token_type"),
        *("device_code", "user_code", "verification_uri", "verification_uri_complete", "interval"),
        *("issuer", "token_endpoint", "jwks_uri", "scopes_supported", "keys"),
        *("active", "exp", "error", "error_description", "error_uri", "request_id"),
    ]
)
# The first text of a run builds tables for all of Unicode, which is slow on a busy machine.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
bodies = st.binary() | st.dictionaries(members, json_values).map(lambda body: json.dumps(body).encode())


@patient
@given(
    st.sampled_from(PARSERS),
    st.sampled_from([200, 200, 201, 204, 302, 400, 401, 403, 404, 429, 500, 503]),
    st.sampled_from(["application/json", "Application/JSON; charset=utf-8", "text/html", ""]),
    st.sampled_from(["", 'Basic realm="x"', 'Bearer error="invalid_token"', 'x="']),
    bodies,
)
def test_nothing_but_our_errors_comes_out(parse: Any, status: int, kind: str, challenge: str, body: bytes) -> None:
    found: TollkitError | None = None
    try:
        parse(Reply(status, {"content-type": kind, "www-authenticate": challenge}, body))
    except TollkitError as error:
        found = error
    if found is not None:
        assert found.code
        assert found.status
        json.dumps(found.to_dict())


@patient
@given(st.dictionaries(members, json_values))
def test_metadata_takes_whatever_is_optional(body: dict[str, Any]) -> None:
    needed = {"issuer": "https://i", "token_endpoint": "https://i/t", "jwks_uri": "https://i/j"}
    text = json.dumps({**body, **needed})
    found = answers.parse_discovery(Reply(200, {"content-type": "application/json"}, text.encode()))
    assert found.to_dict() == json.loads(text)
    assert all(isinstance(scope, str) for scope in found.scopes_supported)
