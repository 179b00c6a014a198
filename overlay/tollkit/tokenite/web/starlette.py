"""Sign-in with Tokenite in Starlette and FastAPI.

app = FastAPI()
app.mount("/auth", TokeniteRouter(tokenite, secret_key=SECRET_KEY, on_signed_in=remember))
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

from tollkit.errors import MissingExtraError, TollkitError
from tollkit.tokenite.errors import raised
from tollkit.tokenite.web.core import (
    MAX_BODY,
    ROUTES,
    Answered,
    Exchange,
    Reply,
    SignedIn,
    SignIn,
    SignInFailure,
    SignInOptions,
    Steps,
    Tell,
    ToppedUp,
    Visit,
)

try:
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route, Router
except ImportError as _missing:
    raise raised(MissingExtraError("sign-in for Starlette and FastAPI", "starlette")) from _missing

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from tollkit.tokenite.client import AsyncTokenite

__all__ = ["TokeniteRouter", "tokenite_routes"]

Returned: TypeAlias = Response | Awaitable[Response | None] | None
OnSignedIn: TypeAlias = Callable[[Request, SignedIn], Returned]
OnFailure: TypeAlias = Callable[[Request, SignInFailure], Returned]
OnToppedUp: TypeAlias = Callable[[Request, ToppedUp], Returned]
OnSignedOut: TypeAlias = Callable[[Request], Returned]


def tokenite_routes(
    tokenite: AsyncTokenite,
    *,
    secret_key: str | bytes | Sequence[str | bytes],
    on_signed_in: OnSignedIn,
    on_cancelled: OnFailure | None = None,
    on_topped_up: OnToppedUp | None = None,
    on_signed_out: OnSignedOut | None = None,
    on_error: OnFailure | None = None,
    **options: Unpack[SignInOptions],
) -> list[Route]:
    """The routes of a sign-in, for `Mount("/auth", routes=tokenite_routes(...))`.

    `login` (GET, `?next=&budget=&prompt=`), `callback` (GET), `top-up` (GET, `?next=&amount=`) and `logout` (POST,
    `next`) are for whole pages; `tokenite.js`, `start` (POST) and `callback` (POST) for the browser module. Their
    names are `tokenite_login` and so on.

    Hooks may be coroutines or plain functions, which then run in a thread. What they return is the response; with
    `None` the browser goes on to `next_url`.

    Args:
        tokenite: The client of the app.
        secret_key: Signs the states: 32 random bytes or more that stay the same over restarts and processes. Several
            when it is being changed: the first signs, all are accepted.
        on_signed_in: Keep the token, on the server.
        on_cancelled: The user or the platform said no. Nothing was changed; without a hook the browser goes on.
        on_topped_up: The user came back from the top-up page by a full-page redirect.
        on_signed_out: Forget the token.
        on_error: Anything that went wrong; without a hook a plain page says so.
        options: `redirect_uri`, `after_login`, `after_logout`, `suggested_budget`, `prompt`, `max_age`,
            `allow_insecure_http`: see `SignInOptions`.

    Raises:
        ArgumentError: An argument cannot be used.
    """
    sign_in = SignIn(tokenite, secret_key, options)
    hooks = {
        "signed_in": on_signed_in,
        "cancelled": on_cancelled,
        "topped_up": on_topped_up,
        "signed_out": on_signed_out,
        "error": on_error,
    }
    return [
        Route(f"/{name}", _Endpoint(name, sign_in, tokenite, hooks), name=f"tokenite_{name.replace('-', '_')}")
        for name in ROUTES
    ]


class TokeniteRouter(Router):
    """The same routes as an application to mount: `app.mount("/auth", TokeniteRouter(...))`.

    Takes the arguments of `tokenite_routes`.

    Raises:
        ArgumentError: An argument cannot be used.
    """

    def __init__(
        self,
        tokenite: AsyncTokenite,
        *,
        secret_key: str | bytes | Sequence[str | bytes],
        on_signed_in: OnSignedIn,
        on_cancelled: OnFailure | None = None,
        on_topped_up: OnToppedUp | None = None,
        on_signed_out: OnSignedOut | None = None,
        on_error: OnFailure | None = None,
        **options: Unpack[SignInOptions],
    ) -> None:
        routes = tokenite_routes(
            tokenite,
            secret_key=secret_key,
            on_signed_in=on_signed_in,
            on_cancelled=on_cancelled,
            on_topped_up=on_topped_up,
            on_signed_out=on_signed_out,
            on_error=on_error,
            **options,
        )
        super().__init__(routes=routes)


class _Endpoint:
    """The ASGI application of one route."""

    def __init__(
        self, name: str, sign_in: SignIn, tokenite: AsyncTokenite, hooks: Mapping[str, Callable[..., Returned] | None]
    ) -> None:
        self._name = name
        self._sign_in = sign_in
        self._tokenite = tokenite
        self._hooks = hooks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        steps = self._sign_in.serve(self._name, await _visit(request))
        reply = await self._run(steps, request)
        await _response(reply)(scope, receive, send)

    async def _run(self, steps: Steps, request: Request) -> Reply:
        try:
            effect = next(steps)
            while True:
                try:
                    answer = await self._perform(effect, request)
                except TollkitError as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(answer)
        except StopIteration as stop:
            reply: Reply = stop.value
            return reply
        finally:
            steps.close()

    async def _perform(self, effect: Exchange | Tell, request: Request) -> Any:
        if isinstance(effect, Exchange):
            return await self._tokenite.exchange_code(effect.code, redirect_uri=effect.redirect_uri)
        hook = self._hooks[effect.hook]
        if hook is None:
            return None
        given = (request,) if effect.event is None else (request, effect.event)
        # a plain function may block, so it gets a thread; what it returns may still have to be awaited
        waits = inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(type(hook).__call__)
        returned = hook(*given) if waits else await run_in_threadpool(hook, *given)
        response = await returned if inspect.isawaitable(returned) else returned
        if response is None:
            return None
        return Answered(response=response, status=response.status_code, location=response.headers.get("location"))


async def _visit(request: Request) -> Visit:
    body = b""
    if request.method == "POST":
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                break
    return Visit(
        method=request.method,
        scheme=request.url.scheme,
        host=request.headers.get("host", ""),
        path=request.scope["path"],
        query=request.url.query,
        headers=request.headers,
        cookies=request.cookies,
        body=body[: MAX_BODY + 1],
    )


def _response(reply: Reply) -> Response:
    response: Response = reply.response or Response(reply.body, reply.status, headers=reply.headers)
    if reply.cookies_from is not None:
        response.raw_headers.extend(field for field in reply.cookies_from.raw_headers if field[0] == b"set-cookie")
    if (cookie := reply.cookie) is not None:
        response.set_cookie(
            cookie.name,
            cookie.value or "",
            max_age=cookie.max_age if cookie.value else 0,
            path="/",
            secure=cookie.secure,
            httponly=True,
            samesite="lax",
        )
    return response
