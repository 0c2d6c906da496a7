"""What of a user's text may stand in a message.

People paste credentials into the wrong field, so a message repeats text only after asking :func:`quote`. It errs on the
side of hiding: a name that is hidden needlessly costs a look at the file, a credential in a log costs much more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["closest", "may_be_credential", "quote"]

_LONGEST = 80

# What vendors put in front of their keys, followed by anything key-like.
_KNOWN_PREFIX = re.compile(
    r"(?i)(?<![a-z0-9])(?:sk|pk|rk|gsk|xai|pplx|fw|csk|tgp|ghp|gho|ghs|github_pat|glpat|hf|xox[a-z]|akia|asia|aiza|eyj)"
    r"[-_]?[a-z0-9+/=_-]{6,}"
)
_BEARER = re.compile(r"(?i)\b(?:bearer|basic)\s+\S")
_USER_INFO = re.compile(r"//[^/\s]*@")
_RUN = re.compile(r"[A-Za-z0-9+=]{16,}")
_UUID = re.compile(r"(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def quote(text: str) -> str:
    """``'text'`` for a message: cut to one short printable line, or ``'***'`` where it may be a credential."""
    if _suspicious(text):
        return "'***'"
    shown = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return repr(shown)


def may_be_credential(text: str) -> bool:
    """Whether ``text`` looks like one; rather too often than too seldom."""
    return _suspicious(text)


def _suspicious(text: str) -> bool:
    if any(pattern.search(text) for pattern in (_KNOWN_PREFIX, _BEARER, _USER_INFO, _UUID)):
        return True
    # A long run of letters *and* digits without a break is a token, not a word; so is a very long run of either.
    return any(
        len(run) >= 32 or (any(c.isdigit() for c in run) and any(c.isalpha() for c in run))
        for run in _RUN.findall(text)
    )


def closest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The name that ``word`` most likely misspells, or ``None``. ``cutoff`` goes from 0 (any) to 1 (the same)."""
    # Imported late: difflib is needed only when something is already wrong.
    from difflib import get_close_matches

    names = {name.lower(): name for name in known}
    found = get_close_matches(word.lower()[:_LONGEST], list(names), n=1, cutoff=cutoff)
    return names[found[0]] if found else None
