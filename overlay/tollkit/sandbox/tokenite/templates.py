"""The pages of consent and top-up: plain HTML, made for a window of 480 pixels and readable on phones and desktops.

Everything that comes from outside passes `html.escape`. Forms carry a transaction, which names what is asked and who
is signed in, so that they work in a frame that gets no cookies.
"""

from __future__ import annotations

import json
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any

from tollkit.sandbox.look import alert, page

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tollkit.sandbox.tokenite.catalog import Provider
    from tollkit.sandbox.tokenite.state import App, Connection, User

__all__ = [
    "account_page",
    "consent_page",
    "dollars",
    "home_page",
    "logo",
    "message_page",
    "outcome_page",
    "plain",
    "sign_in_page",
    "top_up_page",
]

_REPORT = """
const told = JSON.parse(document.getElementById("outcome").textContent);
const listener = window.opener || (window.parent === window ? null : window.parent);
if (listener) listener.postMessage(told.message, told.origin);
else location.replace(told.elsewhere);
"""
_CENT = Decimal("0.01")


def plain(amount: Decimal) -> str:
    """An amount as a person types it: `5`, `2.5`."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def dollars(amount: Decimal) -> str:
    """An amount as a person reads it: `$5.00`, and as many decimals as it takes."""
    text = plain(amount)
    return f"${amount:.2f}" if amount == amount.quantize(_CENT) else f"${text}"


def _page(title: str, content: str, nonce: str, *, script: str = "") -> str:
    return page(title, content, brand="Tokenite", nonce=nonce, script=script)


def _form(action: str, transaction: str, inner: str) -> str:
    return (
        f'<form method="post" action="{escape(action)}">\n'
        f'<input type="hidden" name="transaction" value="{escape(transaction)}">\n{inner}</form>'
    )


def _button(text: str, action: str, kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    # Who cancels or goes elsewhere need not fill in the form.
    free = "" if kind == "primary" else " formnovalidate"
    return f'<button{style} type="submit" name="action" value="{action}"{free}>{escape(text)}</button>'


def _two(first: str, action: str) -> str:
    # The first button is the one that the Enter key presses.
    return f'<div class="buttons">{_button(first, action, "primary")}{_button("Cancel", "cancel")}</div>\n'


def _who(user: User, about: str = "") -> str:
    small = f"<small>{escape(about)}</small>" if about else ""
    return f'<div class="who"><i aria-hidden="true">{escape(user.email[:1].upper())}</i><span>{escape(user.email)}{small}</span></div>\n'  # noqa: E501


def _money(name: str, label: str, value: str, hint: str, error: str | None) -> str:
    described = "error" if error else "hint"
    invalid = ' aria-invalid="true"' if error else ""
    return (
        f'<label class="field" for="{name}">{escape(label)}</label>\n'
        f'<div class="money"><span aria-hidden="true">$</span><input type="text" inputmode="decimal" id="{name}" '
        f'name="{name}" value="{escape(value)}" maxlength="16" autocomplete="off" required '
        f'aria-describedby="{described}"{invalid}></div>\n'
        f'<p class="note" id="hint">{escape(hint)}</p>\n'
    )


def home_page(nonce: str, client_id: str, base_url: str, proxy_base: str) -> str:
    """What is seen at `base_url`."""
    return _page(
        "Sandbox",
        "<h1>The sandbox is running</h1>\n<p>Point your client here:</p>\n"
        f"<ul><li>Dashboard<br><code>{escape(base_url)}</code></li>\n"
        f"<li>Proxy and admin API<br><code>{escape(proxy_base)}</code></li>\n"
        f"<li>Client id<br><code>{escape(client_id)}</code></li></ul>",
        nonce,
    )


def message_page(nonce: str, title: str, *sentences: str) -> str:
    """A page that only says something."""
    text = "\n".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
    return _page(title, f"<h1>{escape(title)}</h1>\n{text}", nonce)


def sign_in_page(nonce: str, transaction: str, app: App, *, email: str, error: str | None = None) -> str:
    """The question who sits there."""
    described = "error" if error else "hint"
    invalid = ' aria-invalid="true"' if error else ""
    return _page(
        "Sign in",
        f"<h1>Sign in to Tokenite</h1>\n<p><b>{escape(app.name)}</b> wants to use your Tokenite wallet.</p>\n"
        + alert(error)
        + _form(
            "sign-in",
            transaction,
            '<label class="field" for="email">E-mail</label>\n'
            f'<input type="email" id="email" name="email" value="{escape(email)}" maxlength="254" '
            f'autocomplete="off" autocapitalize="none" spellcheck="false" required aria-describedby="{described}"{invalid}>\n'  # noqa: E501
            '<p class="note" id="hint">This is a sandbox: any address will do, and there is no password.</p>\n'
            + _two("Continue", "sign-in"),
        ),
        nonce,
    )


def account_page(nonce: str, transaction: str, app: App, user: User, connection: Connection | None) -> str:
    """The "continue as" card."""
    about = (
        f"{dollars(connection.remaining)} of {dollars(connection.budget_limit)} left for {app.name}"
        if connection
        else f"Has not used {app.name} yet"
    )
    keeps = "<p>Your spending limit stays as it is.</p>\n" if connection else ""
    return _page(
        "Choose an account",
        f"<h1>Continue to {escape(app.name)}</h1>\n{_who(user, about)}{keeps}"
        + _form(
            "account",
            transaction,
            _two("Continue", "continue") + _button("Use another account", "other", "link") + "\n",
        ),
        nonce,
    )


def consent_page(
    nonce: str,
    transaction: str,
    app: App,
    user: User,
    providers: Iterable[Provider],
    *,
    budget: str,
    error: str | None = None,
) -> str:
    """The question whether an app may spend, and how much."""
    names = [provider.display_name for provider in providers]
    keys = f"use your keys at {', '.join(names)}" if names else "use the keys that you add (you have none yet)"
    about = f"<p>{escape(app.description)}</p>\n" if app.description else ""
    site = f'<p class="note">{escape(app.website_url)}</p>\n' if app.website_url else ""
    return _page(
        f"Allow {app.name}",
        f"<h1>{escape(app.name)} wants to use your AI wallet</h1>\n{about}{site}{_who(user)}"
        "<p>It will be able to:</p>\n"
        f"<ul><li>see your e-mail address</li><li>{escape(keys)}, up to your limit</li></ul>\n"
        + alert(error)
        + _form(
            "consent",
            transaction,
            _money(
                "budget", "Spending limit", budget, "In US dollars. You can change or revoke it at any time.", error
            )
            + _two("Approve", "approve")
            + _button("Use another account", "other", "link")
            + "\n",
        ),
        nonce,
    )


def top_up_page(
    nonce: str,
    transaction: str,
    app: App,
    user: User,
    connection: Connection,
    *,
    new_limit: str,
    error: str | None = None,
) -> str:
    """The question for a new limit."""
    return _page(
        f"Top up {app.name}",
        f"<h1>Raise the limit for {escape(app.name)}</h1>\n{_who(user)}"
        f"<dl><dt>Limit now</dt><dd>{dollars(connection.budget_limit)}</dd>"
        f"<dt>Spent</dt><dd>{dollars(connection.budget_spent)}</dd>"
        f"<dt>Left</dt><dd>{dollars(connection.remaining)}</dd></dl>\n"
        + alert(error)
        + _form(
            "top-up",
            transaction,
            _money("new_limit", "New limit", new_limit, "In US dollars. Nothing is charged in the sandbox.", error)
            + _two("Set the limit", "confirm")
            + _button("Use another account", "other", "link")
            + "\n",
        ),
        nonce,
    )


def no_grant_page(nonce: str, transaction: str, app: App, user: User) -> str:
    """Said when there is no limit to raise."""
    return _page(
        "No spending limit",
        f"<h1>There is no limit to raise</h1>\n{_who(user)}"
        f"<p>You have not given {escape(app.name)} a spending limit. Sign in there with Tokenite first.</p>\n"
        + _form(
            "top-up",
            transaction,
            f'<div class="buttons">{_button("Go back", "cancel", "primary")}</div>\n'
            + _button("Use another account", "other", "link")
            + "\n",
        ),
        nonce,
    )


def outcome_page(nonce: str, message: Mapping[str, Any], origin: str, elsewhere: str) -> str:
    """The end of a popup or frame: tells whoever opened it; without anybody, goes to `elsewhere`."""
    told = json.dumps({"message": message, "origin": origin, "elsewhere": elsewhere}).replace("<", "\\u003c")
    return _page(
        "Done",
        "<h1>Done</h1>\n<p>You can go back to the app. If this window stays open, close it.</p>\n"
        f'<script type="application/json" id="outcome">{told}</script>',
        nonce,
        script=_REPORT,
    )


def logo(provider: Provider) -> str:
    """A made-up logo: the vendor's initial on its color, or its name."""
    wide = provider.logo_style == "wordmark"
    text = provider.display_name if wide else provider.display_name[0]
    width = 14 * len(text) + 20 if wide else 48
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="48" viewBox="0 0 {width} 48" role="img">'
        f"<title>{escape(provider.display_name)}</title>"
        f'<rect width="{width}" height="48" rx="10" fill="{escape(provider.color)}"/>'
        f'<text x="50%" y="32" text-anchor="middle" font-family="sans-serif" font-size="24" font-weight="600" '
        f'fill="#fff">{escape(text)}</text></svg>'
    )
