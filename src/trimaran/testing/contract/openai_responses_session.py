"""The SDK's client for ``openai.responses``, the suite that checks fill, and what every answer must be."""

from __future__ import annotations

from typing import Any

from trimaran.testing.contract.material import call_gist
from trimaran.testing.contract.openai_session import OpenAIClientSession
from trimaran.testing.contract.suite import Suite, expect

__all__ = ["OPENAI_RESPONSES", "ResponsesSession", "message", "streamed", "unary"]

_ENDS = ("response.completed", "response.incomplete", "response.failed")


class ResponsesSession(OpenAIClientSession):
    """Responses, not stored unless a check asks for it."""

    def create(self, **fields: Any) -> Any:
        """One unary response."""
        return self.call(self.client.responses.create, **{"model": self.model, "store": False, **fields})

    def stream(self, **fields: Any) -> list[Any]:
        """All events of a streamed one."""
        fields = {"model": self.model, "store": False, "stream": True, **fields}
        return self.collect(self.client.responses.create, **fields)

    def error(self, client: Any = None, **fields: Any) -> tuple[Any, None]:
        """What a failing call raised, as data: class and status, for a 4xx also the code."""
        method = (client or self.client).responses.create
        return self.seen_error(method, **{"model": self.model, "store": False, "input": "Hello", **fields})


OPENAI_RESPONSES: Suite[ResponsesSession] = Suite("openai.responses")
"""All checks of the dialect."""


def message(role: str, text: str) -> dict[str, Any]:
    """An input message of one text."""
    return {"role": role, "content": text}


def unary(answer: Any) -> tuple[Any, Any]:
    """Gist and whole of a unary answer, checked for what the dialect promises of every one."""
    expect(answer.object == "response" and answer.status in ("completed", "incomplete"), "an ended response", answer)
    usage = answer.usage
    expect(usage.total_tokens == usage.input_tokens + usage.output_tokens, "total is the sum", usage)
    finish = answer.incomplete_details.reason if answer.incomplete_details is not None else answer.status
    gist: dict[str, Any] = {
        "text": answer.output_text,
        "finish": finish,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
    }
    items = answer.output
    if calls := [call_gist(item.name, item.arguments) for item in items if item.type == "function_call"]:
        gist["tool_calls"] = calls
    if thoughts := [_thought(item) for item in items if item.type == "reasoning"]:
        gist["reasoning"] = "".join(thoughts)
    parts = [part for item in items if item.type == "message" for part in item.content]
    if refused := [part.refusal for part in parts if part.type == "refusal"]:
        gist["refusal"] = "".join(refused)
    if chances := [row for part in parts if part.type == "output_text" for row in part.logprobs or ()]:
        gist["logprobs"] = [
            [row.token, row.logprob, [[top.token, top.logprob] for top in row.top_logprobs]] for row in chances
        ]
    return gist, answer


def _thought(item: Any) -> str:
    """The words of a reasoning item: its summary, or, where a model shows its reasoning itself, its content."""
    return "".join(part.text for part in [*item.summary, *(item.content or ())])


def streamed(events: list[Any]) -> tuple[Any, Any]:
    """The same of a streamed one."""
    kinds = [event.type for event in events]
    expect(kinds[:2] == ["response.created", "response.in_progress"], "created, then in progress", kinds[:2])
    expect(kinds[-1] in _ENDS and sum(kind in _ENDS for kind in kinds) == 1, "one end, at the end", kinds)
    numbers = [event.sequence_number for event in events]
    expect(numbers == sorted(set(numbers)), "events are numbered in order", numbers)
    final = events[-1].response
    expect(len({event.response.id for event in events if hasattr(event, "response")}) == 1, "one id", kinds)
    _check_items(events, final)
    return unary(final)[0], events


def _check_items(events: list[Any], final: Any) -> None:
    """Each output item begins once, ends once, and what was streamed is what the final response holds."""
    ended = [event.item for event in events if event.type == "response.output_item.done"]
    added = [event.output_index for event in events if event.type == "response.output_item.added"]
    expect(added == list(range(len(final.output))), "items begin in order", added)
    expect([item.model_dump() for item in ended] == [item.model_dump() for item in final.output], "items end", ended)
    deltas: dict[str, str] = {}
    for event in events:
        if event.type.endswith(".delta"):
            deltas[event.item_id] = deltas.get(event.item_id, "") + event.delta
    for item in final.output:
        if item.type == "message":
            whole = "".join(part.text if part.type == "output_text" else part.refusal for part in item.content)
        elif item.type == "function_call":
            whole = item.arguments
        else:
            whole = _thought(item)
        expect(deltas.get(item.id, "") == whole, "the deltas join to the item", (item, deltas))
