"""Settings from the environment, amounts for people, device codes, and the family of errors."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkit.errors import ArgumentError, ConfigurationError, NotFoundError, TollkitError
from tollkit.pymthouse import config, device, env, errors
from tollkit.pymthouse import format as formats
from tollkit.usage import wei_to_eth

FULL = {
    "PYMTHOUSE_ISSUER_URL": " https://PH.example:443/api/v1/oidc// ",
    "PYMTHOUSE_PUBLIC_CLIENT_ID": "app_1",
    "PYMTHOUSE_M2M_CLIENT_ID": "m2m_1\ufeff",
    "PYMTHOUSE_M2M_CLIENT_SECRET": " sentinel ",
}


def test_the_process_environment_is_read_at_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FULL:
        monkeypatch.delenv(name, raising=False)
    assert config.read_pymthouse_env() is None
    assert not config.is_pymthouse_configured()
    for name, value in FULL.items():
        monkeypatch.setenv(name, value)
    found = config.read_pymthouse_env()
    assert found is not None
    assert found == env.require_pymthouse_env()
    assert (found.issuer_url, found.m2m_client_id) == ("https://PH.example:443/api/v1/oidc", "m2m_1")
    assert found.m2m_client_secret == "sentinel"
    assert "sentinel" not in repr(found)
    assert config.get_pymthouse_issuer_url_from_env() == "https://ph.example/api/v1/oidc"
    assert config.get_pymthouse_public_client_id_from_env() == "app_1"
    assert env.get_pymthouse_base_url() == "https://ph.example"


def test_missing_variables_are_told_in_order() -> None:
    told: list[str] = []
    known: dict[str, str] = {}
    for name, value in FULL.items():
        with pytest.raises(ConfigurationError) as caught:
            env.require_pymthouse_env(known)
        assert isinstance(caught.value, errors.PmtHouseError)
        assert (caught.value.code, caught.value.status) == ("missing_env", 500)
        told.append(caught.value.message.removeprefix("Missing required environment variable: "))
        known[name] = value
    assert told == list(FULL)
    assert all(name in config.PYMTHOUSE_NOT_CONFIGURED_MESSAGE for name in FULL)


def test_an_issuer_must_be_an_http_address() -> None:
    for text in ("nope", "ftp://ph.example", "localhost:3001", "///"):
        with pytest.raises(ConfigurationError, match="PYMTHOUSE_ISSUER_URL"):
            env.get_pymthouse_base_url({"PYMTHOUSE_ISSUER_URL": text})
        with pytest.raises(ArgumentError, match="issuer_url"):
            config.get_pymthouse_issuer_origin(text)
        assert config.get_pymthouse_issuer_url_from_env({"PYMTHOUSE_ISSUER_URL": text}) is None


@pytest.mark.parametrize(
    ("issuer", "base"),
    [
        (" https://ph.example/api/v1/oidc/ ", "https://ph.example/api/v1"),
        ("https://ph.example/oidc/oidc", "https://ph.example/oidc"),
        ("https://ph.example/api/v1//oidc", "https://ph.example/api/v1/"),
        ("https://ph.example/OiDc///", "https://ph.example"),
        ("https://ph.example/oidcx", "https://ph.example/oidcx"),
        ("", ""),
    ],
)
def test_the_base_of_the_builder_api(issuer: str, base: str) -> None:
    assert config.get_builder_api_v1_base_from_issuer_url(issuer) == base


@pytest.mark.parametrize(
    ("wei", "eth"),
    [
        (None, "0 ETH"), ("", "0 ETH"), (0, "0 ETH"), ("999999999999", "0 ETH"), ("-999999999999", "0 ETH"),
        ("1234567890000000000", "1.234567 ETH"), ("1100000000000000000", "1.100000 ETH"), (-(10**18), "-1 ETH"),
        (" +0001000000000000 ", "0.000001 ETH"),
    ],
)  # fmt: skip
def test_wei_as_eth(wei: Any, eth: str) -> None:
    assert formats.format_wei_to_eth(wei) == eth


@given(st.integers(min_value=-(10**27), max_value=10**27))
def test_eth_is_cut_towards_zero(wei: int) -> None:
    shown = Decimal(formats.format_wei_to_eth(wei).removesuffix(" ETH"))
    assert abs(shown) <= abs(wei_to_eth(wei)) < abs(shown) + Decimal("0.000001")
    assert formats.format_wei_to_eth(str(wei)) == formats.format_wei_to_eth(wei)


@pytest.mark.parametrize(
    ("wei", "price", "usd"),
    [
        (10**18, 3500, "$3500.00"),
        (10**18, 1.005, "$1.00"),
        (10**18, Decimal("1.005"), "$1.01"),
        (10**18, "1.005", "$1.01"),
        (-(10**18), Decimal("1.005"), "$-1.01"),
        (-1, 3500, "$-0.00"),
        (0, -5, "$0.00"),
        (10**50, 1, "$1" + "0" * 32 + ".00"),
        (10**18, float("nan"), "$NaN"),
        (0, float("inf"), "$NaN"),
        (1, float("-inf"), "$-Infinity"),
        (-1, float("-inf"), "$Infinity"),
        (1, 1e300, "$" + str(int(1e300) // 10**18) + ".50"),
    ],
)
def test_wei_as_usd(wei: int, price: Any, usd: str) -> None:
    found = formats.format_wei_to_usd(wei, price)
    assert found == usd or (price == 1e300 and found.startswith(usd[:20]))


@pytest.mark.parametrize("function", [formats.format_wei_to_eth, formats.format_wei_to_usd])
@pytest.mark.parametrize("bad", ["1.5", "abc", 1.5, True, []])
def test_wei_that_is_no_whole_number(function: Any, bad: Any) -> None:
    if bad:
        with pytest.raises(errors.PmtHouseError, match="wei must be a whole number"):
            function(bad)


@pytest.mark.parametrize("price", ["abc", None, [], "1,5"])
def test_a_price_that_is_no_number(price: Any) -> None:
    with pytest.raises(errors.PmtHouseError, match="usd_per_eth"):
        formats.format_wei_to_usd("1", price)


@given(st.text(max_size=30))
def test_user_codes_normalise_once_and_for_all(text: str) -> None:
    code = device.normalize_user_code(text)
    assert device.normalize_user_code(code) == code
    assert code.isascii()
    assert code == code.upper()
    assert device.build_device_code_resource(text) == f"urn:pmth:device_code:{code}"


def test_any_error_becomes_one_of_the_family() -> None:
    cause = ValueError("boom")
    made = errors.to_pmt_house_error(cause, "fallback")
    assert (made.message, made.code, made.status, made.__cause__) == ("boom", "unexpected_error", 500, cause)
    assert errors.to_pmt_house_error(KeyboardInterrupt("x"), "fallback").message == "fallback"
    ours = NotFoundError("gone", code="not_found", status=404)
    assert errors.to_pmt_house_error(ours, "fallback") is ours
    assert isinstance(ours, errors.PmtHouseError)
    assert isinstance(ours, NotFoundError)
    assert errors.to_pmt_house_error(ours, "fallback") is ours


def test_the_family_error_alone() -> None:
    error = errors.PmtHouseError("msg")
    assert (error.code, error.status, error.kind, dict(error.details)) == ("pymthouse_error", 500, "error", {})
    assert errors.PmtHouseError("msg", body={"a": 1}).details == {"a": 1}
    with pytest.raises(errors.PmtHouseError), errors.family():
        raise TollkitError("x")
