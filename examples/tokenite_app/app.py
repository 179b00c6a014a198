"""An application that signs its users in with Tokenite and asks a model at their expense.

    python examples/tokenite_app/app.py --sandbox

What matters of tollkit is in this file; the HTML is in `views.py`, the browser's few lines are in `static/app.js`.
"""

from __future__ import annotations

import argparse
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import attrs
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from views import home, welcome

from tollkit import AsyncTokenite, Secret
from tollkit.sandbox import Sandbox
from tollkit.tokenite import ProxyError, ProxySuccess
from tollkit.tokenite.web import SignedIn, SignInFailure, ToppedUp
from tollkit.tokenite.web.starlette import TokeniteRouter

MODEL = "claude-sonnet-4-5"
COOKIE = "example_session"
FEE = Decimal("1.05")  # Tokenite adds 5 %


@attrs.define
class Session:
    """What the app remembers of a user. A real one keeps it in a database; the token must not leave the server."""

    token: Secret
    email: str
    price_in: Decimal
    price_out: Decimal
    spent: Decimal = Decimal(0)
    limit: Decimal | None = None
    remaining: Decimal | None = None
    talk: list[tuple[str, str]] = attrs.field(factory=list)
    waiting: str | None = None
    """A question that could not be paid for."""
    notice: str | None = None


def create_app(tokenite: AsyncTokenite, *, url: str) -> FastAPI:
    """The application.

    Args:
        tokenite: The client of the app.
        url: Where browsers find it, such as `https://app.example`.
    """
    sessions: dict[str, Session] = {}

    def session_of(request: Request) -> Session | None:
        return sessions.get(request.cookies.get(COOKIE, ""))

    # --- signing in: three hooks, and one line that mounts the routes -----------------------------------

    async def on_signed_in(request: Request, event: SignedIn) -> Response:
        """Keep the token under a new session id (an id from before could be known to somebody)."""
        context = await tokenite.get_access_context(event.token.access_token)
        price = next(model.pricing for model in context.models if model.slug == MODEL)
        sessions.pop(request.cookies.get(COOKIE, ""), None)
        session_id = secrets.token_urlsafe(32)
        sessions[session_id] = Session(
            token=event.token.access_token,
            email=context.user.email,
            price_in=price.input_per_million,
            price_out=price.output_per_million,
        )
        response = RedirectResponse(event.next_url, 303)
        # SameSite=Lax is also what keeps other sites from posting our forms
        response.set_cookie(COOKIE, session_id, httponly=True, samesite="lax", secure=url.startswith("https:"))
        return response

    def on_cancelled(request: Request, failure: SignInFailure) -> Response:
        return RedirectResponse("/?cancelled=1", 303)

    async def on_topped_up(request: Request, event: ToppedUp) -> None:
        """Back from the top-up page by redirect: repeat what could not be paid for."""
        if (session := session_of(request)) is not None:
            session.limit, session.remaining = event.new_limit, event.remaining
            await ask_again(session)

    def on_signed_out(request: Request) -> Response:
        sessions.pop(request.cookies.get(COOKIE, ""), None)
        response = RedirectResponse("/", 303)
        response.delete_cookie(COOKIE)
        return response

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with tokenite:
            yield

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    app.mount(
        "/auth",
        TokeniteRouter(
            tokenite,
            # sign-ins that are under way end with the process, unless the key outlives it
            secret_key=os.environ.get("SECRET_KEY") or secrets.token_urlsafe(32),
            on_signed_in=on_signed_in,
            on_cancelled=on_cancelled,
            on_topped_up=on_topped_up,
            on_signed_out=on_signed_out,
            redirect_uri=f"{url}/auth/callback",
            suggested_budget=5,
        ),
    )
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))

    # --- asking the model at the user's expense ---------------------------------------------------------

    async def ask(session: Session, question: str) -> None:
        """One metered call; an empty budget is an outcome like others, not an exception."""
        body = {"model": MODEL, "max_tokens": 500, "messages": [{"role": "user", "content": question}]}
        session.waiting = session.notice = None
        match await tokenite.call(session.token, "anthropic", "/v1/messages", body):
            case ProxySuccess(data=data, usage=usage):
                session.talk.append((question, "".join(part.get("text", "") for part in data["content"])))
                if usage is not None:
                    cost = session.price_in * usage.input_tokens + session.price_out * usage.output_tokens
                    session.spent += cost * FEE / 1_000_000
            case ProxyError(is_funding=True):
                session.waiting = question
            case ProxyError(code="TOKEN_REVOKED" | "TOKEN_EXPIRED"):
                session.notice = "You took the access back, or it has expired. Please sign in again."
            case ProxyError(message=message):
                session.notice = message

    async def ask_again(session: Session) -> None:
        if session.waiting is not None:
            await ask(session, session.waiting)

    # --- pages ------------------------------------------------------------------------------------------

    @app.get("/", response_class=HTMLResponse)
    def index(request: Request, cancelled: bool = False) -> str:
        session = session_of(request)
        if session is None:
            return welcome(cancelled=cancelled)
        return home(
            email=session.email,
            talk=session.talk,
            spent=session.spent,
            limit=session.limit,
            remaining=session.remaining,
            waiting=session.waiting,
            notice=session.notice,
        )

    @app.post("/ask")
    async def post_question(request: Request) -> Response:
        session = session_of(request)
        question = (await field(request, "question")).strip()[:2000]
        if session is not None and question:
            await ask(session, question)
        return RedirectResponse("/", 303)

    @app.post("/ask-again")
    async def post_again(request: Request) -> Response:
        """After a top-up in a window: the page sends this form."""
        if (session := session_of(request)) is not None:
            session.limit = amount(await field(request, "limit")) or session.limit
            session.remaining = amount(await field(request, "remaining")) or session.remaining
            await ask_again(session)
        return RedirectResponse("/", 303)

    platform = urlsplit(tokenite.base_url)
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        f"frame-src {platform.scheme}://{platform.netloc}; "  # for the overlay
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )

    @app.middleware("http")
    async def headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        response.headers.setdefault("content-security-policy", policy)
        response.headers.setdefault("cache-control", "no-store")
        return response

    return app


async def field(request: Request, name: str) -> str:
    """A field of a plain form."""
    return parse_qs((await request.body()).decode()).get(name, [""])[0]


def amount(text: str) -> Decimal | None:
    """What the browser says is left: to be shown, nothing more."""
    return Decimal(text) if text.replace(".", "", 1).isdecimal() and text.isascii() else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sandbox", action="store_true", help="run against an embedded stand-in of Tokenite")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--url", help="where browsers find the app; http://127.0.0.1:PORT if left out")
    given = parser.parse_args()
    with ExitStack() as stack:
        env = stack.enter_context(Sandbox()).tokenite.env() if given.sandbox else None  # else TOKENITE_* variables
        tokenite = AsyncTokenite.from_env(env)
        url = given.url or f"http://127.0.0.1:{given.port}"
        app = create_app(tokenite, url=url)
        print(f"Open {url} in a browser. Ctrl-C ends it.", flush=True)
        uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="warning")


if __name__ == "__main__":
    main()
