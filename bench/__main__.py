"""``python -m bench``: measure, print the table, write the JSON. Run it from the root of the repository."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from bench.harness import Plan, run
from bench.scenarios import SCENARIOS
from bench.servers import PEERS, Server, Trimaran

_DEFAULT_PEERS = ("translated", "nginx", "sglang-router", "litellm")
_SUBJECTS: dict[str, type[Server]] = {"trimaran": Trimaran, **PEERS}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--peers", default="", help=f"comma-separated, of {', '.join(PEERS)}; default {', '.join(_DEFAULT_PEERS)}"
    )
    parser.add_argument(
        "--install-peers", action=argparse.BooleanOptionalAction, default=None,
        help="install missing peers from PyPI below the cache directory (default: yes, with --quick no)",
    )  # fmt: skip
    parser.add_argument(
        "--quick", action="store_true", help="one short round beside nginx: a look, not a figure to quote"
    )
    parser.add_argument("--rounds", type=int, default=0, help="how often all take turns (default 3)")
    parser.add_argument(
        "--scenarios", default="", help=f"comma-separated, of {', '.join(s.name for s in SCENARIOS)}; default all"
    )
    parser.add_argument(
        "--subject", choices=sorted(_SUBJECTS), default="trimaran", help="the server that ratios are about"
    )
    parser.add_argument("--no-pin", action="store_true", help="leave the placing of processes to the kernel")
    parser.add_argument("--profile", action="store_true", help="show where Trimaran's CPU goes instead of measuring it")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a limit is missed")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="directory of the JSON")
    return parser.parse_args()


def _chosen(text: str, known: list[str], default: list[str], what: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()] or default
    for name in names:
        if name not in known:
            print(f"--{what}: {name} is not known; known are {', '.join(known)}", file=sys.stderr)
            raise SystemExit(2)
    return names


def _plan(options: argparse.Namespace) -> Plan:
    names = [scenario.name for scenario in SCENARIOS]
    default_peers = ["nginx"] if options.quick else list(_DEFAULT_PEERS)
    peers = [PEERS[name]() for name in _chosen(options.peers, list(PEERS), default_peers, "peers")]
    install = options.install_peers if options.install_peers is not None else not options.quick
    if install and not options.profile:
        for peer in peers:
            reason = peer.install()
            if reason:
                print(f"{peer.name}: {reason}", file=sys.stderr)
    return Plan(
        subject=_SUBJECTS[options.subject](),
        peers=[peer for peer in peers if peer.name != options.subject],
        rounds=options.rounds or (1 if options.quick else 3),
        scenarios=_chosen(options.scenarios, names, names, "scenarios"),
        factor=0.4 if options.quick else 1.0,
        pin=not options.no_pin,
        profile=options.profile,
    )


def main() -> int:
    """0: measured; 1: the subject could not run or answered wrongly (with ``--strict`` also: a limit is missed)."""
    options = _options()
    # So that servers are ended when we are told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    report, profiles = run(_plan(options))
    if options.profile:
        print(profiles or f"missing: {report.missing}")
        return 0 if profiles else 1
    print(report.text())
    print(f"\nJSON: {report.write(options.out)}")
    print("Next: python -m bench --profile shows where the time goes.")
    failed = options.subject in report.missing or any(line.startswith(options.subject) for line in report.wrong())
    missed = options.strict and any(verdict.met is False for verdict in report.verdicts())
    return 1 if failed or missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
