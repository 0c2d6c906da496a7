"""Reads the messages of ``openai.chat``, and refuses the histories and parts that the API refuses."""

from __future__ import annotations

import msgspec

from trimaran.testing.openai_common import check_base64, check_image_url, invalid
from trimaran.testing.transcript import Transcript

__all__ = ["Message", "read_messages"]


class _Url(msgspec.Struct):
    url: str = ""
    detail: str | None = None


class _File(msgspec.Struct):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class _Audio(msgspec.Struct):
    data: str = ""
    format: str = ""


class _Part(msgspec.Struct):
    type: str = "text"
    text: str | None = None
    refusal: str | None = None
    image_url: _Url | None = None
    file: _File | None = None
    input_audio: _Audio | None = None


class _CalledFunction(msgspec.Struct):
    name: str = ""
    arguments: str = ""


class _Call(msgspec.Struct):
    id: str
    type: str = "function"
    function: _CalledFunction = msgspec.field(default_factory=_CalledFunction)


class Message(msgspec.Struct):
    """A message as it came."""

    role: str
    content: str | list[_Part] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    audio: msgspec.Raw = msgspec.Raw()
    function_call: msgspec.Raw = msgspec.Raw()
    reasoning_content: str | None = None
    reasoning: str | None = None


_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_SYSTEM = frozenset({"system", "developer"})
_PART_TYPES = "'text', 'image_url', 'input_audio', 'refusal', 'audio', and 'file'"
_MAX_ID = 40


def read_messages(messages: list[Message], transcript: Transcript) -> bool:
    """Read all of them; whether any text mentions JSON. Raises :class:`~trimaran.testing.exchange.Refusal` (400)."""
    waiting: dict[str, bool] = {}
    mentions_json = False
    for place, message in enumerate(messages):
        role = message.role
        if role not in _ROLES:
            message_text = f"Invalid value: '{role}'. Supported values are: 'system', 'assistant', 'user', 'function', "
            raise invalid(f"{message_text}'tool', and 'developer'.", f"messages[{place}].role", "invalid_value")
        if role == "tool":
            _result(message, place, waiting, transcript)
            continue
        if waiting:
            _refuse_unanswered(waiting, place)
        content = message.content
        if role in _SYSTEM:
            if content is None:
                raise _no_content(place)
            text = content if isinstance(content, str) else _text_only(content, place, role)
            transcript.system(text)
            mentions_json = mentions_json or "json" in text.lower()
            continue
        if role == "assistant":
            transcript.turn("assistant")
            _assistant(message, place, waiting, transcript)
        else:
            transcript.turn("user")
            if content is None:
                raise _no_content(place)
        if isinstance(content, str):
            transcript.text(content)
            mentions_json = mentions_json or "json" in content.lower()
        elif content is not None:
            mentions_json = _parts(content, place, role, transcript) or mentions_json
    if waiting:
        _refuse_unanswered(waiting, len(messages))
    return mentions_json


def _no_content(place: int) -> Exception:
    message = "Invalid value for 'content': expected a string, got null."
    return invalid(message, f"messages.[{place}].content")


def _assistant(message: Message, place: int, waiting: dict[str, bool], transcript: Transcript) -> None:
    if message.reasoning_content or message.reasoning:
        transcript.reasoning()
    calls = message.tool_calls
    if calls is None:
        if message.content is None and message.refusal is None and not message.audio and not message.function_call:
            raise _no_content(place)
        if message.refusal is not None:
            transcript.text(message.refusal)
        return
    if not calls:
        text = (
            f"Invalid 'messages[{place}].tool_calls': empty array. Expected an array with minimum length 1, but got an"
        )
        raise invalid(f"{text} empty array instead.", f"messages[{place}].tool_calls", "empty_array")
    for at, call in enumerate(calls):
        where = f"messages[{place}].tool_calls[{at}].id"
        if len(call.id) > _MAX_ID:
            text = (
                f"Invalid '{where}': string too long. Expected a string with maximum length {_MAX_ID}, but got a string"
            )
            raise invalid(f"{text} with length {len(call.id)} instead.", where, "string_above_max_length")
        if call.id in waiting:
            raise invalid(f"Duplicate tool call id '{call.id}'.", where, "invalid_value")
        waiting[call.id] = True
        transcript.tool_call(call.function.name, call.function.arguments)


def _result(message: Message, place: int, waiting: dict[str, bool], transcript: Transcript) -> None:
    if message.tool_call_id is None:
        text = "Missing parameter 'tool_call_id': messages with role 'tool' must have a 'tool_call_id'."
        raise invalid(text, f"messages.[{place}].tool_call_id")
    if waiting.pop(message.tool_call_id, None) is None:
        text = (
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
        )
        raise invalid(text, f"messages.[{place}].role")
    if message.content is None:
        raise _no_content(place)
    transcript.turn("user")
    transcript.tool_result()
    content = message.content
    transcript.chars(len(content if isinstance(content, str) else _text_only(content, place, "tool")))


def _refuse_unanswered(waiting: dict[str, bool], place: int) -> None:
    text = (
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
    )
    text += f"The following tool_call_ids did not have response messages: {', '.join(waiting)}"
    raise invalid(text, f"messages.[{place}].role")


def _text_only(parts: list[_Part], place: int, role: str) -> str:
    """The text of a message that may hold nothing else."""
    texts = []
    for at, part in enumerate(parts):
        if part.type == "image_url":
            text = f"Invalid 'messages[{place}]'. Image URLs are only allowed for messages with role 'user', but this "
            text += f"message with role '{role}' contains an image URL."
            raise invalid(text, f"messages[{place}]", "invalid_value")
        if part.type != "text" or part.text is None:
            text = f"Invalid value: '{part.type}'. Supported values are: 'text'."
            raise invalid(text, f"messages[{place}].content[{at}].type", "invalid_value")
        texts.append(part.text)
    return "".join(texts)


def _parts(parts: list[_Part], place: int, role: str, transcript: Transcript) -> bool:
    mentions_json = False
    for at, part in enumerate(parts):
        where = f"messages[{place}].content[{at}]"
        text = part.refusal if part.type == "refusal" and role == "assistant" else None
        text = part.text if part.type == "text" else text
        if text is not None:
            transcript.text(text)
            mentions_json = mentions_json or "json" in text.lower()
        elif role == "assistant":
            message = f"Invalid value: '{part.type}'. Supported values are: 'text' and 'refusal'."
            raise invalid(message, f"{where}.type", "invalid_value")
        else:
            _media(part, where, transcript)
    return mentions_json


def _media(part: _Part, where: str, transcript: Transcript) -> None:
    if part.type == "image_url" and part.image_url is not None:
        check_image_url(part.image_url.url, f"{where}.image_url.url")
        transcript.image()
    elif part.type == "file" and part.file is not None:
        _file(part.file, where)
        transcript.document()
    elif part.type == "input_audio" and part.input_audio is not None:
        if part.input_audio.format not in ("wav", "mp3"):
            text = f"Invalid value: '{part.input_audio.format}'. Supported values are: 'wav' and 'mp3'."
            raise invalid(text, f"{where}.input_audio.format", "invalid_value")
        check_base64(part.input_audio.data, f"{where}.input_audio.data")
        transcript.audio()
    elif part.type in ("text", "image_url", "file", "input_audio"):
        name = f"{where}.{part.type}"
        raise invalid(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
    else:
        text = f"Invalid value: '{part.type}'. Supported values are: {_PART_TYPES}."
        raise invalid(text, f"{where}.type", "invalid_value")


def _file(file: _File, where: str) -> None:
    if file.file_id is not None:
        return
    if file.file_data is None or file.filename is None:
        name = f"{where}.file.{'file_data' if file.file_data is None else 'filename'}"
        raise invalid(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
    head, comma, data = file.file_data.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        text = f"Invalid file data: '{where}.file.file_data'. Expected a base64-encoded data URL with a MIME type."
        raise invalid(text, f"{where}.file.file_data", "invalid_value")
    check_base64(data, f"{where}.file.file_data")
