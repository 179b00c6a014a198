"""Deploys as tests hold them: what they do wrong on demand, how fast they go, and what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from tollkit.sandbox.run402.deploy.content import Countdown
from tollkit.sandbox.run402.deploy.operations import PHASES, TERMINAL, Failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollkit.sandbox.run402.callers import Callers
    from tollkit.sandbox.run402.deploy.content import ContentStore, Transfer
    from tollkit.sandbox.run402.deploy.operations import Commit, Operation, Operations, Pace
    from tollkit.sandbox.run402.deploy.releases import File, Release
    from tollkit.sandbox.run402.deploy.routes import DeployRoutes
    from tollkit.sandbox.run402.gateway import Gateway
    from tollkit.sandbox.run402.sites import Sites

__all__ = ["Deploys"]


class Deploys:
    """Levers on deploys, uploads and sites; `reset()` of the sandbox puts all of them back.

    From `sandbox.run402.deploys`.
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        routes: DeployRoutes,
        store: ContentStore,
        operations: Operations,
        callers: Callers,
        sites: Sites,
    ) -> None:
        self._gateway = gateway
        self._routes = routes
        self._store = store
        self._operations = operations
        self._callers = callers
        self._sites = sites

    # ---------------------------------------------------------------- uploads

    def set_uploads(
        self,
        *,
        multipart_above: int | None = None,
        part_size: int | None = None,
        lifetime: float | None = None,
        etags_required: bool | None = None,
        checksum_in_address: bool | None = None,
        reuse: bool | None = None,
    ) -> None:
        """Choose how content comes in; what is left out stays.

        Args:
            multipart_above: Bytes; larger objects come in parts. 5 GiB at the start.
            part_size: Bytes of a part. 16 MiB at the start.
            lifetime: Seconds that a signed address is good for. An hour at the start.
            etags_required: Whether an upload in parts is completed with their entity tags only. True at the start.
            checksum_in_address: Whether the address of a single upload carries its checksum. False at the start.
            reuse: Whether who plans content again that is under way gets the same upload, with the parts that came
                and fresh addresses. True at the start.

        Raises:
            ValueError: A number is not positive.
        """
        told = {"multipart_above": multipart_above, "part_size": part_size, "lifetime": lifetime}
        for name, number in told.items():
            if number is not None and number <= 0:
                raise ValueError(f"{name} must be positive")
        flags = {"etags_required": etags_required, "checksum_in_address": checksum_in_address, "reuse": reuse}
        with self._gateway.lock:
            for name, value in {**told, **flags}.items():
                if value is not None:
                    setattr(self._store, name, value)

    def drop_upload(self, after: int = 0, *, times: int = 1, skip: int = 0) -> None:
        """Reset the connection of the next uploads.

        Args:
            after: When so many bytes of the body came; at its end when there are fewer.
            times: How many uploads.
            skip: How many pass before.
        """
        with self._gateway.lock:
            self._store.drops.append(Countdown(times, skip, after))

    def expire_address(self, *, times: int = 1, skip: int = 0) -> None:
        """Let the addresses of the next uploads have expired when they are used; they stay expired.

        Args:
            times: How many addresses.
            skip: How many to leave good before.
        """
        with self._gateway.lock:
            self._store.expiries.append(Countdown(times, skip))

    @property
    def uploads(self) -> list[Transfer]:
        """The parts and objects that came in whole, in order."""
        with self._gateway.lock:
            return list(self._store.uploads)

    def get_uploads(self) -> list[Transfer]:
        """`uploads` as a call, for levers over HTTP."""
        return self.uploads

    def uploaded(self, sha256: str | None = None) -> int:
        """How many bytes came in whole, of one hash or at all."""
        return sum(one.size for one in self.uploads if sha256 in (None, one.sha256))

    def add_content(self, project_id: str, data: bytes) -> str:
        """Give a project content without an upload; its hash.

        Args:
            project_id: The project.
            data: The bytes.
        """
        with self._gateway.lock:
            return self._store.add(project_id, data)

    # ---------------------------------------------------------------- plans and commits

    def set_price(self, amount: int) -> None:
        """Ask that many micro-dollars for each deploy that is planned from now on; 0 for nothing."""
        with self._gateway.lock:
            self._routes.price = amount

    def warn(
        self,
        code: str,
        message: str = "Something to look at.",
        *,
        severity: str = "warn",
        requires_confirmation: bool = False,
        affected: Sequence[str] = (),
    ) -> None:
        """Tell a warning with every plan.

        Args:
            code: E.g. `UNUSUAL_DELETE`.
            message: In words.
            severity: `info`, `warn`, `high`, or `low`, `medium`.
            requires_confirmation: Whether it blocks unless it is allowed.
            affected: What it is about.
        """
        told: dict[str, Any] = {
            "code": code,
            "message": message,
            "severity": severity,
            "requires_confirmation": requires_confirmation,
            "affected": list(affected),
            "confidence": "heuristic",
        }
        with self._gateway.lock:
            self._routes.warnings.append(told)

    def conflict(self, times: int = 1) -> None:
        """Refuse the next commits with `BASE_RELEASE_CONFLICT`."""
        with self._gateway.lock:
            self._routes.conflicts.append(Countdown(times))

    def set_strict_base(self, strict: bool = True) -> None:
        """Choose whether a plan is refused at its commit when another release became active after it."""
        with self._gateway.lock:
            self._routes.strict_base = strict

    def set_wallet_with_key(self, needed: bool = True) -> None:
        """Choose whether reading with the anon key needs the owner's signature too."""
        with self._gateway.lock:
            self._callers.wallet_with_key = needed

    @property
    def commits(self) -> list[Commit]:
        """The commits that were answered, in order; `repeated` for those that did nothing."""
        with self._gateway.lock:
            return list(self._operations.commits)

    def get_commits(self) -> list[Commit]:
        """`commits` as a call, for levers over HTTP."""
        return self.commits

    def charges(self, operation_id: str | None = None) -> int:
        """How many payments were carried out for deploys, or for one of them."""
        wanted = "deploy:" + (operation_id or "")
        with self._gateway.lock:
            paid = [one.what for one in self._gateway.payments.settlements()]
        return sum(what == wanted if operation_id else what.startswith(wanted) for what in paid)

    def migration_runs(self, project_id: str, migration_id: str | None = None) -> int:
        """How often migrations were run on a project's database, all or one; failed runs count.

        Args:
            project_id: The project.
            migration_id: One migration; all of them when left out.
        """
        with self._gateway.lock:
            return sum(
                project == project_id and migration_id in (None, migration)
                for project, migration in self._operations.runs
            )

    # ---------------------------------------------------------------- operations

    def set_pace(self, pace: Pace, *, phase_seconds: float | None = None) -> None:
        """Choose what lets operations go on.

        Args:
            pace: `poll`, each poll tells the phase and ends it (so at the start); `clock`, the sandbox's clock;
                `instant`, the commit does everything.
            phase_seconds: Length of each phase for `clock`. A second at the start.

        Raises:
            ValueError: Another pace.
        """
        if pace not in ("poll", "clock", "instant"):
            raise ValueError(f"no pace {pace!r}")
        with self._gateway.lock:
            self._operations.pace = pace
            self._operations.phase_seconds = phase_seconds or self._operations.phase_seconds

    def fail(
        self,
        phase: str,
        code: str = "INTERNAL_ERROR",
        message: str = "The phase failed.",
        *,
        status: Literal["failed", "rolled_back", "needs_repair"] = "failed",
        resource: str | None = None,
        retryable: bool = False,
        rolled_back: bool | None = None,
        resumable: bool = False,
        logs: Sequence[str] = (),
        fix: Mapping[str, Any] | None = None,
        times: int = 1,
        skip: int = 0,
    ) -> None:
        """Let the next operations fail.

        Args:
            phase: The status in which they fail: `staging`, `gating`, `migrating`, `schema_settling`, `activating`.
                What the phase does is not done.
            code: Of the error.
            message: Of the error.
            status: What becomes of the operation.
            resource: Of the error.
            retryable: Whether the error says that the deploy may be tried again.
            rolled_back: Of the error; when left out, true as long as no migration ran.
            resumable: Whether the operation goes on from that phase when it is resumed.
            logs: Of the error.
            fix: Of the error.
            times: How many operations.
            skip: How many pass before.

        Raises:
            ValueError: No such phase or status.
        """
        _check(phase)
        if status not in TERMINAL[1:]:
            raise ValueError(f"an operation cannot end as {status!r}")
        failure = Failure(
            code=code,
            message=message,
            resource=resource,
            retryable=retryable,
            rolled_back=rolled_back,
            status=status,
            resumable=resumable,
            logs=tuple(logs),
            fix=fix,
        )
        with self._gateway.lock:
            self._operations.failures.append((phase, Countdown(times, skip, failure)))

    def activation_pending(self, times: int = 1) -> None:
        """Let the next activations wait: the operation is `activation_pending` until it is resumed."""
        with self._gateway.lock:
            self._operations.pendings.append(Countdown(times))

    def hold(self, phase: str = "activating", *, times: int = 1) -> None:
        """Let the next operations stay in a phase until they are resumed, or `unhold` lets them go on.

        Args:
            phase: Name of the phase.
            times: How many operations.

        Raises:
            ValueError: No such phase.
        """
        _check(phase)
        with self._gateway.lock:
            self._operations.holds.append((phase, Countdown(times)))

    def unhold(self, operation_id: str) -> None:
        """Let a held operation go on.

        Raises:
            KeyError: There is none of that id.
        """
        with self._gateway.lock:
            self._operations.unhold(self._operations.all[operation_id])

    @property
    def operations(self) -> list[Operation]:
        """All operations, the oldest first."""
        with self._gateway.lock:
            return list(self._operations.all.values())

    def operation(self, operation_id: str) -> Operation:
        """An operation.

        Raises:
            KeyError: There is none of that id.
        """
        with self._gateway.lock:
            return self._operations.all[operation_id]

    def finish(self, operation_id: str) -> str:
        """Let a committed operation go through all of its phases, without polls; its status then.

        Raises:
            KeyError: There is none of that id.
        """
        with self._gateway.lock:
            return self._operations.finish(self._operations.all[operation_id])

    # ---------------------------------------------------------------- releases and sites

    def active_release(self, project_id: str) -> Release | None:
        """The release that a project shows; None when nothing was deployed to it."""
        with self._gateway.lock:
            self._operations.settle()
            return self._operations.active_release(project_id)

    def site(self, project_id: str) -> dict[str, bytes]:
        """Every file of a project's site, by its path."""
        return {path: self._store.read(file.sha256) for path, file in self.site_files(project_id).items()}

    def site_files(self, project_id: str) -> dict[str, File]:
        """Hash, size and type of every file of a project's site, by its path."""
        release = self.active_release(project_id)
        return {} if release is None else dict(release.state.site)

    def site_address(self, name: str, path: str = "") -> str:
        """The address of a site that every client on this machine can reach.

        Args:
            name: A subdomain, or the id of a project or release.
            path: Of a file, not encoded.
        """
        return self._sites.path_address(name, path)

    def site_host(self, name: str) -> str:
        """The host name, with its port, by which the server knows a subdomain, project or release."""
        return f"{name.replace('_', '-')}.localhost:{self._gateway.origin().rpartition(':')[2]}"

    def set_host_names(self, told: bool = True) -> None:
        """Choose whether deploys tell addresses with host names (`*.localhost`), or with paths."""
        with self._gateway.lock:
            self._sites.host_names = told


def _check(phase: str) -> None:
    if phase not in PHASES:
        raise ValueError(f"no phase {phase!r}; there are {', '.join(PHASES)}")
