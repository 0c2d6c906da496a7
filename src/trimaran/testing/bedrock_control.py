"""What a simulated Bedrock tells of itself: which models and profiles there are, and whether the account may use one.

``ListFoundationModels``, ``ListInferenceProfiles`` and ``GetFoundationModelAvailability`` in the shapes of botocore 1.44.8
(``bedrock``, 2023-04-20), and ``CountTokens`` of the runtime beside them.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote

import msgspec
from msgspec import UNSET, UnsetType

from trimaran.testing.aws import AwsAccount, AwsRefusal, aws_head, error_body, signed_region
from trimaran.testing.bedrock_blocks import chosen
from trimaran.testing.bedrock_converse import Asked, Conversation, read_conversation
from trimaran.testing.bedrock_dialect import BedrockDialect, decode
from trimaran.testing.bedrock_invoke_claude import ClaudeBody
from trimaran.testing.bedrock_models import SOURCE, BedrockModel, BedrockModels, refused
from trimaran.testing.behaviour import Behaviour
from trimaran.testing.compose import reported_usage
from trimaran.testing.dialect import Request
from trimaran.testing.exchange import Part, Prompt, Refusal, Reply
from trimaran.testing.whole import WholeWriter

__all__ = ["BedrockControl", "BedrockCountTokens"]

_MODELS = b"/foundation-models"
_PROFILES = b"/inference-profiles"
_AVAILABILITY = b"/foundation-model-availability/"
_ACTIONS = {
    _MODELS: "bedrock:ListFoundationModels",
    _PROFILES: "bedrock:ListInferenceProfiles",
    _AVAILABILITY: "bedrock:GetFoundationModelAvailability",
}
_CREATED = "2026-01-01T00:00:00Z"
_FILTERS = frozenset({"byProvider", "byCustomizationType", "byOutputModality", "byInferenceType", "projectIdentifier"})


class BedrockControl:
    """See :class:`~trimaran.testing.dialect.LookUp`."""

    name = "bedrock.control"

    def __init__(self, account: AwsAccount, models: BedrockModels) -> None:
        self.head = aws_head(self.name)
        self._account = account
        self._models = models

    def serves(self, method: bytes, path: bytes) -> bool:
        """Three GETs."""
        return method == b"GET" and _kind(path) is not None

    def authenticate(self, request: Request, keys: frozenset[str] | None) -> None:
        """As for the runtime, with actions of its own."""
        self._account.admit(request, "bedrock", keys)
        self._account.allow(_ACTIONS[_kind(_path(request)) or _MODELS])

    def look_up(self, request: Request) -> bytes:
        """The answer. Raises :class:`~trimaran.testing.aws.AwsRefusal`."""
        region = signed_region(request.headers, self._account)
        path = _path(request)
        query = parse_qs(request.target.partition(b"?")[2].decode("latin-1"))
        rows = [row for row in self._models.listed if not row.regions or region in row.regions]
        if _kind(path) == _MODELS:
            return msgspec.json.encode({"modelSummaries": [_summary(row, region) for row in _filtered(rows, query)]})
        if _kind(path) == _PROFILES:
            return msgspec.json.encode({"inferenceProfileSummaries": self._profiles(rows, region, query)})
        return msgspec.json.encode(self._availability(unquote(path.removeprefix(_AVAILABILITY).decode()), rows))

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """``{"message": …}``."""
        return error_body(refusal)

    def _profiles(self, rows: list[BedrockModel], region: str, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        kind = query.get("type", [""])[0]
        found = []
        if kind in ("", "SYSTEM_DEFINED"):
            for row in rows:
                for geography in row.profiles:
                    try:
                        self._models.resolve(f"{geography}.{row.id}", region)
                    except Refusal:
                        continue
                    found.append(self._profile(f"{geography}.{row.id}", row.name, row.id, region, "inference-profile"))
        if kind in ("", "APPLICATION"):
            for place, base in self._models.application_profiles.items():
                profile = self._profile(place, place, base, region, "application-inference-profile")
                found.append(profile | {"type": "APPLICATION"})
        return found

    def _profile(self, id: str, name: str, base: str, region: str, kind: str) -> dict[str, Any]:
        return {
            "inferenceProfileName": name,
            "inferenceProfileArn": f"arn:aws:bedrock:{region}:{self._account.number}:{kind}/{id}",
            "inferenceProfileId": id,
            "models": [{"modelArn": _arn(base, region)}],
            "status": "ACTIVE",
            "type": "SYSTEM_DEFINED",
            "createdAt": _CREATED,
            "updatedAt": _CREATED,
        }

    def _availability(self, model_id: str, rows: list[BedrockModel]) -> dict[str, Any]:
        if all(row.id != model_id for row in self._models.listed):
            words = "The provided model identifier is invalid."
            raise AwsRefusal(404, "ResourceNotFoundException", words, source=SOURCE)
        granted = self._models.granted is None or model_id in self._models.granted
        here = any(row.id == model_id for row in rows)
        return {
            "modelId": model_id,
            "agreementAvailability": {"status": "AVAILABLE" if granted else "NOT_AVAILABLE"},
            "authorizationStatus": "AUTHORIZED",
            "entitlementAvailability": "AVAILABLE" if granted else "NOT_AVAILABLE",
            "regionAvailability": "AVAILABLE" if here else "NOT_AVAILABLE",
        }


class _Invoked(msgspec.Struct, forbid_unknown_fields=True):
    body: str


class _Input(msgspec.Struct, forbid_unknown_fields=True):
    converse: Conversation | UnsetType = UNSET
    invokeModel: _Invoked | UnsetType = UNSET


class _CountRequest(msgspec.Struct, forbid_unknown_fields=True):
    input: _Input


_count_decoder = msgspec.json.Decoder(_CountRequest)


class BedrockCountTokens(BedrockDialect):
    """``POST /model/{id}/count-tokens``, of a conversation or of Claude's own body."""

    name = "bedrock.count_tokens"
    operations: ClassVar[dict[bytes, bool]] = {b"count-tokens": False}
    _claude: ClassVar[ClaudeBody] = ClaudeBody()

    def read(self, request: Request) -> Prompt:
        """Reads what is to be counted as strictly as if it was to be answered."""
        model_id, _, served = self.model(request, counting=True)
        if served.family in ("llama", "mistral"):
            raise refused("The provided model doesn't support counting tokens.")
        kind, value = chosen(decode(request.body, _count_decoder).input, "input")
        if kind == "converse":
            return read_conversation(value, model_id, served)
        try:
            body = base64.b64decode(value.body, validate=True)
        except (binascii.Error, ValueError):
            raise AwsRefusal(400, "SerializationException", "input.invokeModel.body: not base64") from None
        prompt = self._claude.read(body, model_id, served)
        prompt.request = Asked(served)
        return prompt

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """A count and no text."""
        return Reply([Part("text", [])], "stop", reported_usage(prompt, behaviour, 0))

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> WholeWriter:
        """``{"inputTokens": n}``."""
        return WholeWriter(msgspec.json.encode({"inputTokens": reply.usage.input}), self, serial)


def _path(request: Request) -> bytes:
    return request.target.partition(b"?")[0]


def _kind(path: bytes) -> bytes | None:
    """Which of the three a path is."""
    if path in (_MODELS, _PROFILES):
        return path
    return _AVAILABILITY if path.startswith(_AVAILABILITY) and len(path) > len(_AVAILABILITY) else None


def _filtered(rows: list[BedrockModel], query: dict[str, list[str]]) -> list[BedrockModel]:
    if unknown := sorted(query.keys() - _FILTERS):
        raise refused(f"{unknown[0]} is no filter of ListFoundationModels.")
    provider, kind = query.get("byProvider", [""])[0].lower(), query.get("byInferenceType", [""])[0]
    return [
        row
        for row in rows
        if row.provider.lower().startswith(provider) and (kind in ("", "ON_DEMAND") and (row.on_demand or not kind))
    ]


def _summary(row: BedrockModel, region: str) -> dict[str, Any]:
    types = (["ON_DEMAND"] if row.on_demand else []) + (["INFERENCE_PROFILE"] if row.profiles else [])
    return {
        "modelArn": _arn(row.id, region),
        "modelId": row.id,
        "modelName": row.name,
        "providerName": row.provider,
        "inputModalities": list(row.inputs),
        "outputModalities": ["TEXT"],
        "responseStreamingSupported": True,
        "customizationsSupported": [],
        "inferenceTypesSupported": types,
        "modelLifecycle": {"status": "ACTIVE"},
    }


def _arn(base: str, region: str) -> str:
    return f"arn:aws:bedrock:{region}::foundation-model/{base}"
