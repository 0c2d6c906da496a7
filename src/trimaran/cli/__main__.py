"""``python -m trimaran.cli``: the same as the console script."""

from __future__ import annotations

from trimaran.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
