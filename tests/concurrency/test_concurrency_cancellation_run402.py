"""Cancellation at every await of deploys, files, payments and CI sessions: nothing is left or paid twice."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from concurrency_bench import Bench
from concurrency_cancelling import Moment, Outcome

from support.run402_wallet import ADDRESS, KEY
from tollkit.run402 import AsyncRun402, GithubActionsCredentials, sign_ci_delegation
from tollkit.run402.credentials import MemoryCredentials
from tollkit.run402.payments import RpcBalances, SpendingPolicy, SqliteJournal, X402Payer
from tollkit.run402.signer import PrivateKeySigner
from tollkit.run402.x402 import BASE, BASE_SEPOLIA

SIGNER = PrivateKeySigner(KEY)
SUBJECT = "repo:octo-org/octo-repo:ref:refs/heads/main"
TIER = 100_000


def owner(bench: Bench, project: Any = None, **changes: Any) -> Any:
    """A client of a project's owner."""
    gateway = bench.sandbox.run402
    keys = {} if project is None else {project.id: {"anon_key": project.anon_key, "service_key": project.service_key}}
    given = {
        "api_base": gateway.api_base,
        "credentials": MemoryCredentials(keys, signer=SIGNER, api_base=gateway.api_base),
        "allow_insecure_http": True,
        **changes,
    }
    return bench.client(AsyncRun402, **given)


def test_a_deploy_with_uploads(bench: Bench, moment: Moment, naps: list[float]) -> None:
    project = bench.sandbox.run402.seed_project()
    site = bench.folder / "site"
    site.mkdir()
    (site / "index.html").write_bytes(b"<h1>shipped</h1>")
    bench.allowed_files = {"index.html", "streamed"}
    counter = iter(range(100_000))

    def prepare() -> Any:
        client = owner(bench, project)
        client.number = next(counter)
        return client

    def begin(client: Any) -> Any:
        from tollkit.run402.deploy.files import file_set_from_dir

        files = {**file_set_from_dir(site), "new.txt": b"content number %d" % client.number}
        spec = {"project": project.id, "site": {"replace": files}}
        return client.deploy.apply(spec, poll_interval=0.01)

    async def again(client: Any, outcome: Outcome) -> None:
        if outcome.cancelled and len(bench.outcomes) % 8:
            assert (await client.deploy.list(project.id)) is not None
            return
        assert (await begin(client)).release_id
        live = bench.sandbox.run402.deploys.site(project.id)
        assert live["new.txt"] == b"content number %d" % client.number

    bench.run(moment, prepare, begin, again)


def test_a_file_is_stored(bench: Bench, moment: Moment, naps: list[float]) -> None:
    project = bench.sandbox.run402.seed_project()
    source = bench.folder / "source.bin"
    source.write_bytes(bytes(range(256)) * 40)
    bench.allowed_files = {"source.bin"}

    def begin(client: Any) -> Any:
        return client.blobs.put(project.id, "a.bin", source)

    async def again(client: Any, _: Outcome) -> None:
        await begin(client)
        assert (await client.blobs.get(project.id, "a.bin")).content == source.read_bytes()

    bench.run(moment, lambda: owner(bench, project), begin, again)


def test_a_file_is_downloaded(bench: Bench, moment: Moment, naps: list[float]) -> None:
    """What has come may stay for the next call, with its note; it is never held open, and never locked."""
    project = bench.sandbox.run402.seed_project()
    content = bytes(range(256)) * 2000
    target = bench.folder / "got.bin"
    bench.allowed_files = {"got.bin", "got.bin.part", "got.bin.part.json"}

    async def store() -> None:
        async with owner(bench, project) as client:
            await client.blobs.put(project.id, "a.bin", content)

    asyncio.run(store())
    bench.forget_clients()

    async def again(client: Any, outcome: Outcome) -> None:
        left = target.with_name("got.bin.part")
        assert not left.exists() or left.stat().st_size > 0, "an empty part is of no use"
        assert (await client.blobs.download(project.id, "a.bin", target)).size == len(content)
        assert target.read_bytes() == content
        assert sorted(entry.name for entry in bench.folder.iterdir() if entry.is_file()) == ["got.bin"]
        target.unlink()

    bench.run(
        moment,
        lambda: owner(bench, project),
        lambda client: client.blobs.download(project.id, "a.bin", target),
        again,
    )


def test_a_call_that_is_paid_for(bench: Bench, moment: Moment) -> None:
    """What left is written down before; one call pays once at most, and what is not written down was not paid."""
    gateway = bench.sandbox.run402
    gateway.set_payments(networks=[BASE_SEPOLIA])
    gateway.fund(ADDRESS, 1_000_000_000)
    bench.allowed_files = {"payments.sqlite3", "payments.sqlite3-journal"}
    journal = SqliteJournal(bench.folder / "payments.sqlite3")
    nodes = {network: gateway.rpc_url(network) for network in (BASE, BASE_SEPOLIA)}
    policy = SpendingPolicy(ask_above=None, unasked_per_day=None)
    balances = RpcBalances(nodes, keep=0, connection=bench.connection)
    payer = X402Payer(SIGNER, journal=journal, balances=balances, policy=policy)

    def begin(client: Any) -> Any:
        return client.tier.set("prototype")

    known: list[int] = [0, 0]

    async def again(client: Any, outcome: Outcome) -> None:
        settled = {one.nonce for one in gateway.settlements}
        written = {one.nonce for one in journal.payments()}
        assert settled <= written
        assert len(settled) - known[0] <= 1
        assert len(written) - known[1] <= 1
        if not outcome.cancelled:
            assert len(settled) - known[0] == 1
        assert gateway.replayed_payments == []
        assert (await begin(client)).tier == "prototype"
        known[:] = len(gateway.settlements), len(list(journal.payments()))
        last = list(journal.payments())[-1]
        assert (last.state, last.amount) == ("settled", TIER)

    bench.run(moment, lambda: owner(bench, payments=payer), begin, again)
    spent = sum(one.amount for one in gateway.settlements)
    assert gateway.wallet_balance(ADDRESS) == 1_000_000_000 - spent
    assert sum(one.amount for one in journal.payments()) >= spent


def bound(bench: Bench, project: Any) -> None:
    """Let workflows of a repository deploy to a project."""

    async def bind() -> None:
        values = {
            "project_id": project.id,
            "subject_match": SUBJECT,
            "allowed_actions": ["deploy"],
            "allowed_events": ["push", "workflow_dispatch"],
            "nonce": "deadbeef00112233aabbccdd44556677",
        }
        signed = sign_ci_delegation(values, signer=SIGNER, api_base=bench.sandbox.run402.api_base)
        async with owner(bench, project) as client:
            await client.ci.create_binding(**values, signed_delegation=signed)

    asyncio.run(bind())
    bench.forget_clients()


def test_a_workflow_s_token_is_exchanged(bench: Bench, moment: Moment, naps: list[float]) -> None:
    """The exchange runs in a thread, which nobody can cancel: the session that it brings serves the next call."""
    gateway = bench.sandbox.run402
    project = gateway.seed_project()
    bound(bench, project)

    def prepare() -> Any:
        credentials = GithubActionsCredentials(
            project.id,
            api_base=gateway.api_base,
            env=gateway.github.env(),
            allow_insecure_http=True,
            connection=bench.connection,
        )
        client = owner(bench, credentials=credentials)
        client.held = credentials
        return client

    def begin(client: Any) -> Any:
        spec = {"project": project.id, "site": {"replace": {"index.html": b"hi"}}}
        return client.deploy.apply(spec, poll_interval=0.01)

    async def again(client: Any, outcome: Outcome) -> None:
        assert not client.held._lock.locked()
        before = gateway.requests.count("POST */ci/v1/token-exchange")
        assert before <= 1
        if not outcome.cancelled:
            assert before == 1
        assert (await asyncio.to_thread(client.held.get_auth, "/deploy/v2/plans"))["Authorization"]
        if not (outcome.cancelled and len(bench.outcomes) % 8):
            assert (await begin(client)).release_id
        assert gateway.requests.count("POST */ci/v1/token-exchange") == 1
        gateway.requests.clear()

    bench.run(moment, prepare, begin, again)


@pytest.mark.parametrize("workers", [1])
def test_a_download_that_is_cancelled_while_its_file_is_opened(
    bench: Bench, workers: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its thread goes on, and closes and unlocks what it has opened, since there is nobody to do it."""
    from tollkit.run402 import download

    project = bench.sandbox.run402.seed_project()
    target = tmp_path / "got.bin"
    opening, go_on = threading.Event(), threading.Event()
    opened = download._Part.open.__func__

    def slowly(cls: Any, *args: Any, **kwargs: Any) -> Any:
        part = opened(cls, *args, **kwargs)
        opening.set()
        assert go_on.wait(20)
        return part

    async def main() -> None:
        async with owner(bench, project) as client:
            await client.blobs.put(project.id, "a.bin", b"content")
            monkeypatch.setattr(download._Part, "open", classmethod(slowly))
            task = asyncio.ensure_future(client.blobs.download(project.id, "a.bin", target))
            await asyncio.to_thread(opening.wait, 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            monkeypatch.setattr(download._Part, "open", classmethod(opened))
            go_on.set()
            # the loop's threads are joined, so that what the cancelled call left is done
            await asyncio.get_running_loop().shutdown_default_executor()

    asyncio.run(main())
    bench.forget_clients()
    assert list(tmp_path.glob("got.bin*")) == []
