"""The door to a SageMaker endpoint: its paths and header lines, what it wraps around a container's bytes. What its refusals
mean is in :mod:`.sagemaker_refusals`.

An endpoint passes a body to a container and the answer back. Whole answers are the container's own bytes. A stream is an AWS
event stream whose ``PayloadPart`` events hold the container's bytes, cut anywhere: what leaves this door is the container's
own stream, server-sent events or lines of JSON. LMI containers stream chat completions as lines of JSON unless they are told
otherwise; those leave as the events that the dialect knows.

Sources: botocore 1.44.8, ``data/sagemaker-runtime/2017-05-13/service-2.json``; djl-serving,
``docs/lmi/user_guides/chat_input_output_schema.md``; both read 2026-11-30.
"""

from __future__ import annotations

import re
from urllib.parse import quote

import msgspec

from trimaran.errors import AttemptError, MalformedAnswer, ServerFault, StreamCut
from trimaran.providers.aws.sagemaker_refusals import RefusalReader
from trimaran.providers.door import Door, Headers
from trimaran.types import Target
from trimaran.wire import Dialect
from trimaran.wire.event_stream import EVENT_STREAM
from trimaran.wire.failures import MAX_MESSAGE
from trimaran.wire.members import BAD_JSON, read_members
from trimaran.wire.sagemaker_invocations import SageMakerInvocations, stream_failure

__all__ = ["PartsUnwrapper", "SageMakerDoor"]

_MODEL = frozenset({"model"})
_LINES = (
    ("inference_component", "x-amzn-sagemaker-inference-component"),
    ("variant", "x-amzn-sagemaker-target-variant"),
    ("target_model", "x-amzn-sagemaker-target-model"),
)
"""Facts of a target, and the header lines that tell them."""
_LMI_REASON = re.compile(rb'("finish_reason"\s*:\s*)"(?:eos_token|stop_sequence)"')
"""Words of LMI's own generate API that stand in its chat completions, too. Inside of a JSON string its quotes would be
escaped, so this finds a member only."""


class SageMakerDoor(Door):
    """How an endpoint is asked in the dialect of its container."""

    def __init__(self, target: Target, dialect: Dialect) -> None:
        super().__init__(target, dialect)
        self._name = target.facts.get("endpoint") or target.upstream_model
        self._refusals = RefusalReader(target, dialect, self._name)
        self._raw = dialect.name == SageMakerInvocations.name
        self._chat = dialect.name.startswith("openai.")
        self.content_type = b"" if self._raw else b"application/json"
        given = {name: target.facts[fact] for fact, name in _LINES if target.facts.get(fact)}
        self._lines = "".join(f"{name}: {value}\r\n" for name, value in given.items()).encode("latin-1")
        self._fixed = tuple(f"{name}: ".encode() for name in given)
        served = target.facts.get("served_model", "")
        self._served = msgspec.json.encode(served) if served else b""

    def path(self, stream: bool) -> bytes:
        name = quote(self._name, safe="")
        return f"/endpoints/{name}/invocations{'-response-stream' if stream else ''}".encode()

    def lines(self, stream: bool) -> bytes:
        if self._raw or self._chat:
            # What the container streams is its own affair: some answer nothing to those who accept one type alone.
            return self._lines
        return self._lines + (b"" if stream else b"accept: application/json\r\n")

    def request(self, body: bytes, stream: bool, forwarded: bytes) -> tuple[bytes, bytes]:
        if self._raw:
            return body, self._without_fixed(forwarded)
        return (self._named(body) if self._chat else body), forwarded

    def _without_fixed(self, forwarded: bytes) -> bytes:
        """The client's lines but for those that the configuration has decided."""
        if not any(name in forwarded for name in self._fixed):
            return forwarded
        kept = [line for line in forwarded.split(b"\r\n") if line and not line.startswith(self._fixed)]
        return b"".join(b"%b\r\n" % line for line in kept)

    def _named(self, body: bytes) -> bytes:
        """The body with the model that the container serves, or without one: the endpoint's name means nothing there."""
        raw, spans = read_members(body, _MODEL)
        if "model" not in raw:
            return body
        start, end = spans["model"]
        if self._served:
            return b"%b%b%b" % (body[:start], self._served, body[end:])
        return msgspec.json.encode({key: value for key, value in raw.items() if key != "model"})

    def unwrap(self) -> PartsUnwrapper | None:
        if self._raw:
            return None
        return PartsUnwrapper(self.dialect.name, lines=self._chat)

    def answer(self, headers: Headers, body: bytes) -> bytes:
        return _LMI_REASON.sub(rb'\1"stop"', body) if self._chat and b"finish_reason" in body else body

    def refusal(self, status: int, headers: Headers, body: bytes) -> AttemptError | None:
        return self._refusals.read(status, headers, body)


class PartsUnwrapper:
    """Takes a container's bytes out of an event stream. With ``lines``, lines of JSON leave as server-sent events."""

    __slots__ = ("_dialect", "_framer", "_held", "_lines", "_sniffed")

    def __init__(self, dialect: str, *, lines: bool) -> None:
        self._dialect = dialect
        self._framer = EVENT_STREAM.framer()
        self._lines = lines
        self._sniffed = not lines
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """The container's bytes in ``data``. Raises :class:`AttemptError` for an exception event."""
        out: list[bytes] = []
        for block in self._framer.push(data):
            name, payload = EVENT_STREAM.parse(block)
            if name == b"PayloadPart":
                out.append(payload or b"")
            elif name != b"initial-response" and payload is not None:
                raise stream_failure(name, payload, self._dialect)
        return self._events(b"".join(out))

    def finish(self) -> bytes:
        """What is left when the body has ended. Lines have no end marker: whether the answer is whole is told by whoever
        reads them. Raises :class:`StreamCut`."""
        if self._framer.rest():
            raise StreamCut("the stream ended in the middle of an event")
        if not (self._lines and self._sniffed):
            return self._held
        if not self._held.strip():
            return b""
        if _object(self._held) is None:
            raise StreamCut("the stream ended in the middle of a line")
        return self._event(self._held)

    def _events(self, data: bytes) -> bytes:
        if not self._sniffed:
            self._held += data
            start = self._held.lstrip()
            if not start:
                return b""
            self._sniffed, self._lines = True, start.startswith(b"{")
            data, self._held = self._held, b""
        if not self._lines:
            return data
        *whole, self._held = (self._held + data).split(b"\n")
        return b"".join(self._event(line) for line in whole if line.strip())

    def _event(self, line: bytes) -> bytes:
        members = _object(line)
        if members is None:
            raise MalformedAnswer("a line of the container's stream is no JSON object")
        if "code" in members and "message" in members and "choices" not in members:
            # LMI's own words for what went wrong while it wrote (djl-serving, "chat_input_output_schema.md").
            said = msgspec.json.decode(members["message"])
            raise ServerFault(
                f"the container broke off its stream ({bytes(members['code']).decode()[:20]}): {str(said)[:MAX_MESSAGE]}",
                dialect=self._dialect,
            )
        return b"data: %b\n\n" % _LMI_REASON.sub(rb'\1"stop"', line.strip())


def _object(line: bytes) -> dict[str, msgspec.Raw] | None:
    try:
        return msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except BAD_JSON:
        return None
