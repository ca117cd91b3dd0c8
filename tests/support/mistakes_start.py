"""Beginners' mistakes in start code: stacks, vectors, exception levels, stage 1, features of the processor."""

import struct

from mistakes import FOREVER, OFF, Mistake, ns, realm
from ns_code import ENTRY
from realm_code import load
from rmm_host import RAM

__all__ = ["START", "mmu"]

_TABLE = 0x4000  # offset of the table of stage 1
_GIB = 1 << 30
_PXN, _UXN = 1 << 53, 1 << 54
_AF, _SHARED = 1 << 10, 3 << 8
_EL0, _READ_ONLY = 1 << 6, 1 << 7
_BLOCK = 1
_GOOD = _AF | _SHARED | _UXN | _BLOCK
_DEVICE = 1 << 2  # AttrIndx
_TCR = 25 | 0x3500 | 1 << 23 | 2 << 32
_M, _A, _SA, _WXN = 1 << 0, 1 << 1, 1 << 3, 1 << 19


def mmu(
    then: str = OFF,
    flat: int = _GOOD,
    remote: int = 0,
    tcr: int = _TCR,
    control: int = _M,
    table: int = RAM + _TABLE,
    first: int = RAM,
    block: int = _GIB,
    barrier: str = "isb; ",
) -> dict[int, str | bytes]:
    """A Realm that turns its MMU on, and what it does ``then``.

    ``flat`` are the attributes of its RAM, which is mapped at ``first``; ``remote``, if there are any, are those of an
    alias at 0x4000_0000. Each entry of the table is for a ``block``.
    """
    rows = [0] * 512
    rows[first // block] = RAM | flat
    rows[_GIB // block] = RAM | remote if remote else 0
    setup = ((table, "ttbr0_el1"), (tcr, "tcr_el1"), (0x04FF, "mair_el1"))
    writes = "; ".join(f"{load('x8', value)}; msr {register}, x8" for value, register in setup)
    on = f"isb; mrs x8, sctlr_el1; {load('x9', control)}; orr x8, x8, x9; msr sctlr_el1, x8; {barrier}"
    return {0: f"{writes}; {on}{then}", _TABLE: struct.pack("<512Q", *rows)}


_REMOTE = load("x1", _GIB + 0x8000)
_TO_EL0 = "adr x1, user; msr elr_el1, x1; msr spsr_el1, xzr; eret; user: "

START = (
    Mistake(
        "no-stack",
        "called a C function before SP was set",
        realm(f"stp x29, x30, [sp, #-16]!; {OFF}"),
        (r"\bSP\b|stack",),
    ),
    Mistake(
        "stack-misaligned",
        "set SP to a multiple of 8, with SCTLR_EL1.SA",
        realm(
            f"mrs x0, sctlr_el1; orr x0, x0, #{_SA}; msr sctlr_el1, x0; isb; "
            f"{load('x0', RAM + 0x8008)}; mov sp, x0; str x30, [sp]; {OFF}"
        ),
        (r"\bSP\b|stack", r"align|multiple of 16"),
    ),
    Mistake(
        "linux-system-call",
        "printed by SVC with the number of write(), as under Linux",
        realm(f"mov x0, #1; mov x8, #64; svc #0; {OFF}"),
        (r"\bSVC\b|system call|supervisor call",),
    ),
    Mistake(
        "vectors-misaligned",
        "forgot .align 11 before the vectors",
        realm({0: f"{load('x0', RAM + 0x100)}; msr vbar_el1, x0; isb; brk #1; {FOREVER}", 0x300: OFF}),
        (r"VBAR|vector", r"align|0x800\b|2048|2 KiB|multiple"),
    ),
    Mistake(
        "vectors-of-el1",
        "wrote VBAR_EL1 in code that runs at EL2",
        ns({0: f"{load('x0', ENTRY + 0x800)}; msr vbar_el1, x0; isb; brk #1; {FOREVER}", 0xA00: OFF}),
        (r"VBAR_EL2",),
    ),
    Mistake(
        "no-identity-map",
        "turned the MMU on with a table that does not map the code that runs",
        realm(mmu(first=RAM + _GIB)),
        (
            r"stage 1|MMU|table|translation",
            r"not map|unmapped|no mapping|translation fault|identity|maps nothing|invalid",
        ),
    ),
    Mistake(
        "granule-of-64k",
        "built tables of 64 KiB granules, which the processor lacks",
        realm(mmu(tcr=_TCR | 1 << 14, block=1 << 29)),
        (r"TG0|granule|64 ?K",),
    ),
    Mistake(
        "no-access-flag",
        "left AF clear in the descriptors",
        realm(mmu(flat=_GOOD & ~_AF)),
        (r"access flag|\bAF\b",),
    ),
    Mistake(
        "read-only",
        "stored to a page that the descriptor makes read-only",
        realm(mmu(f"{_REMOTE}; str x0, [x1]; {OFF}", remote=_GOOD | _READ_ONLY)),
        (r"permission|read-only|\bAP\b", r"writ|stor|read-only|\bAP\b"),
    ),
    Mistake(
        "execute-never",
        "jumped to a page with PXN",
        realm(mmu(f"{_REMOTE}; br x1", remote=_GOOD | _PXN)),
        (r"permission|execute|PXN|\bXN\b", r"execut|PXN|\bXN\b|fetch|instruction"),
    ),
    Mistake(
        "wxn",
        "set SCTLR_EL1.WXN, and runs code from a page that is writable",
        realm(mmu(control=_M | _WXN)),
        (r"WXN",),
    ),
    Mistake(
        "code-writable-at-el0",
        "gave its code AP = 0b01: what EL0 may write, EL1 may not execute",
        realm(mmu(flat=_GOOD | _EL0)),
        (r"EL0|\bAP\b|unprivileged", r"execut|permission|fetch|instruction"),
    ),
    Mistake(
        "device-unaligned",
        "mapped RAM with the MAIR index of devices, and read an unaligned word there",
        realm(mmu(f"{_REMOTE}; ldr x0, [x1, #1]; {OFF}", remote=_GOOD | _DEVICE)),
        (r"align", r"device"),
    ),
    Mistake(
        "no-isb",
        "wrote SCTLR_EL1 without an ISB before the first address that needs it",
        realm(mmu(f"{_REMOTE}; ldr x0, [x1]; {OFF}", remote=_GOOD, barrier="")),
        (r"\bISB\b",),
    ),
    Mistake(
        "floating-point",
        "compiled without -mgeneral-regs-only, and did not write CPACR_EL1",
        realm(f"msr cpacr_el1, xzr; isb; fmov d0, #0x70; {OFF}"),
        (r"CPACR|FPEN|floating|\bFP\b|SIMD",),
    ),
    Mistake(
        "el1-register-at-el0",
        "read SCTLR_EL1 in the part of the program that runs at EL0",
        realm(f"{_TO_EL0} mrs x0, sctlr_el1; {FOREVER}"),
        (r"EL0", r"SCTLR_EL1|system register|undefined|MRS"),
    ),
    Mistake(
        "el2-register-in-realm",
        "runs start code for EL2, which begins with HCR_EL2, in a Realm",
        realm(f"mov x0, #1; lsl x0, x0, #31; msr hcr_el2, x0; {OFF}"),
        (r"HCR_EL2|EL2",),
    ),
    Mistake(
        "el3-register-at-el2",
        "runs start code for EL3, which begins with SCR_EL3, at Non-secure EL2",
        ns(f"mov x0, #0x401; msr scr_el3, x0; {OFF}"),
        (r"SCR_EL3|EL3",),
    ),
    Mistake(
        "illegal-return",
        "returned from EL1 with SPSR_EL1 = EL2h, as in code for EL2",
        realm(f"mov x0, #0x3c9; msr spsr_el1, x0; adr x0, on; msr elr_el1, x0; eret; on: {OFF}"),
        (r"illegal", r"SPSR|return|ERET|EL2"),
    ),
    Mistake(
        "stack-of-el0",
        "selected SP_EL0, which nobody has set",
        realm(f"{load('x0', RAM + 0x8000)}; mov sp, x0; msr spsel, #0; stp x29, x30, [sp, #-16]!; {OFF}"),
        (r"\bSP_EL0\b|SPSel|\bSP\b|stack",),
    ),
    Mistake(
        "main-returns",
        "put nothing behind the call of main, so that the zeros after the code are executed",
        realm("bl main; b end; main: ret; end: nop"),
        (r"\bUDF\b|zero|0x0\b|0x00000000|undefined|end of (the )?(code|image)|past|behind",),
    ),
    Mistake(
        "lse",
        "compiled with -march=armv8.1-a: LDADD",
        realm({0: load("x1", RAM + 0x8000), 8: struct.pack("<I", 0xF8200022)}),
        (r"LSE|atomic", r"--cpu"),
    ),
    Mistake(
        "pauth",
        "compiled with -march=armv8.3-a -mbranch-protection=standard: RETAA",
        realm(struct.pack("<I", 0xD65F0BFF)),
        (r"PAuth|pointer authentication", r"--cpu"),
    ),
    Mistake(
        "sve",
        "compiled with -march=armv8.2-a+sve: PTRUE",
        realm(struct.pack("<I", 0x2518E3E0)),
        (r"SVE",),
    ),
)
