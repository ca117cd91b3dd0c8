"""A hundred mistakes that beginners make: the first line of the message names the cause."""

import re
from pathlib import Path

import pytest
from mistakes import Mistake, Use
from mistakes_calls import CALLS
from mistakes_host import HOST
from mistakes_images import IMAGES
from mistakes_interrupts import INTERRUPTS
from mistakes_memory import MEMORY
from mistakes_start import START
from mistakes_tools import TOOLS

from cca_tools.cli import main

ROWS = (*IMAGES, *START, *CALLS, *MEMORY, *INTERRUPTS, *HOST, *TOOLS)
MISTAKES = {row.name: row for row in ROWS}
OPEN: dict[str, str] = {}
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
def test_cause(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first line of the message names the cause of the mistake."""
    mistake = MISTAKES[name]
    line = first_line(mistake, tmp_path, capsys)
    missing = [words for words in mistake.cause if not re.search(words, line, re.IGNORECASE)]
    assert not missing, f"who {mistake.story} reads: {line or 'nothing'}"


def test_hundred() -> None:
    """There are a hundred different mistakes, and at most ten of them are open."""
    assert len(ROWS) == len(MISTAKES) == len({mistake.story for mistake in ROWS}) == 100
    assert len(OPEN) <= 10
    assert OPEN.keys() <= MISTAKES.keys()
