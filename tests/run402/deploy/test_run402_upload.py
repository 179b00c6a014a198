"""Uploads against the sandbox: parts side by side, faults, addresses that end, and memory."""

from __future__ import annotations

import hashlib
import threading
import types
from pathlib import Path
from typing import Any

import pytest

from support.run402 import Side
from support.run402_deploys import OURS, SIGNER, Kit
from support.scripted_http import Reply, Script, Sent
from tollkit.core import drivers
from tollkit.errors import CancelledError
from tollkit.run402.credentials import MemoryCredentials
from tollkit.run402.deploy import upload
from tollkit.run402.deploy.errors import DeployError
from tollkit.run402.errors import ApiError, NetworkError, ProjectNotFound

BIG = bytes(range(256)) * 1000  # 256,000 bytes
PUT = "PUT */upload/*"


def content_plans(kit: Kit) -> int:
    return sum(one.path == "/run402/content/v1/plans" for one in kit.server.requests)


def puts(kit: Kit) -> list[Any]:
    return [one for one in kit.server.requests if one.method == "PUT"]


# ---------------------------------------------------------------- parts


@pytest.mark.parametrize("small", [1 << 20, 1000])
def test_parts_are_sent_with_checksums_and_completed_with_etags(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    monkeypatch.setattr(drivers, "_AT_ONCE", small)
    kit.deploys.set_uploads(multipart_above=1000, part_size=10_000)
    kit.apply({"big.bin": BIG, "small.txt": b"x"})
    assert kit.live() == {"big.bin": BIG, "small.txt": b"x"}
    assert len(puts(kit)) == 27
    assert all("x-amz-checksum-sha256" in one.headers for one in puts(kit))
    assert not any(name in one.headers for one in puts(kit) for name in ("apikey", "authorization", "sign-in-with-x"))


def test_a_checksum_in_the_address_is_enough(kit: Kit) -> None:
    kit.deploys.set_uploads(checksum_in_address=True)
    kit.apply({"a.txt": b"a"})
    assert [one for one in puts(kit) if "x-amz-checksum-sha256" in one.headers] == []


def test_etags_that_do_not_come_are_not_named(kit: Kit, side: Side) -> None:
    sent: list[Sent] = []
    content = b"ab"

    def answer(one: Sent) -> Reply:
        sent.append(one)
        if one.method == "PUT":
            return Reply(200)
        if one.url.endswith("/content/v1/plans"):
            parts = [
                {"part_number": number, "url": f"https://s3.example/{number}", "byte_start": number - 1,
                 "byte_end": number - 1}
                for number in (1, 2)
            ]  # fmt: skip
            one_upload = {"sha256": hashlib.sha256(content).hexdigest(), "mode": "multipart", "parts": parts,
                          "upload_id": "u", "expires_at": "soon"}  # fmt: skip
            return Reply.json({"plan_id": "c", "missing": [one_upload]})
        if one.url.endswith("/deploy/v2/plans"):
            missing = [{"sha256": hashlib.sha256(content).hexdigest(), "size": 2, "present": False}]
            return Reply.json({"plan_id": "p", "operation_id": "op_1", "manifest_digest": "", "base_release_id": None,
                               "missing_content": missing, "is_noop": False, "warnings": None})  # fmt: skip
        return Reply.json({"status": "ready", "release_id": "rel_1", "urls": {}})

    play = side.play(Script(answer))
    result = play.do("deploy.apply", {"project": "prj_k", "site": {"replace": {"a": content}}})
    assert [one.content for one in sent if one.url.endswith("/complete")] == [b"{}"]
    assert result.diff.is_noop is False  # of a gateway that spreads the diff over the plan
    assert (result.warnings, result.operation_id) == ((), "op_1")


def test_plain_http_is_for_those_who_allow_it(side: Side) -> None:
    def answer(one: Sent) -> Reply:
        if one.url.endswith("/content/v1/plans"):
            part = {"part_number": 1, "url": "http://s3.example/1", "byte_start": 0, "byte_end": 0}
            sha256 = hashlib.sha256(b"a").hexdigest()
            found = {"sha256": sha256, "mode": "single", "parts": [part], "upload_id": "u"}
            return Reply.json({"plan_id": "c", "missing": [found]})
        missing = [{"sha256": hashlib.sha256(b"a").hexdigest(), "size": 1, "present": False}]
        return Reply.json({"plan_id": "p", "operation_id": "op_1", "manifest_digest": "", "base_release_id": None,
                           "missing_content": missing})  # fmt: skip

    play = side.play(Script(answer))
    error = play.raises(NetworkError, "deploy.apply", {"project": "prj_k", "site": {"replace": {"a": b"a"}}})
    assert (error.operation_id, error.retryable) == ("op_1", False)
    assert not any(sent.method == "PUT" for sent in play.script.sent)


def test_what_is_missing_again_and_what_is_not(kit: Kit) -> None:
    planned = kit.do("deploy.plan", kit.spec({"a": b"a", "b": b"b"}))
    kit.deploys.add_content(kit.project.id, b"a")  # somebody else has brought it meanwhile
    kit.do("deploy.upload", planned, on_event=kit.told.append)
    (progress,) = kit.events()
    assert (progress["label"], progress["done"], progress["total"]) == ("b", 1, 1)
    kit.deploys.add_content(kit.project.id, b"b")
    kit.do("deploy.upload", planned, on_event=kit.told.append)
    assert len(kit.events()) == 1


def test_content_that_is_not_at_hand(kit: Kit) -> None:
    ref = {"sha256": hashlib.sha256(b"far away").hexdigest(), "size": 8}
    error = kit.refused({"a.txt": ref})
    assert (error.code, error.resource) == ("CONTENT_UPLOAD_FAILED", "a.txt")
    planned = kit.do("deploy.plan", kit.spec({"b": b"b"}))
    import attrs

    error = kit.raises(DeployError, "deploy.upload", attrs.evolve(planned, contents={}))
    assert (error.code, error.phase, error.retryable) == ("CONTENT_UPLOAD_FAILED", "upload", False)
    assert error.operation_id == planned.operation_id


def test_a_file_that_changes_stops_the_deploy(kit: Kit, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"before")
    planned = kit.do("deploy.plan", kit.spec({"a.txt": file}))
    file.write_bytes(b"after!")
    error = kit.raises(DeployError, "deploy.upload", planned)
    assert (error.code, error.resource, error.plan_id) == ("CONTENT_CHANGED", "a.txt", planned.plan_id)
    assert kit.deploys.uploads == []


def test_keys_that_are_not_known(kit: Kit) -> None:
    stranger = kit.another(credentials=MemoryCredentials({}, signer=SIGNER, api_base=kit.sandbox.api_base))
    with pytest.raises(ProjectNotFound) as caught:
        kit.do("deploy.apply", kit.spec({"a": b"a"}), client=stranger)
    assert caught.value.operation_id == kit.deploys.operations[0].id


# ---------------------------------------------------------------- faults


@pytest.mark.parametrize("after", [0, 5_000, 1_000_000])
def test_each_part_is_tried_again_alone(kit: Kit, slept: list[float], after: int) -> None:
    kit.deploys.set_uploads(multipart_above=1000, part_size=64_000)
    kit.deploys.drop_upload(after, times=3, skip=1)
    kit.apply({"big.bin": BIG})
    assert kit.live() == {"big.bin": BIG}
    assert kit.deploys.uploaded() == len(BIG)
    assert len(slept) >= 3
    sent = [event.to_dict() for event in kit.told if event.type == "content.upload.bytes"]
    assert sent[-1] == {"type": "content.upload.bytes", "sent": len(BIG), "total": len(BIG)}


@pytest.mark.parametrize(
    "answer",
    [{"status": 500}, {"status": 429}, {"status": 400, "body": "<Code>RequestTimeout</Code>"}],
    ids=["500", "429", "400"],
)
def test_a_storage_that_stumbles(kit: Kit, answer: dict[str, Any]) -> None:
    kit.fault("status", PUT, times=4, **answer)
    kit.apply({"a.txt": b"a"})
    assert kit.live() == {"a.txt": b"a"}


def test_a_storage_that_says_when_to_come_again(kit: Kit, slept: list[float]) -> None:
    kit.fault("status", PUT, status=503, retry_after=7)
    kit.apply({"a.txt": b"a"})
    assert slept[0] == 7


@pytest.mark.parametrize(
    ("fault", "again"),
    [({"kind": "status", "status": 400, "body": "<Code>InvalidRequest</Code>"}, False), ({"kind": "reset"}, True),
     ({"kind": "status", "status": 500, "body": "sorry"}, True)],
    ids=["refused", "lost", "failed"],
)  # fmt: skip
def test_a_storage_that_does_not_take_it(kit: Kit, fault: dict[str, Any], again: bool) -> None:
    kit.fault(match=PUT, times=None, **fault)
    error = kit.refused({f"{number}.txt": b"%d" % number for number in range(20)})
    assert isinstance(error, DeployError)
    assert (error.code, error.phase, error.retryable) == ("CONTENT_UPLOAD_FAILED", "upload", again)
    assert (error.status, error.body) == (fault.get("status"), fault.get("body"))
    assert error.resource in {f"{number}.txt" for number in range(20)}
    assert error.operation_id == kit.deploys.operations[0].id
    # the others stop, and do not send the rest of it
    most = {False: 8, True: 8 * upload.ATTEMPTS}[again]
    assert len(puts(kit)) <= most


def test_an_upload_that_was_completed_after_all(kit: Kit) -> None:
    kit.fault("reset", "POST */complete", when="after_processing")
    kit.fault("status", "POST */complete", status=409, body={"code": "CONTENT_UPLOAD_FAILED"})
    kit.apply({"a.txt": b"a"})
    assert kit.live() == {"a.txt": b"a"}
    kit.fault("status", "POST */complete", status=409, body={"code": "CONTENT_UPLOAD_FAILED"})
    assert isinstance(kit.refused({"a.txt": b"b"}), ApiError)


# ---------------------------------------------------------------- addresses that end


@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize("parts", [True, False])
@pytest.mark.parametrize("skip", [0, 3])
def test_expired_addresses_are_asked_for_again(
    kit: Kit, slept: list[float], reuse: bool, parts: bool, skip: int
) -> None:
    kit.deploys.set_uploads(reuse=reuse, **({"multipart_above": 1000, "part_size": 64_000} if parts else {}))
    kit.deploys.expire_address(times=2, skip=skip)
    site = {"big.bin": BIG, **{f"{number}.txt": b"%d" % number for number in range(6)}}
    kit.apply(site)
    assert kit.live() == site
    assert content_plans(kit) >= 2
    if reuse:
        assert kit.deploys.uploaded() == sum(map(len, site.values()))
    else:
        progress = [event for event in kit.events() if event["type"] == "content.upload.progress"]
        assert progress[-1]["done"] == progress[-1]["total"]


def test_an_address_that_never_works(kit: Kit) -> None:
    kit.deploys.expire_address(times=1000)
    error = kit.refused({"a.txt": b"a"})
    assert (error.code, error.status, error.retryable) == ("CONTENT_UPLOAD_FAILED", 403, True)
    assert "expired" in error.body
    assert len(puts(kit)) == upload.ATTEMPTS


def test_what_ends_soon_is_not_used(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    now = kit.server.clock.now
    monkeypatch.setattr(upload, "time", types.SimpleNamespace(monotonic=now, time=now))
    kit.deploys.set_uploads(lifetime=42)

    def told(event: Any) -> None:
        if event.type == "content.upload.progress":
            kit.server.clock.advance(6)

    kit.do(
        "deploy.apply", kit.spec({str(number): b"%d" % number for number in range(6)}), on_event=told, max_uploads=1
    )
    assert len(kit.live()) == 6
    assert content_plans(kit) == 3  # after two files each time less than the margin is left


def test_a_batch_is_begun_anew_when_its_former_plan_is_not_taken(kit: Kit) -> None:
    kit.deploys.set_uploads(reuse=False)
    kit.deploys.expire_address(skip=2)
    # the second plan is taken, the first one is not, and what came with it is gone
    kit.fault("status", "POST */content/v1/plans/*/commit", status=409, skip=1, body={"code": "X"})
    site = {str(number): b"%d" % number for number in range(4)}
    kit.apply(site, max_uploads=1)
    assert kit.live() == site
    kit.deploys.expire_address(skip=2)
    kit.fault("status", "POST */content/v1/plans/*/commit", times=None, status=500, skip=1)
    assert isinstance(kit.refused({name: data + b"!" for name, data in site.items()}, max_uploads=1), ApiError)


def test_what_somebody_else_brings_while_addresses_are_asked_for(kit: Kit) -> None:
    site = {str(number): b"%d" % number for number in range(3)}
    kit.deploys.expire_address(skip=1)
    planned = kit.do("deploy.plan", kit.spec(site))

    def told(event: Any) -> None:
        kit.told.append(event)
        if event.type == "content.upload.progress":
            kit.deploys.add_content(kit.project.id, b"2")

    kit.do("deploy.upload", planned, on_event=told, max_uploads=1)
    progress = [event for event in kit.events() if event["type"] == "content.upload.progress"]
    assert [event["done"] for event in progress] == [1, 2, 3]
    assert kit.deploys.uploaded() == 2


# ---------------------------------------------------------------- many, and large


def test_thousands_of_files_need_few_threads(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "BATCH", 40)
    most = [0]
    before = set(threading.enumerate())  # another test's may still be on their way out

    def told(event: Any) -> None:
        new = set(threading.enumerate()) - before
        most[0] = max(most[0], sum(thread.name.startswith("tollkit") for thread in new))

    site = {f"{number}.txt": b"%d" % number for number in range(150)}
    kit.do("deploy.apply", kit.spec(site), on_event=told, max_uploads=4)
    assert len(kit.live()) == 150
    assert content_plans(kit) == 4
    assert most[0] <= 8


def test_memory_is_bounded_by_the_pieces_in_flight(kit: Kit, tmp_path: Path) -> None:
    import tracemalloc

    file = tmp_path / "large.bin"
    with file.open("wb") as out:
        out.truncate(96 << 20)
    kit.deploys.set_uploads(multipart_above=1 << 20, part_size=8 << 20)
    planned = kit.do("deploy.plan", kit.spec({"large.bin": file}))
    tracemalloc.start()
    kit.do("deploy.upload", planned, max_uploads=4)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kit.deploys.uploaded() == 96 << 20
    # the sandbox is in the same process, and counts too
    assert most < 48 << 20, f"{most >> 20} MiB"


def test_bytes_are_told_while_a_large_part_is_sent(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "_TELL_EVERY", 0.0)
    large = bytes(4 << 20)
    kit.apply({"large.bin": large})
    sent = [event.to_dict()["sent"] for event in kit.told if event.type in OURS and event.type.endswith("bytes")]
    assert len(sent) > 5
    assert (sent, sent[-1]) == (sorted(sent), len(large))


# ---------------------------------------------------------------- what only happens between threads


def test_workers_that_come_too_late_do_nothing() -> None:
    from tollkit.run402.client import Run402Flows
    from tollkit.run402.deploy.telling import Teller

    root = Run402Flows("https://api.run402.test", MemoryCredentials({}), allow_http=False)
    uploader = upload.Uploader(
        root, keys=None, project_id="prj_k", teller=Teller(), check=lambda: None, contents={}, max_uploads=2
    )
    batch = upload._Batch([])
    assert list(uploader._beginning(batch)()) == []  # somebody else has begun it
    batch.asked = 2
    assert list(uploader._renew(batch, 1)) == []  # somebody else has asked since
    uploader._over = True
    assert list(uploader._work()) == []  # somebody else has failed


def test_a_platform_that_gives_the_same_plan_again(side: Side, slept: list[float]) -> None:
    asked = [0]

    def answer(one: Sent) -> Reply:
        if one.method == "PUT":
            return Reply(403 if one.url.endswith("1") else 200)
        if one.url.endswith("/content/v1/plans"):
            asked[0] += 1
            part = {"part_number": 1, "url": f"https://s3.example/{asked[0]}", "byte_start": 0, "byte_end": 0}
            found = {"sha256": hashlib.sha256(b"a").hexdigest(), "mode": "single", "parts": [part], "upload_id": "u"}
            return Reply.json({"plan_id": "c", "missing": [found]})
        if one.url.endswith("/deploy/v2/plans"):
            missing = [{"sha256": hashlib.sha256(b"a").hexdigest(), "size": 1, "present": False}]
            return Reply.json({"plan_id": "p", "operation_id": "op_1", "manifest_digest": "", "base_release_id": None,
                               "missing_content": missing})  # fmt: skip
        return Reply.json({"status": "ready", "release_id": "rel_1", "urls": {}})

    play = side.play(Script(answer))
    play.do("deploy.apply", {"project": "prj_k", "site": {"replace": {"a": b"a"}}})
    commits = [sent.url for sent in play.script.sent if sent.url.endswith("/content/v1/plans/c/commit")]
    assert (asked, len(commits)) == ([2], 1)


def test_what_failed_first_is_told_however_fast_the_others_stop() -> None:
    """Drives the flow by hand: in threads, which one is done first is chance."""
    contents = {name: types.SimpleNamespace(sha256=name, size=1, label=name) for name in ("a", "b")}
    teller: Any = types.SimpleNamespace(tell_from_body=None, listen_in_bodies=lambda: iter(()))
    root: Any = None
    uploader = upload.Uploader(
        root,
        keys=None,
        project_id="prj",
        teller=teller,
        check=lambda: None,
        contents=contents,  # type: ignore[arg-type] - nothing of them is read here
    )
    flow = uploader.run(["a", "b"])
    gathered: Any = next(flow)
    first, second = gathered.flows
    next(first)
    failure = LookupError("the first")
    with pytest.raises(LookupError):
        first.throw(failure)
    with pytest.raises(CancelledError) as stopped:
        next(second)
    with pytest.raises(LookupError) as told:
        flow.throw(stopped.value)
    assert told.value is failure
