"""What a running Realm raises: aborts by the state of the IPA, traps, WFI, interrupts, debug registers."""

from collections.abc import Callable
from typing import Any

import pytest
from exit_records import (
    UNPROTECTED,
)
from realm_code import REPORT, VECTORS, load, reported, smc, with_vectors
from rmm_host import PAGE, RAM

from cca_arch.descriptors.rtte import HOST_NORMAL
from cca_arch.rmi.v1_0 import RecEnterFlags, RecExitReason, Rmi, RmiRipas, RmiStatus
from cca_arch.rsi.v1_0 import Rsi
from cca_arch.sysregs.encodings import Encoding

BUFFER = RAM + 2 * PAGE
Running = Callable[..., Any]


class TestAborts:
    """Accesses of a Realm by the state of the IPA."""

    def test_unassigned_ram(self, running: Running, host: Any) -> None:
        """Exit SYNC without FAR and ISV; with a page there the access is done, on zeroes."""
        target = RAM + 8 * PAGE
        change = smc(Rsi.IPA_STATE_SET, target, target + PAGE, RmiRipas.RAM, 0)
        realm = running(f"{change}; {load('x9', target)}; ldr x3, [x9, #16]; {REPORT}")
        realm.enter()
        host.ok(Rmi.RTT_SET_RIPAS, realm.rd, realm.recs[0], target, target + PAGE)
        exit = realm.enter()
        assert (exit.exit_reason, exit.esr, exit.far, exit.hpfar) == (0, 0x24 << 26 | 7, 0, target >> 8)
        host.ok(Rmi.DATA_CREATE_UNKNOWN, realm.rd, host.granules(), target)
        assert reported(realm.enter())[3] == 0

    @pytest.mark.parametrize("width", ["ldrb w3", "ldrh w3", "ldr w3", "ldr x3", "ldrsb x3", "ldrsh w3"])
    def test_mmio_read(self, running: Running, width: str) -> None:
        """Emulatable: syndrome, low FAR bits and IPA to the Host; its value to the register, extended."""
        realm = running(f"{load('x9', UNPROTECTED + 0x10)}; {width}, [x9]; {REPORT}")
        exit = realm.enter()
        assert exit.exit_reason == RecExitReason.SYNC
        assert exit.esr >> 26 == 0x24 and exit.esr >> 24 & 1 and not exit.esr & ~0xFDC0_9E7F
        assert (exit.far, exit.hpfar, exit.gprs[0]) == (0x10, UNPROTECTED >> 8, 0)
        value = 0x8182_8384_8586_8788
        got = reported(realm.enter(flags=RecEnterFlags.make(emul_mmio=1), gprs=(value,)))[3]
        expected = {
            "ldrb w3": 0x88,
            "ldrh w3": 0x8788,
            "ldr w3": 0x8586_8788,
            "ldr x3": value,
            "ldrsb x3": 0xFFFF_FFFF_FFFF_FF88,
            "ldrsh w3": 0xFFFF_8788,
        }
        assert got == expected[width]

    def test_mmio_write(self, running: Running) -> None:
        """The value is in gprs[0], cut to the access size."""
        realm = running(f"{load('x9', UNPROTECTED + 4)}; {load('x3', 0x1234_5678)}; strh w3, [x9]; {REPORT}")
        exit = realm.enter()
        assert (exit.gprs[0], exit.esr >> 6 & 1, exit.far) == (0x5678, 1, 4)
        assert reported(realm.enter(flags=RecEnterFlags.make(emul_mmio=1)))[3] == 0x1234_5678

    def test_host_maps_instead(self, running: Running, host: Any) -> None:
        """Entered without flags the access is executed again, now on the Host's page."""
        realm = running(f"{load('x9', UNPROTECTED)}; ldr x3, [x9]; {REPORT}")
        realm.enter()
        realm.table(UNPROTECTED, 3)
        page = host.page(b"\x42" + bytes(7))
        host.ok(Rmi.RTT_MAP_UNPROTECTED, realm.rd, UNPROTECTED, 3, page | HOST_NORMAL)
        assert reported(realm.enter())[3] == 0x42

    def test_unmap_takes_effect(self, running: Running, host: Any) -> None:
        """After UNMAP the next access exits, whatever the TLB held."""
        access = f"{load('x9', UNPROTECTED)}; ldr x3, [x9]"
        realm = running(f"{access}; {REPORT}; {access}; {REPORT}")
        realm.table(UNPROTECTED, 3)
        host.ok(Rmi.RTT_MAP_UNPROTECTED, realm.rd, UNPROTECTED, 3, host.page(b"\x42") | HOST_NORMAL)
        assert reported(realm.enter())[3] == 0x42
        host.ok(Rmi.RTT_UNMAP_UNPROTECTED, realm.rd, UNPROTECTED, 3)
        assert realm.enter().exit_reason == RecExitReason.SYNC

    def test_destroyed(self, running: Running, host: Any) -> None:
        """A page that the Host took away exits with a Data Abort that cannot be emulated."""
        access = f"{load('x9', BUFFER)}; ldr x3, [x9, #8]"
        realm = running(f"{access}; {REPORT}; {access}; {REPORT}")
        realm.enter()
        host.ok(Rmi.DATA_DESTROY, realm.rd, BUFFER)
        exit = realm.enter()
        assert (exit.exit_reason, exit.esr, exit.far, exit.hpfar) == (0, 0x24 << 26 | 7, 0, BUFFER >> 8)
        refused = host.status(Rmi.REC_ENTER, realm.recs[0], realm.prepare(flags=RecEnterFlags.make(emul_mmio=1)))
        assert refused == (RmiStatus.ERROR_REC, 0)

    def test_empty(self, running: Running) -> None:
        """RIPAS EMPTY: a synchronous external abort to the Realm, no exit."""
        target = RAM + 9 * PAGE + 8
        realm = running(with_vectors(f"{load('x9', target)}; ldr x3, [x9]"))
        esr, far, _, spsr, vector = reported(realm.enter())[:5]
        assert (esr >> 26, esr & 0x3F, esr >> 9 & 1, far, vector) == (0x25, 0x10, 1, target, 0x200)
        assert spsr & 0xF == 5

    def test_inject_sea(self, running: Running) -> None:
        """The Host answers an access at an Unprotected IPA with an external abort; the access is not completed."""
        realm = running(with_vectors(f"{load('x9', UNPROTECTED + 0x123)}; ldrb w3, [x9]"))
        realm.enter()
        flags = RecEnterFlags.make(inject_sea=1, emul_mmio=1)
        esr, far, _, _, vector = reported(realm.enter(flags=flags))[:5]
        assert (esr >> 26, esr & 0x3F, far, vector) == (0x25, 0x10, UNPROTECTED + 0x123, 0x200)

    def test_execute_unprotected(self, running: Running, host: Any) -> None:
        """An instruction fetch from Non-secure memory is an external abort, mapped or not."""
        realm = running(with_vectors(f"{load('x9', UNPROTECTED)}; br x9"))
        realm.table(UNPROTECTED, 3)
        host.ok(Rmi.RTT_MAP_UNPROTECTED, realm.rd, UNPROTECTED, 3, host.page() | HOST_NORMAL)
        esr, far, elr = reported(realm.enter())[:3]
        assert (esr >> 26, esr & 0x3F, far, elr) == (0x21, 0x10, UNPROTECTED, UNPROTECTED)

    def test_hvc(self, running: Running) -> None:
        """HVC is Undefined, and ELR is the HVC itself."""
        realm = running(with_vectors("hvc #0"))
        esr, _, elr, _, vector = reported(realm.enter())[:5]
        assert (esr, vector) == (0x0200_0000, 0x200)
        assert elr % 4 == 0 and RAM < elr < VECTORS


class TestOtherExits:
    """WFI and WFE, interrupts, SGIs."""

    def test_wfi(self, running: Running) -> None:
        """Trapped when the Host asks for it; the instruction is done and gprs are ignored."""
        realm = running(f"mov x3, #7; wfi; {REPORT}")
        exit = realm.enter(flags=RecEnterFlags.make(trap_wfi=1))
        assert (exit.exit_reason, exit.esr) == (RecExitReason.SYNC, 1 << 26)
        assert reported(realm.enter(gprs=(99,) * 31))[3] == 7

    def test_wfe(self, running: Running) -> None:
        """A PE whose event register is set does not wait, and WFE is then not trapped (DDI 0487, HCR_EL2.TWE)."""
        realm = running(f"mov x3, #7; wfe; {REPORT}")
        assert reported(realm.enter(flags=RecEnterFlags.make(trap_wfe=1)))[3] == 7

    def test_trapped_wfe(self, running: Running) -> None:
        """One that would wait exits with TI = 1 when the Host asks for it, and is done."""
        realm = running(f"mov x3, #7; wfe; wfe; add x3, x3, #1; {REPORT}")
        exit = realm.enter(flags=RecEnterFlags.make(trap_wfe=1))
        assert (exit.exit_reason, exit.esr) == (RecExitReason.SYNC, 1 << 26 | 1)
        assert reported(realm.enter(gprs=(99,) * 31, flags=RecEnterFlags.make(trap_wfe=1)))[3] == 8

    def test_wfe_alone(self, running: Running, host: Any) -> None:
        """One that is not trapped, and that only the Host's time slice would end, is over at once."""
        realm = running(f"mov x3, #7; wfe; wfe; wfe; add x3, x3, #1; {REPORT}")
        before = host.machine.clock.now
        host.pe.host_timer(before + 1_000_000)
        assert reported(realm.enter())[3] == 8
        assert host.machine.clock.now < before + 1_000_000

    def test_wfe_waits(self, running: Running, host: Any) -> None:
        """One that an event stream ends waits for that, and time passes."""
        stream = "mov x3, #0xf4; msr cntkctl_el1, x3"  # bit 15 of the counter
        realm = running(f"{stream}; wfe; wfe; mrs x3, cntvct_el0; wfe; mrs x4, cntvct_el0; isb; {REPORT}")
        first, second = reported(realm.enter())[3:5]
        assert second - first == 1 << 16

    def test_irq(self, running: Running, host: Any) -> None:
        """The Host's timer ends the run; the Realm goes on where it was."""
        realm = running(f"mov x3, #0; mov x5, #4000; again: add x3, x3, #1; cmp x3, x5; b.ne again; {REPORT}")
        host.pe.host_timer(host.machine.clock.now + 1000)
        exit = realm.enter()
        assert (exit.exit_reason, exit.esr) == (RecExitReason.IRQ, 0)
        host.pe.host_timer(None)
        assert reported(realm.enter())[3] == 4000


class TestOutside:
    """Beyond the IPA space."""

    @pytest.mark.parametrize(("target", "fsc"), [(1 << 33, 0x10), (1 << 40, 0x10), (1 << 48, 0), (1 << 51, 0)])
    def test_data(self, running: Running, target: int, fsc: int) -> None:
        """An external abort, or an Address size fault where the PE has no such address; the Host sees nothing."""
        realm = running(with_vectors(f"{load('x9', target)}; ldr w3, [x9]"))
        esr, far, _, _, vector = reported(realm.enter())[:5]
        assert (esr >> 26, esr & 0x3F, far, vector) == (0x25, fsc, target, 0x200)


class TestDebugRegisters:
    """Debug registers are not switched between worlds: those of the PE are out of a Realm's reach."""

    def test_nothing(self, running: Running) -> None:
        """What another world left there is not read, and writes do nothing."""
        registers = ("dbgbvr0_el1", "dbgbcr0_el1", "dbgwvr0_el1", "dbgwcr0_el1")
        read = "; ".join(f"mrs x{3 + number}, {name}" for number, name in enumerate(registers))
        realm = running(f"{load('x9', 0x5EC2_E7F0)}; msr dbgbvr0_el1, x9; msr oslar_el1, x9; {read}; {REPORT}")
        debug = Encoding(2, 0, 0, 0, 4)  # DBGBVR0_EL1
        pe = realm.host.machine.pes[0]
        pe.engine.write_system(debug, 0x1234_5678)
        assert reported(realm.enter())[3:7] == (0, 0, 0, 0)
        assert pe.engine.read_system(debug) == 0x1234_5678
