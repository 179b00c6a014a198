"""The vendors' SDKs behind one way to use them, blocking and async; see `test_vendors.py`."""

from __future__ import annotations

import abc
import contextlib
import importlib
import importlib.util
import json
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from support.tokenite import Side
from tollkit.tokenite import anthropic_options, google_options, openai_options

__all__ = ["VENDORS", "Anthropic", "Google", "Said", "Vendor"]


@attrs.frozen
class Said:
    """What an SDK made of an answer."""

    pieces: list[str]
    input_tokens: int
    output_tokens: int
    model: str

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def items(side: Side, stream: Any) -> list[Any]:
    """All items of a stream, blocking or async."""
    if side.name == "blocking":
        return list(stream)

    async def collected() -> list[Any]:
        return [item async for item in stream]

    return side.do(collected())


def first(side: Side, stream: Any) -> Any:
    """The first item of a stream."""
    if side.name == "blocking":
        return next(iter(stream))
    return side.do(anext(aiter(stream)))


class Vendor(abc.ABC):
    """An SDK in front of a provider; the methods are for its own kind of client."""

    module: str
    provider: str
    model: str
    prices: tuple[str, str]
    """Of a million tokens in and out, as the sandbox's catalog has them."""

    def __repr__(self) -> str:
        return self.provider

    @property
    def sdk(self) -> Any:
        """The SDK's module."""
        return importlib.import_module(self.module)

    @property
    def status_error(self) -> type[Exception]:
        """What the SDK raises for an error status."""
        return self.sdk.APIStatusError

    @property
    def time_out(self) -> type[Exception] | tuple[type[Exception], ...]:
        """What the SDK raises when no answer comes in time."""
        return self.sdk.APITimeoutError

    def options(self, client: Any, token: str, **more: Any) -> Any:
        return anthropic_options(client, token, **more)

    @abc.abstractmethod
    def build(self, side: Side, options: Any) -> Any: ...

    def close(self, side: Side, made: Any) -> None:
        side.do(made.close())

    @contextlib.contextmanager
    def opened(self, side: Side, client: Any, token: str, **more: Any) -> Iterator[Any]:
        """The SDK's client, closed afterwards."""
        made = self.build(side, self.options(client, token, **more))
        try:
            yield made
        finally:
            self.close(side, made)

    @abc.abstractmethod
    def begin(self, side: Side, made: Any, prompt: str, **more: Any) -> Any:
        """A stream that has begun."""

    @abc.abstractmethod
    def read(self, events: list[Any]) -> Said:
        """What the events of a stream said."""

    @abc.abstractmethod
    def plain(self, side: Side, made: Any, prompt: str, **more: Any) -> Said: ...

    def stream(self, side: Side, made: Any, prompt: str) -> Said:
        return self.read(items(side, self.begin(side, made, prompt)))

    @abc.abstractmethod
    def use_tool(self, side: Side, made: Any, prompt: str) -> tuple[str, Any]:
        """Name and arguments of the use of the tool `weather`, out of a stream."""


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class Anthropic(Vendor):
    module = "anthropic"
    provider = "anthropic"
    model = "claude-haiku-4-5"
    prices = ("1", "5")

    def build(self, side: Side, options: Any) -> Any:
        return (self.sdk.Anthropic if side.name == "blocking" else self.sdk.AsyncAnthropic)(**options)

    def ask(self, prompt: str) -> dict[str, Any]:
        return {"model": self.model, "max_tokens": 500, "messages": [{"role": "user", "content": prompt}]}

    def plain(self, side: Side, made: Any, prompt: str, **more: Any) -> Said:
        found = side.do(made.messages.create(**self.ask(prompt), **more))
        assert found.stop_reason == "end_turn"
        text = [block.text for block in found.content]
        return Said(text, found.usage.input_tokens, found.usage.output_tokens, found.model)

    def begin(self, side: Side, made: Any, prompt: str, **more: Any) -> Any:
        return side.do(made.messages.create(**self.ask(prompt), stream=True, **more))

    def read(self, events: list[Any]) -> Said:
        kinds = [event.type for event in events]
        begun, ended = events[0].message, events[-2]
        deltas = [event.delta.text for event in events if event.type == "content_block_delta"]
        assert kinds == [
            "message_start",
            "content_block_start",
            *["content_block_delta"] * len(deltas),
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
        assert ended.delta.stop_reason == "end_turn"
        return Said(deltas, begun.usage.input_tokens, ended.usage.output_tokens, begun.model)

    def use_tool(self, side: Side, made: Any, prompt: str) -> tuple[str, Any]:
        tools = [{"name": "weather", "input_schema": SCHEMA}]
        if side.name == "blocking":
            with made.messages.stream(**self.ask(prompt), tools=tools) as stream:
                final = stream.get_final_message()
        else:

            async def last() -> Any:
                async with made.messages.stream(**self.ask(prompt), tools=tools) as stream:
                    return await stream.get_final_message()

            final = side.do(last())
        (use,) = final.content
        assert final.stop_reason == "tool_use"
        return use.name, use.input


class OpenAI(Vendor):
    module = "openai"
    provider = "openai"
    model = "gpt-5-mini"
    prices = ("0.25", "2")

    def options(self, client: Any, token: str, **more: Any) -> Any:
        return openai_options(client, token, provider=self.provider, **more)

    def build(self, side: Side, options: Any) -> Any:
        return (self.sdk.OpenAI if side.name == "blocking" else self.sdk.AsyncOpenAI)(**options)

    def ask(self, prompt: str) -> dict[str, Any]:
        return {"model": self.model, "messages": [{"role": "user", "content": prompt}]}

    def plain(self, side: Side, made: Any, prompt: str, **more: Any) -> Said:
        found = side.do(made.chat.completions.create(**self.ask(prompt), **more))
        (choice,) = found.choices
        assert choice.finish_reason == "stop"
        usage = found.usage
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
        return Said([choice.message.content], usage.prompt_tokens, usage.completion_tokens, found.model)

    def begin(self, side: Side, made: Any, prompt: str, **more: Any) -> Any:
        asked = {**self.ask(prompt), "stream": True, "stream_options": {"include_usage": True}, **more}
        return side.do(made.chat.completions.create(**asked))

    def read(self, events: list[Any]) -> Said:
        *chunks, last = events
        assert last.choices == []
        assert [chunk.usage for chunk in chunks] == [None] * len(chunks)
        assert chunks[0].choices[0].delta.role == "assistant"
        assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
        said = [chunk.choices[0].delta.content for chunk in chunks]
        return Said(
            [text for text in said if text], last.usage.prompt_tokens, last.usage.completion_tokens, last.model
        )

    def use_tool(self, side: Side, made: Any, prompt: str) -> tuple[str, Any]:
        tools = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
        calls = [
            call
            for chunk in items(side, self.begin(side, made, prompt, tools=tools))
            for choice in chunk.choices
            for call in choice.delta.tool_calls or []
        ]
        assert calls[0].id.startswith("call_")
        return calls[0].function.name, json.loads("".join(call.function.arguments for call in calls))


class Grok(OpenAI):
    provider = "grok"
    model = "grok-4"
    prices = ("3", "15")


class Google(Vendor):
    module = "google.genai"
    provider = "google"
    model = "gemini-2.5-flash"
    prices = ("0.3", "2.5")

    @property
    def status_error(self) -> type[Exception]:
        return self.sdk.errors.APIError

    @property
    def time_out(self) -> tuple[type[Exception], ...]:
        """The error of whichever HTTP library the SDK is built on."""
        found = [importlib.import_module(name) for name in ("httpx", "httpx2") if importlib.util.find_spec(name)]
        return (*(library.TimeoutException for library in found), TimeoutError)  # the last of aiohttp

    def options(self, client: Any, token: str, **more: Any) -> Any:
        return google_options(client, token, **more)

    def build(self, side: Side, options: Any) -> Any:
        return self.sdk.Client(**options)

    def close(self, side: Side, made: Any) -> None:
        made.close()
        if side.name == "async":
            side.do(made.aio.aclose())

    def models(self, side: Side, made: Any) -> Any:
        return made.models if side.name == "blocking" else made.aio.models

    def said(self, answers: list[Any]) -> Said:
        usage = answers[-1].usage_metadata
        assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count
        text = [answer.text for answer in answers]
        assert answers[-1].candidates[0].finish_reason == "STOP"
        return Said(text, usage.prompt_token_count, usage.candidates_token_count, answers[-1].model_version)

    def plain(self, side: Side, made: Any, prompt: str, **more: Any) -> Said:
        asked = {"model": self.model, "contents": prompt, **more}
        return self.said([side.do(self.models(side, made).generate_content(**asked))])

    def begin(self, side: Side, made: Any, prompt: str, **more: Any) -> Any:
        asked = {"model": self.model, "contents": prompt, **more}
        return side.do(self.models(side, made).generate_content_stream(**asked))

    def read(self, events: list[Any]) -> Said:
        return self.said(events)

    def use_tool(self, side: Side, made: Any, prompt: str) -> tuple[str, Any]:
        declared = {"name": "weather", "parameters_json_schema": SCHEMA}
        config = {"tools": [{"function_declarations": [declared]}]}
        (found,) = items(side, self.begin(side, made, prompt, config=config))
        (call,) = found.function_calls
        return call.name, call.args


VENDORS = [Anthropic(), OpenAI(), Grok(), Google()]


def needed(vendor: Vendor) -> Vendor:
    """The vendor, if its SDK is installed; otherwise the test is skipped (which CI does not let pass)."""
    pytest.importorskip(vendor.module, reason=f"the SDK {vendor.module} is not installed")
    return vendor
