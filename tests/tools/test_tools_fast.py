"""``make fast``: what it builds, when, and that a failure leaves nothing behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cca_platform.engine.library import LIBRARY, NOTE, SERIES
from cca_platform.errors import MachineError
from cca_tools.fast import __main__ as fast
from cca_tools.fast import engine, modules
from cca_tools.fast.sources import ENGINE, Series
from cca_tools.fast.steps import Steps, room
from cca_tools.fast.toolchain import Toolchain
from cca_tools.imports import ROOT

_TIER = "from cca_platform.engine import library; print(library.tier(), '|', library.describe())"


def _tier(**environment: str) -> tuple[str, str]:
    path = os.pathsep.join(filter(None, sys.path))
    given = {**os.environ, "PYTHONPATH": path, **environment}
    done = subprocess.run([sys.executable, "-c", _TIER], env=given, capture_output=True, text=True, check=True)
    name, _, words = done.stdout.partition("|")
    return name.strip(), words.strip()


class TestSeries:
    def test_pin(self) -> None:
        """The sources are those of the release that the lock of a run names, by one of its digests."""
        text = (ENGINE / "source.txt").read_text()
        name, digest = re.fullmatch(r"(\S+) --hash=sha256:(\w+)\n", text).groups()  # type: ignore[union-attr]
        lock = (ROOT / "requirements" / "run.txt").read_text()
        entry = lock[lock.index(f"{name} \\") :].split("\n\n")[0]
        assert f"sha256:{digest}" in entry

    def test_reasons(self) -> None:
        """Each patch has a subject and a reason, and is in the table of the folder with its number."""
        readme = (ENGINE / "README.md").read_text()
        patches = Series().patches
        assert patches
        for patch in patches:
            head = patch.read_text().split("\n---\n")[0]
            subject, _, reason = head.partition("Subject: ")[2].partition("\n\n")
            assert subject, patch.name
            assert len(reason.split()) >= 15, patch.name
            assert f"| {patch.name[:4]} |" in readme

    def test_number(self) -> None:
        """The series has the number that the platform works with."""
        (number,) = ENGINE.glob("0099-*.patch")
        assert re.search(r"^\+    return (\d+);", number.read_text(), re.M)[1] == str(SERIES)  # type: ignore[index]

    def test_digest(self, tmp_path: Path) -> None:
        """A build is another one when a patch or a flag is."""
        (tmp_path / "source.txt").write_text((ENGINE / "source.txt").read_text())
        empty = Series(tmp_path).digest("-O2")
        (tmp_path / "0001-a.patch").write_text("one")
        one = Series(tmp_path).digest("-O2")
        (tmp_path / "0001-a.patch").write_text("two")
        assert len({empty, one, Series(tmp_path).digest("-O2"), Series(tmp_path).digest("-O3")}) == 4

    def test_absent(self, tmp_path: Path) -> None:
        """Without the patches, as in a wheel, it says what is missing."""
        with pytest.raises(MachineError, match=r"make fast needs a checkout of Realmlab"):
            Series(tmp_path)


class TestSteps:
    def test_failure(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A program that fails is named, with its last lines; the log has them all."""
        steps = Steps(tmp_path / "log", os.environ)
        with pytest.raises(MachineError, match=r"^brew: status 3"):
            steps.run("brew", "sh", "-c", "for n in $(seq 30); do echo line $n; done; exit 3")
        assert capsys.readouterr().err.splitlines() == [f"line {n}" for n in range(16, 31)]
        assert (tmp_path / "log").read_text().count("line") == 30

    def test_full(self, tmp_path: Path) -> None:
        """A full disk is called one, whichever program met it."""
        with pytest.raises(MachineError, match=r"no space left in .*TMPDIR names another place"):
            Steps(tmp_path / "log", os.environ).run("brew", "sh", "-c", "echo cc: No space left on device; exit 1")

    def test_room(self, tmp_path: Path) -> None:
        """Too little space is told before anything is done."""
        with pytest.raises(MachineError, match=r"make fast needs \d+ MiB of free space in .*, not \d+"):
            room(tmp_path, 1 << 60)

    def test_progress(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Without a terminal there is a line for each tenth."""
        command = "for n in $(seq 100); do echo [$n/100] cc; done"
        Steps(tmp_path / "log", os.environ).run("brew", "sh", "-c", command)
        assert len(capsys.readouterr().out.splitlines()) == 12

    def test_interrupted(self, tmp_path: Path) -> None:
        """What a step has started ends with it."""
        script = (
            "import os, signal, threading; from pathlib import Path; from cca_tools.fast.steps import Steps\n"
            "threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
            f"Steps(Path({str(tmp_path / 'log')!r}), os.environ).run('brew', 'sh', '-c', 'echo $$; sleep 600 & wait')"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=False)
        assert b"KeyboardInterrupt" in done.stderr
        group = int((tmp_path / "log").read_text())
        with pytest.raises(ProcessLookupError):
            for _ in range(50):
                os.killpg(group, 0)
                time.sleep(0.1)


class TestToolchain:
    def test_compiles(self, tmp_path: Path) -> None:
        """The wrapped compiler makes programs, without one of the system, for the machine that it runs on."""
        pytest.importorskip("ziglang")
        toolchain = Toolchain(tmp_path / "tools")
        (tmp_path / "a.c").write_text("int main(void) { return 42; }\n")
        environment = toolchain.environment | {"PATH": "/nowhere"}
        for key in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"):
            environment.pop(key)
        command = [*toolchain.cc(), "-c", str(tmp_path / "a.c"), "-o", str(tmp_path / "a.o")]
        subprocess.run(command, env=environment, check=True)
        assert (tmp_path / "a.o").read_bytes()[:4] == b"\x7fELF"

    def test_strings(self, tmp_path: Path) -> None:
        """What stands in for ``strings`` prints what it finds in a file."""
        pytest.importorskip("ziglang")
        toolchain = Toolchain(tmp_path / "it's")
        (tmp_path / "a").write_bytes(b"\0\1BiGeNdIaN\0ab\0")
        done = subprocess.run([toolchain.folder / "strings", tmp_path / "a"], capture_output=True, check=True)
        assert done.stdout == b"BiGeNdIaN\n"


class TestBuild:
    @pytest.fixture
    def tools(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
        pytest.importorskip("ziglang")
        monkeypatch.setenv("REALMLAB_FAST", str(tmp_path / "fast"))
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        monkeypatch.setattr(modules, "build", lambda folder, force=False: "left alone")
        return tmp_path / "fast"

    def test_once(self, tools: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """The second call has nothing to do, unless a patch or the toolchain has changed since."""

        def compile_nothing(steps: object, toolchain: object, series: object, place: Path) -> Path:
            made = place / LIBRARY
            made.write_bytes(b"library")
            return made

        monkeypatch.setattr(engine, "_compile", compile_nothing)
        monkeypatch.setattr(engine, "_TRY", "")
        for expected in ("built", "nothing to do"):
            assert fast.main([]) == 0
            assert f": {expected}\n" in capsys.readouterr().out
        note = json.loads((tools / "engine" / NOTE).read_text())
        (tools / "engine" / NOTE).write_text(json.dumps(note | {"digest": "another"}))
        assert fast.main([]) == 0
        assert ": built\n" in capsys.readouterr().out

    def test_failed(self, tools: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """A build that fails says where the log is, and leaves nothing else, neither where it worked nor installed."""
        monkeypatch.setattr("cca_tools.fast.sources.Series.fetch", lambda self, steps, place: steps.run("a", "false"))
        assert fast.main([]) == 1
        assert "realmlab: a: status 1" in capsys.readouterr().err
        assert [path.name for path in (tools / "engine").iterdir()] == ["log"]
        assert [path.name for path in tools.parent.iterdir()] == ["fast"]

    def test_spaces(self, tools: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """A place that configure cannot stand is refused at once."""
        place = tools.parent / "a b"
        place.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(place))
        assert fast.main([]) == 1
        assert f"TMPDIR must name a place without spaces in its path for make fast, not {place}\n" in (
            capsys.readouterr().err
        )
        assert not list(place.iterdir())

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_interrupted(
        self, tools: Path, number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Ctrl-C, SIGTERM and a terminal that closes leave nothing, and it says so."""
        before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP)}
        monkeypatch.setattr("cca_tools.fast.sources.Series.fetch", lambda *all: os.kill(os.getpid(), number))
        assert fast.main([]) == 130
        for one, handle in before.items():
            signal.signal(one, handle)
        assert "interrupted; nothing was changed" in capsys.readouterr().err
        assert not (tools / "engine").exists()
        assert [path.name for path in tools.parent.iterdir()] == ["fast"]

    def test_stock_chosen(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """With the stock tier chosen there is nowhere to build."""
        monkeypatch.setenv("REALMLAB_FAST", "")
        assert fast.main([]) == 1
        assert "REALMLAB_FAST must name a folder or be unset for make fast, not empty" in capsys.readouterr().err


class TestTier:
    def test_stock(self) -> None:
        """The variable, empty, chooses the stock tier for a run."""
        assert _tier(REALMLAB_FAST="") == ("stock", "stock")

    def test_nothing_built(self, tmp_path: Path) -> None:
        """Where nothing was built, stock runs."""
        assert _tier(REALMLAB_FAST=str(tmp_path)) == ("stock", "stock")

    def test_broken(self, tmp_path: Path) -> None:
        """A library that cannot be loaded is told, and stock runs."""
        (tmp_path / "engine").mkdir()
        (tmp_path / "engine" / LIBRARY).write_bytes(b"no library")
        name, words = _tier(REALMLAB_FAST=str(tmp_path))
        assert (name, words) == ("stock", f"stock ({tmp_path / 'engine' / LIBRARY} cannot be loaded: make fast)")
