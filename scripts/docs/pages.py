"""What both halves of the API reference are made of: pages in sections, and bits of Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs

CODE_SPAN = re.compile(r"(`+)(?:.*?)\1", re.DOTALL)


@attrs.frozen
class Page:
    """A page: what the navigation calls it, where it is below docs/, and its Markdown."""

    title: str
    path: str
    text: str


@attrs.frozen
class Section:
    """Pages, and sections of pages, in the order of the navigation."""

    title: str
    members: tuple[Page | Section, ...]

    def nav(self) -> dict[str, Any]:
        """As an entry of mkdocs' `nav`."""
        return {
            self.title: [
                member.nav() if isinstance(member, Section) else {member.title: member.path}
                for member in self.members
            ]
        }

    def files(self) -> Iterator[tuple[str, str]]:
        """Path and text of every page."""
        for member in self.members:
            if isinstance(member, Section):
                yield from member.files()
            else:
                yield member.path, member.text


def plain(text: str) -> str:
    """Markdown in which nothing is taken for HTML: a `<` outside of code is a less-than sign."""
    return _outside_of_code(text, lambda part: part.replace("<", "&lt;"))


def cell(text: str) -> str:
    """Markdown for one cell of a table. (Within code, a bar ends no cell.)"""
    return _outside_of_code(plain(" ".join(text.split())), lambda part: part.replace("|", "\\|"))


def _outside_of_code(text: str, change: Callable[[str], str]) -> str:
    parts: list[str] = []
    end = 0
    for span in CODE_SPAN.finditer(text):
        parts += [change(text[end : span.start()]), span[0]]
        end = span.end()
    return "".join([*parts, change(text[end:])])


def code(text: str) -> str:
    """A code span; with none for no text."""
    return f"`{' '.join(text.split())}`" if text else ""


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Lines of a table; none when it has no rows. Cells are Markdown already."""
    found = list(rows)
    if not found:
        return []
    lines = [head, tuple("---" for _ in head), *found]
    return ["", *(f"| {' | '.join(line)} |" for line in lines), ""]


def first_sentence(text: str) -> str:
    """The first paragraph's first sentence, for a list of names."""
    paragraph = " ".join(text.strip().partition("\n\n")[0].split())
    sentence = re.match(r".*?[.!?](?=\s|$)", paragraph)
    return sentence[0] if sentence else paragraph
