"""``openai.responses`` and ``openai.input_tokens``: OpenAI's Responses API, to and from the neutral model.

A conversation here is a flat list of items, and an answer is one, too: messages, reasoning, calls. Requests are read in
``request``, ``items`` and ``content`` and written in ``upstream``; answers are in ``answer``, streams in ``stream``,
``stream_writer`` and ``passing``.
"""

from __future__ import annotations

from trimaran.wire.openai_responses.dialect import OpenAIInputTokens, OpenAIResponses

__all__ = ["OpenAIInputTokens", "OpenAIResponses"]
