"""The oracles, imported before the tests are: eth-account and the official x402 package.

One of their dependencies raises the recursion limit of the whole process so far that JSON nested too deeply ends it
instead of raising an error. The limit is put back, for all tests.
"""

from __future__ import annotations

import sys

_limit = sys.getrecursionlimit()
for _oracle in ("eth_account", "x402.http.utils", "x402.mechanisms.evm.exact.v1.client"):
    __import__(_oracle)
sys.setrecursionlimit(_limit)
