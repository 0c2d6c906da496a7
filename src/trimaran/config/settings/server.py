"""The gateway's door."""

from __future__ import annotations

from typing import Annotated

import msgspec

from trimaran.config.kinds import ADDRESS, count, duration, size
from trimaran.config.setting import Setting
from trimaran.types import ServerLimits

__all__ = ["ServerConfig"]

_SERVER = ServerLimits()
_MIB = 1024 * 1024


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway's door."""

    host: Annotated[
        str,
        Setting(
            kind=ADDRESS,
            what="The address it listens on.",
            why="Anything but a loopback address is reachable by others, and then keys are required.",
            reason="nothing is exposed before you decide so",
            option="--host",
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int,
        Setting(
            kind=count(0, 65535, example="4000"),
            what="The TCP port it listens on; 0 takes a free one.",
            why="Clients need a fixed place.",
            reason="free on most machines, and what people expect of a model gateway",
            option="--port",
        ),
    ] = 4000
    admin_port: Annotated[
        int,
        Setting(
            kind=count(0, 65535, example="4001"),
            what="The TCP port of metrics and administration, always on 127.0.0.1; 0 takes a free one.",
            why="Metrics must stay out of clients' reach and answer when the door is overloaded.",
            reason="easy to remember, and it moves with the port",
            default="port + 1, or 0 where port is 0",
            option="--admin-port",
        ),
    ] = 4001
    workers: Annotated[
        int,
        Setting(
            kind=count(1, 256, example="4"),
            what="How many processes serve requests.",
            why="One process uses one core.",
            unit="processes",
            reason="one serves thousands of requests a second and learns latencies fastest",
            option="--workers",
        ),
    ] = 1
    max_body_bytes: Annotated[
        int,
        Setting(
            kind=size(1024, 1024 * _MIB, example="10MiB"),
            what="The largest request body.",
            why="A body is held in memory until it is answered, because a retry may need it.",
            unit="size",
            reason="the Anthropic API's own limit; images and long documents fit",
        ),
    ] = _SERVER.max_body_bytes
    max_header_bytes: Annotated[
        int,
        Setting(
            kind=size(1024, _MIB, example="16KiB"),
            what="The largest request head: request line and all headers.",
            why="Heads are parsed before anything is known about the client.",
            unit="size",
            reason="twice what common proxies allow; a client's own head is about 1 KiB",
        ),
    ] = _SERVER.max_header_bytes
    max_memory_bytes: Annotated[
        int,
        Setting(
            kind=size(_MIB, 1024 * 1024 * _MIB, example="512MiB"),
            what="The memory that bodies under way may take in one worker; beyond it requests are refused with 429.",
            why="Many large bodies at once must not kill the process and everybody's streams with it.",
            unit="size",
            reason="sixteen of the largest bodies at once",
        ),
    ] = _SERVER.max_memory_bytes
    receive_s: Annotated[
        float,
        Setting(
            kind=duration(0.1, 3600, example="10s"),
            what="How long a client may take from a request's first byte to its last.",
            why="Clients that send a byte now and then would hold connections for ever.",
            unit="duration",
            reason="32 MiB in a minute needs 4.5 Mbit/s",
        ),
    ] = _SERVER.receive_s
    keep_alive_s: Annotated[
        float,
        Setting(
            kind=duration(1, 86400, example="15s"),
            what="How long an idle client connection is kept.",
            why="A new connection costs a round trip, an idle one some memory.",
            unit="duration",
            reason="twice the idle time of common load balancers, which must be the first to close",
        ),
    ] = _SERVER.keep_alive_s
    drain_s: Annotated[
        float,
        Setting(
            kind=duration(0, 3600, example="60s"),
            what="How long requests under way may finish after the gateway was told to stop.",
            why="A stream that is cut cannot be retried by the client without paying twice.",
            unit="duration",
            reason="Kubernetes kills a container 30 seconds after telling it to stop; the rest is for the journal",
        ),
    ] = 25.0

    def limits(self) -> ServerLimits:
        """What of this a worker needs, as the value that travels in a snapshot."""
        return ServerLimits(
            max_body_bytes=self.max_body_bytes,
            max_header_bytes=self.max_header_bytes,
            max_memory_bytes=self.max_memory_bytes,
            receive_s=self.receive_s,
            keep_alive_s=self.keep_alive_s,
        )
