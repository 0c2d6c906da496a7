"""The admin application: what the supervisor knows, for people, Prometheus and orchestrators. Read-only, no secrets.

    GET /metrics        Prometheus' page, all workers together
    GET /healthz        200 while the supervisor runs
    GET /readyz         200 when a worker serves and there is something to serve; else 503 and what to do
    GET /admin/state    snapshot version, workers, circuits, warnings, the last reload's error

Imported after the workers were started: starlette and uvicorn take longer to import than a worker to become ready.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from trimaran.telemetry.prometheus import CONTENT_TYPE

__all__ = ["AdminServer", "AdminView", "application"]


class AdminView(Protocol):
    """What the application shows."""

    def metrics(self) -> bytes:
        """Prometheus' page."""

    def readiness(self) -> tuple[bool, str]:
        """Ready or not, and one sentence."""

    def state(self) -> dict[str, Any]:
        """What ``/admin/state`` shows; JSON-able, no secrets."""


def application(view: AdminView) -> Starlette:
    """The ASGI application over ``view``."""

    async def metrics(_: Request) -> Response:
        return Response(view.metrics(), media_type=CONTENT_TYPE)

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        ready, why = view.readiness()
        return PlainTextResponse(f"{why}\n", status_code=200 if ready else 503)

    async def state(_: Request) -> Response:
        return JSONResponse(view.state())

    return Starlette(
        routes=[
            Route("/metrics", metrics),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/admin/state", state),
        ]
    )


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers (the supervisor has its own) and without its ten wake-ups a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.asked_to_stop = asyncio.Event()

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()

    async def main_loop(self) -> None:
        await self.asked_to_stop.wait()


class AdminServer:
    """Serves :func:`application` on a socket that is already listening, within the running loop."""

    def __init__(self, view: AdminView, listener: socket.socket) -> None:
        self._listener = listener
        self._server = _Server(
            uvicorn.Config(
                application(view),
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=1,
            )
        )

    async def serve(self) -> None:
        """Until :meth:`stop`."""
        await self._server.serve(sockets=[self._listener])

    def stop(self) -> None:
        """End :meth:`serve`; answers under way get a second."""
        self._server.asked_to_stop.set()
