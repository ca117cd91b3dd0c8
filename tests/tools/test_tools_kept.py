"""`--nonvolatile BASE:SIZE=FILE`: memory whose contents a file keeps from one run to the next."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ns_code import FOREVER, OFF, RESET, assemble, constant, say

import realmlab
from cca_firmware.package.nsimage import NsImage
from cca_tools.cli import main
from realmlab.ns import NsMachine

KEPT, SIZE = 0x9000_0000, 0x2000
COUNT = f"{constant('x3', KEPT)} ldr w4, [x3]; add w4, w4, #1; str w4, [x3];"
RANGE = f"{KEPT:#x}:8K"


def counted(path: Path) -> int:
    """How often the code has counted."""
    data = path.read_bytes()
    assert len(data) == SIZE
    return int.from_bytes(data[:4], "little")


class TestRuns:
    """What software leaves there, it finds again."""

    def test_from_run_to_run(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """The file is made by the first run, and read and written by the others."""
        image, file = tmp_path / "image.bin", tmp_path / "kept.bin"
        image.write_bytes(assemble(f"{COUNT} {OFF}"))
        for count in (1, 2, 3):
            assert main(["run", "--world", "ns-el2", str(image), "-q", "--nonvolatile", f"{RANGE}={file}"]) == 0
            assert counted(file) == count
        assert sorted(one.name for one in tmp_path.iterdir()) == ["image.bin", "kept.bin"]

    def test_set_once(self, tmp_path: Path) -> None:
        """A reset keeps what the software wrote: the file is not read again."""
        file = tmp_path / "kept.bin"
        file.write_bytes((40).to_bytes(4, "little").ljust(SIZE, b"\0"))
        code = NsImage(assemble(f"{COUNT} cmp w4, #43; b.eq done; {RESET} done: {OFF}"))
        with NsMachine(code, nonvolatile=[(KEPT, SIZE, file)]) as machine:
            assert len(machine.run().resets) == 2
            assert counted(file) == 40
            machine.write_nonvolatile()
            assert counted(file) == 43

    def test_close(self, tmp_path: Path) -> None:
        """The end of a machine writes it, whatever the run came to; several ranges go to their own files."""
        files = [tmp_path / "one.bin", tmp_path / "two.bin"]
        code = NsImage(assemble(f"{COUNT} str w4, [x3, #0x2000]; {FOREVER}"))
        ranges = [(KEPT, SIZE, files[0]), f"{KEPT + 0x2000:#x}:{SIZE}={files[1]}", (KEPT + 0x8000, SIZE)]
        with NsMachine(code, nonvolatile=ranges) as machine:
            assert machine.run(max_insns=1000).status == 4
        assert [counted(file) for file in files] == [1, 1]

    def test_unchanged(self, tmp_path: Path) -> None:
        """A file that would stay the same is not touched: it may be read-only."""
        file = tmp_path / "kept.bin"
        file.write_bytes(bytes(SIZE))
        before = file.stat()
        with NsMachine(NsImage(assemble(OFF)), nonvolatile=[(KEPT, SIZE, file)]) as machine:
            machine.run()
        assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

    def test_mode_and_link(self, tmp_path: Path) -> None:
        """A link stays a link, and the file keeps its mode."""
        file, link = tmp_path / "kept.bin", tmp_path / "link.bin"
        file.write_bytes(bytes(SIZE))
        file.chmod(0o640)
        link.symlink_to(file)
        with NsMachine(NsImage(assemble(f"{COUNT} {OFF}")), nonvolatile=[(KEPT, SIZE, link)]) as machine:
            machine.run()
        assert link.is_symlink() and counted(file) == 1
        assert stat.S_IMODE(file.stat().st_mode) == 0o640

    def test_realm_granule(self, tmp_path: Path) -> None:
        """A granule that is a Realm's at the end is lost: it reads as zero in the file."""
        file = tmp_path / "kept.bin"
        file.write_bytes(b"\xaa" * SIZE)
        with NsMachine(NsImage(assemble(OFF)), nonvolatile=[(KEPT, SIZE, file)]) as machine:
            machine.firmware.tables.delegate(KEPT)
        assert file.read_bytes() == bytes(0x1000) + b"\xaa" * 0x1000

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_interrupted(self, tmp_path: Path, number: signal.Signals) -> None:
        """Ctrl-C or a kill writes it, too."""
        image, file, log = tmp_path / "image.bin", tmp_path / "kept.bin", tmp_path / "uart.txt"
        image.write_bytes(assemble(f"{COUNT} {say('here')} {FOREVER}"))
        command = [sys.executable, "-m", "cca_tools", "run", "--world", "ns-el2", str(image), "--uart", str(log)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with subprocess.Popen(
            [*command, "--nonvolatile", f"{RANGE}={file}"], env=environment, stderr=subprocess.PIPE
        ) as process:
            while not (log.exists() and log.read_text() == "here"):
                time.sleep(0.05)
                assert process.poll() is None
            process.send_signal(number)
            process.communicate()
        assert process.returncode == 128 + number
        assert counted(file) == 1


class TestRefused:
    """A file that does not fit is refused before the boot, and never changed."""

    @pytest.mark.parametrize("size", [0, SIZE - 1, SIZE + 1, SIZE * 2])
    def test_size(self, tmp_path: Path, size: int) -> None:
        """A file has the size of its range."""
        file = tmp_path / "kept.bin"
        file.write_bytes(b"x" * size)
        with pytest.raises(realmlab.MachineError, match=f"must have 8 KiB, the size of its range, not {size} bytes"):
            NsMachine(NsImage(assemble(OFF)), nonvolatile=[(KEPT, SIZE, file)])
        assert file.read_bytes() == b"x" * size

    def test_no_folder(self, tmp_path: Path) -> None:
        """A new file needs a folder, and a folder is no file."""
        with pytest.raises(realmlab.MachineError, match="must be kept where a file can be"):
            NsMachine(NsImage(assemble(OFF)), nonvolatile=[(KEPT, SIZE, tmp_path / "none" / "kept.bin")])
        with pytest.raises(realmlab.MachineError, match="is a directory: give a file"):
            NsMachine(NsImage(assemble(OFF)), nonvolatile=[(KEPT, SIZE, tmp_path)])

    def test_boot_fails(self, tmp_path: Path) -> None:
        """A machine that could not be made leaves its files alone."""
        file = tmp_path / "kept.bin"
        file.write_bytes(b"x" * SIZE)
        for images, size in ((NsImage(b"1234", 0), SIZE), (NsImage(assemble(OFF)), SIZE)):
            with pytest.raises(realmlab.MachineError):
                NsMachine(images, nonvolatile=[(KEPT, size, file), (0, 0x1000)])
        assert file.read_bytes() == b"x" * SIZE

    @pytest.mark.parametrize(
        ("ranges", "message"),
        [
            ([f"{RANGE}="], "`nonvolatile` must be BASE:SIZE or BASE:SIZE=FILE, not"),
            ([f"{RANGE}=a", f"{KEPT + SIZE:#x}:4K=here/a"], "must name each file once, not 'here/a' twice"),
            ([f"{RANGE}=a", f"{KEPT + 0x1000:#x}:4K"], "apart, not those at 0x90000000 and 0x90001000"),
            ([f"{KEPT + 0x1000:#x}:4K", f"{RANGE}=a"], "apart, not those at 0x90001000 and 0x90000000"),
        ],
    )
    def test_ranges(self, ranges: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file has memory of its own."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "here").symlink_to(tmp_path)
        with pytest.raises(realmlab.MachineError, match=message):
            NsMachine(NsImage(assemble(OFF)), nonvolatile=ranges)

    def test_cannot_be_written(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """If a file cannot be written at the end, the run says so, with status 2; all others are."""
        folder, image = tmp_path / "folder", tmp_path / "image.bin"
        folder.mkdir()
        bad, good = folder / "bad.bin", tmp_path / "good.bin"
        code = NsImage(assemble(f"{COUNT} str w4, [x3, #0x2000]; {OFF}"))
        with pytest.raises(realmlab.MachineError, match=r"nonvolatile memory must be kept in .*bad\.bin"), NsMachine(
            code, nonvolatile=[(KEPT, SIZE, bad), (KEPT + 0x2000, SIZE, good)]
        ) as machine:
            machine.run()
            folder.rmdir()
        assert counted(good) == 1
        folder.mkdir()
        image.write_bytes(code.data)

        def gone(machine: NsMachine) -> None:
            if folder.exists():
                folder.rmdir()
            written(machine)

        written = NsMachine.write_nonvolatile
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(NsMachine, "write_nonvolatile", gone)
            status = main(["run", "--world", "ns-el2", str(image), "--nonvolatile", f"{RANGE}={bad}"])
        assert status == 2
        err = capfd.readouterr().err
        assert "nonvolatile memory must be kept in" in err and "exit status 0 (system off)" in err
