"""Text of strangers: file names, symbols, device names, claims, whatever a file, a guest or a command line has in it.

A terminal obeys some characters and hides or reorders others. Both functions here put escapes in their place, so that
one line stays one line and shows everything that is in it. What stays is printed as it is: letters of all languages,
digits, signs, and the space.
"""

import json
import reprlib
from typing import Any, Final

__all__ = ["brief", "json_text", "printable", "visible_json"]

_FILLERS: Final = frozenset(
    map(
        chr,
        (
            0x034F,  # combining grapheme joiner
            *(0x115F, 0x1160, 0x3164, 0xFFA0),  # Hangul fillers
            *(0x17B4, 0x17B5),  # Khmer vowels without a glyph
            *range(0x180B, 0x1810),  # Mongolian variation selectors
            *range(0xFE00, 0xFE10),  # variation selectors
            *range(0xE0100, 0xE01F0),
        ),
    )
)
"""What Unicode calls a letter or a mark, and shows as nothing (Default_Ignorable_Code_Point)."""
_BYTES: Final = range(0xDC80, 0xDD00)
"""How Python writes a byte of a file name or an argument that is not UTF-8 (PEP 383)."""


def _plain(text: str) -> bool:
    return text.isprintable() and (text.isascii() or _FILLERS.isdisjoint(text))


def _escape(one: str) -> str:
    code = ord(one)
    if code in _BYTES:
        return f"\\x{code & 0xFF:02x}"
    if one in _FILLERS:
        return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
    return repr(one)[1:-1]


def printable(text: str) -> str:
    """``text`` with escapes such as ``\\x1b`` and ``\\n`` in place of what a terminal would obey or not show.

    That is: control characters (C0, DEL, C1), line and paragraph separators and every space but the plain one, format
    characters (bidirectional, zero width, tags), fillers, surrogates, and what is private or not assigned. A byte that
    is not UTF-8 is its escape (``\\xff``).
    """
    if _plain(text):
        return text
    return "".join(one if _plain(one) else _escape(one) for one in text)


_BRIEF: Final = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = 120


def brief(value: Any) -> str:
    """The repr of a value that somebody gave, for a message: printable, and never longer than a few lines."""
    try:
        return printable(_BRIEF.repr(value))
    except ValueError:  # Python writes no number of that many digits
        return f"a value of type {type(value).__name__} that is too large to show"


def visible_json(text: str) -> str:
    """One line of JSON that no terminal obeys, with the same meaning; a surrogate becomes its escape, as text."""
    if _plain(text):
        return text
    return "".join(one if _plain(one) else _json_escape(one) for one in text)


def _json_escape(one: str) -> str:
    code = ord(one)
    if 0xD800 <= code < 0xE000:
        return "\\" + _escape(one)
    units = one.encode("utf-16-be")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))


def json_text(data: Any) -> str:
    """``data`` as indented JSON in ASCII."""
    return json.dumps(data, indent=2).replace("\x7f", "\\u007f")
