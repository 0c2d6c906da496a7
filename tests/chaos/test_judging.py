"""The judge of a chaos run sees each kind of broken promise: a judge that lets one pass would make the run worthless."""

from __future__ import annotations

import msgspec
import pytest

from chaos.clients import Reply
from chaos.http import Answer
from chaos.judge import Books, Row, check_attempts, check_budgets, check_replies
from chaos.outcomes import judge_reply
from chaos.plan import TARGETS, continued_text, whole_text
from chaos.targets import Asked

RED, GREEN, BLUE, _ = TARGETS
PROMPT = "marker-0000001"
WHOLE = whole_text(RED, PROMPT)
MINUTE_NS = 60 * 10**9


def reply(status=200, body=b"", *, end="complete", target=RED, request_id="r1", **more) -> Reply:
    headers = {"x-trimaran-request-id": request_id, "x-trimaran-target": target.id}
    answer = Answer(status, headers if status else {}, bytearray(body), end)
    fields = {
        "prompt": PROMPT,
        "key": "open",
        "dialect": "openai.chat",
        "model": "plain",
        "stream": False,
        "max_tokens": 200,
        "asked_s": 1.0,
        "took_s": 0.5,
    }
    return Reply(**(fields | more), answer=answer)


def unary(text, **more) -> Reply:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return reply(body=msgspec.json.encode({"choices": [choice]}), **more)


def streamed(text, ending="data: [DONE]\n\n", **more) -> Reply:
    chunk = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
    return reply(body=b"data: " + msgspec.json.encode(chunk) + b"\n\n" + ending.encode(), stream=True, **more)


def asked(**more) -> Asked:
    return Asked(**({"target": "red", "prompt": PROMPT, "max_tokens": 200, "stream": False, "status": 200} | {
        "fault": "none", "outcome": "completed", "input_tokens": 10, "tokens_sent": 24} | more))  # fmt: skip


def row(**more) -> Row:
    fields = {
        "request_id": "r1",
        "attempt": 1,
        "key_id": "open",
        "provider": "red",
        "status": "ok",
        "http_status": 200,
        "error_code": "",
        "started_ns": 5 * MINUTE_NS,
        "max_output_tokens": 200,
        "input_tokens": 10,
        "output_tokens": 24,
        "ttft_us": None,
        "cost_nanos": 58_000,
        "bound_nanos": 500_000,
    }
    return Row(**(fields | more))


def violations(check, *arguments) -> list[str]:
    books = Books([], [])
    check(books, *arguments)
    return books.violations


ERROR_EVENT = 'data: {"error": {"message": "cut", "type": "server_error"}}\n\n'
REFUSAL = b'{"error": {"message": "no", "type": "server_error", "code": "unavailable"}}'


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (unary(WHOLE), "whole"),
        (unary(WHOLE[:-6]), "wrong"),
        (unary(WHOLE, target=GREEN), "wrong"),
        (unary(""), "wrong"),
        (streamed(WHOLE), "whole"),
        (streamed(WHOLE[:50]), "wrong"),
        (streamed(WHOLE, ending=""), "wrong"),
        (streamed(WHOLE[:50], ending=ERROR_EVENT), "error event"),
        (streamed(WHOLE[:50], ending=ERROR_EVENT + "data: [DONE]\n\n"), "wrong"),
        (streamed("something else", ending=ERROR_EVENT), "wrong"),
        (streamed(WHOLE[:50], ending="", end="broken"), "broken"),
        (streamed(WHOLE[:50], end="broken"), "wrong"),
        (streamed(WHOLE[:50] + continued_text(BLUE, PROMPT), model="onward"), "whole"),
        (streamed(WHOLE[:50] + continued_text(BLUE, PROMPT)), "wrong"),
        (streamed(WHOLE[:50] + continued_text(BLUE, PROMPT)[:-6], model="onward"), "wrong"),
        (reply(503, REFUSAL), "error 503"),
        (reply(500, REFUSAL), "wrong"),
        (reply(401, REFUSAL), "wrong"),
        (reply(503, REFUSAL, dialect="anthropic.messages"), "wrong"),
        (reply(503, b"oops"), "wrong"),
        (reply(0, end="late"), "wrong"),
        (reply(0, end="left"), "left"),
    ],
)
def test_a_reply_is_judged(given, kind):
    assert judge_reply(given).kind == kind


def test_a_connection_may_break_only_when_something_struck():
    broken = reply(0, end="broken")
    assert violations(check_replies, [broken], [(1.2, 1.7)]) == []
    assert violations(check_replies, [broken], [(2.0, 2.5)]) != []
    assert violations(check_replies, [broken], []) != []


@pytest.mark.parametrize(
    ("replies", "seen", "rows", "kept"),
    [
        ([unary(WHOLE)], [asked()], [row()], True),
        ([unary(WHOLE)], [asked(), asked()], [row()], False),
        ([unary(WHOLE)], [asked()], [], False),
        ([unary(WHOLE)], [], [row()], False),
        # A second attempt that nobody received: the connection was refused.
        ([unary(WHOLE)], [asked()], [row(), row(attempt=2, status="failed", http_status=0, error_code="x")], True),
        ([unary(WHOLE)], [asked()], [row(), row(attempt=2, status="failed", http_status=0)], False),
        ([unary(WHOLE)], [asked()], [row(), row(attempt=2)], False),
        # The whole answer is recorded as a failure.
        ([unary(WHOLE)], [asked()], [row(status="failed", error_code="stream_cut")], False),
        # The client knows no request id: provider and limit of output tokens tell.
        ([reply(0, end="broken")], [asked()], [row(status="open", http_status=None)], True),
        ([reply(0, end="broken")], [asked()], [row(status="open", http_status=None, max_output_tokens=7)], False),
    ],
)
def test_each_attempt_is_in_the_ledger_once(replies, seen, rows, kept):
    assert (violations(check_attempts, replies, seen, rows) == []) == kept


def _spent(nanos, **more) -> Row:
    return row(key_id="money-day", cost_nanos=nanos, **more)


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ([_spent(40_000_000)], True),
        ([_spent(40_000_001)], False),
        ([_spent(20_000_000), _spent(20_000_001, started_ns=600 * MINUTE_NS)], False),
        ([_spent(40_000_000), _spent(1, started_ns=1500 * MINUTE_NS)], True),
        # What was never settled counts by its bound.
        ([_spent(39_600_000), _spent(None, status="open")], False),
        ([row(key_id="money-minute", cost_nanos=4_000_001)], False),
        ([row(key_id="tokens", input_tokens=15_000, output_tokens=5_001)], False),
        ([row(key_id="requests", request_id=f"r{n}") for n in range(121)], False),
        ([row(key_id="requests", request_id=f"r{n}", started_ns=n % 2 * MINUTE_NS) for n in range(240)], True),
    ],
)
def test_no_budget_is_passed(rows, kept):
    assert (violations(check_budgets, [], [], rows, True) == []) == kept


def test_what_the_providers_gave_out_counts_too():
    dear = asked(tokens_sent=21_000)
    mine = [unary(WHOLE, key="money-day")]
    assert violations(check_budgets, mine, [dear], [], True) != []
    assert violations(check_budgets, mine, [asked()], [], True) == []
