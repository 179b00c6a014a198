"""What the Builder, usage and signer routes do beyond the recordings."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sandbox_caller import Caller

from tollkit.pymthouse.js_date import parse_js_date
from tollkit.sandbox import PymtHouseSandbox, Sandbox

DATES = json.loads((Path(__file__).parent / "data" / "js_dates.json").read_text("utf-8"))


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (True, "true"),
        (False, "false"),
        (1.5, "1.5"),
        (2.0, "2"),
        ([1, None, "a"], "1,,a"),
        ("\ufeff\u00a0 x\u2028", "x"),
    ],
)
def test_external_ids_are_made_texts_as_in_javascript(caller: Caller, given: object, stored: str) -> None:
    answer = caller.post("/users", content=json.dumps({"externalUserId": given}))
    assert answer.json()["externalUserId"] == stored


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    "body", [b"null", b"{", b'{"externalUserId": NaN}', b'{"externalUserId": "\\ud800"}', b"\xff"]
)
def test_bodies_that_the_server_fails_on(caller: Caller, method: str, body: bytes) -> None:
    answer = caller.http.request(method, caller.path("/users"), content=body, auth=caller.auth)
    assert (answer.status_code, answer.content) == (500, b"")


def test_users_routes_without_credentials(caller: Caller) -> None:
    for method in ("GET", "POST", "PUT", "DELETE"):
        answer = caller.http.request(method, caller.path("/users"))
        assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"})
    assert caller.http.put(caller.path("/users"), json={}, auth=caller.auth).status_code == 400


def test_a_session_of_the_app_is_a_bearer_token_like_any_other(caller: Caller, platform: PymtHouseSandbox) -> None:
    app = platform.app
    session = platform._state.open_session(app, platform.seed_end_user("alice"), ("users:read",))
    bearer = {"Authorization": f"Bearer {session.token}"}
    assert caller.http.get(caller.path("/users"), headers=bearer).status_code == 200
    assert caller.http.post(caller.path("/users"), headers=bearer, json={}).status_code == 401


def test_mint_scopes(caller: Caller, platform: PymtHouseSandbox) -> None:
    platform.seed_user("alice")
    assert caller.mint(scope=" sign:job  users:read sign:job ").json()["scope"] == "sign:job users:read"
    assert caller.mint(scope=" ").json()["scope"] == "sign:job"
    odd = caller.post("/users/alice/token", content=b"[1]")
    assert odd.json()["scope"] == "sign:job"


@pytest.mark.parametrize("path", ["/nowhere", "/api/v1/apps/x/users/a/b/token", "/api/v1/apps/x/users/%2E%2E/token"])
def test_unknown_routes_are_html(caller: Caller, path: str) -> None:
    answer = caller.http.post("/", extensions={"target": path.encode()})
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")


def test_a_path_that_is_no_utf8_breaks_the_framework(caller: Caller) -> None:
    answer = caller.http.post("/", extensions={"target": b"/api/v1/apps/x/users/%FF/token"})
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert answer.headers["content-type"] == "text/plain"


def test_methods(caller: Caller) -> None:
    answer = caller.http.options(caller.path("/users"))
    assert (answer.status_code, answer.headers["allow"]) == (204, "OPTIONS, GET, POST, PUT, DELETE")
    assert caller.http.delete("/api/v1/health").status_code == 405
    moved = caller.http.get(caller.path("/usage/?groupBy=user"))
    assert (moved.status_code, moved.headers["location"]) == (308, caller.path("/usage?groupBy=user"))


def test_a_handler_that_fails_answers_an_empty_500(
    caller: Caller, platform: PymtHouseSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    platform.app.plan.included_usd_micros = "not a number"
    answer = caller.get("/billing")
    assert (answer.status_code, answer.content) == (500, b"")
    assert "a handler of the sandbox failed" in caplog.text


def test_session_only_routes_hide_from_clients(caller: Caller) -> None:
    for method, tail in [("POST", "/plans"), ("PUT", "/plans"), ("DELETE", "/plans"), ("POST", "/credentials")]:
        answer = caller.http.request(method, caller.path(tail), auth=caller.auth)
        assert (answer.status_code, answer.json()) == (404, {"error": "Not found"})


def test_manifest(caller: Caller, platform: PymtHouseSandbox) -> None:
    first = caller.get("/manifest")
    stamps = [platform.set_manifest(excluded=[("llm", "*"), {"pipeline": "a", "modelId": "b"}]) for _ in range(3)]
    assert sorted(set(stamps)) == stamps, "each change has a later time stamp, however soon it follows"
    second = caller.get("/manifest", headers={"If-None-Match": first.headers["etag"]})
    assert "llm" not in {item["pipeline"] for item in second.json()["capabilities"]}
    assert second.json()["excludedCapabilities"][0] == {"pipeline": "a", "modelId": "b"}
    platform.set_manifest(excluded=[], catalog={"b": ["é", "Z", "a", "A"], "a": ["m"]})
    models = [item["modelId"] for item in caller.get("/manifest").json()["capabilities"]]
    assert models == ["m", "a", "A", "Z", "é"]
    platform.set_catalog_failing()
    assert caller.get("/manifest").json() == {
        "capabilities": [],
        "excludedCapabilities": [],
        "manifestVersion": "empty",
    }
    answer = caller.http.get("/api/v1/pipeline-catalog")
    assert (answer.status_code, answer.content) == (503, b"")
    platform.set_catalog_failing(False)
    assert caller.http.get("/api/v1/pipeline-catalog").status_code == 200


def test_discovery_profiles(caller: Caller, platform: PymtHouseSandbox) -> None:
    made = platform.add_discovery_profile("Fast", {"topN": 3}, capabilities=[("llm", "m")])
    listed = caller.get(f"/discovery-profiles/{made.id}").json()
    assert caller.get("/discovery-profiles").json() == listed
    (one,) = listed["profiles"]
    assert one["policy"] == {"topN": 3}
    assert one["capabilities"] == [{"pipeline": "llm", "modelId": "m", "discoveryPolicy": None}]
    assert caller.get("/discovery-profiles/nope").status_code == 404


def test_api_keys_validate(caller: Caller, platform: PymtHouseSandbox) -> None:
    key = platform.create_api_key()
    answer = caller.http.get("/api/v1/auth/validate", headers={"Authorization": f"Bearer {key.token}"})
    assert answer.json()["valid"] is True
    assert answer.json()["client_id"] == platform.public_client_id
    assert "noop" in answer.json()["allowedModels"]


def test_billing_is_computed_from_the_ledger(caller: Caller, platform: PymtHouseSandbox, sandbox: Sandbox) -> None:
    sandbox.clock.set(datetime(2026, 2, 10, tzinfo=UTC))
    platform.set_plan(type="usage", name="Metered", included_usd_micros=1_000, included_units=2, overage_rate_wei=5)
    platform.record("alice", network_fee_usd_micros=3_000, at="2026-02-01T00:00:00Z", units=2)
    platform.record("alice", network_fee_usd_micros=300, at=datetime(2026, 2, 28, 23, 59, tzinfo=UTC), units=2)
    platform.record("alice", network_fee_usd_micros=9_999, at="2026-03-01T00:00:00+00:00")
    snapshot = caller.get("/billing").json()
    cycle = snapshot["cycle"]
    assert snapshot["plan"]["name"] == "Metered"
    assert (cycle["periodStart"], cycle["periodEnd"]) == ("2026-02-01T00:00:00.000Z", "2026-02-28T23:59:59.999Z")
    assert cycle["usage"] == {
        "requestCount": 2,
        "totalFeeWei": "1099999998900",
        "totalFeeEth": "0.0000010999999989",
        "totalUnits": "4",
    }
    assert len(cycle["timeline"]) == 28
    assert cycle["timeline"][0] == {"date": "2026-02-01", "requestCount": 1, "feeWei": "999999999000"}
    assert cycle["timeline"][27]["requestCount"] == 1
    assert cycle["overage"] == {"overageUnits": "2", "overageWei": "10"}
    assert cycle["retail"] == {
        "endUserBillableUsdMicros": "3300",
        "includedUsdMicros": "1000",
        "consumedIncludedUsdMicros": "1000",
        "remainingIncludedUsdMicros": "0",
    }
    assert cycle["ownerCost"]["ownerChargeUsdMicros"] == "3333"
    (row,) = cycle["byPipelineModel"]
    assert (row["requestCount"], row["networkFeeUsdMicros"]) == (2, "3300")
    platform.set_plan()
    assert caller.get("/plans").json()["plans"][0]["name"] == "Metered"


def test_usage_of_several_kinds_of_id(caller: Caller, platform: PymtHouseSandbox) -> None:
    platform.demo_data(month="2026-05")
    rows = caller.get("/usage", params={"groupBy": "user"}).json()["byUser"]
    assert [row["externalUserId"] for row in rows] == ["alice", "alice", "alice", "bob"]
    assert len({row["endUserId"] for row in rows}) == 4
    assert sum(row["requestCount"] for row in rows) == 28 + 14 + 4 + 10
    first = caller.get("/usage", params={"groupBy": "pipeline_model"}).json()
    platform.reset()
    platform.demo_data(month="2026-05")
    assert caller.get("/usage", params={"groupBy": "pipeline_model"}).json() == first


def test_usage_of_a_record_with_two_events(caller: Caller, platform: PymtHouseSandbox) -> None:
    """Totals count one of them, the pipelines both."""
    record = platform.record("alice", network_fee_usd_micros=100)
    event = platform.app.ledger.events[0]
    platform.app.ledger.events.append(
        type(event)(
            record_id=record.id, pipeline="other", model_id="m", amounts=event.amounts, created_at=event.created_at
        )
    )
    report = caller.get("/usage", params={"groupBy": "pipeline_model"}).json()
    assert report["totals"]["networkFeeUsdMicros"] == "100"
    assert [row["requestCount"] for row in report["byPipelineModel"]] == [1, 1]


def test_times_of_records(platform: PymtHouseSandbox, sandbox: Sandbox) -> None:
    sandbox.clock.freeze()
    assert platform.record().created_at == sandbox.clock.iso()
    assert platform.record(at="2026-05-28T10:00:00+02:00").created_at == "2026-05-28T08:00:00.000Z"
    assert platform.record(at=sandbox.clock.utcnow() - timedelta(days=1)).created_at < sandbox.clock.iso()
    with pytest.raises(ValueError, match="zone"):
        platform.record(at=datetime(2026, 5, 28))


def test_dates_are_accepted_as_javascript_accepts_them() -> None:
    """The lists were made by V8's `Date.parse` (Node 20)."""
    assert [text for text in DATES["accepted"] if parse_js_date(text) is None] == []
    assert [text for text in DATES["refused"] if parse_js_date(text) is not None] == []


def test_the_signer_when_it_runs(caller: Caller, platform: PymtHouseSandbox) -> None:
    platform.seed_user("alice")
    platform.signer_running = True
    assert platform.signer_running
    user_token = caller.mint().json()["access_token"]
    session = caller.exchange(user_token).json()["access_token"]

    def ask(name: str, token: str = session, **options: object) -> httpx.Response:
        return caller.http.post(f"/api/signer/{name}", headers={"Authorization": f"Bearer {token}"}, **options)

    assert set(ask("sign-orchestrator-info").json()) == {"address", "signature"}
    assert ask("sign-orchestrator-info", user_token).status_code == 200
    assert ask("sign-byoc-job", content=b"job").json()["signature"].startswith("0x")
    assert ask("discover-orchestrators").json()[0]["capabilities"]
    assert "payment" in ask("generate-live-payment", json={"pipeline": "p", "modelId": "m"}).json()
    assert "payment" in ask("generate-live-payment", content=b"no json").json()
    reader = caller.mint(scope="users:read").json()["access_token"]
    assert ask("sign-byoc-job", reader).status_code == 401
    report = caller.get("/usage", params={"groupBy": "user"}).json()
    assert [(row["externalUserId"], row["requestCount"]) for row in report["byUser"]] == [("alice", 2)]


def test_tenants_are_apart(caller: Caller, platform: PymtHouseSandbox) -> None:
    other = platform.create_app("Other", scopes=["openid"], status="draft")
    platform.seed_user("alice", app=other.public_client_id)
    platform.record("alice", app=other)
    assert caller.get("/users").json() == {"users": []}
    assert caller.get("/usage").json()["totals"]["requestCount"] == 0
    assert platform.env(other)["PYMTHOUSE_PUBLIC_CLIENT_ID"] == other.public_client_id
    assert platform.env(other.public_client_id) == platform.env(other)
    with pytest.raises(KeyError):
        platform.device("ZZZZ-ZZZZ")
    assert platform.devices == []
    platform.configure_app(app=other, device_login=False)
    assert not other.device_login


def test_users_are_listed_once(caller: Caller, platform: PymtHouseSandbox) -> None:
    platform.seed_user("alice", email="a@example.com")
    again = platform.seed_user("alice", status="inactive")
    assert (again.email, again.status) == (None, "inactive")
    assert len(caller.get("/users").json()["users"]) == 1
    assert platform.seed_end_user("alice") is platform.seed_end_user("alice")
    assert platform.seed_end_user() is not platform.seed_end_user()
