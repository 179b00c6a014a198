"""The page on errors tells every code and every kind that the overlay gives, and no other."""

from __future__ import annotations

import fnmatch
import re
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from scripts.docs import error_codes  # noqa: E402

PAGE = (ROOT / "docs" / "guide" / "errors.md").read_text("utf-8")


SOURCE = error_codes.Source(ROOT)
GIVEN = SOURCE.codes()


def told(heading: str, column: int) -> set[str]:
    """The words in backticks of a column of the tables below a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| ") and "---" not in line]
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row[column])}


def test_every_code_of_the_overlay_is_on_the_page() -> None:
    on_page = told("Codes", 0)
    missing = {code: sorted(files) for code, files in GIVEN.items() if not fnmatch.filter(on_page, code)}
    assert not missing, "add them to docs/guide/errors.md"


def test_every_code_of_the_page_is_in_the_overlay() -> None:
    unknown = {code for code in told("Codes", 0) if not any(fnmatch.fnmatchcase(code, one) for one in GIVEN)}
    assert not unknown, "take them from docs/guide/errors.md"


def test_every_row_says_what_a_code_means_and_what_to_do() -> None:
    section = PAGE.partition("\n## Codes\n")[2]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    assert all(len(row) == 3 and row[1].strip() and row[2].strip() for row in rows)


def test_every_kind_is_on_the_page() -> None:
    assert told("One tree", 1) - {"kind"} == SOURCE.kinds()


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    home = tmp_path / "overlay" / "tollkit"
    home.mkdir(parents=True)
    (home / "errors.py").write_text(
        textwrap.dedent('''
            """An overlay that gives its codes in every way that is known."""
            from typing import ClassVar, Literal
            Kind = Literal["of_type_a", "of_type_b"]
            CONSTANT = "of_constant"

            class Base(Exception):
                default_code: ClassVar[str | None] = "of_class"

            def _refused(message, code):
                return Base(message, code=code)

            def word(found):
                return "of_function" if found else None

            def fail(told, code: Kind = "of_default"):
                code = "of_local" if told else "of_other_local"
                raise Base(code=code)

            def all_of_them(x):
                Base(code="of_call"); Base(code=CONSTANT); _refused("text", "of_argument")
                Base(code=f"OF_{x}_PATTERN"); Base(code=None or "of_or"); fail(x, code=Kind); Base(code=word(x))
            ''')
    )
    return tmp_path


def test_the_collector_reads_every_form(overlay: Path) -> None:
    assert set(error_codes.codes(overlay)) == {
        "of_argument", "of_call", "of_class", "of_constant", "of_default", "of_function", "of_local", "of_or",
        "of_other_local", "of_type_a", "of_type_b", "OF_*_PATTERN",
    }  # fmt: skip


def test_the_collector_says_what_it_cannot_read(overlay: Path) -> None:
    (overlay / "overlay" / "tollkit" / "more.py").write_text("def f(answer):\n    return Error(code=answer.word)\n")
    with pytest.raises(LookupError, match=r"more\.py:2: which code is answer\.word\?"):
        error_codes.codes(overlay)


def test_a_new_code_and_one_that_is_gone_are_noticed(overlay: Path) -> None:
    more = overlay / "overlay" / "tollkit" / "more.py"
    before = set(error_codes.codes(overlay))
    more.write_text('raise Error("x", code="brand_new")\n')
    assert set(error_codes.codes(overlay)) - before == {"brand_new"}


def test_no_place_is_excused_that_is_gone() -> None:
    assert SOURCE.excused == set(error_codes.PASSED_ON)
