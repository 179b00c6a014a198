"""Mistakes that both type checkers find; each line tells the error it must have. Nothing runs it."""

from __future__ import annotations

from tollkit import AsyncRun402, Run402
from tollkit.run402 import (
    AsyncRun402Project,
    LocalCredentials,
    MemoryCredentials,
    Run402Project,
    SpendingPolicy,
    with_retry,
)
from tollkit.run402.deploy.events import DeployEvent, Ready
from tollkit_api.shapes import CheckSpec, FunctionSpec, ReleaseSpec, SecretsSpec

Run402(api_key="key")  # E: mypy[call-arg] / pyright[reportCallIssue]
Run402(credentials="service key")  # E: mypy[arg-type] / pyright[reportArgumentType]
Run402(payments="always")  # E: mypy[arg-type] / pyright[reportArgumentType]
SpendingPolicy(per_call="1.00")  # E: mypy[arg-type] / pyright[reportArgumentType]
SpendingPolicy(per_week=100)  # E: mypy[call-arg] / pyright[reportCallIssue]
SpendingPolicy(ask=lambda: True)  # E: mypy[arg-type, misc] / pyright[reportArgumentType]
LocalCredentials(signer="0x1")  # E: mypy[call-arg] / pyright[reportCallIssue]
MemoryCredentials(["prj_1"])  # E: mypy[arg-type] / pyright[reportArgumentType]

no_project: ReleaseSpec = {"site": {"replace": {}}}  # E: mypy[typeddict-item] / pyright[reportAssignmentType]
unknown: ReleaseSpec = {"project": "p", "sites": {}}  # E: mypy[typeddict-unknown-key] / pyright[reportAssignmentType]
secrets: SecretsSpec = {"require": "API_KEY"}  # E: mypy[typeddict-item] / pyright[reportAssignmentType]
check: CheckSpec = {"name": "up", "http": {"path": 1}}  # E: mypy[typeddict-item] / pyright[reportAssignmentType]
runtime: FunctionSpec = {"runtime": 22}  # E: mypy[typeddict-item] / pyright[reportAssignmentType]


def blocking(client: Run402) -> None:
    client.projects.sql("select 1")  # E: mypy[call-arg] / pyright[reportCallIssue]
    client.projects.sql("prj_1", "select $1", 1)  # E: mypy[arg-type] / pyright[reportArgumentType]
    print(client.projects.sql("prj_1", "select 1").row)  # E: mypy[attr-defined] / pyright[reportAttributeAccessIssue]
    client.project.sql("prj_1", "select 1")  # E: mypy[attr-defined] / pyright[reportAttributeAccessIssue]
    client.tier.set("hobby", "prj_1")  # E: mypy[call-arg] / pyright[reportCallIssue]
    client.blobs.put("prj_1", "a")  # E: mypy[call-arg] / pyright[reportCallIssue]
    client.blobs.put("prj_1", "a", 5)  # E: mypy[arg-type] / pyright[reportArgumentType]
    client.blobs.put("prj_1", "a", b"", visibility=5)  # E: mypy[arg-type] / pyright[reportArgumentType]
    client.blobs.sign("prj_1", "a", ttl="60")  # E: mypy[call-arg] / pyright[reportCallIssue]
    client.deploy.apply()  # E: mypy[call-arg] / pyright[reportCallIssue]
    client.deploy.apply("release.json")  # E: mypy[arg-type] / pyright[reportArgumentType]
    client.deploy.start({"project": "prj_1"}).result("60")  # E: mypy[arg-type] / pyright[reportArgumentType]
    client.email.iterate("prj_1", page_size="10")  # E: mypy[arg-type] / pyright[reportArgumentType]
    for mail in client.email.iterate("prj_1"):
        print(mail.body_text)  # E: mypy[attr-defined] / pyright[reportAttributeAccessIssue]
    with_retry(client.projects.sql)  # E: mypy[arg-type] / pyright[reportArgumentType]
    text: str = with_retry(lambda: client.tier.status())  # E: mypy[assignment] / pyright[reportAssignmentType]
    print(text)


def scoped(project: Run402Project) -> None:
    project.projects.sql("prj_1", "select 1", [], 1)  # E: mypy[call-arg] / pyright[reportCallIssue]
    project.projects.sql()  # E: mypy[call-arg] / pyright[reportCallIssue]
    project.projects.sql(1)  # E: mypy[arg-type] / pyright[reportArgumentType]
    project.projects.get_usage("prj_1")  # E: mypy[call-arg] / pyright[reportCallIssue]
    project.projects.provision()  # E: mypy[attr-defined] / pyright[reportAttributeAccessIssue]
    project.deploy.start()  # E: mypy[call-arg] / pyright[reportCallIssue]
    print(project.tier)  # E: mypy[attr-defined] / pyright[reportAttributeAccessIssue]
    project.project_id = "prj_2"  # E: mypy[misc] / pyright[reportAttributeAccessIssue]


def events(event: DeployEvent) -> None:
    print(event.release_id)  # E: mypy[union-attr] / pyright[reportAttributeAccessIssue]
    if isinstance(event, Ready):
        event.release_id = "rel_1"  # E: mypy[misc] / pyright[reportAttributeAccessIssue]


async def asynchronous(client: AsyncRun402) -> None:
    client.projects.sql("prj_1", "select 1")  # E: mypy[unused-coroutine] / pyright[reportUnusedCoroutine]
    rows = client.projects.sql("prj_1", "select 1")
    print(rows.rows)  # E: mypy[attr-defined] / pyright[reportAttributeAccessIssue]
    for _ in client.email.iterate("prj_1"):  # E: mypy[attr-defined] / pyright[reportGeneralTypeIssues]
        pass
    operation = client.deploy.start({"project": "prj_1"})
    operation.result()  # E: mypy[attr-defined] / pyright[reportAttributeAccessIssue]
    for _ in (await operation).events():  # E: mypy[attr-defined] / pyright[reportGeneralTypeIssues]
        pass


async def scoped_async(project: AsyncRun402Project) -> None:
    await project.projects.sql()  # E: mypy[call-arg] / pyright[reportCallIssue]
    project.email.iterate().__next__()  # E: mypy[attr-defined] / pyright[reportAttributeAccessIssue]
