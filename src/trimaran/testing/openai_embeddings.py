"""The ``openai.embeddings`` wire format as a simulated provider speaks it; the ``openai`` SDK is its judge.

A vector is drawn from a digest of its input: equal inputs have equal vectors of length 1, and different ones are almost
at right angles. A shorter vector is the beginning of the long one, scaled to length 1 again, as OpenAI does it.
"""

from __future__ import annotations

import base64
import hashlib
import math
import sys
from array import array
from typing import Literal

import msgspec

from trimaran.testing.behaviour import Behaviour
from trimaran.testing.compose import reported_usage
from trimaran.testing.dialect import Request
from trimaran.testing.exchange import Part, Prompt, Reply
from trimaran.testing.openai_common import OpenAIDialect, decode, encode, invalid
from trimaran.testing.transcript import text_tokens
from trimaran.testing.whole import WholeWriter

__all__ = ["OpenAIEmbeddings", "unit_vector"]

_MAX_INPUTS = 2_048
_MAX_INPUT_TOKENS = 8_192
_MAX_TOTAL_TOKENS = 300_000
_FIXED_LENGTH = "text-embedding-ada-002"


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    user: str | None = None


class _Wanted(msgspec.Struct):
    """What the answer needs."""

    inputs: list[str | list[int]]
    as_base64: bool
    dimensions: int | None
    length: int = 0


_decoder = msgspec.json.Decoder(_Request)


class OpenAIEmbeddings(OpenAIDialect):
    """``POST /v1/embeddings``."""

    name = "openai.embeddings"
    path = b"/v1/embeddings"
    context_field = "input"

    def read(self, request: Request) -> Prompt:
        """Reads a request for vectors."""
        wanted = decode(request.body, _decoder)
        inputs = _inputs(wanted.input)
        counts = [text_tokens(len(item)) if isinstance(item, str) else len(item) for item in inputs]
        for count in counts:
            if count > _MAX_INPUT_TOKENS:
                message = f"This model's maximum context length is {_MAX_INPUT_TOKENS} tokens, however you requested "
                raise invalid(f"{message}{count} tokens. Please reduce your prompt.", "input")
        if sum(counts) > _MAX_TOTAL_TOKENS:
            message = f"Requested {sum(counts)} tokens, max {_MAX_TOTAL_TOKENS} tokens per request"
            raise invalid(message, "input", "max_tokens_per_request")
        if wanted.dimensions is not None and wanted.dimensions < 1:
            raise invalid("Invalid 'dimensions': must be 1 or more.", "dimensions", "integer_below_min_value")
        if wanted.dimensions is not None and wanted.model == _FIXED_LENGTH:
            raise invalid("This model does not support specifying dimensions.", "dimensions")
        prompt = Prompt(wanted.model, turns=len(inputs), input_tokens=sum(counts))
        prompt.request = _Wanted(inputs, wanted.encoding_format == "base64", wanted.dimensions)
        return prompt

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """No text; the usage counts input only."""
        longest = behaviour.embedding_dimensions
        wanted: _Wanted = prompt.request
        wanted.length = longest if wanted.dimensions is None else wanted.dimensions
        if wanted.length > longest:
            message = f"Invalid value for 'dimensions' = {wanted.length}. Must be less than or equal to {longest}."
            raise invalid(message, "dimensions")
        return Reply([Part("text", [])], "stop", reported_usage(prompt, behaviour, 0))

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> WholeWriter:
        """The list of vectors."""
        wanted: _Wanted = prompt.request
        rows = []
        for index, item in enumerate(wanted.inputs):
            vector = unit_vector(item, wanted.length)
            value = _base64(vector) if wanted.as_base64 else vector.tolist()
            rows.append({"object": "embedding", "index": index, "embedding": value})
        usage = {"prompt_tokens": reply.usage.input, "total_tokens": reply.usage.input}
        body = encode({"object": "list", "data": rows, "model": prompt.model, "usage": usage})
        return WholeWriter(body, self, serial)


def _inputs(value: str | list[str | int | list[int]]) -> list[str | list[int]]:
    """The inputs of a request, in order: texts or token lists."""
    if isinstance(value, str):
        value = [value]
    elif value and all(isinstance(item, int) for item in value):
        value = [[item for item in value if isinstance(item, int)]]
    if not value:
        raise invalid("Invalid 'input': input cannot be an empty array.", "input", "empty_array")
    if len(value) > _MAX_INPUTS:
        message = (
            f"Invalid 'input': array too long. Expected an array with maximum length {_MAX_INPUTS}, but got an array"
        )
        raise invalid(f"{message} with length {len(value)} instead.", "input", "array_above_max_length")
    kinds = {type(item) for item in value}
    if len(kinds) > 1 or int in kinds:
        raise invalid("Invalid 'input': use strings, or arrays of token ids, not a mixture.", "input", "invalid_type")
    inputs: list[str | list[int]] = []
    for item in value:
        if isinstance(item, int):
            continue
        if not item:
            what = "an empty string" if isinstance(item, str) else "an empty array"
            raise invalid(f"Invalid 'input': input cannot be {what}.", "input", "invalid_value")
        if not isinstance(item, str) and min(item) < 0:
            raise invalid("Invalid 'input': token ids are 0 or more.", "input", "invalid_value")
        inputs.append(item)
    return inputs


def unit_vector(item: str | list[int], length: int) -> array[float]:
    """The vector of an input: ``length`` single-precision numbers whose squares add up to 1."""
    key = b"text\0" + item.encode() if isinstance(item, str) else b"tokens\0" + encode(item)
    drawn = array("h", hashlib.shake_256(key).digest(2 * length))
    if sys.byteorder == "big":
        drawn.byteswap()
    size = math.sqrt(math.sumprod(drawn, drawn)) if hasattr(math, "sumprod") else math.sqrt(sum(n * n for n in drawn))
    return array("f", [n / size for n in drawn] if size else [1.0, *([0.0] * (length - 1))])


def _base64(vector: array[float]) -> str:
    """Little-endian single-precision numbers, as OpenAI sends them."""
    if sys.byteorder == "big":
        vector = array("f", vector)
        vector.byteswap()
    return base64.b64encode(vector.tobytes()).decode()
