"""Any interleaving of workers, crashes, restarts, lost messages and clocks: no limit is ever passed, and nothing is lost.

The real book, the real purses and the real file of leases run on a virtual clock; planes are lists whose messages arrive
when hypothesis says so, or never when one side dies. What is true is known to the model: each attempt that was sent, with
its bound, until it is settled at its cost.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from trimaran.control.budgets import Batch, Book
from trimaran.dispatch.plane import Ask
from trimaran.dispatch.purse import Hold, Purse
from trimaran.errors import BudgetExceeded, LimitExceeded, Unavailable
from trimaran.ledger.leases import LeaseStore
from trimaran.ledger.periods import window
from trimaran.types import Allowance

MONEY = Allowance("key:k:usd/hour", "key", "k", "usd", 1000, "hour")
RATE = Allowance("tenant:t:requests/minute", "tenant", "t", "requests", 6, "minute")
ALLOWANCES = (MONEY, RATE)
IDS = tuple(each.id for each in ALLOWANCES)
START_NS = 1_795_478_390 * 1_000_000_000
"""Ten seconds before an hour begins."""


class Attempt(msgspec.Struct, eq=False):
    """As the ledger has it."""

    life: str
    at_ns: int
    bound: int
    cost: int | None = None
    """``None``: open."""
    requests: int = 1


class Process:
    """A worker: its purse, and both directions of its plane."""

    def __init__(self, model: Machine, life: str) -> None:
        self.life = life
        self.to_book: list[Any] = []
        self.to_worker: list[Any] = []
        self.purse = Purse(lambda: model.wall_ns, self.to_book.append)
        self.purse.apply(ALLOWANCES)
        self.holds: list[tuple[Hold, Attempt]] = []
        self.orphan = False


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store = LeaseStore(":memory:")
        self.wall_ns = START_NS
        self.now_s = 0.0
        self.attempts: list[Attempt] = []
        self.processes: list[Process] = []
        self.dead: set[str] = set()
        self.lives = 0
        self.batch: Batch | None = None
        self.restart()

    # The supervisor

    def restart(self) -> None:
        self.book = Book(*self.store.load())
        self.book.apply(ALLOWANCES, 2)
        self.batch = None

    @initialize()
    def begin(self) -> None:
        self.start()
        self.start()

    @rule()
    def supervisor_is_killed(self) -> None:
        for process in self.processes:
            process.to_book.clear()
            process.to_worker.clear()
            process.orphan = True
            process.purse.on_closed()
        self.restart()

    @rule()
    def a_batch_is_decided(self) -> None:
        if self.batch is None:
            self.batch = self.book.take()

    @rule()
    def a_batch_is_on_disk(self) -> None:
        batch, self.batch = self.batch, None
        if batch is None:
            return
        self.store.write(batch.accounts, batch.leases, batch.closed, batch.forgotten)
        for life, message in batch.messages:
            for process in self.connected():
                if process.life == life:
                    process.to_worker.append(message)

    @rule(data=st.data())
    def the_ledger_tells(self, data: st.DataObject) -> None:
        """Of lives whose process is gone; whether the message of its death has come or not."""
        known = [(row, lease) for row, lease in self.book.unsettled() if lease.life in self.dead]
        if known:
            row, lease = data.draw(st.sampled_from(known))
            self.book.reconciled(row, lease.life, self.used(row.allowance, row.start_ns, lease.life))

    # Workers

    @precondition(lambda self: len(self.processes) < 4)
    @rule()
    def start(self) -> None:
        self.lives += 1
        life = f"{self.lives:032x}"
        self.processes.append(Process(self, life))
        self.book.join(life, f"worker.{self.lives}")

    @precondition(lambda self: self.processes)
    @rule(data=st.data(), heard=st.integers(0, 3))
    def a_worker_is_killed(self, data: st.DataObject, heard: int) -> None:
        process = data.draw(st.sampled_from(self.processes))
        if not process.orphan:
            for message in process.to_book[:heard]:
                self.tell_book(process, message)
            self.book.leave(process.life, drained=False, now_s=self.now_s)
        self.processes.remove(process)
        self.dead.add(process.life)

    @precondition(lambda self: self.connected())
    @rule(data=st.data())
    def a_worker_drains(self, data: st.DataObject) -> None:
        self.drain(data.draw(st.sampled_from(self.connected())))

    @precondition(lambda self: self.processes)
    @rule(steps=st.lists(st.tuples(st.integers(0, 3), st.sampled_from([1, 40, 300]), st.integers(0, 9)), min_size=3))
    def there_is_traffic(self, steps: list[tuple[int, int, int]]) -> None:
        """Attempts begin and end; messages arrive in part."""
        for index, bound, chance in steps:
            process = self.processes[index % len(self.processes)]
            if process.holds and chance % 3 == 0:
                hold, attempt = process.holds.pop(0)
                attempt.cost = bound % (attempt.bound + 1)
                process.purse.settle(hold, attempt.cost, 0)
            else:
                with suppress(BudgetExceeded, LimitExceeded):
                    self.send(process, bound, chance % 2)
            if chance < 7 and not process.orphan:
                while process.to_book:
                    self.tell_book(process, process.to_book.pop(0))
                self.a_batch_is_decided()
            if chance < 5:
                self.a_batch_is_on_disk()
                while process.to_worker and not process.orphan:
                    process.purse.on_message(process.to_worker.pop(0))

    @precondition(lambda self: self.connected() and not self.book.unsettled())
    @rule(data=st.data(), bound=st.sampled_from([5, 200, 999]))
    def a_refusal_is_true(self, data: st.DataObject, bound: int) -> None:
        process = data.draw(st.sampled_from(self.connected()))
        # Refusals and silence are remembered for a moment.
        self.later(3.0)
        self.flush()
        self.later(1.0)
        for _ in range(8):
            self.flush()
            try:
                sent = len(self.attempts)
                if self.send(process, bound, 1):
                    return
                self.flush()
                if len(self.attempts) > sent:
                    return
            except (BudgetExceeded, LimitExceeded) as error:
                allowance = MONEY if isinstance(error, BudgetExceeded) else RATE
                need = bound if allowance is MONEY else 1
                start, _ = window(allowance.period, self.wall_ns)
                assert self.used(allowance.id, start) + need > allowance.limit
                return
        raise AssertionError("neither sent nor refused")

    @precondition(lambda self: any(each.holds for each in self.processes))
    @rule(data=st.data(), part=st.sampled_from([0, 1, 3, 4]), unsent=st.booleans())
    def an_attempt_ends(self, data: st.DataObject, part: int, unsent: bool) -> None:
        process = data.draw(st.sampled_from([each for each in self.processes if each.holds]))
        hold, attempt = process.holds.pop(data.draw(st.integers(0, len(process.holds) - 1)))
        if unsent and attempt is self.attempts[-1]:
            self.attempts.remove(attempt)
            process.purse.cancel(hold)
            return
        attempt.cost = attempt.bound * part // 4
        process.purse.settle(hold, attempt.cost, 0)

    # Time and the planes

    @precondition(lambda self: any(each.to_book for each in self.processes))
    @rule(data=st.data())
    def the_book_hears(self, data: st.DataObject) -> None:
        process = data.draw(st.sampled_from([each for each in self.processes if each.to_book]))
        self.tell_book(process, process.to_book.pop(0))

    @precondition(lambda self: any(each.to_worker for each in self.processes))
    @rule(data=st.data())
    def a_worker_hears(self, data: st.DataObject) -> None:
        process = data.draw(st.sampled_from([each for each in self.processes if each.to_worker]))
        process.purse.on_message(process.to_worker.pop(0))

    @rule(data=st.data())
    def a_worker_reports(self, data: st.DataObject) -> None:
        for process in self.connected():
            if data.draw(st.booleans()):
                process.to_book.append(process.purse.report())

    @rule(seconds=st.sampled_from([0.1, 1.0, 3.0, 8.0, 70.0]))
    def later(self, seconds: float) -> None:
        self.wall_ns += int(seconds * 1e9)
        self.now_s += seconds
        self.beat()

    @rule(seconds=st.sampled_from([1, 90, 3700]))
    def the_wall_clock_steps_back(self, seconds: int) -> None:
        self.wall_ns -= seconds * 1_000_000_000

    @rule()
    def everything_arrives(self) -> None:
        self.flush()

    # What must hold

    @invariant()
    def no_limit_is_passed(self) -> None:
        for allowance in ALLOWANCES:
            for start in {window(allowance.period, each.at_ns)[0] for each in self.attempts}:
                assert self.used(allowance.id, start) <= allowance.limit

    @invariant()
    def no_account_promises_more_than_there_is(self) -> None:
        for account in self.book._accounts.values():
            limit = next(each.limit for each in ALLOWANCES if each.id == account.row.allowance)
            assert account.committed() <= limit

    def teardown(self) -> None:
        """When all is quiet and told, the book has what was used, to the last unit."""
        for process in [*self.processes]:
            if process.orphan:
                self.processes.remove(process)
                self.dead.add(process.life)
        self.flush()
        for process in [*self.processes]:
            self.drain(process)
        self.flush()
        for row, lease in self.book.unsettled():
            self.book.reconciled(row, lease.life, self.used(row.allowance, row.start_ns, lease.life))
        self.flush()
        accounts, leases = self.store.load()
        assert not leases
        found = {(row.allowance, row.start_ns): row.used for row in accounts if row.used}
        true: dict[tuple[str, int], int] = {}
        for allowance in ALLOWANCES:
            for attempt in self.attempts:
                start = window(allowance.period, attempt.at_ns)[0]
                true[allowance.id, start] = self.used(allowance.id, start)
        kept = {key: used for key, used in true.items() if used and self.is_kept(*key)}
        assert {key: used for key, used in found.items() if self.is_kept(*key)} == kept
        self.store.close()

    # inside

    def is_kept(self, allowance: str, start_ns: int) -> bool:
        return any((row.allowance, row.start_ns) == (allowance, start_ns) for row in self.store.load()[0])

    def connected(self) -> list[Process]:
        return [each for each in self.processes if not each.orphan]

    def used(self, allowance: str, start_ns: int, life: str = "") -> int:
        money = allowance == MONEY.id
        period = MONEY.period if money else RATE.period
        return sum(
            ((each.bound if each.cost is None else each.cost) if money else each.requests)
            for each in self.attempts
            if window(period, each.at_ns)[0] == start_ns and life in ("", each.life)
        )

    def send(self, process: Process, bound: int, requests: int) -> bool:
        def again() -> None:
            if process in self.processes:
                with suppress(BudgetExceeded, LimitExceeded):
                    self.send(process, bound, requests)

        try:
            hold = process.purse.reserve(IDS, bound, 0, requests, again)
        except Unavailable:
            return False
        if hold is None:
            return False
        attempt = Attempt(process.life, hold.at_ns, bound, None, requests)
        self.attempts.append(attempt)
        process.holds.append((hold, attempt))
        return True

    def tell_book(self, process: Process, message: Any) -> None:
        if isinstance(message, list):
            self.book.report(process.life, message)
        elif isinstance(message, Ask):
            self.book.ask(process.life, message, self.now_s)
        else:
            self.book.returned(process.life, message, self.now_s)

    def drain(self, process: Process) -> None:
        for hold, attempt in process.holds:
            attempt.cost = attempt.bound // 4
            process.purse.settle(hold, attempt.cost, 0)
        process.purse.close()
        for message in process.to_book:
            self.tell_book(process, message)
        self.book.leave(process.life, drained=True, now_s=self.now_s)
        self.processes.remove(process)
        self.dead.add(process.life)

    def beat(self) -> None:
        for process in self.processes:
            for _ in range(10):
                process.purse.tick(self.now_s)
        self.book.tick(self.now_s, self.wall_ns)

    def flush(self) -> None:
        for _ in range(30):
            self.a_batch_is_decided()
            self.a_batch_is_on_disk()
            for process in self.connected():
                while process.to_worker:
                    process.purse.on_message(process.to_worker.pop(0))
                while process.to_book:
                    self.tell_book(process, process.to_book.pop(0))
            if not any(each.to_worker or each.to_book for each in self.connected()):
                batch = self.book.take()
                if not batch.to_write and not batch.messages:
                    return
                self.batch = batch
        raise AssertionError("the planes do not come to rest")


Machine.TestCase.settings = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestMachine = Machine.TestCase
