"""The pages of the device flow: plain HTML without scripts, readable at the width of a phone."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

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

_STYLE = """
:root { color-scheme: light dark; --ink: #1b2130; --soft: #5a6478; --line: #d5dae3; --paper: #fff;
  --ground: #f2f4f8; --accent: #1f5fd0; --accent-ink: #fff; --bad: #b3261e; --bad-paper: #fdeceb; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ebf2; --soft: #a3adc0; --line: #3a4356; --paper: #1b212d;
  --ground: #11151d; --accent: #7ea9ff; --accent-ink: #0d1420; --bad: #ff9d96; --bad-paper: #3a1f1f; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; background: var(--ground); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  display: flex; flex-direction: column; align-items: center; padding: 1.5rem 1rem; }
header, footer { width: 100%; max-width: 28rem; color: var(--soft); font-size: .875rem; }
header { display: flex; justify-content: space-between; align-items: center; margin-bottom: .75rem; }
header b { color: var(--ink); }
header span { border: 1px solid var(--line); border-radius: 1rem; padding: .1rem .6rem; }
footer { margin-top: .75rem; }
main { width: 100%; max-width: 28rem; background: var(--paper); border: 1px solid var(--line);
  border-radius: .75rem; padding: 1.5rem; overflow-wrap: anywhere; }
h1 { font-size: 1.375rem; line-height: 1.25; margin: 0 0 .75rem; }
p { margin: 0 0 1rem; }
main > :last-child { margin-bottom: 0; }
.code { font: 600 1.75rem/1.2 ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace; letter-spacing: .08em;
  text-align: center; border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; margin: 0 0 1rem; }
.error { color: var(--bad); background: var(--bad-paper); border-radius: .5rem; padding: .625rem .75rem; }
label { display: block; }
.field { font-weight: 600; margin-bottom: .375rem; }
input[type=text] { width: 100%; font: inherit; color: inherit; background: var(--paper);
  border: 1px solid var(--soft); border-radius: .5rem; padding: .625rem .75rem; }
input.user-code { font: 600 1.375rem/1.3 ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace;
  letter-spacing: .08em; text-transform: uppercase; }
::placeholder { color: var(--soft); opacity: .6; font-weight: 400; }
input:focus-visible, button:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
fieldset { border: 1px solid var(--line); border-radius: .5rem; margin: 0 0 1rem; padding: .5rem .75rem .75rem; }
legend { font-weight: 600; padding: 0 .25rem; }
.choice { display: flex; gap: .625rem; align-items: center; padding: .25rem 0; min-height: 2.75rem; }
.choice small { color: var(--soft); display: block; }
ul { margin: 0 0 1rem; padding-left: 1.25rem; }
p:has(+ ul) { margin-bottom: .25rem; }
.buttons { display: flex; gap: .75rem; }
button { flex: 1; font: inherit; font-weight: 600; min-height: 2.75rem; padding: .5rem 1rem; cursor: pointer;
  border-radius: .5rem; border: 1px solid var(--soft); background: transparent; color: inherit; }
button.primary { background: var(--accent); border-color: var(--accent); color: var(--accent-ink); }
form > button { width: 100%; margin-top: 1rem; }
code { font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace; font-size: .9em; }
"""


def _page(title: str, content: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)} - PymtHouse sandbox</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        "<header><b>PymtHouse</b><span>sandbox</span></header>\n"
        f"<main>\n{content}\n</main>\n"
        "<footer>A local stand-in for testing. No account and no money is involved.</footer>\n"
        "</body>\n</html>\n"
    )


def _alert(error: str | None) -> str:
    return f'<p class="error" role="alert" id="error">{escape(error)}</p>\n' if error else ""


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
        f"{_alert(error)}"
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
        f"{wants}{_alert(error)}"
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
