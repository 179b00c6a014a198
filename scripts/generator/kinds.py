"""What a value is in Python: its annotation, and the code that reads it from JSON and writes it back.

A `Kind` holds code as text. Templates put the texts in place and decide nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

__all__ = [
    "ANY",
    "BOOLEAN",
    "BYTES",
    "DATE",
    "DATE_TIME",
    "DECIMAL",
    "DECIMAL_NUMBER",
    "INTEGER",
    "INT_STRING",
    "NULL",
    "NUMBER",
    "SECRET",
    "TEXT",
    "Kind",
    "constant",
    "dict_of",
    "enum",
    "list_of",
    "model",
    "nullable",
    "tagged_union",
    "union",
]


@attrs.frozen(kw_only=True)
class Kind:
    """How one kind of value is written in generated code.

    Attributes:
        annotation: type of an attribute or a result, without None.
        decoder: expression of a function that takes the JSON value.
        json: name of the JSON type for messages.
        encoder: expression with `{}` for the value, or None where value and JSON are the same.
        instance: class for `isinstance`, where a union has to tell its members apart.
        quick: test and result, as expressions of `value`, that spare nearly every value a call of the decoder.
        null: whether JSON null is a value too; decoder and encoder are for the other values.
        argument: type of a parameter, where it is wider than the annotation.
        converter: expression of a function through which a constructor passes the value.
        classes: generated classes that the expressions name.
        imports: import lines that the expressions need.
        tags: wire name of a constant field -> its values, for members of a discriminated union.
    """

    annotation: str
    decoder: str
    json: str = "value"
    encoder: str | None = None
    instance: str = "object"
    quick: tuple[str, str] | None = None
    null: bool = False
    argument: str | None = None
    converter: str | None = None
    classes: frozenset[str] = frozenset()
    imports: frozenset[str] = frozenset()
    tags: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict[str, tuple[str, ...]])

    @property
    def is_any(self) -> bool:
        """Every JSON value passes."""
        return self.decoder == "_decode.anything"

    @property
    def full_annotation(self) -> str:
        """The annotation with None where null is a value."""
        if self.is_any or self.annotation == "None":
            return self.annotation
        return f"{self.annotation} | None" if self.null else self.annotation

    @property
    def argument_annotation(self) -> str:
        """The type of a required parameter of this kind."""
        annotation = self.argument or self.annotation
        return f"{annotation} | None" if self.null and annotation not in {"Any", "None"} else annotation

    @property
    def full_decoder(self) -> str:
        """The decoder that takes null as well, where null is a value."""
        return f"_decode.nullable({self.decoder})" if self.null and not self.is_any else self.decoder

    def encode(self, value: str) -> str:
        """The expression that turns the Python value `value` into JSON, null included."""
        if self.encoder is None:
            return value
        encoded = self.encoder.replace("{}", value)
        return f"None if {value} is None else {encoded}" if self.null else encoded


ANY = Kind(annotation="Any", decoder="_decode.anything", null=True, imports=frozenset({"from typing import Any"}))
NULL = Kind(annotation="None", decoder="_decode.nothing", json="null", instance="NoneType", null=True)
TEXT = Kind(
    annotation="str",
    decoder="_decode.text",
    json="string",
    instance="str",
    quick=("value.__class__ is str", "value"),
)
INTEGER = Kind(
    annotation="int",
    decoder="_decode.integer",
    json="integer",
    instance="int",
    quick=("value.__class__ is int", "value"),
)
NUMBER = Kind(
    annotation="float",
    decoder="_decode.number",
    json="number",
    instance="float",
    quick=("value.__class__ is float", "value"),
)
BOOLEAN = Kind(
    annotation="bool",
    decoder="_decode.boolean",
    json="boolean",
    instance="bool",
    quick=("value.__class__ is bool", "value"),
)
BYTES = Kind(annotation="bytes", decoder="", instance="bytes")
SECRET = Kind(
    annotation="Secret",
    decoder="_decode.secret",
    json="string",
    instance="Secret",
    argument="str",
    converter="Secret.of",
    imports=frozenset({"from tollkit_api.runtime.types import Secret"}),
)
INT_STRING = Kind(
    annotation="int",
    decoder="_decode.int_string",
    json="decimal text of an integer",
    encoder="str({})",
    instance="int",
    quick=("value.__class__ is str and value.isascii() and value.isdecimal()", "int(value)"),
)
DECIMAL = Kind(
    annotation="Decimal",
    decoder="_decode.decimal",
    json="decimal text",
    encoder="_encode.decimal_text({})",
    instance="Decimal",
    imports=frozenset({"from decimal import Decimal"}),
)
DECIMAL_NUMBER = Kind(
    annotation="Decimal",
    decoder="_decode.decimal_number",
    json="number",
    encoder="_encode.decimal_number({})",
    instance="Decimal",
    imports=frozenset({"from decimal import Decimal"}),
)
# Classes of the datetime module are written with its name, since fields are called "date".
DATE_TIME = Kind(
    annotation="datetime.datetime",
    decoder="_decode.date_time",
    json="date-time with an offset",
    encoder="_encode.date_time_text({})",
    instance="datetime.datetime",
    argument="datetime.datetime | str",
    imports=frozenset({"import datetime"}),
)
DATE = Kind(
    annotation="datetime.date",
    decoder="_decode.calendar_date",
    json="date",
    encoder="{}.isoformat()",
    instance="datetime.date",
    argument="datetime.date | str",
    imports=frozenset({"import datetime"}),
)


SEQUENCE = frozenset({"from collections.abc import Sequence"})


def constant(*values: str | int | bool) -> Kind:
    """A field with one value and no other."""
    literals = ", ".join(repr(value) for value in values)
    return Kind(
        annotation=f"Literal[{literals}]",
        decoder=f"_decode.constant({literals})",
        json=" or ".join(repr(value) for value in values),
        instance=type(values[0]).__name__,
        imports=frozenset({"from typing import Literal"}),
    )


def enum(name: str, values: Iterable[str]) -> Kind:
    """An open enumeration: its class, or a text that the class does not know."""
    return Kind(
        annotation=f"{name} | str",
        decoder=f"_decode.open_enum({name})",
        json="string",
        encoder="str({})",
        instance="str",
        quick=("value.__class__ is str", f"_known_{name}.get(value, value)"),
        argument=f"{name} | str",
        classes=frozenset({name}),
        tags={"": tuple(values)},
    )


def model(name: str, tags: Mapping[str, tuple[str, ...]]) -> Kind:
    """An object with a class of its own."""
    return Kind(
        annotation=name,
        decoder=f"{name}.from_dict",
        json="object",
        encoder="{}.to_dict()",
        instance=name,
        classes=frozenset({name}),
        tags=tags,
    )


def list_of(item: Kind) -> Kind:
    """An array."""
    return Kind(
        annotation=f"list[{item.full_annotation}]",
        decoder=f"_decode.list_of({item.full_decoder})",
        json="array",
        encoder=None if item.encoder is None else f"[{item.encode('item')} for item in {{}}]",
        instance="list",
        argument=f"Sequence[{item.argument_annotation}]" if item.argument else None,
        classes=item.classes,
        imports=item.imports | SEQUENCE if item.argument else item.imports,
    )


def dict_of(item: Kind) -> Kind:
    """An object whose keys are data."""
    encoder = None if item.encoder is None else f"{{key: {item.encode('item')} for key, item in {{}}.items()}}"
    return Kind(
        annotation=f"dict[str, {item.full_annotation}]",
        decoder=f"_decode.dict_of({item.full_decoder})",
        json="object",
        encoder=encoder,
        instance="dict",
        classes=item.classes,
        imports=item.imports,
    )


def nullable(kind: Kind) -> Kind:
    """The same, or null."""
    return attrs.evolve(kind, null=True)


def union(members: list[Kind]) -> Kind:
    """A value of one of several kinds, told apart by which of them accepts it."""
    # "12" is both a decimal text and a text, 1 both an integer and a number: the narrower first.
    breadth = {TEXT.decoder: 3, NUMBER.decoder: 2, BOOLEAN.decoder: 0}
    members = sorted(members, key=lambda kind: breadth.get(kind.decoder, 3 if kind.tags.get("") else 1))
    expected = " or ".join(dict.fromkeys(kind.json for kind in members))
    decoders = ", ".join(kind.decoder for kind in members)
    return _joined(members, f"_decode.one_of({expected!r}, {decoders})", expected)


def tagged_union(tag: str, choices: Mapping[str, Kind], otherwise: Kind | None) -> Kind:
    """An object of one of several classes, told apart by the field `tag`."""
    members = list({kind.annotation: kind for kind in choices.values()}.values())
    table = ", ".join(f"{value!r}: {kind.decoder}" for value, kind in choices.items())
    rest = f", {otherwise.decoder}" if otherwise else ""
    if otherwise:
        members.append(otherwise)
    return _joined(members, f"_decode.tagged({tag!r}, {{{table}}}{rest})", "object")


def _joined(members: list[Kind], decoder: str, expected: str) -> Kind:
    annotations = " | ".join(dict.fromkeys(kind.annotation for kind in members))
    arguments = " | ".join(dict.fromkeys(kind.argument or kind.annotation for kind in members))
    return Kind(
        annotation=annotations,
        decoder=decoder,
        json=expected,
        encoder=_joined_encoder(members),
        argument=arguments,
        classes=frozenset(name for kind in members for name in kind.classes),
        imports=frozenset(line for kind in members for line in kind.imports),
    )


def _joined_encoder(members: list[Kind]) -> str | None:
    """One conditional expression: members that share an encoder share its test, and the rest needs none."""
    classes: dict[str, list[str]] = {}
    for kind in members:
        known = classes.setdefault(kind.encoder or "{}", [])
        if kind.instance not in known:
            known.append(kind.instance)
    if set(classes) == {"{}"}:
        return None
    rest = "{}" if "{}" in classes else list(classes)[-1]
    tests = [
        f"{encoder} if isinstance({{}}, {' | '.join(known)})" for encoder, known in classes.items() if encoder != rest
    ]
    return f"({' else '.join([*tests, rest])})"
