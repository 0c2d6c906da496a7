"""The table for people and the JSON beside it, from the same values."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.arithmetic import Verdict, judge, median_of, ratio, spread
from bench.limits import LIMITS
from bench.procfs import Memory
from bench.scenarios import Figure, Scenario

__all__ = ["Report", "machine_facts", "render_table", "show_number"]

Cell = str | float | None


@dataclass
class Report:
    """All figures of one run. ``subject`` is the server that the limits are about."""

    subject: str
    servers: list[str]
    scenarios: Sequence[Scenario]
    facts: dict[str, object]
    versions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    rounds: dict[str, dict[str, list[Figure]]] = field(default_factory=dict)
    """``[scenario][server]``: one figure for each round. The server ``direct`` is the upstream without a proxy."""
    startup_s: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, Memory] = field(default_factory=dict)
    imports_s: dict[str, list[float]] = field(default_factory=dict)

    def add(self, scenario: str, server: str, figure: Figure) -> None:
        self.rounds.setdefault(scenario, {}).setdefault(server, []).append(figure)

    def cpu_us(self, scenario: str, server: str) -> float | None:
        """Median over the rounds; None as soon as one of them had a wrong answer."""
        figures = self.rounds.get(scenario, {}).get(server, [])
        if not all(figure.valid for figure in figures):
            return None
        return median_of(figure.cpu_us for figure in figures)

    def latency_us(self, scenario: str, server: str, which: str, first: bool = False) -> float | None:
        figures = self.rounds.get(scenario, {}).get(server, [])
        return median_of((f.first_us if first else f.latency_us)[which] for f in figures if f.valid)

    def figures(self) -> dict[str, dict[str, float | None]]:
        """One figure for each row of the limits and each server, in the limit's unit."""
        table: dict[str, dict[str, float | None]] = {
            scenario.name: {server: self.cpu_us(scenario.name, server) for server in self.servers}
            for scenario in self.scenarios
        }
        table["startup"] = {server: median_of(values) for server, values in self.startup_s.items()}
        table["worker_rss"] = {server: m.worker_rss / 1e6 for server, m in self.memory.items()}
        table["tree_pss"] = {server: m.pss / 1e6 for server, m in self.memory.items()}
        for name, values in self.imports_s.items():
            table[name] = {self.subject: median_of(values)}
        return table

    def verdicts(self) -> list[Verdict]:
        figures = self.figures()
        return [judge(limit, figures, self.subject) for limit in LIMITS]

    def wrong(self) -> list[str]:
        """Runs with wrong answers, for people: which, how many, why."""
        lines = []
        for scenario, by_server in self.rounds.items():
            for server, figures in by_server.items():
                failed = sum(figure.failed for figure in figures)
                if failed:
                    reason = next(reason for figure in figures for reason in figure.reasons)
                    lines.append(f"{server}, {scenario}: {failed} wrong answers, first {reason[:300]}")
        return lines

    def overloaded(self) -> list[str]:
        """Fixed-rate runs that the server could not keep up with, for people."""
        return [
            f"{server}, {scenario}: {unsent} requests were not sent, every connection still waited for an answer"
            for scenario, by_server in self.rounds.items()
            for server, figures in by_server.items()
            if (unsent := sum(figure.unsent for figure in figures))
        ]

    def text(self) -> str:
        parts = [self._head(), self._cpu_table(), self._latency_table(), self._process_table(), self._limits_table()]
        parts += [f"missing: {name}: {reason}" for name, reason in self.missing.items()]
        parts += [f"overloaded: {line}" for line in self.overloaded()]
        parts += [f"WRONG: {line}" for line in self.wrong()]
        return "\n\n".join(part for part in parts if part)

    def to_json(self) -> str:
        return json.dumps(
            {
                "facts": self.facts,
                "versions": self.versions,
                "missing": self.missing,
                "scenarios": [asdict(scenario) for scenario in self.scenarios],
                "medians": self.figures(),
                "rounds": {s: {n: [asdict(f) for f in fs] for n, fs in by.items()} for s, by in self.rounds.items()},
                "startup_s": self.startup_s,
                "imports_s": self.imports_s,
                "memory_bytes": {name: asdict(memory) for name, memory in self.memory.items()},
                "limits": [asdict(v) | {"met": v.met, "text": v.text} for v in self.verdicts()],
            },
            indent=1,
        )

    def write(self, directory: Path) -> Path:
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / time.strftime("bench-%Y%m%dT%H%M%SZ.json", time.gmtime())
        path.write_text(self.to_json() + "\n")
        return path

    def _head(self) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        facts = ", ".join(f"{name} {value}" for name, value in self.facts.items())
        return f"{versions}\n{facts}"

    def _peers(self) -> list[str]:
        return [server for server in self.servers if server != self.subject]

    def _cpu_table(self) -> str:
        peers = self._peers()
        rows: list[list[Cell]] = []
        for scenario in self.scenarios:
            row: list[Cell] = [scenario.title, scenario.unit]
            row += [self._cpu_cell(scenario.name, server) for server in self.servers]
            ours = self.cpu_us(scenario.name, self.subject)
            row += [_times(ratio(ours, self.cpu_us(scenario.name, peer))) for peer in peers]
            rows.append(row)
        head = ["CPU µs, whole tree (median ± half the range)", "per", *self.servers, *(f"/ {peer}" for peer in peers)]
        return "\n".join([render_table(head, rows), *self._supervisor_line()])

    def _supervisor_line(self) -> list[str]:
        parts = []
        for scenario in self.scenarios:
            figures = self.rounds.get(scenario.name, {}).get(self.subject, [])
            if len(figures) and (root_us := median_of(figure.root_cpu_us for figure in figures)) is not None:
                parts.append(f"{scenario.name} {show_number(root_us)}")
        return [f"of this, {self.subject}'s first process: {', '.join(parts)}"] if parts else []

    def _cpu_cell(self, scenario: str, server: str) -> str | None:
        middle = self.cpu_us(scenario, server)
        span = spread(figure.cpu_us for figure in self.rounds.get(scenario, {}).get(server, []))
        if middle is None or span is None:
            return None
        return f"{show_number(middle)} ±{(span[1] - span[0]) / 2 / middle:3.0%}"

    def _latency_table(self) -> str:
        rows: list[list[Cell]] = []
        for scenario, first in (("rate100", False), ("paced32", True)):
            what = "first byte of a stream" if first else "answer at 100 requests/s"
            for which in ("p50", "p99"):
                direct = self.latency_us(scenario, "direct", which, first)
                if direct is None:
                    continue
                added = (self.latency_us(scenario, server, which, first) for server in self.servers)
                rows.append([f"{what}, {which}", direct, *(None if a is None else a - direct for a in added)])
        head = ["added latency µs (through less direct)", "direct", *self.servers]
        return render_table(head, rows) if rows else ""

    def _process_table(self) -> str:
        figures = self.figures()
        rows: list[list[Cell]] = [
            [title, *(figures.get(name, {}).get(server) for server in self.servers)]
            for name, title in (
                ("startup", "start-up to the first 200, s"),
                ("worker_rss", "RSS of the largest worker, MB"),
                ("tree_pss", "PSS of the tree, MB"),
                ("import", "import trimaran, s"),
                ("import_router", "from trimaran import MultiCloudRouter, s"),
            )
            if name in figures
        ]
        return render_table(["process", *self.servers], rows, digits=3)

    def _limits_table(self) -> str:
        rows: list[list[Cell]] = []
        for verdict in self.verdicts():
            limit = verdict.limit
            against = f" / {limit.against}" if limit.against else ""
            unit = "x" if limit.unit == "x" else f" {limit.unit}"
            measured = "-" if verdict.measured is None else f"{verdict.measured:.2f}{unit}"
            of = f", {limit.of}" if limit.of else ""
            rows.append([f"{limit.scenario}{of}{against}", f"≤ {limit.bound:g}{unit}", measured, verdict.text])
        return render_table(["limit", "bound", "measured", "verdict"], rows)


def _times(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}x" if value >= 0.1 else f"{value:.4f}x"


def show_number(value: float, digits: int = 1) -> str:
    """``digits`` places, or none and separators from a thousand on."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}f}"


def render_table(head: Sequence[str], rows: Iterable[Sequence[Cell]], digits: int = 1) -> str:
    """Plain columns: the first to the left, the others to the right; a figure that is not there is a dash."""

    def show(cell: Cell) -> str:
        if cell is None:
            return "-"
        if isinstance(cell, str):
            return cell
        return show_number(cell, digits)

    lines = [list(head), *([show(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]

    def lay_out(line: list[str]) -> str:
        rest = (cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
        return "  ".join([line[0].ljust(widths[0]), *rest])

    text = [lay_out(line) for line in lines]
    return "\n".join([text[0], "-" * len(text[0]), *text[1:]])


def machine_facts(request_headers: str, pinned: bool, rounds: int) -> dict[str, object]:
    """What a reader needs to judge the figures: machine, interpreter, load by others, command."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": f"{model} x {os.cpu_count()}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "rounds": rounds,
        "pinned": "generator and upstream on one core, server on the other" if pinned else "no",
        "request headers": request_headers,
        "load before": round(os.getloadavg()[0], 2),
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": "python -m bench " + " ".join(sys.argv[1:]),
    }
