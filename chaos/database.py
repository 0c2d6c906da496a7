"""A PostgreSQL server of its own, stopped and started, where the machine has one."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

__all__ = ["Database", "why_none"]

_STOP_S = 20


def why_none() -> str:
    """Why there is no PostgreSQL in this run; empty when there can be one."""
    from trimaran.config.settings import LedgerConfig

    if "url" not in LedgerConfig.__struct_fields__:
        return "this version keeps its ledger in SQLite only"
    if _binary("initdb") is None:
        return "initdb is not installed"
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed"
    if os.geteuid() == 0 and _unprivileged() is None:
        return "PostgreSQL does not run as root, and there is no user postgres"
    return ""


class Database:
    """A cluster on a loopback port. ``url`` is the gateway's ``ledger.url``."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="chaos-pg-"))
        user = _unprivileged() if os.geteuid() == 0 else None
        self._user = user
        if user is not None:
            shutil.chown(self._folder, user)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self._run("initdb", "-D", str(self._data), "-U", "chaos", "-A", "trust", "--no-sync", "-E", "UTF8")
        self.url = f"postgresql://chaos@127.0.0.1:{self._port}/postgres"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    async def start(self) -> None:
        """Listen."""
        options = f"-p {self._port} -h 127.0.0.1 -k {self._folder}"
        log = str(self._folder / "log")
        await asyncio.to_thread(self._run, "pg_ctl", "start", "-w", "-D", str(self._data), "-l", log, "-o", options)

    async def stop(self) -> None:
        """Away at once, as in a crash; what was committed is there when it comes back."""
        await asyncio.to_thread(self._run, "pg_ctl", "stop", "-w", "-m", "immediate", "-D", str(self._data))

    def remove(self) -> None:
        """Delete the cluster, stopped before."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, name: str, *arguments: str) -> None:
        program = _binary(name)
        assert program is not None
        done = subprocess.run(
            [program, *arguments],
            user=self._user,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_STOP_S + 20,
        )
        if done.returncode:
            raise RuntimeError(f"{name} failed with {done.returncode}; see {self._folder}/log")


def _unprivileged() -> str | None:
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return None


def _binary(name: str) -> str | None:
    found = shutil.which(name)
    if found is not None:
        return found
    packaged = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(packaged[-1]) if packaged else None
