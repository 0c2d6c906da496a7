"""A day of tokens by a virtual clock: whatever gives them out, no request is ever signed with one that has ended, and none waits."""

from __future__ import annotations

import random

import pytest

from trimaran.providers import Vault
from trimaran.providers.agenda import Agenda, Fetched, Job
from trimaran.providers.bearer import BearerSigner
from trimaran.types import Credential

DAY_S = 86_400
LIFE_S = 3_599
FRESH_S = 300
"""A metadata service gives the same token again until so shortly before its end."""


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    @property
    def now_ns(self) -> int:
        return int(self.now_s * 1e9)


class Issuer:
    """Gives out tokens. ``fresh_s``: the old one is given again while more than that is left of it. Fetches fail now and then."""

    def __init__(self, clock: Clock, fresh_s: float, failing: random.Random | None) -> None:
        self._clock, self._fresh_s, self._failing = clock, fresh_s, failing
        self._ends_s = 0.0
        self._number = 0
        self.asked = 0

    def fetch(self) -> Credential:
        self.asked += 1
        if self._ends_s - self._clock.now_s <= self._fresh_s:
            self._number += 1
            self._ends_s = self._clock.now_s + LIFE_S
        return Credential((f"token-{self._number}",), int(self._ends_s * 1e9), "issuer")

    def fails(self) -> bool:
        return self._failing is not None and self._failing.random() < 0.5


@pytest.mark.parametrize("failing", [False, True], ids=["steady", "failing-half-of-the-time"])
@pytest.mark.parametrize("fresh_s", [LIFE_S + 1.0, FRESH_S], ids=["new-each-time", "metadata"])
def test_no_request_of_a_day_is_signed_with_a_token_that_has_ended(fresh_s: float, failing: bool) -> None:
    clock, vault = Clock(), Vault()
    issuer = Issuer(clock, fresh_s, random.Random(7) if failing else None)
    agenda = Agenda(random.Random(11).random)
    agenda.follow({"vertex": issuer}, (), clock.now_s)
    sign = BearerSigner(vault, "vertex").entrance(b"POST", b"/", b"")
    running: list[tuple[float, Job]] = []
    signed: set[bytes] = set()
    while clock.now_s < DAY_S:
        for ends_s, job in [each for each in running if each[0] <= clock.now_s]:
            running.remove((ends_s, job))
            result, problem = (None, "simulated") if issuer.fails() else (job.run(), "")
            for news in agenda.done(job, result, problem, clock.now_s, clock.now_ns):
                if isinstance(news, Fetched):
                    vault.put(news.name, news.credential)
        # A fetch takes two seconds.
        running += [(clock.now_s + 2.0, job) for job in agenda.due(clock.now_s, clock.now_ns)[0]]
        held = vault.get("vertex")
        if held is not None:
            assert held.expires_ns is not None and held.expires_ns > clock.now_ns, f"at {clock.now_s} s"
            signed.add(sign(b"{}"))
        clock.now_s += 1.0
    assert len(signed) > DAY_S / LIFE_S
    assert issuer.asked < 50 * DAY_S / LIFE_S
