"""What doctor finds out about providers on loopback that are well, refuse the key, or are broken in every usual way."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from trimaran.cli.doctor import Finding, mask, run
from trimaran.config import load_mapping
from trimaran.providers import PROVIDERS

KEY = "sk-canary-4f9d2c1b7a6e5d4c3b2a"


class Provider(BaseHTTPRequestHandler):
    """Answers each path as it was told to; remembers what it was asked."""

    answers: dict[str, tuple[int, dict[str, str], bytes]]
    asked: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        status, headers, body = self.answers[self.path]
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Running:
    def __init__(self, base_url: str, handler: type[Provider]) -> None:
        self.base_url = base_url
        self.asked = handler.asked


@contextmanager
def provider(answers: dict[str, tuple[int, dict[str, str], bytes]]) -> Iterator[Running]:
    handler = type("Handler", (Provider,), {"answers": answers, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Running(f"http://127.0.0.1:{server.server_port}", handler)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def raw(answer: bytes | None) -> Iterator[str]:
    """A listener that sends some bytes to whoever connects and closes; with ``None`` it says nothing at all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []

        def serve() -> None:
            connection, _ = listener.accept()
            held.append(connection)
            if answer is not None:
                connection.recv(65536)
                connection.sendall(answer)
                connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(5)
        for connection in held:
            connection.close()


def models(*names: str) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps({"object": "list", "data": [{"id": name} for name in names]}).encode()


def examined(name: str, base_url: str, data: dict[str, object] | None = None, limit_s: float = 5.0) -> Finding:
    environ = {"HOME": "/h", "K": KEY}
    providers = {"providers": {name: {"base_url": base_url, "api_key": "${K}"}}}
    findings = run(load_mapping({**providers, **(data or {})}, environ), environ, limit_s=limit_s)
    assert KEY not in repr(findings)
    return next(finding for finding in findings if finding.provider == name)


def test_a_provider_that_is_well() -> None:
    with provider({"/v1/models": models("gpt-4o-mini", "gpt-4o")}) as server:
        finding = examined("openai", server.base_url + "/v1")
    assert (finding.state, finding.detail, finding.todo) == ("ok", "the credential works; 2 models", "")
    assert finding.ok
    assert finding.credential == "providers.openai.api_key (sk-cana…)"
    assert finding.elapsed_s is not None
    # One GET, for something that costs nothing.
    ((path, headers),) = server.asked
    assert (path, headers["authorization"]) == ("/v1/models", f"Bearer {KEY}")


def test_each_dialect_is_asked_its_way() -> None:
    with provider({"/v1/models": (200, {}, b'{"data":[{"id":"claude"}],"has_more":true}')}) as server:
        finding = examined("anthropic", server.base_url)
    assert (finding.state, finding.detail) == ("ok", "reachable, the credential works")
    ((_, headers),) = server.asked
    assert (headers["x-api-key"], headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert "authorization" not in headers


def test_a_list_that_is_public_proves_nothing() -> None:
    with provider({"/v1/key": (401, {}, b"{}")}) as server:
        assert examined("openrouter", server.base_url).state == "rejected"
    assert server.asked[0][0] == "/v1/key"


def test_a_model_that_is_not_listed_is_mentioned() -> None:
    wanted: dict[str, object] = {"models": {"chat": {"targets": ["openai/gpt-4o-minni", "openai/gpt-4o"]}}}
    with provider({"/v1/models": models("gpt-4o")}) as server:
        finding = examined("openai", server.base_url, wanted)
    assert finding.detail == "the credential works; 'gpt-4o-minni' is not in its list of 1 models"
    assert "spelling" in finding.todo


@pytest.mark.parametrize(
    ("answer", "state", "said", "todo"),
    [
        ((401, {}, b"no"), "rejected", "refused (status 401)", "providers.openai.api_key"),
        ((403, {}, b"no"), "rejected", "refused (status 403)", "providers.openai.api_key"),
        ((404, {}, b"no"), "unclear", "no list of models", "base_url"),
        ((429, {}, b"no"), "ok", "limiting our requests", ""),
        (
            (302, {"Location": "https://login.example/?t=x"}, b""),
            "misconfigured",
            "redirects to login.example",
            "base_url",
        ),
        ((503, {}, b"no"), "unclear", "status 503", "try again"),
        ((200, {}, b"<html>"), "ok", "the credential works", ""),
        ((200, {}, b'{"data":[1]}'), "ok", "the credential works", ""),
    ],
)
def test_what_an_answer_means(answer: tuple[int, dict[str, str], bytes], state: str, said: str, todo: str) -> None:
    with provider({"/v1/models": answer}) as server:
        finding = examined("openai", server.base_url)
    assert finding.state == state
    assert said in finding.detail
    assert todo in finding.todo


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    finding = examined("openai", f"http://127.0.0.1:{port}")
    assert (finding.state, finding.detail) == ("unreachable", "nothing listens at 127.0.0.1")


def test_a_name_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    finding = examined("openai", "http://no-such-host.invalid")
    assert (finding.state, finding.detail) == ("unreachable", "the name no-such-host.invalid cannot be resolved")


def test_a_resolver_that_hangs_does_not_hold_up_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hanging(*_: object, **__: object) -> None:
        released.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    start = time.monotonic()
    finding = examined("openai", "http://slow.invalid", limit_s=0.05)
    assert time.monotonic() - start < 5
    released.set()
    assert (finding.state, finding.detail) == ("unreachable", "no answer within 0.05 s")


def test_silence_ends_at_the_limit() -> None:
    with raw(None) as place:
        start = time.monotonic()
        finding = examined("openai", f"http://{place}", limit_s=0.05)
        assert time.monotonic() - start < 2
    assert finding.state == "unreachable"
    assert finding.detail in ("no answer in time", "no answer within 0.05 s")


@pytest.mark.parametrize(
    ("scheme", "answer", "said"),
    [
        ("http", b"", "does not speak HTTP"),
        ("http", b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP"),
        ("https", b"HTTP/1.1 400 Bad Request\r\n\r\n", "TLS failed"),
    ],
)
def test_something_else_listens(scheme: str, answer: bytes, said: str) -> None:
    with raw(answer) as place:
        finding = examined("openai", f"{scheme}://{place}")
    assert finding.state == "unreachable"
    assert said in finding.detail


def test_without_credentials_nothing_is_asked_and_each_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("something was asked"))
    findings = run(load_mapping({}, {"HOME": "/h"}), {})
    assert [finding.provider for finding in findings] == list(PROVIDERS)
    assert {finding.state for finding in findings} == {"not_configured"}
    assert findings[0].tried == ("providers.openai.api_key", "OPENAI_API_KEY")
    assert findings[0].todo == "export OPENAI_API_KEY=..., or write providers.openai.api_key: ${OPENAI_API_KEY}"


def test_a_broken_value_is_a_finding_and_the_others_go_on() -> None:
    with provider({"/v1/models": models("m")}) as server:
        environ = {"HOME": "/h", "GROQ_API_KEY": f"{KEY}\nx", "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url}
        findings = run(load_mapping({"providers": {"vllm": {"base_url": server.base_url}}}, environ), environ)
    states = {finding.provider: finding.state for finding in findings}
    assert (states["groq"], states["openai"], states["vllm"]) == ("misconfigured", "ok", "ok")
    assert KEY not in repr(findings)
    # Those that are used come first.
    assert [finding.state for finding in findings][:3].count("not_configured") == 0


def test_a_proxy_in_the_environment_is_named_when_the_way_out_is_missing() -> None:
    environ = {"HOME": "/h", "K": KEY, "HTTPS_PROXY": "http://user:canary@proxy:3128"}
    with raw(None) as place:
        config = load_mapping({"providers": {"openai": {"base_url": f"http://{place}", "api_key": "${K}"}}}, environ)
        findings = run(config, environ, limit_s=0.05)
    assert "canary" not in repr(findings)


@pytest.mark.parametrize(("secret", "shown"), [(KEY, "sk-cana…"), ("short-key", "***"), ("", "***")])
def test_masking(secret: str, shown: str) -> None:
    assert mask(secret) == shown


def test_a_provider_that_asks_for_a_key_that_was_never_given() -> None:
    with provider({"/v1/models": (401, {}, b"no")}) as server:
        config = load_mapping({"providers": {"my-llm": {"base_url": server.base_url}}}, {"HOME": "/h"})
        (finding,) = (row for row in run(config, {"HOME": "/h"}) if row.provider == "my-llm")
    assert "none is configured" in finding.detail
    assert finding.todo == "write providers.my-llm.api_key: ${MY_LLM_API_KEY}"
