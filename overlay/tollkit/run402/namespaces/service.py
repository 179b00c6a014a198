"""Whether the platform is well."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tollkit.core.flows import Flow, flow
from tollkit.core.namespaces import Namespace

if TYPE_CHECKING:
    from tollkit.run402.client import Run402Flows
    from tollkit_api.run402.v1_57.models import ServiceHealth
    from tollkit_api.run402.v1_57.models import ServiceStatus as Status

__all__ = ["ServiceStatus"]

D = TypeVar("D")


class ServiceStatus(Namespace[D]):
    """`client.service`: what anybody may ask; no credentials go out."""

    _root: Run402Flows

    @flow
    def status(self) -> Flow[Status]:
        """How the platform does. Two forms of the answer are on record, so nothing in it is sure.

        Source: Run402 gateway, `GET /status`.
        """
        from tollkit_api.run402.v1_57.api.service import service_status as operation

        return (yield from self._root.call(operation.request(), operation.parse, "fetching service status"))

    @flow
    def health(self) -> Flow[ServiceHealth]:
        """Whether the platform's parts work.

        Source: Run402 gateway, `GET /health`.
        """
        from tollkit_api.run402.v1_57.api.service import service_health as operation

        return (yield from self._root.call(operation.request(), operation.parse, "fetching service health"))
