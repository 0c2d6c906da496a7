"""From a request to the features that routing decides by: sizes, needs and hashes, never text."""

from __future__ import annotations

from trimaran.routing import RouteRequest, prefix_hashes
from trimaran.types import feature_mask
from trimaran.wire import Dialect, Envelope

__all__ = ["route_request"]

BYTES_PER_TOKEN_AT_MOST = 16
"""A token of any text is shorter than this on average, escapes and white space included: the body's length over it is a
number of tokens that the prompt surely has."""

SEARCHED_FROM_BYTES = 2**16
"""A shorter body is not searched for base64: it is surely 4096 tokens at most, and models have room for them."""

_MEDIA = feature_mask("vision", "documents", "audio")
"""Base64 in a body says nothing of tokens."""


def route_request(envelope: Envelope, dialect: Dialect, wants_prefixes: bool) -> RouteRequest:
    """What decides where a request goes."""
    body = envelope.body
    # Counting is how one finds out whether a prompt fits.
    uncertain = envelope.needs & _MEDIA or dialect.operation == "count" or _has_base64(body)
    return RouteRequest(
        envelope.input_tokens,
        envelope.max_output_tokens,
        envelope.stream,
        envelope.needs,
        0 if uncertain else len(body) // BYTES_PER_TOKEN_AT_MOST,
        envelope.answers,
        prefix_hashes(body, *envelope.prompt_span) if wants_prefixes and envelope.prompt_span[1] else (),
    )


def _has_base64(body: bytes) -> bool:
    """Whether a large body may hold content of a kind that the dialect's needs do not name: a screenshot, a film, what a
    provider's own tool gave."""
    return len(body) > SEARCHED_FROM_BYTES and body.find(b"base64") >= 0
