"""Every public name of the package, and every public method of its classes, has a docstring."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from typing import Any

import kernelwright as kw


def without(holder: Any) -> Iterator[str]:
    """The public names that `help` would say nothing about."""
    for name in dir(holder):
        found = getattr(holder, name)
        if name.startswith("_") or isinstance(found, types.ModuleType) or not callable(found):
            continue
        if not inspect.getdoc(found):
            yield name
        if inspect.isclass(found):
            for member, value in vars(found).items():
                public = not member.startswith("_") and not inspect.isclass(value)
                if not public or not (callable(value) or isinstance(value, (property, classmethod, staticmethod))):
                    continue
                if not inspect.getdoc(getattr(found, member)):
                    yield f"{name}.{member}"


def test_public_names_have_docstrings() -> None:
    assert list(without(kw)) == []


def test_a_missing_one_is_found() -> None:
    class Documented:
        """A class of which one method is silent."""

        def silent(self) -> None:
            pass

    assert list(without(types.SimpleNamespace(Documented=Documented, bare=lambda: None))) == [
        "Documented.silent",
        "bare",
    ]
