"""FOCUS rows obey the rules of the specification (1.2), and add up to what the ledger knows.

The rules are encoded here from the specification's columns, not taken from the code that makes the rows.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from decimal import Context as Precision
from decimal import Decimal, localcontext
from pathlib import Path

import pytest

from trimaran.catalog import cost_nanos
from trimaran.ledger import (
    FOCUS_COLUMNS,
    CapacityUsed,
    Filters,
    IdSource,
    JournalWriter,
    PriceUsed,
    Settled,
    Started,
    Store,
    encode_tags,
    focus_rows,
    spend_report,
)
from trimaran.types import PriceTier, TokenPrice, Usage

HOUR_NS = 3_600 * 10**9
NOON_NS = 1_790_000_000 * 10**9 // HOUR_NS * HOUR_NS
PRICE = TokenPrice(
    version="prices 2026-09-01",
    source="https://example.com/prices",
    as_of="2026-09-01",
    tiers=(
        PriceTier(0, 150_001, 600_003, 75_007, 180_000, None, 900_000, 1_000_000, 2_000_000),
        PriceTier(1_000, 300_000, 900_000),
    ),
    request=7_777,
    services={"flex": (PriceTier(0, 70_001, 300_001),)},
    web_search=10_000_000_000,
)
FULL = "openai/full"

MANDATORY = {
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
    "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost",
    "EffectiveCost", "InvoiceIssuerName", "ListCost", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName",
    "ServiceCategory", "ServiceName",
}  # fmt: skip
NOT_NULL = {
    "BilledCost", "BillingAccountId", "BillingAccountType", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
    "ChargeCategory", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost", "EffectiveCost",
    "InvoiceIssuerName", "ListCost", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName",
    "ServiceSubcategory",
}  # fmt: skip
NOT_NULL_OF_USAGE = {
    "ContractedUnitPrice", "ListUnitPrice", "PricingCategory", "PricingQuantity", "PricingUnit", "SkuId", "SkuPriceId"
}  # fmt: skip
DECIMALS = {
    "BilledCost", "CommitmentDiscountQuantity", "ConsumedQuantity", "ContractedCost", "ContractedUnitPrice",
    "EffectiveCost", "ListCost", "ListUnitPrice", "PricingQuantity",
}  # fmt: skip
ALLOWED = {
    "ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"},
    "ChargeClass": {"", "Correction"},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "CommitmentDiscountCategory": {"", "Spend", "Usage"},
    "CommitmentDiscountStatus": {"", "Used", "Unused"},
    "PricingCategory": {"", "Standard", "Dynamic", "Committed", "Other"},
    "ServiceCategory": {"AI and Machine Learning", "Compute"},
}
SUBCATEGORIES = {"Generative AI": "AI and Machine Learning", "Other (Compute)": "Compute"}
NULL_TOGETHER = [
    ("CommitmentDiscountId", "CommitmentDiscountCategory", "CommitmentDiscountQuantity", "CommitmentDiscountStatus",
     "CommitmentDiscountType", "CommitmentDiscountUnit"),
    ("ConsumedQuantity", "ConsumedUnit"),
    ("PricingQuantity", "PricingUnit"),
    ("ResourceId", "ResourceType"),
    ("SubAccountId", "SubAccountType"),
]  # fmt: skip
DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?")
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
UNIT = re.compile(r"([1-9][0-9]* )?[A-Z][A-Za-z]*s|[A-Z][a-z]*-[A-Z][a-z]*s")
NANO = Decimal("0.000000001")


def check_row(row: dict[str, str]) -> None:
    for name in NOT_NULL:
        assert row[name].strip(), name
    for name, allowed in ALLOWED.items():
        assert row[name] in allowed, name
    for name in DECIMALS:
        assert not row[name] or DECIMAL.fullmatch(row[name]), (name, row[name])
    for group in NULL_TOGETHER:
        assert len({row[name] == "" for name in group}) == 1, group
    for name in ("BillingPeriodEnd", "BillingPeriodStart", "ChargePeriodEnd", "ChargePeriodStart"):
        assert MOMENT.fullmatch(row[name]), name
    for name in ("ConsumedUnit", "PricingUnit", "CommitmentDiscountUnit"):
        assert not row[name] or UNIT.fullmatch(row[name]), (name, row[name])
    assert row["BillingCurrency"] == "USD"
    assert SUBCATEGORIES[row["ServiceSubcategory"]] == row["ServiceCategory"]
    usage = row["ChargeCategory"] == "Usage"
    if usage:
        assert all(row[name] for name in NOT_NULL_OF_USAGE)
        assert (row["ConsumedQuantity"] == "") is (row["CommitmentDiscountStatus"] == "Unused")
        assert Decimal(row["ListUnitPrice"]) >= 0 and Decimal(row["ContractedUnitPrice"]) >= 0
    else:
        assert not row["ConsumedQuantity"]
        assert row["EffectiveCost"] == row["ListCost"] == row["ContractedCost"] == row["BilledCost"]
    for price, cost in (("ListUnitPrice", "ListCost"), ("ContractedUnitPrice", "ContractedCost")):
        if row[price]:
            assert Decimal(row[price]) * Decimal(row["PricingQuantity"]) == Decimal(row[cost]), cost
    assert (row["PricingCategory"] == "Committed") is bool(row["CommitmentDiscountId"])
    start, end = (datetime.fromisoformat(row[f"ChargePeriod{edge}"]) for edge in ("Start", "End"))
    month, month_end = (datetime.fromisoformat(row[f"BillingPeriod{edge}"]) for edge in ("Start", "End"))
    assert month <= start < end <= month_end
    for name in ("Tags", "SkuPriceDetails"):
        if row[name]:
            found = json.loads(row[name])
            assert found and all(isinstance(value, str | int | float | bool) for value in found.values())
    if row["SkuPriceDetails"]:
        assert row["SkuPriceId"] and all(name.startswith("x_") for name in json.loads(row["SkuPriceDetails"]))


def read(store: Store, *arguments: object, **more: object) -> list[dict[str, str]]:
    header, *rows = focus_rows(store, *arguments, **more)  # type: ignore[arg-type]
    return [dict(zip(header, row, strict=True)) for row in rows]


def total(rows: list[dict[str, str]], column: str) -> Decimal:
    return sum((Decimal(row[column]) for row in rows), Decimal())


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    with localcontext(Precision(prec=80)):
        yield


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Two tenants, every kind of token, failures, unknown and simulated costs, and a pool of three kinds."""
    writer = JournalWriter(tmp_path / "journal", "w", 1 << 20)
    ids = IdSource(0)
    usages = [
        Usage(900, 120, 300, 200, 0, 30, 100, 20, 2),
        Usage(3, 1),
        Usage(5_000, 77, 1_000),
        Usage(0, 0),
        Usage(999, 1),
    ]
    writer.append(PriceUsed(FULL, PRICE))
    for number in range(40):
        at = NOON_NS + number * HOUR_NS
        usage = usages[number % 5]
        request, tenant = ids.next(at // 10**6), f"t{number % 2}"
        tier = "flex" if number % 5 == 4 else ""
        tags = encode_tags({"team": "x", "cost_center": "42"}) if number % 2 else ""
        writer.append(Started(request, 1, at, tenant, f"k{number % 3}", tags, "chat", FULL, "openai"))
        writer.append(
            Settled(
                request, 1, at + 10**9, tenant, "ok" if number % 7 else "cancelled", 200, price_version=PRICE.version,
                estimated=number % 4 == 0, latency_us=10**6, usage=usage, cost_nanos=cost_nanos(PRICE, usage, tier),
                service_tier=tier,
            )
        )  # fmt: skip
    for name, at, provider, cost, simulated in (
        ("unknown", NOON_NS, "mystery", None, False),
        ("unpriced row", NOON_NS, "gone", 123_456_789, False),
        ("simulated", NOON_NS, "openai", 5_000, True),
        ("pool", NOON_NS + 10 * 60 * 10**9, "vllm", None, False),
        ("pool", NOON_NS + 55 * 60 * 10**9, "vllm", None, False),
    ):
        request = ids.next(at // 10**6)
        writer.append(Started(request, 1, at, "t9", "k", "", "chat", f"{provider}/m", provider, simulated=simulated))
        writer.append(
            Settled(
                request,
                1,
                at,
                "t9",
                latency_us=17 * 60 * 10**6 + 1,
                usage=Usage(100, 7),
                cost_nanos=cost,
                price_version=name,
            )
        )
    for option, hourly, amortised in (
        ("on_demand", 98_320_000_007, 0),
        ("spot", 33_333_333_333, 0),
        ("committed_1y", 50_000_000_001, 20_000_000_000),
        ("committed_3y", 7_000_000_001, 7_000_000_001),
    ):
        for minute in range(75):
            start = NOON_NS + minute * 60 * 10**9
            writer.append(
                CapacityUsed(
                    "vllm",
                    start,
                    start + 60 * 10**9,
                    1,
                    "p5",
                    "eks",
                    "us-east-1",
                    option,
                    hourly,
                    amortised,
                    "s",
                    "2026-01-01",
                )
            )
    writer.close()
    with Store(tmp_path / "ledger.db") as store:
        assert store.ingest(tmp_path / "journal").damaged == 0
        yield store


def test_every_row_obeys_the_specification(store: Store) -> None:
    rows = read(store)
    for row in rows:
        check_row(row)
    assert set(FOCUS_COLUMNS) >= MANDATORY
    ours = [name for name in FOCUS_COLUMNS if name.startswith("x_")]
    theirs = [name for name in FOCUS_COLUMNS if not name.startswith("x_")]
    assert [*sorted(theirs), *sorted(ours)] == list(FOCUS_COLUMNS)
    assert {row["ChargeCategory"] for row in rows} == {"Usage", "Adjustment"}
    assert {row["SkuMeter"] for row in rows} >= {
        "input tokens", "cached input tokens", "cache write tokens", "audio input tokens", "output tokens",
        "reasoning tokens", "audio output tokens", "web search", "request", "replica time",
    }  # fmt: skip


def test_costs_add_up_to_what_the_ledger_knows(store: Store) -> None:
    rows = read(store)
    (known,) = [row for row in spend_report(store, "total").totals if not row.simulated]
    assert known.total_nanos and known.capacity_nanos and known.idle_nanos and known.amortised_nanos
    assert total(rows, "EffectiveCost") == known.total_nanos * NANO
    assert total(rows, "BilledCost") == (known.total_nanos - known.amortised_nanos) * NANO


def test_costs_add_up_for_each_payer_and_day(store: Store) -> None:
    found = defaultdict[tuple[str, str], Decimal](Decimal)
    for row in read(store):
        found[row["SubAccountId"] or "(idle)", row["ChargePeriodStart"][:10]] += Decimal(row["EffectiveCost"])
    for row in spend_report(store, "tenant,day").rows:
        if not row.simulated and row.total_nanos:
            assert found.pop((row.groups["tenant"], row.groups["day"])) == row.total_nanos * NANO
    assert found == {}


def test_quantities_are_what_was_counted(store: Store) -> None:
    rows = [
        row for row in read(store) if row["ServiceSubcategory"] == "Generative AI" and row["ConsumedUnit"] == "Tokens"
    ]
    counted = sum(Decimal(row["ConsumedQuantity"]) for row in rows)
    total_row = spend_report(store, "target", filters=Filters(target=FULL)).totals[0]
    assert counted == total_row.input_tokens + total_row.output_tokens
    for row in rows:
        assert Decimal(row["ConsumedQuantity"]) == Decimal(row["PricingQuantity"]) * 10**6


def test_pools_are_used_or_idle_and_commitments_used_or_unused(store: Store) -> None:
    rows = [row for row in read(store) if row["ServiceCategory"] == "Compute"]
    seen = {(row["PricingCategory"], row["CommitmentDiscountStatus"], bool(row["SubAccountId"])) for row in rows}
    assert seen == {
        ("Standard", "", True), ("Standard", "", False), ("Dynamic", "", True), ("Dynamic", "", False),
        ("Committed", "Used", True), ("Committed", "Unused", False),
    }  # fmt: skip
    assert all(row["RegionId"] == "us-east-1" and row["ResourceId"] == "vllm" for row in rows)
    paid_up_front = [row for row in rows if row["CommitmentDiscountType"] == "committed_3y"]
    assert total(paid_up_front, "BilledCost") < NANO < total(paid_up_front, "EffectiveCost")


def test_what_is_simulated_is_left_out_or_given_alone(store: Store) -> None:
    assert {row["x_Simulated"] for row in read(store)} == {"false"}
    (row,) = read(store, simulated=True)
    assert (row["x_Simulated"], row["EffectiveCost"]) == ("true", "0.000005")
    check_row(row)


def test_filters_and_periods_hold(store: Store) -> None:
    rows = read(store, None, None, Filters(tenant="t1"))
    assert {row["SubAccountId"] for row in rows} == {"t1"}
    assert {row["Tags"] for row in rows} == {'{"cost_center":"42","team":"x"}'}
    early = read(store, None, NOON_NS + 5 * HOUR_NS)
    late = read(store, NOON_NS + 5 * HOUR_NS, None)
    assert total(early, "EffectiveCost") + total(late, "EffectiveCost") == total(read(store), "EffectiveCost")
