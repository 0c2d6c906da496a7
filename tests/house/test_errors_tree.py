"""The tree drawn in the docstring of ``trimaran.errors`` is what people read; here it is compared with the classes."""

from __future__ import annotations

import re

import pytest

from trimaran import errors

BRANCH = re.compile(r"^ {4}(?P<indent>(?:[│ ] {3})*)[├└]── (?P<name>\w+)(?P<facts>.*)$")


def drawn() -> dict[str, tuple[str, list[str]]]:
    """Class name to (parent's name, the first two words after it)."""
    tree: dict[str, tuple[str, list[str]]] = {}
    path = ["TrimaranError"]
    for line in (errors.__doc__ or "").splitlines():
        if match := BRANCH.match(line):
            depth = len(match["indent"]) // 4
            del path[depth + 1 :]
            tree[match["name"]] = (path[depth], match["facts"].split()[:2])
            path.append(match["name"])
    return tree


def test_every_error_is_drawn() -> None:
    classes = {
        name
        for name in errors.__all__
        if isinstance(kind := getattr(errors, name), type) and issubclass(kind, errors.TrimaranError)
    }
    assert set(drawn()) | {"TrimaranError"} == classes


@pytest.mark.parametrize("name", sorted(drawn()))
def test_an_error_is_drawn_as_it_is(name: str) -> None:
    parent, facts = drawn()[name]
    kind = getattr(errors, name)
    assert kind.__bases__[0].__name__ == parent
    for fact in facts:
        if fact in {fault.value for fault in errors.Fault}:
            assert kind.fault.value == fact
        elif fact in {retry.value for retry in errors.Retry}:
            assert kind.retry.value == fact
        elif re.fullmatch(r"\d{3}", fact):
            assert kind.status == int(fact)


def test_codes_are_stable_and_tell_errors_apart() -> None:
    # Programs switch on the code. Only a class without a code of its own may share its parent's.
    codes = [vars(kind)["code"] for name in drawn() if "code" in vars(kind := getattr(errors, name))]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z_]+", code) for code in codes)
