"""Programs that fork after they have used a client; each runs in a process of its own.

    python concurrency_forked.py CASE URL ENGINE

Ends with status 0 when parent and child have both done what the case says. A child that hangs is ended by an alarm.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

PATIENCE = 40
"""Seconds after which whoever hangs is ended."""


def fork(child: Callable[[], Any]) -> int:
    """Fork; the child does what it is told and ends with 0, or with 1 and the error on stderr."""
    number = os.fork()
    if number:
        return number
    status = 1
    try:
        signal.alarm(PATIENCE)
        child()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)


def joined(*children: int) -> None:
    """Wait for children, all of whom must have ended well."""
    for child in children:
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0, os.waitstatus_to_exitcode(status)


def connection() -> Any:
    from tollkit import Connection

    return Connection(engine="httpx" if sys.argv[3] == "httpx" else "auto", trust_env=False)


def pymthouse(kind: str = "PymtHouse") -> Any:
    import tollkit

    return getattr(tollkit, kind).from_env(connection=connection())


def sockets() -> set[str]:
    """The sockets of this process, by the numbers that the system knows them by."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            link = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if link.startswith("socket:"):
            found.add(link)
    return found


def after_use() -> None:
    """Parent and two children go on at the same time, each over connections of its own."""
    client = pymthouse()
    client.issue_machine_access_token()
    client.get_app()
    inherited = sockets()

    def child() -> None:
        for _ in range(5):
            client.get_app()
            client.issue_machine_access_token(force=True)
        own = sockets() - inherited
        assert own, "the child has used what it inherited"
        client.close()

    children = [fork(child), fork(child)]
    for _ in range(5):
        client.get_app()
        client.issue_machine_access_token(force=True)
    joined(*children)
    assert sockets() >= inherited, "a child has closed what the parent uses"
    client.get_app()
    client.close()


def close_first() -> None:
    """A child that closes the client without having used it does not touch the parent's connections."""
    client = pymthouse()
    client.get_app()
    before = sockets()
    joined(fork(client.close))
    client.get_app()
    assert sockets() == before
    client.close()


def asynchronous() -> None:
    """The async client, in one event loop after another and in both processes."""
    client = pymthouse("AsyncPymtHouse")

    async def use() -> None:
        await client.get_app()
        await client.issue_machine_access_token(force=True)

    asyncio.run(use())

    def child() -> None:
        asyncio.run(use())
        asyncio.run(use())

    children = [fork(child), fork(child)]
    asyncio.run(use())
    joined(*children)
    asyncio.run(use())


def while_a_loop_runs() -> None:
    """A fork in the middle of a running event loop: the child leaves the loop alone, and uses a blocking client."""
    client, blocking = pymthouse("AsyncPymtHouse"), pymthouse()

    async def main() -> None:
        await client.get_app()
        child = fork(lambda: (blocking.get_app(), blocking.issue_machine_access_token(), blocking.close()))
        await client.get_app()
        await asyncio.to_thread(joined, child)
        await client.issue_machine_access_token()
        await client.aclose()

    asyncio.run(main())
    blocking.close()


def while_another_leads() -> None:
    """A thread of the parent is fetching a token when it forks: the child does not wait for who is not there."""
    client = pymthouse()
    client.get_discovery()
    asked, go_on = threading.Event(), threading.Event()

    def watch(event: Any) -> None:
        if threading.current_thread() is not threading.main_thread() and event.url.endswith("/token"):
            asked.set()
            go_on.wait(PATIENCE)

    watched = client.with_options(on_event=watch)
    found: list[Any] = []
    leader = threading.Thread(target=lambda: found.append(watched.issue_machine_access_token()))
    leader.start()
    assert asked.wait(PATIENCE), "nobody leads"
    joined(fork(client.issue_machine_access_token))
    go_on.set()
    leader.join()
    assert found[0].access_token == client.issue_machine_access_token().access_token
    client.close()


def locks() -> None:
    """Another thread holds every lock there is when the process forks: the child uses all that they guard."""
    import pytest

    from support.run402_wallet import KEY
    from tollkit.core import locks as ours
    from tollkit.core.etag_store import Entry, MemoryEtagStore
    from tollkit.oidc import FileTokenStore, MemoryTokenStore, TokenSet
    from tollkit.run402 import (
        GithubActionsCredentials,
        LocalCredentials,
        LocalError,
        MemoryCredentials,
        PrivateKeySigner,
    )
    from tollkit.run402.payments import MemoryJournal
    from tollkit.run402.siwx import SiwxSigner

    client = pymthouse()
    client.issue_machine_access_token()
    etags = MemoryEtagStore()
    siwx = SiwxSigner(PrivateKeySigner(KEY), "https://api.run402.test", reuse=100)
    memory = MemoryCredentials({"p": {"anon_key": "a", "service_key": "s"}}, api_base="https://api.run402.test")
    journal = MemoryJournal()
    store = MemoryTokenStore()
    files = FileTokenStore(Path(os.environ["RUN402_CONFIG_DIR"]) / "tokens.json")
    local = LocalCredentials()
    github = GithubActionsCredentials("p", env={})
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with ExitStack() as all_of_them:
            for lock in list(ours._made):
                all_of_them.enter_context(lock)
            held.set()
            go_on.wait(PATIENCE)

    def child() -> None:
        etags.put("key", Entry(etag=None, body=b"", fetched_at=0, checked_at=0))
        assert siwx.headers("/") == siwx.headers("/")
        memory.set_active_project("p")
        assert journal.spent("a", "b", "c", now=0) == 0
        assert store.try_lock()
        store.unlock()
        assert files.try_lock()
        files.save(TokenSet(access_token="t"))
        files.unlock()
        assert local.get_auth("/") is None
        with pytest.raises(LocalError, match="ACTIONS_ID_TOKEN_REQUEST_URL"):
            github.get_auth("/")
        client.issue_machine_access_token(force=True)
        client.get_app()

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(PATIENCE)
    assert len(list(ours._made)) >= 10
    joined(fork(child))
    go_on.set()
    holder.join()
    child()  # and the parent goes on as it was
    client.close()


def locked_file() -> None:
    """The lock of a token file that another thread of the parent holds keeps the child out, and dies with neither."""
    from tollkit.oidc import FileTokenStore

    store = FileTokenStore(Path(os.environ["RUN402_CONFIG_DIR"]) / "tokens.json")
    assert store.try_lock()

    def refused() -> None:
        assert not store.try_lock(), "two processes hold one lock"

    joined(fork(refused), fork(refused))
    joined(fork(refused))
    store.unlock()

    def taken() -> None:
        assert store.try_lock()
        store.unlock()

    joined(fork(taken))
    taken()


def collector() -> None:
    """A thread of the parent reads a large answer, for which the collector pauses: it is on in the child."""
    import gc

    from tollkit_api.runtime.collector import paused

    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with paused():
            held.set()
            go_on.wait(PATIENCE)

    def child() -> None:
        assert gc.isenabled()
        with paused():
            assert not gc.isenabled()
        assert gc.isenabled()

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(PATIENCE)
    assert not gc.isenabled()
    joined(fork(child))
    go_on.set()
    holder.join()
    child()


def numbers() -> None:
    """What must differ differs between parent and children: nonces, states, and the waits between attempts."""
    from support.run402_wallet import KEY
    from tollkit.core import policy
    from tollkit.run402 import PrivateKeySigner
    from tollkit.run402.eip3009 import new_nonce
    from tollkit.run402.siwx import SiwxMessage, SiwxSigner
    from tollkit.tokenite import StateSigner, Tokenite

    client = Tokenite(client_id="app_1", redirect_uri="https://app.test/back")
    states = StateSigner(b"k" * 32)
    siwx = SiwxSigner(PrivateKeySigner(KEY), "https://api.run402.test")
    random.random(), new_nonce(), policy._delay(3, None)
    reader, writer = os.pipe()

    def made() -> list[str]:
        return [
            *(new_nonce() for _ in range(50)),
            *(SiwxMessage.new("https://api.run402.test", "/").nonce for _ in range(50)),
            *(str.__str__(siwx.headers("/")["SIGN-IN-WITH-X"]) for _ in range(5)),
            *(client.get_authorize_url().state for _ in range(50)),
            *(states.issue("session") for _ in range(50)),
            *(repr(policy._delay(3, None)) for _ in range(20)),
        ]

    def child() -> None:
        with os.fdopen(writer, "w") as out:
            out.write(json.dumps(made()) + "\n")

    children = []
    for _ in range(3):
        children.append(fork(child))
        joined(children[-1])
    own = made()
    os.close(writer)
    with os.fdopen(reader) as found:
        theirs = [json.loads(line) for line in found]
    everything = [*own, *(one for each in theirs for one in each)]
    assert len(theirs) == 3
    assert len(everything) == len(set(everything)) == 4 * len(own)


CASES = {
    case.__name__: case
    for case in (
        after_use,
        close_first,
        asynchronous,
        while_a_loop_runs,
        while_another_leads,
        locks,
        locked_file,
        collector,
        numbers,
    )
}

if __name__ == "__main__":
    os.environ.update(json.loads(sys.argv[2]))
    signal.alarm(2 * PATIENCE)
    CASES[sys.argv[1]]()
