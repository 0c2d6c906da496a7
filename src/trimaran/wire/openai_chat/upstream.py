"""A neutral request as a body for a target of this API.

OpenAI's own service and the servers that are compatible with it differ in a few members: the first wants
``max_completion_tokens`` (its reasoning models refuse ``max_tokens``) and knows cache keys; the others know ``max_tokens``,
``top_k``, reasoning that comes back, and, where the model is known to cache, cache markers. Instructions go out as
``system``, which both take.

A tool's result is text here, and so is a document that is plain text. Pictures and documents of a result follow in the
user's message after the results, each with a line that says what it is, and the result says so. ``metadata`` is left out,
because OpenAI takes it only for answers that it shall store.

What says the same as its absence is not written: some servers refuse members that they do not know.

Parts of an assistant's turn have one order here: reasoning, content, refusal, tool calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from trimaran.types import Target
from trimaran.wire.call_ids import fitting_id, fitting_user
from trimaran.wire.conversation import (
    Audio,
    ChatRequest,
    Document,
    Image,
    Message,
    Notes,
    Part,
    Reasoning,
    ReasoningControl,
    Refusal,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trimaran.wire.effort import effort_of
from trimaran.wire.json_tool import JSON_TOOL
from trimaran.wire.media import data_url
from trimaran.wire.openai_chat.reasoning import ORIGIN, reasoning_members
from trimaran.wire.openai_chat.usage import tier_word
from trimaran.wire.openai_tools import LONGEST_CALL_ID, OWN_PROVIDERS, check_tool_names, strictness
from trimaran.wire.refusals import Refusals, check_fields

__all__ = ["encode_request"]

_MAX_STOP = 4
_MARKED_PREFIX = frozenset({"deepseek", "mistral"})
"""They want to be told that the last turn is the beginning of the answer; others see it by its role.
https://docs.litellm.ai/docs/completion/prefix (read 2026-11-24)."""
_TAKES = frozenset(ChatRequest.__struct_fields__) - {"cache", "cache_key", "cache_retention", "metadata", "top_k"}
_TAKES_OWN = _TAKES | {"cache_key", "cache_retention"}
_TAKES_OTHERS = _TAKES | {"top_k"}
_HINTS = frozenset({"cache", "cache_key", "cache_retention", "metadata"})


def encode_request(request: ChatRequest, target: Target, refusals: Refusals, notes: Notes) -> bytes:
    """See :meth:`trimaran.wire.dialect.Conversational.encode_request`."""
    return _Writer(target, refusals, notes).body(request)


class _Writer:
    def __init__(self, target: Target, refusals: Refusals, notes: Notes) -> None:
        self._target = target
        self._own = target.provider in OWN_PROVIDERS
        known = target.capabilities
        self._marks = not self._own and known is not None and "caching" in known.has
        self._reasons = known is None or "reasoning" not in known.lacks
        self._refusals = refusals
        self._notes = notes

    def body(self, request: ChatRequest) -> bytes:
        takes = _TAKES_OWN if self._own else _TAKES_OTHERS
        check_fields(request, takes, _HINTS, self._refusals, self._notes)
        if len(request.stop) > _MAX_STOP:
            self._refusals.field("stop", f"openai.chat takes at most {_MAX_STOP}")
        messages = self._messages(request)
        if request.begun and self._target.provider in _MARKED_PREFIX:
            messages[-1]["prefix"] = True
        if not messages:
            self._refusals.field("messages", "there is no turn")
        body: dict[str, Any] = {"model": self._target.upstream_model, "messages": messages}
        self._sampling(request, body)
        self._tools(request, body)
        if request.response_format is not None:
            body["response_format"] = self._format(request.response_format)
        if request.reasoning is not None:
            self._reasoning(request.reasoning, body)
        if request.verbosity not in ("", "medium"):
            body["verbosity"] = request.verbosity
        self._service(request, body)
        if request.stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        return msgspec.json.encode(body)

    def _sampling(self, request: ChatRequest, body: dict[str, Any]) -> None:
        if request.max_output_tokens is not None:
            body["max_completion_tokens" if self._own else "max_tokens"] = request.max_output_tokens
        for key in ("temperature", "top_p", "seed"):
            if (value := getattr(request, key)) is not None:
                body[key] = value
        for key in ("frequency_penalty", "presence_penalty"):
            if value := getattr(request, key):
                body[key] = value
        if request.top_k is not None and not self._own:
            body["top_k"] = request.top_k
        if request.logit_bias:
            body["logit_bias"] = request.logit_bias
        if request.logprobs is not None:
            body["logprobs"] = True
            if request.logprobs:
                body["top_logprobs"] = request.logprobs
        if request.stop:
            body["stop"] = request.stop

    def _tools(self, request: ChatRequest, body: dict[str, Any]) -> None:
        if request.tools:
            body["tools"] = [self._tool(tool, place) for place, tool in enumerate(request.tools)]
            if self._own:
                check_tool_names(request.tools, self._refusals)
        if request.tool_choice is not None and request.tool_choice.mode != "auto":
            if request.tools:
                body["tool_choice"] = _choice(request.tool_choice)
            elif request.tool_choice.mode != "none":
                self._refusals.field("tool_choice", "there are no tools")
        if request.parallel_tool_calls is False and request.tools:
            body["parallel_tool_calls"] = False

    def _tool(self, tool: Tool, place: int) -> dict[str, Any]:
        function: dict[str, Any] = {"name": tool.name}
        if tool.description:
            function["description"] = tool.description
        if tool.parameters is not None:
            function["parameters"] = tool.parameters
        name = self._refusals.name("response_format") if tool.name == JSON_TOOL else f"tools[{place}].strict"
        strict = strictness(tool.strict, tool.parameters, name, self._refusals, self._notes)
        if strict is not None:
            function["strict"] = strict
        return self._marked({"type": "function", "function": function}, tool.cache)

    def _reasoning(self, wanted: ReasoningControl, body: dict[str, Any]) -> None:
        name = self._refusals.name("reasoning")
        effort = wanted.effort
        if effort == "none" and not (self._reasons and self._refusals.from_openai):
            # Older models refuse the word.
            self._notes.omit(name)
            return
        if wanted.budget_tokens is not None:
            effort = effort or effort_of(wanted.budget_tokens)
            self._notes.emulate(name)
        # Compatible servers show the thoughts unasked, OpenAI's own never does.
        unsaid = wanted.show if self._own else wanted.show.replace("auto", "")
        if (wanted.adaptive and not effort) or unsaid:
            self._notes.omit(name)
        if effort:
            body["reasoning_effort"] = effort

    def _format(self, wanted: ResponseFormat) -> dict[str, Any]:
        if wanted.kind != "json_schema":
            return {"type": wanted.kind}
        schema: dict[str, Any] = {"name": wanted.name or "output"}
        if wanted.description:
            schema["description"] = wanted.description
        if wanted.schema is not None:
            schema["schema"] = wanted.schema
        name = self._refusals.name("response_format")
        strict = strictness(wanted.strict, wanted.schema, name, self._refusals, self._notes)
        if strict is not None:
            schema["strict"] = strict
        return {"type": "json_schema", "json_schema": schema}

    def _service(self, request: ChatRequest, body: dict[str, Any]) -> None:
        tier = request.service_tier
        if tier == "standard" and not self._own:
            # Servers without tiers have this one only, and others call it otherwise.
            self._notes.omit(self._refusals.name("service_tier"))
        elif tier and tier != "auto":
            body["service_tier"] = tier_word(tier)
        if request.user is not None:
            body["user"] = fitting_user(request.user)
            if body["user"] != request.user:
                self._notes.emulate(self._refusals.name("user"))
        if self._own and request.cache_key:
            body["prompt_cache_key"] = request.cache_key
        if self._own and request.cache_retention:
            body["prompt_cache_retention"] = request.cache_retention

    # Messages

    def _messages(self, request: ChatRequest) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        if request.system:
            messages.append({"role": "system", "content": self._content(request.system, "system", texts_only=True)})
        for message in request.messages:
            if message.role == "assistant":
                written = self._assistant(message)
                if written is not None:
                    messages.append(written)
            elif message.role == "user":
                messages += self._user(message)
            else:
                content = self._content(message.parts, message.path, texts_only=True)
                messages.append({"role": "system", "content": content})
        return messages

    def _user(self, message: Message) -> list[dict[str, Any]]:
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        rest: list[Part] = [part for part in message.parts if not isinstance(part, ToolResult)]
        messages: list[dict[str, Any]] = []
        shown: list[Part] = []
        places: dict[str, int] = {}
        for result in results:
            messages.append(self._result(result, message.path, shown, places))
        if shown or rest or not results:
            messages.append({"role": "user", "content": self._content(shown + rest, message.path)})
        return messages

    def _result(self, result: ToolResult, path: str, shown: list[Part], places: dict[str, int]) -> dict[str, Any]:
        """The message for one result. What it cannot hold goes to ``shown``; ``places`` counts it by kind."""
        id = fitting_id(result.call_id, LONGEST_CALL_ID)
        texts: list[Text] = []
        for part in result.parts:
            if isinstance(part, Text):
                texts.append(part)
                continue
            what = "image" if isinstance(part, Image) else "document"
            places[what] = places.get(what, 0) + 1
            label = f"{what} {places[what]} of the tool results"
            texts.append(Text(f"[{label} follows in the next message]"))
            shown += (Text(f"[{label}, from the call {id}]"), part)
            self._notes.emulate(path)
        if result.is_error and result.is_blank:
            self._notes.emulate(path)
            texts = [Text("error", next((text.cache for text in texts if text.cache), ""))]
        elif result.is_error:
            self._notes.omit("is_error")
        content = self._content(texts, path) if texts else ""
        return self._marked({"role": "tool", "tool_call_id": id, "content": content}, result.cache)

    def _assistant(self, message: Message) -> dict[str, Any] | None:
        spoken: list[Part] = []
        refusals: list[str] = []
        calls: list[dict[str, Any]] = []
        thoughts: list[Reasoning] = []
        for part in message.parts:
            if isinstance(part, ToolCall):
                calls.append(self._call(part))
            elif isinstance(part, Reasoning):
                self._thought(part, thoughts)
            elif isinstance(part, Refusal):
                refusals.append(part.text)
            else:
                spoken.append(part)
        if not (spoken or refusals or calls or thoughts):
            return None
        # An empty text beside something else says nothing.
        alone = not (refusals or calls or thoughts)
        spoken = [part for part in spoken if not self._is_empty(part)] or spoken[:alone]
        written: dict[str, Any] = {"role": "assistant"}
        written["content"] = self._content(spoken, message.path, texts_only=True) if spoken else None
        if refusals:
            written["refusal"] = "".join(refusals)
        if calls:
            written["tool_calls"] = calls
        return written | reasoning_members(thoughts)

    def _is_empty(self, part: Part) -> bool:
        if not isinstance(part, Text) or part.text:
            return False
        if part.cache and not self._marks:
            self._notes.omit(self._refusals.name("cache"))
        return not (part.cache and self._marks)

    def _thought(self, part: Reasoning, thoughts: list[Reasoning]) -> None:
        if part.origin == ORIGIN and not self._own:
            thoughts.append(part)
        else:
            self._notes.omit("reasoning")

    def _call(self, call: ToolCall) -> dict[str, Any]:
        if call.cache:
            self._notes.omit(self._refusals.name("cache"))
        return {
            "id": fitting_id(call.id, LONGEST_CALL_ID),
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments if call.arguments.strip() else "{}"},
        }

    # Parts

    def _content(self, parts: Sequence[Part], path: str, *, texts_only: bool = False) -> str | list[dict[str, Any]]:
        written = [self._part(part, path, texts_only) for part in parts]
        first = written[0] if len(written) == 1 else {}
        if first.keys() == {"type", "text"}:
            return str(first["text"])
        return written

    def _part(self, part: Part, path: str, texts_only: bool) -> dict[str, Any]:
        if isinstance(part, Text):
            return self._marked({"type": "text", "text": part.text}, part.cache)
        if not texts_only:
            if isinstance(part, Image):
                return self._image(part)
            if isinstance(part, Document):
                return self._document(part, path)
            if isinstance(part, Audio):
                return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
        self._refusals.add(path, f"a {type(part).__name__.lower()} in this place")
        return {}

    def _image(self, image: Image) -> dict[str, Any]:
        value = {"url": image.url or data_url(image.media_type, image.data)}
        if image.detail:
            value["detail"] = image.detail
        return self._marked({"type": "image_url", "image_url": value}, image.cache)

    def _document(self, document: Document, path: str) -> dict[str, Any]:
        if document.url:
            self._refusals.add(path, "a document by its URL")
            return {}
        if not document.data:
            self._notes.emulate(path)
            text = f"[document {document.name}]\n{document.text}" if document.name else document.text
            return self._marked({"type": "text", "text": text}, document.cache)
        name = document.name or f"document.{document.media_type.rpartition('/')[2]}"
        file = {"filename": name, "file_data": data_url(document.media_type, document.data)}
        return self._marked({"type": "file", "file": file}, document.cache)

    def _marked(self, written: dict[str, Any], cache: str) -> dict[str, Any]:
        if not cache:
            return written
        if not self._marks:
            self._notes.omit(self._refusals.name("cache"))
            return written
        return written | {"cache_control": {"type": "ephemeral"} | ({"ttl": cache} if cache != "5m" else {})}


def _choice(choice: ToolChoice) -> Any:
    return {"type": "function", "function": {"name": choice.name}} if choice.mode == "named" else choice.mode
