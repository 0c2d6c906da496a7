"""The threads around the agenda: nothing waits on real time, each test waits for an event."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Queue
from typing import Any

import pytest

from trimaran.errors import ConfigError
from trimaran.providers.upkeep import MAX_JOBS, Upkeep
from trimaran.types import Credential

PATIENCE_S = 10.0
"""A test that waits for so long has failed."""


class Source:
    def __init__(self, fetch: Callable[[], Credential]) -> None:
        self.fetch = fetch


class Watch:
    credential = ""
    interval_s = 3600.0

    def __init__(self, name: str, look: Callable[[], Iterable[tuple[str, str, str]]]) -> None:
        self.name = name
        self._look = look

    def look(self, credential: Credential | None) -> Iterable[tuple[str, str, str]]:
        return self._look()


class Stage:
    def __init__(self) -> None:
        self.heard: Queue[tuple[Any, ...]] = Queue()
        self.lines: Queue[str] = Queue()
        self.threads: set[str] = set()
        self.clock = 1000.0
        self.upkeep = Upkeep(self._credential, self._condition, log=self.lines.put, clock=lambda: self.clock)

    def _credential(self, name: str, credential: Credential) -> None:
        self.threads.add(threading.current_thread().name)
        self.heard.put((name, credential))

    def _condition(self, *condition: str) -> None:
        self.threads.add(threading.current_thread().name)
        self.heard.put(condition)

    def next(self) -> tuple[Any, ...]:
        return self.heard.get(timeout=PATIENCE_S)


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.upkeep.stop()


def test_what_is_fetched_is_told_in_order_and_from_one_thread(stage: Stage) -> None:
    credential = Credential(("a",), None, "environment")
    stage.upkeep.follow({"x": Source(lambda: credential)})
    assert stage.next() == ("credential:x", "pending", "credentials are being fetched")
    assert stage.next() == ("x", credential)
    assert stage.next() == ("credential:x", "up", "")
    assert stage.threads == {"trimaran-upkeep"}


def test_a_reason_names_the_mend(stage: Stage) -> None:
    def fetch() -> Credential:
        raise ConfigError("the SSO session has expired", hint="run `aws sso login`")

    stage.upkeep.follow({"x": Source(fetch)})
    stage.next()
    assert stage.next() == ("credential:x", "down", "the SSO session has expired; run `aws sso login`")
    assert stage.lines.get(timeout=PATIENCE_S) == "credential:x: the SSO session has expired; run `aws sso login`"
    assert stage.upkeep.problems() == {"credential:x": "the SSO session has expired; run `aws sso login`"}


def test_words_that_nobody_checked_are_not_told(stage: Stage) -> None:
    def fetch() -> Credential:
        raise ValueError("canary")

    stage.upkeep.follow({"x": Source(fetch)})
    stage.next()
    _, level, reason = stage.next()
    assert level == "down" and "ValueError" in reason and "canary" not in reason


def test_on_demand_it_is_fetched_anew(stage: Stage) -> None:
    words = iter("ab")
    stage.upkeep.follow({"x": Source(lambda: Credential((next(words),)))})
    assert [stage.next()[0] for _ in range(3)] == ["credential:x", "x", "credential:x"]
    stage.clock += 1.0
    stage.upkeep.renew("x")
    assert stage.next() == ("x", Credential(("b",)))


def test_a_watch_tells_conditions(stage: Stage) -> None:
    stage.upkeep.follow({}, [Watch("w", lambda: [("sagemaker/a", "down", "failed")])])
    assert stage.next() == ("sagemaker/a", "down", "failed")


def test_jobs_that_hang_hold_up_neither_each_other_nor_the_end(stage: Stage) -> None:
    gate, started = threading.Event(), Queue[int]()

    def hang(number: int) -> Iterable[tuple[str, str, str]]:
        started.put(number)
        gate.wait(PATIENCE_S)
        return ()

    watches = [Watch(f"w{number}", lambda number=number: hang(number)) for number in range(MAX_JOBS + 3)]
    stage.upkeep.follow({}, watches)
    begun = {started.get(timeout=PATIENCE_S) for _ in range(MAX_JOBS)}
    assert begun == set(range(MAX_JOBS)) and started.empty()
    stage.upkeep.stop()
    assert stage.upkeep._thread is not None and not stage.upkeep._thread.is_alive()
    gate.set()


def test_a_listener_that_fails_does_not_stop_the_renewing() -> None:
    lines: Queue[str] = Queue()

    def refuse(*_: object) -> None:
        raise ValueError("canary")

    upkeep = Upkeep(refuse, refuse, log=lines.put)
    upkeep.follow({"x": Source(lambda: Credential(("a",)))})
    try:
        for _ in range(3):
            assert lines.get(timeout=PATIENCE_S) == "upkeep could not tell its news: ValueError"
    finally:
        upkeep.stop()


def test_without_work_there_is_no_thread() -> None:
    upkeep = Upkeep(lambda *_: None, lambda *_: None)
    upkeep.follow({})
    assert upkeep._thread is None
    upkeep.stop()


def test_after_the_end_nothing_is_told(stage: Stage) -> None:
    gate = threading.Event()

    def fetch() -> Credential:
        gate.wait(PATIENCE_S)
        return Credential(("a",))

    stage.upkeep.follow({"x": Source(fetch)})
    stage.next()
    stage.upkeep.stop()
    gate.set()
    stage.upkeep.follow({"y": Source(fetch)})
    assert stage.heard.empty()
