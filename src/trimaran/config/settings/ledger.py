"""Where attempts are recorded."""

from __future__ import annotations

from typing import Annotated

import msgspec

from trimaran.config.kinds import FOLDER
from trimaran.config.setting import Setting

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
