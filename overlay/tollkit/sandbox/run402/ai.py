"""Translation, moderation and images, each made up by rules that a reader of a test can foresee.

Source: Run402 1.57, `/ai/v1` and `POST /generate-image/v1`.
"""

from __future__ import annotations

import base64
import hashlib
import re
import struct
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tollkit.sandbox.run402.calls import Call, GatewayError
from tollkit.sandbox.run402.parts import Answer, Operation, OperationGroup, one_of

if TYPE_CHECKING:
    from tollkit.sandbox.run402.gateway import Project

__all__ = ["CATEGORIES", "IMAGE_PRICE", "AiRoutes", "png"]

IMAGE_PRICE = 30_000
"""Micro-dollars for an image, unless a test sets another price for `image`."""
INCLUDED_WORDS = 10_000
"""Words that a project may translate in a month, unless a test wants something else."""
ASPECTS = {"square": (16, 16), "landscape": (32, 18), "portrait": (18, 32)}
"""Width and height of an image in pixels, by its aspect."""
CATEGORIES: dict[str, tuple[str, ...]] = {
    "harassment": ("idiot", "loser"),
    "hate": ("hate", "vermin"),
    "self-harm": ("suicide",),
    "sexual": ("porn",),
    "violence": ("kill", "murder", "stab"),
}
"""Words by which a text falls into a category."""
_SURE, _UNLIKELY = 0.98, 0.01
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")


class AiRoutes(OperationGroup):
    """The routes of AI, with levers for tests."""

    schema = """
    CREATE TABLE translation_packs (
        project_id TEXT PRIMARY KEY,
        included_words INTEGER NOT NULL,
        active INTEGER NOT NULL
    );
    CREATE TABLE translations (
        project_id TEXT NOT NULL,
        words INTEGER NOT NULL,
        at REAL NOT NULL
    );
    """

    def _begin(self) -> None:
        super()._begin()
        self._translations: dict[tuple[str, str], str] = {}
        self._flagged: dict[str, str] = {}

    def operations(self) -> Iterable[Operation]:
        """The operations of the group."""
        yield Operation("aiTranslate", "POST", "/ai/v1/translate", self._translate, (200, 201, 202))
        yield Operation("aiModerate", "POST", "/ai/v1/moderate", self._moderate, (200, 201, 202))
        yield Operation("aiUsage", "GET", "/ai/v1/usage", self._usage, (200,))
        yield Operation("aiGenerateImage", "POST", "/generate-image/v1", self._generate_image, (200, 201, 202))

    # ---------------------------------------------------------------- levers

    def set_pack(self, project_id: str, included_words: int = INCLUDED_WORDS, *, active: bool = True) -> None:
        """Set how many words a project may translate in a month, and whether it may translate at all."""
        with self._gateway.lock:
            self._db.execute(
                "INSERT OR REPLACE INTO translation_packs (project_id, included_words, active) VALUES (?, ?, ?)",
                (project_id, included_words, active),
            )

    def translate_as(self, text: str, to: str, result: str) -> None:
        """Script the translation of a text; others are the text itself with the language in front."""
        with self._gateway.lock:
            self._translations[text, to] = result

    def flag(self, text: str, category: str) -> None:
        """Let texts that contain this one, in any capitals, fall into a category.

        Raises:
            ValueError: There is no such category.
        """
        if category not in CATEGORIES:
            raise ValueError(f"no category {category!r}; there are {', '.join(CATEGORIES)}")
        with self._gateway.lock:
            self._flagged[text.lower()] = category

    # ---------------------------------------------------------------- routes

    def _translate(self, call: Call) -> Any:
        project = self._gateway.by_service_key(call.request)
        text, to = call.required("text"), _language(call, "to")
        source = _language(call, "from") if call.body.get("from") is not None else "en"
        call.text("context", required=False)
        words, usage = len(text.split()), self._used(project)
        if not usage["active"]:
            raise GatewayError(402, "TRANSLATION_NOT_ACTIVE", "The project has no translation pack")
        if words > usage["remaining_words"]:
            raise GatewayError(
                402,
                "QUOTA_EXCEEDED",
                "The project's words of this month are used up",
                details={"requested_words": words, "remaining_words": usage["remaining_words"]},
            )
        self._db.execute(
            "INSERT INTO translations (project_id, words, at) VALUES (?, ?, ?)", (project.id, words, self._now())
        )
        return {"text": self._translations.get((text, to), f"[{to}] {text}"), "from": source, "to": to}

    def _moderate(self, call: Call) -> Any:
        self._gateway.by_service_key(call.request)
        text = call.required("text").lower()
        words = set(re.findall(r"\w+", text))
        found = {category for category, bad in CATEGORIES.items() if words & set(bad)}
        found |= {category for part, category in self._flagged.items() if part in text}
        return {
            "flagged": bool(found),
            "categories": {category: category in found for category in CATEGORIES},
            "category_scores": {category: _SURE if category in found else _UNLIKELY for category in CATEGORIES},
        }

    def _usage(self, call: Call) -> Any:
        return {"translation": self._used(self._gateway.by_service_key(call.request))}

    def _used(self, project: Project) -> dict[str, Any]:
        month = datetime.fromtimestamp(self._now(), UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        row = self._db.execute("SELECT * FROM translation_packs WHERE project_id = ?", (project.id,)).fetchone()
        included, active = (row["included_words"], bool(row["active"])) if row else (INCLUDED_WORDS, True)
        used: int = self._db.execute(
            "SELECT ifnull(sum(words), 0) AS words FROM translations WHERE project_id = ? AND at >= ?",
            (project.id, month.timestamp()),
        ).fetchone()["words"]
        return {
            "active": active,
            "used_words": used,
            "included_words": included,
            "remaining_words": max(0, included - used),
            "billing_cycle_start": self._time(month.timestamp()),
        }

    def _generate_image(self, call: Call) -> Answer:
        self._gateway.wallet(call.request)
        prompt, aspect = call.required("prompt"), one_of(call, "aspect", ASPECTS)
        headers = self._gateway.pay(call.request, IMAGE_PRICE, "image")
        image = png(*ASPECTS[aspect], seed=prompt)
        told = {"image": base64.b64encode(image).decode("ascii"), "content_type": "image/png", "aspect": aspect}
        return Answer(told, headers=headers)


def _language(call: Call, name: str) -> str:
    language = call.required(name)
    if _LANGUAGE.fullmatch(language) is None:
        raise GatewayError(400, "VALIDATION_ERROR", f"{name} must be a language such as de", details={"field": name})
    return language


def png(width: int, height: int, *, seed: str) -> bytes:
    """A PNG image of one colour, which the seed chooses.

    Args:
        width: In pixels.
        height: In pixels.
        seed: The same seed gives the same image.
    """
    colour = hashlib.sha256(seed.encode("utf-8", "replace")).digest()[:3]
    rows = (b"\x00" + colour * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(*each) for each in ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
