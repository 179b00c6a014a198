"""A service: where requests of one kind go, with which credentials, and how its answers are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

import attrs

from tollkit.core import answers
from tollkit.core.credentials import Credentials, NoCredentials
from tollkit.errors import DecodeError, StatusError, TollkitError
from tollkit.secrets import Secret
from tollkit_api import runtime

if TYPE_CHECKING:
    from tollkit.core.events import Event
    from tollkit.core.flows import Flow, Wire
    from tollkit_api.runtime import HttpResponse, Request

__all__ = ["Paid", "Pay", "Service"]

T = TypeVar("T")


class Paid(Protocol):
    """An answer that was paid for."""

    @property
    def response(self) -> HttpResponse:
        """The answer, whatever its status."""
        ...

    def concerning(self, error: TollkitError) -> None:
        """Let an error that came of the answer say that a payment had left."""
        ...


Pay: TypeAlias = "Callable[[Wire, HttpResponse, Callable[[Event], None] | None], Flow[Paid | None]]"
"""A flow that pays what a 402 asks for and sends the request once more; `None` when there is nothing to pay."""


def _read_error(request: Request, response: HttpResponse) -> StatusError:
    return answers.status_error(request, response, body=answers.json_body(response))


def _accept(request: Request, response: HttpResponse) -> None:
    """By default the operation's own parser judges the body."""


def _unreadable(request: Request, response: HttpResponse) -> DecodeError:
    return DecodeError(
        f"The answer to {request.operation.id} is not the JSON that its document promises",
        hint="Check the base address and any proxy on the way",
        body={"contentType": answers.content_type(response), "preview": answers.preview(response)},
    )


@attrs.frozen(kw_only=True)
class Service:
    """One API of a platform.

    Attributes:
        name: For logs, events and the `context` of errors.
        base_url: Scheme, host and leading path; a request's own address is appended. Empty when requests
            have absolute addresses.
        credentials: What fills the operations' security schemes.
        allow_http: Whether requests may go over plain http.
        headers: Sent with every request, below the operation's own.
        read_error: Makes the error for an answer with an error status.
        accept: Raises for a success answer that the platform's documents rule out.
        unreadable: Makes the error for a success answer whose body as a whole is not what it should be.
        pay: Answers a 402; without it, 402 is an error like any other.
        paid: Knows an answer that the HTTP client has paid for by itself; `None` for any other.
    """

    name: str
    base_url: str = ""
    allow_http: bool = True
    credentials: Credentials = attrs.field(factory=NoCredentials)
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=lambda headers: str(list(headers)))
    read_error: Callable[[Request, HttpResponse], TollkitError] = _read_error
    accept: Callable[[Request, HttpResponse], None] = _accept
    unreadable: Callable[[Request, HttpResponse], DecodeError] = _unreadable
    pay: Pay | None = None
    paid: Callable[[HttpResponse], Paid | None] | None = None

    def read(self, request: Request, response: HttpResponse, parse: Callable[[HttpResponse], T]) -> T:
        """The parsed result of a success answer.

        Raises:
            DecodeError: The body is not what the document says.
        """
        try:
            self.accept(request, response)
            return parse(response)
        except (runtime.DecodeError, runtime.UnexpectedStatus) as problem:
            error = self._undecodable(request, response, problem)
            raise error from problem
        except TollkitError as error:
            error.context = {**self.context(request), **error.context}
            raise

    def _undecodable(
        self, request: Request, response: HttpResponse, problem: runtime.DecodeError | runtime.UnexpectedStatus
    ) -> DecodeError:
        hint = f"The answer to {request.operation.id} is not what its document says; report it to the platform"
        if isinstance(problem, runtime.UnexpectedStatus):
            error = DecodeError(f"Success status {problem.status_code} is not in the document", hint=hint)
        elif problem.path == "$":
            error = self.unreadable(request, response)
        else:
            error = DecodeError(f"{problem.path}: expected {problem.expected}, got {problem.got}", hint=hint)
            error.path = problem.path
        error.context = {**self.context(request), "http_status": response.status_code}
        error.request_id = answers.request_id(response, None)
        error.answer = Secret(response.content.decode("utf-8", "replace"))
        return error

    def context(self, request: Request) -> dict[str, str]:
        """Where an error happened, as data; no query, since some hold signatures."""
        return {
            "service": self.name,
            "operation": request.operation.id,
            "method": request.operation.method,
            "url": self.base_url + request.url,
        }
