"""The event stream: what a record holds, what it costs, and what happens when it cannot be written."""

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cca_arch.types import Pas, SecurityState
from cca_platform.errors import MachineError
from cca_platform.trace.sinks import Console, Counts, JsonLines, Listing, render
from cca_platform.trace.trace import EVENTS, Trace

PE: Any = SimpleNamespace(index=1, security=SecurityState.REALM, el=2)


class TestRecords:
    """A record starts with sequence number, time, place and name, and holds only the catalogue's fields."""

    def test_head(self) -> None:
        """The head names time, PE, world and EL; seq counts from 0."""
        listing = Listing()
        trace = Trace(listing)
        trace.clock = lambda: 77
        trace.emit("rec.enter", pe=PE, rec=0x8801000)
        trace.emit("run.stop", reason="system off", status=0)
        assert list(listing[0].items()) == [
            ("seq", 0),
            ("time", 77),
            ("pe", 1),
            ("world", "realm"),
            ("el", 2),
            ("event", "rec.enter"),
            ("rec", "0x8801000"),
        ]
        assert listing[1] == {
            "seq": 1, "time": 77, "pe": None, "world": None, "el": None,
            "event": "run.stop", "reason": "system off", "status": 0,
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            (0x80000000, "0x80000000"),
            (2**64 - 1, "0xffffffffffffffff"),
            ([1, 2], ["0x1", "0x2"]),
            ({"rd": 16, "pas": Pas.REALM}, {"rd": "0x10", "pas": "REALM"}),
            (b"\x01\xff", "01ff"),
            (Pas.ROOT, "ROOT"),
            (None, None),
            ("text", "text"),
        ],
    )
    def test_words(self, value: Any, written: Any) -> None:
        """Addresses are hexadecimal, enumerations names, bytes digits."""
        listing = Listing()
        Trace(listing).emit("rmi.call", args=value)
        assert listing[0]["args"] == written

    def test_numbers(self) -> None:
        """A level is a number."""
        listing = Listing()
        Trace(listing).emit("rtt.edit", level=3, ipa=0x1000)
        assert (listing[0]["level"], listing[0]["ipa"]) == (3, "0x1000")

    def test_fid(self) -> None:
        """A FID is a number even where the emitter has the name."""
        listing = Listing()
        Trace(listing).emit("smc.call", fid=Pas.REALM, name="REALM")
        assert (listing[0]["fid"], listing[0]["name"]) == ("0x3", "REALM")

    def test_unknown_event(self) -> None:
        """An event that is not in the catalogue is a mistake of the emitter."""
        with pytest.raises(ValueError, match=r"must be one of the catalogue, not 'rmi\.coll'"):
            Trace(Listing()).emit("rmi.coll")

    def test_unknown_field(self) -> None:
        """A field that is not in the catalogue is a mistake of the emitter."""
        with pytest.raises(ValueError, match=r"a field of trace event gpt\.change must be one of .*, not 'colour'"):
            Trace(Listing()).emit("gpt.change", colour=3)

    def test_catalogue(self) -> None:
        """Every row says what it means; no field hides one of the head."""
        for name, row in EVENTS.items():
            assert row.meaning and not set(row.fields) & {"seq", "time", "pe", "world", "el", "event"}, name


class TestSwitch:
    """Off, a trace keeps nothing; on and off again, the sequence has no holes."""

    def test_off(self) -> None:
        """Without a sink nothing happens."""
        trace = Trace()
        trace.emit("run.start")
        assert not trace.on and trace.seq == 0

    def test_paused(self) -> None:
        """Nothing is emitted inside ``paused``."""
        listing = Listing()
        trace = Trace(listing)
        with trace.paused():
            trace.emit("run.start")
        trace.emit("run.stop")
        assert [(r["seq"], r["event"]) for r in listing] == [(0, "run.stop")]

    def test_processors(self) -> None:
        """A structlog processor can drop events."""
        import structlog

        def only_gpt(logger: object, method: str, record: Any) -> Any:
            if not record["event"].startswith("gpt."):
                raise structlog.DropEvent
            return record

        listing = Listing()
        trace = Trace(listing, processors=(only_gpt,))
        trace.emit("run.start")
        trace.emit("gpt.change", pa=0)
        assert [r["event"] for r in listing] == ["gpt.change"]


class TestFile:
    """A trace file holds whole lines, or the user hears why not."""

    def test_lines(self, tmp_path: Path) -> None:
        """Each line is one JSON object; many chunks lose nothing."""
        path = tmp_path / "t.jsonl"
        trace = Trace(JsonLines(path))
        for number in range(5000):
            trace.emit("granule.transition", pe=PE, pa=number << 12, old="UNDELEGATED", new="DELEGATED")
        trace.close()
        lines = path.read_text().splitlines()
        assert [json.loads(line)["seq"] for line in lines] == list(range(5000))

    def test_unwritable(self, tmp_path: Path) -> None:
        """A file that cannot be opened is an error before anything runs."""
        with pytest.raises(MachineError, match=r"must be writable, not .*No such file or directory.*`trace`"):
            JsonLines(tmp_path / "missing" / "t.jsonl")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    def test_disk_full(self) -> None:
        """A full disk does not disturb the run; closing tells how much was kept."""
        trace = Trace(JsonLines("/dev/full"), kept := Listing())
        for _ in range(5000):
            trace.emit("run.start")
        with pytest.raises(MachineError, match=r"not only its first 0 events \(No space left on device\): free some"):
            trace.close()
        assert len(kept) == 5000


class TestPeople:
    """A person reads one line an event."""

    def test_plain(self) -> None:
        """Without colour the line has no escape codes."""
        stream = io.StringIO()
        trace = Trace(Console(stream))
        trace.emit("rmi.return", pe=PE, cmd="REALM_CREATE", status="RMI_SUCCESS", results=[0, 1])
        trace.emit("console.write", text="two words\n")
        trace.close()
        assert stream.getvalue().splitlines() == [
            "           0 1 realm EL2  rmi.return         cmd=REALM_CREATE status=RMI_SUCCESS results=[0x0 0x1]",
            "           0 -            console.write      text='two words\\n'",
        ]

    def test_colour(self) -> None:
        """With colour the same words stand between escape codes."""
        listing = Listing()
        Trace(listing).emit("fault.gpf", pe=PE, pa=0x1000)
        assert "\x1b[31mfault.gpf" in render(listing[0], colour=True)

    def test_counts(self) -> None:
        """Counts gives calls by name."""
        counts = Counts()
        trace = Trace(counts)
        trace.emit("rmi.call", cmd="REC_ENTER")
        trace.emit("rmi.return", cmd="REC_ENTER")
        assert counts.events == {"rmi.call": 1, "rmi.return": 1} and counts.commands == {"REC_ENTER": 1}
