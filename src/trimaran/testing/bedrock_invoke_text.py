"""Llama's and Mistral's bodies through InvokeModel.

Llama: ``{"prompt", "max_gen_len", "temperature", "top_p", "images"}``. Mistral's older models take a prompt as well, with
``max_tokens``, ``stop`` and ``top_k``; the newer ones take turns, see :mod:`~trimaran.testing.bedrock_invoke_turns`. Sources:
AWS's guide, "Meta Llama models" and "Mistral AI text completion", read 2026-11-30; words of refusals as in public issue
threads. That Llama 4 does not stream through InvokeModel, as that guide says, is not simulated.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from trimaran.testing.bedrock_dialect import decode_base64, decode_body, malformed
from trimaran.testing.bedrock_invoke_turns import TurnsBody
from trimaran.testing.bedrock_models import Served
from trimaran.testing.bedrock_prompts import read_llama, read_mistral
from trimaran.testing.dialect import AnswerWriter
from trimaran.testing.exchange import Part, Prompt, Refusal, Reply
from trimaran.testing.part_writer import PartWriter
from trimaran.testing.transcript import Transcript

__all__ = ["LlamaBody", "MistralBody"]

_encode = msgspec.json.encode
_DEFAULT_TOKENS = 512
_Share = Annotated[float, Meta(ge=0, le=1)]
_ONLY_TURNS = ("mistral.mistral-large-2407", "mistral.pixtral")
_ONLY_PROMPT = ("mistral.mistral-7b", "mistral.mixtral", "mistral.mistral-small-2402")


class _Llama(msgspec.Struct, forbid_unknown_fields=True):
    prompt: str
    max_gen_len: Annotated[int, Meta(ge=1, le=8192)] = _DEFAULT_TOKENS
    temperature: _Share = 0.5
    top_p: _Share = 0.9
    images: list[str] | None = None


class _Mistral(msgspec.Struct, forbid_unknown_fields=True):
    prompt: str
    max_tokens: Annotated[int, Meta(ge=1, le=8192)] = _DEFAULT_TOKENS
    stop: Annotated[list[str], Meta(max_length=10)] | None = None
    temperature: _Share = 0.5
    top_p: _Share = 0.9
    top_k: Annotated[int, Meta(ge=0, le=200)] = 50


_llama_decoder = msgspec.json.Decoder(_Llama)
_mistral_decoder = msgspec.json.Decoder(_Mistral)


class LlamaBody:
    """See :class:`~trimaran.testing.bedrock_invoke.BedrockInvoke`."""

    def read(self, body: bytes, model_id: str, served: Served) -> Prompt:
        """Raises a ``ValidationException``."""
        asked = decode_body(body, _llama_decoder)
        oldest = served.base.startswith(("meta.llama3-8b", "meta.llama3-70b"))
        if oldest and asked.max_gen_len > 2048:
            raise malformed(f"#/max_gen_len: {asked.max_gen_len} is not less or equal to 2048")
        if not asked.prompt:
            raise malformed("#/prompt: expected minLength: 1, actual: 0")
        prompt = Prompt(model_id, max_output_tokens=asked.max_gen_len, reasoning="off")
        transcript = Transcript(prompt)
        for place, image in enumerate(asked.images or ()):
            decode_base64(image, f"images.{place}")
            transcript.image()
        read_llama(asked.prompt, 4 if "llama4" in served.base else 3, len(asked.images or ()), transcript)
        return transcript.finish()

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> AnswerWriter:
        """``generation`` and counts."""
        return LlamaWriter(reply)


class MistralBody:
    """See :class:`~trimaran.testing.bedrock_invoke.BedrockInvoke`. A model takes a prompt, or turns, or both."""

    def __init__(self) -> None:
        self._turns = TurnsBody()

    def read(self, body: bytes, model_id: str, served: Served) -> Prompt:
        """Raises a ``ValidationException``."""
        takes_turns = served.base.startswith(_ONLY_TURNS) or (
            not served.base.startswith(_ONLY_PROMPT) and b'"messages"' in body
        )
        if takes_turns:
            return self._turns.read(body, model_id, served)
        asked = decode_body(body, _mistral_decoder)
        prompt = Prompt(model_id, max_output_tokens=asked.max_tokens, stop=tuple(asked.stop or ()), reasoning="off")
        transcript = Transcript(prompt)
        read_mistral(asked.prompt, transcript)
        return transcript.finish()

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> AnswerWriter:
        """``outputs`` or ``choices``, as it was asked."""
        if prompt.request.form == "turns":
            return self._turns.writer(prompt, reply, serial)
        return MistralWriter(reply)


class _TextWriter(PartWriter):
    """What both share: a text and nothing else. A refusal is a text, too."""

    def unary_error(self, refusal: Refusal) -> bytes:
        """Written by Bedrock."""
        return b""

    def opening(self) -> bytes:
        """Nothing comes before the first token."""
        return self.advance()

    def open_part(self, part: Part) -> bytes:
        """No event."""
        return b""

    def close_part(self, part: Part) -> bytes:
        """No event."""
        return b""

    def malformed(self) -> bytes:
        """Written by Bedrock."""
        return b""

    def error(self, refusal: Refusal, *, bare: bool = False) -> bytes:
        """Written by Bedrock."""
        return b""

    def _said(self) -> str:
        return "".join(part.text for part in self._reply.parts if part.kind in ("text", "refusal"))

    def _reason(self) -> str:
        return "length" if self._reply.finish == "length" else "stop"


class LlamaWriter(_TextWriter):
    """``{"generation", "prompt_token_count", "generation_token_count", "stop_reason"}``, whole and in pieces."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply)
        self._sent = 0

    def unary(self) -> bytes:
        """The answer."""
        usage = self._reply.usage
        return _encode(_generation(self._said(), usage.input, usage.output, self._reason()))

    def delta(self, piece: str) -> bytes:
        """A token; the first document has the prompt's count."""
        self._sent += 1
        counted = self._reply.usage.input if self._sent == 1 else None
        return _document(_generation(piece, counted, self._sent, None))

    def closing(self, *, end_marker: bool) -> bytes:
        """An empty text with the reason."""
        usage = self._reply.usage
        counted = None if self._sent else usage.input
        return self.advance() + _document(_generation("", counted, usage.output, self._reason()))


class MistralWriter(_TextWriter):
    """``{"outputs": [{"text", "stop_reason"}]}``, whole and in pieces."""

    def unary(self) -> bytes:
        """The answer."""
        return _encode(_output(self._said(), self._reason()))

    def delta(self, piece: str) -> bytes:
        """A token."""
        return _document(_output(piece, None))

    def closing(self, *, end_marker: bool) -> bytes:
        """An empty text with the reason."""
        return self.advance() + _document(_output("", self._reason()))


def _generation(text: str, prompt_tokens: int | None, tokens: int, reason: str | None) -> dict[str, Any]:
    return {
        "generation": text,
        "prompt_token_count": prompt_tokens,
        "generation_token_count": tokens,
        "stop_reason": reason,
    }


def _output(text: str, reason: str | None) -> dict[str, Any]:
    return {"outputs": [{"text": text, "stop_reason": reason}]}


def _document(fields: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % _encode(fields)
