"""``trimaran serve``: a supervisor and its workers, from a configuration file or from the environment.

Kept free of ``typer`` and ``rich``: how long it takes until the door is open is measured.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from trimaran.cli import worker
from trimaran.config import Config, combined, find_file, load
from trimaran.control import Authority, Settings, Supervisor, log
from trimaran.control.alerts import Alerts
from trimaran.control.capacity import CapacityRecorder, counted, stated_capacity
from trimaran.control.upkeep import SharedUpkeep
from trimaran.dispatch.identities import identities, refuse_exposure
from trimaran.dispatch.lookup import refuse_loop
from trimaran.dispatch.prices import next_change_ns, today
from trimaran.dispatch.snapshot import build_snapshot
from trimaran.errors import LedgerError, StartError
from trimaran.ledger import CapacityUsed, Ingestor, Store
from trimaran.ledger.database import check_driver
from trimaran.ledger.keys import KeyRow, read_keys
from trimaran.providers.aws.sagemaker_watch import SageMakerWatches
from trimaran.types import Secret, Snapshot

__all__ = ["Configuration", "command", "keys_path", "ledger_paths", "make_private", "serve"]


def ledger_paths(config: Config) -> tuple[Path | Secret, Path]:
    """Where the database (a file, or a server's URL) and the journal's segments are."""
    folder = Path(config.ledger.dir)
    return config.ledger.url or folder / "ledger.sqlite3", folder / "journal"


def keys_path(config: Config) -> Path:
    """Where the keys are that ``trimaran keys`` makes; there may be none."""
    return Path(config.ledger.dir) / "keys.sqlite3"


def make_private(folder: Path) -> None:
    """Make the ledger's folder for its owner only. Raises :class:`OSError`."""
    # Not by one call with the journal's: the mode given to mkdir is not that of the parents it makes.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


class Configuration:
    """Where the supervisor's snapshots come from: the file and the environment, read anew each time."""

    def __init__(self, path: str | None, environ: Mapping[str, str], overrides: Mapping[str, object]) -> None:
        self._path = path
        self._environ = environ
        self._overrides = overrides
        self.simulator = ""
        """Base URL of what answers in place of every provider; empty: the providers themselves."""
        self.capacity: list[CapacityUsed] = []
        """Pools of the last snapshot that was built."""
        self.next_change_ns: int | None = None
        """Wall clock: when a price changes next, so that it is worth building again."""
        self.keys: Path | None = None
        """The store of client keys; its folder is that of the process and does not change with the file."""
        self.on_used: Callable[[Config], None] = lambda _: None
        """Told of each configuration that became a snapshot."""
        self._keys_seen = False
        self._used = Config()

    @property
    def files(self) -> tuple[str, ...]:
        """Files whose change means a reload."""
        return () if self._path is None else (self._path,)

    @property
    def databases(self) -> tuple[str, ...]:
        """The store of client keys, which may be missing."""
        return () if self.keys is None else (str(self.keys),)

    def load(self) -> Config:
        """The configuration as it is written now. Raises :class:`~trimaran.errors.ConfigError`."""
        return load(self._path, self._environ, self._overrides)

    def build(self, version: int) -> Snapshot:
        """A snapshot of it. Raises :class:`~trimaran.errors.ConfigError`."""
        day = today()
        # Until it can be read again there is nothing to wait for.
        self.next_change_ns = None
        config = self.load()
        snapshot = build_snapshot(config, self._environ, version, self._stored_keys(), day=day)
        if self.simulator:
            from trimaran.cli.simulated import simulated

            snapshot = simulated(snapshot, self.simulator)
        refuse_loop(snapshot, config.server)
        refuse_exposure(config, snapshot)
        self.capacity = stated_capacity(config, simulated=bool(self.simulator))
        self.next_change_ns = next_change_ns(config, day)
        self._used = config
        self.on_used(config)
        return snapshot

    def rekey(self, snapshot: Snapshot, version: int) -> Snapshot:
        """The snapshot with the keys of now, by the configuration that was last used. Raises as :meth:`build`."""
        who = identities(self._used, self._stored_keys())
        if who.problems:
            raise combined(who.problems, self._used.origin)
        return msgspec.structs.replace(
            snapshot,
            version=version,
            keys=who.keys,
            require_key=who.require_key,
            allowances=who.allowances,
            anonymous_allowances=who.anonymous_allowances,
        )

    def _stored_keys(self) -> tuple[KeyRow, ...]:
        found = read_keys(self.keys) if self.keys is not None else ()
        if self._keys_seen and not found:
            # Taken for none, a file that went away would open the door.
            raise LedgerError("the file of keys is gone", where=str(self.keys), hint="put a copy of it in its place")
        self._keys_seen = bool(found)
        return found


def command(
    *,
    config: str | None = None,
    port: int | None = None,
    host: str | None = None,
    workers: int | None = None,
    admin_port: int | None = None,
    ledger_dir: str | None = None,
    mock: bool = False,
    with_parent: bool = False,
) -> int:
    """``trimaran serve`` with its options as they were typed; ``None``: not given. Raises as :func:`serve`."""
    if with_parent:
        from trimaran.cli.children import end_with_parent

        end_with_parent()
    overrides = {
        "server.port": port,
        "server.host": host,
        "server.workers": workers,
        "server.admin_port": admin_port,
        "ledger.dir": ledger_dir,
    }
    given = {name: value for name, value in overrides.items() if value is not None}
    return serve(config if config is not None else find_file(os.environ), given, mock=mock)


def serve(path: str | None, overrides: Mapping[str, object], *, mock: bool = False) -> int:
    """Serve until stopped; the exit status. Raises :class:`~trimaran.errors.ConfigError` when it cannot start."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING, handlers=[_ToLog()])
    environ = dict(os.environ)
    if mock:
        from trimaran.cli.simulated import simulated_providers

        with simulated_providers(environ) as simulator:
            log("--mock: simulated answers only; no provider is called")
            return _serve(path, environ, overrides, simulator)
    return _serve(path, environ, overrides)


def _serve(path: str | None, environ: Mapping[str, str], overrides: Mapping[str, object], simulator: str = "") -> int:
    import uvloop

    source = Configuration(path, environ, overrides)
    source.simulator = simulator
    config = source.load()
    source.keys = keys_path(config)
    store, journal = ledger_paths(config)
    _make_folder(journal)
    check_driver(store)
    if config.ledger.on_failure == "refuse":
        Store(store).close()
    server = config.server
    alerts = Alerts(journal.with_name("alerts.json"))
    budgets = Authority(
        journal.with_name("budgets.sqlite3"),
        journal,
        lambda: Store(store, read_only=True),
        on_threshold=alerts.crossed,
    )

    def tell(used: Config) -> None:
        alerts.configure(used.alerts.webhook)
        # A threshold that nobody was told of is passed anew for whoever wants to know later.
        budgets.thresholds = tuple(sorted(used.alerts.thresholds)) if used.alerts.webhook is not None else ()

    source.on_used = tell
    endpoints = SageMakerWatches()
    supervisor = Supervisor(
        Settings(
            host=server.host,
            port=server.port,
            workers=server.workers,
            admin_port=server.admin_port,
            drain_grace_s=server.drain_s,
        ),
        source,
        lambda index, listen_fd, plane_fd: worker.command(str(journal), index, listen_fd, plane_fd),
        ledger=Ingestor(store, journal),
        budgets=budgets,
        capacity=CapacityRecorder(journal, lambda: counted(source.capacity, endpoints.instances)),
        upkeep=SharedUpkeep(watches=endpoints),
        environ=_worker_environ(environ),
        announce=_announce,
    )
    try:
        return uvloop.run(supervisor.run())
    finally:
        alerts.stop()


def _make_folder(journal: Path) -> None:
    """Raises :class:`~trimaran.errors.StartError` now, and not in each worker, when it cannot be written to."""
    try:
        make_private(journal.parent)
        make_private(journal)
        # What may be written is known by trying: permission bits know nothing of read-only file systems.
        probe = journal / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StartError(
            f"the ledger's folder cannot be used: {error.strerror or error}",
            where=str(journal.parent),
            hint="name another with --ledger-dir, or ledger.dir in the configuration",
        ) from error


def _announce(supervisor: Supervisor) -> None:
    host = supervisor.settings.host
    place = f"[{host}]" if ":" in host else host
    snapshot = supervisor.snapshot
    models = ", ".join([*sorted(snapshot.models), *sorted(f"{prefix}/*" for prefix in snapshot.wildcards)][:12])
    log(
        f"listening on http://{place}:{supervisor.road_port} · metrics on http://127.0.0.1:{supervisor.admin_port}/metrics"
    )
    log(
        f"serving {models}"
        if models
        else "nothing to serve yet: stop, set OPENAI_API_KEY or ANTHROPIC_API_KEY, and start again; or use --mock"
    )


def _worker_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """A worker's environment: what Python and TLS need, and no credential; those arrive over the plane."""
    kept = ("PATH", "HOME", "LANG", "TZ", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH")
    return {name: value for name, value in environ.items() if name in kept or name.startswith(("PYTHON", "LC_"))}


class _ToLog(logging.Handler):
    """Lines of libraries and of the ledger's thread in the form of all others."""

    def emit(self, record: logging.LogRecord) -> None:
        log(self.format(record))
