"""Deploys, blobs and CI."""

from __future__ import annotations

from typing import Any

import httpx
from run402_answers import Cases
from run402_caller import OTHER, SIGNER, Caller
from run402_deploys import Deployer, ok, sha256
from test_sandbox_run402_ci import asked, bind, exchange

PAGE = b"<h1>Hello</h1>"
SUBJECT = "repo:octo-org/octo-repo:*"


def planned(at: Caller) -> tuple[Deployer, dict[str, Any]]:
    """A plan with everything in it, whose content is there."""
    one = Deployer(at)
    migration = one.migration("001", "CREATE TABLE notes (id int primary key)")
    one.deploys.warn("UNUSUAL_DELETE", affected=["x"])
    spec = one.spec(
        {"index.html": PAGE},
        subdomains={"set": ["shop"]},
        secrets={"require": ["API_KEY"]},
        database={"migrations": [migration]},
        functions={"replace": {"hello": {"runtime": "node22", "source": one.ref(b"1")}}},
        routes={"/x": {"function": "hello"}},
    )
    return one, one.planned(spec, "k")


def deployed(at: Caller) -> tuple[Deployer, str]:
    one, plan = planned(at)
    ok(one.commit(plan, "k"))
    assert one.deploys.finish(plan["operation_id"]) == "ready"
    return one, plan["operation_id"]


def failed(at: Caller) -> tuple[Deployer, str]:
    one, plan = planned(at)
    one.deploys.fail("activating", "ACTIVATION_FAILED", logs=["x"], fix={"action": "retry"}, resource="release")
    ok(one.commit(plan, "k"))
    assert one.deploys.finish(plan["operation_id"]) == "failed"
    return one, plan["operation_id"]


def plan(at: Caller, *, price: int = 0, **more: Any) -> httpx.Response:
    one = Deployer(at)
    one.deploys.set_price(price)
    return one.plan({**one.spec({"index.html": PAGE}), **more})


def replanned(at: Caller) -> httpx.Response:
    one, _ = deployed(at)
    one.deploys.set_price(5)
    return one.plan(one.spec({"index.html": b"2", "new.html": b""}))


def commit(at: Caller, **options: Any) -> httpx.Response:
    one, told = planned(at)
    return one.commit(told, "k", **options)


def priced(at: Caller) -> httpx.Response:
    one = Deployer(at)
    one.deploys.set_price(1000)
    return one.commit(ok(one.plan(one.spec())))


def committed(at: Caller, pace: str, *, fail: bool = False) -> httpx.Response:
    one, told = planned(at)
    one.deploys.set_pace(pace)
    if fail:
        one.deploys.fail("staging", "SITE_STAGE_FAILED")
    return one.commit(told, "k")


def stale(at: Caller) -> httpx.Response:
    one, told = planned(at)
    one.deploys.conflict()
    return one.commit(told, "k")


def operation(at: Caller, tail: str = "", method: str = "GET", way: Any = deployed) -> httpx.Response:
    one, name = way(at)
    return one.read(method, f"/deploy/v2/operations/{name}{tail}")


def resumed(at: Caller, way: Any) -> httpx.Response:
    _, name = way(at)
    return at.post(f"/deploy/v2/operations/{name}/resume", signer=SIGNER)


def release(at: Caller, path: str) -> httpx.Response:
    one, _ = deployed(at)
    return one.read("GET", path.format(one.deploys.active_release(one.project.id).id))


def content(at: Caller, *, multipart: bool = False) -> httpx.Response:
    one = Deployer(at)
    if multipart:
        one.deploys.set_uploads(multipart_above=2, part_size=2)
    return one.plan_content(PAGE)


def content_commit(at: Caller, *, uploaded: bool) -> httpx.Response:
    one = Deployer(at)
    told = ok(one.plan_content(PAGE))
    if uploaded:
        one.put(told["missing"][0]["parts"][0], PAGE)
    return one.read("POST", f"/content/v1/plans/{told['plan_id']}/commit", json={})


def blobs(at: Caller, method: str, path: str, **options: Any) -> httpx.Response:
    """A request with the anon key of a project that has the blob `k`."""
    project = at.sandbox.seed_project()
    at.sandbox.storage.put(project.id, "k", PAGE)
    path = path.format(base=at.sandbox.api_base, project=project.id)
    return at.send(method, "/storage/v1" + path, key=project.anon_key, apikey=project.anon_key, **options)


def wanted(**changes: Any) -> dict[str, Any]:
    return {
        "key": "a/b.txt",
        "size_bytes": len(PAGE),
        "content_type": "text/plain",
        "visibility": "public",
        "immutable": True,
        "sha256": sha256(PAGE),
        **changes,
    }


def completed(at: Caller, *, uploaded: bool = True, **changes: Any) -> httpx.Response:
    one = Deployer(at)
    key = one.project.anon_key
    told = ok(at.post("/storage/v1/uploads", key=key, apikey=key, json=wanted(**changes)))
    if uploaded:
        one.put(told["parts"][0], PAGE)
    return at.post(f"/storage/v1/uploads/{told['upload_id']}/complete", key=key, apikey=key, json={})


def content_completed(at: Caller) -> httpx.Response:
    one = Deployer(at)
    [upload] = ok(one.plan_content(PAGE))["missing"]
    one.put(upload["parts"][0], PAGE)
    return one.complete(upload, [])


def binding(at: Caller, tail: str = "", method: str = "GET", **options: Any) -> httpx.Response:
    row = ok(bind(at, asked(at.sandbox.seed_project().id)))
    return at.send(method, f"/ci/v1/bindings/{row['id']}{tail}", **{"signer": SIGNER, **options})


def twice(at: Caller) -> httpx.Response:
    project = at.sandbox.seed_project().id
    bind(at, asked(project))
    return bind(at, asked(project))


def listed(at: Caller) -> httpx.Response:
    project = at.sandbox.seed_project().id
    bind(at, asked(project))
    return at.get(f"/ci/v1/bindings?project={project}", signer=SIGNER)


def exchanged(at: Caller, *, bound: bool = True, token: str | None = None, **changes: Any) -> httpx.Response:
    project = at.sandbox.seed_project().id
    if bound:
        at.sandbox.ci.bind(project, SUBJECT)
    return exchange(at, project, token or at.sandbox.github.token(), **changes)


DIAGNOSE = "/blobs/diagnose?url={base}/cdn/{project}/"

CASES: Cases = {
    "deployPlan": [
        (200, plan),
        (200, lambda at: plan(at, price=5)),
        (200, replanned),
        (400, lambda at: plan(at, bogus=1)),
        (401, lambda at: at.post("/deploy/v2/plans", json={"spec": {"project": at.sandbox.seed_project().id}})),
        (403, lambda at: at.post("/deploy/v2/plans", signer=OTHER, json={"spec": Deployer(at).spec()})),
        (409, lambda at: plan(at, base={"release_id": "rel_other"})),
    ],
    "deployCommit": [
        (200, commit),
        (200, lambda at: committed(at, "instant")),
        (200, lambda at: committed(at, "instant", fail=True)),
        (401, lambda at: commit(at, signer=None)),
        (402, priced),
        (404, lambda at: Deployer(at).commit({"plan_id": "plan_no"})),
        (409, stale),
    ],
    "deployList": [
        (200, lambda at: deployed(at)[0].read("GET", "/deploy/v2/operations?limit=1")),
        (401, lambda at: at.get("/deploy/v2/operations")),
    ],
    "deployStatus": [
        (200, operation),
        (200, lambda at: operation(at, way=failed)),
        (401, lambda at: at.get(f"/deploy/v2/operations/{deployed(at)[1]}")),
        (404, lambda at: Deployer(at).read("GET", "/deploy/v2/operations/op_no")),
    ],
    "deployEvents": [
        (200, lambda at: operation(at, "/events")),
        (404, lambda at: Deployer(at).read("GET", "/deploy/v2/operations/op_no/events")),
    ],
    "deployResume": [
        (200, lambda at: resumed(at, deployed)),
        (404, lambda at: at.post("/deploy/v2/operations/op_no/resume", signer=SIGNER)),
        (409, lambda at: resumed(at, failed)),
    ],
    "deployGetRelease": [
        (200, lambda at: release(at, "/deploy/v2/releases/{}")),
        (404, lambda at: release(at, "/deploy/v2/releases/rel_no")),
    ],
    "deployGetActiveRelease": [
        (200, lambda at: release(at, "/deploy/v2/releases/active?site_limit=10")),
        (404, lambda at: Deployer(at).read("GET", "/deploy/v2/releases/active")),
    ],
    "deployDiff": [
        (200, lambda at: release(at, "/deploy/v2/releases/diff?from=empty&to={}")),
        (400, lambda at: release(at, "/deploy/v2/releases/diff?from=active&to={}")),
        (404, lambda at: release(at, "/deploy/v2/releases/diff?from=rel_no&to=active")),
    ],
    "deployPlanContent": [
        (200, content),
        (200, lambda at: content(at, multipart=True)),
        (400, lambda at: Deployer(at).read("POST", "/content/v1/plans", json={"content": [{"sha256": "x"}]})),
        (401, lambda at: at.post("/content/v1/plans", json={"content": []})),
    ],
    "deployCommitContent": [
        (200, lambda at: content_commit(at, uploaded=True)),
        (404, lambda at: Deployer(at).read("POST", "/content/v1/plans/cplan_no/commit", json={})),
        (409, lambda at: content_commit(at, uploaded=False)),
    ],
    "blobsCreateUpload": [
        (201, lambda at: blobs(at, "POST", "/uploads", json=wanted())),
        (400, lambda at: blobs(at, "POST", "/uploads", json=wanted(visibility="hidden"))),
        (401, lambda at: at.post("/storage/v1/uploads", json=wanted())),
    ],
    "blobsCompleteUpload": [
        (200, completed),
        (200, lambda at: completed(at, visibility="private")),
        (200, lambda at: completed(at, immutable=False, sha256=None)),
        (200, content_completed),
        (404, lambda at: blobs(at, "POST", "/uploads/upl_no/complete", json={})),
        (409, lambda at: completed(at, uploaded=False)),
    ],
    "blobsGet": [
        (200, lambda at: blobs(at, "GET", "/blob/k")),
        (401, lambda at: at.get("/storage/v1/blob/k")),
        (404, lambda at: blobs(at, "GET", "/blob/no")),
    ],
    "blobsRm": [
        (200, lambda at: blobs(at, "DELETE", "/blob/k")),
        (404, lambda at: blobs(at, "DELETE", "/blob/no")),
    ],
    "blobsLs": [
        (200, lambda at: blobs(at, "GET", "/blobs")),
        (400, lambda at: blobs(at, "GET", "/blobs?limit=0")),
    ],
    "blobsSign": [
        (201, lambda at: blobs(at, "POST", "/blob/k/sign", json={})),
        (400, lambda at: blobs(at, "POST", "/blob/k/sign", json={"ttl_seconds": 1})),
    ],
    "blobsDiagnoseUrl": [
        (200, lambda at: blobs(at, "GET", DIAGNOSE + "k")),
        (404, lambda at: blobs(at, "GET", DIAGNOSE + "no")),
        (403, lambda at: blobs(at, "GET", "/blobs/diagnose?url={base}/cdn/prj_other/k")),
    ],
    "ciCreateBinding": [
        (200, lambda at: bind(at, asked(at.sandbox.seed_project().id))),
        (400, lambda at: bind(at, asked(at.sandbox.seed_project().id), "!")),
        (401, lambda at: at.post("/ci/v1/bindings", json={})),
        (409, twice),
    ],
    "ciListBindings": [(200, listed), (400, lambda at: at.get("/ci/v1/bindings", signer=SIGNER))],
    "ciGetBinding": [(200, binding), (403, lambda at: binding(at, signer=OTHER))],
    "ciRevokeBinding": [
        (200, lambda at: binding(at, "/revoke", "POST")),
        (404, lambda at: at.post("/ci/v1/bindings/cib_no/revoke", signer=SIGNER)),
    ],
    "ciExchangeToken": [
        (200, exchanged),
        (400, lambda at: exchanged(at, grant_type="x")),
        (401, lambda at: exchanged(at, token="x")),
        (403, lambda at: exchanged(at, bound=False)),
    ],
}
