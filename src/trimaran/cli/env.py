"""What ``trimaran env`` prints: exports that point the vendors' clients at the gateway.

    eval "$(trimaran env)"

The openai client's base URL includes ``/v1``, the anthropic client's does not. Both clients insist on a key, so one is
exported even where the gateway asks for none.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["exports"]

_NO_KEY = "trimaran"
_KEY_VARIABLE = "TRIMARAN_KEY"


def exports(port: int, *, keys: Sequence[str] = (), host: str = "127.0.0.1") -> list[str]:
    """Lines for a POSIX shell. ``keys`` names the configured client keys; with any, ``$TRIMARAN_KEY`` must hold one."""
    lines = []
    key = _NO_KEY
    if keys:
        lines.append(f"# This gateway asks for a key ({', '.join(keys)}). Put yours into {_KEY_VARIABLE} first.")
        key = f'"${{{_KEY_VARIABLE}:?put a key of the gateway into {_KEY_VARIABLE} first}}"'
    place = f"[{host}]" if ":" in host else host
    return [
        *lines,
        f"export OPENAI_BASE_URL=http://{place}:{port}/v1",
        f"export OPENAI_API_KEY={key}",
        f"export ANTHROPIC_BASE_URL=http://{place}:{port}",
        f"export ANTHROPIC_API_KEY={key}",
        "# Not in the shell that runs the gateway: it would call itself.",
    ]
