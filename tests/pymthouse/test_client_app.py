"""The app's own documents, and generated functions with the client's credentials and policy."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest

from support.pymthouse import Side
from tollkit.errors import ArgumentError, DecodeError, LocalError, NotFoundError, ServerError, TransportError
from tollkit.pymthouse import PmtHouseError, compute_manifest_revision
from tollkit.sandbox import Fault, PymtHouseSandbox, Sandbox
from tollkit_api.builder.v2026_05.api.manifest import get_app_manifest
from tollkit_api.builder.v2026_05.api.network import get_eth_usd_price
from tollkit_api.builder.v2026_05.api.platform import get_health
from tollkit_api.builder.v2026_05.api.users import list_app_users, upsert_app_user
from tollkit_api.builder.v2026_05.models import ErrorEnvelope, UpsertAppUserRequest
from tollkit_api.usage.v2026_05.api.usage import get_usage

MANIFEST = "*/manifest"


@pytest.fixture
def client(side: Side, pymthouse_sandbox: PymtHouseSandbox) -> Any:
    return side.client(pymthouse_sandbox)


# --- the manifest -------------------------------------------------------------------------------------------


def test_the_manifest(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    pymthouse_sandbox.set_manifest(excluded=[("llm", "*")])
    found = side.do(client.get_app_manifest())
    assert not found.not_modified
    assert found.etag.startswith('"manifest-plan-')
    assert [(one.pipeline, one.model_id) for one in found.manifest.capabilities] == [
        ("live-video-to-video", "noop"),
        ("live-video-to-video", "streamdiffusion-sdxl"),
        ("text-to-image", "black-forest-labs/FLUX.1-dev"),
        ("text-to-image", "SG161222/RealVisXL_V4.0_Lightning"),
    ]
    assert [one.to_dict() for one in found.manifest.excluded_capabilities] == [{"pipeline": "llm", "modelId": "*"}]
    without = {**found.manifest.to_dict(), "manifestVersion": None}
    assert found.manifest.manifest_version == compute_manifest_revision(without)


def test_a_manifest_that_has_not_changed(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    etag = side.do(client.get_app_manifest()).etag
    same = side.do(client.get_app_manifest(if_none_match=etag))
    assert (same.manifest, same.etag, same.not_modified) == (None, etag, True)
    assert same.to_dict() == {"manifest": None, "etag": etag, "notModified": True}
    assert side.do(client.get_app_manifest.raw(if_none_match=etag)).status == 304
    pymthouse_sandbox.set_manifest(excluded=[("llm", "*")])
    changed = side.do(client.get_app_manifest(if_none_match=etag))
    assert (changed.not_modified, changed.etag == etag) == (False, False)
    side.do(client.get_app_manifest(if_none_match=""))
    assert "if-none-match" not in pymthouse_sandbox.requests[-1].headers


@pytest.mark.parametrize("bad", ["line\r\nX-Evil: 1", "ünïcødé", object()])
def test_an_entity_tag_that_is_none(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, bad: Any) -> None:
    with pytest.raises(ArgumentError):
        side.do(client.get_app_manifest(if_none_match=bad))
    assert len(pymthouse_sandbox.requests) == 0


USABLE: dict[str, Any] = {"capabilities": [{"pipeline": "p", "modelId": "m"}], "excludedCapabilities": []}
NO_MANIFESTS: dict[str, Any] = {
    "list": [],
    "text": "hello",
    "false": False,
    "empty object": {},
    "null": {**USABLE, "capabilities": None},
    "object": {**USABLE, "capabilities": {}},
    "error": {"error": "oops"},
    "nothing usable": {**USABLE, "capabilities": [{"pipeline": "p"}, 5]},
    "exclusions are no list": {**USABLE, "excludedCapabilities": "all"},
    "an exclusion is lost": {**USABLE, "excludedCapabilities": [{"pipeline": "p", "modelId": None}]},
}


@pytest.mark.parametrize("case", NO_MANIFESTS)
def test_what_is_no_manifest_is_not_taken_for_no_restriction(
    side: Side, client: Any, tollkit_sandbox: Sandbox, case: str
) -> None:
    body, headers = json.dumps(NO_MANIFESTS[case]), {"content-type": "application/json"}
    tollkit_sandbox.faults.add(Fault(kind="status", match=MANIFEST, status=200, body=body, headers=headers))
    with pytest.raises(DecodeError) as caught:
        side.do(client.get_app_manifest())
    error = caught.value
    assert (error.code, error.status) == ("invalid_response", 502)
    assert error.message == "Expected JSON response from Builder manifest endpoint"
    assert set(error.details) == {"contentType", "preview"}
    assert error.context["operation"] == "getAppManifest"
    assert isinstance(error, PmtHouseError)


@pytest.mark.parametrize(
    "body",
    [
        {"capabilities": []},
        {"capabilities": [], "excludedCapabilities": None},
        {"capabilities": [{"pipeline": "p", "modelId": "m"}, {"pipeline": "lost"}], "manifestVersion": " v1 "},
    ],
)
def test_manifests_that_say_less_than_usual(
    side: Side, client: Any, tollkit_sandbox: Sandbox, body: dict[str, Any]
) -> None:
    tollkit_sandbox.faults.add(Fault(kind="status", match=MANIFEST, status=200, body=body))
    found = side.do(client.get_app_manifest())
    assert len(found.manifest.capabilities) in (0, 1)
    assert found.manifest.excluded_capabilities == ()
    assert found.etag is None


def test_an_empty_list_of_the_platform_is_told(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    pymthouse_sandbox.set_catalog_failing()
    manifest = side.do(client.get_app_manifest()).manifest
    assert manifest.capabilities == ()
    assert manifest.allows("anything", "at all")


# --- everything else ----------------------------------------------------------------------------------------


def test_the_app(side: Side, client: Any) -> None:
    app = side.do(client.get_app())
    assert (app.client_id, app.name, app.billing_pattern) == (client.public_client_id, "Sandbox App", "per_user")


def test_billing(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    pymthouse_sandbox.record("bob", network_fee_usd_micros=700, fee_wei=10**19 + 1)
    billing = side.do(client.get_billing())
    usage = billing.cycle.usage
    assert (usage.request_count, usage.total_fee_wei) == (1, 10**19 + 1)
    assert usage.total_fee_eth == Decimal("10.000000000000000001")
    assert len(billing.cycle.timeline) in range(28, 32)


def test_plans_and_profiles(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    assert len(side.do(client.list_plans()).plans) == 1
    assert side.do(client.list_discovery_profiles()).profiles == []
    made = pymthouse_sandbox.add_discovery_profile("cheap", {"sort": "price"}, capabilities=[("llm", "m")])
    [listed] = side.do(client.list_discovery_profiles()).profiles
    assert (listed.id, listed.name) == (made.id, "cheap")
    found = side.do(client.get_discovery_profile(made.id))
    # how the platform wraps one profile was not recorded
    [one] = found.profiles or [found.profile]
    assert one.id == made.id
    with pytest.raises(NotFoundError):
        side.do(client.get_discovery_profile("a/b"))
    for bad in ("", "..", None):
        with pytest.raises(ArgumentError) as caught:
            side.do(client.get_discovery_profile(bad))
        assert caught.value.argument == "profile_id"


def test_the_network(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, naps: list[float]) -> None:
    assert side.do(client.get_eth_usd_price()).eth_usd.price_usd == 3000
    catalog = side.do(client.get_pipeline_catalog()).catalog
    assert [entry.id for entry in catalog] == ["text-to-image", "live-video-to-video", "llm"]
    # public lists need no credentials, so none are sent
    assert {sent.headers.get("authorization") for sent in pymthouse_sandbox.requests} == {None}
    pymthouse_sandbox.set_catalog_failing()
    with pytest.raises(ServerError) as caught:
        side.do(client.get_pipeline_catalog())
    assert (caught.value.status, caught.value.retryable) == (503, True)
    assert len(naps) == 2


@pytest.mark.parametrize(
    "method", ["get_app", "get_billing", "list_plans", "list_discovery_profiles", "get_app_manifest"]
)
def test_wrong_credentials_look_like_a_missing_app(
    side: Side, pymthouse_sandbox: PymtHouseSandbox, method: str
) -> None:
    client = side.client(pymthouse_sandbox, m2m_client_secret="wrong")
    with pytest.raises(NotFoundError) as caught:
        side.do(getattr(client, method)())
    assert caught.value.hint is not None
    assert str(caught.value).startswith(caught.value.hint.rstrip("."))


# --- raw answers --------------------------------------------------------------------------------------------


def test_raw_answers(side: Side, client: Any) -> None:
    raw = side.do(client.get_app.raw())
    assert raw.result.name == "Sandbox App"
    assert (raw.status, raw.headers["content-type"]) == (200, "application/json")
    assert raw.last.json()["name"] == "Sandbox App"
    assert raw.content == raw.last.content
    assert (raw.last.method, raw.last.url.endswith(client.public_client_id)) == ("GET", True)

    raw = side.do(client.mint_signer_session_for_external_user.raw("alice"))
    assert [answer.status for answer in raw.answers] == [201, 200, 200, 200]
    assert raw.result.access_token not in repr(raw)


def test_raw_answers_hold_the_tries_that_failed(
    side: Side, client: Any, tollkit_sandbox: Sandbox, naps: list[float]
) -> None:
    tollkit_sandbox.faults.add(Fault(kind="status", status=503))
    assert [answer.status for answer in side.do(client.get_app.raw()).answers] == [503, 200]


# --- generated functions ------------------------------------------------------------------------------------


def call(side: Side, module: Any, *args: Any, detailed: bool = False, **kwargs: Any) -> Any:
    name = ("sync" if side.name == "blocking" else "asyncio") + ("_detailed" if detailed else "")
    return side.do(getattr(module, name)(*args, **kwargs))


def test_generated_functions(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    app = client.public_client_id
    body = UpsertAppUserRequest(external_user_id="alice")
    assert call(side, upsert_app_user, app, client=client.api, body=body).external_user_id == "alice"
    assert len(call(side, list_app_users, app, client=client.api).users) == 1
    assert call(side, get_usage, app, client=client.api, group_by="user").by_user == []
    answer = call(side, get_app_manifest, app, client=client.api, if_none_match="*", detailed=True)
    assert (answer.status_code, answer.parsed) == (304, None)
    pymthouse_sandbox.requests.clear()
    assert call(side, get_eth_usd_price, client=client.api).eth_usd.price_usd == 3000
    assert call(side, get_health, client=client.api).status == "ok"
    assert "authorization" not in pymthouse_sandbox.requests[-1].headers


def test_generated_functions_return_errors(side: Side, pymthouse_sandbox: PymtHouseSandbox) -> None:
    client = side.client(pymthouse_sandbox, m2m_client_secret="wrong")
    found = call(side, list_app_users, client.public_client_id, client=client.api)
    assert isinstance(found, ErrorEnvelope)
    assert found.error == "Unauthorized"


def test_generated_functions_are_retried(
    side: Side, client: Any, tollkit_sandbox: Sandbox, naps: list[float]
) -> None:
    tollkit_sandbox.faults.add(Fault(kind="status", status=503, times=2))
    found = call(side, list_app_users, client.public_client_id, client=client.api)
    assert found.users == []
    assert len(naps) == 2
    tollkit_sandbox.faults.add(Fault(kind="reset", times=3))
    with pytest.raises(TransportError) as caught:
        call(side, list_app_users, client.public_client_id, client=client.api)
    assert isinstance(caught.value, PmtHouseError)


def test_generated_functions_need_their_own_kind_of_client(side: Side, client: Any) -> None:
    app = client.public_client_id
    wrong = (
        list_app_users.sync
        if side.name == "async"
        else lambda *args, **kw: asyncio.run(list_app_users.asyncio(*args, **kw))
    )
    with pytest.raises(LocalError) as caught:
        wrong(app, client=client.api)
    assert caught.value.code == "wrong_client"
    assert isinstance(caught.value, PmtHouseError)
