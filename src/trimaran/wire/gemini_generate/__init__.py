"""``gemini.generate``: Google's generateContent and streamGenerateContent, both ends, for the Gemini API and Vertex AI,
and its counting of tokens, ``gemini.count_tokens`` (``counting``).

``request`` and ``content`` decode a client's request, ``upstream`` and ``turns`` write one for a target, ``thinking``
and ``schemas`` are the control of reasoning and the schemas, ``models`` what depends on a model's generation.
``answer`` holds whole answers, ``decoder`` and ``encoder`` streams, ``position`` where one stands, ``usage`` and
``signatures`` what all of them share. ``needs`` reads what a request asks of a target without decoding it, ``paths``
the model out of the path, ``names`` the two spellings that every member has.

The shapes are those of ``google.genai.types`` of google-genai 3.6.1.
"""

from __future__ import annotations

from trimaran.wire.gemini_generate.counting import GeminiCountTokens
from trimaran.wire.gemini_generate.dialect import GeminiGenerate

__all__ = ["GeminiCountTokens", "GeminiGenerate"]
