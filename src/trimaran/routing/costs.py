"""What a request is predicted to cost at a target, in nano-dollars, by the arithmetic of the ledger.

Input, expected output and the request itself, each at its price. The input is the estimate of the whole prompt; the part of it that the
target's cache is expected to hold has the cache's price. The expected output is the mean of what the target gave, or the targets of its
very price, within the client's limit. What a cache asks for being written is left out: only Anthropic asks for it, and only where the
client marks its prompt, which nobody knows before the prompt is read.
"""

from __future__ import annotations

from trimaran.catalog import tokens_nanos
from trimaran.routing.events import Choice, RouteRequest
from trimaran.routing.policy import Candidate, Policy
from trimaran.routing.state import State, TargetState
from trimaran.types import TokenPrice, Usage

__all__ = ["predict_costs"]


def predict_costs(
    choices: list[Choice], request: RouteRequest, policy: Policy, state: State, now: float, outputs: float
) -> None:
    """Writes ``predicted_cost_nanos`` and ``predicted_cached_tokens`` into the choices; unknown prices stay ``None``.

    ``outputs``: tokens after the first that an answer has where nothing is known of the target's own.
    """
    known = state.targets
    usual = outputs + 1.0
    for choice in choices:
        candidate = policy.candidates.get(choice.target)
        if candidate is None or candidate.price is None:
            continue
        target = known.get(choice.target)
        cached = 0
        if target is not None and candidate.caches and request.prefixes:
            choice.predicted_cached_tokens = cached = _cached(target, candidate, request, now)
            cached = min(int(cached * target.cache_share), request.input_tokens)
        outputs = _outputs(candidate, known, usual, request)
        choice.predicted_cost_nanos = _cost(candidate.price, request.input_tokens, int(outputs), cached)


def _cost(price: TokenPrice, input_tokens: int, output_tokens: int, cached: int) -> int:
    return tokens_nanos(price, Usage(input_tokens, output_tokens, cached))


def _cached(target: TargetState, candidate: Candidate, request: RouteRequest, now: float) -> int:
    """Tokens of the prompt's longest beginning that was answered there lately, if its cache keeps so short a one."""
    if target.prefixes is None:
        return 0
    tokens = target.prefixes.tokens(request.prefixes, now)
    return tokens if tokens >= (candidate.cache_min_tokens or 0) else 0


def _outputs(candidate: Candidate, known: dict[str, TargetState], usual: float, request: RouteRequest) -> float:
    """Tokens that an answer is expected to have there; ``usual``: where nothing is known of it."""
    total = 0.0
    count = 0
    for name in candidate.alike:
        target = known.get(name)
        if target is not None and target.output_tokens:
            total += target.output_tokens
            count += 1
    expected = total / count if count else usual
    limit = request.max_output_tokens
    return expected if limit is None or expected < limit else limit
