"""What AWS says when it refuses, and what mends it.

An error of an AWS service has a name, in the header ``x-amzn-errortype`` or in the body's ``__type``, and a sentence. The
names are in the table that all dialects share (:mod:`trimaran.wire.failures`); this module knows the sentences. Several say
that the *operator* has something to do, although their name blames the request: a model without on-demand throughput is a
``ValidationException``. Such a target is taken for missing, so that another one is asked.

Every mend names the command or the page. A sentence about a credential is never shown, as everywhere else: the permission
that is missing is told out of it. Others name the caller, too: who the gateway acts as, and in which account, is taken out of
every sentence and body before anybody keeps it. A fault of the model behind the service carries the model's
own status.

Sources, read 2026-11-30: botocore 1.44.8 (``bedrock-runtime``, ``sagemaker-runtime``);
https://docs.aws.amazon.com/bedrock/latest/userguide/model-access.html (models need no request any more, but permissions of
AWS Marketplace, and Anthropic's a form), .../troubleshooting-api-error-codes.html, .../inference-profiles-support.html;
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from trimaran.errors import (
    AttemptError,
    CredentialRejected,
    Overloaded,
    RateLimited,
    Rejected,
    ServerFault,
    TargetNotFound,
)
from trimaran.wire.failures import Complaint, attempt_error, read_complaint
from trimaran.wire.members import BAD_JSON

__all__ = ["anonymous", "aws_error", "error_name"]

_CALLER = re.compile(rb"arn:aws[a-z-]*:(?:sts|iam)::[^\s\"'\\<>)]*[^\s\"'\\<>).,;:]")
_ACCOUNT = re.compile(rb" of account [0-9]{12}(?![0-9])|(?<=:)[0-9]{12}(?=:)")

_MODEL_FAULTS = frozenset({"ModelError", "ModelErrorException", "ModelStreamErrorException"})
_STATUS_OF = {
    "ModelError": 424,
    "ModelErrorException": 424,
    "ModelStreamErrorException": 424,
    "ModelTimeoutException": 408,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "ValidationException": 400,
}
"""Of exceptions in a stream; any other one is the service's own fault."""
_STATUSES = ("originalStatusCode", "OriginalStatusCode")
_SENTENCES = ("originalMessage", "OriginalMessage")

_ACCESS = (
    "the account has no access to this model: see `aws bedrock get-foundation-model-availability --model-id <id>`; the role "
    "needs aws-marketplace:Subscribe and aws-marketplace:ViewSubscriptions once, and Anthropic's models the form of "
    "`aws bedrock put-use-case-for-model-access` (https://docs.aws.amazon.com/bedrock/latest/userguide/model-access.html)"
)
_PROFILE = (
    "set the target to the inference profile, for example us.<model id>: `aws bedrock list-inference-profiles` shows those of "
    "the region"
)
_MODEL_ID = (
    "see which models and profiles the region has: `aws bedrock list-foundation-models` and "
    "`aws bedrock list-inference-profiles`"
)
_ALLOWED = (
    "the account may not run this operation: see `aws bedrock get-foundation-model-availability --model-id <id>`, and ask AWS "
    "Support if it is available there"
)
_ENDPOINT = "see `aws sagemaker list-endpoints` and `aws sagemaker list-inference-components` in the target's region"
_CLOCK = "the machine's clock is wrong: AWS allows 15 minutes; set it by NTP (`timedatectl set-ntp true`)"
_EXPIRED = (
    "the temporary credential has expired: renew it (`aws sso login`, or whatever set AWS_SESSION_TOKEN); `trimaran doctor` "
    "shows which one is used"
)
_UNKNOWN_KEY = "AWS does not know this access key: `aws sts get-caller-identity` tells whether it is valid"
_WRONG_SECRET = (
    "the secret access key is not the one of the access key id, or the target's region is another one than that of its "
    "address: `aws sts get-caller-identity` tells whether the pair is valid"
)
_NO_CREDENTIAL = "no credential was sent: `trimaran doctor` shows where one was looked for"
_POLICY_DENIES = (
    "a policy of the organisation denies it: a cross-region inference profile needs all of its regions, which "
    "`aws bedrock get-inference-profile --inference-profile-identifier <id>` lists"
)

_BY_SENTENCE: tuple[tuple[str, type[AttemptError] | None, str], ...] = (
    ("on-demand throughput", TargetNotFound, _PROFILE),
    ("model identifier is invalid", TargetNotFound, _MODEL_ID),
    ("end of its life", TargetNotFound, _MODEL_ID),
    ("have access to the model", TargetNotFound, _ACCESS),
    ("model access is denied", TargetNotFound, _ACCESS),
    ("use case details", TargetNotFound, _ACCESS),
    ("use-case form", TargetNotFound, _ACCESS),
    ("operation not allowed", TargetNotFound, _ALLOWED),
    ("not authorized to invoke this api operation", TargetNotFound, _ALLOWED),
    ("signature expired", CredentialRejected, _CLOCK),
    ("signature not yet current", CredentialRejected, _CLOCK),
    ("token included in the request is expired", CredentialRejected, _EXPIRED),
    ("explicit deny in a service control policy", CredentialRejected, _POLICY_DENIES),
)
"""By a part of the sentence, in lower case: what it means, and what mends it."""
_OF_THE_OPERATOR = (
    (
        "provisioned model is in status",
        "its state: `aws bedrock get-provisioned-model-throughput --provisioned-model-id <id>`",
    ),
    ("kms key", "see `aws kms describe-key --key-id <id>`; the role needs kms:Decrypt and kms:GenerateDataKey on it"),
)
"""Parts of a ``ValidationException`` about something of the account's own: no other request would do better there."""
_MISSING_ENDPOINT = re.compile(
    r"(?:endpoint|inference component) \S+ .*not found|could not find endpoint", re.IGNORECASE
)

_BY_NAME = {
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "FTUFormNotFilled": _ACCESS,
    "InvalidClientTokenId": _UNKNOWN_KEY,
    "InvalidSignatureException": _WRONG_SECRET,
    "MissingAuthenticationToken": _NO_CREDENTIAL,
    "MissingAuthenticationTokenException": _NO_CREDENTIAL,
    "RequestExpired": _CLOCK,
    "SignatureDoesNotMatch": _WRONG_SECRET,
    "UnrecognizedClientException": _UNKNOWN_KEY,
}
_STALE = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "UnrecognizedClientException",
    }
)
"""Words for a credential that another one may replace. A permission that is missing or a clock that is wrong
(InvalidSignatureException) are the same for the next credential."""
_ACTION = re.compile(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)")


def error_name(word: str) -> str:
    """The name of an error as AWS writes it in a header or a body: without the namespace before ``#`` and the address
    after ``:``; that of a stream's exception with a capital."""
    name = word.rpartition("#")[2].partition(":")[0].strip()
    return name[:1].upper() + name[1:]


def anonymous(said: bytes) -> bytes:
    """What AWS said, without the caller's ARN and the number of its account: they are nobody's business but the operator's."""
    return _ACCOUNT.sub(b"", _CALLER.sub(b"the caller", said)) if b"arn:" in said or b" of account " in said else said


def aws_error(
    error_type: str,
    body: bytes,
    status: int = 0,
    *,
    dialect: str = "",
    retry_after: bytes | None = None,
    content_type: str = "",
    now_s: float | None = None,
) -> AttemptError:
    """The error that a refusal of an AWS service means. ``error_type`` is what the header says, or the name of a stream's
    exception, which has no ``status``; ``body`` is the answer's, or the exception's payload. ``dialect`` is the one whose
    clients may be shown the body as it is."""
    body = anonymous(body)
    try:
        members = msgspec.json.decode(body)
    except BAD_JSON:
        members = None
    complaint = read_complaint(members)
    name = error_name(error_type or complaint.type)
    sentence = complaint.message
    if name in _MODEL_FAULTS:
        kind, sentence = _model_fault(members, sentence)
        hint = ""
    else:
        kind, hint = _mend(name, sentence)
    status = status or _STATUS_OF.get(name, 500)
    error = attempt_error(
        Complaint(sentence, "", name, status),
        dialect=dialect,
        status=status,
        retry_after=retry_after,
        content_type=content_type,
        body=body,
        now_s=now_s,
        kind=kind,
        hint=hint,
    )
    if isinstance(error, CredentialRejected):
        error.stale = name in _STALE
        error.lasting = bool(name) and not error.stale
    return error


def _mend(name: str, sentence: str) -> tuple[type[AttemptError] | None, str]:
    """What is known of a sentence beyond its error's name, and what mends it."""
    words = sentence.lower()
    for mark, kind, hint in _BY_SENTENCE:
        if mark in words:
            return kind, hint
    if name == "ValidationException":
        for mark, hint in _OF_THE_OPERATOR:
            if mark in words:
                return TargetNotFound, hint
    if _MISSING_ENDPOINT.search(sentence):
        return TargetNotFound, _ENDPOINT
    if action := _ACTION.search(sentence):
        if action[1].startswith("aws-marketplace:"):
            return TargetNotFound, _ACCESS
        return CredentialRejected, f"allow {action[1]} on the target's resource in the IAM policy of the role or user"
    return None, _BY_NAME.get(name, "")


def _model_fault(members: Any, sentence: str) -> tuple[type[AttemptError] | None, str]:
    """A fault of the model: what its own status and sentence mean."""
    told = members if isinstance(members, dict) else {}
    status = next((told[key] for key in _STATUSES if type(told.get(key)) is int), 0)
    own = next((told[key] for key in _SENTENCES if isinstance(told.get(key), str)), "")
    if own and own not in sentence:
        sentence = f"{sentence.rstrip('. ')}: {own}"[:2000] if sentence else own
    if status in (400, 413, 422):
        return Rejected, sentence
    if status == 429:
        return RateLimited, sentence
    return (Overloaded if status == 503 else ServerFault), sentence
