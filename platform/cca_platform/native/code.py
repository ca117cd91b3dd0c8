"""The native code of the present sources: from the cache, or compiled, once, in a process of its own."""

import os
import sys
from contextlib import suppress
from typing import Final

from cca_platform.errors import MachineError
from cca_platform.native import cache
from cca_platform.native.image import Image, Loaded
from cca_platform.printer import Printer

__all__ = ["load"]

_WITHOUT: Final = "NUMBA_DISABLE_JIT=1 runs without it, slowly"
_COMPILE = "from cca_platform.native.compiler import main; main()"


def load() -> Loaded:
    """The code, loaded."""
    store, name = cache.store(), f"code-{os.uname().machine}"
    data = store.load(name)
    if data is None:
        with store.alone():
            data = store.load(name) if store.folder else None  # another process may just have made it
            if data is None:
                data = _compile()
                store.save(name, data)
    try:
        return Loaded(Image.unpack(data))
    except OSError as error:
        raise MachineError(f"native code cannot be loaded ({error.strerror}); {_WITHOUT}") from None


def _compile() -> bytes:
    import subprocess  # slow, and rarely needed

    from cca_platform.child import environment

    screen = Printer(sys.stderr)
    if screen.terminal:
        with suppress(OSError):
            screen.line("realmlab: compiling native code, once ...")
    done = subprocess.run([sys.executable, "-c", _COMPILE], capture_output=True, check=False, env=environment())
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"status {done.returncode}"]
        raise MachineError(f"native code cannot be compiled: {last[0]}; {_WITHOUT}")
    return done.stdout
