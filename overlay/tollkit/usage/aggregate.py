"""Sums over many answers in one pass, in memory of the groups and of one answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tollkit.core.raw import Raw
from tollkit.errors import ArgumentError
from tollkit.usage.rows import field, groups, is_answer, read
from tollkit.usage.sums import OF_PIPELINE, OF_TOTALS, OF_USER, Found, add_group, add_rows, merge, one_currency
from tollkit.usage.totals import UsageTotals, total_of

__all__ = ["UsageAggregate", "aggregate"]


class UsageAggregate:
    """Sums of answers that come one at a time, from a loop or an `async for`:

        sums = UsageAggregate()
        async for answer in answers:
            sums.add(answer)

    Args:
        key: The field that says who a user is: `external_user_id` (your id, `None` where the platform knows none) or
            `end_user_id` (the platform's own; one person may have several).
    """

    def __init__(self, key: str = "external_user_id") -> None:
        self._key = key
        self._answers = 0
        self._totals: Found = {}
        self._by_user: Found = {}
        self._by_pipeline_model: Found = {}

    def add(self, answer: object) -> None:
        """Add one answer: its own totals, its rows by user, and its rows by pipeline and model.

        Args:
            answer: Of `get_usage` or `get_usage_rows`, the `Raw` of either, or decoded JSON. Bytes are read by
                `tollkit.pymthouse.read_usage_rows`.

        Raises:
            ArgumentError: It is none of these, a count or an amount is not a whole number, a row has no pipeline or
                model, or currencies differ; the error names the place. Nothing of this answer was added then.
        """
        place = f"answers[{self._answers}]"
        told: Any = answer
        if isinstance(answer, Raw):
            told = told.result
        if not is_answer(told):
            first = "; read it first, e.g. with tollkit.pymthouse.read_usage_rows" if isinstance(told, bytes) else ""
            raise ArgumentError(place, f"must be a usage answer, not {type(told).__name__}{first}")
        fresh: list[tuple[Found, Found, str]] = []
        found: Found = {}
        if (whole := field(told, "totals")) is not None:
            add_rows(found, read([whole], *OF_TOTALS), 0, f"{place}.totals", 0)
        fresh.append((self._totals, found, "totals"))
        for name, into, keys, fields in (
            ("by_user", self._by_user, (self._key,), OF_USER),
            ("by_pipeline_model", self._by_pipeline_model, ("pipeline", "model_id"), OF_PIPELINE),
        ):
            found = {}
            add_group(found, list(groups(told, name)), keys, fields, f"{place}.{name}")
            if len(keys) > 1 and any(None in key for key in found):
                raise ArgumentError(f"{place}.{name}", "must have rows with a pipeline and a model each")
            fresh.append((into, found, name))
        for into, found, name in fresh:
            for key, sums in found.items():
                if key in into:
                    one_currency(into[key].currency, sums.currency, f"{place}.{name}.currency")
        for into, found, _ in fresh:
            merge(into, found)
        self._answers += 1

    @property
    def totals(self) -> UsageTotals:
        """The sum of the answers' own totals."""
        return total_of(self._totals[()]) if self._totals else UsageTotals()

    @property
    def by_user(self) -> dict[str | None, UsageTotals]:
        """Sums by user, in the order of first appearance."""
        return {user: total_of(sums) for (user,), sums in self._by_user.items()}

    @property
    def by_pipeline_model(self) -> dict[tuple[str, str], UsageTotals]:
        """Sums by pipeline and model, in the order of first appearance."""
        return {(pipeline, model): total_of(sums) for (pipeline, model), sums in self._by_pipeline_model.items()}


def aggregate(answers: Iterable[object], key: str = "external_user_id") -> UsageAggregate:
    """Add up answers of any number; each is let go before the next is asked for.

        days = (client.get_usage_rows(start_date=day, end_date=day, group_by="user") for day in month)
        for user, sums in aggregate(days).by_user.items(): ...

    Args:
        answers: As for `UsageAggregate.add`; an iterator is read once.
        key: As for `UsageAggregate`.

    Raises:
        ArgumentError: As for `UsageAggregate.add`, or `answers` is one answer and no iterable of them.
    """
    if isinstance(answers, str | bytes) or is_answer(answers) or not isinstance(answers, Iterable):
        raise ArgumentError("answers", "must be an iterable of usage answers")
    sums = UsageAggregate(key)
    for answer in answers:
        sums.add(answer)
        del answer  # or it would stay while the next is being made
    return sums
