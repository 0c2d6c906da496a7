"""Fuzzing of everything that bytes from outside can reach: ``python -m fuzz``, or ``make fuzz``.

mutate         bytes and JSON, bent in the ways that break parsers
seeds          valid requests, answers and streams to begin with
clients        HTTP from clients, through the gateway's connection
streams        answers of targets, whole and streamed, through every pair of dialects
continuations  answers that break off and are continued by another target
bodies         requests in every dialect, read and translated
upstreams      HTTP from targets, through the connection that reads it
settings       configuration files
loop           one event loop for all of it

Each input is made from a seed, its kind and its number alone, so that a failure can be had again: ``--replay KIND:NUMBER``.
"""

from __future__ import annotations
