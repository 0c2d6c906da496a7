"""CPU time and memory of a process tree, from the kernel.

CPU comes from each process's own CPU clock: nanoseconds, all threads, those that have ended included. The ticks of
10 ms in ``/proc/PID/stat`` are too coarse where a run of five seconds uses a tenth of one; they serve for children that
have ended, and where the clock cannot be read.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "Cpu",
    "Memory",
    "ProcessStat",
    "busy_s",
    "cpu",
    "memory",
    "parse_busy",
    "parse_rollup",
    "parse_stat",
    "settled_cpu",
    "tree",
]

_PROC = Path("/proc")
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_QUIET_S = 1.2
_SLICE_S = 0.2
_IDLE_SHARE = 0.03
"""Below this share of a core a tree counts as idle: timers and health checks take less."""


@dataclass(frozen=True)
class ProcessStat:
    """The fields of ``/proc/PID/stat`` that we read, in nanoseconds. ``ended_ns``: children that were waited for."""

    parent: int
    own_ns: int
    ended_ns: int


@dataclass(frozen=True)
class Memory:
    """Bytes. ``worker_rss`` is the largest process below the root, or the root where it is alone."""

    rss: int
    pss: int
    worker_rss: int
    processes: int


def parse_stat(text: str, tick_ns: int = _TICK_NS) -> ProcessStat:
    """Read one line of ``/proc/PID/stat``; the command in it may hold spaces and parentheses."""
    fields = text[text.rindex(")") + 2 :].split()
    user, system, child_user, child_system = (int(field) for field in fields[11:15])
    return ProcessStat(int(fields[1]), (user + system) * tick_ns, (child_user + child_system) * tick_ns)


def parse_rollup(text: str) -> tuple[int, int]:
    """RSS and PSS in bytes from ``smaps_rollup``."""
    sizes = {"Rss": 0, "Pss": 0}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name in sizes:
            sizes[name] = int(rest.split()[0]) * 1024
    return sizes["Rss"], sizes["Pss"]


def tree(root: int) -> list[int]:
    """``root`` and all that descend from it, parents before children."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            stat = _stat(int(entry.name))
            if stat is not None:
                children.setdefault(stat.parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


@dataclass(frozen=True)
class Cpu:
    """CPU nanoseconds used so far: by the root process itself, and by the whole tree."""

    root_ns: int
    tree_ns: int

    def __sub__(self, earlier: Cpu) -> Cpu:
        return Cpu(self.root_ns - earlier.root_ns, self.tree_ns - earlier.tree_ns)


def cpu(root: int) -> Cpu:
    """What the tree below ``root`` has used; all of its processes must still run."""
    used = {}
    for pid in tree(root):
        stat = _stat(pid)
        if stat is not None:
            used[pid] = stat.ended_ns + (_clock_ns(pid) or stat.own_ns)
    return Cpu(used.get(root, 0), sum(used.values()))


def settled_cpu(root: int, at_most_s: float = 15.0) -> Cpu:
    """Wait until the tree has been quiet for over a second, and give the reading from before the quiet.

    A server that puts work off (writing its records to a database) is charged for it this way, and not for idling.
    """
    deadline = time.monotonic() + at_most_s
    reading = cpu(root)
    since, quiet_since = reading, time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - quiet_since < _QUIET_S:
        time.sleep(_SLICE_S)
        now = cpu(root)
        if (now - reading).tree_ns > _IDLE_SHARE * _SLICE_S * 1e9:
            since, quiet_since = now, time.monotonic()
        reading = now
    return since


def _clock_ns(pid: int) -> int | None:
    # The id of another process's CPU clock, as clock_getcpuclockid(3) makes it: Python does not export that function.
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)
    except OSError:
        return None


def _stat(pid: int) -> ProcessStat | None:
    try:
        return parse_stat((_PROC / str(pid) / "stat").read_text())
    except (OSError, ValueError):
        return None  # it ended meanwhile


def parse_busy(text: str, ticks_per_s: int = 1_000_000_000 // _TICK_NS) -> float:
    """Seconds that all cores together were not idle since boot, stolen ones included, from ``/proc/stat``."""
    fields = [int(field) for field in text.splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / ticks_per_s


def busy_s() -> float:
    """Seconds that this machine's cores were not idle since boot, summed over the cores."""
    return parse_busy((_PROC / "stat").read_text())


def memory(root: int) -> Memory:
    """Memory of the tree below ``root`` now. A shared page counts whole for each in RSS, in parts in PSS."""
    sizes = {}
    for pid in tree(root):
        try:
            sizes[pid] = parse_rollup((_PROC / str(pid) / "smaps_rollup").read_text())
        except OSError:
            continue
    below = [rss for pid, (rss, _pss) in sizes.items() if pid != root]
    rss = sum(size[0] for size in sizes.values())
    return Memory(rss, sum(size[1] for size in sizes.values()), max(below, default=rss), len(sizes))
