"""The door to an online endpoint of Azure Machine Learning: a container's own API behind Azure's front, which checks the key or
token and chooses a deployment.

``openai``
    Chat completions and embeddings as they are. The body's model is the container's own name for it, or left out.
``azure_ml.score``, ``huggingface.generate``
    A route of the endpoint's URL (``/score``). Nothing is streamed there, so a stream is made of the whole answer: what leaves
    this door is one line of the dialect's stream, once all of it is there. TGI's own ``/generate`` streams under its other route.
``kserve.v2``
    Triton's paths.

What a refusal means is in :mod:`.ml_refusals`.

Source: https://learn.microsoft.com/azure/machine-learning/how-to-authenticate-online-endpoint and
how-to-troubleshoot-online-endpoints, 2026-11-30.
"""

from __future__ import annotations

import re

import msgspec

from trimaran.errors import AttemptError, MalformedAnswer, StreamCut
from trimaran.providers.azure.ml_refusals import RefusalReader
from trimaran.providers.door import Door, Headers
from trimaran.types import Target
from trimaran.wire import Dialect
from trimaran.wire.members import BAD_JSON, read_members

__all__ = ["OnlineEndpointDoor", "WholeAsStream"]

MAX_ANSWER_BYTES = 32 * 2**20
_MODEL = frozenset({"model"})
_STREAM = frozenset({"stream"})
_OWN_PATHS = re.compile(r"(?:/score|/v[12](?:/.*)?)$")


class OnlineEndpointDoor(Door):
    """How an endpoint is asked in the dialect of its container."""

    def __init__(self, target: Target, dialect: Dialect) -> None:
        super().__init__(target, dialect)
        self._route = target.facts.get("path", "")
        self._chat = dialect.name.startswith("openai.")
        self._scored = dialect.name in ("azure_ml.score", "huggingface.generate")
        self._refusals = RefusalReader(target, dialect)
        deployment = target.facts.get("deployment", "")
        self._lines = f"azureml-model-deployment: {deployment}\r\n".encode() if deployment else b""
        served = target.facts.get("served_model", "")
        self._served = msgspec.json.encode(served) if served else b""

    @property
    def _streams(self) -> bool:
        """Whether the route has a sister that streams."""
        return self._route.endswith("/generate")

    def path(self, stream: bool) -> bytes:
        if self._scored:
            route = self._route or "/score"
            return f"{route}_stream".encode() if stream and self._streams else route.encode()
        if self._chat:
            return self._prefix() + self.dialect.upstream_path(self.target.upstream_model, stream)
        name = self.target.facts.get("served_model", "") or self.target.upstream_model
        return self._prefix() + self.dialect.upstream_path(name, stream)

    def _prefix(self) -> bytes:
        """What stands before the container's own paths in the endpoint's URL. Its scoring route is not one of them."""
        return _OWN_PATHS.sub("", self._route).encode()

    def lines(self, stream: bool) -> bytes:
        return self._lines

    def request(self, body: bytes, stream: bool, forwarded: bytes) -> tuple[bytes, bytes]:
        if self._chat:
            return self._named(body), forwarded
        if self._scored and stream and not self._streams:
            return _without(body, _STREAM), forwarded
        return body, forwarded

    def _named(self, body: bytes) -> bytes:
        """The body with the model that the container serves, or without one: the endpoint's name means nothing there."""
        if not self._served:
            return _without(body, _MODEL)
        raw, spans = read_members(body, _MODEL)
        if "model" not in raw:
            return body
        start, end = spans["model"]
        return b"%b%b%b" % (body[:start], self._served, body[end:])

    def unwrap(self) -> WholeAsStream | None:
        return WholeAsStream() if self._scored and not self._streams else None

    def refusal(self, status: int, headers: Headers, body: bytes) -> AttemptError | None:
        return self._refusals.read(status, headers, body)


class WholeAsStream:
    """A whole answer as the only line of a stream. A container that streams all the same has its events passed."""

    __slots__ = ("_held", "_passing")

    def __init__(self) -> None:
        self._held = b""
        self._passing = False

    def feed(self, data: bytes) -> bytes:
        """See :class:`~trimaran.providers.door.Unwrapper`."""
        if self._passing:
            return data
        self._held += data
        if len(self._held) > MAX_ANSWER_BYTES:
            raise MalformedAnswer(f"the answer is larger than {MAX_ANSWER_BYTES // 2**20} MiB")
        start = self._held.lstrip()
        if start.startswith(b"data:"):
            self._passing = True
            held, self._held = self._held, b""
            return held
        return b""

    def finish(self) -> bytes:
        """See :class:`~trimaran.providers.door.Unwrapper`."""
        if self._passing:
            return b""
        try:
            found = msgspec.json.decode(self._held)
        except BAD_JSON as error:
            raise StreamCut("the answer ended before it was whole") from error
        if isinstance(found, list) and len(found) == 1:
            found = found[0]
        if isinstance(found, str):
            found = {"output": found}
        if not isinstance(found, dict):
            raise MalformedAnswer("the answer is no JSON object")
        return msgspec.json.encode(found) + b"\n"


def _without(body: bytes, names: frozenset[str]) -> bytes:
    raw, _ = read_members(body, names)
    if not names & raw.keys():
        return body
    return msgspec.json.encode({key: value for key, value in raw.items() if key not in names})
