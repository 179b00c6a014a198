"""The deployed sites, served: by host name, and below a path for clients that do not know such names.

http://{subdomain}.localhost:{port}/            the active release of the project that has the subdomain
http://{project}.localhost:{port}/              the same by the project's id, with - for _
http://{release}.localhost:{port}/              one release
http://127.0.0.1:{port}/run402/site/{name}/     any of the three
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tollkit.sandbox.http import html
from tollkit.sandbox.run402.files import IMMUTABLE, file_answer

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from tollkit.sandbox.run402.deploy.content import ContentStore
    from tollkit.sandbox.run402.deploy.links import Links
    from tollkit.sandbox.run402.deploy.operations import Operations
    from tollkit.sandbox.run402.deploy.releases import Release
    from tollkit.sandbox.run402.gateway import Gateway

__all__ = ["Sites"]

_HOST = re.compile(r"([a-z0-9-]+)\.localhost(?::[0-9]+)?")
_FINGERPRINT = re.compile(r"[.-](?=[A-Za-z0-9_-]*[0-9])[A-Za-z0-9_-]{8,}\.[A-Za-z0-9.]+$")
"""Names that change with the content, as bundlers make them: `app.3f8a91bc.js`, `index-BqT3x9aZ.css`."""
_FRESH = "public, max-age=0, must-revalidate"


class Sites:
    """The sites of a gateway.

    Args:
        gateway: The gateway.
        store: Where content is.
        operations: Which releases are there.
        links: Who has which subdomain.

    Attributes:
        host_names: Whether the addresses that deploys tell have host names; paths otherwise.
    """

    def __init__(self, gateway: Gateway, store: ContentStore, operations: Operations, links: Links) -> None:
        self._gateway = gateway
        self._store = store
        self._operations = operations
        self._links = links
        self.host_names: bool = True
        operations.addresses = self.addresses

    def forget(self) -> None:
        """Tell addresses with host names again."""
        self.host_names = True

    def routes(self) -> list[Route]:
        """The sites below a path."""
        return [Route("/site/{name}/{path:path}", _Served(self), methods=["GET"])]

    def by_host(self, otherwise: ASGIApp) -> ASGIApp:
        """An application that answers the host names of sites, and hands everything else on."""
        served = _Served(self)

        async def choose(scope: Scope, receive: Receive, send: Send) -> None:
            host = _HOST.fullmatch(Headers(scope=scope).get("host", "").lower())
            if host is None or not self._known(host[1]):
                await otherwise(scope, receive, send)
                return
            path = scope["raw_path"].decode("ascii").removeprefix("/")
            await served({**scope, "path_params": {"name": host[1], "path": path}}, receive, send)

        return choose

    def addresses(self, release: Release) -> dict[str, str]:
        """Where a release's site is, as a deploy tells it."""
        project, own = release.project_id, release.id
        subdomain = next(iter(release.state.subdomains), None)
        told = {
            "project": self.address(subdomain or project),
            "release": self.address(own),
            "loopback": self.path_address(project),
        }
        return told if subdomain is None else {**told, "subdomain": self.address(subdomain)}

    def address(self, name: str) -> str:
        """The address of a subdomain, project or release."""
        if not self.host_names:
            return self.path_address(name)
        port = self._gateway.origin().rpartition(":")[2]
        return f"http://{name.replace('_', '-')}.localhost:{port}/"

    def path_address(self, name: str, path: str = "") -> str:
        """The address that every client on this machine can reach."""
        return f"{self._gateway.api_base}/site/{name.replace('_', '-')}/{quote(path)}"

    def _known(self, label: str) -> bool:
        # a name of nothing on this platform may be one of another: the 404 of sites is only for names like theirs
        with self._gateway.lock:
            shape = label.startswith(("prj-", "rel-"))
            return shape or self._links.shown(label) is not None

    def release(self, label: str) -> Release | None:
        """The release that a name shows."""
        self._operations.settle()
        name = label.replace("-", "_", 1)
        if name in self._operations.releases:
            return self._operations.releases[name]
        shown = self._links.shown(label)
        if shown is not None:
            return self._operations.releases.get(shown[1]) or self._operations.active_release(shown[0])
        return self._operations.active_release(name)

    def answer(self, request: Request, label: str, path: str) -> Response:
        """A file of a site."""
        release = self.release(label)
        if release is None:
            return html(_not_found("There is no site here."), 404)
        site = release.state.site
        wanted = unquote(path)
        at = wanted + "index.html" if not wanted or wanted.endswith("/") else wanted
        status = 200
        if at not in site and f"{at}/index.html" in site:
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"{path.rpartition('/')[2]}/{query}", 301)
        if at not in site:
            at, status = "404.html", 404
        if at not in site:
            return html(_not_found("This page is not part of the site."), 404)
        file = site[at]
        cache = IMMUTABLE if status == 200 and _FINGERPRINT.search(at) else _FRESH
        return file_answer(
            request,
            self._store.path(file.sha256),
            file.sha256,
            content_type=file.content_type,
            cache=cache,
            status=status,
        )


class _Served:
    """The ASGI application of all sites."""

    def __init__(self, sites: Sites) -> None:
        self._sites = sites

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        await request.body()
        if request.method in ("GET", "HEAD"):
            with self._sites._gateway.lock:
                answer = self._sites.answer(request, scope["path_params"]["name"], scope["path_params"]["path"])
        else:
            answer = Response(status_code=405, headers={"allow": "GET, HEAD"})
        await answer(scope, receive, send)


def _not_found(message: str) -> str:
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Not found</title></head>'
        f"<body><h1>404</h1><p>{escape(message)}</p></body></html>"
    )
