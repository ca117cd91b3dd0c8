"""Instructions by name, for messages: those that a report of a failure shows, as an assembler would write them.

No disassembler: what it does not know is named by its kind, or not at all.
"""

from typing import Final

from cca_arch.sysregs import REGISTERS
from cca_arch.sysregs.encodings import Encoding
from cca_platform.isa.access import Kind, MemoryAccess, Mode
from cca_platform.isa.decoder import decode
from cca_platform.isa.sysinsn import SystemInstruction, SystemKind, decode_system

__all__ = ["branch_target", "name", "register_name"]

_SP: Final = 31
_CONDITIONS: Final = ("eq", "ne", "cs", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le", "al", "nv")
_HINTS: Final = {0: "nop", 1: "yield", 2: "wfe", 3: "wfi", 4: "sev", 5: "sevl"}
_BARRIERS: Final = {0xD5033FDF: "isb", 0xD5033F9F: "dsb sy", 0xD5033FBF: "dmb sy", 0xD5033B9F: "dsb ish"}
_IMMEDIATES: Final = (SystemKind.SVC, SystemKind.HVC, SystemKind.SMC, SystemKind.BRK, SystemKind.HLT)
_FIELDS: Final = {(3, 6): "daifset", (3, 7): "daifclr", (0, 5): "spsel"}
_INDIRECT: Final = {0xD61F0000: "br", 0xD63F0000: "blr", 0xD65F0000: "ret"}


def register_name(place: Encoding) -> str:
    """A system register by its encoding: ``vbar_el1``, or its number."""
    for known, encoding in REGISTERS.items():
        if encoding == place:
            return known
    return f"s{place.op0}_{place.op1}_c{place.crn}_c{place.crm}_{place.op2}"


def name(word: int, pc: int = 0) -> str:
    """An instruction at ``pc``, such as ``ldr x0, [x1, #8]``; its word for one that has no name here."""
    if word == 0:
        return "udf #0 (no instruction: zeroes)"
    if word in _BARRIERS:
        return _BARRIERS[word]
    system = decode_system(word)
    if system is not None:
        return _system(system)
    if word & 0xFFFFF01F == 0xD503201F and word >> 5 & 0x7F in _HINTS:
        return _HINTS[word >> 5 & 0x7F]
    access = decode(word)
    if access is not None:
        return _access(access, pc)
    return _branch(word, pc) or _other(word)


def branch_target(word: int, pc: int) -> int | None:
    """Where a direct branch goes; None for any other instruction."""
    if word & 0x7C000000 == 0x14000000:  # B, BL
        return pc + 4 * _signed(word, 0, 26)
    if word & 0xFF000010 == 0x54000000 or word & 0x7E000000 == 0x34000000:  # B.cond, CBZ
        return pc + 4 * _signed(word, 5, 19)
    if word & 0x7E000000 == 0x36000000:  # TBZ
        return pc + 4 * _signed(word, 5, 14)
    return None


def _signed(word: int, low: int, width: int) -> int:
    value = word >> low & (1 << width) - 1
    return value - (value >> width - 1 << width)


def _x(number: int, wide: bool = True) -> str:
    return ("xzr" if wide else "wzr") if number == _SP else f"{'x' if wide else 'w'}{number}"


def _system(found: SystemInstruction) -> str:
    kind = found.kind
    if kind in _IMMEDIATES:
        return f"{kind.value.lower()} #{found.imm:#x}"
    if kind is SystemKind.MRS:
        return f"mrs {_x(found.rt)}, {register_name(found.encoding)}"
    if kind is SystemKind.MSR:
        return f"msr {register_name(found.encoding)}, {_x(found.rt)}"
    if kind is SystemKind.MSR_IMMEDIATE:
        return f"msr {_FIELDS.get((found.op1, found.op2), 'pstate')}, #{found.imm}"
    return str(kind.value).lower()


def _access(access: MemoryAccess, pc: int) -> str:
    base = "sp" if access.rn == _SP else f"x{access.rn}"
    if access.kind in (Kind.CACHE, Kind.TRANSLATE, Kind.ZERO):
        return f"{access.name.lower()}, {_x(access.rt)}"
    if access.mode is Mode.LITERAL:
        place = f"{pc + access.imm:#x}"
    elif access.mode is Mode.REGISTER:
        place = f"[{base}, x{access.rm}]"
    elif access.mode is Mode.POST:
        place = f"[{base}], #{access.imm}"
    elif access.mode is Mode.PRE:
        place = f"[{base}, #{access.imm}]!"
    else:
        place = f"[{base}, #{access.imm}]" if access.imm else f"[{base}]"
    wide = access.sf or access.size == 8
    target = f"v{access.rt}" if access.fp else _x(access.rt, wide)
    second = (
        "" if access.rt2 == _SP or access.pieces < 2 else f", {'v' if access.fp else 'x' if wide else 'w'}{access.rt2}"
    )
    status = f"w{access.rs}, " if access.exclusive and access.is_write and access.rs != _SP else ""
    return f"{access.name.lower()} {status}{target}{second}, {place}"


def _branch(word: int, pc: int) -> str:
    for pattern, mnemonic in _INDIRECT.items():
        if word & 0xFFFFFC1F == pattern:
            register = word >> 5 & 31
            return "ret" if mnemonic == "ret" and register == 30 else f"{mnemonic} {_x(register)}"
    target = branch_target(word, pc)
    if target is None:
        return ""
    place = "." if target == pc else f"{target & (1 << 64) - 1:#x}"
    if word & 0x7C000000 == 0x14000000:
        return f"{'bl' if word >> 31 else 'b'} {place}"
    if word & 0xFF000010 == 0x54000000:
        return f"b.{_CONDITIONS[word & 15]} {place}"
    kind = ("cb" if word & 0x7E000000 == 0x34000000 else "tb") + ("nz" if word >> 24 & 1 else "z")
    return f"{kind} {_x(word & 31, bool(word >> 31))}, {place}"


def _other(word: int) -> str:
    kind = " (FP or SIMD)" if word & 0x0E000000 == 0x0E000000 and word >> 16 != 0xFFFF else ""
    return f"{word:#010x}{kind}"
