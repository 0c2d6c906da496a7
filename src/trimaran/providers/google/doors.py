"""Which door leads to a target of Vertex AI."""

from __future__ import annotations

from trimaran.providers.door import Door
from trimaran.providers.google.vertex import VertexDoor, VertexGemini, VertexGeminiCount, VertexOpenAI
from trimaran.providers.google.vertex_claude import VertexClaude, VertexClaudeCount
from trimaran.providers.google.vertex_endpoints import VertexEndpointDoor
from trimaran.types import Target
from trimaran.wire import Dialect

__all__ = ["vertex_door"]

_DOORS: dict[str, type[VertexDoor]] = {
    "gemini.generate": VertexGemini,
    "gemini.count_tokens": VertexGeminiCount,
    "anthropic.messages": VertexClaude,
    "anthropic.count_tokens": VertexClaudeCount,
    "openai.chat": VertexOpenAI,
}


def vertex_door(target: Target, dialect: Dialect) -> Door:
    """The door of one dialect."""
    if "endpoint" in target.facts:
        return VertexEndpointDoor(target, dialect)
    return _DOORS.get(dialect.name, VertexDoor)(target, dialect)
