"""Formats, without I/O: each dialect to and from one neutral model, and the framing of streams.

The three functions are the road's: :func:`upstream_body` before an attempt is sent, :func:`unary_answer` or
:func:`stream_relay` after. Each takes the client's dialect and the target, and passes bytes untouched where the two
speak the same one. All of it is idempotent: a retry runs it again on the same :class:`Envelope`.

A further dialect is one module with a :class:`Dialect` and one row in :data:`DIALECTS`.
"""

from __future__ import annotations

import time

from trimaran.types import Target, Usage
from trimaran.wire.anthropic_messages import AnthropicMessages
from trimaran.wire.dialect import Dialect, Envelope, Refusals
from trimaran.wire.failures import client_status
from trimaran.wire.openai_chat import OpenAIChat
from trimaran.wire.relay import StreamRelay, TranslatingRelay

__all__ = [
    "DIALECTS",
    "Dialect",
    "Envelope",
    "StreamRelay",
    "client_status",
    "stream_relay",
    "unary_answer",
    "upstream_body",
]

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (OpenAIChat(), AnthropicMessages())}
"""By name. The names are those of ``Target.dialect``."""


def upstream_body(client: Dialect, envelope: Envelope, target: Target) -> bytes:
    """The request body for ``target``.

    In the same dialect the client's bytes with the target's model name, and with usage asked for where the dialect does
    not report it unasked. Otherwise a translation. Raises :class:`UnsupportedFeature` naming each field that the
    translation would lose, or :class:`InvalidRequest` for one that it cannot read.
    """
    if client.name in target.dialects:
        return client.rewrite(envelope, target.upstream_model)
    request = client.decode_request(envelope.body, target)
    if request.messages and request.messages[-1].role == "assistant":
        # One dialect continues such a turn, the other one answers it.
        refusals = Refusals(client.name, target)
        refusals.add("messages", "the last turn is the assistant's")
        refusals.check()
    return DIALECTS[target.dialects[0]].encode_request(request, target, client.name)


def unary_answer(
    client: Dialect, target: Target, body: bytes, *, created_s: int | None = None
) -> tuple[bytes, Usage | None, str]:
    """The body for the client, the usage if the target told it, and the neutral finish reason of a whole answer.

    Raises :class:`MalformedAnswer`, or the :class:`AttemptError` that an error in the body stands for. ``created_s``
    (Unix time) goes into a translated answer whose dialect states it; the clock's when left out.
    """
    if client.name in target.dialects:
        usage, reason = client.inspect(body)
        return body, usage, reason
    answer = DIALECTS[target.dialects[0]].decode_answer(body)
    created_s = int(time.time()) if created_s is None else created_s
    return client.encode_answer(answer, created_s), answer.usage, answer.finish_reason


def stream_relay(client: Dialect, envelope: Envelope, target: Target, *, created_s: int | None = None) -> StreamRelay:
    """A relay for the stream of one attempt at ``target``; ``created_s`` as in :func:`unary_answer`."""
    if client.name in target.dialects:
        return client.pass_relay(envelope)
    decoder = DIALECTS[target.dialects[0]].stream_decoder()
    created_s = int(time.time()) if created_s is None else created_s
    return TranslatingRelay(decoder, client.stream_encoder(envelope, created_s))
