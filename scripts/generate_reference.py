"""Writes docs/reference/configuration.md and docs/reference/trimaran.schema.json from the declared settings.

python scripts/generate_reference.py            write both
python scripts/generate_reference.py --check    exit 1 when one is stale; write nothing
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from trimaran.config.reference import json_schema, markdown

FOLDER = Path(__file__).parent.parent / "docs" / "reference"


def pages() -> dict[Path, str]:
    """Each generated file and what must stand in it."""
    return {
        FOLDER / "configuration.md": markdown(),
        FOLDER / "trimaran.schema.json": json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n",
    }


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
