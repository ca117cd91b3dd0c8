"""What a Python level sets for the code below it: EL2 controls, whole register files, SCR_EL3."""

from typing import TYPE_CHECKING, Final

from cca_arch.sysregs import REGISTERS, Hcr, Scr
from cca_platform.engine import pmu
from cca_platform.native import block as w
from cca_platform.pe.pmu import MDCR_RESET

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = [
    "HCR_RW",
    "forget_keys",
    "load_scr",
    "read_sysreg",
    "restore_el1",
    "restore_el2",
    "run_under",
    "save_el1",
    "save_el2",
    "set_el2",
    "write_sysreg",
]

HCR_RW: Final = Hcr.rw.mask
"""RAO/WI: no level has AArch32."""
_NO_VMPIDR: Final = (1 << 64) - 1
_SCR_EL3: Final = REGISTERS["scr_el3"]
_SCR_PAUTH: Final = Scr.apk.mask | Scr.api.mask


def save_el1(pe: "Pe", address: int) -> None:
    """Store the EL1&0 register file (``frame.EL1_FRAME``) of the interrupted code to host memory."""
    pe.engine.save(address)


def restore_el1(pe: "Pe", address: int) -> None:
    """Load the EL1&0 register file from host memory; ``elr`` and ``spsr`` become its PC and PSTATE."""
    if pe.engine.load(address):
        pe.tlb.stale_el1 = True
    pe.reloaded = True


def save_el2(pe: "Pe", address: int, replaced: bool = False) -> None:
    """Store the EL2 registers of real EL2 code (``frame.EL2_FRAME``) to host memory.

    ``replaced``: only those that a Python EL2 replaces with its own values (``frame.EL2_REPLACED``).
    """
    pe.engine.save_el2(address, replaced)


def restore_el2(pe: "Pe", address: int, replaced: bool = False) -> None:
    """Load the EL2 registers of real EL2 code from host memory; the caller sets ``elr`` and ``spsr``."""
    pmu.stop(pe.address)
    pe.engine.load_el2(address, replaced)
    if not replaced:  # another translation regime
        pe.tlb.stale = True
    pe.words[w.P_VMPIDR] = _NO_VMPIDR  # EL2 code has a value of its own
    pe.reloaded = True


def set_el2(
    pe: "Pe", hcr: int, vtcr: int, vttbr: int, vmpidr: int, mdcr: int = MDCR_RESET, cntvoff: int = 0
) -> None:
    """Set the EL2 controls of lower levels, for a Python EL2; CPTR_EL2 traps nothing."""
    pe.tlb.vmid = vttbr >> 48
    pe.engine.set_el2(hcr | HCR_RW, vtcr, vttbr, vmpidr, mdcr, pe.ids.midr)
    if cntvoff:  # which it has cleared
        pe.words[w.P_CNTVOFF] = cntvoff


def run_under(pe: "Pe", scr: int) -> None:
    """Override ``machine.scr`` with this SCR_EL3 until the security state that EL3 has just entered is left."""
    pe.words[w.P_SECURITY] = pe.security
    load_scr(pe, scr)
    pe.tlb.stale = True


def load_scr(pe: "Pe", scr: int) -> None:
    """Let SCR_EL3 be in force, also for what the engine checks itself: pointer authentication."""
    words = pe.words
    words[w.P_SCR] = scr
    if words[w.P_FEATURES] & w.HAS_PAUTH:
        held = pe.engine.read_system(_SCR_EL3)
        pe.engine.write_system(_SCR_EL3, held & ~_SCR_PAUTH | scr & _SCR_PAUTH)


def forget_keys(pe: "Pe") -> None:
    """Set the keys of pointer authentication to zero, if the CPU model has them and code has run."""
    if pe.words[w.P_FEATURES] & w.HAS_PAUTH and pe.has_engine:
        pe.engine.clear_keys()


def read_sysreg(pe: "Pe", name: str) -> int:
    """Read an EL1 or EL2 system register of the interrupted code, by name in :data:`cca_arch.sysregs.REGISTERS`."""
    return pe.engine.read_system(REGISTERS[name])


def write_sysreg(pe: "Pe", name: str, value: int) -> None:
    """Write a system register of the interrupted code."""
    pe.engine.write_system(REGISTERS[name], value)
    pe.tlb.stale = True
