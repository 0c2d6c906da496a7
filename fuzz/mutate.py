"""Bytes and JSON, bent in the ways that break parsers."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

__all__ = ["bend_bytes", "bend_json", "pieces"]

_HTTP = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b"Content-Length: 5\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"\r\n folded: yes\r\n",
    b"Content-Length: 5\r\nContent-Length: 6\r\n",
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"Content-Length:\t 5 \r\n",
    b"X-Long: " + b"a" * 9000 + b"\r\n",
    b'5;a="b\r\n"\r\n',
    b"0\nX: y\n\n",
    b"0\r\n\r\n",
    b"5;ext=1\r\nhello\r\n",
    b"ffffffffffffffff\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
    b"Connection: upgrade\r\nUpgrade: h2c\r\n",
    b"HTTP/1.0",
    b"HTTP/1.1",
    b"HTTP/2.0",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
)
_JSON = (
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"null",
    b"true",
    b"-0",
    b"1e999",
    b"1" * 400,
    b"\\ud800",
    b"\\u0000",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"data: ",
    b"event: error\n",
    b"\n\n",
    b"\r\n\r\n",
    b": ping\n\n",
    b"data: [DONE]\n\n",
    b"[" * 300,
    b'{"a":' * 300,
)
_VALUES: tuple[Callable[[Random], Any], ...] = (
    lambda r: None,
    lambda r: True,
    lambda r: r.choice((0, -1, 1, 2**31, 2**53, 2**63, 10**30, -(10**30))),
    lambda r: r.choice((0.0, -0.0, 1e308, 5e-324, 0.1)),
    lambda r: r.choice(("", "a", "\0", "\ud83d\ude00", "x" * r.randrange(1, 3000), "none", "auto", "tmrn1:AAAA")),
    lambda r: [],
    lambda r: {},
    lambda r: [[[[{}]]]],
    lambda r: {"type": r.choice(("text", "tool_use", "image", "function", "refusal", "unknown"))},
)


def bend_bytes(random: Random, data: bytes, *, http: bool = False) -> bytes:
    """``data`` with one to eight changes."""
    found = bytearray(data)
    words = _HTTP if http else _JSON
    for _ in range(1 + min(int(random.expovariate(0.7)), 7)):
        _bend(random, found, words)
    return bytes(found)


def _bend(random: Random, data: bytearray, words: tuple[bytes, ...]) -> None:
    at = random.randrange(len(data) + 1)
    match random.randrange(8):
        case 0 if data:
            data[at - 1] ^= 1 << random.randrange(8)
        case 1 if data:
            data[at - 1] = random.randrange(256)
        case 2:
            del data[at : at + 1 + int(random.expovariate(0.1))]
        case 3:
            data[at:at] = data[at : at + 1 + int(random.expovariate(0.05))]
        case 4 | 5:
            data[at:at] = random.choice(words)
        case 6:
            del data[at:]
        case _:
            start = random.randrange(len(data) + 1)
            piece = data[start : start + 1 + int(random.expovariate(0.05))]
            data[at : at + len(piece)] = piece


def bend_json(random: Random, value: Any) -> bytes:
    """JSON text of ``value`` with one to four of its nodes changed; now and then a member stands twice."""
    for _ in range(random.choice((1, 1, 1, 2, 2, 4))):
        value = _changed(random, value)
    text = json.dumps(value, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
    if random.random() < 0.02 and text.startswith(b"{") and len(text) > 2:
        text = text[:-1] + b"," + text[1:]
    return text


def _changed(random: Random, value: Any) -> Any:
    """A copy in which one node is another value, is missing, stands twice, or has a stranger beside it."""
    inner = isinstance(value, dict | list) and bool(value)
    if not inner or random.random() < 0.08:
        return random.choice(_VALUES)(random)
    if isinstance(value, list):
        place = random.randrange(len(value))
        copy = list(value)
        match random.randrange(6):
            case 0:
                del copy[place]
            case 1:
                copy.insert(place, copy[place])
            case 2:
                random.shuffle(copy)
            case _:
                copy[place] = _changed(random, copy[place])
        return copy
    name = random.choice(list(value))
    members = dict(value)
    match random.randrange(8):
        case 0:
            del members[name]
        case 1:
            members[random.choice(("type", "id", "index", "x", "content", "error", "usage", "n"))] = members[name]
        case 2:
            members[random.choice(list(members))] = random.choice(_VALUES)(random)
        case _:
            members[name] = _changed(random, members[name])
    return members


def pieces(random: Random, data: bytes) -> list[bytes]:
    """``data`` as it might arrive: in one piece, in a few, or byte by byte."""
    kind = random.random()
    if kind < 0.4 or len(data) < 2:
        return [data]
    if kind < 0.45 and len(data) < 2000:
        return [data[index : index + 1] for index in range(len(data))]
    cuts = sorted(random.randrange(len(data) + 1) for _ in range(random.randrange(1, 6)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
