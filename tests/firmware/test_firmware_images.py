"""The boot images: canonical archives of what runs."""

import io
import tarfile
from pathlib import Path

import cca_firmware
from cca_firmware.bl2 import images
from cca_firmware.bl31.monitor import Monitor


class TestArchive:
    def test_deterministic(self) -> None:
        """The archive depends on names and contents alone, not on the order in which they come."""
        files = {"b/x.py": b"1" * 700, "a.py": b""}
        assert images.archive(files) == images.archive(dict(reversed(files.items())))

    def test_is_ustar(self) -> None:
        """Any tar reads the archive; nothing in it tells who made it, or when."""
        files = {"package/__init__.py": b"", "package/deep/er.py": b"x = 1\n" * 200}
        with tarfile.open(fileobj=io.BytesIO(images.archive(files))) as tar:
            members = tar.getmembers()
            assert {m.name: tar.extractfile(m).read() for m in members} == files
            assert {(m.mtime, m.uid, m.gid, m.mode) for m in members} == {(0, 0, 0, 0o644)}


class TestComponents:
    def test_firmware(self) -> None:
        """BL2 and BL31 together are exactly the sources of this package, each in one of them."""
        found: list[str] = []
        for image in images.firmware_images():
            with tarfile.open(fileobj=io.BytesIO(image)) as tar:
                found += tar.getnames()
        folder = Path(cca_firmware.__file__).parent
        assert sorted(found) == sorted(f"cca_firmware/{path.relative_to(folder)}" for path in folder.rglob("*.py"))

    def test_package(self) -> None:
        """The image of a program is the whole package of its class."""
        image = images.component(object.__new__(Monitor))
        with tarfile.open(fileobj=io.BytesIO(image)) as tar:
            assert "cca_firmware/bl31/monitor.py" in tar.getnames()
            source = tar.extractfile("cca_firmware/bl31/monitor.py")
            assert source is not None
            assert source.read() == (Path(cca_firmware.__file__).parent / "bl31" / "monitor.py").read_bytes()

    def test_single_module(self) -> None:
        """A program of a module without a package is measured by that one file."""
        with tarfile.open(fileobj=io.BytesIO(images.component(self))) as tar:
            assert tar.getnames() == [Path(__file__).name]
