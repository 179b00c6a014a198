"""Files of a project, on the platform's CDN."""

from __future__ import annotations

import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

import attrs

from tollkit.core.arguments import built, required_text
from tollkit.core.flows import Flow, Sleep, flow, gather, offload, sleep
from tollkit.core.namespaces import Namespace
from tollkit.core.paging import Page, paged
from tollkit.errors import ArgumentError, CancelledError, DecodeError
from tollkit.oidc.json_values import is_object
from tollkit.run402.assets import AssetRef, blob_content_type
from tollkit.run402.errors import (
    ApiError,
    LocalError,
    NetworkError,
    Run402Error,
    raised,
)
from tollkit.run402.namespaces.checks import choice_or_none, flag, preparing, whole
from tollkit.run402.namespaces.keyed import with_keys
from tollkit.run402.namespaces.scoped import ScopedNamespace, of_project
from tollkit.run402.parts import ATTEMPTS, MAX_UPLOADS, Counted, Outcome, again, put_part

if TYPE_CHECKING:
    from tollkit.run402.client import Run402Flows
    from tollkit.run402.credentials import ProjectKeys
    from tollkit.run402.deploy.content import Content
    from tollkit.run402.deploy.files import FileSource
    from tollkit.run402.download import Downloaded, Progress, Sink
    from tollkit_api.run402.v1_57.models import BlobDiagnosis, BlobList, BlobSummary, SignedBlob, Upload, UploadPart
    from tollkit_api.runtime import HttpResponse

__all__ = ["Blob", "BlobFreshness", "BlobSource", "Blobs", "ScopedBlobs"]

D = TypeVar("D")
_Data = bytes | bytearray | memoryview
BlobSource: TypeAlias = "str | _Data | os.PathLike[str] | FileSource | Iterable[bytes] | Mapping[str, Any]"
"""What can be stored: text, bytes, a path, an open file, pieces, `{"content": text}` or `{"bytes": data}`."""
MOST_TEXT = 1_048_576
"""Bytes of the largest text that the platform's client takes; bytes may be more."""
_ROUNDS = 3
"""How often an upload is begun whose addresses expire."""
_UPLOADING = "uploading blob part"
_VANTAGE = "gateway-us-east-1"


@attrs.frozen(kw_only=True)
class Blob:
    """A stored file, read whole.

    Attributes:
        content: The bytes.
        content_type: Its content type.
        etag: Its entity tag.
        headers: All headers of the answer.
    """

    content: bytes = attrs.field(repr=lambda content: f"<{len(content)} bytes>")
    content_type: str | None
    etag: str | None
    headers: Mapping[str, str] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class BlobFreshness:
    """Whether readers of a URL see the version that was waited for.

    Attributes:
        fresh: Whether they do.
        observed_sha256: What they were seen to get last.
        attempts: How often it was looked at.
        elapsed: Seconds.
        vantage: From where it was looked at.
    """

    fresh: bool
    observed_sha256: str | None
    attempts: int
    elapsed: float
    vantage: str = _VANTAGE


class Blobs(Namespace[D]):
    """`client.blobs`: files of a project."""

    _root: Run402Flows

    @flow
    def put(
        self,
        project_id: str,
        key: str,
        source: BlobSource,
        *,
        content_type: str | None = None,
        visibility: Literal["public", "private"] | str | None = None,
        immutable: bool | None = None,
        on_progress: Callable[[int, int], object] | None = None,
        max_uploads: int = MAX_UPLOADS,
    ) -> Flow[AssetRef]:
        """Store a file. Memory does not grow with its size; what arrives is checked by its hash.

        Args:
            project_id: The project.
            key: Its key, a path such as `img/logo.png`.
            source: Text, bytes, a `pathlib.Path`, a binary file that is open, pieces of bytes, or `{"content": text}`
                or `{"bytes": data}`. Text may have 1 MiB.
            content_type: Its content type; by the end of the key when left out.
            visibility: `public` or `private`; public when left out.
            immutable: Whether it gets an address that changes with its content; true when left out.
            on_progress: Called with the bytes that were sent and those that there are, one call at a time, in the
                threads that send; what it raises ends the upload.
            max_uploads: How many parts are sent side by side.

        Raises:
            LocalError: An argument is missing or wrong, the source cannot be read, or it changed while it was sent.
            ProjectNotFound: The credentials do not know the project.
            ApiError: The platform, or the storage, refused it.
            NetworkError: The connection broke, and sending again did not help.

        Source: Run402 gateway, `POST /storage/v1/uploads`, `PUT` to presigned addresses,
        `POST /storage/v1/uploads/{upload_id}/complete`.
        """
        doing = "uploading blob"
        keys = yield from self._root.keys_of(project_id, doing)
        with preparing(doing):
            required_text("key", key)
            kind = choice_or_none("content_type", content_type) or blob_content_type(key)
            shown = choice_or_none("visibility", visibility) or "public"
            if shown not in ("public", "private"):
                raise ArgumentError("visibility", "must be public or private")
            fixed = True if immutable is None else flag("immutable", immutable)
            whole("max_uploads", max_uploads, least=1, most=64)
        content = yield from offload(lambda: _content(source, key))
        told = _Told(on_progress, content.size)
        again = 0
        while True:
            upload = yield from self._begun(keys, key, content, kind, shown, fixed)
            told.restart()
            sending = _Sending(self._root, upload, content, told)
            try:
                yield from sending.all(max_uploads)
                break
            except _Expired as expired:
                again += 1
                if again == _ROUNDS:
                    raise expired.error from expired.error.__cause__
        return (yield from self._completed(keys, sending, key, content.size, kind, shown))

    def _begun(
        self, keys: ProjectKeys, key: str, content: Content, kind: str, visibility: str, immutable: bool
    ) -> Flow[Upload]:
        from tollkit_api.run402.v1_57.api.blobs import blobs_create_upload as operation
        from tollkit_api.run402.v1_57.models import CreateUploadRequest

        doing = "initializing upload"
        with preparing(doing):
            body = CreateUploadRequest(
                key=key,
                size_bytes=content.size,
                content_type=kind,
                visibility=visibility,
                immutable=immutable,
                sha256=content.sha256 if immutable else None,
            )
            request = built(operation.request, body=body)
        return (yield from self._root.call(request, operation.parse, doing, keys=keys))

    def _completed(
        self, keys: ProjectKeys, sending: _Sending, key: str, size: int, kind: str, visibility: str
    ) -> Flow[AssetRef]:
        from tollkit_api.run402.v1_57.api.blobs import blobs_complete_upload as operation
        from tollkit_api.run402.v1_57.models import CompleteUploadRequest, UploadedPart

        doing = "completing upload"
        multipart = sending.upload.mode == "multipart"
        parts = [UploadedPart(part_number=n, etag=f'"{sending.etags[n]}"') for n in sorted(sending.etags)]
        with preparing(doing):
            request = built(
                operation.request,
                sending.upload.upload_id,
                body=CompleteUploadRequest(parts=parts if multipart else None),
            )
        # once more does no harm, and a lost answer must not cost the whole upload
        stored = yield from self._root.call(again(request), operation.parse, doing, keys=keys)
        return AssetRef.of(stored, key=key, size=size, content_type=kind, visibility=visibility)

    @flow
    def get(self, project_id: str, key: str) -> Flow[Blob]:
        """A stored file, read whole. For large ones there is `download`.

        Args:
            project_id: The project.
            key: Its key.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            ApiError: There is no such file, or the platform refused otherwise.

        Source: Run402 gateway, `GET /storage/v1/blob/{key}`.
        """
        from tollkit_api.run402.v1_57.api.blobs import blobs_get as operation

        def read(response: HttpResponse) -> Blob:
            return Blob(
                content=operation.parse(response),
                content_type=response.headers.get("content-type"),
                etag=response.headers.get("etag"),
                headers=response.headers,
            )

        return (yield from with_keys(self._root, project_id, "downloading blob", read, operation.request, key))

    @flow
    def download(
        self,
        project_id: str,
        key: str,
        path: str | os.PathLike[str],
        *,
        resume: bool = True,
        on_progress: Progress | None = None,
    ) -> Flow[Downloaded]:
        """A stored file to a file on disk, in constant memory; a broken connection goes on where it was.

        The file stands in its place when all of it is there; until then it is `<path>.part`, from which a later call
        goes on as well.

        Args:
            project_id: The project.
            key: Its key.
            path: Where it goes; replaced.
            resume: Go on with what an earlier call left.
            on_progress: Called with the bytes that are there, and those that there will be or `None`, in the thread
                that writes them.

        Raises:
            LocalError: The file cannot be written, or another download to it is going on.
            ProjectNotFound: The credentials do not know the project.
            ApiError: There is no such file, or the platform refused otherwise.
            NetworkError: The connection broke, and nothing new came of several attempts; what came is kept.

        Source: Run402 gateway, `GET /storage/v1/blob/{key}`; RFC 9110, section 14.
        """
        from tollkit.run402 import download as downloading
        from tollkit_api.run402.v1_57.api.blobs import blobs_get as operation

        doing = "downloading blob"
        root = self._root
        keys = yield from root.keys_of(project_id, doing)
        with preparing(doing):
            request = built(operation.request, key)

        def fetch(headers: Mapping[str, str], sink: Sink) -> Flow[HttpResponse]:
            passed = {416} if "Range" in headers else ()
            return root.download(request, sink, doing, keys=keys, headers=headers, passed=passed)

        source = root.api_base + request.url_with_query
        return (yield from downloading.download(fetch, path, source=source, resume=resume, on_progress=on_progress))

    @flow
    def ls(
        self, project_id: str, *, prefix: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> Flow[BlobList]:
        """One page of the stored files; `iterate` goes through all.

        Args:
            project_id: The project.
            prefix: Only keys that start so.
            limit: How many; 100 when left out, 1000 at most.
            cursor: `next_cursor` of the page before.

        Raises:
            ProjectNotFound: The credentials do not know the project.

        Source: Run402 gateway, `GET /storage/v1/blobs`.
        """
        from tollkit_api.run402.v1_57.api.blobs import blobs_ls as operation

        doing = "listing blobs"
        with preparing(doing):
            most = None if limit is None else whole("limit", limit)
            start, after = choice_or_none("prefix", prefix), choice_or_none("cursor", cursor)
        return (
            yield from with_keys(
                self._root,
                project_id,
                doing,
                operation.parse,
                operation.request,
                prefix=start,
                limit=most,
                cursor=after,
            )
        )

    @paged
    def iterate(
        self, project_id: str, *, prefix: str | None = None, page_size: int | None = None
    ) -> Flow[Page[BlobSummary]]:
        """All stored files, page by page.

        Args:
            project_id: The project.
            prefix: Only keys that start so.
            page_size: How many a page; 100 when left out, 1000 at most.

        Raises:
            ProjectNotFound: The credentials do not know the project.

        Source: Run402 gateway, `GET /storage/v1/blobs`.
        """
        return self._after(project_id, prefix, page_size, None)

    def _after(
        self, project_id: str, prefix: str | None, page_size: int | None, cursor: str | None
    ) -> Flow[Page[BlobSummary]]:
        found = yield from self._root.blobs.ls(project_id, prefix=prefix, limit=page_size, cursor=cursor)
        following = found.next_cursor
        if not following or following == cursor:
            return Page(found.blobs)
        return Page(found.blobs, lambda: self._after(project_id, prefix, page_size, following))

    @flow
    def rm(self, project_id: str, key: str) -> Flow[None]:
        """Delete a stored file.

        Args:
            project_id: The project.
            key: Its key.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            ApiError: The platform refused.

        Source: Run402 gateway, `DELETE /storage/v1/blob/{key}`.
        """
        from tollkit_api.run402.v1_57.api.blobs import blobs_rm as operation

        yield from with_keys(self._root, project_id, "deleting blob", operation.parse, operation.request, key)

    @flow
    def sign(self, project_id: str, key: str, *, ttl_seconds: int | None = None) -> Flow[SignedBlob]:
        """An address by which anybody can read a private file for a while.

        Args:
            project_id: The project.
            key: Its key.
            ttl_seconds: For how long: from 60 to 604800, 3600 when left out.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            ApiError: There is no such file, or the time is out of bounds.

        Source: Run402 gateway, `POST /storage/v1/blob/{key}/sign`.
        """
        from tollkit_api.run402.v1_57.api.blobs import blobs_sign as operation
        from tollkit_api.run402.v1_57.models import SignBlobRequest

        doing = "signing blob URL"
        with preparing(doing):
            body = SignBlobRequest(ttl_seconds=None if ttl_seconds is None else whole("ttl_seconds", ttl_seconds))
        return (
            yield from with_keys(self._root, project_id, doing, operation.parse, operation.request, key, body=body)
        )

    @flow
    def diagnose_url(self, project_id: str, url: str) -> Flow[BlobDiagnosis]:
        """What a reader of a file's address sees now.

        Args:
            project_id: The project.
            url: The address.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            Unauthorized: The address is of another project.

        Source: Run402 gateway, `GET /storage/v1/blobs/diagnose`.
        """
        from tollkit_api.run402.v1_57.api.blobs import blobs_diagnose_url as operation

        doing = "diagnosing blob URL"
        with preparing(doing):
            required_text("url", url)
        return (yield from with_keys(self._root, project_id, doing, operation.parse, operation.request, url=url))

    @flow
    def wait_fresh(self, project_id: str, *, url: str, sha256: str, timeout: float = 60.0) -> Flow[BlobFreshness]:
        """Wait until readers of an address see a version. That time ran out is a result, no error.

        Args:
            project_id: The project.
            url: The address.
            sha256: Hash of the version in hex.
            timeout: Seconds.

        Raises:
            LocalError: An argument is missing or wrong (also an `ArgumentError`).
            ProjectNotFound: The credentials do not know the project.
            Unauthorized: The address is of another project; waiting would not help.
            ApiError: The platform refused; waiting would not help.

        Source: Run402 gateway, `GET /storage/v1/blobs/diagnose`.
        """
        doing = "waiting for CDN freshness"
        yield from self._root.keys_of(project_id, doing)
        with preparing(doing):
            expected = required_text("sha256", sha256).lower()
            if isinstance(timeout, bool) or not isinstance(timeout, int | float) or math.isnan(timeout):
                raise ArgumentError("timeout", "must be a number of seconds")
        begun, delay = time.monotonic(), 0.1
        attempts, observed = 0, None
        while (elapsed := time.monotonic() - begun) < timeout:
            attempts += 1
            try:
                found = yield from self._root.blobs.diagnose_url(project_id, url)
            except Run402Error as error:
                if not (error.retryable or isinstance(error, DecodeError)):
                    raise
            else:
                observed = found.observed_sha_256
                if (observed or "").lower() == expected:
                    elapsed = time.monotonic() - begun
                    return BlobFreshness(fresh=True, observed_sha256=observed, attempts=attempts, elapsed=elapsed)
            left = timeout - (time.monotonic() - begun)
            if left <= 0:
                break
            yield from sleep(min(delay, left))
            delay = min(delay * 2, 1.0)
        elapsed = time.monotonic() - begun
        return BlobFreshness(fresh=False, observed_sha256=observed, attempts=attempts, elapsed=elapsed)


class ScopedBlobs(ScopedNamespace[D]):
    """`project.blobs`: files of the project, without its id."""

    _plain = Blobs

    put: Final = of_project(Blobs[Any].put)
    get: Final = of_project(Blobs[Any].get)
    download: Final = of_project(Blobs[Any].download)
    ls: Final = of_project(Blobs[Any].ls)
    iterate: Final = of_project(Blobs[Any].iterate)
    rm: Final = of_project(Blobs[Any].rm)
    sign: Final = of_project(Blobs[Any].sign)
    diagnose_url: Final = of_project(Blobs[Any].diagnose_url)
    wait_fresh: Final = of_project(Blobs[Any].wait_fresh)


# -- uploads --------------------------------------------------------------------------------------------------------


def _content(source: object, key: str) -> Content:
    """The source, hashed. Blocks."""
    # here, since who only reads and lists needs nothing of it
    from tollkit.run402.deploy.content import Content, Hashing, Sources
    from tollkit.run402.deploy.errors import DeployError

    doing = "uploading blob"
    value = source
    if is_object(source) and ("content" in source or "bytes" in source):
        text, data = source.get("content"), source.get("bytes")
        if (text is None) == (data is None):
            raise raised(ArgumentError("source", "must have exactly one of content and bytes"), doing)
        if isinstance(data, str) or not isinstance(text, str | None):
            raise raised(ArgumentError("source", "must have text in content, or data in bytes"), doing)
        value = data if text is None else text
    if isinstance(value, str) and len(value.encode("utf-8", "surrogatepass")) > MOST_TEXT:
        raise raised(ArgumentError("source", f"is text of more than {MOST_TEXT} bytes; give it as bytes"), doing)
    try:
        sources = Sources()
        found = sources.add(value, key)
        if found.store is None:
            raise raised(ArgumentError("source", "must have the bytes, not only their hash"), doing)
        hashing = Hashing(sources.stores)
        while hashing.some(1 << 62, 1):
            pass
        return next(iter(Content.of([found]).values()))
    except DeployError as error:
        raise _as_local(error, doing) from error


def _as_local(error: Any, doing: str) -> LocalError:
    return LocalError(
        error.message, code=error.code, hint=error.hint, context={"doing": doing, "resource": error.resource}
    )


class _Told:
    """Tells how many bytes were sent."""

    def __init__(self, on_progress: Callable[[int, int], object] | None, total: int) -> None:
        self._on_progress = on_progress
        self._total = total
        self._lock = threading.Lock()
        self._sent = 0

    def restart(self) -> None:
        """Everything will be sent again."""
        self._sent = 0

    def count(self, number: int) -> None:
        """Count bytes that were sent, or, below zero, such as must be sent again."""
        with self._lock:
            self._sent += number
            if self._on_progress is not None:
                self._on_progress(self._sent, self._total)


class _Expired(Exception):
    """The addresses of an upload are over."""

    def __init__(self, error: Run402Error) -> None:
        super().__init__(str(error))
        self.error = error


class _Sending:
    """The parts of one upload."""

    def __init__(self, root: Run402Flows, upload: Upload, content: Content, told: _Told) -> None:
        _check(upload.parts, content.size)
        self.upload = upload
        self.etags: dict[int, str] = {}
        self._root = root
        self._content = content
        self._told = told
        self._waiting = deque(upload.parts)
        self._failures: list[BaseException] = []

    def all(self, most: int) -> Flow[None]:
        """Send all parts, so many side by side; what failed first is told."""
        workers = min(most, len(self._waiting))
        try:
            yield from gather([self._work() for _ in range(workers)], limit=workers)
        except CancelledError:  # a part that was stopped can be faster than the one that has failed
            raise self._failures[0]  # noqa: B904 - as it was raised, with the cause that it has

    def _work(self) -> Flow[None]:
        try:
            while (part := self._next()) is not None:
                yield from self._send(part)
        except BaseException as failure:
            self._failures.append(failure)  # threads cannot be ended from outside: the others look here
            raise

    def _next(self) -> UploadPart | None:
        self._go_on()
        try:
            return self._waiting.popleft()
        except IndexError:
            return None

    def _go_on(self) -> None:
        if self._failures:
            raise CancelledError("Another part of the same upload has failed")

    def _send(self, part: UploadPart) -> Flow[None]:
        from tollkit.run402.deploy.errors import DeployError

        end = min(part.byte_end + 1, self._content.size)
        body = Counted(self._content.body(part.byte_start, end), self._told.count, self._go_on)
        attempt = 0
        while True:
            attempt += 1
            try:
                outcome = yield from put_part(part.url.reveal(), {}, body, base=self._root.api_base, doing=_UPLOADING)
            except DeployError as changed:
                raise _as_local(changed, _UPLOADING) from changed
            if outcome.arrived:
                self.etags[part.part_number] = outcome.etag.removeprefix('"').removesuffix('"')
                return
            error = _refusal(part.part_number, self._content.label, outcome, attempt)
            if outcome.expired:
                raise _Expired(error)
            if not outcome.retryable or attempt == ATTEMPTS:
                raise error
            yield Sleep(outcome.wait(attempt))


def _check(parts: list[UploadPart], size: int) -> None:
    """See that the parts together are the file: else something would be stored that nobody sent."""
    at = 0
    if not parts and size == 0:
        return
    fits = bool(parts) and len({part.part_number for part in parts}) == len(parts)
    for part in sorted(parts, key=lambda part: part.byte_start):
        fits = fits and part.byte_start == at and part.byte_end >= at - 1
        at = part.byte_end + 1
    # what goes beyond the end is cut off, as the platform's client does
    if not fits or at < size or max(part.byte_start for part in parts) > size:
        raise raised(
            DecodeError("The platform asks for other parts than the file has", hint="Report it to the platform"),
            _UPLOADING,
        )


def _refusal(number: int, label: str, outcome: Outcome, attempts: int) -> Run402Error:
    told = f"Part {number} of {label} could not be uploaded. {outcome.problem}"
    if outcome.failure is not None:
        broken = raised(NetworkError(told, context={"attempts": attempts}), _UPLOADING)
        broken.__cause__ = outcome.failure
        return broken
    shown = (outcome.body or "")[:200]
    return raised(
        ApiError(
            f"{told}{shown and ': '}{shown}",
            status=outcome.status,
            body=outcome.body,
            retryable=outcome.retryable,
            context={"attempts": attempts},
        ),
        _UPLOADING,
    )
