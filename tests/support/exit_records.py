"""The record of a REC exit, byte by byte, and Realm code whose registers hold what the Host must not see."""

from typing import Any

from realm_code import load
from rmm_host import PAGE, RAM

from cca_arch.descriptors.rtte import Rtte
from cca_arch.rmi.v1_0 import RecEnterFlags, Rmi, RmiRecExit
from cca_platform.gic.virtual import VMCR_RESET

__all__ = [
    "BOTH",
    "DATA",
    "FETCH",
    "HPFAR",
    "ISV",
    "MISSING",
    "MMIO",
    "READ_ONLY",
    "SEA",
    "SECRETS",
    "UNPROTECTED",
    "at",
    "record",
    "whole",
]

UNPROTECTED = 0x1_0000_0000
HPFAR = UNPROTECTED >> 8
MISSING = RAM + 9 * PAGE  # made RAM by the test, and nobody puts a page there
READ_ONLY = int(Rtte.make(host_memattr=6, readable=1))
MMIO, SEA = RecEnterFlags.make(emul_mmio=1), RecEnterFlags.make(inject_sea=1)
BOTH = RecEnterFlags.make(emul_mmio=1, inject_sea=1)
SECRETS = "; ".join(load(f"x{number}", 0x5EC2_E700 + number) for number in range(10, 20))
DATA, FETCH, ISV = 0x24 << 26, 0x20 << 26, 1 << 24


def whole(host: Any, realm: Any, **enter: Any) -> bytes:
    """run.exit as bytes, where everything was 0xFF before."""
    run = realm.prepare(**enter)
    host.memory.write(run + 0x800, b"\xff" * 0x800)
    host.ok(Rmi.REC_ENTER, realm.recs[0], run)
    return bytes(host.memory.read(run + 0x800, 0x800))


def record(**members: Any) -> bytes:
    """run.exit with these members, a virtual CPU interface as after reset, and zero everywhere else."""
    members.setdefault("gicv3_vmcr", VMCR_RESET)
    members["gprs"] = (*members.get("gprs", ()), *(0,) * 31)[:31]
    return bytes(RmiRecExit.pack(**members))


def at(ipa: int, instruction: str) -> str:
    """An access at ``ipa`` with X3 = 0x1122334455667788 and other registers full of what the Host must not see."""
    return f"{SECRETS}; {load('x3', 0x1122_3344_5566_7788)}; {load('x9', ipa)}; {instruction}"
