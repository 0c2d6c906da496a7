"""The road's server side in one worker: what all client connections share, and what is done to all of them."""

from __future__ import annotations

from collections.abc import Callable

from trimaran.dispatch.dispatcher import Dispatcher
from trimaran.errors import TrimaranError
from trimaran.gateway.connection import Connection
from trimaran.gateway.keyring import Keyring
from trimaran.ledger.ids import IdSource
from trimaran.types import Snapshot

__all__ = ["HttpServer"]


class HttpServer:
    """The road's server side in one worker."""

    __slots__ = (
        "_ids",
        "_wall_ns",
        "connections",
        "count_refusal",
        "dispatcher",
        "draining",
        "keyring",
        "limits",
        "memory",
        "seconds",
    )

    def __init__(
        self,
        dispatcher: Dispatcher,
        ids: IdSource,
        count_refusal: Callable[[TrimaranError], None],
    ) -> None:
        self.dispatcher = dispatcher
        self._ids = ids
        self.limits = dispatcher.snapshot.server
        self.count_refusal = count_refusal
        self._wall_ns = dispatcher.clock.wall_ns
        self.keyring = Keyring(dispatcher.snapshot, self._wall_ns)
        self.connections: set[Connection] = set()
        self.draining = False
        self.memory = 0
        self.seconds = 0

    def new_id(self) -> str:
        """A new request id."""
        return self._ids.next(self._wall_ns() // 1_000_000)

    def __call__(self) -> Connection:
        """The protocol factory."""
        return Connection(self)

    def apply(self, snapshot: Snapshot) -> None:
        """Serve this snapshot from the next request on."""
        self.dispatcher.apply(snapshot)
        self.limits = snapshot.server
        self.keyring = Keyring(snapshot, self._wall_ns)

    def second(self) -> None:
        """Once a second: close what has been idle or slow for too long."""
        self.seconds += 1
        for connection in tuple(self.connections):
            connection.check(self.seconds, self.limits)

    def drain(self) -> None:
        """Take no new request; connections close as their answers end."""
        self.draining = True
        for connection in tuple(self.connections):
            connection.drain()

    @property
    def in_flight(self) -> int:
        """Answers under way."""
        return sum(connection.busy for connection in self.connections)
