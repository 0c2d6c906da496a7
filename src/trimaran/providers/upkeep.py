"""Background upkeep: credentials renewed before they expire, and watches that look at what requests depend on.

One thread keeps the :class:`~trimaran.providers.agenda.Agenda` and alone calls back; the jobs, which block on somebody's
network, run on threads of their own, a few at a time. All threads are daemons: a job that never returns keeps neither the
upkeep nor the process from ending. Nothing here knows a cloud; whoever makes the sources and watches does.

It runs in the supervisor, whose loop hands the news to the workers, or in the process of a library.
"""

from __future__ import annotations

import random as _random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from trimaran.errors import ConfigError
from trimaran.providers.agenda import Agenda, Fetched, Job, News, Source, Watch
from trimaran.types import Credential

__all__ = ["Source", "Upkeep", "Watch"]

MAX_JOBS = 8
"""Jobs at one time; the others wait. One that has overrun its limit no longer counts: there is at most one for each name."""


class Upkeep:
    """Keeps credentials fresh and looks after watches.

    ``on_credential`` and ``on_condition`` are called from the upkeep's own thread, one at a time, in the order in which
    things came to pass; they must not block. A condition's key is ``credential:NAME`` or what a watch says; its level and
    reason are those of ``routing.Condition``. Reasons hold no secret.
    """

    def __init__(
        self,
        on_credential: Callable[[str, Credential], None],
        on_condition: Callable[[str, str, str], None],
        *,
        log: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        wall_ns: Callable[[], int] = time.time_ns,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self._on_credential = on_credential
        self._on_condition = on_condition
        self._log = log
        self._clock = clock
        self._wall_ns = wall_ns
        self._agenda = Agenda(random)
        self._logged: dict[str, str] = {}
        self._news: deque[News] = deque()
        self._waiting: deque[Job] = deque()
        self._running = 0
        self._changed = threading.Condition()
        self._poked = False
        self._stopping = False
        self._thread: threading.Thread | None = None

    def follow(self, sources: Mapping[str, Source], watches: Sequence[Watch] = ()) -> None:
        """Renew these credentials and look at these watches from now on, and no others. Starts the upkeep where there is
        something to do. Returns at once."""
        with self._changed:
            self._news += self._agenda.follow(sources, watches, self._clock())
            self._poke()
            if self._thread is None and not self._stopping and (sources or watches):
                self._thread = threading.Thread(target=self._run, name="trimaran-upkeep", daemon=True)
                self._thread.start()

    def renew(self, name: str) -> None:
        """Somebody was refused with this credential: fetch it anew. What comes is called back, also where it is the same
        again. Returns at once."""
        with self._changed:
            self._news += self._agenda.demand(name, self._clock())
            self._poke()

    def stop(self, patience_s: float = 1.0) -> None:
        """End it. Jobs under way are left to themselves; nothing is called back any more once this has returned."""
        with self._changed:
            self._stopping = True
            self._poke()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(patience_s)

    def problems(self) -> dict[str, str]:
        """What does not work now, by ``credential:NAME`` or the watch's name; for people."""
        with self._changed:
            return self._agenda.problems()

    def sources(self) -> dict[str, tuple[str, int | None]]:
        """By the credential's name: where it came from, and when it expires (wall clock, nanoseconds); for people."""
        with self._changed:
            return self._agenda.sources()

    # The thread

    def _poke(self) -> None:
        self._poked = True
        self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._stopping:
                    return
                self._poked = False
                jobs, news = self._agenda.due(self._clock(), self._wall_ns())
                self._waiting += jobs
                self._news += news
                self._start_waiting()
                told = [*self._news]
                self._news.clear()
                problems = self._agenda.problems()
            self._call_back(told, problems)
            with self._changed:
                if not self._poked and not self._stopping:
                    wait_s = self._agenda.wait_s(self._clock(), self._wall_ns())
                    self._changed.wait(min(wait_s, threading.TIMEOUT_MAX))

    def _call_back(self, news: Sequence[News], problems: Mapping[str, str]) -> None:
        for each in news:
            if self._stopping:
                return
            try:
                if isinstance(each, Fetched):
                    self._on_credential(each.name, each.credential)
                else:
                    self._on_condition(each.key, each.level, each.reason)
            except Exception as error:
                # Whoever listens must not be able to stop the renewing.
                self._log(f"upkeep could not tell its news: {type(error).__name__}")
        for name, problem in problems.items():
            if self._logged.get(name) != problem:
                self._log(f"{name}: {problem}")
        for name in [name for name in self._logged if name not in problems]:
            self._log(f"{name}: well again")
        self._logged = dict(problems)

    def _start_waiting(self) -> None:
        while self._waiting and self._running - self._agenda.stuck < MAX_JOBS:
            job = self._waiting.popleft()
            self._running += 1
            threading.Thread(target=self._work, args=(job,), name=f"trimaran-{job.key[0]}", daemon=True).start()

    def _work(self, job: Job) -> None:
        result, problem = _attempted(job)
        with self._changed:
            self._running -= 1
            self._news += self._agenda.done(job, result, problem, self._clock(), self._wall_ns())
            self._poke()


def _attempted(job: Job) -> tuple[object, str]:
    """What the job brings, or why it brings nothing."""
    try:
        return job.run(), ""
    except ConfigError as error:
        return None, f"{error.message}; {error.hint}" if error.hint else error.message
    except Exception as error:
        # Not the error's own words: nobody has seen to it that they hold no secret.
        return None, f"something went wrong that is not foreseen ({type(error).__name__})"
