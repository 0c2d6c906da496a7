"""Whole answers, decoded and written.

What is decoded: text, thoughts, function calls, and the signatures on them. Anything else (a picture, code that Google
ran) was never asked for in a translated request, so an answer that holds it is malformed, and so is one whose model
broke off in a broken call. A prompt that was blocked has no candidate; it is the provider's refusal. Where a recitation
comes from, and what the filters rated, says something about the answer and nothing in it.

An answer without any part is written with an empty text: the SDK's chats forget a turn that has none.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from trimaran.errors import AttemptError, ContentRefused, MalformedAnswer
from trimaran.types import Usage
from trimaran.wire.anthropic_messages.blocks import arguments_object
from trimaran.wire.conversation import Part, Reasoning, Refusal, Text, ToolCall
from trimaran.wire.dialect import Dialect, decode_json
from trimaran.wire.events import Answer
from trimaran.wire.gemini_generate.content import MADE_ID
from trimaran.wire.gemini_generate.signatures import (
    EMPTY_TEXT,
    ON_TEXT,
    is_dummy,
    on_call,
    placed,
    thought_signature,
    vouched,
)
from trimaran.wire.gemini_generate.turns import call_json, signed
from trimaran.wire.gemini_generate.usage import (
    BROKEN,
    ORIGIN,
    WireUsage,
    finish_word,
    neutral_finish,
    neutral_tier,
    neutral_usage,
    usage_json,
)

__all__ = [
    "Candidate",
    "Content",
    "Feedback",
    "Grounding",
    "Logprobs",
    "Response",
    "WireCall",
    "WirePart",
    "blocked",
    "broken",
    "call_of",
    "counted",
    "decode_answer",
    "encode_answer",
    "entries",
    "foreign_kind",
    "inspect_answer",
    "logprobs_json",
    "searches_of",
    "signature_of",
    "written_call",
]

_CUT = ("length", "context_window")
_ABOUT = frozenset({"thought", "thoughtSignature", "partMetadata", "mediaResolution", "videoMetadata", "text"})


class WireCall(msgspec.Struct, gc=False):
    """``functionCall``."""

    name: str = ""
    id: str | None = None
    args: msgspec.Raw = msgspec.Raw(b"{}")
    partialArgs: Any = None
    willContinue: bool | None = None


class WirePart(msgspec.Struct, gc=False):
    """A part, as far as it can be translated."""

    text: str | None = None
    thought: bool | None = None
    thoughtSignature: str | None = None
    functionCall: WireCall | None = None


class Content(msgspec.Struct):
    """What a candidate says; its parts may be of kinds that are not known here."""

    parts: list[msgspec.Raw] | None = None


class _Scored(msgspec.Struct, gc=False):
    token: str = ""
    logProbability: float = 0.0


class _Alternatives(msgspec.Struct, gc=False):
    candidates: list[_Scored] | None = None


class Logprobs(msgspec.Struct, gc=False):
    """``logprobsResult``."""

    chosenCandidates: list[_Scored] | None = None
    topCandidates: list[_Alternatives] | None = None


class Grounding(msgspec.Struct, gc=False):
    """``groundingMetadata``: what the provider looked up on the web for the answer."""

    webSearchQueries: list[Any] | None = None


class Candidate(msgspec.Struct):
    """One answer, or a piece of one."""

    content: Content | None = None
    finishReason: str | None = None
    finishMessage: str | None = None
    index: int = 0
    logprobsResult: Logprobs | None = None
    groundingMetadata: Grounding | None = None


class Feedback(msgspec.Struct, gc=False):
    """``promptFeedback``."""

    blockReason: str | None = None
    blockReasonMessage: str | None = None


class Response(msgspec.Struct):
    """An answer, or a chunk of one."""

    candidates: list[Candidate] | None = None
    promptFeedback: Feedback | None = None
    usageMetadata: WireUsage | None = None
    modelVersion: str | None = None
    responseId: str | None = None
    error: Any = None


_ONCE = re.compile(r"gemini-[12](?:\.|-|$)")
_decode_response = msgspec.json.Decoder(Response).decode
_decode_part = msgspec.json.Decoder(WirePart).decode
_decode_kinds = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def searches_of(wire: Response) -> int:
    """Searches on the web that are charged: up to Gemini 2.5 one for each prompt that any was made for, later each one
    (https://ai.google.dev/gemini-api/docs/pricing, as the price table carries it)."""
    queries = [
        query
        for candidate in wire.candidates or ()
        if candidate.groundingMetadata is not None
        for query in candidate.groundingMetadata.webSearchQueries or ()
    ]
    once = _ONCE.search(wire.modelVersion or "") is not None
    return min(1, len(queries)) if once else len(queries)


def counted(wire: Response) -> Usage | None:
    """Usage with the searches."""
    if wire.usageMetadata is None:
        return None
    usage = neutral_usage(wire.usageMetadata)
    usage.web_searches = searches_of(wire)
    return usage


def inspect_answer(dialect: Dialect, body: bytes) -> tuple[Usage | None, str, str]:
    """Usage, neutral finish reason and neutral service tier of an answer that passes. A blocked prompt passes, too: the
    client's own library tells it apart."""
    wire = _read(dialect, body)
    usage = counted(wire)
    tier = neutral_tier(wire.usageMetadata)
    if not wire.candidates:
        return usage, "content_filter", tier
    first = wire.candidates[0]
    called = any(b'"functionCall"' in bytes(part) for part in _parts(first))
    return usage, neutral_finish(first.finishReason or "", called=called), tier


def decode_answer(dialect: Dialect, body: bytes) -> Answer:
    """An answer as neutral values."""
    wire = _read(dialect, body)
    if not wire.candidates:
        raise blocked(dialect, wire.promptFeedback, body)
    if len(wire.candidates) > 1:
        raise MalformedAnswer("the answer has several candidates, and one was asked for")
    first = wire.candidates[0]
    if (first.finishReason or "") in BROKEN:
        raise broken(first)
    if not first.finishReason:
        raise MalformedAnswer("the answer has no finish reason: nobody knows whether it is whole")
    id = wire.responseId or f"resp_{hashlib.blake2b(body, digest_size=12).hexdigest()}"
    parts: list[Part] = []
    for place, raw in enumerate(_parts(first)):
        parts += _decoded(raw, id, place)
    called = any(isinstance(part, ToolCall) for part in parts)
    return Answer(
        id=id,
        model=wire.modelVersion or "",
        parts=parts,
        finish_reason=neutral_finish(first.finishReason or "", called=called),
        usage=counted(wire),
        logprobs=entries(first.logprobsResult),
        service_tier=neutral_tier(wire.usageMetadata),
    )


def _read(dialect: Dialect, body: bytes) -> Response:
    wire: Response = decode_json(_decode_response, body, "the answer")
    if wire.error is not None:
        found: AttemptError = dialect.error_in_answer(wire.error)
        raise found
    if not wire.candidates and (wire.promptFeedback is None or not wire.promptFeedback.blockReason):
        raise MalformedAnswer("the answer has no candidates")
    return wire


def _parts(candidate: Candidate) -> list[msgspec.Raw]:
    return (candidate.content.parts or []) if candidate.content is not None else []


def blocked(dialect: Dialect, feedback: Feedback | None, body: bytes = b"") -> AttemptError:
    """What it means that the prompt was blocked."""
    reason = feedback.blockReason if feedback is not None else None
    said = feedback.blockReasonMessage if feedback is not None else None
    message = f"the prompt was blocked ({reason})" + (f": {said}" if said else "")
    return ContentRefused(message, upstream_status=400, dialect=dialect.name)


def broken(candidate: Candidate) -> MalformedAnswer:
    """What it means that the model's output was broken."""
    said = f": {candidate.finishMessage}" if candidate.finishMessage else ""
    return MalformedAnswer(
        f"the model's output was broken: the answer ended with {candidate.finishReason!r}{said}"[:500]
    )


def foreign_kind(raw: msgspec.Raw) -> str:
    """The kinds in a part that no other dialect can carry; empty for a part that says nothing."""
    kinds = decode_json(_decode_kinds, raw, "a part of the answer")
    return ", ".join(key for key in kinds if key not in _ABOUT and bytes(kinds[key]) != b"null")


def call_of(call: WireCall, answer_id: str, place: int) -> tuple[ToolCall, str]:
    """The call without its arguments, and these as JSON text. One without an id gets one."""
    if call.partialArgs is not None or call.willContinue:
        raise MalformedAnswer("the answer holds a function call in pieces, and the request did not ask for that")
    digest = hashlib.blake2b(f"{answer_id}/{place}".encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    arguments: str = decode_json(bytes.decode, bytes(call.args), "a function call's arguments")
    return ToolCall(call.id or f"{MADE_ID}{digest}", call.name, ""), "{}" if arguments == "null" else arguments


def signature_of(part: WirePart) -> str:
    """What ``part`` is signed with; empty for a stand-in."""
    state = part.thoughtSignature or ""
    return "" if is_dummy(state) else state


def _decoded(raw: msgspec.Raw, id: str, place: int) -> list[Part]:
    part: WirePart = decode_json(_decode_part, raw, "a part of the answer")
    state = signature_of(part)
    if part.functionCall is not None:
        call, arguments = call_of(part.functionCall, id, place)
        call.arguments = arguments
        return [*_state(state, on_call(call.id)), call]
    if kind := foreign_kind(raw):
        raise MalformedAnswer(f"the answer holds a part of kind {kind}, and the request did not ask for one")
    text = part.text or ""
    if part.thought:
        return [Reasoning(text, state, ORIGIN, hidden=not text)] if text or state else []
    if not text:
        return _state(state, EMPTY_TEXT)
    return [Text(text), *_state(state, ON_TEXT)]


def _state(state: str, place: str) -> list[Part]:
    return [Reasoning("", state, ORIGIN, place, hidden=True)] if state else []


def entries(result: Logprobs | None) -> list[Any] | None:
    """Log-probabilities in the neutral form; ``None`` where there are none."""
    if result is None or not result.chosenCandidates:
        return None
    others = result.topCandidates or []
    found: list[Any] = []
    for place, chosen in enumerate(result.chosenCandidates):
        top = (others[place].candidates or []) if place < len(others) else []
        found.append(_entry(chosen) | {"top_logprobs": [_entry(each) for each in top]})
    return found


def _entry(scored: _Scored) -> dict[str, Any]:
    data = list(scored.token.encode("utf-8", "surrogatepass"))
    return {"token": scored.token, "logprob": scored.logProbability, "bytes": data}


def encode_answer(answer: Answer) -> bytes:
    """An answer for a client. Raises :class:`MalformedAnswer` where a call's arguments are no JSON object, unless the
    answer was cut; then the call is left out, and the finish reason says why."""
    cut = answer.finish_reason in _CUT
    pairs, _ = placed(answer.parts)
    parts = [written for part, state in vouched(pairs) if (written := _encode_part(part, state, cut)) is not None]
    refused = any(isinstance(part, Refusal) for part in answer.parts)
    candidate: dict[str, Any] = {
        "content": {"parts": parts or [{"text": ""}], "role": "model"},
        "finishReason": finish_word(answer.finish_reason, refused=refused),
        "index": 0,
    }
    if answer.logprobs:
        candidate["logprobsResult"] = logprobs_json(answer.logprobs)
    body = {
        "candidates": [candidate],
        "usageMetadata": usage_json(answer.usage or Usage(), answer.service_tier),
        "modelVersion": answer.model,
        "responseId": answer.id,
    }
    return msgspec.json.encode(body)


def _encode_part(part: Part, state: str, cut: bool) -> dict[str, Any] | None:
    if isinstance(part, Text | Refusal):
        return signed({"text": part.text}, state) if part.text or state else None
    if isinstance(part, Reasoning):
        if not part.text and not part.state:
            return None
        return signed({"text": part.text, "thought": True}, thought_signature(part))
    if isinstance(part, ToolCall):
        return written_call(part, part.arguments, state, cut)
    raise MalformedAnswer(f"the answer holds a part of kind {type(part).__name__}, which this dialect cannot carry")


def written_call(call: ToolCall, arguments: str, state: str, cut: bool) -> dict[str, Any] | None:
    """The part that a call is; ``None`` for one that was cut off."""
    value = arguments_object(arguments)
    if value is not None:
        return signed({"functionCall": call_json(call, value)}, state)
    if cut:
        return None
    raise MalformedAnswer(f"the arguments of the call of {call.name!r} are no JSON object")


def logprobs_json(found: list[Any]) -> dict[str, Any]:
    """``logprobsResult`` out of the neutral form."""
    chosen = [_scored(entry) for entry in found]
    top = [{"candidates": [_scored(each) for each in entry.get("top_logprobs") or ()]} for entry in found]
    return {"chosenCandidates": chosen, "topCandidates": top}


def _scored(entry: dict[str, Any]) -> dict[str, Any]:
    return {"token": entry.get("token", ""), "logProbability": entry.get("logprob", 0.0)}
