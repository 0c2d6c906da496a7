"""The supervisor's upkeep: credentials and conditions from the upkeep's thread to all workers, also to those that start later.

What is told comes over the loop, in order. A worker that restarts gets everything again after its snapshot; what a reload no
longer needs is forgotten here and, with the snapshot, there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from trimaran.control.log import log as log_to_stderr
from trimaran.dispatch.plane import Conditions, Message, Renewed
from trimaran.providers import Upkeep, Watch, sources_of
from trimaran.routing import Condition
from trimaran.types import Credential, Snapshot

__all__ = ["SharedUpkeep", "Teller"]


class Teller(Protocol):
    """Who can be told: :class:`~trimaran.control.fleet.Fleet`."""

    def tell(self, key: str, message: Message) -> None: ...

    def forget(self, key: str) -> None: ...


class SharedUpkeep:
    """One upkeep for all workers. Use it on one running loop.

    ``watches`` says what else is to be looked at for a snapshot.
    """

    def __init__(
        self,
        *,
        watches: Callable[[Snapshot], Sequence[Watch]] = lambda _: (),
        log: Callable[[str], None] = log_to_stderr,
        make: Callable[..., Upkeep] = Upkeep,
    ) -> None:
        self._watches = watches
        self._log = log
        self._make = make
        self._upkeep: Upkeep | None = None
        self._looking: Sequence[Watch] = ()
        self._tellers: Teller | None = None
        self._names: frozenset[str] = frozenset()
        self._conditions: dict[str, Condition] = {}

    def start(self, teller: Teller, snapshot: Snapshot) -> None:
        """Begin; from a running event loop."""
        loop = asyncio.get_running_loop()
        self._tellers = teller
        self._upkeep = self._make(
            lambda name, credential: _safely(loop, self._on_credential, name, credential),
            lambda *condition: _safely(loop, self._on_condition, *condition),
            log=lambda line: _safely(loop, self._log, line),
        )
        self.apply(snapshot)

    def apply(self, snapshot: Snapshot) -> None:
        """Take care of what this snapshot needs."""
        if self._upkeep is None or self._tellers is None:
            return
        gone, self._names = self._names - snapshot.identities.keys(), frozenset(snapshot.identities)
        for name in gone:
            self._tellers.forget(f"renewed {name}")
        self._looking = self._watches(snapshot)
        self._upkeep.follow(sources_of(snapshot), self._looking)

    def renew(self, name: str) -> None:
        """A target refused this credential."""
        if self._upkeep is not None and name in self._names:
            self._upkeep.renew(name)

    def stop(self) -> None:
        """End it. Blocks for a second at most."""
        if self._upkeep is not None:
            self._upkeep.stop()

    def state(self) -> dict[str, Any]:
        """What is known, for people: no secret."""
        upkeep = self._upkeep
        now_ns = time.time_ns()
        return {
            "credentials": {
                name: {
                    "source": source,
                    "expires": _moment(expires_ns),
                    "expired": (expires_ns or now_ns + 1) <= now_ns,
                }
                for name, (source, expires_ns) in sorted((upkeep.sources() if upkeep is not None else {}).items())
            },
            "conditions": {
                key: {"level": condition.level, "reason": condition.reason}
                for key, condition in sorted(self._conditions.items())
            },
            "problems": self._problems(),
        }

    def _problems(self) -> dict[str, str]:
        """What does not work; also of a watch that saw some and not all."""
        partly = {watch.name: told for watch in self._looking if (told := getattr(watch, "problem", ""))}
        return partly | (self._upkeep.problems() if self._upkeep is not None else {})

    # On the loop

    def _on_credential(self, name: str, credential: Credential) -> None:
        # What was under way when a reload forgot its name is not handed on.
        if self._tellers is not None and name in self._names:
            self._tellers.tell(f"renewed {name}", Renewed(name, credential))

    def _on_condition(self, key: str, level: str, reason: str) -> None:
        if self._tellers is None:
            return
        condition = Condition(key, level, reason)
        if level == "up":
            self._conditions.pop(key, None)
        else:
            self._conditions[key] = condition
        self._tellers.tell(f"condition {key}", Conditions([condition]))
        if level == "up" and not key.startswith("credential:"):
            self._tellers.forget(f"condition {key}")


def _safely(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *args: Any) -> None:
    """From the upkeep's thread; nothing happens once the loop is closed."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(call, *args)


def _moment(wall_ns: int | None) -> str | None:
    return None if wall_ns is None else f"{datetime.fromtimestamp(wall_ns // 10**9, UTC):%Y-%m-%dT%H:%M:%SZ}"
