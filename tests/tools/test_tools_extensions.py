"""The extensions on the command line: sealing keys with a payload that outlives itself, and a Realm within a limit."""

import json
import os
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from ns_code import OFF, assemble, constant
from walkthrough import follow

import realmlab
from cca_arch.extensions import PAGING_UID, Paging, PagingFeatures, uid_words
from cca_arch.rmi.v1_0 import RmiStatus
from cca_arch.smccc import NOT_SUPPORTED
from cca_firmware.package.nsimage import NsImage
from cca_platform.errors import MachineError
from cca_tools.cli import main

SEAL = ["run", "sealing", "--extension", "sealing"]


@pytest.fixture
def lives(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Any:
    """Runs the payload `sealing` with a line from its UART: its status, what it prints, and what the command says."""

    def live(line: str, *options: str) -> tuple[int, str, str]:
        (tmp_path / "line").write_text(line + "\n")
        status = main([*SEAL, "--console-input", str(tmp_path / "line"), *options])
        said = capfd.readouterr()
        return status, said.out, said.err

    return live


class TestSealing:
    """A secret that the Host keeps."""

    def test_next_life(self, lives: Any) -> None:
        """The Realm seals it, dies, and opens it in its next life; the blob does not show it."""
        _, out, _ = lives("seal the cake is in the oven")
        assert "cake" not in out
        blob = out.split()[1]
        assert lives(f"open {blob}", "-q") == (0, "opened the cake is in the oven\n", "")

    @pytest.mark.parametrize("text", ["", "x", "y" * 64])
    def test_any_text(self, lives: Any, text: str) -> None:
        """A text of any length that the payload takes."""
        blob = lives(f"seal {text}", "-q")[1].split()[1]
        assert lives(f"open {blob}", "-q")[:2] == (0, f"opened {text}\n")

    @pytest.mark.parametrize(
        "options",
        [("--vcpus", "2"), ("--memory", "128M"), ("--hash-algo", "sha512"), ("--ipa-width", "40"), ("--", "other")],
    )
    def test_another_realm(self, lives: Any, options: tuple[str, ...]) -> None:
        """A Realm that is not the same one cannot open it, however little differs."""
        blob = lives("seal mine", "-q")[1].split()[1]
        status, out, _ = lives(f"open {blob}", "-q", *options)
        assert (status, out) == (1, "refused: this is no blob of this Realm\n")

    def test_another_platform(self, lives: Any, tmp_path: Path) -> None:
        """A platform with a key of its own has other keys than the published ones, and always the same."""
        (tmp_path / "key").write_bytes(bytes(range(32)))
        own = ("-q", "--platform-key", str(tmp_path / "key"))
        blob = lives("seal mine", *own)[1].split()[1]
        assert lives(f"open {blob}", "-q")[0] == 1
        assert lives(f"open {blob}", *own)[:2] == (0, "opened mine\n")

    def test_tampered(self, lives: Any) -> None:
        """Each digit of the blob counts."""
        blob = lives("seal mine", "-q")[1].split()[1]
        for at in (0, 31, 32, 39, 40, len(blob) - 1):
            wrong = blob[:at] + format(int(blob[at], 16) ^ 8, "x") + blob[at + 1 :]
            assert lives(f"open {wrong}", "-q")[0] == 1
        for wrong in ("", blob[:-2], blob + "00", "no hex"):
            assert lives(f"open {wrong}", "-q")[0] == 1

    def test_says_which_key(self, lives: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """The summary says in a line that the keys are published ones, and how to have others."""
        assert "from the published test key, no secret: --platform-key FILE" in lives("")[2]
        (tmp_path / "key").write_bytes(bytes(32))
        assert "published" not in lives("", "--platform-key", str(tmp_path / "key"))[2]
        assert main([*SEAL, "--json"]) == 0
        assert json.loads(capfd.readouterr().out)["test_key"] is True

    def test_off(self, capfd: pytest.CaptureFixture[str]) -> None:
        """Without the extension the payload says what it lacks."""
        assert main(["run", "sealing", "-q"]) == 3
        assert "SEALING_KEY(1, 0) answers ffffffffffffffff: give --extension sealing" in capfd.readouterr().out

    @pytest.mark.parametrize(("size", "message"), [(0, "not 0"), (31, "not 31"), (33, "has 33 bytes, more than 32")])
    def test_key_size(self, tmp_path: Path, capfd: pytest.CaptureFixture[str], size: int, message: str) -> None:
        """A key has 32 bytes; a file with more is not read."""
        (tmp_path / "key").write_bytes(bytes(size))
        assert main([*SEAL, "--platform-key", str(tmp_path / "key")]) == 2
        assert message in capfd.readouterr().err

    def test_python(self) -> None:
        """In Python a key is bytes, or the path of its file."""
        with realmlab.Machine(extensions=["sealing"], platform_key=bytes(32)) as machine:
            assert not machine.has_test_key
        with pytest.raises(MachineError, match="`platform_key` must have 32 bytes, not 3"):
            realmlab.Machine(platform_key=b"key")


class TestPaging:
    """`--memory-limit` and `--swap`."""

    def test_run(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """The payload prints the same; the summary has what went out and came back, and the limit was kept."""
        run = ["run", "memory", "--json", "--extension", "paging"]
        limit = ["--memory-limit", "4M", "--swap", str(tmp_path / "swap.img")]
        told = []
        for options in ([], limit):
            assert main([*run, *options, "--", "1"]) == 0
            told.append(json.loads(capfd.readouterr().out))
        assert told[0]["console"] == told[1]["console"]
        assert told[0]["granules"]["peak"] > 1024 >= told[1]["granules"]["peak"]
        assert told[1]["granules"]["left"] == told[1]["granules"]["dirty"] == 0
        assert told[1]["calls"]["PAGE_OUT"] > 0 and "PAGE_OUT" not in told[0]["calls"]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--memory-limit", "4M", "--swap", "FILE"], "--memory-limit needs an RMM that takes pages out"),
            (["--memory-limit", "4M"], "--memory-limit must go with --swap"),
            (["--swap", "FILE"], "--swap must go with --memory-limit"),
            (["--memory-limit", "1M", "--swap", "FILE"], "--memory-limit must be at least 2M"),
            (["--memory-limit", "x", "--swap", "FILE"], "a size must be"),
        ],
    )
    def test_wrong(self, tmp_path: Path, capfd: pytest.CaptureFixture[str], options: Any, message: str) -> None:
        """What does not go together is said with the spelling of the command line."""
        given = [str(tmp_path / "swap") if one == "FILE" else one for one in options]
        assert main(["run", "hello", *given]) == 2
        assert message in capfd.readouterr().err

    def test_not_a_swap_file(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """A file with something else in it is refused, and stays as it is."""
        (tmp_path / "thesis").write_text("ten years of work")
        run = ["run", "hello", "--extension", "paging", "--memory-limit", "4M"]
        assert main([*run, "--swap", str(tmp_path / "thesis")]) == 2
        assert "must be a new file or a swap file" in capfd.readouterr().err
        assert (tmp_path / "thesis").read_text() == "ten years of work"


class TestCode:
    """Real code at Non-secure EL2 as the Host."""

    RESULTS = 0x9000_0000

    def ask(self, calls: list[tuple[int, ...]], *options: str) -> list[tuple[int, ...]]:
        """X0 to X4 after each of these SMCs."""
        source = constant("x20", self.RESULTS)
        for call in calls:
            source += "".join(constant(f"x{number}", value) for number, value in enumerate(call))
            source += "smc #0; stp x0, x1, [x20], #16; stp x2, x3, [x20], #16; str x4, [x20], #16;"
        with realmlab.NsMachine(NsImage(assemble(source + OFF)), extensions=options) as machine:
            assert machine.run().reason == "system_off"
            words = struct.unpack(f"<{6 * len(calls)}Q", machine.read(self.RESULTS, 48 * len(calls)))
        return [words[at : at + 5] for at in range(0, len(words), 6)]

    def test_commands(self) -> None:
        """The range is served by EL3 and the RMM together, to code as to a host in Python."""
        calls = [(Paging.PAGING_UID,), (Paging.PAGING_FEATURES, 0), (Paging.PAGE_OUT, 1, 2, 3, 4)]
        uid, features, out = self.ask(calls, "paging")
        assert uid[:4] == uid_words(PAGING_UID)
        assert features[:2] == (0, int(PagingFeatures.make(aes_256_gcm=1, version_bits=36)))
        assert out == (RmiStatus.ERROR_INPUT, 0, 0, 0, 0)

    def test_off(self) -> None:
        """Without it, every call of the range is an unknown one that leaves X1 and up alone."""
        calls = [(fid, 0x11, 0x12, 0x13, 0x14) for fid in Paging]
        assert self.ask(calls, "sealing") == self.ask(calls) == [(NOT_SUPPORTED, 0x11, 0x12, 0x13, 0x14)] * 4


def test_guide(tmp_path: Path) -> None:
    """Every command of the guide prints what it shows."""
    page = Path(__file__).parents[2] / "docs" / "guide-extensions.md"
    command = tmp_path / "bin" / "realmlab"
    command.parent.mkdir()
    start = "import sys; from cca_tools.start import main; sys.exit(main())"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{start}" "$@"\n')
    command.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment["PATH"] = f"{command.parent}{os.pathsep}{environment['PATH']}"
    assert follow(page, tmp_path, environment) == 9
