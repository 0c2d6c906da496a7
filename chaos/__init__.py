"""Chaos: a gateway under load while providers fail, processes are killed and the disk fills up; then the books are checked.

Run it with ``make chaos``. See ``docs/chaos.md``.

plan      what is set up: providers, models, keys, limits; the gateway's configuration
faults    how a provider fails next (seeded)
targets   the providers, in a process of their own
clients   many clients on bare sockets, and what became of each request
gateway   the gateway's processes: started, killed, started again, measured
killer    what strikes, and when (seeded)
database  PostgreSQL, stopped and started, where the machine has it
judge     whether every promise was kept
"""
