"""Verification of access tokens: every check, its code, and its place in the order (RFC 9068 section 4)."""

from __future__ import annotations

import base64
import builtins
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from support.fake_provider import AUDIENCE, ISSUER, KEY, NOW, FakeProvider, claims, signed
from support.scripted_http import Reply
from tollkit.errors import ArgumentError, MissingExtraError, TokenError
from tollkit.oidc import OidcClient, OidcFlows
from tollkit.oidc.access_tokens import check_access_token, check_id_token

INVALID = "OAUTH_INVALID_RESPONSE"
TIMES = "OAUTH_JWT_TIMESTAMP_CHECK_FAILED"
COMPARISON = "OAUTH_JWT_CLAIM_COMPARISON_FAILED"
SELECTION = "OAUTH_KEY_SELECTION_FAILED"
REQUEST = "OAUTH_INVALID_REQUEST"
PARSE = "OAUTH_PARSE_ERROR"


def connect(provider: FakeProvider) -> OidcClient:
    client = OidcClient(ISSUER, "app", http_client=provider.script.client, max_retries=0)
    client.flows = OidcFlows(issuer=ISSUER, client_id="app", now=lambda: NOW)
    return client


def verify(token: str, *keys: Any, **options: Any) -> Any:
    provider = FakeProvider()
    if keys:
        documents = [key if isinstance(key, dict) else key.as_dict(private=False) for key in keys]
        provider.answers["/jwks"] = Reply.json({"keys": documents})
    return connect(provider).verify_access_token(token, **{"audience": AUDIENCE, **options})


def refusal(token: str, *keys: Any, **options: Any) -> TokenError:
    with pytest.raises(TokenError) as caught:
        verify(token, *keys, **options)
    return caught.value


def test_good_token() -> None:
    found = verify(signed(claims(aud=["x", AUDIENCE], more={"a": 1})), required_scopes=["write"])
    assert (found.iss, found.sub, found.aud) == (ISSUER, "user-1", ("x", AUDIENCE))
    assert (found.client_id, found.jti, found.scopes) == ("app", "t1", ("read", "write"))
    assert found.expires_at.timestamp() == NOW + 600
    assert found.issued_at.timestamp() == NOW - 10
    assert found.to_dict() == claims(aud=["x", AUDIENCE], more={"a": 1})


PLAIN = RSAKey.generate_key(2048)


@pytest.mark.parametrize(
    ("alg", "key"),
    [(f"{family}{bits}", PLAIN) for family in ("RS", "PS") for bits in (256, 384, 512)]
    + [(f"ES{bits}", ECKey.generate_key(curve)) for bits, curve in [(256, "P-256"), (384, "P-384"), (512, "P-521")]]
    + [("Ed25519", OKPKey.generate_key("Ed25519"))],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_algorithms(alg: str, key: Any) -> None:
    public = key.as_dict(private=False)
    token = signed(claims(), key, alg=alg)
    assert verify(token, public).sub == "user-1"
    assert verify(token, {**public, "key_ops": ["verify"], "use": "sig", "alg": alg}).sub == "user-1"
    unsigned = token.rpartition(".")[0]
    for length in (0, 1, 32, 63, 64, 65, 255, 256, 257, 1000):
        assert refusal(f"{unsigned}.{part(bytes(length))}", public).message == "JWT signature verification failed"
    flipped = token[:-10] + ("A" if token[-10] != "A" else "B") + token[-9:]
    assert refusal(flipped, public).message == "JWT signature verification failed"


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_the_old_name_of_ed25519() -> None:
    key = OKPKey.generate_key("Ed25519")
    assert verify(signed(claims(), key, alg="EdDSA"), key).sub == "user-1"


def part(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def forged(header: Any, payload: Any, signature: str = "AAAA") -> str:
    return f"{part(header)}.{part(payload)}.{signature}"


HEADER = {"alg": "RS256", "typ": "at+jwt", "kid": "k1"}


@pytest.mark.parametrize(
    ("token", "code", "message"),
    [
        ("", REQUEST, "invalid Authorization HTTP Header format"),
        ("a b.c.d", REQUEST, "invalid Authorization HTTP Header format"),
        ("abc", INVALID, "Invalid JWT"),
        ("a.b.c.d", INVALID, "Invalid JWT"),
        ("a.b.c.d.e", "unexpected_error", "JWE decryption is not configured"),
        ("a.b.c", PARSE, "failed to parse JWT Header body as base64url encoded JSON"),
        ("\xe9.b.c", PARSE, "failed to parse JWT Header body as base64url encoded JSON"),
        (f"{part(b'[')}.b.c", PARSE, "failed to parse JWT Header body as base64url encoded JSON"),
        (forged([], {}), INVALID, "JWT Header must be a top level object"),
        (forged({**HEADER, "alg": "none"}, claims()), INVALID, 'unexpected JWT "alg" header parameter'),
        (forged({**HEADER, "alg": "HS256"}, claims()), INVALID, 'unexpected JWT "alg" header parameter'),
        (forged({**HEADER, "alg": "RS1"}, claims()), INVALID, 'unexpected JWT "alg" header parameter'),
        (forged({**HEADER, "alg": ["RS256"]}, claims()), INVALID, 'unexpected JWT "alg" header parameter'),
        (forged({"typ": "at+jwt"}, claims()), INVALID, 'unexpected JWT "alg" header parameter'),
        (
            forged({**HEADER, "crit": ["x"]}, claims()),
            "unexpected_error",
            'no JWT "crit" header parameter extensions are supported',
        ),
        (forged(HEADER, b"nope"), PARSE, "failed to parse JWT Payload body as base64url encoded JSON"),
        (forged(HEADER, b'{"exp":NaN}'), PARSE, "failed to parse JWT Payload body as base64url encoded JSON"),
        (forged(HEADER, b"\xff"), PARSE, "failed to parse JWT Payload body as base64url encoded JSON"),
        (forged(HEADER, b"[" * 100_000), PARSE, "failed to parse JWT Payload body as base64url encoded JSON"),
        (forged(HEADER, "text"), INVALID, "JWT Payload must be a top level object"),
        (forged(HEADER, claims(exp=True)), INVALID, 'unexpected JWT "exp" (expiration time) claim type'),
        (forged(HEADER, claims(exp=None)), INVALID, 'unexpected JWT "exp" (expiration time) claim type'),
        (
            forged(HEADER, claims(exp=NOW - 30)),
            TIMES,
            'unexpected JWT "exp" (expiration time) claim value, expiration is past current timestamp',
        ),
        (forged(HEADER, claims(iat="now")), INVALID, 'unexpected JWT "iat" (issued at) claim type'),
        (forged(HEADER, claims(iss=5)), INVALID, 'unexpected JWT "iss" (issuer) claim type'),
        (forged(HEADER, claims(nbf="now")), INVALID, 'unexpected JWT "nbf" (not before) claim type'),
        (forged(HEADER, claims(nbf=NOW + 31)), TIMES, 'unexpected JWT "nbf" (not before) claim value'),
        (forged(HEADER, claims(aud={})), INVALID, 'unexpected JWT "aud" (audience) claim type'),
        (forged({**HEADER, "typ": "JWT"}, claims()), INVALID, 'unexpected JWT "typ" header parameter value'),
        (forged({"alg": "RS256"}, claims()), INVALID, 'unexpected JWT "typ" header parameter value'),
        (forged({**HEADER, "typ": 5}, claims()), INVALID, 'unexpected JWT "typ" header parameter value'),
        (forged(HEADER, claims(iss=...)), INVALID, 'JWT "iss" (issuer) claim missing'),
        (forged(HEADER, claims(exp=...)), INVALID, 'JWT "exp" (expiration time) claim missing'),
        (forged(HEADER, claims(aud=...)), INVALID, 'JWT "aud" (audience) claim missing'),
        (forged(HEADER, claims(sub=...)), INVALID, 'JWT "sub" (subject) claim missing'),
        (forged(HEADER, claims(iat=...)), INVALID, 'JWT "iat" (issued at) claim missing'),
        (forged(HEADER, claims(jti=...)), INVALID, 'JWT "jti" (jwt id) claim missing'),
        (forged(HEADER, claims(client_id=...)), INVALID, 'JWT "client_id" (client id) claim missing'),
        (forged(HEADER, claims(iss=ISSUER + "/")), COMPARISON, 'unexpected JWT "iss" (issuer) claim value'),
        (forged(HEADER, claims(aud="x")), COMPARISON, 'unexpected JWT "aud" (audience) claim value'),
        (forged(HEADER, claims(aud=[])), COMPARISON, 'unexpected JWT "aud" (audience) claim value'),
        (forged(HEADER, claims(client_id=5)), REQUEST, 'unexpected JWT "client_id" claim type'),
        (forged(HEADER, claims(jti=None)), REQUEST, 'unexpected JWT "jti" claim type'),
        (forged(HEADER, claims(sub=["u"])), REQUEST, 'unexpected JWT "sub" claim type'),
        (forged(HEADER, claims(cnf="x")), REQUEST, 'unexpected JWT "cnf" (confirmation) claim value'),
        (
            forged(HEADER, claims(cnf={"x5t#S256": "x"})),
            "unexpected_error",
            "unsupported JWT Confirmation method",
        ),
        (
            forged(HEADER, claims(cnf={"jkt": "x", "kid": "y"})),
            "unexpected_error",
            "multiple confirmation claims are not supported",
        ),
        (
            forged({**HEADER, "kid": "other"}, claims()),
            SELECTION,
            "error when selecting a JWT verification key, no applicable keys found",
        ),
        (
            forged({**HEADER, "kid": None}, claims()),
            SELECTION,
            "error when selecting a JWT verification key, no applicable keys found",
        ),
        (
            forged({**HEADER, "kid": ["k1"]}, claims()),
            SELECTION,
            "error when selecting a JWT verification key, no applicable keys found",
        ),
        (forged(HEADER, claims()), INVALID, "JWT signature verification failed"),
        (forged(HEADER, claims(), "%%%"), INVALID, "JWT signature verification failed"),
        (forged(HEADER, claims(), ""), INVALID, "JWT signature verification failed"),
        (
            signed(claims(cnf={"jkt": "x"})),
            INVALID,
            "operation indicated DPoP use but the request has no DPoP HTTP Header",
        ),
    ],
)
def test_refused(token: str, code: str, message: str) -> None:
    error = refusal(token)
    assert (error.code, error.message) == (code, message)
    assert error.status == (500 if code == "unexpected_error" else 502)
    assert not token or token not in f"{error!r}{error.to_dict()}"


def test_real_jwe_is_refused() -> None:
    key = OctKey.generate_key(256)
    token = jwe.encrypt_compact({"alg": "dir", "enc": "A256GCM"}, json.dumps(claims()).encode(), key)
    assert refusal(token).message == "JWE decryption is not configured"


def test_within_the_leeway() -> None:
    verify(signed(claims(exp=NOW - 29, nbf=NOW + 30, iat=NOW + 10_000, cnf={})))
    assert refusal(signed(claims(exp=NOW)), leeway=0).code == TIMES


def test_types() -> None:
    verify(signed(claims(), typ="Application/AT+JWT"))
    old = signed(claims(), typ="JWT")
    assert verify(old, accept_typ=("JWT",)).sub == "user-1"
    assert verify(signed(claims(), typ="at+jwt"), accept_typ=("JWT",)).sub == "user-1"
    assert refusal(signed(claims(), typ="dpop+jwt"), accept_typ=("JWT",)).code == INVALID


def test_audiences() -> None:
    token = signed(claims())
    assert verify(token, audience=["https://other.example", AUDIENCE]).sub == "user-1"
    for nothing in ("", [], [AUDIENCE, ""]):
        with pytest.raises(ArgumentError):
            verify(token, audience=nothing)


def test_scopes() -> None:
    error = refusal(signed(claims()), required_scopes=["read", "admin", "more"])
    assert (error.message, error.code, error.status) == ("Missing required scope: admin", "insufficient_scope", 403)
    token = signed(claims(scope=..., scp=["read", 5, "read"]))
    assert refusal(token, required_scopes=["read"]).code == "insufficient_scope"
    assert verify(token, required_scopes=["read"], read_scp=True).scopes == ("read",)
    assert verify(signed(claims(scope="a", scp="b c")), read_scp=True).scopes == ("a", "b", "c")
    assert verify(signed(claims(scope=["a"]))).scopes == ()


def test_key_without_name() -> None:
    token = signed(claims(), kid=...)
    other = RSAKey.generate_key(2048)
    assert verify(token, KEY).sub == "user-1"
    error = refusal(token, KEY, other)
    assert error.code == SELECTION
    assert "multiple applicable keys found" in error.message
    for unfit in ({"use": "enc"}, {"alg": "RS512"}, {"key_ops": ["sign"]}, {"kty": "oct"}):
        assert verify(token, KEY, {**other.as_dict(private=False), **unfit}).sub == "user-1"


@pytest.mark.filterwarnings("ignore:Key size should be")
def test_keys_that_cannot_be_used() -> None:
    small = RSAKey.generate_key(1024, {"kid": "k1"})
    assert refusal(signed(claims(), small), small).code == "unexpected_error"
    broken = [{"n": 5}, {"n": "!"}, {"e": None}]
    for change in broken:
        error = refusal(signed(claims()), {**KEY.as_dict(private=False), **change})
        assert error.code in (SELECTION, "unexpected_error")
    curve = ECKey.generate_key("P-256", {"kid": "k1"}).as_dict(private=False)
    assert refusal(signed(claims(), alg="RS256"), curve).code == SELECTION
    assert refusal(forged({**HEADER, "alg": "ES256"}, claims()), {**curve, "x": "AAAA"}).code == SELECTION


def test_garbage_never_reaches_the_keys() -> None:
    provider = FakeProvider()
    client = connect(provider)
    for token in ("garbage", forged({**HEADER, "typ": "JWT"}, claims()), forged(HEADER, claims(exp=1))):
        with pytest.raises(TokenError):
            client.verify_access_token(token, audience=AUDIENCE)
    assert provider.asked("/jwks") == []
    assert len(provider.asked("/.well-known/openid-configuration")) == 1


def test_parsed_keys_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = FakeProvider()
    client = connect(provider)
    client.verify_access_token(signed(claims()), audience=AUDIENCE)
    monkeypatch.setattr("joserfc.jwk.import_key", lambda *_: pytest.fail("parsed again"))
    client.verify_access_token(signed(claims(jti="t2")), audience=AUDIENCE)


def test_without_joserfc(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith("joserfc"):
            raise ImportError(name)
        return real(name, *rest)

    token = signed(claims())
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtraError, match=r"JWT verification needs .*tollkit\[oidc\]"):
        verify(token, KEY.as_dict(private=False))
    assert refusal(token[:-4], audience="x").code == COMPARISON  # what needs no key is told without it


def test_id_token_claims() -> None:
    def check(**changes: Any) -> Any:
        good = {"iss": ISSUER, "aud": "app", "sub": "u", "iat": NOW, "exp": NOW + 5}
        payload = {name: value for name, value in {**good, **changes}.items() if value is not ...}
        token = forged({"alg": "RS256"}, payload)
        return check_id_token(token, issuer=ISSUER, client_id="app", algorithms=(), now=NOW)

    assert check()["sub"] == "u"
    assert check(aud=["app", "x"], azp="app")["azp"] == "app"
    for changes, code in [
        ({"sub": ...}, INVALID),
        ({"aud": "x"}, COMPARISON),
        ({"iss": "x"}, COMPARISON),
        ({"exp": 1}, TIMES),
        ({"aud": ["app", "x"]}, COMPARISON),
        ({"aud": ["app", "x"], "azp": "x"}, COMPARISON),
    ]:
        with pytest.raises(TokenError) as caught:
            check(**changes)
        assert caught.value.code == code
    with pytest.raises(TokenError, match="alg"):
        check_id_token(forged({"alg": "ES256"}, {}), issuer=ISSUER, client_id="app", algorithms=(), now=NOW)


def test_id_token_of_a_login_is_checked() -> None:
    id_token = forged({"alg": "RS256"}, {"iss": ISSUER, "aud": "other", "sub": "u", "iat": NOW, "exp": NOW + 5})
    answer = Reply.json({"access_token": "at", "token_type": "Bearer", "id_token": id_token})
    with pytest.raises(TokenError) as caught:
        connect(FakeProvider(token=answer)).refresh("a-refresh-token")
    assert caught.value.code == COMPARISON


values = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=3), max_size=2)
names = st.sampled_from(sorted({*HEADER, *claims(), "nbf", "cnf", "scp", "crit"}))
documents = st.dictionaries(names, values)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents, documents, st.text(max_size=8))
@example({}, {"exp": 10**400}, "")
@example({}, {"nbf": -(10**400)}, "")
def test_only_token_errors_come_out(header: dict[str, Any], changes: dict[str, Any], signature: str) -> None:
    token = forged({**HEADER, **header}, {**claims(), **changes}, signature)
    with pytest.raises(TokenError):
        check_access_token(token, issuer=ISSUER, audience=AUDIENCE, now=NOW).check_signature(None)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text())
def test_any_text_is_refused(token: str) -> None:
    with pytest.raises(TokenError):
        check_access_token(token, issuer=ISSUER, audience=AUDIENCE, now=NOW)
