"""The circuits as one view: the workers' own views, folded for people and metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from trimaran.routing.circuit import Circuit
from trimaran.routing.events import Shared
from trimaran.telemetry.prometheus import CIRCUIT_STATES
from trimaran.types import Snapshot

__all__ = ["circuit_states"]


def circuit_states(shared: Iterable[Mapping[str, Any]], snapshot: Snapshot) -> dict[str, str]:
    """The worst state of each target, by target id; a key of ``CIRCUIT_STATES``.

    A target behind a wildcard counts as the wildcard (``openai/*``), because clients choose its name.
    """
    worst = dict.fromkeys(snapshot.targets, "closed")
    for payload in shared:
        view = msgspec.convert(payload, Shared)
        for target, seen in view.targets.items():
            label = target if target in snapshot.targets else f"{target.partition('/')[0]}/*"
            state = Circuit(seen.circuit).name.lower()
            if CIRCUIT_STATES[state] >= CIRCUIT_STATES[worst.get(label, "closed")]:
                worst[label] = state
    return worst
