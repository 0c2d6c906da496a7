"""``python -m fuzz [--inputs N] [--seed S] [--kinds a,b] [--replay KIND:NUMBER]``: exit status 1 when anything broke."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from random import Random

from fuzz import bodies, continuations, settings, streams, upstreams
from fuzz.clients import Clients

Run = Callable[[Random], str]

SHARES = {
    "clients": 20,
    "streams": 27,
    "continuations": 10,
    "answers": 12,
    "bodies": 19,
    "upstreams": 11,
    "settings": 1,
}
"""Of a hundred inputs."""

SHOWN = 5
"""Failures of one kind whose traceback is printed."""


def runs() -> dict[str, Run]:
    """What takes an input of each kind."""
    return {
        "clients": Clients().run,
        "streams": streams.run_stream,
        "continuations": continuations.run,
        "answers": streams.run_answer,
        "bodies": bodies.run,
        "upstreams": upstreams.run,
        "settings": settings.run,
    }


def one(run: Run, kind: str, seed: int, number: int) -> str:
    """Run one input; what became of it. Raises whatever breaks."""
    return run(Random(f"{seed}:{kind}:{number}"))


def fuzz(inputs: int, seed: int, kinds: list[str]) -> int:
    """Run ``inputs`` inputs, shared among ``kinds``; how many of them broke something."""
    known = runs()
    whole = sum(SHARES[kind] for kind in kinds)
    broken = 0
    for kind in kinds:
        count = -(-inputs * SHARES[kind] // whole)
        outcomes: Counter[str] = Counter()
        failures: list[int] = []
        began = time.monotonic()
        for number in range(count):
            try:
                outcomes[one(known[kind], kind, seed, number)] += 1
            except (Exception, RecursionError):
                failures.append(number)
                if len(failures) <= SHOWN:
                    print(f"broken: --seed {seed} --replay {kind}:{number}", file=sys.stderr)
                    traceback.print_exc()
        broken += len(failures)
        took = time.monotonic() - began
        most = ", ".join(f"{name} {times:,}" for name, times in outcomes.most_common(6))
        print(f"{kind:<13} {count:>9,} inputs  {len(failures):>4} broken  {took:6.1f} s  {most}", flush=True)
        gc.collect()
    return broken


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=None, help="random when left out; always printed")
    parser.add_argument("--kinds", default=",".join(SHARES))
    parser.add_argument("--replay", default="", metavar="KIND:NUMBER")
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else int.from_bytes(os.urandom(4), "big")
    if args.replay:
        kind, _, number = args.replay.partition(":")
        print(one(runs()[kind], kind, seed, int(number)))
        return 0
    print(f"seed {seed}, {args.inputs:,} inputs")
    broken = fuzz(args.inputs, seed, [kind for kind in args.kinds.split(",") if kind in SHARES])
    print(f"{broken} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
