"""Arguments as people know them from PyTorch and Keras: where ours differ, one line that says what to write here.

`explained` decorates a constructor or a method, which then takes arguments by the other names of `synonyms`, too. What
it refuses, Python would refuse as well (as a TypeError that knows no advice); an argument that could be read in two
ways is keyword-only in the signature itself. Leans on `checks` and `synonyms`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..compiler.graph.synonyms import Synonyms
from ..runtime.errors import KernelwrightError
from .checks import SettingError, nearest

Function = TypeVar("Function", bound=Callable[..., Any])


def explained(
    instead: Mapping[str, str] | None = None, beyond: str = "", error: type[KernelwrightError] = SettingError
) -> Callable[[Function], Function]:
    """A decorator. Calls that do not fit the signature raise `error`, and so does a setting that is refused inside.

    instead: for a name that others use, what is written here. beyond: the advice where too much is given by position.
    """
    advice = dict(instead or {})

    def decorate(call: Function) -> Function:
        signature = inspect.signature(call)
        synonyms = Synonyms(signature)

        @functools.wraps(call)
        def checked(self: Any, *given: Any, **named: Any) -> Any:
            name = type(self).__name__ if call.__name__ == "__init__" else call.__name__
            try:
                named = synonyms.translated((self, *given), named)
            except ValueError as twice:
                raise error(f"{name}: {twice}") from None
            try:
                signature.bind(self, *given, **named)
            except TypeError as wrong:
                reason = _reason(signature, given, named, advice, beyond) or str(wrong)
                raise error(f"{name}: {reason}") from None
            try:
                return call(self, *given, **named)
            except SettingError as wrong:
                if isinstance(wrong, error):
                    raise
                raise error(str(wrong)) from None

        return checked  # type: ignore[return-value]

    return decorate


def _reason(
    signature: inspect.Signature,
    given: tuple[Any, ...],
    named: Mapping[str, Any],
    advice: Mapping[str, str],
    beyond: str,
) -> str:
    """Why a call does not fit, in words; an empty string where Python's own are as good."""
    parameters = list(signature.parameters.values())[1:]
    names = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]
    unknown = [name for name in named if name not in names]
    if unknown:
        return f"there is no argument {unknown[0]!r}; {_instead(unknown[0], names, advice)}"
    placed = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    if len(given) > len(placed):
        rest = f"; {beyond}" if beyond else ""
        what = f"only {', '.join(placed)} may stand" if placed else "nothing stands"
        return f"{what} without a name, and {len(given)} values were given{rest}"
    return ""


def _instead(name: str, names: list[str], advice: Mapping[str, str]) -> str:
    if name in advice:
        return advice[name]
    return nearest(name, names)
