"""The front of tollkit.oidc: its names, what importing it costs, and that it knows no platform."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tollkit.oidc


def test_every_name_is_there_and_documented() -> None:
    for name in tollkit.oidc.__all__:
        assert getattr(tollkit.oidc, name).__doc__, name
    assert set(tollkit.oidc.__all__) <= set(dir(tollkit.oidc))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        tollkit.oidc.nonsense  # noqa: B018 - asked for to see it fail


def _loaded(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    front = _loaded("import tollkit.oidc")
    assert not {name for name in front if name.startswith("tollkit.oidc.")}
    client = _loaded("from tollkit.oidc import OidcClient\nOidcClient('https://id.example', 'app', 'secret')")
    assert not client & {"joserfc", "cryptography", "filelock", "httpx"}


def test_no_platform_is_named() -> None:
    room = Path(tollkit.oidc.__file__).parent
    assert not [path for path in room.rglob("*.py") if "pymth" in path.read_text("utf-8").lower()]
