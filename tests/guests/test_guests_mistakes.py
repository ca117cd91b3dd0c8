"""A hundred mistakes that beginners make: the first line of the message names the cause."""

import json
import re
from pathlib import Path

import pytest
from mistakes import OFF, Command, Mistake, Use, realm
from mistakes_calls import CALLS
from mistakes_host import HOST, STEPS, host
from mistakes_images import IMAGES
from mistakes_interrupts import INTERRUPTS, timer
from mistakes_memory import MEMORY
from mistakes_start import START, mmu
from mistakes_tools import TOOLS

from cca_tools.cli import main
from cca_tools.reference.messages import find

ROWS = (*IMAGES, *START, *CALLS, *MEMORY, *INTERRUPTS, *HOST, *TOOLS)
MISTAKES = {row.name: row for row in ROWS}
OPEN: dict[str, str] = {
    "stack-misaligned": "SP alignment faults are not modelled: the program works here",
    "floating-point": "CPACR_EL1.FPEN is not modelled: the program works here",
    "no-isb": "a write to SCTLR_EL1 takes effect at once: the program works here",
}
"""Mistakes whose message does not name the cause, and why."""


def first_line(mistake: Mistake, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The first line of the message; empty if there is none."""
    if isinstance(mistake.act, Use):
        try:
            message = mistake.act.call()
        except Exception as error:
            message = str(error)
    else:
        main(mistake.act(folder))
        message = next((line for line in capsys.readouterr().err.splitlines() if line.startswith("realmlab: ")), "")
    return next(iter(message.splitlines()), "")


def row(name: str) -> object:
    """A parameter of the test: an open mistake fails, for its reason."""
    return pytest.param(name, marks=[pytest.mark.xfail(reason=OPEN[name])] if name in OPEN else [])


@pytest.mark.parametrize("name", [row(name) for name in MISTAKES])
def test_cause(name: str, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]) -> None:
    """The first line of the message names the cause of the mistake."""
    mistake = MISTAKES[name]
    folder = tmp_path_factory.mktemp("files")
    line = first_line(mistake, folder, capsys).replace(str(folder), "")
    missing = [words for words in mistake.cause if not re.search(words, line, re.IGNORECASE)]
    assert not missing, f"who {mistake.story} reads: {line or 'nothing'}"
    assert find(line.removeprefix("realmlab: ")) is not None, f"the page of messages does not explain: {line}"


def test_hundred() -> None:
    """There are a hundred different mistakes, and at most ten of them are open."""
    assert len(ROWS) == len(MISTAKES) == len({mistake.story for mistake in ROWS}) == 100
    assert len(OPEN) <= 10
    assert OPEN.keys() <= MISTAKES.keys()


@pytest.mark.parametrize("program", [realm(timer()), realm(mmu())], ids=["timer", "stage 1"])
def test_without(program: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The programs that rows spoil turn the system off when they have no mistake."""
    assert main(program(tmp_path)) == 0


def test_host_without(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No call of the host that rows spoil is refused when it makes no mistake."""
    trace = tmp_path / "trace.jsonl"
    assert main([*host(end=OFF)(tmp_path), "--trace", str(trace)]) == 0
    returns = [record for record in map(json.loads, trace.read_text().splitlines()) if record["event"] == "rmi.return"]
    assert {record["status"] for record in returns} == {"SUCCESS"} and len(returns) == len(STEPS)
