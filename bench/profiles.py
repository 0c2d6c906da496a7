"""Where the CPU goes: py-spy on the road worker under load, and the interpreter's own import times.

py-spy samples from outside, so the worker runs the code that was measured. It is installed beside the peers. Without
the right to look into another process (ptrace) it says so and there is no profile.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from bench.procfs import cpu, tree
from bench.scenarios import Scenario, Site, measure
from bench.servers import Trimaran, cache_home

__all__ = ["heaviest", "import_times", "parse_import_times", "parse_stacks", "profile"]

_PINNED = "0.4.2"
# The worker's main is below everything: time that has nothing else of ours above it is the loop's.
_ROOM = re.compile(r"trimaran/(?!\w+/worker\.py)(\w+)/")


def profile(scenario: Scenario, site: Site, port: int, root: int, directory: Path) -> str:
    """Run ``scenario`` and sample the busiest process of the tree meanwhile; returns a text for people."""
    tool = _py_spy()
    if isinstance(tool, str):
        return f"no profile: {tool}"
    pid = heaviest(root)
    out = directory / f"stacks-{scenario.name}.txt"
    load = threading.Thread(target=measure, args=(scenario, site, port, None))
    load.start()
    argv = [str(tool), "record", "--pid", str(pid), "--format", "raw", "--output", str(out), "--rate", "250"]
    argv += ["--duration", "3", "--native"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    load.join()
    if done.returncode != 0 or not out.exists():
        return f"no profile: py-spy said {(done.stderr.strip() or 'nothing').splitlines()[-1]}"
    return _render(scenario.title, out.read_text())


def heaviest(root: int) -> int:
    """The process of the tree below ``root`` that has used most CPU: the road worker, once there was load."""
    pids = tree(root)
    own = {pid: cpu(pid).root_ns for pid in pids}
    leaves = pids[1:] or pids
    return max(leaves, key=lambda pid: own[pid])


def _py_spy() -> Path | str:
    home = cache_home() / "py-spy"
    tool = home / "bin" / "py-spy"
    if tool.exists():
        return tool
    for step in (
        [sys.executable, "-m", "venv", "--clear", str(home)],
        [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", f"py-spy=={_PINNED}"],
    ):
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            shutil.rmtree(home, ignore_errors=True)
            return f"py-spy could not be installed: {(done.stderr.strip() or 'no message').splitlines()[-1]}"
    return tool


def parse_stacks(text: str) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Samples by innermost function, by any function on the stack (once each), and by innermost room of ours.

    One line of the raw format is ``outer;…;inner COUNT``.
    """
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    rooms: Counter[str] = Counter()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        if not count.isdigit():
            continue
        frames = [re.sub(r":\d+\)$", ")", frame) for frame in stack.split(";")]
        own[frames[-1]] += int(count)
        total.update(dict.fromkeys(frames, int(count)))
        room = next((found[1] for frame in reversed(frames) if (found := _ROOM.search(frame))), "the loop and below")
        rooms[room] += int(count)
    return own, total, rooms


def _render(title: str, text: str) -> str:
    own, total, rooms = parse_stacks(text)
    samples = sum(own.values()) or 1
    lines = [f"Profile of the worker: {title} ({samples} samples)", "  by innermost room:"]
    lines += [f"    {count / samples:6.1%}  {name}" for name, count in rooms.most_common(12)]
    lines.append("  by innermost function:")
    lines += [f"    {count / samples:6.1%}  {name}" for name, count in own.most_common(25)]
    lines.append("  by function with all it calls (ours only):")
    ours = [(name, count) for name, count in total.most_common() if "trimaran" in name]
    lines += [f"    {count / samples:6.1%}  {name}" for name, count in ours[:25]]
    return "\n".join(lines)


def parse_import_times(text: str) -> list[tuple[int, int, str]]:
    """``(own µs, with all below µs, module)`` for each line of ``-X importtime``."""
    rows = []
    for line in text.splitlines():
        found = re.match(r"import time:\s+(\d+) \|\s+(\d+) \| +(\S+)", line)
        if found:
            rows.append((int(found[1]), int(found[2]), found[3]))
    return rows


def import_times(module: str, top: int = 15) -> str:
    """The slowest imports below ``module``, by their own time."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", f"import {module}"],
        env=Trimaran.python_env(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    rows = sorted(parse_import_times(done.stderr), reverse=True)[:top]
    return "\n".join(
        [f"Imports of {module}, own time:"] + [f"  {own / 1000:7.1f} ms  {name}" for own, _all, name in rows]
    )
