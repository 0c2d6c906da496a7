"""The paths of the two operations. The model stands in them, percent-encoded as boto3 does it: all but letters, digits
and ``-._~``, so that the colon of a version and the slashes of an ARN are encoded. A client that leaves a slash as it is
(``/model/openai/gpt-4o-mini/converse``) is understood."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

from trimaran.errors import InvalidRequest

__all__ = ["PREFIX", "model_and_stream", "path_of", "serves"]

PREFIX = b"/model/"
_PATH = re.compile(rb"/model/(.+)/converse(-stream)?")
_SAFE = "-._~"


def path_of(model: str, stream: bool) -> bytes:
    """The path under which ``model`` answers."""
    return f"/model/{quote(model, safe=_SAFE)}/converse{'-stream' if stream else ''}".encode()


def serves(path: bytes) -> bool:
    """Whether ``path``, without its query, is one of the two operations'."""
    return _PATH.fullmatch(path) is not None


def model_and_stream(path: bytes) -> tuple[str, bool]:
    """The model, decoded, and whether a stream is asked for. Raises :class:`InvalidRequest`."""
    found = _PATH.fullmatch(path)
    if found is None:
        raise InvalidRequest("the path must be /model/{modelId}/converse or /model/{modelId}/converse-stream")
    try:
        return unquote_to_bytes(found[1]).decode(), found[2] is not None
    except UnicodeDecodeError as error:
        raise InvalidRequest("the model in the path is not UTF-8 after percent-decoding", field="modelId") from error
