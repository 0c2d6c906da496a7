"""The simulated provider: one loopback port that speaks OpenAI's chat, responses and embeddings, Anthropic's messages and
Amazon Bedrock.

It composes the parts: connections parse, dialects read and write, :mod:`~trimaran.testing.answer` plays the answer. It
says in every answer that it is simulated (header ``x-simulated``, and the default text). Behaviours are looked up by
upstream model name, then by dialect, then the default; each is replaced whole and takes effect with the next request.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import msgspec

from trimaran.testing.answer import Answer, draw
from trimaran.testing.anthropic_messages import AnthropicCountTokens, AnthropicMessages
from trimaran.testing.aws import AwsAccount
from trimaran.testing.azure_services import Azure
from trimaran.testing.bedrock import BEDROCK_DIALECTS, bedrock_dialects, bedrock_look_ups
from trimaran.testing.bedrock_models import BedrockModels
from trimaran.testing.behaviour import Behaviour
from trimaran.testing.connection import Connection, Exchange
from trimaran.testing.control import CONTROL_PATH, answer_control
from trimaran.testing.dialect import Dialect, LookUp, Request, header
from trimaran.testing.exchange import Refusal
from trimaran.testing.google_services import Google
from trimaran.testing.log import LoggedRequest, RequestLog
from trimaran.testing.openai_chat import OpenAIChat
from trimaran.testing.openai_embeddings import OpenAIEmbeddings
from trimaran.testing.openai_responses import OpenAIInputTokens, OpenAIResponses
from trimaran.testing.sagemaker import Endpoint, SageMaker
from trimaran.testing.sagemaker_control import sagemaker_look_ups
from trimaran.testing.sagemaker_runtime import sagemaker_dialects

__all__ = ["ANTHROPIC_DIALECTS", "BEDROCK_DIALECTS", "DEFAULT_MODELS", "OPENAI_DIALECTS", "SimulatedProvider"]

DEFAULT_MODELS = (
    "gpt-4o-mini",
    "gpt-4o",
    "text-embedding-3-small",
    "claude-haiku-4-5-20251001",
    "claude-sonnet-4-5-20250929",
)
OPENAI_DIALECTS = ("openai.chat", "openai.responses", "openai.embeddings", "openai.input_tokens")
ANTHROPIC_DIALECTS = ("anthropic.messages", "anthropic.count_tokens")
_DEFAULT = "*"
_START_S = 10.0


class _Slot:
    """A behaviour in force, with how many requests it has seen."""

    __slots__ = ("behaviour", "seen", "since_set")

    def __init__(self, behaviour: Behaviour, seen: int = 0) -> None:
        self.behaviour = behaviour
        self.seen = seen
        self.since_set = 0


class SimulatedProvider:
    """A provider on loopback whose speed and faults can be changed while it runs.

    ``async with SimulatedProvider(...) as provider`` runs it on the current loop, ``with
    SimulatedProvider(...).in_thread() as provider`` on a loop of its own, for synchronous clients. It can be closed and
    started again on the same port.

    ``behaviours`` maps a dialect (``openai.chat``) or an upstream model name to its own behaviour. ``models`` limits
    which models exist (by default all but ``missing-model``); ``keys`` limits which keys are accepted (by default any).
    ``aws`` is the AWS account behind Bedrock and SageMaker: its credentials, region and clock; ``bedrock`` says which
    models it has. ``sagemaker`` holds SageMaker's endpoints; by default any name is one that answers as vLLM does.
    ``google`` is the cloud behind Gemini, Vertex AI and Google's token services, ``azure`` the one behind Azure OpenAI, Azure Machine
    Learning and Entra ID. All may be changed while the provider runs.
    ``log_limit`` bounds the log; ``keep_bodies`` False drops request bodies from it.
    """

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        *,
        behaviours: Mapping[str, Behaviour] | None = None,
        name: str = "simulated",
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
        models: Iterable[str] | None = None,
        keys: Iterable[str] | None = None,
        aws: AwsAccount | None = None,
        bedrock: BedrockModels | None = None,
        sagemaker: SageMaker | None = None,
        google: Google | None = None,
        azure: Azure | None = None,
        log_limit: int = 10_000,
        keep_bodies: bool = True,
    ) -> None:
        self.name = name
        self.host = host
        self.port = port
        self.seed = seed
        self._slots = {_DEFAULT: _Slot(behaviour or Behaviour())}
        self._slots.update({scope: _Slot(value) for scope, value in (behaviours or {}).items()})
        self._models = tuple(models) if models is not None else None
        self._known = frozenset(self._models) if self._models is not None else None
        self._keys = frozenset(keys) if keys is not None else None
        self._keep_bodies = keep_bodies
        self.aws = aws or AwsAccount()
        self.bedrock = bedrock or BedrockModels()
        self.sagemaker = sagemaker or SageMaker(template=Endpoint(name="any"))
        self._openai, self._anthropic = OpenAIChat(), AnthropicMessages()
        responses = OpenAIResponses()
        dialects: list[Dialect] = [self._openai, responses, OpenAIInputTokens(responses), OpenAIEmbeddings()]
        dialects += [self._anthropic, AnthropicCountTokens()]
        dialects += bedrock_dialects(self.aws, self.bedrock)
        dialects += sagemaker_dialects(self.aws, self.sagemaker)
        self._look_ups: list[LookUp] = [*bedrock_look_ups(self.aws, self.bedrock)]
        self._look_ups += sagemaker_look_ups(self.aws, self.sagemaker)
        self.google = google or Google()
        dialects += self.google.dialects()
        self._look_ups += self.google.look_ups(self._models)
        self._google_models = self.google.models(self._models)
        self.azure = azure or Azure()
        dialects += self.azure.dialects()
        self._look_ups += self.azure.look_ups(self._models)
        self._by_path: dict[bytes, Dialect] = {dialect.path: dialect for dialect in dialects if dialect.path}
        self._others = [dialect for dialect in dialects if not dialect.path]
        self._server: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connections: set[Connection] = set()
        self._waiters: list[tuple[Callable[[Any], bool], asyncio.Future[None]]] = []
        self.connections_total = 0
        self.log = RequestLog(log_limit, self._changed)

    # Addresses

    @property
    def base_url(self) -> str:
        """``http://host:port``: the base URL of the ``anthropic`` SDK. The ``openai`` SDK wants
        :attr:`openai_base_url`."""
        return f"http://{self.host}:{self.port}"

    @property
    def openai_base_url(self) -> str:
        """``http://host:port/v1``."""
        return f"{self.base_url}/v1"

    @property
    def anthropic_base_url(self) -> str:
        """``http://host:port``."""
        return self.base_url

    # Behaviour

    @property
    def behaviour(self) -> Behaviour:
        """The default behaviour. Setting it drops those of single dialects and models."""
        return self._slots[_DEFAULT].behaviour

    @behaviour.setter
    def behaviour(self, value: Behaviour) -> None:
        self._slots = {_DEFAULT: _Slot(value, self._slots[_DEFAULT].seen)}

    @property
    def behaviours(self) -> dict[str, Behaviour]:
        """A copy of all behaviours by scope; ``*`` is the default."""
        return {scope: slot.behaviour for scope, slot in self._slots.items()}

    def set_behaviour(self, value: Behaviour, scope: str | None = None) -> None:
        """Replace the behaviour of one dialect or model; without ``scope``, like setting :attr:`behaviour`."""
        if scope is None or scope == _DEFAULT:
            self.behaviour = value
        else:
            old = self._slots.get(scope)
            self._slots[scope] = _Slot(value, old.seen if old else 0)

    # Life

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop it runs on. Raises ``RuntimeError`` before it was started."""
        if self._loop is None:
            raise RuntimeError("the simulated provider was not started")
        return self._loop

    @property
    def connections(self) -> int:
        """Connections open now."""
        return len(self._connections)

    @property
    def open_requests(self) -> int:
        """Requests being answered now, silent and stalled ones included."""
        return sum(not connection.idle for connection in self._connections)

    async def start(self) -> None:
        """Listen. The port is chosen by the system when it is 0. Raises ``OSError`` when it is taken."""
        self._loop = asyncio.get_running_loop()
        self._server = await self._loop.create_server(
            lambda: Connection(self), self.host, self.port, backlog=1024, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self, grace_s: float = 0.0) -> None:
        """Stop listening, let open answers finish for at most ``grace_s`` seconds, then drop all connections."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        if grace_s > 0:
            await self._settle(lambda provider: not provider.open_requests, grace_s)
        self.drop_connections()
        await self._settle(lambda provider: not provider.connections, 1.0)

    def drop_connections(self) -> None:
        """Abort every open connection, as a restarting server does. Keep-alive clients find out at their next
        request."""
        for connection in list(self._connections):
            connection.transport.abort()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @contextmanager
    def in_thread(self) -> Iterator[Self]:
        """Run on an event loop in a thread of its own. Behaviour and log may be used from any thread."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name=f"simulated-{self.name}", daemon=True)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self.start(), loop).result(_START_S)
            try:
                yield self
            finally:
                asyncio.run_coroutine_threadsafe(self.close(), loop).result(_START_S)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_START_S)
            loop.close()

    # Waiting

    async def until(self, condition: Callable[[Self], bool], timeout_s: float = 5.0) -> None:
        """Wait for a condition on this provider, checked at each change. Raises ``TimeoutError`` with the log's end."""
        if not await self._settle(condition, timeout_s):
            raise TimeoutError(f"not within {timeout_s} s; last requests: {self.log[-5:]}")

    def wait_until(self, condition: Callable[[Self], bool], timeout_s: float = 5.0) -> None:
        """:meth:`until` for a thread other than the provider's."""
        end = time.monotonic() + timeout_s
        while not condition(self):
            if time.monotonic() > end:
                raise TimeoutError(f"not within {timeout_s} s; last requests: {self.log[-5:]}")
            time.sleep(0.001)

    async def _settle(self, condition: Callable[[Any], bool], timeout_s: float) -> bool:
        if condition(self):
            return True
        waiter = (condition, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            await asyncio.wait_for(waiter[1], timeout_s)
        except TimeoutError:
            return condition(self)
        finally:
            self._waiters.remove(waiter)
        return True

    def _changed(self) -> None:
        for condition, future in self._waiters:
            if not future.done() and condition(self):
                future.set_result(None)

    # Host of connections

    def opened(self, connection: Connection) -> None:
        """A client connected."""
        self._connections.add(connection)
        self.connections_total += 1
        self._changed()

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        self._changed()

    def receive(self, connection: Connection, request: Request) -> Exchange | None:
        """Answer one request."""
        path = request.target.partition(b"?")[0]
        if request.method == b"POST" and (dialect := self._of(path)) is not None:
            return self._generate(connection, request, dialect, path)
        if path.startswith(CONTROL_PATH):
            connection.transport.write(answer_control(self, request, path, loopback=connection.loopback))
            connection.done(request.keep_alive)
            return None
        self._look_up(connection, request, path)
        return None

    def _of(self, path: bytes) -> Dialect | None:
        """Whose a POST is."""
        if (dialect := self._by_path.get(path)) is not None:
            return dialect
        return next((one for one in self._others if one.serves(b"POST", path)), None)

    def _generate(self, connection: Connection, request: Request, dialect: Dialect, path: bytes) -> Exchange | None:
        loop = self._loop
        assert loop is not None
        row = self._logged(request, path, dialect.name, loop.time())
        try:
            dialect.authenticate(request, self._keys)
            prompt = dialect.read(request)
            row.model, row.stream, row.input_tokens = prompt.model, prompt.stream, prompt.input_tokens
            scope, slot = self._slot(prompt.model, dialect.name)
            dialect.check(prompt, slot.behaviour.context_tokens, self._known)
            reply = dialect.compose(prompt, slot.behaviour, self.name)
        except Refusal as refusal:
            self._refuse(connection, request, dialect, refusal, row)
            return None
        fate = draw(slot.behaviour, self.seed, scope, slot.seen, slot.since_set)
        slot.seen += 1
        slot.since_set += 1
        writer = dialect.writer(prompt, reply, row.n)
        answer = Answer(
            connection,
            loop,
            dialect,
            slot.behaviour,
            fate,
            reply,
            writer,
            _request_id(row),
            request.keep_alive,
            row,
            self.log,
        )
        answer.start()
        return answer

    def _slot(self, model: str, dialect: str) -> tuple[str, _Slot]:
        slots = self._slots
        for scope in (model, dialect):
            if (slot := slots.get(scope)) is not None:
                return scope, slot
        return _DEFAULT, slots[_DEFAULT]

    def _look_up(self, connection: Connection, request: Request, path: bytes) -> None:
        """Models and other lists, and what does not exist."""
        assert self._loop is not None
        found = next((one for one in self._look_ups if one.serves(request.method, path)), None)
        if found is None and self._google_models.prefers(request):
            found = self._google_models
        versioned = header(request.headers, b"anthropic-version") is not None
        dialect: Dialect = self._anthropic if versioned else self._openai
        place = found or dialect
        row = self._logged(request, path, place.name, self._loop.time())
        try:
            place.authenticate(request, self._keys)
            body = found.look_up(request) if found is not None else self._found(dialect, request, path)
        except Refusal as refusal:
            self._refuse(connection, request, place, refusal, row)
            return
        row.status = 200
        connection.transport.write(place.head.write(200, _request_id(row), length=len(body)) + body)
        self.log.end(row, "completed", self._loop.time())
        connection.done(request.keep_alive)

    def _found(self, dialect: Dialect, request: Request, path: bytes) -> bytes:
        if request.method == b"GET" and (path == b"/v1/models" or path.startswith(b"/v1/models/")):
            one = path.removeprefix(b"/v1/models/").decode("latin-1") if path != b"/v1/models" else None
            found = dialect.models(self._models if self._models is not None else DEFAULT_MODELS, one)
            if found is not None:
                return found
            raise Refusal(404, "", f"no model {one!r}")
        raise Refusal(404, "", f"{request.method.decode('latin-1')} {path.decode('latin-1')} is not simulated")

    def _refuse(
        self, connection: Connection, request: Request, dialect: Dialect | LookUp, refusal: Refusal, row: LoggedRequest
    ) -> None:
        assert self._loop is not None
        body = dialect.refusal(refusal, _request_id(row))
        row.status = refusal.status
        head = dialect.head.write(refusal.status, _request_id(row), length=len(body), lines=refusal.lines)
        connection.transport.write(head + body)
        self.log.end(row, "refused", self._loop.time())
        connection.done(request.keep_alive)

    def _logged(self, request: Request, path: bytes, dialect: str, now: float) -> LoggedRequest:
        row = LoggedRequest(
            self.log.total + 1,
            request.method.decode("latin-1"),
            path.decode("latin-1"),
            dialect,
            request.headers,
            request.body if self._keep_bodies else b"",
            now,
        )
        self.log.append(row)
        return row

    def state(self, rows: int = 100) -> dict[str, object]:
        """What ``GET /_simulate`` shows: behaviours, connections and the last rows of the log, without prompts."""
        return {
            "simulated": True,
            "name": self.name,
            "seed": self.seed,
            "connections": self.connections,
            "open_requests": self.open_requests,
            "requests": self.log.total,
            "behaviours": {scope: msgspec.to_builtins(value) for scope, value in self.behaviours.items()},
            "log": [row.public() for row in self.log[-rows:]],
        }


def _request_id(row: LoggedRequest) -> str:
    return f"req_simulated{row.n:08d}"
