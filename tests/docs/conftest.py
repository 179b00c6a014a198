"""What the tests of the documentation share: the site, built once."""

from __future__ import annotations

import os

import pytest

from support.docs_site import Site, build


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    base = tmp_path_factory.getbasetemp()
    # under xdist, the folder of the run, which all workers share
    return build(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)
