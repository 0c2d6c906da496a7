"""Writes the pages of docs/reference from what they describe: the declared settings and the shipped tables.

python scripts/generate_reference.py            write them
python scripts/generate_reference.py --check    exit 1 when one is stale; write nothing
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from trimaran.catalog import families
from trimaran.config.reference import json_schema, markdown
from trimaran.providers.matrix_page import matrix_markdown
from trimaran.types import FEATURES, Capabilities

FOLDER = Path(__file__).parent.parent / "docs" / "reference"


def pages() -> dict[Path, str]:
    """Each generated file and what must stand in it."""
    return {
        FOLDER / "configuration.md": markdown(),
        FOLDER / "trimaran.schema.json": json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n",
        FOLDER / "capabilities.md": capabilities_page(families()),
        FOLDER / "matrix.md": matrix_markdown(),
    }


_SHOWN = tuple(name for name in FEATURES if name not in ("chat", "embeddings"))
_CAPABILITIES = """\
# What base models can do

<!-- Written by scripts/generate_reference.py from src/trimaran/catalog/capabilities.json. -->

[Capabilities](../capabilities.md) says what this is for. ● it can, ✗ it cannot, blank: unknown. Context, longest answer and
the shortest prefix that the prompt cache keeps are in tokens. Families with the same facts share a row. Each row of the
file names its source and date.
"""


def capabilities_page(known: Iterable[Capabilities]) -> str:
    """The page of base-model families: one table of those that converse, one of those that embed."""
    converse: dict[str, list[str]] = {}
    embed: dict[str, list[str]] = {}
    for family in known:
        marks = [_mark(family, name) for name in _SHOWN]
        if "embeddings" in family.has:
            cells = [
                _figure(family.embedding_dimensions),
                _figure(family.context_tokens),
                marks[_SHOWN.index("vision")],
            ]
            embed.setdefault(" | ".join(cells), []).append(family.family)
        else:
            figures = (family.context_tokens, family.max_output_tokens, family.cache_min_tokens)
            cells = [*marks, family.reasoning_control, *map(_figure, figures)]
            converse.setdefault(" | ".join(cells), []).append(family.family)
    words = [name.replace("_", " ") for name in _SHOWN]
    return "\n".join(
        [
            _CAPABILITIES,
            "## Conversations",
            "",
            *_table(["families", *words, "set by", "context", "longest answer", "cache from"], converse),
            "",
            "## Embeddings",
            "",
            *_table(["families", "dimensions", "longest input", "images"], embed),
            "",
        ]
    )


def _table(head: list[str], rows: dict[str, list[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return lines + [f"| {', '.join(names)} | {cells} |" for cells, names in rows.items()]


def _mark(family: Capabilities, feature: str) -> str:
    return "●" if feature in family.has else "✗" if feature in family.lacks else " "


def _figure(number: int | None) -> str:
    return f"{number:,}" if number else " "


def main(arguments: list[str]) -> int:
    """Write or check. Returns the exit status."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.name} is stale: run python scripts/generate_reference.py", file=sys.stderr)
        return 1 if stale else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in stale:
        path.write_text(pages()[path], encoding="utf-8")
        print(f"wrote {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
