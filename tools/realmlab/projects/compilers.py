"""The two kinds of compiler that build payloads, zig and gcc: their flags, and where they are.

``realmlab build``, the Makefile and CMake file of a project, and ``realm_payloads/build.py`` have the same flags.
"""

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from msgspec import Struct

from cca_platform.errors import MachineError

__all__ = ["GCC", "GCC_NAMES", "ZIG", "Compiler", "Flags", "find_compiler", "find_zig"]


class Flags(Struct, frozen=True):
    """How a kind of compiler is called. ``fp`` is for the files named ``*_fp.c``, ``no_fp`` for all others: handlers of
    interrupts and aborts do not save FP and SIMD registers, so other C code must not use them.
    """

    cflags: tuple[str, ...]
    no_fp: tuple[str, ...]
    fp: tuple[str, ...]
    ldflags: tuple[str, ...]


_CODE: Final = (
    "-mstrict-align", "-mno-outline-atomics", "-O2", "-std=c11", "-ffreestanding", "-fno-builtin",
    "-fno-stack-protector", "-fno-pic", "-fno-pie", "-ffunction-sections", "-fdata-sections",
    "-fno-asynchronous-unwind-tables", "-Wall", "-Wextra",
)  # fmt: skip
"""Code for any CPU of Armv8.0 with its MMU off, which calls nothing that is not in the SDK."""
_LINK: Final = ("--gc-sections", "--build-id=none", "-z", "norelro")
"""A program of the segments that the linker script makes, and nothing else."""

ZIG: Final = Flags(
    ("-target", "aarch64-freestanding-none", *_CODE, "-fno-sanitize=all"),
    ("-mcpu=generic+el3+el2vmsa-neon-fp_armv8",),  # el3 and el2vmsa: SMC and TTBR0_EL2 for the assembler
    ("-mcpu=generic+el3+el2vmsa",),
    ("-m", "aarch64elf", "-nostdlib", "--no-pie", "-z", "nognustack", "--no-eh-frame-hdr", "-static", *_LINK,
     "-z", "max-page-size=16"),
)  # fmt: skip
GCC: Final = Flags(
    ("-march=armv8-a", *_CODE, "-fno-tree-loop-distribute-patterns"),  # no memset() of what memset() does
    ("-mgeneral-regs-only",),
    (),
    # With smaller pages, GNU ld would put the ELF headers below the first section.
    ("-nostdlib", "-static", "-no-pie", "-Wl," + ",".join((*_LINK, "-z", "max-page-size=4096"))),
)
_SECONDS: Final = 60
GCC_NAMES: Final = ("aarch64-linux-gnu-gcc", "aarch64-none-elf-gcc")
_NONE: Final = (
    "there is no compiler for AArch64: pip install 'realmlab[sdk]' brings zig, or install "
    f"{' or '.join(GCC_NAMES)}"
)


class Compiler(Struct, frozen=True):
    """A compiler that is here: its kind, the commands that compile and link, and its flags."""

    name: str
    compile: tuple[str, ...]
    link: tuple[str, ...]
    flags: Flags


def find_zig() -> str | None:
    """The program zig: that of the package ziglang, else one in the PATH."""
    spec = find_spec("ziglang")
    for folder in spec.submodule_search_locations or () if spec else ():
        for name in ("zig", "zig.exe"):
            if (path := Path(folder) / name).is_file():
                return str(path)
    return shutil.which("zig")


def find_compiler(wanted: str | None = None) -> Compiler:
    """The compiler ``zig``, ``gcc``, or the one at a path; by default zig, else an installed gcc.

    Raises MachineError if there is none, or if it is one for another processor.
    """
    zig, gcc = (find_zig() if wanted in (None, "zig") else None), (_find_gcc() if wanted in (None, "gcc") else None)
    if zig is not None:
        return _zig(zig)
    if gcc is not None:
        return _gcc(gcc)
    if wanted is None:
        raise MachineError(_NONE)
    if wanted == "zig":
        raise MachineError("zig is not installed: pip install 'realmlab[sdk]'")
    if wanted == "gcc":
        raise MachineError(f"no gcc for AArch64 is installed: install {' or '.join(GCC_NAMES)}")
    path = shutil.which(wanted)
    if path is None:
        raise MachineError(f"--cc must be zig, gcc or a program, not {wanted}: there is no such program")
    return _of_path(path)


def _zig(path: str) -> Compiler:
    return Compiler("zig", (path, "cc"), (path, "ld.lld"), ZIG)


def _gcc(path: str) -> Compiler:
    return Compiler("gcc", (path,), (path,), GCC)


def _find_gcc() -> str | None:
    return next(filter(None, map(shutil.which, GCC_NAMES)), None)


def _of_path(path: str) -> Compiler:
    """What kind of compiler a program is: it says for which machine it compiles, or it is zig."""
    try:
        asked = subprocess.run(
            [path, "-dumpmachine"], capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except OSError as error:
        raise MachineError(f"{path} cannot be run ({error.strerror}): name a compiler") from None
    except subprocess.TimeoutExpired:
        raise MachineError(f"{path} must answer -dumpmachine within {_SECONDS} s: name a compiler") from None
    machine = asked.stdout.strip()
    if asked.returncode == 0 and machine.startswith("aarch64"):
        return _gcc(path)
    if Path(path).stem.lower() == "zig":
        return _zig(path)
    builds = f"compiles for {machine}" if asked.returncode == 0 and machine else "is no compiler"
    raise MachineError(f"{path} {builds}: name zig or a gcc for AArch64, such as {GCC_NAMES[0]}")
