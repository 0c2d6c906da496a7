"""Containers that speak OpenAI's chat at ``/invocations``: vLLM, the chat half of DJL LMI and of TGI.

They share reader and writer with the simulated OpenAI API, and differ from it where the real servers do: ``model`` may be
left out, further sampling parameters are taken, errors are worded differently, and LMI streams JSON lines and not
server-sent events. Sources, read 2026-11-30: vLLM's ``entrypoints/openai`` (protocol, ``/invocations``), djl-serving's
``djl_python/lmi_vllm/vllm_async_service.py`` and ``djl_python/async_utils.py``, TGI's ``router/src/sagemaker.rs`` and
``router/src/lib.rs``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.testing.behaviour import Behaviour
from trimaran.testing.compose import compose
from trimaran.testing.dialect import AnswerWriter, Request
from trimaran.testing.exchange import Prompt, Refusal, Reply
from trimaran.testing.openai_chat import OpenAIChat
from trimaran.testing.openai_common import encode
from trimaran.testing.sagemaker_containers import SSE, Call, ContainerError, json_object

__all__ = ["ChatServer", "LinesWriter", "read_chat"]

_EXTRAS = frozenset(
    {
        "add_generation_prompt",
        "add_special_tokens",
        "bad_words",
        "best_of",
        "cache_salt",
        "chat_template",
        "chat_template_kwargs",
        "continue_final_message",
        "documents",
        "guided_choice",
        "guided_grammar",
        "guided_json",
        "guided_regex",
        "ignore_eos",
        "include_reasoning",
        "include_stop_str_in_output",
        "kv_transfer_params",
        "length_penalty",
        "min_p",
        "min_tokens",
        "mm_processor_kwargs",
        "priority",
        "prompt_logprobs",
        "repetition_penalty",
        "request_id",
        "return_token_ids",
        "return_tokens_as_token_ids",
        "skip_special_tokens",
        "spaces_between_special_tokens",
        "stop_token_ids",
        "structured_outputs",
        "top_k",
        "truncate_prompt_tokens",
        "use_beam_search",
        "vllm_xargs",
    }
)
"""Fields that the engines take beside OpenAI's; the simulation has no use for them."""
_TYPES = {400: "BadRequestError", 404: "NotFoundError", 422: "BadRequestError", 429: "RateLimitError"}
_LINES = b"application/jsonlines"

_chat = OpenAIChat()


def read_chat(call: Call, fields: dict[str, Any], default_model: str) -> Prompt:
    """A chat request, decoded. Raises :class:`~trimaran.testing.exchange.Refusal`."""
    wanted = {name: value for name, value in fields.items() if name not in _EXTRAS}
    served = call.container.served_model
    model = wanted.get("model")
    if model is None:
        wanted["model"] = served or default_model
    elif served is not None and model != served:
        raise Refusal(404, "unknown_model", f"The model `{model}` does not exist.", param="model")
    return _chat.read(Request(b"POST", b"/invocations", [], encode(wanted), True))


class ChatServer:
    """vLLM, also in its Neuron build."""

    def read(self, call: Call) -> Prompt:
        """A body with ``messages``."""
        try:
            fields = json_object(call.body)
        except msgspec.MsgspecError as error:
            raise Refusal(400, "invalid", f"JSON decode error: {error}") from None
        if "messages" not in fields:
            message = "Cannot find suitable handler for request. Expected one of: ['ChatCompletionRequest']"
            raise Refusal(400, "invalid", message)
        return read_chat(call, fields, "/opt/ml/model")

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """As everywhere."""
        return compose(prompt, behaviour, name)

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> AnswerWriter:
        """OpenAI's."""
        return _chat.writer(prompt, reply, serial)

    def stream_type(self, prompt: Prompt) -> bytes:
        """Server-sent events."""
        return SSE + b"; charset=utf-8"

    def error(self, refusal: Refusal) -> ContainerError:
        """``{"error": {message, type, param, code}}``, ``code`` being the status."""
        kind = _TYPES.get(refusal.status, "InternalServerError")
        error = {"message": refusal.message, "type": kind, "param": refusal.param, "code": refusal.status}
        return ContainerError(refusal.status, encode({"error": error}))


class LinesWriter:
    """Rewrites the server-sent events of another writer as LMI does: the bare JSON, a line each; the end is an empty
    line."""

    def __init__(self, inner: AnswerWriter) -> None:
        self._inner = inner
        self.content_type = inner.content_type

    def lines(self, took_ms: int) -> bytes:
        """None."""
        return b""

    def unary(self) -> bytes:
        """As it was, and a line's end."""
        return self._inner.unary() + b"\n"

    def unary_error(self, refusal: Refusal) -> bytes:
        """As it was."""
        return self._inner.unary_error(refusal)

    def opening(self) -> bytes:
        """Lines before the first content."""
        return bare(self._inner.opening())

    def piece(self, piece: str) -> bytes:
        """The line of one token."""
        return bare(self._inner.piece(piece))

    def closing(self, *, end_marker: bool) -> bytes:
        """The last lines."""
        return bare(self._inner.closing(end_marker=end_marker))

    def malformed(self) -> bytes:
        """A line cut short."""
        return bare(self._inner.malformed())

    def error(self, refusal: Refusal, *, bare: bool = False) -> bytes:
        """An error instead of a line."""
        return encode({"error": refusal.message, "code": 424}) + b"\n"


def bare(events: bytes) -> bytes:
    """Server-sent events as JSON lines."""
    found = [block.removeprefix(b"data:").strip() for block in events.split(b"\n\n") if block]
    return b"".join(b"\n" if data == b"[DONE]" else data + b"\n" for data in found)


def lines_type() -> bytes:
    """The content type of JSON lines."""
    return _LINES
