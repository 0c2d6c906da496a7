"""One event loop for all inputs: making one for each would cost more than the input."""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import Coroutine
from functools import cache
from typing import Any

__all__ = ["wait_for"]


@cache
def _runner() -> asyncio.Runner:
    runner = asyncio.Runner()
    atexit.register(runner.close)
    return runner


def wait_for(work: Coroutine[Any, Any, str]) -> str:
    """Run ``work`` to its end."""
    return _runner().get_loop().run_until_complete(work)
