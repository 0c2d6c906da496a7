"""The SDK's client for ``gemini.generate``, the suite that checks fill, and what every answer must be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trimaran.testing.contract.material import CALENDAR_SCHEMA, RESULTS, WEATHER_SCHEMA, call_gist
from trimaran.testing.contract.suite import Session, Suite, expect

__all__ = ["GEMINI_GENERATE", "ONE_TOOL", "TOOLS", "GeminiSession", "content", "results", "streamed", "unary"]

_WEATHER = {"name": "get_weather", "description": "The weather in a city.", "parameters_json_schema": WEATHER_SCHEMA}
_CALENDAR = {
    "name": "get_calendar",
    "description": "What is planned on a day.",
    "parameters_json_schema": CALENDAR_SCHEMA,
}
TOOLS = [{"function_declarations": [_WEATHER, _CALENDAR]}]
ONE_TOOL = [{"function_declarations": [_WEATHER]}]


class GeminiSession(Session):
    """A ``google-genai`` client. ``base_url`` has no version; the SDK's own retries are off.

    ``key`` is an API key of the Gemini API. With ``vertexai=True`` among the ``options``, and ``project`` and ``location``, it is an
    access token for Vertex AI. Further options go to the SDK's client.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        model: str = "gemini-2.5-flash",
        asynchronous: bool = False,
        rename: Callable[[str], str] = str,
        **options: Any,
    ) -> None:
        options = {"base_url": base_url, "api_key": key, "timeout": 20.0, **options}
        super().__init__(_client, model=model, asynchronous=asynchronous, rename=rename, **options)

    def models(self, client: Any = None) -> Any:
        """The synchronous or the asynchronous face of a client's models."""
        return self.facade(client).models

    def facade(self, client: Any = None) -> Any:
        """The client, or its asynchronous face."""
        found = client or self.client
        return found if self._runner is None else found.aio

    def create(self, contents: Any, *, model: str | None = None, **config: Any) -> Any:
        """One whole answer; ``config`` holds the members of ``GenerateContentConfig``."""
        method = self.models().generate_content
        return self.call(method, model=model or self.model, contents=contents, config=config)

    def stream(
        self, contents: Any, *, model: str | None = None, at_most: int | None = None, **config: Any
    ) -> list[Any]:
        """All chunks of a streamed one, or the first so many."""
        method = self.models().generate_content_stream
        fields = {"model": model or self.model, "contents": contents, "config": config}
        return self.collect(method, at_most=at_most, **fields)

    def collect(self, method: Callable[..., Any], *, at_most: int | None = None, **fields: Any) -> list[Any]:
        """Open a stream and read it, at most so many chunks; then close it."""
        if self._runner is not None:
            chunks: list[Any] = list(self._runner.run(_read(method(**fields), at_most)))
            if at_most is not None:
                # google-genai 3.6.1 hangs up only with the whole client: its generators hold the response open.
                self.release(self.client)
                self.client = self.borrow(self._options)
            return chunks
        stream = method(**fields)
        chunks = []
        for chunk in stream:
            chunks.append(chunk)
            if len(chunks) == at_most:
                break
        stream.close()
        return chunks

    def error(self, client: Any = None, **fields: Any) -> tuple[Any, None]:
        """What a failing call raised, as data: for a 4xx class, status and status word; for a 5xx only that. ``stream`` opens a
        stream; ``model`` and ``contents`` have defaults, what else there is goes to the config."""
        wanted = {"model": fields.pop("model", self.model), "contents": fields.pop("contents", "Hello")}
        streamed, models = fields.pop("stream", False), self.models(client)
        method = models.generate_content_stream if streamed else models.generate_content
        run = self._opened if streamed else method
        error = self.failure(
            lambda **_: run(method, **wanted, config=fields) if streamed else run(**wanted, config=fields)
        )
        status = getattr(error, "code", None)
        if status is None:
            return {"class": "Timeout"}, None
        if status >= 500:
            return {"class": "5xx"}, None
        return {"class": type(error).__name__, "status": status, "type": getattr(error, "status", None)}, None

    def _opened(self, method: Callable[..., Any], **fields: Any) -> Any:
        """Read a stream; the SDK raises at its first chunk."""
        return self.collect(method, **fields)

    def release(self, client: Any) -> None:
        """Close both faces of a client."""
        if self._runner is not None:
            self._runner.run(client.aio.aclose())
        client.close()


GEMINI_GENERATE: Suite[GeminiSession] = Suite("gemini.generate")
"""All checks of the dialect."""


def _client(*, base_url: str, api_key: str, timeout: float, vertexai: bool = False, **options: Any) -> Any:
    from google import genai
    from google.genai import types

    http = types.HttpOptions(
        base_url=base_url, timeout=int(timeout * 1000), retry_options=types.HttpRetryOptions(attempts=1)
    )
    if not vertexai:
        return genai.Client(api_key=api_key, http_options=http, **options)
    from google.oauth2.credentials import Credentials

    made = Credentials(token=api_key)  # type: ignore[no-untyped-call]
    return genai.Client(vertexai=True, credentials=made, http_options=http, **options)


async def _read(opening: Any, at_most: int | None) -> list[Any]:
    stream = await opening
    chunks: list[Any] = []
    async for chunk in stream:
        chunks.append(chunk)
        if len(chunks) == at_most:
            break
    await stream.aclose()
    return chunks


def content(role: str, *parts: Any) -> dict[str, Any]:
    """One content; a string is a text part."""
    return {"role": role, "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}


def results(answer: Any) -> list[Any]:
    """Parts with the responses to an answer's calls, in order; with their ids, where they have some."""
    calls = [part.function_call for part in answer.candidates[0].content.parts if part.function_call]
    rows = [{"name": call.name, "response": {"result": RESULTS[at]}} for at, call in enumerate(calls)]
    for row, call in zip(rows, calls, strict=True):
        if call.id:
            row["id"] = call.id
    return [{"function_response": row} for row in rows]


def unary(answer: Any) -> tuple[Any, Any]:
    """Gist and whole of an answer, checked for what the dialect promises of every one."""
    expect(answer.usage_metadata and answer.usage_metadata.prompt_token_count, "a count of the prompt", answer)
    expect(len(answer.candidates or ()) == 1, "one candidate", answer)
    candidate = answer.candidates[0]
    expect(candidate.finish_reason, "a finish reason", answer)
    parts = (candidate.content.parts if candidate.content else None) or []
    return _gist(parts, candidate, answer.usage_metadata), answer


def streamed(chunks: list[Any]) -> tuple[Any, Any]:
    """The same of a streamed one: no end marker, but a last chunk with a finish reason and all counts."""
    expect(chunks, "some chunks", chunks)
    ends = [chunk for chunk in chunks if chunk.candidates and chunk.candidates[0].finish_reason]
    expect(len(ends) == 1 and ends[0] is chunks[-1], "one finish reason, in the last chunk", chunks)
    parts = [
        part for chunk in chunks for part in ((chunk.candidates[0].content and chunk.candidates[0].content.parts) or ())
    ]
    return _gist(parts, chunks[-1].candidates[0], chunks[-1].usage_metadata), chunks


def _gist(parts: list[Any], candidate: Any, usage: Any) -> dict[str, Any]:
    gist: dict[str, Any] = {
        "text": "".join(part.text for part in parts if part.text and not part.thought),
        "finish": candidate.finish_reason.value,
        "input_tokens": usage.prompt_token_count,
        "output_tokens": (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
    }
    total = (usage.prompt_token_count or 0) + gist["output_tokens"] + (usage.tool_use_prompt_token_count or 0)
    expect(usage.total_token_count == total, "the total is the sum", usage)
    calls = [part.function_call for part in parts if part.function_call]
    if calls:
        gist["tool_calls"] = [call_gist(call.name, call.args) for call in calls]
    if thoughts := "".join(part.text for part in parts if part.text and part.thought):
        gist["reasoning"] = thoughts
    if candidate.finish_reason.value == "SAFETY":
        gist["refusal"] = candidate.finish_message
    return gist
