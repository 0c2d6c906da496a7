"""Tells the operator's webhook that a budget passes a threshold: once for each budget, period, threshold and limit.

What is to be told is written to a file first and marked there when it was taken, so a restart neither repeats an alert nor
loses one. (The process can die between the two; then it is told twice.) All of it happens in a thread of its own: a webhook
that is slow or away delays nobody, and after its last try the alert stands in the log.

Limits by the minute are not told of: a client that runs at its limit is no news.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from trimaran.config.units import money_text
from trimaran.control.log import log as log_to_stderr
from trimaran.ledger.periods import window_id
from trimaran.types import Allowance, Secret

__all__ = ["Alerts"]

PAUSES_S = (1.0, 5.0, 25.0)
"""Before each further try."""
TIMEOUT_S = 5.0
MOST_WAITING = 1000
"""Alerts that may wait for the webhook; what comes on top is in the log only."""
MOST_KEPT = 5000
"""Alerts that are remembered. More than this many thresholds are not passed before the oldest period is over."""


class _Alert(msgspec.Struct):
    """One alert with what became of it."""

    allowance: str
    window_start_ns: int
    percent: int
    limit: int
    body: dict[str, Any]
    done: bool = False

    @property
    def key(self) -> tuple[str, int, int, int]:
        return self.allowance, self.window_start_ns, self.percent, self.limit

    @property
    def text(self) -> str:
        return f"{self.percent}% of {self.allowance} in {self.body['window']}"


class Alerts:
    """The alerts of one gateway. ``path`` is the file of those that were told and are to be told."""

    def __init__(
        self,
        path: Path,
        *,
        log: Callable[[str], None] = log_to_stderr,
        wall_ns: Callable[[], int] = time.time_ns,
        pauses_s: Sequence[float] = PAUSES_S,
    ) -> None:
        self._path = path
        self._log = log
        self._wall_ns = wall_ns
        self._pauses_s = tuple(pauses_s)
        self._webhook: Secret | None = None
        self._waiting: queue.Queue[_Alert | None] = queue.Queue(MOST_WAITING)
        self._alerts: dict[tuple[str, int, int, int], _Alert] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def configure(self, webhook: Secret | None) -> None:
        """Tell this URL from now on; ``None``: nobody. What an earlier process left untold is told first."""
        self._webhook = webhook
        if webhook is not None and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="trimaran-alerts", daemon=True)
            self._thread.start()

    def crossed(self, allowance: Allowance, window_start_ns: int, used: int, limit: int, percent: int) -> None:
        """A budget has passed a threshold (percent of ``limit``). Returns at once."""
        if self._webhook is None or allowance.period == "minute":
            return
        body = self._body(allowance, window_start_ns, used, limit, percent)
        alert = _Alert(allowance.id, window_start_ns, percent, limit, body)
        try:
            self._waiting.put_nowait(alert)
        except queue.Full:
            self._log(f"alert: {alert.text} (not told: {MOST_WAITING} others wait for the webhook)")

    def stop(self, patience_s: float = TIMEOUT_S) -> None:
        """End the thread, after the answer it waits for; what it has not told is told by the next process."""
        self._stopping.set()
        if self._thread is not None:
            with contextlib.suppress(queue.Full):
                self._waiting.put_nowait(None)
            self._thread.join(patience_s)

    def _body(self, allowance: Allowance, start_ns: int, used: int, limit: int, percent: int) -> dict[str, Any]:
        money = allowance.unit == "usd"
        return {
            "event": "budget_threshold",
            "allowance": allowance.id,
            "scope": allowance.scope,
            "name": allowance.name,
            "unit": allowance.unit,
            "period": allowance.period,
            "window": window_id(allowance.period, start_ns),
            "percent": percent,
            "used": used,
            "limit": limit,
            **({"used_usd": money_text(used), "limit_usd": money_text(limit)} if money else {}),
            "at": f"{datetime.fromtimestamp(self._wall_ns() // 10**9, UTC):%Y-%m-%dT%H:%M:%SZ}",
        }

    # The thread

    def _run(self) -> None:
        self._load()
        for alert in [each for each in self._alerts.values() if not each.done]:
            self._tell(alert)
        while not self._stopping.is_set():
            self._take(self._waiting.get(), tell=True)
        # What is left is written down for the next process.
        while not self._waiting.empty():
            self._take(self._waiting.get(), tell=False)

    def _take(self, alert: _Alert | None, *, tell: bool) -> None:
        """``None`` only wakes the thread."""
        if alert is None or alert.key in self._alerts:
            return
        self._alerts[alert.key] = alert
        self._save()
        if tell:
            self._tell(alert)

    def _tell(self, alert: _Alert) -> None:
        problem = ""
        for pause_s in (0.0, *self._pauses_s):
            if self._stopping.wait(pause_s):
                return
            webhook = self._webhook
            if webhook is None:
                problem = "no webhook is configured any more"
                break
            problem = _post(webhook.reveal(), alert.body)
            if not problem:
                break
        if problem:
            self._log(f"alert: {alert.text} (the webhook was not told: {problem})")
        alert.done = True
        self._save()

    def _load(self) -> None:
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=list[_Alert])
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError) as error:
            self._log(f"which alerts were told before is not known: {self._path}: {error}")
            return
        self._alerts = {alert.key: alert for alert in found}

    def _save(self) -> None:
        while len(self._alerts) > MOST_KEPT:
            del self._alerts[next(iter(self._alerts))]
        beside = self._path.with_suffix(".new")
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(msgspec.json.encode([*self._alerts.values()]))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            self._log(f"which alerts were told cannot be kept: {self._path}: {error.strerror or error}")


def _post(url: str, body: dict[str, Any]) -> str:
    """Why it was not taken; empty when it was. Never holds the URL, which may hold a token."""
    # Imported late: a gateway without alerts needs no HTTP client.
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class NoRedirect(HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    request = Request(
        url, msgspec.json.encode(body), {"Content-Type": "application/json", "User-Agent": "trimaran"}, method="POST"
    )
    try:
        build_opener(NoRedirect).open(request, timeout=TIMEOUT_S).close()
        return ""
    except HTTPError as error:
        error.close()
        return f"it answered {error.code}"
    except URLError as error:
        reason = error.reason
        return f"it cannot be reached ({reason.strerror or 'error' if isinstance(reason, OSError) else 'error'})"
    except (OSError, HTTPException, ValueError) as error:
        return f"it cannot be reached ({type(error).__name__})"
