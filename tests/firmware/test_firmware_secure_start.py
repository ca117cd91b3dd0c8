"""The start of a Secure payload, with payloads in assembly at S-EL1."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from calls import call
from ns_code import assemble, constant
from programs import Quiet, Rmm
from secure_code import BASE, FAST, NOTES, YIELDING, notes, payload

from cca_arch.el3 import RMM_EL3_VERSION, RmmEl3
from cca_arch.ffa import Ffa
from cca_arch.psci import Psci
from cca_arch.smccc import NOT_SUPPORTED
from cca_arch.tsp import ABORT, RESUME, SMC64
from cca_arch.types import Instructions, Pas, SecurityState
from cca_firmware.base.errors import BootError
from cca_firmware.bl1 import rom
from cca_firmware.bl2 import load
from cca_firmware.bl31.ns_entry import NsEntry
from cca_firmware.firmware import Firmware
from cca_firmware.package.package import component, package
from cca_firmware.secure.world import SecureState
from cca_platform.board import Board, names
from cca_platform.errors import GranuleProtectionFault
from cca_platform.machine.machine import Machine
from cca_platform.pe.pe import Pe

NS_NOTES = 0x8900_0000


class TestStart:
    @pytest.mark.parametrize("board", names())
    def test_every_pe(self, start: Any, board: str) -> None:
        """The payload starts on every PE before Non-secure software, with index, base and size, at S-EL1."""
        note = (
            f"mrs x9, currentel; {constant('x10', NOTES)} add x10, x10, x0, lsl #5;"
            "stp x0, x1, [x10]; stp x2, x9, [x10, #16];"
        )
        booted = start(payload(start=note, cpu_on=note), board=board)
        region = booted.machine.board.region("secure")
        for index, pe in enumerate(booted.machine.pes):
            assert notes(booted, 4 * index + 4)[-4:] == [index, region.base, region.size, 1 << 2]
            assert (pe.security, pe.el, booted.firmware.secure.state[index]) == (1, 2, SecureState.IDLE)
            assert not any(pe.x)

    def test_entry_state(self, start: Any) -> None:
        """MMU off with the RES1 bits set, DAIF masked, SP_EL1 selected, every other general register zero."""
        note = (
            f"{constant('x9', NOTES)} mrs x10, sctlr_el1; mrs x11, daif; stp x10, x11, [x9]; mrs x10, spsel;"
            "mrs x11, vbar_el1; stp x10, x11, [x9, #16]; stp x12, x30, [x9, #32];"
        )
        assert notes(start(payload(start=note)), 6) == [0x30D0_0800, 0x3C0, 1, 0, 0, 0]

    def test_identity(self, start: Any) -> None:
        """MIDR_EL1 and MPIDR_EL1 are those of the PE, whatever EL2 says to its own guests."""
        note = f"{constant('x9', NOTES)} mrs x10, midr_el1; mrs x11, mpidr_el1; stp x10, x11, [x9];"
        booted = start(payload(fast=note))
        pe = booted.machine.pes[1]
        pe.set_el2(hcr=1 << 31, vtcr=0, vttbr=0, vmpidr=0x8000_0042)
        call(pe, FAST)
        assert notes(booted, 2) == [pe.id_register(3, 0, 0, 0, 0), pe.mpidr]

    def test_measured(self, start: Any) -> None:
        """BL32 is in the event log and in the Secure PAS, and no component of the CCA platform."""
        booted = start()
        entry = next(entry for entry in booted.firmware.event_log if entry.name == "BL32")
        code = payload()
        assert (entry.pa, entry.size) == (BASE, len(code))
        memory = booted.machine.memory
        assert memory.port(SecurityState.ROOT, Pas.SECURE).read(BASE, len(code)) == code
        for state in (SecurityState.NON_SECURE, SecurityState.REALM):
            with pytest.raises(GranuleProtectionFault):
                memory.port(state).read(BASE, 8)

    def test_same_platform(self, boot_machine: Any) -> None:
        """With and without a Secure payload the platform attests the same, for it does not trust the payload."""
        keys = []
        for image in (None, payload()):
            firmware = boot_machine(secure_image=image).firmware
            handler = firmware.monitor.rmmd.handlers[RmmEl3.ATTEST_GET_REALM_KEY]
            keys.append(handler.__self__.realm_key())
        assert keys[0] == keys[1]

    def test_trace(self, start: Any) -> None:
        """The stage BL32 comes before the RMM; the switches have both directions."""
        records = start(trace=True).records
        stages = [record["stage"] for record in records if record["event"] == "boot.stage"]
        assert stages == ["BL1", "BL2", "BL31", "BL32", "RMM", "BL33"]
        switches = [(r["source"], r["target"], r["reason"]) for r in records if r["event"] == "world.switch"]
        assert switches[:2] == [("ROOT", "SECURE", "STARTING"), ("SECURE", "ROOT", "STARTING")]

    def test_failed(self, start: Any) -> None:
        """A payload that gives no vectors could not start: the boot goes on, and there is no Secure service."""
        booted = start(payload(ready="mov x1, #0;"))
        assert not booted.firmware.secure.ready
        for pe in booted.machine.pes:
            for fid in (FAST, YIELDING, RESUME, ABORT):
                assert call(pe, fid, 1)[:2] == [NOT_SUPPORTED, 1]

    @pytest.mark.parametrize(
        ("code", "reason"),
        [
            (payload(start="b never;"), "used 2000000 instructions on PE 0 and has not returned: it is at 0xfc0000"),
            (payload(start="wfi;"), "must become ready on PE 0 without waiting: it is at 0xfc0000"),
            (payload(start=".word 0;"), "without end: instruction abort same, ESR 0x86000010, ELR 0x200"),
            (payload(start="smc #1; b never;"), "used 2000000 instructions on PE 0"),
            (b"\xff" * 64, "must become ready on PE 0 without waiting"),
        ],
        ids=["endless", "waiting", "undefined", "unknown SMC", "noise"],
    )
    def test_never_ready(self, start: Any, code: bytes, reason: str) -> None:
        """A payload that does not become ready fails the boot, with what it should have done."""
        with pytest.raises(BootError, match=f"^the Secure payload .*{reason}.*see cca_arch/tsp.py for how it says"):
            start(code, secure_insns=2_000_000)

    @pytest.mark.parametrize("seed", range(30))
    def test_random_bytes(self, start: Any, seed: int) -> None:
        """Whatever the payload is, the boot ends, with it or with a reason."""
        noise = random.Random(seed)
        valid = noise.randbytes(64) + payload()
        code = noise.randbytes(4096) if seed % 2 else bytes(noise.choice(valid) for _ in range(4096))
        try:
            booted = start(code, secure_insns=2_000_000)
        except BootError as error:
            assert "Secure payload" in str(error)
        else:
            assert booted.firmware.rmm_ready


class TestWithout:
    @pytest.mark.parametrize("fid", [FAST, FAST | SMC64, YIELDING, RESUME, ABORT, Ffa.VERSION, Ffa.MSG_SEND_DIRECT_REQ])
    def test_not_supported(self, booted: Any, fid: int) -> None:
        """Without a Secure payload every such call is unknown, and nothing but X0 changes."""
        assert booted.firmware.secure is None
        assert call(booted.pe, fid, 1, 2, 3) == [NOT_SUPPORTED, 1, 2, 3, 0]

    def test_interrupt(self, booted: Any) -> None:
        """An interrupt for EL3 that nobody can have made pending is a panic."""
        booted.firmware.monitor.on_irq(booted.pe)
        assert booted.machine.stopped == "EL3 panic: an interrupt that nobody handles on PE 0"


class TestEvents:
    """The start is begun by EL3 and ended by the payload's call; nothing waits for it in between."""

    CODE = payload(
        start=f"mov x9, #50; again: subs x9, x9, #1; b.ne again; {constant('x28', 0xABCD)}", fast="mov x1, x28;"
    )

    @pytest.fixture
    def begun(self) -> Iterator[tuple[Machine, Firmware]]:
        """A machine of which BL31 has begun to start the worlds."""
        machine = Machine(Board.load("fvp"))
        rmm, host = Rmm({}), Quiet()
        built = package(component(rmm), component(host), secure=self.CODE)
        bl1 = rom.run(machine, built.fip, built.root_digest)
        bl2 = load.run(machine, bl1, [machine.board.ns_entry], machine.board.ns_entry)
        machine.install(SecurityState.REALM, 2, rmm)
        machine.install(SecurityState.NON_SECURE, 2, host)
        firmware = Firmware(machine, bl2, NsEntry(2, False), RMM_EL3_VERSION)
        firmware.start()
        yield machine, firmware
        machine.close()

    @staticmethod
    def step(pe: Pe) -> None:
        """Run a few instructions."""
        pe.step(limit=Instructions(pe.clock.retired + 7))

    @classmethod
    def finish(cls, firmware: Firmware) -> list[int]:
        """Run what starts, to the end of the boot; the PEs that it starts on, in order."""
        order: list[int] = []
        while (pe := firmware.starting) is not None:
            order += [pe.index] * (pe.index not in order)
            cls.step(pe)
        return order

    def test_one_after_the_other(self, begun: tuple[Machine, Firmware]) -> None:
        """Each PE is started by the end of the start before; the RMM and Non-secure software come last."""
        machine, firmware = begun
        first = machine.pes[0]
        assert (firmware.starting, firmware.rmm_ready) == (first, False)
        self.step(first)
        assert (first.security, first.el, firmware.starting) == (SecurityState.SECURE, 1, first)
        assert self.finish(firmware) == [pe.index for pe in machine.pes]
        assert firmware.rmm_ready
        assert {(pe.security, pe.el) for pe in machine.pes} == {(SecurityState.NON_SECURE, 2)}
        assert call(first, FAST)[0] == 0xABCD

    @pytest.mark.parametrize("before", [7, 60, 120])
    def test_snapshot_of_a_boot(self, begun: tuple[Machine, Firmware], before: int) -> None:
        """A boot that is saved half-way goes on to the same end, as often as it is restored."""
        machine, firmware = begun
        while machine.clock.retired < before:
            assert firmware.starting is not None
            self.step(firmware.starting)
        snapshot, ends = machine.snapshot(), []
        for _ in range(2):
            self.finish(firmware)
            ends.append((machine.clock.now, [pe.retired for pe in machine.pes], firmware.save()))
            machine.restore(snapshot)
            machine.program(SecurityState.REALM, 2).booted.clear()  # a test's RMM, which keeps no state
        assert ends[0] == ends[1]
        assert firmware.starting is not None

    @pytest.mark.parametrize("ns_el", [1, 2])
    def test_nothing_after_it(self, start: Any, ns_el: int) -> None:
        """The boot ends before the first instruction of Non-secure code, and that finds EL1 as reset leaves it."""
        source = f"{constant('x19', NS_NOTES)} mrs x1, esr_el1; mrs x2, elr_el1; stp x1, x2, [x19];"
        booted = start(ns_image=assemble(f"{source} {constant('x0', Psci.SYSTEM_OFF)} smc #0;"), ns_el=ns_el)
        assert (booted.pe.elr, booted.pe.security) == (booted.machine.board.ns_entry, SecurityState.NON_SECURE)
        retired = booted.pe.retired
        assert booted.machine.run(1_000) == "system off"
        assert booted.pe.retired - retired < 20
        assert booted.machine.memory.backdoor.read(NS_NOTES, 16) == bytes(16)

    def test_trace(self, start: Any) -> None:
        """Between the worlds no exception is taken: a PE that waits for the others is EL3's."""
        assert not [record for record in start(trace=True).records if record["event"] == "exception.take"]
