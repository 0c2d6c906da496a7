"""How much may be used, by whom: budgets and limits of keys, tenants and tags; and who is told."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from trimaran.config.allowances import BUDGET, Budget
from trimaran.config.kinds import PERCENT, count
from trimaran.config.setting import Listing, Setting
from trimaran.config.webhook import WEBHOOK
from trimaran.types import Secret

__all__ = ["AccountConfig", "AlertsConfig", "Budgets", "RequestsPerMinute", "TokensPerMinute"]

_MOST_PER_MINUTE = 10**9

Budgets: TypeAlias = Annotated[
    tuple[Budget, ...],
    Setting(
        kind=Listing(
            BUDGET,
            expected="a budget, or a list of them",
            example="[500 USD/month, 2M tokens/day]",
            least=1,
            single=True,
        ),
        what="What may be used in a period: an amount of `USD`, `tokens` or `requests` (`k`, `M` and `B` stand for thousands, "
        "millions and billions) for each `minute`, `hour`, `day`, `week`, `month`, or in `total`; at most one for each unit "
        "and period. The most that an attempt can use is reserved before it is sent, so the sum is never passed.",
        why="Spend must be bounded by whoever answers for it. Money that is used up is a 402 until the period ends, tokens and "
        "requests are a 429.",
        reason="what is affordable only you know",
        unit="USD, tokens or requests in a period of UTC; a week begins on Monday",
        default="none",
    ),
]
RequestsPerMinute: TypeAlias = Annotated[
    int | None,
    Setting(
        kind=count(1, _MOST_PER_MINUTE, example="600"),
        what="Requests that may be made in each minute: the same as a budget of `requests/minute`.",
        why="One client must not starve the others.",
        reason="the providers limit anyway, and learned ceilings keep below that",
        unit="requests per minute",
        default="no limit",
    ),
]
TokensPerMinute: TypeAlias = Annotated[
    int | None,
    Setting(
        kind=count(1, _MOST_PER_MINUTE, example="200000"),
        what="Input and output tokens that may be used in each minute: the same as a budget of `tokens/minute`. The most that "
        "a request can use is reserved, so it must be larger than the largest request with its `max_tokens`.",
        why="A few long requests can weigh as much as a thousand short ones.",
        reason="the providers limit anyway, and learned ceilings keep below that",
        unit="tokens per minute",
        default="no limit",
    ),
]


class AccountConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant, or everything with a tag, may use in all."""

    budget: Budgets = ()
    rpm: RequestsPerMinute = None
    tpm: TokensPerMinute = None


class AlertsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told that a budget is being used up."""

    webhook: Annotated[
        Secret | None,
        Setting(
            kind=WEBHOOK,
            what="The http(s) URL that gets a POST with a JSON object when a budget of an hour or more passes a threshold.",
            why="Whoever answers for the money should hear of it before requests are refused.",
            reason="where to tell it is yours to choose",
            default="nobody is told; `/admin/state` shows what is used",
        ),
    ] = None
    thresholds: Annotated[
        tuple[int, ...],
        Setting(
            kind=Listing(
                PERCENT,
                expected="a percentage, or a list of them",
                example="[50%, 80%, 100%]",
                least=1,
                single=True,
            ),
            what="Which parts of a budget are told of, each once in a period.",
            why="Half of it on the third of the month means something else than all of it on the last.",
            reason="early enough to plan, late enough to matter, and the moment when requests are refused",
            unit="percent of the budget",
        ),
    ] = (50, 80, 100)
