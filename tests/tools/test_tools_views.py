"""Looking at a machine: granules, a Realm's tables and RECs, out of memory."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ns_code import FOREVER, assemble, constant

from realmlab import Machine, MachineError, NsImage, NsMachine, RttView
from realmlab.views import RecRegisters

RAM = 0x8000_0000


class TestGranule:
    """What the GPT and the RMM say of a granule."""

    def test_states(self) -> None:
        """Each granule of a Realm, and what is nobody's."""
        with Machine() as machine, machine.realm("hello") as realm:
            rd, rec = machine.granule(realm.rd), machine.granule(realm.rec.pa)
            assert (rd.state, rec.state) == ("RD", "REC") and rd.gpi is not None and rd.gpi.name == "REALM"
            page = machine.granule(realm.rtt.translate(RAM) + 0x10)
            assert repr(page) == f"<Granule {page.pa:#x}: GPT REALM, RMM DATA>" and len(page.data) == 4096
            free = machine.granule(0x9000_0000)
            assert repr(free) == "<Granule 0x90000000: GPT NON_SECURE, RMM UNDELEGATED>"
            root = machine.granule(machine.platform.board.region("root").base)
            assert (root.state, root.gpi is not None and root.gpi.name) == (None, "ROOT")
            was = rd.pa
            realm.destroy()
            assert machine.granule(was).state == "UNDELEGATED"


class TestRtt:
    """A Realm's translation tables."""

    def test_walk(self) -> None:
        """From the starting level down to the page, which has the payload."""
        with Machine() as machine, machine.realm("hello") as realm:
            walk = realm.rtt.walk(RAM)
            assert [entry.level for entry in walk] == list(range(realm.rtt.level, walk[-1].level + 1))
            assert walk[-1].state == "ASSIGNED,RAM" and walk[-1].maps and not walk[-1].ns
            assert all(entry.table == below.at & -4096 for entry, below in pairwise(walk))
            assert realm.read(RAM, 4) == machine.granule(realm.rtt.translate(RAM)).data[:4]
            hole = realm.rtt[RAM + (32 << 20)]
            assert hole.state == "UNASSIGNED,RAM" and hole.pa is None
            with pytest.raises(MachineError, match=r"must be mapped, not UNASSIGNED,RAM \(level \d\)"):
                realm.rtt.translate(RAM + (32 << 20))
            with pytest.raises(MachineError, match="an IPA must have 33 bits"):
                realm.rtt.walk(1 << 33)

    def test_both_ways(self) -> None:
        """VTTBR_EL2 of the PE that runs it and its RD lead to the same tables."""
        with Machine() as machine, machine.realm("hello") as realm:
            before = realm.rtt
            realm.step()
            running = realm.rtt
            assert (before.base, before.level, before.ipa_width) == (running.base, running.level, running.ipa_width)
            assert repr(before) == repr(running)

    def test_runs(self) -> None:
        """The repr has a row for each run, which together are the IPA space; what the Realm shares is there."""
        with Machine() as machine, machine.realm("hello") as realm:
            realm.run(until="Hello")
            at = 0
            for entry, size in realm.rtt.runs():
                assert entry.ipa == at
                at += size
            assert at == 1 << 33
            text = repr(realm.rtt)
            assert text.startswith("<stage 2 at 0x") and "UNASSIGNED_NS" in text and "ASSIGNED,RAM  -> 0x" in text

    def test_memory(self) -> None:
        """Memory is read and written by IPA, over pages; a write that would miss writes nothing."""
        with Machine() as machine, machine.realm("hello") as realm:
            realm.write(RAM + 0xFFE, b"pages")
            assert realm.read(RAM + 0xFFE, 5) == b"pages"
            with pytest.raises(MachineError, match="must be mapped"):
                realm.write(RAM - 2, b"miss")

    def test_virtual(self) -> None:
        """What the code sees under its own stage 1 is what its tables lead to."""
        with Machine() as machine, machine.realm("el0") as realm:
            realm.break_on("main")
            realm.run()
            cpu = realm.vcpus[0].cpu
            assert cpu is not None and cpu.regs.sctlr_el1 & 1
            assert cpu.physical(cpu.pc) == realm.rtt.translate(cpu.pc)
            assert cpu.read(cpu.pc, 16) == realm.read(cpu.pc, 16)
            cpu.write(cpu.regs.sp - 8, b"stack...")
            assert realm.read(cpu.regs.sp - 8, 8) == b"stack..."

    def test_vm(self) -> None:
        """The stage 2 of a VM under real EL2 code, without an RMM that has a word for it."""
        table = 0x9000_0000
        setup = f"{constant('x0', 0x80023558)} msr vtcr_el2, x0; {constant('x1', table)} msr vttbr_el2, x1; {FOREVER}"
        with NsMachine(NsImage(assemble(setup))) as machine:
            machine.run(max_insns=100)
            machine.write(table + 16, (0x8000_0000 | 0x7FD).to_bytes(8, "little"))
            view = RttView.of_cpu(machine.cpus[0])
            assert (view.base, view.level, view.ipa_width) == (table, 1, 40)
            assert view[0x8000_0000].state == "MAPPED" and view.translate(0x8123_4567) == 0x8123_4567
            assert view[0].state == "INVALID"


class TestRec:
    """A REC between two entries, and its Realm."""

    def test_registers(self, tmp_path: Path) -> None:
        """Before the first entry they are the host's, and what is written is what the code finds."""
        path = tmp_path / "payload.bin"
        path.write_bytes(assemble("add x0, x1, #1; b .", RAM))
        with Machine() as machine, machine.realm(path) as realm:
            vcpu = realm.vcpus[0]
            assert isinstance(vcpu.regs, RecRegisters)
            assert vcpu.regs.pc == RAM and "x30 0x" in repr(vcpu.regs) and "sp_el1" in dir(vcpu.regs)
            vcpu.regs.x1, vcpu.regs.v2 = 41, 1 << 100
            realm.step()
            assert (vcpu.regs.x0, vcpu.regs.v2) == (42, 1 << 100)
            with pytest.raises(AttributeError, match="did you mean"):
                realm.rec.regs.x31  # noqa: B018 (the access is what raises)

    def test_facts(self) -> None:
        """State and what the next entry answers."""
        with Machine() as machine, machine.realm("hello", vcpus=2, rpv="c0ffee") as realm:
            assert (realm.rec.state, realm.rec.pending, realm.rec.facts.index) == ("READY", (), 0)
            assert repr(realm.vcpus[1].rec).endswith("READY, not runnable>")
            realm.run(until="Hello")
            assert realm.rec.pending == ("HOST_CALL",) and "answers HOST_CALL next" in repr(realm.rec)
            facts = realm.facts
            assert (facts.state, facts.num_recs, facts.rpv[:3].hex()) == ("ACTIVE", 2, "c0ffee")
            assert len(facts.rim) == 32 and any(facts.rim) and len(facts.rems) == 4
            inspector: Any = machine.inspector
            assert inspector.realms() == [realm.rd] and inspector.recs(realm.rd) == [v.rec.pa for v in realm.vcpus]
            rec = realm.rec
            realm.destroy()
            with pytest.raises(MachineError, match=r"must be a REC: granule .* must be REC, not UNDELEGATED"):
                rec.state  # noqa: B018 (the access is what raises)

    def test_running(self) -> None:
        """While a PE has it, it is RUNNING, and the registers are the PE's."""
        with Machine() as machine, machine.realm("hello") as realm:
            realm.step(5)
            assert realm.rec.state == "RUNNING" and realm.vcpus[0].regs.pc != realm.rec.regs.pc

    def test_no_inspector(self) -> None:
        """An RMM that tells nothing: registers and tables of a Realm that runs are seen, the rest says why not."""
        with Machine() as machine, machine.realm("hello") as realm:
            realm.step()
            machine.inspector = None
            assert realm.vcpus[0].regs.pc and realm.rtt[RAM].state == "MAPPED" and realm.read(RAM, 4)
            assert machine.granule(realm.rd).state is None
            with pytest.raises(MachineError, match="this one brings no inspector"):
                realm.facts  # noqa: B018 (the access is what raises)
