"""What a client hears when a budget or limit has no room for its request."""

from __future__ import annotations

from trimaran.dispatch.bounds import UNBOUNDED_TOKENS
from trimaran.errors import BudgetExceeded, LimitExceeded, RequestError, Unavailable
from trimaran.ledger.periods import window_time
from trimaran.types import Allowance

__all__ = ["beyond", "shortage", "silence", "unbounded"]


def shortage(allowance: Allowance, left: int, need: int, end_ns: int, now_ns: int) -> RequestError:
    """Used and reserved leave ``left`` of the allowance in this window, and one attempt may take up to ``need``."""
    left = max(0, left)
    anew = "" if allowance.period == "total" else f"; it begins anew on {window_time(end_ns)}"
    if allowance.unit == "usd":
        return BudgetExceeded(
            f"the budget {_named(allowance)} has {_usd(left)} left ({_usd(allowance.limit - left)} used or reserved), and "
            f"this request may cost up to {_usd(need)}{anew}"
        )
    why = f"has {_amount(left, allowance.unit)} left ({_count(allowance.limit - left)} used or reserved)"
    if allowance.unit == "tokens":
        why += f", and this request may take up to {_count(need)}"
    return LimitExceeded(
        f"the limit {_named(allowance)} {why}{anew}",
        retry_after_s=None if allowance.period == "total" else (end_ns - now_ns) / 1e9,
    )


def beyond(allowance: Allowance, need: int) -> RequestError:
    """One attempt may take more than the whole allowance, so waiting does not help."""
    if allowance.unit == "usd":
        return BudgetExceeded(
            f"this request may cost up to {_usd(need)}, more than the whole budget {_named(allowance)}; ask for fewer output "
            "tokens, or for a cheaper model"
        )
    if need >= UNBOUNDED_TOKENS:
        return LimitExceeded(
            f"how many tokens this request may take cannot be bounded, so it is not sent under the limit {_named(allowance)}"
        )
    return LimitExceeded(
        f"this request may take up to {_amount(need, allowance.unit)}, more than the whole limit {_named(allowance)}"
        + ("; ask for fewer output tokens" if allowance.unit == "tokens" else "")
    )


def unbounded(allowance: Allowance) -> RequestError:
    """The cost of the attempt has no bound, and a budget of money binds it."""
    return BudgetExceeded(
        f"what this request may cost cannot be bounded, so it is not sent under the budget {_named(allowance)}; state the "
        "model's price in providers.NAME.prices, and do without tools that the provider runs and charges without limit; a "
        "call whose tokens nobody counts needs a price that is the same for every request"
    )


def silence(allowance: Allowance) -> RequestError:
    """Nobody can say now what is left."""
    return Unavailable(
        f"what is left of the {'budget' if allowance.unit == 'usd' else 'limit'} {_named(allowance)} cannot be told now; "
        "try again",
        retry_after_s=1.0,
    )


def _named(allowance: Allowance) -> str:
    often = "in all" if allowance.period == "total" else f"a{'n' * (allowance.period == 'hour')} {allowance.period}"
    return f"{allowance.scope} {allowance.name} of {_amount(allowance.limit, allowance.unit)} {often}"


def _amount(amount: int, unit: str) -> str:
    if unit == "usd":
        return _usd(amount)
    return f"{_count(amount)} {unit[:-1] if amount == 1 else unit}"


def _count(amount: int) -> str:
    return f"{amount:,}"


def _usd(nanos: int) -> str:
    """Exactly, with two decimals or as many as it takes."""
    whole, part = divmod(abs(nanos), 1_000_000_000)
    decimals = f"{part:09d}".rstrip("0").ljust(2, "0")
    return f"{'-' * (nanos < 0)}${whole:,}.{decimals}"
