"""From a Gemini request to a prompt: generation settings, tools and what is demanded of the answer.

Strict where the real services are; words as quoted in public issue threads (2024 to 2026, read 2026-11-30). The two services word the
same refusal differently: Vertex AI begins with "Unable to submit request because".
"""

from __future__ import annotations

import re
from typing import Any

from trimaran.testing.exchange import Prompt, Tool
from trimaran.testing.gemini_history import read_contents, read_system
from trimaran.testing.gemini_models import GeminiModel, refuse, thinking
from trimaran.testing.gemini_schema import check_json_schema, json_schema
from trimaran.testing.google_errors import invalid
from trimaran.testing.transcript import Transcript

__all__ = ["offers_search", "read_prompt"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}\Z")
_NAME_RULE = (
    "Invalid function name. Must start with a letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), underscores (_), "
    "dots (.), colons (:), or dashes (-), with a maximum length of 128."
)
_RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "top_k": (1, 1_000_000),
    "max_output_tokens": (1, 2**31 - 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "logprobs": (0, 20),
}
_OLD_TOP_K = 40
"""The greatest ``topK`` of models before 2.5. No limit is known for later ones."""
_CAMEL = {"top_p": "topP", "top_k": "topK", "max_output_tokens": "maxOutputTokens"}
_MAX_STOPS = 5
_JSON, _CHOICE = "application/json", "text/x.enum"
_SEARCHES = ("google_search", "google_search_retrieval", "enterprise_web_search")


def read_prompt(fields: dict[str, Any], model: GeminiModel) -> Prompt:
    """A request's fields as they came through :mod:`~trimaran.testing.proto_json`. Raises
    :class:`~trimaran.testing.google_errors.GoogleRefusal` (400)."""
    settings = fields.get("generation_config", {})
    prompt = Prompt(model.name, reasoning="hidden")
    transcript = Transcript(prompt)
    if "system_instruction" in fields:
        read_system(fields["system_instruction"], transcript)
    read_contents(fields.get("contents", []), transcript, model)
    _offer(fields, transcript, model)
    _choose(fields.get("tool_config", {}).get("function_calling_config", {}), prompt)
    _limits(settings, prompt, model)
    _demand(settings, prompt, model)
    if "thinking_config" in settings:
        prompt.reasoning = thinking(settings["thinking_config"], model)
    return transcript.finish()


def offers_search(fields: dict[str, Any]) -> bool:
    """Whether the model may search the web."""
    return any(name in tool for tool in fields.get("tools", ()) for name in _SEARCHES)


def _limits(settings: dict[str, Any], prompt: Prompt, model: GeminiModel) -> None:
    for name, (low, high) in _RANGES.items():
        if name == "top_k" and model.generation is not None and model.generation < (2, 5):
            high = _OLD_TOP_K
        if (value := settings.get(name)) is not None and not low <= value <= high:
            shown = _CAMEL.get(name, name)
            raise refuse(
                model,
                f"* GenerateContentRequest.generation_config.{name}: {name} must be in the range [{low}, {high}].\n",
                f"it has a {shown} value of {value} but the supported range is from {low} (inclusive) to {high} (inclusive)",
            )
    if settings.get("candidate_count", 1) != 1:
        raise refuse(model, "Multiple candidates is not enabled for this model")
    stops = settings.get("stop_sequences", [])
    if len(stops) > _MAX_STOPS:
        raise refuse(
            model,
            f"* GenerateContentRequest.generation_config.stop_sequences: at most {_MAX_STOPS} stop sequences are allowed, but "
            f"got {len(stops)}.\n",
            f"it has {len(stops)} stopSequences but the supported range is from 0 (inclusive) to 6 (exclusive)",
        )
    prompt.stop = tuple(stops)
    prompt.max_output_tokens = settings.get("max_output_tokens")
    if settings.get("response_logprobs"):
        prompt.logprobs = settings.get("logprobs", 0)
    elif "logprobs" in settings:
        raise refuse(model, "logprobs is only allowed when response_logprobs is true")
    if {"IMAGE", "AUDIO", "VIDEO"} & set(settings.get("response_modalities", ())):
        raise refuse(model, "This model only supports text output.", "This model only supports text output")


def _offer(fields: dict[str, Any], transcript: Transcript, model: GeminiModel) -> None:
    offered: list[Tool] = []
    others = False
    for at, tool in enumerate(fields.get("tools", ())):
        others = others or bool(tool.keys() - {"function_declarations"})
        for place, declaration in enumerate(tool.get("function_declarations", ())):
            where = f"tools[{at}].function_declarations[{place}]"
            offered.append(_declared(declaration, where))
    names = [tool.name for tool in offered]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise refuse(model, f"Duplicate function declaration found: {twice[0]}")
    if others and offered and model.old:
        raise refuse(
            model,
            "Tool use with function calling is unsupported",
            "Multiple tools are supported only when they are all search tools",
        )
    if offered:
        transcript.offer(tuple(offered))


def _declared(declaration: dict[str, Any], where: str) -> Tool:
    name = declaration.get("name", "")
    if not _NAME.match(name):
        raise invalid(f"* GenerateContentRequest.{where}.name: {_NAME_RULE}\n")
    if "parameters" in declaration and "parameters_json_schema" in declaration:
        raise invalid(
            f"* GenerateContentRequest.{where}: parameters and parameters_json_schema are mutually exclusive.\n"
        )
    schema: Any = None
    if "parameters" in declaration:
        schema = json_schema(declaration["parameters"], f"{where}.parameters", top=True)
    elif "parameters_json_schema" in declaration:
        schema = check_json_schema(declaration["parameters_json_schema"], f"{where}.parameters_json_schema")
        if schema.get("type", "object") != "object":
            raise invalid(f"* GenerateContentRequest.{where}.parameters_json_schema.type: must be object\n")
    return Tool(name, schema if schema is not None else {"type": "object"}, declaration.get("description", ""))


def _choose(calling: dict[str, Any], prompt: Prompt) -> None:
    mode = calling.get("mode", "AUTO")
    allowed = calling.get("allowed_function_names", [])
    if allowed and mode not in ("ANY", "VALIDATED"):
        raise invalid(
            "* GenerateContentRequest.tool_config.function_calling_config.allowed_function_names: should be set only when the "
            "mode is ANY or VALIDATED.\n"
        )
    known = {tool.name for tool in prompt.tools}
    if stranger := next((name for name in allowed if name not in known), None):
        raise invalid(
            "* GenerateContentRequest.tool_config.function_calling_config.allowed_function_names: "
            f"{stranger} is not a declared function.\n"
        )
    if mode == "NONE":
        prompt.tools = ()
    if allowed:
        prompt.tools = tuple(tool for tool in prompt.tools if tool.name in allowed)
    if mode == "ANY":
        if not prompt.tools:
            raise invalid("Function calling config is set without function_declarations.")
        prompt.forced_tool = ""


def _demand(settings: dict[str, Any], prompt: Prompt, model: GeminiModel) -> None:
    """JSON, or one of a list of words."""
    kind = settings.get("response_mime_type", "text/plain")
    if kind not in ("text/plain", _JSON, _CHOICE, ""):
        words = (
            "* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes are `text/plain`, "
            "`application/json`, `application/xml`, `application/yaml` and `text/x.enum`.\n"
        )
        raise refuse(model, words, f"the response mime type {kind} is not supported")
    given = [name for name in ("response_schema", "response_json_schema") if name in settings]
    if len(given) == 2:
        raise refuse(model, "Only one of response_schema and response_json_schema may be set")
    if given and kind not in (_JSON, _CHOICE):
        raise refuse(
            model,
            f"* GenerateContentRequest.generation_config.{given[0]}: {given[0]} is only allowed when response_mime_type is "
            "`application/json` or `text/x.enum`\n",
            "controlled generation is only supported with the response mime type application/json or text/x.enum",
        )
    if kind == _JSON and prompt.tools and model.old:
        raise refuse(model, "Function calling with a response mime type: 'application/json' is unsupported")
    if given:
        where = f"generation_config.{given[0]}"
        schema = settings[given[0]]
        prompt.json_schema = (
            json_schema(schema, where) if given[0] == "response_schema" else check_json_schema(schema, where)
        )
    elif kind == _JSON:
        prompt.json_schema = True
