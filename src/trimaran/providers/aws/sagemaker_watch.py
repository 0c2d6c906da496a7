"""Looks at SageMaker's endpoints in the background: can they answer, and how many instances stand behind them.

A :class:`~trimaran.providers.upkeep.Watch`, one for each provider of the kind ``sagemaker``. Nothing here runs on the road
of a request. It asks the control plane through botocore, which is imported when it first looks; without botocore, and
without the permission to describe, nothing is known and nothing is assumed: targets are asked as if all were well, and the
problem is told once.

What cannot be seen this time stays as it was, and of many endpoints the next look begins with those that this one did not come to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from trimaran.errors import ConfigError
from trimaran.providers.aws.credentials import MISSING_BOTOCORE
from trimaran.providers.aws.failures import aws_words, code_of
from trimaran.providers.aws.sagemaker_state import Asked, State, component_state, endpoint_state, missing_state, worse
from trimaran.types import Credential, Snapshot, Target

__all__ = ["INTERVAL_S", "SageMakerWatch", "SageMakerWatches", "control_client", "sagemaker_watches"]

INTERVAL_S = 20.0
"""DescribeEndpoint is cheap and free, and an endpoint takes minutes to change."""
PATIENCE_S = 20.0
"""After this, what has not been looked at stays as it was: a job of the upkeep may take 30 s."""
CONNECT_S, READ_S = 3.0, 6.0

_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})

Describe = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""Operation and parameters to what the control plane says. Raises botocore's ``ClientError``."""


class SageMakerWatch:
    """The endpoints of one provider."""

    interval_s = INTERVAL_S

    def __init__(
        self,
        provider: str,
        credential: str,
        asked: Iterable[Asked],
        *,
        region: str = "",
        endpoint_url: str = "",
        client: Callable[[Credential | None, str, str], Describe] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = f"endpoints of {provider}"
        self.credential = credential
        self.instances: dict[str, int] = {}
        """By target id: how many instances stand behind it, as far as SageMaker says. Replaced whole, never changed."""
        self.problem = ""
        """What some of the endpoints could not be asked for last time; empty: nothing."""
        self._asked = tuple(asked)
        self._region = region
        self._endpoint_url = endpoint_url
        self._make_client = client or control_client
        self._clock = clock
        self._describe: Describe | None = None
        self._signed_by: Credential | None = None
        self._last: dict[str, State] = {}
        self._next = 0
        """Where the next look begins."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SageMakerWatch) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[object, ...]:
        return self.name, self.credential, self._asked, self._region, self._endpoint_url

    def look(self, credential: Credential | None) -> list[tuple[str, str, str]]:
        """The conditions of all targets. Raises :class:`ConfigError` when none of them can be seen."""
        if self._describe is None or credential != self._signed_by:
            self._describe, self._signed_by = (
                self._make_client(credential, self._region, self._endpoint_url),
                credential,
            )
        until = self._clock() + PATIENCE_S
        seen: dict[tuple[str, str], Mapping[str, Any] | Exception] = {}
        problems: list[Exception] = []
        states: dict[str, State] = {}
        turn = (*self._asked[self._next :], *self._asked[: self._next])
        unseen = 0
        for place, asked in enumerate(turn):
            if self._clock() >= until:
                unseen = len(turn) - place
                self._next = (self._next + place) % len(turn)
                break
            try:
                states[asked.key] = self._state(asked, seen)
            except Exception as error:
                problems.append(error)
        if problems and not states:
            raise _problem(problems[0], self._region) from problems[0]
        told = [str(_problem(problems[0], self._region))] if problems else []
        if unseen:
            told.append(
                f"{unseen} of {len(turn)} targets could not be looked at within {PATIENCE_S:g} s; they are next"
            )
        self.problem = "; ".join(told)
        keys = {asked.key for asked in self._asked}
        self._last = {key: state for key, state in (self._last | states).items() if key in keys}
        self.instances = {key: state.instances for key, state in self._last.items() if state.instances is not None}
        return [(key, state.level, state.reason) for key, state in self._last.items()]

    def _state(self, asked: Asked, seen: dict[tuple[str, str], Mapping[str, Any] | Exception]) -> State:
        endpoint = self._one(("DescribeEndpoint", asked.endpoint), "EndpointName", seen)
        if endpoint is None:
            return missing_state(asked)
        state = endpoint_state(asked, endpoint)
        if not asked.component:
            return state
        component = self._one(("DescribeInferenceComponent", asked.component), "InferenceComponentName", seen)
        return worse(
            state, missing_state(asked, component=True) if component is None else component_state(asked, component)
        )

    def _one(
        self, call: tuple[str, str], parameter: str, seen: dict[tuple[str, str], Mapping[str, Any] | Exception]
    ) -> Mapping[str, Any] | None:
        """What the control plane says, asked once for all targets; ``None``: it knows no such thing."""
        found = seen.get(call)
        if found is None:
            assert self._describe is not None
            try:
                found = self._describe(call[0], {parameter: call[1]})
            except Exception as error:
                found = error
            seen[call] = found
        if isinstance(found, Exception):
            if code_of(found) in ("ValidationException", "ResourceNotFound") and "not find" in aws_words(found).lower():
                return None
            raise found
        return found


def control_client(credential: Credential | None, region: str, endpoint_url: str) -> Describe:
    """A caller of SageMaker's control plane. Raises :class:`ConfigError` where there is no botocore."""
    try:
        import botocore.session
        from botocore.config import Config
    except ImportError as error:
        raise ConfigError(
            "the states of SageMaker's endpoints need botocore, which is not installed", hint=MISSING_BOTOCORE
        ) from error
    session: Any = botocore.session.Session()
    if credential is not None:
        session.set_credentials(*credential.parts[:2], (credential.parts[2:] or ("",))[0] or None)
    config = Config(
        connect_timeout=CONNECT_S, read_timeout=READ_S, retries={"total_max_attempts": 2, "mode": "standard"}
    )
    client = session.create_client(
        "sagemaker", region_name=region or None, endpoint_url=endpoint_url or None, config=config
    )

    def describe(operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        method = client.meta.method_to_api_mapping
        name = next(name for name, api in method.items() if api == operation)
        found: Mapping[str, Any] = getattr(client, name)(**parameters)
        return found

    return describe


def sagemaker_watches(snapshot: Snapshot) -> list[SageMakerWatch]:
    """A watch for each provider of this kind that has targets by name. What only a wildcard reaches is not looked at."""
    found: dict[str, list[Target]] = {}
    for target in snapshot.targets.values():
        if target.kind == "sagemaker" and target.upstream_model != "*":
            found.setdefault(target.provider, []).append(target)
    watches: list[SageMakerWatch] = []
    for provider, targets in found.items():
        first = targets[0]
        asked = [
            Asked(
                target.id,
                target.facts.get("endpoint") or target.upstream_model,
                target.facts.get("inference_component", ""),
                target.facts.get("variant", ""),
                target.region or "",
            )
            for target in targets
        ]
        watches.append(
            SageMakerWatch(
                provider,
                first.credential,
                asked,
                region=first.region or "",
                endpoint_url=_control_of(first.base_url),
            )
        )
    return watches


def _control_of(base_url: str) -> str:
    """Where the control plane behind an address is; empty: AWS's own. A simulation or a stand-in serves both APIs at one
    place, and must never be mixed with the real one."""
    parts = urlsplit(base_url)
    own = parts.scheme == "https" and (parts.hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))
    return "" if own else base_url


class SageMakerWatches:
    """The watches of the snapshot in use. One that a reload did not change stays the same object, with what it has seen."""

    def __init__(self) -> None:
        self._watches: tuple[SageMakerWatch, ...] = ()

    def __call__(self, snapshot: Snapshot) -> list[SageMakerWatch]:
        """Those for ``snapshot``, which is in use from now on."""
        kept = {watch: watch for watch in self._watches}
        self._watches = tuple(kept.get(watch, watch) for watch in sagemaker_watches(snapshot))
        return list(self._watches)

    @property
    def instances(self) -> dict[str, int]:
        """By target id: how many instances stand behind it, as far as they were counted."""
        return {key: count for watch in self._watches for key, count in watch.instances.items()}


def _problem(error: Exception, region: str) -> ConfigError:
    if isinstance(error, ConfigError):
        return error
    code, words = code_of(error), aws_words(error)
    where = f" --region {region}" if region else ""
    if code in _DENIED:
        return ConfigError(
            f"the states of SageMaker's endpoints are not known: AWS allows no look at them ({code})",
            hint="allow sagemaker:DescribeEndpoint and sagemaker:DescribeInferenceComponent, or live without",
        )
    if code:
        return ConfigError(
            f"the states of SageMaker's endpoints are not known ({code}): {words}",
            hint=f"try aws sagemaker list-endpoints{where}",
        )
    return ConfigError(
        f"SageMaker's control plane cannot be reached ({type(error).__name__})",
        hint=f"try aws sagemaker list-endpoints{where}; from a private network it needs a VPC endpoint for sagemaker.api",
    )
