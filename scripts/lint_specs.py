"""Lint of the documents under specs/: OpenAPI descriptions and the JSON Schemas of the shapes.

Everything in generated/ comes from these documents, so a slip in one of them is a slip in every
signature, docstring and decoder. The lint fails on what a reader or the generator would stumble over:

    python scripts/lint_specs.py [files...]      # all of specs/ by default; exit code 1 on a finding

A document that must break a rule says so where it does, with the reason:

    x-lint-exempt: {client-error: "An answer to HEAD has no body."}
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, cast
from urllib.parse import quote, urlsplit

import attrs
import yaml
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from openapi_spec_validator import OpenAPIV31SpecValidator
from openapi_spec_validator.validation.exceptions import (
    DuplicateOperationIDError,
    ExtraParametersError,
    UnresolvableParameterError,
)
from referencing import Registry
from referencing.jsonschema import DRAFT202012

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

SPECS = Path(__file__).resolve().parent.parent / "specs"
SHAPE_BASE = "https://tollkit.invalid/shapes/"

Json: TypeAlias = dict[str, Any]
Pointer: TypeAlias = tuple[str | int, ...]
Slip: TypeAlias = tuple[Pointer, str]
Check: TypeAlias = "Callable[[Any], list[ValidationError]]"

# What the validator finds too, but without saying where; the rules operation-id, path-parameter and required do.
UNPLACED = (DuplicateOperationIDError, ExtraParametersError, UnresolvableParameterError)
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


@attrs.frozen(order=True)
class Finding:
    """One slip in one document; its text is one line."""

    file: str
    pointer: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}#{self.pointer}: [{self.rule}] {self.message}"


# -- formats ------------------------------------------------------------------------------------------

FORMATS = FormatChecker(formats=())


def _format(name: str, accepts: Callable[[str], object]) -> None:
    """Teach FORMATS a format: a text for which `accepts` is false or raises ValueError breaks it."""

    def check(value: object) -> bool:
        return not isinstance(value, str) or bool(accepts(value))

    FORMATS.checks(name, raises=ValueError)(check)


_format("int-string", re.compile(r"-?(0|[1-9][0-9]*)").fullmatch)
_format("decimal", re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?").fullmatch)
_format("password", lambda _: True)
_format("date", lambda text: len(text) == 10 and date.fromisoformat(text))
_format("date-time", lambda text: "T" in text and datetime.fromisoformat(text).tzinfo)
_format("uri", lambda text: urlsplit(text).scheme and not re.search(r"\s", text))
KNOWN_FORMATS = frozenset(FORMATS.checkers)

# A property whose name ends so holds money, and its description has to say in which unit.
UNITS = {"UsdMicros": "micro-dollars", "Wei": "wei", "Eth": "ETH"}

SECRETS = (
    (re.compile(r"pmth_(cs_)?[0-9a-fA-F]{16,}"), "a PymtHouse secret"),
    (re.compile(r"(?<![0-9a-zA-Z])(?!(.)\1{63})[0-9a-fA-F]{64}(?![0-9a-zA-Z])"), "64 hex digits"),
    (re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]{86,}"), "a signed JWT"),
    (re.compile(r"(?i)\bbasic [a-z0-9+/]{24,}=*"), "Basic credentials"),
)


# -- documents ----------------------------------------------------------------------------------------


class _StrictLoader(yaml.SafeLoader):
    """YAML as JSON would have it: a repeated key is an error, not a silent loss."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        build = cast(Any, self).construct_object  # the stub leaves its argument untyped
        keys: Counter[Hashable] = Counter(build(key) for key, _ in node.value)
        for key, count in keys.items():
            if count > 1:
                problem = f"the key {key!r} stands {count} times"
            elif not isinstance(key, str):
                problem = f"the key {key!r} is no text; put it in quotes"
            else:
                continue
            raise yaml.constructor.ConstructorError(problem=problem, problem_mark=node.start_mark)
        return super().construct_mapping(node, deep=deep)


def load(path: Path) -> Json:
    """Read a YAML or JSON document.

    Raises:
        ValueError: it is no YAML, or no object.
    """
    try:
        # JSON is YAML too. Not safe_load: the loader is SafeLoader with a check more.
        data: object = yaml.load(path.read_text(encoding="utf-8"), _StrictLoader)  # noqa: S506
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    if not is_object(data):
        raise ValueError("the document is no object")
    return data


def is_object(node: object) -> TypeGuard[Json]:
    """Whether a node is a JSON object."""
    return isinstance(node, dict)


def is_array(node: object) -> TypeGuard[list[Any]]:
    """Whether a node is a JSON array."""
    return isinstance(node, list)


def pointer_text(pointer: Pointer) -> str:
    """JSON Pointer (RFC 6901) of a path."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in pointer)


def checker(document: Json, pointer: Pointer = (), others: Sequence[Json] = ()) -> Check:
    """What tells the errors of a value against the schema at `pointer` of a document.

    References go within the document, or to one of `others` by its $id.
    """
    base: str = document.get("$id", "urn:tollkit:document")
    known = [(str(each.get("$id", base)), DRAFT202012.create_resource(each)) for each in (*others, document)]
    registry: Registry[Any] = Registry[Any]().with_resources(known)
    schema = {"$ref": f"{base}#{quote(pointer_text(pointer))}"}
    validator: Any = Draft202012Validator(schema, registry=registry, format_checker=FORMATS)
    return lambda value: list(validator.iter_errors(value))


@attrs.frozen
class Operation:
    """One operation of an OpenAPI document, and where it stands."""

    pointer: Pointer
    path: str
    method: str
    data: Json
    shared_parameters: list[Any]


@attrs.frozen
class OpenApi:
    """An OpenAPI document with the look-ups that the rules need."""

    data: Json

    def operations(self) -> Iterator[Operation]:
        for path, item in self.data.get("paths", {}).items():
            for method in METHODS:
                if method in item:
                    yield Operation(("paths", path, method), path, method, item[method], item.get("parameters", []))

    def components(self, kind: str) -> Json:
        found: Json = self.data.get("components", {}).get(kind, {})
        return found

    def resolve(self, node: Any, pointer: Pointer) -> tuple[Any, Pointer]:
        """Follow references within the document; the node that they end at, and where that stands."""
        while is_object(node) and "$ref" in node:
            parts = str(node["$ref"]).split("/")[1:]
            pointer = tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)
            node = self.data
            for part in pointer:
                node = node[part]
        return node, pointer

    def parameters(self, operation: Operation) -> Iterator[tuple[Json, Pointer]]:
        own = operation.data.get("parameters", [])
        item = operation.pointer[:-1]
        for at, each in enumerate(own):
            yield self.resolve(each, (*operation.pointer, "parameters", at))
        for at, each in enumerate(operation.shared_parameters):
            yield self.resolve(each, (*item, "parameters", at))

    def responses(self, operation: Operation) -> Iterator[tuple[str, Json, Pointer]]:
        for status, response in operation.data.get("responses", {}).items():
            yield status, *self.resolve(response, (*operation.pointer, "responses", status))

    def media_types(self) -> Iterator[tuple[str, Json, Pointer]]:
        """Every media type of every body, those of components included: its name, itself, its place."""
        for pointer, node in walk(self.data):
            # A property may be called "content" too.
            in_schema = not {"schema", "schemas"}.isdisjoint(pointer)
            if pointer and pointer[-1] == "content" and is_object(node) and not in_schema:
                for name, media in node.items():
                    yield name, media, (*pointer, name)


def walk(node: Any, pointer: Pointer = ()) -> Iterator[tuple[Pointer, Any]]:
    """Every node of a document with its place, parents first."""
    yield pointer, node
    if is_object(node):
        for key, value in node.items():
            yield from walk(value, (*pointer, key))
    elif is_array(node):
        for at, value in enumerate(node):
            yield from walk(value, (*pointer, at))


def schemas_in(schema: Any, pointer: Pointer) -> Iterator[tuple[Pointer, Json]]:
    """A schema and every schema inside it; data such as examples is not entered."""
    if not is_object(schema):
        return
    yield pointer, schema
    for key in ("properties", "$defs", "patternProperties"):
        for name, value in schema.get(key, {}).items():
            yield from schemas_in(value, (*pointer, key, name))
    for key in ("items", "additionalProperties", "not"):
        yield from schemas_in(schema.get(key), (*pointer, key))
    for key in ("allOf", "anyOf", "oneOf", "prefixItems"):
        for at, value in enumerate(schema.get(key, [])):
            yield from schemas_in(value, (*pointer, key, at))


def examples_of(holder: Json, pointer: Pointer) -> Iterator[tuple[Pointer, Any]]:
    """The examples of a media type or parameter."""
    if "example" in holder:
        yield (*pointer, "example"), holder["example"]
    for name, each in holder.get("examples", {}).items():
        yield (*pointer, "examples", name, "value"), each.get("value")


def is_json(media_type: str) -> bool:
    """Whether a media type is JSON, such as application/json or application/problem+json."""
    return re.fullmatch(r"application/([\w.-]+\+)?json", media_type) is not None


def worded(node: Json, key: str) -> bool:
    """Whether a member is a text with something in it."""
    return isinstance(node.get(key), str) and bool(node[key].strip())


# -- rules for OpenAPI documents ----------------------------------------------------------------------


def rule_operation_id(doc: OpenApi) -> Iterator[Slip]:
    """Each operation has an operationId: camelCase, and no other's."""
    seen: Counter[str] = Counter(op.data.get("operationId", "") for op in doc.operations())
    for op in doc.operations():
        name = op.data.get("operationId")
        if not name:
            yield op.pointer, "no operationId"
        elif not re.fullmatch(r"[a-z]+([A-Z0-9][a-z0-9]*)*", name):
            yield (*op.pointer, "operationId"), f"{name!r} is not camelCase"
        elif seen[name] > 1:
            yield (*op.pointer, "operationId"), f"{name!r} is the name of {seen[name]} operations"


def rule_tag(doc: OpenApi) -> Iterator[Slip]:
    """Each operation has exactly one tag, and the document describes it."""
    described = {tag["name"] for tag in doc.data.get("tags", []) if worded(tag, "description")}
    for op in doc.operations():
        tags = op.data.get("tags", [])
        if len(tags) != 1:
            yield op.pointer, f"{len(tags)} tags instead of one"
        elif tags[0] not in described:
            yield (*op.pointer, "tags", 0), f"the tag {tags[0]!r} is not described at the document"


def rule_wording(doc: OpenApi) -> Iterator[Slip]:
    """Summary and description of operations; descriptions of parameters, answers, schemas, properties."""
    for op in doc.operations():
        for key in ("summary", "description"):
            if not worded(op.data, key):
                yield op.pointer, f"no {key}"
        if worded(op.data, "summary") and op.data["summary"].endswith("."):
            yield (*op.pointer, "summary"), "a summary is a title, without a full stop"
        for parameter, pointer in doc.parameters(op):
            if not worded(parameter, "description"):
                yield pointer, f"the parameter {parameter.get('name')!r} has no description"
    for kind in ("securitySchemes", "headers"):
        for name, each in doc.components(kind).items():
            if not worded(each, "description"):
                yield ("components", kind, name), "no description"
    for name, schema in doc.components("schemas").items():
        yield from undescribed(schema, ("components", "schemas", name))


def undescribed(schema: Json, pointer: Pointer) -> Iterator[Slip]:
    """The schema itself and its properties that lack a description."""
    if not worded(schema, "description"):
        yield pointer, "no description"
    for at, inner in schemas_in(schema, pointer):
        for name, each in inner.get("properties", {}).items():
            if not worded(each, "description"):
                yield (*at, "properties", name), "no description"


def rule_security(doc: OpenApi) -> Iterator[Slip]:
    """Each operation says itself what credentials it takes, by schemes that exist."""
    schemes = doc.components("securitySchemes")
    for op in doc.operations():
        if "security" not in op.data:
            yield op.pointer, "no security of its own; write [] for none"
        for at, alternative in enumerate(op.data.get("security", [])):
            for name in alternative:
                if name not in schemes:
                    yield (*op.pointer, "security", at), f"there is no security scheme {name!r}"


def rule_success(doc: OpenApi) -> Iterator[Slip]:
    """Each operation says what it answers when all is well."""
    for op in doc.operations():
        if not any(status.startswith("2") for status, _, _ in doc.responses(op)):
            yield op.pointer, "no 2xx answer"


def rule_client_error(doc: OpenApi) -> Iterator[Slip]:
    """Each operation types at least one 4xx answer."""
    for op in doc.operations():
        if not any(
            status.startswith("4") and any(is_json(name) for name in response.get("content", {}))
            for status, response, _ in doc.responses(op)
        ):
            yield op.pointer, "no 4xx answer with a JSON schema"


def rule_example(doc: OpenApi) -> Iterator[Slip]:
    """Each JSON body has an example; every example keeps its schema."""
    for name, media, pointer in doc.media_types():
        if is_json(name) and not any(examples_of(media, pointer)):
            yield pointer, "no example"
        yield from broken_examples(doc, media, pointer)
    for pointer, node in walk(doc.data):
        if is_object(node) and "schema" in node and ("in" in node or pointer[-2:-1] == ("headers",)):
            yield from broken_examples(doc, node, pointer)
    for name, schema in doc.components("schemas").items():
        for pointer, inner in schemas_in(schema, ("components", "schemas", name)):
            for at, value in enumerate(inner.get("examples", [])):
                yield from invalid(checker(doc.data, pointer), value, (*pointer, "examples", at))


def broken_examples(doc: OpenApi, holder: Json, pointer: Pointer) -> Iterator[Slip]:
    """Examples of a media type, parameter or header that break its schema."""
    check = checker(doc.data, (*pointer, "schema"))
    for at, value in examples_of(holder, pointer):
        yield from invalid(check, value, at)


def invalid(check: Check, value: Any, pointer: Pointer) -> Iterator[Slip]:
    """What a schema has against a value."""
    for error in check(value):
        yield (*pointer, *error.absolute_path), f"breaks its schema: {brief(error)}"


def brief(error: ValidationError) -> str:
    """A schema error in one line of bearable length."""
    return " ".join(error.message.split())[:200]


def rule_path_parameter(doc: OpenApi) -> Iterator[Slip]:
    """The parameters in a path are those that are declared, and they are required."""
    for op in doc.operations():
        in_template = set(re.findall(r"\{([^}]+)\}", op.path))
        declared = {each["name"]: pointer for each, pointer in doc.parameters(op) if each.get("in") == "path"}
        for name in sorted(in_template - declared.keys()):
            yield op.pointer, f"the path parameter {name!r} is not declared"
        for name in sorted(declared.keys() - in_template):
            yield declared[name], f"the path parameter {name!r} is not in the path"


def rule_provenance(doc: OpenApi) -> Iterator[Slip]:
    """The document says where its facts come from, of when they are, and which are assumed."""
    said = doc.data.get("x-provenance")
    if not is_object(said):
        yield (), "no x-provenance"
        return
    for key, kind in (("source", str), ("date", str), ("evidence", list), ("assumed", list)):
        if not isinstance(said.get(key), kind):
            yield ("x-provenance",), f"{key!r} is missing, or not a {kind.__name__}"


def rule_idempotent(doc: OpenApi) -> Iterator[Slip]:
    """POST and PATCH say whether sending twice has the effect of sending once."""
    for op in doc.operations():
        if op.method in ("post", "patch") and "x-idempotent" not in op.data:
            yield op.pointer, f"a {op.method.upper()} has to state x-idempotent"
        elif not isinstance(op.data.get("x-idempotent", True), bool):
            yield (*op.pointer, "x-idempotent"), "x-idempotent is true or false"


def rule_status_hint(doc: OpenApi) -> Iterator[Slip]:
    """Hints belong to documented statuses, and are words."""
    for op in doc.operations():
        for status, hint in op.data.get("x-status-hints", {}).items():
            if status not in op.data.get("responses", {}):
                yield (*op.pointer, "x-status-hints", status), f"{status} is not a documented answer"
            if not (isinstance(hint, str) and hint.strip()):
                yield (*op.pointer, "x-status-hints", status), "a hint is a text"


def rule_unused(doc: OpenApi) -> Iterator[Slip]:
    """Nothing under components stands there for nothing."""
    used = {node["$ref"] for _, node in walk(doc.data) if is_object(node) and "$ref" in node}
    for op in doc.operations():
        used |= {f"#/components/securitySchemes/{name}" for each in op.data.get("security", []) for name in each}
    for kind, each in doc.data.get("components", {}).items():
        for name in each:
            if f"#/components/{kind}/{name}" not in used:
                yield ("components", kind, name), "is used nowhere"


def rule_named(doc: OpenApi) -> Iterator[Slip]:
    """Objects and enumerations are components: the generator names classes after them."""
    for name, media, pointer in doc.media_types():
        if is_json(name) and "$ref" not in media.get("schema", {}):
            yield (*pointer, "schema"), "a JSON body refers to a named schema"
    for name, schema in doc.components("schemas").items():
        for pointer, inner in schemas_in(schema, ("components", "schemas", name)):
            if inner is not schema and ("properties" in inner or "enum" in inner):
                yield pointer, "an object or enumeration inside another schema; make it a component"


def rule_required(doc: OpenApi) -> Iterator[Slip]:
    """What a schema requires, it describes."""
    for name, schema in doc.components("schemas").items():
        for pointer, inner in schemas_in(schema, ("components", "schemas", name)):
            for at, key in enumerate(inner.get("required", [])):
                if "allOf" not in inner and key not in inner.get("properties", {}):
                    yield (*pointer, "required", at), f"{key!r} is no property"


def rule_generator(doc: OpenApi) -> Iterator[Slip]:
    """What the generator cannot express, it would drop: one media type a body, known formats, open answers."""
    for op in doc.operations():
        body, pointer = doc.resolve(op.data.get("requestBody", {}), (*op.pointer, "requestBody"))
        media = set(body.get("content", {"": {}}))
        if len(media) != 1 and media != {"application/json", "text/plain"}:
            yield (*pointer, "content"), "a request body has one media type, or JSON and plain text"
    for name, schema in doc.components("schemas").items():
        for pointer, inner in schemas_in(schema, ("components", "schemas", name)):
            yield from bad_format(inner, pointer)
            if inner.get("additionalProperties") is False:
                yield (*pointer, "additionalProperties"), "answers grow; a schema must not forbid members"


def bad_format(schema: Json, pointer: Pointer) -> Iterator[Slip]:
    """A format that nobody here knows, or one of a text on something else."""
    name = schema.get("format")
    if name is None:
        return
    kinds = schema.get("type", [])
    if name not in KNOWN_FORMATS:
        yield (*pointer, "format"), f"unknown format {name!r}; known: {', '.join(sorted(KNOWN_FORMATS))}"
        return
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    if name == "decimal" and "number" in kinds:
        if not kinds <= {"number", "null"}:
            yield (*pointer, "format"), "a decimal is a number or a string, not either"
    elif "string" not in kinds:
        yield (*pointer, "format"), f"{name!r} is a format of strings"


def rule_money(doc: OpenApi) -> Iterator[Slip]:
    """Money is exact text, and its description names the unit."""
    for name, schema in doc.components("schemas").items():
        for pointer, inner in schemas_in(schema, ("components", "schemas", name)):
            for key, each in inner.get("properties", {}).items():
                yield from bad_money(key, each, (*pointer, "properties", key))


def bad_money(name: str, schema: Json, pointer: Pointer) -> Iterator[Slip]:
    """A money field without its format or without its unit."""
    unit = next((unit for suffix, unit in UNITS.items() if name.endswith(suffix)), None)
    wanted = "decimal" if unit == "ETH" else "int-string"
    described = schema.get("description", "")
    if unit and schema.get("format") != wanted:
        yield pointer, f"{name!r} is money: format {wanted}"
    if unit and unit not in described:
        yield pointer, f"the description of {name!r} does not name its unit, {unit}"
    if schema.get("format") == "int-string" and not any(each in described for each in UNITS.values()):
        yield pointer, f"the description of the int-string {name!r} names no unit"


def rule_secret(doc: OpenApi) -> Iterator[Slip]:
    """No text in the document looks like a working credential."""
    yield from leaked(doc.data)


def leaked(data: Json) -> Iterator[Slip]:
    """Texts that look like working credentials."""
    for pointer, node in walk(data):
        if isinstance(node, str):
            what = next((what for pattern, what in SECRETS if pattern.search(node)), None)
            if what:
                yield pointer, f"this looks like {what}; write an obvious fake"


RULES: dict[str, Callable[[OpenApi], Iterator[Slip]]] = {
    "operation-id": rule_operation_id,
    "tag": rule_tag,
    "wording": rule_wording,
    "security": rule_security,
    "success": rule_success,
    "client-error": rule_client_error,
    "example": rule_example,
    "path-parameter": rule_path_parameter,
    "provenance": rule_provenance,
    "idempotent": rule_idempotent,
    "status-hint": rule_status_hint,
    "unused": rule_unused,
    "named": rule_named,
    "required": rule_required,
    "generator": rule_generator,
    "money": rule_money,
    "secret": rule_secret,
}


def lint_openapi(data: Json) -> Iterator[tuple[Pointer, str, str]]:
    """Findings in an OpenAPI document: where, which rule, what.

    The rules run on valid documents only, because on others they would guess.
    """
    errors = [each for each in OpenAPIV31SpecValidator(data).iter_errors() if not isinstance(each, UNPLACED)]
    for error in errors:
        yield tuple(error.absolute_path), "valid", brief(error)
    if errors:
        return
    doc = OpenApi(data)
    exempt = {op.pointer: op.data.get("x-lint-exempt", {}) for op in doc.operations()}
    needed: set[tuple[Pointer, str]] = set()
    for rule, check in RULES.items():
        for pointer, message in check(doc):
            if worded(exempt.get(pointer[:3], {}), rule):
                needed.add((pointer[:3], rule))
            else:
                yield pointer, rule, message
    for pointer, rules in exempt.items():
        for rule in rules:
            if (pointer, rule) not in needed:
                yield (*pointer, "x-lint-exempt", rule), "exempt", "nothing to exempt here, or no reason given"


# -- rules for shapes ---------------------------------------------------------------------------------


def lint_shape(data: Json, path: Path, others: Sequence[Json]) -> Iterator[tuple[Pointer, str, str]]:
    """Findings in the JSON Schema of a shape: where, which rule, what."""
    meta: Any = Draft202012Validator(Draft202012Validator.META_SCHEMA)
    errors: list[ValidationError] = list(meta.iter_errors(data))
    for error in errors:
        yield tuple(error.absolute_path), "valid", brief(error)
    if errors:
        return
    wanted = {"$schema": Draft202012Validator.META_SCHEMA["$id"], "$id": SHAPE_BASE + path.name}
    for key, value in wanted.items():
        if data.get(key) != value:
            yield (key,), "identity", f"{key} is to be {value}"
    title = data.get("title", "")
    if re.sub(r"[^a-z0-9]", "", title.lower()) != path.stem.replace("_", ""):
        yield ("title",), "identity", f"the title {title!r} is to be the file's name as that of a class"
    elif not re.fullmatch(r"([A-Z][A-Za-z0-9]*)+", title):
        yield ("title",), "identity", f"{title!r} is no name for a class"
    for pointer, message in undescribed(data, ()):
        yield pointer, "wording", message
    for pointer, inner in schemas_in(data, ()):
        for place, message in bad_format(inner, pointer):
            yield place, "format", message
    if not data.get("examples"):
        yield (), "example", "no example"
    check = checker(data, others=others)
    for at, example in enumerate(data.get("examples", [])):
        for place, message in invalid(check, example, ("examples", at)):
            yield place, "example", message
    for pointer, message in leaked(data):
        yield pointer, "secret", message


# -- front --------------------------------------------------------------------------------------------


def lint(path: Path) -> list[Finding]:
    """Lint one document; sorted findings, empty when it is clean.

    A JSON file is taken for a shape, whose references go to the other shapes in its folder; anything else
    for an OpenAPI document.
    """
    name = str(path.relative_to(SPECS.parent)) if path.is_relative_to(SPECS.parent) else path.name
    try:
        data = load(path)
        if path.suffix == ".json":
            others = [load(each) for each in sorted(path.parent.glob("*.json")) if each != path]
            found = list(lint_shape(data, path, others))
        else:
            found = list(lint_openapi(data))
    except ValueError as error:
        return [Finding(name, "", "readable", str(error))]
    return sorted({Finding(name, pointer_text(at), rule, message) for at, rule, message in found})


def main(arguments: Sequence[str]) -> int:
    """Lint the named documents, or all; 1 when there is a finding."""
    paths = [Path(each).resolve() for each in arguments] or sorted(
        each for each in SPECS.rglob("*") if each.suffix in (".yaml", ".json")
    )
    findings = [finding for path in paths for finding in lint(path)]
    for finding in findings:
        print(finding)
    print(f"{len(paths)} documents, {len(findings)} findings", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
