"""What depends on the generation of a Gemini model, which its name says.

From the third generation on a model demands thought signatures on function calls, is told how much to think by a level,
takes pictures in a function's response and a response format beside tools. Names without a number that end in
``latest`` have meant such a model since 2026. Of a model with another name (a tuned one, an alias) its family in the
catalogue may know it.

Sources, read 2026-11-30: https://ai.google.dev/gemini-api/docs/generate-content/thought-signatures,
https://ai.google.dev/gemini-api/docs/gemini-3, https://ai.google.dev/gemini-api/docs/thinking.
"""

from __future__ import annotations

import re

from trimaran.types import Target

__all__ = ["generation", "is_vertex", "reasoning_way"]

_NUMBERED = re.compile(r"gemini-(\d+)")
_LATEST = re.compile(r"gemini-[a-z-]*latest")


def generation(target: Target) -> int:
    """The first number of the model's version; 0 where it is unknown or no Gemini."""
    family = target.capabilities.family if target.capabilities is not None else ""
    for name in (target.upstream_model, family):
        if (found := _NUMBERED.search(name)) is not None:
            return int(found[1])
        if _LATEST.search(name) is not None:
            return 3
    return 0


def reasoning_way(target: Target) -> str:
    """How the model is told how much to think: ``effort`` (a level), ``budget`` (of tokens), empty where unknown."""
    if target.capabilities is not None and target.capabilities.reasoning_control:
        return "budget" if target.capabilities.reasoning_control == "budget" else "effort"
    known = generation(target)
    return "effort" if known >= 3 else "budget" if known else ""


def is_vertex(target: Target) -> bool:
    """Whether the target is Vertex AI, which knows a few members more."""
    return "vertex" in (target.kind, target.provider) or target.door.startswith("vertex")
