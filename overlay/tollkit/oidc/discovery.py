"""Provider metadata and keys: fetched, checked and kept (OpenID Connect Discovery 1.0, RFC 8414, RFC 7517)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal
from urllib.parse import SplitResult, urlsplit

from tollkit.core.arguments import required_text
from tollkit.core.flows import Flow, Send, send
from tollkit.core.service import Service
from tollkit.errors import ArgumentError, DecodeError, InsecureTransportError, StatusError, TransportError
from tollkit.oidc import answers, requests
from tollkit.oidc.cached import Cached
from tollkit.oidc.keys import KeySet

if TYPE_CHECKING:
    from tollkit.oidc.models import ProviderMetadata

__all__ = ["Discovery", "Endpoint"]

KEPT_FOR = 300.0
"""Seconds that metadata and keys are used without asking again."""
KEY_PAUSE = 60.0
"""Seconds: how old the keys must be for a token with an unknown key to make us ask for them again."""

SERVICE = Service(name="oidc", read_error=answers.read_error)
"""All endpoints of all providers: requests have absolute addresses and their proofs in them."""

Endpoint = Literal[
    "token_endpoint",
    "jwks_uri",
    "device_authorization_endpoint",
    "revocation_endpoint",
    "introspection_endpoint",
    "userinfo_endpoint",
]
_PORTS = {"http": 80, "https": 443}


class Discovery:
    """One provider's metadata and keys, kept for 5 minutes each. Safe to share between threads, tasks and clients.

    Args:
        issuer: The issuer; trailing slashes do not matter to where the document is looked for. The document
            must name this very issuer, as given or without its trailing slashes; only the case of scheme and
            host, and a default port, are of no account.
        allow_insecure_http: Allow plain http, for tests and development.
        trusted_origins: Origins (`https://host[:port]`) besides the issuer's to which requests may go.
        clock: A clock that never goes back, in seconds.

    Raises:
        ArgumentError: The issuer or an origin is no http(s) address.
    """

    def __init__(
        self,
        issuer: str,
        *,
        allow_insecure_http: bool = False,
        trusted_origins: Iterable[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        given = _address("issuer", required_text("issuer", issuer).strip())
        self.issuer: str = _href(given).rstrip("/")
        """The issuer without trailing slashes."""
        self._accepted = frozenset({_href(given), _href(urlsplit(self.issuer))})
        self._allow_insecure_http = allow_insecure_http
        if isinstance(trusted_origins, str):
            raise ArgumentError("trusted_origins", "must be a list of origins, not one text")
        self._origins = frozenset(
            {_origin(given), *(_origin(_address("trusted_origins", origin)) for origin in trusted_origins)}
        )
        self._metadata: Cached[ProviderMetadata] = Cached("Provider metadata", self._fetch, clock)
        self._keys: Cached[KeySet] = Cached("The provider's key set", self._fetch_keys, clock)

    @property
    def url(self) -> str:
        """Where the document is (OpenID Connect Discovery 1.0 section 4)."""
        return f"{self.issuer}/.well-known/openid-configuration"

    def load(self, *, force: bool = False) -> Flow[ProviderMetadata]:
        """The provider's metadata.

        Args:
            force: Fetch it even if the kept one is fresh.

        Raises:
            TransportError: The provider cannot be reached, or only by plain http (code
                `oidc_discovery_failed`, status 502).
            StatusError, DecodeError: The answer is not the metadata of this issuer (code
                `oidc_discovery_invalid`, status 500).
        """
        return (yield from self._metadata.get(0 if force else KEPT_FOR))

    def _fetch(self) -> Flow[ProviderMetadata]:
        if problem := self._insecure(urlsplit(self.issuer)):
            raise InsecureTransportError(
                f"Failed to load OIDC discovery: {problem}",
                code="oidc_discovery_failed",
                status=502,
                hint="Use https, or allow_insecure_http=True in development",
            )
        try:
            metadata = yield from send(Send(requests.discovery_request(self.url), answers.parse_discovery, SERVICE))
            self._check_issuer(metadata)
        except TransportError as error:
            error.message = f"Failed to load OIDC discovery: {str(error.__cause__ or '') or error.message}"
            error.args = (error.message,)
            error.code, error.status = "oidc_discovery_failed", 502
            raise
        except (StatusError, DecodeError) as error:
            error.context["cause"] = error.code
            error.code, error.status = "oidc_discovery_invalid", 500
            raise
        return metadata

    def _check_issuer(self, metadata: ProviderMetadata) -> None:
        # RFC 8414 section 3.3: else one provider could hand out tokens in the name of another.
        try:
            named = _href(urlsplit(metadata.issuer))
        except ValueError:
            named = ""
        if named not in self._accepted:
            raise DecodeError(
                '"response" body "issuer" property does not match the expected value',
                code="OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED",
                body={"expected": self.issuer, "issuer": metadata.issuer},
                hint="Configure the issuer exactly as the provider writes it",
                context={"url": self.url},
            )

    def endpoint(self, metadata: ProviderMetadata, name: Endpoint) -> str:
        """The address of an endpoint, if requests may go there.

        Args:
            metadata: From `load`.
            name: Which endpoint, by its name in the metadata.

        Raises:
            DecodeError: There is no such endpoint (code `OAUTH_MISSING_SERVER_METADATA`), or it is neither on
                the issuer's origin nor on a trusted one (code `oidc_discovery_invalid`).
            InsecureTransportError: It is on plain http (code `OAUTH_HTTP_REQUEST_FORBIDDEN`).
        """
        text: str | None = getattr(metadata, name)
        try:
            url = None if text is None else _address(name, text)
        except ArgumentError:
            url = None
        if text is None or url is None:
            told = "INVALID" if name in metadata.received else "MISSING"
            raise DecodeError(
                f'authorization server metadata does not contain a valid "as.{name}"',
                code=f"OAUTH_{told}_SERVER_METADATA",
                hint="The provider does not offer this",
                context={"url": self.url},
            )
        if problem := self._insecure(url):
            raise InsecureTransportError(problem, code="OAUTH_HTTP_REQUEST_FORBIDDEN", status=502)
        if _origin(url) not in self._origins:
            raise DecodeError(
                f"The provider's {name} is on {_origin(url)}, which is not the origin of {self.issuer}",
                code="oidc_discovery_invalid",
                status=500,
                hint="Nothing was sent there; if the provider is right, name that origin in trusted_origins",
                context={"url": self.url},
            )
        return text

    def keys(self, *, missing: bool = False) -> Flow[KeySet]:
        """The provider's keys.

        Args:
            missing: A key was not among the kept ones: fetch them again, once a minute at most.

        Raises:
            TransportError, StatusError, DecodeError: The metadata or the keys cannot be had.
        """
        return (yield from self._keys.get(KEY_PAUSE if missing else KEPT_FOR))

    def _fetch_keys(self) -> Flow[KeySet]:
        metadata = yield from self.load()
        url = self.endpoint(metadata, "jwks_uri")
        keys = yield from send(Send(requests.jwks_request(url), answers.parse_jwks, SERVICE))
        return KeySet(keys)

    def _insecure(self, url: SplitResult) -> str:
        if url.scheme != "https" and not self._allow_insecure_http:
            return "only requests to HTTPS are allowed"
        return "" if url.scheme in _PORTS else "only HTTP and HTTPS requests are allowed"

    def clear(self) -> None:
        """Forget metadata and keys."""
        self._metadata.clear()
        self._keys.clear()

    def __repr__(self) -> str:
        return f"Discovery({self.issuer!r})"


def _address(name: str, text: str) -> SplitResult:
    wrong = ArgumentError(name, "must be an address such as https://example.com")
    try:
        url = urlsplit(text)
        usable = bool(url.scheme and url.hostname) and url.username is None and url.port != 0
    except ValueError as problem:
        raise wrong from problem
    if not usable or any(sign.isspace() for sign in text):
        raise wrong
    return url


def _origin(url: SplitResult) -> str:
    host = url.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = url.port
    return f"{url.scheme}://{host}" if port in (None, _PORTS.get(url.scheme)) else f"{url.scheme}://{host}:{port}"


def _href(url: SplitResult) -> str:
    """Scheme, host, port and path, normalised as far as RFC 3986 section 6.2.2.1 and 6.2.3 make them equal."""
    return _origin(url) + (url.path or "/")
