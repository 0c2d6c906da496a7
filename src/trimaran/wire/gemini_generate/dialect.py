"""The dialect itself: paths, what passes between speakers of it, and errors.

A request passes byte for byte: the model stands in the path. The one exception is reasoning of another provider that a
client brings along from an earlier answer, whose signature this API would refuse. Calls that another provider made have
the documented stand-in for a signature since they were written for the client.

The SDK knows an error inside a stream by its first member, ``error``, and raises what it raises for a whole answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from trimaran.errors import AttemptError, InvalidRequest, TrimaranError
from trimaran.types import Target, Usage
from trimaran.wire.conversation import ChatRequest, Notes, ResponseFormat
from trimaran.wire.dialect import ChatDialect, Envelope
from trimaran.wire.events import Answer
from trimaran.wire.failures import original_body
from trimaran.wire.gemini_generate.answer import decode_answer, encode_answer, inspect_answer
from trimaran.wire.gemini_generate.decoder import GeminiDecoder
from trimaran.wire.gemini_generate.encoder import GeminiEncoder, GeminiPassRelay
from trimaran.wire.gemini_generate.names import count_of
from trimaran.wire.gemini_generate.needs import config_of, needs_of, raw_member
from trimaran.wire.gemini_generate.paths import GENERATE, PREFIX, STREAM, model_and_operation, path_of, serves
from trimaran.wire.gemini_generate.position import GeminiPosition
from trimaran.wire.gemini_generate.request import TOP, decode_request
from trimaran.wire.gemini_generate.signatures import STATE_MARK, wrapped
from trimaran.wire.gemini_generate.upstream import encode_request, takes_format
from trimaran.wire.google_failures import google_error, google_error_body
from trimaran.wire.members import BAD_JSON, read_members
from trimaran.wire.refusals import Refusals
from trimaran.wire.relay import StreamRelay

__all__ = ["FIELD_NAMES", "GeminiGenerate", "without_foreign_thoughts"]

FIELD_NAMES: Mapping[str, str] = {
    "cache": "cachedContent",
    "frequency_penalty": "generationConfig.frequencyPenalty",
    "logprobs": "generationConfig.logprobs",
    "max_output_tokens": "generationConfig.maxOutputTokens",
    "messages": "contents",
    "metadata": "labels",
    "presence_penalty": "generationConfig.presencePenalty",
    "reasoning": "generationConfig.thinkingConfig",
    "response_format": "generationConfig.responseJsonSchema",
    "seed": "generationConfig.seed",
    "service_tier": "serviceTier",
    "stop": "generationConfig.stopSequences",
    "system": "systemInstruction",
    "temperature": "generationConfig.temperature",
    "tool_choice": "toolConfig.functionCallingConfig",
    "tools[].name": "tools[0].functionDeclarations[].name",
    "top_k": "generationConfig.topK",
    "top_p": "generationConfig.topP",
}
"""What fields of the neutral request are called here."""

_READ = frozenset(TOP)
_CONFIG = "generationConfig"
_SIGNATURES = ("thoughtSignature", "thought_signature")

_decode_turns = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_decode_parts = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.encode


class GeminiGenerate(ChatDialect):
    """Google's generateContent."""

    name = "gemini.generate"
    path = PREFIX
    home = path
    heeds_query = True
    state_mark: ClassVar[bytes] = STATE_MARK
    field_names: ClassVar[Mapping[str, str]] = FIELD_NAMES

    @property
    def shown_path(self) -> str:
        return f"{PREFIX.decode()}{{model}}:{GENERATE}"

    def serves(self, path: bytes) -> bool:
        return serves(path, GENERATE, STREAM)

    def check_query(self, path: bytes, query: bytes) -> None:
        if path.endswith(STREAM.encode()) and b"alt=sse" not in query.split(b"&"):
            raise InvalidRequest(
                f"{STREAM} is served as server-sent events only: add ?alt=sse to the path, as google-genai does",
                field="alt",
            )

    def upstream_path(self, model: str, stream: bool) -> bytes:
        return path_of(model, STREAM if stream else GENERATE)

    # The same dialect on both sides

    def read(self, body: bytes, path: bytes = b"") -> Envelope:
        model, operation = model_and_operation(path)
        raw, spans = read_members(body, _READ)
        if "contents" not in raw:
            raise InvalidRequest("'contents' is missing; send a list of contents", field="contents")
        config = config_of(raw)
        limit = count_of(config, "maxOutputTokens", _CONFIG)
        answers = count_of(config, "candidateCount", _CONFIG) or 1
        needs, stateful = needs_of(raw, config)
        return Envelope(
            self.name,
            model,
            operation == STREAM,
            None if limit is None else limit * answers,
            True,
            len(body) // 4 + 1,
            body,
            needs=needs,
            stateful=stateful,
            answers=answers,
            prompt_span=spans["contents"],
            members=raw,
        )

    def rewrite(self, envelope: Envelope, upstream_model: str) -> bytes:
        return envelope.body

    def inspect(self, body: bytes) -> tuple[Usage | None, str, str]:
        return inspect_answer(self, body)

    def pass_relay(self, envelope: Envelope) -> StreamRelay:
        return GeminiPassRelay(self)

    def without_foreign_state(self, body: bytes) -> bytes:
        return without_foreign_thoughts(body)

    # Translation

    def decode_request(self, body: bytes, refusals: Refusals) -> ChatRequest:
        return decode_request(body, refusals)

    def encode_request(self, request: ChatRequest, target: Target, refusals: Refusals, notes: Notes) -> bytes:
        return encode_request(request, target, refusals, notes)

    def takes_format(self, wanted: ResponseFormat, target: Target) -> bool:
        return takes_format(wanted, target)

    def decode_answer(self, body: bytes) -> Answer:
        return decode_answer(self, body)

    def encode_answer(self, answer: Answer, created_s: int, envelope: Envelope | None = None) -> bytes:
        return encode_answer(answer)

    def stream_decoder(self) -> GeminiDecoder:
        return GeminiDecoder(self)

    def stream_encoder(self, envelope: Envelope, created_s: int) -> GeminiEncoder:
        return GeminiEncoder()

    def stream_position(self, envelope: Envelope) -> GeminiPosition:
        return GeminiPosition()

    # Errors

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
        return google_error(
            body,
            status,
            dialect=self.name,
            retry_after=retry_after,
            content_type=content_type,
            now_s=now_s,
        )

    def error_in_answer(self, value: Any) -> AttemptError:
        return google_error(_encode({"error": value}), dialect=self.name)

    def write_error(self, error: TrimaranError, request_id: str) -> bytes:
        return original_body(error, self.name) or google_error_body(error, request_id)

    def write_stream_error(self, error: TrimaranError, request_id: str) -> bytes:
        return b"data: %b\n\n" % google_error_body(error, request_id)


def without_foreign_thoughts(body: bytes) -> bytes:
    """``body`` without the thoughts of other providers. The same object where there are none."""
    if body.find(STATE_MARK) < 0:
        return body
    raw, spans = read_members(body, _READ)
    try:
        kept = _own_thoughts(_decode_turns(raw_member(raw, "contents")))
    except BAD_JSON:
        return body
    if kept is None:
        return body
    start, end = spans["contents"]
    return b"%b%b%b" % (body[:start], _encode(kept), body[end:])


def _own_thoughts(turns: list[dict[str, msgspec.Raw]]) -> list[dict[str, msgspec.Raw]] | None:
    """``turns`` without the thoughts of others; ``None`` where there are none. One thought may stand in several turns of
    the model, which were chunks of a stream: its signature comes last."""
    gone: set[tuple[int, int]] = set()
    begun: list[tuple[int, int]] = []
    lists = [_parts_of(turn) for turn in turns]
    for place, parts in enumerate(lists):
        for number, part in enumerate(parts):
            thought, signature = _thought_of(part)
            if wrapped(signature):
                gone.update(begun, {(place, number)})
            if thought and not signature:
                begun.append((place, number))
            else:
                begun.clear()
    if not gone:
        return None
    kept: list[dict[str, msgspec.Raw]] = []
    for place, parts in enumerate(lists):
        left = [part for number, part in enumerate(parts) if (place, number) not in gone]
        if len(left) == len(parts):
            kept.append(turns[place])
        elif left:
            kept.append(turns[place] | {"parts": msgspec.Raw(_encode(left))})
    return kept


def _parts_of(turn: dict[str, msgspec.Raw]) -> list[msgspec.Raw]:
    parts = turn.get("parts", msgspec.Raw(b"[]"))
    return _decode_parts(parts) if bytes(parts)[:1] == b"[" else []


def _thought_of(part: msgspec.Raw) -> tuple[bool, str]:
    """Whether a part is a thought, and its signature."""
    if b'"thought' not in bytes(part):
        return False, ""
    value = _decode_object(part)
    signature = next((text for key in _SIGNATURES if isinstance(text := value.get(key), str)), "")
    return value.get("thought") is True, signature
