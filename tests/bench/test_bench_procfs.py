from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from bench import procfs
from bench.procfs import Cpu, cpu, memory, parse_busy, parse_rollup, parse_stat, tree


def test_stat_of_a_command_with_spaces_and_parentheses() -> None:
    text = "42 (a (b) c) S 7 42 42 0 -1 4194304 1 2 3 4 150 50 30 20 20 0 1 0 100 1000 10"
    stat = parse_stat(text, tick_ns=10_000_000)
    assert (stat.parent, stat.own_ns, stat.ended_ns) == (7, 2_000_000_000, 500_000_000)


def test_rollup_gives_bytes() -> None:
    text = "55d0-7ffe ---p 00000000 00:00 0    [rollup]\nRss:    2048 kB\nPss:    1024 kB\nPss_Anon:   1 kB\n"
    assert parse_rollup(text) == (2048 * 1024, 1024 * 1024)


def test_busy_leaves_out_idle_and_waiting() -> None:
    assert parse_busy("cpu  100 10 50 9000 800 4 6 30 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n", ticks_per_s=100) == 2.0


def test_a_child_is_in_the_tree_and_its_cpu_is_counted() -> None:
    burn = "import time\nwhile time.process_time() < 0.05: pass\nprint('burnt', flush=True)\ninput()"
    before = cpu(os.getpid()).tree_ns
    own = time.process_time_ns()
    with subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"burnt\n"
        assert child.pid in tree(os.getpid())
        # Its own time first: what it uses between the two readings then counts for the child and not against it.
        own = time.process_time_ns() - own
        used_by_child = cpu(os.getpid()).tree_ns - before - own
        assert used_by_child >= 50_000_000
        assert cpu(child.pid).tree_ns >= 50_000_000
        below = memory(os.getpid())
        assert below.processes >= 2
        assert 0 < below.worker_rss < below.rss
        assert 0 < below.pss <= below.rss
        child.communicate(b"\n")
    # It is gone from the tree, and its time is still there: the kernel keeps it, in ticks.
    assert child.pid not in tree(os.getpid())
    assert cpu(os.getpid()).tree_ns - before >= 30_000_000


def test_a_difference_of_readings() -> None:
    assert Cpu(5, 9) - Cpu(2, 3) == Cpu(3, 6)


def test_work_that_is_put_off_is_charged_and_idling_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each slice of 0.2 s: three of put-off work, then idling at 1 % of a core.
    used = [0, 100_000_000, 200_000_000, 300_000_000, *range(302_000_000, 402_000_000, 2_000_000)]
    clock = [0.0]
    monkeypatch.setattr(procfs, "cpu", lambda _root: Cpu(0, used.pop(0)))
    monkeypatch.setattr(procfs.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(procfs.time, "sleep", lambda s: clock.__setitem__(0, clock[0] + s))
    assert procfs.settled_cpu(1) == Cpu(0, 300_000_000)
    assert 0.6 + 1.2 <= clock[0] + 1e-9 <= 0.6 + 1.2 + 0.2 + 1e-6
