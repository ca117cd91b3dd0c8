"""`realmlab linux` on the command line, with kernels that are payloads: what is booted, measured and said."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from debian_archive import Archive, deb

from cca_tools.cli import main
from cca_tools.cli.guests import Guest
from cca_tools.cli.linux import OWN, Flavour
from cca_tools.cli.output import FAILED
from cca_tools.cli.run import ONLY, World
from cca_tools.cli.summary import Outcome
from realmlab.payloads import find_payload

needs_apt = pytest.mark.skipif(not Archive.possible(), reason="apt or gpg is not installed")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """An archive whose kernel is the payload hello."""
    made = Archive(tmp_path_factory.mktemp("archive"), "trixie-backports")
    made.add("busybox-static", "1:1", deb({"usr/bin/busybox": b"busybox"}))
    image = find_payload("hello").read_bytes()
    made.add("linux-image-7.0-cloud-arm64", "7.0-1", deb({"boot/vmlinuz-7.0-cloud-arm64": image}), Depends="kmod")
    made.add("linux-image-cloud-arm64", "7.0-1", deb({}), Depends="linux-image-7.0-cloud-arm64 (= 7.0-1)")
    made.publish()
    listed = made.folder / "dists"
    (listed / "trixie").symlink_to(listed / "trixie-backports")
    yield made
    made.close()


@pytest.fixture
def options(archive: Archive, tmp_path: Path) -> list[str]:
    """The options that lead to the archive."""
    return ["--mirror", archive.uri, "--keyring", str(archive.keyring), "--cache", str(tmp_path / "cache"),
            "--suite", "trixie-backports"]  # fmt: skip


@needs_apt
class TestCommand:
    """The command, up to the kernel's first instruction and its end."""

    def test_boots(self, options: list[str], capfd: pytest.CaptureFixture[str]) -> None:
        """The kernel of the archive runs in a Realm with the boot arguments of a guest, then those of the user."""
        assert main(["linux", *options, "--memory", "64M", "--append", "greetings=me"]) == 0
        said = capfd.readouterr()  # stdin is no terminal: what the guest says before its command is on stderr
        assert "greetings=me" in said.err and "RMI calls" in said.err and not said.out
        assert main(["linux", *options, "--memory", "64M", "--json", "--append", "a=b"]) == 0
        told = json.loads(capfd.readouterr().out)
        assert told["command"] == "cat | sh" and told["status"] == 0

    def test_measured(self, options: list[str], capfd: pytest.CaptureFixture[str]) -> None:
        """The measurement is the same each time, and another for another command, argument or number of vCPUs."""

        def rim(*words: str) -> str:
            assert main(["measure", "linux", *options, "--memory", "64M", *words]) == 0
            return str(tomllib.loads(capfd.readouterr().out)["rim"])

        lines = [(), ("--", "ls"), ("--", "ls", "/"), ("--vcpus", "2"), ("--append", "x")]
        found = [rim(*words) for words in lines]
        assert len(set(found)) == len(lines) and found == [rim(*words) for words in lines]

    def test_own_files(self, options: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """A kernel and an initramfs of one's own need no archive."""
        initrd = tmp_path / "x.cpio"
        initrd.write_bytes(bytes(512))
        words = ["--kernel", str(find_payload("hello")), "--initrd", str(initrd), "--memory", "64M"]
        assert main(["linux", *words, "--cache", str(tmp_path / "none")]) == 0
        assert not (tmp_path / "none").exists()

    @pytest.mark.parametrize(
        ("words", "line"),
        [
            (["--module", "none"], "--module must name a module of the kernel, not none: there are 0 others"),
            (["--kernel", "none.elf"], "payload none.elf does not exist"),
            (["--modules", "none", "--kernel", "none.elf"], "--modules must be a folder with modules"),
            (["--memory", "1M"], "--memory must be at least 4M"),
            (["--initrd", "none.cpio", "--", "ls"], "a command must be run by the init of Realmlab"),
            (["--flavour", "rt"], "Invalid value for '--flavour'"),
            (["--nothing"], "No such option: --nothing"),
        ],
    )
    def test_refused(self, options: list[str], words: list[str], line: str, capfd: pytest.CaptureFixture[str]) -> None:
        """What cannot be booted is one line on stderr, and status 2."""
        assert main(["linux", *options, *words]) == 2
        said = capfd.readouterr()
        assert said.out == "" and said.err.startswith(f"realmlab: {line}") and said.err.count("\n") == 1


class TestOptions:
    """The options of the command."""

    def test_explained(self) -> None:
        """Each explains itself, and has a value to offer; none is one of `realmlab run` with another meaning."""
        for name, (one, _) in OWN.items():
            assert one.help.endswith(".") and (one.metavar or one.choices or one.kind in (bool, Flavour)), name
        assert set(OWN) & set(ONLY[World.REALM]) == {"initrd"}

    @pytest.mark.parametrize(("begun", "found"), [("tri", ["trixie", "trixie-backports"]), ("x", [])])
    def test_completed(self, begun: str, found: list[str]) -> None:
        """A shell completes the names of suites."""
        complete = OWN["suite"][0].complete
        assert complete is not None and complete(begun) == found

    @needs_apt
    def test_interrupted(self, archive: Archive, tmp_path: Path) -> None:
        """Ctrl-C while packages come: status 130, a word on stderr, and a cache that the next start uses."""
        words = ["linux", "--mirror", archive.uri, "--keyring", str(archive.keyring), "--memory", "64M", "--cache",
                 str(tmp_path)]  # fmt: skip
        code = (
            "import os, signal, sys\nfrom cca_tools.cli import linux\nfrom cca_tools.start import main\n"
            "def tell(what):\n    'fetching 2' in what and os.kill(os.getpid(), signal.SIGINT)\n"
            f"linux.progress = lambda: tell\nsys.argv[1:] = {words!r}\nsys.exit(main())"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        line = [sys.executable, "-c", code]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (130, "", "realmlab: interrupted\n")
        assert not list(tmp_path.glob("work.*")) and main(words) == 0


class TestGuest:
    """The status of a guest's command becomes that of ours."""

    def outcome(self, console: bytes, reason: str = "system_off", command: str | None = "x") -> tuple[Outcome, bytes]:
        """What a guest makes of a run that ended so."""
        guest, shown = Guest("N", command), bytearray()
        guest.heard(shown.extend)(console)
        guest.finish(shown.extend)
        rows = [("payload", "k: exit status 0"), ("RMI calls", "1")]
        return guest.ended(Outcome(0, "", rows, {"reason": reason, "status": 0, "message": ""})), bytes(shown)

    def test_status(self, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        """Its output alone is shown; what the kernel says is on stderr."""
        outcome, shown = self.outcome(b"boot\x1eN+\x1eout\x1eN=7\x1eend")
        assert (outcome.status, shown) == (7, b"out")
        assert outcome.facts["status"] == 7 and outcome.rows[0] == ("guest", "x: exit status 7")
        assert capfdbinary.readouterr().err == b"boot"

    def test_shell(self, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        """A shell's console is shown as it is."""
        outcome, shown = self.outcome(b"boot\x1eN+\x1e# \x1eN=0\x1e", command=None)
        assert (outcome.status, shown) == (0, b"boot# ") and outcome.rows[0][1] == "shell: exit status 0"

    def test_off_early(self) -> None:
        """A guest that is turned off before the command has ended has failed; a shell may do that."""
        outcome, shown = self.outcome(b"\x1eN+\x1eout")
        assert (outcome.status, shown) == (FAILED, b"out")
        assert outcome.message == "the guest has turned itself off before its command had ended"
        assert self.outcome(b"\x1eN+\x1eout", command=None)[0].status == 0

    def test_input(self) -> None:
        """What is typed may come once the guest has begun, not before."""
        guest, begun = Guest("N", "x"), list[bool]()
        guest.begins = lambda: begun.append(True)
        take = guest.heard(lambda data: None)
        take(b"boot\x1eN")
        assert not begun
        take(b"+\x1eout")
        take(b"more")
        assert begun == [True]

    def test_other_ends(self) -> None:
        """A status that is told by a guest which then fails does not count."""
        assert self.outcome(b"\x1eN+\x1e\x1eN=7\x1e", reason="limit")[0].status == 0
