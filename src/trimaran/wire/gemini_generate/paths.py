"""The paths of the operations. The model stands in them, and may itself have slashes (``models/openai/gpt-4o-mini``).

Clients come as the SDK's do: with ``/v1beta/models/{model}`` for the Gemini API, and, where they were made for Vertex
AI, with a project, a location and a publisher before the model. Those say whose account is used and who made the model,
which the gateway decides itself, so they are read over. A target's path is the Gemini API's; that of Vertex AI is its
door's.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

from trimaran.errors import InvalidRequest

__all__ = ["COUNT", "GENERATE", "PREFIX", "STREAM", "model_and_operation", "path_of", "serves"]

PREFIX = b"/v1beta/models/"
COUNT = "countTokens"
GENERATE = "generateContent"
STREAM = "streamGenerateContent"
_PATH = re.compile(rb"/v1[a-z0-9]*/(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/[^/]+/)?models/(.+):([A-Za-z]+)")
_NAMED = ("models/", "tunedModels/")


def path_of(model: str, operation: str) -> bytes:
    """The path under which ``model`` answers. Streams are asked for as server-sent events; the API's default is one
    JSON list, sent piece by piece."""
    name = model if model.startswith(_NAMED) else f"models/{model}"
    query = "?alt=sse" if operation == STREAM else ""
    return f"/v1beta/{quote(name, safe='-._~/')}:{operation}{query}".encode()


def serves(path: bytes, *operations: str) -> bool:
    """Whether ``path``, without its query, is that of one of ``operations``."""
    found = _PATH.fullmatch(path)
    return found is not None and found[2].decode() in operations


def model_and_operation(path: bytes) -> tuple[str, str]:
    """The model, decoded, and the operation. Raises :class:`InvalidRequest`."""
    found = _PATH.fullmatch(path.partition(b"?")[0])
    if found is None:
        raise InvalidRequest(f"the path must be {PREFIX.decode()}{{model}}:{GENERATE} or :{STREAM}")
    try:
        return unquote_to_bytes(found[1]).decode(), found[2].decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest("the model in the path is not UTF-8 after percent-decoding", field="model") from error
