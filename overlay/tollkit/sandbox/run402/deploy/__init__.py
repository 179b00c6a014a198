"""Deploys: the content-addressed store, plans, operations, releases, and levers on all of them."""

from __future__ import annotations

from tollkit.sandbox.run402.deploy.content import Transfer
from tollkit.sandbox.run402.deploy.levers import Deploys
from tollkit.sandbox.run402.deploy.operations import Commit, Operation
from tollkit.sandbox.run402.deploy.releases import File, Function, Release

__all__ = ["Commit", "Deploys", "File", "Function", "Operation", "Release", "Transfer"]
