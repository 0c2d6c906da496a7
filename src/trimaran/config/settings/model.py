"""The names that clients ask for."""

from __future__ import annotations

from typing import Annotated

import msgspec

from trimaran.config.kinds import EXACT_NAME, TARGET, TARGET_NAME, OneOf, duration, name, size, weight
from trimaran.config.setting import Group, Listing, Setting, Table
from trimaran.config.settings.limits import LimitsConfig

__all__ = ["ModelConfig"]

_SLO_NAME = r"(?:ttft|tpot|e2e)_p(?:50|90|95|99)"


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A public model: the name clients ask for and the targets behind it."""

    targets: Annotated[
        tuple[str, ...],
        Setting(
            kind=Listing(TARGET, expected="a list of targets", example="[openai/gpt-4o-mini]", least=1),
            what="What can answer it, each written `provider/model`.",
            why="With two of them, one can fail unnoticed.",
            reason="a model without a target cannot answer",
        ),
    ]
    strategy: Annotated[
        str,
        Setting(
            kind=name(r"[a-z][a-z_]{0,31}", expected="the name of a strategy", example="fastest"),
            what="How the order of targets is decided for each request: `fastest` by the predicted time, `cheapest` by the "
            "predicted cost among the targets that keep the SLO, `weighted` by a draw, `ordered` as they are listed.",
            why="Speed, cost and a fixed preference are different wishes.",
            reason="it is what a router is for, and it needs no tuning",
        ),
    ] = "fastest"
    weights: Annotated[
        dict[str, float],
        Setting(
            kind=Table(
                weight(1_000_000, example="3"),
                key=TARGET_NAME,
                key_expected="one of the model's targets, such as openai/gpt-4o-mini",
                expected="targets with their weights",
                example="weights: {openai/gpt-4o-mini: 3, groq/llama-3.3-70b-versatile: 1}",
            ),
            what="Shares of the traffic, for the strategy `weighted`: a target with 3 gets three times as much as one with "
            "1. A weight of 0 keeps it for when no other can answer.",
            why="A new target is tried on a small share first, and a contract is used in the share it was signed for.",
            reason="without a wish, all are equal",
            default="1 for each target",
        ),
    ] = {}
    slo: Annotated[
        dict[str, float],
        Setting(
            kind=Table(
                duration(0.001, 86400, example="1s"),
                key=_SLO_NAME,
                key_expected="ttft, tpot or e2e with a percentile, such as ttft_p95",
                expected="percentiles with durations",
                example="slo: {ttft_p95: 1s}",
            ),
            what="How fast it should answer, by percentile. The strategy `cheapest` asks only targets that are predicted to "
            "keep it, and the fastest where none is; the other strategies do not look at it.",
            why="The cheapest target is often the slowest. To cut requests off, use limits.",
            unit="duration",
            reason="only you know what your users accept",
            default="none",
        ),
    ] = {}
    on_cut: Annotated[
        str,
        Setting(
            kind=OneOf(("error", "restart", "continue"), what="way to go on after a cut", example="restart"),
            what="What becomes of a stream that breaks after the client has seen content: `error` tells the client; "
            "`restart` holds answers back up to `hold`, so that they can be asked for again whole; `continue` lets another "
            "target go on from what was said, if its model accepts the beginning of an answer.",
            why="A text that is cut off is useless to some, and doubled or mixed text is worse to others.",
            reason="it never delays a token and never mixes two answers",
        ),
    ] = "error"
    hold_bytes: Annotated[
        int,
        Setting(
            kind=size(1024, 16 * 1024 * 1024, example="256KiB"),
            what="How much of an answer `on_cut: restart` holds back; a longer one is let go and can then only break with an "
            "error.",
            why="What is held back reaches the client late, and takes memory.",
            unit="size",
            reason="some 300 tokens of a streamed chat answer, each with its envelope",
        ),
    ] = 64 * 1024
    failover_on: Annotated[
        tuple[str, ...],
        Setting(
            kind=Listing(
                OneOf(("content_refused", "context_too_long"), what="refusal", example="content_refused"),
                expected="a list of refusals",
                example="[content_refused]",
            ),
            what="Refusals of the request itself that are taken to another target: `content_refused` (the provider's content "
            "policy), `context_too_long` (also to targets whose context is unknown; those known to hold more are asked anyway).",
            why="One provider's filter or context is not another's.",
            reason="what is wrong with a request is mostly wrong everywhere, and a second answer to it costs a second time",
            default="none",
        ),
    ] = ()
    fallbacks: Annotated[
        tuple[str, ...],
        Setting(
            kind=Listing(
                name(EXACT_NAME, expected="a public model's name", example="chat-small"),
                expected="a list of public models",
                example="[chat-small]",
            ),
            what="Models of this file that stand in, in this order, when no target of this one is left; theirs come after.",
            why="A weaker answer is better than none, and only you know which is weak enough.",
            reason="another model is another answer, so you must want it",
            default="none",
        ),
    ] = ()
    limits: Annotated[
        LimitsConfig,
        Setting(
            kind=Group(LimitsConfig, expected="limits", example="limits: {deadline: 30s}"),
            what="Limits of this model's requests, where they differ from the general ones.",
            why="A chat must answer sooner than a report.",
            reason="one set of limits is easier to reason about",
            default="the general limits",
        ),
    ] = LimitsConfig()
