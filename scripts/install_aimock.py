"""Puts aimock, a mock of the providers' APIs that nobody here wrote, into .tools/aimock for tests/gateway/test_aimock.py.

    python3 scripts/install_aimock.py

npm fetches the package from the registry that this machine uses. The archive must have the checksum that stands here
before anything is unpacked; it has no dependencies and is not built, so that no script of a package runs. Done once: a
second call finds it and does nothing. Exits 1 with the reason when it cannot.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "@copilotkit/aimock"
VERSION = "1.43.0"
SHA512 = "V8D8cjSMtAR4rHaD2ulp3DR/ZguXQjDNOqwKDNvjb/OJL/KR1I0SDf5xpRCd+TYKjhmf9fM8Xpg3QBKPmV9Kmw=="
"""Of the archive, in base64: what the registry states as ``dist.integrity``, read on 2026-11-24."""
FETCH_S = 120
FOLDER = Path(__file__).resolve().parents[1] / ".tools" / "aimock"


def installed() -> bool:
    """Whether this very version is there."""
    try:
        return bool(json.loads((FOLDER / "package.json").read_text("utf-8"))["version"] == VERSION)
    except (OSError, ValueError, KeyError):
        return False


def fetch(folder: Path) -> Path:
    """The package's archive in ``folder``, checked."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("aimock: there is no npm")
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent", "--ignore-scripts", f"--pack-destination={folder}"]
    try:
        subprocess.run(command, cwd=folder, check=True, timeout=FETCH_S, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError) as error:
        raise SystemExit(f"aimock: npm could not fetch it: {error}") from None
    (archive,) = folder.glob("*.tgz")
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != SHA512:
        raise SystemExit(f"aimock: sha512 is {found}, not {SHA512}; nothing is unpacked")
    return archive


def main() -> int:
    """Install where it is missing."""
    if installed():
        return 0
    FOLDER.parent.mkdir(exist_ok=True)
    # Unpacked beside its place and moved there whole: what is there is complete.
    with tempfile.TemporaryDirectory(dir=FOLDER.parent) as temporary:
        folder = Path(temporary)
        with tarfile.open(fetch(folder)) as archive:
            # The attribute, not the argument: Python 3.11.3 and older know neither, and are not disturbed by this.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(folder / "unpacked")
        shutil.rmtree(FOLDER, ignore_errors=True)
        (folder / "unpacked" / "package").rename(FOLDER)
    print(f"aimock {VERSION} is in {FOLDER}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
