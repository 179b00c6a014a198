"""What was spent, call by call."""

from __future__ import annotations

import builtins
from datetime import date, datetime
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from tollkit.core.arguments import built, instant, wire_time
from tollkit.core.flows import Flow, flow
from tollkit.core.paging import Page, by_offset, paged
from tollkit.errors import ArgumentError
from tollkit.tokenite.admin.base import AdminNamespace, count, text_or_none

if TYPE_CHECKING:
    from tollkit_api.tokenite.v2_4.models import SpendingRow

__all__ = ["Spending"]

D = TypeVar("D")
Day: TypeAlias = datetime | date | str


class Spending(AdminNamespace[D]):
    """`admin.spending`: what the account spent, call by call."""

    @flow
    def list(
        self,
        *,
        app_id: str | None = None,
        from_: Day | None = None,
        to: Day | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> Flow[builtins.list[SpendingRow]]:
        """One page of what was spent; see `iterate` for all of it.

        Args:
            app_id: Only calls of this app.
            from_: Only calls since then: a date, an aware datetime, or ISO 8601 text.
            to: Only calls until then; a date without a time means that whole day.
            limit: Rows at most; the platform's choice when left out.
            offset: Rows to pass over first.

        Raises:
            ArgumentError: A date is not one, or does not say its time zone, the span is reversed, or a number will
                not do.
            BadRequestError: The platform refuses a value (code `VALIDATION`).

        Source: Tokenite admin API, `GET /api/spending`.
        """
        from tollkit_api.tokenite.v2_4.api.spending import list_spending as operation

        start = None if from_ is None else instant("from_", from_)
        end = None if to is None else instant("to", to, end=True)
        if start and end and end < start:
            raise ArgumentError("to", "must not be before from_")
        request = built(
            operation.request,
            app_id=text_or_none("app_id", app_id),
            from_=wire_time(start) if start else None,
            to=wire_time(end) if end else None,
            limit=None if limit is None else count("limit", limit, least=1),
            offset=None if offset is None else count("offset", offset, least=0),
        )
        return (yield from self._root.call(request, operation.parse))

    @paged
    def iterate(
        self,
        *,
        app_id: str | None = None,
        from_: Day | None = None,
        to: Day | None = None,
        page_size: int = 100,
    ) -> Flow[Page[SpendingRow]]:
        """All that was spent, row by row: `for row in ...`, with the async client `async for row in ...`.

        Holds one page, and asks for the next when its rows are used up. A call that is made meanwhile does not make a
        row come twice.

        Args:
            app_id: As for `list`.
            from_: As for `list`.
            to: As for `list`.
            page_size: Rows to ask for at once.

        Raises:
            ArgumentError: As for `list`; when the first row is asked for.
            BadRequestError: As for `list`.

        Source: Tokenite admin API, `GET /api/spending`.
        """
        count("page_size", page_size, least=1)
        return by_offset(
            lambda offset: self.list(app_id=app_id, from_=from_, to=to, limit=page_size, offset=offset),
            key=lambda row: row.id,
        )
