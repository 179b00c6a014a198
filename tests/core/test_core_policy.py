"""What is sent again and what is not, after which wait, and which error comes out."""

from __future__ import annotations

import base64
import email.utils
import socket
import ssl
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from support.server import Answer, Half, Hold, Raw, Reset, Server, Slam, closed_port
from support.toy import Side, ToyError, operation, request
from tollkit import errors
from tollkit.core import answers, policy
from tollkit.core.credentials import SchemeCredentials, basic_header
from tollkit.core.flows import Flow, gather, offload, sleep
from tollkit.core.settings import Connection, Timeout
from tollkit.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    ConnectError,
    DecodeError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    StatusError,
    TransportError,
    UnprocessableEntityError,
)
from tollkit_api.runtime import Operation

RETRIED = (408, 425, 429, 500, 501, 502, 503, 504, 520, 599)
NOT_RETRIED = (300, 301, 302, 307, 308, 400, 401, 402, 403, 404, 405, 409, 410, 418, 422, 451)


def failure(side: Side, client: Any, asked: Any = None) -> Any:
    with pytest.raises(errors.TollkitError) as caught:
        side.do(client.ask(asked))
    return caught.value


# --- which statuses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", RETRIED)
def test_statuses_that_are_worth_another_try(side: Side, status: int) -> None:
    with Server(Answer(status), Answer(status), Answer.json("third")) as server, side.client(server.url) as toy:
        assert side.do(toy.ask()) == "third"
    assert len(server.seen) == 3


@pytest.mark.parametrize("status", NOT_RETRIED)
def test_statuses_that_are_not(side: Side, status: int) -> None:
    with Server(Answer(status), Answer.json("never")) as server, side.client(server.url) as toy:
        error = failure(side, toy)
    assert len(server.seen) == 1
    assert (error.status, error.retryable) == (status, False)


@pytest.mark.parametrize("retries", [0, 1, 2, 5])
def test_attempts_are_one_more_than_retries(side: Side, retries: int, naps: list[float]) -> None:
    with Server(default=Answer(503)) as server, side.client(server.url, max_retries=retries) as toy:
        error = failure(side, toy)
    assert len(server.seen) == retries + 1
    assert len(naps) == retries
    assert error.context["attempts"] == retries + 1
    assert error.retryable


# --- which methods ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_idempotent_methods_are_sent_again_with_the_same_body(side: Side, method: str) -> None:
    asked = request(method, content=b'{"a":1}', headers={"Content-Type": "application/json"})
    with Server(Answer(503), Reset(), Answer.json("x")) as server, side.client(server.url) as toy:
        assert side.do(toy.ask(asked)) == "x"
    assert [(seen.method, seen.body) for seen in server.seen] == [(method, b'{"a":1}')] * 3
    assert len({seen.headers["content-type"] for seen in server.seen}) == 1


@pytest.mark.parametrize(
    "step",
    [*(Answer(status) for status in RETRIED), Answer(429, headers={"retry-after": "0"}), Reset(), Half(), Raw(b"")],
    ids=str,
)
def test_a_post_is_never_sent_again_once_it_left(side: Side, step: Any) -> None:
    with Server(step, Answer.json("never")) as server, side.client(server.url) as toy:
        error = failure(side, toy, request("POST", content=b"{}"))
    assert len(server.seen) == 1
    assert error.context["attempts"] == 1
    assert error.retryable
    assert error.safe_to_retry is (error.status in (425, 429)), "those two statuses say that nothing was done"


def test_a_post_of_which_nothing_left_is_sent_again(side: Side, naps: list[float]) -> None:
    with side.client(f"http://127.0.0.1:{closed_port()}") as toy:
        error = failure(side, toy, request("POST", content=b"{}"))
    assert isinstance(error, ConnectError)
    assert error.context["attempts"] == 3
    assert error.safe_to_retry
    assert len(naps) == 2


def test_a_post_that_its_document_calls_idempotent_is_sent_again(side: Side) -> None:
    with Server(Answer(503), Answer.json("x")) as server, side.client(server.url) as toy:
        assert side.do(toy.ask(request("POST", content=b"{}", idempotent=True))) == "x"
    assert len(server.seen) == 2


def test_a_get_that_its_document_does_not_call_idempotent_is_not(side: Side) -> None:
    with Server(Answer(503)) as server, side.client(server.url) as toy:
        failure(side, toy, request(idempotent=False))
    assert len(server.seen) == 1


def test_a_new_connection_is_made_after_a_reset(side: Side) -> None:
    with Server(Reset(), Slam(), Answer.json("x")) as server, side.client(server.url) as toy:
        assert side.do(toy.ask()) == "x"
    assert server.accepted == 3
    assert len(server.seen) == 2


# --- waits ------------------------------------------------------------------------------------------------


def test_without_retry_after_the_wait_is_random_below_a_doubling_bound(
    side: Side, naps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        bounds.append((low, high))
        return high / 4

    monkeypatch.setattr(policy.random, "uniform", uniform)
    with Server(default=Answer(503)) as server, side.client(server.url, max_retries=6) as toy:
        failure(side, toy)
    assert bounds[:6] == [(0, 0.5), (0, 1.0), (0, 2.0), (0, 4.0), (0, 8.0), (0, 8.0)]
    assert naps == [high / 4 for _, high in bounds[:6]]


def test_the_jitter_stays_within_its_bounds(side: Side, naps: list[float]) -> None:
    policy.random.seed(11)
    with Server(default=Answer(503)) as server, side.client(server.url, max_retries=40) as toy:
        failure(side, toy)
    assert all(0 <= nap <= min(8.0, 0.5 * 2**number) for number, nap in enumerate(naps))
    assert len(set(naps)) == 40
    assert min(naps) < 1 < 7 < max(naps), "over the whole range, not around its middle"


NOW = 1_779_000_000.0


def at(seconds: float) -> str:
    return email.utils.formatdate(NOW + seconds, usegmt=True)


WAITS = [
    ({"retry-after": "7"}, 7.0),
    ({"retry-after": "0"}, 0.0),
    ({"retry-after": " 2 "}, 2.0),
    ({"retry-after": "1.5"}, 1.5),
    ({"retry-after": "60"}, 60.0),
    ({"retry-after": at(30)}, 30.0),
    ({"retry-after": at(-30)}, 0.0),
    ({"retry-after": email.utils.formatdate(NOW + 30).replace(" -0000", " +0000")}, 30.0),
    ({"retry-after": "Sunday, 17-May-26 06:40:30 GMT"}, 30.0),
    ({"retry-after": "Sun May 17 06:40:30 2026"}, 30.0),
    ({"retry-after": "-5"}, 0.0),
    ({"retry-after": "-inf"}, 0.0),
    ({"retry-after-ms": "250"}, 0.25),
    ({"retry-after-ms": "1.5"}, 0.0015),
    ({"retry-after-ms": "-1"}, 0.0),
    ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
    ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
    ({"retry-after-ms": "nan", "retry-after": "9"}, 9.0),
]
NO_WAITS = [
    {"retry-after": "soon"},
    {"retry-after": "nan"},
    {"retry-after": ""},
    {"retry-after": "Mon, 99 Foo 2026 99:99:99 GMT"},
    {"retry-after": "Fri, 31 Dec 99999999999 23:59:59 GMT"},
    {"retry-after-ms": "nan"},
    {"retry-after-ms": ""},
    {},
]
TOO_LONG = [
    {"retry-after": "60.001"},
    {"retry-after": "3600"},
    {"retry-after": "inf"},
    {"retry-after": "1e400"},
    {"retry-after": at(61)},
    {"retry-after-ms": "60001"},
    {"retry-after-ms": "inf"},
]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers.time, "time", lambda: NOW)


@pytest.mark.usefixtures("now")
@pytest.mark.parametrize(("headers", "seconds"), WAITS, ids=str)
def test_the_wait_that_the_server_asks_for(headers: Mapping[str, str], seconds: float) -> None:
    assert answers.retry_after(headers) == seconds


@pytest.mark.usefixtures("now")
@pytest.mark.parametrize("headers", NO_WAITS, ids=str)
def test_what_asks_for_no_wait(headers: Mapping[str, str]) -> None:
    assert answers.retry_after(headers) is None


@pytest.mark.usefixtures("now")
@pytest.mark.parametrize(("headers", "seconds"), WAITS[::3], ids=str)
def test_the_wait_is_kept(side: Side, naps: list[float], headers: dict[str, str], seconds: float) -> None:
    with Server(Answer(429, headers=headers), Answer.json("x")) as server, side.client(server.url) as toy:
        assert side.do(toy.ask()) == "x"
    assert naps == [seconds]


@pytest.mark.usefixtures("now")
@pytest.mark.parametrize("headers", NO_WAITS[:3], ids=str)
def test_a_wait_that_cannot_be_read_is_chosen_here(side: Side, naps: list[float], headers: dict[str, str]) -> None:
    with Server(Answer(503, headers=headers), Answer.json("x")) as server, side.client(server.url) as toy:
        assert side.do(toy.ask()) == "x"
    assert len(naps) == 1
    assert 0 <= naps[0] <= 0.5


@pytest.mark.usefixtures("now")
@pytest.mark.parametrize("headers", TOO_LONG, ids=str)
def test_a_wait_beyond_the_limit_is_told_and_not_waited(
    side: Side, naps: list[float], headers: dict[str, str]
) -> None:
    with Server(Answer(429, headers=headers)) as server, side.client(server.url) as toy:
        error = failure(side, toy)
    assert isinstance(error, RateLimitError)
    assert error.retry_after is not None
    assert error.retry_after > 60
    assert naps == []
    assert len(server.seen) == 1


def test_the_wait_of_an_error_that_is_no_status_error_counts_too(side: Side, naps: list[float]) -> None:
    def read(asked: Any, response: Any) -> errors.OAuthError:
        return errors.OAuthError("slow down", status=response.status_code)

    script = (Answer(429, headers={"retry-after": "3"}), Answer.json("x"))
    with Server(*script) as server, side.client(server.url, service={"read_error": read}) as toy:
        assert side.do(toy.ask()) == "x"
    assert naps == [3.0]


# --- credentials --------------------------------------------------------------------------------------------


class Renewable:
    """Credentials that are refused until they have been renewed `needed` times."""

    def __init__(self) -> None:
        self.version = 1
        self.refused: list[Mapping[str, str]] = []

    def authorize(self, of: Operation) -> Flow[Mapping[str, str]]:
        yield from sleep(0)
        return {"Authorization": f"Bearer v{self.version}"}

    def rejected(self, of: Operation, sent: Mapping[str, str]) -> bool:
        self.refused.append(sent)
        self.version += 1
        return True


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("retries", [0, 2])
def test_a_401_is_tried_once_more_with_renewed_credentials(side: Side, method: str, retries: int) -> None:
    with (
        Server(Answer(401), Answer.json("x")) as server,
        side.client(server.url, credentials=Renewable(), max_retries=retries) as toy,
    ):
        assert side.do(toy.ask(request(method, content=b"{}"))) == "x"
    assert [seen.headers["authorization"] for seen in server.seen] == ["Bearer v1", "Bearer v2"]
    assert [seen.body for seen in server.seen] == [b"{}", b"{}"]


def test_a_second_401_comes_out(side: Side) -> None:
    credentials = Renewable()
    with Server(default=Answer(401)) as server, side.client(server.url, credentials=credentials) as toy:
        error = failure(side, toy)
    assert isinstance(error, AuthenticationError)
    assert len(server.seen) == 2
    assert credentials.refused == [{"Authorization": "Bearer v1"}]


def test_a_renewal_does_not_use_up_a_retry(side: Side) -> None:
    script = (Answer(503), Answer(401), Answer(503), Answer.json("x"))
    with Server(*script) as server, side.client(server.url, credentials=Renewable()) as toy:
        assert side.do(toy.ask()) == "x"
    assert [seen.headers["authorization"] for seen in server.seen] == [
        "Bearer v1",
        "Bearer v1",
        "Bearer v2",
        "Bearer v2",
    ]


def test_credentials_that_cannot_be_renewed_are_not_tried_again(side: Side) -> None:
    schemes = SchemeCredentials({"key": {"X-Key": "k"}})
    with Server(default=Answer(401)) as server, side.client(server.url, credentials=schemes) as toy:
        failure(side, toy, request(security=(("key",),)))
        failure(side, toy, request(security=()))
    assert [seen.headers.get("x-key") for seen in server.seen] == ["k", None]


def test_an_error_of_the_credentials_is_the_error_of_the_call(side: Side) -> None:
    schemes = SchemeCredentials({"key": {"X-Key": "k"}})
    with Server() as server, side.client(server.url, credentials=schemes) as toy:
        error = failure(side, toy, request(security=(("other", "key"), ("third",))))
    assert isinstance(error, ConfigurationError)
    assert error.code == "missing_credentials"
    assert "other+key or third" in error.message
    assert server.seen == []


SCHEMES = SchemeCredentials({"a": {"X-A": "1"}, "b": {"X-B": "2", "X-C": "3"}})


@pytest.mark.parametrize(
    ("security", "headers"),
    [
        ((), {}),
        (((),), {}),
        ((("a",),), {"X-A": "1"}),
        ((("a", "b"),), {"X-A": "1", "X-B": "2", "X-C": "3"}),
        ((("unknown",), ("b",)), {"X-B": "2", "X-C": "3"}),
        ((("a", "unknown"), ("b",)), {"X-B": "2", "X-C": "3"}),
        ((("unknown",), ()), {}),
    ],
)
def test_the_first_alternative_that_can_be_met_is_taken(security: Any, headers: dict[str, str]) -> None:
    of = operation(id=repr(security), security=security)
    for _ in range(2):  # the second time from what is kept
        running = SCHEMES.authorize(of)
        with pytest.raises(StopIteration) as stopped:
            next(running)
        assert stopped.value.value == headers
    assert SCHEMES.rejected(of, headers) is False


def test_basic_credentials_are_utf_8_and_not_form_encoded() -> None:
    header = basic_header("m2m_ä", "p:w +%")
    assert base64.b64decode(header.removeprefix("Basic ")).decode() == "m2m_ä:p:w +%"
    assert repr(header) == "Secret('****')"


# --- headers ------------------------------------------------------------------------------------------------


def test_headers_of_the_options_win_over_all_others_whatever_their_case(side: Side) -> None:
    asked = request(headers={"Accept": "request", "X-Own": "request", "X-Request": "request"}, security=(("key",),))
    with (
        Server() as server,
        side.client(
            server.url,
            service={"headers": {"accept": "service", "X-Service": "service", "x-own": "service"}},
            credentials=SchemeCredentials({"key": {"authorization": "scheme", "X-Own": "scheme"}}),
            headers={"ACCEPT": "options", "Authorization": "options"},
        ) as toy,
    ):
        side.do(toy.ask(asked))
    (seen,) = server.seen
    assert seen.values("accept") == ["options"]
    assert seen.values("authorization") == ["options"]
    assert seen.values("x-own") == ["scheme"]
    assert seen.values("x-request") == ["request"]
    assert seen.values("x-service") == ["service"]
    assert seen.values("user-agent") == ["tollkit-python"]


def test_the_query_goes_out_as_the_request_has_it(side: Side) -> None:
    asked = request(path="/a%2Fb", params=(("q", "a b+c/ü"), ("q", "~*")))
    with Server() as server, side.client(server.url + "/base") as toy:
        side.do(toy.ask(asked))
    assert server.seen[0].target == "/base/a%2Fb?q=a+b%2Bc%2F%C3%BC&q=%7E*"


@pytest.mark.parametrize("scheme", ["http", "HTTP", "Http"])
def test_a_service_may_refuse_plain_http(side: Side, scheme: str) -> None:
    credentials = Renewable()
    with Server() as server:
        url = server.url.replace("http", scheme)
        with side.client(url, credentials=credentials, service={"allow_http": False}) as toy:
            error = failure(side, toy)
            with pytest.raises(errors.InsecureTransportError):
                side.do(toy.api.asend(request()) if side.name == "async" else _sent(toy))
    assert isinstance(error, errors.InsecureTransportError)
    assert (error.code, error.retryable) == ("insecure_transport", False)
    assert error.context["operation"] == "getThing"
    assert server.accepted == 0


def _sent(toy: Any) -> Any:
    return toy.api.send(request())


def test_cookies_of_an_answer_are_not_sent_back(side: Side) -> None:
    """Credentials decide what is sent, and a client may be used for many principals."""
    cookie = Answer.json({}, set_cookie="session=s3cret; Path=/")
    with Server(default=cookie) as server, side.client(server.url) as toy:
        side.do(toy.ask())
        side.do(toy.ask())
    assert [seen.headers.get("cookie") for seen in server.seen] == [None, None]


# --- success --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 299])
def test_every_2xx_is_a_success(side: Side, status: int) -> None:
    with Server(Answer(status)) as server, side.client(server.url) as toy:
        assert side.do(toy.ask()) is None
    assert len(server.seen) == 1


def test_a_304_is_a_success_where_the_document_has_it(side: Side) -> None:
    with Server(Answer(304), Answer(304)) as server, side.client(server.url) as toy:
        assert side.do(toy.ask(request(success=(200, 304)))) is None
        assert type(failure(side, toy)) is not StatusError, "branded"
    assert len(server.seen) == 2


def test_redirects_are_not_followed(side: Side) -> None:
    location = "https://elsewhere.example/login?token=s3cret#s3cret"
    with Server(Answer(302, headers={"location": location})) as server, side.client(server.url) as toy:
        error = failure(side, toy)
    assert len(server.seen) == 1
    assert error.status == 302
    assert "https://elsewhere.example/login" in error.hint
    assert "s3cret" not in str(error)


def test_a_redirect_without_a_target(side: Side) -> None:
    with Server(Answer(302)) as server, side.client(server.url) as toy:
        assert "elsewhere" in failure(side, toy).hint


# --- which error ----------------------------------------------------------------------------------------------

CLASSES = {
    300: StatusError,
    302: StatusError,
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    405: StatusError,
    409: ConflictError,
    418: StatusError,
    422: UnprocessableEntityError,
    429: RateLimitError,
    451: StatusError,
    500: ServerError,
    502: ServerError,
    503: ServerError,
    520: ServerError,
    599: ServerError,
    999: ServerError,
}


@pytest.mark.parametrize(("status", "expected"), CLASSES.items())
def test_the_class_of_an_error_goes_by_its_status(side: Side, status: int, expected: type[StatusError]) -> None:
    answer = Answer.json({"error": "why"}, status)
    with Server(answer) as server, side.client(server.url, max_retries=0) as toy:
        error = failure(side, toy)
    assert isinstance(error, expected)
    assert isinstance(error, StatusError)
    assert isinstance(error, ToyError)
    assert type(error).__name__ == expected.__name__
    assert error.kind == expected.kind
    assert error.status == status
    assert error.body == {"error": "why"}
    assert error.details == {"error": "why"}
    assert error.code is None
    assert error.message == f"Request failed ({status})"
    assert f"HTTP {status}" in str(error)
    assert error.safe_to_retry


def test_an_error_tells_where_it_happened(side: Side) -> None:
    asked = request(path="/things/7", params=(("token", "s3cret"),))
    with Server(Answer(404)) as server, side.client(server.url + "/base") as toy:
        error = failure(side, toy, asked)
    assert error.context == {
        "service": "toy",
        "operation": "getThing",
        "method": "GET",
        "url": f"{server.url}/base/things/7",
        "attempts": 1,
    }
    assert "getThing" in str(error)


def test_the_hint_of_the_document_comes_first(side: Side) -> None:
    asked = request(hints={404: "Wrong credentials answer 404 here.", 403: "other"})
    with Server(Answer(404, b"<html>", {"content-type": "text/html"})) as server, side.client(server.url) as toy:
        error = failure(side, toy, asked)
    assert error.hint == "Wrong credentials answer 404 here."
    assert str(error).startswith("Wrong credentials answer 404 here. Request failed (404)")


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (Answer(502, b"<html>", {"content-type": "text/html; charset=utf-8"}), "A web page came"),
        (Answer(404, b"<HTML>", {"content-type": "TEXT/HTML"}), "A web page came"),
        (Answer(429), "Slow down"),
        (Answer(500), "The server failed"),
        (Answer(404), None),
        (Answer(301, headers={"location": "/login"}), "'/login'"),
    ],
    ids=str,
)
def test_a_hint_where_the_document_has_none(side: Side, answer: Answer, hint: str | None) -> None:
    with Server(answer) as server, side.client(server.url, max_retries=0) as toy:
        error = failure(side, toy)
    assert (error.hint is None) if hint is None else (hint in error.hint)
    assert error.body is None


@pytest.mark.parametrize(
    ("headers", "body", "found"),
    [
        ({"X-Request-Id": "r1"}, {"request_id": "other"}, "r1"),
        ({"request-id": "r2"}, {}, "r2"),
        ({"x-correlation-id": "r3", "cf-ray": "ray"}, {}, "r3"),
        ({"cf-ray": "ray"}, {}, "ray"),
        ({}, {"correlation_id": "b1"}, "b1"),
        ({}, {"request_id": "b2"}, "b2"),
        ({}, {"requestId": "b3"}, "b3"),
        ({}, {"trace_id": "b4"}, "b4"),
        ({}, {"correlation_id": 7, "trace_id": ""}, None),
        ({}, ["correlation_id"], None),
        ({"x-request-id": ""}, {}, None),
    ],
)
def test_the_id_of_the_request(side: Side, headers: dict[str, str], body: Any, found: str | None) -> None:
    with Server(Answer.json(body, 404, **headers)) as server, side.client(server.url) as toy:
        error = failure(side, toy)
    assert error.request_id == found
    assert (f"request id {found}" in str(error)) is (found is not None)


@pytest.mark.parametrize(
    ("content_type", "body", "found"),
    [
        ("application/json", b'{"a":1}', {"a": 1}),
        ("application/problem+json; charset=utf-8", b'{"a":1}', {"a": 1}),
        ("application/json", b'{"a":', None),
        ("application/json", b"", None),
        ("application/json", b"\xff\xfe", None),
        ("application/json", b"[" * 100_000, None),
        ("application/json", b"9" * 5000, None),
        ("text/html", b'{"a":1}', None),
        ("", b'{"a":1}', None),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_the_body_of_an_error_answer_may_be_anything(side: Side, content_type: str, body: bytes, found: Any) -> None:
    answer = Answer(404, body, {"content-type": content_type} if content_type else {})
    with Server(answer) as server, side.client(server.url) as toy:
        error = failure(side, toy)
    assert isinstance(error, NotFoundError)
    assert error.body == found
    assert error.details == (found or {})


# --- no whole answer --------------------------------------------------------------------------------------------


BROKEN = [Slam(), Reset(), Half(), Raw(b""), Raw(b"HTTP/1.1 200"), Raw(b"SSH-2.0-x\r\n\r\n")]


@pytest.mark.parametrize("step", BROKEN, ids=str)
def test_a_broken_exchange_is_a_transport_error(side: Side, step: Any) -> None:
    with Server(default=step) as server, side.client(server.url, max_retries=0) as toy:
        if isinstance(step, Slam):
            server.then(step)
        error = failure(side, toy)
    assert isinstance(error, TransportError)
    assert isinstance(error, ToyError)
    assert error.status is None
    if not isinstance(step, Slam):  # which may break the connection while it is being made
        assert not isinstance(error, ConnectError | RequestTimeoutError)
        assert (error.kind, error.code) == ("network", "network_error")
    assert error.retryable
    assert error.safe_to_retry, "a GET"
    assert error.__cause__ is not None
    assert error.context["attempts"] == 1
    assert error.context["operation"] == "getThing"


def test_a_refused_connection_is_a_connect_error(side: Side) -> None:
    with side.client(f"http://127.0.0.1:{closed_port()}", max_retries=1) as toy:
        error = failure(side, toy)
    assert isinstance(error, ConnectError)
    assert (error.kind, error.code) == ("connect", "connect_error")
    assert error.retryable
    assert error.safe_to_retry
    assert error.context["attempts"] == 2
    assert "Check the address" in str(error)


def test_an_unknown_host_is_a_connect_error(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with side.client("http://no-such-host.invalid", max_retries=0) as toy:
        assert isinstance(failure(side, toy), ConnectError)


def test_a_name_in_the_url_that_is_no_host_is_a_transport_error(side: Side) -> None:
    for base_url in ("ftp://127.0.0.1", "http://[::1", "no-scheme"):
        with side.client(base_url) as toy:
            error = failure(side, toy)
        assert isinstance(error, TransportError)
        assert (error.code, error.retryable) == ("invalid_request", False)
        assert error.context["attempts"] == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("head", [False, True], ids=["nothing came", "only the head came"])
def test_no_answer_in_time(side: Side, head: bool, method: str) -> None:
    hold = Hold(Answer.json({"some": "body"}), head=head)
    with Server(default=hold) as server, side.client(server.url, timeout=Timeout(read=0.05), max_retries=1) as toy:
        error = failure(side, toy, request(method))
        hold.release.set()
        assert len(server.seen) == (2 if method == "GET" else 1)
    assert isinstance(error, RequestTimeoutError)
    assert isinstance(error, TimeoutError)
    assert (error.kind, error.code) == ("timeout", "timeout")
    assert error.retryable
    assert error.safe_to_retry is (method == "GET")


def test_no_connection_in_time(side: Side, naps: list[float]) -> None:
    """A TLS handshake that is never answered; nothing of the request left, so that even a POST is sent again."""
    stuck = threading.Event()
    silent = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    class Silent:
        def wrap_socket(self, plain: Any, **_: Any) -> Any:
            stuck.wait(20)
            return silent.wrap_socket(plain, server_side=True)

    with Server(tls=Silent()) as server, side.client(server.url, timeout=Timeout(connect=0.05), max_retries=1) as toy:  # type: ignore[arg-type]
        error = failure(side, toy, request("POST"))
        stuck.set()
        server.wait_for_connections(2)
        assert server.seen == []
    assert isinstance(error, RequestTimeoutError)
    assert error.safe_to_retry
    assert "No connection in time" in error.message
    assert len(naps) == 1


def test_no_free_connection_in_time(side: Side) -> None:
    hold = Hold(Answer.json("first"))
    options = {"timeout": Timeout(pool=0.05), "connection": Connection(max_connections=1), "max_retries": 0}
    with Server(hold) as server, side.client(server.url, **options) as toy:

        def body(flows: Any) -> Flow[Any]:
            def second() -> Flow[Any]:
                yield from offload(lambda: server.wait_for(1))
                try:
                    return (yield from flows.ask(request("POST")))
                except RequestTimeoutError as error:
                    hold.release.set()
                    return error

            return (yield from gather([flows.ask(), second()]))

        first, error = side.do(toy.perform(body))
    assert (first, type(error).__name__) == ("first", "RequestTimeoutError")
    assert error.safe_to_retry


# --- what is nobody's failure but the program's --------------------------------------------------------------------


def test_errors_of_the_program_are_not_translated(side: Side) -> None:
    class Broken:
        def request(self, *args: Any, **kwargs: Any) -> Any:
            raise TypeError("a bug")

    with side.client("http://127.0.0.1:1", http_client=Broken()) as toy, pytest.raises(TypeError, match="a bug"):
        side.do(toy.ask())


def test_an_error_of_the_parser_is_not_translated(side: Side) -> None:
    with (
        Server(Answer(200, b"{")) as server,
        side.client(server.url) as toy,
        pytest.raises(ValueError, match="Expecting"),
    ):
        side.do(toy.ask())


def test_a_header_that_cannot_be_sent_is_not_shown(side: Side) -> None:
    """h11 puts the value into its message, and credentials are what such a value often is."""
    schemes = SchemeCredentials({"key": {"Authorization": "Bearer s3cret\n"}})
    with Server() as server, side.client(server.url, credentials=schemes) as toy:
        error = failure(side, toy, request(security=(("key",),)))
    assert (error.kind, error.code, error.retryable) == ("network", "invalid_request", False)
    assert error.__cause__ is None
    assert error.__suppress_context__
    assert server.seen == []


# --- answers that are no success though their status says so --------------------------------------------------


def test_an_answer_that_is_ruled_out(side: Side) -> None:
    refused = DecodeError("no JSON", context={"more": "facts"})

    def accept(asked: Any, response: Any) -> None:
        raise refused

    with Server() as server, side.client(server.url, service={"accept": accept}) as toy:
        error = failure(side, toy)
    assert error is refused
    assert error.context["operation"] == "getThing"
    assert error.context["more"] == "facts"
    assert len(server.seen) == 1
