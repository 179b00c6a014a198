"""Sign-in for programs on the user's own machine: the browser opens, and comes back to a port of this machine.

RFC 8252 (OAuth 2.0 for Native Apps), sections 7.3 (loopback redirection) and 8.3 (its security). The exchange needs
the app's secret, and what you hand out is no secret any more: this is for tools of operators and developers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self, cast

from tollkit.errors import ArgumentError, ConfigurationError, RequestTimeoutError, TollkitError
from tollkit.tokenite.callback import CallbackFailure, CallbackSuccess, InvalidState, MissingCode, parse_callback
from tollkit.tokenite.errors import SignInError, family, raised
from tollkit.tokenite.web.pages import HEADERS, page

if TYPE_CHECKING:
    from tollkit.tokenite.client import AsyncTokenite, Tokenite
    from tollkit_api.tokenite.v2_4.models import UserToken

__all__ = ["login_local", "login_local_async"]

logger: logging.Logger = logging.getLogger("tollkit.tokenite.local")

_HOST, _PATH = "127.0.0.1", "/callback"
_HEADERS = {
    **HEADERS,
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "connection": "close",
}
_IDLE_SECONDS = 30
"""For a connection that says nothing: browsers open some in advance."""
_VERDICT_SECONDS = 60
"""How long the browser's page waits for the exchange to end."""
_LAST_PAGE_SECONDS = 2
"""How long the end waits until that page is sent; to this machine that takes no time at all."""


def login_local(
    tokenite: Tokenite,
    *,
    suggested_budget: Decimal | float | str | None = None,
    prompt: str | Iterable[str] | None = None,
    port: int = 0,
    timeout: float = 300,
    open_browser: Callable[[str], object] | None = webbrowser.open,
    on_url: Callable[[str], object] | None = None,
) -> UserToken:
    """Sign the user of this machine in by their browser, and wait for it.

    A server listens on a port of 127.0.0.1 meanwhile; `http://127.0.0.1:{port}/callback` is the redirect URI,
    instead of the client's own. The browser ends on a page that says whether it worked.

    Args:
        tokenite: The client of the app, with its secret.
        suggested_budget: The spending limit in USD that the consent screen proposes.
        prompt: What the consent screen shows, such as `select_account`.
        port: The port; the system chooses for 0. Say one if the platform wants to know the whole address in advance.
        timeout: Seconds to wait for the user.
        open_browser: Called with the address in a thread of its own; `None` opens nothing. When it returns something
            false or fails, the address is written to stderr, unless `on_url` is there to tell it.
        on_url: Called with the address before the browser is opened, to show it: on a machine without a screen
            the user opens it elsewhere (and forwards the port).

    Returns:
        The user's access token, good for 30 days.

    Raises:
        SignInError: The user declined, or the platform sent no code; `reason` says which.
        RequestTimeoutError: Nobody signed in within `timeout`; also a `TimeoutError`.
        ConfigurationError: The port is taken, or the client has no secret.
        TokeniteError: The exchange of the code failed.
    """
    wait = _wait_time(timeout)
    with _Receiver(port) as receiver:
        url = receiver.begin(tokenite, suggested_budget, prompt)
        _tell(url, open_browser, on_url)
        try:
            result = receiver.arrived.result(wait)
        except TimeoutError:
            raise _too_late(wait) from None
        with receiver.judged():
            return tokenite.exchange_code(_code(result), redirect_uri=receiver.redirect_uri)


async def login_local_async(
    tokenite: AsyncTokenite,
    *,
    suggested_budget: Decimal | float | str | None = None,
    prompt: str | Iterable[str] | None = None,
    port: int = 0,
    timeout: float = 300,
    open_browser: Callable[[str], object] | None = webbrowser.open,
    on_url: Callable[[str], object] | None = None,
) -> UserToken:
    """`login_local` for async programs: same arguments, same errors. Cancelling it closes the port."""
    wait = _wait_time(timeout)
    with _Receiver(port) as receiver:
        url = receiver.begin(tokenite, suggested_budget, prompt)
        _tell(url, open_browser, on_url)
        try:
            # not asyncio.wait_for, which in Python 3.11 loses a cancellation that comes together with the result
            async with asyncio.timeout(wait):
                result = await asyncio.wrap_future(receiver.arrived)
        except TimeoutError:
            raise _too_late(wait) from None
        with receiver.judged():
            return await tokenite.exchange_code(_code(result), redirect_uri=receiver.redirect_uri)


def _wait_time(timeout: object) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= 86400:
        raise raised(ArgumentError("timeout", "must be a positive number of seconds, of a day at the most"))
    return timeout


def _code(result: CallbackSuccess | CallbackFailure) -> str:
    if isinstance(result, CallbackSuccess):
        return result.code
    raise SignInError(result)


def _too_late(seconds: float) -> RequestTimeoutError:
    return raised(
        RequestTimeoutError(
            f"Nobody signed in within {seconds:g} seconds",
            code="login_timeout",
            hint="Run it again and finish in the browser, or give timeout= more seconds",
        )
    )


def _tell(url: str, open_browser: Callable[[str], object] | None, on_url: Callable[[str], object] | None) -> None:
    if on_url is not None:
        on_url(url)

    def launch(opener: Callable[[str], object]) -> None:
        try:
            opened = opener(url)
        except Exception as problem:  # noqa: BLE001 - whatever a browser's launcher raises, the address still helps
            logger.warning("no browser could be opened: %s", problem)
            opened = False
        if not opened and on_url is None:
            print(f"Open this address to sign in:\n{url}", file=sys.stderr, flush=True)  # noqa: T201 - for the user

    if open_browser is not None:
        # in a thread: browsers of a text terminal keep the caller until they are left
        threading.Thread(target=launch, args=(open_browser,), name="tokenite-browser", daemon=True).start()
    elif on_url is None:
        launch(lambda _: False)


class _Receiver:
    """Waits on a loopback port for the one request that brings the state we sent."""

    def __init__(self, port: int) -> None:
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
            raise raised(ArgumentError("port", "must be a port, or 0 to let the system choose"))
        self.arrived: Future[CallbackSuccess | CallbackFailure] = Future()
        self._verdict: Future[TollkitError | None] = Future()
        self._told = threading.Event()
        self._state = ""
        try:
            self._server = _Server((_HOST, port), self)
        except OSError as problem:
            told = f"Port {port} of {_HOST} cannot be listened on: {problem.strerror}"
            raise raised(ConfigurationError(told, hint="Give another port, or 0", code="port_in_use")) from problem
        self.port: int = self._server.server_address[1]
        self.redirect_uri = f"http://{_HOST}:{self.port}{_PATH}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="tokenite-login", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if not self._verdict.done():  # nobody came, or the caller gave up
            self._verdict.cancel()
        if self.arrived.done() and not self.arrived.cancelled():
            self._told.wait(_LAST_PAGE_SECONDS)  # the program may end as soon as we return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def begin(
        self,
        tokenite: Tokenite | AsyncTokenite,
        suggested_budget: Decimal | float | str | None,
        prompt: str | Iterable[str] | None,
    ) -> str:
        """The address of the consent screen."""
        request = tokenite.get_authorize_url(
            suggested_budget=suggested_budget, prompt=prompt, redirect_uri=self.redirect_uri
        )
        self._state = request.state
        return request.url

    @contextlib.contextmanager
    def judged(self) -> Generator[None]:
        """Tell the browser's page how the block ended."""
        try:
            with family():
                yield
        except TollkitError as error:
            self._verdict.set_result(error)
            raise
        else:
            self._verdict.set_result(None)

    @contextlib.contextmanager
    def answer(self, target: str, host: str | None) -> Generator[tuple[int, bytes]]:
        """The page for a GET of the browser, status and HTML, to be sent in the block. In a connection's thread."""
        is_ours, status, body = self._answer(target, host)
        try:
            yield status, body
        finally:
            if is_ours:
                self._told.set()

    def _answer(self, target: str, host: str | None) -> tuple[bool, int, bytes]:
        path, _, query = target.partition("?")
        # another name for this address would be another site's page that has had it resolved to us (RFC 8252, 8.3)
        if path != _PATH or host != f"{_HOST}:{self.port}":
            return False, 404, page("Nothing here", "This port waits for a sign-in, and for nothing else.")
        result = parse_callback(f"?{query}", self._state)
        if isinstance(result, InvalidState | MissingCode):
            return (
                False,
                400,
                page(
                    "This is not the sign-in that was begun",
                    "Go back to the page that your program opened, or start again.",
                ),
            )
        try:
            self.arrived.set_result(result)
        except Exception:  # noqa: BLE001 - InvalidStateError: it came already, or nobody waits any more
            return False, 409, page("This sign-in is over", "You can close this page.")
        try:
            error = self._verdict.result(_VERDICT_SECONDS)
        except BaseException:  # noqa: BLE001 - CancelledError: the program ended before it said anything
            return (
                True,
                500,
                page("You are not signed in", "The program ended before the sign-in did. Start it again."),
            )
        if error is None:
            return True, 200, page("You are signed in", "You can close this page and go back to your program.")
        if isinstance(error, SignInError) and error.reason == "user_denied":
            return True, 200, page("You are not signed in", "You declined. You can close this page.")
        return True, 502, page("You are not signed in", error.message, "Go back to your program; it says more.")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = os.name == "posix"  # elsewhere it would let other programs listen on the same port

    def __init__(self, address: tuple[str, int], receiver: _Receiver) -> None:
        self.receiver = receiver
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # not HTTPServer's, which asks the name service for this machine's name
        super(ThreadingHTTPServer, self).server_bind()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        with self._lock:
            for request in self._open:
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RD)  # an answer that is being written still goes out

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("a connection failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    timeout = _IDLE_SECONDS
    server_version, sys_version = "tollkit", ""

    def do_GET(self) -> None:
        with cast("_Server", self.server).receiver.answer(self.path, self.headers.get("host")) as (status, body):
            self.send_response(status)
            for name, value in {**_HEADERS, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the address holds the code."""
