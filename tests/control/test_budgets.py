"""The book of budgets by itself, a day of it on a virtual clock, and its authority on a loop with a real file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from trimaran.control.authority import Authority
from trimaran.control.budgets import AHEAD, RECALL_S, Book
from trimaran.dispatch.plane import Ask, Denied, Grant, Recall, Report, Returned
from trimaran.dispatch.purse import Hold, Purse
from trimaran.errors import LedgerError, RequestError
from trimaran.ledger import IdSource, Ingestor, JournalWriter, Settled, Started, Store
from trimaran.ledger.leases import LeaseStore
from trimaran.ledger.periods import FOREVER_NS, window
from trimaran.types import Allowance

DAY = Allowance("key:a:usd/day", "key", "a", "usd", 1000, "day")
KEY = ("key:a:usd/day", 0)


def book(limit: int = 1000, **options: Any) -> Book:
    made = Book(**options)
    made.apply([Allowance(DAY.id, "key", "a", "usd", limit, "day")], 2)
    made.join("one", "worker-0.x")
    made.join("two", "worker-1.x")
    return made


def test_a_grant_holds_the_need_and_a_little_ahead_and_is_written_first() -> None:
    budgets = book(6400)
    budgets.ask("one", Ask(*KEY, 100), 0.0)
    batch = budgets.take()
    ahead = 6400 // AHEAD // 2
    assert batch.messages == [("one", Grant(*KEY, 100 + ahead, ahead))]
    assert [(lease.life, lease.journal, lease.amount) for lease in batch.leases] == [("one", "worker-0.x", 100 + ahead)]
    assert batch.to_write
    assert not budgets.take().to_write


def test_what_lies_unused_elsewhere_is_recalled_before_anybody_is_refused() -> None:
    budgets = book()
    budgets.ask("one", Ask(*KEY, 800), 0.0)
    budgets.take()
    budgets.ask("two", Ask(*KEY, 500), 0.0)
    ((life, recall),) = budgets.take().messages
    assert life == "one" and isinstance(recall, Recall)
    budgets.returned("one", Returned(*KEY, 300, 10, recall.number), 0.1)
    ((life, answer),) = budgets.take().messages
    assert (life, type(answer)) == ("two", Denied)
    assert isinstance(answer, Denied) and 469 <= answer.left < 500
    budgets.ask("two", Ask(*KEY, 500), 0.2)
    ((_, recall),) = budgets.take().messages
    assert isinstance(recall, Recall)
    budgets.returned("one", Returned(*KEY, 200, 10, recall.number), 0.3)
    assert [(life, type(message)) for life, message in budgets.take().messages] == [("two", Grant)]


def test_nobody_is_refused_because_a_worker_does_not_answer() -> None:
    budgets = book()
    budgets.ask("one", Ask(*KEY, 900), 0.0)
    budgets.ask("two", Ask(*KEY, 500), 0.0)
    budgets.take()
    budgets.tick(RECALL_S / 2, 0)
    budgets.tick(RECALL_S, 0)
    assert budgets.take().messages == []
    budgets.ask("two", Ask(*KEY, 500), 2.0)
    assert [type(message) for _, message in budgets.take().messages] == [Recall]
    budgets.leave("one", drained=False, now_s=2.1)
    assert [type(message) for _, message in budgets.take().messages] == [Denied], "its lease counts as used"


def test_the_lease_of_a_dead_worker_counts_until_the_ledger_tells() -> None:
    budgets = book()
    budgets.ask("one", Ask(*KEY, 900), 0.0)
    budgets.leave("one", drained=False, now_s=0.0)
    budgets.take()
    budgets.ask("two", Ask(*KEY, 500), 0.0)
    assert [type(message) for _, message in budgets.take().messages] == [Denied]
    ((row, lease),) = budgets.unsettled()
    budgets.reconciled(row, lease.life, 300)
    budgets.ask("two", Ask(*KEY, 500), 1.0)
    assert [type(message) for _, message in budgets.take().messages] == [Grant]


def test_a_life_that_could_not_journal_is_never_reconciled() -> None:
    budgets = book()
    budgets.ask("one", Ask(*KEY, 900), 0.0)
    budgets.unrecorded("one")
    budgets.leave("one", drained=False, now_s=0.0)
    assert budgets.unsettled() == []
    assert [lease.journal for lease in budgets.take().leases] == [""]


def test_more_than_was_leased_is_charged_against_everybody() -> None:
    budgets = book()
    budgets.ask("one", Ask(*KEY, 100), 0.0)
    ((_, grant),) = budgets.take().messages
    assert isinstance(grant, Grant)
    budgets.returned("one", Returned(*KEY, grant.amount - 1500, 1500), 0.0)
    budgets.ask("two", Ask(*KEY, 1), 0.0)
    budgets.returned("one", Returned(*KEY, 0, 1500, 1), 0.0)
    assert [message for _, message in budgets.take().messages if not isinstance(message, Recall)] == [Denied(*KEY, 0)]


def test_each_threshold_is_told_once_by_use_and_not_by_leases() -> None:
    budgets = book(thresholds=(100, 50, 80))
    budgets.ask("one", Ask(*KEY, 900), 0.0)
    assert budgets.take().passed == []
    for used, told in ((499, []), (500, [50]), (700, []), (1000, [80, 100]), (1000, [])):
        budgets.report("one", [(*KEY, used)])
        assert [passed[4] for passed in budgets.take().passed] == told
    budgets.apply([Allowance(DAY.id, "key", "a", "usd", 1500, "day")], 2)
    budgets.report("one", [(*KEY, 1200)])
    assert [passed[2:] for passed in budgets.take().passed] == [(1200, 1500, 80)]


def test_thresholds_are_not_told_again_after_a_restart() -> None:
    budgets, store = book(thresholds=(50,)), LeaseStore(":memory:")
    budgets.ask("one", Ask(*KEY, 900), 0.0)
    budgets.report("one", [(*KEY, 600)])
    batch = budgets.take()
    assert len(batch.passed) == 1
    store.write(batch.accounts, batch.leases)
    again = Book(*store.load(), thresholds=(50,))
    again.apply([DAY], 2)
    for row, lease in again.unsettled():
        again.reconciled(row, lease.life, 600)
    assert again.take().passed == []
    store.close()


def test_limits_that_change_hold_for_new_grants_and_what_was_used_stays() -> None:
    budgets = book()
    budgets.ask("one", Ask(*KEY, 600), 0.0)
    budgets.take()
    budgets.apply([Allowance(DAY.id, "key", "a", "usd", 500, "day")], 2)
    assert [type(message) for _, message in budgets.take().messages] == [Recall]
    budgets.apply([], 2)
    budgets.ask("two", Ask(*KEY, 10**6), 0.0)
    assert budgets.take().messages == [("two", Grant(*KEY, 10**6))], "it binds nobody any more"
    budgets.apply([Allowance(DAY.id, "key", "a", "usd", 700, "day")], 2)
    budgets.returned("one", Returned(*KEY, 0, 600), 0.0)
    budgets.ask("two", Ask(*KEY, 101), 0.0)
    assert [type(message) for _, message in budgets.take().messages] == [Recall]


def test_windows_that_ended_long_ago_are_forgotten_unless_somebody_may_still_use_them() -> None:
    budgets, day_ns = book(), 86_400 * 10**9
    budgets.ask("one", Ask(*KEY, 100), 0.0)
    budgets.take()
    budgets.tick(0.0, 500 * day_ns)
    assert budgets.take().forgotten == []
    budgets.unrecorded("one")
    budgets.leave("one", drained=False, now_s=0.0)
    budgets.tick(0.0, 300 * day_ns)
    assert budgets.take().forgotten == []
    budgets.tick(0.0, 500 * day_ns)
    batch = budgets.take()
    assert (batch.forgotten, batch.closed) == ([KEY], [(*KEY, "one")])


@pytest.mark.parametrize("begin", ["2028-02-28T16:00", "2026-12-30T16:00"], ids=["leap day", "new year"])
def test_a_day_and_more_on_a_virtual_clock(begin: str) -> None:
    """Every six minutes a burst: what each window sees is its limit exactly, when there is more demand than room."""
    periods = {"minute": 3, "hour": 28, "day": 200, "month": 300}
    allowances = [Allowance(f"key:a:requests/{name}", "key", "a", "requests", n, name) for name, n in periods.items()]
    wall_ns = int(datetime.fromisoformat(begin).replace(tzinfo=UTC).timestamp()) * 10**9
    now = [wall_ns, 0.0]
    budgets = Book()
    budgets.apply(allowances, 2)
    said: list[tuple[str, Ask | Returned]] = []
    purses: dict[str, Purse] = {}
    for life in ("one", "two"):
        budgets.join(life, life)
        purses[life] = Purse(lambda: int(now[0]), lambda message, life=life: said.append((life, message)))  # type: ignore[misc]
        purses[life].apply(allowances)

    def settle_down() -> None:
        while said or budgets._messages:
            for life, message in said[:]:
                tell = budgets.ask if isinstance(message, Ask) else budgets.returned
                tell(life, message, now[1])  # type: ignore[arg-type]
            said.clear()
            for life, answer in budgets.take().messages:
                purses[life].on_message(answer)

    sent: dict[tuple[str, int], int] = {}

    def attempt(life: str) -> None:
        hold: Hold | None = None
        try:
            hold = purses[life].reserve([each.id for each in allowances], None, 0, 1, lambda: attempt(life))
        except RequestError:
            return
        if hold is not None:
            for name in periods:
                key = (name, window(name, hold.at_ns)[0])
                sent[key] = sent.get(key, 0) + 1
            purses[life].settle(hold, None, 0)

    for _ in range(40 * 10):
        for life in ("one", "two", "one", "two"):
            attempt(life)
            settle_down()
        now[0] += 360 * 10**9
        now[1] += 360.0
        for purse in purses.values():
            for _ in range(10):
                purse.tick(now[1])
        settle_down()
        budgets.tick(now[1], int(now[0]))
    for (name, start), count in sent.items():
        assert count <= periods[name], (name, start)
    for name, limit in periods.items():
        assert max(count for (period, _), count in sent.items() if period == name) == limit, name
    months = [count for (period, _), count in sorted(sent.items()) if period == "month"]
    assert len(months) == 2


# On a loop, with a file


class Plane:
    """What an authority sends to one worker."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Grant | Denied | Recall] = asyncio.Queue()

    async def next(self) -> Grant | Denied | Recall:
        return await asyncio.wait_for(self.heard.get(), 5)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Authority]:
    monkeypatch.setattr("trimaran.control.authority.BEAT_S", 0.01)

    def make(**options: Any) -> Authority:
        made = Authority(
            tmp_path / "budgets.sqlite3",
            tmp_path / "journal",
            lambda: Store(tmp_path / "ledger.sqlite3", read_only=True),
            wall_ns=lambda: 0,
            **{"log": lambda _: None, **options},
        )
        made.start()
        made.apply([DAY], 2)
        return made

    return make


async def test_many_asks_at_once_take_few_batches(
    authority: Callable[..., Authority], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = []
    write = LeaseStore.write
    monkeypatch.setattr(LeaseStore, "write", lambda *args: batches.append(1) or write(*args))
    budgets, plane = authority(), Plane()
    budgets.apply([Allowance(f"key:{each}:usd/day", "key", str(each), "usd", 1000, "day") for each in range(100)], 2)
    budgets.join(0, "life", "worker-0.x", plane.heard.put_nowait)
    for each in range(100):
        budgets.on_message(0, Ask(f"key:{each}:usd/day", 0, 10))
    granted = 0
    for _ in range(100):
        message = await plane.next()
        assert isinstance(message, Grant)
        granted += message.amount
    assert len(batches) <= 3
    budgets.leave(0, drained=False)
    await budgets.stop()
    with pytest.raises(RuntimeError):
        budgets._thread.submit(int)
    store = LeaseStore(tmp_path / "budgets.sqlite3")
    leases = store.load()[1]
    assert (len(leases), sum(lease.amount for lease in leases)) == (100, granted)
    store.close()


async def test_nothing_is_granted_before_it_is_on_disk(
    authority: Callable[..., Authority], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    broken = [True]
    write = LeaseStore.write

    def failing(*args: Any) -> None:
        if broken[0]:
            raise LedgerError("the disk of the budgets is full")
        write(*args)

    monkeypatch.setattr(LeaseStore, "write", failing)
    budgets, plane = authority(log=lines.append), Plane()
    budgets.join(0, "life", "worker-0.x", plane.heard.put_nowait)
    budgets.on_message(0, Ask(*KEY, 1))
    async with asyncio.timeout(5):
        while not budgets.problem:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.03)
    assert plane.heard.empty()
    assert "full" in budgets.state()["problem"]
    broken[0] = False
    assert isinstance(await plane.next(), Grant)
    assert budgets.problem == ""
    assert len(lines) == 2 and "full" in lines[0] and "again" in lines[1]
    await budgets.stop()


async def test_a_file_that_cannot_be_used_is_said_and_tried_again(
    authority: Callable[..., Authority], tmp_path: Path
) -> None:
    path = tmp_path / "budgets.sqlite3"
    path.write_bytes(b"noise" * 1000)
    lines: list[str] = []
    budgets, plane = authority(log=lines.append), Plane()
    budgets.join(0, "life", "worker-0.x", plane.heard.put_nowait)
    async with asyncio.timeout(5):
        while not budgets.problem:
            await asyncio.sleep(0.001)
    assert "no SQLite database" in lines[0]
    path.unlink()
    async with asyncio.timeout(5):
        while budgets.problem:
            await asyncio.sleep(0.001)
    budgets.on_message(0, Ask(*KEY, 1))
    assert isinstance(await plane.next(), Grant)
    await budgets.stop()


async def test_after_a_crash_the_ledger_tells_what_was_used(
    authority: Callable[..., Authority], tmp_path: Path
) -> None:
    journal, ids = JournalWriter(tmp_path / "journal", "worker-0", 1 << 16), IdSource()
    life = ids.next(1)
    first, plane = authority(), Plane()
    first.join(0, life, journal.life, plane.heard.put_nowait)
    first.on_message(0, Ask(*KEY, 900))
    await plane.next()
    request = ids.next(2)
    journal.append(Started(request, 1, 5, key_id="a", bound_nanos=400))
    journal.append(Settled(request, 1, 6, cost_nanos=120))
    journal.append(Started(ids.next(3), 1, 7, key_id="a", bound_nanos=300))
    await first.stop()  # the supervisor ended, the worker did not

    budgets, plane = authority(), Plane()
    budgets.join(1, "f" * 32, "worker-1.y", plane.heard.put_nowait)
    budgets.on_message(1, Ask(*KEY, 101))
    assert isinstance(await plane.next(), Denied)
    ingestor = Ingestor(tmp_path / "ledger.sqlite3", tmp_path / "journal")
    ingestor.run_once()
    await asyncio.sleep(0.05)
    assert budgets.state()["accounts"][0]["used"] == 0, "its writer still lives"
    journal.close()
    ingestor.run_once()
    ingestor.close()
    async with asyncio.timeout(5):
        while budgets.state()["accounts"][0]["used"] != 420:
            await asyncio.sleep(0.005)
    budgets.on_message(1, Ask(*KEY, 580))
    assert isinstance(await plane.next(), Grant)
    await budgets.stop()


async def test_thresholds_are_told_after_the_write_and_a_failing_alert_stops_nothing(
    authority: Callable[..., Authority],
) -> None:
    told: list[tuple[Any, ...]] = []

    def tell(*passed: Any) -> None:
        told.append(passed)
        raise ValueError("no")

    budgets, plane = authority(thresholds=(50,), on_threshold=tell), Plane()
    budgets.join(0, "life", "worker-0.x", plane.heard.put_nowait)
    budgets.on_message(0, Ask(*KEY, 600))
    await plane.next()
    budgets.on_report(0, Report(0, used=[(*KEY, 500)]))
    budgets.on_message(0, Ask(*KEY, 1))
    assert isinstance(await plane.next(), Grant)
    assert told == [(DAY, 0, 500, 1000, 50)]
    await budgets.stop()


def test_total_is_one_window() -> None:
    budgets = Book()
    budgets.apply([Allowance("t", "tenant", "x", "usd", 10, "total")], 1)
    budgets.join("one", "")
    budgets.ask("one", Ask("t", 0, 4), 0.0)
    assert budgets.take().accounts[0].end_ns == FOREVER_NS
    (row,) = budgets.state(10**18)
    assert (row["window"], row["limit"], row["used"], row["leased"]) == ("total", 10, 0, 4)
