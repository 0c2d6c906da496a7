"""Reports: groups, sums, percentiles, periods; and that unknown is never shown as nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import ConfigError
from trimaran.ledger import (
    GROUPS,
    Filters,
    IdSource,
    JournalWriter,
    Settled,
    SpendRow,
    Started,
    Store,
    attempts_table,
    cost_text,
    encode_tags,
    explain,
    parse_when,
    spend,
    spend_report,
    spend_table,
    to_dict,
)
from trimaran.types import Usage

DAY_NS = 86_400 * 10**9
MIDNIGHT_NS = 20_717 * DAY_NS
"""2026-09-21 00:00 UTC."""

Attempt = dict[str, Any]


def fill(directory: Path, attempts: list[Attempt], store: Store | None = None) -> Store:
    """A store with these attempts (and no others); what an attempt leaves out has a plain value."""
    ids: dict[str, str] = {}
    source = IdSource(0)
    writer = JournalWriter(directory / "journal", "w", 1 << 20)
    for given_values in attempts:
        values = {
            "request": "r",
            "attempt": 1,
            "at_ns": MIDNIGHT_NS,
            "latency_us": 1_000,
            "settled": True,
        } | given_values
        request_id = ids.setdefault(values["request"], source.next(values["at_ns"] // 10**6))
        writer.append(
            Started(
                request_id, values["attempt"], values["at_ns"], values.get("tenant", "default"), values.get("key", ""),
                encode_tags(values.get("tags", {})), values.get("model", "chat"), values.get("target", "openai/a"),
                values.get("target", "openai/a").split("/")[0], bound_nanos=values.get("bound"),
                simulated=values.get("simulated", False),
            )
        )  # fmt: skip
        if values["settled"]:
            writer.append(
                Settled(
                    request_id, values["attempt"], values["at_ns"] + 1, values.get("tenant", "default"),
                    values.get("status", "ok"), ttft_us=values.get("ttft_us"), latency_us=values["latency_us"],
                    usage=values.get("usage"), cost_nanos=values.get("cost"), estimated=values.get("estimated", False),
                )
            )  # fmt: skip
    writer.close()
    store = store or Store(directory / "ledger.db")
    store.connection.execute("DELETE FROM attempt_rows")
    store.ingest(directory / "journal")
    return store


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    stores: list[Store] = []

    def make(*attempts: Attempt) -> Store:
        stores.append(fill(tmp_path, list(attempts)))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def by_group(rows: list[SpendRow]) -> dict[str, SpendRow]:
    return {row.group: row for row in rows}


def test_a_failed_over_request_counts_in_both_groups_and_once_in_total(filled: Callable[..., Store]) -> None:
    store = filled(
        {"request": "r1", "attempt": 1, "target": "openai/a", "status": "failed", "cost": 0},
        {"request": "r1", "attempt": 2, "target": "anthropic/b", "cost": 70, "usage": Usage(10, 5, 4, 0, 0, 0, 3, 2)},
        {"request": "r2", "target": "anthropic/b", "cost": 30, "usage": Usage(1, 2)},
    )
    rows = by_group(spend(store, "provider"))
    assert list(rows) == ["anthropic", "openai"], "dearest first"
    assert (rows["anthropic"].requests, rows["anthropic"].attempts, rows["anthropic"].cost_nanos) == (2, 2, 100)
    assert (rows["openai"].requests, rows["openai"].failures, rows["openai"].cost_nanos) == (1, 1, 0)
    (total,) = spend(store, "total")
    assert (total.requests, total.attempts, total.failures, total.cost_nanos) == (2, 3, 1, 100)
    assert (total.input_tokens, total.output_tokens, total.cached_tokens) == (11, 7, 4)
    assert (to_dict(total)["audio_input_tokens"], to_dict(total)["audio_output_tokens"]) == (3, 2)


def test_unknown_cost_is_unknown_and_not_nothing(filled: Callable[..., Store]) -> None:
    store = filled(
        {"request": "r1", "target": "vllm/x"},
        {"request": "r2", "target": "openai/a", "cost": 12_500_000},
        {"request": "r3", "target": "openai/a"},
        {"request": "r4", "target": "openai/a", "settled": False, "bound": 900},
        {"request": "r5", "target": "mistral/m", "cost": 0},
    )
    rows = by_group(spend(store, "provider"))
    assert (rows["vllm"].cost_nanos, rows["vllm"].unknown_cost_attempts) == (None, 1)
    assert (rows["openai"].cost_nanos, rows["openai"].unknown_cost_attempts) == (12_500_000, 1)
    assert (rows["openai"].open_attempts, rows["openai"].open_bound_nanos) == (1, 900)
    assert cost_text(rows["vllm"]) == "unknown"
    assert cost_text(rows["openai"]) == "≥ $0.0125 (1 unknown)"
    assert cost_text(rows["mistral"]) == "$0.00"
    assert to_dict(rows["vllm"])["cost_nanos"] is None


def test_statuses_are_told_apart(filled: Callable[..., Store]) -> None:
    statuses = ["ok", "failed", "failed", "rejected", "cancelled", "cancelled", "cancelled"]
    store = filled(*({"request": str(n), "status": status} for n, status in enumerate(statuses)))
    (row,) = spend(store, "total")
    assert (row.attempts, row.failures, row.rejected, row.cancelled, row.open_attempts) == (7, 2, 1, 3, 0)


def test_two_tags_on_one_request_each_group_it_once(filled: Callable[..., Store]) -> None:
    store = filled(
        {"request": "r1", "tags": {"team": "a", "cost_center": "42"}, "cost": 1},
        {"request": "r2", "tags": {"team": "b", "cost_center": "42"}, "cost": 2},
        {"request": "r3", "tags": {"team": "a"}, "cost": 4},
        {"request": "r4", "cost": 8},
    )
    assert {row.group: row.cost_nanos for row in spend(store, "tag:cost_center")} == {"42": 3, "": 12}
    assert {row.group: row.cost_nanos for row in spend(store, "tag:team")} == {"a": 5, "b": 2, "": 8}
    assert {row.group: row.cost_nanos for row in spend(store, "tag:nobody")} == {"": 15}


@pytest.mark.parametrize("name", ['a"b', "a'b", "a.b", "$", "ä", "x'); DROP TABLE contexts; --", "a:b"])
def test_a_tag_s_name_is_only_a_name(filled: Callable[..., Store], name: str) -> None:
    store = filled({"request": "r1", "tags": {name: "v"}, "cost": 1}, {"request": "r2", "cost": 1})
    assert {row.group for row in spend(store, f"tag:{name}")} == {"v", ""}


def test_a_reader_can_group_by_tag(filled: Callable[..., Store], tmp_path: Path) -> None:
    filled({"tags": {"team": "a"}, "cost": 1})
    with Store(tmp_path / "ledger.db", read_only=True) as reader:
        assert [row.group for row in spend(reader, "tag:team")] == ["a"]
        assert [row.group for row in spend(reader, "tag:team")] == ["a"]


def test_days_are_utc_and_in_order(filled: Callable[..., Store]) -> None:
    store = filled(
        {"request": "r1", "at_ns": MIDNIGHT_NS - 1, "cost": 1},
        {"request": "r2", "at_ns": MIDNIGHT_NS, "cost": 2},
        {"request": "r3", "at_ns": MIDNIGHT_NS + DAY_NS - 1, "cost": 4},
        {"request": "r4", "at_ns": MIDNIGHT_NS + DAY_NS, "cost": 100},
    )
    assert [(row.group, row.cost_nanos) for row in spend(store, "day")] == [
        ("2026-09-20", 1),
        ("2026-09-21", 6),
        ("2026-09-22", 100),
    ]
    assert [row.cost_nanos for row in spend(store, "total", MIDNIGHT_NS, MIDNIGHT_NS + DAY_NS)] == [6]


def test_a_late_attempt_belongs_to_its_own_time(filled: Callable[..., Store]) -> None:
    store = filled(
        {"request": "r1", "attempt": 1, "at_ns": MIDNIGHT_NS - 10**9, "cost": 1},
        {"request": "r1", "attempt": 2, "at_ns": MIDNIGHT_NS + 10**9, "cost": 2},
    )
    assert [row.cost_nanos for row in spend(store, "total", since_ns=MIDNIGHT_NS)] == [2]
    assert [row.cost_nanos for row in spend(store, "total", until_ns=MIDNIGHT_NS)] == [1]
    assert spend(store, "total", since_ns=MIDNIGHT_NS + 2 * 10**9) == []


@pytest.mark.parametrize("by", [*GROUPS, "tag:team"])
def test_every_group_sums_to_the_total(filled: Callable[..., Store], by: str) -> None:
    store = filled(
        *(
            {
                "request": str(n),
                "tenant": f"t{n % 2}",
                "key": f"k{n % 3}",
                "model": f"m{n % 2}",
                "target": f"p{n % 2}/m{n % 4}",
                "tags": {"team": f"x{n % 5}"},
                "at_ns": MIDNIGHT_NS + n * DAY_NS,
                "cost": 10**n,
            }
            for n in range(6)
        )
    )
    rows = spend(store, by)
    assert sum(row.cost_nanos or 0 for row in rows) == 111_111
    assert sum(row.attempts for row in rows) == 6
    groups = {
        "provider": 2,
        "model": 2,
        "tenant": 2,
        "key": 3,
        "target": 4,
        "hour": 6,
        "day": 6,
        "week": 1,
        "tag:team": 5,
    }
    assert len(rows) == groups.get(by, 1)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all examples of a property; it does not wait for the disk."""
    with Store(tmp_path_factory.mktemp("quick") / "ledger.db") as store:
        store.connection.execute("PRAGMA synchronous = OFF")
        yield store


@given(st.lists(st.tuples(st.integers(0, 5_000_000), st.sampled_from(["a", "b"])), min_size=1, max_size=30))
def test_percentiles_are_the_nearest_rank_of_successes(quick: Store, latencies: list[tuple[int, str]]) -> None:
    attempts: list[Attempt] = [
        {"request": str(n), "target": f"{provider}/m", "latency_us": us, "ttft_us": us // 2}
        for n, (us, provider) in enumerate(latencies)
    ]
    attempts += [{"request": f"f{n}", "target": "a/m", "status": "failed", "latency_us": 10**9} for n in range(9)]
    rows = by_group(spend(fill(quick.path.parent, attempts, quick), "provider"))
    for provider in {provider for _, provider in latencies}:
        ranked = sorted(us for us, name in latencies if name == provider)
        p50, p95 = (ranked[math.ceil(len(ranked) * share) - 1] for share in (0.50, 0.95))
        row = rows[provider]
        assert (row.p50_latency_ms, row.p95_latency_ms) == ((p50 + 500) // 1000, (p95 + 500) // 1000)
        assert (row.p50_ttft_ms, row.p95_ttft_ms) == ((p50 // 2 + 500) // 1000, (p95 // 2 + 500) // 1000)


def test_without_a_success_there_is_no_percentile(filled: Callable[..., Store]) -> None:
    (row,) = spend(filled({"status": "failed"}), "total")
    assert (row.p50_latency_ms, row.p95_ttft_ms) == (None, None)


@pytest.mark.parametrize("by", ["", "colour", "tag:", "tag", "provider; DROP TABLE contexts"])
def test_an_unknown_group_is_refused_with_those_that_exist(filled: Callable[..., Store], by: str) -> None:
    store = filled({"cost": 1})
    with pytest.raises(ConfigError, match="provider, model, key"):
        spend(store, by)
    assert len(spend(store, "provider")) == 1, "the connection is still usable"


def test_the_tables_say_what_the_rows_say(filled: Callable[..., Store]) -> None:
    store = filled(
        {"attempt": 1, "target": "openai/a", "status": "failed", "cost": 0, "simulated": True},
        {
            "attempt": 2,
            "target": "anthropic/b",
            "cost": 1_500,
            "usage": Usage(1_234, 5),
            "ttft_us": 1_600,
            "latency_us": 2_499,
        },
    )
    headers, rows = spend_table(spend_report(store, "provider"))
    assert headers[:3] == ["provider", "requests", "attempts"]
    assert rows[0] == ["anthropic", "1", "1", "0", "1,234", "0", "5", "$0.0000015", "2 ms", "2 ms", "2 ms", "2 ms"]
    assert rows[1][0] == "openai (simulated)"
    assert all(len(row) == len(headers) for row in rows)
    (request_id,) = {row[0] for row in store.connection.execute("SELECT request_id FROM attempts")}
    headers, rows = attempts_table(explain(store, request_id))
    assert [row[:2] for row in rows] == [["1", "openai/a"], ["2", "anthropic/b"]]
    assert all(len(row) == len(headers) for row in rows)


NOW = datetime(2026, 11, 24, 13, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-24", datetime(2026, 11, 24, tzinfo=UTC)),
        ("2026-11-24T12:30", datetime(2026, 11, 24, 12, 30, tzinfo=UTC)),
        ("2026-11-24T12:30+02:00", datetime(2026, 11, 24, 10, 30, tzinfo=UTC)),
        ("today", datetime(2026, 11, 24, tzinfo=UTC)),
        (" Yesterday ", datetime(2026, 11, 23, tzinfo=UTC)),
        ("now", NOW),
        ("90m", NOW - timedelta(minutes=90)),
        ("24h", NOW - timedelta(days=1)),
        ("7d", NOW - timedelta(days=7)),
        ("2w", NOW - timedelta(days=14)),
    ],
)
def test_moments(text: str, moment: datetime) -> None:
    for now in (NOW, NOW.astimezone(timezone(timedelta(hours=-8)))):
        assert parse_when(text, now) == int(moment.timestamp()) * 10**9


@pytest.mark.parametrize("text", ["", "soon", "-1d", "1y", "²d", "2026-13-01", "d", "1.5h"])
def test_what_is_no_moment_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ConfigError, match="yesterday, 24h or 7d"):
        parse_when(text, NOW)


def test_a_span_longer_than_history_is_the_beginning() -> None:
    assert parse_when("99999w", NOW) == 0


def test_a_moment_beyond_what_a_column_holds_is_after_everything(tmp_path: Path) -> None:
    store = fill(tmp_path, [{"request": "a", "cost": 10, "latency_us": 4_000}])
    last = parse_when("9999-12-31", NOW)
    assert [row.requests for row in spend_report(store, "total", None, last).rows] == [1]
    assert not spend_report(store, "total", last, None).rows


def test_simulated_and_real_attempts_never_share_a_row(tmp_path: Path) -> None:
    store = fill(
        tmp_path,
        [
            {"request": "a", "cost": 10, "latency_us": 4_000},
            {"request": "b", "cost": 500, "latency_us": 1_000, "simulated": True},
            {"request": "c", "cost": 700, "latency_us": 1_000, "simulated": True},
        ],
    )
    real, simulated = spend(store, "provider")
    assert (real.requests, real.cost_nanos, real.simulated_attempts, real.p50_latency_ms) == (1, 10, 0, 4)
    assert (simulated.requests, simulated.cost_nanos, simulated.simulated_attempts) == (2, 1200, 2)
    assert [row[0] for row in spend_table(spend_report(store, "provider"))[1]] == [
        "openai",
        "openai (simulated)",
        "total",
        "total (simulated)",
    ]


def test_what_failures_and_estimates_cost_stands_apart(filled: Callable[..., Store]) -> None:
    store = filled(
        {"request": "a", "cost": 1},
        {"request": "b", "cost": 20, "status": "failed"},
        {"request": "c", "cost": 300, "status": "cancelled", "estimated": True},
        {"request": "d", "cost": 4_000, "status": "rejected"},
        {"request": "e", "cost": 50_000, "estimated": True},
    )
    (row,) = spend(store, "total")
    assert (row.cost_nanos, row.failed_nanos, row.estimated_nanos, row.estimated_attempts) == (54_321, 4_320, 50_300, 2)
    headers, (cells,) = spend_table(spend_report(store, "total"))
    assert cells[headers.index("of failures")] == "$0.00000432"
    assert cells[headers.index("estimated")] == "$0.0000503"


def test_several_groups_at_once_with_a_total_and_filters(filled: Callable[..., Store]) -> None:
    store = filled(
        {"request": "a", "tenant": "x", "model": "m1", "cost": 1, "tags": {"team": "q", "site": "1"}},
        {"request": "b", "tenant": "x", "model": "m2", "cost": 20, "tags": {"team": "q"}},
        {"request": "c", "tenant": "y", "model": "m1", "cost": 300, "tags": {"team": "r"}},
        {"request": "c", "attempt": 2, "tenant": "y", "model": "m1", "cost": 4_000, "target": "anthropic/b"},
    )
    report = spend_report(store, "tenant,model")
    assert [(row.groups, row.requests, row.attempts, row.total_nanos) for row in report.rows] == [
        ({"tenant": "y", "model": "m1"}, 1, 2, 4_300),
        ({"tenant": "x", "model": "m2"}, 1, 1, 20),
        ({"tenant": "x", "model": "m1"}, 1, 1, 1),
    ]
    _, cells = spend_table(report)
    assert [row[:4] for row in cells] == [
        ["y", "m1", "1", "2"],
        ["x", "m2", "1", "1"],
        ["x", "m1", "1", "1"],
        ["total", "", "3", "4"],
    ]
    for filters, cost in (
        (Filters(tenant="x"), 21),
        (Filters(tenant="x", model="m1"), 1),
        (Filters(tags=(("team", "q"),)), 21),
        (Filters(tags=(("team", "q"), ("site", "1"))), 1),
        (Filters(provider="anthropic"), 4_000),
        (Filters(key="nobody"), None),
    ):
        for by in ("total", "target,day", "tag:site"):
            totals = spend_report(store, by, filters=filters).totals
            assert (totals[0].total_nanos if totals else None) == cost


def test_periods_have_their_names(filled: Callable[..., Store]) -> None:
    store = filled({"request": "a", "at_ns": MIDNIGHT_NS + 13 * DAY_NS // 24, "cost": 1})
    assert spend(store, "hour,day,week,month")[0].group == "2026-09-21T13, 2026-09-21, 2026-W39, 2026-09"


def test_a_group_is_named_once(filled: Callable[..., Store]) -> None:
    with pytest.raises(ConfigError, match="grouped twice"):
        spend(filled({"cost": 1}), "day,day")
