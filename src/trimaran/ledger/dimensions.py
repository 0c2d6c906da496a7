"""By what spend is grouped and which attempts are meant: names, and how each is read off an attempt or a pool.

SQL groups by what differs between attempts in a row of its own (tenant, period, service tier) and by the *context*, the
id of everything else; the groups are put together here. So the database joins nothing, and a question by tag needs no JSON
in SQL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from trimaran.errors import ConfigError
from trimaran.ledger.capacity import HOUR_NS, Kind
from trimaran.ledger.moments import DAY_NS
from trimaran.ledger.periods import window, window_id

__all__ = [
    "GROUPS",
    "IDLE",
    "PER_TOKEN",
    "SEVERAL",
    "Context",
    "Filters",
    "Grouping",
    "PoolKind",
    "period_unit",
    "provider_of",
]

GROUPS = (
    "total",
    "provider",
    "model",
    "key",
    "tenant",
    "target",
    "service_tier",
    "pool",
    "platform",
    "region",
    "purchase_option",
    "hour",
    "day",
    "week",
    "month",
)
"""What spend can be grouped by, besides ``tag:NAME``; several with commas between them."""

IDLE = "(idle)"
"""The name under which idle capacity stands, where it belongs to nobody: no tenant, no model."""
SEVERAL = "(several)"
"""The platform, region or purchase option of attempts on a pool that has more than one of them."""
PER_TOKEN = "per_token"
"""The purchase option of attempts that ran on no pool."""

_PERIODS = ("hour", "day", "week", "month")


class Context(NamedTuple):
    """What attempts have in common: a row of the table ``contexts``."""

    key_id: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    model: str = ""
    target: str = ""
    provider: str = ""
    simulated: bool = False

    def tag(self, name: str) -> str | None:
        """The value of one tag."""
        return dict(self.tags).get(name)


class PoolKind(NamedTuple):
    """What capacity a pool has; :data:`SEVERAL` where there is more than one value."""

    platform: str
    region: str
    purchase_option: str
    pool: str = ""
    """The pool's name."""


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Which attempts are meant; empty: all. With any of them idle capacity is left out: it belongs to nobody."""

    tenant: str | None = None
    key: str | None = None
    model: str | None = None
    target: str | None = None
    provider: str | None = None
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def needs(self) -> frozenset[str]:
        """The fields of a context that decide."""
        stated = {"key_id": self.key, "model": self.model, "target": self.target, "provider": self.provider}
        return frozenset(name for name, value in stated.items() if value is not None) | (
            {"tags"} if self.tags else frozenset()
        )

    @property
    def any(self) -> bool:
        """Whether something is filtered."""
        return self != _NO_FILTERS

    def admits(self, tenant: str, context: Context) -> bool:
        """Whether an attempt is meant."""
        return (
            (self.tenant is None or self.tenant == tenant)
            and (self.key is None or self.key == context.key_id)
            and (self.model is None or self.model == context.model)
            and (self.target is None or self.target == context.target)
            and (self.provider is None or self.provider == context.provider)
            and all(context.tag(name) == value for name, value in self.tags)
        )


_NO_FILTERS = Filters()

Read = Callable[[str, Context, str, PoolKind | None], str]
"""A dimension's value of an attempt, from its tenant, context, service tier, and pool if it ran on one."""

_OF_ATTEMPT: dict[str, Read] = {
    "total": lambda tenant, context, tier, pool: "total",
    "provider": lambda tenant, context, tier, pool: context.provider,
    "model": lambda tenant, context, tier, pool: context.model,
    "key": lambda tenant, context, tier, pool: context.key_id,
    "tenant": lambda tenant, context, tier, pool: tenant,
    "target": lambda tenant, context, tier, pool: context.target,
    "service_tier": lambda tenant, context, tier, pool: tier or "standard",
    "pool": lambda tenant, context, tier, pool: pool.pool if pool is not None else "",
    "platform": lambda tenant, context, tier, pool: pool.platform if pool is not None else "",
    "region": lambda tenant, context, tier, pool: pool.region if pool is not None else "",
    "purchase_option": lambda tenant, context, tier, pool: pool.purchase_option if pool is not None else PER_TOKEN,
}
_OF_CAPACITY: dict[str, Callable[[str, Kind], str]] = {
    "total": lambda pool, kind: "total",
    "provider": lambda pool, kind: provider_of(pool),
    "pool": lambda pool, kind: pool,
    "platform": lambda pool, kind: kind.platform,
    "region": lambda pool, kind: kind.region,
    "purchase_option": lambda pool, kind: kind.purchase_option,
}


_POOL_NEEDS = ("provider", "target")
_NEEDS: dict[str, tuple[str, ...]] = {
    "provider": ("provider",),
    "model": ("model",),
    "target": ("target",),
    "key": ("key_id",),
    "pool": _POOL_NEEDS,
    "platform": _POOL_NEEDS,
    "region": _POOL_NEEDS,
    "purchase_option": _POOL_NEEDS,
}
"""The fields of a context that a dimension is read from. A pool has its provider's name, or that of one of its targets."""


def provider_of(pool: str) -> str:
    """The provider of a pool: a pool is called like it (``vllm``), or like its only target (``sagemaker/my-llama``)."""
    return pool.partition("/")[0]


class Grouping:
    """How attempts and capacity are put into groups. ``by`` names dimensions, with commas between them."""

    def __init__(self, by: str) -> None:
        """Raises :class:`ConfigError` for a name that is neither one of :data:`GROUPS` nor ``tag:NAME``."""
        self.names = tuple(by.split(","))
        for name in self.names:
            if name not in GROUPS and (not name.startswith("tag:") or name == "tag:"):
                raise ConfigError(
                    f"spend cannot be grouped by {name!r}",
                    hint=f"use one of {', '.join(GROUPS)} or tag:NAME; several with commas between them",
                )
        if len(set(self.names)) < len(self.names):
            raise ConfigError(f"spend is grouped twice by the same in {by!r}", hint="name each group once")
        self._reads = [_reader(name) for name in self.names]
        self.needs = frozenset(
            field for name in self.names for field in _NEEDS.get(name, ("tags",) if name.startswith("tag:") else ())
        )
        """The fields of a context that decide."""

    def of_attempt(
        self, tenant: str, context: Context, tier: str, period_ns: int, pool: PoolKind | None
    ) -> tuple[str, ...]:
        """The group of an attempt that started in the period at ``period_ns``."""
        return tuple(
            _period(name, period_ns) if read is None else read(tenant, context, tier, pool)
            for name, read in zip(self.names, self._reads, strict=True)
        )

    def of_share(self, tenant: str, context: Context, tier: str, hour: int, pool: str, kind: Kind) -> tuple[str, ...]:
        """The group of what an attempt bears of the pool's capacity of ``kind`` in an hour."""
        here = PoolKind(kind.platform, kind.region, kind.purchase_option, pool)
        return self.of_attempt(tenant, context, tier, hour * HOUR_NS, here)

    def of_idle(self, hour: int, pool: str, kind: Kind) -> tuple[str, ...]:
        """The group of the idle capacity of ``kind`` in an hour."""
        return tuple(
            _period(name, hour * HOUR_NS) if name in _PERIODS else _OF_CAPACITY.get(name, _nobody)(pool, kind)
            for name in self.names
        )


def period_unit(*groupings: Grouping) -> int:
    """The length in nanoseconds by which SQL must tell attempts apart; 0: not by time."""
    names = {name for grouping in groupings for name in grouping.names}
    if "hour" in names:
        return HOUR_NS
    return DAY_NS if names & set(_PERIODS) else 0


def _nobody(pool: str, kind: Kind) -> str:
    return IDLE


def _reader(name: str) -> Read | None:
    """``None``: a period."""
    if name in _PERIODS:
        return None
    if name in _OF_ATTEMPT:
        return _OF_ATTEMPT[name]
    label = name.removeprefix("tag:")
    return lambda tenant, context, tier, pool: context.tag(label) or ""


def _period(name: str, at_ns: int) -> str:
    return window_id(name, window(name, at_ns)[0])
