"""Mailboxes of projects: messages, answers to them, and webhooks that are told of what becomes of them.

Nothing leaves the machine: messages are kept, and webhooks are called on the loopback interface alone.

Source: Run402 1.57, `/mailboxes/v1`; the limit of sends as a gateway of one's own tells it, as recorded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit, urlunsplit

import attrs
from starlette.responses import Response

from tollkit.sandbox.http import members
from tollkit.sandbox.run402.calls import Call, GatewayError
from tollkit.sandbox.run402.parts import LABEL, Operation, OperationGroup, invalid, query_number, text_list
from tollkit.sandbox.run402.tiers import DAY

if TYPE_CHECKING:
    import sqlite3

    from tollkit.sandbox.run402.gateway import Project

__all__ = ["EVENTS", "MailRoutes", "Message", "WebhookCall"]

DOMAIN = "mail.run402.com"
EVENTS = ("delivery", "bounced", "complained", "reply_received")
"""What a webhook can be told of."""
TEMPLATES: Mapping[str, tuple[str, str]] = {
    "project_invite": ("You are invited", "You are invited to a project."),
    "magic_link": ("Your link to sign in", "Sign in with this link."),
    "notification": ("A notification", "There is news."),
}
"""Subject and text of each template; what it was given follows the text."""
_PAGE, _MOST = 50, 200
_ADDRESS = re.compile(r"[^\s\x00-\x1f@<>,;:()\[\]\\\"]+@[^\s\x00-\x1f@<>,;:()\[\]\\\"]+")
_WEBHOOK_SECONDS = 5.0
_EVENT_OF = {"delivered": "delivery", "bounced": "bounced", "complained": "complained"}


@attrs.frozen(kw_only=True)
class Message:
    """A message of a mailbox, for tests.

    Attributes:
        id: Its id.
        mailbox_id: Its mailbox.
        direction: `outbound`, or `inbound` for what was received.
        sender: Address of the sender.
        to: Address of the recipient.
        template: The template; None for a message of the caller's own.
        variables: What the template was given.
        subject: Its subject.
        text: Its body as text.
        html: Its body as HTML; None without one.
        from_name: The sender's name; None without one.
        in_reply_to: Id of the message that it answers; None when it answers none.
        status: `sent`, `delivered`, `bounced`, `complained`, or `received`.
        created_at: When it was taken, in epoch seconds.
        raw: All of it as it goes over the wire (RFC 5322).
    """

    id: str
    mailbox_id: str
    direction: str
    sender: str
    to: str
    template: str | None
    variables: Mapping[str, str]
    subject: str
    text: str
    html: str | None
    from_name: str | None
    in_reply_to: str | None
    status: str
    created_at: float
    raw: bytes = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class WebhookCall:
    """A webhook that was told of an event.

    Attributes:
        webhook_id: Which.
        url: Its address.
        payload: What it was told, as JSON.
        status: What it answered; None when it could not be reached, or is not on the loopback interface.
    """

    webhook_id: str
    url: str
    payload: Mapping[str, Any]
    status: int | None


class MailRoutes(OperationGroup):
    """The routes of mailboxes, with levers for tests."""

    schema = """
    CREATE TABLE mailboxes (
        id TEXT PRIMARY KEY,
        project_id TEXT NOT NULL,
        slug TEXT NOT NULL,
        status TEXT NOT NULL DEFAULT 'active',
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL
    );
    CREATE TABLE mail (
        sequence INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        mailbox_id TEXT NOT NULL,
        direction TEXT NOT NULL,
        sender TEXT NOT NULL,
        "to" TEXT NOT NULL,
        template TEXT,
        variables TEXT NOT NULL,
        subject TEXT NOT NULL,
        text TEXT NOT NULL,
        html TEXT,
        from_name TEXT,
        in_reply_to TEXT,
        status TEXT NOT NULL,
        created_at REAL NOT NULL,
        raw BLOB NOT NULL
    );
    CREATE TABLE mail_webhooks (
        sequence INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        mailbox_id TEXT NOT NULL,
        url TEXT NOT NULL,
        events TEXT NOT NULL,
        created_at REAL NOT NULL
    );
    """

    def _begin(self) -> None:
        super()._begin()
        self._limit: tuple[int, float] | None = None

    def operations(self) -> Iterable[Operation]:
        """The operations of the group."""
        boxes, box = "/mailboxes/v1", "/mailboxes/v1/{mailbox_id}"
        mail, one, hooks = box + "/messages", box + "/messages/{message_id}", box + "/webhooks"
        hook = hooks + "/{webhook_id}"
        yield Operation("emailCreateMailbox", "POST", boxes, self._create, (201, 200, 202))
        yield Operation("emailListMailboxes", "GET", boxes, self._list_mailboxes, (200,))
        yield Operation("emailDeleteMailbox", "DELETE", box, self._delete_mailbox, (200, 202))
        yield Operation("emailSend", "POST", mail, self._send, (201, 200, 202))
        yield Operation("emailList", "GET", mail, self._list, (200,))
        yield Operation("emailGet", "GET", one, self._get, (200,))
        yield Operation("emailGetRaw", "GET", one + "/raw", self._get_raw, (200,))
        yield Operation("emailWebhooksRegister", "POST", hooks, self._register, (201, 200, 202))
        yield Operation("emailWebhooksList", "GET", hooks, self._list_webhooks, (200,))
        yield Operation("emailWebhooksGet", "GET", hook, self._get_webhook, (200,))
        yield Operation("emailWebhooksUpdate", "PATCH", hook, self._update_webhook, (200,))
        yield Operation("emailWebhooksDelete", "DELETE", hook, self._delete_webhook, (204, 200, 202))

    # ---------------------------------------------------------------- levers

    def limit_sends(self, limit: int | None, window: float = DAY) -> None:
        """Let each mailbox send so many messages in so many seconds, and refuse more with 429; None for no limit."""
        with self._gateway.lock:
            self._limit = None if limit is None else (limit, window)

    def set_status(self, mailbox_id: str, status: Literal["active", "suspended"]) -> None:
        """Suspend a mailbox, which then sends nothing, or let it send again.

        Raises:
            ValueError: There is no such mailbox.
        """
        with self._gateway.lock:
            changed = self._db.execute(
                "UPDATE mailboxes SET status = ?, updated_at = ? WHERE id = ?", (status, self._now(), mailbox_id)
            )
            if not changed.rowcount:
                raise ValueError(f"no mailbox {mailbox_id!r}")

    def messages(self, mailbox_id: str | None = None) -> list[Message]:
        """All messages, or those of a mailbox, the oldest first."""
        with self._gateway.lock:
            rows = self._db.execute(
                "SELECT * FROM mail WHERE mailbox_id = ifnull(?, mailbox_id) ORDER BY sequence", (mailbox_id,)
            )
            return [_message(row) for row in rows]

    def receive(
        self,
        mailbox_id: str,
        *,
        sender: str,
        subject: str = "",
        text: str = "",
        html: str | None = None,
        in_reply_to: str | None = None,
        raw: bytes | None = None,
    ) -> tuple[Message, list[WebhookCall]]:
        """Let a message arrive; webhooks for `reply_received` are told when it answers one.

        Args:
            mailbox_id: The mailbox.
            sender: Address of the sender.
            subject: Its subject.
            text: Its body as text.
            html: Its body as HTML.
            in_reply_to: Id of the message that it answers.
            raw: All of it as it came; made of the other arguments when left out.

        Returns:
            The message, and the webhooks that were told.

        Raises:
            ValueError: There is no such mailbox, or the message that is answered is none of its messages.
        """
        with self._gateway.lock:
            box = self._db.execute("SELECT * FROM mailboxes WHERE id = ?", (mailbox_id,)).fetchone()
            if box is None:
                raise ValueError(f"no mailbox {mailbox_id!r}")
            if in_reply_to is not None and self._row(mailbox_id, in_reply_to) is None:
                raise ValueError(f"the mailbox has no message {in_reply_to!r}")
            message = self._keep(
                box,
                direction="inbound",
                sender=sender,
                to=_address(box),
                subject=subject,
                text=text,
                html=html,
                in_reply_to=in_reply_to,
                status="received",
                raw=raw,
            )
        if in_reply_to is None:
            return message, []
        return message, self._tell(mailbox_id, "reply_received", in_reply_to, {"reply": self._reply(message)})

    def mark(self, message_id: str, status: Literal["delivered", "bounced", "complained"]) -> list[WebhookCall]:
        """Let a message have been delivered, have bounced, or be complained of; webhooks are told.

        Returns:
            The webhooks that were told.

        Raises:
            ValueError: There is no such message, or no such status.
        """
        if status not in _EVENT_OF:
            raise ValueError(f"no status {status!r}; there are {', '.join(_EVENT_OF)}")
        with self._gateway.lock:
            row = self._db.execute(
                "SELECT * FROM mail WHERE id = ? AND direction = 'outbound'", (message_id,)
            ).fetchone()
            if row is None:
                raise ValueError(f"no message {message_id!r} that was sent")
            self._db.execute("UPDATE mail SET status = ? WHERE id = ?", (status, message_id))
        return self._tell(row["mailbox_id"], _EVENT_OF[status], message_id, {"to": row["to"]})

    def _tell(self, mailbox_id: str, event: str, message_id: str, more: Mapping[str, Any]) -> list[WebhookCall]:
        with self._gateway.lock:
            payload = {
                "event": event,
                "mailbox_id": mailbox_id,
                "message_id": message_id,
                **more,
                "occurred_at": self._time(self._now()),
            }
            rows = self._db.execute(
                "SELECT * FROM mail_webhooks WHERE mailbox_id = ? ORDER BY sequence", (mailbox_id,)
            ).fetchall()
        # without the lock: who is told may call the gateway before it answers
        return [
            WebhookCall(webhook_id=row["id"], url=row["url"], payload=payload, status=_post(row["url"], payload))
            for row in rows
            if event in json.loads(row["events"])
        ]

    # ---------------------------------------------------------------- mailboxes

    def _create(self, call: Call) -> Any:
        project = self._gateway.by_service_key(call.request)
        slug = call.required("slug")
        if call.required("project_id") != project.id:
            raise GatewayError(403, "UNAUTHORIZED", "The service key does not belong to this project")
        if LABEL.fullmatch(slug) is None:
            raise invalid("slug", "must be 3 to 63 of a-z, 0-9 and -, with no - at either end and no two in a row")
        if self._mailboxes(project):
            raise GatewayError(409, "MAILBOX_EXISTS", "The project has a mailbox")
        taken = self._db.execute(
            "SELECT 1 FROM mailboxes JOIN projects ON projects.id = project_id AND NOT deleted WHERE slug = ?",
            (slug,),
        ).fetchone()
        if taken:
            raise GatewayError(409, "ADDRESS_TAKEN", f"Somebody else has {slug}@{DOMAIN}")
        now, mailbox_id = self._now(), self._gateway.new_id("mbx_", 32)
        self._db.execute(
            "INSERT INTO mailboxes (id, project_id, slug, created_at, updated_at) VALUES (?, ?, ?, ?, ?)",
            (mailbox_id, project.id, slug, now, now),
        )
        return self._shown(self._mailboxes(project)[0])

    def _list_mailboxes(self, call: Call) -> Any:
        project = self._gateway.by_service_key(call.request)
        return {"mailboxes": [self._shown(row) for row in self._mailboxes(project)]}

    def _delete_mailbox(self, call: Call) -> Any:
        box = self._mailbox(call)
        self._db.execute("DELETE FROM mail WHERE mailbox_id = ?", (box["id"],))
        self._db.execute("DELETE FROM mail_webhooks WHERE mailbox_id = ?", (box["id"],))
        self._db.execute("DELETE FROM mailboxes WHERE id = ?", (box["id"],))
        return {"mailbox_id": box["id"], "address": _address(box)}

    def _mailboxes(self, project: Project) -> list[sqlite3.Row]:
        return self._db.execute("SELECT * FROM mailboxes WHERE project_id = ?", (project.id,)).fetchall()

    def _mailbox(self, call: Call) -> sqlite3.Row:
        """The mailbox of the path; another project's is as unknown as one that is not there."""
        project, mailbox_id = self._gateway.by_service_key(call.request), call.path["mailbox_id"]
        for row in self._mailboxes(project):
            if row["id"] == mailbox_id:
                return row
        raise GatewayError(404, "MAILBOX_NOT_FOUND", f"No such mailbox: {mailbox_id}")

    def _shown(self, row: sqlite3.Row) -> dict[str, Any]:
        now = self._now()
        counted = self._db.execute(
            'SELECT count(*) FILTER (WHERE created_at >= ?) AS today, count(DISTINCT lower("to")) AS recipients'
            " FROM mail WHERE mailbox_id = ? AND direction = 'outbound'",
            (now - now % DAY, row["id"]),
        ).fetchone()
        return {
            "mailbox_id": row["id"],
            "address": _address(row),
            "slug": row["slug"],
            "project_id": row["project_id"],
            "status": row["status"],
            "sends_today": counted["today"],
            "unique_recipients": counted["recipients"],
            "created_at": self._time(row["created_at"]),
            "updated_at": self._time(row["updated_at"]),
        }

    # ---------------------------------------------------------------- messages

    def _send(self, call: Call) -> Any:
        box = self._mailbox(call)
        to = call.required("to")
        if _ADDRESS.fullmatch(to) is None:
            raise invalid("to", "must be one e-mail address")
        template, subject, html = (call.text(name, required=False) for name in ("template", "subject", "html"))
        variables = _variables(call)
        if bool(template) == bool(subject or html):
            raise invalid("template", "or subject and html must be given, and not both")
        if template and template not in TEMPLATES:
            raise invalid("template", f"must be one of {', '.join(TEMPLATES)}")
        if not template and not (subject and html):
            raise invalid("html" if subject else "subject", "must be given")
        answered = call.text("in_reply_to", required=False) or None
        if answered and self._row(box["id"], answered) is None:
            raise invalid("in_reply_to", "must be a message of the mailbox")
        if box["status"] != "active":
            raise GatewayError(403, "MAILBOX_SUSPENDED", "The mailbox is suspended")
        self._check_limit(box["id"])
        shown, text = subject or "", call.text("text", required=False) or ""
        if template:
            shown, text = TEMPLATES[template]
            text = "\n".join([text, *(f"{name}: {value}" for name, value in variables.items())])
        message = self._keep(
            box,
            direction="outbound",
            sender=_address(box),
            to=to,
            template=template or None,
            variables=variables,
            subject=shown,
            text=text,
            html=None if template else html,
            from_name=call.text("from_name", required=False) or None,
            in_reply_to=answered,
            status="sent",
        )
        return {
            "message_id": message.id,
            "status": message.status,
            "to": message.to,
            "template": message.template,
            "subject": subject or None,
            "sent_at": self._time(message.created_at),
        }

    def _check_limit(self, mailbox_id: str) -> None:
        if self._limit is None:
            return
        limit, window = self._limit
        sent: list[float] = [
            row["created_at"]
            for row in self._db.execute(
                "SELECT created_at FROM mail WHERE mailbox_id = ? AND direction = 'outbound' AND created_at > ?"
                " ORDER BY created_at",
                (mailbox_id, self._now() - window),
            )
        ]
        if len(sent) < limit:
            return
        # the oldest send that still counts has to be out of the window before there is room for one more
        wait = sent[len(sent) - limit] + window - self._now() if limit else window
        seconds = max(1, int(wait) + (wait % 1 > 0))
        raise GatewayError(
            429,
            "RATE_LIMITED",
            "Mailbox send rate limit exceeded",
            headers={"retry-after": str(seconds)},
            error="mailbox_send_rate_limited",
            retry_after=seconds,
            retry_after_seconds=seconds,
            limit=limit,
            window_ms=round(window * 1000),
        )

    def _keep(
        self,
        box: sqlite3.Row,
        *,
        direction: str,
        sender: str,
        to: str,
        subject: str,
        text: str,
        html: str | None,
        in_reply_to: str | None,
        status: str,
        template: str | None = None,
        variables: Mapping[str, str] | None = None,
        from_name: str | None = None,
        raw: bytes | None = None,
    ) -> Message:
        message = Message(
            id=self._gateway.new_id("msg_", 24),
            mailbox_id=box["id"],
            direction=direction,
            sender=sender,
            to=to,
            template=template,
            variables=variables or {},
            subject=subject,
            text=text,
            html=html,
            from_name=from_name,
            in_reply_to=in_reply_to,
            status=status,
            created_at=self._now(),
            raw=raw or b"",
        )
        if raw is None:
            message = attrs.evolve(message, raw=_raw(message))
        known = {name: getattr(message, name) for name in _FIELDS} | {
            "variables": json.dumps(dict(message.variables))
        }
        self._db.execute(
            f"INSERT INTO mail ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})",  # noqa: S608 - ours
            tuple(known.values()),
        )
        return message

    def _list(self, call: Call) -> Any:
        box = self._mailbox(call)
        limit = query_number(call, "limit", _PAGE, _MOST)
        after = call.query.get("after")
        before = 2**62
        if after:
            row = self._row(box["id"], after)
            if row is None:
                raise invalid("after", "must be a message of the mailbox")
            before = row["sequence"]
        rows = self._db.execute(
            "SELECT * FROM mail WHERE mailbox_id = ? AND sequence < ? ORDER BY sequence DESC LIMIT ?",
            (box["id"], before, limit),
        )
        return [self._summary(row) for row in rows]

    def _get(self, call: Call) -> Any:
        row = self._message_row(call)
        replies = self._db.execute(
            "SELECT * FROM mail WHERE mailbox_id = ? AND in_reply_to = ? AND direction = 'inbound' ORDER BY sequence",
            (row["mailbox_id"], row["id"]),
        )
        return {
            **self._summary(row),
            "variables": json.loads(row["variables"]),
            "replies": [self._reply(_message(reply)) for reply in replies],
        }

    def _get_raw(self, call: Call) -> Response:
        return Response(self._message_row(call)["raw"], headers={"content-type": "message/rfc822"})

    def _message_row(self, call: Call) -> sqlite3.Row:
        box, message_id = self._mailbox(call), call.path["message_id"]
        row = self._row(box["id"], message_id)
        if row is None:
            raise GatewayError(404, "MESSAGE_NOT_FOUND", f"No such message: {message_id}")
        return row

    def _row(self, mailbox_id: str, message_id: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._db.execute(
            "SELECT * FROM mail WHERE mailbox_id = ? AND id = ?", (mailbox_id, message_id)
        ).fetchone()
        return row

    def _summary(self, row: sqlite3.Row) -> dict[str, Any]:
        told = {name: row[name] for name in ("id", "template", "to", "status")}
        return {**told, "created_at": self._time(row["created_at"])}

    def _reply(self, message: Message) -> dict[str, Any]:
        return {
            "id": message.id,
            "from": message.sender,
            "body": message.text,
            "received_at": self._time(message.created_at),
        }

    # ---------------------------------------------------------------- webhooks

    def _register(self, call: Call) -> Any:
        box = self._mailbox(call)
        webhook_id = self._gateway.new_id("whk_", 24)
        self._db.execute(
            "INSERT INTO mail_webhooks (id, mailbox_id, url, events, created_at) VALUES (?, ?, ?, ?, ?)",
            (webhook_id, box["id"], _url(call), json.dumps(_events(call)), self._now()),
        )
        return self._webhook(box["id"], webhook_id)

    def _list_webhooks(self, call: Call) -> Any:
        box = self._mailbox(call)
        rows = self._db.execute("SELECT id FROM mail_webhooks WHERE mailbox_id = ? ORDER BY sequence", (box["id"],))
        return {"webhooks": [self._webhook(box["id"], row["id"]) for row in rows.fetchall()]}

    def _get_webhook(self, call: Call) -> Any:
        return self._webhook(self._mailbox(call)["id"], call.path["webhook_id"])

    def _update_webhook(self, call: Call) -> Any:
        box, webhook_id = self._mailbox(call), call.path["webhook_id"]
        self._webhook(box["id"], webhook_id)
        url = None if call.body.get("url") is None else _url(call)
        events = None if call.body.get("events") is None else json.dumps(_events(call))
        if url is None and events is None:
            raise invalid("url", "or events must be given")
        self._db.execute(
            "UPDATE mail_webhooks SET url = ifnull(?, url), events = ifnull(?, events) WHERE id = ?",
            (url, events, webhook_id),
        )
        return self._webhook(box["id"], webhook_id)

    def _delete_webhook(self, call: Call) -> None:
        webhook = self._webhook(self._mailbox(call)["id"], call.path["webhook_id"])
        self._db.execute("DELETE FROM mail_webhooks WHERE id = ?", (webhook["webhook_id"],))

    def _webhook(self, mailbox_id: str, webhook_id: str) -> dict[str, Any]:
        row = self._db.execute(
            "SELECT * FROM mail_webhooks WHERE mailbox_id = ? AND id = ?", (mailbox_id, webhook_id)
        ).fetchone()
        if row is None:
            raise GatewayError(404, "WEBHOOK_NOT_FOUND", f"No such webhook: {webhook_id}")
        return {
            "webhook_id": row["id"],
            "url": row["url"],
            "events": json.loads(row["events"]),
            "created_at": self._time(row["created_at"]),
        }


_FIELDS = tuple(field.name for field in attrs.fields(Message))
_COLUMNS = tuple(f'"{name}"' for name in _FIELDS)


def _message(row: sqlite3.Row) -> Message:
    return Message(**{**{name: row[name] for name in _FIELDS}, "variables": json.loads(row["variables"])})


def _address(box: sqlite3.Row) -> str:
    return f"{box['slug']}@{DOMAIN}"


def _variables(call: Call) -> dict[str, str]:
    value = call.body.get("variables")
    if value is None:
        return {}
    told = members(value)
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in told.values()):
        raise invalid("variables", "must be an object of texts")
    return told


def _url(call: Call) -> str:
    url = call.required("url")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise invalid("url", "must be an http(s) address")
    return url


def _events(call: Call) -> list[str]:
    events = text_list(call, "events")
    if not events or not set(events) <= set(EVENTS):
        raise invalid("events", f"must be some of {', '.join(EVENTS)}")
    return list(dict.fromkeys(events))


def _raw(message: Message) -> bytes:
    mail = EmailMessage(policy=SMTP)
    name = _one_line(message.from_name or "")
    mail["From"] = formataddr((name, message.sender)) if name else message.sender
    mail["To"] = message.to
    mail["Subject"] = _one_line(message.subject)
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.created_at, UTC))
    mail["Message-ID"] = f"<{message.id}@{DOMAIN}>"
    if message.in_reply_to:
        mail["In-Reply-To"] = f"<{message.in_reply_to}@{DOMAIN}>"
    if message.html is None:
        mail.set_content(message.text)
    elif not message.text:
        mail.set_content(message.html, subtype="html")
    else:
        mail.set_content(message.text)
        mail.add_alternative(message.html, subtype="html")
        mail.set_boundary(f"={message.id}=")  # the same in every run
    return mail.as_bytes()


def _one_line(text: str) -> str:
    # a line break would begin another header field
    return " ".join(text.split())


def _post(url: str, payload: Mapping[str, Any]) -> int | None:
    from tollkit.sandbox.server import is_loopback

    target = urlsplit(url)
    if target.scheme != "http" or not is_loopback(target.hostname or ""):
        return None
    connection = HTTPConnection(target.hostname or "", target.port, timeout=_WEBHOOK_SECONDS)
    try:
        path = urlunsplit(("", "", target.path or "/", target.query, ""))
        connection.request("POST", path, json.dumps(payload), {"Content-Type": "application/json"})
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
