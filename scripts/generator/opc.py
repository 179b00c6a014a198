"""openapi-python-client, extended where its templates are not told what the document says.

It parses documents, names classes and modules, refuses what it does not understand, and renders the
templates. Two things of the document get lost on its way and are put back here: the `format` of strings,
and discriminators. `Reader` turns its properties into kinds; nothing else of it reaches a template.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
from openapi_python_client import Project
from openapi_python_client.config import Config, ConfigFile, MetaType
from openapi_python_client.parser import GeneratorData
from openapi_python_client.parser import properties as opc
from openapi_python_client.parser.errors import GeneratorError
from openapi_python_client.parser.openapi import Endpoint
from openapi_python_client.parser.properties.boolean import BooleanProperty
from openapi_python_client.parser.properties.const import ConstProperty
from openapi_python_client.parser.properties.date import DateProperty
from openapi_python_client.parser.properties.datetime import DateTimeProperty
from openapi_python_client.parser.properties.float import FloatProperty
from openapi_python_client.parser.properties.int import IntProperty
from openapi_python_client.parser.properties.list_property import ListProperty
from openapi_python_client.parser.properties.none import NoneProperty
from openapi_python_client.parser.properties.string import StringProperty
from openapi_python_client.parser.properties.union import UnionProperty
from openapi_python_client.parser.properties.uuid import UuidProperty
from openapi_python_client.strings import ClassName, PythonIdentifier

from . import kinds
from .document import DECIMAL_NUMBER, Document, DocumentError
from .kinds import Kind

__all__ = ["Reader", "identifier", "parse", "raw", "render"]

FIELD_PREFIX = "field_"
FORMATS = {
    "password": kinds.SECRET,
    "int-string": kinds.INT_STRING,
    "decimal": kinds.DECIMAL,
    DECIMAL_NUMBER: kinds.DECIMAL_NUMBER,
}
SCALARS: Mapping[type[Any], Kind] = {
    StringProperty: kinds.TEXT,
    UuidProperty: kinds.TEXT,
    IntProperty: kinds.INTEGER,
    FloatProperty: kinds.NUMBER,
    BooleanProperty: kinds.BOOLEAN,
    DateTimeProperty: kinds.DATE_TIME,
    DateProperty: kinds.DATE,
    NoneProperty: kinds.NULL,
    opc.AnyProperty: kinds.ANY,
}


@attrs.define
class FormattedString(StringProperty):
    """A string that remembers its format."""

    format: str = ""


def _keep_format(original: Callable[..., Any]) -> Callable[..., Any]:
    def build(name: Any, required: bool, data: Any, config: Any) -> Any:
        prop = original(name=name, required=required, data=data, config=config)
        if type(prop) is StringProperty and data.schema_format in FORMATS:
            fields = {field.name: getattr(prop, field.name) for field in attrs.fields(StringProperty)}
            return FormattedString(**fields, format=data.schema_format)
        return prop

    return build


# The one place where strings are made; there is no hook. The version is pinned, and a test holds the formats.
opc._string_based_property = _keep_format(opc._string_based_property)


def identifier(name: str) -> str:
    """The Python name that openapi-python-client gives to an operation or a tag."""
    return str(PythonIdentifier(name, FIELD_PREFIX))


def _config(output: Path) -> Config:
    return Config.from_sources(
        config_file=ConfigFile(post_hooks=[]),
        meta_type=MetaType.NONE,
        document_source=output,
        file_encoding="utf-8",
        overwrite=True,
        output_path=output,
    )


def parse(document: Document, output: Path) -> GeneratorData:
    """Parse a document.

    Raises:
        DocumentError: openapi-python-client refuses or drops a part of it, or warns about one.
    """
    parsed = GeneratorData.from_dict(document.data, config=_config(output))
    if isinstance(parsed, GeneratorError):
        raise _refused(document, [parsed])
    problems = [*parsed.errors]
    for collection in parsed.endpoint_collections_by_tag.values():
        problems.extend(collection.parse_errors)
    if problems:
        raise _refused(document, problems)
    _compare(document, parsed)
    return parsed


def _refused(document: Document, problems: Iterable[GeneratorError]) -> DocumentError:
    lines = [f"{document.path}: openapi-python-client cannot carry this into code:"]
    for problem in problems:
        lines.extend(f"  {part.strip()}" for part in (problem.header, problem.detail) if part and part.strip())
    return DocumentError("\n".join(lines))


def _compare(document: Document, parsed: GeneratorData) -> None:
    """Every operation, parameter, body and answer of the document came through; stock runs drop some."""
    endpoints = [e for collection in parsed.endpoint_collections_by_tag.values() for e in collection.endpoints]
    if len(endpoints) != len(document.operations):
        raise DocumentError(
            f"{document.path}: {len(document.operations)} operations, but {len(endpoints)} came out of the parser"
        )
    for facts in document.operations.values():
        endpoint = endpoint_of(parsed, facts.id)
        counts = {
            "parameters": (len(facts.parameters), len(list(endpoint.iter_all_parameters()))),
            "bodies": (int(facts.body is not None), len(endpoint.bodies)),
            "answers": (len(facts.answers), len(list(endpoint.responses))),
        }
        for what, (said, came) in counts.items():
            if said != came:
                raise DocumentError(
                    f"{document.path}: {facts.id} has {said} {what}, but {came} came out of the parser"
                )


def endpoint_of(parsed: GeneratorData, operation_id: str) -> Endpoint:
    """The parsed operation with this operationId."""
    name = identifier(operation_id)
    for collection in parsed.endpoint_collections_by_tag.values():
        for endpoint in collection.endpoints:
            if endpoint.name == name:
                return endpoint
    raise DocumentError(f"operation {operation_id} did not come out of the parser")


class Reader:
    """The parsed document in kinds."""

    def __init__(self, document: Document, parsed: GeneratorData) -> None:
        self.document = document
        self.parsed = parsed
        # References to a class hold copies from before it was filled in; the class itself is found by name.
        self._models = {str(model.class_info.name): model for model in parsed.models}
        self._components = {str(ClassName(name, FIELD_PREFIX)): schema for name, schema in document.schemas.items()}
        self._unions = {
            frozenset(str(ClassName(name, FIELD_PREFIX)) for name in members): (tag, mapping)
            for members, tag, mapping in document.unions()
        }
        self.models = {name: model for name, model in self._models.items() if self.fields(model)}

    def endpoint(self, operation_id: str) -> Endpoint:
        """The parsed operation with this operationId."""
        return endpoint_of(self.parsed, operation_id)

    def fields(self, model: Any) -> list[Any]:
        """The declared properties of an object, in the order of the document where that is known."""
        properties = [*(model.required_properties or ()), *(model.optional_properties or ())]
        order = list(model.data.properties or ())
        return sorted(properties, key=lambda prop: order.index(prop.name) if prop.name in order else -1)

    def description(self, model: Any, wire: str) -> str | None:
        """What the document says of a field beside its $ref, which openapi-python-client passes over."""
        component = self._components.get(str(model.class_info.name), {})
        beside = component.get("properties", {}).get(wire, {}).get("description")
        return str(beside) if beside else None

    def kind(self, prop: Any) -> Kind:
        """The kind of a property.

        Raises:
            DocumentError: it has no place in JSON.
        """
        if isinstance(prop, FormattedString):
            return FORMATS[prop.format]
        if type(prop) in SCALARS:
            return SCALARS[type(prop)]
        if isinstance(prop, ConstProperty):
            return self._constant(prop)
        if isinstance(prop, opc.EnumProperty):
            if prop.value_type is int:
                return kinds.INTEGER
            return kinds.enum(str(prop.class_info.name), [str(value) for value in prop.values.values()])
        if isinstance(prop, ListProperty):
            return kinds.list_of(self.kind(prop.inner_property))
        if isinstance(prop, opc.ModelProperty):
            return self._object(prop)
        if isinstance(prop, UnionProperty):
            return self._union(prop)
        raise DocumentError(f"{self.document.path}: {prop.name} is a {type(prop).__name__}, which JSON cannot carry")

    def _constant(self, prop: ConstProperty) -> Kind:
        value = prop.value.raw_value
        if not isinstance(value, str | int):
            raise DocumentError(f"{self.document.path}: const {value!r} cannot be generated")
        return kinds.constant(value)

    def _object(self, prop: Any) -> Kind:
        name = str(prop.class_info.name)
        model = self._models[name]
        if name not in self.models:
            values = model.additional_properties
            return kinds.dict_of(self.kind(values) if values else kinds.ANY)
        tags: dict[str, tuple[str, ...]] = {}
        for field in self.fields(model):
            if isinstance(field, ConstProperty) and isinstance(field.value.raw_value, str):
                tags[raw(field.name)] = (field.value.raw_value,)
            elif isinstance(field, opc.EnumProperty) and field.value_type is str:
                tags[raw(field.name)] = tuple(str(value) for value in field.values.values())
        return kinds.model(name, tags)

    def _union(self, prop: UnionProperty) -> Kind:
        members = [self.kind(inner) for inner in prop.inner_properties]
        null = any(member.null for member in members)
        members = [attrs.evolve(member, null=False) for member in members if member is not kinds.NULL]
        if any(member.is_any for member in members):
            return kinds.ANY
        objects = [member for member in members if member.annotation in self.models]
        rest = [member for member in members if member not in objects]
        if len(objects) > 1:
            maps = [member for member in rest if member.instance == "dict"]
            tag, choices = self._choices(objects)
            if tag:
                rest = [member for member in rest if member not in maps[:1]]
                objects = [kinds.tagged_union(tag, choices, maps[0] if maps else None)]
        members = [*objects, *rest]
        kind = members[0] if len(members) == 1 else kinds.union(members)
        return kinds.nullable(kind) if null else kind

    def _choices(self, objects: list[Kind]) -> tuple[str, dict[str, Kind]]:
        """The field that tells these objects apart, and its values; ("", {}) if there is none."""
        tag, mapping = self._unions.get(frozenset(kind.annotation for kind in objects), ("", {}))
        if mapping:
            by_name = {kind.annotation: kind for kind in objects}
            return tag, {value: by_name[str(ClassName(name, FIELD_PREFIX))] for value, name in mapping.items()}
        for candidate in [tag] if tag else objects[0].tags:
            if all(candidate in kind.tags for kind in objects):
                values = [value for kind in objects for value in kind.tags[candidate]]
                if len(values) == len(set(values)):
                    return candidate, {value: kind for kind in objects for value in kind.tags[candidate]}
        if tag:  # OpenAPI 3.1: without a mapping, the value is the name of the schema
            names = {str(ClassName(name, FIELD_PREFIX)): name for name in self.document.schemas}
            return tag, {names[kind.annotation]: kind for kind in objects}
        return "", {}


def raw(text: Any) -> str:
    """The text of the document behind a wrapper of openapi-python-client's; "" for None."""
    if text is None:
        return ""
    return str(text.get_untrusted_value()) if hasattr(text, "get_untrusted_value") else str(text)


def render(
    document: Document, parsed: GeneratorData, output: Path, templates: Path, names: Mapping[str, Any]
) -> None:
    """Write the package of one document.

    Args:
        document: the document.
        parsed: what `parse` made of it.
        output: folder of the package.
        templates: folder of our templates.
        names: what templates find under which name.

    Raises:
        DocumentError: openapi-python-client reports a problem.
    """
    project = Project(openapi=parsed, config=_config(output), custom_template_path=templates)
    project.env.globals.update(names)
    with contextlib.redirect_stdout(io.StringIO()):  # it announces itself
        problems = project.build()
    if problems:
        raise _refused(document, problems)
