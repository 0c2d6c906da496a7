"""A refused credential on the road: asked for, waited for, tried again; and when it is what it seems."""

from __future__ import annotations

import msgspec
import pytest
from road import Road, chat_answer

from trimaran.errors import CredentialRejected, Unavailable
from trimaran.routing import Condition
from trimaran.types import Credential, Identity

EXPIRED = "ExpiredTokenException:http://internal.amazon.com/coral/com.amazon.coral.service/"
OLD, NEW = (Credential((word, "secret", "")) for word in ("OLDKEY", "NEWKEY"))
KEY = "credential:aws"


class Stage(Road):
    """Target ``a`` signs with a credential that is renewed; ``b`` is another provider's."""

    def __init__(self, targets: int = 1, credential: Credential | None = OLD) -> None:
        super().__init__(targets)
        self.asked: list[str] = []
        signed = msgspec.structs.replace(
            self.snapshot.targets["openai/a"], credential="aws", kind="sagemaker", door="sagemaker", region="us-east-1"
        )
        self.snapshot = msgspec.structs.replace(
            self.snapshot,
            targets=self.snapshot.targets | {"openai/a": signed},
            identities={"aws": Identity("aws")},
        )
        self.dispatcher.renewals._ask = self.asked.append
        self.dispatcher.apply(self.snapshot)
        if credential is not None:
            self.came(credential)

    def came(self, credential: Credential) -> None:
        self.dispatcher.renewals.on_credential("aws", credential, self.clock.now)

    def told(self, level: str, reason: str = "") -> None:
        self.dispatcher.renewals.on_condition(Condition(KEY, level, reason), self.clock.now)

    def refuse(self, kind: str = EXPIRED, status: int = 403, number: int = -1, **members: str) -> None:
        headers = {"x_amzn_errortype": kind} if kind else {}
        self.sent(number).whole({"message": "refused", **members}, status, **headers)

    @property
    def signed_with(self) -> list[str]:
        return [each.payload.partition(b"Credential=")[2].partition(b"/")[0].decode() for each in self.upstream.sent]


def test_the_request_that_was_refused_is_answered_with_the_next_credential() -> None:
    stage = Stage()
    _, sink = stage.ask()
    stage.refuse()
    assert stage.asked == ["aws"] and not sink.log
    stage.came(NEW)
    stage.after(0.3)
    assert stage.signed_with == ["OLDKEY", "NEWKEY"]
    stage.sent().whole(chat_answer())
    assert sink.log == ["answer"]
    assert [each.error_code for each in stage.journal.settled] == ["target_credential_rejected", ""]


def test_where_there_is_another_target_nobody_waits() -> None:
    stage = Stage(targets=2)
    _, sink = stage.ask()
    stage.refuse()
    assert stage.tried == ["a", "b"]
    stage.sent().whole(chat_answer())
    assert sink.log == ["answer"] and stage.asked == ["aws"]
    # Until it has come, the next request does not go there at all.
    stage.ask()
    assert stage.tried == ["a", "b", "b"]
    stage.came(NEW)
    stage.ask()
    assert stage.tried[-1] == "a"


def test_many_refusals_ask_once_and_the_circuit_stays_closed() -> None:
    stage = Stage()
    sinks = [stage.ask()[1] for _ in range(5)]
    for number in range(5):
        stage.refuse(number=number)
    stage.came(NEW)
    stage.after(0.3)
    for number in range(5, 10):
        stage.sent(number).whole(chat_answer())
    assert stage.asked == ["aws"]
    assert all(sink.log == ["answer"] for sink in sinks)


def test_a_refusal_of_the_credential_before_is_tried_again_without_asking() -> None:
    stage = Stage()
    stage.clock.now += 1
    stage.ask()
    stage.clock.now += 1
    stage.came(NEW)
    stage.refuse()
    assert stage.asked == [] and stage.signed_with == ["OLDKEY", "NEWKEY"]


def test_the_same_again_means_that_the_refusal_is_meant() -> None:
    stage = Stage()
    _, sink = stage.ask()
    stage.refuse()
    stage.came(OLD)
    stage.after(0.3)
    stage.refuse()
    assert isinstance(sink.error, CredentialRejected)
    assert stage.asked == ["aws"] and stage.signed_with == ["OLDKEY", "OLDKEY"]
    # Now it is the target's circuit that keeps requests away.
    _, sink = stage.ask()
    assert isinstance(sink.error, Unavailable)


def test_when_it_cannot_be_had_whoever_waits_hears_why() -> None:
    stage = Stage()
    _, sink = stage.ask()
    stage.refuse()
    stage.told("down", "the SSO session has expired; run `aws sso login`")
    stage.after(0.3)
    assert isinstance(sink.error, CredentialRejected)
    _, sink = stage.ask()
    assert sink.error is not None and "run `aws sso login`" in sink.error.message
    stage.came(NEW)
    stage.told("up")
    stage.ask()
    assert stage.signed_with[-1] == "NEWKEY"


def test_the_circuit_that_the_old_credential_opened_closes_when_a_new_one_has_come() -> None:
    stage = Stage()
    _, sink = stage.ask()
    stage.refuse()
    stage.came(OLD)
    stage.after(0.3)
    stage.refuse()
    assert isinstance(sink.error, CredentialRejected)
    stage.came(OLD)
    _, sink = stage.ask()
    assert isinstance(sink.error, Unavailable), "the same credential again changes nothing"
    stage.came(NEW)
    _, sink = stage.ask()
    assert stage.signed_with[-1] == "NEWKEY"
    stage.sent().whole(chat_answer())
    assert sink.log == ["answer"]


def test_a_circuit_that_opened_for_something_else_stays_open() -> None:
    stage = Stage()
    stage.ask()
    stage.refuse("ResourceNotFoundException", 404)
    stage.came(NEW)
    _, sink = stage.ask()
    assert isinstance(sink.error, Unavailable) and stage.signed_with == ["OLDKEY"]


def test_patience_ends() -> None:
    stage = Stage()
    _, sink = stage.ask()
    stage.refuse()
    for _ in range(11):
        stage.after(1.0)
    stage.refuse()
    assert stage.signed_with == ["OLDKEY", "OLDKEY"] and isinstance(sink.error, CredentialRejected)


@pytest.mark.parametrize(
    ("kind", "status"),
    [("AccessDeniedException", 403), ("InvalidSignatureException", 403), ("", 403), ("AccessDeniedException", 401)],
)
def test_what_another_credential_does_not_mend_is_not_asked_for(kind: str, status: int) -> None:
    stage = Stage()
    _, sink = stage.ask()
    stage.refuse(kind, status)
    assert stage.asked == [] and isinstance(sink.error, CredentialRejected)


@pytest.mark.parametrize(
    ("kind", "status"), [("UnrecognizedClientException", 403), ("MissingAuthenticationTokenException", 403), ("", 401)]
)
def test_what_another_credential_may_mend_is(kind: str, status: int) -> None:
    stage = Stage()
    stage.ask()
    stage.refuse(kind, status)
    assert stage.asked == ["aws"]


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        ("com.amazon.coral.service#ExpiredTokenException", {}),
        ("", {"__type": "com.amazon.coral.service#ExpiredTokenException"}),
        ("", {"__type": "ExpiredTokenException"}),
    ],
)
def test_aws_may_say_so_with_a_namespace_and_in_the_body(kind: str, members: dict[str, str]) -> None:
    stage = Stage()
    stage.ask()
    stage.refuse(kind, **members)
    assert stage.asked == ["aws"]


def test_a_static_credential_is_not_renewed() -> None:
    stage = Stage(targets=2)
    stage.told("down", "x")
    _, sink = stage.ask()
    assert stage.tried == ["b"]
    stage.refuse("", 401)
    assert stage.asked == [] and isinstance(sink.error, CredentialRejected)


def test_before_the_first_credential_requests_wait_for_it() -> None:
    stage = Stage(credential=None)
    _, sink = stage.ask()
    assert not stage.upstream.sent and not sink.log
    stage.came(NEW)
    stage.after(0.3)
    assert stage.signed_with == ["NEWKEY"]


def test_before_the_first_credential_others_answer() -> None:
    stage = Stage(targets=2, credential=None)
    stage.ask()
    assert stage.tried == ["b"]


def test_nobody_waits_for_ever() -> None:
    stage = Stage(credential=None)
    _, sink = stage.ask()
    for _ in range(21):
        stage.after(1.0)
    assert sink.error is not None and "credentials are being fetched" in sink.error.message


def test_a_reload_forgets_neither_the_credential_nor_what_is_known_of_it() -> None:
    stage = Stage()
    stage.dispatcher.apply(stage.snapshot)
    stage.ask()
    assert stage.signed_with == ["OLDKEY"]
    stage.told("down", "gone")
    stage.dispatcher.apply(stage.snapshot)
    _, sink = stage.ask()
    assert sink.error is not None and "gone" in sink.error.message


def test_conditions_of_targets_pass() -> None:
    stage = Stage()
    condition = Condition("openai/a", "down", "the endpoint is being created")
    stage.dispatcher.renewals.on_condition(condition, stage.clock.now)
    _, sink = stage.ask()
    assert sink.error is not None and "being created" in sink.error.message
    stage.dispatcher.renewals.on_condition(Condition("openai/a", "up"), stage.clock.now)
    stage.ask()
    assert len(stage.upstream.sent) == 1
