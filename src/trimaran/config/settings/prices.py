"""What models cost, where the catalogue does not know it or you pay something else."""

from __future__ import annotations

from typing import Annotated

import msgspec

from trimaran.config.kinds import DATE, MONEY, TOKEN_PRICE, text
from trimaran.config.setting import Setting

__all__ = ["PriceConfig"]


class PriceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What one model costs at one provider, where the catalogue does not know it or you pay something else."""

    input_picos: Annotated[
        int,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of input tokens.",
            why="Attempts are billed and bounded with it.",
            unit="USD for a number of tokens",
            reason="a price is never guessed",
        ),
    ]
    output_picos: Annotated[
        int,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of output tokens, reasoning included.",
            why="Attempts are billed and bounded with it.",
            unit="USD for a number of tokens",
            reason="a price is never guessed",
        ),
    ]
    cached_read_picos: Annotated[
        int | None,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of input tokens read from the provider's cache.",
            why="Cached input is usually much cheaper.",
            unit="USD for a number of tokens",
            reason="unknown is not free",
            default="the price of input",
        ),
    ] = None
    cache_write_picos: Annotated[
        int | None,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of input tokens written to the provider's cache.",
            why="Some providers charge more for them than for other input.",
            unit="USD for a number of tokens",
            reason="unknown is not free",
            default="the price of input",
        ),
    ] = None
    cache_write_1h_picos: Annotated[
        int | None,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of input tokens written to a cache that lives for an hour.",
            why="Some providers charge more for the longer life.",
            unit="USD for a number of tokens",
            reason="unknown is not free",
            default="the price of cache_write",
        ),
    ] = None
    reasoning_picos: Annotated[
        int | None,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of output tokens spent on reasoning.",
            why="A few providers charge another price for them.",
            unit="USD for a number of tokens",
            reason="unknown is not free",
            default="the price of output",
        ),
    ] = None
    audio_input_picos: Annotated[
        int | None,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of input tokens that are audio, cached ones included.",
            why="Audio usually costs several times what text costs.",
            unit="USD for a number of tokens",
            reason="unknown is not free",
            default="the price of input",
        ),
    ] = None
    audio_output_picos: Annotated[
        int | None,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of output tokens that are audio.",
            why="Audio usually costs several times what text costs.",
            unit="USD for a number of tokens",
            reason="unknown is not free",
            default="the price of output",
        ),
    ] = None
    request_nanos: Annotated[
        int,
        Setting(
            kind=MONEY,
            what="Price of each request, on top of its tokens.",
            why="Some providers charge for the request itself.",
            unit="USD",
            reason="few providers do",
        ),
    ] = 0
    source: Annotated[
        str,
        Setting(
            kind=text(200, expected="where the price comes from", example="contract 2026-014"),
            what="Where the price comes from; written to the ledger.",
            why="A bill that is disputed a year later needs its source.",
            reason="the file itself is the source",
        ),
    ] = "configuration"
    as_of: Annotated[
        str,
        Setting(
            kind=DATE,
            what="When the price was read; written to the ledger as part of the price version.",
            why="Prices change, and old rows must say which one they used.",
            unit="date",
            reason="without a date, a digest of the figures stands for the version",
        ),
    ] = ""
