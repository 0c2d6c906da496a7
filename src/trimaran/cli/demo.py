"""``trimaran demo``: traffic moves to the fastest healthy provider, and no client notices what goes wrong.

Each act changes the simulated providers and states where the traffic must go. Requests are sent until it has gone there
or the act's time is over: how many it takes depends on the machine, whether it happens does not. What is shown is also
demanded: the exit status is 1 when traffic did not move as said, a client saw a failure, or the ledger disagrees.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

from trimaran.cli.bill import opened
from trimaran.cli.children import interruptible
from trimaran.cli.demo_stage import ANTHROPIC, OPENAI, Stage, stage
from trimaran.cli.demo_traffic import Reply, Traffic, require_sdks
from trimaran.cli.output import FAILED, note, print_table
from trimaran.cli.places import activation
from trimaran.ledger import AttemptRow, SpendRow, Store, cost_text, explain, spend

__all__ = ["demo"]

WINDOW = 20
"""Requests by which an act is judged: the last ones."""
SHARE = 0.8
"""Share of them at the expected provider; the rest is what probing and requests under way may take."""
ACT_S = 12.0
TOTAL_S = 26.0

_FAST = {"ttft_s": 0.06, "tpot_s": 0.001, "jitter": 0.1, "output_tokens": 12, "fault": "none"}
_MIDDLE = {**_FAST, "ttft_s": 0.25}


class Act(NamedTuple):
    """What changes, and who is expected to answer then."""

    title: str
    changes: Mapping[str, Mapping[str, object]]
    expected: str
    circuit_closed: str = ""
    """A target that must have recovered before the act is over."""


ACTS = (
    Act("openai answers in 60 ms, anthropic in 250 ms", {OPENAI: _FAST, ANTHROPIC: _MIDDLE}, OPENAI),
    Act("openai slows down to 500 ms", {OPENAI: {"ttft_s": 0.5}}, ANTHROPIC),
    Act("anthropic breaks: it answers 503", {ANTHROPIC: {"fault": "status", "status": 503}}, OPENAI),
    Act("both are again as at the start", {OPENAI: _FAST, ANTHROPIC: _MIDDLE}, OPENAI, ANTHROPIC),
    Act("openai breaks: it resets connections", {OPENAI: {"fault": "reset"}}, ANTHROPIC),
    Act("openai recovers", {OPENAI: _FAST}, OPENAI),
)


class _Unmet(Exception):
    """Something did not happen as the demo says."""


def demo(*, keep: bool) -> int:
    """Run it; 0 when all that it shows is true. Raises :class:`~trimaran.errors.StartError` when it cannot start."""
    require_sdks()
    with interruptible():
        _say("Starting simulated OpenAI and Anthropic APIs and the gateway ...")
        try:
            with stage() as built:
                _say(f"Gateway on {built.url}. The real SDKs ask, six requests at a time, streamed and not.\n")
                began_s = time.monotonic()
                replies = _play(built)
                _report(built, replies)
                _say(f"\n{len(replies)} requests in {time.monotonic() - began_s:.0f} s, no client saw a failure.")
                _next(built, keep)
                if keep:
                    _keep(built)
        except _Unmet as unmet:
            note(f"trimaran demo: {unmet}")
            return FAILED
    return 0


# Acts


def _play(built: Stage) -> list[Reply]:
    for name, behaviour in ACTS[0].changes.items():
        built.simulate(name, **behaviour)
    with Traffic(built.url) as traffic:
        deadline_s = time.monotonic() + TOTAL_S
        for number, act in enumerate(ACTS, 1):
            for name, changes in act.changes.items():
                built.simulate(name, **changes)
            _perform(built, traffic, number, act, deadline_s)
        traffic.stop()
        return traffic.since()


def _perform(built: Stage, traffic: Traffic, number: int, act: Act, deadline_s: float) -> None:
    began_s = time.monotonic()
    deadline_s = min(began_s + ACT_S, deadline_s)
    while True:
        time.sleep(0.05)
        replies = traffic.since(began_s)
        failed = [reply for reply in traffic.since() if reply.error]
        line = f"{number}  {act.title:<46}  {_shares(replies[-WINDOW:])}"
        if failed:
            _line(line)
            raise _Unmet(f"a client saw a failure ({failed[0].client}): {failed[0].error}")
        moved = _moved_after(replies, act.expected)
        if moved is not None and _recovered(built, act):
            also = f"; {act.circuit_closed} is back" if act.circuit_closed else ""
            _line(f"{line}  ({_moved_text(moved, len(replies))}{also})")
            return
        if time.monotonic() > deadline_s:
            _line(line)
            what = f"{act.circuit_closed} did not recover" if moved is not None else "traffic did not move"
            raise _Unmet(f"{what} to {act.expected} within {len(replies)} requests (act {number}: {act.title})")
        _line(line, last=False)


def _moved_after(replies: Sequence[Reply], expected: str) -> int | None:
    """How many requests went before the traffic was where it should be; ``None``: it is not there now."""
    if len(replies) < WINDOW or _share(replies[-WINDOW:], expected) < SHARE:
        return None
    # Counted back over all windows of five that are at the expected provider for the most part.
    at = len(replies) - WINDOW
    while at > 0 and _share(replies[at - 1 : at + 4], expected) >= SHARE:
        at -= 1
    return at


def _share(replies: Sequence[Reply], provider: str) -> float:
    return sum(reply.provider == provider for reply in replies) / len(replies)


def _recovered(built: Stage, act: Act) -> bool:
    if not act.circuit_closed:
        return True
    states = [state for target, state in built.circuits().items() if target.startswith(f"{act.circuit_closed}/")]
    return states == ["closed"]


def _shares(replies: Sequence[Reply]) -> str:
    if not replies:
        return ""
    shares = "  ".join(f"{name} {_share(replies, name):>4.0%}" for name in (OPENAI, ANTHROPIC))
    return f"{shares}  p50 {median(reply.latency_s for reply in replies) * 1000:>3.0f} ms"


def _moved_text(moved: int, sent: int) -> str:
    return f"{sent} requests, there at once" if moved == 0 else f"{sent} requests, moved after {moved}"


# What the ledger knows


def _report(built: Stage, replies: Sequence[Reply]) -> None:
    sent_over = next((reply for reply in replies if reply.attempts > 1), None)
    if sent_over is None:
        raise _Unmet("no request was sent on to a second provider, although one provider broke")
    with opened(None, {"ledger.dir": str(built.ledger_dir)}) as (store, _):
        rows = _settled(store, len(replies))
        attempts = explain(store, sent_over.request_id)
    _say("\nThe ledger, by provider (latencies of the attempts that succeeded):")
    print_table(
        ["provider", "requests", "p50", "p95", "failures", "cost"],
        [_table_row(row) for row in sorted(rows, key=lambda row: row.group, reverse=True)],
    )
    sys.stdout.flush()
    _explain(attempts, sent_over)


def _settled(store: Store, requests: int) -> list[SpendRow]:
    """Spend by provider. What clients saw and what was recorded have to agree."""
    rows = spend(store, "provider")
    answered = sum(row.attempts - row.failures - row.rejected - row.cancelled - row.open_attempts for row in rows)
    if answered != requests:
        raise _Unmet(f"the ledger has {answered} answers, the clients got {requests}")
    if any(row.simulated_attempts != row.attempts for row in rows):
        raise _Unmet("the ledger has attempts that are not marked as simulated")
    if {row.group for row in rows if row.failures} != {OPENAI, ANTHROPIC}:
        raise _Unmet("both providers broke, and the ledger does not show it")
    return rows


def _table_row(row: SpendRow) -> list[str]:
    latencies = [f"{ms:,} ms" if ms is not None else "" for ms in (row.p50_latency_ms, row.p95_latency_ms)]
    return [f"{row.group} (simulated)", f"{row.requests:,}", *latencies, f"{row.failures:,}", cost_text(row)]


def _explain(attempts: Sequence[AttemptRow], reply: Reply) -> None:
    if len(attempts) != reply.attempts:
        raise _Unmet(f"the ledger has {len(attempts)} attempts of {reply.request_id}, its answer said {reply.attempts}")
    _say(f"One request that was sent on, {reply.request_id} (asked by the SDK of {reply.client}):")
    for row in attempts:
        after = "" if row.latency_us is None else f" after {row.latency_us / 1000:.0f} ms"
        reason = f" ({row.reason})" if row.reason else ""
        _say(f"  {row.attempt}. {row.target}: chosen as {row.why}; {row.status}{after}{reason}")


# The end


def _next(built: Stage, keep: bool) -> None:
    _say("\nNext:")
    rows = [
        (activation(), "so that 'trimaran' is found"),
        ("trimaran demo --keep", "the same, and leave it running to try things"),
        ("trimaran doctor", "what your own credentials reach"),
        ("export OPENAI_API_KEY=... ANTHROPIC_API_KEY=...", "real keys, then"),
        ("trimaran serve", 'the gateway; eval "$(trimaran env)" points the SDKs at it'),
    ]
    for command, what in rows:
        if command and not (keep and "--keep" in command):
            _say(f"  {command:<48}# {what}")


def _keep(built: Stage) -> None:
    body = '{"model": "chat", "messages": [{"role": "user", "content": "What is 42 * 37?"}]}'
    _say(f"\nIt stays until Ctrl-C.\n  gateway    {built.url}/v1 (OpenAI), {built.url} (Anthropic), model: chat")
    _say(f"  metrics    {built.admin_url}/metrics, state: {built.admin_url}/admin/state")
    for name, mock in built.mocks.items():
        _say(f"  {name:<9}  simulated on {mock.base_url}, change it: POST {mock.base_url}/_simulate")
    _say(f"  files      {built.config}, {built.log}")
    _say(f"  try        curl -i {built.url}/v1/chat/completions -H 'content-type: application/json' -d '{body}'")
    _say(f"             trimaran spend --ledger-dir {built.ledger_dir}")
    try:
        while built.gateway.running:
            time.sleep(0.2)
    except KeyboardInterrupt:
        _say("\nstopped")
        return
    raise _Unmet(f"the gateway has ended by itself; see {built.log}")


def _say(text: str) -> None:
    print(text, flush=True)


def _line(text: str, *, last: bool = True) -> None:
    """A line that changes while the act runs; where nobody watches, only its last state."""
    if sys.stdout.isatty():
        print(f"\r\x1b[K{text}", end="\n" if last else "", flush=True)
    elif last:
        _say(text)
