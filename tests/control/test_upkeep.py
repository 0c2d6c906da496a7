"""Credentials and conditions on their way from the upkeep to every worker, also to the one that starts later."""

from __future__ import annotations

import asyncio
import json
import urllib.error
from collections.abc import Callable, Iterable
from queue import Queue

import pytest

from trimaran.control.upkeep import SharedUpkeep
from trimaran.errors import ConfigError
from trimaran.providers import sources
from trimaran.types import Credential, Identity, Snapshot

from .conftest import FakeSource, Gateway, until

Start = Callable[..., Gateway]
CANARY = "canary-4f9d2c"
PENDING = ["credential:x", "pending", "credentials are being fetched"]
UP = ["credential:x", "up", ""]


class Source:
    """Fetches what the test puts in; waits for it."""

    def __init__(self, settings: dict[str, str], coming: Queue[Credential | ConfigError]) -> None:
        self._settings = settings
        self._coming = coming

    def fetch(self) -> Credential:
        found = self._coming.get(timeout=10)
        if isinstance(found, ConfigError):
            raise found
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source) and other._settings == self._settings

    __hash__ = None  # type: ignore[assignment]


class Watch:
    problem = ""
    name = "endpoints"
    credential = "x"
    interval_s = 3600.0

    def look(self, credential: Credential | None) -> Iterable[tuple[str, str, str]]:
        assert credential is not None
        return [("openai/a", "down", f"seen with {credential.source}")]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Watch)

    __hash__ = None  # type: ignore[assignment]


def credential(word: str) -> Credential:
    return Credential((word, CANARY), None, "a test")


@pytest.fixture
def coming(monkeypatch: pytest.MonkeyPatch) -> Queue[Credential | ConfigError]:
    queue: Queue[Credential | ConfigError] = Queue()
    monkeypatch.setitem(sources.SOURCES, "fake", lambda identity, words: Source(identity.settings, queue))
    return queue


@pytest.fixture
def start(gateway: Start, coming: Queue[Credential | ConfigError]) -> Start:
    """A gateway whose snapshot has the identity ``x``."""

    def start(*, workers: int = 1, watches: Callable[[Snapshot], list[Watch]] = lambda _: []) -> Gateway:
        source = FakeSource()
        source.changes["identities"] = {"x": Identity("fake", {"profile": "a"})}
        lines: list[str] = []
        upkeep = SharedUpkeep(watches=watches, log=lines.append)
        running = gateway(workers=workers, source=source, options={"upkeep": upkeep})
        running.upkeep_lines = lines  # type: ignore[attr-defined]
        return running

    return start


async def told(running: Gateway, wanted: list[list[str]], path: str = "/told") -> None:
    """Wait until a worker was told these, in this order, among what else it was told."""
    heard: list[list[str]] = []
    async with asyncio.timeout(10):
        while True:
            heard = (await running.get(path))["told"]
            rest = iter(heard)
            if all(each in rest for each in wanted):
                return


async def test_a_credential_reaches_the_worker_and_its_condition_is_lifted(
    start: Start, coming: Queue[Credential | ConfigError]
) -> None:
    running = await start().ready()
    await told(running, [PENDING])
    coming.put(credential("one"))
    await told(running, [["x", "one", CANARY], UP])


async def test_a_worker_that_is_started_again_gets_everything_again(
    start: Start, coming: Queue[Credential | ConfigError]
) -> None:
    running = await start(watches=lambda _: [Watch()]).ready()
    coming.put(credential("one"))
    seen = ["openai/a", "down", "seen with a test"]
    await told(running, [["x", "one", CANARY], UP, seen])
    first = (await running.get())["pid"]
    with pytest.raises((OSError, urllib.error.URLError)):
        await running.get("/crash")
    await until(lambda: running.supervisor._fleet.workers[0].restarts == 1)
    await told(running, [UP, ["x", "one", CANARY], seen])
    assert (await running.get())["pid"] != first


async def test_a_worker_that_was_refused_has_it_renewed(start: Start, coming: Queue[Credential | ConfigError]) -> None:
    running = await start().ready()
    coming.put(ConfigError("no network"))
    await told(running, [PENDING, ["credential:x", "down", "no network"]])
    coming.put(credential("one"))
    await told(running, [["x", "one", CANARY], UP])
    # Not at once, for it has just come; an unknown name is nothing.
    coming.put(credential("two"))
    await running.get("/renew/y")
    await told(running, [["x", "one", CANARY], UP, ["x", "two", CANARY]], "/renew/x")


async def test_a_reload_with_another_identity_fetches_anew(
    start: Start, coming: Queue[Credential | ConfigError]
) -> None:
    running = await start().ready()
    coming.put(credential("one"))
    await told(running, [["x", "one", CANARY], UP])
    running.source.changes["identities"] = {"x": Identity("fake", {"profile": "b"})}
    assert running.supervisor.reload()
    coming.put(credential("two"))
    await told(running, [["x", "one", CANARY], UP, ["x", "two", CANARY]])
    running.source.changes["identities"] = {}
    assert running.supervisor.reload()
    assert "renewed x" not in running.supervisor._fleet._standing


async def test_what_people_see_says_where_it_came_from_and_holds_no_secret(
    start: Start, coming: Queue[Credential | ConfigError]
) -> None:
    running = await start().ready()
    coming.put(ConfigError("the SSO session has expired", hint="run `aws sso login`"))
    await told(running, [["credential:x", "down", "the SSO session has expired; run `aws sso login`"]])
    status, page = await running.admin("/admin/state")
    state = json.loads(page)["upkeep"]
    assert status == 200
    assert state["conditions"]["credential:x"]["reason"] == "the SSO session has expired; run `aws sso login`"
    assert state["problems"] == {"credential:x": "the SSO session has expired; run `aws sso login`"}
    coming.put(credential("one"))
    await told(running, [["x", "one", CANARY], UP])
    _, page = await running.admin("/admin/state")
    state = json.loads(page)["upkeep"]
    assert state == {
        "credentials": {"x": {"source": "a test", "expires": None, "expired": False}},
        "conditions": {},
        "problems": {},
    }
    lines = running.lines + running.upkeep_lines  # type: ignore[attr-defined]
    assert CANARY not in page and not any(CANARY in line for line in lines)


async def test_what_a_watch_could_not_see_is_shown(start: Start, coming: Queue[Credential | ConfigError]) -> None:
    watch = Watch()
    watch.problem = "4 of 7 targets could not be looked at"
    running = await start(watches=lambda _: [watch]).ready()
    coming.put(credential("one"))
    await told(running, [["x", "one", CANARY], UP, ["openai/a", "down", "seen with a test"]])
    _, page = await running.admin("/admin/state")
    assert json.loads(page)["upkeep"]["problems"] == {"endpoints": watch.problem}


async def test_it_stops_quickly_while_a_fetch_hangs(start: Start, coming: Queue[Credential | ConfigError]) -> None:
    running = await start().ready()
    await told(running, [PENDING])
    assert await running.stopped() == 0
    coming.put(credential("late"))
