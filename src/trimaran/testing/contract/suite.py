"""What the contract suites share: checks, how they run with either kind of SDK client, and how results compare.

A check uses the vendor's own SDK, asserts what the dialect promises, and returns plain data: everything the SDK parsed,
without what must differ between two calls (ids and timestamps). Run a suite straight against a provider and again
through a gateway, and the two results must be equal.

A check that needs a provider which fails or answers on demand asks for one of :data:`SIMULATED_MODELS`; it runs only
where those exist.

A check also says what holds when a gateway answers from a provider of another dialect: which members of its ``gist``
(:attr:`Check.across`), which features the provider's model must have (:attr:`Check.needs`), and which dialects have no
words for it (:attr:`Check.lost_in`). :func:`differences` compares two results accordingly.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Generic, Self, TypeVar

from trimaran.testing.behaviour import Behaviour

__all__ = [
    "SIMULATED_MODELS",
    "Check",
    "ContractError",
    "Session",
    "Suite",
    "differences",
    "expect",
    "plain",
]

SIMULATED_MODELS: dict[str, Behaviour] = {
    "sim-rate-limited": Behaviour(fault="status", status=429),
    "sim-server-error": Behaviour(fault="status", status=500),
    "sim-overloaded": Behaviour(fault="status", status=503),
    "sim-silent": Behaviour(fault="silence"),
    "sim-small-context": Behaviour(context_tokens=40),
    "sim-endless": Behaviour(output_tokens=4_000, tpot_s=0.005),
    "sim-usage": Behaviour(input_tokens=1_000, cached_read_tokens=600, cache_write_tokens=100, reasoning_tokens=50),
    "sim-searched": Behaviour(web_searches=2, file_searches=1),
    "sim-audio": Behaviour(audio_input_tokens=5, audio_output_tokens=7),
    "sim-parallel": Behaviour(call_tools=True, tool_calls=2),
    "sim-talkative": Behaviour(call_tools=True, tool_calls=2, text_before_tools="Let me look that up."),
    "sim-reasoning": Behaviour(reasoning_text="First I think, then I answer."),
    "sim-reasoning-tools": Behaviour(reasoning_text="First I think, then I look it up.", call_tools=True),
    "sim-redacted": Behaviour(reasoning_text="A thought.", redacted_reasoning=True),
    "sim-refusal": Behaviour(refusal="I will not answer that."),
    "sim-blocked": Behaviour(blocked_prompt="PROHIBITED_CONTENT"),
    "sim-recitation": Behaviour(finish_reason="RECITATION"),
    "sim-gemini-3": Behaviour(reasoning_text="First I think, then I answer."),
    "sim-gemini-3-tools": Behaviour(reasoning_text="First I think, then I look it up.", call_tools=True, tool_calls=2),
}
"""Upstream models with the behaviours that the checks rely on. Pass them as ``behaviours=`` to a simulated provider."""

_VOLATILE = frozenset(
    {
        "id",
        "created",
        "created_at",
        "completed_at",
        "tool_call_id",
        "request_id",
        "item_id",
        "call_id",
        "previous_response_id",
        "encrypted_content",
        "response_id",
        "create_time",
        "sdk_http_response",
        "toolUseId",
        "latencyMs",
        "ResponseMetadata",
    }
)
"""What differs between two calls: ids, times, and what is bound to an id."""
_ERROR_MEMBERS = ("class", "status")
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

    def assemble(self, method: Callable[..., Any], final: str, **fields: Any) -> Any:
        """Let one of the SDK's stream helpers put an answer together: what its method ``final`` returns."""
        manager = method(**fields)
        if self._runner is not None:
            return self._runner.run(_assembled(manager, final))
        with manager as stream:
            for _ in stream:
                pass
            return getattr(stream, final)()

    def failure(self, method: Callable[..., Any], **fields: Any) -> Exception:
        """The SDK's exception; a success breaks the contract."""
        try:
            seen = self.call(method, **fields)
        except Exception as error:
            return error
        raise ContractError(f"an error was due; seen: {seen!r}")

    def with_key(self, key: str) -> _Borrowed:
        """A client with another key, for a ``with`` block."""
        return self.borrowed(api_key=key)

    def impatient(self) -> _Borrowed:
        """A client that waits 150 ms, for a ``with`` block."""
        return self.borrowed(timeout=_TIMEOUT_S)

    def borrowed(self, **changes: Any) -> _Borrowed:
        """A client with some other options, for a ``with`` block."""
        return _Borrowed(self, {**self._options, **changes})

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

    def __init__(
        self,
        name: str,
        run: Callable[[_S], Any],
        *,
        simulated: bool,
        portable: bool,
        across: frozenset[str] | None,
        needs: frozenset[str],
        lost_in: frozenset[str],
    ) -> None:
        self.name = name
        self.simulated = simulated
        """Needs :data:`SIMULATED_MODELS`."""
        self.portable = portable
        """Something of it holds when a provider of another dialect answers."""
        self.across = across
        """Which members of the gist hold then; ``None``: all of them. Of an error, class and status hold."""
        self.needs = needs
        """Features (:data:`trimaran.types.FEATURES`) without which a provider's model cannot answer it."""
        self.lost_in = lost_in
        """Dialects that cannot carry it, so that a gateway refuses it or leaves it out."""
        self.__doc__ = run.__doc__
        self._run = run

    def __call__(self, session: _S) -> dict[str, Any]:
        gist, whole = self._run(session)
        return {"gist": plain(gist), "whole": plain(whole)}

    def __repr__(self) -> str:
        return self.name


class Suite(Collection["Check[_S]"], Generic[_S]):
    """An ordered collection of checks, filled by a decorator. ``dialect`` is the client's."""

    def __init__(self, dialect: str = "") -> None:
        self.dialect = dialect
        self._checks: dict[str, Check[_S]] = {}

    def check(
        self,
        *,
        simulated: bool = False,
        portable: bool = False,
        across: Iterable[str] | None = None,
        needs: Iterable[str] = (),
        lost_in: Iterable[str] = (),
    ) -> Callable[[Callable[[_S], Any]], Check[_S]]:
        """Register a function that returns (gist, whole). ``across`` makes it portable; see :class:`Check`."""

        def register(run: Callable[[_S], Any]) -> Check[_S]:
            made = Check(
                run.__name__,
                run,
                simulated=simulated,
                portable=portable or across is not None,
                across=None if across is None else frozenset(across),
                needs=frozenset(needs),
                lost_in=frozenset(lost_in),
            )
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


def differences(
    check: Check[Any], expected: dict[str, Any], seen: dict[str, Any], *, same_dialect: bool
) -> dict[str, tuple[Any, Any]]:
    """Where two results of a check differ, as ``{place: (expected, seen)}``; empty when the promise was kept.

    With ``same_dialect`` everything the SDK parsed must be equal; otherwise the members of the gist that the check
    names. A check that is not portable promises nothing across dialects.
    """
    if same_dialect:
        return {place: (expected[place], seen[place]) for place in expected if seen[place] != expected[place]}
    if not check.portable:
        return {}
    wanted, got = expected["gist"], seen["gist"]
    if not isinstance(wanted, dict) or not isinstance(got, dict):
        return {} if wanted == got else {"gist": (wanted, got)}
    names: Iterable[str] = wanted.keys() | got.keys() if check.across is None else check.across
    if "class" in wanted:
        names = _ERROR_MEMBERS
    return {name: (wanted.get(name), got.get(name)) for name in sorted(names) if wanted.get(name) != got.get(name)}


async def _assembled(manager: Any, final: str) -> Any:
    async with manager as stream:
        async for _ in stream:
            pass
        return await getattr(stream, final)()


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
