"""`realmlab run --world ns-el2`: output, files, status, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ns_code import FOREVER, OFF, RESET, UART0, assemble, constant, say
from secure_code import payload

from cca_tools.cli import main
from realmlab.payloads import find_payload

UART1 = 0x1C0A_0000
Image = Callable[[str], str]


@pytest.fixture
def image(tmp_path: Path) -> Image:
    """A raw image of code from assembly."""

    def make(source: str) -> str:
        path = tmp_path / "image.bin"
        path.write_bytes(assemble(source))
        return str(path)

    return make


def ns(*arguments: str) -> int:
    """Run the command; its exit status."""
    return main(["run", "--world", "ns-el2", *arguments])


class TestRun:
    """The first UART goes to stdout, everything else to stderr."""

    def test_payload(self, capfd: pytest.CaptureFixture[str]) -> None:
        """A payload by name; the summary has the reason, instructions, PEs, resets and time."""
        assert ns("ns_gpf") == 0
        out, err = capfd.readouterr()
        assert out.endswith("ns_gpf: 0 wrong\n")
        for label in ("system off", "instructions", "PE 0", "resets", "time"):
            assert label in err and label not in out

    def test_images(self, image: Image, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Several images, without the -- that a Realm's arguments need."""
        data = tmp_path / "data.bin"
        data.write_bytes(b"!")
        code = image(f"{constant('x3', 0x9000_0000)} {constant('x2', UART0)} ldrb w1, [x3]; str w1, [x2]; {OFF}")
        assert ns(code, f"{data}@0x90000000", "-q") == 0
        assert capfd.readouterr() == ("!", "")

    def test_quiet_json(self, image: Image, capfd: pytest.CaptureFixture[str]) -> None:
        """--json is one object, with what every UART sent."""
        assert ns(image(say("one") + say("two", UART1) + OFF), "--json", "--expect", "three") == 1
        out, err = capfd.readouterr()
        found = json.loads(out)
        assert (found["console"], found["uarts"]) == ("one", {"uart0": "one", "uart1": "two"})
        assert (found["status"], found["reason"], found["missing"]) == (1, "system_off", ["three"])
        assert found["instructions"] == sum(found["retired"]) and found["trace"] is None
        assert err == "realmlab: no console showed 'three'\n"

    def test_files(self, image: Image, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """--uart writes what a UART sends to a file, too."""
        first, second, third = (tmp_path / name for name in ("first.txt", "a=b", "third.txt"))
        options = ["--uart", str(first), "--uart", f"1={second}", "--uart", f"uart1={third}"]
        assert ns(image(say("one") + say("two", UART1) + OFF), "-q", *options) == 0
        assert (first.read_text(), second.read_text(), third.read_text()) == ("one", "two", "two")
        assert capfd.readouterr().out == "one"

    def test_stdout(self, image: Image, capfd: pytest.CaptureFixture[str]) -> None:
        """--uart N=- shows what another UART sends, and the lines of two UARTs stay whole."""
        sent = [("a", UART0), ("one\ntw", UART1), ("b\n", UART0), ("o\n", UART1), ("c", UART0), ("!", UART1)]
        code = image("".join(say(text, uart) for text, uart in sent) + OFF)
        assert ns(code, "-q", "--uart", "1=-", "--uart", "-") == 0
        assert capfd.readouterr().out == "ab\none\ntwo\nc\n!"
        assert ns(code, "-q") == 0
        assert capfd.readouterr().out == "ab\nc"

    @pytest.mark.parametrize(
        ("source", "options", "told"),
        [
            (say("one", UART1), [], True),
            (say("one", UART1), ["--uart", "1=-"], False),
            (say("one", UART1) + say("two"), [], False),
            ("", [], False),
        ],
        ids=["another", "shown", "both", "none"],
    )
    def test_only_another(
        self, image: Image, source: str, options: list[str], told: bool, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """If only another UART spoke, the summary says which, and how to see it."""
        assert ns(image(source + OFF), *options) == 0
        err = capfd.readouterr().err
        assert ("uart1 sent 3 bytes; uart0 nothing: --uart uart1=- shows it" in err) == told
        assert ("consoles" in err) == told

    @pytest.mark.parametrize("ready", [True, False], ids=["lives", "dies"])
    def test_boot(
        self,
        image: Image,
        tmp_path: Path,
        ready: bool,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        """UARTs are heard from the boot on: the last line of a Secure payload that dies is on stdout and in files."""
        code, log, secure = image(say("NS\n") + OFF), tmp_path / "log.txt", tmp_path / "secure.bin"
        secure.write_bytes(payload(start=say("Secure\n") + ("" if ready else ".word 0;")))
        options = ["--secure", str(secure), "--secure-insns", "50000", "--uart", str(log), "--expect", "^Secure$"]
        assert ns(code, "-q", *options) == (0 if ready else 2)
        out, err = capfd.readouterr()
        assert out == log.read_text() == ("Secure\nNS\n" if ready else "Secure\n")
        assert err.count("\n") == (0 if ready else 1)
        if ready:
            assert ns(code, "--json", *options) == 0
            assert json.loads(capfd.readouterr().out)["console"] == "Secure\nNS\n"
            assert ns(code, "-q", "--secure", str(secure), "--until", "Secure") == 0
            assert capfd.readouterr().out == "Secure\n"
            assert ns(code, "-q", "--secure", str(secure), "--reject", "Secure") == 1

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    def test_full_file(self, image: Image, capfd: pytest.CaptureFixture[str]) -> None:
        """A file that does not take everything is told, with status 2; the run is not disturbed."""
        assert ns(image(say("one") + OFF), "--uart", "/dev/full") == 2
        out, err = capfd.readouterr()
        assert out == "one" and "'/dev/full' must take everything that uart0 sends" in err

    @pytest.mark.parametrize(
        ("source", "options", "status"),
        [
            (say("ready> ") + FOREVER, ["--until", "ready> "], 0),
            (say("ready\n") + OFF, ["--until", "steady"], 1),
            (say("7 passed\n") + OFF, ["--expect", r"^\d passed$", "--expect", "7"], 0),
            (say("7 passed\n") + FOREVER, ["--reject", "passed"], 1),
            (FOREVER, ["--timeout-insns", "1000"], 4),
            (FOREVER, ["--max-insns", "1000"], 4),
            ("msr daifset, #15; wfi", [], 3),
            (".word 0", [], 3),
            (RESET, ["--no-reset"], 0),
            (RESET, ["--max-resets", "2"], 4),
        ],
    )
    def test_status(
        self, image: Image, source: str, options: list[str], status: int, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """The exit status tells how it ended; but for a plain end one line says why."""
        assert ns(image(source), "-q", *options) == status
        assert capfd.readouterr().err.count("\n") == (1 if status else 0)

    def test_options(self, image: Image, capfd: pytest.CaptureFixture[str]) -> None:
        """Level, entry and nonvolatile memory reach the machine."""
        count = f"{constant('x3', 0x9000_0000)} ldr x4, [x3]; add x4, x4, #1; str x4, [x3];"
        code = f".word 0; mrs x5, currentel; cmp x5, #4; b.ne wrong; {count} cmp x4, #2; b.eq done; {RESET} done: {OFF}"
        code += f"wrong: {FOREVER}"
        options = ["--el", "1", "--entry", "0x88000004", "--nonvolatile", "0x90000000:4K", "--max-insns", "100000"]
        assert ns(image(code), *options) == 0
        assert "resets  1: PSCI 1\n" in capfd.readouterr().err

    def test_virt(self, image: Image, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Every board runs images."""
        path = tmp_path / "virt.bin"
        path.write_bytes(assemble(say("virt", 0x0900_0000) + OFF, 0x4800_0000))
        assert ns(str(path), "--board", "virt", "-q") == 0
        assert capfd.readouterr().out == "virt"

    @pytest.mark.parametrize(("board", "suffix"), [("fvp", ""), ("virt", "_virt")])
    def test_secure(self, board: str, suffix: str, capfd: pytest.CaptureFixture[str]) -> None:
        """A Secure payload is there to be called."""
        options = ["--secure", f"secure{suffix}", "--board", board, "--expect", "^secure_call.*, 0 failed$"]
        assert ns(f"secure_call{suffix}", *options) == 0
        assert "PE 1" in capfd.readouterr().err

    def test_trace(self, image: Image, tmp_path: Path) -> None:
        """Two runs give byte-identical traces, which have the lines of the consoles."""
        files = [tmp_path / name for name in ("a.jsonl", "b.jsonl")]
        for file in files:
            assert ns(image(say("hello\n") + OFF), "-q", "--trace", str(file)) == 0
        assert files[0].read_bytes() == files[1].read_bytes()
        events = [json.loads(line) for line in files[0].read_text().splitlines()]
        assert [event["text"] for event in events if event["event"] == "console.write"] == ["hello"]
        assert events[-1]["event"] == "run.stop" and events[-1]["reason"] == "system_off"

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_interrupt(self, image: Image, tmp_path: Path, number: signal.Signals) -> None:
        """Ctrl-C, a kill or a closed terminal end the run in order: what was sent is there, and the trace is whole."""
        trace, log = tmp_path / "t.jsonl", tmp_path / "uart.txt"
        command = [sys.executable, "-m", "cca_tools", "run", "--world", "ns-el2", image(say("here") + FOREVER)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        options = ["--trace", str(trace), "--uart", str(log)]
        with subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        ) as process:
            while not (log.exists() and log.read_text() == "here"):
                time.sleep(0.05)
                assert process.poll() is None
            process.send_signal(number)
            out, err = process.communicate()
        assert process.returncode == 128 + number and out == b"here"
        assert b"interrupted: PE 0 is at 0x8800" in err and b"Traceback" not in err
        assert json.loads(trace.read_text().splitlines()[-1])["reason"] == "interrupted"


BAD = {
    "no file": (["none.bin"], "image none.bin does not exist"),
    "folder": (["FOLDER"], "is a directory: give a file"),
    "address": (["ns_gpf@here"], "the address of ns_gpf must be a number"),
    "no DRAM": (["IMAGE@0x1000"], "must lie in Non-secure DRAM"),
    "firmware": (["IMAGE@0xfd000000"], "in the region 'secure' of the firmware"),
    "overlap": (["IMAGE", "IMAGE@0x88000004"], "must not overlap"),
    "second": (["IMAGE", "IMAGE"], "must be given an address"),
    "entry": (["IMAGE", "--entry", "0x80000000"], "the NS entry point must be"),
    "odd entry": (["IMAGE", "--entry", "soon"], "the entry must be a number"),
    "level": (["IMAGE", "--el", "3"], "--el must be 1 or 2, not 3"),
    "no Secure image": (["IMAGE", "--secure", "none.elf"], "image none.elf does not exist"),
    "Secure address": (["IMAGE", "--secure", "secure@0xfc000000"], "must have no address"),
    "other Secure image": (["IMAGE", "--secure", str(find_payload("hello"))], "Secure payload must be linked to"),
    "range": (["IMAGE", "--nonvolatile", "4K"], "a range must be BASE:SIZE"),
    "odd size": (["IMAGE", "--nonvolatile", "0x90000000:much"], "a size must be a number"),
    "not DRAM": (["IMAGE", "--nonvolatile", "0:4K"], "nonvolatile memory must lie in"),
    "no file of it": (["IMAGE", "--nonvolatile", "0x90000000:4K="], "--nonvolatile must be BASE:SIZE or BASE:SIZE="),
    "no tree": (["IMAGE", "--dtb", "none.dtb"], "--dtb none.dtb does not exist: check the path"),
    "expect": (["IMAGE", "--expect", "("], "--expect must be a regular expression, not '('"),
    "reject": (["IMAGE", "--reject", "["], "--reject must be a regular expression, not '['"),
    "limit": (["IMAGE", "--timeout-insns", "0"], "--max-insns must be 1 or more, not 0"),
    "resets": (["IMAGE", "--max-resets", "-1"], "--max-resets must be 0 or more, not -1"),
    "no UART": (["IMAGE", "--uart", "9=x.txt"], "--uart must name one of uart0, uart1, uart2, uart3, not 'uart9'"),
    "no log": (["IMAGE", "--uart", "FOLDER/none/x.txt"], "--uart must name a file to write"),
    "vcpus": (["IMAGE", "--vcpus", "2"], "--vcpus must not be given with --world ns-el2"),
    "hash": (["IMAGE", "--hash-algo", "sha512"], "--hash-algo must not be given with --world ns-el2"),
    "world": (["IMAGE", "--world", "moon"], "--world"),
}


class TestBadInput:
    """Bad input gives one line that says how to mend it, and exit status 2."""

    @pytest.mark.parametrize("case", BAD)
    def test_line(self, case: str, image: Image, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Nothing but the line is printed."""
        arguments, expected = BAD[case]
        path = image(OFF)
        words = [word.replace("FOLDER", str(tmp_path)).replace("IMAGE", path) for word in arguments]
        assert ns(*words) == 2
        out, err = capfd.readouterr()
        assert out == ""
        assert err.startswith("realmlab: ") and err.count("\n") == 1 and expected in err

    @pytest.mark.parametrize("option", [["--entry", "0x88000000"], ["--no-reset"], ["--el", "2"], ["--uart", "x.txt"]])
    def test_other_world(self, option: list[str], capfd: pytest.CaptureFixture[str]) -> None:
        """A Realm has none of these options."""
        assert main(["run", "hello", *option]) == 2
        assert f"{option[0]} must not be given with --world realm" in capfd.readouterr().err
