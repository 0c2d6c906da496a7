"""``/_simulate``: look at a running simulated provider and change it, from this machine only.

``GET /_simulate`` shows behaviours and the log. ``POST /_simulate`` merges a partial :class:`Behaviour` into what is in
force: ``{"ttft_s": 2}`` everywhere, or, with ``"scope"``, for one dialect or one model. ``DELETE /_simulate/log``
forgets the log. A partial that does not fit is refused as a whole, naming the field. ``/_simulate/sagemaker`` does the same
for the simulated SageMaker's endpoints: ``{"name": "a", "status": "Updating"}`` declares an endpoint or changes one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trimaran.testing.behaviour import Behaviour
from trimaran.testing.dialect import Request
from trimaran.testing.sagemaker import Endpoint, SageMaker

if TYPE_CHECKING:
    from trimaran.testing.provider import SimulatedProvider

__all__ = ["CONTROL_PATH", "answer_control"]

CONTROL_PATH = b"/_simulate"


def answer_control(provider: SimulatedProvider, request: Request, path: bytes, *, loopback: bool) -> bytes:
    """The whole HTTP answer to a control request."""
    if not loopback:
        return _response("403 Forbidden", {"error": "the simulation is controlled from this machine only"})
    if path == CONTROL_PATH and request.method == b"GET":
        return _response("200 OK", provider.state())
    if path == CONTROL_PATH and request.method == b"POST":
        try:
            _change(provider, request.body)
        except (ValueError, msgspec.MsgspecError) as error:
            return _response("400 Bad Request", {"error": f"{error}. Fields: {', '.join(Behaviour.__struct_fields__)}"})
        return _response("200 OK", provider.state(rows=0))
    if path == CONTROL_PATH + b"/log" and request.method == b"DELETE":
        provider.log.clear()
        return _response("200 OK", provider.state(rows=0))
    if path == CONTROL_PATH + b"/sagemaker" and request.method in (b"GET", b"POST"):
        try:
            if request.method == b"POST":
                _change_endpoint(provider.sagemaker, request.body)
        except (ValueError, msgspec.MsgspecError) as error:
            return _response("400 Bad Request", {"error": f"{error}. Fields: {', '.join(Endpoint.__struct_fields__)}"})
        return _response("200 OK", {"simulated": True, "endpoints": provider.sagemaker.endpoints})
    return _response("404 Not Found", {"error": "use GET or POST /_simulate, or DELETE /_simulate/log"})


def _change_endpoint(fleet: SageMaker, body: bytes) -> None:
    changes = msgspec.json.decode(body, type=dict[str, Any])
    name = changes.pop("name", None)
    if not isinstance(name, str):
        raise ValueError("name: must be the endpoint's")
    if all(endpoint.name != name for endpoint in fleet.endpoints):
        fleet.put(msgspec.convert({"name": name, **changes}, Endpoint))
    else:
        fleet.change(name, **changes)


def _change(provider: SimulatedProvider, body: bytes) -> None:
    changes = msgspec.json.decode(body, type=dict[str, Any])
    scope = changes.pop("scope", None)
    if scope is not None and not isinstance(scope, str):
        raise ValueError("scope: must be a dialect or a model name")
    current = provider.behaviours
    if scope is not None:
        base = current.get(scope, provider.behaviour)
        provider.set_behaviour(base.merged(changes), scope)
        return
    merged = {name: value.merged(changes) for name, value in current.items()}
    provider.behaviour = merged.pop("*")
    for name, value in merged.items():
        provider.set_behaviour(value, name)


def _response(status: str, value: object) -> bytes:
    body = msgspec.json.encode(value)
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nx-simulated: trimaran"
    )
    return head.encode() + b"\r\n\r\n" + body
