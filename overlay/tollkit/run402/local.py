"""Credentials in the files of the platform's tools on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tollkit.core.locks import forkable_lock
from tollkit.run402.allowance import AllowanceFile
from tollkit.run402.config import allowance_path as default_allowance_path
from tollkit.run402.config import api_base as default_api_base
from tollkit.run402.config import keystore_path as default_keystore_path
from tollkit.run402.config import legacy_allowance_path
from tollkit.run402.credentials import AllowanceData, ProjectKeys, new_allowance, wallet_of
from tollkit.run402.errors import family
from tollkit.run402.keystore import KeystoreFile
from tollkit.run402.siwx import SiwxSigner

__all__ = ["LocalCredentials"]


class LocalCredentials:
    """Keys of projects and the wallet, in the files that the platform's tools read and write. Safe to share.

    Args:
        keystore_path: File of the projects' keys; `projects.json` in the platform's folder when nothing is said.
        allowance_path: File of the wallet; `allowance.json` there when nothing is said.
        api_base: The gateway that is signed in to; `RUN402_API_BASE`, at each call, when nothing is said.
        siwx_reuse: For how many seconds a header may be sent again: see `SiwxSigner`.
        env: Read these variables instead of the process's.
    """

    blocking = True
    """Methods read and write files: an async client calls them in a thread."""

    def __init__(
        self,
        *,
        keystore_path: str | os.PathLike[str] | None = None,
        allowance_path: str | os.PathLike[str] | None = None,
        api_base: str | None = None,
        siwx_reuse: float = 0.0,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._keystore_path = None if keystore_path is None else Path(keystore_path)
        self._allowance_path = None if allowance_path is None else Path(allowance_path)
        self._api_base = api_base
        self._reuse = siwx_reuse
        self._env = env
        self._siwx: tuple[object, SiwxSigner] | None = None
        self._lock = forkable_lock()

    @property
    def keystore(self) -> KeystoreFile:
        """The file of the projects' keys, as the variables have it now."""
        return KeystoreFile(self._keystore_path or default_keystore_path(self._env))

    @property
    def allowance(self) -> AllowanceFile:
        """The file of the wallet, as the variables have it now."""
        if self._allowance_path is not None:
            return AllowanceFile(self._allowance_path)
        return AllowanceFile(default_allowance_path(self._env), legacy_allowance_path(self._env))

    def get_auth(self, path: str) -> Mapping[str, str] | None:
        """The header that signs in with the wallet; `None` without one.

        Raises:
            ConfigurationError: The file is no wallet, or `RUN402_API_BASE` no address.
            LocalError: The address in the file does not belong to its key.
            MissingExtraError: The extra `payments` is not installed.
        """
        with family():
            siwx = self._siwx_signer()
            return None if siwx is None else siwx.headers(path)

    def _siwx_signer(self) -> SiwxSigner | None:
        # a new wallet counts from the next call on, and the file is read when it has changed
        file = self.allowance
        state = (file.path, _state(file.path), self._api_base or default_api_base(self._env))
        with self._lock:
            if self._siwx is not None and self._siwx[0] == state:
                return self._siwx[1]
        found = file.read()
        if found is None:
            return None
        made = SiwxSigner(wallet_of(found), state[2], reuse=self._reuse)
        with self._lock:
            # a file that was not there a moment ago has no state to know it by
            self._siwx = (state, made) if state[1] else None
        return made

    def get_project(self, project_id: str) -> ProjectKeys | None:
        """The keys of a project; `None` when they are not there."""
        return self.keystore.get_project(project_id)

    def save_project(self, project_id: str, keys: ProjectKeys) -> None:
        """Keep these keys; what the record holds besides stays. It raises what `KeystoreFile.save_project` does."""
        self.keystore.save_project(project_id, keys)

    def update_project(self, project_id: str, changes: Mapping[str, Any]) -> None:
        """Change a record: `None` removes. Nothing is written when the project is not there.

        Args:
            project_id: The project.
            changes: New values by wire name.
        """
        self.keystore.update_project(project_id, changes)

    def remove_project(self, project_id: str) -> None:
        """Forget a project; when it was the active one, the one before it is that again."""
        self.keystore.remove_project(project_id)

    def set_active_project(self, project_id: str) -> None:
        """Let this be the project that is meant when none is named."""
        self.keystore.set_active_project(project_id)

    def get_active_project(self) -> str | None:
        """The project that is meant when none is named."""
        return self.keystore.get_active_project()

    def read_allowance(self) -> AllowanceData | None:
        """The wallet; see `AllowanceFile.read` for what it raises."""
        return self.allowance.read()

    def save_allowance(self, allowance: AllowanceData) -> None:
        """Keep the wallet; see `AllowanceFile.save` for what it raises."""
        self.allowance.save(allowance)

    def create_allowance(self) -> AllowanceData:
        """A new wallet, not kept yet.

        Raises:
            MissingExtraError: The extra `payments` is not installed.
        """
        return new_allowance()

    def get_allowance_path(self) -> str:
        """Where the wallet is kept."""
        return str(self.allowance.path)

    def __repr__(self) -> str:
        return f"LocalCredentials({str(self.keystore.path)!r}, {str(self.allowance.path)!r})"


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
