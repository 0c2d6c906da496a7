"""Requests in every dialect: read, sized, bounded and translated. Only a refusal may come out."""

from __future__ import annotations

from random import Random

from fuzz.mutate import bend_bytes, bend_json
from fuzz.seeds import REQUESTS, TARGETS
from trimaran.catalog import price_from_usd
from trimaran.dispatch.features import route_request
from trimaran.dispatch.runtime import TargetRuntime
from trimaran.errors import RequestError
from trimaran.wire import DIALECTS, translate

__all__ = ["run"]

_PRICE = price_from_usd("1", "2", source="fuzz", as_of="2026-01-01")
_RUNTIMES = [TargetRuntime(target, "") for target in TARGETS]
for _each in _RUNTIMES:
    _each.price = _PRICE


def run(random: Random) -> str:
    """One body; ``read`` or the refusal's name."""
    name = random.choice(tuple(REQUESTS))
    dialect = DIALECTS[name]
    seed = random.choice(REQUESTS[name])
    body = bend_json(random, seed)
    if random.random() < 0.3:
        body = bend_bytes(random, body)
    try:
        envelope = dialect.read(body)
    except RequestError as error:
        dialect.write_error(error, "r")
        return type(error).__name__
    assert 0 <= envelope.input_tokens <= len(body)
    route_request(envelope, dialect, wants_prefixes=True)
    outcome = "read"
    for runtime in _RUNTIMES:
        try:
            translation = translate(dialect, envelope, runtime.target)
        except RequestError as error:
            dialect.write_error(error, "r")
            outcome = type(error).__name__
            continue
        bound = runtime.bound_nanos(envelope, translation.body)
        assert bound is None or bound >= 0
    return outcome
