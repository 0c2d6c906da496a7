"""The ``openai`` SDK's Azure clients in the suites of OpenAI's dialects.

What Azure adds to OpenAI's answers is taken away before a check sees it, after a look at whether it is as Azure sends it: a stream of
chat begins with a chunk about the prompt that has neither choices nor an id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trimaran.testing.contract.openai_chat_session import OpenAISession
from trimaran.testing.contract.openai_embeddings import EmbeddingsSession
from trimaran.testing.contract.openai_responses_session import ResponsesSession
from trimaran.testing.contract.suite import Session, expect

__all__ = ["API_VERSION", "AzureChatSession", "AzureEmbeddingsSession", "AzureResponsesSession"]

API_VERSION = "2025-04-01-preview"
_TIMEOUT_S = 20.0


class _AzureClient(Session):
    """``endpoint`` is the account's address, without ``/openai``; the SDK's own retries are off. With ``v1`` the client is the plain
    one, at the account's v1 paths. ``options`` go to the SDK's client, such as ``azure_ad_token``."""

    default_model = "gpt-4o-mini"

    def __init__(
        self,
        endpoint: str,
        key: str,
        *,
        model: str | None = None,
        asynchronous: bool = False,
        v1: bool = False,
        rename: Callable[[str], str] = str,
        **options: Any,
    ) -> None:
        import openai

        options = {"api_key": key, "max_retries": 0, "timeout": _TIMEOUT_S, **options}
        if v1:
            build: Callable[..., Any] = openai.AsyncOpenAI if asynchronous else openai.OpenAI
            options.setdefault("base_url", f"{endpoint.rstrip('/')}/openai/v1/")
        else:
            build = openai.AsyncAzureOpenAI if asynchronous else openai.AzureOpenAI
            options |= {"azure_endpoint": endpoint, "api_version": options.get("api_version", API_VERSION)}
        model = model or self.default_model
        Session.__init__(self, build, model=model, asynchronous=asynchronous, rename=rename, **options)


class AzureChatSession(_AzureClient, OpenAISession):
    """Chat completions of deployments."""

    def collect(self, method: Callable[..., Any], *, at_most: int | None = None, **fields: Any) -> list[Any]:
        """The stream without its first chunk."""
        more = None if at_most is None else at_most + 1
        chunks = super().collect(method, at_most=more, **fields)
        first = chunks[0]
        expect(not first.choices and not first.id, "the first chunk is about the prompt alone", first)
        expect(first.model_extra.get("prompt_filter_results"), "it says what the filter thinks of it", first)
        return chunks[1:]


class AzureResponsesSession(_AzureClient, ResponsesSession):
    """Responses of deployments."""


class AzureEmbeddingsSession(_AzureClient, EmbeddingsSession):
    """Embeddings of deployments."""

    default_model = "text-embedding-3-small"
