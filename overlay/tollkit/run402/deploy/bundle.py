"""Bundles, the older way to describe a deploy, as release specs; nothing is sent here."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard, cast

from tollkit.oidc.json_values import is_number
from tollkit.run402.deploy.files import FileSource
from tollkit.run402.deploy.spec import nearest, refused
from tollkit.secrets import Secret

if TYPE_CHECKING:
    from tollkit_api.shapes import BundleFile, BundleFunction, BundleRls, BundleSecret, ReleaseSpec

__all__ = ["bundle_migration", "bundle_secrets", "bundle_spec", "decoded"]

DOING = "translating bundle to release spec"
SECRETS_DOING = "validating bundle deploy secrets"
MAX_VALUE_BYTES = 4096
UNRESTRICTED = "public_read_write_UNRESTRICTED"
TEMPLATES = ("user_owns_rows", "public_read_authenticated_write", UNRESTRICTED)
_SECRET_KEY = re.compile(r"[A-Z_][A-Z0-9_]{0,127}")
_ENCODINGS = ("utf-8", "base64")


def bundle_spec(
    project: str | None,
    *,
    migrations: str | None = None,
    rls: BundleRls | Mapping[str, Any] | None = None,
    secrets: Iterable[BundleSecret | Mapping[str, Any]] | None = None,
    functions: Iterable[BundleFunction | Mapping[str, Any]] | None = None,
    files: Iterable[BundleFile | Mapping[str, Any]] | None = None,
    subdomain: str | None = None,
) -> ReleaseSpec:
    """The release that a bundle describes. Values of secrets are no part of it: see `bundle_secrets`.

    Args:
        project: Id of the project; `None` leaves it open.
        migrations: SQL; it is one migration, whose id comes from its hash.
        rls: Who may reach which tables.
        secrets: Secrets; the release requires their names.
        functions: All functions.
        files: All files of the site; with `encoding: "base64"` the data are bytes. They may be a `FileSource` too.
        subdomain: Where it is served.

    Raises:
        DeployError: `INVALID_SPEC`, a part is not what it has to be.

    Source: Run402 client 1.57, `apps.bundleDeploy`.
    """
    spec: dict[str, Any] = {} if project is None else {"project": project}
    database: dict[str, Any] = {}
    if migrations:
        if not isinstance(migrations, str):
            _fail("has to be SQL text", "migrations")
        if migrations.strip():
            own, checksum = bundle_migration(migrations)
            database["migrations"] = [{"id": own, "checksum": checksum, "sql": migrations}]
    if rls is not None:
        database["expose"] = _expose(rls)
    if migrations or database:
        spec["database"] = database
    if keys := [key for key, _ in bundle_secrets(secrets)]:
        spec["secrets"] = {"require": keys}
    if made := dict(_function(each, at) for at, each in enumerate(_items(functions, "functions"))):
        spec["functions"] = {"replace": made}
    if given := dict(_file(each, at) for at, each in enumerate(_items(files, "files"))):
        spec["site"] = {"replace": given}
    if subdomain:
        spec["subdomains"] = {"set": [_text(subdomain, "subdomain")]}
    return cast("ReleaseSpec", spec)


def bundle_migration(sql: str) -> tuple[str, str]:
    """The id and the checksum that SQL of a bundle has as a migration: the same SQL is never run twice.

    Raises:
        DeployError: `INVALID_SPEC`, it has half a surrogate pair.
    """
    try:
        checksum = hashlib.sha256(sql.encode()).hexdigest()
    except UnicodeEncodeError:
        _fail("has half a surrogate pair, which is no text", "migrations")
    return f"bundle_legacy_{checksum[:16]}", checksum


def bundle_secrets(secrets: Iterable[BundleSecret | Mapping[str, Any]] | None) -> list[tuple[str, Secret]]:
    """The names and values of secrets of a bundle; they are to be set before the release is deployed.

    Raises:
        DeployError: `INVALID_SPEC`, a name is no name or stands there twice, or a value is no text or too long.

    Source: Run402 client 1.57, `apps.bundleDeploy`.
    """
    found: dict[str, Secret] = {}
    for given in _items(secrets, "secrets", SECRETS_DOING):
        key, value = given.get("key"), given.get("value")
        if not (isinstance(key, str) and _SECRET_KEY.fullmatch(key)):
            _fail("has a key that is not 1 to 128 capitals, digits and _", "secrets", SECRETS_DOING)
        if key in found:
            _fail("stands there twice", f"secrets.{key}", SECRETS_DOING)
        if not isinstance(value, str):
            _fail("needs a value that is text", f"secrets.{key}", SECRETS_DOING)
        if len(value.encode("utf-8", "replace")) > MAX_VALUE_BYTES:
            _fail(f"has a value longer than {MAX_VALUE_BYTES} bytes of UTF-8", f"secrets.{key}", SECRETS_DOING)
        _known(given, ("key", "value"), f"secrets.{key}", SECRETS_DOING)
        found[key] = Secret(value)
    return list(found.items())


def decoded(data: str, path: str, doing: str = DOING) -> bytes:
    """The bytes of base64, in either alphabet, padded or not; white space does not count.

    Args:
        data: The text.
        path: Where it stands, for the error.
        doing: What is being done, for the error.

    Raises:
        DeployError: `INVALID_SPEC`, it is no base64.
    """
    plain = "".join(data.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        _fail("is no base64", path, doing)


def _expose(rls: object) -> dict[str, Any]:
    if not _is_object(rls) or not isinstance(rls.get("tables"), list | tuple):
        _fail("has to be an object with a list of tables", "rls")
    _known(rls, ("template", "tables", "i_understand_this_is_unrestricted"), "rls")
    template = rls.get("template")
    if template not in TEMPLATES:
        _fail(f"needs a template: {', '.join(TEMPLATES)}", "rls")
    told = template == UNRESTRICTED and bool(rls.get("i_understand_this_is_unrestricted"))
    tables: list[dict[str, Any]] = []
    for at, each in enumerate(cast("Sequence[object]", rls["tables"])):
        if not _is_object(each):
            _fail("has to be an object", f"rls.tables[{at}]")
        _known(each, ("table", "owner_column"), f"rls.tables[{at}]")
        table = {"name": _text(each.get("table"), f"rls.tables[{at}].table"), "expose": True, "policy": template}
        if each.get("owner_column"):
            table["owner_column"] = each["owner_column"]
        tables.append({**table, "i_understand_this_is_unrestricted": True} if told else table)
    return {"version": "1", "tables": tables, "views": [], "rpcs": []}


def _function(given: Mapping[str, Any], at: int) -> tuple[str, dict[str, Any]]:
    path = f"functions[{at}]"
    _known(given, ("name", "code", "config", "schedule"), path)
    made: dict[str, Any] = {"runtime": "node22", "source": _text(given.get("code"), f"{path}.code")}
    config: object = given.get("config")
    if config is not None:
        if not _is_object(config):
            _fail("has to be an object", f"{path}.config")
        _known(config, ("timeout", "memory"), f"{path}.config")
        names = (("timeout", "timeoutSeconds"), ("memory", "memoryMb"))
        made["config"] = {wire: config[name] for name, wire in names if is_number(config.get(name))}
    if "schedule" in given:
        made["schedule"] = given["schedule"]
    return _text(given.get("name"), f"{path}.name"), made


def _file(given: Mapping[str, Any], at: int) -> tuple[str, str | bytes | FileSource]:
    path = f"files[{at}]"
    _known(given, ("file", "data", "encoding"), path)
    name, data = _text(given.get("file"), f"{path}.file"), given.get("data")
    if isinstance(data, FileSource):
        return name, data
    if not isinstance(data, str):
        _fail("has to be text", f"{path}.data")
    if given.get("encoding", "utf-8") not in _ENCODINGS:
        _fail("has to be utf-8 or base64", f"{path}.encoding")
    return name, decoded(data, f"{path}.data") if given.get("encoding") == "base64" else data


def _items(given: object, path: str, doing: str = DOING) -> list[Mapping[str, Any]]:
    if not given:
        return []
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        _fail("has to be a list of objects", path, doing)
    found: list[Mapping[str, Any]] = []
    for at, each in enumerate(cast("Iterable[object]", given)):
        if not _is_object(each):
            _fail("has to be an object", f"{path}[{at}]", doing)
        found.append(each)
    return found


def _known(given: Mapping[str, Any], known: Sequence[str], path: str, doing: str = DOING) -> None:
    for name in given:
        if name not in known:
            near = nearest(name, known)
            hint = f"Did you mean {near}?" if near else f"Known are {', '.join(known)}"
            _fail("is unknown", f"{path}.{name}", doing, hint)


def _text(value: object, path: str) -> str:
    if not isinstance(value, str) or not value:
        _fail("has to be text", path)
    return value


def _is_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def _fail(problem: str, path: str, doing: str = DOING, hint: str | None = None) -> NoReturn:
    raise refused(f"{path} {problem}", path, hint=hint, doing=doing)
