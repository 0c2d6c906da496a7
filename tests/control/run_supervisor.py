"""A supervisor over one fake worker in a process of its own; prints the worker's pid when it is ready."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path

from trimaran.control import Settings, Supervisor

spec = importlib.util.spec_from_file_location("control_conftest", Path(__file__).with_name("conftest.py"))
assert spec is not None
assert spec.loader is not None
shared = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shared)


def announce(supervisor: Supervisor) -> None:
    print(supervisor._fleet.workers[0].pid, flush=True)


asyncio.run(
    Supervisor(Settings(port=0, admin_port=0), shared.FakeSource(), shared.fake_command, announce=announce).run()
)
