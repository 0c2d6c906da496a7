"""Text to number for values that carry a unit: durations, amounts of money, prices and sizes.

A unit is always written, so that nobody has to guess whether ``30`` means seconds or milliseconds. Money never passes
through a float: an amount becomes integer nano-dollars, a price integer pico-dollars for one token, and text that is
not a whole number of them is refused. Every function raises :class:`ValueError` saying what was expected; it never
repeats the text, which may be a misplaced secret.
"""

from __future__ import annotations

import re
from decimal import Decimal

__all__ = [
    "NANOS_PER_USD",
    "PICOS_PER_USD",
    "duration_text",
    "money_text",
    "parse_call_price",
    "parse_duration",
    "parse_money",
    "parse_size",
    "parse_token_price",
    "size_text",
]

NANOS_PER_USD = 10**9
PICOS_PER_USD = 10**12

_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
_BYTES = {"B": 1, "kB": 10**3, "KB": 10**3, "KiB": 2**10, "MB": 10**6, "MiB": 2**20, "GB": 10**9, "GiB": 2**30}
_TOKENS = {"token": 1, "call": 1, "1K": 10**3, "1k": 10**3, "1M": 10**6}

# ASCII digits only, and few of them: int() and Decimal() also take other scripts' digits and numbers of any length.
_NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,15})?)"
_DURATION = re.compile(_NUMBER + r" ?(ms|s|m|h|d)")
_SIZE = re.compile(_NUMBER + r" ?(B|kB|KB|KiB|MB|MiB|GB|GiB)")
_MONEY = re.compile(rf"(?:{_NUMBER} ?USD|\${_NUMBER})")
_PRICE = re.compile(rf"(?:{_NUMBER} ?USD|\${_NUMBER}) ?/ ?(token|1[kK]|1M)")
_CALL_PRICE = re.compile(rf"(?:{_NUMBER} ?USD|\${_NUMBER}) ?/ ?(call|1[kK]|1M)")


def parse_duration(text: str) -> float:
    """Seconds. Raises :class:`ValueError`."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError("a duration with its unit (ms, s, m, h or d)")
    return float(Decimal(found[1]) * _SECONDS[found[2]])


def parse_size(text: str) -> int:
    """Bytes. Raises :class:`ValueError`."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError("a size with its unit (B, KiB, MiB, GiB, kB, MB or GB)")
    return _whole(Decimal(found[1]) * _BYTES[found[2]], "a size that is a whole number of bytes")


def parse_money(text: str) -> int:
    """Nano-dollars. Raises :class:`ValueError`, also for an amount per period."""
    found = _MONEY.fullmatch(text)
    if found is None:
        raise ValueError("an amount in USD, without a period")
    return _whole(Decimal(found[1] or found[2]) * NANOS_PER_USD, "an amount with at most nine decimals")


def parse_token_price(text: str) -> int:
    """Pico-dollars for one token. Raises :class:`ValueError`."""
    found = _PRICE.fullmatch(text)
    if found is None:
        raise ValueError("a price in USD for a million tokens (USD/1M), a thousand (USD/1K) or one (USD/token)")
    picos = Decimal(found[1] or found[2]) * PICOS_PER_USD / _TOKENS[found[3]]
    return _whole(picos, "a price that is a whole number of pico-dollars (1e-12 USD) for one token")


def parse_call_price(text: str) -> int:
    """Pico-dollars for one call. Raises :class:`ValueError`."""
    found = _CALL_PRICE.fullmatch(text)
    if found is None:
        raise ValueError("a price in USD for a thousand calls (USD/1K), a million (USD/1M) or one (USD/call)")
    picos = Decimal(found[1] or found[2]) * PICOS_PER_USD / _TOKENS[found[3]]
    return _whole(picos, "a price that is a whole number of pico-dollars (1e-12 USD) for one call")


def _whole(value: Decimal, expected: str) -> int:
    if value != value.to_integral_value():
        raise ValueError(expected)
    return int(value)


def money_text(nanos: int) -> str:
    """Dollars with the digits that are needed, without the unit: ``0.05``."""
    whole, rest = divmod(nanos, NANOS_PER_USD)
    return f"{whole}.{rest:09d}".rstrip("0") if rest else str(whole)


def duration_text(seconds: float) -> str:
    """The shortest way to write a duration that :func:`parse_duration` reads back to the same value."""
    for unit in ("d", "h", "m", "s"):
        count = Decimal(str(seconds)) / _SECONDS[unit]
        if count >= 1 and count == count.to_integral_value():
            return f"{int(count)}{unit}"
    millis = Decimal(str(seconds)) * 1000
    return f"{millis.normalize():f}ms"


def size_text(size: int) -> str:
    """The shortest way to write a size that :func:`parse_size` reads back to the same value."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{size}B"
