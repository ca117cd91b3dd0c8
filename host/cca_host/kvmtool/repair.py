"""The repair of an ELF's headers, of a file that may be anybody's: in a process of its own, with a bounded result."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from cca_arch import elf
from cca_host.kvmtool import mend
from cca_host.kvmtool.analysis import readable
from cca_host.kvmtool.loader import LoadError

__all__ = ["repair"]

_MORE: Final = 1 << 20
"""How many bytes more than the file a repaired copy may have: headers and names."""


def repair(data: bytes) -> bytes:
    """The same program with valid ELF headers; a broken section header table is rebuilt.

    Raises LoadError if it is no program, or needs more memory, time or room than a repair can.
    """
    source = readable(data)
    try:
        elf.Elf(source)
    except elf.ElfError as error:
        raise LoadError(f"the payload {error}") from None
    limit = len(source) + _MORE
    with subprocess.Popen(
        [sys.executable, str(Path(mend.__file__))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as child:  # fmt: skip
        assert child.stdin is not None and child.stdout is not None
        with suppress(BrokenPipeError), child.stdin:  # its status will tell why
            child.stdin.write(source)
        repaired = child.stdout.read(limit + 1)
        if len(repaired) > limit:
            child.kill()
        status = child.wait()
    if status == mend.NO_ELF:
        raise LoadError("the payload is no ELF that lief understands: build it again")
    if status or len(repaired) > limit:
        raise LoadError(
            f"the payload's headers ask for more than a repair of {len(data):,} bytes may take "
            f"({mend.MEMORY >> 30} GiB of memory, {mend.SECONDS} s, {_MORE >> 20} MiB more room): build it again"
        )
    return repaired
