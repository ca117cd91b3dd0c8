"""What is typed for a guest while it runs: when it is asked for, and that idle time waits for who types."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from host_time import FakeTime
from ns_code import OFF, assemble, constant

from cca_firmware.boot import boot
from cca_host.kvm import System
from cca_host.kvmtool import RunOptions, Vmm
from cca_host.kvmtool.keyboard import Typing
from cca_host.kvmtool.layout import DISTRIBUTOR_BASE, RAM_BASE, UART_BASE
from cca_platform.board import Board
from cca_platform.machine.inputs import Journal
from cca_platform.machine.machine import Machine
from cca_platform.state import decode, encode
from cca_platform.trace.sinks import Listing
from cca_platform.trace.trace import Trace
from cca_rmm.rmm import Rmm

SHARED = 1 << 32
ECHO = f"""
    {constant("x9", DISTRIBUTOR_BASE | SHARED)} mov w0, #2; str w0, [x9]; mov w0, #1; str w0, [x9, #0x104];
    mov x0, #0xff; msr S3_0_C4_C6_0, x0; mov x0, #1; msr S3_0_C12_C12_7, x0;
    {constant("x9", UART_BASE | SHARED)} mov w0, #1; strb w0, [x9, #1];
    wait: wfi; mrs x3, S3_0_C12_C12_0; cmp w3, #32; b.ne wait; ldrb w10, [x9]; strb w10, [x9];
    msr S3_0_C12_C12_1, x3; cmp w10, #113; b.ne wait; {OFF}
"""
"""It echoes a byte for each interrupt of the UART, and ends with q."""


class Typist:
    """Somebody at a terminal: he types a byte after so many waits, and notes when he is asked."""

    def __init__(self, text: bytes = b"", host: FakeTime | None = None) -> None:
        self.text = bytearray(text)
        self.asked: list[str] = []
        self.typing: Typing | None = None
        if host is not None:
            host.during = self._during
            self._host = host

    def _during(self) -> None:
        assert self.typing is not None
        if len(self._host.waits) % 3 == 2 and self.text:
            self.typing.send(bytes([self.text.pop(0)]))

    def listen(self, typing: Typing) -> None:
        self.asked.append("listen")
        self.typing = typing
        typing.attend()

    def waits(self, typing: Typing, due: bool) -> bool:
        self.asked.append("waits")
        return bool(self.text)

    def close(self) -> None:
        self.asked.append("close")


class Rig:
    def __init__(self, path: Path, typist: Typist | None, **options: Any) -> None:
        self.events = Listing()
        self.machine = Machine(Board.load("fvp"), trace=Trace(self.events), **options)
        system = System(self.machine)
        boot(self.machine, rmm=Rmm(self.machine), ns_program=system)
        path.write_bytes(assemble(ECHO, RAM_BASE))
        self.vmm = Vmm(system, RunOptions(payload=path, memory=4 << 20, keyboard=typist))
        self.vmm.build()

    def end(self) -> tuple[Any, ...]:
        self.vmm.advance()
        self.vmm.destroy()
        result = self.vmm.result()
        return result.console, result.reason, result.ticks, list(self.events)


@pytest.fixture
def rigs(tmp_path: Path) -> Iterator[Any]:
    made: list[Rig] = []

    def make(typist: Typist | None, **options: Any) -> Rig:
        made.append(Rig(tmp_path / "payload", typist, **options))
        return made[-1]

    yield make
    for rig in made:
        rig.machine.close()


class TestAttended:
    """Somebody types when he likes."""

    def test_sleeps(self, rigs: Any) -> None:
        """The machine sleeps in the host's time while the guest waits for a key; a replay needs neither."""
        host = FakeTime()
        typist = Typist(b"ab q", host)
        rig = rigs(typist, record=True)
        rig.machine.inputs.wall.host = host
        console, reason, ticks, events = rig.end()
        assert (console, reason) == (b"ab q", "system_off")
        assert typist.asked[0] == "listen"
        assert typist.asked[-1] == "close"
        assert ticks >= sum(host.waits) // 10 > 0
        journal = decode(encode(rig.machine.inputs.journal()), Journal)
        assert rigs(None, replay=journal).end() == (console, reason, ticks, events)

    def test_nobody(self, rigs: Any) -> None:
        """Without anybody, a guest that waits for a key waits for ever."""
        assert rigs(None).end()[1] == "idle"


class PortStub:
    """A device with a driver that listens or not."""

    def __init__(self, wiring: Any) -> None:
        self.wiring = wiring
        self.listens = self.drained = False


class TestLinux:
    """A Linux kernel throws away what comes before its driver is ready."""

    @pytest.mark.parametrize("linux", [False, True])
    def test_looks(self, system: System, linux: bool) -> None:
        """So it is not asked for input before it listens, however often it looks."""
        typist, port = Typist(), PortStub(Vmm(system, RunOptions(payload="none")).devices.wiring("uart"))
        typing = Typing(port, typist)
        typing.linux = linux
        typing.looked()
        assert typist.asked == ([] if linux else ["listen"])
        typist.asked.clear()
        assert not typing.idle(False)
        port.listens = True
        typing.looked()
        assert not typing.idle(True)
        port.drained = True
        typist.text += b"more"
        assert typing.idle(True)
        assert typist.asked == ["listen", "waits"]
        typing.close()
