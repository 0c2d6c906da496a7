"""What a dialect is: one public wire API, read and written, without I/O.

Two roads lead through a dialect. When client and target speak the same one, bytes pass and only what must be known is
read from them (:meth:`Dialect.read`, :meth:`Dialect.inspect`, :meth:`Dialect.pass_relay`). Otherwise one dialect
decodes into the neutral model of :mod:`trimaran.wire.events` and the other one encodes from it. A field that the
neutral model cannot hold is refused by name; it may be left out only when its value means the same as its absence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec

from trimaran.errors import AttemptError, InvalidRequest, MalformedAnswer, TrimaranError, UnsupportedFeature
from trimaran.types import Target, Usage
from trimaran.wire.events import Answer, ChatRequest, Event, Part, Text
from trimaran.wire.failures import Complaint, attempt_error, read_complaint
from trimaran.wire.members import BAD_JSON, RawMembers, Span, plain

if TYPE_CHECKING:
    from trimaran.wire.relay import StreamRelay

__all__ = [
    "Dialect",
    "Envelope",
    "Refusals",
    "StreamDecoder",
    "StreamEncoder",
    "TokenCount",
    "decode_json",
    "means_nothing",
    "number",
    "plain_members",
    "text_parts",
]


TokenCount: TypeAlias = Annotated[int, msgspec.Meta(le=10**12)]
"""As a provider reports it. A larger number would overflow what stores it, and nobody generates that many."""


class Envelope(msgspec.Struct):
    """What the road needs to know of a request. Built for each request by :meth:`Dialect.read`."""

    dialect: str
    model: str
    """The public name that the client asked for."""
    stream: bool
    max_output_tokens: int | None
    """Upper bound of the tokens that may be generated, over all choices; ``None`` when the client gave none."""
    include_usage: bool
    """Whether the client sees usage in a stream."""
    input_tokens: int
    """An estimate: one token for four bytes of the body."""
    body: bytes
    model_span: Span = (0, 0)
    """Where the model's JSON string stands in ``body``."""
    options_span: Span = (0, 0)
    """Where the value of ``stream_options`` stands in ``body``; (0, 0) when it is not there."""


class Refusals:
    """Collects what a target's dialect cannot take, so that one message names all of it."""

    def __init__(self, source: str, target: Target) -> None:
        self._source = source
        self._target = target
        self._found: list[tuple[str, str]] = []

    def add(self, field: str, why: str = "") -> None:
        """Refuse ``field``, a path such as ``messages[2].name``, with a reason where it is not plain that the field as
        such is the problem."""
        self._found.append((field, why))

    def check(self) -> None:
        """Raises :class:`UnsupportedFeature` when anything was added."""
        if not self._found:
            return
        target = self._target
        shown = ", ".join(f"{field!r} ({why})" if why else repr(field) for field, why in self._found[:10])
        more = f" and {len(self._found) - 10} more" if len(self._found) > 10 else ""
        raise UnsupportedFeature(
            f"target {target.id!r} ({target.upstream_model}) speaks {target.dialects[0]}, and a request in {self._source} "
            f"is translated for it as a text conversation, which cannot carry {shown}{more}; leave that out, or ask "
            f"for a model with a target that speaks {self._source}",
            field=self._found[0][0],
        )


class StreamDecoder(ABC):
    """Turns the events of one answer's stream into neutral events."""

    complete = False
    """The end marker was seen."""
    may_end = False
    """A finish reason was seen for every choice: if the stream ends now, only its end marker is missing."""

    @abstractmethod
    def decode(self, name: bytes, data: bytes) -> Sequence[Event]:
        """The neutral events of one event. Raises the :class:`AttemptError` that an error event stands for, or
        :class:`MalformedAnswer`."""


class StreamEncoder(ABC):
    """Writes neutral events as a stream of its dialect."""

    @abstractmethod
    def encode(self, event: Event) -> bytes:
        """Whole SSE events for ``event``; empty where it is held back or has no counterpart."""

    @abstractmethod
    def end(self) -> bytes:
        """What follows the last event of a complete stream, with the end marker."""


class Dialect(ABC):
    """One public wire API. Instances hold no state and live in ``trimaran.wire.DIALECTS``."""

    name: str
    path: bytes
    """Follows a target's base URL, and is the path under which clients are served."""
    end_marker: bytes
    """The SSE event that ends a complete stream."""

    # The same dialect on both sides

    @abstractmethod
    def read(self, body: bytes) -> Envelope:
        """Just enough of a request. Raises :class:`InvalidRequest`."""

    @abstractmethod
    def rewrite(self, envelope: Envelope, upstream_model: str) -> bytes:
        """The client's body for a target of this dialect; only what the road must change is changed."""

    @abstractmethod
    def inspect(self, body: bytes) -> tuple[Usage | None, str]:
        """Usage and neutral finish reason of a whole answer. Raises :class:`MalformedAnswer`, or what an error in the
        body stands for."""

    @abstractmethod
    def pass_relay(self, envelope: Envelope) -> StreamRelay:
        """A relay whose input and output are both in this dialect."""

    # Translation

    @abstractmethod
    def decode_request(self, body: bytes, target: Target) -> ChatRequest:
        """The request as neutral values. Raises :class:`InvalidRequest`, or :class:`UnsupportedFeature` naming each
        field that would be lost on the way to ``target``."""

    @abstractmethod
    def encode_request(self, request: ChatRequest, target: Target, source: str) -> bytes:
        """The request for ``target``; ``source`` names the client's dialect in a message. Raises
        :class:`UnsupportedFeature`."""

    @abstractmethod
    def decode_answer(self, body: bytes) -> Answer:
        """A whole answer as neutral values. Raises as :meth:`inspect` does."""

    @abstractmethod
    def encode_answer(self, answer: Answer, created_s: int) -> bytes:
        """A whole answer. ``created_s`` is Unix time, for dialects that say it."""

    @abstractmethod
    def stream_decoder(self) -> StreamDecoder:
        """For one answer."""

    @abstractmethod
    def stream_encoder(self, envelope: Envelope, created_s: int) -> StreamEncoder:
        """For one answer to the request of ``envelope``."""

    # Errors

    def read_error(
        self,
        status: int,
        retry_after: bytes | None,
        content_type: str,
        body: bytes,
        *,
        now_s: float | None = None,
    ) -> AttemptError:
        """What a target's refusal means. ``retry_after`` is that header's value; ``now_s`` (Unix time) is what a date
        in it counts from, the clock's when left out."""
        try:
            complaint = read_complaint(msgspec.json.decode(body))
        except BAD_JSON:
            complaint = Complaint("")
        return attempt_error(
            complaint,
            dialect=self.name,
            status=status,
            retry_after=retry_after,
            content_type=content_type,
            body=body,
            now_s=now_s,
        )

    def error_in_answer(self, value: Any) -> AttemptError:
        """What an error means that stands where an answer or a part of one was expected."""
        complaint = read_complaint({"error": value})
        return attempt_error(complaint, dialect=self.name, status=complaint.status)

    @abstractmethod
    def write_error(self, error: TrimaranError, request_id: str) -> bytes:
        """A JSON body. The provider's own body passes untouched where it refused the request in this dialect."""

    @abstractmethod
    def write_stream_error(self, error: TrimaranError, request_id: str) -> bytes:
        """An SSE event that tells a client its stream ends here, incomplete. No end marker may follow it."""


def decode_json(decode: Any, data: bytes, what: str) -> Any:
    """``decode(data)``, with a target's malformed ``what`` as :class:`MalformedAnswer`."""
    try:
        return decode(data)
    except BAD_JSON as error:
        raise MalformedAnswer(f"{what} is not what the dialect promises: {error}") from error


def plain_members(raw: RawMembers) -> dict[str, Any]:
    """Every top-level member as a plain value. Raises :class:`InvalidRequest` naming one that cannot be read."""
    return {key: plain(key, value) for key, value in raw.items()}


def number(fields: Mapping[str, Any], key: str) -> float | None:
    """A member that may be absent or null and is otherwise a number."""
    value = fields.get(key)
    if value is None:
        return None
    if type(value) not in (int, float):
        raise InvalidRequest(f"{key!r} must be a number", field=key)
    return float(value)


def means_nothing(fields: Mapping[str, Any], neutral: Mapping[str, tuple[Any, ...]], key: str) -> bool:
    """Whether member ``key`` says the same as its absence: it is null, or one of its ``neutral`` values."""
    value = fields[key]
    return value is None or value in neutral.get(key, ())


def text_parts(value: Any, path: str, refusals: Refusals) -> list[Part]:
    """A string, or a list of text parts, as neutral parts. Anything else in the list goes to ``refusals``."""
    if isinstance(value, str):
        return [Text(value)]
    if not isinstance(value, list):
        raise InvalidRequest(f"{path!r} must be a string or a list of content parts", field=path)
    parts: list[Part] = []
    for number, part in enumerate(value):
        here = f"{path}[{number}]"
        if not isinstance(part, dict) or not isinstance(kind := part.get("type"), str):
            raise InvalidRequest(f"{here!r} must be an object with a type", field=here)
        if kind != "text":
            refusals.add(here, f"a part of type {kind!r}")
            continue
        if not isinstance(text := part.get("text"), str):
            raise InvalidRequest(f"'{here}.text' must be a string", field=f"{here}.text")
        parts.append(Text(text))
        for key, member in part.items():
            if key not in ("type", "text") and member not in (None, []):
                refusals.add(f"{here}.{key}")
    return parts
