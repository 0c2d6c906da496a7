"""Time of pools: told once, in whole minutes where there are whole minutes, and never invented."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.config import load_mapping
from trimaran.control.capacity import CapacityMeter, CapacityRecorder, counted, stated_capacity
from trimaran.ledger import CapacityUsed, Store

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
NOON_NS = 1_790_000_040 * SECOND_NS
"""A whole minute."""
POOL = CapacityUsed("vllm", 0, 0, 2, hourly_nanos=5 * 10**9)


class Told(list[CapacityUsed]):
    """Records as seconds from noon."""

    def spans(self) -> list[tuple[float, float, int]]:
        return [
            ((each.from_ns - NOON_NS) / SECOND_NS, (each.until_ns - NOON_NS) / SECOND_NS, each.replicas)
            for each in self
        ]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def meter(told: Told) -> CapacityMeter:
    return CapacityMeter(told.append)


def ticks(meter: CapacityMeter, first_s: int, last_s: int) -> None:
    for second in range(first_s, last_s + 1):
        meter.tick(NOON_NS + second * SECOND_NS)


def test_minutes_are_whole_between_start_and_stop(meter: CapacityMeter, told: Told) -> None:
    meter.apply([POOL], NOON_NS + 40 * SECOND_NS)
    ticks(meter, 41, 130)
    assert told.spans() == [(40, 60, 2), (60, 120, 2)]
    meter.stop(NOON_NS + 135 * SECOND_NS)
    assert told.spans()[2:] == [(120, 135, 2)]
    meter.stop(NOON_NS + 136 * SECOND_NS)
    assert len(told) == 3


def test_a_change_ends_what_stood_and_begins_what_stands(meter: CapacityMeter, told: Told) -> None:
    meter.apply([POOL], NOON_NS)
    ticks(meter, 1, 20)
    meter.apply([POOL], NOON_NS + 20 * SECOND_NS)
    assert told == [], "a reload that changes nothing cuts nothing"
    meter.apply([msgspec.structs.replace(POOL, replicas=3)], NOON_NS + 30 * SECOND_NS)
    ticks(meter, 31, 60)
    meter.apply([], NOON_NS + 70 * SECOND_NS)
    ticks(meter, 71, 200)
    assert told.spans() == [(0, 30, 2), (30, 60, 3), (60, 70, 3)]


def test_a_pool_without_replicas_is_not_told(meter: CapacityMeter, told: Told) -> None:
    meter.apply([msgspec.structs.replace(POOL, replicas=0)], NOON_NS)
    ticks(meter, 1, 100)
    assert told == []


def test_a_gap_is_not_invented(meter: CapacityMeter, told: Told) -> None:
    meter.apply([POOL], NOON_NS)
    ticks(meter, 1, 10)
    ticks(meter, 3_600, 3_661)
    assert told.spans() == [(0, 10, 2), (3_600, 3_660, 2)]


def test_a_clock_that_is_set_back_tells_nothing_twice(meter: CapacityMeter, told: Told) -> None:
    meter.apply([POOL], NOON_NS)
    ticks(meter, 1, 65)
    ticks(meter, 20, 125)
    assert told.spans() == [(0, 60, 2), (60, 120, 2)]


@given(st.lists(st.integers(-30, 400), max_size=40))
def test_records_never_overlap(steps: list[int]) -> None:
    told = Told()
    meter = CapacityMeter(told.append)
    now = NOON_NS
    meter.apply([POOL], now)
    for step in steps:
        now += step * SECOND_NS
        meter.tick(now)
    meter.stop(now)
    for before, after in pairwise(told):
        assert before.until_ns <= after.from_ns
    assert all(0 < each.until_ns - each.from_ns <= MINUTE_NS for each in told)


async def test_the_recorder_s_records_arrive_in_the_store(tmp_path: Path) -> None:
    now = [NOON_NS + 10 * SECOND_NS]
    pools = [POOL]
    recorder = CapacityRecorder(tmp_path / "journal", lambda: pools, wall_ns=lambda: now[0])
    recorder.start()
    now[0] += 20 * SECOND_NS
    pools = [msgspec.structs.replace(POOL, replicas=1)]
    recorder.apply()
    now[0] += 5 * SECOND_NS
    recorder.stop()
    with Store(tmp_path / "ledger.db") as store:
        store.ingest(tmp_path / "journal")
        rows = store.connection.execute(
            "SELECT pool, from_ns, until_ns, replicas, hourly_nanos FROM capacity ORDER BY from_ns"
        ).fetchall()
    assert rows == [
        ("vllm", NOON_NS + 10 * SECOND_NS, NOON_NS + 30 * SECOND_NS, 2, 5 * 10**9),
        ("vllm", NOON_NS + 30 * SECOND_NS, NOON_NS + 35 * SECOND_NS, 1, 5 * 10**9),
    ]
    assert list((tmp_path / "journal").iterdir()) == []


async def test_replicas_that_are_counted_anew_begin_a_record(tmp_path: Path) -> None:
    now = [NOON_NS]
    instances: dict[str, int] = {}
    endpoint = msgspec.structs.replace(POOL, pool="sagemaker/m")
    recorder = CapacityRecorder(tmp_path / "journal", lambda: counted([endpoint], instances), wall_ns=lambda: now[0])
    recorder.start()
    for count in (3, 3, 0):
        now[0] += 5 * SECOND_NS
        instances = {"sagemaker/m": count}
        recorder.beat()
    now[0] += 5 * SECOND_NS
    recorder.stop()
    with Store(tmp_path / "ledger.db") as store:
        store.ingest(tmp_path / "journal")
        rows = store.connection.execute("SELECT from_ns, until_ns, replicas FROM capacity ORDER BY from_ns").fetchall()
    # Two as configured, then three as counted, then none: what does not stand costs nothing.
    assert [((start - NOON_NS) // SECOND_NS, (end - NOON_NS) // SECOND_NS, count) for start, end, count in rows] == [
        (0, 5, 2),
        (5, 15, 3),
    ]


async def test_without_pools_there_is_no_journal(tmp_path: Path) -> None:
    recorder = CapacityRecorder(tmp_path / "journal", list)
    recorder.start()
    recorder.stop()
    assert not (tmp_path / "journal").exists()


def test_a_configuration_states_its_pools() -> None:
    config = load_mapping(
        {
            "providers": {
                "vllm": {
                    "base_url": "http://127.0.0.1:8000",
                    "region": "us-east-1",
                    "capacity": {
                        "replicas": 2,
                        "hourly": "98.32 USD",
                        "amortised_hourly": "10 USD",
                        "purchase_option": "committed_1y",
                        "offer": "p5.48xlarge",
                        "platform": "eks",
                        "source": "invoice 7",
                        "as_of": "2026-10-01",
                    },
                },
                "other": {"base_url": "http://127.0.0.1:8001"},
            }
        },
        {},
    )
    (pool,) = stated_capacity(config)
    assert pool == CapacityUsed(
        "vllm", 0, 0, 2, "p5.48xlarge", "eks", "us-east-1", "committed_1y", 98_320_000_000, 10**10, "invoice 7",
        "2026-10-01", False,
    )  # fmt: skip
    assert stated_capacity(config, simulated=True)[0].simulated
