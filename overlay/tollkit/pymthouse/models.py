"""Results that are this client's own, beside the generated models of the documents."""

from __future__ import annotations

from typing import Any

import attrs

from tollkit.oidc.json_values import is_list, is_object
from tollkit.pymthouse.manifest import AppManifestResponse, parse_app_manifest_response

__all__ = ["GetAppManifestResult", "read_manifest"]


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


def read_manifest(found: object) -> AppManifestResponse | None:
    """A manifest from decoded JSON; `None` for anything that is none.

    `parse_app_manifest_response` leaves out what it cannot read. To decide by, that is not enough: an empty list of
    capabilities means "no restriction", and an exclusion that is left out permits.
    """
    if not is_object(found):
        return None
    listed, excluded = found.get("capabilities"), found.get("excludedCapabilities") or list[Any]()
    if not is_list(listed) or not is_list(excluded):
        return None
    read = parse_app_manifest_response(found)
    lifted = bool(listed) and not read.capabilities
    return None if lifted or len(read.excluded_capabilities) != len(excluded) else read
