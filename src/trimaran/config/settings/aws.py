"""Who the gateway acts as at AWS. These stand flat among a provider's settings, because that is how people say it:
``bedrock: {region: us-east-1, profile: prod}``. All are optional; left out, the credentials are looked for where every AWS
tool looks: environment, profile, SSO, web identity, container, instance.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from trimaran.config.kinds import SECRET, name
from trimaran.config.setting import Setting
from trimaran.types import Secret

__all__ = ["AccessKeyId", "ExternalId", "Profile", "RoleArn", "RoleSessionName", "SecretAccessKey", "SessionToken"]

Profile: TypeAlias = Annotated[
    str,
    Setting(
        kind=name(r"[^\s\[\]]{1,128}", expected="the name of an AWS profile", example="prod"),
        what="The profile of `~/.aws/config` whose credentials and region are used (AWS only).",
        why="Several accounts, and SSO, are told apart by profiles.",
        reason="as AWS's own tools do",
        default="AWS_PROFILE, else what the environment holds",
    ),
]
RoleArn: TypeAlias = Annotated[
    str,
    Setting(
        kind=name(
            r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,512}",
            expected="the ARN of an IAM role",
            example="arn:aws:iam::123456789012:role/models",
        ),
        what="A role that is assumed with the credentials found, and renewed before it expires (AWS only).",
        why="Models are often in another account than the gateway.",
        reason="the credentials found are used as they are",
        default="none",
    ),
]
ExternalId: TypeAlias = Annotated[
    str,
    Setting(
        kind=name(r"[\w+=,.@:/-]{2,1224}", expected="an external id", example="trimaran-1"),
        what="What the role's trust policy asks for besides (AWS only).",
        why="Roles of other companies are shared so.",
        reason="few roles ask for one",
        default="none",
    ),
]
RoleSessionName: TypeAlias = Annotated[
    str,
    Setting(
        kind=name(r"[\w+=,.@-]{2,64}", expected="a session name", example="trimaran-eu"),
        what="What CloudTrail calls the sessions of `role_arn` (AWS only).",
        why="Whoever reads the account's logs wants to know who came.",
        reason="it names this program",
        default="trimaran",
    ),
]
AccessKeyId: TypeAlias = Annotated[
    Secret | None,
    Setting(
        kind=SECRET,
        what="An access key id, as a reference, where several providers have different ones (AWS only).",
        why="Keys that do not expire are the last resort; a profile or a role is better.",
        reason="AWS_ACCESS_KEY_ID is read without it",
        default="what the environment or the profile holds",
    ),
]
SecretAccessKey: TypeAlias = Annotated[
    Secret | None,
    Setting(
        kind=SECRET,
        what="The secret key that belongs to `access_key_id`, as a reference (AWS only).",
        why="One is of no use without the other.",
        reason="AWS_SECRET_ACCESS_KEY is read without it",
        default="what the environment or the profile holds",
    ),
]
SessionToken: TypeAlias = Annotated[
    Secret | None,
    Setting(
        kind=SECRET,
        what="The session token of temporary keys, as a reference (AWS only).",
        why="Temporary keys are refused without it.",
        reason="keys of users have none",
        default="none",
    ),
]
