"""The initial RAM disk: checked, and placed as high as possible below the device tree.

arm64's boot protocol wants it within one window of 32 GiB with the kernel, which all RAM here is in.
"""

from pathlib import Path
from typing import Final

from cca_arch.compression import packing
from cca_arch.types import GRANULE_SIZE
from cca_arch.unpacking import UnpackError, check_stream
from cca_host.kvmtool.layout import DTB_SIZE, RAM_BASE, dtb_base
from cca_host.kvmtool.loader import Image, LoadError, Segment
from cca_platform.userfiles import KINDS, read

__all__ = ["check_initrd", "load_initrd"]

_NEWC: Final = (b"070701", b"070702")
_HEADER: Final = 110
_FILE_SIZE, _NAME_SIZE = slice(54, 62), slice(94, 102)


def load_initrd(path: str | Path, memory: int, image: Image) -> Segment:
    """The initrd of a guest with ``memory`` bytes of RAM that ``image`` starts; LoadError if it does not do."""
    data = read(path, KINDS["initrd"], error=LoadError)
    check_initrd(data, str(path))
    limit = dtb_base(memory)
    base = limit - len(data) & -GRANULE_SIZE
    if base < image.top:
        room = -(-image.top // GRANULE_SIZE) * GRANULE_SIZE
        needed = (-(-(room + len(data) - RAM_BASE) // DTB_SIZE) + 1) * DTB_SIZE >> 20
        raise LoadError(
            f"initrd {path} with {len(data):,} bytes must fit between the end of the image at {image.top:#x} and the "
            f"device tree at {limit:#x}: give `memory` {needed}M or more"
        )
    return Segment(base, data, len(data))


def check_initrd(data: bytes, name: str) -> None:
    """Refuse an empty initrd and one that ends too early; what only a kernel can tell is left to it.

    It is any number of archives (cpio, newc), one after another, with zeroes between them and the last one compressed;
    or the image of a file system.
    """
    if not data:
        raise LoadError(f"initrd {name} is empty: give a cpio archive, which may be compressed")
    at = 0
    while at < len(data):
        if data[at] == 0:
            at = _behind_zeroes(data, at)
        elif data[at : at + len(_NEWC[0])] in _NEWC:
            at = _behind_entry(data, at, name)
        else:
            _check_packed(data[at:], name)
            return


def _behind_zeroes(data: bytes, at: int) -> int:
    while at < len(data) and not any(data[at : at + GRANULE_SIZE]):
        at += GRANULE_SIZE
    while at < len(data) and data[at] == 0:
        at += 1
    return at


def _behind_entry(data: bytes, at: int, name: str) -> int:
    """Where the next entry of the archive begins."""
    header = data[at : at + _HEADER]
    try:
        size, named = int(header[_FILE_SIZE], 16), int(header[_NAME_SIZE], 16)
    except ValueError:
        size = named = len(data)
        if len(header) == _HEADER:
            raise LoadError(f"initrd {name} is a damaged cpio archive: build or copy it again") from None
    end = _aligned(at + _HEADER + named) + size
    if end > len(data):
        raise LoadError(f"initrd {name} is a truncated cpio archive: copy it again")
    return _aligned(end)


def _aligned(at: int) -> int:
    return -(-at // 4) * 4


def _check_packed(data: bytes, name: str) -> None:
    kind = packing(data)
    if kind:
        try:
            check_stream(data, f"archive compressed with {kind}")
        except UnpackError as error:
            raise LoadError(f"initrd {name} {error}") from None
