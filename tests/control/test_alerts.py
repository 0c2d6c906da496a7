"""Alerts: what the webhook gets, once for each threshold of a period, whatever restarts, refuses or is slow."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from trimaran.control import alerts as alerts_module
from trimaran.control.alerts import Alerts
from trimaran.types import Allowance, Secret

MONTH = Allowance("tenant:acme:usd/month", "tenant", "acme", "usd", 2 * 10**9, "month")
DAY = Allowance("key:a:tokens/day", "key", "a", "tokens", 1000, "day")
START_NS = 1_793_491_200 * 10**9  # 2026-11-01
NOW_NS = 1_795_521_000 * 10**9


class Webhook:
    """A loopback server that remembers what it was sent; ``answers`` are its next statuses, then 204."""

    def __init__(self) -> None:
        self.seen: list[dict[str, object]] = []
        self.paths: list[str] = []
        self.headers: dict[str, str] = {}
        self.answers: list[int] = []
        self.open = threading.Event()
        self.open.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.headers = dict(self.headers)
                outer.open.wait(10)
                status = outer.answers.pop(0) if outer.answers else 204
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()
                outer.paths.append(self.path)
                outer.seen.append(json.loads(body))

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = Secret(f"http://127.0.0.1:{self.server.server_address[1]}/hook?token=canary")

    def until(self, count: int) -> None:
        until(lambda: len(self.seen) >= count)

    def close(self) -> None:
        self.open.set()
        self.server.shutdown()
        self.server.server_close()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "did not happen within 5 s"
        time.sleep(0.005)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    made = Webhook()
    yield made
    made.close()


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def made(tmp_path: Path, lines: list[str]) -> Iterator[Callable[[], Alerts]]:
    """``made()``: the alerts of one more process over the same file."""
    every: list[Alerts] = []

    def make() -> Alerts:
        every.append(
            Alerts(tmp_path / "alerts.json", log=lines.append, wall_ns=lambda: NOW_NS, pauses_s=(0.01, 0.01, 0.01))
        )
        return every[-1]

    yield make
    for each in every:
        each.stop()


def test_what_the_webhook_gets(webhook: Webhook, made: Callable[[], Alerts]) -> None:
    alerts = made()
    alerts.configure(webhook.url)
    alerts.crossed(MONTH, START_NS, 1_600_000_001, 2 * 10**9, 80)
    alerts.crossed(DAY, START_NS, 500, 1000, 50)
    webhook.until(2)
    assert webhook.seen[0] == {
        "event": "budget_threshold",
        "allowance": "tenant:acme:usd/month",
        "scope": "tenant",
        "name": "acme",
        "unit": "usd",
        "period": "month",
        "window": "2026-11",
        "percent": 80,
        "used": 1_600_000_001,
        "limit": 2_000_000_000,
        "used_usd": "1.600000001",
        "limit_usd": "2",
        "at": "2026-11-24T11:50:00Z",
    }
    assert webhook.seen[1]["window"] == "2026-11-01"
    assert "used_usd" not in webhook.seen[1]
    assert webhook.headers["Content-Type"] == "application/json"
    assert webhook.paths[0] == "/hook?token=canary"


def test_once_for_each_budget_period_threshold_and_limit(webhook: Webhook, made: Callable[[], Alerts]) -> None:
    for _ in range(2):
        alerts = made()
        alerts.configure(webhook.url)
        alerts.crossed(MONTH, START_NS, 5, 10, 50)
        alerts.crossed(MONTH, START_NS, 6, 10, 50)
        alerts.crossed(DAY, START_NS, 5, 10, 50)
        webhook.until(2)
        alerts.stop()
    assert [each["allowance"] for each in webhook.seen] == [MONTH.id, DAY.id]
    alerts = made()
    alerts.configure(webhook.url)
    alerts.crossed(MONTH, START_NS, 8, 10, 80)
    alerts.crossed(MONTH, START_NS + 30 * 86_400 * 10**9, 5, 10, 50)
    # The limit was raised: the same part of it is news.
    alerts.crossed(MONTH, START_NS, 10, 20, 50)
    webhook.until(5)
    assert [each["percent"] for each in webhook.seen[2:]] == [80, 50, 50]


def test_limits_by_the_minute_are_no_news(webhook: Webhook, made: Callable[[], Alerts]) -> None:
    alerts = made()
    alerts.configure(webhook.url)
    alerts.crossed(Allowance("key:a:requests/minute", "key", "a", "requests", 10, "minute"), START_NS, 8, 10, 80)
    alerts.crossed(DAY, START_NS, 5, 10, 50)
    webhook.until(1)
    assert [each["allowance"] for each in webhook.seen] == [DAY.id]


def test_it_is_tried_again_and_given_up_in_the_end(
    webhook: Webhook, made: Callable[[], Alerts], lines: list[str]
) -> None:
    alerts = made()
    alerts.configure(webhook.url)
    webhook.answers = [500, 503, 200, *[500] * 4]
    alerts.crossed(DAY, START_NS, 5, 10, 50)
    webhook.until(3)
    alerts.crossed(DAY, START_NS, 8, 10, 80)
    until(lambda: bool(lines))
    assert lines == ["alert: 80% of key:a:tokens/day in 2026-11-01 (the webhook was not told: it answered 500)"]
    assert len(webhook.seen) == 7
    # What was given up is not begun again by the next process.
    alerts.stop()
    made().configure(webhook.url)
    alerts.stop()
    assert len(webhook.seen) == 7


def test_the_pauses_grow() -> None:
    assert alerts_module.PAUSES_S == (1.0, 5.0, 25.0)
    assert alerts_module.TIMEOUT_S == 5.0


def test_a_webhook_that_is_away_is_said_without_its_url(made: Callable[[], Alerts], lines: list[str]) -> None:
    alerts = made()
    alerts.configure(Secret("http://127.0.0.1:1/hook?token=canary"))
    alerts.crossed(DAY, START_NS, 5, 10, 50)
    until(lambda: bool(lines))
    assert "it cannot be reached (Connection refused)" in lines[0]
    assert "canary" not in lines[0]


def test_redirects_are_not_followed(webhook: Webhook, made: Callable[[], Alerts], lines: list[str]) -> None:
    alerts = made()
    alerts.configure(webhook.url)
    webhook.answers = [302] * 4
    alerts.crossed(DAY, START_NS, 5, 10, 50)
    until(lambda: bool(lines))
    assert "it answered 302" in lines[0]
    assert set(webhook.paths) == {"/hook?token=canary"}


def test_a_slow_webhook_delays_nobody_and_what_waits_is_told_by_the_next_process(
    webhook: Webhook, made: Callable[[], Alerts]
) -> None:
    webhook.open.clear()
    alerts = made()
    alerts.configure(webhook.url)
    begun = time.monotonic()
    for percent in range(1, 21):
        alerts.crossed(DAY, START_NS, percent, 100, percent)
    assert time.monotonic() - begun < 0.5
    until(lambda: bool(webhook.headers))
    stopping = threading.Thread(target=alerts.stop)
    stopping.start()
    webhook.open.set()
    stopping.join(5)
    told = len(webhook.seen)
    assert 1 <= told < 20
    made().configure(webhook.url)
    webhook.until(20)
    assert [each["percent"] for each in webhook.seen] == list(range(1, 21))


def test_without_a_webhook_nothing_is_kept(made: Callable[[], Alerts], tmp_path: Path) -> None:
    alerts = made()
    alerts.configure(None)
    alerts.crossed(DAY, START_NS, 5, 10, 50)
    assert not (tmp_path / "alerts.json").exists()


def test_a_broken_file_is_said_and_alerts_go_on(
    webhook: Webhook, made: Callable[[], Alerts], lines: list[str], tmp_path: Path
) -> None:
    (tmp_path / "alerts.json").write_text("{")
    alerts = made()
    alerts.configure(webhook.url)
    alerts.crossed(DAY, START_NS, 5, 10, 50)
    webhook.until(1)
    assert "which alerts were told before is not known" in lines[0]
    alerts.stop()
    assert json.loads((tmp_path / "alerts.json").read_text())[0]["done"] is True
    assert (tmp_path / "alerts.json").stat().st_mode & 0o777 == 0o600
