"""`make bench`: what tollkit costs, as ratios against peers measured in the same run.

Method: CPU seconds of this process (the server is another process), rounds of the two sides in turn, medians of
the rounds. Wall clock is told where a person waits for it. Figures of one run on one machine: trust the ratios.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import httpx

from tollkit.core.credentials import basic_header
from tollkit.core.raw import Answer
from tollkit.pymthouse import AsyncPymtHouse, PymtHouse
from tollkit.pymthouse.usage import summarize_usage_fiat_for_external_user
from tollkit.run402 import AsyncRun402, MemoryCredentials, Run402
from tollkit.usage import by_user

ROOT = Path(__file__).parents[2]
APP, M2M, SECRET = "app_0a1b2c3d4e5f60718293a4b5", "m2m_0a1b2c3d4e5f60718293a4b5", "bench-secret"
ROUNDS = 7
TWENTY = "<= 1.20 of bare httpx"


def row(what: str, ours: str, peer: str, ratio: float | None, aim: str) -> None:
    """One line of the table."""
    print(f"{what:<58} {ours:>14} {peer:>14} {'' if ratio is None else f'{ratio:.2f}':>7}  {aim}")


@contextlib.contextmanager
def fixed_server() -> Generator[str]:
    """The address of a server with one fixed answer."""
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts/bench/server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin
    assert server.stdout
    try:
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
    finally:
        server.stdin.close()
        server.wait()
        server.stdout.close()


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of this process for one run of the work."""
    gc.collect()
    started = time.process_time()
    work()
    return time.process_time() - started


def versus(
    ours: Callable[[], object], peer: Callable[[], object], rounds: int = ROUNDS
) -> tuple[float, float, float]:
    """Median CPU seconds of both, run in turn, and the median of the ratios."""
    ours()
    peer()
    pairs = [(cpu(ours), cpu(peer)) for _ in range(rounds)]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )


def client_settings(origin: str) -> dict[str, Any]:
    return {
        "issuer_url": f"{origin}/api/v1/oidc",
        "public_client_id": APP,
        "m2m_client_id": M2M,
        "m2m_client_secret": SECRET,
        "allow_insecure_http": True,
    }


def per_call(origin: str) -> None:
    """CPU a call against bare httpx that sends the same request: `get_usage` of PymtHouse, and of Run402."""
    settings = client_settings(origin)
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "Authorization": str(basic_header(M2M, SECRET)),
    }
    with PymtHouse(**settings) as client:
        blocking(
            "call, blocking (CPU)",
            lambda: client.get_usage(group_by="user"),
            (f"{origin}/api/v1/apps/{APP}/usage?groupBy=user", headers),
            "<= 1.15 of bare httpx",
        )
    in_flight(
        "call, 32 in flight (CPU)",
        AsyncPymtHouse(**settings),
        lambda client: client.get_usage(group_by="user"),
        (f"{origin}/api/v1/apps/{APP}/usage?groupBy=user", headers),
        "<= 1.15 of bare httpx",
    )

    def gateway() -> dict[str, Any]:
        keys = MemoryCredentials({"prj_1": {"anon_key": "anon", "service_key": SECRET}})
        return {"api_base": origin, "credentials": keys, "allow_insecure_http": True}

    bare = (f"{origin}/projects/v1/admin/prj_1/usage", {"Authorization": f"Bearer {SECRET}"})
    with Run402(**gateway()) as run402:
        blocking("Run402 call, blocking (CPU)", lambda: run402.projects.get_usage("prj_1"), bare, TWENTY)
        project = run402.project("prj_1")
        blocking("Run402 call in a project, blocking (CPU)", project.projects.get_usage, bare, TWENTY)
    in_flight(
        "Run402 call, 32 in flight (CPU)",
        AsyncRun402(**gateway()),
        lambda client: client.projects.get_usage("prj_1"),
        bare,
        TWENTY,
    )


def blocking(what: str, call: Callable[[], object], bare: tuple[str, dict[str, str]], aim: str) -> None:
    """One row: a call, one after the other."""
    calls = 400
    url, headers = bare
    with httpx.Client() as client:

        def ours() -> None:
            for _ in range(calls):
                call()

        def peer() -> None:
            for _ in range(calls):
                client.get(url, headers=headers).json()

        a, b, ratio = versus(ours, peer)
    row(what, f"{a / calls * 1e6:.0f} us", f"{b / calls * 1e6:.0f} us", ratio, aim)


def in_flight(what: str, client: Any, call: Callable[[Any], Any], bare: tuple[str, dict[str, str]], aim: str) -> None:
    """One row: calls of an async client, 32 at once; closes the client."""
    calls = 800
    url, headers = bare

    async def all_of(one: Callable[[], Any]) -> None:
        left = iter(range(calls))

        async def worker() -> None:
            for _ in left:
                await one()

        await asyncio.gather(*(worker() for _ in range(32)))

    loop = asyncio.new_event_loop()
    peer = httpx.AsyncClient()

    async def bare_call() -> None:
        (await peer.get(url, headers=headers)).json()

    a, b, ratio = versus(
        lambda: loop.run_until_complete(all_of(lambda: call(client))),
        lambda: loop.run_until_complete(all_of(bare_call)),
    )
    loop.run_until_complete(client.aclose())
    loop.run_until_complete(peer.aclose())
    loop.close()
    row(what, f"{a / calls * 1e6:.0f} us", f"{b / calls * 1e6:.0f} us", ratio, aim)


def wallets() -> None:
    """A wallet's signatures, against the bare libraries and eth-account, where .venv-oracles has it."""
    oracles = ROOT / ".venv-oracles/bin/python"
    python = str(oracles) if oracles.exists() else sys.executable
    program = [python, str(ROOT / "scripts/bench/wallets.py")]
    found = json.loads(subprocess.run(program, check=True, capture_output=True, text=True).stdout)
    for what, name in (("sign-in header (CPU)", "sign-in"), ("payment, EIP-3009 (CPU)", "payment")):
        for peer in ("bare", "eth-account"):
            if peer in found[name]:
                ours, theirs = found[name]["ours"], found[name][peer]
                title = {"bare": "bare coincurve, pycryptodome", "eth-account": "eth-account"}[peer]
                row(f"Run402 {what}", f"{ours:.0f} us", f"{theirs:.0f} us", ours / theirs, title)


WALLET = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
"""Of an account that everybody knows; the sandbox's projects are its."""


class Gateway:
    """The sandbox in a process of its own, with projects to deploy to.

    Args:
        latency: Seconds that each request takes on the way.
    """

    def __init__(self, latency: float = 0.0) -> None:
        command = [sys.executable, str(ROOT / "scripts/bench/deploys.py"), "gateway", str(latency)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        told = self._read()
        self.api_base: str = told["api_base"]
        self._projects: list[list[str]] = told["projects"]

    def _read(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())

    def cpu(self) -> float:
        """CPU seconds that it has taken so far."""
        assert self._process.stdin
        self._process.stdin.write("cpu\n")
        self._process.stdin.flush()
        found: float = self._read()["cpu"]
        return found

    def project(self) -> list[str]:
        """Id and key of a project that nothing was deployed to."""
        return self._projects.pop()

    def ship(self, client: str, project: list[str], folder: Path) -> dict[str, float]:
        """Deploy a folder with a client in a process of its own; what that took."""
        arguments = [self.api_base, *project, WALLET, str(folder)]
        command = (
            ["node", str(ROOT / "scripts/bench/deploy.mjs"), *arguments]
            if client == "node"
            else [sys.executable, str(ROOT / "scripts/bench/deploys.py"), "ship", *arguments, client]
        )
        before = self.cpu()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found: dict[str, float] = json.loads(done.stdout)
        found["server"] = self.cpu() - before
        return found

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def tree(folder: Path, files: int) -> Path:
    """A site of that many small files, all different."""
    for number in range(files):
        path = folder / f"{number % 100:02}" / f"page-{number}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"<h1>Page %d</h1>\n" % number * 40)
    return folder


def deploys() -> None:
    """A site of many files, shipped by both clients and, one thing after the other, by a plain script of Node."""
    for files, latency in ((10_000, 0.0), (1000, 0.01)):
        way = f"{latency * 1000:.0f} ms a request" if latency else "no way to go"
        with tempfile.TemporaryDirectory() as folder, Gateway(latency) as gateway:
            site = tree(Path(folder), files)
            node = gateway.ship("node", gateway.project(), site) if shutil.which("node") else None
            for client in ("blocking", "async"):
                project = gateway.project()
                ours = gateway.ship(client, project, site)
                title = f"deploy of {files:,} files, {way}, {client}"
                compare(f"{title} (wall)", "seconds", "s", ours, node, "<= 0.50 of Node")
                compare("  CPU of the client", "cpu", "s", ours, node, "")
                compare("  CPU of the sandbox", "server", "s", ours, node, "")
                compare("  peak memory", "peak_mib", "MiB", ours, node, f"{ours['extra_mib']:.0f} MiB for the deploy")
                compare("  events told", "events", "", ours, node, "")
                for number in range(3):
                    (site / f"{number:02}" / f"page-{number}.html").write_text(f"changed by {client}")
                again = gateway.ship(client, project, site)
                row("  three files changed, again (wall)", f"{again['seconds']:.2f} s", "", None, "")


def large_file() -> None:
    """A file of 2 GiB, streamed."""
    for client in ("blocking", "async"):
        with tempfile.TemporaryDirectory() as folder, Gateway() as gateway:
            with (Path(folder) / "large.bin").open("wb") as file:
                file.truncate(2 << 30)
            found = gateway.ship(client, gateway.project(), Path(folder))
            title = f"deploy of one file of 2 GiB, {client} (wall)"
            row(title, f"{found['seconds']:.1f} s", "", None, f"{found['extra_mib']:.0f} MiB of memory; < 64")


def compare(what: str, name: str, unit: str, ours: dict[str, float], peer: dict[str, float] | None, aim: str) -> None:
    """One row of a figure of both."""
    told = [f"{side[name]:,.{1 if unit == 's' else 0}f} {unit}".strip() if side else "" for side in (ours, peer)]
    row(what, told[0], told[1], ours[name] / peer[name] if peer else None, aim)


def big_answer(rows: int) -> bytes:
    """A usage answer with this many user rows."""
    return json.dumps(
        {
            "clientId": APP,
            "period": {"start": "2026-05-01T00:00:00.000Z", "end": "2026-05-31T23:59:59.999Z"},
            "totals": {"requestCount": rows, "currency": "USD"},
            "byUser": [
                {
                    "endUserId": f"00000000-0000-4000-8000-{n:012d}",
                    "externalUserId": f"user-{n % 1000}",
                    "userType": "system_managed",
                    "identifier": f"00000000-0000-4000-8000-{n:012d}",
                    "currency": "USD",
                    "requestCount": n % 97,
                    "networkFeeUsdMicros": str(n * 7919),
                    "ownerChargeUsdMicros": str(n * 8001),
                    "endUserBillableUsdMicros": str(n * 9001),
                }
                for n in range(rows)
            ],
        }
    ).encode()


def stock_package(folder: Path) -> Any:
    """The usage document through openapi-python-client as it comes, imported."""
    import importlib

    (folder / "config.yaml").write_text("package_name_override: stock_usage\npost_hooks: []\n")
    subprocess.run(
        [
            str(ROOT / ".venv-generate/bin/openapi-python-client"), "generate", "--meta", "none",
            "--path", str(ROOT / "specs/usage/v2026_05.yaml"),
            "--config", str(folder / "config.yaml"), "--output-path", str(folder / "stock_usage"),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    sys.path.insert(0, str(folder))
    return importlib.import_module("stock_usage.models")


def decode() -> None:
    """A 50,000-row answer to typed rows and sums by user, against the stock generated models."""
    from tollkit_api.usage.v2026_05.api.usage import get_usage
    from tollkit_api.usage.v2026_05.models import UsageResponse

    count = 50_000
    body = big_answer(count)
    decoded = json.loads(body)
    answer = Answer(200, {"content-type": "application/json"}, body, "GET", "")

    class Response:
        status_code, headers, content = 200, answer.headers, body

    def sums(usage: UsageResponse) -> dict[str | None, int]:
        return {user: found.network_fee_usd_micros for user, found in by_user(usage).items()}

    with tempfile.TemporaryDirectory() as folder:
        models = stock_package(Path(folder))

        def stock_sums(usage: Any) -> dict[str | None, int]:
            found: dict[str | None, list[int]] = {}
            for one in usage.by_user:
                known = found.setdefault(one.external_user_id, [0, 0, 0, 0])
                known[0] += int(one.network_fee_usd_micros)
                known[1] += int(one.owner_charge_usd_micros)
                known[2] += int(one.end_user_billable_usd_micros)
                known[3] += one.request_count
            return {user: known[0] for user, known in found.items()}

        def ours() -> Any:
            return sums(UsageResponse.from_dict(decoded))

        def stock() -> Any:
            return stock_sums(models.UsageResponse.from_dict(decoded))

        assert ours() == stock(), "both must come to the same sums"

        def ours_of_one() -> Any:
            usage = UsageResponse.from_dict(decoded)
            return summarize_usage_fiat_for_external_user(usage, "user-7").network_fee_usd_micros

        def stock_of_one() -> Any:
            total = [0, 0, 0, 0]
            for one in models.UsageResponse.from_dict(decoded).by_user:
                if one.external_user_id == "user-7":
                    total[0] += int(one.network_fee_usd_micros)
                    total[1] += int(one.owner_charge_usd_micros)
                    total[2] += int(one.end_user_billable_usd_micros)
                    total[3] += one.request_count
            return total[0]

        assert ours_of_one() == stock_of_one(), "both must come to the same sum"
        a, b, ratio = versus(ours_of_one, stock_of_one)
        row(
            "50,000 rows typed, one user summed (CPU)",
            f"{a * 1e3:.0f} ms",
            f"{b * 1e3:.0f} ms",
            ratio,
            "<= 0.50 of stock",
        )
        a, b, ratio = versus(lambda: by_user(decoded), stock)
        row(
            "50,000 rows of JSON, all users summed (CPU)",
            f"{a * 1e3:.0f} ms",
            f"{b * 1e3:.0f} ms",
            ratio,
            "<= 0.50 of stock",
        )
        a, b, ratio = versus(ours, stock)
        row(
            "50,000 rows typed, all users summed (CPU)",
            f"{a * 1e3:.0f} ms",
            f"{b * 1e3:.0f} ms",
            ratio,
            "<= 0.50 of stock",
        )
        a, b, ratio = versus(
            lambda: sums(get_usage.parse(Response())),
            lambda: stock_sums(models.UsageResponse.from_dict(json.loads(body))),
        )
        row("the same with the JSON text read (CPU)", f"{a * 1e3:.0f} ms", f"{b * 1e3:.0f} ms", ratio, "")

        def held(work: Callable[[], Any], rows: int) -> float:
            gc.collect()
            tracemalloc.start()
            kept = work()
            size = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
            del kept
            return size / rows

        half = json.loads(big_answer(count // 2))
        a = held(lambda: UsageResponse.from_dict(decoded), count)
        b = held(lambda: models.UsageResponse.from_dict(decoded), count)
        row("memory a typed row holds", f"{a:.0f} B", f"{b:.0f} B", a / b, "")
        c = held(lambda: UsageResponse.from_dict(half), count // 2)
        row("the same with half the rows", f"{c:.0f} B", f"{a:.0f} B", c / a, "1.00 is flat")


def imports() -> None:
    """Modules that an import brings, and its wall time in a fresh interpreter."""
    program = (
        "import sys, time; before = set(sys.modules); t = time.perf_counter(); {}; "
        "print(len(set(sys.modules) - before), time.perf_counter() - t)"
    )

    def measure(statement: str) -> tuple[int, float]:
        runs = [
            subprocess.run(
                [sys.executable, "-c", program.format(statement)], check=True, capture_output=True, text=True
            ).stdout.split()
            for _ in range(5)
        ]
        return int(runs[0][0]), statistics.median(float(seconds) for _, seconds in runs)

    floor, floor_time = measure("import httpx, attrs")
    count, seconds = measure("import tollkit")
    row("import tollkit", f"{count} modules", f"{seconds * 1e3:.0f} ms", None, "< 60 modules")
    count, seconds = measure("import tollkit.pymthouse; tollkit.pymthouse.PymtHouse")
    row(
        "import tollkit.pymthouse and its client",
        f"{count} modules",
        f"{floor} modules",
        seconds / floor_time,
        "at most 60 more than httpx, attrs",
    )
    count, seconds = measure("import tollkit.run402; tollkit.run402.Run402")
    row(
        "import tollkit.run402 and its client",
        f"{count} modules",
        f"{floor} modules",
        seconds / floor_time,
        "no more than PymtHouse's",
    )


def sandbox() -> None:
    """From nothing to the first answer of the sandbox."""
    from tollkit.sandbox import Sandbox

    times: list[float] = []
    for _ in range(5):
        started = time.perf_counter()
        with Sandbox() as running:
            httpx.get(f"{running.pymthouse.issuer_url}/.well-known/openid-configuration").raise_for_status()
        times.append(time.perf_counter() - started)
    row("sandbox: start, first answer, stop (wall)", f"{statistics.median(times) * 1e3:.0f} ms", "", None, "< 1 s")


def generation() -> None:
    """All packages from all documents, into a temporary folder."""
    started = time.perf_counter()
    subprocess.run(
        [str(ROOT / ".venv-generate/bin/python"), "scripts/generate.py", "--check"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    row("make generate, all documents (wall)", f"{time.perf_counter() - started:.1f} s", "", None, "")


def main() -> None:
    """Print the table."""
    print(f"{'':<58} {'tollkit':>14} {'peer':>14} {'ratio':>7}  aim")
    imports()
    with fixed_server() as origin:
        per_call(origin)
    wallets()
    deploys()
    large_file()
    decode()
    sandbox()
    generation()


if __name__ == "__main__":
    main()
