"""The small pages of the road port: health, readiness, the list of models, and what to say where there is nothing."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from trimaran.errors import UnknownModel
from trimaran.gateway.admission import OtherStatus
from trimaran.gateway.keyring import Identity
from trimaran.types import Snapshot
from trimaran.wire import DIALECTS, Dialect, surface

__all__ = ["page"]

_CREATED = 1_700_000_000
_CREATED_AT = "2023-11-14T22:13:20Z"
"""The list's format demands a creation time and a public model has none; a constant says at least nothing new."""


_STORED = (b"/v1/responses/", b"/v1/chat/completions/")


def page(
    method: bytes,
    path: bytes,
    caller: Callable[[], Identity],
    dialect: Dialect,
    snapshot: Snapshot,
    draining: bool,
) -> tuple[int, bytes]:
    """Status and JSON of what stands at ``path``, for everything that is no request to a model. ``caller`` says who asks and
    refuses strangers; ``dialect`` is the one to answer in. Raises :class:`~trimaran.errors.RequestError`."""
    if path in (b"/healthz", b"/readyz"):
        _only_get(method, path)
        return _health() if path == b"/healthz" else _readiness(snapshot, draining)
    if path == b"/v1/models" or path.startswith(b"/v1/models/"):
        _only_get(method, path)
        name = path[len(b"/v1/models/") :].decode("utf-8", "replace") or None
        return 200, _models(snapshot, caller(), dialect, name)
    if surface(path) is not None:
        raise OtherStatus(f"{path.decode()} takes POST, not {method.decode()}", 405)
    if path.startswith(_STORED):
        raise OtherStatus("what a provider stored is not served here; ask the provider for it", 404)
    served = ", ".join(sorted(filter(None, (each.shown_path for each in DIALECTS.values()))))
    raise OtherStatus(f"nothing is served at {path.decode('latin-1')[:200]}; try {served} or /v1/models", 404)


def _only_get(method: bytes, path: bytes) -> None:
    if method not in (b"GET", b"HEAD"):
        raise OtherStatus(f"{path.decode()} takes GET, not {method.decode()}", 405)


def _health() -> tuple[int, bytes]:
    """Alive: the process answers."""
    return 200, b'{"status":"ok"}'


def _readiness(snapshot: Snapshot, draining: bool) -> tuple[int, bytes]:
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


def _models(snapshot: Snapshot, key: Identity, dialect: Dialect, name: str | None) -> bytes:
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
