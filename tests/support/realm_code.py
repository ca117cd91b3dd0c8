"""Assembly for Realms of tests: constants, SMCs, reports by host calls, exception vectors that report."""

from typing import Any

from rmm_host import PAGE, RAM

from cca_arch.rmi.v1_0 import RecExitReason
from cca_arch.rsi.v1_0 import Rsi

__all__ = ["CALL", "REPORT", "REPORTER", "VECTORS", "load", "reported", "smc", "with_vectors"]

CALL = RAM + PAGE  # the RsiHostCall by which the code reports


def load(register: str, value: int) -> str:
    """Move a 64-bit constant into a register."""
    parts = [f"movz {register}, #{value & 0xFFFF}"]
    parts += [
        f"movk {register}, #{value >> shift & 0xFFFF}, lsl #{shift}"
        for shift in (16, 32, 48)
        if value >> shift & 0xFFFF
    ]
    return "; ".join(parts)


def smc(fid: int, *args: int) -> str:
    """An SMC with constant arguments."""
    moves = [load(f"x{number}", value) for number, value in enumerate((fid, *args))]
    return "; ".join([*moves, "smc #0"])


REPORT = "; ".join(
    [
        load("x20", CALL),
        *(f"str x{number}, [x20, #{8 + 8 * number}]" for number in range(12)),
        load("x0", Rsi.HOST_CALL),
        "mov x1, x20",
        "smc #0",
    ]
)
"""Host call with X0..X11 as they are."""
REPORTER, VECTORS = RAM + 0x700, RAM + 0x800
"""Where test code puts a REPORT and its exception vectors."""


def with_vectors(source: str) -> str:
    """Code whose exceptions report X0 = ESR_EL1, X1 = FAR_EL1, X2 = ELR_EL1, X3 = SPSR_EL1, X4 = vector offset."""
    body = "; ".join([load("x9", VECTORS), "msr vbar_el1, x9", "isb", source])
    syndrome = "mrs x0, esr_el1; mrs x1, far_el1; mrs x2, elr_el1; mrs x3, spsr_el1"
    handler = f"{syndrome}; mov x4, #{{at}}; {load('x9', REPORTER)}; br x9"
    table = "".join(f"@{0x800 + at}: {handler.format(at=at)}" for at in range(0, 0x800, 0x80))
    return f"{body}; {load('x9', REPORTER)}; br x9 @0x700: {REPORT} {table}"


def reported(exit: Any) -> tuple[int, ...]:
    """X0.. of a REPORT."""
    assert exit.exit_reason == RecExitReason.HOST_CALL
    return tuple(exit.gprs)
