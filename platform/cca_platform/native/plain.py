"""Native code as plain Python on the same memory, which is how it is debugged and unit-tested."""

import ctypes
from collections.abc import Callable
from typing import Any, Final, TypeVar

__all__ = [
    "call_address", "call_batch", "call_block", "call_control", "call_hook_add", "call_reg_read", "call_reg_write",
    "callback", "copy_page", "jit", "load8", "load32", "load64", "store8", "store32", "store64",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])
_KEPT: Final[list[Any]] = []  # keeps callbacks alive, because engines hold their addresses
_REG = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_ONE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_BATCH = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
_BLOCK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64)
_HOOK_ADD = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64,
    ctypes.c_uint64,
)  # fmt: skip
_CONTROL = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64, ctypes.c_uint64)

def load8(address: int) -> int:
    """The byte at ``address``."""
    return ctypes.c_uint8.from_address(address).value

def load32(address: int) -> int:
    """The 32-bit word at ``address``, unsigned."""
    return ctypes.c_uint32.from_address(address).value

def load64(address: int) -> int:
    """The 64-bit word at ``address``, signed."""
    return ctypes.c_int64.from_address(address).value

def store8(address: int, value: int) -> None:
    """Write the low 8 bits of ``value``."""
    ctypes.c_uint8.from_address(address).value = value & 0xFF

def store32(address: int, value: int) -> None:
    """Write the low 32 bits of ``value``."""
    ctypes.c_uint32.from_address(address).value = value & 0xFFFFFFFF

def store64(address: int, value: int) -> None:
    """Write ``value``, modulo 2**64."""
    ctypes.c_int64.from_address(address).value = value

def call_reg(function: int, engine: int, register: int, address: int) -> int:
    """Call ``uc_err function(uc_engine *, int register, void *value)`` through its address."""
    return int(_REG(function)(engine, register, address))

def call_batch(function: int, engine: int, registers: int, values: int, count: int) -> int:
    """Call ``uc_err function(uc_engine *, int *registers, void **values, int count)`` through its address."""
    return int(_BATCH(function)(engine, registers, values, count))

def call_address(function: int, argument: int) -> int:
    """Call ``int function(void *)`` through its address."""
    return int(_ONE(function)(argument))

def call_block(function: int, block: int, address: int, size: int) -> int:
    """Call ``int function(void *, uint64_t, uint64_t)`` through its address."""
    return int(_BLOCK(function)(block, address, size))


def call_control(function: int, engine: int, control: int, first: int, end: int) -> int:
    """Call ``uc_err function(uc_engine *, int control, ...)`` through its address, with two 64-bit arguments."""
    return int(_CONTROL(function)(engine, control, first, end))

def call_hook_add(
    function: int, engine: int, handle: int, kind: int, called: int, data: int, begin: int, end: int
) -> int:
    """Call ``uc_hook_add`` through its address; ``handle`` is where it puts the handle."""
    return int(_HOOK_ADD(function)(engine, handle, kind, called, data, begin, end))

def copy_page(target: int, source: int) -> None:
    """Copy 4096 bytes from address ``source`` to address ``target``."""
    ctypes.memmove(target, source, 4096)

call_reg_read = call_reg_write = call_reg

def jit(signature: str) -> Callable[[F], F]:
    """Leave the function as it is: plain Python."""
    return lambda function: function

def callback(result: str, *arguments: str) -> Callable[[Callable[..., Any]], int]:
    """Create a ctypes callback around plain Python; returns its address."""
    kinds: dict[str, Any] = {"bool": ctypes.c_bool, "void": None, "i32": ctypes.c_int32, "i64": ctypes.c_int64}
    signature = ctypes.CFUNCTYPE(kinds[result], *(kinds[argument] for argument in arguments))

    def make(function: Callable[..., Any]) -> int:
        compiled = signature(function)
        _KEPT.append(compiled)
        return int(ctypes.cast(compiled, ctypes.c_void_p).value or 0)

    return make
