"""Sign-in with Tokenite in Django.

urlpatterns = [
    path("auth/", include(tokenite_urls(tokenite, secret_key=settings.SECRET_KEY, on_signed_in=remember))),
]
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

from tollkit.errors import ArgumentError, MissingExtraError, TollkitError
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
    # Django brings no types
    _http: Any = import_module("django.http")
    _path: Any = import_module("django.urls").path
    _csrf_exempt: Any = import_module("django.views.decorators.csrf").csrf_exempt
except ImportError as _missing:
    raise raised(MissingExtraError("sign-in for Django", "django")) from _missing

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponseBase  # type: ignore[import-untyped]
    from django.urls import URLPattern  # type: ignore[import-untyped]

    from tollkit.tokenite.client import Tokenite

    Returned: TypeAlias = "HttpResponseBase | None"
    OnSignedIn: TypeAlias = Callable[[HttpRequest, SignedIn], Returned]
    OnFailure: TypeAlias = Callable[[HttpRequest, SignInFailure], Returned]
    OnToppedUp: TypeAlias = Callable[[HttpRequest, ToppedUp], Returned]
    OnSignedOut: TypeAlias = Callable[[HttpRequest], Returned]

__all__ = ["tokenite_urls"]

_EXEMPT = ("start", "callback")
"""Routes that the browser module posts to. They need none of Django's tokens: `start` changes nothing, and `callback`
takes a signed state that is bound to the browser's own cookie, which is such a token. `logout` keeps Django's."""


def tokenite_urls(
    tokenite: Tokenite,
    *,
    secret_key: str | bytes | Sequence[str | bytes],
    on_signed_in: OnSignedIn,
    on_cancelled: OnFailure | None = None,
    on_topped_up: OnToppedUp | None = None,
    on_signed_out: OnSignedOut | None = None,
    on_error: OnFailure | None = None,
    **options: Unpack[SignInOptions],
) -> list[URLPattern]:
    """The views of a sign-in, for `path("auth/", include(tokenite_urls(...)))`.

    `login` (GET, `?next=&budget=&prompt=`), `callback` (GET), `top-up` (GET, `?next=&amount=`) and `logout` (POST,
    `next`, with `{% csrf_token %}` in its form) are for whole pages; `tokenite.js`, `start` (POST) and `callback`
    (POST) for the browser module. Their names are `tokenite_login` and so on.

    What a hook returns is the response; with `None` the browser goes on to `next_url`.

    Args:
        tokenite: The client of the app.
        secret_key: Signs the states; Django's own `SECRET_KEY` will do. Several when it is being changed: the first
            signs, all are accepted.
        on_signed_in: Keep the token, on the server, such as in `request.session`.
        on_cancelled: The user or the platform said no. Nothing was changed; without a hook the browser goes on.
        on_topped_up: The user came back from the top-up page by a full-page redirect.
        on_signed_out: Forget the token.
        on_error: Anything that went wrong; without a hook a plain page says so.
        options: `redirect_uri`, `after_login`, `after_logout`, `suggested_budget`, `prompt`, `max_age`,
            `allow_insecure_http`: see `SignInOptions`.

    Raises:
        ArgumentError: An argument cannot be used; hooks must be plain functions.
    """
    sign_in = SignIn(tokenite, secret_key, options)
    hooks: dict[str, Callable[..., Returned] | None] = {
        "signed_in": on_signed_in,
        "cancelled": on_cancelled,
        "topped_up": on_topped_up,
        "signed_out": on_signed_out,
        "error": on_error,
    }
    for name, hook in hooks.items():
        if inspect.iscoroutinefunction(hook):
            raise raised(ArgumentError(f"on_{name}", "must be a plain function: these views are synchronous"))
    return [
        _path(name, _view(name, sign_in, tokenite, hooks), name=f"tokenite_{name.replace('-', '_')}")
        for name in ROUTES
    ]


def _view(
    name: str, sign_in: SignIn, tokenite: Tokenite, hooks: Mapping[str, Callable[..., Any] | None]
) -> Callable[[Any], Any]:
    def perform(effect: Exchange | Tell, request: Any) -> Any:
        if isinstance(effect, Exchange):
            return tokenite.exchange_code(effect.code, redirect_uri=effect.redirect_uri)
        hook = hooks[effect.hook]
        if hook is None:
            return None
        response: Any = hook(request) if effect.event is None else hook(request, effect.event)
        if response is None:
            return None
        return Answered(response=response, status=response.status_code, location=response.headers.get("Location"))

    def run(steps: Steps, request: Any) -> Reply:
        try:
            effect = next(steps)
            while True:
                try:
                    answer = perform(effect, request)
                except TollkitError as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(answer)
        except StopIteration as stop:
            reply: Reply = stop.value
            return reply
        finally:
            steps.close()

    def view(request: Any) -> Any:
        return _response(run(sign_in.serve(name, _visit(request)), request))

    view.__name__ = view.__qualname__ = f"tokenite_{name}"
    return _csrf_exempt(view) if name in _EXEMPT else view


def _visit(request: Any) -> Visit:
    # a multipart form may have been read by the CSRF middleware, and is none of ours
    body = b"" if (request.content_type or "").startswith("multipart/") else request.body
    return Visit(
        method=request.method or "",
        scheme=request.scheme or "http",
        host=request.get_host(),
        path=request.path,
        query=request.META.get("QUERY_STRING", ""),
        headers={key.lower(): value for key, value in request.headers.items()},
        cookies=request.COOKIES,
        body=body[: MAX_BODY + 1],
    )


def _response(reply: Reply) -> Any:
    response: Any = reply.response or _http.HttpResponse(reply.body, status=reply.status, headers=dict(reply.headers))
    if reply.cookies_from is not None:
        response.cookies.update(reply.cookies_from.cookies)
    if (cookie := reply.cookie) is not None:
        response.set_cookie(
            cookie.name,
            cookie.value or "",
            max_age=cookie.max_age if cookie.value else 0,
            path="/",
            secure=cookie.secure,
            httponly=True,
            samesite="Lax",
        )
    return response
