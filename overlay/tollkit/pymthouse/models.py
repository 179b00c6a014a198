"""Results that are this client's own, beside the generated models of the documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from tollkit.pymthouse.manifest import AppManifestResponse

__all__ = ["GetAppManifestResult"]


@attrs.frozen
class GetAppManifestResult:
    """What `get_app_manifest` found.

    Attributes:
        manifest: The manifest; `None` when it has not changed.
        etag: The entity tag to send next time, as received, quotes included.
        not_modified: Whether the platform answered 304.
    """

    manifest: AppManifestResponse | None
    etag: str | None
    not_modified: bool

    def to_dict(self) -> dict[str, Any]:
        """The result in the names of the platform's own client."""
        return {
            "manifest": self.manifest.to_dict() if self.manifest else None,
            "etag": self.etag,
            "notModified": self.not_modified,
        }
