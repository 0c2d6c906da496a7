"""How large an attempt can be in tokens, which its price makes the bound that is reserved and held against a cost cap.

A token stands for at least one byte of what is sent, so the body's length bounds what is written there. Three things are
billed and do not stand there: what a provider says to its model about tools, a picture, whose tokens have nothing to do
with its bytes, and what is only referred to (a document's pages, a conversation that the provider keeps).
"""

from __future__ import annotations

from trimaran.types import Target, feature_mask
from trimaran.wire import Envelope

__all__ = ["DEFAULT_OUTPUT_TOKENS", "input_bound", "output_bound"]

DEFAULT_OUTPUT_TOKENS = 131_072
"""Where neither the client nor anything known of the target limits an answer. No model in the catalogue but one gives more
in one answer, and of that one it is known. An attempt at a target that demands a limit asks for less than this."""

TOOLS_TOKENS = 1024
"""What a provider adds to a prompt with tools. Anthropic says up to 530 tokens
(https://docs.anthropic.com/en/docs/tool-use-pricing-and-tokens), the others nothing."""

PICTURE_TOKENS = 16_384
"""Of one picture, where nothing else is known: the largest that served models cut a picture into."""
_PICTURE_TOKENS = {"gpt-4o-mini": 48_169}
"""By family. 2833 tokens, and 5667 for each of at most 8 tiles: 2845 and 8512 for a picture of one tile and a few words
are reported in https://community.openai.com/t/1262691."""

LONGEST_CONTEXT = 1_050_000
"""Tokens of what is referred to, where the model's context is unknown: the longest of the models that keep something."""

_TOOLS = feature_mask("tools", "json_schema")
_VISION = feature_mask("vision")
_DOCUMENTS = feature_mask("documents")


def input_bound(envelope: Envelope, sent: bytes, target: Target) -> int:
    """The most input tokens that the request of ``envelope`` can be billed as when ``sent`` goes to ``target``."""
    tokens = max(len(envelope.body), len(sent))
    needs = envelope.needs
    if needs & _TOOLS:
        # A schema may be kept by a tool.
        tokens += TOOLS_TOKENS
    known = target.capabilities
    if needs & _VISION:
        each = PICTURE_TOKENS if known is None else _PICTURE_TOKENS.get(known.family, PICTURE_TOKENS)
        tokens += _pictures(envelope.body) * each
    if needs & _DOCUMENTS or envelope.stateful:
        tokens += (known.context_tokens if known is not None else None) or LONGEST_CONTEXT
    return tokens


def output_bound(envelope: Envelope, target: Target) -> int:
    """The most output tokens, over all answers."""
    if envelope.max_output_tokens is not None:
        return envelope.max_output_tokens
    known = target.capabilities
    limit = target.max_output_tokens or (known.max_output_tokens if known is not None else None)
    return (limit or DEFAULT_OUTPUT_TOKENS) * envelope.answers


def _pictures(body: bytes) -> int:
    """At least as many as there are. A quotation mark inside a text is escaped, so a text that speaks of pictures does not
    count. Chat Completions says ``image_url`` twice of each, as type and as member; the others have a type of their own."""
    return (body.count(b'"image_url"') + 1) // 2 + body.count(b'"input_image"') + body.count(b'"image"')
