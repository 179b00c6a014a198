"""What programs can watch, and that nothing secret is in what they see."""

from __future__ import annotations

import logging
import pickle
import traceback
from typing import Any

import pytest

from support.server import Answer, Hold, Reset, Server, closed_port
from support.toy import Side, Toy, parse, request
from tollkit.core import events
from tollkit.core.credentials import NoCredentials, SchemeCredentials
from tollkit.core.etag_store import Entry
from tollkit.core.flows import Call, Gather, Offload, Send, Share, Sleep, Wire
from tollkit.core.raw import Answer as RawAnswer
from tollkit.core.raw import Raw
from tollkit.core.service import Service
from tollkit.core.settings import Connection, Options, Timeout
from tollkit.core.single_flight import SingleFlight
from tollkit.errors import ServerError, StatusError, TollkitError, TransportError

SENTINEL = "s3nt1nel"


class Watch:
    """Keeps the events."""

    def __init__(self) -> None:
        self.events: list[events.Event] = []

    def __call__(self, event: events.Event) -> None:
        self.events.append(event)

    @property
    def told(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


def test_events_of_a_success(side: Side) -> None:
    watch = Watch()
    with Server() as server, side.client(server.url, on_event=watch) as toy:
        side.do(toy.ask(request(path="/x", params=(("q", "1"),))))
    sent, received = watch.events
    assert sent == events.RequestSent("toy", "getThing", "GET", f"{server.url}/x", 1)
    assert isinstance(received, events.AnswerReceived)
    assert (received.status, received.attempt, received.url) == (200, 1, f"{server.url}/x")
    assert received.seconds >= 0


def test_events_of_retries(side: Side) -> None:
    watch = Watch()
    script = (Answer(503, headers={"retry-after": "4"}), Reset(), Answer.json("x"))
    with Server(*script) as server, side.client(server.url, on_event=watch) as toy:
        side.do(toy.ask())
    assert watch.told == [
        "RequestSent",
        "AnswerReceived",
        "RetryScheduled",
        "RequestSent",
        "ExchangeFailed",
        "RetryScheduled",
        "RequestSent",
        "AnswerReceived",
    ]
    assert [event.attempt for event in watch.events] == [1, 1, 1, 2, 2, 2, 3, 3]
    first, failed, second = watch.events[2], watch.events[4], watch.events[5]
    assert isinstance(first, events.RetryScheduled)
    assert (first.delay, type(first.error)) == (4.0, ServerError)
    assert isinstance(failed, events.ExchangeFailed)
    assert isinstance(second, events.RetryScheduled)
    assert second.error is failed.error
    assert isinstance(failed.error, TransportError)
    assert failed.seconds >= 0
    assert 0 <= second.delay <= 1


def test_events_of_a_failure(side: Side) -> None:
    watch = Watch()
    with Server(Answer(404), Answer(503)) as server, side.client(server.url, on_event=watch, max_retries=0) as toy:
        for _ in range(2):
            with pytest.raises(StatusError):
                side.do(toy.ask())
    assert watch.told == ["RequestSent", "AnswerReceived"] * 2


def test_events_of_a_renewal_of_credentials(side: Side) -> None:
    class Renewable(NoCredentials):
        def rejected(self, operation: Any, sent: Any) -> bool:
            return True

    watch = Watch()
    script = (Answer(401), Answer.json("x"))
    with Server(*script) as server, side.client(server.url, on_event=watch, credentials=Renewable()) as toy:
        side.do(toy.ask())
    assert watch.told == ["RequestSent", "AnswerReceived"] * 2


def test_an_observer_that_raises_is_logged_and_changes_nothing(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: events.Event) -> None:
        raise LookupError("the observer's own")

    with Server(Answer(503), Reset(), Answer.json("x")) as server, side.client(server.url, on_event=broken) as toy:
        assert side.do(toy.ask()) == "x"
    records = [record for record in caplog.records if record.name == "tollkit.http" and record.exc_info]
    assert len(records) == 8
    assert "the observer's own" in caplog.text


def test_logging_is_quiet_unless_asked(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    with Server(Answer(503), Answer.json("x")) as server, side.client(server.url) as toy:
        side.do(toy.ask())
    assert [record for record in caplog.records if record.name.startswith("tollkit")] == []


def test_the_log_tells_exchanges_and_retries(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "tollkit")
    with Server(Answer(503), Reset(), Answer.json("x")) as server, side.client(server.url) as toy:
        side.do(toy.ask())
    told = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "tollkit.http"]
    assert [level for level, _ in told] == ["DEBUG", "INFO", "DEBUG", "INFO", "DEBUG"]
    assert f"GET {server.url}/thing -> 503 in" in told[0][1]
    assert "getThing: server; attempt 2 follows in" in told[1][1]
    assert "failed after" in told[2][1]
    assert "getThing: network; attempt 3 follows in" in told[3][1]


# --- secrets ---------------------------------------------------------------------------------------------------

SECRET = request(
    "PUT",
    params=(("token", SENTINEL),),
    headers={"X-Token": SENTINEL},
    content=SENTINEL.encode(),
    security=(("key",),),
)


@pytest.mark.parametrize(
    "step",
    [
        Answer.json("x"),
        Answer(404),
        Answer(401),
        Answer(503),
        Answer(302, headers={"location": f"http://h/?token={SENTINEL}#{SENTINEL}"}),
        Answer(502, b"<html>", {"content-type": "text/html"}),
        Reset(),
        pytest.param(Hold(), id="Hold"),
        None,
    ],
    ids=str,
)
def test_what_was_sent_is_never_shown(side: Side, step: Any, caplog: pytest.LogCaptureFixture) -> None:
    """In headers of the request, of the scheme and of the options, in the query and in the body."""
    caplog.set_level(logging.DEBUG, "tollkit")
    watch = Watch()
    shown: list[str] = []
    with Server(default=step or Answer()) as server:
        url = server.url if step else f"http://127.0.0.1:{closed_port()}"
        options = {
            "headers": {"X-Key": SENTINEL},
            "on_event": watch,
            "timeout": Timeout(read=0.05),
            "max_retries": 1,
            "credentials": SchemeCredentials({"key": {"Authorization": f"Bearer {SENTINEL}"}}),
        }
        with side.client(url, **options) as toy:
            try:
                shown.append(repr(side.do(toy.ask.raw(SECRET))))
            except TollkitError as error:
                shown += [str(error), repr(error), repr(error.to_dict()), repr(error.args), repr(error.__dict__)]
                shown += ["".join(traceback.format_exception(error)), repr(pickle.loads(pickle.dumps(error)))]
            shown += [repr(toy), repr(toy.ask), repr(toy._options), repr(toy.flows), repr(toy.flows._service)]
            shown += [repr(toy._connections), repr(toy.api)]
        if isinstance(step, Hold):
            step.release.set()
    assert watch.events
    assert caplog.records
    shown += [repr(event) for event in watch.events]
    shown += [record.getMessage() for record in caplog.records if record.name.startswith("tollkit")]
    assert [text for text in shown if SENTINEL in text] == []


def flow_of_it() -> Any:
    yield Sleep(1)


SERVICE = Service(
    name="toy",
    base_url="http://h",
    headers={"X-Key": SENTINEL},
    credentials=SchemeCredentials({"key": {"Authorization": SENTINEL}}),
)

OBJECTS = [
    Wire("GET", f"http://h/?token={SENTINEL}", {"Authorization": SENTINEL}, SENTINEL.encode()),
    Send(SECRET, parse, SERVICE),
    Share(SingleFlight(), ("token", SENTINEL), flow_of_it, SENTINEL),
    Gather([], 8),
    Offload(flow_of_it),
    Call("given", flow_of_it),
    SERVICE,
    SERVICE.credentials,
    Options(headers={"Authorization": SENTINEL}),
    Connection(proxy=f"http://user:{SENTINEL}@proxy"),
    RawAnswer(200, {"Set-Cookie": SENTINEL}, SENTINEL.encode(), "GET", "http://h/"),
    Raw(None, (RawAnswer(200, {"Set-Cookie": SENTINEL}, SENTINEL.encode(), "GET", "http://h/"),)),
    Entry(etag='"1"', body=SENTINEL.encode(), fetched_at=1.0, checked_at=2.0),
]


@pytest.mark.parametrize("thing", OBJECTS, ids=lambda thing: type(thing).__name__)
def test_no_object_shows_a_secret(thing: Any) -> None:
    assert SENTINEL not in repr(thing)
    assert SENTINEL not in str(thing)
    assert type(thing).__name__ in repr(thing)


def test_what_objects_show_is_of_use() -> None:
    assert repr(OBJECTS[0]) == "Wire(method='GET', url='http://h/')"
    assert "<putThing>" in repr(OBJECTS[1])
    assert "Authorization" in repr(Options(headers={"Authorization": SENTINEL}))
    assert "X-Key" in repr(SERVICE)
    assert "<1 headers>" in repr(RawAnswer(200, {"a": "b"}, b"abc", "GET", "http://h/"))


def test_a_client_does_not_show_its_secrets() -> None:
    with Toy("http://h", headers={"Authorization": SENTINEL}) as toy:
        assert SENTINEL not in repr(toy)
