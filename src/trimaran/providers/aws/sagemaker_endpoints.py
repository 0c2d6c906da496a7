"""From a configured endpoint to a target: which dialects its container speaks, and what the door needs to know.

Pure. A container decides the dialects; the base model decides what can be asked of it, because an endpoint's name says
nothing about its model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from trimaran.catalog import capabilities
from trimaran.config import Config, EndpointConfig, ProviderConfig, closest, dotted, quote
from trimaran.config.settings.sagemaker import ENDPOINT_NAME
from trimaran.errors import ConfigError
from trimaran.types import Secret, Target
from trimaran.wire.chat_templates import TEMPLATES, template_of

__all__ = [
    "DEFAULT_DIALECTS",
    "DIALECTS_OF",
    "check_endpoint_name",
    "endpoint_target",
    "near_endpoint",
    "prompt_problem",
    "stated_elsewhere",
]

_NAME = re.compile(ENDPOINT_NAME)
_ARN = re.compile(r"arn:aws[a-z-]*:sagemaker:[^/]*endpoint/(.+)")
_OWNER = ("region", "profile", "role_arn", "base_url", "access_key_id")
"""Settings that say in which account and where a provider's endpoints are."""

_RAW = "sagemaker.invocations"
DEFAULT_DIALECTS = ("openai.chat", "openai.embeddings", _RAW)
"""Of an endpoint that nothing is known of: most that serve a language model take OpenAI's form."""
DIALECTS_OF: dict[str, tuple[str, ...]] = {
    "vllm": DEFAULT_DIALECTS,
    "lmi": DEFAULT_DIALECTS,
    "neuron": DEFAULT_DIALECTS,
    "tgi": ("openai.chat", _RAW),
    "jumpstart": ("huggingface.generate", _RAW),
    "triton": ("kserve.v2", _RAW),
    "tensor": (_RAW,),
}
"""By ``container``. ``jumpstart`` also stands for TGI that does not know turns, and LMI that is asked with ``inputs``."""


def endpoint_target(target: Target, written: EndpointConfig) -> Target:
    """``target``, which is one of the provider's by its name alone, as its endpoint was configured."""
    facts = {
        "container": written.container,
        "endpoint": written.endpoint,
        "inference_component": written.inference_component,
        "variant": written.variant,
        "target_model": written.target_model,
        "served_model": written.model,
        "base_model": written.base_model,
    }
    return msgspec.structs.replace(
        target,
        dialects=DIALECTS_OF.get(written.container, DEFAULT_DIALECTS),
        capabilities=capabilities(written.base_model) if written.base_model else None,
        facts={name: value for name, value in facts.items() if value},
    )


def prompt_problem(written: EndpointConfig) -> tuple[str, str] | None:
    """Why no conversation can become a prompt for this endpoint, and what to write instead; ``None`` where it can."""
    if written.container != "jumpstart" or template_of(written.base_model) is not None:
        return None
    families = ", ".join(TEMPLATES)
    if not written.base_model:
        return (
            "a jumpstart container is asked with one prompt, and nothing says how its model tells turns apart",
            f"write base_model: llama-3.1-70b, or the like; known families: {families}",
        )
    return (
        f"nobody knows how {quote(written.base_model)} tells the turns of a prompt apart",
        f"known families: {families}; write container: tensor to let clients send its own bodies",
    )


def check_endpoint_name(name: str, provider: str, settings: ProviderConfig, where: str) -> None:
    """Raises :class:`ConfigError` for a configured name that AWS gives no endpoint; ``where`` is ``file:line``."""
    if _NAME.fullmatch(name) is not None:
        return
    arn = _ARN.fullmatch(name)
    if arn is not None:
        message, instead = "SageMaker is asked by an endpoint's name, and this is its ARN", f"write {provider}/{arn[1]}"
    else:
        near = closest(name, settings.endpoints) or _plain(name)
        message = f"{quote(name)} cannot be the name of an endpoint"
        instead = f"AWS takes up to 63 letters and digits, with - between them; did you mean {provider}/{near}?"
    raise ConfigError(f"{message}", where=where, hint=instead)


def _plain(name: str) -> str:
    """``name`` with what AWS takes in place of what it does not."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:63].rstrip("-") or "my-endpoint"


def stated_elsewhere(name: str, settings: ProviderConfig, config: Config) -> Iterator[ConfigError]:
    """Instances that another provider of the same account and region, further up, has stated already: they would be paid
    twice."""
    for other, rival in config.providers.items():
        if other == name:
            return
        if (rival.kind or other) != (settings.kind or name) or not _same_owner(rival, settings):
            continue
        stated = {each.endpoint or key: key for key, each in rival.endpoints.items() if each.capacity is not None}
        for key, each in settings.endpoints.items():
            there = stated.get(each.endpoint or key)
            if each.capacity is not None and there is not None:
                here = ("providers", name, "endpoints", key, "capacity")
                theirs = dotted(("providers", other, "endpoints", there, "capacity"))
                yield ConfigError(
                    f"{dotted(here)}: the instances of {each.endpoint or key} are stated twice",
                    where=config.where(*here),
                    hint=f"keep those of {theirs}, or these",
                )


def _same_owner(one: ProviderConfig, other: ProviderConfig) -> bool:
    """Whether two providers ask in one account and region, as far as their settings tell."""

    def told(settings: ProviderConfig) -> list[object]:
        found = [getattr(settings, field) for field in _OWNER]
        return [each.reveal() if isinstance(each, Secret) else each for each in found]

    return told(one) == told(other)


def near_endpoint(name: str, listed: dict[str, EndpointConfig]) -> str:
    """A listed endpoint that ``name``, which is not listed, may be a misspelling of; empty: none."""
    return (closest(name, listed) or "") if name not in listed else ""
