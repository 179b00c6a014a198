"""Files of a folder for a deploy, without those that hold secrets.

The platform's client ships every file but `.git`, `node_modules` and `.DS_Store`, a `.env` among them, and what is
on a site anybody can read. Here files that look like secrets stay behind, by their names or by what they begin with,
and a warning names them.
"""

from __future__ import annotations

import os
import re
import stat
import warnings
from collections.abc import Collection, Iterable, Iterator
from pathlib import PurePath
from typing import Any, NoReturn

import attrs

from tollkit.core.arguments import required_text, texts
from tollkit.errors import ArgumentError, ConfigurationError
from tollkit.run402.config import allowance_path, config_dir
from tollkit.run402.errors import LocalError, raised

__all__ = ["FileSet", "FileSource", "FilesLeftOutWarning", "LeftOut", "file_set_from_dir"]

DOING = "collecting files for deploy"
NEVER = frozenset({".git", "node_modules", ".ds_store"})
"""Names, in small letters, of what is no part of a site."""
SECRET = frozenset(
    {
        *(".env", ".envrc", ".npmrc", ".netrc", "_netrc", ".pypirc", ".pgpass", ".htpasswd", ".git-credentials"),
        *("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "id_ecdsa_sk", "id_ed25519_sk"),
        *(".ssh", ".aws", ".gnupg"),
    }
)
"""Names, in small letters, of files and folders that hold secrets."""
SECRET_ENDS = (".p12", ".pfx", ".jks", ".keystore", ".ppk")
"""Ends of names of key stores."""
KEY_ENDS = (".pem", ".key")
"""Ends of names of private keys; a file that shows a certificate or public key, and no private one, is none."""
_WALLET = re.compile(r"\.?(allowance|projects|wallet)\b.*")
_PRIVATE = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----")
_PUBLIC = re.compile(
    rb"-----BEGIN [A-Z0-9 ]*(CERTIFICATE|CERTIFICATE REQUEST|PUBLIC KEY|X509 CRL|DH PARAMETERS)-----"
)
_HEAD = 128
_KEY_FILE = 1 << 20
_BLANK = b"\xef\xbb\xbf \t\r\n"


class FilesLeftOutWarning(UserWarning):
    """Files of a folder are not deployed, since they look like secrets or are no part of a site.

    Args:
        message: What was left out.
        left_out: The same as data.
    """

    def __init__(self, message: str, left_out: tuple[LeftOut, ...] = ()) -> None:
        super().__init__(message)
        self.left_out = left_out


@attrs.frozen
class FileSource:
    """A file as content of a release; it is read when it is hashed, and again when it is sent.

    Args:
        path: Where it is.
        content_type: Its type; guessed from its path in the release when it is not told.
    """

    path: str = attrs.field(converter=os.fsdecode)
    content_type: str | None = None


@attrs.frozen
class LeftOut:
    """Something in a folder that is not deployed."""

    path: str
    """Its path from the folder, with `/` between names; that of a folder stands for all in it."""
    reason: str
    """`ignored` (the caller said so), `tooling`, `secret`, `private key`, `credentials`, `no regular file`."""


class FileSet(dict[str, Any]):
    """Files by path, as `site.replace` takes them.

    Args:
        files: The files, sorted by path.
        left_out: What the folder has besides.
    """

    def __init__(self, files: dict[str, FileSource], left_out: tuple[LeftOut, ...] = ()) -> None:
        super().__init__(files)
        self.left_out = left_out


def file_set_from_dir(
    root: str | os.PathLike[str],
    *,
    ignore: Iterable[str] = (),
    include: Iterable[str] = (),
    warn: bool = True,
) -> FileSet:
    """The files of a folder and the folders in it, sorted by path. Nothing is hashed yet.

    Left out are `.git`, `node_modules`, `.DS_Store`, and what looks like a secret: dotenv files, `.npmrc` and its
    kin, private keys (by name or by what they begin with), key stores, files of Run402's own tools with keys.
    A symbolic link within the folder is followed as long as it stays within.

    Args:
        root: The folder.
        ignore: Names of further files and folders to leave out, at every depth.
        include: Names, or paths from the folder, of files and folders to take although they would be left out.
        warn: Whether to warn (`FilesLeftOutWarning`) of what was left out without being asked to.

    Returns:
        Paths with `/` between the names, each with its file; `left_out` has the rest.

    Raises:
        LocalError: `root` is no folder, or a symbolic link; a link in it leads out of it, nowhere, or round in a
            circle; something cannot be read; a name is not UTF-8; no file is left.
    """
    try:
        walk = _Walk(root, texts("ignore", ignore), texts("include", include))
    except ArgumentError as problem:
        raise raised(problem, DOING) from None
    files = {key: FileSource(path) for key, path in sorted(walk.files())}
    left_out = tuple(sorted(walk.left_out, key=lambda each: each.path))
    unasked = [each for each in left_out if each.reason != "ignored"]
    if not files:
        besides = f" but {_listed(unasked)}, which are left out" if unasked else ""
        _fail(f"{walk.root} has no files{besides}")
    if warn and unasked:
        warnings.warn(
            FilesLeftOutWarning(
                f"not deployed from {walk.root}: {_listed(unasked)}. "
                "Name what is to be deployed in include=, and what is not in ignore=.",
                tuple(unasked),
            ),
            stacklevel=2,
        )
    return FileSet(files, left_out)


def _listed(left_out: list[LeftOut]) -> str:
    told = [f"{each.path} ({each.reason})" for each in left_out[:10]]
    return ", ".join([*told, f"{len(left_out) - 10} more"] if len(left_out) > 10 else told)


def _fail(message: str, cause: BaseException | None = None) -> NoReturn:
    raise raised(LocalError(message), DOING) from cause


class _Walk:
    def __init__(self, root: str | os.PathLike[str], ignore: Collection[str], include: Collection[str]) -> None:
        # absolute, so that the program may change its folder until the files are read
        self.root = os.path.abspath(required_text("root", os.fsdecode(root)))
        self._ignore = frozenset(ignore)
        self._include = frozenset(name.strip("/") for name in include)
        self.left_out: list[LeftOut] = []
        try:
            mode = os.lstat(self.root).st_mode
        except OSError as problem:
            _fail(f"{self.root} cannot be read: {problem.strerror}", problem)
        if stat.S_ISLNK(mode):
            _fail(f"{self.root} is a symbolic link; name the folder it leads to")
        if not stat.S_ISDIR(mode):
            _fail(f"{self.root} is no folder")
        self._real = os.path.realpath(self.root)
        self._wallets = _wallet_places()
        self._wallet_names = frozenset(map(os.path.basename, self._wallets))

    def files(self) -> Iterator[tuple[str, str]]:
        """The key and the path of each file."""
        return self._folder(self.root, "", (self._real,))

    def _folder(self, folder: str, prefix: str, within: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        try:
            with os.scandir(folder) as found:
                entries = list(found)
        except OSError as problem:
            _fail(f"{folder} cannot be read: {problem.strerror}", problem)
        for entry in entries:
            yield from self._entry(entry, prefix + entry.name, within)

    def _entry(self, entry: os.DirEntry[str], key: str, within: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        try:
            key.encode()
        except UnicodeEncodeError:
            _fail(f"{os.fsencode(key)!r} in {self.root} has a name that is not UTF-8")
        if entry.name in self._ignore:
            self._leave(key, "ignored")
            return
        told = entry.name in self._include or key in self._include
        reason = None if told else self._reason(entry.name, entry.path)
        if reason:
            self._leave(key, reason)
            return
        real = within[-1] + os.sep + entry.name
        try:
            if entry.is_symlink():
                real = os.path.realpath(entry.path, strict=True)
                reason = self._inside(key, real, told)
            is_folder, is_file = entry.is_dir(), entry.is_file()
            if is_file and not told and not reason and _begins_private(entry.path, entry.name):
                reason = "private key"
        except OSError as problem:
            _fail(f"{key} in {self.root} cannot be read: {problem.strerror}", problem)
        if reason:
            self._leave(key, reason)
        elif is_folder:
            if real in within:
                _fail(f"{key} in {self.root} is a symbolic link that leads round in a circle")
            yield from self._folder(entry.path, key + "/", (*within, real))
        elif is_file:
            yield key, entry.path
        else:
            self._leave(key, "no regular file")

    def _inside(self, key: str, real: str, told: bool) -> str | None:
        """Whether what a link leads to may be deployed; a reason when it is left out."""
        try:
            names = PurePath(real).relative_to(self._real).parts
        except ValueError:
            _fail(f"{key} in {self.root} is a symbolic link that leads out of the folder")
        if told:
            return None
        for depth, name in enumerate(names):
            if name in self._ignore:
                return "ignored"
            at = os.path.join(self._real, *names[: depth + 1])
            if name not in self._include and (reason := self._reason(name, at)):
                return reason
        return None

    def _reason(self, name: str, path: str) -> str | None:
        small = name.casefold()
        if small in NEVER:
            return "tooling"
        if small in SECRET or small.startswith(".env.") or small.endswith(SECRET_ENDS):
            return "secret"
        folder = os.path.dirname(path)
        if (_WALLET.fullmatch(small) or name in self._wallet_names) and (
            os.path.basename(folder).casefold() in ("run402", ".run402")
            or not self._wallets.isdisjoint({os.path.realpath(folder), os.path.realpath(path)})
        ):
            return "credentials"
        return None

    def _leave(self, key: str, reason: str) -> None:
        self.left_out.append(LeftOut(key, reason))


def _wallet_places() -> frozenset[str]:
    """The folder in which Run402's tools keep keys, and the file of the wallet."""
    try:
        return frozenset(map(os.path.realpath, (config_dir(), allowance_path())))
    except ConfigurationError:  # nobody has a home here
        return frozenset()


def _begins_private(path: str, name: str) -> bool:
    """Whether a file is a private key: it begins like one, or is called so and shows nothing else."""
    called_so = name.casefold().endswith(KEY_ENDS)
    # opening is all that many small files cost; a raw descriptor takes half the time of a file object
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        head = os.read(handle, _KEY_FILE if called_so else _HEAD)
    finally:
        os.close(handle)
    if called_so:
        return not _PUBLIC.search(head) or bool(_PRIVATE.search(head))
    return b"-----BEGIN" in head and bool(_PRIVATE.match(head.lstrip(_BLANK)))
