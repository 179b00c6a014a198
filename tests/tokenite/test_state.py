"""Signed states: what is refused, with which code, and that nothing else ever happens."""

from __future__ import annotations

import base64
import hmac
import traceback
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tollkit.errors import ArgumentError, TokenError
from tollkit.tokenite import state as module
from tollkit.tokenite.errors import TokeniteError
from tollkit.tokenite.state import SignedState, StateError, StateSigner, is_own_path, new_state

KEY = "a key of enough letters, for a test"
SESSION = "session-1"
NOW = 1_780_000_000


class Clock:
    def __init__(self) -> None:
        self.now: float = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def signer(clock: Clock) -> StateSigner:
    return StateSigner(KEY, now=clock)


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def refusal(signer: StateSigner, state: Any, session: Any = SESSION) -> str | None:
    with pytest.raises(StateError) as caught:
        signer.check(state, session)
    error = caught.value
    assert isinstance(error, TokenError)
    assert isinstance(error, TokeniteError)
    assert (error.status, error.kind, error.hint) == (400, "state_invalid", "Let the user begin again")
    return error.code


@pytest.mark.parametrize("next_url", [None, "/", "/reports?page=2&q=a%20b#top", "/caf\u00e9", "/" + "x" * 1023])
def test_there_and_back(signer: StateSigner, next_url: str | None) -> None:
    state = signer.issue(SESSION, next_url=next_url)
    at = datetime.fromtimestamp(NOW, UTC)
    assert signer.check(state, SESSION) == SignedState(next_url, at, at + timedelta(seconds=600))
    assert state.replace("-", "").replace("_", "").isalnum()
    assert state.isascii()
    assert len(state) == 115 if next_url is None else len(state) <= 1481


def test_states_differ_and_show_nothing_of_the_session(signer: StateSigner) -> None:
    states = {signer.issue(SESSION) for _ in range(50)}
    assert len(states) == 50
    raw = [base64.urlsafe_b64decode(state + "=") for state in states]
    assert not any(SESSION.encode() in one for one in raw)
    assert len({one[22:54] for one in raw}) == 50  # the binding itself


def test_random_states() -> None:
    one, other = new_state(), new_state()
    assert one != other
    assert len(bytes.fromhex(one)) == 16
    assert one == one.lower()


def test_a_good_state_is_frozen(signer: StateSigner) -> None:
    good = signer.check(signer.issue(SESSION, next_url="/a"), SESSION)
    match good:
        case SignedState(next_url):
            assert next_url == "/a"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        good.next_url = "/b"


# --- refusals -------------------------------------------------------------------------------------------------------


def test_missing(signer: StateSigner) -> None:
    assert [refusal(signer, state) for state in (None, "")] == ["state_missing"] * 2


@pytest.mark.parametrize("session", [None, "", "session-2", "session-1 ", "SESSION-1", b"session-1", 5, "\ud800"])
def test_another_session(signer: StateSigner, session: Any) -> None:
    assert refusal(signer, signer.issue(SESSION), session) == "state_wrong_session"


@pytest.mark.parametrize(
    ("later", "code"),
    [(0, None), (600, None), (600.5, "state_expired"), (10**9, "state_expired"), (-60, None), (-61, "state_expired")],
)
def test_expiry(signer: StateSigner, clock: Clock, later: float, code: str | None) -> None:
    state = signer.issue(SESSION)
    clock.now += later
    if code is None:
        assert signer.check(state, SESSION).expires_at.timestamp() == NOW + 600
    else:
        assert refusal(signer, state) == code


def test_the_system_clock_is_the_default() -> None:
    signer = StateSigner(KEY)
    found = signer.check(signer.issue(SESSION), SESSION)
    assert abs(found.issued_at - datetime.now(UTC)) < timedelta(minutes=5)


def test_another_key_or_purpose(signer: StateSigner, clock: Clock) -> None:
    state = signer.issue(SESSION)
    for other in (StateSigner(KEY + "!", now=clock), StateSigner(KEY, purpose="top-up", now=clock)):
        assert refusal(other, state) == "state_signature"
        assert refusal(signer, other.issue(SESSION)) == "state_signature"


def test_keys_are_rotated(signer: StateSigner, clock: Clock) -> None:
    new = b"\x00\xff" * 16
    rotated = StateSigner([new, KEY], now=clock)
    assert rotated.check(signer.issue(SESSION), SESSION)
    assert StateSigner(new, now=clock).check(rotated.issue(SESSION), SESSION)
    assert refusal(signer, rotated.issue(SESSION)) == "state_signature"
    assert StateSigner((KEY.encode(),), now=clock).check(signer.issue(SESSION), SESSION)


def test_every_flipped_bit_is_refused(signer: StateSigner) -> None:
    state = signer.issue(SESSION, next_url="/reports")
    raw = base64.urlsafe_b64decode(state + "=" * (-len(state) % 4))
    codes = set()
    for bit in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        codes.add((bit < 8, refusal(signer, encoded(changed))))
    assert codes == {(True, "state_malformed"), (False, "state_signature")}  # the first byte tells the version


def test_every_other_spelling_is_refused(signer: StateSigner) -> None:
    """One state has one text: the last letter has bits that base64 does not use."""
    state = signer.issue(SESSION)
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for letter in last.replace(state[-1], ""):
        assert refusal(signer, state[:-1] + letter) in {"state_malformed", "state_signature"}
    for begin, end in (
        ("", "="),
        ("", "=="),
        ("", "\n"),
        (" ", ""),
        ("", "!"),
        ("", "\u00e9"),
        ("", "."),
        ("", state),
    ):
        assert refusal(signer, begin + state + end) in {"state_malformed", "state_signature"}
    for other in (state[:-1], state[1:], state * 1000, state.encode(), list(state), 5, "\ud800"):
        assert refusal(signer, other) in {"state_malformed", "state_signature"}


TEXTS = ["a", "A" * 4, "A" * 115, "AQ" + "A" * 113, "0123456789abcdef" * 2, "\0", "=" * 8, "%41" * 40]


@pytest.mark.parametrize("state", TEXTS)
def test_what_is_none_of_ours(signer: StateSigner, state: str) -> None:
    assert refusal(signer, state) in {"state_malformed", "state_signature"}


@settings(max_examples=1000, deadline=None)
@given(st.text(max_size=200) | st.binary(max_size=200).map(encoded), st.none() | st.text(max_size=20))
def test_hostile_states_get_a_state_error(state: str, session: str | None) -> None:
    assert refusal(StateSigner(KEY), state, session) in {"state_missing", "state_malformed", "state_signature"}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_changed_state_is_refused(data: st.DataObject) -> None:
    signer = StateSigner(KEY)
    state = signer.issue(SESSION, next_url="/a")
    at = data.draw(st.integers(0, len(state)))
    until = data.draw(st.integers(at, len(state)))
    changed = state[:at] + data.draw(st.text("AZaz09-_", max_size=8)) + state[until:]
    assume(changed != state)
    assert refusal(signer, changed) in {"state_missing", "state_malformed", "state_signature"}


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1), st.none() | st.text(max_size=20))
def test_a_state_is_good_for_its_own_session_alone(session: str, other: str | None) -> None:
    signer = StateSigner(KEY)
    state = signer.issue(session)
    assert signer.check(state, session).next_url is None
    assume(other != session)
    assert refusal(signer, state, other) == "state_wrong_session"


def test_an_address_that_the_rules_refuse_now_is_refused_though_signed(signer: StateSigner) -> None:
    """Another release may have signed it, or whoever else has the key."""
    key = hmac.digest(KEY.encode(), b"tollkit.tokenite.state", "sha256")
    head = b"\x01" + NOW.to_bytes(5, "big") + bytes(16)
    for next_url, code in ((b"/good", None), (b"//evil.example", "state_malformed"), (b"/\xff\n", "state_malformed")):
        body = head + hmac.digest(key, b"session" + head + SESSION.encode(), "sha256") + next_url
        forged = encoded(body + hmac.digest(key, b"state" + body, "sha256"))
        if code is None:
            assert signer.check(forged, SESSION).next_url == "/good"
        else:
            assert refusal(signer, forged) == code


# --- arguments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["", "short", b"fifteen bytes..", [], (), [KEY, "short"], [KEY, None], None, 5, {KEY: 1}]
)
def test_keys_that_are_refused(key: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        StateSigner(key)
    assert caught.value.argument == "secret_key"
    assert isinstance(caught.value, TokeniteError)


@pytest.mark.parametrize("max_age", [0, -1, float("nan"), float("inf"), True, "600", None, 10**10])
def test_ages_that_are_refused(max_age: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        StateSigner(KEY, max_age=max_age)
    assert caught.value.argument == "max_age"


def test_other_arguments_that_are_refused(signer: StateSigner) -> None:
    with pytest.raises(ArgumentError, match="purpose"):
        StateSigner(KEY, purpose="")
    for session in ("", " ", None, 5):
        with pytest.raises(ArgumentError, match="session"):
            signer.issue(session)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="next_url: must not be longer"):
        signer.issue(SESSION, next_url="/" + "x" * 1024)


OTHER_SITES = [
    "", "reports", "https://evil.example", "javascript:alert(1)",
    "//evil.example", "///evil.example", "/\\evil.example",
    "\\\\evil.example", "/\t/evil.example", "/\n/evil.example", "\t//evil.example", " //evil.example",
    "/.//evil.example",
    "/x/..//evil.example", "/%2e//evil.example", "/a\\b", "/a\0", "/a\x7f", "/a\u2028", "/\ud800", 5, b"/a", None,
]  # fmt: skip


@pytest.mark.parametrize("next_url", OTHER_SITES)
def test_addresses_that_may_lead_elsewhere(signer: StateSigner, next_url: Any) -> None:
    assert not is_own_path(next_url)
    if next_url is not None:
        with pytest.raises(ArgumentError) as caught:
            signer.issue(SESSION, next_url=next_url)
        assert caught.value.argument == "next_url"


@settings(max_examples=500, deadline=None)
@given(st.text("/\\.:@?#%2e\t\n x", max_size=12).map("/".__add__))
def test_what_passes_stays_on_the_site_by_the_words_of_the_standard_library_too(address: str) -> None:
    from urllib.parse import urljoin, urlsplit

    if is_own_path(address):
        assert urlsplit(urljoin("https://app.example/a/b", address)).netloc == "app.example"


def test_keys_sessions_and_states_are_not_shown(signer: StateSigner) -> None:
    assert KEY not in f"{signer!r}"
    state = signer.issue(SESSION)
    with pytest.raises(StateError) as expired:
        StateSigner(KEY, now=lambda: NOW * 2).check(state, SESSION)
    with pytest.raises(ArgumentError) as short:
        StateSigner([KEY, "hush"])
    derived = repr(hmac.digest(KEY.encode(), b"tollkit.tokenite.state", "sha256"))
    for caught in (expired, short):
        frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
        ours = [repr(frame.f_locals) for frame in frames if frame.f_code.co_filename == module.__file__]
        assert len(ours) > 1
        for secret in (KEY, SESSION, state, "hush", derived):
            assert secret not in " ".join(ours)
