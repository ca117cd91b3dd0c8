"""What a host does, as data: it can be played again, and written as the Python that makes it."""

import struct
from typing import NamedTuple

from rmm_model.facts import PAGE

__all__ = ["FID", "Page", "Step"]

FID = "FID"


class Page(NamedTuple):
    """A page that the Host writes: its eight-byte words that are not zero, by offset."""

    pa: int
    words: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, pa: int, content: bytes) -> "Page":
        """The page with these bytes."""
        values = struct.unpack(f"<{len(content) // 8}Q", content)
        return cls(pa, tuple((8 * at, value) for at, value in enumerate(values) if value))

    def content(self) -> bytes:
        """All of it."""
        page = bytearray(PAGE)
        for at, value in self.words:
            page[at : at + 8] = value.to_bytes(8, "little")
        return bytes(page)

    def __repr__(self) -> str:
        return f"Page({self.pa:#x}, ({''.join(f'({at:#x}, {value:#x}), ' for at, value in self.words)}))"


class Step(NamedTuple):
    """What a host does: it writes its pages, then makes a call."""

    name: str
    """A command, or :data:`FID` for the function identifier that is the first argument."""
    args: tuple[int, ...]
    pages: tuple[Page, ...] = ()
    pe: int = 0
    meanwhile: tuple["Step", ...] = ()
    """What a host on another PE does while the Realm runs, as soon as that makes an SMC."""

    def __repr__(self) -> str:
        args = "".join(f"{value:#x}, " for value in self.args)
        rest = f", {self.pages}" if self.pages else ""
        rest += f", pe={self.pe}" if self.pe else ""
        return f'Step("{self.name}", ({args}){rest}{f", meanwhile={self.meanwhile}" if self.meanwhile else ""})'
