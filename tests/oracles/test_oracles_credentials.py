"""Providers, and what asks them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from support.run402_wallet import ADDRESS, KEY, OTHER_ADDRESS, OTHER_KEY
from tollkit.core.drivers import Async, Blocking
from tollkit.core.flows import Flow
from tollkit.errors import ArgumentError, TollkitError
from tollkit.run402 import allowance as wallet
from tollkit.run402.credentials import (
    AllowanceData,
    AsyncCredentialsProvider,
    CredentialsProvider,
    FullCredentialsProvider,
    MemoryCredentials,
    ProjectKeys,
    ask,
    can,
    new_allowance,
)
from tollkit.run402.errors import LocalError
from tollkit.run402.local import LocalCredentials
from tollkit.run402.signer import AccountSigner, PrivateKeySigner
from tollkit.run402.siwx import HEADER
from tollkit.secrets import Secret

WALLET = AllowanceData(address=ADDRESS, private_key=KEY, created="2026-01-01T00:00:00.000Z")
MOMENT = datetime(2026, 2, 3, 4, 5, 6, 789_123, UTC)


def blocking(flow: Flow[Any]) -> Any:
    return Blocking().run(flow)


def in_a_loop(flow: Flow[Any]) -> Any:
    return asyncio.run(Async().run(flow))


# --- in memory ------------------------------------------------------------------------------------


def test_the_protocols(tmp_path: Path) -> None:
    for provider in (MemoryCredentials(), LocalCredentials()):
        assert isinstance(provider, CredentialsProvider)
    assert isinstance(LocalCredentials(), FullCredentialsProvider)
    assert isinstance(AsyncOnes(), AsyncCredentialsProvider)


def test_projects_in_memory() -> None:
    memory = MemoryCredentials({"p": ProjectKeys("a", "s"), "q": {"anon_key": "b", "service_key": 7, "own": 1}})
    assert memory.get_project("none") is None
    assert memory.get_project("q") == ProjectKeys("b", "", additional_properties={"service_key": 7, "own": 1})
    memory.update_project("p", {"mailbox_id": "m"})
    memory.update_project("none", {"mailbox_id": "m"})
    memory.save_project("p", ProjectKeys("a2", "s"))
    assert memory.get_project("p") == ProjectKeys("a2", "s", mailbox_id="m")
    memory.update_project("p", {"mailbox_id": None})
    assert memory.get_project("p") == ProjectKeys("a2", "s")
    memory.save_project("r", ProjectKeys("a", "s"))
    for name in ("p", "q", "q"):
        memory.set_active_project(name)
    assert memory.get_active_project() == "q"
    memory.remove_project("q")
    assert memory.get_active_project() == "p"
    memory.remove_project("r")
    memory.remove_project("p")
    assert memory.get_active_project() is None
    assert memory.get_auth("/") is None
    assert memory.blocking is False
    with pytest.raises(ArgumentError, match="project_id"):
        memory.save_project("", ProjectKeys("a", "s"))


def test_a_wallet_in_memory() -> None:
    memory = MemoryCredentials(allowance=WALLET, siwx_reuse=10)
    first = memory.get_auth("/a")
    assert first is not None
    assert memory.get_auth("/a") == first
    assert memory.read_allowance() == WALLET
    memory.save_allowance(WALLET)
    with pytest.raises(LocalError, match="Another wallet"):
        memory.save_allowance(AllowanceData(address=OTHER_ADDRESS, private_key=OTHER_KEY))
    with pytest.raises(LocalError, match="belongs to"):
        MemoryCredentials(allowance=AllowanceData(address=OTHER_ADDRESS, private_key=KEY))
    assert KEY not in repr(memory)
    assert ADDRESS in repr(memory)


def test_signers_of_others_may_wait() -> None:
    memory = MemoryCredentials(signer=AccountSigner(Account.from_key(KEY)))
    assert memory.blocking is True
    found = memory.get_auth("/a")
    assert found is not None
    assert list(found) == [HEADER]
    with pytest.raises(LocalError, match="would be lost"):
        memory.save_allowance(AllowanceData(address=OTHER_ADDRESS, private_key=OTHER_KEY))
    with pytest.raises(ArgumentError, match="together"):
        MemoryCredentials(signer=PrivateKeySigner(KEY), allowance=WALLET)


def test_a_new_wallet() -> None:
    made = new_allowance(MOMENT)
    assert made.created == "2026-02-03T04:05:06.789Z"
    assert PrivateKeySigner(made.private_key).address.lower() == made.address
    assert isinstance(made.private_key, Secret)
    assert type(made.to_dict()["privateKey"]) is str
    assert list(made.to_dict()) == ["address", "privateKey", "created", "funded"]


# --- asking ---------------------------------------------------------------------------------------


class AsyncOnes:
    """Coroutine functions, and one that returns something to await."""

    async def get_auth(self, path: str) -> Mapping[str, str] | None:
        await asyncio.sleep(0)
        return {"X": path}

    async def get_project(self, project_id: str) -> ProjectKeys | None:
        return None

    def read_allowance(self) -> Any:
        return self.get_auth("later")


class Where:
    """Tells in which thread it is called."""

    def __init__(self, blocking: bool | None) -> None:
        if blocking is not None:
            self.blocking = blocking

    def get_auth(self, path: str) -> int:
        return threading.get_ident()


def test_coroutine_functions_are_awaited() -> None:
    assert in_a_loop(ask(AsyncOnes(), "get_auth", "/a")) == {"X": "/a"}
    assert in_a_loop(ask(AsyncOnes(), "read_allowance")) == {"X": "later"}
    for method, arguments in (("get_auth", ("/a",)), ("read_allowance", ())):
        with pytest.raises(TollkitError, match=r"credentials.*plain function"):
            blocking(ask(AsyncOnes(), method, *arguments))


def test_what_may_block_runs_in_a_thread() -> None:
    here = threading.get_ident()
    for told in (None, True):
        assert in_a_loop(ask(Where(told), "get_auth", "/")) != here
        assert blocking(ask(Where(told), "get_auth", "/")) == here
    assert in_a_loop(ask(Where(False), "get_auth", "/")) == here


def test_what_a_provider_does_not_have_is_done_without() -> None:
    assert not can(AsyncOnes(), "save_project")
    assert blocking(ask(AsyncOnes(), "save_project", "p", ProjectKeys("a", "s"))) is None


# --- the allowance without a network --------------------------------------------------------------


@pytest.fixture(params=["blocking", "async"])
def run(request: pytest.FixtureRequest) -> Any:
    return blocking if request.param == "blocking" else in_a_loop


def test_status_create_export(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "allowance.json"
    local = LocalCredentials(keystore_path=tmp_path / "k", allowance_path=path)
    assert run(wallet.allowance_status(local)).to_dict() == {"address": "", "configured": False}
    with pytest.raises(LocalError, match="no allowance") as caught:
        run(wallet.export_allowance(local))
    assert caught.value.doing == "exporting allowance"
    made = run(wallet.create_allowance(local))
    status = run(wallet.allowance_status(local))
    assert status.to_dict() == {
        "address": made.address,
        "created": made.created,
        "faucet_used": False,
        "path": str(path),
        "configured": True,
    }
    assert made.to_dict() == {"address": made.address, "created": made.created, "path": str(path)}
    assert run(wallet.export_allowance(local)) == made.address
    with pytest.raises(LocalError, match="would be lost"):
        run(wallet.create_allowance(local))
    run(wallet.note_faucet(local, OTHER_ADDRESS, MOMENT))
    assert not run(wallet.allowance_status(local)).faucet_used
    run(wallet.note_faucet(local, made.address.upper().replace("X", "x"), MOMENT))
    status = run(wallet.allowance_status(local))
    assert (status.faucet_used, status.last_faucet) == (True, "2026-02-03T04:05:06.789Z")


def test_providers_that_can_less(run: Any) -> None:
    assert run(wallet.allowance_status(AsyncOnesOnly())) == wallet.AllowanceStatus(configured=False, address="")
    run(wallet.note_faucet(AsyncOnesOnly(), ADDRESS))
    with pytest.raises(LocalError, match="cannot make"):
        run(wallet.create_allowance(AsyncOnesOnly()))
    memory = MemoryCredentials()
    made = run(wallet.create_allowance(memory))
    assert made.path is None
    assert run(wallet.allowance_status(memory)).path is None
    run(wallet.note_faucet(MemoryCredentials(), ADDRESS))


class AsyncOnesOnly:
    """The two that every provider has."""

    async def get_auth(self, path: str) -> None:
        return None

    async def get_project(self, project_id: str) -> None:
        return None
