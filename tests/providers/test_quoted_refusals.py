"""A refusal quotes what a client wrote. Words that a client chooses must not be held against the target, or one client could
shut it for everybody."""

from __future__ import annotations

import json

import pytest

from trimaran.errors import CredentialRejected, Rejected
from trimaran.providers.azure.openai_refusals import RefusalReader
from trimaran.providers.doors import door_of
from trimaran.types import Target
from trimaran.wire import DIALECTS
from trimaran.wire.google_failures import google_error

AZURE = Target(
    "a/gpt", "a", "gpt", ("openai.chat",), "https://a.openai.azure.com", kind="azure_openai", door="azure_openai"
)


@pytest.mark.parametrize("words", ["firewall rules", "virtual network", "invalid subscription key"])
def test_azure_quotes_a_clients_words(words: str) -> None:
    reader = RefusalReader(AZURE, DIALECTS["openai.chat"])
    body = {
        "error": {
            "message": f"Invalid value: '{words}'. Supported values are: 'none', 'auto'.",
            "type": "invalid_request_error",
        }
    }
    assert isinstance(reader.read(400, {}, json.dumps(body).encode()), Rejected)
    # Beside a status that speaks of who asks, the same words count.
    assert isinstance(reader.read(403, {}, json.dumps(body).encode()), CredentialRejected)


@pytest.mark.parametrize("words", ["billing account", "api key expired", "is not found for api version"])
def test_google_quotes_a_clients_words(words: str) -> None:
    told = {"code": 400, "status": "INVALID_ARGUMENT", "message": f"Unknown name \"{words}\" at 'generation_config'"}
    assert isinstance(google_error(json.dumps({"error": told}).encode(), 400), Rejected)


def test_a_key_that_google_does_not_know_is_still_the_operators() -> None:
    told = {"code": 400, "status": "INVALID_ARGUMENT", "message": "API key not valid. Please pass a valid API key."}
    assert isinstance(google_error(json.dumps({"error": told}).encode(), 400), CredentialRejected)


def test_a_file_that_may_not_be_read_is_the_clients() -> None:
    facts = {"project": "p", "location": "us-central1"}
    target = Target(
        "v/g", "v", "gemini-2.5-flash", ("gemini.generate",), "https://v", kind="vertex", door="vertex", facts=facts
    )
    message = "x does not have storage.objects.get access to the object. Permission 'storage.objects.get' denied"
    body = json.dumps({"error": {"code": 403, "status": "PERMISSION_DENIED", "message": message}}).encode()
    assert isinstance(door_of(target, "gemini.generate").refusal(403, {}, body), Rejected)
