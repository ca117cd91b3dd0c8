"""Option declarations, and what is generated from a table of them.

A table is a ``TypedDict`` whose items carry an :class:`Option`. A function takes it as ``**options: Unpack[TABLE]``
and is decorated with :func:`takes`, which gives it a signature with the defaults. :func:`read` checks the arguments.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

from msgspec import Struct

from cca_platform.printable import brief

__all__ = ["Option", "declared", "read", "takes"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Option(Struct, frozen=True, kw_only=True):
    """One option: its default, its meaning, and how the command line spells it.

    ``check(name, value)`` returns the value to use or raises MachineError. ``flags`` are the spellings, ``--name``
    by default; ``constants`` are flags that stand for one value. ``kind`` is the type that the command line converts
    to, a list with ``many``; ``positional`` is an argument without a flag. ``python_only`` says why the command
    line has no such option.
    """

    default: Any
    help: str
    metavar: str = ""
    check: Callable[[str, Any], Any] | None = None
    choices: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    constants: Mapping[str, tuple[Any, str]] | None = None
    kind: type = str
    many: bool = False
    positional: bool = False
    python_only: str = ""
    complete: Callable[[str], list[str]] | None = None

    def spelling(self, name: str) -> str:
        """The command-line option for parameter ``name``, or the parameter itself if there is none."""
        if self.python_only or self.positional:
            return name
        return self.flags[0] if self.flags else f"--{name.replace('_', '-')}"


@cache
def declared(table: type) -> Mapping[str, Option]:
    """The options of a table by name, in order."""
    return {name: kind.__metadata__[0] for name, kind in inspect.get_annotations(table).items()}


def read(table: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check every option of ``table`` and fill in the defaults.

    Raises TypeError for a name that is not in the table, as any call does, and MachineError for an invalid value.
    """
    options = declared(table)
    for name in given:
        if name not in options:
            import difflib  # slow, and rarely needed

            near = difflib.get_close_matches(name, options, 1)
            guess = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"an option must be one of {', '.join(options)}, not {brief(name)}{guess}")
    values = {}
    for name, option in options.items():
        value = given.get(name, option.default)
        values[name] = option.check(name, value) if option.check is not None else value
    return values


def takes(table: type) -> Callable[[_Function], _Function]:
    """Give a function with ``**options: Unpack[table]`` the signature that the table describes.

    The options are added to its docstring, too.
    """

    def decorate(function: _Function) -> _Function:
        signature = inspect.signature(function)
        own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        kinds = inspect.get_annotations(table)
        named = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=kinds[name].__origin__
            )
            for name, option in declared(table).items()
        ]
        function.__signature__ = signature.replace(parameters=[*own, *named])  # type: ignore[attr-defined]
        lines = (f"- ``{name}``: {option.help}" for name, option in declared(table).items())
        function.__doc__ = f"{inspect.getdoc(function)}\n\nOptions:\n\n" + "\n".join(lines)
        return function

    return decorate
