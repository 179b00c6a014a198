"""What the Tokenite documents say, against each other and against the fact sheet's own tables."""

from __future__ import annotations

from collections import defaultdict

import pytest

from lint_specs import SPECS, OpenApi, load, walk

PINS = ("v1_0", "v2_4")
# status -> codes, and who refuses, from the platform's fact sheet
TABLE = {
    (401, "proxy"): "TOKEN_INVALID TOKEN_REVOKED TOKEN_EXPIRED",
    (403, "proxy"): "TOKEN_SUSPENDED MODEL_NOT_ALLOWED AGENT_SCOPE_MISSING",
    (402, "proxy"): "BUDGET_EXCEEDED PROVIDER_KEY_MISSING CREDITS_DEPLETED POOL_EXHAUSTED SPONSORED_POOL_EXHAUSTED "
    "SPONSORED_KEY_UNAVAILABLE SPONSORED_PROVIDER_MISMATCH",
    (404, "proxy"): "APP_NOT_FOUND",
    (400, "provider"): "CONTEXT_LENGTH_EXCEEDED INVALID_REQUEST CONTENT_FILTERED",
    (401, "provider"): "AUTHENTICATION_FAILED",
    (429, "provider"): "RATE_LIMITED",
    (502, "provider"): "PROVIDER_ERROR",
    (503, "provider"): "PROVIDER_OVERLOADED",
    (504, "provider"): "PROVIDER_TIMEOUT",
}
CODES = {code: place for place, codes in TABLE.items() for code in codes.split()}


@pytest.fixture(params=PINS)
def doc(request):
    return OpenApi(load(SPECS / "tokenite" / f"{request.param}.yaml"))


def operations(doc):
    return {op.data["operationId"]: op for op in doc.operations()}


def test_error_codes_are_those_of_the_table(doc):
    assert doc.components("schemas")["ProxyErrorCode"]["enum"] == list(CODES)
    shape = load(SPECS / "shapes" / "tokenite_error_code.json")
    assert shape["anyOf"] == [{"enum": list(CODES)}, {"type": "string"}]
    assert shape["x-table"] == {code: {"status": status, "source": who} for code, (status, who) in CODES.items()}


def test_every_code_is_explained_at_its_status(doc):
    call = operations(doc)["callProvider"].data
    said = defaultdict(set)
    for code, (status, _) in CODES.items():
        said[str(status)].add(code)
        assert code in call["x-status-hints"][str(status)]
    assert call["x-status-hints"].keys() == said.keys() == call["responses"].keys() - {"200", "default"}
    for status, answer in call["responses"].items():
        for example in answer["content"]["application/json"]["examples"].values():
            if status.isdigit() and status != "200":
                error = example["value"]["error"]
                assert CODES[error["code"]] == (int(status), error["source"])


def test_each_host_has_its_own_operations(doc):
    hosts = defaultdict(set)
    for name, op in operations(doc).items():
        (server,) = doc.data["paths"][op.path].get("servers", doc.data["servers"])
        ((variable, facts),) = server["variables"].items()
        assert server["url"] == f"{{{variable}}}"
        hosts[facts["default"]].add(name)
    assert (
        hosts["https://tokenite.ai"] == {"getAuthorizePage", "getTopUpPage", "exchangeCode"} & operations(doc).keys()
    )
    assert len(hosts) == 2
    assert len(hosts["https://api.tokenite.ai"]) == 38


def test_each_credential_opens_its_own_operations(doc):
    schemes = defaultdict(set)
    for name, op in operations(doc).items():
        assert len(op.data["security"]) <= 1
        schemes[next((scheme for each in op.data["security"] for scheme in each), "")].add(name)
    assert schemes["userToken"] == {"getAccessContext", "callProvider"}
    pages = {"getAuthorizePage", "getTopUpPage"} & operations(doc).keys()
    assert schemes[""] == {"exchangeCode", "register", "login", *pages}
    assert len(schemes["adminKey"]) == 34


def test_calls_on_an_account_name_it_in_a_header(doc):
    for op in doc.operations():
        headers = {each["name"]: each["required"] for each, _ in doc.parameters(op) if each["in"] == "header"}
        keyed = op.data["security"] == [{"adminKey": []}]
        assert headers == ({"x-account-id": "{accountId}" in op.path} if keyed else {})


def test_amounts_are_decimals(doc):
    money = {"Usd", "Limit", "Spent", "totalCost", "budget_limit", "PerMillion"}
    found = 0
    for pointer, node in walk(doc.data["components"]["schemas"]):
        if pointer[-2:-1] == ("properties",) and pointer[-1].endswith(tuple(money)):
            found += 1
            assert node.get("format") == "decimal", pointer
            assert "US dollars" in node["description"], pointer
    assert found == (16 if "AccessContextModel" in doc.components("schemas") else 14)


def test_what_is_assumed_stands_in_one_place(doc):
    assumed = doc.data["x-provenance"]["assumed"]
    keys = [each["key"] for each in assumed]
    assert len(keys) == len(set(keys))
    assert all(each["fact"].strip() for each in assumed)
    used = {key for op in doc.operations() for key in op.data.get("x-provenance", {}).get("assumed", [])}
    assert used <= set(keys)


def test_the_facts_that_the_sheet_marks_as_assumed():
    provenance = load(SPECS / "tokenite" / "v2_4.yaml")["x-provenance"]
    by_key = {each["key"]: each for each in provenance["assumed"]}
    assert {
        "access-context-path",
        "top-up-page",
        "top-up-query",
        "top-up-messages",
        "pool-exhausted-recoverable",
        "callback-order",
    } <= by_key.keys()
    overrides = {key: each["override"] for key, each in by_key.items() if "override" in each}
    assert overrides == {"access-context-path": "access_context_path", "top-up-page": "top_up_path"}


def test_queries_of_pages_keep_the_order_of_the_sheet():
    ops = operations(OpenApi(load(SPECS / "tokenite" / "v2_4.yaml")))
    doc = OpenApi(load(SPECS / "tokenite" / "v2_4.yaml"))
    names = {
        name: [each["name"] for each, _ in doc.parameters(ops[name])] for name in ("getAuthorizePage", "getTopUpPage")
    }
    assert names == {
        "getAuthorizePage": [
            "client_id",
            "redirect_uri",
            "response_type",
            "state",
            "suggested_budget",
            "mode",
            "prompt",
        ],
        "getTopUpPage": ["client_id", "redirect_uri", "state", "mode", "suggested_amount"],
    }


@pytest.mark.parametrize(("shape", "types"), [("auth", {"auth-success", "auth-error"}), ("top_up", None)])
def test_messages_are_told_apart_by_their_type(shape, types):
    message = load(SPECS / "shapes" / f"tokenite_{shape}_message.json")
    members = [load(SPECS / "shapes" / each["$ref"]) for each in message["oneOf"]]
    found = {member["properties"]["type"]["const"] for member in members}
    assert found == {f"tokenite:{each}" for each in types or {"topup-success", "topup-cancelled"}}
    assert found == {example["type"] for example in message["examples"]}
