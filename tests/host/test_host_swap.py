"""A Realm within a limit of granules: its pages go to a swap file and come back, or the run ends and says why."""

import errno
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cca_arch.types import GRANULE_SIZE
from cca_firmware.boot import boot
from cca_host.kvm import System
from cca_host.kvm import pager as pager_module
from cca_host.kvm import swap as swap_module
from cca_host.kvm.pagemap import PageMap
from cca_host.kvm.swap import SwapFile
from cca_host.kvmtool import Pause, RunOptions, Vmm
from cca_host.kvmtool.options import EXIT_FAILED, RunReason
from cca_platform.board import Board
from cca_platform.errors import MachineError
from cca_platform.machine.machine import Machine
from cca_platform.machine.saved import Checkpoint
from cca_platform.state import decode, encode
from cca_platform.trace.sinks import Listing
from cca_platform.trace.trace import Trace
from cca_rmm.extensions.offered import with_extensions
from cca_rmm.rmm import Rmm
from cca_rmm.versions.v1_0 import V1_0
from realmlab import find_payload

LIMIT = 3 << 20  # `memory` goes over 4 MiB and more, again and again
ROUNDS = "1"
GROUP = 257 * GRANULE_SIZE


class Rig:
    """A booted machine and one run of `memory`, within a limit if there is a swap file."""

    def __init__(self, path: Path | None, build: bool = True, trace: bool = False, **options: Any) -> None:
        self.events = Listing()
        self.machine = Machine(Board.load("fvp"), trace=Trace(self.events) if trace else None)
        self.system = System(self.machine)
        extensions = ("paging",)
        rmm = Rmm(self.machine, with_extensions(V1_0, extensions))
        boot(self.machine, rmm=rmm, ns_program=self.system, extensions=extensions)
        limit = {} if path is None else {"memory_limit": LIMIT, "swap": path}
        given: dict[str, Any] = {"payload": find_payload("memory"), "args": [ROUNDS], **limit, **options}
        self.vmm = Vmm(self.system, RunOptions(**given))
        if build:
            self.vmm.build()

    @property
    def pager(self) -> Any:
        """What pages."""
        assert self.vmm.vm is not None
        return self.vmm.vm.pager

    def until_out(self, pages: int) -> None:
        """Run until so many pages are out."""
        while len(self.pager.slots) < pages:
            assert self.vmm.advance(max_insns=20_000) is not Pause.ENDED

    def finish(self) -> Any:
        """The result of the run; nothing of it is left."""
        self.vmm.advance()
        self.vmm.destroy()
        result = self.vmm.result()
        system = self.system
        assert (result.granules_left, result.granules_dirty, system.pages.used, system.pages.lost) == (0, 0, 0, [])
        return result


@pytest.fixture
def rigs(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Makes rigs whose swap file is in a folder of the test's."""
    made: list[Rig] = []

    def make(*, limited: bool = True, name: str = "swap", **options: Any) -> Rig:
        made.append(Rig(tmp_path / name if limited else None, **options))
        return made[-1]

    yield make
    for rig in made:
        rig.machine.close()


@pytest.fixture(scope="module")
def plain() -> Any:
    """The result of the run without a limit."""
    rig = Rig(None)
    result = rig.finish()
    rig.machine.close()
    return result


class TestRun:
    """A run that needs more than its limit."""

    def test_same_output(self, rigs: Callable[..., Rig], plain: Any) -> None:
        """It computes the same, in the same instructions, within the limit."""
        result = rigs().finish()
        assert (result.status, result.console, result.instructions) == (0, plain.console, plain.instructions)
        assert result.granules_peak * GRANULE_SIZE <= LIMIT < plain.granules_peak * GRANULE_SIZE
        assert result.calls["PAGE_OUT"] >= result.calls["PAGE_IN"] > 100

    def test_nothing_readable(self, rigs: Callable[..., Rig], tmp_path: Path) -> None:
        """The file has no page of the Realm that anybody could read: no two of its pages are the same."""
        rig = rigs()
        rig.until_out(300)
        content = (tmp_path / "swap").read_bytes()
        pages = [content[at : at + GRANULE_SIZE] for at in range(0, len(content), GRANULE_SIZE)]
        assert len(pages) == len(set(pages)) > 300
        assert all(len(set(page)) > 150 for at, page in enumerate(pages) if at and at % 257 != 1)

    def test_two_runs_are_the_same(self, rigs: Callable[..., Rig]) -> None:
        """The same inputs give the same trace."""
        traces = []
        for name in ("one", "other"):
            rig = rigs(name=name, trace=True, args=["1"])
            rig.finish()
            traces.append([record for record in rig.events if record["event"] not in ("run.start", "trace.start")])
        assert traces[0] == traces[1]

    def test_small_enough(self, rigs: Callable[..., Rig], tmp_path: Path) -> None:
        """A Realm that does not need more than its limit never touches the file."""
        result = rigs(memory_limit=16 << 20).finish()
        assert "PAGE_OUT" not in result.calls
        assert (tmp_path / "swap").stat().st_size == GRANULE_SIZE

    def test_the_file_becomes_small_again(self, rigs: Callable[..., Rig], tmp_path: Path) -> None:
        """After the Realm's end nothing of the file is used, and the next Realm uses it from its start."""
        rig = rigs()
        rig.until_out(300)
        assert (tmp_path / "swap").stat().st_size > 300 * GRANULE_SIZE
        rig.finish()
        assert (tmp_path / "swap").stat().st_size == GRANULE_SIZE

    def test_two_realms(self, rigs: Callable[..., Rig], plain: Any) -> None:
        """Realms of one machine share a file; each gets its own pages."""
        rig = rigs()
        other = Vmm(rig.system, rig.vmm.options)
        other.build()
        for _ in range(20):
            for one in (rig.vmm, other):
                one.advance(max_insns=300_000)
                one.park()
        for one in (rig.vmm, other):
            assert one.advance() is Pause.ENDED
            one.destroy()
            assert one.result().console == plain.console
        assert rig.system.delegated == rig.system.pages.used == 0

    def test_vcpus(self, rigs: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch) -> None:
        """vCPUs on several PEs, whose translations of pages that go out must go from all of them."""
        monkeypatch.setattr(pager_module, "_LEAST", 4)
        rig = rigs(payload=find_payload("smp"), vcpus=4, args=(), memory_limit=2 << 20)
        vmm, rig.pager.limit = rig.vmm, rig.pager.granules + 2
        assert vmm.advance() is Pause.ENDED
        vmm.destroy()
        result = vmm.result()
        assert (result.status, b"smp: 4 vCPUs counted to 4000" in result.console) == (0, True)
        assert result.calls["PAGE_IN"] > 20

    def test_attestation(self, rigs: Callable[..., Rig]) -> None:
        """The measurement is that of the Realm without a limit, also if its image does not fit at once."""
        rims = []
        for limited in (False, True):
            rig = rigs(limited=limited, args=())
            assert rig.vmm.vm is not None
            rims.append(rig.machine.memory.backdoor.read(rig.vmm.vm.rd + 0x140, 64))
        assert rims[0] == rims[1]


class TestSaved:
    """Saved states of a machine whose pages are out."""

    def test_snapshot(self, rigs: Callable[..., Rig], plain: Any) -> None:
        """A run goes on from a snapshot as often as one likes, and the trees of snapshots do not mix."""
        rig = rigs()
        rig.until_out(100)
        first = rig.machine.snapshot()
        rig.until_out(300)
        second = rig.machine.snapshot()
        for snapshot in (first, second, first):
            rig.vmm.advance(max_insns=500_000)
            rig.machine.restore(snapshot)
        assert rig.finish().console == plain.console

    def test_destroyed_since(self, rigs: Callable[..., Rig], plain: Any) -> None:
        """A Realm that was destroyed since a snapshot is there again, with what was out."""
        rig = rigs()
        rig.until_out(200)
        snapshot = rig.machine.snapshot()
        rig.finish()
        rig.machine.restore(snapshot)
        assert len(rig.pager.slots) >= 200
        assert rig.finish().console == plain.console

    def test_another_machine(self, rigs: Callable[..., Rig], plain: Any) -> None:
        """A checkpoint goes on in another machine, which reads the file, once the first machine is closed."""
        rig = rigs()
        rig.until_out(200)
        data = encode(rig.machine.checkpoint())
        rig.machine.close()
        other = rigs(limited=False, build=False)
        other.machine.adopt(decode(data, Checkpoint), lambda name, state: Vmm.resumed(other.system, state))
        (other.vmm,) = (part for part in other.machine.parts.values() if isinstance(part, Vmm))
        assert len(other.pager.slots) >= 200
        assert other.finish().console == plain.console

    def test_file_gone(self, rigs: Callable[..., Rig], tmp_path: Path) -> None:
        """A checkpoint whose file is not there is refused, and no file is made."""
        rig = rigs()
        rig.until_out(20)
        data = encode(rig.machine.checkpoint())
        rig.machine.close()
        (tmp_path / "swap").unlink()
        other = rigs(limited=False, build=False)
        with pytest.raises(MachineError, match=r"must be a file to write to \(No such file or directory\)"):
            other.machine.adopt(decode(data, Checkpoint), lambda name, state: Vmm.resumed(other.system, state))
        assert not (tmp_path / "swap").exists()

    def test_file_overwritten_since(self, rigs: Callable[..., Rig]) -> None:
        """A checkpoint whose pages another run has overwritten ends, and says what happened."""
        rig = rigs()
        rig.until_out(200)
        data = encode(rig.machine.checkpoint())
        rig.machine.close()
        rigs().machine.close()
        other = rigs(limited=False, build=False)
        other.machine.adopt(decode(data, Checkpoint), lambda name, state: Vmm.resumed(other.system, state))
        (other.vmm,) = (part for part in other.machine.parts.values() if isinstance(part, Vmm))
        result = other.finish()
        assert (result.status, result.reason) == (EXIT_FAILED, RunReason.FAILED)
        assert "it has become shorter" in result.message or "the swap file was changed" in result.message


class TestLost:
    """The file is not what it was."""

    @pytest.mark.parametrize("seed", range(4))
    def test_corrupt(self, rigs: Callable[..., Rig], tmp_path: Path, seed: int) -> None:
        """Bytes that are not what was written: the RMM refuses the page, the run ends, and all granules come back."""
        rig = rigs()
        rig.until_out(300)
        source, path = random.Random(seed), tmp_path / "swap"
        content = bytearray(path.read_bytes())
        for at in range(GRANULE_SIZE, len(content), GRANULE_SIZE):
            content[at + source.randrange(GRANULE_SIZE if (at // GRANULE_SIZE) % 257 != 1 else 16)] ^= 1 + seed
        path.write_bytes(content)
        result = rig.finish()
        assert (result.status, result.reason) == (EXIT_FAILED, RunReason.FAILED)
        assert "the RMM refuses the page for IPA 0x8" in result.message

    def test_rolled_back(self, rigs: Callable[..., Rig], tmp_path: Path) -> None:
        """The file as it was before: every page of it was right once, and is refused."""
        rig = rigs()
        rig.until_out(300)
        old = (tmp_path / "swap").read_bytes()
        rig.vmm.advance(max_insns=4_000_000)
        (tmp_path / "swap").write_bytes(old)
        assert "the swap file was changed" in rig.finish().message

    def test_swapped(self, rigs: Callable[..., Rig], tmp_path: Path) -> None:
        """Two pages of the file, each with its tag, change places."""
        rig = rigs()
        rig.until_out(200)
        data = (tmp_path / "swap").read_bytes()
        head, tags, *pages = (data[at : at + GRANULE_SIZE] for at in range(0, len(data), GRANULE_SIZE))
        turned = b"".join(tags[16 * one : 16 * one + 16] for one in reversed(range(len(pages))))
        new = [head, turned.ljust(GRANULE_SIZE, b"\0"), *reversed(pages)]
        (tmp_path / "swap").write_bytes(b"".join(new))
        assert "the swap file was changed" in rig.finish().message

    def test_shorter(self, rigs: Callable[..., Rig], tmp_path: Path) -> None:
        """A file that somebody has cut."""
        rig = rigs()
        rig.until_out(200)
        os.truncate(tmp_path / "swap", 3 * GRANULE_SIZE)
        result = rig.finish()
        assert result.status == EXIT_FAILED
        assert "it has become shorter" in result.message or "the swap file was changed" in result.message

    def test_vanished(self, rigs: Callable[..., Rig], tmp_path: Path, plain: Any) -> None:
        """A file that is removed is there for the run that has it open."""
        rig = rigs()
        rig.until_out(200)
        (tmp_path / "swap").unlink()
        assert rig.finish().console == plain.console

    def test_full_disk(self, rigs: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch, plain: Any) -> None:
        """A page that the disk does not take stays with the Realm: with more room, the run goes on to the same end."""
        rig = rigs()
        rig.until_out(200)
        before = rig.machine.snapshot()

        def full(fd: int, data: bytes, at: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(swap_module, "_write", full)
            assert rig.vmm.advance() is Pause.ENDED
            end = rig.vmm.end
            assert end is not None and end.status == EXIT_FAILED
            assert end.message.endswith("does not take a page: the disk is full")
            assert all(rig.system.rmi(0xC4000161, rig.vmm.vm.rd, ipa, 3)[2] == 1 for ipa in rig.vmm.vm.stage2.data)
        rig.machine.restore(before)
        assert rig.finish().console == plain.console

    def test_too_little(self, rigs: Callable[..., Rig]) -> None:
        """A limit that leaves a Realm no room for its pages ends the run, or is refused."""
        rig = rigs()
        rig.pager.limit = 60
        result = rig.finish()
        assert result.status == EXIT_FAILED and "too few to get on" in result.message


class TestOptions:
    """What must go together, and files that cannot be."""

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"memory_limit": 4 << 20}, "`memory_limit` must go with `swap`"),
            ({"swap": "file"}, "`swap` must go with `memory_limit`"),
            ({"memory_limit": 1 << 20, "swap": "file"}, "`memory_limit` must be at least 2M"),
            ({"memory_limit": (4 << 20) + 1, "swap": "file"}, "a multiple of 4 KiB, not 4194305"),
        ],
    )
    def test_together(self, rigs: Callable[..., Rig], options: Any, message: str) -> None:
        """Neither option means anything alone."""
        rig = rigs(limited=False, build=False, **options)
        with pytest.raises(MachineError, match=message):
            rig.vmm.build()

    def test_without_the_extension(self, tmp_path: Path) -> None:
        """An RMM that takes no pages out."""
        machine = Machine(Board.load("fvp"))
        system = System(machine)
        boot(machine, rmm=Rmm(machine), ns_program=system)
        options = RunOptions(payload=find_payload("hello"), memory_limit=LIMIT, swap=tmp_path / "swap")
        vmm = Vmm(system, options)
        with pytest.raises(MachineError, match="add paging to `extensions`"):
            vmm.build()
        assert system.delegated == system.pages.used == 0
        assert not (tmp_path / "swap").exists()
        machine.close()

    def test_not_ours(self, tmp_path: Path) -> None:
        """A file with something else in it is not overwritten."""
        path = tmp_path / "thesis"
        path.write_bytes(b"ten years of work")
        with pytest.raises(MachineError, match="must be a new file or a swap file, for it is overwritten"):
            SwapFile(str(path))
        assert path.read_bytes() == b"ten years of work"

    def test_no_file(self, tmp_path: Path) -> None:
        """Folders, pipes, devices, paths that lead nowhere, names that cannot be."""
        os.mkfifo(tmp_path / "pipe")
        for name, message in (
            (tmp_path, "Is a directory"),
            (tmp_path / "pipe", "must be a plain file"),
            ("/dev/zero", "must be a plain file"),
            (tmp_path / "none" / "swap", "No such file"),
            ("a\0b", "has a name that no file can have"),
            (tmp_path / ("x" * 300), "too long"),
        ):
            with pytest.raises(MachineError, match=message):
                SwapFile(str(name))

    def test_another_machine_s(self, tmp_path: Path) -> None:
        """A file is one machine's alone, as long as it is open."""
        path = str(tmp_path / "swap")
        file = SwapFile(path)
        with pytest.raises(MachineError, match="must be one machine's alone"):
            SwapFile(path)
        file.close()
        SwapFile(path).close()


class TestSlots:
    """The slots of a file."""

    def test_model(self, tmp_path: Path) -> None:
        """Any sequence of takes, gives and writes: a slot has what was written last, and no two pages share one."""
        source, file, held = random.Random(7), SwapFile(str(tmp_path / "swap")), dict[int, tuple[bytes, bytes]]()
        for number in range(3000):
            if held and source.random() < 0.45:
                slot = source.choice(sorted(held))
                assert file.read(slot) == held.pop(slot)
                file.give(slot)
            else:
                slot = file.take()
                assert slot not in held
                held[slot] = (number.to_bytes(8, "little") * 512, number.to_bytes(16, "big"))
                file.write(slot, *held[slot])
        assert all(file.read(slot) == content for slot, content in held.items())
        assert (tmp_path / "swap").stat().st_size < (len(held) + 300) * GRANULE_SIZE * 2
        file.close()

    def test_pinned(self, tmp_path: Path) -> None:
        """What a saved state names is never written again."""
        file = SwapFile(str(tmp_path / "swap"))
        slots = [file.take() for _ in range(300)]
        for slot in slots[:150]:
            file.give(slot)
        file.pin()
        assert not set(slots) & {file.take() for _ in range(300)}
        for slot in slots[150:]:
            file.give(slot)
        assert file.take() not in slots
        file.close()

    def test_following(self) -> None:
        """The next page of a map, over chunks without any."""
        pages = PageMap()
        for address in (0x1000, 0x5000, 0x8000_0000, 0x8020_0000, 0x80FF_F000):
            pages[address] = 0x4000
        found, at = [], 0
        while (at := pages.following(at)) is not None:
            found.append(at)
            at += GRANULE_SIZE
        assert found == [0x1000, 0x5000, 0x8000_0000, 0x8020_0000, 0x80FF_F000]
