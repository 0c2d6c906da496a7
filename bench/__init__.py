"""What the gateway costs, beside its peers, on the machine at hand: ``python -m bench``.

The question is CPU, not throughput: on a shared machine of two cores, requests per second say more about the load
generator than about the proxy. So every figure is *CPU of the proxy's whole process tree / answers that were correct*,
under a load that is the same for all, with the servers taking turns inside each round so that drift hits all of them.

Three kinds of process: the upstream (``bench.upstream``), the load generator (``bench.load``) and the proxy under test.
The first two share one core, the proxy has the other, so the proxy's caches and its share of a core do not depend on
how heavy the generator is. Where there is only one core, nothing is pinned.

Not shipped with the package: it installs other people's servers, and it has no users but us.
"""

from __future__ import annotations

__all__: list[str] = []
