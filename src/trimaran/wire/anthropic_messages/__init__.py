"""``anthropic.messages``: Anthropic's Messages API, complete, and its counting of tokens, ``anthropic.count_tokens``.

``request`` and ``content`` decode a client's request, ``upstream`` and ``blocks`` write one for a target, ``thinking``
is the control of reasoning both ways. ``answer`` holds whole answers, ``decoder`` and ``encoder`` streams, ``usage``
what all of them share. ``needs`` reads what a request asks of a target without decoding it.
"""

from __future__ import annotations

from trimaran.wire.anthropic_messages.dialect import AnthropicCountTokens, AnthropicMessages
from trimaran.wire.anthropic_messages.upstream import DEFAULT_MAX_TOKENS

__all__ = ["DEFAULT_MAX_TOKENS", "AnthropicCountTokens", "AnthropicMessages"]
