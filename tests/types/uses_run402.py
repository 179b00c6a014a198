"""What a program that uses Run402 does, as type checkers see it. Nothing runs it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, assert_type

from tollkit import AsyncRun402, Run402, Secret
from tollkit.core.flows import BlockingCall, Flow
from tollkit.core.paging import AsyncPages, Pages
from tollkit.core.raw import Raw
from tollkit.run402 import (
    ApiError,
    AssetRef,
    AsyncRun402Project,
    Blob,
    Downloaded,
    LocalError,
    MemoryCredentials,
    NetworkError,
    PaymentRequired,
    PaymentUncertainError,
    PrivateKeySigner,
    ProjectKeys,
    Run402Error,
    Run402Project,
    SpendingPolicy,
    X402Payer,
    is_retryable_run402_error,
    with_retry,
    with_retry_async,
)
from tollkit.run402.client import Run402Flows
from tollkit.run402.deploy.engine import DeployResult
from tollkit.run402.deploy.errors import DeployError
from tollkit.run402.deploy.events import DeployEvent, PaymentMade, Ready, UploadProgress
from tollkit.run402.deploy.operation import AsyncDeployOperation, DeployOperation
from tollkit.run402.payments.record import PaymentRecord
from tollkit_api.run402.v1_57.models import (
    DeletedSubdomain,
    EmailSummary,
    GeneratedImage,
    PlanDiff,
    RemovedDomain,
    SentEmail,
    SqlResult,
    TierQuotes,
    Webhook,
)
from tollkit_api.shapes import ReleaseSpec


def blocking(client: Run402) -> None:
    project = client.project("prj_1")
    assert_type(project, Run402Project)
    assert_type(client.project(), Run402Project)
    assert_type(client.use_project("prj_1"), Run402Project)
    assert_type(project.with_options(timeout=5), Run402Project)
    assert_type(project.project_id, str)
    with project as same:
        assert_type(same, Run402Project)

    rows = project.projects.sql("select $1", [1])
    assert_type(rows, SqlResult)
    assert_type(project.projects.sql.raw("select 1"), Raw[SqlResult])
    assert_type(project.projects.keys(), ProjectKeys)
    assert_type(project.projects.rest("notes", {"id": "eq.1"}), Any)
    assert_type(project.projects.get_quote(), TierQuotes)
    assert_type(project.email.send(to="a@example.com", template="notification"), SentEmail)
    assert_type(project.email.iterate(page_size=10), Pages[EmailSummary])
    assert_type(project.email.webhooks.get("whk_1"), Webhook)
    assert_type(project.domains.remove("example.com"), RemovedDomain)
    assert_type(project.domains.remove("example.com", project_id="prj_2"), RemovedDomain)
    assert_type(project.subdomains.delete("name"), DeletedSubdomain)
    assert_type(project.ai.generate_image(prompt="a cat"), GeneratedImage)
    takes_sql(project.projects.sql)
    assert_type(project.deploy.start({"site": {}}), DeployOperation)
    assert_type(project.deploy.start({}, max_uploads=2).result(), DeployResult)
    assert_type(client.deploy.apply({"project": "prj_1"}), DeployResult)
    assert_type(client.deploy.plan({"project": "prj_1"}).diff, PlanDiff)


async def asynchronous(client: AsyncRun402) -> None:
    project = await client.project("prj_1")
    assert_type(project, AsyncRun402Project)
    operation = await client.deploy.start({"project": "prj_1"})
    assert_type(operation, AsyncDeployOperation)
    assert_type(await operation.result(), DeployResult)
    assert_type(await project.deploy.apply({}), DeployResult)
    assert_type(await client.project(), AsyncRun402Project)
    assert_type(await client.use_project("prj_1"), AsyncRun402Project)

    assert_type(await project.projects.sql("select 1"), SqlResult)
    assert_type(await project.projects.sql.raw("select 1"), Raw[SqlResult])
    assert_type(project.email.iterate(), AsyncPages[EmailSummary])
    assert_type(await project.domains.remove("example.com"), RemovedDomain)


def within_a_flow(flows: Run402Flows) -> Flow[SqlResult]:
    project = yield from flows.project("prj_1")
    return (yield from project.projects.sql("select 1"))


def takes_sql(method: BlockingCall[[str, Iterable[Any] | None], SqlResult]) -> None:
    method("select 1", None)


RELEASE: ReleaseSpec = {
    "project": "prj_1",
    "database": {
        "migrations": [{"id": "001", "sql": "CREATE TABLE notes (id serial)"}],
        "expose": {"version": "1", "tables": [{"name": "notes", "expose": True, "policy": "user_owns_rows"}]},
    },
    "functions": {"replace": {"api": {"runtime": "node22", "source": "export default () => 1"}}},
    "site": {"replace": {"index.html": "<h1>Hello</h1>"}},
    "secrets": {"require": ["API_KEY"]},
    "subdomains": {"set": ["notes"]},
    "routes": {"/api": {"function": "api"}},
    "checks": [{"name": "up", "http": {"path": "/"}}],
}


def deploys(client: Run402) -> Iterator[str]:
    assert_type(client.deploy.apply(RELEASE, idempotency_key="k", allow_warnings=["W"]), DeployResult)
    operation = client.deploy.start(RELEASE)
    for event in operation.events():
        yield told(event)
    assert_type(operation.result(timeout=60), DeployResult)


def told(event: DeployEvent) -> str:
    match event:
        case UploadProgress():
            assert_type(event.type, Literal["content.upload.progress"])
            return f"{event.done} of {event.total}"
        case PaymentMade():
            return event.tx or "paid"
        case Ready():
            assert_type(event.release_id, str)
            return event.release_id
        case _:
            return event.type


def files(client: Run402) -> None:
    stored = client.blobs.put("prj_1", "a.js", b"1", immutable=True)
    assert_type(stored, AssetRef)
    client.blobs.put("prj_1", "b.js", Path("b.js"))
    client.blobs.put("prj_1", "b.js", {"content": "text"})
    client.blobs.put("prj_1", "b.js", [b"1", b"2"])
    with Path("b.js").open("rb") as opened:
        client.blobs.put("prj_1", "b.js", opened)
    assert_type(stored.script_tag(type="module"), str)
    assert_type(client.blobs.get("prj_1", "a.js"), Blob)
    assert_type(client.blobs.download("prj_1", "a.js", "a.js"), Downloaded)
    assert_type(client.blobs.sign("prj_1", "a.js", ttl_seconds=60).signed_url, Secret)


def paying() -> Run402:
    signer = PrivateKeySigner("0x" + "1" * 64)
    credentials = MemoryCredentials({"prj_1": {"anon_key": "a", "service_key": "s"}}, signer=signer)
    policy = SpendingPolicy(per_call=100_000, per_day=1_000_000, ask=lambda request: request.amount < 10)
    assert_type(X402Payer(signer, policy=policy), X402Payer)
    return Run402(credentials=credentials, payments=policy)


def errors(client: Run402) -> str | None:
    try:
        client.projects.sql("prj_1", "select 1")
    except PaymentUncertainError as error:
        assert_type(error.payment, PaymentRecord)
    except PaymentRequired as error:
        assert_type(error.code, str | None)
    except DeployError as error:
        assert_type(error.operation_id, str | None)
        assert_type(error.phase, str | None)
    except ApiError as error:
        assert_type(error.status, int | None)
    except (NetworkError, LocalError) as error:
        assert_type(error.retryable, bool)
    except Run402Error as error:
        assert_type(error.next_actions, list[Any] | None)
        return error.hint
    return None


def again(client: Run402) -> SqlResult:
    return with_retry(lambda: client.projects.sql("prj_1", "select 1"), retry_if=is_retryable_run402_error)


async def again_async(client: AsyncRun402) -> SqlResult:
    found = await with_retry_async(lambda: client.projects.sql("prj_1", "select 1"), attempts=5)
    async for mail in client.email.iterate("prj_1"):
        assert_type(mail, EmailSummary)
    return found
