"""Reads the contents of a Gemini request, and refuses what the API refuses.

Sides alternate loosely: contents of one role in a row are one turn. A turn of function calls is followed by the turn of as many
responses. For models of generation 3 the first function call of each step of the current turn (what follows the user's last words)
must carry its thought signature, as it was given. Two values that the documentation offers for calls that no model made are taken
for signatures too.

Sources, read 2026-11-30: ai.google.dev, "Thought signatures" and "Function calling"; words of refusals as quoted in public issue
threads (2024 to 2026).
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from trimaran.testing.gemini_models import GeminiModel, refuse
from trimaran.testing.google_errors import invalid
from trimaran.testing.proto_json import decode_bytes
from trimaran.testing.signing import sign, signed_text
from trimaran.testing.transcript import Transcript

__all__ = ["call_signature", "read_contents", "read_system", "text_signature"]

_ROLES = ("user", "model", "function", "tool", "")
_SKIPPING = ("context_engineering_is_the_way_to_go", "skip_thought_signature_validator")
_SKIPPED = frozenset(
    {text.encode() for text in _SKIPPING} | {raw for text in _SKIPPING if (raw := decode_bytes(text)) is not None}
)
_IMAGES = ("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif", "image/gif")
_DOCUMENTS = ("application/pdf", "application/json", "application/xml", "application/rtf", "application/x-javascript")
_DATA = "required oneof field 'data' must have one initialized field"
_COUNTS = (
    "Please ensure that the number of function response parts is equal to the number of function call parts of the function "
    "call turn."
)
_MISSING = (
    "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, and "
    "missing thought_signature may lead to degraded model performance. Additional data, function call `default_api:{name}` , "
    "position {place}. Please refer to https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
)


def call_signature(name: str, arguments: Any) -> str:
    """The signature of a function call, in base64."""
    return base64.b64encode(sign("gemini-call", _call_text(name, arguments)).encode()).decode()


def text_signature(thoughts: str) -> str:
    """The signature of what was thought before a text, in base64."""
    return base64.b64encode(sign("gemini-text", thoughts).encode()).decode()


def read_system(content: dict[str, Any], transcript: Transcript) -> None:
    """Instructions; their role is ignored."""
    for place, part in enumerate(content.get("parts", ())):
        if "text" not in part:
            raise invalid(f"* GenerateContentRequest.system_instruction.parts[{place}].data: {_DATA}\n")
        transcript.system(part["text"])


def read_contents(contents: list[dict[str, Any]], transcript: Transcript, model: GeminiModel) -> None:
    """Read all of them. Raises :class:`~trimaran.testing.google_errors.GoogleRefusal` (400)."""
    if not contents:
        raise refuse(model, "* GenerateContentRequest.contents: contents is not specified\n", "it must have contents")
    if len(contents) == 1 and contents[0].get("role") == "model":
        raise invalid("Please ensure that single turn requests end with a user role or the role field is empty.")
    history = _History(transcript, model, _current(contents))
    for place, content in enumerate(contents):
        history.content(content, place)
    history.end()


def _current(contents: list[dict[str, Any]]) -> int:
    """Where the current turn begins: after the user's last words."""
    places = [place for place, content in enumerate(contents) if _speaks(content)]
    return places[-1] if places else 0


def _speaks(content: dict[str, Any]) -> bool:
    parts = content.get("parts", ())
    return content.get("role", "user") in ("user", "") and any("function_response" not in part for part in parts)


class _History:
    def __init__(self, transcript: Transcript, model: GeminiModel, current: int) -> None:
        self._transcript = transcript
        self._model = model
        self._current = current
        self._side = ""
        self._calls: list[dict[str, Any]] = []
        self._responses: list[dict[str, Any]] = []

    def content(self, content: dict[str, Any], place: int) -> None:
        """One content."""
        role = content.get("role", "user")
        if role not in _ROLES:
            raise invalid("Please use a valid role: user, model.")
        side = "assistant" if role == "model" else "user"
        parts = content.get("parts", [])
        where = f"contents[{place}].parts"
        if not parts:
            words = f"* GenerateContentRequest.{where}: contents.parts must not be empty.\n"
            raise refuse(
                self._model, words, "it must include at least one parts field, which describes the prompt input"
            )
        if side != self._side:
            self._turn(side)
        self._transcript.turn(side)
        signed = False
        for at, part in enumerate(parts):
            kind = self._part(part, f"{where}[{at}]")
            if kind == "function_call":
                if place > self._current and not signed:
                    self._require_signature(part, at)
                signed = True

    def end(self) -> None:
        """No content is left."""
        if self._side == "user":
            self._settle()

    def _turn(self, side: str) -> None:
        if side == "assistant":
            self._settle()
            self._calls, self._responses = [], []
        self._side = side

    def _settle(self) -> None:
        """The user's turn is over: every call of the turn before it is answered."""
        if len(self._responses) != len(self._calls):
            raise refuse(self._model, _COUNTS)
        known = {call["id"] for call in self._calls if "id" in call}
        for response in self._responses:
            if known and "id" in response and response["id"] not in known:
                raise invalid(f"Function response id `{response['id']}` does not match the id of any function call.")
        names = sorted(call.get("name", "") for call in self._calls)
        if names != sorted(response.get("name", "") for response in self._responses):
            raise invalid("Request contains an invalid argument.")

    def _part(self, part: dict[str, Any], where: str) -> str:
        transcript = self._transcript
        if "thought_signature" in part:
            self._check_signature(part, where)
        if "text" in part:
            self._text(part)
            return "text"
        if "function_call" in part:
            self._call(part["function_call"], where)
            return "function_call"
        if "function_response" in part:
            self._response(part["function_response"], where)
            return "function_response"
        if "inline_data" in part:
            _media(part["inline_data"], where, transcript, self._model)
        elif "file_data" in part:
            _file(part["file_data"], where, transcript, self._model)
        elif not ({"executable_code", "code_execution_result", "tool_call", "tool_response"} & part.keys()):
            if "thought_signature" not in part:
                raise refuse(self._model, f"* GenerateContentRequest.{where}.data: {_DATA}\n", _DATA)
            transcript.text("")
        return "other"

    def _text(self, part: dict[str, Any]) -> None:
        text = part["text"]
        if part.get("thought"):
            return
        if not text and self._model.vertex and "thought_signature" not in part:
            raise refuse(
                self._model, "", "it contains an empty text parameter. Add a value to the parameter and try again"
            )
        self._transcript.text(text)

    def _call(self, call: dict[str, Any], where: str) -> None:
        if self._side != "assistant":
            raise invalid(
                "Please ensure that function call turn comes immediately after a user turn or after a function response turn."
            )
        if not call.get("name"):
            raise invalid(f"* GenerateContentRequest.{where}.function_call.name: [REQUIRED_FIELD_MISSING]\n")
        self._calls.append(call)
        self._transcript.tool_call(call["name"], call.get("args", {}))

    def _response(self, response: dict[str, Any], where: str) -> None:
        if self._side != "user" or not self._calls:
            raise invalid("Please ensure that function response turn comes immediately after a function call turn.")
        if not response.get("name"):
            words = f"* GenerateContentRequest.{where}.function_response.name: Name cannot be empty.\n"
            raise invalid(words)
        if "response" not in response:
            raise invalid(f"* GenerateContentRequest.{where}.function_response.response: [REQUIRED_FIELD_MISSING]\n")
        self._responses.append(response)
        self._transcript.tool_result()
        self._transcript.chars(_result_length(response["response"]))
        for at, part in enumerate(response.get("parts", ())):
            inner = f"{where}.function_response.parts[{at}]"
            if "inline_data" in part:
                _media(part["inline_data"], inner, self._transcript, self._model)
            elif "file_data" in part:
                _file(part["file_data"], inner, self._transcript, self._model)

    # Signatures

    def _check_signature(self, part: dict[str, Any], where: str) -> None:
        raw: bytes = part["thought_signature"]
        if raw in _SKIPPED:
            return
        text = raw.decode("latin-1")
        if "function_call" in part:
            call = part["function_call"]
            good = signed_text("gemini-call", text) == _call_text(call.get("name", ""), call.get("args", {}))
        else:
            good = signed_text("gemini-text", text) is not None
        if not good:
            raise invalid("Corrupted thought signature.")
        self._transcript.reasoning()

    def _require_signature(self, part: dict[str, Any], at: int) -> None:
        if "thought_signature" in part or not self._model.signs_calls:
            return
        raise invalid(_MISSING.format(name=part["function_call"].get("name", ""), place=at + 1))


def _call_text(name: str, arguments: Any) -> str:
    return msgspec.json.encode([name, arguments], order="sorted").decode()


def _result_length(response: dict[str, Any]) -> int:
    """Characters of a result. A lone ``output`` or ``result`` counts as its own text, as in the other dialects."""
    if len(response) == 1:
        value = next(iter(response.values()))
        if isinstance(value, str):
            return len(value)
    return len(msgspec.json.encode(response))


def _media(blob: dict[str, Any], where: str, transcript: Transcript, model: GeminiModel) -> None:
    kind = blob.get("mime_type", "")
    if not kind:
        words = f"* GenerateContentRequest.{where}.inline_data.mime_type: must be specified\n"
        raise refuse(model, words, "it must have a mimeType parameter")
    if not blob.get("data"):
        words = f"* GenerateContentRequest.{where}.inline_data.data: must be non-empty\n"
        raise refuse(model, words, "the inline data is empty")
    _see(kind, transcript, model)


def _file(file: dict[str, Any], where: str, transcript: Transcript, model: GeminiModel) -> None:
    address = file.get("file_uri", "")
    if not address:
        raise refuse(model, f"* GenerateContentRequest.{where}.file_data.file_uri: must be specified\n", "no fileUri")
    if not address.startswith(("https://", "http://", "gs://", "files/")):
        raise refuse(model, f"Invalid or unsupported file uri: {address}", f"the fileUri {address} is not supported")
    if not file.get("mime_type") and model.vertex:
        raise refuse(model, "", "the fileData has no mimeType parameter")
    _see(file.get("mime_type") or "image/png", transcript, model)


def _see(kind: str, transcript: Transcript, model: GeminiModel) -> None:
    if kind in _IMAGES or kind.startswith("video/"):
        transcript.image()
    elif kind.startswith("audio/"):
        transcript.audio()
    elif kind in _DOCUMENTS or kind.startswith("text/"):
        transcript.document()
    else:
        raise refuse(model, f"Unsupported MIME type: {kind}", f"the MIME type {kind} is not supported")
