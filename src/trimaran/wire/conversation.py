"""The neutral request: a conversation and how to continue it, in no dialect.

A dialect decodes into these values and encodes from them; no dialect knows another one. Whatever a request says that
has no place here is refused by name when it would have to be translated; whatever stands here is either written by an
encoder, refused by name, or noted as left out (:class:`Notes`). Nothing is dropped in silence.

Turns: tool results are parts of a user's turn and stand first in it. Consecutive turns of one role mean the same as one
turn. Binary content is base64 text, as every dialect carries it; URLs are passed on and never fetched.

``None``, ``""`` and empty lists mean that the client said nothing. Field names here are neutral; a message to the client
uses the client's own (:attr:`trimaran.wire.dialect.Conversational.field_names`).
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

__all__ = [
    "Audio",
    "ChatRequest",
    "Document",
    "Image",
    "Message",
    "Notes",
    "Part",
    "Reasoning",
    "ReasoningControl",
    "Refusal",
    "ResponseFormat",
    "Role",
    "Text",
    "Tool",
    "ToolCall",
    "ToolChoice",
    "ToolResult",
    "note",
]

Role: TypeAlias = Literal["system", "user", "assistant"]


class Text(msgspec.Struct, tag="text"):
    """A piece of text."""

    text: str
    cache: str = ""
    """A cache marker after this part: its lifetime, ``5m`` or ``1h``; empty for none. The same on every other part."""


class Image(msgspec.Struct, tag="image"):
    """A picture: either ``data`` with its ``media_type``, or a ``url``."""

    media_type: str = ""
    data: str = ""
    url: str = ""
    detail: str = ""
    """``low``, ``high``, ``original``; empty leaves it to the provider."""
    cache: str = ""


class Document(msgspec.Struct, tag="document"):
    """A file to be read: ``data`` with its ``media_type``, or plain ``text`` (``media_type`` ``text/plain``), or a
    ``url``."""

    media_type: str = ""
    data: str = ""
    text: str = ""
    url: str = ""
    name: str = ""
    """Its title or file name."""
    cache: str = ""


class Audio(msgspec.Struct, tag="audio"):
    """Sound from the user. ``format``: ``wav``, ``mp3``."""

    format: str
    data: str


class Refusal(msgspec.Struct, tag="refusal"):
    """The assistant's words for why it does not answer."""

    text: str


class Reasoning(msgspec.Struct, tag="reasoning"):
    """What the assistant thought before it went on.

    ``state`` is what the provider needs to have back: a signature, encrypted content. It means something only to the
    dialect ``origin`` that issued it; see :mod:`trimaran.wire.state`.
    """

    text: str = ""
    state: str = ""
    origin: str = ""
    id: str = ""
    summary: bool = False
    """``text`` is a summary and not the thoughts themselves."""
    hidden: bool = False
    """The provider shows nothing of it: ``state`` is all there is."""


class ToolCall(msgspec.Struct, tag="tool_call"):
    """The assistant calls a tool. ``arguments`` is JSON text, an object unless the model made a mistake."""

    id: str
    name: str
    arguments: str
    cache: str = ""


class ToolResult(msgspec.Struct, tag="tool_result"):
    """What a tool gave. ``parts`` holds texts, images and documents."""

    call_id: str
    parts: list[Part]
    is_error: bool = False
    cache: str = ""

    @property
    def is_blank(self) -> bool:
        """Whether it has no word and nothing else."""
        return all(isinstance(part, Text) and not part.text.strip() for part in self.parts)


Part: TypeAlias = Text | Image | Document | Audio | Refusal | Reasoning | ToolCall | ToolResult
"""What a message can hold."""


class Message(msgspec.Struct):
    """One turn. ``system`` stands here only where it came after the conversation had begun."""

    role: Role
    parts: list[Part]
    path: str = ""
    """Where the client wrote it, for messages to the client: ``messages[3]``."""


class Tool(msgspec.Struct):
    """A function the model may call. ``parameters`` is a JSON schema; ``None`` where none was given."""

    name: str
    description: str = ""
    parameters: Any = None
    strict: bool | None = None
    cache: str = ""


class ToolChoice(msgspec.Struct):
    """``auto``, ``none``, ``required`` (any tool), or ``named`` with a ``name``."""

    mode: str
    name: str = ""


class ResponseFormat(msgspec.Struct):
    """``kind``: ``json_object`` (any object) or ``json_schema`` (held to ``schema``)."""

    kind: str
    name: str = ""
    schema: Any = None
    strict: bool | None = None
    description: str = ""


class ReasoningControl(msgspec.Struct):
    """How much the model should think, and what of it is shown."""

    effort: str = ""
    """``none``, ``minimal``, ``low``, ``medium``, ``high``, ``xhigh``, ``max``; empty leaves it to the model."""
    budget_tokens: int | None = None
    """A limit in tokens instead, where the client gave one."""
    adaptive: bool = False
    """The client leaves it to the model when to think."""
    show: str = ""
    """``none``, ``auto``, ``concise``, ``detailed``; empty is the provider's default."""


class ChatRequest(msgspec.Struct, kw_only=True):
    """A conversation and how to continue it."""

    model: str
    messages: list[Message]
    system: list[Part] = []
    """The instructions before the first turn."""
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] = {}
    logprobs: int | None = None
    """Log-probabilities of the answer's tokens, each with this many alternatives; ``None``: none asked for."""
    stop: list[str] = []
    tools: list[Tool] = []
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning: ReasoningControl | None = None
    verbosity: str = ""
    """``low``, ``medium``, ``high``."""
    service_tier: str = ""
    """``auto``, ``standard``, ``flex``, ``priority``."""
    user: str | None = None
    """An opaque identifier of the end user, for the provider's abuse detection."""
    metadata: dict[str, str] = {}
    """The client's labels, for the provider's dashboards."""
    cache: str = ""
    """The client asks the provider to place the cache markers: their lifetime."""
    cache_key: str = ""
    """Requests with the same key should meet the same cache."""
    cache_retention: str = ""
    """How long the provider should keep the cache: ``in_memory``, ``24h``."""
    stream: bool = False
    begun: bool = False
    """The last turn is the beginning of the answer that is wanted, for a model that is known to go on from it. No client
    says so: it is how an answer that broke off is continued (:mod:`trimaran.wire.continuation`)."""


MAX_NOTED = 100
"""Names in one list of notes: more than a header line holds, and few enough to look each one up."""


def note(names: list[str], name: str) -> None:
    """Add ``name`` unless it is there, or the list is full."""
    if len(names) < MAX_NOTED and name not in names:
        names.append(name)


class Notes(msgspec.Struct):
    """What a translation did that the client should hear of. Names are the client's."""

    emulated: list[str] = []
    """Done in another way than the client asked for: a JSON schema by a forced tool, an effort as a token budget."""
    omitted: list[str] = []
    """Left out because the answer means the same without it: cache markers, labels, another provider's reasoning."""

    def emulate(self, name: str) -> None:
        """Note ``name`` once."""
        note(self.emulated, name)

    def omit(self, name: str) -> None:
        """Note ``name`` once."""
        note(self.omitted, name)

    @property
    def count(self) -> int:
        """How many notes there are: of two translations the one with fewer is better."""
        return len(self.emulated) + len(self.omitted)
