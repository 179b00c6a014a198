"""`client.admin`: messages to the platform's makers."""

from __future__ import annotations

import pytest

from support.run402 import Side, method_requests, run_case, seen
from support.scripted_http import Reply
from tollkit.errors import ArgumentError
from tollkit.run402.errors import PaymentRequired

CASES = method_requests("c")
CONTACT = {"wallet": "0xabc", "name": "n", "updated_at": "2026-04-01T00:00:00Z"}


def test_send_message_as_recorded(side: Side) -> None:
    case = CASES["admin.sendMessage"]
    assert run_case(side, case, "admin.send_message", "hi", answers=[{"status": "sent"}]).status == "sent"


def test_set_agent_contact_as_recorded(side: Side) -> None:
    case = CASES["admin.setAgentContact min"]
    assert run_case(side, case, "admin.set_agent_contact", name="n", answers=[CONTACT]).to_dict() == CONTACT


def test_all_of_a_contact(side: Side) -> None:
    play = side.play([Reply.json(CONTACT), Reply.json(CONTACT)])
    play.do("admin.set_agent_contact", name="n", email="a@b.c", webhook="https://w.test")
    play.do("admin.set_agent_contact", name="n", email="", webhook="")
    assert [seen(sent)[3] for sent in play.script.sent] == [
        b'{"name":"n","email":"a@b.c","webhook":"https://w.test"}',
        b'{"name":"n"}',
    ]


@pytest.mark.parametrize(
    ("method", "arguments", "named", "doing"),
    [
        ("send_message", {"message": ""}, "message", "sending message"),
        ("send_message", {"message": 5}, "message", "sending message"),
        ("set_agent_contact", {"name": ""}, "name", "setting agent contact"),
        ("set_agent_contact", {"name": "n", "email": 5}, "email", "setting agent contact"),
        ("set_agent_contact", {"name": "n", "webhook": " "}, "webhook", "setting agent contact"),
    ],
)
def test_arguments(side: Side, method: str, arguments: dict[str, object], named: str, doing: str) -> None:
    play = side.play()
    error = play.raises(ArgumentError, f"admin.{method}", **arguments)
    assert (error.argument, error.doing) == (named, doing)
    assert not play.script.sent


def test_a_price(side: Side) -> None:
    error = side.play([Reply.json({}, 402)]).raises(PaymentRequired, "admin.send_message", "hi")
    assert error.message == "Payment required while sending message"
