"""The sites that were deployed to the sandboxed Run402, as browsers get them."""

from __future__ import annotations

import httpx
import pytest
from run402_caller import Caller
from run402_deploys import Deployer

SITE = {
    "index.html": b"<h1>Home</h1>",
    "docs/index.html": b"<h1>Docs</h1>",
    "assets/app.3f8a91bc.js": b"let x",
    "a b.html": b"blank",
    "404.html": b"<h1>Gone</h1>",
}


@pytest.fixture
def at(caller: Caller) -> Deployer:
    at = Deployer(caller)
    at.deploys.set_pace("instant")
    at.deploy(at.spec(SITE, subdomains={"set": ["shop"]}))
    return at


def by_host(at: Deployer, name: str, path: str, **options: str) -> httpx.Response:
    origin = at.caller.sandbox.gateway.origin()
    return at.caller.http.get(origin + path, headers={"host": at.deploys.site_host(name), **options})


def test_a_site_is_served_by_its_names(at: Deployer) -> None:
    release = at.deploys.active_release(at.project.id)
    for name in ("shop", at.project.id, release.id):
        home = by_host(at, name, "/")
        assert (home.content, home.headers["content-type"]) == (SITE["index.html"], "text/html; charset=utf-8")
        assert at.caller.http.get(at.deploys.site_address(name)).content == SITE["index.html"]
    operation = at.deploys.operations[-1]
    port = at.caller.sandbox.gateway.origin().rpartition(":")[2]
    assert operation.urls["project"] == f"http://shop.localhost:{port}/"
    assert at.caller.http.get(operation.urls["loopback"]).status_code == 200
    at.deploys.set_host_names(False)
    at.deploy(at.spec({"index.html": b"new"}))
    assert at.caller.http.get(at.deploys.operations[-1].urls["project"]).content == b"new"
    assert by_host(at, release.id, "/").content == SITE["index.html"]


def test_paths_of_a_site(at: Deployer) -> None:
    assert by_host(at, "shop", "/docs/").content == SITE["docs/index.html"]
    moved = by_host(at, "shop", "/docs?x=1")
    assert (moved.status_code, moved.headers["location"]) == (301, "docs/?x=1")
    assert by_host(at, "shop", "/a%20b.html").content == b"blank"
    assert at.caller.http.get(at.deploys.site_address("shop", "a b.html")).content == b"blank"
    gone = by_host(at, "shop", "/run402/no")
    assert (gone.status_code, gone.content) == (404, SITE["404.html"])


def test_caching_of_a_site(at: Deployer) -> None:
    home = by_host(at, "shop", "/")
    assert home.headers["cache-control"] == "public, max-age=0, must-revalidate"
    again = by_host(at, "shop", "/", **{"if-none-match": home.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    asset = by_host(at, "shop", "/assets/app.3f8a91bc.js")
    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert by_host(at, "shop", "/assets/app.3f8a91bc.js", range="bytes=0-2").content == b"let"


def test_what_is_no_site(at: Deployer) -> None:
    assert by_host(at, "prj_nothing", "/").status_code == 404
    assert at.caller.http.get(at.deploys.site_address("nothing")).status_code == 404
    assert by_host(at, "somebody", "/api/v1/oidc/jwks").status_code == 200
    headers = {"host": at.deploys.site_host("shop")}
    origin = at.caller.sandbox.gateway.origin()
    refused = at.caller.http.post(origin + "/", headers=headers, content=b"x")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    head = at.caller.http.head(origin + "/", headers=headers)
    assert (head.status_code, head.content) == (200, b"")
    at.deploy(at.spec({"only.txt": b"x"}))
    assert "not part of the site" in by_host(at, "shop", "/").text
