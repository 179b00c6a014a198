"""How answers of generated operations are read: every body ends as a model or as an error of ours."""

from __future__ import annotations

from typing import Any

import pytest

from support.server import Answer, Server
from support.toy import Side, ToyError, ToyFlows
from tollkit.core.credentials import SchemeCredentials
from tollkit.core.flows import Flow, Send, send
from tollkit.errors import ConfigurationError, DecodeError, NotFoundError
from tollkit_api.runtime import UnexpectedStatus
from tollkit_api.usage.v2026_05.api.usage import get_usage
from tollkit_api.usage.v2026_05.models import ErrorEnvelope, UsageResponse

USAGE = {
    "clientId": "app_1",
    "period": {"start": None, "end": None},
    "totals": {"requestCount": 2, "totalFeeWei": "12"},
}
SCHEMES = SchemeCredentials({"m2mBasic": {"Authorization": "Basic x"}})


def usage(flows: ToyFlows) -> Flow[UsageResponse]:
    return (yield from send(Send(get_usage.request("app_1"), get_usage.parse, flows._service)))


def fetched(side: Side, *answers: Answer, credentials: Any = SCHEMES) -> Any:
    with Server(*answers) as server, side.client(server.url, credentials=credentials) as toy:
        return side.do(toy.perform(usage))


def failed(side: Side, *answers: Answer) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        fetched(side, *answers)
    assert isinstance(caught.value, ToyError)
    assert caught.value.context["operation"] == "getUsage"
    assert caught.value.context["url"].endswith("/api/v1/apps/app_1/usage")
    assert not caught.value.retryable
    return caught.value


def test_a_success_is_the_model(side: Side) -> None:
    found = fetched(side, Answer.json(USAGE))
    assert isinstance(found, UsageResponse)
    assert found.totals.total_fee_wei == 12


def test_a_wrong_value_is_named_by_its_place(side: Side) -> None:
    totals = {"requestCount": 2, "totalFeeWei": "twelve"}
    error = failed(side, Answer.json({**USAGE, "totals": totals}, X_Request_Id="r1"))
    assert error.path == "$.totals.totalFeeWei"
    assert error.message.startswith("$.totals.totalFeeWei: expected ")
    assert (error.status, error.code, error.request_id) == (502, "invalid_response", "r1")
    assert "twelve" not in str(error)
    assert "report it to the platform" in str(error)


@pytest.mark.parametrize(
    ("answer", "preview"),
    [
        (Answer(200, b"<html>Welcome", {"content-type": "text/html"}), "<html>Welcome"),
        (Answer(200, b""), ""),
        (Answer(200, b"null", {"content-type": "application/json"}), "null"),
        (Answer.json([]), "[]"),
        (Answer(200, b'{"clientId": "app_1", "clientId": "app_2"}'), '{"clientId": "app_1", "clientId": "app_2"}'),
        (Answer(200, b"\xff\xfe{}"), "\ufffd\ufffd{}"),
        (Answer(200, b"x" * 1000), "x" * 200),
        (Answer(200, "\u20ac".encode() * 500), "\u20ac" * 200),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_body_that_is_no_such_document_at_all(side: Side, answer: Answer, preview: str) -> None:
    error = failed(side, answer)
    assert error.path == ""
    assert error.details == {"contentType": answer.headers.get("content-type", ""), "preview": preview}
    assert "Check the base address" in str(error)


def test_the_preview_of_a_body_masks_what_looks_like_a_secret(side: Side) -> None:
    error = failed(side, Answer(200, b'["access_token", {"access_token": "s3cret-s3cret", "a": 1}]'))
    assert error.details["preview"] == '["access_token", {"access_token": "****", "a": 1}]'


@pytest.mark.parametrize("status", [201, 202, 204, 206])
def test_a_success_status_that_the_document_does_not_have(side: Side, status: int) -> None:
    error = failed(side, Answer(status, b"" if status == 204 else b"{}"))
    assert error.message == f"Success status {status} is not in the document"
    assert isinstance(error.__cause__, UnexpectedStatus)


def test_the_service_may_say_itself_what_an_unreadable_answer_is(side: Side) -> None:
    def unreadable(request: Any, response: Any) -> DecodeError:
        return DecodeError("mine", code="mine")

    service = {"unreadable": unreadable}
    with (
        Server(Answer(200, b"{")) as server,
        side.client(server.url, credentials=SCHEMES, service=service) as toy,
        pytest.raises(DecodeError) as caught,
    ):
        side.do(toy.perform(usage))
    assert (caught.value.code, caught.value.context["operation"]) == ("mine", "getUsage")


def test_an_error_has_the_hint_of_the_document(side: Side) -> None:
    with pytest.raises(NotFoundError, match="Also every failed authentication") as caught:
        fetched(side, Answer.json({"error": "Not found"}, 404))
    assert caught.value.body == {"error": "Not found"}


def test_without_the_credentials_of_its_scheme_nothing_is_sent(side: Side) -> None:
    with pytest.raises(ConfigurationError, match="m2mBasic"):
        fetched(side, credentials=SchemeCredentials({}))


def test_generated_functions_take_the_clients_api(side: Side) -> None:
    script = (Answer(503), Answer.json(USAGE), Answer.json({"error": "Not found"}, 404))
    with Server(*script) as server, side.client(server.url, credentials=SCHEMES) as toy:
        if side.name == "blocking":
            found = get_usage.sync("app_1", client=toy.api)
            detailed = get_usage.sync_detailed("app_1", client=toy.api)
        else:
            found = side.do(get_usage.asyncio("app_1", client=toy.api))
            detailed = side.do(get_usage.asyncio_detailed("app_1", client=toy.api))
    assert isinstance(found, UsageResponse)
    assert detailed.status_code == 404
    assert isinstance(detailed.parsed, ErrorEnvelope)
    assert [seen.headers["authorization"] for seen in server.seen] == ["Basic x"] * 3
