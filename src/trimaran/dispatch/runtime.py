"""What a worker derives from a snapshot once, so that nothing of it is computed for a request.

A :class:`Route` is a public model with its policy and targets resolved; a :class:`TargetRuntime` is a target with its
origin, dialect and prepared request head. Both live as long as their snapshot (or longer, while a request that started
under it is still running).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from copy import copy
from math import inf
from urllib.parse import urlsplit

import msgspec

from trimaran.dispatch.bounds import Bounds
from trimaran.dispatch.lookup import resolve
from trimaran.providers import Door, Signer, Vault, default_headers, door_of, signer
from trimaran.routing import Policy, build_policy
from trimaran.types import Limits, ModelPolicy, Snapshot, Target
from trimaran.wire import Dialect, Envelope

__all__ = ["Route", "Routes", "TargetRuntime"]

_COUNTING = " (counting)"

WARM_S = 900.0
"""So long after an answer a server that may be stopped still runs: Cloud Run keeps idle instances for up to 15 minutes
(cloud.google.com/run, "Instance autoscaling", read 2026-11-30)."""

MAX_DYNAMIC_ROUTES = 1024
"""Routes made for names behind a wildcard that are remembered; a client can invent names without end."""


class TargetRuntime:
    """One target, ready to be called."""

    __slots__ = (
        "_bounds",
        "_entrances",
        "_signer",
        "answered_s",
        "id",
        "origin",
        "price",
        "price_noted",
        "reasons",
        "target",
    )

    def __init__(
        self,
        target: Target,
        secret: str,
        headers: Iterable[tuple[str, str]] = (),
        *,
        vault: Vault | None = None,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.target = target
        self.id = target.id
        self.price = target.price
        headers = tuple(headers)
        known = target.capabilities
        self.reasons = known is not None and "reasoning" in known.has
        """Whether its model may think before it shows anything."""
        self.answered_s = -inf
        """When something was last answered there."""
        self.price_noted = False
        """The journal holds the price: written once, before the first attempt that is charged by it."""
        parts = urlsplit(target.base_url)
        host = parts.hostname or ""
        self.origin = (parts.scheme, host, parts.port or (443 if parts.scheme == "https" else 80))
        prefix, authority = parts.path.rstrip("/").encode("ascii"), parts.netloc.rpartition("@")[2].encode("ascii")
        self._signer = sign = signer(target, secret, headers, vault=vault, wall_ns=wall_ns)
        self._entrances: dict[str, tuple[_Entrance, _Entrance]] = {}
        for name in target.dialects:
            door = door_of(target, name)
            whole, streamed = (_Entrance(door, stream, prefix, authority, sign) for stream in (False, True))
            self._entrances[name] = whole, streamed
        asks = {each[0].door.tier_header for each in self._entrances.values()}
        self._bounds = Bounds(target, next((value for name, value in headers if name.lower() in asks), ""))

    def door(self, dialect: Dialect) -> Door:
        """How it is asked in ``dialect``, which is one of its own."""
        return self._entrances[dialect.name][0].door

    def cold_start_s(self, now: float) -> float:
        """How much longer than usual a first token may take now."""
        return self.target.cold_start_s if now - self.answered_s > WARM_S else 0.0

    def scrub(self, body: bytes) -> bytes:
        """A refusal's body without our credential, should the provider repeat it there."""
        return self._signer.scrub(body)

    def bound_nanos(self, envelope: Envelope, body: bytes) -> int | None:
        """The most that sending ``body`` for the request of ``envelope`` can cost, in nano-dollars; ``None`` where the
        price is unknown, or what the provider may do has no limit."""
        return self._bounds.nanos(envelope, body)

    def bound_tokens(self, envelope: Envelope, body: bytes) -> int:
        """The most tokens, in and out together, that sending ``body`` can use."""
        return self._bounds.tokens(envelope, body)

    def payload(self, dialect: Dialect, stream: bool, forwarded: bytes, body: bytes) -> bytes:
        """The whole request: prepared head, the client's allowed headers, our credential, the body.

        ``forwarded`` holds header lines with lower-case names, each ended by CRLF. A header that the dialect demands is
        added where the client did not send it.
        """
        entrance = self._entrances[dialect.name][stream]
        if entrance.wrapped:
            body, forwarded = entrance.door.request(body, stream, forwarded)
        for prefix, line in entrance.defaults:
            if prefix not in forwarded:
                forwarded += line
        return b"%b%b%bcontent-length: %d\r\n\r\n%b" % (
            entrance.start,
            forwarded,
            entrance.sign(body),
            len(body),
            body,
        )


class _Entrance:
    """What requests to one target in one dialect begin with, those that want a stream or those that do not."""

    __slots__ = ("defaults", "door", "sign", "start", "wrapped")

    def __init__(self, door: Door, stream: bool, prefix: bytes, authority: bytes, signer: Signer) -> None:
        self.door = door
        self.wrapped = type(door) is not Door
        self.defaults = tuple(
            (b"%b: " % name, b"%b: %b\r\n" % (name, value))
            for name, value in (default_headers(door.dialect.name) if not self.wrapped else ())
        )
        path = prefix + door.path(stream)
        content_type = b"content-type: %b\r\n" % door.content_type if door.content_type else b""
        lines = b"host: %b\r\n%b%b" % (authority, content_type, door.lines(stream))
        self.sign = signer.entrance(b"POST", path, lines)
        self.start = b"POST %b HTTP/1.1\r\n%baccept-encoding: identity\r\nuser-agent: trimaran\r\n" % (path, lines)


class Route:
    """A public model as this worker serves it."""

    __slots__ = (
        "_counting",
        "_holders",
        "failover_on",
        "fallbacks",
        "hold_bytes",
        "limits",
        "on_cut",
        "policy",
        "targets",
    )

    def __init__(self, policy: Policy, targets: dict[str, TargetRuntime], written: ModelPolicy) -> None:
        self.policy = policy
        self.on_cut = written.on_cut
        self.hold_bytes = written.hold_bytes
        self.failover_on = frozenset(written.failover_on)
        self.fallbacks: tuple[Route, ...] = ()
        """The models that stand in when none of this one's targets is left, in order."""
        self.targets = targets
        """By the key under which routing learns of each: the target's id, and what is asked of it where that is not an
        answer."""
        self.limits: Limits = policy.limits
        self._counting: Route | None = None
        self._holders: dict[str, frozenset[tuple[str, str]]] = {}

    def by_strategy(self, strategy: str) -> Route:
        """The same model, with its targets put in order in another way."""
        other = copy(self)
        other.policy = msgspec.structs.replace(self.policy, strategy=strategy)
        return other

    def of_operation(self, operation: str) -> Route:
        """The same model for another operation. Counting tokens takes a moment and nothing of a model's time, so what it
        teaches of a target is kept apart from what answers teach."""
        if operation != "count":
            return self
        if self._counting is None:
            renamed = [msgspec.structs.replace(r.target, id=f"{key}{_COUNTING}") for key, r in self.targets.items()]
            policy = ModelPolicy(
                self.policy.name, "fastest", tuple(target.id for target in renamed), self.policy.limits
            )
            self._counting = Route(
                build_policy(policy, renamed),
                {f"{key}{_COUNTING}": runtime for key, runtime in self.targets.items()},
                policy,
            )
        return self._counting

    def holders(self, dialect: Dialect) -> frozenset[tuple[str, str]]:
        """The accounts that could hold what a provider stored for a client of ``dialect``."""
        known = self._holders.get(dialect.name)
        if known is None:
            known = self._holders[dialect.name] = frozenset(
                (runtime.target.base_url, runtime.target.credential)
                for runtime in self.targets.values()
                if dialect.name in runtime.target.dialects
            )
        return known

    def ambiguous(self, dialect: Dialect) -> bool:
        """Whether several accounts could hold it."""
        return len(self.holders(dialect)) > 1


class Routes:
    """All routes of one snapshot. Names behind a wildcard are resolved when first asked for."""

    __slots__ = ("_dynamic", "_known", "_runtimes", "_snapshot", "_vault", "_wall_ns")

    def __init__(
        self, snapshot: Snapshot, vault: Vault | None = None, wall_ns: Callable[[], int] = time.time_ns
    ) -> None:
        """``vault`` holds the credentials that are renewed."""
        self._snapshot = snapshot
        self._vault = vault
        self._wall_ns = wall_ns
        self._runtimes: dict[str, TargetRuntime] = {}
        self._dynamic: dict[str, Route] = {}
        self._known = {name: self._route(name) for name in snapshot.models}
        for name, written in snapshot.models.items():
            self._known[name].fallbacks = tuple(self.find(each) for each in written.fallbacks)

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
        return Route(build_policy(policy, targets), {target.id: self._runtime(target) for target in targets}, policy)

    def _runtime(self, target: Target) -> TargetRuntime:
        configured = target.id in self._snapshot.targets
        runtime = self._runtimes.get(target.id) if configured else None
        if runtime is None:
            snapshot = self._snapshot
            secret = snapshot.secrets.get(target.credential, "")
            headers = snapshot.headers.get(target.provider, ())
            runtime = TargetRuntime(target, secret, headers, vault=self._vault, wall_ns=self._wall_ns)
            if configured:
                self._runtimes[target.id] = runtime
        return runtime
