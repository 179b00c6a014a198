"""Brings content to the platform: what is missing, some parts side by side, each tried again by itself.

Some workers take parts from one queue. A worker that finds the queue empty asks how to upload the next thousand
objects, the others wait for its answer; so ten thousand objects need no more workers than ten, and addresses are not
asked for long before they are used. Whoever sends the last part of an object completes the object, and whoever
completes the last object of a batch commits the batch.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qsl, urlsplit

import attrs

from tollkit.core.answers import path_part
from tollkit.core.flows import Body, Flow, Sleep, gather, offload, share
from tollkit.core.single_flight import SingleFlight
from tollkit.errors import CancelledError
from tollkit.run402.deploy.errors import DeployError
from tollkit.run402.deploy.events import UploadBytes, UploadProgress
from tollkit.run402.errors import ApiError
from tollkit.run402.parts import ATTEMPTS, MAX_UPLOADS, RETRIED, Counted, again, put_part

if TYPE_CHECKING:
    from tollkit.run402.client import Run402Flows
    from tollkit.run402.credentials import ProjectKeys
    from tollkit.run402.deploy.telling import Teller
    from tollkit.run402.parts import Outcome
    from tollkit_api.run402.v1_57.models import ContentPlan, ContentUpload, UploadPart
    from tollkit_api.runtime import HttpResponse

__all__ = ["MAX_UPLOADS", "Uploadable", "Uploader"]

BATCH = 1000
"""How many objects one content plan is asked for."""
ROUNDS = 3
"""How often a batch is begun anew when the platform does not take its commit."""
EXPIRY_MARGIN = 30.0
"""Seconds before its end from which on an address is not used any more."""
_LEAST_PART = 5 << 20
"""Bytes: no storage of this kind takes smaller parts of a multipart upload."""
_TELL_EVERY = 0.2
"""Seconds between two `UploadBytes`."""
_CHECKSUM = "x-amz-checksum-sha256"
_DOING = "uploading deploy bytes"


class Uploadable(Protocol):
    """Content that can be uploaded."""

    @property
    def sha256(self) -> str:
        """Its hash, in lower-case hex."""
        ...

    @property
    def size(self) -> int:
        """Its bytes."""
        ...

    @property
    def content_type(self) -> str | None:
        """Its content type, when it is known."""
        ...

    @property
    def label(self) -> str:
        """What people call it: a path."""
        ...

    def body(self, start: int = 0, end: int | None = None) -> Body:
        """Its bytes from `start` up to, but not with, `end`."""
        ...


@attrs.define(eq=False)
class _Batch:
    """Objects that were asked for together."""

    contents: Sequence[Uploadable]
    plans: list[str] = attrs.field(factory=list[str])
    """Ids of its content plans, the last first."""
    objects: dict[str, _Object] = attrs.field(factory=dict[str, "_Object"])
    """Those that are not uploaded and completed."""
    asked: int = 0
    """How often addresses were asked for."""
    rounds: int = 0
    """How often it was begun anew."""
    ends: float = math.inf
    """When its addresses end, on the monotonic clock."""


@attrs.define(eq=False)
class _Object:
    """An object on its way, and what is left of it."""

    content: Uploadable
    batch: _Batch
    upload: ContentUpload
    parts: Mapping[int, UploadPart] = attrs.field(factory=dict[int, "UploadPart"])
    left: set[int] = attrs.field(factory=set[int])
    etags: dict[int, str] = attrs.field(factory=dict[int, str])
    checksums: dict[int, str] = attrs.field(factory=dict[int, str])
    attempts: dict[int, int] = attrs.field(factory=dict[int, int])
    begun: int = 0
    """How often its upload was begun; what comes of an earlier one counts no more."""

    @property
    def multipart(self) -> bool:
        """Whether it is sent in parts."""
        return self.upload.mode == "multipart"

    def begin(self) -> list[_Task]:
        """Begin with its first part."""
        self.parts = {part.part_number: part for part in self.upload.parts}
        self.left = set(self.parts)
        self.etags.clear()
        self.checksums.clear()
        self.begun += 1
        return [_Task(self, number, self.begun) for number in self.parts]

    def renew(self, upload: ContentUpload) -> list[_Task]:
        """Go on with fresh addresses; begin again when they are those of another upload."""
        former, self.upload = self.upload.upload_id, upload
        fresh = {part.part_number: part for part in upload.parts}
        if upload.upload_id != former or _ranges(fresh) != _ranges(self.parts):
            return self.begin()
        self.parts = fresh
        return []


def _ranges(parts: Mapping[int, UploadPart]) -> dict[int, tuple[int, int]]:
    return {number: (part.byte_start, part.byte_end) for number, part in parts.items()}


@attrs.frozen
class _Task:
    """One part to send."""

    of: _Object
    number: int
    begun: int


class _Meter:
    """Counts bytes, and tells of them now and then."""

    def __init__(self, tell: Callable[[UploadBytes], None]) -> None:
        self._lock = threading.Lock()
        self._tell = tell
        self._sent = 0
        self._total = 0
        self._told = time.monotonic()

    def expect(self, number: int) -> None:
        """More bytes are to be sent, or, below zero, fewer."""
        with self._lock:
            self._total += number

    def count(self, number: int) -> None:
        """Count bytes that were sent, or, below zero, such as must be sent again."""
        with self._lock:
            self._sent += number
            now = time.monotonic()
            if now - self._told < _TELL_EVERY and self._sent != self._total:
                return
            self._told = now
            event = UploadBytes(self._sent, self._total)
        self._tell(event)


class Uploader:
    """Uploads content of one project.

    Args:
        root: The client's flows.
        keys: Of the project; `None` for a CI session.
        project_id: The project, which a CI session has to name.
        teller: Hears of progress.
        check: Raises when the deploy was cancelled.
        contents: What may be missing, by hash.
        max_uploads: How many parts are sent side by side.
    """

    def __init__(
        self,
        root: Run402Flows,
        *,
        keys: ProjectKeys | None,
        project_id: str,
        teller: Teller,
        check: Callable[[], None],
        contents: Mapping[str, Uploadable],
        max_uploads: int = MAX_UPLOADS,
    ) -> None:
        self._root = root
        self._keys = keys
        self._project_id = project_id
        self._teller = teller
        self._check = check
        self._contents = contents
        self._max_uploads = max_uploads
        self._lock = threading.Lock()
        self._flight = SingleFlight()
        self._tasks: deque[_Task] = deque()
        self._waiting: deque[_Batch] = deque()
        self._done = 0
        self._total = 0
        self._meter = _Meter(teller.tell_from_body)
        self._failures: list[BaseException] = []

    def run(self, missing: Sequence[str]) -> Flow[None]:
        """Upload what is missing.

        Args:
            missing: The hashes, each once; at least one.

        Raises:
            DeployError: `CONTENT_UPLOAD_FAILED`: a part could not be sent, or the bytes are not at hand.
                `CONTENT_CHANGED`: a file is not any more what it was when the deploy began.
            ApiError: The platform refused something (also a `StatusError`).
            NetworkError: It could not be reached.
        """
        contents = [self._found(sha256) for sha256 in missing]
        self._total = len(contents)
        self._waiting.extend(_Batch(contents[at : at + BATCH]) for at in range(0, len(contents), BATCH))
        self._meter.expect(sum(content.size for content in contents))
        yield from self._teller.listen_in_bodies()
        parts = sum(1 + content.size // _LEAST_PART for content in contents)
        workers = min(self._max_uploads, parts)
        try:
            yield from gather([self._work() for _ in range(workers)], limit=workers)
        except CancelledError:  # a part that was stopped can be faster than the one that has failed
            raise self._failures[0]  # noqa: B904 - as it was raised, with the cause that it has

    def _found(self, sha256: str) -> Uploadable:
        content = self._contents.get(sha256)
        if content is None:
            raise DeployError(
                f"The platform asks for content that this deploy does not have: {sha256}",
                code="CONTENT_UPLOAD_FAILED",
                phase="upload",
                resource=sha256,
                doing="uploading deploy bytes",
            )
        return content

    def _work(self) -> Flow[None]:
        """What each worker does: send parts until there are none."""
        try:
            while True:
                self._go_on()
                with self._lock:
                    task = self._tasks.popleft() if self._tasks else None
                    batch = self._waiting[0] if self._waiting else None
                if task is not None:
                    yield from self._send(task)
                elif batch is not None:
                    yield from share(self._flight, id(batch), self._beginning(batch))
                else:
                    return
        except BaseException as failure:
            self._failures.append(failure)  # threads cannot be ended from outside: the others look here
            raise

    def _go_on(self) -> None:
        self._check()
        if self._failures:
            raise CancelledError("Another part of the same upload has failed")

    # ---------------------------------------------------------------- batches

    def _beginning(self, batch: _Batch) -> Callable[[], Flow[None]]:
        def begin() -> Flow[None]:
            with self._lock:
                if batch not in self._waiting:
                    return  # somebody has done it since this worker looked
            yield from self._begin(batch)

        return begin

    def _begin(self, batch: _Batch) -> Flow[None]:
        """Ask how to upload a batch, and put its parts into the queue."""
        self._go_on()
        plan = yield from self._asked(batch, batch.contents)
        uploads = {upload.sha256: upload for upload in plan.missing}
        with self._lock:
            tasks: list[_Task] = []
            for content in batch.contents:
                upload = uploads.get(content.sha256)
                if upload is not None:
                    batch.objects[content.sha256] = made = _Object(content, batch, upload)
                    tasks += made.begin()
                # what is missing again has to be counted again, what is not missing any more was counted for nothing
                if (upload is None) == (batch.rounds == 0):
                    sign = 1 if upload else -1
                    self._total += sign
                    self._meter.expect(sign * content.size)
            self._tasks.extend(tasks)
            self._waiting.remove(batch)
        if not tasks:
            yield from self._commit(batch)

    def _asked(self, batch: _Batch, contents: Sequence[Uploadable]) -> Flow[ContentPlan]:
        from tollkit_api.run402.v1_57.api.deploy import deploy_plan_content as operation
        from tollkit_api.run402.v1_57.models import ContentItem, ContentPlanRequest

        body = ContentPlanRequest(
            content=[
                ContentItem(sha256=content.sha256, size=content.size, content_type=content.content_type)
                for content in contents
            ],
            project_id=self._project_id if self._keys is None else None,
        )
        request = operation.request(body=body)

        def read(response: HttpResponse) -> ContentPlan:
            plan = operation.parse(response)
            path_part(plan.plan_id, "plan_id")
            for index, upload in enumerate(plan.missing):
                path_part(upload.upload_id, "missing", index, "upload_id")
            return plan

        plan = yield from self._root.call(request, read, "planning content upload", keys=self._keys)
        with self._lock:
            batch.asked += 1
            if plan.plan_id not in batch.plans:
                batch.plans.insert(0, plan.plan_id)
            left = min((_seconds_to(upload.expires_at) for upload in plan.missing), default=math.inf)
            # an address that is over when it comes says that the clocks differ: the storage will tell when it is over
            batch.ends = time.monotonic() + left - EXPIRY_MARGIN if left > EXPIRY_MARGIN else math.inf
        return plan

    def _renewed(self, batch: _Batch, asked: int) -> Flow[None]:
        """Get fresh addresses for what is left of a batch, unless somebody has since `asked`."""
        yield from share(self._flight, (id(batch), asked), lambda: self._renew(batch, asked))

    def _renew(self, batch: _Batch, asked: int) -> Flow[None]:
        with self._lock:
            if batch.asked != asked:
                return
            unfinished = [found.content for found in batch.objects.values() if found.left]
        plan = yield from self._asked(batch, unfinished)
        uploads = {upload.sha256: upload for upload in plan.missing}
        brought: list[_Object] = []
        with self._lock:
            for content in unfinished:
                found = batch.objects.get(content.sha256)
                if found is None or not found.left:
                    continue  # its last part has arrived meanwhile
                upload = uploads.get(content.sha256)
                if upload is not None:
                    self._tasks.extend(found.renew(upload))
                else:  # somebody else has brought it
                    found.begun += 1
                    found.left.clear()
                    brought.append(found)
        for found in brought:
            yield from self._finished(found)

    def _finished(self, found: _Object) -> Flow[None]:
        """Count an object, and commit its batch with the last one."""
        with self._lock:
            del found.batch.objects[found.content.sha256]
            self._done += 1
            event = UploadProgress(found.content.label, found.content.sha256, self._done, self._total)
            last = not found.batch.objects
        yield from self._teller.tell(event)
        if last:
            yield from self._commit(found.batch)

    def _commit(self, batch: _Batch) -> Flow[None]:
        """Commit the content plans of a batch, the last one first.

        With fresh addresses comes a new plan, for what was left by then; whether the platform takes the former one
        too, parts of which were never sent, is for it to say. If it does not, the batch is begun anew, and the
        platform tells what it lacks.
        """
        from tollkit_api.run402.v1_57.api.deploy import deploy_commit_content as operation

        for plan_id in batch.plans:
            request = operation.request(plan_id, body={})
            try:
                yield from self._root.call(request, _nothing, "committing content upload", keys=self._keys)
            except ApiError as error:
                refused = 400 <= (error.status or 0) < 500 and error.status not in RETRIED
                if plan_id == batch.plans[0] or not refused or batch.rounds == ROUNDS:
                    raise
                with self._lock:
                    batch.rounds += 1
                    batch.plans.clear()
                    self._waiting.append(batch)
                return

    # ---------------------------------------------------------------- parts

    def _send(self, task: _Task) -> Flow[None]:
        """Send a part until it has arrived, and complete its object when it was the last one."""
        found, number = task.of, task.number
        part = found.parts[number]
        body = Counted(found.content.body(part.byte_start, part.byte_end + 1), self._meter.count, self._go_on)
        while task.begun == found.begun:
            self._go_on()
            asked = found.batch.asked
            if time.monotonic() >= found.batch.ends:
                yield from self._renewed(found.batch, asked)
                continue
            attempt = found.attempts[number] = found.attempts.get(number, 0) + 1
            fresh = found.parts[number]
            url = fresh.url.reveal()
            headers = yield from self._checksum(found, fresh, url)
            outcome = yield from put_part(url, headers, body, base=self._root.api_base, doing=_DOING)
            if outcome.arrived:
                if self._arrived(task, outcome.etag):
                    yield from self._complete(found)
                    yield from self._finished(found)
                return
            body.forget()
            if attempt >= ATTEMPTS or not outcome.retryable:
                raise _failed(found, outcome) from outcome.failure
            if outcome.expired:
                yield from self._renewed(found.batch, asked)
            if not outcome.expired or attempt > 1:  # a fresh address need not wait
                yield Sleep(outcome.wait(attempt))

    def _arrived(self, task: _Task, etag: str) -> bool:
        """Note that a part has arrived; whether it was the last one of its object."""
        found = task.of
        with self._lock:
            if task.begun != found.begun:
                return False
            found.etags[task.number] = etag
            found.left.discard(task.number)
            return not found.left

    def _checksum(self, found: _Object, part: UploadPart, url: str) -> Flow[dict[str, str]]:
        """The header by which the storage checks the bytes, unless the address has the checksum itself."""
        with contextlib.suppress(ValueError):
            if any(name == _CHECKSUM for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)):
                return {}
        if not found.multipart:
            return {_CHECKSUM: base64.b64encode(bytes.fromhex(found.content.sha256)).decode()}
        known = found.checksums.get(part.part_number)
        if known is None:
            inner = found.content.body(part.byte_start, part.byte_end + 1)
            known = found.checksums[part.part_number] = yield from offload(lambda: _hash(inner))
        return {_CHECKSUM: known}

    def _complete(self, found: _Object) -> Flow[None]:
        """Tell the platform that all parts of an object are there. A CI session cannot, and need not."""
        if self._keys is None:
            return
        from tollkit_api.run402.v1_57.api.blobs import blobs_complete_upload as operation
        from tollkit_api.run402.v1_57.models import CompleteUploadRequest, UploadedPart

        named = found.multipart and all(found.etags.values())
        parts = [UploadedPart(part_number=number, etag=found.etags[number]) for number in sorted(found.etags)]
        request = again(
            operation.request(found.upload.upload_id, body=CompleteUploadRequest(parts=parts if named else None))
        )
        # the document allows for the key alone too; a deploy is the wallet's
        request = attrs.evolve(request, operation=attrs.evolve(request.operation, security=(("anonKey", "wallet"),)))
        try:
            yield from self._root.call(again(request), _nothing, "completing content upload session", keys=self._keys)
        except ApiError as error:
            # the answer to an attempt was lost, and that attempt had completed it; the commit tells if it had not
            if error.status not in (404, 409) or error.context.get("attempts", 1) < 2:
                raise


def _nothing(response: HttpResponse) -> None:
    """The answer says nothing that is needed."""


def _hash(body: Body) -> str:
    digest = hashlib.sha256()
    for piece in body.open():
        digest.update(piece)
    return base64.b64encode(digest.digest()).decode()


def _failed(found: _Object, outcome: Outcome) -> DeployError:
    return DeployError(
        f"{found.content.label} could not be uploaded. {outcome.problem}",
        code="CONTENT_UPLOAD_FAILED",
        phase="upload",
        resource=found.content.label,
        retryable=outcome.retryable,
        status=outcome.status,
        body=outcome.body,
        doing=_DOING,
        safe_to_retry=True,
        hint="Deploy again: what has arrived is not uploaded again" if outcome.retryable else None,
    )


def _seconds_to(moment: str | None) -> float:
    """Seconds from now to an instant; infinite when it is not told, or cannot be read."""
    if moment is not None:
        with contextlib.suppress(ValueError):
            ends = datetime.fromisoformat(moment)
            return (ends if ends.tzinfo else ends.replace(tzinfo=UTC)).timestamp() - time.time()
    return math.inf
