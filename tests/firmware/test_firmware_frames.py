"""Every register of the Secure payload and of the Non-secure world, each with a number of its own: kept by EL3."""

import ctypes
from typing import Any, Final

from calls import call
from ns_code import constant
from secure_code import BASE, FAST, payload

from cca_arch.rmi.v1_0 import Rmi
from cca_arch.sysregs import REGISTERS
from cca_platform.isa import frame

DUMP = BASE + 0xA000
_PARTS: Final = {
    "sctlr_el1": 1 << 26,
    "cpacr_el1": 3 << 20,
    "csselr_el1": 0xF,
    "cntkctl_el1": 0x3FF,
    "vbar_el1": -0x800,
}
"""Registers of which a test may set these bits and no others."""
_SYSTEM: Final = tuple(
    name
    for name in frame.EL1_FRAME
    if name in REGISTERS and name not in frame.KEYS and not name.startswith(("cnt", "fp"))
)
_VECTORS: Final = range(0, 32, 5)
_NO_TIMER: Final = ("cntv_cval_el0", "cntp_cval_el0")


def number(name: str, world: int) -> int:
    """The number of a register in a world."""
    index = (*_SYSTEM, "cntkctl_el1", *_NO_TIMER).index(name)
    return (0x0101_0000_0000_0101 * (index + 1) ^ world) & _PARTS.get(name, -1)


def _spelled(name: str) -> str:
    one = REGISTERS[name]
    return f"s{one.op0}_{one.op1}_c{one.crn}_c{one.crm}_{one.op2}"


SECURE: Final = 0x5A5A_5A5A_5A5A_0000
NORMAL: Final = 0x3C3C_3C3C_3C3C_0000
_SET: Final = "".join(
    f"{constant('x9', number(name, SECURE))} msr {_spelled(name)}, x9; " for name in (*_SYSTEM, "cntkctl_el1")
) + "".join(f"{constant('x9', 0x77 + one)} dup v{one}.2d, x9; " for one in _VECTORS)
_GET: Final = (
    f"{constant('x9', DUMP)} "
    + "".join(f"mrs x10, {_spelled(name)}; str x10, [x9], #8; " for name in (*_SYSTEM, "cntkctl_el1", *_NO_TIMER))
    + "".join(f"str q{one}, [x9], #16; " for one in _VECTORS)
    + "mov x1, #0; "
)


def seen(booted: Any) -> tuple[dict[str, int], bytes]:
    """What the payload has found in its registers."""
    raw = booted.machine.memory.backdoor
    names = (*_SYSTEM, "cntkctl_el1", *_NO_TIMER)
    values = {name: raw.read64(DUMP + 8 * place) for place, name in enumerate(names)}
    return values, raw.read(DUMP + 8 * len(names), 16 * len(_VECTORS))


def frames(pe: Any) -> tuple[dict[str, bytes], bytes]:
    """The EL1 registers of a PE by name, but for those that carry a call, and its EL2 registers."""
    buffer = ctypes.create_string_buffer(frame.EL1_FRAME_SIZE + frame.EL2_FRAME_SIZE)
    pe.save_el1(ctypes.addressof(buffer))
    pe.save_el2(ctypes.addressof(buffer) + frame.EL1_FRAME_SIZE)
    size = {name: 16 if name in frame.VECTORS else 8 for name in frame.EL1_FRAME}
    at = {name: frame.offset(name) for name in frame.EL1_FRAME}
    one = {name: buffer.raw[at[name] : at[name] + size[name]] for name in frame.EL1_FRAME}
    for name in ("x0", "x1", "x2", "x3", "x4", "pc"):
        del one[name]
    return one, buffer.raw[frame.EL1_FRAME_SIZE :]


def test_every_register(start: Any) -> None:
    """Calls of the Secure payload and of the RMM in turn: each world finds what it left. The timers are one set."""
    booted = start(payload(start=_SET, fast=_GET))
    pe = booted.machine.pes[0]
    for name in (*_SYSTEM, "cntkctl_el1", *_NO_TIMER):
        pe.write_sysreg(name, number(name, NORMAL))
    for place in range(4, 31):
        pe.x[place] = 0xABC0 + place
    buffer = ctypes.create_string_buffer(frame.EL1_FRAME_SIZE)
    pe.save_el1(ctypes.addressof(buffer))
    for name in _NO_TIMER:
        ctypes.c_uint64.from_buffer(buffer, frame.offset(name)).value = number(name, NORMAL)
    pe.restore_el1(ctypes.addressof(buffer))
    before = frames(pe)
    fixed = {name for name in _SYSTEM if int.from_bytes(before[0][name], "little") != number(name, NORMAL) % (1 << 64)}
    changed = fixed | {"sctlr_el1"}  # whose other bits are as the payload found them
    assert fixed <= {"afsr0_el1", "afsr1_el1", "amair_el1", "sctlr_el1", "mdscr_el1", "par_el1", "spsr_el1", "elr_el1"}
    first = None
    for _ in range(2):
        call(pe, FAST)
        assert frames(pe) == before
        found = seen(booted)
        assert {name: found[0][name] for name in _NO_TIMER} == {name: number(name, NORMAL) for name in _NO_TIMER}
        assert {name for name in _SYSTEM if found[0][name] != number(name, SECURE) % (1 << 64)} <= changed
        assert found[1] == b"".join((0x77 + one).to_bytes(8, "little") * 2 for one in _VECTORS)
        assert first in (None, found)
        first = found
        call(pe, Rmi.VERSION)
        assert frames(pe) == before
