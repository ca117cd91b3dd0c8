"""What the documents show works as it stands."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from sphinx.search.en import SearchEnglish

from cca_tools.cli.commands import app

_ROOT = Path(__file__).resolve().parents[2]
_DOCUMENTS = [_ROOT / "README.md", _ROOT / "CONTRIBUTING.md", *sorted((_ROOT / "docs").rglob("*.md"))]
_GUIDES = [path for path in _DOCUMENTS if path.parent.name != "reference"]
_SEARCHED = (
    "RsiHostCall", "RsiRealmConfig", "RmiRecRun", "RIPAS", "HIPAS", "PAS", "RSI_ERROR_INPUT", "MPIDR_EL1", "ipa_width",
    "RSI_IPA_STATE_SET", "CPACR_EL1", "alias", "PSTATE", "SCTLR_EL1", "INTID", "GICR_ISENABLER0", "0x524c", "NEON",
)  # fmt: skip
"""Words that a reader of the site searches for."""
_PATHS = [str(_ROOT / folder) for folder in ("platform", "firmware", "rmm", "host", "tools")]


def _blocks(path: Path, language: str) -> list[str]:
    """The code blocks of a document in one language."""
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


_PROGRAMS = [
    pytest.param(text, id=f"{path.name}-{number}")
    for path in _GUIDES
    if path.parent.name != "recipes"  # test_tools_recipes follows those
    for number, text in enumerate(_blocks(path, "python"))
    if "import realmlab" in text
]


def _typed(path: Path) -> list[str]:
    """The lines with commands in the blocks that show a terminal."""
    return [line for block in _blocks(path, "console") for line in re.findall(r"^\$ (.*)$", block, re.MULTILINE)]


def _commands(text: str) -> list[list[str]]:
    """The words of each ``realmlab`` command in a shell block; continued lines, pipes and lists are taken apart."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        starts = [at for at, word in enumerate(words) if word.endswith("realmlab")]
        for start in starts:
            rest = words[start + 1 :]
            ends = [at for at, word in enumerate(rest) if word in {"|", "||", "&&", ";", ">"}]
            ends += [at + 1 for at, word in enumerate(rest) if word.endswith(")")]
            found.append([word.removesuffix(")") for word in rest[: min(ends, default=len(rest))]])
    return found


_LINES = [
    pytest.param(words, id=f"{path.name}-{' '.join(words)[:50]}")
    for path in _GUIDES
    for text in (*_blocks(path, "sh"), *_typed(path))
    for words in _commands(text)
]


def _parse(command: Any, words: list[str], parent: Any = None) -> None:
    """What the command line makes of the words, as far as it goes without running anything; raises what it refuses."""
    if hasattr(command, "resolve_command"):
        context = command.make_context(command.name, words[:1], parent=parent, resilient_parsing=True)
        _, inner, rest = command.resolve_command(context, list(words))
        _parse(inner, rest, context)
    else:
        command.make_context(command.name, list(words), parent=parent)


class TestPrograms:
    """Every Python program in the documents."""

    @pytest.mark.parametrize("text", _PROGRAMS)
    def test_runs(self, text: str, tmp_path: Path) -> None:
        """It runs to its end and prints something."""
        code = f"import sys\nsys.path[:0] = {_PATHS!r}\n{text}"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


class TestCommands:
    """Every command line in the documents."""

    def test_are_found(self) -> None:
        """The search sees the commands of a block, also behind a pipe and in a substitution."""
        block = "realmlab run attest -q | realmlab attest verify -  # both\ndiff <(realmlab version) x\n"
        assert _commands(block) == [["run", "attest", "-q"], ["attest", "verify", "-"], ["version"]]
        assert len(_LINES) > 20

    @pytest.mark.parametrize("words", _LINES)
    def test_options(self, words: list[str]) -> None:
        """The command takes the arguments and options."""
        _parse(typer.main.get_command(app), words)

    def test_the_first_hour(self, tmp_path: Path) -> None:
        """The commands of the tutorial, in order, end with the status that it promises."""
        script = tmp_path / "realmlab"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cca_tools "$@"\n')
        script.chmod(0o755)
        here = {**os.environ, "PYTHONPATH": ":".join(_PATHS), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        for text in _blocks(_ROOT / "docs" / "tutorial.md", "sh"):
            done = subprocess.run(
                ["sh", "-e", "-c", text], cwd=tmp_path, env=here, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{text}\n{done.stderr}"


class TestLinks:
    """Links between the documents."""

    @pytest.mark.parametrize("path", _DOCUMENTS, ids=lambda path: path.name)
    def test_targets(self, path: Path) -> None:
        """Every relative link leads to a file."""
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), target


class TestSite:
    """The site that `make docs` builds."""

    def test_builds(self, tmp_path: Path) -> None:
        """Sphinx finds nothing to warn of: no broken link, no page that no table of contents has."""
        done = subprocess.run(
            [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-d", str(tmp_path / "trees"),
             str(_ROOT / "docs"), str(tmp_path / "site")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        page = (tmp_path / "site" / "api.html").read_text(encoding="utf-8")
        assert 'id="realmlab.Machine.run_realm"' in page
        text = (tmp_path / "site" / "searchindex.js").read_text(encoding="utf-8")
        index = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))
        found = index["terms"].keys() | index["titleterms"].keys()
        assert not {word for word in _SEARCHED if SearchEnglish({}).stem(word.lower()) not in found}
