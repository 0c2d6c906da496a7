"""Spend with pools: who bears what, what is idle, and what stays unknown; and one attempt explained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from trimaran.ledger import (
    CapacityUsed,
    Filters,
    IdSource,
    JournalWriter,
    PriceUsed,
    Record,
    Settled,
    SpendRow,
    Started,
    Store,
    explanation,
    explanation_text,
    ledger_status,
    spend,
    spend_csv,
    spend_report,
    spend_table,
)
from trimaran.ledger.capacity import apportion
from trimaran.types import PriceTier, TokenPrice, Usage

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
NOON_NS = 1_790_000_000 * SECOND_NS // HOUR_NS * HOUR_NS
CENT = 10**7
"""A replica's second at 36 dollars an hour."""
IDS = IdSource(0, entropy=7)


def served(
    at_s: int,
    seconds: int,
    tenant: str = "a",
    tokens: int = 100,
    status: str = "ok",
    provider: str = "vllm",
    target: str = "",
    **more: Any,
) -> list[Record]:
    at_ns = NOON_NS + at_s * SECOND_NS
    request = IDS.next(at_ns // 10**6)
    where = target or f"{provider}/m"
    return [
        Started(request, 1, at_ns, tenant, "k", "", "chat", where, provider, why="first", bound_nanos=more.pop("bound", None)),
        Settled(
            request, 1, at_ns + seconds * SECOND_NS, tenant, status, 200, latency_us=seconds * 10**6,
            usage=more.pop("usage", Usage(tokens - 1, 1)), **more,
        ),
    ]  # fmt: skip


def stood(from_s: int, until_s: int, replicas: int = 1, pool: str = "vllm", **more: Any) -> CapacityUsed:
    values = {"hourly_nanos": 36 * 10**9, "platform": "eks", "region": "us-east-1", "offer": "p5"} | more
    return CapacityUsed(pool, NOON_NS + from_s * SECOND_NS, NOON_NS + until_s * SECOND_NS, replicas, **values)


Fill = Callable[..., Store]


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Fill]:
    stores: list[Store] = []

    def make(*records: Record | list[Record]) -> Store:
        writer = JournalWriter(tmp_path / "journal", "w", 1 << 18)
        for each in records:
            for record in each if isinstance(each, list) else [each]:
                writer.append(record)
        writer.close()
        stores.append(Store(tmp_path / "ledger.db"))
        stores[-1].ingest(tmp_path / "journal")
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def by_group(rows: list[SpendRow]) -> dict[str, SpendRow]:
    return {row.group: row for row in rows}


def test_tenants_bear_the_busy_share_and_the_rest_is_idle(filled: Fill) -> None:
    store = filled(
        stood(0, 600),
        served(0, 60, "a", tokens=100),
        served(0, 60, "b", tokens=300),
        served(60, 40, "a", status="failed", usage=None, cost_nanos=0),
    )
    rows = by_group(spend(store, "tenant"))
    # 100 and 300 tokens for 60 s, and one token (its estimate was 0) for 40 s: 6,000 to 18,000 to 40.
    busy = 100 * CENT
    assert sum(row.capacity_nanos or 0 for row in rows.values()) == busy
    assert rows["b"].capacity_nanos == apportion(busy, [6_000, 18_000, 40])[1]
    assert rows["(idle)"].idle_nanos == 500 * CENT
    assert rows["a"].failed_nanos == apportion(busy, [6_000, 18_000, 40])[2]
    assert (rows["a"].unknown_cost_attempts, rows["b"].unknown_cost_attempts) == (0, 0)
    assert (rows["a"].cost_nanos, rows["b"].cost_nanos) == (0, None)
    assert rows["b"].total_nanos == rows["b"].capacity_nanos


def test_a_pool_s_row_has_all_of_it(filled: Fill) -> None:
    store = filled(
        stood(0, 60),
        stood(0, 60, purchase_option="committed_1y", amortised_hourly_nanos=9 * 10**9),
        stood(0, 120, pool="other", hourly_nanos=None),
        served(0, 30),
        served(0, 30, provider="other"),
        served(0, 5, provider="openai", cost_nanos=77),
    )
    rows = by_group(spend(store, "pool"))
    assert (rows["vllm"].total_nanos, rows["vllm"].capacity_nanos, rows["vllm"].idle_nanos) == (
        120 * CENT, 30 * CENT, 90 * CENT,
    )  # fmt: skip
    assert rows["vllm"].amortised_nanos == 15 * CENT
    assert (rows["other"].total_nanos, rows["other"].unpriced_replica_s) == (None, 120)
    assert rows["other"].unknown_cost_attempts == 1
    assert rows[""].total_nanos == 77
    options = by_group(spend(store, "purchase_option"))
    assert options["on_demand"].total_nanos == options["committed_1y"].total_nanos == 60 * CENT
    assert options["(several)"].attempts == 1 and options["(several)"].total_nanos is None
    assert options["per_token"].cost_nanos == 77
    assert by_group(spend(store, "platform,region"))["eks, us-east-1"].total_nanos == 120 * CENT
    headers, cells = spend_table(spend_report(store, "pool"))
    assert "idle" in headers and "amortised" in headers
    costs = {row[0]: row[headers.index("cost")] for row in cells}
    assert costs["vllm"] == "$1.20"
    assert costs["other"] == "unknown"
    assert costs["total"].startswith("≥ $1.200000077 (1 unknown")


def test_every_grouping_adds_up_to_the_pool_and_the_tokens(filled: Fill) -> None:
    store = filled(
        *[served(second, 30, tenant=f"t{second % 3}", tokens=second + 2) for second in range(0, 7_000, 250)],
        *[stood(second, second + 60, replicas=2, hourly_nanos=98_320_000_001) for second in range(0, 7_200, 60)],
        served(10, 5, provider="openai", cost_nanos=77),
    )
    for by in ("tenant", "day", "hour", "pool", "tenant,hour", "model,key,service_tier", "purchase_option", "week"):
        report = spend_report(store, by)
        (total,) = report.totals
        assert sum(row.total_nanos or 0 for row in report.rows) == total.total_nanos
        assert sum(row.requests for row in report.rows) == total.requests == 29
    exact = 2 * 2 * 98_320_000_001
    assert 0 <= (total.total_nanos or 0) - 77 - exact <= 120, "each of the records rounded up once"
    borders = [None, NOON_NS + 1_000 * SECOND_NS, NOON_NS + HOUR_NS, NOON_NS + 5_017 * SECOND_NS, None]
    parts = [spend_report(store, "total", *pair).totals[0] for pair in pairwise(borders)]
    assert sum(row.total_nanos or 0 for row in parts) == total.total_nanos
    assert sum(row.requests for row in parts) == total.requests


def test_an_attempt_without_capacity_at_its_time_is_unknown(filled: Fill) -> None:
    store = filled(stood(0, 60), served(0, 10), served(7_300, 10))
    rows = by_group(spend(store, "hour"))
    assert [row.unknown_cost_attempts for row in rows.values()] == [0, 1]


def test_filters_leave_out_the_idle_share_and_other_tenants(filled: Fill) -> None:
    store = filled(stood(0, 100), served(0, 10, "a"), served(20, 10, "b"))
    (row,) = spend(store, "tenant", filters=Filters(tenant="b"))
    assert (row.group, row.requests, row.capacity_nanos, row.idle_nanos) == ("b", 1, 10 * CENT, 0)
    assert spend(store, "tenant", filters=Filters(model="other")) == []
    assert [each.group for each in spend(store, "key", filters=Filters(key="k", target="vllm/m"))] == ["k"]


def test_a_simulated_pool_stays_apart(filled: Fill) -> None:
    store = filled(stood(0, 60, simulated=True), served(0, 60))
    real, simulated = spend_report(store, "provider").totals
    assert (real.capacity_nanos, real.unknown_cost_attempts) == (None, 1)
    assert (simulated.capacity_nanos, simulated.idle_nanos) == (None, 60 * CENT)


def test_open_attempts_of_the_dead_are_told_from_those_under_way(filled: Fill, tmp_path: Path) -> None:
    store = filled(served(0, 1, bound=900)[:1], served(1, 1)[:1])
    alive = JournalWriter(tmp_path / "journal", "alive", 1 << 18)
    other = IdSource(3).next(NOON_NS // 10**6)
    alive.append(Started(other, 1, NOON_NS, "a", provider="openai", target="openai/m", bound_nanos=70))
    store.ingest(tmp_path / "journal")
    (row,) = spend(store, "total")
    assert (row.open_attempts, row.open_bound_nanos) == (3, 970)
    assert (row.cut_off_attempts, row.cut_off_bound_nanos) == (2, 900)
    assert (row.unknown_cost_attempts, row.total_nanos) == (1, None)
    headers, (cells,) = spend_table(spend_report(store, "total"))
    assert cells[headers.index("under way")] == "≤ $0.00000007 (1)"
    assert cells[headers.index("cut off")] == "≤ $0.0000009 (2)"
    assert [each.cut_off for each in explanation(store, other)] == [False]
    status = ledger_status(store, tmp_path / "journal")
    assert (status.attempts, status.open_attempts, status.cut_off_attempts) == (3, 3, 2)
    assert (status.segments, status.waiting_records) == (1, 0)
    alive.append(Started(other, 2, NOON_NS))
    assert ledger_status(store, tmp_path / "journal").waiting_records == 1
    alive.close()


def test_csv_has_the_figures_of_the_rows(filled: Fill) -> None:
    store = filled(stood(0, 60, hourly_nanos=None), served(0, 10, tenant="a,b"))
    header, row, idle = spend_csv(spend_report(store, "tenant,model"))
    assert header[:2] == ["tenant", "model"]
    assert row[:2] == ["a,b", "chat"] and idle[:2] == ["(idle)", "(idle)"]
    found = dict(zip(header, row, strict=True))
    assert (found["total_nanos"], found["attempts"], found["simulated"]) == ("", "1", "false")


def test_latencies_on_request(filled: Fill) -> None:
    store = filled(served(0, 2), served(0, 4, "b"))
    assert [row.p50_latency_ms for row in spend(store, "tenant,day")] == [None, None]
    assert sorted(row.p50_latency_ms or 0 for row in spend(store, "tenant,day", latencies=True)) == [2_000, 4_000]


PRICE = TokenPrice(
    "prices 1", "https://example.com", "2026-09-01", (PriceTier(0, 150_001, 600_000, 75_000),), valid_from="2026-09-02"
)


def test_an_attempt_is_explained_line_by_line(filled: Fill) -> None:
    request = IDS.next(NOON_NS // 10**6)
    store = filled(
        PriceUsed("openai/m", PRICE),
        Started(request, 1, NOON_NS, "acme", "team-a", '{"team":"x"}', "chat", "openai/m", "openai", "m", "openai.chat",
                "openai.chat", True, False, 5_000, 7, None, "fastest: 412 ms predicted", 3, 2),
        Settled(request, 1, NOON_NS + SECOND_NS, "acme", "failed", 503, "overloaded", reason="asks the next", latency_us=200_000,
                cost_nanos=0),
        Started(request, 2, NOON_NS + SECOND_NS, "acme", "team-a", '{"team":"x"}', "chat", "openai/m", "openai", "m", "openai.chat",
                "openai.chat", True, False, 5_000, 7, None, "next", 3, 2),
        Settled(request, 2, NOON_NS + 2 * SECOND_NS, "acme", "ok", 200, "", "stop", "prices 1", True, "complete", 30_000,
                900_000, Usage(10, 5, 4), 4_201),
    )  # fmt: skip
    first, second = explanation(store, request)
    assert (first.waited_us, second.waited_us) == (None, 800_000)
    assert (first.lines, first.rounding_picos) == ([], None)
    assert [(line.kind, line.quantity, line.picos, line.amount_picos) for line in second.lines] == [
        ("input", 6, 150_001, 900_006),
        ("cached_input", 4, 75_000, 300_000),
        ("output", 5, 600_000, 3_000_000),
    ]
    assert second.rounding_picos == 994
    text = "\n".join(explanation_text([first, second]))
    for words in (
        "tenant acme, key team-a, team=x",
        "failed, HTTP 503, overloaded",
        "800 ms after the attempt before had ended",
        "10 in (4 cached), 5 out, counted by us",
        "prices 1, from https://example.com, as of 2026-09-01, in force from 2026-09-02",
        "6 input x $0.000000150001 = $0.000000900006",
        "bound        $0.000005",
        "rounded up by $0.000000000994",
        "ok, attempt 2 of 2, after 1,900 ms",
    ):
        assert words in text, text


def test_a_share_of_a_pool_is_explained_as_spend_counts_it(filled: Fill) -> None:
    records = served(3_590, 20, tokens=10)
    store = filled(stood(0, 7_200), records, served(3_600, 10, tokens=50))
    request = records[0].request_id  # type: ignore[union-attr]
    (found,) = explanation(store, request)
    assert [(share.service_ns, share.nanos) for share in found.capacity] == [
        (10 * SECOND_NS, 10 * CENT),
        (10 * SECOND_NS, -(-10 * CENT * 10 // 60)),
    ]
    assert [share.idle_nanos for share in found.capacity] == [3_590 * CENT, 3_590 * CENT]
    text = "\n".join(explanation_text([found]))
    assert "by capacity" in text and "vllm (p5 on_demand eks us-east-1): $0.10; 10 tokens x 10.000 s" in text


def test_a_target_can_be_a_pool_by_itself(filled: Fill) -> None:
    """An endpoint has instances of its own: its requests bear them, and no others of its provider do."""
    store = filled(
        stood(0, 10, pool="sagemaker/m"),
        served(0, 4, provider="sagemaker"),
        served(4, 2, "b", provider="sagemaker", target="sagemaker/other"),
    )
    rows = by_group(spend(store, "pool"))
    assert rows["sagemaker/m"].capacity_nanos == 4 * CENT
    assert rows["sagemaker/m"].idle_nanos == 6 * CENT
    assert rows[""].unknown_cost_attempts == 1
    by_provider = by_group(spend(store, "provider"))
    assert by_provider["sagemaker"].capacity_nanos == 4 * CENT
    assert by_provider["sagemaker"].idle_nanos == 6 * CENT
    by_platform = by_group(spend(store, "platform"))
    assert by_platform["eks"].attempts == 1
    assert by_group(spend(store, "tenant"))["b"].unknown_cost_attempts == 1
