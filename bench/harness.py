"""One whole run: start the servers, take turns, read the clocks, end everything."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.certificates import Certificates, make_certificates
from bench.processes import NotReady, Running, free_port
from bench.procfs import busy_s, memory
from bench.profiles import import_times, profile
from bench.report import Report, machine_facts
from bench.scenarios import SCENARIOS, Scenario, Site, measure, upstream
from bench.servers import Server, Stage, Trimaran
from bench.wire import sdk_headers

__all__ = ["Plan", "run"]

_STARTS = 5


@dataclass(frozen=True)
class Plan:
    """What is asked for. ``factor`` shortens every run; a profile run measures nothing else."""

    subject: Server
    peers: Sequence[Server]
    rounds: int
    scenarios: Sequence[str]
    factor: float
    pin: bool
    profile: bool


class _Run:
    def __init__(self, plan: Plan, stack: ExitStack) -> None:
        self._plan = plan
        self._stack = stack
        self._directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trimaran-bench-")))
        cores = sorted(os.sched_getaffinity(0))
        pinned = plan.pin and len(cores) > 1
        load_cpu = cores[0] if pinned else None
        self._server_cpu = cores[1] if pinned else None
        self._certificates: Certificates | None = make_certificates(self._directory)
        ports = stack.enter_context(upstream(self._certificates, load_cpu))
        headers, source = sdk_headers()
        self._site = Site(headers, ports["plain"], ports["tls"], load_cpu)
        facts = machine_facts(f"{len(headers) + 2} in ({source}), 20 back", pinned, plan.rounds)
        scenarios = [s.shorter(plan.factor) for s in SCENARIOS if s.name in plan.scenarios]
        self.report = Report(plan.subject.name, [], scenarios, facts)
        if self._certificates is None:
            self.report.missing["tls"] = "no openssl binary here, so TLS to the upstream is not measured"
        self._running: dict[tuple[str, bool], Running] = {}

    def start(self, server: Server, tls: bool, pinned: bool = True) -> Running:
        """Start ``server`` in a directory of its own. The caller ends it."""
        port = free_port()
        directory = self._directory / f"{server.name}-{port}"
        directory.mkdir()
        ports = self._site.tls_ports if tls else self._site.plain_ports
        authority = self._certificates.authority if self._certificates else Path(os.devnull)
        stage = Stage(directory, ports, port, free_port(), tls, authority)
        launch = server.launch(stage)
        cpu = self._server_cpu if pinned else None
        return Running(launch.argv, stage.environment(launch.env), directory, port, launch.ready_path, cpu)

    def admit(self, server: Server) -> bool:
        """Start the server's instances; one that cannot be had is named as missing, with the reason."""
        reason = server.missing()
        if reason:
            self.report.missing[server.name] = reason
            return False
        _say(f"starting {server.name}")
        kinds = [False, True] if self._certificates and any(s.tls for s in self.report.scenarios) else [False]
        try:
            for tls in kinds:
                self._running[server.name, tls] = self._stack.enter_context(self.start(server, tls))
        except NotReady as error:
            self.report.missing[server.name] = str(error)
            return False
        self.report.servers.append(server.name)
        self.report.versions[server.name] = server.version()
        self.report.startup_s[server.name] = [self._running[server.name, False].startup_s]
        return True

    def startup(self, server: Server) -> None:
        """Start-up of the subject again and again, not pinned, as a user would see it."""
        _say(f"start-up of {server.name}")
        times = []
        for _ in range(_STARTS):
            with self.start(server, tls=False, pinned=False) as running:
                times.append(running.startup_s)
        self.report.startup_s[server.name] = times

    def imports(self) -> None:
        statements = {"import": "import trimaran", "import_router": "from trimaran import MultiCloudRouter"}
        for name, statement in statements.items():
            times = [_import_s(statement) for _ in range(_STARTS + 1)][1:]
            present = [value for value in times if value is not None]
            if present:
                self.report.imports_s[name] = present

    def rounds(self, servers: Sequence[Server]) -> None:
        """All servers take turns at each scenario, in each round; before them the upstream alone, for its latency."""
        for number in range(1, self._plan.rounds + 1):
            for scenario in self.report.scenarios:
                if scenario.tls and self._certificates is None:
                    continue
                _say(f"round {number} of {self._plan.rounds}: {scenario.title}")
                if scenario.name in ("rate100", "paced32"):
                    self.report.add(
                        scenario.name, "direct", measure(scenario, self._site, self._site.plain_ports[0], None)
                    )
                for server in servers:
                    self.one(scenario, server)

    def one(self, scenario: Scenario, server: Server) -> None:
        running = self._running[server.name, scenario.tls]
        fitting = scenario.lighter() if server.heavy and scenario.stream else scenario
        figure = measure(fitting, self._site, running.port, running.pid, server.exact, server.puts_off)
        self.report.add(scenario.name, server.name, figure)

    def memories(self) -> None:
        for (name, tls), running in self._running.items():
            if not tls and name in self.report.servers:
                self.report.memory[name] = memory(running.pid)

    def profiles(self, server: Server) -> str:
        running = self._running[server.name, False]
        texts = []
        for scenario in SCENARIOS:
            if scenario.name in ("closed", "paced128"):
                measure(scenario.shorter(0.3), self._site, running.port, running.pid)
                longer = scenario.shorter(1.7)
                texts.append(profile(longer, self._site, running.port, running.pid, self._directory))
        return "\n\n".join([*texts, import_times("trimaran.cli.serve"), import_times("trimaran.gateway.worker")])


def run(plan: Plan) -> tuple[Report, str]:
    """Run ``plan``; returns the report, and the profiles' text when they were asked for."""
    started, busy, own = time.monotonic(), busy_s(), sum(os.times()[:4])
    report, profiles = _run(plan)
    # All our processes have ended and been waited for, so the kernel has given us their times.
    others = busy_s() - busy - (sum(os.times()[:4]) - own)
    share = others / (time.monotonic() - started) / (os.cpu_count() or 1)
    report.facts["used by others meanwhile"] = f"{max(0.0, share):.0%} of the machine"
    return report, profiles


def _run(plan: Plan) -> tuple[Report, str]:
    with ExitStack() as stack:
        state = _Run(plan, stack)
        subject_here = state.admit(plan.subject)
        if plan.profile:
            return state.report, state.profiles(plan.subject) if subject_here else ""
        if subject_here:
            if isinstance(plan.subject, Trimaran):
                state.imports()
            state.startup(plan.subject)
        servers = [plan.subject] if subject_here else []
        servers += [peer for peer in plan.peers if state.admit(peer)]
        state.rounds(servers)
        state.memories()
        return state.report, ""


def _import_s(statement: str) -> float | None:
    code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=Trimaran.python_env(), capture_output=True, text=True, check=False
    )
    return float(done.stdout) if done.returncode == 0 else None


def _say(text: str) -> None:
    print(f"· {text}", file=sys.stderr, flush=True)
