"""Addresses that come from answers: the rule, and every place that takes one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.fake_provider import ISSUER, METADATA, FakeProvider
from support.oidc_kinds import AsyncKind, BlockingKind
from support.run402 import API_BASE, PROJECT, Side
from support.scripted_http import Reply, Script, Sent
from tollkit import PymtHouse
from tollkit.core.addresses import UNSAFE_ADDRESS, is_local, link_address, request_address
from tollkit.core.weburl import parse_http_url
from tollkit.errors import DecodeError, InsecureTransportError, TollkitError
from tollkit.oidc.json_values import is_object
from tollkit.run402.assets import AssetRef
from tollkit.run402.errors import Run402Error
from tollkit.tokenite.admin import AsyncTokeniteAdmin, TokeniteAdmin
from tollkit_api.run402.v1_57.models import StoredBlob

PUBLIC = "https://api.example"
NO_ADDRESS = [
    "",
    "/path",
    "//storage.example/x",
    "storage.example/x",
    "ftp://storage.example/x",
    "javascript:alert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "https:storage.example",
    "https:///storage.example",
    "https://",
    "https://user@storage.example/x",
    "https://user:password@storage.example/x",
    "https://storage.example@169.254.169.254/x",
    "https://storage.example\\@evil.example/x",
    "https://storage.example\\.evil.example/x",
    " https://storage.example/x",
    "https://storage.example/x\n",
    "https://storage.example/x\r\nHost: evil.example",
    "https://stor\tage.example/x",
    "https://storage.example/\x1b[2J",
    "https://storage.example/\x00",
    "https://storage.ex%61mple/x",
    "https://stor\u00e4ge.example/x",
    "https://\uff11\uff12\uff17.0.0.1/x",
    "https://storage.example:99999/x",
    "https://storage.example:port/x",
    "https://[::1/x",
    "https://1.2.3.4.5/x",
    "https://256.1.1.1/x",
    None,
    5,
    ["https://storage.example/x"],
]
NOT_PUBLIC = {
    "loopback": ["127.0.0.1", "127.1", "0177.0.0.1", "0x7f000001", "2130706433", "[::1]", "[::ffff:127.0.0.1]",
                 "localhost", "LOCALHOST", "localhost.", "api.localhost", "[2002:7f00:1::]"],
    "private": ["10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "[fd00::1]", "[fc00::1]",
                "[::ffff:10.0.0.1]", "[::ffff:a00:1]", "db.internal", "printer.local", "nas.home.arpa", "minio"],
    "link-local": ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "2852039166"],
    "special": ["0.0.0.0", "0", "[::]", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.255.255.255", "255.255.255.255",
                "240.0.0.1", "[ff02::1]", "[2001:db8::1]", "[64:ff9b::7f00:1]", "[::127.0.0.1]"],
}  # fmt: skip
PUBLIC_HOSTS = [
    "storage.example",
    "8.8.8.8",
    "[2606:4700::1111]",
    "172.32.0.1",
    "a.b-c.example:8443",
    "STORAGE.example.",
]


@pytest.mark.parametrize("text", NO_ADDRESS, ids=repr)
def test_what_is_no_plain_address_is_refused(text: Any) -> None:
    for check in (request_address, link_address):
        with pytest.raises(DecodeError) as caught:
            check(text, field="parts[].url", base=PUBLIC)
        error = caught.value
        assert error.code == UNSAFE_ADDRESS
        assert error.context["field"] == "parts[].url"
        assert "parts[].url" in error.message
        assert not text or len(str(text)) < 3 or str(text) not in str(error), "presigned addresses are secrets"


@pytest.mark.parametrize("host", PUBLIC_HOSTS)
def test_public_addresses_pass_as_they_are(host: str) -> None:
    text = f"https://{host}/a%2Fb?X-Signature=a+b%20c&x=|#end"
    assert request_address(text, field="url", base=PUBLIC) is text
    assert link_address(text, field="url", base=PUBLIC) is text
    assert not is_local(text)


@pytest.mark.parametrize(("kind", "host"), [(kind, host) for kind, hosts in NOT_PUBLIC.items() for host in hosts])
def test_what_is_not_public_is_refused_to_a_public_platform(kind: str, host: str) -> None:
    with pytest.raises(DecodeError) as caught:
        request_address(f"https://{host}:8443/x?secret", field="url", base=PUBLIC)
    assert caught.value.code == UNSAFE_ADDRESS
    assert caught.value.context["host"] in caught.value.message
    assert "secret" not in str(caught.value)
    assert is_local(f"http://{host}") is (kind in ("loopback", "private"))


@pytest.mark.parametrize(
    ("base", "allowed", "refused"),
    [
        ("http://127.0.0.1:9000", ["http://127.0.0.1:9001", "http://localhost:1", "https://[::1]"],
         ["http://10.0.0.1", "http://169.254.169.254", "http://0.0.0.0", "http://minio:9000"]),
        ("http://gateway:8080", ["http://minio:9000", "http://10.0.0.1", "http://store.internal"],
         ["http://127.0.0.1", "http://localhost:6379", "http://169.254.169.254/latest/meta-data"]),
        ("https://10.0.0.1", ["https://10.0.0.2"], ["https://127.0.0.1", "https://169.254.169.254"]),
        ("http://169.254.1.1", ["http://169.254.1.1:81"], ["http://169.254.169.254", "http://127.0.0.1"]),
        ("https://api.example", ["https://api.example:8443"], ["https://localhost"]),
    ],
)  # fmt: skip
def test_a_platform_of_the_same_kind_may_name_them(base: str, allowed: list[str], refused: list[str]) -> None:
    for address in [*allowed, f"{base}/up"]:
        assert request_address(address, field="url", base=base) == address
    for address in refused:
        with pytest.raises(DecodeError):
            request_address(address, field="url", base=base)


def test_https_never_leads_to_http() -> None:
    for check in (request_address, link_address):
        with pytest.raises(InsecureTransportError) as caught:
            check("http://storage.example/x?secret", field="url", base=PUBLIC)
        assert caught.value.context == {"field": "url", "host": "storage.example"}
        assert "secret" not in str(caught.value)
        assert check("HTTP://storage.example/x", field="url", base="http://api.example")
    assert link_address("http://storage.example/x", field="url") == "http://storage.example/x"


@given(st.text(max_size=40) | st.from_regex(r"https?://[^/]{0,30}(/.{0,10})?", fullmatch=True))
def test_what_passes_is_read_alike_by_all(text: str) -> None:
    """Of a text that passes, httpx and the parser of the standard see one host: what is checked is where it goes."""
    import httpx

    try:
        request_address(text, field="url", base=PUBLIC)
    except TollkitError:
        return
    ours = parse_http_url(text)
    assert ours is not None
    theirs = httpx.URL(text)
    assert theirs.userinfo == b""
    assert theirs.host.strip("[]").lower() in (ours.host.strip("[]"), text.split("/")[2].rpartition(":")[0].lower())


# --- uploads ------------------------------------------------------------------------------------------------------

BAD = {
    "metadata of a cloud": "https://169.254.169.254/latest/meta-data",
    "this machine": "https://127.0.0.1:6379/",
    "this machine, by name": "https://localhost/",
    "this machine, in octal": "https://0177.1/",
    "private network": "https://10.0.0.5/",
    "internal name": "https://vault.internal/v1/secret",
    "IPv6 loopback": "https://[::1]/",
    "with a password": "https://u:p@storage.example/",
    "another scheme": "gopher://storage.example/",
    "no address": "x",
}


@pytest.mark.parametrize("address", BAD.values(), ids=BAD)
@pytest.mark.parametrize("doing", ["blobs.put", "deploy.apply"])
def test_uploads_go_to_public_addresses_alone(doing: str, address: str, side: Side, naps: list[float]) -> None:
    sent: list[Sent] = []

    def answer(one: Sent) -> Reply:
        sent.append(one)
        if one.method == "PUT":
            return Reply(200)
        part = {"part_number": 1, "url": address, "byte_start": 0, "byte_end": 0}
        upload = {"upload_id": "u", "mode": "single", "parts": [part], "part_count": 1}
        if one.url.endswith("/content/v1/plans"):
            return Reply.json({"plan_id": "c", "missing": [{**upload, "sha256": SHA}]})
        if one.url.endswith("/deploy/v2/plans"):
            missing = [{"sha256": SHA, "size": 1, "present": False}]
            return Reply.json({"plan_id": "p", "operation_id": "op_1", "manifest_digest": "", "base_release_id": None,
                               "missing_content": missing})  # fmt: skip
        return Reply.json(upload, 201)

    play = side.play(Script(answer))
    told: tuple[Any, ...] = (PROJECT, "x", b"a")
    if doing == "deploy.apply":
        told = ({"project": PROJECT, "site": {"replace": {"a": b"a"}}},)
    error = play.raises(Run402Error, doing, *told)
    assert error.code == UNSAFE_ADDRESS
    assert address not in str(error)
    assert sent
    assert not any(one.method == "PUT" for one in sent)


SHA = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"


def test_an_upload_carries_no_credentials(side: Side, naps: list[float]) -> None:
    def answer(one: Sent) -> Reply:
        if one.method == "PUT":
            return Reply(200, {"etag": '"1"'})
        part = {"part_number": 1, "url": "https://storage.example/x?sig=1", "byte_start": 0, "byte_end": 0}
        if one.url.endswith("/complete"):
            return Reply.json({"key": "x", "size_bytes": 1})
        return Reply.json({"upload_id": "u", "mode": "single", "parts": [part], "part_count": 1}, 201)

    play = side.play(Script(answer), headers={"X-Of-The-App": "secret"})
    play.do("blobs.put", PROJECT, "x", b"a")
    (put,) = [one for one in play.script.sent if one.method == "PUT"]
    assert not {"authorization", "apikey", "sign-in-with-x", "cookie"} & {name.lower() for name in put.headers}
    assert "SVC" not in str(put.headers)


# --- pages that a person is sent to -------------------------------------------------------------------------------

BAD_PAGES = {
    "script": "javascript:alert(document.cookie)",
    "file": "file:///etc/passwd",
    "data": "data:text/html,<script>1</script>",
    "password": "https://accounts.example@evil.example/",
    "control characters": "https://id.example/\x1b]0;x\x07",
    "newline": "https://id.example/\nGo to https://evil.example",
    "app": "intent://scan/#Intent;end",
    "relative": "/device",
}
DEVICE = {"device_code": "dc", "user_code": "AB-CD", "verification_uri": f"{ISSUER}/device", "expires_in": 600}


@pytest.fixture(params=[BlockingKind, AsyncKind])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


def device_login(kind: Any, **changes: Any) -> tuple[list[Any], Exception | None]:
    """What was shown of a device login whose answer is changed, and how it ended."""
    provider = FakeProvider(
        device=Reply.json({**DEVICE, **changes}), token=Reply.json({"error": "access_denied"}, 400)
    )
    http_client = provider.script.client if kind is BlockingKind else provider.script.async_client
    client = kind(ISSUER, "app", http_client=http_client)
    shown: list[Any] = []
    try:
        client.device_login(shown.append)
    except TollkitError as error:
        return shown, error
    finally:
        client.close()
    return shown, None


@pytest.mark.parametrize("name", ["verification_uri", "verification_uri_complete"])
@pytest.mark.parametrize("address", BAD_PAGES.values(), ids=BAD_PAGES)
def test_no_such_page_is_shown(kind: Any, name: str, address: str) -> None:
    shown, error = device_login(kind, **{name: address})
    assert shown == []
    assert isinstance(error, DecodeError)
    assert (error.code, error.context["field"]) == (UNSAFE_ADDRESS, name)


def test_a_page_on_http_is_not_shown_by_a_provider_on_https(kind: Any) -> None:
    shown, error = device_login(kind, verification_uri="http://id.example/device")
    assert shown == []
    assert isinstance(error, InsecureTransportError)


def test_a_page_on_another_origin_may_be_shown(kind: Any) -> None:
    """Providers do that (RFC 8628 does not forbid it), and nothing secret goes there."""
    shown, error = device_login(kind, verification_uri="https://www.example/device")
    assert [one.verification_uri for one in shown] == ["https://www.example/device"]
    assert getattr(error, "error", None) == "access_denied"


@pytest.mark.parametrize("code", ["AB\x1b[2J", "AB\nCD", "AB\u202eCD", "\x07"])
def test_codes_with_control_characters_are_not_shown(kind: Any, code: str) -> None:
    shown, error = device_login(kind, user_code=code)
    assert shown == []
    assert isinstance(error, DecodeError)
    assert "user_code" in error.message


@pytest.mark.parametrize("address", BAD_PAGES.values(), ids=BAD_PAGES)
@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("billing.create_checkout", ("0x" + "1" * 40, 5_000_000)),
        ("billing.tier_checkout", ("hobby",)),
        ("billing.buy_email_pack", ()),
    ],
)
def test_no_such_checkout_is_returned(side: Side, method: str, args: tuple[Any, ...], address: str) -> None:
    play = side.play([Reply.json({"checkout_url": address, "topup_id": "t1"}, 201)])
    named = {} if method == "billing.create_checkout" else {"email": "a@example.com"}
    error = play.raises(Run402Error, method, *args, **named)
    assert isinstance(error, DecodeError)
    assert (error.code, error.context["field"]) == (UNSAFE_ADDRESS, "checkout_url")


@pytest.mark.parametrize("address", BAD_PAGES.values(), ids=BAD_PAGES)
def test_no_such_invitation_is_returned(side: Side, address: str) -> None:
    made = {
        "id": "inv_1", "accountId": "acc_1", "email": "a@example.com", "role": "member", "invitedByUserId": "u",
        "status": "pending", "expiresAt": "2027-01-01T00:00:00Z", "createdAt": "2026-01-01T00:00:00Z",
        "claimUrl": address,
    }  # fmt: skip
    script = Script([Reply.json(made, 201)])
    kind = TokeniteAdmin if side.name == "blocking" else AsyncTokeniteAdmin
    client = side.made(kind(api_key="k", http_client=side.http_client(script)))
    with pytest.raises(DecodeError) as caught:
        side.do(client.accounts.invite("acc_1", "a@example.com"))
    assert (caught.value.code, caught.value.context["field"]) == (UNSAFE_ADDRESS, "claimUrl")


@pytest.mark.parametrize("address", BAD_PAGES.values(), ids=BAD_PAGES)
def test_no_such_file_stands_in_a_tag(address: str) -> None:
    stored = StoredBlob.from_dict({"key": "a.js", "sha256": SHA, "cdn_immutable_url": address})
    asset = AssetRef.of(stored, key="a.js", size=1, content_type="text/javascript", visibility="public")
    for tag in (asset.script_tag, asset.link_tag, asset.img_tag):
        with pytest.raises(DecodeError) as caught:
            tag()
        assert caught.value.code == UNSAFE_ADDRESS
        assert isinstance(caught.value, Run402Error)


# --- endpoints of a provider ---------------------------------------------------------------------------------------

BAD_ENDPOINTS = [
    "https://evil.example/token",
    "https://id.example.evil.example/token",
    "https://id.example@evil.example/token",
    "https://evil.example\\@id.example/token",
    "https://id.example:8443/token",
    "https://169.254.169.254/token",
    "http://id.example/token",
    "http://127.0.0.1/token",
    "javascript:alert(1)",
    "//evil.example/token",
    "/token",
]


@pytest.mark.parametrize("address", BAD_ENDPOINTS)
def test_endpoints_elsewhere_get_no_secret(kind: Any, address: str) -> None:
    provider = FakeProvider()
    provider.answers["/.well-known/openid-configuration"] = Reply.json({**METADATA, "token_endpoint": address})
    http_client = provider.script.client if kind is BlockingKind else provider.script.async_client
    client = kind(ISSUER, "app", "the-secret", http_client=http_client, allow_insecure_http=False)
    with pytest.raises((DecodeError, InsecureTransportError)):
        client.client_credentials()
    client.close()
    assert [sent.url for sent in provider.script.sent] == [f"{ISSUER}/.well-known/openid-configuration"]


# --- what tollkit does not follow ----------------------------------------------------------------------------------


def test_addresses_of_next_actions_are_words(side: Side) -> None:
    """What a refusal advises to do is data: nothing is sent there."""
    told = {"error": "no", "code": "X", "next_actions": [{"type": "open", "url": "https://169.254.169.254/"}]}
    play = side.play([Reply.json(told, 409)])
    error = play.raises(Run402Error, "projects.sql", PROJECT, "SELECT 1")
    assert is_object(error.next_actions[0])
    assert [sent.url.startswith(API_BASE) for sent in play.script.sent] == [True]


def test_the_signer_that_a_session_names_gets_nothing() -> None:
    """tollkit sends nothing to a signer; who does so checks its address with `request_address`."""
    issuer = "https://id.example"
    answer = {
        "access_token": "pmth_" + "0" * 32, "token_type": "Bearer", "expires_in": 60, "scope": "sign:job",
        "issued_token_type": "urn:pmth:token-type:remote-signer-session", "signer_url": "https://169.254.169.254/",
    }  # fmt: skip
    provider = FakeProvider(token=Reply.json(answer))
    with PymtHouse(
        issuer_url=issuer, public_client_id="app_1", m2m_client_id="m", m2m_client_secret="s",
        http_client=provider.script.client,
    ) as client:  # fmt: skip
        session = client.exchange_for_signer_session(user_jwt="e30.e30.e30")
    assert "signer_url" not in session.to_dict()
    assert not any("169.254" in sent.url for sent in provider.script.sent)
    with pytest.raises(DecodeError):
        request_address(answer["signer_url"], field="signer_url", base=issuer)
