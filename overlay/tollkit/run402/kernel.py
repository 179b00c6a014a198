"""What every call of every namespace goes through: the project's keys, the credentials of the operation, the errors.

Which credentials a call carries is decided by the security of its operation in the document, and by nothing else: a
wallet's signature or a service key never goes to an operation that does not ask for it.
"""

from __future__ import annotations

import functools
from codecs import BOM_UTF8
from collections.abc import Callable, Container, Generator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import attrs

from tollkit.core import answers
from tollkit.core.flows import Download, Flow, Flows, Send, Wire, send
from tollkit.core.service import Paid, Service
from tollkit.errors import InsecureTransportError, StatusError, TollkitError, TransportError
from tollkit.oidc.json_values import is_object
from tollkit.run402.credentials import ProjectKeys, ask, can, is_ci_session_credentials
from tollkit.run402.errors import LocalError, ProjectNotFound, raised
from tollkit.secrets import Secret
from tollkit_api.runtime import UnexpectedStatus

if TYPE_CHECKING:
    from tollkit.core.events import Event
    from tollkit.run402.payments.payer import X402Payer
    from tollkit.run402.payments.record import PaymentRecord
    from tollkit.run402.payments.spending import SpendingPolicy
    from tollkit_api.runtime import HttpResponse, Operation, Request

__all__ = ["Kernel", "Payments"]

T = TypeVar("T")
_CREDENTIALS = frozenset({"apikey", "authorization", "cookie", "sign-in-with-x"})
_LONG = 8
"""Characters from which on the value of any header field of a provider may be a secret, and not a word."""
Payments: TypeAlias = "X402Payer | SpendingPolicy | bool"


class Kernel(Flows):
    """Base of the clients' flows.

    Args:
        api_base: The gateway, as the caller gave it.
        provider: Where keys and signatures come from.
        allow_http: Whether requests may go over plain http.
        payments: What pays: `True` for the provider's wallet within the default policy, a policy, a payer; `False` or
            `None` for nothing.
    """

    def __init__(
        self, api_base: str, provider: object, *, allow_http: bool, payments: Payments | None = False
    ) -> None:
        self.api_base = api_base
        self.provider = provider
        self._allow_http = allow_http
        self._payments = payments

    def keys_of(self, project_id: str, doing: str) -> Flow[ProjectKeys]:
        """The project's keys, from the provider.

        Args:
            project_id: The project.
            doing: What is being done, for the error: `running SQL`.

        Raises:
            ProjectNotFound: The provider does not know it; nothing was sent.
        """
        keys: ProjectKeys | None = yield from ask(self.provider, "get_project", project_id)
        if keys is None:
            raise ProjectNotFound(project_id, doing)
        return keys

    def call(
        self,
        request: Request,
        parse: Callable[[HttpResponse], T],
        doing: str,
        *,
        keys: ProjectKeys | None = None,
        access_token: str | None = None,
        paid: list[Paid] | None = None,
    ) -> Flow[T]:
        """Send a request with what its operation asks for, and read the answer.

        Args:
            request: From the `request` half of an operation.
            parse: The `parse` half of it.
            doing: What is being done, for errors: `running SQL`.
            keys: The project's keys, where the operation asks for one of them.
            access_token: The end user's token, where it asks for one.
            paid: Gets the answer that was paid for.

        Raises:
            Run402Error: The gateway refused, or gave no answer.
        """
        paid = [] if paid is None else paid
        service = self.gateway(request, doing, keys=keys, access_token=access_token, paid=paid)
        try:
            return (yield from send(Send(request, _of_any_success(request, parse), service)))
        except TransportError as error:
            _no_answer(error, doing)
            raise
        except TollkitError as error:
            raised(error, doing)
            for one in paid:
                one.concerning(error)
            raise

    def download(
        self,
        request: Request,
        sink: Callable[[int, Mapping[str, str]], Callable[[bytes], object] | None],
        doing: str,
        *,
        keys: ProjectKeys,
        headers: Mapping[str, str],
        passed: Container[int] = (),
    ) -> Flow[HttpResponse]:
        """Send a request once, with what its operation asks for; the body of the answer goes to `sink`.

        Args:
            request: From the `request` half of an operation.
            sink: Takes the body: see `Download`.
            doing: What is being done, for errors.
            keys: The project's keys.
            headers: More headers.
            passed: Error statuses that are no error here.

        Raises:
            Run402Error: The gateway refused.
            TransportError: No whole answer came; what came is with the sink.
        """
        service = self.gateway(request, doing, keys=keys)
        if not service.allow_http and not service.base_url.lower().startswith("https:"):
            raise raised(InsecureTransportError("only requests to HTTPS are allowed"), doing)
        authorization = yield from service.credentials.authorize(request.operation)
        sent = {**request.headers, **authorization, **headers}
        wire = Wire(request.operation.method, service.base_url + request.url_with_query, sent, request.content)
        try:
            answer: HttpResponse = yield Download(wire, sink)
        except TransportError as error:
            error.context = {**service.context(request), **error.context}
            _no_answer(error, doing)
            raise
        if 200 <= answer.status_code < 300 or answer.status_code in passed:
            return answer
        refused = service.read_error(request, answer)
        paid = _paid_below([], answer)
        if paid is not None:
            paid.concerning(refused)
        raise refused

    def gateway(
        self,
        request: Request,
        doing: str,
        *,
        keys: ProjectKeys | None = None,
        access_token: str | None = None,
        paid: list[Paid] | None = None,
    ) -> Service:
        """The gateway, for one request.

        Args:
            request: The request.
            doing: What is being done, for errors.
            keys: The project's keys.
            access_token: The end user's token.
            paid: Gets the answer that was paid for.
        """
        held = _Held(self.provider, request, keys, access_token, doing)
        kept = [] if paid is None else paid
        return Service(
            name="run402",
            base_url=self.api_base,
            allow_http=self._allow_http,
            credentials=held,
            read_error=lambda asked, answer: _refused(asked, answer, doing, held.secrets()),
            pay=functools.partial(self._pay, kept) if self._payments else None,
            paid=functools.partial(_paid_below, kept),
        )

    def _pay(
        self, kept: list[Paid], wire: Wire, response: HttpResponse, watch: Callable[[Event], None] | None
    ) -> Flow[Paid | None]:
        # loaded when a challenge comes: most programs never see one
        from tollkit.run402.x402 import asks_for_payment

        if not asks_for_payment(response.headers, response.content):
            return None
        from tollkit.run402.payments.payer import X402Payer

        payer = self._payments
        if not can(payer, "answer"):  # not by its class: it may be of another copy of the package
            policy = None if isinstance(payer, bool) else cast("SpendingPolicy | None", payer)
            # two of them, made at the same time, write into the same journal
            payer = self._payments = X402Payer(policy=policy)
        paid = yield from cast("X402Payer", payer).answer(
            wire, response, credentials=self.provider, insecure=self._allow_http, watch=watch
        )
        if paid is not None:
            kept.append(paid)
        return paid


def _paid_below(kept: list[Paid], response: object) -> Paid | None:
    """The answer, when a transport of the HTTP client has paid for it (`X402Payer.transport`)."""
    extensions: object = getattr(response, "extensions", None)
    record = cast("Mapping[str, Any]", extensions).get("x402") if isinstance(extensions, Mapping) else None
    # not by its class: it may be of another copy of the package, and the name may be another's
    if not all(isinstance(getattr(record, name, None), str) for name in ("nonce", "state", "payer")):
        return None
    from tollkit.run402.payments.payer import Paid as PaidAnswer

    paid: Paid = PaidAnswer(cast("HttpResponse", response), cast("PaymentRecord", record))
    kept.append(paid)
    return paid


def _no_answer(error: TransportError, doing: str) -> None:
    told = f"Network error while {doing}: {error.message}"
    error.message, error.args = told, (told,)
    raised(error, doing)


@attrs.frozen
class _As:
    """An answer under another status."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


def _of_any_success(request: Request, parse: Callable[[HttpResponse], T]) -> Callable[[HttpResponse], T]:
    """`parse` for every 2xx: the platform's client takes all of them, the document lists those that were seen."""
    listed = request.operation.success

    def read(response: HttpResponse) -> T:
        try:
            return parse(response)
        except UnexpectedStatus:
            usual = 204 if not response.content and 204 in listed else listed[0]
            return parse(_As(usual, response.headers, response.content))

    return read


_FALLBACKS = {401: "Unauthorized", 402: "Payment required", 403: "Unauthorized"}


def _refused(request: Request, response: HttpResponse, doing: str, sent: list[Secret]) -> StatusError:
    """The error of the gateway's client for an error status (sheet: display text, then what was being done)."""
    status = response.status_code
    if "application/json" in answers.content_type(response):
        body: Any = answers.json_body(response)
    else:  # the platform's client takes anything else as text, problem+json too
        body = response.content.removeprefix(BOM_UTF8).decode("utf-8", "replace")
    body = answers.without(sent, body)
    envelope: Mapping[str, Any] = body if is_object(body) else {}
    told = next((text for name in ("message", "error") if isinstance(text := envelope.get(name), str) and text), None)
    suffix = "" if status == 402 else f" (HTTP {status})"
    code = envelope.get("code")
    error = answers.status_error(
        request,
        response,
        message=f"{told or _FALLBACKS.get(status, 'API error')} while {doing}{suffix}",
        code=code if isinstance(code, str) else None,
        body=body,
    )
    return raised(error, doing)


@attrs.define
class _Held:
    """The credentials of one call, each asked for when its operation wants it."""

    provider: object
    request: Request
    keys: ProjectKeys | None
    access_token: str | None
    doing: str
    _sent: dict[str, str] = attrs.field(factory=dict[str, str], init=False, repr=False)

    def secrets(self) -> list[Secret]:
        """What was sent, so that an answer which repeats it shows `****`."""
        return [
            Secret(value.removeprefix("Bearer "))
            for name, value in self._sent.items()
            if value and (name.lower() in _CREDENTIALS or len(value) >= _LONG)
        ]

    def rejected(self, operation: Operation, sent: Mapping[str, str]) -> bool:
        """Nothing better can be had."""
        return False

    def authorize(self, operation: Operation) -> Generator[Any, Any, Mapping[str, str]]:
        """The headers of the first alternative that can be met; of the first as far as it can, when none can."""
        best: dict[str, str] | None = None
        for alternative in operation.security:
            headers: dict[str, str] = {}
            whole = True
            for scheme in alternative:
                found = yield from self._headers(scheme)
                headers |= found
                whole = whole and bool(found)
            if whole:
                self._sent = headers
                return headers
            best = headers if best is None else best
        if not best and is_ci_session_credentials(self.provider) and operation.security:
            told = "The session of a CI workflow cannot do this; it deploys, and reads deploys"
            raise raised(LocalError(told, hint="Use the credentials of a wallet"), self.doing)
        self._sent = best or {}
        return self._sent

    def _headers(self, scheme: str) -> Flow[dict[str, str]]:
        keys = self.keys
        match scheme:
            case "serviceKey" if keys and keys.service_key:
                return _bearer(keys.service_key)
            case "serviceApiKey" if keys and keys.service_key:
                return {"apikey": keys.service_key}
            case "anonKey" if keys and keys.anon_key:
                return {"apikey": keys.anon_key}
            case "anonBearer" if keys and keys.anon_key:
                return _bearer(keys.anon_key)
            case "userToken" if self.access_token:
                return _bearer(self.access_token)
            case "wallet" | "ciSession" if is_ci_session_credentials(self.provider) == (scheme == "ciSession"):
                given: Mapping[str, str] | None = yield from ask(
                    self.provider, "get_auth", self.request.url_with_query
                )
                return {name: Secret(value) for name, value in (given or {}).items()}
            case _:
                return {}


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": Secret(f"Bearer {token}")}
