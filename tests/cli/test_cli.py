"""The command, run as a person runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

import tollkit
from tollkit.cli.app import app
from tollkit.errors import ArgumentError


def test_version_and_help() -> None:
    assert CliRunner().invoke(app, ["--version"]).output.strip() == f"tollkit, version {tollkit.__version__}"
    told = CliRunner().invoke(app, ["-h"])
    assert told.exit_code == 0
    assert "sandbox" in told.output


def test_an_error_is_told_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise ArgumentError("port", "must be free")

    monkeypatch.setattr("tollkit.sandbox.run_forever", refuse, raising=False)
    told = CliRunner().invoke(app, ["sandbox"])
    assert told.exit_code == 1
    assert told.output.strip() == "Error: port: must be free (code invalid_argument)"


def test_the_sandbox_runs_until_interrupted() -> None:
    command = [sys.executable, "-c", "from tollkit.cli import main; main()", "sandbox", "--port", "0"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as running:
        assert running.stdout
        banner = ""
        while "PYMTHOUSE_M2M_CLIENT_SECRET" not in banner:
            line = running.stdout.readline()
            assert line, f"it ended after: {banner}"
            banner += line
        issuer = re.search(r"PYMTHOUSE_ISSUER_URL=['\"]?(http[^'\"\s]+)", banner)
        assert issuer
        document = httpx.get(f"{issuer[1]}/.well-known/openid-configuration").json()
        assert document["issuer"] == issuer[1]
        running.send_signal(signal.SIGINT)
        rest = running.stdout.read()
        assert "Traceback" not in rest
    assert running.returncode == 0


def test_without_the_extra_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['click'] = None; sys.argv = ['tollkit'];from tollkit.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'tollkit[cli]'" in done.stderr
    assert "Traceback" not in done.stderr
