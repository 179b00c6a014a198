"""No secret is ever shown: not in a log, a repr, an error, a traceback with local variables, or a warning.

Every method of both clients runs with success and with each fault of the sandbox, and everything that a program
could show of that is looked through. A text that a caller holds as a plain `str` is in the caller's own frames too,
so tokens are passed here as they come from the client: as `Secret`.
"""

from __future__ import annotations

import base64
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

import attrs
import pytest

from support.pymthouse import Side, arguments
from tollkit import AsyncPymtHouse, PymtHouse, Secret
from tollkit.core.credentials import basic_header
from tollkit.core.flows import Send, Wire
from tollkit.errors import TollkitError
from tollkit.oidc import requests
from tollkit.oidc.client_auth import ClientSecretBasic
from tollkit.pymthouse import config, verify
from tollkit.sandbox import Fault, PymtHouseSandbox, Sandbox

TESTS = str(Path(__file__).parents[1])
SECRET = "pmth_cs_sentinel0123456789abcdef"
JWT = Secret("eyJzZW50aW5lbCI6MX0.eyJzZW50aW5lbCI6Mn0.c2VudGluZWw")
SHAPES = re.compile(r"eyJ[\w-]{8,}|pmth_[0-9a-f]{16,}|pmth_cs_\w+|(?<![\w-])(?=\D*\d)[\w-]{43}(?![\w-])")
"""JWTs, sessions and refresh tokens, client secrets, and what the provider makes: 43 characters."""


class Watch:
    """Collects what could be shown, and looks through it."""

    def __init__(self, place: PymtHouseSandbox) -> None:
        self._place = place
        self.texts: list[tuple[str, str]] = []

    def see(self, where: str, *texts: object) -> None:
        self.texts += [(where, text if isinstance(text, str) else repr(text)) for text in texts]

    def see_error(self, error: BaseException) -> None:
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
            stack = traceback.StackSummary.extract(frames, capture_locals=True)
            self.see(f"locals of {name}", *stack.format())
            self.see(f"str of {name}", str(one))
            self.see(f"repr of {name}", repr(one))
            self.see(f"args of {name}", repr(one.args))
            if isinstance(one, TollkitError):
                self.see(f"to_dict of {name}", json.dumps(one.to_dict(), default=repr))
                self.see(f"members of {name}", repr(vars(one)))
        self.see("traceback", *traceback.format_exception(error))

    def see_result(self, result: Any) -> None:
        self.see("repr of result", repr(result))
        if attrs.has(type(result)):
            self.see(
                "members of result", *(repr(getattr(result, field.name)) for field in attrs.fields(type(result)))
            )

    def secrets(self) -> list[str]:
        """What must not be shown, in every spelling."""
        state = self._place._state
        plain = [
            SECRET,
            JWT.reveal(),
            *state.sessions,
            *state.refresh_tokens,
            *state.devices,
            base64.b64encode(f"{self._place.m2m_client_id}:{SECRET}".encode()).decode(),
        ]
        return sorted({spelling for text in plain for spelling in (text, quote(text), quote_plus(text), text[-12:])})

    def check(self) -> None:
        assert self.texts
        secrets = self.secrets()
        for where, text in self.texts:
            found = [secret for secret in secrets if secret in text]
            shaped = SHAPES.findall(text)
            assert not found, f"{where}: {text[:3000]}"
            assert not shaped, f"{where}: {shaped} in {text[:3000]}"


class _Handler(logging.Handler):
    def __init__(self, watch: Watch) -> None:
        super().__init__(logging.DEBUG)
        self._watch = watch
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._watch.see(f"log of {record.name}", self.format(record), repr(record.args))


@pytest.fixture
def watch(pymthouse_sandbox: PymtHouseSandbox) -> Iterator[Watch]:
    pymthouse_sandbox.app.m2m_client_secret = SECRET
    watching = Watch(pymthouse_sandbox)
    handler = _Handler(watching)
    loggers = [logging.getLogger(name) for name in ("tollkit", "tollkit_api", "httpx")]
    levels = [(logger, logger.level) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield watching
    for logger, level in levels:
        logger.removeHandler(handler)
        logger.setLevel(level)
    watching.see("warnings", *(str(warning) for warning in warned))
    watching.see("nothing", "")
    watching.check()


@pytest.fixture
def client(side: Side, pymthouse_sandbox: PymtHouseSandbox, watch: Watch, naps: list[float]) -> Any:
    pymthouse_sandbox.demo_data(month="2026-05")
    return side.client(
        pymthouse_sandbox, m2m_client_secret=Secret(SECRET), on_event=lambda event: watch.see("event", event)
    )


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
    "poll_device_token": lambda client: client.poll_device_token(),
    "verify_access_token": lambda client: client.verify_access_token(JWT),
    "get_usage": lambda client: client.get_usage(group_by="user"),
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
ECHO = {
    "error": "invalid_request",
    "error_description": f"you sent {JWT.reveal()} with {SECRET}",
    "access_token": JWT.reveal(),
    "received": {"headers": [f"authorization: Basic {base64.b64encode(b'x').decode()}", SECRET]},
}
FAULTS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "reset": {"kind": "reset", "when": "after_processing"},
    "half an answer": {"kind": "half_answer"},
    "429": {"kind": "status", "status": 429, "retry_after": 1},
    "500": {"kind": "status", "status": 500},
    "html": {"kind": "html", "status": 502},
    "a token as text": {"kind": "status", "status": 200, "body": f"token={JWT.reveal()}&client_secret={SECRET}"},
    "content type": {"kind": "content_type"},
    "half of the json": {"kind": "truncated_json"},
    "expired tokens": {"kind": "expired_token"},
    "another shape": {"kind": "status", "status": 200, "body": {"access_token": JWT.reveal(), "token_type": 5}},
    "list": {"kind": "status", "status": 200, "body": [JWT.reveal()]},
    "refused": {"kind": "status", "status": 400, "body": ECHO},
    "unauthorized": {"kind": "status", "status": 401, "body": ECHO},
}


def test_the_sweep_is_of_all_methods() -> None:
    public = {name for name in dir(PymtHouse) if not name.startswith("_")}
    others = {
        "api", "bind_flow", "close", "family", "flows", "from_env", "issuer_url", "parse_device_approval_redirect",
        "public_client_id", "run", "run_raw", "verify_issuer", "with_options",
    }  # fmt: skip
    assert public - others - {"flows"} == METHODS.keys()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("method", METHODS)
def test_sweep(side: Side, client: Any, tollkit_sandbox: Sandbox, watch: Watch, method: str, fault: str) -> None:
    facts = FAULTS[fault]
    if facts:
        # also the later requests of a composed call, each at its turn
        tollkit_sandbox.faults.add(Fault(match="POST *", times=None, **facts))
        tollkit_sandbox.faults.add(Fault(match="*/usage", times=None, **facts))
        tollkit_sandbox.faults.add(Fault(match="GET */apps/*", times=None, **facts))
    try:
        watch.see_result(side.do(METHODS[method](client)))
    except Exception as error:
        watch.see_error(error)


@pytest.mark.parametrize("skip", [0, 1, 2, 3])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("method", ["mint_signer_session_for_external_user", "poll_device_token"])
def test_sweep_of_later_steps(
    side: Side, client: Any, tollkit_sandbox: Sandbox, watch: Watch, method: str, fault: str, skip: int
) -> None:
    if FAULTS[fault]:
        tollkit_sandbox.faults.add(Fault(match="*", skip=skip, times=None, **FAULTS[fault]))
    try:
        if method == "poll_device_token":
            place = tollkit_sandbox.pymthouse
            call = client.poll_device_token(
                lambda shown: (watch.see_result(shown), place.approve_device(shown.user_code))[:0] or None,
                scope="openid sign:job",
            )
        else:
            call = METHODS[method](client)
        watch.see_result(side.do(call))
    except Exception as error:
        watch.see_error(error)


# --- everything that holds a secret -------------------------------------------------------------------------


def test_what_holds_a_secret_does_not_show_it(side: Side, client: Any, watch: Watch) -> None:
    side.do(client.issue_machine_access_token())
    flows = client.flows
    for held in (
        client,
        flows,
        flows._settings,
        flows._rest,
        flows._rest.credentials,
        flows._oidc,
        flows._oidc.auth,
        flows._device,
        flows._oidc.tokens,
        list(flows._oidc.tokens._leases.values()),
        list(flows._oidc.tokens._leases),
        flows._oidc.auth.headers(),
        client.api,
        client.with_options(headers={"Authorization": f"Bearer {JWT.reveal()}"})._options,
        config.read_pymthouse_env({**client_env(), "PYMTHOUSE_M2M_CLIENT_SECRET": SECRET}),
        basic_header("m2m", SECRET),
        ClientSecretBasic("m2m", SECRET),
        vars(client),
        vars(flows),
    ):
        watch.see("repr", repr(held), f"{[held]}")


def client_env() -> dict[str, str]:
    return {
        "PYMTHOUSE_ISSUER_URL": "https://pymthouse.example/api/v1/oidc",
        "PYMTHOUSE_PUBLIC_CLIENT_ID": "app_1",
        "PYMTHOUSE_M2M_CLIENT_ID": "m2m_1",
    }


def test_effects_do_not_show_it(watch: Watch, client: Any) -> None:
    flow = client.flows.issue_machine_access_token()
    effect = next(flow)
    watch.see("effect", effect)
    flow.close()
    auth = ClientSecretBasic("m2m", SECRET)
    request = requests.token_exchange_request("https://pymthouse.example/token", auth, JWT)
    watch.see("request", request)
    watch.see("effect", Send(request, print, client.flows._rest))
    wire = Wire("POST", "https://pymthouse.example/token?code=1", dict(request.headers), request.content)
    watch.see("effect", wire)


def test_raw_answers_do_not_show_it(side: Side, client: Any, watch: Watch) -> None:
    raw = side.do(client.mint_signer_session_for_external_user.raw("alice"))
    watch.see("raw", repr(raw), repr(raw.answers), repr(raw.last))
    assert raw.result.access_token.startswith("pmth_")


@pytest.mark.parametrize("kind", [PymtHouse, AsyncPymtHouse])
@pytest.mark.parametrize(
    "changes",
    [
        {"issuer_url": "no address"},
        {"issuer_url": "http://pymthouse.example", "allow_insecure_http": False},
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


@pytest.mark.parametrize("changes", [{"PYMTHOUSE_ISSUER_URL": "no address"}, {"PYMTHOUSE_PUBLIC_CLIENT_ID": ""}])
def test_an_environment_that_is_unusable(changes: dict[str, str], watch: Watch) -> None:
    with pytest.raises(TollkitError) as caught:
        PymtHouse.from_env({**client_env(), "PYMTHOUSE_M2M_CLIENT_SECRET": SECRET, **changes})
    watch.see_error(caught.value)


@pytest.mark.parametrize("bad", [f"{JWT.reveal()} ", f"{JWT.reveal()}\n", f" {JWT.reveal()}"])
def test_a_token_that_was_not_copied_well(side: Side, client: Any, watch: Watch, bad: str) -> None:
    for call in (
        lambda: client.exchange_for_signer_session(Secret(bad)),
        lambda: client.complete_device_approval(user_jwt=Secret(bad), user_code="BCDF-GHJK"),
        lambda: client.verify_access_token(Secret(bad)),
    ):
        with pytest.raises(TollkitError) as caught:
            side.do(call())
        watch.see_error(caught.value)


def test_errors_that_travel(side: Side, client: Any, watch: Watch) -> None:
    with pytest.raises(TollkitError) as caught:
        side.do(client.exchange_for_signer_session(JWT))
    watch.see("pickle", repr(pickle.dumps(caught.value)))


def test_verification_without_a_client(side: Side, client: Any, watch: Watch) -> None:
    with pytest.raises(TollkitError) as caught:
        side.do(
            side.function(verify, "verify_jwt")(
                JWT, issuer_url=client.issuer_url, audience="x", allow_insecure_http=True
            )
        )
    watch.see_error(caught.value)


def test_the_watch_sees(watch: Watch) -> None:
    """The net has no hole: a leak of each kind is found."""

    def leak(token: str) -> None:
        raise ValueError("something else")

    other = Watch(watch._place)
    code = compile("def leak(token): raise ValueError('something else')", "elsewhere.py", "exec")
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    try:
        namespace["leak"](JWT.reveal())
    except ValueError as error:
        other.see_error(error)
    with pytest.raises(AssertionError, match="locals of ValueError"):
        other.check()
    for text in (SECRET, JWT.reveal(), quote(SECRET), "pmth_" + "0a" * 32, repr(JWT.reveal())):
        other = Watch(watch._place)
        other.see("log", text)
        with pytest.raises(AssertionError):
            other.check()
