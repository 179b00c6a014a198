"""Translation, moderation and images at the sandboxed gateway, through the real clients."""

from __future__ import annotations

import base64
import struct
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest
from run402_caller import SIGNER, Caller, Side

from tollkit.errors import PaymentRequiredError
from tollkit.run402.payments import MemoryJournal, X402Payer
from tollkit.sandbox import Run402Sandbox, Sandbox
from tollkit.sandbox.run402.ai import AiRoutes
from tollkit.sandbox.run402.gateway import Project


@pytest.fixture
def project(run402_sandbox: Run402Sandbox) -> Project:
    return run402_sandbox.seed_project()


@pytest.fixture
def ai(run402_sandbox: Run402Sandbox) -> AiRoutes:
    return run402_sandbox.groups.ai


def test_texts_are_translated_and_counted(
    side: Side, run402_sandbox: Run402Sandbox, tollkit_sandbox: Sandbox, project: Project, ai: AiRoutes
) -> None:
    client = side.client(run402_sandbox, project)
    tollkit_sandbox.clock.set(datetime(2026, 11, 22, tzinfo=UTC))
    with_lease = run402_sandbox.seed_project(tier="team")
    client = side.client(run402_sandbox, with_lease)
    told = side.do(client.ai.translate(with_lease.id, text="Good day", to="de", context="a shop"))
    assert (told.text, told.from_, told.to) == ("[de] Good day", "en", "de")
    ai.translate_as("Good day", "fr", "Bonjour")
    told = side.do(client.ai.translate(with_lease.id, text="Good day", to="fr", from_="en-GB"))
    assert (told.text, told.from_) == ("Bonjour", "en-GB")
    usage = side.do(client.ai.usage(with_lease.id)).translation
    assert (usage.active, usage.used_words, usage.included_words, usage.remaining_words) == (True, 4, 10_000, 9_996)
    assert usage.billing_cycle_start == "2026-11-01T00:00:00.000Z"
    tollkit_sandbox.clock.set(datetime(2026, 12, 1, tzinfo=UTC))
    assert side.do(client.ai.usage(with_lease.id)).translation.used_words == 0


def test_words_end(side: Side, run402_sandbox: Run402Sandbox, project: Project, ai: AiRoutes) -> None:
    client = side.client(run402_sandbox, project)
    ai.set_pack(project.id, 3)
    side.do(client.ai.translate(project.id, text="one two", to="de"))
    with pytest.raises(PaymentRequiredError, match="used up") as caught:
        side.do(client.ai.translate(project.id, text="three four", to="de"))
    assert caught.value.code == "QUOTA_EXCEEDED"
    assert caught.value.body["details"] == {"requested_words": 2, "remaining_words": 1}
    side.do(client.ai.translate(project.id, text="three", to="de"))
    ai.set_pack(project.id, active=False)
    with pytest.raises(PaymentRequiredError, match="no translation pack"):
        side.do(client.ai.translate(project.id, text="four", to="de"))
    usage = side.do(client.ai.usage(project.id)).translation
    assert (usage.active, usage.used_words) == (False, 3)


def test_texts_are_moderated(side: Side, run402_sandbox: Run402Sandbox, project: Project, ai: AiRoutes) -> None:
    client = side.client(run402_sandbox, project)
    good = side.do(client.ai.moderate(project.id, "A skilled murderer's portrait"))
    assert not good.flagged
    assert not any(good.categories.values())
    bad = side.do(client.ai.moderate(project.id, "I will KILL you."))
    assert bad.flagged
    assert {name for name, found in bad.categories.items() if found} == {"violence"}
    assert bad.category_scores["violence"] > 0.5
    ai.flag("Skilled", "hate")
    assert side.do(client.ai.moderate(project.id, "unskilled")).flagged
    with pytest.raises(ValueError, match="no category"):
        ai.flag("x", "boredom")


@pytest.mark.parametrize(("aspect", "size"), [("square", (16, 16)), ("landscape", (32, 18)), ("portrait", (18, 32))])
def test_an_image_is_paid_for(
    caller: Caller, run402_sandbox: Run402Sandbox, aspect: str, size: tuple[int, int]
) -> None:
    run402_sandbox.fund(SIGNER.address, 100_000)
    answer = caller.paid("POST", "/generate-image/v1", json={"prompt": "a boat", "aspect": aspect})
    told = answer.json()
    assert (answer.status_code, told["content_type"], told["aspect"]) == (200, "image/png", aspect)
    assert "payment-response" in answer.headers
    assert _size(base64.b64decode(told["image"])) == size
    assert [(one.what, one.amount) for one in run402_sandbox.settlements] == [("image", 30_000)]


def test_an_image_is_paid_for_by_its_client(side: Side, run402_sandbox: Run402Sandbox) -> None:
    run402_sandbox.fund(SIGNER.address, 100_000)
    payer = X402Payer(SIGNER, journal=MemoryJournal())
    client = side.client(run402_sandbox, signer=SIGNER, payments=payer)
    told = side.do(client.ai.generate_image(prompt="a boat", aspect="portrait"))
    assert _size(base64.b64decode(told.image)) == (18, 32)
    assert run402_sandbox.wallet_balance(SIGNER.address) == 70_000
    assert len(run402_sandbox.settlements) == 1


def test_an_image_that_costs_nothing(side: Side, run402_sandbox: Run402Sandbox) -> None:
    client = side.client(run402_sandbox, signer=SIGNER, payments=False)
    with pytest.raises(PaymentRequiredError):
        side.do(client.ai.generate_image(prompt="a boat"))
    run402_sandbox.price("image", 0)
    boat = side.do(client.ai.generate_image(prompt="a boat"))
    assert boat.aspect == "square"
    assert boat.image == side.do(client.ai.generate_image(prompt="a boat")).image
    assert boat.image != side.do(client.ai.generate_image(prompt="a tree")).image


def _size(image: bytes) -> tuple[int, int]:
    """Width and height of a PNG whose parts are all as they must be."""
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    at, parts = 8, {}
    while at < len(image):
        (length,) = struct.unpack_from(">I", image, at)
        kind, data = image[at + 4 : at + 8], image[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", image, at + 8 + length) == (zlib.crc32(kind + data),)
        parts[kind] = data
        at += length + 12
    assert list(parts) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, colours, *_ = struct.unpack(">IIBBBBB", parts[b"IHDR"])
    assert (depth, colours) == (8, 2)
    assert len(zlib.decompress(parts[b"IDAT"])) == height * (1 + 3 * width)
    return width, height


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/ai/v1/translate", {"text": "", "to": "de"}),
        ("/ai/v1/translate", {"text": "a"}),
        ("/ai/v1/translate", {"text": "a", "to": "German!"}),
        ("/ai/v1/translate", {"text": "a", "to": "de", "from": 5}),
        ("/ai/v1/translate", {"text": "a", "to": "de", "context": 5}),
        ("/ai/v1/moderate", {"text": 5}),
        ("/ai/v1/moderate", []),
    ],
)
def test_malformed_texts(caller: Caller, project: Project, path: str, body: Any) -> None:
    answer = caller.post(path, key=project.service_key, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")


def test_a_malformed_image_has_no_price(caller: Caller) -> None:
    for body in ({"prompt": "p", "aspect": "round"}, {"prompt": "", "aspect": "square"}, {"prompt": "p"}):
        assert caller.post("/generate-image/v1", signer=SIGNER, json=body).status_code == 400
    assert caller.post("/generate-image/v1", json={"prompt": "p", "aspect": "square"}).status_code == 401
