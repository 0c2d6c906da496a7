"""Formats, without I/O: each dialect to and from one neutral model, and the framing of streams.

:func:`translate` is the road's: it makes a :class:`Translation` for an attempt, which holds the request's body for the
target and reads the answer, whole or as a stream. Bytes pass untouched where client and target speak the same dialect.
:class:`Transcript` and :func:`continue_translation` continue a stream that broke off at another target.

A further dialect is one module with a :class:`Dialect` and one row in :data:`DIALECTS`.
"""

from __future__ import annotations

from trimaran.types import Target
from trimaran.wire import continuation as _continuation
from trimaran.wire import translation as _translation
from trimaran.wire.anthropic_messages import AnthropicCountTokens, AnthropicMessages
from trimaran.wire.azure_ml_score import AzureMLScore
from trimaran.wire.azure_paths import AZURE_HOME, named_body, plain_path
from trimaran.wire.bedrock_converse import BedrockConverse
from trimaran.wire.bedrock_llama import BedrockLlama
from trimaran.wire.bedrock_mistral import BedrockMistral
from trimaran.wire.continuation import Transcript
from trimaran.wire.conversation import Notes
from trimaran.wire.dialect import ChatDialect, Dialect, Envelope, Streaming
from trimaran.wire.failures import client_status
from trimaran.wire.gemini_generate import GeminiCountTokens, GeminiGenerate
from trimaran.wire.huggingface_generate import HuggingFaceGenerate
from trimaran.wire.kserve_v2 import KServeV2
from trimaran.wire.openai_chat import OpenAIChat
from trimaran.wire.openai_embeddings import OpenAIEmbeddings
from trimaran.wire.openai_responses import OpenAIInputTokens, OpenAIResponses
from trimaran.wire.relay import StreamRelay
from trimaran.wire.sagemaker_invocations import SageMakerInvocations
from trimaran.wire.translation import Translation
from trimaran.wire.vertex_predict import VertexPredict

__all__ = [
    "DIALECTS",
    "ChatDialect",
    "Dialect",
    "Envelope",
    "Notes",
    "StreamRelay",
    "Streaming",
    "Transcript",
    "Translation",
    "client_status",
    "continue_translation",
    "named_body",
    "surface",
    "translate",
]

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        OpenAIChat(),
        OpenAIResponses(),
        OpenAIInputTokens(),
        OpenAIEmbeddings(),
        AnthropicMessages(),
        AnthropicCountTokens(),
        BedrockConverse(),
        BedrockLlama(),
        BedrockMistral(),
        GeminiGenerate(),
        GeminiCountTokens(),
        AzureMLScore(),
        HuggingFaceGenerate(),
        KServeV2(),
        SageMakerInvocations(),
        VertexPredict(),
    )
}
"""By name. The names are those of ``Target.dialects``."""


_FIXED = {dialect.path: dialect for dialect in DIALECTS.values() if dialect.serves(dialect.path)}
_OPEN = tuple(dialect for dialect in DIALECTS.values() if dialect.path not in _FIXED)


def surface(path: bytes) -> Dialect | None:
    """The dialect in which a client speaks that sends a request to ``path``."""
    found = _FIXED.get(path)
    if found is None and path.startswith(AZURE_HOME):
        return _FIXED.get(plain_path(path))
    if found is None:
        for dialect in _OPEN:
            if dialect.serves(path):
                return dialect
    return found


def translate(client: Dialect, envelope: Envelope, target: Target) -> Translation:
    """The translation of one request for ``target``. Raises :class:`UnsupportedFeature` naming each field that would be
    lost, or :class:`InvalidRequest` for one that cannot be read."""
    return _translation.translate(client, envelope, target, DIALECTS)


def continue_translation(
    client: ChatDialect, envelope: Envelope, target: Target, transcript: Transcript
) -> Translation:
    """The translation of a request that asks ``target`` to go on with an answer that broke off. Raises
    :class:`UnsupportedFeature` where that is not possible; see :mod:`trimaran.wire.continuation`."""
    return _continuation.continue_translation(client, envelope, target, transcript, DIALECTS)
