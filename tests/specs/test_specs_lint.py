"""Every rule of the lint catches the slip that it is there for, and says where it is."""

from __future__ import annotations

import copy
import json

import pytest
import yaml

import lint_specs
from lint_specs import RULES, SHAPE_BASE, Finding, lint

CLEAN = yaml.safe_load("""
openapi: 3.1.0
info: {title: Shop, version: 2026-05, description: A shop.}
x-provenance: {source: a server, date: "2026-05-22", evidence: [], assumed: []}
tags: [{name: orders, description: Orders.}]
paths:
  /orders/{orderId}:
    post:
      operationId: payOrder
      tags: [orders]
      summary: Pay an order
      description: Pays it.
      security: [{key: []}]
      x-idempotent: true
      x-status-hints: {"404": No such order.}
      parameters:
        - {name: orderId, in: path, required: true, description: Id., schema: {type: string}, example: o1}
      requestBody:
        content:
          application/json:
            schema: {$ref: "#/components/schemas/Payment"}
            example: {amountUsdMicros: "5"}
      responses:
        "200":
          description: Paid.
          headers: {ETag: {$ref: "#/components/headers/Tag"}}
          content:
            application/json:
              schema: {$ref: "#/components/schemas/Payment"}
              examples:
                paid: {value: {amountUsdMicros: "1000000", feeEth: "0.5", paidAt: "2026-05-22T10:00:00.000Z"}}
        "404": {$ref: "#/components/responses/Missing"}
    get:
      operationId: getOrder
      tags: [orders]
      summary: Get an order
      description: Gets it.
      security: []
      x-lint-exempt: {client-error: Nobody is refused.}
      parameters:
        - {name: orderId, in: path, required: true, description: Id., schema: {type: string}}
      responses:
        "204": {description: Nothing to tell.}
components:
  securitySchemes:
    key: {type: http, scheme: bearer, description: A key.}
  headers:
    Tag: {description: A tag., schema: {type: string}, example: '"x"'}
  responses:
    Missing:
      description: Missing.
      content:
        application/json:
          schema: {$ref: "#/components/schemas/Error"}
          example: {error: Not found}
  schemas:
    Error:
      type: object
      description: An error.
      properties:
        error: {type: string, description: Words., examples: [Not found]}
    Payment:
      type: object
      description: A payment.
      required: [amountUsdMicros]
      properties:
        amountUsdMicros: {type: string, format: int-string, description: "Amount, in micro-dollars."}
        feeEth: {type: string, format: decimal, description: "Fee, in ETH."}
        paidAt: {type: [string, "null"], format: date-time, description: When.}
""")

SHAPE = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": SHAPE_BASE + "o_auth_error.json",
    "title": "OAuthError",
    "description": "An error.",
    "type": "object",
    "allOf": [{"$ref": "base.json"}],
    "properties": {"error": {"type": "string", "description": "Code."}},
    "examples": [{"error": "x", "uri": "https://example.com/x"}],
}
BASE = {
    "$schema": SHAPE["$schema"],
    "$id": SHAPE_BASE + "base.json",
    "title": "Base",
    "description": "A page.",
    "type": "object",
    "properties": {"uri": {"type": "string", "format": "uri", "description": "Page."}},
    "examples": [{}],
}

POST = ("paths", "/orders/{orderId}", "post")
GET = ("paths", "/orders/{orderId}", "get")
PAYMENT = ("components", "schemas", "Payment")
PROPERTIES = (*PAYMENT, "properties")
ANSWER = (*POST, "responses", "200", "content", "application/json")
PAID = (*ANSWER, "examples", "paid", "value")
SENT = (*POST, "requestBody", "content", "application/json", "example")
ORDER_ID = CLEAN["paths"]["/orders/{orderId}"]["post"]["parameters"][0]
MISSING = {"$ref": "#/components/responses/Missing"}
DROP = object()


def edited(document, edits):
    """A copy with the value at each place replaced, or dropped."""
    changed = copy.deepcopy(document)
    for place, value in edits.items():
        node = changed
        for part in place[:-1]:
            node = node[part]
        if value is DROP:
            del node[place[-1]]
        else:
            node[place[-1]] = value
    return changed


def pointer(place):
    return "".join("/" + str(part).replace("/", "~1") for part in place)


def lint_text(folder, text, name="shop.yaml"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return lint(path)


# rule, where the finding is, a part of its message, what is wrong
PLANTED = [
    ("valid", (*GET, "responses", "204"), "'description' is a required", {(*GET, "responses", "204"): {}}),
    ("valid", (), "'info' is a required", {("info",): DROP}),
    ("operation-id", POST, "no operationId", {(*POST, "operationId"): DROP}),
    ("operation-id", (*POST, "operationId"), "camelCase", {(*POST, "operationId"): "pay_order"}),
    ("operation-id", (*POST, "operationId"), "camelCase", {(*POST, "operationId"): "PayOrder"}),
    ("tag", POST, "0 tags", {(*POST, "tags"): []}),
    ("tag", POST, "2 tags", {(*POST, "tags"): ["orders", "money"]}),
    ("tag", (*POST, "tags", 0), "'money' is not described", {(*POST, "tags"): ["money"]}),
    ("wording", POST, "no summary", {(*POST, "summary"): DROP}),
    ("wording", POST, "no description", {(*POST, "description"): " "}),
    ("wording", (*POST, "summary"), "full stop", {(*POST, "summary"): "Pay."}),
    ("wording", (*POST, "parameters", 0), "'orderId'", {(*POST, "parameters", 0, "description"): DROP}),
    ("wording", PAYMENT, "no description", {(*PAYMENT, "description"): DROP}),
    ("wording", (*PROPERTIES, "paidAt"), "no description", {(*PROPERTIES, "paidAt", "description"): DROP}),
    (
        "wording",
        ("components", "securitySchemes", "key"),
        "no description",
        {("components", "securitySchemes", "key", "description"): DROP},
    ),
    ("security", POST, "no security of its own", {(*GET, "security"): [{"key": []}], (*POST, "security"): DROP}),
    ("security", (*GET, "security", 0), "no security scheme 'lock'", {(*GET, "security"): [{"lock": []}]}),
    ("success", GET, "no 2xx", {(*GET, "responses"): {"302": {"description": "Elsewhere."}}}),
    (
        "required",
        (*PAYMENT, "required", 1),
        "'fee' is no property",
        {(*PAYMENT, "required"): ["amountUsdMicros", "fee"], (*PAID, "fee"): 1, (*SENT, "fee"): 1},
    ),
    ("client-error", GET, "no 4xx", {(*GET, "x-lint-exempt"): DROP}),
    (
        "client-error",
        POST,
        "no 4xx",
        {
            (*POST, "responses", "404"): {"description": "?"},
            (*GET, "responses", "404"): MISSING,
            (*GET, "x-lint-exempt"): {},
        },
    ),
    ("example", ANSWER, "no example", {(*ANSWER, "examples"): DROP}),
    ("example", PAID, "'amountUsdMicros' is a required property", {(*PAID, "amountUsdMicros"): DROP}),
    ("example", (*PAID, "feeEth"), "is not of type 'string'", {(*PAID, "feeEth"): 0.5}),
    ("example", (*PAID, "feeEth"), "is not a 'decimal'", {(*PAID, "feeEth"): "1e3"}),
    ("example", (*PAID, "amountUsdMicros"), "is not a 'int-string'", {(*PAID, "amountUsdMicros"): "1.5"}),
    ("example", (*PAID, "paidAt"), "is not a 'date-time'", {(*PAID, "paidAt"): "2026-05-22"}),
    ("example", (*PAID, "paidAt"), "is not a 'date-time'", {(*PAID, "paidAt"): "2026-05-22T10:00:00"}),
    ("example", (*POST, "parameters", 0, "example"), "type 'string'", {(*POST, "parameters", 0, "example"): 1}),
    (
        "example",
        ("components", "headers", "Tag", "example"),
        "type 'string'",
        {("components", "headers", "Tag", "example"): 1},
    ),
    (
        "example",
        ("components", "schemas", "Error", "properties", "error", "examples", 0),
        "type 'string'",
        {("components", "schemas", "Error", "properties", "error", "examples"): [1]},
    ),
    (
        "example",
        SENT,
        "is a required property",
        {SENT: {}},
    ),
    ("path-parameter", GET, "'orderId' is not declared", {(*GET, "parameters"): []}),
    (
        "path-parameter",
        (*GET, "parameters", 1),
        "'id' is not in the path",
        {(*GET, "parameters"): [ORDER_ID, {**ORDER_ID, "name": "id"}]},
    ),
    ("provenance", (), "no x-provenance", {("x-provenance",): DROP}),
    ("provenance", ("x-provenance",), "'assumed'", {("x-provenance", "assumed"): DROP}),
    ("provenance", ("x-provenance",), "'date'", {("x-provenance", "date"): 2026}),
    ("idempotent", POST, "POST has to state", {(*POST, "x-idempotent"): DROP}),
    ("idempotent", (*POST, "x-idempotent"), "true or false", {(*POST, "x-idempotent"): "yes"}),
    (
        "status-hint",
        (*POST, "x-status-hints", "409"),
        "not a documented answer",
        {(*POST, "x-status-hints"): {"409": "Paid already."}},
    ),
    ("status-hint", (*POST, "x-status-hints", "404"), "a text", {(*POST, "x-status-hints", "404"): ""}),
    (
        "unused",
        ("components", "schemas", "Spare"),
        "used nowhere",
        {("components", "schemas", "Spare"): {"type": "object", "description": "Spare."}},
    ),
    ("unused", ("components", "securitySchemes", "key"), "used nowhere", {(*POST, "security"): []}),
    (
        "unused",
        ("components", "headers", "Tag"),
        "used nowhere",
        {(*POST, "responses", "200", "headers"): DROP},
    ),
    ("named", (*ANSWER, "schema"), "named schema", {(*ANSWER, "schema"): {"type": "object"}}),
    (
        "named",
        (*PROPERTIES, "paidAt"),
        "make it a component",
        {
            (*PROPERTIES, "paidAt"): {"type": "object", "description": "When.", "properties": {}},
            (*PAID, "paidAt"): {},
        },
    ),
    (
        "named",
        (*PROPERTIES, "feeEth"),
        "make it a component",
        {(*PROPERTIES, "feeEth", "enum"): ["0.5"]},
    ),
    (
        "generator",
        (*POST, "requestBody", "content"),
        "one media type",
        {(*POST, "requestBody", "content", "application/xml"): {"schema": {"type": "string"}}},
    ),
    (
        "generator",
        (*PROPERTIES, "paidAt", "format"),
        "unknown format 'datetime'",
        {(*PROPERTIES, "paidAt", "format"): "datetime"},
    ),
    (
        "generator",
        (*PROPERTIES, "paidAt", "format"),
        "a format of strings",
        {(*PROPERTIES, "paidAt", "type"): "integer", (*PAID, "paidAt"): 1},
    ),
    (
        "generator",
        (*PROPERTIES, "feeEth", "format"),
        "a number or a string, not either",
        {(*PROPERTIES, "feeEth", "type"): ["string", "number"]},
    ),
    (
        "generator",
        (*PAYMENT, "additionalProperties"),
        "answers grow",
        {(*PAYMENT, "additionalProperties"): False},
    ),
    (
        "money",
        (*PROPERTIES, "amountUsdMicros"),
        "does not name its unit, micro-dollars",
        {(*PROPERTIES, "amountUsdMicros", "description"): "Amount, in wei."},
    ),
    (
        "money",
        (*PROPERTIES, "feeEth"),
        "is money: format decimal",
        {(*PROPERTIES, "feeEth", "format"): DROP},
    ),
    (
        "money",
        (*PROPERTIES, "debt"),
        "int-string 'debt' names no unit",
        {(*PROPERTIES, "debt"): {"type": "string", "format": "int-string", "description": "Debt."}},
    ),
    ("secret", (*PAID, "note"), "64 hex digits", {(*PAID, "note"): "0123456789abcdef" * 4}),
    ("secret", (*PAID, "note"), "a PymtHouse secret", {(*PAID, "note"): "pmth_cs_" + "ab" * 32}),
    ("secret", (*PAID, "note"), "a signed JWT", {(*PAID, "note"): "eyJhbGci.eyJpc3Mi." + "a" * 86}),
    ("secret", (*POST, "description"), "Basic credentials", {(*POST, "description"): "Basic " + "bTJt" * 8}),
    ("exempt", (*POST, "x-lint-exempt", "tag"), "nothing to exempt", {(*POST, "x-lint-exempt"): {"tag": "x"}}),
]


@pytest.mark.parametrize(("rule", "place", "message", "edits"), PLANTED)
def test_planted_slip_is_found(tmp_path, rule, place, message, edits):
    findings = lint_text(tmp_path, yaml.safe_dump(edited(CLEAN, edits), sort_keys=False))
    assert [(each.rule, each.pointer) for each in findings] == [(rule, pointer(place))]
    assert message in findings[0].message


def test_clean_document_has_no_finding(tmp_path):
    assert lint_text(tmp_path, yaml.safe_dump(CLEAN, sort_keys=False)) == []


def test_every_rule_has_a_planted_slip():
    assert {rule for rule, *_ in PLANTED} == {*RULES, "valid", "exempt"}


def test_operation_id_of_two_operations_is_found_at_both(tmp_path):
    findings = lint_text(tmp_path, yaml.safe_dump(edited(CLEAN, {(*GET, "operationId"): "payOrder"})))
    assert [(each.rule, each.pointer) for each in findings] == [
        ("operation-id", pointer((*GET, "operationId"))),
        ("operation-id", pointer((*POST, "operationId"))),
    ]


def test_exemption_without_a_reason_exempts_nothing(tmp_path):
    document = edited(CLEAN, {(*GET, "x-lint-exempt"): {"client-error": ""}})
    assert [each.rule for each in lint_text(tmp_path, yaml.safe_dump(document))] == ["client-error", "exempt"]


def test_repeated_digit_is_no_secret(tmp_path):
    document = edited(CLEAN, {(*PAID, "note"): "0" * 64})
    assert lint_text(tmp_path, yaml.safe_dump(document)) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "while parsing"),
        ("a: 1\na: 2\n", "'a' stands 2 times"),
        ("200: x\n", "200 is no text"),
        ("- a\n", "no object"),
    ],
)
def test_unreadable_document(tmp_path, text, message):
    (finding,) = lint_text(tmp_path, text)
    assert finding.rule == "readable"
    assert message in finding.message
    assert "\n" not in str(finding)


# -- shapes -------------------------------------------------------------------------------------------

PLANTED_SHAPES = [
    ("valid", "/type", "is not valid", {("type",): "objekt"}),
    ("identity", "/$schema", "2020-12", {("$schema",): "http://json-schema.org/draft-07/schema#"}),
    ("identity", "/$id", "o_auth_error.json", {("$id",): SHAPE_BASE + "other.json"}),
    ("identity", "/title", "the file's name", {("title",): "Error"}),
    ("identity", "/title", "no name for a class", {("title",): "O Auth Error"}),
    ("wording", "", "no description", {("description",): DROP}),
    ("wording", "/properties/error", "no description", {("properties", "error", "description"): DROP}),
    ("format", "/properties/error/format", "unknown format", {("properties", "error", "format"): "code"}),
    ("example", "", "no example", {("examples",): []}),
    ("example", "/examples/0/error", "is not of type 'string'", {("examples",): [{"error": 1}]}),
    ("example", "/examples/0/uri", "is not a 'uri'", {("examples",): [{"error": "x", "uri": "not one"}]}),
    ("secret", "/examples/0/error", "64 hex digits", {("examples",): [{"error": "0123456789abcdef" * 4}]}),
]


@pytest.fixture
def shapes(tmp_path):
    (tmp_path / "base.json").write_text(json.dumps(BASE), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(("rule", "place", "message", "edits"), PLANTED_SHAPES)
def test_planted_slip_in_a_shape_is_found(shapes, rule, place, message, edits):
    findings = lint_text(shapes, json.dumps(edited(SHAPE, edits)), "o_auth_error.json")
    assert [(each.rule, each.pointer) for each in findings] == [(rule, place)]
    assert message in findings[0].message


def test_clean_shapes_have_no_finding(shapes):
    assert lint_text(shapes, json.dumps(SHAPE), "o_auth_error.json") == []
    assert lint(shapes / "base.json") == []


# -- the command --------------------------------------------------------------------------------------


def test_command_prints_a_line_a_finding_and_fails(tmp_path, capsys):
    path = tmp_path / "shop.yaml"
    path.write_text(yaml.safe_dump(edited(CLEAN, {(*POST, "summary"): DROP, (*POST, "tags"): []})), encoding="utf-8")
    assert lint_specs.main([str(path)]) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "shop.yaml#/paths/~1orders~1{orderId}/post: [tag] 0 tags instead of one",
        "shop.yaml#/paths/~1orders~1{orderId}/post: [wording] no summary",
    ]
    assert printed.err == "1 documents, 2 findings\n"


def test_finding_is_one_line():
    assert str(Finding("a.yaml", "/b", "tag", "no tag")) == "a.yaml#/b: [tag] no tag"


def test_a_decimal_may_be_a_number(tmp_path):
    document = copy.deepcopy(CLEAN)
    document["components"]["schemas"]["Payment"]["properties"]["rate"] = {
        "type": ["number", "null"],
        "format": "decimal",
        "description": "A rate.",
    }
    path = tmp_path / "shop.yaml"
    path.write_text(yaml.safe_dump(document))
    assert lint(path) == []
