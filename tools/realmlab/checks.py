"""Checks of user input: each takes the name of a parameter and a value, and returns the value to use.

An invalid value raises MachineError, which names the parameter between backquotes.
"""

import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cca_platform.errors import MachineError

from .sizes import parse_address, parse_range, parse_size

__all__ = [
    "COUNT", "address", "at_least", "bytes_or_file", "hex_bytes", "one_of", "optional", "paths", "patterns", "ranges",
    "several", "size", "text",
]  # fmt: skip


def at_least(least: int, most: int | None = None) -> Callable[[str, Any], int]:
    """A whole number from ``least`` to ``most``."""

    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise MachineError(f"`{name}` must be a whole number, not {value!r}")
        if value < least:
            raise MachineError(f"`{name}` must be {least} or more, not {value}")
        if most is not None and value > most:
            raise MachineError(f"`{name}` must be {most} or less, not {value}")
        return value

    return check


COUNT: Final = at_least(1)
"""How many: one or more."""


def optional(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """None, or a value that ``check`` accepts."""
    return lambda name, value: None if value is None else check(name, value)


def one_of(*values: Any) -> Callable[[str, Any], Any]:
    """One of these values."""

    def check(name: str, value: Any) -> Any:
        if value not in values:
            raise MachineError(f"`{name}` must be {' or '.join(map(str, values))}, not {value!r}")
        return values[values.index(value)]

    return check


def size(name: str, value: Any) -> int:
    """A number of bytes, or a string such as 64M."""
    return parse_size(value)


def address(name: str, value: Any) -> int:
    """An address, or a string such as 0x88000000."""
    return value if isinstance(value, int) else parse_address(value, "the entry")


def ranges(name: str, value: Any) -> list[tuple[int, int, Path | None]]:
    """A list of (base, size), (base, size, file), or strings such as 0x90000000:64K or 0x90000000:64K=FILE.

    A file belongs to one range, which shares no memory with another.
    """
    found: list[tuple[int, int, Path | None]] = []
    for one in several(name, value):
        base, size, file = _range(name, one)
        for other, others, path in found:
            if file is not None and path is not None and os.path.realpath(file) == os.path.realpath(path):
                raise MachineError(f"`{name}` must name each file once, not {str(file)!r} twice")
            if (file or path) and base < other + others and other < base + size:
                raise MachineError(f"`{name}` must name ranges apart, not those at {other:#x} and {base:#x}")
        found.append((base, size, file))
    return found


def _range(name: str, one: Any) -> tuple[int, int, Path | None]:
    if not isinstance(one, str):
        base, size, *rest = one
        return base, size, Path(rest[0]) if rest else None
    text, named, file = one.partition("=")
    if named and not file:
        raise MachineError(f"`{name}` must be BASE:SIZE or BASE:SIZE=FILE, not {one!r}")
    return (*parse_range(text), Path(file) if file else None)


def seconds(name: str, value: Any) -> float:
    """A time in seconds, more than none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= threading.TIMEOUT_MAX:
        raise MachineError(f"`{name}` must be a number of seconds, more than 0, not {value!r}")
    return float(value)


def several(name: str, value: Any) -> tuple[Any, ...]:
    """A list, not a string."""
    if isinstance(value, str | bytes):
        raise MachineError(f"`{name}` must be a list, not {value!r}")
    return tuple(value)


def paths(name: str, value: Any) -> tuple[Path, ...]:
    """A path, or several."""
    several = (value,) if isinstance(value, str | os.PathLike) else value
    return tuple(Path(one) for one in several)


def hex_bytes(name: str, value: Any) -> bytes:
    """Bytes, or their hex digits."""
    if not isinstance(value, str):
        return bytes(value)
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise MachineError(f"`{name}` must be hex digits, two for each byte, not {value!r}") from None


def bytes_or_file(name: str, value: Any) -> bytes:
    """Bytes, or the path of a file that holds them."""
    if not isinstance(value, os.PathLike):
        return bytes(value)
    path = Path(value)
    try:
        return path.read_bytes()
    except OSError as error:
        raise MachineError(f"`{name}` must name a readable file, not {str(path)!r} ({error.strerror})") from None


def patterns(name: str, value: Any) -> tuple[str, ...]:
    """Regular expressions."""
    patterns: tuple[str, ...] = several(name, value)
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise MachineError(f"`{name}` must be a regular expression, not {pattern!r}: {error}") from None
    return patterns


def text(name: str, value: Any) -> Any:
    """A non-empty string, or None."""
    if value == "":
        raise MachineError(f"`{name}` must be a text to wait for, not an empty one")
    return value
