"""Who may ask, and who pays."""

from __future__ import annotations

from typing import Annotated

import msgspec

from trimaran.config.kinds import DIGEST, EXACT_NAME, MOMENT, NAME, SECRET, TAG, name
from trimaran.config.setting import Listing, Setting, Table
from trimaran.config.settings.accounts import Budgets, RequestsPerMinute, TokensPerMinute
from trimaran.types import DEFAULT_TENANT, Secret

__all__ = ["KeyConfig"]


class KeyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A client's key. Only its digest is kept; ``key`` is ``None`` in a loaded configuration."""

    key: Annotated[
        Secret | None,
        Setting(
            kind=SECRET,
            what="The key that clients send, as a reference. Either this or `digest`.",
            why="The easiest way where a secret store already fills the environment.",
            reason="a key must be chosen by you",
            default="none",
        ),
    ] = None
    digest: Annotated[
        bytes,
        Setting(
            kind=DIGEST,
            what="The SHA-256 digest of the key. Either this or `key`.",
            why="The file and this process then never see the key itself.",
            reason="a key must be chosen by you",
            default="of `key`",
        ),
    ] = b""
    tenant: Annotated[
        str,
        Setting(
            kind=name(NAME, expected="a tenant's name", example="acme"),
            what="Who pays for what the key is used for.",
            why="The tenant stands on every row of the ledger.",
            reason="most installations have one",
        ),
    ] = DEFAULT_TENANT
    tags: Annotated[
        dict[str, str],
        Setting(
            kind=Table(
                TAG, key=NAME, key_expected="a tag's name", expected="tags", example='tags: {cost_center: "42"}'
            ),
            what="What spend is grouped by.",
            why="`trimaran spend --by tag:NAME` reads them.",
            reason="groups are yours to choose",
            default="none",
        ),
    ] = {}
    models: Annotated[
        tuple[str, ...],
        Setting(
            kind=Listing(
                name(EXACT_NAME, expected="a public model's name", example="chat"),
                expected="a list of public models",
                example="[chat]",
            ),
            what="The models it may call.",
            why="A key for one application should not open the dearest model.",
            reason="a key that can do nothing surprises more",
            default="all models",
        ),
    ] = ()
    budget: Budgets = ()
    rpm: RequestsPerMinute = None
    tpm: TokensPerMinute = None
    expires_ns: Annotated[
        int | None,
        Setting(
            kind=MOMENT,
            what="From when on the key is refused: a date (from its first moment, UTC) or a date and time of UTC.",
            why="A key that somebody forgot must not stay good for ever.",
            reason="a key that ends by surprise is worse than one that does not",
            unit="date, or date and time, of UTC",
            default="never",
        ),
    ] = None

    def __repr__(self) -> str:
        # The digest of a weak key is as good as the key.
        return f"KeyConfig(tenant={self.tenant!r}, tags={self.tags!r}, models={self.models!r})"
