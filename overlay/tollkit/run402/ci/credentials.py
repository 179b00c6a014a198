"""Credentials of a workflow run: a session token in the place of a wallet and of the project's keys."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Unpack
from urllib.parse import parse_qsl

from tollkit.core.arguments import hidden, required_text
from tollkit.core.flows import Flow, Send, send
from tollkit.core.locks import forkable_lock
from tollkit.core.service import Service
from tollkit.errors import ArgumentError, ConfigurationError, DecodeError, LocalError, StatusError, TransportError
from tollkit.oidc.json_values import decode, is_object
from tollkit.run402.ci.delegation import AUDIENCE
from tollkit.run402.config import DEFAULT_API_BASE
from tollkit.run402.credentials import ProjectKeys, is_ci_session_credentials
from tollkit.run402.errors import raised
from tollkit.run402.namespaces.checks import preparing
from tollkit.secrets import Secret
from tollkit_api.runtime import Operation, Request

if TYPE_CHECKING:
    from tollkit.core.client import ClientOptions
    from tollkit.core.http import HttpClient
    from tollkit_api.runtime import HttpResponse

__all__ = [
    "AsyncCiSessionCredentials",
    "CiSessionCredentials",
    "GithubActionsCredentials",
    "github_actions_credentials",
    "is_ci_session_credentials",
]

_CREATING = "creating CI session credentials"
_REQUESTING = "requesting GitHub Actions OIDC token"
_URL, _TOKEN = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
_ID_TOKEN = Operation(
    id="githubIdToken", method="GET", path="", security=(), idempotent=True, success=(200,), hints={}
)
_NO_KEYS = ProjectKeys(anon_key="", service_key="")


class CiSessionCredentials:
    """A session token of `ci.exchange_token`, for one project.

    Deploys with it are checked before anything is sent: a session may not ship secrets, subdomains, routes or checks.

    Args:
        project_id: The project that the session is for.
        access_token: The token.
        get_access_token: Called for the token at each request, and preferred.

    Raises:
        LocalError: `project_id` is empty, or there is no token (also an `ArgumentError`).
    """

    ci_session: Literal[True] = True
    """What tells a session from other credentials, in every copy of this package."""

    def __init__(
        self,
        project_id: str,
        *,
        access_token: str | None = None,
        get_access_token: Callable[[], str] | None = None,
    ) -> None:
        access_token = hidden(access_token)
        self.project_id: str = _project(project_id, _CREATING)
        if not access_token and get_access_token is None:
            raise raised(ArgumentError("access_token", "or get_access_token must be given"), _CREATING)
        self._token = access_token
        self._get_token = get_access_token

    def get_auth(self, path: str) -> Mapping[str, str]:
        """The session's token, whatever the path.

        Raises:
            LocalError: There is none.
        """
        return _bearer(self._token if self._get_token is None else self._get_token())

    def get_project(self, project_id: str) -> ProjectKeys | None:
        """A session has no keys of its project, and knows no other."""
        return _NO_KEYS if project_id == self.project_id else None

    def get_active_project(self) -> str:
        """The session's project."""
        return self.project_id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.project_id!r})"


class AsyncCiSessionCredentials:
    """The same for `AsyncRun402`, with a coroutine function that gets the token.

    Args:
        project_id: The project that the session is for.
        get_access_token: Called for the token at each request.

    Raises:
        LocalError: `project_id` is empty (also an `ArgumentError`).
    """

    ci_session: Literal[True] = True
    """What tells a session from other credentials, in every copy of this package."""

    def __init__(self, project_id: str, *, get_access_token: Callable[[], Awaitable[str]]) -> None:
        self.project_id: str = _project(project_id, _CREATING)
        self._get_token = get_access_token

    async def get_auth(self, path: str) -> Mapping[str, str]:
        """The session's token, whatever the path.

        Raises:
            LocalError: There is none.
        """
        return _bearer(await self._get_token())

    async def get_project(self, project_id: str) -> ProjectKeys | None:
        """A session has no keys of its project, and knows no other."""
        return _NO_KEYS if project_id == self.project_id else None

    async def get_active_project(self) -> str:
        """The session's project."""
        return self.project_id

    def __repr__(self) -> str:
        return f"AsyncCiSessionCredentials({self.project_id!r})"


def _project(project_id: object, doing: str) -> str:
    if not isinstance(project_id, str) or not project_id:
        raise raised(ArgumentError("project_id", "must be the id of a project"), doing)
    return project_id


def _bearer(token: object) -> Mapping[str, str]:
    if not isinstance(token, str) or not token:
        raise raised(LocalError("The CI session has no token"), "authenticating with CI session")
    return {"Authorization": Secret(f"Bearer {token}")}


class GithubActionsCredentials(CiSessionCredentials):
    """Signs a workflow run in: GitHub's OIDC token is exchanged for a session, kept until shortly before its end.

    Made by `github_actions_credentials`. Safe to share between threads, and between clients; one exchange at a time,
    and while it runs a token that is still good is given out.
    """

    blocking = True
    """The exchange waits: an async client runs it in a thread."""

    def __init__(
        self,
        project_id: str,
        *,
        api_base: str = DEFAULT_API_BASE,
        audience: str = AUDIENCE,
        refresh_before: float = 60.0,
        env: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        allow_insecure_http: bool = False,
        http_client: HttpClient | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        from tollkit.run402.client import Run402
        from tollkit.run402.credentials import MemoryCredentials

        super().__init__(_project(project_id, "creating GitHub Actions CI credentials"), get_access_token=self._fresh)
        with preparing("creating GitHub Actions CI credentials"):
            self._audience = required_text("audience", audience)
        self._env = env
        self._clock = clock
        self._refresh_before = max(0.0, refresh_before)
        self._allow_http = allow_insecure_http
        # a client for each exchange: there is one in a quarter of an hour, and nothing has to be closed
        self._made = functools.partial(
            Run402,
            api_base=api_base,
            credentials=MemoryCredentials(),
            allow_insecure_http=allow_insecure_http,
            http_client=http_client,
            **options,
        )
        self._made().close()  # so that a wrong option is told now
        self._lock = forkable_lock()
        # token, when to get another, when it ends
        self._session: tuple[Secret, float, float] | None = None

    def _fresh(self) -> Secret:
        session = self._session
        if session is not None and self._clock() < session[1]:
            return session[0]
        still_good = session is not None and self._clock() < session[2]
        if session is not None and still_good and not self._lock.acquire(blocking=False):
            return session[0]
        if not still_good:
            self._lock.acquire()
        try:
            return self._exchanged(session)
        finally:
            self._lock.release()

    def _exchanged(self, seen: tuple[Secret, float, float] | None) -> Secret:
        now = self._clock()
        session = self._session
        if session is not None and session is not seen and now < session[1]:
            return session[0]  # somebody was faster
        with self._made() as client:
            token = client.run(self._id_token())
            made = client.ci.exchange_token(project_id=self.project_id, subject_token=token)
        seconds = max(0.0, made.expires_in - self._refresh_before)
        self._session = (made.access_token, now + seconds, now + made.expires_in)
        return made.access_token

    def _id_token(self) -> Flow[Secret]:
        env = os.environ if self._env is None else self._env
        url, token = env.get(_URL), hidden(env.get(_TOKEN))
        if not url or not token:
            raise raised(
                ConfigurationError(
                    f"{_URL} and {_TOKEN} are not set",
                    hint="Run in GitHub Actions, in a job with `permissions: id-token: write`",
                    code="LOCAL_ERROR",
                ),
                _REQUESTING,
            )
        if not url.isascii():  # no address on the wire has anything else, and half a surrogate pair cannot be sent
            raise raised(ConfigurationError(f"{_URL} is no address", code="LOCAL_ERROR"), _REQUESTING)
        address, _, query = url.partition("?")
        params = _set(parse_qsl(query, keep_blank_values=True), "audience", self._audience)
        request = Request(
            operation=_ID_TOKEN,
            url=address,
            params=params,
            headers={"Authorization": Secret(f"Bearer {token}"), "Accept": "application/json"},
        )
        service = Service(name="github-actions", allow_http=self._allow_http)
        try:
            return (yield from send(Send(request, _value, service)))
        except TransportError as error:
            raised(error, _REQUESTING)
            raise
        except (StatusError, DecodeError) as error:
            told = (
                "gave no OIDC token" if error.status is None else f"answered {error.status} instead of an OIDC token"
            )
            raise raised(
                LocalError(f"GitHub {told}", hint="See that the job has `permissions: id-token: write`"), _REQUESTING
            ) from error


def _set(params: list[tuple[str, str]], name: str, value: str) -> tuple[tuple[str, str], ...]:
    """The parameters with one that takes the place of its namesakes, or comes last (URL Standard, section 6.2)."""
    at = next((at for at, pair in enumerate(params) if pair[0] == name), len(params))
    return (*params[:at], (name, value), *(pair for pair in params[at:] if pair[0] != name))


def _value(response: HttpResponse) -> Secret:
    try:
        told: Any = decode(response.content)
    except ValueError:
        told = None
    value = told.get("value") if is_object(told) else None
    if not isinstance(value, str) or not value:
        raise DecodeError("The answer has no text `value`")
    return Secret(value)


def github_actions_credentials(
    project_id: str,
    *,
    api_base: str = DEFAULT_API_BASE,
    audience: str = AUDIENCE,
    refresh_before: float = 60.0,
    env: Mapping[str, str] | None = None,
    allow_insecure_http: bool = False,
    http_client: HttpClient | None = None,
    **options: Unpack[ClientOptions],
) -> GithubActionsCredentials:
    """Credentials for `Run402` and `AsyncRun402` in a workflow of GitHub Actions.

    The workflow needs `permissions: id-token: write`; the project needs a binding for it (`ci.create_binding`).

    Args:
        project_id: The project that is deployed to.
        api_base: The gateway. `RUN402_API_BASE` is not looked at, as in the platform's client.
        audience: Audience of GitHub's token.
        refresh_before: Seconds before its end at which a session is replaced; less than 0 counts as 0.
        env: Read the `ACTIONS_ID_TOKEN_REQUEST_*` variables here instead of from the process's environment.
        allow_insecure_http: Allow `http://` addresses, for a sandbox.
        http_client: An HTTP client of your own, for the exchange; you close it.
        options: Of the client that exchanges: `timeout`, `max_retries`, `headers`, `on_event`, `connection`.

    Raises:
        LocalError: An argument is empty (also an `ArgumentError`).

    Calls with these credentials raise `LocalError` where GitHub gives no token, `NetworkError` where it does not
    answer, and `Unauthorized` or `ApiError` where the platform refuses the exchange.

    Source: GitHub, "OpenID Connect reference"; Run402 1.57, `POST /ci/v1/token-exchange`.
    """
    return GithubActionsCredentials(
        project_id,
        api_base=api_base,
        audience=audience,
        refresh_before=refresh_before,
        env=env,
        allow_insecure_http=allow_insecure_http,
        http_client=http_client,
        **options,
    )
