"""Tokens of Entra ID on the road: one that has expired is waited for, a role that is missing is not."""

from __future__ import annotations

import msgspec
import pytest
from road import Road, chat_answer

from trimaran.errors import CredentialRejected
from trimaran.types import Credential, Identity

OLD, NEW = Credential(("old-token",)), Credential(("new-token",))
EXPIRED = {
    "statusCode": 401,
    "message": "Unauthorized. Access token is missing, invalid, audience is incorrect, or have expired.",
}
ROLE = {"error": {"code": "PermissionDenied", "message": "The principal `p` lacks the required data action `x`."}}


class Stage(Road):
    """A target that a token authenticates."""

    def __init__(self) -> None:
        super().__init__(1)
        self.asked: list[str] = []
        signed = msgspec.structs.replace(
            self.snapshot.targets["openai/a"], credential="azure", kind="azure_openai", door="azure_openai"
        )
        self.snapshot = msgspec.structs.replace(
            self.snapshot,
            targets=self.snapshot.targets | {"openai/a": signed},
            identities={"azure": Identity("entra")},
        )
        self.dispatcher.renewals._ask = self.asked.append
        self.dispatcher.apply(self.snapshot)
        self.came(OLD)

    def came(self, credential: Credential) -> None:
        self.dispatcher.renewals.on_credential("azure", credential, self.clock.now)

    @property
    def tokens(self) -> list[str]:
        return [
            each.payload.partition(b"authorization: Bearer ")[2].partition(b"\r\n")[0].decode()
            for each in self.upstream.sent
        ]


def test_an_expired_token_is_renewed_and_the_request_answered() -> None:
    stage = Stage()
    _, sink = stage.ask()
    stage.sent().whole(EXPIRED, 401)
    assert stage.asked == ["azure"] and not sink.log
    stage.came(NEW)
    stage.after(0.3)
    assert stage.tokens == ["old-token", "new-token"]
    stage.sent().whole(chat_answer())
    assert sink.log == ["answer"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_missing_role_is_told_at_once(status: int) -> None:
    stage = Stage()
    _, sink = stage.ask()
    stage.sent().whole(ROLE, status)
    assert stage.asked == []
    assert isinstance(sink.error, CredentialRejected)
    assert "az role assignment create" in sink.error.message


def test_a_new_token_travels_from_the_next_request_on() -> None:
    stage = Stage()
    stage.ask()
    stage.sent().whole(chat_answer())
    stage.came(NEW)
    stage.ask()
    assert stage.tokens == ["old-token", "new-token"]
