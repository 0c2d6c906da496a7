"""What models can do, where the catalogue does not know it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from trimaran.config.kinds import OneOf, count, name
from trimaran.config.setting import Listing, Setting
from trimaran.types import FEATURES

__all__ = ["CapabilitiesConfig"]

_FEATURE = OneOf(FEATURES, what="feature", example="vision")


class CapabilitiesConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What one model can do at one provider, where the catalogue does not know it or the provider cuts something off."""

    has: Annotated[
        tuple[str, ...],
        Setting(
            kind=Listing(_FEATURE, expected="a list of features", example="[tools, vision]"),
            what=f"Features it has: {', '.join(f'`{name}`' for name in FEATURES)}.",
            why="A feature that it is said to lack is refused; this corrects the catalogue.",
            reason="what is unknown is sent and tried",
            default="the catalogue's",
        ),
    ] = ()
    lacks: Annotated[
        tuple[str, ...],
        Setting(
            kind=Listing(_FEATURE, expected="a list of features", example="[tools, vision]"),
            what="Features it lacks. A request that needs one of them goes to another target or is refused.",
            why="Without it such a request costs an attempt, or is answered wrongly.",
            reason="what is unknown is sent and tried",
            default="the catalogue's",
        ),
    ] = ()
    context_tokens: Annotated[
        int | None,
        Setting(
            kind=count(1, 100_000_000, example="32768"),
            what="How many tokens its context holds, input and output together.",
            why="A server started with a shorter context than the model's own refuses what the model could read.",
            unit="tokens",
            reason="what is unknown is sent and tried",
            default="the catalogue's",
        ),
    ] = None
    max_output_tokens: Annotated[
        int | None,
        Setting(
            kind=count(1, 100_000_000, example="8192"),
            what="Its longest answer. Goes before the provider's `max_output_tokens`.",
            why="A request for a longer one goes to another target or is refused; `anthropic.messages` needs a limit.",
            unit="tokens",
            reason="what is unknown is sent and tried",
            default="the catalogue's",
        ),
    ] = None
    reasoning: Annotated[
        str,
        Setting(
            kind=OneOf(("effort", "budget", "adaptive"), what="way to set reasoning", example="effort"),
            what="How its reasoning is set: by `effort`, by a `budget` of tokens, or `adaptive` (effort, and the model "
            "decides when).",
            why="A translated request must set it in the model's own way.",
            reason="known models have theirs",
            default="the catalogue's",
        ),
    ] = ""
