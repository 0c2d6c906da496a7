"""Contract suites: the vendor's SDK judges whoever claims to speak its dialect.

They run alike against a simulated provider, a gateway, or (with ``simulated=False``) the real thing. The SDKs are
imported when a session is made.
"""

from __future__ import annotations

from trimaran.testing.contract.anthropic_messages import (
    ANTHROPIC_MESSAGES,
    AnthropicSession,
    check_anthropic_messages,
)
from trimaran.testing.contract.anthropic_session import AnthropicBedrockSession
from trimaran.testing.contract.azure_openai import (
    AZURE_OPENAI,
    SIMULATED_DEPLOYMENTS,
    SIMULATED_FILTERS,
    check_azure_openai,
)
from trimaran.testing.contract.azure_session import (
    AzureChatSession,
    AzureEmbeddingsSession,
    AzureResponsesSession,
)
from trimaran.testing.contract.bedrock_converse import BEDROCK_CONVERSE, BedrockSession, check_bedrock_converse
from trimaran.testing.contract.gemini_generate import GEMINI_GENERATE, GeminiSession, check_gemini_generate
from trimaran.testing.contract.openai_chat import OPENAI_CHAT, OpenAISession, check_openai_chat
from trimaran.testing.contract.openai_embeddings import (
    OPENAI_EMBEDDINGS,
    EmbeddingsSession,
    check_openai_embeddings,
)
from trimaran.testing.contract.openai_responses import OPENAI_RESPONSES, ResponsesSession, check_openai_responses
from trimaran.testing.contract.sagemaker import SAGEMAKER_RUNTIME, SageMakerSession, check_sagemaker
from trimaran.testing.contract.sagemaker_session import SIMULATED_ENDPOINT_BEHAVIOURS, SIMULATED_ENDPOINTS
from trimaran.testing.contract.suite import (
    SIMULATED_MODELS,
    Check,
    ContractError,
    Session,
    Suite,
    differences,
    plain,
)

__all__ = [
    "ANTHROPIC_MESSAGES",
    "AZURE_OPENAI",
    "BEDROCK_CONVERSE",
    "GEMINI_GENERATE",
    "OPENAI_CHAT",
    "OPENAI_EMBEDDINGS",
    "OPENAI_RESPONSES",
    "SAGEMAKER_RUNTIME",
    "SIMULATED_DEPLOYMENTS",
    "SIMULATED_ENDPOINTS",
    "SIMULATED_ENDPOINT_BEHAVIOURS",
    "SIMULATED_FILTERS",
    "SIMULATED_MODELS",
    "AnthropicBedrockSession",
    "AnthropicSession",
    "AzureChatSession",
    "AzureEmbeddingsSession",
    "AzureResponsesSession",
    "BedrockSession",
    "Check",
    "ContractError",
    "EmbeddingsSession",
    "GeminiSession",
    "OpenAISession",
    "ResponsesSession",
    "SageMakerSession",
    "Session",
    "Suite",
    "check_anthropic_messages",
    "check_azure_openai",
    "check_bedrock_converse",
    "check_gemini_generate",
    "check_openai_chat",
    "check_openai_embeddings",
    "check_openai_responses",
    "check_sagemaker",
    "differences",
    "plain",
]
