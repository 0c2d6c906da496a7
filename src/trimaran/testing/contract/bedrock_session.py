"""The SDK's client for ``bedrock.converse``, the suite that checks fill, and what every answer must be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trimaran.testing.contract.boto_session import BotoSession
from trimaran.testing.contract.material import call_gist, decoded
from trimaran.testing.contract.suite import ContractError, Suite, expect

__all__ = ["BEDROCK_CONVERSE", "BedrockSession", "streamed", "unary", "user"]

_BLOCKED = ("content_filtered", "guardrail_intervened")


class BedrockSession(BotoSession):
    """A ``boto3`` client of the Bedrock runtime. ``base_url`` has no path; see
    :class:`~trimaran.testing.contract.boto_session.BotoSession`."""

    service = "bedrock-runtime"

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        model: str = "us.anthropic.claude-haiku-4-5-20251001-v1:0",
        asynchronous: bool = False,
        rename: Callable[[str], str] = str,
        **options: Any,
    ) -> None:
        super().__init__(base_url, key, model=model, asynchronous=asynchronous, rename=rename, **options)

    def converse(self, **fields: Any) -> Any:
        """One unary answer."""
        return self.client.converse(**self._fields(fields))

    def stream(self, *, at_most: int | None = None, **fields: Any) -> list[Any]:
        """All events of a streamed one, or the first so many; then the stream is closed."""
        events: list[Any] = []
        stream = self.client.converse_stream(**self._fields(fields))["stream"]
        try:
            for event in stream:
                events.append(event)
                if len(events) == at_most:
                    break
        finally:
            stream.close()
        return events

    def error(self, client: Any = None, *, stream: bool = False, **fields: Any) -> tuple[Any, None]:
        """What a failing call raised, as data: for a 4xx class, status and code; for a 5xx only that."""
        client = client or self.client
        fields = {"messages": user("Hello"), **fields}
        if (model := fields.pop("model", None)) is not None:
            fields["modelId"] = model
        error = self.failure(client.converse_stream if stream else client.converse, **self._fields(fields))
        answer = getattr(error, "response", None)
        if answer is None:
            return {"class": type(error).__name__}, None
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        if status >= 500:
            return {"class": "5xx"}, None
        return {"class": type(error).__name__, "status": status, "code": answer["Error"]["Code"]}, None

    def broken(self, **fields: Any) -> Exception:
        """The SDK's exception inside a stream; a stream that ends well breaks the contract."""
        try:
            seen = self.stream(**fields)
        except Exception as error:
            return error
        raise ContractError(f"an error was due inside the stream; seen: {seen!r}")

    def _fields(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {"modelId": self.model, **fields}


BEDROCK_CONVERSE: Suite[BedrockSession] = Suite("bedrock.converse")
"""All checks of the dialect."""


def user(text: str) -> list[dict[str, Any]]:
    """A conversation of one message."""
    return [{"role": "user", "content": [{"text": text}]}]


def unary(answer: Any) -> tuple[Any, Any]:
    """Gist and whole of a unary answer, checked for what the dialect promises of every one."""
    message = answer["output"]["message"]
    expect(message["role"] == "assistant", "a message of the assistant", answer)
    expect(answer["metrics"]["latencyMs"] >= 0, "a latency", answer)
    return _gist(message["content"], answer["stopReason"]) | _counts(answer["usage"]), answer


def streamed(events: list[Any]) -> tuple[Any, Any]:
    """The same of a streamed one."""
    kinds = [next(iter(event)) for event in events]
    expect(kinds[0] == "messageStart" and kinds[-1] == "metadata", "start, and metadata at the end", kinds)
    expect(kinds.count("messageStart") == kinds.count("messageStop") == 1, "one start, one stop", kinds)
    expect(kinds[-2] == "messageStop", "the stop reason after all content", kinds)
    metadata = events[-1]["metadata"]
    expect(metadata["metrics"]["latencyMs"] >= 0, "a latency", metadata)
    gist = _gist(_blocks(events), events[-2]["messageStop"]["stopReason"]) | _counts(metadata["usage"])
    return gist, events


def _counts(usage: dict[str, int]) -> dict[str, int]:
    cached = usage.get("cacheReadInputTokens", 0) + usage.get("cacheWriteInputTokens", 0)
    whole = usage["inputTokens"] + cached + usage["outputTokens"]
    expect(usage["totalTokens"] == whole, "the total holds everything", usage)
    return {"input_tokens": usage["inputTokens"] + cached, "output_tokens": usage["outputTokens"]}


def _gist(blocks: list[dict[str, Any]], stop_reason: str) -> dict[str, Any]:
    """Text, calls and reasoning of content blocks."""
    text = "".join(block["text"] for block in blocks if "text" in block)
    gist: dict[str, Any] = {"text": text, "finish": stop_reason}
    if calls := [
        call_gist(block["toolUse"]["name"], block["toolUse"]["input"]) for block in blocks if "toolUse" in block
    ]:
        gist["tool_calls"] = calls
    thoughts = [block["reasoningContent"] for block in blocks if "reasoningContent" in block]
    if shown := [thought["reasoningText"] for thought in thoughts if "reasoningText" in thought]:
        gist["reasoning"] = "".join(thought["text"] for thought in shown)
    if stop_reason in _BLOCKED:
        gist["refusal"] = text
    return gist


def _blocks(events: list[Any]) -> list[dict[str, Any]]:
    """The content blocks of a stream, put together."""
    blocks: dict[int, dict[str, Any]] = {}
    stopped: list[int] = []
    for event in events:
        ((kind, value),) = event.items()
        if kind == "contentBlockStart":
            blocks[value["contentBlockIndex"]] = {"toolUse": {**value["start"]["toolUse"], "input": ""}}
        elif kind == "contentBlockDelta":
            _add(blocks.setdefault(value["contentBlockIndex"], {}), value["delta"])
        elif kind == "contentBlockStop":
            stopped.append(value["contentBlockIndex"])
    expect(stopped == sorted(blocks), "each block stops once, in order", (stopped, blocks))
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = decoded(block["toolUse"]["input"] or "{}")
    return [blocks[index] for index in sorted(blocks)]


def _add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    elif "reasoningContent" in delta:
        _think(block.setdefault("reasoningContent", {}), delta["reasoningContent"])


def _think(thought: dict[str, Any], delta: dict[str, Any]) -> None:
    if "redactedContent" in delta:
        thought["redactedContent"] = thought.get("redactedContent", b"") + delta["redactedContent"]
        return
    shown = thought.setdefault("reasoningText", {"text": ""})
    if "text" in delta:
        shown["text"] += delta["text"]
    if "signature" in delta:
        shown["signature"] = shown.get("signature", "") + delta["signature"]
