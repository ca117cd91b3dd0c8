"""Zig as a C toolchain: wrapped so that CMake and ``configure`` take it for one of a system that has none."""

import importlib.metadata
import os
import platform
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Final

from cca_platform.errors import MachineError

__all__ = ["Toolchain"]

_MACHINES: Final = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
# What zig adds to the flags of others costs time: frame pointers, canaries; and debug information is large.
_FLAGS: Final = ("-fomit-frame-pointer", "-fno-stack-protector", "-g0")
# Two programs that QEMU's configure calls. Of pkg-config it wants only that there is one.
_STRINGS: Final = """import re, sys
for name in sys.argv[1:]:
    with open(name, "rb") as file:
        for run in re.findall(rb"[\\x20-\\x7e\\t]{4,}", file.read()):
            print(run.decode())
"""


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


class Toolchain:
    """The compiler of the package ``ziglang``; ``place`` is an empty folder for its wrappers and its cache.

    ``place`` must have no spaces in its path: ``configure`` cannot stand them.
    """

    def __init__(self, place: Path) -> None:
        try:
            import ziglang
        except ImportError:
            raise MachineError("ziglang of requirements/fast.txt must be installed: run make fast") from None
        self._zig = str(Path(ziglang.__file__).parent / "zig")
        self.version = importlib.metadata.version("ziglang")
        """Of the package."""
        self.target = _target()
        """What code is made for."""
        self.folder = place / "bin"
        """The wrappers: ``zcc``, ``zar``, ``zranlib``, and what ``configure`` asks for."""
        self.folder.mkdir(parents=True)
        for name, command in {"zcc": self.cc(), "zar": [self._zig, "ar"], "zranlib": [self._zig, "ranlib"]}.items():
            self._script(name, *command)
        (place / "strings.py").write_text(_STRINGS, encoding="utf-8")
        self._script("strings", sys.executable, str(place / "strings.py"))
        self._script("pkg-config", "false")
        cache = str(place / "zig-cache")
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join((str(self.folder), str(Path(sys.executable).parent), os.environ.get("PATH", ""))),
            "ZIG_GLOBAL_CACHE_DIR": cache,
            "ZIG_LOCAL_CACHE_DIR": cache,
        }
        """For programs that call the toolchain."""
        for name in ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "MAKEFLAGS", "CMAKE_GENERATOR", "PYTHONPATH"):
            self.environment.pop(name, None)

    def cc(self) -> list[str]:
        """The C compiler and linker: the beginning of its command line."""
        return [self._zig, "cc", "-target", self.target, *_FLAGS]

    def _script(self, name: str, *command: str) -> None:
        path = self.folder / name
        path.write_text(f'#!/bin/sh\nexec {" ".join(map(_quoted, command))} "$@"\n', encoding="utf-8")
        path.chmod(0o755)

    @staticmethod
    def tool(name: str) -> str:
        """A program that a package of requirements/fast.txt has installed."""
        found = shutil.which(name, path=str(Path(sys.executable).parent))
        if found is None:
            raise MachineError(f"{name} of requirements/fast.txt must be beside {sys.executable}: run make fast")
        return found


def _target() -> str:
    """The target as zig names it. No version of the C library in it: CMake's question for the host fails with one."""
    machine = _MACHINES.get(platform.machine().lower())
    if sys.platform != "linux" or machine is None:
        raise MachineError(
            f"make fast builds for Linux on x86-64 and AArch64, not for {sys.platform} on {platform.machine()}: "
            "the stock tier runs here as it is"
        )
    musl = "musl" in str(sysconfig.get_config_var("HOST_GNU_TYPE"))
    return f"{machine}-linux-{'musl' if musl else 'gnu'}"
