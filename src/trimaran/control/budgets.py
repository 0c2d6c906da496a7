"""Who may use how much of each budget and limit: the one owner of all accounts. Pure: no clock, no file, no socket.

An account is an allowance in one window of its period. For each, at every moment,

    used by closed leases + amounts of open leases <= limit

unless the limit was lowered below what is out, or a provider billed more than its bound. :class:`Book` decides in memory
and collects what has to be written and what has to be said; :meth:`Book.take` gives both as one batch. Its owner writes
the rows first and sends the messages after that, batch by batch, so that a grant is on disk before it can be used.

When an ask does not fit, what other workers have not reserved is recalled first. So a refusal means that used and
reserved leave no room. The lease of a worker that died counts as used until its true use is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import msgspec

from trimaran.dispatch.plane import Ask, Denied, Grant, Recall, Returned
from trimaran.ledger.leases import AccountRow, LeaseRow
from trimaran.ledger.periods import window, window_id
from trimaran.types import Allowance

__all__ = ["Batch", "Book", "OnThreshold"]

OnThreshold: TypeAlias = Callable[[Allowance, int, int, int, int], None]
"""``(allowance, window_start_ns, used, limit, percent)``."""

AHEAD = 16
"""A grant holds up to this part of the limit, divided among the workers, in advance: large enough that a busy worker asks
seldom, small enough that what lies about in all workers is little of the whole."""

RECALL_S = 1.5
"""How long workers may take to answer a recall; less than an asking worker waits."""

_MINUTE_NS = 60 * 1_000_000_000
_KEPT_NS = {"minute": 10 * _MINUTE_NS, "hour": 24 * 60 * _MINUTE_NS}
_KEPT_LONG_NS = 400 * 24 * 60 * _MINUTE_NS
"""How long a window that is over is remembered: a clock that steps back by less cannot open it anew."""


class Batch(msgspec.Struct):
    """What one round decided: rows to write, then messages to send and thresholds to tell."""

    accounts: list[AccountRow]
    leases: list[LeaseRow]
    closed: list[tuple[str, int, str]]
    forgotten: list[tuple[str, int]]
    messages: list[tuple[str, Grant | Denied | Recall]]
    """To the worker of this life."""
    passed: list[tuple[Allowance, int, int, int, int]]
    """Arguments of ``on_threshold``."""

    @property
    def to_write(self) -> bool:
        """Whether anything must be on disk first."""
        return bool(self.accounts or self.leases or self.closed or self.forgotten)


class _Account:
    """One account with its open leases, and who waits for an answer."""

    __slots__ = ("asks", "leases", "recall", "recalled_s", "row", "waiting")

    def __init__(self, row: AccountRow) -> None:
        self.row = row
        self.leases: dict[str, LeaseRow] = {}
        self.asks: list[tuple[str, Ask]] = []
        self.recall = 0
        """Number of the round of recalls under way; 0: none."""
        self.recalled_s = 0.0
        self.waiting: set[str] = set()
        """Lives that have not answered it."""

    @property
    def key(self) -> tuple[str, int]:
        return self.row.allowance, self.row.start_ns

    def committed(self) -> int:
        """Used and leased."""
        return self.row.used + sum(lease.amount for lease in self.leases.values())

    def used(self) -> int:
        """Used as far as it was told."""
        return self.row.used + sum(lease.used for lease in self.leases.values())


class Book:
    """All accounts. ``now_s`` is monotonic, ``wall_ns`` is wall time."""

    def __init__(
        self, accounts: Iterable[AccountRow] = (), leases: Iterable[LeaseRow] = (), thresholds: Sequence[int] = ()
    ) -> None:
        """``accounts`` and ``leases`` as they were written; nobody lives yet who holds one of them."""
        self.thresholds = thresholds
        """In percent of the limit."""
        self._allowances: dict[str, Allowance] = {}
        self._workers = 1
        self._accounts: dict[tuple[str, int], _Account] = {}
        self._live: dict[str, str] = {}
        """Journals of the lives that can be spoken to, by life."""
        self._rounds = 0
        self._dirty_accounts: set[tuple[str, int]] = set()
        self._dirty_leases: set[tuple[str, int, str]] = set()
        self._forgotten: list[tuple[str, int]] = []
        self._messages: list[tuple[str, Grant | Denied | Recall]] = []
        self._passed: list[tuple[Allowance, int, int, int, int]] = []
        for row in accounts:
            self._accounts[row.allowance, row.start_ns] = _Account(row)
        for lease in leases:
            account = self._accounts.get((lease.allowance, lease.start_ns))
            if account is not None:
                account.leases[lease.life] = lease

    # Orders

    def apply(self, allowances: Iterable[Allowance], workers: int) -> None:
        """Grant by these limits from now on; what was used so far stays. Leases above a lowered limit are recalled."""
        before = self._allowances
        self._allowances = {each.id: each for each in allowances}
        self._workers = max(1, workers)
        for account in self._accounts.values():
            allowance = self._allowances.get(account.row.allowance)
            old = before.get(account.row.allowance)
            if allowance is None or old is None or old.limit == allowance.limit:
                continue
            reached = self._reached(account, allowance)
            if reached < account.row.alerted:
                # Under a higher limit the same threshold can be passed once more.
                account.row.alerted = reached
                self._dirty_accounts.add(account.key)
            self._watch(account)
            if account.committed() > allowance.limit:
                for life in account.leases:
                    if life in self._live:
                        self._say(life, Recall(*account.key, 0))

    def join(self, life: str, journal: str) -> None:
        """A worker's life began."""
        self._live[life] = journal

    def leave(self, life: str, *, drained: bool, now_s: float) -> None:
        """A worker's life is over, or at least cannot be spoken to. ``drained``: it has returned everything."""
        self._live.pop(life, None)
        for account in self._accounts.values():
            lease = account.leases.get(life)
            if lease is not None and drained and lease.amount == lease.used:
                self._close(account, lease, lease.used)
            account.waiting.discard(life)
            if account.asks:
                self._serve(account, now_s)

    # What workers say

    def ask(self, life: str, ask: Ask, now_s: float) -> None:
        """Grant or refuse, now or when others have answered a recall."""
        if life not in self._live:
            return
        allowance = self._allowances.get(ask.allowance)
        if allowance is None:
            # It binds nobody any more; the worker has not heard of it yet.
            self._say(life, Grant(ask.allowance, ask.start_ns, ask.need))
            return
        account = self._account(allowance, ask.start_ns)
        account.asks.append((life, ask))
        self._serve(account, now_s)

    def returned(self, life: str, message: Returned, now_s: float) -> None:
        """A worker may use less than it was granted, or has used more."""
        account = self._accounts.get((message.allowance, message.start_ns))
        if account is None:
            return
        lease = account.leases.get(life)
        if lease is not None:
            lease.used = max(lease.used, message.used)
            amount = max(lease.amount - message.amount, lease.used)
            if amount != lease.amount:
                lease.amount = amount
                self._dirty_leases.add((*account.key, life))
            self._watch(account)
        if message.recall == account.recall:
            account.waiting.discard(life)
        if account.asks:
            self._serve(account, now_s)

    def report(self, life: str, used: Iterable[tuple[str, int, int]]) -> None:
        """What a life has used, as totals by allowance and window."""
        for allowance, start_ns, amount in used:
            account = self._accounts.get((allowance, start_ns))
            lease = account.leases.get(life) if account is not None else None
            if account is not None and lease is not None and amount > lease.used:
                lease.used = amount
                self._watch(account)

    def unrecorded(self, life: str) -> None:
        """A life could not journal an attempt: should it crash, the ledger will not know all that it used."""
        if not self._live.get(life):
            return
        self._live[life] = ""
        for account in self._accounts.values():
            lease = account.leases.get(life)
            if lease is not None:
                lease.journal = ""
                self._dirty_leases.add((*account.key, life))

    # What the ledger says

    def unsettled(self) -> list[tuple[AccountRow, LeaseRow]]:
        """Leases of lives that are over, of which the ledger can tell what was used."""
        return [
            (account.row, lease)
            for account in self._accounts.values()
            for lease in account.leases.values()
            if lease.life not in self._live and lease.journal
        ]

    def reconciled(self, row: AccountRow, life: str, used: int | None) -> None:
        """The truth about a lease of a life that is over. ``None``: it cannot be known, and all of it counts as used."""
        account = self._accounts.get((row.allowance, row.start_ns))
        lease = account.leases.get(life) if account is not None else None
        if account is None or lease is None or life in self._live:
            return
        self._close(account, lease, lease.amount if used is None else max(used, lease.used))

    # Beats

    def tick(self, now_s: float, wall_ns: int) -> None:
        """About once a second: give up on recalls that nobody answers, forget windows that ended long ago."""
        for key, account in [*self._accounts.items()]:
            if account.asks and account.waiting and now_s - account.recalled_s >= RECALL_S:
                # Not refused: it is not known that there is no room. The asking workers stop waiting by themselves.
                account.asks.clear()
                account.waiting.clear()
                account.recall = 0
            kept_ns = _KEPT_NS.get(account.row.period, _KEPT_LONG_NS)
            if wall_ns - account.row.end_ns > kept_ns and not self._holds(account):
                del self._accounts[key]
                self._dirty_accounts.discard(key)
                self._dirty_leases.update((*key, life) for life in account.leases)
                self._forgotten.append(key)

    def take(self) -> Batch:
        """What was decided since the last call."""
        leases, closed = [], []
        for allowance, start_ns, life in self._dirty_leases:
            account = self._accounts.get((allowance, start_ns))
            lease = account.leases.get(life) if account is not None else None
            if lease is None:
                closed.append((allowance, start_ns, life))
            else:
                leases.append(msgspec.structs.replace(lease))
        accounts = [msgspec.structs.replace(self._accounts[key].row) for key in self._dirty_accounts]
        batch = Batch(accounts, leases, closed, self._forgotten, self._messages, self._passed)
        self._dirty_accounts, self._dirty_leases = set(), set()
        self._forgotten, self._messages, self._passed = [], [], []
        return batch

    def state(self, wall_ns: int) -> list[dict[str, object]]:
        """The accounts of the windows that hold ``wall_ns``, with ``used``, ``leased`` and ``limit`` in their unit."""
        rows: list[dict[str, object]] = []
        for account in self._accounts.values():
            row, allowance = account.row, self._allowances.get(account.row.allowance)
            if allowance is not None and row.start_ns <= wall_ns < row.end_ns:
                used = account.used()
                rows.append(
                    {
                        "allowance": row.allowance,
                        "scope": row.scope,
                        "name": row.name,
                        "unit": row.unit,
                        "period": row.period,
                        "window": window_id(row.period, row.start_ns),
                        "limit": allowance.limit,
                        "used": used,
                        "leased": account.committed() - used,
                    }
                )
        return sorted(rows, key=lambda row: str(row["allowance"]))

    # inside

    def _account(self, allowance: Allowance, start_ns: int) -> _Account:
        start_ns, end_ns = window(allowance.period, start_ns)
        account = self._accounts.get((allowance.id, start_ns))
        if account is None:
            row = AccountRow(
                allowance.id, start_ns, end_ns, allowance.scope, allowance.name, allowance.unit, allowance.period
            )
            account = self._accounts[row.allowance, start_ns] = _Account(row)
            self._dirty_accounts.add(account.key)
        return account

    def _serve(self, account: _Account, now_s: float) -> None:
        """Answer the asks of an account in their order, as far as they can be answered now."""
        while account.asks:
            life, ask = account.asks[0]
            allowance = self._allowances.get(ask.allowance)
            if life in self._live and allowance is not None:
                free = max(0, allowance.limit - account.committed())
                if ask.need <= free:
                    self._grant(account, life, ask, allowance, free)
                elif self._recalling(account, now_s):
                    return
                else:
                    self._say(life, Denied(*account.key, free))
            account.asks.pop(0)
            # The next one has its own round: what was returned to the last one says nothing of now.
            account.recall = 0
            account.waiting.clear()

    def _recalling(self, account: _Account, now_s: float) -> bool:
        """Whether it must be waited for what workers return; begins to recall where that was not done yet."""
        if not account.recall:
            self._rounds += 1
            account.recall = self._rounds
            account.recalled_s = now_s
            # Not from the one that asks: it has asked for what it lacks beyond its own rest.
            asking = account.asks[0][0]
            account.waiting = {
                life for life, lease in account.leases.items() if life in self._live and life != asking and lease.amount
            }
            for life in sorted(account.waiting):
                self._say(life, Recall(*account.key, account.recall))
        return bool(account.waiting)

    def _grant(self, account: _Account, life: str, ask: Ask, allowance: Allowance, free: int) -> None:
        amount = min(free, max(ask.need, ask.want))
        ahead = allowance.limit // (AHEAD * self._workers)
        amount += min(ahead, (free - amount) // (2 * self._workers))
        if amount:
            lease = account.leases.get(life)
            if lease is None:
                lease = account.leases[life] = LeaseRow(*account.key, life, self._live[life])
            lease.amount += amount
            self._dirty_leases.add((*account.key, life))
        self._say(life, Grant(*account.key, amount, ahead))

    def _close(self, account: _Account, lease: LeaseRow, used: int) -> None:
        del account.leases[lease.life]
        account.row.used += used
        self._dirty_accounts.add(account.key)
        self._dirty_leases.add((*account.key, lease.life))
        self._watch(account)

    def _watch(self, account: _Account) -> None:
        """Note the thresholds that were passed, each once."""
        allowance = self._allowances.get(account.row.allowance)
        if allowance is None or not self.thresholds:
            return
        used = account.used()
        for percent in sorted(self.thresholds):
            if percent > account.row.alerted and used * 100 >= allowance.limit * percent:
                account.row.alerted = percent
                self._dirty_accounts.add(account.key)
                self._passed.append((allowance, account.row.start_ns, used, allowance.limit, percent))

    def _reached(self, account: _Account, allowance: Allowance) -> int:
        used = account.used()
        return max((each for each in self.thresholds if used * 100 >= allowance.limit * each), default=0)

    def _holds(self, account: _Account) -> bool:
        """Whether somebody may still use it."""
        return bool(account.asks) or any(each.journal or each.life in self._live for each in account.leases.values())

    def _say(self, life: str, message: Grant | Denied | Recall) -> None:
        self._messages.append((life, message))
