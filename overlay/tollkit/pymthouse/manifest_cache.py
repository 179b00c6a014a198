"""Keeps the last good manifest of an app, so that a decision on a capability does not wait for the network."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
from tollkit.pymthouse.errors import PmtHouseError
from tollkit.pymthouse.manifest import AppManifestResponse, parse_app_manifest_response

from tollkit.core.drivers import Async, Blocking
from tollkit.core.etag_store import Entry, EtagStore, MemoryEtagStore, entry_key
from tollkit.core.flows import Flow, Flows, flow, offload, share
from tollkit.core.single_flight import SingleFlight
from tollkit.errors import ArgumentError, StatusError, TollkitError, TransportError

if TYPE_CHECKING:
    from tollkit.pymthouse.client import AsyncPymtHouse, PymtHouse, PymtHouseFlows

__all__ = ["AsyncManifestCache", "CachedManifest", "ManifestCache"]

_log = logging.getLogger("tollkit.pymthouse")


@attrs.frozen
class CachedManifest:
    """A manifest and how good it is.

    Attributes:
        manifest: The manifest.
        etag: Its entity tag, when the platform sent one.
        stale: Whether it could not be confirmed now (only with `stale_if_error`).
        age: Seconds since the platform last confirmed it.
    """

    manifest: AppManifestResponse
    etag: str | None
    stale: bool
    age: float


class ManifestCacheFlows(Flows):
    """The cache's one method, written once. See `ManifestCache`."""

    def __init__(
        self,
        client: PymtHouseFlows,
        store: EtagStore,
        fresh_for: float,
        max_age: float,
        stale_if_error: bool,
        clock: Callable[[], float],
    ) -> None:
        if not 0 <= fresh_for <= max_age:
            raise ArgumentError("fresh_for", "must be 0 or more seconds, and not more than max_age")
        self._client = client
        self._store = store
        self._fresh_for = fresh_for
        self._max_age = max_age
        self._stale_if_error = stale_if_error
        self._clock = clock
        self._flight = SingleFlight()
        settings = client._settings
        # another secret is another principal: an entry is never handed to credentials that did not fetch it
        principal = hashlib.sha256(f"{settings.m2m_client_id}:{settings.m2m_client_secret}".encode()).hexdigest()
        self._key = entry_key(settings.issuer_url, principal, "getAppManifest", settings.public_client_id)

    @flow
    def get(self, *, force: bool = False) -> Flow[CachedManifest]:
        """The manifest: kept if it is fresh, confirmed by its entity tag if not, fetched whole if too old.

        Callers who ask at the same time share one request.

        Args:
            force: Fetch it whole, whatever is kept.

        Raises:
            TollkitError: It cannot be fetched, and there is none that may be served instead.
        """
        entry = yield from offload(self._kept)
        if entry is not None and not force and self._within(entry.checked_at, self._fresh_for):
            return self._served(entry, stale=False)
        return (yield from share(self._flight, (self._key, force), lambda: self._renew(entry, force)))

    def _renew(self, entry: Entry | None, force: bool) -> Flow[CachedManifest]:
        # a 304 can hide a change of the catalogue, so beyond max_age the entity tag is not asked about
        known = entry if entry is not None and not force and self._within(entry.fetched_at, self._max_age) else None
        now = self._clock()
        try:
            found = yield from self._client.get_app_manifest(if_none_match=known.etag if known else None)
        except (TransportError, StatusError) as error:
            usable = entry is not None and self._within(entry.fetched_at, self._max_age)
            if self._stale_if_error and usable and entry is not None and error.retryable:
                _log.warning("manifest not confirmed (%s), serving the kept one", error.kind)
                return self._served(entry, stale=True)
            raise
        if found.manifest is None:
            if known is None:
                raise PmtHouseError(
                    "The platform answered 304 to a request without If-None-Match",
                    code="invalid_response",
                    status=502,
                )
            renewed = attrs.evolve(known, checked_at=now, etag=found.etag or known.etag)
        else:
            body = json.dumps(found.manifest.to_dict(), ensure_ascii=False).encode("utf-8", "surrogatepass")
            renewed = Entry(etag=found.etag, body=body, fetched_at=now, checked_at=now)
        yield from offload(lambda: self._keep(renewed))
        return self._served(renewed, stale=False)

    def _kept(self) -> Entry | None:
        try:
            return self._store.get(self._key)
        except TollkitError as error:
            # a store that is down costs a request, not the answer
            _log.warning("kept manifest not read: %s", error.message)
            return None

    def _keep(self, entry: Entry) -> None:
        try:
            self._store.put(self._key, entry)
        except TollkitError as error:
            # the manifest is good even when it cannot be kept
            _log.warning("manifest not kept: %s", error.message)

    def _within(self, since: float, seconds: float) -> bool:
        # a clock that was set back must not make an entry young for ever
        return 0 <= self._clock() - since < seconds

    def _served(self, entry: Entry, *, stale: bool) -> CachedManifest:
        manifest = parse_app_manifest_response(json.loads(entry.body))
        return CachedManifest(manifest, entry.etag, stale, max(0.0, self._clock() - entry.checked_at))

    @flow
    def clear(self) -> Flow[None]:
        """Forget what is kept of this app."""
        yield from offload(lambda: self._store.delete(self._key))


class ManifestCache(ManifestCacheFlows, Blocking):
    """Keeps the last good manifest of a client's app.

    Args:
        client: Whose manifest; the cache uses its connections and options.
        store: Where it is kept: `MemoryEtagStore` (this process), `SqliteEtagStore` (a file, for all processes of a
            machine) or `RedisEtagStore` (many machines). A store may serve many clients: entries are kept apart by
            issuer, app and credentials.
        fresh_for: Seconds for which a kept manifest is served without asking the platform.
        max_age: Seconds after which a kept manifest counts for nothing: it is fetched whole.
        stale_if_error: Serve the kept manifest while the platform cannot be reached or fails (not when it
            refuses the credentials).
        clock: Seconds since 1970.

    Raises:
        ArgumentError: `fresh_for` or `max_age` make no sense.
    """

    family = PmtHouseError

    def __init__(
        self,
        client: PymtHouse,
        store: EtagStore | None = None,
        *,
        fresh_for: float = 60.0,
        max_age: float = 3600.0,
        stale_if_error: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        flows = ManifestCacheFlows(
            client.flows, store or MemoryEtagStore(), fresh_for, max_age, stale_if_error, clock
        )
        self.flows = flows
        self._options = client._options
        self._connections = client._connections


class AsyncManifestCache(ManifestCacheFlows, Async):
    """`ManifestCache` for an `AsyncPymtHouse`; its methods are coroutines, and the store is used in a thread."""

    family = PmtHouseError

    def __init__(
        self,
        client: AsyncPymtHouse,
        store: EtagStore | None = None,
        *,
        fresh_for: float = 60.0,
        max_age: float = 3600.0,
        stale_if_error: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        flows = ManifestCacheFlows(
            client.flows, store or MemoryEtagStore(), fresh_for, max_age, stale_if_error, clock
        )
        self.flows = flows
        self._options = client._options
        self._connections = client._connections
