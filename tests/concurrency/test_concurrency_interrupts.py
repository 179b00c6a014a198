"""Ctrl-C and exits in blocking calls: raised at every line of the drivers, by signals, and in hooks; and clients that
nobody closes."""

from __future__ import annotations

import gc
import linecache
import os
import signal
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from concurrency_leaks import ENGINES, TALLY, Pools, sockets_to, threads, until

from support.pymthouse import arguments
from support.run402_wallet import ADDRESS, KEY
from support.server import Answer, Hold, Server
from support.toy import Toy
from tollkit import Connection, PymtHouse
from tollkit.core import drivers, flows, policy, single_flight, token_cache
from tollkit.oidc import cached
from tollkit.run402 import PrivateKeySigner, Run402
from tollkit.run402.credentials import MemoryCredentials
from tollkit.run402.payments import MemoryJournal, SpendingPolicy, X402Payer
from tollkit.run402.x402 import BASE_SEPOLIA
from tollkit.sandbox import Sandbox

KINDS = (KeyboardInterrupt, SystemExit)
WATCHED = {module.__file__ for module in (drivers, flows, policy, single_flight, token_cache, cached)}


class Interrupt:
    """Raises at the n-th line that the main thread runs in the watched modules, as Ctrl-C would."""

    def __init__(self, at: int, kind: type[BaseException]) -> None:
        self.at = at
        self.kind = kind
        self.lines = 0
        self.raised = False

    def during(self, call: Callable[[], object]) -> None:
        """Call it, and raise in it."""
        next(self._apart(call))

    def _apart(self, call: Callable[[], object]) -> Iterator[None]:
        # A generator keeps account of the exceptions that are being handled in it. What is raised by a tracer, where
        # no signal could be, may leave one on that account; elsewhere all that this thread raises later would have
        # it as context.
        before = sys.gettrace()
        sys.settrace(self._call)
        try:
            call()
        except self.kind:
            pass
        finally:
            sys.settrace(before)
        yield

    def _call(self, frame: Any, event: str, _argument: object) -> Any:
        return self._line if frame.f_code.co_filename in WATCHED else None

    def _line(self, frame: Any, event: str, _argument: object) -> Any:
        # Python delivers no signal between the end of a `with` block and its `__exit__`, where a lock is still held
        text = linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip()
        if event == "line" and not self.raised and not text.startswith("with "):
            self.lines += 1
            if self.lines == self.at:
                self.raised = True
                sys.settrace(None)
                raise self.kind
        return self._line


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_at_every_line_of_the_drivers(
    tollkit_sandbox: Sandbox, connection: Connection, pools: Pools, kind: type[BaseException]
) -> None:
    """A call that fetches document and token: wherever it ends, the next ones work, in this thread and others."""
    place = tollkit_sandbox.pymthouse
    requests = tollkit_sandbox.requests
    before = threads()
    with PymtHouse(**arguments(place, connection=connection)) as client:
        client.get_app()
        # every line once, and every eleventh with the other exception and the other engine
        step = 1 if kind is KeyboardInterrupt and connection.engine == "httpx" else 11
        at = 1 - step
        while True:
            at += step
            client.flows._oidc.tokens.clear()
            client.flows._oidc.discovery.clear()
            requests.clear()
            interrupt = Interrupt(at, kind)
            interrupt.during(client.issue_machine_access_token)
            assert pools.leaks() == [], at
            assert requests.count("POST */token") <= 1
            if at % 12 == 1:
                found: list[Any] = []
                other = threading.Thread(target=lambda into=found: into.append(client.issue_machine_access_token()))
                other.start()
                other.join(30)
                assert found, f"interrupted at {at}: another thread waits for ever"
            assert client.issue_machine_access_token().access_token
            if not interrupt.raised:
                break
            TALLY["interrupts"] += 1
        assert at > 100
        assert sys.exc_info() == (None, None, None)
    until(lambda: threads() - before, set(), "threads after")
    until(lambda: sockets_to(int(tollkit_sandbox.url.rpartition(":")[2])), 0, "connections after")


class RaisesAt:
    """A hook that raises at one event, and counts them."""

    def __init__(self, at: int, kind: type[BaseException]) -> None:
        self.at = at
        self.kind = kind
        self.count = 0

    def __call__(self, _event: object) -> None:
        self.count += 1
        if self.count == self.at:
            raise self.kind


@pytest.mark.parametrize("kind", KINDS)
def test_an_exit_in_a_hook_at_every_event(
    tollkit_sandbox: Sandbox, connection: Connection, pools: Pools, kind: type[BaseException]
) -> None:
    place = tollkit_sandbox.pymthouse
    place.seed_user("alice")
    at = 0
    while True:
        at += 1
        hook = RaisesAt(at, kind)
        with PymtHouse(**arguments(place, connection=connection)) as client:
            try:
                client.with_options(on_event=hook).mint_user_signer_session_token("alice")
            except kind:
                assert hook.count == at
            assert pools.leaks() == []
            assert client.mint_user_signer_session_token("alice").access_token
        if hook.count < at:
            break
        TALLY["interrupts"] += 1
    assert at > 5
    until(lambda: sockets_to(int(tollkit_sandbox.url.rpartition(":")[2])), 0, "connections after")


@pytest.mark.parametrize("kind", KINDS)
def test_an_exit_while_a_payment_is_on_its_way(
    tollkit_sandbox: Sandbox, connection: Connection, kind: type[BaseException]
) -> None:
    """At each event of a paid call: what the gateway settled is written down, and nothing was paid twice."""
    gateway = tollkit_sandbox.run402
    gateway.set_payments(networks=[BASE_SEPOLIA])
    gateway.fund(ADDRESS, 100_000_000)
    journal = MemoryJournal()
    policy_of_all = SpendingPolicy(unasked_per_day=None)
    at = 0
    while True:
        at += 1
        hook = RaisesAt(at, kind)
        payer = X402Payer(PrivateKeySigner(KEY), journal=journal, policy=policy_of_all)
        credentials = MemoryCredentials(signer=PrivateKeySigner(KEY), api_base=gateway.api_base)
        before = len(gateway.settlements)
        with Run402(
            api_base=gateway.api_base,
            credentials=credentials,
            payments=payer,
            allow_insecure_http=True,
            connection=connection,
            on_event=hook,
        ) as client:
            try:
                client.tier.set("prototype")
            except kind:
                assert hook.count == at
        settled = {one.nonce for one in gateway.settlements}
        assert len(settled) - before <= 1
        assert settled <= {one.nonce for one in journal.payments()}
        assert gateway.replayed_payments == []
        if hook.count < at:
            assert len(settled) - before == 1
            break
        TALLY["interrupts"] += 1
    assert at > 4


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals of threads are known to POSIX alone")
def test_a_signal_while_an_answer_is_waited_for(connection: Connection, pools: Pools) -> None:
    """The real thing: SIGINT reaches the main thread when the server has read the request and says nothing."""
    hold = Hold(Answer.json("late"))
    main = threading.main_thread().ident
    assert main is not None
    before = threads()
    with Server(hold, default=Answer.json("next")) as server:
        toy = Toy(server.url, connection=connection)

        def interrupt() -> None:
            server.wait_for(1)
            signal.pthread_kill(main, signal.SIGINT)

        killer = threading.Thread(target=interrupt)
        killer.start()
        with pytest.raises(KeyboardInterrupt):
            toy.ask()
        killer.join()
        assert pools.leaks() == []
        hold.release.set()
        assert toy.ask() == "next"
        toy.close()
        TALLY["interrupts"] += 1
    until(lambda: threads() - before, set(), "threads after")


# --- clients that nobody closes --------------------------------------------------------------------------------


def test_a_blocking_client_that_is_dropped_holds_nothing(tollkit_sandbox: Sandbox, engine: str) -> None:
    """Sockets may say `ResourceWarning`, as all of Python do; nothing stays open, and no thread."""
    connection = Connection(engine=engine, trust_env=False)  # type: ignore[arg-type]
    before = threads()
    client = PymtHouse(**arguments(tollkit_sandbox.pymthouse, connection=connection))
    client.issue_machine_access_token()
    gone = weakref.ref(client)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del client
        gc.collect()
    assert gone() is None
    until(lambda: sockets_to(int(tollkit_sandbox.url.rpartition(":")[2])), 0, "connections of a client that is gone")
    until(lambda: threads() - before, set(), "threads after")


ENDS = {
    "open": "",
    "closed": "client.close()",
    "exit": "raise SystemExit(0)",
    "thread": "import threading; threading.Thread(target=client.get_app).start()",
    "async": """
import asyncio
from tollkit import AsyncPymtHouse
other = AsyncPymtHouse.from_env(connection=connection)
async def main():
    await other.get_app()
asyncio.run(main())
""",
    "cycle": "client.cycle = client",
}


@pytest.mark.parametrize(
    ("end", "engine"),
    [(end, engine) for end in ENDS for engine in (ENGINES if end in ("open", "async") else ENGINES[-1:])],
)
def test_a_program_that_ends(tollkit_sandbox: Sandbox, engine: str, end: str, tmp_path: Path) -> None:
    """It ends at once and well, whether it closes its clients or not; Python may say that sockets were left open."""
    program = f"""
from tollkit import Connection, PymtHouse
connection = Connection(engine={engine!r}, trust_env=False)
client = PymtHouse.from_env(connection=connection)
client.issue_machine_access_token()
{ENDS[end]}
"""
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-c", program],
        env={**os.environ, **tollkit_sandbox.env(), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "Exception ignored" not in ran.stderr
    warned = [line.partition("Warning: ")[2] for line in ran.stderr.splitlines() if "Warning: " in line]
    assert {each.partition(" ")[0] for each in warned} <= (set() if end == "closed" else {"unclosed"})
    TALLY["programs that end"] += 1
