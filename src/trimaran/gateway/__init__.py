"""The road's shell: HTTP towards clients, in one worker process.

``connection`` speaks HTTP and hands requests to ``dispatch``; ``server`` holds what connections share; ``worker`` is the
process's main.
"""

from __future__ import annotations

__all__: list[str] = []
