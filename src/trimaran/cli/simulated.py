"""Simulated providers for commands that need no key: a process of their own, ended with the command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager

import msgspec

from trimaran.cli.children import Child, interruptible
from trimaran.types import Snapshot, Target

__all__ = ["MOCK_KEY", "MockProcess", "simulated", "simulated_providers"]

MOCK_KEY = "simulated"


class MockProcess(Child):
    """``trimaran mock`` as a child process. Use it as a context manager."""

    def __init__(self, *options: str) -> None:
        super().__init__("mock", "--port=0", *options, what="the simulated provider")
        self._base_url = ""

    def __enter__(self) -> MockProcess:
        super().__enter__()
        return self

    @property
    def base_url(self) -> str:
        """Its address, without ``/v1``. Waits until it serves; raises :class:`~trimaran.errors.StartError`."""
        if not self._base_url:
            self._base_url = self.addresses()[0]
        return self._base_url


@contextmanager
def simulated_providers(environ: MutableMapping[str, str]) -> Iterator[str]:
    """Run one that plays every provider, with credentials in ``environ`` for the two best known; yields its address.

    Which models there are still follows from configuration and environment; see :func:`simulated` for who answers.
    """
    # A first token after 50 to 100 ms and 100 tokens/s: quick enough to try things, slow enough to see a stream.
    with interruptible(), MockProcess("--ttft=0.05", "--tpot=0.01", "--jitter=0.3") as mock:
        environ.update(OPENAI_API_KEY=MOCK_KEY, ANTHROPIC_API_KEY=MOCK_KEY)
        yield mock.base_url


def simulated(snapshot: Snapshot, base_url: str) -> Snapshot:
    """The snapshot with every target at the simulator and marked so; no credential of yours is left in it."""

    def moved(targets: Mapping[str, Target]) -> dict[str, Target]:
        return {
            name: msgspec.structs.replace(target, base_url=base_url, simulated=True) for name, target in targets.items()
        }

    return msgspec.structs.replace(
        snapshot,
        targets=moved(snapshot.targets),
        wildcards=moved(snapshot.wildcards),
        secrets=dict.fromkeys([*snapshot.secrets, *snapshot.identities], MOCK_KEY),
        identities={},
        headers={},
    )
