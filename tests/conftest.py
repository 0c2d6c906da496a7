"""What every test shares: the two hypothesis profiles, and a limit on how long one test may take.

``default`` draws the same 200 cases each time, so that a red run stays red until the code changes. ``deep`` draws
10,000 fresh ones (``make test-deep``). Neither has a deadline: a slow machine is not a failing property.

A test that waits for something that never comes fails by name instead of standing there until the whole run is killed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from types import FrameType

import pytest
from hypothesis import HealthCheck, settings

_PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "default")
_LIMIT_S = {"default": 120, "deep": 3600}[_PROFILE]
"""Many times what the slowest test takes on two busy cores."""

settings.register_profile(
    "default",
    max_examples=200,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "deep",
    max_examples=10_000,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(_PROFILE)


def _overdue(signum: int, frame: FrameType | None) -> None:
    pytest.fail(f"not finished within {_LIMIT_S} s: it waits for something that does not come", pytrace=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, _overdue)
    signal.setitimer(signal.ITIMER_REAL, _LIMIT_S)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
