"""The pages of the device flow: plain HTML without scripts, readable at the width of a phone."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from tollkit.sandbox.look import alert, page

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollkit.sandbox.pymthouse.state import App, AppUser, DeviceCode

__all__ = ["KNOWN_USER", "OTHER_USER", "approval_page", "code_page", "home_page", "message_page"]

KNOWN_USER = "user:"
"""Start of a choice's value that names a listed user; what follows is the external id."""
OTHER_USER = "other"
"""Value of the choice "someone else", for whom an id is typed."""

_SCOPE_TEXTS = {
    "openid": "know who you are",
    "sign:job": "sign jobs that are billed to you",
    "users:read": "see the app's users",
    "users:write": "change the app's users",
    "users:token": "act for the app's users",
}


def _page(title: str, content: str) -> str:
    return page(title, content, brand="PymtHouse")


def home_page(public_client_id: str, issuer_url: str) -> str:
    """What is seen at the root of the server."""
    return _page(
        "Sandbox",
        "<h1>The sandbox is running</h1>\n"
        "<p>It answers as the platform was seen to. Point your client here:</p>\n"
        f"<ul><li>Issuer<br><code>{escape(issuer_url)}</code></li>\n"
        f"<li>Public client<br><code>{escape(public_client_id)}</code></li></ul>\n"
        '<p>A device asked you for a code? <a href="/oidc/device">Enter it here</a>.</p>',
    )


def code_page(csrf: str, *, user_code: str = "", error: str | None = None) -> str:
    """The form for the code that a device shows."""
    described = ' aria-describedby="error" aria-invalid="true"' if error else ""
    return _page(
        "Connect a device",
        "<h1>Connect a device</h1>\n<p>Enter the code that your device shows.</p>\n"
        f"{alert(error)}"
        '<form method="post" action="/oidc/device">\n'
        f'<input type="hidden" name="csrf" value="{escape(csrf)}">\n'
        '<label class="field" for="user_code">Code</label>\n'
        '<input class="user-code" type="text" id="user_code" name="user_code" placeholder="XXXX-XXXX" '
        f'value="{escape(user_code)}" maxlength="32" autocomplete="off" autocapitalize="characters" '
        f'spellcheck="false" required autofocus{described}>\n'
        '<button class="primary" type="submit">Continue</button>\n</form>',
    )


def approval_page(
    csrf: str,
    device: DeviceCode,
    users: Iterable[AppUser],
    *,
    chosen: str | None = None,
    typed: str = "",
    error: str | None = None,
) -> str:
    """The question whether a device may sign in, and as whom.

    Args:
        csrf: Token that the form brings back.
        device: The device code in question.
        users: Users to choose from.
        chosen: Value of the choice that is made already; the first one when left out.
        typed: Id in the field for somebody who is not listed.
        error: What was wrong with the form that was sent.
    """
    app: App = device.app
    choices = [(KNOWN_USER + user.external_user_id, user.external_user_id, _about(user)) for user in users]
    choices.append((OTHER_USER, "Someone else", ""))
    picked = chosen or choices[0][0]
    radios = "".join(_choice(value, text, about, checked=value == picked) for value, text, about in choices)
    other = (
        '<label class="field" for="other_user">Someone else\'s user id</label>\n'
        f'<input type="text" id="other_user" name="other_user" value="{escape(typed)}" maxlength="512" '
        'autocomplete="off" autocapitalize="none" spellcheck="false">\n'
    )
    scopes = "".join(f"<li>{escape(_SCOPE_TEXTS.get(scope, scope))}</li>" for scope in device.scopes)
    wants = f"<p>It will be able to:</p>\n<ul>{scopes}</ul>\n" if scopes else ""
    return _page(
        f"Approve {app.name}",
        f"<h1>{escape(app.name)} wants to sign you in on a device</h1>\n"
        "<p>Go on only if your device shows this code:</p>\n"
        f'<p class="code">{escape(device.shown)}</p>\n'
        f"{wants}{alert(error)}"
        '<form method="post" action="/oidc/device/decision">\n'
        f'<input type="hidden" name="csrf" value="{escape(csrf)}">\n'
        f'<input type="hidden" name="user_code" value="{escape(device.shown)}">\n'
        f"<fieldset><legend>Sign in as</legend>\n{radios}{other}</fieldset>\n"
        # The first button is the one that the Enter key presses.
        '<div class="buttons"><button class="primary" type="submit" name="action" value="approve">Approve</button>'
        '<button type="submit" name="action" value="deny">Deny</button></div>\n</form>',
    )


def _about(user: AppUser) -> str:
    email = "" if user.email == user.external_user_id else user.email or ""
    parts = [email, "" if user.status == "active" else user.status]
    return ", ".join(part for part in parts if part)


def _choice(value: str, text: str, about: str, *, checked: bool) -> str:
    small = f"<small>{escape(about)}</small>" if about else ""
    return (
        f'<label class="choice"><input type="radio" name="user" '
        f'value="{escape(value)}"{" checked" if checked else ""}>'
        f"<span>{escape(text)}{small}</span></label>\n"
    )


def message_page(title: str, *sentences: str) -> str:
    """A page that only says something."""
    return _page(title, f"<h1>{escape(title)}</h1>\n" + "\n".join(f"<p>{escape(text)}</p>" for text in sentences))
