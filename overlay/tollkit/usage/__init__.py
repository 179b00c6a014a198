"""Arithmetic over usage answers of any platform: exact, without I/O.

    from tollkit.usage import aggregate, by_user, to_rows
    for user, sums in by_user(answer).items(): ...
    for user, sums in aggregate(answers).by_user.items(): ...  # any number of answers, one in memory at a time
    pandas.DataFrame(to_rows(answer))

Answers and rows may be decoded JSON, or models or bulk rows of the generated packages. Money is whole micro-dollars
or wei.
"""

from __future__ import annotations

from tollkit.usage.aggregate import UsageAggregate, aggregate
from tollkit.usage.amounts import micros_to_usd, wei_to_eth
from tollkit.usage.rows import to_rows
from tollkit.usage.totals import UsageTotals, by_pipeline_model, by_user, totals

__all__ = [
    "UsageAggregate",
    "UsageTotals",
    "aggregate",
    "by_pipeline_model",
    "by_user",
    "micros_to_usd",
    "to_rows",
    "totals",
    "wei_to_eth",
]
