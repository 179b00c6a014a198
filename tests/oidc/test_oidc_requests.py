"""The pure request halves: order of the form, client authentication, what is refused."""

from __future__ import annotations

import base64
from urllib.parse import parse_qsl, unquote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tollkit.errors import ArgumentError
from tollkit.oidc import requests, urns
from tollkit.oidc.client_auth import ClientSecretBasic, ClientSecretPost, PublicClient, client_auth

TOKEN = "https://id.example/token"
BASIC = ClientSecretBasic("app", "s3cret-of-the-app")
PUBLIC = PublicClient("app")


def fields(request: requests.Request) -> list[tuple[str, str]]:
    return parse_qsl((request.content or b"").decode())


def test_every_parameter_of_an_exchange_in_order() -> None:
    request = requests.token_exchange_request(
        TOKEN,
        BASIC,
        "subject",
        subject_token_type=urns.JWT_TYPE,
        actor_token="actor",
        actor_token_type=urns.ID_TOKEN_TYPE,
        requested_token_type=urns.ACCESS_TOKEN_TYPE,
        resource=["https://a.example", "https://b.example"],
        audience=["a", "b"],
        scope="read write",
        extra={"caps": ["x", "y"], "grant_type": "ignored"},
    )
    assert fields(request) == [
        ("subject_token", "subject"),
        ("subject_token_type", urns.JWT_TYPE),
        ("actor_token", "actor"),
        ("actor_token_type", urns.ID_TOKEN_TYPE),
        ("requested_token_type", urns.ACCESS_TOKEN_TYPE),
        ("resource", "https://a.example"),
        ("resource", "https://b.example"),
        ("audience", "a"),
        ("audience", "b"),
        ("scope", "read write"),
        ("caps", "x"),
        ("caps", "y"),
        ("grant_type", urns.TOKEN_EXCHANGE_GRANT),
    ]
    assert request.url == TOKEN
    assert not request.operation.idempotent
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded;charset=UTF-8"
    assert request.headers["Accept"] == "application/json"


def test_the_other_forms() -> None:
    assert requests.client_credentials_request(TOKEN, BASIC, scope="a b").content == (
        b"scope=a+b&grant_type=client_credentials"
    )
    assert requests.client_credentials_request(TOKEN, BASIC, scope="").content == (
        b"scope=&grant_type=client_credentials"
    )
    assert requests.refresh_request(TOKEN, PUBLIC, "r", scope="a").content == (
        b"refresh_token=r&scope=a&grant_type=refresh_token&client_id=app"
    )
    assert requests.device_token_request(TOKEN, PUBLIC, "dc").content == (
        b"device_code=dc&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&client_id=app"
    )
    assert requests.device_authorization_request(TOKEN, PUBLIC, scope="s", extra={"x": "1"}).content == (
        b"scope=s&x=1&client_id=app"
    )
    assert requests.revocation_request(TOKEN, PUBLIC, "t").content == b"token=t&client_id=app"
    assert requests.introspection_request(TOKEN, BASIC, "t", token_type_hint="access_token").content == (
        b"token=t&token_type_hint=access_token"
    )
    assert requests.revocation_request(TOKEN, PUBLIC, "t").operation.idempotent


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(str.strip)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(words, words)
def test_basic_is_form_encoded_as_the_rfc_says(client_id: str, secret: str) -> None:
    header = ClientSecretBasic(client_id, secret).headers()["Authorization"]
    user, _, password = base64.b64decode(header.removeprefix("Basic ")).decode("ascii").partition(":")
    assert (unquote_plus(user), unquote_plus(password)) == (client_id, secret)


def test_client_authentication() -> None:
    assert BASIC.headers() == {"Authorization": "Basic " + base64.b64encode(b"app:s3cret-of-the-app").decode()}
    raw = ClientSecretBasic("a:b", "c/d%e", raw=True)
    assert raw.headers() == {"Authorization": "Basic " + base64.b64encode(b"a:b:c/d%e").decode()}
    post = requests.client_credentials_request(TOKEN, ClientSecretPost("app", "a&b=c"))
    assert fields(post)[-2:] == [("client_id", "app"), ("client_secret", "a&b=c")]
    assert "Authorization" not in post.headers


def test_method_by_name() -> None:
    assert client_auth("app") == PUBLIC
    assert client_auth("app", "s") == ClientSecretBasic("app", "s")
    assert client_auth("app", "s", "client_secret_post") == ClientSecretPost("app", "s")
    assert client_auth("app", "s", "none") == PUBLIC
    assert client_auth("app", None, BASIC) is BASIC
    for arguments in [("app", None, "client_secret_post"), ("app", "s", "private_key_jwt"), ("", "s"), ("app", "")]:
        with pytest.raises(ArgumentError):
            client_auth(*arguments)  # type: ignore[arg-type]


def test_refused_before_anything_is_sent() -> None:
    with pytest.raises(ArgumentError, match="subject_token"):
        requests.token_exchange_request(TOKEN, BASIC, " ")
    with pytest.raises(ArgumentError, match="actor_token_type"):
        requests.token_exchange_request(TOKEN, BASIC, "s", actor_token="a")
    with pytest.raises(ArgumentError, match="actor_token_type"):
        requests.token_exchange_request(TOKEN, BASIC, "s", actor_token_type=urns.JWT_TYPE)
    with pytest.raises(ArgumentError, match="refresh_token"):
        requests.refresh_request(TOKEN, BASIC, "line\nbreak")
    with pytest.raises(ArgumentError, match="scope"):
        requests.client_credentials_request(TOKEN, BASIC, scope="\ud800")


def test_nothing_shows_a_secret() -> None:
    shown = repr([BASIC, ClientSecretPost("app", "s3cret-of-the-app")])
    shown += repr(requests.client_credentials_request(TOKEN, ClientSecretPost("app", "s3cret-of-the-app")))
    shown += repr(requests.device_token_request(TOKEN, BASIC, "the-device-code"))
    assert "s3cret" not in shown
    assert "the-device-code" not in shown


def test_an_empty_scope_is_sent_where_it_asks_for_none() -> None:
    """Sheet of PymtHouse's client, section 7: `issueMachineAccessToken("")` sends an empty `scope`."""
    auth = ClientSecretPost("id", "s3cret")
    request = requests.client_credentials_request("https://issuer.example/token", auth, scope="")
    assert request.content is not None
    assert request.content.startswith(b"scope=&grant_type=client_credentials")
    exchange = requests.refresh_request("https://issuer.example/token", auth, "token", scope="")
    assert exchange.content is not None
    assert b"scope" not in exchange.content
