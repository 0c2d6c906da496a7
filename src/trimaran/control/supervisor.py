"""The supervisor: one small process that keeps the road workers running, configured and accounted for.

It binds the sockets, starts the workers and hands them a snapshot; then it listens. Everything slow or heavy (the admin
application, the ledger) starts only when the workers are on their way, so that the road is open early. It is never on
the road of a request: should it die, workers finish what they have and end.

A configuration that cannot be used stops the start and never a running gateway: the last good one stays, and log,
``/admin/state`` and ``trimaran_config_ok`` say so.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from trimaran.control.authority import Authority
from trimaran.control.capacity import CapacityRecorder
from trimaran.control.circuits import circuit_states
from trimaran.control.fleet import Fleet, FleetEvents
from trimaran.control.log import log as log_to_stderr
from trimaran.control.log import one_line
from trimaran.control.restart import MAX_FAILED_STARTS
from trimaran.control.road_worker import RoadWorker, WorkerCommand
from trimaran.control.sockets import bind, bind_road, is_loopback
from trimaran.control.upkeep import SharedUpkeep
from trimaran.control.watch import POLL_INTERVAL_S, FileWatch
from trimaran.dispatch.plane import Ask, Hello, Refused, Renew, Report, Returned
from trimaran.errors import ConfigError, StartError
from trimaran.types import Snapshot

if TYPE_CHECKING:
    from trimaran.control.admin import AdminServer

__all__ = ["Background", "Settings", "SnapshotSource", "Supervisor"]

_ADMIN_PATIENCE_S = 5.0


class Settings(msgspec.Struct, frozen=True):
    """What is fixed for the life of the process. Ports of 0 take a free one."""

    host: str = "127.0.0.1"
    port: int = 4000
    workers: int = 1
    admin_host: str = "127.0.0.1"
    admin_port: int = 4001
    drain_grace_s: float = 30.0


class SnapshotSource(Protocol):
    """Where configuration comes from."""

    def build(self, version: int) -> Snapshot:
        """Read everything anew. Raises :class:`ConfigError`; its text goes to logs and the admin page."""

    def rekey(self, snapshot: Snapshot, version: int) -> Snapshot:
        """A snapshot that was built before, with the stored keys of now. Raises :class:`ConfigError`."""

    @property
    def files(self) -> tuple[str, ...]:
        """Files whose change means a reload."""

    @property
    def next_change_ns(self) -> int | None:
        """Wall clock: when to read anew although no file changes, because a price does. Asked for after each reading."""

    @property
    def databases(self) -> tuple[str, ...]:
        """The same of SQLite databases, which may be missing."""


class Background(Protocol):
    """Work beside the loop that lives as long as the gateway: the ledger's thread."""

    lag_records: int
    journal_bytes: int
    """What waits in the journal while there is a problem."""

    @property
    def problem(self) -> str:
        """Why it does not work now; empty when it does."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """Finish; no worker writes any more."""


class Supervisor(FleetEvents):
    """One gateway on one machine. :meth:`run` is its whole life."""

    def __init__(
        self,
        settings: Settings,
        source: SnapshotSource,
        command: WorkerCommand,
        *,
        ledger: Background | None = None,
        budgets: Authority | None = None,
        capacity: CapacityRecorder | None = None,
        upkeep: SharedUpkeep | None = None,
        environ: Mapping[str, str] | None = None,
        log: Callable[[str], None] = log_to_stderr,
        announce: Callable[[Supervisor], None] = lambda _: None,
    ) -> None:
        self.settings = settings
        self.road_port = 0
        self.admin_port = 0
        self.snapshot = Snapshot(version=0)
        self.last_reload_error = ""
        self._source = source
        self._command = command
        self._ledger = ledger
        self._budgets = budgets
        self._capacity = capacity
        self._upkeep = upkeep
        self._environ = environ
        self._log = log
        self._announce = announce
        self._fleet: Fleet
        self._watch: FileWatch
        self._admin: AdminServer | None = None
        self._version = 0
        self._reloads_ok = 0
        self._reloads_failed = 0
        self._draining = False
        self._failure: StartError | None = None
        self._exit_code = 0
        self._started_s = time.monotonic()

    async def run(self) -> int:
        """Serve until stopped; the process's exit code.

        Raises :class:`ConfigError` (:class:`StartError` where it is about this machine) when it cannot start; nothing
        is left running then.
        """
        settings = self.settings
        listeners = bind_road(settings.host, settings.port, settings.workers)
        opened = list(listeners)
        try:
            admin_listener = bind(settings.admin_host, settings.admin_port, option="--admin-port")
            opened.append(admin_listener)
            self.road_port = listeners[0].getsockname()[1]
            self.admin_port = admin_listener.getsockname()[1]
            self._watch = FileWatch(self._source.files, self._source.databases)
            self.snapshot = self._build()
            self._fleet = Fleet(listeners, self._command, self, self._environ)
            return await self._live(admin_listener)
        finally:
            for each in opened:
                each.close()

    async def _live(self, admin_listener: socket.socket) -> int:
        self._all_down = asyncio.Event()
        self._road_open = asyncio.Event()
        self._install_signals()
        if self._budgets is not None:
            self._budgets.start()
            self._budgets.apply(self.snapshot.allowances, self.settings.workers)
        if self._upkeep is not None:
            # Before the workers: its first credentials may be there when they are.
            self._upkeep.start(self._fleet, self.snapshot)
        await self._fleet.start(self.snapshot)
        if self._ledger is not None:
            self._ledger.start()
        if self._capacity is not None:
            self._capacity.start()
        helpers = [
            asyncio.create_task(self._serve_admin(admin_listener)),
            asyncio.create_task(self._watch_files()),
        ]
        try:
            await self._all_down.wait()
        finally:
            await self._close(helpers)
        if self._failure is not None:
            raise self._failure
        return self._exit_code

    async def _close(self, helpers: list[asyncio.Task[None]]) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
        serving, watching = helpers
        watching.cancel()
        if self._admin is not None:
            self._admin.stop()
        else:
            serving.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        if self._upkeep is not None:
            await loop.run_in_executor(None, self._upkeep.stop)
        if self._budgets is not None:
            await self._budgets.stop()
        if self._capacity is not None:
            self._capacity.stop()
        if self._ledger is not None:
            await loop.run_in_executor(None, self._ledger.stop)

    # Configuration

    def reload(self) -> bool:
        """Read the configuration again and hand it to the workers; whether it could be used."""
        self._watch.take()
        try:
            snapshot = self._build()
        except ConfigError as error:
            self._reloads_failed += 1
            self.last_reload_error = one_line(error)
            self._log(f"the new configuration is not used, version {self.snapshot.version} stays: {one_line(error)}")
            self._rekey()
            return False
        self.last_reload_error = ""
        self._reloads_ok += 1
        self._apply(snapshot)
        if self._capacity is not None:
            self._capacity.apply()
        self._log(f"configuration reloaded: version {snapshot.version}, {_counts(snapshot)}")
        self._log_warnings()
        return True

    def _rekey(self) -> None:
        """Take up the stored keys although the configuration cannot be used: a key that was revoked must be refused."""
        try:
            snapshot = self._source.rekey(self.snapshot, self._version + 1)
        except ConfigError as error:
            if one_line(error) != self.last_reload_error:
                self._log(f"the keys of before stay: {one_line(error)}")
            return
        if snapshot.keys != self.snapshot.keys:
            self._version = snapshot.version
            self._apply(snapshot)
            self._log(f"the keys are taken up all the same: version {snapshot.version}, {_counts(snapshot)}")

    def _apply(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        if self._budgets is not None:
            self._budgets.apply(snapshot.allowances, self.settings.workers)
        self._fleet.apply(snapshot)
        if self._upkeep is not None:
            self._upkeep.apply(snapshot)

    def _build(self) -> Snapshot:
        snapshot = self._source.build(self._version + 1)
        self._check_exposure(snapshot)
        self._version = snapshot.version
        return snapshot

    def _check_exposure(self, snapshot: Snapshot) -> None:
        if snapshot.require_key or is_loopback(self.settings.host):
            return
        raise StartError(
            f"listening on {self.settings.host} without client keys would let anyone who reaches it spend your money",
            hint="Write keys: into the configuration, or listen on 127.0.0.1.",
        )

    async def _watch_files(self) -> None:
        while True:
            await asyncio.sleep(POLL_INTERVAL_S)
            changed = self._watch.changed()
            due_ns = self._source.next_change_ns
            if due_ns is not None and time.time_ns() >= due_ns:
                self._log("prices change today")
                changed = True
            if changed and not self._draining:
                self.reload()

    # Events of the fleet

    def log(self, line: str) -> None:
        self._log(line)

    def on_hello(self, worker: RoadWorker, message: Hello) -> None:
        plane = worker.plane
        if self._budgets is not None and plane is not None and message.life:
            self._budgets.join(worker.index, message.life, message.journal, plane.send)

    def on_report(self, worker: RoadWorker, message: Report) -> None:
        if self._budgets is not None:
            self._budgets.on_report(worker.index, message)

    def on_lease(self, worker: RoadWorker, message: Ask | Returned) -> None:
        if self._budgets is not None:
            self._budgets.on_message(worker.index, message)

    def on_renew(self, worker: RoadWorker, message: Renew) -> None:
        if self._upkeep is not None:
            self._upkeep.renew(message.name)

    def on_gone(self, worker: RoadWorker, drained: bool) -> None:
        if self._budgets is not None:
            self._budgets.leave(worker.index, drained=drained)

    def on_ready(self, worker: RoadWorker) -> None:
        if self._fleet.ready and not self._road_open.is_set():
            self._road_open.set()
            self._announce(self)
            self._log_warnings()

    def on_refused(self, worker: RoadWorker, message: Refused) -> None:
        if worker.snapshot_version == 0:
            self._fail(StartError(f"the workers cannot use the configuration: {message.why}"))
            return
        self.last_reload_error = message.why
        self._log(f"worker {worker.index} keeps version {worker.snapshot_version}: {message.why}")

    def on_hopeless(self, worker: RoadWorker) -> None:
        code = "" if worker.exit_code is None else f" (last exit code {worker.exit_code})"
        self._log(
            f"worker {worker.index} could not be started, {MAX_FAILED_STARTS} times in a row{code}; "
            "its own last words are above. The gateway stops"
        )
        self._exit_code = 1
        self._fleet.kill()

    def on_all_down(self) -> None:
        self._all_down.set()

    def _fail(self, error: StartError) -> None:
        if self._failure is None:
            self._failure = error
            self._fleet.kill()

    # The end

    def stop(self) -> None:
        """First call: let the workers finish within the grace period. Second call: end them at once."""
        if self._draining:
            self._log("stopping at once")
            self._fleet.kill()
            return
        self._draining = True
        running, grace_s = self._fleet.in_flight(), self.settings.drain_grace_s
        self._log(f"stopping: {running} requests are running" + (f", they have {grace_s:g} s" if running else ""))
        self._fleet.drain(grace_s)

    def _install_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        loop.add_signal_handler(signal.SIGINT, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload)

    # What the admin application shows

    async def _serve_admin(self, listener: socket.socket) -> None:
        # The import takes as long as a worker's start; the road comes first.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._road_open.wait(), _ADMIN_PATIENCE_S)
        from trimaran.control.admin import AdminServer

        self._admin = AdminServer(self, listener)
        await self._admin.serve()

    def metrics(self) -> bytes:
        """Prometheus' page."""
        from trimaran.telemetry.prometheus import Facts, render

        fleet = self._fleet
        facts = Facts(
            snapshot_version=self.snapshot.version,
            worker_up={each.index: fleet.up(each) for each in fleet.workers},
            worker_restarts=sum(each.restarts for each in fleet.workers),
            in_flight=fleet.in_flight(),
            circuits=circuit_states(fleet.shared(), self.snapshot),
            ledger_lag_records=self._ledger.lag_records if self._ledger is not None else 0,
            ledger_ok=self._ledger is None or not self._ledger.problem,
            ledger_waiting_bytes=self._ledger.journal_bytes if self._ledger is not None else 0,
            reloads_ok=self._reloads_ok,
            reloads_failed=self._reloads_failed,
            config_ok=not self.last_reload_error,
        )
        return render(fleet.totals(), facts)

    def readiness(self) -> tuple[bool, str]:
        """Whether a request sent now can be answered, and one sentence for people."""
        if self._draining:
            return False, "draining: this gateway is stopping"
        if not self.snapshot.models and not self.snapshot.wildcards:
            return False, "; ".join(self.snapshot.warnings) or "nothing to serve: no model is configured"
        if not any(self._fleet.up(each) for each in self._fleet.workers):
            return False, "no worker is ready"
        return True, "ready"

    def state(self) -> dict[str, Any]:
        """What is going on, without secrets."""
        snapshot, fleet = self.snapshot, self._fleet
        ready, why = self.readiness()
        return {
            "ready": ready,
            "why": why,
            "snapshot_version": snapshot.version,
            "models": {name: list(policy.targets) for name, policy in sorted(snapshot.models.items())},
            "wildcards": sorted(f"{prefix}/*" for prefix in snapshot.wildcards),
            "warnings": list(snapshot.warnings),
            "last_reload_error": self.last_reload_error or None,
            "workers": [
                {
                    "worker": each.index,
                    "state": each.state.value,
                    "pid": each.pid,
                    "snapshot_version": each.snapshot_version,
                    "in_flight": each.report.in_flight if each.report is not None else 0,
                    "restarts": each.restarts,
                }
                for each in fleet.workers
            ],
            "circuits": circuit_states(fleet.shared(), snapshot),
            "upkeep": self._upkeep.state() if self._upkeep is not None else {},
            "budgets": self._budgets.state() if self._budgets is not None else {"problem": None, "accounts": []},
            "ledger_lag_records": self._ledger.lag_records if self._ledger is not None else 0,
            "ledger_problem": (self._ledger.problem if self._ledger is not None else "") or None,
            "ledger_waiting_bytes": self._ledger.journal_bytes if self._ledger is not None else 0,
            "up_s": round(time.monotonic() - self._started_s, 1),
        }

    def _log_warnings(self) -> None:
        for warning in self.snapshot.warnings:
            self._log(f"note: {warning}")


def _counts(snapshot: Snapshot) -> str:
    return f"{len(snapshot.models)} models, {len(snapshot.targets)} targets, {len(snapshot.keys)} keys"
