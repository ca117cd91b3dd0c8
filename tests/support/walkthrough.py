"""Follows a page of the documents as a reader does: writes its files, types its commands, compares what it shows.

A code block after a line that ends with ``Write `PATH`:`` is a new file, after ``Replace `PATH`:`` one in place of
another. In a block of ``console``, a line that begins with ``$`` is a command; the lines below are what it prints, to
stdout and stderr. There ``...`` stands for any text, and alone in a line for any lines.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["Command", "File", "follow", "steps"]

_BLOCK = re.compile(r"^(?P<before>[^\n]*)\n+```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"(?P<how>Write|Replace) `(?P<path>[^`]+)`:$")
_SECONDS = 300


class File(NamedTuple):
    """A file that the page shows."""

    path: str
    text: str
    replaces: bool


class Command(NamedTuple):
    """A command that the page shows, and what it prints there."""

    text: str
    output: str


def steps(page: Path) -> Iterator[File | Command]:
    """What a reader of the page does, in order."""
    for block in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        named = _NAMED.search(block["before"])
        if named is not None:
            yield File(named["path"], block["text"], named["how"] == "Replace")
        elif block["language"] == "console":
            yield from _commands(block["text"])


def _commands(text: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield Command(command, output)


def follow(page: Path, folder: Path, environment: Mapping[str, str], cc: str | None = None) -> int:
    """Take every step of the page in ``folder``; returns how many there were. ``cc`` is what builds get as --cc."""
    count = 0
    for step in steps(page):
        count += 1
        if isinstance(step, File):
            path = folder / step.path
            assert path.exists() == step.replaces, f"{page.name}: {step.path}"
            path.write_text(step.text, encoding="utf-8")
        else:
            _run(page, step, folder, environment, cc)
    return count


def _run(page: Path, step: Command, folder: Path, environment: Mapping[str, str], cc: str | None) -> None:
    text = f"{step.text} --cc {cc}" if cc and step.text.startswith("realmlab build") else step.text
    done = subprocess.run(
        ["sh", "-c", text], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=_SECONDS, check=False,
    )  # fmt: skip
    assert re.fullmatch(_pattern(step.output), done.stdout, re.DOTALL), (
        f"{page.name}: $ {text}\n{done.stdout}\nis not\n{step.output}"
    )
    assert done.returncode == 0, f"{page.name}: $ {text} ended with status {done.returncode}\n{done.stdout}"


def _pattern(output: str) -> str:
    """The regular expression of what a command prints."""
    whole = re.sub(r"^\\\.\\\.\\\.\\\n", "(?:[^\n]*\n)*?", re.escape(output), flags=re.MULTILINE)
    return whole.replace(r"\.\.\.", "[^\n]*")
