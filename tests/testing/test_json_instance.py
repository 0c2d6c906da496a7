"""The instance fits the schema; a small checker written for these tests is the judge."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.testing.json_instance import instance_of


def fits(value, schema):
    if "const" in schema:
        return value == schema["const"]
    if "enum" in schema:
        return value in schema["enum"]
    if "anyOf" in schema:
        return any(fits(value, option) for option in schema["anyOf"])
    kind = schema["type"]
    if kind == "object":
        properties = schema.get("properties", {})
        return (
            isinstance(value, dict)
            and set(schema.get("required", [])) <= set(value) <= set(properties)
            and all(fits(item, properties[key]) for key, item in value.items())
        )
    if kind == "array":
        return (
            isinstance(value, list)
            and len(value) >= schema.get("minItems", 0)
            and all(fits(item, schema["items"]) for item in value)
        )
    if kind == "string":
        return isinstance(value, str) and schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**6)
    if kind == "integer":
        return type(value) is int and schema.get("minimum", -(10**9)) <= value <= schema.get("maximum", 10**9)
    return {"boolean": isinstance(value, bool), "null": value is None}[kind]


leaves = st.one_of(
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.builds(
        lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more},
        st.integers(-99, 99),
        st.integers(0, 9),
    ),
    st.builds(
        lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more},
        st.integers(0, 30),
        st.integers(0, 9),
    ),
    st.builds(lambda values: {"enum": values}, st.lists(st.integers() | st.text(), min_size=1, max_size=3)),
    st.builds(lambda value: {"const": value}, st.integers()),
)


def nest(children):
    properties = st.dictionaries(st.text(max_size=4), children, max_size=4)
    return st.one_of(
        properties.map(lambda p: {"type": "object", "properties": p, "required": list(p)}),
        st.builds(lambda items, n: {"type": "array", "items": items, "minItems": n}, children, st.integers(0, 3)),
        st.lists(children, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
    )


@given(st.recursive(leaves, nest, max_leaves=12))
def test_the_instance_fits(schema):
    assert fits(instance_of(schema), schema)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": ["null", "string"]}, "simulated"),
        ({"type": "string", "format": "date"}, "2000-01-01"),
        ({"type": "number", "exclusiveMinimum": 1}, 1.5),
        ({"type": "integer", "maximum": -5}, -5),
        ({"type": "integer", "minimum": 7, "multipleOf": 5}, 10),
        ({"properties": {"a": {"type": "boolean"}}}, {"a": False}),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": 3}}}, 3),
        (
            {"allOf": [{"$ref": "#/$defs/x"}], "$defs": {"x": {"type": "object", "properties": {"k": {"const": 1}}}}},
            {"k": 1},
        ),
        ({"type": "string", "default": "d"}, "d"),
        (True, None),
        ("nonsense", None),
    ],
)
def test_keywords(schema, value):
    assert instance_of(schema) == value


def test_a_recursive_schema_ends():
    node = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    assert instance_of(node)["next"]["next"]
