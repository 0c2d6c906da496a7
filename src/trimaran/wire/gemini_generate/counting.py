"""``gemini.count_tokens``: how many tokens a request has.

The Gemini API counts ``contents`` alone, or a whole request in ``generateContentRequest``, which names its model again;
Vertex AI takes the members of the request beside ``contents``. A client may write either; a target gets its own form.
How an answer shall be made is no matter to a count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from trimaran.errors import AttemptError, InvalidRequest, MalformedAnswer, TrimaranError
from trimaran.types import Target, Usage
from trimaran.wire.conversation import ChatRequest, Notes
from trimaran.wire.dialect import UNCOUNTED, CountDialect, Envelope, TokenCount, decode_json
from trimaran.wire.failures import original_body
from trimaran.wire.gemini_generate.dialect import FIELD_NAMES, without_foreign_thoughts
from trimaran.wire.gemini_generate.models import is_vertex
from trimaran.wire.gemini_generate.names import snake
from trimaran.wire.gemini_generate.needs import config_of, needs_of
from trimaran.wire.gemini_generate.paths import COUNT, PREFIX, model_and_operation, path_of, serves
from trimaran.wire.gemini_generate.request import TOP, decode_request
from trimaran.wire.gemini_generate.signatures import STATE_MARK
from trimaran.wire.gemini_generate.upstream import encode_request
from trimaran.wire.google_failures import google_error, google_error_body
from trimaran.wire.members import BAD_JSON, RawMembers, read_members
from trimaran.wire.refusals import Refusals, check_fields

__all__ = ["GeminiCountTokens"]

_WHOLE = "generateContentRequest"
_READ = frozenset(TOP) | {_WHOLE, snake(_WHOLE)}
_PROMPT = frozenset({"system", "tools", "tool_choice", "response_format", "stream"})
_UNCOUNTED = frozenset(ChatRequest.__struct_fields__) - _PROMPT
_PLAIN = ("contents", "systemInstruction", "tools", "generationConfig")
"""What Vertex AI counts."""


class _Count(msgspec.Struct, gc=False):
    totalTokens: TokenCount | None = None
    error: Any = None


_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_count = msgspec.json.Decoder(_Count).decode
_encode = msgspec.json.encode


class GeminiCountTokens(CountDialect):
    """Google's countTokens."""

    name = "gemini.count_tokens"
    path = PREFIX
    state_mark: ClassVar[bytes] = STATE_MARK
    field_names: ClassVar[Mapping[str, str]] = FIELD_NAMES

    @property
    def shown_path(self) -> str:
        return f"{PREFIX.decode()}{{model}}:{COUNT}"

    def serves(self, path: bytes) -> bool:
        return serves(path, COUNT)

    def upstream_path(self, model: str, stream: bool) -> bytes:
        return path_of(model, COUNT)

    def read(self, body: bytes, path: bytes = b"") -> Envelope:
        model, _ = model_and_operation(path)
        raw, _ = read_members(body, _READ)
        inner = _inner(raw)
        if "contents" not in inner:
            raise InvalidRequest(f"'contents' is missing; send a list of contents, or '{_WHOLE}'", field="contents")
        needs, stateful = needs_of(inner, config_of(inner))
        needs &= ~UNCOUNTED
        tokens = len(body) // 4 + 1
        return Envelope(self.name, model, False, 0, True, tokens, body, needs=needs, stateful=stateful)

    def rewrite(self, envelope: Envelope, upstream_model: str) -> bytes:
        """The name stands in the path, and in a whole request once more."""
        raw, _ = read_members(envelope.body, _READ)
        key = next((key for key in (_WHOLE, snake(_WHOLE)) if key in raw), "")
        if not key or upstream_model == envelope.model:
            return envelope.body
        inner = _inner(raw) | {"model": msgspec.Raw(_encode(_named(upstream_model)))}
        return _encode(raw | {key: msgspec.Raw(_encode(inner))})

    def inspect(self, body: bytes) -> tuple[Usage | None, str, str]:
        self.decode_count(body)
        return None, "", ""

    def without_foreign_state(self, body: bytes) -> bytes:
        return without_foreign_thoughts(body)

    def decode_request(self, body: bytes, refusals: Refusals) -> ChatRequest:
        raw, _ = read_members(body, _READ)
        inner = {key: value for key, value in _inner(raw).items() if key != "model"}
        return decode_request(_encode(inner), refusals)

    def encode_request(self, request: ChatRequest, target: Target, refusals: Refusals, notes: Notes) -> bytes:
        check_fields(request, _PROMPT, _UNCOUNTED, refusals, notes)
        prompt = ChatRequest(
            model=request.model,
            messages=request.messages,
            system=request.system,
            tools=request.tools,
            tool_choice=request.tool_choice,
            response_format=request.response_format,
            # An answer that was begun counts like any other turn.
            begun=True,
        )
        inner = _decode_members(encode_request(prompt, target, refusals, notes))
        if is_vertex(target):
            return _encode({key: inner[key] for key in _PLAIN if key in inner})
        return _encode({_WHOLE: {"model": _named(target.upstream_model)} | inner})

    def decode_count(self, body: bytes) -> int:
        wire: _Count = decode_json(_decode_count, body, "the count")
        if wire.error is not None:
            raise self.error_in_answer(wire.error)
        if wire.totalTokens is None:
            raise MalformedAnswer("the count has no totalTokens")
        return max(0, wire.totalTokens)

    def encode_count(self, tokens: int) -> bytes:
        return _encode({"totalTokens": tokens})

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
            body, status, dialect=self.name, retry_after=retry_after, content_type=content_type, now_s=now_s
        )

    def error_in_answer(self, value: Any) -> AttemptError:
        return google_error(_encode({"error": value}), dialect=self.name)

    def write_error(self, error: TrimaranError, request_id: str) -> bytes:
        return original_body(error, self.name) or google_error_body(error, request_id)


def _named(model: str) -> str:
    return model if "/" in model else f"models/{model}"


def _inner(raw: RawMembers) -> RawMembers:
    """The members of the request that is to be counted. Raises :class:`InvalidRequest`."""
    whole = raw.get(_WHOLE, raw.get(snake(_WHOLE)))
    if whole is None or bytes(whole) == b"null":
        return raw
    if "contents" in raw:
        raise InvalidRequest(f"'contents' and '{_WHOLE}' exclude each other; send one", field="contents")
    try:
        return _decode_members(whole)
    except BAD_JSON as error:
        raise InvalidRequest(f"'{_WHOLE}' must be an object", field=_WHOLE) from error
