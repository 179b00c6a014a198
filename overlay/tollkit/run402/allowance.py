"""The local wallet in the file of the platform's tools, `allowance.json` (Run402 1.57), and what needs no network.

Whoever has the file has the money. Nothing here puts a wallet in the place of another, or of a file that cannot be
read: the private key may be the only copy.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import attrs

from tollkit.core.arguments import wire_time
from tollkit.core.flows import Flow
from tollkit.errors import ConfigurationError
from tollkit.oidc.json_values import decode, is_object
from tollkit.run402.address import is_address
from tollkit.run402.credentials import AllowanceData, another_wallet, ask, can
from tollkit.run402.errors import LocalError, raised
from tollkit.run402.files import SharedFile, changing, dumped

__all__ = [
    "AllowanceCreated",
    "AllowanceFile",
    "AllowanceStatus",
    "allowance_status",
    "create_allowance",
    "export_allowance",
    "note_faucet",
]

_log = logging.getLogger("tollkit.run402")
_PRIVATE_KEY = re.compile(r"0x[0-9a-fA-F]{64}")


class AllowanceFile:
    """The file.

    Args:
        path: Where it is; its folder is made when it is not there.
        legacy: The file that older tools kept the wallet in; renamed when there is no other.
    """

    def __init__(self, path: Path, legacy: Path | None = None) -> None:
        self.path = path
        self._legacy = legacy
        self._file = SharedFile(path, "allowance", platform_lock=False)

    def read(self) -> AllowanceData | None:
        """The wallet; `None` when there is no file, or, which is logged, one that is no JSON.

        Raises:
            ConfigurationError: The file is JSON, and no wallet: the field is named.
            LocalError: The file is there and may not be read, or cannot be now.
        """
        with changing(self.path, "read"):
            return self._read()

    def _read(self) -> AllowanceData | None:
        self._migrate()
        content = self._content()
        if content is None:
            return None
        try:
            found = decode(content)
        except ValueError as problem:
            _log.warning("%s is no JSON (%s); taken as no wallet", self.path, type(problem).__name__)
            return None
        return AllowanceData.from_dict(_checked(self.path, found))

    def save(self, allowance: AllowanceData) -> None:
        """Keep the wallet; what the file holds of it besides stays.

        Raises:
            LocalError: The file holds another wallet or cannot be written, or its lock is held for a minute.
            ConfigurationError: It is no wallet: the field is named.
            MissingExtraError: filelock is not installed (extra `payments`).
        """
        with changing(self.path):
            self._save(allowance)

    def _save(self, allowance: AllowanceData) -> None:
        record = allowance.to_dict()
        _checked(self.path, record)
        with self._file.locked():
            self._migrate()
            held = self._held()
            address = str(held.get("address", ""))
            same = [str(held.get(name, "")).lower() == record[name].lower() for name in ("address", "privateKey")]
            if address and not all(same):
                raise raised(another_wallet(address, str(self.path)))
            self._file.write(dumped({**held, **record}))

    def _held(self) -> dict[str, Any]:
        """What is in the file; what is no wallet is kept under another name."""
        content = self._content()
        if content is None:
            return {}
        try:
            return _checked(self.path, decode(content))
        except (ValueError, ConfigurationError):
            if self.path.exists():
                _log.warning("%s was no wallet; kept as %s", self.path, self._file.set_aside().name)
            return {}

    def _content(self) -> bytes | None:
        content = self._file.read()
        if content is None and self._legacy is not None:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                return self._legacy.read_bytes()  # where it could not be moved
        return content

    def _migrate(self) -> None:
        if self._legacy is None or self.path.exists():
            return
        # a link fails where a rename would put this wallet in the place of one that was made just now
        with contextlib.suppress(OSError):  # no links here, or nothing may be written: it is read where it is
            os.link(self._legacy, self.path)
            self.path.chmod(0o600)
            self._legacy.unlink()

    def __repr__(self) -> str:
        return f"AllowanceFile({str(self.path)!r})"


def _checked(path: Path, found: object) -> dict[str, Any]:
    if not is_object(found):
        raise raised(ConfigurationError(f"{path} holds no JSON object", hint="Look what has become of the wallet"))
    key = found.get("privateKey")
    wrong = None
    if not is_address(found.get("address")):
        wrong = "address"
    elif not (isinstance(key, str) and _PRIVATE_KEY.fullmatch(key)):
        wrong = "privateKey"
    if wrong:
        raise raised(
            ConfigurationError(f"{path}: {wrong} is missing or wrong", hint="Look what has become of the wallet")
        )
    return found


@attrs.frozen(kw_only=True)
class AllowanceStatus:
    """What is known of the local wallet without asking anybody; never its key.

    Attributes:
        configured: Whether there is one.
        address: As the file has it; empty when there is none.
        created: When it was made.
        faucet_used: Whether the faucet was used.
        last_faucet: When the faucet was used last.
        path: Where it is kept.
    """

    configured: bool
    address: str
    created: str | None = None
    faucet_used: bool | None = None
    last_faucet: str | None = None
    path: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """In the platform's words; what is not there is left out."""
        told = {
            "address": self.address,
            "created": self.created,
            "faucet_used": self.faucet_used,
            "lastFaucet": self.last_faucet,
            "path": self.path,
            "configured": self.configured,
        }
        return {name: value for name, value in told.items() if value is not None}


@attrs.frozen(kw_only=True)
class AllowanceCreated:
    """A wallet that was made and kept.

    Attributes:
        address: Its address.
        created: When.
        path: Where it is kept, when it is kept in a file.
    """

    address: str
    created: str
    path: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """In the platform's words; what is not there is left out."""
        return {name: value for name, value in attrs.asdict(self).items() if value is not None}


def allowance_status(provider: object) -> Flow[AllowanceStatus]:
    """What is known of the wallet; nothing goes over the network."""
    found: AllowanceData | None = yield from ask(provider, "read_allowance")
    if found is None:
        return AllowanceStatus(configured=False, address="")
    return AllowanceStatus(
        configured=True,
        address=found.address,
        created=found.created,
        faucet_used=bool(found.funded),
        last_faucet=found.last_faucet,
        path=_path(provider),
    )


def create_allowance(provider: object) -> Flow[AllowanceCreated]:
    """Make a wallet and keep it.

    Raises:
        LocalError: The provider cannot, or there is a wallet already.
    """
    doing = "creating allowance"
    if not (can(provider, "create_allowance") and can(provider, "save_allowance")):
        raise raised(LocalError("These credentials cannot make an allowance"), doing)
    found: AllowanceData | None = yield from ask(provider, "read_allowance")
    if found is not None:
        raise raised(another_wallet(found.address, _path(provider) or "these credentials"), doing)
    made: AllowanceData = yield from ask(provider, "create_allowance")
    yield from ask(provider, "save_allowance", made)
    return AllowanceCreated(
        address=made.address, created=made.created or wire_time(datetime.now(UTC)), path=_path(provider)
    )


def export_allowance(provider: object) -> Flow[str]:
    """The wallet's address, as it is kept; the key stays.

    Raises:
        LocalError: There is no wallet.
    """
    found: AllowanceData | None = yield from ask(provider, "read_allowance")
    if found is None:
        raise raised(LocalError("There is no allowance", hint="Make one: allowance.create()"), "exporting allowance")
    return found.address


def note_faucet(provider: object, address: str, now: datetime | None = None) -> Flow[None]:
    """Keep that the faucet has funded the wallet; nothing happens when it has funded another address.

    Args:
        provider: The credentials; those that keep no wallet are left alone.
        address: The address that was funded.
        now: When.
    """
    if not can(provider, "save_allowance"):
        return
    found: AllowanceData | None = yield from ask(provider, "read_allowance")
    if found is not None and found.address.lower() == address.lower():
        noted = attrs.evolve(found, funded=True, last_faucet=wire_time(now or datetime.now(UTC)))
        yield from ask(provider, "save_allowance", noted)


def _path(provider: object) -> str | None:
    told: object = cast("Any", provider).get_allowance_path() if can(provider, "get_allowance_path") else None
    return told if isinstance(told, str) else None
