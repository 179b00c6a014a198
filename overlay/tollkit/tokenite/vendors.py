"""The vendors' own SDKs behind the metering proxy: their arguments, and Tokenite's errors out of theirs.

    with anthropic.Anthropic(**anthropic_options(tokenite, access_token)) as claude:
        with claude.messages.stream(...) as stream:
            ...

Streams go this way: the proxy passes on the vendor's own events and no envelope. tollkit neither needs nor imports
the SDKs; the arguments are plain values that their clients take. Each SDK client gets an HTTP client of its own, made
with the proxy, certificates, pool and HTTP/2 settings of the Tokenite client, and of the library that the installed
SDK is built on: httpx, or httpx2, which continues it. The SDK's client closes it when it is closed itself.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict, cast

from tollkit.core import answers
from tollkit.core.arguments import secret_text
from tollkit.core.http import USER_AGENT, sdk_arguments, sdk_client
from tollkit.core.settings import Connection, merged
from tollkit.errors import ArgumentError, ConfigurationError, InsecureTransportError
from tollkit.secrets import Secret
from tollkit.tokenite import config
from tollkit.tokenite.client import AsyncTokenite, Tokenite
from tollkit.tokenite.errors import family
from tollkit.tokenite.proxy import ProxyError, read_error_envelope

__all__ = [
    "GoogleHttpOptions",
    "GoogleOptions",
    "GoogleRetryOptions",
    "SdkOptions",
    "anthropic_options",
    "google_options",
    "openai_options",
    "proxy_error",
]

_NEEDS_HTTPX2 = re.compile(r"httpx2\b(?!.*\bextra\b)")


class SdkOptions(TypedDict):
    """Arguments of `anthropic.Anthropic`, `openai.OpenAI` and their async twins.

    Attributes:
        api_key: The user's access token.
        base_url: The vendor behind the proxy.
        max_retries: How often the SDK sends a failed request again.
        default_headers: Sent with every request.
        timeout: Time-outs of the SDK's own HTTP library; not there when the Tokenite client has none of its own, and
            then the SDK's default holds.
        http_client: Made for this SDK client, which closes it; or the one that was given.
    """

    api_key: str
    base_url: str
    max_retries: int
    default_headers: dict[str, str]
    timeout: NotRequired[Any]
    http_client: Any


class GoogleRetryOptions(TypedDict):
    """`google.genai.types.HttpRetryOptions`.

    Attributes:
        attempts: How often at most a request is sent.
    """

    attempts: int


class GoogleHttpOptions(TypedDict):
    """`google.genai.types.HttpOptions`.

    Attributes:
        base_url: Google behind the proxy.
        headers: Sent with every request.
        retry_options: How often the SDK sends a failed request again.
        timeout: Milliseconds; not there when the Tokenite client has no time-out to read of its own.
        client_args: Arguments of the SDK's blocking HTTP client.
        async_client_args: Arguments of its async HTTP client.
        httpx_client: A blocking HTTP client that was given, instead.
        httpx_async_client: An async HTTP client that was given, instead.
    """

    base_url: str
    headers: dict[str, str]
    retry_options: GoogleRetryOptions
    timeout: NotRequired[int]
    client_args: NotRequired[dict[str, Any]]
    async_client_args: NotRequired[dict[str, Any]]
    httpx_client: NotRequired[Any]
    httpx_async_client: NotRequired[Any]


class GoogleOptions(TypedDict):
    """Arguments of `google.genai.Client`.

    Attributes:
        api_key: The user's access token.
        vertexai: Off, whatever the environment says: Vertex has other addresses and credentials.
        http_options: Where and how requests are sent: a `GoogleHttpOptions`, which type checkers do not take for the
            SDK's own `HttpOptionsDict`.
    """

    api_key: str
    vertexai: Literal[False]
    http_options: Any


def anthropic_options(
    client: Tokenite | AsyncTokenite, access_token: str, *, base_path: str = "", http_client: Any = None
) -> SdkOptions:
    """Arguments for `anthropic.Anthropic`, or for `anthropic.AsyncAnthropic` from an async client.

    The access token goes out where the SDK puts an API key: in `Authorization: Bearer`, or, with older SDKs, in
    `x-api-key`.

    Args:
        client: Gives the proxy's address, and headers, retries, time-outs and connection settings.
        access_token: The user's.
        base_path: Put behind `client.proxy_url("anthropic")`; the SDK adds `/v1/messages` and the like itself.
        http_client: An HTTP client of your own, of the SDK's library, instead of one made here; with time-outs of its
            own. The SDK's client closes it.

    Raises:
        ArgumentError: An argument is unusable.
        InsecureTransportError: The proxy's address is `http://` and the client does not allow that.
        ConfigurationError: The client has an `http_client` that was brought, which no SDK can use, and none is given
            here; or no HTTP client can be made with its settings.
        MissingExtraError: The client asks for HTTP/2 and the extra is not installed.
    """
    return _options(client, access_token, "anthropic", "anthropic", base_path, http_client)


def openai_options(
    client: Tokenite | AsyncTokenite,
    access_token: str,
    *,
    provider: str = "openai",
    base_path: str = "",
    http_client: Any = None,
) -> SdkOptions:
    """Arguments for `openai.OpenAI`, or for `openai.AsyncOpenAI` from an async client; for grok too.

    The access token goes out as `Authorization: Bearer`.

    Args:
        client: Gives the proxy's address, and headers, retries, time-outs and connection settings.
        access_token: The user's.
        provider: `openai`, or another that speaks its language: `grok`.
        base_path: Put behind `client.proxy_url(provider)`. The SDK adds `/chat/completions` and the like without a
            `/v1`, which its own default address ends in; `base_path="/v1"` adds it.
        http_client: As for `anthropic_options`.

    Raises:
        ArgumentError: An argument is unusable.
        TollkitError: As for `anthropic_options`.
    """
    return _options(client, access_token, provider, "openai", base_path, http_client)


def google_options(
    client: Tokenite | AsyncTokenite, access_token: str, *, base_path: str = "", http_client: Any = None
) -> GoogleOptions:
    """Arguments for `google.genai.Client`, which has both sides: its methods, and those of its `aio`.

    The access token goes out as `x-goog-api-key`. The SDK knows one time-out for all: that of `read` is taken. Its
    async side prefers aiohttp where that is installed, which reads only some of the connection settings.

    Args:
        client: Gives the proxy's address, and headers, retries, time-outs and connection settings.
        access_token: The user's.
        base_path: Put behind `client.proxy_url("google")`; the SDK adds `/v1beta/models/...` and the like itself.
        http_client: An HTTP client of your own, blocking or async as `client` is, instead of one that the SDK makes.
            The SDK leaves it to you to close it.

    Raises:
        ArgumentError: An argument is unusable.
        TollkitError: As for `anthropic_options`.
    """
    with family():
        token, base_url = _target(client, access_token, "google", base_path)
        given = client._options
        options: GoogleHttpOptions = {
            "base_url": base_url,
            "headers": _headers(client),
            "retry_options": {"attempts": given.max_retries + 1},
        }
        if given.timeout is not None and given.timeout.read is not None:
            options["timeout"] = max(1, round(given.timeout.read * 1000))
        if http_client is not None:
            options["httpx_async_client" if isinstance(client, AsyncTokenite) else "httpx_client"] = http_client
        else:
            arguments = sdk_arguments(_connection(client), None, library=_library("google-genai"))
            del arguments["headers"]  # they stand in the options; aiohttp would get them twice
            options["client_args"] = arguments
            options["async_client_args"] = {**arguments, **_of_aiohttp(arguments)}
        return {"api_key": token, "vertexai": False, "http_options": options}


def _options(
    client: Tokenite | AsyncTokenite,
    access_token: str,
    provider: str,
    distribution: str,
    base_path: str,
    http_client: Any,
) -> SdkOptions:
    with family():
        token, base_url = _target(client, access_token, provider, base_path)
        given = client._options
        made = http_client is None
        if made:
            http_client = sdk_client(
                _connection(client),
                given.timeout,
                library=_library(distribution),
                asynchronous=isinstance(client, AsyncTokenite),
            )
        options: SdkOptions = {
            "api_key": token,
            "base_url": base_url,
            "max_retries": given.max_retries,
            "default_headers": _headers(client),
            "http_client": http_client,
        }
        if made and given.timeout is not None:
            # said twice: the SDKs take a client's time-outs of 5 seconds for nobody's choice
            options["timeout"] = http_client.timeout
        return options


def _target(client: Tokenite | AsyncTokenite, access_token: str, provider: str, base_path: str) -> tuple[Secret, str]:
    """The token to send, and where to."""
    if not isinstance(base_path, str) or (base_path and not base_path.startswith("/")) or "//" in base_path:
        raise ArgumentError("base_path", "must be empty or begin with one slash, such as /v1")
    token = Secret(secret_text("access_token", access_token))
    base_url = client.proxy_url(provider) + base_path.rstrip("/")
    if not client.flows._allow_http and not base_url.lower().startswith("https:"):
        raise InsecureTransportError(
            "only requests to HTTPS are allowed", hint="Use https, or allow_insecure_http=True in development"
        )
    return token, base_url


def _of_aiohttp(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What aiohttp calls what it must not miss: the SDK gives it the arguments whose names it knows.

    It follows redirects when nothing is said, and would take the token along to another origin.
    """
    if importlib.util.find_spec("aiohttp") is None:
        return {}
    verify = arguments["verify"]
    return {"allow_redirects": False, **({} if verify is True else {"ssl": verify})}


def _headers(client: Tokenite | AsyncTokenite) -> dict[str, str]:
    return merged({"User-Agent": USER_AGENT}, client._options.headers)


def _connection(client: Tokenite | AsyncTokenite) -> Connection:
    if client._connections._brought is not None:
        raise ConfigurationError(
            "The HTTP client that was given to the Tokenite client cannot be used by a vendor's SDK",
            hint="Give http_client= here too, of the library that the SDK is built on",
        )
    return client._connections._connection


def _library(distribution: str) -> str:
    """The HTTP library that an installed SDK is built on; it refuses clients of the other."""
    try:
        needs = importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return "httpx2" if importlib.util.find_spec("httpx2") else "httpx"
    return "httpx2" if any(_NEEDS_HTTPX2.match(need) for need in needs) else "httpx"


def proxy_error(
    exception: BaseException, *, funding_codes: frozenset[str] = config.FUNDING_CODES
) -> ProxyError | None:
    """What Tokenite said, out of an error that a vendor's SDK raised; `None` when it is none of Tokenite's.

    Knows the status errors of anthropic, openai and google-genai by their attributes. What the vendor itself says in
    its own form, without Tokenite's envelope, is none of Tokenite's.

    Args:
        exception: What the SDK raised.
        funding_codes: Codes of 402 that a top-up cures.
    """
    response = getattr(exception, "response", None)
    status = next(
        (found for name in ("status_code", "status", "code") if type(found := getattr(exception, name, None)) is int),
        0,
    )
    body = _envelope(exception)
    if body is None:
        return None
    if status < 400 and body["error"]["code"] in funding_codes:
        status = 402  # told by an event of a stream, which began with 200
    has_headers = isinstance(getattr(response, "headers", None), Mapping)
    return read_error_envelope(
        body,
        status,
        funding_codes=funding_codes,
        retry_after=answers.retry_after(cast("Any", response).headers) if has_headers else None,
        request_id=answers.request_id(cast("Any", response), None) if has_headers else None,
    )


def _envelope(exception: BaseException) -> dict[str, Mapping[str, Any]] | None:
    """Tokenite's error envelope as an SDK keeps it: whole (anthropic, google-genai) or its inner half (openai)."""
    for name in ("body", "details"):
        found = getattr(exception, name, None)
        if not isinstance(found, Mapping):
            continue
        whole = cast("Mapping[str, Any]", found)
        inner = whole.get("error", whole)
        if not isinstance(inner, Mapping):
            continue
        error = cast("Mapping[str, Any]", inner)
        # `source` is the mark: the vendors have none, and some have a `code`
        if isinstance(error.get("code"), str) and isinstance(error.get("source"), str):
            return {"error": error}
    return None
