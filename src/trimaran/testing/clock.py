"""Time that moves only when told, and an event loop that lives in it.

:class:`VirtualClock` serves pure tests: it satisfies ``dispatch``'s ``Clock`` port. :class:`VirtualTimeLoop` is an
asyncio loop on such a clock: when no callback is ready it jumps to the next timer, so hours pass in milliseconds and
every run is the same. It has no sockets, pipes, subprocesses or threads, because nothing outside it lives in its time:
what would register one raises, and a wait that nothing can end raises :class:`Deadlock` instead of hanging.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NoReturn, TypeVar

__all__ = ["Deadlock", "VirtualClock", "VirtualTimeLoop", "run_virtual"]

_T = TypeVar("_T")
_START_WALL_NS = 1_767_225_600_000_000_000
"""2026-01-01T00:00:00Z."""


class Deadlock(RuntimeError):
    """The loop waits, and neither a callback nor a timer is left that could wake it."""


class VirtualClock:
    """A monotonic and a wall clock that advance together, in whole nanoseconds.

    ``start_s`` is the first monotonic reading, ``wall_ns`` the first wall reading (nanoseconds since the epoch, UTC).
    """

    __slots__ = ("_monotonic_ns", "_wall_ns")

    def __init__(self, start_s: float = 0.0, wall_ns: int = _START_WALL_NS) -> None:
        self._monotonic_ns = math.ceil(start_s * 1e9)
        self._wall_ns = wall_ns

    def monotonic(self) -> float:
        """Seconds. Only differences mean anything."""
        return self._monotonic_ns / 1e9

    def monotonic_ns(self) -> int:
        """The same in nanoseconds."""
        return self._monotonic_ns

    def wall_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        return self._wall_ns

    def wall(self) -> float:
        """Seconds since the epoch, UTC."""
        return self._wall_ns / 1e9

    def advance(self, seconds: float) -> None:
        """Let time pass, rounded up to a nanosecond. Raises ``ValueError`` for less than nothing."""
        if seconds < 0:
            raise ValueError(f"seconds: {seconds!r} must be 0 or more")
        step = math.ceil(seconds * 1e9)
        self._monotonic_ns += step
        self._wall_ns += step

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock forward or back, as NTP does; the monotonic clock stays."""
        self._wall_ns += round(seconds * 1e9)


class _JumpingSelector(selectors.BaseSelector):
    """Watches the loop's own wake-up pipe and nothing else; waiting advances the clock."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._real = selectors.SelectSelector()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        if self._real.get_map():
            raise RuntimeError("virtual time has no I/O: run sockets, pipes and subprocesses on an ordinary loop")
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise Deadlock("every task waits, and no callback or timer is left to wake one")
        self._clock.advance(max(timeout, 1e-9))
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time. ``clock`` may be shared with the code under test."""

    def __init__(self, clock: VirtualClock | None = None) -> None:
        self.clock = clock if clock is not None else VirtualClock()
        super().__init__(_JumpingSelector(self.clock))

    def time(self) -> float:
        """The clock's monotonic seconds."""
        return self.clock.monotonic()

    @property
    def _clock_resolution(self) -> float:
        """What asyncio adds to ``time()`` to find the timers that are due. Below one unit in the last place of a large
        time it would add nothing, and a timer due exactly now would never fire.
        """
        return max(1e-9, math.ulp(self.clock.monotonic()))

    @_clock_resolution.setter
    def _clock_resolution(self, value: float) -> None:
        """The base class sets the resolution of the real clock."""

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> NoReturn:  # type: ignore[override]
        """Refused: a thread does not live in virtual time."""
        raise RuntimeError("virtual time has no threads: call the function directly, or use an ordinary loop")


def run_virtual(main: Coroutine[Any, Any, _T], clock: VirtualClock | None = None) -> _T:
    """Run a coroutine to its end on a fresh :class:`VirtualTimeLoop`.

    Tasks it leaves behind are cancelled. Raises :class:`Deadlock` when it waits for something that cannot happen.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(clock)) as runner:
        return runner.run(main)
