"""Stored files as web pages refer to them: addresses, integrity, and HTML tags."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, Literal

import attrs

from tollkit.core.addresses import link_address
from tollkit.errors import ArgumentError, DecodeError
from tollkit.run402.errors import LocalError, raised

if TYPE_CHECKING:
    from tollkit_api.run402.v1_57.models import StoredBlob

__all__ = ["AssetRef", "CdnState", "blob_content_type"]

_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "svg": "image/svg+xml",
    "webp": "image/webp",
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "json": "application/json",
    "txt": "text/plain",
    "md": "text/markdown",
    "pdf": "application/pdf",
    "zip": "application/zip",
    "tgz": "application/gzip",
    "gz": "application/gzip",
}
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_VERSION = "blob-gateway-v2"
_IMMUTABLE_HINT = "Use cdnUrl (cdn_url), or the tags of this object: the address changes with the content."
_MUTABLE_HINT = (
    "A new version takes a while to reach everywhere: use an immutable address, or wait with blobs.wait_fresh "
    "(wait_for_cdn_freshness)."
)


def blob_content_type(key: str) -> str:
    """The content type that the platform's client gives a file by the end of its key.

    It differs from that of a deploy: no charset, fewer kinds, and a key without a dot is an ending itself.
    """
    return _TYPES.get(key.rpartition(".")[2].lower(), "application/octet-stream")


@attrs.frozen(kw_only=True)
class CdnState:
    """How far a CDN has come with a file.

    Attributes:
        version: Of the CDN's part.
        invalidation_id: Of the removal of the former version.
        invalidation_status: `InProgress`, `Completed` or `Failed`.
        ready: Whether the file is there.
        hint: What to do.
    """

    version: str
    invalidation_id: str | None
    invalidation_status: str | None
    ready: bool
    hint: str

    def to_dict(self) -> dict[str, Any]:
        """By the names of the platform's client."""
        return {
            "version": self.version,
            "invalidationId": self.invalidation_id,
            "invalidationStatus": self.invalidation_status,
            "ready": self.ready,
            "hint": self.hint,
        }


@attrs.frozen(kw_only=True)
class AssetRef:
    """A stored file, with all that a page needs to refer to it.

    Attributes:
        key: Its key.
        size_bytes: Bytes.
        sha256: Its hash in hex, when the platform told it.
        visibility: `public` or `private`.
        url: Address of the newest version.
        immutable_url: Address of this version.
        content_type: As it was sent.
        cdn_url: Address of this version on the CDN.
        cdn_mutable_url: Address of the newest version there.
        cdn: How far the CDN has come.
    """

    key: str
    size_bytes: int
    sha256: str | None
    visibility: str
    url: str | None
    immutable_url: str | None
    content_type: str
    cdn_url: str | None
    cdn_mutable_url: str | None
    cdn: CdnState

    @classmethod
    def of(cls, stored: StoredBlob, *, key: str, size: int, content_type: str, visibility: str) -> AssetRef:
        """From the platform's answer, and from what was sent where it says nothing.

        Args:
            stored: The answer.
            key: The key that was sent.
            size: Bytes that were sent.
            content_type: As it was sent.
            visibility: As it was asked for.
        """
        cdn = stored.cdn
        ready = None if cdn is None else cdn.ready
        hint = None if cdn is None else cdn.hint
        return cls(
            key=key if stored.key is None else stored.key,
            size_bytes=size if stored.size_bytes is None else stored.size_bytes,
            sha256=stored.sha256,
            visibility=str(visibility if stored.visibility is None else stored.visibility),
            url=stored.url,
            immutable_url=stored.immutable_url,
            content_type=content_type,
            cdn_url=stored.cdn_immutable_url,
            cdn_mutable_url=stored.cdn_url,
            cdn=CdnState(
                version=_VERSION if cdn is None or cdn.version is None else cdn.version,
                invalidation_id=None if cdn is None else cdn.invalidation_id,
                invalidation_status=None if cdn is None else cdn.invalidation_status,
                ready=bool(stored.immutable_url) if ready is None else ready,
                hint=(_IMMUTABLE_HINT if stored.immutable_url else _MUTABLE_HINT) if hint is None else hint,
            ),
        )

    @property
    def size(self) -> int:
        """Bytes."""
        return self.size_bytes

    @property
    def content_sha256(self) -> str | None:
        """Its hash in hex, when the platform told it."""
        return self.sha256

    @property
    def etag(self) -> str | None:
        """Its entity tag (RFC 9110, section 8.8.3), with the quotes."""
        return None if self._digest is None else f'"sha256-{self.sha256}"'

    @property
    def sri(self) -> str | None:
        """Its integrity for `integrity=` (W3C Subresource Integrity)."""
        return None if self._digest is None else f"sha256-{self._digest}"

    @property
    def content_digest(self) -> str | None:
        """Its `Content-Digest` (RFC 9530)."""
        return None if self._digest is None else f"sha-256=:{self._digest}:"

    @property
    def cache_kind(self) -> Literal["private", "immutable", "mutable"]:
        """How caches may keep it."""
        if self.visibility == "private":
            return "private"
        return "immutable" if self.immutable_url else "mutable"

    def script_tag(
        self,
        *,
        type: Literal["module", "text/javascript"] | None = None,
        defer: bool | None = None,
        async_: bool = False,
    ) -> str:
        """A `<script>` with its integrity; deferred unless it is async or told not to be.

        Args:
            type: `module` for a module.
            defer: Whether it waits for the page.
            async_: Whether it runs as soon as it is there.

        Raises:
            LocalError: The file has no address that stays the same.
            DecodeError: Its address is no plain web address (code `unsafe_address`).
        """
        url, sri = self._of_tag()
        kind = ' type="module"' if type == "module" else ""
        when = " async" if async_ else " defer" if defer is None or defer else ""
        return f'<script src="{url}"{kind}{when} integrity="{sri}" crossorigin></script>'

    def link_tag(self, *, rel: str = "stylesheet", as_: str | None = None) -> str:
        """A `<link>` with its integrity.

        Args:
            rel: What the file is to the page.
            as_: What kind it is, for `rel="preload"`.

        Raises:
            LocalError: The file has no address that stays the same.
            DecodeError: Its address is no plain web address (code `unsafe_address`).
        """
        url, sri = self._of_tag()
        kind = f' as="{_escaped("as_", as_)}"' if as_ else ""
        return f'<link rel="{_escaped("rel", rel)}" href="{url}"{kind} integrity="{sri}" crossorigin>'

    def img_tag(self, alt: str = "") -> str:
        """An `<img>` that is loaded when it comes into view.

        Args:
            alt: Text in place of the image.

        Raises:
            LocalError: The file has no address that stays the same.
            DecodeError: Its address is no plain web address (code `unsafe_address`).
        """
        url, _ = self._of_tag()
        return f'<img src="{url}" alt="{_escaped("alt", alt)}" loading="lazy" decoding="async">'

    def to_dict(self) -> dict[str, Any]:
        """By the names of the platform's client, for pages and logs."""
        return {
            "key": self.key,
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "visibility": self.visibility,
            "url": self.url,
            "immutable_url": self.immutable_url,
            "size": self.size,
            "contentSha256": self.content_sha256,
            "contentType": self.content_type,
            "immutableUrl": self.immutable_url,
            "cdnUrl": self.cdn_url,
            "cdnMutableUrl": self.cdn_mutable_url,
            "etag": self.etag,
            "sri": self.sri,
            "contentDigest": self.content_digest,
            "cacheKind": self.cache_kind,
            "cdn": self.cdn.to_dict(),
        }

    @property
    def _digest(self) -> str | None:
        if self.sha256 is None or _SHA256.fullmatch(self.sha256) is None:
            return None
        return base64.b64encode(bytes.fromhex(self.sha256)).decode("ascii")

    def _of_tag(self) -> tuple[str, str]:
        if not self.cdn_url or not self.sri:
            raise raised(
                LocalError(
                    f"{self.key} has no address on the CDN that stays the same, or no hash",
                    hint="Store it as a public file with immutable=True",
                ),
                "making an HTML tag",
            )
        try:
            link_address(self.cdn_url, field="cdn_immutable_url")
        except DecodeError as error:
            raise raised(error, "making an HTML tag") from None
        return _escaped("cdn_url", self.cdn_url), self.sri


def _escaped(name: str, text: object) -> str:
    if not isinstance(text, str):
        raise raised(ArgumentError(name, f"must be text, not {type(text).__name__}"), "making an HTML tag")
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
