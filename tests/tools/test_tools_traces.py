"""`realmlab trace show`: the head of a trace says whether its events mean what this Realmlab shows."""

import json
from pathlib import Path

import pytest

from cca_platform.trace.events import SCHEMA, SystemReset
from cca_platform.trace.sinks import JsonLines
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
