"""What generated functions take as `client=`, with a Run402 client's wallet, payments and policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from tollkit.core.client import AsyncApi, BlockingApi

if TYPE_CHECKING:
    from tollkit.core.drivers import Async, Blocking
    from tollkit.core.service import Service
    from tollkit.run402.credentials import ProjectKeys
    from tollkit.run402.kernel import Kernel
    from tollkit_api.runtime import HttpResponse, Request

__all__ = ["AsyncRun402Api", "Run402Api"]


@attrs.frozen
class _Gateway:
    kernel: Kernel
    keys: ProjectKeys | None = None

    def service(self, request: Request) -> Service:
        return self.kernel.gateway(request, f"calling {request.operation.id}", keys=self.keys)


class Run402Api(BlockingApi):
    """Sends for generated functions: with the client's wallet, payments, retries and events.

    With `from tollkit_api.run402.v1_57.api.tier import tier_status`: `tier_status.sync(client=client.api)`. Where an
    operation asks for a key of a project: `client.api.with_keys(keys)`.
    """

    def __init__(self, client: Blocking, kernel: Kernel, keys: ProjectKeys | None = None) -> None:
        self._client = client
        self._gateway = _Gateway(kernel, keys)

    def with_keys(self, keys: ProjectKeys) -> Run402Api:
        """The same with the keys of a project, for the operations that ask for one of them."""
        return Run402Api(self._client, self._gateway.kernel, keys)

    def send(self, request: Request) -> HttpResponse:
        """Send a request and return the last answer, whatever its status.

        Raises:
            Run402Error: No answer came, or a payment was asked for and not made.
        """
        return BlockingApi(self._client, self._gateway.service(request)).send(request)


class AsyncRun402Api(AsyncApi):
    """`Run402Api` for an async client."""

    def __init__(self, client: Async, kernel: Kernel, keys: ProjectKeys | None = None) -> None:
        self._client = client
        self._gateway = _Gateway(kernel, keys)

    def with_keys(self, keys: ProjectKeys) -> AsyncRun402Api:
        """The same with the keys of a project, for the operations that ask for one of them."""
        return AsyncRun402Api(self._client, self._gateway.kernel, keys)

    async def asend(self, request: Request) -> HttpResponse:
        """Send a request and return the last answer, whatever its status.

        Raises:
            Run402Error: No answer came, or a payment was asked for and not made.
        """
        return await AsyncApi(self._client, self._gateway.service(request)).asend(request)
