"""The road's shell: HTTP towards clients, in one worker process.

``server`` speaks HTTP and hands requests to ``dispatch``; ``worker`` is the process's main.
"""

from __future__ import annotations

__all__: list[str] = []
