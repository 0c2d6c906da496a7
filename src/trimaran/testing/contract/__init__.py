"""Contract suites: the vendor's SDK judges whoever claims to speak its dialect.

They run alike against a simulated provider, a gateway, or (with ``simulated=False``) the real thing. The SDKs are
imported when a session is made.
"""

from __future__ import annotations

from trimaran.testing.contract.anthropic_messages import (
    ANTHROPIC_MESSAGES,
    AnthropicSession,
    check_anthropic_messages,
)
from trimaran.testing.contract.openai_chat import OPENAI_CHAT, OpenAISession, check_openai_chat
from trimaran.testing.contract.suite import SIMULATED_MODELS, Check, ContractError, Session, Suite, plain

__all__ = [
    "ANTHROPIC_MESSAGES",
    "OPENAI_CHAT",
    "SIMULATED_MODELS",
    "AnthropicSession",
    "Check",
    "ContractError",
    "OpenAISession",
    "Session",
    "Suite",
    "check_anthropic_messages",
    "check_openai_chat",
    "plain",
]
