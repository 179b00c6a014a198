"""An OpenAPI document as it stands: what openapi-python-client does not pass on to its templates.

Everything here refuses what the generator could not carry into code faithfully, so that nothing that the
document says is left out in silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import attrs
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

__all__ = [
    "DECIMAL_NUMBER",
    "ESCAPED_SEGMENTS",
    "MANY_SEGMENTS",
    "Document",
    "DocumentError",
    "OperationFacts",
    "load",
]

# A path parameter that may hold slashes; OpenAPI 3.1 has no word for it.
MANY_SEGMENTS = "x-many-segments"
# Its value where platforms escape each segment by itself, ":" and "+" among it; true leaves what a segment may hold.
ESCAPED_SEGMENTS = "escaped"
# Of an operation whose query is written as percent-encoding (blank is "%20") and not as a form (blank is "+").
PERCENT_QUERY = "x-percent-query"
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
TEXT = "text/plain"
BYTES = "application/octet-stream"
# What a request may hold: one media type, or JSON with text for whoever gives text.
BODIES = ({JSON}, {FORM}, {JSON, TEXT})
DECIMAL_NUMBER = "decimal-number"
REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})


class DocumentError(Exception):
    """The document says something that cannot be generated; the message says what and where."""


@attrs.frozen
class OperationFacts:
    """One operation of the document, with references in its parameters, bodies and answers resolved.

    Attributes:
        id: operationId.
        method: HTTP method in capitals.
        path: path template.
        tag: its one tag.
        security: alternatives of scheme names.
        idempotent: `x-idempotent`, or what the method implies.
        success: statuses that are no error.
        hints: `x-status-hints`.
        summary: one line.
        description: the rest.
        parameters: (place, wire name) -> parameter object.
        body: request body object, or None.
        text: whether the body may be text instead of JSON.
        percent_query: whether the query is percent-encoded, and not a form.
        answers: status text -> response object.
    """

    id: str
    method: str
    path: str
    tag: str
    security: tuple[tuple[str, ...], ...]
    idempotent: bool
    success: tuple[int, ...]
    hints: Mapping[int, str]
    summary: str
    description: str
    parameters: Mapping[tuple[str, str], Mapping[str, Any]]
    body: Mapping[str, Any] | None
    text: bool
    percent_query: bool
    answers: Mapping[str, Mapping[str, Any]]


@attrs.frozen
class Document:
    """A parsed document.

    Attributes:
        path: where it stands below the project, for the head of generated files.
        data: the document, as openapi-python-client takes it.
        operations: facts by operationId, in the order of the document.
    """

    path: str
    data: dict[str, Any]
    operations: Mapping[str, OperationFacts]

    @property
    def schemas(self) -> Mapping[str, Mapping[str, Any]]:
        """Component schemas by name."""
        schemas: Mapping[str, Mapping[str, Any]] = self.data.get("components", {}).get("schemas", {})
        return schemas

    def unions(self) -> Iterator[tuple[list[str], str, Mapping[str, str]]]:
        """Every union that has a discriminator: names of its schemas, the field, value -> name where given."""
        for schema in _walk(self.data):
            if "discriminator" not in schema:
                continue
            members = [
                member["$ref"].rpartition("/")[2]
                for member in [*schema.get("oneOf", ()), *schema.get("anyOf", ())]
                if "$ref" in member
            ]
            if not members:
                raise DocumentError(f"{self.path}: a discriminator needs oneOf or anyOf of $refs beside it")
            discriminator = schema["discriminator"]
            mapping = {
                value: reference.rpartition("/")[2] for value, reference in discriminator.get("mapping", {}).items()
            }
            yield members, discriminator["propertyName"], mapping


def load(file: Path, root: Path) -> Document:
    """Read and check a document.

    Args:
        file: the YAML file.
        root: folder of the project.

    Raises:
        DocumentError: it says something that cannot be generated.
    """
    name = file.relative_to(root).as_posix()
    try:
        data: dict[str, Any] = YAML(typ="safe").load(file.read_bytes())  # pyright: ignore[reportUnknownMemberType]
    except YAMLError as error:
        raise DocumentError(f"{name}: {error}") from None
    operations: dict[str, OperationFacts] = {}
    for path, item in data.get("paths", {}).items():
        for method in METHODS:
            if method in item:
                facts = _facts(data, path, item, method, name)
                if facts.id in operations:
                    raise DocumentError(f"{name}: operationId {facts.id} stands twice")
                operations[facts.id] = facts
    return Document(name, _suited(data), operations)


def _facts(data: Mapping[str, Any], path: str, item: Mapping[str, Any], method: str, document: str) -> OperationFacts:
    operation = item[method]
    where = f"{document}: {method.upper()} {path}"

    def refuse(reason: str) -> DocumentError:
        return DocumentError(f"{where}: {reason}")

    if "operationId" not in operation:
        raise refuse("has no operationId")
    tags = operation.get("tags", [])
    if len(tags) != 1:
        raise refuse("needs exactly one tag")
    security = operation.get("security", data.get("security"))
    if security is None:
        raise refuse("says nothing of security; [] means none")

    parameters: dict[tuple[str, str], Mapping[str, Any]] = {}
    for reference in [*item.get("parameters", ()), *operation.get("parameters", ())]:
        parameter = _resolve(data, reference)
        place, wire = parameter["in"], parameter["name"]
        if place == "cookie":
            raise refuse(f"cookie parameter {wire} cannot be generated")
        style = parameter.get("style", "form" if place == "query" else "simple")
        if style != ("form" if place == "query" else "simple"):
            raise refuse(f"parameter {wire}: style {style} cannot be generated")
        if place == "query" and not parameter.get("explode", True):
            raise refuse(f"parameter {wire}: explode: false cannot be generated")
        if parameter.get("allowReserved") or "content" in parameter:
            raise refuse(f"parameter {wire}: allowReserved and content cannot be generated")
        if MANY_SEGMENTS in parameter and place != "path":
            raise refuse(f"parameter {wire}: {MANY_SEGMENTS} is for parameters of the path")
        parameters[place, wire] = parameter

    body = _resolve(data, operation["requestBody"]) if "requestBody" in operation else None
    if body is not None and set(body["content"]) not in BODIES:
        raise refuse(f"the body needs exactly one media type, {JSON} or {FORM}; or {JSON} and {TEXT}")

    answers = {str(status): _resolve(data, answer) for status, answer in operation["responses"].items()}
    success: list[int] = []
    for status, answer in answers.items():
        if status[0] in "23" and not status.isdigit():
            raise refuse(f"answer {status}: name the statuses of successes one by one")
        if status.isdigit() and (200 <= int(status) < 300 or int(status) == 304):
            success.append(int(status))
            if len(answer.get("content", {})) > 1:
                raise refuse(f"answer {status}: a success has one media type")
    if not success:
        raise refuse("has no success")
    hints: Mapping[str, str] = operation.get("x-status-hints", {})
    unknown = [status for status in hints if status not in answers or not status.isdigit()]
    if unknown:
        raise refuse(f"x-status-hints: no answer {', '.join(unknown)}")

    return OperationFacts(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        tag=tags[0],
        security=tuple(tuple(alternative) for alternative in security),
        idempotent=operation.get("x-idempotent", method.upper() in REPEATABLE),
        success=tuple(sorted(success)),
        hints={int(status): " ".join(hint.split()) for status, hint in hints.items()},
        summary=operation.get("summary", ""),
        description=operation.get("description", ""),
        parameters=parameters,
        body=body,
        text=body is not None and TEXT in body["content"],
        percent_query=operation.get(PERCENT_QUERY, False),
        answers=answers,
    )


def _resolve(data: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in node:
        target: Any = data
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def _walk(node: Any) -> Iterator[dict[str, Any]]:
    """Every object of a document, from outside to inside."""
    below: list[Any] = []
    if isinstance(node, dict):
        mapping = cast("dict[str, Any]", node)
        yield mapping
        below = list(mapping.values())
    elif isinstance(node, list):
        below = cast("list[Any]", node)  # type: ignore[redundant-cast]  # pyright would not know
    for value in below:
        yield from _walk(value)


def _is_binary(media: Any) -> bool:
    """Whether a media type says that it is bytes."""
    return isinstance(media, dict) and cast("dict[str, Any]", media).get("schema", {}).get("format") == "binary"


def _suited(data: dict[str, Any]) -> dict[str, Any]:
    """The same document in the words that openapi-python-client understands best."""
    for node in _walk(data):
        content: Any = node.get("content")
        media = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
        if JSON in media:
            # Of an answer it takes the first media type that it knows: let that be JSON.
            # Text beside it, which it cannot send, is in the facts.
            node["content"] = {JSON: media[JSON], **{name: each for name, each in media.items() if name != TEXT}}
        elif media:
            # Bytes it knows by one media type alone.
            node["content"] = {BYTES if _is_binary(each) else name: each for name, each in media.items()}
        types: Any = node.get("type")
        if isinstance(types, list) and "null" in types and "enum" in node:
            # Of an enumeration that may be null it makes one class for each type, and one more.
            names = [name for name in node["type"] if name != "null"]
            values: list[Any] = [value for value in node.pop("enum") if value is not None]
            del node["type"]
            node["oneOf"] = [{"type": names[0], "enum": values}, {"type": "null"}]
        types = node.get("type")
        if node.get("format") == "decimal" and types in ("number", ["number", "null"]):
            # It keeps formats of strings alone.
            node["type"] = "string" if types == "number" else ["string", "null"]
            node["format"] = DECIMAL_NUMBER
    return data
