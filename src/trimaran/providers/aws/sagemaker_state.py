"""What DescribeEndpoint and DescribeInferenceComponent say, as a condition for routing and a count for the ledger. Pure.

An endpoint that is being updated goes on answering, so it is up. One that has no instance (or whose component has no copy)
is a last resort: nothing answers now, and a request may be what wakes it. Everything that cannot answer is down, with AWS's
reason and the command that shows or mends it.

Source: botocore 1.44.8, ``data/sagemaker/2017-07-24/service-2.json`` (``EndpointStatus``, ``InferenceComponentStatus``), read
2026-11-30.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["Asked", "State", "component_state", "endpoint_state", "missing_state", "worse"]

_UP = frozenset({"InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed"})
"""The last one: "in service with a mix of the old and new endpoint configurations"."""
_MENDS = {
    "Creating": "wait until it is in service: aws sagemaker wait endpoint-in-service --endpoint-name {name}{region}",
    "Failed": "read why and create it anew: aws sagemaker describe-endpoint --endpoint-name {name}{region}",
    "OutOfService": "update it: aws sagemaker update-endpoint --endpoint-name {name} --endpoint-config-name NAME{region}",
    "Deleting": "take it out of the configuration, or create it anew",
}
_DESCRIBE = "aws sagemaker describe-endpoint --endpoint-name {name}{region}"
_DESCRIBE_COMPONENT = "aws sagemaker describe-inference-component --inference-component-name {component}{region}"
_LONGEST_REASON = 300


class Asked(NamedTuple):
    """One target, as far as it is looked at."""

    key: str
    """The target's id: ``sagemaker/my-llama``."""
    endpoint: str
    component: str = ""
    variant: str = ""
    region: str = ""

    def told(self, template: str) -> str:
        """A command with its names filled in."""
        region = f" --region {self.region}" if self.region else ""
        return template.format(name=self.endpoint, component=self.component, region=region)


class State(NamedTuple):
    """A condition's level and reason, and how many instances stand; ``None``: SageMaker does not say."""

    level: str
    reason: str = ""
    instances: int | None = None


def endpoint_state(asked: Asked, described: Mapping[str, Any]) -> State:
    """The state of a target by its endpoint alone."""
    status = str(described.get("EndpointStatus", ""))
    variants: Sequence[Mapping[str, Any]] = described.get("ProductionVariants") or ()
    if status not in _UP:
        why = _reason(described)
        mend = asked.told(_MENDS.get(status, _DESCRIBE))
        # What has not come up, or is gone, is still paid for as long as its instances are counted.
        return State(
            "down", f"the endpoint {asked.endpoint} is {status or 'in no known state'}{why}; {mend}", _count(variants)
        )
    if asked.variant:
        found = [variant for variant in variants if variant.get("VariantName") == asked.variant]
        if not found:
            names = ", ".join(str(variant.get("VariantName")) for variant in variants) or "none"
            shown = asked.told(_DESCRIBE)
            return State("down", f"the endpoint {asked.endpoint} has no variant {asked.variant}, but {names}; {shown}")
        variants = found
    instances = _count(variants)
    if instances == 0:
        return State("last_resort", _asleep(f"the endpoint {asked.endpoint}", asked.told(_DESCRIBE)), 0)
    return State("up", "", instances)


def component_state(asked: Asked, described: Mapping[str, Any]) -> State:
    """The state of a target by its inference component. ``instances`` stays unknown: those are its endpoint's."""
    status = str(described.get("InferenceComponentStatus", ""))
    owner = str(described.get("EndpointName", ""))
    shown = asked.told(_DESCRIBE_COMPONENT)
    if owner and owner != asked.endpoint:
        return State(
            "down",
            f"the inference component {asked.component} is on the endpoint {owner}, not {asked.endpoint}; {shown}",
        )
    if status not in ("InService", "Updating"):
        why = _reason(described)
        return State(
            "down", f"the inference component {asked.component} is {status or 'in no known state'}{why}; {shown}"
        )
    copies = (described.get("RuntimeConfig") or {}).get("CurrentCopyCount")
    if copies == 0:
        return State("last_resort", _asleep(f"the inference component {asked.component}", shown))
    return State("up")


def missing_state(asked: Asked, *, component: bool = False) -> State:
    """AWS does not know it."""
    listed = "list-inference-components" if component else "list-endpoints"
    what = f"inference component {asked.component}" if component else f"endpoint {asked.endpoint}"
    region = f" in {asked.region}" if asked.region else ""
    return State("down", f"there is no {what}{region}; compare {asked.told('aws sagemaker ' + listed + '{region}')}")


def worse(endpoint: State, component: State) -> State:
    """Both together: what keeps either from answering."""
    ranks = ("up", "last_resort", "down")
    state = component if ranks.index(component.level) > ranks.index(endpoint.level) else endpoint
    return state._replace(instances=endpoint.instances)


def _count(variants: Sequence[Mapping[str, Any]]) -> int | None:
    """Instances of all of them together; ``None`` where one has none that are counted (a serverless one)."""
    counts = [variant.get("CurrentInstanceCount") for variant in variants]
    if not counts or any(type(count) is not int for count in counts):
        return None
    return sum(int(count or 0) for count in counts)


def _reason(described: Mapping[str, Any]) -> str:
    why = " ".join(str(described.get("FailureReason") or "").split())[:_LONGEST_REASON].rstrip(".")
    return f": {why}" if why else ""


def _asleep(what: str, shown: str) -> str:
    return f"{what} is scaled to zero: the first request starts it, expect minutes; {shown}"
