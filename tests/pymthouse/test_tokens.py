"""Tokens as they come: what they are, when they expire; never shown, never guessed."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkit.errors import ArgumentError, DecodeError
from tollkit.pymthouse import tokens
from tollkit.pymthouse.errors import PmtHouseError

EXCHANGE = {
    "access_token": "pmth_sentinel",
    "token_type": "bearer",
    "expires_in": 60,
    "issued_token_type": tokens.ACCESS_TOKEN_TYPE,
}


def jwt(payload: str) -> str:
    return f"e30.{base64.urlsafe_b64encode(payload.encode()).decode().rstrip('=')}.x"


def test_constants() -> None:
    assert tokens.SIGNER_SESSION_TTL_MS == tokens.SIGNER_SESSION_EXPIRES_IN_SEC * 1000 == 7_776_000_000
    assert tokens.SIGN_JOB_SCOPE == "sign:job"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ('{"exp":1700000000.9999}', datetime(2023, 11, 14, 22, 13, 20, 999_000, UTC)),
        ('{"exp":0.001}', datetime(1970, 1, 1, 0, 0, 0, 1000, UTC)),
        ('{"exp":253402300799}', datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ('{"exp":253402300800}', None),
        ('{"exp":1e999}', None),
        ('{"exp":' + "9" * 400 + "}", None),
        ('{"exp":NaN}', None),
        ('{"exp":true}', None),
        ('{"exp":Infinity}', None),
        ("null", None),
        ('"exp"', None),
        ("{}", None),
        ("{", None),
        ("[" * 100_000, None),
    ],
)
def test_expiry_of_a_jwt(payload: str, expected: datetime | None) -> None:
    assert tokens.decode_jwt_exp(jwt(payload)) == expected


def test_expiry_is_read_from_either_base64_alphabet_padded_or_not() -> None:
    payload = json.dumps({"exp": 1_700_000_000, "n": "\u00ff\u00fe?>~"}, ensure_ascii=False).encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for text in (encode(payload).decode(), encode(payload).decode().rstrip("=")):
            assert tokens.decode_jwt_exp(f" x.{text}. ") == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


@given(st.text(max_size=40) | st.text(alphabet="eyJ.-_=abc {}", max_size=40))
def test_any_text_is_told_without_an_exception(text: str) -> None:
    jwt_like, opaque = tokens.is_likely_oidc_jwt(text), tokens.is_opaque_signer_session_token(text)
    assert not (jwt_like and opaque)
    expires = tokens.decode_jwt_exp(text)
    assert expires is None or expires.tzinfo is UTC


@given(st.floats(min_value=1, max_value=1e10))
def test_expiry_is_never_later_than_said(exp: float) -> None:
    found = tokens.decode_jwt_exp(jwt(json.dumps({"exp": exp})))
    assert found is not None
    assert timedelta(0) <= datetime.fromtimestamp(0, UTC) + timedelta(seconds=exp) - found < timedelta(milliseconds=1)


def test_session_expiry_is_ninety_days_later_whatever_the_zone() -> None:
    local = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    expected = datetime(2026, 4, 1, tzinfo=UTC)
    assert tokens.compute_signer_session_expiry(local) == expected
    assert tokens.compute_signer_session_expiry("Jan 1 2026") == expected
    with pytest.deprecated_call():
        assert tokens.compute_pymthouse_expiry("2026-01-01T00:00:00Z") == expected


@pytest.mark.parametrize(
    "bad", ["nonsense", "", datetime(2026, 1, 1), None, datetime.max.replace(tzinfo=UTC), "+099999-01-01"]
)
def test_session_expiry_of_what_is_no_time(bad: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        tokens.compute_signer_session_expiry(bad)
    assert isinstance(caught.value, PmtHouseError)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"issued_token_type": None}, "Token exchange returned an unexpected issued_token_type"),
        ({"issued_token_type": "x", "token_type": "dpop"}, "Token exchange returned an unexpected issued_token_type"),
        ({"token_type": "dpop"}, "Token endpoint returned a non-Bearer token_type"),
        ({"token_type": 5}, "Token endpoint returned a non-Bearer token_type"),
        ({"access_token": ""}, "Token endpoint returned no access_token"),
        ({"expires_in": "60"}, "Token response missing expires_in"),
        ({"expires_in": True}, "Token response missing expires_in"),
    ],
)
def test_exchange_answers_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DecodeError) as caught:
        tokens.token_exchange_result(EXCHANGE | changes)
    assert caught.value.message == message
    assert (caught.value.code, caught.value.status) == ("invalid_token_response", 502)
    assert "sentinel" not in repr(caught.value) + str(caught.value.to_dict())


def test_exchange_details_name_what_was_wrong() -> None:
    with pytest.raises(DecodeError) as caught:
        tokens.token_exchange_result(EXCHANGE | {"issued_token_type": "urn:x"})
    assert caught.value.details == {"issued_token_type": "urn:x"}


def test_results_hide_their_tokens_and_give_them_when_asked() -> None:
    exchange = tokens.token_exchange_result(EXCHANGE)
    machine = tokens.client_credentials_result({"access_token": "sentinel", "token_type": "Bearer", "scope": 5})
    session = tokens.parse_signer_session_exchange(exchange)
    assert "sentinel" not in repr((exchange, machine, session))
    assert exchange.to_dict()["access_token"] == session.access_token == "pmth_sentinel"
    assert machine.to_dict() == {"access_token": "sentinel", "token_type": "Bearer"}
    assert session.to_dict() == {
        "accessToken": "pmth_sentinel", "tokenType": "Bearer", "expiresIn": 60, "scope": "sign:job",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "expected"),
    [(0.5, 0), (3600.9, 3600), (0, 7_776_000), ("60", 7_776_000), (True, 7_776_000), (float("inf"), 7_776_000)],
)
def test_session_lifetimes(sent: Any, expected: int) -> None:
    assert tokens.parse_signer_session_exchange({"access_token": "pmth_a", "expires_in": sent}).expires_in == expected


@pytest.mark.parametrize("token", [None, 5, "", " \ufeff"])
def test_a_session_without_a_token(token: Any) -> None:
    with pytest.raises(DecodeError, match="returned no access_token"):
        tokens.parse_signer_session_exchange({"access_token": token})


def test_a_jwt_is_no_session() -> None:
    with pytest.raises(DecodeError, match="expected opaque signer session token") as caught:
        tokens.parse_signer_session_exchange({"access_token": " eyJ.sentinel.c "})
    assert "sentinel" not in str(caught.value)
