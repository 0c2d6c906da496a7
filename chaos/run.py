"""One run: everything is started, load and strikes go on for a while, all becomes quiet, and the books are checked."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from chaos.clients import Clients
from chaos.database import Database, why_none
from chaos.gateway import Gateway
from chaos.judge import Books, Row, check_attempts, check_budgets, check_replies, read_rows
from chaos.killer import Killer
from chaos.memory import Memory
from chaos.plan import Settings, configuration, environment, limits_are_known
from chaos.targets import TargetsProcess
from trimaran.ledger import Store
from trimaran.types import Secret

__all__ = ["run"]

QUIET_S = 15.0
"""How long exchanges may still be under way after the last client has its answer."""


async def run(settings: Settings, *, sqlite_only: bool) -> Books:
    """The figures and what was violated."""
    books = Books([], [])
    database = await _database(books, settings, sqlite_only)
    targets = TargetsProcess(settings.seed, settings.folder / "targets.txt")
    enforced = limits_are_known()
    config = settings.folder / "trimaran.yaml"
    config.write_text(configuration(settings, targets.ports, enforced))
    gateway = Gateway(config, environment(), settings.folder / "gateway.txt")
    try:
        await gateway.start()
        clients, killer = await _load(settings, gateway, targets, database, books)
        await _become_quiet(targets, books)
        status = await gateway.stop()
        books.violated("the gateway did not end well", [f"exit {status}"] if status else [])
        asked = targets.log(settings.folder / "targets.json")
    finally:
        targets.close()
        if gateway.process is not None and gateway.process.poll() is None:
            gateway.process.kill()
    (settings.folder / "replies.json").write_bytes(msgspec.json.encode(clients.replies))
    rows = _rows(settings, database, books)
    if database is not None:
        await database.stop()
        database.remove()
    books.figures[:0] = [
        ("strikes", ", ".join(f"{count} {name}" for name, count in killer.struck.items()) or "none"),
        (
            "gateway",
            f"started {gateway.starts} times, in {killer.restart_s:.1f} s at most; {clients.refused_connections} connections refused meanwhile",
        ),
    ]
    books.violations += killer.problems
    breaking = [(at - clients.origin_s, until - clients.origin_s) for at, until in killer.breaking]
    check_replies(books, clients.replies, breaking)
    check_attempts(books, clients.replies, asked, rows)
    check_budgets(books, clients.replies, asked, rows, enforced)
    return books


async def _database(books: Books, settings: Settings, sqlite_only: bool) -> Database | None:
    why = "--sqlite" if sqlite_only else why_none()
    if why:
        books.figures.append(("PostgreSQL", f"not in this run ({why}); the ledger is SQLite"))
        return None
    database = Database()
    await database.start()
    settings.ledger["url"] = f'"{database.url}"'
    books.figures.append(("PostgreSQL", "in this run"))
    return database


async def _load(
    settings: Settings, gateway: Gateway, targets: TargetsProcess, database: Database | None, books: Books
) -> tuple[Clients, Killer]:
    memory = Memory()
    memory.begin(gateway)
    clients = Clients(gateway.port, settings.clients, settings.seed)
    longest_s = min(10.0, settings.seconds / 8)
    killer = Killer(gateway, database, settings.seed, longest_s, settings.folder / "strikes.txt")
    clients.start()
    loop = asyncio.get_running_loop()
    end = loop.time() + settings.seconds
    # A short run strikes as often as it can; a long one lets the processes grow old, too.
    between_s = (min(2.0, settings.seconds / 20), min(15.0, settings.seconds / 10))
    striking = asyncio.create_task(killer.run(between_s))
    while loop.time() < end:
        await asyncio.sleep(min(1.0, max(0.0, end - loop.time())))
        memory.look(gateway)
        if striking.done():
            break
    killer.stop()
    await striking
    targets.heal()
    await clients.stop()
    await memory.check(gateway, books, min(5.0, settings.seconds / 10))
    while not killer.check_orphans():
        await asyncio.sleep(0.1)
    return clients, killer


async def _become_quiet(targets: TargetsProcess, books: Books) -> None:
    """(d) No exchange goes on for nobody."""
    open_requests = targets.open()
    for _ in range(round(QUIET_S / 0.1)):
        if not open_requests:
            break
        await asyncio.sleep(0.1)
        open_requests = targets.open()
    books.violated("orphan exchanges at providers", [f"{open_requests} open"] if open_requests else [])


def _rows(settings: Settings, database: Database | None, books: Books) -> list[Row]:
    folder = settings.folder / "ledger"
    place: Path | Secret = folder / "ledger.sqlite3" if database is None else Secret(database.url)
    with Store(place) as store:
        store.ingest(folder / "journal")
    left = [path.name for path in (folder / "journal").iterdir() if path.suffix in (".seg", ".damaged")]
    books.violated("journal segments that were not taken in, or are damaged", left)
    return read_rows(place)
