"""What was promised about speed, as data: ``python -m bench`` holds its figures against these rows."""

from __future__ import annotations

from bench.arithmetic import Limit

__all__ = ["LIMITS"]

LIMITS = (
    Limit("closed", 0.6, "x", "sglang-router"),
    Limit("closed", 2.2, "x", "nginx"),
    Limit("paced32", 1.5, "x", "nginx"),
    Limit("paced128", 1.5, "x", "nginx"),
    Limit("closed", 2.0, "x", "trimaran", of="translated"),
    Limit("paced32", 3.0, "x", "trimaran", of="translated"),
    Limit("paced128", 3.0, "x", "trimaran", of="translated"),
    Limit("burst", 3.0, "x", "trimaran", of="translated"),
    Limit("startup", 0.5, "s"),
    Limit("worker_rss", 70.0, "MB"),
    Limit("tree_pss", 110.0, "MB"),
    Limit("import", 0.3, "s"),
    Limit("import_router", 0.3, "s"),
)
