"""`realmlab bench --linux`: up to the first line of user space, in each place. A payload stands for the kernel."""

import mmap
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from cca_tools.bench.linux import Boot, boot_cells
from cca_tools.bench.took import Took
from cca_tools.cli import main
from realmlab import find_payload

QEMU = """#!/bin/sh
[ "$1" = --version ] && echo "QEMU emulator version 9" && exit
echo "[    0.000000] Booting Linux: $*"
echo "first line"
exec sleep 60
"""

ENDLESS = os.fspath(find_payload("spin"))
"""It says a line and goes on: what it takes can be seen until it is ended."""


@pytest.fixture
def qemu(tmp_path: Path) -> str:
    """A program that behaves as QEMU does, and never ends."""
    path = tmp_path / "qemu"
    path.write_text(QEMU, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return os.fspath(path)


class TestLinux:
    """What is measured, and what is refused."""

    def test_places(self, qemu: str, tmp_path: Path, capsys: Any) -> None:
        """A Realm, a plain VM and QEMU, each with both consoles; the table can stand in a page."""
        page = tmp_path / "page.md"
        kernel = os.fspath(find_payload("hello"))
        assert main(["bench", "--linux", kernel, "--rounds", "1", "--qemu", qemu, "--markdown", os.fspath(page)]) == 0
        shown = capsys.readouterr().out
        for place in ("Realm", "plain VM", "QEMU"):
            for console in ("quiet", "whole log"):
                assert f"{place}, {console}" in shown
        assert page.read_text().startswith("<!-- realmlab bench: linux -->\n| To the first line of user space | CPU |")

    def test_json(self, capsys: Any) -> None:
        """Without QEMU there are two places; seconds are of the CPU and on the wall, memory in MiB."""
        import json

        assert main(["bench", "--linux", ENDLESS, "--rounds", "1", "--json"]) == 0
        boots = json.loads(capsys.readouterr().out)["boots"]
        assert [(boot["place"], boot["console"]) for boot in boots] == [
            (place, log) for place in ("Realm", "plain VM") for log in ("quiet", "whole log")
        ]
        assert all(0 < boot["cpu"] < 60 and boot["wall"] > 0 and 20 < boot["peak"] < 1000 for boot in boots)

    @pytest.mark.skipif(sys.platform != "linux", reason="Linux alone counts a parent's memory with its child's")
    def test_large_parent(self, capsys: Any) -> None:
        """The peak is that of the boot, not of the process that measures it."""
        import json

        large = bytearray(1100 << 20)
        large[:: mmap.PAGESIZE] = bytes(len(large) // mmap.PAGESIZE)
        assert main(["bench", "--linux", ENDLESS, "--rounds", "1", "--json"]) == 0
        assert all(20 < boot["peak"] < 1000 for boot in json.loads(capsys.readouterr().out)["boots"])

    def test_no_user_space(self, tmp_path: Path, capsys: Any) -> None:
        """A kernel that ends before says why."""
        nothing = tmp_path / "nothing.bin"
        nothing.write_bytes(b"")
        assert main(["bench", "--linux", os.fspath(nothing), "--rounds", "1"]) == 2
        assert "`linux` must come to user space, but in the place 'Realm' it ended before: " in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("line", "text"),
        [
            (["--initrd", "x"], "--initrd must come with `linux`, whose RAM disk it is: add --linux"),
            (["--linux", "x", "--rows", "alu"], "`rows` must not come with `linux`, which has other figures"),
        ],
    )
    def test_refused(self, line: list[str], text: str, capsys: Any) -> None:
        """Options that do not go together."""
        assert main(["bench", *line]) == 2
        assert text in capsys.readouterr().err

    def test_ratios(self) -> None:
        """A quiet console beside QEMU's, the whole log beside a quiet one; bounds are those of the tier."""
        boots = [
            Boot(place, console, Took(cpu, 9.0), 0.015, 200.0)
            for place, quiet in (("Realm", 4.0), ("plain VM", 3.0), ("QEMU", 2.0))
            for console, cpu in (("quiet", quiet), ("whole log", quiet * 1.25))
        ]
        for tier, must in (("stock", ("2.2", "1.8")), ("built", ("1.5", "1.2"))):
            _, *rows = boot_cells(boots, tier)  # type: ignore[arg-type]
            assert [(row[5], row[6]) for row in rows] == [
                ("2.00", must[0]), ("2.00", "1.25 times quiet (must 1.3)"),
                ("1.50", must[1]), ("1.50", "1.25 times quiet (must 1.3)"), ("-", "-"), ("-", "-"),
            ]  # fmt: skip
        assert rows[0][1:5] == ["4.00 s", "+2 %", "9.00 s", "200 MiB"]
