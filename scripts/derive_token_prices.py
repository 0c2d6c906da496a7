"""Derives ``src/trimaran/catalog/token_prices.json`` from the installed genai-prices package (MIT).

    python scripts/derive_token_prices.py --date 2026-11-24 [--check]

What genai-prices says is kept: the order of its models, its match clauses, its tiers (the tier reached by the prompt
holds for the whole request) and its empty prices (*unknown*). What changes is the form: dollars per million tokens
become integer pico-dollars per token, and each clause becomes one short string that is cheap to evaluate.

* A dated price is taken as it stands on ``--date``; prices that start later are kept in ``later``, and all their days in
  ``changes``.
* Prices by service tier (``flex``, ``priority``), of batches and of Anthropic's fast mode stand in ``services``, under the
  neutral words of :class:`trimaran.types.TokenPrice`. ``fast`` is OpenAI's later word for ``priority``.
* A price that varies with the time of day is taken at its dearest hour, and the row carries the caveat ``time_of_day``.
* A price finer than one pico-dollar is rounded up (caveat ``rounded``); float noise below 1e-12 USD per million is not
  taken for a price.
* What this table cannot express (hours of audio, cached audio, images, routes) is named in ``caveats``, never dropped in
  silence.

``--check`` writes nothing and exits 1 when the committed file differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time
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

FEES = {"web_search": "web_searches_kcount", "file_search": "storage_searches_kcount"}
"""What is charged by the call."""

SERVICES = {
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "batch": {"processing": "batch"},
    "fast": {"speed": "fast"},
}
"""Neutral word and what genai-prices calls it."""

SAME_AS = {"default": None, "fast": "priority"}
"""Values of ``service_tier`` that mean another one; ``None``: the standard price."""

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
    for key in FEES.values():
        known.pop(key, None)
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


def extras_on(model: genai.ModelInfo, day: date, caveats: set[str]) -> dict[str, Any]:
    """Prices by service tier, fees by the call and the day since when, as they stand on ``day``."""
    noon = datetime.combine(day, time(12), UTC)
    extras: dict[str, Any] = {}
    services = {}
    for name, context in SERVICES.items():
        active = [variant for variant in model.price_variants or () if variant.when == context and holds(variant, day)]
        if not active:
            continue
        if any(isinstance(getattr(entry, "constraint", None), genai.TimeOfDateConstraint) for entry in entries(model)):
            raise SystemExit(f"{model.id}: a service tier whose price varies with the hour")
        tiers, request = tiers_of(model.get_prices(noon, context), caveats)
        if tiers is not None and request == tiers_of(model.get_prices(noon), caveats)[1]:
            services[name] = tiers
        else:
            caveats.add(f"by_{name}")
    if services:
        extras["services"] = services
    for name, key in FEES.items():
        found = [getattr(prices, key) for prices in standing(model, day)]
        fees = [pico(fee, PICO_PER_USD_PER_KCOUNT, caveats) for fee in found if isinstance(fee, Decimal)]
        if fees and len(fees) == len(found):
            extras[name] = max(fees)
        elif any(fee is not None for fee in found):
            caveats.add(key)
    since = [start for start in start_dates(model) if start <= day]
    if since:
        extras["from"] = max(since).isoformat()
    return extras


def standing(model: genai.ModelInfo, day: date) -> list[genai.ModelPrice]:
    """The standard prices of that day: several where they vary with the hour."""
    if isinstance(model.prices, genai.ModelPrice):
        return [model.prices]
    return [
        model.get_prices(datetime.combine(day, time(hour, 30 * half), UTC)) for hour in range(24) for half in range(2)
    ]


def entries(model: genai.ModelInfo) -> list[Any]:
    """The conditional prices, none where the price is unconditional."""
    return model.prices if isinstance(model.prices, list) else []


def holds(variant: Any, day: date) -> bool:
    """Whether a variant is in force."""
    if isinstance(variant.constraint, genai.TimeOfDateConstraint):
        raise SystemExit(f"a variant that varies with the hour: {variant}")
    return variant.constraint is None or variant.constraint.start_date <= day


def check_variants(model: genai.ModelInfo, day: date, caveats: set[str]) -> None:
    """Caveats for variants that the table has no word for; stops where a word has come to mean something else."""
    by_tier = {v.when["service_tier"]: v.prices for v in model.price_variants or () if set(v.when) == {"service_tier"}}
    for variant in model.price_variants or ():
        if variant.when in SERVICES.values():
            continue
        word = variant.when.get("service_tier", "") if len(variant.when) == 1 else ""
        if word not in SAME_AS:
            caveats.update(f"by_{key}" for key in variant.when)
        elif variant.prices != (by_tier[same] if (same := SAME_AS[word]) else genai.ModelPrice()):
            raise SystemExit(f"{model.id}: the service tier {word!r} has prices of its own")


def start_dates(model: genai.ModelInfo) -> Iterable[date]:
    """Days on which this model's price changes."""
    for entry in (*entries(model), *(model.price_variants or ())):
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
    """``[id, match, tiers, request, context_tokens, caveats, later, extras]``, empty tail cut."""
    caveats: set[str] = set()
    table, request = on_day(model, day, caveats)
    later = [
        [start.isoformat(), *on_day(model, start, caveats), extras_on(model, start, caveats)]
        for start in sorted(set(start_dates(model)))
        if start > day
    ]
    extras = extras_on(model, day, caveats)
    check_variants(model, day, caveats)
    row = [model.id, disjuncts(model.match), table, request, model.context_window or 0, sorted(caveats), later, extras]
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
        "changes": sorted(
            {d.isoformat() for p in genai_providers for m in p.models for d in start_dates(m) if d > day}
        ),
        "row": "id, match, tiers, pico-dollars per request, context tokens, caveats, later [from, tiers, per request, "
        "extras], extras {services: tiers by service tier, web_search and file_search: pico-dollars per call, from}",
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
