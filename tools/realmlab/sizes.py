"""Sizes, addresses and ranges as users write them."""

import re

from cca_platform.errors import MachineError
from cca_platform.printable import brief

__all__ = ["format_size", "parse_address", "parse_range", "parse_size"]

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_SIZE = re.compile(r"(0x[0-9a-f]+|[0-9]+)([kmg]?)(i?b)?", re.IGNORECASE)


def parse_size(text: str | int) -> int:
    """Parse ``"64M"``, ``"1G"``, ``"512KiB"``, ``"0x200000"`` or a plain number; else raises MachineError."""
    if isinstance(text, int):
        return text
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise MachineError(f"a size must be a number with K, M or G, such as 64M, not {brief(text)}")
    return int(match[1], 0 if match[1][:2].lower() == "0x" else 10) * _UNITS[match[2].lower()]


def format_size(size: int) -> str:
    """``size`` bytes in the largest unit that divides it: ``64 MiB``."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} B"


def parse_range(text: str) -> tuple[int, int]:
    """Parse ``BASE:SIZE``, such as ``0x90000000:64K``, to (base, size); else raises MachineError."""
    base, colon, size = text.partition(":")
    if not colon:
        raise MachineError(f"a range must be BASE:SIZE, such as 0x90000000:64K, not {brief(text)}")
    return parse_address(base, "the base of a range"), parse_size(size)


def parse_address(text: str, what: str = "an address") -> int:
    """Parse a number such as ``0x88000000``; else raises MachineError, which names ``what``."""
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if value < 0:
        raise MachineError(f"{what} must be a number such as 0x88000000, not {brief(text)}")
    return value
