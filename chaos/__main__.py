"""``python -m chaos --seconds 600 --seed 7``: strike a gateway under load, then check the books. Exit 1: a promise was broken."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

import uvloop

from chaos.plan import Settings
from chaos.run import run

__all__ = ["main"]


def main() -> int:
    """0: every promise was kept; 1: not (the folder with everything is kept)."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long the load lasts (default 600)")
    parser.add_argument(
        "--seed", type=int, default=None, help="of all that is drawn; printed, so that a run can be repeated"
    )
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--sqlite", action="store_true", help="no PostgreSQL, even where the machine has it")
    parser.add_argument("--keep", action="store_true", help="keep the folder although all went well")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    os.chmod(folder, 0o700)
    settings = Settings(options.seconds, seed, folder, options.clients, options.workers)
    print(
        f"chaos: seed {seed}, {options.seconds:g} s, {options.clients} clients, {options.workers} workers", flush=True
    )
    try:
        books = uvloop.run(run(settings, sqlite_only=options.sqlite))
    except Exception:
        print(f"chaos: the run itself failed (seed {seed}); kept: {folder}", file=sys.stderr, flush=True)
        raise
    width = max(len(name) for name, _ in books.figures)
    for name, figures in books.figures:
        print(f"  {name:<{width}}  {figures}")
    if books.violations:
        print(f"chaos: {len(books.violations)} promises were broken (seed {seed}); kept: {folder}")
        for violation in books.violations:
            print(f"  ✗ {violation}")
        return 1
    if not options.keep:
        shutil.rmtree(folder)
    print(f"chaos: every promise was kept (seed {seed})" + (f"; kept: {folder}" if options.keep else ""))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
