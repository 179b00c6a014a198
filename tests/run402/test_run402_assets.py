"""`AssetRef`: its hashes in the forms of the web, and tags whose values cannot leave their attributes."""

from __future__ import annotations

import base64
import hashlib
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkit import errors as tree
from tollkit.run402 import AssetRef, CdnState
from tollkit.run402.assets import blob_content_type
from tollkit.run402.errors import LocalError
from tollkit_api.run402.v1_57.models import StoredBlob

VECTORS = json.loads((Path(__file__).parent / "data" / "blobs-1.57.0.json").read_text())
SHA = hashlib.sha256(b"hello").hexdigest()
DIGEST = base64.b64encode(hashlib.sha256(b"hello").digest()).decode()
STORED: dict[str, Any] = {
    "key": "app.js",
    "size_bytes": 5,
    "sha256": SHA,
    "visibility": "public",
    "content_type": "text/plain",
    "immutable_suffix": "abc",
    "url": "https://app.run402.com/_blob/app.js",
    "immutable_url": "https://app.run402.com/_blob/app-abc.js",
    "cdn_url": "https://cdn.run402.com/app.js",
    "cdn_immutable_url": "https://cdn.run402.com/app-abc.js",
    "cdn": {
        "version": "v9",
        "invalidationId": "inv",
        "invalidationStatus": "InProgress",
        "ready": False,
        "hint": "wait",
    },
}


def ref(**changes: Any) -> AssetRef:
    told = {name: value for name, value in {**STORED, **changes}.items() if value is not ...}
    return AssetRef.of(
        StoredBlob.from_dict(told), key="sent.js", size=7, content_type="text/javascript", visibility="public"
    )


@pytest.mark.parametrize("case", VECTORS["blob_content_types"], ids=lambda case: case["key"])
def test_content_type_vectors(case: dict[str, str]) -> None:
    assert blob_content_type(case["key"]) == case["content_type"]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("png", "image/png"),
        ("a/b.c/JSON", "application/octet-stream"),
        ("a.b/css", "application/octet-stream"),
        ("dir.png/x.CSS", "text/css"),
        ("archive.tar.tgz", "application/gzip"),
        ("x.webp", "image/webp"),
        ("x.gif", "image/gif"),
        ("x.json", "application/json"),
        ("x.pdf", "application/pdf"),
        ("x.zip", "application/zip"),
        ("x.jpg", "image/jpeg"),
        ("x.", "application/octet-stream"),
        (".css", "text/css"),
    ],
)
def test_the_type_is_that_of_what_stands_after_the_last_dot(key: str, expected: str) -> None:
    assert blob_content_type(key) == expected


@pytest.mark.parametrize("case", VECTORS["sha256"], ids=lambda case: case["utf8"])
def test_hash_vectors(case: dict[str, Any]) -> None:
    sha256 = hashlib.sha256(case["utf8"].encode()).hexdigest()
    assert sha256 == case["sha256_hex"]
    made = ref(sha256=sha256)
    assert (made.etag, made.sri, made.content_digest) == (case["etag"], case["sri"], case["content_digest"])


def test_of_a_whole_answer() -> None:
    made = ref()
    assert made == AssetRef(
        key="app.js",
        size_bytes=5,
        sha256=SHA,
        visibility="public",
        url=STORED["url"],
        immutable_url=STORED["immutable_url"],
        content_type="text/javascript",
        cdn_url=STORED["cdn_immutable_url"],
        cdn_mutable_url=STORED["cdn_url"],
        cdn=CdnState(version="v9", invalidation_id="inv", invalidation_status="InProgress", ready=False, hint="wait"),
    )
    assert made.to_dict() == {
        **{name: STORED[name] for name in ("key", "size_bytes", "sha256", "visibility", "url", "immutable_url")},
        "size": 5,
        "contentSha256": SHA,
        "contentType": "text/javascript",
        "immutableUrl": STORED["immutable_url"],
        "cdnUrl": STORED["cdn_immutable_url"],
        "cdnMutableUrl": STORED["cdn_url"],
        "etag": f'"sha256-{SHA}"',
        "sri": f"sha256-{DIGEST}",
        "contentDigest": f"sha-256=:{DIGEST}:",
        "cacheKind": "immutable",
        "cdn": STORED["cdn"],
    }


@pytest.mark.parametrize("absent", [None, ...])
def test_what_the_answer_lacks(absent: Any) -> None:
    names = ["key", "size_bytes", "sha256", "visibility", "immutable_url", "cdn_url", "cdn_immutable_url", "cdn"]
    made = ref(**dict.fromkeys(names, absent))
    assert (made.key, made.size, made.visibility) == ("sent.js", 7, "public")
    assert (made.etag, made.sri, made.content_digest, made.cdn_url, made.cdn_mutable_url) == (None,) * 5
    assert made.cache_kind == "mutable"
    assert (made.cdn.version, made.cdn.ready, made.cdn.invalidation_id) == ("blob-gateway-v2", False, None)
    assert "wait_for_cdn_freshness" in made.cdn.hint


def test_a_cdn_that_tells_nothing() -> None:
    made = ref(cdn=dict.fromkeys(STORED["cdn"]))
    assert made.cdn.version == "blob-gateway-v2"
    assert made.cdn.ready is True
    assert "Use cdnUrl" in made.cdn.hint


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "immutable"),
        ({"visibility": "private"}, "private"),
        ({"immutable_url": None}, "mutable"),
        ({"immutable_url": ""}, "mutable"),
        ({"visibility": "private", "immutable_url": None}, "private"),
    ],
)
def test_cache_kinds(changes: dict[str, Any], expected: str) -> None:
    assert ref(**changes).cache_kind == expected


@pytest.mark.parametrize("sha256", ["", "abc", "zz" * 32, 'a"><script>' + "0" * 53, SHA + "00"])
def test_a_hash_that_is_none_gives_no_integrity(sha256: str) -> None:
    made = ref(sha256=sha256)
    assert (made.etag, made.sri, made.content_digest) == (None, None, None)


# --- tags ----------------------------------------------------------------------------------------------------

U, S = STORED["cdn_immutable_url"], f"sha256-{DIGEST}"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, f'<script src="{U}" defer integrity="{S}" crossorigin></script>'),
        ({"defer": False}, f'<script src="{U}" integrity="{S}" crossorigin></script>'),
        ({"async_": True}, f'<script src="{U}" async integrity="{S}" crossorigin></script>'),
        ({"async_": True, "defer": True}, f'<script src="{U}" async integrity="{S}" crossorigin></script>'),
        ({"type": "module"}, f'<script src="{U}" type="module" defer integrity="{S}" crossorigin></script>'),
        ({"type": "text/javascript"}, f'<script src="{U}" defer integrity="{S}" crossorigin></script>'),
    ],
)
def test_script_tags(options: dict[str, Any], expected: str) -> None:
    assert ref().script_tag(**options) == expected


def test_link_and_image_tags() -> None:
    made = ref()
    assert made.link_tag() == f'<link rel="stylesheet" href="{U}" integrity="{S}" crossorigin>'
    assert made.link_tag(rel="preload", as_="script") == (
        f'<link rel="preload" href="{U}" as="script" integrity="{S}" crossorigin>'
    )
    assert made.img_tag() == f'<img src="{U}" alt="" loading="lazy" decoding="async">'
    assert made.img_tag('a & b\'s "<x>"') == (
        f'<img src="{U}" alt="a &amp; b\'s &quot;&lt;x&gt;&quot;" loading="lazy" decoding="async">'
    )


@pytest.mark.parametrize("changes", [{"cdn_immutable_url": None}, {"cdn_immutable_url": ""}, {"sha256": None}])
@pytest.mark.parametrize("tag", ["script_tag", "link_tag", "img_tag"])
def test_no_tag_without_an_address_that_stays(tag: str, changes: dict[str, Any]) -> None:
    with pytest.raises(LocalError) as caught:
        getattr(ref(**changes), tag)()
    assert "immutable=True" in (caught.value.hint or "")
    assert caught.value.doing == "making an HTML tag"


@pytest.mark.parametrize(
    ("tag", "options", "name"),
    [("link_tag", {"rel": None}, "rel"), ("link_tag", {"as_": 5}, "as_"), ("img_tag", {"alt": None}, "alt")],
)
def test_an_option_that_is_no_text_is_refused(tag: str, options: dict[str, Any], name: str) -> None:
    with pytest.raises(tree.ArgumentError) as caught:
        getattr(ref(), tag)(**options)
    assert caught.value.argument == name
    assert isinstance(caught.value, LocalError)


class Parsed(HTMLParser):
    """What a page has when a tag stands between two marks."""

    def __init__(self, tag: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(f"<b>{tag}</b>")
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(rest=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\\")), value=st.text())
def test_nothing_leaves_its_attribute(rest: str, value: str) -> None:
    url = f"https://cdn.example/{rest}"
    made = ref(cdn_immutable_url=url)
    script, link, image = Parsed(made.script_tag()), Parsed(made.link_tag(rel=value, as_=value or None)), None
    image = Parsed(made.img_tag(value))
    for page, names in (
        (script, {"src", "defer", "integrity", "crossorigin"}),
        (link, {"rel", "href", "integrity", "crossorigin"} | ({"as"} if value else set())),
        (image, {"src", "alt", "loading", "decoding"}),
    ):
        assert page.tags[0][0] == "b"
        assert len(page.tags) == 2
        assert set(page.tags[1][1]) == names
        assert page.text == ""
    assert script.tags[1][1]["src"] == url
    assert (link.tags[1][1]["rel"], link.tags[1][1]["href"]) == (value, url)
    assert (image.tags[1][1]["alt"], image.tags[1][1]["src"]) == (value, url)
