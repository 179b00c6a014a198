"""A usage answer of 50,000 rows: its text to typed rows, in time and in memory, and rows to sums."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from scripts.bench import peers
from scripts.bench.figures import Aim, Figure, ratio_of
from scripts.bench.measure import Sizes, medians, memory

from tollkit.pymthouse import read_usage_rows
from tollkit.usage import by_user
from tollkit_api.runtime.answers import load_json
from tollkit_api.usage.v2026_05.models import UsageResponse

STOCK = "stock generated package"
TIME = "CPU time, its garbage included; both take turns in each round; median of the rounds"
EXTRA = "extra rows" if find_spec("msgspec") else "extra rows not installed"
FROM_TEXT = f"{TIME}; from the bytes of the answer, the peer by json.loads and from_dict"
HELD = "bytes that Python counts (tracemalloc) for the rows of one answer, read from its text"


HEAD = (
    f'{{"clientId":"{peers.APP}","period":{{"start":"2026-05-01T00:00:00.000Z","end":"2026-05-31T23:59:59.999Z"}},'
    '"totals":{"requestCount":1,"currency":"USD"},'
)


def big_answer(rows: int, first: int = 0) -> bytes:
    """A usage answer with this many user rows, as a server writes it."""
    text = ",".join(
        f'{{"endUserId":"00000000-0000-4000-8000-{n:012d}","externalUserId":"user-{n % 1000}",'
        f'"userType":"system_managed","identifier":"00000000-0000-4000-8000-{n:012d}","currency":"USD",'
        f'"networkFeeUsdMicros":"{n * 7919}","ownerChargeUsdMicros":"{n * 8001}",'
        f'"endUserBillableUsdMicros":"{n * 9001}","requestCount":{n % 97}}}'
        for n in range(first, first + rows)
    )
    return f'{HEAD}"byUser":[{text}]}}'.encode()


def figures(sizes: Sizes) -> Iterator[Figure]:
    """Typed rows by each way, and sums."""
    models = peers.stock_package().models
    body = big_answer(sizes.rows)
    decoded = json.loads(body)
    count = f"{sizes.rows:,} rows"

    def stock() -> Any:
        return models.UsageResponse.from_dict(json.loads(body))

    def by_models() -> Any:
        return UsageResponse.from_dict(load_json(body))

    def rows() -> Any:
        return read_usage_rows(body)

    assert by_user(rows()) == by_user(by_models())
    assert {user: sums.network_fee_usd_micros for user, sums in by_user(rows()).items()} == stock_sums(stock())
    works = {
        "rows": rows,
        "models": by_models,
        "stock": stock,
        "models.decoded": lambda: UsageResponse.from_dict(decoded),
        "stock.decoded": lambda: models.UsageResponse.from_dict(decoded),
        "rows.sums": lambda: by_user(rows()),
        "stock.sums": lambda: stock_sums(stock()),
        "json.sums": lambda: by_user(load_json(body)),
    }
    found = medians(works, sizes.rounds)

    def timed(name: str, title: str, peer: str, method: str, aim: Aim | None = None) -> Figure:
        return Figure(
            topic="decode", name=name, title=title, unit="ms", ours=found[name] * 1e3, peer_name=STOCK,
            peer=found[peer] * 1e3, ratio=found.ratio(name, peer), aim=aim, method=method,
        )  # fmt: skip

    fifth = ratio_of(0.20, "5 times faster")
    yield timed("rows", f"{count} from text ({EXTRA})", "stock", FROM_TEXT, fifth)
    yield timed("models", f"{count} from text, as models", "stock", FROM_TEXT)
    decoded_method = f"{TIME}; from decoded JSON, the parser's time left out"
    yield timed("models.decoded", f"{count} from decoded JSON, as models", "stock.decoded", decoded_method)
    yield timed("rows.sums", f"{count} from text, summed by user ({EXTRA})", "stock.sums", FROM_TEXT)
    json_method = f"{FROM_TEXT}; ours without making rows"
    yield timed("json.sums", f"{count} from text, summed by user as JSON", "stock.sums", json_method)
    theirs, theirs_peak = memory(stock)
    for name, title, work in (
        ("rows", f"a row holds ({EXTRA})", rows),
        ("models", "a row holds, as models", by_models),
    ):
        held, peak = memory(work)
        half = ratio_of(0.50, "half the memory") if name == "rows" else None
        yield Figure(
            topic="decode", name=f"{name}.memory", title=title, unit="B", ours=held / sizes.rows, peer_name=STOCK,
            peer=theirs / sizes.rows, aim=half, method=HELD,
        )  # fmt: skip
        yield Figure(
            topic="decode", name=f"{name}.peak", title=f"{title}, at most while it is read", unit="B",
            ours=peak / sizes.rows, peer_name=STOCK, peer=theirs_peak / sizes.rows, aim=half,
            method=f"{HELD}: the most on the way",
        )  # fmt: skip


def stock_sums(usage: Any) -> dict[str | None, int]:
    """What somebody writes who adds up stock rows by user."""
    found: dict[str | None, list[int]] = {}
    for one in usage.by_user:
        known = found.setdefault(one.external_user_id, [0, 0, 0, 0])
        known[0] += int(one.network_fee_usd_micros)
        known[1] += int(one.owner_charge_usd_micros)
        known[2] += int(one.end_user_billable_usd_micros)
        known[3] += one.request_count
    return {user: known[0] for user, known in found.items()}
