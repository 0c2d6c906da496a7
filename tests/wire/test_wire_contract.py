"""What other rooms rely on: names, paths, exports."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

from trimaran import wire
from trimaran.wire import DIALECTS, Dialect

MODULES = [module.name for module in pkgutil.walk_packages(wire.__path__, "trimaran.wire.")]


def test_dialects_are_known_by_name_and_path() -> None:
    assert {name: dialect.path for name, dialect in DIALECTS.items()} == {
        "openai.chat": b"/v1/chat/completions",
        "openai.responses": b"/v1/responses",
        "openai.input_tokens": b"/v1/responses/input_tokens",
        "openai.embeddings": b"/v1/embeddings",
        "anthropic.messages": b"/v1/messages",
        "anthropic.count_tokens": b"/v1/messages/count_tokens",
        "bedrock.converse": b"/model/",
        "bedrock.llama": b"",
        "bedrock.mistral": b"",
        "gemini.count_tokens": b"/v1beta/models/",
        "gemini.generate": b"/v1beta/models/",
        "azure_ml.score": b"",
        "huggingface.generate": b"",
        "kserve.v2": b"/v2/models/",
        "sagemaker.invocations": b"/endpoints/",
        "vertex.predict": b"/v1/projects/-/locations/-/endpoints/",
    }
    assert all(dialect.name == name for name, dialect in DIALECTS.items())


@pytest.mark.parametrize("name", ["trimaran.wire", *MODULES])
def test_every_public_name_is_exported_and_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    public = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == name
    }
    assert public <= set(module.__all__)
    for key in public:
        assert getattr(module, key).__doc__, f"{name}.{key} has no docstring"
    for key in module.__all__:
        assert hasattr(module, key)


def test_every_dialect_overrides_the_whole_interface() -> None:
    for dialect in DIALECTS.values():
        assert not inspect.isabstract(type(dialect))
        assert isinstance(dialect, Dialect)
