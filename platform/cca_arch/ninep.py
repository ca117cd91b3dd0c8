"""9P2000.L: the messages of Linux's dialect of 9P for files elsewhere."""

from enum import IntEnum, IntFlag
from typing import Final

__all__ = ["NINEP_VERSION", "NO_FID", "GetattrMask", "NinepType", "QidType", "SetattrValid"]

NINEP_VERSION: Final = b"9P2000.L"
NO_FID: Final = 0xFFFF_FFFF


class NinepType(IntEnum):
    """Types of requests; an answer has the next number."""

    LERROR = 6
    STATFS = 8
    LOPEN = 12
    LCREATE = 14
    SYMLINK = 16
    MKNOD = 18
    RENAME = 20
    READLINK = 22
    GETATTR = 24
    SETATTR = 26
    XATTRWALK = 30
    XATTRCREATE = 32
    READDIR = 40
    FSYNC = 50
    LOCK = 52
    GETLOCK = 54
    LINK = 70
    MKDIR = 72
    RENAMEAT = 74
    UNLINKAT = 76
    VERSION = 100
    AUTH = 102
    ATTACH = 104
    FLUSH = 108
    WALK = 110
    READ = 116
    WRITE = 118
    CLUNK = 120
    REMOVE = 122


class QidType(IntFlag):
    """What a file is, in its qid."""

    FILE = 0
    SYMLINK = 0x02
    DIRECTORY = 0x80


class GetattrMask(IntFlag):
    """What the answer to GETATTR has."""

    BASIC = 0x7FF


class SetattrValid(IntFlag):
    """What a SETATTR changes."""

    MODE = 1 << 0
    UID = 1 << 1
    GID = 1 << 2
    SIZE = 1 << 3
    ATIME = 1 << 4
    MTIME = 1 << 5
    CTIME = 1 << 6
    ATIME_SET = 1 << 7
    MTIME_SET = 1 << 8
