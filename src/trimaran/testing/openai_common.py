"""What OpenAI's APIs share: response headers, credentials, error bodies, tiers, and how a wrong field is reported.

Errors about tool histories, reasoning items, output limits, images in tool results and unknown fields follow answers
that are quoted in public issue threads (2025 and 2026); the others are worded alike.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, TypeVar

import msgspec

from trimaran.testing.behaviour import Behaviour
from trimaran.testing.compose import compose
from trimaran.testing.dialect import HeadWriter, Request, bearer
from trimaran.testing.exchange import Prompt, Refusal, Reply, Tool

__all__ = [
    "FINGERPRINT",
    "OpenAIDialect",
    "check_image_url",
    "check_names",
    "check_range",
    "decode",
    "encode",
    "error_body",
    "invalid",
    "service_tier",
]

FINGERPRINT = "fp_simulated"
encode = msgspec.json.encode

_HEADERS = """\
server: simulated
access-control-expose-headers: X-Request-ID
openai-organization: org-simulated
openai-project: proj_simulated
openai-version: 2020-10-01
x-ratelimit-limit-requests: 10000
x-ratelimit-limit-tokens: 2000000
x-ratelimit-remaining-requests: 9999
x-ratelimit-remaining-tokens: 1999000
x-ratelimit-reset-requests: 6ms
x-ratelimit-reset-tokens: 30ms
strict-transport-security: max-age=31536000; includeSubDomains; preload
x-content-type-options: nosniff
cf-cache-status: DYNAMIC
cf-ray: 0000000000000000-SIM
set-cookie: __cf_bm=simulated; path=/; HttpOnly"""
_ERROR_TYPES = {
    "rate_limit": ("requests", "rate_limit_exceeded"),
    "server": ("server_error", None),
    "bad_key": ("invalid_request_error", "invalid_api_key"),
    "unknown_model": ("invalid_request_error", "model_not_found"),
    "context": ("invalid_request_error", "context_length_exceeded"),
}
_NAME = re.compile(r"[a-zA-Z0-9_-]+\Z")
_IMAGE_URL = re.compile(r"data:image/(?:png|jpe?g|gif|webp);base64,|https?://", re.IGNORECASE)
_TIERS = {"standard": "default", "auto": "default", "fast": "priority", None: "default"}
_T = TypeVar("_T")


class OpenAIDialect:
    """Everything but reading and writing. Subclasses set ``name`` and ``path``."""

    name = ""
    path = b""
    context_field = "messages"

    def __init__(self) -> None:
        self.head = HeadWriter(self.name, "x-request-id", "openai-processing-ms", _HEADERS)

    def serves(self, method: bytes, path: bytes) -> bool:
        """By its fixed path."""
        return method == b"POST" and path == self.path

    def authenticate(self, request: Request, keys: frozenset[str] | None) -> None:
        """A bearer token, as OpenAI wants it."""
        value = bearer(request.headers)
        if not value:
            raise Refusal(401, "no_key", "No API key was sent. Put it in the header Authorization: Bearer KEY.")
        if keys is not None and value.decode("latin-1") not in keys:
            raise Refusal(401, "bad_key", "The API key is not correct.")

    def check(self, prompt: Prompt, context_tokens: int, models: frozenset[str] | None) -> None:
        """Model and context length."""
        if prompt.model == "missing-model" or (models is not None and prompt.model not in models):
            message = f"The model `{prompt.model}` does not exist or you do not have access to it."
            raise Refusal(404, "unknown_model", message)
        if prompt.input_tokens > context_tokens:
            message = (
                f"This model's maximum context length is {context_tokens} tokens. However, your messages resulted in "
                f"{prompt.input_tokens} tokens."
            )
            raise Refusal(400, "context", message, param=self.context_field)

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """See :class:`~trimaran.testing.dialect.Dialect`."""
        return compose(prompt, behaviour, name)

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """``{"error": {message, type, param, code}}``."""
        return encode({"error": error_body(refusal)})

    def fault(self, status: int, code: str | None, message: str | None) -> Refusal:
        """The usual body of a status."""
        kind = {401: "bad_key", 404: "unknown_model", 429: "rate_limit"}.get(status, "invalid")
        refusal = Refusal(status, "server" if status >= 500 else kind, message or f"Simulated failure: {status}.")
        if code is not None:
            refusal.kind = f"{_ERROR_TYPES.get(refusal.kind, ('invalid_request_error', None))[0]}/{code}"
        return refusal

    def models(self, names: tuple[str, ...], one: str | None) -> bytes | None:
        """``GET /v1/models`` and ``GET /v1/models/{id}``."""
        rows = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "simulated"} for name in names]
        if one is None:
            return encode({"object": "list", "data": rows})
        return next((encode(row) for row in rows if row["id"] == one), None)


def error_body(refusal: Refusal) -> dict[str, Any]:
    """The members of ``error``."""
    kind, _, code = refusal.kind.partition("/")
    default = "server_error" if refusal.status >= 500 else "invalid_request_error"
    row = (kind, code) if code else _ERROR_TYPES.get(refusal.kind, (default, None))
    return {"message": refusal.message, "type": row[0], "param": refusal.param, "code": row[1]}


def invalid(message: str, param: str | None, code: str | None = None) -> Refusal:
    """A 400 of type ``invalid_request_error``."""
    return Refusal(400, f"invalid_request_error/{code}" if code else "invalid", message, param=param)


def decode(body: bytes, decoder: msgspec.json.Decoder[_T]) -> _T:
    """Decode a request. Raises :class:`~trimaran.testing.exchange.Refusal` (400) naming the field."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        text = str(error)
        if "unknown field `" in text and "`$" not in text:
            name = text.split("`")[1]
            raise invalid(f"Unknown parameter: '{name}'.", name, "unknown_parameter") from None
        raise invalid(f"Invalid request: {text}", _field(text)) from None
    except msgspec.DecodeError as error:
        raise invalid(f"The body is not valid JSON: {error}", None) from None


def _field(text: str) -> str | None:
    """The top-level field that msgspec's message points at: ``... - at `$.messages[0].role` ``, ``field `model` ``."""
    if "`$." in text:
        return text.rpartition("`$.")[2].rstrip("`").split(".")[0].split("[")[0]
    return text.split("`")[1] if "missing required field `" in text else None


def check_range(name: str, value: float | None, low: float, high: float) -> None:
    """A number within its limits."""
    if value is None or low <= value <= high:
        return
    kind = "integer" if isinstance(value, int) else "decimal"
    side, word, limit = ("below_min", "below minimum", low) if value < low else ("above_max", "above maximum", high)
    sign = ">=" if value < low else "<="
    message = f"Invalid '{name}': {kind} {word} value. Expected a value {sign} {limit:g}, but got {value:g} instead."
    raise invalid(message, name, f"{kind}_{side}_value")


def check_names(tools: list[Tool], path: str) -> None:
    """Names of functions. ``path`` holds ``{}`` for the place."""
    if not tools:
        message = (
            "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead."
        )
        raise invalid(message, "tools", "empty_array")
    for place, tool in enumerate(tools):
        where = path.format(place)
        if not _NAME.match(tool.name):
            message = f"Invalid '{where}': string does not match pattern. Expected a string that matches the pattern "
            raise invalid(f"{message}'^[a-zA-Z0-9_-]+$'.", where, "invalid_value")
        if len(tool.name) > 64:
            message = f"Invalid '{where}': string too long. Expected a string with maximum length 64."
            raise invalid(message, where, "string_above_max_length")
        if tool.schema is not None and not (isinstance(tool.schema, dict) and tool.schema.get("type") == "object"):
            kind = tool.schema.get("type") if isinstance(tool.schema, dict) else tool.schema
            message = (
                f"Invalid schema for function '{tool.name}': schema must be a JSON Schema of 'type: \"object\"', got"
            )
            raise invalid(f"{message} 'type: {kind!r}'.", where.rpartition(".")[0] + ".parameters", _SCHEMA)


_SCHEMA = "invalid_function_parameters"


def check_image_url(url: str | None, where: str) -> None:
    """A web address or a data URL of a picture; nothing is fetched."""
    if not url or not _IMAGE_URL.match(url):
        message = f"Invalid '{where}'. Expected a valid URL, but got a value with an invalid format."
        raise invalid(message, where, "invalid_value")
    if url[:5].lower() == "data:":
        check_base64(url.partition(",")[2], where)


def check_base64(data: str, where: str) -> None:
    """Base64 of something."""
    try:
        if base64.b64decode(data, validate=True):
            return
    except (binascii.Error, ValueError):
        pass
    raise invalid(f"Invalid '{where}': the base64 data could not be decoded.", where, "invalid_base64")


def service_tier(asked: str | None, reported: str | None) -> str:
    """The tier that an answer names."""
    tier = reported or asked
    return _TIERS.get(tier, tier or "default")
