"""The platform's files: where they are, what they hold, and that no key is lost."""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from support.run402_wallet import ADDRESS, KEY, OTHER_ADDRESS, OTHER_KEY
from tollkit.errors import ConfigurationError, MissingExtraError
from tollkit.run402 import config, files
from tollkit.run402.allowance import AllowanceFile
from tollkit.run402.credentials import AllowanceData, ProjectKeys
from tollkit.run402.errors import LocalError, Run402Error, is_local_error
from tollkit.run402.keystore import KeystoreFile
from tollkit.run402.local import LocalCredentials
from tollkit.run402.siwx import HEADER
from tollkit.secrets import Secret

KEYS = ProjectKeys("anon", "service")
WALLET = AllowanceData(address=ADDRESS.lower(), private_key=KEY, created="2026-01-01T00:00:00.000Z", funded=False)


# --- variables and paths --------------------------------------------------------------------------


def test_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("API_BASE", "DEPLOY_API_BASE", "CONFIG_DIR", "ALLOWANCE_PATH"):
        monkeypatch.delenv(f"RUN402_{name}", raising=False)
    folder = tmp_path / ".config" / "run402"
    assert config.api_base() == config.deploy_api_base() == "https://api.run402.com"
    assert config.config_dir() == folder
    assert config.keystore_path() == folder / "projects.json"
    assert config.allowance_path() == folder / "allowance.json"
    assert config.legacy_allowance_path() == folder / "wallet.json"


def test_variables(caplog: pytest.LogCaptureFixture) -> None:
    env = {
        "RUN402_API_BASE": "http://localhost:1/x/",
        "RUN402_CONFIG_DIR": "/c",
        "RUN402_ALLOWANCE_PATH": "/a/w.json",
    }
    assert config.api_base(env) == config.deploy_api_base(env) == "http://localhost:1/x/"
    assert config.deploy_api_base({**env, "RUN402_DEPLOY_API_BASE": "https://d"}) == "https://d"
    assert config.keystore_path(env) == Path("/c/projects.json")
    assert config.allowance_path(env) == Path("/a/w.json")
    assert config.legacy_allowance_path(env) is None
    assert config.config_dir({"RUN402_CONFIG_DIR": ""}) == Path.home() / ".config" / "run402"
    assert caplog.text == ""
    assert config.api_base({"RUN402_API_BASE": ""}) == config.DEFAULT_API_BASE
    assert "RUN402_API_BASE is set but empty" in caplog.text


@pytest.mark.parametrize("wrong", ["nowhere", "ftp://x", "javascript:1", "ftp://user:password@x"])
def test_a_wrong_address_is_not_repeated(wrong: str) -> None:
    """It may hold a password."""
    with pytest.raises(ConfigurationError, match=r"RUN402_API_BASE must be an http\(s\) address") as caught:
        config.api_base({"RUN402_API_BASE": wrong})
    assert is_local_error(caught.value)
    assert wrong not in f"{caught.value} {caught.value.to_dict()}"


# --- the keystore ---------------------------------------------------------------------------------


@pytest.fixture
def allowance(tmp_path: Path) -> AllowanceFile:
    return AllowanceFile(tmp_path / "run402" / "allowance.json", tmp_path / "run402" / "wallet.json")


@pytest.fixture
def keystore(tmp_path: Path) -> KeystoreFile:
    return KeystoreFile(tmp_path / "run402" / "projects.json")


def put(keystore: KeystoreFile, text: str | bytes) -> None:
    keystore.path.parent.mkdir(exist_ok=True)
    keystore.path.write_bytes(text.encode() if isinstance(text, str) else text)


def test_modes(keystore: KeystoreFile) -> None:
    keystore.save_project("p", KEYS)
    assert keystore.path.stat().st_mode & 0o777 == 0o600
    assert keystore.path.parent.stat().st_mode & 0o777 == 0o700
    keystore.path.chmod(0o644)
    keystore.save_project("q", KEYS)
    assert keystore.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (None, False),
        ("{}", False),
        ('{"projects":null,"active_project_id":"p"}', False),
        ('{"projects":{}}', False),
        ('{"something":"else"}', True),
        ("", True),
        ('{"projects":{"p":{"anon_key":"a"', True),
        ("7", True),
        ('{"projects":[1]}', True),
        ('{"projects":{"p":7}}', True),
        (b"\xff\xfe", True),
        ('{"projects":NaN}', True),
    ],
)
def test_a_file_that_holds_nothing_readable_is_empty_and_is_kept(
    text: str | bytes | None, kept: bool, keystore: KeystoreFile, caplog: pytest.LogCaptureFixture
) -> None:
    """The platform's tools take it as empty too, and write over it."""
    if text is not None:
        put(keystore, text)
    loaded = keystore.load()
    assert (loaded.projects, loaded.active_project_id) == ({}, None)
    assert keystore.get_project("p") is None
    keystore.update_project("p", {"mailbox_id": "m"})
    keystore.save_project("p", KEYS)
    assert keystore.get_project("p") == KEYS
    aside = [path for path in keystore.path.parent.iterdir() if ".unreadable-" in path.name]
    assert len(aside) == kept
    for path in aside:
        assert path.read_bytes() == (text.encode() if isinstance(text, str) else text)
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.name in caplog.text


def test_older_files(keystore: KeystoreFile) -> None:
    put(
        keystore,
        '[{"project_id":"p","anon_key":"a","service_key":"s","site_url":"u","deployed_at":"","tier":"t"},{"x":1},7]',
    )
    assert {name: keys.to_dict() for name, keys in keystore.load().projects.items()} == {
        "p": {"anon_key": "a", "service_key": "s", "site_url": "u"}
    }
    put(
        keystore,
        '{"more":1,"previous_active_project_id":"q","active_project_id":"","projects":{"p":{"tier":"t","anon_key":"a",'
        '"service_key":"s","lease_expires_at":"l","expires_at":"e","own":{"x":[]},"site_url":null}}}',
    )
    loaded = keystore.load()
    assert (loaded.active_project_id, loaded.previous_active_project_id) == (None, "q")
    assert loaded.projects["p"].additional_properties == {"own": {"x": []}, "site_url": None}
    keystore.set_active_project("p")
    assert json.loads(keystore.path.read_bytes()) == {
        "previous_active_project_id": "q",
        "projects": {"p": {"anon_key": "a", "service_key": "s", "own": {"x": []}, "site_url": None}},
        "active_project_id": "p",
    }


def test_saving_a_project_again_keeps_what_was_beside_it(keystore: KeystoreFile) -> None:
    keystore.save_project("p", KEYS)
    keystore.update_project("p", {"mailbox_id": "m", "own": 1, "secret": Secret("x")})
    keystore.save_project("p", ProjectKeys("new", "service", site_url="u"))
    found = keystore.get_project("p")
    assert found == ProjectKeys(
        "new", "service", site_url="u", mailbox_id="m", additional_properties={"own": 1, "secret": "x"}
    )


def test_the_active_project(keystore: KeystoreFile) -> None:
    for name in ("p", "q"):
        keystore.save_project(name, KEYS)
        keystore.set_active_project(name)
    keystore.set_active_project("q")
    assert keystore.load().previous_active_project_id == "p"
    keystore.remove_project("p")
    assert keystore.get_active_project() == "q"
    keystore.remove_project("q")  # the one before it is gone too
    assert keystore.get_active_project() is None
    assert keystore.path.read_text() == '{\n  "projects": {}\n}'


def test_other_scripts_and_halves_of_pairs(keystore: KeystoreFile) -> None:
    keystore.save_project("p", ProjectKeys("é☃\u2028\x7f", 'a"\\\n\x01', site_url="\ud83d"))
    assert keystore.path.read_bytes().decode() == (
        '{\n  "projects": {\n    "p": {\n      "anon_key": "é☃\u2028\x7f",\n'
        '      "service_key": "a\\"\\\\\\n\\u0001",\n'
        '      "site_url": "\\ud83d"\n    }\n  }\n}'
    )
    assert keystore.get_project("p") == ProjectKeys("é☃\u2028\x7f", 'a"\\\n\x01', site_url="\ud83d")


@pytest.mark.parametrize("wrong", ["", " ", None, "a\0"])
def test_ids_that_are_none(wrong: Any, keystore: KeystoreFile) -> None:
    for call in (lambda: keystore.save_project(wrong, KEYS), lambda: keystore.set_active_project(wrong)):
        with pytest.raises(Run402Error, match="project_id"):
            call()
    assert not keystore.path.exists()


def test_threads(keystore: KeystoreFile) -> None:
    def save(name: str) -> None:
        for number in range(25):
            keystore.save_project(name, ProjectKeys("a", "s", additional_properties={str(number): 1}))

    threads = [threading.Thread(target=save, args=(str(one),)) for one in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: len(keys.additional_properties) for name, keys in keystore.load().projects.items()} == {
        str(one): 25 for one in range(4)
    }


def test_a_lock_of_ours_that_is_held(keystore: KeystoreFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PATIENCE", 0.05)
    keystore.save_project("p", KEYS)
    with FileLock(keystore.path.with_name(".projects.json.tollkit-lock")), pytest.raises(LocalError, match="held"):
        keystore.save_project("q", KEYS)
    keystore.save_project("q", KEYS)


def full(handle: int) -> None:
    raise OSError(28, "No space left on device")


def locals_of(error: BaseException | None) -> str:
    """What a reporter of errors shows: the locals of every frame beneath the test's."""
    told: list[str] = []
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename != __file__:
                told += map(repr, frame.f_locals.values())
        error = error.__cause__ or error.__context__
    return " ".join(told)


def test_no_key_is_in_a_traceback(
    keystore: KeystoreFile, allowance: AllowanceFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    keystore.save_project("p", ProjectKeys("a", "sentinel-service"))
    allowance.save(WALLET)
    local = LocalCredentials(keystore_path=keystore.path, allowance_path=allowance.path)
    monkeypatch.setattr(os, "fsync", full)
    for call in (
        lambda: keystore.save_project("q", ProjectKeys("a", "sentinel-service")),
        lambda: allowance.save(WALLET),
        lambda: allowance.save(AllowanceData(address=OTHER_ADDRESS, private_key=OTHER_KEY)),
    ):
        with pytest.raises(LocalError) as caught:
            call()
        shown = locals_of(caught.value)
        assert "sentinel-service" not in shown
        assert KEY[2:] not in shown
        assert OTHER_KEY[2:] not in shown
    allowance.path.write_text(json.dumps({"address": "0x", "privateKey": KEY}))
    for call in (allowance.read, lambda: local.get_auth("/"), local.read_allowance):
        with pytest.raises(ConfigurationError) as refused:
            call()
        assert KEY[2:] not in locals_of(refused.value)


def test_temporary_files_of_the_killed_are_removed(keystore: KeystoreFile) -> None:
    keystore.save_project("p", KEYS)
    old, new, other = (
        keystore.path.with_name(name) for name in (".projects.1.tmp", ".projects.2.tmp", ".other.3.tmp")
    )
    for path in (old, new, other):
        path.write_text("keys")
    for path in (old, other):
        os.utime(path, (1, 1))
    keystore.save_project("p", KEYS)
    assert [path.exists() for path in (old, new, other)] == [False, True, True]


def test_a_save_that_fails_leaves_nothing(keystore: KeystoreFile, monkeypatch: pytest.MonkeyPatch) -> None:
    keystore.save_project("p", KEYS)
    before = sorted(os.listdir(keystore.path.parent))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(LocalError, match="No space") as caught:
            keystore.save_project("q", KEYS)
    assert isinstance(caught.value.__cause__, OSError)
    assert sorted(os.listdir(keystore.path.parent)) == before
    assert keystore.get_project("q") is None
    keystore.save_project("q", KEYS)


def test_a_file_that_cannot_be_read(keystore: KeystoreFile) -> None:
    """Not taken as empty: whoever has no right to read it now has all keys in it."""
    keystore.path.mkdir(parents=True)
    for doing in (keystore.load, keystore.get_active_project, lambda: keystore.save_project("p", KEYS)):
        with pytest.raises(LocalError, match="Is a directory"):
            doing()


def test_no_projects_are_projects_too(keystore: KeystoreFile) -> None:
    keystore.path.parent.mkdir(parents=True)
    keystore.path.write_text('{"active_project_id":"p","previous_active_project_id":"q","projects":{}}')
    assert keystore.get_active_project() == "p"
    keystore.set_active_project("r")
    assert (keystore.load().active_project_id, keystore.load().previous_active_project_id) == ("r", "p")
    keystore.set_active_project("r")
    assert keystore.get_active_project() == "r"


def test_elsewhere_folders_are_not_synced(
    keystore: KeystoreFile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As on Windows, where a folder cannot be opened, and all look alike."""
    opened: list[Any] = []
    original = os.open

    def told(path: Any, *arguments: Any, **named: Any) -> int:
        opened.append(path)
        return original(path, *arguments, **named)

    monkeypatch.setattr(os, "open", told)
    keystore.save_project("p", KEYS)
    assert keystore.path.parent in opened
    opened.clear()
    monkeypatch.setattr(files, "os", type("Windows", (), {"__getattr__": lambda self, name: getattr(os, name)})())
    files.os.name = "nt"
    keystore.save_project("q", KEYS)
    assert keystore.path.parent not in opened


def test_without_the_extra(keystore: KeystoreFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "filelock", None)
    with pytest.raises(MissingExtraError, match=r"tollkit\[payments\]"):
        keystore.save_project("p", KEYS)
    assert keystore.load().projects == {}


def test_what_files_show(tmp_path: Path) -> None:
    local = LocalCredentials(keystore_path=tmp_path / "k", allowance_path=tmp_path / "a")
    assert repr(local.keystore) == f"KeystoreFile({str(tmp_path / 'k')!r})"
    assert repr(local.allowance) == f"AllowanceFile({str(tmp_path / 'a')!r})"
    assert repr(local) == f"LocalCredentials({str(tmp_path / 'k')!r}, {str(tmp_path / 'a')!r})"
    assert "anon" not in repr(KEYS).replace("anon_key", "")
    assert KEY not in repr(WALLET)


# --- the wallet -----------------------------------------------------------------------------------


def test_the_wallets_form(allowance: AllowanceFile) -> None:
    assert allowance.read() is None
    allowance.save(WALLET)
    assert allowance.path.read_text() == (
        f'{{\n  "address": "{ADDRESS.lower()}",\n  "privateKey": "{KEY}",\n'
        '  "created": "2026-01-01T00:00:00.000Z",\n  "funded": false\n}'
    )
    assert allowance.path.stat().st_mode & 0o777 == 0o600
    assert allowance.read() == WALLET


def test_what_the_wallets_file_holds_besides_stays_in_its_order(allowance: AllowanceFile) -> None:
    allowance.path.parent.mkdir()
    allowance.path.write_text(
        json.dumps({"own": 1, "privateKey": KEY, "address": ADDRESS.upper().replace("X", "x"), "funded": "odd"})
    )
    found = allowance.read()
    assert found is not None
    assert found.additional_properties == {"own": 1, "funded": "odd"}
    allowance.save(AllowanceData(address=found.address, private_key=found.private_key, funded=True, rail="mpp"))
    assert list(json.loads(allowance.path.read_bytes()).items()) == [
        ("own", 1),
        ("privateKey", KEY),
        ("address", ADDRESS.upper().replace("X", "x")),
        ("funded", True),
        ("rail", "mpp"),
    ]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("null", "no JSON object"),
        ("[]", "no JSON object"),
        ("7", "no JSON object"),
        ("{}", "address"),
        (json.dumps({"address": ADDRESS[:-1], "privateKey": KEY}), "address"),
        (json.dumps({"address": ADDRESS}), "privateKey"),
        (json.dumps({"address": ADDRESS, "privateKey": KEY[2:]}), "privateKey"),
        (json.dumps({"address": ADDRESS, "privateKey": 7}), "privateKey"),
    ],
)
def test_a_file_that_is_no_wallet(content: str, match: str, allowance: AllowanceFile) -> None:
    allowance.path.parent.mkdir()
    allowance.path.write_text(content)
    with pytest.raises(ConfigurationError, match=match) as caught:
        allowance.read()
    assert is_local_error(caught.value)
    assert KEY[2:] not in str(caught.value)
    allowance.save(WALLET)  # it is kept, and makes place
    assert allowance.read() == WALLET
    (aside,) = [path for path in allowance.path.parent.iterdir() if ".unreadable-" in path.name]
    assert aside.read_text() == content


def test_a_damaged_wallet_is_none_and_is_kept(allowance: AllowanceFile, caplog: pytest.LogCaptureFixture) -> None:
    allowance.path.parent.mkdir()
    damaged = json.dumps({"address": ADDRESS, "privateKey": KEY})[:-2]
    allowance.path.write_text(damaged)
    assert allowance.read() is None
    assert "taken as no wallet" in caplog.text
    allowance.save(WALLET)
    (aside,) = [path for path in allowance.path.parent.iterdir() if ".unreadable-" in path.name]
    assert aside.read_text() == damaged


def test_a_wallet_is_never_put_in_the_place_of_another(allowance: AllowanceFile) -> None:
    allowance.save(WALLET)
    with pytest.raises(LocalError, match="would be lost"):
        allowance.save(AllowanceData(address=OTHER_ADDRESS, private_key=OTHER_KEY))
    assert allowance.read() == WALLET
    with pytest.raises(ConfigurationError, match="privateKey"):
        allowance.save(AllowanceData(address=ADDRESS, private_key="0x12"))


def test_the_file_of_older_tools_is_renamed(allowance: AllowanceFile) -> None:
    legacy = allowance.path.with_name("wallet.json")
    legacy.parent.mkdir()
    legacy.write_text(json.dumps(WALLET.to_dict()))
    assert allowance.read() == WALLET
    assert not legacy.exists()
    legacy.write_text(json.dumps({"address": OTHER_ADDRESS, "privateKey": OTHER_KEY}))
    assert allowance.read() == WALLET
    assert legacy.exists()


# --- both -----------------------------------------------------------------------------------------


def test_signing_in_follows_the_file(tmp_path: Path) -> None:
    env = {"RUN402_CONFIG_DIR": str(tmp_path), "RUN402_API_BASE": "http://localhost:1"}
    local = LocalCredentials(env=env, siwx_reuse=60)
    assert local.get_auth("/a") is None
    local.save_allowance(WALLET)
    first = local.get_auth("/a")
    assert first is not None
    assert list(first) == [HEADER]
    assert local.get_auth("/a") == first
    env["RUN402_API_BASE"] = "http://localhost:2"
    assert local.get_auth("/a") != first
    Path(local.get_allowance_path()).write_text(json.dumps({"address": OTHER_ADDRESS, "privateKey": KEY}))
    with pytest.raises(LocalError, match="belongs to") as caught:
        local.get_auth("/a")
    assert caught.value.kind == "local_error"
    Path(local.get_allowance_path()).unlink()
    assert local.get_auth("/a") is None
    (tmp_path / "wallet.json").write_text(json.dumps(WALLET.to_dict()))
    assert local.get_auth("/a") is not None
    assert local._siwx is None  # nothing to know the file by yet
    assert local.get_auth("/a") is not None
    assert local._siwx is not None


def test_the_local_provider_keeps_what_it_is_told(tmp_path: Path) -> None:
    local = LocalCredentials(keystore_path=tmp_path / "k.json", allowance_path=tmp_path / "a.json")
    local.save_project("p", KEYS)
    local.update_project("p", {"mailbox_id": "m"})
    local.set_active_project("p")
    assert local.get_active_project() == "p"
    found = local.get_project("p")
    assert found is not None
    assert found.mailbox_id == "m"
    local.remove_project("p")
    assert local.get_project("p") is None
    made = local.create_allowance()
    assert local.read_allowance() is None
    local.save_allowance(made)
    assert local.read_allowance() == made
    assert made.address == made.address.lower()
    assert made.funded is False
    assert datetime.fromisoformat(str(made.created)).tzinfo == UTC
    assert local.get_allowance_path() == str(tmp_path / "a.json")


def test_a_key_is_never_put_in_the_place_of_another(allowance: AllowanceFile) -> None:
    """Though the address is the same: one of the two does not belong to it, and may be the only copy."""
    allowance.save(AllowanceData(address=ADDRESS, private_key=KEY))
    with pytest.raises(LocalError, match="Another wallet"):
        allowance.save(AllowanceData(address=ADDRESS.lower(), private_key=OTHER_KEY))
    assert KEY in allowance.path.read_text()
    allowance.save(AllowanceData(address=ADDRESS.lower(), private_key=KEY.upper().replace("X", "x"), funded=True))
    assert allowance.read().funded


@pytest.mark.parametrize("problem", [OSError(5, "Input/output error"), PermissionError(13, "Permission denied")])
def test_a_wallet_that_cannot_be_read_now_is_not_taken_for_none(
    allowance: AllowanceFile, monkeypatch: pytest.MonkeyPatch, problem: OSError
) -> None:
    allowance.save(AllowanceData(address=ADDRESS, private_key=KEY))
    whole = Path.read_bytes

    def fails(path: Path) -> bytes:
        if path == allowance.path:
            raise problem
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", fails)
    with pytest.raises(LocalError, match=str(problem.strerror)):
        allowance.read()
    with pytest.raises(LocalError, match=str(problem.strerror)):
        allowance.save(AllowanceData(address=OTHER_ADDRESS, private_key=OTHER_KEY))
    monkeypatch.undo()
    assert allowance.read().address == ADDRESS
    assert [path.name for path in allowance.path.parent.iterdir() if not path.name.startswith(".")] == [
        "allowance.json"
    ]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_a_wallet_of_older_tools_is_for_its_owner_alone(allowance: AllowanceFile) -> None:
    old = allowance.path.with_name("wallet.json")
    old.parent.mkdir(parents=True)
    old.write_text(json.dumps({"address": ADDRESS, "privateKey": KEY}))
    old.chmod(0o644)
    assert allowance.read().address == ADDRESS
    assert allowance.path.stat().st_mode & 0o777 == 0o600


def test_a_wallet_of_older_tools_where_there_are_no_links(
    allowance: AllowanceFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On FAT, or where nothing may be written: it is read where it is, and no other is put beside it."""

    def refuses(*_told: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    old = allowance.path.with_name("wallet.json")
    old.parent.mkdir(parents=True)
    old.write_text(json.dumps({"address": ADDRESS, "privateKey": KEY}))
    monkeypatch.setattr(os, "link", refuses)
    assert allowance.read().address == ADDRESS
    with pytest.raises(LocalError, match="Another wallet"):
        allowance.save(AllowanceData(address=OTHER_ADDRESS, private_key=OTHER_KEY))
    allowance.save(AllowanceData(address=ADDRESS, private_key=KEY, funded=True))
    assert json.loads(allowance.path.read_text())["funded"] is True


def test_who_has_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("RUN402_CONFIG_DIR", raising=False)
    monkeypatch.delenv("RUN402_ALLOWANCE_PATH", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    for doing in (
        LocalCredentials().get_active_project,
        LocalCredentials().read_allowance,
        lambda: config.config_dir(),
    ):
        with pytest.raises(ConfigurationError, match="Set RUN402_CONFIG_DIR"):
            doing()
    monkeypatch.setenv("RUN402_CONFIG_DIR", "/nowhere")
    assert LocalCredentials().get_active_project() is None
