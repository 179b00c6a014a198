"""The life of the server: start, stop, many at once, nothing left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx
import pytest
from sandbox_caller import Caller

import tollkit.sandbox
from tollkit.errors import MissingExtraError
from tollkit.sandbox import PymtHouseSandbox, Sandbox, banner, env_lines, run_forever
from tollkit.sandbox.server import is_loopback

pytest_plugins = ["pytester"]


def test_start_stop_start_again() -> None:
    before = set(threading.enumerate())
    sandbox = Sandbox()
    assert repr(sandbox) == "<Sandbox: not started>"
    with pytest.raises(RuntimeError, match="before it is started"):
        _ = sandbox.url
    sandbox.stop()
    sandbox.pymthouse.seed_user("alice")
    with sandbox:
        assert sandbox.running
        url = sandbox.url
        with pytest.raises(RuntimeError, match="runs already"):
            sandbox.start()
        assert httpx.get(f"{url}/api/v1/health").status_code == 200
    assert not sandbox.running
    assert set(threading.enumerate()) == before
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/api/v1/health")
    with sandbox:
        assert sandbox.url == url
        assert httpx.get(f"{url}/api/v1/health").status_code == 200
    assert set(threading.enumerate()) == before


def test_a_taken_port_is_an_error_and_leaves_nothing() -> None:
    before = set(threading.enumerate())
    with Sandbox() as first, pytest.raises(OSError, match="ddress already in use"):
        Sandbox(port=int(first.url.rpartition(":")[2])).start()
    assert set(threading.enumerate()) == before


def test_stop_closes_idle_connections() -> None:
    with Sandbox() as sandbox:
        host, port = sandbox.url.removeprefix("http://").split(":")
        raw = socket.create_connection((host, int(port)), timeout=10)
        raw.sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.recv(15) == b"HTTP/1.1 200 OK"
    with raw:
        while raw.recv(4096):
            pass


def test_a_request_that_is_never_whole_changes_nothing(sandbox: Sandbox, caller: Caller) -> None:
    host, port = sandbox.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(_users_post(caller, length=500) + b'{"externalUserId": "half"}')
        raw.shutdown(socket.SHUT_WR)
        assert raw.recv(1000) == b""
    assert caller.get("/users").json() == {"users": []}
    assert sandbox.requests[0].status is None


def test_stop_does_not_wait_for_half_a_request(caplog: pytest.LogCaptureFixture) -> None:
    sandbox = Sandbox().start()
    host, port = sandbox.url.removeprefix("http://").split(":")
    with (
        httpx.Client(base_url=sandbox.url) as http,
        socket.create_connection((host, int(port)), timeout=10) as raw,
    ):
        raw.sendall(_users_post(Caller(http, sandbox.pymthouse), length=500))
        http.get("/api/v1/health")
        sandbox.stop()
    assert caplog.records == []


def _users_post(caller: Caller, length: int) -> bytes:
    request = httpx.Request("POST", f"http://x{caller.path('/users')}", headers={"Content-Length": str(length)})
    authorization = next(httpx.BasicAuth(*caller.auth).auth_flow(request)).headers["authorization"]
    return (
        f"POST {caller.path('/users')} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def test_a_server_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(threading.enumerate())

    async def broken(*_: object, **__: object) -> None:
        raise OSError("no loop today")

    monkeypatch.setattr("tollkit.sandbox.server._Server.startup", broken)
    sandbox = Sandbox()
    with pytest.raises(RuntimeError, match="did not start") as caught:
        sandbox.start()
    assert str(caught.value.__cause__) == "no loop today"
    assert not sandbox.running
    assert set(threading.enumerate()) == before


def test_fifty_at_once(sandbox: Sandbox, caller: Caller, platform: PymtHouseSandbox) -> None:
    platform.seed_user("alice")

    def one(number: int) -> tuple[int, int]:
        created = caller.post("/users", json={"externalUserId": "racer", "email": f"{number}@example.com"})
        return created.status_code, caller.exchange(caller.mint().json()["access_token"]).status_code

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(one, range(50)))
    assert sorted(status for status, _ in answers) == [200] * 49 + [201]
    assert [status for _, status in answers] == [200] * 50
    assert len({session.token for session in platform.sessions}) == 50
    assert sandbox.requests.count() == 150
    numbers = [entry.number for entry in sandbox.requests]
    assert numbers == sorted(set(numbers))


def test_two_sandboxes_side_by_side() -> None:
    with Sandbox() as one, Sandbox() as two:
        one.pymthouse.seed_user("alice")
        assert one.url != two.url
        listed = httpx.get(
            f"{two.url}/api/v1/apps/{two.pymthouse.public_client_id}/users",
            auth=(two.pymthouse.m2m_client_id, two.pymthouse.m2m_client_secret),
        )
        assert listed.json() == {"users": []}
        # The same ids and the same secret in every sandbox: a configuration outlives a restart.
        assert one.pymthouse.m2m_client_secret == two.pymthouse.m2m_client_secret


def _hosts() -> list[str]:
    """Loopback addresses of this machine; not every machine has IPv6."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return ["127.0.0.1", "localhost"]
    return ["127.0.0.1", "localhost", "::1"]


@pytest.mark.parametrize("host", _hosts())
def test_loopback_addresses(host: str) -> None:
    with Sandbox(host=host) as sandbox:
        shown = f"[{host}]" if ":" in host else host
        assert sandbox.url.startswith(f"http://{shown}:")
        assert httpx.get(f"{sandbox.url}/__sandbox__/").json()["result"]["env"] == sandbox.env()


def test_what_is_a_loopback_address() -> None:
    assert [is_loopback(host) for host in ("localhost", "127.8.0.1", "::1")] == [True] * 3
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "sandbox.example")] == [False] * 3


def test_the_levers_are_not_served_to_the_network() -> None:
    with Sandbox(host="0.0.0.0") as sandbox:
        url = sandbox.url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}/api/v1/health").status_code == 200
        assert httpx.get(f"{url}/__sandbox__/").status_code == 404


def test_reset_forgets_everything_but_the_address(sandbox: Sandbox, caller: Caller) -> None:
    platform = sandbox.pymthouse
    url, kid = sandbox.url, caller.http.get("/api/v1/oidc/jwks").json()["keys"][0]["kid"]
    platform.demo_data()
    platform.create_app("Other")
    platform.signer_running = True
    sandbox.clock.advance(86_400)
    sandbox.reset()
    assert sandbox.url == url
    assert len(sandbox.requests) == 0
    assert abs(sandbox.clock.now() - datetime.now(UTC).timestamp()) < 3600
    assert caller.get("/users").json() == {"users": []}
    assert caller.get("/usage").json()["totals"]["requestCount"] == 0
    assert caller.http.get("/api/v1/health").json()["signer"]["status"] == "stopped"
    assert caller.http.get("/api/v1/oidc/jwks").json()["keys"][0]["kid"] == kid


def test_the_log_holds_no_credentials(sandbox: Sandbox, caller: Caller, platform: PymtHouseSandbox) -> None:
    platform.seed_user("alice")
    minted = caller.mint(scope="sign:job").json()
    caller.exchange(minted["access_token"])
    caller.token(
        signed=False,
        grant_type="client_credentials",
        client_id=platform.m2m_client_id,
        client_secret=platform.m2m_client_secret,
    )
    caller.http.get("/oidc/device", headers={"Cookie": "a=hidden-one; b=hidden-two"})
    caller.http.post("/api/v1/nowhere", json=[{"password": "hidden-three", "name": "kept"}, 1])
    caller.http.post("/api/v1/nowhere", content=b"hidden-four", headers={"Authorization": "hidden-five"})
    text = repr(sandbox.requests.all())
    assert "hidden" not in text
    assert platform.m2m_client_secret not in text
    assert minted["access_token"] not in text
    first = sandbox.requests.matching("POST */users/alice/token")[0]
    assert first.headers["authorization"] == "Basic ****"
    assert first.json == {"scope": "sign:job"}
    assert first.status == 200
    exchange = sandbox.requests.matching("POST /api/v1/oidc/token")[0]
    assert exchange.value("subject_token") == "****"
    assert exchange.value("subject_token_type") == "urn:ietf:params:oauth:token-type:access_token"
    assert exchange.value("resource") is None
    assert sandbox.requests[-2].json == [{"password": "****", "name": "kept"}, 1]
    assert sandbox.requests.counts()["POST /api/v1/oidc/token"] == 2
    assert repr(sandbox.requests) == "<RequestLog: 6 requests>"


SCRIPT = """
from tollkit.sandbox import run_forever
run_forever(port=0, demo={demo})
print("ended", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_forever_until_told_to_stop(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", "-c", SCRIPT.format(demo=number == signal.SIGINT)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [line.strip() for line in iter(process.stdout.readline, "Ctrl-C ends it.\n")]
        assert lines[0].startswith("The sandbox answers at http://127.0.0.1:")
        env = dict(line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export "))
        answer = httpx.get(
            f"{env['PYMTHOUSE_ISSUER_URL'].removesuffix('/oidc')}/apps/{env['PYMTHOUSE_PUBLIC_CLIENT_ID']}/usage",
            auth=(env["PYMTHOUSE_M2M_CLIENT_ID"], env["PYMTHOUSE_M2M_CLIENT_SECRET"]),
        )
        assert (answer.json()["totals"]["requestCount"] > 0) == (number == signal.SIGINT)
        process.send_signal(number)
        assert process.stdout.read() == "ended\n"
        # what asyncio says of a slow machine is no complaint of the server
        told = [line for line in process.stderr.read().splitlines() if not line.startswith("Executing <")]
        assert told == []
    assert process.returncode == 0


def test_run_forever_leaves_signal_handlers_as_they_were(capsys: pytest.CaptureFixture[str]) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    seen: list[int] = []

    def announce(sandbox: Sandbox) -> None:
        seen.append(len(sandbox.pymthouse.app.users))
        signal.raise_signal(signal.SIGTERM)

    run_forever(demo=True, announce=announce)
    assert seen == [2]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert capsys.readouterr().out == ""


def test_env_lines(sandbox: Sandbox) -> None:
    assert env_lines(sandbox)[0] == f"export PYMTHOUSE_ISSUER_URL={sandbox.url}/api/v1/oidc"
    platforms = (sandbox.pymthouse, sandbox.tokenite, sandbox.run402)
    assert len(env_lines(sandbox)) == sum(len(platform.env()) for platform in platforms) == 11
    assert f"export TOKENITE_BASE_URL={sandbox.url}/tokenite" in env_lines(sandbox)
    assert all(line in banner(sandbox) for line in env_lines(sandbox))


@pytest.mark.parametrize("module", ["uvicorn", "starlette", "joserfc"])
def test_a_missing_extra_is_named(module: str) -> None:
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "import tollkit.sandbox\n"
        "try:\n    tollkit.sandbox.Sandbox\n"
        "except ImportError as error:\n    print(error)\n"
    )
    assert "pip install 'tollkit[sandbox]'" in run(code)


def test_a_missing_extra_is_an_import_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tollkit.sandbox.server")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtraError, match="sandbox"):
        _ = tollkit.sandbox.Sandbox
    monkeypatch.setitem(sys.modules, "tollkit.sandbox.server", None)
    with pytest.raises(ModuleNotFoundError, match=r"tollkit\.sandbox\.server"):
        _ = tollkit.sandbox.Sandbox
    with pytest.raises(AttributeError, match="Nothing"):
        _ = tollkit.sandbox.Nothing
    assert "Sandbox" in dir(tollkit.sandbox)


def test_the_front_of_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, tollkit.sandbox, tollkit.sandbox.pytest_plugin\n"
        "print([name for name in ('uvicorn', 'starlette', 'joserfc', 'httpx') if name in sys.modules])\n"
        "print(tollkit.sandbox.__dir__())\n"
        "try:\n    tollkit.sandbox.Nothing\n"
        "except AttributeError as error:\n    print(error)\n"
    )
    lines = run(code).splitlines()
    assert lines[0] == "[]"
    assert "run_forever" in lines[1]
    assert lines[2] == "module 'tollkit.sandbox' has no attribute 'Nothing'"


def run(code: str) -> str:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True, env=env
    ).stdout


def test_the_pytest_fixtures(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    pytester.makepyfile(
        """
        import httpx

        seen = []

        def test_one(tollkit_sandbox, pymthouse_sandbox):
            pymthouse_sandbox.seed_user("alice")
            assert httpx.get(pymthouse_sandbox.url).status_code == 200
            assert len(tollkit_sandbox.requests) == 1
            seen.append(tollkit_sandbox.url)

        def test_two(tollkit_sandbox, tokenite_sandbox):
            assert tokenite_sandbox is tollkit_sandbox.tokenite
            assert len(tollkit_sandbox.requests) == 0
            assert tollkit_sandbox.pymthouse.app.users == {}
            assert seen == [tollkit_sandbox.url]
        """
    )
    plugin = [] if _plugin_is_installed() else ["-p", "tollkit.sandbox.pytest_plugin"]
    result = pytester.runpytest_subprocess("-W", "error", *plugin)
    result.assert_outcomes(passed=2)


def _plugin_is_installed() -> bool:
    from importlib.metadata import entry_points

    return any(point.value == "tollkit.sandbox.pytest_plugin" for point in entry_points(group="pytest11"))
