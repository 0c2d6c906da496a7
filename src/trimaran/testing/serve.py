"""A simulated provider as a process: what ``trimaran mock`` runs, and the upstream of benchmarks."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable

from trimaran.errors import StartError
from trimaran.testing.behaviour import Behaviour
from trimaran.testing.provider import ANTHROPIC_DIALECTS, OPENAI_DIALECTS, SimulatedProvider

__all__ = ["run_mock"]

_GRACE_S = 5.0
_LOG_ROWS = 1_000


def run_mock(
    port: int,
    openai: Behaviour,
    anthropic: Behaviour,
    *,
    host: str = "127.0.0.1",
    name: str = "trimaran mock",
    seed: int = 0,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve every dialect until SIGINT or SIGTERM; then finish open answers for at most 5 s (a second signal: at once).

    Whatever is neither OpenAI's nor Anthropic's behaves as ``openai`` says. ``port`` 0 lets the system choose.
    ``announce`` gets one line that holds the address once requests are accepted. Prompts are not kept. Raises
    :class:`~trimaran.errors.StartError` when the port is taken.
    """
    provider = SimulatedProvider(
        openai,
        behaviours=dict.fromkeys(OPENAI_DIALECTS, openai) | dict.fromkeys(ANTHROPIC_DIALECTS, anthropic),
        name=name,
        host=host,
        port=port,
        seed=seed,
        log_limit=_LOG_ROWS,
        keep_bodies=False,
    )
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(provider, announce))


async def _serve(provider: SimulatedProvider, announce: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    stop, hurry = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            hurry.set()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    try:
        await provider.start()
    except OSError as error:
        raise StartError(
            f"cannot listen on {provider.host}:{provider.port}: {error.strerror or error}",
            where="--port",
            hint="Choose another port, or 0 for any free one.",
        ) from error
    announce(
        f"Simulated OpenAI, Anthropic, Bedrock and SageMaker API on {provider.base_url} (nothing real answers; Ctrl-C stops)"
    )
    sys.stdout.flush()
    await stop.wait()
    closing = asyncio.ensure_future(provider.close(_GRACE_S))
    hurrying = asyncio.ensure_future(hurry.wait())
    await asyncio.wait((closing, hurrying), return_when=asyncio.FIRST_COMPLETED)
    provider.drop_connections()
    hurrying.cancel()
    await closing


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
