"""The bytes that go in and come back: made once, so that neither side spends its time on building them.

The request carries the headers the installed ``openai`` SDK really sends (captured from a socket, because they change
between versions); the answer carries the twenty that the OpenAI API sends back.
"""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import dataclass

__all__ = [
    "ANSWER_BYTES",
    "API_KEY",
    "CHUNK_WORD",
    "CONTENT_MARK",
    "MODEL",
    "PATH",
    "Request",
    "answer_body",
    "answer_head",
    "chat_request",
    "message_body",
    "message_events",
    "sdk_headers",
    "stream_events",
]

API_KEY = "sk-bench-0123456789abcdef0123456789abcdef"
MODEL = "chat"
"""The public name. The upstream answers any name, and says ``bench-model``."""
PATH = "/v1/chat/completions"
ANSWER_BYTES = 600
CHUNK_WORD = " quay"
"""One of these in each streamed content event: found again however a proxy rewrites the JSON around it."""
CONTENT_MARK = b"All hulls sound."

_FALLBACK_HEADERS = (
    ("Accept-Encoding", "gzip, deflate"),
    ("Connection", "keep-alive"),
    ("accept", "application/json"),
    ("content-type", "application/json"),
    ("user-agent", "OpenAI/Python 3.0.0"),
    ("x-stainless-lang", "python"),
    ("x-stainless-package-version", "3.0.0"),
    ("x-stainless-os", "Linux"),
    ("x-stainless-arch", "x64"),
    ("x-stainless-runtime", "CPython"),
    ("x-stainless-runtime-version", "3.11.0"),
    ("x-stainless-async", "false"),
    ("x-stainless-retry-count", "0"),
    ("x-stainless-read-timeout", "600"),
)

_ANSWER_HEADERS = (
    ("Date", "Mon, 02 Nov 2026 12:00:00 GMT"),
    ("Content-Type", "{content_type}"),
    ("Connection", "keep-alive"),
    ("access-control-expose-headers", "X-Request-ID"),
    ("openai-organization", "bench-organization"),
    ("openai-processing-ms", "312"),
    ("openai-project", "proj_0123456789abcdefghijklmn"),
    ("openai-version", "2020-10-01"),
    ("x-envoy-upstream-service-time", "330"),
    ("x-ratelimit-limit-requests", "10000"),
    ("x-ratelimit-limit-tokens", "2000000"),
    ("x-ratelimit-remaining-requests", "9999"),
    ("x-ratelimit-remaining-tokens", "1999985"),
    ("x-ratelimit-reset-requests", "6ms"),
    ("x-ratelimit-reset-tokens", "0s"),
    ("x-request-id", "req_0123456789abcdef0123456789abcdef"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
    ("X-Content-Type-Options", "nosniff"),
    ("alt-svc", 'h3=":443"; ma=86400'),
)


@dataclass(frozen=True)
class Request:
    """Headers and body of one request, ready for any host and port."""

    headers: tuple[tuple[str, str], ...]
    body: bytes

    def render(self, host: str, port: int) -> bytes:
        """The whole request as bytes, ``Host`` first as clients send it."""
        lines = [f"POST {PATH} HTTP/1.1", f"Host: {host}:{port}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


def sdk_headers() -> tuple[tuple[tuple[str, str], ...], str]:
    """Headers of the installed ``openai`` SDK without Host and Content-Length, and a line saying where they are from.

    The SDK is asked to call a socket of ours, which hangs up after reading. Without the SDK a recorded set is used, and
    the line says so.
    """
    try:
        import openai
    except ImportError:
        return (*_FALLBACK_HEADERS, ("authorization", f"Bearer {API_KEY}")), "recorded (no openai package here)"
    raw = _capture_sdk_request(openai)
    head = raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    pairs = [(line.partition(":")[0], line.partition(":")[2].strip()) for line in head]
    kept = tuple((name, value) for name, value in pairs if name.lower() not in ("host", "content-length"))
    return kept, f"openai {openai.__version__}"


def _capture_sdk_request(openai: object) -> bytes:
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[bytes] = []

    def serve_once() -> None:
        connection, _peer = listener.accept()
        with connection:
            connection.settimeout(5)
            data = b""
            while b"\r\n\r\n" not in data:
                part = connection.recv(65536)
                if not part:
                    break
                data += part
            seen.append(data)

    thread = threading.Thread(target=serve_once, daemon=True)
    thread.start()
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    client = openai.OpenAI(api_key=API_KEY, base_url=base_url, max_retries=0)  # type: ignore[attr-defined]
    try:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hello"}])
    except openai.APIConnectionError:  # type: ignore[attr-defined]
        pass  # we hang up on purpose
    finally:
        client.close()
        thread.join(5)
        listener.close()
    return seen[0]


def chat_request(headers: tuple[tuple[str, str], ...], stream: str = "", chunks: int = 0) -> Request:
    """A chat request. ``stream``: ``""`` (unary), ``"paced"`` or ``"burst"``, with so many content chunks.

    How the upstream shall stream is said in the user's message: the one place that every proxy passes on unread.
    """
    say = f"bench:{stream}:{chunks}" if stream else "What is 42 * 37? Answer in one short sentence, please."
    document: dict[str, object] = {
        "messages": [{"role": "system", "content": "You are terse."}, {"role": "user", "content": say}],
        "model": MODEL,
        "max_tokens": max(chunks, 256),
    }
    if stream:
        document["stream"] = True
    return Request(headers, json.dumps(document, separators=(",", ":")).encode())


def answer_body(size: int = ANSWER_BYTES) -> bytes:
    """A chat completion of exactly ``size`` bytes that every client parses."""

    def render(text: str) -> bytes:
        return json.dumps(
            {
                "id": "chatcmpl-0123456789abcdefghijklmnopqrs",
                "object": "chat.completion",
                "created": 1793620800,
                "model": "bench-model",
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": text, "refusal": None},
                        "logprobs": None,
                        "finish_reason": "stop",
                    }
                ],
                "usage": {"prompt_tokens": 24, "completion_tokens": 60, "total_tokens": 84},
                "system_fingerprint": "fp_0123456789",
            },
            separators=(",", ":"),
        ).encode()

    mark = CONTENT_MARK.decode()
    return render(mark + "x" * (size - len(render(mark))))


def message_body(size: int = ANSWER_BYTES) -> bytes:
    """The same answer as a message of Anthropic's, of exactly ``size`` bytes."""

    def render(text: str) -> bytes:
        return json.dumps(
            {
                "id": "msg_0123456789abcdefghijklmn",
                "type": "message",
                "role": "assistant",
                "model": "bench-model",
                "content": [{"type": "text", "text": text}],
                "stop_reason": "end_turn",
                "stop_sequence": None,
                "usage": {
                    "input_tokens": 24,
                    "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 0,
                    "output_tokens": 60,
                    "service_tier": "standard",
                },
            },
            separators=(",", ":"),
        ).encode()

    mark = CONTENT_MARK.decode()
    return render(mark + "x" * (size - len(render(mark))))


def message_events() -> tuple[bytes, bytes, bytes]:
    """:func:`stream_events` as Anthropic sends them."""

    def event(data: dict[str, object]) -> bytes:
        return _http_chunk(f"event: {data['type']}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n")

    usage = {"input_tokens": 24, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}
    message: dict[str, object] = {
        "id": "msg_0123456789abcdefghijklmn",
        "type": "message",
        "role": "assistant",
        "model": "bench-model",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    start = event({"type": "message_start", "message": message})
    start += event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    delta = {"type": "text_delta", "text": CHUNK_WORD}
    end = event({"type": "content_block_stop", "index": 0})
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    end += event({"type": "message_delta", "delta": stop, "usage": {"output_tokens": 60}})
    end += event({"type": "message_stop"}) + b"0\r\n\r\n"
    return start, event({"type": "content_block_delta", "index": 0, "delta": delta}), end


def answer_head(content_type: str, body_bytes: int | None) -> bytes:
    """Status line and twenty header lines; ``body_bytes`` None means chunked."""
    lines = ["HTTP/1.1 200 OK"]
    lines += [f"{name}: {value.format(content_type=content_type)}" for name, value in _ANSWER_HEADERS]
    lines.append("Transfer-Encoding: chunked" if body_bytes is None else f"Content-Length: {body_bytes}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def stream_events(include_usage: bool) -> tuple[bytes, bytes, bytes]:
    """Three pieces of a stream, each HTTP chunk-encoded: the role event, one content event, and the end.

    The end holds the finish event, the usage event if asked for, ``[DONE]`` and the last chunk.
    """
    usage_member = ',"usage":null' if include_usage else ""
    head = (
        '{"id":"chatcmpl-0123456789abcdefghijklmnopqrs","object":"chat.completion.chunk","created":1793620800,'
        '"model":"bench-model","service_tier":"default","system_fingerprint":"fp_0123456789",'
    )

    def event(delta: str, finish: str) -> bytes:
        choice = f'"choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}]{usage_member}}}'
        return _http_chunk(f"data: {head}{choice}\n\n")

    end = event("{}", '"stop"')
    if include_usage:
        counts = '"usage":{"prompt_tokens":24,"completion_tokens":60,"total_tokens":84}'
        end += _http_chunk(f'data: {head}"choices":[],{counts}}}\n\n')
    end += _http_chunk("data: [DONE]\n\n") + b"0\r\n\r\n"
    role = event('{"role":"assistant","content":"","refusal":null}', "null")
    return role, event(f'{{"content":"{CHUNK_WORD}"}}', "null"), end


def _http_chunk(text: str) -> bytes:
    data = text.encode()
    return b"%x\r\n%b\r\n" % (len(data), data)
