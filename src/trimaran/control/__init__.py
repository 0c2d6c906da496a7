"""The control process: it starts, configures, watches and accounts for the road workers, and never answers a request.

supervisor     the life of a gateway: start, reload, stop
fleet          the workers together: restart, broadcast, drain
road_worker    one worker's process and plane
restart        when a dead worker is started again (pure)
budgets        who may use how much of each budget and limit (pure)
authority      the same on disk, and as messages to workers
alerts         a webhook told of thresholds, in a thread of its own
sockets        listening sockets and who may bind what
watch          has a file changed
circuits       the workers' views of circuits, folded into one
admin          metrics, health and state over HTTP
log            lines for people
"""

from __future__ import annotations

from trimaran.control.authority import Authority
from trimaran.control.log import log
from trimaran.control.supervisor import Background, Settings, SnapshotSource, Supervisor

__all__ = ["Authority", "Background", "Settings", "SnapshotSource", "Supervisor", "log"]
