"""The SDK's client for ``anthropic.messages``, the suite that checks fill, and what every answer must be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trimaran.testing.contract.boto_session import SECRET_KEY
from trimaran.testing.contract.material import call_gist, decoded
from trimaran.testing.contract.suite import Session, Suite, expect

__all__ = ["ANTHROPIC_MESSAGES", "AnthropicBedrockSession", "AnthropicSession", "streamed", "unary", "user"]


class AnthropicSession(Session):
    """An ``anthropic`` client. ``base_url`` has no ``/v1``; the SDK's own retries are off.

    ``options`` go to the SDK's client, such as ``default_headers``.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        model: str = "claude-haiku-4-5-20251001",
        asynchronous: bool = False,
        rename: Callable[[str], str] = str,
        **options: Any,
    ) -> None:
        import anthropic

        build = anthropic.AsyncAnthropic if asynchronous else anthropic.Anthropic
        options = {"base_url": base_url, "api_key": key, "max_retries": 0, "timeout": 20.0, **options}
        super().__init__(build, model=model, asynchronous=asynchronous, rename=rename, **options)

    def create(self, **fields: Any) -> Any:
        """One unary message."""
        return self.call(self.client.messages.create, **{"model": self.model, "max_tokens": 200, **fields})

    def stream(self, **fields: Any) -> list[Any]:
        """All raw events of a streamed one."""
        fields = {"model": self.model, "max_tokens": 200, "stream": True, **fields}
        return self.collect(self.client.messages.create, **fields)

    def error(self, client: Any = None, **fields: Any) -> tuple[Any, None]:
        """What a failing call raised, as data: for a 4xx class, status and type; for a 5xx only that."""
        method = (client or self.client).messages.create
        error = self.failure(method, **{"model": self.model, "max_tokens": 200, "messages": user("Hello"), **fields})
        status = getattr(error, "status_code", None)
        if status is None:
            return {"class": type(error).__name__}, None
        if status >= 500:
            return {"class": "5xx"}, None
        return {"class": type(error).__name__, "status": status, "type": getattr(error, "type", None)}, None


class AnthropicBedrockSession(AnthropicSession):
    """The same SDK's client for Bedrock, which asks InvokeModel and signs its requests. ``key`` is an access key id."""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        model: str = "claude-haiku-4-5-20251001",
        asynchronous: bool = False,
        rename: Callable[[str], str] = str,
        **options: Any,
    ) -> None:
        import anthropic

        build = anthropic.AsyncAnthropicBedrock if asynchronous else anthropic.AnthropicBedrock
        options = {
            "base_url": base_url,
            "aws_access_key": key,
            "aws_secret_key": SECRET_KEY,
            "aws_region": "us-east-1",
            "max_retries": 0,
            "timeout": 20.0,
            **options,
        }
        Session.__init__(self, build, model=model, asynchronous=asynchronous, rename=rename, **options)

    def stream(self, **fields: Any) -> list[Any]:
        """All raw events, without the metrics that Bedrock adds to the last one."""
        events = super().stream(**fields)
        for event in events:
            (event.model_extra or {}).pop("amazon-bedrock-invocationMetrics", None)
        return events

    def borrowed(self, **changes: Any) -> Any:
        if "api_key" in changes:
            changes["aws_access_key"] = changes.pop("api_key")
        return super().borrowed(**changes)


ANTHROPIC_MESSAGES: Suite[AnthropicSession] = Suite("anthropic.messages")
"""All checks of the dialect."""


def user(text: str) -> list[dict[str, Any]]:
    """A conversation of one message."""
    return [{"role": "user", "content": text}]


def unary(answer: Any) -> tuple[Any, Any]:
    """Gist and whole of a unary answer, checked for what the dialect promises of every one."""
    expect(answer.type == "message" and answer.role == "assistant", "a message of the assistant", answer)
    gist = _gist(answer.content, answer) | {
        "input_tokens": _input_tokens(answer.usage),
        "output_tokens": answer.usage.output_tokens,
    }
    return gist, answer


def _gist(blocks: list[Any], ending: Any) -> dict[str, Any]:
    """Text, calls and reasoning of content blocks; ``ending`` has the stop reason."""
    gist: dict[str, Any] = {
        "text": "".join(block.text for block in blocks if block.type == "text"),
        "finish": ending.stop_reason,
    }
    if calls := [call_gist(block.name, block.input) for block in blocks if block.type == "tool_use"]:
        gist["tool_calls"] = calls
    if thoughts := [block for block in blocks if block.type == "thinking"]:
        expect(all(block.signature for block in thoughts), "thinking is signed", thoughts)
        gist["reasoning"] = "".join(block.thinking for block in thoughts)
    if ending.stop_details is not None:
        gist["refusal"] = ending.stop_details.explanation
    return gist


def streamed(events: list[Any]) -> tuple[Any, Any]:
    """The same of a streamed one."""
    kinds = [event.type for event in events]
    expect(kinds[0] == "message_start" and kinds[-1] == "message_stop", "start and stop", kinds)
    expect(kinds.count("message_start") == kinds.count("message_stop") == 1, "one start, one stop", kinds)
    starts, stops = kinds.count("content_block_start"), kinds.count("content_block_stop")
    expect(starts == stops, "each block starts and stops", kinds)
    deltas = [event for event in events if event.type == "message_delta"]
    expect(deltas and deltas[-1].delta.stop_reason, "a stop reason", deltas)
    gist = _gist(_blocks(events), deltas[-1].delta) | {
        # Usage is cumulative, so the last event to state the input is right; who translates learns it only at the end.
        "input_tokens": max(_input_tokens(events[0].message.usage), _input_tokens(deltas[-1].usage)),
        "output_tokens": deltas[-1].usage.output_tokens,
    }
    return gist, events


def _blocks(events: list[Any]) -> list[Any]:
    """The content blocks of a stream, put together."""
    blocks: list[Any] = []
    partial: dict[int, str] = {}
    for event in events:
        if event.type == "content_block_start":
            expect(event.index == len(blocks), "blocks are numbered in order", event)
            blocks.append(event.content_block.model_copy(deep=True))
        elif event.type == "content_block_delta":
            block, delta = blocks[event.index], event.delta
            if delta.type == "text_delta":
                block.text += delta.text
            elif delta.type == "thinking_delta":
                block.thinking += delta.thinking
            elif delta.type == "signature_delta":
                block.signature = delta.signature
            elif delta.type == "input_json_delta":
                partial[event.index] = partial.get(event.index, "") + delta.partial_json
    for index, text in partial.items():
        blocks[index].input = decoded(text)
    return blocks


def _input_tokens(usage: Any) -> int:
    return int(
        (usage.input_tokens or 0) + (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)
    )
