"""Sums and merges over usage answers, by the rules of PymtHouse's own client, in exact integers.

All functions take the answers of `get_usage` or the JSON as it came. Source: PymtHouse Usage API.
"""

from __future__ import annotations

import warnings
from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from functools import cmp_to_key
from typing import TYPE_CHECKING, Any, TypeAlias, cast, overload

import attrs

from tollkit.core.arguments import instant, wire_time
from tollkit.errors import ArgumentError, DecodeError
from tollkit.pymthouse.collation import sort_keys
from tollkit.pymthouse.errors import family
from tollkit.pymthouse.js_date import parse_js_date
from tollkit.pymthouse.js_text import trim
from tollkit.usage.amounts import integer_text, parse_integer
from tollkit.usage.rows import field, groups, is_answer, read, where, wire_name
from tollkit.usage.sums import count, unreadable
from tollkit_api import runtime

if TYPE_CHECKING:
    from tollkit_api.usage.v2026_05.bulk import UsageResponseLike
    from tollkit_api.usage.v2026_05.models import UsageByPipelineModelRow, UsageResponse

__all__ = [
    "DEFAULT_MAX_END_USER_IDS",
    "MeScopeCurrentUser",
    "MeScopeUsagePayload",
    "UsageByPipelineModelFiatRow",
    "UsageFiatSummary",
    "UsageForExternalUser",
    "UsagePeriod",
    "UtcMonthBounds",
    "aggregate_usage_by_external_user_id",
    "build_me_scope_usage_payload",
    "get_end_user_ids_for_external_user",
    "get_usage_record_user_ids_for_external_user",
    "get_utc_calendar_month_iso_bounds",
    "list_usage_by_pipeline_model",
    "merge_usage_by_pipeline_model",
    "parse_usage_date_param",
    "read_usage_rows",
    "summarize_usage_fiat_for_external_user",
    "summarize_usage_for_external_user",
]

DEFAULT_MAX_END_USER_IDS = 25
"""How many of a user's internal ids are asked for one by one."""

Answer: TypeAlias = "UsageResponse | UsageResponseLike | Mapping[str, Any]"
"""An answer of `get_usage` or `get_usage_rows`, or its JSON."""
Answers: TypeAlias = "Answer | Iterable[Answer] | None"

_MICROS = ("network_fee_usd_micros", "owner_charge_usd_micros", "end_user_billable_usd_micros")


@attrs.frozen(kw_only=True)
class UsageForExternalUser:
    """One user's sums.

    Attributes:
        external_user_id: Your id of the user.
        request_count: Requests.
        fee_wei: Fees of the network, in wei (10^-18 ETH); 0 from servers that send none.
    """

    external_user_id: str
    request_count: int
    fee_wei: int

    def to_dict(self) -> dict[str, Any]:
        """The sums in wire names, amounts as text."""
        return {
            "externalUserId": self.external_user_id,
            "requestCount": self.request_count,
            "feeWei": integer_text(self.fee_wei),
        }


@attrs.frozen(kw_only=True)
class UsageFiatSummary:
    """One user's sums in micro-dollars (10^-6 USD).

    Attributes:
        external_user_id: Your id of the user.
        request_count: Requests.
        currency: That of the last row which has one, `USD` when none has; amounts are not converted.
        network_fee_usd_micros: Fees of the network.
        owner_charge_usd_micros: What the app's owner is charged.
        end_user_billable_usd_micros: Billable to the user.
    """

    external_user_id: str
    request_count: int
    currency: str
    network_fee_usd_micros: int
    owner_charge_usd_micros: int
    end_user_billable_usd_micros: int

    def to_dict(self) -> dict[str, Any]:
        """The sums in wire names, amounts as text."""
        return {
            "externalUserId": self.external_user_id,
            "requestCount": self.request_count,
            "currency": self.currency,
            **_amounts_on_wire(self),
        }


@attrs.frozen(kw_only=True)
class UsageByPipelineModelFiatRow:
    """The sums of one pipeline and model in micro-dollars (10^-6 USD); `None` where its one row has no amount.

    Attributes:
        pipeline: Id of the pipeline.
        model_id: Id of the model.
        request_count: Requests.
        currency: That of the first row, `USD` when it has none.
        network_fee_usd_micros: Fees of the network.
        owner_charge_usd_micros: What the app's owner is charged.
        end_user_billable_usd_micros: Billable to users.
    """

    pipeline: str
    model_id: str
    request_count: int
    currency: str
    network_fee_usd_micros: int | None
    owner_charge_usd_micros: int | None
    end_user_billable_usd_micros: int | None

    def to_dict(self) -> dict[str, Any]:
        """The row in wire names, amounts as text; amounts that are `None` are left out."""
        return {
            "pipeline": self.pipeline,
            "modelId": self.model_id,
            "requestCount": self.request_count,
            "currency": self.currency,
            **_amounts_on_wire(self),
        }


@attrs.frozen(kw_only=True)
class UsagePeriod:
    """The span that was asked for, as text; `None` where it is open."""

    start: str | None
    end: str | None

    def to_dict(self) -> dict[str, str | None]:
        """The span in wire names."""
        return {"start": self.start, "end": self.end}


@attrs.frozen(kw_only=True)
class MeScopeCurrentUser(UsageFiatSummary):
    """One user's sums, with a row for each pipeline and model.

    Attributes:
        pipeline_models: In the platform's order; not complete when the user has more ids than were asked for.
    """

    pipeline_models: tuple[UsageByPipelineModelFiatRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """The sums and rows in wire names, amounts as text."""
        return {**super().to_dict(), "pipelineModels": [row.to_dict() for row in self.pipeline_models]}


@attrs.frozen(kw_only=True)
class MeScopeUsagePayload:
    """What one user consumed over a span of time.

    Attributes:
        client_id: The app.
        period: The span.
        current_user: The user's sums and rows.
    """

    client_id: str
    period: UsagePeriod
    current_user: MeScopeCurrentUser

    def to_dict(self) -> dict[str, Any]:
        """The payload in wire names, amounts as text."""
        return {
            "clientId": self.client_id,
            "period": self.period.to_dict(),
            "currentUser": self.current_user.to_dict(),
        }


@attrs.frozen
class UtcMonthBounds:
    """First and last millisecond of a month in UTC, as the platform stores times."""

    start_date: str
    end_date: str

    def to_dict(self) -> dict[str, str]:
        """The bounds in the names of the platform's client."""
        return {"startDate": self.start_date, "endDate": self.end_date}


def _amounts_on_wire(sums: UsageFiatSummary | UsageByPipelineModelFiatRow) -> dict[str, str]:
    amounts: dict[str, int | None] = {name: getattr(sums, name) for name in _MICROS}
    return {wire_name(name): integer_text(value) for name, value in amounts.items() if value is not None}


def read_usage_rows(content: bytes) -> UsageResponseLike:
    """A usage answer from its body as it came, such as one that was kept in a file; as `get_usage_rows` gives it.

    Args:
        content: JSON in UTF-8.

    Raises:
        DecodeError: It is not what the document says; names the path (`$.byUser[17].requestCount`).
    """
    from tollkit_api.usage.v2026_05 import bulk

    with family():
        if not isinstance(cast("object", content), bytes):
            raise ArgumentError("content", f"must be bytes, not {type(content).__name__}")
        try:
            return bulk.read(content)
        except runtime.DecodeError as problem:
            error = DecodeError(
                f"{problem.path}: expected {problem.expected}, got {problem.got}",
                hint="This is not the body of a usage answer, or not all of it",
            )
            error.path = "" if problem.path == "$" else problem.path
            raise error from problem


def aggregate_usage_by_external_user_id(
    by_user: Iterable[object] | None, external_user_id: str
) -> UsageForExternalUser:
    """Add up the rows of one user; one person can have up to three.

    Args:
        by_user: Rows of `by_user`; `None` for none.
        external_user_id: Your id of the user, compared exactly.

    Raises:
        ArgumentError: A row's count or amount is no whole number; the error names the row.
    """
    with family():
        requests, _, (wei,) = _sums_of(by_user or (), external_user_id, "fee_wei")
    return UsageForExternalUser(external_user_id=external_user_id, request_count=requests, fee_wei=wei)


def _sums_of(rows: Iterable[object], external_user_id: str, *amounts: str) -> tuple[int, str, list[int]]:
    """Requests, currency and these amounts of one user."""
    requests = 0
    currency = "USD"
    sums = [0] * len(amounts)
    places = where(rows, "external_user_id", external_user_id)
    wanted = read((row for _, row in places), "request_count", "currency", *amounts)
    for (index, _), (number, told, *values) in zip(places, wanted, strict=True):
        requests += number if type(number) is int else count(number, f"by_user[{index}].requestCount")
        currency = told or currency
        for at, value in enumerate(values):
            if value:
                whole = parse_integer(value)
                if whole is None:
                    raise unreadable(value, f"by_user[{index}].{wire_name(amounts[at])}")
                sums[at] += whole
    return requests, currency, sums


def summarize_usage_for_external_user(usage: Answer, external_user_id: str) -> UsageForExternalUser:
    """`aggregate_usage_by_external_user_id` over the user rows of an answer (`group_by="user"`).

    Raises:
        ArgumentError: A row's count or amount is no whole number; the error names the row.
    """
    with family():
        return aggregate_usage_by_external_user_id(groups(usage, "by_user"), external_user_id)


def _fiat(usage: Answer, external_user_id: str) -> dict[str, Any]:
    requests, currency, sums = _sums_of(groups(usage, "by_user"), external_user_id, *_MICROS)
    amounts = dict(zip(_MICROS, sums, strict=True))
    return {"external_user_id": external_user_id, "request_count": requests, "currency": currency, **amounts}


def summarize_usage_fiat_for_external_user(usage: Answer, external_user_id: str) -> UsageFiatSummary:
    """One user's sums in micro-dollars.

    Args:
        usage: An answer with user rows (`group_by="user"`).
        external_user_id: Your id of the user, compared exactly.

    Raises:
        ArgumentError: A row's count or amount is no whole number; the error names the row.
    """
    with family():
        return UsageFiatSummary(**_fiat(usage, external_user_id))


def get_end_user_ids_for_external_user(usage: Answer, external_user_id: str) -> list[str]:
    """The platform's own ids of one user, each once, in order of appearance, without `unknown`.

    Args:
        usage: An answer of `get_usage`, grouped by user.
        external_user_id: The user, by your id.

    Raises:
        ArgumentError: `by_user` is no list of rows.
    """
    with family():
        rows = read(groups(usage, "by_user"), "external_user_id", "end_user_id")
        ids = dict.fromkeys(end_user for owner, end_user in rows if owner == external_user_id)
    return [one for one in ids if isinstance(one, str) and one != "unknown"]


def get_usage_record_user_ids_for_external_user(usage: Answer, external_user_id: str) -> list[str]:
    """Old name of `get_end_user_ids_for_external_user`."""
    warnings.warn(
        "get_usage_record_user_ids_for_external_user is now get_end_user_ids_for_external_user",
        DeprecationWarning,
        stacklevel=2,
    )
    return get_end_user_ids_for_external_user(usage, external_user_id)


@overload
def list_usage_by_pipeline_model(usage: UsageResponse) -> list[UsageByPipelineModelRow]: ...
@overload
def list_usage_by_pipeline_model(usage: Mapping[str, Any]) -> list[Any]: ...
def list_usage_by_pipeline_model(usage: Answer) -> list[Any]:
    """The pipeline rows of an answer in the platform's order: by pipeline, then by model.

    Args:
        usage: An answer with pipeline rows (`group_by="pipeline_model"`); it stays as it is, and so do the rows.

    Raises:
        ArgumentError: A row has no pipeline or model.
    """
    with family():
        rows = list(groups(usage, "by_pipeline_model"))
        names = list(read(rows, "pipeline", "model_id"))
        if len(rows) < 2:
            return rows
        for index, pair in enumerate(names):
            _require_texts(pair, f"by_pipeline_model[{index}]")
    keys = sort_keys(name for pair in names for name in pair)
    order = sorted(range(len(rows)), key=lambda index: (keys[names[index][0]], keys[names[index][1]]))
    return [rows[index] for index in order]


def _require_texts(pair: tuple[Any, ...], place: str) -> None:
    for name, value in zip(("pipeline", "modelId"), pair, strict=True):
        if not isinstance(value, str):
            raise ArgumentError(f"{place}.{name}", f"must be text, not {value!r}")


def merge_usage_by_pipeline_model(answers: Answers) -> list[UsageByPipelineModelFiatRow]:
    """Add up the pipeline rows of one or several answers: one row for each pipeline and model, in order.

    Rows without a pipeline or a model are left out. The currency is that of a pair's first row. An amount that a
    row does not have counts 0, unless it is the pair's only row: then it stays absent.

    Args:
        answers: An answer with pipeline rows (`group_by="pipeline_model"`), or several, or `None`.

    Raises:
        ArgumentError: A row's count or amount is no whole number; the error names the answer, the row and the field.
    """
    merged: dict[tuple[str, str], list[Any]] = {}
    with family():
        for place, answer in _several(answers):
            _merge(merged, groups(answer, "by_pipeline_model"), f"{place}by_pipeline_model")
    keys = sort_keys(name for pair in merged for name in pair)

    def order(one: tuple[str, str], other: tuple[str, str]) -> int:
        # the models decide only between equal texts of the pipeline, not between texts that are sorted alike
        at = 1 if one[0] == other[0] else 0
        left, right = keys[one[at]], keys[other[at]]
        return (left > right) - (left < right)

    return [
        UsageByPipelineModelFiatRow(
            pipeline=pair[0],
            model_id=pair[1],
            **dict(zip(("request_count", "currency", *_MICROS), merged[pair], strict=True)),
        )
        for pair in sorted(merged, key=cmp_to_key(order))
    ]


def _several(answers: Answers) -> Iterator[tuple[str, object]]:
    """The answers, each with the place that errors are to name."""
    if answers is None:
        return
    if is_answer(answers) or isinstance(answers, Mapping):
        yield "", answers
        return
    for index, answer in enumerate(cast("Iterable[object]", answers)):
        yield f"answers[{index}].", answer


def _merge(merged: dict[tuple[str, str], list[Any]], rows: Iterable[object], place: str) -> None:
    """Add rows to requests, currency and amounts by pipeline and model."""
    for index, (pipeline, model_id, number, currency, *values) in enumerate(
        read(rows, "pipeline", "model_id", "request_count", "currency", *_MICROS)
    ):
        if not pipeline or not model_id:
            continue
        requests = number if type(number) is int else count(number, f"{place}[{index}].requestCount")
        for at, value in enumerate(values):
            if value is not None and type(value) is not int:
                values[at] = parse_integer(value)
                if values[at] is None:
                    raise unreadable(value, f"{place}[{index}].{wire_name(_MICROS[at])}")
        sums = merged.get((pipeline, model_id))
        if sums is None:
            _require_texts((pipeline, model_id), f"{place}[{index}]")
            merged[pipeline, model_id] = [requests, currency or "USD", *values]
        else:
            sums[0] += requests
            for at, value in enumerate(values, 2):
                sums[at] = (sums[at] or 0) + (value or 0)


def build_me_scope_usage_payload(
    usage_by_user: Answer, external_user_id: str, pipeline_responses: Answers = None
) -> MeScopeUsagePayload:
    """One user's usage from the answers that hold it.

    Args:
        usage_by_user: The answer with user rows.
        external_user_id: Your id of the user.
        pipeline_responses: The answers with pipeline rows, one for each of the user's internal ids.

    Raises:
        ArgumentError: A row's count or amount is no whole number; the error names it.
    """
    with family():
        start, end = next(read([field(usage_by_user, "period") or {}], "start", "end"))
        return MeScopeUsagePayload(
            client_id=field(usage_by_user, "client_id") or "",
            period=UsagePeriod(start=start or None, end=end or None),
            current_user=MeScopeCurrentUser(
                **_fiat(usage_by_user, external_user_id),
                pipeline_models=tuple(merge_usage_by_pipeline_model(pipeline_responses)),
            ),
        )


def get_utc_calendar_month_iso_bounds(now: datetime | date | None = None) -> UtcMonthBounds:
    """First and last millisecond of a month in UTC, as `get_usage` takes them.

    Args:
        now: A moment in the month, an aware datetime or a date; this month when nothing is said.

    Raises:
        ArgumentError: `now` is neither, or does not say its time zone.
    """
    with family():
        if now is not None and not isinstance(now, date):
            raise ArgumentError("now", "must be a date or an aware datetime", message="Invalid time value")
        moment = datetime.now(UTC) if now is None else instant("now", now)
    first = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    last_day = monthrange(first.year, first.month)[1]
    last = first.replace(day=last_day, hour=23, minute=59, second=59, microsecond=999_000)
    return UtcMonthBounds(wire_time(first), wire_time(last))


def parse_usage_date_param(raw: str | None) -> str | None:
    """A date from a query, trimmed, if the platform would take it for a date; else `None`.

    What the platform takes is what JavaScript's `Date.parse` takes, and that is more than ISO 8601; it then
    compares texts. Prefer `get_usage`'s own dates, which say what they mean.
    """
    text = trim(raw or "")
    return text if text and parse_js_date(text) is not None else None
