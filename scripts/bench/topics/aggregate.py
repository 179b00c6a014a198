"""A million rows from an iterator of answers: sums by user and by pipeline and model, in bounded memory."""

from __future__ import annotations

import time
from collections.abc import Iterator

from scripts.bench.figures import Figure, at_most
from scripts.bench.measure import Sizes, memory
from scripts.bench.topics.decode import EXTRA, HEAD, big_answer

from tollkit.pymthouse import read_usage_rows
from tollkit.usage import UsageAggregate, aggregate
from tollkit_api.runtime.answers import load_json

METHOD = (
    "answers of 50,000 rows, half of them by user and half by pipeline and model, each made when the one before was"
    " added; the time leaves out what it takes to make their text"
)
MIB = 1 << 20


def pipelines(rows: int, first: int = 0) -> bytes:
    """A usage answer with this many rows by pipeline and model."""
    text = ",".join(
        f'{{"pipeline":"pipeline-{n % 7}","modelId":"organisation/model-{n % 300}","currency":"USD",'
        f'"requestCount":{n % 97},"networkFeeUsdMicros":"{n * 7919}","ownerChargeUsdMicros":"{n * 8001}",'
        f'"endUserBillableUsdMicros":"{n * 9001}"}}'
        for n in range(first, first + rows)
    )
    return f'{HEAD}"byPipelineModel":[{text}]}}'.encode()


def bodies(sizes: Sizes) -> Iterator[bytes]:
    """The texts of all answers."""
    for at, first in enumerate(range(0, sizes.all_rows, sizes.rows)):
        yield (big_answer if at % 2 == 0 else pipelines)(sizes.rows, first)


def expected(sizes: Sizes) -> tuple[int, int]:
    """The fees by user and by pipeline and model, by arithmetic alone."""
    sums = [0, 0]
    for at, first in enumerate(range(0, sizes.all_rows, sizes.rows)):
        sums[at % 2] += sum(range(first, first + sizes.rows)) * 7919
    return sums[0], sums[1]


def figures(sizes: Sizes) -> Iterator[Figure]:
    """Time and memory, with the extra and without."""
    for name, title, read in (
        ("rows", f"rows from text, summed both ways ({EXTRA})", read_usage_rows),
        ("json", "rows from text, summed both ways as JSON", load_json),
    ):
        sums = UsageAggregate()
        spent = 0.0
        for body in bodies(sizes):
            started = time.process_time()
            sums.add(read(body))
            spent += time.process_time() - started
        told = (
            sum(one.network_fee_usd_micros for one in sums.by_user.values()),
            sum(one.network_fee_usd_micros for one in sums.by_pipeline_model.values()),
        )
        assert told == expected(sizes), "the sums must be exact"
        count = f"{sizes.all_rows:,}"
        yield Figure(
            topic="aggregate", name=name, title=f"{count} {title}", unit="s", ours=spent, method=f"CPU time; {METHOD}"
        )
    one, _ = memory(lambda: next(bodies(sizes)))
    _, peak = memory(lambda: aggregate(read_usage_rows(body) for body in bodies(sizes)))
    yield Figure(
        topic="aggregate",
        name="memory",
        title=f"{count} rows summed: memory at most ({EXTRA})",
        unit="MiB",
        ours=peak / MIB,
        aim=at_most(16 + 6 * one / MIB, "that of one answer, not of all"),
        method=f"bytes that Python counts (tracemalloc) at most, texts of answers included; {METHOD}",
    )
