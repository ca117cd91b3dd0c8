"""Command lines of ``realmlab run`` that need no typer: those whose every word is plain.

Typer takes a quarter of the time of a start. What is here agrees with it, or answers None and leaves the line to it:
unknown options, values that look like options, numbers in unusual forms, ``--help``, and every error.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from cca_tools.cli.run import COMMON, ONLY, OUTPUT, UART, Line, World, flag_name
from realmlab.options import Option

__all__ = ["plain"]

_INTEGER: Final = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_NUMBER: Final = re.compile(r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?", re.ASCII)


class _Unusual(Exception):
    """The line is not plain."""


def _matching(form: re.Pattern[str], kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def convert(word: str) -> Any:
        if not form.fullmatch(word):
            raise _Unusual
        return kind(word)

    return convert


def _world(word: str) -> World:
    if word not in set(World):
        raise _Unusual
    return World(word)


_VALUES: Final[dict[type, Callable[[str], Any]]] = {
    str: str, Path: Path, int: _matching(_INTEGER, int), float: _matching(_NUMBER, float), World: _world,
}  # fmt: skip


def _flags() -> Iterator[tuple[str, tuple[str, Option | None]]]:
    """Each flag, with the name and the declaration of what it sets; None for a constant."""
    for options in (OUTPUT, COMMON, *ONLY.values(), {"uart": UART}):
        for name, option in options.items():
            if option.positional:
                continue
            for flag in option.flags or (option.spelling(name),):
                yield flag, (name, option)
            for flag in option.constants or ():
                yield flag, (flag_name(flag), None)


def plain(words: Sequence[str]) -> Line | None:
    """What the words after ``realmlab`` say, or None if typer must read them."""
    if words[:1] != ["run"]:
        return None
    try:
        return _read(iter(words[1:]))
    except _Unusual:
        return None


def _read(words: Iterator[str]) -> Line:
    known, given, free = dict(_flags()), dict[str, Any](), list[str]()
    for word in words:
        if word == "--":
            free += words
        elif not word.startswith("-") or word == "-":
            free.append(word)
        else:
            flag, equals, value = word.partition("=")
            if flag not in known:
                raise _Unusual
            name, option = known[flag]
            if option is None or option.kind is bool:
                if equals or name in given:
                    raise _Unusual
                given[name] = True
                continue
            if equals and not flag.startswith("--"):
                value = f"={value}"  # behind a letter, everything is the value
            if not equals:
                value = next(words, "-")
                if value.startswith("-"):
                    raise _Unusual
            _put(given, name, option, _VALUES[option.kind](value))
    if not free:
        raise _Unusual
    output = {name: given.pop(name) for name in OUTPUT if name in given}
    return Line(payload=free[0], args=free[1:], given=given, **output)


def _put(given: dict[str, Any], name: str, option: Option, value: Any) -> None:
    if option.many:
        given.setdefault(name, []).append(value)
    elif name in given:
        raise _Unusual
    else:
        given[name] = value
