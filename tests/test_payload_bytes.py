"""The committed payloads are what their sources give."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path

import pytest
from elftools.elf.elffile import ELFFile

from realmlab.projects.worlds import SDK, WORLDS

_FOLDER = Path(__file__).parents[1] / "realm_payloads"
_FILES = sorted((_FOLDER / "bin").glob("*.elf"))
_BUILDER = run_path(str(_FOLDER / "build.py"))
_PAYLOADS = _BUILDER["PAYLOADS"]
_ENTRY = {  # by the world and the board of the payload
    ("realm", None): 0x8000_0000,
    ("ns", "fvp"): 0x8800_0000,
    ("ns", "virt"): 0x4800_0000,
    ("secure", "fvp"): 0xFC00_0000,
    ("secure", "virt"): 0xFC00_0000,
}
_SMALL = 90 << 10


def _build(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(_FOLDER / "build.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(find_spec("ziglang") is None, reason="ziglang is not installed: payloads cannot be rebuilt")
class TestBuild:
    def test_the_committed_files_are_current(self) -> None:
        """A rebuild gives the committed bytes, for every payload."""
        result = _build("--check")
        assert result.returncode == 0, result.stderr

    def test_an_unknown_name_is_refused(self) -> None:
        """A name that no payload has is an error that lists the names there are."""
        result = _build("--check", "helo")
        assert result.returncode == 2
        assert "payload must be one of hello," in result.stderr

    def test_a_source_that_does_not_build_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """When the compiler fails, the error names the source."""
        broken = _BUILDER["Payload"](_BUILDER["BARE_REALM"], "realm/none.c")
        monkeypatch.setitem(_PAYLOADS, "none", broken)
        with pytest.raises(_BUILDER["BuildError"], match=r"realm/none\.c does not build"):
            _BUILDER["build"](["none"], tmp_path)


class TestFiles:
    @pytest.mark.parametrize("path", _FILES, ids=lambda path: path.stem)
    def test_a_payload_is_small_and_starts_where_its_world_enters_it(self, path: Path) -> None:
        """A payload is a small static ELF file, entered at the start of the first segment, W^X throughout."""
        payload = _PAYLOADS[path.stem]
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            segments = list(elf.iter_segments("PT_LOAD"))
            assert elf["e_type"] == "ET_EXEC"
            assert elf["e_entry"] == _ENTRY[payload.world.name, payload.board]
            assert elf["e_entry"] == min(segment["p_paddr"] for segment in segments)
            assert not any(segment["p_flags"] & 3 == 3 for segment in segments)
        assert path.stat().st_size <= _SMALL

    def test_every_payload_is_committed(self) -> None:
        """`bin/` holds the payloads that `build.py` lists, and nothing else."""
        assert {path.stem for path in _FILES} == set(_PAYLOADS)

    def test_every_source_is_in_a_payload(self) -> None:
        """Each source file is compiled for some payload, and each that a payload names is there.

        What the SDK has for projects alone is compiled by the tests of projects.
        """
        named = {(_FOLDER / source).resolve() for payload in _PAYLOADS.values() for source in payload.sources}
        projects = {SDK / file for world in WORLDS.values() for file in world.sources}
        assert {*_FOLDER.rglob("*.[cS]")} == {path for path in named if _FOLDER in path.parents}
        sources = {path for path in SDK.rglob("*.[cS]") if "templates" not in path.parts}
        assert sources == {path for path in named if SDK in path.parents} | projects

    def test_every_payload_is_in_the_readme(self) -> None:
        """The README names each payload; one for both boards stands under the name without the board."""
        readme = (_FOLDER / "README.md").read_text()
        assert not [name for name in _PAYLOADS if f"`{name.removesuffix('_virt')}`" not in readme]
