"""The network capability manifest of an app: what it may use."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import attrs

from tollkit.errors import ArgumentError
from tollkit.pymthouse.collation import sort_keys
from tollkit.pymthouse.errors import raised
from tollkit.pymthouse.js_text import stringify, trim

if TYPE_CHECKING:
    from tollkit_api.builder.v2026_05.models import AppManifest

__all__ = [
    "AppManifestCapability",
    "AppManifestResponse",
    "compute_manifest_revision",
    "parse_app_manifest_response",
]

_LISTS = ("capabilities", "excludedCapabilities")


@attrs.frozen
class AppManifestCapability:
    """A pipeline and a model. In exclusions the model may be `*`, which means all.

    Attributes:
        pipeline: Id of the pipeline.
        model_id: Id of the model.
        received: All members as they came, in their order: the revision depends on them.
    """

    pipeline: str
    model_id: str
    received: Mapping[str, Any] = attrs.field(repr=False, hash=False)

    def to_dict(self) -> dict[str, Any]:
        """The members as they came."""
        return dict(self.received)


@attrs.frozen
class AppManifestResponse:
    """What an app may use.

    Attributes:
        capabilities: What is allowed; everything when the list is empty.
        excluded_capabilities: What is not, whatever is allowed.
        manifest_version: The platform's own name for this content, when it gave one.
    """

    capabilities: tuple[AppManifestCapability, ...]
    excluded_capabilities: tuple[AppManifestCapability, ...]
    manifest_version: str | None = None

    def allows(self, pipeline: str, model_id: str) -> bool:
        """Whether the app may use this model: it is listed, or nothing is; and it is not excluded.

        Args:
            pipeline: The pipeline, such as `text-to-image`.
            model_id: The model, by its id.
        """
        listed = not self.capabilities or _names(self.capabilities, pipeline, model_id)
        return listed and not _names(self.excluded_capabilities, pipeline, model_id)

    def to_dict(self) -> dict[str, Any]:
        """The manifest in wire names."""
        return {
            "capabilities": [one.to_dict() for one in self.capabilities],
            "excludedCapabilities": [one.to_dict() for one in self.excluded_capabilities],
            **({} if self.manifest_version is None else {"manifestVersion": self.manifest_version}),
        }


def _names(capabilities: Iterable[AppManifestCapability], pipeline: str, model_id: str) -> bool:
    return any(one.pipeline == pipeline and one.model_id in (model_id, "*") for one in capabilities)


def parse_app_manifest_response(json_value: object) -> AppManifestResponse:
    """A manifest from decoded JSON, as the platform's client reads it: what is none is an empty manifest.

    An empty manifest restricts nothing, so look at the status of the answer first.

    Args:
        json_value: Any JSON value. Of its lists, what has no pipeline and model is left out.
    """
    found: Mapping[str, Any] = cast("Mapping[str, Any]", json_value) if isinstance(json_value, Mapping) else {}
    version = found.get("manifestVersion")
    return AppManifestResponse(
        _capabilities(found.get("capabilities")),
        _capabilities(found.get("excludedCapabilities")),
        (trim(version) or None) if isinstance(version, str) else None,
    )


def _capabilities(value: object) -> tuple[AppManifestCapability, ...]:
    kept: list[AppManifestCapability] = []
    for one in cast("list[object]", value) if isinstance(value, list | tuple) else ():
        if isinstance(one, Mapping):
            members = cast("Mapping[str, Any]", one)
            pipeline, model_id = members.get("pipeline"), members.get("modelId")
            if isinstance(pipeline, str) and isinstance(model_id, str):
                kept.append(AppManifestCapability(pipeline, model_id, members))
    return tuple(kept)


def compute_manifest_revision(data: AppManifestResponse | AppManifest | Mapping[str, Any] | None) -> str:
    """The revision of a manifest: its own version, or the first 24 hex digits of a hash over its sorted lists.

    `unavailable` for no manifest, `empty` for one with empty lists. Equal to what the platform and its client
    compute, their text order (CLDR) and JSON spelling included.

    Args:
        data: A manifest, parsed or as it came.

    Raises:
        ArgumentError: A list is none, or a capability in it has no pipeline or model.
    """
    if data is None:
        return "unavailable"
    found = data if isinstance(data, Mapping) else data.to_dict()
    version = found.get("manifestVersion")
    if isinstance(version, str) and trim(version):
        return trim(version)
    lists = {name: _sorted(name, found.get(name)) for name in _LISTS}
    if not any(lists.values()):
        return "empty"
    return hashlib.sha256(stringify(lists).encode()).hexdigest()[:24]


def _sorted(name: str, value: object) -> list[Mapping[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise raised(ArgumentError(name, "must be a list of capabilities"))
    members = cast("list[Mapping[str, Any]]", value)
    texts: list[tuple[str, str]] = []
    for index, one in enumerate(members):
        pipeline, model_id = (one.get("pipeline"), one.get("modelId")) if isinstance(one, Mapping) else (None, None)
        if not isinstance(pipeline, str) or not isinstance(model_id, str):
            raise raised(ArgumentError(f"{name}[{index}]", "must have a pipeline and a modelId, both texts"))
        texts.append((pipeline, model_id))
    keys = sort_keys(text for pair in texts for text in pair)
    order = sorted(range(len(texts)), key=lambda index: (keys[texts[index][0]], keys[texts[index][1]]))
    return [members[index] for index in order]
