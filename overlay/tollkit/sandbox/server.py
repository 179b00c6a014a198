"""The sandbox itself: one process, one thread, one port on the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any, Self, cast

import uvicorn
from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from tollkit.sandbox.clock import Clock
from tollkit.sandbox.control import Control
from tollkit.sandbox.faults import Faults
from tollkit.sandbox.gate import TRANSPORT, Gate
from tollkit.sandbox.pymthouse.platform import PymtHouseSandbox
from tollkit.sandbox.recorder import RequestLog
from tollkit.sandbox.run402 import PREFIX as RUN402
from tollkit.sandbox.run402.platform import Run402Sandbox
from tollkit.sandbox.tokenite import PREFIX as TOKENITE
from tollkit.sandbox.tokenite.platform import TokeniteSandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType, TracebackType

    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Sandbox", "banner", "env_lines", "run_forever"]

_KEEP_ALIVE_SECONDS = 60
_START_SECONDS = 10.0


class _Protocol(H11Protocol):
    """HTTP/1.1 that hands the connection's transport to the application: the faults work on the real socket."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base
        super().connection_made(transport)
        app: Any = self.app

        async def with_transport(scope: Any, receive: Any, send: Any) -> None:
            scope[TRANSPORT] = transport
            await app(scope, receive, send)

        self.app = with_transport

    @property
    def is_receiving(self) -> bool:
        """Whether a request has begun whose body is not whole yet."""
        cycle: Any = self.cycle
        return bool(cycle and cycle.more_body)


class _Server(uvicorn.Server):
    """A server that says when it is up and stops without polling."""

    def __init__(self, config: uvicorn.Config, gate: Gate) -> None:
        super().__init__(config)
        self._gate = gate
        self.up = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.up.set()
        await self._gate.stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(cast("set[_Protocol]", self.server_state.connections)):
            # A request that is still being sent may never be whole: nobody waits for it.
            if connection.is_receiving:
                connection.transport.abort()
        await super().shutdown(sockets)

    def stop(self) -> None:
        """Ask for the end, from any thread."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                self._loop.call_soon_threadsafe(self._gate.stopping.set)


class Sandbox:
    """The platforms, embedded: a context manager, or `start()` and `stop()`.

        with Sandbox() as sandbox:
            client = PymtHouse.from_env(sandbox.pymthouse.env())
            wallet = Tokenite.from_env(sandbox.tokenite.env())
            gateway = Run402(api_base=sandbox.run402.api_base)

    Args:
        host: Address to listen on. The levers under `/__sandbox__` are there on loopback addresses only.
        port: Port to listen on; 0 lets the system choose.

    Attributes:
        pymthouse: PymtHouse's identifiers and levers; it answers at the root.
        tokenite: Tokenite's, below `/tokenite`.
        run402: Run402's, below `/run402`.
        clock: The clock that everything in the sandbox reads.
        faults: Misbehaviour that is armed.
        requests: What was received.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._host = host
        self._port = port
        self._origin: str | None = None
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self.clock: Clock = Clock()
        self.faults: Faults = Faults()
        self.requests: RequestLog = RequestLog()
        self.pymthouse: PymtHouseSandbox = PymtHouseSandbox(self.clock, self.requests, lambda: self.url)
        self.tokenite: TokeniteSandbox = TokeniteSandbox(self.clock, self.requests, lambda: self.url)
        self.run402: Run402Sandbox = Run402Sandbox(self.clock, self.requests, lambda: self.url)

    def __repr__(self) -> str:
        return f"<Sandbox: {self._origin or 'not started'}>"

    @property
    def url(self) -> str:
        """Origin of the server, e.g. `http://127.0.0.1:40001`.

        Raises:
            RuntimeError: The sandbox has not been started.
        """
        if self._origin is None:
            raise RuntimeError("the sandbox has no address before it is started")
        return self._origin

    @property
    def running(self) -> bool:
        """Whether the server is up."""
        return self._thread is not None

    def env(self) -> dict[str, str]:
        """The environment variables that configure clients of all platforms."""
        return self.pymthouse.env() | self.tokenite.env() | self.run402.env()

    def start(self) -> Self:
        """Start the server in a thread of its own and return when it answers.

        Raises:
            RuntimeError: It runs already, or did not come up.
            OSError: The port is taken.
        """
        if self.running:
            raise RuntimeError("the sandbox runs already")
        listener = _listen(self._host, self._port)
        self._port = listener.getsockname()[1]
        shown = f"[{self._host}]" if ":" in self._host else self._host
        self._origin = f"http://{shown}:{self._port}"
        server = self._build_server()
        self._server = server
        self._thread = threading.Thread(
            target=self._serve, args=(server, listener), name="tollkit-sandbox", daemon=True
        )
        self._thread.start()
        if not server.up.wait(_START_SECONDS) or self._failure is not None:
            failure = self._failure
            self.stop()
            raise RuntimeError("the sandbox did not start") from failure
        return self

    def _serve(self, server: _Server, listener: socket.socket) -> None:
        try:
            asyncio.run(server.serve(sockets=[listener]))
        except BaseException as failure:  # noqa: BLE001 - told to the thread that waits in start()
            self._failure = failure
        finally:
            listener.close()
            server.up.set()

    def _build_server(self) -> _Server:
        gate = Gate(
            self.run402.by_host(
                _by_path(
                    {TOKENITE: self.tokenite.asgi_app(), RUN402: self.run402.asgi_app()}, self.pymthouse.asgi_app()
                )
            ),
            Control(self) if is_loopback(self._host) else _nothing_here,
            clock=self.clock,
            faults=self.faults,
            log=self.requests,
            rotate_keys=self.pymthouse.rotate_keys,
        )
        config = uvicorn.Config(
            gate,
            http=_Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=2,
        )
        return _Server(config, gate)

    def stop(self) -> None:
        """Stop the server and wait until its thread is gone; does nothing when it does not run."""
        if self._server is not None and self._thread is not None:
            self._server.stop()
            self._thread.join()
            self.run402.close()
        self._server = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def reset(self) -> None:
        """Forget all state: users, usage, grants, projects, faults, requests, the moved clock. The address stays."""
        self.clock.reset()
        self.faults.clear()
        self.pymthouse.reset()
        self.tokenite.reset()
        self.run402.reset()
        self.requests.clear()


def _by_path(below: Mapping[str, ASGIApp], otherwise: ASGIApp) -> ASGIApp:
    """One application: some platforms below their prefixes, another for every other path."""

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["raw_path"].decode("ascii")
        chosen = next(
            (app for prefix, app in below.items() if path == prefix or path.startswith(f"{prefix}/")), otherwise
        )
        await chosen(scope, receive, send)

    return choose


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Its protocol is named: asyncio turns Nagle's algorithm off only where it reads TCP there, and with the algorithm
    each answer would wait 40 ms for the client's acknowledgement of its head.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere the option would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(256)
    except OSError:
        listener.close()
        raise
    return listener


def is_loopback(host: str) -> bool:
    """Whether an address is reachable from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(status_code=404)(scope, receive, send)


def env_lines(sandbox: Sandbox) -> list[str]:
    """Shell lines that configure clients for a running sandbox: `export NAME=value`."""
    return [f"export {name}={value}" for name, value in sandbox.env().items()]


def banner(sandbox: Sandbox) -> str:
    """What a person is told when the sandbox is up: where it is, and the lines of `env_lines`."""
    lines = [
        f"The sandbox answers at {sandbox.url} (no account, no network, no money).",
        "Configure a client in another shell:",
        "",
        *(f"  {line}" for line in env_lines(sandbox)),
        "",
        f"PymtHouse's device codes are entered at {sandbox.url}/oidc/device.",
        f"Tokenite's consent page takes any e-mail address; {sandbox.tokenite.owner_email} owns the app.",
        "Run402's faucet gives test money: client.allowance.faucet().",
        "Ctrl-C ends it.",
    ]
    return "\n".join(lines)


def _print_banner(sandbox: Sandbox) -> None:
    sys.stdout.write(banner(sandbox) + "\n")
    sys.stdout.flush()


def run_forever(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    demo: bool = True,
    signer_running: bool = False,
    announce: Callable[[Sandbox], None] = _print_banner,
) -> None:
    """Run a sandbox until the process is told to stop (SIGINT or SIGTERM); call it in the main thread.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 lets the system choose.
        demo: Whether to fill in users with a month of usage, and two projects of Run402.
        signer_running: Whether the signer routes answer.
        announce: Called once it answers; prints `banner(sandbox)` when left out.

    Raises:
        OSError: The port is taken.
    """
    over = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        over.set()

    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in kept:
        signal.signal(number, end)
    try:
        with Sandbox(host=host, port=port) as sandbox:
            if demo:
                sandbox.pymthouse.demo_data()
                sandbox.tokenite.demo_data()
                sandbox.run402.demo_data()
            sandbox.pymthouse.signer_running = signer_running
            announce(sandbox)
            over.wait()
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
