"""What the Host answers to an abort: emulated accesses and injected external aborts."""

from collections.abc import Callable
from typing import Any

import pytest
from exit_records import (
    BOTH,
    MISSING,
    MMIO,
    SEA,
    UNPROTECTED,
    at,
)
from realm_code import CALL, REPORT, load, reported, with_vectors
from rmm_host import PAGE, RAM

from cca_arch.rmi.v1_0 import Rmi, RmiStatus

ONES = (1 << 64) - 1
Running = Callable[..., Any]


VALUE = 0x8182_8384_8586_8788
LOADS = {
    "ldrb w3": (1, 0, VALUE & 0xFF), "ldrh w3": (2, 0, VALUE & 0xFFFF), "ldr w3": (4, 0, VALUE & 0xFFFF_FFFF),
    "ldr x3": (8, 1, VALUE), "ldrsb w3": (1, 0, 0xFFFF_FF88), "ldrsb x3": (1, 1, 0xFFFF_FFFF_FFFF_FF88),
    "ldrsh w3": (2, 0, 0xFFFF_8788), "ldrsh x3": (2, 1, 0xFFFF_FFFF_FFFF_8788),
    "ldrsw x3": (4, 1, 0xFFFF_FFFF_8586_8788), "ldar w3": (4, 0, VALUE & 0xFFFF_FFFF), "ldarb w3": (1, 0, 0x88),
    "ldrb wzr": (1, 0, None), "ldr xzr": (8, 1, None), "ldrsw xzr": (4, 1, None),
}  # fmt: skip
STORES = {
    "strb w3": 0x88, "strh w3": 0x7788, "str w3": 0x5566_7788, "str x3": 0x1122_3344_5566_7788, "stlr w3": 0x5566_7788,
    "strb wzr": 0, "str xzr": 0,
}  # fmt: skip


class TestEmulated:
    """Emulatable Data Aborts, there and back."""

    @pytest.mark.parametrize("instruction", sorted(LOADS))
    def test_load(self, running: Running, instruction: str) -> None:
        """SAS and SF say what was asked; the register gets gprs[0] cut and extended; the others keep what they had."""
        size, sf, value = LOADS[instruction]
        source = at(UNPROTECTED + 0x40, f"{instruction}, [x9]")
        realm = running(f"{source}; mov x5, x9; mov x6, x10; {REPORT}")
        exit = realm.enter()
        assert (exit.esr >> 22 & 3, exit.esr >> 15 & 1, exit.esr >> 24 & 1) == (size.bit_length() - 1, sf, 1)
        assert exit.esr & (1 << 21 | 31 << 16 | 1 << 14 | 1 << 6) == 0  # SSE, SRT, AR, WnR
        got = reported(realm.enter(flags=MMIO, gprs=(VALUE, *(0xBAD,) * 30)))
        assert got[3] == (0x1122_3344_5566_7788 if value is None else value)
        assert got[5:7] == (UNPROTECTED + 0x40, 0x5EC2_E70A)

    @pytest.mark.parametrize("instruction", sorted(STORES))
    def test_store(self, running: Running, instruction: str) -> None:
        """gprs[0] is Rt cut to the size; the instruction is done, whatever the Host gives."""
        realm = running(f"{at(UNPROTECTED + 0x40, f'{instruction}, [x9]')}; {REPORT}")
        exit = realm.enter()
        assert (exit.gprs[0], exit.esr >> 6 & 1) == (STORES[instruction], 1)
        assert not any(exit.gprs[1:])
        assert reported(realm.enter(flags=MMIO, gprs=(0xBAD,) * 31))[3] == 0x1122_3344_5566_7788

    def test_once(self, running: Running) -> None:
        """The exit that was answered cannot be answered again."""
        realm = running(f"{at(UNPROTECTED, 'ldr w3, [x9]')}; {REPORT}")
        realm.enter()
        reported(realm.enter(flags=MMIO))
        refused = realm.host.status(Rmi.REC_ENTER, realm.recs[0], realm.prepare(flags=MMIO))
        assert refused == (RmiStatus.ERROR_REC, 0)

    def test_repeated(self, running: Running) -> None:
        """Entered without flags, the access exits again, and can still be emulated."""
        realm = running(f"{at(UNPROTECTED, 'ldr w3, [x9]')}; {REPORT}")
        first = realm.enter()
        second = realm.enter()
        assert (first.esr, first.hpfar) == (second.esr, second.hpfar)
        assert reported(realm.enter(flags=MMIO, gprs=(7,)))[3] == 7

    def test_failed_entry_keeps_it(self, running: Running) -> None:
        """A refused entry does not use the abort up."""
        realm = running(f"{at(UNPROTECTED, 'ldr w3, [x9]')}; {REPORT}")
        realm.enter()
        refused = realm.host.status(Rmi.REC_ENTER, realm.recs[0], realm.prepare(flags=MMIO, gicv3_hcr=1))
        assert refused == (RmiStatus.ERROR_REC, 0)
        assert reported(realm.enter(flags=MMIO, gprs=(7,)))[3] == 7

    def test_not_emulatable(self, running: Running) -> None:
        """A pair has no syndrome: emul_mmio is RMI_ERROR_REC."""
        realm = running(at(UNPROTECTED, "ldp x3, x4, [x9]"))
        realm.enter()
        refused = realm.host.status(Rmi.REC_ENTER, realm.recs[0], realm.prepare(flags=MMIO))
        assert refused == (RmiStatus.ERROR_REC, 0)

    def test_protected_mapped_meanwhile(self, host: Any, realm: Any, assemble: Any) -> None:
        """After an abort at a Protected IPA emul_mmio is refused, also when the page is there by now."""
        host.ok(Rmi.RTT_INIT_RIPAS, realm.rd, MISSING, MISSING + PAGE)
        realm.write(RAM, assemble(f"{at(MISSING, 'ldr w3, [x9]')}; {REPORT}"))
        realm.write(CALL, b"")
        realm.rec()
        realm.activate()
        realm.enter()
        host.ok(Rmi.DATA_CREATE_UNKNOWN, realm.rd, host.granules(), MISSING)
        assert host.status(Rmi.REC_ENTER, realm.recs[0], realm.prepare(flags=MMIO)) == (RmiStatus.ERROR_REC, 0)
        assert reported(realm.enter())[3] == 0


class TestInjected:
    """Synchronous external aborts that the Host asks for."""

    @pytest.mark.parametrize("flags", [SEA, BOTH])
    @pytest.mark.parametrize("instruction", ["ldr w3, [x9]", "str w3, [x9]", "ldp x3, x4, [x9]", "ldrsb x3, [x9], #1"])
    def test_sea(self, running: Running, instruction: str, flags: int) -> None:
        """With and without a syndrome; the SEA wins over emul_mmio; FAR is whole; the access is not done."""
        realm = running(with_vectors(f"{load('x9', UNPROTECTED + 0xAB8)}; {instruction}"))
        realm.enter()
        esr, far, elr, spsr, vector = reported(realm.enter(flags=flags, gprs=(ONES,)))[:5]
        assert (esr >> 26, esr & 0x3F, esr >> 9 & 1, esr >> 10 & 1, esr >> 7 & 1) == (0x25, 0x10, 1, 0, 0)
        assert (far, vector, spsr & 0xF) == (UNPROTECTED + 0xAB8, 0x200, 5)
        assert RAM < elr < RAM + 0x100

    @pytest.mark.parametrize("kind", ["protected", "host_call"])
    def test_no_effect(self, host: Any, realm: Any, assemble: Any, kind: str) -> None:
        """After any other exit the flag alone does nothing; with emul_mmio it is refused."""
        access = at(MISSING, "ldr w3, [x9]") if kind == "protected" else REPORT
        host.ok(Rmi.RTT_INIT_RIPAS, realm.rd, MISSING, MISSING + PAGE)
        realm.write(RAM, assemble(f"{access}; mov x3, #9; {REPORT}"))
        realm.write(CALL, b"")
        realm.rec()
        realm.activate()
        realm.enter()
        if kind == "protected":
            host.ok(Rmi.DATA_CREATE_UNKNOWN, realm.rd, host.granules(), MISSING)
        refused = host.status(Rmi.REC_ENTER, realm.recs[0], realm.prepare(flags=BOTH))
        assert refused == (RmiStatus.ERROR_REC, 0), "emul_mmio is an answer without a question"
        assert reported(realm.enter(flags=SEA))[3] == 9

    @pytest.mark.parametrize("flags", [MMIO, BOTH])
    def test_never_ran(self, realm: Any, host: Any, flags: int) -> None:
        """A REC that has never run has asked nothing."""
        realm.rec()
        realm.activate()
        assert host.status(Rmi.REC_ENTER, realm.recs[0], realm.prepare(flags=flags)) == (RmiStatus.ERROR_REC, 0)

    def test_from_el0(self, running: Running) -> None:
        """Taken from EL0 the class is that of a lower level, and so is the vector."""
        user = f"{load('x10', RAM + 0x80)}; msr elr_el1, x10; msr spsr_el1, xzr; eret"
        code = f"{load('x9', UNPROTECTED)}; ldr w3, [x9]"
        source = with_vectors(user)
        head, _, tail = source.partition("@0x700:")
        realm = running(f"{head} @0x80: {code} @0x700:{tail}")
        realm.enter()
        esr, far, elr, spsr, vector = reported(realm.enter(flags=SEA))[:5]
        assert (esr >> 26, far, spsr & 0xF, vector) == (0x24, UNPROTECTED, 0, 0x400)
        assert elr >= RAM + 0x80
