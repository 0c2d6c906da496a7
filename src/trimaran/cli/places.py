"""Where this installation is, as a person would type it."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

__all__ = ["activation"]


def activation() -> str:
    """The command that activates the virtual environment; empty when it is active, or there is none."""
    if sys.prefix == sys.base_prefix or os.environ.get("VIRTUAL_ENV") == sys.prefix:
        return ""
    script = Path(sys.prefix, "bin", "activate")
    here = Path.cwd()
    return f". {shlex.quote(str(script.relative_to(here) if script.is_relative_to(here) else script))}"
