"""What the templates put into place: one plan for each model, each operation and each package front."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from .document import ESCAPED_SEGMENTS, MANY_SEGMENTS, Document, DocumentError, OperationFacts
from .kinds import Kind
from .opc import Reader, raw

__all__ = ["EndpointPlan", "EnumPlan", "FieldPlan", "ModelPlan", "Planner", "union"]

WIDTH = 100
ITEM = re.compile(r"\s*(?:[*-]|[0-9]+\.) |\s*\|")
# Names that generated modules use for themselves.
TAKEN_CLASSES = frozenset(
    {"Any", "ApiClient", "Decimal", "HttpResponse", "Literal", "Mapping", "OpenEnum", "Operation", "Request"}
    | {"Response", "Secret", "Self", "Sequence", "Unset"}
)
TAKEN_FIELDS = frozenset({"additional_properties", "from_dict", "to_dict"})
TAKEN_ARGUMENTS = frozenset({"client", "parse", "request", "sync", "sync_detailed", "asyncio", "asyncio_detailed"})


def docstring(text: str, indent: int = 0) -> str:
    """Text of the document, fit to stand between triple quotes: paragraphs and list items are filled anew."""
    lines: list[str] = []
    for paragraph in _escaped(text).strip().split("\n\n"):
        items: list[str] = []
        for line in paragraph.splitlines():
            if items and not ITEM.match(line):
                items[-1] += f" {line.strip()}"
            else:
                items.append(line.rstrip())
        for item in items:
            marker = ITEM.match(item)
            lines.extend(_filled(item, indent, " " * len(marker.group()) if marker else ""))
        lines.append("")
    return f"\n{' ' * indent}".join(lines[:-1]).replace(f"\n{' ' * indent}\n", "\n\n")


def entry(name: str, text: str, indent: int) -> str:
    """One item of an Args or Attributes section; nothing where there is nothing to say."""
    if not text:
        return ""
    flat = " ".join(_escaped(text).split())
    return f"\n{' ' * indent}".join(_filled(f"{name}: {flat}".rstrip(": "), indent, "    "))


def sentence(text: str) -> str:
    """A summary with its full stop."""
    return docstring(text if text.endswith((".", "!", "?")) else f"{text}.", 4)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', "'") if '"""' in text else text.replace("\\", "\\\\")


def _filled(text: str, indent: int, hang: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH - indent, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False
    ) or [""]


@attrs.frozen(kw_only=True)
class FieldPlan:
    """One field of a model.

    Attributes:
        name: attribute.
        declaration: line of the class body.
        doc: item of the Attributes section.
        wire: name in JSON.
        read: lines of `from_dict`, after which the attribute is set.
        write: lines of `to_dict`.
        required: whether it is.
    """

    name: str
    declaration: str
    doc: str
    wire: str
    read: Sequence[str]
    write: Sequence[str]
    required: bool


@attrs.frozen(kw_only=True)
class ModelPlan:
    """One class of `models/`.

    Attributes:
        name: class.
        doc: text of the docstring.
        fields: in the order of the document.
        optional: whether some fields may be absent.
        imports: import lines at the top.
        late_imports: import lines below the class, for classes that need each other.
        constants: name -> expression of decoders that are put together once.
        rest: annotation of the values of unknown fields.
        read_rest: expression that collects unknown fields of `data`.
        write_rest: expression of unknown fields in JSON.
    """

    name: str
    doc: str
    fields: Sequence[FieldPlan]
    optional: bool
    imports: Sequence[str]
    late_imports: Sequence[str]
    constants: Mapping[str, str]
    rest: str
    read_rest: str
    write_rest: str

    @property
    def names(self) -> list[str]:
        """Wire names of the fields and their attributes, as items of a literal, in the order of reading."""
        return [f"{field.wire!r}: {field.name!r}" for field in self.fields]


@attrs.frozen(kw_only=True)
class EnumPlan:
    """One enumeration of `models/`."""

    name: str
    doc: str
    members: Mapping[str, str]


@attrs.frozen(kw_only=True)
class Parameter:
    """One argument of an operation.

    Attributes:
        name: Python name.
        wire: name in the request.
        place: "path", "query", "header" or "body".
        many: "" for one segment, else the name of the encoder of a path of many.
        annotation: type, with default.
        doc: item of the Args section.
    """

    name: str
    wire: str
    place: str
    annotation: str
    doc: str
    many: str = ""


@attrs.frozen(kw_only=True)
class EndpointPlan:
    """One operation module."""

    facts: OperationFacts
    summary: str
    doc: str
    imports: Sequence[str]
    constants: Mapping[str, str]
    positional: Sequence[Parameter]
    keyword: Sequence[Parameter]
    url: str
    query: Sequence[Parameter]
    headers: Sequence[Parameter]
    body: str | None
    body_type: str
    body_optional: bool
    successes: Sequence[tuple[str, str]]
    errors: Sequence[tuple[str, str]]
    result: str
    error: str
    error_docs: Sequence[str]

    @property
    def documented(self) -> bool:
        """Whether the document says something of an argument."""
        return any(parameter.doc for parameter in [*self.positional, *self.keyword])


class Planner:
    """Makes the plans of one document."""

    def __init__(self, document: Document, reader: Reader) -> None:
        self._document = document
        self._reader = reader
        self._modules = {
            str(item.class_info.name): str(item.class_info.module_name)
            for item in [*reader.models.values(), *reader.parsed.enums]
        }
        taken = TAKEN_CLASSES.intersection(self._modules)
        if taken:
            raise DocumentError(f"{document.path}: schemas need other names: {', '.join(sorted(taken))}")
        self._needs = {name: self._needed_by(model) for name, model in reader.models.items()}
        self._late = self._late_edges()
        self._requested = self._reachable(
            name
            for facts in document.operations.values()
            for body in reader.endpoint(facts.id).bodies
            for name in reader.kind(body.prop).classes
        )

    def _needed_by(self, model: Any) -> frozenset[str]:
        kinds = [self._reader.kind(field) for field in self._reader.fields(model)]
        if model.additional_properties:
            kinds.append(self._reader.kind(model.additional_properties))
        return frozenset(name for kind in kinds for name in kind.classes)

    def _reachable(self, names: Iterable[str]) -> frozenset[str]:
        seen: set[str] = set()
        queue = list(names)
        while queue:
            name = queue.pop()
            if name not in seen:
                seen.add(name)
                queue.extend(self._needs.get(name, ()))
        return frozenset(seen)

    def _late_edges(self) -> set[tuple[str, str]]:
        """Imports that would be circular at the top of a module."""
        late: set[tuple[str, str]] = set()
        for name, needed in self._needs.items():
            for other in needed:
                if other != name and name in self._reachable([other]):
                    late.add((name, other))
        return late

    # -- models ------------------------------------------------------------------------------------------

    def model(self, model: Any) -> ModelPlan:
        """The plan of a class."""
        name = str(model.class_info.name)
        constants: dict[str, str] = {}
        fields = [self._field(model, name, field, constants) for field in self._reader.fields(model)]
        kinds = [self._reader.kind(field) for field in self._reader.fields(model)]
        rest = self._reader.kind(model.additional_properties) if model.additional_properties else None
        imports = {
            "from collections.abc import Mapping",
            "from typing import Any, Self",
            "import attrs",
            "from tollkit_api.runtime import decode as _decode",
        }
        read_rest, write_rest, rest_annotation = (
            "_decode.unknown_fields(data, _NAMES)",
            "self.additional_properties",
            "Any",
        )
        if rest is not None and not rest.is_any:
            kinds.append(rest)
            rest_annotation = rest.full_annotation
            decoder = self._shared(rest.full_decoder, "additional_properties", constants)
            read_rest = f"_decode.unknown_fields(data, _NAMES, {decoder})"
            if rest.encoder is not None:
                write_rest = f"{{key: {rest.encode('item')} for key, item in self.additional_properties.items()}}"
        for kind in kinds:
            imports |= {line for line in kind.imports if not line.endswith(" Sequence")}
        text = " ".join([*(line for field in fields for line in [field.declaration, *field.write]), write_rest])
        if "_encode." in text:
            imports.add("from tollkit_api.runtime import encode as _encode")
        if "Unset" in text:
            imports.add("from tollkit_api.runtime.types import UNSET, Unset")
        for converter in ("as_secret_or_none", "as_secret"):
            if re.search(rf"\b{converter}\b", text):
                imports.add(f"from tollkit_api.runtime.types import {converter}")
        needed = self._needs[name] - {name}
        early = {other for other in needed if (name, other) not in self._late}
        title = raw(model.description) or f"The object `{name}`."
        attributes = "".join(f"        {field.doc}\n" for field in fields if field.doc)
        return ModelPlan(
            name=name,
            doc=f"{docstring(title, 4)}\n\n    Attributes:\n{attributes.rstrip()}",
            fields=sorted(fields, key=lambda field: not field.required),
            optional=not all(field.required for field in fields),
            imports=sorted(imports | {self._import(other, ".") for other in early}),
            late_imports=sorted(self._import(other, ".") for other in needed - early),
            constants=constants,
            rest=rest_annotation,
            read_rest=read_rest,
            write_rest=write_rest,
        )

    def _import(self, name: str, prefix: str) -> str:
        return f"from {prefix}{self._modules[name]} import {name}"

    def _shared(self, decoder: str, name: str, constants: dict[str, str]) -> str:
        """The decoder itself if it is a name, else the name of a constant that holds it."""
        if "(" not in decoder:
            return decoder
        for known, expression in constants.items():
            if expression == decoder:
                return known
        constants[f"_read_{name}"] = decoder
        return f"_read_{name}"

    def _shared_field(self, kind: Kind, name: str, constants: dict[str, str]) -> str:
        if kind.quick:
            # What the quick test refuses is no text at all, or a number beyond it.
            return "_decode.text" if "_known_" in kind.quick[1] else kind.decoder
        return self._shared(kind.decoder, name, constants)

    def _field(self, model: Any, owner: str, prop: Any, constants: dict[str, str]) -> FieldPlan:
        kind, wire, name = self._reader.kind(prop), raw(prop.name), str(prop.python_name)
        if name in TAKEN_FIELDS:
            raise DocumentError(f"{self._document.path}: {owner}.{wire} would hide {name} of its class")
        required = bool(prop.required)
        three_states = not required and kind.null and owner in self._requested and not kind.is_any
        annotation = kind.full_annotation
        if three_states:
            annotation, default = f"{annotation.removesuffix(' | None')} | Unset | None", "UNSET"
        elif not required:
            annotation = annotation if annotation.endswith(" | None") or kind.is_any else f"{annotation} | None"
            default = "None"
        else:
            default = ""
        declaration = f"{name}: {annotation}"
        if kind.converter:
            if three_states:
                raise DocumentError(f"{self._document.path}: {owner}.{wire}: a secret that may be null or absent")
            converter = "as_secret_or_none" if kind.null or not required else "as_secret"
            declaration += f" = attrs.field({f'default={default}, ' if default else ''}converter={converter})"
        elif default:
            declaration += f" = {default}"
        about = self._reader.description(model, wire) or raw(prop.description) or ""
        if wire != name:
            about = f"`{wire}`. {about}"
        if kind.quick and "_known_" in kind.quick[1]:
            (enum,) = kind.classes
            constants[f"_known_{enum}"] = f"_decode.members({enum})"
        return FieldPlan(
            name=name,
            declaration=declaration,
            doc=entry(name, about, 8),
            wire=wire,
            read=_read(kind, wire, name, required, three_states, self._shared_field(kind, name, constants)),
            write=_write(kind, wire, name, required, three_states),
            required=required,
        )

    def enum(self, enum: Any) -> EnumPlan:
        """The plan of an enumeration."""
        if enum.value_type is not str:
            raise DocumentError(f"{self._document.path}: {enum.class_info.name}: an enumeration holds texts")
        name = str(enum.class_info.name)
        doc = raw(enum.description) or f"The values of `{name}` that are known."
        return EnumPlan(
            name=name,
            doc=docstring(doc, 4),
            members={key: repr(value) for key, value in enum.values.items()},
        )

    # -- operations --------------------------------------------------------------------------------------

    def endpoint(self, endpoint: Any) -> EndpointPlan:
        """The plan of an operation module."""
        facts = next(
            facts for facts in self._document.operations.values() if self._reader.endpoint(facts.id) is endpoint
        )
        constants: dict[str, str] = {}
        classes: set[str] = set()
        imports: set[str] = set()
        parameters = [
            self._parameter(facts, str(place.value), prop, classes, imports)
            for place, prop in endpoint.iter_all_parameters()
        ]
        body = self._body(facts, endpoint, classes, imports)
        successes: list[tuple[str, str]] = []
        errors: list[tuple[str, str]] = []
        results: list[str] = []
        failures: list[str] = []
        error_docs: list[str] = []
        for answer in endpoint.responses:
            status = answer.status_code
            is_success = (
                status.range is not None and status.range[0] in facts.success and status.range[0] == status.range[1]
            )
            kind = self._reader.kind(answer.prop) if answer.source["attribute"] == "response.json()" else None
            if kind:
                classes |= kind.classes
                imports |= {line for line in kind.imports if not line.endswith(" Sequence")}
                decoder = self._shared(kind.full_decoder, f"answer_{status.pattern.lower()}", constants)
                annotation = kind.full_annotation
                expression = f"_answers.json_answer(response, OPERATION, {decoder})"
                lenient = f"_answers.error_body(response, {decoder})"
            elif answer.source["attribute"] == "response.text":
                annotation, expression = "str", "_answers.text_answer(response, OPERATION)"
                lenient = "_answers.error_text(response)"
            elif answer.source["attribute"] == "response.content":
                annotation = "bytes"
                expression = lenient = "response.content"
            else:
                annotation = expression = lenient = "None"
            if is_success:
                successes.append((_condition(status), expression))
                results.append(annotation)
            else:
                errors.append((_condition(status), lenient))
                failures.append(annotation)
                hint = facts.hints.get(status.range[0]) if status.range else None
                about = hint or raw(getattr(answer.data, "description", None)) or ""
                error_docs.append(entry(status.pattern, about, 12))
        keyword = [*([body[0]] if body else []), *(p for p in parameters if p.place != "path")]
        imports |= {self._import(name, "...models.") for name in classes}
        imports.add("from tollkit_api.runtime import answers as _answers")
        imports.add("from tollkit_api.runtime.operation import ApiClient, HttpResponse, Operation, Request, Response")
        if parameters or body:
            imports.add("from tollkit_api.runtime import encode as _encode")
        if "_decode." in f"{constants}{successes}{errors}":
            imports.add("from tollkit_api.runtime import decode as _decode")
        if any("Unset" in parameter.annotation for parameter in keyword):
            imports.add("from tollkit_api.runtime.types import UNSET, Unset")
        return EndpointPlan(
            facts=facts,
            summary=sentence(facts.summary or facts.id),
            doc=docstring(facts.description, 4),
            imports=sorted(imports),
            constants=constants,
            positional=[parameter for parameter in parameters if parameter.place == "path"],
            keyword=sorted(keyword, key=lambda parameter: parameter.annotation.endswith("= UNSET")),
            url=_url(facts.path, parameters),
            query=[parameter for parameter in parameters if parameter.place == "query"],
            headers=[parameter for parameter in parameters if parameter.place == "header"],
            body=body[1] if body else None,
            body_type=next(iter(facts.body["content"])) if facts.body else "",
            body_optional=body is not None and body[0].annotation.endswith("= UNSET"),
            successes=_merged(successes),
            errors=_typed(_merged(errors)),
            result=union(*results),
            error=union(*failures, "None"),
            error_docs=error_docs,
        )

    def _parameter(
        self, facts: OperationFacts, place: str, prop: Any, classes: set[str], imports: set[str]
    ) -> Parameter:
        kind, wire, name = self._reader.kind(prop), raw(prop.name), str(prop.python_name)
        if wire == "url":  # a name that the stock templates use for themselves, and ours do not
            name = wire
        if name in TAKEN_ARGUMENTS:
            raise DocumentError(f"{self._document.path}: {facts.id}: parameter {wire} needs another name")
        said = facts.parameters[place, wire]
        about = said.get("description") or raw(prop.description) or ""
        classes |= kind.classes
        imports |= kind.imports if "Secret" not in kind.annotation else set()
        annotation = kind.argument_annotation
        if annotation.startswith("dict["):
            annotation = annotation.replace("dict[", "Mapping[", 1)
            imports.add("from collections.abc import Mapping")
        if not prop.required:
            annotation = f"{annotation.removesuffix(' | None')} | Unset | None = UNSET"
        return Parameter(
            name=name,
            wire=wire,
            place=place,
            annotation=annotation,
            doc=entry(name, about, 8),
            many=_encoder_of_many(said.get(MANY_SEGMENTS)),
        )

    def _body(
        self, facts: OperationFacts, endpoint: Any, classes: set[str], imports: set[str]
    ) -> tuple[Parameter, str] | None:
        if facts.body is None:
            return None
        kind = self._reader.kind(endpoint.bodies[0].prop)
        classes |= kind.classes
        imports |= {line for line in kind.imports if not line.endswith(" Sequence")}
        annotation = f"{kind.full_annotation} | str" if facts.text and not kind.is_any else kind.full_annotation
        if not facts.body.get("required", False):
            annotation = f"{annotation.removesuffix(' | None')} | Unset | None = UNSET"
        about = facts.body.get("description") or "The body of the request."
        parameter = Parameter(name="body", wire="", place="body", annotation=annotation, doc=entry("body", about, 8))
        return parameter, kind.encode("body")


def _condition(status: Any) -> str:
    if status.range is None:
        return ""
    first, last = status.range
    return str(first) if first == last else f"{first}-{last}"


def _merged(answers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Conditions for `if`, one for each outcome; "" stands for everything else."""
    statuses: dict[str, list[str]] = {}
    result: list[tuple[str, str]] = []
    for status, outcome in answers:
        if status.isdigit():
            statuses.setdefault(outcome, []).append(status)
        elif status:
            first, last = status.split("-")
            result.append((f"{first} <= status <= {last}", outcome))
        else:
            result.append(("", outcome))
    exact = [
        (f"status == {known[0]}" if len(known) == 1 else f"status in ({', '.join(known)})", outcome)
        for outcome, known in statuses.items()
    ]
    return [*exact, *result]


def union(*annotations: str) -> str:
    """The union of annotations, each member once, None last."""
    # A bar within brackets belongs to the member.
    members = (re.split(r" \| (?![^\[]*\])", annotation) for annotation in annotations)
    parts = list(dict.fromkeys(part for annotation in members for part in annotation))
    if "Any" in parts:
        return "Any"
    return " | ".join([*(part for part in parts if part != "None"), *(["None"] if "None" in parts else [])])


def _typed(errors: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without errors that have no body, unless a later and wider condition would take them."""
    while errors and errors[-1][1] == "None":
        errors = errors[:-1]
    if errors and not errors[-1][0] and all(condition.startswith("status ") for condition, _ in errors[:-1]):
        # What is left over gets the same type as these.
        errors = [error for error in errors[:-1] if error[1] != errors[-1][1]] + errors[-1:]
    if all(condition.startswith("status ") for condition, _ in errors):
        return [error for error in errors if error[1] != "None"]
    return errors


def _encoder_of_many(said: object) -> str:
    if said == ESCAPED_SEGMENTS:
        return "escaped_segments"
    return "path_segments" if said else ""


def _url(path: str, parameters: Sequence[Parameter]) -> str:
    in_path = [parameter for parameter in parameters if parameter.place == "path"]
    if not in_path:
        return repr(path)
    for parameter in in_path:
        encoder = parameter.many or "path_value"
        value = f"_encode.{encoder}('{parameter.name}', {parameter.name})"
        path = path.replace(f"{{{parameter.wire}}}", f"{{{value}}}")
    return f'f"{path}"'


def _read(kind: Kind, wire: str, name: str, required: bool, three_states: bool, decoder: str) -> list[str]:
    """Lines that set the attribute from `data`, and count optional fields that are not there."""
    target, key = f"self.{name}", repr(wire)
    if kind.is_any:
        if required:
            return [f"{target} = data[{key}]"]
        return [f"{target} = value = data.get({key})", "if value is None:", "    absent += 1"]
    decoded = f"{decoder}(value)"
    if kind.quick:
        test, result = kind.quick
        decoded = f"{result} if {test} else {decoded}"
    if required:
        if kind.null and kind.annotation != "None":
            decoded = f"None if value is None else {decoded}"
        elif not kind.quick:
            return [f"{target} = {decoder}(data[{key}])"]
        return [f"value = data[{key}]", f"{target} = {decoded}"]
    absent = "UNSET" if three_states else "None"
    if three_states:
        decoded = f"None if value is None else {decoded}"
    return [
        f"value = data.get({key}{', UNSET' if three_states else ''})",
        f"if value is {absent}:",
        f"    {target} = {absent}",
        "    absent += 1",
        "else:",
        f"    {target} = {decoded}",
    ]


def _write(kind: Kind, wire: str, name: str, required: bool, three_states: bool) -> list[str]:
    """Lines that put the attribute into `result`; one that starts with a key goes into the first literal."""
    value = f"self.{name}"
    if required:
        return [f"{wire!r}: {kind.encode(value)},"]
    encoded = kind.encode(value) if three_states else attrs.evolve(kind, null=False).encode(value)
    test = f"not isinstance({value}, Unset)" if three_states else f"{value} is not None"
    return [f"if {test}:", f"    result[{wire!r}] = {encoded}"]
