"""tollkit.oidc against a provider that is certified by the OpenID Foundation and was not written by us."""

from __future__ import annotations

import asyncio
import html
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from certified_provider import Provider

from support.oidc_kinds import OPTIONS, AsyncKind, BlockingKind
from tollkit.core.token_cache import TokenCache
from tollkit.errors import DeviceFlowError, OAuthError, TokenError
from tollkit.oidc import (
    AsyncOidcClient,
    Discovery,
    FileTokenStore,
    LoginRequiredError,
    OidcClient,
    TokenResponse,
    TokenSession,
    TokenSet,
)

MACHINE = ("ma:chine/1", "s:e/c%r+e t")
POSTER = ("poster", "s:e/c%r+e t&=?")


@pytest.fixture(params=[BlockingKind, AsyncKind], ids=["blocking", "async"])
def connect(request: pytest.FixtureRequest, provider: Provider) -> Any:
    made: list[Any] = []

    def connect(client_id: str, secret: str | None = None, **options: Any) -> Any:
        made.append(request.param(provider.issuer, client_id, secret, **options))
        return made[-1]

    yield connect
    for client in made:
        client.close()


class Person:
    """Somebody with a browser."""

    def __init__(self) -> None:
        self.browser = httpx.Client(follow_redirects=True, trust_env=False)

    def _submit(self, page: httpx.Response, form: str, **values: str) -> httpx.Response:
        found = re.search(rf"<form[^>]*{form}[^>]*>.*?</form>", page.text, re.DOTALL)
        assert found, page.text
        action = re.search(r'action="([^"]*)"', found[0])
        fields = dict(re.findall(r'<input[^>]*name="([^"]*)"[^>]*value="([^"]*)"', found[0]))
        assert action
        data = {name: html.unescape(value) for name, value in fields.items()}
        return self.browser.post(urljoin(str(page.url), html.unescape(action[1])), data={**data, **values})

    def answer(self, address: str, user_code: str, *, allow: bool) -> str:
        page = self.browser.get(address)
        page = self._submit(page, 'method="post"', user_code=user_code)
        if not allow:
            return self._submit(page, "op.deviceConfirmForm", abort="yes").text
        page = self._submit(page, "op.deviceConfirmForm")
        page = self._submit(page, 'method="post"', login="somebody", password="anything")
        return self._submit(page, 'method="post"').text


@pytest.fixture
def person() -> Any:
    person = Person()
    yield person
    person.browser.close()


def test_discovery(connect: Any, provider: Provider) -> None:
    client = connect("device")
    metadata = client.discover()
    assert metadata.issuer == provider.issuer
    assert metadata.token_endpoint == f"{provider.issuer}/token"
    assert "client_secret_basic" in metadata.token_endpoint_auth_methods_supported
    assert metadata.to_dict()["claims_parameter_supported"] is False
    assert client.discover() is metadata
    assert provider.counts() == {"/.well-known/openid-configuration": 1}
    assert client.discover(force=True) == metadata
    assert provider.counts() == {"/.well-known/openid-configuration": 2}


@pytest.mark.parametrize(
    ("client", "auth"), [(MACHINE, "client_secret_basic"), (POSTER, "client_secret_post")], ids=["basic", "post"]
)
def test_client_credentials_with_a_secret_of_every_sign(connect: Any, client: tuple[str, str], auth: str) -> None:
    tokens = connect(*client, auth=auth).client_credentials(scope="things:read")
    assert (tokens.token_type, tokens.expires_in, tokens.scopes) == ("bearer", 3600, ("things:read",))


def test_wrong_secret_keeps_the_reason_beside_a_challenge(connect: Any) -> None:
    with pytest.raises(OAuthError) as caught:
        connect(MACHINE[0], "wrong").client_credentials()
    assert (caught.value.error, caught.value.status) == ("invalid_client", 401)
    assert caught.value.error_description == "client authentication failed"


def test_scope_that_is_not_allowed(connect: Any) -> None:
    with pytest.raises(OAuthError) as caught:
        connect(*MACHINE).client_credentials(scope="openid nothing", resource="https://api.example/#fragment")
    assert caught.value.error == "invalid_target"


def test_verify_the_providers_own_tokens(connect: Any, provider: Provider) -> None:
    client = connect(*MACHINE)
    tokens = client.client_credentials(scope="things:read things:write", resource=provider.api)
    claims = client.verify_access_token(tokens.access_token, audience=provider.api, required_scopes=["things:read"])
    assert (claims.iss, claims.aud, claims.client_id) == (provider.issuer, (provider.api,), MACHINE[0])
    assert claims.scopes == ("things:read", "things:write")
    assert claims.to_dict()["jti"] == claims.jti
    with pytest.raises(TokenError) as caught:
        client.verify_access_token(tokens.access_token, audience="https://other.example")
    assert caught.value.code == "OAUTH_JWT_CLAIM_COMPARISON_FAILED"
    with pytest.raises(TokenError) as caught:
        client.verify_access_token(tokens.access_token, audience=provider.api, required_scopes=["admin"])
    assert (caught.value.code, caught.value.status) == ("insufficient_scope", 403)
    assert provider.counts()["/jwks"] == 1


def test_rotated_key_is_fetched_once(connect: Any, provider: Provider) -> None:
    now = [0.0]
    discovery = Discovery(provider.issuer, allow_insecure_http=True, clock=lambda: now[0])
    client = connect(*MACHINE, discovery=discovery)

    def token() -> str:
        return client.client_credentials(resource=provider.api, force=True).access_token

    old = token()
    client.verify_access_token(old, audience=provider.api)
    provider.control("rotate")
    new = token()
    with pytest.raises(TokenError) as caught:  # the keys are too fresh to be asked for again
        client.verify_access_token(new, audience=provider.api)
    assert caught.value.code == "OAUTH_KEY_SELECTION_FAILED"
    assert provider.counts()["/jwks"] == 1
    now[0] += 61
    client.verify_access_token(new, audience=provider.api)
    client.verify_access_token(new, audience=provider.api)
    for _ in range(3):
        with pytest.raises(TokenError):
            client.verify_access_token(old, audience=provider.api)
    assert provider.counts()["/jwks"] == 2


def test_old_keys_do_while_the_provider_fails(connect: Any, provider: Provider) -> None:
    now = [0.0]
    discovery = Discovery(provider.issuer, allow_insecure_http=True, clock=lambda: now[0])
    client = connect(*MACHINE, discovery=discovery, max_retries=0)
    token = client.client_credentials(resource=provider.api).access_token
    client.verify_access_token(token, audience=provider.api)
    provider.control("jwks", status=503)
    now[0] += 301
    for _ in range(3):
        client.verify_access_token(token, audience=provider.api)
    assert provider.counts()["/jwks"] == 2
    now[0] += 3600
    with pytest.raises(Exception, match="conform JSON Web Key Set"):
        client.verify_access_token(token, audience=provider.api)


def test_device_login(connect: Any, provider: Provider, person: Person) -> None:
    client = connect("device")
    authorization = client.start_device_authorization(scope="openid things:read", resource=provider.api)
    with pytest.raises(OAuthError) as caught:
        client.poll_device_token(authorization.device_code)
    assert caught.value.error == "authorization_pending"
    assert not isinstance(caught.value, DeviceFlowError)
    told = person.answer(authorization.verification_uri_complete, authorization.user_code, allow=True)
    assert "was successful" in told
    tokens = client.poll_device_token(authorization.device_code)
    assert tokens.refresh_token
    assert tokens.id_token
    with pytest.raises(DeviceFlowError) as used:
        client.poll_device_token(authorization.device_code)
    assert used.value.error == "invalid_grant"
    claims = client.verify_access_token(tokens.access_token, audience=provider.api)
    assert (claims.sub, claims.client_id) == ("somebody", "device")


@pytest.mark.parametrize("allow", [True, False], ids=["approved", "denied"])
def test_whole_device_login(connect: Any, person: Person, allow: bool) -> None:
    client = connect("device")
    shown: list[str] = []

    def show(authorization: Any) -> None:
        shown.append(authorization.user_code)
        person.answer(authorization.verification_uri, authorization.user_code, allow=allow)

    if allow:
        assert client.device_login(show, scope="openid").scope == "openid"
    else:
        with pytest.raises(DeviceFlowError) as caught:
            client.device_login(show, scope="openid")
        assert caught.value.error == "access_denied"
    assert len(shown) == 1


def _login(client: Any, person: Person, **wanted: Any) -> TokenResponse:
    return client.device_login(
        lambda code: person.answer(code.verification_uri, code.user_code, allow=True), scope="openid", **wanted
    )


def test_refresh_rotates_and_a_used_token_ends_it_all(connect: Any, person: Person) -> None:
    client = connect("device")
    first = _login(client, person)
    second = client.refresh(first.refresh_token)
    assert second.refresh_token not in (None, first.refresh_token)
    with pytest.raises(OAuthError) as caught:
        client.refresh(first.refresh_token)
    assert caught.value.error == "invalid_grant"
    with pytest.raises(OAuthError):
        client.refresh(second.refresh_token)


def test_sessions_of_two_processes_share_a_file(connect: Any, person: Person, tmp_path: Path) -> None:
    client = connect("device")
    path = tmp_path / "folder" / "tokens.json"
    one = TokenSession(client.client.flows, FileTokenStore(path), tokens=_login(client, person))
    first = client.run(one.tokens())
    assert path.stat().st_mode & 0o777 == 0o600
    other = TokenSession(client.client.flows, FileTokenStore(path))
    assert client.run(other.tokens()) == first
    second = client.run(one.tokens(force=True))
    assert second.refresh_token != first.refresh_token
    other.refused(first.access_token)
    assert client.run(other.tokens()) == second  # from the file, without a refresh
    third = client.run(other.tokens(force=True))
    assert client.run(one.tokens(force=True)) == third  # somebody else was faster
    client.revoke(third.refresh_token)
    with pytest.raises(LoginRequiredError):
        client.run(other.tokens(force=True))


PROCESS = """
import sys
from tollkit.core.settings import Connection
from tollkit.oidc import FileTokenStore, OidcClient, TokenSession

issuer, path = sys.argv[1:]
with OidcClient(issuer, "device", allow_insecure_http=True, connection=Connection(trust_env=False)) as client:
    session = TokenSession(client.flows, FileTokenStore(path))
    print("ready", flush=True)
    sys.stdin.readline()
    print(client.run(session.access_token()), flush=True)
"""


def test_processes_refresh_once(provider: Provider, person: Person, tmp_path: Path) -> None:
    store = FileTokenStore(tmp_path / "tokens.json")
    with OidcClient(provider.issuer, "device", **OPTIONS) as client:
        tokens = TokenSet.of(_login(client, person), 0)  # issued in 1970, so expired long ago
    store.save(tokens)
    provider.forget_counts()
    provider.control("delay", ms=300)
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", PROCESS, provider.issuer, str(store.path)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(4)
        ]
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 4
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        found = {process.communicate()[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert found == {store.load().access_token}
    assert found != {tokens.access_token}
    assert provider.counts()["/token"] == 1


def test_introspect_and_revoke(connect: Any, person: Person) -> None:
    client = connect("device")
    tokens = _login(client, person)
    found = client.introspect(tokens.access_token)
    assert (found.active, found.client_id, found.scopes) == (True, "device", ("openid",))
    assert client.revoke(tokens.access_token, token_type_hint="access_token") is None
    assert client.introspect(tokens.access_token).active is False
    assert client.revoke("unknown-token") is None


def test_revoking_a_jwt_is_refused(connect: Any, provider: Provider) -> None:
    client = connect(*MACHINE)
    tokens = client.client_credentials(resource=provider.api)
    with pytest.raises(OAuthError) as caught:
        client.revoke(tokens.access_token)
    assert caught.value.error == "unsupported_token_type"
    assert tokens.access_token not in f"{caught.value!r}{caught.value.to_dict()}"


class _Meeting:
    """One cache of tokens that have all expired, and clients of both kinds around it."""

    def __init__(self, provider: Provider) -> None:
        self.now = 0.0
        self.tokens: TokenCache[TokenResponse] = TokenCache(lambda token: token.expires_in, clock=lambda: self.now)
        discovery = Discovery(provider.issuer, allow_insecure_http=True)
        shared = {**OPTIONS, "discovery": discovery, "tokens": self.tokens}
        self.blocking = OidcClient(provider.issuer, *MACHINE, **shared)
        self.asynchronous = AsyncOidcClient(provider.issuer, *MACHINE, **shared)
        self.old = self.blocking.client_credentials(scope="things:read").access_token
        self.now = 3600.0
        provider.control("delay", ms=300)
        provider.forget_counts()

    def threads(self, count: int) -> list[str]:
        barrier = threading.Barrier(count)

        def one(_: int) -> str:
            barrier.wait()
            return self.blocking.client_credentials(scope="things:read").access_token

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(one, range(count)))

    def tasks(self, count: int) -> list[str]:
        async def main() -> list[str]:
            async with self.asynchronous as client:
                calls = [client.client_credentials(scope="things:read") for _ in range(count)]
                return [tokens.access_token for tokens in await asyncio.gather(*calls)]

        return asyncio.run(main())


@pytest.mark.parametrize("threads", [64, 0, 32], ids=["threads", "tasks", "mixed"])
def test_expired_token_is_renewed_once(provider: Provider, threads: int) -> None:
    meeting = _Meeting(provider)
    with meeting.blocking, ThreadPoolExecutor(2) as pool:
        jobs = []
        if threads:
            jobs.append(pool.submit(meeting.threads, threads))
        if threads < 64:
            jobs.append(pool.submit(meeting.tasks, 64 - threads))
        found = [token for job in jobs for token in job.result()]
    assert len(found) == 64
    assert len(set(found)) == 1
    assert found[0] != meeting.old
    assert provider.counts() == {"/token": 1}
