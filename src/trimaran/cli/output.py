"""What commands print: tables for people, JSON for programs, one clear message for what went wrong.

Results go to stdout, everything else to stderr. A message about bad input says what, where and what instead; a
traceback is shown only with ``TRIMARAN_DEBUG=1``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from trimaran.errors import AllAttemptsFailed, AttemptError, ConfigError, RequestError, TrimaranError

__all__ = ["BAD_INPUT", "FAILED", "guarded", "next_step", "note", "print_json", "print_table"]

FAILED = 1
BAD_INPUT = 2

_ANY_WIDTH = 10_000
"""Columns; wider than any table."""


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write("\n")


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """A table on stdout; its first column is text, the others stand right when they hold figures.

    In a terminal that is too narrow for it, each row becomes a paragraph: folded cells cannot be read or copied.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, header in enumerate(headers):
        figures = number > 0 and all(_is_figure(row[number]) for row in rows)
        table.add_column(header, justify="right" if figures else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    # A file or a pipe has no width: a row is then one line however long it is.
    width = None if sys.stdout.isatty() else _ANY_WIDTH
    console = Console(file=sys.stdout, width=width, highlight=False, markup=False)
    if title:
        console.print(title, soft_wrap=True)
    if console.measure(table, options=console.options.update_width(_ANY_WIDTH)).maximum <= console.width:
        console.print(table)
        return
    label = max(map(len, headers))
    for row in rows:
        console.print(f"\n{headers[0]} {row[0]}", soft_wrap=True)
        for header, cell in zip(headers[1:], row[1:], strict=True):
            if cell:
                console.print(f"  {header:<{label}}  {cell}", soft_wrap=True)
    console.print()


def note(text: str) -> None:
    """A line for people on stderr."""
    print(text, file=sys.stderr, flush=True)


def next_step(text: str) -> None:
    """The next useful command, after everything else."""
    note(f"\nNext: {text}")


def guarded(work: Callable[[], int | None]) -> int:
    """Run a command's body; its exit status. No exception leaves it."""
    try:
        return work() or 0
    except KeyboardInterrupt:
        note("stopped")
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (``| head``): not an error, but Python would complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except TrimaranError as error:
        if _debug():
            raise
        note(f"trimaran: {error}")
        if isinstance(error, AllAttemptsFailed | AttemptError):
            next_step("trimaran doctor shows what each provider says")
        return BAD_INPUT if isinstance(error, ConfigError | RequestError) else FAILED
    except Exception as error:
        if _debug():
            raise
        note(f"trimaran: this should not have happened: {type(error).__name__}: {error}")
        note("Run it again with TRIMARAN_DEBUG=1 for the details, and please report them.")
        return FAILED


def _debug() -> bool:
    return os.environ.get("TRIMARAN_DEBUG", "") not in ("", "0")


def _is_figure(cell: str) -> bool:
    return not cell or cell[0] in "0123456789$≥-" or cell == "unknown"
