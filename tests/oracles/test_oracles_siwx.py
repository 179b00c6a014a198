"""Headers that sign in with a wallet."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from support.run402_wallet import ADDRESS, KEY, NOW
from tollkit.errors import ArgumentError
from tollkit.run402 import siwx
from tollkit.run402.errors import is_local_error
from tollkit.run402.signer import PrivateKeySigner
from tollkit.secrets import Secret

SIGNER = PrivateKeySigner(KEY)
BASE = "https://api.run402.com:8443/base"


def payload_of(headers: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(headers["SIGN-IN-WITH-X"]))
    return found


def test_an_ordinary_header() -> None:
    headers = siwx.SiwxSigner(SIGNER, BASE, clock=lambda: NOW + 0.0789).headers("/tiers/v1?a=b%20c")
    assert isinstance(headers["SIGN-IN-WITH-X"], Secret)
    payload = payload_of(headers)
    signature = payload.pop("signature")
    nonce = payload["nonce"]
    assert payload == {
        "domain": "api.run402.com",
        "address": ADDRESS,
        "statement": "Sign in to Run402",
        "uri": BASE + "/tiers/v1?a=b%20c",
        "version": "1",
        "chainId": "eip155:84532",
        "type": "eip191",
        "nonce": nonce,
        "issuedAt": "2026-01-01T00:00:00.078Z",
        "expirationTime": "2026-01-01T00:05:00.078Z",
    }
    assert len(nonce) == 32
    assert set(nonce) <= set("0123456789abcdef")
    text = siwx.siwx_text(
        siwx.SiwxMessage.new(BASE, "/tiers/v1?a=b%20c", now=NOW + 0.0789, nonce=nonce), ADDRESS.lower()
    )
    assert Account.recover_message(encode_defunct(text=text), signature=signature) == ADDRESS


def test_optional_parts() -> None:
    message = siwx.SiwxMessage(domain="d", uri="u", nonce="n", issued_at="t", chain_id=1, resources=[])
    text = siwx.siwx_text(message, ADDRESS)
    assert text.endswith("Chain ID: 1\nNonce: n\nIssued At: t")
    payload = json.loads(base64.b64decode(siwx.siwx_header_value(message, SIGNER)))
    assert payload["chainId"] == "eip155:1"
    assert payload["resources"] == []
    assert "expirationTime" not in payload
    for chain, told in (("solana:x", "solana:x"), ("eip155:x", "eip155:x"), ("137", "137")):
        other = siwx.SiwxMessage(domain="d", uri="u", nonce="n", issued_at="t", chain_id=chain)
        assert f"\nChain ID: {told}\n" in siwx.siwx_text(other, ADDRESS)
    listed = siwx.SiwxMessage.new(BASE, "/", statement="two\nlines", resources=("a:1", "b:2"))
    assert siwx.siwx_text(listed, ADDRESS).endswith("\nResources:\n- a:1\n- b:2")
    assert "\n\ntwo\nlines\n\nURI: " in siwx.siwx_text(listed, ADDRESS)


@pytest.mark.parametrize("path", ["/a\nNonce: x", "/a\r", "/\ud800"])
def test_lines_cannot_be_smuggled_in(path: str) -> None:
    with pytest.raises(ArgumentError, match=r"^uri") as caught:
        siwx.SiwxSigner(SIGNER, BASE).headers(path)
    assert is_local_error(caught.value)


def test_nor_can_they_in_other_parts() -> None:
    for name, value in (("resources", ["a", "b\nc"]), ("chain_id", "1\n2"), ("statement", "\udfff")):
        with pytest.raises(ArgumentError, match=f"^{name}"):
            siwx.SiwxMessage(**{"domain": "d", "uri": "u", "nonce": "n", "issued_at": "t", name: value})


def test_each_call_has_a_header_of_its_own() -> None:
    signer = siwx.SiwxSigner(SIGNER, BASE, clock=lambda: NOW)
    assert payload_of(signer.headers("/a"))["nonce"] != payload_of(signer.headers("/a"))["nonce"]


def test_headers_are_kept_by_path_when_told_so() -> None:
    now = [float(NOW)]
    signer = siwx.SiwxSigner(SIGNER, BASE, reuse=60, clock=lambda: now[0])
    first, other = signer.headers("/a"), signer.headers("/b")
    assert signer.headers("/a") == first != other
    assert payload_of(other)["uri"] == BASE + "/b"
    now[0] += 59
    assert signer.headers("/a") == first
    now[0] += 1
    second = signer.headers("/a")
    assert payload_of(second)["issuedAt"] == "2026-01-01T00:01:00.000Z"
    now[0] -= 30  # the clock was set back: a header of the future would be refused
    third = signer.headers("/a")
    assert payload_of(third)["issuedAt"] == "2026-01-01T00:00:30.000Z"
    signer.forget()
    assert signer.headers("/a") != third


def test_not_all_headers_are_kept() -> None:
    signer = siwx.SiwxSigner(SIGNER, BASE, reuse=60, clock=lambda: NOW)
    first = signer.headers("/0")
    for number in range(1, 257):
        signer.headers(f"/{number}")
    assert len(signer._made) == 256
    assert signer.headers("/0") != first


@pytest.mark.parametrize("reuse", [-1, 300, float("nan")])
def test_wrong_times(reuse: float) -> None:
    with pytest.raises(ArgumentError, match=r"^reuse"):
        siwx.SiwxSigner(SIGNER, BASE, reuse=reuse)


def test_wrong_gateways() -> None:
    for wrong in ("api.run402.com", "ftp://x", "https://"):
        with pytest.raises(ArgumentError, match=r"^api_base"):
            siwx.SiwxSigner(SIGNER, wrong)


def test_nothing_shows_the_key() -> None:
    assert repr(siwx.SiwxSigner(SIGNER, BASE)) == f"SiwxSigner(PrivateKeySigner({ADDRESS}), {BASE!r})"
