"""Neutral events as a stream of streamGenerateContent, and the relay for streams that pass.

One chunk for each piece of text or thought. A function call is whole here, so it waits for its last argument, and for
the calls that began before it. What a thought is signed with follows it; a signature for a call waits for that call.

The last chunk has the finish reason and the usage, and an empty text, as the API's own: the SDK's chats forget a turn
in which a chunk has no part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trimaran.types import Usage
from trimaran.wire.conversation import Part, Reasoning, Refusal, Text, ToolCall
from trimaran.wire.events import (
    ArgumentsDelta,
    Event,
    Finished,
    PartEnded,
    PartStarted,
    ReasoningDelta,
    ReasoningState,
    ServiceTier,
    Started,
    TextDelta,
    UsageReport,
)
from trimaran.wire.gemini_generate.answer import logprobs_json, written_call
from trimaran.wire.gemini_generate.decoder import PassingDecoder
from trimaran.wire.gemini_generate.signatures import DUMMY, is_placed, on_call, thought_signature
from trimaran.wire.gemini_generate.turns import signed
from trimaran.wire.gemini_generate.usage import ORIGIN, finish_word, usage_json
from trimaran.wire.relay import PassRelay
from trimaran.wire.streams import StreamEncoder

if TYPE_CHECKING:
    from trimaran.wire.gemini_generate.dialect import GeminiGenerate

__all__ = ["GeminiEncoder", "GeminiPassRelay"]

_encode = msgspec.json.encode
_CUT = ("length", "context_window")
_HEAD = b'data: {"candidates":[{"content":{"parts":['


class GeminiEncoder(StreamEncoder):
    """Writes one answer."""

    def __init__(self) -> None:
        self._tail = b""
        self._parts: dict[int, tuple[Part, list[str]]] = {}
        """Each part under way, with the pieces of its arguments or of its state."""
        self._calls: dict[int, bytes | None] = {}
        """Calls that are not written yet, as they began; those that have ended with their chunk."""
        self._states: dict[str, str] = {}
        """Signatures whose call has not been written, by where they stand."""
        self._vouches = True
        """The next call gets the stand-in, since nothing of the answer came from this API."""
        self._broken: list[ToolCall] = []
        self._refused = False
        self._finished = Finished("")
        self._usage = Usage()
        self._tier = ""
        self.begin("", "")

    def begin(self, id: str, model: str) -> None:
        """Say who answers, which every chunk repeats."""
        told = b'"modelVersion":%b,"responseId":%b}\n\n' % (_encode(model), _encode(id))
        self._told = told
        self._tail = b'],"role":"model"},"index":0}],' + told

    def encode(self, event: Event) -> bytes:
        if type(event) is TextDelta:
            return self._text(event)
        if type(event) is ReasoningDelta:
            return self._thought(event)
        if type(event) is ArgumentsDelta:
            self._taker(event.index, ToolCall).append(event.json)
        elif type(event) is ReasoningState:
            self._taker(event.index, Reasoning).append(event.state)
        elif type(event) is PartStarted:
            self._start(event)
        elif type(event) is PartEnded:
            return self._end_part(event.index)
        elif type(event) is Started:
            self.begin(event.id, event.model)
        elif type(event) is UsageReport:
            self._usage = event.usage
        elif type(event) is ServiceTier:
            self._tier = event.tier
        elif type(event) is Finished:
            self._finished = event
        return b""

    def go_on(self, tier: str) -> None:
        """Begin in the middle of an answer whose part 0 is a text under way."""
        self._parts[0] = Text(""), []
        self._tier = tier

    def end(self) -> bytes:
        out = [self._end_part(index) for index in list(self._parts)]
        cut = self._finished.reason in _CUT
        for call in self._broken:
            # Raises, unless the answer was cut off in it.
            written_call(call, call.arguments, "", cut)
        out += [self._chunk(signed({"text": ""}, state)) for state in self._states.values()]
        word = finish_word(self._finished.reason, refused=self._refused)
        usage = _encode(usage_json(self._usage, self._tier))
        finish = b'{"text":""}],"role":"model"},"finishReason":%b,"index":0}],"usageMetadata":%b,' % (
            _encode(word),
            usage,
        )
        return b"".join(out) + _HEAD + finish + self._told

    def _chunk(self, part: dict[str, Any]) -> bytes:
        return b"%b%b%b" % (_HEAD, _encode(part), self._tail)

    def _taker(self, index: int, kind: type) -> list[str]:
        """The pieces of the part that an event belongs to. Raises ``LookupError`` where it is none that takes it."""
        part, pieces = self._parts[index]
        if not isinstance(part, kind):
            raise LookupError(index)
        return pieces

    def _text(self, event: TextDelta) -> bytes:
        part, _ = self._parts[event.index]
        if not isinstance(part, Text | Refusal):
            raise LookupError(event.index)
        if event.logprobs:
            scores = _encode(logprobs_json(event.logprobs))
            told = b'%b],"role":"model"},"index":0,"logprobsResult":%b}],' % (_encode({"text": event.text}), scores)
            return _HEAD + told + self._told
        return b'%b{"text":%b}%b' % (_HEAD, _encode(event.text), self._tail) if event.text else b""

    def _thought(self, event: ReasoningDelta) -> bytes:
        part, _ = self._parts[event.index]
        if not isinstance(part, Reasoning):
            raise LookupError(event.index)
        # Its state says whether there was any.
        part.text = part.text or event.text
        return self._chunk({"text": event.text, "thought": True}) if event.text else b""

    def _start(self, event: PartStarted) -> None:
        part = msgspec.structs.replace(event.part)
        pieces: list[str] = []
        if isinstance(part, ToolCall):
            pieces.append(part.arguments)
            self._calls[event.index] = None
        elif isinstance(part, Reasoning):
            self._vouches = self._vouches and part.origin != ORIGIN
            pieces.append(part.state)
        elif isinstance(part, Refusal):
            self._refused = True
        self._parts[event.index] = part, pieces

    def _end_part(self, index: int) -> bytes:
        part, pieces = self._parts.pop(index, (None, []))
        if isinstance(part, ToolCall):
            self._calls[index] = self._call(part, "".join(pieces))
            return self._ended_calls()
        if not isinstance(part, Reasoning):
            return b""
        thought = msgspec.structs.replace(part, state="".join(pieces))
        if is_placed(thought):
            if thought.id.startswith("c-"):
                self._states[thought.id] = thought.state
                return b""
            return self._chunk(signed({"text": ""}, thought.state))
        state = thought_signature(thought)
        return self._chunk({"text": "", "thought": True, "thoughtSignature": state}) if state else b""

    def _ended_calls(self) -> bytes:
        out: list[bytes] = []
        for index, chunk in list(self._calls.items()):
            if chunk is None:
                break
            out.append(chunk)
            del self._calls[index]
        return b"".join(out)

    def _call(self, call: ToolCall, arguments: str) -> bytes:
        state = self._states.pop(on_call(call.id), DUMMY if self._vouches else "")
        self._vouches = False
        written = written_call(call, arguments, state, True)
        if written is None:
            self._broken.append(msgspec.structs.replace(call, arguments=arguments))
            return b""
        return self._chunk(written)


class GeminiPassRelay(PassRelay):
    """Passes chunks on."""

    __slots__ = ()

    def __init__(self, dialect: GeminiGenerate) -> None:
        super().__init__(dialect)
        self._decoder = PassingDecoder(dialect)
