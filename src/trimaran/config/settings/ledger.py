"""Where attempts are recorded."""

from __future__ import annotations

from typing import Annotated

import msgspec

from trimaran.config.kinds import DATABASE, FOLDER, OneOf
from trimaran.config.setting import Setting
from trimaran.types import Secret

__all__ = ["LedgerConfig"]


class LedgerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where attempts are recorded."""

    dir: Annotated[
        str,
        Setting(
            kind=FOLDER,
            what="The folder of journal and database; made with mode 0700.",
            why="It outlives the process, and in a container it must be a volume.",
            unit="path",
            reason="where the XDG Base Directory specification puts what a program must keep",
            default="$XDG_STATE_HOME/trimaran, else ~/.local/state/trimaran",
            option="--ledger-dir",
        ),
    ] = ""
    url: Annotated[
        Secret | None,
        Setting(
            kind=DATABASE,
            what="A PostgreSQL database that keeps the ledger in place of the file in `ledger.dir`; as a reference where it "
            'holds a password. Needs `pip install "trimaran[postgres]"`. The journal stays in `ledger.dir`.',
            why="Several gateways report to one place, and your tools ask there.",
            unit="URL",
            reason="a file needs no server and no care",
            default="none: a SQLite file in `ledger.dir`",
        ),
    ] = None
    on_failure: Annotated[
        str,
        Setting(
            kind=OneOf(("serve", "refuse"), what="policy", example="refuse"),
            what="What happens while attempts cannot be recorded, because the journal cannot be written: `serve` goes on "
            "(records wait in memory, up to 64 MB for each worker), `refuse` answers 503. With `refuse`, the gateway also "
            "does not start when the ledger cannot be used.",
            why="Whether an answer or its record matters more is yours to say.",
            reason="a full disk should not stop your users; nothing is lost until the memory is used up, too",
        ),
    ] = "serve"
