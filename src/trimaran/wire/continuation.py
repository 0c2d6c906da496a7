"""A stream that broke off, continued at another target: what the client was told, and a request to go on from there.

How the road uses it, under the policy ``on_cut: continue`` only::

    transcript = Transcript(client, envelope)      when the answer begins
    transcript.hear(data)                          for every piece handed to the client, continuations included
    transcript.cut(relay.usage)                    when the stream breaks
    if transcript.possible:
        translation = continue_translation(client, envelope, target, transcript)
        relay = translation.relay()                fed and drained like any other one; its output is handed to the client

The transcript reads the client's own bytes, in the client's dialect. So it knows exactly what the client has, whoever
wrote it, whatever a relay held back or lost in the breath in which it failed; relays know nothing of it. ``hear`` never
raises. ``possible`` and ``why_not`` hold for this moment: there is nothing to continue before the first word, nor while
the model thinks; tool calls, refusals, several answers, output in JSON and other things than text end it for good, and
with it what the transcript keeps. A continuation may break, too: the same transcript continues it.

The target gets the conversation with the text as the beginning of the assistant's turn. Only a target that is *known* to
accept that (``prefill`` among its abilities) is asked; the others raise :class:`UnsupportedFeature`, as do requests that
cannot be translated for it. White space at the text's end is left out, because Anthropic refuses it and tokenizers read
it badly; if the answer begins by repeating it, the client does not get it twice. The limit of output tokens is lowered by
those already said. Nothing is thought about again: models that accept a beginning do not accept thinking beside it.

The client sees one answer: the continuation's start is left out, as are thoughts that come before its text; its text
flows into the part that is open at the client, and whatever follows is numbered after that. Usage is that of all parts
together: the first one's input, and the output of each. The relay's own ``usage`` is what its attempt is billed for. A
stop sequence that would lie across the seam is not noticed by anybody.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from trimaran.errors import AttemptError, UnsupportedFeature
from trimaran.types import Target, Usage
from trimaran.wire.conversation import ChatRequest, Message, Reasoning, Text
from trimaran.wire.dialect import ChatDialect, Dialect, Envelope
from trimaran.wire.events import (
    Event,
    Finished,
    OtherDelta,
    PartEnded,
    PartStarted,
    ServiceTier,
    TextDelta,
)
from trimaran.wire.members import BAD_JSON
from trimaran.wire.relay import StreamRelay, TranslatingRelay
from trimaran.wire.seam import Seam, added
from trimaran.wire.translation import Translation, candidates, translated

__all__ = ["MAX_TEXT_BYTES", "Transcript", "continue_translation"]

MAX_TEXT_BYTES = 256 * 1024
"""More text is not kept. It is above what a model says in one answer, 64,000 tokens of four bytes."""

MAX_PIECES = 2**17
"""The same for the pieces in which it came."""

_NOT_YET = "nothing was said yet"
_THOUGHTS = "the model was not speaking"


class Transcript:
    """What the client of one request was told so far. ``client`` is the client's dialect."""

    __slots__ = (
        "_cut_tokens",
        "_decoder",
        "_framer",
        "_framing",
        "_never",
        "_pieces",
        "_position",
        "_settled",
        "_size",
        "_thinking",
        "_tier",
        "_usage",
    )

    def __init__(self, client: ChatDialect, envelope: Envelope) -> None:
        self._never = "several answers are asked for at once" if envelope.answers > 1 else ""
        self._framing = client.framing
        self._framer = client.framing.framer()
        self._decoder = client.stream_decoder()
        self._position = client.stream_position(envelope)
        self._pieces: list[str] = []
        self._size = 0
        self._thinking: set[int] = set()
        self._tier = ""
        self._usage: Usage | None = None
        """Reported by the streams that broke, the first one's input."""
        self._cut_tokens = 0
        self._settled = 0
        """What of the estimate is in ``_cut_tokens``."""

    def hear(self, data: bytes) -> None:
        """The client was handed these bytes, which are whole events."""
        if self._never:
            return
        try:
            for block in self._framer.push(data):
                name, value = self._framing.parse(block)
                if value is None:
                    continue
                for event in self._decoder.decode(name, value):
                    self._note(event)
                self._position.see(name, value)
        except (AttemptError, *BAD_JSON) as error:
            self._give_up(f"the answer could not be followed: {error}")
        if self._position.impossible:
            self._give_up(self._position.impossible)

    def cut(self, usage: Usage | None) -> None:
        """The stream broke; ``usage`` is what its target reported until then. Once for each stream, before
        :func:`continue_translation`."""
        said = self._estimate()
        new = said - self._settled
        if usage is not None:
            new = max(new, usage.output_tokens)
            self._usage = added(self._usage, usage)
        self._cut_tokens += new
        self._settled = said

    @property
    def possible(self) -> bool:
        """Whether somebody could go on from here."""
        return not self.why_not

    @property
    def why_not(self) -> str:
        """Why nobody could; empty where somebody could."""
        if self._never or self._position.why_not:
            return self._never or self._position.why_not
        if self._thinking:
            return _THOUGHTS
        return "" if any(map(str.strip, self._pieces)) else _NOT_YET

    @property
    def text(self) -> str:
        """What was said; empty once it cannot be continued any more."""
        return "".join(self._pieces)

    @property
    def output_tokens_estimate(self) -> int:
        """Output tokens of all that was said: as reported where a cut stream reported more than was seen, otherwise one
        for each piece or for four bytes, whichever is more."""
        return self._cut_tokens + self._estimate() - self._settled

    def _estimate(self) -> int:
        return max(len(self._pieces), -(-self._size // 4))

    def _note(self, event: Event) -> None:
        if self._never:
            return
        if isinstance(event, TextDelta):
            self._pieces.append(event.text)
            self._size += len(event.text.encode("utf-8", "replace"))
            if self._size > MAX_TEXT_BYTES or len(self._pieces) > MAX_PIECES:
                self._give_up("the answer is too long to be continued")
        elif isinstance(event, PartStarted):
            if isinstance(event.part, Reasoning):
                self._thinking.add(event.index)
            elif not isinstance(event.part, Text):
                what = type(event.part).__name__
                self._give_up(f"the answer holds a {'refusal' if what == 'Refusal' else 'tool call'}")
        elif isinstance(event, PartEnded):
            self._thinking.discard(event.index)
        elif isinstance(event, OtherDelta):
            self._give_up(f"the answer holds a {event.kind}")
        elif isinstance(event, ServiceTier):
            self._tier = event.tier
        elif isinstance(event, Finished):
            self._give_up("the answer was finished")

    def _give_up(self, why: str) -> None:
        self._never = self._never or why
        self._pieces = []
        self._size = self._settled = 0

    def _resume(self, dropped: str) -> Seam:
        """An encoder that goes on. ``dropped``: the white space at the end that the continuing target was not given."""
        place = self._position.resume(self._tier)
        return Seam(place, dropped, self._usage, self.output_tokens_estimate)


class _Continuation(Translation, kw_only=True):
    """A translation whose stream goes on with one that the client has begun to read."""

    transcript: Transcript
    dropped: str

    def relay(self, *, created_s: int | None = None) -> StreamRelay:
        assert isinstance(self.dialect, ChatDialect)
        return TranslatingRelay(self.dialect, self.transcript._resume(self.dropped))


def continue_translation(
    client: ChatDialect, envelope: Envelope, target: Target, transcript: Transcript, dialects: Mapping[str, Dialect]
) -> Translation:
    """The translation of a request that asks ``target`` to go on from ``transcript``, which takes over the client's
    stream with :meth:`Translation.relay`: make one relay, right before it is used.

    Raises :class:`UnsupportedFeature` where that is not possible at all, or not there, and :class:`InvalidRequest` as
    :func:`trimaran.wire.translate` does.
    """
    if not transcript.possible:
        raise UnsupportedFeature(f"the answer that broke off cannot be continued: {transcript.why_not}")
    if target.capabilities is None or "prefill" not in target.capabilities.has:
        raise UnsupportedFeature(
            f"target {target.id!r} ({target.upstream_model}) is not known to go on with an answer that was begun; if it "
            "does, say so in the provider's 'capabilities': has: [prefill]"
        )
    said = transcript.text
    core = said.rstrip()

    def begun(request: ChatRequest) -> ChatRequest:
        return _begun(request, core, transcript.output_tokens_estimate)

    made = translated(client, envelope, target, candidates(client, target, dialects), begun)
    return _Continuation(
        made.client, made.dialect, envelope, made.body, made.notes, transcript=transcript, dropped=said[len(core) :]
    )


def _begun(request: ChatRequest, said: str, tokens: int) -> ChatRequest:
    """``request`` with ``said``, which took ``tokens``, as the beginning of its answer."""
    if request.response_format is not None:
        raise UnsupportedFeature(
            "an answer held to a format cannot be continued: its form is checked from its beginning"
        )
    if request.tool_choice is not None and request.tool_choice.mode in ("required", "named"):
        raise UnsupportedFeature("an answer that has to call a tool cannot be continued: it was begun with text")
    messages = [*request.messages]
    last = messages[-1] if messages else None
    if last is None or last.role != "assistant":
        messages.append(Message("assistant", [Text(said)]))
    elif last.parts and isinstance(text := last.parts[-1], Text):
        joined = msgspec.structs.replace(text, text=text.text + said)
        messages[-1] = msgspec.structs.replace(last, parts=[*last.parts[:-1], joined])
    else:
        messages[-1] = msgspec.structs.replace(last, parts=[*last.parts, Text(said)])
    limit = request.max_output_tokens
    return msgspec.structs.replace(
        request,
        messages=messages,
        begun=True,
        reasoning=None,
        max_output_tokens=None if limit is None else max(1, limit - tokens),
    )
