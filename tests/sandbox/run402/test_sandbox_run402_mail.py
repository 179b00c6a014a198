"""Mailboxes, messages and webhooks at the sandboxed gateway, through the real clients."""

from __future__ import annotations

import email
import json
import threading
from collections.abc import Iterator
from email.policy import default
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import attrs
import httpx
import pytest
from run402_caller import Caller, Side

from tollkit.errors import NotFoundError, RateLimitError
from tollkit.run402.credentials import MemoryCredentials
from tollkit.run402.errors import ApiError, Unauthorized
from tollkit.sandbox import Run402Sandbox, Sandbox
from tollkit.sandbox.run402.gateway import Project
from tollkit.sandbox.run402.mail import EVENTS, MailRoutes


@pytest.fixture
def project(run402_sandbox: Run402Sandbox) -> Project:
    return run402_sandbox.seed_project()


@pytest.fixture
def mail(run402_sandbox: Run402Sandbox) -> MailRoutes:
    return run402_sandbox.groups.mail


@attrs.define
class Listener:
    """A server on the loopback interface that writes down what it is told."""

    url: str
    told: list[dict[str, Any]] = attrs.field(factory=list)
    status: int = 200


@pytest.fixture
def listener() -> Iterator[Listener]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.told.append({"type": self.headers["content-type"], **json.loads(body)})
            self.send_response(heard.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    heard = Listener(f"http://127.0.0.1:{server.server_port}/hook?x=1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield heard
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_mailbox_from_creation_to_deletion(side: Side, run402_sandbox: Run402Sandbox, project: Project) -> None:
    keys = {"anon_key": project.anon_key, "service_key": project.service_key}
    credentials = MemoryCredentials({project.id: keys})
    client = side.client(run402_sandbox, credentials=credentials)
    with pytest.raises(NotFoundError):
        side.do(client.email.get_mailbox(project.id))
    made = side.do(client.email.create_mailbox(project.id, "shop"))
    assert (made.address, made.slug, made.status) == ("shop@mail.run402.com", "shop", "active")
    assert (made.project_id, made.sends_today, made.unique_recipients) == (project.id, 0, 0)
    kept = credentials.get_project(project.id)
    assert kept
    assert (kept.mailbox_id, kept.mailbox_address) == (made.mailbox_id, made.address)
    # a second one is refused with 409, and the client gives the first
    assert side.do(client.email.create_mailbox(project.id, "other")).mailbox_id == made.mailbox_id
    for to in ("ada@example.com", "ADA@example.com", "bob@example.com"):
        side.do(client.email.send(project.id, to=to, template="notification"))
    found = side.do(client.email.get_mailbox(project.id))
    assert (found.sends_today, found.unique_recipients) == (3, 2)
    gone = side.do(client.email.delete_mailbox(project.id))
    assert (gone.mailbox_id, gone.address) == (made.mailbox_id, made.address)
    assert run402_sandbox.groups.mail.messages() == []
    with pytest.raises(NotFoundError):
        side.do(client.email.get_mailbox(project.id))
    assert side.do(client.email.create_mailbox(project.id, "other")).slug == "other"


def test_an_address_is_somebodys(side: Side, run402_sandbox: Run402Sandbox, project: Project) -> None:
    other = run402_sandbox.seed_project()
    client = side.client(run402_sandbox, project, other)
    side.do(client.email.create_mailbox(project.id, "shop"))
    with pytest.raises(ApiError, match="Somebody else has") as caught:
        side.do(client.email.create_mailbox(other.id, "shop"))
    assert (caught.value.status, caught.value.code) == (409, "ADDRESS_TAKEN")
    # what a deleted project leaves behind is free
    side.do(client.projects.delete(project.id))
    assert side.do(client.email.create_mailbox(other.id, "shop")).project_id == other.id


def test_messages_are_sent_listed_and_read(side: Side, run402_sandbox: Run402Sandbox, project: Project) -> None:
    client = side.client(run402_sandbox, project)
    side.do(client.email.create_mailbox(project.id, "shop"))
    templated = side.do(
        client.email.send(project.id, to="ada@example.com", template="magic_link", variables={"link": "https://x"})
    )
    assert (templated.status, templated.template, templated.subject) == ("sent", "magic_link", None)
    raw = side.do(
        client.email.send(
            project.id,
            to="bob@example.com",
            subject="Grüße",
            html="<p>ü</p>",
            text="ü",
            from_name="Der Laden",
            in_reply_to=templated.message_id,
        )
    )
    assert (raw.template, raw.subject, raw.to) == (None, "Grüße", "bob@example.com")
    listed = side.do(client.email.list(project.id))
    assert [(row.id, row.template, row.to) for row in listed] == [
        (raw.message_id, None, "bob@example.com"),
        (templated.message_id, "magic_link", "ada@example.com"),
    ]
    detail = side.do(client.email.get(project.id, templated.message_id))
    assert (detail.variables, detail.replies) == ({"link": "https://x"}, [])
    found = side.do(client.email.get_raw(project.id, raw.message_id))
    assert found.content_type == "message/rfc822"
    read = email.message_from_bytes(found.bytes, policy=default)
    assert (read["from"], read["to"], read["subject"]) == (
        "Der Laden <shop@mail.run402.com>",
        "bob@example.com",
        "Grüße",
    )
    assert read["in-reply-to"] == f"<{templated.message_id}@mail.run402.com>"
    parts = {part.get_content_type(): part.get_content().strip() for part in read.iter_parts()}
    assert parts == {"text/plain": "ü", "text/html": "<p>ü</p>"}
    assert b"\r\n" in found.bytes
    with pytest.raises(NotFoundError):
        side.do(client.email.get_raw(project.id, "msg_no"))


def _all(side: Side, pages: Any) -> list[Any]:
    async def gathered() -> list[Any]:
        return [row async for row in pages]

    return side.do(gathered()) if hasattr(pages, "__aiter__") else list(pages)


def test_pages_are_turned(side: Side, run402_sandbox: Run402Sandbox, project: Project) -> None:
    client = side.client(run402_sandbox, project)
    side.do(client.email.create_mailbox(project.id, "shop"))
    sent = [
        side.do(client.email.send(project.id, to=f"u{number}@example.com", template="notification")).message_id
        for number in range(7)
    ]
    assert [row.id for row in _all(side, client.email.iterate(project.id, page_size=3))] == sent[::-1]
    assert [row.id for row in side.do(client.email.list(project.id, limit=2, after=sent[3]))] == [sent[2], sent[1]]
    assert side.do(client.email.list(project.id, after=sent[0])) == []
    with pytest.raises(ApiError, match="after must be a message"):
        side.do(client.email.list(project.id, after="msg_no"))


def test_more_than_allowed_is_refused(
    side: Side, run402_sandbox: Run402Sandbox, tollkit_sandbox: Sandbox, project: Project, mail: MailRoutes
) -> None:
    client = side.client(run402_sandbox, project, max_retries=0)
    box = side.do(client.email.create_mailbox(project.id, "shop"))
    tollkit_sandbox.clock.freeze()
    mail.limit_sends(3, window=60)

    def send() -> Any:
        return side.do(client.email.send(project.id, to="ada@example.com", template="notification"))

    for _ in range(3):
        send()
    with pytest.raises(RateLimitError) as caught:
        send()
    body = caught.value.body
    assert (caught.value.status, caught.value.retry_after) == (429, 60)
    assert body["error"] == "mailbox_send_rate_limited"
    assert (body["retry_after_seconds"], body["limit"], body["window_ms"]) == (60, 3, 60_000)
    tollkit_sandbox.clock.advance(60)
    send()
    mail.limit_sends(0)
    with pytest.raises(RateLimitError):
        send()
    mail.limit_sends(None)
    mail.set_status(box.mailbox_id, "suspended")
    with pytest.raises(Unauthorized, match="suspended"):
        send()
    assert side.do(client.email.get_mailbox(project.id)).status == "suspended"
    tollkit_sandbox.clock.advance(86_400)
    assert side.do(client.email.get_mailbox(project.id)).sends_today == 0


def test_webhooks_are_told(
    side: Side, run402_sandbox: Run402Sandbox, project: Project, mail: MailRoutes, listener: Listener
) -> None:
    client = side.client(run402_sandbox, project)
    box = side.do(client.email.create_mailbox(project.id, "shop")).mailbox_id
    hook = side.do(client.email.webhooks.register(project.id, url=listener.url, events=EVENTS))
    far = side.do(client.email.webhooks.register(project.id, url="https://far.example/hook", events=["delivery"]))
    sent = side.do(client.email.send(project.id, to="ada@example.com", template="notification")).message_id

    calls = mail.mark(sent, "delivered")
    assert [(call.webhook_id, call.status) for call in calls] == [(hook.webhook_id, 200), (far.webhook_id, None)]
    assert side.do(client.email.get(project.id, sent)).status == "delivered"
    (told,) = listener.told
    assert told["type"] == "application/json"
    assert (told["event"], told["mailbox_id"], told["message_id"]) == ("delivery", box, sent)
    assert told["to"] == "ada@example.com"

    message, calls = mail.receive(box, sender="ada@example.com", subject="Re:", text="Thanks", in_reply_to=sent)
    assert [call.status for call in calls] == [200]
    reply = {"id": message.id, "from": "ada@example.com", "body": "Thanks"}
    assert listener.told[1]["event"] == "reply_received"
    assert listener.told[1]["reply"].items() >= reply.items()
    (found,) = side.do(client.email.get(project.id, sent)).replies
    assert (found.id, found.from_, found.body) == (message.id, "ada@example.com", "Thanks")

    changed = side.do(client.email.webhooks.update(project.id, hook.webhook_id, events=["bounced"]))
    assert (changed.url, changed.events) == (listener.url, ["bounced"])
    assert mail.mark(sent, "complained") == []
    listener.status = 500
    assert [call.status for call in mail.mark(sent, "bounced")] == [500]
    assert side.do(client.email.webhooks.get(project.id, hook.webhook_id)) == changed
    assert [row.webhook_id for row in side.do(client.email.webhooks.list(project.id)).webhooks] == [
        hook.webhook_id,
        far.webhook_id,
    ]
    side.do(client.email.webhooks.delete(project.id, hook.webhook_id))
    with pytest.raises(NotFoundError):
        side.do(client.email.webhooks.get(project.id, hook.webhook_id))
    assert len(listener.told) == 3


def test_a_webhook_that_nobody_answers(run402_sandbox: Run402Sandbox, caller: Caller, project: Project) -> None:
    key = project.service_key
    box = caller.post("/mailboxes/v1", key=key, json={"slug": "shop", "project_id": project.id}).json()["mailbox_id"]
    # port 1 on the loopback interface: the connection is refused
    caller.post(f"/mailboxes/v1/{box}/webhooks", key=key, json={"url": "http://127.0.0.1:1/", "events": ["delivery"]})
    sent = caller.post(f"/mailboxes/v1/{box}/messages", key=key, json={"to": "a@b.example", "template": "magic_link"})
    mail = run402_sandbox.groups.mail
    assert [call.status for call in mail.mark(sent.json()["message_id"], "delivered")] == [None]


def test_what_arrives_is_kept_as_it_came(side: Side, run402_sandbox: Run402Sandbox, project: Project) -> None:
    client, mail = side.client(run402_sandbox, project), run402_sandbox.groups.mail
    box = side.do(client.email.create_mailbox(project.id, "shop")).mailbox_id
    raw = b"From: a@example.com\r\nSubject: odd \xff\r\n\r\nbody\r\n"
    message, calls = mail.receive(box, sender="a@example.com", raw=raw)
    assert calls == []
    assert side.do(client.email.get_raw(project.id, message.id)).bytes == raw
    html, _ = mail.receive(box, sender="a@example.com", subject="a\r\nBcc: b", html="<p>hi")
    assert email.message_from_bytes(html.raw, policy=default)["subject"] == "a Bcc: b"
    assert [row.status for row in side.do(client.email.list(project.id))] == ["received", "received"]
    assert side.do(client.email.get_mailbox(project.id)).sends_today == 0
    assert [row.direction for row in mail.messages(box)] == ["inbound", "inbound"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"to": "nobody", "template": "notification"}, "to"),
        ({"to": "a@b.example, c@d.example", "template": "notification"}, "to"),
        ({"to": "a@[1", "template": "notification"}, "to"),
        ({"template": "notification"}, "to"),
        ({"to": "a@b.example"}, "template"),
        ({"to": "a@b.example", "template": "notification", "subject": "s"}, "template"),
        ({"to": "a@b.example", "template": "own"}, "template"),
        ({"to": "a@b.example", "subject": "s"}, "html"),
        ({"to": "a@b.example", "html": "h"}, "subject"),
        ({"to": "a@b.example", "template": "notification", "variables": {"a": 1}}, "variables"),
        ({"to": "a@b.example", "template": "notification", "variables": []}, "variables"),
        ({"to": "a@b.example", "template": "notification", "in_reply_to": "msg_no"}, "in_reply_to"),
        ({"to": "a@b.example", "template": 5}, "template"),
    ],
)
def test_malformed_messages(caller: Caller, project: Project, body: dict[str, Any], field: str) -> None:
    key = project.service_key
    box = caller.post("/mailboxes/v1", key=key, json={"slug": "shop", "project_id": project.id}).json()["mailbox_id"]
    answer = caller.post(f"/mailboxes/v1/{box}/messages", key=key, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert answer.json()["details"] == {"field": field}


@pytest.mark.parametrize("slug", ["ab", "a" * 64, "-ab", "ab-", "a--b", "A-b", "a_b", "ab\n", ""])
def test_slugs_that_are_none(caller: Caller, project: Project, slug: str) -> None:
    answer = caller.post("/mailboxes/v1", key=project.service_key, json={"slug": slug, "project_id": project.id})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {"url": "ftp://x.example", "events": ["delivery"]},
        {"url": "http://[", "events": ["delivery"]},
        {"url": "https://x.example", "events": []},
        {"url": "https://x.example", "events": ["opened"]},
        {"url": "https://x.example", "events": "delivery"},
        {"url": "https://x.example", "events": [1]},
    ],
)
def test_malformed_webhooks(caller: Caller, project: Project, body: dict[str, Any]) -> None:
    key = project.service_key
    box = caller.post("/mailboxes/v1", key=key, json={"slug": "shop", "project_id": project.id}).json()["mailbox_id"]
    assert caller.post(f"/mailboxes/v1/{box}/webhooks", key=key, json=body).status_code == 400
    made = caller.post(
        f"/mailboxes/v1/{box}/webhooks", key=key, json={"url": "https://x.example", "events": ["delivery"]}
    ).json()["webhook_id"]
    assert caller.send("PATCH", f"/mailboxes/v1/{box}/webhooks/{made}", key=key, json={}).status_code == 400


def test_anothers_mailbox_is_not_there(caller: Caller, run402_sandbox: Run402Sandbox, project: Project) -> None:
    other = run402_sandbox.seed_project()
    body = {"slug": "shop", "project_id": project.id}
    box = caller.post("/mailboxes/v1", key=project.service_key, json=body).json()["mailbox_id"]
    assert caller.get(f"/mailboxes/v1/{box}/messages", key=other.service_key).status_code == 404
    assert caller.get(f"/mailboxes/v1/{box}/messages", key=project.anon_key).status_code == 403
    assert caller.get("/mailboxes/v1", key=other.service_key).json() == {"mailboxes": []}


def test_halves_of_characters_are_refused(caller: Caller, project: Project) -> None:
    content = b'{"key": "A", "value": "\\ud800"}'
    path = f"/projects/v1/admin/{project.id}/secrets"
    assert caller.post(path, key=project.service_key, content=content).status_code == 400


def _box(sandbox: Run402Sandbox) -> str:
    project = sandbox.seed_project()
    with httpx.Client(base_url=sandbox.api_base, trust_env=False) as http:
        body = {"slug": "shop", "project_id": project.id}
        made = http.post("/mailboxes/v1", headers={"apikey": project.service_key}, json=body)
    return str(made.json()["mailbox_id"])


def test_a_statuss_lever_is_taken_back(caller: Caller, project: Project, mail: MailRoutes) -> None:
    for wanted, expected in ((202, 202), (None, 201)):
        mail.succeed_with("emailCreateMailbox", wanted)
        body = {"slug": "shop", "project_id": project.id}
        made = caller.post("/mailboxes/v1", key=project.service_key, json=body)
        assert made.status_code == expected
        caller.send("DELETE", f"/mailboxes/v1/{made.json()['mailbox_id']}", key=project.service_key)


def test_levers_that_are_wrong(run402_sandbox: Run402Sandbox, mail: MailRoutes) -> None:
    with pytest.raises(ValueError, match="no mailbox"):
        mail.receive("mbx_no", sender="a@b.example")
    with pytest.raises(ValueError, match="no mailbox"):
        mail.set_status("mbx_no", "suspended")
    box = _box(run402_sandbox)
    with pytest.raises(ValueError, match="has no message"):
        mail.receive(box, sender="a@b.example", in_reply_to="msg_no")
    with pytest.raises(ValueError, match="no message"):
        mail.mark("msg_no", "bounced")
    with pytest.raises(ValueError, match="no status"):
        mail.mark("msg_no", "read")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no operation"):
        mail.succeed_with("emailRead", 200)
    with pytest.raises(ValueError, match="succeeds with"):
        mail.succeed_with("emailList", 201)
