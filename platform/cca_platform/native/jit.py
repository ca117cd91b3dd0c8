"""Native code written in Python: numba functions on raw addresses, or the same source as plain Python.

Everything is int64: an address with bit 63 set is negative, and masks and shifts still work. With the environment
variable ``NUMBA_DISABLE_JIT=1`` nothing is compiled and every function here and every ``@jit`` function runs as
ordinary Python on the same memory, which is how the walkers are debugged and unit-tested.
"""

import ctypes
import hashlib
import os
import pickle
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from cca_platform.native import cache

__all__ = [
    "NATIVE", "call_address", "call_control", "call_hook_add", "call_reg_read", "call_reg_write", "callback",
    "copy_page", "jit", "load8", "load32", "load64", "store8", "store32", "store64",
]  # fmt: skip

NATIVE = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
F = TypeVar("F", bound=Callable[..., Any])
_KEPT: list[Any] = []  # keeps callbacks alive, because engines hold their addresses


def _import_numba() -> None:
    """Import numba on a separate stack.

    CPython allocates call frames in chunks of 16 KiB. Numba fills its tables in a loop of calls. If the import nests
    so deeply that this loop straddles two chunks, each call maps and unmaps one, which costs 0.2 s. A new thread starts
    with an empty chunk.
    """
    import threading

    thread = threading.Thread(target=__import__, args=("numba.core.typing",))
    thread.start()
    thread.join()


if not TYPE_CHECKING and NATIVE:  # the plain variants have the types
    _import_numba()
    import numba
    from llvmlite import ir
    from numba import njit, types
    from numba.core.ccallback import CFunc
    from numba.core.compiler import CompileResult
    from numba.core.serialize import dumps
    from numba.extending import intrinsic

    _STORE = cache.store()

    class _Kept:
        """What numba asks for compiled code, and hands it to: the entries of one function."""

        def __init__(self, function: Any) -> None:
            self.name = f"{function.__module__}.{function.__qualname__}"

        def _entry(self, signature: Any, codegen: Any) -> str:
            """A name of its own for each function, signature, compiler, processor and Python."""
            what = repr((signature, codegen.magic_tuple(), numba.__version__, sys.version))
            return f"{self.name}-{hashlib.sha256(what.encode()).hexdigest()[:16]}"

        def load_overload(self, signature: Any, context: Any) -> Any:
            """The compiled function, or None."""
            context.refresh()
            data = _STORE.load(self._entry(signature, context.codegen()))
            return data and CompileResult._rebuild(context, *pickle.loads(data))

        def save_overload(self, signature: Any, compiled: Any) -> None:
            """Keep the compiled function."""
            _STORE.save(self._entry(signature, compiled.codegen), dumps(compiled._reduce()))

    _I64 = types.int64

    def _load(bits: int) -> Any:
        @intrinsic
        def load(typing_context: Any, address: Any) -> Any:
            def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                value = builder.load(builder.inttoptr(args[0], ir.IntType(bits).as_pointer()))
                return value if bits == 64 else builder.zext(value, ir.IntType(64))

            return _I64(_I64), codegen

        return load

    def _store(bits: int) -> Any:
        @intrinsic
        def store(typing_context: Any, address: Any, value: Any) -> Any:
            def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                value = args[1] if bits == 64 else builder.trunc(args[1], ir.IntType(bits))
                builder.store(value, builder.inttoptr(args[0], ir.IntType(bits).as_pointer()))
                return context.get_dummy_value()

            return types.void(_I64, _I64), codegen

        return store

    @intrinsic
    def call_reg(typing_context: Any, function: Any, engine: Any, register: Any, address: Any) -> Any:
        """Call ``uc_err function(uc_engine *, int register, void *value)`` through its address."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer, i32, i64 = ir.IntType(8).as_pointer(), ir.IntType(32), ir.IntType(64)
            target = builder.inttoptr(args[0], ir.FunctionType(i32, [pointer, i32, pointer]).as_pointer())
            status = builder.call(
                target,
                [builder.inttoptr(args[1], pointer), builder.trunc(args[2], i32), builder.inttoptr(args[3], pointer)],
            )
            return builder.sext(status, i64)

        return _I64(_I64, _I64, _I64, _I64), codegen

    @intrinsic
    def call_address(typing_context: Any, function: Any, argument: Any) -> Any:
        """Call ``int function(void *)`` through its address."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer, i32, i64 = ir.IntType(8).as_pointer(), ir.IntType(32), ir.IntType(64)
            target = builder.inttoptr(args[0], ir.FunctionType(i32, [pointer]).as_pointer())
            return builder.sext(builder.call(target, [builder.inttoptr(args[1], pointer)]), i64)

        return _I64(_I64, _I64), codegen

    @intrinsic
    def call_control(typing_context: Any, function: Any, engine: Any, control: Any, first: Any, end: Any) -> Any:
        """Call ``uc_err function(uc_engine *, int control, ...)`` through its address, with two 64-bit arguments."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
            target = builder.inttoptr(args[0], ir.FunctionType(i32, [pointer, i32], var_arg=True).as_pointer())
            handle, number = builder.inttoptr(args[1], pointer), builder.trunc(args[2], i32)
            return builder.sext(builder.call(target, [handle, number, args[3], args[4]]), ir.IntType(64))

        return _I64(_I64, _I64, _I64, _I64, _I64), codegen

    @intrinsic
    def call_hook_add(
        typing_context: Any, function: Any, engine: Any, handle: Any, kind: Any, called: Any, data: Any, begin: Any,
        end: Any,
    ) -> Any:  # fmt: skip
        """Call ``uc_err uc_hook_add(uc_engine *, uc_hook *, int, void *, void *, uint64_t, uint64_t, ...)``."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer, i32, i64 = ir.IntType(8).as_pointer(), ir.IntType(32), ir.IntType(64)
            fixed = [pointer, pointer, i32, pointer, pointer, i64, i64]
            target = builder.inttoptr(args[0], ir.FunctionType(i32, fixed, var_arg=True).as_pointer())
            values = list(args[1:])
            for number, kind in enumerate(fixed):
                if kind is pointer:
                    values[number] = builder.inttoptr(values[number], pointer)
                elif kind is i32:
                    values[number] = builder.trunc(values[number], i32)
            return builder.sext(builder.call(target, values), i64)

        return _I64(*(_I64,) * 8), codegen

    @intrinsic
    def copy_page(typing_context: Any, target: Any, source: Any) -> Any:
        """Copy 4096 bytes from address ``source`` to address ``target``."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer, i64 = ir.IntType(8).as_pointer(), ir.IntType(64)
            name = "llvm.memcpy.p0i8.p0i8.i64"
            kind = ir.FunctionType(ir.VoidType(), [pointer, pointer, i64, ir.IntType(1)])
            memcpy = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
            builder.call(
                memcpy,
                [builder.inttoptr(args[0], pointer), builder.inttoptr(args[1], pointer), i64(4096), ir.IntType(1)(0)],
            )
            return context.get_dummy_value()

        return types.void(_I64, _I64), codegen

    load8, load32, load64 = _load(8), _load(32), _load(64)
    store8, store32, store64 = _store(8), _store(32), _store(64)
    call_reg_read = call_reg_write = call_reg

    def jit(signature: str) -> Callable[[F], F]:
        """Compile for ``signature`` (``"i8(i8, i8)"``: numba's letters, i8 = int64), cached on disk.

        Not before it is needed: a callback that is cached has the code of all that it calls, so most functions are not
        even loaded.
        """

        def make(function: F) -> F:
            compiled = njit(error_model="numpy")(function)
            compiled._cache = _Kept(function)
            find = compiled.get_call_template

            def ensure() -> None:
                if not compiled.overloads:
                    compiled.compile(signature)
                    compiled.disable_compile()

            def get_call_template(arguments: Any, keywords: Any) -> Any:
                ensure()
                return find(arguments, keywords)

            def first_call(*arguments: int) -> Any:
                ensure()
                (only,) = compiled.overloads.values()
                return only.entry_point  # which is then called

            compiled.get_call_template = get_call_template  # native code calls it
            compiled._compile_for_args = first_call  # Python calls it
            return compiled

        return make

    def callback(result: str, *arguments: str) -> Callable[[Callable[..., Any]], int]:
        """Compile a C callback; returns its address. Types: "bool", "void", "i32", "i64" (pointers are i64)."""
        kinds = {"bool": types.boolean, "void": types.void, "i32": types.int32, "i64": types.int64}
        signature = tuple(kinds[argument] for argument in arguments), kinds[result]

        def make(function: Callable[..., Any]) -> int:
            compiled = CFunc(function, signature, locals={}, options={"error_model": "numpy"})
            compiled._cache = _Kept(function)
            compiled.compile()
            _KEPT.append(compiled)
            return int(compiled.address or 0)

        return make

else:
    _REG = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    _ONE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
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

    def call_address(function: int, argument: int) -> int:
        """Call ``int function(void *)`` through its address."""
        return int(_ONE(function)(argument))

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
