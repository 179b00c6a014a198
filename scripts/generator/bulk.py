"""Readers of bulk answers: typed rows for msgspec by datamodel-code-generator, and what surrounds them.

A schema with `x-bulk` names its lists that may be long. For such an answer a package gets two modules more:

    rows.py    msgspec classes of the answer and of everything in it, by datamodel-code-generator
    bulk.py    the same shapes as protocols, `read` and `parse`, which take the fast way when msgspec is installed

The classes have those fields that bulk answers really have, of kinds that C code reads without a call of Python; an
answer with any other field is read as models are. `x-usual` of a text names the values that are nearly always sent:
one text serves all rows then, and an answer with another value is read as models are.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from typing import Any, cast

import attrs
from datamodel_code_generator import Error, InputFileType, LiteralType, generate
from datamodel_code_generator.enums import DataModelType
from datamodel_code_generator.format import PythonVersion

from .document import Document, DocumentError
from .plans import ModelPlan, Planner
from .runtime.bulk import Numbers

__all__ = ["BULK", "USUAL", "BulkPlan", "plan", "rows"]

BULK = "x-bulk"
USUAL = "x-usual"
_REF = "#/components/schemas/"


@attrs.frozen(kw_only=True)
class BulkPlan:
    """One answer that is read in bulk.

    Attributes:
        answer: class of the answer.
        operation: module below the package that has `OPERATION` and `parse`.
        shapes: class -> name, doc and fields (name, annotation, doc) of the protocol.
        numbers: whole numbers of the answer, by place.
        imports: import lines of the annotations.
    """

    answer: str
    operation: str
    shapes: Mapping[str, tuple[str, list[tuple[str, str, str]]]]
    numbers: list[Numbers]
    imports: list[str]


class _Schemas:
    """The schemas that the classes are made from."""

    def __init__(self, document: Document, package: str, answer: str) -> None:
        self._document = document
        self._package = package
        self._all: Mapping[str, Any] = document.data["components"]["schemas"]
        self.answer = answer
        self.found: dict[str, dict[str, Any]] = {}
        self.numbers: list[tuple[str, bool, str]] = []  # place, whether it is a list, schema
        self._of(answer)

    def refuse(self, where: str, what: str) -> DocumentError:
        return DocumentError(f"{self._document.path}: {where}: {BULK} {what}")

    def _of(self, name: str) -> None:
        schema = self._all[name]
        lists = schema.get(BULK, [])
        unknown = [one for one in lists if one not in schema["properties"]]
        if unknown:
            raise self.refuse(name, f"names no property: {', '.join(unknown)}")
        required = set(schema.get("required", ()))
        properties: dict[str, Any] = {}
        self.found[name] = {
            "type": "object",
            "title": name,
            "description": schema.get("description", name),
            "additionalProperties": False,
            "required": sorted(required),
            "properties": properties,
        }
        for wire, said in schema["properties"].items():
            found = self._property(name, wire, said, wire in lists)
            if found is not None:
                properties[wire] = {**found, "description": " ".join(said.get("description", wire).split())}
            elif wire in required:
                raise self.refuse(f"{name}.{wire}", "cannot carry a required field of this kind")

    def _property(self, owner: str, wire: str, said: Mapping[str, Any], bulk: bool) -> dict[str, Any] | None:
        """The field as C code is to read it; None for one that bulk answers do not have."""
        if "$ref" in said:
            target = said["$ref"].removeprefix(_REF)
            if "enum" in self._all[target]:
                return {"type": "string", "customTypePath": f"{self._package}.models.{target}"}
            return self._nested(owner, wire, target, many=False)
        if bulk:
            target = said["items"]["$ref"].removeprefix(_REF)
            return self._nested(owner, wire, target, many=True)
        told: Any = said["type"]
        kinds = cast("list[str]", told if isinstance(told, list) else [told])
        null = ["null"] if "null" in kinds else []
        kind = " or ".join(one for one in kinds if one != "null")
        if (kind, said.get("format")) in (("string", "int-string"), ("integer", None)):
            # text and number alike; a number with a fraction shows as a float, and is refused afterwards
            return {"type": ["integer", "number", *null]}
        if (kind, said.get("format")) == ("string", None):
            usual = said.get(USUAL)
            if usual is None:
                return {"type": ["string", *null]}
            if null or not usual or not all(isinstance(one, str) for one in usual):
                raise self.refuse(f"{owner}.{wire}", f"needs texts in {USUAL}, of a field that is never null")
            return {"type": "string", "enum": usual}
        return None

    def _nested(self, owner: str, wire: str, target: str, *, many: bool) -> dict[str, Any]:
        if owner != self.answer:
            raise self.refuse(f"{owner}.{wire}", "goes one level deep")
        self._of(target)
        self.numbers.append((wire, many, target))
        reference = {"$ref": f"#/$defs/{target}"}
        return {"type": "array", "items": reference} if many else reference


def answer_of(document: Document) -> str | None:
    """The schema with `x-bulk`, of which a document has one at most."""
    schemas: Mapping[str, Any] = document.data.get("components", {}).get("schemas", {})
    names = [name for name, schema in schemas.items() if BULK in schema]
    if len(names) > 1:
        raise DocumentError(f"{document.path}: {BULK} stands at several schemas: {', '.join(names)}")
    return names[0] if names else None


def rows(document: Document, package: str, answer: str, head: str) -> str:
    """The module of msgspec classes.

    Args:
        document: what the answer stands in.
        package: dotted name of the document's package.
        answer: schema with `x-bulk`.
        head: docstring of the module.

    Raises:
        DocumentError: the generator warns, or gives no class for a schema.
    """
    found = _Schemas(document, package, answer).found
    root = {**found[answer], "$defs": {name: schema for name, schema in found.items() if name != answer}}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            text = generate(
                json.dumps(root),
                input_file_type=InputFileType.JsonSchema,
                output_model_type=DataModelType.MsgspecStruct,
                target_python_version=PythonVersion.PY_311,
                base_class="tollkit_api.runtime.rows.Row",
                snake_case_field=True,
                use_title_as_name=True,
                use_union_operator=True,
                use_schema_description=True,
                enum_field_as_literal=LiteralType.All,
                keep_model_order=True,
                disable_timestamp=True,
                formatters=[],  # ruff formats the whole tree
                custom_file_header=f'"""{head}"""',
            )
    except (Error, OSError, ValueError, Warning) as error:
        raise DocumentError(f"{document.path}: {BULK}: datamodel-code-generator cannot make rows: {error}") from None
    if not isinstance(text, str):
        raise DocumentError(f"{document.path}: {BULK}: expected one module of rows")
    missing = [name for name in found if f"class {name}(Row" not in text]
    if missing:
        raise DocumentError(f"{document.path}: {BULK}: no class came out for {', '.join(missing)}")
    return _without_unset(_without_descriptions(text))


def _without_descriptions(text: str) -> str:
    """`Annotated[str, Meta(description=...)]` is `str`: the protocols say what a field is."""
    return re.sub(
        r"Annotated\[([^\n]*?), Meta\(description=(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")\)\]", r"\1", text
    )


def _without_unset(text: str) -> str:
    """An absent field is None, as in models; JSON null is still none of its values."""
    text = re.sub(r"\bUNSET\b(?!Type)", "ABSENT", text.replace(" | UnsetType", ""))
    text = re.sub(r"^from msgspec import .*$", "from msgspec import field", text, flags=re.MULTILINE)
    return text.replace("runtime.rows import Row", "runtime.rows import ABSENT, Row")


def plan(document: Document, package: str, answer: str, planner: Planner, models: Mapping[str, Any]) -> BulkPlan:
    """What the template of bulk.py puts into place.

    Args:
        document: what the answer stands in.
        package: dotted name of the document's package.
        answer: schema with `x-bulk`.
        planner: plans of the models.
        models: class -> model of openapi-python-client.

    Raises:
        DocumentError: the answer is that of no operation, or of several.
    """
    schemas = _Schemas(document, package, answer)
    plans = {name: planner.model(models[name]) for name in schemas.found}
    shapes: dict[str, tuple[str, list[tuple[str, str, str]]]] = {}
    imports: set[str] = set()
    for name in reversed(schemas.found):
        properties = schemas.found[name]["properties"]
        kept = [field for field in plans[name].fields if field.wire in properties]
        fields = [(field.name, _annotation(field.declaration, schemas.found), field.doc) for field in kept]
        shapes[name] = (plans[name].doc.partition("\n\n    Attributes:")[0], fields)
        imports |= {line.replace("from .", "from .models.") for line in plans[name].imports if _used(line, fields)}
    numbers = [
        Numbers(
            wire=wire,
            name=next(field.name for field in plans[answer].fields if field.wire == wire),
            many=many,
            texts=_whole(document, target, plans[target], schemas.found[target], "string"),
            integers=_whole(document, target, plans[target], schemas.found[target], "integer"),
        )
        for wire, many, target in schemas.numbers
    ]
    return BulkPlan(
        answer=answer,
        operation=_operation(document, answer),
        shapes=shapes,
        numbers=[one for one in numbers if one.texts or one.integers],
        imports=sorted(imports),
    )


def _used(line: str, fields: list[tuple[str, str, str]]) -> bool:
    """Whether an annotation needs this import of an enumeration."""
    name = line.rpartition(" ")[2]
    return line.startswith("from .") and any(re.search(rf"\b{name}\b", annotation) for _, annotation, _ in fields)


def _annotation(declaration: str, shapes: Mapping[str, Any]) -> str:
    """The type of a property of the protocol, from the line of the model."""
    found = declaration.partition(": ")[2].partition(" = ")[0]
    found = re.sub(r"\blist\[", "Sequence[", found)
    return re.sub(r"\w+", lambda word: f"{word[0]}Like" if word[0] in shapes else word[0], found)


def _whole(document: Document, name: str, model: ModelPlan, kept: Mapping[str, Any], kind: str) -> dict[str, str]:
    """Whole numbers of a schema that are of this JSON type."""
    said = document.data["components"]["schemas"][name]["properties"]
    return {
        field.wire: field.name
        for field in model.fields
        if "number" in kept["properties"].get(field.wire, {}).get("type", ()) and kind in said[field.wire]["type"]
    }


def _operation(document: Document, answer: str) -> str:
    from . import opc

    reference = {"$ref": f"{_REF}{answer}"}
    found = [
        facts
        for facts in document.operations.values()
        for status in facts.success
        if facts.answers[str(status)].get("content", {}).get("application/json", {}).get("schema") == reference
    ]
    if len(found) != 1:
        raise DocumentError(f"{document.path}: {BULK}: {answer} must be the answer of one operation")
    return f"api.{opc.identifier(found[0].tag)}.{opc.identifier(found[0].id)}"
