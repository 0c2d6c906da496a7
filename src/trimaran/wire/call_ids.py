"""Ids of tool calls and of end users, which each provider makes in its own form and some check.

An id only ties a call to its result within one conversation. One that another provider would refuse is therefore
rewritten, the same way wherever it stands, and differently from every other id.
"""

from __future__ import annotations

import hashlib
import re

__all__ = ["fitting_id", "fitting_user"]

_LONGEST_USER = 64
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


def fitting_id(id: str, longest: int = 64) -> str:
    """``id`` where it is made of letters, digits, ``_`` and ``-`` and not longer than ``longest``; otherwise one made
    from it."""
    if len(id) <= longest and _PLAIN.fullmatch(id):
        return id
    digest = hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    return f"call_{digest}"


def fitting_user(user: str) -> str:
    """``user`` where OpenAI takes it; otherwise a digest of it, which is as opaque and as steady.

    ``safety_identifier``, the newer name of this field, takes 128 characters (``openai`` SDK 3.57); ``user`` was refused
    above 64, and compatible servers know only that one. Anthropic's clients send more than both.
    """
    if len(user) <= _LONGEST_USER:
        return user
    return hashlib.blake2b(user.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
