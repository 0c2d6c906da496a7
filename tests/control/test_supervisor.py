"""The life of a gateway over fake workers: start, crash, reload, sharing, stop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from trimaran.errors import ConfigError, StartError
from trimaran.types import KeyRecord

from .conftest import SOURCE, FakeSource, Gateway, fetch, until

Start = Callable[..., Gateway]


def value(page: str, name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    raise AssertionError(f"{name}{labels} is not on the page")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_it_starts_serves_and_stops(gateway: Start) -> None:
    running = await gateway().ready()
    answer = await running.get()
    assert answer["version"] == 1
    assert await running.stopped() == 0
    assert not alive(answer["pid"])
    with pytest.raises(OSError, match="refused"):
        await fetch(running.supervisor.road_port, "/")


async def test_every_worker_serves_on_the_one_port(gateway: Start) -> None:
    running = await gateway(workers=3).ready()
    pids = set()
    for _ in range(200):
        pids.add((await running.get())["pid"])
        if len(pids) == 3:
            break
    state = json.loads((await running.admin("/admin/state"))[1])
    assert pids == {each["pid"] for each in state["workers"]}


async def test_a_port_in_use_is_named_with_the_way_out(gateway: Start) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for settings, option in (({"port": port, "workers": 2}, "--port"), ({"admin_port": port}, "--admin-port")):
            running = gateway(**settings)
            with pytest.raises(StartError, match=f"port {port} is in use; choose another with {option}"):
                await running.task


async def test_a_bad_configuration_stops_the_start_and_leaves_nothing(gateway: Start) -> None:
    source = FakeSource()
    source.error = ConfigError("unknown field 'modls'", where="trimaran.yaml:3", hint="did you mean models?")
    running = gateway(source=source)
    with pytest.raises(ConfigError, match=r"trimaran\.yaml:3"):
        await running.task
    with pytest.raises(OSError, match="refused"):
        await fetch(running.supervisor.road_port, "/")


async def test_beyond_loopback_needs_keys(gateway: Start) -> None:
    with pytest.raises(StartError, match="without client keys"):
        await gateway(host="0.0.0.0").task
    source = FakeSource()
    source.changes = {"require_key": True}
    await (await gateway(host="0.0.0.0", source=source).ready()).stopped()


async def test_a_crashed_worker_is_replaced_on_the_same_socket(gateway: Start) -> None:
    running = await gateway().ready()
    first = await running.get()
    with pytest.raises(OSError, match=r"."):
        await fetch(running.supervisor.road_port, "/crash")
    second = await running.get()  # waits in the queue that outlived the process
    assert second["pid"] != first["pid"]
    assert second["version"] == 1
    assert running.logged("worker 0 died (exit code 3)")


async def test_counters_survive_the_death_of_a_worker(gateway: Start) -> None:
    running = await gateway().ready()
    for _ in range(3):
        await running.get()
    status = {"model": "chat", "target": "openai/a", "status": "200"}

    async def count() -> float:
        try:
            return value((await running.admin("/metrics"))[1], "trimaran_requests_total", **status)
        except AssertionError:
            return 0

    async with asyncio.timeout(10):
        while await count() < 3:
            await asyncio.sleep(0.002)
    with pytest.raises(OSError, match=r"."):
        await fetch(running.supervisor.road_port, "/crash")
    await running.get()
    async with asyncio.timeout(10):
        while await count() < 4:
            await asyncio.sleep(0.002)
    page = (await running.admin("/metrics"))[1]
    assert value(page, "trimaran_requests_total", **status) == 4
    assert value(page, "trimaran_worker_restarts_total") == 1


async def test_workers_that_cannot_start_end_the_gateway(gateway: Start) -> None:
    running = gateway(behaviour="dies")
    assert await asyncio.wait_for(running.task, 20) == 1
    assert running.logged("could not be started, 5 times in a row (last exit code 1)")


async def test_a_command_that_does_not_exist_ends_the_gateway(gateway: Start) -> None:
    running = gateway(options={"command": lambda *_: ["/nonexistent/python"]})
    assert await running.task == 1
    assert running.logged("cannot be started")


async def test_a_snapshot_that_workers_refuse_stops_the_start(gateway: Start) -> None:
    with pytest.raises(StartError, match="version 1 is not to my taste"):
        await gateway(behaviour="refuses").task


async def test_a_worker_that_breaks_the_plane_is_killed(gateway: Start) -> None:
    running = gateway(behaviour="noise")
    assert await asyncio.wait_for(running.task, 20) == 1
    assert running.logged("broke the plane")


async def test_a_changed_file_is_taken_up(gateway: Start, tmp_path: Path) -> None:
    file = tmp_path / "trimaran.yaml"
    file.write_text("one")
    running = await gateway(workers=2, source=FakeSource(str(file))).ready()
    file.write_text("three")
    await until(lambda: running.logged("configuration reloaded: version 2"))
    fleet = running.supervisor._fleet
    await until(lambda: all(each.snapshot_version == 2 for each in fleet.workers))
    assert (await running.get())["version"] == 2
    assert running.source.builds == 2


async def test_prices_that_change_are_read_anew_on_their_day(gateway: Start, tmp_path: Path) -> None:
    file = tmp_path / "trimaran.yaml"
    file.write_text("one")
    running = await gateway(source=FakeSource(str(file))).ready()
    running.source.next_change_ns = time.time_ns()
    await until(lambda: running.logged("configuration reloaded: version 2"))
    # Not before it: the next reading is that of the changed file.
    running.source.next_change_ns = time.time_ns() + 3_600 * 10**9
    file.write_text("three")
    await until(lambda: running.logged("configuration reloaded: version 3"))
    assert running.lines.count("prices change today") == 1


async def test_a_bad_reload_keeps_the_last_good_one_and_says_what_is_wrong(gateway: Start) -> None:
    running = await gateway().ready()
    running.source.error = ConfigError("unknown field 'modls'", where="trimaran.yaml:3")
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: running.logged("version 1 stays: trimaran.yaml:3: unknown field 'modls'"))
    assert (await running.get())["version"] == 1
    state = json.loads((await running.admin("/admin/state"))[1])
    assert state["last_reload_error"] == "trimaran.yaml:3: unknown field 'modls'"
    page = (await running.admin("/metrics"))[1]
    assert value(page, "trimaran_config_ok") == 0
    assert value(page, "trimaran_config_reloads_total", result="failed") == 1

    running.source.error = None
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: running.logged("configuration reloaded: version 2"))
    page = (await running.admin("/metrics"))[1]
    assert value(page, "trimaran_config_ok") == 1
    assert value(page, "trimaran_snapshot_version") == 2


async def test_keys_are_taken_up_although_the_configuration_is_broken(gateway: Start) -> None:
    running = await gateway().ready()
    running.source.error = ConfigError("unknown field 'modls'")
    running.source.keys = (KeyRecord("team-a", b"d" * 32),)
    assert running.supervisor.reload() is False
    await until(lambda: running.logged("the keys are taken up all the same: version 2, 1 models, 1 targets, 1 keys"))
    await until(lambda: running.supervisor._fleet.workers[0].snapshot_version == 2)
    assert running.supervisor.last_reload_error == "unknown field 'modls'"
    # The same keys again are no news.
    assert running.supervisor.reload() is False
    assert running.supervisor.snapshot.version == 2


async def test_a_database_that_appears_means_a_reload(gateway: Start, tmp_path: Path) -> None:
    source = FakeSource()
    source.databases = (str(tmp_path / "keys.sqlite3"),)
    running = await gateway(source=source).ready()
    (tmp_path / "keys.sqlite3").write_text("1")
    await until(lambda: running.logged("configuration reloaded: version 2"))


async def test_a_reload_that_opens_the_gateway_to_everybody_is_refused(gateway: Start) -> None:
    source = FakeSource()
    source.changes = {"require_key": True}
    running = await gateway(host="0.0.0.0", source=source).ready()
    source.changes = {}
    assert running.supervisor.reload() is False
    assert "without client keys" in running.supervisor.last_reload_error


async def test_a_reload_that_workers_refuse_shows(gateway: Start) -> None:
    running = await gateway(behaviour="picky").ready()
    running.supervisor.reload()
    await until(lambda: "not to my taste" in running.supervisor.last_reload_error)
    assert (await running.get())["version"] == 1


async def test_a_worker_started_after_a_reload_gets_the_new_version(gateway: Start) -> None:
    running = await gateway().ready()
    assert running.supervisor.reload()
    await until(lambda: running.supervisor._fleet.workers[0].snapshot_version == 2)
    with pytest.raises(OSError, match=r"."):
        await fetch(running.supervisor.road_port, "/crash")
    assert (await running.get())["version"] == 2


async def test_what_one_worker_learns_reaches_the_others(gateway: Start) -> None:
    running = await gateway(workers=2).ready()
    pids = {str(each.index): each.pid for each in running.supervisor._fleet.workers}

    async def heard() -> dict[str, Any]:
        found: dict[str, Any] = (await running.get())["heard"]
        return found

    async with asyncio.timeout(10):
        while not (told := await heard()):
            await asyncio.sleep(0.002)
    ((other, payload),) = told.items()
    assert payload["pid"] == pids[other]
    page = (await running.admin("/metrics"))[1]
    assert value(page, "trimaran_circuit_state", target="openai/a") == 2


async def test_when_a_worker_dies_the_others_forget_its_loads(gateway: Start) -> None:
    running = await gateway(workers=2).ready()
    workers = running.supervisor._fleet.workers
    await until(lambda: all(each.report is not None for each in workers))
    sent: list[Any] = []
    real = running.supervisor._fleet._broadcast
    running.supervisor._fleet._broadcast = lambda origin, payload: (sent.append((origin.index, payload)), real(origin, payload))  # type: ignore[assignment, func-returns-value]  # fmt: skip
    workers[1].kill()
    await until(lambda: (1, {}) in sent)


async def test_draining_lets_requests_finish(gateway: Start) -> None:
    running = await gateway().ready()
    slow = asyncio.create_task(running.get("/slow/150"))
    await until(lambda: running.supervisor._fleet.in_flight() == 1)
    running.supervisor.stop()
    assert (await running.admin("/readyz"))[0] == 503
    with pytest.raises(OSError, match="refused"):
        await fetch(running.supervisor.road_port, "/")
    assert (await slow)["version"] == 1
    assert await running.task == 0
    assert running.logged("1 requests are running, they have 30 s")


async def test_a_second_signal_stops_at_once(gateway: Start) -> None:
    running = await gateway().ready()
    slow = asyncio.create_task(running.get("/slow/60000"))
    await until(lambda: running.supervisor._fleet.in_flight() == 1)
    os.kill(os.getpid(), signal.SIGTERM)
    await until(lambda: running.logged("stopping: 1 requests"))
    os.kill(os.getpid(), signal.SIGINT)
    assert await asyncio.wait_for(running.task, 5) == 0
    with pytest.raises(OSError, match=r"."):
        await slow


async def test_a_drain_ends_with_the_grace_period(gateway: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimaran.control.fleet._DRAIN_SLACK_S", 0.05)
    running = await gateway(drain_grace_s=0.05).ready()
    slow = asyncio.create_task(running.get("/slow/60000"))
    await until(lambda: running.supervisor._fleet.in_flight() == 1)
    assert await running.stopped() == 0
    with pytest.raises(OSError, match=r"."):
        await slow


async def test_readiness_says_what_to_set(gateway: Start) -> None:
    source = FakeSource()
    source.changes = {"models": {}, "targets": {}, "warnings": ("no provider found: set OPENAI_API_KEY",)}
    running = await gateway(source=source).ready()
    assert await running.admin("/readyz") == (503, "no provider found: set OPENAI_API_KEY\n")
    assert await running.admin("/healthz") == (200, "ok\n")
    source.changes = {}
    running.supervisor.reload()
    assert await running.admin("/readyz") == (200, "ready\n")


async def test_no_secret_shows_anywhere(gateway: Start) -> None:
    running = await gateway().ready()
    running.supervisor.reload()
    pages = [await running.admin(path) for path in ("/metrics", "/admin/state", "/readyz", "/nothing")]
    assert "very-secret" not in repr((pages, running.lines, running.supervisor.snapshot))


class FakeLedger:
    def __init__(self) -> None:
        self.lag_records = 5
        self.problem = "the database is away"
        self.journal_bytes = 77
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")


async def test_the_ledger_runs_beside_and_finishes_last(gateway: Start) -> None:
    ledger = FakeLedger()
    running = await gateway(options={"ledger": ledger}).ready()
    page = (await running.admin("/metrics"))[1]
    assert value(page, "trimaran_ledger_lag_records") == 5
    assert (value(page, "trimaran_ledger_ok"), value(page, "trimaran_ledger_waiting_bytes")) == (0, 77)
    assert '"ledger_problem":"the database is away"' in (await running.admin("/admin/state"))[1].replace(": ", ":")
    await running.stopped()
    assert ledger.calls == ["start", "stop"]


async def test_workers_do_not_outlive_a_killed_supervisor() -> None:
    script = Path(__file__).with_name("run_supervisor.py")
    environ = {**os.environ, "PYTHONPATH": SOURCE}
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environ)
    assert process.stdout is not None
    with process.stdout:
        pid = int(await asyncio.to_thread(process.stdout.readline))
    process.kill()
    process.wait()
    await until(lambda: not alive(pid))
