"""The door to a deployment of Azure OpenAI: OpenAI's own bodies and streams, under Azure's paths.

Two forms of path lead there. The v1 API is OpenAI's with another prefix: the body names the deployment as its model. Under a
dated version, a deployment has a path of its own for chat completions and embeddings; Responses stand beside them and name it
in the body. What an answer carries besides (``prompt_filter_results``, ``content_filter_results``) is left where it is: OpenAI's
clients for Azure read it, and all others pass over it.

What a refusal means is in :mod:`.openai_refusals`.

Sources: openai 3.57.0 (Python client), ``lib/azure.py``; https://learn.microsoft.com/azure/ai-foundry/openai/reference and
api-version-lifecycle; both read 2026-11-30.
"""

from __future__ import annotations

from urllib.parse import quote

from trimaran.errors import AttemptError
from trimaran.providers.azure.endpoint import is_dated
from trimaran.providers.azure.openai_refusals import RefusalReader
from trimaran.providers.door import Door, Headers
from trimaran.types import Target
from trimaran.wire import Dialect

__all__ = ["AzureOpenAIDoor"]

_OWN_PATHS = frozenset({"openai.chat", "openai.embeddings"})
"""Dialects that a dated version asks a deployment in under its own path."""


class AzureOpenAIDoor(Door):
    """How one deployment is asked in one dialect."""

    def __init__(self, target: Target, dialect: Dialect) -> None:
        super().__init__(target, dialect)
        self._version = target.facts.get("api_version", "")
        self._refusals = RefusalReader(target, dialect)

    def path(self, stream: bool) -> bytes:
        path = self.dialect.upstream_path(self.target.upstream_model, stream).decode("ascii")
        if not is_dated(self._version):
            query = f"?api-version={self._version}" if self._version else ""
            return f"/openai{path}{query}".encode()
        path = path.removeprefix("/v1")
        if self.dialect.name in _OWN_PATHS:
            path = f"/deployments/{quote(self.target.upstream_model, safe='')}{path}"
        return f"/openai{path}?api-version={self._version}".encode()

    def refusal(self, status: int, headers: Headers, body: bytes) -> AttemptError | None:
        return self._refusals.read(status, headers, body)
