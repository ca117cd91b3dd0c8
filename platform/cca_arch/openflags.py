"""Linux's flags of open(2) on arm64 (asm-generic/fcntl.h), as protocols of files carry them."""

from enum import IntFlag

__all__ = ["OpenFlag"]


class OpenFlag(IntFlag):
    """Flags of open(2), as far as a server of files looks at them."""

    RDONLY = 0
    WRONLY = 1
    RDWR = 2
    ACCMODE = 3
    CREAT = 0o100
    EXCL = 0o200
    TRUNC = 0o1000
    APPEND = 0o2000
