"""What is measured, a module for each topic; each has `figures(sizes)`."""

from __future__ import annotations

TOPICS = {
    "import": "imports",
    "percall": "percall",
    "decode": "decode",
    "aggregate": "aggregate",
    "tokens": "tokens",
    "deploy": "deploy",
    "wallets": "wallets",
    "starts": "starts",
}
"""Topic -> module, in the order of the table."""
