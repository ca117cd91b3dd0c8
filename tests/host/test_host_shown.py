"""What a guest reads without an exit: the line status of its UART, in a page that the host shows."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ns_code import OFF, assemble, constant

from cca_firmware.boot import boot
from cca_host.kvm import System
from cca_host.kvmtool import Pause, RunOptions, Vmm
from cca_host.kvmtool.layout import RAM_BASE, UART_BASE
from cca_platform.board import Board
from cca_platform.machine.machine import Machine
from cca_platform.machine.saved import Checkpoint
from cca_platform.state import decode, encode
from cca_platform.trace.sinks import Listing
from cca_platform.trace.trace import Trace
from cca_rmm.rmm import Rmm

SHARED = 1 << 32
CODE = 64
SHOW = "strb w2, [x9];"
"""Send W2."""


def poll(realm: bool) -> str:
    """The addresses of THR, LSR and MCR in X9 to X11, a thousand reads of LSR; the last one is shown."""
    uart = UART_BASE | SHARED * realm
    registers = "".join(constant(f"x{9 + n}", uart + page * 0x1000) for n, page in enumerate((0, 5, 4)))
    return f"{registers} mov w3, #1000; again: ldrb w2, [x10]; subs w3, w3, #1; b.ne again; {SHOW}"


def receives(realm: bool) -> str:
    """Wait for a byte; LSR, the byte, and LSR again."""
    wait = f"wait: ldrb w2, [x10]; tbz w2, #0, wait; {SHOW} ldrb w2, [x9]; {SHOW} ldrb w2, [x10]; {SHOW}"
    return f"{poll(realm)} {wait} {OFF}"


def overruns(realm: bool) -> str:
    """Two bytes to itself, one more than there is room for; LSR, three times."""
    looped = f"mov w4, #0x10; strb w4, [x11]; mov w2, #1; {SHOW} {SHOW} strb wzr, [x11];"
    reads = "ldrb w5, [x10]; ldrb w6, [x10]; strb w6, [x10]; ldrb w7, [x10];"
    return f"{poll(realm)} {looped} {reads} mov w2, w5; {SHOW} mov w2, w6; {SHOW} mov w2, w7; {SHOW} {OFF}"


def kernel(source: str) -> bytes:
    """An arm64 Image: its header, which begins with a branch over itself, and code."""
    code = assemble(source, RAM_BASE + CODE)
    header = struct.pack("<2I3Q24x4s4x", 0x1400_0000 | CODE // 4, 0, 0, 0x1_0000, 0, b"ARM\x64")
    return header + code


class Rig:
    def __init__(
        self, path: Path, source: Callable[[bool], str] | None, trace: bool = False, realm: bool = True
    ) -> None:
        self.events = Listing()
        self.machine = Machine(Board.load("fvp"), trace=Trace(*[self.events][: int(trace)]))
        self.system = System(self.machine)
        boot(self.machine, rmm=Rmm(self.machine), ns_program=self.system)
        if source is not None:
            path.write_bytes(kernel(source(realm)))
            self.vmm = Vmm(self.system, RunOptions(payload=path, memory=4 << 20, realm=realm))
            self.vmm.build()

    def end(self) -> tuple[Any, ...]:
        """Run to the end: what it sent, its exits, its instructions; everything is back with the host."""
        assert self.vmm.advance(max_insns=100_000) is Pause.ENDED
        self.vmm.destroy()
        result = self.vmm.result()
        assert (result.granules_left, result.granules_dirty, self.system.pages.used) == (0, 0, 0)
        assert result.reason == "system_off"
        return result.console, result.exits["SYNC"], result.instructions


@pytest.fixture
def rigs(tmp_path: Path) -> Iterator[Any]:
    made: list[Rig] = []

    def make(source: Callable[[bool], str] | None, **options: Any) -> Rig:
        made.append(Rig(tmp_path / "payload", source, **options))
        return made[-1]

    yield make
    for rig in made:
        rig.machine.close()


class TestStatus:
    """LSR, at its place among registers that have a page each."""

    @pytest.mark.parametrize("realm", [True, False])
    def test_input(self, rigs: Any, realm: bool) -> None:
        """A thousand reads cost no exit; what arrives shows at once, and what has been read no longer."""
        rig = rigs(receives, realm=realm)
        assert rig.vmm.advance(max_insns=20_000) is Pause.INSTRUCTIONS
        rig.vmm.console.receive(b"k")
        console, exits, _ = rig.end()
        assert console == b"\x60\x61k\x60"
        assert exits == 5  # four characters out, one in

    @pytest.mark.parametrize("realm", [True, False])
    def test_overrun(self, rigs: Any, realm: bool) -> None:
        """Reading an overrun ends it, so the host sees that read; a write of LSR, which has no effect, too."""
        console, exits, _ = rigs(overruns, realm=realm).end()
        assert console == b"\x60\x63\x61\x61"
        assert exits == 1 + 2 + 2 + 1 + 1 + 3

    def test_traced(self, rigs: Any) -> None:
        """A trace changes nothing."""
        assert rigs(overruns, trace=True).end() == rigs(overruns).end()

    @pytest.mark.parametrize("realm", [True, False])
    def test_saved(self, rigs: Any, realm: bool) -> None:
        """A run that goes on from a checkpoint on another machine has the page, and what it shows."""
        first, second = rigs(receives, realm=realm), rigs(None)
        first.vmm.advance(max_insns=20_000)
        first.vmm.console.receive(b"k")
        data = encode(first.machine.checkpoint())
        second.machine.adopt(decode(data, Checkpoint), lambda _, state: Vmm.resumed(second.system, state))
        (second.vmm,) = (part for part in second.machine.parts.values() if isinstance(part, Vmm))
        assert second.end() == first.end()

    @pytest.mark.parametrize("realm", [True, False])
    def test_devices(self, rigs: Any, realm: bool) -> None:
        """No device reaches the page: a guest cannot have one write there."""
        rig = rigs(receives, realm=realm)
        rig.vmm.advance(max_insns=20_000)
        half = SHARED * realm
        (shown,) = rig.vmm.vm.shown
        assert rig.vmm.vm.shared_page(shown | half) is None
        assert rig.vmm.vm.shared_page(RAM_BASE | half) is not None

    def test_restored(self, rigs: Any) -> None:
        """A machine that goes back shows what it showed."""
        rig = rigs(receives)
        rig.vmm.advance(max_insns=20_000)
        snapshot = rig.machine.snapshot()
        before = rig.vmm.retired
        rig.vmm.console.receive(b"k")
        rig.vmm.advance(max_insns=10)
        rig.machine.restore(snapshot)
        assert rig.vmm.advance(max_insns=5_000) is Pause.INSTRUCTIONS
        assert rig.vmm.retired >= before + 5_000
        rig.vmm.console.receive(b"q")
        assert rig.end()[0] == b"\x60\x61q\x60"
