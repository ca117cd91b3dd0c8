"""`realmlab trace show`: the head of a trace says whether its events mean what this Realmlab shows."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca_platform.trace.events import SCHEMA, SystemReset
from cca_platform.trace.sinks import JsonLines, render
from cca_platform.trace.trace import Trace
from cca_tools.cli import main


@pytest.fixture
def lines(tmp_path: Path) -> list[str]:
    """The lines of a trace file: its head and an event."""
    path = tmp_path / "run.jsonl"
    trace = Trace(JsonLines(path))
    trace.emit(SystemReset(reason="watchdog"))
    trace.close()
    return path.read_text().splitlines()


def show(folder: Path, *lines: str) -> int:
    """The status of showing a trace of these lines."""
    path = folder / "shown.jsonl"
    path.write_text("".join(line + "\n" for line in lines))
    return main(["trace", "show", str(path)])


class TestHead:
    def test_this_version(self, lines: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The head is shown as the first line, then come the events."""
        assert show(tmp_path, *lines) == 0
        words = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert words[0][2:4] == ["trace.start", f"schema={SCHEMA}"]
        assert words[1][2:4] == ["system.reset", "reason=watchdog"]

    def test_another_version(self, lines: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A trace by another catalogue is refused, with who can read it."""
        head = {**json.loads(lines[0]), "schema": SCHEMA + 1, "realmlab": "9.0"}
        assert show(tmp_path, json.dumps(head), lines[1]) == 2
        output = capsys.readouterr()
        assert f"version {SCHEMA} of the catalogue, not {SCHEMA + 1}: read it with Realmlab '9.0'" in output.err
        assert "system.reset" not in output.out

    def test_without(self, lines: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A part of a trace, as jq cuts it out, is shown as it is."""
        assert show(tmp_path, lines[1]) == 0
        assert "reason=watchdog" in capsys.readouterr().out


PLACE = {"seq": 0, "time": 0, "pe": 0, "world": "realm", "el": 1}
NAMES = ["rmi.call", "rmi.return", "rsi.call", "rmi", "rmix.call", "x.rmi.call", "rec.exit", "fault.rmi"]


class TestEvent:
    @pytest.mark.parametrize(
        ("prefix", "shown"),
        [
            ("rmi.call", ["rmi.call"]),
            ("rmi.", ["rmi.call", "rmi.return"]),
            ("rmi", ["rmi.call", "rmi.return", "rmi", "rmix.call"]),
            ("call", []),
            ("RMI", []),
            ("r", ["rmi.call", "rmi.return", "rsi.call", "rmi", "rmix.call", "rec.exit"]),
            ("", NAMES),
        ],
    )
    def test_prefix(self, prefix: str, shown: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """`--event` names how an event's name begins; what is in its middle, or in a field, does not count."""
        path = tmp_path / "events.jsonl"
        records = [{**PLACE, "event": name, "cmd": "rmi.call", prefix or "x": prefix} for name in NAMES]
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        assert main(["trace", "show", str(path), "--event", prefix]) == 0
        assert [line.split()[4] for line in capsys.readouterr().out.splitlines()] == shown


CHOICE: list[dict[str, Any]] = [
    {"seq": seq, "time": time, "pe": pe, "world": world, "el": 2, "event": event}
    for seq, (time, pe, world, event) in enumerate(
        [
            (0, 0, "ns", "rmi.call"), (5, 0, "realm", "rmi.return"), (5, 1, "realm", "rec.enter"),
            (9, 1, "realm", "rec.exit"), (12, 2, "root", "fault.gpf"), (None, None, None, "run.note"),
        ]
    )
]  # fmt: skip


class TestChoice:
    """Criteria of one kind add up, of several kinds restrict each other."""

    @pytest.mark.parametrize(
        ("options", "shown"),
        [
            ([], [0, 1, 2, 3, 4, 5]),
            (["--event", "rec.", "--event", "fault"], [2, 3, 4]),
            (["--pe", "1", "--pe", "2"], [2, 3, 4]),
            (["--since", "5"], [1, 2, 3, 4]),
            (["--until", "5"], [0, 1, 2]),
            (["--since", "5", "--until", "9", "--pe", "1"], [2, 3]),
            (["--world", "root", "--world", "ns"], [0, 4]),
            (["--event", "rmi", "--world", "realm"], [1]),
            (["--pe", "7"], []),
        ],
    )
    def test_options(
        self, options: list[str], shown: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A record without a time or a PE is shown only if none is asked for."""
        path = tmp_path / "events.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in CHOICE))
        assert main(["trace", "show", str(path), *options]) == 0
        names = [record["event"] for record in CHOICE]
        assert capsys.readouterr().out.splitlines() == [render(CHOICE[number]) for number in shown], names

    def test_stdin(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """A file named - is stdin."""
        text = json.dumps(CHOICE[0]) + "\n"
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert main(["trace", "show", "-"]) == 0
        assert capsys.readouterr().out == render(CHOICE[0]) + "\n"


class TestNotes:
    """What numbers mean follows after the record."""

    def show(self, capsys: pytest.CaptureFixture[str], path: Path, *options: str) -> list[str]:
        assert main(["trace", "show", str(path), *options]) == 0
        return capsys.readouterr().out.splitlines()

    def test_syndrome(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A syndrome is explained; one that is 0 or no number is left alone."""
        records = [{**PLACE, "event": "rec.exit", "esr": esr} for esr in ("0x92000007", "0x0", "", "0xz", 5, None)]
        path = tmp_path / "events.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        first, *others = self.show(capsys, path)
        assert first.endswith(" esr=0x92000007  # data abort from a lower level: translation fault, level 3, on a read")
        assert not any("#" in line for line in others)

    def test_symbols(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """With the payload, instructions have the names of their functions."""
        path = tmp_path / "run.jsonl"
        assert main(["run", "hello", "-q", "--trace", str(path)]) == 0
        capsys.readouterr()
        exits = self.show(capsys, path, "--event", "rec.exit", "--symbols", "hello")
        assert exits and all("pc is " in line for line in exits if " pc=" in line)
        assert not any("pc is" in line for line in self.show(capsys, path, "--event", "rec.exit"))

    def test_no_symbols(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """What has none is refused."""
        for name, message in (("none.elf", "does not exist"), (str(tmp_path), "is a directory")):
            assert main(["trace", "show", "-", "--symbols", name]) == 2
            assert message in capsys.readouterr().err


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.dictionaries(st.sampled_from([*PLACE, "event", "schema"]) | st.text(max_size=4), JSON, max_size=8)


class TestOtherTools:
    """JSON lines that are no trace are refused with status 2; nothing of theirs reaches the terminal as it is."""

    @pytest.mark.parametrize("name", ["event", *PLACE])
    @pytest.mark.parametrize("value", [[1], {}, 1.5, {"a": 1}])
    def test_types(self, name: str, value: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Each of the fields that every record has is what it must be; the message says which line and which field."""
        good = {**PLACE, "event": "rec.exit"}
        assert show(tmp_path, json.dumps(good), json.dumps(good | {name: value})) == 2
        output = capsys.readouterr()
        assert f"not what line 2 has ({name}: must be " in output.err
        assert len(output.out.splitlines()) == 1

    def test_no_event(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A record without a name is none."""
        assert show(tmp_path, '{"level": "info", "time": 7}') == 2
        assert "not what line 1 has (a line must have the key 'event': text)" in capsys.readouterr().err

    def test_deep(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A line of too many levels is an error like others."""
        assert show(tmp_path, '{"a":' * 100_000) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1 and "lists and tables must not lie so deep in each other" in told

    @given(record=RECORDS)
    def test_render(self, record: dict[str, Any]) -> None:
        """Whatever a record holds, it is one line that a terminal can be given."""
        assert render(record).isprintable()
        assert "\n" not in render(record, colour=True)

    @given(lines=st.lists(RECORDS.map(json.dumps) | JSON.map(json.dumps) | st.text(max_size=20), max_size=3))
    def test_garbage(self, lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
        """Whatever the lines of a file hold: shown, or refused."""
        folder = tmp_path_factory.mktemp("garbage")
        path = folder / "shown.jsonl"
        path.write_bytes("".join(line + "\n" for line in lines).encode(errors="surrogatepass"))
        assert main(["trace", "show", str(path)]) in (0, 2)
