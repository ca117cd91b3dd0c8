"""Debian packages, read by the standard library: an ar archive with a tar archive of the files (deb(5)).

The tar archive is plain or packed with xz, gzip, bzip2 or Zstandard. What is read here has been checked against the
digests of apt's signed lists before.
"""

import io
import lzma
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from cca_arch.unpacking import UnpackError, unpacked
from cca_platform.errors import MachineError

__all__ = ["contents", "files"]

_AR: Final = b"!<arch>\n"
_HEADER: Final = 60
_NAME, _SIZE, _END = slice(0, 16), slice(48, 58), slice(58, 60)
_DATA: Final = "data.tar"
_LARGEST: Final = 1 << 31
"""Bytes of the files of a package that is packed with Zstandard, which is unpacked in memory."""


def contents(path: Path) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Each member of the files of a package, with its contents if it is a file, which are read before the next one.

    Raises MachineError for what is no package, or a damaged one.
    """
    try:
        with open(path, "rb") as raw, _tar(raw, path) as tar:
            for member in tar:
                yield member, tar.extractfile(member) if member.isfile() else None
    except (tarfile.TarError, lzma.LZMAError, EOFError, UnpackError, ValueError) as error:
        raise MachineError(f"package {path.name} is damaged ({error}): remove it, and it is fetched again") from None


def files(path: Path) -> Iterator[tuple[str, bytes]]:
    """The name, without a leading ``./``, and the contents of each regular file of a package."""
    for member, data in contents(path):
        if data is not None:
            yield member.name.removeprefix("./"), data.read()


def _tar(raw: IO[bytes], path: Path) -> tarfile.TarFile:
    name, section = _section(raw, path)
    if name.endswith(".zst"):
        return tarfile.open(fileobj=io.BytesIO(unpacked(section, _LARGEST)), mode="r:")
    return tarfile.open(fileobj=io.BytesIO(section), mode="r|*")


def _section(raw: IO[bytes], path: Path) -> tuple[str, bytes]:
    """The name and the bytes of the member of the ar archive with the files."""
    if raw.read(len(_AR)) != _AR:
        raise MachineError(f"package {path.name} is damaged (it is no .deb): remove it, and it is fetched again")
    while len(header := raw.read(_HEADER)) == _HEADER and header[_END] == b"`\n":
        name, size = header[_NAME].decode("ascii", "replace").rstrip(" /"), int(header[_SIZE])
        if name.startswith(_DATA):
            section = raw.read(size)
            if len(section) != size:
                raise EOFError("its end is missing")
            return name, section
        raw.seek(size + size % 2, io.SEEK_CUR)
    raise EOFError("it has no files in it")
