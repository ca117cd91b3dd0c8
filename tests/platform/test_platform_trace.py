"""The event stream: what a record holds, what it costs, and what happens when it cannot be written."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cca_arch.types import SecurityState
from cca_platform.errors import MachineError
from cca_platform.trace.events import (
    SCHEMA,
    BootStage,
    ConsoleWrite,
    FaultGpf,
    GptChange,
    RmiCall,
    RmiReturn,
    RunStop,
    SystemReset,
)
from cca_platform.trace.sinks import Console, Counts, JsonLines, Listing, render
from cca_platform.trace.trace import Trace
from cca_platform.version import __version__

PE: Any = SimpleNamespace(index=1, security=SecurityState.REALM, el=2)
RESET = SystemReset(reason="watchdog")
CHANGE = GptChange(pa=0x8801000, size=0x1000, old="NON_SECURE", new="REALM")
HEAD = {
    "seq": None, "time": 0, "pe": None, "world": None, "el": None,
    "event": "trace.start", "schema": SCHEMA, "realmlab": __version__,
}  # fmt: skip


class TestRecords:
    """A record starts with sequence number, time, place and name; then come the fields of the event."""

    def test_head(self) -> None:
        """The head names time, PE, world and EL; seq counts from 0."""
        listing = Listing()
        trace = Trace(listing)
        trace.clock = lambda: 77
        trace.emit(CHANGE, pe=PE)
        trace.emit(RunStop(reason="system off", status=0, instructions=7))
        assert list(listing[1].items()) == [
            ("seq", 0),
            ("time", 77),
            ("pe", 1),
            ("world", "realm"),
            ("el", 2),
            ("event", "gpt.change"),
            ("pa", "0x8801000"),
            ("size", "0x1000"),
            ("old", "NON_SECURE"),
            ("new", "REALM"),
        ]
        assert listing[2] == {
            "seq": 1, "time": 77, "pe": None, "world": None, "el": None,
            "event": "run.stop", "reason": "system off", "status": 0, "instructions": 7,
        }  # fmt: skip

    def test_place(self) -> None:
        """World and level are those of the PE, unless the emitter knows better."""
        listing = Listing()
        trace = Trace(listing)
        trace.emit(RESET, pe=PE, world=SecurityState.ROOT, el=3)
        trace.emit(RESET, pe=PE, world=SecurityState.NON_SECURE)
        assert [(record["world"], record["el"]) for record in listing[1:]] == [("root", 3), ("ns", 2)]

    def test_absent(self) -> None:
        """A field that the event does not have is not in the record."""
        listing = Listing()
        Trace(listing).emit(BootStage(stage="BL1", entry=0))
        assert list(listing[1])[5:] == ["event", "stage", "entry"]


class TestStart:
    """A trace starts with what its events are to be read by."""

    def test_first_record(self) -> None:
        """Every sink gets the version of the catalogue and of Realmlab before anything else."""
        listing = Listing()
        Trace(listing)
        assert listing == [HEAD]
        assert list(listing[0]) == list(HEAD)

    def test_no_part_of_the_sequence(self) -> None:
        """A sink that comes later gets it too, and the numbers of the events have no hole."""
        first, second = Listing(), Listing()
        trace = Trace(first)
        trace.emit(RESET)
        trace.clock = lambda: 5
        trace.add(second)
        trace.emit(RESET)
        assert [record["seq"] for record in first] == [None, 0, 1]
        assert second[0] == {**HEAD, "time": 5}
        assert [record["seq"] for record in second] == [None, 1]

    def test_processors_cannot_drop_it(self) -> None:
        """A filter of events leaves the head."""
        import structlog

        def nothing(logger: object, method: str, record: Any) -> Any:
            raise structlog.DropEvent

        listing = Listing()
        Trace(listing, processors=(nothing,)).emit(RESET)
        assert listing == [HEAD]


class TestSwitch:
    """Off, a trace keeps nothing; on and off again, the sequence has no holes."""

    def test_off(self) -> None:
        """Without a sink nothing happens."""
        trace = Trace()
        trace.emit(RESET)
        assert not trace.on and trace.seq == 0

    def test_paused(self) -> None:
        """Nothing is emitted inside ``paused``."""
        listing = Listing()
        trace = Trace(listing)
        with trace.paused():
            trace.emit(RESET)
        trace.emit(CHANGE)
        assert [(r["seq"], r["event"]) for r in listing[1:]] == [(0, "gpt.change")]

    def test_processors(self) -> None:
        """A structlog processor sees records in their written form, and can drop or annotate them."""
        import structlog

        def only_gpt(logger: object, method: str, record: Any) -> Any:
            if not record["event"].startswith("gpt."):
                raise structlog.DropEvent
            return {**record, "page": record["pa"][:-3]}

        listing = Listing()
        trace = Trace(listing, processors=(only_gpt,))
        trace.emit(RESET)
        trace.emit(CHANGE)
        assert [(r["event"], r["page"]) for r in listing[1:]] == [("gpt.change", "0x8801")]


class TestFile:
    """A trace file holds whole lines, or the user hears why not."""

    def test_lines(self, tmp_path: Path) -> None:
        """Each line is one JSON object; many chunks lose nothing."""
        path = tmp_path / "t.jsonl"
        trace = Trace(JsonLines(path))
        for number in range(5000):
            trace.emit(GptChange(pa=number << 12, size=0x1000, old="NON_SECURE", new="REALM"), pe=PE)
        trace.close()
        head, *lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert head == HEAD
        assert [line["seq"] for line in lines] == list(range(5000))

    def test_each_at_once(self, tmp_path: Path) -> None:
        """A line is in the file as soon as its event is over: whoever kills the run loses nothing."""
        path = tmp_path / "t.jsonl"
        trace = Trace(JsonLines(path))
        for number in range(3):
            trace.emit(RESET)
            assert [json.loads(line)["seq"] for line in path.read_text().splitlines()] == [None, *range(number + 1)]
        trace.close()

    @pytest.mark.skipif(sys.platform == "win32", reason="limits of a process")
    def test_whole_lines(self, tmp_path: Path) -> None:
        """A file that takes a part of a line keeps none of it; closing tells how many it has."""
        path, code = (
            tmp_path / "t.jsonl",
            (
                "import resource, signal, sys; from cca_platform.trace.sinks import JsonLines; "
                "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
                "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); sink = JsonLines(sys.argv[1])\n"
                "for n in range(9): sink.write({'event': 'x' * 10, 'seq': n})\n"
                "sink.close()"
            ),
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], env=environment, capture_output=True, text=True, check=False
        )
        lines = path.read_text().splitlines(keepends=True)
        assert 0 < len(lines) < 9
        assert all(line.endswith("}\n") for line in lines)
        assert f"not only its first {len(lines)} events (File too large)" in done.stderr

    def test_two_files(self, tmp_path: Path) -> None:
        """Files beside each other and beside other sinks hold the same; one that comes later has no earlier event."""
        paths = [tmp_path / name for name in ("a", "b", "late")]
        trace = Trace(JsonLines(paths[0]), kept := Listing(), JsonLines(paths[1]))
        trace.hold()
        trace.emit(RESET)
        trace.add(JsonLines(paths[2]))
        trace.emit(CHANGE, pe=PE)
        trace.release()
        trace.close()
        first, second, late = (path.read_text().splitlines() for path in paths)
        assert first == second and late == [first[0], first[2]]
        assert [json.loads(line) for line in first] == kept

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    def test_reader_leaves(self, tmp_path: Path) -> None:
        """A pipe that nobody reads any more does not disturb the run; closing tells."""
        path = tmp_path / "pipe"
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        trace = Trace(JsonLines(path))
        trace.emit(RESET)
        os.close(reader)
        for _ in range(3):
            trace.emit(RESET)
        with pytest.raises(MachineError, match=r"not only its first 2 events \(Broken pipe\)"):
            trace.close()

    def test_unwritable(self, tmp_path: Path) -> None:
        """A file that cannot be opened is an error before anything runs."""
        with pytest.raises(MachineError, match=r"must be writable, not .*No such file or directory.*`trace`"):
            JsonLines(tmp_path / "missing" / "t.jsonl")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    def test_disk_full(self) -> None:
        """A full disk does not disturb the run; closing tells how much was kept."""
        trace = Trace(JsonLines("/dev/full"), kept := Listing())
        for _ in range(5000):
            trace.emit(RESET)
        with pytest.raises(MachineError, match=r"not only its first 0 events \(No space left on device\): free some"):
            trace.close()
        assert len(kept) == 1 + 5000


class TestPeople:
    """A person reads one line an event."""

    def test_plain(self) -> None:
        """Without colour the line has no escape codes."""
        stream = io.StringIO()
        trace = Trace(Console(stream))
        returned = RmiReturn(fid=1, cmd="REALM_CREATE", status="RMI_SUCCESS", index=0, results=[0, 1], failed=None)
        trace.emit(returned, pe=PE)
        trace.emit(ConsoleWrite(device="uart", text="two words\n", size=10))
        trace.close()
        assert stream.getvalue().splitlines() == [
            f"           0 -            trace.start        schema={SCHEMA} realmlab={__version__}",
            "           0 1 realm EL2  rmi.return         fid=0x1 cmd=REALM_CREATE status=RMI_SUCCESS index=0 "
            "results=[0x0 0x1] failed=None",
            "           0 -            console.write      device=uart text='two words\\n' size=0xa",
        ]

    def test_colour(self) -> None:
        """With colour the same words stand between escape codes."""
        listing = Listing()
        fault = FaultGpf(pa=0x1000, va=0, pc=0, esr=0, access="READ", pas=1, level=1)
        Trace(listing).emit(fault, pe=PE)
        assert "\x1b[31mfault.gpf" in render(listing[1], colour=True)

    def test_counts(self) -> None:
        """Counts gives calls by name."""
        counts = Counts()
        trace = Trace(counts)
        trace.emit(RmiCall(fid=1, cmd="REC_ENTER", args={}))
        trace.emit(RmiReturn(fid=1, cmd="REC_ENTER", status="SUCCESS", index=0, results={}, failed=None))
        assert counts.events == {"trace.start": 1, "rmi.call": 1, "rmi.return": 1}
        assert counts.commands == {"REC_ENTER": 1}
