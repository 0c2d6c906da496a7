"""Tokens that expire, as they stand in requests."""

from __future__ import annotations

from trimaran.providers import Vault, signer
from trimaran.providers.bearer import BearerSigner
from trimaran.types import Credential, Target

TARGET = Target("vertex/m", "vertex", "m", ("gemini.generate",), "https://x", credential="vertex", kind="vertex")


def test_the_token_in_force_is_sent_and_what_goes_along_with_it() -> None:
    vault = Vault()
    sign = BearerSigner(vault, "vertex", b"x-team: a\r\n").entrance(b"POST", b"/", b"")
    assert sign(b"") == b"x-team: a\r\n"
    vault.put("vertex", Credential(("first",)))
    assert sign(b"{}") == b"authorization: Bearer first\r\nx-team: a\r\n"
    vault.put("vertex", Credential(("second", "x-goog-user-project", "paying")))
    assert sign(b"{}") == b"authorization: Bearer second\r\nx-goog-user-project: paying\r\nx-team: a\r\n"


def test_the_token_is_scrubbed_from_what_a_provider_repeats() -> None:
    vault = Vault()
    made = BearerSigner(vault, "vertex")
    assert made.scrub(b"secret-token") == b"secret-token"
    vault.put("vertex", Credential(("secret-token",)))
    assert made.scrub(b"you sent secret-token") == b"you sent ***"
    assert "secret-token" not in repr(made)


def test_providers_of_googles_have_one_and_the_operators_headers_stay() -> None:
    vault = Vault()
    vault.put("vertex", Credential(("token",)))
    made = signer(TARGET, "", [("X-Team", "a")], vault=vault)
    assert isinstance(made, BearerSigner)
    assert made.entrance(b"POST", b"/", b"")(b"") == b"authorization: Bearer token\r\nx-team: a\r\n"


def test_a_key_of_the_gemini_api_stands_in_its_own_header() -> None:
    target = Target("gemini/m", "gemini", "m", ("gemini.generate",), "https://x", credential="gemini", kind="gemini")
    assert signer(target, "key").entrance(b"POST", b"/", b"")(b"") == b"x-goog-api-key: key\r\n"
