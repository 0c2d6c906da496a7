"""What Trimaran tells about itself while it runs; one file per sink, and the counters they share.

metrics       counters a road worker moves, and their sum over workers
prometheus    the page a Prometheus server scrapes
"""

from __future__ import annotations

from trimaran.telemetry.metrics import RoadMetrics, Totals, merge

__all__ = ["RoadMetrics", "Totals", "merge"]
