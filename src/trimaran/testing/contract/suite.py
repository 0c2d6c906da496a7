"""What the two contract suites share: checks, how they run with either kind of SDK client, and how results compare.

A check uses the vendor's own SDK, asserts what the dialect promises, and returns plain data: everything the SDK parsed,
without what must differ between two calls (ids and timestamps). Run a suite straight against a provider and again
through a gateway, and the two results must be equal.

A check that needs a provider which fails on demand asks for one of :data:`SIMULATED_MODELS`; it runs only where those
exist. Portable checks also hold when a gateway answers from a provider of another dialect; there, compare ``gist``
only.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Collection, Iterator
from typing import Any, Generic, Self, TypeVar

from trimaran.testing.behaviour import Behaviour

__all__ = ["SIMULATED_MODELS", "Check", "ContractError", "Session", "Suite", "expect", "plain"]

SIMULATED_MODELS: dict[str, Behaviour] = {
    "sim-rate-limited": Behaviour(fault="status", status=429),
    "sim-server-error": Behaviour(fault="status", status=500),
    "sim-overloaded": Behaviour(fault="status", status=503),
    "sim-silent": Behaviour(fault="silence"),
    "sim-small-context": Behaviour(context_tokens=40),
    "sim-endless": Behaviour(output_tokens=4_000, tpot_s=0.005),
    "sim-usage": Behaviour(input_tokens=1_000, cached_read_tokens=600, cache_write_tokens=100, reasoning_tokens=50),
}
"""Upstream models with the behaviours that the checks rely on. Pass them as ``behaviours=`` to a simulated provider."""

_VOLATILE = frozenset({"id", "created", "created_at", "tool_call_id", "request_id"})
_TIMEOUT_S = 0.15


class ContractError(AssertionError):
    """The other side broke the dialect's promise."""


def expect(condition: object, promise: str, seen: object = None) -> None:
    """Raise :class:`ContractError` unless ``condition`` holds."""
    if not condition:
        raise ContractError(f"{promise}; seen: {seen!r}")


def plain(value: Any) -> Any:
    """An SDK object as JSON-like data, without ids and timestamps. What was not on the wire is null, as it is for
    a user of the SDK."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key not in _VOLATILE}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


class Session:
    """An SDK client and the model it asks for; the checks see a synchronous face of either kind of client.

    ``rename`` maps an upstream model's name to the one the other side serves it by.
    """

    def __init__(
        self,
        build: Callable[..., Any],
        *,
        model: str,
        asynchronous: bool,
        rename: Callable[[str], str],
        **options: Any,
    ) -> None:
        self._build = build
        self._options = options
        self._runner = asyncio.Runner() if asynchronous else None
        self._rename = rename
        self._model = model
        self.client = build(**options)

    @property
    def model(self) -> str:
        """The model under test."""
        return self._rename(self._model)

    def named(self, upstream_model: str) -> str:
        """How the other side calls an upstream model."""
        return self._rename(upstream_model)

    def call(self, method: Callable[..., Any], **fields: Any) -> Any:
        """Call an SDK method and wait for the result."""
        return self._wait(method(**fields))

    def collect(self, method: Callable[..., Any], *, at_most: int | None = None, **fields: Any) -> list[Any]:
        """Open a stream and read it, at most so many items; then close it."""
        stream = self.call(method, **fields)
        if self._runner is None:
            with stream:
                return _first(stream, at_most)
        return list(self._runner.run(_read(stream, at_most)))

    def failure(self, method: Callable[..., Any], **fields: Any) -> Exception:
        """The SDK's exception; a success breaks the contract."""
        try:
            seen = self.call(method, **fields)
        except Exception as error:
            return error
        raise ContractError(f"an error was due; seen: {seen!r}")

    def with_key(self, key: str) -> _Borrowed:
        """A client with another key, for a ``with`` block."""
        return _Borrowed(self, {**self._options, "api_key": key})

    def impatient(self) -> _Borrowed:
        """A client that waits 150 ms, for a ``with`` block."""
        return _Borrowed(self, {**self._options, "timeout": _TIMEOUT_S})

    def close(self) -> None:
        """Close client and loop."""
        self.release(self.client)
        if self._runner is not None:
            self._runner.close()

    def release(self, client: Any) -> None:
        """Close a client."""
        self._wait(client.close())

    def borrow(self, options: dict[str, Any]) -> Any:
        """Build another client of the same kind."""
        return self._build(**options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait(self, result: Any) -> Any:
        if self._runner is not None and inspect.isawaitable(result):
            return self._runner.run(_awaited(result))
        return result


class _Borrowed:
    def __init__(self, session: Session, options: dict[str, Any]) -> None:
        self._session = session
        self._options = options

    def __enter__(self) -> Any:
        self._client = self._session.borrow(self._options)
        return self._client

    def __exit__(self, *_: object) -> None:
        self._session.release(self._client)


_S = TypeVar("_S", bound=Session)


class Check(Generic[_S]):
    """One named promise. Calling it with a session returns what was seen: ``{"gist": …, "whole": …}``."""

    def __init__(self, name: str, run: Callable[[_S], Any], *, simulated: bool, portable: bool) -> None:
        self.name = name
        self.simulated = simulated
        """Needs :data:`SIMULATED_MODELS`."""
        self.portable = portable
        self.__doc__ = run.__doc__
        self._run = run

    def __call__(self, session: _S) -> dict[str, Any]:
        gist, whole = self._run(session)
        return {"gist": plain(gist), "whole": plain(whole)}

    def __repr__(self) -> str:
        return self.name


class Suite(Collection["Check[_S]"], Generic[_S]):
    """An ordered collection of checks, filled by a decorator."""

    def __init__(self) -> None:
        self._checks: dict[str, Check[_S]] = {}

    def check(self, *, simulated: bool = False, portable: bool = False) -> Callable[[Callable[[_S], Any]], Check[_S]]:
        """Register a function that returns (gist, whole)."""

        def register(run: Callable[[_S], Any]) -> Check[_S]:
            made = Check(run.__name__, run, simulated=simulated, portable=portable)
            self._checks[made.name] = made
            return made

        return register

    def __iter__(self) -> Iterator[Check[_S]]:
        return iter(self._checks.values())

    def __len__(self) -> int:
        return len(self._checks)

    def __contains__(self, check: object) -> bool:
        return check in self._checks.values()

    def __getitem__(self, name: str) -> Check[_S]:
        return self._checks[name]

    def run(self, session: _S, *, simulated: bool = True) -> dict[str, dict[str, Any]]:
        """All results by name. ``simulated`` False leaves out what a real provider cannot be made to do."""
        return {check.name: check(session) for check in self if simulated or not check.simulated}


async def _awaited(result: Any) -> Any:
    return await result


async def _read(stream: Any, at_most: int | None) -> list[Any]:
    items: list[Any] = []
    async with stream:
        async for item in stream:
            items.append(item)
            if len(items) == at_most:
                break
    return items


def _first(stream: Any, at_most: int | None) -> list[Any]:
    items: list[Any] = []
    for item in stream:
        items.append(item)
        if len(items) == at_most:
            break
    return items
