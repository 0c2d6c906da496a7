"""What a worker may still use of each budget and limit: reserved before an attempt is sent, settled after it ended.

An *account* is an allowance in one window of its period. Its authority (the supervisor) leases amounts of it to workers;
a :class:`Purse` reserves from what it was leased and asks for more only when that does not suffice, or ahead of need. So
in steady state a reservation is a comparison and two additions for each allowance, and no request waits.

    granted = free + held + used        of one account in one worker; each is changed here only

``free`` may be reserved or returned, ``held`` is reserved by attempts under way, ``used`` is settled. An amount that is
returned leaves ``free`` before the message is sent, and a grant is on disk before it arrives: whatever is lost on the way
counts as used until the authority knows better.

A hold belongs to the window in which it was reserved, also when it is settled later. Time never runs back here: when the
wall clock steps back, the later window stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from trimaran.dispatch.plane import Ask, Denied, Grant, Recall, Returned
from trimaran.dispatch.shortage import beyond, shortage, silence, unbounded
from trimaran.errors import RequestError
from trimaran.ledger.periods import window
from trimaran.types import Allowance

__all__ = ["ANSWER_TICKS", "Hold", "Purse"]

ANSWER_TICKS = 20
"""How long the authority may take to answer: two seconds. It takes milliseconds, most of them for the disk. Counted in ticks,
so that a process that was stopped for a while does not take its own absence for silence."""

DENIED_S = 0.5
"""How long a refusal holds without asking again, so that refused traffic costs nothing."""

IDLE_S = 5.0
"""An account that nothing was reserved from for so long returns what it has."""

_SECOND = 10
"""Ticks between two looks at every account."""


class _Account:
    """One allowance in one window. ``wait`` holds those who wait for an answer, with what they need."""

    __slots__ = (
        "ahead",
        "allowance",
        "asked_tick",
        "denied_s",
        "down_s",
        "end_ns",
        "free",
        "held",
        "left",
        "refill_s",
        "reserved_s",
        "start_ns",
        "used",
        "wait",
    )

    def __init__(self, allowance: Allowance, start_ns: int, end_ns: int) -> None:
        self.allowance = allowance
        self.start_ns = start_ns
        self.end_ns = end_ns
        self.free = 0
        self.held = 0
        self.used = 0
        self.ahead = 0
        """Ask for more when there is less than half of it."""
        self.left = 0
        """What the authority had when it refused."""
        self.asked_tick: int | None = None
        """When the authority was asked; ``None``: it has answered."""
        self.denied_s = 0.0
        """Until when its last refusal holds."""
        self.down_s = 0.0
        """Until when it is not asked again after it did not answer."""
        self.refill_s = 0.0
        """From when more may be asked for in advance."""
        self.reserved_s = 0.0
        self.wait: list[tuple[int, Callable[[], None]]] = []


class Hold:
    """What one attempt has reserved."""

    __slots__ = ("_accounts", "_nanos", "_requests", "_tokens", "at_ns")

    def __init__(self, accounts: Sequence[_Account], at_ns: int, nanos: int | None, tokens: int, requests: int) -> None:
        self._accounts = accounts
        self.at_ns = at_ns
        """Wall time of the reservation, within the windows that it counts in. The attempt's record bears it, so that the
        ledger counts it in the same ones."""
        self._nanos = nanos
        self._tokens = tokens
        self._requests = requests


class Purse:
    """The accounts of one worker. No I/O and no clock of its own; everything is called on one event loop.

    ``ask`` sends a message to the authority. Without one there is a single process, and the purse grants itself the limits.
    """

    def __init__(self, wall_ns: Callable[[], int], ask: Callable[[Ask | Returned], None] | None = None) -> None:
        self._wall_ns = wall_ns
        self._ask = ask
        self._allowances: dict[str, Allowance] = {}
        self._accounts: dict[str, _Account] = {}
        """By allowance id, each in its latest window."""
        self._past: list[_Account] = []
        """Of windows that are over, until nothing of them is held or to be returned."""
        self._changed: set[_Account] = set()
        """Of which something was used since the last report."""
        self._answering: list[tuple[_Account, int]] | None = None
        """While those who waited are called: who has to wait again, and for how much."""
        self._now_s = 0.0
        self._now_ns = 0
        self._ticks = 0
        self._closed = False

    # What attempts do

    def apply(self, allowances: Iterable[Allowance]) -> None:
        """Use these limits from now on. An allowance that is gone binds nobody; one whose limit changed keeps what it used."""
        self._allowances = {each.id: each for each in allowances}
        for account in self._accounts.values():
            allowance = self._allowances.get(account.allowance.id)
            if allowance is not None:
                if self._ask is None:
                    account.free += allowance.limit - account.allowance.limit
                account.allowance = allowance
                account.denied_s = account.down_s = 0.0

    def reserve(
        self, ids: Sequence[str], nanos: int | None, tokens: int, requests: int, waiter: Callable[[], None]
    ) -> Hold | None:
        """Reserve the bound of one attempt in every allowance of ``ids``, or in none.

        ``nanos`` and ``tokens`` are the most that it can use (``None``: cannot be bounded); ``requests`` is 1 for the first
        attempt of a request and 0 after it. ``None``: more has been asked for, and ``waiter`` is called once, later, when
        it is worth trying again.

        Raises:
            BudgetExceeded: a budget has no room for it, or its cost cannot be bounded.
            LimitExceeded: a limit on tokens or requests has no room.
            Unavailable: the authority does not answer.
        """
        now_ns = self._time()
        accounts = []
        short = []
        for each in ids:
            allowance = self._allowances.get(each)
            if allowance is None:
                continue
            account = self._accounts.get(each)
            if account is None or now_ns >= account.end_ns:
                account = self._open(allowance, now_ns)
            accounts.append(account)
            unit = allowance.unit
            need = nanos if unit == "usd" else tokens if unit == "tokens" else requests
            if need is None:
                raise unbounded(allowance)
            if need > account.free and need:
                short.append((account, need))
        if short:
            self._want(short, now_ns, waiter)
            return None
        for account in accounts:
            unit = account.allowance.unit
            need = nanos if unit == "usd" else tokens if unit == "tokens" else requests
            account.free -= need or 0
            account.held += need or 0
            account.reserved_s = self._now_s
            if account.free * 2 < account.ahead:
                self._refill(account)
        return Hold(accounts, now_ns, nanos, tokens, requests)

    def settle(self, hold: Hold, nanos: int | None, tokens: int | None) -> None:
        """Charge what the attempt really used, even above its reservation. ``None`` is unknown: then all that was reserved
        is charged. Its request stays counted. A second call changes nothing."""
        for account in hold._accounts:
            unit = account.allowance.unit
            if unit == "usd":
                held = hold._nanos or 0
                real = held if nanos is None else nanos
            elif unit == "tokens":
                held = hold._tokens
                real = held if tokens is None else tokens
            else:
                held = real = hold._requests
            account.held -= held
            account.used += real
            account.free += held - real
            self._changed.add(account)
            if account.free < 0 and self._ask is not None:
                # It was charged more than it had: that is used, whatever the limit says, and the authority must know.
                over, account.free = -account.free, 0
                self._send(Returned(account.allowance.id, account.start_ns, -over, account.used))
        hold._accounts = ()

    def cancel(self, hold: Hold) -> None:
        """The attempt was never sent: everything back. A second call changes nothing."""
        for account in hold._accounts:
            unit = account.allowance.unit
            held = (hold._nanos or 0) if unit == "usd" else hold._tokens if unit == "tokens" else hold._requests
            account.held -= held
            account.free += held
        hold._accounts = ()

    # What the authority says

    def on_message(self, message: Grant | Denied | Recall) -> None:
        """Take an answer of the authority, or give back what it recalls."""
        account = self._find(message.allowance, message.start_ns)
        if isinstance(message, Recall):
            self._return(account, message)
            return
        if account is None:
            if isinstance(message, Grant):
                self._send(Returned(message.allowance, message.start_ns, message.amount, 0))
            return
        account.asked_tick = None
        account.down_s = 0.0
        if isinstance(message, Grant):
            account.free += message.amount
            account.ahead = message.ahead
            account.denied_s = 0.0
            account.refill_s = 0.0 if message.amount else self._now_s + DENIED_S
        else:
            account.left = message.left
            account.denied_s = account.refill_s = self._now_s + DENIED_S
        self._answer(account)

    def on_closed(self) -> None:
        """The authority is gone: nothing more can be asked for or returned."""
        self._closed = True
        for account in self._all():
            if account.asked_tick is not None:
                account.asked_tick = None
                self._answer(account)

    # Beats

    def tick(self, now_s: float) -> None:
        """About ten times a second; ``now_s`` is monotonic. Gives up on answers that are late, returns what lies idle."""
        self._now_s = now_s
        self._ticks += 1
        if self._ask is None:
            return
        for account in self._all():
            if account.asked_tick is not None and self._ticks - account.asked_tick >= ANSWER_TICKS:
                account.asked_tick = None
                account.down_s = now_s + DENIED_S
                self._answer(account)
        if self._ticks % _SECOND == 0:
            self._tidy(self._time())

    def report(self) -> list[tuple[str, int, int]]:
        """Accounts of which something was used since the last call: allowance, start of the window, all that was used."""
        used = [(each.allowance.id, each.start_ns, each.used) for each in self._changed]
        self._changed.clear()
        return used

    def close(self) -> None:
        """Return everything that is not reserved and say what was used; nothing is reserved any more."""
        for account in self._all():
            self._return(account, None)
        self._changed.clear()
        self._closed = True

    # inside

    def _all(self) -> list[_Account]:
        return [*self._accounts.values(), *self._past]

    def _time(self) -> int:
        now_ns = self._wall_ns()
        if now_ns > self._now_ns:
            self._now_ns = now_ns
        return self._now_ns

    def _open(self, allowance: Allowance, now_ns: int) -> _Account:
        """The account of ``allowance`` in the window of now."""
        before = self._accounts.get(allowance.id)
        account = _Account(allowance, *window(allowance.period, now_ns))
        if self._ask is None:
            account.free = allowance.limit
            if before is not None:
                self._changed.discard(before)
        elif before is not None:
            self._past.append(before)
        self._accounts[allowance.id] = account
        return account

    def _find(self, allowance: str, start_ns: int) -> _Account | None:
        account = self._accounts.get(allowance)
        if account is not None and account.start_ns == start_ns:
            return account
        return next((each for each in self._past if each.allowance.id == allowance and each.start_ns == start_ns), None)

    def _want(self, short: list[tuple[_Account, int]], now_ns: int, waiter: Callable[[], None]) -> None:
        """Ask for what is missing, or raise because it is known that there is none."""
        for account, need in short:
            error = self._refusal(account, need, now_ns)
            if error is not None:
                raise error
        for account, need in short:
            if account.asked_tick is not None:
                continue
            if self._answering is not None and any(each is account for each, _ in self._answering):
                continue
            if self._answering is not None:
                self._answering.append((account, need))
            else:
                self._ask_for(account, need, need)
        # One account suffices: whoever is called tries again, and waits for the next one if there is one.
        account, need = short[0]
        account.wait.append((need, waiter))

    def _refusal(self, account: _Account, need: int, now_ns: int) -> RequestError | None:
        allowance = account.allowance
        if need > allowance.limit:
            return beyond(allowance, need)
        if self._ask is None:
            return shortage(allowance, account.free, need, account.end_ns, now_ns)
        if self._closed or self._now_s < account.down_s:
            return silence(allowance)
        if self._now_s < account.denied_s and need - account.free > account.left:
            return shortage(allowance, account.free + account.left, need, account.end_ns, now_ns)
        return None

    def _ask_for(self, account: _Account, need: int, want: int) -> None:
        account.asked_tick = self._ticks
        missing = max(0, need - account.free)
        self._send(Ask(account.allowance.id, account.start_ns, missing, max(missing, want - account.free)))

    def _refill(self, account: _Account) -> None:
        if (
            account.asked_tick is None
            and self._now_s >= account.refill_s
            and not self._closed
            and self._ask is not None
        ):
            account.asked_tick = self._ticks
            self._send(Ask(account.allowance.id, account.start_ns, 0))

    def _answer(self, account: _Account) -> None:
        """Call those who waited, in their order; who does not fit waits again, and one message asks for all of them."""
        waiting, account.wait = account.wait, []
        if not waiting:
            return
        outer, self._answering = self._answering, []
        try:
            for _, waiter in waiting:
                waiter()
            again = self._answering
        finally:
            self._answering = outer
        for each, need in again:
            if each.asked_tick is None:
                self._ask_for(each, need, sum(missing for missing, _ in each.wait))

    def _return(self, account: _Account | None, recall: Recall | None) -> None:
        if account is None:
            if recall is not None:
                # Nothing of it is here, and what was used is known from before.
                self._send(Returned(recall.allowance, recall.start_ns, 0, 0, recall.number))
            return
        amount, account.free = max(0, account.free), min(0, account.free)
        number = recall.number if recall is not None else 0
        self._send(Returned(account.allowance.id, account.start_ns, amount, account.used, number))

    def _tidy(self, now_ns: int) -> None:
        """Return what is not needed, and forget windows that are over and done with."""
        for name, account in [*self._accounts.items()]:
            if now_ns >= account.end_ns:
                del self._accounts[name]
                self._past.append(account)
            elif account.free > 0 and self._now_s - account.reserved_s >= IDLE_S:
                self._return(account, None)
        for account in self._past:
            if account.free > 0:
                self._return(account, None)
        self._past = [
            each
            for each in self._past
            if each.held or each.wait or each.asked_tick is not None or each in self._changed or each.free
        ]

    def _send(self, message: Ask | Returned) -> None:
        if self._ask is not None and not self._closed:
            self._ask(message)
