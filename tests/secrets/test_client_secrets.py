"""No secret is ever shown: not in a log, a repr, an error, a traceback with local variables, or a warning.

Every method of both clients runs with success and with each fault of the sandbox, and everything that a program
could show of that is looked through. Left out are the frames of the tests: what a caller holds as a plain `str` is
in the caller's own frames, and no library can do anything about that.
"""

from __future__ import annotations

import base64
import copy
import functools
import json
import logging
import pickle
import re
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from support.pymthouse import Side, arguments
from tollkit import AsyncPymtHouse, PymtHouse
from tollkit.core.credentials import basic_header
from tollkit.core.flows import Send, Wire
from tollkit.errors import TollkitError
from tollkit.oidc import requests
from tollkit.oidc.client_auth import ClientSecretBasic
from tollkit.pymthouse import config, env, verify
from tollkit.sandbox import Fault, PymtHouseSandbox, Sandbox

TESTS = str(Path(__file__).parents[1])
SECRET = "pmth_cs_sentinel0123456789abcdef"
JWT = "eyJzZW50aW5lbCI6MX0.eyJzZW50aW5lbCI6Mn0.c2VudGluZWw"
ENV = {
    "PYMTHOUSE_ISSUER_URL": "https://pymthouse.example/api/v1/oidc",
    "PYMTHOUSE_PUBLIC_CLIENT_ID": "app_1",
    "PYMTHOUSE_M2M_CLIENT_ID": "m2m_1",
    "PYMTHOUSE_M2M_CLIENT_SECRET": SECRET,
}
SHAPES = re.compile(r"eyJ[\w-]{8,}|pmth_[0-9a-f]{16,}|pmth_cs_\w+|\b[\w-]{43}\b")
"""JWTs, sessions and refresh tokens, client secrets, and what the provider makes: 43 signs, digits among them."""


class Watch:
    """Collects what could be shown, and looks through it."""

    def __init__(self, place: PymtHouseSandbox) -> None:
        self._place = place
        self.texts: dict[tuple[str, str], None] = {}

    @property
    def basic(self) -> str:
        """The credentials of the `Authorization` header."""
        return base64.b64encode(f"{self._place.m2m_client_id}:{SECRET}".encode()).decode()

    def see(self, where: str, *texts: object) -> None:
        self.texts.update(((where, text if isinstance(text, str) else repr(text)), None) for text in texts)

    def run(self, side: Side, call: Callable[[], Any]) -> None:
        """Look at the outcome of a call."""
        try:
            self.see("repr of result", repr(side.do(call())))
        except Exception as error:
            self.see_error(error)

    def see_error(self, error: BaseException) -> None:
        """Look at an error and at all that led to it."""
        seen: set[int] = set()
        pending: list[BaseException | None] = [error]
        while pending:
            one = pending.pop()
            if one is None or id(one) in seen:
                continue
            seen.add(id(one))
            pending += [one.__cause__, one.__context__]
            name = type(one).__name__
            frames = [
                (frame, line)
                for frame, line in traceback.walk_tb(one.__traceback__)
                if not frame.f_code.co_filename.startswith(TESTS)
            ]
            stack = traceback.StackSummary.extract(iter(frames), capture_locals=True)
            self.see(f"locals of {name}", *stack.format())
            self.see(f"text of {name}", str(one), repr(one), repr(one.args))
            if isinstance(one, TollkitError):
                self.see(f"members of {name}", json.dumps(one.to_dict(), default=repr), repr(vars(one)))
        self.see("traceback", *traceback.format_exception(error))

    def secrets(self) -> list[str]:
        """What must not be shown, in every spelling."""
        state = self._place._state
        plain = [SECRET, JWT, self.basic, *state.sessions, *state.refresh_tokens, *state.devices]
        return sorted({spelling for text in plain for spelling in (text, quote(text), quote_plus(text), text[-12:])})

    def check(self) -> None:
        secrets = self.secrets()
        for where, text in self.texts:
            found = [secret for secret in secrets if secret in text]
            found += [shape for shape in SHAPES.findall(text) if any(sign.isdigit() for sign in shape)]
            assert not found, f"{where}: {found[:3]} in {text[:3000]}"


class _Handler(logging.Handler):
    def __init__(self, watch: Watch) -> None:
        super().__init__(logging.DEBUG)
        self._watch = watch
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._watch.see(f"log of {record.name}", self.format(record), repr(record.args))


@pytest.fixture
def watch(pymthouse_sandbox: PymtHouseSandbox) -> Iterator[Watch]:
    """Watches logs and warnings of the test, and looks through everything at its end."""
    pymthouse_sandbox.app.m2m_client_secret = SECRET
    watching = Watch(pymthouse_sandbox)
    handler = _Handler(watching)
    loggers = [logging.getLogger(name) for name in ("tollkit", "httpx", "httpcore")]
    levels = [(logger, logger.level) for logger in loggers]
    loggers[0].setLevel(logging.DEBUG)
    loggers[1].setLevel(logging.INFO)
    for logger in loggers:
        logger.addHandler(handler)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield watching
    for logger, level in levels:
        logger.removeHandler(handler)
        logger.setLevel(level)
    watching.see("warning", *(str(warning) for warning in warned))
    watching.check()


@pytest.fixture
def client(side: Side, pymthouse_sandbox: PymtHouseSandbox, watch: Watch, naps: list[float]) -> Any:
    pymthouse_sandbox.demo_data(month="2026-05")
    return side.client(pymthouse_sandbox, on_event=lambda event: watch.see("event", event))


METHODS: dict[str, Callable[[Any], Any]] = {
    "get_discovery": lambda client: client.get_discovery(),
    "list_app_users": lambda client: client.list_app_users(),
    "upsert_app_user": lambda client: client.upsert_app_user("alice", email="a@example.com"),
    "update_app_user": lambda client: client.update_app_user("alice", status="active"),
    "delete_app_user": lambda client: client.delete_app_user("bob"),
    "mint_user_access_token": lambda client: client.mint_user_access_token("alice"),
    "issue_machine_access_token": lambda client: client.issue_machine_access_token(),
    "exchange_for_signer_session": lambda client: client.exchange_for_signer_session(JWT),
    "mint_user_signer_session_token": lambda client: client.mint_user_signer_session_token("alice"),
    "create_signer_session_token": lambda client: client.create_signer_session_token(JWT),
    "mint_signer_session_for_external_user": lambda client: client.mint_signer_session_for_external_user("alice"),
    "complete_device_approval": lambda client: client.complete_device_approval(user_jwt=JWT, user_code="BCDF-GHJK"),
    "approve_device_login": lambda client: client.approve_device_login("alice", "BCDF-GHJK"),
    "poll_device_token": lambda client: client.poll_device_token(cancel=_AfterThePoll()),
    "verify_access_token": lambda client: client.verify_access_token(JWT),
    "get_usage": lambda client: client.get_usage(group_by="user"),
    "get_usage_rows": lambda client: client.get_usage_rows(group_by="user"),
    "fetch_usage_for_external_user": lambda client: client.fetch_usage_for_external_user("alice"),
    "get_app_manifest": lambda client: client.get_app_manifest(),
    "get_app": lambda client: client.get_app(),
    "get_billing": lambda client: client.get_billing(),
    "list_plans": lambda client: client.list_plans(),
    "list_discovery_profiles": lambda client: client.list_discovery_profiles(),
    "get_discovery_profile": lambda client: client.get_discovery_profile("none"),
    "get_eth_usd_price": lambda client: client.get_eth_usd_price(),
    "get_pipeline_catalog": lambda client: client.get_pipeline_catalog(),
}


class _AfterThePoll:
    looks = 0

    def is_set(self) -> bool:
        self.looks += 1
        return self.looks > 1


FAULTS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "reset": {"kind": "reset", "when": "after_processing"},
    "half an answer": {"kind": "half_answer"},
    "429": {"kind": "status", "status": 429, "retry_after": 1},
    "500": {"kind": "status", "status": 500},
    "html": {"kind": "html", "status": 502},
    "tokens as text": {"kind": "status", "status": 200, "body": f"token={JWT}&client_secret={SECRET}"},
    "content type": {"kind": "content_type"},
    "half of the json": {"kind": "truncated_json"},
    "expired tokens": {"kind": "expired_token"},
    "another shape": {"kind": "status", "status": 200, "body": {"access_token": JWT, "token_type": 5}},
    "refused": {"kind": "status", "status": 400},
    "unauthorized": {"kind": "status", "status": 401},
}


def faults(name: str, watch: Watch, *matches: str) -> list[Fault]:
    """What is wrong with every request that fits; refusals repeat what was sent."""
    facts = FAULTS[name]
    if not facts:
        return []
    if name not in ("refused", "unauthorized"):
        return [Fault(match=match, times=None, **facts) for match in matches]
    told = f"{SECRET} is none (Basic {watch.basic})"
    echo = {"error": "invalid_request", "error_description": told, "headers": [f"authorization: Basic {watch.basic}"]}
    grant = {**echo, "error_description": f"no {JWT} for {told}", "subject_token": JWT}
    exchange = Fault(match="*/oidc/token", where={"subject_token": JWT}, times=None, body=grant, **facts)
    # a device has no secret that could be repeated
    device = Fault(match="*/device/auth", times=None, body={"error": "invalid_request"}, **facts)
    poll = Fault(kind="status", match="*/oidc/token", where={"grant_type": "*device_code"}, times=None)
    return [exchange, device, poll, *(Fault(match=match, times=None, body=echo, **facts) for match in matches)]


def test_the_sweep_is_of_all_methods() -> None:
    public = {name for name in dir(PymtHouse) if not name.startswith("_")}
    no_methods_of_the_platform = {
        *("api", "bind_flow", "close", "family", "from_env", "issuer_url", "parse_device_approval_redirect"),
        *("public_client_id", "run", "run_raw", "verify_issuer", "with_options"),
    }
    assert public - no_methods_of_the_platform == METHODS.keys()


@pytest.mark.parametrize("fault", FAULTS)
def test_sweep(side: Side, client: Any, tollkit_sandbox: Sandbox, watch: Watch, fault: str) -> None:
    side.do(client.get_discovery())
    for call in METHODS.values():
        tollkit_sandbox.faults.clear()
        tollkit_sandbox.faults.add(*faults(fault, watch, "*/apps/*", "*/oidc/*", "*/api/v1/p*"))
        watch.run(side, functools.partial(call, client))
    assert len(tollkit_sandbox.requests) > len(METHODS) / 2


@pytest.mark.parametrize("fault", FAULTS)
def test_sweep_of_later_steps(side: Side, client: Any, tollkit_sandbox: Sandbox, watch: Watch, fault: str) -> None:
    """Calls of several requests, of which one step after the other is spoilt."""
    place = tollkit_sandbox.pymthouse

    def show(shown: Any) -> None:
        watch.see("what is shown", shown)
        place.approve_device(shown.user_code)

    def login() -> Any:
        return client.poll_device_token(show, scope="openid sign:job")

    side.do(client.get_discovery())
    for call, steps in (
        (login, ("*/device/auth", "*/oidc/token")),
        (lambda: client.mint_signer_session_for_external_user("alice"), ("*/users", "*/alice/token", "*/oidc/token")),
    ):
        for step in steps:
            tollkit_sandbox.faults.clear()
            tollkit_sandbox.faults.add(*(one for one in faults(fault, watch, step) if one.match == step))
            watch.run(side, call)


# --- everything that holds a secret -------------------------------------------------------------------------


def test_what_holds_a_secret_does_not_show_it(side: Side, client: Any, watch: Watch) -> None:
    side.do(client.issue_machine_access_token())
    flows = client.flows
    leases = flows._oidc.tokens._leases
    for held in (
        client,
        vars(client),
        client.api,
        client.with_options(headers={"Authorization": f"Bearer {JWT}"})._options,
        flows,
        vars(flows),
        flows._rest,
        flows._rest.credentials,
        vars(flows._rest.credentials),
        flows._rest.read_error,
        flows._oidc.auth,
        flows._oidc.auth.headers(),
        flows._oidc.tokens,
        list(leases),
        list(leases.values()),
        config.read_pymthouse_env(ENV),
        basic_header("m2m", SECRET),
        ClientSecretBasic("m2m", SECRET),
    ):
        watch.see("held", repr(held), f"{[held]}")


def test_effects_and_requests_do_not_show_it(client: Any, watch: Watch) -> None:
    flow = client.flows.issue_machine_access_token()
    watch.see("effect", next(flow))
    flow.close()
    request = requests.token_exchange_request("https://p.example/token", ClientSecretBasic("m2m", SECRET), JWT)
    wire = Wire("POST", f"https://p.example/token?code={JWT}", dict(request.headers), request.content)
    watch.see("effect", request, Send(request, print, client.flows._rest), wire)


def test_raw_answers_do_not_show_it(side: Side, client: Any, watch: Watch) -> None:
    raw = side.do(client.mint_signer_session_for_external_user.raw("alice"))
    watch.see("raw", raw, raw.answers, raw.last)
    assert raw.result.access_token.startswith("pmth_")


@pytest.mark.parametrize("kind", [PymtHouse, AsyncPymtHouse])
@pytest.mark.parametrize(
    "changes",
    [
        {"issuer_url": "no address"},
        {"public_client_id": ""},
        {"m2m_client_id": None},
        {"m2m_client_secret": f"{SECRET} "},
        {"m2m_client_secret": f"{SECRET}\n{SECRET}"},
        {"timeout": -1},
        {"trusted_origins": ["no address"]},
    ],
)
def test_a_client_that_cannot_be_made(
    kind: Any, changes: dict[str, Any], pymthouse_sandbox: PymtHouseSandbox, watch: Watch
) -> None:
    given = arguments(pymthouse_sandbox, **changes)
    with pytest.raises(TollkitError) as caught:
        kind(**given)
    watch.see_error(caught.value)


@pytest.mark.parametrize("make", [PymtHouse.from_env, AsyncPymtHouse.from_env, env.create_pmt_house_client_from_env])
@pytest.mark.parametrize("changes", [{"PYMTHOUSE_ISSUER_URL": "no address"}, {"PYMTHOUSE_PUBLIC_CLIENT_ID": ""}])
def test_an_environment_that_is_unusable(
    make: Any, changes: dict[str, str], watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "_client", None)
    for name, value in {**ENV, **changes}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TollkitError) as caught:
        make()
    watch.see_error(caught.value)


@pytest.mark.parametrize("bad", [f"{JWT} ", f"{JWT}\n", f" {JWT}"])
def test_a_token_that_was_not_copied_well(side: Side, client: Any, watch: Watch, bad: str) -> None:
    for call in (
        lambda: client.exchange_for_signer_session(bad),
        lambda: client.complete_device_approval(user_jwt=bad, user_code="BCDF-GHJK"),
        lambda: client.verify_access_token(bad),
    ):
        with pytest.raises(TollkitError) as caught:
            side.do(call())
        watch.see_error(caught.value)


def test_errors_that_travel(side: Side, client: Any, watch: Watch) -> None:
    with pytest.raises(TollkitError) as caught:
        side.do(client.exchange_for_signer_session(JWT))
    watch.see("pickle", repr(pickle.dumps(caught.value)))
    watch.see("copy", repr(copy.copy(caught.value)))


def test_verification_without_a_client(side: Side, client: Any, watch: Watch) -> None:
    verify_jwt = side.function(verify, "verify_jwt")
    token = side.do(client.issue_machine_access_token()).access_token
    for text in (JWT, token, token.reveal()):
        with pytest.raises(TollkitError) as caught:
            side.do(verify_jwt(text, issuer_url=client.issuer_url, audience="x", allow_insecure_http=True))
        watch.see_error(caught.value)


# --- the net itself -----------------------------------------------------------------------------------------


def test_what_the_caller_was_handling_is_left_alone(side: Side, client: Any) -> None:
    """Frames are emptied, but not those of an error that the caller had before."""
    namespace: dict[str, Any] = {}
    exec(compile("def fail(mine):\n    raise KeyError('before')", "elsewhere.py", "exec"), namespace)
    try:
        namespace["fail"]("kept")
    except KeyError as problem:
        before = problem
        with pytest.raises(TollkitError) as caught:
            side.do(client.mint_user_access_token("nobody"))
    if side.name == "blocking":  # the event loop of the async one does not know what its caller handles
        assert caught.value.__context__ is before
    frames = [frame for frame, _ in traceback.walk_tb(before.__traceback__)]
    assert frames[-1].f_locals == {"mine": "kept"}
    # file and line of ours are still there
    assert "policy.py" in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("text", [SECRET, JWT, quote(SECRET), "pmth_" + "0a" * 32, repr(JWT), "x" * 42 + "1"])
def test_the_net_has_no_hole(watch: Watch, text: str) -> None:
    other = Watch(watch._place)
    other.see("log", f"it is {text}!")
    with pytest.raises(AssertionError, match="log"):
        other.check()


def test_the_net_sees_local_variables(watch: Watch) -> None:
    other = Watch(watch._place)
    namespace: dict[str, Any] = {}
    exec(compile("def leak(token):\n    raise ValueError('something')", "elsewhere.py", "exec"), namespace)
    try:
        namespace["leak"](JWT)
    except ValueError as error:
        other.see_error(error)
    with pytest.raises(AssertionError, match="locals of ValueError"):
        other.check()
