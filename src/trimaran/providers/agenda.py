"""What upkeep has to do and when: decided here, without a thread, a clock or a socket.

Two kinds of work. A **renewal** fetches one credential: at once, then ahead of each expiry, and on demand. A **watch** looks
at something every so often and tells what it found. Both may fail; a failure is tried again, later each time. Whoever runs
the work asks :meth:`Agenda.due` what to start, tells :meth:`Agenda.done` what came of it, and hands on the news.

Times are monotonic seconds (``now_s``), but for the expiry of credentials, which others state by the wall clock (``now_ns``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

import msgspec

from trimaran.types import Credential

__all__ = ["Agenda", "Fetched", "Job", "News", "Source", "Told", "Watch", "account"]

RENEW_SHARE = 0.25
RENEW_MARGIN_S = 600.0
"""A credential is renewed when a quarter of its life is left, or ten minutes if that is sooner; one that lives for less
than 20 minutes at half of its life at the latest. An hour's credential thus has 15 minutes in which to fail and be tried again."""
JITTER = 0.1
"""So much of the time until then is taken off at random: replicas that started together renew apart."""
SOONEST_S = 15.0
"""Between two renewals that nobody asked for, or half of what is left, but never less than a second. An instance's role gives
the same credential until shortly before its end."""
ON_DEMAND_GAP_S = 1.0
"""At least so long after a credential has come it is fetched again on demand. Workers that were refused at the same time are
served by one renewal, and each of them asks seldom."""
RETRY_BASE_S = 1.0
RETRY_CAP_S = 60.0
"""After a failure: doubled each time, times 0.5 to 1. A person who logs in again is served within the minute."""
LIMIT_S = 30.0
"""A job that takes longer counts as failed. What it brings later is still taken."""

FETCHING = "credentials are being fetched"


class Source(Protocol):
    """How one credential is come by. Sources that are equal fetch the same: it is not fetched again for a new one. One that
    also has a ``holder`` says with it whose credential it is, wherever it is fetched; otherwise that is the whole source."""

    def fetch(self) -> Credential:
        """The credential as it is now; blocks. Raises :class:`~trimaran.errors.ConfigError`, whose hint mends it."""


class Watch(Protocol):
    """Something to look at every so often."""

    name: str
    """Unique, for people: ``endpoints of sagemaker``."""
    credential: str
    """Name of the credential that it needs; empty: none. Without it, it does not look."""
    interval_s: float

    def look(self, credential: Credential | None) -> Iterable[tuple[str, str, str]]:
        """All conditions that hold now, each as key, level and reason (see ``routing.Condition``); blocks. A key that is no
        longer there is well again. Raises :class:`~trimaran.errors.ConfigError` when it cannot see: all stays as it was."""


class Fetched(msgspec.Struct, frozen=True):
    """News: a credential has come."""

    name: str
    credential: Credential


class Told(msgspec.Struct, frozen=True):
    """News: a condition has changed."""

    key: str
    level: str
    reason: str


News = Fetched | Told


class Job(msgspec.Struct, frozen=True):
    """Work to be started: ``run`` blocks, and what it returns or raises goes to :meth:`Agenda.done`."""

    key: tuple[str, str]
    number: int
    run: Callable[[], object]


@dataclass(slots=True)
class _Work:
    due_s: float
    number: int = 0
    """Of the job that counts; what an earlier one brings is late."""
    running: bool = False
    stuck: bool = False
    """The job has overrun its limit, and its thread is still held by it."""
    started_s: float = 0.0
    failures: int = 0
    problem: str = ""
    """Why the last job failed."""


@dataclass(slots=True)
class _Renewal(_Work):
    source: Source | None = None
    credential: Credential | None = None
    margin_s: float = 0.0
    """The credential is renewed when so much of its life is left …"""
    least_s: float = SOONEST_S
    """… but not sooner than this after it came."""
    fetched_s: float = -inf
    demanded: bool = False
    """Somebody waits for another one."""
    told: tuple[str, str] = ("", "")


@dataclass(slots=True)
class _Look(_Work):
    watch: Watch | None = None
    told: dict[str, tuple[str, str]] = field(default_factory=dict)


def account(name: str) -> str:
    """The key of the condition of all targets that use a credential."""
    return f"credential:{name}"


class Agenda:
    """The work of one process. ``random`` is uniform from 0 to 1."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._renewals: dict[str, _Renewal] = {}
        self._looks: dict[str, _Look] = {}

    def follow(self, sources: Mapping[str, Source], watches: Sequence[Watch], now_s: float) -> list[News]:
        """From now on these, and no others. What a source has fetched stays in use until its successor's has come, if that
        is the same holder's; another's must not be used any more."""
        news: list[News] = []
        for name in [name for name in self._renewals if name not in sources]:
            del self._renewals[name]
            news.append(Told(account(name), "up", ""))
        for name, source in sources.items():
            work = self._renewals.get(name)
            if work is None:
                work = self._renewals[name] = _Renewal(now_s, source=source)
                news += self._tell(name, work, "pending", FETCHING)
            elif work.source != source:
                if _holder(work.source) != _holder(source):
                    work.credential, work.problem = None, ""
                    news += self._tell(name, work, "pending", FETCHING)
                work.source, work.due_s, work.failures, work.fetched_s = source, now_s, 0, -inf
                # What the old source is still fetching would come under the new one's name.
                work.number, work.running = work.number + 1, False
        news += self._follow_watches(watches, now_s)
        return news

    def _follow_watches(self, watches: Sequence[Watch], now_s: float) -> list[News]:
        news: list[News] = []
        wanted = {watch.name: watch for watch in watches}
        for name in [name for name in self._looks if name not in wanted]:
            news += [Told(key, "up", "") for key in self._looks.pop(name).told]
        for name, watch in wanted.items():
            look = self._looks.get(name)
            if look is None:
                self._looks[name] = _Look(now_s, watch=watch)
            elif look.watch != watch:
                look.watch, look.due_s = watch, now_s
        return news

    def demand(self, name: str, now_s: float) -> list[News]:
        """Somebody was refused with this credential: fetch it anew. What comes is told, also where it is the same again, or
        where no other can be had. What has failed is tried again in its own time."""
        work = self._renewals.get(name)
        if work is None:
            return []
        if work.failures and not work.running:
            return self._no_other(name, work)
        work.demanded = True
        if not work.running:
            work.due_s = min(work.due_s, max(now_s, work.fetched_s + ON_DEMAND_GAP_S))
        return []

    def _no_other(self, name: str, work: _Renewal) -> list[News]:
        work.demanded = False
        return [] if work.credential is None else [Fetched(name, work.credential)]

    def due(self, now_s: float, now_ns: int) -> tuple[list[Job], list[News]]:
        """What to start now, and what has come to pass by time alone."""
        jobs: list[Job] = []
        news: list[News] = []
        for name, work in self._renewals.items():
            news += self._overrun(("renewal", name), work, now_s, now_ns)
            news += self._expired(name, work, now_ns)
            left_s = _left_s(work.credential, now_ns)
            # The wall clock may have been set, or the machine have slept: what is left counts, not when it was due.
            if left_s is not None and left_s <= work.margin_s and not work.failures:
                work.due_s = min(work.due_s, max(now_s, work.fetched_s + work.least_s))
            if now_s >= work.due_s and not work.running and not work.stuck:
                assert work.source is not None
                jobs.append(self._start(("renewal", name), work, work.source.fetch, now_s))
        for name, look in self._looks.items():
            news += self._overrun(("watch", name), look, now_s, now_ns)
            if now_s >= look.due_s and not look.running and not look.stuck and self._may_look(look):
                jobs.append(self._start(("watch", name), look, self._looking(look), now_s))
        return jobs, news

    def wait_s(self, now_s: float, now_ns: int) -> float:
        """How long nothing is due, unless something is told before."""
        at = inf
        for work in (*self._renewals.values(), *self._looks.values()):
            if work.running:
                at = min(at, work.started_s + LIMIT_S)
            elif not work.stuck and not (isinstance(work, _Look) and not self._may_look(work)):
                at = min(at, work.due_s)
            left_s = _left_s(work.credential, now_ns) if isinstance(work, _Renewal) else None
            if left_s is not None:
                at = min(at, now_s + (min(left_s, SOONEST_S) if left_s > 0 else SOONEST_S))
        return max(0.0, at - now_s)

    def done(self, job: Job, result: object, problem: str, now_s: float, now_ns: int) -> list[News]:
        """A job has ended: with ``result``, or with the ``problem`` that it had."""
        kind, name = job.key
        work = self._renewals.get(name) if kind == "renewal" else self._looks.get(name)
        if work is None:
            return []
        work.stuck = False
        if job.number != work.number:
            return []
        work.running = False
        if problem:
            return self._failed(job.key, work, problem, now_s, now_ns)
        work.failures, work.problem = 0, ""
        if isinstance(work, _Renewal):
            assert isinstance(result, Credential)
            return self._renewed(name, work, result, now_s, now_ns)
        assert isinstance(result, list)
        return self._looked(work, result, now_s)

    # Renewals

    def _renewed(self, name: str, work: _Renewal, credential: Credential, now_s: float, now_ns: int) -> list[News]:
        left_s = _left_s(credential, now_ns)
        if left_s is not None and left_s <= 0:
            problem = f"what was found ({credential.source}) has expired already"
            return self._failed(("renewal", name), work, problem, now_s, now_ns)
        work.credential, work.fetched_s, work.demanded = credential, now_s, False
        if left_s is None:
            work.margin_s, work.due_s = 0.0, inf
        else:
            margin_s = max(RENEW_SHARE * left_s, min(RENEW_MARGIN_S, left_s / 2))
            until_s = (left_s - margin_s) * (1.0 - JITTER * self._random())
            work.margin_s = left_s - until_s
            work.least_s = max(1.0, min(SOONEST_S, left_s / 2))
            work.due_s = now_s + max(until_s, work.least_s)
        return [Fetched(name, credential), *self._tell(name, work, "up", "")]

    def _expired(self, name: str, work: _Renewal, now_ns: int) -> list[News]:
        left_s = _left_s(work.credential, now_ns)
        if left_s is None or left_s > 0 or work.credential is None:
            return []
        expired = f"the credential ({work.credential.source}) has expired"
        if work.problem:
            return self._tell(name, work, "down", f"{expired}; {work.problem}")
        return self._tell(name, work, "pending", f"{expired}; it is being renewed")

    def _tell(self, name: str, work: _Renewal, level: str, reason: str) -> list[News]:
        if work.told == (level, reason):
            return []
        work.told = (level, reason)
        return [Told(account(name), level, reason)]

    # Watches

    def _may_look(self, look: _Look) -> bool:
        assert look.watch is not None
        name = look.watch.credential
        return not name or (name in self._renewals and self._renewals[name].credential is not None)

    def _looking(self, look: _Look) -> Callable[[], object]:
        watch = look.watch
        assert watch is not None
        credential = self._renewals[watch.credential].credential if watch.credential else None
        return lambda: list(watch.look(credential))

    def _looked(self, look: _Look, found: list[tuple[str, str, str]], now_s: float) -> list[News]:
        assert look.watch is not None
        look.due_s = now_s + look.watch.interval_s * (1.0 - JITTER * self._random())
        now = {key: (level, reason) for key, level, reason in found if level != "up"}
        news: list[News] = [Told(key, "up", "") for key in look.told if key not in now]
        news += [Told(key, *what) for key, what in now.items() if look.told.get(key) != what]
        look.told = now
        return news

    # Both

    def _start(self, key: tuple[str, str], work: _Work, run: Callable[[], object], now_s: float) -> Job:
        work.number += 1
        work.running, work.started_s = True, now_s
        return Job(key, work.number, run)

    def _overrun(self, key: tuple[str, str], work: _Work, now_s: float, now_ns: int) -> list[News]:
        if not work.running or now_s < work.started_s + LIMIT_S:
            return []
        work.running, work.stuck = False, True
        return self._failed(key, work, f"no answer within {LIMIT_S:g} s", now_s, now_ns)

    def _failed(self, key: tuple[str, str], work: _Work, problem: str, now_s: float, now_ns: int) -> list[News]:
        pause_s = min(RETRY_CAP_S, RETRY_BASE_S * 2.0 ** min(work.failures, 10)) * (0.5 + 0.5 * self._random())
        work.failures += 1
        work.problem = problem
        work.due_s = now_s + pause_s
        if isinstance(work, _Look):
            assert work.watch is not None
            work.due_s = now_s + max(pause_s, work.watch.interval_s)
            return []
        assert isinstance(work, _Renewal)
        if work.credential is None:
            return self._tell(key[1], work, "down", problem)
        waited = self._no_other(key[1], work) if work.demanded else []
        return [*waited, *self._expired(key[1], work, now_ns)]

    @property
    def stuck(self) -> int:
        """Jobs that have overrun their limit and not ended."""
        return sum(work.stuck for work in (*self._renewals.values(), *self._looks.values()))

    def problems(self) -> dict[str, str]:
        """What does not work now, by the name of the credential or watch; also where a credential is still good."""
        works: dict[str, _Work] = {**{account(name): each for name, each in self._renewals.items()}, **self._looks}
        return {name: work.problem for name, work in works.items() if work.problem}

    def sources(self) -> dict[str, tuple[str, int | None]]:
        """By the credential's name: where it came from, and when it expires (wall clock, nanoseconds)."""
        return {
            name: (work.credential.source, work.credential.expires_ns)
            for name, work in self._renewals.items()
            if work.credential is not None
        }


def _holder(source: Source | None) -> object:
    """Whose credential it fetches."""
    return getattr(source, "holder", source)


def _left_s(credential: Credential | None, now_ns: int) -> float | None:
    """Seconds until it expires; ``None`` when it does not, or there is none."""
    if credential is None or credential.expires_ns is None:
        return None
    return (credential.expires_ns - now_ns) / 1e9
