"""The doors of Amazon Bedrock.

*Converse* needs none: model and stream stand in the dialect's own path. *InvokeModel* takes a model's own body, and of two
kinds a client may speak the API that this body was made for:

``anthropic.messages``
    Claude's body is that of Anthropic's API without ``model`` and ``stream``, which are in the path, and with
    ``anthropic_version`` and the beta flags, which are header lines there. No value is decoded for that. Flags that Bedrock
    does not know would have it refuse the request, and are left out: what they unlock has members of its own.
    ``service_tier`` asks for what Bedrock does anyway, and goes, too. The answer passes. Events of a stream come as base64 in
    AWS's event stream and leave as server-sent events, without the metrics that Bedrock adds to the last one.
``anthropic.count_tokens``
    CountTokens takes the same body in base64, of a foundation model and not of a profile.
``bedrock.mistral``
    Mistral's bodies tell no tokens, so those of the header lines are put into the answer.

A refusal of Bedrock's means the same through every door (:func:`~trimaran.wire.aws_failures.aws_error`).

Sources: anthropic 2.13.0 (Python client), ``lib/bedrock``; botocore 1.44.8, ``bedrock-runtime``; AWS's guide, "Anthropic Claude
Messages API" and "Monitor your token usage by counting tokens before running inference"; all read 2026-11-30.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from trimaran.catalog import betas_taken, cut_from_messages
from trimaran.errors import AttemptError, MalformedAnswer, StreamCut, UnsupportedFeature
from trimaran.providers.door import Door, Headers, Unwrapper
from trimaran.types import Target, Usage
from trimaran.wire import Dialect, Envelope
from trimaran.wire.aws_failures import aws_error
from trimaran.wire.bedrock_converse.usage import WireTier, neutral_tier
from trimaran.wire.bedrock_invoke import METRICS, document_of, header_usage, invoke_path
from trimaran.wire.event_stream import EVENT_STREAM
from trimaran.wire.members import BAD_JSON, RawMembers, read_members

__all__ = ["BedrockCount", "BedrockDoor", "BedrockMessages", "BedrockOwnBody", "bedrock_door"]

ANTHROPIC_VERSION = b'"bedrock-2023-05-31"'
"""Bedrock's own. anthropic 2.13.0 sends 2026-10-21 there, which refuses ``temperature``, ``top_p`` and ``top_k``."""

_GONE = frozenset({"model", "stream"})
_SOME_TOKENS = 4096
"""As many as every Claude model can give."""
_IDLE: dict[str, tuple[bytes, ...]] = {
    "service_tier": (b'"auto"', b'"standard_only"', b"null"),
    "speed": (b'"standard"', b"null"),
    "inference_geo": (b'"global"', b"null"),
    "mcp_servers": (b"[]", b"null"),
    "container": (b"null",),
}
"""Members that Bedrock does not know, and values of them that ask for what it does anyway."""
_BETA = re.compile(rb"^anthropic-beta: ([^\r\n]*)\r\n", re.MULTILINE)
_TIER = "x-amzn-bedrock-service-tier"
"""Asks for a service tier, and tells which one answered (botocore 1.44.8: ``InvokeModel``)."""
_OWN_LINES = re.compile(rb"^anthropic-[a-z-]+: [^\r\n]*\r\n", re.MULTILINE)
"""Header lines of Anthropic's API; Bedrock has none of them."""

_encode = msgspec.json.encode
_decode_kind = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode


class BedrockDoor(Door):
    """What all of Bedrock's doors share: tokens and the service tier that only header lines tell."""

    tier_header = _TIER

    def usage(self, headers: Headers, usage: Usage | None) -> Usage | None:
        return usage if usage is not None else header_usage(headers)

    def tier(self, headers: Headers, tier: str) -> str:
        told = headers.get(_TIER.encode(), b"").decode("latin-1")
        return neutral_tier(WireTier(told), None) if told and tier != "optimized" else tier


class BedrockOwnBody(BedrockDoor):
    """A model's own body of which the answer tells no tokens: those of the header lines are put where a stream has them."""

    def answer(self, headers: Headers, body: bytes) -> bytes:
        usage = header_usage(headers)
        written = body.rstrip()
        if usage is None or not written.endswith(b"}") or METRICS.encode() in body:
            return body
        counted = b'{"inputTokenCount":%d,"outputTokenCount":%d}' % (usage.input_tokens, usage.output_tokens)
        comma = b"" if written[:-1].rstrip().endswith(b"{") else b","
        return b'%b%b"%b":%b}' % (written[:-1], comma, METRICS.encode(), counted)


class _AnthropicDoor(BedrockDoor):
    """Anthropic's API, whose refusals Bedrock writes in its own words."""

    def refusal(self, status: int, headers: Headers, body: bytes) -> AttemptError | None:
        return aws_error(_error_type(headers), body, status, retry_after=headers.get(b"retry-after"))


class BedrockMessages(_AnthropicDoor):
    """Anthropic's Messages API through InvokeModel."""

    def admit(self, envelope: Envelope, forwarded: bytes) -> Sequence[str]:
        if envelope.dialect != self.dialect.name:
            return ()
        members = envelope.members
        asked = [name for name in members if bytes(members[name]) not in _IDLE.get(name, ())]
        cut = cut_from_messages(asked, _kinds_of_tools(members))
        if cut:
            said = ", ".join(f"{name!r} ({why})" for name, why in cut)
            raise UnsupportedFeature(
                f"target {self.target.id!r} is on Bedrock, which does not have {said}; leave that out, or ask for a model "
                "with a target at Anthropic itself",
                field=cut[0][0],
            )
        flags = _flags(forwarded)
        return [f"anthropic-beta: {flag}" for flag in flags if not betas_taken([flag])]

    def path(self, stream: bool) -> bytes:
        return invoke_path(self.target.upstream_model, stream)

    def request(self, body: bytes, stream: bool, forwarded: bytes) -> tuple[bytes, bytes]:
        members, _ = read_members(body, frozenset())
        return _invocation(members, _flags(forwarded)), _OWN_LINES.sub(b"", forwarded)

    def unwrap(self) -> Unwrapper | None:
        return _Events()


class BedrockCount(_AnthropicDoor):
    """The counting of a prompt's tokens."""

    def path(self, stream: bool) -> bytes:
        model = self.target.facts.get("base_model") or self.target.upstream_model
        return f"/model/{quote(model, safe='-._~')}/count-tokens".encode("ascii")

    def request(self, body: bytes, stream: bool, forwarded: bytes) -> tuple[bytes, bytes]:
        members, _ = read_members(body, frozenset())
        members.setdefault("max_tokens", msgspec.Raw(b"%d" % self._longest()))
        inner = base64.b64encode(_invocation(members, _flags(forwarded)))
        return b'{"input":{"invokeModel":{"body":"%b"}}}' % inner, _OWN_LINES.sub(b"", forwarded)

    def _longest(self) -> int:
        """Demanded in the body of an invocation, and no matter to the count; a budget for thinking must fit into it."""
        known = self.target.capabilities
        return (known.max_output_tokens if known is not None else None) or _SOME_TOKENS

    def answer(self, headers: Headers, body: bytes) -> bytes:
        try:
            tokens = msgspec.json.decode(body, type=_Counted).input_tokens
        except BAD_JSON as error:
            raise MalformedAnswer(f"the answer is not what CountTokens promises: {error}") from error
        return b'{"input_tokens":%d}' % tokens


class _Counted(msgspec.Struct, rename={"input_tokens": "inputTokens"}):
    input_tokens: int


def bedrock_door(target: Target, dialect: Dialect) -> Door:
    """The door of one dialect."""
    return _DOORS.get(dialect.name, BedrockDoor)(target, dialect)


_DOORS: dict[str, type[BedrockDoor]] = {
    "anthropic.messages": BedrockMessages,
    "anthropic.count_tokens": BedrockCount,
    "bedrock.mistral": BedrockOwnBody,
}


def _flags(forwarded: bytes) -> list[str]:
    """The beta flags that the client asked for."""
    return [flag.strip() for line in _BETA.findall(forwarded) for flag in line.decode("latin-1").split(",")]


def _invocation(members: RawMembers, flags: list[str]) -> bytes:
    """The body of an invocation from the members of a request in Anthropic's API."""
    head: dict[str, bytes] = {}
    if "anthropic_version" not in members:
        head["anthropic_version"] = ANTHROPIC_VERSION
    if "anthropic_beta" not in members and (taken := betas_taken(flags)):
        head["anthropic_beta"] = _encode(taken)
    kept = [b'"%b":%b' % (name.encode(), value) for name, value in head.items()]
    for name, value in members.items():
        if name in _GONE or bytes(value) in _IDLE.get(name, ()):
            continue
        kept.append(b"%b:%b" % (_encode(name), value))
    return b"{%b}" % b",".join(kept)


class _Tool(msgspec.Struct):
    type: Any = None


_decode_tools = msgspec.json.Decoder(list[_Tool] | None).decode


def _kinds_of_tools(members: RawMembers) -> list[str]:
    """The types of a request's tools that are more than a function of the client's; none where they cannot be read."""
    raw = members.get("tools", b"null")
    if bytes(raw).find(b'"type"') < 0:
        return []
    try:
        return [tool.type for tool in _decode_tools(raw) or () if isinstance(tool.type, str)]
    except BAD_JSON:
        return []


class _Events:
    """AWS's event stream in, the server-sent events of Anthropic's API out."""

    __slots__ = ("_framer",)

    def __init__(self) -> None:
        self._framer = EVENT_STREAM.framer()

    def feed(self, data: bytes) -> bytes:
        out = [self._event(block) for block in self._framer.push(data)]
        return out[0] if len(out) == 1 else b"".join(out)

    def finish(self) -> bytes:
        if self._framer.rest():
            raise StreamCut("the stream ended in the middle of an event")
        return b""

    def _event(self, block: bytes) -> bytes:
        name, data = EVENT_STREAM.parse(block)
        document = document_of(name, data) if data is not None else None
        if document is None:
            return b""
        try:
            members = _decode_kind(document)
            kind = _decode_text(members.get("type", b""))
        except BAD_JSON as error:
            raise MalformedAnswer("a chunk of the stream is no event of Anthropic's API") from error
        if members.pop(METRICS, None) is not None:
            document = b"{%b}" % b",".join(b"%b:%b" % (_encode(key), value) for key, value in members.items())
        elif b"\n" in document or b"\r" in document:
            document = msgspec.json.format(document, indent=-1)
        if not kind.isidentifier():
            raise MalformedAnswer("a chunk of the stream has a type that is no event's name")
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), document)


def _error_type(headers: Headers) -> str:
    return headers.get(b"x-amzn-errortype", b"").partition(b":")[0].decode("latin-1")
