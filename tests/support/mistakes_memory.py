"""Beginners' mistakes in the use of a Realm's memory, and of its devices."""

import struct

from mistakes import OFF, Mistake, realm
from realm_code import load, smc
from rmm_host import PAGE, RAM

from cca_arch.rmi.v1_0 import RmiRipas
from cca_arch.rsi.v1_0 import Rsi

__all__ = ["MEMORY"]

_SHARED = 1 << 32
_PAGE = RAM + 0x8000
_UART = 0x0100_0000
_SHARE = smc(Rsi.IPA_STATE_SET, _PAGE, _PAGE + PAGE, RmiRipas.EMPTY, 0)
_EMPTY = r"\bEMPTY\b|no RAM|not RAM|outside (its |the )?(RAM|memory)|nothing (there|at|is)"

MEMORY = (
    Mistake(
        "empty",
        "read a table that a boot loader would have left at 0x4000_0000, where a Realm has no RAM",
        realm(f"{load('x1', 0x4000_0000)}; ldr x0, [x1]; {OFF}"),
        (_EMPTY,),
    ),
    Mistake(
        "beyond-memory",
        "put a heap 32 MiB into a RAM of 16 MiB",
        realm(f"{load('x1', RAM + (32 << 20))}; str x0, [x1]; {OFF}"),
        (r"--memory|beyond|end of|outside|\bEMPTY\b|no RAM|not RAM",),
    ),
    Mistake(
        "bit-of-another-width",
        "took bit 47 for the shared bit; the IPA space has 33 bits",
        realm(f"{_SHARE}; {load('x1', _PAGE | 1 << 47)}; str x0, [x1]; {OFF}"),
        (r"address size|IPA (space|width)|33 bits|beyond|--ipa-width|shared bit|outside",),
    ),
    Mistake(
        "shared-bit-forgotten",
        "made a page EMPTY to share it, and went on using its protected address",
        realm(f"{_SHARE}; {load('x1', _PAGE)}; str x0, [x1]; {OFF}"),
        (r"\bEMPTY\b",),
    ),
    Mistake(
        "null-structure",
        "stored to a member of a structure that is NULL",
        realm(f"mov x1, xzr; str x0, [x1, #24]; {OFF}"),
        (r"null|\b0x18\b", r"writ|stor|access|pointer"),
    ),
    Mistake(
        "null-function",
        "called a function by a pointer that is NULL",
        realm(f"mov x1, xzr; blr x1; {OFF}"),
        (r"null|\b0x0\b|address 0\b|zero", r"jump|branch|call|fetch|execut|instruction|\bPC\b"),
    ),
    Mistake(
        "jump-to-data",
        "jumped to a table of constants",
        realm({0: f"{load('x1', RAM + 0x1000)}; br x1", PAGE: struct.pack("<2I", 0xFFFF_FFFF, 0xFFFF_FFFF)}),
        (r"0xffffffff|undefined|unallocated|not an instruction|no instruction|data",),
    ),
    Mistake(
        "execute-shared",
        "jumped to code in a shared page",
        realm(f"{_SHARE}; {load('x1', _PAGE | _SHARED)}; br x1"),
        (r"unprotected|shared", r"execut|fetch|instruction|jump"),
    ),
    Mistake(
        "uart-of-qemu",
        "printed to the UART of QEMU's virt, 0x0900_0000",
        realm(f"{load('x1', 0x0900_0000)}; mov w0, #65; strb w0, [x1]; {OFF}"),
        (r"0x0?9000000", r"\bEMPTY\b|no device|no UART|nothing|UART is at|no RAM|not RAM"),
    ),
    Mistake(
        "uart-not-shared",
        "printed to the UART without the shared bit",
        realm(f"{load('x1', _UART)}; mov w0, #65; strb w0, [x1]; {OFF}"),
        (r"0x0?1000000", r"\bEMPTY\b|shared|unprotected"),
    ),
    Mistake(
        "post-index",
        "read a device by an access that writes its base register back, which gives no syndrome",
        realm(f"{load('x1', _UART | _SHARED)}; ldr w0, [x1], #4; {OFF}"),
        (r"post-index|write-?back|writes back|\bISV\b|no syndrome|cannot (be )?emulate|not emulatable|single",),
    ),
)
