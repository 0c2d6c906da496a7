"""Writes down what pools cost by time: that their replicas stood ready, minute by minute.

The gateway knows of a pool what its configuration says, and how many replicas a watch has counted where one looks (the
instances of a SageMaker endpoint). It knows it only for the time in which it ran itself: a record covers time that was lived
through, cut at start, reload, stop, and where the number of replicas changed. A gateway that is killed loses the minute that it was in;
minutes in which it was down are not invented.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from trimaran.config import Config, HourlyConfig
from trimaran.control.log import log as log_to_stderr
from trimaran.ledger import CapacityUsed, JournalWriter

__all__ = ["CapacityMeter", "CapacityRecorder", "counted", "stated_capacity"]

_MINUTE_NS = 60 * 10**9
_GAP_NS = 90 * 10**9
"""A silence longer than this was no waiting: the machine slept, or its clock was set."""
_TICK_S = 1.0
_SEGMENT_BYTES = 256 * 1024
"""A day of one pool is about 200 KiB."""


def stated_capacity(config: Config, *, simulated: bool = False) -> list[CapacityUsed]:
    """The pools of a configuration, each as a record without its time. ``simulated``: nobody real answers.

    A pool has its provider's name; an endpoint of SageMaker or Azure, and provisioned throughput of a deployment, is one by
    itself and has its target's.
    """
    return [*_providers(config, simulated), *_endpoints(config, simulated), *_azure(config, simulated)]


def counted(pools: Sequence[CapacityUsed], replicas: Mapping[str, int]) -> list[CapacityUsed]:
    """``pools`` with as many replicas as were counted, by the pool's name, where they were."""
    return [
        msgspec.structs.replace(pool, replicas=replicas.get(pool.pool, pool.replicas)) if replicas else pool
        for pool in pools
    ]


def _providers(config: Config, simulated: bool) -> list[CapacityUsed]:
    return [
        CapacityUsed(
            name,
            0,
            0,
            provider.capacity.replicas,
            offer=provider.capacity.offer,
            platform=provider.capacity.platform,
            region=provider.capacity.region or provider.region or "",
            purchase_option=provider.capacity.purchase_option,
            hourly_nanos=provider.capacity.hourly_nanos,
            amortised_hourly_nanos=provider.capacity.amortised_hourly_nanos,
            source=provider.capacity.source,
            as_of=provider.capacity.as_of,
            simulated=simulated or provider.simulated,
        )
        for name, provider in config.providers.items()
        if provider.capacity is not None
    ]


def _endpoints(config: Config, simulated: bool) -> list[CapacityUsed]:
    return [
        CapacityUsed(
            f"{name}/{endpoint}",
            0,
            0,
            written.capacity.instances,
            offer=written.capacity.instance_type,
            platform=provider.kind or name,
            region=provider.location or provider.region or "",
            purchase_option=written.capacity.purchase_option,
            hourly_nanos=written.capacity.hourly_nanos,
            amortised_hourly_nanos=written.capacity.amortised_hourly_nanos,
            source=written.capacity.source,
            as_of=written.capacity.as_of,
            simulated=simulated or provider.simulated,
        )
        for name, provider in config.providers.items()
        for endpoint, written in provider.endpoints.items()
        if written.capacity is not None
    ]


def _azure(config: Config, simulated: bool) -> Iterator[CapacityUsed]:
    for name, provider in config.providers.items():
        stated: list[tuple[str, HourlyConfig, int, str, str]] = []
        for deployment, bought in provider.deployments.items():
            if bought.capacity is not None:
                stated.append((deployment, bought.capacity, bought.capacity.ptu, "PTU", "azure_openai"))
        for endpoint, online in provider.online_endpoints.items():
            if online.capacity is not None:
                offer = online.capacity.instance_type
                stated.append((endpoint, online.capacity, online.capacity.instances, offer, "azure_ml"))
        for target, capacity, count, offer, platform in stated:
            yield CapacityUsed(
                f"{name}/{target}",
                0,
                0,
                count,
                offer=offer,
                platform=platform,
                region=provider.region or "",
                purchase_option=capacity.purchase_option,
                hourly_nanos=capacity.hourly_nanos,
                amortised_hourly_nanos=capacity.amortised_hourly_nanos,
                source=capacity.source,
                as_of=capacity.as_of,
                simulated=simulated or provider.simulated,
            )


class CapacityMeter:
    """Cuts time into records. ``write`` takes each of them; the clock is the caller's, in nanoseconds since 1970."""

    def __init__(self, write: Callable[[CapacityUsed], object]) -> None:
        self._write = write
        self._pools: Sequence[CapacityUsed] = ()
        self._from_ns = 0
        self._seen_ns = 0

    def apply(self, pools: Sequence[CapacityUsed], now_ns: int) -> None:
        """From now on these stand ready; what stood until now is written."""
        self.tick(now_ns)
        if list(pools) != list(self._pools):
            self._close(now_ns)
            self._pools = list(pools)

    def tick(self, now_ns: int) -> None:
        """Write the minutes that are over."""
        if now_ns - self._seen_ns > _GAP_NS:
            self._close(self._seen_ns)
            self._from_ns = now_ns
        elif now_ns < self._seen_ns:
            # The clock was set back: what is told once is not told again.
            return
        self._seen_ns = now_ns
        while (border := (self._from_ns // _MINUTE_NS + 1) * _MINUTE_NS) <= now_ns:
            self._close(border)

    def stop(self, now_ns: int) -> None:
        """Write what is left."""
        self.tick(now_ns)
        self._close(now_ns)
        self._pools = ()

    def _close(self, until_ns: int) -> None:
        if until_ns <= self._from_ns:
            return
        for pool in self._pools:
            if pool.replicas:
                self._write(msgspec.structs.replace(pool, from_ns=self._from_ns, until_ns=until_ns))
        self._from_ns = until_ns


class CapacityRecorder:
    """A meter on the supervisor's loop, with a journal of its own once there is something to write.

    ``read`` gives the pools of the configuration in use, as they are now.
    """

    def __init__(
        self,
        journal_dir: Path,
        read: Callable[[], Sequence[CapacityUsed]],
        log: Callable[[str], None] = log_to_stderr,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._journal_dir = journal_dir
        self._read = read
        self._log = log
        self._wall_ns = wall_ns
        self._meter = CapacityMeter(self._append)
        self._journal: JournalWriter | None = None
        self._problem = ""
        self._ticking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; from a running event loop. Raises :class:`~trimaran.errors.StartError` when nothing can be written."""
        self.apply()
        self._ticking = asyncio.get_running_loop().create_task(self._tick())

    def apply(self) -> None:
        """The configuration was read again. Raises as :meth:`start`, the first time that it names a pool."""
        pools = self._read()
        if pools and self._journal is None:
            self._journal = JournalWriter(self._journal_dir, "supervisor", _SEGMENT_BYTES)
        self._meter.apply(pools, self._wall_ns())

    def stop(self) -> None:
        """Write what is left and close the journal; before the ledger takes in the rest."""
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        self._meter.stop(self._wall_ns())
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self.beat()

    def beat(self) -> None:
        """Once a second: write the minutes that are over, and see whether replicas were counted anew."""
        if self._journal is not None:
            self._meter.apply(self._read(), self._wall_ns())
            self._journal.prepare()

    def _append(self, record: CapacityUsed) -> None:
        assert self._journal is not None
        written = self._journal.append(record)
        problem = "" if written else self._journal.problem
        if problem and problem != self._problem:
            self._log(f"the time of pools is not recorded: {problem}")
        self._problem = problem
