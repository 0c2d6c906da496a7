"""Whether every promise was kept: the clients' replies, the providers' logs and the ledger are laid side by side. Pure but
for reading the ledger."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from chaos.clients import Reply
from chaos.outcomes import judge_reply
from chaos.plan import KEYS, TARGETS, Key
from chaos.targets import Asked
from trimaran.ledger import Store
from trimaran.ledger.database import Place

__all__ = ["Books", "Row", "check_attempts", "check_budgets", "check_replies", "read_rows"]

_SHOWN = 5
_PERIOD_NS = {"minute": 60 * 10**9, "hour": 3600 * 10**9, "day": 86_400 * 10**9}
_TARGETS = {target.name: target for target in TARGETS}


class Row(msgspec.Struct):
    """An attempt as the ledger has it."""

    request_id: str
    attempt: int
    key_id: str
    provider: str
    status: str
    http_status: int | None
    error_code: str | None
    started_ns: int
    max_output_tokens: int | None
    input_tokens: int | None
    output_tokens: int | None
    ttft_us: int | None
    cost_nanos: int | None
    bound_nanos: int | None


class Books(msgspec.Struct):
    """Figures for the table, and what was violated."""

    figures: list[tuple[str, str]] = []
    violations: list[str] = []

    def violated(self, what: str, cases: Sequence[object]) -> None:
        """Note a violation with its first cases."""
        if cases:
            shown = "; ".join(str(case) for case in cases[:_SHOWN])
            self.violations.append(f"{what}: {len(cases)} ({shown}{'; …' if len(cases) > _SHOWN else ''})")


def read_rows(place: Place) -> list[Row]:
    """All attempts of the ledger at ``place``."""
    with Store(place) as store:
        cursor = store.connection.execute(f"SELECT {', '.join(Row.__struct_fields__)} FROM attempts")
        return [msgspec.convert(dict(zip(Row.__struct_fields__, values, strict=True)), Row) for values in cursor]


def check_replies(books: Books, replies: Sequence[Reply], breaking: Sequence[tuple[float, float]]) -> None:
    """(a) Every client got a whole answer, a clean error, or something that visibly broke.

    Only a strike breaks a connection; ``breaking`` says from when to when, as :attr:`Reply.asked_s` counts.
    """
    verdicts = [(reply, judge_reply(reply)) for reply in replies]
    counts = Counter(verdict.kind for _, verdict in verdicts)
    books.figures.append(("replies", ", ".join(f"{count} {kind}" for kind, count in counts.most_common())))
    wrong = [f"{reply.prompt} {reply.model} {verdict.why}" for reply, verdict in verdicts if verdict.kind == "wrong"]
    books.violated("wrong replies", wrong)
    unstruck = [
        f"{reply.prompt} at {reply.asked_s + reply.took_s:.2f} s"
        for reply, verdict in verdicts
        if verdict.kind == "broken"
        and not reply.slow
        and not any(at <= reply.asked_s + reply.took_s <= until for at, until in breaking)
    ]
    books.violated("connections that broke without a strike", unstruck)
    ids = Counter(reply.request_id for reply in replies if reply.request_id)
    books.violated("request ids used twice", [each for each, count in ids.items() if count > 1])


def check_attempts(books: Books, replies: Sequence[Reply], asked: Sequence[Asked], rows: Sequence[Row]) -> None:
    """(b) What the providers saw is in the ledger exactly once, and the ledger has nothing that was not sent.

    Where the client knows its request's id, attempts are matched by it and the prompt's marker. Where no head came, they are
    matched by provider and limit of output tokens, which differs from request to request.
    """
    prompts = {reply.request_id: reply.prompt for reply in replies if reply.request_id}
    known = set(prompts.values())
    sent = Counter(_place(each, known) for each in asked)
    booked: Counter[tuple[str, object]] = Counter()
    certain: Counter[tuple[str, object]] = Counter()
    for row in rows:
        place = (row.provider, prompts.get(row.request_id) or row.max_output_tokens)
        booked[place] += 1
        certain[place] += _was_received(row)
    missing = [
        f"{place}: sent {count}, booked {booked[place]}" for place, count in sent.items() if booked[place] < count
    ]
    surplus = [
        f"{place}: sent {sent[place]}, booked {count}" for place, count in certain.items() if sent[place] < count
    ]
    books.violated("attempts that the ledger does not have", missing)
    books.violated("attempts in the ledger that no provider saw", surplus)
    statuses = Counter(row.status for row in rows)
    books.figures.append(("attempts sent", str(len(asked))))
    books.figures.append(
        ("attempts booked", f"{len(rows)}: " + ", ".join(f"{n} {s}" for s, n in statuses.most_common()))
    )
    unexplained = [
        row.request_id for row in rows if row.status not in ("ok", "cancelled", "open") and row.error_code == ""
    ]
    books.violated("failed attempts without a reason", unexplained)
    answers = Counter(row.request_id for row in rows if row.status == "ok")
    books.violated("requests with two answers", [each for each, count in answers.items() if count > 1])
    whole = [reply for reply in replies if judge_reply(reply).kind == "whole"]
    books.violated("whole answers that the ledger has not as such", [
        reply.request_id for reply in whole if not answers[reply.request_id]
    ])  # fmt: skip


def _place(each: Asked, known: set[str]) -> tuple[str, object]:
    return each.target, each.prompt if each.prompt in known else each.max_tokens


def _was_received(row: Row) -> bool:
    """Whether the provider must have seen it: it answered."""
    return bool(row.http_status and row.status != "cancelled") or row.status == "ok" or row.ttft_us is not None


def check_budgets(
    books: Books, replies: Sequence[Reply], asked: Sequence[Asked], rows: Sequence[Row], enforced: bool
) -> None:
    """(c) No budget and no limit was passed: by the ledger, by its bounds for what was never settled, and by what the
    providers gave out at their prices."""
    if not enforced:
        books.figures.append(("budgets", "not checked: this version does not take budgets of keys"))
        return
    keys_of = {reply.prompt: reply.key for reply in replies}
    for key in KEYS:
        own = [row for row in rows if row.key_id == key.name]
        for unit, limit, period in key.limits:
            used = _by_window(own, unit, period)
            most = max(used.values(), default=0)
            refused = sum(reply.answer.status in (402, 429) for reply in replies if reply.key == key.name)
            books.figures.append(
                (f"{key.name}", f"most in a {period}: {most:,} of {limit:,} {_unit(unit)}; {refused} refused")
            )
            books.violated(
                f"{key.name} passed its limit of {limit:,} {_unit(unit)} a {period}",
                [f"{amount:,}" for amount in used.values() if amount > limit],
            )
            if unit == "usd" and period == "day":
                _check_true_cost(books, key, limit, [each for each in asked if keys_of.get(each.prompt) == key.name])


def _check_true_cost(books: Books, key: Key, limit: int, asked: Iterable[Asked]) -> None:
    told = untold = 0
    for each in asked:
        target = _TARGETS[each.target]
        cost = each.input_tokens * target.input_nanos + each.tokens_sent * target.output_nanos
        if each.outcome == "completed":
            told += cost
        elif each.status < 400:
            untold += cost
    books.figures.append((f"{key.name}, by the providers", f"{told:,} completed, {untold:,} broken off, of {limit:,}"))
    books.violated(f"{key.name} got more than its budget", [f"{told:,}"] if told > limit else [])


def _by_window(rows: Iterable[Row], unit: str, period: str) -> dict[int, int]:
    """Use by window. What is open counts by its bound; requests count once each, in the window of their first attempt."""
    used: defaultdict[int, int] = defaultdict(int)
    for row in rows:
        window = row.started_ns // _PERIOD_NS[period]
        if unit == "usd":
            used[window] += row.cost_nanos if row.cost_nanos is not None else row.bound_nanos or 0
        elif unit == "tokens":
            used[window] += (row.input_tokens or 0) + (row.output_tokens or 0)
        else:
            used[window] += row.attempt == 1
    return used


def _unit(unit: str) -> str:
    return "nano-dollars" if unit == "usd" else unit
