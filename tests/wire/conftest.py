"""The vendors' SDKs as judges: what we write is put in front of their own parsers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import anthropic
import httpx2
import openai
import pytest
from google import genai
from google.genai import types as google_types

OpenAIClient = Callable[..., openai.OpenAI]
AnthropicClient = Callable[..., anthropic.Anthropic]
GoogleClient = Callable[..., genai.Client]


def _http(status: int, body: bytes, content_type: str, seen: list[bytes] | None) -> httpx2.Client:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if seen is not None:
            seen.append(request.read())
        return httpx2.Response(status, content=body, headers={"content-type": content_type})

    return httpx2.Client(transport=httpx2.MockTransport(answer))


def _type_of(body: bytes) -> str:
    return "application/json" if body.startswith(b"{") else "text/event-stream"


@pytest.fixture
def openai_sdk() -> Iterator[OpenAIClient]:
    """``openai_sdk(body, status=200, seen=None)``: the real client, which gets ``body`` as the answer to anything."""
    clients: list[openai.OpenAI] = []

    def make(body: bytes, status: int = 200, seen: list[bytes] | None = None) -> openai.OpenAI:
        http = _http(status, body, _type_of(body), seen)
        clients.append(openai.OpenAI(api_key="k", base_url="http://t/v1", http_client=http, max_retries=0))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def anthropic_sdk() -> Iterator[AnthropicClient]:
    """The same with Anthropic's client."""
    clients: list[anthropic.Anthropic] = []

    def make(body: bytes, status: int = 200, seen: list[bytes] | None = None) -> anthropic.Anthropic:
        http = _http(status, body, _type_of(body), seen)
        clients.append(anthropic.Anthropic(api_key="k", base_url="http://t", http_client=http, max_retries=0))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def google_sdk() -> Iterator[GoogleClient]:
    """The same with Google's client."""
    clients: list[genai.Client] = []

    def make(body: bytes, status: int = 200, seen: list[bytes] | None = None) -> genai.Client:
        http = _http(status, body, _type_of(body), seen)
        options = google_types.HttpOptions(base_url="http://t", api_version="v1beta", httpx_client=http)
        clients.append(genai.Client(api_key="k", http_options=options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
