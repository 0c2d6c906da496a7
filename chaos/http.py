"""One HTTP exchange on a bare socket, and exactly how its answer ended. A client library would hide that, and cost more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec

__all__ = ["Answer", "Wire"]


class Answer(msgspec.Struct):
    """What came back. ``end``: ``complete`` by HTTP's rules, ``broken``, ``left`` (we went), ``late`` (out of patience)."""

    status: int = 0
    """0: nothing came."""
    headers: dict[str, str] = {}
    body: bytearray = msgspec.field(default_factory=bytearray)
    end: str = "broken"


class Wire:
    """A connection to the gateway, opened when it is needed and kept while both sides want it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    def close(self) -> None:
        """Drop the connection."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def exchange(
        self, head: bytes, body: bytes, *, patience_s: float, leave_after_s: float | None = None, pause_s: float = 0.0
    ) -> Answer:
        """Send a request and read the answer. Raises ``OSError`` when nobody listens.

        ``leave_after_s``: close the connection then, whatever has come. ``pause_s``: read that slowly between pieces.
        """
        if self._reader is not None and self._reader.at_eof():
            # The gateway has closed it meanwhile, as it may between two requests.
            self.close()
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        answer = Answer()
        try:
            async with asyncio.timeout(patience_s if leave_after_s is None else leave_after_s):
                self._writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
                await self._read(answer, pause_s)
        except TimeoutError:
            answer.end = "late" if leave_after_s is None else "left"
        except (OSError, EOFError, ValueError):
            answer.end = "broken"
        if answer.end != "complete" or answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer

    async def _read(self, answer: Answer, pause_s: float) -> None:
        assert self._reader is not None
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        answer.status = int(lines[0].split()[1])
        answer.headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:-2])
        }
        async for piece in self._pieces(answer.headers):
            answer.body += piece
            if pause_s:
                await asyncio.sleep(pause_s)
        answer.end = "complete"

    async def _pieces(self, headers: dict[str, str]) -> AsyncIterator[bytes]:
        reader = self._reader
        assert reader is not None
        if "content-length" in headers:
            yield await reader.readexactly(int(headers["content-length"]))
            return
        while size := int(await reader.readuntil(b"\r\n"), 16):
            yield await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
