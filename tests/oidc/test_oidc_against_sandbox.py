"""The clients over real connections: a platform of the sandbox as the provider, in order and out of order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.oidc_kinds import AsyncKind, BlockingKind
from tollkit.errors import DecodeError, DeviceFlowError, OAuthError, ServerError, TokenError, TransportError
from tollkit.oidc import ClientSecretBasic, urns
from tollkit.sandbox import Fault, PymtHouseSandbox, Sandbox


@pytest.fixture(scope="module")
def _sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_sandbox: Sandbox) -> Sandbox:
    _sandbox.reset()
    return _sandbox


@pytest.fixture
def platform(sandbox: Sandbox) -> PymtHouseSandbox:
    return sandbox.pymthouse


@pytest.fixture(params=[BlockingKind, AsyncKind], ids=["blocking", "async"])
def connect(request: pytest.FixtureRequest, platform: PymtHouseSandbox) -> Any:
    made: list[Any] = []

    def connect(client_id: str, secret: str | None = None, **options: Any) -> Any:
        made.append(request.param(platform.issuer_url, client_id, secret, **{"max_retries": 0, **options}))
        return made[-1]

    yield connect
    for client in made:
        client.close()


@pytest.fixture
def machine(connect: Any, platform: PymtHouseSandbox) -> Any:
    return connect(platform.m2m_client_id, platform.m2m_client_secret)


@pytest.fixture
def device(connect: Any, platform: PymtHouseSandbox) -> Any:
    return connect(platform.public_client_id)


def login(device: Any, platform: PymtHouseSandbox) -> Any:
    return device.device_login(lambda code: platform.approve_device(code.user_code), scope="sign:job")


def test_from_login_to_exchange(device: Any, machine: Any, platform: PymtHouseSandbox) -> None:
    tokens = login(device, platform)
    issuer = platform.issuer_url
    claims = device.verify_access_token(tokens.access_token, audience=issuer, required_scopes=["sign:job"])
    assert claims.client_id == platform.public_client_id
    session = machine.exchange_token(
        tokens.access_token,
        requested_token_type=urns.ACCESS_TOKEN_TYPE,
        resource=issuer,
        issued=(urns.ACCESS_TOKEN_TYPE,),
    )
    assert session.expires_in == 7776000
    assert session.issued_token_type == urns.ACCESS_TOKEN_TYPE
    with pytest.raises(OAuthError) as caught:
        machine.exchange_token("garbage", resource=issuer)
    assert caught.value.error == "invalid_grant"


@pytest.mark.parametrize("raw", [False, True], ids=["encoded", "raw"])
def test_machine_token(connect: Any, platform: PymtHouseSandbox, raw: bool) -> None:
    auth = ClientSecretBasic(platform.m2m_client_id, platform.m2m_client_secret, raw=raw)
    client = connect(platform.m2m_client_id, auth=auth)
    tokens = client.client_credentials(scope="users:read")
    claims = client.verify_access_token(tokens.access_token, audience=[platform.issuer_url])
    assert (claims.sub, claims.scopes) == (platform.m2m_client_id, ("users:read",))


def test_denied_and_expired(device: Any, platform: PymtHouseSandbox) -> None:
    for spoil, word in [(platform.deny_device, "access_denied"), (platform.expire_device, "expired_token")]:
        with pytest.raises(DeviceFlowError) as caught:
            device.device_login(lambda code, spoil=spoil: spoil(code.user_code))
        assert caught.value.error == word


@pytest.mark.parametrize("when", ["before", "after_read", "after_processing"])
def test_poll_is_not_repeated_when_its_answer_is_lost(
    connect: Any, sandbox: Sandbox, platform: PymtHouseSandbox, when: Any
) -> None:
    device = connect(platform.public_client_id, max_retries=5)
    sandbox.faults.add(Fault(kind="reset", match="POST */token", when=when))
    with pytest.raises(DeviceFlowError) as caught:
        login(device, platform)
    assert caught.value.code == "device_poll_lost"
    assert isinstance(caught.value.__cause__, TransportError)
    sandbox.faults.clear()
    assert login(device, platform).access_token


def test_token_requests_are_not_repeated(connect: Any, sandbox: Sandbox, platform: PymtHouseSandbox) -> None:
    machine = connect(platform.m2m_client_id, platform.m2m_client_secret, max_retries=5)
    machine.discover()
    for fault, error in [
        (Fault(kind="reset", match="POST */token", when="after_processing"), TransportError),
        (Fault(kind="half_answer", match="POST */token"), TransportError),
        (Fault(kind="status", match="POST */token", status=503), ServerError),
        (Fault(kind="html", match="POST */token", status=502), ServerError),
        (Fault(kind="truncated_json", match="POST */token"), DecodeError),
    ]:
        sandbox.faults.clear()
        sandbox.faults.add(fault)
        before = sandbox.requests.count("POST */token")
        with pytest.raises(error):
            machine.client_credentials(scope="users:read")
        assert sandbox.requests.count("POST */token") == before + 1


def test_discovery_is_repeated_where_it_is_safe(connect: Any, sandbox: Sandbox, platform: PymtHouseSandbox) -> None:
    sandbox.faults.add(Fault(kind="status", status=503, headers={"retry-after": "0"}))
    assert connect(platform.m2m_client_id, max_retries=1).discover().issuer == platform.issuer_url


def test_rotated_key(machine: Any, platform: PymtHouseSandbox) -> None:
    old = machine.client_credentials(scope="users:read").access_token
    platform.rotate_keys(keep_old=True)
    machine.verify_access_token(old, audience=platform.issuer_url)
    platform.rotate_keys(keep_old=False)
    new = machine.client_credentials(scope="users:read", force=True).access_token
    with pytest.raises(TokenError, match="no applicable keys"):  # the keys were fetched a moment ago
        machine.verify_access_token(new, audience=platform.issuer_url)
    machine.client.discovery.clear()
    machine.verify_access_token(new, audience=platform.issuer_url)


def test_expired_token(machine: Any, sandbox: Sandbox, platform: PymtHouseSandbox) -> None:
    sandbox.faults.add(Fault(kind="expired_token", match="POST */token"))
    token = machine.client_credentials(scope="users:read").access_token
    with pytest.raises(TokenError) as caught:
        machine.verify_access_token(token, audience=platform.issuer_url)
    assert caught.value.code == "OAUTH_JWT_TIMESTAMP_CHECK_FAILED"


def test_refresh_rotates(device: Any, platform: PymtHouseSandbox) -> None:
    first = login(device, platform)
    second = device.refresh(first.refresh_token)
    assert second.refresh_token != first.refresh_token
    for used in (first, second):  # using one twice ends the family
        with pytest.raises(OAuthError) as caught:
            device.refresh(used.refresh_token)
        assert caught.value.error == "invalid_grant"
