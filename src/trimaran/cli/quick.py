"""``trimaran serve`` without the command-line library, whose import takes a tenth of the start-up it would announce.

Only a flawless ``serve`` with known options is taken here. Anything else, ``--help`` and every mistake included, is
left to the full command line, so that there is one place that explains. A test compares the two tables of options.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["FLAGS", "OPTIONS", "options", "serve"]

OPTIONS: dict[str, tuple[str, Callable[[str], str | int]]] = {
    "--config": ("config", str),
    "-c": ("config", str),
    "--port": ("port", int),
    "--host": ("host", str),
    "--workers": ("workers", int),
    "--admin-port": ("admin_port", int),
    "--ledger-dir": ("ledger_dir", str),
    "--state": ("ledger_dir", str),
}
FLAGS = {"--mock": "mock", "--with-parent": "with_parent"}


def options(arguments: Sequence[str]) -> dict[str, str | int | bool] | None:
    """The options of a flawless ``serve``; ``None`` for anything else."""
    if not arguments or arguments[0] != "serve":
        return None
    found: dict[str, str | int | bool] = {}
    rest = iter(arguments[1:])
    for word in rest:
        if word in FLAGS:
            found[FLAGS[word]] = True
            continue
        name, given, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if name not in OPTIONS:
            return None
        if not given:
            value = next(rest, "")
        if not value or value.startswith("-"):
            return None
        key, kind = OPTIONS[name]
        try:
            found[key] = kind(value)
        except ValueError:
            return None
    return found


def serve(arguments: Sequence[str]) -> int | None:
    """Run it; the exit status, or ``None`` when the full command line has to look at it."""
    found = options(arguments)
    if found is None:
        return None
    from trimaran.cli.output import guarded
    from trimaran.cli.serve import command

    return guarded(lambda: command(**found))  # type: ignore[arg-type]
