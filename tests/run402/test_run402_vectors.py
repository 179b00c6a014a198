"""Groups of the vectors about wallets and files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.run402_wallet import VECTORS
from tollkit.run402 import siwx, x402
from tollkit.run402.credentials import ProjectKeys
from tollkit.run402.errors import LocalError
from tollkit.run402.keystore import KeystoreFile
from tollkit.run402.signer import PrivateKeySigner


@pytest.mark.parametrize("case", VECTORS["siwx_headers"], ids=lambda case: case["name"])
def test_siwx_headers(case: dict[str, Any]) -> None:
    options = case["options"]
    signer = PrivateKeySigner(case["private_key"])
    message = siwx.SiwxMessage(
        domain=options["domain"],
        uri=options["uri"],
        statement=options["statement"],
        chain_id=options["chainId"],
        nonce=options["nonce"],
        issued_at=options["issuedAt"],
        expiration_time=options["expirationTime"],
        resources=options.get("resources"),
    )
    assert signer.address == case["address"]
    assert siwx.siwx_text(message, signer.address) == case["message"]
    assert "0x" + signer.sign_message(case["message"].encode()).hex() == case["signature"]
    assert siwx.siwx_header_value(message, signer) == case["header_value"]


def test_constants() -> None:
    told = VECTORS["constants"]
    assert told["siwx_statement"] == siwx.STATEMENT
    assert told["siwx_default_chain_id"] == siwx.DEFAULT_CHAIN_ID == x402.BASE_SEPOLIA
    assert told["siwx_ttl_seconds"] == siwx.LIFETIME
    assert told["usdc_base_mainnet"] == x402.USDC[x402.BASE]
    assert told["usdc_base_sepolia"] == x402.USDC[x402.BASE_SEPOLIA]


def test_x402_payload() -> None:
    case = VECTORS["x402_exact_evm"]
    asked = {"x402Version": 2, "resource": case["payload"]["resource"], "accepts": [case["accepted"]]}
    challenge = x402.read_challenge({}, json.dumps(asked).encode())
    assert challenge is not None
    payload = x402.payment_payload(
        challenge,
        challenge.accepts[0],
        PrivateKeySigner(case["private_key"]),
        now=case["now_unix_seconds"],
        nonce=case["authorization"]["nonce"],
    )
    assert payload == case["payload"]
    assert payload["payload"]["signature"] == case["signature"]
    assert x402.payment_header(payload) == ("PAYMENT-SIGNATURE", case["payment_signature_header"])


@pytest.mark.parametrize("case", VECTORS["keystore_load"], ids=lambda case: case["name"])
def test_keystore_load(case: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "projects.json"
    path.write_text(case["file_text"], "utf-8")
    loaded = KeystoreFile(path).load()
    expected = case["loaded"]
    assert {name: keys.to_dict() for name, keys in loaded.projects.items()} == expected["projects"]
    assert loaded.active_project_id == expected.get("active_project_id")
    assert loaded.previous_active_project_id == expected.get("previous_active_project_id")
    assert path.read_text("utf-8") == case["file_text"]


def test_keystore_sequence_byte_for_byte(tmp_path: Path) -> None:
    file = KeystoreFile(tmp_path / "deep" / "projects.json")
    steps = {
        "saveProject prj_one": [lambda: file.save_project("prj_one", ProjectKeys("a1", "s1"))],
        "setActive prj_one": [lambda: file.set_active_project("prj_one")],
        "saveProject prj_two; setActive prj_two": [
            lambda: file.save_project("prj_two", ProjectKeys("a2", "s2")),
            lambda: file.set_active_project("prj_two"),
        ],
        "updateProject prj_one mailbox": [
            lambda: file.update_project("prj_one", {"mailbox_id": "mbx_1", "mailbox_address": "x@mail.run402.com"})
        ],
        "updateProject prj_one clear mailbox": [
            lambda: file.update_project("prj_one", {"mailbox_id": None, "mailbox_address": None})
        ],
        "updateProject unknown id is a no-op": [lambda: file.update_project("prj_none", {"mailbox_id": "m"})],
        "removeProject prj_two (active) falls back": [lambda: file.remove_project("prj_two")],
        "removeProject prj_one (active, no fallback)": [lambda: file.remove_project("prj_one")],
    }
    sequence = VECTORS["keystore_sequence"]
    assert [state["op"] for state in sequence["states"]] == list(steps)
    for state in sequence["states"]:
        for step in steps[state["op"]]:
            step()
        assert file.path.read_bytes() == state["file_text"].encode()
        assert f"{file.path.stat().st_mode & 0o777:o}" == sequence["mode_octal"]


def test_error_json() -> None:
    for case in VECTORS["error_json"]:
        assert case["name"] == "LocalError"
        made = LocalError("bad input", context={"doing": "validating"}).to_dict()
        assert json.dumps(made, separators=(",", ":")) == case["json"]
