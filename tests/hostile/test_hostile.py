"""Hostile files, command lines and surroundings end as documented; ``make hostile`` runs them all.

A slice runs here. The oracle is tested first: what it must see is planted.
"""

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hostile_process
import pytest
from hostile_case import ENDS, Case, Sparse, ends, line
from hostile_kinds import KINDS, make
from hostile_line import commands
from hostile_process import CPU_SECONDS, MEGABYTES, Ended, play, ready, run
from hostile_report import Table, keep, smaller
from hostile_verdict import complaints

from cca_platform import userfiles

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what a process takes is measured on Linux")

SLICE = {
    "elf": 10, "image": 6, "board": 14, "policy": 6, "token": 12, "key": 4, "trace": 8, "dtb": 4, "kept": 4, "disk": 6,
    "console": 4,
    "module": 5, "code": 6, "line": 24, "project": 6, "figures": 3, "special": 20, "extension": 8, "environment": 0,
    "cache": 0,
}  # fmt: skip
"""How many of each kind run here; those that need a process of their own take most of a second each."""
ORDINARY = Ended(0, b"", b"", 0.1, 100, frozenset(), frozenset())
TOKEN = Case("token", 0, line("attest", "show", "t"), {"t": b"x"}, frozenset({0, 2}))


@pytest.fixture(scope="module", autouse=True)
def loaded() -> Iterator[None]:
    """Cases start from a process that has everything loaded."""
    ready()
    yield


class TestOracle:
    """What is no documented end is seen, whatever the status says."""

    @pytest.mark.parametrize(
        ("end", "rule"),
        [
            (ORDINARY._replace(status=-11), "signal"),
            (ORDINARY._replace(status=1), "status"),
            (ORDINARY._replace(status=2), "message"),
            (ORDINARY._replace(status=2, stderr=b"realmlab: a\nrealmlab: b\n"), "message"),
            (ORDINARY._replace(status=2, stderr=b"realmlab: \n"), "message"),
            (ORDINARY._replace(status=2, stderr=b"realmlab: " + b"x" * 5000), "message"),
            (ORDINARY._replace(stderr=b"Traceback (most recent call last):\n"), "python"),
            (ORDINARY._replace(stdout=b"token: list index out of range: IndexError"), "python"),
            (ORDINARY._replace(status=2, stderr=b"realmlab: [Errno 36] too long\n"), "python"),
            (ORDINARY._replace(stdout=b"name \x1b[2J"), "raw"),
            (ORDINARY._replace(stdout="\u202e".encode()), "raw"),
            (ORDINARY._replace(stdout=b"\xff"), "raw"),
            (ORDINARY._replace(made=frozenset({"realmlab-internal-error.json"})), "left"),
            (ORDINARY._replace(altered=frozenset({"t"})), "altered"),
            (ORDINARY._replace(megabytes=MEGABYTES + 1), "memory"),
            (ORDINARY._replace(seconds=CPU_SECONDS + 1), "time"),
            (ORDINARY._replace(status=-9, killed="it did not end"), "ended"),
        ],
    )
    def test_rules(self, end: Ended, rule: str) -> None:
        """Each rule is broken by what is made to break it, and by nothing else."""
        assert complaints(TOKEN, ORDINARY) == []
        assert [one.partition(":")[0] for one in complaints(TOKEN, end)] == [rule]

    def test_guest(self) -> None:
        """The console of a guest is its own; messages are not."""
        run = TOKEN._replace(argv=line("run", "hello"), raw=True)
        assert complaints(run, ORDINARY._replace(stdout=b"\x1b[2J Traceback (most recent call last)")) == []
        assert complaints(run, ORDINARY._replace(stderr=b"\x1b[2J")) != []

    @pytest.mark.parametrize(
        ("words", "statuses", "raw"),
        [
            (("run", "hello"), frozenset(range(256)), True),
            (("run", "hello", "--json"), frozenset(range(256)), False),
            (("run", "--world", "ns-el2", "x"), ENDS["run"], True),
            (("attest", "verify", "t"), frozenset({0, 1, 2}), False),
            (("trace", "show", "t"), frozenset({0, 2}), False),
        ],
    )
    def test_statuses(self, words: tuple[str, ...], statuses: frozenset[int], raw: bool) -> None:
        """The documented statuses are those of the command."""
        assert ends(line(*words)) == (statuses, raw)


class TestProcess:
    """A case runs in a process of its own, and what happens to it is seen."""

    def planted(self, monkeypatch: pytest.MonkeyPatch, act: Any, case: Case = TOKEN) -> list[str]:
        """The rules that a command breaks which does ``act``."""
        monkeypatch.setattr(hostile_process, "_command", lambda _: (act() and 0) or 0)
        return [one.partition(":")[0] for one in complaints(case, play(case))]

    def test_crash(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A signal, an exception, a file that is left or changed, and a hang."""
        monkeypatch.setattr(hostile_process, "_WALL_SECONDS", 0.2)
        assert self.planted(monkeypatch, lambda: None) == []
        assert self.planted(monkeypatch, os.abort) == ["signal"]
        assert self.planted(monkeypatch, lambda: Path("left").write_text("")) == ["left"]
        assert self.planted(monkeypatch, lambda: Path("../tmp/left").write_text("")) == ["left"]
        assert self.planted(monkeypatch, lambda: Path("t").write_text("other")) == ["altered"]
        assert self.planted(monkeypatch, lambda: Path("t").unlink()) == ["altered"]
        assert self.planted(monkeypatch, lambda: print("\x1b[2J")) == ["raw"]
        assert self.planted(monkeypatch, lambda: 1 // 0) == ["status", "python"]
        assert self.planted(monkeypatch, lambda: os.read(os.pipe()[0], 1)) == ["ended"]

    def test_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The peak of memory counts, not what is left of it; a process that takes much more is ended."""
        taken = MEGABYTES << 20
        assert self.planted(monkeypatch, lambda: bytes(b"x" * taken) and None) == ["memory"]

    def test_order(self) -> None:
        """Several run at a time; each is told once, with its own end."""
        cases = [TOKEN._replace(number=number, files={"t": Sparse(number)}) for number in range(4)]
        assert sorted((case.number, end.status) for case, end in run(cases, 2)) == [(number, 2) for number in range(4)]

    def test_keep(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A failure is kept with its files, made smaller, and the command that runs it again."""

        def act(case: Case) -> int:
            return 1 // (b"bad" not in Path("t").read_bytes())

        monkeypatch.setattr(hostile_process, "_command", act)
        case = TOKEN._replace(number=7, files={"t": b"a" * 300 + b"bad" + b"c" * 300})
        end = play(case)
        wrong = complaints(case, end)
        assert len(smaller(case, wrong, play, 40).files["t"]) < 40  # type: ignore[arg-type] # bytes
        keep(case, end, wrong, tmp_path, play, 40)
        assert (tmp_path / "token-7" / "input" / "t").read_bytes() == case.files["t"]
        assert "tests/hostile token:7" in (tmp_path / "token-7" / "about.txt").read_text()

    def test_table(self) -> None:
        """The table has a line for each kind, with its ends."""
        table = Table()
        table.add(TOKEN, ORDINARY, [])
        table.add(TOKEN, ORDINARY._replace(status=2), ["x"])
        assert table.wrong == 1 and "0: 1, 2: 1" in str(table).splitlines()[1]


class TestInputs:
    """Inputs come from their names alone, and reach everything that there is."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_repeatable(self, kind: str) -> None:
        """The input of a name is the same every time, and another than that of the next name."""
        random.seed(1)
        first = make(kind, 3)
        random.seed(2)
        assert make(kind, 3) == first != make(kind, 4)

    def test_every_option(self) -> None:
        """Each option of each command is in some line of a full run, with a value and without."""
        seen = {" ".join(map(os.fsdecode, make("line", number).argv)) for number in range(KINDS["line"].count)}
        for command in commands():
            prefix = " ".join(command.words)
            for option in command.options:
                if option.flags[0].endswith("-completion"):
                    continue
                assert any(text.startswith(prefix) and flag in text for text in seen for flag in option.flags), option

    def test_formats(self) -> None:
        """Each kind of file that a user names has its inputs here."""
        found = {
            "payload": "elf", "image": "image", "dtb": "dtb", "nonvolatile": "kept", "console_input": "console",
            "board": "board", "device_module": "module", "project": "project", "policy": "policy", "cpak": "key",
            "token": "token", "figures": "figures", "page": "line", "trace": "trace",
            "initrd": "line", "kernel_module": "line", "platform_key": "line",
        }  # fmt: skip
        assert found.keys() == userfiles.KINDS.keys()
        assert set(found.values()) <= KINDS.keys()

    def test_slice(self) -> None:
        """Each kind has its part here, or needs a process of its own."""
        assert SLICE.keys() == KINDS.keys()
        assert all(SLICE[kind] or make(kind, 0).spawn for kind in KINDS)


@pytest.mark.parametrize("kind", [kind for kind, count in SLICE.items() if count])
def test_ends(kind: str) -> None:
    """Whatever the input is, the end is one that is documented."""
    wrong = {case.name: found for case, end in run(make(kind, number) for number in range(SLICE[kind]))
             if (found := complaints(case, end))}  # fmt: skip
    assert not wrong
