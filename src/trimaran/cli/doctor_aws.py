"""What ``trimaran doctor`` finds out about a provider of AWS's: which credential of the chain, whose account and role, which
region; of Bedrock what is granted, of SageMaker what is in service. Each problem comes with what mends it.

It fetches the credential as the gateway would and asks only what needs no permission (who we are) or is cheap to allow
(lists). That a list is refused does not mean that requests will be: it is told and is no failure.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator, Mapping

from trimaran.catalog import bedrock_name
from trimaran.cli.aws_calls import AwsCaller, AwsSaid
from trimaran.cli.finding import Finding, judged
from trimaran.providers import Endpoint
from trimaran.providers.aws.access import source
from trimaran.providers.aws.failures import explained_code
from trimaran.providers.aws.sagemaker_discovery import look_at
from trimaran.types import Credential

__all__ = ["check_aws", "not_configured"]

SKEW_S = 300.0
"""AWS refuses a signature whose time is further off than this."""
_ACCESS_PAGE = "https://docs.aws.amazon.com/bedrock/latest/userguide/model-access.html"
_PROFILES_PAGE = "https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html"
_SHOWN = 8

_STATES = {
    "Creating": "wait until it is in service",
    "Failed": "delete it and deploy it again",
    "OutOfService": "update its configuration, or deploy it again",
    "Deleting": "remove it from the configuration",
}
"""Of an endpoint that does not answer, with what mends it. Those that are being updated go on answering."""


def not_configured(found: Endpoint) -> Finding:
    """Nothing says that AWS is meant."""
    return Finding(
        provider=found.name,
        state="not_configured",
        detail="no credential",
        todo="export AWS_PROFILE=... and AWS_REGION=..., or write providers."
        f"{found.name}: {{region: us-east-1, profile: prod}}",
        tried=found.tried,
        base_url=found.base_url,
    )


def check_aws(found: Endpoint, wanted: set[str], environ: Mapping[str, str], limit_s: float) -> Finding:
    """One provider of AWS's, within ``limit_s`` in all. ``wanted``: the models that the configuration names."""
    check = _Check(found, wanted, environ, limit_s)

    def fault(error: Exception) -> tuple[str, tuple[str, str]]:
        if isinstance(error, AwsSaid):
            return "rejected", check.explained(error, "the call")
        return "unreachable", _fault(error)

    return judged(found, check, fault)


class _Check:
    """One check under way."""

    def __init__(self, found: Endpoint, wanted: set[str], environ: Mapping[str, str], limit_s: float) -> None:
        self._found = found
        self._wanted = sorted(wanted)
        self._environ = environ
        self._end = time.monotonic() + limit_s
        self._identity = source(found.access.identity, found.access.words).identity if found.access else None
        self.credential = "none"
        self.warnings: list[str] = []
        self._todo = ""

    def run(self) -> tuple[str, str, str]:
        """State, detail and what to do. Raises :class:`ConfigError`, :class:`AwsSaid`, and what a connection raises."""
        found = self._found
        credential = self._fetched()
        caller = AwsCaller(found, credential, self._environ, self._end - time.monotonic())
        region = found.config.region or ""
        told = [f"{region} ({found.access.place_from})" if found.access is not None else region, self.credential]
        if credential is not None:
            try:
                who = caller.who()
            except AwsSaid as said:
                if abs(caller.skew_s) > SKEW_S:
                    return "misconfigured", *_skewed(caller.skew_s)
                return "rejected", *self.explained(said, "asking STS who we are")
            self.credential += f", account {who.account}, {who.arn.rpartition(':')[2]}"
            told[1] = self.credential
            if abs(caller.skew_s) > SKEW_S:
                return "misconfigured", *_skewed(caller.skew_s)
        service = found.row.aws_service if found.row is not None else ""
        told += [*(self._bedrock(caller) if service == "bedrock" else self._sagemaker(caller))]
        return "ok", "; ".join(told), self._todo

    def explained(self, said: AwsSaid, doing: str) -> tuple[str, str]:
        """What AWS refused, and what mends it."""
        if self._identity is None:
            # An API key: nothing of the chain can be to blame.
            return f"the API key was refused ({said.code})", f"replace the key in {self._found.secret_from}"
        return explained_code(said.code, said.words, doing, self._identity, self._environ)

    def _fetched(self) -> Credential | None:
        found = self._found
        if found.access is None:
            self.credential = f"API key in {found.secret_from}"
            return None
        credential = source(found.access.identity, found.access.words).fetch()
        self.credential = credential.source
        return credential

    def _note(self, warning: str, todo: str) -> None:
        """A problem that does not keep the provider from being used."""
        self.warnings.append(warning)
        self._todo = self._todo or todo

    # Bedrock

    def _bedrock(self, caller: AwsCaller) -> Iterator[str]:
        try:
            models, profiles = caller.foundation_models(), caller.inference_profiles()
        except AwsSaid as said:
            if self._identity is None and said.code not in ("AccessDeniedException",):
                raise
            yield "the credential works"
            self._note(
                f"which models are granted is not known: {said.code}",
                "allow bedrock:ListFoundationModels and bedrock:ListInferenceProfiles, or live without",
            )
            return
        yield f"the credential works; {len(models)} models and {len({*profiles})} names of inference profiles"
        granted = [model for model in self._wanted if self._usable(caller, model, models, profiles)]
        if granted:
            yield f"granted: {_listed(granted)}"

    def _usable(
        self, caller: AwsCaller, wanted: str, models: Mapping[str, list[str]], profiles: Mapping[str, str]
    ) -> bool:
        region = self._found.config.region
        try:
            name = bedrock_name(wanted)
        except ValueError as error:
            self._note(str(error), "write the id of a model or of an inference profile")
            return False
        if name.kind not in ("model", "profile"):
            # Provisioned throughput, custom models and prompts: who named them knows them.
            return True
        if name.geography or name.kind == "profile":
            status = profiles.get(wanted, "")
            if status != "ACTIVE":
                self._note(
                    f"{wanted} is no inference profile that can be asked in {region}",
                    f"`aws bedrock list-inference-profiles --region {region}` lists them; {_PROFILES_PAGE}",
                )
                return False
        elif wanted not in models:
            self._note(
                f"{wanted} is not offered in {region}",
                f"`aws bedrock list-foundation-models --region {region}` lists what is",
            )
            return False
        elif models[wanted] and "ON_DEMAND" not in models[wanted] and "INFERENCE_PROFILE" in models[wanted]:
            near = next((each for each in profiles if each.endswith(f".{wanted}")), f"us.{wanted}")
            self._note(f"{wanted} is asked through an inference profile only", f"write {near} instead")
            return False
        return not name.model or self._granted(caller, wanted, name.model)

    def _granted(self, caller: AwsCaller, wanted: str, model: str) -> bool:
        try:
            available = caller.availability(model)
        except AwsSaid as said:
            if said.code not in ("AccessDeniedException", "ResourceNotFoundException"):
                raise
            # Nobody knows; the request will.
            return True
        if available["authorization"] == "NOT_AUTHORIZED":
            self._note(f"this account may not invoke {wanted}", "ask whoever keeps the organisation's policies")
            return False
        if "NOT_AVAILABLE" in (available["agreement"], available["entitlement"]):
            self._note(f"access to {wanted} has not been granted to this account", f"request it: {_ACCESS_PAGE}")
            return False
        return True

    # SageMaker

    def _sagemaker(self, caller: AwsCaller) -> Iterator[str]:
        try:
            endpoints = caller.endpoints()
        except AwsSaid as said:
            yield "the credential works"
            self._note(
                f"which endpoints there are is not known: {said.code}", "allow sagemaker:ListEndpoints, or live without"
            )
            return
        shown = self._behind(caller, endpoints)
        yield f"the credential works; {len(endpoints)} endpoints" + (f": {_listed(shown)}" if shown else "")
        for wanted in self._wanted:
            self._endpoint(caller, wanted, endpoints)

    def _behind(self, caller: AwsCaller, endpoints: Mapping[str, str]) -> list[str]:
        """The endpoints in words, those that will be shown with what is behind them: each takes a few calls."""
        ordered = sorted(endpoints.items())
        seen = [str(look_at(name, status, caller.sagemaker)) for name, status in ordered[:_SHOWN]]
        return [*seen, *(f"{name} ({status})" for name, status in ordered[_SHOWN:])]

    def _endpoint(self, caller: AwsCaller, wanted: str, endpoints: Mapping[str, str]) -> None:
        status = endpoints.get(wanted)
        region = self._found.config.region
        if status is None:
            self._note(
                f"there is no endpoint {wanted} in {region}",
                f"`aws sagemaker list-endpoints --region {region}` lists them; deploy it, or correct the name",
            )
            return
        mend = _STATES.get(status)
        if mend is None:
            return
        why = ""
        if status == "Failed":
            try:
                why = str(caller.describe_endpoint(wanted).get("FailureReason") or "")
            except AwsSaid:
                why = ""
        self._note(f"the endpoint {wanted} is {status}" + (f": {' '.join(why.split())[:200]}" if why else ""), mend)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _skewed(skew_s: float) -> tuple[str, str]:
    side = "behind" if skew_s > 0 else "ahead of"
    return (
        f"this machine's clock is {abs(skew_s) / 60:.0f} minutes {side} AWS's, which refuses signatures that are more than 5 "
        "minutes off",
        "set the clock: timedatectl set-ntp true",
    )


def _fault(error: Exception) -> tuple[str, str]:
    network = "check the network, the region's name, and VPC endpoints for sts, bedrock and sagemaker.api"
    match error:
        case socket.gaierror():
            return "the name of an AWS endpoint cannot be resolved", "check the region's name, and DNS"
        case ssl.SSLCertVerificationError():
            return f"AWS's certificate is not trusted: {error.verify_message}", (
                "if a company proxy intercepts TLS, point SSL_CERT_FILE at its certificate"
            )
        case TimeoutError():
            return "AWS did not answer in time", network
        case ConnectionRefusedError():
            return "nothing listens where AWS is said to be", "check AWS_ENDPOINT_URL_STS and its kin"
        case _:
            return f"AWS cannot be reached ({type(error).__name__})", network
