"""The small pages of the road port: health, readiness, the list of models."""

from __future__ import annotations

import msgspec

from trimaran.errors import UnknownModel
from trimaran.gateway.keyring import Identity
from trimaran.types import Snapshot
from trimaran.wire import Dialect

__all__ = ["health", "models_page", "readiness"]

_CREATED = 1_700_000_000
_CREATED_AT = "2023-11-14T22:13:20Z"
"""The list's format demands a creation time and a public model has none; a constant says at least nothing new."""


def health() -> tuple[int, bytes]:
    """Alive: the process answers."""
    return 200, b'{"status":"ok"}'


def readiness(snapshot: Snapshot, draining: bool) -> tuple[int, bytes]:
    """Ready: there is something to send requests to, and new ones are taken."""
    if draining:
        return 503, b'{"status":"draining"}'
    if not snapshot.models and not snapshot.wildcards:
        return 503, msgspec.json.encode(
            {
                "status": "nothing to serve",
                "hint": "set OPENAI_API_KEY or ANTHROPIC_API_KEY, or write trimaran.yaml (trimaran init) and pass "
                "--config; trimaran doctor shows what was tried; --mock serves simulated answers",
            }
        )
    return 200, msgspec.json.encode({"status": "ready", "models": len(snapshot.models), "snapshot": snapshot.version})


def models_page(snapshot: Snapshot, key: Identity, dialect: Dialect, name: str | None) -> bytes:
    """The models this key may call, or one of them, in the client's dialect. Raises :class:`UnknownModel`."""
    names = [*snapshot.models, *(f"{prefix}/*" for prefix in snapshot.wildcards)]
    if key.models:
        names = [model for model in names if model in key.models]
    anthropic = dialect.name.startswith("anthropic")
    rows = [_anthropic_row(model) if anthropic else _openai_row(model) for model in names]
    if name is not None:
        if name not in names:
            raise UnknownModel(f"no model {name!r} is served here; served: {', '.join(names) or 'none'}", field="model")
        return msgspec.json.encode(rows[names.index(name)])
    if anthropic:
        ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
        return msgspec.json.encode({"data": rows, "has_more": False, **ends})
    return msgspec.json.encode({"object": "list", "data": rows})


def _openai_row(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "trimaran"}


def _anthropic_row(name: str) -> dict[str, object]:
    return {"type": "model", "id": name, "display_name": name, "created_at": _CREATED_AT}
