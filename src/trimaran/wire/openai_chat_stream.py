"""Streams of ``openai.chat``: decoding, encoding, and the relay that passes them.

Content is a delta with text, a refusal, reasoning, audio or a part of a tool call; a finish reason commits too. A chunk
that only names the role is no content. Usage comes in a last chunk without choices (other servers put it beside the
finish reason, or into every chunk), and ``data: [DONE]`` ends the stream. Servers forget that marker often enough: once
every choice has its finish reason nothing but the marker can be missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from trimaran.errors import MalformedAnswer
from trimaran.types import Usage
from trimaran.wire.dialect import StreamDecoder, StreamEncoder, TokenCount, decode_json
from trimaran.wire.events import Event, Finished, OtherDelta, ReasoningDelta, Started, TextDelta, UsageReport
from trimaran.wire.members import BAD_JSON
from trimaran.wire.relay import PassRelay

if TYPE_CHECKING:
    from trimaran.wire.openai_chat import OpenAIChat

__all__ = [
    "END_MARKER",
    "ChatDecoder",
    "ChatEncoder",
    "ChatPassRelay",
    "WireUsage",
    "finish_word",
    "neutral_finish",
    "neutral_usage",
    "usage_json",
]

END_MARKER = b"data: [DONE]\n\n"

_FINISH_WORDS = frozenset({"stop", "length", "tool_calls", "content_filter"})
_FINISH_WORD_OF = {
    # Neither was finished by the model, and this API has no other word for that.
    "context_window": "length",
    "pause_turn": "length",
}


class _PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: TokenCount | None = None
    cache_write_tokens: TokenCount | None = None


class _CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: TokenCount | None = None


class WireUsage(msgspec.Struct, gc=False):
    """Usage as it stands on the wire."""

    prompt_tokens: TokenCount | None = None
    completion_tokens: TokenCount | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Delta(msgspec.Struct, gc=False):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None


class _Choice(msgspec.Struct, gc=False):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None
    stop_reason: Any = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: WireUsage | None = None
    error: Any = None
    id: str | None = None
    model: str | None = None


class _PlainChoice(msgspec.Struct, gc=False):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None


class _PlainChunk(msgspec.Struct, gc=False):
    """What has to be seen of a chunk that is probably just more text."""

    choices: list[_PlainChoice] | None = None
    usage: Any = None
    error: Any = None


_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_plain = msgspec.json.Decoder(_PlainChunk).decode
_encode = msgspec.json.encode


def neutral_usage(wire: WireUsage) -> Usage:
    """Usage by kind; what a server leaves out counts as none."""
    prompt, completion = wire.prompt_tokens_details, wire.completion_tokens_details
    return Usage(
        max(0, wire.prompt_tokens or 0),
        max(0, wire.completion_tokens or 0),
        max(0, prompt.cached_tokens or 0) if prompt is not None else 0,
        max(0, prompt.cache_write_tokens or 0) if prompt is not None else 0,
        0,
        max(0, completion.reasoning_tokens or 0) if completion is not None else 0,
    )


def usage_json(usage: Usage) -> dict[str, Any]:
    """Usage as this API writes it."""
    details = {"cached_tokens": usage.cached_read_tokens}
    if usage.cache_write_tokens:
        details["cache_write_tokens"] = usage.cache_write_tokens
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": details,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def neutral_finish(word: str, stop_reason: Any) -> tuple[str, str | None]:
    """Neutral reason and stop sequence. vLLM and its kin name the sequence in ``stop_reason``; OpenAI does not."""
    if word == "stop" and isinstance(stop_reason, str) and stop_reason:
        return "stop_sequence", stop_reason
    return ("tool_calls" if word == "function_call" else word), None


def finish_word(reason: str) -> str:
    """The word of this API for a neutral reason."""
    return reason if reason in _FINISH_WORDS else _FINISH_WORD_OF.get(reason, "stop")


class ChatDecoder(StreamDecoder):
    """Chunks to neutral events. With several choices the events of all are given, in order of arrival."""

    def __init__(self, dialect: OpenAIChat) -> None:
        self._dialect = dialect
        self._started = False
        self._open: set[int] = set()
        self._finished: set[int] = set()

    def decode(self, name: bytes, data: bytes) -> Sequence[Event]:
        if not data.startswith(b"{") and data.strip() == b"[DONE]":
            self.complete = True
            return ()
        chunk = decode_json(_decode_chunk, data, "an event of the stream")
        if chunk.error is not None:
            raise self._dialect.error_in_answer(chunk.error)
        events: list[Event] = []
        if not self._started:
            self._started = True
            events.append(Started(chunk.id or "", chunk.model or ""))
        for choice in chunk.choices or ():
            self._choice(choice, events)
        if chunk.usage is not None:
            events.append(UsageReport(neutral_usage(chunk.usage), alone=not chunk.choices))
        return events

    def _choice(self, choice: _Choice, events: list[Event]) -> None:
        if choice.index not in self._finished:
            self._open.add(choice.index)
        if choice.delta is not None:
            _content(choice.delta, events)
        if choice.finish_reason:
            self._open.discard(choice.index)
            self._finished.add(choice.index)
            events.append(Finished(*neutral_finish(choice.finish_reason, choice.stop_reason)))
        self.may_end = bool(self._finished) and not self._open


def _content(delta: _Delta, events: list[Event]) -> None:
    if delta.reasoning_content or delta.reasoning:
        events.append(ReasoningDelta())
    if isinstance(delta.content, str):
        if delta.content:
            events.append(TextDelta(delta.content))
    elif delta.content:
        events.append(OtherDelta("content parts"))
    if delta.refusal:
        events.append(TextDelta(delta.refusal) if isinstance(delta.refusal, str) else OtherDelta("refusal"))
    if delta.tool_calls or delta.function_call:
        events.append(OtherDelta("tool call"))
    if delta.audio:
        events.append(OtherDelta("audio"))


class ChatEncoder(StreamEncoder):
    """Neutral events to chunks. What every chunk repeats is encoded once."""

    def __init__(self, created_s: int, *, include_usage: bool) -> None:
        self._created_s = created_s
        self._include_usage = include_usage
        self._head = b""
        self._tail = b'},"logprobs":null,"finish_reason":null}]%b}\n\n' % (b',"usage":null' if include_usage else b"")
        self._usage: Usage | None = None

    def encode(self, event: Event) -> bytes:
        kind = type(event)
        if kind is TextDelta:
            return b'%b"choices":[{"index":0,"delta":{"content":%b%b' % (self._head, _encode(event.text), self._tail)  # type: ignore[union-attr]
        if isinstance(event, Started):
            self._head = b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,' % (
                _encode(event.id),
                self._created_s,
                _encode(event.model),
            )
            return b'%b"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null%b' % (
                self._head,
                self._tail,
            )
        if isinstance(event, UsageReport):
            self._usage = event.usage
        elif isinstance(event, Finished):
            return b'%b"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":%b}]%b}\n\n' % (
                self._head,
                _encode(finish_word(event.reason)),
                b',"usage":null' if self._include_usage else b"",
            )
        return b""

    def end(self) -> bytes:
        if not self._include_usage or self._usage is None:
            return END_MARKER
        return b'%b"choices":[],"usage":%b}\n\n%b' % (self._head, _encode(usage_json(self._usage)), END_MARKER)


class ChatPassRelay(PassRelay):
    """Passes chunks on; the usage chunk only to a client that asked for it."""

    __slots__ = ()

    def __init__(self, dialect: OpenAIChat, *, drop_usage: bool) -> None:
        super().__init__(dialect, drop_usage=drop_usage)

    def feed(self, data: bytes) -> bytes:
        # Whole events with nothing in them but more text of the first choice: look, count, pass the same bytes.
        if self._plain and data.endswith(b"\n\n") and data.find(b"\r") < 0:
            events = data[:-2].split(b"\n\n")
            for event in events:
                if not event.startswith(b"data: {") or event.find(b"\n") >= 0:
                    break
                try:
                    chunk = _decode_plain(event[6:])
                except BAD_JSON as error:
                    raise MalformedAnswer(
                        f"an event of the stream is not what the dialect promises: {error}"
                    ) from error
                choices = chunk.choices
                if not choices or len(choices) != 1 or chunk.usage is not None or chunk.error is not None:
                    break
                choice = choices[0]
                delta = choice.delta
                if choice.index != 0 or choice.finish_reason or delta is None or not delta.content:
                    break
            else:
                self.content_events += len(events)
                return data
        return super().feed(data)
