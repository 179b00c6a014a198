"""Reading a release spec off the wire, and what it makes of a project.

Source: Run402 1.57, `POST /deploy/v2/plans`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NoReturn, cast

import attrs

from tollkit.sandbox.run402.deploy.content import MOST_BYTES
from tollkit.sandbox.run402.deploy.releases import File, Function, State, canonical
from tollkit.sandbox.run402.gateway import GatewayError

__all__ = ["CI_KEYS", "Migration", "Spec", "assert_ci", "read_spec"]

CI_KEYS = ("project", "database", "functions", "site", "base")
"""What a CI session may deploy."""
_KEYS = ("project", "base", "database", "functions", "secrets", "site", "subdomains", "routes", "checks")
_HASH = re.compile(r"[0-9a-f]{64}")
_SECRET = re.compile(r"[A-Z_][A-Z0-9_]{0,127}")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_FUNCTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_TIMEOUT = 10
_MEMORY = 128


@attrs.frozen(kw_only=True)
class Migration:
    """A migration of a spec."""

    id: str
    checksum: str
    sha256: str
    transaction: str


@attrs.frozen(kw_only=True)
class Spec:
    """A release spec that was read."""

    project: str
    document: Mapping[str, Any]
    """As it came."""
    base: str | None
    """`current`, `empty`, or the id of a release."""
    migrations: tuple[Migration, ...]
    expose: Mapping[str, Any] | None
    secrets_required: tuple[str, ...]
    secrets_deleted: tuple[str, ...]
    contents: Mapping[str, int]
    """Size of each content that it names, by its hash."""

    def state(self, before: State) -> State:
        """What it makes of a project."""
        secrets = [*before.secrets, *(key for key in self.secrets_required if key not in before.secrets)]
        return State(
            site=self._site(before.site),
            functions=self._functions(before.functions),
            secrets=tuple(key for key in secrets if key not in self.secrets_deleted),
            subdomains=self._subdomains(before.subdomains),
            routes=members(self.document["routes"]) if "routes" in self.document else before.routes,
            checks=tuple(self.document["checks"]) if "checks" in self.document else before.checks,
        )

    def _site(self, before: Mapping[str, File]) -> Mapping[str, File]:
        site = members(self.document.get("site"))
        if "replace" in site:
            return _files(site["replace"])
        patch = members(site.get("patch"))
        gone: Collection[str] = patch.get("delete") or ()
        return {path: file for path, file in before.items() if path not in gone} | _files(patch.get("put"))

    def _functions(self, before: Mapping[str, Function]) -> Mapping[str, Function]:
        section = members(self.document.get("functions"))
        kept = before
        if "replace" in section:
            kept = {name: _function(name, one, before.get(name)) for name, one in members(section["replace"]).items()}
        patch = members(section.get("patch"))
        gone: Collection[str] = patch.get("delete") or ()
        put = {name: _function(name, one, kept.get(name)) for name, one in members(patch.get("set")).items()}
        return {name: one for name, one in kept.items() if name not in gone} | put

    def _subdomains(self, before: Sequence[str]) -> tuple[str, ...]:
        section = members(self.document.get("subdomains"))
        names: list[str] = list(section["set"]) if "set" in section else list(before)
        names += [name for name in section.get("add") or () if name not in names]
        return tuple(name for name in names if name not in (section.get("remove") or ()))


def members(value: object) -> dict[str, Any]:
    """A JSON object; an empty one for anything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def assert_ci(document: object, *, manifest_ref: object) -> None:
    """Refuse what a CI session may not deploy.

    Raises:
        GatewayError: 403 `forbidden_spec_field`.
    """
    if manifest_ref is not None:
        _forbidden("manifest_ref")
    spec = members(document)
    for key in spec:
        if key not in CI_KEYS:
            _forbidden(key)
    if "base" in spec and spec["base"] != {"release": "current"}:
        _forbidden("base")


def _forbidden(resource: str) -> NoReturn:
    raise GatewayError(
        403,
        "forbidden_spec_field",
        f"A CI session may not deploy {resource}",
        phase="validate",
        resource=resource,
        details={"field": resource},
    )


def read_spec(document: object) -> Spec:
    """Read and check a release spec.

    Raises:
        GatewayError: 400 `INVALID_SPEC`, with the place in `resource`.
    """
    reader = _Reader()
    spec = reader.mapping(document, "spec", _KEYS)
    project = spec.get("project")
    if not isinstance(project, str) or not project:
        reader.refuse("project", "the project is missing")
    migrations, expose = reader.database(spec)
    reader.site(spec)
    reader.functions(spec)
    required, deleted = reader.secrets(spec)
    reader.subdomains(spec)
    reader.mapping(spec.get("routes", {}), "routes")
    if not isinstance(spec.get("checks", []), list):
        reader.refuse("checks", "it must be a list")
    return Spec(
        project=project,
        document=spec,
        base=reader.base(spec),
        migrations=migrations,
        expose=expose,
        secrets_required=required,
        secrets_deleted=deleted,
        contents=reader.contents,
    )


class _Reader:
    """Checks a spec and collects the contents that it names."""

    def __init__(self) -> None:
        self.contents: dict[str, int] = {}

    def refuse(self, resource: str, why: str) -> NoReturn:
        raise GatewayError(
            400,
            "INVALID_SPEC",
            f"{resource}: {why}",
            phase="plan",
            resource=resource,
            fix={"action": "set_field", "path": resource},
        )

    def mapping(self, value: object, place: str, keys: Collection[str] = ()) -> dict[str, Any]:
        found = members(value)
        if found is not value:
            self.refuse(place, "it must be an object")
        for key in found:
            if keys and key not in keys:
                path = key if place == "spec" else f"{place}.{key}"
                self.refuse(path, f"the key is not known (allowed: {', '.join(keys)})")
        return found

    def texts(self, value: object, place: str) -> tuple[str, ...]:
        found: Sequence[Any] = cast("Sequence[Any]", value) if isinstance(value, list) else (None,)
        if not all(isinstance(one, str) for one in found):
            self.refuse(place, "it must be a list of texts")
        return tuple(found)

    def content(self, value: object, place: str) -> str:
        ref = self.mapping(value, place, ("sha256", "size", "contentType", "integrity"))
        sha256, size = ref.get("sha256"), ref.get("size")
        if not isinstance(sha256, str) or _HASH.fullmatch(sha256) is None:
            self.refuse(f"{place}.sha256", "it must be 64 hex digits in lower case")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MOST_BYTES:
            self.refuse(f"{place}.size", f"it must be a number of bytes up to {MOST_BYTES}")
        if self.contents.setdefault(sha256, size) != size:
            self.refuse(f"{place}.size", "the same content has another size elsewhere")
        return sha256

    def base(self, spec: Mapping[str, Any]) -> str | None:
        if "base" not in spec:
            return None
        base = self.mapping(spec["base"], "base", ("release", "release_id"))
        name = base.get("release_id") or base.get("release")
        if len(base) != 1 or not isinstance(name, str):
            self.refuse("base", "it has either release or release_id")
        if "release" in base and name not in ("current", "empty"):
            self.refuse("base.release", "it must be current or empty")
        return name

    def database(self, spec: Mapping[str, Any]) -> tuple[tuple[Migration, ...], Mapping[str, Any] | None]:
        section = self.mapping(spec.get("database", {}), "database", ("expose", "zero_downtime", "migrations"))
        expose = self.mapping(section["expose"], "database.expose") if "expose" in section else None
        entries = section.get("migrations", [])
        if not isinstance(entries, list):
            self.refuse("database.migrations", "it must be a list")
        found = [self._migration(entry) for entry in cast("list[object]", entries)]
        if len({migration.id for migration in found}) < len(found):
            self.refuse("database.migrations", "an id stands there twice")
        return tuple(found), expose

    def _migration(self, entry: object) -> Migration:
        place = "database.migrations"
        told = self.mapping(entry, place, ("id", "checksum", "sql_ref", "transaction"))
        name = told.get("id")
        if not isinstance(name, str) or not name:
            self.refuse(f"{place}[].id", "it must be a text")
        place = f"{place}.{name}"
        sha256 = self.content(told.get("sql_ref"), f"{place}.sql_ref")
        checksum = told.get("checksum")
        if not isinstance(checksum, str) or _HASH.fullmatch(checksum) is None:
            self.refuse(f"{place}.checksum", "it must be 64 hex digits in lower case")
        transaction = told.get("transaction", "required")
        if transaction not in ("required", "none"):
            self.refuse(f"{place}.transaction", "it must be required or none")
        return Migration(id=name, checksum=checksum, sha256=sha256, transaction=transaction)

    def site(self, spec: Mapping[str, Any]) -> None:
        section = self.mapping(spec.get("site", {}), "site", ("replace", "patch"))
        if len(section) > 1:
            self.refuse("site", "it has either replace or patch")
        if "replace" in section:
            self._file_set(section["replace"], "site.replace")
        patch = self.mapping(section.get("patch", {}), "site.patch", ("put", "delete"))
        self._file_set(patch.get("put", {}), "site.patch.put")
        self.texts(patch.get("delete", []), "site.patch.delete")

    def _file_set(self, value: object, place: str) -> None:
        for path, ref in self.mapping(value, place).items():
            pieces = path.split("/")
            if not path or "\\" in path or "\0" in path or any(piece in ("", ".", "..") for piece in pieces):
                self.refuse(f"{place}.{path}", "it must be a relative path without . and ..")
            self.content(ref, f"{place}.{path}")

    def functions(self, spec: Mapping[str, Any]) -> None:
        section = self.mapping(spec.get("functions", {}), "functions", ("replace", "patch"))
        patch = self.mapping(section.get("patch", {}), "functions.patch", ("set", "delete"))
        self.texts(patch.get("delete", []), "functions.patch.delete")
        self._function_set(section.get("replace", {}), "functions.replace")
        self._function_set(patch.get("set", {}), "functions.patch.set")

    def _function_set(self, value: object, place: str) -> None:
        for name, one in self.mapping(value, place).items():
            at = f"{place}.{name}"
            if _FUNCTION.fullmatch(name) is None:
                self.refuse(at, "it is no name of a function")
            told = self.mapping(one, at, ("runtime", "config", "schedule", "entrypoint", "source", "files"))
            if told.get("runtime", "node22") != "node22":
                self.refuse(f"{at}.runtime", "there is node22")
            self.mapping(told.get("config", {}), f"{at}.config", ("timeoutSeconds", "memoryMb"))
            if "source" in told:
                self.content(told["source"], f"{at}.source")
            self._file_set(told.get("files", {}), f"{at}.files")
            if told.get("files") and told.get("entrypoint") not in told["files"]:
                self.refuse(f"{at}.entrypoint", "it must be one of the files")

    def secrets(self, spec: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        section = self.mapping(spec.get("secrets", {}), "secrets", ("require", "delete"))
        found: list[tuple[str, ...]] = []
        for name in ("require", "delete"):
            keys = self.texts(section.get(name, []), f"secrets.{name}")
            if any(_SECRET.fullmatch(key) is None for key in keys) or len(set(keys)) < len(keys):
                self.refuse(f"secrets.{name}", "it must be names of secrets, each once")
            found.append(keys)
        if set(found[0]) & set(found[1]):
            self.refuse("secrets", "a secret cannot be required and deleted")
        return found[0], found[1]

    def subdomains(self, spec: Mapping[str, Any]) -> None:
        section = self.mapping(spec.get("subdomains", {}), "subdomains", ("set", "add", "remove"))
        for name in section:
            for label in self.texts(section[name], f"subdomains.{name}"):
                if _LABEL.fullmatch(label) is None:
                    self.refuse(f"subdomains.{name}", f"{label!r} is no subdomain")
        if len(section.get("set", [])) > 1:
            raise GatewayError(
                400,
                "SUBDOMAIN_MULTI_NOT_SUPPORTED",
                "A project has one subdomain",
                phase="plan",
                resource="subdomains.set",
            )


def _files(value: object) -> dict[str, File]:
    return {
        path: File(
            sha256=ref["sha256"], size=ref["size"], content_type=ref.get("contentType") or "application/octet-stream"
        )
        for path, ref in members(value).items()
    }


def _function(name: str, told: Mapping[str, Any], before: Function | None) -> Function:
    sources = {path: str(ref["sha256"]) for path, ref in members(told.get("files")).items()}
    if "source" in told:
        sources[""] = told["source"]["sha256"]
    elif not sources and before is not None:
        sources = dict(before.sources)
    config = members(told.get("config"))
    only = sources.get("") if len(sources) == 1 else None
    schedule = told.get("schedule", None if before is None else before.schedule)
    return Function(
        name=name,
        code_hash=only or hashlib.sha256(canonical(sources)).hexdigest(),
        runtime=told.get("runtime") or "node22",
        timeout_seconds=config.get("timeoutSeconds", _TIMEOUT if before is None else before.timeout_seconds),
        memory_mb=config.get("memoryMb", _MEMORY if before is None else before.memory_mb),
        schedule=schedule,
        entrypoint=told.get("entrypoint"),
        sources=sources,
    )
