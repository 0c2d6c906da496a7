"""What upkeep decides, on a clock that stands still until the test moves it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from trimaran.providers.agenda import Agenda, Fetched, Job, News, Told
from trimaran.types import Credential

NOW_NS = 1_800_000_000 * 10**9
HOUR_S = 3600.0


class Source:
    """Its number is what makes it another one."""

    def __init__(self, number: int = 0) -> None:
        self.number = number

    def fetch(self) -> Credential:
        raise AssertionError("the agenda starts nothing itself")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source) and other.number == self.number

    __hash__ = None  # type: ignore[assignment]


class Watch:
    name = "endpoints"
    credential = ""
    interval_s = 30.0

    def __init__(self, credential: str = "") -> None:
        self.credential = credential

    def look(self, credential: Credential | None) -> Iterable[tuple[str, str, str]]:
        return [("seen with", "down", repr(credential))]


class Stage:
    """An agenda with its time. ``u`` is what its random gives."""

    def __init__(self, u: float = 0.0) -> None:
        self.now_s = 1000.0
        self.agenda = Agenda(lambda: u)
        self.news: list[News] = []

    @property
    def now_ns(self) -> int:
        return NOW_NS + int((self.now_s - 1000.0) * 1e9)

    def follow(self, *watches: Watch, **sources: Source) -> None:
        self.news += self.agenda.follow(sources, watches, self.now_s)

    def pass_time(self, seconds: float) -> list[Job]:
        self.now_s += seconds
        jobs, news = self.agenda.due(self.now_s, self.now_ns)
        self.news += news
        return jobs

    def credential(self, left_s: float | None, word: str = "a") -> Credential:
        expires_ns = None if left_s is None else self.now_ns + int(left_s * 1e9)
        return Credential((word, "s", ""), expires_ns, "environment")

    def done(self, job: Job, result: object = None, problem: str = "") -> None:
        self.news += self.agenda.done(job, result, problem, self.now_s, self.now_ns)

    def fetched(self, left_s: float | None = HOUR_S, word: str = "a") -> Credential:
        (job,) = self.pass_time(0)
        credential = self.credential(left_s, word)
        self.done(job, credential)
        return credential

    def heard(self) -> list[News]:
        news, self.news = self.news, []
        return news

    def pause_s(self) -> float:
        """Lets the pause after a failure pass; how long it was."""
        pause_s = self.agenda.wait_s(self.now_s, self.now_ns)
        self.now_s += pause_s
        return pause_s

    def until_due(self) -> float:
        """Seconds until a job starts, in the naps that the agenda asks for."""
        start_s = self.now_s
        for _ in range(100_000):
            if self.pass_time(0):
                return self.now_s - start_s
            self.now_s += max(0.001, self.agenda.wait_s(self.now_s, self.now_ns))
        raise AssertionError("nothing became due")


def test_a_credential_is_pending_until_it_has_come() -> None:
    stage = Stage()
    stage.follow(bedrock=Source())
    assert stage.heard() == [Told("credential:bedrock", "pending", "credentials are being fetched")]
    credential = stage.fetched()
    assert stage.heard() == [Fetched("bedrock", credential), Told("credential:bedrock", "up", "")]


def test_an_hours_credential_is_renewed_at_three_quarters_of_its_life() -> None:
    stage = Stage()
    stage.follow(bedrock=Source())
    stage.fetched(HOUR_S)
    assert 2700.0 <= stage.until_due() <= 2700.1
    stage.heard()


def test_jitter_takes_time_off_and_adds_none() -> None:
    stage = Stage(u=1.0)
    stage.follow(bedrock=Source())
    stage.fetched(HOUR_S)
    assert 2430.0 <= stage.until_due() <= 2430.1


@given(left_s=st.floats(4.0, 50_000.0), u=st.floats(0.0, 1.0))
def test_a_credential_is_always_renewed_before_it_expires_and_never_in_a_loop(left_s: float, u: float) -> None:
    stage = Stage(u)
    stage.follow(bedrock=Source())
    stage.fetched(left_s)
    after_s = stage.until_due()
    assert 1.0 <= after_s <= left_s * 0.76
    # Ten minutes before, wherever there are that many.
    assert left_s < 1200.0 or left_s - after_s >= 599.0


def test_what_does_not_expire_is_fetched_once() -> None:
    stage = Stage()
    stage.follow(bedrock=Source())
    stage.fetched(None)
    assert stage.pass_time(10**7) == []
    assert stage.agenda.wait_s(stage.now_s, stage.now_ns) == float("inf")


def test_a_failure_before_the_first_is_down_with_its_reason_and_tried_again_later_each_time() -> None:
    stage = Stage(u=1.0)
    stage.follow(bedrock=Source())
    pauses = []
    for _ in range(9):
        (job,) = stage.pass_time(0)
        stage.done(job, problem="the SSO session of profile prod has expired; run `aws sso login --profile prod`")
        pauses.append(round(stage.pause_s()))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert stage.heard()[1:] == [
        Told(
            "credential:bedrock",
            "down",
            "the SSO session of profile prod has expired; run `aws sso login --profile prod`",
        )
    ]


def test_a_failed_renewal_is_no_condition_while_the_credential_is_good() -> None:
    stage = Stage()
    stage.follow(bedrock=Source())
    stage.fetched(HOUR_S)
    stage.heard()
    (job,) = stage.pass_time(2701)
    stage.done(job, problem="no network")
    assert stage.heard() == []
    assert stage.agenda.problems() == {"credential:bedrock": "no network"}
    stage.pass_time(HOUR_S - 2701)
    assert stage.heard() == [Told("credential:bedrock", "down", "the credential (environment) has expired; no network")]


def test_up_again_when_it_can_be_had() -> None:
    stage = Stage()
    stage.follow(bedrock=Source())
    (job,) = stage.pass_time(0)
    stage.done(job, problem="no network")
    stage.heard()
    (job,) = stage.pass_time(60)
    credential = stage.credential(HOUR_S)
    stage.done(job, credential)
    assert stage.heard() == [Fetched("bedrock", credential), Told("credential:bedrock", "up", "")]


def test_what_has_expired_already_is_not_taken() -> None:
    stage = Stage()
    stage.follow(bedrock=Source())
    stage.heard()
    stage.fetched(-5.0)
    problem = "what was found (environment) has expired already"
    assert stage.heard() == [Told("credential:bedrock", "down", problem)]


def test_the_machine_slept_through_the_renewal() -> None:
    stage = Stage()
    stage.follow(bedrock=Source())
    stage.fetched(HOUR_S)
    # The monotonic clock stood still meanwhile, the wall clock did not.
    jobs, news = stage.agenda.due(stage.now_s + 20.0, stage.now_ns + 4 * 3600 * 10**9)
    assert len(jobs) == 1
    assert [each.level for each in news if isinstance(each, Told)] == ["pending"]


def test_demand_fetches_at_once_but_not_in_a_loop() -> None:
    stage = Stage()
    stage.follow(bedrock=Source())
    credential = stage.fetched(HOUR_S)
    stage.heard()
    stage.agenda.demand("bedrock", stage.now_s)
    assert stage.pass_time(0.9) == []
    (job,) = stage.pass_time(0.1)
    stage.agenda.demand("bedrock", stage.now_s)
    assert stage.pass_time(5) == []
    # The same again is told, too: whoever asked waits for it.
    stage.done(job, credential)
    assert stage.heard() == [Fetched("bedrock", credential)]
    stage.pass_time(60)
    stage.agenda.demand("bedrock", stage.now_s)
    (job,) = stage.pass_time(0)
    # What fails is tried again later each time, whoever asks; they hear that there is no other.
    stage.done(job, problem="no network")
    assert stage.heard() == [Fetched("bedrock", credential)]
    assert stage.agenda.demand("bedrock", stage.now_s) == [Fetched("bedrock", credential)]
    assert stage.pass_time(0) == []


def test_demand_hurries_what_does_not_expire_and_nothing_that_is_not_there() -> None:
    stage = Stage()
    stage.agenda.demand("other", stage.now_s)
    stage.follow(bedrock=Source())
    stage.fetched(None)
    stage.pass_time(10)
    stage.agenda.demand("bedrock", stage.now_s)
    assert len(stage.pass_time(0)) == 1


class Placed(Source):
    """The same holder's, whatever its number."""

    holder = "me"


def test_an_equal_source_is_not_fetched_again_and_one_in_another_place_is() -> None:
    stage = Stage()
    stage.follow(bedrock=Placed(1))
    stage.fetched()
    stage.heard()
    stage.follow(bedrock=Placed(1))
    assert stage.pass_time(0) == []
    stage.follow(bedrock=Placed(2))
    (job,) = stage.pass_time(0)
    # Until it has come, the old one's is in use.
    assert stage.heard() == []
    credential = stage.credential(HOUR_S, "b")
    stage.done(job, credential)
    assert stage.heard() == [Fetched("bedrock", credential)]


def test_another_holders_credential_is_not_used_any_more() -> None:
    stage = Stage()
    stage.follow(bedrock=Source(1))
    stage.fetched()
    stage.heard()
    stage.follow(bedrock=Source(2))
    (job,) = stage.pass_time(0)
    assert stage.heard() == [Told("credential:bedrock", "pending", "credentials are being fetched")]
    assert stage.agenda.sources() == {}
    stage.done(job, problem="there is no profile prod")
    assert stage.heard() == [Told("credential:bedrock", "down", "there is no profile prod")]
    stage.pause_s()
    credential = stage.fetched(word="b")
    assert stage.heard() == [Fetched("bedrock", credential), Told("credential:bedrock", "up", "")]


def test_what_a_replaced_source_brings_is_not_taken() -> None:
    stage = Stage()
    stage.follow(bedrock=Source(1))
    (late,) = stage.pass_time(0)
    stage.follow(bedrock=Source(2))
    (job,) = stage.pass_time(0)
    stage.heard()
    stage.done(late, stage.credential(HOUR_S, "old"))
    assert stage.heard() == []
    stage.done(job, stage.credential(HOUR_S, "new"))
    assert [each.credential.parts[0] for each in stage.heard() if isinstance(each, Fetched)] == ["new"]


def test_what_is_no_longer_needed_is_forgotten() -> None:
    stage = Stage()
    stage.follow(bedrock=Source())
    (job,) = stage.pass_time(0)
    stage.follow()
    assert stage.heard()[-1] == Told("credential:bedrock", "up", "")
    stage.done(job, stage.credential(HOUR_S))
    assert stage.heard() == []


def test_a_job_that_hangs_counts_as_failed_and_is_not_started_twice() -> None:
    stage = Stage()
    stage.follow(bedrock=Source())
    (job,) = stage.pass_time(0)
    assert stage.pass_time(29.9) == []
    assert stage.pass_time(0.1) == []
    assert stage.heard()[-1] == Told("credential:bedrock", "down", "no answer within 30 s")
    assert stage.agenda.stuck == 1
    assert stage.pass_time(600) == []
    # Nothing to do until it ends: no busy waiting either.
    assert stage.agenda.wait_s(stage.now_s, stage.now_ns) == float("inf")
    stage.done(job, stage.credential(HOUR_S))
    assert [type(each) for each in stage.heard()] == [Fetched, Told]
    assert stage.agenda.stuck == 0


def test_a_watch_looks_when_its_credential_is_there_and_tells_what_changed() -> None:
    stage = Stage()
    stage.follow(Watch("bedrock"), bedrock=Source())
    (fetching,) = stage.pass_time(0)
    assert fetching.key[0] == "renewal"
    # It waits for the credential without being looked after all the time.
    assert stage.agenda.wait_s(stage.now_s, stage.now_ns) == 30.0
    stage.done(fetching, stage.credential(HOUR_S))
    (looking,) = stage.pass_time(0)
    assert looking.run() == [("seen with", "down", "Credential(***, source='environment')")]
    stage.heard()
    stage.done(looking, [("sagemaker/a", "down", "it is being created"), ("sagemaker/b", "up", "")])
    assert stage.heard() == [Told("sagemaker/a", "down", "it is being created")]
    (looking,) = stage.pass_time(30)
    stage.done(looking, [("sagemaker/a", "last_resort", "scaled to zero"), ("sagemaker/c", "down", "failed")])
    assert stage.heard() == [
        Told("sagemaker/a", "last_resort", "scaled to zero"),
        Told("sagemaker/c", "down", "failed"),
    ]
    (looking,) = stage.pass_time(30)
    stage.done(looking, [("sagemaker/c", "down", "failed")])
    assert stage.heard() == [Told("sagemaker/a", "up", "")]


def test_a_watch_that_cannot_see_leaves_all_as_it_was() -> None:
    stage = Stage()
    stage.follow(Watch())
    (looking,) = stage.pass_time(0)
    stage.done(looking, [("sagemaker/a", "down", "failed")])
    stage.heard()
    (looking,) = stage.pass_time(30)
    stage.done(looking, problem="not allowed: sagemaker:ListEndpoints")
    assert stage.heard() == []
    assert stage.agenda.problems() == {"endpoints": "not allowed: sagemaker:ListEndpoints"}
    assert stage.pass_time(29) == []
    assert len(stage.pass_time(2)) == 1
    stage.follow()
    assert stage.heard() == [Told("sagemaker/a", "up", "")]


def test_what_people_see_of_it_holds_no_secret() -> None:
    stage = Stage()
    stage.follow(bedrock=Source())
    credential = stage.fetched()
    assert stage.agenda.sources() == {"bedrock": ("environment", credential.expires_ns)}


def test_the_same_credential_again_and_again_is_no_loop() -> None:
    # As an instance's role gives it until shortly before its end.
    stage = Stage()
    stage.follow(bedrock=Source())
    (job,) = stage.pass_time(0)
    credential = stage.credential(HOUR_S)
    stage.done(job, credential)
    times = []
    while (credential.expires_ns or 0) - stage.now_ns > 10**9:
        stage.until_due()
        times.append(stage.now_s)
        (job,) = stage.agenda._renewals.values()
        stage.news += stage.agenda.done(
            Job(("renewal", "bedrock"), job.number, lambda: None), credential, "", stage.now_s, stage.now_ns
        )
    assert min(b - a for a, b in pairwise(times)) >= 0.99
    assert len(times) < 30
