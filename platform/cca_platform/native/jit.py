"""Native code written in Python: functions on raw addresses, compiled, or the same source as plain Python.

Everything is int64: an address with bit 63 set is negative, and masks and shifts still work. With the environment
variable ``NUMBA_DISABLE_JIT=1`` nothing is compiled and every function here and every ``@jit`` function runs as
ordinary Python on the same memory, which is how the walkers are debugged and unit-tested.

Where sources of native code are imported to be compiled, the names here are the compiler's.
"""

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from cca_platform.native import plain

__all__ = [
    "NATIVE", "call_address", "call_batch", "call_block", "call_control", "call_hook_add", "call_reg_read",
    "call_reg_write", "callback", "copy_page", "jit", "load8", "load32", "load64", "store8", "store32", "store64",
]  # fmt: skip

NATIVE = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
F = TypeVar("F", bound=Callable[..., Any])
_compiler = sys.modules.get("cca_platform.native.compiler")

if TYPE_CHECKING or _compiler is None:
    from cca_platform.native.plain import (
        call_address,
        call_batch,
        call_block,
        call_control,
        call_hook_add,
        call_reg_read,
        call_reg_write,
        copy_page,
        load8,
        load32,
        load64,
        store8,
        store32,
        store64,
    )  # fmt: skip

    if NATIVE:
        from cca_platform.native import code

        _loaded = code.load()

        def jit(signature: str) -> Callable[[F], F]:
            """The compiled function; ``signature`` has a letter for each parameter (``"i8(i8, i8)"``: i8 = int64)."""
            def make(function: F) -> F:
                found: F = _loaded.function(f"{function.__module__}.{function.__qualname__}", function.__doc__ or "")
                return found

            return make

        def callback(result: str, *parameters: str) -> Callable[[Callable[..., Any]], int]:
            """The address of the compiled function for C. Types: "bool", "void", "i32", "i64" (pointers are i64)."""
            return lambda function: _loaded.address(f"{function.__module__}.{function.__qualname__}")

    else:
        jit, callback = plain.jit, plain.callback
else:
    globals().update({name: getattr(_compiler, name) for name in __all__ if name != "NATIVE"})
