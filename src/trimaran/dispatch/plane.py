"""What the supervisor and its road workers say to each other, and how it is framed.

The two ends share a private ``AF_UNIX`` socket pair that only they hold, so messages are trusted in kind but bounded in
size. A frame is a 4-byte big-endian length and that many bytes of msgpack: one tagged struct. Framing does no I/O
(:func:`encode`, :class:`Framer`); :class:`PlaneProtocol` is the thin asyncio shell around it.

    worker → control                          control → worker
    Hello      once, first                    Apply    a whole snapshot; the worker answers Ready or Refused
    Ready      a snapshot is in use           Shared   another worker's circuits and loads
    Refused    the last good one stays        Drain    finish what is running, then Drained and exit
    Report     every 250 ms                   Grant    more of an account, answer to Ask
    Ask        more of an account             Denied   an account has no room, answer to Ask
    Returned   a part of it is not needed     Recall   return what is not reserved, at once
    Renew      a target refused a credential    Renewed    a credential; also for workers that start later
    Drained    once, last                      Conditions what is known of targets and credentials

When the plane closes, the other side is gone: the supervisor restarts the worker; a worker drains and exits, so that
no worker outlives its supervisor.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any, TypeAlias, cast

import msgspec

from trimaran.routing import Condition
from trimaran.telemetry.metrics import Totals
from trimaran.types import Credential, Snapshot

__all__ = [
    "MAX_FRAME_BYTES",
    "REPORT_INTERVAL_S",
    "Apply",
    "Ask",
    "Conditions",
    "Denied",
    "Drain",
    "Drained",
    "Framer",
    "Grant",
    "Hello",
    "Message",
    "PlaneError",
    "PlaneProtocol",
    "Ready",
    "Recall",
    "Refused",
    "Renew",
    "Renewed",
    "Report",
    "Returned",
    "Shared",
    "attach",
    "connect",
    "encode",
]

REPORT_INTERVAL_S = 0.25
"""How often a worker reports. Four of them fit in the second within which all workers must agree on circuits."""

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""Far above any snapshot (10,000 keys and 1,000 targets take about 1 MB); a bound, so that no bug eats the memory."""

_CONGESTED_BYTES = 1024 * 1024
_LENGTH = struct.Struct(">I")


class PlaneError(Exception):
    """A frame is too large or not a message. The connection cannot be used any further."""


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """A worker is up and wants a snapshot.

    ``life`` is the first of its request ids: it tells the lives of one worker apart. ``journal`` is the name under which
    this life journals. Both are empty where the worker asks for no leases.
    """

    worker: int
    pid: int
    life: str = ""
    journal: str = ""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The worker serves with this version from now on."""

    snapshot_version: int


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The worker cannot use this version and keeps the one it has. ``why`` is one sentence without secrets."""

    version: int
    why: str


class Report(msgspec.Struct, frozen=True, tag="report"):
    """Counters since the worker's start, and what other workers should know.

    ``metrics`` is ``None`` where nothing changed since the last report; ``shared`` is from ``routing.export_shared``.
    ``used`` lists accounts of which more was used since the last report: allowance, start of the window, and all that
    this life has used. ``lost`` counts records that a crash now would leave out of
    the journal.
    """

    worker: int
    metrics: Totals | None = None
    shared: dict[str, Any] = {}
    in_flight: int = 0
    used: list[tuple[str, int, int]] = []
    lost: int = 0


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """A worker wants to use more of an account: an allowance in the window that begins at ``start_ns``.

    ``need`` is the least that helps now (0: nothing waits, some in advance is wanted); ``want`` is all that waits.
    Answered by one :class:`Grant` or :class:`Denied`.
    """

    allowance: str
    start_ns: int
    need: int
    want: int = 0


class Returned(msgspec.Struct, frozen=True, tag="returned"):
    """A worker may use ``amount`` less of an account than it was granted. Negative: it was charged more than it reserved,
    and has used that already. ``used`` is all that this life has used; ``recall`` is the number of the
    :class:`Recall` that this answers, or 0."""

    allowance: str
    start_ns: int
    amount: int
    used: int
    recall: int = 0


class Grant(msgspec.Struct, frozen=True, tag="grant"):
    """The worker may use ``amount`` more of an account. It should ask again when it has less than half of ``ahead``."""

    allowance: str
    start_ns: int
    amount: int
    ahead: int = 0


class Denied(msgspec.Struct, frozen=True, tag="denied"):
    """An account has only ``left`` that nobody has used or reserved, which is less than was needed."""

    allowance: str
    start_ns: int
    left: int = 0


class Recall(msgspec.Struct, frozen=True, tag="recall"):
    """Another worker needs what this one has not reserved of an account; answered by :class:`Returned`, also with 0."""

    allowance: str
    start_ns: int
    number: int


class Renew(msgspec.Struct, frozen=True, tag="renew"):
    """A target refused the credential of this name as one that has expired; answered by :class:`Renewed`, with the same one
    where there is no other, or by :class:`Conditions`."""

    name: str


class Renewed(msgspec.Struct, frozen=True, tag="renewed"):
    """Sign with this credential from now on. Its ``repr`` shows nothing of it."""

    name: str
    credential: Credential


class Conditions(msgspec.Struct, frozen=True, tag="conditions"):
    """What holds from now on of the targets and credentials that are named."""

    conditions: list[Condition]


class Drained(msgspec.Struct, frozen=True, tag="drained"):
    """Nothing is running any more; the worker exits after this."""


class Apply(msgspec.Struct, frozen=True, tag="apply"):
    """Serve with this snapshot."""

    snapshot: Snapshot


class Shared(msgspec.Struct, frozen=True, tag="shared"):
    """What worker ``worker`` last reported. An empty payload means that it is gone: forget its loads."""

    worker: int
    payload: dict[str, Any] = {}


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Accept nothing new, finish what is running within ``grace_s`` seconds, answer Drained and exit."""

    grace_s: float


Message: TypeAlias = (
    Hello
    | Ready
    | Refused
    | Report
    | Ask
    | Returned
    | Renew
    | Drained
    | Apply
    | Shared
    | Drain
    | Grant
    | Denied
    | Recall
    | Renewed
    | Conditions
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """One frame. Raises :class:`PlaneError` when it is over :data:`MAX_FRAME_BYTES`."""
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME_BYTES:
        raise PlaneError(f"a {type(message).__name__} of {len(body)} bytes is over the limit of {MAX_FRAME_BYTES}")
    return _LENGTH.pack(len(body)) + body


class Framer:
    """Cuts a byte stream into messages, however it was split on the way."""

    __slots__ = ("_buffer", "_max_frame_bytes")

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._buffer = bytearray()
        self._max_frame_bytes = max_frame_bytes

    def feed(self, data: bytes) -> list[Message]:
        """The messages that ``data`` completes, in order. After a :class:`PlaneError` the framer is of no more use."""
        buffer = self._buffer
        buffer += data
        messages: list[Message] = []
        start = 0
        while len(buffer) - start >= 4:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if length > self._max_frame_bytes:
                raise PlaneError(f"a frame of {length} bytes is over the limit of {self._max_frame_bytes}")
            end = start + 4 + length
            if len(buffer) < end:
                break
            messages.append(self._decode(bytes(buffer[start + 4 : end])))
            start = end
        del buffer[:start]
        return messages

    @staticmethod
    def _decode(body: bytes) -> Message:
        try:
            return _decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            # The body may hold a snapshot's secrets, and so might the decoder's words about it: neither is repeated.
            raise PlaneError(f"a frame of {len(body)} bytes is not a message ({type(error).__name__})") from None


class PlaneProtocol(asyncio.Protocol):
    """One end of the plane on an event loop.

    ``on_message`` is called for each message in order; ``on_closed`` exactly once, with the error that ended the
    connection or ``None`` after an orderly end.
    """

    def __init__(
        self, on_message: Callable[[Message], None], on_closed: Callable[[Exception | None], None] = lambda _: None
    ) -> None:
        self._on_message = on_message
        self._on_closed = on_closed
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._error: Exception | None = None

    @property
    def open(self) -> bool:
        """Whether :meth:`send` can still reach the other side."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def congested(self) -> bool:
        """Whether the other side has stopped reading: send it nothing that a later message would replace."""
        return self._transport is not None and self._transport.get_write_buffer_size() > _CONGESTED_BYTES

    def send(self, message: Message) -> None:
        """Queue one message; nothing happens when the plane is closed."""
        self.send_frame(encode(message))

    def send_frame(self, frame: bytes) -> None:
        """Queue what :func:`encode` gave, for a message that goes to many workers."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame)

    def close(self) -> None:
        """Close after what is queued has been written."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not checked at run time: uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._framer.feed(data)
        except PlaneError as error:
            self._error = error
            if self._transport is not None:
                self._transport.abort()
            return
        for message in messages:
            self._on_message(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_closed(self._error or exc)


async def attach(sock: socket.socket, protocol: PlaneProtocol) -> None:
    """Put ``protocol`` on one end of the socket pair. The transport owns ``sock`` from here on."""
    sock.setblocking(False)
    await asyncio.get_running_loop().create_unix_connection(lambda: protocol, sock=sock)


async def connect(
    sock: socket.socket, on_message: Callable[[Message], None], on_closed: Callable[[Exception | None], None]
) -> PlaneProtocol:
    """:func:`attach` a new protocol."""
    protocol = PlaneProtocol(on_message, on_closed)
    await attach(sock, protocol)
    return protocol
