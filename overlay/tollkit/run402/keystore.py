"""The keys of projects in the file of the platform's tools, `projects.json` (Run402 1.57).

It is read as they read it, and written byte for byte as they write it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from tollkit.core.arguments import required_text
from tollkit.oidc.json_values import decode, is_list, is_object
from tollkit.run402.credentials import ProjectKeys, changed
from tollkit.run402.errors import family
from tollkit.run402.files import SharedFile, changing, dumped

__all__ = ["Keystore", "KeystoreFile"]

_log = logging.getLogger("tollkit.run402")
_Document: TypeAlias = dict[str, Any]
_GONE = ("tier", "lease_expires_at", "expires_at")
"""What older tools kept in a record, and newer ones remove."""


@attrs.frozen
class Keystore:
    """What the file holds."""

    projects: Mapping[str, ProjectKeys]
    active_project_id: str | None = None
    previous_active_project_id: str | None = None


class KeystoreFile:
    """The file. Reading takes no lock; changes are made one after the other, whoever makes them.

    Args:
        path: Where it is; its folder is made when it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = SharedFile(path, "projects", platform_lock=True)

    def load(self) -> Keystore:
        """What it holds. A file that is missing or no keystore holds nothing, and the second is logged.

        Raises:
            LocalError: The file is there and may not be read, or cannot be now.
        """
        document, _ = self._document()
        return Keystore(
            projects={name: ProjectKeys.from_dict(record) for name, record in document["projects"].items()},
            active_project_id=document.get("active_project_id"),
            previous_active_project_id=document.get("previous_active_project_id"),
        )

    def get_project(self, project_id: str) -> ProjectKeys | None:
        """The keys of a project; `None` when they are not there."""
        document, _ = self._document()
        record = document["projects"].get(project_id)
        return None if record is None else ProjectKeys.from_dict(record)

    def get_active_project(self) -> str | None:
        """The project that is meant when none is named."""
        document, _ = self._document()
        active: str | None = document.get("active_project_id")
        return active

    def save_project(self, project_id: str, keys: ProjectKeys) -> None:
        """Keep these keys; what the record holds besides stays.

        Args:
            project_id: The project.
            keys: Its keys.

        Raises:
            LocalError: The file cannot be written, or somebody else has held its lock for a minute.
            MissingExtraError: filelock is not installed (extra `payments`).
        """
        with family():
            required_text("project_id", project_id)

        def save(document: _Document) -> bool:
            projects = document["projects"]
            projects[project_id] = {**projects.get(project_id, {}), **keys.to_dict()}
            return True

        self._change(save)

    def update_project(self, project_id: str, changes: Mapping[str, Any]) -> None:
        """Change a record: `None` removes. Nothing is written when the project is not there.

        Raises:
            LocalError, MissingExtraError: As for `save_project`.
        """

        def update(document: _Document) -> bool:
            projects = document["projects"]
            if project_id not in projects:
                return False
            projects[project_id] = changed(projects[project_id], changes)
            return True

        self._change(update)

    def remove_project(self, project_id: str) -> None:
        """Forget a project; when it was the active one, the one before it is that again.

        Raises:
            LocalError, MissingExtraError: As for `save_project`.
        """

        def remove(document: _Document) -> bool:
            projects = document["projects"]
            projects.pop(project_id, None)
            if document.get("active_project_id") == project_id:
                previous = document.pop("previous_active_project_id", None)
                if previous != project_id and previous in projects:
                    document["active_project_id"] = previous
                else:
                    del document["active_project_id"]
            return True

        self._change(remove)

    def set_active_project(self, project_id: str) -> None:
        """Let this be the project that is meant when none is named; whether it is there is not looked at.

        Raises:
            LocalError, MissingExtraError: As for `save_project`.
        """
        with family():
            required_text("project_id", project_id)

        def activate(document: _Document) -> bool:
            active = document.get("active_project_id")
            if active and active != project_id:
                document["previous_active_project_id"] = active
            document["active_project_id"] = project_id
            return True

        self._change(activate)

    def _change(self, change: Callable[[_Document], bool]) -> None:
        with changing(self.path):
            self._changed(change)

    def _changed(self, change: Callable[[_Document], bool]) -> None:
        with self._file.locked():
            document, damaged = self._document()
            if change(document):
                if damaged:
                    _log.warning("%s was no keystore; kept as %s", self.path, self._file.set_aside().name)
                self._file.write(dumped(document))

    def _document(self) -> tuple[_Document, bool]:
        """The content, in the order in which the platform writes it, and whether there is more than could be read."""
        with changing(self.path, "read"):
            content = self._file.read()
        if content is None:
            return {"projects": {}}, False
        try:
            return _read(decode(content))
        except ValueError as problem:
            _log.warning("%s cannot be read (%s); taken as empty", self.path, type(problem).__name__)
            return {"projects": {}}, True

    def __repr__(self) -> str:
        return f"KeystoreFile({str(self.path)!r})"


def _read(value: object) -> tuple[_Document, bool]:
    if is_list(value):
        return {"projects": dict(_legacy(one) for one in value if is_object(one) and one.get("project_id"))}, False
    if not is_object(value):
        raise ValueError("no JSON object")
    told = value.get("projects")
    if not told and not is_object(told):
        return {"projects": {}}, bool(value.keys() - {"projects", "active_project_id", "previous_active_project_id"})
    if not is_object(told):
        raise ValueError("projects is no JSON object")
    document: _Document = {}
    for name in ("active_project_id", "previous_active_project_id"):
        one = value.get(name)
        if isinstance(one, str) and one:
            document[name] = one
    document["projects"] = {
        name: {field: kept for field, kept in record.items() if field not in _GONE}
        for name, record in told.items()
        if is_object(record)
    }
    return document, len(document["projects"]) < len(told)


def _legacy(one: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    record = {name: one[name] for name in ("anon_key", "service_key") if name in one}
    record |= {name: one[name] for name in ("site_url", "deployed_at") if one.get(name)}
    return str(one["project_id"]), record
