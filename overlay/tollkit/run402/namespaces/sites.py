"""Sites: a folder as a website, in one call."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from tollkit.core.flows import Flow, flow, offload
from tollkit.core.namespaces import Namespace
from tollkit.run402.deploy.engine import POLL_INTERVAL, TIMEOUT, Deployment, Settings
from tollkit.run402.deploy.telling import EventCallback
from tollkit.run402.deploy.upload import MAX_UPLOADS
from tollkit.run402.namespaces.scoped import ScopedNamespace, of_project

if TYPE_CHECKING:
    import os

    from tollkit.run402.client import Run402Flows
    from tollkit.run402.deploy.files import LeftOut

__all__ = ["ScopedSites", "SiteDeployResult", "Sites"]

D = TypeVar("D")


@attrs.frozen
class SiteDeployResult:
    """A site that is live.

    Attributes:
        deployment_id: The deployment, or, where the platform has no such thing, the release.
        url: Where it is; empty when the platform does not say.
        release_id: The release.
        operation_id: The operation that made it.
        bytes_total: Bytes of all its files, each content once.
        bytes_uploaded: Bytes that the platform did not have.
        left_out: What the folder has that was not deployed, and why.
    """

    deployment_id: str
    url: str
    release_id: str
    operation_id: str
    bytes_total: int
    bytes_uploaded: int
    left_out: tuple[LeftOut, ...] = ()


class Sites(Namespace[D]):
    """`client.sites`: folders as websites."""

    _root: Run402Flows

    @flow
    def deploy_dir(
        self,
        project_id: str,
        dir: str | os.PathLike[str],
        *,
        ignore: Iterable[str] = (),
        include: Iterable[str] = (),
        on_event: EventCallback | None = None,
        idempotency_key: str | None = None,
        allow_warnings: bool | Collection[str] = False,
        max_uploads: int = MAX_UPLOADS,
        timeout: float = TIMEOUT,
        poll_interval: float = POLL_INTERVAL,
    ) -> Flow[SiteDeployResult]:
        """Make a folder the whole site of a project. Functions, database and names stay as they are.

        What looks like a secret is left out, with a warning: `tollkit.run402.deploy.files.file_set_from_dir`.

        Args:
            project_id: The project.
            dir: The folder.
            ignore: Names of files and folders to leave out besides.
            include: Names or paths that are deployed although they look like secrets.
            on_event: Called with each `tollkit.run402.deploy.events` event.
            idempotency_key: Names this deploy: the same key means the same deploy.
            allow_warnings: `True` to go on whatever the plan warns of; or the codes that are fine.
            max_uploads: How many parts of files are uploaded side by side.
            timeout: Seconds that the platform may take from the commit on.
            poll_interval: Seconds between two looks at the operation.

        Raises:
            LocalError: The folder cannot be read, is empty, or has a link that leads out of it.
            DeployError: A warning was not allowed, the upload or the release failed.
            PaymentRequired: It has to be paid for first.
            ProjectNotFound: The credentials do not know the project.

        Source: Run402 client 1.57, `sites.deployDir`; the requests are those of `deploy.apply`.
        """
        from tollkit.run402.deploy.files import file_set_from_dir

        settings = Settings.of(
            "collecting files for deploy",
            on_event=on_event,
            idempotency_key=idempotency_key,
            allow_warnings=allow_warnings,
            max_uploads=max_uploads,
            timeout=timeout,
            poll_interval=poll_interval,
        )
        files = yield from offload(lambda: file_set_from_dir(dir, ignore=ignore, include=include))
        deployment = Deployment(self._root, settings)
        planned = yield from deployment.begin({"project": project_id, "site": {"replace": files}})
        missing = {entry.sha256 for entry in planned.missing}
        result = yield from deployment.finish(planned)
        sizes = {sha256: content.size for sha256, content in planned.contents.items()}
        return SiteDeployResult(
            deployment_id=result.urls.get("deployment_id") or result.release_id,
            url=result.urls.get("project") or result.urls.get("site") or "",
            release_id=result.release_id,
            operation_id=result.operation_id,
            bytes_total=sum(sizes.values()),
            bytes_uploaded=sum(sizes.get(sha256, 0) for sha256 in missing),
            left_out=files.left_out,
        )


class ScopedSites(ScopedNamespace[D]):
    """`project.sites`: folders as the project's website."""

    _plain = Sites

    deploy_dir: Final = of_project(Sites[Any].deploy_dir)
