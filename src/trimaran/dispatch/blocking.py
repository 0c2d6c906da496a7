"""The library for callers without an event loop: :class:`~trimaran.dispatch.library.AsyncRouter` on a private loop, on a thread
of its own that is started when first used.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

from trimaran.dispatch.library import AsyncRouter, Prompt, RouterSettings, settings_of
from trimaran.dispatch.result import Result
from trimaran.errors import ConfigError
from trimaran.routing import Choice

__all__ = ["MultiCloudRouter", "Router"]

_T = TypeVar("_T")


class Router:
    """The synchronous face: the same methods, called from any thread. Use as a context manager, or call :meth:`close`."""

    def __init__(self, settings: RouterSettings) -> None:
        self._router = AsyncRouter(settings)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @classmethod
    def from_config(cls, path: str | None = None, *, ledger: str | Path | None = None) -> Router:
        """A router for a configuration file, or for the credentials in the environment when ``path`` is ``None``.

        Raises :class:`~trimaran.errors.ConfigError`.
        """
        return cls(settings_of(path, os.environ, ledger))

    def __enter__(self) -> Router:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def route(self, prompt: Prompt, **options: Any) -> Result:
        """One whole answer; see :meth:`AsyncRouter.route`."""
        return self._run(self._router.route(prompt, **options))

    def stream(self, prompt: Prompt, **options: Any) -> Iterator[str]:
        """The answer's text piece by piece; see :meth:`AsyncRouter.stream`."""
        pieces = self._router.stream(prompt, **options)
        try:
            while True:
                piece = self._run(_next(pieces))
                if piece is None:
                    return
                yield piece
        finally:
            self._run(_close(pieces))

    def explain(self, **options: Any) -> list[Choice]:
        """The order in which a request would be tried now; see :meth:`AsyncRouter.explain`."""

        async def explain() -> list[Choice]:
            return self._router.explain(**options)

        return self._run(explain())

    def stats(self) -> dict[str, dict[str, object]]:
        """Latencies (ms), errors and cost by provider, as this router has seen them."""
        return self._router.stats()

    def close(self) -> None:
        """Close connections and end the thread. Idempotent; the router can be used again afterwards."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        atexit.unregister(self.close)

    async def _end(self) -> None:
        await self._router.close()
        # Callers in other threads are still to hear of it.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        future = asyncio.run_coroutine_threadsafe(work, self._started())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                import uvloop

                self._loop = loop = uvloop.new_event_loop()
                self._thread = threading.Thread(target=loop.run_forever, name="trimaran", daemon=True)
                self._thread.start()
                atexit.register(self.close)
            return self._loop


class MultiCloudRouter(Router):
    """The providers whose credentials are in the environment, the fastest healthy one first.

    Raises :class:`~trimaran.errors.ConfigError` when there is none. Where none of them has a default model (AWS alone), each
    call names one.
    """

    def __init__(self, *, ledger: str | Path | None = None) -> None:
        settings = settings_of(None, os.environ, ledger)
        if "auto" not in settings.snapshot.models and not settings.snapshot.wildcards:
            raise ConfigError(
                "no provider's credential is in the environment",
                where="environment",
                hint="set OPENAI_API_KEY or ANTHROPIC_API_KEY; 'trimaran doctor' shows what was tried",
            )
        super().__init__(settings)


async def _next(pieces: AsyncIterator[str]) -> str | None:
    return await anext(pieces, None)


async def _close(pieces: AsyncIterator[str]) -> None:
    close = getattr(pieces, "aclose", None)
    if close is not None:
        await close()
