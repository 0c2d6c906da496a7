"""Each way in which a provider fails x streamed or not x both clients' dialects x both targets' dialects x with a healthy
target behind it or none: through the real gateway, with the vendors' SDKs.

What is asserted comes from three sides: the client's SDK, each provider's own log, and the ledger.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from itertools import pairwise
from statistics import mean

import anthropic
import openai
import pytest
from fault_lines import HEALTHY, LINES, SAID, Behaviour
from fault_stage import INPUT_NANOS, KEY, OUTPUT_NANOS, Case, Stage, cases

from trimaran.ledger import Store, explain
from trimaran.testing import FAULTS, SimulatedProvider

MATRIX = cases(LINES)
each_case = pytest.mark.parametrize("case", MATRIX, ids=str)
TYPES = {
    "openai.chat": {402: "insufficient_quota", 429: "rate_limit_error", 502: "server_error", 503: "server_error"}
    | {400: "invalid_request_error", 504: "server_error"},
    "anthropic.messages": {402: "billing_error", 429: "rate_limit_error", 502: "api_error", 503: "overloaded_error"}
    | {400: "invalid_request_error", 504: "timeout_error"},
}
"""``error.type`` by status."""
ENDED = {"openai.chat": "stop", "anthropic.messages": "end_turn"}
READ_S = 10.0


@pytest.fixture(scope="module")
def stage(request, launch):
    """All that the selected tests need, listening, with the gateway in front."""
    # Other tests have cases, too.
    chosen = [_params(item).get("case") for item in request.session.items]
    wanted = {case for case in chosen if isinstance(case, type(MATRIX[0]))}
    more = {
        "flapping": [SimulatedProvider(name="flapping", keys=[KEY]), SimulatedProvider(HEALTHY, keys=[KEY])],
        "flapping-alone": [SimulatedProvider(name="alone", keys=[KEY])],
        "left": [SimulatedProvider(Behaviour(tpot_s=0.02, output_tokens=200), keys=[KEY])],
        "away": [SimulatedProvider(keys=[KEY]), SimulatedProvider(HEALTHY, keys=[KEY])],
    }
    stage = Stage([case for case in MATRIX if case in wanted], more)
    try:
        stage.running = launch(stage.config("./ledger"), environ={"UPSTREAM_KEY": KEY})
        stage.running.ready()
        with stage.clients(stage.running.address):
            yield stage
    finally:
        stage.close()


@pytest.fixture(scope="module")
def told(stage):
    """What became of each case, for the client."""
    return stage.ask_all()


@pytest.fixture(scope="module")
def rows(stage, told):
    """The ledger's attempts by request, once it has all of them."""
    ids = {each.headers["x-trimaran-request-id"] for each in told.values() if "x-trimaran-request-id" in each.headers}
    return _read(stage, ids)


def _params(item) -> dict[str, object]:
    return item.callspec.params if hasattr(item, "callspec") else {}


def _read(stage: Stage, ids: set[str]):
    path = stage.running.folder / "ledger/ledger.sqlite3"
    end = time.monotonic() + READ_S
    # The gateway serves before its ledger's file is there.
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.05)
    seen = None
    while True:
        with Store(path, read_only=True) as store:
            found = {each: explain(store, each) for each in ids}
        closed = all(rows and all(row.status != "open" for row in rows) for rows in found.values())
        # A further attempt of a request may still be on its way from the journal.
        if (closed and found == seen) or time.monotonic() > end:
            return found
        seen = found
        time.sleep(0.3)


def _arrivals(stage: Stage, case: Case) -> list[tuple[str, float]]:
    """(target, seconds) of each request that a target of the case received, in order."""
    found = [(role, row.received_at_s) for role in case.roles for row in stage.providers[case, role].log]
    return sorted(found, key=lambda each: each[1])


def _repeated(path: list[tuple[str, str]], attempts: int) -> list[tuple[str, str]]:
    """The path with ``*`` written out, from two to four."""
    if not any(code.endswith("*") for _, code in path):
        return path
    times = attempts - (len(path) - 1)
    assert 2 <= times <= 4
    return [each for role, code in path for each in [(role, code.rstrip("*"))] * (times if code.endswith("*") else 1)]


@each_case
def test_the_client_gets_the_answer_or_the_error(case, stage, told):
    path, end = case.path()
    answer = told[case]
    if not end:
        assert answer.error is None, answer.error
        by = path[-1][0]
        assert answer.text == (case.line.text or case.roles[by].text)
        assert answer.finish == ENDED[case.dialect]
        assert answer.end_marker or not case.stream
        assert answer.headers["x-trimaran-target"].startswith(f"{stage.models[case]}{'a' if case.line.text else by}/")
        attempts = 1 if case.line.text else len(path)
        # What is written on the head of a stream that another target goes on with was true when it was written.
        assert answer.headers["x-trimaran-attempts"] == str(attempts)
        standing_in = f"{stage.models[case]}-{by}" if case.line.fallbacks else None
        assert answer.headers.get("x-trimaran-model") == standing_in
        return
    assert answer.error is not None, f"an answer: {answer.text!r}"
    assert not answer.end_marker
    if end == "cut":
        assert answer.headers["x-trimaran-target"].startswith(f"{stage.models[case]}a/")
        assert (case.line.fault.text or "").startswith(answer.text) and answer.text.startswith(SAID[:3])
        # The SDK got an error event, and not merely the end of a connection.
        assert isinstance(answer.error, openai.APIError | anthropic.APIError)
        assert not isinstance(answer.error, openai.APIConnectionError | anthropic.APIConnectionError)
        return
    assert answer.status == int(end)
    body = answer.error.response.json()["error"]
    assert body["type"] == TYPES[case.dialect][int(end)]
    assert case.line.says in body["message"]
    if case.line.retry_after_s is not None and case.position == "lone":
        assert abs(float(answer.headers["retry-after"]) - case.line.retry_after_s) <= 2
    elif end not in ("429", "503"):
        assert "retry-after" not in answer.headers
    assert KEY not in json.dumps(answer.error.response.json())


@each_case
def test_each_target_is_asked_as_often_as_it_should_be(case, stage, told):
    path, _ = case.path()
    if case.line.closed:
        path = [(role, code) for role, code in path if role != "a"]
    arrived = _arrivals(stage, case)
    path = _repeated(path, len(arrived))
    assert [role for role, _ in arrived] == [role for role, _ in path]
    for (role, before), (after_role, after) in pairwise(arrived):
        least, most = case.line.waits.get(role + after_role, (0.0, READ_S))
        assert least <= after - before <= most
    limit = case.line.deadline_s.get(case.stream)
    if limit is not None:
        assert limit - 0.1 <= told[case].took_s <= limit + 0.7


def test_waits_without_a_retry_after_grow_and_differ_by_chance(stage, told):
    hammered = [case for case in stage.cases if case.line.name.startswith("429-always") and case.position == "lone"]
    times = [[at for _, at in _arrivals(stage, case)] for case in hammered]
    first = [each[1] - each[0] for each in times]
    second = [each[2] - each[1] for each in times if len(each) > 2]
    # Eight requests that met the same refusal must not all come back in one moment.
    assert len(first) < 8 or max(first) - min(first) > 0.15
    assert not second or mean(second) > mean(first)


def test_nothing_goes_on_upstream(stage, told):
    for provider in stage.providers.values():
        provider.wait_until(lambda each: not each.open_requests, 3.0)
        assert [row for row in provider.log if row.outcome == "open"] == []


@each_case
def test_the_ledger_has_each_attempt_as_it_was(case, stage, told, rows):
    path, _ = case.path()
    answer = told[case]
    found = rows[answer.headers["x-trimaran-request-id"]]
    path = _repeated(path, len(found))
    model = stage.models[case]
    assert [(row.target.partition("/")[0], row.error_code or "") for row in found] == [
        (f"{model}{role}", code) for role, code in path
    ]
    assert [row.attempt for row in found] == list(range(1, len(found) + 1))
    asked = {role: [*stage.providers[case, role].log] for role in case.roles}
    for row, (role, code) in zip(found, path, strict=True):
        sent = None if case.line.closed and role == "a" else asked[role].pop(0)
        _check_row(case, row, code, sent)


def _check_row(case: Case, row, code: str, sent) -> None:
    if not code:
        assert row.status == "ok" and not row.estimated
        # What the provider counted, whatever the client was shown.
        assert (row.input_tokens, row.output_tokens) == (sent.input_tokens, sent.tokens_sent)
        assert row.cost_nanos == sent.input_tokens * INPUT_NANOS + sent.tokens_sent * OUTPUT_NANOS
        return
    assert row.status == (
        "rejected" if code in ("context_too_long", "content_refused", "target_rejected") else "failed"
    )
    assert row.finish_reason in (None, "")
    if sent is None or sent.status >= 400 or sent.fault == "reset":
        # A refusal costs nothing, nor does what broke before an answer.
        assert row.cost_nanos == 0 and not row.output_tokens
        return
    assert row.cost_nanos is not None and row.cost_nanos >= 0
    assert row.bound_nanos is not None and row.cost_nanos <= row.bound_nanos
    # Anthropic reports one output token before there is any.
    reported = 1 if sent.dialect == "anthropic.messages" else 0
    assert (row.output_tokens or 0) <= max(sent.tokens_sent, reported)
    if code in ("no_first_token", "deadline_exceeded"):
        # It has read the prompt.
        assert row.input_tokens and row.estimated
    elif case.stream and "after" in case.line.name and code != "no_first_token":
        # The part that was cut: what was seen of it.
        assert row.estimated and row.output_tokens and row.cost_nanos >= row.output_tokens * OUTPUT_NANOS


def test_a_client_that_leaves_ends_the_exchange_upstream(stage):
    provider = stage.more["left"][0]
    request_id = stage.leave("left")
    provider.wait_until(lambda each: each.log and each.log[-1].outcome == "cancelled", 2.0)
    row = provider.log[-1]
    assert 0 < row.tokens_sent < 200 and not provider.open_requests
    (attempt,) = _read(stage, {request_id})[request_id]
    assert (attempt.status, attempt.error_code, attempt.estimated) == ("cancelled", "client_disconnected", True)
    assert 0 < attempt.output_tokens <= row.tokens_sent
    assert attempt.cost_nanos == attempt.input_tokens * INPUT_NANOS + attempt.output_tokens * OUTPUT_NANOS


class Traffic:
    """Requests one after the other in a thread, until told to stop."""

    def __init__(self, stage: Stage, model: str, pause_s: float = 0.02) -> None:
        self.told = []
        self._stage, self._model, self._pause_s = stage, model, pause_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.wait(self._pause_s):
            self.told.append((time.monotonic(), self._stage.ask(self._model, "openai.chat", False)))


def test_a_flapping_target_is_left_alone_and_found_again(stage):
    flapping, healthy = stage.more["flapping"]
    with Traffic(stage, "flapping") as traffic:
        flapping.wait_until(lambda each: len(each.log) >= 5)
        flapping.behaviour = Behaviour(fault="status", status=503)
        broken_at, before = time.monotonic(), len(flapping.log)
        time.sleep(3.0)
        asked = len(flapping.log) - before
        served = len([1 for at, each in traffic.told if at > broken_at])
        flapping.behaviour = Behaviour(text="here again")
        mended_at = time.monotonic()
        healed = len(flapping.log)
        flapping.wait_until(lambda each: len(each.log) >= healed + 20, 6.0)
        closed_s = time.monotonic() - mended_at
    # Three failures in a row open the circuit; then there are single trials.
    assert 3 <= asked <= 5 and served >= 20
    assert all(each.error is None for _, each in traffic.told)
    assert closed_s < 5.0
    texts = {each.text for _, each in traffic.told}
    assert HEALTHY.text in texts and "here again" in texts
    assert len(healthy.log) >= served - asked


def test_a_lone_flapping_target_is_not_hammered(stage):
    (alone,) = stage.more["flapping-alone"]
    alone.behaviour = Behaviour(fault="status", status=503)
    with Traffic(stage, "flapping-alone") as traffic:
        time.sleep(3.0)
        asked = len(alone.log)
        alone.behaviour = Behaviour(text="here again")
        mended_at = time.monotonic()
        alone.wait_until(lambda each: len(each.log) >= asked + 10, 6.0)
        closed_s = time.monotonic() - mended_at
    refused = [each for _, each in traffic.told if each.error is not None]
    assert 3 <= asked <= 5 and len(refused) >= 20
    assert {each.status for each in refused} == {503}
    # While the circuit is open clients are told so at once, and when to come again.
    told_when = [each for each in refused if "retry-after" in each.headers]
    assert len(told_when) >= len(refused) - asked
    assert all(1 <= int(each.headers["retry-after"]) <= 4 and each.took_s < 0.5 for each in told_when)
    assert closed_s < 5.0
    assert traffic.told[-1][1].text == "here again"


def test_a_target_that_goes_away_and_comes_back_is_used_again(stage):
    away, _ = stage.more["away"]

    def run(work) -> None:
        asyncio.run_coroutine_threadsafe(work, stage.targets.loop).result(5)

    with Traffic(stage, "away") as traffic:
        away.wait_until(lambda each: len(each.log) >= 5)
        run(away.close())
        time.sleep(1.0)
        before = len(away.log)
        run(away.start())
        away.wait_until(lambda each: len(each.log) >= before + 10, 6.0)
    assert [str(each.error) for _, each in traffic.told if each.error is not None] == []


def test_the_matrix_covers_every_fault_that_can_be_simulated():
    used = {line.fault.fault for line in LINES}
    # Slow, but within its limits, is no failure; beyond them it is silence.
    assert set(FAULTS) - used == {"slow_first_token"}
    assert all(re.fullmatch(r"[a-z0-9-]+", line.name) for line in LINES)
    assert len({line.name for line in LINES}) == len(LINES)
