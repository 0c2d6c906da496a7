"""From a configured endpoint to a target: which dialects its container speaks, and what the door needs to know.

Pure. A container decides the dialects; the base model decides what can be asked of it, because an endpoint's name says
nothing about its model.
"""

from __future__ import annotations

import msgspec

from trimaran.catalog import capabilities
from trimaran.config import EndpointConfig, closest, quote
from trimaran.types import Target
from trimaran.wire.chat_templates import TEMPLATES, template_of

__all__ = ["DEFAULT_DIALECTS", "DIALECTS_OF", "endpoint_target", "near_endpoint", "prompt_problem"]

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
        dialects=DIALECTS_OF[written.container],
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


def near_endpoint(name: str, listed: dict[str, EndpointConfig]) -> str:
    """A listed endpoint that ``name``, which is not listed, may be a misspelling of; empty: none."""
    return (closest(name, listed) or "") if name not in listed else ""
