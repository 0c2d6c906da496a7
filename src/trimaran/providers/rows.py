"""The providers we know, one row each: where, how to authenticate, what to ask for.

A provider that speaks OpenAI's chat API costs one row and nothing else. Each row says where its facts were read and
when. ``base_url`` ends before ``/v1``, because the path of a dialect begins with it.

Left out on purpose: Perplexity, which ended its chat completions in September 2026; Z.ai, whose path has no ``/v1``.
"""

from __future__ import annotations

import msgspec

from trimaran.types import Capabilities

__all__ = ["ANTHROPIC_VERSION", "NOT_YET", "PROVIDERS", "ProviderRow", "output_limit"]

ANTHROPIC_VERSION = "2023-06-01"
"""Sent where the client named none. Not 2026-10-21: that one refuses ``temperature``, ``top_p`` and ``top_k``, which a
translated OpenAI request may carry. (https://platform.claude.com/docs/en/api/versioning, read 2026-11-24)"""


class ProviderRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one provider."""

    name: str
    dialects: tuple[str, ...]
    """The first one is preferred where a request has to be translated."""
    base_url: str
    key_env: tuple[str, ...]
    """Environment variables that may hold the credential; the first one that is set counts."""
    base_url_env: tuple[str, ...] = ()
    """Variables that the vendor's own clients read for another base URL."""
    auth: str = "bearer"
    """``bearer``, or the name of the header that holds the key: ``x-api-key``."""
    default_model: str = ""
    """A small, fast model for ``auto``; empty keeps the provider out of it."""
    check_path: str = "/v1/models"
    """A GET that costs nothing and needs a valid credential."""
    price_provider: str = ""
    """Its id in the price table."""
    aws_service: str = ""
    """The name under which requests are signed, where AWS's signature authenticates them instead of a key."""
    token: str = ""
    """The kind of the identity whose token authenticates requests, where there is no key: ``google``, ``entra``."""
    door: str = ""
    """A name in ``providers.DOORS``; empty: the plain one."""
    tier_is_asked: bool = False
    """Only a request that asks for another service tier gets one: no setting of the account gives it."""
    cold_start_s: float = 0.0
    """How long it may take until something runs there that answers; 0: it always runs."""
    names_models: bool = True
    """What comes after its name in a target says which base model answers; an endpoint's name does not."""
    source: str
    """Where these facts were read, and when."""

    @property
    def cloud(self) -> str:
        """The kind of its identity where it may be authenticated without a key; empty: there is no such way."""
        return self.token or ("aws" if self.aws_service else "")


_ROWS = (
    ProviderRow(
        name="openai",
        dialects=("openai.chat", "openai.responses", "openai.embeddings", "openai.input_tokens"),
        base_url="https://api.openai.com",
        key_env=("OPENAI_API_KEY",),
        base_url_env=("OPENAI_BASE_URL",),
        default_model="gpt-4o-mini",
        price_provider="openai",
        source="openai 3.57.0 (Python client), 2026-11-24",
    ),
    ProviderRow(
        name="anthropic",
        dialects=("anthropic.messages", "anthropic.count_tokens"),
        base_url="https://api.anthropic.com",
        key_env=("ANTHROPIC_API_KEY",),
        base_url_env=("ANTHROPIC_BASE_URL",),
        auth="x-api-key",
        default_model="claude-haiku-4-5-20251001",
        price_provider="anthropic",
        source="anthropic 2.13.0 (Python client), 2026-11-24",
    ),
    ProviderRow(
        name="groq",
        dialects=("openai.chat", "openai.responses"),
        base_url="https://api.groq.com/openai",
        key_env=("GROQ_API_KEY",),
        default_model="openai/gpt-oss-20b",
        price_provider="groq",
        source="groq 1.7.0 (Python client), https://console.groq.com/docs/openai, 2026-11-24",
    ),
    ProviderRow(
        name="mistral",
        dialects=("openai.chat", "openai.embeddings"),
        base_url="https://api.mistral.ai",
        key_env=("MISTRAL_API_KEY",),
        default_model="mistral-small-latest",
        price_provider="mistral",
        source="mistralai 3.7.0 (Python client), 2026-11-24",
    ),
    ProviderRow(
        name="together",
        dialects=("openai.chat", "openai.embeddings"),
        base_url="https://api.together.ai",
        key_env=("TOGETHER_API_KEY",),
        price_provider="together",
        source="together 3.1.1 (Python client), 2026-11-24",
    ),
    ProviderRow(
        name="fireworks",
        dialects=("openai.chat", "openai.embeddings"),
        base_url="https://api.fireworks.ai/inference",
        key_env=("FIREWORKS_API_KEY",),
        price_provider="fireworks",
        source="langchain-fireworks 1.7.1 and pydantic-ai-slim 2.68.0, 2026-11-24",
    ),
    ProviderRow(
        name="deepseek",
        dialects=("openai.chat",),
        base_url="https://api.deepseek.com",
        key_env=("DEEPSEEK_API_KEY",),
        default_model="deepseek-v4-flash",
        price_provider="deepseek",
        source="langchain-deepseek 1.1.1 and pydantic-ai-slim 2.68.0, 2026-11-24",
    ),
    ProviderRow(
        name="cerebras",
        dialects=("openai.chat",),
        base_url="https://api.cerebras.ai",
        key_env=("CEREBRAS_API_KEY",),
        default_model="gpt-oss-120b",
        price_provider="cerebras",
        source="cerebras-cloud-sdk 1.91.0 (Python client), 2026-11-24",
    ),
    ProviderRow(
        name="xai",
        dialects=("openai.chat",),
        base_url="https://api.x.ai",
        key_env=("XAI_API_KEY",),
        price_provider="x-ai",
        source="langchain-xai 1.3.0 and https://docs.x.ai/developers/rest-api-reference/inference, 2026-11-24",
    ),
    ProviderRow(
        name="openrouter",
        dialects=("openai.chat", "openai.responses", "anthropic.messages", "openai.embeddings"),
        base_url="https://openrouter.ai/api",
        key_env=("OPENROUTER_API_KEY",),
        # Its list of models is public, so that it says nothing about a key.
        check_path="/v1/key",
        price_provider="openrouter",
        source="langchain-openrouter 0.2.9, https://openrouter.ai/docs (api-keys, and the endpoints in client-sdks), 2026-11-24",
    ),
    ProviderRow(
        name="gemini",
        dialects=("gemini.generate", "gemini.count_tokens"),
        base_url="https://generativelanguage.googleapis.com",
        # In google-genai's order.
        key_env=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        base_url_env=("GOOGLE_GEMINI_BASE_URL",),
        auth="x-goog-api-key",
        default_model="gemini-3.5-flash-lite",
        check_path="/v1beta/models?pageSize=1000",
        price_provider="google",
        source="google-genai 3.6.1, _api_client; https://ai.google.dev/api, 2026-11-30",
    ),
    ProviderRow(
        name="vertex",
        # And by model; see providers/google/vertex_target.py.
        dialects=("gemini.generate", "gemini.count_tokens"),
        base_url="https://{host}",
        key_env=(),
        base_url_env=("GOOGLE_VERTEX_BASE_URL", "ANTHROPIC_VERTEX_BASE_URL"),
        check_path="",
        token="google",
        door="vertex",
        price_provider="google",
        source="google-genai 3.6.1, _api_client; anthropic 2.13.0, lib/vertex; cloud.google.com/vertex-ai, 2026-11-30",
    ),
    ProviderRow(
        name="cloud_run",
        dialects=("openai.chat", "openai.embeddings"),
        base_url="https://{service}.run.app",
        key_env=(),
        check_path="",
        token="google",
        door="cloud_run",
        # A container has four minutes until it listens (cloud.google.com/run, "Container health checks", 2026-11-30).
        cold_start_s=240.0,
        source='cloud.google.com, "Authenticating service-to-service" and "Run LLM inference on Cloud Run GPUs", 2026-11-30',
    ),
    ProviderRow(
        name="azure_openai",
        # By deployment without Responses, where its model or the API's version has none.
        dialects=("openai.chat", "openai.responses", "openai.embeddings"),
        base_url="https://{resource}.openai.azure.com",
        key_env=("AZURE_OPENAI_API_KEY",),
        base_url_env=("AZURE_OPENAI_ENDPOINT",),
        auth="api-key",
        check_path="/openai/v1/models",
        token="entra",
        door="azure_openai",
        price_provider="azure",
        source="openai 3.57.0 (Python client), lib/azure.py; https://learn.microsoft.com/azure/ai-foundry/openai/reference, 2026-11-30",
    ),
    ProviderRow(
        name="azure_ml",
        dialects=("openai.chat", "openai.embeddings"),
        base_url="https://{endpoint}.{region}.inference.ml.azure.com",
        key_env=(),
        check_path="",
        token="entra",
        door="azure_ml",
        names_models=False,
        source="https://learn.microsoft.com/azure/machine-learning/how-to-authenticate-online-endpoint, 2026-11-30",
    ),
    ProviderRow(
        name="bedrock",
        # And by model what its own body allows; see providers/aws/bedrock_target.py.
        dialects=("bedrock.converse",),
        base_url="https://bedrock-runtime.{region}.amazonaws.com",
        key_env=("AWS_BEARER_TOKEN_BEDROCK",),
        base_url_env=("AWS_ENDPOINT_URL_BEDROCK_RUNTIME",),
        check_path="",
        aws_service="bedrock",
        tier_is_asked=True,
        door="bedrock",
        price_provider="aws",
        source="botocore 1.44.8, data/bedrock-runtime and data/endpoints.json, 2026-11-30",
    ),
    ProviderRow(
        name="sagemaker",
        dialects=("openai.chat", "openai.embeddings", "sagemaker.invocations"),
        base_url="https://runtime.sagemaker.{region}.amazonaws.com",
        key_env=(),
        base_url_env=("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME",),
        check_path="",
        aws_service="sagemaker",
        door="sagemaker",
        names_models=False,
        source="botocore 1.44.8, data/sagemaker-runtime and data/endpoints.json, 2026-11-30",
    ),
)

PROVIDERS: dict[str, ProviderRow] = {row.name: row for row in _ROWS}
"""By name, in the order in which they are preferred where several offer the same model."""

NOT_YET: frozenset[str] = frozenset(
    {
        "kserve",
        "modal",
        "pool",
    }
)
"""Words of the vocabulary that cannot be a target yet; named as such instead of as unknown."""

_SMALLEST_OUTPUT_LIMIT = 4096
"""What every Claude model allows; for a model whose longest answer nobody knows."""


def output_limit(dialects: tuple[str, ...], capabilities: Capabilities | None) -> int | None:
    """The longest answer to ask for in tokens, or ``None`` where the first of the dialects demands no limit."""
    if dialects[0] != "anthropic.messages":
        return None
    known = capabilities.max_output_tokens if capabilities is not None else None
    return known or _SMALLEST_OUTPUT_LIMIT
