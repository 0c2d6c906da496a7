"""Which signer authenticates a target's requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from trimaran.providers.aws.signer import AwsSigner
from trimaran.providers.bearer import BearerSigner
from trimaran.providers.rows import PROVIDERS
from trimaran.providers.signing import Signer, static_signer
from trimaran.providers.vault import Vault
from trimaran.types import Target

__all__ = ["signer"]


def signer(
    target: Target,
    secret: str,
    headers: Iterable[tuple[str, str]] = (),
    *,
    vault: Vault | None = None,
    wall_ns: Callable[[], int] = time.time_ns,
) -> Signer:
    """What authenticates requests to a target: a ``secret`` that does not change, or what the ``vault`` holds under the
    target's credential; and the headers its provider was configured with.

    Raises :class:`~trimaran.errors.ConfigError` for a value that cannot stand in a header.
    """
    row = PROVIDERS.get(target.kind)
    if row is None or not (row.aws_service or row.token) or secret or vault is None:
        return static_signer(target, secret, headers)
    further = static_signer(target, "", headers).entrance(b"", b"", b"")(b"")
    if row.token:
        return BearerSigner(vault, target.credential, further)
    return AwsSigner(vault, target.credential, target.region or "", row.aws_service, wall_ns, further)
