"""What only Amazon Bedrock has: in which of its APIs a model is asked, and what is behind a name that does not tell."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from trimaran.config.kinds import OneOf, name
from trimaran.config.setting import Setting, Table

__all__ = ["BEDROCK_APIS", "BaseModels", "BedrockApi"]

BEDROCK_APIS = ("converse", "invoke")
_UPSTREAM_NAME = r"[A-Za-z0-9@][A-Za-z0-9._:/@+-]{0,199}"

BedrockApi: TypeAlias = Annotated[
    str,
    Setting(
        kind=OneOf(BEDROCK_APIS, what="API", example="converse"),
        what="Bedrock: the API its models are asked in. `converse` is the same for all models; `invoke` takes each model's own "
        "body, which Claude, Llama and Mistral have.",
        why="A permission or a guardrail may be for one of them only, and Anthropic's clients lose nothing through `invoke`.",
        reason="Converse carries more of a conversation than any but Claude's own body",
        default="converse, and for clients of Anthropic's API invoke where the model is Claude",
    ),
]
BaseModels: TypeAlias = Annotated[
    dict[str, str],
    Setting(
        kind=Table(
            name(
                _UPSTREAM_NAME,
                expected="a model's or inference profile's id",
                example="us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            ),
            key=_UPSTREAM_NAME,
            key_expected="an ARN or id as it stands in targets",
            expected="names with the models behind them",
            example="base_models: {arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdefghijkl: "
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0}",
        ),
        what="Bedrock: what is behind names that do not tell it: application inference profiles, provisioned throughput, "
        "imported and trained models.",
        why="What a model can do, in which API it is asked, and what it costs go by the model.",
        reason="ids of models and profiles, and their ARNs, tell it themselves",
        default="none",
    ),
]
