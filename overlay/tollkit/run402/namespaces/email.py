"""A project's mailbox: send, list, read, and webhooks that tell of its events."""

from __future__ import annotations

import builtins
import contextlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

import attrs

from tollkit.core.answers import content_type
from tollkit.core.arguments import built, required_text, texts
from tollkit.core.flows import Flow, flow
from tollkit.core.namespaces import Namespace
from tollkit.core.paging import Page, paged
from tollkit.errors import ArgumentError, ConflictError, NotFoundError, StatusError, brand, status_class
from tollkit.run402.credentials import ask
from tollkit.run402.errors import ApiError, raised
from tollkit.run402.namespaces.checks import choice_or_none, members, preparing, whole
from tollkit.run402.namespaces.scoped import ScopedNamespace, of_project

if TYPE_CHECKING:
    from tollkit.run402.client import Run402Flows
    from tollkit.run402.credentials import ProjectKeys
    from tollkit_api.run402.v1_57.models import (
        DeletedMailbox,
        EmailDetail,
        EmailSummary,
        Mailbox,
        SendEmailRequest,
        SentEmail,
        Webhook,
        WebhookList,
    )
    from tollkit_api.runtime import HttpResponse, Request

__all__ = ["Email", "RawEmail", "ScopedEmail", "ScopedWebhooks", "Webhooks"]

D = TypeVar("D")
P = ParamSpec("P")
T = TypeVar("T")

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


@attrs.frozen
class RawEmail:
    """A message as it was sent.

    Attributes:
        content_type: Its media type: `message/rfc822` where the gateway does not say.
        bytes: The MIME message (RFC 5322): `email.message_from_bytes` reads it.
    """

    content_type: str
    bytes: builtins.bytes = attrs.field(repr=lambda found: f"<{len(found)} bytes>")


class Email(Namespace[D]):
    """`client.email`: the mailbox of a project.

    Which mailbox a project has is looked up once and kept by the credentials, beside the project's keys.
    """

    _root: Run402Flows

    @property
    def webhooks(self) -> Webhooks[D]:
        """Addresses that are told of the mailbox's events."""
        return Webhooks(self._root)

    @flow
    def create_mailbox(self, project_id: str, slug: str) -> Flow[Mailbox]:
        """Create the project's mailbox; when it has one already, that one is the result, whatever its slug.

        Args:
            project_id: The project.
            slug: What stands before the `@`: 3 to 63 of `a-z`, `0-9` and `-`, with no `-` at either end and no two
                in a row.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            LocalError: The slug is unusable (also an `ArgumentError`); nothing was sent.
            ApiError: The gateway refused. 409: somebody else has the address.

        Source: Run402 gateway, `POST /mailboxes/v1`.
        """
        from tollkit_api.run402.v1_57.api.email import email_create_mailbox as operation
        from tollkit_api.run402.v1_57.models import CreateMailboxRequest

        doing = "creating mailbox"
        keys = yield from self._root.keys_of(project_id, doing)
        with preparing(doing):
            body = CreateMailboxRequest(slug=_slug(slug), project_id=project_id)
            request = built(operation.request, body=body)
        try:
            mailbox = yield from self._root.call(request, operation.parse, doing, keys=keys)
        except ConflictError:
            # whatever goes wrong now, the conflict is what the caller has to hear of
            with contextlib.suppress(Exception):
                if found := (yield from _listed(self._root, keys)):
                    yield from _remember(self._root, project_id, found)
                    return found
            raise
        yield from _remember(self._root, project_id, mailbox)
        return mailbox

    @flow
    def get_mailbox(self, project_id: str) -> Flow[Mailbox]:
        """The project's mailbox, as the gateway knows it now.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            ApiError: The gateway refused. 404: the project has no mailbox (also a `NotFoundError`).

        Source: Run402 gateway, `GET /mailboxes/v1`.
        """
        doing = "getting mailbox"
        keys = yield from self._root.keys_of(project_id, doing)
        return (yield from _found(self._root, project_id, keys, doing))

    @flow
    def delete_mailbox(self, project_id: str, mailbox_id: str | None = None) -> Flow[DeletedMailbox]:
        """Delete a mailbox.

        Args:
            project_id: The project.
            mailbox_id: The mailbox; the project's when left out.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            LocalError: `mailbox_id` is empty or no id (also an `ArgumentError`).
            ApiError: The gateway refused. 404: there is no such mailbox (also a `NotFoundError`).

        Source: Run402 gateway, `DELETE /mailboxes/v1/{mailbox_id}`.
        """
        from tollkit_api.run402.v1_57.api.email import email_delete_mailbox as operation

        doing = "deleting mailbox"
        keys = yield from self._root.keys_of(project_id, doing)
        if mailbox_id is None:
            known = keys.mailbox_id or (yield from _found(self._root, project_id, keys, doing, keep=False)).mailbox_id
        else:
            known = mailbox_id
        with preparing(doing):
            request = built(operation.request, known)
        deleted = yield from self._root.call(request, operation.parse, doing, keys=keys)
        with contextlib.suppress(Exception):  # the mailbox is gone, kept or not
            changes = {"mailbox_id": None, "mailbox_address": None}
            yield from ask(self._root.provider, "update_project", project_id, changes)
        return deleted

    @flow
    def send(
        self,
        project_id: str,
        *,
        to: str,
        template: str | None = None,
        variables: Mapping[str, str] | None = None,
        subject: str | None = None,
        html: str | None = None,
        text: str | None = None,
        from_name: str | None = None,
        in_reply_to: str | None = None,
    ) -> Flow[SentEmail]:
        """Send a message: from a template, or with a subject and HTML of your own. Sending twice sends two.

        Args:
            project_id: The project.
            to: The recipient's address; one.
            template: `project_invite`, `magic_link` or `notification`.
            variables: What the template puts in; of no use without one.
            subject: The subject.
            html: The body as HTML.
            text: The body as plain text, beside `html`; of no use with a template.
            from_name: The sender's name.
            in_reply_to: Id of the message that is answered.

        Raises:
            LocalError: Neither a template nor a subject and HTML are given, or both are (also an `ArgumentError`).
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            ApiError: The gateway refused. 404: the project has no mailbox (also a `NotFoundError`).
            PaymentRequired: The project's lease has ended; `hint` says what to do.

        Source: Run402 gateway, `POST /mailboxes/v1/{mailbox_id}/messages`.
        """
        from tollkit_api.run402.v1_57.api.email import email_send as operation
        from tollkit_api.run402.v1_57.models import SendEmailRequest

        doing = "sending email"
        with preparing(doing):
            draft = SendEmailRequest(
                to=required_text("to", to),
                template=choice_or_none("template", template),
                variables=None if variables is None else members("variables", variables),
                subject=choice_or_none("subject", subject),
                html=choice_or_none("html", html),
                text=choice_or_none("text", text),
                from_name=choice_or_none("from_name", from_name),
                in_reply_to=choice_or_none("in_reply_to", in_reply_to),
            )
            body = _one_kind(draft)
        return (
            yield from _with_mailbox(self._root, project_id, doing, operation.parse, operation.request, body=body)
        )

    @flow
    def list(
        self, project_id: str, *, limit: int | None = None, after: str | None = None
    ) -> Flow[builtins.list[EmailSummary]]:
        """Messages of the mailbox, one page; `iterate` gives all.

        Args:
            project_id: The project.
            limit: How many at most.
            after: Id of the last message of the page before.

        Raises:
            LocalError: An argument is of the wrong kind (also an `ArgumentError`).
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            ApiError: The gateway refused. 404: the project has no mailbox (also a `NotFoundError`).

        Source: Run402 gateway, `GET /mailboxes/v1/{mailbox_id}/messages`.
        """
        from tollkit_api.run402.v1_57.api.email import email_list as operation

        doing = "listing emails"
        with preparing(doing):
            most = None if limit is None else whole("limit", limit)
            last = choice_or_none("after", after)
        return (
            yield from _with_mailbox(
                self._root, project_id, doing, operation.parse, operation.request, limit=most, after=last
            )
        )

    @paged
    def iterate(self, project_id: str, *, page_size: int | None = None) -> Flow[Page[EmailSummary]]:
        """All messages of the mailbox: `for message in ...`, with the async client `async for message in ...`.

        Holds one page, and asks for the next when its messages are used up.

        Args:
            project_id: The project.
            page_size: Messages to ask for at once; what the gateway gives when left out.

        Raises:
            ProjectNotFound: As for `list`; when the first message is asked for.
            ApiError: As for `list`.

        Source: Run402 gateway, `GET /mailboxes/v1/{mailbox_id}/messages`.
        """
        return self._after(project_id, page_size, None)

    def _after(self, project_id: str, page_size: int | None, last: str | None) -> Flow[Page[EmailSummary]]:
        found = yield from self._root.email.list(project_id, limit=page_size, after=last)
        end = found[-1].id if found else last
        if end == last:  # the end; or a gateway that has not understood `after` and tells the same page again
            return Page(())
        return Page(found, lambda: self._after(project_id, page_size, end))

    @flow
    def get(self, project_id: str, message_id: str) -> Flow[EmailDetail]:
        """A message with the replies to it.

        Args:
            project_id: The project.
            message_id: The message.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            LocalError: `message_id` is empty or no id (also an `ArgumentError`).
            ApiError: The gateway refused. 404: no such message, or the project has no mailbox.

        Source: Run402 gateway, `GET /mailboxes/v1/{mailbox_id}/messages/{message_id}`.
        """
        from tollkit_api.run402.v1_57.api.email import email_get as operation

        doing = "getting email"
        return (
            yield from _with_mailbox(self._root, project_id, doing, operation.parse, operation.request, message_id)
        )

    @flow
    def get_raw(self, project_id: str, message_id: str) -> Flow[RawEmail]:
        """A message as it was sent, byte for byte.

        Args:
            project_id: The project.
            message_id: The message.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            LocalError: `message_id` is empty or no id (also an `ArgumentError`).
            ApiError: The gateway refused, for whatever reason: of this call 401, 402 and 403 are `ApiError` too.

        Source: Run402 gateway, `GET /mailboxes/v1/{mailbox_id}/messages/{message_id}/raw`.
        """
        from tollkit_api.run402.v1_57.api.email import email_get_raw as operation

        def parse(response: HttpResponse) -> RawEmail:
            content = operation.parse(response)
            return RawEmail(content_type(response) or "message/rfc822", content)

        doing = "fetching raw MIME"
        try:
            return (yield from _with_mailbox(self._root, project_id, doing, parse, operation.request, message_id))
        except StatusError as error:
            if error.context.get("doing") != doing:  # of the look-up of the mailbox
                raise
            raise _api_error(error) from None

    create = create_mailbox
    status = get_mailbox
    info = get_mailbox
    delete = delete_mailbox


class ScopedEmail(ScopedNamespace[D]):
    """`project.email`: the project's mailbox, without its id."""

    _plain = Email

    @property
    def webhooks(self) -> ScopedWebhooks[D]:
        """Addresses that are told of the mailbox's events."""
        return ScopedWebhooks(self._root)

    create_mailbox: Final = of_project(Email[Any].create_mailbox)
    send: Final = of_project(Email[Any].send)
    list: Final = of_project(Email[Any].list)
    iterate: Final = of_project(Email[Any].iterate)
    get: Final = of_project(Email[Any].get)
    get_raw: Final = of_project(Email[Any].get_raw)
    get_mailbox: Final = of_project(Email[Any].get_mailbox)
    delete_mailbox: Final = of_project(Email[Any].delete_mailbox)


class Webhooks(Namespace[D]):
    """`client.email.webhooks`: addresses that are told of a mailbox's events."""

    _root: Run402Flows

    @flow
    def register(self, project_id: str, *, url: str, events: Iterable[str]) -> Flow[Webhook]:
        """Have an address told of events.

        Args:
            project_id: The project.
            url: The address.
            events: Which: `delivery`, `bounced`, `complained`, `reply_received`.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            LocalError: An argument is of the wrong kind or empty (also an `ArgumentError`).
            ApiError: The gateway refused. 404: the project has no mailbox (also a `NotFoundError`).

        Source: Run402 gateway, `POST /mailboxes/v1/{mailbox_id}/webhooks`.
        """
        from tollkit_api.run402.v1_57.api.email import email_webhooks_register as operation
        from tollkit_api.run402.v1_57.models import RegisterWebhookRequest

        doing = "registering webhook"
        with preparing(doing):
            body = RegisterWebhookRequest(url=required_text("url", url), events=texts("events", events))
        return (
            yield from _with_mailbox(self._root, project_id, doing, operation.parse, operation.request, body=body)
        )

    @flow
    def list(self, project_id: str) -> Flow[WebhookList]:
        """The webhooks of the mailbox, in `webhooks` of the result.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            ApiError: The gateway refused. 404: the project has no mailbox (also a `NotFoundError`).

        Source: Run402 gateway, `GET /mailboxes/v1/{mailbox_id}/webhooks`.
        """
        from tollkit_api.run402.v1_57.api.email import email_webhooks_list as operation

        doing = "listing webhooks"
        return (yield from _with_mailbox(self._root, project_id, doing, operation.parse, operation.request))

    @flow
    def get(self, project_id: str, webhook_id: str) -> Flow[Webhook]:
        """A webhook.

        Args:
            project_id: The project.
            webhook_id: The webhook.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            LocalError: `webhook_id` is empty or no id (also an `ArgumentError`).
            ApiError: The gateway refused. 404: no such webhook, or the project has no mailbox.

        Source: Run402 gateway, `GET /mailboxes/v1/{mailbox_id}/webhooks/{webhook_id}`.
        """
        from tollkit_api.run402.v1_57.api.email import email_webhooks_get as operation

        doing = "getting webhook"
        return (
            yield from _with_mailbox(self._root, project_id, doing, operation.parse, operation.request, webhook_id)
        )

    @flow
    def update(
        self, project_id: str, webhook_id: str, *, url: str | None = None, events: Iterable[str] | None = None
    ) -> Flow[Webhook]:
        """Change the address of a webhook, its events, or both.

        Args:
            project_id: The project.
            webhook_id: The webhook.
            url: The address from now on.
            events: Its events from now on.

        Raises:
            LocalError: Neither is given (also an `ArgumentError`).
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            ApiError: The gateway refused. 404: no such webhook, or the project has no mailbox.

        Source: Run402 gateway, `PATCH /mailboxes/v1/{mailbox_id}/webhooks/{webhook_id}`.
        """
        from tollkit_api.run402.v1_57.api.email import email_webhooks_update as operation
        from tollkit_api.run402.v1_57.models import UpdateWebhookRequest

        doing = "updating webhook"
        with preparing(doing):
            address = choice_or_none("url", url)
            if address is None and events is None:
                raise ArgumentError("url", "or events must be given")
            body = UpdateWebhookRequest(url=address, events=None if events is None else texts("events", events))
        return (
            yield from _with_mailbox(
                self._root, project_id, doing, operation.parse, operation.request, webhook_id, body=body
            )
        )

    @flow
    def delete(self, project_id: str, webhook_id: str) -> Flow[None]:
        """Delete a webhook; it is told nothing more.

        Args:
            project_id: The project.
            webhook_id: The webhook.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            LocalError: `webhook_id` is empty or no id (also an `ArgumentError`).
            ApiError: The gateway refused. 404: no such webhook, or the project has no mailbox.

        Source: Run402 gateway, `DELETE /mailboxes/v1/{mailbox_id}/webhooks/{webhook_id}`.
        """
        from tollkit_api.run402.v1_57.api.email import email_webhooks_delete as operation

        doing = "deleting webhook"
        return (
            yield from _with_mailbox(self._root, project_id, doing, operation.parse, operation.request, webhook_id)
        )


class ScopedWebhooks(ScopedNamespace[D]):
    """`project.email.webhooks`, without the project's id."""

    _plain = Webhooks

    register: Final = of_project(Webhooks[Any].register)
    list: Final = of_project(Webhooks[Any].list)
    get: Final = of_project(Webhooks[Any].get)
    update: Final = of_project(Webhooks[Any].update)
    delete: Final = of_project(Webhooks[Any].delete)


def _listed(root: Run402Flows, keys: ProjectKeys) -> Flow[Mailbox | None]:
    """The first mailbox that the gateway tells of."""
    from tollkit_api.run402.v1_57.api.email import email_list_mailboxes as operation

    found = yield from root.call(operation.request(), operation.parse, "listing mailboxes", keys=keys)
    return found.mailboxes[0] if found.mailboxes else None


def _found(root: Run402Flows, project_id: str, keys: ProjectKeys, doing: str, *, keep: bool = True) -> Flow[Mailbox]:
    """The same, kept where it can be; none is a 404, which the gateway's own client makes of it too."""
    mailbox = yield from _listed(root, keys)
    if mailbox is None:
        missing = NotFoundError(
            f"Project {project_id} has no mailbox", status=404, hint="Make one with email.create_mailbox"
        )
        raise raised(missing, doing)
    if keep:
        with contextlib.suppress(Exception):  # what is not kept is looked up again
            yield from _remember(root, project_id, mailbox)
    return mailbox


def _with_mailbox(
    root: Run402Flows,
    project_id: str,
    doing: str,
    parse: Callable[[HttpResponse], T],
    build: Callable[Concatenate[str, P], Request],
    *args: P.args,
    **kwargs: P.kwargs,
) -> Flow[T]:
    """Send what `build` makes of the mailbox's id and the other arguments; the mailbox as kept, or as looked up."""
    finding = "resolving mailbox"
    keys = yield from root.keys_of(project_id, finding)
    mailbox_id = keys.mailbox_id or (yield from _found(root, project_id, keys, finding)).mailbox_id
    with preparing(doing):
        request = built(build, mailbox_id, *args, **kwargs)
    return (yield from root.call(request, parse, doing, keys=keys))


def _remember(root: Run402Flows, project_id: str, mailbox: Mailbox) -> Flow[Any]:
    changes = {"mailbox_id": mailbox.mailbox_id, "mailbox_address": mailbox.address}
    return ask(root.provider, "update_project", project_id, changes)


def _slug(slug: object) -> str:
    text = required_text("slug", slug)
    if not 3 <= len(text) <= 63:
        raise ArgumentError("slug", "must have 3 to 63 characters")
    if not _SLUG.fullmatch(text):
        raise ArgumentError("slug", "must be of a-z, 0-9 and -, with no - at either end")
    if "--" in text:
        raise ArgumentError("slug", "must not have two - in a row")
    return text


def _one_kind(draft: SendEmailRequest) -> SendEmailRequest:
    """The message without what goes with the other kind: from a template, or in words of one's own."""
    if draft.template:
        if draft.subject or draft.html:
            raise ArgumentError("template", "must not be given together with subject or html")
        return attrs.evolve(draft, text=None)
    if not (draft.subject or draft.html):
        raise ArgumentError("template", "or subject and html must be given")
    if not (draft.subject and draft.html):
        raise ArgumentError("html" if draft.subject else "subject", "must be given: subject and html go together")
    return attrs.evolve(draft, variables=None)


def _api_error(error: StatusError) -> StatusError:
    """The same as an `ApiError`, whatever its status."""
    told = status_class(error.status or 0)(
        error.message,
        code=None if error.code == error.default_code else error.code,
        status=error.status,
        body=error.body,
        hint=error.hint,
        context=error.context,
        request_id=error.request_id,
        retryable=error.retryable,
        safe_to_retry=error.safe_to_retry,
    )
    told.retry_after = error.retry_after
    told.code = told.code or ApiError.default_code
    return brand(told, ApiError)
