"""What the simulated Google tells of itself: models of the Gemini API, publisher models and endpoints of Vertex AI."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import msgspec

from trimaran.testing.dialect import HeadWriter, Request, header
from trimaran.testing.exchange import Refusal
from trimaran.testing.google import GoogleCloud, query_value
from trimaran.testing.google_errors import GEMINI_SERVICE, VERTEX_SERVICE, GoogleHead, GoogleRefusal, error_body
from trimaran.testing.vertex_endpoints import VertexEndpoints

__all__ = ["GEMINI_MODELS", "GeminiModels", "VertexControl"]

GEMINI_MODELS = (
    "gemini-2.0-flash",
    "gemini-2.5-flash",
    "gemini-2.5-flash-lite",
    "gemini-2.5-pro",
    "gemini-3-flash-preview",
    "gemini-3-pro-preview",
)
_CLAUDE_MODELS = ("claude-haiku-4-5@20251001", "claude-sonnet-4-5@20250929")
_PUBLISHED = {"google": GEMINI_MODELS, "anthropic": _CLAUDE_MODELS}
_GEMINI = re.compile(rb"/(?:v1beta|v1alpha|v1)/models(?:/([^/:]+))?\Z")
_PUBLISHERS = re.compile(
    rb"/v1(?:beta1)?/(?:projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)/)?publishers/(?P<publisher>[^/]+)/models"
    rb"(?:/(?P<model>[^/:]+))?\Z"
)
_ENDPOINTS = re.compile(
    rb"/v1(?:beta1)?/projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)/endpoints(?:/(?P<endpoint>[^/:]+))?\Z"
)
_ACTIONS = ["generateContent", "countTokens", "createCachedContent", "batchGenerateContent"]


class GeminiModels:
    """``GET /v1beta/models`` and one of them. See :class:`~trimaran.testing.dialect.LookUp`.

    ``/v1/models`` is OpenAI's and Anthropic's on this port, but for who sends a key of Google's kind.
    """

    name = "gemini.models"

    def __init__(self, cloud: GoogleCloud, models: tuple[str, ...] | None) -> None:
        self.head: HeadWriter = GoogleHead(self.name)
        self._cloud = cloud
        self._models = models if models is not None else GEMINI_MODELS

    def serves(self, method: bytes, path: bytes) -> bool:
        """By the path."""
        return method == b"GET" and _GEMINI.match(path) is not None and not path.startswith(b"/v1/")

    def prefers(self, request: Request) -> bool:
        """Whether a request for ``/v1/models`` is Google's."""
        path = request.target.partition(b"?")[0]
        keyed = header(request.headers, b"x-goog-api-key") or query_value(request.target, "key")
        return request.method == b"GET" and _GEMINI.match(path) is not None and bool(keyed)

    def authenticate(self, request: Request, keys: frozenset[str] | None) -> None:
        """As everywhere on the Gemini API."""
        rpc = "google.ai.generativelanguage.v1beta.ModelService.ListModels"
        self._cloud.admit(request, GEMINI_SERVICE, rpc, keys, key_ok=True)

    def look_up(self, request: Request) -> bytes:
        """One, or a page of them."""
        found = _GEMINI.match(request.target.partition(b"?")[0])
        assert found is not None
        if found[1] is not None:
            name = unquote(found[1].decode("latin-1"))
            if name not in self._models:
                raise GoogleRefusal(404, f"Model is not found: models/{name} for api version v1beta")
            return msgspec.json.encode(_gemini_row(name))
        return _page(request, "models", [_gemini_row(name) for name in self._models], 50)

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """Google's."""
        return error_body(refusal)


class VertexControl:
    """Publisher models and endpoints. See :class:`~trimaran.testing.dialect.LookUp`."""

    name = "vertex.control"

    def __init__(self, cloud: GoogleCloud, endpoints: VertexEndpoints, models: tuple[str, ...] | None) -> None:
        self.head: HeadWriter = GoogleHead(self.name)
        self._cloud = cloud
        self._endpoints = endpoints
        self._models = models

    def serves(self, method: bytes, path: bytes) -> bool:
        """By the path."""
        return method == b"GET" and (_PUBLISHERS.match(path) is not None or _ENDPOINTS.match(path) is not None)

    def authenticate(self, request: Request, keys: frozenset[str] | None) -> None:
        """An access token, and a role where a project is named."""
        path = request.target.partition(b"?")[0]
        published, place = _PUBLISHERS.match(path), _ENDPOINTS.match(path)
        rpc = "google.cloud.aiplatform.v1beta1.ModelGardenService.ListPublisherModels"
        if place is None:
            assert published is not None
            self._cloud.admit(request, VERTEX_SERVICE, rpc, keys, key_ok=published["project"] is None)
            return
        rpc = "google.cloud.aiplatform.v1.EndpointService." + ("GetEndpoint" if place["endpoint"] else "ListEndpoints")
        self._cloud.admit(request, VERTEX_SERVICE, rpc, keys, key_ok=False)
        permission = "aiplatform.endpoints." + ("get" if place["endpoint"] else "list")
        project, location = place["project"].decode(), place["location"].decode()
        rest = f"endpoints/{place['endpoint'].decode()}" if place["endpoint"] else ""
        self._cloud.allow(permission, project, location, rest)

    def look_up(self, request: Request) -> bytes:
        """One, or a page of them."""
        path = request.target.partition(b"?")[0]
        if (place := _ENDPOINTS.match(path)) is not None:
            return self._endpoint(request, place)
        found = _PUBLISHERS.match(path)
        assert found is not None
        publisher = found["publisher"].decode("latin-1")
        names = self._models if self._models is not None else _PUBLISHED.get(publisher, ())
        rows = [_published_row(publisher, name) for name in names]
        if found["model"] is None:
            return _page(request, "publisherModels", rows, 100)
        wanted = f"publishers/{publisher}/models/{unquote(found['model'].decode('latin-1'))}"
        row = next((row for row in rows if row["name"] == wanted), None)
        if row is None:
            raise GoogleRefusal(404, f"Publisher Model `{wanted}` is not found.")
        return msgspec.json.encode(row)

    def _endpoint(self, request: Request, place: re.Match[bytes]) -> bytes:
        project, location = place["project"].decode("latin-1"), place["location"].decode("latin-1")
        if place["endpoint"] is not None:
            one = unquote(place["endpoint"].decode("latin-1"))
            return msgspec.json.encode(self._endpoints.described(project, location, one).row())
        rows = [endpoint.row() for endpoint in self._endpoints if endpoint.location == location]
        return _page(request, "endpoints", rows, 100)

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """Google's."""
        return error_body(refusal)


def _page(request: Request, name: str, rows: list[Any], size: int) -> bytes:
    """A page; its token is the place of the next row."""
    asked = query_value(request.target, "pageSize")
    token = query_value(request.target, "pageToken") or "0"
    if (asked is not None and not asked.isdigit()) or not token.isdigit():
        raise GoogleRefusal(400, "Invalid page size or page token.")
    size = int(asked or 0) or size
    start = int(token)
    page: dict[str, Any] = {name: rows[start : start + size]} if rows[start:] else {}
    if start + size < len(rows):
        page["nextPageToken"] = str(start + size)
    return msgspec.json.encode(page)


def _gemini_row(name: str) -> dict[str, Any]:
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": f"{name} (simulated)",
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": _ACTIONS,
        "temperature": 1,
        "topP": 0.95,
        "topK": 64,
        "maxTemperature": 2,
        "thinking": not name.startswith("gemini-2.0"),
    }


def _published_row(publisher: str, name: str) -> dict[str, Any]:
    base, _, version = name.partition("@")
    return {
        "name": f"publishers/{publisher}/models/{base}",
        "versionId": version or "default",
        "openSourceCategory": "PROPRIETARY",
        "launchStage": "GA",
        "publisherModelTemplate": f"projects/{{project}}/locations/{{location}}/publishers/{publisher}/models/{name}",
    }
