"""The ``bedrock.converse`` wire format as a simulated Bedrock speaks it: Converse and ConverseStream; ``boto3`` is its judge.

Reading is strict: what the real API refuses is refused here, so that a translation into it is judged by a peer. A member
that the service's model does not have is refused too, where the real API may overlook it.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from trimaran.testing.aws import AwsRefusal
from trimaran.testing.bedrock_blocks import Message, SystemBlock, ToolConfig, chosen
from trimaran.testing.bedrock_claude_fields import (
    check_thinking,
    forbids_tools,
    own_fields,
    read_choice,
    read_thinking,
)
from trimaran.testing.bedrock_converse_writer import ConverseWriter
from trimaran.testing.bedrock_dialect import BedrockDialect, decode, model_error, violation
from trimaran.testing.bedrock_history import History, check_thinking_kept, offer
from trimaran.testing.bedrock_models import Served, not_supported, refused
from trimaran.testing.dialect import Request
from trimaran.testing.exchange import Prompt, Reply
from trimaran.testing.transcript import Transcript

__all__ = ["Asked", "BedrockConverse", "Conversation", "read_conversation"]

_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_ProjectId = Annotated[str, Meta(min_length=1, max_length=2048)]
_MetadataKey = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[a-zA-Z0-9\s:_@$#=/+,\-.]+$")]
_MetadataValue = Annotated[str, Meta(max_length=256, pattern=r"^[a-zA-Z0-9\s:_@$#=/+,\-.]*$")]


class _Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    pass


class _InferenceConfig(_Strict):
    maxTokens: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    temperature: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    topP: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    stopSequences: Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(max_length=2500)] | UnsetType = UNSET


class _GuardrailConfig(_Strict):
    guardrailIdentifier: str = ""
    guardrailVersion: Annotated[str, Meta(pattern=r"^(|([1-9][0-9]{0,7})|(DRAFT))$")] = ""
    trace: Literal["enabled", "disabled", "enabled_full"] = "disabled"
    streamProcessingMode: Literal["sync", "async"] | UnsetType = UNSET


class _Latency(_Strict):
    latency: Literal["standard", "optimized"] = "standard"


class _Tier(_Strict):
    type: Literal["priority", "default", "flex", "reserved"]


class _JsonSchema(_Strict):
    schema: str
    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET


class _Structure(_Strict):
    jsonSchema: _JsonSchema | UnsetType = UNSET


class _TextFormat(_Strict):
    type: Literal["json_schema"]
    structure: _Structure


class _OutputConfig(_Strict):
    textFormat: _TextFormat | UnsetType = UNSET
    effort: str | UnsetType = UNSET


class Conversation(_Strict):
    """What a token count needs of a request."""

    messages: list[Message] = msgspec.field(default_factory=list)
    system: list[SystemBlock] = msgspec.field(default_factory=list)
    toolConfig: ToolConfig | UnsetType = UNSET
    additionalModelRequestFields: Any = UNSET


class ConverseRequest(Conversation):
    """The body of a request."""

    inferenceConfig: _InferenceConfig = msgspec.field(default_factory=_InferenceConfig)
    guardrailConfig: _GuardrailConfig | UnsetType = UNSET
    projectIdentifier: _ProjectId | UnsetType = UNSET
    promptVariables: dict[str, Any] | UnsetType = UNSET
    additionalModelResponseFieldPaths: Annotated[list[str], Meta(max_length=10)] = msgspec.field(default_factory=list)
    requestMetadata: Annotated[dict[_MetadataKey, _MetadataValue], Meta(min_length=1, max_length=16)] | UnsetType = (
        UNSET
    )
    performanceConfig: _Latency | UnsetType = UNSET
    serviceTier: _Tier | UnsetType = UNSET
    outputConfig: _OutputConfig = msgspec.field(default_factory=_OutputConfig)


class Asked(NamedTuple):
    """What the writer needs of a request."""

    served: Served
    guardrail: str = ""
    """The guardrail's id, empty without one."""
    trace: bool = False
    latency: str = ""
    paths: tuple[str, ...] = ()
    """JSON pointers into the model's own answer."""
    form: str = ""
    """Of a body through InvokeModel: ``turns`` where its model takes both these and a prompt."""


_decoder = msgspec.json.Decoder(ConverseRequest)


class BedrockConverse(BedrockDialect):
    """``POST /model/{id}/converse`` and ``POST /model/{id}/converse-stream``."""

    name = "bedrock.converse"
    operations: ClassVar[dict[bytes, bool]] = {b"converse": False, b"converse-stream": True}

    def read(self, request: Request) -> Prompt:
        """Reads a conversation."""
        model_id, streams, served = self.model(request)
        asked = decode(request.body, _decoder)
        prompt = read_conversation(asked, model_id, served)
        prompt.stream = streams
        limits = asked.inferenceConfig
        prompt.max_output_tokens = limits.maxTokens or None
        prompt.stop = tuple(limits.stopSequences or ())
        if not streams and asked.guardrailConfig and asked.guardrailConfig.streamProcessingMode:
            raise refused("The member 'guardrailConfig.streamProcessingMode' is not known.")
        check_thinking(asked.additionalModelRequestFields, limits.temperature, prompt)
        _read_output(asked.outputConfig, prompt)
        prompt.service_tier = asked.serviceTier.type if asked.serviceTier else None
        prompt.request = _asked(asked, served)
        return prompt

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> ConverseWriter:
        """See :class:`~trimaran.testing.dialect.AnswerWriter`."""
        return ConverseWriter(prompt, reply, serial)


def read_conversation(asked: Conversation, model_id: str, served: Served) -> Prompt:
    """Messages, system prompt and tools. Raises :class:`~trimaran.testing.aws.AwsRefusal` (400, 403)."""
    prompt = Prompt(model_id, reasoning="off", request=Asked(served))
    fields = own_fields(asked.additionalModelRequestFields, served)
    thinking = read_thinking(fields, served, prompt)
    transcript = Transcript(prompt)
    history = History(transcript, served)
    history.system(asked.system)
    history.messages(asked.messages)
    if asked.toolConfig:
        offer(asked.toolConfig, history, prompt, transcript, served.features)
        choice = asked.toolConfig.toolChoice
        read_choice(fields, chosen(choice, "toolConfig.toolChoice")[0] if choice else "", prompt)
    elif history.tool_blocks:
        raise refused("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
    elif "tool_choice" in fields:
        raise model_error("tool_choice: tool_choice may only be specified while providing tools")
    if thinking is not None and thinking.type == "enabled":
        check_thinking_kept(asked.messages)
    transcript.finish()
    if forbids_tools(fields):
        prompt.tools = ()
    return prompt


def _read_output(config: _OutputConfig, prompt: Prompt) -> None:
    """Structured output, and effort."""
    if config.effort is not UNSET and config.effort not in _EFFORTS:
        raise violation("outputConfig.effort", f"satisfy enum value set: [{', '.join(_EFFORTS)}]", f"'{config.effort}'")
    if not config.textFormat:
        return
    where = "outputConfig.textFormat.structure"
    wanted = chosen(config.textFormat.structure, where)[1]
    try:
        schema = msgspec.json.decode(wanted.schema)
    except msgspec.DecodeError:
        schema = None
    if not isinstance(schema, dict):
        raise refused(f"The value at {where}.jsonSchema.schema is not a JSON schema. Provide it as a string of JSON.")
    if prompt.request.served.family in ("claude", "") and schema.get("type") == "object":
        _check_closed(schema)
    prompt.json_schema = schema


def _check_closed(schema: dict[str, Any]) -> None:
    """Structured output wants closed objects."""
    if schema.get("additionalProperties") is not False:
        words = "For 'object' type, 'additionalProperties' must be explicitly set to false"
        raise model_error(f"output_config.format.schema: {words}")


def _asked(request: ConverseRequest, served: Served) -> Asked:
    guardrail = request.guardrailConfig or _GuardrailConfig()
    if bool(guardrail.guardrailIdentifier) != bool(guardrail.guardrailVersion):
        raise refused("guardrailIdentifier and guardrailVersion must be provided together.")
    for path in request.additionalModelResponseFieldPaths:
        if not path.startswith("/"):
            raise refused(f"The JSON Pointer '{path}' in additionalModelResponseFieldPaths is not valid.")
    if request.projectIdentifier and request.projectIdentifier != "default":
        raise AwsRefusal(404, "ResourceNotFoundException", f"Project {request.projectIdentifier} was not found.")
    if request.promptVariables:
        raise not_supported("promptVariables")
    return Asked(
        served,
        guardrail.guardrailIdentifier,
        guardrail.trace != "disabled",
        request.performanceConfig.latency if request.performanceConfig else "",
        tuple(request.additionalModelResponseFieldPaths),
    )
