"""``trimaran serve``: a supervisor and its workers, from a configuration file or from the environment.

Kept free of ``typer`` and ``rich``: how long it takes until the door is open is measured.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from trimaran.cli import worker
from trimaran.config import Config, find_file, load
from trimaran.control import Settings, Supervisor, log
from trimaran.dispatch.snapshot import build_snapshot, refuse_loop
from trimaran.errors import StartError
from trimaran.ledger import Ingestor
from trimaran.types import Snapshot

__all__ = ["Configuration", "command", "ledger_paths", "make_private", "serve"]


def ledger_paths(config: Config) -> tuple[Path, Path]:
    """Where the database and the journal's segments are."""
    folder = Path(config.ledger.dir)
    return folder / "ledger.sqlite3", folder / "journal"


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

    @property
    def files(self) -> tuple[str, ...]:
        """Files whose change means a reload."""
        return () if self._path is None else (self._path,)

    def load(self) -> Config:
        """The configuration as it is written now. Raises :class:`~trimaran.errors.ConfigError`."""
        return load(self._path, self._environ, self._overrides)

    def build(self, version: int) -> Snapshot:
        """A snapshot of it. Raises :class:`~trimaran.errors.ConfigError`."""
        config = self.load()
        snapshot = build_snapshot(config, self._environ, version)
        if self.simulator:
            from trimaran.cli.simulated import simulated

            snapshot = simulated(snapshot, self.simulator)
        refuse_loop(snapshot, config.server)
        return snapshot


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
    store, journal = ledger_paths(config)
    _make_folder(journal)
    server = config.server
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
        environ=_worker_environ(environ),
        announce=_announce,
    )
    return uvloop.run(supervisor.run())


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
