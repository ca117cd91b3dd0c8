"""Hostile disks: images of any format and size, overlays of other images, damaged ones, modes that do not exist."""

import random
import struct

from hostile_case import Case, Content, Device, Folder, Link, Sparse, ends, line
from hostile_mutate import text

__all__ = ["disk_case"]

_BLOCK = 4096
_SIZES = (0, 1, 511, 512, 4096, 4097, 1 << 16, 1 << 36)
_STARTS = (b"", b"QFI\xfb", b"KDMV", b"vhdxfile", b"conectix", b"RLABOVL1", b"\x7fELF", b"<<< Oracle VM")


def _image(source: random.Random) -> Content:
    """An image, or what is none."""
    match source.randrange(8):
        case 0:
            return source.choice((Folder(), Link("disk"), Link("none"), Device()))
        case 1:
            return source.randbytes(source.choice((0, 1, 511, 512, 5000)))
        case _:
            return Sparse(source.choice(_SIZES), source.choice(_STARTS)[: source.randrange(1, 20)])


def _overlay(source: random.Random, size: int) -> Content:
    """An overlay over an image of ``size`` bytes, damaged in some way."""
    of = source.choice((size, size, size + 512, 0, (1 << 64) - 1))
    head = bytearray(struct.pack("<8sQQ", b"RLABOVL1", of, source.choice((_BLOCK, _BLOCK, 0, 1 << 63))))
    if source.random() < 0.3:
        head[source.randrange(len(head))] ^= 1 << source.randrange(8)
    blocks = -(-size // _BLOCK)
    room = source.choice((0, len(head), _BLOCK, 2 * _BLOCK, 3 * _BLOCK, 2 * _BLOCK + blocks * _BLOCK, 1 << 36))
    filled = bytes(head).ljust(_BLOCK, b"\0") + source.randbytes(source.randrange(16))
    return Sparse(room, filled[:room])


def disk_case(source: random.Random, number: int) -> Case:
    """Disks of the payload that reads and writes them."""
    files: dict[str, Content] = {}
    words: list[str] = []
    for name in "ab"[: source.choice((1, 1, 2))]:
        size = source.choice(_SIZES[3:7])
        files[name] = Sparse(size, source.randbytes(8)) if source.random() < 0.6 else _image(source)
        overlays = (f",overlay=over{name}", f",overlay={name}", ",overlay=")
        mode = source.choice(("", ",ro", ",snapshot", *overlays, ",", ",rw"))
        if mode == f",overlay=over{name}" and source.random() < 0.7:
            files[f"over{name}"] = _overlay(source, size)
        words += ["--disk", (name + (mode if source.random() < 0.95 else f",{text(source)}")).replace("\0", "")]
    argv = line("run", "virtio", "--rng", "--transport", "mmio", *words, "--max-insns", "400000")
    statuses, raw = ends(argv)
    return Case("disk", number, argv, files, statuses, outputs=frozenset({"a", "b", "overa", "overb"}), raw=raw)
