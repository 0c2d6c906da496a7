"""What goes wrong on the way to Google's credentials, in one sentence each with the command that mends it.

google-auth may be missing, so its errors are told apart by their class's name; what a token service said stands in them as a
mapping. Its words are repeated where they help, cut and on one line: they name accounts and pools, never secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from trimaran.errors import ConfigError
from trimaran.providers.google.metadata import MetadataRefused
from trimaran.providers.google.place import adc_file

__all__ = ["LOGIN", "Refused", "explained", "no_credentials", "not_impersonated", "wrong_kind"]

LOGIN = "run `gcloud auth application-default login`"
_MOST = 300


class Refused(msgspec.Struct, frozen=True):
    """An error of a Google API, as far as it says what mends it."""

    status: int
    message: str
    reason: str = ""
    """``ErrorInfo.reason``."""
    service: str = ""

    @classmethod
    def read(cls, status: int, body: Any) -> Refused:
        """From a JSON body; never raises."""
        told = body[0] if isinstance(body, list) and body else body
        error = told.get("error") if isinstance(told, Mapping) else None
        if not isinstance(error, Mapping):
            return cls(status, "")
        reason = service = ""
        details = error.get("details")
        for detail in details if isinstance(details, list) else ():
            if isinstance(detail, Mapping) and isinstance(detail.get("reason"), str):
                reason = detail["reason"]
                kept = detail.get("metadata")
                service = str(kept.get("service", "")) if isinstance(kept, Mapping) else ""
        return cls(status, _line(error.get("message", "")), reason, service)


def no_credentials(file: str, environ: Mapping[str, str], where: str) -> ConfigError:
    """Nothing was found anywhere."""
    tried = ["credentials_file", "GOOGLE_APPLICATION_CREDENTIALS", adc_file(environ), "the metadata service"]
    return ConfigError(
        f"no Google credentials were found; tried: {', '.join(tried)}",
        where=where,
        hint=f"{LOGIN}, or write credentials_file; on GKE let the pod's service account act as one of Google's (Workload "
        "Identity), on GCE attach one to the machine",
    )


def wrong_kind(kind: str, path: str, where: str) -> ConfigError:
    """Credentials that have no identity token for an audience."""
    what = {"authorized_user": "a person's login", "external_account": "workload identity federation"}.get(kind, kind)
    return ConfigError(
        f"{what} ({path}) gives no identity token for a service of Cloud Run",
        where=where,
        hint="write impersonate: ACCOUNT@PROJECT.iam.gserviceaccount.com, an account that may call the service "
        "(roles/run.invoker) and as which you may act (roles/iam.serviceAccountOpenIdTokenCreator)",
    )


def not_impersonated(refused: Refused, email: str, source: str, where: str) -> ConfigError:
    """A service account that may not be acted as."""
    if refused.reason == "SERVICE_DISABLED":
        return ConfigError(
            "the IAM Service Account Credentials API is not enabled",
            where=where,
            hint="run `gcloud services enable iamcredentials.googleapis.com`",
        )
    if refused.status == 404:
        return ConfigError(
            f"impersonate: there is no service account {email}",
            where=where,
            hint="`gcloud iam service-accounts list` shows those of a project",
        )
    if refused.status in (401, 403):
        return ConfigError(
            f"impersonate: {source} may not act as {email}: {refused.message}",
            where=where,
            hint=f"run `gcloud iam service-accounts add-iam-policy-binding {email} --member=... "
            "--role=roles/iam.serviceAccountTokenCreator`",
        )
    return ConfigError(
        f"impersonate: no token of {email} was given (status {refused.status}): {refused.message}",
        where=where,
        hint="check the account's e-mail address, and try again",
    )


def explained(error: Exception, path: str, where: str) -> ConfigError:
    """What was raised while credentials were looked for, as people should hear it."""
    if isinstance(error, ConfigError):
        return error
    message, hint = _explained(error, path)
    return ConfigError(message, where=where, hint=hint)


def _explained(error: Exception, path: str) -> tuple[str, str]:
    if isinstance(error, MetadataRefused):
        return _by_metadata(error)
    names = {kind.__name__ for kind in type(error).__mro__}
    if "ReauthFailError" in names or "ReauthSamlChallengeFailError" in names:
        return "Google wants this login to be confirmed again", LOGIN
    if "RefreshError" in names or "OAuthError" in names:
        return _refused(error, path)
    if "TransportError" in names or "TimeoutError" in names:
        return _unreachable(error)
    if names & {"DefaultCredentialsError", "MalformedError", "KeyError", "ValueError"}:
        return f"{path} is no usable file of Google credentials: {_line(error)}", (
            f"{LOGIN}, or make the file again (`gcloud iam service-accounts keys create`, `gcloud iam workload-identity-pools "
            "create-cred-config`)"
        )
    if isinstance(error, OSError):
        return f"a file or program that the credentials need cannot be used: {_line(error)}", f"check {path}"
    return f"the Google credentials could not be fetched ({type(error).__name__})", (
        "run `gcloud auth application-default print-access-token`: it looks in the same places"
    )


def _refused(error: Exception, path: str) -> tuple[str, str]:
    """What a token service said: OAuth's two members, or a Google API's error in the message."""
    told = next((each for each in error.args if isinstance(each, Mapping)), {})
    words = str(told.get("error_description") or "") or _line(error.args[0] if error.args else error)
    said = f": {_line(words)}"
    code = str(told.get("error", ""))
    everything = f"{code} {words} {' '.join(map(str, error.args))}".lower()
    for mark, sentence, hint in _BY_MARK:
        if mark in everything:
            return f"{sentence}{said}", hint.format(path=path)
    return f"Google gave no token{said}", "run `gcloud auth application-default print-access-token` to see it again"


_FEDERATION = (
    "check the pool and provider in the file: `gcloud iam workload-identity-pools providers describe`, its issuer, audience and "
    "attribute condition"
)
_BY_MARK: tuple[tuple[str, str, str], ...] = (
    ("reauth", "Google wants this login to be confirmed again", LOGIN),
    ("invalid_rapt", "Google wants this login to be confirmed again", LOGIN),
    ("expired or revoked", "the login has ended", LOGIN),
    (
        "invalid jwt signature",
        "Google does not know this key any more",
        "make a new one: `gcloud iam service-accounts keys create`, and put it in {path}",
    ),
    (
        "account not found",
        "the service account does not exist any more",
        "make a key of another one, and put it in {path}",
    ),
    (
        "short-lived token",
        "Google takes this machine's clock to be wrong",
        "set the clock of this machine (timedatectl set-ntp true)",
    ),
    ("invalid_target", "the workload identity pool or its provider does not exist", _FEDERATION),
    ("unauthorized_client", "the workload identity pool does not take this identity", _FEDERATION),
    (
        "getaccesstoken",
        "the identity may not act as the service account",
        "grant it roles/iam.workloadIdentityUser on the account: `gcloud iam service-accounts add-iam-policy-binding`",
    ),
    (
        "unable to acquire impersonated credentials",
        "the identity may not act as the service account",
        "grant it roles/iam.workloadIdentityUser on the account: `gcloud iam service-accounts add-iam-policy-binding`",
    ),
    ("invalid_client", "Google does not know the client of this login", LOGIN),
    (
        "executables need to be explicitly allowed",
        "the file wants to run a program",
        "export GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1",
    ),
    ("retrieve subject token", "the identity that the file leads to is not there", "check credential_source in {path}"),
    ("file", "a file that the credentials need cannot be read", "check credential_source in {path}"),
    ("invalid_grant", "Google refused what the file holds", f"{_FEDERATION}; for a login {LOGIN}"),
)
"""By a part of what was said, in lower case."""


def _by_metadata(error: MetadataRefused) -> tuple[str, str]:
    said = f": {error.text}" if error.text else ""
    if error.status == 403 or "iam returned 403" in error.text.lower():
        return f"the metadata service gave no token (status {error.status}){said}", (
            "let the pod's service account act as the one that its annotation names: grant roles/iam.workloadIdentityUser to "
            "serviceAccount:PROJECT.svc.id.goog[NAMESPACE/NAME]"
        )
    if error.status == 404:
        return f"no service account is attached to this machine{said}", (
            "attach one: `gcloud compute instances set-service-account`, on GKE turn on Workload Identity"
        )
    return f"the metadata service gave no token (status {error.status}){said}", "try again; check the machine's account"


def _unreachable(error: Exception) -> tuple[str, str]:
    return "Google's token service cannot be reached", (
        "check the network and proxies on the way to oauth2.googleapis.com and sts.googleapis.com"
    )


def _line(text: object) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= _MOST else f"{line[:_MOST]}…"
