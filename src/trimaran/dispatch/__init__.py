"""The life of a request: ordered targets, attempts, limits, settlement; and the library's faces on it.

Its parts are imported by module: ``call`` and ``dispatcher`` decide, ``attempt`` listens, ``http1`` carries, ``runtime`` prepares what a
snapshot says, ``plane`` is what supervisor and workers say to each other, ``library`` is what programs use.
"""

from __future__ import annotations

__all__: list[str] = []
