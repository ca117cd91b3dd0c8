"""Somebody with only the wheel, in an empty folder, writes, builds and runs payloads of every world.

With ``--all-builds``, every world is built in every way; without, each world, way and compiler comes up.
"""

import shutil
import subprocess
import tomllib
from itertools import product
from pathlib import Path

import pytest
from installed import Wheel

from realmlab.projects.compilers import find_zig
from realmlab.projects.worlds import WORLDS

_ROOT = Path(__file__).resolve().parents[2]
_WAYS = ("realmlab", "make", "cmake")
_SOME = {
    ("realm", "realmlab", "zig"), ("realm", "make", "zig"), ("realm", "cmake", "gcc"), ("ns", "make", "gcc"),
    ("secure", "cmake", "zig"),
}  # fmt: skip
_GCC = "aarch64-linux-gnu-gcc"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The builds to make."""
    if "way" in metafunc.fixturenames:
        every = list(product(WORLDS, _WAYS, ("zig", "gcc")))
        chosen = every if metafunc.config.getoption("--all-builds") else [one for one in every if one in _SOME]
        metafunc.parametrize(("world", "way", "cc"), chosen)


def _run(wheel: Wheel, folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=folder, env=wheel.environment, capture_output=True, text=True, check=False)


class TestWheel:
    """The wheel alone."""

    def test_it_has_the_sdk(self, wheel: Wheel, tmp_path: Path) -> None:
        """Every file of the SDK is in the wheel, and the command finds it there."""
        done = _run(wheel, tmp_path, "realmlab", "sdk", "--print-path")
        assert (done.stdout, done.stderr) == (f"{wheel.packages / 'realmlab' / 'sdk'}\n", "")
        here, there = _ROOT / "tools" / "realmlab" / "sdk", wheel.packages / "realmlab" / "sdk"
        files = {path.relative_to(here) for path in here.rglob("*") if path.is_file()}
        assert {path.relative_to(there) for path in there.rglob("*") if path.is_file()} == files
        assert all((here / path).read_bytes() == (there / path).read_bytes() for path in files)

    def test_builds_and_runs(self, wheel: Wheel, tmp_path: Path, world: str, way: str, cc: str) -> None:
        """The commands that `realmlab new` and the README give build and run the payload."""
        if (cc == "zig" and find_zig() is None) or (cc == "gcc" and not shutil.which(_GCC)):
            pytest.skip(f"{cc} is not installed")
        if not shutil.which(way) and way != "realmlab":
            pytest.skip(f"{way} is not installed")
        new = _run(wheel, tmp_path, "realmlab", "new", world, "mine")
        assert new.returncode == 0, new.stderr
        folder = tmp_path / "mine"
        for command in _commands(way, cc):
            done = _run(wheel, folder, *command)
            assert done.returncode == 0, done.stdout + done.stderr
            assert "warning" not in done.stderr
        *_, run = new.stdout.split(" && ")
        done = _run(wheel, folder, *run.split())
        assert done.returncode == 0, done.stderr
        assert any(line.startswith("Hello from ") for line in done.stdout.splitlines()), done.stdout

    def test_the_extra(self) -> None:
        """`pip install 'realmlab[sdk]'` brings zig, as the message of a build without a compiler says."""
        project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert project["optional-dependencies"]["sdk"] == ["ziglang"]


def _commands(way: str, cc: str) -> list[list[str]]:
    """The commands of a build."""
    if way == "realmlab":
        return [["realmlab", "build", "--cc", cc]]
    if way == "make":
        return [["make", f"TOOLCHAIN={cc}"]]
    return [["cmake", "-B", "build", f"-DTOOLCHAIN={cc}"], ["cmake", "--build", "build"]]
