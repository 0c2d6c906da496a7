"""``azure_ml.score``: how models of Azure Machine Learning's catalogue are asked behind ``/score``. Spoken to targets only.

A request is ``{"input_data": {"input_string": […], "parameters": {…}}}``. Models for conversations take turns, each with
``role`` and ``content``; others one prompt, which is made by the template of the base model (container ``score_prompt``). The
answer is ``{"output": text}``, or a list with one text, which may stand in a member ``0`` or ``generated_text``. It tells no
tokens and no reason: the tokens are estimated, and an answer is taken to have ended by itself.

Nothing is streamed there. A client's stream is made of the whole answer, which its door puts on one line
(:mod:`trimaran.providers.azure.ml`): the text comes at once, when all of it is there.

Only text can be said. Tools, pictures and JSON schemas are refused by name, and so is ``stop``, which the containers do not
agree on.

Sources: langchain-community, ``llms/azureml_endpoint.py`` and ``chat_models/azureml_endpoint.py``; microsoft/eureka-ml-insights,
``models.py``; PyRIT, ``azure_ml_chat_target.py``; all read 2026-11-30. None was held against a real endpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from trimaran.errors import MalformedAnswer
from trimaran.types import Target, Usage
from trimaran.wire.chat_templates import prompt, template_of, without_end
from trimaran.wire.conversation import ChatRequest, Notes, Part, Reasoning, Text
from trimaran.wire.dialect import decode_json
from trimaran.wire.events import Answer, Event, Finished, PartEnded, PartStarted, Started, TextDelta
from trimaran.wire.framing import Framing
from trimaran.wire.huggingface_generate import JSON_LINES
from trimaran.wire.refusals import Refusals, check_fields
from trimaran.wire.streams import StreamDecoder
from trimaran.wire.target_only import TargetOnly

__all__ = ["AzureMLScore"]

DEFAULT_NEW_TOKENS = 1024
"""Where neither client nor target limits an answer; the containers would stop after a few words."""
PROMPT_CONTAINER = "score_prompt"

_TAKES = frozenset(
    {"model", "messages", "system", "max_output_tokens", "temperature", "top_p", "top_k", "stream", "begun"}
)
_HINTS = frozenset({"cache", "cache_key", "cache_retention", "metadata", "user"})
_BYTES_PER_TOKEN = 4
_MEMBERS = ("output", "generated_text", "0", "result")
"""Where the text stands, in this order."""


class AzureMLScore(TargetOnly):
    """The scoring route of Azure Machine Learning's catalogue."""

    name = "azure_ml.score"
    framing: ClassVar[Framing] = JSON_LINES

    def upstream_path(self, model: str, stream: bool) -> bytes:
        return b"/score"

    def encode_request(self, request: ChatRequest, target: Target, refusals: Refusals, notes: Notes) -> bytes:
        if not request.tools:
            # Without tools, what shall be done with them says nothing.
            request = msgspec.structs.replace(request, parallel_tool_calls=None)
            if request.tool_choice is not None and request.tool_choice.mode in ("auto", "none"):
                request = msgspec.structs.replace(request, tool_choice=None)
        check_fields(request, _TAKES, _HINTS, refusals, notes)
        inputs: list[Any]
        if target.facts.get("container") == PROMPT_CONTAINER:
            inputs = _prompted(request, target, refusals, notes)
        else:
            inputs = _turns(request, refusals, notes)
        asked = {"input_string": inputs, "parameters": _parameters(request, target, refusals, notes)}
        return msgspec.json.encode({"input_data": asked})

    def inspect(self, body: bytes) -> tuple[Usage | None, str, str]:
        answer = self.decode_answer(body)
        return answer.usage, answer.finish_reason, ""

    def decode_answer(self, body: bytes) -> Answer:
        found = decode_json(msgspec.json.decode, body, "the answer")
        if isinstance(found, dict) and (error := found.get("error")):
            raise self.error_in_answer(error)
        text = _text(found)
        if text is None:
            raise MalformedAnswer("the answer holds no text where the catalogue's models put it (output)")
        text = without_end(text)
        parts: list[Part] = [Text(text)] if text else []
        # An input of none was not told, and is estimated where the request is known.
        usage = Usage(0, len(text.encode()) // _BYTES_PER_TOKEN + 1)
        return Answer("", "", parts, "stop", usage=usage)

    def stream_decoder(self) -> StreamDecoder:
        return _Decoder(self)


class _Decoder(StreamDecoder):
    """One line, which is a whole answer, to neutral events."""

    def __init__(self, dialect: AzureMLScore) -> None:
        self._dialect = dialect

    def decode(self, name: bytes, data: bytes) -> Sequence[Event]:
        answer = self._dialect.decode_answer(data)
        events: list[Event] = [Started("", "")]
        for part in answer.parts:
            if isinstance(part, Text):
                events += [PartStarted(0, Text("")), TextDelta(part.text), PartEnded(0)]
        self.complete = self.may_end = True
        return [*events, Finished(answer.finish_reason)]


def _text(found: Any) -> str | None:
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    if isinstance(found, dict):
        found = next((found[name] for name in _MEMBERS if name in found), None)
        if isinstance(found, list) and len(found) == 1:
            found = found[0]
    return found if isinstance(found, str) else None


def _turns(request: ChatRequest, refusals: Refusals, notes: Notes) -> list[dict[str, str]]:
    """Turns as they are; instructions are a turn of their own and stand first."""
    turns = []
    if request.system:
        turns.append({"role": "system", "content": _words(request.system, refusals.name("system"), refusals, notes)})
    for message in request.messages:
        turns.append({"role": message.role, "content": _words(message.parts, message.path, refusals, notes)})
    if not request.messages:
        refusals.field("messages", "there is no turn")
    return turns


def _words(parts: Sequence[Part], path: str, refusals: Refusals, notes: Notes) -> str:
    pieces = []
    for part in parts:
        if isinstance(part, Text):
            if part.cache:
                notes.omit(refusals.name("cache"))
            pieces.append(part.text)
        elif isinstance(part, Reasoning):
            notes.omit("reasoning")
        else:
            what = type(part).__name__
            name = {"ToolCall": "tool call", "ToolResult": "tool result"}.get(what, what.lower())
            refusals.add(path, f"a {name}; this endpoint takes text only")
    return "\n\n".join(piece for piece in pieces if piece)


def _prompted(request: ChatRequest, target: Target, refusals: Refusals, notes: Notes) -> list[str]:
    base_model = target.facts.get("base_model", "") or target.upstream_model
    template = template_of(base_model)
    if template is None:
        why = f"nobody knows how the turns of {base_model!r} are told apart in a prompt; state its base_model"
        refusals.add(refusals.name("messages"), why)
        return []
    return [prompt(request, template, refusals, notes)]


def _parameters(request: ChatRequest, target: Target, refusals: Refusals, notes: Notes) -> dict[str, Any]:
    limit = request.max_output_tokens
    if limit is None:
        limit = target.max_output_tokens or DEFAULT_NEW_TOKENS
        notes.emulate(refusals.name("max_output_tokens"))
    found: dict[str, Any] = {"max_new_tokens": limit, "return_full_text": False}
    # A temperature of 0 is outside of what the containers take; it says the same as not to sample.
    sampled = request.temperature != 0
    found["do_sample"] = sampled
    if sampled:
        given = (("temperature", request.temperature), ("top_p", request.top_p), ("top_k", request.top_k))
        found |= {name: value for name, value in given if value is not None}
    return found
