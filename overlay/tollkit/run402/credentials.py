"""Where a client gets its keys: the provider's protocol, its data, and a provider in memory.

A provider has two methods, and may have more: what a client does not find it does without. Methods may block, then an
async client calls them in a thread, or be coroutine functions, which an async client alone can use.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import attrs

from tollkit.core.arguments import required_text, wire_time
from tollkit.core.flows import Flow, call, offload
from tollkit.core.locks import forkable_lock
from tollkit.errors import ArgumentError
from tollkit.run402.config import DEFAULT_API_BASE
from tollkit.run402.errors import LocalError, raised
from tollkit.run402.signer import PrivateKeySigner, Signer, new_private_key
from tollkit.run402.siwx import SiwxSigner
from tollkit.secrets import Secret

__all__ = [
    "AllowanceData",
    "AsyncCredentialsProvider",
    "CredentialsProvider",
    "FullCredentialsProvider",
    "MemoryCredentials",
    "ProjectKeys",
    "ask",
    "can",
    "is_ci_session_credentials",
    "new_allowance",
    "wallet_of",
]

T = TypeVar("T")


def _secret(value: object) -> Secret:
    return Secret(value) if isinstance(value, str) else Secret("")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


@attrs.frozen
class ProjectKeys:
    """The keys of a project, and what the platform's tools keep beside them.

    Args:
        anon_key: For what anybody may do; empty when it is not known.
        service_key: For what the owner may do; empty when it is not known.
        site_url: Where its site is.
        deployed_at: When it was deployed last.
        last_deployment_id: That deploy.
        mailbox_id: Its mailbox.
        mailbox_address: That mailbox's address.
        additional_properties: What else is kept, as it is.
    """

    anon_key: Secret = attrs.field(converter=_secret)
    service_key: Secret = attrs.field(converter=_secret)
    site_url: str | None = None
    deployed_at: str | None = None
    last_deployment_id: str | None = None
    mailbox_id: str | None = None
    mailbox_address: str | None = None
    additional_properties: Mapping[str, Any] = attrs.field(factory=dict[str, Any], kw_only=True, repr=False)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> ProjectKeys:
        """From a record of the keystore."""
        known: dict[str, Any] = {name: _text(record.get(name)) for name in _PROJECT}
        rest = {name: value for name, value in record.items() if name not in _PROJECT or not isinstance(value, str)}
        return cls(**known, additional_properties=rest)

    def to_dict(self) -> dict[str, Any]:
        """As a record of the keystore; what is not there is left out."""
        known = {name: value for name in _PROJECT if (value := getattr(self, name)) is not None}
        return {**self.additional_properties, **{name: str.__str__(value) for name, value in known.items()}}


_PROJECT = tuple(field.name for field in attrs.fields(ProjectKeys) if field.name != "additional_properties")


@attrs.frozen(kw_only=True)
class AllowanceData:
    """A local wallet.

    Args:
        address: Its address, in whatever capitals.
        private_key: `0x` and 64 hex digits.
        created: When it was made, in ISO 8601.
        funded: Whether the faucet was used.
        last_faucet: When the faucet was used last, in ISO 8601.
        rail: How it pays: `x402` or `mpp`; `x402` when nothing is said.
        additional_properties: What else is kept, as it is.
    """

    address: str
    private_key: Secret = attrs.field(converter=_secret)
    created: str | None = None
    funded: bool | None = None
    last_faucet: str | None = None
    rail: str | None = None
    additional_properties: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> AllowanceData:
        """From what the file holds; its address and key are taken as they are."""
        known: dict[str, Any] = {}
        rest = dict(record)
        for wire, (name, kind) in _ALLOWANCE.items():
            if isinstance(record.get(wire), kind):
                known[name] = rest.pop(wire)
        return cls(**known, additional_properties=rest)

    def to_dict(self) -> dict[str, Any]:
        """As the file holds it; what is not there is left out. Holds the private key."""
        known = {wire: getattr(self, name) for wire, (name, _) in _ALLOWANCE.items()}
        known["privateKey"] = str.__str__(self.private_key)
        return {**{wire: value for wire, value in known.items() if value is not None}, **self.additional_properties}


_ALLOWANCE: dict[str, tuple[str, type]] = {
    "address": ("address", str),
    "privateKey": ("private_key", str),
    "created": ("created", str),
    "funded": ("funded", bool),
    "lastFaucet": ("last_faucet", str),
    "rail": ("rail", str),
}


@runtime_checkable
class CredentialsProvider(Protocol):
    """What a provider must have."""

    def get_auth(self, path: str) -> Mapping[str, str] | None:
        """Headers that say who calls, for a path with its query; `None` for none."""
        ...

    def get_project(self, project_id: str) -> ProjectKeys | None:
        """The keys of a project; `None` when they are not known."""
        ...


@runtime_checkable
class AsyncCredentialsProvider(Protocol):
    """The same for async clients; what it may have besides are coroutine functions too."""

    async def get_auth(self, path: str) -> Mapping[str, str] | None:
        """Headers that say who calls, for a path with its query; `None` for none."""
        ...

    async def get_project(self, project_id: str) -> ProjectKeys | None:
        """The keys of a project; `None` when they are not known."""
        ...


@runtime_checkable
class FullCredentialsProvider(CredentialsProvider, Protocol):
    """What a provider may have, all of it; each method can be missing."""

    def save_project(self, project_id: str, keys: ProjectKeys) -> None:
        """Keep these keys; what is kept beside them and not told stays.

        Args:
            project_id: The project.
            keys: Its keys.
        """
        ...

    def update_project(self, project_id: str, changes: Mapping[str, Any]) -> None:
        """Change a record: wire names, `None` removes. Nothing happens when the project is not known.

        Args:
            project_id: The project.
            changes: New values by wire name.
        """
        ...

    def remove_project(self, project_id: str) -> None:
        """Forget a project."""
        ...

    def set_active_project(self, project_id: str) -> None:
        """Let this be the project that is meant when none is named."""
        ...

    def get_active_project(self) -> str | None:
        """The project that is meant when none is named."""
        ...

    def read_allowance(self) -> AllowanceData | None:
        """The local wallet."""
        ...

    def save_allowance(self, allowance: AllowanceData) -> None:
        """Keep this wallet."""
        ...

    def create_allowance(self) -> AllowanceData:
        """A new wallet, not kept yet."""
        ...

    def get_allowance_path(self) -> str:
        """Where the wallet is kept; never a coroutine function."""
        ...


def can(provider: object, method: str) -> bool:
    """Whether a provider has this method."""
    return callable(getattr(provider, method, None))


def is_ci_session_credentials(credentials: object) -> bool:
    """Whether these credentials are a CI session, of this copy of the package or another."""
    return getattr(credentials, "ci_session", None) is True


def ask(provider: object, method: str, *arguments: Any) -> Flow[Any]:
    """Call a provider's method, wherever it has to run; `None` when it has no such method.

    A provider with the attribute `blocking` set to `False` says that its methods never wait.
    """
    if not can(provider, method):
        return None
    function: Callable[..., Any] = getattr(provider, method)

    def bound() -> Any:
        return function(*arguments)

    if inspect.iscoroutinefunction(function) or not getattr(provider, "blocking", True):
        return (yield from call("credentials", bound))
    result: Any = yield from offload(bound)
    return (yield from call("credentials", lambda: result)) if _waits(result) else result


def _waits(result: object) -> bool:
    return inspect.isawaitable(result)


def new_allowance(now: datetime | None = None) -> AllowanceData:
    """A new wallet, not kept anywhere yet.

    Args:
        now: When it is made.

    Raises:
        MissingExtraError: The extra `payments` is not installed.
    """
    private_key = new_private_key()
    return AllowanceData(
        address=PrivateKeySigner(private_key).address.lower(),
        private_key=private_key,
        created=wire_time(now or datetime.now(UTC)),
        funded=False,
    )


def wallet_of(allowance: AllowanceData) -> PrivateKeySigner:
    """The wallet that signs for an allowance.

    Raises:
        LocalError: The address does not belong to the key: signatures would be refused for ever.
        ArgumentError: The key is none.
        MissingExtraError: The extra `payments` is not installed.
    """
    signer = PrivateKeySigner(allowance.private_key)
    if signer.address.lower() != allowance.address.lower():
        raise raised(
            LocalError(
                f"The allowance says {allowance.address}, and its private key belongs to {signer.address}",
                hint="Put the address right, or the key",
            )
        )
    return signer


class MemoryCredentials:
    """Keys in the memory of this process. Safe to share between threads.

    Args:
        projects: Keys by project, as `ProjectKeys` or as a record of the keystore.
        active_project_id: The project that is meant when none is named.
        allowance: The wallet.
        signer: Who signs, when it is not the wallet: a KMS, or eth-account by `AccountSigner`.
        api_base: The gateway that is signed in to.
        siwx_reuse: For how many seconds a header may be sent again: see `SiwxSigner`.

    Raises:
        ArgumentError: Both a wallet and a signer are told, or `api_base` or `siwx_reuse` are unusable.
        MissingExtraError: The extra `payments` is not installed, and there is a wallet.
    """

    def __init__(
        self,
        projects: Mapping[str, ProjectKeys | Mapping[str, Any]] | None = None,
        *,
        active_project_id: str | None = None,
        allowance: AllowanceData | None = None,
        signer: Signer | None = None,
        api_base: str = DEFAULT_API_BASE,
        siwx_reuse: float = 0.0,
    ) -> None:
        if allowance is not None and signer is not None:
            raise raised(ArgumentError("signer", "must not be told together with an allowance"))
        self._lock = forkable_lock()
        self._projects = {
            name: keys if isinstance(keys, ProjectKeys) else ProjectKeys.from_dict(keys)
            for name, keys in (projects or {}).items()
        }
        self._active = active_project_id
        self._previous: str | None = None
        self._api_base = api_base
        self._reuse = siwx_reuse
        self._allowance = allowance
        self._siwx: SiwxSigner | None = None
        self.blocking: bool = signer is not None and type(signer) is not PrivateKeySigner
        """Whether methods may wait: a signer of others may ask a server."""
        if allowance is not None:
            self._siwx = self._siwx_of(wallet_of(allowance))
        if signer is not None:
            self._siwx = self._siwx_of(signer)
        self.signer: Signer | None = signer
        """Who signs and pays, when it is not the wallet."""

    def _siwx_of(self, signer: Signer) -> SiwxSigner:
        return SiwxSigner(signer, self._api_base, reuse=self._reuse)

    def get_auth(self, path: str) -> Mapping[str, str] | None:
        """The header that signs in with the wallet; `None` without one."""
        siwx = self._siwx
        return None if siwx is None else siwx.headers(path)

    def get_project(self, project_id: str) -> ProjectKeys | None:
        """The keys of a project; `None` when they are not known."""
        return self._projects.get(project_id)

    def save_project(self, project_id: str, keys: ProjectKeys) -> None:
        """Keep these keys; what is kept beside them and not told stays.

        Args:
            project_id: The project.
            keys: Its keys.
        """
        required_text("project_id", project_id)
        with self._lock:
            known = self._projects.get(project_id)
            record = {**(known.to_dict() if known else {}), **keys.to_dict()}
            self._projects[project_id] = ProjectKeys.from_dict(record)

    def update_project(self, project_id: str, changes: Mapping[str, Any]) -> None:
        """Change a record: wire names, `None` removes. Nothing happens when the project is not known.

        Args:
            project_id: The project.
            changes: New values by wire name.
        """
        with self._lock:
            known = self._projects.get(project_id)
            if known is not None:
                self._projects[project_id] = ProjectKeys.from_dict(changed(known.to_dict(), changes))

    def remove_project(self, project_id: str) -> None:
        """Forget a project; when it was the active one, the one before it is that again."""
        with self._lock:
            self._projects.pop(project_id, None)
            if self._active == project_id:
                previous, self._previous = self._previous, None
                self._active = previous if previous != project_id and previous in self._projects else None

    def set_active_project(self, project_id: str) -> None:
        """Let this be the project that is meant when none is named."""
        with self._lock:
            if self._active and self._active != project_id:
                self._previous = self._active
            self._active = project_id

    def get_active_project(self) -> str | None:
        """The project that is meant when none is named."""
        return self._active

    def read_allowance(self) -> AllowanceData | None:
        """The wallet."""
        return self._allowance

    def save_allowance(self, allowance: AllowanceData) -> None:
        """Keep this wallet.

        Raises:
            LocalError: There is another one, or a signer, whose place it would take.
        """
        siwx = self._siwx_of(wallet_of(allowance))
        with self._lock:
            held = self._siwx
            if held is not None and held.signer.address != siwx.signer.address:
                raise raised(another_wallet(held.signer.address, "memory"))
            self._allowance, self._siwx = allowance, held or siwx

    def create_allowance(self) -> AllowanceData:
        """A new wallet, not kept yet."""
        return new_allowance()

    def __repr__(self) -> str:
        return f"MemoryCredentials({len(self._projects)} projects, active {self._active!r}, {self._siwx!r})"


def changed(record: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The record with the changes; `None` removes."""
    merged = {**record, **changes}
    return {
        name: str.__str__(value) if isinstance(value, Secret) else value
        for name, value in merged.items()
        if value is not None or name not in changes
    }


def another_wallet(address: str, where: str) -> LocalError:
    """Told to somebody who would have put a wallet in the place of another."""
    return LocalError(
        f"Another wallet, {address}, is in {where}, and its private key would be lost",
        hint="Move it away first",
        context=cast("dict[str, Any]", {"address": address}),
    )
