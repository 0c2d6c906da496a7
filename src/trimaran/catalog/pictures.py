"""How many tokens one picture is at most, by model: data with source and date.

The providers scale a picture down to what their model takes and bill the tiles or patches of that, so its tokens have a
limit whatever its size. A known model without a row has :data:`LARGEST_KNOWN`, which is more than any but one family bills;
behind a name that means nothing there may be that one.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.resources import files

import msgspec

from trimaran.catalog.capabilities import capabilities, plain_name
from trimaran.catalog.clauses import Clause, matches

__all__ = ["LARGEST", "LARGEST_KNOWN", "picture_tokens"]

LARGEST_KNOWN = 16_384
"""The most patches that served models cut a picture into: 12.8 megapixels in patches of 28 x 28, which is Qwen-VL's limit."""

LARGEST = 48_169
"""Of any model: 2833 tokens and 5667 for each of at most 8 tiles, which is gpt-4o-mini."""


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    match: list[Clause]
    tokens: int
    as_of: str
    source: str
    why: str = ""


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    families: list[_Row]


@lru_cache(maxsize=1024)
def picture_tokens(upstream_model: str) -> int:
    """The most tokens that one picture is billed as by the model that a provider calls ``upstream_model``."""
    if capabilities(upstream_model) is None:
        return LARGEST
    name = plain_name(upstream_model)
    for row in _table().families:
        if any(matches(clause, name) for clause in row.match):
            return row.tokens
    return LARGEST_KNOWN


@cache
def _table() -> _Table:
    return msgspec.json.decode((files("trimaran.catalog") / "pictures.json").read_bytes(), type=_Table)
