"""Derives ``src/trimaran/catalog/token_prices.json`` from the installed genai-prices package (MIT).

    python scripts/derive_token_prices.py --date 2026-11-24 [--check]

What genai-prices says is kept: the order of its models, its match clauses, its tiers (the tier reached by the prompt
holds for the whole request) and its empty prices (*unknown*). What changes is the form: dollars per million tokens
become integer pico-dollars per token, and each clause becomes one short string that is cheap to evaluate.

* A dated price is taken as it stands on ``--date``; prices that start later are kept in ``later``.
* A price that varies with the time of day is taken at its dearest hour, and the row carries the caveat ``time_of_day``.
* A price finer than one pico-dollar is rounded up (caveat ``rounded``); float noise below 1e-12 USD per million is not
  taken for a price.
* What this table cannot express (hours of audio, cached audio, images, web searches, service tiers, batch) is named in
  ``caveats``, never dropped in silence.

``--check`` writes nothing and exits 1 when the committed file differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genai_prices import types as genai
from genai_prices.data import providers as genai_providers

PATH = Path(__file__).resolve().parents[1] / "src" / "trimaran" / "catalog" / "token_prices.json"

COLUMNS = (
    "input",
    "output",
    "cached_read",
    "cache_write",
    "cache_write_1h",
    "reasoning",
    "audio_input",
    "audio_output",
)
KINDS = (
    "input_mtok",
    "output_mtok",
    "cache_read_mtok",
    "cache_write_mtok",
    "cache_write_1h_mtok",
    "output_reasoning_mtok",
    "input_audio_mtok",
    "output_audio_mtok",
)
"""Columns of a tier, after ``above_input_tokens``."""

PICO_PER_USD_PER_MTOK = 10**6
PICO_PER_USD_PER_KCOUNT = 10**9
NOISE = Decimal("1e-12")

Tiers = list[list[int | None]]


def pico(price: Decimal, scale: int, caveats: set[str]) -> int:
    """Integer pico-dollars for one unit, rounded up."""
    exact = price.quantize(NOISE, ROUND_HALF_EVEN) * scale
    whole = exact.to_integral_value(ROUND_CEILING)
    if whole != exact:
        caveats.add("rounded")
    return int(whole)


def at(price: Decimal | genai.TieredPrices, above: int) -> Decimal:
    """What genai-prices charges for one unit once the prompt is longer than ``above`` tokens."""
    if isinstance(price, Decimal):
        return price
    reached = [tier.price for tier in price.tiers if tier.start <= above]
    return reached[-1] if reached else price.base


def tiers_of(prices: genai.ModelPrice, caveats: set[str]) -> tuple[Tiers | None, int]:
    """Rows of one tier table (``None`` when the price is unknown) and pico-dollars per request."""
    known = {key: value for key, value in prices.__dict__.items() if value is not None}
    per_request = known.pop("requests_kcount", None)
    caveats.update(key for key in known if key not in KINDS)
    if "input_mtok" not in known:
        return None, 0
    starts = {tier.start for value in known.values() if isinstance(value, genai.TieredPrices) for tier in value.tiers}
    rows: Tiers = []
    for above in sorted({0} | starts):
        row: list[int | None] = [above]
        for kind in KINDS:
            value = known.get(kind)
            row.append(None if value is None else pico(at(value, above), PICO_PER_USD_PER_MTOK, caveats))
        while row[-1] is None:
            row.pop()
        rows.append(row)
    request = 0 if per_request is None else pico(at(per_request, 0), PICO_PER_USD_PER_KCOUNT, caveats)
    return rows, request


def dearest(tables: Sequence[Tiers]) -> Tiers:
    """Cell by cell maximum; the tables of one model share their tiers and columns."""
    shapes = {tuple((row[0], len(row)) for row in table) for table in tables}
    if len(shapes) != 1:
        raise SystemExit(f"prices by time of day with different tiers: {tables}")
    return [
        [
            cells[0] if i == 0 else max((c for c in cells if c is not None), default=None)
            for i, cells in enumerate(columns)
        ]
        for columns in ([list(column) for column in zip(*rows, strict=True)] for rows in zip(*tables, strict=True))
    ]


def on_day(model: genai.ModelInfo, day: date, caveats: set[str]) -> tuple[Tiers | None, int]:
    """The price of that day. Like genai-prices, later entries win; hours of the day are merged into the dearest."""
    if isinstance(model.prices, genai.ModelPrice):
        return tiers_of(model.prices, caveats)
    candidates: list[genai.ModelPrice] = []
    for entry in reversed(model.prices):
        if isinstance(entry.constraint, genai.TimeOfDateConstraint):
            candidates.append(entry.prices)
        elif entry.constraint is None or entry.constraint.start_date <= day:
            candidates.append(entry.prices)
            break
    else:
        candidates.append(model.prices[0].prices)
    if len(candidates) > 1:
        caveats.add("time_of_day")
    found = [tiers_of(prices, caveats) for prices in candidates]
    tables = [table for table, _ in found if table is not None]
    if len(tables) != len(found):
        return None, 0
    return dearest(tables), max(request for _, request in found)


def start_dates(model: genai.ModelInfo) -> Iterable[date]:
    """Days on which this model's price changes."""
    if isinstance(model.prices, list):
        for entry in model.prices:
            if isinstance(entry.constraint, genai.StartDateConstraint):
                yield entry.constraint.start_date


def clause(match: Any) -> Any:
    """``=`` equals, ``^`` starts with, ``$`` ends with, ``*`` contains, ``~`` regex; ``["&", …]``, ``["|", …]``."""
    match match:
        case genai.ClauseEquals():
            return "=" + match.equals.lower()
        case genai.ClauseStartsWith():
            return "^" + match.starts_with.lower()
        case genai.ClauseEndsWith():
            return "$" + match.ends_with.lower()
        case genai.ClauseContains():
            return "*" + match.contains.lower()
        case genai.ClauseRegex():
            return "~" + match.regex
        case genai.ClauseAnd():
            return ["&", *(clause(part) for part in match.and_)]
        case genai.ClauseOr():
            return ["|", *(clause(part) for part in match.or_)]
    raise SystemExit(f"unknown match clause: {match!r}")


def disjuncts(match: Any) -> list[Any]:
    """The clause as a flat list of alternatives."""
    form = clause(match)
    flat: list[Any] = []
    for part in form[1:] if form[0] == "|" else [form]:
        if part not in flat:
            flat.append(part)
    return flat


def row_of(model: genai.ModelInfo, day: date) -> list[Any]:
    """``[id, match, tiers, request, context_tokens, caveats, later]``, empty tail cut."""
    caveats: set[str] = set()
    table, request = on_day(model, day, caveats)
    later = [
        [start.isoformat(), *on_day(model, start, caveats)] for start in sorted(set(start_dates(model))) if start > day
    ]
    for variant in model.price_variants or ():
        caveats.update(f"by_{key}" for key in variant.when)
    row = [model.id, disjuncts(model.match), table, request, model.context_window or 0, sorted(caveats), later]
    while len(row) > 3 and not row[-1]:
        row.pop()
    return row


def derive(day: date) -> str:
    """The whole file."""

    def compact(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    head = {
        "table": f"genai-prices-{version('genai-prices')}",
        "as_of": day.isoformat(),
        "licence": "MIT; derived from data copyright (c) Pydantic Services Inc. 2025 to present",
        "row": "id, match, tiers, pico-dollars per request, context tokens, caveats, later [from, tiers, per request]",
        "tier": "above_input_tokens, then pico-dollars per token: " + ", ".join(COLUMNS),
    }
    lines = ["{", *(f"{compact(key)}:{compact(value)}," for key, value in head.items()), '"providers":{']
    for position, provider in enumerate(genai_providers):
        rows = [compact(row_of(model, day)) for model in provider.models]
        urls = provider.pricing_urls or []
        fields = {
            "source": urls[0] if urls else provider.api_pattern,
            "home": disjuncts(provider.model_match) if provider.model_match else [],
            "fallbacks": provider.fallback_model_providers or [],
        }
        lines.append(f'{compact(provider.id)}:{compact(fields)[:-1]},"models":[')
        lines.extend(row + ("," if i + 1 < len(rows) else "") for i, row in enumerate(rows))
        lines.append("]}" + ("," if position + 1 < len(genai_providers) else ""))
    return "\n".join([*lines, "}}", ""])


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--date", type=date.fromisoformat, default=datetime.now(UTC).date(), help="day whose prices hold"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the committed file differs")
    options = parser.parse_args()
    text = derive(options.date)
    if options.check:
        return 0 if PATH.read_text("utf-8") == text else 1
    PATH.write_text(text, "utf-8")
    print(f"wrote {PATH.name}: {len(text) // 1024} KiB, {text.count(chr(10))} lines", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
