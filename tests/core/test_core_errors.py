"""The error tree: what errors say, how they are branded with a platform's family, and that they can be pickled."""

from __future__ import annotations

import copy
import inspect
import pickle
import threading
import traceback
from typing import Any

import pytest

from tollkit import errors
from tollkit.errors import (
    ArgumentError,
    ConfigurationError,
    ConnectError,
    DecodeError,
    MissingExtraError,
    NotFoundError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    StatusError,
    TollkitError,
    TransportError,
    brand,
    status_class,
)


class FirstError(TollkitError):
    """A family."""

    kind = "first"


class SecondError(TollkitError):
    """Another family."""


def made(cls: type[TollkitError]) -> TollkitError:
    if issubclass(cls, ArgumentError):
        return cls("limit", "must be 1 or more")
    if issubclass(cls, MissingExtraError):
        return cls("HTTP/2", "http2")
    return cls(
        "what happened", code="a_code", body={"why": ["x"]}, context={"operation": "getThing"}, request_id="r1"
    )


CLASSES = [getattr(errors, name) for name in errors.__all__]


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    lines = [line for line in (errors.__doc__ or "").splitlines() if "─ " in line or line == "    TollkitError"]
    parents: list[str] = []
    drawn: dict[str, str | None] = {}
    for line in lines:
        before, _, told = line.rpartition("─ ")
        depth = len(before) // 4
        name = told.split()[0]
        parents[depth:] = [name]
        drawn[name] = parents[depth - 1] if depth else None
    assert drawn == {cls.__name__: None if cls is TollkitError else cls.__bases__[0].__name__ for cls in CLASSES}


@pytest.mark.parametrize("cls", CLASSES)
def test_every_class_has_a_kind_of_its_own_and_a_docstring(cls: type[TollkitError]) -> None:
    assert "kind" in cls.__dict__
    assert inspect.getdoc(cls)
    assert [other for other in CLASSES if other.kind == cls.kind] == [cls]


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_can_be_pickled_and_copied(cls: type[TollkitError]) -> None:
    error = made(cls)
    error.add_note("seen at noon")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is cls
        assert twin.__dict__ == error.__dict__
        assert (str(twin), repr(twin), twin.args) == (str(error), repr(error), error.args)


@pytest.mark.parametrize("families", [[FirstError], [FirstError, SecondError]], ids=len)
@pytest.mark.parametrize("cls", CLASSES)
def test_a_branded_error_can_be_pickled_too(cls: type[TollkitError], families: list[type[TollkitError]]) -> None:
    error = made(cls)
    for family in families:
        brand(error, family)
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is type(error)
    assert all(isinstance(twin, family) for family in families)
    assert isinstance(twin, cls)
    assert twin.__dict__ == error.__dict__


@pytest.mark.parametrize("cls", CLASSES)
def test_a_brand_adds_the_family_and_changes_nothing_else(cls: type[TollkitError]) -> None:
    error = made(cls)
    before = dict(error.__dict__), str(error), error.kind
    try:
        raise error
    except TollkitError:
        lines = traceback.extract_tb(error.__traceback__)
    cause = error.__cause__ = ValueError("cause")
    assert brand(error, FirstError) is error
    assert isinstance(error, cls)
    assert isinstance(error, FirstError)
    if cls is not TollkitError:
        assert type(error).__name__ == cls.__name__
        assert (error.__dict__, str(error), error.kind) == before
    assert error.__cause__ is cause
    assert traceback.extract_tb(error.__traceback__) == lines
    with pytest.raises(FirstError):
        raise error


def test_brands_do_not_pile_up() -> None:
    error = brand(made(NotFoundError), FirstError)
    cls = type(error)
    assert type(brand(error, FirstError)) is cls
    assert type(brand(made(NotFoundError), FirstError)) is cls
    own = FirstError("of the family from the start")
    assert type(brand(own, FirstError)) is FirstError


def test_one_class_is_made_for_a_pair_whatever_the_number_of_threads() -> None:
    class Fresh(StatusError):
        kind = "fresh"

    gate = threading.Barrier(16, timeout=20)
    found: list[type[Any]] = []

    def one() -> None:
        error = Fresh("x")
        gate.wait()
        found.append(type(brand(error, FirstError)))

    threads = [threading.Thread(target=one) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TollkitError("what"), "what"),
        (TollkitError("what", hint="Do this."), "Do this. what"),
        (TollkitError("what", hint="Do this", status=404, code="gone"), "Do this. what (HTTP 404, code gone)"),
        (TollkitError("sitee is unknown", hint="Did you mean site?"), "Did you mean site? sitee is unknown"),
        (TollkitError("gone", status=404, code="gone"), "gone (HTTP 404)"),
        (
            TollkitError("what", status=500, context={"operation": "getThing"}, request_id="r1"),
            "what (HTTP 500, getThing, request id r1)",
        ),
        (ArgumentError("limit", "must be 1 or more"), "limit: must be 1 or more (code invalid_argument)"),
        (
            ArgumentError("limit", "must be 1 or more", message="Limit!", code="bad_limit", status=422),
            "limit must be 1 or more. Limit! (code bad_limit)",
        ),
    ],
)
def test_the_text_leads_with_what_to_do(error: TollkitError, text: str) -> None:
    assert str(error) == text
    assert repr(error) == f"<{type(error).__name__}: {text}>"


def test_an_error_as_plain_data() -> None:
    error = RateLimitError(
        "slow down",
        code="rate",
        status=429,
        body={"a": 1},
        hint="Wait",
        context={"attempts": 3},
        request_id="r1",
        safe_to_retry=True,
    )
    assert error.to_dict() == {
        "kind": "rate_limited",
        "code": "rate",
        "message": "slow down",
        "hint": "Wait",
        "status": 429,
        "body": {"a": 1},
        "context": {"attempts": 3},
        "request_id": "r1",
        "retryable": True,
        "safe_to_retry": True,
    }
    assert error.to_dict()["context"] is not error.context


@pytest.mark.parametrize("body", [None, "text", ["a"], 3])
def test_details_of_a_body_that_is_no_mapping_are_empty(body: Any) -> None:
    assert TollkitError("x", body=body).details == {}


def test_errors_are_what_python_programs_expect_too() -> None:
    assert issubclass(ArgumentError, ValueError)
    assert issubclass(MissingExtraError, ImportError)
    assert issubclass(RequestTimeoutError, TimeoutError)
    missing = MissingExtraError("HTTP/2", "http2")
    assert missing.extra == "http2"
    assert "pip install 'tollkit[http2]'" in str(missing)
    error = ArgumentError("limit", "must be 1 or more", body={"given": 0})
    assert (error.argument, error.problem, error.context) == ("limit", "must be 1 or more", {"argument": "limit"})
    assert error.details == {"given": 0}


@pytest.mark.parametrize(
    ("cls", "retryable", "code", "status"),
    [
        (TransportError, True, "network_error", None),
        (ConnectError, True, "connect_error", None),
        (RequestTimeoutError, True, "timeout", None),
        (errors.InsecureTransportError, False, "insecure_transport", None),
        (ServerError, True, None, None),
        (RateLimitError, True, None, None),
        (NotFoundError, False, None, None),
        (DecodeError, False, "invalid_response", 502),
        (ConfigurationError, False, "configuration", None),
        (errors.CancelledError, False, "cancelled", None),
        (errors.TokenError, False, "invalid_token", None),
    ],
)
def test_what_an_error_says_when_nobody_said_more(
    cls: type[TollkitError], retryable: bool, code: str | None, status: int | None
) -> None:
    error = cls("x")
    assert (error.retryable, error.safe_to_retry, error.code, error.status) == (retryable, False, code, status)
    assert cls("x", retryable=not retryable).retryable is not retryable


def test_oauth_errors_and_their_defaults() -> None:
    error = errors.OAuthError("x")
    assert (error.error, error.error_description, error.error_uri) == ("server_error", None, None)
    assert DecodeError("x").path == ""
    assert StatusError("x").retry_after is None


def test_the_class_of_a_status_nobody_knows() -> None:
    assert status_class(299) is StatusError
    assert status_class(1000) is ServerError
