"""``huggingface.generate``: one prompt in, its continuation out, as containers of JumpStart, older TGI and LMI without turns
are asked. Spoken to targets only.

A request is ``{"inputs": prompt, "parameters": {...}, "stream": true}``. The conversation becomes a prompt by the template
of the base model (:mod:`trimaran.wire.chat_templates`), so a target whose base model is not known is refused by name: a
guess would garble every answer. Nothing else of a chat can be said: tools, pictures and JSON schemas are refused.

Answers come in several forms that mean the same: an object or a list of one, ``generated_text`` or (Llama 2 of JumpStart)
``generation``. A stream is a line of JSON for each token, bare (LMI) or behind ``data:`` (TGI); the one with
``generated_text`` is the last, and there is no end marker. The containers count what they generate; TGI counts the prompt
only in streams, LMI repeats it, from which its tokens are estimated. An input of none was not told.

TGI leaves a client's stop sequence at the end of the text, which is noted; a model's own end of turn is taken off.

Sources: djl-serving, ``docs/lmi/user_guides/lmi_input_output_schema.md`` (0.31, read 2026-11-30). TGI's and JumpStart's forms
are those of their published examples, and were not held against their schemas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from trimaran.errors import AttemptError, MalformedAnswer, ServerFault, StreamCut
from trimaran.types import Target, Usage
from trimaran.wire.chat_templates import is_end, prompt, template_of, without_end
from trimaran.wire.conversation import ChatRequest, Notes, Part, Text
from trimaran.wire.dialect import TokenCount, decode_json
from trimaran.wire.events import Answer, Event, Finished, PartEnded, PartStarted, Started, TextDelta, UsageReport
from trimaran.wire.failures import MAX_MESSAGE, Complaint, attempt_error
from trimaran.wire.framing import MAX_EVENT_BYTES, Framing
from trimaran.wire.members import BAD_JSON
from trimaran.wire.refusals import Refusals, check_fields
from trimaran.wire.streams import StreamDecoder
from trimaran.wire.target_only import TargetOnly

__all__ = ["HuggingFaceGenerate", "JsonLines"]

DEFAULT_NEW_TOKENS = 1024
"""Where neither client nor target limits an answer. The containers would stop after 20 (TGI), 30 (LMI) or 100."""

_TAKES = frozenset(
    {
        "model",
        "messages",
        "system",
        "max_output_tokens",
        "temperature",
        "top_p",
        "top_k",
        "seed",
        "stop",
        "stream",
        "begun",
    }
)
_PENALTIES = {"lmi": frozenset({"frequency_penalty", "presence_penalty"}), "": frozenset({"frequency_penalty"})}
_HINTS = frozenset({"cache", "cache_key", "cache_retention", "metadata", "user"})

_REASONS = {"eos_token": "stop", "eos": "stop", "stop": "stop", "length": "length", "stop_sequence": "stop_sequence"}
_STATUS_OF = {"validation": 422, "empty_input": 422, "overloaded": 429, "template_error": 422, "tool_error": 422}
"""TGI's ``error_type``. What is missing is a failure of its own, whatever its status: it calls those 424."""

_BYTES_PER_TOKEN = 4


class _Token(msgspec.Struct, gc=False):
    text: str = ""
    special: bool | None = None
    special_token: bool | None = None


class _Details(msgspec.Struct, gc=False):
    finish_reason: str | None = None
    finish_reason_lmi: str | None = msgspec.field(default=None, name="finish reason")
    generated_tokens: TokenCount | None = None
    input_length: TokenCount | None = None
    inputs: Any = None
    prefill: list[Any] | None = None


class _Line(msgspec.Struct):
    """An answer, or an event of a stream."""

    token: _Token | None = None
    generated_text: str | None = None
    generation: Any = None
    details: _Details | None = None
    error: Any = None
    error_type: str | None = None
    message: str | None = None


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_answer = msgspec.json.Decoder(list[_Line] | _Line).decode


class JsonLines(Framing):
    """A line of JSON for each event, with or without ``data:`` before it."""

    content_type: ClassVar[bytes] = b"application/jsonlines"

    def framer(self) -> _LineFramer:
        return _LineFramer()

    def parse(self, block: bytes) -> tuple[bytes, bytes | None]:
        line = block.strip()
        if line.startswith(b"data:"):
            line = line[5:].strip()
        return b"", line if line.startswith(b"{") else None

    def last(self, rest: bytes) -> bytes:
        if not rest.strip():
            return b""
        _, data = self.parse(rest)
        try:
            msgspec.json.decode(data if data is not None else rest)
        except BAD_JSON as error:
            raise StreamCut("the stream ended in the middle of an event") from error
        return rest + b"\n"


class _LineFramer:
    """Cuts a stream into lines."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    @property
    def pending(self) -> bool:
        """Whether a line has begun that is not yet whole."""
        return bool(self._held)

    def push(self, data: bytes) -> list[bytes]:
        """The lines that are whole now. Raises :class:`MalformedAnswer` when one grows above the limit."""
        *whole, self._held = (self._held + data).split(b"\n")
        if len(self._held) > MAX_EVENT_BYTES:
            raise MalformedAnswer(f"an event of the stream is larger than {MAX_EVENT_BYTES // 2**20} MiB")
        return [line + b"\n" for line in whole]

    def rest(self) -> bytes:
        """What has arrived of a line that is not whole; the framer is empty afterwards."""
        rest, self._held = self._held, b""
        return rest


JSON_LINES = JsonLines()


class HuggingFaceGenerate(TargetOnly):
    """The generate API of Hugging Face's TGI, and those that follow it."""

    name = "huggingface.generate"
    framing: ClassVar[Framing] = JSON_LINES

    def upstream_path(self, model: str, stream: bool) -> bytes:
        return b"/generate_stream" if stream else b"/generate"

    def encode_request(self, request: ChatRequest, target: Target, refusals: Refusals, notes: Notes) -> bytes:
        container = target.facts.get("container", "")
        if not request.tools:
            # Without tools, what shall be done with them says nothing.
            request = msgspec.structs.replace(request, parallel_tool_calls=None)
            if request.tool_choice is not None and request.tool_choice.mode in ("auto", "none"):
                request = msgspec.structs.replace(request, tool_choice=None)
        takes = _TAKES | _PENALTIES.get(container, _PENALTIES[""])
        check_fields(request, takes, _HINTS, refusals, notes)
        base_model = target.facts.get("base_model", "") or target.upstream_model
        template = template_of(base_model)
        if template is None:
            why = f"nobody knows how the turns of {base_model!r} are told apart in a prompt; state its base_model"
            refusals.add(refusals.name("messages"), why)
            return b""
        inputs = prompt(request, template, refusals, notes)
        stop = list(dict.fromkeys([*request.stop, *template.stop]))
        if request.stop and container != "lmi":
            notes.emulate(refusals.name("stop"))
        parameters = _parameters(request, target, refusals, notes)
        parameters["stop_sequences" if container == "lmi" else "stop"] = stop
        body: dict[str, Any] = {"inputs": inputs, "parameters": parameters}
        if request.stream:
            body["stream"] = True
        return msgspec.json.encode(body)

    def inspect(self, body: bytes) -> tuple[Usage | None, str, str]:
        answer = self.decode_answer(body)
        return answer.usage, answer.finish_reason, ""

    def decode_answer(self, body: bytes) -> Answer:
        found = decode_json(_decode_answer, body, "the answer")
        if isinstance(found, list):
            if len(found) != 1:
                raise MalformedAnswer(f"the answer holds {len(found)} texts, and one was asked for")
            found = found[0]
        _refuse(found, self)
        text = _text(found)
        if text is None:
            raise MalformedAnswer("the answer has no generated text")
        text = without_end(text)
        parts: list[Part] = [Text(text)] if text else []
        return Answer("", "", parts, _reason(found.details), usage=_usage(found.details))

    def stream_decoder(self) -> StreamDecoder:
        return _Decoder(self)

    def read_error(
        self,
        status: int,
        retry_after: bytes | None,
        content_type: str,
        body: bytes,
        *,
        now_s: float | None = None,
        error_type: str = "",
    ) -> AttemptError:
        try:
            found = msgspec.json.decode(body, type=_Line)
        except BAD_JSON:
            found = _Line()
        if found.error_type is not None or status == 424:
            status = _STATUS_OF.get(found.error_type or "", 500)
        words = found.error if isinstance(found.error, str) else found.message or ""
        complaint = Complaint(words[:MAX_MESSAGE], found.error_type or "")
        return attempt_error(
            complaint,
            dialect=self.name,
            status=status,
            retry_after=retry_after,
            content_type=content_type,
            body=body,
            now_s=now_s,
        )


def _parameters(request: ChatRequest, target: Target, refusals: Refusals, notes: Notes) -> dict[str, Any]:
    limit = request.max_output_tokens
    if limit is None:
        limit = target.max_output_tokens or DEFAULT_NEW_TOKENS
        notes.emulate(refusals.name("max_output_tokens"))
    found: dict[str, Any] = {"max_new_tokens": limit, "details": True, "return_full_text": False}
    # A temperature of 0 and a top_p of 1 are outside of what TGI takes; it says the same by their absence.
    sampled = request.temperature != 0
    if request.temperature:
        found["temperature"] = request.temperature
    if request.top_p is not None and request.top_p < 1 and sampled:
        found["top_p"] = request.top_p
    if request.top_k and sampled:
        found["top_k"] = request.top_k
    found["do_sample"] = sampled
    for name in ("seed", "frequency_penalty", "presence_penalty"):
        if (value := getattr(request, name)) is not None and value != (None if name == "seed" else 0):
            found[name] = value
    return found


class _Decoder(StreamDecoder):
    """Lines to neutral events."""

    def __init__(self, dialect: HuggingFaceGenerate) -> None:
        self._dialect = dialect
        self._started = False
        self._open = False

    def decode(self, name: bytes, data: bytes) -> Sequence[Event]:
        line = decode_json(_decode_line, data, "an event of the stream")
        _refuse(line, self._dialect)
        events: list[Event] = []
        if not self._started:
            self._started = True
            events.append(Started("", ""))
        token = line.token
        text = "" if token is None or token.special or token.special_token or is_end(token.text) else token.text
        last = line.generated_text is not None
        if last and not text and not self._open:
            text = without_end(line.generated_text or "")
        if text:
            if not self._open:
                self._open = True
                events.append(PartStarted(0, Text("")))
            events.append(TextDelta(text))
        if last:
            if self._open:
                events.append(PartEnded(0))
            usage = _usage(line.details)
            if usage is not None:
                events.append(UsageReport(usage))
            events.append(Finished(_reason(line.details)))
            self.complete = self.may_end = True
        return events


def _refuse(line: _Line, dialect: HuggingFaceGenerate) -> None:
    """Raise what an error means that stands where an answer was expected."""
    if line.error is not None:
        words = line.error if isinstance(line.error, str) else ""
        status = _STATUS_OF.get(line.error_type or "", 500)
        complaint = Complaint(words[:MAX_MESSAGE], line.error_type or "")
        raise attempt_error(complaint, dialect=dialect.name, status=status)
    if line.details is not None and _word(line.details) == "error":
        raise ServerFault("the container gave up while it generated and does not say why; its log does")


def _text(line: _Line) -> str | None:
    if line.generated_text is not None:
        return line.generated_text
    found = line.generation
    if isinstance(found, dict):
        found = found.get("content")
    return found if isinstance(found, str) else None


def _word(details: _Details) -> str:
    return details.finish_reason or details.finish_reason_lmi or ""


def _reason(details: _Details | None) -> str:
    word = "" if details is None else _word(details)
    return _REASONS.get(word, word)


def _usage(details: _Details | None) -> Usage | None:
    if details is None or details.generated_tokens is None:
        return None
    inputs = details.input_length
    if inputs is None and details.prefill:
        inputs = len(details.prefill)
    if inputs is None and isinstance(details.inputs, str) and details.inputs:
        inputs = len(details.inputs.encode()) // _BYTES_PER_TOKEN + 1
    return Usage(max(0, inputs or 0), max(0, details.generated_tokens))
