"""Calls of a Secure payload: fast ones and yielding ones, with payloads in assembly at S-EL1."""

import struct
from typing import Any

import pytest
from calls import call
from ns_code import assemble, constant
from secure_code import FAST, NOTES, PREEMPT, YIELDING, notes, payload

from cca_arch.el3 import RmmEl3
from cca_arch.psci import Psci
from cca_arch.rmi.v1_0 import Rmi
from cca_arch.smccc import NOT_SUPPORTED, Smccc
from cca_arch.tsp import ABORT, PREEMPTED, RESUME, SMC64, Tsp
from cca_arch.types import SecurityState
from cca_firmware.secure.world import SecureState


class TestFast:
    @pytest.mark.parametrize("fid", [FAST, FAST | SMC64, 0xBF00_FF00, 0xFF00_0000, FAST | 1 << 16])
    def test_call(self, start: Any, fid: int) -> None:
        """Arguments arrive from X1 on, X1..X4 of the answer become X0..X3; X4 to X30 are the caller's."""
        booted = start()
        pe = booted.machine.pes[2]
        marks = list(range(0x500, 0x500 + 27))
        pe.x[4:31] = memoryview(struct.pack("<27Q", *marks)).cast("B").cast("Q")
        assert call(pe, fid, 0x111, 0x222, 0x333)[:4] == [0, 0x111, 0x222, 0x333]
        assert pe.x[4:31].tolist() == marks
        assert (pe.security, pe.el) == (SecurityState.NON_SECURE, 2)

    def test_all_arguments(self, start: Any) -> None:
        """X0 to X7 reach the payload."""
        booted = start(payload(fast=f"{constant('x9', NOTES)} stp x0, x1, [x9]; stp x6, x7, [x9, #16];"))
        call(booted.pe, FAST, 1, 2, 3, 4, 5, 6, 7)
        assert notes(booted, 4) == [FAST, 1, 6, 7]

    def test_registers_kept(self, start: Any) -> None:
        """The payload finds its general and system registers as it left them, whatever runs meanwhile."""
        code = payload(
            start=f"{constant('x20', 0x77)} msr tpidr_el1, x20; mov sp, x20; {constant('x28', 0xABCD)}",
            fast="mov x1, x28; mrs x2, tpidr_el1; mov x3, sp; mrs x4, tpidr_el0; msr tpidr_el0, x2;",
        )
        booted = start(code)
        pe = booted.pe
        pe.write_sysreg("tpidr_el1", 0x1234)
        assert call(pe, FAST)[:4] == [0xABCD, 0x77, 0x77, 0]
        call(pe, Rmi.VERSION)
        assert call(pe, FAST)[:4] == [0xABCD, 0x77, 0x77, 0x77]
        assert (pe.read_sysreg("tpidr_el1"), pe.read_sysreg("tpidr_el0")) == (0x1234, 0)

    @pytest.mark.parametrize("fid", [0xB100_2000, 0xB202_2000, 0x8000_8000, 0xB000_0000 - 1, *Tsp])
    def test_not_for_the_payload(self, start: Any, fid: int) -> None:
        """Other owners, reserved bits and the payload's own functions are unknown to Non-secure software."""
        assert call(start().pe, fid, 1, 2, 3) == [NOT_SUPPORTED, 1, 2, 3, 0]

    def test_arguments_again(self, start: Any) -> None:
        """GET_ARGS gives the payload the first two arguments of the call once more."""
        code = payload(fast=f"mov x9, x0; {constant('x0', Tsp.GET_ARGS)} smc #0; mov x2, x1; mov x1, x0; mov x0, x9;")
        assert call(start(code).pe, FAST, 0x55, 0x66)[:2] == [0x55, 0x66]

    @pytest.mark.parametrize(
        "fid",
        [Rmi.VERSION, RmmEl3.GTSI_DELEGATE, RmmEl3.RMI_REQ_COMPLETE, Psci.SYSTEM_OFF, Psci.CPU_ON_64, RESUME, FAST + 1,
         Tsp.ENTRY_DONE, Tsp.ON_DONE, Tsp.OFF_DONE, Tsp.PREEMPTED, Tsp.ABORT_DONE, Tsp.HANDLED_S_EL1_INTR],
        ids=lambda fid: getattr(fid, "name", hex(fid)),
    )  # fmt: skip
    def test_denied_to_the_payload(self, start: Any, fid: int) -> None:
        """In a fast call the payload may do nothing but answer: other worlds' functions are unknown to it."""
        code = payload(fast=f"mov x9, x0; {constant('x0', fid)} smc #0; mov x1, x0; mov x0, x9;")
        booted = start(code)
        assert call(booted.pe, FAST)[0] == NOT_SUPPORTED
        assert booted.machine.stopped is None

    def test_smccc_for_the_payload(self, start: Any) -> None:
        """SMCCC_VERSION is everybody's."""
        code = payload(fast=f"mov x9, x0; {constant('x0', Smccc.VERSION)} smc #0; mov x1, x0; mov x0, x9;")
        assert call(start(code).pe, FAST)[0] == 0x10005

    def test_no_el2(self, start: Any) -> None:
        """There is no S-EL2: HVC is undefined at S-EL1, and HCR_EL2 of the Host traps nothing there."""
        vectors = (
            "vectors: .skip 0x200; mrs x1, esr_el1; mrs x2, currentel; mov x0, x9;"
            "mov x3, #0; mov x4, #0; smc #0; b never;"
        )
        code = payload(
            fast="adr x9, vectors; msr vbar_el1, x9; isb; mov x9, x0; mrs x3, id_aa64pfr0_el1; wfi; hvc #7;",
            more=f".balign 2048; {vectors}",
        )
        booted = start(code)
        booted.pe.set_el2(hcr=0x8008_6000 | 1 << 18 | 1, vtcr=0, vttbr=0, vmpidr=0)
        booted.pe.raise_serror()  # an interrupt that ends WFI
        assert call(booted.pe, FAST)[:2] == [1 << 25, 1 << 2]

    @pytest.mark.parametrize(("ns_el", "ec"), [(1, 0x00), (2, 0x16)])
    def test_hvc_of_the_caller(self, start: Any, ns_el: int, ec: int) -> None:
        """Without EL2 software HVC is undefined at Non-secure EL1, with it goes to EL2, also after a call."""
        source = f"""{constant("x19", 0x8900_0000)} {constant("x0", FAST)} mov x1, #0x77; smc #0; stp x0, x1, [x19];
            adr x2, vectors; msr vbar_el{ns_el}, x2; isb; hvc #0;
            .balign 2048; vectors: .skip 0x200; mrs x2, esr_el{ns_el}; str x2, [x19, #16];
            {constant("x0", Psci.SYSTEM_OFF)} smc #0;"""
        booted = start(ns_image=assemble(source), ns_el=ns_el)
        assert booted.machine.run(100_000) == "system off"
        x0, x1, esr = struct.unpack("<3Q", booted.machine.memory.backdoor.read(0x8900_0000, 24))
        assert (x0, x1, esr >> 26) == (0, 0x77, ec)

    @pytest.mark.parametrize("pa", [0x8800_0000, 0xFDC0_0000, 0xFFC0_0000], ids=["NS", "Realm", "Root"])
    def test_memory_of_others(self, start: Any, pa: int) -> None:
        """A Secure access to another world's granule is a GPF, at the payload's own vector."""
        vectors = "vectors: .skip 0x200; mrs x1, esr_el1; mrs x2, far_el1; mov x0, x9; smc #0; b never;"
        code = payload(
            fast=f"adr x9, vectors; msr vbar_el1, x9; isb; mov x9, x0; {constant('x3', pa)} ldr x3, [x3];",
            more=f".balign 2048; {vectors}",
        )
        esr, far, *_ = call(start(code).pe, FAST)
        assert (esr >> 26, esr & 0x3F, far) == (0x25, 0x28, pa)


class TestYielding:
    def test_call(self, start: Any) -> None:
        """Without an interrupt it is as a fast call."""
        assert call(start().pe, YIELDING, 1, 2, 3)[:4] == [0, 1, 2, 3]

    def test_preempted(self, start: Any) -> None:
        """The caller gets PREEMPTED, and its other registers; RESUME returns the results; each PE does so by itself."""
        code = payload(yielding=f"mov x20, x0; mov x21, x1; {PREEMPT} mov x0, x20; mov x1, x21; mov x2, #5;")
        booted = start(code)
        one, two = booted.machine.pes[:2]
        assert call(one, YIELDING, 0x11, 0x22)[:3] == [PREEMPTED, 0x11, 0x22]
        assert call(two, YIELDING, 0x33)[0] == PREEMPTED
        assert booted.firmware.secure.state[:3] == [SecureState.PREEMPTED] * 2 + [SecureState.IDLE]
        assert call(one, RESUME)[:2] == [0x11, 5]
        assert call(two, RESUME | SMC64)[:2] == [0x33, 5]
        assert call(one, RESUME)[0] == NOT_SUPPORTED

    def test_nothing_else_meanwhile(self, start: Any) -> None:
        """While a call is preempted, its PE makes no other."""
        pe = start(payload(yielding=f"mov x9, x0; {PREEMPT} mov x0, x9;")).pe
        call(pe, YIELDING)
        assert call(pe, FAST, 7)[:2] == [NOT_SUPPORTED, 7]
        assert call(pe, YIELDING, 7)[:2] == [NOT_SUPPORTED, 7]
        assert call(pe, Rmi.VERSION)[0] == 0

    def test_abort(self, start: Any) -> None:
        """ABORT enters the payload at its vector; afterwards it is idle."""
        code = payload(yielding=PREEMPT, aborted=f"{constant('x9', NOTES)} str x0, [x9];")
        booted = start(code)
        assert call(booted.pe, ABORT)[0] == NOT_SUPPORTED
        call(booted.pe, YIELDING)
        assert call(booted.pe, ABORT)[0] == 0
        assert notes(booted, 1) == [ABORT]
        assert call(booted.pe, RESUME)[0] == NOT_SUPPORTED
        assert call(booted.pe, FAST, 1)[1] == 1

    def test_snapshot(self, start: Any) -> None:
        """A snapshot keeps what is preempted."""
        booted = start(payload(yielding=f"mov x20, x0; {PREEMPT} mov x0, x20; mov x1, #9;"))
        call(booted.pe, YIELDING)
        snapshot = booted.machine.snapshot()
        for _ in range(2):
            assert call(booted.pe, RESUME)[0] == 9
            assert call(booted.pe, FAST, 1)[1] == 1
            booted.machine.restore(snapshot)
        assert booted.firmware.secure.state[0] is SecureState.PREEMPTED
