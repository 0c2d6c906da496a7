"""The stage of the fault matrix: a target of its own for each role in each case, one gateway, and the vendors' SDKs.

Each case has its own public model and providers, so that no circuit that one case opens is seen by another, and all of
them can run at once.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx
import httpx2
import openai
from fault_lines import DEADLINE_S, DIALECTS, HEALTHY, IDLE_S, MAX_TOKENS, TTFT_S, Line, Path

from trimaran.testing import Behaviour, SimulatedProvider

KEY = "sk-upstream-7f3a"
INPUT_NANOS, OUTPUT_NANOS = 1_000, 2_000
"""For one token: 1 and 2 USD for a million."""
CLIENTS_AT_ONCE = 32
END = {"openai.chat": b"data: [DONE]", "anthropic.messages": b"event: message_stop"}


@dataclass(frozen=True)
class Case:
    """One line of the table, asked in one way."""

    line: Line
    dialect: str
    stream: bool
    position: str
    """``first`` or ``lone``."""
    translated: bool
    """The faulty target speaks the other dialect."""

    def __str__(self) -> str:
        kind, way = "stream" if self.stream else "unary", "translated" if self.translated else "same"
        return f"{self.line.name}-{self.position}-{self.dialect}-{kind}-{way}"

    @property
    def faulty_dialect(self) -> str:
        return _other(self.dialect) if self.translated else self.dialect

    @property
    def roles(self) -> Mapping[str, Behaviour]:
        """Behaviour by target, in order."""
        return {"a": self.line.fault} | (dict(self.line.behind) if self.position == "first" else {})

    def speaks(self, role: str) -> str:
        """The dialect of a target."""
        if role in self.line.speaks:
            return self.line.speaks[role]
        # Those behind speak the other one, so that a failover crosses dialects as well.
        return self.faulty_dialect if role == "a" else _other(self.faulty_dialect)

    def path(self) -> tuple[list[tuple[str, str]], str]:
        """The attempts as (target, code; empty: answered), and what the client gets: a status, ``cut``, or ``""``."""
        path = self.line.first if self.position == "first" else self.line.lone
        assert path is not None
        words = self._chosen(path).split()
        end = words.pop()[1:] if words[-1].startswith("=") else ""
        return [(word.partition("!")[0], word.partition("!")[2]) for word in words], end

    def _chosen(self, path: Path) -> str:
        if isinstance(path, str):
            return path
        return path.get("stream" if self.stream else "unary") or path[self.faulty_dialect]


def cases(lines: Sequence[Line]) -> list[Case]:
    """The whole matrix."""
    return [
        Case(line, dialect, stream, position, translated)
        for line in lines
        for dialect in DIALECTS
        for stream in line.streams
        for position in ("first", "lone")
        for translated in (False, True)
        if (line.first if position == "first" else line.lone) is not None
    ]


@dataclass
class Told:
    """What the SDK made of the answer."""

    text: str = ""
    finish: str | None = None
    usage: tuple[int, int] | None = None
    """Input and output tokens."""
    error: openai.APIError | anthropic.APIError | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    end_marker: bool = False
    took_s: float = 0.0

    @property
    def status(self) -> int | None:
        return getattr(self.error, "status_code", None)


def listening(library: Any) -> Any:
    """A client of ``httpx`` or ``httpx2`` (each SDK wants its own) that keeps a copy of each streamed body, to look for
    the end marker that SDKs do not show."""

    class Transport(library.HTTPTransport):
        def handle_request(self, request: Any) -> Any:
            response = super().handle_request(request)
            response.extensions["heard"] = heard = bytearray()
            inner = response.stream

            class Copy(library.SyncByteStream):
                def __iter__(self) -> Iterator[bytes]:
                    for piece in inner:
                        heard.extend(piece)
                        yield piece

                def close(self) -> None:
                    inner.close()

            response.stream = Copy()
            return response

    # Each worker of the pool has one.
    limits = library.Limits(max_connections=64, max_keepalive_connections=64)
    return library.Client(transport=Transport(limits=limits), timeout=20)


class Targets:
    """Simulated providers on one loop in one thread; behaviours and logs may be used from any thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="targets", daemon=True)
        self._thread.start()
        self.started: list[SimulatedProvider] = []

    def start(self, providers: Sequence[SimulatedProvider]) -> None:
        """Listen."""

        async def start() -> None:
            for provider in providers:
                await provider.start()

        asyncio.run_coroutine_threadsafe(start(), self.loop).result(20)
        self.started += providers

    def stop(self) -> None:
        async def stop() -> None:
            for provider in self.started:
                await provider.close()

        asyncio.run_coroutine_threadsafe(stop(), self.loop).result(20)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


class Stage:
    """Providers and configuration of all cases; knows how to ask."""

    def __init__(self, chosen: Sequence[Case], more: Mapping[str, Sequence[SimulatedProvider]]) -> None:
        """``more``: further public models by name, with their targets, which speak ``openai.chat``."""
        self.targets = Targets()
        self.cases = list(chosen)
        self.models = {case: f"m{number}" for number, case in enumerate(self.cases)}
        self.providers: dict[tuple[Case, str], SimulatedProvider] = {}
        self.more = dict(more)
        self._taken = socket.socket()
        self._taken.bind(("127.0.0.1", 0))
        """Bound and not listening: a connection to it is refused."""
        for case in self.cases:
            for role, behaviour in case.roles.items():
                self.providers[case, role] = self._provider(case, role, behaviour)
        self.targets.start([*self.providers.values(), *(each for group in more.values() for each in group)])
        self.address = ""

    def _provider(self, case: Case, role: str, behaviour: Behaviour) -> SimulatedProvider:
        first = role == "a"
        keys = case.line.keys if first and case.line.keys is not None else (KEY,)
        return SimulatedProvider(behaviour, name=role, keys=keys, models=case.line.models if first else None)

    def config(self, ledger: str) -> str:
        """The gateway's configuration."""
        models, providers = [], []
        for case, model in self.models.items():
            groups = _groups(case, model)
            for name, (roles, setting) in groups.items():
                names = ", ".join(f"{model}{role}/{_upstream(case, role)}" for role in roles)
                models.append(f"  {name}: {{strategy: ordered, targets: [{names}]{setting}}}")
            for role in case.roles:
                providers.append(self._provider_line(case, model, role))
        for model, group in self.more.items():
            names = ", ".join(f"{model}-{number}/model" for number in range(len(group)))
            models.append(f"  {model}: {{strategy: ordered, targets: [{names}]}}")
            for number, provider in enumerate(group):
                providers.append(
                    f'  {model}-{number}: {{base_url: "{provider.base_url}", api_key: "${{UPSTREAM_KEY}}", dialects: '
                    f"[openai.chat], prices: {{model: {_price(1)}}}}}"
                )
        limits = f"{{deadline: {DEADLINE_S:g}s, ttft: {TTFT_S * 1000:g}ms, idle: {IDLE_S * 1000:g}ms, max_attempts: 4}}"
        return "\n".join(
            ["models:", *models, "providers:", *providers, f"limits: {limits}", f'ledger: {{dir: "{ledger}"}}', ""]
        )

    def _provider_line(self, case: Case, model: str, role: str) -> str:
        address = self.providers[case, role].base_url
        if case.line.closed and role == "a":
            address = f"http://127.0.0.1:{self._taken.getsockname()[1]}"
        upstream = _upstream(case, role)
        price = _price(1000 if role in case.line.dear else 1)
        more = (
            f", capabilities: {{{upstream}: {case.line.capabilities[role]}}}" if role in case.line.capabilities else ""
        )
        return (
            f'  {model}{role}: {{base_url: "{address}", api_key: "${{UPSTREAM_KEY}}", dialects: [{case.speaks(role)}], '
            f"prices: {{{upstream}: {price}}}{more}}}"
        )

    @contextmanager
    def clients(self, address: str) -> Iterator[None]:
        """SDKs that ask the gateway there."""
        self.address = address
        with listening(httpx) as http, listening(httpx2) as http2:
            self._http = http
            self._openai = openai.OpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0, http_client=http)
            self._anthropic = anthropic.Anthropic(base_url=address, api_key="any", max_retries=0, http_client=http2)
            yield

    def ask_all(self) -> dict[Case, Told]:
        """Every case, many at a time."""
        with ThreadPoolExecutor(CLIENTS_AT_ONCE) as pool:
            # The slow ones first: they wait, and the others run beside them.
            order = sorted(self.cases, key=lambda case: case.line.fault.fault not in ("silence", "status", "stall"))
            asked: dict[Case, Future[Told]] = {case: pool.submit(self.ask_case, case) for case in order}
            return {case: each.result() for case, each in asked.items()}

    def ask_case(self, case: Case) -> Told:
        headers = dict(case.line.headers)
        if case.line.deadline_s:
            headers["x-trimaran-deadline-s"] = str(case.line.deadline_s[case.stream])
        return self.ask(self.models[case], case.dialect, case.stream, headers)

    def ask(self, model: str, dialect: str, stream: bool, headers: Mapping[str, str] | None = None) -> Told:
        """One request by the SDK of ``dialect``."""
        told = Told()
        start = time.monotonic()
        options: dict[str, Any] = {"messages": [{"role": "user", "content": "Tell me a story."}], "stream": stream}
        try:
            if dialect == "openai.chat":
                self._ask_openai(told, model, stream, options, headers)
            else:
                self._ask_anthropic(told, model, stream, options, headers)
        except (openai.APIError, anthropic.APIError, httpx.HTTPError, httpx2.HTTPError) as error:
            told.error = error  # type: ignore[assignment]
            if response := getattr(error, "response", None):
                told.headers = response.headers
        told.took_s = time.monotonic() - start
        return told

    def _ask_openai(self, told: Told, model: str, stream: bool, options: dict[str, Any], headers: Any) -> None:
        if stream:
            options["stream_options"] = {"include_usage": True}
        raw = self._openai.chat.completions.with_raw_response.create(
            model=model, max_tokens=MAX_TOKENS, extra_headers=headers, **options
        )
        told.headers = raw.headers
        if not stream:
            answer = raw.parse()
            told.text, told.finish = answer.choices[0].message.content, answer.choices[0].finish_reason
            told.usage = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
            return
        try:
            for chunk in raw.parse():
                if chunk.usage is not None:
                    told.usage = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
                for choice in chunk.choices:
                    told.text += choice.delta.content or ""
                    told.finish = choice.finish_reason or told.finish
        finally:
            told.end_marker = END["openai.chat"] in raw.http_response.extensions["heard"]

    def _ask_anthropic(self, told: Told, model: str, stream: bool, options: dict[str, Any], headers: Any) -> None:
        raw = self._anthropic.messages.with_raw_response.create(
            model=model, max_tokens=MAX_TOKENS, extra_headers=headers, **options
        )
        told.headers = raw.headers
        if not stream:
            answer = raw.parse()
            told.text, told.finish = "".join(block.text for block in answer.content), answer.stop_reason
            told.usage = (answer.usage.input_tokens, answer.usage.output_tokens)
            return
        inputs = 0
        try:
            for event in raw.parse():
                if event.type == "message_start":
                    inputs = event.message.usage.input_tokens
                elif event.type == "content_block_delta":
                    told.text += event.delta.text
                elif event.type == "message_delta":
                    told.finish = event.delta.stop_reason
                    told.usage = (event.usage.input_tokens or inputs, event.usage.output_tokens)
        finally:
            told.end_marker = END["anthropic.messages"] in raw.http_response.extensions["heard"]

    def leave(self, model: str) -> str:
        """Ask for a stream, read its beginning, and leave; the request's id."""
        body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 200, "stream": True}
        with self._http.stream("POST", f"{self.address}/v1/chat/completions", json=body) as response:
            next(response.iter_raw())
            return response.headers["x-trimaran-request-id"]

    def close(self) -> None:
        self._taken.close()
        self.targets.stop()


def _groups(case: Case, model: str) -> dict[str, tuple[list[str], str]]:
    """Roles and further settings by public model."""
    roles = list(case.roles)
    setting = f", {case.line.setting}" if case.line.setting else ""
    if not case.line.fallbacks:
        return {model: (roles, setting)}
    behind = {f"{model}-{role}": ([role], "") for role in roles[1:]}
    return {model: (roles[:1], f"{setting}, fallbacks: [{', '.join(behind)}]")} | behind


def _upstream(case: Case, role: str) -> str:
    return case.line.upstream.get(role, f"model-{role}")


def _price(usd: int) -> str:
    return f"{{input: {usd} USD/1M, output: {2 * usd} USD/1M}}"


def _other(dialect: str) -> str:
    return DIALECTS[1 - DIALECTS.index(dialect)]


__all__ = ["HEALTHY", "INPUT_NANOS", "KEY", "OUTPUT_NANOS", "Case", "Stage", "Told", "cases"]
