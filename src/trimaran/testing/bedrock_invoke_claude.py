"""Claude's body through InvokeModel: Anthropic's message API without ``model`` and ``stream``, with a version in the body.

The form itself is read and written by the simulation of Anthropic's API; here stands what Bedrock makes of it. Which members
Bedrock does not take follows the guide "Anthropic Claude Messages API" of AWS (read 2026-11-30) and answers quoted in
public issue threads.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from trimaran.testing.anthropic_messages import AnthropicMessages
from trimaran.testing.anthropic_writer import MessagesWriter
from trimaran.testing.bedrock_models import Served, refused
from trimaran.testing.dialect import Request
from trimaran.testing.exchange import Prompt, Refusal, Reply

__all__ = ["ClaudeBody"]

_VERSIONS = frozenset({"bedrock-2023-05-31", "2026-10-21"})
"""Bedrock's own word, and the version that anthropic 2.13.0 (Python client, read 2026-11-30) sends there."""
_NOT_HERE = ("model", "stream", "service_tier", "container", "mcp_servers", "inference_geo", "speed", "diagnostics")


class ClaudeBody:
    """See :class:`~trimaran.testing.bedrock_invoke.BedrockInvoke`."""

    def __init__(self) -> None:
        self._messages = AnthropicMessages()

    def read(self, body: bytes, model_id: str, served: Served) -> Prompt:
        """Raises a ``ValidationException`` in Anthropic's words."""
        members = _members(body)
        for name in _NOT_HERE:
            if name in members:
                raise refused(f"{name}: Extra inputs are not permitted")
        version = members.pop("anthropic_version", None)
        if version is None:
            raise refused("anthropic_version: Field required")
        if version not in _VERSIONS:
            raise refused("Invalid API version")
        betas = members.pop("anthropic_beta", [])
        if not isinstance(betas, list) or not all(isinstance(beta, str) for beta in betas):
            raise refused("anthropic_beta: Input should be a valid list")
        _check_sources(members.get("messages"))
        asked = msgspec.json.encode({"model": model_id, **members})
        try:
            return self._messages.read(Request(b"POST", b"", [], asked, True))
        except Refusal as refusal:
            raise refused(refusal.message) from None

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> MessagesWriter:
        """Its answers name the model as Anthropic does."""
        name = re.sub(r"-v\d+(:\d+)?\Z", "", prompt.request.served.base.removeprefix("anthropic."))
        return MessagesWriter(msgspec.structs.replace(prompt, model=name), reply, serial)


def _members(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise refused("Malformed input request, please reformat your input and try again.") from None


def _check_sources(messages: Any) -> None:
    """Pictures and documents come in the body; Bedrock fetches none."""
    for place, message in enumerate(messages if isinstance(messages, list) else ()):
        content = message.get("content") if isinstance(message, dict) else None
        for at, block in enumerate(content if isinstance(content, list) else ()):
            source = block.get("source") if isinstance(block, dict) else None
            if isinstance(source, dict) and source.get("type") in ("url", "file"):
                where = f"messages.{place}.content.{at}.{block.get('type')}.source"
                raise refused(f"{where}.type: Input should be 'base64'")
