"""Which target answers a request: pure decisions over what this worker has seen.

:func:`order` reads, :func:`learn` writes, nothing here has a clock, a socket, a random number or a global of its own. The caller brings the
monotonic time, a uniform random number, and a :class:`Policy`, made once by :func:`build_policy`. One :class:`State` per worker;
workers exchange :func:`export_shared` at least each second.
"""

from __future__ import annotations

from trimaran.routing.events import (
    Abandoned,
    Choice,
    Completed,
    Condition,
    Event,
    Failed,
    FirstToken,
    Replaced,
    RouteRequest,
    Sent,
    Shared,
    SharedTarget,
)
from trimaran.routing.explain import ExplainRow, explain
from trimaran.routing.fitness import TOO_LONG
from trimaran.routing.learning import learn
from trimaran.routing.policy import Candidate, Objective, Policy, build_policy
from trimaran.routing.prefixes import prefix_hashes
from trimaran.routing.sharing import export_shared
from trimaran.routing.state import State
from trimaran.routing.strategies import STRATEGIES, appraise, order

__all__ = [
    "STRATEGIES",
    "TOO_LONG",
    "Abandoned",
    "Candidate",
    "Choice",
    "Completed",
    "Condition",
    "Event",
    "ExplainRow",
    "Failed",
    "FirstToken",
    "Objective",
    "Policy",
    "Replaced",
    "RouteRequest",
    "Sent",
    "Shared",
    "SharedTarget",
    "State",
    "appraise",
    "build_policy",
    "explain",
    "export_shared",
    "learn",
    "order",
    "prefix_hashes",
]
