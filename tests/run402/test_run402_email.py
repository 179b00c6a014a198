"""`client.email` and `client.email.webhooks` against recorded requests of the platform's client, and beyond them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from typing import Any

import pytest

from support.run402 import RecordingCredentials, Side, method_requests, run_case
from support.scripted_http import Reply
from tollkit.errors import ArgumentError, AuthenticationError, ConflictError, NotFoundError
from tollkit.run402.credentials import ProjectKeys
from tollkit.run402.errors import ApiError, LocalError, NetworkError, PaymentRequired, ProjectNotFound, Unauthorized

CASES = method_requests("b")
MAILBOX: dict[str, Any] = CASES["email.createMailbox('app')"]["result"]
LISTED = {"mailboxes": [MAILBOX]}
KEPT = ["updateProject", "prj_k", {"mailbox_id": "mbx_1", "mailbox_address": "app@mail.run402.com"}]
CONFLICT = Reply.json({"message": "taken"}, 409)
SUMMARY = {"id": "m1", "template": None, "to": "a@b.c", "status": "sent", "created_at": "t"}
WEBHOOK = {"webhook_id": "w1", "url": "https://h", "events": ["delivery"], "created_at": "t"}
SENT = {"message_id": "m"}


class Unwilling(RecordingCredentials):
    """Cannot keep anything."""

    def update_project(self, project_id: str, changes: Mapping[str, Any]) -> None:
        super().update_project(project_id, changes)
        raise OSError("disk full")


def kept() -> RecordingCredentials:
    """Know which mailbox the project has."""
    return RecordingCredentials(mailbox_id="mbx_1")


def local(case: Mapping[str, Any], doing: str) -> dict[str, Any]:
    """What the platform's client raises as a plain `Error`, outside its family, is a `LocalError` here."""
    told = {"class": "LocalError", "kind": "local_error", "status": None, "code": "LOCAL_ERROR", "context": doing}
    assert case["error"]["class"] == "Error"
    return {**case, "error": told}


@pytest.mark.parametrize(
    ("call", "method"),
    [("email.createMailbox('app')", "email.create_mailbox"), ("email.create alias", "email.create")],
)
def test_create_mailbox(side: Side, call: str, method: str) -> None:
    made = run_case(side, CASES[call], method, "prj_k", "app")
    assert made.to_dict() == MAILBOX


def test_create_mailbox_of_a_project_that_has_one(side: Side) -> None:
    play = side.play([CONFLICT, Reply.json(LISTED)])
    found = play.do("email.create_mailbox", "prj_k", "other")
    assert found.mailbox_id == "mbx_1"
    assert play.credentials.writes == [KEPT]
    assert [sent.method for sent in play.script.sent] == ["POST", "GET"]


def test_create_mailbox_conflict_with_no_mailbox_is_told(side: Side) -> None:
    error = run_case(
        side,
        CASES["email.createMailbox 409 with empty list rethrows"],
        "email.create_mailbox",
        "prj_k",
        "app",
        answers=[CONFLICT, {"mailboxes": []}],
    )
    assert isinstance(error, ConflictError)
    assert error.message == "taken while creating mailbox (HTTP 409)"


@pytest.mark.parametrize("second", [Reply.json({}, 403), Reply.json("?"), ConnectionError("gone")])
def test_create_mailbox_conflict_is_told_when_the_look_up_fails(side: Side, second: Any) -> None:
    play = side.play([CONFLICT, second], max_retries=0)
    assert play.raises(ApiError, "email.create_mailbox", "prj_k", "app").status == 409
    assert play.credentials.writes == []


def test_create_mailbox_conflict_is_told_when_what_was_found_cannot_be_kept(side: Side) -> None:
    play = side.play([CONFLICT, Reply.json(LISTED)], credentials=Unwilling())
    assert play.raises(ApiError, "email.create_mailbox", "prj_k", "app").status == 409


def test_create_mailbox_tells_when_a_new_one_cannot_be_kept(side: Side) -> None:
    play = side.play([Reply.json(MAILBOX, 201)], credentials=Unwilling())
    play.raises(OSError, "email.create_mailbox", "prj_k", "app")


def test_create_mailbox_refuses_a_slug_as_recorded(side: Side) -> None:
    case = local(CASES["email.createMailbox slug 'a_b'"], "creating mailbox")
    error = run_case(side, case, "email.create_mailbox", "prj_k", "a_b")
    assert isinstance(error, ArgumentError)


@pytest.mark.parametrize(
    "slug", ["", "ab", "a" * 64, "-ab", "ab-", "a--b", "App", "a.b", "abc\n", "\u0430bc", None, 5]
)
def test_create_mailbox_refuses_unusable_slugs(side: Side, slug: Any) -> None:
    play = side.play()
    error = play.raises(LocalError, "email.create_mailbox", "prj_k", slug)
    assert (error.context["argument"], error.doing) == ("slug", "creating mailbox")


@pytest.mark.parametrize("slug", ["abc", "a-b", "0a9", "a" * 63])
def test_create_mailbox_takes_slugs_of_any_allowed_length(side: Side, slug: str) -> None:
    play = side.play([Reply.json(MAILBOX)])
    play.do("email.create_mailbox", "prj_k", slug)
    assert play.script.sent[0].text == f'{{"slug":"{slug}","project_id":"prj_k"}}'


@pytest.mark.parametrize("method", ["email.get_mailbox", "email.status", "email.info"])
def test_get_mailbox(side: Side, method: str) -> None:
    found = run_case(side, CASES["email.status"], method, "prj_k", answers=[LISTED])
    assert found.to_dict() == MAILBOX


def test_get_mailbox_asks_even_when_one_is_kept(side: Side) -> None:
    play = side.play([Reply.json(LISTED)], credentials=RecordingCredentials(mailbox_id="mbx_0"))
    assert play.do("email.get_mailbox", "prj_k").mailbox_id == "mbx_1"
    assert play.credentials.get_project("prj_k").mailbox_id == "mbx_1"


def test_get_mailbox_that_cannot_be_kept(side: Side) -> None:
    play = side.play([Reply.json(LISTED)], credentials=Unwilling())
    assert play.do("email.get_mailbox", "prj_k").mailbox_id == "mbx_1"


@pytest.mark.parametrize("answer", [{"mailboxes": []}, {}])
def test_get_mailbox_of_a_project_without(side: Side, answer: Any) -> None:
    error = run_case(side, CASES["email.getMailbox none"], "email.get_mailbox", "prj_k", answers=[answer])
    assert isinstance(error, NotFoundError)
    assert error.body is None
    assert "create_mailbox" in (error.hint or "")


def test_get_mailbox_error_of_the_look_up(side: Side) -> None:
    play = side.play([Reply.json({"message": "no"}, 403)])
    error = play.raises(Unauthorized, "email.get_mailbox", "prj_k")
    assert error.message == "no while listing mailboxes (HTTP 403)"
    assert error.doing == "listing mailboxes"


def test_delete_mailbox_that_is_kept(side: Side) -> None:
    case = copy.deepcopy(CASES["email.deleteMailbox cached"])
    (write,) = case["provider_writes"]
    write[2] = dict.fromkeys(write[2])  # undefined of the recording is None
    deleted = run_case(side, case, "email.delete_mailbox", "prj_k", credentials=kept())
    assert deleted.to_dict() == case["result"]


def test_delete_mailbox_by_its_id(side: Side) -> None:
    play = side.play([Reply.json({"mailbox_id": "x", "address": "a"})], credentials=kept())
    play.do("email.delete", "prj_k", "x/y")
    assert play.script.sent[0].url.endswith("/mailboxes/v1/x%2Fy")
    assert play.credentials.get_project("prj_k").mailbox_id is None


def test_delete_mailbox_that_is_looked_up(side: Side) -> None:
    play = side.play(
        [Reply.json(LISTED), Reply.json({"mailbox_id": "mbx_1", "address": "a"})], credentials=Unwilling()
    )
    play.do("email.delete_mailbox", "prj_k")
    assert [(sent.method, sent.url.rpartition("/")[2]) for sent in play.script.sent] == [
        ("GET", "v1"),
        ("DELETE", "mbx_1"),
    ]
    assert play.credentials.writes == [["updateProject", "prj_k", {"mailbox_id": None, "mailbox_address": None}]]


def test_delete_mailbox_of_a_project_without(side: Side) -> None:
    run_case(side, CASES["email.delete alias, none"], "email.delete", "prj_k", answers=[{"mailboxes": []}])


@pytest.mark.parametrize("mailbox_id", ["", ".", ".."])
def test_delete_mailbox_never_takes_nothing_for_the_one_that_is_kept(side: Side, mailbox_id: str) -> None:
    play = side.play(credentials=kept())
    assert play.raises(ArgumentError, "email.delete_mailbox", "prj_k", mailbox_id).doing == "deleting mailbox"


def test_send_from_a_template(side: Side) -> None:
    case = CASES["email.send template without variables"]
    run_case(side, case, "email.send", "prj_k", to="a@b.c", template="notification", credentials=kept())


def test_send_leaves_out_what_goes_with_the_other_kind(side: Side) -> None:
    play = side.play([Reply.json(SENT, 202), Reply.json(SENT)], credentials=kept())
    both: dict[str, Any] = {"variables": {}, "text": "t", "from_name": "Me", "in_reply_to": "m0"}
    play.do("email.send", "prj_k", to="a@b.c", template="notification", subject="", html="", **both)
    play.do("email.send", "prj_k", to="a@b.c", subject="s", html="<p>", template="", **both)
    assert [sent.text for sent in play.script.sent] == [
        '{"to":"a@b.c","template":"notification","variables":{},"from_name":"Me","in_reply_to":"m0"}',
        '{"to":"a@b.c","subject":"s","html":"<p>","text":"t","from_name":"Me","in_reply_to":"m0"}',
    ]


def test_send_looks_the_mailbox_up_once(side: Side) -> None:
    case = CASES["email.send raw with discovery"]
    run_case(side, case, "email.send", "prj_k", to="a@b.c", subject="s", html="<p>", answers=[LISTED, SENT])
    play = side.play([Reply.json(LISTED), Reply.json(SENT), Reply.json(SENT)])
    for _ in range(2):
        play.do("email.send", "prj_k", to="a@b.c", subject="s", html="<p>")
    assert [sent.method for sent in play.script.sent] == ["GET", "POST", "POST"]


def test_send_when_the_mailbox_cannot_be_kept(side: Side) -> None:
    play = side.play([Reply.json(LISTED), Reply.json(SENT)], credentials=Unwilling())
    assert play.do("email.send", "prj_k", to="a@b.c", subject="s", html="<p>").message_id == "m"


def test_send_nothing(side: Side) -> None:
    run_case(side, local(CASES["email.send nothing"], "sending email"), "email.send", "prj_k", to="a@b.c")


@pytest.mark.parametrize(
    ("told", "argument"),
    [
        ({"subject": "s"}, "html"),
        ({"html": "<p>"}, "subject"),
        ({"text": "t"}, "template"),
        ({"template": "t", "subject": "s"}, "template"),
        ({"template": "t", "html": "h"}, "template"),
        ({"to": "", "template": "t"}, "to"),
        ({"template": 5}, "template"),
        ({"template": "t", "from_name": 5}, "from_name"),
    ],
)
def test_send_refuses_half_a_message_and_two(side: Side, told: dict[str, Any], argument: str) -> None:
    play = side.play()
    error = play.raises(LocalError, "email.send", "prj_k", **{"to": "a@b.c", **told})
    assert (error.context["argument"], error.doing) == (argument, "sending email")
    assert play.credentials.reads == []


def test_a_project_without_mailbox_cannot_send(side: Side) -> None:
    play = side.play([Reply.json({})])
    error = play.raises(ApiError, "email.send", "prj_k", to="a@b.c", template="notification")
    assert (error.status, error.doing, error.code) == (404, "resolving mailbox", "API_ERROR")


def test_list(side: Side) -> None:
    assert run_case(side, CASES["email.list"], "email.list", "prj_k", credentials=kept()) == []


def test_list_of_a_page(side: Side) -> None:
    case = CASES["email.list({limit:0,after:'c d'})"]
    assert run_case(side, case, "email.list", "prj_k", limit=0, after="c d", credentials=kept()) == []


@pytest.mark.parametrize("told", [{"limit": "5"}, {"limit": -1}, {"limit": True}, {"after": 5}])
def test_list_refuses_what_is_no_limit(side: Side, told: dict[str, Any]) -> None:
    assert side.play().raises(ArgumentError, "email.list", "prj_k", **told).doing == "listing emails"


def all_of(side: Side, play: Any, **told: Any) -> list[str]:
    pages = play.client.email.iterate("prj_k", **told)

    async def collected() -> list[str]:
        return [message.id async for message in pages]

    return side.do(collected()) if side.name == "async" else [message.id for message in pages]


def page(*ids: str) -> Reply:
    return Reply.json([{**SUMMARY, "id": name} for name in ids])


def test_iterate(side: Side) -> None:
    play = side.play([page("m1", "m2"), page("m3"), page()], credentials=kept())
    assert all_of(side, play, page_size=2) == ["m1", "m2", "m3"]
    assert [sent.url.partition("?")[2] for sent in play.script.sent] == [
        "limit=2",
        "limit=2&after=m2",
        "limit=2&after=m3",
    ]


def test_iterate_ends_when_a_gateway_tells_the_same_page_again(side: Side) -> None:
    play = side.play([page("m1", "m2"), page("m1", "m2")], credentials=kept())
    assert all_of(side, play) == ["m1", "m2"]


def test_iterate_over_nothing(side: Side) -> None:
    assert all_of(side, side.play([page()], credentials=kept())) == []


def escaped(case: Mapping[str, Any], raw: str, path: str) -> dict[str, Any]:
    """The platform's client puts an id into the path as it is; here it stays one segment."""
    changed = copy.deepcopy(dict(case))
    (request,) = changed["requests"]
    assert raw in request["path"]
    request["path"] = request["path"].replace(raw, path)
    return changed


def test_get(side: Side) -> None:
    reply = {"id": "r1", "from": "x@y.z", "body": "hi", "received_at": "t"}
    detail = {**SUMMARY, "template": "notification", "variables": {"a": "b"}, "replies": [reply]}
    case = escaped(CASES["email.get('m/1')"], "/m/1", "/m%2F1")
    found = run_case(side, case, "email.get", "prj_k", "m/1", answers=[detail], credentials=kept())
    assert found.to_dict() == detail
    assert found.replies[0].from_ == "x@y.z"


def test_get_raw(side: Side) -> None:
    case = CASES["email.getRaw('m1')"]
    raw = run_case(
        side, case, "email.get_raw", "prj_k", "m1", answers=[Reply(content=b"\x01\x02")], credentials=kept()
    )
    assert (raw.content_type, raw.bytes) == ("message/rfc822", b"\x01\x02")
    assert repr(raw) == "RawEmail(content_type='message/rfc822', bytes=<2 bytes>)"


def test_get_raw_tells_the_media_type(side: Side) -> None:
    play = side.play([Reply(200, {"content-type": "text/plain"}, b"x")], credentials=kept())
    assert play.do("email.get_raw", "prj_k", "m1").content_type == "text/plain"


def test_get_raw_refused_is_an_api_error(side: Side) -> None:
    case = CASES["email.getRaw 401"]
    error = run_case(
        side,
        case,
        "email.get_raw",
        "prj_k",
        "m1",
        answers=[Reply.json({"message": "no", "trace_id": "t1"}, 401)],
        credentials=kept(),
    )
    assert isinstance(error, ApiError)
    assert isinstance(error, AuthenticationError)
    assert not isinstance(error, Unauthorized)
    assert (error.trace_id, error.category, error.message) == ("t1", "api", "no while fetching raw MIME (HTTP 401)")
    assert error.__cause__ is None
    assert isinstance(pickle.loads(pickle.dumps(error)), ApiError)


@pytest.mark.parametrize("status", [402, 403, 404, 429, 500])
def test_get_raw_keeps_what_the_gateway_says(side: Side, status: int) -> None:
    answer = Reply.json({"code": "SO", "retryable": True}, status, retry_after="7")
    play = side.play([answer], credentials=kept(), max_retries=0)
    error = play.raises(ApiError, "email.get_raw", "prj_k", "m1")
    assert (error.kind, error.code, error.status, error.retry_after) == ("api_error", "SO", status, 7)
    assert error.retryable is True
    assert not isinstance(error, PaymentRequired)


def test_get_raw_leaves_errors_of_the_look_up_as_they_are(side: Side) -> None:
    error = side.play([Reply.json({}, 401)]).raises(Unauthorized, "email.get_raw", "prj_k", "m1")
    assert error.doing == "listing mailboxes"


def test_get_raw_without_an_answer(side: Side) -> None:
    play = side.play([ConnectionError("gone")], credentials=kept(), max_retries=0)
    assert play.raises(NetworkError, "email.get_raw", "prj_k", "m1").doing == "fetching raw MIME"


def test_webhooks_register(side: Side) -> None:
    case = CASES["email.webhooks.register"]
    told = {"url": "https://h", "events": ("delivery",)}
    made = run_case(side, case, "email.webhooks.register", "prj_k", answers=[WEBHOOK], credentials=kept(), **told)
    assert made.to_dict() == WEBHOOK


def test_webhooks_delete(side: Side) -> None:
    case = CASES["email.webhooks.delete"]
    assert run_case(side, case, "email.webhooks.delete", "prj_k", "w1", credentials=kept()) is None


def test_webhooks_list_get_and_update(side: Side) -> None:
    play = side.play(
        [Reply.json({"webhooks": [WEBHOOK]}), *[Reply.json(WEBHOOK)] * 4, Reply(204)], credentials=kept()
    )
    assert play.do("email.webhooks.list", "prj_k").webhooks[0].webhook_id == "w1"
    assert play.do("email.webhooks.get", "prj_k", "w/1").url == "https://h"
    play.do("email.webhooks.update", "prj_k", "w1", url="https://i")
    play.do("email.webhooks.update", "prj_k", "w1", events=[])
    play.do("email.webhooks.update", "prj_k", "w1", url="", events=["bounced"])
    play.do("email.webhooks.delete", "prj_k", "w1")
    base = "https://api.run402.test/mailboxes/v1/mbx_1/webhooks"
    assert [(sent.method, sent.url.removeprefix(base), sent.text) for sent in play.script.sent] == [
        ("GET", "", ""),
        ("GET", "/w%2F1", ""),
        ("PATCH", "/w1", '{"url":"https://i"}'),
        ("PATCH", "/w1", '{"events":[]}'),
        ("PATCH", "/w1", '{"events":["bounced"]}'),
        ("DELETE", "/w1", ""),
    ]


def test_webhooks_look_the_mailbox_up(side: Side) -> None:
    play = side.play([Reply.json(LISTED), Reply.json({"webhooks": []})])
    assert play.do("email.webhooks.list", "prj_k").webhooks == []
    assert play.credentials.writes == [KEPT]


@pytest.mark.parametrize(
    ("method", "args", "told"),
    [
        ("register", (), {"url": "", "events": ["delivery"]}),
        ("register", (), {"url": "https://h", "events": "delivery"}),
        ("register", (), {"url": "https://h", "events": [5]}),
        ("register", (), {"url": "https://h", "events": None}),
        ("update", ("w1",), {}),
        ("update", ("w1",), {"url": ""}),
    ],
)
def test_webhooks_refuse_before_anything_is_looked_up(side: Side, method: str, args: Any, told: Any) -> None:
    play = side.play()
    error = play.raises(LocalError, f"email.webhooks.{method}", "prj_k", *args, **told)
    assert isinstance(error, ArgumentError)
    assert error.doing in ("registering webhook", "updating webhook")
    assert play.credentials.reads == []


@pytest.mark.parametrize(
    ("method", "args", "told", "doing"),
    [
        ("create_mailbox", ("app",), {}, "creating mailbox"),
        ("get_mailbox", (), {}, "getting mailbox"),
        ("delete_mailbox", (), {}, "deleting mailbox"),
        ("send", (), {"to": "a", "template": "t"}, "resolving mailbox"),
        ("list", (), {}, "resolving mailbox"),
        ("get", ("m1",), {}, "resolving mailbox"),
        ("get_raw", ("m1",), {}, "resolving mailbox"),
        ("webhooks.list", (), {}, "resolving mailbox"),
        ("webhooks.register", (), {"url": "u", "events": []}, "resolving mailbox"),
        ("webhooks.get", ("w1",), {}, "resolving mailbox"),
        ("webhooks.update", ("w1",), {"url": "u"}, "resolving mailbox"),
        ("webhooks.delete", ("w1",), {}, "resolving mailbox"),
    ],
)
def test_an_unknown_project(side: Side, method: str, args: Any, told: Any, doing: str) -> None:
    error = side.play().raises(ProjectNotFound, f"email.{method}", "prj_x", *args, **told)
    assert (error.project_id, error.doing) == ("prj_x", doing)


def test_a_provider_that_keeps_nothing(side: Side) -> None:
    class Least:
        blocking = False

        def get_auth(self, path: str) -> None:
            raise AssertionError("a mailbox needs no wallet")

        def get_project(self, project_id: str) -> ProjectKeys:
            return ProjectKeys("ANON", "SVC")

    play = side.play([Reply.json(MAILBOX), Reply.json(LISTED), Reply.json(SENT)], credentials=Least())
    play.do("email.create_mailbox", "prj_k", "app")
    play.do("email.send", "prj_k", to="a@b.c", template="notification")
    assert [sent.headers["authorization"] for sent in play.script.sent] == ["Bearer SVC"] * 3
