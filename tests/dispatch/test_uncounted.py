"""Requests in dialects that count no tokens, such as boto3's ``invoke_endpoint``: nobody knows what they used."""

from __future__ import annotations

import msgspec
import pytest
from road import PRICE, Road, Sink

from trimaran.dispatch.call import Call
from trimaran.dispatch.inbound import Inbound
from trimaran.errors import BudgetExceeded, CostCapExceeded, LimitExceeded, TrimaranError
from trimaran.testing.event_stream import event
from trimaran.types import Allowance, Limits, PriceTier, TokenPrice
from trimaran.wire import DIALECTS

RAW = DIALECTS["sagemaker.invocations"]
FLAT = msgspec.structs.replace(PRICE, tiers=(PriceTier(0, 0, 0),), request=5_000)
ALLOWANCES = {unit: Allowance(f"key:k:{unit}/day", "key", "k", unit, 1_000_000, "day") for unit in ("usd", "tokens")}
ALLOWANCES["requests"] = Allowance("key:k:requests/day", "key", "k", "requests", 1, "day")


class Stage(Road):
    def __init__(self, price: TokenPrice | None = PRICE) -> None:
        super().__init__(targets=1, price=price, dialect=RAW.name)
        self.snapshot = msgspec.structs.replace(self.snapshot, allowances=tuple(ALLOWANCES.values()))
        self.dispatcher.apply(self.snapshot)

    def invoke(self, *units: str, stream: bool = False, cap: int | None = None) -> tuple[Call, Sink]:
        path = b"/endpoints/chat/invocations" + b"-response-stream" * stream
        allowances = tuple(ALLOWANCES[unit].id for unit in units)
        inbound = Inbound(
            "r1",
            RAW,
            RAW.read(b"x" * 40, path),
            self.dispatcher.route("chat"),
            Limits(max_cost_nanos=cap),
            "default",
            allowances=allowances,
        )
        sink = Sink()
        return self.dispatcher.submit(inbound, sink), sink


@pytest.mark.parametrize("price", [PRICE, None])
def test_the_cost_of_an_answer_is_unknown_and_no_usage_is_made_up(price: TokenPrice | None) -> None:
    stage = Stage(price)
    call, sink = stage.invoke()
    stage.sent().whole({"any": "thing"})
    (settled,) = stage.journal.settled
    assert sink.log == ["answer"] and call.cost_nanos is None
    assert (settled.usage, settled.cost_nanos, settled.estimated) == (None, None, False)


def test_so_is_that_of_a_stream_and_of_one_that_breaks() -> None:
    stage = Stage()
    _, sink = stage.invoke(stream=True)
    stage.sent().head()
    stage.sent().exchange.on_data(event("PayloadPart", b"some"))
    stage.sent().exchange.on_end()
    assert sink.log[-1] == "end"
    stage.invoke(stream=True)
    stage.sent().head()
    stage.sent().exchange.on_data(event("PayloadPart", b"some"))
    stage.sent().exchange.on_data(event("PayloadPart", b"more")[:-3])
    stage.sent().exchange.on_end()
    assert [(each.usage, each.cost_nanos) for each in stage.journal.settled] == [(None, None)] * 2
    assert stage.journal.settled[1].error_code == "stream_cut"


def test_a_refusal_costs_nothing() -> None:
    stage = Stage()
    stage.invoke()
    stage.sent().whole({}, 400)
    assert [(each.usage, each.cost_nanos) for each in stage.journal.settled] == [(None, 0)]


@pytest.mark.parametrize(("unit", "error"), [("usd", BudgetExceeded), ("tokens", LimitExceeded)])
def test_under_a_limit_on_what_is_not_counted_nothing_is_sent(unit: str, error: type[TrimaranError]) -> None:
    stage = Stage()
    _, sink = stage.invoke(unit)
    assert isinstance(sink.error, error) and not stage.upstream.sent
    assert "cannot be bounded" in sink.error.message


def test_under_a_cost_cap_neither() -> None:
    stage = Stage()
    _, sink = stage.invoke(cap=10**12)
    assert isinstance(sink.error, CostCapExceeded) and not stage.upstream.sent


def test_a_limit_on_requests_binds_it() -> None:
    stage = Stage()
    stage.invoke("requests")
    stage.sent().whole({})
    _, sink = stage.invoke("requests")
    assert isinstance(sink.error, LimitExceeded) and len(stage.upstream.sent) == 1


def test_a_price_by_the_request_is_charged_under_a_budget() -> None:
    stage = Stage(FLAT)
    call, _ = stage.invoke("usd", cap=5)
    stage.sent().whole({})
    assert call.cost_nanos == 5 and stage.journal.settled[0].cost_nanos == 5
    used = [each.used for each in stage.dispatcher.purse._accounts.values()]
    assert used == [5]
