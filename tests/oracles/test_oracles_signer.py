"""Our signer against eth-account, which is what the world signs with."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from eth_utils.address import to_checksum_address
from hypothesis import given, settings
from hypothesis import strategies as st

from support.run402_wallet import ADDRESS, KEY, OTHER_ADDRESS
from tollkit.errors import ArgumentError, MissingExtraError
from tollkit.run402.address import checked_address, checksum_address, is_address, keccak256
from tollkit.run402.eip712 import typed_data_digest
from tollkit.run402.errors import Run402Error, is_local_error
from tollkit.run402.signer import (
    AccountSigner,
    PrivateKeySigner,
    Signer,
    join_signature,
    message_digest,
    new_private_key,
)
from tollkit.secrets import Secret

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
keys = st.integers(1, ORDER - 1).map(lambda number: f"0x{number:064x}")
words = st.binary(min_size=20, max_size=20)


@given(words)
def test_checksums_as_eth_utils(raw: bytes) -> None:
    right = to_checksum_address(raw)
    for spelt in (raw.hex(), raw.hex().upper(), right[2:]):
        assert checksum_address("0x" + spelt) == checked_address("a", "0x" + spelt) == right


def test_eip_55_examples() -> None:
    """Of the text of EIP-55."""
    for address in (
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0xde709f2102306220921060314715629080e2fb77",
    ):
        assert checksum_address(address.lower()) == address


@pytest.mark.parametrize("wrong", ["", "0x", "0x12", "f" * 42, "0x" + "g" * 40, ADDRESS + "0", ADDRESS[2:], None, 7])
def test_no_addresses(wrong: Any) -> None:
    assert not is_address(wrong)
    with pytest.raises(ArgumentError, match="40 hex digits") as caught:
        checksum_address(wrong)
    assert is_local_error(caught.value)
    with pytest.raises(ArgumentError, match=r"^payee"):
        checked_address("payee", wrong)


def test_a_slip_in_an_address_is_noticed() -> None:
    with pytest.raises(ArgumentError, match="wrong checksum"):
        checked_address("payee", ADDRESS.replace("F", "f", 1))


def test_keccak_is_not_sha3() -> None:
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


@settings(max_examples=60, deadline=None)
@given(keys, st.binary(max_size=300))
def test_messages_as_eth_account(key: str, message: bytes) -> None:
    account = Account.from_key(key)
    signer = PrivateKeySigner(key)
    assert isinstance(signer, Signer)
    assert signer.address == account.address
    theirs = account.sign_message(encode_defunct(primitive=message)).signature
    assert signer.sign_message(message) == bytes(theirs) == AccountSigner(account).sign_message(message)


TYPES = {
    "EIP712Domain": [
        {"name": "name", "type": "string"},
        {"name": "chainId", "type": "uint256"},
        {"name": "salt", "type": "bytes32"},
    ],
    "Person": [{"name": "name", "type": "string"}, {"name": "wallets", "type": "address[]"}],
    "Detail": [
        {"name": "flag", "type": "bool"},
        {"name": "small", "type": "int8"},
        {"name": "tag", "type": "bytes4"},
    ],
    "Mail": [
        {"name": "from", "type": "Person"},
        {"name": "to", "type": "Person[]"},
        {"name": "details", "type": "Detail[2]"},
        {"name": "grid", "type": "uint16[2][]"},
        {"name": "data", "type": "bytes"},
        {"name": "value", "type": "uint256"},
        {"name": "debt", "type": "int256"},
    ],
}
addresses = words.map(lambda raw: "0x" + raw.hex())
texts = st.text(st.characters(codec="utf-8"), max_size=20)
people = st.fixed_dictionaries({"name": texts, "wallets": st.lists(addresses, max_size=3)})
details = st.fixed_dictionaries(
    {"flag": st.booleans(), "small": st.integers(-128, 127), "tag": st.binary(min_size=4, max_size=4)}
)
mails = st.fixed_dictionaries(
    {
        "from": people,
        "to": st.lists(people, max_size=2),
        "details": st.lists(details, min_size=2, max_size=2),
        "grid": st.lists(st.lists(st.integers(0, 65535), min_size=2, max_size=2), max_size=2),
        "data": st.binary(max_size=40),
        "value": st.integers(0, 2**256 - 1),
        "debt": st.integers(-(2**255), 2**255 - 1),
    }
)


@settings(max_examples=60, deadline=None)
@given(mails, texts, st.integers(0, 2**64), st.binary(min_size=32, max_size=32))
def test_typed_data_as_eth_account(message: dict[str, Any], name: str, chain: int, salt: bytes) -> None:
    data = {
        "types": TYPES,
        "primaryType": "Mail",
        "domain": {"name": name, "chainId": chain, "salt": salt},
        "message": message,
    }
    account = Account.from_key(KEY)
    theirs = bytes(account.sign_message(encode_typed_data(full_message=data)).signature)
    assert PrivateKeySigner(KEY).sign_typed_data(data) == theirs
    assert AccountSigner(account).sign_typed_data(data) == theirs


def typed(kind: str, value: Any) -> dict[str, Any]:
    return {
        "types": {"EIP712Domain": [], "M": [{"name": "v", "type": kind}]},
        "primaryType": "M",
        "domain": {},
        "message": {"v": value},
    }


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", 256),
        ("uint8", -1),
        ("int8", 128),
        ("uint256", 1.0),
        ("uint256", True),
        ("uint256", "1e3"),
        ("uint256", "0x10"),
        ("bool", 1),
        ("address", "0x12"),
        ("bytes4", b"123"),
        ("bytes32", "0xzz"),
        ("bytes", 7),
        ("uint8[2]", [1]),
        ("uint8[]", 5),
        ("money", 1),
        ("string", 5),
        ("string", b"x"),
        ("string", None),
        ("bytes0", b""),
        ("bytes33", bytes(33)),
        ("uint7", 1),
        ("uint264", 1),
        ("uint0", 0),
        ("Nested", {}),
    ],
)
def test_typed_data_that_is_wrong_is_refused(kind: str, value: Any) -> None:
    """Never hashed into something else: what is signed is what was meant."""
    with pytest.raises(ArgumentError, match="cannot be hashed"):
        typed_data_digest(typed(kind, value))


def test_typed_data_without_its_parts() -> None:
    for missing in ("types", "primaryType", "domain", "message"):
        data = typed("uint8", 1)
        del data[missing]
        with pytest.raises(ArgumentError, match=missing):
            typed_data_digest(data)


def test_numbers_and_bytes_may_be_text() -> None:
    assert typed_data_digest(typed("uint256", "17")) == typed_data_digest(typed("uint256", 17))
    assert typed_data_digest(typed("bytes4", "0x01020304")) == typed_data_digest(typed("bytes4", b"\1\2\3\4"))


@settings(max_examples=40, deadline=None)
@given(keys, st.binary(max_size=40), st.booleans())
def test_half_signatures_of_a_kms(key: str, message: bytes, high: bool) -> None:
    signer = PrivateKeySigner(key)
    whole = signer.sign_message(message)
    r, s = int.from_bytes(whole[:32], "big"), int.from_bytes(whole[32:64], "big")
    assert join_signature(message_digest(message), r, ORDER - s if high else s, signer.address.lower()) == whole


def test_half_signatures_of_others() -> None:
    with pytest.raises(ArgumentError, match="was not made by"):
        join_signature(message_digest(b"x"), 5, 7, ADDRESS)
    whole = PrivateKeySigner(KEY).sign_message(b"x")
    with pytest.raises(ArgumentError, match="was not made by"):
        join_signature(
            message_digest(b"x"),
            int.from_bytes(whole[:32], "big"),
            int.from_bytes(whole[32:64], "big"),
            OTHER_ADDRESS,
        )


@pytest.mark.parametrize(
    "wrong", ["", "0x", KEY[2:], KEY + "0", "0x" + "g" * 64, "0x" + "0" * 64, f"0x{ORDER:064x}", 5]
)
def test_keys_that_are_none_are_not_shown(wrong: Any) -> None:
    with pytest.raises(ArgumentError, match="64 hex digits") as caught:
        PrivateKeySigner(wrong)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    if len(str(wrong)) > 3:
        assert str(wrong) not in str(caught.value)


def test_a_key_does_not_get_out() -> None:
    signer = PrivateKeySigner(Secret(KEY))
    assert repr(signer) == f"PrivateKeySigner({ADDRESS})"
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="does not leave"):
            leave(signer)
    made = new_private_key()
    assert isinstance(made, Secret)
    assert made != new_private_key()
    assert made[2:] not in repr(made)
    assert PrivateKeySigner.generate().address != PrivateKeySigner.generate().address


def test_a_key_beyond_the_order_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter([bytes(32), b"\xff" * 32, b"\1" * 32])
    monkeypatch.setattr("os.urandom", lambda count: next(draws))
    assert new_private_key() == "0x" + "01" * 32


def test_an_account_has_an_address() -> None:
    signer = AccountSigner(Account.from_key(KEY))
    assert repr(signer) == f"AccountSigner({ADDRESS})"
    assert isinstance(signer, Signer)
    with pytest.raises(ArgumentError, match=r"^account"):
        AccountSigner(type("Wrong", (), {"address": "0x"}))


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "coincurve", None)
    with pytest.raises(MissingExtraError, match=r"tollkit\[payments\]") as caught:
        PrivateKeySigner(KEY)
    assert isinstance(caught.value, Run402Error)
    monkeypatch.setitem(sys.modules, "Crypto.Hash", None)
    with pytest.raises(MissingExtraError, match=r"tollkit\[payments\]"):
        checksum_address("0x" + "a1" * 20)  # one that nobody has asked for: the others are kept


def test_nothing_of_the_extra_is_imported_before_it_is_needed() -> None:
    program = (
        "import sys, pkgutil, importlib, tollkit.run402 as r\n"
        "for m in pkgutil.iter_modules(r.__path__): importlib.import_module(f'tollkit.run402.{m.name}')\n"
        "r.PrivateKeySigner; r.MemoryCredentials({'p': {'anon_key': 'a', 'service_key': 's'}}).get_auth('/')\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('coincurve', 'Crypto', 'eth_account', 'filelock')])"
    )
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
    )


def test_halves_that_are_no_numbers_of_the_curve() -> None:
    for r, s in ((0, 1), (1, 0), (ORDER, 1), (1, ORDER), (2**256, 1), (-1, 1)):
        with pytest.raises(ArgumentError, match="order of secp256k1"):
            join_signature(bytes(32), r, s, PrivateKeySigner(KEY).address)


def test_a_signer_that_is_not_made_yet_can_be_shown() -> None:
    assert repr(object.__new__(PrivateKeySigner)) == "PrivateKeySigner(...)"
