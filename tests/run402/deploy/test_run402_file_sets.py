"""Files of a folder: which are taken, which stay behind and why, and links."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path

import pytest

from tollkit.run402.deploy.files import FileSet, FilesLeftOutWarning, FileSource, LeftOut, file_set_from_dir
from tollkit.run402.deploy.spec import Prepared
from tollkit.run402.errors import LocalError

PRIVATE = b"-----BEGIN OPENSSH PRIVATE KEY-----\nexample\n"
CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nexample\n"


def write(root: Path, *names: str, content: bytes = b"x") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def quiet(root: Path, **options: object) -> FileSet:
    return file_set_from_dir(root, warn=False, **options)  # type: ignore[arg-type]


def reasons(files: FileSet) -> dict[str, str]:
    return {each.path: each.reason for each in files.left_out}


def refusal(root: str | os.PathLike[str], **options: object) -> str:
    with pytest.raises(LocalError) as caught:
        file_set_from_dir(root, **options)  # type: ignore[arg-type]
    assert caught.value.doing == "collecting files for deploy"
    assert caught.value.kind == "local_error"
    return caught.value.message


def test_all_files_sorted_with_slashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "z.txt", "a/b/c.html", "a.txt", "B.txt", "a/ü.txt", "empty.css", "a/back\\slash")
    monkeypatch.chdir(tmp_path.parent)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = file_set_from_dir(tmp_path.name)
    assert list(files) == ["B.txt", "a.txt", "a/b/c.html", "a/back\\slash", "a/ü.txt", "empty.css", "z.txt"]
    assert files["a/b/c.html"] == FileSource(os.fspath(tmp_path / "a/b/c.html"))
    assert files.left_out == ()
    monkeypatch.chdir("/")
    made = Prepared({"project": "p", "site": {"replace": files}}).wire()["site"]["replace"]
    assert made["a/b/c.html"]["contentType"] == "text/html; charset=utf-8"


SECRETS = (
    *(".env", ".env.local", ".ENV.Production", "a/.envrc", ".npmrc", "x/.netrc", "_netrc", ".pypirc", "id_rsa"),
    *("a/b/id_ed25519", "ID_ECDSA", "store.jks", "cert.p12", "cert.PFX", "key.ppk", ".pgpass", ".htpasswd"),
    *(".git-credentials", ".ssh/config", ".aws/credentials", "my.keystore", ".gnupg/x"),
)


def test_secrets_stay_behind_and_are_named(tmp_path: Path) -> None:
    write(tmp_path, "index.html", "environment.env.js", "keys.json", "id_rsa.pub", *SECRETS)
    with pytest.warns(FilesLeftOutWarning, match=r"\.env \(secret\).*more.*include=.*ignore=") as caught:
        files = file_set_from_dir(tmp_path)
    assert list(files) == ["environment.env.js", "id_rsa.pub", "index.html", "keys.json"]
    assert len(files.left_out) == len(SECRETS)
    assert set(reasons(files).values()) == {"secret"}
    assert {".ssh", ".aws"} <= set(reasons(files))
    warning = caught[0].message
    assert isinstance(warning, FilesLeftOutWarning)
    assert warning.left_out == files.left_out
    assert caught[0].filename == __file__


def test_tools_stay_behind(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a",
        ".git/config",
        "sub/.git",
        "node_modules/x/y.js",
        "sub/node_modules/z",
        ".DS_Store",
        ".gitignore",
    )
    with pytest.warns(FilesLeftOutWarning):
        files = file_set_from_dir(tmp_path)
    assert list(files) == [".gitignore", "a"]
    assert reasons(files) == dict.fromkeys(
        (".DS_Store", ".git", "node_modules", "sub/.git", "sub/node_modules"), "tooling"
    )


def test_private_keys_by_what_they_begin_with(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "deep/key", "b.pem", content=PRIVATE)
    write(tmp_path, "bom.txt", content=b"\xef\xbb\xbf\n  -----BEGIN PRIVATE KEY-----\n")
    write(tmp_path, "pgp.asc", content=b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n")
    write(tmp_path, "chain.pem", "public.key", content=CERTIFICATE)
    write(tmp_path, "both.pem", content=CERTIFICATE + PRIVATE)
    write(tmp_path, "binary.key", content=b"\x30\x82")
    write(tmp_path, "readme.md", content=b"A key begins with\n" + PRIVATE)
    write(tmp_path, "public.txt", content=b"-----BEGIN PUBLIC KEY-----\n")
    files = quiet(tmp_path)
    assert list(files) == ["chain.pem", "public.key", "public.txt", "readme.md"]
    assert reasons(files) == dict.fromkeys(
        ("a.txt", "b.pem", "binary.key", "bom.txt", "both.pem", "deep/key", "pgp.asc"), "private key"
    )


def test_keys_of_the_platforms_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUN402_CONFIG_DIR", os.fspath(tmp_path / "own"))
    monkeypatch.setenv("RUN402_ALLOWANCE_PATH", os.fspath(tmp_path / "my-money.json"))
    write(tmp_path, "projects.json", "other/allowance.json", "own/site.json", "projects/x", "sub/my-money.json")
    keys = (
        *(".config/run402/projects.json", ".run402/allowance.json", ".run402/projects.json.unreadable-1"),
        *(".run402/.allowance.1.tmp", "run402/wallet.json", "my-money.json"),
    )
    write(tmp_path, *keys, "own/allowance.json", "run402/index.html")
    files = quiet(tmp_path)
    assert list(files) == [
        *("other/allowance.json", "projects.json", "projects/x", "run402/index.html", "sub/my-money.json"),
    ]
    assert reasons(files) == dict.fromkeys((*keys, "own"), "credentials")
    assert list(quiet(tmp_path / "own")) == ["site.json"]
    monkeypatch.undo()
    monkeypatch.delenv("RUN402_CONFIG_DIR", raising=False)

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert "own/site.json" in quiet(tmp_path)


def test_the_caller_decides(tmp_path: Path) -> None:
    write(tmp_path, "a", ".env", "sub/.env", "node_modules/x.js", "drafts/d", "sub/drafts", "b.map")
    write(tmp_path, "key", content=PRIVATE)
    files = quiet(tmp_path, ignore=["drafts", "b.map"], include=["sub/.env", "/node_modules/", "key"])
    assert list(files) == ["a", "key", "node_modules/x.js", "sub/.env"]
    assert reasons(files) == {".env": "secret", "b.map": "ignored", "drafts": "ignored", "sub/drafts": "ignored"}
    assert ".env" in quiet(tmp_path, include=[".env"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asked = file_set_from_dir(tmp_path, ignore=[".env", "node_modules", "key"])
    assert {each.reason for each in asked.left_out} == {"ignored"}
    assert ".env" not in quiet(tmp_path, ignore=[".env"], include=[".env"])


def test_roots(tmp_path: Path) -> None:
    write(tmp_path, "file", "real/x")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "bare").mkdir()
    write(tmp_path, "only/.env")
    assert "no folder" in refusal(tmp_path / "file")
    assert "cannot be read" in refusal(tmp_path / "none")
    assert "symbolic link" in refusal(tmp_path / "link")
    assert "symbolic link" in refusal(f"{tmp_path}/link/")
    assert "has no files" in refusal(tmp_path / "bare")
    assert "but .env (secret), which are left out" in refusal(tmp_path / "only")
    assert "root" in refusal("")
    assert "ignore" in refusal(tmp_path, ignore="text")
    assert "include" in refusal(tmp_path, include=[1])


def test_links_within_the_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(root, "real/x.txt", "real/.env", ".git/config", ".env", "skip/y")
    write(root, "real/raw", content=PRIVATE)
    (root / "file").symlink_to("real/x.txt")
    (root / "folder").symlink_to(root / "real", target_is_directory=True)
    (root / "public-env").symlink_to(".env")
    (root / "history").symlink_to(".git/config")
    (root / "skipped").symlink_to("skip/y")
    (root / "key").symlink_to("real/raw")
    (root / "away").symlink_to("/")
    files = quiet(root, ignore=["away", "skip"], include=[".git"])
    assert list(files) == [".git/config", "file", "folder/x.txt", "history", "real/x.txt"]
    assert reasons(files) == {
        ".env": "secret",
        "away": "ignored",
        "folder/.env": "secret",
        "folder/raw": "private key",
        "key": "private key",
        "public-env": "secret",
        "real/.env": "secret",
        "real/raw": "private key",
        "skip": "ignored",
        "skipped": "ignored",
    }
    assert "public-env" in quiet(root, ignore=["away"], include=["public-env"])


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("../secret.txt", "leads out of the folder"),
        ("../rootless/x", "leads out of the folder"),
        ("/etc", "leads out of the folder"),
        ("nowhere", "cannot be read"),
        ("bad", "cannot be read"),
        (".", "round in a circle"),
        ("sub", "round in a circle"),
    ],
)
def test_links_that_are_refused(target: str, told: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(tmp_path, "secret.txt", "rootless/x", "root/index.html", "root/sub/y")
    place = root / "sub" if target == "sub" else root
    (place / "bad").symlink_to(f"../{target}" if target == "sub" else target)
    message = refusal(root)
    assert told in message
    assert "bad" in message


def test_links_to_each_other_end(tmp_path: Path) -> None:
    write(tmp_path, "a/x", "b/y")
    (tmp_path / "a/b").symlink_to("../b")
    (tmp_path / "b/a").symlink_to("../a")
    assert "round in a circle" in refusal(tmp_path)
    assert refusal(tmp_path, include=["a", "b"])


def test_what_is_no_file_stays_behind(tmp_path: Path) -> None:
    write(tmp_path, "a")
    os.mkfifo(tmp_path / "pipe")
    assert quiet(tmp_path).left_out == (LeftOut("pipe", "no regular file"),)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")).write_bytes(b"x")
    message = refusal(tmp_path)
    assert r"\xff.txt" in message
    message.encode()


def test_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "sub/x")

    def refuse(*_: object, **__: object) -> object:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        assert "Permission denied" in refusal(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        assert "sub/x" in refusal(tmp_path)


def test_ten_thousand_files_in_a_second(tmp_path: Path) -> None:
    for folder in range(100):
        (tmp_path / f"{folder:03}").mkdir()
        for file in range(100):
            (tmp_path / f"{folder:03}" / f"{file}.html").write_bytes(b"x")
    fastest = 9.0
    for _ in range(3):
        before = time.process_time()
        assert len(file_set_from_dir(tmp_path)) == 10_000
        fastest = min(fastest, time.process_time() - before)
    assert fastest < 1
