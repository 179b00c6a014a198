"""What gateways, folders and files bring to Run402's client: payments, signatures, manifests, keys, downloads."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import httpx
from inputs import answer_of, json_of, object_of, only_ours, parts, texts

from tollkit.errors import DecodeError
from tollkit.run402.allowance import AllowanceFile
from tollkit.run402.ci.credentials import GithubActionsCredentials
from tollkit.run402.credentials import ProjectKeys
from tollkit.run402.deploy.bundle import bundle_spec
from tollkit.run402.deploy.events import event_from_dict
from tollkit.run402.deploy.manifest import load_manifest
from tollkit.run402.deploy.spec import Prepared, check_ci, normalised, validate
from tollkit.run402.download import Downloaded, download
from tollkit.run402.keystore import KeystoreFile
from tollkit.run402.signer import PrivateKeySigner
from tollkit.run402.siwx import SiwxMessage, siwx_header_value, siwx_text
from tollkit.run402.x402 import (
    asks_for_payment,
    chain_id_of,
    payment_header,
    payment_payload,
    read_challenge,
    read_settlement,
)

NOW = 1_767_225_600
KEY = "0x" + "01" * 32
_MEMORY = Path("/dev/shm")
_LONGEST = 8 << 20


@cache
def _signer() -> PrivateKeySigner:
    return PrivateKeySigner(KEY)


@contextmanager
def _folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None))
    try:
        yield made
    finally:
        shutil.rmtree(made)


def payments(data: bytes) -> None:
    """A 402 and what an answer says of a payment: its head, its body, a network."""
    head, body, network = parts(data, 3)
    answer = answer_of(head, body)
    asks_for_payment(answer.headers, body)
    read_settlement(answer.headers)
    with only_ours():
        assert chain_id_of(network.decode("utf-8", "surrogateescape")) >= 0
    asked = read_challenge(answer.headers, body)
    if asked is None:
        return
    assert asked.x402_version in (1, 2)
    assert asked.unread >= 0
    for offer in asked.accepts:
        assert offer.amount >= 0
        with only_ours():
            paid = payment_payload(asked, offer, _signer(), now=NOW, nonce="0x" + "07" * 32)
            assert offer.unusable is None
            _, header = payment_header(paid)
            signed = json.loads(base64.b64decode(str.__str__(header)))["payload"]["authorization"]
            assert (int(signed["value"]), signed["to"].lower()) == (offer.amount, offer.pay_to.lower())
            assert KEY[2:] not in str.__str__(header)


def sign_in(data: bytes) -> None:
    """The message of a wallet: address, path, nonce, statement, resource."""
    base, path, nonce, statement, resource = texts(data, 5)
    with only_ours():
        message = SiwxMessage.new(base, path, now=NOW, nonce=nonce, statement=statement, resources=[resource])
        lines = siwx_text(message, _signer().address).split("\n")
        # nobody can put a line of his own behind the statement
        ending = ["URI: " + message.uri, "Version: 1", "Chain ID: 84532", "Nonce: " + message.nonce]
        at = len(lines) - 2 - 2 - len(ending)
        assert lines[at : at + len(ending)] == ending
        assert lines[-2:] == ["Resources:", "- " + resource]
        told = json.loads(base64.b64decode(str.__str__(siwx_header_value(message, _signer()))))
        assert (told["uri"], told["nonce"], told["resources"]) == (message.uri, message.nonce, [resource])


def manifest(data: bytes) -> None:
    """A manifest as a file, in a folder with a page and a migration."""
    given = object_of(data)
    values = [
        each.get("value")
        for each in (given.get("secrets") if isinstance(given.get("secrets"), list) else [])
        if isinstance(each, dict)
    ]
    secrets = [value for value in values if isinstance(value, str) and json.dumps(given).count(value) == 1]
    with _folder() as folder:
        folder.joinpath("manifest.json").write_bytes(data)
        folder.joinpath("index.html").write_text("<h1>Hello</h1>")
        folder.joinpath("001.sql").write_text("create table notes (id int)")
        with only_ours(secrets=secrets):
            loaded = load_manifest(folder / "manifest.json", project="prj_1", root=folder)
            assert loaded.spec["project"] == "prj_1"
            validate(loaded.spec)
        with only_ours(secrets=secrets):
            load_manifest(given)


def release(data: bytes) -> None:
    """A release specification of anything."""
    given = json_of(data)
    with only_ours():
        check_ci(given)
    with only_ours():
        validate(given)
        wire, _ = normalised(given)
        prepared = Prepared(given)
        json.dumps(prepared.wire(), allow_nan=False).encode()
        assert set(wire) <= set(given) | {"database"}


def bundle(data: bytes) -> None:
    """A bundle of anything; what is made of it is a release."""
    given = object_of(data)
    names = ("migrations", "rls", "secrets", "functions", "files", "subdomain")
    members = {name: given[name] for name in names if name in given}
    values = (
        [each.get("value") for each in members.get("secrets") or [] if isinstance(each, dict)]
        if isinstance(members.get("secrets"), list)
        else []
    )
    secrets = [value for value in values if isinstance(value, str) and json.dumps(given).count(value) == 1]
    with only_ours(secrets=secrets):
        made = bundle_spec("prj_1", **members)
        validate(made)


def keystore(data: bytes) -> None:
    """The file with the keys of projects; it is written, and read again."""
    with _folder() as folder:
        path = folder / "projects.json"
        path.write_bytes(data)
        store = KeystoreFile(path)
        with only_ours():
            held = store.load()
            for name in held.projects:
                assert store.get_project(name) == held.projects[name]
            assert store.get_active_project() == held.active_project_id
            store.save_project("prj_new", ProjectKeys(anon_key="a", service_key="s"))
            store.set_active_project("prj_new")
            after = store.load()
            assert after.active_project_id == "prj_new"
            assert after.projects["prj_new"].service_key == "s"
            assert {name: keys for name, keys in after.projects.items() if name != "prj_new"} == {
                name: keys for name, keys in held.projects.items() if name != "prj_new"
            }
            store.remove_project("prj_new")
            assert "prj_new" not in store.load().projects


def allowance(data: bytes) -> None:
    """The file with the wallet."""
    found = object_of(data)
    with _folder() as folder:
        path = folder / "allowance.json"
        path.write_bytes(data)
        with only_ours(secrets=[found.get("privateKey")]):
            read = AllowanceFile(path, folder / "wallet.json").read()
            if read is not None:
                assert str(found["privateKey"])[2:] not in repr(read)
                AllowanceFile(path).save(read)
                assert AllowanceFile(path).read() == read
                assert object_of(path.read_bytes()).items() >= read.to_dict().items()


def events(data: bytes) -> None:
    """Events of a deploy."""
    found = json_of(data)
    for each in found if isinstance(found, list) else [found]:
        if isinstance(each, dict):
            event = event_from_dict(each)
            assert event.to_dict() is not None
            assert type(event_from_dict(event.to_dict())) is type(event)


def ci_token(data: bytes) -> None:
    """A workflow's token: lines of NAME=value, then the head and the body of what GitHub answers."""
    lines, head, body = parts(data, 3)
    pairs = [line.partition("=") for line in lines.decode("utf-8", "surrogateescape").split("\n")]
    env = {name: value for name, _, value in pairs}
    signed_in = _github()
    signed_in._env = env
    token = env.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
    told = (head + body).decode("utf-8", "surrogateescape")
    elsewhere = sum(str(token) in text for text in (*env.values(), told)) > 1
    with only_ours(secrets=[] if elsewhere else [token]):
        flow = signed_in._id_token()
        asked = next(flow)
        assert asked.request.url_with_query.isascii()
        assert [value for name, value in asked.request.params if name == "audience"] == ["https://api.run402.com"]
        assert str(token) not in repr(asked) or elsewhere or len(str(token)) < 8
        try:
            found = asked.parse(answer_of(head, body))
        except DecodeError as problem:
            flow.throw(problem)
            raise AssertionError("an answer without a token was taken") from problem
        assert str.__str__(found) == object_of(body)["value"]


@cache
def _github() -> GithubActionsCredentials:
    return GithubActionsCredentials("prj_1", allow_insecure_http=True, env={})


@attrs.frozen
class _Got:
    status_code: int
    headers: httpx.Headers


def file_answers(data: bytes) -> None:
    """A download: what earlier calls left, then one answer after the other, each with a head and a body."""
    note, begun, *rest = data.split(b"\n--\n", 9)[:10] + [b""] * max(0, 2 - data.count(b"\n--\n"))
    replies = [(answer_of(head, b""), body) for head, body in zip(rest[::2], rest[1::2], strict=False)]
    with _folder() as folder:
        target = folder / "target.bin"
        target.write_bytes(b"the old file")
        target.with_name("target.bin.part").write_bytes(begun)
        target.with_name("target.bin.part.json").write_bytes(note)
        whole: Downloaded | None = None
        with only_ours():
            whole = _driven(target, replies)
        if whole is None:
            assert target.read_bytes() == b"the old file"
        else:
            assert target.stat().st_size == whole.size
            assert not target.with_name("target.bin.part").exists()


def _driven(target: Path, replies: list[Any]) -> Downloaded:
    """Run the flow of a download over these answers; when they are at an end, the connection breaks."""
    from tollkit.core.flows import Offload, Sleep
    from tollkit.errors import TransportError

    waiting = list(replies)

    def fetch(headers: dict[str, str], sink: Any) -> Any:
        if not waiting:
            raise TransportError("the connection broke")
        answer, body = waiting.pop(0)
        take = sink(answer.status_code, answer.headers)
        if take is not None:
            take(body)
        return _Got(answer.status_code, answer.headers)
        yield

    flow = download(fetch, target, source="https://cdn.example/k")
    sent: Any = None
    problem: BaseException | None = None
    while True:
        try:
            effect = flow.throw(problem) if problem else flow.send(sent)
        except StopIteration as ended:
            return ended.value
        sent = problem = None
        if isinstance(effect, Offload):
            try:
                sent = effect.call()
            except Exception as failed:
                problem = failed
        else:
            assert isinstance(effect, Sleep), effect
            assert 0 <= effect.seconds < 3600
