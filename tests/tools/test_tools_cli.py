"""The command line: what it answers to good and to bad input, and what it costs to start."""

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cca_arch.smccc import SMCCC_VERSION
from cca_tools.cli import main

Bad = Callable[[Path], list[str]]

_HEADER, _PROGRAM = 64, 56


def elf(
    segments: list[tuple[int, int]] | None = None, *, entry: int = 0x8000_0000, machine: int = 183, bits: int = 2
) -> bytes:
    """A little ELF executable: ``segments`` are (address, size in memory), each with 16 bytes in the file."""
    segments = [(0x8000_0000, 0x1000)] if segments is None else segments
    size = _HEADER + _PROGRAM * len(segments)
    ident = bytes((0x7F, *b"ELF", bits, 1, 1)).ljust(16, b"\0")
    head = struct.pack(
        "<HHIQQQIHHHHHH", 2, machine, 1, entry, _HEADER, 0, 0, _HEADER, _PROGRAM, len(segments), 64, 0, 0
    )
    table = b"".join(
        struct.pack("<IIQQQQQQ", 1, 7, size + 16 * number, address, address, 16, memory, 16)
        for number, (address, memory) in enumerate(segments)
    )
    return ident + head + table + bytes(16 * len(segments))


def file(data: bytes, *options: str) -> Bad:
    """A command that runs a payload with these bytes."""

    def make(folder: Path) -> list[str]:
        path = folder / "payload.elf"
        path.write_bytes(data)
        return [str(path), *options]

    return make


def words(*arguments: str) -> Bad:
    """A command with these arguments; FOLDER stands for a temporary folder."""
    return lambda folder: [argument.replace("FOLDER", str(folder)) for argument in arguments]


BAD = {
    "truncated": (file(elf()[:100]), "truncated ELF"),
    "truncated segment": (file(elf()[:-8]), "truncated ELF"),
    "wrong machine": (file(elf(machine=62)), "must be an AArch64 ELF, not x86-64"),
    "32-bit": (file(elf(bits=1)), "must be a 64-bit ELF, not 32-bit"),
    "overlapping": (file(elf([(0x8000_0000, 0x2000), (0x8000_1000, 0x1000)])), "overlapping segments"),
    "no segments": (file(elf([])), "no loadable segments"),
    "entry outside": (file(elf(entry=0x9000_0000)), "entry 0x90000000 outside"),
    "bigger than memory": (file(elf([(0x8000_0000, 1 << 26)]), "--memory", "32M"), "--memory"),
    "empty": (file(b""), "is empty"),
    "folder": (words("FOLDER"), "directory"),
    "missing": (words("FOLDER/none.elf"), "does not exist"),
    "unknown name": (words("helo"), "did you mean 'hello'?"),
    "zero vcpus": (words("hello", "--vcpus", "0"), "at least one vCPU, not 0"),
    "odd memory": (words("hello", "--memory", "much"), "such as 64M, not 'much'"),
    "little memory": (words("hello", "--memory", "4K"), "memory must be at least"),
    "much memory": (words("hello", "--memory", "64G"), "memory must"),
    "no instructions": (words("hello", "--max-insns", "0"), "--max-insns must be 1 or more, not 0"),
    "unknown board": (words("hello", "--board", "juno"), "board must be one of"),
    "unwritable trace": (words("hello", "--trace", "FOLDER/none/t.jsonl"), "trace file must be writable"),
    "no number": (words("hello", "--vcpus", "two"), "--vcpus"),
    "unknown hash": (words("hello", "--hash-algo", "md5"), "--hash-algo"),
    "unknown option": (words("hello", "--frobnicate"), "--frobnicate"),
    "no payload": (words(), "payload"),
}


class TestBadInput:
    """Bad input gives one line that says how to mend it, and exit status 2."""

    @pytest.mark.parametrize("case", BAD)
    def test_line(self, case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Nothing but the line is printed."""
        make, expected = BAD[case]
        assert main(["run", *make(tmp_path)]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("realmlab: ") and err.count("\n") == 1 and err.endswith("\n")
        assert expected in err

    def test_unknown_command(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A command that is none is bad input too."""
        assert main(["walk"]) == 2
        assert "walk" in capsys.readouterr().err

    def test_trace_show(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A file that is no trace names its first bad line."""
        path = tmp_path / "t.jsonl"
        path.write_text('{"seq": 0, "event": "run.start"}\nno event\n')
        assert main(["trace", "show", str(path)]) == 2
        assert "line 2" in capsys.readouterr().err


class TestSmallCommands:
    """Commands that run nothing."""

    def test_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Text and JSON name the same version."""
        assert main(["version"]) == 0
        text = capsys.readouterr().out
        assert main(["version", "--json"]) == 0
        known = json.loads(capsys.readouterr().out)
        assert text.splitlines()[0] == f"realmlab {known['realmlab']}"
        assert known["specifications"]["RMM"].startswith("1.0")
        major, minor = SMCCC_VERSION >> 16, SMCCC_VERSION & 0xFFFF
        assert known["specifications"]["SMCCC"].startswith(f"{major}.{minor} ")

    def test_trace_show(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A trace file is shown a line an event; --event chooses."""
        path = tmp_path / "t.jsonl"
        record = {"seq": 0, "time": 5, "pe": 0, "world": "realm", "el": 2, "event": "rec.enter", "rec": "0x1000"}
        path.write_text("".join(json.dumps({**record, "event": name}) + "\n" for name in ("rec.enter", "gpt.change")))
        assert main(["trace", "show", str(path), "--event", "rec."]) == 0
        assert capsys.readouterr().out == "           5 0 realm EL2  rec.enter          rec=0x1000\n"

    @pytest.mark.parametrize("command", ["run", "bench", "version", "payloads", "trace"])
    def test_help(self, command: str, capsys: pytest.CaptureFixture[str]) -> None:
        """Every command explains itself."""
        assert main([command, "--help"]) == 0
        assert "Usage: realmlab" in capsys.readouterr().out


class TestStart:
    """What a command does not need, it does not import."""

    @pytest.mark.parametrize(
        ("module", "heavy"),
        [
            ("cca_tools.cli", ("numba", "numpy", "unicorn", "lief", "structlog", "typer", "cca_host")),
            ("cca_tools.cli.commands", ("numba", "numpy", "unicorn", "lief", "structlog", "cca_host")),
            ("realmlab", ("numba", "numpy", "unicorn", "lief", "structlog", "typer", "cca_host")),
            (
                "realmlab.pytest_plugin",
                ("numba", "numpy", "unicorn", "lief", "structlog", "typer", "cca_platform.trace"),
            ),
            (
                "realmlab.machine",
                ("numba", "numpy", "lief", "structlog", "typer", "rich", "keystone", "capstone", "pytest"),
            ),
        ],
    )
    def test_imports(self, module: str, heavy: tuple[str, ...]) -> None:
        """The start of the process is part of every run."""
        script = f"import {module}, sys; print(*(name for name in {heavy!r} if name in sys.modules))"
        loaded = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"PYTHONPATH": path()}
        )
        assert loaded.stdout.split() == []


def path() -> str:
    """The import path of this process, for a child."""
    return ":".join(filter(None, sys.path))


class TestSurroundings:
    """What the environment says is taken as far as it makes sense."""

    @pytest.mark.parametrize("name", ["COLUMNS", "TERMINAL_WIDTH"])
    @pytest.mark.parametrize("width", ["99999", "99999999", "9" * 5000, "wide", "-1"])
    def test_wide(
        self, name: str, width: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """No terminal is so wide that its help takes the memory of the machine."""
        monkeypatch.setenv(name, width)
        assert main(["--help"]) == 0
        assert max(map(len, capsys.readouterr().out.splitlines())) < 10_000

    @pytest.mark.parametrize("words", ["realmlab 'unclosed", "realmlab run --bo", ""])
    @pytest.mark.parametrize("cword", ["x", "-1", "99", ""])
    def test_completion(
        self, words: str, cword: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A shell that asks what may follow, and asks nonsense, gets nothing that it would show."""
        for name, value in (("_REALMLAB_COMPLETE", "complete_bash"), ("COMP_WORDS", words), ("COMP_CWORD", cword)):
            monkeypatch.setenv(name, value)
        assert main([]) in (0, 1)
        assert capsys.readouterr().err == ""
