"""The fields of Gemini's requests, for the Gemini API and for Vertex AI, which know different ones.

Sources: the field tables of google-genai 3.6.1 (what it sends to either service, and what it refuses to send to one of them) and
ai.google.dev, "Generating content" (both read 2026-11-30). What the simulation has no use for is taken as any JSON.
"""

from __future__ import annotations

from trimaran.testing.proto_json import Enum, FieldType, Map, Message, Repeated, Scalar

__all__ = ["count_message", "generate_message"]

_TYPE = Enum("Type", ("TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"))
_MODE = Enum("FunctionCallingConfig.Mode", ("MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"))
_LEVEL = Enum("ThinkingLevel", ("THINKING_LEVEL_UNSPECIFIED", "LOW", "MEDIUM", "HIGH", "MINIMAL", "XHIGH"))
_CATEGORY = Enum(
    "HarmCategory",
    (
        "HARM_CATEGORY_UNSPECIFIED",
        *(f"HARM_CATEGORY_{name}" for name in ("DEROGATORY", "TOXICITY", "VIOLENCE", "SEXUAL", "MEDICAL", "DANGEROUS")),
        *(f"HARM_CATEGORY_{name}" for name in ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")),
        *(f"HARM_CATEGORY_{name}" for name in ("CIVIC_INTEGRITY", "JAILBREAK")),
    ),
)
_THRESHOLD = Enum(
    "SafetySetting.HarmBlockThreshold",
    (
        "HARM_BLOCK_THRESHOLD_UNSPECIFIED",
        "BLOCK_LOW_AND_ABOVE",
        "BLOCK_MEDIUM_AND_ABOVE",
        "BLOCK_ONLY_HIGH",
        "BLOCK_NONE",
        "OFF",
    ),
)
_RESOLUTION = Enum(
    "MediaResolution",
    (
        "MEDIA_RESOLUTION_UNSPECIFIED",
        "MEDIA_RESOLUTION_LOW",
        "MEDIA_RESOLUTION_MEDIUM",
        "MEDIA_RESOLUTION_HIGH",
        "MEDIA_RESOLUTION_ULTRA_HIGH",
    ),
)
_MODALITY = Enum("Modality", ("MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "AUDIO", "VIDEO"))
_TIER = Enum("ServiceTier", ("UNSPECIFIED", "STANDARD", "FLEX", "PRIORITY"))
_BEHAVIOR = Enum("FunctionDeclaration.Behavior", ("UNSPECIFIED", "BLOCKING", "NON_BLOCKING"))


def _strings(names: str, kind: Scalar = "string") -> dict[str, FieldType]:
    return dict.fromkeys(names.split(), kind)


def _schema(vertex: bool) -> Message:
    schema = Message(
        "Schema",
        {
            "type": _TYPE,
            **_strings("format title description pattern"),
            "nullable": "bool",
            "enum": Repeated("string"),
            **_strings("max_items min_items min_properties max_properties min_length max_length", "int"),
            **_strings("minimum maximum", "float"),
            **_strings("example default", "value"),
            "required": Repeated("string"),
            "property_ordering": Repeated("string"),
        },
    )
    schema.add({"properties": Map(schema), "items": schema, "any_of": Repeated(schema)})
    if vertex:
        schema.add({"additional_properties": "value", "ref": "string", "defs": Map(schema)})
    return schema


def _content(vertex: bool) -> Message:
    named: dict[str, FieldType] = {"display_name": "string"} if vertex else {}
    blob = Message("Blob", {"mime_type": "string", "data": "bytes", **named})
    file = Message("FileData", {"mime_type": "string", "file_uri": "string", **named})
    call_fields: dict[str, FieldType] = {"id": "string", "name": "string", "args": "struct"}
    if vertex:
        call_fields |= {"partial_args": "value", "will_continue": "bool"}
    inner = Message("FunctionResponsePart", {"inline_data": blob, "file_data": file}, ("inline_data", "file_data"))
    response = Message(
        "FunctionResponse",
        {
            **_strings("id name scheduling"),
            "response": "struct",
            "parts": Repeated(inner),
            "will_continue": "bool",
        },
    )
    part = Message(
        "Part",
        {
            "text": "string",
            "inline_data": blob,
            "file_data": file,
            "function_call": Message("FunctionCall", call_fields),
            "function_response": response,
            **_strings("executable_code code_execution_result tool_call tool_response", "struct"),
            "thought": "bool",
            "thought_signature": "bytes",
            **_strings("video_metadata media_resolution part_metadata", "struct"),
        },
        (
            "text",
            "inline_data",
            "file_data",
            "function_call",
            "function_response",
            "executable_code",
            "code_execution_result",
            "tool_call",
            "tool_response",
        ),
    )
    return Message("Content", {"role": "string", "parts": Repeated(part)})


def _tools(vertex: bool, schema: Message) -> dict[str, FieldType]:
    declaration = Message(
        "FunctionDeclaration",
        {
            **_strings("name description"),
            "parameters": schema,
            "response": schema,
            **_strings("parameters_json_schema response_json_schema", "value"),
            "behavior": _BEHAVIOR,
        },
    )
    other = "google_search google_search_retrieval code_execution url_context computer_use google_maps"
    other += " retrieval enterprise_web_search parallel_ai_search exa_ai_search" if vertex else " file_search"
    tool = Message("Tool", {"function_declarations": Repeated(declaration), **_strings(other, "struct")})
    calling: dict[str, FieldType] = {"mode": _MODE, "allowed_function_names": Repeated("string")}
    if vertex:
        calling["stream_function_call_arguments"] = "bool"
    config = Message(
        "ToolConfig",
        {
            "function_calling_config": Message("FunctionCallingConfig", calling),
            "retrieval_config": "struct",
            "include_server_side_tool_invocations": "bool",
        },
    )
    return {"tools": Repeated(tool), "tool_config": config}


def _generation(vertex: bool, schema: Message) -> Message:
    thinking = Message(
        "ThinkingConfig", {"include_thoughts": "bool", "thinking_budget": "int", "thinking_level": _LEVEL}
    )
    fields: dict[str, FieldType] = {
        "stop_sequences": Repeated("string"),
        "response_mime_type": "string",
        "response_schema": schema,
        "response_json_schema": "value",
        "response_modalities": Repeated(_MODALITY),
        **_strings("candidate_count max_output_tokens seed logprobs", "int"),
        **_strings("temperature top_p presence_penalty frequency_penalty", "float"),
        "top_k": "float" if vertex else "int",
        **_strings("response_logprobs enable_enhanced_civic_answers", "bool"),
        **_strings("speech_config image_config", "struct"),
        "thinking_config": thinking,
        "media_resolution": _RESOLUTION,
    }
    if vertex:
        fields |= {"audio_timestamp": "bool", **_strings("routing_config model_selection_config", "struct")}
    return Message("GenerationConfig", fields)


def generate_message(*, vertex: bool) -> Message:
    """``GenerateContentRequest``."""
    schema = _schema(vertex)
    content = _content(vertex)
    safety: dict[str, FieldType] = {"category": _CATEGORY, "threshold": _THRESHOLD}
    fields: dict[str, FieldType] = {
        "model": "string",
        "contents": Repeated(content),
        "system_instruction": content,
        **_tools(vertex, schema),
        "generation_config": _generation(vertex, schema),
        "cached_content": "string",
        "service_tier": _TIER,
    }
    if vertex:
        safety["method"] = "string"
        fields |= {"labels": Map("string"), "model_armor_config": "struct"}
    else:
        fields["store"] = "bool"
    fields["safety_settings"] = Repeated(Message("SafetySetting", safety))
    return Message("GenerateContentRequest", fields)


def count_message(*, vertex: bool) -> Message:
    """``CountTokensRequest``. On the Gemini API it holds either contents or a whole request."""
    whole = generate_message(vertex=vertex)
    if not vertex:
        fields: dict[str, FieldType] = {"contents": whole.fields["contents"], "generate_content_request": whole}
        return Message("CountTokensRequest", fields)
    names = ("contents", "system_instruction", "tools", "generation_config")
    return Message("CountTokensRequest", {name: whole.fields[name] for name in names} | {"model": "string"})
