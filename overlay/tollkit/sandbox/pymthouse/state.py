"""What the sandboxed PymtHouse knows: apps, users, sessions, device codes, plans."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import attrs

from tollkit.sandbox.pymthouse.ledger import Ledger, new_id

if TYPE_CHECKING:
    from tollkit.sandbox.clock import Clock

__all__ = [
    "ApiKey",
    "App",
    "AppUser",
    "Capability",
    "CatalogEntry",
    "DeviceCode",
    "DiscoveryProfile",
    "EndUser",
    "Plan",
    "RefreshToken",
    "SignerSession",
    "State",
    "has_scope",
]

SERVER_SCOPES = (
    "openid",
    "sign:job",
    "users:read",
    "users:write",
    "users:token",
    "device:approve",
    "admin",
)
DEFAULT_SCOPES = ("openid", "sign:job", "users:read", "users:write", "users:token")
USER_CODE_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
SESSION_LIFETIME = 7_776_000
REFRESH_LIFETIME = 30 * 86_400
DEVICE_LIFETIME = 600


def has_scope(granted: Iterable[str], wanted: str) -> bool:
    """Whether a scope was granted; the scope `admin` alone grants all."""
    scopes = list(granted)
    return wanted in scopes or scopes == ["admin"]


def opaque(prefix: str = "pmth_") -> str:
    """A new opaque token in PymtHouse's form: the prefix and 64 hexadecimal digits."""
    return prefix + secrets.token_hex(32)


def nano_id() -> str:
    """A new opaque token of 43 characters, as the OIDC provider makes them."""
    return secrets.token_urlsafe(32)


@attrs.frozen(kw_only=True)
class Capability:
    """A pipeline with one of its models; `*` stands for all models in an exclusion."""

    pipeline: str
    model_id: str

    def wire(self) -> dict[str, str]:
        """The pair as the manifest lists it."""
        return {"pipeline": self.pipeline, "modelId": self.model_id}


@attrs.frozen(kw_only=True)
class CatalogEntry:
    """A pipeline of the network with the models that run on it."""

    id: str
    name: str
    models: tuple[str, ...]
    regions: tuple[str, ...] | None = None

    def wire(self) -> dict[str, object]:
        """The entry as `GET /api/v1/pipeline-catalog` lists it."""
        document: dict[str, object] = {"id": self.id, "name": self.name, "models": list(self.models)}
        if self.regions is not None:
            document["regions"] = list(self.regions)
        return document


DEFAULT_CATALOG = (
    CatalogEntry(
        id="text-to-image",
        name="Text to Image",
        models=("SG161222/RealVisXL_V4.0_Lightning", "black-forest-labs/FLUX.1-dev"),
        regions=("us-east",),
    ),
    CatalogEntry(id="live-video-to-video", name="Live Video", models=("streamdiffusion-sdxl", "noop"), regions=()),
    CatalogEntry(id="llm", name="LLM", models=("meta-llama/Llama-3.1-8B-Instruct",)),
)


@attrs.define(kw_only=True)
class Plan:
    """A plan of an app; every app has the network's default plan, which holds the exclusions of its manifest."""

    created_at: str
    updated_at: str
    exclusions: tuple[Capability, ...] = ()
    name: str = "__pymthouse_network_default__"
    type: str = "free"
    price_amount: str = "0"
    included_units: str | None = None
    overage_rate_wei: str | None = None
    included_usd_micros: str | None = None
    is_network_default: bool = True
    id: str = attrs.field(factory=new_id)


@attrs.define(kw_only=True)
class DiscoveryProfile:
    """A named policy for choosing orchestrators."""

    name: str
    policy: dict[str, object]
    created_at: str
    updated_at: str
    capabilities: tuple[tuple[Capability, dict[str, object] | None], ...] = ()
    id: str = attrs.field(factory=new_id)


@attrs.define(kw_only=True)
class AppUser:
    """A user that an app provisioned (`app_users`); `id` is the `sub` of the JWTs minted for the user."""

    external_user_id: str
    created_at: str
    email: str | None = None
    status: str = "active"
    id: str = attrs.field(factory=new_id)


@attrs.define(kw_only=True)
class EndUser:
    """The account behind signer sessions and device logins (`end_users`), another table than `app_users`."""

    external_user_id: str | None
    id: str = attrs.field(factory=new_id)


@attrs.define(kw_only=True, eq=False)
class App:
    """A tenant: a public client for its users' devices and a confidential client for its server."""

    name: str
    public_client_id: str
    m2m_client_id: str
    m2m_client_secret: str = attrs.field(repr=False)
    plan: Plan
    scopes: tuple[str, ...] = DEFAULT_SCOPES
    status: str = "approved"
    device_login: bool = True
    """Whether the app may approve device codes itself (third-party device login)."""
    initiate_login_uri: str | None = None
    """Where a browser without session is sent from the device page; None to let it sign in there."""
    redirect_uris: tuple[str, ...] = ("http://localhost:3000/callback",)
    confidential_scopes: tuple[str, ...] | None = None
    """Scopes of the confidential client instead of those that the platform gives it."""
    platform_cut_percent: int | None = 15
    users: dict[str, AppUser] = attrs.field(factory=dict[str, AppUser], repr=False)
    end_users: dict[str, EndUser] = attrs.field(factory=dict[str, EndUser], repr=False)
    ledger: Ledger = attrs.field(factory=Ledger, repr=False)
    profiles: list[DiscoveryProfile] = attrs.field(factory=list[DiscoveryProfile], repr=False)

    @property
    def billing_pattern(self) -> Literal["per_user", "app_level"]:
        """`per_user` when the public client may mint user tokens."""
        return "per_user" if "users:token" in self.scopes else "app_level"

    @property
    def m2m_scopes(self) -> tuple[str, ...]:
        """Scopes of the confidential client: three always, two taken over from the public client."""
        if self.confidential_scopes is not None:
            return self.confidential_scopes
        inherited = tuple(scope for scope in ("sign:job", "users:read") if scope in self.scopes)
        return ("users:token", "users:write", "device:approve", *inherited)

    def app_user(self, app_user_id: str) -> AppUser | None:
        """The provisioned user with that `app_users` id."""
        return next((user for user in self.users.values() if user.id == app_user_id), None)

    def end_user_for(self, external_user_id: str) -> EndUser:
        """The end user with that external id, made when there is none."""
        for user in self.end_users.values():
            if user.external_user_id == external_user_id:
                return user
        return self.add_end_user(EndUser(external_user_id=external_user_id))

    def add_end_user(self, user: EndUser) -> EndUser:
        """Keep an end user."""
        self.end_users[user.id] = user
        return user


@attrs.frozen(kw_only=True)
class SignerSession:
    """An opaque `pmth_` token for the remote signer."""

    token: str = attrs.field(factory=opaque, repr=False)
    app: App
    end_user_id: str
    scopes: tuple[str, ...]
    expires_at: float


@attrs.frozen(kw_only=True)
class ApiKey:
    """A bare API key of an app; shaped like a session, kept apart from them."""

    token: str = attrs.field(factory=opaque, repr=False)
    app: App


@attrs.define(kw_only=True, eq=False)
class DeviceCode:
    """One run of the device flow."""

    app: App
    scopes: tuple[str, ...]
    expires_at: float
    device_code: str = attrs.field(factory=nano_id, repr=False)
    user_code: str
    """In the form that is stored and compared: eight letters, no hyphen."""
    status: Literal["pending", "approved", "denied", "consumed"] = "pending"
    end_user_id: str | None = None
    grant_id: str = attrs.field(factory=new_id)

    @property
    def shown(self) -> str:
        """The code as people see it: `XXXX-XXXX`."""
        return f"{self.user_code[:4]}-{self.user_code[4:]}"


@attrs.define(kw_only=True, eq=False)
class RefreshToken:
    """A refresh token of the device flow; all of one login share a grant."""

    token: str = attrs.field(factory=nano_id, repr=False)
    app: App
    end_user_id: str
    scopes: tuple[str, ...]
    grant_id: str
    expires_at: float
    used: bool = False


def normalize_user_code(text: str) -> str:
    """A user code as the server compares it: ASCII letters upper-cased, every non-word character dropped."""
    upper = "".join(char.upper() if "a" <= char <= "z" else char for char in text)
    return "".join(char for char in upper if char == "_" or (char.isascii() and char.isalnum()))


def _fixed_id(prefix: str, *parts: object, length: int = 24) -> str:
    """An id that is the same in every run, so that a configuration outlives a restart of the sandbox."""
    digest = hashlib.sha256("/".join(["tollkit sandbox", prefix, *map(str, parts)]).encode()).hexdigest()
    return prefix + digest[:length]


class State:
    """All tables of the platform; `lock` guards them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lock: threading.RLock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.apps: dict[str, App] = {}
        self.by_m2m: dict[str, App] = {}
        self.sessions: dict[str, SignerSession] = {}
        self.api_keys: dict[str, ApiKey] = {}
        self.devices: dict[str, DeviceCode] = {}
        self.refresh_tokens: dict[str, RefreshToken] = {}
        self.catalog: tuple[CatalogEntry, ...] | None = DEFAULT_CATALOG
        """None stands for a catalog service that fails."""
        self.signer_running = False

    def add_app(
        self,
        name: str,
        *,
        scopes: tuple[str, ...] = DEFAULT_SCOPES,
        device_login: bool = True,
        initiate_login_uri: str | None = None,
        status: str = "approved",
    ) -> App:
        """Add a tenant; its ids and its secret depend on nothing but its name and how many there are."""
        number = len(self.apps)
        now = self.clock.iso()
        app = App(
            name=name,
            public_client_id=_fixed_id("app_", name, number),
            m2m_client_id=_fixed_id("m2m_", name, number),
            m2m_client_secret=_fixed_id("pmth_cs_", name, number, length=64),
            plan=Plan(created_at=now, updated_at=now),
            scopes=scopes,
            status=status,
            device_login=device_login,
            initiate_login_uri=initiate_login_uri,
        )
        self.apps[app.public_client_id] = app
        self.by_m2m[app.m2m_client_id] = app
        return app

    def authenticate(self, client_id: str, secret: str | None) -> App | None:
        """The app whose confidential client these credentials are; None when they are wrong."""
        app = self.by_m2m.get(client_id)
        if app is None or secret is None:
            return None
        same = secrets.compare_digest(secret.encode("utf-8"), app.m2m_client_secret.encode("utf-8"))
        return app if same else None

    def open_session(self, app: App, end_user: EndUser, scopes: tuple[str, ...]) -> SignerSession:
        """Issue a signer session of 90 days."""
        session = SignerSession(
            app=app,
            end_user_id=end_user.id,
            scopes=scopes,
            expires_at=self.clock.issue_time() + SESSION_LIFETIME,
        )
        self.sessions[session.token] = session
        return session

    def session(self, token: str) -> SignerSession | None:
        """The signer session of a token, unless it is unknown or over."""
        session = self.sessions.get(token)
        return session if session and session.expires_at > self.clock.now() else None

    def start_device(self, app: App, scopes: tuple[str, ...]) -> DeviceCode:
        """Start the device flow."""
        taken = {device.user_code for device in self.devices.values()}
        while (code := "".join(secrets.choice(USER_CODE_ALPHABET) for _ in range(8))) in taken:
            pass
        device = DeviceCode(
            app=app, scopes=scopes, user_code=code, expires_at=self.clock.issue_time() + DEVICE_LIFETIME
        )
        self.devices[device.device_code] = device
        return device

    def device_by_user_code(self, user_code: str) -> DeviceCode | None:
        """The device code that a person was shown, in any spelling that normalises to it."""
        wanted = normalize_user_code(user_code)
        return next((device for device in self.devices.values() if device.user_code == wanted), None)

    def revoke_grant(self, grant_id: str) -> None:
        """Revoke every refresh token of one login."""
        self.refresh_tokens = {
            token: kept for token, kept in self.refresh_tokens.items() if kept.grant_id != grant_id
        }

    def external_id_of(self, user_id: str) -> str | None:
        """The external id behind a stored user id, in the order in which the server looks it up.

        App users by id and by external id come first, of whatever app; then end users the same way.
        """
        app_users = [user for app in self.apps.values() for user in app.users.values()]
        end_users = [user for app in self.apps.values() for user in app.end_users.values()]
        for users in (app_users, end_users):
            for found in (
                next((user for user in users if user.id == user_id), None),
                next((user for user in users if user.external_user_id == user_id), None),
            ):
                if found is not None:
                    return found.external_user_id
        return None
