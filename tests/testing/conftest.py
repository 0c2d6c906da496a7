"""A client without manners: it sends one request over a bare socket and reports exactly how the answer ended."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

import httptools
import pytest

PATHS = {
    "openai.chat": "/v1/chat/completions",
    "openai.responses": "/v1/responses",
    "openai.input_tokens": "/v1/responses/input_tokens",
    "openai.embeddings": "/v1/embeddings",
    "anthropic.messages": "/v1/messages",
    "anthropic.count_tokens": "/v1/messages/count_tokens",
    "bedrock.converse": "/model/m/converse",
}
KEYS = {"authorization": "Bearer sk-test", "anthropic-version": "2023-06-01"}


@dataclass
class Raw:
    """What came back. ``end``: ``complete``, ``cut`` (FIN in the middle), ``reset`` (RST), ``open`` (no more came)."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    end: str = "open"

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode(), value.decode()))

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.end = "complete"

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)

    def json(self):
        return json.loads(self.body)

    def events(self) -> list[tuple[str, str]]:
        """Server-sent events as (event, data)."""
        found = []
        for block in self.body.decode().split("\n\n")[:-1]:
            lines = dict(line.split(": ", 1) for line in block.split("\n"))
            found.append((lines.get("event", ""), lines["data"]))
        return found


def request_bytes(dialect, *, path=None, method="POST", headers=None, body=None, **fields) -> bytes:
    messages = dialect in ("openai.chat", "anthropic.messages", "anthropic.count_tokens")
    said = {"messages": [{"role": "user", "content": "Hello"}]} if messages else {"input": "Hello"}
    fields = {"model": "m", **said, **fields}
    if dialect == "bedrock.converse":
        del fields["model"], fields["input"]
    if dialect == "anthropic.messages":
        fields.setdefault("max_tokens", 1000)
    if body is None:
        body = json.dumps(fields).encode()
    lines = "".join(f"{name}: {value}\r\n" for name, value in (KEYS if headers is None else headers).items())
    head = f"{method} {path or PATHS[dialect]} HTTP/1.1\r\nhost: x\r\n{lines}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def read_answer(reader: asyncio.StreamReader, patience_s: float = 0.05) -> Raw:
    raw = Raw()
    parser = httptools.HttpResponseParser(raw)
    while raw.end == "open":
        try:
            data = await asyncio.wait_for(reader.read(65_536), patience_s)
        except TimeoutError:
            break
        except ConnectionResetError:
            raw.end = "reset"
            break
        if not data:
            raw.end = "cut"
            break
        parser.feed_data(data)
        raw.status = parser.get_status_code() if raw.headers else 0
    return raw


@pytest.fixture
def ask():
    """``await ask(provider, dialect, **fields)``: one request on a connection of its own."""

    async def send(provider, dialect="openai.chat", *, patience_s=0.05, **fields) -> Raw:
        reader, writer = await asyncio.open_connection(provider.host, provider.port)
        try:
            writer.write(request_bytes(dialect, **fields))
            return await read_answer(reader, patience_s)
        finally:
            writer.transport.abort()

    return send
