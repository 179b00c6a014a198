"""Apps: projects that were published, and copies of them.

A copy has the functions of the published project as they are now, and what `copiers` add: its database; secrets are
never copied.

Source: Run402 1.57, `/apps/v1`, `/fork/v1`, `/projects/v1/admin/{project_id}/publish` and `.../versions`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tollkit.sandbox.run402.calls import Call, GatewayError
from tollkit.sandbox.run402.parts import Answer, Operation, OperationGroup, invalid, one_of, text_list
from tollkit.sandbox.run402.tiers import TIERS

if TYPE_CHECKING:
    import sqlite3

    from tollkit.sandbox.run402.functions import FunctionRoutes
    from tollkit.sandbox.run402.gateway import Gateway
    from tollkit.sandbox.run402.names import NameRoutes

__all__ = ["AppRoutes"]

VISIBILITIES = ("public", "unlisted", "private")


def _no_tables(_: str) -> int:
    return 0


def _no_files(_: str) -> tuple[int, int]:
    return 0, 0


class AppRoutes(OperationGroup):
    """The routes of published apps, with levers for tests.

    Args:
        gateway: The gateway.
        functions: Whose functions are copied.
        names: Where a copy claims its subdomain.

    Attributes:
        count_tables: Gives the number of a project's tables; 0 unless another group knows better.
        count_files: Gives number and bytes of the files of a project's site; likewise.
        copiers: Called at a fork with the ids of the published and of the new project.
    """

    schema = """
    CREATE TABLE app_versions (
        sequence INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        project_id TEXT NOT NULL,
        version INTEGER NOT NULL,
        name TEXT NOT NULL,
        description TEXT,
        visibility TEXT NOT NULL,
        fork_allowed INTEGER NOT NULL,
        tags TEXT NOT NULL,
        tables INTEGER NOT NULL,
        functions INTEGER NOT NULL,
        files INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        required_secrets TEXT NOT NULL,
        live_url TEXT,
        created_at REAL NOT NULL
    );
    """

    def __init__(self, gateway: Gateway, functions: FunctionRoutes, names: NameRoutes) -> None:
        self._functions = functions
        self._names = names
        self.count_tables: Callable[[str], int] = _no_tables
        self.count_files: Callable[[str], tuple[int, int]] = _no_files
        self.copiers: list[Callable[[str, str], object]] = [functions.copy]
        super().__init__(gateway)

    def operations(self) -> Iterable[Operation]:
        """The operations of the group."""
        versions = "/projects/v1/admin/{project_id}/versions"
        version = versions + "/{version_id}"
        publish = "/projects/v1/admin/{project_id}/publish"
        yield Operation("appsBrowse", "GET", "/apps/v1", self._browse, (200,))
        yield Operation("appsGetApp", "GET", "/apps/v1/{version_id}", self._get, (200,))
        yield Operation("appsFork", "POST", "/fork/v1", self._fork, (201, 200, 202))
        yield Operation("appsPublish", "POST", publish, self._publish, (201, 200, 202))
        yield Operation("appsListVersions", "GET", versions, self._list, (200,))
        yield Operation("appsUpdateVersion", "PATCH", version, self._update, (204, 200))
        yield Operation("appsDeleteVersion", "DELETE", version, self._delete, (204, 200, 202))

    # ---------------------------------------------------------------- routes

    def _browse(self, call: Call) -> Any:
        tags = set(call.query.getlist("tag"))
        rows = self._db.execute(
            "SELECT app_versions.* FROM app_versions JOIN projects ON projects.id = project_id AND NOT deleted"
            " WHERE visibility = 'public' ORDER BY sequence DESC"
        )
        newest: dict[str, sqlite3.Row] = {}
        for row in rows:
            newest.setdefault(row["project_id"], row)
        apps = [self._shown(row) for row in newest.values() if tags <= set(json.loads(row["tags"]))]
        return {"apps": apps, "total": len(apps)}

    def _get(self, call: Call) -> Any:
        row = self._row(call.path["version_id"])
        if row["visibility"] == "private":
            raise _unknown(row["id"])
        return self._shown(row)

    def _publish(self, call: Call) -> Any:
        project = self._gateway.by_service_key(call.request, call.path["project_id"])
        told = {"description": None, "tags": "[]", "visibility": "public", "fork_allowed": False, **_told(call)}
        last: int = self._db.execute(
            "SELECT ifnull(max(version), 0) AS last FROM app_versions WHERE project_id = ?", (project.id,)
        ).fetchone()["last"]
        files, size = self.count_files(project.id)
        version_id = self._gateway.new_id("ver_")
        row = {
            **told,
            "id": version_id,
            "project_id": project.id,
            "version": last + 1,
            "name": project.name,
            "tables": self.count_tables(project.id),
            "functions": len(self._functions.names(project.id)),
            "files": files,
            "bytes": size,
            "required_secrets": json.dumps(self._functions.required_secrets(project.id)),
            "live_url": project.site_url,
            "created_at": self._now(),
        }
        self._db.execute(
            f"INSERT INTO app_versions ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",  # noqa: S608 - ours
            tuple(row.values()),
        )
        return self._shown(self._row(version_id))

    def _list(self, call: Call) -> Any:
        project = self._gateway.by_service_key(call.request, call.path["project_id"])
        rows = self._db.execute(
            "SELECT * FROM app_versions WHERE project_id = ? ORDER BY sequence DESC", (project.id,)
        )
        names = ("id", "description", "tags", "visibility", "fork_allowed", "created_at")
        return {"versions": [{name: shown[name] for name in names} for shown in map(self._shown, rows)]}

    def _update(self, call: Call) -> None:
        version_id = self._own(call)
        for name, value in _told(call).items():
            self._db.execute(
                f"UPDATE app_versions SET {name} = ? WHERE id = ?",  # noqa: S608 - one of four names of ours
                (value, version_id),
            )

    def _delete(self, call: Call) -> None:
        self._db.execute("DELETE FROM app_versions WHERE id = ?", (self._own(call),))

    def _fork(self, call: Call) -> Answer:
        gateway = self._gateway
        wallet = gateway.wallet(call.request)
        row, name = self._row(call.required("version_id")), call.required("name")
        source = gateway.project(row["project_id"])
        own = source.wallet.lower() == wallet.lower()
        if row["visibility"] == "private" and not own:
            raise _unknown(row["id"])
        if not row["fork_allowed"] and not own:
            raise GatewayError(403, "FORK_NOT_ALLOWED", "The version must not be forked")
        subdomain = call.text("subdomain", required=False)
        if subdomain is not None:
            self._names.check_free(None, subdomain)
        least = self._least_tier(row)
        lease = gateway.active_lease(wallet)
        order = list(TIERS)
        if lease is not None and order.index(lease.tier) < order.index(least):
            raise GatewayError(402, "TIER_TOO_SMALL", f"The app needs the tier {least}", details={"min_tier": least})
        # as a project's: without a lease the first one pays for it
        usual = 0 if lease else gateway.payments.price(f"tier:{least}", TIERS[least].price)
        headers = gateway.pay(call.request, usual, "fork")
        lease = lease or gateway.set_lease(wallet, least)
        project = gateway.add_project(name=name, tier=lease.tier, wallet=wallet)
        for copy in self.copiers:
            copy(source.id, project.id)
        told: dict[str, Any] = {
            "project_id": project.id,
            "anon_key": project.anon_key,
            "service_key": project.service_key,
            "schema_slot": project.schema_slot,
            "functions": [
                {"name": function, "url": self._functions.url(function)}
                for function in self._functions.names(project.id)
            ],
        }
        if subdomain is not None:
            self._names.claim(project.id, subdomain, gateway.new_id("dpl_"))
            told["subdomain_url"] = self._names.url(subdomain)
        return Answer(told, headers=headers)

    # ---------------------------------------------------------------- rows

    def _row(self, version_id: str) -> sqlite3.Row:
        row: sqlite3.Row | None = self._db.execute(
            "SELECT app_versions.* FROM app_versions JOIN projects ON projects.id = project_id AND NOT deleted"
            " WHERE app_versions.id = ?",
            (version_id,),
        ).fetchone()
        if row is None:
            raise _unknown(version_id)
        return row

    def _own(self, call: Call) -> str:
        project = self._gateway.by_service_key(call.request, call.path["project_id"])
        row = self._row(call.path["version_id"])
        if row["project_id"] != project.id:
            raise _unknown(row["id"])
        return str(row["id"])

    def _least_tier(self, row: sqlite3.Row) -> str:
        fits = (name for name, tier in TIERS.items() if row["functions"] <= tier.max_functions)
        return next(fits, list(TIERS)[-1])

    def _shown(self, row: sqlite3.Row) -> dict[str, Any]:
        least, order, price = self._least_tier(row), list(TIERS), self._gateway.payments.price
        prices = {
            name: f"${price(f'tier:{name}', TIERS[name].price) / 1_000_000:.2f}"
            for name in order[order.index(least) :]
        }
        return {
            "id": row["id"],
            "project_id": row["project_id"],
            "version": row["version"],
            "name": row["name"],
            "description": row["description"],
            "visibility": row["visibility"],
            "fork_allowed": bool(row["fork_allowed"]),
            "fork_pricing": prices,
            "min_tier": least,
            "derived_min_tier": least,
            "status": "published",
            "table_count": row["tables"],
            "function_count": row["functions"],
            "site_file_count": row["files"],
            "site_total_bytes": row["bytes"],
            "required_secrets": [{"key": key} for key in json.loads(row["required_secrets"])],
            "required_actions": [],
            "tags": json.loads(row["tags"]),
            "live_url": row["live_url"],
            "bootstrap_variables": None,
            "created_at": self._time(row["created_at"]),
            "compatibility_warnings": [],
        }


def _unknown(version_id: str) -> GatewayError:
    return GatewayError(404, "VERSION_NOT_FOUND", f"No such version: {version_id}")


def _told(call: Call) -> dict[str, Any]:
    """The members of the body, as the table has them."""
    told: dict[str, Any] = {}
    if "description" in call.body:
        told["description"] = call.text("description", required=False)
    if "tags" in call.body:
        told["tags"] = json.dumps(text_list(call, "tags"))
    if "visibility" in call.body:
        told["visibility"] = one_of(call, "visibility", VISIBILITIES)
    if "fork_allowed" in call.body:
        told["fork_allowed"] = call.flag("fork_allowed")
    if unknown := set(call.body) - {"description", "tags", "visibility", "fork_allowed"}:
        raise invalid(min(unknown), "is not a member that can be told")
    return told
