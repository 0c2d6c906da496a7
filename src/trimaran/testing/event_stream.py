"""Writes messages of AWS's event-stream framing, sound or damaged; ``botocore.eventstream`` is its judge.

A message is a prelude (total length, length of the headers, CRC32 of these two), headers, payload, and the CRC32 of all
before it; numbers are big-endian (Smithy's "Amazon Event Stream" specification, smithy.io, read 2026-11-30). Only header
values of type 7, strings, are written: no AWS inference API sends others. Nothing here is shared with
``trimaran.wire``.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from zlib import crc32

__all__ = ["CONTENT_TYPE", "broken", "error", "event", "exception", "message"]

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_STRING = 7
_OVERHEAD_BYTES = 16
"""Prelude with its checksum, and the message's checksum."""


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message. Names take at most 255 bytes, values at most 32,767. Raises ``ValueError`` beyond."""
    head = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    prelude = struct.pack("!II", _OVERHEAD_BYTES + len(head) + len(payload), len(head))
    body = prelude + struct.pack("!I", crc32(prelude)) + head + payload
    return body + struct.pack("!I", crc32(body))


def event(name: str, payload: bytes, content_type: str = "application/json") -> bytes:
    """An event of a stream; ``payload`` is JSON unless ``content_type`` says otherwise."""
    return message({":event-type": name, ":content-type": content_type, ":message-type": "event"}, payload)


def exception(name: str, payload: bytes) -> bytes:
    """An error that the service's model knows, such as ``throttlingException``; ``payload`` is JSON."""
    return message(
        {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}, payload
    )


def error(code: str, words: str) -> bytes:
    """An error that the service's model does not know: no payload, all of it in headers."""
    return message({":error-code": code, ":error-message": words, ":message-type": "error"}, b"")


def broken(whole: bytes) -> bytes:
    """The same message with a wrong checksum: what a damaged line delivers."""
    return whole[:-1] + bytes((whole[-1] ^ 0xFF,))


def _header(name: bytes, value: bytes) -> bytes:
    if not 0 < len(name) < 256 or len(value) > 32_767:
        raise ValueError(f"header {name[:40]!r}: names take 1 to 255 bytes, values at most 32767")
    return struct.pack("!B", len(name)) + name + struct.pack("!BH", _STRING, len(value)) + value
