"""The compiler of native code: numba turns the functions into LLVM's code, and LLVM all of it into one object.

It runs in a process of its own, which :mod:`cca_platform.native.code` starts when there is no code for the present
sources: no run has a compiler in its memory. The code is for every processor of this architecture.
"""

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple

os.environ.update(NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="", NUMBA_DISABLE_JIT="0")

import llvmlite.binding as llvm
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from cca_platform.native import cache, linker

__all__ = [
    "call_address", "call_batch", "call_block", "call_control", "call_hook_add", "call_reg_read", "call_reg_write",
    "callback", "compile_all", "copy_page", "jit", "load8", "load32", "load64", "main", "store8", "store32", "store64",
]  # fmt: skip

_I64: Final = types.int64
_INT: Final = {bits: ir.IntType(bits) for bits in (1, 8, 32, 64)}
_POINTER: Final = ir.IntType(8).as_pointer()
_KINDS: Final = {"bool": types.int64, "void": types.void, "i32": types.int32, "i64": types.int64}
_C_TYPES: Final = {"bool": _INT[8], "void": ir.VoidType(), "i32": _INT[32], "i64": _INT[64]}
_OPTIONS: Final[dict[str, Any]] = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_FEATURES: Final = {"aarch64": "+reserve-x18"}  # which some systems keep for themselves


# -- what the functions are written in -----------------------------------------------------------------------------
def _load(bits: int) -> Any:
    @intrinsic
    def load(typing_context: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value = builder.load(builder.inttoptr(args[0], _INT[bits].as_pointer()))
            return value if bits == 64 else builder.zext(value, _INT[64])

        return _I64(_I64), codegen

    return load


def _store(bits: int) -> Any:
    @intrinsic
    def store(typing_context: Any, address: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value = args[1] if bits == 64 else builder.trunc(args[1], _INT[bits])
            builder.store(value, builder.inttoptr(args[0], _INT[bits].as_pointer()))
            return context.get_dummy_value()

        return types.void(_I64, _I64), codegen

    return store


def _call(builder: Any, args: Any, fixed: list[Any], variadic: bool = False) -> Any:
    """Call ``int function(...)`` whose address comes first in ``args``, with parameters of the types ``fixed``."""
    function = ir.FunctionType(_INT[32], fixed, var_arg=variadic).as_pointer()
    values = list(args[1:])
    for number, kind in enumerate(fixed):
        if kind is _POINTER:
            values[number] = builder.inttoptr(values[number], _POINTER)
        elif kind is _INT[32]:
            values[number] = builder.trunc(values[number], _INT[32])
    return builder.sext(builder.call(builder.inttoptr(args[0], function), values), _INT[64])


@intrinsic
def call_reg(typing_context: Any, function: Any, engine: Any, register: Any, address: Any) -> Any:
    """Call ``uc_err function(uc_engine *, int register, void *value)`` through its address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(builder, args, [_POINTER, _INT[32], _POINTER])

    return _I64(*(_I64,) * 4), codegen


@intrinsic
def call_batch(typing_context: Any, function: Any, engine: Any, registers: Any, values: Any, count: Any) -> Any:
    """Call ``uc_err function(uc_engine *, int *registers, void **values, int count)`` through its address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(builder, args, [_POINTER, _POINTER, _POINTER, _INT[32]])

    return _I64(*(_I64,) * 5), codegen


@intrinsic
def call_address(typing_context: Any, function: Any, argument: Any) -> Any:
    """Call ``int function(void *)`` through its address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(builder, args, [_POINTER])

    return _I64(_I64, _I64), codegen


@intrinsic
def call_block(typing_context: Any, function: Any, block: Any, address: Any, size: Any) -> Any:
    """Call ``int function(void *, uint64_t, uint64_t)`` through its address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(builder, args, [_POINTER, _INT[64], _INT[64]])

    return _I64(*(_I64,) * 4), codegen


@intrinsic
def call_control(typing_context: Any, function: Any, engine: Any, control: Any, first: Any, end: Any) -> Any:
    """Call ``uc_err function(uc_engine *, int control, ...)`` through its address, with two 64-bit arguments."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(builder, args, [_POINTER, _INT[32]], variadic=True)

    return _I64(*(_I64,) * 5), codegen


@intrinsic
def call_hook_add(
    typing_context: Any, function: Any, engine: Any, handle: Any, kind: Any, called: Any, data: Any, begin: Any,
    end: Any,
) -> Any:  # fmt: skip
    """Call ``uc_err uc_hook_add(uc_engine *, uc_hook *, int, void *, void *, uint64_t, uint64_t, ...)``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        fixed = [_POINTER, _POINTER, _INT[32], _POINTER, _POINTER, _INT[64], _INT[64]]
        return _call(builder, args, fixed, variadic=True)

    return _I64(*(_I64,) * 8), codegen


@intrinsic
def copy_page(typing_context: Any, target: Any, source: Any) -> Any:
    """Copy 4096 bytes from address ``source`` to address ``target``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        name = "llvm.memcpy.p0i8.p0i8.i64"
        kind = ir.FunctionType(ir.VoidType(), [_POINTER, _POINTER, _INT[64], _INT[1]])
        memcpy = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        pointers = [builder.inttoptr(argument, _POINTER) for argument in args]
        builder.call(memcpy, [*pointers, _INT[64](4096), _INT[1](0)])
        return context.get_dummy_value()

    return types.void(_I64, _I64), codegen


load8, load32, load64 = _load(8), _load(32), _load(64)
store8, store32, store64 = _store(8), _store(32), _store(64)
call_reg_read = call_reg_write = call_reg


# -- the functions -------------------------------------------------------------------------------------------------
class _Function(NamedTuple):
    """One that Python calls (``result`` is ""), or one that C calls, with the types of its parameters."""

    name: str
    compiled: Any
    result: str
    parameters: tuple[str, ...]

    @property
    def library(self) -> Any:
        """Numba's: the code of the function and of all that it calls."""
        return self._overload.library

    @property
    def inner(self) -> str:
        """The name of numba's code for it."""
        return str(self._overload.fndesc.mangled_name)

    @property
    def _overload(self) -> Any:
        (only,) = self.compiled.overloads.values()
        return only


_declared: list[_Function] = []


def _declare(function: Callable[..., Any], signature: Any, result: str, parameters: tuple[str, ...]) -> Any:
    """Compile ``function`` when it is needed: its callees may be declared below it."""
    compiled = njit(**_OPTIONS)(function)
    find, make = compiled.get_call_template, compiled.compile

    def ensure(*ignored: Any) -> None:
        if not compiled.overloads:
            make(signature)
            compiled.disable_compile()

    def get_call_template(arguments: Any, keywords: Any) -> Any:
        ensure()
        return find(arguments, keywords)

    compiled.get_call_template, compiled.compile = get_call_template, ensure
    _declared.append(_Function(f"{function.__module__}.{function.__qualname__}", compiled, result, parameters))
    return compiled


def jit(signature: str) -> Callable[[Any], Any]:
    """Compile for ``signature`` (``"i8(i8, i8)"``: numba's letters, i8 = int64)."""
    return lambda function: _declare(function, signature, "", ("i64",) * (signature.count(",") + 1))


def callback(result: str, *parameters: str) -> Callable[[Callable[..., Any]], int]:
    """Compile what C calls. Types: "bool", "void", "i32", "i64" (pointers are i64)."""

    def make(function: Callable[..., Any]) -> int:
        _declare(function, _KINDS[result](*(_KINDS[one] for one in parameters)), result, parameters)
        return 0

    return make


# -- one object of all of them -------------------------------------------------------------------------------------
def _way_in(module: ir.Module, one: _Function) -> None:
    """The entry by which C, or Python (METH_FASTCALL), comes to numba's code of a function.

    That code returns a status, which is always 0: nothing in it can raise.
    """
    kinds = [_INT[32] if kind == "i32" else _INT[64] for kind in one.parameters]
    inner = ir.Function(module, ir.FunctionType(_INT[32], [_POINTER, _POINTER, *kinds]), one.inner)

    def result_of(builder: ir.IRBuilder, values: list[Any]) -> Any:
        place = builder.alloca(_INT[64])
        pointers = [builder.bitcast(place, _POINTER), _POINTER(None)]
        builder.call(inner, [*pointers, *values], attrs=("alwaysinline",))
        return builder.load(place)

    if not one.result:
        return _from_python(module, one, result_of)
    kind = _C_TYPES[one.result]
    function = ir.Function(module, ir.FunctionType(kind, kinds), one.name)
    builder = ir.IRBuilder(function.append_basic_block())
    value = result_of(builder, list(function.args))
    if one.result == "void":
        builder.ret_void()
    else:
        builder.ret(builder.trunc(value, kind) if kind.width < 64 else value)


def _from_python(module: ir.Module, one: _Function, result_of: Callable[[ir.IRBuilder, list[Any]], Any]) -> None:
    objects = ir.FunctionType(_POINTER, [_POINTER, _POINTER.as_pointer(), _INT[64]])
    function = ir.Function(module, objects, one.name)
    start, run, failed, wrong = (function.append_basic_block(name) for name in ("start", "run", "failed", "wrong"))
    builder = ir.IRBuilder(start)
    _self, arguments, count = function.args

    def python(name: str, result: Any, *given: Any) -> Any:
        """Call a function of Python's API."""
        known = module.globals.get(name)
        return builder.call(known or ir.Function(module, ir.FunctionType(result, [v.type for v in given]), name), given)

    def go_on(unless: Any, otherwise: Any, then: Any = None) -> None:
        then = then or function.append_basic_block()
        builder.cbranch(unless, otherwise, then)
        builder.position_at_end(then)

    go_on(builder.icmp_unsigned("!=", count, _INT[64](len(one.parameters))), wrong)
    values = []
    for number in range(len(one.parameters)):
        place = builder.gep(arguments, [_INT[64](number)])
        values.append(python("PyLong_AsLongLong", _INT[64], builder.load(place)))
    doubtful = _INT[1](0)
    for value in values:
        doubtful = builder.or_(doubtful, builder.icmp_unsigned("==", value, _INT[64](-1)))
    look = function.append_basic_block()
    builder.cbranch(doubtful, look, run)
    builder.position_at_end(look)
    go_on(builder.icmp_unsigned("!=", python("PyErr_Occurred", _POINTER), _POINTER(None)), failed, run)
    builder.ret(python("PyLong_FromLongLong", _POINTER, result_of(builder, values)))
    builder.position_at_end(wrong)
    python("PyErr_BadArgument", _INT[32])
    builder.branch(failed)
    builder.position_at_end(failed)
    builder.ret(_POINTER(None))


def compile_all() -> bytes:
    """The image (:mod:`cca_platform.native.image`) of every native function of the project."""
    for name in cache.modules():
        importlib.import_module(name)
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = os.uname().machine.replace("arm64", "aarch64")
    target = llvm.Target.from_triple(f"{machine}-unknown-linux-elf").create_target_machine(
        features=_FEATURES.get(machine, ""), opt=3, reloc="pic", codemodel="small"
    )
    return linker.link(_object(target), [one.name for one in _declared])


def _object(target: llvm.TargetMachine) -> bytes:
    """An ELF object with the functions that were declared."""
    ways_in = ir.Module()
    parts = []
    for one in _declared:
        one.compiled.compile()
        _way_in(ways_in, one)
        parts.append(one.library.get_llvm_str())
    whole = llvm.parse_assembly(str(ways_in))
    for part in parts:
        whole.link_in(llvm.parse_assembly(part))
    whole.triple, whole.data_layout = target.triple, str(target.target_data)
    exported = {one.name for one in _declared}
    for item in (*whole.functions, *whole.global_variables):
        if item.name not in exported and not item.is_declaration:
            item.linkage = "internal"
    passes = llvm.create_pass_builder(target, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(whole, passes)
    return bytes(target.emit_object(whole))


def main() -> None:
    """Write the image to stdout."""
    sys.stdout.buffer.write(compile_all())
