"""A project's client: the namespaces without the project's id; everything else is the client's that it comes from."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from support.run402 import PROJECT, Play, RecordingCredentials, Side, seen
from support.scripted_http import Reply, Script
from tollkit.errors import ArgumentError
from tollkit.run402 import LocalError, NetworkError, ProjectKeys, ProjectNotFound, Run402, Run402Error, Run402Project
from tollkit.run402.client import Groups
from tollkit.run402.namespaces.scoped import ScopedNamespace
from tollkit.run402.project import ProjectGroups

SURFACE = json.loads((Path(__file__).parent / "data" / "surface-1.57.0.json").read_text())["scoped_client"]
OTHER = "prj_other"
NOT_OURS = {"deploy": {"bind_project"}}  # private there, though it can be seen
OURS = {  # beyond what the platform's client has
    "blobs": {"download", "iterate"},
    "email": {"iterate"},
    "sites": {"deploy_dir"},
}
ELSEWHERE = ("apps.bundle_deploy", "blobs.", "deploy.", "sites.")
"""What has content to send is walked through in the tests of deploys and blobs."""
UNSCOPED = {
    "projects": {"list", "get_quote", "active"},
    "apps": {"browse", "fork", "get_app"},
    "ai": {"generate_image"},
    "contracts": {"read"},
}
BY_KEYWORD = {"domains": {"remove"}, "subdomains": {"claim", "delete"}}
ARGUMENTS: dict[str, Any] = {  # what a required argument of that name is in these tests
    "abi_fragment": [{"name": "f"}],
    "access_token": "session-token",
    "allow_password_set": True,
    "call_id": "call_1",
    "chain": "base-sepolia",
    "code": "export default 1",
    "deployment_id": "dpl_1",
    "destination_address": "0x" + "2" * 40,
    "domain": "example.com",
    "email": "ann@example.com",
    "events": ["delivery"],
    "key": "API_KEY",
    "manifest": {"version": "1", "tables": []},
    "message_id": "msg_1",
    "name": "hello",
    "new_password": "correct horse",
    "prompt": "a cat",
    "recovery_address": "0x" + "3" * 40,
    "redirect_url": "https://example.com/in",
    "slug": "notes",
    "sql": "select 1",
    "subdomain_name": "notes",
    "table": "notes",
    "text": "hello",
    "threshold_wei": 10**15,
    "to": "bob@example.com",
    "token": "link-token",
    "url": "https://example.com/hook",
    "value": "s3cret",
    "version_id": "ver_1",
    "wallet_id": "cwlt_1",
    "webhook_id": "whk_1",
}
FURTHER: dict[str, dict[str, Any]] = {  # optional ones that something cannot be called without
    "projects.list": {"wallet": "0xAbC"},
    "email.send": {"template": "notification"},
    "email.webhooks.update": {"url": "https://example.com/hook"},
    "contracts.call": {"contract_address": "0x1", "abi_fragment": [{}], "function_name": "f"},
    "contracts.read": {"contract_address": "0x1", "abi_fragment": [{}], "function_name": "f"},
}
LONG = b'{"mailboxes":[{"mailbox_id":"mbx_1","address":"a@mail.run402.com","slug":"a","status":"active"}]}'


class Credentials(RecordingCredentials):
    """Know two projects, of which `prj_k` is active."""

    def __init__(self, wallet: str | None = None, **record: str) -> None:
        super().__init__(wallet, **record)
        self._projects[OTHER] = ProjectKeys.from_dict({"anon_key": "ANON2", "service_key": "SVC2", **record})


def snake(name: str) -> str:
    return re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", name)


def groups() -> Iterator[tuple[str, type[ScopedNamespace[Any]]]]:
    """The classes of a project's groups by their names."""
    project = Run402(api_base="https://api.run402.test", credentials=RecordingCredentials()).project(PROJECT)
    for name, found in vars(ProjectGroups).items():
        if isinstance(found, property):
            yield name, type(getattr(project, name))
    yield "email.webhooks", type(project.email.webhooks)


def methods_of(group: type[Any]) -> set[str]:
    return {name for name, found in vars(group).items() if not (name.startswith("_") or isinstance(found, property))}


METHODS = sorted(
    method
    for name, group in groups()
    for method in (f"{name}.{leaf}" for leaf in methods_of(group))
    if not method.startswith(ELSEWHERE)
)


def kind_of(method: str) -> str:
    name, _, leaf = method.rpartition(".")
    if leaf in UNSCOPED.get(name, ()):
        return "unscoped"
    return "keyword" if leaf in BY_KEYWORD.get(name, ()) else "scoped"


def test_the_methods_are_those_of_the_platforms_client() -> None:
    ours = {name: methods_of(group) - OURS.get(name, set()) for name, group in groups()}
    theirs = {snake(name): {snake(method) for method in methods} for name, methods in SURFACE.items()}
    assert {name: methods for name, methods in ours.items() if methods} == {
        name: methods - NOT_OURS.get(name, set()) for name, methods in theirs.items()
    }


def test_every_group_is_one_of_the_clients() -> None:
    for name, group in groups():
        assert issubclass(group, ScopedNamespace)
        first = name.partition(".")[0]
        assert first in vars(Groups)
        assert first in {snake(known) for known in SURFACE} | set(OURS)


def arguments(method: str, signature: inspect.Signature) -> tuple[list[Any], dict[str, Any]]:
    """Arguments for everything that a method without the project's id needs."""
    positional: list[Any] = []
    named: dict[str, Any] = dict(FURTHER.get(method, {}))
    for name, parameter in signature.parameters.items():
        if parameter.default is inspect.Parameter.empty:
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                named.setdefault(name, ARGUMENTS[name])
            else:
                positional.append(ARGUMENTS[name])
    return positional, named


def outcome(play: Play, method: str, args: Any, kwargs: Any) -> Any:
    """What a call did: what was sent, what was asked of and told to the credentials, and how it ended."""

    async def all_of(pages: Any) -> list[Any]:
        return [row async for row in pages]

    try:
        made = play.bound(method)(*args, **kwargs)
        if method == "email.iterate":
            end = list(made) if isinstance(made, Iterator) else play.side.do(all_of(made))
        else:
            end = play.side.do(made)
        if hasattr(end, "duration_ms"):
            end = attrs.evolve(end, duration_ms=0)
    except Run402Error as error:
        end = (type(error), error.message, error.doing)
    return [seen(sent) for sent in play.script.sent], play.credentials.reads, play.credentials.writes, end


ANSWERS = [
    Reply(200, {"content-type": "application/json"}, LONG),
    Reply.json({"message": "no", "code": "x"}, 403),
    Reply.json({"x402Version": 1, "message": "pay"}, 402),
    ConnectionError("gone"),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=["ok", "refused", "price", "gone"])
@pytest.mark.parametrize("method", METHODS)
def test_does_what_the_plain_method_does(side: Side, method: str, answer: Any) -> None:
    def fresh() -> Play:
        script = Script(lambda sent: answer)
        return side.play(script, credentials=Credentials(mailbox_id="mbx_1"), max_retries=0)

    scoped = fresh()
    scoped = attrs.evolve(scoped, client=side.do(scoped.client.project(OTHER)))
    args, kwargs = arguments(method, inspect.signature(scoped.bound(method)))
    did = outcome(scoped, method, args, kwargs)
    before = {"scoped": [OTHER], "keyword": [], "unscoped": []}[kind_of(method)]
    more = {"project_id": OTHER} if kind_of(method) == "keyword" else {}
    assert did == outcome(fresh(), method, [*before, *args], {**kwargs, **more})
    assert did[0] or did[1], "it did something"


@pytest.mark.parametrize("method", [method for method in METHODS if kind_of(method) != "unscoped"])
def test_the_callers_project_wins(side: Side, method: str) -> None:
    def did(scope: str, **more: Any) -> Any:
        script = Script(lambda sent: ANSWERS[0])
        play = side.play(script, credentials=Credentials(mailbox_id="mbx_1"))
        play = attrs.evolve(play, client=side.do(play.client.project(scope)))
        args, kwargs = arguments(method, inspect.signature(play.bound(method)))
        return outcome(play, method, args, {**kwargs, **more})

    assert did(PROJECT, project_id=OTHER) == did(OTHER)
    assert did(PROJECT, project_id=None) == did(PROJECT)
    assert did(PROJECT) != did(OTHER)


@pytest.mark.parametrize("method", METHODS)
def test_tells_about_itself(side: Side, method: str) -> None:
    play = side.play()
    scope = attrs.evolve(play, client=side.do(play.client.project(OTHER)))
    plain, scoped = play.bound(method), scope.bound(method)
    had, has = list(inspect.signature(plain).parameters), list(inspect.signature(scoped).parameters)
    assert had == (["project_id", *has] if kind_of(method) == "scoped" else has)
    assert inspect.signature(plain).return_annotation == inspect.signature(scoped).return_annotation
    assert (plain.__doc__, plain.__name__) == (scoped.__doc__, scoped.__name__)
    assert repr(plain).removeprefix("<") == repr(scoped).replace("Project.", ".").removeprefix("<")


def project_of(side: Side, *entries: Any, credentials: Any = None, **changes: Any) -> tuple[Play, Any]:
    play = side.play(entries, credentials=credentials, **changes)
    return play, side.do(play.client.project(PROJECT))


def test_raw(side: Side) -> None:
    play, project = project_of(side, Reply.json({"status": "ok", "rows": [{"a": 1}]}))
    raw = side.do(project.projects.sql.raw("select 1"))
    assert raw.status == 200
    assert raw.result.rows == [{"a": 1}]
    assert [sent.content for sent in play.script.sent] == [b"select 1"]


def test_too_many_and_too_few_arguments_are_told_by_the_method(side: Side) -> None:
    _, project = project_of(side)
    with pytest.raises(TypeError, match=r"sql\(\) missing 1 required positional argument: 'sql'"):
        side.do(project.projects.sql())
    with pytest.raises(TypeError, match=r"get_usage\(\) takes"):
        side.do(project.projects.get_usage(OTHER))


def test_an_unknown_project_is_told_when_something_is_called(side: Side) -> None:
    play = side.play()
    project = side.do(play.client.project("prj_unknown"))
    assert play.credentials.reads == []
    with pytest.raises(ProjectNotFound) as caught:
        side.do(project.projects.sql("select 1"))
    assert caught.value.doing == "running SQL"


def test_the_active_project(side: Side) -> None:
    play = side.play()
    project = side.do(play.client.project())
    assert project.project_id == PROJECT
    assert play.credentials.reads == ["getActiveProject"]


class Bare:
    """What a provider must have, and nothing else."""

    def get_auth(self, path: str) -> None:
        return None

    def get_project(self, project_id: str) -> ProjectKeys | None:
        return ProjectKeys("a", "s") if project_id == PROJECT else None


class Idle(Bare):
    def get_active_project(self) -> str:
        return ""


@pytest.mark.parametrize("credentials", [Bare(), Idle()])
def test_no_project_is_active(side: Side, credentials: object) -> None:
    play = side.play(credentials=credentials)
    with pytest.raises(LocalError) as caught:
        side.do(play.client.project())
    error = caught.value
    assert isinstance(error, ArgumentError)
    assert (error.kind, error.doing) == ("local_error", "scoping client to project")


def test_an_id_that_is_no_text(side: Side) -> None:
    play = side.play()
    with pytest.raises(LocalError, match="must be text, not int"):
        side.do(play.client.project(7))


def test_an_empty_id_is_taken_as_it_is(side: Side) -> None:
    play = side.play()
    project = side.do(play.client.project(""))
    assert project.project_id == ""
    assert play.credentials.reads == []
    with pytest.raises(ProjectNotFound):
        side.do(project.projects.keys())


def test_use_project(side: Side) -> None:
    play = side.play(credentials=Credentials())
    project = side.do(play.client.use_project(OTHER))
    assert project.project_id == OTHER
    assert play.credentials.reads == [f"getProject:{OTHER}"]
    assert play.credentials.writes == [["setActiveProject", OTHER]]
    assert side.do(play.client.project()).project_id == OTHER


def test_use_project_of_an_unknown_one(side: Side) -> None:
    play = side.play()
    with pytest.raises(ProjectNotFound) as caught:
        side.do(play.client.use_project("prj_unknown"))
    assert caught.value.doing == "setting active project"
    assert play.credentials.writes == []


def test_use_project_with_credentials_that_cannot_keep_it(side: Side) -> None:
    play = side.play(credentials=Bare())
    with pytest.raises(LocalError, match="cannot keep which project is active"):
        side.do(play.client.use_project(PROJECT))


def test_shows_itself(side: Side) -> None:
    play, project = project_of(side)
    name = type(project).__name__
    assert repr(project) == f"{name}('prj_k', api_base='https://api.run402.test')"
    assert repr(project.projects) == f"<ScopedProjects of {project!r}>"
    assert repr(project.projects.sql) == f"<{name}.sql>"
    assert project.api_base == play.client.api_base


def test_options_go_over_and_can_be_changed(side: Side) -> None:
    play, project = project_of(side, Reply.json({}), Reply.json({}), headers={"X-A": "1"})
    changed = project.with_options(headers={"X-B": "2"})
    assert type(changed) is type(project)
    assert changed.project_id == PROJECT
    for client in (project, changed):
        side.do(client.secrets.list())
    assert [(sent.headers.get("x-a"), sent.headers.get("x-b")) for sent in play.script.sent] == [
        ("1", None),
        ("1", "2"),
    ]


def test_a_project_of_a_client_with_other_options(side: Side) -> None:
    play = side.play([Reply.json({})])
    project = side.do(play.client.with_options(headers={"X-C": "3"}).project(PROJECT))
    side.do(project.secrets.list())
    assert play.script.sent[0].headers["x-c"] == "3"


def test_closing_it_leaves_the_client_open(side: Side) -> None:
    play = side.play([Reply.json({})] * 3)
    project = side.do(play.client.project(PROJECT))

    if side.name == "blocking":
        with project as same:
            assert same is project
        project.close()
    else:

        async def use() -> None:
            async with project as same:
                assert same is project
            await project.aclose()

        side.do(use())
    side.do(play.client.secrets.list(PROJECT))
    side.do(project.secrets.list())
    side.do(side.do(play.client.project(PROJECT)).secrets.list())
    assert len(play.script.sent) == 3


def test_is_not_made_by_hand() -> None:
    with pytest.raises(TypeError, match="comes from a client"):
        Run402Project()


def test_errors_are_of_the_platforms_family(side: Side) -> None:
    _, project = project_of(side, ConnectionError("gone"), max_retries=0)
    with pytest.raises(NetworkError) as caught:
        side.do(project.secrets.list())
    assert isinstance(caught.value, Run402Error)
    assert caught.value.doing == "listing secrets"


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_its_errors_can_be_copied(side: Side, again: Any) -> None:
    play = side.play()
    project = side.do(play.client.project("prj_unknown"))
    with pytest.raises(ProjectNotFound) as caught:
        side.do(project.secrets.list())
    assert again(caught.value).message == caught.value.message


def test_in_a_flow(side: Side) -> None:
    play = side.play(
        [Reply.json({"status": "ok", "rows": []}), Reply.json({"secrets": []})], credentials=Credentials()
    )

    def work(flows: Any) -> Any:
        project = yield from flows.project(OTHER)
        yield from project.projects.sql("select 1")
        return (yield from project.secrets.list(project_id=PROJECT))

    assert side.do(play.client.run(work(play.client.flows))).secrets == []
    assert [sent.headers["authorization"] for sent in play.script.sent] == ["Bearer SVC2", "Bearer SVC"]


def test_iterate_asks_for_its_pages_with_the_project(side: Side) -> None:
    pages: list[list[Mapping[str, Any]]] = [
        [{"id": "m1", "template": None, "to": "a", "status": "sent", "created_at": "t"}],
        [],
    ]
    play, project = project_of(side, *map(Reply.json, pages), credentials=RecordingCredentials(mailbox_id="mbx_1"))

    async def all_of(found: Any) -> list[Any]:
        return [row async for row in found]

    found = project.email.iterate(page_size=1)
    rows = list(found) if side.name == "blocking" else side.do(all_of(found))
    assert [row.id for row in rows] == ["m1"]
    assert [sent.url.partition("?")[2] for sent in play.script.sent] == ["limit=1", "limit=1&after=m1"]
