"""The safety net below everything that software can cause: what it catches is a fault of the model.

Whatever a guest does, it gets a status or a fault. A Python exception that nevertheless leaves a call or a run becomes
InternalError, with a bundle for the bug report: the error, what ran and for how long, the inputs, the end of the trace
and the registers of every PE.
"""

import json
import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from cca_platform.errors import InstructionLimit, InternalError, MachineError, MachineStopped
from cca_platform.printable import visible_json
from cca_platform.version import __version__

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine

__all__ = ["BUNDLE", "internal_error", "unexpected"]

BUNDLE: Final = 1
"""The version of the bundle's form."""
_MEANT: Final = (MachineError, MachineStopped, InstructionLimit, InternalError)
_OWN: Final = frozenset({"cca_arch", "cca_platform", "cca_firmware", "cca_rmm", "cca_host", "cca_tools", "realmlab"})
_LIBRARIES: Final = frozenset(
    {"unicorn", "numpy", "numba", "msgspec", "structlog", "cryptography", "cbor2", "elftools", "pycose"}
)
_VERSIONS: Final = ("unicorn", "numpy", "numba", "msgspec")


def internal_error(machine: "Machine", error: Exception) -> InternalError | None:
    """The internal error that ``error`` is, and the machine goes on no more; None for what its callers have to see.

    That is what the machine raises on purpose, and whatever a callback or a device of the user's raises.
    """
    if isinstance(error, _MEANT) or _outside(error.__traceback__):
        return None
    what = f"{type(error).__name__}: {error}"
    bundle = _encoded(_bundle(machine, error))
    machine.stop(f"internal error: {what}")
    return InternalError(what, bundle)


def unexpected(error: Exception) -> InternalError:
    """The internal error that an exception is which no machine has met: there is no more to tell of it."""
    return InternalError(f"{type(error).__name__}: {error}", _encoded(_about(error)))


def _encoded(bundle: dict[str, Any]) -> bytes:
    """A file that people look at: with nothing in it that a terminal obeys."""
    return visible_json(json.dumps(msgspec.to_builtins(bundle, enc_hook=repr, str_keys=True))).encode()


def _outside(frames: TracebackType | None) -> bool:
    """True if code outside Realmlab and its dependencies has raised an exception or passed it on."""
    while frames is not None:
        root = str(frames.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if root not in _OWN and root not in _LIBRARIES and root not in sys.stdlib_module_names:
            return True
        frames = frames.tb_next
    return False


def _bundle(machine: "Machine", error: Exception) -> dict[str, Any]:
    """Everything that tells how it came to the error; what cannot be had any more says why."""
    return {
        **_about(error),
        "board": machine.board.name,
        "cpu": machine.cpu,
        "clock": machine.clock.mode,
        "seed": _had(machine.memory.key_seed.hex),
        "time": _had(lambda: machine.clock.now),
        "retired": _had(lambda: machine.clock.retired),
        "inputs": _had(machine.inputs.journal),
        "trace": list(machine.trace.tail),
        "registers": [_had(pe.save) for pe in machine.pes],
    }


def _about(error: Exception) -> dict[str, Any]:
    """What can be told of an error without a machine."""
    import platform  # no run pays for these but one that fails
    import traceback

    return {
        "bundle": BUNDLE,
        "error": f"{type(error).__name__}: {error}",
        "traceback": traceback.format_exception(error),
        "versions": {"realmlab": __version__, "python": platform.python_version(), **_libraries()},
        "command": sys.argv,
    }


def _libraries() -> dict[str, str]:
    """The versions of the packages that run code."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in _VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def _had(get: Callable[[], object]) -> object:
    """The result of ``get``, or why it failed: an incomplete bundle is better than none."""
    try:
        return get()
    except Exception as error:
        return f"not to be had: {type(error).__name__}: {error}"
