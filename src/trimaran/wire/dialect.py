"""What a dialect is: one public wire API, read and written, without I/O.

Two roads lead through a dialect. When client and target speak the same one, bytes pass and only what must be known is
read from them (:class:`Dialect`). Otherwise one dialect decodes into the neutral model of
:mod:`trimaran.wire.conversation` and :mod:`trimaran.wire.events` and the other one encodes from it
(:class:`Conversational`, and for answers :class:`ChatDialect` or :class:`CountDialect`).

Nothing is dropped in silence. A member that the neutral model has no place for is refused by name when it is decoded,
unless its value means the same as its absence. What the neutral model holds is either written by an encoder, refused
by name (:class:`~trimaran.wire.refusals.Refusals`), or, where an answer means the same without it, left out and noted (:class:`Notes`);
:func:`~trimaran.wire.refusals.check_fields` holds every encoder to that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias

import msgspec

from trimaran.errors import AttemptError, InvalidRequest, MalformedAnswer, TrimaranError
from trimaran.types import Target, Usage, feature_mask
from trimaran.wire.conversation import ChatRequest, Notes, ResponseFormat
from trimaran.wire.events import Answer
from trimaran.wire.failures import Complaint, attempt_error, client_status, read_complaint
from trimaran.wire.framing import Framing
from trimaran.wire.members import BAD_JSON, RawMembers, Span, plain
from trimaran.wire.refusals import Refusals
from trimaran.wire.sse import SSE
from trimaran.wire.state import STATE_MARK
from trimaran.wire.streams import StreamDecoder, StreamEncoder, StreamPosition

if TYPE_CHECKING:
    from trimaran.wire.relay import StreamRelay

__all__ = [
    "UNCOUNTED",
    "ChatDialect",
    "Conversational",
    "CountDialect",
    "Dialect",
    "Envelope",
    "Streaming",
    "TokenCount",
    "decode_json",
    "means_nothing",
    "number",
    "plain_members",
]


TokenCount: TypeAlias = Annotated[int, msgspec.Meta(le=10**12)]
"""As a provider reports it. A larger number would overflow what stores it, and nobody generates that many."""

UNCOUNTED = feature_mask("json_schema", "reasoning", "sampling")
"""How an answer shall be made is no matter to a count of the tokens that go in."""

_encode = msgspec.json.encode

_TOO_LARGE = 1e300
"""An integer beyond this has no place in a float."""


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
    needs: int = 0
    """What a target must be able to do, as a mask of :data:`trimaran.types.FEATURES`."""
    stateful: bool = False
    """It refers to something that the provider stored earlier, so that only that provider can answer."""
    answers: int = 1
    """How many answers are asked for at once; ``max_output_tokens`` is over all of them."""
    prompt_span: Span = (0, 0)
    """Where the conversation stands in ``body``: the value of ``messages`` or ``input``."""
    members: RawMembers = {}
    """Every top-level member as it is written: what an answer may cost depends on a few of them, and is seldom asked."""


class Dialect(ABC):
    """One public wire API. Instances hold no state and live in ``trimaran.wire.DIALECTS``."""

    name: str
    path: bytes
    """The path under which clients are served, and that follows a target's base URL. Of a dialect whose paths name the
    model it is what they begin with; see :meth:`serves` and :meth:`upstream_path`."""
    home: ClassVar[bytes] = b""
    """What the paths of its API begin with, where that tells it from all others: a request to a path that is not served is
    refused in words that its client can read."""
    operation: ClassVar[str] = "chat"
    """``chat``, ``embeddings`` or ``count`` (of tokens). One is never translated into another."""
    free: ClassVar[bool] = False
    """The provider charges nothing for it."""
    counts: ClassVar[bool] = True
    """Tokens stand for what is asked and answered, so that an answer that tells none can be estimated."""
    end_marker: bytes = b""
    """The event that ends a complete stream."""
    framing: ClassVar[Framing] = SSE
    """Of its streams."""
    any_content: ClassVar[bool] = False
    """Its bodies are not JSON but what the client says they are."""
    heeds_query: ClassVar[bool] = False
    """What follows ``?`` says something about the request; a client's key may stand there, too (``key``)."""
    carries: ClassVar[tuple[bytes, ...]] = ()
    """Request headers of a client, lower-case, that are a part of the request: they travel to a target of this dialect."""
    refuses: ClassVar[Mapping[bytes, str]] = {}
    """Request headers that ask for what is not offered here, each with the sentence that refuses it."""
    returns: ClassVar[frozenset[bytes]] = frozenset()
    """A target's headers, lower-case, that are a part of its answer: they go back to a client of this dialect."""
    state_mark: ClassVar[bytes] = STATE_MARK
    """What the JSON string of another dialect's reasoning state begins with in a client's request."""

    @property
    def shown_path(self) -> str:
        """How people are told where it is served; empty where it is not."""
        return self.path.decode()

    def serves(self, path: bytes) -> bool:
        """Whether a client's request to ``path`` is one in this dialect."""
        return path == self.path

    def check_query(self, path: bytes, query: bytes) -> None:  # noqa: B027 - most dialects heed none
        """Raises :class:`InvalidRequest` for a query (what follows ``?``) that asks for another form of answer than the one
        that is served. Only asked where :attr:`heeds_query`."""

    def upstream_path(self, model: str, stream: bool) -> bytes:
        """What follows a target's base URL."""
        return self.path

    @abstractmethod
    def read(self, body: bytes, path: bytes = b"") -> Envelope:
        """Just enough of a request. ``path`` is the one that it was sent to, for dialects whose paths name the model.
        Raises :class:`InvalidRequest`."""

    def rewrite(self, envelope: Envelope, upstream_model: str) -> bytes:
        """The client's body for a target of this dialect; only what the road must change is changed: the model's name,
        unless a dialect overrides this. The same object when nothing is."""
        body = envelope.body
        if upstream_model == envelope.model:
            return body
        start, end = envelope.model_span
        return b"%b%b%b" % (body[:start], _encode(upstream_model), body[end:])

    def answer_head(self, request_id: str) -> bytes:
        """Header lines that a client of this dialect expects in every answer, each ended by CRLF."""
        return b""

    def answer_type(self, headers: Mapping[bytes, bytes]) -> bytes:
        """Content-Type of a whole answer whose target sent these headers (names as the target spells them)."""
        return b"application/json"

    @abstractmethod
    def inspect(self, body: bytes) -> tuple[Usage | None, str, str]:
        """Usage, neutral finish reason and neutral service tier of a whole answer. Raises :class:`MalformedAnswer`, or
        what an error in the body stands for."""

    def without_foreign_state(self, body: bytes) -> bytes:
        """``body`` without reasoning whose state is wrapped (see :mod:`trimaran.wire.state`). The same object when there
        is none."""
        return body

    # Errors

    def read_error(
        self,
        status: int,
        retry_after: bytes | None,
        content_type: str,
        body: bytes,
        *,
        now_s: float | None = None,
        error_type: str = "",
    ) -> AttemptError:
        """What a target's refusal means. ``retry_after`` is that header's value; ``now_s`` (Unix time) is what a date
        in it counts from, the clock's when left out. ``error_type`` is the reason in the target's own word where a header
        gave it (AWS: ``x-amzn-errortype``)."""
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

    def error_head(self, error: TrimaranError) -> bytes:
        """Header lines that an answer with this error needs, each ended by CRLF."""
        return b""

    def error_status(self, error: TrimaranError) -> int:
        """The HTTP status that goes with it."""
        return client_status(error)


class Conversational(Dialect):
    """A dialect whose requests are conversations, so that they can be translated."""

    field_names: ClassVar[Mapping[str, str]]
    """Each field of :class:`ChatRequest` that is called otherwise here: ``max_output_tokens`` is ``max_tokens``."""

    @abstractmethod
    def decode_request(self, body: bytes, refusals: Refusals) -> ChatRequest:
        """The request as neutral values. Raises :class:`InvalidRequest` for one that no provider could take. What the
        neutral model has no place for goes to ``refusals``; the caller checks them."""

    @abstractmethod
    def encode_request(self, request: ChatRequest, target: Target, refusals: Refusals, notes: Notes) -> bytes:
        """The request for ``target``. What cannot be said goes to ``refusals``, what is done otherwise or left out to
        ``notes``; the caller checks them."""


class Streaming(Dialect):
    """A dialect whose answers may be streamed."""

    @abstractmethod
    def pass_relay(self, envelope: Envelope) -> StreamRelay:
        """A relay whose input and output are both in this dialect."""

    @abstractmethod
    def write_stream_error(self, error: TrimaranError, request_id: str) -> bytes:
        """An event that tells a client its stream ends here, incomplete. No end marker may follow it."""


class ChatDialect(Conversational, Streaming):
    """A dialect that answers with text, reasoning and tool calls, whole or streamed."""

    def takes_format(self, wanted: ResponseFormat, target: Target) -> bool:
        """Whether ``target`` can be held to this format in this dialect. Where not, a tool may stand for it."""
        return True

    @abstractmethod
    def decode_answer(self, body: bytes) -> Answer:
        """A whole answer as neutral values. Raises as :meth:`inspect` does."""

    @abstractmethod
    def encode_answer(self, answer: Answer, created_s: int, envelope: Envelope | None = None) -> bytes:
        """A whole answer. ``created_s`` is Unix time, for dialects that say it; ``envelope`` is the request's, for those
        whose answers repeat its settings."""

    @abstractmethod
    def stream_decoder(self) -> StreamDecoder:
        """For one answer."""

    @abstractmethod
    def stream_encoder(self, envelope: Envelope, created_s: int) -> StreamEncoder:
        """For one answer to the request of ``envelope``."""

    @abstractmethod
    def stream_position(self, envelope: Envelope) -> StreamPosition:
        """For the stream of one client, whose request is that of ``envelope``."""


class CountDialect(Conversational):
    """A dialect that counts the tokens of a conversation and generates nothing."""

    operation = "count"
    free = True

    @abstractmethod
    def decode_count(self, body: bytes) -> int:
        """Tokens. Raises as :meth:`inspect` does."""

    @abstractmethod
    def encode_count(self, tokens: int) -> bytes:
        """The answer's body."""


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
    if type(value) not in (int, float) or abs(value) >= _TOO_LARGE:
        raise InvalidRequest(f"{key!r} must be a number, such as 0.5", field=key)
    return float(value)


def means_nothing(fields: Mapping[str, Any], neutral: Mapping[str, tuple[Any, ...]], key: str) -> bool:
    """Whether member ``key`` says the same as its absence: it is null, or one of its ``neutral`` values."""
    value = fields[key]
    return value is None or value in neutral.get(key, ())
