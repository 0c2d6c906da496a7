"""A supervisor over fake workers, on free ports, in the test's own loop."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from trimaran.control import Settings, Supervisor
from trimaran.errors import ConfigError
from trimaran.types import KeyRecord, ModelPolicy, Snapshot, Target

FAKE_WORKER = str(Path(__file__).with_name("fake_worker.py"))
SOURCE = str(Path(__file__).parents[2] / "src")


def fake_command(worker: int, listen_fd: int, plane_fd: int) -> list[str]:
    return [sys.executable, FAKE_WORKER, str(worker), str(listen_fd), str(plane_fd)]


def snapshot(version: int, **changes: Any) -> Snapshot:
    values: dict[str, Any] = {
        "targets": {"openai/a": Target("openai/a", "openai", "a", ("openai.chat",), "http://127.0.0.1:1")},
        "models": {"chat": ModelPolicy("chat", "fastest", ("openai/a",))},
        "secrets": {"openai": "sk-very-secret"},
        **changes,
    }
    return Snapshot(version=version, **values)


class FakeSource:
    """Configuration by attribute: ``error`` refuses, ``changes`` go into the snapshot."""

    def __init__(self, *files: str) -> None:
        self.files = files
        self.databases: tuple[str, ...] = ()
        self.keys: tuple[KeyRecord, ...] = ()
        self.error: ConfigError | None = None
        self.changes: dict[str, Any] = {}
        self.builds = 0
        self.next_change_ns: int | None = None

    def rekey(self, snapshot: Snapshot, version: int) -> Snapshot:
        return msgspec.structs.replace(snapshot, version=version, keys=self.keys)

    def build(self, version: int) -> Snapshot:
        self.builds += 1
        self.next_change_ns = None
        if self.error is not None:
            raise self.error
        return snapshot(version, **self.changes)


class Gateway:
    """One supervisor under test and what it said."""

    def __init__(self, source: FakeSource, settings: Settings, behaviour: str, **options: Any) -> None:
        self.source = source
        self.lines: list[str] = []
        self.announced = asyncio.Event()
        environ = {**os.environ, "PYTHONPATH": SOURCE, "FAKE_WORKER": behaviour}
        self.supervisor = Supervisor(
            settings,
            source,
            options.pop("command", fake_command),
            environ=environ,
            log=self.lines.append,
            announce=lambda _: self.announced.set(),
            **options,
        )
        self.task = asyncio.create_task(self.supervisor.run())

    async def ready(self) -> Gateway:
        waiting = asyncio.create_task(self.announced.wait())
        await asyncio.wait([waiting, self.task], return_when=asyncio.FIRST_COMPLETED, timeout=10)
        waiting.cancel()
        if self.task.done():
            self.task.result()
        assert self.announced.is_set(), self.lines
        return self

    async def get(self, path: str = "/", port: int | None = None) -> dict[str, Any]:
        status, body = await fetch(port or self.supervisor.road_port, path)
        assert status == 200, body
        found: dict[str, Any] = json.loads(body)
        return found

    async def admin(self, path: str) -> tuple[int, str]:
        return await fetch(self.supervisor.admin_port, path)

    def logged(self, part: str) -> bool:
        return any(part in line for line in self.lines)

    async def stopped(self) -> int:
        self.supervisor.stop()
        return await asyncio.wait_for(self.task, 10)


async def fetch(port: int, path: str) -> tuple[int, str]:
    def call() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(call)


async def until(condition: Callable[[], bool], what: str = "condition") -> None:
    """Wait for other processes to have done something: bounded, and no longer than it takes."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)
    assert condition(), what


@pytest.fixture
async def gateway(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Gateway]]:
    """``gateway(workers=1, behaviour="", source=None, **settings)`` starts one; all are ended after the test."""
    monkeypatch.setattr("trimaran.control.supervisor.POLL_INTERVAL_S", 0.005)
    monkeypatch.setattr("trimaran.control.restart._FIRST_DELAY_S", 0.001)
    started: list[Gateway] = []

    def start(
        workers: int = 1, behaviour: str = "", source: FakeSource | None = None, options: Any = None, **settings: Any
    ) -> Gateway:
        values = {"port": 0, "admin_port": 0, "workers": workers, **settings}
        started.append(Gateway(source or FakeSource(), Settings(**values), behaviour, **(options or {})))
        return started[-1]

    yield start
    for each in started:
        if not each.task.done():
            each.supervisor.stop()
            each.supervisor.stop()
        await asyncio.gather(each.task, return_exceptions=True)
