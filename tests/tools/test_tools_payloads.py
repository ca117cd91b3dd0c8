"""The bundled payloads: what `realmlab payloads` says of each holds, and each is refused where it cannot run."""

import json
import shlex

import pytest

from cca_tools.cli import main
from realmlab.bundled import BUNDLED, PLACES
from realmlab.images import parse_image
from realmlab.payloads import find_payload, payload_names

ENDS = {"spin": 4, "idle": 3, "stackoverflow": 3, "jump": 3, "lost": 3}
"""The statuses of those that do not end with 0."""
LONG = {"board", "board_virt", "memory", "compute"}
"""What other tests run, because it takes long."""


class TestTable:
    """One row for each file."""

    def test_complete(self) -> None:
        """Every payload that is there has a row, and every row a payload."""
        assert payload_names() == sorted(BUNDLED)
        assert all(find_payload(name).is_file() for name in BUNDLED)

    def test_text(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The list has each payload under its world, with what it shows and how to run it."""
        assert main(["payloads"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line for line in lines if not line.startswith(" ")] == [f"{place}:" for place in PLACES.values()]
        for name, row in BUNDLED.items():
            at = next(number for number, line in enumerate(lines) if line.split()[0] == name)
            assert row.shows in lines[at] and row.args in lines[at] and lines[at + 1].strip() == row.command(name)

    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        """JSON has the same facts."""
        assert main(["payloads", "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)
        assert {row["name"]: (row["world"], row["shows"], row["command"]) for row in rows} == {
            name: (row.world, row.shows, row.command(name)) for name, row in BUNDLED.items()
        }


class TestCommands:
    """The command of each row does what the row says."""

    @pytest.mark.parametrize("name", sorted(BUNDLED.keys() - LONG))
    def test_run(self, name: str, capfd: pytest.CaptureFixture[str]) -> None:
        """It runs to its end, and finds nothing wrong."""
        words = shlex.split(BUNDLED[name].command(name))
        assert words[:2] == ["realmlab", "run"]
        assert main([*words[1:], "-q"]) == ENDS.get(name, 0)
        assert "FAIL" not in capfd.readouterr().out

    @pytest.mark.parametrize("name", sorted(BUNDLED))
    def test_wrong_world(self, name: str, capfd: pytest.CaptureFixture[str]) -> None:
        """In another world it is refused with the command that runs it."""
        row = BUNDLED[name]
        for world, arguments in {"realm": [name], "ns-el2": [name, "--world", "ns-el2"]}.items():
            if world == row.world:
                continue
            assert main(["run", *arguments]) == 2
            assert row.command(name) in capfd.readouterr().err
        if row.world != "secure":
            assert main(["run", "ns_rmi", "--world", "ns-el2", "--secure", name]) == 2
            assert f"payload {name!r} must run" in capfd.readouterr().err

    @pytest.mark.parametrize("name", ["board", "board_virt"])
    def test_needs(self, name: str, capfd: pytest.CaptureFixture[str]) -> None:
        """One that needs an option says so, with the command, before it runs."""
        assert main(["run", name, "--world", "ns-el2"]) == 2
        assert f"must have --nonvolatile: {BUNDLED[name].command(name)}" in capfd.readouterr().err.replace(
            "must have --board and --nonvolatile", "must have --nonvolatile"
        )

    def test_data(self) -> None:
        """With an address, a payload of another world is data for an image that uses it."""
        assert parse_image("hello@0x90000000").data == find_payload("hello").read_bytes()
