"""What a base model can do: which row of the shipped table a provider's name for it means.

Providers decorate a base model's name: ``openai/gpt-oss-120b``, ``us.anthropic.claude-sonnet-4-5-20250929-v1:0``,
``claude-sonnet-4-5@20250929``, ``accounts/fireworks/models/llama-v3p1-8b-instruct``, ``databricks-gpt-oss-20b``. The
table is asked for the plain form of a name (:func:`plain_name`), and the first row that matches it counts
(:mod:`.clauses`). So a fact stands once, whoever sells the model; what a seller cuts off is stated in the configuration.

A wrong "cannot" refuses a request that would have been answered, a missing one costs an attempt. So a row says
only what was read somewhere, and rows without a family end the search for names that look like a known model and are
another one (``gpt-4o-realtime-preview``, ``llama-guard-3-8b``): nothing is assumed of them.

Nothing is read before the first question; then the whole table at once (under 5 ms, most of it finding the file).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.resources import files

import msgspec

from trimaran.catalog.clauses import Clause, matches
from trimaran.types import Capabilities

__all__ = ["capabilities", "families", "overridden", "plain_name"]

_LONGEST_NAME = 256
"""Names come from clients; no known model's name is longer than 100 characters."""


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    family: str
    """Empty: nothing is known of these models, and ``why``."""
    match: list[Clause]
    as_of: str
    source: str = ""
    """Keys of :attr:`_Table.sources`."""
    has: str = ""
    lacks: str = ""
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    reasoning_control: str = ""
    cache_min_tokens: int | None = None
    embedding_dimensions: int | None = None
    why: str = ""


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    as_of: str
    row: str
    prefixes: list[str]
    """What resellers put in front of a name."""
    sources: dict[str, str]
    families: list[_Row]


@lru_cache(maxsize=1024)
def capabilities(upstream_model: str) -> Capabilities | None:
    """What the model that a provider calls ``upstream_model`` can do, or ``None``: unknown."""
    if len(upstream_model) > _LONGEST_NAME:
        return None
    name = plain_name(upstream_model)
    for row in _table().families:
        if any(matches(clause, name) for clause in row.match):
            return _made(row) if row.family else None
    return None


def families() -> tuple[Capabilities, ...]:
    """Every family of the table, in its order."""
    return tuple(_made(row) for row in _table().families if row.family)


def overridden(
    known: Capabilities | None,
    *,
    family: str,
    source: str,
    has: Iterable[str] = (),
    lacks: Iterable[str] = (),
    context_tokens: int | None = None,
    max_output_tokens: int | None = None,
    reasoning_control: str = "",
) -> Capabilities:
    """What the operator states, and of ``known`` what they leave unsaid: feature by feature, figure by figure.

    A stated ``reasoning_control`` says that the model reasons. ``family`` names a model that the table does not know,
    ``source`` is where the statement stands (``trimaran.yaml:12``).
    """
    base = known or Capabilities(family=family)
    stated, denied = frozenset(has), frozenset(lacks)
    if reasoning_control:
        stated |= {"reasoning"}
    return msgspec.structs.replace(
        base,
        has=base.has - denied | stated,
        lacks=base.lacks - stated | denied,
        context_tokens=context_tokens or base.context_tokens,
        max_output_tokens=max_output_tokens or base.max_output_tokens,
        reasoning_control="" if "reasoning" in denied else reasoning_control or base.reasoning_control,
        source=f"{source}; {base.source}" if base.source else source,
    )


_DECIMAL = re.compile(r"(?<=\d)p(?=\d)")
_VENDOR = re.compile(r"^(?:[a-z][a-z-]*\.)+(?=[a-z]{2})")
_SEPARATOR = re.compile(r"(?!(?<=\d)\.\d+b(?![a-z]))[.:@_ ]")


def plain_name(model: str) -> str:
    """A provider's name for a model without its decorations, in words joined by hyphens.

    Gone are paths (``accounts/…/models/``), regions and vendors (``us.anthropic.``), ``ft:`` and resellers' prefixes. A
    dot between digits is a hyphen, too (``gpt-4.1``), but not in a size (``1.7b``), and may be written as a ``p``
    (``v3p1``).
    """
    name = model.lower().rstrip("/").rpartition("/")[2].removeprefix("ft:")
    name = _VENDOR.sub("", _DECIMAL.sub(".", name))
    name = _SEPARATOR.sub("-", name)
    for prefix in _table().prefixes:
        name = name.removeprefix(prefix)
    return name


def _made(row: _Row) -> Capabilities:
    sources = _table().sources
    return Capabilities(
        family=row.family,
        has=frozenset(row.has.split()),
        lacks=frozenset(row.lacks.split()),
        context_tokens=row.context_tokens,
        max_output_tokens=row.max_output_tokens,
        reasoning_control=row.reasoning_control,
        cache_min_tokens=row.cache_min_tokens,
        embedding_dimensions=row.embedding_dimensions,
        source="; ".join(sources[key] for key in row.source.split()),
        as_of=row.as_of,
    )


@cache
def _table() -> _Table:
    return msgspec.json.decode((files("trimaran.catalog") / "capabilities.json").read_bytes(), type=_Table)
