"""Many clients: each asks, reads, sometimes leaves or reads slowly, and keeps what became of its request.

Every request carries a marker of its own in its prompt, so that what the providers saw, what the client got and what the
ledger says can be laid side by side.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import msgspec

from chaos.http import Answer, Wire
from chaos.plan import DEADLINE_S, KEYS, MODELS, Key

__all__ = ["Clients", "Reply"]

PATHS = {"openai.chat": "/v1/chat/completions", "anthropic.messages": "/v1/messages"}
PATIENCE_S = DEADLINE_S + 12.0
"""Longer than the request's deadline, with a slow machine's delay; who waits longer has been forgotten."""
AGAIN_S = 0.2
"""Wait after a refused connection."""


class Reply(msgspec.Struct):
    """What one client asked and what it got."""

    prompt: str
    key: str
    dialect: str
    model: str
    stream: bool
    max_tokens: int
    asked_s: float
    """Since the run began."""
    answer: Answer
    took_s: float
    slow: bool = False
    """It read slowly, so it noticed late what happened."""

    @property
    def request_id(self) -> str:
        """Empty where no head came."""
        return self.answer.headers.get("x-trimaran-request-id", "")


class Clients:
    """All clients on the running loop."""

    def __init__(self, port: int, count: int, seed: int) -> None:
        self.replies: list[Reply] = []
        self.refused_connections = 0
        self.origin_s = 0.0
        """The loop's time that ``asked_s`` counts from."""
        self._port = port
        self._count = count
        self._seed = seed
        self._number = 0
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to ask."""
        self.origin_s = start = asyncio.get_running_loop().time()
        keys = [key for key in KEYS for _ in range(key.share)]
        for number in range(self._count):
            generator = random.Random(f"{self._seed}/client-{number}")
            work = self._run(generator, keys[number % len(keys)], lambda: asyncio.get_running_loop().time() - start)
            self._tasks.append(asyncio.create_task(work))

    async def stop(self) -> None:
        """Ask nothing more, and wait for what is under way."""
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def _run(self, generator: random.Random, key: Key, now: Callable[[], float]) -> None:
        wire = Wire(self._port)
        while not self._stop.is_set():
            await asyncio.sleep(generator.uniform(0.1, 1.5))
            try:
                self.replies.append(await self._ask(wire, generator, key, now))
            except OSError:
                wire.close()
                self.refused_connections += 1
                await asyncio.sleep(AGAIN_S)
        wire.close()

    async def _ask(self, wire: Wire, generator: random.Random, key: Key, now: Callable[[], float]) -> Reply:
        self._number += 1
        prompt = f"marker-{self._number:07d}"
        dialect = generator.choice(list(PATHS))
        model = generator.choice(list(MODELS))
        stream = generator.random() < 0.6
        # Longer than any answer; different from request to request, so that the ledger's rows can be told apart.
        max_tokens = 130 + generator.randrange(400)
        fields = {"model": model, "max_tokens": max_tokens, "messages": [{"role": "user", "content": prompt}]}
        body = msgspec.json.encode(fields | ({"stream": True} if stream else {}))
        whim = generator.random()
        leave_after_s = generator.uniform(0.01, 1.0) if whim < 0.05 else None
        pause_s = generator.uniform(0.01, 0.1) if 0.05 <= whim < 0.08 else 0.0
        asked_s = now()
        answer = await wire.exchange(
            _head(PATHS[dialect], key), body, patience_s=PATIENCE_S, leave_after_s=leave_after_s, pause_s=pause_s
        )
        return Reply(
            prompt, key.name, dialect, model, stream, max_tokens, asked_s, answer, now() - asked_s, pause_s > 0
        )


def _head(path: str, key: Key) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key.secret}\r\n"
        "content-type: application/json\r\n"
    ).encode()
