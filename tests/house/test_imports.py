"""Who may import what, beyond the layers that import-linter checks.

A pure room that can reach a clock, a socket or a random number is no longer pure; an adapter's library that leaks out
of its room makes every user pay for it at import.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "trimaran"

# Room: what it may use all the same. wire states the date of an answer it translates, and Retry-After may be a date; an answer
# in a dialect that knows no ids gets one where the client's dialect has them.
PURE_ROOMS = {
    "wire": {"time", "secrets"},
    "performance": set[str](),
    "routing": set[str](),
    "planning": set[str](),
    "scaling": set[str](),
    "simulation": {"random"},
}
IMPURE = {
    "asyncio", "datetime", "http", "httptools", "logging", "os", "pathlib", "random", "secrets", "select", "signal",
    "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "urllib", "uuid", "uvloop",
}  # fmt: skip

PURE_PARTS = {"urllib.parse"}
"""Of an impure library: it takes text apart and reaches nothing."""

# Library: the rooms that may import it. Everything else reaches it through them.
CONFINED = {
    "anthropic": {"cli", "testing"},
    "boto3": {"testing"},
    "botocore": {"providers", "cli", "testing"},
    "moto": set[str](),
    "openai": {"cli", "testing"},
    "genai_prices": set[str](),
    "sqlite3": {"ledger"},
    "prometheus_client": {"telemetry", "control"},
    "starlette": {"control", "dashboard"},
    "uvicorn": {"control", "dashboard"},
    "typer": {"cli"},
    "rich": {"cli"},
    "yaml": {"config", "cli"},
    "httpx": set[str](),
    "httpx2": set[str](),
    "requests": set[str](),
    "aiohttp": set[str](),
}

# Nobody who writes `import trimaran` in a script should wait for these.
HEAVY = (
    "anthropic", "boto3", "botocore", "genai_prices", "httpx", "httpx2", "openai", "prometheus_client", "pydantic", "rich", "sqlite3",
    "starlette", "typer", "uvicorn", "yaml",
)  # fmt: skip


@cache
def imported_libraries(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module and node.module not in PURE_PARTS:
            names.add(node.module.partition(".")[0])
    return names


def files_of(room: str) -> list[Path]:
    single = PACKAGE / f"{room}.py"
    return [single] if single.exists() else sorted((PACKAGE / room).rglob("*.py"))


@pytest.mark.parametrize("room", [room for room in PURE_ROOMS if files_of(room)])
def test_a_pure_room_reaches_no_clock_file_socket_or_chance(room: str) -> None:
    leaks = {
        file.name: found for file in files_of(room) if (found := imported_libraries(file) & (IMPURE - PURE_ROOMS[room]))
    }
    assert not leaks, f"{room} decides and formats only; time and chance come in as arguments: {leaks}"


@pytest.mark.parametrize("library", sorted(CONFINED))
def test_a_library_stays_in_its_room(library: str) -> None:
    leaks = []
    for file in sorted(PACKAGE.rglob("*.py")):
        room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room not in CONFINED[library] and library in imported_libraries(file):
            leaks.append(str(file.relative_to(ROOT)))
    assert not leaks, f"{library} belongs to {sorted(CONFINED[library]) or 'tests'}, and is imported by {leaks}"


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_does_no_work() -> None:
    loaded = modules_after("import trimaran")
    assert loaded.isdisjoint(HEAVY), f"import trimaran loads {loaded & set(HEAVY)}"
    rooms = {name for name in loaded if name.startswith("trimaran.")}
    assert rooms <= {"trimaran.errors", "trimaran.types"}, f"import trimaran loads {rooms}: re-export lazily"


def test_simulated_providers_need_no_vendor_sdk() -> None:
    # They are product code; only whoever runs the contract suites pays for the SDKs.
    loaded = modules_after("import trimaran.testing, trimaran.testing.contract")
    assert loaded.isdisjoint({"openai", "anthropic", "boto3", "botocore"})


def test_the_library_needs_nothing_of_the_gateway() -> None:
    loaded = modules_after("from trimaran import MultiCloudRouter")
    assert loaded.isdisjoint({*HEAVY} - {"sqlite3", "yaml"}), f"MultiCloudRouter loads {loaded & set(HEAVY)}"
