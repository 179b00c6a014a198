"""Every operation of every document, with what schemathesis makes of the document, against the sandbox.

Valid and invalid data, with credentials and without: each answer is one that the document describes. The data is the
same in every run; TOLLKIT_FUZZ_EXAMPLES asks for more of it.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import pytest
import requests
import schemathesis
from documented_apis import DOCUMENTS, Operation, Request, document, fresh, operations, payment
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.core import NOT_SET
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tollkit.sandbox import Sandbox

EXAMPLES = int(os.environ.get("TOLLKIT_FUZZ_EXAMPLES", "4"))
"""Made-up requests an operation: so many valid ones, so many invalid ones; a quarter more without credentials."""
SYSTEMATIC = 5 * EXAMPLES
"""How many of schemathesis' systematic requests (bounds, enum values, parts left out) an operation gets."""
PART, PARTS = map(int, os.environ.get("TOLLKIT_FUZZ_PART", "0/1").split("/"))
"""Which of how many equal parts of the operations this run takes; all of them when nothing is said."""
EVERY = operations()
OPERATIONS = EVERY[PART::PARTS]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# What a function answers is told as bytes of any type; schemathesis reads JSON in them and misses a text.
_ANY_BYTES = {operation.id for operation in EVERY if operation.path == "/functions/v1/{name}"}
# They take nothing, or a text of a path that may be any text: no request breaks the document.
HARMLESS = {
    "getEthUsdPrice",
    "getPipelineCatalog",
    "getHealth",
    "listMarketplaceApps",
    "projectsGetQuote",
    "projectsList",
    "appsGetApp",
    "billingCheckBalance",
    "serviceStatus",
    "serviceHealth",
}
QUIET = settings(
    derandomize=True, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
_DIGITS = st.text("0123456789", min_size=1, max_size=40).map(lambda text: text.lstrip("0") or "0")
for _name, _texts in {
    "int-string": _DIGITS,
    "decimal": st.builds(lambda whole, part: f"{whole}.{part}" if part else whole, _DIGITS, st.text("0123456789")),
    "password": st.text(),
}.items():
    schemathesis.openapi.format(_name, _texts)


def _schemas() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for api in DOCUMENTS:
        config = SchemathesisConfig()
        schema = schemathesis.openapi.from_dict(document(api), config=config)
        found |= {(api, each.ok().definition.raw["operationId"]): each.ok() for each in schema.get_all_operations()}
    return found


SCHEMAS = _schemas()


@pytest.fixture(scope="module")
def http() -> Iterator[requests.Session]:
    with requests.Session() as http:
        http.trust_env = False
        yield http


@attrs.define
class Trial:
    """One operation, called again and again."""

    sandbox: Sandbox
    http: requests.Session
    operation: Operation
    usual: Request
    statuses: Counter[int] = attrs.field(factory=Counter)
    findings: dict[str, str] = attrs.field(factory=dict)

    def send(self, case: Any, credentials: Mapping[str, str] | None) -> None:
        """Send a case, pay what it costs, and hold the answer against the document."""
        base = self.operation.base(self.sandbox)
        headers: dict[str, str] = {}
        if credentials is not None:
            sent = case.as_transport_kwargs(base)
            url = requests.Request("GET", sent["url"], params=sent.get("params")).prepare().url
            headers = fresh(credentials, self.sandbox, url)
        answer = case.call(base_url=base, session=self.http, headers=headers)
        self.check(case, answer)
        paying = payment(self.sandbox, answer.status_code, _flat(answer.headers), answer.content)
        if paying and credentials is not None:
            self.check(case, case.call(base_url=base, session=self.http, headers={**headers, **paying}))

    def explore(self, schema: Any, mode: GenerationMode, amount: int, *, let_in: bool) -> None:
        """Send made-up requests."""

        @settings(QUIET, max_examples=amount)
        @given(case=schema.as_strategy(generation_mode=mode), luck=st.randoms(use_true_random=False))
        def call(case: Any, luck: random.Random) -> None:
            mix(case, self.usual, luck)
            self.send(case, luck.choice(self.usual.credentials) if let_in else None)

        call()

    def check(self, case: Any, answer: Any) -> None:
        self.statuses[answer.status_code] += 1
        left_out: list[Any] = []
        if str(answer.status_code) in case.operation.definition.raw["responses"]:
            # Some servers fail on a broken body, and a document that names the very status says so.
            left_out.append(not_a_server_error)
        if self.operation.id in _ANY_BYTES:
            left_out.append(response_schema_conformance)
        try:
            case.validate_response(answer, checks=[check for check in CHECKS if check not in left_out])
        except (Failure, FailureGroup) as failure:
            for each in getattr(failure, "exceptions", [failure]):
                self.findings.setdefault(f"{answer.status_code} {each}", str(failure))


def _flat(headers: Mapping[str, list[str]]) -> dict[str, str]:
    return {name: ", ".join(values) for name, values in headers.items()}


def mix(case: Any, usual: Request, luck: random.Random) -> None:
    """Put parts of a request that succeeds into one that was made up, which alone would lead nowhere."""
    path = dict(case.path_parameters or {})
    for name, value in usual.path.items():
        if name not in path or luck.random() < 0.8:
            path[name] = value
    case.path_parameters = path
    query = dict(case.query or {})
    query |= {name: value for name, value in usual.query.items() if luck.random() < 0.8}
    case.query = query
    headers = dict(case.headers or {})
    headers |= {
        name: value for name, value in usual.headers.items() if name != "content-type" and luck.random() < 0.7
    }
    case.headers = headers
    if usual.body is not None and case.body is not NOT_SET:
        case.body = mixed(case.body, usual.body, luck)


def mixed(made: object, usual: object, luck: random.Random) -> object:
    """A body of which some members are usual and some are made up."""
    if isinstance(made, dict) and isinstance(usual, dict):
        both: dict[str, object] = {}
        for name in {**usual, **made}:
            if name in usual and name in made:
                both[name] = mixed(made[name], usual[name], luck)
            elif name in made or luck.random() < 0.8:
                both[name] = made[name] if name in made else usual[name]
        return both
    return usual if luck.random() < 0.6 else made


def systematic(operation: Any) -> list[Any]:
    """Evenly chosen ones of schemathesis' systematic requests."""
    config = operation.schema.config.generation_for(operation=operation)
    cases = operation.schema.iter_coverage_cases(
        operation, generation_modes=list(GenerationMode), generation_config=config
    )
    every = list(cases)
    step = max(1.0, len(every) / SYSTEMATIC)
    return [every[int(number * step)] for number in range(min(len(every), SYSTEMATIC))]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.api}-{each.id}")
def test_answers_are_the_documents(tollkit_sandbox: Sandbox, http: requests.Session, operation: Operation) -> None:
    schema = SCHEMAS[operation.api, operation.id]
    trial = Trial(tollkit_sandbox, http, operation, operation.prepare(tollkit_sandbox))
    usual = trial.usual
    for number, case in enumerate(systematic(schema)):
        if not case.meta.is_negative_at(ParameterLocation.PATH):
            case.path_parameters = {**(case.path_parameters or {}), **usual.path}
        if not case.meta.is_negative_at(ParameterLocation.QUERY):
            case.query = {**(case.query or {}), **usual.query}
        if not case.meta.is_negative_at(ParameterLocation.HEADER):
            case.headers = dict(usual.headers)
        trial.send(case, usual.credentials[number % len(usual.credentials)])
    for mode in GenerationMode:
        for amount, let_in in ((EXAMPLES, True), (max(2, EXAMPLES // 4), False)):
            if mode is GenerationMode.POSITIVE or operation.id not in HARMLESS:
                trial.explore(schema, mode, amount, let_in=let_in)
    assert trial.findings == {}
    assert any(status < 400 for status in trial.statuses), "no request succeeded"
    assert operation.may_be_open or {401, 402, 404} & set(trial.statuses), "nobody was refused"
    assert trial.statuses.total() >= 10


def test_no_operation_is_left_out() -> None:
    documented = {(api, name) for api, name in SCHEMAS if api != "tokenite_1"}
    assert {(each.api, each.id) for each in EVERY} == documented | {("tokenite_1", "getAccessContext")}
    assert Counter(each.api for each in EVERY)["run402"] >= 116


def test_no_document_has_links_to_follow() -> None:
    """With links schemathesis could chain operations; instead documented_apis.py leads through what comes before."""
    responses = [each.definition.raw["responses"] for each in SCHEMAS.values()]
    assert not any("links" in response for each in responses for response in each.values())
