"""An internal error on the command line: one line, a bundle, and a status of its own."""

import json
from pathlib import Path
from typing import Any

import pytest

from cca_tools.cli import BUNDLE, main


@pytest.fixture
def broken(monkeypatch: Any, tmp_path: Path) -> Path:
    """A model that goes wrong as soon as it runs code; the directory where the command is given."""
    monkeypatch.setattr("cca_platform.pe.running._step", {}.__getitem__)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("world", ["realm", "ns-el2"])
def test_bundle(broken: Path, capsys: Any, world: str) -> None:
    """The line names the file, which is JSON and tells the command."""
    payload = "hello" if world == "realm" else "ns_enter"
    assert main(["run", "--world", world, payload]) == 70
    error = capsys.readouterr().err
    assert "internal error: TypeError" in error and BUNDLE in error and "Traceback" not in error
    assert json.loads((broken / BUNDLE).read_bytes())["bundle"] == 1


def test_without_a_machine(monkeypatch: Any, tmp_path: Path, capsys: Any) -> None:
    """So is what goes wrong where there is no machine yet, in any command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("realmlab.attest.source.extract", {}.__getitem__)
    (tmp_path / "token").write_bytes(b"x")
    assert main(["attest", "show", "token"]) == 70
    error = capsys.readouterr().err
    assert error.startswith("realmlab: internal error: KeyError") and error.count("\n") == 1
    told = json.loads((tmp_path / BUNDLE).read_bytes())
    assert told["bundle"] == 1 and "source" in "".join(told["traceback"])


def test_no_room(broken: Path, capsys: Any) -> None:
    """A bundle that cannot be written says so."""
    (broken / BUNDLE).mkdir()
    assert main(["run", "hello"]) == 70
    assert "cannot be written" in capsys.readouterr().err
