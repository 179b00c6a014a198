"""What browsers and the proxy bring to an app: callbacks, top-ups, states, addresses, envelopes."""

from __future__ import annotations

import math
from urllib.parse import parse_qsl, urlencode, urlsplit

from inputs import json_of, only_ours, texts

from tollkit.core.weburl import WebUrl, is_absolute_url, parse_http_url, query_pairs
from tollkit.errors import ArgumentError
from tollkit.tokenite import config
from tollkit.tokenite.callback import CallbackFailure, CallbackSuccess, Malformed, parse_callback
from tollkit.tokenite.proxy import read_error_envelope, read_success_envelope
from tollkit.tokenite.state import StateError, StateSigner, is_own_path
from tollkit.tokenite.top_up import TopUpDone, TopUpFailed, parse_top_up_message, parse_top_up_return
from tollkit.tokenite.web.core import safe_next

NOW = 1_767_225_600.0
SIGNER = StateSigner("k" * 32, now=lambda: NOW)


def callback(data: bytes) -> None:
    """parse_callback: address, expected state."""
    source, expected = texts(data, 2)
    raw = source.encode("utf-8", "surrogateescape")
    for given in (source, raw, {"query_string": raw}, {"QUERY_STRING": source}, dict(parse_qsl(source))):
        for state in (None, expected):
            found = parse_callback(given, state)
            if isinstance(found, CallbackSuccess):
                assert found.code
                assert not hasattr(found, "error")
                code = str.__str__(found.code)
                assert len(code) < 16 or code in (found.state or "") or code not in repr(found), "a code is shown"
                if state is not None:
                    assert found.state == state
                again = {"code": code, "state": found.state or ""}
                if given is source:
                    assert parse_callback(urlencode(again)) == found
            else:
                assert isinstance(found, CallbackFailure)
                assert not found
                assert not hasattr(found, "code")
                if isinstance(found, Malformed):
                    assert found.parameter in (None, "state", "code", "error", "error_description")


def top_up(data: bytes) -> None:
    """parse_top_up_return and parse_top_up_message: address, expected state, message."""
    source, expected, _ = texts(data, 3)
    message = json_of(data.split(b"\n--\n", 2)[-1])
    for found in (parse_top_up_return(source), parse_top_up_return(source, expected), parse_top_up_message(message)):
        assert found is None or isinstance(found, TopUpDone | TopUpFailed)
        if isinstance(found, TopUpDone):
            for amount in (found.new_limit, found.remaining):
                assert amount is None or (amount.is_finite() and len(format(amount, "f")) < 400)


def state(data: bytes) -> None:
    """StateSigner: a forged state, a session, a next address; and a true one that was changed."""
    forged, session, next_url = texts(data, 3)
    for given in (forged, f"{forged}=", None):
        assert _refusal(given, session), "a forged state was taken"
    try:
        issued = SIGNER.issue(session, next_url=next_url or None)
    except ArgumentError:
        return
    assert SIGNER.check(issued, session).next_url == (next_url or None)
    at = len(data) % len(issued)
    changed = issued[:at] + ("A" if issued[at] != "A" else "B") + issued[at + 1 :]
    assert _refusal(changed, session) in ("state_signature", "state_malformed")
    assert _refusal(issued, session + "x") == "state_wrong_session"


def _refusal(state: str | None, session: str) -> str | None:
    try:
        SIGNER.check(state, session)
    except StateError as refused:
        return refused.code
    return None


def web_address(data: bytes) -> None:
    """parse_http_url, is_own_path and safe_next: an address, a path."""
    address, path = texts(data, 2)
    found = parse_http_url(address)
    is_absolute_url(address)
    query_pairs(address)
    if found is not None:
        assert isinstance(found, WebUrl)
        assert parse_http_url(found.href) == found, "what it wrote it reads differently"
        assert found.host
        assert found.userinfo or found.href.startswith(found.origin)
        assert found.href.isascii()
        assert not set(found.host) & set(" /\\?#@\t\r\n<>^|%")
        # what sends the request reads the same host
        assert (urlsplit(found.href).hostname or "").strip("[]") == found.host.strip("[]")
    site = parse_http_url("https://site.example/")
    assert site is not None
    for candidate in {path, safe_next(path, "/")}:
        if is_own_path(candidate):
            there = parse_http_url(f"https://site.example{candidate}")
            assert there is not None
            assert there.origin == site.origin
    assert is_own_path(safe_next(path, "/"))


def envelope(data: bytes) -> None:
    """The envelopes of Tokenite's proxy."""
    body = json_of(data)
    found = read_error_envelope(body, 402, funding_codes=config.FUNDING_CODES)
    if found is not None:
        assert not found.retryable or not found.is_funding
        assert found.to_dict()
        assert found.retry_after is None or math.isfinite(found.retry_after)
        error = found.to_exception()
        assert error.code == found.code
    if isinstance(body, dict):
        with only_ours():
            success = read_success_envelope(body, 200)
            assert success.to_dict()["provider"] == success.provider
