"""Names of projects: subdomains, domains of their own, and the domain that their mail is sent from.

Nothing is looked up in DNS: a domain becomes active by the clock or by a lever.

Source: Run402 1.57, `/subdomains/v1`, `/domains/v1` and `/email/v1/domains`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tollkit.sandbox.run402.calls import Call, GatewayError
from tollkit.sandbox.run402.parts import LABEL, Answer, Operation, OperationGroup, invalid

if TYPE_CHECKING:
    import sqlite3

    from tollkit.sandbox.run402.gateway import Project

__all__ = ["NameRoutes"]

SITES = "run402.com"
VERIFICATION_SECONDS = 60.0
"""After how long a domain is active, unless a test wants another time."""
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])", re.ASCII)
_MOST_DOMAIN = 253
_RESERVED = frozenset({"admin", "api", "mail", "www"})
_MX = "10 inbound.mail.run402.com"


class NameRoutes(OperationGroup):
    """The routes of subdomains, domains and sender domains, with levers for tests."""

    schema = """
    CREATE TABLE subdomains (
        name TEXT PRIMARY KEY,
        project_id TEXT NOT NULL,
        deployment_id TEXT NOT NULL,
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL
    );
    CREATE TABLE domains (
        domain TEXT PRIMARY KEY,
        project_id TEXT NOT NULL,
        subdomain TEXT NOT NULL,
        active_at REAL,
        created_at REAL NOT NULL
    );
    CREATE TABLE sender_domains (
        project_id TEXT PRIMARY KEY,
        domain TEXT NOT NULL,
        verified_at REAL,
        inbound INTEGER NOT NULL DEFAULT 0,
        created_at REAL NOT NULL
    );
    """

    def _begin(self) -> None:
        super()._begin()
        self._verification: float | None = VERIFICATION_SECONDS

    def operations(self) -> Iterable[Operation]:
        """The operations of the group."""
        yield Operation("subdomainsClaim", "POST", "/subdomains/v1", self._claim, (201, 200, 202))
        yield Operation("subdomainsList", "GET", "/subdomains/v1", self._list_subdomains, (200,))
        yield Operation("subdomainsDelete", "DELETE", "/subdomains/v1/{name}", self._delete_subdomain, (200, 202))
        yield Operation("domainsAdd", "POST", "/domains/v1", self._add, (201, 200, 202))
        yield Operation("domainsList", "GET", "/domains/v1", self._list_domains, (200,))
        yield Operation("domainsStatus", "GET", "/domains/v1/{domain}", self._status, (200,))
        yield Operation("domainsRemove", "DELETE", "/domains/v1/{domain}", self._remove, (200, 202))
        sender = "/email/v1/domains"
        yield Operation("senderDomainRegister", "POST", sender, self._register, (201, 200, 202))
        yield Operation("senderDomainStatus", "GET", sender, self._sender_status, (200,))
        yield Operation("senderDomainRemove", "DELETE", sender, self._remove_sender, (204, 200, 202))
        inbound = sender + "/inbound"
        yield Operation("senderDomainEnableInbound", "POST", inbound, self._enable_inbound, (200, 201, 202))
        yield Operation("senderDomainDisableInbound", "DELETE", inbound, self._disable_inbound, (200, 202))

    # ---------------------------------------------------------------- levers and what other groups need

    def verify_after(self, seconds: float | None) -> None:
        """After how many seconds domains that are added from now on are active; None for by `activate` alone."""
        with self._gateway.lock:
            self._verification = seconds

    def activate(self, domain: str) -> None:
        """Let the DNS records of a domain be found: it is active, and so is the sender domain of that name.

        Raises:
            ValueError: Nobody added or registered it.
        """
        with self._gateway.lock:
            now = self._now()
            changed = [
                self._db.execute("UPDATE domains SET active_at = ? WHERE domain = ?", (now, domain)),
                self._db.execute("UPDATE sender_domains SET verified_at = ? WHERE domain = ?", (now, domain)),
            ]
            if not any(cursor.rowcount for cursor in changed):
                raise ValueError(f"no domain {domain!r}")

    def deployment_of(self, subdomain: str) -> tuple[str, str] | None:
        """Project and deployment that a subdomain shows; None when nobody has it."""
        with self._gateway.lock:
            row = self._subdomain(subdomain)
            return None if row is None else (row["project_id"], row["deployment_id"])

    def receives(self, project_id: str) -> bool:
        """Whether the project's sender domain takes mail in."""
        with self._gateway.lock:
            row = self._sender(project_id)
            return row is not None and bool(row["inbound"])

    def url(self, subdomain: str) -> str:
        """Address of a subdomain, or of a deployment."""
        return f"https://{subdomain}.{SITES}"

    def check_free(self, project_id: str | None, name: str) -> None:
        """See that a project, or a project to be, can have a subdomain.

        Raises:
            GatewayError: 400, it cannot be one; 409, another project has it.
        """
        if LABEL.fullmatch(name) is None or name in _RESERVED:
            raise invalid("name", "must be 3 to 63 of a-z, 0-9 and -, with no - at either end, and not reserved")
        row = self._subdomain(name)
        if row is not None and row["project_id"] != project_id:
            raise GatewayError(409, "SUBDOMAIN_TAKEN", f"Another project has the subdomain {name}")

    def claim(self, project_id: str, name: str, deployment_id: str) -> bool:
        """Let a subdomain show a deployment; whether the project did not have it.

        Raises:
            GatewayError: 400, it cannot be one; 409, another project has it.
        """
        with self._gateway.lock:
            self.check_free(project_id, name)
            is_new, now = self._subdomain(name) is None, self._now()
            if is_new:  # what a deleted project left behind is free
                self._db.execute("DELETE FROM subdomains WHERE name = ?", (name,))
            self._db.execute(
                "INSERT INTO subdomains (name, project_id, deployment_id, created_at, updated_at)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE"
                " SET deployment_id = excluded.deployment_id, updated_at = excluded.updated_at",
                (name, project_id, deployment_id, now, now),
            )
            return is_new

    # ---------------------------------------------------------------- subdomains

    def _claim(self, call: Call) -> Answer:
        project = self._gateway.by_service_key(call.request)
        name = call.required("name")
        is_new = self.claim(project.id, name, call.required("deployment_id"))
        return Answer(self._shown_subdomain(self._own_subdomain(project, name)), 201 if is_new else 200)

    def _list_subdomains(self, call: Call) -> Any:
        project = self._gateway.by_service_key(call.request)
        rows = self._db.execute("SELECT * FROM subdomains WHERE project_id = ? ORDER BY name", (project.id,))
        return {"subdomains": [self._shown_subdomain(row) for row in rows]}

    def _delete_subdomain(self, call: Call) -> Any:
        project = self._gateway.by_service_key(call.request)
        row = self._own_subdomain(project, call.path["name"])
        self._db.execute("DELETE FROM subdomains WHERE name = ?", (row["name"],))
        self._db.execute("DELETE FROM domains WHERE subdomain = ?", (row["name"],))
        return {
            "name": row["name"],
            "deployment_id": row["deployment_id"],
            "project_id": project.id,
            "deleted_at": self._time(self._now()),
        }

    def _subdomain(self, name: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._db.execute(
            "SELECT subdomains.* FROM subdomains JOIN projects ON projects.id = project_id AND NOT deleted"
            " WHERE subdomains.name = ?",
            (name,),
        ).fetchone()
        return row

    def _own_subdomain(self, project: Project, name: str) -> sqlite3.Row:
        row = self._subdomain(name)
        if row is None:
            raise GatewayError(404, "SUBDOMAIN_NOT_FOUND", f"No such subdomain: {name}")
        if row["project_id"] != project.id:
            raise GatewayError(403, "UNAUTHORIZED", "The subdomain belongs to another project")
        return row

    def _shown_subdomain(self, row: sqlite3.Row) -> dict[str, Any]:
        return {
            "name": row["name"],
            "deployment_id": row["deployment_id"],
            "url": self.url(row["name"]),
            "deployment_url": self.url(row["deployment_id"].replace("_", "-")),
            "project_id": row["project_id"],
            "created_at": self._time(row["created_at"]),
            "updated_at": self._time(row["updated_at"]),
        }

    # ---------------------------------------------------------------- domains

    def _add(self, call: Call) -> Answer:
        project = self._gateway.by_service_key(call.request)
        domain = _domain(call)
        subdomain = self._own_subdomain(project, call.required("subdomain_name"))["name"]
        row = self._domain(domain)
        if row is not None and row["project_id"] != project.id:
            raise GatewayError(409, "DOMAIN_TAKEN", f"Another project has the domain {domain}")
        now = self._now()
        if row is None:
            self._db.execute("DELETE FROM domains WHERE domain = ?", (domain,))
        self._db.execute(
            "INSERT INTO domains (domain, project_id, subdomain, active_at, created_at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (domain) DO UPDATE SET subdomain = excluded.subdomain",
            (domain, project.id, subdomain, self._due(now), now),
        )
        told = self._shown_domain(self._own_domain(domain, project.id), with_dns=True)
        return Answer({**told, "project_id": project.id}, 201 if row is None else 200)

    def _list_domains(self, call: Call) -> Any:
        project = self._gateway.by_service_key(call.request)
        rows = self._db.execute("SELECT * FROM domains WHERE project_id = ? ORDER BY domain", (project.id,))
        return {"domains": [self._shown_domain(row, with_dns=False) for row in rows]}

    def _status(self, call: Call) -> Any:
        project = self._gateway.by_service_key(call.request)
        return self._shown_domain(self._own_domain(call.path["domain"].lower(), project.id), with_dns=True)

    def _remove(self, call: Call) -> Any:
        domain = call.path["domain"].lower()
        if call.headers.get("authorization") or call.headers.get("apikey"):
            own = {self._gateway.by_service_key(call.request).id}
        else:
            own = {project.id for project in self._gateway.projects_of(self._gateway.wallet(call.request))}
        self._own_domain(domain, *own)
        self._db.execute("DELETE FROM domains WHERE domain = ?", (domain,))
        return {"status": "removed", "domain": domain}

    def _domain(self, domain: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._db.execute(
            "SELECT domains.* FROM domains JOIN projects ON projects.id = project_id AND NOT deleted"
            " WHERE domain = ?",
            (domain,),
        ).fetchone()
        return row

    def _own_domain(self, domain: str, *project_ids: str) -> sqlite3.Row:
        row = self._domain(domain)
        if row is None:
            raise GatewayError(404, "DOMAIN_NOT_FOUND", f"No such domain: {domain}")
        if row["project_id"] not in project_ids:
            raise GatewayError(403, "UNAUTHORIZED", "The domain belongs to another project")
        return row

    def _shown_domain(self, row: sqlite3.Row, *, with_dns: bool) -> dict[str, Any]:
        active = self._reached(row["active_at"])
        told = {
            "domain": row["domain"],
            "subdomain_name": row["subdomain"],
            "url": f"https://{row['domain']}",
            "subdomain_url": self.url(row["subdomain"]),
            "status": "active" if active else "pending",
            "created_at": self._time(row["created_at"]),
        }
        if with_dns:
            told["dns_instructions"] = None if active else _dns_instructions(row["domain"])
        return told

    def _due(self, now: float) -> float | None:
        return None if self._verification is None else now + self._verification

    def _reached(self, at: float | None) -> bool:
        return at is not None and at <= self._now()

    # ---------------------------------------------------------------- sender domains

    def _register(self, call: Call) -> Answer:
        project = self._gateway.by_service_key(call.request)
        domain, row = _domain(call), self._sender(project.id)
        if row is not None and row["domain"] != domain:
            raise GatewayError(409, "SENDER_DOMAIN_EXISTS", f"The project sends from {row['domain']}")
        taken = self._db.execute(
            "SELECT 1 FROM sender_domains JOIN projects ON projects.id = project_id AND NOT deleted"
            " WHERE domain = ? AND project_id != ?",
            (domain, project.id),
        ).fetchone()
        if taken:
            raise GatewayError(409, "DOMAIN_TAKEN", f"Another project sends from {domain}")
        if row is None:
            now = self._now()
            self._db.execute(
                "INSERT INTO sender_domains (project_id, domain, verified_at, created_at) VALUES (?, ?, ?, ?)",
                (project.id, domain, self._due(now), now),
            )
        told = {
            "domain": domain,
            "status": self._sender_state(self._known_sender(project.id)),
            "dns_records": _dns_records(domain),
            "instructions": "Make these records at your DNS provider; they are looked up from time to time.",
        }
        return Answer(told, 201 if row is None else 200)

    def _sender_status(self, call: Call) -> Any:
        project = self._gateway.by_service_key(call.request)
        row = self._sender(project.id)
        if row is None:
            return {"domain": None}
        told = {"domain": row["domain"], "status": self._sender_state(row)}
        if self._reached(row["verified_at"]):
            told["verified_at"] = self._time(row["verified_at"])
        return told

    def _remove_sender(self, call: Call) -> None:
        project = self._gateway.by_service_key(call.request)
        self._known_sender(project.id)
        self._db.execute("DELETE FROM sender_domains WHERE project_id = ?", (project.id,))

    def _enable_inbound(self, call: Call) -> Any:
        row = self._named_sender(call)
        if not self._reached(row["verified_at"]):
            raise GatewayError(409, "SENDER_DOMAIN_NOT_VERIFIED", f"{row['domain']} is not verified")
        self._db.execute("UPDATE sender_domains SET inbound = 1 WHERE project_id = ?", (row["project_id"],))
        return {"status": "enabled", "mx_record": _MX}

    def _disable_inbound(self, call: Call) -> Any:
        row = self._named_sender(call)
        self._db.execute("UPDATE sender_domains SET inbound = 0 WHERE project_id = ?", (row["project_id"],))
        return {"status": "disabled"}

    def _named_sender(self, call: Call) -> sqlite3.Row:
        project = self._gateway.by_service_key(call.request)
        domain, row = _domain(call), self._sender(project.id)
        if row is None or row["domain"] != domain:
            raise GatewayError(404, "SENDER_DOMAIN_NOT_FOUND", f"The project does not send from {domain}")
        return row

    def _sender(self, project_id: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._db.execute(
            "SELECT * FROM sender_domains WHERE project_id = ?", (project_id,)
        ).fetchone()
        return row

    def _known_sender(self, project_id: str) -> sqlite3.Row:
        row = self._sender(project_id)
        if row is None:
            raise GatewayError(404, "SENDER_DOMAIN_NOT_FOUND", "The project has no sender domain")
        return row

    def _sender_state(self, row: sqlite3.Row) -> str:
        return "verified" if self._reached(row["verified_at"]) else "pending"


def _domain(call: Call) -> str:
    domain = call.required("domain").lower().removesuffix(".")
    if len(domain) > _MOST_DOMAIN or _DOMAIN.fullmatch(domain) is None:
        raise invalid("domain", "must be a domain such as shop.example")
    return domain


def _token(domain: str, length: int = 32) -> str:
    return hashlib.sha256(f"tollkit sandbox run402 {domain}".encode()).hexdigest()[:length]


def _dns_instructions(domain: str) -> dict[str, str]:
    return {
        "cname_target": f"domains.{SITES}",
        "txt_name": f"_run402.{domain}",
        "txt_value": f"run402={_token(domain)}",
    }


def _dns_records(domain: str) -> list[dict[str, str]]:
    keys = [_token(f"{domain} {number}") for number in (1, 2, 3)]
    return [
        *(
            {"type": "CNAME", "name": f"{key}._domainkey.{domain}", "value": f"{key}.dkim.mail.{SITES}"}
            for key in keys
        ),
        {"type": "TXT", "name": domain, "value": f"v=spf1 include:mail.{SITES} ~all"},
    ]
