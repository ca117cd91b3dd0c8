"""Every register of a REC, each with a number of its own: kept over exits, and nobody else's.

The registers are those of the frame that the RMM saves and restores. The Realm's own code writes and reads them, so
that one that is neither saved nor restored shows.
"""

import struct
from random import Random
from typing import Any, Final

from realm_code import CALL, REPORT, load
from rmm_host import PAGE, RAM, Host, Realm, to_code

import realmlab
from cca_arch.rmi.v1_0 import RecExitReason
from cca_arch.sysregs import REGISTERS
from cca_platform.isa import frame

TABLE, DUMP = RAM + 2 * PAGE, RAM + 3 * PAGE
_MMU_OFF: Final = {"sctlr_el1": 1 << 26 | 1 << 18 | 1 << 16}  # UCI, nTWE, nTWI: nothing that changes how the code runs
_PARTS: Final = {"cpacr_el1": 3 << 20, "csselr_el1": 0xF, "cntkctl_el1": 0x3FF} | _MMU_OFF
"""Registers of which the code may set these bits and no others."""
_SYSTEM: Final = (
    *(name for name in frame.EL1_FRAME if name in REGISTERS and name not in frame.KEYS and "cnt" not in name[:4]),
    *("cntkctl_el1", "sp_el0"),
)
_TIMERS: Final = ("cntv_cval_el0", "cntp_cval_el0")
_NAMES: Final = tuple(dict.fromkeys((*_SYSTEM, *_TIMERS)))
_VECTORS: Final = range(32)
_ALL: Final = (1 << 64) - 1
FIXED: Final = {"afsr0_el1", "afsr1_el1", "amair_el1", "mdscr_el1"}
"""Registers without a bit that a Realm can set."""


def _spelled(name: str) -> str:
    """A register for the assembler."""
    if name not in REGISTERS:
        return name
    one = REGISTERS[name]
    return f"s{one.op0}_{one.op1}_c{one.crn}_c{one.crm}_{one.op2}"


_WRITE: Final = "; ".join(
    [
        load("x9", TABLE),
        *(f"ldr x1, [x9], #8; msr {_spelled(name)}, x1" for name in _NAMES),
        *(f"ldr q{number}, [x9], #16" for number in _VECTORS),
        "ldr x1, [x9], #8; msr fpcr, x1; ldr x1, [x9], #8; msr fpsr, x1",
    ]
)
_READ: Final = "; ".join(
    [
        load("x9", DUMP),
        *(f"mrs x1, {_spelled(name)}; str x1, [x9], #8" for name in _NAMES),
        *(f"str q{number}, [x9], #16" for number in _VECTORS),
        "mrs x1, fpcr; str x1, [x9], #8; mrs x1, fpsr; str x1, [x9], #8",
    ]
)
CODE: Final = f"again: {_READ}; {REPORT}; {_WRITE}; {_READ}; {REPORT}; b again"
"""In turn: read all and exit; write all from TABLE, read all and exit."""
_DUMPED: Final = struct.Struct(f"<{len(_NAMES) + 2 * len(_VECTORS) + 2}Q")


class Recs:
    """A Realm of one REC that runs CODE."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.realm = Realm(host)
        self.realm.write(RAM, to_code(CODE))
        for page in (CALL, TABLE, DUMP):
            self.realm.write(page, b"")
        self.realm.rec()
        self.realm.activate()

    def give(self, flip: int) -> None:
        """A number for each register; with ``flip`` all ones, each of its bits the other way round."""
        random = Random(1)
        words = [(random.getrandbits(64) ^ flip) & _PARTS.get(name, _ALL) for name in _NAMES]
        words += [random.getrandbits(64) ^ flip for _ in range(2 * len(_VECTORS))]
        words += [(1 ^ flip) << 22 & 3 << 22, (9 ^ flip) & 0x1F]  # FPCR.RMode, FPSR
        self.host.peek.write(self.realm.data[TABLE], _DUMPED.pack(*words))

    def enter(self) -> dict[str, int]:
        """Enter, and what the code has read then."""
        assert self.realm.enter().exit_reason == RecExitReason.HOST_CALL
        words = _DUMPED.unpack(self.host.peek.read(self.realm.data[DUMP], _DUMPED.size))
        names = [*_NAMES, *(f"v{number // 2}.{number % 2}" for number in range(2 * len(_VECTORS))), "fpcr", "fpsr"]
        return dict(zip(names, words, strict=True))


def test_every_register(host: Any) -> None:
    """Two RECs take turns, and the Host scribbles in between: each finds what it left, and a new one zeroes."""
    first, second = Recs(host), Recs(host)
    reset = first.enter()
    first.give(0)
    one = first.enter()
    assert second.enter() == reset
    second.give(_ALL)
    two = second.enter()
    assert {name for name, value in one.items() if value == two[name]} == FIXED
    for name in frame.EL1_FRAME:
        if name in _SYSTEM and name in REGISTERS:
            host.pe.write_sysreg(name, _PARTS.get(name, 0x5555_5555_5555_5555) & 0x5555_5555_5555_5555)
    assert first.enter() == one
    assert second.enter() == two


def test_host_of_code() -> None:
    """A Host in C enters Realms: each EL1 register of its PE, with a number of its own, is as it was."""
    times = realmlab.NsImage((3).to_bytes(8, "little"), 0x9400_0000)  # how often it enters the REC
    with realmlab.NsMachine(["ns_enter", times]) as machine:
        regs = machine.cpus[0].regs
        random = Random(2)
        names = [name for name in _SYSTEM if name not in _MMU_OFF]
        for name in names:
            setattr(regs, name, random.getrandbits(64) & _PARTS.get(name, _ALL))
        before = {name: getattr(regs, name) for name in names}
        assert len(set(before.values())) >= len(names) - len(FIXED)
        assert machine.run(max_insns=20_000_000).status == 0
        assert {name: getattr(regs, name) for name in names} == before
