"""One attempt's way between a client and a target: the request's body out, the answer back.

A :class:`Translation` is made for every attempt, so the common case, both speaking the same dialect, costs one object.
All of it is idempotent: a retry makes another one from the same :class:`~trimaran.wire.dialect.Envelope`.

Which of a target's dialects is taken: the client's own, if it is among them. Otherwise the first that can carry the
request, or a later one that leaves less out (Chat Completions cannot give a tool result a picture; Responses can).

Output that is held to a JSON schema is emulated by a tool (:mod:`trimaran.wire.json_tool`) where the target's model
cannot be held to one, also when both sides speak the same dialect.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import msgspec

from trimaran.errors import InvalidRequest, MalformedAnswer, UnsupportedFeature
from trimaran.types import Target, Usage, feature_mask
from trimaran.wire.conversation import ChatRequest, Notes, ToolCall
from trimaran.wire.dialect import ChatDialect, Conversational, CountDialect, Dialect, Envelope, Streaming
from trimaran.wire.json_tool import ToolToText, with_json_tool
from trimaran.wire.refusals import Refusals
from trimaran.wire.relay import StreamRelay, TranslatingRelay

__all__ = ["Translation", "candidates", "translate", "translated"]

_JSON_SCHEMA = feature_mask("json_schema")
_PREFILL = feature_mask("prefill")
_OPERATIONS = {
    "chat": "conversations",
    "embeddings": "embeddings",
    "count": "the counting of tokens",
    "infer": "inference on tensors",
    "invoke": "raw invocations",
    "predict": "predictions on instances",
}


class Translation(msgspec.Struct):
    """The same dialect on both sides: bytes pass."""

    client: Dialect
    dialect: Dialect
    """What the target is spoken to in."""
    envelope: Envelope
    body: bytes
    """The request's body for the target."""
    notes: Notes | None = None
    """``None``: nothing to say."""
    estimated: bool = False
    """A part of the last answer's usage is our own estimate: its target counts what it generates, and not the prompt."""

    def answer(self, body: bytes, *, created_s: int | None = None) -> tuple[bytes, Usage | None, str, str]:
        """The body for the client, the usage if the target told it, and neutral finish reason and service tier of a whole
        answer.

        Raises :class:`MalformedAnswer`, or the :class:`AttemptError` that an error in the body stands for.
        ``created_s`` (Unix time) goes into a translated answer whose dialect states it; the clock's when left out.
        """
        usage, reason, tier = self.dialect.inspect(body)
        return body, usage, reason, tier

    def relay(self, *, created_s: int | None = None) -> StreamRelay:
        """A relay for the stream of one answer; ``created_s`` as in :meth:`answer`."""
        assert isinstance(self.dialect, Streaming)
        return self.dialect.pass_relay(self.envelope)


class _ChatTranslation(Translation):
    """Two dialects, or one whose target needs help with a JSON schema."""

    json_tool: bool = False

    def answer(self, body: bytes, *, created_s: int | None = None) -> tuple[bytes, Usage | None, str, str]:
        client, dialect = self.client, self.dialect
        assert isinstance(client, ChatDialect)
        assert isinstance(dialect, ChatDialect)
        answer = dialect.decode_answer(body)
        if any(isinstance(part, ToolCall) and not part.name for part in answer.parts):
            raise MalformedAnswer("the answer calls a tool without a name")
        if self.json_tool:
            answer = ToolToText().answer(answer)
        if not answer.model:
            # Not every dialect's answers name it; clients expect one.
            answer = msgspec.structs.replace(answer, model=self.envelope.model)
        if answer.usage is not None and not answer.usage.input_tokens:
            # No prompt is empty: an input of none was not told.
            answer.usage.input_tokens, self.estimated = self.envelope.input_tokens, True
        created_s = int(time.time()) if created_s is None else created_s
        out = client.encode_answer(answer, created_s, self.envelope)
        return out, answer.usage, answer.finish_reason, answer.service_tier

    def relay(self, *, created_s: int | None = None) -> StreamRelay:
        client, dialect = self.client, self.dialect
        assert isinstance(client, ChatDialect)
        assert isinstance(dialect, ChatDialect)
        created_s = int(time.time()) if created_s is None else created_s
        encoder = client.stream_encoder(self.envelope, created_s)
        return TranslatingRelay(dialect, encoder, ToolToText() if self.json_tool else None, self.envelope.model)


class _CountTranslation(Translation):
    def answer(self, body: bytes, *, created_s: int | None = None) -> tuple[bytes, Usage | None, str, str]:
        client, dialect = self.client, self.dialect
        assert isinstance(client, CountDialect)
        assert isinstance(dialect, CountDialect)
        return client.encode_count(dialect.decode_count(body)), None, "", ""


def candidates(client: Dialect, target: Target, dialects: Mapping[str, Dialect]) -> list[Dialect]:
    """The dialects of ``target`` that ask for the same as ``client``. Raises :class:`UnsupportedFeature` for none."""
    found = [dialects[name] for name in target.dialects if dialects[name].operation == client.operation]
    if not found:
        raise UnsupportedFeature(
            f"target {target.id!r} ({target.upstream_model}) speaks {', '.join(target.dialects)}: "
            f"{_OPERATIONS[client.operation]} cannot be asked of it"
        )
    return found


def translate(client: Dialect, envelope: Envelope, target: Target, dialects: Mapping[str, Dialect]) -> Translation:
    """The translation of one request for ``target``; ``dialects`` is the registry.

    Raises :class:`UnsupportedFeature` naming each field that would be lost, or :class:`InvalidRequest` for one that
    cannot be read.
    """
    if client.name in target.dialects and not (envelope.needs & _JSON_SCHEMA and _lacks_schema(target)):
        body = client.rewrite(envelope, target.upstream_model)
        if body.find(client.state_mark) < 0:
            return Translation(client, client, envelope, body)
        clean = client.without_foreign_state(body)
        notes = None if clean is body else Notes(omitted=["reasoning"])
        return Translation(client, client, envelope, clean, notes)
    found = candidates(client, target, dialects)
    if not isinstance(client, Conversational):
        raise UnsupportedFeature(
            f"target {target.id!r} ({target.upstream_model}) speaks {', '.join(target.dialects)}, and {client.name} is not "
            "translated"
        )
    return translated(client, envelope, target, found)


def translated(
    client: Conversational,
    envelope: Envelope,
    target: Target,
    candidates: list[Dialect],
    change: Callable[[ChatRequest], ChatRequest] | None = None,
) -> Translation:
    """The translation through the neutral model into the best of ``candidates``; ``change`` is made to the neutral
    request. Raises as :func:`translate` does, and what ``change`` does."""
    refusals = Refusals(client.name, target, client.field_names)
    try:
        request = client.decode_request(envelope.body, refusals)
    except InvalidRequest:
        # A gap where something was not understood may look like a mistake of the client's.
        refusals.check()
        raise
    except RecursionError as error:
        # The decoder goes deeper than Python's own stack allows for a look at what was decoded.
        raise InvalidRequest("the body is nested too deeply") from error
    if envelope.stream and not request.stream:
        # Not the body but the path said so.
        request = msgspec.structs.replace(request, stream=True)
    if change is not None:
        request = change(request)
    best: Translation | None = None
    refused: UnsupportedFeature | None = None
    for dialect in candidates:
        if not isinstance(dialect, Conversational):
            continue
        try:
            made = _one(client, dialect, envelope, request, target, refusals.for_dialect(dialect.name))
        except UnsupportedFeature as error:
            refused = refused or error
            continue
        if best is None or _noted(made) < _noted(best):
            best = made
        if not _noted(best):
            break
    if best is not None:
        return best
    assert refused is not None
    raise refused


def _one(
    client: Conversational,
    dialect: Conversational,
    envelope: Envelope,
    request: ChatRequest,
    target: Target,
    refusals: Refusals,
) -> Translation:
    notes = Notes(omitted=list(refusals.omitted))
    json_tool = False
    wanted = request.response_format
    if wanted is not None and isinstance(dialect, ChatDialect) and not dialect.takes_format(wanted, target):
        changed = with_json_tool(request) if not _lacks(target, "tools") else None
        if changed is None:
            refusals.field("response_format", "the model cannot be held to it, and no tool can stand for it here")
        else:
            request, json_tool = changed, True
            notes.emulate(refusals.name("response_format"))
    begun = envelope.needs & _PREFILL and not request.begun
    if begun and dialect.name != client.name and dialect.operation == "chat":
        path = request.messages[-1].path if request.messages else ""
        why = f"the last turn is the assistant's, which {client.name} continues and {dialect.name} answers"
        refusals.add(path or refusals.name("messages"), why)
    try:
        body = dialect.encode_request(request, target, refusals, notes)
    except InvalidRequest:
        refusals.check()
        raise
    except RecursionError as error:
        raise InvalidRequest("the body is nested too deeply") from error
    refusals.check()
    told = notes if notes.count else None
    if isinstance(client, CountDialect):
        return _CountTranslation(client, dialect, envelope, body, told)
    return _ChatTranslation(client, dialect, envelope, body, told, json_tool=json_tool)


def _noted(translation: Translation) -> int:
    return translation.notes.count if translation.notes is not None else 0


def _lacks(target: Target, feature: str) -> bool:
    return target.capabilities is not None and feature in target.capabilities.lacks


def _lacks_schema(target: Target) -> bool:
    return _lacks(target, "json_schema") and not _lacks(target, "tools")
