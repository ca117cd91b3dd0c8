"""The device table: where models answer, their interrupts and their time, with the clock's alarm as the example."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ns_code import OFF, assemble, constant

from cca_firmware.boot import boot
from cca_host.kvm import Mmio, System
from cca_host.kvmtool import Pause, RunOptions, Vmm
from cca_host.kvmtool.layout import (
    DEVICE_SPI,
    DISTRIBUTOR_BASE,
    RAM_BASE,
    RTC_BASE,
    RTC_SIZE,
    RTC_SPI,
    redistributor_base,
)
from cca_host.kvmtool.mmio import Devices, spi_cells
from cca_platform.board import Board, DeviceRow
from cca_platform.devices.base import Device, Register, RegisterTable
from cca_platform.devices.pl031 import EPOCH
from cca_platform.machine.machine import Machine
from cca_platform.machine.saved import Checkpoint
from cca_platform.state import decode, encode
from cca_platform.trace.sinks import Listing
from cca_platform.trace.trace import Trace
from cca_rmm.rmm import Rmm

SHARED = 1 << 32
GIC_ON = f"""
    {constant("x9", DISTRIBUTOR_BASE | SHARED)} mov w0, #2; str w0, [x9]; mov w0, #2; str w0, [x9, #0x104];
    mov x0, #0xff; msr S3_0_C4_C6_0, x0; mov x0, #1; msr S3_0_C12_C12_7, x0;
"""
"""Forward Group 1, enable RTC_SPI (bit 1 of ISENABLER1), let every priority through."""
ALARM = f"""
    {constant("x10", RTC_BASE | SHARED)} ldr w1, [x10]; add w2, w1, #2; mov w0, #1; str w0, [x10, #0x10];
    str w2, [x10, #4];
"""
"""The clock's alarm is in 2 seconds: RTCMR = RTCDR + 2, and RTCIMSC lets it out."""
TAKEN = f"""
    mrs x3, S3_0_C12_C12_0; ldr w4, [x10]; mov w0, #1; str w0, [x10, #0x1c]; ldr w5, [x10, #0x14];
    msr S3_0_C12_C12_1, x3; mrs x6, S3_0_C12_C12_0; {OFF}
"""
"""Acknowledge, read the time, clear the alarm, end the interrupt; nothing more is pending then."""
WAITS = f"{GIC_ON} {ALARM} wfi; {TAKEN}"
SPINS = f"{GIC_ON} {ALARM} spin: mrs x3, S3_0_C12_C12_2; cmp w3, #1023; b.eq spin; {TAKEN}"
"""It polls ICC_HPPIR1_EL1, which needs a new entry of its vCPU to show the interrupt."""
IDLE = f"{GIC_ON} wfi;"


class Latch(Device):
    """Registers that drive its line, and a shared one."""

    registers = RegisterTable(
        Register("LINE", 0, write=lambda latch, value: latch.wiring.line(bool(value))),
        Register("SHARED", 4, write=lambda latch, value: latch.wiring.signal(value, True)),
    )


def latch(devices: Devices, name: str = "latch") -> Latch:
    return Latch(DeviceRow(name, "latch", 0, 0x1000), devices.wiring(name))


class Rig:
    """A Realm on a machine of its own."""

    def __init__(self, path: Path, source: str | None, rtc: int | str | None = None, **options: Any) -> None:
        self.events = Listing()
        self.machine = Machine(Board.load("fvp"), trace=Trace(self.events), **options)
        self.system = System(self.machine)
        boot(self.machine, rmm=Rmm(self.machine), ns_program=self.system)
        self.vmm = Vmm(self.system, RunOptions(payload=path, memory=4 << 20, rtc=rtc))
        if source is not None:
            path.write_bytes(assemble(source, RAM_BASE))
            self.vmm.build()

    def end(self) -> tuple[Any, ...]:
        """Run to the end: how it ended, and its time in ticks."""
        assert self.vmm.advance(max_insns=1_000_000) is Pause.ENDED
        self.vmm.destroy()
        result = self.vmm.result()
        return result.reason, result.ticks, result.instructions


@pytest.fixture
def rigs(tmp_path: Path) -> Iterator[Any]:
    made: list[Rig] = []

    def make(source: str | None, **options: Any) -> Rig:
        made.append(Rig(tmp_path / "payload", source, **options))
        return made[-1]

    yield make
    for rig in made:
        rig.machine.close()


def reads(events: Listing, register: int) -> list[int]:
    """What the clock's register read."""
    return [
        int(one["value"], 16)
        for one in events
        if one["event"] == "mmio.read" and int(one["address"], 16) == RTC_BASE + register
    ]


class TestInterrupts:
    """A line of a model is an SPI of the VM."""

    def test_wakes(self, rigs: Any) -> None:
        """The alarm wakes a vCPU in WFI two seconds later, in virtual time; the date is the same in every run."""
        rig = rigs(WAITS)
        start = EPOCH + rig.machine.clock.now // rig.machine.board.counter_hz
        reason, ticks, instructions = rig.end()
        assert reason == "system_off"
        assert reads(rig.events, 0) == [start, start + 2]
        assert rig.machine.board.counter_hz < ticks <= 2 * rig.machine.board.counter_hz + 10_000
        assert instructions < 1_000
        assert reads(rig.events, 0x14) == [0]

    def test_leaves_code(self, rigs: Any) -> None:
        """A vCPU that runs leaves the Realm for an interrupt at once, not at the end of its slice."""
        rig = rigs(SPINS.replace("add w2, w1, #2", "add w2, w1, #1"))
        rig.vmm.advance(max_insns=200)
        rig.machine.clock.skip_to(-(-rig.machine.clock.now // 100_000_000) * 100_000_000 - 50_000)
        before = rig.machine.clock.now
        assert rig.end()[0] == "system_off"
        assert rig.machine.clock.now - before < 60_000

    @pytest.mark.parametrize("given", [1_000_000, "host"])
    def test_date(self, rigs: Any, given: int | str) -> None:
        """The date at its start is the one that was given, or the host's: that is an input, the same in a replay."""
        rig = rigs(WAITS, rtc=given, record=True)
        before = int(time.time())
        assert rig.end()[0] == "system_off"
        start, later = reads(rig.events, 0)
        assert later == start + 2
        assert start == 1_000_000 if isinstance(given, int) else before - 60 <= start <= before
        journal = rig.machine.inputs.journal()
        assert len(journal.inputs) == (given == "host")
        again = rigs(WAITS, rtc=given, replay=journal)
        again.end()
        assert list(again.events) == list(rig.events)

    def test_idle(self, rigs: Any) -> None:
        """Without an alarm nothing can wake it."""
        assert rigs(IDLE).end()[0] == "idle"

    @pytest.mark.parametrize("insns", [14, 15, 17])
    def test_saved(self, rigs: Any, insns: int) -> None:
        """A run that goes on from a checkpoint on another machine has the same rest: also with the line high."""
        first, second = rigs(WAITS), rigs(None)
        assert first.vmm.advance(max_insns=insns) is Pause.INSTRUCTIONS
        assert first.vmm.devices.save().high == ((RTC_SPI,) if insns == 15 else ())
        data, before, began = encode(first.machine.checkpoint()), len(first.events), len(second.events)
        second.machine.adopt(decode(data, Checkpoint), lambda _, state: Vmm.resumed(second.system, state))
        (second.vmm,) = (part for part in second.machine.parts.values() if isinstance(part, Vmm))
        assert second.end() == first.end()
        assert list(second.events)[began:] == list(first.events)[before:]

    def test_lines(self, system: System) -> None:
        """Only a change reaches the VM; a line that is high when the VM comes rises then."""
        devices = Devices(system.machine)
        vm = VmStub()
        model = latch(devices)
        devices.attach(model, 0x200_0000, 0x1000, intid=40)
        model.write(0, 4, 1)
        devices.connect(vm)  # type: ignore[arg-type]
        model.write(0, 4, 1)
        model.write(4, 4, 50)
        model.write(0, 4, 0)
        assert vm.driven == [(40, True), (50, True), (40, False)]
        saved = devices.save()
        assert saved.high == (50,)
        model.write(0, 4, 1)
        devices.restore(saved, vm)  # type: ignore[arg-type]
        assert devices.save() == saved

    def test_no_line(self, system: System) -> None:
        """A model without an interrupt drives nothing."""
        devices, vm = Devices(system.machine), VmStub()
        model = latch(devices)
        devices.attach(model, 0x200_0000, 0x1000)
        devices.connect(vm)  # type: ignore[arg-type]
        model.write(0, 4, 1)
        assert not vm.driven


class VmStub:
    """It notes what its lines do."""

    def __init__(self) -> None:
        self.driven: list[tuple[int, bool]] = []

    def irq_line(self, intid: int, level: bool) -> None:
        self.driven.append((intid, level))


class TestTable:
    """Where models answer."""

    def test_overlap(self, system: System) -> None:
        """Two frames must not overlap, and a name is one model's."""
        devices = Devices(system.machine)
        devices.attach(latch(devices), 0x200_0000, 0x1000)
        for base, size in ((0x200_0000, 1), (0x200_0FFF, 0x1000), (0x1FF_F000, 0x1001), (0x1FF_0000, 0x10_0000)):
            with pytest.raises(ValueError, match="must not answer at 0x2000000, where latch does"):
                devices.attach(latch(devices, "other"), base, size)
        with pytest.raises(ValueError, match="a name of its own"):
            devices.attach(latch(devices), 0x300_0000, 0x1000)
        devices.attach(latch(devices, "above"), 0x200_1000, 0x1000)
        devices.attach(latch(devices, "below"), 0x1FF_F000, 0x1000)

    def test_offset(self, system: System) -> None:
        """A frame may begin at any register of its model."""
        devices, vm = Devices(system.machine), VmStub()
        devices.attach(latch(devices), 0x200_0000, 4, intid=40, offset=4)
        devices.connect(vm)  # type: ignore[arg-type]
        results: list[int] = []
        vcpu = SimpleNamespace(mmio_result=results.append, abort=lambda: results.append(-1))
        for ipa in (0x200_0000, 0x200_0004):
            devices.answer(vcpu, Mmio(ipa, 4, True, 55))  # type: ignore[arg-type]
        assert (vm.driven, results) == ([(55, True)], [0, -1])

    def test_interrupts(self, system: System) -> None:
        """Devices take SPIs in their order, from 36 on; a device tree counts SPIs from 32."""
        devices = Devices(system.machine)
        assert [devices.next_intid() for _ in range(3)] == [DEVICE_SPI, DEVICE_SPI + 1, DEVICE_SPI + 2]
        assert spi_cells(RTC_SPI) == [0, RTC_SPI - 32, 4]

    def test_apart(self) -> None:
        """The frames of the layout lie apart, with the redistributors of the most vCPUs that fit."""
        assert RTC_BASE + RTC_SIZE < 0x300_0000 < redistributor_base(64) < DISTRIBUTOR_BASE
