"""What the real server answered is what the documents say.

An answer with an undocumented status, media type or member type fails here, so that a gap in a document
is found before a decoder meets it.
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from lint_specs import SPECS, OpenApi, checker, load

DATA = Path(__file__).parent / "data"
APIS = [OpenApi(load(SPECS / f"{name}/v2026_05.yaml")) for name in ("builder", "usage")]
SHAPES = {path.stem: load(path) for path in sorted((SPECS / "shapes").glob("*.json"))}

# Recorded, and no operation of ours: the status is what a method gets that the route lacks.
OUTSIDE = {
    "39-users-patch-405": "the route has no PATCH",
    "51-user-token-get-405": "the route has no GET",
    "74c-auth-validate-pmth-post": "the route has no POST",
    "134-manifest-put-m2m": "only for a dashboard session",
    "124-usage-head": "HEAD, which the server derives from GET",
}


def recordings(name):
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))["recordings"]


REST = recordings("pymthouse_2026_05_rest")
OIDC = recordings("pymthouse_2026_05_oidc")


def matches(template, path):
    return re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)), path)


def operation_of(recording):
    path = urlsplit(recording["path"]).path
    found = [
        (doc, op)
        for doc in APIS
        for op in doc.operations()
        if op.method == recording["method"].lower() and matches(op.path, path)
    ]
    assert len(found) <= 1
    return found[0] if found else None


def errors(document, pointer, value, others=()):
    return [f"{error.json_path}: {error.message[:200]}" for error in checker(document, pointer, others)(value)]


def test_the_recordings_are_all_there():
    assert len(REST) == 170
    assert len(OIDC) == 137
    assert set(OUTSIDE) <= {each["name"] for each in REST}


@pytest.mark.parametrize("recording", REST, ids=lambda each: each["name"])
def test_answer_is_documented(recording):
    found = operation_of(recording)
    if recording["name"] in OUTSIDE:
        assert found is None
        assert recording["status"] in (405, 404) or recording["method"] == "HEAD"
        return
    assert found is not None, f"{recording['method']} {recording['path']} is no operation"
    doc, operation = found
    answers = {status: (response, pointer) for status, response, pointer in doc.responses(operation)}
    response, pointer = answers[str(recording["status"])]
    for header in response.get("headers", {}):
        assert header.lower() in recording, f"no {header}"
    content = response.get("content", {})
    if "json" not in recording and "text" not in recording:
        assert not content, "an empty answer where a body is documented"
        return
    body = recording["json"] if "json" in recording else recording["text"]
    assert recording["type"] in content
    assert errors(doc.data, (*pointer, "content", recording["type"], "schema"), body) == []


@pytest.mark.parametrize("recording", REST, ids=lambda each: each["name"])
def test_nothing_was_answered_that_the_schemas_do_not_name(recording):
    """Members may be added by later servers; this one's are all described."""
    found = operation_of(recording)
    if found is None or "json" not in recording:
        return
    doc, operation = found
    closed = json.loads(json.dumps(doc.data))
    for schema in closed["components"]["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    answers = {status: pointer for status, _, pointer in doc.responses(operation)}
    place = (*answers[str(recording["status"])], "content", recording["type"], "schema")
    assert errors(closed, place, recording["json"]) == []


@pytest.mark.parametrize("doc", APIS, ids=lambda doc: doc.data["info"]["title"])
def test_provenance_counts_the_recordings_right(doc):
    count = sum(found[0] is doc for found in map(operation_of, REST) if found)
    assert any(each.startswith(f"{count} exchanges ") for each in doc.data["x-provenance"]["evidence"]), count


def test_which_documented_answers_were_never_seen():
    """A list to be honest with: these rest on the fact sheets alone."""
    seen = Counter()
    for recording in REST:
        if found := operation_of(recording):
            seen[found[1].data["operationId"], str(recording["status"])] += 1
    documented = {
        (op.data["operationId"], status)
        for doc in APIS
        for op in doc.operations()
        for status, _, _ in doc.responses(op)
    }
    assert documented - seen.keys() == {
        ("deleteAppUser", "500"),
        ("getApp", "404"),
        ("getBilling", "404"),
        ("getDiscoveryProfile", "200"),
        ("getDiscoveryProfile", "404"),
        ("getPipelineCatalog", "503"),
        ("headAppManifest", "404"),
        ("listDiscoveryProfiles", "404"),
        ("listPlans", "404"),
        ("updateAppUser", "400"),
        ("updateAppUser", "401"),
        ("updateAppUser", "500"),
        ("upsertAppUser", "401"),
        ("validateApiKey", "200"),
    }


# -- shapes -------------------------------------------------------------------------------------------

GRANTS = {
    "client_credentials": ("machine_token", "machine_token_claims"),
    "urn:ietf:params:oauth:grant-type:device_code": ("device_token", "device_token_claims"),
    "refresh_token": ("refreshed_token", "device_token_claims"),
    "urn:ietf:params:oauth:grant-type:token-exchange": ("signer_session_token", None),
}
APPROVAL = ("device_approval_token", "user_token_claims")


def shapes_of(recording):
    """Shape of an answer of the OpenID provider, and that of its access token's claims."""
    path = recording["path"]
    if recording["status"] >= 400:
        return "oauth_error", None
    if "/.well-known/" in path:
        return "discovery_document", None
    if path.endswith("/jwks"):
        return "json_web_key_set", None
    if path.endswith(("/device/auth", "/device_authorization")):
        return "device_authorization", None
    if recording.get("resource", "").startswith("urn:pmth:device_code:"):
        return APPROVAL
    return GRANTS[recording["grant_type"]]


def shape_errors(name, value):
    others = [each for stem, each in SHAPES.items() if stem != name]
    return errors(SHAPES[name], (), value, others)


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.mark.parametrize("recording", [each for each in OIDC if "json" in each], ids=lambda each: each["name"])
def test_answer_of_the_provider_keeps_its_shape(recording):
    shape, claims_shape = shapes_of(recording)
    assert shape_errors(shape, recording["json"]) == []
    if claims_shape:
        assert shape_errors(claims_shape, claims(recording["json"]["access_token"])) == []
    if "id_token" in recording["json"]:
        assert shape_errors("id_token_claims", claims(recording["json"]["id_token"])) == []


@pytest.mark.parametrize(
    "recording",
    [each for each in REST if each["path"].endswith("/token") and each["status"] == 200],
    ids=lambda each: each["name"],
)
def test_minted_token_keeps_its_shape(recording):
    assert shape_errors("user_access_token", recording["json"]) == []
    assert shape_errors("user_token_claims", claims(recording["json"]["access_token"])) == []


def test_login_redirect_keeps_its_shapes():
    (hop,) = [each for each in OIDC if "location" in each]
    login = dict(parse_qsl(urlsplit(hop["location"]).query))
    device = dict(parse_qsl(urlsplit(login["target_link_uri"]).query))
    assert shape_errors("third_party_login_query", login) == []
    assert shape_errors("device_approval_query", device) == []


def test_every_shape_of_pymthouse_is_proven_by_a_recording_or_is_part_of_one():
    proven = {name for each in OIDC if "json" in each for name in shapes_of(each) if name}
    proven |= {"user_access_token", "user_token_claims", "id_token_claims"}
    proven |= {"third_party_login_query", "device_approval_query"}
    bases = {"bearer_token", "exchanged_token", "access_token_claims", "json_web_key"}
    run402 = (
        *("run402_", "x402_", "siwx_", "expose_", "bundle_", "check_", "content_", "database_", "function_"),
        *("functions_", "manifest_", "migration_", "release_", "route_", "secrets_", "site_", "subdomains_"),
    )
    others = ("tokenite_", *run402)
    assert {name for name in SHAPES if not name.startswith(others)} == proven | bases
