"""The Builder routes: users, user tokens, manifest, app, billing, plans, and the public lists."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, cast

from tollkit.sandbox.http import Call, empty, json_answer, members, route
from tollkit.sandbox.pymthouse.issuer import USER_TOKEN_LIFETIME
from tollkit.sandbox.pymthouse.ledger import new_id
from tollkit.sandbox.pymthouse.oidc import form_decoded_basic
from tollkit.sandbox.pymthouse.state import App, AppUser, Capability, has_scope, opaque
from tollkit.sandbox.pymthouse.usage import BadQueryError, billing_snapshot, usage_report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.responses import Response
    from starlette.routing import Route

    from tollkit.sandbox.pymthouse.issuer import Issuer
    from tollkit.sandbox.pymthouse.state import DiscoveryProfile, State

__all__ = ["BuilderRoutes", "js_string", "manifest_document"]

_COLLATION = " _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789abcdefghijklmnopqrstuvwxyz"
_JS_SPACE = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f"
    "\u205f\u3000\ufeff"
)
"""What `String.prototype.trim` takes away."""


def _error(text: str, status: int) -> Response:
    return json_answer({"error": text}, status)


def js_string(value: Any) -> str:
    """A JSON value as JavaScript's `String()` writes it: `12345`, `true`, `1,2`, `[object Object]`."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join("" if item is None else js_string(item) for item in cast("Iterable[Any]", value))
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return "[object Object]" if isinstance(value, dict) else str(value)


def _collation_key(capability: Capability) -> tuple[tuple[list[int], str], ...]:
    """Order of `localeCompare` for printable ASCII: letters without case first, then lower before upper.

    Other characters follow by code point, which is an approximation.
    """
    return tuple(
        ([_rank(char) for char in text.lower()], text.swapcase())
        for text in (capability.pipeline, capability.model_id)
    )


def _rank(char: str) -> int:
    return _COLLATION.index(char) if char in _COLLATION else len(_COLLATION) + ord(char)


def _listed(capabilities: Iterable[Capability]) -> list[dict[str, str]]:
    return [capability.wire() for capability in sorted(capabilities, key=_collation_key)]


def manifest_document(state: State, app: App) -> dict[str, Any]:
    """The network capability manifest: the catalog without the plan's exclusions.

    `manifestVersion` is 24 hexadecimal digits of the SHA-256 of both sorted lists, or `empty`.
    """
    excluded = {(item.pipeline, item.model_id) for item in app.plan.exclusions}
    capabilities = [
        Capability(pipeline=entry.id, model_id=model)
        for entry in state.catalog or ()
        for model in entry.models
        if (entry.id, model) not in excluded and (entry.id, "*") not in excluded
    ]
    lists = {"capabilities": _listed(capabilities), "excludedCapabilities": _listed(app.plan.exclusions)}
    text = json.dumps(lists, ensure_ascii=False, separators=(",", ":"))
    version = hashlib.sha256(text.encode("utf-8")).hexdigest()[:24] if any(lists.values()) else "empty"
    return {**lists, "manifestVersion": version}


def _etag(app: App) -> str:
    return f'"manifest-plan-{app.plan.updated_at}"'


def _etag_matches(header: str | None, etag: str) -> bool:
    tags = [tag.strip() for tag in (header or "").split(",")]
    return any(tag in ("*", etag, f"W/{etag}") for tag in tags)


class BuilderRoutes:
    """Handlers of `/api/v1/apps/...` and of the routes that belong to no app."""

    def __init__(self, state: State, issuer: Issuer) -> None:
        self._state = state
        self._issuer = issuer

    def routes(self) -> list[Route]:
        """All routes."""
        lock = self._state.lock
        app = "/api/v1/apps/{client_id}"
        hidden = self._hidden

        def get(path: str, handler: Callable[[Call, App], Response]) -> Route:
            return route(path, lock, GET=hidden(handler))

        def session_only(_call: Call) -> Response:
            return _error("Not found", 404)

        users = route(
            f"{app}/users",
            lock,
            GET=self.list_users,
            POST=self.upsert_user,
            PUT=self.update_user,
            DELETE=self.delete_user,
        )
        return [
            get(app, self.app),
            users,
            route(f"{app}/users/{{external_user_id}}/token", lock, POST=self.mint),
            get(f"{app}/usage", self.usage),
            route(
                f"{app}/manifest",
                lock,
                GET=hidden(self.manifest),
                HEAD=hidden(self.manifest_head),
                PUT=session_only,
            ),
            get(f"{app}/billing", self.billing),
            route(
                f"{app}/plans",
                lock,
                GET=hidden(self.plans),
                POST=session_only,
                PUT=session_only,
                DELETE=session_only,
            ),
            get(f"{app}/discovery-profiles", self.profiles),
            get(f"{app}/discovery-profiles/{{profile_id}}", self.profile),
            route(f"{app}/credentials", lock, POST=session_only),
            route("/api/v1/prices/eth-usd", lock, GET=self.eth_usd),
            route("/api/v1/pipeline-catalog", lock, GET=self.catalog),
            route("/api/v1/health", lock, GET=self.health),
            route("/api/v1/marketplace", lock, GET=self.marketplace),
            route("/api/v1/auth/validate", lock, GET=self.validate),
        ]

    # ---------------------------------------------------------------- who may

    def _basic(self, call: Call) -> App | None:
        """The app whose confidential client signed the request."""
        credentials = form_decoded_basic(call)
        return self._state.authenticate(credentials.client_id, credentials.secret) if credentials else None

    def _hidden(self, handler: Callable[[Call, App], Response]) -> Callable[[Call], Response]:
        """A route that answers 404 to everybody but the app's own confidential client."""

        def guarded(call: Call) -> Response:
            app = self._basic(call)
            if app is None or app.public_client_id != call.params["client_id"]:
                return _error("Not found", 404)
            return handler(call, app)

        return guarded

    def _user_route_app(self, call: Call, scope: str) -> App | None:
        """The app of a users route: by Basic, or by a token that was issued to the public client."""
        token = call.bearer()
        if token is None:
            app = self._basic(call)
            granted: Iterable[str] = app.m2m_scopes if app else ()
        elif session := self._state.session(token):
            app, granted = session.app, session.scopes
        else:
            claims = self._issuer.verify(token) or {}
            app = self._state.apps.get(str(claims.get("client_id")))
            granted = str(claims.get("scope", "")).split()
        if app is None or app.public_client_id != call.params["client_id"] or not has_scope(granted, scope):
            return None
        return app

    # ---------------------------------------------------------------- users

    def _user_wire(self, app: App, user: AppUser) -> dict[str, Any]:
        return {
            "id": user.id,
            "clientId": app.public_client_id,
            "externalUserId": user.external_user_id,
            "email": user.email,
            "status": user.status,
            "role": "user",
            "createdAt": user.created_at,
        }

    def list_users(self, call: Call) -> Response:
        """All users of the app, deactivated ones included."""
        app = self._user_route_app(call, "users:read")
        if app is None:
            return _error("Unauthorized", 401)
        return json_answer({"users": [self._user_wire(app, user) for user in app.users.values()]})

    def _user_body(self, call: Call) -> tuple[str, str | None, str | None]:
        """External id, email and status of a body; the id is empty when there is none.

        Raises:
            ValueError: The body is not JSON, or is `null`; the server fails on both.
        """
        document = call.json()
        if document is None:
            raise ValueError("null has no members")
        fields = members(document)
        given = fields.get("externalUserId")
        external_user_id = "" if given is None else js_string(given).strip(_JS_SPACE)
        email, status = fields.get("email"), fields.get("status")
        if not _is_storable(external_user_id):
            raise ValueError("the database stores no such text")
        return (
            external_user_id,
            email.strip(_JS_SPACE) if isinstance(email, str) else None,
            status if isinstance(status, str) else None,
        )

    def upsert_user(self, call: Call) -> Response:
        """Create a user or change the one with that external id."""
        app = self._user_route_app(call, "users:write")
        if app is None:
            return _error("Unauthorized", 401)
        try:
            external_user_id, email, status = self._user_body(call)
        except ValueError:
            return empty(500)
        if not external_user_id:
            return _error("externalUserId is required", 400)
        user = app.users.get(external_user_id)
        created = user is None
        if user is None:
            user = AppUser(external_user_id=external_user_id, created_at=self._state.clock.iso())
            app.users[external_user_id] = user
        _change(user, email, status)
        return json_answer(self._user_wire(app, user), 201 if created else 200)

    def update_user(self, call: Call) -> Response:
        """Change an existing user."""
        app = self._user_route_app(call, "users:write")
        if app is None:
            return _error("Unauthorized", 401)
        try:
            external_user_id, email, status = self._user_body(call)
        except ValueError:
            return empty(500)
        if not external_user_id:
            return _error("externalUserId is required", 400)
        user = app.users.get(external_user_id)
        if user is None:
            return _error("User not found", 404)
        _change(user, email, status)
        return json_answer({"success": True})

    def delete_user(self, call: Call) -> Response:
        """Deactivate a user; the row stays."""
        app = self._user_route_app(call, "users:write")
        if app is None:
            return _error("Unauthorized", 401)
        external_user_id = call.query.get("externalUserId")
        if not external_user_id:
            return _error("externalUserId is required", 400)
        if not _is_storable(external_user_id):
            return empty(500)
        user = app.users.get(external_user_id)
        if user is None:
            return _error("User not found", 404)
        user.status = "inactive"
        return json_answer({"success": True, "correlation_id": new_id()})

    def mint(self, call: Call) -> Response:
        """Mint a user-scoped JWT of 15 minutes."""
        correlation_id = new_id()

        def refuse(status: int, error: str, description: str) -> Response:
            body = {"error": error, "error_description": description, "correlation_id": correlation_id}
            return json_answer(body, status)

        caller = self._basic(call)
        if caller is None:
            return refuse(401, "invalid_client", "failed confidential-client authentication")
        if caller.public_client_id != call.params["client_id"]:
            return refuse(403, "forbidden", "client_id does not match the requested app")
        if not has_scope(caller.m2m_scopes, "users:token"):
            return refuse(403, "invalid_scope", "users:token scope is required for this client")
        scopes = _requested_scopes(call)
        if any(scope == "admin" or scope not in caller.scopes for scope in scopes):
            return refuse(400, "invalid_scope", "requested scope is not allowed for this client")
        user = caller.users.get(call.params["external_user_id"])
        if user is None or user.status != "active":
            return refuse(404, "not_found", "the provisioned user could not be resolved")
        if caller.billing_pattern == "app_level":
            return refuse(
                400,
                "invalid_request",
                "Programmatic user tokens require the users:token scope on the OAuth client",
            )
        return json_answer(
            {
                "access_token": self._issuer.user_token(caller, user, scopes),
                # No grant takes it: it wants the secret of a public client, and public clients have none.
                "refresh_token": opaque(),
                "token_type": "Bearer",
                "expires_in": USER_TOKEN_LIFETIME,
                "scope": " ".join(scopes),
                "subject_type": "app_user",
                "correlation_id": correlation_id,
            }
        )

    # ---------------------------------------------------------------- the app

    def usage(self, call: Call, app: App) -> Response:
        """Usage totals and groups."""
        try:
            return json_answer(usage_report(self._state, app, call.query))
        except BadQueryError as refusal:
            return _error(str(refusal), 400)

    def manifest(self, call: Call, app: App) -> Response:
        """The manifest; its ETag follows the plan's time stamp and nothing else."""
        etag = _etag(app)
        if _etag_matches(call.headers.get("if-none-match"), etag):
            return empty(304, {"etag": etag})
        return json_answer(manifest_document(self._state, app), headers={"etag": etag})

    def manifest_head(self, call: Call, app: App) -> Response:
        """Status and ETag of the manifest; unlike other routes this one names no content type."""
        return empty(self.manifest(call, app).status_code, {"etag": _etag(app)})

    def app(self, _call: Call, app: App) -> Response:
        """The app's own record."""
        return json_answer(
            {
                "clientId": app.public_client_id,
                "name": app.name,
                "status": app.status,
                "billingPattern": app.billing_pattern,
                "allowedScopes": " ".join(app.scopes),
                "links": {"manifest": f"/api/v1/apps/{app.public_client_id}/manifest"},
            }
        )

    def billing(self, _call: Call, app: App) -> Response:
        """The billing snapshot of the running month."""
        return json_answer(billing_snapshot(self._state, app))

    def plans(self, _call: Call, app: App) -> Response:
        """The app's plans."""
        plan = app.plan
        excluded = [{"modelId": item.model_id, "pipeline": item.pipeline} for item in plan.exclusions]
        return json_answer(
            {
                "plans": [
                    {
                        "id": plan.id,
                        "clientId": app.public_client_id,
                        "name": plan.name,
                        "type": plan.type,
                        "priceAmount": plan.price_amount,
                        "priceCurrency": "USD",
                        "status": "active",
                        "includedUnits": plan.included_units,
                        "overageRateWei": plan.overage_rate_wei,
                        "includedUsdMicros": plan.included_usd_micros,
                        "billingCycle": "monthly",
                        "discoveryProfileId": None,
                        "isNetworkDefault": plan.is_network_default,
                        "discoveryExcludedCapabilities": {"capabilities": excluded} if excluded else None,
                        "createdAt": plan.created_at,
                        "updatedAt": plan.updated_at,
                        "discoveryPolicy": None,
                        "capabilities": [],
                    }
                ]
            }
        )

    def _profile_wire(self, app: App, profile: DiscoveryProfile) -> dict[str, Any]:
        return {
            "id": profile.id,
            "clientId": app.public_client_id,
            "name": profile.name,
            "policy": profile.policy,
            "createdAt": profile.created_at,
            "updatedAt": profile.updated_at,
            "capabilities": [
                {**capability.wire(), "discoveryPolicy": policy} for capability, policy in profile.capabilities
            ],
        }

    def profiles(self, _call: Call, app: App) -> Response:
        """The app's discovery profiles."""
        return json_answer({"profiles": [self._profile_wire(app, profile) for profile in app.profiles]})

    def profile(self, call: Call, app: App) -> Response:
        """One discovery profile, in a list as the others are (no answer of this route was recorded)."""
        found = [profile for profile in app.profiles if profile.id == call.params["profile_id"]]
        if not found:
            return _error("Not found", 404)
        return json_answer({"profiles": [self._profile_wire(app, profile) for profile in found]})

    # ---------------------------------------------------------------- of no app

    def eth_usd(self, _call: Call) -> Response:
        """The price of ETH, as the server answers without a price feed."""
        price = {
            "priceUsd": 3000,
            "source": "env",
            "observedAt": self._state.clock.iso(),
            "isFallback": True,
        }
        return json_answer({"ethUsd": price}, headers={"cache-control": "no-store"})

    def catalog(self, _call: Call) -> Response:
        """The pipelines of the network."""
        if self._state.catalog is None:
            return empty(503)
        return json_answer(
            {"catalog": [entry.wire() for entry in self._state.catalog]},
            headers={"cache-control": "public, max-age=300, stale-while-revalidate=60"},
        )

    def health(self, _call: Call) -> Response:
        """Health of the server and of its signer."""
        running = self._state.signer_running
        return json_answer(
            {
                "status": "ok",
                "timestamp": self._state.clock.iso(),
                "version": "0.1.0",
                "database": "connected",
                "signer": {
                    "status": "running" if running else "stopped",
                    "reachable": running,
                    "ethAddress": "0x" + "5a" * 20 if running else None,
                },
            }
        )

    def marketplace(self, _call: Call) -> Response:
        """The marketplace, which lists no app."""
        return json_answer({"apps": []})

    def validate(self, call: Call) -> Response:
        """Whether a bare API key is valid; a signer session is none."""
        key = self._state.api_keys.get(call.bearer() or "")
        if key is None:
            return json_answer({"valid": False}, 401)
        plan = key.app.plan
        allowed = manifest_document(self._state, key.app)["capabilities"]
        return json_answer(
            {
                "valid": True,
                "client_id": key.app.public_client_id,
                "plan": {"id": plan.id, "name": plan.name, "type": plan.type},
                "allowedModels": [capability["modelId"] for capability in allowed],
            }
        )


def _is_storable(text: str) -> bool:
    """Whether the server's database takes a text: it takes neither NUL nor half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def _change(user: AppUser, email: str | None, status: str | None) -> None:
    """Change what was given."""
    if email is not None:
        user.email = email
    if status is not None:
        user.status = status


def _requested_scopes(call: Call) -> tuple[str, ...]:
    """Scopes of a mint request; a body that is absent or no JSON counts as `{}`, which means `sign:job`."""
    try:
        scope = members(call.json()).get("scope")
    except ValueError:
        scope = None
    return tuple(dict.fromkeys(scope.split())) if isinstance(scope, str) and scope.strip() else ("sign:job",)
