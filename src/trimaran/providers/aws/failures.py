"""What goes wrong on the way to AWS credentials, in one sentence each with the command that mends it.

Foreign errors are told apart by their class's name: botocore's classes cannot be imported here, because it may be missing,
and their texts are written for programmers. What AWS itself says is repeated where it helps, cut and on one line; it names
principals and roles, never secrets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from trimaran.errors import ConfigError
from trimaran.providers.aws.region import REGION_HINT, config_file, profile_named

if TYPE_CHECKING:
    from trimaran.providers.aws.credentials import AwsIdentity

__all__ = ["aws_words", "code_of", "explained", "explained_code"]

_SKEW_CODES = ("RequestTimeTooSkewed", "RequestExpired", "SignatureDoesNotMatch", "InvalidSignatureException")
_EXPIRED_CODES = ("ExpiredToken", "ExpiredTokenException")
_UNKNOWN_CODES = ("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId")
_DENIED_CODES = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")

_Explain = Callable[[Any, "AwsIdentity", Mapping[str, str]], tuple[str, str]]


def explained(error: Exception, identity: AwsIdentity, environ: Mapping[str, str]) -> ConfigError:
    """What botocore raised while it looked for credentials, as people should hear it."""
    if type(error) is RuntimeError and "expired" in str(error):
        message, hint = _still_expired(error, identity, environ)
        return ConfigError(message, where=identity.where, hint=hint)
    for kind in type(error).__mro__:
        explain = _EXPLANATIONS.get(kind.__name__)
        if explain is not None:
            message, hint = explain(error, identity, environ)
            return ConfigError(message, where=identity.where, hint=hint)
    return ConfigError(
        f"the AWS credentials could not be fetched ({type(error).__name__})",
        where=identity.where,
        hint=f"run `{_aws(identity, environ, 'sts get-caller-identity')}`: it looks in the same places",
    )


def code_of(error: Any) -> str:
    """The code of an AWS service's error: ``AccessDenied``."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))


def aws_words(error: Any, most: int = 300) -> str:
    """What an AWS service said, on one line."""
    text = " ".join(str(getattr(error, "response", {}).get("Error", {}).get("Message", "")).split())
    return text if len(text) <= most else f"{text[:most]}…"


def explained_code(
    code: str, words: str, doing: str, identity: AwsIdentity, environ: Mapping[str, str]
) -> tuple[str, str]:
    """What a service refused while ``doing`` something: a sentence, and what mends it."""
    said = f": {words}" if words else ""
    if code in _EXPIRED_CODES:
        return f"the AWS session has expired{said}", _login(identity, environ)
    if code in _UNKNOWN_CODES:
        return f"AWS does not know this access key{said}", "check AWS_ACCESS_KEY_ID, or run `aws configure` again"
    if code in _SKEW_CODES:
        return (
            f"AWS did not accept the signature{said}",
            "set the clock of this machine (timedatectl set-ntp true); if it is right, the secret key is not the one that "
            "belongs to the key id",
        )
    if code in _DENIED_CODES:
        return f"not allowed: {doing}{said}", "add the permission to the role's or user's policy"
    return f"{doing} failed ({code or 'no code'}){said}", "try again; https://health.aws.amazon.com shows outages"


def _kwargs(error: Any) -> Mapping[str, Any]:
    """What botocore put into its sentence; Python's own errors have none."""
    return getattr(error, "kwargs", None) or {}


def _aws(identity: AwsIdentity, environ: Mapping[str, str], command: str) -> str:
    profile = profile_named(identity.profile, environ)
    return f"aws {command}" if profile == "default" else f"aws {command} --profile {profile}"


def _login(identity: AwsIdentity, environ: Mapping[str, str]) -> str:
    return f"run `{_aws(identity, environ, 'sso login')}`, or export fresh keys"


def _sso(error: Any, identity: AwsIdentity, environ: Mapping[str, str]) -> tuple[str, str]:
    profile = profile_named(identity.profile, environ)
    return f"the SSO session of profile {profile} has expired", f"run `{_aws(identity, environ, 'sso login')}`"


def _sso_missing(error: Any, identity: AwsIdentity, environ: Mapping[str, str]) -> tuple[str, str]:
    profile = profile_named(identity.profile, environ)
    return f"nobody is logged in to the SSO session of profile {profile}", (
        f"run `{_aws(identity, environ, 'sso login')}`"
    )


def _logged_out(error: Any, identity: AwsIdentity, environ: Mapping[str, str]) -> tuple[str, str]:
    profile = profile_named(identity.profile, environ)
    return f"the login of profile {profile} has expired", f"run `{_aws(identity, environ, 'login')}`"


def _no_profile(error: Any, identity: AwsIdentity, environ: Mapping[str, str]) -> tuple[str, str]:
    profile = profile_named(identity.profile, environ)
    return (
        f"there is no profile {profile} in {config_file(environ)}",
        f"run `aws configure sso --profile {profile}`; `aws configure list-profiles` shows those that there are",
    )


def _unreadable(error: Any, identity: AwsIdentity, environ: Mapping[str, str]) -> tuple[str, str]:
    path = _kwargs(error).get("path", config_file(environ))
    return f"{path} cannot be read as a configuration of the AWS CLI", "mend it, or name another with AWS_CONFIG_FILE"


def _partial(error: Any, identity: AwsIdentity, environ: Mapping[str, str]) -> tuple[str, str]:
    profile = profile_named(identity.profile, environ)
    missing = _kwargs(error).get("cred_var", "a setting")
    return f"{missing} is missing in profile {profile}", f"add it to {config_file(environ)}"


def _invalid(error: Any, identity: AwsIdentity, environ: Mapping[str, str]) -> tuple[str, str]:
    return " ".join(str(error).split()), f"mend it in {config_file(environ)}, or in the environment"


def _no_region(error: Any, identity: AwsIdentity, environ: Mapping[str, str]) -> tuple[str, str]:
    return "no AWS region is known, and a role cannot be assumed without one", REGION_HINT


def _refused(error: Any, identity: AwsIdentity, environ: Mapping[str, str]) -> tuple[str, str]:
    operation = str(getattr(error, "operation_name", ""))
    code, words = code_of(error), aws_words(error)
    if operation == "AssumeRole" and code in _DENIED_CODES:
        role = identity.role_arn or "of the profile"
        return f"the role {role} may not be assumed: {words}", (
            "let its trust policy name the principal that asks, and check external_id"
        )
    if operation == "AssumeRoleWithWebIdentity":
        role = identity.role_arn or environ.get("AWS_ROLE_ARN", "")
        return f"the role {role} may not be assumed with the pod's token ({code}): {words}", (
            "check the role's trust policy (OIDC provider, namespace:serviceaccount) and the service account's annotation "
            "eks.amazonaws.com/role-arn"
        )
    return explained_code(code, words, operation or "the call", identity, environ)


def _retrieval(error: Any, identity: AwsIdentity, environ: Mapping[str, str]) -> tuple[str, str]:
    provider = str(_kwargs(error).get("provider", ""))
    profile = profile_named(identity.profile, environ)
    if provider == "custom-process":
        # Its words are not ours to repeat: a process may print anything.
        return f"the credential_process of profile {profile} failed", (
            f"run `{_aws(identity, environ, 'configure export-credentials')}` to see what it says"
        )
    if provider == "container-role":
        return "the container's credential endpoint did not give any", (
            "check the task role (ECS), or the pod identity association and its agent (EKS)"
        )
    if provider == "iam-role":
        return "the instance's metadata service did not give any credentials", "check the instance profile's role"
    return f"{provider or 'a link of the chain'} did not give any credentials", (
        f"run `{_aws(identity, environ, 'sts get-caller-identity')}`: it looks in the same places"
    )


def _token(error: Any, identity: AwsIdentity, environ: Mapping[str, str]) -> tuple[str, str]:
    return _sso(error, identity, environ)


def _unreachable(error: Any, identity: AwsIdentity, environ: Mapping[str, str]) -> tuple[str, str]:
    url = str(_kwargs(error).get("endpoint_url", "")) or "the AWS endpoint"
    return f"{url} cannot be reached", "check the network, the region's name, and proxies or VPC endpoints on the way"


def _file(error: Any, identity: AwsIdentity, environ: Mapping[str, str]) -> tuple[str, str]:
    name = getattr(error, "filename", "") or "a file of the chain"
    return f"{name} cannot be read: {getattr(error, 'strerror', '') or 'error'}", (
        "check AWS_WEB_IDENTITY_TOKEN_FILE, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE and credential_process"
    )


def _unparsed(error: Any, identity: AwsIdentity, environ: Mapping[str, str]) -> tuple[str, str]:
    return "what gives the credentials answered with something else than JSON", (
        f"run `{_aws(identity, environ, 'sts get-caller-identity')}` to see what it says"
    )


def _still_expired(error: Any, identity: AwsIdentity, environ: Mapping[str, str]) -> tuple[str, str]:
    return "the credentials that were found have expired already", (
        f"{_login(identity, environ)}; check this machine's clock, too"
    )


def _missing(error: Any, identity: AwsIdentity, environ: Mapping[str, str]) -> tuple[str, str]:
    return "this way to sign in needs a package that is not installed", "pip install 'botocore[crt]'"


_EXPLANATIONS: dict[str, _Explain] = {
    "UnauthorizedSSOTokenError": _sso,
    "SSOTokenLoadError": _sso_missing,
    "SSOError": _sso,
    "TokenRetrievalError": _token,
    "LoginError": _logged_out,
    "ProfileNotFound": _no_profile,
    "ConfigParseError": _unreadable,
    "PartialCredentialsError": _partial,
    "InvalidConfigError": _invalid,
    "NoRegionError": _no_region,
    "ClientError": _refused,
    "CredentialRetrievalError": _retrieval,
    "MetadataRetrievalError": _retrieval,
    "HTTPClientError": _unreachable,
    "ConnectionError": _unreachable,
    "MissingDependencyException": _missing,
    "OSError": _file,
    json.JSONDecodeError.__name__: _unparsed,
}
"""By the name of an error's class, or of one that it is derived from."""
