"""What every platform brings: the environment, the heads of answers, error bodies, entity tags, usage, manifests."""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Any

from inputs import answer_of, json_of, object_of, only_ours, parts, texts

from tollkit.core.answers import content_type, json_body, path_part, preview, request_id, retry_after
from tollkit.core.etag_store import Entry
from tollkit.pymthouse import service as pymthouse_service
from tollkit.pymthouse.env import get_pymthouse_base_url, require_pymthouse_env
from tollkit.pymthouse.js_date import parse_js_date
from tollkit.pymthouse.manifest import compute_manifest_revision, parse_app_manifest_response
from tollkit.pymthouse.usage import (
    aggregate_usage_by_external_user_id,
    list_usage_by_pipeline_model,
    parse_usage_date_param,
    read_usage_rows,
)
from tollkit.run402 import config as run402_config
from tollkit.run402.kernel import _refused as run402_error
from tollkit.secrets import Secret
from tollkit.tokenite import config as tokenite_config
from tollkit.tokenite import service as tokenite_service
from tollkit_api.builder.v2026_05.api.users import list_app_users
from tollkit_api.usage.v2026_05 import bulk as _bulk  # noqa: F401 - imported here, a fuzzer sees into it
from tollkit_api.usage.v2026_05.models import UsageResponse

SENT = "pmth_cs_0123456789abcdef"


@cache
def _request() -> Any:
    return list_app_users.request("app_1")


def environment(data: bytes) -> None:
    """Lines of NAME=value, as a shell or a file has them."""
    lines = [line.partition("=") for line in texts(data, 1)[0].split("\n")]
    env = {name: value for name, sign, value in lines if sign and name}
    secrets = [value for name, value in env.items() if name.endswith("_SECRET")]
    secrets = [value for value in secrets if sum(value in other for other in env.values()) == 1]
    with only_ours(secrets=secrets):
        found = require_pymthouse_env(env)
        assert not any(value in repr(found) for value in secrets if len(value) >= 8), "a secret is shown"
    with only_ours(secrets=secrets):
        assert not get_pymthouse_base_url(env).endswith("/")
    with only_ours(secrets=secrets):
        given: dict[str, Any] = {}
        tokenite_config.settings_from_env(tokenite_config.VARIABLES, given, env, required="client_id")
    with only_ours(secrets=secrets):
        run402_config.deploy_api_base(env)
    run402_config.allowance_path(env)
    run402_config.legacy_allowance_path(env)
    run402_config.keystore_path(env)


def error_answers(data: bytes) -> None:
    """An answer of anything, read as the error of each platform: head, body."""
    head, body = parts(data, 2)
    body = body.replace(b"SENT", SENT.encode())
    answer = answer_of(head, body)
    wait = retry_after(answer.headers)
    assert wait is None or wait >= 0, "a wait that goes back in time"
    content_type(answer)
    told = json_body(answer)
    request_id(answer, told)
    assert len(preview(answer)) <= 800
    if isinstance(told, dict) and isinstance(told.get("id"), str):
        with only_ours():
            path_part(told["id"], "$", "id")
    sent = [Secret(SENT)]
    for failed in (
        pymthouse_service.read_error(_request(), answer, sent=sent),
        tokenite_service.read_error(_request(), answer, sent=sent),
        run402_error(_request(), answer, "trying", sent),
    ):
        with only_ours(secrets=[SENT] if told is not None else []):
            raise failed


def etag_entry(data: bytes) -> None:
    """What a store of entity tags gives back."""
    found = Entry.load(data)
    if found is not None:
        assert math.isfinite(found.fetched_at)
        assert math.isfinite(found.checked_at)
        assert Entry.load(found.dump()) == found


def usage(data: bytes) -> None:
    """A usage answer: typed rows by either decoder, and sums over it."""
    found = object_of(data)
    quick = strict = None
    with only_ours():
        quick = read_usage_rows(data)
    with only_ours():
        strict = UsageResponse.from_dict(found)
    if quick is not None and strict is not None:
        assert quick.client_id == strict.client_id
        assert quick.totals.request_count == strict.totals.request_count
        assert len(quick.by_user or ()) == len(strict.by_user or ())
    if strict is not None:
        summed = aggregate_usage_by_external_user_id(strict.by_user or None, "alice")
        assert summed.request_count <= sum(row.request_count for row in strict.by_user or ())
        list_usage_by_pipeline_model(strict)


def app_manifest(data: bytes) -> None:
    """The manifest of an app: read, and its revision computed."""
    found = json_of(data)
    with only_ours():
        read = parse_app_manifest_response(found)
        assert compute_manifest_revision(read) == compute_manifest_revision(parse_app_manifest_response(found))
        again = parse_app_manifest_response(json.loads(json.dumps(read.to_dict())))
        assert compute_manifest_revision(again) == compute_manifest_revision(read)


def dates(data: bytes) -> None:
    """Dates as JavaScript reads them."""
    (text,) = texts(data, 1)
    found = parse_js_date(text)
    assert found is None or abs(found) <= 8_640_000_000_000_000
    kept = parse_usage_date_param(text)
    assert kept is None or kept == parse_usage_date_param(kept)
