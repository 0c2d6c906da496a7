"""How a target is asked in one of its dialects: the path, further header lines, and what a cloud wraps around both bodies.

A dialect is a wire API wherever it is served; a door is the way to it at one provider. Most providers have a plain one: the
dialect's path behind the base URL. A cloud may put the model into the path instead of the body, and wrap a container's
stream in one of its own. What leaves a door is the dialect's own: answers pass to a client of the same dialect, or are
translated, without knowing through which door they came.

Doors are made once for each target and dialect and hold no state of a request. They do no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from trimaran.errors import AttemptError
from trimaran.types import Target, Usage
from trimaran.wire import Dialect, Envelope

__all__ = ["Door", "Headers", "Unwrapper"]

Headers = Mapping[bytes, bytes]
"""An answer's, names in lower case."""


class Unwrapper(Protocol):
    """Takes the wrapping off one stream."""

    def feed(self, data: bytes) -> bytes:
        """The dialect's own bytes in ``data``, as far as they are whole. Raises the :class:`AttemptError` that the
        wrapping reports, or :class:`~trimaran.errors.MalformedAnswer`."""

    def finish(self) -> bytes:
        """The answer has ended by HTTP's own rules: what is left. Raises :class:`~trimaran.errors.StreamCut` where the
        wrapping is not whole."""


class Door:
    """The plain way: the dialect's path behind the base URL, both bodies as they are."""

    content_type = b"application/json"
    """Of requests; empty where it travels with the client's own header lines."""
    tier_header = ""
    """The header, in lower case, by which a service tier is asked for here; empty: none does."""

    def __init__(self, target: Target, dialect: Dialect) -> None:
        self.target = target
        self.dialect = dialect

    def path(self, stream: bool) -> bytes:
        """What follows the base URL, percent-encoded."""
        return self.dialect.upstream_path(self.target.upstream_model, stream)

    def lines(self, stream: bool) -> bytes:
        """Header lines that every request has here, lower-case names, each ended by CRLF. They are signed."""
        return b""

    def admit(self, envelope: Envelope, forwarded: bytes) -> Sequence[str]:
        """What of the client's request is left out on this way, by the client's names. Asked before anything is sent.
        Raises :class:`~trimaran.errors.UnsupportedFeature` for what cannot be carried."""
        return ()

    def request(self, body: bytes, stream: bool, forwarded: bytes) -> tuple[bytes, bytes]:
        """Body and forwarded header lines as the provider wants them. ``forwarded`` is the client's, as far as it may
        travel. The same objects where nothing is changed."""
        return body, forwarded

    def unwrap(self) -> Unwrapper | None:
        """For one stream; ``None`` where the stream is the dialect's own."""
        return None

    def answer(self, headers: Headers, body: bytes) -> bytes:
        """The dialect's own body in a whole answer. Raises as :meth:`Unwrapper.feed` does."""
        return body

    def usage(self, headers: Headers, usage: Usage | None) -> Usage | None:
        """What a whole answer used, where the provider tells it in headers: ``usage`` is what its body told."""
        return usage

    def tier(self, headers: Headers, tier: str) -> str:
        """The neutral service tier that served an answer, where the provider tells it in headers: ``tier`` is what the answer
        itself told."""
        return tier

    def refusal(self, status: int, headers: Headers, body: bytes) -> AttemptError | None:
        """What a refusal means that is the provider's own and not the dialect's; ``None``: the dialect knows."""
        return None
