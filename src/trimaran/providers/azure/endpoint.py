"""The forms that the address of an Azure OpenAI resource comes in, reduced to what stands before ``/openai``.

The portal shows several: the resource's endpoint, the "target URI" of a deployment with all of its path, a v1 base URL, the
address of a Foundry project. What can only mean one thing is understood; a page of a portal and a project's address are
refused, with what to write. A proxy in front (API Management) keeps its path.

Source: https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle and how-to/switching-endpoints, 2026-11-30.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec

__all__ = ["OpenAIEndpoint", "is_dated", "openai_endpoint"]

_PORTALS = frozenset({"portal.azure.com", "ai.azure.com", "oai.azure.com", "ml.azure.com", "azure.microsoft.com"})
_CUT = re.compile(r"/openai(?:/(?:deployments(?:/(?P<deployment>[^/]+)(?:/.*)?)?|v1(?:/.*)?|responses(?:/.*)?))?$")
_MODELS = re.compile(r"/models(?:/.*)?$")
_REGIONAL = re.compile(r"(?P<region>[a-z0-9]+)\.api\.cognitive\.(?:microsoft\.com|azure\.us|azure\.cn)")
_DATED = re.compile(r"20\d\d-\d\d-\d\d(?:-preview)?")


class OpenAIEndpoint(msgspec.Struct, frozen=True):
    """Where a resource is."""

    url: str
    """What stands before ``/openai``; empty where ``problem`` says why there is none."""
    deployment: str = ""
    """The one that the path named; what is asked is decided by targets, not by this."""
    regional: str = ""
    """The region whose shared host it is: it takes keys and no tokens."""
    problem: tuple[str, str] | None = None
    """What is wrong with it, and what to write instead."""


def openai_endpoint(url: str) -> OpenAIEndpoint:
    """``url`` without a query (the configuration takes none), in any of the forms."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if host in _PORTALS or host.endswith(".portal.azure.com"):
        return OpenAIEndpoint(
            "",
            problem=(
                f"{host} is a page for people, not the endpoint of a resource",
                'write the endpoint that the resource\'s page "Keys and Endpoint" shows: https://<resource>.openai.azure.com; or '
                "`az cognitiveservices account show --name <resource> --resource-group <group> --query properties.endpoint`",
            ),
        )
    if parts.path.startswith("/api/projects"):
        return OpenAIEndpoint(
            "",
            problem=(
                "this is the endpoint of a Foundry project, which answers other questions",
                f"write the resource's own: https://{host}",
            ),
        )
    found = _CUT.search(parts.path)
    path = parts.path[: found.start()] if found else _MODELS.sub("", parts.path)
    regional = _REGIONAL.fullmatch(host)
    return OpenAIEndpoint(
        f"{parts.scheme}://{parts.netloc}{path.rstrip('/')}",
        deployment=(found["deployment"] or "") if found else "",
        regional=regional["region"] if regional else "",
    )


def is_dated(api_version: str) -> bool:
    """Whether it is a version of the API whose paths name the deployment, and not one of v1."""
    return _DATED.fullmatch(api_version) is not None
