"""Every method of every client, with every answer changed at every field.

What the sandbox answers is recorded once; then each call is played again with one answer that is not what it should
be. What comes of it is a result of the type that the method promises, or an error of the platform's family, and
neither shows a secret.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import attrs
import pytest
import tour_pymthouse
import tour_run402
import tour_tokenite
from mutations import REFUSALS, TOKENS, fields_of, of_fields
from outcomes import mutations_of, play_all, told
from still import still
from takes import Plan, Take, plan

from tollkit import PymtHouse, Tokenite
from tollkit.core.flows import flow
from tollkit.core.namespaces import Namespace
from tollkit.core.paging import paged
from tollkit.oidc import OidcClient
from tollkit.run402 import MemoryCredentials, Run402
from tollkit.sandbox import Sandbox
from tollkit.tokenite import TokeniteAdmin

SHARDS = {"run402.deploy.apply": 3, "run402.ci.create_binding": 2}
"""Tests into which a call with many answers is split."""
CLIENTS: dict[str, Any] = {
    "pymthouse": PymtHouse(
        issuer_url="https://p.example/api/v1/oidc",
        public_client_id="app_1",
        m2m_client_id="m2m_1",
        m2m_client_secret="secret",
    ),
    "oidc": OidcClient("https://p.example/api/v1/oidc", "app_1"),
    "tokenite": Tokenite(client_id="app_1"),
    "admin": TokeniteAdmin(api_key="key"),
    "run402": Run402(credentials=MemoryCredentials()),
}


def methods_of(client: Any, prefix: str) -> Iterator[tuple[str, ...]]:
    """Every method of a client that may send something, with its other names."""
    found: dict[int, list[str]] = {}
    groups: set[type] = set()
    for name in dir(type(client)):
        static = inspect.getattr_static(type(client), name)
        if isinstance(static, flow | paged):
            found.setdefault(id(static), []).append(f"{prefix}.{name}")
        elif isinstance(static, property) and not name.startswith("_"):
            value = getattr(client, name)
            if isinstance(value, Namespace) and type(value) not in groups:  # some have a second name
                groups.add(type(value))
                yield from methods_of(value, f"{prefix}.{name}")
    yield from map(tuple, found.values())


METHODS = sorted({names for prefix, client in CLIENTS.items() for names in methods_of(client, prefix)})
SILENT = {f"run402.{name}" for name in tour_run402.SILENT}
LOUD = [names for names in METHODS if SILENT.isdisjoint(names)]


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Plan]:
    """The calls of a platform, recorded when they are first asked for."""
    tours: dict[str, Callable[[Sandbox, Path], list[Take]]] = {
        "pymthouse": lambda sandbox, _: tour_pymthouse.takes(sandbox),
        "tokenite": lambda sandbox, _: tour_tokenite.takes(sandbox),
        "run402": tour_run402.takes,
    }

    @cache
    def of(platform: str) -> Plan:
        with still(), Sandbox() as sandbox:
            return plan(tours[platform](sandbox, tmp_path_factory.mktemp(platform)))

    return lambda name: of({"admin": "tokenite", "oidc": "pymthouse"}.get(name, name))


def shards() -> Iterator[Any]:
    for names in LOUD:
        count = max(SHARDS.get(name, 1) for name in names)
        for shard in range(count):
            part = f"-{shard + 1}" if count > 1 else ""
            yield pytest.param(names, shard, count, id=f"{names[0]}{part}")


@pytest.mark.parametrize(("names", "shard", "count"), list(shards()))
def test_whatever_is_answered(
    recorded: Callable[[str], Plan], names: tuple[str, ...], shard: int, count: int
) -> None:
    calls = recorded(names[0].partition(".")[0])
    own = [(part, each) for part, each in enumerate(calls.values()) if each[0].method in names]
    assert own, f"no call of {' or '.join(names)} is recorded: add it to the tour of its platform"
    results = errors = 0
    for part, (take, chosen) in own:
        changes = [each for at, each in enumerate(mutations_of(take, chosen, part)) if at % count == shard]
        tally = play_all(take, changes)
        assert not tally.found, told(tally)
        assert tally.tried == len(changes) > 25
        results, errors = results + tally.results, errors + tally.errors
    assert results > 0
    assert errors > 10


def test_whatever_is_answered_at_length(recorded: Callable[[str], Plan]) -> None:
    """Answers of more than 1 MiB are read in another way."""
    take, _ = recorded("pymthouse")["pymthouse.get_usage_rows"]
    changes = [
        (0, attrs.evolve(each, answer=each.answer.with_body(b" " * (1 << 20) + each.answer.content)))
        for each in islice(of_fields(take.answers[0][1]), 0, None, 3)
    ]
    tally = play_all(take, changes)
    assert not tally.found, told(tally)
    assert tally.tried > 100
    assert tally.results > 5


def test_every_call_that_is_recorded_is_of_a_method(recorded: Callable[[str], Plan]) -> None:
    known = {name for names in LOUD for name in names}
    for platform in ("pymthouse", "tokenite", "run402"):
        assert {take.method for take, _ in recorded(platform).values()} <= known


def test_how_many_there_are(recorded: Callable[[str], Plan]) -> None:
    """So that nobody makes it small without noticing."""
    assert len(LOUD) >= 180
    assert len(TOKENS) >= 30
    assert len(REFUSALS) >= 500
    total = fields = 0
    for platform in ("pymthouse", "tokenite", "run402"):
        for part, (take, chosen) in enumerate(recorded(platform).values()):
            total += sum(1 for _ in mutations_of(take, chosen, part))
            fields += sum(len(fields_of(take.answers[one.number][1])) for one in chosen)
    assert fields > 1_000
    assert total > 40_000, total
