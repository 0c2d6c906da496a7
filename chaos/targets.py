"""The providers, in a process of their own: they fail at random, go away and come back, and log what they were sent.

``python -m chaos.targets SEED``. The first line of output gives the ports; then each line of input is a command that is
answered by one line of JSON: ``open`` (requests under way), ``heal`` (no more faults), ``log PATH`` (write all rows).
Ends with its input.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from chaos.faults import draw_behaviour, draw_pause_s, healthy
from chaos.plan import TARGETS, Target, upstream_key
from trimaran.testing import SimulatedProvider

__all__ = ["Asked", "TargetsProcess"]

AWAY = 0.04
"""Chance that a provider is restarted instead of changing its behaviour."""


class Asked(msgspec.Struct):
    """What a provider knows of one request."""

    target: str
    prompt: str
    max_tokens: int
    stream: bool
    status: int
    fault: str
    outcome: str
    input_tokens: int
    tokens_sent: int


class TargetsProcess:
    """The process as the run sees it."""

    def __init__(self, seed: int, errors: Path) -> None:
        with open(errors, "wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "chaos.targets", str(seed)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
            )
        self.ports: dict[str, int] = self._answer()

    def open(self) -> int:
        """Requests that are being answered now."""
        return int(self._ask("open"))

    def heal(self) -> None:
        """No more faults."""
        self._ask("heal")

    def log(self, path: Path) -> list[Asked]:
        """Everything that was asked."""
        self._ask(f"log {path}")
        return msgspec.json.decode(path.read_bytes(), type=list[Asked])

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def _ask(self, command: str) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the providers' process has ended")
        return msgspec.json.decode(line)


class _Host:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._providers = {
            target: SimulatedProvider(
                healthy(target.tokens), name=target.name, seed=seed, keys=[upstream_key()], log_limit=5_000_000
            )
            for target in TARGETS
        }
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        for provider in self._providers.values():
            await provider.start()
        self._say({target.name: provider.port for target, provider in self._providers.items()})
        self._tasks = [asyncio.create_task(self._trouble(*each)) for each in self._providers.items()]
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            word, _, rest = line.decode().strip().partition(" ")
            self._say(await self._obey(word, rest))
        for provider in self._providers.values():
            await provider.close()

    async def _obey(self, word: str, rest: str) -> object:
        if word == "open":
            return sum(provider.open_requests for provider in self._providers.values())
        if word == "heal":
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for target, provider in self._providers.items():
                provider.behaviour = healthy(target.tokens)
        elif word == "log":
            rows = [_asked(target, row) for target, provider in self._providers.items() for row in provider.log]
            Path(rest).write_bytes(msgspec.json.encode(rows))
        return True

    async def _trouble(self, target: Target, provider: SimulatedProvider) -> None:
        generator = random.Random(f"{self._seed}/{target.name}")
        while True:
            await asyncio.sleep(draw_pause_s(generator))
            if generator.random() < AWAY:
                away_s = generator.uniform(0.1, 1.5)
                await provider.close()
                # A task that is cancelled in between must not leave it closed.
                await asyncio.shield(self._back(provider, away_s))
            else:
                provider.behaviour = draw_behaviour(generator, target.tokens)

    async def _back(self, provider: SimulatedProvider, away_s: float) -> None:
        await asyncio.sleep(away_s)
        await provider.start()

    @staticmethod
    def _say(value: object) -> None:
        sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
        sys.stdout.buffer.flush()


def _asked(target: Target, row: Any) -> Asked:
    body = row.json()
    content = next(each for each in body["messages"] if each["role"] == "user")["content"]
    prompt = content if isinstance(content, str) else content[0]["text"]
    limit = body.get("max_tokens") or body.get("max_completion_tokens") or 0
    return Asked(
        target.name, prompt, limit, row.stream, row.status, row.fault, row.outcome, row.input_tokens, row.tokens_sent
    )


if __name__ == "__main__":
    uvloop.run(_Host(int(sys.argv[1])).run())
