"""Mistakes that beginners make, as rows: what they did, the least that does it, and the words that name the cause.

The rows are in ``mistakes_*.py``, by area. They were written before anybody looked at the messages, and by somebody
who has written none of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ns_code import ENTRY
from rmm_host import RAM, to_code
from secure_code import BASE

__all__ = ["FOREVER", "OFF", "Command", "Mistake", "Use", "command", "ns", "realm", "secure"]

Command = Callable[[Path], list[str]]
"""Write the files of a command line into a folder; its words."""
Parts = str | bytes | Mapping[int, str | bytes]
"""Code or data, or several of them by offset."""

FOREVER = "b ."
OFF = "movz x0, #0x8400, lsl #16; movk x0, #8; smc #0; b ."
_LIMITS = ("--max-insns", "200000")


@dataclass(frozen=True)
class Use:
    """A use of the Python API, which raises, or gives the message of a result."""

    call: Callable[[], str]


@dataclass(frozen=True)
class Mistake:
    """A row: ``cause`` are regular expressions, and the first line of the message must match each of them."""

    name: str
    story: str
    act: Command | Use
    cause: tuple[str, ...]


def _image(parts: Parts, base: int) -> bytes:
    """A raw image for ``base``."""
    image = b""
    for offset, part in (parts if isinstance(parts, Mapping) else {0: parts}).items():
        assert len(image) <= offset, f"what is before {offset:#x} must end there, not at {len(image):#x}"
        image = image.ljust(offset, b"\0") + (part if isinstance(part, bytes) else to_code(part, base + offset))
    return image


def command(*words: str, files: Mapping[str, bytes] | None = None) -> Command:
    """A command line; the files are written first, and FOLDER is the folder that they are in."""

    def make(folder: Path) -> list[str]:
        for name, content in (files or {}).items():
            (folder / name).write_bytes(content)
        return [word.replace("FOLDER", str(folder)) for word in words]

    return make


def realm(payload: Parts, *options: str) -> Command:
    """Run in a Realm: a file, or parts that make up a raw image for the start of RAM."""

    def make(folder: Path) -> list[str]:
        words = ("run", "FOLDER/payload", "--memory", "16M", *_LIMITS, *options)
        return command(*words, files={"payload": _image(payload, RAM)})(folder)

    return make


def ns(payload: Parts, *options: str, pages: Mapping[int, Parts] | None = None) -> Command:
    """Run at Non-secure EL2: a file, or parts of a raw image for the entry; ``pages`` are more images by address."""

    def make(folder: Path) -> list[str]:
        files = {f"page-{at:x}": _image(parts, at) for at, parts in (pages or {}).items()}
        more = (f"FOLDER/{name}@0x{name.removeprefix('page-')}" for name in files)
        words = ("run", "--world", "ns-el2", *_LIMITS, *options, "FOLDER/payload", *more)
        return command(*words, files={"payload": _image(payload, ENTRY), **files})(folder)

    return make


def secure(payload: Parts) -> Command:
    """Run a bundled host with a Secure payload: a file, or parts of a raw image for Secure memory."""

    def make(folder: Path) -> list[str]:
        words = ("run", "--world", "ns-el2", *_LIMITS, "rmi", "--secure", "FOLDER/tsp")
        return command(*words, files={"tsp": _image(payload, BASE)})(folder)

    return make
