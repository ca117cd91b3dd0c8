"""An image: native code in one piece, its functions, and what it needs of other libraries."""

import ctypes
import json
import mmap
import struct
from typing import Any, Final, NamedTuple

__all__ = ["Image", "Loaded"]

_HEAD: Final = struct.Struct("<Q")
_FASTCALL: Final = 0x80  # METH_FASTCALL
_KEPT: Final[list[Any]] = []  # what engines and callers hold the addresses of


class _MethodDef(ctypes.Structure):
    """PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p),
    )  # fmt: skip


class Image(NamedTuple):
    """Code with its entry points, and where pointers to functions outside belong: offsets in ``code`` by name."""

    entries: dict[str, int]
    outside: dict[str, int]
    code: bytes

    def pack(self) -> bytes:
        """As bytes, to be kept."""
        head = json.dumps([self.entries, self.outside]).encode()
        return _HEAD.pack(len(head)) + head + self.code

    @classmethod
    def unpack(cls, data: bytes) -> "Image":
        """What ``pack`` returned."""
        (size,) = _HEAD.unpack_from(data)
        start = _HEAD.size + size
        entries, outside = json.loads(data[_HEAD.size : start])
        return cls(entries, outside, data[start:])


class Loaded:
    """An image in memory that can be executed and no longer written. It stays: engines hold its addresses."""

    def __init__(self, image: Image) -> None:
        memory = mmap.mmap(-1, len(image.code))
        memory[: len(image.code)] = image.code
        for name, offset in image.outside.items():
            address = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
            memory[offset : offset + 8] = _HEAD.pack(address)
        self._memory = (ctypes.c_char * len(memory)).from_buffer(memory)
        self._base = ctypes.addressof(self._memory)
        self._entries = image.entries
        _KEPT.append(self._memory)
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        if protect(self._base, len(memory), mmap.PROT_READ | mmap.PROT_EXEC):
            raise OSError(ctypes.get_errno(), "memory cannot be made executable")

    def address(self, name: str) -> int:
        """The address of a function for C."""
        return self._base + self._entries[name]

    def function(self, name: str, doc: str) -> Any:
        """A function for Python; its arguments and its result are integers of 64 bits."""
        method = _MethodDef(name.rpartition(".")[2].encode(), self.address(name), _FASTCALL, doc.encode())
        _KEPT.append(method)
        make = ctypes.pythonapi.PyCFunction_NewEx
        make.restype, make.argtypes = ctypes.py_object, (ctypes.c_void_p,) * 3
        return make(ctypes.addressof(method), None, None)
