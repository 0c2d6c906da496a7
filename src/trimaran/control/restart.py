"""When a dead worker is started again, and when to give up: pure, so that no test has to wait.

A worker that served and died is always started again, at once if it had lived a while, so that one poisonous request a
minute cannot take the gateway down. A worker that dies before it is ready will most likely do so for ever: after
:data:`MAX_FAILED_STARTS` in a row the supervisor stops and says so, rather than look alive.
"""

from __future__ import annotations

import msgspec

__all__ = ["MAX_FAILED_STARTS", "RestartPolicy"]

MAX_FAILED_STARTS = 5

_FIRST_DELAY_S = 0.1
_MAX_DELAY_S = 5.0
_LONG_LIFE_S = 10.0


class RestartPolicy(msgspec.Struct):
    """The history of one worker's deaths."""

    failed_starts: int = 0
    """Deaths before ready, in a row."""
    quick_deaths: int = 0
    """Deaths soon after the start, in a row, ready or not."""

    def on_death(self, was_ready: bool, lived_s: float) -> float | None:
        """Seconds until the next start, or ``None`` for giving up."""
        self.failed_starts = 0 if was_ready else self.failed_starts + 1
        if self.failed_starts >= MAX_FAILED_STARTS:
            return None
        if was_ready and lived_s >= _LONG_LIFE_S:
            self.quick_deaths = 0
            return 0.0
        self.quick_deaths += 1
        return float(min(_MAX_DELAY_S, _FIRST_DELAY_S * 2 ** (self.quick_deaths - 1)))
