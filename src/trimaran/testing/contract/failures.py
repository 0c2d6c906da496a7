"""What every conversing dialect promises when the provider fails: the checks that differ in nothing but the client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from trimaran.testing.contract.suite import Session, Suite

__all__ = ["add_failures"]

_S = TypeVar("_S", bound=Session)


def add_failures(suite: Suite[_S], error: Callable[..., Any]) -> None:
    """Register them in ``suite``. ``error(session, client=None, **fields)`` asks for an ordinary answer with ``fields`` and
    gives the gist and the whole of the failure."""
    check = suite.check(simulated=True, portable=True)

    @check
    def rate_limited(session: _S) -> Any:
        """429 stays 429."""
        return error(session, model=session.named("sim-rate-limited"))

    @check
    def rate_limited_stream(session: _S) -> Any:
        """429 before a stream starts is an ordinary 429."""
        return error(session, model=session.named("sim-rate-limited"), stream=True)

    @check
    def server_error(session: _S) -> Any:
        """500 stays in its class."""
        return error(session, model=session.named("sim-server-error"))

    @check
    def overloaded(session: _S) -> Any:
        """503 stays in its class."""
        return error(session, model=session.named("sim-overloaded"))

    @check
    def timeout(session: _S) -> Any:
        """The client's own timeout works."""
        with session.impatient() as client:
            return error(session, client, model=session.named("sim-silent"))
