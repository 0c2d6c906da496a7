"""Virtual time: exact, instant, and honest about what it cannot do."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.testing import Deadlock, VirtualClock, VirtualTimeLoop, run_virtual


def test_both_clocks_advance_together_and_the_wall_can_be_set():
    clock = VirtualClock(start_s=5, wall_ns=1_000)
    clock.advance(0.25)
    assert (clock.monotonic(), clock.wall_ns()) == (5.25, 250_001_000)
    clock.step_wall(-1)
    assert (clock.monotonic(), clock.wall_ns()) == (5.25, -749_999_000)
    with pytest.raises(ValueError, match="seconds"):
        clock.advance(-1)


def test_a_day_passes_at_once():
    async def main():
        loop = asyncio.get_running_loop()
        await asyncio.sleep(86_400)
        return loop.time(), loop.clock.wall_ns()

    before = time.monotonic()
    clock = VirtualClock(wall_ns=0)
    seen = run_virtual(main(), clock)
    assert seen == (pytest.approx(86_400), pytest.approx(86_400e9))
    assert time.monotonic() - before < 5


@given(st.lists(st.floats(0, 1e6), max_size=20), st.floats(0, 1e9))
def test_timers_fire_in_order_and_never_early(delays, start):
    async def main():
        loop = asyncio.get_running_loop()
        begun, fired = loop.time(), []
        for delay in delays:
            loop.call_later(delay, lambda due=begun + delay: fired.append((due, loop.time())))
        await asyncio.sleep(max(delays, default=0) + 1)
        return fired

    fired = run_virtual(main(), VirtualClock(start_s=start))
    assert [due for due, _ in fired] == sorted(due for due, _ in fired)
    assert len(fired) == len(delays)
    # A float of seconds near 1e9 resolves about 1e-7 s.
    assert all(now >= due - 2e-9 and now <= due + 1e-6 for due, now in fired)


def test_timeouts_and_tasks_work():
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await asyncio.sleep(10)
        done = await asyncio.gather(asyncio.sleep(2, "b"), asyncio.sleep(1, "a"))
        return done, asyncio.get_running_loop().time()

    assert run_virtual(main()) == (["b", "a"], pytest.approx(5))


def test_a_wait_that_nothing_ends_is_an_error():
    async def main():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        run_virtual(main())


def test_threads_and_sockets_are_refused():
    async def thread():
        await asyncio.to_thread(time.time)

    async def connect():
        here, there = socket.socketpair()
        with here, there:
            here.setblocking(False)
            await asyncio.get_running_loop().sock_recv(here, 1)

    with pytest.raises(RuntimeError, match="threads"):
        run_virtual(thread())
    with pytest.raises(RuntimeError, match="no I/O"):
        run_virtual(connect())


def test_the_clock_may_be_shared_and_advanced_from_inside():
    clock = VirtualClock()

    async def main():
        fired = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(10, fired.set_result, "late")
        clock.advance(60)
        return await fired

    assert run_virtual(main(), clock) == "late"
    assert clock.monotonic() == 60


def test_a_loop_of_ones_own():
    loop = VirtualTimeLoop()
    try:
        loop.call_later(7, loop.stop)
        loop.run_forever()
        assert loop.time() == pytest.approx(7)
    finally:
        loop.close()
