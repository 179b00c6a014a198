"""`client.ai`: translation, moderation, images."""

from __future__ import annotations

from typing import Any

import pytest

from support.run402 import PROJECT, Side, method_requests, run_case, seen
from support.scripted_http import Reply
from tollkit.errors import ArgumentError
from tollkit.run402.errors import PaymentRequired, ProjectNotFound

CASES = method_requests("c")
IMAGE = {"image": "aGk=", "content_type": "image/png", "aspect": "square"}
TRANSLATION = {"text": "hola", "from": "en", "to": "es"}
SERVICE = {"authorization": "Bearer SVC"}


def test_generate_image_as_recorded(side: Side) -> None:
    case = CASES["ai.generateImage"]
    assert run_case(side, case, "ai.generate_image", prompt="p", answers=[IMAGE]).image == "aGk="


def test_image_is_another_name(side: Side) -> None:
    case = CASES["image.generateImage portrait"]
    body = {**IMAGE, "aspect": "portrait"}
    result = run_case(side, case, "image.generate_image", prompt="p", aspect="portrait", answers=[body])
    assert result.to_dict() == body


def test_translate(side: Side) -> None:
    play = side.play([Reply.json(TRANSLATION), Reply.json(TRANSLATION)])
    result = play.do("ai.translate", PROJECT, text="hello", to="es", from_="en", context="a greeting")
    play.do("ai.translate", PROJECT, text="hello", to="es", from_="", context=None)
    assert (result.text, result.from_, result.to) == ("hola", "en", "es")
    headers = {**SERVICE, "content-type": "application/json"}
    assert [seen(sent) for sent in play.script.sent] == [
        ("POST", "/ai/v1/translate", headers, b'{"text":"hello","to":"es","from":"en","context":"a greeting"}'),
        ("POST", "/ai/v1/translate", headers, b'{"text":"hello","to":"es"}'),
    ]


def test_moderate(side: Side) -> None:
    body = {"flagged": False, "categories": {"hate": False}, "category_scores": {"hate": 0.1}}
    play = side.play([Reply.json(body)])
    assert play.do("ai.moderate", PROJECT, "ok").to_dict() == body
    headers = {**SERVICE, "content-type": "application/json"}
    assert seen(play.script.sent[0]) == ("POST", "/ai/v1/moderate", headers, b'{"text":"ok"}')


def test_usage(side: Side) -> None:
    body = {
        "translation": {
            "active": True,
            "used_words": 1,
            "included_words": 10,
            "remaining_words": 9,
            "billing_cycle_start": "2026-04-01",
        }
    }
    play = side.play([Reply.json(body)])
    assert play.do("ai.usage", PROJECT).to_dict() == body
    assert seen(play.script.sent[0]) == ("GET", "/ai/v1/usage", SERVICE, None)


@pytest.mark.parametrize(
    ("method", "given", "named", "doing"),
    [
        ("translate", {"text": "hi", "to": "es"}, {"text": "", "to": "es"}, "translating text"),
        ("moderate", {"text": "hi"}, {"text": None}, "moderating content"),
        ("usage", {}, None, "fetching AI usage"),
    ],
)
def test_an_unknown_project_and_arguments(
    side: Side, method: str, given: dict[str, Any], named: dict[str, Any] | None, doing: str
) -> None:
    play = side.play()
    error = play.raises(ProjectNotFound, f"ai.{method}", "prj_x", **given)
    assert (error.project_id, error.doing) == ("prj_x", doing)
    if named is not None:
        wrong = play.raises(ArgumentError, f"ai.{method}", PROJECT, **named)
        assert (wrong.argument, wrong.doing) == ("text", doing)
    assert not play.script.sent


def test_arguments_of_an_image(side: Side) -> None:
    play = side.play()
    assert play.raises(ArgumentError, "ai.generate_image", prompt="").argument == "prompt"
    assert play.raises(ArgumentError, "ai.generate_image", prompt="p", aspect="").doing == "generating image"
    assert not play.script.sent


def test_a_lease_that_has_ended(side: Side) -> None:
    play = side.play([Reply.json({"error": "lease ended", "code": "PROJECT_PAST_DUE"}, 402)])
    error = play.raises(PaymentRequired, "ai.translate", PROJECT, text="hi", to="es")
    assert (error.message, error.code) == ("lease ended while translating text", "PROJECT_PAST_DUE")
