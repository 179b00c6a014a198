"""Deploys a folder in a process of its own, so that its memory can be told.

    python shipping.py '{"api_base": ..., "project": ..., "anon_key": ..., "folder": ..., "client": "blocking"}'

Prints the peak of its memory before and after, in bytes, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from pathlib import Path
from typing import Any

from support.run402_wallet import KEY
from tollkit.run402 import AsyncRun402, MemoryCredentials, PrivateKeySigner, Run402
from tollkit.run402.deploy.files import file_set_from_dir


def peak() -> int:
    """Bytes at most so far. What `getrusage` tells begins with what the parent process had."""
    status = Path("/proc/self/status")
    if not status.exists():
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def ship(api_base: str, project: str, anon_key: str, client: str, site: Any) -> None:
    """Deploy files."""
    keys = {project: {"anon_key": anon_key, "service_key": ""}}
    credentials = MemoryCredentials(keys, signer=PrivateKeySigner(KEY), api_base=api_base)
    arguments: Any = {"api_base": api_base, "credentials": credentials, "allow_insecure_http": True}
    spec = {"project": project, "site": {"replace": site}}
    if client == "blocking":
        with Run402(**arguments) as blocking:
            blocking.deploy.apply(spec, poll_interval=0.01)
        return

    async def main() -> None:
        async with AsyncRun402(**arguments) as waiting:
            await waiting.deploy.apply(spec, poll_interval=0.01)

    asyncio.run(main())


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    folder = told.pop("folder")
    ship(**told, site={"first.txt": b"what a deploy loads is loaded"})
    before = peak()
    ship(**told, site=file_set_from_dir(folder))
    print(json.dumps({"before": before, "after": peak()}))
