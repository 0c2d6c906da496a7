"""Requests on a virtual clock: the real routing against an oracle and against what others do, on the same arrivals.

``python -m trimaran.simulation.report`` prints the figures. What is assumed of targets and traffic stands in
:mod:`trimaran.simulation.workload`; nothing here knows how routing decides, it only calls ``order`` and ``learn``.
"""

from __future__ import annotations

from trimaran.simulation.engine import POLICIES, Decision, Result, simulate
from trimaran.simulation.limits import RateLimit
from trimaran.simulation.measure import adaptation, percentile, regret
from trimaran.simulation.workload import Arrival, Fault, Run, TargetModel, steady, two_targets

__all__ = [
    "POLICIES",
    "Arrival",
    "Decision",
    "Fault",
    "RateLimit",
    "Result",
    "Run",
    "TargetModel",
    "adaptation",
    "percentile",
    "regret",
    "simulate",
    "steady",
    "two_targets",
]
