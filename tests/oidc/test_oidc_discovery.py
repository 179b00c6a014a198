"""Provider metadata and keys: what is accepted, where requests may go, how long documents are kept."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from support.fake_provider import AUDIENCE, ISSUER, METADATA, FakeProvider, claims, signed
from support.scripted_http import Clock, Reply, Sent
from tollkit.errors import (
    ArgumentError,
    ConnectError,
    DecodeError,
    InsecureTransportError,
    ServerError,
    TokenError,
    TollkitError,
    TransportError,
)
from tollkit.oidc import AsyncOidcClient, Discovery, OidcClient


def client(provider: FakeProvider, issuer: str = ISSUER, **options: Any) -> OidcClient:
    return OidcClient(issuer, "app", http_client=provider.script.client, max_retries=0, **options)


def discover(metadata: Any, issuer: str = ISSUER, **options: Any) -> Any:
    provider = FakeProvider()
    provider.answers["/.well-known/openid-configuration"] = Reply.json(metadata)
    return client(provider, issuer, **options).discover()


def test_metadata_is_frozen_and_whole() -> None:
    metadata = discover({**METADATA, "scopes_supported": ["a", 5], "grant_types_supported": "x", "mtls": {"a": 1}})
    assert (metadata.scopes_supported, metadata.grant_types_supported) == (("a",), ())
    assert metadata.authorization_endpoint is None
    copy = metadata.to_dict()
    assert copy["mtls"] == {"a": 1}
    copy["mtls"]["a"] = 2
    assert metadata.to_dict()["mtls"] == {"a": 1}
    with pytest.raises(AttributeError):
        metadata.issuer = "other"


@pytest.mark.parametrize(
    ("configured", "named", "good"),
    [
        (ISSUER, ISSUER, True),
        (ISSUER + "/", ISSUER, True),
        (ISSUER, ISSUER + "/", True),  # the empty path is "/" (RFC 3986 section 6.2.3)
        ("https://ID.example:443", ISSUER, True),
        (ISSUER + "/realm", ISSUER + "/realm", True),
        (ISSUER + "/realm/", ISSUER + "/realm", True),
        (ISSUER + "/realm/", ISSUER + "/realm/", True),
        (ISSUER + "/realm", ISSUER + "/realm/", False),
        (ISSUER + "/realm", ISSUER + "/Realm", False),
        (ISSUER + "/realm", ISSUER, False),
        (ISSUER, "https://id.example.com", False),
        (ISSUER, "http://id.example", False),
        (ISSUER, "https://id.example:8443", False),
        (ISSUER, "nonsense", False),
        (ISSUER, "https://[", False),
    ],
)
def test_issuer_must_be_the_configured_one(configured: str, named: str, good: bool) -> None:
    provider = FakeProvider()
    answer = Reply.json({**METADATA, "issuer": named})
    provider.answers["/.well-known/openid-configuration"] = answer
    provider.answers["/realm/.well-known/openid-configuration"] = answer
    if good:
        assert client(provider, configured).discover().issuer == named
    else:
        with pytest.raises(DecodeError, match="does not match the expected value") as caught:
            client(provider, configured).discover()
        assert (caught.value.code, caught.value.status) == ("oidc_discovery_invalid", 500)


@pytest.mark.parametrize(
    "issuer", ["", " ", "id.example", "not a url", "https://", "https://u:p@id.example", "https://id.example:x", 5]
)
def test_issuer_that_is_none(issuer: Any) -> None:
    with pytest.raises(ArgumentError, match="issuer"):
        Discovery(issuer)


@pytest.mark.parametrize("origins", ["https://a.example", ["nonsense"]])
def test_origins_that_are_none(origins: Any) -> None:
    with pytest.raises(ArgumentError, match="trusted_origins"):
        Discovery(ISSUER, trusted_origins=origins)


@pytest.mark.parametrize(
    "reply",
    [
        Reply.json({}, 404),
        Reply(200, {"content-type": "text/html"}, b"<p>"),
        Reply(200, {"content-type": "application/json"}, b"nope"),
        Reply.json([]),
        Reply.json({"token_endpoint": "x"}),
        Reply.json({"issuer": ""}),
        Reply.json({**METADATA, "jwks_uri": ""}),
        Reply.json({**METADATA, "token_endpoint": None}),
        Reply.json({"error": "invalid_client"}, 401, www_authenticate='Bearer error="invalid_token"'),
    ],
)
def test_answers_that_are_no_metadata(reply: Reply) -> None:
    provider = FakeProvider()
    provider.answers["/.well-known/openid-configuration"] = reply
    with pytest.raises(TollkitError) as caught:
        client(provider).discover()
    assert (caught.value.code, caught.value.status) == ("oidc_discovery_invalid", 500)


def test_no_answer() -> None:
    provider = FakeProvider()
    provider.answers["/.well-known/openid-configuration"] = httpx.ConnectError("name not known")
    with pytest.raises(ConnectError) as caught:
        client(provider).discover()
    assert (caught.value.code, caught.value.status) == ("oidc_discovery_failed", 502)
    assert caught.value.message == "Failed to load OIDC discovery: name not known"


def test_plain_http() -> None:
    provider = FakeProvider()
    for issuer, allow, message in [
        ("http://id.example", False, "only requests to HTTPS are allowed"),
        ("ftp://id.example", False, "only requests to HTTPS are allowed"),
        ("ftp://id.example", True, "only HTTP and HTTPS requests are allowed"),
    ]:
        with pytest.raises(InsecureTransportError) as caught:
            client(provider, issuer, allow_insecure_http=allow).discover()
        assert caught.value.message == f"Failed to load OIDC discovery: {message}"
        assert (caught.value.code, caught.value.status) == ("oidc_discovery_failed", 502)
    assert provider.script.sent == []


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [
        ("https://elsewhere.example/token", "oidc_discovery_invalid"),
        ("https://id.example:8443/token", "oidc_discovery_invalid"),
        ("https://id.example.evil.example/token", "oidc_discovery_invalid"),
        ("https://id.example@evil.example/token", "OAUTH_INVALID_SERVER_METADATA"),
        ("/token", "OAUTH_INVALID_SERVER_METADATA"),
        ("http://id.example/token", "OAUTH_HTTP_REQUEST_FORBIDDEN"),
    ],
)
def test_no_secret_goes_elsewhere(endpoint: str, code: str) -> None:
    provider = FakeProvider()
    provider.answers["/.well-known/openid-configuration"] = Reply.json({**METADATA, "token_endpoint": endpoint})
    with pytest.raises(TollkitError) as caught:
        client(provider, client_secret="the-secret").client_credentials()
    assert caught.value.code == code
    assert [sent.method for sent in provider.script.sent] == ["GET"]


def test_trusted_origin() -> None:
    provider = FakeProvider()
    metadata = {**METADATA, "jwks_uri": "https://keys.example/jwks", "token_endpoint": f"{ISSUER}/token?tenant=1"}
    provider.answers["/.well-known/openid-configuration"] = Reply.json(metadata)
    provider.answers["https://keys.example/jwks"] = Reply.json({"keys": []})
    provider.answers["/token?tenant=1"] = Reply.json({"access_token": "a", "token_type": "bearer"})
    trusting = client(provider, trusted_origins=["https://KEYS.example:443/"])
    with pytest.raises(TokenError, match="no applicable keys"):
        trusting.verify_access_token(signed(claims(exp=4102444800)), audience=AUDIENCE)
    assert trusting.client_credentials().access_token == "a"


def test_missing_endpoints() -> None:
    provider = FakeProvider()
    short = {name: METADATA[name] for name in ("issuer", "token_endpoint", "jwks_uri")}
    provider.answers["/.well-known/openid-configuration"] = Reply.json(short)
    app = client(provider)
    for call, code in [
        (app.start_device_authorization, "unsupported_grant"),
        (lambda: app.revoke("t"), "OAUTH_MISSING_SERVER_METADATA"),
        (lambda: app.introspect("t"), "OAUTH_MISSING_SERVER_METADATA"),
    ]:
        with pytest.raises(DecodeError) as caught:
            call()
        assert caught.value.code == code


def test_kept_for_five_minutes_from_before_the_request() -> None:
    clock = Clock()
    provider = FakeProvider()
    answer = Reply.json(METADATA)

    def slow(_: Sent) -> Reply:
        clock.now += 10
        return answer

    provider.answers["/.well-known/openid-configuration"] = slow
    app = client(provider, discovery=Discovery(ISSUER, clock=clock))
    first = app.discover()
    clock.now += 289.9
    assert app.discover() is first
    clock.now += 0.2
    assert app.discover() is not first
    app.discovery.clear()
    app.discover()
    assert len(provider.script.sent) == 3


def test_a_failing_provider_is_asked_once_a_minute_and_believed_for_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    provider = FakeProvider()
    app = client(provider, discovery=Discovery(ISSUER, clock=clock))
    first = app.discover()
    for failure in (Reply(503), httpx.ReadTimeout("slow"), Reply(500)):
        provider.answers["/.well-known/openid-configuration"] = failure
        clock.now += 301
        asked = len(provider.script.sent)
        assert app.discover() is first
        assert app.discover() is first
        assert len(provider.script.sent) == asked + 1
    assert "cannot be fetched, the old one is used" in caplog.text
    with pytest.raises(ServerError):
        app.discover(force=True)
    provider.answers["/.well-known/openid-configuration"] = Reply.json(
        {**METADATA, "issuer": "https://other.example"}
    )
    clock.now += 61
    with pytest.raises(DecodeError):  # an answer that is wrong is not a failure to answer
        app.discover()
    provider.answers["/.well-known/openid-configuration"] = Reply(503)
    clock.now += 3600
    with pytest.raises(ServerError):
        app.discover()
    provider.answers["/.well-known/openid-configuration"] = Reply.json(METADATA)
    assert app.discover() == first


def test_fetched_once_for_many_threads() -> None:
    provider = FakeProvider()
    gate = threading.Event()

    def waiting(_: Sent) -> Reply:
        gate.wait(10)
        return Reply.json(METADATA)

    provider.answers["/.well-known/openid-configuration"] = waiting
    app = client(provider)
    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(app.discover) for _ in range(16)]
        gate.set()
        assert len({id(call.result()) for call in calls}) == 1
    assert len(provider.script.sent) == 1


def test_failure_is_told_to_all_and_not_kept() -> None:
    provider = FakeProvider()
    provider.answers["/.well-known/openid-configuration"] = httpx.ReadError("gone")

    async def main() -> list[BaseException]:
        app = AsyncOidcClient(ISSUER, "app", http_client=provider.script.async_client, max_retries=0)
        found = await asyncio.gather(*(app.discover() for _ in range(5)), return_exceptions=True)
        provider.answers["/.well-known/openid-configuration"] = Reply.json(METADATA)
        assert (await app.discover()).issuer == ISSUER
        return found

    errors = asyncio.run(main())
    assert all(isinstance(error, TransportError) for error in errors)
    assert {error.code for error in errors} == {"oidc_discovery_failed"}
    assert len({id(error) for error in errors}) == 5


def test_unknown_key_is_looked_for_once_a_minute() -> None:
    clock = Clock()
    provider = FakeProvider()
    app = client(provider, discovery=Discovery(ISSUER, clock=clock))
    unknown = signed(claims(exp=4102444800), kid="new")
    for wait, asked in [(0, 1), (59, 1), (2, 2), (59, 2), (2, 3)]:
        clock.now += wait
        with pytest.raises(TokenError, match="no applicable keys"):
            app.verify_access_token(unknown, audience=AUDIENCE)
        assert len(provider.asked("/jwks")) == asked


def test_describes_itself() -> None:
    assert repr(Discovery(ISSUER)) == f"Discovery('{ISSUER}')"
    assert repr(OidcClient(ISSUER, "app", "the-secret")) == f"OidcClient(issuer='{ISSUER}', client_id='app')"
    assert OidcClient(ISSUER + "/", "app").issuer == ISSUER
