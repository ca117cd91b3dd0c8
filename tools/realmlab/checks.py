"""Checks of user input: each takes the name of a parameter and a value, and returns the value to use.

An invalid value raises WrongType or WrongValue, which name the parameter between backquotes.
"""

import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cca_arch.extensions import PLATFORM_KEY_SIZE
from cca_platform.errors import MachineError, WrongType, WrongValue
from cca_platform.printable import brief

from .sizes import parse_address, parse_range, parse_size

if TYPE_CHECKING:
    from cca_host.kvmtool.options import DiskOption, ShareOption

_READ_ONLY: Final = ",ro"
_LONGEST_TAG: Final = 36

__all__ = [
    "COUNT", "address", "argument", "at_least", "bytes_or_file", "date", "disks", "each", "function", "hex_bytes",
    "image", "instance", "key", "keyboard", "mapping", "name_or_path", "network", "octets", "one_of", "optional",
    "paths", "patterns", "ranges", "seconds", "several", "shares", "shares_9p", "size", "text", "trace_or_path",
    "truth", "whole",
]  # fmt: skip


def _wrong(name: str, wanted: str, value: Any) -> WrongType:
    return WrongType(f"`{name}` must be {wanted}, not {brief(value)}")


def whole(name: str, value: Any) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(name, "a whole number", value)
    return value


def at_least(least: int, most: int | None = None) -> Callable[[str, Any], int]:
    """A whole number from ``least`` to ``most``."""

    def check(name: str, value: Any) -> int:
        if whole(name, value) < least:
            raise WrongValue(f"`{name}` must be {least} or more, not {value}")
        if most is not None and value > most:
            raise WrongValue(f"`{name}` must be {most} or less, not {value}")
        return int(value)

    return check


COUNT: Final = at_least(1)
"""How many: one or more."""


def optional(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """None, or a value that ``check`` accepts."""
    return lambda name, value: None if value is None else check(name, value)


def one_of(*values: Any) -> Callable[[str, Any], Any]:
    """One of these values."""

    def check(name: str, value: Any) -> Any:
        if value not in values or isinstance(value, bool):
            kind = WrongValue if isinstance(value, type(values[0])) else WrongType
            raise kind(f"`{name}` must be {' or '.join(map(str, values))}, not {brief(value)}")
        return values[values.index(value)]

    return check


def instance(kind: type, wanted: str) -> Callable[[str, Any], Any]:
    """An object of this class, ``wanted`` in words."""

    def check(name: str, value: Any) -> Any:
        if not isinstance(value, kind):
            raise _wrong(name, wanted, value)
        return value

    return check


def function(name: str, value: Any) -> Any:
    """Something that can be called."""
    if not callable(value):
        raise _wrong(name, "a function", value)
    return value


def mapping(name: str, value: Any) -> Any:
    """A mapping from names to something that can be called."""
    if not isinstance(value, Mapping):
        raise _wrong(name, "a mapping from names to classes", value)
    for key, one in value.items():
        instance(str, "a name")(name, key)
        function(name, one)
    return value


def name_or_path(name: str, value: Any) -> Any:
    """The path of a file, or a name that stands for one."""
    if not isinstance(value, str | os.PathLike):
        raise _wrong(name, "a name or the path of a file", value)
    return value


def image(name: str, value: Any) -> Any:
    """An image in memory (``NsImage``), or as :func:`name_or_path`."""
    from cca_firmware.package.nsimage import NsImage

    return value if isinstance(value, NsImage) else name_or_path(name, value)


def date(name: str, value: Any) -> int | str:
    """Seconds since 1970, a date in ISO 8601 (UTC, unless it says otherwise), or "host"."""
    if isinstance(value, str) and value != "host":
        from datetime import UTC, datetime

        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            raise WrongValue(f"`{name}` must be host or a date such as 2026-07-01T12:00, not {brief(value)}") from None
        value = int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    return value if value == "host" else at_least(0, (1 << 32) - 1)(name, value)


def keyboard(name: str, value: Any) -> Any:
    """Something that types (``Keyboard``)."""
    if not all(callable(getattr(value, one, None)) for one in ("listen", "waits", "close")):
        raise _wrong(name, "a Keyboard", value)
    return value


def trace_or_path(name: str, value: Any) -> Any:
    """A ``Trace``, or the path of its file."""
    from cca_platform.trace.trace import Trace

    if not isinstance(value, Trace | str | os.PathLike):
        raise _wrong(name, "a Trace or the path of a file", value)
    return value


def size(name: str, value: Any) -> int:
    """A number of bytes, or a string such as 64M."""
    return parse_size(value) if isinstance(value, str) else whole(name, value)


def address(name: str, value: Any) -> int:
    """An address, or a string such as 0x88000000."""
    return parse_address(value, "the entry") if isinstance(value, str) else whole(name, value)


def ranges(name: str, value: Any) -> list[tuple[int, int, Path | None]]:
    """A list of (base, size), (base, size, file), or strings such as 0x90000000:64K or 0x90000000:64K=FILE.

    A file belongs to one range, which shares no memory with another.
    """
    found: list[tuple[int, int, Path | None]] = []
    for one in several(name, value):
        base, size, file = _range(name, one)
        for other, others, path in found:
            if file is not None and path is not None and os.path.realpath(file) == os.path.realpath(path):
                raise MachineError(f"`{name}` must name each file once, not {brief(str(file))} twice")
            if (file or path) and base < other + others and other < base + size:
                raise MachineError(f"`{name}` must name ranges apart, not those at {other:#x} and {base:#x}")
        found.append((base, size, file))
    return found


def _range(name: str, one: Any) -> tuple[int, int, Path | None]:
    if not isinstance(one, str):
        if not isinstance(one, tuple | list) or len(one) not in (2, 3):
            raise _wrong(name, "ranges: BASE:SIZE[=FILE], or base, size and perhaps a file", one)
        base, size, *rest = one
        return whole(name, base), whole(name, size), Path(name_or_path(name, rest[0])) if rest else None
    text, named, file = one.partition("=")
    if named and not file:
        raise MachineError(f"`{name}` must be BASE:SIZE or BASE:SIZE=FILE, not {brief(one)}")
    return (*parse_range(text), Path(file) if file else None)


def seconds(name: str, value: Any) -> float:
    """A time in seconds, more than none."""
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if not number or not 0 < value <= threading.TIMEOUT_MAX:
        kind = WrongValue if number else WrongType
        raise kind(f"`{name}` must be a number of seconds, more than 0, not {brief(value)}")
    return float(value)


def several(name: str, value: Any, one: Callable[[str, Any], Any] | None = None) -> tuple[Any, ...]:
    """A list, not a string, of what ``one`` accepts."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise _wrong(name, "a list", value)
    return tuple(value) if one is None else tuple(one(name, item) for item in value)


def each(one: Callable[[str, Any], Any]) -> Callable[[str, Any], tuple[Any, ...]]:
    """A list of what ``one`` accepts."""
    return lambda name, value: several(name, value, one)


def paths(name: str, value: Any) -> tuple[Path, ...]:
    """A path, or several."""
    given = (value,) if isinstance(value, str | os.PathLike) else value
    return tuple(Path(one) for one in several(name, given, name_or_path))


def hex_bytes(name: str, value: Any) -> bytes:
    """Bytes, or their hex digits."""
    if not isinstance(value, str):
        return octets(name, value, "bytes or hex digits")
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise WrongValue(f"`{name}` must be hex digits, two for each byte, not {brief(value)}") from None


def truth(name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise _wrong(name, "True or False", value)
    return value


def disks(name: str, value: Any) -> tuple["DiskOption", ...]:
    """A list of ``DiskOption``, or of strings such as FILE, FILE,ro or FILE,overlay=FILE; or one of them."""
    given = (value,) if isinstance(value, str | os.PathLike) else value
    return several(name, given, _disk)


def _disk(name: str, one: Any) -> "DiskOption":
    from cca_host.kvmtool.options import DiskOption

    if isinstance(one, DiskOption):
        return one
    if isinstance(one, os.PathLike):
        return DiskOption(path=os.fspath(one))
    if not isinstance(one, str):
        raise _wrong(name, "disks: FILE[,ro|,snapshot|,overlay=FILE], or DiskOption", one)
    path, comma, mode = one.partition(",")
    if mode in ("ro", "snapshot") or not comma:
        return DiskOption(path=path, read_only=mode == "ro", snapshot=mode == "snapshot")
    word, _, overlay = mode.partition("=")
    if word != "overlay" or not overlay:
        raise WrongValue(f"`{name}` must be FILE, then nothing, ,ro or ,snapshot or ,overlay=FILE, not {brief(one)}")
    return DiskOption(path=path, overlay=overlay)


def network(name: str, value: Any) -> str:
    """The words that describe a network."""
    from cca_host.kvmtool.net.options import read_network

    if not isinstance(value, str):
        raise _wrong(name, "none, or user with its options", value)
    read_network(value)
    return value


def shares(name: str, value: Any) -> tuple["ShareOption", ...]:
    """A list of ``ShareOption``, folders, or strings such as DIR, DIR:TAG or DIR:TAG,ro; or one of them."""
    given = (value,) if isinstance(value, str | os.PathLike) else value
    return several(name, given, _share)


def _share(name: str, one: Any) -> "ShareOption":
    from cca_host.kvmtool.options import ShareOption

    if isinstance(one, ShareOption):
        return one
    if isinstance(one, os.PathLike):
        return ShareOption(path=os.fspath(one))
    if not isinstance(one, str):
        raise _wrong(name, "folders: DIR[:TAG][,ro], or ShareOption", one)
    path, read_only = (one[: -len(_READ_ONLY)], True) if one.endswith(_READ_ONLY) else (one, False)
    folder, colon, tag = path.rpartition(":")
    if not colon or "/" in tag:
        return ShareOption(path=path, read_only=read_only)
    return ShareOption(path=folder, tag=_tag(name, tag, one), read_only=read_only)


def shares_9p(name: str, value: Any) -> tuple["ShareOption", ...]:
    """A list of strings DIR,TAG; or one of them."""
    from cca_host.kvmtool.options import ShareOption

    def share(name: str, one: Any) -> "ShareOption":
        if not isinstance(one, str):
            raise _wrong(name, "folders: DIR,TAG", one)
        path, comma, tag = one.rpartition(",")
        if not comma:
            raise WrongValue(f"`{name}` must be DIR,TAG, not {brief(one)}: give the name by which the guest mounts it")
        return ShareOption(path=path, tag=_tag(name, tag, one))

    return several(name, (value,) if isinstance(value, str) else value, share)


def _tag(name: str, tag: str, one: str) -> str:
    """The name by which a guest mounts a folder."""
    if not 0 < len(tag.encode("utf-8", "surrogateescape")) <= _LONGEST_TAG or not tag.isprintable():
        raise WrongValue(f"a tag of `{name}` must have 1 to {_LONGEST_TAG} bytes, all of them printable: {brief(one)}")
    return tag


def bytes_or_file(name: str, value: Any) -> bytes:
    """Bytes, or the path of a file that holds them."""
    if not isinstance(value, os.PathLike):
        return octets(name, value, "bytes or a Path")
    from cca_platform.userfiles import KINDS, read

    return read(value, KINDS[name])


def key(name: str, value: Any) -> bytes:
    """A key of 32 bytes, or the path of a file that holds it."""
    found = bytes_or_file(name, value)
    if len(found) != PLATFORM_KEY_SIZE:
        make = f"head -c {PLATFORM_KEY_SIZE} /dev/urandom > FILE makes one"
        raise WrongValue(f"`{name}` must have {PLATFORM_KEY_SIZE} bytes, not {len(found)}: {make}")
    return found


def octets(name: str, value: Any, wanted: str = "bytes") -> bytes:
    """Bytes, ``wanted`` in words."""
    if not isinstance(value, bytes | bytearray | memoryview):
        raise _wrong(name, wanted, value)
    return bytes(value)


def argument(name: str, value: Any) -> Any:
    """A string that has bytes: in UTF-8, or those of a command line."""
    if not isinstance(value, str):
        raise _wrong(name, "a list of texts", value)
    try:
        encoded = value.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        what = f"`{name}` must be text that UTF-8 has, not {brief(value)}: lone surrogates have no bytes"
        raise WrongValue(what) from None
    if b"\0" in encoded:
        raise WrongValue(f"`{name}` must be text without a NUL, which would end it, not {brief(value)}")
    return value


def text(name: str, value: Any) -> Any:
    """A string that is not empty."""
    if not isinstance(value, str):
        raise _wrong(name, "a text", value)
    if not value:
        raise WrongValue(f"`{name}` must be a text to wait for, not an empty one")
    return argument(name, value)


def patterns(name: str, value: Any) -> tuple[str, ...]:
    """Regular expressions."""
    patterns: tuple[str, ...] = several(name, value, instance(str, "a list of texts"))
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise WrongValue(f"`{name}` must be a regular expression, not {brief(pattern)}: {error}") from None
    return patterns
