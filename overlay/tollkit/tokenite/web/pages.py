"""The few pages that the web part shows itself: plain HTML, no script, readable at the width of a phone."""

from __future__ import annotations

import base64
import hashlib
from html import escape

__all__ = ["HEADERS", "page"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1b2130; --paper: #fff; --ground: #f2f4f8; --line: #d5dae3;
  --accent: #1f5fd0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ebf2; --paper: #1b212d; --ground: #11151d; --line: #3a4356; --accent: #7ea9ff; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; padding: 1.5rem 1rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  display: flex; flex-direction: column; align-items: center; justify-content: center; }
main { width: 100%; max-width: 28rem; padding: 1.5rem; background: var(--paper); border: 1px solid var(--line);
  border-radius: .75rem; overflow-wrap: anywhere; }
h1 { font-size: 1.375rem; line-height: 1.25; margin: 0 0 .75rem; }
p { margin: 0 0 1rem; }
main > :last-child { margin-bottom: 0; }
a { color: var(--accent); display: inline-block; padding: .5rem 1rem .5rem 0; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'self'"
    ),
}
"""Headers of these pages; nobody else may frame them."""


def page(title: str, *sentences: str, links: tuple[tuple[str, str], ...] = ()) -> bytes:
    """A page that says something.

    Args:
        title: The heading; like all that follows, text and not HTML.
        sentences: A paragraph each.
        links: Address and text of what can be done next.
    """
    told = "".join(f"<p>{escape(text)}</p>\n" for text in sentences if text)
    ways = "".join(f'<a href="{escape(address)}">{escape(text)}</a>\n' for address, text in links)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n{told}{f'<p>{ways}</p>' if ways else ''}\n</main>\n</body>\n</html>\n"
    ).encode()
