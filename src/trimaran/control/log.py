"""Lines for people on stderr: one event, one line, time first.

Nothing is logged for a request: the journal has it. Nothing that may hold a secret reaches this module; exceptions are
shown by their message only.
"""

from __future__ import annotations

import sys
import time
from typing import TextIO

from trimaran.errors import ConfigError

__all__ = ["log", "one_line"]


def log(line: str, stream: TextIO | None = None) -> None:
    """Write one line to ``stream`` (stderr); line breaks inside it become spaces."""
    text = " ".join(line.split())
    print(f"{time.strftime('%H:%M:%S')} trimaran {text}", file=stream or sys.stderr, flush=True)


def one_line(error: Exception) -> str:
    """What went wrong, where, and what to write instead, in one line."""
    if not isinstance(error, ConfigError):
        return str(error) or type(error).__name__
    where = f"{error.where}: " if error.where else ""
    hint = f" ({error.hint})" if error.hint else ""
    return f"{where}{error.message}{hint}"
