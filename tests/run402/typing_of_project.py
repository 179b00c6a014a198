"""What type checkers know of a project's client; `make check` reads this, nothing runs it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, assert_type

from tollkit.core.flows import BlockingCall, Flow
from tollkit.core.paging import AsyncPages, Pages
from tollkit.core.raw import Raw
from tollkit.run402 import AsyncRun402, AsyncRun402Project, ProjectKeys, Run402, Run402Project
from tollkit.run402.client import Run402Flows
from tollkit.run402.deploy.engine import DeployResult
from tollkit.run402.deploy.operation import AsyncDeployOperation, DeployOperation
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

    project.deploy.start()  # type: ignore[call-arg]
    project.projects.sql()  # type: ignore[call-arg]
    project.projects.sql(1)  # type: ignore[arg-type]
    project.projects.get_usage("prj_1")  # type: ignore[call-arg]
    project.projects.provision()  # type: ignore[attr-defined]
    project.tier  # type: ignore[attr-defined] # noqa: B018 - what is told of it is what counts


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
    await project.projects.sql()  # type: ignore[call-arg]


def within_a_flow(flows: Run402Flows) -> Flow[SqlResult]:
    project = yield from flows.project("prj_1")
    return (yield from project.projects.sql("select 1"))


def takes_sql(method: BlockingCall[[str, Iterable[Any] | None], SqlResult]) -> None:
    method("select 1", None)
