"""``openai.embeddings``: vectors for texts, for models that do that and nothing else.

It is not translated: no other dialect in use says the same. The answer passes without being read beyond its usage,
because it is mostly numbers and may be large; that there are vectors at all is checked.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.errors import InvalidRequest, MalformedAnswer, TrimaranError
from trimaran.types import Usage, feature_mask
from trimaran.wire.dialect import Dialect, Envelope, TokenCount, decode_json
from trimaran.wire.members import read_members, text_member
from trimaran.wire.openai_errors import openai_error_body

__all__ = ["OpenAIEmbeddings"]

_READ = frozenset({"model", "input"})
_NEEDS = feature_mask("embeddings")
_LIST = ord("[")
_EMPTY = (b"null", b'""', b"[]")


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: TokenCount | None = None
    total_tokens: TokenCount | None = None


class _AnswerHead(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"")
    usage: _Usage | None = None
    error: Any = None


_decode_head = msgspec.json.Decoder(_AnswerHead).decode


class OpenAIEmbeddings(Dialect):
    """OpenAI's Embeddings API."""

    name = "openai.embeddings"
    path = b"/v1/embeddings"
    operation = "embeddings"

    def read(self, body: bytes, path: bytes = b"") -> Envelope:
        raw, spans = read_members(body, _READ)
        model = text_member(raw, "model")
        if "input" not in raw or bytes(raw["input"]) in _EMPTY:
            raise InvalidRequest("'input' is missing; send a text, or a list of texts or tokens", field="input")
        return Envelope(
            self.name, model, False, 0, True, len(body) // 4 + 1, body, spans["model"], (0, 0), _NEEDS, members=raw
        )

    def inspect(self, body: bytes) -> tuple[Usage | None, str, str]:
        head = decode_json(_decode_head, body, "the answer")
        if head.error is not None:
            raise self.error_in_answer(head.error)
        if len(head.data) <= 2 or memoryview(head.data)[0] != _LIST:
            raise MalformedAnswer("the answer has no data")
        usage = head.usage
        if usage is None:
            return None, "", ""
        tokens = usage.total_tokens if usage.prompt_tokens is None else usage.prompt_tokens
        return Usage(max(0, tokens or 0)), "", ""

    def write_error(self, error: TrimaranError, request_id: str) -> bytes:
        return openai_error_body(error, self.name)
