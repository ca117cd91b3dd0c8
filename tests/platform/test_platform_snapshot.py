"""Going back to a snapshot restores every byte, register and device, whatever happened since."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cca_arch.types import SecurityState
from cca_platform.board import Board
from cca_platform.errors import MachineError
from cca_platform.memory.memory import Memory
from cca_platform.mmu.dram import mark_written
from cca_platform.native.block import LOGGED

DATA = 0x8012_0000
PAGES = 8
_LOOP = "loop: ldr x2, [x1]; add x2, x2, #1; str x2, [x1]; subs x3, x3, #1; b.ne loop; smc #0"


class TestRestore:
    """What a restore brings back."""

    def test_memory_written_by_code(self, bench: Any) -> None:
        """Stores of code are undone, and made again by the same run, from translated code and TLB as they were."""
        machine, raw = bench.machine, bench.machine.memory.backdoor
        bench.run(_LOOP, x1=DATA, x3=5)
        saved = machine.snapshot()
        for _ in range(3):
            assert bench.run(_LOOP, x1=DATA, x3=7)[2] == 12
            machine.restore(saved)
            assert raw.read64(DATA) == 5

    def test_registers_and_time(self, bench: Any) -> None:
        """System registers, vector registers, counter and retired instructions come back."""
        machine, pe = bench.machine, bench.pe
        bench.run("msr tpidr_el0, x1; fmov d1, x2; msr cntv_cval_el0, x3; smc #0", x1=11, x2=22, x3=33)
        saved, now, retired = machine.snapshot(), machine.clock.now, pe.retired
        bench.run("msr tpidr_el0, xzr; fmov d1, xzr; msr cntv_cval_el0, xzr; smc #0")
        machine.restore(saved)
        assert (machine.clock.now, pe.retired) == (now, retired)
        x = bench.run("mrs x1, tpidr_el0; fmov x2, d1; mrs x3, cntv_cval_el0; smc #0")
        assert x[1:4] == [11, 22, 33]

    def test_idle_pe(self, bench: Any) -> None:
        """What reaches a PE that has run nothing is undone, the second time as well: an SError, a timer, a register."""
        machine = bench.machine
        idle, saved = machine.pes[1], machine.snapshot()
        machine.restore(saved)
        before = idle.save()
        for reach in (idle.raise_serror, lambda: idle.host_timer(5), lambda: idle.x.__setitem__(3, 7), idle.reset):
            for _ in range(2):
                reach()
                machine.restore(saved)
                assert idle.save() == before

    def test_exclusive_monitor(self, bench: Any) -> None:
        """A snapshot between a load and a store exclusive keeps what the store will find."""
        machine = bench.machine
        for claim, status in (("ldxr x2, [x1]", 0), ("ldxr x2, [x1]; clrex", 1)):
            bench.run(f"{claim}; smc #0", x1=DATA)
            saved = machine.snapshot()
            for other in ("ldxr x2, [x1]; clrex; smc #0", "ldxr x2, [x1]; smc #0"):
                bench.run(other, x1=DATA)
                machine.restore(saved)
                assert bench.run("stxr w3, x2, [x1]; smc #0", x1=DATA)[3] == status
                machine.restore(saved)

    def test_debug_registers(self, bench: Any) -> None:
        """Registers that no world switch moves come back, too."""
        bench.run("msr dbgbvr1_el1, x1; smc #0", x1=DATA)
        saved = bench.machine.snapshot()
        bench.run("msr dbgbvr1_el1, xzr; smc #0")
        bench.machine.restore(saved)
        assert bench.run("mrs x1, dbgbvr1_el1; smc #0")[1] == DATA

    @pytest.mark.parametrize("locked", [0, 1])
    def test_os_lock(self, bench: Any, locked: int) -> None:
        """The OS lock is as it was: OSLSR_EL1.OSLK."""
        assert bench.run("msr oslar_el1, x1; isb; mrs x2, oslsr_el1; smc #0", x1=locked)[2] >> 1 & 1 == locked
        saved = bench.machine.snapshot()
        bench.run("msr oslar_el1, x1; isb; smc #0", x1=1 - locked)
        bench.machine.restore(saved)
        assert bench.run("mrs x2, oslsr_el1; smc #0")[2] >> 1 & 1 == locked

    def test_pending_serror(self, bench: Any) -> None:
        """An SError that waits behind its mask is taken after the restore, with its own syndrome."""
        bench.vectors()
        bench.pe.raise_serror(0x123)
        saved = bench.machine.snapshot()
        bench.pe.raise_serror(0x456)
        for value in (0x456, 0x123, 0x123):
            x = bench.run("mov x20, #0; msr daifclr, #4; isb; nop; smc #0")
            assert x[20] == 0x2F << 26 | 1 << 25 | value
            bench.machine.restore(saved)

    def test_code(self, bench: Any) -> None:
        """Code that was rewritten after the snapshot is the old code again."""
        machine = bench.machine
        bench.place(DATA, "mov x3, #1; smc #0")
        assert bench.run("br x1", x1=DATA)[3] == 1
        saved = machine.snapshot()
        bench.place(DATA, "mov x3, #2; smc #0")
        assert bench.run("br x1", x1=DATA)[3] == 2
        machine.restore(saved)
        assert bench.run("br x1", x1=DATA)[3] == 1

    def test_devices(self, bench: Any) -> None:
        """A device forgets what came after."""
        uart = bench.machine.bus.devices["uart0"]
        uart.receive(b"in")
        saved = bench.machine.snapshot()
        bench.run("mov w2, #72; str w2, [x1]; ldr w3, [x1]; smc #0", x1=0x1C09_0000)
        assert uart.output == b"H"
        bench.machine.restore(saved)
        assert uart.output == b""
        assert uart.read(0, 4) == ord("i")

    def test_line(self, bench: Any) -> None:
        """Older snapshots can be reached over newer ones, and the newer ones from there."""
        machine, raw = bench.machine, bench.machine.memory.backdoor
        saved = []
        for value in range(4):
            raw.write64(DATA + 0x1000 * value, value + 1)
            raw.write64(DATA, value + 1)
            saved.append(machine.snapshot())
        machine.restore(saved[3])
        machine.restore(saved[1])
        assert [raw.read64(DATA + 0x1000 * n) for n in range(4)] == [2, 2, 0, 0]
        machine.restore(saved[2])
        assert [raw.read64(DATA + 0x1000 * n) for n in range(4)] == [3, 2, 3, 0]
        machine.restore(saved[0])
        assert raw.read64(DATA) == 1

    def test_branches(self, bench: Any) -> None:
        """What follows a restored snapshot is a branch of its own beside what had followed it before."""
        machine, raw = bench.machine, bench.machine.memory.backdoor
        root = machine.snapshot()
        branches = []
        for value in (1, 2, 3):
            machine.restore(root)
            bench.run("msr tpidr_el0, x1; smc #0", x1=value)
            raw.write64(DATA + 0x1000 * value, value)
            branches.append(machine.snapshot())
        for value in (1, 3, 2, 1, 2):
            machine.restore(branches[value - 1])
            assert [raw.read64(DATA + 0x1000 * n) for n in (1, 2, 3)] == [n if n == value else 0 for n in (1, 2, 3)]
            assert bench.run("mrs x2, tpidr_el0; smc #0")[2] == value
        assert [one.parent for one in branches] == [root.number] * 3

    def test_repr(self, bench: Any) -> None:
        """A snapshot tells its place in the tree, its time and its size."""
        machine, raw = bench.machine, bench.machine.memory.backdoor
        first = machine.snapshot()
        raw.write64(DATA, 1)
        second = machine.snapshot()
        assert repr(first) == "<Snapshot 1 at tick 0: 1 pages>"
        assert repr(second) == "<Snapshot 2 after 1 at tick 0: 0 pages>"

    def test_other_machine(self, benches: Any) -> None:
        """A snapshot of another machine is refused."""
        one, other = benches(), benches()
        saved = one.machine.snapshot()
        other.machine.snapshot()
        with pytest.raises(ValueError, match="one of this machine"):
            other.machine.restore(saved)

    def test_gpt(self, bench: Any) -> None:
        """Granule protection is in memory and in registers: both come back, and no port remembers more."""
        machine = bench.machine
        saved = machine.snapshot()
        port = machine.memory.port(SecurityState.REALM)
        port.read64(DATA)
        bench.protect({})
        machine.restore(saved)
        assert machine.memory.gpccr == 0
        assert not port.tlb

    @settings(max_examples=60)
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("write"), st.integers(0, PAGES - 1), st.integers(0, 255)),
                st.tuples(st.just("take"), st.just(0), st.just(0)),
                st.tuples(st.sampled_from(["restore", "drop"]), st.integers(0, 5), st.just(0)),
            ),
            max_size=40,
        )
    )
    def test_any_order(self, steps: list[tuple[str, int, int]]) -> None:
        """Writes, snapshots and restores in any order, and snapshots that are dropped: memory is what a copy is."""
        from cca_platform.machine.machine import Machine

        machine = Machine(Board.load("fvp"))
        raw = machine.memory.backdoor
        model = [0] * PAGES
        kept: list[tuple[Any, list[int]]] = []
        for step, number, value in steps:
            if step == "write":
                raw.write8(DATA + number * 0x1000, value)
                model[number] = value
            elif step == "take":
                kept.append((machine.snapshot(), list(model)))
            elif kept and step == "restore":
                snapshot, model = kept[number % len(kept)]
                model = list(model)
                machine.restore(snapshot)
                del snapshot
            elif kept:
                del kept[number % len(kept)]
            assert [raw.read8(DATA + page * 0x1000) for page in range(PAGES)] == model
        machine.close()


class TestDropped:
    """Snapshots that nobody holds any more."""

    def test_pages(self, bench: Any) -> None:
        """A long line of dropped snapshots leaves the pages that the one which is held needs, once each."""
        machine, raw = bench.machine, bench.machine.memory.backdoor
        first = machine.snapshot()
        for value in range(100):
            raw.write64(DATA + 0x1000 * (value % 5), value + 1)
            machine.snapshot()
        assert len(first.node.pages) == 5
        machine.restore(first)
        assert [raw.read64(DATA + 0x1000 * n) for n in range(5)] == [0] * 5
        assert (first.node.pages, first.node.sources) == ({}, set())

    def test_freed(self, bench: Any) -> None:
        """The pages of a snapshot go with it, unless others still need them."""
        machine, raw = bench.machine, bench.machine.memory.backdoor
        line = []
        for value in range(3):
            raw.write64(DATA + 0x1000 * value, 1)
            line.append(machine.snapshot())
        nodes = [one.node for one in line]
        raw.write64(DATA, 2)
        last = machine.snapshot()
        del line[0]
        assert nodes[0].pages == {} and nodes[1].sources == set()
        del line[0]
        assert nodes[1].pages == {} and len(nodes[2].pages) == 1
        machine.restore(line[0])
        assert raw.read64(DATA) == 1
        machine.restore(last)
        assert raw.read64(DATA) == 2


class TestMemory:
    """DRAM as one sparse mapping."""

    def test_words(self) -> None:
        """Words by their number are where words by their address are, and their page counts as written."""
        memory = Memory(Board.load("fvp"))
        port, place = memory.port(SecurityState.NON_SECURE), 0x9000_0080
        port.write_words(place, [(3, 7), (0, 1 << 63)])
        assert [port.read64(place + 8 * number) for number in range(4)] == [1 << 63, 0, 0, 7]
        assert memory.dirty[memory.page_index(place)] == 1

    @pytest.mark.parametrize("count", [3, LOGGED, LOGGED + 5])
    def test_written(self, count: int) -> None:
        """The pages written since the last time are known, each once, be they few or more than the log has room for."""
        memory = Memory(Board.load("fvp"))
        port, first = memory.port(SecurityState.NON_SECURE), 0x9000_0000
        for _ in range(2):
            for page in range(count):
                port.write64(first + page * 4096, 1)
                mark_written(memory.block_address, memory.page_index(first + page * 4096))
            found = memory.written()
            assert sorted(found) == [memory.page_index(first) + page for page in range(count)]
            memory.clean(found)
            assert memory.written() == []
        memory.close()

    @pytest.mark.parametrize("name", ["fvp", "virt"])
    def test_banks(self, name: str) -> None:
        """Every bank answers from its first to its last byte, and banks do not share a byte."""
        memory = Memory(Board.load(name))
        raw = memory.backdoor
        places = [place for bank in memory.board.banks for place in (bank.base, bank.top - 8)]
        for value, place in enumerate(places):
            raw.write64(place, value + 1)
        assert [raw.read64(place) for place in places] == [value + 1 for value in range(len(places))]
        indices = [memory.page_index(place) for place in places]
        assert [memory.page_address(index) for index in indices] == [place & ~0xFFF for place in places]
        memory.close()

    def test_widths(self) -> None:
        """Each width reads back little-endian, aligned or not, across a page too."""
        memory = Memory(Board.load("fvp"))
        raw = memory.backdoor
        for at in (DATA, DATA + 3, DATA + 0xFFD):
            raw.write64(at, 0x1122_3344_5566_7788)
            assert raw.read(at, 8) == bytes.fromhex("8877665544332211")
            assert (raw.read8(at), raw.read16(at), raw.read32(at)) == (0x88, 0x7788, 0x5566_7788)
            raw.write16(at, 0xAABB)
            raw.write32(at + 4, 0xCCDD_EEFF)
            assert raw.read64(at) == 0xCCDD_EEFF_5566_AABB
            raw.zero(at, 8)
            assert raw.read64(at) == 0
        memory.close()

    def test_board_errors(self, tmp_path: Any) -> None:
        """A board that cannot be is refused in one line that says how to mend it."""
        with pytest.raises(MachineError, match=r"board must be one of fvp, virt"):
            Board.load("nonesuch")
        text = (tmp_path / "b.toml").write_text
        pe = "[pe]\nmpidrs=[0]\ncounter_hz=1\npa_bits=48\npps_bits=36\n"
        gic = "[gic]\ndistributor=0x10000\nredistributors=0x20000\nspis=32\n"
        good = f"[[dram]]\nbase=0\nsize=4096\n{gic}{pe}[boot]\nns_entry=0\n"
        for change, message in (
            ("size=4096", "size=4095"),
            ("[boot]", "[oops]"),
            ("[[dram]]\nbase=0\nsize=4096", "[[dram]]\nbase=0\nsize=8192\n[[dram]]\nbase=4096\nsize=4096"),
            ("[pe]", "[[region]]\nname='r'\nbase=0\nsize=8192\npas='root'\n[pe]"),
        ):
            text(good.replace(change, message))
            with pytest.raises(MachineError, match=r"board file .*/b\.toml: ") as error:
                Board.load(tmp_path / "b.toml")
            assert "\n" not in str(error.value)
        with pytest.raises(MachineError, match=r"board file .*missing\.toml does not exist: check the path"):
            Board.load(tmp_path / "missing.toml")
