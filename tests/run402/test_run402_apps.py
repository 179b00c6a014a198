"""`client.apps` against recorded requests of the platform's client, and beyond them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from support.run402 import RecordingCredentials, Side, method_requests, run_case
from support.scripted_http import Reply
from tollkit.errors import ArgumentError, NotFoundError
from tollkit.run402.credentials import ProjectKeys
from tollkit.run402.errors import ApiError, LocalError, PaymentRequired, ProjectNotFound

CASES = method_requests("b")
APP: dict[str, Any] = {
    "id": "ver",
    "project_id": "prj_k",
    "version": 1,
    "name": "Shop",
    "description": None,
    "visibility": "public",
    "fork_allowed": True,
    "fork_pricing": {"hobby": "$5"},
    "min_tier": "prototype",
    "derived_min_tier": "prototype",
    "status": "published",
    "table_count": 1,
    "function_count": 2,
    "site_file_count": 3,
    "site_total_bytes": 4,
    "required_secrets": [{"key": "K", "description": "d"}],
    "required_actions": [{"action": "a"}],
    "tags": ["t"],
    "live_url": None,
    "bootstrap_variables": None,
    "created_at": "t",
    "compatibility_warnings": [],
}
VERSION = {
    "id": "ver",
    "description": None,
    "tags": [],
    "visibility": "unlisted",
    "fork_allowed": False,
    "created_at": "t",
}
TOLD: dict[str, Any] = {"description": "d", "tags": ("t",), "visibility": "public", "fork_allowed": True}
CALLS = [
    ("publish", (), "publishing app"),
    ("list_versions", (), "listing versions"),
    ("update_version", ("ver",), "updating version"),
    ("delete_version", ("ver",), "deleting version"),
]


def test_browse_by_tags(side: Side) -> None:
    found = run_case(side, CASES["apps.browse(['a b','c&d'])"], "apps.browse", ["a b", "c&d"])
    assert (found.apps, found.total) == ([], 0)


@pytest.mark.parametrize("tags", [None, []])
def test_browse(side: Side, tags: Any) -> None:
    play = side.play([Reply.json({"apps": [APP], "total": 1})])
    assert play.do("apps.browse", tags).apps[0].to_dict() == APP
    (sent,) = play.script.sent
    assert sent.url == "https://api.run402.test/apps/v1"
    assert "authorization" not in sent.headers
    assert "sign-in-with-x" not in sent.headers


@pytest.mark.parametrize("tags", ["blog", [5], [""], 5])
def test_browse_refuses_what_are_no_tags(side: Side, tags: Any) -> None:
    error = side.play().raises(LocalError, "apps.browse", tags)
    assert (error.context["argument"], error.doing) == ("tags", "browsing apps")


def test_get_app(side: Side) -> None:
    found = run_case(side, CASES["apps.getApp('ver')"], "apps.get_app", "ver", answers=[APP])
    assert found.to_dict() == APP


def test_get_app_that_there_is_not(side: Side) -> None:
    play = side.play([Reply.json({"message": "none"}, 404)])
    error = play.raises(ApiError, "apps.get_app", "a/b")
    assert isinstance(error, NotFoundError)
    assert error.message == "none while fetching app details (HTTP 404)"
    assert play.script.sent[0].url.endswith("/apps/v1/a%2Fb")


@pytest.mark.parametrize("version_id", ["", "..", None])
def test_get_app_refuses_what_is_no_id(side: Side, version_id: Any) -> None:
    assert side.play().raises(ArgumentError, "apps.get_app", version_id).doing == "fetching app details"


def test_fork_keeps_the_keys(side: Side) -> None:
    made = run_case(side, CASES["apps.fork"], "apps.fork", version_id="ver", name="n")
    assert made.site_url == "u"
    assert "'s'" not in repr(made)


def test_fork_at_a_subdomain(side: Side) -> None:
    run_case(side, CASES["apps.fork subdomain"], "apps.fork", version_id="ver", name="n", subdomain="s")


def test_fork_that_is_refused_keeps_nothing(side: Side) -> None:
    play = side.play([Reply.json({"message": "no tier"}, 402)])
    error = play.raises(PaymentRequired, "apps.fork", version_id="ver", name="n")
    assert error.message == "no tier while forking app"
    assert play.credentials.writes == []


def test_fork_does_not_lose_keys_that_cannot_be_kept(side: Side) -> None:
    class Full(RecordingCredentials):
        def save_project(self, project_id: str, keys: ProjectKeys) -> None:
            raise OSError("disk full")

    play = side.play([Reply.json(CASES["apps.fork"]["result"])], credentials=Full())
    error = play.raises(LocalError, "apps.fork", version_id="ver", name="n")
    assert error.context["result"].service_key == "s"
    assert "'s'" not in repr(error.to_dict())
    assert error.doing == "forking app"


@pytest.mark.parametrize(
    "told", [{"version_id": ""}, {"name": " "}, {"name": None}, {"subdomain": 5}], ids=lambda told: next(iter(told))
)
def test_fork_refuses_unusable_arguments(side: Side, told: Any) -> None:
    error = side.play().raises(ArgumentError, "apps.fork", **{"version_id": "ver", "name": "n", **told})
    assert (error.argument, error.doing) == (next(iter(told)), "forking app")


def test_publish(side: Side) -> None:
    made = run_case(side, CASES["apps.publish(full)"], "apps.publish", "prj_k", answers=[APP], **TOLD)
    assert made.version == 1


def test_publish_sends_what_is_told_and_an_empty_object_otherwise(side: Side) -> None:
    play = side.play([Reply.json(APP, 201)] * 3)
    play.do("apps.publish", "prj_k")
    play.do("apps.publish", "prj_k", description="", tags=[], fork_allowed=False)
    play.do("apps.publish", "prj_k", visibility="unlisted")
    assert [sent.text for sent in play.script.sent] == [
        "{}",
        '{"description":"","tags":[],"fork_allowed":false}',
        '{"visibility":"unlisted"}',
    ]


def test_update_version(side: Side) -> None:
    # the platform's client puts the id into the path as it is; here it stays one segment
    case = copy.deepcopy(dict(CASES["apps.updateVersion"]))
    (request,) = case["requests"]
    request["path"] = request["path"].replace("/ver/1", "/ver%2F1")
    assert run_case(side, case, "apps.update_version", "prj_k", "ver/1", description="d") is None


def test_list_and_delete_versions(side: Side) -> None:
    play = side.play([Reply.json({"versions": [VERSION]}), Reply(204)])
    assert play.do("apps.list_versions", "prj_k").versions[0].to_dict() == VERSION
    assert play.do("apps.delete_version", "prj_k", "ver") is None
    base = "https://api.run402.test/projects/v1/admin/prj_k/versions"
    assert [(sent.method, sent.url, sent.content, sent.headers["authorization"]) for sent in play.script.sent] == [
        ("GET", base, None, "Bearer SVC"),
        ("DELETE", f"{base}/ver", None, "Bearer SVC"),
    ]


@pytest.mark.parametrize(("method", "args", "doing"), CALLS)
def test_an_unknown_project(side: Side, method: str, args: Any, doing: str) -> None:
    assert side.play().raises(ProjectNotFound, f"apps.{method}", "prj_x", *args).doing == doing


@pytest.mark.parametrize(("method", "args", "doing"), CALLS)
def test_what_the_gateway_refuses(side: Side, method: str, args: Any, doing: str) -> None:
    play = side.play([Reply.json({"message": "no"}, 422)])
    error = play.raises(ApiError, f"apps.{method}", "prj_k", *args)
    assert (error.message, error.doing) == (f"no while {doing} (HTTP 422)", doing)


@pytest.mark.parametrize(("method", "args", "doing"), [CALLS[0], CALLS[2]])
@pytest.mark.parametrize(
    "told",
    [{"description": 5}, {"tags": "t"}, {"visibility": 5}, {"fork_allowed": 1}],
    ids=lambda told: next(iter(told)),
)
def test_unusable_arguments(side: Side, method: str, args: Any, doing: str, told: Any) -> None:
    error = side.play().raises(ArgumentError, f"apps.{method}", "prj_k", *args, **told)
    assert (error.argument, error.doing) == (next(iter(told)), doing)


@pytest.mark.parametrize("method", ["update_version", "delete_version"])
@pytest.mark.parametrize("version_id", ["", ".."])
def test_a_version_must_be_told(side: Side, method: str, version_id: str) -> None:
    side.play().raises(ArgumentError, f"apps.{method}", "prj_k", version_id)
