"""Simulated providers for commands that need no key: a process of their own, ended with the command."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

from trimaran.cli.children import Child, interruptible

__all__ = ["MOCK_KEY", "MockProcess", "simulated_providers"]

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
def simulated_providers(environ: MutableMapping[str, str]) -> Iterator[None]:
    """Run one that plays both, and point the credentials and addresses in ``environ`` at it."""
    # A first token after 50 to 100 ms and 100 tokens/s: quick enough to try things, slow enough to see a stream.
    with interruptible(), MockProcess("--ttft=0.05", "--tpot=0.01", "--jitter=0.3") as mock:
        environ.update(
            OPENAI_API_KEY=MOCK_KEY,
            OPENAI_BASE_URL=f"{mock.base_url}/v1",
            ANTHROPIC_API_KEY=MOCK_KEY,
            ANTHROPIC_BASE_URL=mock.base_url,
        )
        yield
