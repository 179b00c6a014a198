"""The sandbox answers like the real server of May 2026: every recorded exchange, replayed.

Replayed: 262 of 262 recordings of single exchanges, in the order in which they were made. Left out: none. (The 36
recordings of whole client calls are no exchanges of their own kind; the client's tests use them.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import httpx
import pytest
from recorded_exchanges import Replay, load

from tollkit.sandbox import Fault, PymtHouseSandbox, Sandbox

RECORDINGS = {recording["name"]: recording for recording in load()}
NOOP = [("live-video-to-video", "noop")]
FLUX = {"pipeline": "text-to-image", "model_id": "black-forest-labs/FLUX.1-dev", "network_fee_usd_micros": 12_500}
VIDEO = {
    "pipeline": "live-video-to-video",
    "model_id": "streamdiffusion-sdxl",
    "network_fee_usd_micros": 40_000,
    "gateway_request_id": "gw-req-1",
}
HUGE = {
    "pipeline": "text-to-image",
    "model_id": "SG161222/RealVisXL_V4.0_Lightning",
    "network_fee_usd_micros": 9_007_199_254_740_993,
    "owner_charge_usd_micros": 9_097_271_247_288_402,
    "platform_fee_usd_micros": 90_071_992_547_409,
}


def set_up(sandbox: Sandbox) -> dict[str, str]:
    """The state in which the real server was recorded, and the values that stand in for its own."""
    sandbox.clock.set(datetime.fromisoformat("2026-11-21T22:58:13+00:00"))
    platform = sandbox.pymthouse
    platform.configure_app(initiate_login_uri="https://integrator.example/api/pymthouse/device")
    platform.app.name = "Lab App"
    other = platform.create_app("Other App")
    apps = {
        "main": platform.app,
        "other": other,
        "applevel": platform.create_app("App-level App", billing="app_level"),
        "nodevice": platform.create_app("No Device App", device_login=False),
    }
    platform.set_manifest(excluded=NOOP, updated_at="2026-11-21T22:53:43.302Z")
    alice = platform.seed_user("alice", email="alice@example.com")
    bob = platform.seed_user("bob@example.com")
    carol = platform.seed_user("tenant/7:carol", email="carol@example.com")
    platform.seed_user("inactive-ivan", status="inactive")
    platform.seed_user("alice", app=other)
    alice_end, stranger = platform.seed_end_user("alice"), platform.seed_end_user()
    paid = {**FLUX, "end_user_billable_usd_micros": 13_750}
    platform.seed_usage(
        [
            {**paid, "user": alice, "at": "2026-05-28T10:15:00.000Z"},
            {**paid, "user": alice, "at": "2026-05-29T00:00:00.000Z"},
            {**paid, "user": alice, "at": "2026-05-29T10:15:00.000Z"},
            {**HUGE, "user": bob, "at": "2026-05-29T11:00:00.000Z"},
            {**HUGE, "user": bob, "at": "2026-05-29T12:00:00.000Z"},
            {**VIDEO, "user": alice_end, "at": "2026-05-29T08:15:00.000Z"},
            {**VIDEO, "user": alice_end, "at": "2026-05-29T09:15:00.000Z"},
            {"user": alice_end, "at": "2026-05-30T08:00:00.000Z", "end_user_billable_usd_micros": 717},
            {"user": alice_end, "at": "2026-05-30T09:00:00.000Z", "end_user_billable_usd_micros": 717},
            {**paid, "user": "alice", "at": "2026-05-30T10:00:00.000Z"},
            {"user": alice, "at": "2026-05-30T11:00:00.000Z", "billed": False},
            {"user": bob, "at": "2026-05-31T10:00:00.000Z", "end_user_billable_usd_micros": 717},
            {"user": stranger, "at": "2026-05-31T11:00:00.000Z"},
            {**FLUX, "user": None, "at": "2026-06-01T10:00:00.000Z"},
            {"user": carol, "at": "2026-06-02T10:00:00.000Z"},
        ]
    )
    values = {
        "host": sandbox.url.removeprefix("http://"),
        "alias": sandbox.url.removeprefix("http://").replace("127.0.0.1", "localhost"),
        "long": "x" * 5000,
        "id.alice": alice.id,
        "id.alice_end": alice_end.id,
        "id.bob": bob.id,
        "id.carol": carol.id,
        "id.stranger": stranger.id,
    }
    for name, app in apps.items():
        values |= {
            f"{name}.public": app.public_client_id,
            f"{name}.m2m": app.m2m_client_id,
            f"{name}.secret": app.m2m_client_secret,
        }
    return values


def interventions(platform: PymtHouseSandbox, replay: Replay) -> dict[str, Callable[[], object]]:
    """What was done to the real server's database before a recording."""

    def code(name: str) -> str:
        return replay.values[f"{name}.user_code"]

    return {
        "93-device-poll-expired": lambda: platform.expire_device(code("93a-device-start")),
        "94-device-poll-denied": lambda: platform.deny_device(code("94a-device-start")),
        "135-manifest-after-silent-change": lambda: platform.set_manifest(excluded=[], touch=False),
        "136-manifest-after-plan-update": lambda: platform.set_manifest(
            excluded=NOOP, updated_at="2026-11-21T23:30:00.000Z"
        ),
        "150a-user-create": lambda: platform.seed_user("frank", email="frank@example.com"),
    }


@pytest.fixture(scope="module")
def outcome() -> Iterator[dict[str, list[str]]]:
    """Replays everything once; the differences by recording."""
    with Sandbox() as sandbox, httpx.Client(base_url=sandbox.url, follow_redirects=False) as client:
        replay = Replay(client, set_up(sandbox))
        sandbox.faults.add(Fault(kind="expired_token"))
        platform = sandbox.pymthouse
        replay.values["expired"] = client.post(
            f"/api/v1/apps/{platform.public_client_id}/users/alice/token",
            auth=(platform.m2m_client_id, platform.m2m_client_secret),
        ).json()["access_token"]
        before = interventions(platform, replay)
        found: dict[str, list[str]] = {}
        for name, recording in RECORDINGS.items():
            before.get(name, lambda: None)()
            found[name] = replay.differences(recording, replay.send(recording))
        yield found


@pytest.mark.parametrize("name", RECORDINGS)
def test_answers_as_recorded(name: str, outcome: dict[str, list[str]]) -> None:
    assert outcome[name] == []


def test_every_recording_is_replayed() -> None:
    assert len(RECORDINGS) == 262
