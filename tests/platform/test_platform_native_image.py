"""Native code: linked into one piece that runs wherever it is put, loaded without its compiler."""

import ctypes
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import llvmlite.binding as llvm
import pytest
from unicorn import UC_ARCH_ARM64, UC_ARCH_X86, UC_MODE_64, UC_MODE_ARM, Uc, arm64_const, x86_const

from cca_platform.errors import MachineError
from cca_platform.native import code, linker
from cca_platform.native.image import Image, Loaded

SOURCE = """
@table = private unnamed_addr constant [4 x i64] [i64 11, i64 22, i64 33, i64 44]
@bytes = private unnamed_addr constant [4 x i8] c"\\01\\02\\03\\04"
@shorts = private unnamed_addr constant [4 x i16] [i16 100, i16 200, i16 300, i16 400]
@words = private unnamed_addr constant [4 x i32] [i32 1000, i32 2000, i32 3000, i32 4000]

declare i64 @outside(i64)

define i64 @inner(i64 %n) noinline {
  %long = getelementptr [4 x i64], ptr @table, i64 0, i64 %n
  %byte = getelementptr [4 x i8], ptr @bytes, i64 0, i64 %n
  %short = getelementptr [4 x i16], ptr @shorts, i64 0, i64 %n
  %word = getelementptr [4 x i32], ptr @words, i64 0, i64 %n
  %a = load i64, ptr %long
  %b = load i8, ptr %byte
  %c = load i16, ptr %short
  %d = load i32, ptr %word
  %fixed = load i64, ptr getelementptr ([4 x i64], ptr @table, i64 0, i64 3)
  %bb = zext i8 %b to i64
  %cc = zext i16 %c to i64
  %dd = zext i32 %d to i64
  %ab = add i64 %a, %bb
  %cd = add i64 %cc, %dd
  %abcd = add i64 %ab, %cd
  %all = add i64 %abcd, %fixed
  ret i64 %all
}

define i64 @"a.function"(i64 %n) {
  switch i64 %n, label %other [i64 0, label %zero
                               i64 1, label %one
                               i64 2, label %two
                               i64 3, label %three
                               i64 4, label %four]
zero:
  %r0 = call i64 @inner(i64 1)
  ret i64 %r0
one:
  %r1 = call i64 @outside(i64 5)
  ret i64 %r1
two:
  %r2 = call i64 @outside(i64 6)
  %s2 = mul i64 %r2, 3
  ret i64 %s2
three:
  %r3 = call i64 @inner(i64 3)
  %s3 = xor i64 %r3, %n
  ret i64 %s3
four:
  ret i64 -4
other:
  ret i64 %n
}
"""
ADD_1000 = {"aarch64": "00a00f91" "c0035fd6", "x86_64": "488d87e8030000" "c3"}  # of its argument; return
EXPECTED = {0: 22 + 2 + 200 + 2000 + 44, 1: 1005, 2: 3018, 3: (44 + 4 + 400 + 4000 + 44) ^ 3, 4: (1 << 64) - 4, 9: 9}
OUTSIDE, RETURN, STACK = 0x9000_0000, 0xA000_0000, 0xB000_0000


@pytest.fixture(scope="module", params=["aarch64", "x86_64"])
def linked(request) -> tuple[str, Image]:
    """The image of SOURCE for a processor, whatever this one is."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple(f"{request.param}-unknown-linux-elf").create_target_machine(
        opt=2, reloc="pic", codemodel="small"
    )
    module = llvm.parse_assembly(SOURCE)
    module.triple = target.triple
    return request.param, Image.unpack(linker.link(target.emit_object(module), ["a.function"]))


def run(machine: str, image: Image, base: int, argument: int) -> int:
    """The function's answer on an emulated processor, with the image at ``base``."""
    arm = machine == "aarch64"
    uc = Uc(UC_ARCH_ARM64, UC_MODE_ARM) if arm else Uc(UC_ARCH_X86, UC_MODE_64)
    for start in (base, OUTSIDE, RETURN, STACK):
        uc.mem_map(start, 0x10000)
    uc.mem_write(base, image.code)
    for offset in image.outside.values():
        uc.mem_write(base + offset, OUTSIDE.to_bytes(8, "little"))
    uc.mem_write(OUTSIDE, bytes.fromhex(ADD_1000[machine]))
    if arm:
        uc.reg_write(arm64_const.UC_ARM64_REG_SP, STACK + 0x8000)
        uc.reg_write(arm64_const.UC_ARM64_REG_LR, RETURN)
        uc.reg_write(arm64_const.UC_ARM64_REG_X0, argument)
    else:
        uc.reg_write(x86_const.UC_X86_REG_RSP, STACK + 0x8000)
        uc.mem_write(STACK + 0x8000, RETURN.to_bytes(8, "little"))
        uc.reg_write(x86_const.UC_X86_REG_RDI, argument)
    uc.emu_start(base + image.entries["a.function"], RETURN)
    return uc.reg_read(arm64_const.UC_ARM64_REG_X0 if arm else x86_const.UC_X86_REG_RAX)


class TestLink:
    """On both kinds of processor, run on emulated ones."""

    @pytest.mark.parametrize("base", [0x10000, 0x7FFF_0000])
    def test_everywhere(self, linked, base):
        """Calls, tables and functions of other libraries work wherever the image is."""
        machine, image = linked
        assert {n: run(machine, image, base, n) for n in EXPECTED} == EXPECTED

    def test_contents(self, linked):
        """Only what is exported has a name; what is called twice outside has one pointer."""
        _machine, image = linked
        assert image.entries.keys() == {"a.function"} and image.outside.keys() == {"outside"}

    def test_kept(self, linked):
        """An image is the same after it was kept."""
        assert Image.unpack(linked[1].pack()) == linked[1]

    def test_too_far(self):
        """A distance that does not fit is an error, never another place."""
        with pytest.raises(ValueError, match="a distance of 0x80000000 must fit into 32 bits"):
            linker._relative32(0, 1 << 31, 0)


class TestLoaded:
    """In this process."""

    def test_functions_of_c(self):
        """Arguments and results are 64 bits with a sign; another count or type of them is Python's own error."""
        from cca_platform.isa.pstate import stack

        assert (stack(0b0101), stack(-1 << 4)) == (1, 0)
        with pytest.raises(TypeError):
            stack()
        with pytest.raises(TypeError):
            stack("5")
        with pytest.raises(OverflowError):
            stack(1 << 63)
        assert stack.__name__ == "stack" and stack.__doc__

    def test_no_writing(self):
        """Code cannot be written once it can be executed."""
        loaded = code.load()
        script = (
            "import ctypes; from cca_platform.native import code; "
            "ctypes.c_char.from_address(code.load().address('cca_platform.engine.hooks.ON_BLOCK')).value = b'x'"
        )
        done = subprocess.run([sys.executable, "-c", script], env=environment(), check=False)
        assert done.returncode == -11 and loaded.address("cca_platform.engine.hooks.ON_BLOCK")

    def test_alive(self):
        """What was loaded stays, though nobody holds it."""
        address = Loaded(Image({"f": 0}, {}, bytes(64))).address("f")
        assert ctypes.string_at(address, 64) == bytes(64)


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **more}


class TestCompiling:
    """When there is no code for the present sources."""

    def test_no_compiler_in_a_run(self):
        """What runs has neither numba nor LLVM in memory."""
        script = (
            "import sys; from cca_tools.cli import main; main(['run', 'hello', '-q']); "
            "print(sorted({'numba', 'llvmlite', 'cffi'} & set(sys.modules)))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == "[]"

    def test_failure(self, tmp_path, monkeypatch):
        """A compiler that fails is one line: what it said last, and what to do."""
        monkeypatch.setattr(code, "_COMPILE", "raise ValueError('no room')")
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
        with pytest.raises(MachineError, match="compiled: ValueError: no room; NUMBA_DISABLE_JIT=1 runs"):
            code.load()

    def test_one_at_a_time(self, tmp_path, monkeypatch):
        """Of many that start at once, one compiles; the others take what it made."""
        image = code.cache.store().load(f"code-{os.uname().machine}")
        (tmp_path / "image").write_bytes(image)
        counted = tmp_path / "count"
        monkeypatch.setattr(
            code, "_COMPILE",
            f"import sys, time; open({str(counted)!r}, 'a').write('x'); time.sleep(0.3); "
            f"sys.stdout.buffer.write(open({str(tmp_path / 'image')!r}, 'rb').read())",
        )  # fmt: skip
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
        threads = [threading.Thread(target=code.load) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert counted.read_text() == "x"


def test_every_native_function_is_in_the_image() -> None:
    """The compiler finds every module with native functions, and each function has a way in."""
    image = Image.unpack(code.cache.store().load(f"code-{os.uname().machine}"))
    root = Path(code.__file__).parents[2]
    for module in code.cache.modules():
        text = (root / f"{module.replace('.', '/')}.py").read_text()
        marked = sum(text.count(f"\n@{mark}(") for mark in ("jit", "callback"))
        assert sum(name.rpartition(".")[0] == module for name in image.entries) == marked, module
    json.dumps(image.entries)
