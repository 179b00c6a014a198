"""Plain clients for people who use generated modules on their own.

They know a base URL and at most one token. Retries, token refresh and a typed error tree are what
`tollkit` adds; its clients can be given to the same generated functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import attrs

from .types import UNSET, Secret, Unset

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    import httpx

    from .operation import HttpResponse, Request

__all__ = ["AuthenticatedClient", "Client"]

CONNECT_TIMEOUT = 5.0
TIMEOUT = 30.0


def _copied(value: Mapping[str, Any]) -> dict[str, Any]:
    return dict(value)


@attrs.define(eq=False)
class Client:
    """A client for operations that need no credentials.

    It may be entered once (`with` or `async with`), which keeps its connections open in between and
    closes them at the end; without that they live as long as the client.

    Args:
        base_url: scheme, host and, where there is one, path prefix of the platform.
        cookies: sent with every request; not in the repr.
        headers: sent with every request; not in the repr.
        timeout: seconds, an `httpx.Timeout`, or None to wait for ever. Default: 5 s to connect, and
            30 s each to read, to write and to wait for a connection.
        verify_ssl: an `ssl.SSLContext` that trusts your own authority, or a path of CA certificates, instead of
            the default. False is refused.
        follow_redirects: whether a redirect within the same origin is followed (default: it is an unexpected
            status). One to another origin never is: headers, cookies and tokens would go along.
        httpx_args: further arguments of `httpx.Client` and `httpx.AsyncClient`; not in the repr.
        raise_on_unexpected_status: make `sync` and its kin raise `UnexpectedStatus` for a status that the
            document does not know, where they would return None.

    Raises:
        ValueError: certificates would not be verified.
    """

    raise_on_unexpected_status: bool = attrs.field(default=False, kw_only=True)
    _base_url: str = attrs.field(alias="base_url")
    _cookies: dict[str, str] = attrs.field(
        factory=dict[str, str], converter=_copied, kw_only=True, alias="cookies", repr=False
    )
    _headers: dict[str, str] = attrs.field(
        factory=dict[str, str], converter=_copied, kw_only=True, alias="headers", repr=False
    )
    _timeout: httpx.Timeout | float | Unset | None = attrs.field(default=UNSET, kw_only=True, alias="timeout")
    _verify_ssl: str | bool | ssl.SSLContext = attrs.field(default=True, kw_only=True, alias="verify_ssl")
    _follow_redirects: bool = attrs.field(default=False, kw_only=True, alias="follow_redirects")
    _httpx_args: dict[str, Any] = attrs.field(
        factory=dict[str, Any], converter=_copied, kw_only=True, alias="httpx_args", repr=False
    )
    _client: httpx.Client | None = attrs.field(default=None, init=False, repr=False)
    _async_client: httpx.AsyncClient | None = attrs.field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        for name, value in (("verify_ssl", self._verify_ssl), ("httpx_args", self._httpx_args.get("verify"))):
            if value is False:
                raise ValueError(
                    f"{name} must not switch the verification of certificates off; give an ssl.SSLContext"
                )

    def with_headers(self, headers: Mapping[str, str]) -> Self:
        """A copy with further headers; the original, and connections it has open, stay as they are."""
        return attrs.evolve(self, headers={**self._headers, **headers})

    def with_cookies(self, cookies: Mapping[str, str]) -> Self:
        """A copy with further cookies; the original, and connections it has open, stay as they are."""
        return attrs.evolve(self, cookies={**self._cookies, **cookies})

    def with_timeout(self, timeout: httpx.Timeout | float | None) -> Self:
        """A copy with another time-out; the original, and connections it has open, stay as they are."""
        return attrs.evolve(self, timeout=timeout)

    def set_httpx_client(self, client: httpx.Client) -> Self:
        """Send blocking requests through this client; its own base URL, headers and time-out then count."""
        self._client = client
        return self

    def get_httpx_client(self) -> httpx.Client:
        """The `httpx.Client` that sends blocking requests; made at the first call."""
        if self._client is None:
            import httpx

            self._client = httpx.Client(**self._arguments())
        return self._client

    def set_async_httpx_client(self, async_client: httpx.AsyncClient) -> Self:
        """Send asynchronous requests through this client; its own settings then count, as above."""
        self._async_client = async_client
        return self

    def get_async_httpx_client(self) -> httpx.AsyncClient:
        """The `httpx.AsyncClient` that sends asynchronous requests; made at the first call."""
        if self._async_client is None:
            import httpx

            self._async_client = httpx.AsyncClient(**self._arguments())
        return self._async_client

    def send(self, request: Request) -> HttpResponse:
        """Send a request and wait for the whole answer.

        Raises:
            httpx.HTTPError: no answer came.
        """
        client = self.get_httpx_client()
        response = client.request(
            request.method,
            request.url_with_query,
            content=request.content,
            headers=dict(request.headers),
            follow_redirects=False,
            **self._per_request(request),
        )
        for _ in range(client.max_redirects if client.follow_redirects else 0):
            following = _within_origin(response)
            if following is None:
                break
            response = client.send(following, auth=None, follow_redirects=False)
        return response

    async def asend(self, request: Request) -> HttpResponse:
        """Send a request as a coroutine.

        Raises:
            httpx.HTTPError: no answer came.
        """
        client = self.get_async_httpx_client()
        response = await client.request(
            request.method,
            request.url_with_query,
            content=request.content,
            headers=dict(request.headers),
            follow_redirects=False,
            **self._per_request(request),
        )
        for _ in range(client.max_redirects if client.follow_redirects else 0):
            following = _within_origin(response)
            if following is None:
                break
            response = await client.send(following, auth=None, follow_redirects=False)
        return response

    def __enter__(self) -> Self:
        self.get_httpx_client().__enter__()
        return self

    def __exit__(self, *args: Any) -> None:
        self.get_httpx_client().__exit__(*args)

    async def __aenter__(self) -> Self:
        await self.get_async_httpx_client().__aenter__()
        return self

    async def __aexit__(self, *args: Any) -> None:
        await self.get_async_httpx_client().__aexit__(*args)

    def _arguments(self) -> dict[str, Any]:
        import httpx

        timeout = self._timeout
        if isinstance(timeout, Unset):
            timeout = httpx.Timeout(TIMEOUT, connect=CONNECT_TIMEOUT)
        return {
            "base_url": self._base_url,
            "cookies": self._cookies,
            "headers": self._headers,
            "timeout": timeout,
            "verify": self._verify_ssl,
            "follow_redirects": self._follow_redirects,
            **self._httpx_args,
        }

    def _per_request(self, request: Request) -> dict[str, Any]:
        del request  # a client without credentials treats all alike
        return {}


def _within_origin(response: httpx.Response) -> httpx.Request | None:
    """The request that a redirect asks for, unless it leads to another origin."""
    following = response.next_request
    if following is None:
        return None
    before, after = response.request.url, following.url
    same = (before.scheme, before.host, before.port) == (after.scheme, after.host, after.port)
    return following if same else None


@attrs.define(eq=False)
class AuthenticatedClient(Client):
    """A client that sends one token with every operation that asks for credentials, and with no other.

    Args:
        token: the token; never in the repr.
        prefix: what stands before it in the header ("Bearer", "Basic"); "" for nothing.
        auth_header_name: the header it goes into.

    The other arguments are those of `Client`.
    """

    token: str = attrs.field(converter=Secret, repr=False)
    prefix: str = "Bearer"
    auth_header_name: str = "Authorization"

    def _authenticate(self, request: httpx.Request) -> httpx.Request:
        token = str(self.token)
        request.headers[self.auth_header_name] = f"{self.prefix} {token}" if self.prefix else token
        return request

    def _arguments(self) -> dict[str, Any]:
        return {"auth": self._authenticate, **super()._arguments()}

    def _per_request(self, request: Request) -> dict[str, Any]:
        return {"auth": self._authenticate if request.operation.secured else None}
