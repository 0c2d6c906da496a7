"""boto3's own parts as judges of what is written for Bedrock and for its clients: the service's model, its validator, its
serializer and its parsers."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from botocore.eventstream import EventStream, EventStreamBuffer
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator

__all__ = ["events_of_boto", "faults", "messages_of", "parsed", "parsed_error", "serialized"]


@cache
def _service() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"))


def _operation(stream: bool) -> Any:
    return _service().operation_model("ConverseStream" if stream else "Converse")


def faults(body: bytes, model: str = "anthropic.claude-m", *, stream: bool = False) -> list[str]:
    """What boto3 would hold against the request, and what of the model's limits and patterns it breaks."""
    shape = _operation(stream).input_shape
    params = {"modelId": model} | _params(json.loads(body), shape)
    report = ParamValidator().validate(params, shape)
    return [*([report.generate_report()] if report.has_errors() else []), *_broken(params, shape, "")]


def serialized(body: bytes, model: str, *, stream: bool = False) -> tuple[bytes, Any]:
    """Path and body that boto3 sends for the same request."""
    operation = _operation(stream)
    params = {"modelId": model} | _params(json.loads(body), operation.input_shape)
    request = create_serializer("rest-json").serialize_to_request(params, operation)
    return request["url_path"].encode(), json.loads(request["body"])


def parsed(body: bytes) -> dict[str, Any]:
    """A whole answer as boto3 gives it to its user, blobs in bytes."""
    response = {"status_code": 200, "headers": {"content-type": "application/json"}, "body": body, "context": {}}
    found: dict[str, Any] = create_parser("rest-json").parse(response, _operation(False).output_shape)
    return found


def parsed_error(status: int, head: bytes, body: bytes) -> tuple[str, str]:
    """Code and message of the error that boto3 raises."""
    lines = [line.partition(b": ") for line in head.split(b"\r\n") if line]
    headers = {name.decode().lower(): value.decode() for name, _, value in lines}
    response = {"status_code": status, "headers": headers, "body": body, "context": {}}
    found = create_parser("rest-json").parse(response, _operation(False).output_shape)["Error"]
    return found["Code"], found["Message"]


def events_of_boto(stream: bytes) -> list[dict[str, Any]]:
    """The events that boto3's user sees. Raises what it raises for an exception."""
    shape = _operation(True).output_shape.members["stream"]
    parser = create_parser("rest-json")._event_stream_parser
    return list(EventStream(_Raw(stream), shape, parser, "ConverseStream"))


def messages_of(stream: bytes) -> list[tuple[dict[str, Any], bytes]]:
    """Headers and payload of each frame; both checksums are checked."""
    buffer = EventStreamBuffer()
    buffer.add_data(stream)
    return [(message.headers, message.payload) for message in buffer]


class _Raw:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self) -> Iterator[bytes]:
        yield self._data

    def close(self) -> None:
        pass


def _params(value: Any, shape: Shape) -> Any:
    """A JSON value as boto3's user would write it."""
    if shape.type_name == "structure" and not getattr(shape, "is_document_type", False) and isinstance(value, dict):
        members = shape.members
        return {key: _params(inner, members[key]) if key in members else inner for key, inner in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [_params(inner, shape.member) for inner in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: _params(inner, shape.value) for key, inner in value.items()}
    if shape.type_name == "blob":
        return base64.b64decode(value, validate=True)
    return value


def _broken(value: Any, shape: Shape, path: str) -> list[str]:
    """Limits, patterns and words of the model, which boto3 leaves to the service."""
    if shape.type_name == "structure" and not getattr(shape, "is_document_type", False):
        return [fault for key, inner in value.items() for fault in _broken(inner, shape.members[key], f"{path}.{key}")]
    limits = shape.metadata
    found: list[str] = []
    size = len(value) if isinstance(value, str | bytes | list | dict) else value
    if "max" in limits and size > limits["max"]:
        found.append(f"{path}: above {limits['max']}")
    if shape.type_name == "list":
        found += [
            fault for place, inner in enumerate(value) for fault in _broken(inner, shape.member, f"{path}[{place}]")
        ]
    elif shape.type_name == "map":
        found += [fault for key, inner in value.items() for fault in _broken(inner, shape.value, f"{path}.{key}")]
        found += [fault for key in value for fault in _broken(key, shape.key, f"{path} key")]
    elif shape.type_name == "string":
        if getattr(shape, "enum", None) and value not in shape.enum:
            found.append(f"{path}: {value!r} is none of {shape.enum}")
        if limits.get("pattern") and path != ".modelId" and not re.fullmatch(limits["pattern"], value):
            found.append(f"{path}: {value!r} does not match {limits['pattern']}")
    return found
