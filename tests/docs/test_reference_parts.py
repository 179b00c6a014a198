"""What makes the API reference: Markdown of docstrings, flows shown as calls, constructors of attrs classes."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import cast

import griffe
import pytest
from markdown import Markdown

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from scripts.docs import overlay_pages  # noqa: E402
from scripts.docs.extension import Project  # noqa: E402
from scripts.docs.lists import Lists  # noqa: E402
from scripts.docs.pages import Page, Section, cell, first_sentence, plain, table  # noqa: E402


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("Text:\n* one\n* two", 2),
        ("Text:\n\n* one\n  goes on\n* two\n\nText", 2),
        ("Text:\n1. one\n2. two", 2),
        ("A product of 2 * 3\nand 4 *5* 6", 0),
        ("```\nText:\n* no item\n```", 0),
    ],
)
def test_a_list_may_begin_right_below_a_paragraph(text: str, items: int) -> None:
    html = Markdown(extensions=["pymdownx.superfences", Lists()]).convert(text)
    assert html.count("<li>") == items
    assert html.count("<ol>") + html.count("<ul>") == bool(items)


def test_angle_brackets_are_text_and_code_stays_code() -> None:
    assert plain("Bearer <token>, `<b>` and ``a`<c>``") == "Bearer &lt;token>, `<b>` and ``a`<c>``"


def test_a_cell_is_one_line_and_bars_end_it_not() -> None:
    assert cell("one | two\n`int | None` <x>") == r"one \| two `int | None` &lt;x>"
    html = Markdown(extensions=["tables"]).convert(
        "\n".join(table(("a", "b"), [(cell("x | y"), cell("`int | None`"))]))
    )
    assert "<td>x | y</td>" in html
    assert "<td><code>int | None</code></td>" in html


def test_the_first_sentence() -> None:
    assert first_sentence("Of v1.5 things,\nthe first. The second.\n\nMore.") == "Of v1.5 things, the first."
    assert first_sentence("No end") == "No end"


def test_sections_give_navigation_and_files() -> None:
    inner = Section("in", (Page("b", "x/b.md", "# b"),))
    outer = Section("out", (Page("a", "x/a.md", "# a"), inner))
    assert outer.nav() == {"out": [{"a": "x/a.md"}, {"in": [{"b": "x/b.md"}]}]}
    assert list(outer.files()) == [("x/a.md", "# a"), ("x/b.md", "# b")]


@pytest.fixture
def package(tmp_path: Path) -> griffe.Module:
    home = tmp_path / "toy"
    home.mkdir()
    (home / "__init__.py").write_text(
        textwrap.dedent('''
            """A package."""
            from typing import ClassVar
            import attrs
            from tollkit.core.flows import Flow, flow
            from tollkit.core.paging import Page, paged
            from tollkit.run402.namespaces.scoped import of_project
            from elsewhere import away

            __all__ = ["Client", "Pair", "away", "FIRST", "SECOND"]
            FIRST, SECOND = 1, 2

            class Client:
                """A client."""
                @flow
                def one(self) -> Flow[dict[str, int]]:
                    """One."""
                @paged
                def many(self) -> Flow[Page[int]]:
                    """Many."""
                def plain(self) -> list[int]:
                    """Plain."""
                short = of_project(Projects[Any].sql)

            @attrs.frozen
            class Base:
                """A base."""
                first: int
                _second: str = attrs.field(default="x", kw_only=True)
                counted: ClassVar[int] = 0

            @attrs.define(kw_only=True)
            class Pair(Base):
                """A pair."""
                rows: list[int] = attrs.field(factory=list)
                kept: int = attrs.field(init=False, default=1)
            ''')
    )
    extensions = griffe.load_extensions(Project())
    return cast("griffe.Module", griffe.load("toy", search_paths=[tmp_path], extensions=extensions))


def test_a_flow_is_shown_as_a_call(package: griffe.Module) -> None:
    assert str(package["Client.one"].returns) == "dict[str, int]"
    assert str(package["Client.many"].returns) == "Page[int]"
    assert str(package["Client.plain"].returns) == "list[int]"
    assert package["Client.short"].docstring.value == "`Projects.sql`, with the client's project filled in."


def test_an_attrs_class_has_the_constructor_that_attrs_writes(package: griffe.Module) -> None:
    made = [
        (one.name, str(one.annotation), one.default, str(one.kind)) for one in package["Pair.__init__"].parameters
    ]
    assert made[1:] == [
        ("first", "int", None, "positional or keyword"),
        ("second", "str", "'x'", "keyword-only"),
        ("rows", "list[int]", "[]", "keyword-only"),
    ]


def test_a_page_has_own_names_and_those_that_are_handed_on(package: griffe.Module) -> None:
    text = overlay_pages.module_text(package)
    assert "::: toy.Client\n" in text
    assert '<a id="toy.away"></a>[`away`][elsewhere.away]' in text
    assert '<a id="toy.SECOND"></a>`SECOND`' in text


def test_a_name_that_is_nowhere_is_a_mistake(package: griffe.Module) -> None:
    assert package.exports is not None
    package.exports.append("NOWHERE")
    with pytest.raises(LookupError, match="names NOWHERE"):
        overlay_pages.module_text(package)
