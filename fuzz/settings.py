"""Configuration files: only a configuration error may come out, and it shows no secret."""

from __future__ import annotations

from random import Random

from fuzz.mutate import bend_bytes
from trimaran.config import load_text
from trimaran.dispatch.snapshot import build_snapshot
from trimaran.errors import ConfigError

__all__ = ["run"]

_SECRET = "sk-fuzz-secret-0123456789"
_ENVIRON = {"HOME": "/nowhere", "KEY": _SECRET, "OPENAI_API_KEY": _SECRET}
_TEXTS = (
    """\
models:
  chat: {strategy: cheapest, targets: [openai/gpt-4o-mini, own/small], slo: {ttft_p95: 1s}, on_cut: restart}
  spare: {targets: [own/small], fallbacks: [chat]}
providers:
  own:
    base_url: http://127.0.0.1:9
    api_key: ${KEY}
    prices: {small: {input: 0.1 USD/1M, output: 0.2 USD/1M}}
    capabilities: {small: {has: [tools], context_tokens: 8192}}
keys:
  team: {key: "${KEY}", tenant: acme, tags: {centre: "42"}, models: [chat]}
limits: {deadline: 30s, max_attempts: 3, max_cost: 0.05 USD}
server: {port: 4000, workers: 2, max_body: 10MiB}
""",
    """\
models: {chat: {targets: [openai/gpt-4o-mini]}}
""",
)


def run(random: Random) -> str:
    """One file; ``read`` or the error."""
    text = bend_bytes(random, random.choice(_TEXTS).encode()).decode("utf-8", "replace")
    try:
        build_snapshot(load_text(text, "trimaran.yaml", _ENVIRON), _ENVIRON, 1)
    except ConfigError as error:
        found: ConfigError = error
    else:
        return "read"
    assert _SECRET not in str(found)
    return type(found).__name__
