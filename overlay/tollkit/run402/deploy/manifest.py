"""Manifests: a release as a JSON file, with the files that it names beside it.

Two forms are read: that of `run402.deploy.json`, whose sections are those of a release spec, and the older bundle
(`files`, `migrations`, `rls`, ... at the top). Files are sent byte by byte as they are, and have to lie in the folder
of the manifest or in the one that the caller names.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeGuard, cast

import attrs

from tollkit.run402.deploy.bundle import bundle_spec, decoded
from tollkit.run402.deploy.content import is_ref
from tollkit.run402.deploy.errors import DeployError
from tollkit.run402.deploy.files import FileSource
from tollkit.run402.deploy.spec import KNOWN, nearest, normalised
from tollkit_api.runtime.json_text import need_shallow

if TYPE_CHECKING:
    from tollkit_api.shapes import ReleaseManifest, ReleaseSpec

__all__ = ["DEFAULT_NAME", "DeployManifest", "load_manifest"]

DOING = "loading deploy manifest"
DEFAULT_NAME = "run402.deploy.json"
"""The name that a manifest has unless somebody says otherwise."""
SECTIONS = ("database", "site", "functions", "secrets", "subdomains", "routes", "checks")
"""Sections of which one at least must have something in it."""
TOP = ("$schema", "project_id", "project", "base", *SECTIONS, "idempotency_key", "idempotencyKey")
BUNDLE = ("migrations", "migrations_file", "rls", "files", "subdomain", "inherit")
"""Members that only a bundle has."""
BUNDLE_TOP = ("$schema", "project_id", "project", "name", *BUNDLE, "secrets", "functions")
BUNDLE_SECTIONS = ("migrations", "migrations_file", "secrets", "functions", "files", "subdomain")
FILE = ("data", "encoding", "path", "contentType", "content_type")
MIGRATION = (*KNOWN["MigrationSpec"], "sql_path", "sql_file")
_MAX_BYTES = 256 << 20

Object: TypeAlias = Mapping[str, Any]


@attrs.frozen
class DeployManifest:
    """A manifest that was read and checked."""

    spec: ReleaseSpec
    """The release; without `project` when neither the manifest nor the caller names one."""
    idempotency_key: str | None = None
    """The name of the deploy, for `apply(spec, idempotency_key=...)`."""


def load_manifest(
    source: str | os.PathLike[str] | ReleaseManifest | Mapping[str, Any],
    *,
    project: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    root: str | os.PathLike[str] | None = None,
) -> DeployManifest:
    """Read a manifest, and check it and that the files it names are there; they are not read yet, but for SQL.

    Args:
        source: The file, or what it would hold.
        project: Id of the project; it must be the manifest's, if that names one.
        folder: Folder from which paths in it count: that of the file unless told. A manifest given as a mapping has
            no folder of its own, and may have no paths then.
        root: Folder in which all files have to lie; `folder` unless told.

    Raises:
        DeployError: `BAD_USAGE` (it or a file cannot be read, is no JSON, names two projects),
            `UNSAFE_SECRET_MANIFEST` (it has values of secrets), `MANIFEST_EMPTY`, `INVALID_SPEC`; `resource` says
            where, `details` has facts.

    Source: Run402 command line 1.57, `deploy apply --manifest` and `deploy --manifest`.
    """
    manifest: object
    if isinstance(source, str | os.PathLike):
        path = os.path.abspath(os.fsdecode(source))
        manifest = _parsed(path)
        folder = os.path.dirname(path) if folder is None else folder
    else:
        path, manifest = None, source
    reader = _Reader(path, folder, root)
    reader.guard(manifest)
    given = {name: value for name, value in cast("Object", manifest).items() if value is not None}
    is_bundle = not {"files", "migrations", "migrations_file", "rls", "subdomain"}.isdisjoint(given)
    is_bundle = is_bundle or isinstance(given.get("functions"), list)
    if is_bundle and (mixed := [name for name in ("database", "site", "subdomains") if name in given]):
        _fail(f"{mixed[0]} is no part of a bundle, and the manifest has members of one", mixed[0])
    _known(given, BUNDLE_TOP if is_bundle else TOP, "")
    wanted = _one_of(given, "project_id", "project")
    if project is not None and wanted not in (None, project):
        _fail(
            f"the manifest is of project {wanted}, not of {project}",
            "project_id",
            details={"spec_project_id": wanted, "flag_project_id": project},
        )
    wanted = project if project is not None else wanted
    spec = reader.bundle(given, wanted) if is_bundle else reader.release(given, wanted)
    normalised(spec, whole=False)
    return DeployManifest(cast("ReleaseSpec", spec), _one_of(given, "idempotency_key", "idempotencyKey"))


def _fail(
    problem: str,
    field: str | None = None,
    *,
    code: str = "BAD_USAGE",
    details: Object | None = None,
    hint: str | None = None,
    cause: BaseException | None = None,
) -> NoReturn:
    raise DeployError(
        problem,
        code=code,
        phase="validate",
        resource=field,
        fix={"action": "set_field", "path": field} if field else None,
        body={"details": {**({"field": field} if field else {}), **(details or {})}},
        hint=hint,
        doing=DOING,
    ) from cause


def _parsed(path: str) -> object:
    """What the file holds."""
    try:
        with open(path, "rb", opener=_waitless) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError("it is no regular file")
            content = file.read(_MAX_BYTES)
    except (OSError, ValueError) as problem:
        told = getattr(problem, "strerror", None) or str(problem)
        _fail(f"{path} cannot be read: {told}", details={"flag": "manifest", "path": path}, cause=problem)
    try:
        need_shallow(content)
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as problem:
        where = {"line": problem.lineno, "column": problem.colno}
        _no_json(path, f"line {problem.lineno}, column {problem.colno}: {problem.msg}", where, problem)
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        _no_json(path, f"line {line}: it is not UTF-8", {"line": line}, problem)
    except (ValueError, RecursionError) as problem:
        _no_json(
            path, "it is nested too deeply" if isinstance(problem, RecursionError) else str(problem), {}, problem
        )


def _no_json(path: str, why: str, where: Object, problem: Exception) -> NoReturn:
    details = {"source": "manifest", "path": path, "parse_error": why, **where}
    _fail(f"{path} is no JSON: {why}", details=details, cause=problem)


def _waitless(name: str, _: int) -> int:
    return os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands in an object twice")
    return made


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


class _Reader:
    """Makes a spec of a manifest.

    Members that a spec has too are passed on as they are, and checked with the spec.
    """

    def __init__(
        self, path: str | None, folder: str | os.PathLike[str] | None, root: str | os.PathLike[str] | None
    ) -> None:
        self._path = path
        self._folder = None if folder is None else os.path.abspath(os.fsdecode(folder))
        self._root = self._folder if root is None else os.path.abspath(os.fsdecode(root))

    def guard(self, manifest: object) -> None:
        """What the platform's tools refuse, in their order."""
        about = {
            "source": "spec" if self._path is None else "manifest",
            **({"path": self._path} if self._path else {}),
        }
        secrets: Any = manifest.get("secrets") if _is_object(manifest) else None
        unsafe: str | None = None
        if isinstance(secrets, list | tuple) and secrets:
            unsafe, about = "secrets", {**about, "legacy_shape": "array"}
        elif _is_object(cast("object", secrets)):
            unsafe = next((f"secrets.{name}" for name in ("set", "replace_all") if name in secrets), None)
        if unsafe:
            _fail(
                f"{unsafe} has values of secrets, and a manifest is a file that others can read",
                unsafe,
                code="UNSAFE_SECRET_MANIFEST",
                details=about,
                hint="Set them with client.secrets.set(...), and name them in secrets.require",
            )
        known = (*SECTIONS, *BUNDLE_SECTIONS)
        if not _is_object(manifest) or not any(_has_content(manifest.get(name)) for name in known):
            _fail(
                "the manifest has nothing to deploy",
                "manifest",
                code="MANIFEST_EMPTY",
                details={**about, "meaningful_keys": list(SECTIONS)},
                hint=None if not _is_object(manifest) else _slip(manifest),
            )

    # -- the form with sections --

    def release(self, given: Object, project: str | None) -> dict[str, Any]:
        """The spec of a manifest with sections."""
        spec = {name: given[name] for name in ("base", *SECTIONS) if name in given}
        read: dict[str, Callable[[Object], Object]] = {
            "database": self._database,
            "functions": self._functions,
            "site": self._site,
        }
        for name, part in read.items():
            if _is_object(value := spec.get(name)):
                spec[name] = part(value)
        return {**({} if project is None else {"project": project}), **spec}

    def _database(self, given: Object) -> Object:
        migrations: object = given.get("migrations")
        if not isinstance(migrations, list | tuple):
            return given
        made = [
            self._migration(each, f"database.migrations[{at}]") if _is_object(each) else each
            for at, each in enumerate(cast("list[object]", migrations))
        ]
        return {**given, "migrations": made}

    def _migration(self, given: Object, path: str) -> Object:
        _known(given, MIGRATION, path)
        file = _one_of(given, "sql_path", "sql_file", path)
        made = {name: value for name, value in given.items() if name not in ("sql_path", "sql_file")}
        if file is not None and not made.get("sql"):
            made["sql"] = self._text(file, f"{path}.sql_path", {"migration_id": given.get("id"), "sql_path": file})
        return made

    def _functions(self, given: Object) -> Object:
        made = dict(given)
        if "replace" in given:
            made["replace"] = self._each(given["replace"], self._function, "functions.replace")
        patch: object = given.get("patch")
        if _is_object(patch) and "set" in patch:
            made["patch"] = {**patch, "set": self._each(patch["set"], self._function, "functions.patch.set")}
        return made

    def _function(self, value: object, path: str) -> object:
        if not _is_object(value):
            return value
        made = dict(value)
        if not made.get("runtime", True):
            del made["runtime"]
        source: object = made.get("source")
        if source is not None:
            if _is_object(source) and source.get("path") and self._folder is not None:
                source = {name: each for name, each in source.items() if name not in ("data", "encoding")}
            made["source"] = self._entry(source, f"{path}.source")
        if "files" in made:
            made["files"] = self._each(made["files"], self._entry, f"{path}.files")
        return made

    def _site(self, given: Object) -> Object:
        made = dict(given)
        if "replace" in given:
            made["replace"] = self._each(given["replace"], self._entry, "site.replace")
        patch: object = given.get("patch")
        if _is_object(patch) and "put" in patch:
            made["patch"] = {**patch, "put": self._each(patch["put"], self._entry, "site.patch.put")}
        return made

    def _each(self, value: object, read: Callable[[object, str], object], path: str) -> object:
        if not _is_object(value):
            return value
        return {name: read(each, f"{path}.{name}") for name, each in value.items()}

    def _entry(self, value: object, path: str) -> object:
        """A file of a manifest as a source of a spec."""
        if not _is_object(value) or is_ref(value):
            return value
        _known(value, FILE, path)
        told = value.get("contentType") or value.get("content_type")
        data: object = value.get("data")
        if data is None and isinstance(value.get("path"), str):
            file = self._place(value["path"], path, {"path": value["path"]})
            return FileSource(file) if told is None else {"data": FileSource(file), "contentType": told}
        if not isinstance(data, str):
            _fail(f"{path} needs data or a path, as text", path, code="INVALID_SPEC")
        encoding = value.get("encoding", "utf-8")
        if encoding not in ("utf-8", "base64", None):
            _fail(f"{path}.encoding has to be utf-8 or base64", f"{path}.encoding", code="INVALID_SPEC")
        content = decoded(data, f"{path}.data", DOING) if encoding == "base64" else data
        return content if told is None else {"data": content, "contentType": told}

    # -- bundles --

    def bundle(self, given: Object, project: str | None) -> dict[str, Any]:
        """The spec of a bundle."""
        migrations: object = given.get("migrations")
        if "migrations_file" in given:
            file = given["migrations_file"]
            migrations = self._text(file, "migrations_file", {"path": file})
        files: object = given.get("files")
        if isinstance(files, list):
            files = [self._file(each, f"files[{at}]") for at, each in enumerate(cast("list[object]", files))]
        spec = bundle_spec(
            project,
            migrations=cast("str", migrations),
            rls=given.get("rls"),
            functions=given.get("functions"),
            files=cast("list[Object]", files),
            subdomain=given.get("subdomain"),
        )
        return {**spec, **({"secrets": given["secrets"]} if given.get("secrets") else {})}

    def _file(self, value: object, path: str) -> object:
        """A file of a bundle, with what lies beside the manifest as its data."""
        if not _is_object(value):
            return value
        if "data" in value or not value.get("path"):
            return {name: each for name, each in value.items() if name != "path"}
        _known(value, ("file", "path"), path)
        own = value["path"]
        return {"file": value.get("file") or own, "data": FileSource(self._place(own, f"{path}.path", {"path": own}))}

    # -- files --

    def _place(self, name: object, field: str, details: Object) -> str:
        """Where a file lies, if it is there and lies where it may."""
        if not isinstance(name, str) or not name:
            _fail(f"{field} has to be the path of a file", field)
        if self._folder is None or self._root is None:
            _fail(
                f"{field} is a path, and the manifest has no folder from which it would count",
                field,
                details=details,
                hint="Give folder=, or load the manifest from its file",
            )
        path = os.path.join(self._folder, name)
        try:
            real, root = os.path.realpath(path, strict=True), os.path.realpath(self._root)
            if not stat.S_ISREG(os.stat(real).st_mode):
                _fail(f"{field}: {name} is no file", field, details=details)
            readable = os.access(real, os.R_OK)
        except (OSError, ValueError) as problem:
            told = getattr(problem, "strerror", None) or str(problem)
            _fail(f"{field}: {name} cannot be read: {told}", field, details=details, cause=problem)
        if os.path.commonpath((real, root)) != root:
            _fail(
                f"{field}: {name} lies outside of {self._root}",
                field,
                details=details,
                hint="Give root=, the folder in which files may lie",
            )
        if not readable:
            _fail(f"{field}: {name} cannot be read: permission denied", field, details=details)
        return path

    def _text(self, name: object, field: str, details: Object) -> str:
        path = self._place(name, field, details)
        try:
            with open(path, "rb") as file:
                return file.read().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as problem:
            _fail(f"{field}: {name} cannot be read as UTF-8: {problem}", field, details=details, cause=problem)


def _is_object(value: object) -> TypeGuard[Object]:
    return isinstance(value, Mapping)


def _has_content(value: object) -> bool:
    if value is None:
        return False
    if isinstance(value, str | list | tuple):
        return len(cast("str", value)) > 0
    return any(map(_has_content, value.values())) if _is_object(value) else True


def _slip(manifest: Object) -> str | None:
    """A hint, when a section stands there under a wrong name."""
    for name in manifest:
        near = None if name in TOP or name in BUNDLE_TOP else nearest(name, (*SECTIONS, *BUNDLE_SECTIONS))
        if near:
            return f"{name} is unknown: did you mean {near}?"
    return None


def _known(given: Object, known: tuple[str, ...], path: str) -> None:
    for name in given:
        if name not in known:
            where = f"{path}.{name}" if path else f"{name}"
            near = nearest(name, known)
            hint = f"Did you mean {near}?" if near else f"Known are {', '.join(known)}"
            _fail(f"{where} is unknown", where, code="INVALID_SPEC", hint=hint)


def _one_of(given: Object, name: str, synonym: str, path: str = "") -> str | None:
    """The value that stands there under one of two names."""
    first, second = given.get(name), given.get(synonym)
    where = f"{path}.{name}" if path else name
    if first is not None and second is not None and first != second:
        _fail(f"{where} and {synonym} differ", where, details={name: first, synonym: second})
    found: object = second if first is None else first
    if found is not None and not isinstance(found, str):
        _fail(f"{where} has to be text", where, code="INVALID_SPEC")
    return found or None
