"""Which target answers a request: pure decisions over what this worker has seen.

:func:`order` reads, :func:`learn` writes, nothing here has a clock, a socket, a random number or a global of its own. The caller brings the
monotonic time and a uniform random number. One :class:`State` per worker; workers exchange :func:`export_shared` at least each second.
"""

from __future__ import annotations

from trimaran.routing.events import (
    Abandoned,
    Choice,
    Completed,
    Event,
    Failed,
    FirstToken,
    RouteRequest,
    Sent,
    Shared,
    SharedTarget,
)
from trimaran.routing.explain import ExplainRow, explain
from trimaran.routing.learning import learn
from trimaran.routing.ordering import STRATEGIES, order
from trimaran.routing.sharing import export_shared
from trimaran.routing.state import State

__all__ = [
    "STRATEGIES",
    "Abandoned",
    "Choice",
    "Completed",
    "Event",
    "ExplainRow",
    "Failed",
    "FirstToken",
    "RouteRequest",
    "Sent",
    "Shared",
    "SharedTarget",
    "State",
    "explain",
    "export_shared",
    "learn",
    "order",
]
