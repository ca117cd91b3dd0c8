"""What a console sends, made harmless for the terminal of somebody who does not know the software: --console-escape."""

import re
from codecs import getincrementaldecoder, getincrementalencoder
from typing import Final

from cca_platform.printable import printable

__all__ = ["Escape"]

_KEPT: Final = re.compile(r"(\r\n|[\n\t])")


class Escape:
    """Turns the bytes of one console into text for ``encoding`` that a terminal shows and does not obey.

    Lines and tabs stay. Bytes that are not UTF-8, and what the encoding cannot show, are escapes.
    """

    def __init__(self, encoding: str) -> None:
        self._decode = getincrementaldecoder("utf-8")("surrogateescape").decode
        self._encode = getincrementalencoder(encoding)("backslashreplace").encode
        self._held = ""  # a carriage return, whose newline may follow

    def __call__(self, data: bytes, final: bool = False) -> bytes:
        """The next bytes to show: those of a character wait until it is whole, or all is ``final``."""
        text = self._held + self._decode(data, final)
        self._held = "\r" if text.endswith("\r") and not final else ""
        return self._encode("".join(map(_shown, _KEPT.split(text.removesuffix(self._held)))))


def _shown(part: str) -> str:
    return part if _KEPT.fullmatch(part) else printable(part)
