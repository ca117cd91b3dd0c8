"""Saved state has every system register that code can write: all encodings are tried, not a list of them."""

import struct
from collections.abc import Iterator
from typing import Any

import pytest

from cca_arch.sysregs import REGISTERS, Encoding
from cca_platform.machine.saved import Checkpoint
from cca_platform.state import decode, encode

BLOB, RESULT, VECTORS = 0x8100_0000, 0x8200_0000, 0x8011_0000
_NEXT = "mrs x20, elr_el2; add x20, x20, #4; msr elr_el2, x20; eret"
# Writes that would end the test, or that are not of the PE: its state, its vectors, translation, the GIC.
_NOT_WRITTEN = {REGISTERS[name] for name in ("sctlr_el2", "hcr_el2", "vbar_el2", "elr_el2", "spsr_el2", "icc_pmr_el1")}
_STATE = {(3, 0, 4, 2, 0), (3, 0, 4, 2, 3), (3, 0, 4, 2, 4), (3, 3, 4, 2, 1), (3, 3, 4, 2, 5), (3, 3, 4, 2, 6)}
_NOT_READ = {REGISTERS["cnthv_tval_el2"]}  # of the model "max" alone, without FEAT_VHE: it counts by the host's clock
_MRS, _MSR = 0xD520_0000, 0xD500_0000


def _all() -> Iterator[Encoding]:
    """Every encoding of MRS and MSR by register."""
    for number in range(1 << 15):
        yield Encoding(2 | number >> 14, number >> 11 & 7, number >> 7 & 15, number >> 3 & 15, number & 7)


def _read() -> list[Encoding]:
    """Those that are read: not of the GIC, whose state is its own."""
    return [one for one in _all() if (one.op0, one.crn) != (3, 12) and one not in _NOT_READ]


def _word(base: int, encoding: Encoding, register: int) -> int:
    op0, op1, crn, crm, op2 = encoding
    return base | op0 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5 | register


def _writes() -> bytes:
    """A number for each register that has one: X1, then what is X2 more each time."""
    words = []
    for encoding in _all():
        if encoding not in _NOT_WRITTEN and encoding not in _STATE and (encoding.op0, encoding.crn) != (3, 12):
            words += [_word(_MSR, encoding, 1), 0x8B02_0021]  # MSR; ADD X1, X1, X2
    return struct.pack(f"<{len(words) + 1}I", *words, 0xD400_0003)


def _reads() -> bytes:
    """Every register to memory at X4; 0 where there is none."""
    words = []
    for encoding in _read():
        words += [0xD280_0003, _word(_MRS, encoding, 3), 0xF800_8483]  # MOV X3, #0; MRS; STR X3, [X4], #8
    return struct.pack(f"<{len(words) + 1}I", *words, 0xD400_0003)


def _run(bench: Any, code: bytes, **registers: int) -> None:
    for offset in range(0, 0x800, 0x80):
        bench.place(VECTORS + offset, _NEXT)
    bench.pe.write_sysreg("vbar_el2", VECTORS)
    bench.write(BLOB, code)
    bench.run("br x10", el=2, ticks=10_000_000, x10=BLOB, **registers)


def _dump(bench: Any) -> dict[Encoding, int]:
    """What code reads of every register."""
    _run(bench, _reads(), x4=RESULT)
    names = _read()
    values = struct.unpack(f"<{len(names)}Q", bench.machine.memory.backdoor.read(RESULT, 8 * len(names)))
    return dict(zip(names, values, strict=True))


@pytest.mark.parametrize("cpu", ["a72", "max"])
def test_every_register(benches: Any, cpu: str) -> None:
    """Each is written with a number of its own, and reads the same in a fresh machine."""
    bench, other, again = (benches(cpu=cpu) for _ in range(3))
    before = _dump(again)
    _run(bench, _writes(), x1=0x1234_5678_9ABC_DEF0, x2=0x0101_0101_0101_0111)
    written = encode(bench.machine.checkpoint())
    other.machine.adopt(decode(written, Checkpoint))
    expected, found = _dump(bench), _dump(other)
    assert {one: (hex(value), hex(found[one])) for one, value in expected.items() if found[one] != value} == {}
    assert sum(before[one] != value for one, value in expected.items()) > 60
