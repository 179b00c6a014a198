"""The clients of the admin API: `TokeniteAdmin` for blocking programs, `AsyncTokeniteAdmin` for async ones.

Every call stands once, in a group of calls (see `tollkit.core.namespaces`), as a flow that both clients run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack

import attrs

from tollkit.core.arguments import hidden, required_text, secret_text
from tollkit.core.client import AsyncApi, AsyncClient, BlockingApi, BlockingClient, ClientOptions
from tollkit.core.drivers import Async, Blocking
from tollkit.core.flows import Flow, Flows, Send, send
from tollkit.core.settings import KEEP, Keep
from tollkit.errors import TollkitError
from tollkit.secrets import Secret
from tollkit.tokenite import addresses, config
from tollkit.tokenite.errors import TokeniteError, family
from tollkit.tokenite.service import bearer, service

if TYPE_CHECKING:
    from tollkit.core.http import AsyncHttpClient, HttpClient
    from tollkit.core.service import Service
    from tollkit.tokenite.admin.accounts import Accounts
    from tollkit.tokenite.admin.apps import Apps
    from tollkit.tokenite.admin.auth import Auth
    from tollkit.tokenite.admin.connections import Connections
    from tollkit.tokenite.admin.keys import Keys
    from tollkit.tokenite.admin.oauth import OAuth
    from tollkit.tokenite.admin.spending import Spending
    from tollkit_api.runtime import HttpResponse, Request

__all__ = ["AsyncTokeniteAdmin", "TokeniteAdmin"]

D = TypeVar("D")
T = TypeVar("T")


class AdminGroups(Generic[D]):
    """The groups of calls, on a client and inside flows."""

    @property
    def auth(self) -> Auth[D]:
        """Registering, logging in, admin API keys."""
        from tollkit.tokenite.admin.auth import Auth

        return Auth(self)

    @property
    def accounts(self) -> Accounts[D]:
        """Personal and business accounts, their members and invitations."""
        from tollkit.tokenite.admin.accounts import Accounts

        return Accounts(self)

    @property
    def apps(self) -> Apps[D]:
        """Apps that users connect to."""
        from tollkit.tokenite.admin.apps import Apps

        return Apps(self)

    @property
    def keys(self) -> Keys[D]:
        """Vendors' API keys, which the proxy calls with."""
        from tollkit.tokenite.admin.keys import Keys

        return Keys(self)

    @property
    def oauth(self) -> OAuth[D]:
        """Connecting to an app without a browser."""
        from tollkit.tokenite.admin.oauth import OAuth

        return OAuth(self)

    @property
    def connections(self) -> Connections[D]:
        """The apps that the account is connected to, and their budgets."""
        from tollkit.tokenite.admin.connections import Connections

        return Connections(self)

    @property
    def spending(self) -> Spending[D]:
        """What was spent, call by call."""
        from tollkit.tokenite.admin.spending import Spending

        return Spending(self)


@attrs.frozen(kw_only=True)
class AdminSettings:
    """A client's settings, checked."""

    base_url: str
    allow_http: bool
    api_key: Secret | None
    account_id: str | None


def _settings(base_url: str, allow_http: bool, api_key: str | None, account_id: str | None) -> AdminSettings:
    return AdminSettings(
        base_url=addresses.host("base_url", base_url),
        allow_http=allow_http,
        api_key=None if api_key is None else Secret(secret_text("api_key", api_key)),
        account_id=None if account_id is None else required_text("account_id", account_id).strip(),
    )


class AdminFlows(AdminGroups[Flows], Flows):
    """What the groups' flows run on. Not for direct use: see `TokeniteAdmin` and `AsyncTokeniteAdmin`."""

    def __init__(self, settings: AdminSettings) -> None:
        self._settings = settings
        self._service = self._made()

    def _made(self, *sent: str) -> Service:
        key, account_id = self._settings.api_key, self._settings.account_id
        return service(
            "tokenite-admin",
            self._settings.base_url,
            allow_http=self._settings.allow_http,
            schemes=None if key is None else bearer("adminKey", key),
            headers={} if account_id is None else {"x-account-id": account_id},
            sent=sent if key is None else (key, *sent),
        )

    def call(self, request: Request, parse: Callable[[HttpResponse], T], *sent: Secret) -> Flow[T]:
        """Send a request of the admin API.

        Args:
            request: The request.
            parse: Reads a success answer.
            sent: Secrets in its body, which no error may show.
        """
        return send(Send(request, parse, self._made(*sent) if sent else self._service))


class _TokeniteAdmin:
    """What is the same on both clients and needs no request."""

    flows: AdminFlows
    family: type[TollkitError] = TokeniteError

    @property
    def base_url(self) -> str:
        """The host of the admin API, without a slash at its end."""
        return self.flows._settings.base_url

    @property
    def account_id(self) -> str | None:
        """The account that calls are for; `None` for the account of the key."""
        return self.flows._settings.account_id

    def _flows_for(self, api_key: str | Keep | None, account_id: str | Keep | None) -> AdminFlows:
        now = self.flows._settings
        with family():
            return AdminFlows(
                _settings(
                    now.base_url,
                    now.allow_http,
                    now.api_key if isinstance(api_key, Keep) else api_key,
                    now.account_id if isinstance(account_id, Keep) else account_id,
                )
            )

    def __repr__(self) -> str:
        if "flows" not in vars(self):  # shown in a traceback of the constructor
            return f"{type(self).__name__}(...)"
        return f"{type(self).__name__}(base_url={self.base_url!r}, account_id={self.account_id!r})"


class TokeniteAdmin(AdminGroups[Blocking], _TokeniteAdmin, BlockingClient):
    """The blocking client of Tokenite's admin API; safe to share between threads, to be made once and kept.

    Calls are in groups: `admin.apps.create(...)`, `admin.spending.iterate()`.

    Args:
        api_key: An admin API key, from `auth.create_token`, `auth.register` or `auth.login`. Those last two alone
            need none.
        account_id: The account that calls are for (`x-account-id`); the account of the key when left out. Calls of
            `accounts` on one account name theirs.
        base_url: The host of the admin API, which is the proxy's.
        allow_insecure_http: Allow an `http://` address, for a sandbox or a development server. Without it every call
            to such an address raises `InsecureTransportError`, and nothing is sent.
        http_client: An HTTP client of your own (of httpx's shape) instead of one made by `connection`; it keeps its
            own time-outs unless `timeout` is given, and you close it.
        options: `timeout`, `max_retries`, `headers`, `on_event`, `connection`: see
            `tollkit.core.client.ClientOptions`.

    Raises:
        ArgumentError: An argument is unusable.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        account_id: str | None = None,
        base_url: str = config.DEFAULT_PROXY_BASE,
        allow_insecure_http: bool = False,
        http_client: HttpClient | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        api_key = hidden(api_key)
        with family():
            settings = _settings(base_url, allow_insecure_http, api_key, account_id)
            self._start(AdminFlows(settings), options, http_client)

    @property
    def api(self) -> BlockingApi:
        """What to give to generated functions as `client=`: they then have this client's credentials and policy.

        With `from tollkit_api.tokenite.v2_4.api.apps import list_apps`: `list_apps.sync(client=admin.api)`.
        """
        return BlockingApi(self, self.flows._service)

    def acting_as(self, *, api_key: str | Keep | None = KEEP, account_id: str | Keep | None = KEEP) -> Self:
        """A client with another key, or for another account; it shares connections and options with this one.

        Args:
            api_key: The key; `None` for none.
            account_id: The account; `None` for the account of the key.

        Raises:
            ArgumentError: An argument is unusable.
        """
        other = self.with_options()
        other.flows = self._flows_for(api_key if isinstance(api_key, Keep) else hidden(api_key), account_id)
        return other

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None, **settings: Any) -> Self:
        """A client from `TOKENITE_API_KEY`, `TOKENITE_ACCOUNT_ID` and `TOKENITE_PROXY_BASE`.

        Only `TOKENITE_API_KEY` must be set. An `http://` address in the environment is
        allowed when it is of this machine or of a private network.

        Args:
            env: Read these variables instead of the process's.
            settings: Any argument of the constructor, which then counts instead of its variable.

        Raises:
            ConfigurationError: `TOKENITE_API_KEY` is missing (code `missing_env`).
            ArgumentError: A variable or an argument is unusable.
        """
        return cls(**_from_env(env, settings))


class AsyncTokeniteAdmin(AdminGroups[Async], _TokeniteAdmin, AsyncClient):
    """The async client of Tokenite's admin API: every call of `TokeniteAdmin` as a coroutine.

    `spending.iterate` is for `async for`, without `await`. Safe to share between tasks and event loops. Takes the
    arguments of `TokeniteAdmin`; an `http_client` must be async.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        account_id: str | None = None,
        base_url: str = config.DEFAULT_PROXY_BASE,
        allow_insecure_http: bool = False,
        http_client: AsyncHttpClient | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        api_key = hidden(api_key)
        with family():
            settings = _settings(base_url, allow_insecure_http, api_key, account_id)
            self._start(AdminFlows(settings), options, http_client)

    @property
    def api(self) -> AsyncApi:
        """What to give to generated functions as `client=`: they then have this client's credentials and policy.

        With `from tollkit_api.tokenite.v2_4.api.apps import list_apps`: `await list_apps.asyncio(client=admin.api)`.
        """
        return AsyncApi(self, self.flows._service)

    def acting_as(self, *, api_key: str | Keep | None = KEEP, account_id: str | Keep | None = KEEP) -> Self:
        """A client with another key, or for another account; see `TokeniteAdmin.acting_as`.

        Raises:
            ArgumentError: An argument is unusable.
        """
        other = self.with_options()
        other.flows = self._flows_for(api_key if isinstance(api_key, Keep) else hidden(api_key), account_id)
        return other

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None, **settings: Any) -> Self:
        """A client from the TOKENITE_* variables; see `TokeniteAdmin.from_env`.

        Raises:
            ConfigurationError: `TOKENITE_API_KEY` is missing (code `missing_env`).
            ArgumentError: A variable or an argument is unusable.
        """
        return cls(**_from_env(env, settings))


_VARIABLES = {
    "api_key": "TOKENITE_API_KEY",
    "account_id": "TOKENITE_ACCOUNT_ID",
    "base_url": "TOKENITE_PROXY_BASE",
}


def _from_env(env: Mapping[str, str] | None, settings: dict[str, Any]) -> dict[str, Any]:
    with family():
        return config.settings_from_env(_VARIABLES, settings, env, required="api_key")
