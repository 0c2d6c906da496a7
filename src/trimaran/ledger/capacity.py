"""What own capacity costs, and which attempts bear it: pure arithmetic on integers.

A pool costs money whether it is asked or not: replicas x time x hourly price. That cost is divided twice.

*Busy or idle.* At an instant with ``r`` replicas and ``c`` attempts in flight, ``min(r, c)`` replicas are busy: one attempt
keeps one replica from being idle, and a replica that answers many at once is no busier for it. The busy share of the cost,
``min(r, c) / r`` integrated over time, is borne by attempts; the rest is idle and borne by nobody.

*Among attempts.* In each pool and hour (UTC) the busy cost is divided by token-seconds: an attempt weighs its tokens times
the nanoseconds that it was in service within the hour. Fractions of nano-dollars go to the largest remainders, so that
what is allocated and what is idle add up to the cost exactly; which attempt is listed first changes nothing.

Each record of capacity is rounded up once to whole nano-dollars; its parts are differences of running totals, so they add
up to it. The amortised part (an earlier payment, spread over its term) is divided in the same way beside the rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

import msgspec

from trimaran.ledger.periods import FOREVER_NS

__all__ = ["HOUR_NS", "Allocation", "Block", "Kind", "Lot", "Service", "allocate", "apportion"]

HOUR_NS = 3_600 * 10**9


class Kind(NamedTuple):
    """What was rented, and how: capacity of one kind has one price in one lot."""

    platform: str = ""
    region: str = ""
    purchase_option: str = ""
    offer: str = ""
    hourly_nanos: int | None = None
    """Nano-dollars for one replica and hour; ``None`` is unknown."""
    amortised_hourly_nanos: int = 0
    source: str = ""
    as_of: str = ""


class Block(NamedTuple):
    """Replicas of one kind that stood ready in ``[from_ns, until_ns)``."""

    from_ns: int
    until_ns: int
    replicas: int
    kind: Kind

    def cost(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        """Nano-dollars of the part ``[start_ns, end_ns)``: all of it, and what of it is amortised. 0 without a price."""
        first, last = self._until(start_ns), self._until(end_ns)
        return last[0] - first[0], last[1] - first[1]

    def _until(self, at_ns: int) -> tuple[int, int]:
        hourly = self.kind.hourly_nanos
        if not hourly:
            return 0, 0
        total = -(-self.replicas * (at_ns - self.from_ns) * hourly // HOUR_NS)
        return total, total * self.kind.amortised_hourly_nanos // hourly


class Service(NamedTuple):
    """One attempt in service of a pool in ``[start_ns, end_ns)``."""

    id: tuple[str, int]
    """Request and attempt: decides who gets a last nano-dollar when remainders are equal."""
    start_ns: int
    end_ns: int
    tokens: int
    """At least 1."""


class Lot(msgspec.Struct):
    """The capacity of one kind in one hour of a pool, or in the part of the hour that was asked for."""

    hour: int
    """Hours since 1970."""
    kind: Kind
    replica_ns: int = 0
    total_nanos: int = 0
    busy_nanos: int = 0
    amortised_nanos: int = 0
    """Part of the total."""
    busy_amortised_nanos: int = 0
    """Part of both."""

    @property
    def idle_nanos(self) -> int:
        """What no attempt bears."""
        return self.total_nanos - self.busy_nanos

    @property
    def known(self) -> bool:
        """Whether it has a price."""
        return self.kind.hourly_nanos is not None


class Allocation(NamedTuple):
    """What one attempt bears of one lot."""

    lot: Lot
    service: Service
    nanos: int
    amortised_nanos: int


def apportion(amount: int, weights: Sequence[int]) -> list[int]:
    """Divide ``amount`` in proportion to ``weights``: whole numbers that add up to it, by the largest remainder; equal
    remainders in the order given. Not all weights may be 0 unless the amount is."""
    whole = sum(weights)
    if not amount:
        return [0] * len(weights)
    shares = [amount * weight // whole for weight in weights]
    missing = amount - sum(shares)
    if missing:
        order = sorted(range(len(weights)), key=lambda place: -(amount * weights[place] % whole))
        for place in order[:missing]:
            shares[place] += 1
    return shares


def allocate(
    blocks: Iterable[Block], services: Iterable[Service], since_ns: int = 0, until_ns: int = FOREVER_NS
) -> tuple[list[Lot], list[Allocation]]:
    """Lots and allocations of one pool within ``[since_ns, until_ns)``.

    Blocks of the same kind that overlap tell of the same replicas, and what is told twice counts once. Of each lot the
    allocations add up to ``busy_nanos``, and their amortised parts to ``busy_amortised_nanos``. An attempt that was in
    service in a lot's hour is listed with it, also where the lot has no price and the amount is 0.
    """
    parts = defaultdict[int, list[_Part]](list)
    for block, first in _once(blocks):
        for hour, start, end in _hours(max(first, since_ns), min(block.until_ns, until_ns)):
            parts[hour].append(_Part(block, start, end))
    running = defaultdict[int, list[Service]](list)
    for service in services:
        for hour, start, end in _hours(max(service.start_ns, since_ns), min(service.end_ns, until_ns)):
            if hour in parts:
                running[hour].append(Service(service.id, start, end, service.tokens))
    lots: list[Lot] = []
    allocations: list[Allocation] = []
    for hour in sorted(parts):
        served = sorted(running[hour])
        _count_busy(parts[hour], served)
        weights = [service.tokens * (service.end_ns - service.start_ns) for service in served]
        for lot in _lots(hour, parts[hour]):
            amortised = apportion(lot.busy_amortised_nanos, weights)
            paid = apportion(lot.busy_nanos - lot.busy_amortised_nanos, weights)
            lots.append(lot)
            allocations += [
                Allocation(lot, service, mine + part, part)
                for service, mine, part in zip(served, paid, amortised, strict=True)
            ]
    return lots, allocations


class _Part:
    """The piece of a block that lies in one hour."""

    __slots__ = ("block", "busy", "end_ns", "start_ns")

    def __init__(self, block: Block, start_ns: int, end_ns: int) -> None:
        self.block = block
        self.start_ns = start_ns
        self.end_ns = end_ns
        self.busy: dict[int, int] = {}
        """By the number of the pool's replicas: busy replicas x nanoseconds."""

    def busy_share(self) -> Fraction:
        """From 0 to 1."""
        busy = sum((Fraction(amount, replicas) for replicas, amount in self.busy.items()), Fraction())
        return busy / (self.end_ns - self.start_ns)


def _once(blocks: Iterable[Block]) -> Iterator[tuple[Block, int]]:
    """Each block with the time from which it tells something new."""
    told: dict[tuple[str, str, str, str], int] = {}
    for block in sorted(blocks, key=lambda each: (each.from_ns, each.until_ns)):
        identity = block.kind[:4]
        first = max(block.from_ns, told.get(identity, block.from_ns))
        if first < block.until_ns:
            told[identity] = block.until_ns
            yield block, first


def _hours(start_ns: int, end_ns: int) -> Iterator[tuple[int, int, int]]:
    """The pieces of ``[start_ns, end_ns)`` by hour; none when it is empty."""
    while start_ns < end_ns:
        hour = start_ns // HOUR_NS
        border = min((hour + 1) * HOUR_NS, end_ns)
        yield hour, start_ns, border
        start_ns = border


def _count_busy(parts: Sequence[_Part], served: Sequence[Service]) -> None:
    """Fill in ``busy`` of each part: one sweep over all borders in order."""
    borders: list[tuple[int, int, _Part | None]] = []
    for stood in parts:
        borders += [(stood.start_ns, 1, stood), (stood.end_ns, -1, stood)]
    for service in served:
        borders += [(service.start_ns, 1, None), (service.end_ns, -1, None)]
    borders.sort(key=lambda border: border[0])
    standing: list[_Part] = []
    replicas = in_flight = since = 0
    for at, step, part in borders:
        busy = min(replicas, in_flight)
        if busy and at > since:
            amount = busy * (at - since)
            for each in standing:
                each.busy[replicas] = each.busy.get(replicas, 0) + amount
        since = at
        if part is None:
            in_flight += step
        else:
            replicas += step * part.block.replicas
            if step > 0:
                standing.append(part)
            else:
                standing.remove(part)


def _lots(hour: int, parts: Iterable[_Part]) -> list[Lot]:
    """The parts of an hour, those of one kind together."""
    lots: dict[Kind, Lot] = {}
    for part in parts:
        kind = part.block.kind
        lot = lots.get(kind)
        if lot is None:
            lot = lots[kind] = Lot(hour, kind)
        total, amortised = part.block.cost(part.start_ns, part.end_ns)
        share = part.busy_share()
        busy_amortised = int(amortised * share)
        lot.replica_ns += part.block.replicas * (part.end_ns - part.start_ns)
        lot.total_nanos += total
        lot.amortised_nanos += amortised
        lot.busy_amortised_nanos += busy_amortised
        lot.busy_nanos += busy_amortised + int((total - amortised) * share)
    return [lots[kind] for kind in sorted(lots, key=repr)]
