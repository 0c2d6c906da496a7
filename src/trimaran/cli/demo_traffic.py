"""The demo's clients: threads that ask through the vendors' SDKs, in both dialects, streamed and not.

The SDKs' own retries are off, so that every failure a client would see is seen.
"""

from __future__ import annotations

import importlib.util
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from trimaran.cli.demo_stage import MODEL
from trimaran.errors import StartError

__all__ = ["Reply", "Traffic", "require_sdks"]

_KEY = "not checked: the demo's gateway has no client keys"
_THREADS = 6
_TIMEOUT_S = 15.0
_QUESTION = "What is 42 * 37?"

Ask = Callable[[str], Mapping[str, str]]
"""Asks one question to the end; the answer's headers."""


class Reply(NamedTuple):
    """One request as its client saw it."""

    started_s: float
    latency_s: float
    client: str
    provider: str
    request_id: str
    attempts: int
    error: str = ""


def require_sdks() -> None:
    """Raises :class:`~trimaran.errors.StartError` when a vendor's SDK is missing."""
    missing = [name for name in ("openai", "anthropic") if importlib.util.find_spec(name) is None]
    if missing:
        raise StartError(
            f"the demo asks with the vendors' SDKs, and {' and '.join(missing)} cannot be imported",
            hint="pip install 'trimaran[demo]', or 'make demo' in a clone, which sets everything up",
        )


class Traffic:
    """Requests without pause, from :meth:`start` to :meth:`stop`. Also a context manager."""

    def __init__(self, url: str) -> None:
        self._asks = _clients(url)
        self._replies: list[Reply] = []
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"client-{number}", daemon=True)
            for number in range(_THREADS)
        ]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let running requests finish."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(_TIMEOUT_S)

    def since(self, moment_s: float = 0.0) -> list[Reply]:
        """Finished requests that started after that moment of the monotonic clock, in order of finish."""
        return [reply for reply in list(self._replies) if reply.started_s >= moment_s]

    def _run(self, number: int) -> None:
        names = list(self._asks)
        turn = number
        while not self._stopping.is_set():
            name = names[turn % len(names)]
            turn += 1
            reply = _reply(name, self._asks[name])
            self._replies.append(reply)
            if reply.error:
                # Whatever is wrong, a loop of failures would only hide it.
                self._stopping.wait(0.2)


def _reply(name: str, ask: Ask) -> Reply:
    started_s = time.monotonic()
    try:
        headers = ask(_QUESTION)
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return Reply(started_s, time.monotonic() - started_s, name, "", "", 0, what)
    latency_s = time.monotonic() - started_s
    provider = headers.get("x-trimaran-target", "").partition("/")[0]
    attempts = int(headers.get("x-trimaran-attempts", "0"))
    return Reply(started_s, latency_s, name, provider, headers.get("x-trimaran-request-id", ""), attempts)


def _clients(url: str) -> dict[str, Ask]:
    """Ways to ask, by name."""
    import anthropic
    import openai

    # The SDKs read proxies from the environment, each in its own way; all of this is on this machine.
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = urlsplit(url).hostname or ""
    first = openai.OpenAI(base_url=f"{url}/v1", api_key=_KEY, timeout=_TIMEOUT_S, max_retries=0)
    second = anthropic.Anthropic(base_url=url, api_key=_KEY, timeout=_TIMEOUT_S, max_retries=0)
    return {
        "openai": lambda text: _openai(first, text),
        "anthropic": lambda text: _anthropic(second, text),
        "openai, streamed": lambda text: _openai_stream(first, text),
        "anthropic, streamed": lambda text: _anthropic_stream(second, text),
    }


def _openai(client: Any, text: str) -> Mapping[str, str]:
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, max_tokens=64, messages=[{"role": "user", "content": text}]
    )
    choice = raw.parse().choices[0]
    return _whole(raw.headers, choice.message.content, choice.finish_reason)


def _openai_stream(client: Any, text: str) -> Mapping[str, str]:
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, max_tokens=64, messages=[{"role": "user", "content": text}], stream=True
    )
    said, reason = "", None
    for chunk in raw.parse():
        for choice in chunk.choices:
            said += choice.delta.content or ""
            reason = choice.finish_reason or reason
    return _whole(raw.headers, said, reason)


def _anthropic(client: Any, text: str) -> Mapping[str, str]:
    raw = client.messages.with_raw_response.create(
        model=MODEL, max_tokens=64, messages=[{"role": "user", "content": text}]
    )
    message = raw.parse()
    return _whole(raw.headers, message.content[0].text, message.stop_reason)


def _anthropic_stream(client: Any, text: str) -> Mapping[str, str]:
    raw = client.messages.with_raw_response.create(
        model=MODEL, max_tokens=64, messages=[{"role": "user", "content": text}], stream=True
    )
    said, reason = "", None
    for event in raw.parse():
        if event.type == "content_block_delta":
            said += event.delta.text
        elif event.type == "message_delta":
            reason = event.delta.stop_reason
    return _whole(raw.headers, said, reason)


def _whole(headers: Mapping[str, str], said: str, reason: str | None) -> Mapping[str, str]:
    if not said or reason is None:
        raise ValueError(f"the answer is not whole: {said!r}, ended by {reason!r}")
    return headers
