"""SageMaker's control plane, as far as routing to endpoints needs it: JSON 1.1, ``POST /`` with ``X-Amz-Target: SageMaker.…``.

It describes and lists endpoints, their configurations, inference components and models, and takes the calls that create and
scale them. What is created begins as ``Creating`` and stays so until :meth:`SageMaker.change` says otherwise: there is no
clock here. Pages, filters and sorting are AWS's; so are codes and words of errors, where public issue threads quote them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

import msgspec

from trimaran.testing.aws import AwsAccount, AwsRefusal, error_body
from trimaran.testing.dialect import HeadWriter, LookUp, Request, header
from trimaran.testing.exchange import Refusal
from trimaran.testing.sagemaker import SageMaker
from trimaran.testing.sagemaker_changes import CHANGES, Fields, missing, named, text
from trimaran.testing.sagemaker_resources import (
    component_row,
    component_summary,
    config_rows,
    endpoint_row,
    endpoint_summary,
    model_rows,
)

__all__ = ["SageMakerControl", "sagemaker_look_ups"]

_PREFIX = b"SageMaker."
_PAGE = 10
"""``MaxResults`` by default."""
_Operation = Callable[[SageMaker, Fields], Any]


def sagemaker_look_ups(account: AwsAccount, fleet: SageMaker) -> list[LookUp]:
    """What answers on ``/``."""
    return [SageMakerControl(account, fleet)]


class _Head(HeadWriter):
    """Heads whose content type is that of the protocol."""

    def write(
        self,
        status: int,
        request_id: str,
        *,
        length: int | None,
        stream: bool = False,
        processing_ms: int = 0,
        retry_after_s: float | None = None,
        content_type: bytes = b"application/x-amz-json-1.1",
        lines: bytes = b"",
    ) -> bytes:
        """See :class:`~trimaran.testing.dialect.HeadWriter`."""
        return super().write(status, request_id, length=length, content_type=content_type, lines=lines)


class SageMakerControl:
    """See :class:`~trimaran.testing.dialect.LookUp`."""

    name = "sagemaker.control"

    def __init__(self, account: AwsAccount, fleet: SageMaker) -> None:
        self.head: HeadWriter = _Head(self.name, "x-amzn-RequestId", None, "", identify=_uuid)
        self._account = account
        self._fleet = fleet

    def serves(self, method: bytes, path: bytes) -> bool:
        """The service's only path."""
        return method == b"POST" and path == b"/"

    def authenticate(self, request: Request, keys: frozenset[str] | None) -> None:
        """A signature for ``sagemaker``, and a policy that allows the operation."""
        self._account.admit(request, "sagemaker", keys)
        self._account.allow(f"sagemaker:{_operation(request)}")

    def look_up(self, request: Request) -> bytes:
        """Do what the target header names."""
        operation = _OPERATIONS.get(_operation(request))
        if operation is None:
            raise _refused("UnknownOperationException", f"{_operation(request)} is not simulated")
        try:
            fields = msgspec.json.decode(request.body or b"{}", type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise _refused("SerializationException", str(error)) from None
        answer = operation(self._fleet, fields)
        return b"" if answer is None else msgspec.json.encode(answer)

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """``{"__type", "message"}``."""
        if isinstance(refusal, AwsRefusal):
            refusal.members = {"__type": refusal.kind, **refusal.members}
        return error_body(refusal)


def _describe_endpoint(fleet: SageMaker, fields: Fields) -> Any:
    name = text(fields, "EndpointName")
    endpoint = fleet.find(name)
    if endpoint is None:
        raise missing(fleet, "endpoint", name)
    return endpoint_row(fleet, endpoint)


def _describe_endpoint_config(fleet: SageMaker, fields: Fields) -> Any:
    name = text(fields, "EndpointConfigName")
    row = config_rows(fleet, name).get(name)
    if row is None:
        raise missing(fleet, "endpoint-config", name)
    return row


def _describe_component(fleet: SageMaker, fields: Fields) -> Any:
    return component_row(fleet, *named(fleet, text(fields, "InferenceComponentName")))


def _describe_model(fleet: SageMaker, fields: Fields) -> Any:
    name = text(fields, "ModelName")
    row = model_rows(fleet, name).get(name)
    if row is None:
        raise missing(fleet, "model", name)
    return row


def _list_endpoints(fleet: SageMaker, fields: Fields) -> Any:
    rows = [endpoint_summary(fleet, endpoint) for endpoint in fleet.endpoints]
    return _page("Endpoints", rows, fields, "EndpointName", {"StatusEquals": "EndpointStatus"})


def _list_components(fleet: SageMaker, fields: Fields) -> Any:
    rows = [component_summary(fleet, endpoint, row) for endpoint, row in fleet.components()]
    filters = {
        "StatusEquals": "InferenceComponentStatus",
        "EndpointNameEquals": "EndpointName",
        "VariantNameEquals": "VariantName",
    }
    return _page("InferenceComponents", rows, fields, "InferenceComponentName", filters)


def _list_configs(fleet: SageMaker, fields: Fields) -> Any:
    names = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")
    rows = [{name: row[name] for name in names} for row in config_rows(fleet).values()]
    return _page("EndpointConfigs", rows, fields, "EndpointConfigName", {})


def _list_models(fleet: SageMaker, fields: Fields) -> Any:
    rows = [
        {name: row[name] for name in ("ModelName", "ModelArn", "CreationTime")} for row in model_rows(fleet).values()
    ]
    return _page("Models", rows, fields, "ModelName", {})


_OPERATIONS: dict[str, _Operation] = {
    "DescribeEndpoint": _describe_endpoint,
    "DescribeEndpointConfig": _describe_endpoint_config,
    "DescribeInferenceComponent": _describe_component,
    "DescribeModel": _describe_model,
    "ListEndpoints": _list_endpoints,
    "ListEndpointConfigs": _list_configs,
    "ListInferenceComponents": _list_components,
    "ListModels": _list_models,
    **CHANGES,
}


def _page(key: str, rows: list[dict[str, Any]], fields: Fields, name: str, filters: dict[str, str]) -> dict[str, Any]:
    """One page of what the filters leave, the newest first unless the request says otherwise."""
    part = str(fields.get("NameContains", "")).lower()
    kept = [row for row in rows if part in row[name].lower()]
    for asked, member in filters.items():
        if asked in fields:
            kept = [row for row in kept if row[member] == fields[asked]]
    for asked, member in (("CreationTime", "CreationTime"), ("LastModifiedTime", "LastModifiedTime")):
        if (after := fields.get(f"{asked}After")) is not None:
            kept = [row for row in kept if row[member] > after]
        if (before := fields.get(f"{asked}Before")) is not None:
            kept = [row for row in kept if row[member] < before]
    by = {"Name": name, "Status": filters.get("StatusEquals", name)}.get(fields.get("SortBy", ""), "CreationTime")
    kept.sort(key=lambda row: (row[by], row[name]), reverse=fields.get("SortOrder", "Descending") == "Descending")
    start, size = _offset(fields.get("NextToken")), _size(fields.get("MaxResults", _PAGE))
    answer: dict[str, Any] = {key: kept[start : start + size]}
    if start + size < len(kept):
        answer["NextToken"] = base64.b64encode(f"simulated:{start + size}".encode()).decode()
    return answer


def _offset(token: Any) -> int:
    if token is None:
        return 0
    try:
        word, _, place = base64.b64decode(str(token), validate=True).decode().partition(":")
        if word == "simulated" and place.isdigit():
            return int(place)
    except (binascii.Error, UnicodeDecodeError):
        pass
    raise _refused("ValidationException", "The NextToken is not valid.")


def _size(wanted: Any) -> int:
    if not isinstance(wanted, int) or not 1 <= wanted <= 100:
        side = "less than or equal to 100" if isinstance(wanted, int) and wanted > 100 else "greater than or equal to 1"
        words = (
            f"1 validation error detected: Value '{wanted}' at 'maxResults' failed to satisfy constraint: Member must"
        )
        raise _refused("ValidationException", f"{words} have value {side}")
    return wanted


def _operation(request: Request) -> str:
    target = header(request.headers, b"x-amz-target") or b""
    return target.removeprefix(_PREFIX).decode("latin-1") if target.startswith(_PREFIX) else ""


def _refused(kind: str, words: str) -> AwsRefusal:
    return AwsRefusal(400, kind, words)


def _uuid(request_id: str) -> str:
    return f"00000000-0000-4000-8000-{int(request_id.removeprefix('req_simulated')):012d}"
