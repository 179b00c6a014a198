"""The app's two pages as plain HTML. Everything that is not ours is escaped."""

from __future__ import annotations

from decimal import Decimal
from html import escape


def page(content: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tokenite example</title>
<link rel="stylesheet" href="/static/style.css">
<script type="module" src="/static/app.js"></script>
</head>
<body>
<main>
{content}
</main>
</body>
</html>
"""


def welcome(*, cancelled: bool) -> str:
    """Three ways to sign in. They are links, so that they work without JavaScript too."""
    notice = "You cancelled. Nothing has changed." if cancelled else ""
    return page(f"""<h1>Ask a model, on your own account</h1>
<p>Sign in with Tokenite and choose how much this app may spend.</p>
<p id="notice" role="status">{notice}</p>
<p class="ways">
<a class="primary" href="/auth/login" data-tokenite-sign-in="window">Sign in in a window</a>
<a href="/auth/login" data-tokenite-sign-in="iframe">Sign in on top of this page</a>
<a href="/auth/login">Sign in with a redirect</a>
</p>""")


def home(
    *,
    email: str,
    talk: list[tuple[str, str]],
    spent: Decimal,
    limit: Decimal | None,
    remaining: Decimal | None,
    waiting: str | None,
    notice: str | None,
) -> str:
    """The conversation, what it has cost, and what to do when nothing is left."""
    turns = "".join(
        f'<dt>{escape(question)}</dt><dd class="answer">{escape(answer)}</dd>\n' for question, answer in talk
    )
    money = f"<span>Spent here <b id=spent>{usd(spent)}</b></span>"
    if limit is not None and remaining is not None:
        money += f"<span>Limit <b id=limit>{usd(limit)}</b></span>"
        money += f"<span>Left after the top-up <b id=remaining>{usd(remaining)}</b></span>"
    empty = "" if waiting is None else top_up(waiting)
    return page(f"""<header><span>Signed in as <b id="email">{escape(email)}</b></span>
<span><a href="/auth/login?prompt=select_account" data-tokenite-sign-in="window"
data-tokenite-prompt="select_account">Other account</a>
<form method="post" action="/auth/logout"><button class="link">Sign out</button></form></span></header>
<h1>Ask Claude</h1>
<p class="money">{money}</p>
<p id="notice" role="status">{escape(notice or "")}</p>
<dl>
{turns}</dl>
{empty}
<form method="post" action="/ask" class="ask">
<label for="question">Question</label>
<textarea id="question" name="question" rows="3" maxlength="2000" required></textarea>
<button class="primary">Ask</button>
</form>""")


def top_up(waiting: str) -> str:
    return f"""<section id="empty" aria-labelledby="empty-title">
<h2 id="empty-title">Your budget for this app is used up</h2>
<p>“{escape(waiting)}” has not been asked. Raise the limit, and it will be.</p>
<p class="ways">
<a class="primary" href="/auth/top-up" data-tokenite-top-up="window">Top up in a window</a>
<a href="/auth/top-up">Top up with a redirect</a>
</p>
<form id="again" method="post" action="/ask-again">
<input type="hidden" name="limit"><input type="hidden" name="remaining">
</form>
</section>"""


def usd(amount: Decimal) -> str:
    """Dollars as people read them: two places, more for less than a cent."""
    return f"${amount:.2f}" if amount == 0 or amount >= Decimal("0.01") else f"${amount:.6f}"
