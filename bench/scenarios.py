"""The loads, as data, and one run of one of them against one server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from bench.arithmetic import cpu_per_answer_us
from bench.certificates import Certificates
from bench.load import Job, Result
from bench.processes import HOST, child_setup
from bench.procfs import Cpu, cpu, settled_cpu
from bench.wire import answer_body, chat_request

__all__ = ["SCENARIOS", "Figure", "Scenario", "Site", "measure", "upstream"]

_ROOT = Path(__file__).resolve().parent.parent
_NO_CPU = Cpu(0, 0)


@dataclass(frozen=True)
class Scenario:
    """One load. ``rate`` 0 is a closed loop; ``stream`` is ``""``, ``"paced"`` or ``"burst"``.

    A paced run gives each connection one stream of ``chunks`` chunks, 10 ms apart; all others last ``seconds``.
    """

    name: str
    title: str
    connections: int = 32
    seconds: float = 3.0
    rate: float = 0.0
    tls: bool = False
    stream: str = ""
    chunks: int = 0

    @property
    def unit(self) -> str:
        return "chunk" if self.stream else "request"

    def lighter(self) -> Scenario:
        """For a server that cannot keep up: shorter streams. The cost of a chunk hardly depends on their length."""
        return replace(self, chunks=self.chunks // 6)

    def shorter(self, factor: float) -> Scenario:
        """The same load for less long."""
        return replace(self, seconds=self.seconds * factor, chunks=int(self.chunks * factor))


SCENARIOS = (
    Scenario("closed", "closed loop, 32 connections"),
    Scenario("rate100", "100 requests/s, 32 connections", seconds=5.0, rate=100.0),
    Scenario("tls", "closed loop, TLS to upstream", tls=True),
    Scenario("paced32", "streams, 100 chunks/s x 32", stream="paced", chunks=300),
    Scenario("paced128", "streams, 100 chunks/s x 128", connections=128, stream="paced", chunks=300),
    Scenario("burst", "streams of 200 chunks at once x 32", seconds=2.0, stream="burst", chunks=200),
)


@dataclass(frozen=True)
class Site:
    """What all runs share: the upstream, the request headers and the core of generator and upstream."""

    headers: tuple[tuple[str, str], ...]
    plain_ports: tuple[int, ...]
    tls_ports: tuple[int, ...]
    cpu: int | None


@dataclass(frozen=True)
class Figure:
    """One run of one server. Latencies in microseconds, of whole answers and of their first byte."""

    cpu_us: float | None
    root_cpu_us: float | None
    """The part of ``cpu_us`` that the first process of the tree used: a supervisor, where there is one."""
    busy: float
    """Share of one core the server used: near 1 means that it was the bottleneck."""
    per_second: float
    correct: int
    failed: int
    unsent: int
    """Requests of a fixed rate that could not be sent: every connection still waited for its answer."""
    reasons: dict[str, int]
    latency_us: dict[str, float]
    first_us: dict[str, float]

    @property
    def valid(self) -> bool:
        return self.failed == 0 and self.correct > 0


@contextmanager
def upstream(certificates: Certificates | None, cpu: int | None) -> Iterator[dict[str, tuple[int, ...]]]:
    """The upstream's process; yields its ports, ``plain`` and ``tls``."""
    argv = [sys.executable, "-m", "bench.upstream"]
    if certificates is not None:
        argv += ["--certificate", str(certificates.certificate), "--key", str(certificates.key)]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT, text=True, preexec_fn=child_setup(cpu)
    ) as process:
        assert process.stdout is not None
        try:
            yield {name: tuple(ports) for name, ports in json.loads(process.stdout.readline()).items()}
        finally:
            process.terminate()


def job(scenario: Scenario, site: Site, port: int, exact: bool) -> Job:
    """What the load generator is to do for ``scenario`` against ``port``."""
    request = chat_request(site.headers, scenario.stream, scenario.chunks).render(HOST, port)
    common = Job(host=HOST, port=port, request=request, connections=scenario.connections)
    if not scenario.stream:
        body = answer_body() if exact else b""
        return msgspec.structs.replace(common, exact=body, rate=scenario.rate, seconds=scenario.seconds)
    # Warmed by short bursts: pools fill and code paths run, without waiting for whole paced streams.
    warm = chat_request(site.headers, "burst", 5).render(HOST, port)
    stream = msgspec.structs.replace(common, chunks=scenario.chunks, warm_request=warm, warm_chunks=5)
    if scenario.stream == "paced":
        return msgspec.structs.replace(stream, per_connection=1)
    return msgspec.structs.replace(stream, seconds=scenario.seconds)


def measure(
    scenario: Scenario, site: Site, port: int, pid: int | None, exact: bool = True, puts_off: bool = False
) -> Figure:
    """Run ``scenario`` against ``port`` and charge the CPU of the tree below ``pid`` to the correct answers.

    ``pid`` None: the upstream itself, without a proxy; there is no CPU figure then.
    ``puts_off``: the server does part of its work later, so the clocks are read when it has become quiet.
    """
    read = settled_cpu if puts_off else cpu
    work = job(scenario, site, port, exact)
    with subprocess.Popen(
        [sys.executable, "-m", "bench.load"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT, text=True, preexec_fn=child_setup(site.cpu),
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(msgspec.json.encode(work).decode() + "\n")
            process.stdin.flush()
            if process.stdout.readline() != "ready\n":
                return _nothing("the load generator ended before it was ready")
            before = read(pid) if pid is not None else _NO_CPU
            process.stdin.write("go\n")
            process.stdin.flush()
            line = process.stdout.readline()
            used = (read(pid) if pid is not None else _NO_CPU) - before
        finally:
            process.terminate()
    if not line:
        return _nothing("the load generator ended before its result")
    result = msgspec.json.decode(line, type=Result)
    correct = result.chunks if scenario.stream else result.completed
    return Figure(
        cpu_us=cpu_per_answer_us(used.tree_ns, correct) if pid is not None else None,
        root_cpu_us=cpu_per_answer_us(used.root_ns, correct) if pid is not None else None,
        busy=used.tree_ns / 1e9 / result.elapsed_s,
        per_second=correct / result.elapsed_s,
        correct=correct,
        failed=result.failed,
        unsent=result.unsent,
        reasons=result.reasons,
        latency_us=result.latency_us,
        first_us=result.first_us,
    )


def _nothing(reason: str) -> Figure:
    nothing = {"p50": 0.0, "p99": 0.0}
    return Figure(None, None, 0.0, 0.0, 0, 1, 0, {reason: 1}, nothing, nothing)
