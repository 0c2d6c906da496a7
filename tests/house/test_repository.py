"""The repository's own conventions, as tests with reasons."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))

# Spelt in pieces, so that this file does not hold what it looks for.
REGISTRIES = (
    "pypi" + ".org",
    "python" + "hosted.org",
    "registry." + "npmjs.org",
    "deb." + "debian.org",
    "find" + "-links",
)
MACHINE_PATH = re.compile(
    "|".join(rf"(?<![\w.:/-])/{folder}/" for folder in ("work", "root", r"home/\w+", r"opt/(?:py|wh)\w+", "tmp/venv"))
)


def tracked_files() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [file for name in listing.stdout.split("\0") if name and (file := ROOT / name).is_file()]


def lines_of_text(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return []


def normalised(requirement: str) -> str:
    name = re.match(r"[\w.-]+", requirement)
    assert name, f"not a requirement: {requirement!r}"
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def pins(lock: Path) -> dict[str, str]:
    found = re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    return {normalised(name): version for name, version in found}


def test_no_machine_path_and_no_registry() -> None:
    # A path of one machine is broken on the next; a registry's address in a file overrides what the user configured.
    found = [
        f"{file.relative_to(ROOT)}:{number}"
        for file in tracked_files()
        for number, line in enumerate(lines_of_text(file), 1)
        if MACHINE_PATH.search(line) or any(host in line for host in REGISTRIES)
    ]
    assert not found


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_each_lock_line_is_pinned_by_hash(lock: Path) -> None:
    # Without a hash on every line, pip --require-hashes refuses the file; with an address, it would not be portable.
    entries = re.split(r"\n(?=\S)", lock.read_text(encoding="utf-8").strip())
    assert len(entries) > 10
    for entry in entries:
        assert re.match(r"[\w.-]+==\S+", entry), f"{lock.name}: not pinned: {entry.splitlines()[0]}"
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), f"{lock.name}: no hash: {entry.splitlines()[0]}"
        assert "://" not in entry, f"{lock.name}: an address in {entry.splitlines()[0]}"


def test_the_locks_hold_what_the_project_declares() -> None:
    # Somebody added a dependency and did not run `make lock`.
    extras = PROJECT["project"]["optional-dependencies"]
    run = {normalised(line) for line in PROJECT["project"]["dependencies"]}
    every = run | {normalised(line) for lines in extras.values() for line in lines} - {"trimaran"}
    backend = PROJECT["build-system"]["requires"]
    locked_run, locked_dev = pins(ROOT / "requirements/run.txt"), pins(ROOT / "requirements/dev.txt")
    assert run | {normalised(line) for line in backend} <= set(locked_run)
    assert every <= set(locked_dev)
    assert locked_run.items() <= locked_dev.items(), "what is shipped must be what was tested: make lock"
    # --no-build-isolation builds with what the lock installed.
    assert backend == [line for line in lines_of_text(ROOT / "requirements/build.in") if not line.startswith("#")]


def test_every_room_has_a_layer() -> None:
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    listed = [entry.strip() for layer in layers for entry in layer.split("|")]
    planned = {entry.strip("()") for entry in listed if entry.startswith("(")}
    built = set(listed) - {f"({entry})" for entry in planned}
    rooms = {
        entry.stem
        for entry in (ROOT / "src/trimaran").iterdir()
        if not entry.name.startswith("_") and (entry.suffix == ".py" or (entry.is_dir() and any(entry.glob("*.py"))))
    }
    assert rooms <= built | planned, f"give {rooms - built - planned} a line in pyproject's layers"
    assert built <= rooms, f"{built - rooms} are not there: put them in parentheses"
    assert not planned & rooms, f"{planned & rooms} exist now: take off the parentheses, so that losing them is noticed"


def test_the_changelog_leads_with_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(.+?)\](?: - (\S+))?$", text, re.MULTILINE)
    assert headings, "no entry"
    assert headings[0][0] in {"Unreleased", PROJECT["project"]["version"]}
    for version, date in headings:
        assert version == "Unreleased" or re.fullmatch(r"\d{4}-\d\d-\d\d", date), f"{version} has no date"
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_decisions_are_numbered_and_complete() -> None:
    notes = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
    assert [int(note.name[:3]) for note in notes] == list(range(1, len(notes) + 1))
    index = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    for note in notes:
        text = note.read_text(encoding="utf-8")
        for section in ("Context", "Decision", "Alternatives", "Not a goal"):
            assert f"\n## {section}" in text, f"{note.name} does not say: {section}"
        assert f"({note.name})" in index, f"{note.name} is not in the index"


def test_links_between_documents_hold() -> None:
    documents = [file for file in tracked_files() if file.suffix == ".md"]
    broken = []
    for document in documents:
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
            if "://" not in link and not link.startswith("mailto:") and not (document.parent / link).exists():
                broken.append(f"{document.relative_to(ROOT)} -> {link}")
    assert not broken


@pytest.mark.parametrize("script", [".ci/run", "scripts/setup", "scripts/lock"])
def test_scripts_can_be_run(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
