"""Plain command lines of ``realmlab run`` are read without typer, and mean what typer would have made of them."""

import random
import subprocess
import sys
from typing import Any

import pytest
from msgspec import structs
from typer.exceptions import TyperException
from typer.main import get_command

from cca_tools.cli import main, run
from cca_tools.cli.commands import app
from cca_tools.cli.plain import plain
from cca_tools.cli.run import Line, World

COMMAND: Any = get_command(app)
FLAGS = {
    flag: one for one in COMMAND.commands["run"].params if one.param_type_name == "option" for flag in one.opts
}  # fmt: skip
VALUES = ["0", "7", "64M", "1.5", "2.50", "realm", "ns-el2", "a=b", "0x10", "", "-", "é", "x" * 50]
STRANGE = ["01", "1_0", " 1", "1 ", "+1", "-1", "1e3", "nan", "9" * 19, "٣", "NS-EL2", "--", "--vcpus", "-q", "-x"]
FREE = ["hello", "data.bin@0x90000000", "-", "a b", "", "console=hvc0"]


def by_typer(words: list[str]) -> Line | None:
    """What typer makes of a line; None if it is wrong."""
    lines: list[Line] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "run", lambda line: lines.append(line) or 0)
        try:
            COMMAND(words, prog_name="realmlab", standalone_mode=False)
        except TyperException:
            return None
    return lines[0] if lines else None


def told(line: Line | None) -> object:
    """A line, comparable: a list or a tuple of arguments is the same."""
    return line and structs.replace(line, args=list(line.args))


def words(chosen: random.Random) -> list[str]:
    """A line of ``run``, more often right than wrong."""
    made: list[list[str]] = [[one] for one in chosen.sample(FREE, chosen.randint(0, 3))]
    for flag in chosen.sample([*FLAGS, "--help", "--nothing", "-"], chosen.randint(0, 4)):
        value = chosen.choice(VALUES if chosen.random() < 0.9 else STRANGE)
        single = flag not in FLAGS or FLAGS[flag].is_flag
        if single == (chosen.random() < 0.95):
            made.append([flag])
        else:
            made.append(chosen.choice([[flag, value], [f"{flag}={value}"]]))
        made += [made[-1]] if chosen.random() < 0.1 else []
    chosen.shuffle(made)
    made += [["--", *chosen.sample([*FREE, *STRANGE], 2)]] if chosen.random() < 0.2 else []
    return ["run", *(word for part in made for word in part)]


class TestAgreement:
    """Two readers, one meaning."""

    def test_random(self) -> None:
        """Whatever is read without typer is what typer reads; every option is read so."""
        chosen, seen = random.Random(12), set[str]()
        for _ in range(2500):
            line = words(chosen)
            found = plain(line)
            if found is not None:
                assert told(found) == told(by_typer(line)), line
                seen |= {word.partition("=")[0] for word in line if word.startswith("-")}
        assert set(FLAGS) <= seen

    @pytest.mark.parametrize("flag", FLAGS)
    def test_options(self, flag: str) -> None:
        """Each option with a value that it may have, in both forms."""
        one = FLAGS[flag]
        kind = getattr(one.type_descriptor.annotation, "__name__", "")
        value = {"World": "ns-el2", "float": "1.5"}.get(kind, "3")
        forms = [[flag]] if one.is_flag else [[flag, value], [f"{flag}={value}"]]
        for form in forms:
            line = ["run", "hello", *form, "--", "--vcpus", "7"]
            assert plain(line) is not None and told(plain(line)) == told(by_typer(line))

    @pytest.mark.parametrize(
        "line",
        [
            ["version"], ["run"], ["run", "--help"], ["run", "hello", "--help"], ["run", "hello", "--vcpus"],
            ["run", "hello", "--vcpus", "two"], ["run", "hello", "--vcpus", "-1"], ["run", "hello", "--vcpus", "1_0"],
            ["run", "hello", "--world", "mars"], ["run", "hello", "--quiet=1"], ["run", "hello", "--vcpu", "2"],
            ["run", "hello", "-qq"], ["run", "hello", "--max-insns", "1", "--max-insns", "2"], [],
        ],
    )  # fmt: skip
    def test_left_to_typer(self, line: list[str]) -> None:
        """What is unusual or wrong is left to typer, which says what is wrong."""
        assert plain(line) is None

    def test_line(self) -> None:
        """A line, as it is understood."""
        assert plain(["run", "-q", "a.elf", "--world", "ns-el2", "--uart=1=x", "--uart", "y", "--", "-b@1"]) == Line(
            payload="a.elf", args=["-b@1"], world=World.NS_EL2, quiet=True, given={"uart": ["1=x", "y"]}
        )


class TestWithout:
    """What a plain run does not load."""

    def test_run(self) -> None:
        """A run in a Realm needs no compiler, no arrays, no parser of command lines, ELF sections and traces."""
        heavy = [
            "numba", "numpy", "lief", "structlog", "rich", "elftools", "typer", "pydantic", "subprocess", "difflib",
        ]  # fmt: skip
        script = (
            "import sys; from cca_tools.cli import main; status = main(['run', 'hello', '-q']); "
            f"print('loaded', status, *(name for name in {heavy!r} if name in sys.modules))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True,
            env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        )  # fmt: skip
        assert done.stdout.splitlines()[-1] == "loaded 0"

    def test_exit(self, tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """A device module that exits ends the command with its words, as it always did."""
        module = tmp_path / "leave.py"
        module.write_text("import sys\nsys.exit('not today')\n")
        assert plain(["run", "hello", "--device-module", str(module)]) is not None
        assert main(["run", "hello", "--device-module", str(module)]) in (1, 2)
        assert "not today" in capsys.readouterr().err
