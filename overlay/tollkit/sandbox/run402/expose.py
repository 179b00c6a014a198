"""The expose manifest: what REST reaches of a project's database, and the policies that it makes there.

Source: Run402 1.57, expose manifest version 1; what no document tells is decided here, in one place each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import attrs

from tollkit.oidc.json_values import is_list, is_object
from tollkit.sandbox.run402.database import Database
from tollkit.sandbox.run402.gateway import GatewayError
from tollkit.sandbox.run402.pgtypes import SqlError
from tollkit.sandbox.run402.sql.statements import Policy
from tollkit.sandbox.run402.sql.tokens import quoted

__all__ = ["Exposure", "ViewRule"]

_POLICIES = ("user_owns_rows", "public_read_authenticated_write", "public_read_write_UNRESTRICTED", "custom")
_ROLES = ("anon", "authenticated", "service_role")
_READ = frozenset({"SELECT"})
_ALL = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
_CUSTOM = frozenset({"create policy", "drop policy", "alter table", "grant", "revoke"})


@attrs.frozen
class ViewRule:
    """A view of the manifest; `condition` is SQLite's."""

    base: str
    columns: tuple[str, ...]
    condition: str | None


@attrs.define
class Exposure:
    """What is exposed of one project; nothing at first."""

    database: Database
    manifest: dict[str, Any] | None = None
    """The manifest in force, as it was sent."""
    grants: dict[str, dict[str, frozenset[str]]] = attrs.field(factory=dict[str, dict[str, frozenset[str]]])
    """Commands of each role, of each table."""
    owners: dict[str, str] = attrs.field(factory=dict[str, str])
    """Columns that an insert sets to the signed-in user."""
    views: dict[str, ViewRule] = attrs.field(factory=dict[str, ViewRule])
    rpcs: dict[str, tuple[str, ...]] = attrs.field(factory=dict[str, tuple[str, ...]])
    """Roles that may call a function."""
    _policies: list[tuple[str, str]] = attrs.field(factory=list[tuple[str, str]], init=False)
    _views: list[str] = attrs.field(factory=list[str], init=False)

    def names(self) -> dict[str, list[str]]:
        """Names of what is exposed."""
        return {"tables": sorted(self.grants), "views": sorted(self.views), "rpcs": sorted(self.rpcs)}

    def told(self, project_id: str) -> dict[str, Any]:
        """What `GET .../expose` answers."""
        manifest = self.manifest or {"version": "1", "tables": [], "views": [], "rpcs": []}
        source = "introspected" if self.manifest is None else "applied"
        return {"status": "ok", "project_id": project_id, "source": source, "manifest": manifest}

    def apply(self, manifest: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
        """Make the database what the manifest says; what an earlier one had and this one has not is dropped.

        Args:
            manifest: As JSON.

        Returns:
            `applied` and `dropped`: names of tables, views and functions.

        Raises:
            GatewayError: 400 with all `errors`, and nothing has changed.
        """
        check = _Check(self.database)
        check.manifest(manifest)
        check.done()
        before, kept = self.names(), self._state()
        try:
            with self.database.transaction():
                self._drop()
                self._make(manifest, check)
                check.done()
        except BaseException:
            self.grants, self.owners, self.views, self.rpcs, self._policies, self._views = kept
            raise
        self.manifest = dict(manifest)
        after = self.names()
        dropped = {kind: [name for name in names if name not in after[kind]] for kind, names in before.items()}
        return {"applied": after, "dropped": dropped}

    def copy_from(self, other: Exposure) -> None:
        """Expose what another manifest exposes, of a database that was copied from the other's."""
        self.manifest = other.manifest
        self.grants, self.owners, self.views, self.rpcs, self._policies, self._views = deepcopy(other._state())

    def _state(self) -> tuple[Any, ...]:
        return self.grants, self.owners, self.views, self.rpcs, self._policies, self._views

    def _drop(self) -> None:
        database = self.database
        for table, name in self._policies:
            database.policies.get(table, {}).pop(name, None)
        for table in self.grants:
            database.secured.discard(table)
        for name in self._views:
            database.fetch(f"DROP VIEW IF EXISTS {quoted(name)}")
        self.grants, self.owners, self.views, self.rpcs, self._policies, self._views = {}, {}, {}, {}, [], []

    def _make(self, manifest: Mapping[str, Any], check: _Check) -> None:
        for at, table in enumerate(manifest.get("tables", ())):
            if table["expose"]:
                check.try_at(f"tables[{at}].custom_sql", lambda table=table: self._table(table))
        for at, view in enumerate(manifest.get("views", ())):
            if view.get("expose", True):
                check.try_at(f"views[{at}].filter", lambda view=view: self._view(view))
        for rpc in manifest.get("rpcs", ()):
            self.rpcs[rpc["name"]] = tuple(rpc["grant_to"])

    def _table(self, table: Mapping[str, Any]) -> None:
        name, rule, database = table["name"], table["policy"], self.database
        database.secured.add(name)
        users = {"authenticated": _ALL}
        everybody = {**users, "anon": _ALL}
        match rule:
            case "user_owns_rows":
                owns = f"{quoted(table['owner_column'])} = auth_uid()"
                self.grants[name] = users
                self._policy(name, rule, "ALL", "authenticated", owns)
                if table.get("force_owner_on_insert"):
                    self.owners[name] = table["owner_column"]
            case "public_read_authenticated_write":
                self.grants[name] = {**users, "anon": _READ}
                self._policy(name, f"{rule}_read", "SELECT", "public", "true")
                self._policy(name, f"{rule}_write", "ALL", "authenticated", "true")
            case "public_read_write_UNRESTRICTED":
                self.grants[name] = everybody
                self._policy(name, rule, "ALL", "public", "true")
            case _:
                self.grants[name] = everybody
                known = set(database.policies.get(name, {}))
                database.run_within(table["custom_sql"], _CUSTOM, name)
                made = set(database.policies.get(name, {})) - known
                self._policies += [(name, policy) for policy in made]

    def _policy(self, table: str, name: str, command: str, role: str, condition: str) -> None:
        policy = Policy(
            name=f"run402_{name}", table=table, command=command, roles=(role,), using=condition, check=condition
        )
        self.database.policies.setdefault(table, {})[policy.name] = policy
        self._policies.append((table, policy.name))

    def _view(self, view: Mapping[str, Any]) -> None:
        database = self.database
        told = view.get("filter")
        condition = database.expression(told, view["base"]) if told else None
        columns = ", ".join(quoted(name) for name in view["select"])
        where = f" WHERE {condition}" if condition else ""
        name = view["name"]
        database.fetch(f"CREATE VIEW {quoted(name)} AS SELECT {columns} FROM {quoted(view['base'])}{where}")  # noqa: S608 - names are quoted, the condition is the project's own
        self._views.append(name)
        self.views[name] = ViewRule(view["base"], tuple(view["select"]), condition)


@attrs.define
class _Check:
    """Collects everything that is wrong with a manifest."""

    database: Database
    errors: list[dict[str, str]] = attrs.field(factory=list[dict[str, str]])

    def wrong(self, path: str, message: str) -> None:
        self.errors.append({"path": path, "message": message})

    def done(self) -> None:
        if self.errors:
            first = self.errors[0]
            raise GatewayError(400, "INVALID_MANIFEST", f"{first['path']}: {first['message']}", errors=self.errors)

    def try_at(self, path: str, work: Any) -> None:
        try:
            work()
        except SqlError as error:
            self.wrong(path, error.message)

    def manifest(self, manifest: Mapping[str, Any]) -> None:
        if manifest.get("version", "1") != "1":
            self.wrong("version", 'must be "1"')
        tables = self._entries(manifest, "tables")
        for at, table in tables:
            self._table(f"tables[{at}]", table)
        names = {table.get("name") for _, table in tables}
        for at, view in self._entries(manifest, "views"):
            self._view(f"views[{at}]", view, names)
        for at, rpc in self._entries(manifest, "rpcs"):
            self._rpc(f"rpcs[{at}]", rpc)

    def _entries(self, manifest: Mapping[str, Any], kind: str) -> list[tuple[int, Mapping[str, Any]]]:
        given = manifest.get(kind, [])
        if not is_list(given):
            self.wrong(kind, "must be a list")
            return []
        found: list[tuple[int, Mapping[str, Any]]] = []
        seen: set[str] = set()
        for at, entry in enumerate(given):
            name = entry.get("name") if is_object(entry) else None
            if not isinstance(name, str) or not name:
                self.wrong(f"{kind}[{at}].name", "must be a text")
            elif name in seen:
                self.wrong(f"{kind}[{at}].name", f"{name} stands there twice")
            else:
                seen.add(name)
                found.append((at, entry))
        return found

    def _flag(self, path: str, entry: Mapping[str, Any], name: str) -> None:
        if not isinstance(entry.get(name, False), bool):
            self.wrong(f"{path}.{name}", "must be true or false")

    def _table(self, path: str, table: Mapping[str, Any]) -> None:
        name = table["name"]
        if name not in self.database.relations():
            self.wrong(f"{path}.name", f"there is no table {name}")
        if not isinstance(table.get("expose"), bool):
            self.wrong(f"{path}.expose", "must be true or false")
        if table.get("expose") is not True:
            return
        for flag in ("force_owner_on_insert", "i_understand_this_is_unrestricted"):
            self._flag(path, table, flag)
        policy = table.get("policy")
        if policy not in _POLICIES:
            self.wrong(f"{path}.policy", f"must be one of {', '.join(_POLICIES)}")
        columns = [column.name for column in self.database.columns(name)]
        owner = table.get("owner_column")
        if policy == "user_owns_rows" and owner is None:
            self.wrong(f"{path}.owner_column", "user_owns_rows needs it")
        elif owner is not None and owner not in columns:
            self.wrong(f"{path}.owner_column", f"{name} has no column {owner}")
        if policy == "public_read_write_UNRESTRICTED" and table.get("i_understand_this_is_unrestricted") is not True:
            self.wrong(f"{path}.i_understand_this_is_unrestricted", "must be true for this policy")
        custom = table.get("custom_sql")
        if policy == "custom" and (not isinstance(custom, str) or not custom.strip()):
            self.wrong(f"{path}.custom_sql", "custom needs it")

    def _view(self, path: str, view: Mapping[str, Any], tables: set[Any]) -> None:
        name, base = view["name"], view.get("base")
        for flag in ("expose", "security_invoker"):
            self._flag(path, view, flag)
        if name in tables or name in self.database.relations():
            self.wrong(f"{path}.name", f"there is a table {name}")
        told = view.get("filter")
        if told is not None and not isinstance(told, str):
            self.wrong(f"{path}.filter", "must be a text")
        if not isinstance(base, str) or base not in self.database.relations():
            self.wrong(f"{path}.base", f"there is no table {base}")
            return
        columns = [column.name for column in self.database.columns(base)]
        chosen = _texts(view.get("select"))
        if not chosen:
            self.wrong(f"{path}.select", "must be a list of columns")
        for column in chosen or ():
            if column not in columns:
                self.wrong(f"{path}.select", f"{base} has no column {column}")

    def _rpc(self, path: str, rpc: Mapping[str, Any]) -> None:
        if rpc["name"] not in self.database.functions:
            self.wrong(f"{path}.name", f"there is no function {rpc['name']}")
        signature = rpc.get("signature")
        if not isinstance(signature, str) or not (signature.startswith("(") and signature.endswith(")")):
            self.wrong(f"{path}.signature", "must be an argument list with parentheses, such as (text)")
        roles = _texts(rpc.get("grant_to"))
        if roles is None:
            self.wrong(f"{path}.grant_to", "must be a list of roles")
        for role in roles or ():
            if role not in _ROLES:
                self.wrong(f"{path}.grant_to", f"there is no role {role}")


def _texts(given: object) -> Sequence[str] | None:
    return given if is_list(given) and all(isinstance(item, str) for item in given) else None
