"""``openai.chat``: the Chat Completions API, spoken by OpenAI and by most servers of open models.

``dialect`` joins the parts: ``request`` and ``messages`` read a client's request, ``upstream`` writes one for a target,
``answer``, ``stream`` and ``stream_writer`` read and write answers, ``passing`` looks at streams that pass.
"""

from __future__ import annotations

from trimaran.wire.openai_chat.dialect import OpenAIChat

__all__ = ["OpenAIChat"]
