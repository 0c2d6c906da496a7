"""What a worker derives from a snapshot once, so that nothing of it is computed for a request.

A :class:`Route` is a public model with its policy and targets resolved; a :class:`TargetRuntime` is a target with its
origin, dialect and prepared request head. Both live as long as their snapshot (or longer, while a request that started
under it is still running).
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from trimaran.catalog import bound_nanos
from trimaran.dispatch.snapshot import resolve
from trimaran.providers import default_headers, signer
from trimaran.types import Limits, ModelPolicy, Snapshot, Target
from trimaran.wire import DIALECTS

__all__ = ["Route", "Routes", "TargetRuntime"]

DEFAULT_OUTPUT_TOKENS = 16_384
"""Taken as the most an answer can have where neither client nor target says; no provider generates more by default."""

MAX_DYNAMIC_ROUTES = 1024
"""Routes made for names behind a wildcard that are remembered; a client can invent names without end."""


class TargetRuntime:
    """One target, ready to be called."""

    __slots__ = (
        "_defaults",
        "_path",
        "_secret",
        "_signer",
        "_start",
        "dialect",
        "id",
        "origin",
        "price",
        "price_noted",
        "target",
    )

    def __init__(self, target: Target, secret: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        self.target = target
        self.id = target.id
        self.price = target.price
        self.price_noted = False
        """The journal holds the price: written once, before the first attempt that is charged by it."""
        self.dialect = DIALECTS[target.dialects[0]]
        parts = urlsplit(target.base_url)
        host = parts.hostname or ""
        self.origin = (parts.scheme, host, parts.port or (443 if parts.scheme == "https" else 80))
        self._path = parts.path.rstrip("/").encode("ascii") + self.dialect.path
        self._signer = signer(target, secret, headers)
        self._secret = secret.strip().encode()
        self._defaults = tuple(
            (b"%b: " % name, b"%b: %b\r\n" % (name, value)) for name, value in default_headers(target.dialects[0])
        )
        self._start = (
            b"POST %b HTTP/1.1\r\nhost: %b\r\ncontent-type: application/json\r\n"
            b"accept-encoding: identity\r\nuser-agent: trimaran\r\n"
            % (self._path, parts.netloc.rpartition("@")[2].encode("ascii"))
        )

    def scrub(self, body: bytes) -> bytes:
        """A refusal's body without our credential, should the provider repeat it there."""
        return body.replace(self._secret, b"***") if self._secret else body

    def bound_nanos(self, input_tokens: int, max_output_tokens: int | None) -> int | None:
        """The most that an attempt of this size can cost, in nano-dollars; ``None`` where the price is unknown."""
        if self.price is None:
            return None
        outputs = max_output_tokens or self.target.max_output_tokens or DEFAULT_OUTPUT_TOKENS
        return bound_nanos(self.price, input_tokens, outputs)

    def payload(self, forwarded: bytes, body: bytes) -> bytes:
        """The whole request: prepared head, the client's allowed headers, our credential, the body.

        ``forwarded`` holds header lines with lower-case names, each ended by CRLF. A header that the dialect demands is
        added where the client did not send it.
        """
        for prefix, line in self._defaults:
            if prefix not in forwarded:
                forwarded += line
        signed = self._signer.sign(b"POST", self._path, body)
        return b"%b%b%bcontent-length: %d\r\n\r\n%b" % (self._start, forwarded, signed, len(body), body)


class Route:
    """A public model as this worker serves it."""

    __slots__ = ("limits", "policy", "targets")

    def __init__(self, policy: ModelPolicy, targets: dict[str, TargetRuntime]) -> None:
        self.policy = policy
        self.targets = targets
        self.limits: Limits = policy.limits


class Routes:
    """All routes of one snapshot. Names behind a wildcard are resolved when first asked for."""

    __slots__ = ("_dynamic", "_known", "_runtimes", "_snapshot")

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._runtimes: dict[str, TargetRuntime] = {}
        self._dynamic: dict[str, Route] = {}
        self._known = {name: self._route(name) for name in snapshot.models}

    def find(self, model: str) -> Route:
        """The route of a public model name. Raises :class:`~trimaran.errors.UnknownModel`."""
        route = self._known.get(model) or self._dynamic.get(model)
        if route is None:
            route = self._route(model)
            if len(self._dynamic) >= MAX_DYNAMIC_ROUTES:
                self._dynamic.pop(next(iter(self._dynamic)))
            self._dynamic[model] = route
        return route

    def _route(self, model: str) -> Route:
        policy, targets = resolve(self._snapshot, model)
        return Route(policy, {target.id: self._runtime(target) for target in targets})

    def _runtime(self, target: Target) -> TargetRuntime:
        configured = target.id in self._snapshot.targets
        runtime = self._runtimes.get(target.id) if configured else None
        if runtime is None:
            snapshot = self._snapshot
            secret = snapshot.secrets.get(target.credential, "")
            runtime = TargetRuntime(target, secret, snapshot.headers.get(target.provider, ()))
            if configured:
                self._runtimes[target.id] = runtime
        return runtime
