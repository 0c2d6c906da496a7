"""Listening sockets, bound by the supervisor before anything else happens.

On Linux each worker has its own socket with ``SO_REUSEPORT``: the kernel spreads connections over them without a shared
queue. The supervisor keeps them open, so that a dead worker's successor takes over the same queue and no waiting
connection is lost. Elsewhere the workers share one socket.

``SO_REUSEPORT`` would also let a second gateway of the same user bind the port unnoticed; a plain bind finds that out.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import sys

from trimaran.errors import StartError

__all__ = ["bind", "bind_road", "is_loopback"]

_BACKLOG = 1024


def is_loopback(host: str) -> bool:
    """Whether ``host`` (a name or an address) can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bind_road(host: str, port: int, workers: int) -> list[socket.socket]:
    """One listening socket for each worker, all on one port. Port 0 takes a free one.

    Raises :class:`StartError` when the port is in use or the address is not ours.
    """
    spread = sys.platform == "linux" and workers > 1
    first = bind(host, port, option="--port")
    if not spread:
        return [first, *(first.dup() for _ in range(workers - 1))]
    port = first.getsockname()[1]
    first.close()
    sockets: list[socket.socket] = []
    try:
        for _ in range(workers):
            sockets.append(bind(host, port, option="--port", reuse_port=True))
    except StartError:
        for each in sockets:
            each.close()
        raise
    return sockets


def bind(host: str, port: int, *, option: str, reuse_port: bool = False) -> socket.socket:
    """A listening, non-blocking socket. ``option`` is the command line option that chooses another port."""
    family, address = _resolve(host, port)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(address)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise _start_error(error, host, port, option) from error
    return sock


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise StartError(
            f"cannot listen on {host!r}: {error.strerror or error}", hint="Use an address of this machine with --host."
        ) from error
    return family, address


def _start_error(error: OSError, host: str, port: int, option: str) -> StartError:
    if error.errno == errno.EADDRINUSE:
        return StartError(f"port {port} is in use; choose another with {option}")
    if error.errno in (errno.EACCES, errno.EPERM):
        return StartError(f"port {port} needs more rights than this user has; choose one above 1023 with {option}")
    if error.errno == errno.EADDRNOTAVAIL:
        return StartError(f"{host} is not an address of this machine; choose another with --host")
    return StartError(f"cannot listen on {host}:{port}: {error.strerror}")
