"""Client keys in a worker: known, unknown, expired; what a request's identity carries."""

from __future__ import annotations

import hashlib

import pytest

from trimaran.errors import AuthenticationFailed
from trimaran.gateway.keyring import Keyring
from trimaran.types import KeyRecord, Snapshot

END_NS = 1_801_353_600 * 10**9


class Wall:
    """Wall clock by hand, which counts how often it is asked."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.asked = 0

    def __call__(self) -> int:
        self.asked += 1
        return self.now_ns


def record(name: str, secret: str, **more: object) -> KeyRecord:
    return KeyRecord(name, hashlib.sha256(secret.encode()).digest(), **more)  # type: ignore[arg-type]


def bearer(secret: str) -> dict[bytes, bytes]:
    return {b"authorization": b"Bearer " + secret.encode()}


KEYS = (
    record("a", "secret-a", tenant="acme", tags=(("t", "1"),), allowances=("key:a:usd/day", "tenant:acme:usd/day")),
    record("b", "secret-b", expires_ns=END_NS),
)
SNAPSHOT = Snapshot(1, keys=KEYS, require_key=True, anonymous_allowances=("tenant:default:usd/day",))


def test_a_known_key_brings_its_tenant_and_what_binds_it() -> None:
    wall = Wall()
    keyring = Keyring(SNAPSHOT, wall)
    signed = (
        b"AWS4-HMAC-SHA256 Credential=secret-a/20261130/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=0"
    )
    ways = [
        bearer("secret-a"),
        {b"x-api-key": b"secret-a"},
        {b"x-goog-api-key": b"secret-a"},
        {b"authorization": signed},
    ]
    for headers in (*ways, *ways):
        found = keyring.check(headers)
        assert (found.key_id, found.tenant, found.anonymous) == ("a", "acme", False)
        assert found.allowances == ("key:a:usd/day", "tenant:acme:usd/day")
    # A key that never expires costs no look at the clock.
    assert wall.asked == 0


def test_a_key_that_expires_is_refused_from_that_moment_on() -> None:
    wall = Wall()
    keyring = Keyring(SNAPSHOT, wall)
    wall.now_ns = END_NS - 1
    assert keyring.check(bearer("secret-b")).key_id == "b"
    wall.now_ns = END_NS
    # Also where it was seen before.
    for headers in (bearer("secret-b"), {b"x-api-key": b"secret-b"}):
        with pytest.raises(AuthenticationFailed, match="this API key expired at 2027-01-31 00:00:00 UTC") as caught:
            keyring.check(headers)
        assert caught.value.status == 401
        assert "secret-b" not in str(caught.value)


@pytest.mark.parametrize("headers", [{}, bearer("nonsense"), bearer(""), {b"x-api-key": b"secret-a "}])
def test_without_a_known_key_there_is_no_way_in(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        Keyring(SNAPSHOT, Wall()).check(headers)
    assert caught.value.status == 401


def test_a_lock_without_a_key_stays_locked() -> None:
    # All keys are revoked.
    with pytest.raises(AuthenticationFailed):
        Keyring(Snapshot(1, require_key=True), Wall()).check(bearer("secret-a"))


def test_where_no_key_is_required_everybody_is_the_default_tenant() -> None:
    keyring = Keyring(Snapshot(1, anonymous_allowances=("tenant:default:usd/day",)), Wall())
    found = keyring.check(bearer("whatever"))
    assert (found.anonymous, found.tenant, found.key_id) == (True, "default", "")
    assert found.allowances == ("tenant:default:usd/day",)
