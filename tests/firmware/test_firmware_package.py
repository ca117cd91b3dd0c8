"""The boot images: canonical archives of what runs, and of nothing else."""

import io
import shutil
import subprocess
import sys
import tarfile
from abc import ABC
from collections.abc import Iterator
from pathlib import Path

import pytest
from rmm_next_version import NEXT

from cca_firmware.package.archive import archive
from cca_firmware.package.package import component, firmware_images
from cca_platform.board import Board
from cca_platform.machine.machine import Machine
from cca_rmm.rmm import Rmm
from cca_rmm.versions.v1_0 import V1_0

ROOT = Path(__file__).parents[2]
NOT_RUN = {
    "cca_firmware": {
        "boot": "the order of the stages",
        "bl1": "a ROM, whose content is the hash that it knows",
        "package": "builds packages, on another machine",
        "limits": "of who runs a machine",
    },
    "cca_rmm": {"extensions": "offered by an RMM that is asked to"},
}
"""Modules and folders of the measured packages that no image holds, each with its reason."""


def names(image: bytes) -> list[str]:
    """The files of an image."""
    with tarfile.open(fileobj=io.BytesIO(image)) as tar:
        return tar.getnames()


class Mine(Rmm):
    """A user's RMM, in a file of its own."""


@pytest.fixture(scope="module")
def rmm() -> Iterator[Rmm]:
    """The RMM of a machine that does not boot."""
    machine = Machine(Board.load("fvp"))
    yield Rmm(machine)
    machine.close()


class TestArchive:
    def test_deterministic(self) -> None:
        """The archive depends on names and contents alone, not on the order in which they come."""
        files = {"b/x.py": b"1" * 700, "a.py": b""}
        assert archive(files) == archive(dict(reversed(files.items())))

    def test_is_ustar(self) -> None:
        """Any tar reads the archive; nothing in it tells who made it, or when."""
        files = {"package/__init__.py": b"", "package/deep/er.py": b"x = 1\n" * 200}
        with tarfile.open(fileobj=io.BytesIO(archive(files))) as tar:
            members = tar.getmembers()
            assert {m.name: tar.extractfile(m).read() for m in members} == files
            assert {(m.mtime, m.uid, m.gid, m.mode) for m in members} == {(0, 0, 0, 0o644)}


class TestComponents:
    """A measurement of a program is one of the modules that it runs."""

    def test_sources(self, rmm: Rmm) -> None:
        """An image holds the sources as they are, those of cca_arch included, and nothing of the hardware."""
        for image in (*firmware_images(), component(rmm)):
            with tarfile.open(fileobj=io.BytesIO(image)) as tar:
                assert "cca_arch/types.py" in tar.getnames()
                assert not any(name.startswith("cca_platform") for name in tar.getnames())
                for name in tar.getnames():
                    source = tar.extractfile(name)
                    assert source is not None and source.read() == next(ROOT.glob(f"*/{name}")).read_bytes()

    @pytest.mark.parametrize("package", NOT_RUN)
    def test_every_module_has_its_place(self, package: str, rmm: Rmm) -> None:
        """Every module of the firmware and the RMM is in an image, or is named as one that no machine runs."""
        held = {name for image in (*firmware_images(), component(rmm)) for name in names(image)}
        folder = next(ROOT.glob(f"*/{package}"))
        every = {f"{package}/{path.relative_to(folder).as_posix()}" for path in folder.rglob("*.py")}
        left = {name.split("/")[1].removesuffix(".py") for name in every - held}
        assert left == set(NOT_RUN[package]), sorted(every - held)

    def test_stages_are_apart(self) -> None:
        """BL2 holds nothing of BL31, BL31 nothing of the loader; what both run is in both."""
        bl2, bl31 = (set(names(image)) for image in firmware_images())
        assert not any("/bl31/" in name or "/secure/" in name for name in bl2)
        assert not any("/bl2/" in name or "/trusted_boot/" in name for name in bl31)
        assert "cca_firmware/base/carveout.py" in bl2 & bl31

    def test_single_module(self) -> None:
        """A program of a module without a package is measured by that file, and by what it runs of cca_arch."""
        found = names(component(TestArchive()))
        assert found == [Path(__file__).name]

    def test_library(self) -> None:
        """A base class of Python's own library adds nothing: the interpreter is no part of an image."""

        class Abstract(TestArchive, ABC):
            pass

        assert component(Abstract()) == component(TestArchive())

    @pytest.mark.pure("a compiled class has no subclasses in Python")
    def test_derived(self, rmm: Rmm) -> None:
        """A class that derives from the RMM's is measured with all that the RMM runs."""
        own, derived = names(component(rmm)), names(component(object.__new__(Mine)))
        assert set(derived) - set(own) == {Path(__file__).name}
        assert set(own) <= set(derived)

    def test_another_version(self) -> None:
        """An RMM that offers a version made elsewhere is measured with the handlers of that version."""
        machine = Machine(Board.load("fvp"))
        own, other = names(component(Rmm(machine))), names(component(Rmm(machine, V1_0, NEXT)))
        assert "rmm_next_version.py" in set(other) - set(own)
        assert set(own) <= set(other)
        machine.close()


MEASURE = """
import hashlib, sys
sys.path[:0] = {path!r}
from cca_firmware.package.package import component, firmware_images
from cca_platform.board import Board
from cca_platform.machine.machine import Machine
from cca_rmm.rmm import Rmm
for image in (*firmware_images(), component(Rmm(Machine(Board.load("fvp"))))):
    print(hashlib.sha256(image).hexdigest())
"""


class TestChanges:
    """What changes in a source tree shows in the images that run it, and in no other."""

    @pytest.fixture
    def tree(self, tmp_path: Path) -> Path:
        """A copy of the measured packages; the hardware that they stand on is that of this tree."""
        for folder, package in (("platform", "cca_arch"), ("firmware", "cca_firmware"), ("rmm", "cca_rmm")):
            shutil.copytree(ROOT / folder / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
        return tmp_path

    @staticmethod
    def measured(tree: Path) -> list[str]:
        """The digests of BL2, BL31 and the RMM."""
        code = MEASURE.format(path=[str(tree), str(ROOT / "platform")])
        done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
        return done.stdout.split()

    def test_edit(self, tree: Path) -> None:
        """A change of a module changes exactly the images that run it."""
        before = self.measured(tree)
        for module, expected in {
            "cca_firmware/bl2/gpts.py": [True, False, False],
            "cca_firmware/secure/ffa.py": [False, True, False],
            "cca_firmware/base/carveout.py": [True, True, False],
            "cca_firmware/package/nsimage.py": [False, False, False],
            "cca_rmm/objects/rec.py": [False, False, True],
            "cca_arch/ffa.py": [False, True, False],
            "cca_arch/fields.py": [True, True, True],
        }.items():
            path = tree / module
            source = path.read_text()
            path.write_text(source + "\n# a change\n")
            assert [old != new for old, new in zip(before, self.measured(tree), strict=True)] == expected, module
            path.write_text(source)

    def test_rename(self, tree: Path) -> None:
        """A module that moves to another folder, that of another stage, stays in the images that run it."""
        before = self.measured(tree)
        (tree / "cca_firmware" / "bl31" / "gpts.py").rename(tree / "cca_firmware" / "bl2" / "transitions.py")
        path = tree / "cca_firmware" / "firmware.py"
        path.write_text(path.read_text().replace("cca_firmware.bl31.gpts", "cca_firmware.bl2.transitions"))
        rmmd = tree / "cca_firmware" / "bl31" / "rmmd.py"
        rmmd.write_text(rmmd.read_text().replace("cca_firmware.bl31.gpts", "cca_firmware.bl2.transitions"))
        changed = [old != new for old, new in zip(before, self.measured(tree), strict=True)]
        assert changed == [False, True, False]
