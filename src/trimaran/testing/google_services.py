"""Simulated Google: what of the Gemini API, Vertex AI and the token services hangs on one port."""

from __future__ import annotations

from trimaran.testing.dialect import Dialect, LookUp
from trimaran.testing.gemini_generate import GeminiCountTokens, GeminiGenerate
from trimaran.testing.google import GoogleCloud
from trimaran.testing.google_identity import GoogleIdentity
from trimaran.testing.google_models import GeminiModels, VertexControl
from trimaran.testing.google_token_services import token_services
from trimaran.testing.vertex_claude import VertexClaude
from trimaran.testing.vertex_endpoints import VertexEndpoint, VertexEndpoints
from trimaran.testing.vertex_openai import VertexOpenAI
from trimaran.testing.vertex_predict import VertexPredict, VertexRawPredict

__all__ = ["GOOGLE_DIALECTS", "Google"]

GOOGLE_DIALECTS = (
    "gemini.generate",
    "gemini.count_tokens",
    "vertex.generate",
    "vertex.count_tokens",
    "vertex.claude",
    "vertex.claude_count_tokens",
    "vertex.openai",
    "vertex.predict",
    "vertex.raw_predict",
)


class Google:
    """The state of the simulated Google, and what answers for it. ``cloud``, ``endpoints`` and ``identity`` may be changed while the
    provider runs. By default every endpoint exists and answers as vLLM does, but for ids that begin with ``missing``."""

    def __init__(
        self,
        cloud: GoogleCloud | None = None,
        *,
        endpoints: VertexEndpoints | None = None,
        identity: GoogleIdentity | None = None,
    ) -> None:
        if identity is not None and cloud is not None and identity.cloud is not cloud:
            raise ValueError("identity: belongs to another cloud; make it with the same GoogleCloud")
        self.cloud = cloud or (identity.cloud if identity is not None else GoogleCloud())
        self.endpoints = endpoints or VertexEndpoints(template=VertexEndpoint(id="any"))
        self.identity = identity or GoogleIdentity(self.cloud)

    def dialects(self) -> list[Dialect]:
        """What answers a POST to a model or an endpoint."""
        cloud, endpoints = self.cloud, self.endpoints
        return [
            GeminiGenerate(cloud),
            GeminiCountTokens(cloud),
            GeminiGenerate(cloud, vertex=True),
            GeminiCountTokens(cloud, vertex=True),
            VertexClaude(cloud),
            VertexClaude(cloud, counting=True),
            VertexOpenAI(cloud, endpoints),
            VertexPredict(cloud, endpoints),
            VertexRawPredict(cloud, endpoints),
        ]

    def look_ups(self, models: tuple[str, ...] | None) -> list[LookUp]:
        """What tells which models and endpoints there are, and gives out tokens."""
        control = VertexControl(self.cloud, self.endpoints, models)
        return [self.models(models), control, *token_services(self.identity)]

    def models(self, models: tuple[str, ...] | None) -> GeminiModels:
        """What lists the Gemini API's models."""
        return GeminiModels(self.cloud, models)
