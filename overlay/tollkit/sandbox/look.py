"""The look that the pages of all platforms share: one stylesheet, one frame around the content, no assets."""

from __future__ import annotations

from html import escape

__all__ = ["alert", "page"]

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
input[type=text], input[type=email] { width: 100%; font: inherit; color: inherit; background: var(--paper);
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
.note { color: var(--soft); font-size: .875rem; }
.who { display: flex; gap: .75rem; align-items: center; border: 1px solid var(--line); border-radius: .5rem;
  padding: .625rem .75rem; margin: 0 0 1rem; }
.who small { color: var(--soft); display: block; }
.who i { flex: none; width: 2.25rem; height: 2.25rem; border-radius: 50%; background: var(--accent);
  color: var(--accent-ink); display: grid; place-items: center; font-style: normal; font-weight: 600; }
.money { display: flex; align-items: center; gap: .5rem; margin: 0 0 .375rem; }
.money input[type=text] { font-size: 1.25rem; font-variant-numeric: tabular-nums; }
dl { display: grid; grid-template-columns: 1fr auto; gap: .375rem 1rem; margin: 0 0 1rem; }
dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
dt { color: var(--soft); }
form > .buttons { margin-top: 1rem; }
input + .note { margin-top: .375rem; }
button.link { display: block; width: auto; flex: none; margin: .75rem auto -.5rem; padding: .25rem .5rem; border: 0;
  color: var(--accent); font-weight: 400; text-decoration: underline; }
@media (max-height: 40rem) { body { padding: .75rem 1rem; } header { margin-bottom: .5rem; }
  main { padding: 1rem 1.25rem; } p, .who { margin-bottom: .75rem; } }
"""


def page(title: str, content: str, *, brand: str, nonce: str | None = None, script: str = "") -> str:
    """A whole page.

    Args:
        title: What stands in the browser's tab; it is escaped.
        content: HTML of the middle.
        brand: The platform's name.
        nonce: The nonce of the content security policy, for policies that have one.
        script: A script for the end of the page; needs `nonce`.
    """
    attribute = f' nonce="{escape(nonce)}"' if nonce else ""
    scripted = f"<script{attribute}>{script}</script>\n" if script else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)} - {escape(brand)} sandbox</title>\n<style{attribute}>{_STYLE}</style>\n</head>\n"
        f"<body>\n<header><b>{escape(brand)}</b><span>sandbox</span></header>\n"
        f"<main>\n{content}\n</main>\n"
        "<footer>A local stand-in for testing. No account and no money is involved.</footer>\n"
        f"{scripted}</body>\n</html>\n"
    )


def alert(error: str | None) -> str:
    """What was wrong with a form, for the place before it; the field at fault names `error` in `aria-describedby`."""
    return f'<p class="error" role="alert" id="error">{escape(error)}</p>\n' if error else ""
