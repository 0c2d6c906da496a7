"""``python -m trimaran.cli.worker``: a road worker, started by the supervisor and by nobody else."""

from __future__ import annotations

import sys

__all__ = ["command", "main"]


def command(journal_dir: str, worker: int, listen_fd: int, plane_fd: int) -> list[str]:
    """The argument vector of a worker process."""
    return [
        sys.executable,
        "-m",
        "trimaran.cli.worker",
        f"--worker={worker}",
        f"--listen-fd={listen_fd}",
        f"--plane-fd={plane_fd}",
        f"--journal={journal_dir}",
    ]


def main() -> int:
    """Run one worker until it is drained."""
    from trimaran.gateway import worker

    return worker.main(sys.argv[1:])


if __name__ == "__main__":
    raise SystemExit(main())
