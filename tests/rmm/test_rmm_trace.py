"""What the RMM says in the trace, and that saying it changes nothing."""

from hashlib import sha256
from typing import Any

from realm_code import with_vectors

from cca_arch.rmi.v1_0 import Rmi
from cca_arch.rsi.v1_0 import Rsi
from cca_platform.trace.trace import Record

RAM = 0x8000_0000


class Keep:
    """A sink that keeps records."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def write(self, record: Record) -> None:
        """Keep one."""
        self.records.append(record)

    def close(self) -> None:
        """Nothing to close."""

    def named(self, event: str) -> list[Record]:
        """The records of one event."""
        return [record for record in self.records if record["event"] == event]


def traced(host: Any) -> Keep:
    """Trace the machine from now on."""
    sink = Keep()
    host.machine.trace.add(sink)
    return sink


class TestEvents:
    """Events carry arguments, results and objects under the specification's names."""

    def test_command(self, host: Any) -> None:
        """rmi.call and rmi.return, with the failure condition that was met."""
        sink = traced(host)
        host.call(Rmi.GRANULE_DELEGATE, 0x9000_0001)
        host.machine.trace.close()
        call, answer = sink.named("rmi.call")[0], sink.named("rmi.return")[0]
        assert (call["cmd"], call["args"]) == ("GRANULE_DELEGATE", {"addr": "0x90000001"})
        assert (answer["status"], answer["failed"]) == ("ERROR_INPUT", "gran_align")

    def test_ripas(self, host: Any, realm: Any) -> None:
        """RIPAS RAM in a result has its name."""
        host.ok(Rmi.DATA_CREATE, realm.rd, host.granules(), RAM, host.page(), 0)
        sink = traced(host)
        host.ok(Rmi.RTT_READ_ENTRY, realm.rd, RAM, 3)
        host.machine.trace.close()
        assert sink.named("rmi.return")[0]["results"]["ripas"] == "RAM"

    def test_granules_and_tables(self, host: Any, realm: Any) -> None:
        """granule.transition, rtt.edit and measurement.extend of one RMI_DATA_CREATE."""
        data, src = host.granules(), host.page()
        sink = traced(host)
        host.ok(Rmi.DATA_CREATE, realm.rd, data, RAM, src, 1)
        host.machine.trace.close()
        moved, edit = sink.named("granule.transition")[0], sink.named("rtt.edit")[0]
        assert (moved["pa"], moved["old"], moved["new"]) == (hex(data), "DELEGATED", "DATA")
        assert (edit["old"], edit["new"], edit["level"]) == ("UNASSIGNED,EMPTY", "ASSIGNED,RAM", 3)
        assert (edit["state"], edit["ripas"]) == ("ASSIGNED", "RAM")
        assert host.peek.read64(int(edit["rtt"], 16)) & 0xFFFF_FFFF_F000 == data
        extended = sink.named("measurement.extend")[0]
        assert extended["value"] == realm.rim[:32].hex()
        assert extended["digest"] == sha256(bytes(4096)).hexdigest()

    def test_part_of_a_command(self, host: Any, realm: Any) -> None:
        """A transition names its command beside the part of it that is the input."""
        sink = traced(host)
        realm.rec()
        host.machine.trace.close()
        inputs = {record["input"] for record in sink.named("granule.transition")}
        assert "REC_CREATE.aux" in inputs
        assert all(r["cmd"] == r["input"].partition(".")[0] for r in sink.named("granule.transition"))

    def test_realm(self, host: Any, running: Any) -> None:
        """rec.enter, rsi.call, rsi.return and rec.exit."""
        realm = running("movz x0, #0x190; movk x0, #0xc400, lsl #16; movz x1, #1, lsl #16; smc #0; wfi")
        sink = traced(host)
        realm.enter(flags=4)
        host.machine.trace.close()
        assert sink.named("rec.enter")[0]["rec"] == hex(realm.recs[0])
        assert sink.named("rsi.call")[0]["cmd"] == Rsi.VERSION.name
        assert sink.named("rsi.return")[0]["results"] == {"lower": "0x10000", "higher": "0x10000"}
        assert sink.named("rec.exit")[0]["reason"] == "SYNC"
        assert "ipa" not in sink.named("rec.exit")[0]

    def test_page_of_an_exit(self, host: Any, running: Any) -> None:
        """rec.exit names the page that the Realm did not reach."""
        page = 0x8000_2000
        realm = running("movz x9, #0x8000, lsl #16; movk x9, #0x2000; ldr x3, [x9, #0x10]")
        host.ok(Rmi.DATA_DESTROY, realm.rd, page)
        sink = traced(host)
        realm.enter()
        host.machine.trace.close()
        found = sink.named("rec.exit")[0]
        assert (found["reason"], found["ipa"]) == ("SYNC", hex(page))

    def test_virtual_interrupt(self, host: Any, running: Any) -> None:
        """interrupt.take tells that the interrupt of a list register is virtual, and which it is."""
        open_all = "mov x9, #0xf0; msr S3_0_C4_C6_0, x9; mov x9, #1; msr S3_0_C12_C12_7, x9; isb; msr daifclr, #2; nop"
        realm = running(with_vectors(open_all))
        sink = traced(host)
        realm.enter(gicv3_lrs=(1 << 62 | 1 << 60 | 0xA0 << 48 | 50, *(0,) * 15))
        host.machine.trace.close()
        (found,) = sink.named("interrupt.take")
        assert (found["kind"], found["target"], found["virtual"], found["intid"]) == ("IRQ", "0x1", True, 50)
