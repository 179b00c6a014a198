"""Hashes of typed data (EIP-712), the form in which wallets sign payments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

from tollkit.errors import ArgumentError
from tollkit.run402.address import is_address, keccak256
from tollkit.run402.errors import raised

__all__ = ["TypedData", "typed_data_digest"]

TypedData: TypeAlias = Mapping[str, Any]
"""What `eth_signTypedData_v4` takes: `types` (with `EIP712Domain`), `primaryType`, `domain`, `message`."""

_ARRAY = re.compile(r"(.+)\[(\d*)\]")
_WHOLE = re.compile(r"(u?)int([0-9]*)")
_FIXED = re.compile(r"bytes([1-9]|[12][0-9]|3[0-2])")
_WIDTHS = range(8, 257, 8)
_Types: TypeAlias = Mapping[str, Sequence[Mapping[str, str]]]


def typed_data_digest(data: TypedData) -> bytes:
    """The 32 bytes that are signed.

    Args:
        data: Amounts and other numbers may be `int` or decimal text, bytes `bytes` or `0x` and hex.

    Raises:
        ArgumentError: A value is missing, of another type, or too large; a type is unknown.
        MissingExtraError: The extra `payments` is not installed.
    """
    try:
        types: _Types = data["types"]
        domain = _struct(types, "EIP712Domain", data["domain"])
        message = _struct(types, data["primaryType"], data["message"])
    except (KeyError, TypeError, ValueError, OverflowError) as problem:
        raise raised(ArgumentError("typed data", f"cannot be hashed: {problem!r}")) from problem
    return keccak256(b"\x19\x01" + domain + message)


def _struct(types: _Types, name: str, values: Mapping[str, Any]) -> bytes:
    fields = [_word(types, field["type"], values[field["name"]]) for field in types[name]]
    return keccak256(keccak256(_signature(types, name).encode()) + b"".join(fields))


def _signature(types: _Types, name: str) -> str:
    used: set[str] = set()
    _collect(types, name, used)
    return "".join(
        f"{one}({','.join(field['type'] + ' ' + field['name'] for field in types[one])})"
        for one in (name, *sorted(used - {name}))
    )


def _collect(types: _Types, name: str, used: set[str]) -> None:
    if name in types and name not in used:
        used.add(name)
        for field in types[name]:
            _collect(types, field["type"].partition("[")[0], used)


def _word(types: _Types, kind: str, value: Any) -> bytes:
    if array := _ARRAY.fullmatch(kind):
        items = cast("Sequence[Any]", value)
        if array[2] and len(items) != int(array[2]):
            raise ValueError(f"{kind} has {len(items)} items")
        return keccak256(b"".join(_word(types, array[1], item) for item in items))
    if kind in types:
        return _struct(types, kind, value)
    if kind == "string":
        if not isinstance(value, str):
            raise TypeError(f"{value!r} is no text")
        return keccak256(value.encode())
    if kind == "bytes":
        return keccak256(_bytes(value))
    if kind == "bool":
        return bytes(31) + bytes([_same(value, bool)])
    if kind == "address":
        if not is_address(value):
            raise ValueError(f"{value!r} is no address")
        return bytes(12) + bytes.fromhex(value[2:])
    if fixed := _FIXED.fullmatch(kind):
        found = _bytes(value)
        if len(found) != int(fixed[1]):
            raise ValueError(f"{kind} has {len(found)} bytes")
        return found.ljust(32, b"\0")
    if (whole := _WHOLE.fullmatch(kind)) and int(whole[2] or 256) in _WIDTHS:
        return _integer(kind, value, int(whole[2] or 256), signed=not whole[1])
    raise ValueError(f"unknown type {kind}")


def _integer(kind: str, value: Any, bits: int, *, signed: bool) -> bytes:
    number = int(value, 10) if isinstance(value, str) else _same(value, int)
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    if not low <= number < high:
        raise ValueError(f"{number} is no {kind}")
    return number.to_bytes(32, "big", signed=signed)


def _same(value: Any, kind: type[int]) -> int:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return int(value)


def _bytes(value: Any) -> bytes:
    return bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else bytes(memoryview(value))
