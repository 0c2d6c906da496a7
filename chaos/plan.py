"""What is set up: providers, public models, keys with their budgets, and the gateway's configuration. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args, get_type_hints

from trimaran.config.setting import Refused
from trimaran.config.settings import KeyConfig
from trimaran.testing import Behaviour
from trimaran.testing.compose import compose
from trimaran.testing.exchange import Prompt

__all__ = [
    "DEADLINE_S",
    "KEYS",
    "MODELS",
    "TARGETS",
    "Key",
    "Target",
    "configuration",
    "continued_text",
    "environment",
    "limits_are_known",
    "upstream_key",
    "whole_text",
]

DEADLINE_S = 5.0
TTFT_S = 1.5
IDLE_S = 1.0


@dataclass(frozen=True)
class Target:
    """A provider with one model. Every whole answer of it has the same length, so that a shorter one is known as cut."""

    name: str
    dialect: str
    tokens: int
    input_nanos: int
    """For one token."""
    output_nanos: int

    @property
    def id(self) -> str:
        return f"{self.name}/{self.upstream}"

    @property
    def upstream(self) -> str:
        return f"{self.name}-1"


TARGETS = (
    Target("red", "openai.chat", 24, 1_000, 2_000),
    Target("green", "openai.chat", 60, 500, 1_500),
    Target("blue", "anthropic.messages", 40, 3_000, 15_000),
    Target("grey", "anthropic.messages", 120, 250, 1_250),
)

MODELS = {
    "plain": "strategy: fastest, targets: [{red}, {green}, {blue}, {grey}]",
    "held": "strategy: ordered, targets: [{green}, {grey}, {red}], on_cut: restart",
    "onward": "strategy: weighted, targets: [{red}, {green}, {blue}], on_cut: continue",
    "narrow": "strategy: cheapest, targets: [{grey}], fallbacks: [plain]",
}


@dataclass(frozen=True)
class Key:
    """A client's key and its hard limits: (unit, amount, period); money in nano-dollars."""

    name: str
    limits: tuple[tuple[str, int, str], ...] = ()
    share: int = 1
    """Part of the clients that use it."""
    settings: str = ""
    """As they are written in the configuration."""
    long: bool = False
    """It has many long tags: they make its journal records long, so that segments fill up in seconds."""

    @property
    def secret(self) -> str:
        return "sk-chaos-" + hashlib.sha256(self.name.encode()).hexdigest()[:24]


KEYS = (
    Key("open", share=4, long=True),
    Key("money-day", (("usd", 40_000_000, "day"),), share=2, settings="budget: 0.04 USD/day"),
    Key("money-minute", (("usd", 4_000_000, "minute"),), share=2, settings="budget: 0.004 USD/minute"),
    Key("tokens", (("tokens", 20_000, "minute"),), share=1, settings="tpm: 20000"),
    Key("requests", (("requests", 120, "minute"),), share=1, settings="rpm: 120"),
)


def upstream_key() -> str:
    """What providers accept."""
    return "sk-chaos-upstream"


@dataclass
class Settings:
    """What one run is made of."""

    seconds: float
    seed: int
    folder: Path
    clients: int = 200
    workers: int = 4
    ledger: dict[str, str] = field(default_factory=dict)
    """Further settings of the ledger."""

    @property
    def tags(self) -> int:
        """Tags of 250 letters of a key with many: a worker's segment of 16 MiB is full in half a minute. In a short run,
        whose segments never fill up, they would only make the configuration slow to read."""
        return 10 if self.seconds < 60 else 100


def configuration(settings: Settings, ports: dict[str, int], with_limits: bool) -> str:
    """The gateway's configuration. ``ports`` are the providers'."""
    names = {target.name: target.id for target in TARGETS}
    lines = ["models:", *(f"  {name}: {{{text.format(**names)}}}" for name, text in MODELS.items()), "providers:"]
    for target in TARGETS:
        # USD for a million tokens is a thousandth of nano-dollars for one.
        price = f"{{input: {target.input_nanos / 1000:g} USD/1M, output: {target.output_nanos / 1000:g} USD/1M}}"
        prefill = "has" if target.dialect == "anthropic.messages" else "lacks"
        lines.append(
            f'  {target.name}: {{base_url: "http://127.0.0.1:{ports[target.name]}", api_key: "${{CHAOS_UPSTREAM}}", '
            f"dialects: [{target.dialect}], prices: {{{target.upstream}: {price}}}, "
            f"capabilities: {{{target.upstream}: {{{prefill}: [prefill]}}}}}}"
        )
    lines.append("keys:")
    for key in KEYS:
        parts = [f'key: "${{CHAOS_{key.name.upper().replace("-", "_")}}}"']
        if key.settings and with_limits:
            parts.append(key.settings)
        if key.long:
            parts.append("tags: {" + ", ".join(f"t{number}: {'x' * 250}" for number in range(settings.tags)) + "}")
        lines.append(f"  {key.name}: {{{', '.join(parts)}}}")
    # What is not recorded is not sent, so that the books can be checked to the last attempt.
    ledger = {"dir": f'"{settings.folder / "ledger"}"', "on_failure": "refuse"} | settings.ledger
    lines += [
        f"limits: {{deadline: {DEADLINE_S:g}s, ttft: {TTFT_S:g}s, idle: {IDLE_S:g}s, max_attempts: 4}}",
        f"server: {{workers: {settings.workers}}}",
        f"ledger: {{{', '.join(f'{name}: {value}' for name, value in ledger.items())}}}",
    ]
    return "\n".join([*lines, ""])


def environment() -> dict[str, str]:
    """The secrets that the configuration refers to."""
    return {"CHAOS_UPSTREAM": upstream_key()} | {
        f"CHAOS_{key.name.upper().replace('-', '_')}": key.secret for key in KEYS
    }


def whole_text(target: Target, prompt: str) -> str:
    """All that the provider says to a prompt."""
    return _said(target, prompt, 1)


def continued_text(target: Target, prompt: str) -> str:
    """What it says to a prompt when it goes on from another one's beginning."""
    return _said(target, prompt, 2)


def _said(target: Target, prompt: str, turns: int) -> str:
    asked = Prompt(target.upstream, turns=turns, last_text=prompt)
    return compose(asked, Behaviour(output_tokens=target.tokens), target.name).text()


def limits_are_known() -> bool:
    """Whether this version takes budgets and limits of keys."""
    hints = get_type_hints(KeyConfig, include_extras=True)
    return all(
        name in hints and not isinstance(get_args(hints[name])[1].kind, Refused) for name in ("budget", "rpm", "tpm")
    )
