"""A wallet's signatures, against the bare libraries and eth-account, where .venv-oracles has it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from scripts.bench.figures import Figure
from scripts.bench.measure import ROOT, Sizes, answer_of

METHOD = "CPU time of one signature, measured in a process of its own; all take turns; median of the rounds"
TITLES = {"sign-in": "Run402: header that signs in", "payment": "Run402: payment signed (EIP-3009)"}
PEERS = {"bare": "bare coincurve, pycryptodome", "eth-account": "eth-account"}


def figures(sizes: Sizes) -> Iterator[Figure]:
    """Both kinds of signature."""
    oracles = ROOT / ".venv-oracles/bin/python"
    python = str(oracles) if oracles.exists() else sys.executable
    found = answer_of("wallets.py", str(min(300, sizes.calls)), str(sizes.rounds), python=python)
    for name, title in TITLES.items():
        for peer, peer_name in PEERS.items():
            if peer in found[name]:
                yield Figure(
                    topic="wallets", name=f"{name}.{peer}", title=title, unit="µs", ours=found[name]["ours"],
                    peer_name=peer_name, peer=found[name][peer], method=METHOD,
                )  # fmt: skip
