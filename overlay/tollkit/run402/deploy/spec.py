"""Release specs: checked before anything is sent, and brought into the form in which they are planned.

What the platform's client checks is checked in its order and told with its codes. Beyond that, nothing is dropped
silently: a member that nobody knows is refused with the name that was likely meant, and so is one of a wrong type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeGuard, cast

import attrs

from tollkit.oidc.json_values import is_number
from tollkit.run402.deploy.content import Content, Hashed, Hashing, Source, Sources, is_ref, ref_of
from tollkit.run402.deploy.errors import DeployError

if TYPE_CHECKING:
    from tollkit_api.shapes import ReleaseSpec

__all__ = ["Prepared", "check_ci", "nearest", "refused", "validate"]

DOING = "validating spec"
CI_DOING = "validating CI deploy spec"
_SECRET_KEY = re.compile(r"[A-Z_][A-Z0-9_]{0,127}")
_FORBIDDEN = "forbidden_spec_field"
_DEEPEST = 64
_INLINE_TYPE = "application/sql"

KNOWN: dict[str, tuple[str, ...]] = {
    "ReleaseSpec": (
        *("project", "base", "database", "secrets", "functions", "site", "subdomains", "routes", "checks"),
    ),
    "ReleaseBase": ("release", "release_id"),
    "DatabaseSpec": ("migrations", "expose", "zero_downtime"),
    "MigrationSpec": ("id", "checksum", "sql", "sql_ref", "transaction"),
    "FunctionsSpec": ("replace", "patch"),
    "FunctionsPatch": ("set", "delete"),
    "FunctionSpec": ("runtime", "source", "files", "entrypoint", "config", "schedule"),
    "FunctionConfig": ("timeoutSeconds", "memoryMb"),
    "SiteSpec": ("replace", "patch"),
    "SitePatch": ("put", "delete"),
    "SecretsSpec": ("require", "delete"),
    "SubdomainsSpec": ("set", "add", "remove"),
    "CheckSpec": ("name", "http"),
    "CheckHttp": ("path", "method", "expect"),
    "CheckExpectation": ("status",),
    # the platform lets these three have further members, so only what looks like a slip is refused
    "RouteSpec": ("function", "redirect"),
    "ExposeManifest": ("$schema", "version", "tables", "views", "rpcs"),
    "ExposeTable": (
        *("name", "expose", "policy", "owner_column", "force_owner_on_insert"),
        *("i_understand_this_is_unrestricted", "custom_sql"),
    ),
    "ExposeView": ("name", "base", "select", "filter", "security_invoker", "expose"),
    "ExposeRpc": ("name", "signature", "grant_to"),
}
"""What each part of a spec may have; the same as the types in `tollkit_api.shapes`, which a test compares."""
WIRE_ORDER = ("project", "base", "subdomains", "routes", "checks", "secrets", "database", "functions", "site")
"""The order of the sections in a plan."""
CI_KNOWN = ("project", "database", "functions", "site", "base")
"""What a spec may have that a CI session deploys."""
_ELSEWHERE = {
    "idempotency_key": "Give it to apply() as an argument",
    "idempotencyKey": "Give it to apply() as idempotency_key=",
    "sql_path": "Read the file into sql, or load a manifest with load_manifest",
    "sql_file": "Read the file into sql, or load a manifest with load_manifest",
}

Object: TypeAlias = Mapping[str, Any]


def nearest(name: object, known: Sequence[str], cutoff: float = 0.6) -> str | None:
    """The known name that was likely meant; `None` when none is like it.

    Args:
        name: What stands there.
        known: The names that mean something.
        cutoff: How like they have to be, 0 to 1.
    """
    plain = {each.replace("_", "").casefold(): each for each in known}
    wanted = str(name).replace("_", "").replace("-", "").casefold()
    found = get_close_matches(wanted, plain, 1, cutoff)
    return plain[found[0]] if found else None


def refused(
    problem: str,
    path: str,
    *,
    resource: str | None = None,
    code: str = "INVALID_SPEC",
    hint: str | None = None,
    fix: Mapping[str, str] | None = None,
    doing: str = DOING,
) -> DeployError:
    """The error for something in a spec.

    Args:
        problem: What is wrong with it.
        path: Where it stands, such as `functions.replace.api.config`.
        resource: What it is about, when that is not the path.
        code: The platform's code.
        hint: What to do.
        fix: What to do, for programs; setting the field at the path when nothing is told.
        doing: What was being done.
    """
    return DeployError(
        problem,
        code=code,
        phase="validate",
        resource=path if resource is None else resource,
        fix=fix or {"action": "set_field", "path": path},
        hint=hint,
        doing=doing,
    )


def validate(spec: object, *, ci: bool = False) -> None:
    """Check a release spec; nothing is read or sent.

    Args:
        spec: The spec.
        ci: Whether a CI session is to deploy it, which may deploy less.

    Raises:
        DeployError: It cannot be deployed: `INVALID_SPEC`, `SUBDOMAIN_MULTI_NOT_SUPPORTED`, `forbidden_spec_field`;
            `resource` and `fix` say where.

    Source: Run402 client 1.57, deploy engine, validation of specs.
    """
    normalised(spec, ci=ci)


def check_ci(spec: object) -> None:
    """Check what CI sessions may deploy: functions, site and database on the current release, and nothing else.

    Args:
        spec: A release spec, or the body of a plan (an object with `spec` and without `project`).

    Raises:
        DeployError: `forbidden_spec_field`; `resource` is the member that is in the way.

    Source: Run402 client 1.57, `assertCiDeployableSpec`.
    """
    if _is_object(spec) and spec.get("manifest_ref") is not None:
        _forbidden("a spec too large to be sent as it is", "manifest_ref")
    if _is_object(spec) and "spec" in spec and "project" not in spec:
        spec = spec["spec"]
    if not _is_object(spec):
        _forbidden("something that is no object", "spec")
    for key in spec:
        if key not in CI_KNOWN:
            _forbidden(str(key), str(key))
    base: object = spec.get("base")
    if "base" in spec and not (_is_object(base) and list(base) == ["release"] and base["release"] == "current"):
        _forbidden("another base than the current release", "base")


def _forbidden(what: str, resource: str) -> NoReturn:
    raise DeployError(
        f"A CI session may not deploy {what}",
        code=_FORBIDDEN,
        phase="validate",
        resource=resource,
        hint=f"CI sessions deploy {', '.join(CI_KNOWN[1:4])}; do the rest with the wallet",
        doing=CI_DOING,
    )


class Prepared:
    """A spec that was checked, with its sources collected; nothing is read yet.

    Later changes of the spec are not seen, but those of files and iterables are.

    Args:
        spec: The spec.
        ci: Whether a CI session is to deploy it.

    Raises:
        DeployError: As `validate`.
    """

    def __init__(self, spec: ReleaseSpec | Mapping[str, Any], *, ci: bool = False) -> None:
        self._form, sources = normalised(spec, ci=ci)
        self.sources: Sequence[Source] = sources.found
        """Content, in the order in which it is planned."""
        self._hashing = Hashing(sources.stores)
        self._contents: dict[str, Content] | None = None

    def hash_some(self, budget_bytes: int = 64 << 20, budget_files: int = 512) -> list[Hashed]:
        """Read and hash until a budget is spent, with several threads. Blocks.

        Args:
            budget_bytes: Stop after about that many bytes.
            budget_files: Stop after about that many files.

        Returns:
            How far it is, for each file; empty when everything is hashed.

        Raises:
            DeployError: A source cannot be read (`CONTENT_UNREADABLE`), gives no bytes (`INVALID_SPEC`), or changed
                while it was read (`CONTENT_CHANGED`).
        """
        return self._hashing.some(budget_bytes, budget_files)

    def _hash_all(self) -> None:
        while self.hash_some():
            pass

    @property
    def contents(self) -> Mapping[str, Content]:
        """Content by its hash; what is not hashed yet is hashed first."""
        if self._contents is None:
            self._hash_all()
            self._contents = Content.of(self.sources)
        return self._contents

    def wire(self) -> dict[str, Any]:
        """The spec as it is planned: every content by its hash. What is not hashed yet is hashed first."""
        self._hash_all()
        return cast("dict[str, Any]", _filled(self._form))


def _filled(form: object) -> object:
    """The form with what is known after hashing; its own objects stay as they are."""
    if isinstance(form, Source):
        return form.wire()
    if isinstance(form, _Checksum):
        return form.source.sha256
    if isinstance(form, dict):
        return {name: _filled(each) for name, each in cast("dict[str, object]", form).items()}
    if isinstance(form, list):
        return [_filled(each) for each in cast("list[object]", form)]
    return form


@attrs.frozen
class _Checksum:
    source: Source


# -- the platform's own checks, in their order ----------------------------------------------------------------------


def normalised(spec: object, *, ci: bool = False, whole: bool = True) -> tuple[dict[str, Any], Sources]:
    """Check a spec, and give the form in which it is planned, with a `Source` wherever content stands.

    Args:
        spec: The spec.
        ci: Whether a CI session is to deploy it.
        whole: Whether it has to name its project.

    Raises:
        DeployError: As `validate`.
    """
    if not _is_object(spec):
        raise refused("A release spec has to be an object", "", resource="spec", hint='Give {"project": ..., ...}')
    if (whole or spec.get("project") is not None) and not _is_text(spec.get("project")):
        raise refused(
            "project has to be the id of a project",
            "project",
            resource="spec.project",
            hint=_meant(spec, "ReleaseSpec"),
        )
    subdomains: object = spec.get("subdomains")
    names: object = subdomains.get("set") if _is_object(subdomains) else None
    if _is_list(names) and len(names) > 1:
        raise refused(
            f"{len(names)} subdomains to set, and a release can have one",
            "subdomains.set",
            code="SUBDOMAIN_MULTI_NOT_SUPPORTED",
        )
    if "secrets" in spec:
        _secrets(spec["secrets"])
    if ci:
        check_ci(spec)
    reader = _Reader()
    return reader.release(spec), reader.sources


def _secrets(secrets: object) -> None:
    if not _is_object(secrets):
        raise refused("secrets has to be an object with require, delete or both", "secrets")
    for key in secrets:
        if key not in KNOWN["SecretsSpec"]:
            told = "Values of secrets are no part of a release: set them with client.secrets.set(...) before"
            raise refused(
                f"secrets.{key} is unknown", f"secrets.{key}", hint=told if key in ("set", "replace_all") else None
            )
    for name in KNOWN["SecretsSpec"]:
        path = f"secrets.{name}"
        given = secrets.get(name, [])
        if not _is_list(given):
            raise refused(f"{path} has to be a list of names", path)
        for at, key in enumerate(given):
            if not (isinstance(key, str) and _SECRET_KEY.fullmatch(key)):
                raise refused(f"{path}[{at}] has to be 1 to 128 capitals, digits and _, with no digit in front", path)
        if len(set(given)) < len(given):
            raise refused(f"{path} has a name twice", path)
    both = set(secrets.get("require", [])).intersection(secrets.get("delete", []))
    if both:
        raise refused(f"secrets.require and secrets.delete both have {min(both)}", "secrets")


# -- every member ---------------------------------------------------------------------------------------------------


class _Reader:
    """Reads a spec into the form in which it is planned. Members with `None` are as if they were not there."""

    def __init__(self) -> None:
        self.sources = Sources()

    def release(self, spec: Object) -> dict[str, Any]:
        _known(spec, "ReleaseSpec", "")
        given = {name: value for name, value in spec.items() if value is not None}
        form: dict[str, Any] = {"project": _text(given["project"], "project")} if "project" in given else {}
        read: dict[str, Callable[[object], dict[str, Any] | list[Any] | None]] = {
            "base": _base,
            "subdomains": _subdomains,
            "routes": _routes,
            "checks": _checks,
            "secrets": lambda secrets: {name: list(names) for name, names in _object(secrets, "secrets").items()},
            "database": self._database,
            "functions": self._functions,
            "site": self._site,
        }
        for name in WIRE_ORDER[1:]:
            if name in given and (made := read[name](given[name])) is not None:
                form[name] = made
        return form

    def _database(self, value: object) -> dict[str, Any]:
        given = _record(value, "DatabaseSpec", "database")
        form: dict[str, Any] = {}
        if "expose" in given:
            form["expose"] = _expose(given["expose"])
        if "zero_downtime" in given:
            if not isinstance(given["zero_downtime"], bool):
                _wrong("database.zero_downtime", "True or False", given["zero_downtime"])
            form["zero_downtime"] = given["zero_downtime"]
        migrations = _list(given.get("migrations", []), "database.migrations")
        if migrations:
            form["migrations"] = [self._migration(each, at) for at, each in enumerate(migrations)]
        return form

    def _migration(self, value: object, at: int) -> dict[str, Any]:
        given = _object(value, f"database.migrations[{at}]")
        own = given.get("id")
        if not _is_text(own):
            raise refused(
                f"database.migrations[{at}] needs an id",
                "database.migrations[].id",
                resource="database.migrations",
                hint=_meant(given, "MigrationSpec"),
            )
        path = f"database.migrations.{own}"
        sql, ref = given.get("sql"), given.get("sql_ref")
        if ref is None and not sql:
            raise refused(
                f"{path} needs sql or sql_ref", f"{path}.sql", resource=path, hint=_meant(given, "MigrationSpec")
            )
        given = _record(given, "MigrationSpec", path)
        form: dict[str, Any] = {"id": _text(own, f"{path}.id")}
        checksum = _text(given["checksum"], f"{path}.checksum") if given.get("checksum") else None
        if ref is not None:
            found = ref_of(ref, f"{path}.sql_ref") if is_ref(ref) else None
            if found is None:
                _wrong(f"{path}.sql_ref", "an object with sha256 and size", ref)
            form |= {"checksum": checksum or found["sha256"], "sql_ref": found}
        else:
            source = self.sources.add(_text(sql, f"{path}.sql"), f"migration:{own}", content_type=_INLINE_TYPE)
            form |= {"checksum": checksum or _Checksum(source), "sql_ref": source}
        if "transaction" in given:
            form["transaction"] = _choice(given["transaction"], ("required", "none"), f"{path}.transaction")
        return form

    def _functions(self, value: object) -> dict[str, Any]:
        given = _record(value, "FunctionsSpec", "functions")
        form: dict[str, Any] = {}
        if "replace" in given:
            form["replace"] = self._named_functions(given["replace"], "functions.replace")
        if "patch" in given:
            patch = _record(given["patch"], "FunctionsPatch", "functions.patch")
            form["patch"] = {}
            if "set" in patch:
                form["patch"]["set"] = self._named_functions(patch["set"], "functions.patch.set")
            if "delete" in patch:
                form["patch"]["delete"] = _texts(patch["delete"], "functions.patch.delete")
        return form

    def _named_functions(self, value: object, path: str) -> dict[str, Any]:
        given = _object(value, path)
        return {_text(name, path): self._function(each, f"{path}.{name}") for name, each in given.items()}

    def _function(self, value: object, path: str) -> dict[str, Any]:
        unscheduled = _is_object(value) and "schedule" in value and value["schedule"] is None
        given = _record(value, "FunctionSpec", path)
        form: dict[str, Any] = {"runtime": _text(given.get("runtime") or "node22", f"{path}.runtime")}
        if "config" in given:
            config = _record(given["config"], "FunctionConfig", f"{path}.config")
            form["config"] = {name: _number(each, f"{path}.config.{name}") for name, each in config.items()}
        if unscheduled:
            form["schedule"] = None
        elif "schedule" in given:
            form["schedule"] = _text(given["schedule"], f"{path}.schedule", empty=True)
        if given.get("entrypoint"):
            form["entrypoint"] = _text(given["entrypoint"], f"{path}.entrypoint")
        if "source" in given:
            form["source"] = self.sources.add(given["source"], "function source")
        if "files" in given:
            form["files"] = self._files(given["files"], f"{path}.files")
        return form

    def _site(self, value: object) -> dict[str, Any] | None:
        given = _record(value, "SiteSpec", "site")
        if "replace" in given and "patch" in given:
            raise refused(
                "site.replace and site.patch exclude each other",
                "site.patch",
                fix={"action": "remove_field", "path": "site.patch"},
            )
        if "replace" in given:
            return {"replace": self._files(given["replace"], "site.replace")}
        if "patch" not in given:
            return None
        patch = _record(given["patch"], "SitePatch", "site.patch")
        form: dict[str, Any] = {}
        if "put" in patch:
            form["put"] = self._files(patch["put"], "site.patch.put")
        if "delete" in patch:
            form["delete"] = _texts(patch["delete"], "site.patch.delete")
        return {"patch": form}

    def _files(self, value: object, path: str) -> dict[str, Any]:
        form: dict[str, Any] = {}
        for name, each in _object(value, path).items():
            key = _text(name, path)
            form[key] = self.sources.add(each, key, key)
        return form


def _base(value: object) -> dict[str, Any]:
    given = _record(value, "ReleaseBase", "base")
    if len(given) != 1:
        raise refused('base needs one of release ("current" or "empty") and release_id', "base")
    if "release" in given:
        return {"release": _choice(given["release"], ("current", "empty"), "base.release")}
    return {"release_id": _text(given["release_id"], "base.release_id")}


def _subdomains(value: object) -> dict[str, Any]:
    given = _record(value, "SubdomainsSpec", "subdomains")
    return {name: _texts(names, f"subdomains.{name}") for name, names in given.items()}


def _routes(value: object) -> dict[str, Any]:
    given = _object(value, "routes")
    return {
        _text(path, "routes"): _open(each, "RouteSpec", f"routes.{path}")
        if _is_object(each)
        else _json(each, "routes")
        for path, each in given.items()
    }


def _checks(value: object) -> list[Any]:
    return [_check(each, f"checks[{at}]") for at, each in enumerate(_list(value, "checks"))]


def _check(value: object, path: str) -> Any:
    given = _record(value, "CheckSpec", path)
    _text(given.get("name"), f"{path}.name")
    if "http" in given:
        http = _record(given["http"], "CheckHttp", f"{path}.http")
        _text(http.get("path"), f"{path}.http.path")
        if "method" in http:
            _text(http["method"], f"{path}.http.method")
        if "expect" in http:
            for name, each in _record(http["expect"], "CheckExpectation", f"{path}.http.expect").items():
                _number(each, f"{path}.http.expect.{name}")
    return _json(given, path)


def _expose(value: object) -> dict[str, Any]:
    form = _open(value, "ExposeManifest", "database.expose")
    for name, kind in (("tables", "ExposeTable"), ("views", "ExposeView"), ("rpcs", "ExposeRpc")):
        path = f"database.expose.{name}"
        for at, each in enumerate(_list([] if form.get(name) is None else form[name], path)):
            _open(each, kind, f"{path}[{at}]")
    return form


# -- one value ------------------------------------------------------------------------------------------------------


def _is_object(value: object) -> TypeGuard[Object]:
    return isinstance(value, Mapping)


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple)


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value != ""


def _wrong(path: str, wanted: str, value: object) -> NoReturn:
    raise refused(f"{path} has to be {wanted}, not {_kind(value)}", path)


def _kind(value: object) -> str:
    return "empty" if value == "" else "null" if value is None else type(value).__name__


def _object(value: object, path: str) -> Object:
    if not _is_object(value):
        _wrong(path, "an object", value)
    return value


def _known(given: Object, kind: str, path: str) -> None:
    """Refuse members that mean nothing."""
    known = KNOWN[kind]
    for name in given:
        if name in known:
            continue
        where = f"{path}.{name}" if path else f"{name}"
        near = nearest(name, known)
        fix = (
            {"action": "rename_field", "path": where, "name": near}
            if near
            else {"action": "remove_field", "path": where}
        )
        raise refused(
            f"{where} is unknown",
            where,
            hint=_ELSEWHERE.get(str(name)) or (f"Did you mean {near}?" if near else f"Known are {', '.join(known)}"),
            fix=fix,
        )


def _meant(given: Object, kind: str) -> str | None:
    """A hint, when a member that is lacking may stand there under a wrong name."""
    for name in given:
        near = None if name in KNOWN[kind] else nearest(name, KNOWN[kind])
        if near:
            return f"{name} is unknown: did you mean {near}?"
    return None


def _record(value: object, kind: str, path: str) -> Object:
    """An object with known members only, without those that are null."""
    given = _object(value, path)
    _known(given, kind, path)
    return {name: each for name, each in given.items() if each is not None}


def _open(value: object, kind: str, path: str) -> dict[str, Any]:
    """An object that may have members of its own; only one that is much like a known name is taken for a slip."""
    given = _object(value, path)
    for name in given:
        near = None if name in KNOWN[kind] else nearest(name, KNOWN[kind], 0.85)
        if near and near not in given:
            where = f"{path}.{name}"
            raise refused(
                f"{where} is unknown",
                where,
                hint=f"Did you mean {near}?",
                fix={"action": "rename_field", "path": where, "name": near},
            )
    return cast("dict[str, Any]", _json(given, path))


def _list(value: object, path: str) -> Sequence[Any]:
    if not _is_list(value):
        _wrong(path, "a list", value)
    return value


def _texts(value: object, path: str) -> list[str]:
    return [_text(each, f"{path}[{at}]") for at, each in enumerate(_list(value, path))]


def _text(value: object, path: str, *, empty: bool = False) -> str:
    if not isinstance(value, str) or not (value or empty):
        _wrong(path, "text", value)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise refused(f"{path} has half a surrogate pair, which is no text", path) from None
    return value


def _choice(value: object, known: Sequence[str], path: str) -> str:
    if value not in known:
        near = nearest(value, known)
        raise refused(
            f"{path} has to be {' or '.join(known)}, not {value!r}",
            path,
            hint=f"Did you mean {near}?" if near else None,
        )
    return cast("str", value)


def _number(value: object, path: str) -> int | float:
    if not is_number(value):
        _wrong(path, "a number", value)
    return value


def _json(value: object, path: str, depth: int = 0) -> Any:
    """A copy of what is passed on as it is, if JSON can hold it."""
    if depth > _DEEPEST:
        raise refused(f"{path} is nested too deeply", path)
    if value is None or isinstance(value, bool) or is_number(value):
        return value
    if isinstance(value, str):
        return _text(value, path, empty=True)
    if _is_list(value):
        return [_json(each, f"{path}[{at}]", depth + 1) for at, each in enumerate(value)]
    if _is_object(value):
        return {
            _text(name, path, empty=True): _json(each, f"{path}.{name}", depth + 1) for name, each in value.items()
        }
    return _wrong(path, "JSON", value)
