"""The Secure payload dispatcher: interrupts of the Secure world, and a payload that says anything at any time."""

import random
import struct
from typing import Any

import pytest
from calls import call
from ns_code import assemble, constant
from secure_code import BASE, FAST, NOTES, PREEMPT, YIELDING, notes, payload

from cca_arch.el3 import RmmEl3
from cca_arch.ffa import Ffa
from cca_arch.psci import Psci
from cca_arch.rmi.v1_0 import Rmi
from cca_arch.smccc import Smccc
from cca_arch.tsp import ABORT, PREEMPTED, RESUME, Tsp
from cca_arch.types import SecurityState
from cca_firmware.secure.world import SecureState
from cca_platform.errors import InstructionLimit


class TestInterrupt:
    def test_of_the_secure_world(self, start: Any) -> None:
        """A Secure interrupt enters the payload from the Non-secure world, which goes on as if nothing had been."""
        code = payload(
            interrupt=f"{constant('x9', NOTES)} str x0, [x9]; mrs x1, s3_0_c12_c12_0; str x1, [x9, #8];"
            "msr s3_0_c12_c12_1, x1;",
            cpu_on="mov x1, #1; msr s3_0_c12_c12_7, x1;",
            start="mov x1, #1; msr s3_0_c12_c12_7, x1;",
        )
        source = f"{constant('x5', 1000)} again: subs x5, x5, #1; b.ne again; {constant('x0', Psci.SYSTEM_OFF)} smc #0;"
        booted = start(code, ns_image=assemble(source))
        frame = booted.machine.gic.secure_redistributors
        frame.write(0x10200, 4, 1 << 9)
        assert booted.machine.run(100_000) == "system off"
        assert notes(booted, 2) == [0x2004, 9]

    def test_without_a_handler(self, start: Any) -> None:
        """Where the payload is off nobody can handle one: EL3 panics, and does not spin."""
        booted = start(payload(ready="mov x1, #0;"))
        booted.firmware.monitor.on_irq(booted.pe)
        assert booted.machine.stopped == "EL3 panic: a Secure interrupt that nobody handles on PE 0"

    def test_between_preemption_and_resumption(self, start: Any) -> None:
        """A Secure interrupt that comes while a call is preempted leaves the registers of the call alone."""
        code = payload(
            start="mov x1, #1; msr s3_0_c12_c12_7, x1;",
            yielding=f"mov x20, x0; mov x21, x1; {PREEMPT} mov x0, x20; mov x1, x21;",
            interrupt="mrs x1, s3_0_c12_c12_0; msr s3_0_c12_c12_1, x1; mov x20, #0; mov x21, #0;",
        )
        source = f"""{constant("x19", 0x8900_0000)} {constant("x0", YIELDING)} mov x1, #0x77; smc #0; str x0, [x19];
            {constant("x5", 5000)} again: subs x5, x5, #1; b.ne again;
            {constant("x0", RESUME)} smc #0; str x0, [x19, #8]; {constant("x0", Psci.SYSTEM_OFF)} smc #0;"""
        booted = start(code, ns_image=assemble(source))
        machine = booted.machine
        with pytest.raises(InstructionLimit):
            machine.run(1_000)
        machine.gic.secure_redistributors.write(0x10200, 4, 1 << 9)
        with pytest.raises(InstructionLimit):
            machine.run(1_000)
        assert not machine.gic.secure_redistributors.read(0x10200, 4) & 1 << 9
        assert booted.firmware.secure.state[0] is SecureState.PREEMPTED
        assert machine.run(100_000) == "system off"
        assert struct.unpack("<2Q", machine.memory.backdoor.read(0x8900_0000, 16)) == (PREEMPTED, 0x77)


class TestHostile:
    """A payload that says everything in every state: each time it gets an answer, and Non-secure software too."""

    ROWS = BASE + 0x1_0000
    LAST = (*(0xF200_0000 + done for done in (1, 2, 6, 7, 8, 9)), Ffa.MSG_SEND_DIRECT_RESP, Ffa.MSG_SEND_DIRECT_RESP_64)
    STORM = (
        f"mov x19, x0; mov x18, x1; {constant('x20', ROWS)} ldr x21, [x20];"
        "next: cmp x21, #0; b.eq last; add x22, x20, x21, lsl #4; ldp x0, x1, [x22]; sub x21, x21, #1; smc #0; b next;"
        "last: mov x0, x19; smc #0; lsr x1, x18, #16; mov x2, #0x8001; orr x1, x1, x2, lsl #16; mov x2, #0;"
        + "".join(f"{constant('x0', fid)} smc #0;" for fid in LAST)
        + "b never;"
    )
    FIDS = (*Tsp, *Ffa, *Psci, *RmmEl3, *Smccc, Rmi.VERSION, Rmi.GRANULE_DELEGATE, FAST, YIELDING, RESUME, ABORT)

    @pytest.mark.parametrize("seed", range(8))
    def test_storm(self, start: Any, seed: int) -> None:
        """Random calls from both sides, on two PEs: everything comes back, and the RMM serves on."""
        noise = random.Random(seed)
        entries = dict.fromkeys(("yielding", "fast", "aborted", "interrupt", "cpu_off"), "b storm;")
        join = f"{constant('x0', Ffa.VERSION)} {constant('x1', 0x10001)} smc #0;"
        booted = start(payload(start=join, more=f"storm: {self.STORM}", **entries))
        gpt = booted.machine.memory.gptbr
        for _ in range(60):
            arguments = (0, 1, 0x8001_0000, noise.getrandbits(64))
            rows = [(noise.choice(self.FIDS), noise.choice(arguments)) for _ in range(6)]
            words = [noise.randrange(7), 0, *(word for row in rows for word in row)]
            booted.machine.memory.backdoor.write(self.ROWS, struct.pack(f"<{len(words)}Q", *words))
            pe = noise.choice(booted.machine.pes[:2])
            fid = noise.choice((FAST, YIELDING, RESUME, ABORT, Ffa.MSG_SEND_DIRECT_REQ, Ffa.RUN))
            ends = 0x8001 if fid == Ffa.MSG_SEND_DIRECT_REQ else 0x8001_0000 | pe.index
            call(pe, fid, ends, 0, noise.getrandbits(64))
            assert (pe.security, pe.el, booted.machine.stopped) == (SecurityState.NON_SECURE, 2, None)
            assert call(pe, Rmi.VERSION)[0] == 0
        assert booted.machine.memory.gptbr == gpt
