"""The last instruction of a Realm's address space: what comes after it is address 0."""

import struct
from typing import Any

import pytest
from exit_records import MMIO
from realm_code import load, reported
from rmm_host import PAGE, Realm, to_code

from cca_arch.rmi.v1_0 import RecEnterFlags, RecExitReason
from cca_arch.rsi.v1_0 import Rsi
from cca_arch.sysregs import Ec

WFI = RecEnterFlags.make(trap_wfi=1)


def table(**entries: int) -> bytes:
    """A page of stage 1: descriptors by their place, as in ``e511=...``."""
    page = bytearray(PAGE)
    for name, value in entries.items():
        struct.pack_into("<Q", page, 8 * int(name[1:]), value)
    return bytes(page)


@pytest.fixture
def at_the_end(realms: Any) -> Any:
    """Makes a Realm that runs one instruction at the last address, with X0 = an Unprotected IPA, and then reports."""

    def build(instruction: str, x0: int | None = None) -> Realm:
        realm: Realm = realms(rtt_level_start=1, rtt_num_start=1)
        realm.table(0, 2)
        realm.table(0, 3)
        boot = [
            f"{load('x0', 0x04_FF00)}; msr mair_el1, x0",  # index 0: Device, 1: Normal, 2: Device
            f"{load('x0', 0x5_8019_3519)}; msr tcr_el1, x0",
            f"{load('x0', 0x6000)}; msr ttbr0_el1, x0; {load('x0', 0x2000)}; msr ttbr1_el1, x0; isb",
            f"{load('x0', 0x30D0_0801)}; msr sctlr_el1, x0; isb",
            f"{load('x1', 0x1_0000)}; {load('x0', realm.unprotected if x0 is None else x0)}; mov x2, #-4; br x2",
        ]
        call = f"{load('x20', 0x7000)}; str x1, [x20, #8]; {load('x0', Rsi.HOST_CALL)}; mov x1, x20; smc #0"
        realm.write(0, to_code(call, 0))
        realm.write(0x1000, to_code("; ".join(boot), 0x1000))
        realm.write(0x2000, table(e511=0x3003))
        realm.write(0x3000, table(e511=0x4003))
        realm.write(0x4000, table(e511=0x5000 | 0x707))
        realm.write(0x5000, bytes(PAGE - 4) + to_code(instruction))
        realm.write(0x6000, table(e0=0x705, e4=realm.unprotected | 0x409))
        realm.write(0x7000, b"")
        realm.rec(pc=0x1000)
        realm.activate()
        return realm

    return build


class TestLastInstruction:
    """It goes on at address 0, whoever does the instruction."""

    @pytest.mark.parametrize(("instruction", "x1"), [("ldr x1, [x0]", 0x55), ("str x1, [x0]", 0x1_0000)])
    def test_emulated(self, at_the_end: Any, instruction: str, x1: int) -> None:
        """An emulated access."""
        realm = at_the_end(instruction)
        exit = realm.enter()
        assert (exit.exit_reason, exit.hpfar) == (RecExitReason.SYNC, realm.unprotected >> 8)
        assert reported(realm.enter(flags=MMIO, gprs=(0x55,)))[0] == x1

    def test_call(self, at_the_end: Any) -> None:
        """An SMC: RSI_VERSION gives its lower version in X1."""
        assert reported(at_the_end("smc #0", Rsi.VERSION).enter())[0] == 0x1_0000

    def test_wfi(self, at_the_end: Any) -> None:
        """A trapped WFI."""
        realm = at_the_end("wfi")
        assert realm.enter(flags=WFI).esr >> 26 == Ec.WFX
        assert reported(realm.enter())[0] == 0x1_0000

    def test_register(self, at_the_end: Any) -> None:
        """A read of an ID register, which the RMM answers; one that it hands to the Host."""
        assert reported(at_the_end("mrs x1, id_aa64pfr0_el1").enter())[0] != 0x1_0000
        realm = at_the_end("msr S3_0_C12_C11_5, x1")
        assert realm.enter().esr >> 26 == Ec.SYSREG
        assert reported(realm.enter())[0] == 0x1_0000


