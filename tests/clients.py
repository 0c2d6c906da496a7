"""One conversation with a picture and tools, as the users of eight clients write it, reduced to what must be the same.

Each client asks twice: the first answer calls the tools, the second one, given their results, is text. Nothing here
depends on which provider answers.
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anthropic
import boto3
import openai
from botocore.config import Config
from google import genai
from google.genai import types
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI

__all__ = ["CLIENTS", "Told", "converse"]

PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(24)).decode()
SYSTEM = "You answer with what the tools say."
QUESTION = "What is the weather where this was taken, and what time is it there?"
SCHEMAS = {
    "weather": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "clock": {
        "type": "object",
        "properties": {"zone": {"type": "string", "enum": ["CET"]}},
        "required": ["zone"],
        "additionalProperties": False,
    },
}
RESULTS = {"weather": "18 degrees, rain", "clock": "17:05"}
_ABOUT = {name: f"Tells the {name}." for name in SCHEMAS}


@dataclass
class Told:
    """What one answer said."""

    text: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    stop: str = ""
    """``stop``, ``length`` or ``tool_calls``."""
    usage: tuple[int, int] = (0, 0)
    """Tokens in and out."""


class OpenAIChatClient:
    """The ``openai`` SDK, Chat Completions."""

    def __init__(self, address: str, key: str, model: str, stream: bool) -> None:
        self._client = openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0)
        self._options: dict[str, Any] = {"model": model, "max_tokens": 300}
        self._stream = stream
        self._messages: list[Any] = [
            {"role": "system", "content": SYSTEM},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": QUESTION},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}},
                ],
            },
        ]
        self._options["tools"] = [
            {"type": "function", "function": {"name": name, "description": _ABOUT[name], "parameters": schema}}
            for name, schema in SCHEMAS.items()
        ]

    def ask(self) -> Told:
        if self._stream:
            options = self._options | {"stream_options": {"include_usage": True}}
            with self._client.chat.completions.stream(messages=self._messages, **options) as stream:
                answer = stream.get_final_completion()
        else:
            answer = self._client.chat.completions.create(messages=self._messages, **self._options)
        choice, usage = answer.choices[0], answer.usage
        calls = choice.message.tool_calls or []
        self._messages.append(
            {
                "role": "assistant",
                "content": choice.message.content,
                "tool_calls": [
                    {
                        "id": call.id,
                        "type": "function",
                        "function": {"name": call.function.name, "arguments": call.function.arguments},
                    }
                    for call in calls
                ],
            }
        )
        return Told(
            choice.message.content or "",
            [(call.function.name, json.loads(call.function.arguments)) for call in calls],
            choice.finish_reason,
            (usage.prompt_tokens, usage.completion_tokens),
        )

    def give(self, results: dict[str, str]) -> None:
        for call in self._messages[-1]["tool_calls"]:
            self._messages.append(
                {"role": "tool", "tool_call_id": call["id"], "content": results[call["function"]["name"]]}
            )

    def close(self) -> None:
        self._client.close()


class OpenAIResponsesClient:
    """The ``openai`` SDK, Responses, with the whole conversation sent each time."""

    def __init__(self, address: str, key: str, model: str, stream: bool) -> None:
        self._client = openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0)
        self._stream = stream
        self._items: list[Any] = [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": QUESTION},
                    {"type": "input_image", "image_url": f"data:image/png;base64,{PICTURE}", "detail": "auto"},
                ],
            }
        ]
        tools = [
            {"type": "function", "name": name, "description": _ABOUT[name], "parameters": schema, "strict": False}
            for name, schema in SCHEMAS.items()
        ]
        self._options: dict[str, Any] = {
            "model": model,
            "instructions": SYSTEM,
            "tools": tools,
            "max_output_tokens": 300,
            "store": False,
        }

    def ask(self) -> Told:
        if self._stream:
            with self._client.responses.stream(input=self._items, **self._options) as stream:
                answer = stream.get_final_response()
        else:
            answer = self._client.responses.create(input=self._items, **self._options)
        calls = [item for item in answer.output if item.type == "function_call"]
        for item in answer.output:
            self._items.append(item.to_dict())
            self._items[-1].pop("parsed_arguments", None)
            for part in self._items[-1].get("content") or []:
                part.pop("parsed", None)
        stop = "tool_calls" if calls else "length" if answer.status == "incomplete" else "stop"
        return Told(
            answer.output_text,
            [(call.name, json.loads(call.arguments)) for call in calls],
            stop,
            (answer.usage.input_tokens, answer.usage.output_tokens),
        )

    def give(self, results: dict[str, str]) -> None:
        for item in [item for item in self._items if item.get("type") == "function_call"]:
            self._items.append(
                {"type": "function_call_output", "call_id": item["call_id"], "output": results[item["name"]]}
            )

    def close(self) -> None:
        self._client.close()


class AnthropicClient:
    """The ``anthropic`` SDK."""

    def __init__(self, address: str, key: str, model: str, stream: bool) -> None:
        self._client = anthropic.Anthropic(base_url=address, api_key=key, max_retries=0)
        self._stream = stream
        source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
        self._messages: list[Any] = [
            {"role": "user", "content": [{"type": "text", "text": QUESTION}, {"type": "image", "source": source}]}
        ]
        tools = [
            {"name": name, "description": _ABOUT[name], "input_schema": schema} for name, schema in SCHEMAS.items()
        ]
        self._options: dict[str, Any] = {"model": model, "max_tokens": 300, "system": SYSTEM, "tools": tools}

    def ask(self) -> Told:
        if self._stream:
            with self._client.messages.stream(messages=self._messages, **self._options) as stream:
                answer = stream.get_final_message()
        else:
            answer = self._client.messages.create(messages=self._messages, **self._options)
        self._messages.append({"role": "assistant", "content": [block.to_dict() for block in answer.content]})
        words = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
        return Told(
            "".join(block.text for block in answer.content if block.type == "text"),
            [(block.name, block.input) for block in answer.content if block.type == "tool_use"],
            words.get(answer.stop_reason, answer.stop_reason),
            (answer.usage.input_tokens, answer.usage.output_tokens),
        )

    def give(self, results: dict[str, str]) -> None:
        self._messages.append(
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": block["id"], "content": results[block["name"]]}
                    for block in self._messages[-1]["content"]
                    if block["type"] == "tool_use"
                ],
            }
        )

    def close(self) -> None:
        self._client.close()


class BotoClient:
    """AWS's SDK, Converse."""

    def __init__(self, address: str, key: str, model: str, stream: bool) -> None:
        self._client = _boto().client(
            "bedrock-runtime",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key="any",
            config=Config(retries={"max_attempts": 0}, proxies={}, signature_version="v4"),
        )
        self._stream = stream
        image = {"format": "png", "source": {"bytes": base64.b64decode(PICTURE)}}
        self._messages: list[Any] = [{"role": "user", "content": [{"text": QUESTION}, {"image": image}]}]
        specs = [
            {"toolSpec": {"name": name, "description": _ABOUT[name], "inputSchema": {"json": schema}}}
            for name, schema in SCHEMAS.items()
        ]
        self._options: dict[str, Any] = {
            "modelId": model,
            "system": [{"text": SYSTEM}],
            "inferenceConfig": {"maxTokens": 300},
            "toolConfig": {"tools": specs},
        }

    def ask(self) -> Told:
        if self._stream:
            events = self._client.converse_stream(messages=self._messages, **self._options)["stream"]
            content, stop, usage = _gathered(events)
        else:
            answer = self._client.converse(messages=self._messages, **self._options)
            content, stop, usage = answer["output"]["message"]["content"], answer["stopReason"], answer["usage"]
        self._messages.append({"role": "assistant", "content": content})
        words = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
        return Told(
            "".join(block.get("text", "") for block in content),
            [(block["toolUse"]["name"], block["toolUse"]["input"]) for block in content if "toolUse" in block],
            words.get(stop, stop),
            (usage["inputTokens"], usage["outputTokens"]),
        )

    def give(self, results: dict[str, str]) -> None:
        calls = [block["toolUse"] for block in self._messages[-1]["content"] if "toolUse" in block]
        given = [
            {"toolResult": {"toolUseId": call["toolUseId"], "content": [{"text": results[call["name"]]}]}}
            for call in calls
        ]
        self._messages.append({"role": "user", "content": given})

    def close(self) -> None:
        self._client.close()


@functools.cache
def _boto() -> Any:
    """One session: it has read the description of the service, which takes longer than all else."""
    return boto3.session.Session()


def _gathered(events: Any) -> tuple[list[Any], str, dict[str, int]]:
    """The blocks, the reason for the stop and the usage of a stream."""
    blocks: dict[int, Any] = {}
    stop, usage = "", {}
    for event in events:
        ((kind, told),) = event.items()
        if kind == "contentBlockStart":
            blocks[told["contentBlockIndex"]] = {"toolUse": told["start"]["toolUse"] | {"input": ""}}
        elif kind == "contentBlockDelta":
            block = blocks.setdefault(told["contentBlockIndex"], {"text": ""})
            if "toolUse" in told["delta"]:
                block["toolUse"]["input"] += told["delta"]["toolUse"]["input"]
            else:
                block["text"] += told["delta"]["text"]
        elif kind == "messageStop":
            stop = told["stopReason"]
        elif kind == "metadata":
            usage = told["usage"]
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    return [blocks[index] for index in sorted(blocks)], stop, usage


class GenaiClient:
    """Google's SDK."""

    def __init__(self, address: str, key: str, model: str, stream: bool) -> None:
        options = types.HttpOptions(
            base_url=address, api_version="v1beta", retry_options=types.HttpRetryOptions(attempts=1)
        )
        self._client = genai.Client(api_key=key, vertexai=False, http_options=options)
        self._model = model
        self._stream = stream
        picture = types.Part.from_bytes(data=base64.b64decode(PICTURE), mime_type="image/png")
        self._contents: list[Any] = [types.Content(role="user", parts=[types.Part(text=QUESTION), picture])]
        declared = [
            types.FunctionDeclaration(name=name, description=_ABOUT[name], parameters_json_schema=schema)
            for name, schema in SCHEMAS.items()
        ]
        self._config = types.GenerateContentConfig(
            system_instruction=SYSTEM,
            max_output_tokens=300,
            tools=[types.Tool(function_declarations=declared)],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )

    def ask(self) -> Told:
        asked: dict[str, Any] = {"model": self._model, "contents": self._contents, "config": self._config}
        if self._stream:
            answers = [*self._client.models.generate_content_stream(**asked)]
        else:
            answers = [self._client.models.generate_content(**asked)]
        parts = [part for each in answers for part in (each.candidates[0].content.parts or [])]
        # The last chunk of a stream has an empty text, which Vertex AI refuses; genai's own chats leave it out, too.
        kept = [part for part in parts if part.text != "" or part.thought_signature]
        self._contents.append(types.Content(role="model", parts=kept))
        calls = [(part.function_call.name, dict(part.function_call.args)) for part in parts if part.function_call]
        usage = answers[-1].usage_metadata
        words = {"STOP": "tool_calls" if calls else "stop", "MAX_TOKENS": "length"}
        finish = answers[-1].candidates[0].finish_reason.name
        return Told(
            "".join(part.text for part in parts if part.text and not part.thought),
            calls,
            words.get(finish, finish),
            (usage.prompt_token_count, (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)),
        )

    def give(self, results: dict[str, str]) -> None:
        calls = [part.function_call for part in self._contents[-1].parts if part.function_call]
        given = [
            types.Part(
                function_response=types.FunctionResponse(
                    id=call.id, name=call.name, response={"output": results[call.name]}
                )
            )
            for call in calls
        ]
        self._contents.append(types.Content(role="user", parts=given))

    def close(self) -> None:
        self._client.close()


class LangChainClient:
    """LangChain's chat model over one of the vendors' SDKs."""

    def __init__(self, model: Any, stream: bool) -> None:
        tools = [
            {"type": "function", "function": {"name": name, "description": _ABOUT[name], "parameters": schema}}
            for name, schema in SCHEMAS.items()
        ]
        self._model = model.bind_tools(tools)
        self._stream = stream
        self._messages: list[Any] = [
            SystemMessage(SYSTEM),
            HumanMessage(
                [
                    {"type": "text", "text": QUESTION},
                    {"type": "image", "source_type": "base64", "mime_type": "image/png", "data": PICTURE},
                ]
            ),
        ]

    def ask(self) -> Told:
        if self._stream:
            answer: Any = None
            for chunk in self._model.stream(self._messages):
                answer = chunk if answer is None else answer + chunk
            answer = AIMessage(
                content=answer.content,
                tool_calls=answer.tool_calls,
                usage_metadata=answer.usage_metadata,
                response_metadata=answer.response_metadata,
                additional_kwargs=answer.additional_kwargs,
                id=answer.id,
            )
        else:
            answer = self._model.invoke(self._messages)
        self._messages.append(answer)
        told = answer.response_metadata
        stop = told.get("finish_reason") or told.get("stop_reason") or told.get("status")
        words = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls", "completed": "stop"}
        usage = answer.usage_metadata
        return Told(
            answer.text if isinstance(answer.text, str) else answer.text(),
            [(call["name"], call["args"]) for call in answer.tool_calls],
            "tool_calls" if answer.tool_calls and stop == "completed" else words.get(stop, stop),
            (usage["input_tokens"], usage["output_tokens"]),
        )

    def give(self, results: dict[str, str]) -> None:
        for call in list(self._messages[-1].tool_calls):
            self._messages.append(ToolMessage(results[call["name"]], tool_call_id=call["id"]))

    def close(self) -> None:
        """LangChain keeps its HTTP clients for the life of the process."""


def _langchain_chat(address: str, key: str, model: str, stream: bool) -> LangChainClient:
    chat = ChatOpenAI(
        base_url=f"{address}/v1", api_key=key, model=model, max_retries=0, max_tokens=300, stream_usage=True
    )
    return LangChainClient(chat, stream)


def _langchain_responses(address: str, key: str, model: str, stream: bool) -> LangChainClient:
    chat = ChatOpenAI(
        base_url=f"{address}/v1", api_key=key, model=model, max_retries=0, max_tokens=300, use_responses_api=True,
        store=False,
    )  # fmt: skip
    return LangChainClient(chat, stream)


def _langchain_anthropic(address: str, key: str, model: str, stream: bool) -> LangChainClient:
    chat = ChatAnthropic(base_url=address, api_key=key, model=model, max_retries=0, max_tokens=300)
    return LangChainClient(chat, stream)


CLIENTS: dict[str, Callable[[str, str, str, bool], Any]] = {
    "openai-chat": OpenAIChatClient,
    "openai-responses": OpenAIResponsesClient,
    "anthropic": AnthropicClient,
    "boto3": BotoClient,
    "google-genai": GenaiClient,
    "langchain-openai-chat": _langchain_chat,
    "langchain-openai-responses": _langchain_responses,
    "langchain-anthropic": _langchain_anthropic,
}
"""By name: address, key, model, whether to stream."""


def converse(client: str, address: str, key: str, model: str, *, stream: bool) -> list[Told]:
    """Both answers."""
    speaker = CLIENTS[client](address, key, model, stream)
    try:
        first = speaker.ask()
        speaker.give(RESULTS)
        return [first, speaker.ask()]
    finally:
        speaker.close()
