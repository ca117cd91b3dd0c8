"""What a command writes is never what it reads, and two outputs are never one file."""

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from ns_code import OFF, assemble

from cca_tools.cli import main
from realmlab.files import replace
from realmlab.payloads import find_payload

Refused = Callable[..., None]


@pytest.fixture
def refused(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Run a command in ``tmp_path``, where it must be refused with a message and change no file."""
    monkeypatch.chdir(tmp_path)

    def run(message: str, *arguments: str) -> None:
        before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
        assert main([*arguments]) == 2
        assert message in capfd.readouterr().err
        assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before

    return run


class TestInputs:
    """An output that is an input is refused before it is opened."""

    @pytest.mark.parametrize("name", ["x.elf", "./x.elf", "folder/../x.elf", "link.elf", "hard.elf"])
    @pytest.mark.parametrize("option", ["--trace", "--uart"])
    def test_payload(self, refused: Refused, tmp_path: Path, name: str, option: str) -> None:
        """Whatever its name there: another path, a link."""
        (tmp_path / "folder").mkdir()
        (tmp_path / "x.elf").write_bytes(find_payload("ns_gpf").read_bytes())
        (tmp_path / "link.elf").symlink_to("x.elf")
        (tmp_path / "hard.elf").hardlink_to(tmp_path / "x.elf")
        refused(f"{option} must not be {name}, which is the input", "run", "x.elf", "--world", "ns-el2", option, name)

    @pytest.mark.parametrize(
        "arguments",
        [
            ["hello", "--console-input", "FILE"], ["hello", "--board", "FILE"], ["hello", "--device-module", "FILE"],
            ["--world", "ns-el2", "ns_gpf", "FILE@0x90000000"], ["--world", "ns-el2", "ns_gpf", "--secure", "FILE"],
        ],
    )  # fmt: skip
    def test_others(self, refused: Refused, tmp_path: Path, arguments: list[str]) -> None:
        """Every file that a run reads."""
        (tmp_path / "data").write_bytes(b"data")
        given = [word.replace("FILE", "data") for word in arguments]
        refused("--trace must not be data, which is the input data", "run", *given, "--trace", "data")

    @pytest.mark.parametrize("option", ["--trace", "--uart"])
    @pytest.mark.parametrize(
        "arguments",
        [
            ["none.elf"], ["nothing"], ["hello", "--board", "none.toml"], ["hello", "--console-input", "none.txt"],
            ["--world", "ns-el2", "none.elf"], ["--world", "ns-el2", "ns_gpf", "none.bin@0x90000000"],
            ["--world", "ns-el2", "ns_gpf", "--secure", "none.elf"],
            ["--world", "ns-el2", "ns_gpf", "--dtb", "none.dtb"],
        ],
    )  # fmt: skip
    def test_not_there(self, refused: Refused, tmp_path: Path, arguments: list[str], option: str) -> None:
        """An older output stays as it is if a run cannot begin, because one of its files is not there."""
        if option == "--uart" and "ns-el2" not in arguments:
            pytest.skip("a Realm has no --uart")
        (tmp_path / "older").write_bytes(b"older")
        message = "payload must be a file" if "nothing" in arguments else "does not exist: check the path"
        refused(message, "run", *arguments, option, "older")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["hello", "--vcpus", "0"], "at least one vCPU, not 0"),
            (["hello", "--memory", "1"], "--memory must be at least"),
            (["hello", "--memory", "2M", "--deny-cpu-on", "1"], "--deny-cpu-on must name vCPUs 0 to 0, not 1"),
            (["hello", "--memory", "1000G"], "the Non-secure DRAM of the board"),
            (["hello", "--hash-algo", "md5"], "--hash-algo must be sha256 or sha512, not 'md5'"),
            (["hello", "--rpv", "0x"], "--rpv must be hex digits"),
            (["hello", "--clock", "moon"], "--clock must be virtual or host"),
            (["hello", "--vcpus", "0", "--console-input", "-"], "at least one vCPU, not 0"),
            (["--world", "ns-el2", "ns_gpf", "--el", "3"], "--el must be 1 or 2, not 3"),
            (["--world", "ns-el2", "ns_gpf", "--expect", "("], "--expect"),
            (["--world", "ns-el2", "ns_gpf", "--nonvolatile", "0"], "a range must be BASE:SIZE"),
        ],
    )
    def test_options(self, refused: Refused, tmp_path: Path, arguments: list[str], message: str) -> None:
        """An older output stays as it is if an option is refused."""
        (tmp_path / "older").write_bytes(b"older")
        refused(message, "run", *arguments, "--trace", "older")

    def test_board_once(self, tmp_path: Path) -> None:
        """What is checked before is not read twice: a board may come by a pipe."""
        board = tmp_path / "board.toml"
        os.mkfifo(board)
        writer = threading.Thread(target=board.write_text, args=('like = "fvp"\nname = "mine"\n',))
        writer.start()
        assert main(["run", "hello", "-q", "--board", str(board), "--trace", str(tmp_path / "trace")]) == 0
        writer.join()

    def test_bundled(self, refused: Refused) -> None:
        """A bundled payload is a file, too."""
        path = str(find_payload("hello"))
        before = find_payload("hello").read_bytes()
        refused(f"--trace must not be {path}, which is the input", "run", "hello", "--trace", path)
        assert find_payload("hello").read_bytes() == before

    def test_repair(self, refused: Refused, tmp_path: Path) -> None:
        """A repair is a copy."""
        (tmp_path / "x.elf").write_bytes(find_payload("hello").read_bytes())
        refused("--repair must not be x.elf, which is the input x.elf", "inspect", "x.elf", "--repair", "x.elf")


class TestOutputs:
    """Two outputs are two files."""

    def test_same(self, refused: Refused) -> None:
        """Also before the file is there."""
        world = ["run", "ns_rmi", "--world", "ns-el2"]
        refused("--uart must not be b/../a, which --trace already writes", *world, "--trace", "a", "--uart", "b/../a")
        refused("--uart must not be a, which --uart already writes", *world, "--uart", "0=a", "--uart", "uart1=a")

    def test_devices(self, tmp_path: Path) -> None:
        """What is no file takes any number of outputs."""
        (tmp_path / "off").write_bytes(assemble(OFF))
        world = ["run", str(tmp_path / "off"), "--world", "ns-el2", "-q"]
        assert main([*world, "--trace", os.devnull, "--uart", f"0={os.devnull}", "--uart", f"1={os.devnull}"]) == 0


class TestReplace:
    """A file is written whole or not at all."""

    def test_whole(self, tmp_path: Path) -> None:
        """Its permissions stay, a link stays a link, and nothing else is left."""
        path, link = tmp_path / "file", tmp_path / "link"
        path.write_bytes(b"before")
        path.chmod(0o640)
        link.symlink_to(path)
        replace(link, b"after")
        assert path.read_bytes() == b"after" and link.is_symlink() and stat.S_IMODE(path.stat().st_mode) == 0o640
        assert sorted(tmp_path.iterdir()) == [path, link]

    def test_not_at_all(self, tmp_path: Path) -> None:
        """Where no file can be, there is none, and the one before is still there."""
        with pytest.raises(OSError):
            replace(tmp_path / "no" / "file", b"data")
        (tmp_path / "file").write_bytes(b"before")
        (tmp_path / f".file.{os.getpid()}").mkdir()
        with pytest.raises(OSError):
            replace(tmp_path / "file", b"after")
        assert (tmp_path / "file").read_bytes() == b"before"
