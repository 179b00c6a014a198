"""The arguments for the vendors' SDKs, and Tokenite's errors out of theirs, as far as that needs no SDK."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from vendor_sdks import VENDORS, items, needed

from support.scripted_http import Script
from support.server import Answer, Server
from support.tokenite import QUICK, Side
from tollkit import Connection, Timeout, Tokenite
from tollkit.core.http import sdk_arguments, sdk_client
from tollkit.errors import ArgumentError, ConfigurationError, InsecureTransportError, PaymentRequiredError
from tollkit.tokenite import TokeniteError, anthropic_options, google_options, openai_options, proxy_error

OPTIONS = pytest.mark.parametrize(
    "options", [anthropic_options, openai_options, google_options], ids=["anthropic", "openai", "google"]
)


class _Place:
    client_id = "app_1"
    client_secret = "tkn_secret_1"
    redirect_uri = "https://app.example/callback"
    base_url = "https://tokenite.example"
    proxy_base = "https://proxy.example"


def closed(side: Side, options: Any) -> None:
    """Close the HTTP client of arguments that no SDK will close."""
    client = options["http_client"]
    side.do(client.close() if side.name == "blocking" else client.aclose())


# --- where, as whom -------------------------------------------------------------------------------------------------


def test_the_base_url_is_the_proxys_address_of_the_vendor(side: Side) -> None:
    client = side.client(_Place())
    own = object()
    assert anthropic_options(client, "tkn_1", http_client=own)["base_url"] == client.proxy_url("anthropic")
    assert openai_options(client, "tkn_1", http_client=own)["base_url"] == client.proxy_url("openai")
    assert google_options(client, "tkn_1")["http_options"]["base_url"] == client.proxy_url("google")
    grok = openai_options(client, "tkn_1", provider="grok", base_path="/v1/", http_client=own)
    assert grok["base_url"] == f"{client.proxy_url('grok')}/v1"


@OPTIONS
@pytest.mark.parametrize("path", ["v1", "//evil.example", "/v1//x", 1])
def test_an_odd_base_path_is_refused(options: Any, path: Any, side: Side) -> None:
    with pytest.raises(ArgumentError, match="base_path"):
        options(side.client(_Place()), "tkn_1", base_path=path)


@OPTIONS
@pytest.mark.parametrize("token", ["", "  ", "tkn 1", "tkn_1\n", None])
def test_an_unusable_token_is_refused_and_not_shown(options: Any, token: Any, side: Side) -> None:
    with pytest.raises(ArgumentError) as caught:
        options(side.client(_Place()), token)
    assert isinstance(caught.value, TokeniteError)
    assert "tkn" not in str(caught.value)


@OPTIONS
def test_plain_http_is_refused_where_the_client_refuses_it(options: Any, side: Side) -> None:
    place = _Place()
    place.proxy_base = "http://proxy.example"
    with pytest.raises(InsecureTransportError) as caught:
        options(side.client(place, allow_insecure_http=False), "tkn_1")
    assert isinstance(caught.value, TokeniteError)
    assert options(side.client(place), "tkn_1", http_client=object())


# --- the HTTP client ------------------------------------------------------------------------------------------------


@OPTIONS
def test_a_client_that_was_brought_is_not_handed_on_in_silence(options: Any, side: Side) -> None:
    script = Script([])
    client = side.client(_Place(), http_client=side.http_client(script), timeout=3)
    with pytest.raises(ConfigurationError, match="http_client"):
        options(client, "tkn_1")
    own = object()
    found = options(client, "tkn_1", http_client=own)
    named = "httpx_client" if side.name == "blocking" else "httpx_async_client"
    if options is google_options:
        assert found["http_options"][named] is own
        assert "client_args" not in found["http_options"]
    else:
        assert found["http_client"] is own
        assert "timeout" not in found  # its own hold


@pytest.mark.parametrize(
    ("needs", "library"),
    [
        (["anyio<5", "httpx2<3,>=2.0.0"], "httpx2"),
        (["httpx<1,>=0.23.0"], "httpx"),
        (["httpx<1,>=0.25.0", "httpx-aiohttp>=0.1; extra == 'aiohttp'", "httpx2<3; extra == 'httpx2'"], "httpx"),
        (None, "httpx"),
    ],
)
def test_the_client_is_of_the_library_that_the_sdk_is_built_on(
    needs: list[str] | None, library: str, side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed")
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: needs)
    options = anthropic_options(side.client(_Place()), "tkn_1")
    made = options["http_client"]
    assert type(made).__module__.partition(".")[0] == library
    assert type(made).__name__ == ("Client" if side.name == "blocking" else "AsyncClient")
    closed(side, options)


@pytest.mark.parametrize("there", [True, False])
def test_without_the_sdk_the_newer_library_is_taken_if_it_is_there(
    there: bool, side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", missing)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if there else None)
    library = "httpx2" if there else "httpx"
    pytest.importorskip(library, reason=f"{library} is not installed")
    options = openai_options(side.client(_Place()), "tkn_1")
    assert type(options["http_client"]).__module__.partition(".")[0] == library
    closed(side, options)


def test_nothing_of_the_sdks_is_loaded() -> None:
    program = (
        "import sys, tollkit.tokenite as t; t.proxy_error(ValueError());"
        "print([name for name in ('anthropic', 'openai', 'google.genai', 'httpx', 'httpx2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_the_settings_of_the_connection_are_carried() -> None:
    connection = Connection(
        verify=QUICK.verify,
        trust_env=False,
        http2=True,
        max_connections=7,
        max_keepalive_connections=3,
        keepalive_expiry=11,
        proxy="http://proxy.example:3128",
    )
    found = sdk_arguments(connection, Timeout(connect=1, read=2, write=3, pool=4), library="httpx")
    limits = found.pop("limits")
    assert (limits.max_connections, limits.max_keepalive_connections, limits.keepalive_expiry) == (7, 3, 11)
    assert found.pop("timeout") == httpx.Timeout(connect=1, read=2, write=3, pool=4)
    assert found == {
        "verify": QUICK.verify,
        "proxy": "http://proxy.example:3128",
        "http2": True,
        "trust_env": False,
        "follow_redirects": False,
        "headers": {"user-agent": "tollkit-python"},
    }
    assert "timeout" not in sdk_arguments(connection, None, library="httpx")


@pytest.mark.parametrize("library", ["no_such_library", "json"])
def test_a_library_that_is_none_is_told(library: str) -> None:
    with pytest.raises(ConfigurationError, match=library):
        sdk_client(QUICK, None, library=library, asynchronous=False)


def test_settings_of_which_no_client_can_be_made_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**arguments: Any) -> None:
        raise ImportError("socksio is not installed")

    monkeypatch.setattr(httpx, "Client", broken)
    with pytest.raises(ConfigurationError, match="socksio"):
        sdk_client(QUICK, None, library="httpx", asynchronous=False)


# --- time-outs, retries, headers ------------------------------------------------------------------------------------


def test_time_outs_are_the_sdks_own_until_the_client_has_some(side: Side) -> None:
    quiet = anthropic_options(side.client(_Place()), "tkn_1")
    assert "timeout" not in quiet
    closed(side, quiet)
    assert "timeout" not in google_options(side.client(_Place()), "tkn_1")["http_options"]
    # 5 seconds are what the library has by default; a client that was asked for them must say so
    told = openai_options(side.client(_Place(), timeout=5), "tkn_1")
    assert told["timeout"].as_dict() == {"connect": 5, "read": 5, "write": 5, "pool": 5}
    closed(side, told)
    endless = openai_options(side.client(_Place(), timeout=None), "tkn_1")
    assert endless["timeout"].read is None
    closed(side, endless)


@pytest.mark.parametrize(
    ("timeout", "milliseconds"), [(Timeout(read=2.5), 2500), (0.0001, 1), (Timeout(read=None), None), (None, None)]
)
def test_googles_time_out_is_that_of_reading(timeout: Any, milliseconds: int | None, side: Side) -> None:
    found = google_options(side.client(_Place(), timeout=timeout), "tkn_1")["http_options"]
    assert found.get("timeout") == milliseconds


def test_retries_are_the_clients(side: Side) -> None:
    client = side.client(_Place(), max_retries=4)
    assert openai_options(client, "tkn_1", http_client=object())["max_retries"] == 4
    assert google_options(client, "tkn_1")["http_options"]["retry_options"] == {"attempts": 5}
    never = client.with_options(max_retries=0)
    assert anthropic_options(never, "tkn_1", http_client=object())["max_retries"] == 0
    assert google_options(never, "tkn_1")["http_options"]["retry_options"] == {"attempts": 1}


def test_headers_of_the_client_win_whatever_their_case(side: Side) -> None:
    client = side.client(_Place(), headers={"X-Trace": "abc", "USER-AGENT": "mine"})
    found = openai_options(client, "tkn_1", http_client=object())["default_headers"]
    assert found == {"X-Trace": "abc", "USER-AGENT": "mine"}
    assert google_options(client, "tkn_1")["http_options"]["headers"] == found


def test_googles_arguments_are_its_own_and_hold_no_headers(side: Side) -> None:
    found = google_options(side.client(_Place()), "tkn_1")
    assert found["vertexai"] is False
    http = found["http_options"]
    # the names that aiohttp has for them, which this SDK prefers where it is installed
    of_aiohttp = {"allow_redirects": False, "ssl": http["client_args"]["verify"]}
    assert http["async_client_args"] == {**http["client_args"], **of_aiohttp}
    assert http["client_args"] is not http["async_client_args"]
    assert "headers" not in http["client_args"]
    assert http["client_args"]["follow_redirects"] is False


# --- errors ---------------------------------------------------------------------------------------------------------

TOLD = {"code": "BUDGET_EXCEEDED", "message": "The budget is used up", "source": "proxy"}


def raised(**attributes: Any) -> Exception:
    """An exception with attributes such as an SDK's."""
    error = Exception("refused")
    vars(error).update(attributes)
    return error


@pytest.mark.parametrize(
    "attributes",
    [
        {"status_code": 402, "body": {"error": TOLD}, "response": httpx.Response(402)},  # anthropic
        {"status_code": 402, "code": "BUDGET_EXCEEDED", "body": TOLD, "response": httpx.Response(402)},  # openai
        {"code": 402, "status": None, "details": {"error": TOLD}, "response": httpx.Response(402)},  # google-genai
        {"status": 402, "body": {"error": TOLD}},
        {"status_code": 200, "body": {"error": TOLD}},  # within a stream
        {"body": TOLD},
    ],
)
def test_the_envelope_is_found_in_an_sdks_error(attributes: Any) -> None:
    told = proxy_error(raised(**attributes))
    assert told is not None
    assert (told.code, told.message, told.source) == ("BUDGET_EXCEEDED", "The budget is used up", "proxy")
    assert (told.status, told.is_funding, told.retry_after) == (402, True, None)


def test_tollkits_own_error_is_read_too() -> None:
    told = proxy_error(raised(status_code=402, body={"error": TOLD}))
    assert told is not None
    with pytest.raises(PaymentRequiredError) as caught:
        told.raise_for_error()
    assert proxy_error(caught.value) == told


def test_which_codes_a_top_up_cures_can_be_said() -> None:
    frozen = {**TOLD, "code": "BUDGET_FROZEN"}
    assert proxy_error(raised(status_code=402, body=frozen)).is_funding is False  # type: ignore[union-attr]
    told = proxy_error(raised(body=frozen), funding_codes=frozenset({"BUDGET_FROZEN"}))
    assert told is not None
    assert (told.status, told.is_funding) == (402, True)


def test_an_error_within_a_stream_that_a_top_up_does_not_cure_has_no_status() -> None:
    told = proxy_error(raised(body={**TOLD, "code": "PROVIDER_ERROR", "source": "provider"}))
    assert told is not None
    assert (told.status, told.code) == (0, "PROVIDER_ERROR")


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"body": None, "details": None, "response": None},
        {"body": "BUDGET_EXCEEDED", "details": 3},
        {"body": []},
        {"body": {"error": "text", "source": "proxy"}},
        {"body": {"error": None}},
        {"body": {"error": {"code": 402, "source": "proxy"}}},
        {"body": {"error": {"code": "empty_array", "message": "no"}}},
        {"body": {"error": {"code": "X", "source": None}}},
        {"body": {"code": ["X"], "source": "proxy"}},
        {"details": {"error": {"code": 404, "status": "NOT_FOUND"}}, "code": 404},
    ],
)
def test_anything_else_is_none_of_tokenites(attributes: Any) -> None:
    assert proxy_error(raised(**attributes)) is None


def test_odd_responses_do_not_matter() -> None:
    for response in (None, 3, SimpleNamespace(headers=None), SimpleNamespace(headers=[("retry-after", "3")])):
        told = proxy_error(raised(status_code=429, body=TOLD, response=response))
        assert told is not None
        assert told.retry_after is None


@pytest.mark.parametrize("vendor", VENDORS[:3], ids=repr)
def test_an_error_event_in_the_middle_of_a_stream(vendor: Any, side: Side) -> None:
    """Facts about that there are none; the SDKs raise such an event, and what it says is read."""
    needed(vendor)
    name = b"event: error\n" if vendor.provider == "anthropic" else b""
    event = name + b"data: " + json.dumps({"error": TOLD}).encode() + b"\n\n"
    with Server(Answer(200, event, {"content-type": "text/event-stream"})) as server:
        place = _Place()
        place.proxy_base = server.url
        client = side.client(place, max_retries=0)
        with vendor.opened(side, client, "tkn_1") as made, pytest.raises(vendor.sdk.APIError) as caught:
            items(side, vendor.begin(side, made, "Hello"))
    told = proxy_error(caught.value)
    assert told is not None
    assert (told.code, told.status, told.is_funding) == ("BUDGET_EXCEEDED", 402, True)


def test_a_client_that_was_closed_can_still_say_where_the_proxy_is() -> None:
    """The SDK's HTTP client is its own: it does not end with the client of Tokenite."""
    with Tokenite(client_id="app_1", proxy_base="https://proxy.example", connection=QUICK) as client:
        options = anthropic_options(client, "tkn_1")
    assert not options["http_client"].is_closed
    options["http_client"].close()
