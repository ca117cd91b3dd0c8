"""FUSE 7.31: the requests of Linux for a file system elsewhere (linux/fuse.h), as virtiofs carries them."""

from enum import IntEnum, IntFlag
from typing import Final

from cca_arch.fields import Member, Struct

__all__ = [
    "FATTR",
    "FUSE_MAJOR",
    "FUSE_MINOR",
    "FUSE_ROOT",
    "FuseAttr",
    "FuseAttrOut",
    "FuseBatchForgetIn",
    "FuseCreateIn",
    "FuseDirent",
    "FuseEntryOut",
    "FuseFallocateIn",
    "FuseForgetOne",
    "FuseFsyncIn",
    "FuseGetattrIn",
    "FuseInHeader",
    "FuseInit",
    "FuseInitIn",
    "FuseInitOut",
    "FuseKstatfs",
    "FuseMkdirIn",
    "FuseMknodIn",
    "FuseOpcode",
    "FuseOpenOut",
    "FuseOutHeader",
    "FuseReadIn",
    "FuseReleaseIn",
    "FuseRename2In",
    "FuseSetattrIn",
    "FuseWriteIn",
]

FUSE_MAJOR: Final = 7
FUSE_MINOR: Final = 31
FUSE_ROOT: Final = 1
"""The node of the root."""


class FuseOpcode(IntEnum):
    """Kinds of requests."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    SETXATTR = 21
    GETXATTR = 22
    LISTXATTR = 23
    REMOVEXATTR = 24
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    ACCESS = 34
    CREATE = 35
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42
    FALLOCATE = 43
    READDIRPLUS = 44
    RENAME2 = 45
    LSEEK = 46
    SYNCFS = 50


class FuseInit(IntFlag):
    """Flags of INIT."""

    ASYNC_READ = 1 << 0
    ATOMIC_O_TRUNC = 1 << 3
    BIG_WRITES = 1 << 5
    DO_READDIRPLUS = 1 << 13
    READDIRPLUS_AUTO = 1 << 14
    PARALLEL_DIROPS = 1 << 18


class FATTR(IntFlag):
    """What a SETATTR changes."""

    MODE = 1 << 0
    UID = 1 << 1
    GID = 1 << 2
    SIZE = 1 << 3
    ATIME = 1 << 4
    MTIME = 1 << 5
    FH = 1 << 6
    ATIME_NOW = 1 << 7
    MTIME_NOW = 1 << 8


def _words(name: str, members: str, size: int = 0) -> Struct:
    """A structure of members without gaps: ``name:bytes`` each."""
    rows, at = [], 0
    for member in members.split():
        called, width = member.split(":")
        rows.append(Member(called, at, int(width)))
        at += int(width)
    return Struct(name, size or at, *rows)


_ATTR: Final = (
    "ino:8 size:8 blocks:8 atime:8 mtime:8 ctime:8 atimensec:4 mtimensec:4 ctimensec:4"
    " mode:4 nlink:4 uid:4 gid:4 rdev:4 blksize:4 flags:4"
)
FuseInHeader: Final = _words("fuse_in_header", "len:4 opcode:4 unique:8 nodeid:8 uid:4 gid:4 pid:4 total_extlen:2", 40)
FuseOutHeader: Final = _words("fuse_out_header", "len:4 error:4 unique:8")
FuseInitIn: Final = _words("fuse_init_in", "major:4 minor:4 max_readahead:4 flags:4")
FuseInitOut: Final = _words(
    "fuse_init_out",
    "major:4 minor:4 max_readahead:4 flags:4 max_background:2 congestion_threshold:2 max_write:4 time_gran:4"
    " max_pages:2 map_alignment:2",
    64,
)
FuseAttr: Final = _words("fuse_attr", _ATTR)
FuseAttrOut: Final = _words("fuse_attr_out", f"attr_valid:8 attr_valid_nsec:4 dummy:4 {_ATTR}")
FuseEntryOut: Final = _words(
    "fuse_entry_out",
    f"nodeid:8 generation:8 entry_valid:8 attr_valid:8 entry_valid_nsec:4 attr_valid_nsec:4 {_ATTR}",
)
FuseForgetOne: Final = _words("fuse_forget_one", "nodeid:8 nlookup:8")
FuseBatchForgetIn: Final = _words("fuse_batch_forget_in", "count:4", 8)
FuseGetattrIn: Final = _words("fuse_getattr_in", "getattr_flags:4 dummy:4 fh:8")
FuseSetattrIn: Final = _words(
    "fuse_setattr_in",
    "valid:4 padding:4 fh:8 size:8 lock_owner:8 atime:8 mtime:8 ctime:8 atimensec:4 mtimensec:4 ctimensec:4 mode:4"
    " unused4:4 uid:4 gid:4 unused5:4",
)
FuseMknodIn: Final = _words("fuse_mknod_in", "mode:4 rdev:4 umask:4 padding:4")
FuseMkdirIn: Final = _words("fuse_mkdir_in", "mode:4 umask:4")
FuseRename2In: Final = _words("fuse_rename2_in", "newdir:8 flags:4 padding:4")
FuseCreateIn: Final = _words("fuse_create_in", "flags:4 mode:4 umask:4 open_flags:4")
FuseOpenOut: Final = _words("fuse_open_out", "fh:8 open_flags:4 backing_id:4")
FuseReleaseIn: Final = _words("fuse_release_in", "fh:8 flags:4 release_flags:4 lock_owner:8")
FuseReadIn: Final = _words("fuse_read_in", "fh:8 offset:8 size:4 read_flags:4 lock_owner:8 flags:4 padding:4")
FuseWriteIn: Final = _words("fuse_write_in", "fh:8 offset:8 size:4 write_flags:4 lock_owner:8 flags:4 padding:4")
FuseFsyncIn: Final = _words("fuse_fsync_in", "fh:8 fsync_flags:4 padding:4")
FuseFallocateIn: Final = _words("fuse_fallocate_in", "fh:8 offset:8 length:8 mode:4 padding:4")
FuseKstatfs: Final = _words(
    "fuse_kstatfs", "blocks:8 bfree:8 bavail:8 files:8 ffree:8 bsize:4 namelen:4 frsize:4 padding:4", 80
)
FuseDirent: Final = _words("fuse_dirent", "ino:8 off:8 namelen:4 type:4")
