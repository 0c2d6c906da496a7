"""Bounds of one request."""

from __future__ import annotations

from typing import Annotated

import msgspec

from trimaran.config.kinds import MONEY, count, duration
from trimaran.config.setting import Setting
from trimaran.types import Limits

__all__ = ["LimitsConfig"]

_LIMITS = Limits()


class LimitsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one request through all of its attempts. A client may tighten them, never loosen them."""

    deadline_s: Annotated[
        float,
        Setting(
            kind=duration(0.1, 86400, example="30s"),
            what="How long a request may take in all, through every attempt.",
            why="A client that waits longer has given up; what is still running for it costs money.",
            unit="duration",
            reason="the openai and anthropic clients give up after ten minutes, too",
        ),
    ] = _LIMITS.deadline_s
    connect_s: Annotated[
        float,
        Setting(
            kind=duration(0.05, 300, example="2s"),
            what="How long name resolution, TCP and TLS may take before the next target is tried.",
            why="An unreachable target must not use up the deadline.",
            unit="duration",
            reason="the openai and anthropic clients wait as long; a healthy connection takes a tenth of it",
        ),
    ] = _LIMITS.connect_s
    ttft_s: Annotated[
        float,
        Setting(
            kind=duration(0.05, 86400, example="10s"),
            what="How long a target may take to its first token before the next target is tried.",
            why="This is where a slow target is noticed while another one can still answer. An answer that is not "
            "streamed gets the time to generate it on top; a model that may reason first gets four times as long.",
            unit="duration",
            reason="ten times what a chat waits for; a person has given up by then, a long prompt has not",
        ),
    ] = _LIMITS.ttft_s
    idle_s: Annotated[
        float,
        Setting(
            kind=duration(0.05, 86400, example="20s"),
            what="How long a stream may stand still after its first token.",
            why="A stream that stands still is broken, and nothing can be retried once content was sent. A model that may "
            "reason gets four times as long.",
            unit="duration",
            reason="far longer than any pause of a healthy stream",
        ),
    ] = _LIMITS.idle_s
    max_attempts: Annotated[
        int,
        Setting(
            kind=count(1, 20, example="3"),
            what="How many attempts one request may make in all, hedges included.",
            why="Retries multiply load exactly when targets are in trouble.",
            unit="attempts",
            reason="two targets, each tried twice",
        ),
    ] = _LIMITS.max_attempts
    max_cost_nanos: Annotated[
        int | None,
        Setting(
            kind=MONEY,
            what="The most that one request may cost through all attempts; an attempt whose bound does not fit is "
            "not sent.",
            why="One request with a huge prompt and three retries can cost more than a day of ordinary traffic.",
            unit="USD",
            reason="what is dear depends on who pays; without it nothing is refused",
            default="no limit",
        ),
    ] = _LIMITS.max_cost_nanos

    def limits(self) -> Limits:
        """The same bounds as the value that travels in a snapshot."""
        return Limits(**msgspec.structs.asdict(self))
