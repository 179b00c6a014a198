"""Published apps and their copies at the sandboxed gateway, through the real clients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from run402_caller import OTHER, SIGNER, Caller, Side

from tollkit.errors import ConflictError, NotFoundError, PaymentRequiredError
from tollkit.run402.errors import ApiError, Unauthorized
from tollkit.sandbox import Run402Sandbox
from tollkit.sandbox.run402.gateway import Project


@pytest.fixture
def project(run402_sandbox: Run402Sandbox) -> Project:
    return run402_sandbox.seed_project(name="shop")


def _site(folder: Path) -> Path:
    (folder / "index.html").write_text("<h1>shop</h1>")
    (folder / "about.html").write_text("<h1>about</h1>")
    return folder


def test_versions_are_published_changed_and_deleted(
    side: Side, run402_sandbox: Run402Sandbox, project: Project, tmp_path: Path
) -> None:
    client = side.client(run402_sandbox, project, signer=SIGNER)
    side.do(client.functions.deploy(project.id, name="pay", code="process.env.STRIPE_KEY"))
    side.do(client.projects.sql(project.id, "CREATE TABLE items (id int)"))
    run402_sandbox.deploys.set_pace("instant")
    side.do(client.sites.deploy_dir(project.id, _site(tmp_path)))
    first = side.do(client.apps.publish(project.id))
    assert (first.version, first.name, first.visibility, first.fork_allowed) == (1, "shop", "public", False)
    assert (first.tags, first.description, first.status, first.project_id) == ([], None, "published", project.id)
    assert (first.function_count, first.table_count, first.min_tier) == (1, 1, "prototype")
    assert (first.site_file_count, first.site_total_bytes) == (2, 27)
    assert [secret.key for secret in first.required_secrets] == ["STRIPE_KEY"]
    assert first.fork_pricing == {"prototype": "$0.10", "hobby": "$5.00", "team": "$20.00"}
    second = side.do(
        client.apps.publish(
            project.id, description="A shop", tags=["demo", "a b"], visibility="unlisted", fork_allowed=True
        )
    )
    assert (second.version, second.description, second.tags) == (2, "A shop", ["demo", "a b"])
    versions = side.do(client.apps.list_versions(project.id)).versions
    assert [version.id for version in versions] == [second.id, first.id]
    side.do(client.apps.update_version(project.id, first.id, description="Old", tags=["old"]))
    changed = side.do(client.apps.get_app(first.id))
    assert (changed.description, changed.tags, changed.visibility) == ("Old", ["old"], "public")
    side.do(client.apps.delete_version(project.id, first.id))
    with pytest.raises(NotFoundError):
        side.do(client.apps.get_app(first.id))
    with pytest.raises(NotFoundError):
        side.do(client.apps.delete_version(project.id, first.id))
    assert side.do(client.apps.publish(project.id)).version == 3


def test_apps_are_browsed(side: Side, run402_sandbox: Run402Sandbox, project: Project) -> None:
    other = run402_sandbox.seed_project(name="blog")
    client = side.client(run402_sandbox, project, other)

    def publish(owner: Project, **options: Any) -> str:
        return side.do(client.apps.publish(owner.id, **options)).id

    def browse(*tags: str) -> list[str]:
        found = side.do(client.apps.browse(list(tags)))
        assert found.total == len(found.apps)
        return [app.id for app in found.apps]

    assert browse() == []
    publish(project, tags=["demo"])
    shop = publish(project, tags=["demo", "a b&c"])
    blog = publish(other, tags=["demo"])
    unlisted, private = publish(other, visibility="unlisted"), publish(other, visibility="private")
    assert (browse(), browse("demo"), browse("demo", "a b&c"), browse("no")) == (
        [blog, shop],
        [blog, shop],
        [shop],
        [],
    )
    assert side.do(client.apps.get_app(unlisted)).visibility == "unlisted"
    with pytest.raises(NotFoundError):
        side.do(client.apps.get_app(private))
    side.do(client.projects.delete(other.id))
    assert browse() == [shop]


def test_an_app_is_copied(side: Side, run402_sandbox: Run402Sandbox, project: Project) -> None:
    owner, names = side.client(run402_sandbox, project), run402_sandbox.groups.names
    side.do(owner.functions.deploy(project.id, name="pay", code="c", schedule="* * * * *"))
    side.do(owner.secrets.set(project.id, "API_KEY", "k"))
    version = side.do(owner.apps.publish(project.id, fork_allowed=True)).id
    run402_sandbox.grant_tier(OTHER.address, "hobby")
    client = side.client(run402_sandbox, signer=OTHER)
    copied: list[tuple[str, str]] = []
    run402_sandbox.groups.apps.copiers.append(lambda source, target: copied.append((source, target)))
    try:
        made = side.do(client.apps.fork(version_id=version, name="my shop", subdomain="my-shop"))
    finally:
        run402_sandbox.groups.apps.copiers.pop()
    assert copied == [(project.id, made.project_id)]
    assert made.subdomain_url == "https://my-shop.run402.com"
    assert [function.name for function in made.functions] == ["pay"]
    assert names.deployment_of("my-shop")
    copy = run402_sandbox.project(made.project_id)
    assert (copy.name, copy.tier, copy.wallet) == ("my shop", "hobby", OTHER.address)
    # the client kept the keys, and the copy is a project of its own
    (function,) = side.do(client.functions.list(made.project_id)).functions
    assert (function.name, function.schedule) == ("pay", "* * * * *")
    assert side.do(client.secrets.list(made.project_id)).secrets == []
    assert side.do(client.functions.invoke(made.project_id, "pay")).status == 200
    assert run402_sandbox.groups.functions.invocations(project.id) == []
    with pytest.raises(ConflictError):
        side.do(client.apps.fork(version_id=version, name="again", subdomain="my-shop"))
    assert len(run402_sandbox.gateway.projects_of(OTHER.address)) == 1


def test_a_copy_has_the_database(side: Side, run402_sandbox: Run402Sandbox, project: Project) -> None:
    owner = side.client(run402_sandbox, project)
    create = """
        CREATE TABLE users (id serial PRIMARY KEY, name varchar(9) NOT NULL);
        CREATE TABLE items (id serial PRIMARY KEY, of int REFERENCES users, tags jsonb DEFAULT '[]', at timestamptz);
        INSERT INTO users (name) VALUES ('ada'), ('bob');
        INSERT INTO items (of, tags, at) VALUES (2, '["a"]', now());
        CREATE FUNCTION many() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM items';
    """
    side.do(owner.projects.sql(project.id, create))
    rule = {"expose": True, "policy": "public_read_authenticated_write"}
    manifest = {
        "tables": [{"name": name, **rule} for name in ("users", "items")],
        "views": [{"name": "names", "base": "users", "select": ["name"]}],
        "rpcs": [{"name": "many", "signature": "()", "grant_to": ["anon"]}],
    }
    side.do(owner.projects.apply_expose(project.id, manifest))
    version = side.do(owner.apps.publish(project.id, fork_allowed=True)).id
    run402_sandbox.grant_tier(OTHER.address)
    client = side.client(run402_sandbox, signer=OTHER)
    copy = side.do(client.apps.fork(version_id=version, name="copy")).project_id

    for one, project_id in ((owner, project.id), (client, copy)):
        assert side.do(one.projects.rest(project_id, "names", {"order": "name"})) == [
            {"name": "ada"},
            {"name": "bob"},
        ]
    tables, own = (side.do(one.projects.get_schema(at)).tables for one, at in ((owner, project.id), (client, copy)))
    assert own == tables
    assert run402_sandbox.project(copy).storage_bytes == run402_sandbox.project(project.id).storage_bytes > 0
    # from here on each goes its own way: numbers, rows, types, policies
    told = side.do(client.projects.sql(copy, "INSERT INTO items (of) VALUES (1) RETURNING id, tags, at"))
    assert told.rows == [{"id": 2, "tags": [], "at": None}]
    with pytest.raises(ApiError, match="value too long"):
        side.do(client.projects.sql(copy, "INSERT INTO users (name) VALUES ('somebody else')"))
    side.do(client.projects.apply_expose(copy, {}))
    side.do(client.projects.sql(copy, "DROP TABLE items"))
    assert side.do(owner.projects.sql(project.id, "SELECT count(*) AS n FROM items")).rows == [{"n": "1"}]
    assert len(side.do(owner.projects.rest(project.id, "items", {"select": "id"}))) == 1


def test_a_copy_without_a_lease_is_paid_for(
    side: Side, caller: Caller, run402_sandbox: Run402Sandbox, project: Project
) -> None:
    version = side.do(side.client(run402_sandbox, project).apps.publish(project.id, fork_allowed=True)).id
    client = side.client(run402_sandbox, signer=OTHER, payments=False)
    with pytest.raises(PaymentRequiredError):
        side.do(client.apps.fork(version_id=version, name="copy"))
    run402_sandbox.fund(OTHER.address, 1_000_000)
    body = {"version_id": version, "name": "copy"}
    assert caller.paid("POST", "/fork/v1", signer=OTHER, json=body).status_code == 201
    assert [(one.what, one.amount) for one in run402_sandbox.settlements] == [("fork", 100_000)]
    side.do(client.apps.fork(version_id=version, name="another"))
    assert len(run402_sandbox.gateway.projects_of(OTHER.address)) == 2


def test_what_must_not_be_copied(side: Side, run402_sandbox: Run402Sandbox, project: Project) -> None:
    owner = side.client(run402_sandbox, project, signer=SIGNER)
    client = side.client(run402_sandbox, signer=OTHER)
    for wallet in (SIGNER, OTHER):
        run402_sandbox.grant_tier(wallet.address)
    version = side.do(owner.apps.publish(project.id)).id
    with pytest.raises(Unauthorized, match="must not be forked"):
        side.do(client.apps.fork(version_id=version, name="copy"))
    side.do(owner.apps.update_version(project.id, version, visibility="private", fork_allowed=True))
    with pytest.raises(NotFoundError):
        side.do(client.apps.fork(version_id=version, name="copy"))
    assert side.do(owner.apps.fork(version_id=version, name="copy")).functions == []
    with pytest.raises(ApiError, match="must be 3 to 63"):
        side.do(owner.apps.fork(version_id=version, name="copy", subdomain="www"))


def test_an_app_may_need_more_than_a_wallet_has(side: Side, run402_sandbox: Run402Sandbox) -> None:
    large = run402_sandbox.seed_project(tier="hobby")
    owner = side.client(run402_sandbox, large)
    for number in range(16):
        side.do(owner.functions.deploy(large.id, name=f"f{number}", code="c"))
    app = side.do(owner.apps.publish(large.id, fork_allowed=True))
    assert (app.min_tier, app.fork_pricing) == ("hobby", {"hobby": "$5.00", "team": "$20.00"})
    run402_sandbox.grant_tier(OTHER.address)
    client = side.client(run402_sandbox, signer=OTHER, payments=False)
    with pytest.raises(PaymentRequiredError, match="needs the tier hobby"):
        side.do(client.apps.fork(version_id=app.id, name="copy"))
    run402_sandbox.grant_tier(OTHER.address, "hobby")
    assert len(side.do(client.apps.fork(version_id=app.id, name="copy")).functions) == 16


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tags": "demo"}, "tags"),
        ({"tags": [""]}, "tags"),
        ({"visibility": "secret"}, "visibility"),
        ({"fork_allowed": "yes"}, "fork_allowed"),
        ({"description": 5}, "description"),
        ({"price": 5}, "price"),
    ],
)
def test_malformed_apps(caller: Caller, project: Project, body: dict[str, Any], field: str) -> None:
    path = f"/projects/v1/admin/{project.id}"
    answer = caller.post(f"{path}/publish", key=project.service_key, json=body)
    assert (answer.status_code, answer.json()["details"]) == (400, {"field": field})
    version = caller.post(f"{path}/publish", key=project.service_key, json={}).json()["id"]
    changed = caller.send("PATCH", f"{path}/versions/{version}", key=project.service_key, json=body)
    assert (changed.status_code, changed.json()["details"]) == (400, {"field": field})


def test_versions_are_the_projects(caller: Caller, run402_sandbox: Run402Sandbox, project: Project) -> None:
    other = run402_sandbox.seed_project()
    version = caller.post(f"/projects/v1/admin/{project.id}/publish", key=project.service_key, json={}).json()["id"]
    own = f"/projects/v1/admin/{other.id}/versions/{version}"
    assert caller.send("DELETE", own, key=other.service_key).status_code == 404
    assert caller.get(f"/projects/v1/admin/{project.id}/versions", key=other.service_key).status_code == 403
    assert caller.post("/fork/v1", json={"version_id": version, "name": "copy"}).status_code == 401
