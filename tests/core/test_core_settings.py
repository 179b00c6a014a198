"""Time-outs, options and connections: what is taken, and what is refused by name."""

from __future__ import annotations

import decimal
import importlib.util
import math
import ssl
from typing import Any

import pytest

from support.server import Server
from support.toy import AsyncToy, Side, Toy
from tollkit import Connection, Timeout
from tollkit.core.settings import KEEP, Options, merged
from tollkit.errors import ArgumentError, ConfigurationError, MissingExtraError

NOWHERE = "http://127.0.0.1:1"


def refused(name: str) -> Any:
    """The refusal of the argument `name`, which the message tells too."""

    class Refused:
        def __enter__(self) -> None:
            self._raises = pytest.raises(ArgumentError)
            self._caught = self._raises.__enter__()

        def __exit__(self, *exc: Any) -> bool:
            done = bool(self._raises.__exit__(*exc))
            assert self._caught.value.argument == name
            assert self._caught.value.message.startswith(f"{name}: must ")
            return done

    return Refused()


NO_SECONDS = [0, -1, -0.0, math.nan, math.inf, True, "5", decimal.Decimal(5), (5,), b""]


def test_a_timeout_of_one_number_is_for_all_four() -> None:
    assert Timeout.of(2.5) == Timeout(connect=2.5, read=2.5, write=2.5, pool=2.5)
    assert Timeout.of(3) == Timeout(connect=3, read=3, write=3, pool=3)
    assert Timeout.of(None) == Timeout(connect=None, read=None, write=None, pool=None)
    told = Timeout(read=120)
    assert Timeout.of(told) is told
    assert Timeout() == Timeout(connect=5.0, read=30.0, write=30.0, pool=30.0)


@pytest.mark.parametrize("value", NO_SECONDS, ids=repr)
def test_what_is_no_number_of_seconds(value: Any) -> None:
    with refused("timeout"):
        Timeout.of(value)
    for name in ("connect", "read", "write", "pool"):
        with refused(name):
            Timeout(**{name: value})
    if value != 0:
        with refused("keepalive_expiry"):
            Connection(keepalive_expiry=value)


def changed(options: Options | None = None, **changes: Any) -> Options:
    nothing: dict[str, Any] = {"timeout": KEEP, "max_retries": None, "headers": None, "on_event": None}
    return (options or Options()).changed(**{**nothing, **changes})


def test_options_change_what_is_given_and_nothing_else() -> None:
    def watch(event: Any) -> None:
        """Nothing."""

    first = changed(timeout=3, max_retries=5, headers={"X-A": "1"}, on_event=watch)
    assert first == Options(timeout=Timeout.of(3), max_retries=5, headers={"X-A": "1"}, on_event=watch)
    assert changed(first) == first
    assert changed(first, timeout=None).timeout == Timeout.of(None)
    assert changed(first, max_retries=0).max_retries == 0
    assert changed(first, timeout=KEEP).timeout == Timeout.of(3)
    assert repr(KEEP) == "KEEP"
    assert Options() == Options(timeout=None, max_retries=2, headers={}, on_event=None)


def test_headers_are_added_and_the_last_of_a_name_counts_whatever_its_case() -> None:
    options = changed(headers={"X-A": "1", "X-B": "1"})
    for headers in ({"x-a": "2"}, {"X-A": "3", "x-c": "3"}):
        options = changed(options, headers=headers)
    assert options.headers == {"X-A": "3", "X-B": "1", "x-c": "3"}
    assert merged({"a": "1"}, {}, {"A": "2"}) == {"A": "2"}


def test_headers_of_options_are_a_copy() -> None:
    mine = {"X-A": "1"}
    options = changed(headers=mine)
    mine["X-A"] = "2"
    assert options.headers == {"X-A": "1"}


@pytest.mark.parametrize(
    "headers",
    [
        "X-A: 1",
        [("X-A", "1")],
        {"X-A": 1},
        {"X-A": None},
        {1: "1"},
        {"": "1"},
        {"X A": "1"},
        {"X-A:": "1"},
        {"X-Ä": "1"},
        {"X-A\r\nX-B": "1"},
        {"X-A": "1\r\nX-B: 2"},
        {"X-A": "1\n"},
        {"X-A": "1\0"},
        {"X-A": "1\x01"},
        {"X-A": " 1"},
        {"X-A": "1 "},
        {"X-A": "Zoë"},
    ],
    ids=repr,
)
def test_headers_that_cannot_be_sent(headers: Any) -> None:
    with refused("headers"):
        changed(headers=headers)


@pytest.mark.parametrize(
    "value", ["", "a", "a b\tc", "!~", "W/\"x\", 'y'", "x" * 10_000], ids=lambda value: value[:20]
)
def test_headers_that_can_are_sent_as_they_are(side: Side, value: str) -> None:
    with Server() as server, side.client(server.url, headers={"X-A": value}) as toy:
        side.do(toy.ask())
    assert server.seen[0].headers["x-a"] == value


def test_the_value_of_a_refused_header_is_not_shown() -> None:
    with pytest.raises(ArgumentError) as caught:
        changed(headers={"Authorization": "Bearer s3cret\n"})
    assert "s3cret" not in str(caught.value)
    assert "Authorization" in str(caught.value)


@pytest.mark.parametrize("value", [-1, 1.0, True, "2", None, math.inf], ids=repr)
def test_whole_numbers(value: Any) -> None:
    if value is not None:
        with refused("max_retries"):
            changed(max_retries=value)
    with refused("max_connections"):
        Connection(max_connections=value)
    with refused("max_keepalive_connections"):
        Connection(max_keepalive_connections=value)


def test_no_connections_at_all_are_refused() -> None:
    with refused("max_connections"):
        Connection(max_connections=0)
    Connection(max_keepalive_connections=0, keepalive_expiry=0)


@pytest.mark.parametrize("value", [False, None, 0, "ca.pem", "", object], ids=repr)
def test_certificates_are_always_verified(value: Any) -> None:
    with refused("verify"):
        Connection(verify=value)


@pytest.mark.parametrize("value", [None, 0, "false"], ids=repr)
def test_truth_values(value: Any) -> None:
    for name in ("http2", "trust_env"):
        with refused(name):
            Connection(**{name: value})


@pytest.mark.parametrize(
    "value", ["", "proxy:3128", "ftp://proxy", "http://", "http://a b", 3128, b"http://proxy"], ids=repr
)
def test_what_is_no_proxy(value: Any) -> None:
    with refused("proxy"):
        Connection(proxy=value)


@pytest.mark.parametrize(
    "value", ["http://proxy:3128", "https://user:pass@proxy:3128/", "http://[::1]:3128", "socks5://proxy", None]
)
def test_what_is_one(value: str | None) -> None:
    assert Connection(proxy=value).proxy == value


def test_the_password_of_a_proxy_is_not_shown() -> None:
    shown = repr(Connection(proxy="http://user:s3cret@proxy:3128"))
    assert "s3cret" not in shown
    assert "http://****@proxy:3128" in shown
    assert "proxy=None" in repr(Connection())


def test_the_values_of_headers_are_not_shown() -> None:
    shown = repr(changed(headers={"X-Key": "s3cret"}))
    assert "s3cret" not in shown
    assert "X-Key" in shown


@pytest.mark.parametrize("kind", [Toy, AsyncToy])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", -1),
        ("max_retries", -1),
        ("headers", {"": ""}),
        ("on_event", "print"),
        ("connection", "http://proxy"),
        ("connection", 0),
    ],
)
def test_a_client_refuses_bad_options_by_name(kind: Any, name: str, value: Any) -> None:
    with refused(name):
        kind(NOWHERE, **{name: value})
    if name != "connection":
        with refused(name):
            kind(NOWHERE).with_options(**{name: value})


@pytest.mark.parametrize("kind", [Toy, AsyncToy])
def test_a_client_takes_none_for_what_is_not_said(kind: Any) -> None:
    toy = kind(NOWHERE, max_retries=None, headers=None, on_event=None, connection=None)
    assert toy._options == Options()
    with pytest.raises(TypeError, match="nonsense"):
        kind(NOWHERE, nonsense=1)


def test_http2_without_its_package_names_the_extra(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    original = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "h2" else original(name))
    with (
        side.client(NOWHERE, connection=Connection(http2=True)) as toy,
        pytest.raises(MissingExtraError, match=r"tollkit\[http2\]") as caught,
    ):
        side.do(toy.ask())
    assert caught.value.extra == "http2"


def test_a_proxy_in_the_environment_that_cannot_be_used(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "ftp://user:s3cret@proxy")
    with side.client(NOWHERE) as toy, pytest.raises(ConfigurationError, match="proxy") as caught:
        side.do(toy.ask())
    assert "s3cret" not in str(caught.value)


def test_a_context_is_used_as_it_is() -> None:
    context = ssl.create_default_context()
    assert Connection(verify=context).verify is context
