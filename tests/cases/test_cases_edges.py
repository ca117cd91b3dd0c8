"""Witnesses of rough edges: strangers' files, text that is not to be trusted, and machines that are used again."""

import gc
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from ns_code import OFF, assemble, constant
from rmm_host import RAM

import realmlab
from cca_tools.cli import main

HERE = Path(__file__).parent
ESCAPE = "\x1b]0;pwned\x07\x1b[31m"
NOBODY = 0x1_5A08_0022_0800  # an address that no translation reaches
FLASH = 0x0800_0000
GIB = 1 << 30
linux = pytest.mark.skipif(sys.platform != "linux", reason="limits and sizes of an address space are Linux's here")


@pytest.fixture(autouse=True)
def thaw() -> Iterator[None]:
    """The command freezes what a process has loaded; here many commands share one process."""
    yield
    gc.unfreeze()


def python(code: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run code in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, check=False, env=environment, timeout=60,
    )  # fmt: skip


def move(register: int, value: int) -> list[int]:
    """MOVZ and three MOVKs."""
    parts = [value >> shift & 0xFFFF for shift in (0, 16, 32, 48)]
    return [0xD280_0000 | parts[0] << 5 | register] + [
        0xF280_0000 | place << 21 | part << 5 | register for place, part in enumerate(parts) if place
    ]


def overwritten(base: int) -> bytes:
    """Code for ``base``: STR W2, [X1] overwrites the LDR W0, [X3] behind it, which faults, by LDR W0, [X4]."""
    code = [*move(3, NOBODY), *move(4, base + 0x1000), *move(2, 0xB940_0080)]
    code += [*move(1, base + 4 * (len(code) + 5)), 0xB900_0022, 0xB940_0060, 0x1400_0000]
    return struct.pack(f"<{len(code)}I", *code)


class TestHostileCode:
    """The old or the new instruction runs: it faults for ever, or the loop behind it goes on (DDI 0487, B2.2.5)."""

    def test_overwritten_instruction_in_a_realm(self, tmp_path: Path) -> None:
        """A Realm that overwrites an instruction which then faults ends as Realms end."""
        path = tmp_path / "payload.bin"
        path.write_bytes(overwritten(RAM))
        with realmlab.Machine() as machine:
            assert machine.run_realm(path, max_insns=10_000).reason in ("stuck", "limit")

    def test_overwritten_instruction_at_el2(self) -> None:
        """Code at Non-secure EL2 that overwrites an instruction which then faults ends as such code ends."""
        base = 0x8800_0000
        with realmlab.NsMachine(realmlab.NsImage(overwritten(base), base, "code")) as machine:
            assert machine.run(max_insns=10_000).reason in ("stuck", "limit")


class TestForeignText:
    """Text out of a file reaches the terminal without control characters."""

    @pytest.mark.parametrize("command", ["show", "verify"])
    def test_token(self, command: str, capfd: pytest.CaptureFixture[str]) -> None:
        """Whatever a token has in it, it cannot clear the screen and print a verdict of its own."""
        assert main(["attest", command, str(HERE / "tok_forge.bin")]) == {"show": 0, "verify": 1}[command]
        assert "\x1b" not in "".join(capfd.readouterr())

    def test_trace(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Every part of a record is escaped: values, keys, event, time, PE, world and level."""
        place = {"time": 0, "pe": 0, "world": "realm", "el": 1}
        records = [
            {"seq": 0, **place, "event": "console.write", "text": ESCAPE, "device": ESCAPE},
            {"seq": 1, **dict.fromkeys(place, ESCAPE), "event": "x" + ESCAPE, "k" + ESCAPE: 1},
            {"seq": 2, **place, "event": "fault.x", "d": {ESCAPE: 1}, "l": [ESCAPE]},
        ]
        path = tmp_path / "evil.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        main(["trace", "show", str(path)])
        assert "\x1b" not in "".join(capfd.readouterr())

    @pytest.mark.parametrize(
        "record",
        [{"seq": 3, "time": [1], "pe": {}, "world": None, "el": 1.5, "event": None}, {"a": 1}, {}],
        ids=["types", "other", "empty"],
    )
    def test_trace_of_another_tool(
        self, record: dict[str, object], tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """A record without the fields of a trace is refused with status 2."""
        path = tmp_path / "other.jsonl"
        path.write_text(json.dumps(record) + "\n")
        assert main(["trace", "show", str(path)]) == 2
        assert "Traceback" not in capfd.readouterr().err

    def test_board(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """The summary escapes the name of a device that software looked for."""
        path = tmp_path / "code.bin"
        path.write_bytes(assemble(f"{constant('x1', FLASH)} ldr w2, [x1]; {OFF}"))
        assert main(["run", "--world", "ns-el2", str(path), "--board", str(HERE / "esc.toml")]) == 0
        output = "".join(capfd.readouterr())
        assert "]0;x" in output and "\x1b" not in output


class TestFiles:
    @pytest.mark.parametrize("board", ["board-0", "board-1", "board-2"])
    def test_types_of_a_board(self, board: str, capfd: pytest.CaptureFixture[str]) -> None:
        """A board file with a value of another type is one line on stderr and status 2."""
        assert main(["run", "hello", "--board", str(HERE / f"{board}.toml")]) == 2
        assert capfd.readouterr().err.count("\n") == 1

    @pytest.mark.parametrize("words", [["hello"], ["--world", "ns-el2", "ns_rmi"]], ids=["realm", "ns-el2"])
    @pytest.mark.parametrize("region", ["realm_image", "root"])
    def test_missing_region(
        self, region: str, words: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """A board without a region that firmware and RMM are in is one line on stderr and status 2, in each world."""
        text = (HERE / "esc.toml").read_text()
        before, found, after = text.partition(f'[[region]]\nname = "{region}"\n')
        assert found
        (tmp_path / "board.toml").write_text(before + after.partition("\n\n")[2])
        assert main(["run", *words, "--board", str(tmp_path / "board.toml")]) == 2
        assert capfd.readouterr().err == (
            f"realmlab: board fvp must have a region named '{region}'; add it to the board file\n"
        )

    @linux
    @pytest.mark.parametrize("name", ["insp-14.elf", "insp-39.elf"])
    def test_repair_is_bounded(self, name: str, tmp_path: Path) -> None:
        """A small file whose mending would take much memory and room is refused with one line and status 2."""
        code = (
            "import resource, sys; from cca_tools.cli import main; "
            f"resource.setrlimit(resource.RLIMIT_AS, ({GIB}, {GIB})); sys.exit(main(sys.argv[1:]))"
        )
        mended = tmp_path / "mended.elf"
        done = python(code, "inspect", HERE / name, "--repair", mended)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
        assert not mended.exists()


class TestMachines:
    def test_arguments_that_do_not_fit(self) -> None:
        """A build that fails leaves the machine as it was: no granule is lost, and the next Realm runs."""
        with realmlab.Machine() as machine:
            with suppress(realmlab.MachineError):
                assert machine.run_realm("hello", args=["x" * 3_000_000]).granules_left == 0
            assert machine.run_realm("hello").status == 0

    @linux
    def test_close_gives_the_address_space_back(self) -> None:
        """A machine that is closed keeps no address space, without the cyclic collector."""
        code = (
            "import gc, realmlab; gc.disable()\n"
            "for _ in range(3):\n"
            "    with realmlab.Machine() as machine: machine.run_realm('hello')\n"
            "    print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmSize')))\n"
        )
        done = python(code)
        assert done.returncode == 0
        first, *_, last = (int(line) << 10 for line in done.stdout.split())
        assert last - first < GIB
