"""The pools that the ledger knows: their capacity, the attempts they served, and who bears what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from trimaran.ledger.capacity import Allocation, Block, Kind, Lot, Service, allocate
from trimaran.ledger.dimensions import SEVERAL, Context, PoolKind
from trimaran.ledger.periods import FOREVER_NS
from trimaran.ledger.records import decode_tags
from trimaran.ledger.store import Store

__all__ = ["Pool", "Served", "first_id", "read_contexts", "read_pools"]

_DAY_NS = 86_400 * 10**9
_LEAST_NS = 1_000
"""How long an attempt is in service at least: the resolution of its latency."""


class Served(NamedTuple):
    """An attempt that ran on a pool."""

    tenant: str
    context: Context
    service_tier: str
    started_ns: int
    ok: bool
    priced: bool
    """It has a cost by tokens."""


class Pool(msgspec.Struct):
    """One pool within the time that was asked for."""

    name: str
    simulated: bool
    kind: PoolKind
    lots: list[Lot]
    allocations: list[Allocation]
    served: dict[tuple[str, int], Served]
    """By request and attempt."""

    def covered(self) -> set[tuple[str, int]]:
        """Attempts without a cost by tokens whose time is paid for as capacity: priced in each hour that they ran in."""
        known = {each.service.id for each in self.allocations if each.lot.known}
        unknown = {each.service.id for each in self.allocations if not each.lot.known}
        return {each for each in known - unknown if not self.served[each].priced}


def first_id(since_ns: int) -> str:
    """A request id before all whose attempts can matter from ``since_ns`` on.

    A request id begins with its milliseconds, so the primary key finds the place to start from. A day is ample for the
    time from the request's arrival to the end of its last attempt.
    """
    return f"{max(since_ns - _DAY_NS, 0) // 10**6:012x}"


def read_contexts(store: Store) -> dict[int, Context]:
    """All contexts by their id."""
    rows = store.connection.execute("SELECT id, key_id, tags, model, target, provider, simulated FROM contexts")
    tags: dict[str, tuple[tuple[str, str], ...]] = {}
    found: dict[int, Context] = {}
    for identity, key_id, text, model, target, provider, simulated in rows:
        if text not in tags:
            tags[text] = tuple(decode_tags(text).items())
        found[identity] = Context(key_id, tags[text], model, target, provider, bool(simulated))
    return found


def read_pools(
    store: Store, contexts: dict[int, Context], since_ns: int = 0, until_ns: int = FOREVER_NS
) -> dict[tuple[str, bool], Pool]:
    """Pools by name and whether they are simulated, with what they cost in ``[since_ns, until_ns)`` and who bears it.

    An attempt ran on the pool that has its target's name, else on its provider's. It was in service from its start for as
    long as its latency; one that has not ended bears nothing yet. Its tokens are those of its usage, else the estimate of its
    input; at least 1.
    """
    blocks = _blocks(store, since_ns, until_ns)
    if not blocks:
        return {}
    services, served = _services(store, contexts, blocks, since_ns, until_ns)
    pools: dict[tuple[str, bool], Pool] = {}
    for identity, stood in blocks.items():
        lots, allocations = allocate(stood, services[identity], since_ns, until_ns)
        pools[identity] = Pool(*identity, _kind(stood, identity[0]), lots, allocations, served[identity])
    return pools


def _blocks(store: Store, since_ns: int, until_ns: int) -> dict[tuple[str, bool], list[Block]]:
    rows = store.connection.execute(
        "SELECT pool, simulated, from_ns, until_ns, replicas, platform, region, purchase_option, offer, hourly_nanos, "
        "amortised_hourly_nanos, source, as_of FROM capacity WHERE until_ns > ? AND from_ns < ?",
        (since_ns, until_ns),
    )
    kinds: dict[tuple[object, ...], Kind] = {}
    found = defaultdict[tuple[str, bool], list[Block]](list)
    for pool, simulated, from_ns, block_until_ns, replicas, *kind in rows:
        shared = kinds.setdefault(tuple(kind), Kind(*kind))
        found[pool, bool(simulated)].append(Block(from_ns, block_until_ns, replicas, shared))
    return dict(found)


_SERVED = """
SELECT r.request_id, r.attempt, r.tenant, r.context, r.service_tier, r.started_ns, r.latency_us,
    COALESCE(r.input_tokens + r.output_tokens, r.input_tokens_estimate), o.status, r.cost_nanos
FROM attempt_rows r JOIN contexts c ON c.id = r.context JOIN outcomes o ON o.id = r.outcome
WHERE r.request_id >= ? AND r.started_ns < ? AND r.started_ns + r.latency_us * 1000 >= ?
    AND (c.provider IN ({pools}) OR c.target IN ({pools}))
"""


def _services(
    store: Store, contexts: dict[int, Context], pools: Iterable[tuple[str, bool]], since_ns: int, until_ns: int
) -> tuple[dict[tuple[str, bool], list[Service]], dict[tuple[str, bool], dict[tuple[str, int], Served]]]:
    services = {identity: list[Service]() for identity in pools}
    served = {identity: dict[tuple[str, int], Served]() for identity in services}
    names = sorted({name for name, _ in services})
    rows = store.connection.execute(
        _SERVED.format(pools=", ".join("?" * len(names))), (first_id(since_ns), until_ns, since_ns, *names, *names)
    )
    for request_id, attempt, tenant, context_id, tier, started_ns, latency_us, tokens, status, cost in rows:
        context = contexts[context_id]
        here = (context.target, context.simulated)
        if here not in services:
            here = (context.provider, context.simulated)
        if here not in services:
            continue
        identity = (request_id, attempt)
        end_ns = started_ns + max(latency_us * 1000, _LEAST_NS)
        services[here].append(Service(identity, started_ns, end_ns, max(tokens, 1)))
        served[here][identity] = Served(tenant, context, tier, started_ns, status == "ok", cost is not None)
    return services, served


def _kind(blocks: Iterable[Block], pool: str) -> PoolKind:
    kinds = {(block.kind.platform, block.kind.region, block.kind.purchase_option) for block in blocks}
    columns = [set(column) for column in zip(*kinds, strict=True)]
    platform, region, option = (column.pop() if len(column) == 1 else SEVERAL for column in columns)
    return PoolKind(platform, region, option, pool)
