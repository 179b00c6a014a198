"""The end users of projects: magic links, passwords, sessions, settings, and who is an administrator.

Sessions are JWTs signed with HS256; the REST routes take them. Source: Run402 1.57, `/auth/v1`; what no document
tells (grants beyond `magic_link`, ages, the list of providers) is decided here, in one place each.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import attrs

from tollkit.sandbox.clock import iso
from tollkit.sandbox.run402.gateway import GatewayError, route

if TYPE_CHECKING:
    import sqlite3

    from starlette.routing import Route

    from tollkit.sandbox.run402.gateway import Call, Gateway, Project

__all__ = ["EndUserRoutes", "MagicLink", "user_of"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS end_users (
    id TEXT PRIMARY KEY,
    project_id TEXT NOT NULL,
    email TEXT NOT NULL,
    password TEXT,
    is_admin INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    UNIQUE (project_id, email)
);
CREATE TABLE IF NOT EXISTS magic_links (
    token TEXT PRIMARY KEY,
    project_id TEXT NOT NULL,
    email TEXT NOT NULL,
    link TEXT NOT NULL,
    sent_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    used INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS refresh_tokens (token TEXT PRIMARY KEY, user_id TEXT NOT NULL, expires_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS auth_settings (project_id TEXT PRIMARY KEY, allow_password_set INTEGER NOT NULL);
"""
_LINK_SECONDS = 900.0
_SESSION_SECONDS = 3_600
_REFRESH_SECONDS = 30 * 86_400.0
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PASSWORD_ROUNDS = 1_000
"""Few, because these are passwords of tests."""


@attrs.frozen(kw_only=True)
class MagicLink:
    """A link that was sent; the mail is not."""

    project_id: str
    email: str
    link: str
    """Where it leads: `redirect_url` with `token` in its query."""
    token: str = attrs.field(repr=False)
    sent_at: str


class EndUserRoutes:
    """Sign-in of end users, and what projects can say about it.

    Args:
        gateway: The gateway.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        gateway.db.executescript(_SCHEMA)

    def routes(self) -> list[Route]:
        """The routes, with the paths of the document."""
        gateway, admin = self._gateway, "/projects/v1/admin/{project_id}"
        return [
            route(gateway, "POST", "/auth/v1/magic-link", self._send_link),
            route(gateway, "POST", "/auth/v1/token", self._token),
            route(gateway, "GET", "/auth/v1/user", self._user),
            route(gateway, "PUT", "/auth/v1/user/password", self._set_password),
            route(gateway, "PATCH", "/auth/v1/settings", self._settings),
            route(gateway, "GET", "/auth/v1/providers", self._providers),
            route(gateway, "POST", f"{admin}/promote-user", lambda call: self._make_admin(call, admin=True)),
            route(gateway, "POST", f"{admin}/demote-user", lambda call: self._make_admin(call, admin=False)),
        ]

    def forget(self) -> None:
        """Forget all end users, links and sessions."""
        self._gateway.db.executescript(
            "DELETE FROM end_users; DELETE FROM magic_links; DELETE FROM refresh_tokens; DELETE FROM auth_settings;"
        )

    # ---------------------------------------------------------------- for tests

    def outbox(self, project_id: str | None = None, email: str | None = None) -> list[MagicLink]:
        """The links that were sent, the oldest first; of one project or address when they are given."""
        with self._gateway.lock:
            rows = self._gateway.db.execute(
                "SELECT * FROM magic_links WHERE coalesce(?, project_id) = project_id"
                " AND coalesce(?, email) = email ORDER BY rowid",
                (project_id, email and email.lower()),
            )
            return [
                MagicLink(
                    project_id=row["project_id"],
                    email=row["email"],
                    link=row["link"],
                    token=row["token"],
                    sent_at=iso(row["sent_at"]),
                )
                for row in rows
            ]

    def sign_in(self, project_id: str, email: str) -> dict[str, Any]:
        """A session of a user, made when there is none, as the token route answers it.

        Raises:
            GatewayError: 404, there is no such project.
        """
        with self._gateway.lock:
            return self._session(self._ensure(self._gateway.project(project_id).id, email.lower()))

    # ---------------------------------------------------------------- routes

    def _send_link(self, call: Call) -> Any:
        project = self._project(call)
        email = _email(call)
        parts = urlsplit(call.required("redirect_url"))
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise GatewayError(400, "VALIDATION_ERROR", "redirect_url must be an http(s) address")
        gateway, now = self._gateway, self._gateway.clock.now()
        token = gateway.new_id("ml_", 48)
        query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), ("token", token)])
        link = urlunsplit(parts._replace(query=query))
        gateway.db.execute(
            "INSERT INTO magic_links (token, project_id, email, link, sent_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
            (token, project.id, email, link, now, now + _LINK_SECONDS),
        )
        return {"status": "sent"}

    def _token(self, call: Call) -> Any:
        project = self._project(call)
        match call.query.get("grant_type"):
            case "magic_link":
                return self._session(self._of_link(project, call.required("token")))
            case "password":
                return self._session(self._of_password(project, _email(call), call.required("password")))
            case "refresh_token":
                return self._session(self._of_refresh(project, call.required("refresh_token")))
            case _:
                told = "grant_type must be magic_link, password or refresh_token."
                raise GatewayError(400, "UNSUPPORTED_GRANT_TYPE", told)

    def _user(self, call: Call) -> Any:
        user = self._signed_in(call)
        return {"id": user["id"], "email": user["email"], "is_admin": bool(user["is_admin"])}

    def _set_password(self, call: Call) -> Any:
        user = self._signed_in(call)
        if not self._password_allowed(user["project_id"]):
            raise GatewayError(403, "PASSWORD_SET_NOT_ALLOWED", "The project does not let users set a password")
        new = call.required("new_password")
        current = call.text("current_password", required=False)
        if user["password"] is not None and not _matches(user, current or ""):
            raise GatewayError(401, "INVALID_CREDENTIALS", "The current password is wrong")
        self._gateway.db.execute(
            "UPDATE end_users SET password = ? WHERE id = ?", (_hashed(user["id"], new), user["id"])
        )
        return {"status": "ok"}

    def _settings(self, call: Call) -> Any:
        project = self._gateway.by_service_key(call.request)
        apikey = call.headers.get("apikey")
        if apikey not in (None, project.anon_key, project.service_key):
            raise GatewayError(403, "UNAUTHORIZED", "apikey and service key are not of the same project")
        allowed = call.flag("allow_password_set")
        self._gateway.db.execute("INSERT OR REPLACE INTO auth_settings VALUES (?, ?)", (project.id, allowed))
        return {"status": "ok", "allow_password_set": allowed}

    def _providers(self, call: Call) -> Any:
        project = self._project(call)
        return {
            "providers": [
                {"id": "magic_link", "enabled": True},
                {"id": "password", "enabled": self._password_allowed(project.id)},
            ]
        }

    def _make_admin(self, call: Call, *, admin: bool) -> Any:
        project = self._gateway.by_service_key(call.request, call.path["project_id"])
        email = _email(call)
        user = self._find(project.id, email)
        if user is None:
            raise GatewayError(404, "USER_NOT_FOUND", f"The project has no user {email}")
        self._gateway.db.execute("UPDATE end_users SET is_admin = ? WHERE id = ?", (admin, user["id"]))
        return {"status": "ok", "email": email, "is_admin": admin}

    # ---------------------------------------------------------------- grants

    def _of_link(self, project: Project, token: str) -> sqlite3.Row:
        db = self._gateway.db
        row = db.execute(
            "SELECT * FROM magic_links WHERE token = ? AND project_id = ?", (token, project.id)
        ).fetchone()
        if row is None or row["used"] or row["expires_at"] <= self._gateway.clock.now():
            raise GatewayError(401, "INVALID_TOKEN", "The link is unknown, was used, or is too old")
        db.execute("UPDATE magic_links SET used = 1 WHERE token = ?", (token,))
        return self._ensure(project.id, row["email"])

    def _of_password(self, project: Project, email: str, password: str) -> sqlite3.Row:
        user = self._find(project.id, email)
        if user is None or user["password"] is None or not _matches(user, password):
            raise GatewayError(401, "INVALID_CREDENTIALS", "The address or the password is wrong")
        return user

    def _of_refresh(self, project: Project, token: str) -> sqlite3.Row:
        """A refresh token works once: a session brings its own."""
        db = self._gateway.db
        row: sqlite3.Row | None = db.execute(
            "SELECT u.*, r.expires_at AS ends_at FROM refresh_tokens r JOIN end_users u ON u.id = r.user_id"
            " WHERE r.token = ? AND u.project_id = ?",
            (token, project.id),
        ).fetchone()
        if row is None or row["ends_at"] <= self._gateway.clock.now():
            raise GatewayError(401, "INVALID_TOKEN", "The refresh token is unknown, was used, or is too old")
        db.execute("DELETE FROM refresh_tokens WHERE token = ?", (token,))
        return row

    def _session(self, user: sqlite3.Row) -> dict[str, Any]:
        gateway, issued = self._gateway, self._gateway.clock.issue_time()
        refresh = gateway.new_id("rt_", 48)
        gateway.db.execute(
            "INSERT INTO refresh_tokens VALUES (?, ?, ?)", (refresh, user["id"], issued + _REFRESH_SECONDS)
        )
        claims = {
            "iss": "run402-sandbox",
            "project_id": user["project_id"],
            "role": "authenticated",
            "sub": user["id"],
            "email": user["email"],
            "iat": int(issued),
            "exp": int(issued) + _SESSION_SECONDS,
            "jti": gateway.new_id("jti_"),
        }
        return {
            "access_token": _signed(claims),
            "refresh_token": refresh,
            "token_type": "bearer",
            "expires_in": _SESSION_SECONDS,
            "user": {"id": user["id"], "email": user["email"]},
        }

    # ---------------------------------------------------------------- users

    def _project(self, call: Call) -> Project:
        project, _ = self._gateway.by_any_key(call.request)
        return project

    def _signed_in(self, call: Call) -> sqlite3.Row:
        project = self._project(call)
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token in ("", project.anon_key, project.service_key):
            raise GatewayError(401, "AUTHENTICATION_REQUIRED", "A session of an end user is required")
        user_id = user_of(self._gateway, project.id, token.strip())
        found: sqlite3.Row = self._gateway.db.execute("SELECT * FROM end_users WHERE id = ?", (user_id,)).fetchone()
        return found

    def _find(self, project_id: str, email: str) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self._gateway.db.execute(
            "SELECT * FROM end_users WHERE project_id = ? AND email = ?", (project_id, email)
        ).fetchone()
        return found

    def _ensure(self, project_id: str, email: str) -> sqlite3.Row:
        found = self._find(project_id, email)
        if found is not None:
            return found
        user_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{project_id}/{email}"))
        self._gateway.db.execute(
            "INSERT INTO end_users (id, project_id, email, created_at) VALUES (?, ?, ?, ?)",
            (user_id, project_id, email, self._gateway.clock.now()),
        )
        return self._ensure(project_id, email)

    def _password_allowed(self, project_id: str) -> bool:
        row = self._gateway.db.execute(
            "SELECT allow_password_set FROM auth_settings WHERE project_id = ?", (project_id,)
        ).fetchone()
        return bool(row and row[0])


def user_of(gateway: Gateway, project_id: str, token: str) -> str:
    """The id of the end user whose session a token is.

    Args:
        gateway: The gateway.
        project_id: The project that it must be of.
        token: The access token.

    Raises:
        GatewayError: 401, it is none, of another project, too old, or its user is gone.
    """
    head, _, signature = token.rpartition(".")
    claims = _claims(head) if hmac.compare_digest(_signature(head), signature.encode()) else {}
    user_id = claims.get("sub")
    known = gateway.db.execute(
        "SELECT 1 FROM end_users WHERE id = ? AND project_id = ?", (user_id, project_id)
    ).fetchone()
    if known is None or claims["project_id"] != project_id or claims["exp"] <= gateway.clock.now():
        raise GatewayError(401, "AUTHENTICATION_REQUIRED", "A valid session of an end user is required")
    return str(user_id)


_KEY = b"tollkit sandbox run402 end users"
"""Signs sessions; whoever can reach a sandbox may be anybody in it anyway."""


def _signed(claims: dict[str, Any]) -> str:
    head = ".".join(_encoded(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return f"{head}.{_signature(head).decode()}"


def _signature(head: str) -> bytes:
    return _encoded(hmac.digest(_KEY, head.encode(), "sha256")).encode()


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _claims(head: str) -> dict[str, Any]:
    """Of a token whose signature is right, so they are what `_signed` wrote."""
    body = head.partition(".")[2]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


def _email(call: Call) -> str:
    email = call.required("email").strip().lower()
    if not _EMAIL.fullmatch(email):
        raise GatewayError(400, "VALIDATION_ERROR", "email must be an e-mail address", details={"field": "email"})
    return email


def _hashed(user_id: str, password: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), user_id.encode(), _PASSWORD_ROUNDS).hex()


def _matches(user: sqlite3.Row, password: str) -> bool:
    return hmac.compare_digest(user["password"], _hashed(user["id"], password))
