"""A target that may have to be started first has more time for its first token, and only then."""

from __future__ import annotations

import msgspec
import pytest
from road import Road, chat_answer

from trimaran.config import load_mapping
from trimaran.dispatch.runtime import WARM_S
from trimaran.dispatch.snapshot import build_snapshot
from trimaran.types import Limits

LIMITS = Limits(ttft_s=5.0)


def cold_road() -> Road:
    road = Road()
    runtime = road.dispatcher.routes.find("chat").targets["openai/a"]
    runtime.target = msgspec.structs.replace(runtime.target, cold_start_s=60.0)
    return road


def test_a_cold_start_is_waited_for() -> None:
    road = cold_road()
    _, sink = road.ask(stream=True, limits=LIMITS)
    road.after(64.0)
    assert road.tried == ["a"]
    road.after(1.5)
    assert road.tried == ["a", "b"]
    assert sink.error is None


def test_what_has_just_answered_runs_and_is_not_waited_for() -> None:
    road = cold_road()
    road.ask(limits=LIMITS)
    road.sent().whole(chat_answer("hello"))
    road.ask(stream=True, limits=LIMITS)
    road.after(5.1)
    assert road.tried == ["a", "a", "b"]


def test_after_a_quarter_of_an_hour_it_may_be_cold_again() -> None:
    road = cold_road()
    road.ask(limits=LIMITS)
    road.sent().whole(chat_answer("hello"))
    road.after(WARM_S + 1.0)
    road.ask(stream=True, limits=LIMITS)
    road.after(30.0)
    assert road.tried == ["a", "a"]


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({"kind": "cloud_run", "base_url": "https://x.run.app"}, 240.0),
        ({"kind": "cloud_run", "base_url": "https://x.run.app", "cold_start": "0s"}, 0.0),
        ({"base_url": "http://127.0.0.1:8000", "cold_start": "2m"}, 120.0),
        ({"base_url": "http://127.0.0.1:8000"}, 0.0),
    ],
)
def test_cloud_run_may_be_cold_and_others_where_the_operator_says_so(settings: dict[str, str], seconds: float) -> None:
    data = {"models": {"m": {"targets": ["mine/x"]}}, "providers": {"mine": settings}}
    snapshot = build_snapshot(load_mapping(data, {}), {}, 1)
    assert snapshot.targets["mine/x"].cold_start_s == seconds
