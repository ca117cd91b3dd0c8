"""`virtio`: a Realm that drives virtio devices, and breaks their rules, on the real machine."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cca_firmware.boot import boot
from cca_host.kvm import System
from cca_host.kvmtool import Pause, RunOptions, RunResult, Vmm
from cca_host.kvmtool.layout import RAM_BASE
from cca_host.kvmtool.options import DiskOption, ShareOption
from cca_host.kvmtool.virtio.block import Block
from cca_platform.board import Board
from cca_platform.errors import GranuleProtectionFault
from cca_platform.machine.inputs import Journal
from cca_platform.machine.machine import Machine
from cca_platform.machine.saved import Checkpoint
from cca_platform.state import decode, encode
from cca_rmm.rmm import Rmm
from realmlab import Listing, Trace, find_payload

SECTOR = 512
TESTS, ALL_TESTS = b"22 passed, 0 failed", b"30 passed, 0 failed"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(os.urandom(8 * SECTOR))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file, and something beside it."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "hello").write_text("from the host")
    return tmp_path / "shared"


class Rig:
    """A machine, and a Realm on it that runs `virtio`."""

    def __init__(self, disk: DiskOption, given: dict[str, Any], build: bool = True, **options: Any) -> None:
        self.events = Listing()
        self.machine = Machine(Board.load("fvp"), trace=Trace(self.events), **given)
        self.system = System(self.machine)
        boot(self.machine, rmm=Rmm(self.machine), ns_program=self.system)
        wanted = {"rng": True, "transport": "mmio", "disks": [disk], "max_insns": 10_000_000, **options}
        self.vmm = Vmm(self.system, RunOptions(payload=find_payload("virtio"), memory=8 << 20, **wanted))
        if build:
            self.vmm.build()

    def end(self) -> RunResult:
        """Run to the end."""
        assert self.vmm.advance() is Pause.ENDED
        self.vmm.destroy()
        return self.vmm.result()


@pytest.fixture
def rigs(disk: Path) -> Iterator[Any]:
    """Make rigs: ``rigs(machine={...}, disk={...}, OPTIONS)``."""
    made: list[Rig] = []

    def make(machine: dict[str, Any] | None = None, mode: dict[str, Any] | None = None, **options: Any) -> Rig:
        made.append(Rig(DiskOption(path=str(disk), **(mode or {})), machine or {}, **options))
        return made[-1]

    yield make
    for rig in made:
        rig.machine.close()


class TestDevices:
    def test_rules(self, rigs: Any, disk: Path) -> None:
        """Its checks hold; the disk has what it wrote, and nothing of what lay in protected memory."""
        before, rig = disk.read_bytes(), rigs()
        result = rig.end()
        assert (result.status, result.granules_left, result.granules_dirty) == (0, 0, 0)
        assert TESTS in result.console
        assert disk.read_bytes() == before[:SECTOR] * 2 + before[2 * SECTOR :]
        requests = [one for one in rig.events if one["event"] == "virtio.request" and one["device"] == "disk0"]
        assert [(one["kind"], one["status"]) for one in requests] == [
            ("in", "ok"), ("out", "ok"), ("flush", "ok"), ("in", "ioerr"), ("in", "ioerr"), ("out", "ioerr"),
        ]  # fmt: skip
        reasons = [str(one["reason"]) for one in rig.events if one["event"] == "virtio.fault"]
        assert len(reasons) == 4 and sum("memory that the guest shares" in one for one in reasons) == 3

    def test_protected_pages(self, rigs: Any) -> None:
        """The host reads no protected page of the Realm after all that, and every shared one."""
        rig = rigs()
        assert rig.vmm.advance() is Pause.ENDED
        stage2, port = rig.vmm.vm.stage2, rig.system.port
        pages = list(stage2.data.values())
        assert len(pages) > 10
        for pa in pages:
            with pytest.raises(GranuleProtectionFault):
                port.read(pa, 8)
        assert all(len(port.read(pa, 8)) == 8 for pa in stage2.shared.values())
        assert len(rig.vmm.devices.memory.read(RAM_BASE | 1 << 32, 1)) == 1
        rig.vmm.destroy()

    def test_balloon(self, rigs: Any) -> None:
        """Pages that the Realm has given up go back to the host, and come again; a page of its own stays."""
        rig = rigs(balloon=4 << 12)
        result = rig.end()
        assert result.status == 0 and b"PASS but no page that is not given up" in result.console
        [event] = [one for one in rig.events if one["event"] == "virtio.request" and one["kind"] == "inflate"]
        assert (event["length"], result.granules_left, result.granules_dirty) == ("0x5000", 0, 0)

    def test_share(self, rigs: Any, folder: Path) -> None:
        """A folder that is shared by 9P: its file is read, what is beside it is not."""
        rig = rigs(shares_9p=[ShareOption(path=str(folder))])
        result = rig.end()
        assert result.status == 0 and b"read: from the host" in result.console
        asked = [one for one in rig.events if one["event"] == "fs.request"]
        assert [(one["operation"], one["path"], one["status"]) for one in asked[:6]] == [
            ("VERSION", "/", "ok"), ("ATTACH", "/", "ok"), ("WALK", "/hello", "ok"), ("WALK", "/../secret", "EINVAL"),
            ("LOPEN", "/hello", "ok"), ("READ", "/hello", "ok"),
        ]  # fmt: skip

    def test_no_device(self, rigs: Any) -> None:
        """Without devices, the tree has none."""
        result = rigs(rng=False, disks=()).end()
        assert result.status == 1 and b"run it with --rng" in result.console


class TestInputs:
    def test_equal_runs(self, rigs: Any) -> None:
        """Two runs with the same seed and the same disk are the same, to the last event; another seed is not."""
        runs = []
        for seed in (1, 1, 2):
            rig = rigs(mode={"snapshot": True}, seed=seed)
            assert rig.end().status == 0
            runs.append(list(rig.events))
        assert runs[0] == runs[1] != runs[2]

    @pytest.mark.parametrize("clock", ["virtual", "host"])
    def test_replayed(self, rigs: Any, disk: Path, folder: Path, clock: str) -> None:
        """A replay has from the journal what disk, folder and entropy said, and writes nothing to the disk."""
        shares = [ShareOption(path=str(folder))]
        first = rigs(machine={"record": True, "clock": clock}, shares_9p=shares)
        text = first.end().console
        assert ALL_TESTS in text
        (folder / "hello").unlink()
        journal = decode(encode(first.machine.inputs.journal()), Journal)
        disk.write_bytes(bytes(8 * SECTOR))
        again = rigs(machine={"replay": journal, "clock": clock}, shares_9p=shares)
        assert again.end().console == text and disk.read_bytes() == bytes(8 * SECTOR)
        assert list(again.events) == list(first.events)

    @pytest.mark.parametrize("stop", [20_000, 80_000, 95_000, 110_000])
    def test_restored(self, rigs: Any, folder: Path, stop: int) -> None:
        """A snapshot in the midst of its requests: the run goes on from there twice, in the same way."""
        rig = rigs(mode={"snapshot": True}, shares_9p=[ShareOption(path=str(folder))])
        assert rig.vmm.advance(max_insns=stop) is Pause.INSTRUCTIONS
        snapshot, texts = rig.machine.snapshot(), []
        for _ in range(2):
            assert rig.vmm.advance() is Pause.ENDED
            texts.append(bytes(rig.vmm.console.sent))
            rig.machine.restore(snapshot)
        assert texts[0] == texts[1] and ALL_TESTS in texts[0]
        rig.vmm.destroy()

    def test_in_the_midst_of_a_flush(self, rigs: Any) -> None:
        """A snapshot while a thread works for the disk: the result comes after each restore, at the same time."""
        rig = rigs()
        device = next(one for one in rig.vmm.virtio if isinstance(one, Block))
        while not device.save().pending:
            assert rig.vmm.advance(max_insns=2_000) is Pause.INSTRUCTIONS
        snapshot, ends = rig.machine.snapshot(), []
        for _ in range(2):
            assert rig.vmm.advance() is Pause.ENDED
            ends.append((bytes(rig.vmm.console.sent), rig.machine.clock.now))
            rig.machine.restore(snapshot)
        assert ends[0] == ends[1] and TESTS in ends[0][0]
        rig.vmm.destroy()

    def test_resumed(self, rigs: Any, disk: Path) -> None:
        """A checkpoint goes on in another machine, with the disk where it was; a disk that has changed is an error."""
        whole = rigs(mode={"snapshot": True}).end().console
        rig = rigs()
        assert rig.vmm.advance(max_insns=80_000) is Pause.INSTRUCTIONS
        checkpoint = decode(encode(rig.machine.checkpoint()), Checkpoint)
        rig.vmm.destroy()
        for changed in (False, True):
            if changed:
                os.utime(disk, ns=(1, 1))
            other = rigs(build=False)
            other.machine.adopt(checkpoint, lambda name, state, other=other: Vmm.resumed(other.system, state))
            (other.vmm,) = (part for part in other.machine.parts.values() if isinstance(part, Vmm))
            console = other.end().console
            assert (b"FAIL its first sector is read" in console) if changed else (console == whole)
