"""Four PEs with timers, SGIs, WFI and exclusives: a run in parts, with snapshots in between, is the run in one go."""

import random
import struct
from collections.abc import Iterator

import pytest
from ns_code import ENTRY, OFF, assemble, constant

from cca_arch.psci import Psci
from cca_firmware.package.nsimage import NsImage
from cca_platform.machine.saved import Checkpoint
from cca_platform.state import decode, encode
from cca_platform.trace.sinks import Listing
from cca_platform.trace.trace import Trace
from realmlab import NsMachine

PES = 4
VECTORS = ENTRY + 0x1_0000
SHARED = ENTRY + 0x2_0000  # a sum that all add to, then what each PE has counted
STACKS = ENTRY + 0x3_0000
END = 30  # of what the first PE counts
_GICD, _GICR_SGI = 0x2F00_0000, 0x2F11_0000
_ENABLED = 0x7C00_00FF  # SGIs 0 to 7, the timers
_IAR1, _EOIR1, _DIR, _SGI1R = "s3_0_c12_c12_0", "s3_0_c12_c12_1", "s3_0_c12_c11_1", "s3_0_c12_c11_5"
_PMR, _IGRPEN1, _CTLR = "s3_0_c4_c6_0", "s3_0_c12_c12_7", "s3_0_c12_c12_4"

_IRQ = f"""
    stp x0, x1, [sp, #-16]!; mrs x0, {_IAR1}; cmp x0, #1020; b.hs out;
    cmp x0, #26; b.eq hyp; cmp x0, #27; b.ne end; msr cntv_ctl_el0, xzr; b end;
hyp: msr cnthp_ctl_el2, xzr;
end: msr {_EOIR1}, x0; msr {_DIR}, x0;
out: ldp x0, x1, [sp], #16; eret;
"""


def program(pe: int, seed: int) -> str:
    """What one PE does for ever, by the numbers of a generator: arm timers, then wait, add, send an SGI, or count."""
    others = range(1, PES) if pe == 0 else ()
    start = [(Psci.CPU_ON_64, other << 8, ENTRY + 0x1000 * other) for other in others]
    return f"""
    {"".join(f"{constant('x0', fid)} {constant('x1', mpidr)} {constant('x2', at)} smc #0;" for fid, mpidr, at in start)}
    {constant("x0", STACKS + 0x1000 * (pe + 1))} mov sp, x0; {constant("x0", VECTORS)} msr vbar_el2, x0;
    {constant("x1", _GICD)} mov w2, #0x12; str w2, [x1];
    {constant("x1", _GICR_SGI + 0x2_0000 * pe)} {constant("x2", _ENABLED)} str w2, [x1, #0x100];
    mov x2, #0xF8; msr {_PMR}, x2; mov x2, #1; msr {_IGRPEN1}, x2; {constant("x2", 1 << 31 | 0x18)} msr hcr_el2, x2;
    isb; msr daifclr, #7; {constant("x19", SHARED)} {constant("x20", seed)}
    {constant("x21", 6364136223846793005)} {constant("x22", 1442695040888963407)}
loop: mul x20, x20, x21; add x20, x20, x22; lsr x5, x20, #48; and x5, x5, #0xFFF;
    mrs x6, cntpct_el0; add x6, x6, x5; msr cnthp_cval_el2, x6; mov x6, #1; msr cnthp_ctl_el2, x6;
    sub x7, x5, #100; msr cntv_tval_el0, x7; msr cntv_ctl_el0, x6;
    lsr x8, x20, #40; and x8, x8, #3; cbz x8, wait; cmp x8, #1; b.eq send; cmp x8, #2; b.eq work;
add: ldaxr x9, [x19]; cbnz x8, more; more: add x9, x9, #1; stlxr w10, x9, [x19]; cbnz w10, add; b loop;
wait: wfi; b loop;
send: lsr x9, x20, #30; and x9, x9, #3; lsl x9, x9, #16; orr x9, x9, #1; lsr x10, x20, #34; and x10, x10, #7;
    lsl x10, x10, #24; orr x9, x9, x10; msr {_SGI1R}, x9; b loop;
work: subs x5, x5, #1; b.gt work; mov x3, #2; msr {_CTLR}, x3;
    ldr x9, [x19, #{8 * pe + 8}]; add x9, x9, #1; str x9, [x19, #{8 * pe + 8}];
    {f"cmp x9, #{END}; b.lt loop; {OFF}" if pe == 0 else "b loop;"}
    """


def images(seed: int) -> list[NsImage]:
    """The programs of the PEs, and their vectors."""
    source = random.Random(seed)
    handler = assemble(_IRQ, VECTORS + 0x280).ljust(0x80, b"\0")
    code = [
        NsImage(assemble(program(pe, source.getrandbits(63)), ENTRY + 0x1000 * pe), ENTRY + 0x1000 * pe, f"pe{pe}")
        for pe in range(PES)
    ]
    return [*code, NsImage(handler, VECTORS + 0x280, "vectors")]


class Run:
    """A machine, and the events of what it has done for good."""

    def __init__(self, seed: int) -> None:
        self.listing = Listing()
        self.machine = NsMachine(images(seed), trace=Trace(self.listing))

    def go(self, instructions: int | None = None) -> str:
        """Run on; the reason of the end."""
        return self.machine.run(max_insns=instructions).reason

    def restore(self, snapshot: object) -> None:
        """Go back, and forget what has been traced since."""
        self.machine.restore(snapshot)
        del self.listing[1 + self.machine.trace.seq :]  # the head has no number

    def outcome(self) -> tuple[object, ...]:
        """Memory that is shared, instructions of each PE, and the events but for those of the runs themselves."""
        platform = self.machine.platform
        shared = struct.unpack(f"<{PES + 1}Q", platform.memory.backdoor.read(SHARED, 8 * PES + 8))
        events = [
            {name: value for name, value in record.items() if name != "seq"}
            for record in self.listing
            if not record["event"].startswith("run.")
        ]
        return shared, [pe.retired for pe in platform.pes[:PES]], events


@pytest.fixture
def runs() -> Iterator[list[Run]]:
    """Machines that are closed in the end."""
    made: list[Run] = []
    yield made
    for run in made:
        run.machine.close()


class TestParts:
    @pytest.mark.parametrize("seed", range(3))
    def test_same(self, runs: list[Run], seed: int) -> None:
        """Limits and snapshots change nothing: memory, time, instructions and events of every PE are the same."""
        runs += (Run(seed), Run(seed))
        whole, parts = runs
        assert whole.go() == "system_off"
        source = random.Random(seed)
        ends = ["limit"]
        while ends[-1] == "limit" and len(ends) < 1_000:
            if source.random() < 0.3:
                snapshot = parts.machine.snapshot()
                parts.go(source.randrange(1, 50_000))
                parts.restore(snapshot)
            ends.append(parts.go(source.choice((1, 13, 500, source.randrange(1, 20_000)))))
        assert ends[-1] == "system_off"
        assert len(ends) > 10
        assert parts.outcome() == whole.outcome()

    @pytest.mark.parametrize("seed", range(3))
    def test_machines(self, runs: list[Run], seed: int) -> None:
        """Each part runs in a machine of its own, which knows of the one before what could be written to a file."""
        runs.append(Run(seed))
        whole = runs[0]
        assert whole.go() == "system_off"
        source, parts = random.Random(seed), Run(seed)
        while parts.go(source.choice((7, 500, source.randrange(1, 60_000)))) == "limit":
            written, events = encode(parts.machine.platform.checkpoint()), parts.listing[:]
            parts.machine.close()
            parts = Run(seed)
            parts.machine.platform.adopt(decode(written, Checkpoint))
            parts.listing[:] = events
        runs.append(parts)
        assert parts.outcome() == whole.outcome()

    def test_every_pe_works(self, runs: list[Run]) -> None:
        """The program does what it is for: each PE counts and takes interrupts, also out of WFI."""
        runs.append(Run(7))
        runs[0].go()
        shared, _, events = runs[0].outcome()
        assert isinstance(shared, tuple)
        assert isinstance(events, list)
        assert all(shared)
        assert {event["pe"] for event in events if event["event"] == "interrupt.take"} == set(range(PES))
