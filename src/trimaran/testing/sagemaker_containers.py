"""What every simulated container behind a SageMaker endpoint must offer, and what several of them share.

A container speaks HTTP to SageMaker as it would to any client: it reads the body of ``POST /invocations``, answers whole or
streamed, and words its own errors. It knows nothing of endpoints, variants and parts of AWS's event stream. Whether it
streams is decided by the body, not by the operation that SageMaker was asked for.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import msgspec

from trimaran.testing.behaviour import Behaviour
from trimaran.testing.dialect import AnswerWriter
from trimaran.testing.exchange import Prompt, Refusal, Reply
from trimaran.testing.sagemaker import Container

__all__ = ["JSON", "SSE", "Call", "ContainerError", "ContainerServer", "json_object", "mend_numbers"]

JSON = b"application/json"
SSE = b"text/event-stream"


class Call(NamedTuple):
    """What SageMaker passes on to the container."""

    body: bytes
    content_type: str
    accept: str
    custom_attributes: str
    container: Container


class ContainerError(NamedTuple):
    """The container's own answer to what it refuses."""

    status: int
    body: bytes


class ContainerServer(Protocol):
    """One kind of container."""

    def read(self, call: Call) -> Prompt:
        """Raises :class:`~trimaran.testing.exchange.Refusal`, which :meth:`error` words. ``prompt.stream`` says whether the
        container streams."""

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """What the provider called ``name`` answers. May raise :class:`~trimaran.testing.exchange.Refusal`."""

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> AnswerWriter:
        """Writes the answer; its stream is what goes into the parts of AWS's event stream."""

    def stream_type(self, prompt: Prompt) -> bytes:
        """The content type of a streamed answer."""

    def error(self, refusal: Refusal) -> ContainerError:
        """The answer to a request that failed."""


def json_object(body: bytes) -> dict[str, Any]:
    """A body that is a JSON object. Raises ``msgspec.MsgspecError``."""
    return msgspec.json.decode(body, type=dict[str, Any])


def mend_numbers(fields: dict[str, Any], *names: str) -> None:
    """Turn whole floats (``30.0``, as AWS's JSON encoders may write them) into integers, in place."""
    for name in names:
        if isinstance(value := fields.get(name), float) and value.is_integer():
            fields[name] = int(value)
