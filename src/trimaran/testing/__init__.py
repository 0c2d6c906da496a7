"""Simulated providers, a virtual clock and contract suites: product code for testing a stack that calls language
models.

Nothing here is imported by the rest of the product but by ``cli``. A simulated provider says in every answer that it is
simulated. :mod:`trimaran.testing.contract` imports the vendors' SDKs when it is used, not before.
"""

from __future__ import annotations

from trimaran.testing.behaviour import FAULTS, Behaviour, Fault
from trimaran.testing.clock import Deadlock, VirtualClock, VirtualTimeLoop, run_virtual
from trimaran.testing.log import LoggedRequest, Outcome, RequestLog
from trimaran.testing.provider import SimulatedProvider

__all__ = [
    "FAULTS",
    "Behaviour",
    "Deadlock",
    "Fault",
    "LoggedRequest",
    "Outcome",
    "RequestLog",
    "SimulatedProvider",
    "VirtualClock",
    "VirtualTimeLoop",
    "run_virtual",
]
