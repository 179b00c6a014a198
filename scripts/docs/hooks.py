"""Hooks of the documentation site: pages of the API reference, made at build time and kept nowhere.

mkdocs calls the functions here by their names (see `hooks:` in mkdocs.yml).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # `mkdocs build` is no module of this project, and does not know where it is

from scripts.docs import generated_pages, overlay_pages  # noqa: E402
from scripts.docs.lists import Lists  # noqa: E402
from scripts.docs.pages import Section  # noqa: E402

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

REFERENCE = "API reference"

_sections: list[Section] = []


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the pages of the reference, and put them into the navigation."""
    _sections[:] = [*overlay_pages.sections(ROOT), *generated_pages.sections(ROOT)]
    nav: list[dict[str, list[Any]]] = cast("Any", config).nav
    [pages] = [entry[REFERENCE] for entry in nav if REFERENCE in entry]
    pages.extend(section.nav() for section in _sections)
    extensions: list[Any] = config.markdown_extensions
    extensions.append(Lists())
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the reference to those of docs/."""
    for section in _sections:
        for path, text in section.files():
            files.append(File.generated(config, path, content=text))
    return files
