"""What a request needs of its target, read with as little work as possible.

Most of it stands at the top level. Images, documents and sound stand in lists of content parts, so without a second
bracket in the messages there are none; with one, they are looked for as words, and only where a word stands are the
messages read. A text that merely mentions ``image_url`` asks for nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from trimaran.types import feature_mask
from trimaran.wire.members import BAD_JSON, RawMembers, Span

__all__ = ["needs_of"]

_CHAT = feature_mask("chat")
_TOOLS = feature_mask("tools")
_AUDIO = feature_mask("audio")
_PARTS = {"image_url": feature_mask("vision"), "file": feature_mask("documents"), "input_audio": _AUDIO}
_WORDS = tuple(b'"%b"' % kind.encode() for kind in _PARTS)
_SAMPLING = feature_mask("sampling")


class _Part(msgspec.Struct, gc=False):
    type: str = ""


class _Message(msgspec.Struct, gc=False):
    content: list[_Part] | str | None = None


class _Typed(msgspec.Struct, gc=False):
    type: str = ""


_decode_messages = msgspec.json.Decoder(list[_Message]).decode
_decode_typed = msgspec.json.Decoder(_Typed | None).decode


def _filled(value: msgspec.Raw) -> bool:
    """Whether a list or an object has anything in it. Nobody fills an empty one with spaces to this length."""
    if len(value) > 32:
        return True
    text = bytes(value)
    return text != b"null" and bool(text[1:-1].strip())


def _other_than(neutral: float) -> Callable[[msgspec.Raw], bool]:
    decode = msgspec.json.Decoder(float | None).decode

    def differs(value: msgspec.Raw) -> bool:
        try:
            return decode(value) not in (None, neutral)
        except BAD_JSON:
            return False

    return differs


def _effort(value: msgspec.Raw) -> bool:
    return bytes(value) not in (b"null", b'"none"', b'""')


def _flag(value: msgspec.Raw) -> bool:
    return bytes(value) == b"true"


def _schema(value: msgspec.Raw) -> bool:
    try:
        wanted = _decode_typed(value)
    except BAD_JSON:
        return False
    return wanted is not None and wanted.type == "json_schema"


def _sound(value: msgspec.Raw) -> bool:
    return bytes(value).find(b'"audio"') >= 0


_LOOKS: dict[str, tuple[int, Callable[[msgspec.Raw], bool]]] = {
    "tools": (_TOOLS, _filled),
    "functions": (_TOOLS, _filled),
    "response_format": (feature_mask("json_schema"), _schema),
    "reasoning_effort": (feature_mask("reasoning"), _effort),
    "logprobs": (feature_mask("logprobs"), _flag),
    "modalities": (_AUDIO, _sound),
    "temperature": (_SAMPLING, _other_than(1)),
    "top_p": (_SAMPLING, _other_than(1)),
    "top_k": (_SAMPLING, _other_than(0)),
    "frequency_penalty": (_SAMPLING, _other_than(0)),
    "presence_penalty": (_SAMPLING, _other_than(0)),
    "logit_bias": (_SAMPLING, _filled),
}
_look = _LOOKS.get


def needs_of(raw: RawMembers, body: bytes, messages: Span) -> int:
    """A mask of :data:`trimaran.types.FEATURES`; ``messages`` is where they stand in ``body``. What is ill-typed asks for
    nothing here: the provider refuses it."""
    needs = _CHAT
    for key in raw:
        look = _look(key)
        if look is not None and look[1](raw[key]):
            needs |= look[0]
    start, end = messages
    if body.find(b"[", start + 1, end) >= 0:
        for word in _WORDS:
            if body.find(word, start, end) >= 0:
                return needs | _of_parts(body[start:end])
    return needs


def _of_parts(messages: bytes) -> int:
    try:
        turns = _decode_messages(messages)
    except BAD_JSON:
        return 0
    needs = 0
    for turn in turns:
        if isinstance(turn.content, list):
            for part in turn.content:
                needs |= _PARTS.get(part.type, 0)
    return needs
