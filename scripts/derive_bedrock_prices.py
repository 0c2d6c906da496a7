"""Derives ``src/trimaran/catalog/bedrock_prices.json`` from litellm's price map (MIT).

    python scripts/derive_bedrock_prices.py MAP --release 1.110.2 --date 2026-11-30 [--check]

``MAP`` is ``model_prices_and_context_window_backup.json`` of litellm's distribution. Kept are the prices by token of chat
and embedding models on Bedrock's own runtime, by *scope*: a geography (``eu.amazon.nova-lite-v1:0``), a Region
(``bedrock/eu-west-2/minimax.minimax-m2.5``), or ``us`` for a model's bare id, which litellm prices as in us-east-1.

* A bare id that also exists as ``global.`` is left out: litellm gives it the global price, and what a bare id gets is the
  regional one, a tenth above.
* A GovCloud price without a cited source is left out: some of these are plainly another model's.
* A price finer than one pico-dollar is rounded up. A price that starts above so many input tokens holds for the whole request.
* Hourly prices, commitments and other gateways (``bedrock_mantle``, ``claude_platform``) are left out.

``--check`` writes nothing and exits 1 when the committed file differs.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any

PATH = Path(__file__).resolve().parents[1] / "src" / "trimaran" / "catalog" / "bedrock_prices.json"

COLUMNS = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cached_read": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
}
SERVICES = {"priority": "_priority", "flex": "_flex", "batch": "_batches"}
PROVIDERS = ("bedrock", "bedrock_converse")
GEOGRAPHIES = ("us-gov", "us", "eu", "apac", "au", "jp", "ca", "in", "global")

_ABOVE = re.compile(r"^input_cost_per_token_above_(\d+)k_tokens$")
_ID = re.compile(r"^[a-z0-9]+\.[a-z][a-z0-9.:_-]*$")


def pico(cost: float) -> int:
    """Integer pico-dollars per token, rounded up."""
    return int((Decimal(repr(cost)) * 10**12).to_integral_value(ROUND_CEILING))


def place(key: str) -> tuple[str, str] | None:
    """Scope and bare id of one key of the map; ``None`` for one that is no model's price on the runtime."""
    if key.startswith("bedrock/"):
        _, scope, *rest = key.split("/")
        if len(rest) != 1 or re.fullmatch(r"[a-z]{2}(-gov)?-[a-z]+-\d", scope) is None:
            return None
        found = (scope, rest[0])
    else:
        geography = next((each for each in GEOGRAPHIES if key.startswith(f"{each}.")), "")
        found = (geography or "us", key.removeprefix(f"{geography}.") if geography else key)
    return found if _ID.match(found[1]) else None


def tiers(row: dict[str, Any], suffix: str) -> list[list[int | None]] | None:
    """Rows ``[above, input, output, …]`` of one service; ``None`` where it has no price."""
    starts = [0, *sorted(int(match[1]) * 1000 for key in row if (match := _ABOVE.match(key)))]
    table: list[list[int | None]] = []
    for start in starts:
        above = f"_above_{start // 1000}k_tokens" if start else ""
        cells: list[int | None] = [start]
        for column in COLUMNS.values():
            cost = row.get(f"{column}{above}{suffix}")
            cells.append(None if cost is None else pico(cost))
        if cells[1] is None:
            continue
        cells[2] = cells[2] or 0
        while cells[-1] is None:
            cells.pop()
        table.append(cells)
    return table or None


def derive(text: str, release: str, day: str) -> str:
    """The whole file."""
    found: dict[str, dict[str, Any]] = {}
    profiles: dict[str, set[str]] = {}
    listed = json.loads(text)
    for key, row in listed.items():
        where = place(key)
        if (
            row.get("litellm_provider") not in PROVIDERS
            or row.get("mode") not in ("chat", "embedding")
            or where is None
        ):
            continue
        scope, model = where
        if key.startswith(f"{scope}."):
            profiles.setdefault(model, set()).add(scope)
        bare_global = key == model and f"global.{model}" in listed
        if bare_global or (scope.startswith("us-gov") and not row.get("source")):
            continue
        standard = tiers(row, "")
        if standard is None or not any(standard[0][1:]):
            continue
        services = {name: table for name, suffix in SERVICES.items() if (table := tiers(row, suffix)) is not None}
        entry: list[Any] = [standard, services] if services else [standard]
        found.setdefault(model, {}).setdefault(scope, entry)
    head = {
        "table": f"litellm-{release}",
        "as_of": day,
        "licence": "MIT; derived from data copyright (c) 2023 Berri AI",
        "source": "litellm's price map, which cites AWS's price list (AmazonBedrock, AmazonBedrockFoundationModels) and "
        "model cards",
        "row": "by model and scope: standard tiers, then tiers by service",
        "tier": "above_input_tokens, then pico-dollars per token: " + ", ".join(COLUMNS),
    }
    compact = (",", ":")
    lines = [f"{json.dumps(key)}:{json.dumps(value)}," for key, value in head.items()]
    models = [
        f"{json.dumps(model)}:{json.dumps(dict(sorted(scopes.items())), separators=compact)}"
        for model, scopes in sorted(found.items())
    ]
    known = [f"{json.dumps(model)}:{json.dumps(sorted(each))}" for model, each in sorted(profiles.items())]
    return "\n".join(["{", *lines, '"profiles":{', ",\n".join(known), '},"models":{', ",\n".join(models), "}}", ""])


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("map", type=Path, help="litellm's price map")
    parser.add_argument("--release", required=True, help="litellm's version")
    parser.add_argument("--date", required=True, help="day on which it was read")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the committed file differs")
    options = parser.parse_args()
    text = derive(options.map.read_text("utf-8"), options.release, options.date)
    if options.check:
        return 0 if PATH.read_text("utf-8") == text else 1
    PATH.write_text(text, "utf-8")
    print(f"wrote {PATH.name}: {len(text) // 1024} KiB, {text.count(chr(10))} lines", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
