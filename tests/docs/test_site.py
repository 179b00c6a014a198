"""The site: built without a warning, complete, and without a broken link or anything from another host."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest

from support.docs_site import ROOT, Site

pytestmark = pytest.mark.timeout(600)

ID = re.compile(r"""\s(?:id|name)=(?:"([^"]*)"|'([^']*)'|([^\s>"']+))""")
LINK = re.compile(r"""<(\w+)[^>]*?\s(?:href|src)=(?:"([^"]*)"|'([^']*)'|([^\s>"']+))""")
"""An element with an address. (mkdocs writes one address an element.)"""
KNOWN = """
    a article aside b body br button circle code dd details div dl dt em figcaption footer form g h1 h2 h3 h4 h5 h6
    head header hr html img input kbd label li link main meta nav ol p path pre rect script small span strong style
    summary sup svg table tbody td th thead title tr ul
"""
"""Elements that pages have."""
LOADING = {"script", "link", "img", "iframe", "source", "video", "audio", "object", "embed"}
"""Elements that load what they name."""
ELEMENT = re.compile(r"<([a-zA-Z][\w-]*)")
CANONICAL = re.compile(r'<link rel="?canonical')


def _pick(found: tuple[str, ...]) -> str:
    return unescape(next((part for part in found if part), ""))


@pytest.fixture(scope="module")
def pages(site: Site) -> dict[str, str]:
    return site.pages()


@pytest.fixture(scope="module")
def anchors(pages: dict[str, str]) -> dict[str, set[str]]:
    """The ids of each page."""
    return {path: {_pick(found) for found in ID.findall(html)} for path, html in pages.items()}


def test_it_is_built_without_a_warning(site: Site) -> None:
    assert site.status == 0, site.log[-6000:]
    assert "WARNING" not in site.log


def test_every_page_of_docs_is_in_it(site: Site, pages: dict[str, str]) -> None:
    written = {
        path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in (ROOT / "docs").rglob("*.md")
    }
    assert written <= set(pages)


def test_every_public_name_of_the_overlay_is_in_the_reference(anchors: dict[str, set[str]]) -> None:
    told = {one for path, ids in anchors.items() if path.startswith("reference/tollkit/") for one in ids}
    public = set((ROOT / "scripts" / "public_names.txt").read_text("utf-8").split())
    assert len(public) > 2000
    assert sorted(public - told) == []


@cache
def _pins() -> list[str]:
    homes = sorted((ROOT / "generated" / "tollkit_api").glob("*/*/_provenance.py"))
    return [f"tollkit_api.{home.parent.parent.name}.{home.parent.name}" for home in homes]


def _exported(package: str) -> list[str]:
    home = ROOT / "generated" / Path(*package.split(".")) / "__init__.py"
    [names] = [
        node.value
        for node in ast.parse(home.read_text("utf-8")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    found: list[str] = ast.literal_eval(names)
    return found


def test_every_operation_of_every_pin_is_in_the_reference(anchors: dict[str, set[str]]) -> None:
    told = {one for path, ids in anchors.items() if path.startswith("reference/tollkit_api/") for one in ids}
    operations = {
        f"{pin}.api.{tag}.{operation}"
        for pin in _pins()
        for tag in _exported(f"{pin}.api")
        for operation in _exported(f"{pin}.api.{tag}")
    }
    assert len(operations) > 200
    assert sorted(operations - told) == []


def test_every_model_and_shape_is_in_the_reference(anchors: dict[str, set[str]]) -> None:
    told = {one for path, ids in anchors.items() if path.startswith("reference/tollkit_api/") for one in ids}
    models = {f"{pin}.models.{name}" for pin in _pins() for name in _exported(f"{pin}.models")}
    models |= {f"tollkit_api.shapes.{name}" for name in _exported("tollkit_api.shapes")}
    models |= {f"tollkit_api.runtime.{name}" for name in _exported("tollkit_api.runtime")}
    assert len(models) > 300
    assert sorted(models - told) == []


def test_no_id_is_there_twice_on_a_page(pages: dict[str, str]) -> None:
    ids = re.compile(r'\sid="([^"]+)"')
    twice = {
        path: [one for one, number in Counter(ids.findall(html)).items() if number > 1]
        for path, html in pages.items()
    }
    assert {path: found for path, found in twice.items() if found} == {}


def test_every_link_leads_somewhere(site: Site, pages: dict[str, str], anchors: dict[str, set[str]]) -> None:
    broken: list[str] = []
    checked = 0
    for path, html in pages.items():
        if path == "404.html":
            continue  # its addresses begin at the site's root, wherever that is
        for element, *parts in LINK.findall(html):
            address = urlsplit(_pick(tuple(parts)))
            if address.scheme or address.netloc:
                continue
            checked += 1
            target = urljoin(f"/{path}", unquote(address.path)).lstrip("/") if address.path else path
            target = f"{target}index.html" if target.endswith("/") or not target else target
            fragment = unquote(address.fragment)
            if not (site.folder / target).is_file():
                broken.append(f"{path}: <{element}> {address.geturl()}")
            elif fragment and target in anchors and fragment not in anchors[target]:
                broken.append(f"{path}: no anchor {address.geturl()}")
    assert checked > 10_000
    assert not broken, "\n".join(broken[:40])


def test_nothing_is_loaded_from_another_host(site: Site, pages: dict[str, str]) -> None:
    loaded = [
        f"{path}: <{element}> {address}"
        for path, html in pages.items()
        for element, *parts in LINK.findall(html)
        if element in LOADING and (address := _pick(tuple(parts))) and urlsplit(address).netloc
    ]
    assert not loaded
    styles = [path.read_text("utf-8") for path in site.folder.rglob("*.css")]
    assert styles
    assert not [
        address
        for text in styles
        for address in re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\"']*", text)
    ]


def test_docstrings_make_no_elements_of_their_own(pages: dict[str, str]) -> None:
    """Text such as `Bearer <token>` must not be taken for HTML."""
    strange = {
        f"{path}: <{element}>"
        for path, html in pages.items()
        for element in set(
            ELEMENT.findall(re.sub(r"<script.*?</script>|<style.*?</style>|<!--.*?-->", "", html, flags=re.DOTALL))
        )
        if element not in KNOWN
    }
    assert not strange
