"""The content-addressed store: bytes on disk by their SHA-256, sent in through signed addresses as to S3.

    PUT /run402/upload/{token}?part=1&expires=...&serial=...&signature=...

Bodies go to disk as they arrive, but for small ones, which stay in memory until a file is asked for: to make a file
takes longer than all the rest of such a request. The folder is made when it is first needed and removed when the
sandbox stops.

Source: Run402 1.57, `POST /content/v1/plans` and `POST /storage/v1/uploads`; refusals as S3 answers them.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import io
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import parse_qsl, quote, urlencode
from xml.sax.saxutils import escape

import attrs
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from tollkit.sandbox.gate import TRANSPORT, abort
from tollkit.sandbox.run402.gateway import GatewayError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from starlette.types import Receive, Scope, Send

    from tollkit.sandbox.run402.gateway import Gateway

__all__ = ["ContentStore", "Countdown", "Held", "Presigner", "Received", "Transfer", "UploadSession", "etag_of"]

GIB = 1 << 30
MIB = 1 << 20
MOST_BYTES = 5 << 40
"""Bytes of the largest object: 5 TiB, as the platform's documentation has it."""
MOST_PARTS = 10_000
_UPLOADS = "/upload/"
_CHECKSUM = "x-amz-checksum-sha256"
_PIECE = 1 << 20
_FOLDERS = 256
_SMALL = 16_384
"""Bytes up to which a part stays in memory."""


@attrs.define
class Countdown:
    """Something that happens to a number of requests, after a number of others passed."""

    times: int
    skip: int = 0
    value: Any = None

    def hit(self) -> bool:
        """Count one request; whether it is hit."""
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return self.times >= 0


def first_hit(armed: list[Countdown]) -> Countdown | None:
    """Count one request with each of those that are armed, up to the first that it is hit by."""
    for countdown in list(armed):
        if countdown.hit():
            if countdown.times <= 0:
                armed.remove(countdown)
            return countdown
    return None


@attrs.frozen(kw_only=True)
class Transfer:
    """Bytes that came in whole through a signed address."""

    project_id: str
    upload_id: str
    sha256: str | None
    """Of the whole object, as it was declared; None when it was not."""
    part_number: int
    size: int
    """Bytes of this part."""


@attrs.frozen(kw_only=True)
class Received:
    """A part that is here."""

    at: Path | bytes = attrs.field(repr=False)
    """Its file, or the bytes themselves."""
    sha256: str
    size: int

    @property
    def etag(self) -> str:
        """Its entity tag, with quotes."""
        return etag_of(self.sha256)

    def open(self) -> BinaryIO:
        """Read it."""
        return io.BytesIO(self.at) if isinstance(self.at, bytes) else self.at.open("rb")

    def remove(self) -> None:
        """Remove its file."""
        if not isinstance(self.at, bytes):
            self.at.unlink(missing_ok=True)


def etag_of(sha256: str) -> str:
    """The entity tag of a part: 32 hex digits in quotes, as S3's look; like those of encrypted parts no MD5."""
    return f'"{sha256[:32]}"'


@attrs.define(kw_only=True)
class UploadSession:
    """An object that is on its way in."""

    id: str
    token: str = attrs.field(repr=False)
    project_id: str
    size: int
    sha256: str | None
    """What it must be; None when nobody said."""
    content_type: str | None
    ranges: tuple[tuple[int, int], ...]
    """First and last byte of each part."""
    blob: Mapping[str, Any] | None = None
    """What a blob is to be made of; None for content of deploys."""
    received: dict[int, Received] = attrs.field(factory=dict[int, Received])
    assembled: Received | None = None
    """The whole object, once its parts were put together."""
    completed: bool = False
    guard: asyncio.Lock = attrs.field(factory=asyncio.Lock, repr=False)

    @property
    def multipart(self) -> bool:
        """Whether the bytes come in several parts."""
        return len(self.ranges) > 1

    @property
    def missing_parts(self) -> list[int]:
        """Numbers of the parts that did not come yet."""
        return [number for number in range(1, len(self.ranges) + 1) if number not in self.received]


@attrs.define(kw_only=True)
class Held:
    """Content that a project has."""

    size: int
    committed: bool
    """Whether the plan that it came with was committed; before that no release can use it."""


class _S3Error(Exception):
    def __init__(self, status: int, code: str, message: str, *, unread: bool = True) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.unread = unread
        """Whether the body was not read yet."""

    def answer(self) -> Response:
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{self.code}</Code><Message>{escape(str(self))}</Message></Error>"
        )
        return Response(text, self.status, media_type="application/xml")


class Presigner:
    """Signs addresses that work without keys until they end.

    Args:
        gateway: Whose clock says when they end.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._key = hashlib.sha256(b"tollkit sandbox run402: presigned addresses").digest()
        self._serial = 0
        self.ended: set[str] = set()
        """Signatures of addresses that were made to end early."""

    def sign(self, method: str, path: str, lifetime: float, fields: Mapping[str, str] | None = None) -> str:
        """The signed address of a path below the gateway.

        Args:
            method: That it is good for.
            path: Percent-encoded, e.g. `/upload/abc`.
            lifetime: Seconds.
            fields: Of the query, signed too.
        """
        self._serial += 1
        query = {
            **(fields or {}),
            "expires": f"{self._gateway.clock.now() + lifetime:.3f}",
            # two addresses of one object differ, also when they were made in the same moment
            "serial": str(self._serial),
        }
        query["signature"] = self._signature(method, path, query)
        return f"{self._gateway.api_base}{path}?{urlencode(query, quote_via=quote)}"

    def refusal(self, method: str, path: str, query: Mapping[str, str]) -> str | None:
        """Why an address is refused: `expired` or `signature`; None when it is good.

        Args:
            method: Of the request.
            path: As it stood on the wire, below the gateway.
            query: Decoded.
        """
        signature = query.get("signature", "")
        told = {name: value for name, value in query.items() if name != "signature"}
        if not hmac.compare_digest(signature.encode(), self._signature(method, path, told).encode()):
            return "signature"
        if signature in self.ended or self._gateway.clock.now() >= float(told["expires"]):
            return "expired"
        return None

    def _signature(self, method: str, path: str, query: Mapping[str, str]) -> str:
        text = "\n".join([method, path, urlencode(sorted(query.items()))])
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


class ContentStore:
    """Objects by their hash, and uploads on their way.

    Args:
        gateway: Whose clock and lock hold.

    Attributes:
        multipart_above: Bytes; larger objects come in parts.
        part_size: Bytes of a part.
        lifetime: Seconds that a signed address is good for.
        etags_required: Whether the completion of an upload in parts must name their entity tags.
        checksum_in_address: Whether addresses of single uploads carry the checksum, so that no header is needed.
        reuse: Whether who asks again for an upload that is under way gets the same one with fresh addresses.
        uploads: What came in whole, in order.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.presigner: Presigner = Presigner(gateway)
        self._folder: Path | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None
        self._files = 0
        self._begin()

    def _begin(self) -> None:
        self.multipart_above: int = 5 * GIB
        self.part_size: int = 16 * MIB
        self.lifetime: float = 3600.0
        self.etags_required: bool = True
        self.checksum_in_address: bool = False
        self.reuse: bool = True
        self.uploads: list[Transfer] = []
        self.drops: list[Countdown] = []
        self.expiries: list[Countdown] = []
        self.sessions: dict[str, UploadSession] = {}
        self._by_token: dict[str, UploadSession] = {}
        self._under_way: dict[tuple[str, str | None, int], UploadSession] = {}
        self._held: dict[str, dict[str, Held]] = {}
        self._whole: dict[str, Path | bytes] = {}
        self.presigner.ended.clear()

    def forget(self) -> None:
        """Forget all content and uploads, and remove the files."""
        if self._finalizer is not None:
            self._finalizer()
        self._folder = self._finalizer = None
        self._begin()

    def routes(self) -> list[Route]:
        """Where signed addresses lead."""
        return [Route(_UPLOADS + "{token}", _Put(self), methods=["PUT"])]

    # ---------------------------------------------------------------- what is there

    @property
    def folder(self) -> Path:
        """Where the files are."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="tollkit-sandbox-"))
            for number in range(_FOLDERS):
                (self._folder / f"{number:02x}").mkdir()
            self._finalizer = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder

    def new_file(self) -> Path:
        """A path that nothing is at yet."""
        self._files += 1
        return self.folder / f"{self._files % _FOLDERS:02x}" / str(self._files)

    def held(self, project_id: str, sha256: str) -> Held | None:
        """What a project has of that hash; other projects' content does not count."""
        return self._held.get(project_id, {}).get(sha256)

    def hold(self, project_id: str, sha256: str, size: int, *, committed: bool) -> None:
        """Note that a project has content."""
        held = self._held.setdefault(project_id, {})
        known = held.get(sha256)
        if known is None:
            held[sha256] = Held(size=size, committed=committed)
        elif committed:
            known.committed = True

    def path(self, sha256: str) -> Path:
        """The file of a hash.

        Raises:
            KeyError: It is not there.
        """
        whole = self._whole[sha256]
        if isinstance(whole, bytes):
            path = self.new_file()
            path.write_bytes(whole)
            self._whole[sha256] = whole = path
        return whole

    def read(self, sha256: str) -> bytes:
        """All bytes of a hash, for what is small.

        Raises:
            KeyError: It is not there.
        """
        whole = self._whole[sha256]
        return whole if isinstance(whole, bytes) else whole.read_bytes()

    def add(self, project_id: str, data: bytes) -> str:
        """Put content of a project there without an upload; its hash."""
        sha256 = hashlib.sha256(data).hexdigest()
        self._take(Received(at=data, sha256=sha256, size=len(data)))
        self.hold(project_id, sha256, len(data), committed=True)
        return sha256

    def _take(self, whole: Received) -> None:
        if self._whole.setdefault(whole.sha256, whole.at) is not whole.at:
            whole.remove()

    # ---------------------------------------------------------------- uploads

    def open(
        self,
        project_id: str,
        *,
        size: int,
        sha256: str | None,
        content_type: str | None,
        blob: Mapping[str, Any] | None = None,
    ) -> UploadSession:
        """An upload for an object; one that is under way, when the project asked for the same content before."""
        known = self._under_way.get((project_id, sha256, size))
        if blob is None and self.reuse and known is not None and not known.completed:
            return known
        session = UploadSession(
            id=self.gateway.new_id("upl_", 24),
            token=self.gateway.new_id("", 40),
            project_id=project_id,
            size=size,
            sha256=sha256,
            content_type=content_type,
            ranges=self._ranges(size),
            blob=blob,
        )
        self.sessions[session.id] = session
        self._by_token[session.token] = session
        if blob is None:
            self._under_way[project_id, sha256, size] = session
        return session

    def _ranges(self, size: int) -> tuple[tuple[int, int], ...]:
        if size <= self.multipart_above:
            return ((0, size - 1),)
        # larger parts rather than more than a storage of this kind takes
        step = max(self.part_size, -(-size // MOST_PARTS))
        return tuple((start, min(start + step, size) - 1) for start in range(0, size, step))

    def parts(self, session: UploadSession) -> list[dict[str, Any]]:
        """The parts of an upload with fresh addresses, as they are told to the client."""
        fields: dict[str, str] = {}
        if self.checksum_in_address and not session.multipart and session.sha256 is not None:
            fields[_CHECKSUM] = base64.b64encode(bytes.fromhex(session.sha256)).decode()
        return [
            {
                "part_number": number,
                "url": self.presigner.sign(
                    "PUT", _UPLOADS + session.token, self.lifetime, {"part": str(number), **fields}
                ),
                "byte_start": start,
                "byte_end": end,
            }
            for number, (start, end) in enumerate(session.ranges, 1)
        ]

    def target(self, token: str, path: str, query: Mapping[str, str]) -> tuple[UploadSession, int]:
        """The upload and the number of the part that an address is for.

        Raises:
            _S3Error: The address is refused.
        """
        session = self._by_token.get(token)
        if session is None:
            raise _S3Error(404, "NoSuchUpload", "The specified upload does not exist.")
        if first_hit(self.expiries):
            self.presigner.ended.add(query.get("signature", ""))
        refusal = self.presigner.refusal("PUT", path, query)
        if refusal == "signature":
            raise _S3Error(
                403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature."
            )
        if refusal is not None:
            raise _S3Error(403, "AccessDenied", "Request has expired")
        return session, int(query["part"])

    def receive(self, session: UploadSession, number: int, part: Received) -> None:
        """Take a part that came in whole; it replaces one that came before."""
        former = session.received.get(number)
        session.received[number] = part
        if former is not None:
            former.remove()
        self.uploads.append(
            Transfer(
                project_id=session.project_id,
                upload_id=session.id,
                sha256=session.sha256,
                part_number=number,
                size=part.size,
            )
        )

    async def assemble(self, sessions: Iterable[UploadSession]) -> None:
        """Put parts together, in a thread, where all have come: hashing gigabytes must not stop the server."""
        for session in sessions:
            async with session.guard:
                if session.completed or session.assembled is not None or session.missing_parts:
                    continue
                parts = [session.received[number] for number in range(1, len(session.ranges) + 1)]
                if len(parts) == 1:
                    session.assembled = parts[0]
                    continue
                session.assembled = await asyncio.to_thread(_joined, self.new_file(), parts)

    def complete(self, session: UploadSession, parts: Sequence[Mapping[str, Any]] | None, *, etags: bool) -> Received:
        """End an upload; once more is no harm.

        Args:
            session: Whose parts were put together by `assemble`.
            parts: What the caller names: `part_number` and `etag`.
            etags: Whether several parts must be named.

        Raises:
            GatewayError: 409, parts are missing; 400, an entity tag or the hash is another.
        """
        if session.completed and session.assembled is not None:
            return session.assembled
        missing = session.missing_parts
        if missing:
            raise _refused(409, session, f"Parts {missing} were not uploaded.", missing_parts=missing)
        if parts is None and session.multipart and etags:
            raise _refused(400, session, "An upload in parts is completed with their numbers and entity tags.")
        if parts is not None:
            told = [(part.get("part_number"), str(part.get("etag", "")).strip('"')) for part in parts]
            kept = [(number, session.received[number].etag.strip('"')) for number in sorted(session.received)]
            if told != kept:
                raise _refused(400, session, "The parts that are named are not the parts that were uploaded.")
        whole = session.assembled
        if whole is None:
            raise _refused(409, session, "The parts are being put together.", retryable=True, safe_to_retry=True)
        if session.sha256 is not None and whole.sha256 != session.sha256:
            session.received.clear()
            session.assembled = None
            whole.remove()
            raise _refused(
                400,
                session,
                "The content does not have the hash that was told.",
                expected_sha256=session.sha256,
                actual_sha256=whole.sha256,
            )
        session.completed = True
        self._take(whole)
        self.hold(session.project_id, whole.sha256, whole.size, committed=session.blob is not None)
        return whole


def _refused(status: int, session: UploadSession, message: str, **fields: Any) -> GatewayError:
    flags = {name: fields.pop(name) for name in ("retryable", "safe_to_retry") if name in fields}
    details = {"upload_id": session.id, **fields}
    return GatewayError(status, "CONTENT_UPLOAD_FAILED", message, details=details, **flags)


def _joined(target: Path, parts: Sequence[Received]) -> Received:
    digest = hashlib.sha256()
    size = 0
    with target.open("wb") as out:
        for part in parts:
            with part.open() as file:
                while piece := file.read(_PIECE):
                    digest.update(piece)
                    size += out.write(piece)
            # each part goes when it was copied: twice the space of one part, not of the object
            part.remove()
    return Received(at=target, sha256=digest.hexdigest(), size=size)


class _Put:
    """The ASGI application behind signed addresses."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._take(scope, receive)
        except _S3Error as refusal:
            # an answer before the end of the body is often lost with the connection
            while refusal.unread and (await _message(receive)).get("more_body", False):
                pass
            answer = refusal.answer()
        await answer(scope, receive, send)

    async def _take(self, scope: Scope, receive: Receive) -> Response:
        store = self._store
        headers = Headers(scope=scope)
        query = dict(parse_qsl(scope["query_string"].decode("ascii"), keep_blank_values=True))
        with store.gateway.lock:
            session, number = store.target(scope["path_params"]["token"], scope["path"], query)
            drop = first_hit(store.drops)
        start, end = session.ranges[number - 1]
        expected = end - start + 1
        if "content-length" not in headers:
            raise _S3Error(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
        length = int(headers["content-length"])
        if length != expected:
            code = "EntityTooLarge" if length > expected else "IncompleteBody"
            raise _S3Error(400, code, f"The part has {expected} bytes, not {length}.")
        drop_after = None if drop is None else drop.value
        at: Path | bytes
        with contextlib.ExitStack() as undo:
            if expected <= _SMALL:
                memory = io.BytesIO()
                sha256, size = await _stream(scope, receive, memory, drop_after)
                at = memory.getvalue()
            else:
                at = store.new_file()
                undo.callback(at.unlink, missing_ok=True)
                with at.open("wb") as file:
                    sha256, size = await _stream(scope, receive, file, drop_after)
            if size != expected:
                raise _S3Error(400, "IncompleteBody", f"The part has {expected} bytes, not {size}.", unread=False)
            told = headers.get(_CHECKSUM) or query.get(_CHECKSUM)
            checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
            if told is not None and told != checksum:
                message = "The SHA256 you specified did not match the calculated checksum."
                raise _S3Error(400, "BadDigest", message, unread=False)
            undo.pop_all()
        part = Received(at=at, sha256=sha256, size=size)
        with store.gateway.lock:
            if store.sessions.get(session.id) is session and not session.completed:
                store.receive(session, number, part)
            else:  # forgotten in the meantime, or completed: the bytes are not needed, and S3 would not say so
                part.remove()
        sent = {"etag": part.etag} | ({} if told is None else {_CHECKSUM: checksum})
        return Response(status_code=200, headers=sent)


async def _message(receive: Receive) -> Any:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message


async def _stream(scope: Scope, receive: Receive, file: BinaryIO, drop_after: int | None) -> tuple[str, int]:
    """Write a body to a file; its hash and size.

    Raises:
        ClientDisconnect: The client went, or the connection was to be dropped after so many bytes.
    """
    digest = hashlib.sha256()
    size = 0
    more = True
    while more:
        message = await _message(receive)
        piece: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        if drop_after is not None and (size + len(piece) >= drop_after or not more):
            abort(scope[TRANSPORT])
            raise ClientDisconnect
        digest.update(piece)
        size += file.write(piece)
    return digest.hexdigest(), size


def after_assembly(
    store: ContentStore, inner: Route, sessions: Callable[[Mapping[str, str]], Iterable[UploadSession]]
) -> Route:
    """A route before whose handler the parts of uploads are put together.

    Args:
        store: Whose uploads they are.
        inner: The route.
        sessions: Gives the uploads by the path parameters of a request.
    """

    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        with store.gateway.lock:
            found = list(sessions(scope["path_params"]))
        await store.assemble(found)
        await inner.app(scope, receive, send)

    return Route(inner.path, _Application(endpoint), methods=list(inner.methods or ()))


class _Application:
    """An ASGI function as an object: routes take functions for request handlers."""

    def __init__(self, run: Callable[[Scope, Receive, Send], Any]) -> None:
        self._run = run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._run(scope, receive, send)
