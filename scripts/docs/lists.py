"""Lists as everybody writes them: right below a paragraph. Python-Markdown wants a blank line there."""

from __future__ import annotations

import re

from markdown import Markdown  # type: ignore[import-untyped]  # its stubs are a package of their own
from markdown.extensions import Extension  # type: ignore[import-untyped]
from markdown.preprocessors import Preprocessor  # type: ignore[import-untyped]

ITEM = re.compile(r"( {0,3})(?:[*+-]|\d+\.) +\S")
AFTER_FENCES = 24
"""Priority: code blocks are put away before (at 25), HTML after (at 20)."""


class _Lists(Preprocessor):  # type: ignore[misc]  # as above
    def run(self, lines: list[str]) -> list[str]:
        """Put a blank line before a list that begins right below a paragraph."""
        found: list[str] = []
        in_list = False
        for line in lines:
            is_item = ITEM.match(line) is not None
            if is_item and not in_list and found and found[-1].strip():
                found.append("")
            # a list goes on until a line that is neither indented nor blank nor an item
            in_list = is_item or (in_list and (not line.strip() or line.startswith(" ")))
            found.append(line)
        return found


class Lists(Extension):  # type: ignore[misc]
    """The extension for `markdown_extensions`."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - Python-Markdown's name
        """Register the preprocessor."""
        md.preprocessors.register(_Lists(md), "lists_below_paragraphs", AFTER_FENCES)
