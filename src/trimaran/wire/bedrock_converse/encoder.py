"""Neutral events as a stream of ConverseStream, and the relay for streams that pass.

Blocks come one after the other here, as the service's own do. A part that starts before the one under way has ended is
kept back until then; text that came first is on its way at once. A block begins with its first content, so an empty one is
never written: the API would refuse it in the next request. Reasoning ends with its signature, which needs the whole state.

The stop reason waits for the end, because a refusal or a call decides it, too; ``metadata`` is last and has the usage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trimaran.types import Usage
from trimaran.wire.bedrock_converse.answer import reasoning_json, stop_fields
from trimaran.wire.bedrock_converse.decoder import ConverseDecoder
from trimaran.wire.bedrock_converse.usage import ORIGIN, stop_word, tier_json, usage_json
from trimaran.wire.block_encoder import BlockEncoder
from trimaran.wire.call_ids import fitting_id
from trimaran.wire.conversation import Part, Reasoning, Refusal, Text, ToolCall
from trimaran.wire.event_stream import event as frame
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
from trimaran.wire.relay import PassRelay

if TYPE_CHECKING:
    from trimaran.wire.bedrock_converse.dialect import BedrockConverse

__all__ = ["ConverseEncoder", "ConversePassRelay"]

_encode = msgspec.json.encode
_TAKERS: dict[type, type | tuple[type, ...]] = {
    TextDelta: (Text, Refusal),
    ReasoningDelta: Reasoning,
    ReasoningState: Reasoning,
    ArgumentsDelta: ToolCall,
}


class ConverseEncoder(BlockEncoder):
    """Writes one answer. ``names_stop``: the client asked to be told which stop sequence ended it."""

    def __init__(self, *, names_stop: bool) -> None:
        super().__init__()
        self._names_stop = names_stop
        self._begun = False
        """The block of the part under way has had its first event."""
        self._said = False
        """Arguments of the call under way have been written."""
        self._state: list[str] = []
        self._blocks = 0
        self._called = False
        self._refused = False
        self._finished = Finished("")
        self._usage = Usage()
        self._tier = ""

    def encode(self, event: Event) -> bytes:
        if isinstance(event, PartStarted | PartEnded | TextDelta | ReasoningDelta | ReasoningState | ArgumentsDelta):
            return self._content(event)
        if isinstance(event, Started):
            return frame("messageStart", b'{"role":"assistant"}')
        if isinstance(event, UsageReport):
            self._usage = event.usage
        elif isinstance(event, ServiceTier):
            self._tier = event.tier
        elif isinstance(event, Finished):
            self._finished = event
        return b""

    def go_on(self, block: int, *, open: bool, tier: str) -> None:
        """Begin in the middle of an answer whose next block is ``block``, or whose text block ``block`` is open and is
        part 0."""
        self._blocks, self._tier = block, tier
        if open:
            self._part, self._at, self._begun = Text(""), 0, True

    def end(self) -> bytes:
        out = self._last()
        stop = self._finished
        word = stop_word(stop.reason, called=self._called, refused=self._refused)
        out.append(
            frame("messageStop", _encode({"stopReason": word} | stop_fields(stop.stop_sequence, self._names_stop)))
        )
        told = {"usage": usage_json(self._usage), "metrics": {"latencyMs": 0}} | tier_json(self._tier)
        out.append(frame("metadata", _encode(told)))
        return b"".join(out)

    def _write(self, event: Any) -> bytes:
        """One event of the part under way, or of the next one."""
        kind = type(event)
        if kind is PartStarted:
            self._begin(event.part, event.index)
            return self._open_call(event.part) if isinstance(event.part, ToolCall) else b""
        if kind is PartEnded:
            return self._close()
        if self._part is None:
            self._begin(Text("") if kind is TextDelta else Reasoning(origin=ORIGIN), event.index)
        if not isinstance(self._part, _TAKERS[kind]):
            raise LookupError(kind)
        if kind is TextDelta:
            self._refused = self._refused or isinstance(self._part, Refusal)
            return self._delta({"text": event.text}) if event.text else b""
        if kind is ReasoningDelta:
            return self._delta({"reasoningContent": {"text": event.text}}) if event.text else b""
        if kind is ArgumentsDelta:
            self._said = self._said or bool(event.json)
            return self._delta({"toolUse": {"input": event.json}}) if event.json else b""
        self._state.append(event.state)
        return b""

    def _begin(self, part: Part, index: int) -> None:
        self._part, self._at, self._begun, self._said = part, index, False, False
        self._state = [part.state] if isinstance(part, Reasoning) and part.state else []

    def _open_call(self, call: ToolCall) -> bytes:
        self._called = self._begun = True
        start = {"toolUse": {"toolUseId": fitting_id(call.id), "name": call.name}}
        return frame("contentBlockStart", _encode({"start": start, "contentBlockIndex": self._blocks}))

    def _delta(self, delta: dict[str, Any]) -> bytes:
        self._begun = True
        return frame("contentBlockDelta", _encode({"delta": delta, "contentBlockIndex": self._blocks}))

    def _close(self) -> bytes:
        """The end of the part under way."""
        part, self._part, self._at = self._part, None, -1
        out = b""
        if isinstance(part, Reasoning):
            out = self._close_thinking(part)
        elif isinstance(part, ToolCall) and not self._said:
            # Clients read the pieces together as JSON.
            out = self._delta({"toolUse": {"input": "{}"}})
        if self._begun:
            out += frame("contentBlockStop", _encode({"contentBlockIndex": self._blocks}))
            self._blocks += 1
        self._begun = False
        return out

    def _close_thinking(self, part: Reasoning) -> bytes:
        whole = msgspec.structs.replace(part, text="." if self._begun else "", state="".join(self._state))
        told = reasoning_json(whole)
        if told is None:
            return b""
        if "redactedContent" in told:
            return self._delta({"reasoningContent": told})
        out = b"" if self._begun else self._delta({"reasoningContent": {"text": ""}})
        if signature := told["reasoningText"].get("signature"):
            out += self._delta({"reasoningContent": {"signature": signature}})
        return out


class ConversePassRelay(PassRelay):
    """Passes events on."""

    __slots__ = ()

    def __init__(self, dialect: BedrockConverse) -> None:
        super().__init__(dialect)
        self._decoder = ConverseDecoder(passing=True)
