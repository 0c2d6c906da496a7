"""Simulated Amazon Bedrock: what of it hangs on one port."""

from __future__ import annotations

from trimaran.testing.aws import AwsAccount
from trimaran.testing.bedrock_control import BedrockControl, BedrockCountTokens
from trimaran.testing.bedrock_converse import BedrockConverse
from trimaran.testing.bedrock_invoke import BedrockInvoke
from trimaran.testing.bedrock_models import BedrockModels
from trimaran.testing.dialect import Dialect, LookUp

__all__ = ["BEDROCK_DIALECTS", "bedrock_dialects", "bedrock_look_ups"]

BEDROCK_DIALECTS = ("bedrock.converse", "bedrock.invoke", "bedrock.count_tokens")


def bedrock_dialects(account: AwsAccount, models: BedrockModels) -> list[Dialect]:
    """What answers a POST to a model."""
    return [BedrockConverse(account, models), BedrockInvoke(account, models), BedrockCountTokens(account, models)]


def bedrock_look_ups(account: AwsAccount, models: BedrockModels) -> list[LookUp]:
    """What tells which models there are."""
    return [BedrockControl(account, models)]
