"""The vendors behind the sandbox's proxy: Anthropic, OpenAI, Google, xAI and Bedrock in their own forms, scripted.

    answer("anthropic", "POST", "/v1/messages", {}, {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [...]})

What they say and what it counts stands in `script`. They list the models of the sandbox's catalog and take every name
that begins as the vendor's names do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from tollkit.sandbox.tokenite.vendors import anthropic, bedrock, google, openai
from tollkit.sandbox.tokenite.vendors.script import VendorAnswer, json_answer, tokens

__all__ = ["VendorAnswer", "answer", "tokens"]


def answer(provider: str, method: str, path: str, headers: Mapping[str, str], body: Any) -> VendorAnswer:
    """What a vendor answers; a pure function.

    Args:
        provider: `anthropic`, `openai`, `google`, `grok` or `bedrock`; any other answers 404.
        method: `POST`, `GET`, ...
        path: The path below the provider, e.g. `/v1/messages`, with its query where there is one (`?alt=sse`).
        headers: Header fields of the request, in any case.
        body: The body as decoded JSON; `None` when there is none.
    """
    place, _, query = path.partition("?")
    match provider:
        case "anthropic":
            return anthropic.answer(method, place, headers, body)
        case "openai":
            return openai.answer(method, place, body)
        case "grok":
            return openai.answer_grok(method, place, body)
        case "google":
            return google.answer(method, place, dict(parse_qsl(query)), body)
        case "bedrock":
            return bedrock.answer(method, place, body)
        case _:
            return json_answer({"error": {"message": f"No such provider: {provider}"}}, 404, known=False)
