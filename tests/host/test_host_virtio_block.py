"""The block device and its images: requests, failures of the host, overlays, snapshots."""

import os
import struct
from pathlib import Path
from typing import Any

import pytest
from virtio_driver import BASE, LIVE, PROTECTED, Bench, Driver

from cca_arch.virtio import Feature
from cca_arch.virtio.block import SECTOR, BlockFeature, BlockRequest, BlockStatus
from cca_host.kvmtool.virtio.block import Block
from cca_host.kvmtool.virtio.disk import BLOCK, Disk, SnapshotState, open_image
from cca_platform.errors import MachineError
from cca_platform.state import decode, encode

OK, IOERR, UNSUPP = BlockStatus.OK, BlockStatus.IOERR, BlockStatus.UNSUPP
SECTORS = 256


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(b"".join(bytes([number]) * SECTOR for number in range(SECTORS)))
    return path


class Guest:
    """A driver of a disk."""

    def __init__(self, bench: Bench, disk: Disk, start: bool = True) -> None:
        self.bench = bench
        self.disk = disk
        self.device = Block("disk0", bench.wiring(), bench.memory, disk)
        self.driver = Driver(bench, self.device, size=16, start=start)

    def ask(self, kind: int, sector: int = 0, data: bytes = b"", size: int = 0) -> tuple[int, bytes]:
        """Status and data of a request."""
        self.driver.reserve()
        head = struct.pack("<IIQ", kind, 0, sector)
        parts = [head, data] if data else [head]
        found = self.driver.call(0, *parts, writable=(size, 1) if size else (1,))
        return found[-1], found[:-1]

    def read(self, sector: int, count: int = 1) -> bytes:
        """Sectors that can be read."""
        status, data = self.ask(BlockRequest.IN, sector, size=count * SECTOR)
        assert status == OK and len(data) == count * SECTOR
        return data

    def write(self, sector: int, data: bytes) -> int:
        """Write sectors: the status."""
        return self.ask(BlockRequest.OUT, sector, data)[0]


def opened(bench: Bench, path: Path, **options: Any) -> Guest:
    return Guest(bench, open_image(str(path), **options))


class TestRequests:
    def test_read_write(self, bench: Bench, image: Path) -> None:
        """Sectors are read and written where they are, in pieces of any size; a flush brings them to the host."""
        guest = opened(bench, image)
        assert guest.read(7, 2) == b"\7" * SECTOR + b"\10" * SECTOR
        assert guest.write(9, b"ab" * SECTOR) == OK and guest.read(9, 2) == b"ab" * SECTOR
        assert guest.ask(BlockRequest.FLUSH)[0] == OK
        assert image.read_bytes()[9 * SECTOR : 11 * SECTOR] == b"ab" * SECTOR
        head = struct.pack("<IIQ", BlockRequest.OUT, 0, 3)
        assert guest.driver.call(0, head[:5], head[5:] + b"c" * 100, b"d" * 412, writable=(1,)) == b"\0"
        assert guest.read(3) == b"c" * 100 + b"d" * 412
        head = struct.pack("<IIQ", BlockRequest.IN, 0, 3)
        assert guest.driver.call(0, head, writable=(100, 413))[:-1] == b"c" * 100 + b"d" * 412

    def test_large(self, bench: Bench, tmp_path: Path) -> None:
        """A request may be larger than what is copied at once."""
        path = tmp_path / "large"
        path.write_bytes(os.urandom(1 << 20))
        bench = Bench(pages=1024)
        guest = opened(bench, path)
        assert guest.read(0, 1 << 11) == path.read_bytes()
        data = os.urandom(1 << 20)
        assert guest.write(0, data) == OK and path.read_bytes() == data
        bench.close()

    def test_flush_waits_for_nobody(self, bench: Bench, image: Path) -> None:
        """A flush is the work of a thread; what comes after it does not wait for it."""
        guest = opened(bench, image)
        driver = guest.driver
        late = driver.send(0, struct.pack("<IIQ", BlockRequest.FLUSH, 0, 0), writable=(1,))
        soon = driver.send(0, struct.pack("<IIQ", BlockRequest.IN, 0, 1), writable=(SECTOR, 1))
        driver.kick(0)
        assert [head for head, _, _ in driver.collect(0)] == [soon]
        bench.finish()
        assert driver.collect(0) == [(late, 1, b"\0")]

    def test_identity(self, bench: Bench, image: Path) -> None:
        """Its name, in 20 bytes."""
        assert opened(bench, image).ask(BlockRequest.GET_ID, size=20) == (OK, b"disk0".ljust(20, b"\0"))

    def test_ranges(self, bench: Bench, image: Path) -> None:
        """Discarded and zeroed ranges read as zeroes, several at once; flags that do not exist are not supported."""
        guest = opened(bench, image)
        ranges = struct.pack("<QIIQII", 8, 8, 0, 24, 1, 0)
        assert guest.ask(BlockRequest.WRITE_ZEROES, data=ranges)[0] == OK
        assert guest.read(7, 10) == b"\7" * SECTOR + bytes(8 * SECTOR) + b"\20" * SECTOR
        assert guest.read(24) == bytes(SECTOR)
        assert guest.ask(BlockRequest.WRITE_ZEROES, data=struct.pack("<QII", 32, 8, 1))[0] == OK
        assert guest.ask(BlockRequest.DISCARD, data=struct.pack("<QII", 40, 8, 0))[0] == OK
        assert guest.read(32, 16) == bytes(16 * SECTOR)
        assert guest.ask(BlockRequest.DISCARD, data=struct.pack("<QII", 40, 8, 1))[0] == UNSUPP
        assert guest.ask(BlockRequest.WRITE_ZEROES, data=struct.pack("<QII", 40, 8, 2))[0] == UNSUPP
        for bad in (struct.pack("<QII", SECTORS, 1, 0), b"x" * 15, struct.pack("<QII", 0, (1 << 17) + 1, 0)):
            assert guest.ask(BlockRequest.DISCARD, data=bad)[0] == IOERR

    @pytest.mark.parametrize("kind", [2, 10, 14, 0xFFFF_FFFF])
    def test_unknown(self, bench: Bench, image: Path, kind: int) -> None:
        """Other requests are not supported."""
        assert opened(bench, image).ask(kind)[0] == UNSUPP

    def test_configuration(self, bench: Bench, image: Path) -> None:
        """Capacity in sectors; what a read-only disk does not offer."""
        guest, other = opened(bench, image), opened(bench, image, read_only=True)
        assert guest.driver.config(0, 8) == SECTORS
        assert guest.device.offered >> BlockFeature.DISCARD & 1 and not guest.device.offered >> BlockFeature.RO & 1
        assert other.device.offered >> BlockFeature.RO & 1 and not other.device.offered >> BlockFeature.DISCARD & 1


class TestFailures:
    @pytest.mark.parametrize(("sector", "size"), [(SECTORS, 512), (SECTORS - 1, 1024), (0, 100), ((1 << 64) - 1, 512)])
    def test_outside(self, bench: Bench, image: Path, sector: int, size: int) -> None:
        """Beyond the end, or parts of a sector: an error, and nothing is written."""
        guest, before = opened(bench, image), image.read_bytes()
        assert guest.ask(BlockRequest.IN, sector, size=size)[0] == IOERR
        assert guest.write(sector, b"x" * size) == IOERR
        assert image.read_bytes() == before and guest.driver.status == LIVE

    def test_read_only(self, bench: Bench, image: Path) -> None:
        """A read-only disk refuses all that writes, and flushes nothing."""
        guest = opened(bench, image, read_only=True)
        assert guest.write(0, bytes(SECTOR)) == IOERR
        assert guest.ask(BlockRequest.DISCARD, data=struct.pack("<QII", 0, 8, 0))[0] == IOERR
        assert guest.ask(BlockRequest.FLUSH)[0] == OK

    def test_shorter_file(self, bench: Bench, image: Path) -> None:
        """A file that was cut gives errors where nothing is left, and goes on elsewhere."""
        guest = opened(bench, image)
        os.truncate(image, 10 * SECTOR + 100)
        assert guest.ask(BlockRequest.IN, 10, size=SECTOR)[0] == IOERR
        assert guest.read(9) == b"\11" * SECTOR

    def test_vanished_file(self, bench: Bench, image: Path) -> None:
        """A file that was removed is there as long as it is open."""
        guest = opened(bench, image)
        image.unlink()
        assert guest.write(1, b"x" * SECTOR) == OK and guest.read(1) == b"x" * SECTOR

    @pytest.mark.parametrize("work", ["write", "zero", "flush"])
    def test_full_disk(self, bench: Bench, image: Path, work: str) -> None:
        """What the host cannot write ends as an error of the request, with an event."""
        guest = opened(bench, image)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        setattr(guest.disk, work, full)
        kind, data = {
            "write": (BlockRequest.OUT, bytes(SECTOR)),
            "zero": (BlockRequest.DISCARD, struct.pack("<QII", 0, 8, 0)),
            "flush": (BlockRequest.FLUSH, b""),
        }[work]
        bench.events.clear()
        assert guest.ask(kind, 5, data)[0] == IOERR
        [event] = [one for one in bench.events if one["event"] == "virtio.request"]
        assert (event["device"], event["status"], event["kind"]) == ("disk0", "ioerr", BlockRequest(kind).name.lower())

    @pytest.mark.parametrize("kind", [BlockRequest.IN, BlockRequest.OUT])
    def test_protected_data(self, bench: Bench, image: Path, kind: BlockRequest) -> None:
        """Data in protected memory: an error of the request, and the disk is as before."""
        guest, before = opened(bench, image), image.read_bytes()
        driver = guest.driver
        head, status = driver.put(struct.pack("<IIQ", kind, 0, 0)), (driver.place(1), 1)
        data = (PROTECTED, SECTOR)
        pieces = ([head], [data, status]) if kind == BlockRequest.IN else ([head, data], [status])
        driver.offer(0, driver.chain(0, *pieces))
        driver.kick(0)
        assert driver.memory.read(*status) == bytes([IOERR])
        assert image.read_bytes() == before and driver.status == LIVE

    @pytest.mark.parametrize("kind", [BlockRequest.IN, BlockRequest.OUT])
    def test_same_pages(self, bench: Bench, tmp_path: Path, kind: BlockRequest) -> None:
        """A guest that names the same pages a thousand times is refused above what the limits come to."""
        path = tmp_path / "large"
        path.touch()
        os.truncate(path, 1 << 40)
        guest = opened(bench, path)
        driver = guest.driver = Driver(bench, guest.device, features=Feature.RING_INDIRECT_DESC.mask)
        limit = driver.config(8, 4) * driver.config(12, 4)
        for count, expected in ((limit // (1 << 17), OK), (1000, IOERR)):
            head, status = driver.put(struct.pack("<IIQ", kind, 0, 0)), (driver.place(1), 1)
            data = [(BASE + 0x2_0000, 1 << 17)] * count
            pieces = ([head], [*data, status]) if kind == BlockRequest.IN else ([head, *data], [status])
            driver.offer(0, driver.chain(0, *pieces, indirect=True))
            driver.kick(0)
            assert driver.memory.read(*status) == bytes([expected])
        assert driver.status == LIVE

    @pytest.mark.parametrize("case", ["no head", "no status", "status in protected memory", "head in protected memory"])
    def test_malformed(self, bench: Bench, image: Path, case: str) -> None:
        """A request that cannot be answered costs the driver the device."""
        guest = opened(bench, image)
        driver = guest.driver
        head, status = driver.put(struct.pack("<IIQ", 0, 0, 0)), (driver.place(513), 513)
        readable = {"no head": (head[0], 15), "head in protected memory": (PROTECTED, 16)}.get(case, head)
        writable = {"no status": [], "status in protected memory": [(PROTECTED, 1)]}.get(case, [status])
        driver.offer(0, driver.chain(0, [readable], writable))
        driver.kick(0)
        assert driver.status.needs_reset


class TestImages:
    def test_overlay(self, bench: Bench, image: Path, tmp_path: Path) -> None:
        """Writes go to the overlay, the image stays; another run finds them."""
        before, overlay = image.read_bytes(), str(tmp_path / "over")
        guest = opened(bench, image, overlay=overlay)
        assert guest.write(9, b"new" * 512) == OK and guest.ask(BlockRequest.FLUSH)[0] == OK
        guest.disk.close()
        again = opened(bench, image, overlay=overlay)
        assert again.read(8, 5) == b"\10" * SECTOR + b"new" * 512 + b"\14" * SECTOR
        assert again.read(0, SECTORS)[: 8 * SECTOR] == before[: 8 * SECTOR]
        assert image.read_bytes() == before
        with pytest.raises(MachineError, match="must be an image, not an overlay"):
            open_image(overlay)

    def test_wrong_overlay(self, image: Path, tmp_path: Path) -> None:
        """An overlay is of its image: one of another size, or any other file, is refused."""
        overlay, small = tmp_path / "over", tmp_path / "small"
        open_image(str(image), overlay=str(overlay)).close()
        small.write_bytes(bytes(SECTOR))
        with pytest.raises(MachineError, match=f"must lie over an image of {SECTORS * SECTOR} bytes, not {SECTOR}"):
            open_image(str(small), overlay=str(overlay))
        for contents in (b"", b"something else" * 1000):
            small.write_bytes(contents)
            with pytest.raises(MachineError, match="must be one that Realmlab has made"):
                open_image(str(image), overlay=str(small))

    def test_snapshot(self, bench: Bench, image: Path) -> None:
        """Writes are in memory and in saved state, and nowhere else."""
        before = image.read_bytes()
        guest = opened(bench, image, snapshot=True)
        assert guest.write(9, b"new" * 512) == OK
        saved = guest.disk.save()
        assert guest.write(9, b"old" * 512) == OK
        assert guest.ask(BlockRequest.DISCARD, data=struct.pack("<QII", 100, 8, 0))[0] == OK
        guest.disk.restore(decode(encode(saved), SnapshotState))
        assert guest.read(9, 3) == b"new" * 512 and guest.read(100) == b"d" * SECTOR
        assert image.read_bytes() == before

    @pytest.mark.parametrize("mode", ["raw", "overlay"])
    def test_changed_since(self, bench: Bench, image: Path, tmp_path: Path, mode: str) -> None:
        """A snapshot that is older than the last write does not fit the disk: errors, and nothing is spoilt."""
        options = {"overlay": str(tmp_path / "over")} if mode == "overlay" else {}
        guest = opened(bench, image, **options)
        guest.write(9, b"a" * SECTOR)
        saved = guest.disk.save()
        guest.disk.restore(saved)
        assert guest.read(9) == b"a" * SECTOR
        guest.write(9, b"b" * SECTOR)
        guest.disk.restore(saved)
        written = (tmp_path / "over" if options else image).read_bytes()
        assert guest.write(9, b"c" * SECTOR) == IOERR
        assert mode == "overlay" or guest.ask(BlockRequest.IN, 9, size=SECTOR)[0] == IOERR
        assert (tmp_path / "over" if options else image).read_bytes() == written

    def test_resumed(self, bench: Bench, image: Path) -> None:
        """Another process goes on with the disk, if nobody has written to it since."""
        guest = opened(bench, image)
        guest.write(9, b"a" * SECTOR)
        saved = guest.disk.save()
        fresh = opened(bench, image)
        fresh.disk.restore(saved)
        assert fresh.read(9) == b"a" * SECTOR
        os.utime(image, ns=(1, 1))
        stale = opened(bench, image)
        stale.disk.restore(saved)
        assert stale.ask(BlockRequest.IN, 9, size=SECTOR)[0] == IOERR

    @pytest.mark.parametrize(
        ("contents", "message"),
        [
            (b"QFI\xfb" + bytes(600), "not qcow2: `qemu-img convert -O raw` makes one of it"),
            (b"KDMV" + bytes(600), "not vmdk: `qemu-img"),
            (b"vhdxfile" + bytes(600), "not vhdx"),
            (b"", "must have a sector of 512 bytes"),
            (b"x" * 511, "must have a sector of 512 bytes"),
        ],
    )
    def test_formats(self, image: Path, contents: bytes, message: str) -> None:
        """Only raw images."""
        image.write_bytes(contents)
        with pytest.raises(MachineError, match=message):
            open_image(str(image))

    def test_files(self, tmp_path: Path) -> None:
        """What cannot be opened, in words."""
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        for path, message in (
            (tmp_path / "none", "does not exist"),
            (tmp_path, "is a directory"),
            (pipe, "must be a file or a block device"),
            (Path("a\0b"), "has a name that no file can have"),
        ):
            with pytest.raises(MachineError, match=message):
                open_image(str(path))

    def test_parts_of_blocks(self, bench: Bench, image: Path, tmp_path: Path) -> None:
        """Layers keep whole blocks, whatever part of one is written; the last one may be shorter."""
        os.truncate(image, BLOCK * 3 + SECTOR)
        for options in ({"snapshot": True}, {"overlay": str(tmp_path / "over")}):
            guest = opened(bench, image, **options)
            assert guest.write(24, b"z" * SECTOR) == OK and guest.write(1, b"y" * SECTOR) == OK
            below = image.read_bytes()[2 * SECTOR : -SECTOR]
            assert guest.read(0, 25) == bytes(SECTOR) + b"y" * SECTOR + below + b"z" * SECTOR
