"""InvokeModel: what every body that goes through it has around it.

InvokeModel takes a body in the model's own form and gives back one, untouched but for members of its own, whose names begin
with ``amazon-bedrock-``. A stream is AWS's event stream; each event is a ``chunk`` whose payload holds the model's next
JSON document in base64, and the last one carries the metrics of the invocation, among them the tokens. Anything else is an
exception. A whole answer has these counts in its header lines.

Shapes: botocore 1.44.8, ``bedrock-runtime`` (``ResponseStream``, ``PayloadPart``); the metrics as in AWS's guide, "Inference
request parameters and response fields for foundation models", read 2026-11-30.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import quote

import msgspec

from trimaran.errors import AttemptError, MalformedAnswer
from trimaran.types import Usage
from trimaran.wire.aws_failures import aws_error
from trimaran.wire.conversation import ChatRequest
from trimaran.wire.dialect import TokenCount, decode_json
from trimaran.wire.event_stream import EVENT_STREAM
from trimaran.wire.framing import Framing
from trimaran.wire.target_only import TargetOnly

__all__ = ["METRICS", "InvokeDialect", "Metrics", "document_of", "header_usage", "invoke_path", "settled"]

METRICS = "amazon-bedrock-invocationMetrics"
"""The member of a stream's last document."""

_SAFE = "-._~"
_COUNTS = {
    "input": b"x-amzn-bedrock-input-token-count",
    "output": b"x-amzn-bedrock-output-token-count",
    "read": b"x-amzn-bedrock-cache-read-input-token-count",
    "write": b"x-amzn-bedrock-cache-write-input-token-count",
}
_LONGEST_COUNT = 12
"""Digits: as many as the largest number of tokens that is believed."""


class Metrics(msgspec.Struct, gc=False, rename="camel"):
    """What Bedrock counted of one invocation."""

    input_token_count: TokenCount | None = None
    output_token_count: TokenCount | None = None
    cache_read_input_token_count: TokenCount | None = None
    cache_write_input_token_count: TokenCount | None = None

    def usage(self) -> Usage | None:
        """As :class:`Usage`; ``None`` where nothing was counted. What a cache held is counted apart here."""
        if self.input_token_count is None and self.output_token_count is None:
            return None
        return _usage(
            self.input_token_count, self.output_token_count, self.cache_read_input_token_count,
            self.cache_write_input_token_count,
        )  # fmt: skip


class _Chunk(msgspec.Struct):
    bytes: str | None = None


_decode_chunk = msgspec.json.Decoder(_Chunk).decode


class InvokeDialect(TargetOnly):
    """A model's own body through InvokeModel. Spoken to targets only."""

    framing: ClassVar[Framing] = EVENT_STREAM

    def upstream_path(self, model: str, stream: bool) -> bytes:
        return invoke_path(model, stream)

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
        return aws_error(error_type, body, status, retry_after=retry_after, now_s=now_s)


def invoke_path(model: str, stream: bool) -> bytes:
    """The path of one invocation; ``model`` is an id or an ARN, percent-encoded as boto3 does it."""
    operation = "invoke-with-response-stream" if stream else "invoke"
    return f"/model/{quote(model, safe=_SAFE)}/{operation}".encode("ascii")


def document_of(name: bytes, data: bytes) -> bytes | None:
    """The model's JSON document in one event; ``None`` in an event of a kind that is not known, which says nothing to
    this version. Raises the :class:`AttemptError` that an exception stands for, or :class:`MalformedAnswer`."""
    if name == b"chunk":
        text = decode_json(_decode_chunk, data, "a chunk of the stream").bytes
        if text is None:
            raise MalformedAnswer("a chunk of the stream holds nothing")
        try:
            return binascii.a2b_base64(text, strict_mode=True)
        except ValueError as error:
            raise MalformedAnswer("a chunk of the stream is not base64") from error
    if name.lower().endswith((b"exception", b"error", b"failure", b"fault")):
        raise aws_error(name.decode("latin-1"), data, 0)
    return None


def settled(request: ChatRequest) -> ChatRequest:
    """``request`` without what says nothing: what shall be done with tools where there are none, and the tier that is
    anyway."""
    tier = "" if request.service_tier in ("auto", "standard") else request.service_tier
    if request.tools:
        return msgspec.structs.replace(request, service_tier=tier)
    choice = request.tool_choice
    idle = choice is not None and choice.mode in ("auto", "none")
    return msgspec.structs.replace(
        request, parallel_tool_calls=None, tool_choice=None if idle else choice, service_tier=tier
    )


def header_usage(headers: Mapping[bytes, bytes]) -> Usage | None:
    """The tokens that the header lines of a whole answer tell, names in lower case; ``None`` where they tell none."""
    counts = {key: _count(headers.get(name)) for key, name in _COUNTS.items()}
    if counts["input"] is None and counts["output"] is None:
        return None
    return _usage(counts["input"], counts["output"], counts["read"], counts["write"])


def _usage(inputs: int | None, outputs: int | None, read: int | None, write: int | None) -> Usage:
    read, write = max(0, read or 0), max(0, write or 0)
    return Usage(
        max(0, inputs or 0) + read + write,
        max(0, outputs or 0),
        cached_read_tokens=read,
        cache_write_tokens=write,
    )


def _count(value: bytes | None) -> int | None:
    return int(value) if value is not None and value.isdigit() and len(value) <= _LONGEST_COUNT else None
