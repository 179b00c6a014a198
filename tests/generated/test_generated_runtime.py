"""The runtime by itself: the values that JSON has no word for, and the facts of an operation."""

from __future__ import annotations

import ast
import copy
import gc
import json
import pickle
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

import tollkit_api.runtime as runtime
from tollkit_api.runtime import UNSET, Operation, Request, Response, Secret, Unset, decode
from tollkit_api.runtime.collector import paused
from tollkit_api.runtime.preview import preview

ROOT = Path(__file__).parents[2]


def test_a_secret_is_a_text_that_does_not_show_itself():
    secret = Secret("sentinel")
    assert secret == "sentinel"
    assert hash(secret) == hash("sentinel")
    assert f"{secret} {secret:>9} {secret!s}" == "sentinel  sentinel sentinel"
    assert type(str(secret)) is type(secret.reveal()) is str
    assert repr(secret.reveal()) == "'sentinel'"
    assert json.dumps([secret]) == '["sentinel"]'
    for shown in (repr(secret), f"{secret!r}", f"{secret!a}", ascii(secret), repr([secret])):
        assert "sentinel" not in shown
        assert "Secret('****')" in shown
    for twin in (copy.copy(secret), copy.deepcopy(secret), pickle.loads(pickle.dumps(secret))):
        assert type(twin) is Secret
        assert twin == secret
    assert not hasattr(secret, "__dict__")


def test_there_is_one_unset():
    assert repr(UNSET) == "UNSET"
    assert bool(UNSET) is False
    assert Unset() is UNSET
    assert copy.deepcopy(UNSET) is copy.copy(UNSET) is pickle.loads(pickle.dumps(UNSET)) is UNSET
    with pytest.raises(TypeError):

        class More(Unset):
            pass


def test_operations_and_requests_are_frozen():
    operation = Operation(id="a", method="GET", path="/", security=(), idempotent=True, success=(200,))
    assert {operation: 1}[operation] == 1
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        operation.id = "b"
    request = Request(operation=operation, url="/", params=(("token", Secret("sentinel")),), content=b"sentinel")
    assert "sentinel" not in repr(request)
    assert request.url_with_query == "/?token=sentinel"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        request.url = "/b"
    assert "sentinel" not in repr(Response(200, b"sentinel", {"a": "sentinel"}, None))
    assert Response(520, b"", {}, None).status_code == 520


def test_the_front_is_complete():
    assert {name: getattr(runtime, name).__class__ for name in runtime.__all__}
    assert set(runtime.__all__) <= set(dir(runtime))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = runtime.nothing


def test_the_runtime_needs_attrs_and_nothing_else():
    allowed = {*sys.stdlib_module_names, "attrs"}
    for path in (ROOT / "generated" / "tollkit_api" / "runtime").glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            # rows.py is what bulk.py imports when msgspec is there, and does without when it is not
            extra = {"msgspec"} if path.name == "rows.py" else set()
            assert {name.partition(".")[0] for name in names} <= allowed | extra, path.name


def test_http_comes_with_the_first_request():
    program = (
        "import sys; from tollkit_api.runtime import Client; c = Client('http://x'); print('httpx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    "hard", [b'"token' * 5000, b'"' + b"a" * 50_000, b"a1" * 50_000, b'{"token": "' + b"\\" * 9999]
)
def test_previews_of_hostile_bodies_are_short(hard: bytes):
    assert len(preview(hard)) <= 200


def test_the_collector_pauses_for_a_long_list_and_comes_back() -> None:
    seen: list[bool] = []

    def watch(value: object) -> object:
        seen.append(gc.isenabled())
        if value == "bad":
            raise decode.mistyped("string", value)
        return value

    read = decode.list_of(watch)
    assert gc.isenabled()
    read([1] * 5)
    read([1] * 1_000)
    assert seen == [True] * 5 + [False] * 1_000
    with pytest.raises(decode.DecodeError):
        read(["bad"] * 1_000)
    assert gc.isenabled()


def test_a_collector_that_the_program_has_switched_off_stays_off() -> None:
    gc.disable()
    try:
        with paused(), paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
