"""The SDK's headers are what the tables say, and every compiler takes them."""

import shutil
import subprocess
from enum import IntEnum
from pathlib import Path

import pytest

from cca_arch.fields import Bits, Struct
from cca_arch.rmi import v1_0 as rmi
from cca_arch.rsi import v1_0 as rsi
from cca_tools.headers.__main__ import files
from cca_tools.headers.tables import HEADERS, Fields, Layout, Numbers
from realmlab.projects.compilers import GCC_NAMES, find_compiler, find_zig
from realmlab.projects.worlds import SDK

_FILES = dict(files())
_HERE = {"zig": find_zig() is not None, "gcc": any(map(shutil.which, GCC_NAMES))}


class TestHeaders:
    """`make payloads` writes what is committed."""

    @pytest.mark.parametrize("path", _FILES, ids=lambda path: path.name)
    def test_current(self, path: Path) -> None:
        """A file that differs is out of date: run `make payloads` and commit."""
        assert path.read_text(encoding="utf-8") == _FILES[path]

    def test_no_others(self) -> None:
        """Every file beside them is written from the tables, too."""
        assert {*(SDK / "include" / "abi").iterdir()} == {path for path in _FILES if path.suffix == ".h"}

    @pytest.mark.parametrize(("table", "module"), [("rsi", rsi), ("rmi", rmi)])
    def test_complete(self, table: str, module: object) -> None:
        """The headers of RSI and RMI have every function, code, flag and structure that the modules declare."""
        items = [item for header in ("rsi", "rmi") for item in HEADERS[header].items]
        shown = {
            id(item.values if isinstance(item, Numbers) else item.bits if isinstance(item, Fields) else item.struct)
            for item in items
        }
        for name in module.__all__:  # type: ignore[attr-defined]
            value = getattr(module, name)
            if isinstance(value, Struct) or (isinstance(value, type) and issubclass(value, IntEnum | Bits)):
                assert id(value) in shown or (name == "PmuOverflowStatus" and table == "rsi"), name

    def test_every_member_is_asserted(self) -> None:
        """The compiler checks the offset of each member, and the size of each structure."""
        for name, header in HEADERS.items():
            text = (SDK / "include" / "abi" / f"{name}.h").read_text()
            for item in header.items:
                if isinstance(item, Layout):
                    for member in item.struct.members.values():
                        assert f' == {member.offset:#x}, "{item.struct.name}.{member.name}");' in text
                    assert f' == {item.struct.size:#x}, "{item.struct.name}");' in text

    @pytest.mark.parametrize("kind", ["zig", "gcc"])
    @pytest.mark.parametrize("suffix", [".c", ".S"])
    def test_compile(self, tmp_path: Path, kind: str, suffix: str) -> None:
        """All of them together in one source, in C and in assembly, without a warning."""
        if not _HERE[kind]:
            pytest.skip(f"{kind} is not installed")
        compiler, source = find_compiler(kind), tmp_path / f"all{suffix}"
        source.write_text("".join(f'#include "abi/{name}.h"\n' for name in HEADERS))
        flags = (*compiler.flags.cflags, "-Werror", f"-I{SDK / 'include'}")
        command = [*compiler.compile, *flags, "-c", str(source), "-o", str(tmp_path / "all.o")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def test_rust(self, tmp_path: Path) -> None:
        """The file for Rust compiles, its assertions included."""
        rustc = shutil.which("rustc")
        if rustc is None:
            pytest.skip("rustc is not installed")
        command = [rustc, "--edition", "2021", "--crate-type", "lib", "--emit", "metadata", "-D", "warnings"]
        done = subprocess.run(
            [*command, "-o", str(tmp_path / "abi.rmeta"), str(SDK / "rust" / "abi.rs")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
