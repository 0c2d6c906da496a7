"""Which models a simulated Amazon Bedrock has, who may invoke them and how, and what each family can do.

By default every model exists but ``missing-model``, as on the other simulated surfaces; the listed ones also have rules:
some must be asked through an inference profile, some stand in one region. The list is a handful of real ids (AWS's page
"Supported foundation models in Amazon Bedrock", read 2026-11-30), not a catalogue. Words of refusals follow answers
quoted in public issue threads (2024 to 2026).
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from trimaran.testing.aws import AwsRefusal

__all__ = [
    "SOURCE",
    "BedrockModel",
    "BedrockModels",
    "Features",
    "Served",
    "not_supported",
    "refused",
    "served",
    "unknown_model",
]

SOURCE = "com.amazon.bedrock"
"""Names the service in the error types of Bedrock's own refusals."""

_GEOGRAPHIES = {
    "us": "us-",
    "us-gov": "us-gov-",
    "eu": "eu-",
    "apac": "ap-",
    "jp": "ap-northeast-",
    "au": "ap-southeast-",
    "ca": "ca-",
    "global": "",
}
"""The first part of an inference profile's id, and how the regions begin that it can be asked in."""
_PROFILE = re.compile(r"(?P<geography>us|us-gov|eu|apac|jp|au|ca|global)\.(?P<base>[a-z0-9-]+\.[a-zA-Z0-9-:.]+)\Z")
_ARN = re.compile(
    r"arn:aws[a-z-]*:bedrock:(?P<region>[a-z0-9-]*):(?P<account>\d{12}|):(?P<kind>[a-z-]+)/(?P<id>[a-zA-Z0-9-:./]+)\Z"
)
_ID = re.compile(r"[a-zA-Z0-9-:._]{1,2048}\Z")


class Features(NamedTuple):
    """What a model can do in Converse."""

    tools: bool = True
    any_tool: bool = True
    """``toolChoice.any``."""
    named_tool: bool = True
    """``toolChoice.tool``."""
    system: bool = True
    images: bool = True
    caching: bool = True
    reasoning: bool = True
    mixed_turns: bool = True
    """Text beside tool results in one turn."""


_ALL = Features()
_BY_NAME = (
    ("meta.llama3-8b", Features(False, False, False, images=False, caching=False, reasoning=False)),
    ("meta.llama3-70b", Features(False, False, False, images=False, caching=False, reasoning=False)),
    ("meta.llama4", Features(True, False, False, caching=False, reasoning=False, mixed_turns=False)),
    ("meta.", Features(True, False, False, images=False, caching=False, reasoning=False, mixed_turns=False)),
    ("mistral.mistral-7b", Features(False, False, False, False, images=False, caching=False, reasoning=False)),
    ("mistral.pixtral", Features(True, True, False, caching=False, reasoning=False, mixed_turns=False)),
    ("mistral.", Features(True, True, False, images=False, caching=False, reasoning=False, mixed_turns=False)),
)
_FAMILIES = {"anthropic.": "claude", "meta.": "llama", "mistral.": "mistral"}


class BedrockModel(msgspec.Struct, frozen=True, kw_only=True):
    """One foundation model."""

    id: str
    name: str
    provider: str
    on_demand: bool = True
    """Its id may be invoked; otherwise only a profile."""
    profiles: tuple[str, ...] = ()
    """Geographies that have an inference profile for it."""
    regions: tuple[str, ...] = ()
    """Empty: all."""
    inputs: tuple[str, ...] = ("TEXT",)


_LISTED = (
    BedrockModel(
        id="anthropic.claude-3-haiku-20240307-v1:0",
        name="Claude 3 Haiku",
        provider="Anthropic",
        profiles=("us", "eu", "apac"),
        inputs=("TEXT", "IMAGE"),
    ),
    BedrockModel(
        id="anthropic.claude-haiku-4-5-20251001-v1:0",
        name="Claude Haiku 4.5",
        provider="Anthropic",
        on_demand=False,
        profiles=("us", "eu", "jp", "au", "global"),
        inputs=("TEXT", "IMAGE"),
    ),
    BedrockModel(
        id="anthropic.claude-sonnet-4-5-20250929-v1:0",
        name="Claude Sonnet 4.5",
        provider="Anthropic",
        on_demand=False,
        profiles=("us", "eu", "jp", "au", "global"),
        inputs=("TEXT", "IMAGE"),
    ),
    BedrockModel(id="meta.llama3-8b-instruct-v1:0", name="Llama 3 8B Instruct", provider="Meta"),
    BedrockModel(
        id="meta.llama3-3-70b-instruct-v1:0",
        name="Llama 3.3 70B",
        provider="Meta",
        on_demand=False,
        profiles=("us",),
    ),
    BedrockModel(
        id="meta.llama4-maverick-17b-instruct-v1:0",
        name="Llama 4 Maverick",
        provider="Meta",
        on_demand=False,
        profiles=("us",),
        inputs=("TEXT", "IMAGE"),
    ),
    BedrockModel(id="mistral.mistral-7b-instruct-v0:2", name="Mistral 7B Instruct", provider="Mistral AI"),
    BedrockModel(id="mistral.mistral-large-2402-v1:0", name="Mistral Large", provider="Mistral AI"),
    BedrockModel(
        id="mistral.mistral-large-2407-v1:0", name="Mistral Large 2407", provider="Mistral AI", regions=("us-west-2",)
    ),
    BedrockModel(
        id="amazon.nova-lite-v1:0",
        name="Nova Lite",
        provider="Amazon",
        profiles=("us", "eu", "apac"),
        inputs=("TEXT", "IMAGE"),
    ),
)


class Served(NamedTuple):
    """The model behind an id."""

    base: str
    family: str
    """``claude``, ``llama``, ``mistral`` or empty."""
    features: Features


class BedrockModels(msgspec.Struct, kw_only=True):
    """What the account has of Bedrock. It may be changed while the provider runs."""

    listed: tuple[BedrockModel, ...] = _LISTED
    granted: set[str] | None = None
    """Ids of foundation models that the account may use. ``None``: all of them."""
    only_listed: bool = False
    """Whether models that are not listed do not exist."""
    application_profiles: dict[str, str] = msgspec.field(default_factory=dict)
    """Application inference profiles: the last part of the ARN, and the foundation model's id."""

    def serve(self, model_id: str, region: str, *, counting: bool = False) -> Served:
        """Find the model; who is only ``counting`` needs no profile. Raises :class:`~trimaran.testing.aws.AwsRefusal` (400, 403)."""
        base, geography = self.resolve(model_id, region)
        row = self._row(base)
        if base == "missing-model" or (self.only_listed and row is None):
            raise unknown_model()
        if row is not None:
            if row.regions and region not in row.regions:
                raise unknown_model()
            if geography and geography not in row.profiles:
                raise unknown_model()
        if self.granted is not None and base not in self.granted:
            words = "You don't have access to the model with the specified model ID."
            raise AwsRefusal(403, "AccessDeniedException", words, source=SOURCE)
        profiled = geography or counting or "profile/" in model_id
        if row is not None and not profiled and not row.on_demand:
            raise refused(
                f"Invocation of model ID {base} with on-demand throughput isn\u2019t supported. Retry your request with the "
                "ID or ARN of an inference profile that contains this model."
            )
        return served(base)

    def _row(self, base: str) -> BedrockModel | None:
        return next((row for row in self.listed if row.id == base), None)

    def resolve(self, model_id: str, region: str) -> tuple[str, str]:
        """The foundation model's id, and the geography of the profile (empty without one)."""
        if model_id.startswith("arn:"):
            arn = _ARN.match(model_id)
            if arn is None or arn["region"] not in ("", region):
                raise unknown_model()
            if arn["kind"] == "application-inference-profile":
                if (base := self.application_profiles.get(arn["id"])) is None:
                    raise unknown_model()
                return base, ""
            if arn["kind"] not in ("inference-profile", "foundation-model"):
                raise unknown_model()
            model_id = arn["id"]
        if not _ID.match(model_id):
            raise unknown_model()
        if (profile := _PROFILE.match(model_id)) is None:
            return model_id, ""
        if not region.startswith(_GEOGRAPHIES[profile["geography"]]):
            raise unknown_model()
        return profile["base"], profile["geography"]


def served(base: str) -> Served:
    """What a foundation model's id tells; a name of no known family can do everything."""
    family = next((name for start, name in _FAMILIES.items() if base.startswith(start)), "")
    features = next((row for start, row in _BY_NAME if base.startswith(start)), _ALL)
    return Served(base, family, features)


def refused(message: str) -> AwsRefusal:
    """A ``ValidationException``."""
    return AwsRefusal(400, "ValidationException", message, source=SOURCE)


def not_supported(field: str) -> AwsRefusal:
    """A model that has no words for a field."""
    return refused(f"This model doesn't support the {field} field. Remove {field} and try again.")


def unknown_model() -> AwsRefusal:
    """No model has this id, here."""
    return refused("The provided model identifier is invalid.")
