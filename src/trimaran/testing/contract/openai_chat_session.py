"""The SDK's client for ``openai.chat``, the suite that checks fill, and what every answer must be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from trimaran.testing.contract.material import call_gist
from trimaran.testing.contract.openai_session import OpenAIClientSession
from trimaran.testing.contract.suite import Suite, expect

__all__ = ["OPENAI_CHAT", "OpenAISession", "streamed", "unary", "user"]


class OpenAISession(OpenAIClientSession):
    """Chat completions."""

    def create(self, **fields: Any) -> Any:
        """One unary chat completion."""
        return self.call(self.client.chat.completions.create, **{"model": self.model, **fields})

    def stream(self, **fields: Any) -> list[Any]:
        """All chunks of a streamed one."""
        return self.collect(self.client.chat.completions.create, **{"model": self.model, "stream": True, **fields})

    def error(self, client: Any = None, **fields: Any) -> tuple[Any, None]:
        """What a failing call raised, as data: class and status, for a 4xx also the code."""
        method = (client or self.client).chat.completions.create
        return self.seen_error(method, **{"model": self.model, "messages": user("Hello"), **fields})


OPENAI_CHAT: Suite[OpenAISession] = Suite("openai.chat")
"""All checks of the dialect."""


def user(text: str) -> list[dict[str, Any]]:
    """A conversation of one message."""
    return [{"role": "user", "content": text}]


def unary(answer: Any) -> tuple[Any, Any]:
    """Gist and whole of a unary answer, checked for what the dialect promises of every one."""
    expect(answer.object == "chat.completion", "object is chat.completion", answer.object)
    expect(len(answer.choices) == 1, "one choice", answer.choices)
    usage = answer.usage
    expect(usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, "total is the sum", usage)
    choice = answer.choices[0]
    gist = {
        "text": choice.message.content,
        "finish": choice.finish_reason,
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
    }
    message = choice.message
    if message.tool_calls:
        gist["tool_calls"] = [call_gist(call.function.name, call.function.arguments) for call in message.tool_calls]
    if message.refusal is not None:
        gist["refusal"] = message.refusal
    if (thought := getattr(message, "reasoning_content", None)) is not None:
        gist["reasoning"] = thought
    if choice.logprobs is not None:
        gist["logprobs"] = _chances(choice.logprobs.content)
    return gist, answer


def _chances(rows: Iterable[Any]) -> list[list[Any]]:
    return [[row.token, row.logprob, [[top.token, top.logprob] for top in row.top_logprobs]] for row in rows]


def streamed(chunks: list[Any]) -> tuple[Any, Any]:
    """The same of a streamed one."""
    expect(len({chunk.id for chunk in chunks}) == 1, "all chunks share one id", [chunk.id for chunk in chunks])
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    expect(choices[0].delta.role == "assistant", "the first delta names the role", choices[0])
    finishes = [choice.finish_reason for choice in choices if choice.finish_reason]
    expect(len(finishes) == 1 and choices[-1].finish_reason, "one finish reason, in the last choice", finishes)
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    gist: dict[str, Any] = {
        "text": "".join(choice.delta.content or "" for choice in choices),
        "finish": finishes[0],
    }
    if deltas := [call for choice in choices for call in choice.delta.tool_calls or ()]:
        gist["tool_calls"] = _joined_calls(deltas)
    if refused := "".join(choice.delta.refusal or "" for choice in choices):
        gist["refusal"] = refused
    if thought := "".join(getattr(choice.delta, "reasoning_content", None) or "" for choice in choices):
        gist["reasoning"] = thought
    if chances := [row for choice in choices if choice.logprobs for row in choice.logprobs.content or ()]:
        gist["logprobs"] = _chances(chances)
    if usages:
        expect(len(usages) == 1 and not chunks[-1].choices, "usage once, in a last chunk without choices", chunks[-1])
        gist |= {"input_tokens": usages[0].prompt_tokens, "output_tokens": usages[0].completion_tokens}
    return gist, chunks


def _joined_calls(deltas: list[Any]) -> list[dict[str, Any]]:
    """Tool calls put together from the deltas of a stream."""
    names: dict[int, str] = {}
    arguments: dict[int, str] = {}
    ids = set()
    for delta in deltas:
        if delta.index not in names:
            expect(
                delta.id and delta.function.name and delta.type == "function", "a call's first delta names it", delta
            )
            names[delta.index] = delta.function.name
            ids.add(delta.id)
        arguments[delta.index] = arguments.get(delta.index, "") + (delta.function.arguments or "")
    expect(sorted(names) == list(range(len(names))) and len(ids) == len(names), "each call has place and id", deltas)
    return [call_gist(names[index], arguments[index]) for index in sorted(names)]
