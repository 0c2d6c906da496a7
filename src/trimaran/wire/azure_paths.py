"""Azure's paths for OpenAI's APIs, as clients made for Azure send them: the same bodies under other addresses.

``/openai/v1/…`` is OpenAI's own path with another prefix. ``/openai/deployments/{name}/…`` names in the path what is otherwise the
body's model; the path counts, as it does at Azure. The version in the query changes nothing here.

Source: openai 3.57.0 (Python client), ``lib/azure.py``, 2026-11-30.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

import msgspec

from trimaran.wire.members import read_members

__all__ = ["AZURE_HOME", "named_body", "plain_path"]

AZURE_HOME = b"/openai/"
_DEPLOYMENT = re.compile(rb"/openai/deployments/([^/]{1,600})(/(?:chat/completions|embeddings))")
_BESIDE = re.compile(rb"/openai(?:/v1)?(/(?:chat/completions|embeddings|responses(?:/input_tokens)?))")
_UNDER_V1 = b"/openai/v1/"
_READ = frozenset({"model"})


def plain_path(path: bytes) -> bytes:
    """OpenAI's own path for one of Azure's; empty where it is none."""
    found = _DEPLOYMENT.fullmatch(path)
    if found is not None:
        return b"/v1" + found[2]
    found = _BESIDE.fullmatch(path)
    if found is None or (not path.startswith(_UNDER_V1) and not found[1].startswith(b"/responses")):
        return b""
    return b"/v1" + found[1]


def named_body(body: bytes, path: bytes) -> bytes:
    """The body with the model that the path names. The same object where it names none. Raises
    :class:`~trimaran.errors.InvalidRequest` for a body that is no JSON object."""
    found = _DEPLOYMENT.fullmatch(path)
    if found is None:
        return body
    name = msgspec.json.encode(unquote_to_bytes(found[1]).decode("utf-8", "replace"))
    raw, spans = read_members(body, _READ)
    if "model" in raw:
        start, end = spans["model"]
        return body if bytes(raw["model"]) == name else b"%b%b%b" % (body[:start], name, body[end:])
    rest = body.lstrip()[1:]
    return b'{"model":%b%b%b' % (name, b"," if raw else b"", rest)
