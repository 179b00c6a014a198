"""Manifests: read leniently, hashed as JavaScript hashes them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkit.pymthouse import manifest
from tollkit.pymthouse.errors import PmtHouseError
from tollkit.pymthouse.js_text import stringify
from tollkit_api.builder.v2026_05.models import AppManifest

TEXTS: list[tuple[str, str]] = json.loads((Path(__file__).parent / "data" / "js-json.json").read_text())
texts = st.text(max_size=6)
capabilities = st.lists(
    st.builds(lambda pipeline, model: {"pipeline": pipeline, "modelId": model}, texts, texts), max_size=6
)


def test_json_is_written_as_node_writes_it() -> None:
    """Made by `oracles/json.mjs`: numbers, escapes, lone surrogates, order of members."""
    assert [text for text, node in TEXTS if stringify(json.loads(text)) != node] == []


def test_a_whole_number_beyond_the_doubles_is_infinite_and_so_null() -> None:
    assert stringify([10**400, -(10**400)]) == "[null,null]"


def test_what_is_no_manifest_is_an_empty_one() -> None:
    for nothing in (None, [], "text", 5, {"capabilities": {}, "manifestVersion": "  "}):
        parsed = manifest.parse_app_manifest_response(nothing)
        assert parsed.to_dict() == {"capabilities": [], "excludedCapabilities": []}
        assert parsed.allows("any", "model")


def test_lists_keep_what_has_both_texts_as_it_came() -> None:
    kept = [{"modelId": "", "pipeline": "", "extra": [1]}, {"pipeline": "p", "modelId": "m"}]
    dropped = [None, 5, [], {}, {"pipeline": "p"}, {"pipeline": 5, "modelId": "m"}]
    parsed = manifest.parse_app_manifest_response({"capabilities": [*kept, *dropped], "manifestVersion": " v1\ufeff"})
    assert parsed.to_dict() == {"capabilities": kept, "excludedCapabilities": [], "manifestVersion": "v1"}
    assert list(parsed.to_dict()["capabilities"][0]) == ["modelId", "pipeline", "extra"]
    assert {parsed.capabilities[1]} == {parsed.capabilities[1]}


def test_allows() -> None:
    parsed = manifest.parse_app_manifest_response(
        {
            "capabilities": [{"pipeline": "p", "modelId": "m"}, {"pipeline": "q", "modelId": "*"}],
            "excludedCapabilities": [{"pipeline": "q", "modelId": "bad"}],
        }
    )
    assert parsed.allows("p", "m")
    assert parsed.allows("q", "any")
    assert not parsed.allows("p", "other")
    assert not parsed.allows("q", "bad")


def test_revisions() -> None:
    assert manifest.compute_manifest_revision(None) == "unavailable"
    assert manifest.compute_manifest_revision({"capabilities": None}) == "empty"
    assert manifest.compute_manifest_revision({"manifestVersion": " v2 ", "capabilities": "whatever"}) == "v2"
    assert (
        manifest.compute_manifest_revision({"capabilities": [{"pipeline": "a", "modelId": "b"}]})
        == "5c3d0bbb0c28fc64e41528c6"
    )


def test_a_revision_follows_members_and_their_order() -> None:
    given_ = {"pipeline": "a", "modelId": "b"}
    revisions = {
        manifest.compute_manifest_revision({"capabilities": [one]})
        for one in (given_, dict(reversed(given_.items())), {**given_, "extra": 1})
    }
    assert len(revisions) == 3


@given(capabilities, capabilities)
def test_a_revision_is_the_hash_of_the_sorted_lists_however_they_come(listed: Any, excluded: Any) -> None:
    data = {"capabilities": listed, "excludedCapabilities": excluded}
    revision = manifest.compute_manifest_revision(data)
    assert manifest.compute_manifest_revision(manifest.parse_app_manifest_response(data)) == revision
    assert manifest.compute_manifest_revision(AppManifest.from_dict(data)) == revision


@given(st.lists(st.tuples(st.sampled_from("abAB-_"), st.sampled_from("mM/1")), unique=True), st.randoms())
def test_a_revision_does_not_depend_on_the_order_of_the_lists(pairs: list[tuple[str, str]], chosen: Any) -> None:
    listed = [{"pipeline": pipeline, "modelId": model} for pipeline, model in pairs]
    shuffled = listed.copy()
    chosen.shuffle(shuffled)
    one, other = ({"capabilities": found} for found in (listed, shuffled))
    assert manifest.compute_manifest_revision(one) == manifest.compute_manifest_revision(other)


def test_a_revision_of_non_ascii_texts() -> None:
    """The hash is over UTF-8, lone surrogates escaped."""
    pair = {"pipeline": "é日", "modelId": "\ud800"}
    told = '{"capabilities":[{"pipeline":"é日","modelId":"\\ud800"}],"excludedCapabilities":[]}'
    assert (
        manifest.compute_manifest_revision({"capabilities": [pair]}) == hashlib.sha256(told.encode()).hexdigest()[:24]
    )


@pytest.mark.parametrize("bad", ["text", {"a": 1}, [5], [{}], [{"pipeline": "p", "modelId": 5}]])
def test_no_revision_of_what_is_no_manifest(bad: Any) -> None:
    with pytest.raises(PmtHouseError, match="capabilities"):
        manifest.compute_manifest_revision({"capabilities": bad})
