"""The platform as tests hold it: identifiers to configure a client with, and levers on its state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, cast

from tollkit.sandbox.clock import iso
from tollkit.sandbox.pymthouse.app import build_app
from tollkit.sandbox.pymthouse.issuer import Issuer
from tollkit.sandbox.pymthouse.ledger import WEI_PER_MICRO, BillingEvent, Micros, UsageRecord
from tollkit.sandbox.pymthouse.state import (
    DEFAULT_CATALOG,
    DEFAULT_SCOPES,
    ApiKey,
    App,
    AppUser,
    Capability,
    CatalogEntry,
    DeviceCode,
    DiscoveryProfile,
    EndUser,
    SignerSession,
    State,
)
from tollkit.sandbox.pymthouse.usage import month_bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from starlette.types import ASGIApp

    from tollkit.sandbox.clock import Clock
    from tollkit.sandbox.recorder import RequestLog

__all__ = ["PymtHouseSandbox"]

APP_LEVEL_SCOPES = ("openid", "sign:job")


class PymtHouseSandbox:
    """PymtHouse in the sandbox.

    It starts with one app, which signs users in on devices itself; ids and secret of an app are the same in every
    run. Methods that take `app` mean that first app when it is left out, and take an `App` or its public client id.

    Args:
        clock: The clock of the sandbox.
        requests: The log of requests that the sandbox received.
        origin: Gives scheme, host and port of the server once it runs.
    """

    def __init__(self, clock: Clock, requests: RequestLog, origin: Callable[[], str]) -> None:
        self.clock = clock
        self.requests = requests
        self._state = State(clock)
        self._issuer = Issuer(clock, origin)
        self._origin = origin
        self._state.add_app("Sandbox App")

    def asgi_app(self) -> ASGIApp:
        """The platform as an ASGI application."""
        return build_app(self._state, self._issuer)

    def reset(self) -> None:
        """Forget all state but the signing key and start over with the one app."""
        with self._state.lock:
            self._state.clear()
            self._issuer.forget_old_keys()
            self._state.add_app("Sandbox App")

    # ---------------------------------------------------------------- what a client is configured with

    @property
    def url(self) -> str:
        """Origin of the server."""
        return self._origin()

    @property
    def issuer_url(self) -> str:
        """Issuer identifier: origin and `/api/v1/oidc`."""
        return self._issuer.url

    @property
    def app(self) -> App:
        """The first app."""
        return next(iter(self._state.apps.values()))

    @property
    def public_client_id(self) -> str:
        """Public client id of the first app; also its id in paths."""
        return self.app.public_client_id

    @property
    def m2m_client_id(self) -> str:
        """Confidential client id of the first app."""
        return self.app.m2m_client_id

    @property
    def m2m_client_secret(self) -> str:
        """Secret of the confidential client of the first app."""
        return self.app.m2m_client_secret

    def env(self, app: App | str | None = None) -> dict[str, str]:
        """The four `PYMTHOUSE_*` variables of an app."""
        found = self._app(app)
        return {
            "PYMTHOUSE_ISSUER_URL": self.issuer_url,
            "PYMTHOUSE_PUBLIC_CLIENT_ID": found.public_client_id,
            "PYMTHOUSE_M2M_CLIENT_ID": found.m2m_client_id,
            "PYMTHOUSE_M2M_CLIENT_SECRET": found.m2m_client_secret,
        }

    # ---------------------------------------------------------------- tenants and users

    def create_app(
        self,
        name: str = "Another App",
        *,
        billing: Literal["per_user", "app_level"] = "per_user",
        scopes: Iterable[str] | None = None,
        device_login: bool = True,
        initiate_login_uri: str | None = None,
        status: str = "approved",
    ) -> App:
        """Add a tenant.

        Args:
            name: Shown on the device pages.
            billing: `app_level` takes `users:token` and the users scopes from the public client.
            scopes: Scopes of the public client instead of those that go with `billing`.
            device_login: Whether the app may approve device codes itself.
            initiate_login_uri: Where the device page sends a browser without session.
            status: Status in the app's record.
        """
        chosen = DEFAULT_SCOPES if billing == "per_user" else APP_LEVEL_SCOPES
        with self._state.lock:
            return self._state.add_app(
                name,
                scopes=tuple(scopes) if scopes is not None else chosen,
                device_login=device_login,
                initiate_login_uri=initiate_login_uri,
                status=status,
            )

    def configure_app(
        self,
        *,
        app: App | str | None = None,
        device_login: bool | None = None,
        initiate_login_uri: str | None = None,
        redirect_uris: Iterable[str] | None = None,
        m2m_scopes: Iterable[str] | None = None,
    ) -> App:
        """Change switches of an app; what is left out stays.

        Args:
            app: Which app.
            device_login: Whether it may approve device codes itself.
            initiate_login_uri: Where the device page sends a browser without session.
            redirect_uris: Where the authorization endpoint may send a browser.
            m2m_scopes: Scopes of the confidential client. The platform always gives it `users:token`,
                `users:write` and `device:approve`; with fewer, a client's handling of the refusals can be tested.
        """
        with self._state.lock:
            found = self._app(app)
            if device_login is not None:
                found.device_login = device_login
            if initiate_login_uri is not None:
                found.initiate_login_uri = initiate_login_uri
            if redirect_uris is not None:
                found.redirect_uris = tuple(redirect_uris)
            if m2m_scopes is not None:
                found.confidential_scopes = tuple(m2m_scopes)
            return found

    def seed_user(
        self,
        external_user_id: str,
        *,
        email: str | None = None,
        status: str = "active",
        app: App | str | None = None,
    ) -> AppUser:
        """Provision a user, or set email and status of the one with that external id.

        Args:
            external_user_id: The user, by your id.
            email: E-mail address.
            status: `active` or another word of the platform.
            app: The app, or its id; the first when left out.
        """
        with self._state.lock:
            users = self._app(app).users
            user = users.setdefault(
                external_user_id, AppUser(external_user_id=external_user_id, created_at=self.clock.iso())
            )
            user.email, user.status = email, status
            return user

    def seed_end_user(self, external_user_id: str | None = None, *, app: App | str | None = None) -> EndUser:
        """An end user: the one with that external id, or a new one without any.

        Args:
            external_user_id: The user, by your id.
            app: The app, or its id; the first when left out.
        """
        with self._state.lock:
            found = self._app(app)
            if external_user_id is not None:
                return found.end_user_for(external_user_id)
            return found.add_end_user(EndUser(external_user_id=None))

    def create_api_key(self, *, app: App | str | None = None) -> ApiKey:
        """A bare API key, which `GET /api/v1/auth/validate` takes."""
        with self._state.lock:
            key = ApiKey(app=self._app(app))
            self._state.api_keys[key.token] = key
            return key

    # ---------------------------------------------------------------- usage

    def record(
        self,
        user: AppUser | EndUser | str | None = None,
        *,
        pipeline: str = "llm",
        model_id: str = "meta-llama/Llama-3.1-8B-Instruct",
        network_fee_usd_micros: int = 700,
        owner_charge_usd_micros: int | None = None,
        platform_fee_usd_micros: int | None = None,
        end_user_billable_usd_micros: int | None = None,
        at: datetime | str | None = None,
        gateway_request_id: str | None = None,
        fee_wei: int | None = None,
        units: int = 1,
        billed: bool = True,
        app: App | str | None = None,
    ) -> UsageRecord:
        """Put a metered request into the ledger.

        Args:
            user: Whose: an app user or end user by object, or the stored text itself (an external id, for one);
                None for a record without user.
            pipeline: Pipeline of the billing event.
            model_id: Model of the billing event.
            network_fee_usd_micros: Network fee in millionths of a dollar.
            owner_charge_usd_micros: Network plus platform fee when left out.
            platform_fee_usd_micros: One percent of the network fee when left out.
            end_user_billable_usd_micros: The network fee when left out.
            at: When: an aware datetime, or ISO text with a zone; now when left out.
            gateway_request_id: Id that the gateway gave.
            fee_wei: Fee of the record in wei; the network fee at 3000 USD for one ETH when left out.
            units: Metered units.
            billed: False for a record without billing event.
            app: Whose ledger.

        Raises:
            ValueError: A time without zone.
        """
        platform = round(network_fee_usd_micros / 100) if platform_fee_usd_micros is None else platform_fee_usd_micros
        amounts = Micros(
            network=network_fee_usd_micros,
            owner=_given(owner_charge_usd_micros, network_fee_usd_micros + platform),
            platform=platform,
            billable=_given(end_user_billable_usd_micros, network_fee_usd_micros),
        )
        created_at = self._stored_time(at)
        entry = UsageRecord(
            user_id=user if user is None or isinstance(user, str) else user.id,
            created_at=created_at,
            fee_wei=_given(fee_wei, network_fee_usd_micros * WEI_PER_MICRO),
            units=units,
        )
        with self._state.lock:
            ledger = self._app(app).ledger
            ledger.records.append(entry)
            if billed:
                ledger.events.append(
                    BillingEvent(
                        record_id=entry.id,
                        pipeline=pipeline,
                        model_id=model_id,
                        amounts=amounts,
                        created_at=created_at,
                        gateway_request_id=gateway_request_id,
                    )
                )
        return entry

    def _stored_time(self, at: datetime | str | None) -> str:
        if at is None:
            return self.clock.iso()
        moment = datetime.fromisoformat(at) if isinstance(at, str) else at
        if moment.tzinfo is None:
            raise ValueError("usage is recorded at a time with a zone")
        return iso(moment.timestamp())

    def seed_usage(self, rows: Iterable[Mapping[str, Any]], *, app: App | str | None = None) -> list[UsageRecord]:
        """Put several records into the ledger; each mapping holds arguments of `record`."""
        return [self.record(**cast("dict[str, Any]", {"app": app, **row})) for row in rows]

    def demo_data(self, *, month: str | None = None) -> dict[str, AppUser]:
        """Two users with four weeks of usage; the same amounts on every call.

        `alice` runs jobs on each of the first 28 days of the month, also under her end user's id and under her
        raw external id, as the platform stores them; `bob` on every third day.

        Args:
            month: The month as `YYYY-MM`; the one that the clock is in when left out.
        """
        first = (
            datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC) if month else month_bounds(self.clock.utcnow())[0]
        )
        alice = self.seed_user("alice", email="alice@example.com")
        bob = self.seed_user("bob", email="bob@example.com")
        alice_device = self.seed_end_user("alice")
        for day in range(28):
            noon = first + timedelta(days=day, hours=12)
            self.record(
                alice,
                pipeline="text-to-image",
                model_id="black-forest-labs/FLUX.1-dev",
                network_fee_usd_micros=12_500,
                end_user_billable_usd_micros=13_750,
                at=noon,
            )
            if day % 2 == 0:
                self.record(alice_device, network_fee_usd_micros=700, at=noon + timedelta(hours=1))
            if day % 7 == 0:
                self.record("alice", network_fee_usd_micros=700, at=noon + timedelta(hours=2))
            if day % 3 == 0:
                self.record(
                    bob,
                    pipeline="live-video-to-video",
                    model_id="streamdiffusion-sdxl",
                    network_fee_usd_micros=40_000,
                    at=noon + timedelta(hours=3),
                    gateway_request_id=f"gw-{day + 1:02d}",
                )
        return {"alice": alice, "bob": bob}

    # ---------------------------------------------------------------- device flow and sessions

    @property
    def devices(self) -> list[DeviceCode]:
        """All device codes, oldest first."""
        with self._state.lock:
            return list(self._state.devices.values())

    def device(self, user_code: str) -> DeviceCode:
        """The device code that goes by a user code, in any spelling.

        Raises:
            KeyError: There is none.
        """
        with self._state.lock:
            found = self._state.device_by_user_code(user_code)
        if found is None:
            raise KeyError(user_code)
        return found

    def approve_device(self, user_code: str, external_user_id: str = "alice") -> DeviceCode:
        """Approve a device code as that user would in a browser.

        Args:
            user_code: As the device shows it.
            external_user_id: The user, by your id.

        Raises:
            KeyError: There is no such code.
        """
        with self._state.lock:
            device = self.device(user_code)
            device.end_user_id = device.app.end_user_for(external_user_id).id
            device.status = "approved"
            return device

    def deny_device(self, user_code: str) -> DeviceCode:
        """Deny a device code as a user would in a browser.

        Raises:
            KeyError: There is no such code.
        """
        with self._state.lock:
            device = self.device(user_code)
            device.status = "denied"
            return device

    def expire_device(self, user_code: str) -> DeviceCode:
        """Let a device code expire now.

        Raises:
            KeyError: There is no such code.
        """
        with self._state.lock:
            device = self.device(user_code)
            device.expires_at = self.clock.now() - 1
            return device

    @property
    def sessions(self) -> list[SignerSession]:
        """All signer sessions that were issued and not revoked, oldest first."""
        with self._state.lock:
            return list(self._state.sessions.values())

    def revoke_sessions(self, *, app: App | str | None = None) -> int:
        """Revoke all signer sessions of an app; how many there were."""
        with self._state.lock:
            found = self._app(app)
            kept = {key: held for key, held in self._state.sessions.items() if held.app is not found}
            revoked = len(self._state.sessions) - len(kept)
            self._state.sessions = kept
            return revoked

    def revoke_refresh_tokens(self, *, app: App | str | None = None) -> int:
        """Revoke all refresh tokens of an app's device logins; how many there were."""
        with self._state.lock:
            found = self._app(app)
            kept = {key: held for key, held in self._state.refresh_tokens.items() if held.app is not found}
            revoked = len(self._state.refresh_tokens) - len(kept)
            self._state.refresh_tokens = kept
            return revoked

    def rotate_keys(self, keep_old: bool = True) -> str:
        """Sign with a new key from now on.

        Args:
            keep_old: Whether tokens signed with the former keys stay valid.

        Returns:
            `kid` of the new key.
        """
        with self._state.lock:
            return self._issuer.rotate_keys(keep_old=keep_old)

    # ---------------------------------------------------------------- the app's documents

    def set_manifest(
        self,
        *,
        excluded: Iterable[Mapping[str, str] | tuple[str, str]] | None = None,
        catalog: Mapping[str, Iterable[str]] | None = None,
        touch: bool = True,
        updated_at: str | None = None,
        app: App | str | None = None,
    ) -> str:
        """Change what the manifest says.

        Args:
            excluded: Excluded pairs: `("llm", "*")` or `{"pipeline": ..., "modelId": ...}`.
            catalog: Pipelines of the network with their models; for all apps.
            touch: Whether the plan's time stamp, and so the ETag, moves along. The real server was seen to leave
                it, so that a 304 hides the change.
            updated_at: The time stamp to use instead of now, as ISO text.
            app: Whose plan.

        Returns:
            The time stamp that the ETag now follows.
        """
        with self._state.lock:
            plan = self._app(app).plan
            if excluded is not None:
                plan.exclusions = tuple(_capability(pair) for pair in excluded)
            if catalog is not None:
                self._state.catalog = tuple(
                    CatalogEntry(id=pipeline, name=pipeline, models=tuple(models))
                    for pipeline, models in catalog.items()
                )
            if updated_at is not None:
                plan.updated_at = updated_at
            elif touch:
                plan.updated_at = _later(plan.updated_at, self.clock.iso())
            return plan.updated_at

    def set_catalog_failing(self, failing: bool = True) -> None:
        """Let the pipeline catalog fail: it answers 503, and the manifest then lists no capability."""
        with self._state.lock:
            self._state.catalog = None if failing else DEFAULT_CATALOG

    def set_plan(
        self,
        *,
        type: str | None = None,
        name: str | None = None,
        included_usd_micros: int | None = None,
        included_units: int | None = None,
        overage_rate_wei: int | None = None,
        app: App | str | None = None,
    ) -> None:
        """Change the plan of an app; what is left out stays.

        Args:
            type: Kind of the plan.
            name: Shown to people.
            included_usd_micros: Usage that is included, in millionths of a US dollar.
            included_units: Units that are included.
            overage_rate_wei: Price of a unit beyond, in wei.
            app: The app, or its id; the first when left out.
        """
        with self._state.lock:
            plan = self._app(app).plan
            plan.type = type or plan.type
            plan.name = name or plan.name
            if included_usd_micros is not None:
                plan.included_usd_micros = str(included_usd_micros)
            if included_units is not None:
                plan.included_units = str(included_units)
            if overage_rate_wei is not None:
                plan.overage_rate_wei = str(overage_rate_wei)

    def add_discovery_profile(
        self,
        name: str,
        policy: Mapping[str, object],
        *,
        capabilities: Iterable[Mapping[str, str] | tuple[str, str]] = (),
        app: App | str | None = None,
    ) -> DiscoveryProfile:
        """Add a discovery profile to an app.

        Args:
            name: Shown to people.
            policy: What the profile says, as it is stored.
            capabilities: Pipelines and models, as mappings or pairs.
            app: The app, or its id; the first when left out.
        """
        now = self.clock.iso()
        profile = DiscoveryProfile(
            name=name,
            policy=dict(policy),
            created_at=now,
            updated_at=now,
            capabilities=tuple((_capability(pair), None) for pair in capabilities),
        )
        with self._state.lock:
            self._app(app).profiles.append(profile)
        return profile

    @property
    def signer_running(self) -> bool:
        """Whether the signer routes answer; they were seen with the signer stopped."""
        return self._state.signer_running

    @signer_running.setter
    def signer_running(self, running: bool) -> None:
        self._state.signer_running = running

    def set_signer_running(self, running: bool = True) -> None:
        """The same switch as a method, for `/__sandbox__`."""
        self._state.signer_running = running

    def _app(self, app: App | str | None) -> App:
        if app is None:
            return self.app
        return self._state.apps[app] if isinstance(app, str) else app


def _given(value: int | None, default: int) -> int:
    return default if value is None else value


def _capability(pair: Mapping[str, str] | tuple[str, str]) -> Capability:
    if isinstance(pair, tuple):
        return Capability(pipeline=pair[0], model_id=pair[1])
    return Capability(pipeline=pair["pipeline"], model_id=pair["modelId"])


def _later(before: str, now: str) -> str:
    """Now, or a millisecond after the former time stamp: two changes at once still change the ETag."""
    if now > before:
        return now
    return iso(datetime.fromisoformat(before).timestamp() + 0.001)
