"""Each setting is declared once and completely; the reference page and the schema are derived from it and current."""

from __future__ import annotations

import copy
import importlib.util
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
import yaml

from trimaran.config import SERVICES, Config, load_mapping
from trimaran.config.reference import DESCRIBED_ELSEWHERE, json_schema, markdown, walk
from trimaran.config.setting import Field, Group, fields_of
from trimaran.errors import ConfigError

ROOT = Path(__file__).parents[2]
ENV = {"HOME": "/users/someone", "MY_API_KEY": "k" * 20, "TEAM_TOKEN": "t" * 20, "TEAM_A_KEY": "a" * 20}
ENV |= {"ALERT_URL": "https://hooks.example.com/services/T0/B0"}
SETTINGS = list(walk())

# What a configuration holds beside settings: where it came from and what was noticed on the way.
NOT_SETTINGS = {"origin", "places", "warnings"}


def structs() -> set[type[msgspec.Struct]]:
    found: set[type[msgspec.Struct]] = {Config}
    for _, field in SETTINGS:
        kind = getattr(field.setting.kind, "value", field.setting.kind)
        kind = getattr(kind, "item", kind)
        if isinstance(kind, Group):
            found.add(kind.struct)
    return found


def test_no_undocumented_setting() -> None:
    # A field without its Setting would be a knob that nobody can find and the loader cannot read.
    for struct in structs():
        documented = {field.attribute for field in fields_of(struct)}
        assert set(struct.__struct_fields__) - documented <= NOT_SETTINGS, struct.__name__


@pytest.mark.parametrize(("name", "field"), SETTINGS, ids=[name for name, _ in SETTINGS])
def test_each_setting_says_what_why_and_why_this_default(name: str, field: Field) -> None:
    setting = field.setting
    for text in (setting.what, setting.why):
        assert re.match(r"[A-Z`].*\.$", text), f"{name}: {text!r} is not a sentence"
    assert setting.reason
    assert f"`{name}`" in markdown() or name.startswith(DESCRIBED_ELSEWHERE)


def test_what_is_not_a_setting_is_not_in_the_page() -> None:
    headings = re.findall(r"^##+ `(.+)`$", markdown(), re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert set(headings) <= {name for name, _ in SETTINGS}


PRICES = {"input": "1 USD/1M", "output": "1 USD/1M"}
SMALLEST: dict[str, Any] = {
    "models": {"x": {"targets": ["openai/x"], "limits": {}}},
    "providers": {
        "x": {
            "prices": {"x": PRICES | dict.fromkeys(SERVICES, PRICES)},
            "capabilities": {"x": {}},
            "capacity": {"hourly": "1 USD"},
            "deployments": {"x": {"capacity": {"hourly": "1 USD"}}},
            "endpoints": {"x": {"capacity": {"hourly": "1 USD"}}},
            "online_endpoints": {"x": {"capacity": {"hourly": "1 USD"}}},
        }
    },
    "keys": {"x": {"key": "${MY_API_KEY}"}},
    "tenants": {"x": {}},
    "tags": {"x": {}},
    "alerts": {},
    "limits": {},
    "server": {},
    "ledger": {},
}


@pytest.mark.parametrize(
    ("name", "field"), [pair for pair in SETTINGS if not pair[1].refused], ids=[n for n, f in SETTINGS if not f.refused]
)
def test_each_example_can_be_copied(name: str, field: Field) -> None:
    example = field.setting.kind.example
    written = yaml.safe_load(example if example.startswith(f"{field.name}:") else f"{field.name}: {example}")
    data = copy.deepcopy(SMALLEST)
    section = data
    for part in name.split(".")[:-1]:
        section = section["x" if part == "<name>" else part]
    for listed in ("deployments", "endpoints", "online_endpoints"):
        if not name.startswith(f"providers.<name>.{listed}"):
            del data["providers"]["x"][listed]
    if field.name == "digest":
        del section["key"]
    if field.name == "weights":
        # They mean something beside their strategy only, and for targets of the model.
        section |= {"strategy": "weighted", "targets": list(written["weights"])}
    section |= written
    if name.startswith("providers.<name>.endpoints"):
        # SageMaker's alone, and each with a capacity of its own.
        data["providers"]["x"] |= {"kind": "sagemaker"}
        del data["providers"]["x"]["capacity"]
    if "x" in data["tags"]:
        # A tag is named with its value.
        data["tags"]["x=1"] = data["tags"].pop("x")
    load_mapping(data, ENV)


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_reference", ROOT / "scripts" / "generate_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_pages_are_current() -> None:
    for path, text in script().pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale: run scripts/generate_reference.py"


def test_the_check_notices_a_stale_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = script()
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    assert module.main(["--check"]) == 1
    assert module.main([]) == 0
    assert module.main(["--check"]) == 0
    (tmp_path / "configuration.md").write_text("old")
    assert module.main(["--check"]) == 1
    assert "configuration.md is stale" in capsys.readouterr().err


GOOD: list[dict[str, Any]] = [
    {},
    {"models": {"chat": {"targets": ["openai/x"], "limits": {"deadline": "30s", "max_attempts": 2}}}},
    {"models": None, "server": None},
    {"server": {"port": 5000, "host": "127.0.0.1", "max_body": "10MiB", "workers": "${N:-2}"}},
    {"keys": {"a": {"key": "${MY_API_KEY}", "tags": {"n": 42, "b": True}, "models": ["x"]}}},
    {"keys": {"a": {"key": "${MY_API_KEY}", "budget": "500 USD/month", "rpm": 600, "expires": "2027-01-31"}}},
    {
        "keys": {
            "a": {"key": "${MY_API_KEY}", "budget": ["$1.5/day", "2M tokens / day"], "expires": "2027-01-31T18:00Z"}
        }
    },
    {
        "tenants": {"acme": {"budget": "10000 requests/day", "tpm": 10}},
        "tags": {"cost_center=42": {"rpm": 1}, "a=b c": None},
    },
    {"alerts": {"webhook": "https://hooks.example.com/a?b=c", "thresholds": ["50%", "100%"]}},
    {"alerts": {"webhook": "${ALERT_URL}", "thresholds": "90%"}},
    {"providers": {"p": {"base_url": "http://x", "prices": {"m": {"input": "1 USD/1M", "output": "$2/1M"}}}}},
    {"providers": {"p": {"dialects": "openai.chat", "capabilities": {"m": {"has": ["tools"], "reasoning": "effort"}}}}},
    {"providers": {"p": {"dialects": ["openai.chat"], "capabilities": {"m": None}}}},
]
BAD: list[dict[str, Any]] = [
    {"model": {}},
    {"models": {"chat": {}}},
    {"models": {"chat": {"targets": []}}},
    {"models": {"chat": {"targets": ["x"]}}},
    {"models": {"a b": {"targets": ["x/y"]}}},
    {"server": {"port": 70000}},
    {"server": {"port": "x"}},
    {"limits": {"deadline": "30"}},
    {"limits": {"max_cost": "5 USD/month"}},
    {"keys": {"a": {"key": "literal"}}},
    {"keys": {"a": {"key": "${MY_API_KEY}", "rpm": 0}}},
    {"keys": {"a": {"key": "${MY_API_KEY}", "budget": "500 USD"}}},
    {"keys": {"a": {"key": "${MY_API_KEY}", "budget": []}}},
    {"keys": {"a": {"key": "${MY_API_KEY}", "budget": "5 EUR/month"}}},
    {"keys": {"a": {"key": "${MY_API_KEY}", "expires": "soon"}}},
    {"tenants": {"a b": {}}},
    {"tags": {"cost_center": {}}},
    {"alerts": {"webhook": "ftp://x"}},
    {"alerts": {"thresholds": [50]}},
    {"pools": {}},
    {"providers": {"p": {"prices": {"m": {"input": "1"}}}}},
    {"providers": {"p": {"capabilities": {"m": {"has": ["vison"]}}}}},
    {"providers": {"p": {"capabilities": {"m": {"reasoning": "high"}}}}},
    {"providers": {"p": {"dialects": "Open AI"}}},
]


def test_schema_and_loader_agree() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.check_schema(json_schema())
    for data in GOOD:
        validator.validate(data)
        load_mapping(data, ENV)
    for data in BAD:
        assert not validator.is_valid(data), data
        with pytest.raises(ConfigError):
            load_mapping(data, ENV)


def test_a_small_file_costs_little(tmp_path: Path) -> None:
    # The command line must feel immediate. The bound is several times what it takes, because machines differ.
    path = tmp_path / "t.yaml"
    path.write_text("models: {chat: {targets: [openai/gpt-4o-mini]}}\n")
    code = (
        "import msgspec, sys, time; start = time.process_time();"
        "from trimaran.config import load; load(sys.argv[1], {'HOME': '/x'});"
        "print(time.process_time() - start, *sys.modules)"
    )
    start = time.monotonic()
    out = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": ""},
        timeout=60,
    ).stdout.split()
    assert float(out[0]) < 0.3, f"{out[0]} s of CPU, {time.monotonic() - start} s in all"
    assert not {"jsonschema", "asyncio", "http.client", "ssl"} & set(out[1:])


def test_the_schema_is_json() -> None:
    assert json.loads(json.dumps(json_schema())) == json_schema()
