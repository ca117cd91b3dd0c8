"""Files of 20 GB, in the place of every file that the command reads: one line, in the memory of the command itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ns_code import OFF, assemble

from cca_platform.userfiles import KINDS
from realmlab.payloads import find_payload

HUGE = 20 << 30
MEMORY = 12 << 30
"""Address space for the command: it takes 4 GiB of it for DRAM, and the file does not fit."""
PEAK = 250_000  # KiB

MARK = "\x1e"
# ru_maxrss would not do: a child starts with the peak of the process that it is forked from
RUN = rf"""
MARK = {MARK!r}
import json, pathlib, re, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), resource.RLIM_INFINITY))
from cca_tools.cli import main
for words in json.loads(sys.argv[2]):
    print(f"{{MARK}}{{main(words)}}{{MARK}}", end="", file=sys.stderr)
print(re.search(r"VmHWM:\s+(\d+)", pathlib.Path("/proc/self/status").read_text())[1], file=sys.stderr)
"""
NS = ["run", "--world", "ns-el2"]
EACH = {
    "payload": (["run", "FILE"], "payload FILE has 21,474,836,480 bytes, more than 256 MiB"),
    "payload, inspected": (["inspect", "FILE"], "payload FILE has 21,474,836,480 bytes, more than 256 MiB"),
    "payload, with symbols": (["trace", "show", "none", "--symbols", "FILE"], "payload FILE has 21,474,836,480 bytes"),
    "kernel_module": (
        ["measure", "linux", "--cache", "FOLDER/cache", "--modules", "FOLDER/lib"],
        "kernel module FOLDER/lib/kernel/x.ko has 21,474,836,480 bytes, more than 64 MiB",
    ),
    "initrd": (["run", "hello", "--initrd", "FILE"], "initrd FILE has 21,474,836,480 bytes, more than 512 MiB"),
    "image": ([*NS, "FILE"], "image FILE has 21,474,836,480 bytes, more than 256 MiB"),
    "image, at a place": ([*NS, "CODE", "FILE@0x90000000"], "image FILE has 21,474,836,480 bytes"),
    "image, Secure": ([*NS, "CODE", "--secure", "FILE"], "image FILE has 21,474,836,480 bytes"),
    "dtb": ([*NS, "CODE", "--dtb", "FILE"], "--dtb FILE has 21,474,836,480 bytes, more than 2 MiB"),
    "nonvolatile": (
        [*NS, "CODE", "--nonvolatile", "0x90000000:64K=FILE"],
        "the file of nonvolatile memory 'FILE' must have 64 KiB, the size of its range, not 21474836480 bytes",
    ),
    "nonvolatile, of the same size": (
        [*NS, "CODE", "--nonvolatile", "0x90000000:20G=FILE"], "nonvolatile memory must lie in Non-secure DRAM",
    ),
    "console_input": (["run", "hello", "--console-input", "FILE"], "--console-input FILE has 21,474,836,480 bytes"),
    "board": (["run", "hello", "--board", "FILE"], "board file FILE has 21,474,836,480 bytes, more than 1 MiB"),
    "device_module": (["run", "hello", "--device-module", "FILE"], "device module FILE has 21,474,836,480 bytes"),
    "platform_key": (["run", "hello", "--platform-key", "FILE"], "--platform-key FILE has 21,474,836,480 bytes"),
    "policy": (["attest", "verify", "TOKEN", "--policy", "FILE"], "policy FILE has 21,474,836,480 bytes"),
    "cpak": (["attest", "verify", "TOKEN", "--cpak", "FILE"], "CPAK FILE has 21,474,836,480 bytes, more than 64 KiB"),
    "figures": (["bench", "--compare", "FILE"], "file of figures FILE has 21,474,836,480 bytes, more than 1 MiB"),
    "page": (["bench", "--markdown", "FILE"], "page FILE has 21,474,836,480 bytes, more than 1 MiB"),
    "project": (["build", "FOLDER"], "project file FILE has 21,474,836,480 bytes, more than 64 KiB"),
    "token": (["attest", "verify", "FILE"], "token FILE has 21,474,836,480 bytes, more than 1 MiB"),
    "token, shown": (["attest", "show", "FILE"], "token FILE has 21,474,836,480 bytes, more than 1 MiB"),
    "trace": (["trace", "show", "FILE"], "trace file FILE has more than 1 MiB in line 1"),
}  # fmt: skip

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and sizes of an address space are Linux's here")


def run(commands: list[list[str]]) -> tuple[list[tuple[str, int]], int]:
    """(what is said on stderr, status) of each command line in a process of its own, and its peak of memory in KiB."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(MEMORY), json.dumps(commands)],
        capture_output=True, text=True, check=True, env=environment, timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    *parts, peak = done.stderr.split(MARK)
    return list(zip(parts[::2], map(int, parts[1::2]), strict=True)), int(peak)


class TestHoles:
    """A hole of 20 GB."""

    def test_every_file(self, tmp_path: Path) -> None:
        """Nothing of it is read, wherever it is given, and the line tells size, limit and what to do."""
        assert {name.partition(",")[0] for name in EACH} == set(KINDS)
        huge, code = tmp_path / "realmlab.toml", tmp_path / "code.bin"
        code.write_bytes(assemble(OFF))
        huge.touch()
        os.truncate(huge, HUGE)
        token = Path(__file__).parents[1] / "cases" / "tok_forge.bin"
        (tmp_path / "lib" / "kernel").mkdir(parents=True)
        (tmp_path / "lib" / "kernel" / "x.ko").symlink_to(huge)
        names = {"FILE": str(huge), "CODE": str(code), "TOKEN": str(token), "FOLDER": str(tmp_path)}

        def filled(text: str) -> str:
            for name, path in names.items():
                text = text.replace(name, path)
            return text

        results, peak = run([[filled(word) for word in words] for words, _ in EACH.values()])
        for (name, (_, expected)), (said, status) in zip(EACH.items(), results, strict=True):
            assert status == 2 and said.count("\n") == 1, (name, said)
            assert said.startswith(f"realmlab: {filled(expected)}"), (name, said)
        assert peak < PEAK

    def test_disks(self, tmp_path: Path) -> None:
        """A disk may have any size: it is read in parts. So may what an overlay lies over, but it is one itself."""
        huge, image = tmp_path / "huge", tmp_path / "image"
        for path, size in ((huge, HUGE), (image, 1 << 20)):
            path.touch()
            os.truncate(path, size)
        virtio = ["run", "-q", "virtio", "--rng", "--transport", "mmio", "-d"]
        modes = [f"{huge}", f"{huge},ro", f"{huge},snapshot", f"{huge},overlay={tmp_path / 'over'}"]
        results, peak = run([[*virtio, mode] for mode in modes] + [[*virtio, f"{image},overlay={huge}"]])
        assert [status for _, status in results] == [0, 1, 0, 0, 2]
        assert "must be one that Realmlab has made" in results[-1][0]
        assert peak < PEAK

    def test_programs(self, tmp_path: Path) -> None:
        """A program with 20 GB behind it runs, and is shown: what is not loaded is not read."""
        program, image = tmp_path / "program.elf", tmp_path / "image.elf"
        for path, name in ((program, "hello"), (image, "board")):
            path.write_bytes(find_payload(name).read_bytes())
            os.truncate(path, HUGE)
        commands = [
            ["run", "-q", str(program)],
            ["inspect", str(program)],
            [*NS, "-q", str(image), "--nonvolatile", "0x98000000:0x1000"],
        ]
        results, peak = run(commands)
        assert results == [("", 0)] * 3
        assert peak < PEAK

    def test_large_segment(self, tmp_path: Path) -> None:
        """A program that has to be loaded wholly is refused by its headers."""
        path = tmp_path / "program.elf"
        data = bytearray(find_payload("hello").read_bytes())
        data[64 + 32 : 64 + 48] = (10 << 30).to_bytes(8, "little") * 2
        path.write_bytes(data)
        os.truncate(path, HUGE)
        results, peak = run([["run", str(path)], [*NS, str(path)]])
        for said, status in results:
            assert status == 2 and "bytes to load, more than 256 MiB" in said
        assert peak < PEAK


class TestCopies:
    """A raw file of 8,192 pages."""

    @pytest.mark.parametrize("world", ["realm", "ns-el2"])
    def test_twice(self, tmp_path: Path, world: str) -> None:
        """It is in memory as the file, for a reset, and in DRAM; nothing on the way there makes one more of it."""
        small, large, size = tmp_path / "small", tmp_path / "large", 32 << 20
        branch_to_itself = (0x1400_0000).to_bytes(4, "little")
        small.write_bytes(branch_to_itself)
        large.write_bytes(branch_to_itself * (size // 4))
        peaks = []
        for path in (small, large):
            memory = ["--memory", "64M"] if world == "realm" else []
            results, peak = run([["run", "-q", str(path), "--world", world, "--max-insns", "1000", *memory]])
            assert [status for _, status in results] == [4]
            peaks.append(peak << 10)
        assert 1.5 * size < peaks[1] - peaks[0] < 2.25 * size
