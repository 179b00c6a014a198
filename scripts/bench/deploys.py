"""One side of the deploy benchmark, each in a process of its own: the gateway, or this package's client.

    python deploys.py gateway [SECONDS]                        # prints where it is, and does what it reads
    python deploys.py ship API_BASE PROJECT_ID ANON_KEY WALLET_KEY FOLDER blocking|async

The client prints one line of JSON, as `deploy.mjs` does.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

PROJECTS = 8


def gateway(latency: float) -> None:
    """The sandbox, with some projects. `cpu` on its standard input makes it tell its CPU seconds so far.

    Args:
        latency: Seconds that each request takes on the way.
    """
    from tollkit.sandbox import Fault, Sandbox

    with Sandbox() as sandbox:
        sandbox.run402.deploys.set_pace("instant")
        if latency:
            sandbox.faults.add(Fault(kind="latency", seconds=latency, times=None))
        projects = [sandbox.run402.seed_project() for _ in range(PROJECTS)]
        told: dict[str, Any] = {
            "api_base": sandbox.run402.api_base,
            "projects": [[project.id, project.anon_key] for project in projects],
        }
        print(json.dumps(told), flush=True)
        for line in sys.stdin:
            if line.strip() == "cpu":
                print(json.dumps({"cpu": time.process_time()}), flush=True)


def peak() -> float:
    """MiB of memory at most so far. What `getrusage` tells begins with what the parent process had."""
    status = Path("/proc/self/status")
    if not status.exists():
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / 2**20 if sys.platform == "darwin" else most / 2**10
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 2**10


def ship(api_base: str, project: str, anon_key: str, wallet_key: str, folder: str, kind: str) -> None:
    """Deploy a folder, with events, as people do."""
    from tollkit.run402 import AsyncRun402, MemoryCredentials, PrivateKeySigner, Run402
    from tollkit.run402.deploy.files import file_set_from_dir

    keys = {project: {"anon_key": anon_key, "service_key": ""}}
    credentials = MemoryCredentials(keys, signer=PrivateKeySigner(wallet_key), api_base=api_base)
    arguments: Any = {"api_base": api_base, "credentials": credentials, "allow_insecure_http": True}
    events: list[Any] = []
    started, cpu, before = time.perf_counter(), time.process_time(), peak()
    spec = {"project": project, "site": {"replace": file_set_from_dir(folder)}}
    if kind == "blocking":
        with Run402(**arguments) as blocking:
            blocking.deploy.apply(spec, on_event=events.append)
    else:

        async def main() -> None:
            async with AsyncRun402(**arguments) as client:
                await client.deploy.apply(spec, on_event=events.append)

        asyncio.run(main())
    told = {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "peak_mib": peak(),
        "extra_mib": peak() - before,
        "events": len(events),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    if sys.argv[1] == "gateway":
        gateway(float(sys.argv[2]) if len(sys.argv) > 2 else 0.0)
    else:
        ship(*sys.argv[2:])
