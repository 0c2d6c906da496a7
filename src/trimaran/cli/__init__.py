"""The command line: it composes the rooms and decides nothing.

``main`` is the console script. The commands are declared in ``app``; each has its body in a module of its own, imported
when the command runs, so that ``trimaran --help`` and a worker's start load only what they use.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and end the process."""
    from trimaran.cli import quick

    status = quick.serve(sys.argv[1:])
    if status is None:
        from trimaran.cli.app import run

        status = run()
    raise SystemExit(status)
