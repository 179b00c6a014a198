"""Keeps the last good manifest of an app, so that a decision on a capability does not wait for the network."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from tollkit.core.drivers import Async, Blocking
from tollkit.core.etag_store import Entry, EtagStore, MemoryEtagStore, entry_key
from tollkit.core.flows import Flow, Flows, flow, offload, share
from tollkit.core.single_flight import SingleFlight
from tollkit.errors import ArgumentError, DecodeError, StatusError, TollkitError, TransportError
from tollkit.pymthouse.errors import PmtHouseError, family
from tollkit.pymthouse.models import read_manifest
from tollkit_api.runtime.json_text import json_value

if TYPE_CHECKING:
    from tollkit.pymthouse.client import AsyncPymtHouse, PymtHouse, PymtHouseFlows
    from tollkit.pymthouse.manifest import AppManifestResponse

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


@attrs.frozen
class _Kept:
    """An entry of the store with the manifest that it holds."""

    entry: Entry
    manifest: AppManifestResponse


class ManifestCacheFlows(Flows):
    """The cache's methods, written once. See `ManifestCache`."""

    def __init__(
        self,
        client: PymtHouseFlows,
        store: EtagStore,
        fresh_for: float,
        max_age: float,
        stale_if_error: bool,
        clock: Callable[[], float],
    ) -> None:
        for name, seconds in (("fresh_for", fresh_for), ("max_age", max_age)):
            if type(seconds) not in (int, float) or not seconds >= 0:
                raise ArgumentError(name, "must be a number of seconds, 0 or more")
        if fresh_for > max_age:
            raise ArgumentError("fresh_for", "must not be more than max_age")
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
        kept = yield from offload(self._load)
        if kept is not None and not force and self._within(kept.entry.checked_at, self._fresh_for):
            return self._served(kept)
        return (yield from share(self._flight, (self._key, force), lambda: self._renew(kept, force)))

    def _renew(self, seen: _Kept | None, force: bool) -> Flow[CachedManifest]:
        kept = yield from offload(self._load)
        if kept is not None and kept != seen and self._within(kept.entry.checked_at, self._fresh_for):
            return self._served(kept)  # somebody else fetched it between our look and our turn
        # a 304 can hide a change of the catalogue, so beyond max_age the entity tag is not asked about
        usable = kept if kept is not None and self._within(kept.entry.fetched_at, self._max_age) else None
        etag = usable.entry.etag if usable and not force else None
        now = self._clock()
        try:
            found = yield from self._client.get_app_manifest(if_none_match=etag)
            if found.manifest is None and etag is None:
                raise DecodeError("The platform answered 304 to a request without If-None-Match")
        except (TransportError, StatusError, DecodeError) as error:
            failing = error.retryable or isinstance(error, DecodeError)
            if not (self._stale_if_error and failing and usable):
                raise
            _log.warning("manifest not confirmed (%s), serving the kept one", error.kind)
            return self._served(usable, stale=True)
        if found.manifest is not None:
            body = json.dumps(found.manifest.to_dict()).encode()
            renewed = _Kept(Entry(etag=found.etag, body=body, fetched_at=now, checked_at=now), found.manifest)
        else:
            assert usable is not None, "an entity tag was sent"
            renewed = attrs.evolve(usable, entry=attrs.evolve(usable.entry, checked_at=now))
        yield from offload(lambda: self._keep(renewed.entry))
        return self._served(renewed)

    def _load(self) -> _Kept | None:
        try:
            entry = self._store.get(self._key)
            manifest = read_manifest(json_value(entry.body)) if entry else None
        except Exception as problem:  # noqa: BLE001 - a store that is down or damaged costs a request, not the answer
            _log.warning("kept manifest not read: %s", problem)
            return None
        return _Kept(entry, manifest) if entry and manifest else None

    def _keep(self, entry: Entry) -> None:
        try:
            self._store.put(self._key, entry)
        except Exception as problem:  # noqa: BLE001 - the manifest is good even when it cannot be kept
            _log.warning("manifest not kept: %s", problem)

    def _within(self, since: float, seconds: float) -> bool:
        # a clock that was set back must not make an entry young for ever
        return 0 <= self._clock() - since < seconds

    def _served(self, kept: _Kept, *, stale: bool = False) -> CachedManifest:
        age = max(0.0, self._clock() - kept.entry.checked_at)
        return CachedManifest(kept.manifest, kept.entry.etag, stale, age)

    @flow
    def clear(self) -> Flow[None]:
        """Forget what is kept of this app.

        Raises:
            LocalError: The store cannot be changed.
        """
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
        stale_if_error: Serve the kept manifest while the platform cannot be reached, fails, or sends something
            else than a manifest (not when it refuses the credentials).
        clock: Seconds since 1970.

    Raises:
        ArgumentError: `fresh_for` or `max_age` make no sense, or the client is of the other kind.
    """

    flows: ManifestCacheFlows
    family: type[TollkitError] = PmtHouseError

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
        with family():
            if not isinstance(client, Blocking):
                raise ArgumentError("client", "must be a PymtHouse; AsyncPymtHouse goes with AsyncManifestCache")
            self.flows = ManifestCacheFlows(
                client.flows, MemoryEtagStore() if store is None else store, fresh_for, max_age, stale_if_error, clock
            )
        self._options = client._options
        self._connections = client._connections


class AsyncManifestCache(ManifestCacheFlows, Async):
    """`ManifestCache` for an `AsyncPymtHouse`; its methods are coroutines, and the store is used in a thread."""

    flows: ManifestCacheFlows
    family: type[TollkitError] = PmtHouseError

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
        with family():
            if not isinstance(client, Async):
                raise ArgumentError("client", "must be an AsyncPymtHouse; PymtHouse goes with ManifestCache")
            self.flows = ManifestCacheFlows(
                client.flows, MemoryEtagStore() if store is None else store, fresh_for, max_age, stale_if_error, clock
            )
        self._options = client._options
        self._connections = client._connections
