"""A process that saves and acknowledges: `keystore_worker.py KEYSTORE NAME COUNT ACKNOWLEDGED`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tollkit.run402.credentials import ProjectKeys
from tollkit.run402.keystore import KeystoreFile


def main(path: str, name: str, count: str, acknowledged: str) -> None:
    file = KeystoreFile(Path(path))
    handle = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    done = os.fstat(handle).st_size
    for number in range(done, int(count)):
        # each save tells one member alone: what the others told must stay
        file.save_project(f"prj_{name}", ProjectKeys("a", "s", additional_properties={f"save_{number}": 1}))
        os.write(handle, b".")


if __name__ == "__main__":
    main(*sys.argv[1:])
